//! The sheet: summary, terms, credit memos, lines, how to recompute; changes and open points where there
//! are any. Every column means one thing on its page, so that it can be added up.
//!
//! Numbers are typed cells so that the reader can add them up; text that a spreadsheet program
//! could take for a formula gets a single quote in front (OWASP ASVS 1.2.10). The creation date is
//! the statement's own, so the same statement gives the same bytes.

use super::numbers::{benefit, day, figure_text};
use super::steps::recipe;
use super::view;
use super::words::Words;
use crate::core::derivation::Wording;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::statement::{AgreementFigures, Statement, StatementLine, TermFigures};
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
    terms(workbook.add_worksheet(), statement, words, &styles)?;
    memos(workbook.add_worksheet(), statement, words, &styles)?;
    lines(workbook.add_worksheet(), statement, words, &styles)?;
    recompute(workbook.add_worksheet(), statement, words, &styles)?;
    if agreements(statement).any(|(_, agreement)| !agreement.changes.is_empty()) {
        changes(workbook.add_worksheet(), statement, words, &styles)?;
    }
    if !statement.open_points.is_empty() {
        open_points(workbook.add_worksheet(), statement, words, &styles)?;
    }
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

type Written = Result<(), XlsxError>;

/// Headings of a page's columns with their widths in characters.
fn heads(sheet: &mut Worksheet, row: u32, styles: &Styles, columns: &[(&str, u32)]) -> Written {
    for (column, (_, width)) in (0u16..).zip(columns) {
        sheet.set_column_width_pixels(column, width * 8)?;
    }
    let mut heads = Row::at(sheet, row, styles);
    for (head, _) in columns {
        heads = heads.head(head)?;
    }
    Ok(())
}

/// One row for each agreement. No row of totals: whoever adds up a column adds up one thing, once.
fn summary(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.summary)?;
    Row::at(sheet, 0, styles)
        .styled(&format!("{} {}", words.title, words.period(&statement.period_label, statement.period)), &styles.title)?;
    Row::at(sheet, 1, styles).head(words.partner)?.text(&statement.partner_name)?.text(&statement.partner)?;
    Row::at(sheet, 2, styles).head(words.period_label)?.day(statement.period.from)?.day(statement.period.to)?;
    Row::at(sheet, 3, styles).head(words.as_of)?.day(statement.as_of)?;
    Row::at(sheet, 4, styles).head(words.revision)?.number(&statement.revision.to_string(), &styles.quantity)?;
    Row::at(sheet, 5, styles).text(&statement.company)?;
    let columns = [
        (words.agreement, 20),
        (words.title_head, 28),
        (words.currency, 12),
        (words.stated_before, 16),
        (words.earned_before, 16),
        (words.corrections, 16),
        (words.earned_in_period, 16),
        (words.earned, 16),
        (words.booked, 16),
        (words.settled, 16),
        (words.open, 16),
        (words.reason, 30),
    ];
    heads(sheet, 7, styles, &columns)?;
    let mut row = 8;
    for block in &statement.blocks {
        let amount = styles.amount(block.currency);
        let text = |value| block.currency.amount_text(value);
        for agreement in &block.agreements {
            let totals = &agreement.totals;
            let cells = Row::at(sheet, row, styles)
                .text(&agreement.id)?
                .text(&agreement.title)?
                .text(block.currency.code())?
                .number(&text(totals.stated_before), &amount)?;
            before(cells, agreement, &text(totals.corrections), &amount)?
                .number(&text(totals.earned_in_period), &amount)?
                .number(&text(totals.earned), &amount)?
                .number(&text(totals.booked), &amount)?
                .number(&text(totals.settled), &amount)?
                .number(&text(totals.open), &amount)?
                .text(agreement.carry_reason.map_or("", |reason| words.carry(reason)))?;
            row += 1;
        }
    }
    if let Some(head) = &statement.audit_head {
        Row::at(sheet, row + 1, styles).text(words.audit_head)?.text(head)?;
    }
    Ok(())
}

/// What was earned before the period and not stated: on the first statement as such, later as a correction.
fn before<'a>(row: Row<'a>, agreement: &AgreementFigures, amount: &str, format: &Format) -> Result<Row<'a>, XlsxError> {
    match agreement.stated_on {
        None => row.number(amount, format)?.text(""),
        Some(_) => row.text("")?.number(amount, format),
    }
}

/// One row for each term and accumulation period.
fn terms(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.terms)?;
    let columns = [
        (words.agreement, 20),
        (words.term, 14),
        (words.first_day, 12),
        (words.last_day, 12),
        (words.qualifier, 16),
        (words.qualifier_measure, 16),
        (words.base, 16),
        (words.base_measure, 16),
        (words.unit, 8),
        (words.pays_head, 16),
        (words.stated_before, 16),
        (words.earned_before, 16),
        (words.corrections, 16),
        (words.earned_in_period, 16),
        (words.earned, 16),
        (words.booked, 16),
        (words.currency, 12),
    ];
    heads(sheet, 0, styles, &columns)?;
    let mut row = 1;
    for (currency, agreement) in agreements(statement) {
        let amount = styles.amount(currency);
        let text = |value| currency.amount_text(value);
        for term in &agreement.terms {
            let tier = term.tier.and_then(|index| term.tiers.get(index));
            let pays = tier.map(|t| benefit(words.language, currency, term.base_unit.as_deref(), &t.benefit));
            let cells = Row::at(sheet, row, styles)
                .text(&agreement.id)?
                .text(&term.id)?
                .day(term.accumulation.from)?
                .day(term.accumulation.to)?
                .number(&term.qualifier.to_string(), &styles.quantity)?
                .text(words.measure(term.qualifier_measure))?
                .number(&term.base.to_string(), &styles.quantity)?
                .text(words.measure(term.base_measure))?
                .text(term.unit.as_deref().unwrap_or_default())?
                .text(pays.as_deref().unwrap_or_default())?
                .number(&text(term.stated_before), &amount)?;
            before(cells, agreement, &text(term.corrections), &amount)?
                .number(&text(term.earned_in_period), &amount)?
                .number(&text(term.earned), &amount)?
                .number(&text(term.booked), &amount)?
                .text(currency.code())?;
            row += 1;
        }
        for gone in &agreement.gone {
            let mut cells = Row::at(sheet, row, styles)
                .text(&agreement.id)?
                .text(&gone.id)?
                .day(gone.accumulation.from)?
                .day(gone.accumulation.to)?;
            for _ in 0..6 {
                cells = cells.text("")?;
            }
            let cells = cells.number(&text(gone.stated), &amount)?;
            let cells = before(cells, agreement, &text(-gone.stated), &amount)?;
            let zero = text(Micros::ZERO);
            cells.number(&zero, &amount)?.number(&zero, &amount)?.number(&zero, &amount)?.text(currency.code())?;
            row += 1;
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    Ok(())
}

/// Credit memos that left the house; together they are what is settled.
fn memos(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.credit_memos)?;
    let columns = [
        (words.agreement, 20),
        (words.credit_memo, 20),
        (words.reference, 22),
        (words.period_label, 14),
        (words.amount, 16),
        (words.currency, 12),
        (words.state, 16),
    ];
    heads(sheet, 0, styles, &columns)?;
    let mut row = 1;
    for (currency, agreement) in agreements(statement) {
        let amount = styles.amount(currency);
        for settlement in &agreement.settlements {
            Row::at(sheet, row, styles)
                .text(&agreement.id)?
                .text(settlement.document.as_deref().unwrap_or(""))?
                .text(&settlement.reference)?
                .text(&settlement.period_label)?
                .number(&currency.amount_text(settlement.amount), &amount)?
                .text(currency.code())?
                .text(words.state(&settlement.state))?;
            row += 1;
        }
    }
    Ok(())
}

fn agreements(statement: &Statement) -> impl Iterator<Item = (Currency, &AgreementFigures)> {
    statement.blocks.iter().flat_map(|block| block.agreements.iter().map(move |agreement| (block.currency, agreement)))
}

fn all_terms(statement: &Statement) -> impl Iterator<Item = (Currency, &str, &TermFigures)> {
    agreements(statement)
        .flat_map(|(currency, agreement)| agreement.terms.iter().map(move |term| (currency, agreement.id.as_str(), term)))
}

/// How line figures follow from documents, in the partner's words.
fn derived(words: &Words, line: &StatementLine) -> String {
    let wording = Wording {
        number: &|plain| figure_text(words.language, plain),
        day: &|date| day(words.language, date),
        cost: words.cost,
        discount: words.discount,
    };
    line.derived.iter().map(|way| way.formula(&wording)).collect::<Vec<_>>().join("; ")
}

fn lines(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.lines)?;
    let columns = [
        (words.agreement, 14),
        (words.term, 12),
        (words.kind, 12),
        (words.document, 16),
        (words.line, 8),
        (words.date, 12),
        (words.in_period, 10),
        (words.item, 14),
        (words.quantity, 12),
        (words.unit, 8),
        (words.net, 14),
        (words.document_currency, 10),
        (words.derived, 44),
        (words.qualifier, 16),
        (words.base, 16),
        (words.version, 8),
        (words.unrounded, 16),
        (words.share, 14),
        (words.currency, 10),
    ];
    heads(sheet, 0, styles, &columns)?;
    let mut row = 1;
    for (currency, agreement, term) in all_terms(statement) {
        let amount = styles.amount(currency);
        for line in &term.lines {
            let inside = if line.counted_in >= statement.period.from { words.yes } else { words.no };
            Row::at(sheet, row, styles)
                .text(agreement)?
                .text(&term.id)?
                .text(words.document_type(line.document_type))?
                .text(&line.document)?
                .text(&line.line)?
                .day(line.date)?
                .text(inside)?
                .text(line.item.as_deref().unwrap_or(""))?
                .number(&line.quantity.to_string(), &styles.quantity)?
                .text(&line.unit)?
                .number(&line.net_currency.amount_text(line.net), &styles.amount(line.net_currency))?
                .text(line.net_currency.code())?
                .text(&derived(words, line))?
                .number(&line.qualifier.to_string(), &styles.quantity)?
                .number(&line.base.to_string(), &styles.quantity)?
                .number(&line.version.to_string(), &styles.quantity)?
                .number(&line.unrounded.to_string(), &styles.quantity)?
                .number(&currency.amount_text(line.share), &amount)?
                .text(currency.code())?;
            row += 1;
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.autofilter(0, 0, row.max(2) - 1, u16::try_from(columns.len()).unwrap_or(1) - 1)?;
    Ok(())
}

/// Lines of earlier periods that are not as they were stated.
fn changes(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.changes)?;
    let columns = [
        (words.agreement, 14),
        (words.term, 12),
        (words.kind, 12),
        (words.document, 16),
        (words.line, 8),
        (words.date, 12),
        (words.what, 22),
        (words.net_stated, 16),
        (words.net_now, 16),
        (words.currency, 10),
    ];
    heads(sheet, 0, styles, &columns)?;
    let all = agreements(statement).flat_map(|(_, agreement)| agreement.changes.iter().map(move |change| (agreement, change)));
    for (row, (agreement, change)) in (1..).zip(all) {
        let amount = styles.amount(change.currency);
        let text = |net: Option<Micros>| change.currency.amount_text(net.unwrap_or_default());
        Row::at(sheet, row, styles)
            .text(&agreement.id)?
            .text(&change.term)?
            .text(words.document_type(change.document_type))?
            .text(&change.document)?
            .text(&change.line)?
            .day(change.date)?
            .text(view::change_word(words, change))?
            .number(&text(change.before), &amount)?
            .number(&text(change.now), &amount)?
            .text(change.currency.code())?;
    }
    Ok(())
}

/// Documents of which something is open.
fn open_points(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.open_points)?;
    let columns = [
        (words.kind, 12),
        (words.document, 16),
        (words.date, 12),
        (words.line, 8),
        (words.item, 14),
        (words.net, 14),
        (words.currency, 10),
        (words.what, 60),
    ];
    heads(sheet, 0, styles, &columns)?;
    for (row, point) in (1..).zip(&statement.open_points) {
        let cells = Row::at(sheet, row, styles).text(words.document_type(point.document_type))?.text(&point.document)?;
        let cells = match point.date {
            Some(date) => cells.day(date)?,
            None => cells.text("")?,
        };
        let cells = cells.text(point.line.as_deref().unwrap_or(""))?.text(point.item.as_deref().unwrap_or(""))?;
        let cells = match point.net {
            Some(net) => cells.number(&net.to_text(2), &styles.quantity)?,
            None => cells.text("")?,
        };
        cells.text(point.currency.as_deref().unwrap_or(""))?.text(words.open_reason(point.reason))?;
    }
    Ok(())
}

fn recompute(sheet: &mut Worksheet, statement: &Statement, words: &Words, styles: &Styles) -> Written {
    name(sheet, words.recompute)?;
    let columns = [
        (words.agreement, 14),
        (words.term, 14),
        (words.first_day, 12),
        (words.last_day, 12),
        (words.step, 7),
        (words.what, 80),
        (words.result, 26),
    ];
    heads(sheet, 0, styles, &columns)?;
    let mut row = 1;
    for (currency, agreement, term) in all_terms(statement) {
        for (index, step) in recipe(words, currency, term).iter().enumerate() {
            Row::at(sheet, row, styles)
                .text(agreement)?
                .text(&term.id)?
                .day(term.accumulation.from)?
                .day(term.accumulation.to)?
                .number(&(index + 1).to_string(), &styles.quantity)?
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
