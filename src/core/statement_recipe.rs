//! The recipe printed on receipts and statements: the steps by which their reader recomputes an earned
//! amount with a pocket calculator (`calculation.md` section 10).
//!
//! Built from the engine's own steps. Invariant: a recipe either arrives at the earned amount, or says
//! openly by how much it does not; every cap is a step of its own, with its amounts.

use crate::core::accrual::{Evaluation, Lowered, Step};
use crate::core::agreement::{Benefit, Measure};
use crate::core::number::{Exact, Fine, Micros};
use crate::core::terms::ladder::pay;
use serde::{Deserialize, Serialize};

/// One step of a recipe. `version` is named where several versions of the agreement take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "step")]
pub enum RecipeStep {
    /// Add up the qualifier over the lines.
    Qualifier {
        /// What is added.
        measure: Measure,
        /// The sum.
        total: Exact,
        /// Whether it is over all partners of the agreement.
        all_partners: bool,
    },
    /// The figure of the period less its baseline.
    Growth {
        /// What is compared.
        measure: Measure,
        /// The figure of the period.
        current: Exact,
        /// The baseline.
        baseline: Exact,
        /// The baseline as it is raised; the same where it is not.
        raised: Exact,
        /// What is more.
        increase: Exact,
    },
    /// The qualifier as a share.
    Share {
        /// The part.
        part: Exact,
        /// What it is a part of.
        whole: Exact,
    },
    /// How many distinct items or categories.
    Count {
        /// How many.
        count: Exact,
    },
    /// What must be bought at least.
    Minimum {
        /// What is measured.
        measure: Measure,
        /// Unit of quantities.
        unit: Option<String>,
        /// What was bought.
        bought: Exact,
        /// What must be.
        at_least: Micros,
    },
    /// Add up the base, where it is not the qualifier.
    Base {
        /// What is added.
        measure: Measure,
        /// The sum.
        total: Exact,
    },
    /// Only a part of the base counts.
    BaseCap {
        /// Base of all lines.
        counted: Exact,
        /// What the cap leaves.
        kept: Exact,
    },
    /// The tier that the qualifier reaches.
    Tier {
        /// Version.
        version: Option<u32>,
        /// Its bound in the period.
        from: Exact,
        /// What it pays.
        benefit: Benefit,
    },
    /// No tier is reached.
    NoTier {
        /// Version.
        version: Option<u32>,
        /// The lowest bound, if there is a ladder.
        first: Option<Exact>,
    },
    /// Multiply; one step for each slice of a marginal ladder.
    Multiply {
        /// Version.
        version: Option<u32>,
        /// What is multiplied: the whole base or the part in the slice.
        amount: Exact,
        /// By what.
        benefit: Benefit,
        /// The exact product.
        product: Fine,
    },
    /// The slices of the qualifier pay in proportion on another base.
    Proportion {
        /// Version.
        version: Option<u32>,
        /// The base.
        base: Exact,
        /// What the tier of the slice pays.
        benefit: Benefit,
        /// The slice.
        slice: Exact,
        /// The qualifier.
        qualifier: Exact,
        /// Base times benefit, times slice, divided by qualifier.
        product: Fine,
    },
    /// An amount for the whole period.
    Amount {
        /// Version.
        version: Option<u32>,
        /// The amount.
        amount: Micros,
    },
    /// Add up the lines' parts before rounding: each line's part depends on its place among the others.
    Lines {
        /// Version.
        version: Option<u32>,
        /// The sum.
        total: Fine,
    },
    /// Add up the results so far.
    Sum {
        /// The sum.
        total: Fine,
    },
    /// More returns than sales earn nothing.
    Clamped {
        /// What they would have earned.
        computed: Fine,
    },
    /// Raised to the floor.
    Floor {
        /// The floor.
        floor: Micros,
    },
    /// Lowered to the cap of the term.
    Cap {
        /// Before.
        computed: Fine,
        /// The cap.
        cap: Micros,
    },
    /// What another term earns on the same lines is taken off the base.
    After {
        /// The other term.
        term: String,
        /// What it earns in all.
        benefit: Fine,
    },
    /// Nothing is earned, since the terms that it requires earned nothing.
    Unmet {
        /// The terms.
        requires: Vec<String>,
    },
    /// Nothing is earned, since another term of its set earns more.
    Beaten {
        /// The one that pays.
        by: String,
    },
    /// Round once.
    Round {
        /// Before.
        exact: Fine,
        /// After, half away from zero to the currency's minor unit.
        rounded: Micros,
    },
    /// What all partners earned together, shared by base.
    PartnerShare {
        /// Of all partners.
        total: Micros,
        /// The partner's base.
        base: Exact,
        /// Base of all partners.
        whole: Exact,
        /// The partner's part, in whole minor units; missing ones go to the largest remainders.
        earned: Micros,
    },
    /// A cap over several figures: of what was asked for before and this together, no more than the cap.
    SharedCap {
        /// `caps.per_partner` or `caps.total`.
        name: String,
        /// The cap.
        cap: Micros,
        /// What figures before this one asked for.
        asked: Micros,
        /// This one before.
        before: Micros,
        /// And after.
        after: Micros,
    },
    /// What the steps before do not explain.
    Adjusted {
        /// What they give.
        computed: Micros,
        /// What is earned.
        earned: Micros,
    },
    /// The change over the stated period.
    InPeriod {
        /// Earned so far.
        earned: Micros,
        /// Earned before the period, as it is known now.
        before: Micros,
        /// The difference.
        change: Micros,
    },
    /// What became known of earlier periods after they were stated.
    Correction {
        /// Earned before the period, as it is known now.
        before: Micros,
        /// As it was stated.
        stated: Micros,
        /// The difference.
        change: Micros,
    },
}

/// One partner's figure, ready to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Reckoning<'a> {
    /// How it was reckoned.
    pub evaluation: &'a Evaluation,
    /// Partner.
    pub partner_id: i64,
    /// Whether the agreement takes all partners together.
    pub together: bool,
    /// Measure that the benefit multiplies.
    pub base_measure: Measure,
    /// Caps over several figures that changed it.
    pub lowered: &'a [Lowered],
    /// What the partner earned, after every cap.
    pub earned: Micros,
}

/// Products that differ from the engine's by less are the same: a share of a share is cut in the 24th decimal, line by
/// line.
const DUST: i128 = 1_000_000_000;

fn same(a: Fine, b: Fine) -> bool {
    a.0.abs_diff(b.0) < DUST.unsigned_abs()
}

/// A version's ladder, read before it is known what it pays.
#[derive(Clone, Copy)]
struct Reached {
    from: Option<Exact>,
    first: Option<Exact>,
    qualifier: Exact,
}

/// Tells that no tier is reached; how many results that adds. Returns of one version may take back what lines of another
/// one earned.
fn no_tier(steps: &mut Vec<RecipeStep>, version: Option<u32>, reached: Reached, unrounded: Fine) -> usize {
    steps.push(RecipeStep::NoTier { version, first: reached.first });
    if unrounded.is_zero() {
        return 0;
    }
    steps.push(RecipeStep::Lines { version, total: unrounded });
    1
}

/// The steps to one partner's figure.
pub fn recipe(figure: &Reckoning<'_>) -> Vec<RecipeStep> {
    let evaluation = figure.evaluation;
    let mut steps = Vec::new();
    let several = evaluation.versions.len() > 1;
    let mut reached = Reached { from: None, first: None, qualifier: evaluation.qualifier };
    let (mut qualifier_measure, mut base_told) = (None, false);
    let mut products = 0;
    let mut total = Fine::ZERO;
    // Where the next version's lines begin among all, by base.
    let mut position = Exact::ZERO;
    let lump = lump_of_all(evaluation);
    // Growth and counts are no sums of the lines.
    let reads_otherwise = evaluation.steps.iter().any(|s| matches!(s, Step::Growth { .. } | Step::Count { .. }));
    for step in &evaluation.steps {
        match step {
            Step::Qualifier { measure, figure: qualifier } => {
                qualifier_measure = Some(*measure);
                if !reads_otherwise {
                    steps.push(RecipeStep::Qualifier { measure: *measure, total: *qualifier, all_partners: figure.together });
                }
            }
            Step::Growth { current, compared } => steps.push(RecipeStep::Growth {
                measure: qualifier_measure.unwrap_or(figure.base_measure),
                current: *current,
                baseline: compared.baseline,
                raised: compared.raised,
                increase: compared.increase,
            }),
            Step::Share { part, whole } => steps.push(RecipeStep::Share { part: *part, whole: *whole }),
            Step::Count { count } => steps.push(RecipeStep::Count { count: *count }),
            Step::Minimum { measure, unit, bought, at_least } => {
                steps.push(RecipeStep::Minimum { measure: *measure, unit: unit.clone(), bought: *bought, at_least: *at_least })
            }
            Step::BaseCap { counted, kept } => {
                base_told = true;
                steps.push(RecipeStep::Base { measure: figure.base_measure, total: *counted });
                steps.push(RecipeStep::BaseCap { counted: *counted, kept: *kept });
            }
            Step::Tier { qualifier, tier, next, .. } => {
                reached = Reached { from: tier.map(|t| t.from), first: next.map(|n| n.from), qualifier: *qualifier };
            }
            Step::Benefit { version, base, benefit, unrounded } => {
                tell_base(&mut steps, &mut base_told, qualifier_measure, figure);
                let version = several.then_some(*version);
                position += *base;
                total += *unrounded;
                let Some(benefit) = benefit else {
                    products += no_tier(&mut steps, version, reached, *unrounded);
                    continue;
                };
                if let Some(from) = reached.from {
                    steps.push(RecipeStep::Tier { version, from, benefit: benefit.clone() });
                }
                if lump.is_some() {
                    continue;
                }
                products += 1;
                // Where only what is above something counts, the figure's base is less than its lines'.
                let bases = [Some(*base), (!several).then_some(evaluation.base)];
                let paid = bases.into_iter().flatten().find(|base| same(pay(benefit, *base), *unrounded));
                steps.push(match paid {
                    Some(base) => product(version, base, benefit, *unrounded),
                    None => RecipeStep::Lines { version, total: *unrounded },
                });
            }
            Step::Slices { version, base, slices, unrounded } => {
                tell_base(&mut steps, &mut base_told, qualifier_measure, figure);
                let version = several.then_some(*version);
                let start = position;
                position += *base;
                total += *unrounded;
                let Some((_, highest)) = slices.last().filter(|_| reached.from.is_some()) else {
                    products += no_tier(&mut steps, version, reached, *unrounded);
                    continue;
                };
                if let Some(from) = reached.from {
                    steps.push(RecipeStep::Tier { version, from, benefit: highest.clone() });
                }
                let parts = if qualifier_measure == Some(figure.base_measure) {
                    stretch(version, slices, (start, position), evaluation.base)
                } else {
                    proportions(version, slices, *base, reached.qualifier)
                };
                let sum = parts.iter().filter_map(result).fold(Fine::ZERO, |sum, part| sum + part);
                let parts = if same(sum, *unrounded) { parts } else { vec![RecipeStep::Lines { version, total: *unrounded }] };
                products += parts.len();
                steps.extend(parts);
            }
            Step::Fixed { version, amount, unrounded } => {
                total += *unrounded;
                if *unrounded == amount.fine() {
                    products += 1;
                    steps.push(RecipeStep::Amount { version: several.then_some(*version), amount: *amount });
                } else if !unrounded.is_zero() {
                    products += 1;
                    steps.push(RecipeStep::Lines { version: several.then_some(*version), total: *unrounded });
                }
            }
            // What is granted for each line stands beside it.
            Step::Decided { version, unrounded, .. } => {
                total += *unrounded;
                products += 1;
                steps.push(RecipeStep::Lines { version: several.then_some(*version), total: *unrounded });
            }
            Step::After { term, benefit } => steps.push(RecipeStep::After { term: term.clone(), benefit: *benefit }),
            Step::Unmet { requires } => steps.push(RecipeStep::Unmet { requires: requires.clone() }),
            Step::Beaten { by } => steps.push(RecipeStep::Beaten { by: by.clone() }),
            Step::Clamped { computed } => {
                steps.push(RecipeStep::Clamped { computed: *computed });
                total = Fine::ZERO;
            }
            Step::Floor { floor } => {
                steps.push(RecipeStep::Floor { floor: *floor });
                total = floor.fine();
            }
            Step::Cap { cap } => {
                steps.push(RecipeStep::Cap { computed: total, cap: *cap });
                total = cap.fine();
            }
            Step::Rounded { unrounded, earned } => {
                if *unrounded != earned.fine() {
                    steps.push(RecipeStep::Round { exact: *unrounded, rounded: *earned });
                }
            }
        }
    }
    insert_sum(&mut steps, lump, products, evaluation);
    finish(&mut steps, figure);
    steps
}

/// The benefit of the newest version where it is one amount, or one count of increments, for the period as a whole.
fn lump_of_all(evaluation: &Evaluation) -> Option<(Exact, Benefit, Fine)> {
    let paid: Fine = evaluation.versions.iter().map(|v| v.unrounded).sum();
    let newest = evaluation.steps.iter().rev().find_map(|step| match step {
        Step::Benefit { benefit: Some(benefit), .. } if benefit.is_lump() => Some(benefit.clone()),
        _ => None,
    })?;
    let base: Exact = evaluation.versions.iter().map(|v| v.base).sum();
    (evaluation.versions.len() > 1 && same(pay(&newest, base), paid)).then_some((base, newest, paid))
}

/// What is added up stands before what limits it.
fn insert_sum(steps: &mut Vec<RecipeStep>, lump: Option<(Exact, Benefit, Fine)>, products: usize, evaluation: &Evaluation) {
    let limits = |step: &RecipeStep| {
        matches!(step, RecipeStep::Clamped { .. } | RecipeStep::Floor { .. } | RecipeStep::Cap { .. } | RecipeStep::Round { .. })
    };
    let place = steps.iter().position(limits).unwrap_or(steps.len());
    if let Some((base, benefit, paid)) = lump {
        steps.insert(place, product(None, base, &benefit, paid));
    } else if products > 1 {
        steps.insert(place, RecipeStep::Sum { total: evaluation.versions.iter().map(|v| v.unrounded).sum() });
    }
}

/// Sharing between partners and caps over several figures; then whatever is left unexplained.
fn finish(steps: &mut Vec<RecipeStep>, figure: &Reckoning<'_>) {
    let evaluation = figure.evaluation;
    let mut computed = evaluation.earned;
    if figure.together
        && let Some(own) = evaluation.partners.iter().find(|p| p.partner_id == figure.partner_id)
        && evaluation.partners.len() > 1
    {
        let whole = evaluation.partners.iter().map(|p| p.base.clamp_positive()).sum();
        let base = own.base.clamp_positive();
        steps.push(RecipeStep::PartnerShare { total: computed, base, whole, earned: own.earned });
        computed = own.earned;
    }
    if evaluation.steps.iter().any(|s| matches!(s, Step::Unmet { .. } | Step::Beaten { .. })) {
        computed = Micros::ZERO;
    }
    for lowered in figure.lowered {
        steps.push(RecipeStep::SharedCap {
            name: lowered.name.to_owned(),
            cap: lowered.cap,
            asked: lowered.asked,
            before: lowered.before,
            after: lowered.after,
        });
        computed = lowered.after;
    }
    if computed != figure.earned {
        steps.push(RecipeStep::Adjusted { computed, earned: figure.earned });
    }
}

fn tell_base(steps: &mut Vec<RecipeStep>, told: &mut bool, qualifier: Option<Measure>, figure: &Reckoning<'_>) {
    let evaluation = figure.evaluation;
    if !*told && (qualifier != Some(figure.base_measure) || evaluation.base != evaluation.qualifier) {
        steps.push(RecipeStep::Base { measure: figure.base_measure, total: evaluation.base });
    }
    *told = true;
}

fn product(version: Option<u32>, amount: Exact, benefit: &Benefit, product: Fine) -> RecipeStep {
    match benefit {
        Benefit::Amount(amount) => RecipeStep::Amount { version, amount: *amount },
        _ => RecipeStep::Multiply { version, amount, benefit: benefit.clone(), product },
    }
}

fn result(step: &RecipeStep) -> Option<Fine> {
    match step {
        RecipeStep::Multiply { product, .. } | RecipeStep::Proportion { product, .. } => Some(*product),
        RecipeStep::Amount { amount, .. } => Some(amount.fine()),
        _ => None,
    }
}

/// The part of each slice that lies between two positions. The slices end at `total`; below the first one
/// lies what earns nothing.
fn stretch(version: Option<u32>, slices: &[(Exact, Benefit)], (from, to): (Exact, Exact), total: Exact) -> Vec<RecipeStep> {
    if total.is_negative() {
        return slices.iter().map(|(slice, benefit)| product(version, *slice, benefit, pay(benefit, *slice))).collect();
    }
    let length: Exact = slices.iter().map(|(slice, _)| *slice).sum();
    let mut start = total - length;
    let mut parts = Vec::new();
    for (slice, benefit) in slices {
        let end = start + *slice;
        let inside = to.min(end) - from.max(start);
        let touched = inside > Exact::ZERO || (slice.is_zero() && from <= start && start <= to);
        if touched {
            parts.push(product(version, inside.clamp_positive(), benefit, pay(benefit, inside.clamp_positive())));
        }
        start = end;
    }
    parts
}

/// Each slice's part of another base than the qualifier.
fn proportions(version: Option<u32>, slices: &[(Exact, Benefit)], base: Exact, qualifier: Exact) -> Vec<RecipeStep> {
    slices
        .iter()
        .filter_map(|(slice, benefit)| {
            Some(match benefit {
                Benefit::Amount(amount) => RecipeStep::Amount { version, amount: *amount },
                _ => RecipeStep::Proportion {
                    version,
                    base,
                    benefit: benefit.clone(),
                    slice: *slice,
                    qualifier,
                    product: pay(benefit, base).checked_share(*slice, qualifier)?,
                },
            })
        })
        .collect()
}
