//! The recipe's steps in the partner's words.

use super::numbers::{benefit, figure_text, localized, money};
use super::view::measured;
use super::words::Words;
use crate::core::accrual::percent;
use crate::core::money::Currency;
use crate::core::number::{Exact, Fine};
use crate::core::statement::TermFigures;
use crate::core::statement_recipe::RecipeStep;
use serde::Serialize;

/// One step of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct StepView {
    pub what: String,
    pub result: String,
}

fn step(what: impl Into<String>, result: impl Into<String>) -> StepView {
    StepView { what: what.into(), result: result.into() }
}

/// The steps of a term.
pub fn recipe(w: &Words, currency: Currency, figures: &TermFigures) -> Vec<StepView> {
    let teller = Teller { w, currency, figures };
    figures.recipe.iter().map(|step| teller.tell(step)).collect()
}

struct Teller<'a> {
    w: &'a Words,
    currency: Currency,
    figures: &'a TermFigures,
}

impl Teller<'_> {
    fn qualifier(&self, value: Exact) -> String {
        measured(self.w, self.currency, self.figures.unit.as_deref(), self.figures.qualifier_measure, value)
    }
    fn base(&self, value: Exact) -> String {
        measured(self.w, self.currency, self.figures.base_unit.as_deref(), self.figures.base_measure, value)
    }
    fn fine(&self, value: Fine) -> String {
        let text = figure_text(self.w.language, &value.to_text(self.currency.minor_digits()));
        format!("{text}\u{a0}{}", self.currency)
    }
    fn of(&self, version: Option<u32>) -> String {
        version.map_or_else(String::new, |version| format!("{} {version}: ", self.w.version))
    }

    fn tell(&self, told: &RecipeStep) -> StepView {
        let w = self.w;
        let amount = |value| money(w.language, self.currency, value);
        let pays = |b| benefit(w.language, self.currency, self.figures.base_unit.as_deref(), b);
        match told {
            RecipeStep::Qualifier { measure, total, all_partners } => {
                let whose = if *all_partners { format!(", {}", w.of_all_partners) } else { String::new() };
                step(format!("{}: {} {}{whose}", w.qualifier, w.measure(*measure), w.add_up), self.qualifier(*total))
            }
            RecipeStep::Growth { current, baseline, raised, increase, .. } => {
                let raised = if raised == baseline { String::new() } else { format!(" → {}", self.qualifier(*raised)) };
                step(
                    format!(
                        "{}: {} − {} ({}{raised})",
                        w.growth,
                        self.qualifier(*current),
                        w.baseline,
                        self.qualifier(*baseline)
                    ),
                    self.qualifier(*increase),
                )
            }
            RecipeStep::Share { part, whole } => {
                let share = if *whole > Exact::ZERO { percent(*part, *whole) } else { String::new() };
                let share = localized(w.language, share.trim_end_matches('%'));
                step(
                    format!("{}: {} / {}", w.part_of_whole, self.qualifier(*part), self.qualifier(*whole)),
                    format!("{share}\u{a0}%"),
                )
            }
            RecipeStep::Count { count } => step(w.distinct, figure_text(w.language, &count.to_text(0))),
            RecipeStep::Minimum { measure, unit, bought, at_least } => {
                let of = |value| measured(w, self.currency, unit.as_deref(), *measure, value);
                step(format!("{}: {} {}", w.at_least, w.measure(*measure), of(at_least.exact())), of(*bought))
            }
            RecipeStep::Base { measure, total } => {
                step(format!("{}: {} {}", w.base, w.measure(*measure), w.add_up), self.base(*total))
            }
            RecipeStep::BaseCap { counted, kept } => step(format!("{}: {}", self.base(*counted), w.base_cap), self.base(*kept)),
            RecipeStep::Tier { version, from, benefit } => {
                step(format!("{}{}: {} {}", self.of(*version), w.tier, w.tier_from, self.qualifier(*from)), pays(benefit))
            }
            RecipeStep::NoTier { version, first } => {
                let what = match first {
                    Some(first) => {
                        let from = self.qualifier(*first);
                        format!("{}: {} {from}", w.next_tier, w.tier_from)
                    }
                    None => w.tier.to_owned(),
                };
                step(format!("{}{what}", self.of(*version)), w.no_tier)
            }
            RecipeStep::Multiply { version, amount, benefit, product } => {
                step(format!("{}{} {} {}", self.of(*version), self.base(*amount), w.multiply, pays(benefit)), self.fine(*product))
            }
            RecipeStep::Proportion { version, base, benefit, slice, qualifier, product } => step(
                format!(
                    "{}{} {} {} × {} / {}",
                    self.of(*version),
                    self.base(*base),
                    w.multiply,
                    pays(benefit),
                    self.qualifier(*slice),
                    self.qualifier(*qualifier)
                ),
                self.fine(*product),
            ),
            RecipeStep::Amount { version, amount: fixed } => step(format!("{}{}", self.of(*version), w.fixed), amount(*fixed)),
            RecipeStep::Lines { version, total } => step(format!("{}{}", self.of(*version), w.line_parts), self.fine(*total)),
            RecipeStep::Sum { total } => step(w.sum, self.fine(*total)),
            RecipeStep::Clamped { computed } => step(format!("{}: {}", self.fine(*computed), w.clamped), self.fine(Fine::ZERO)),
            RecipeStep::Floor { floor } => step(w.floor, amount(*floor)),
            RecipeStep::Cap { computed, cap } => step(format!("{}: {}", self.fine(*computed), w.cap), amount(*cap)),
            RecipeStep::After { term, benefit } => step(format!("{}: {} {term}", w.base, w.less_benefit_of), self.fine(*benefit)),
            RecipeStep::Unmet { requires } => step(format!("{}: {}", w.requires, requires.join(", ")), self.fine(Fine::ZERO)),
            RecipeStep::Beaten { by } => step(format!("{}: {by}", w.beaten_by), self.fine(Fine::ZERO)),
            RecipeStep::Round { exact, rounded } => step(format!("{} {}", self.fine(*exact), w.round), amount(*rounded)),
            RecipeStep::PartnerShare { total, base, whole, earned } => {
                step(format!("{} {} × {} / {}", amount(*total), w.for_all, self.base(*base), self.base(*whole)), amount(*earned))
            }
            RecipeStep::SharedCap { name, cap, asked, before, after } => {
                let which = if name == "caps.per_partner" { w.cap_partner } else { w.cap_total };
                step(
                    format!("{which}: {}; {} {}; {} {}", amount(*cap), w.asked_before, amount(*asked), w.remain, amount(*before)),
                    amount(*after),
                )
            }
            RecipeStep::Adjusted { computed, earned } => step(format!("{} {}", amount(*computed), w.kept), amount(*earned)),
            RecipeStep::InPeriod { earned, before, change } => {
                step(format!("{}: {} {} ({})", w.earned_in_period, amount(*earned), w.change, amount(*before)), amount(*change))
            }
            RecipeStep::Correction { before, stated, change } => {
                step(format!("{}: {} {} ({})", w.corrections, amount(*before), w.less_stated, amount(*stated)), amount(*change))
            }
        }
    }
}
