//! One rule inside an agreement: which lines it takes, over which span, within which limits.

use super::rules::Rule;
use super::words::PaymentCondition;
use crate::core::line::{DocumentType, LineKind};
use crate::core::number::Micros;
use crate::core::period::Span;
use serde::{Deserialize, Serialize};

/// One rule inside an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// Id, unique inside the agreement.
    pub id: String,
    /// Lines it takes.
    pub select: Selection,
    /// Lines it does not take although `select` would.
    pub except: Selection,
    /// Document types that count.
    pub documents: Vec<DocumentType>,
    /// Payment condition.
    pub payment: PaymentCondition,
    /// Span over which the qualifier adds up.
    pub accumulate: Span,
    /// Whether bounds shrink with a clipped period.
    pub prorate_bounds: bool,
    /// Caps and floors.
    pub caps: Caps,
    /// Terms that must have earned something in a period that overlaps; else this one earns nothing.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Terms whose benefit is taken off the base first.
    #[serde(default)]
    pub after: Vec<String>,
    /// Name of a set of terms of which only the best one pays.
    #[serde(default)]
    pub one_of: Option<String>,
    /// The rule.
    pub rule: Rule,
}

/// Which lines: every named dimension must hold, any of its values suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Dimension name (`item`, `category`, `brand`, `group`, `line_kind`, `ship_to`, `end_customer`,
    /// `territory`, `order_type`, `payment_terms`, `unit`, `authorization`, `attributes.x`) with its values.
    pub dimensions: Vec<(Dimension, Vec<String>)>,
}

/// A property of a line that a selection can test.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Item code.
    Item,
    /// Any level of the item's category path.
    Category,
    /// Item brand.
    Brand,
    /// Item group.
    Group,
    /// Line kind.
    LineKind,
    /// Ship-to code.
    ShipTo,
    /// End customer code.
    EndCustomer,
    /// Territory.
    Territory,
    /// Order type.
    OrderType,
    /// Payment terms.
    PaymentTerms,
    /// Unit on the document.
    Unit,
    /// Ship-and-debit authorisation.
    Authorization,
    /// An attribute that the mapping kept.
    #[serde(untagged)]
    Attribute(String),
}

impl Dimension {
    /// The dimension of a name in a file; `attributes.x` gives an attribute.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "item" => Self::Item,
            "category" => Self::Category,
            "brand" => Self::Brand,
            "group" => Self::Group,
            "line_kind" => Self::LineKind,
            "ship_to" => Self::ShipTo,
            "end_customer" => Self::EndCustomer,
            "territory" => Self::Territory,
            "order_type" => Self::OrderType,
            "payment_terms" => Self::PaymentTerms,
            "unit" => Self::Unit,
            "authorization" => Self::Authorization,
            _ => Self::Attribute(name.strip_prefix("attributes.")?.to_owned()),
        })
    }
}

impl Selection {
    /// The values asked of a dimension.
    pub fn values(&self, dimension: &Dimension) -> Option<&[String]> {
        self.dimensions.iter().find(|(d, _)| d == dimension).map(|(_, v)| v.as_slice())
    }
    /// Line kinds that count: goods unless the selection says otherwise.
    pub fn takes_kind(&self, kind: LineKind) -> bool {
        match self.values(&Dimension::LineKind) {
            Some(kinds) => kinds.iter().any(|k| k == kind.word()),
            None => kind == LineKind::Goods,
        }
    }
}

/// Caps and floors of a term, in the agreement's currency (the base cap in the base's measure).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// Largest base that counts per accumulation period.
    pub base: Option<Micros>,
    /// Largest benefit per accumulation period.
    pub benefit: Option<Micros>,
    /// Largest benefit of this term per partner over the agreement's validity.
    pub per_partner: Option<Micros>,
    /// Smallest benefit per accumulation period once anything counted.
    pub floor: Option<Micros>,
}
