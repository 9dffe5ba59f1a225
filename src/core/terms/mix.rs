//! Mix: a share of one selection in another, a count of distinct items or categories, or a basket of
//! minimums (`calculation.md` section 5, case 12).
//!
//! A share is compared by multiplying its bound with the whole, so that no division is ever needed. A share
//! of an empty or negative whole earns nothing.

use crate::core::agreement::{Measure, Minimum, Mix};
use crate::core::number::{Exact, Micros};
use crate::core::terms::volume::snap;

/// What a mix came to in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The figure that picks the tier: the part, the count, or the base.
    pub qualifier: Exact,
    /// What the part is a share of.
    pub whole: Option<Exact>,
    /// Each minimum with what was bought.
    pub minimums: Vec<(Minimum, Exact)>,
    /// Whether every condition beside the ladder holds.
    pub holds: bool,
}

/// Figures of a period that a mix looks at.
#[derive(Clone, Copy)]
pub struct Figures<'a> {
    /// Sum of the part.
    pub part: Exact,
    /// Sum of the base.
    pub base: Exact,
    /// Sum of the whole.
    pub whole: Exact,
    /// Sum of each minimum, by its number from 1.
    pub minimum: &'a dyn Fn(i64) -> Exact,
    /// Sum of each item or category that is told apart.
    pub by_item: &'a [Exact],
}

impl Reached {
    /// What the figures come to.
    pub fn new(rule: &Mix, figures: Figures<'_>) -> Self {
        let mut holds = true;
        let mut whole = None;
        let qualifier = if rule.share.is_some() {
            let (part, of) = (snap(rule.measure, figures.part), snap(rule.measure, figures.whole));
            // Both must be something: nothing in nothing is no share.
            holds &= of > Exact::ZERO && part > Exact::ZERO;
            whole = Some(of);
            part
        } else if rule.count.is_some() {
            let counted = figures.by_item.iter().filter(|f| snap(rule.measure, **f) > Exact::ZERO).count();
            Micros(i64::try_from(counted).unwrap_or(i64::MAX / Micros::ONE.0) * Micros::ONE.0).exact()
        } else {
            snap(rule.base.measure, figures.base)
        };
        let minimums: Vec<(Minimum, Exact)> =
            (1i64..).zip(&rule.minimums).map(|(n, m)| (m.clone(), snap(m.measure, (figures.minimum)(n)))).collect();
        holds &= minimums.iter().all(|(minimum, bought)| *bought >= minimum.at_least.exact());
        Self { qualifier, whole, minimums, holds }
    }
}

/// Whether the base is the very part that picks the tier, so that slices of a marginal ladder are slices of it.
pub fn pays_on_part(rule: &Mix) -> bool {
    let same_lines = rule.share.as_ref().map_or(rule.count.is_none(), |s| s.of == rule.base.select);
    let same_measure = rule.share.is_none() || (rule.measure == rule.base.measure && rule.unit == rule.base.unit);
    same_lines && same_measure && rule.base.measure != Measure::DocumentCount
}
