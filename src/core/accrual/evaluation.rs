//! What goes into a reckoning and what comes out of it.

use super::steps::Step;
use crate::core::matching::Sums;
use crate::core::number::{Exact, Fine, Micros};
use crate::core::terms::ladder::NextTier;
use chrono::NaiveDate;

/// One running sum of the key, or of one partner of it where the agreement takes all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Partner. Where several share a figure, pass them in the order of their codes: it breaks ties.
    pub partner_id: i64,
    /// Which of the figure's sums, see [`crate::core::matching::facet`].
    pub facet: i64,
    /// Accounting month.
    pub bucket: NaiveDate,
    /// Agreement version that ruled the lines.
    pub version: u32,
    /// The sums.
    pub sums: Sums,
}

/// What a term has earned in a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// What picked the tier.
    pub qualifier: Exact,
    /// What the benefit multiplied, after caps on it.
    pub base: Exact,
    /// Lines counted.
    pub lines: i64,
    /// By version that ruled any line, in order of version.
    pub versions: Vec<VersionFigure>,
    /// Before rounding, after caps and floors of the period.
    pub unrounded: Fine,
    /// Rounded once.
    pub earned: Micros,
    /// By accounting month; they add up to `earned`.
    pub buckets: Vec<(NaiveDate, Micros)>,
    /// By partner; they add up to `earned`. One where each partner is taken alone.
    pub partners: Vec<PartnerFigure>,
    /// Next tier of the newest version.
    pub next_tier: Option<NextTier>,
    /// What growth was compared with, before it was raised.
    pub baseline: Option<Exact>,
    /// What the documents of the baseline period add up to, where another baseline stands.
    pub documents_baseline: Option<Exact>,
    /// What bounds in percent are fractions of, and the points that lift them.
    pub scale: Option<(Exact, (i128, i128))>,
    /// Goods without charge, in the term's unit.
    pub free_goods: Exact,
    /// How it was reckoned, for receipts.
    pub steps: Vec<Step>,
}

impl Evaluation {
    /// The tier reached by the newest version that ruled any line.
    pub fn tier(&self) -> Option<usize> {
        self.versions.last().and_then(|v| v.tier.as_ref()).map(|t| t.index)
    }
}

/// One version's part of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionFigure {
    /// Version number.
    pub version: u32,
    /// The qualifier that its ladder was read at.
    pub qualifier: Exact,
    /// Base of its own lines.
    pub base: Exact,
    /// Tier reached; `None` below the first one and for rules without tiers.
    pub tier: Option<TierReached>,
    /// Unrounded benefit of its own lines.
    pub unrounded: Fine,
}

/// A tier and its bound in the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierReached {
    /// Index in the ladder, from 0.
    pub index: usize,
    /// Lower bound.
    pub from: Exact,
}

/// One partner's part of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerFigure {
    /// Partner.
    pub partner_id: i64,
    /// Its own qualifier.
    pub qualifier: Exact,
    /// Its own base.
    pub base: Exact,
    /// Its share before rounding.
    pub unrounded: Fine,
    /// Its rounded share.
    pub earned: Micros,
    /// By accounting month; they add up to `earned`.
    pub buckets: Vec<BucketShare>,
}

/// One accounting month's part of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketShare {
    /// Accounting month.
    pub bucket: NaiveDate,
    /// Before rounding.
    pub unrounded: Fine,
    /// Rounded.
    pub earned: Micros,
}
