//! The recipe printed on a statement: the steps by which its reader recomputes an earned amount.
//!
//! Built from the figures alone and checked against the earned amount. Invariant: a recipe either
//! arrives at the earned amount, or says openly by how much caps, versions or floors changed it.

use crate::core::agreement::{Benefit, Bound, Measure, Method, Tier};
use crate::core::number::{Fine, Micros};
use crate::core::statement_input::TermInput;
use crate::core::terms::ladder::pay;
use serde::{Deserialize, Serialize};

/// One step of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum RecipeStep {
    /// Add up the qualifier over the lines.
    Qualifier {
        /// What is added.
        measure: Measure,
        /// The sum.
        total: Micros,
        /// Whether it is over all partners of the agreement.
        all_partners: bool,
    },
    /// Add up the base, where it is not the qualifier.
    Base {
        /// What is added.
        measure: Measure,
        /// The sum.
        total: Micros,
    },
    /// The tier that the qualifier reaches.
    Tier {
        /// Its bound.
        from: Micros,
        /// What it pays.
        benefit: Benefit,
    },
    /// No tier is reached.
    NoTier {
        /// The lowest bound, if there is a ladder.
        first: Option<Micros>,
    },
    /// Multiply; one step for each slice of a marginal ladder.
    Multiply {
        /// What is multiplied: the whole base or the part in the slice.
        amount: Micros,
        /// By what.
        benefit: Benefit,
        /// The exact product.
        product: Fine,
    },
    /// A fixed amount.
    Amount {
        /// The amount.
        amount: Micros,
    },
    /// Round once.
    Round {
        /// Before.
        exact: Fine,
        /// After, half away from zero to the currency's minor unit.
        rounded: Micros,
    },
    /// Caps, floors, sharing between partners, returns or earlier versions change the result.
    Adjusted {
        /// What the steps before give.
        computed: Micros,
        /// What is earned.
        earned: Micros,
    },
    /// The change over the stated period.
    InPeriod {
        /// Earned so far.
        earned: Micros,
        /// Earned before the period.
        before: Micros,
        /// The difference.
        change: Micros,
    },
}

/// The steps for one term.
pub fn recipe(term: &TermInput, minor_digits: u32) -> Vec<RecipeStep> {
    let mut steps = Vec::new();
    let mut exact = Fine::ZERO;
    if !term.tiers.is_empty() {
        steps.push(RecipeStep::Qualifier {
            measure: term.qualifier_measure,
            total: term.qualifier,
            all_partners: term.qualifier_of_all_partners,
        });
        if term.base_measure != term.qualifier_measure || term.base != term.qualifier {
            steps.push(RecipeStep::Base { measure: term.base_measure, total: term.base });
        }
        match term.tier.and_then(|index| term.tiers.get(index).map(|tier| (index, tier))) {
            None => steps.push(RecipeStep::NoTier { first: term.tiers.first().map(|t| t.from) }),
            Some((index, tier)) => {
                steps.push(RecipeStep::Tier { from: tier.from, benefit: tier.benefit.clone() });
                exact = match term.method {
                    Method::Retrospective => multiply(term.base, &tier.benefit, &mut steps),
                    Method::Marginal => slices(term, index, &mut steps),
                };
            }
        }
    } else if !term.earned.is_zero() {
        steps.push(RecipeStep::Amount { amount: term.earned });
        exact = term.earned.fine();
    }
    let rounded = exact.round(minor_digits);
    if exact != rounded.fine() {
        steps.push(RecipeStep::Round { exact, rounded });
    }
    if rounded != term.earned {
        steps.push(RecipeStep::Adjusted { computed: rounded, earned: term.earned });
    }
    if !term.earned_before.is_zero() {
        let change = term.earned - term.earned_before;
        steps.push(RecipeStep::InPeriod { earned: term.earned, before: term.earned_before, change });
    }
    steps
}

fn multiply(amount: Micros, benefit: &Benefit, steps: &mut Vec<RecipeStep>) -> Fine {
    if let Benefit::Amount(fixed) = benefit {
        steps.push(RecipeStep::Amount { amount: *fixed });
        return fixed.fine();
    }
    let product = pay(benefit, amount.exact());
    steps.push(RecipeStep::Multiply { amount, benefit: benefit.clone(), product });
    product
}

/// Marginal: each tier pays on its own slice of the base. Where base and qualifier differ, the
/// slices cannot be told from the figures alone and the recipe says so by its `Adjusted` step.
fn slices(term: &TermInput, reached: usize, steps: &mut Vec<RecipeStep>) -> Fine {
    let start = |tier: &Tier| match term.bound {
        // The n-th unit is the first at the new rate, so n - 1 units lie below.
        Bound::NthUnit => (tier.from - Micros::ONE).clamp_positive(),
        Bound::Reached | Bound::Exceeded => tier.from,
    };
    let mut exact = Fine::ZERO;
    for (index, tier) in term.tiers.iter().enumerate().take(reached + 1) {
        let upper = match term.tiers.get(index + 1) {
            Some(next) if index < reached => start(next),
            _ => term.base,
        };
        let slice = (upper - start(tier)).clamp_positive();
        exact += multiply(slice, &tier.benefit, steps);
    }
    exact
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::number::Rate;
    use crate::core::period::Period;

    fn micros(text: &str) -> Micros {
        Micros::parse(text).unwrap()
    }
    fn rate(from: &str, percent: &str) -> Tier {
        Tier { from: micros(from), benefit: Benefit::Rate(Rate::parse_percent(percent).unwrap()), back_to_first: false }
    }
    fn term(method: Method, tiers: Vec<Tier>, base: &str, tier: Option<usize>, earned: &str) -> TermInput {
        TermInput {
            id: "t".into(),
            kind: "volume".into(),
            accumulation: Period::new("2026-01-01".parse().unwrap(), "2026-12-31".parse().unwrap()).unwrap(),
            qualifier_measure: Measure::NetAmount,
            base_measure: Measure::NetAmount,
            unit: None,
            method,
            bound: Bound::Reached,
            tiers,
            qualifier: micros(base),
            qualifier_of_all_partners: false,
            base: micros(base),
            tier,
            earned: micros(earned),
            earned_before: Micros::ZERO,
            booked: Micros::ZERO,
            lines: vec![],
        }
    }
    fn adjusted(steps: &[RecipeStep]) -> bool {
        steps.iter().any(|s| matches!(s, RecipeStep::Adjusted { .. }))
    }

    #[test]
    fn a_retrospective_recipe_arrives_at_the_earned_amount() {
        let steps = recipe(&term(Method::Retrospective, vec![rate("0", "1%"), rate("100", "2.5%")], "1001", Some(1), "25.03"), 2);
        assert!(!adjusted(&steps), "{steps:?}");
        assert!(steps.contains(&RecipeStep::Round { exact: Fine::parse("25.025").unwrap(), rounded: micros("25.03") }));
    }

    #[test]
    fn a_marginal_recipe_has_one_product_for_each_slice() {
        let ladder = vec![rate("0", "1%"), rate("100", "2%"), rate("300", "3%")];
        let steps = recipe(&term(Method::Marginal, ladder, "350", Some(2), "6.5"), 2);
        let slices: Vec<_> = steps
            .iter()
            .filter_map(|s| match s {
                RecipeStep::Multiply { amount, .. } => Some(amount.to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(slices, ["100", "200", "50"]);
        assert!(!adjusted(&steps), "{steps:?}");
    }

    #[test]
    fn a_unit_ladder_by_the_nth_unit_starts_one_unit_earlier() {
        let per_unit =
            |from: &str, price: &str| Tier { from: micros(from), benefit: Benefit::PerUnit(micros(price)), back_to_first: false };
        let ladder = vec![per_unit("1", "1.00"), per_unit("101", "1.50")];
        let term = TermInput { bound: Bound::NthUnit, ..term(Method::Marginal, ladder, "101", Some(1), "101.5") };
        let steps = recipe(&term, 2);
        assert!(!adjusted(&steps), "{steps:?}");
    }

    #[test]
    fn net_returns_give_back_complete_increments_as_the_engine_counts_them() {
        for (started, earned) in [(false, "-4"), (true, "-4")] {
            let benefit = Benefit::PerIncrement { every: micros("10"), amount: micros("2"), started, per_item: false };
            let ladder = vec![Tier { from: micros("0"), benefit, back_to_first: false }];
            let steps = recipe(&term(Method::Retrospective, ladder, "-25", Some(0), earned), 2);
            assert!(!adjusted(&steps), "{steps:?}");
        }
    }

    #[test]
    fn a_cap_is_said_openly() {
        let steps = recipe(&term(Method::Retrospective, vec![rate("0", "2%")], "1000", Some(0), "15"), 2);
        assert!(steps.contains(&RecipeStep::Adjusted { computed: micros("20"), earned: micros("15") }));
    }

    #[test]
    fn below_the_first_tier_nothing_is_earned() {
        let steps = recipe(&term(Method::Retrospective, vec![rate("100", "2%")], "50", None, "0"), 2);
        assert!(steps.contains(&RecipeStep::NoTier { first: Some(micros("100")) }));
        assert!(!adjusted(&steps));
    }
}
