//! The steps of a reckoning, as values: recipes put them into words.

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
