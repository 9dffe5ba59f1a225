//! The sheet: summary, lines, how to recompute.
//!
//! Numbers are typed cells so that the reader can add them up; text that a spreadsheet program
//! could take for a formula gets a single quote in front (OWASP ASVS 1.2.10). The creation date is
//! the statement's own, so the same statement gives the same bytes.

use super::view;
use super::words::Words;
use crate::core::money::Currency;
use crate::core::statement::{Statement, TermFigures};
use crate::core::visible::is_hidden;
use chrono::NaiveDate;
use rust_xlsxwriter::{DocProperties, Format, FormatAlign, Note, Workbook, Worksheet, XlsxError};

/// Writes the workbook.
pub fn write(statement: &Statement) -> Result<Vec<u8>, XlsxError> {
    let words = Words::of(statement.language);
    let mut workbook = Workbook::new();
    workbook.set_properties(
        &DocProperties::new()
            .set_title(format!("{} {}", words.title, statement.period_label))
            .set_company(&statement.company)
            .set_creation_datetime(&statement.as_of.and_time(chrono::NaiveTime::MIN)),
    );
    let styles = Styles::new();
    summary(workbook.add_worksheet(), statement, words, &styles)?;
    lines(workbook.add_worksheet(), statement, words, &styles)?;
    recompute(workbook.add_worksheet(), statement, words, &styles)?;
    workbook.save_to_buffer()
}

struct Styles {
    plain: Format,
    head: Format,
    title: Format,
    day: Format,
    quantity: Format,
}

impl Styles {
    fn new() -> Self {
        Self {
            plain: Format::new(),
            head: Format::new().set_bold().set_align(FormatAlign::Top).set_text_wrap(),
            title: Format::new().set_bold().set_font_size(14),
            day: Format::new().set_num_format("yyyy-mm-dd"),
            quantity: Format::new().set_num_format("#,##0.######"),
        }
    }
    fn amount(&self, currency: Currency) -> Format {
        let decimals = "0".repeat(currency.minor_digits() as usize);
        let point = if decimals.is_empty() { "" } else { "." };
        Format::new().set_num_format(format!("#,##0{point}{decimals}"))
    }
}

/// Text that no spreadsheet program takes for a formula, without characters that act instead of being seen.
pub fn safe_text(text: &str) -> String {
    let cleaned: String = text.chars().filter(|c| !is_hidden(*c) || *c == '\r').collect();
    if cleaned.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{cleaned}") } else { cleaned }
}

/// One row under construction.
struct Row<'a> {
    sheet: &'a mut Worksheet,
    row: u32,
    column: u16,
    styles: &'a Styles,
}

impl<'a> Row<'a> {
    fn at(sheet: &'a mut Worksheet, row: u32, styles: &'a Styles) -> Self {
        Self { sheet, row, column: 0, styles }
    }
    fn text(self, text: &str) -> Result<Self, XlsxError> {
        let plain = self.styles.plain.clone();
        self.styled(text, &plain)
    }
    fn head(self, text: &str) -> Result<Self, XlsxError> {
        let head = self.styles.head.clone();
        self.styled(text, &head)
    }
    fn styled(mut self, text: &str, format: &Format) -> Result<Self, XlsxError> {
        if !text.is_empty() {
            self.sheet.write_string_with_format(self.row, self.column, safe_text(text), format)?;
        }
        self.column += 1;
        Ok(self)
    }
    /// A number given as exact text. A cell holds a binary number of 15 to 17 digits; where that
    /// is not enough, a note on the cell keeps the exact text.
    fn number(mut self, exact: &str, format: &Format) -> Result<Self, XlsxError> {
        match exact.parse() {
            Ok(value) => {
                let value: f64 = value;
                self.sheet.write_number_with_format(self.row, self.column, value, format)?;
            }
            Err(_) => {
                self.sheet.write_string(self.row, self.column, safe_text(exact))?;
            }
        }
        let digits = exact.bytes().filter(u8::is_ascii_digit).skip_while(|b| *b == b'0').count();
        if digits > 15 {
            self.sheet.insert_note(self.row, self.column, &Note::new(exact).set_author("rebated"))?;
        }
        self.column += 1;
        Ok(self)
    }
    fn day(mut self, day: NaiveDate) -> Result<Self, XlsxError> {
        self.sheet.write_datetime_with_format(self.row, self.column, day, &self.styles.day)?;
        self.column += 1;
        Ok(self)
    }
}

/// Sheet names are at most 31 characters without `[]:*?/\`.
fn name(sheet: &mut Worksheet, text: &str) -> Result<(), XlsxError> {
    sheet.set_name(text.chars().filter(|c| !"[]:*?/\\".contains(*c)).take(31).collect::<String>())?;
    Ok(())
}

fn summary(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Result<(), XlsxError> {
    name(sheet, words.summary)?;
    for (column, width) in [22, 22, 22, 16, 16, 16, 16, 16, 16, 16, 30].into_iter().enumerate() {
        sheet.set_column_width_pixels(u16::try_from(column).unwrap_or(u16::MAX), width * 7)?;
    }
    Row::at(sheet, 0, styles)
        .styled(&format!("{} {}", words.title, words.period(&statement.period_label, statement.period)), &styles.title)?;
    Row::at(sheet, 1, styles).head(words.partner)?.text(&statement.partner_name)?.text(&statement.partner)?;
    Row::at(sheet, 2, styles).head(words.period_label)?.day(statement.period.from)?.day(statement.period.to)?;
    Row::at(sheet, 3, styles).head(words.as_of)?.day(statement.as_of)?;
    Row::at(sheet, 4, styles).head(words.revision)?.number(&statement.revision.to_string(), &styles.quantity)?;
    Row::at(sheet, 5, styles).text(&statement.company)?;
    let mut heads = Row::at(sheet, 7, styles);
    for head in [
        words.agreement,
        words.term,
        words.accumulation,
        words.qualifier,
        words.base,
        words.currency,
        words.earned_in_period,
        words.earned,
        words.booked,
        words.settled,
        words.open,
    ] {
        heads = heads.head(head)?;
    }
    let mut row = 8;
    for block in &statement.blocks {
        let amount = styles.amount(block.currency);
        let code = block.currency.to_string();
        let text = |value| block.currency.amount_text(value);
        for agreement in &block.agreements {
            for term in &agreement.terms {
                Row::at(sheet, row, styles)
                    .text(&agreement.id)?
                    .text(&term.id)?
                    .text(&format!("{} – {}", term.accumulation.from, term.accumulation.to))?
                    .number(&term.qualifier.to_string(), &styles.quantity)?
                    .number(&term.base.to_string(), &styles.quantity)?
                    .text(&code)?
                    .number(&text(term.earned_in_period), &amount)?
                    .number(&text(term.earned), &amount)?
                    .number(&text(term.booked), &amount)?;
                row += 1;
            }
            Row::at(sheet, row, styles)
                .head(&agreement.id)?
                .head(words.total)?
                .text(&agreement.title)?
                .text("")?
                .text("")?
                .text(&code)?
                .number(&text(agreement.totals.earned_in_period), &amount)?
                .number(&text(agreement.totals.earned), &amount)?
                .number(&text(agreement.totals.booked), &amount)?
                .number(&text(agreement.totals.settled), &amount)?
                .number(&text(agreement.totals.open), &amount)?
                .text(agreement.carry_reason.map_or("", |reason| words.carry(reason)))?;
            row += 1;
            for settlement in &agreement.settlements {
                Row::at(sheet, row, styles)
                    .text(&agreement.id)?
                    .text(words.credit_memo)?
                    .text(settlement.document.as_deref().unwrap_or(""))?
                    .text(&settlement.reference)?
                    .text(&settlement.period_label)?
                    .text(&code)?
                    .number(&text(settlement.amount), &amount)?
                    .text(words.state(&settlement.state))?;
                row += 1;
            }
        }
        row += 1;
    }
    for exception in &statement.exceptions {
        Row::at(sheet, row, styles)
            .head(words.exceptions)?
            .text(&exception.code)?
            .text(&exception.subject)?
            .text(&exception.message)?;
        row += 1;
    }
    if let Some(head) = &statement.audit_head {
        Row::at(sheet, row + 1, styles).text(words.audit_head)?.text(head)?;
    }
    Ok(())
}

fn terms(statement: &Statement) -> impl Iterator<Item = (Currency, &str, &TermFigures)> {
    statement
        .blocks
        .iter()
        .flat_map(|block| block.agreements.iter().map(move |agreement| (block.currency, agreement)))
        .flat_map(|(currency, agreement)| agreement.terms.iter().map(move |term| (currency, agreement.id.as_str(), term)))
}

fn lines(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Result<(), XlsxError> {
    name(sheet, words.lines)?;
    let mut heads = Row::at(sheet, 0, styles);
    for head in [
        words.agreement,
        words.term,
        words.document,
        words.line,
        words.date,
        words.in_period,
        words.item,
        words.description,
        words.quantity,
        words.unit,
        words.net,
        words.currency,
        words.share,
        words.currency,
    ] {
        heads = heads.head(head)?;
    }
    let mut row = 1;
    for (currency, agreement, term) in terms(statement) {
        let amount = styles.amount(currency);
        for line in &term.lines {
            let inside = if statement.period.contains(line.date) { words.yes } else { words.no };
            Row::at(sheet, row, styles)
                .text(agreement)?
                .text(&term.id)?
                .text(&line.document)?
                .text(&line.line)?
                .day(line.date)?
                .text(inside)?
                .text(line.item.as_deref().unwrap_or(""))?
                .text(line.description.as_deref().unwrap_or(""))?
                .number(&line.quantity.to_string(), &styles.quantity)?
                .text(&line.unit)?
                .number(&line.net_currency.amount_text(line.net), &styles.amount(line.net_currency))?
                .text(line.net_currency.code())?
                .number(&currency.amount_text(line.share), &amount)?
                .text(currency.code())?;
            row += 1;
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.autofilter(0, 0, row.max(2) - 1, 13)?;
    for (column, width) in [12u32, 12, 16, 8, 11, 10, 14, 24, 12, 8, 14, 9, 14, 9].into_iter().enumerate() {
        sheet.set_column_width_pixels(u16::try_from(column).unwrap_or(u16::MAX), width * 8)?;
    }
    Ok(())
}

fn recompute(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Result<(), XlsxError> {
    name(sheet, words.recompute)?;
    for (column, width) in [110u32, 110, 50, 560, 190].into_iter().enumerate() {
        sheet.set_column_width_pixels(u16::try_from(column).unwrap_or(u16::MAX), width)?;
    }
    Row::at(sheet, 0, styles).head(words.agreement)?.head(words.term)?.head(words.step)?.head("")?.head(words.result)?;
    let mut row = 1;
    for (currency, agreement, term) in terms(statement) {
        for (index, step) in view::recipe(words, currency, term).iter().enumerate() {
            Row::at(sheet, row, styles)
                .text(agreement)?
                .text(&term.id)?
                .text(&(index + 1).to_string())?
                .text(&step.what)?
                .text(&step.result)?;
            row += 1;
        }
        row += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_a_formula_gets_a_quote() {
        for (text, expected) in [
            ("=cmd|calc Supplies", "'=cmd|calc Supplies"),
            ("+49 30 1", "'+49 30 1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\0=1", "'=1"),
            ("Grünwald & Söhne", "Grünwald & Söhne"),
        ] {
            assert_eq!(safe_text(text), expected);
        }
    }
}
