//! A statement as text, ready for a template: every figure written out in the partner's language.
//!
//! Templates only lay out; all choices are made here. Values are plain text: escaping is the
//! template's business.

use super::numbers::{benefit, day, figure_text, localized, money};
use super::steps::{StepView, recipe};
use super::words::Words;
use crate::core::agreement::Measure;
use crate::core::money::Currency;
use crate::core::number::{Exact, Micros};
use crate::core::statement::{AgreementFigures, LineChange, OpenPoint, Statement, TermFigures, Totals};
use serde::Serialize;

/// Changed lines that a mail lists; the sheet lists all.
const CHANGES_SHOWN: usize = 20;

/// What a template sees.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct View {
    pub w: &'static Words,
    pub company: String,
    pub partner: String,
    pub partner_name: String,
    pub period: String,
    pub days: String,
    pub revision: u32,
    pub as_of: String,
    pub blocks: Vec<BlockView>,
    pub open_points: Vec<String>,
    pub audit_head: Option<String>,
}

/// One currency.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct BlockView {
    pub currency: String,
    pub totals: TotalsView,
    pub agreements: Vec<AgreementView>,
}

/// A figure with its name.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct RowView {
    pub label: String,
    pub value: String,
}

/// Sums.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TotalsView {
    /// What adds up to `earned`, down to what was earned in the period.
    pub parts: Vec<RowView>,
    pub earned: String,
    pub booked: String,
    pub settled: String,
    pub open: String,
}

/// One agreement.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct AgreementView {
    pub id: String,
    pub version: u32,
    pub title: String,
    pub totals: TotalsView,
    pub carry: Option<&'static str>,
    pub settlements: Vec<SettlementView>,
    pub terms: Vec<TermView>,
    /// Accumulation periods that are over and have not changed, in one row.
    pub earlier: Option<RowView>,
    /// Figures that were stated and of which nothing is left.
    pub gone: Vec<RowView>,
    pub changes: Vec<RowView>,
    pub more_changes: usize,
}

/// One credit memo.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SettlementView {
    pub reference: String,
    pub period: String,
    pub amount: String,
    pub state: &'static str,
    pub document: Option<String>,
}

/// One term.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TermView {
    pub id: String,
    pub accumulation: String,
    pub method: &'static str,
    pub qualifier: String,
    pub base: String,
    pub tier: Option<String>,
    pub next: Option<String>,
    pub has_tiers: bool,
    pub corrections: Option<RowView>,
    pub earned_in_period: String,
    pub earned: String,
    pub booked: String,
    pub recipe: Vec<StepView>,
}

impl View {
    /// Writes out a statement.
    pub fn of(statement: &Statement) -> Self {
        let w = Words::of(statement.language);
        let language = statement.language;
        let blocks = statement
            .blocks
            .iter()
            .map(|block| BlockView {
                currency: block.currency.to_string(),
                totals: {
                    let first = block.agreements.iter().all(|a| a.stated_on.is_none());
                    totals(w, block.currency, &block.totals, (!first).then(|| w.stated_before.to_owned()))
                },
                agreements: block.agreements.iter().map(|a| agreement(w, block.currency, statement, a)).collect(),
            })
            .collect();
        Self {
            w,
            company: statement.company.clone(),
            partner: statement.partner.clone(),
            partner_name: statement.partner_name.clone(),
            period: w.period(&statement.period_label, statement.period),
            days: format!("{} – {}", day(language, statement.period.from), day(language, statement.period.to)),
            revision: statement.revision,
            as_of: day(language, statement.as_of),
            blocks,
            open_points: statement.open_points.iter().map(|p| open_point(w, p)).collect(),
            audit_head: statement.audit_head.clone(),
        }
    }
}

/// Name of what is earned before the period and was not stated yet.
pub fn corrections_label(w: &Words, is_first: bool) -> &'static str {
    if is_first { w.earned_before } else { w.corrections }
}

/// `stated` names the statement before, where there is one.
fn totals(w: &Words, currency: Currency, totals: &Totals, stated: Option<String>) -> TotalsView {
    let text = |amount| money(w.language, currency, amount);
    let row = |label: &str, amount| RowView { label: label.to_owned(), value: text(amount) };
    let mut parts = Vec::new();
    let is_first = stated.is_none();
    if let Some(label) = stated {
        parts.push(row(&label, totals.stated_before));
    }
    if !is_first || !totals.corrections.is_zero() {
        parts.push(row(corrections_label(w, is_first), totals.corrections));
    }
    parts.push(row(w.earned_in_period, totals.earned_in_period));
    TotalsView {
        parts,
        earned: text(totals.earned),
        booked: text(totals.booked),
        settled: text(totals.settled),
        open: text(totals.open),
    }
}

fn agreement(w: &'static Words, currency: Currency, statement: &Statement, figures: &AgreementFigures) -> AgreementView {
    let text = |amount| money(w.language, currency, amount);
    // `Stated before (May 2026, revision 1)`
    let stated = figures
        .stated_on
        .as_ref()
        .map(|on| format!("{} ({}, {} {})", w.stated_before, w.period(&on.period_label, on.period), w.revision, on.revision));
    let is_past =
        |t: &&TermFigures| t.accumulation.to < statement.period.from && t.corrections.is_zero() && t.earned_in_period.is_zero();
    let past: Vec<&TermFigures> = figures.terms.iter().filter(is_past).collect();
    let span = |p: &crate::core::period::Period| format!("{} – {}", day(w.language, p.from), day(w.language, p.to));
    AgreementView {
        id: figures.id.clone(),
        version: figures.version,
        title: figures.title.clone(),
        totals: totals(w, currency, &figures.totals, stated),
        carry: figures.carry_reason.map(|reason| w.carry(reason)),
        settlements: figures
            .settlements
            .iter()
            .map(|s| SettlementView {
                reference: s.reference.clone(),
                period: s.period_label.clone(),
                amount: text(s.amount),
                state: w.state(&s.state),
                document: s.document.clone(),
            })
            .collect(),
        terms: figures.terms.iter().filter(|t| !is_past(t)).map(|t| term(w, currency, figures.stated_on.is_none(), t)).collect(),
        earlier: (!past.is_empty()).then(|| RowView {
            label: format!("{} ({})", w.earlier_unchanged, past.len()),
            value: text(past.iter().map(|t| t.earned).sum()),
        }),
        gone: figures
            .gone
            .iter()
            .map(|g| RowView {
                label: format!("{} {}, {}: {}", w.term, g.id, span(&g.accumulation), w.nothing_left),
                value: text(-g.stated),
            })
            .collect(),
        changes: figures.changes.iter().take(CHANGES_SHOWN).map(|c| change(w, c)).collect(),
        more_changes: figures.changes.len().saturating_sub(CHANGES_SHOWN),
    }
}

/// What became of a line since it was stated.
pub fn change_word(w: &Words, change: &LineChange) -> &'static str {
    match (change.before, change.now) {
        (None, _) => w.added,
        (Some(_), Some(_)) => w.changed,
        (Some(_), None) => w.removed,
    }
}

fn change(w: &Words, change: &LineChange) -> RowView {
    let text = |amount| money(w.language, change.currency, amount);
    let document = w.document_type(change.document_type);
    let value = match (change.before, change.now) {
        (Some(before), Some(now)) => format!("{} → {}", text(before), text(now)),
        (before, now) => now.or(before).map(text).unwrap_or_default(),
    };
    RowView {
        label: format!(
            "{document} {}, {}, {} {}: {}",
            change.document,
            day(w.language, change.date),
            w.line,
            change.line,
            change_word(w, change)
        ),
        value,
    }
}

/// `Invoice 1007, 12 Mar 2026, Line 1, PUMP-C, 3,980.00 USD: the item is not known to us yet`
fn open_point(w: &Words, point: &OpenPoint) -> String {
    let mut text = format!("{} {}", w.document_type(point.document_type), point.document);
    let net = point
        .net
        .map(|net| format!("{}\u{a0}{}", localized(w.language, &net.to_text(2)), point.currency.as_deref().unwrap_or_default()));
    let line = point.line.as_ref().map(|line| format!("{} {line}", w.line));
    for part in [point.date.map(|d| day(w.language, d)), line, point.item.clone(), net].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(part.trim_end());
    }
    format!("{text}: {}", w.open_reason(point.reason))
}

fn term(w: &'static Words, currency: Currency, is_first: bool, figures: &TermFigures) -> TermView {
    let base_unit = figures.base_unit.as_deref();
    let of_qualifier = |value: Micros| measured(w, currency, figures.unit.as_deref(), figures.qualifier_measure, value.exact());
    let qualifier = format!("{} {}", w.measure(figures.qualifier_measure), of_qualifier(figures.qualifier));
    let tier = figures.tier.and_then(|index| figures.tiers.get(index)).map(|tier| {
        let pays = benefit(w.language, currency, base_unit, &tier.benefit);
        format!("{} {} {} {pays}", w.tier_from, of_qualifier(tier.from), w.tier_pays)
    });
    let next = figures.next.as_ref().map(|next| {
        let pays = benefit(w.language, currency, base_unit, &next.tier.benefit);
        let missing = of_qualifier(next.missing);
        let from = of_qualifier(next.tier.from);
        format!("{} {from} {} {pays} – {} {missing}", w.tier_from, w.tier_pays, w.missing)
    });
    let text = |amount| money(w.language, currency, amount);
    TermView {
        id: figures.id.clone(),
        accumulation: format!("{} – {}", day(w.language, figures.accumulation.from), day(w.language, figures.accumulation.to)),
        method: w.method(figures.method),
        qualifier: if figures.qualifier_of_all_partners { format!("{qualifier} ({})", w.of_all_partners) } else { qualifier },
        base: format!(
            "{} {}",
            w.measure(figures.base_measure),
            measured(w, currency, base_unit, figures.base_measure, figures.base.exact())
        ),
        tier,
        next,
        has_tiers: !figures.tiers.is_empty(),
        corrections: (!figures.corrections.is_zero())
            .then(|| RowView { label: corrections_label(w, is_first).to_owned(), value: text(figures.corrections) }),
        earned_in_period: text(figures.earned_in_period),
        earned: text(figures.earned),
        booked: text(figures.booked),
        recipe: recipe(w, currency, figures),
    }
}

/// A figure of a measure: amounts with currency, quantities with unit.
pub fn measured(w: &Words, currency: Currency, unit: Option<&str>, measure: Measure, value: Exact) -> String {
    match measure {
        Measure::NetAmount | Measure::GrossAmount | Measure::Margin => {
            // A converted sum may be finer than the minor unit; nothing is cut here.
            format!("{}\u{a0}{currency}", figure_text(w.language, &value.to_text(currency.minor_digits())))
        }
        Measure::Quantity => match unit {
            Some(unit) => format!("{}\u{a0}{unit}", figure_text(w.language, &value.to_text(0))),
            None => figure_text(w.language, &value.to_text(0)),
        },
        Measure::Weight | Measure::DocumentCount => figure_text(w.language, &value.to_text(0)),
    }
}
