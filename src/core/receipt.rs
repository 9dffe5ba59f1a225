//! Receipts: any earned figure, so that the partner can recompute it with a pocket calculator
//! (`calculation.md` section 10), and the exact share of every line in it.
//!
//! Shares add up to the rounded figure: each is cut down to the minor unit, and the missing units go
//! to the largest remainders, ties by document date, number and line (cases 02 and 07).

use crate::core::accrual::{Entry, Summed, TooLarge, line_parts};
use crate::core::agreement::{AgreementVersion, QualifierScope};
use crate::core::allocation;
use crate::core::derivation::Derivation;
use crate::core::line::DocumentType;
use crate::core::matching::{BASE, QUALIFIER, Sums, compare_lines, facet};
use crate::core::money::Currency;
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::{FiscalCalendar, Period};
use crate::core::recipe_text::shortened;
use crate::core::statement_recipe::{Reckoning, recipe};
use chrono::NaiveDate;
use serde::Serialize;
use std::cmp::Ordering;

/// A line that counts for the figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedLine {
    /// Line id.
    pub line_id: i64,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date.
    pub date: NaiveDate,
    /// Item code.
    pub item: Option<String>,
    /// Net amount on the document.
    pub net: Micros,
    /// Its currency.
    pub currency: Currency,
    /// Quantity on the document.
    pub quantity: Micros,
    /// Its unit.
    pub unit: String,
    /// Partner it counts for.
    pub partner_id: i64,
    /// Which of the figure's sums it adds to, see [`crate::core::matching::facet`].
    pub facet: i64,
    /// Accounting month.
    pub bucket: NaiveDate,
    /// Agreement version that ruled it.
    pub version: u32,
    /// What it adds.
    pub sums: Sums,
    /// What it adds to other sums of the figure, by facet.
    pub sides: Vec<(i64, Exact)>,
    /// How that follows from the document, where it is not just what it says.
    pub derived: Vec<Derivation>,
}

/// A counted line with its share of the figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineShare {
    /// The line.
    pub line: CountedLine,
    /// Its part before rounding.
    pub unrounded: Fine,
    /// Its part of the rounded figure.
    pub share: Micros,
}

/// The order in which lines of a period stand: document date, document number, line number.
pub fn line_order(a: &CountedLine, b: &CountedLine) -> Ordering {
    compare_lines((a.date, &a.document, &a.line, a.line_id), (b.date, &b.document, &b.line, b.line_id))
}

/// Lines of a baseline have no share: nothing is paid on them. `baseline` is the one that the figure was
/// compared with.
///
/// Shares `earned` (one partner's figure, after every cap) over the lines it counts, in document
/// order.
///
/// # Errors
/// [`TooLarge`] when the lines without their signs pass what an amount holds.
pub fn lines(
    versions: &[AgreementVersion],
    term_id: &str,
    period: Period,
    calendar: &FiscalCalendar,
    earned: Micros,
    baseline: Option<Exact>,
    mut counted: Vec<CountedLine>,
) -> Result<Vec<LineShare>, TooLarge> {
    let Some(newest) = versions.iter().max_by_key(|v| v.version) else { return Ok(Vec::new()) };
    counted.retain(|line| line.facet == facet::MAIN);
    counted.sort_by(line_order);
    let parts: Vec<Fine> = if newest.qualifier_scope == QualifierScope::Agreement {
        // The tier comes from all partners together, the benefit is shared by base.
        let whole: Exact = counted.iter().map(|l| l.sums.slots[BASE]).sum();
        let part = |l: &CountedLine| earned.fine().checked_share(l.sums.slots[BASE], whole);
        counted.iter().map(part).collect::<Option<Vec<Fine>>>().ok_or(TooLarge)?
    } else {
        let summed = counted.iter().map(|l| Summed {
            entry: Entry { partner_id: l.partner_id, facet: l.facet, bucket: l.bucket, version: l.version, sums: l.sums },
            sides: l.sides.clone(),
        });
        line_parts(versions, term_id, period, summed.collect(), baseline, calendar)?
    };
    let size = parts.iter().fold(0u128, |sum, p| sum.saturating_add(p.0.unsigned_abs()));
    if size > Micros(i64::MAX).fine().0.unsigned_abs() {
        return Err(TooLarge);
    }
    let shares = allocation::share(earned, &parts, newest.currency.minor_digits());
    let shared = counted.into_iter().zip(parts.into_iter().zip(shares)).map(|(line, (unrounded, share))| LineShare {
        line,
        unrounded,
        share,
    });
    Ok(shared.collect())
}

/// What a receipt is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptHead {
    /// Agreement id.
    pub agreement: String,
    /// Its title.
    pub title: String,
    /// Term id.
    pub term: String,
    /// Partner code.
    pub partner: String,
    /// Accumulation period.
    pub period: Period,
    /// Currency of the figures.
    pub currency: Currency,
    /// What was sold by this day; all that is known where there is none.
    pub sold_by: Option<NaiveDate>,
}

/// A receipt. Amounts are text with the currency's decimals; figures before rounding are exact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Agreement id.
    pub agreement: String,
    /// Its title.
    pub title: String,
    /// Term id.
    pub term: String,
    /// Partner code.
    pub partner: String,
    /// Accumulation period, last day included.
    pub period: Period,
    /// Currency code.
    pub currency: String,
    /// Last day whose sales are in `earned` and `booked`; absent when all that is known is.
    pub sold_by: Option<NaiveDate>,
    /// Every line counted, in document order.
    pub lines: Vec<ReceiptLine>,
    /// What picked the tier.
    pub qualifier: String,
    /// What the benefit multiplied.
    pub base: String,
    /// Tier reached, from 1; absent below the first.
    pub tier: Option<usize>,
    /// The reckoning in words, step by step.
    pub steps: Vec<String>,
    /// Before rounding.
    pub unrounded: String,
    /// Due by the rules.
    pub earned: String,
    /// What the ledger holds for these sales today.
    pub booked: String,
    /// What has been settled until today.
    pub settled: String,
    /// Exact distance to the next tier.
    pub next_tier: Option<NextTierText>,
}

/// Distance to the next tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextTierText {
    /// Tier, from 1.
    pub tier: usize,
    /// Its bound.
    pub from: String,
    /// What is missing.
    pub distance: String,
}

/// One line of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptLine {
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date.
    pub date: NaiveDate,
    /// Item code.
    pub item: Option<String>,
    /// Net amount on the document, in its currency.
    pub net: String,
    /// That currency.
    pub currency: String,
    /// Quantity on the document.
    pub quantity: String,
    /// Its unit.
    pub unit: String,
    /// Agreement version that ruled it.
    pub version: u32,
    /// What it adds to the qualifier.
    pub qualifier: String,
    /// What it adds to the base.
    pub base: String,
    /// How these follow from the document: rates with their days, unit factors, costs, discounts.
    pub derived: Vec<String>,
    /// Its part before rounding.
    pub unrounded: String,
    /// Its part of the rounded figure.
    pub share: String,
}

/// Longest cell of the table: what is longer is cut in its middle, and whole in the JSON.
const WIDEST: usize = 40;

/// A cell's text. Numbers of documents and lines may be of any length.
fn cell(text: &str) -> String {
    let length = text.chars().count();
    if length <= WIDEST {
        return text.to_owned();
    }
    let part = (WIDEST - 1) / 2;
    let start: String = text.chars().take(part).collect();
    let end: String = text.chars().skip(length - part).collect();
    format!("{start}…{end}")
}

impl Receipt {
    /// Puts a receipt together.
    pub fn new(head: ReceiptHead, figure: &Reckoning<'_>, shares: &[LineShare], booked: Micros, settled: Micros) -> Self {
        let currency = head.currency;
        let (evaluation, earned) = (figure.evaluation, figure.earned);
        let lines = shares
            .iter()
            .map(|s| ReceiptLine {
                document: s.line.document.clone(),
                line: s.line.line.clone(),
                date: s.line.date,
                item: s.line.item.clone(),
                net: s.line.currency.amount_text(s.line.net),
                currency: s.line.currency.code().to_owned(),
                quantity: s.line.quantity.to_text(0),
                unit: s.line.unit.clone(),
                version: s.line.version,
                qualifier: s.line.sums.slots[QUALIFIER].to_text(2),
                base: s.line.sums.slots[BASE].to_text(2),
                derived: s.line.derived.iter().map(Derivation::text).collect(),
                unrounded: s.unrounded.to_text(2),
                share: currency.amount_text(s.share),
            })
            .collect();
        let steps = recipe(figure).iter().map(|step| step.text(currency)).collect();
        Receipt {
            agreement: head.agreement,
            title: head.title,
            term: head.term,
            partner: head.partner,
            period: head.period,
            currency: currency.code().to_owned(),
            sold_by: head.sold_by,
            lines,
            qualifier: evaluation.qualifier.to_text(2),
            base: evaluation.base.to_text(2),
            tier: evaluation.tier().map(|t| t + 1),
            steps,
            unrounded: evaluation.unrounded.to_text(2),
            earned: currency.amount_text(earned),
            booked: currency.amount_text(booked),
            settled: currency.amount_text(settled),
            next_tier: evaluation.next_tier.map(|n| NextTierText {
                tier: n.tier + 1,
                from: n.from.to_text(2),
                distance: n.distance.to_text(2),
            }),
        }
    }

    /// The receipt for a terminal or a plain mail.
    pub fn text(&self) -> String {
        let mut out = format!(
            "Receipt: {} ({}), term {}\nPartner {}, period {}, amounts in {}\n\n",
            self.agreement, self.title, self.term, self.partner, self.period, self.currency
        );
        let header = ["document", "line", "date", "item", "net", "base", "unrounded", "share"];
        let rows: Vec<[String; 8]> = self
            .lines
            .iter()
            .map(|l| {
                [
                    cell(&l.document),
                    cell(&l.line),
                    l.date.to_string(),
                    cell(l.item.as_deref().unwrap_or_default()),
                    format!("{} {}", l.net, l.currency),
                    shortened(&l.base),
                    shortened(&l.unrounded),
                    l.share.clone(),
                ]
            })
            .collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|c| rows.iter().map(|r| r[c].chars().count()).chain([header[c].len()]).max().unwrap_or(0))
            .collect();
        let put = |out: &mut String, cells: &[&str]| {
            let padded: Vec<String> = cells
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(c, (cell, width))| if c < 4 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
                .collect();
            out.push_str(padded.join("  ").trim_end());
            out.push('\n');
        };
        put(&mut out, &header);
        for (row, line) in rows.iter().zip(&self.lines) {
            put(&mut out, &row.each_ref().map(String::as_str));
            for way in &line.derived {
                out.push_str(&format!("    {way}\n"));
            }
        }
        out.push('\n');
        for step in &self.steps {
            out.push_str(&format!("- {step}\n"));
        }
        match self.sold_by {
            Some(day) => out.push_str(&format!(
                "\nOn what was sold by {day}: earned {}, booked {}. Settled until today: {}\n",
                self.earned, self.booked, self.settled
            )),
            None => out.push_str(&format!("\nEarned {}, booked {}, settled {}\n", self.earned, self.booked, self.settled)),
        }
        if let Some(next) = &self.next_tier {
            out.push_str(&format!("Next tier {} from {}: {} more\n", next.tier, next.from, next.distance));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_number_of_any_length_fits_into_the_table() {
        assert_eq!(cell("1001"), "1001");
        let long = format!("A{}Z", "é".repeat(100_000));
        let shown = cell(&long);
        assert!(shown.chars().count() < 41 && shown.starts_with("Aé") && shown.ends_with("éZ"), "{shown}");
    }
}
