//! The steps of a reckoning, as values: receipts and statements put them into words.

use super::evaluate::bound_word;
use super::evaluation::TierReached;
use crate::core::agreement::{Benefit, Bound, Measure};
use crate::core::money::Currency;
use crate::core::number::{Exact, Fine, Micros};
use crate::core::terms::growth::Comparison;
use crate::core::terms::ladder::NextTier;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// What picks the tier.
    Qualifier {
        /// Its measure.
        measure: Measure,
        /// Its figure.
        figure: Exact,
    },
    /// Growth over the baseline.
    Growth {
        /// The figure of the period.
        current: Exact,
        /// Beside its baseline.
        compared: Comparison,
    },
    /// A share of a whole.
    Share {
        /// The part.
        part: Exact,
        /// The whole.
        whole: Exact,
    },
    /// A count of distinct items or categories.
    Count {
        /// How many.
        count: Exact,
    },
    /// Something that must be bought at least.
    Minimum {
        /// In which measure.
        measure: Measure,
        /// Unit of quantities.
        unit: Option<String>,
        /// What was bought.
        bought: Exact,
        /// What must be.
        at_least: Micros,
    },
    /// Only a part of the base counts.
    BaseCap {
        /// Base of all lines.
        counted: Exact,
        /// What the cap leaves.
        kept: Exact,
    },
    /// The tier that a version's ladder gives.
    Tier {
        /// Version.
        version: u32,
        /// Figure that the ladder was read at.
        qualifier: Exact,
        /// How bounds are compared.
        bound: Bound,
        /// The tier.
        tier: Option<TierReached>,
        /// The one above.
        next: Option<NextTier>,
    },
    /// The tier's benefit on the version's base.
    Benefit {
        /// Version.
        version: u32,
        /// Base of its lines.
        base: Exact,
        /// What the tier pays.
        benefit: Option<Benefit>,
        /// The result.
        unrounded: Fine,
    },
    /// Each tier's benefit on its own slice.
    Slices {
        /// Version.
        version: u32,
        /// Base of its lines.
        base: Exact,
        /// Slices of the whole period with what they pay.
        slices: Vec<(Exact, Benefit)>,
        /// The result for the version's lines.
        unrounded: Fine,
    },
    /// A lump sum.
    Fixed {
        /// Version.
        version: u32,
        /// The amount.
        amount: Micros,
        /// The result.
        unrounded: Fine,
    },
    /// What was decided on single things.
    Decided {
        /// Version.
        version: u32,
        /// Number of things decided on.
        things: i64,
        /// What they come to.
        unrounded: Fine,
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
    /// Lowered to the cap of the period.
    Cap {
        /// The cap.
        cap: Micros,
    },
    /// A term that it requires has earned nothing.
    Unmet {
        /// The terms.
        requires: Vec<String>,
    },
    /// Another term of its set earns more.
    Beaten {
        /// The one that pays.
        by: String,
    },
    /// Benefits of other terms are taken off the base.
    After {
        /// The other term.
        term: String,
        /// What it earns.
        benefit: Fine,
    },
    /// The one rounding.
    Rounded {
        /// Before.
        unrounded: Fine,
        /// After.
        earned: Micros,
    },
}

/// What a tier pays, in words: `2%`, `1.50 per unit`.
pub fn benefit_text(benefit: &Benefit, currency: Currency) -> String {
    match benefit {
        Benefit::Rate(rate) => rate.to_percent(),
        Benefit::PerUnit(price) => format!("{} {currency} per unit", price.to_text(2)),
        Benefit::Amount(amount) => format!("{} {currency} once", currency.amount_text(*amount)),
        Benefit::PerIncrement { every, amount, started, per_item } => {
            let kind = if *started { "started" } else { "complete" };
            let items = if *per_item { " of each item" } else { "" };
            format!("{} {currency} per {kind} {every}{items}", currency.amount_text(*amount))
        }
        Benefit::FreeGoods { every, quantity, unit_value } => {
            let worth = if unit_value.is_zero() {
                String::new()
            } else {
                format!(", each worth {} {currency}", currency.amount_text(*unit_value))
            };
            format!("{quantity} free per complete {every}{worth}")
        }
    }
}

/// A share in percent for display, cut and never rounded up: 9.99999 % is not ten.
pub fn percent(part: Exact, whole: Exact) -> String {
    let scaled = part.checked_share(Exact(100 * Exact::ONE.0), whole).map_or(Exact::ZERO, |p| p);
    let step = Exact::ONE.0 / 10_000;
    let mut cut = Exact(scaled.0 - scaled.0 % step);
    // The division may have rounded up to a full step.
    if scaled == cut
        && part.0.checked_mul(1_000_000).zip((cut.0 / step).checked_mul(whole.0)).is_some_and(|(have, shown)| have < shown)
    {
        cut = Exact(cut.0 - step);
    }
    format!("{}%", cut.to_text(0))
}

fn in_percent(part: Exact, whole: Exact) -> String {
    if whole > Exact::ZERO { format!(" ({})", percent(part, whole)) } else { String::new() }
}

impl Step {
    /// The step in plain words, a lowercase fragment.
    pub fn text(&self, currency: Currency) -> String {
        let shown = |figure: &Exact| figure.to_text(2);
        match self {
            Step::Qualifier { measure, figure } => format!("qualifier ({measure}): {}", shown(figure)),
            Step::Growth { current, compared } => {
                let raised = if compared.raised == compared.baseline {
                    String::new()
                } else {
                    format!(" raised to {}", shown(&compared.raised))
                };
                let growth = if compared.usable {
                    format!("growth {}{}", shown(&compared.increase), in_percent(compared.increase, compared.raised))
                } else {
                    "nothing to compare with".to_owned()
                };
                let points = match compared.points {
                    (0, _) => String::new(),
                    (part, of) => format!("; price rises lift the bounds by {}", percent(Exact(part), Exact(of))),
                };
                format!("{} against a baseline of {}{raised}: {growth}{points}", shown(current), shown(&compared.baseline))
            }
            Step::Share { part, whole } => format!("share: {} of {}{}", shown(part), shown(whole), in_percent(*part, *whole)),
            Step::Count { count } => format!("{} distinct", count.to_text(0)),
            Step::Minimum { measure, unit, bought, at_least } => {
                let unit = unit.as_ref().map(|u| format!(" {u}")).unwrap_or_default();
                let met = if *bought >= at_least.exact() { "reached" } else { "not reached" };
                format!("minimum of {}{unit} ({measure}): {}{unit}, {met}", at_least.to_text(0), shown(bought))
            }
            Step::BaseCap { counted, kept } => format!("base: {} of {} counts (caps.base)", shown(kept), shown(counted)),
            Step::Tier { version, qualifier, bound, tier, next } => {
                let reached = match tier {
                    Some(tier) => {
                        format!("tier {} from {} is {}", tier.index + 1, shown(&tier.from), bound_word(*bound))
                    }
                    None => "no tier is reached".to_owned(),
                };
                let above = next.map_or_else(
                    || "it is the highest".to_owned(),
                    |n| format!("the next starts at {}, {} more", shown(&n.from), shown(&n.distance)),
                );
                format!("version {version}: at {} {reached}; {above}", shown(qualifier))
            }
            Step::Benefit { version, base, benefit, unrounded } => match benefit {
                Some(benefit) => {
                    format!(
                        "version {version}: {} at {} = {}",
                        shown(base),
                        benefit_text(benefit, currency),
                        unrounded.to_text(2)
                    )
                }
                None => format!("version {version}: {} earns nothing", shown(base)),
            },
            Step::Slices { version, base, slices, unrounded } => {
                let list: Vec<String> = slices
                    .iter()
                    .map(|(slice, benefit)| format!("{} at {}", shown(slice), benefit_text(benefit, currency)))
                    .collect();
                format!(
                    "version {version}: {} in slices of the period: {}; = {}",
                    shown(base),
                    list.join(" + "),
                    unrounded.to_text(2)
                )
            }
            Step::Fixed { version, amount, unrounded } => {
                format!("version {version}: {} {currency} once = {}", currency.amount_text(*amount), unrounded.to_text(2))
            }
            Step::Decided { version, things, unrounded } => {
                format!("version {version}: {things} decided, together {}", unrounded.to_text(2))
            }
            Step::Clamped { computed } => format!("more returns than sales: {} becomes 0", computed.to_text(2)),
            Step::Floor { floor } => format!("raised to the floor of {}", currency.amount_text(*floor)),
            Step::Cap { cap } => format!("lowered to the cap of {} (caps.benefit)", currency.amount_text(*cap)),
            Step::Unmet { requires } => format!("nothing, since {} earned nothing", requires.join(" and ")),
            Step::Beaten { by } => format!("nothing, since {by} of the same set earns more"),
            Step::After { term, benefit } => {
                format!("base: less what {term} earns on the same lines (of {} in all)", benefit.to_text(2))
            }
            Step::Rounded { unrounded, earned } => {
                format!(
                    "{} rounded once, half away from zero: {} {currency}",
                    unrounded.to_text(2),
                    currency.amount_text(*earned)
                )
            }
        }
    }
}
