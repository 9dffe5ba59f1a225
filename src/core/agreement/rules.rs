//! The rules of terms by rebate type, with ladders and benefits (`calculation.md` sections 4 and 5).

use super::words::{Measure, Method, UnitMatch};
use crate::core::number::{Micros, Rate};
use serde::{Deserialize, Serialize};

/// The rule of a term. One file in `core/terms/` each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Rule {
    /// Volume rebate.
    Volume(Volume),
    /// A lump sum.
    Fixed(Fixed),
}

/// What the lines of a term are measured as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures<'a> {
    /// What picks the tier.
    pub qualifier: Measure,
    /// What the benefit multiplies.
    pub base: Measure,
    /// Unit of the qualifier, where it is a quantity.
    pub unit: Option<&'a str>,
    /// Unit of the base, where it is a quantity.
    pub base_unit: Option<&'a str>,
    /// What happens to lines in another unit.
    pub unit_match: UnitMatch,
}

impl Rule {
    /// The type's name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Volume(_) => "volume",
            Rule::Fixed(_) => "fixed",
        }
    }
    /// What lines are measured as.
    pub fn measures(&self) -> Measures<'_> {
        match self {
            Rule::Volume(v) => Measures {
                qualifier: v.qualifier,
                base: v.base,
                unit: v.unit.as_deref(),
                base_unit: v.unit.as_deref(),
                unit_match: v.unit_match,
            },
            Rule::Fixed(_) => Measures {
                qualifier: Measure::NetAmount,
                base: Measure::NetAmount,
                unit: None,
                base_unit: None,
                unit_match: UnitMatch::Convert,
            },
        }
    }
    /// The ladder, by ascending lower bound; empty for rules without one.
    pub fn tiers(&self) -> &[Tier] {
        match self {
            Rule::Volume(v) => &v.tiers,
            Rule::Fixed(_) => &[],
        }
    }
    /// Which tier's benefit pays on what.
    pub fn method(&self) -> Method {
        match self {
            Rule::Volume(v) => v.method,
            Rule::Fixed(_) => Method::Retrospective,
        }
    }
    /// Every unit that it names.
    pub fn units(&self) -> Vec<&str> {
        let measures = self.measures();
        measures.unit.into_iter().chain(measures.base_unit).collect()
    }
}

/// Volume: any measure picks the tier, any measure is the base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// What picks the tier.
    pub qualifier: Measure,
    /// What the benefit multiplies.
    pub base: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
    /// What happens to lines in another unit.
    pub unit_match: UnitMatch,
    /// Retrospective or marginal.
    pub method: Method,
    /// Tiers by ascending lower bound.
    pub tiers: Vec<Tier>,
}

/// Fixed: an amount once per accumulation period in which at least one line counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// The amount, in the agreement's currency.
    pub amount: Micros,
}

/// A lower bound and a benefit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Lower bound in the qualifier's measure.
    pub from: Micros,
    /// What it pays.
    pub benefit: Benefit,
    /// In a marginal ladder: once reached, pays on everything.
    pub back_to_first: bool,
}

/// What a tier pays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benefit {
    /// Share of the base.
    Rate(Rate),
    /// Amount per unit of the base.
    PerUnit(Micros),
    /// Amount once per accumulation period.
    Amount(Micros),
    /// Amount per increment of the base.
    PerIncrement {
        /// Size of an increment.
        every: Micros,
        /// Amount for each.
        amount: Micros,
        /// Whether a started increment counts.
        started: bool,
    },
}

impl Benefit {
    /// Whether no single line earns it by itself: amounts and increments.
    pub fn is_lump(&self) -> bool {
        !matches!(self, Benefit::Rate(_) | Benefit::PerUnit(_))
    }
}
