//! The rules of terms by rebate type, with ladders and benefits (`calculation.md` sections 4 and 5).

use super::term::Selection;
use super::words::{GrowthBase, GrowthOf, Measure, Method, MixCount, NewMembers, NewPartner, UnitMatch};
use crate::core::number::{Micros, Rate};
use crate::core::terms::ship_and_debit::ShipAndDebit;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The rule of a term. One file in `core/terms/` each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Rule {
    /// Volume rebate.
    Volume(Volume),
    /// Growth over a baseline.
    Growth(Growth),
    /// Product mix.
    Mix(Mix),
    /// A lump sum.
    Fixed(Fixed),
    /// Claim lines against authorisations.
    ShipAndDebit(ShipAndDebit),
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
            Rule::Growth(_) => "growth",
            Rule::Mix(_) => "mix",
            Rule::Fixed(_) => "fixed",
            Rule::ShipAndDebit(_) => "ship-and-debit",
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
            Rule::Growth(g) => Measures {
                qualifier: g.measure,
                base: g.measure,
                unit: g.unit.as_deref(),
                base_unit: g.unit.as_deref(),
                unit_match: g.unit_match,
            },
            Rule::Mix(m) => Measures {
                qualifier: m.measure,
                base: m.base.measure,
                unit: m.unit.as_deref(),
                base_unit: m.base.unit.as_deref(),
                unit_match: m.unit_match,
            },
            Rule::Fixed(_) | Rule::ShipAndDebit(_) => Measures {
                qualifier: Measure::NetAmount,
                base: Measure::NetAmount,
                unit: None,
                base_unit: None,
                unit_match: UnitMatch::Convert,
            },
        }
    }
    /// The ladder, by ascending lower bound; empty for rules without one. Bounds of shares and growth in
    /// percent are fractions: `20%` is `0.2`.
    pub fn tiers(&self) -> &[Tier] {
        match self {
            Rule::Volume(v) => &v.tiers,
            Rule::Growth(g) => &g.tiers,
            Rule::Mix(m) => &m.tiers,
            Rule::Fixed(_) | Rule::ShipAndDebit(_) => &[],
        }
    }
    /// Which tier's benefit pays on what.
    pub fn method(&self) -> Method {
        match self {
            Rule::Volume(v) => v.method,
            Rule::Growth(g) => g.method,
            Rule::Mix(m) => m.method,
            Rule::Fixed(_) | Rule::ShipAndDebit(_) => Method::Retrospective,
        }
    }
    /// Whether the ladder's bounds are fractions of another figure.
    pub fn bounds_are_shares(&self) -> bool {
        match self {
            Rule::Growth(g) => g.of == GrowthOf::Percent,
            Rule::Mix(m) => m.share.is_some(),
            Rule::Volume(_) | Rule::Fixed(_) | Rule::ShipAndDebit(_) => false,
        }
    }
    /// A written lower bound for people: `1000`, or `20%`.
    pub fn bound_text(&self, tier: usize) -> Option<String> {
        let from = self.tiers().get(tier)?.from;
        Some(if self.bounds_are_shares() { from.to_percent() } else { from.to_text(0) })
    }
    /// Whether its sums come from decisions on single things rather than from lines as they stand: the qualifier is what was
    /// asked, the base what was granted, unrounded and in the agreement's currency.
    pub fn is_decided(&self) -> bool {
        matches!(self, Rule::ShipAndDebit(_))
    }
    /// Every unit that it names.
    pub fn units(&self) -> Vec<&str> {
        let measures = self.measures();
        let mut units: Vec<&str> = measures.unit.into_iter().chain(measures.base_unit).collect();
        if let Rule::Mix(mix) = self {
            units.extend(mix.minimums.iter().filter_map(|m| m.unit.as_deref()));
        }
        units
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

/// Growth: the increase over a baseline picks the tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// What grows.
    pub measure: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
    /// What happens to lines in another unit.
    pub unit_match: UnitMatch,
    /// Whether bounds are in percent of the baseline or in the measure.
    pub of: GrowthOf,
    /// Whether the benefit pays on everything or on the increase.
    pub base: GrowthBase,
    /// Retrospective or marginal.
    pub method: Method,
    /// What the period is compared with.
    pub baseline: Baseline,
    /// By how much the baseline is raised before it is compared.
    pub uplift: Rate,
    /// Price rises inside the period: each lifts the bounds by its percentage in proportion to the rest of the period.
    pub price_rises: Vec<PriceRise>,
    /// From when on the baseline stands.
    pub freeze: Freeze,
    /// What a partner without a positive baseline means.
    pub new_partner: NewPartner,
    /// Whether partners without a baseline count in the growth of all partners together.
    pub new_members: NewMembers,
    /// Tiers by ascending lower bound; fractions with [`GrowthOf::Percent`].
    pub tiers: Vec<Tier>,
}

/// What growth is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The same months one fiscal year earlier.
    PriorYear,
    /// The period of the same span just before.
    PriorPeriod,
    /// A figure for each accumulation period, in the measure.
    Fixed(Micros),
    /// Figures by partner and period: those of a file, read when the version is entered, and those imported.
    Table {
        /// Name of the file.
        file: String,
        /// Its rows.
        rows: Vec<BaselineRow>,
    },
}

impl Baseline {
    /// Whether lines of an earlier period make it up.
    pub fn follows_documents(&self) -> bool {
        matches!(self, Baseline::PriorYear | Baseline::PriorPeriod)
    }
}

/// One figure of a baseline table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineRow {
    /// Partner code.
    pub partner: String,
    /// First day of the accumulation period that it is compared with.
    pub from: NaiveDate,
    /// Last day.
    pub to: NaiveDate,
    /// The figure, in the measure.
    pub amount: Micros,
}

/// A price rise that growth does not owe to the partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRise {
    /// First day of the new prices.
    pub on: NaiveDate,
    /// By how much.
    pub percent: Rate,
}

/// From when on late documents no longer move a baseline: the later of this, the approval and the
/// first valid day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// Days after the last day of the baseline period.
    Days(u32),
    /// The first day of the period that is compared with it.
    Start,
    /// A day.
    On(NaiveDate),
}

/// Mix: the share of one selection in another, a count of distinct items, or a basket of minimums.
/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// The share that picks the tier.
    pub share: Option<Share>,
    /// The count that picks the tier.
    pub count: Option<MixCount>,
    /// What the share is measured in.
    pub measure: Measure,
    /// Unit of quantities of the share.
    pub unit: Option<String>,
    /// What happens to lines in another unit.
    pub unit_match: UnitMatch,
    /// What must be bought at least.
    pub minimums: Vec<Minimum>,
    /// What the benefit multiplies.
    pub base: MixBase,
    /// Retrospective or marginal.
    pub method: Method,
    /// Tiers by ascending lower bound: fractions of the whole with a share, else counts, else the base's measure.
    pub tiers: Vec<Tier>,
}

/// A share: part and whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The part.
    pub of: Selection,
    /// The whole; everything that the term takes when empty.
    pub within: Selection,
}

/// What must be bought at least in the period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minimum {
    /// Of which lines.
    pub select: Selection,
    /// In which measure.
    pub measure: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
    /// How much.
    pub at_least: Micros,
}

/// What the benefit of a mix multiplies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixBase {
    /// Of which lines of the term.
    pub select: Selection,
    /// In which measure.
    pub measure: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
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
        /// Whether increments are counted for each item by itself.
        #[serde(default)]
        per_item: bool,
    },
    /// Goods without charge per complete multiple of the base.
    FreeGoods {
        /// Size of a multiple.
        every: Micros,
        /// Goods for each, in the term's unit.
        quantity: Micros,
        /// What one of them is worth; 0 when goods are sent and nothing is paid.
        unit_value: Micros,
    },
}

impl Benefit {
    /// Whether no single line earns it by itself: amounts, increments and goods.
    pub fn is_lump(&self) -> bool {
        !matches!(self, Benefit::Rate(_) | Benefit::PerUnit(_))
    }
    /// Whether it is counted for each item by itself.
    pub fn is_per_item(&self) -> bool {
        matches!(self, Benefit::PerIncrement { per_item: true, .. })
    }
}
