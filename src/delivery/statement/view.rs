//! A statement as text, ready for a template: every figure written out in the partner's language.
//!
//! Templates only lay out; all choices are made here. Values are plain text: escaping is the
//! template's business.

use super::numbers::{benefit, day, figure, localized, money};
use super::words::Words;
use crate::core::agreement::Measure;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::statement::{AgreementFigures, Statement, TermFigures, Totals};
use crate::core::statement_recipe::RecipeStep;
use serde::Serialize;

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
    pub exceptions: Vec<ExceptionView>,
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

/// Sums.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct TotalsView {
    pub earned_in_period: String,
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
}

/// One settlement.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct SettlementView {
    pub reference: String,
    pub period: String,
    pub amount: String,
    pub state: String,
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
    pub earned_in_period: String,
    pub earned: String,
    pub booked: String,
    pub recipe: Vec<StepView>,
}

/// One step of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct StepView {
    pub what: String,
    pub result: String,
}

/// One open point.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct ExceptionView {
    pub code: String,
    pub subject: String,
    pub message: String,
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
                totals: totals(w, block.currency, &block.totals),
                agreements: block.agreements.iter().map(|a| agreement(w, block.currency, a)).collect(),
            })
            .collect();
        let exceptions = statement
            .exceptions
            .iter()
            .map(|e| ExceptionView { code: e.code.clone(), subject: e.subject.clone(), message: e.message.clone() })
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
            exceptions,
            audit_head: statement.audit_head.clone(),
        }
    }
}

fn totals(w: &Words, currency: Currency, totals: &Totals) -> TotalsView {
    let text = |amount| money(w.language, currency, amount);
    TotalsView {
        earned_in_period: text(totals.earned_in_period),
        earned: text(totals.earned),
        booked: text(totals.booked),
        settled: text(totals.settled),
        open: text(totals.open),
    }
}

fn agreement(w: &'static Words, currency: Currency, figures: &AgreementFigures) -> AgreementView {
    AgreementView {
        id: figures.id.clone(),
        version: figures.version,
        title: figures.title.clone(),
        totals: totals(w, currency, &figures.totals),
        carry: figures.carry_reason.map(|reason| w.carry(reason)),
        settlements: figures
            .settlements
            .iter()
            .map(|s| SettlementView {
                reference: s.reference.clone(),
                period: s.period_label.clone(),
                amount: money(w.language, currency, s.amount),
                state: w.state(&s.state).to_owned(),
                document: s.document.clone(),
            })
            .collect(),
        terms: figures.terms.iter().map(|t| term(w, currency, t)).collect(),
    }
}

fn term(w: &'static Words, currency: Currency, figures: &TermFigures) -> TermView {
    let unit = figures.unit.as_deref();
    let measured = |measure, value| measured(w, currency, unit, measure, value);
    let qualifier =
        format!("{} {}", w.measure(figures.qualifier_measure), measured(figures.qualifier_measure, figures.qualifier));
    let tier = figures.tier.and_then(|index| figures.tiers.get(index)).map(|tier| {
        let pays = benefit(w.language, currency, unit, &tier.benefit);
        format!("{} {} {} {pays}", w.tier_from, measured(figures.qualifier_measure, tier.from), w.tier_pays)
    });
    let next = figures.next.as_ref().map(|next| {
        let pays = benefit(w.language, currency, unit, &next.tier.benefit);
        let missing = measured(figures.qualifier_measure, next.missing);
        let from = measured(figures.qualifier_measure, next.tier.from);
        format!("{} {from} {} {pays} – {} {missing}", w.tier_from, w.tier_pays, w.missing)
    });
    TermView {
        id: figures.id.clone(),
        accumulation: format!("{} – {}", day(w.language, figures.accumulation.from), day(w.language, figures.accumulation.to)),
        method: w.method(figures.method),
        qualifier: if figures.qualifier_of_all_partners { format!("{qualifier} ({})", w.of_all_partners) } else { qualifier },
        base: format!("{} {}", w.measure(figures.base_measure), measured(figures.base_measure, figures.base)),
        tier,
        next,
        has_tiers: !figures.tiers.is_empty(),
        earned_in_period: money(w.language, currency, figures.earned_in_period),
        earned: money(w.language, currency, figures.earned),
        booked: money(w.language, currency, figures.booked),
        recipe: recipe(w, currency, figures),
    }
}

/// A figure of a measure: amounts with currency, quantities with unit.
fn measured(w: &Words, currency: Currency, unit: Option<&str>, measure: Measure, value: Micros) -> String {
    match measure {
        Measure::NetAmount | Measure::GrossAmount | Measure::Margin => {
            // A converted sum may be finer than the minor unit; nothing is cut here.
            format!("{}\u{a0}{currency}", localized(w.language, &value.to_text(currency.minor_digits())))
        }
        Measure::Quantity => match unit {
            Some(unit) => format!("{}\u{a0}{unit}", figure(w.language, value)),
            None => figure(w.language, value),
        },
        Measure::Weight | Measure::DocumentCount => figure(w.language, value),
    }
}

/// The recipe's steps in words.
pub fn recipe(w: &Words, currency: Currency, figures: &TermFigures) -> Vec<StepView> {
    let unit = figures.unit.as_deref();
    let amount = |value| money(w.language, currency, value);
    figures
        .recipe
        .iter()
        .map(|step| match step {
            RecipeStep::Qualifier { measure, total, all_partners } => StepView {
                what: format!(
                    "{}: {} {}{}",
                    w.qualifier,
                    w.measure(*measure),
                    w.add_up,
                    if *all_partners { format!(", {}", w.of_all_partners) } else { String::new() }
                ),
                result: measured(w, currency, unit, *measure, *total),
            },
            RecipeStep::Base { measure, total } => StepView {
                what: format!("{}: {} {}", w.base, w.measure(*measure), w.add_up),
                result: measured(w, currency, unit, *measure, *total),
            },
            RecipeStep::Tier { from, benefit: pays } => StepView {
                what: format!("{}: {} {}", w.tier, w.tier_from, measured(w, currency, unit, figures.qualifier_measure, *from)),
                result: benefit(w.language, currency, unit, pays),
            },
            RecipeStep::NoTier { first } => StepView {
                what: match first {
                    Some(first) => {
                        format!(
                            "{}: {} {}",
                            w.next_tier,
                            w.tier_from,
                            measured(w, currency, unit, figures.qualifier_measure, *first)
                        )
                    }
                    None => w.tier.to_owned(),
                },
                result: w.no_tier.to_owned(),
            },
            RecipeStep::Multiply { amount: part, benefit: pays, product } => StepView {
                what: format!(
                    "{} {} {}",
                    measured(w, currency, unit, figures.base_measure, *part),
                    w.multiply,
                    benefit(w.language, currency, unit, pays)
                ),
                result: format!("{}\u{a0}{currency}", localized(w.language, &product.to_text(currency.minor_digits()))),
            },
            RecipeStep::Amount { amount: fixed } => StepView { what: w.fixed.to_owned(), result: amount(*fixed) },
            RecipeStep::Round { exact, rounded } => StepView {
                what: format!("{}\u{a0}{currency} {}", localized(w.language, &exact.to_text(currency.minor_digits())), w.round),
                result: amount(*rounded),
            },
            RecipeStep::Adjusted { computed, earned } => {
                StepView { what: format!("{} {}", amount(*computed), w.adjusted), result: amount(*earned) }
            }
            RecipeStep::InPeriod { earned, before, change } => StepView {
                what: format!("{}: {} {} ({})", w.earned_in_period, amount(*earned), w.change, amount(*before)),
                result: amount(*change),
            },
        })
        .collect()
}
