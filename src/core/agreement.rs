//! Agreements as approved conditions: versions, terms, ladders (`calculation.md` sections 2 to 8).
//!
//! These are the typed conditions that the engine reads. How they are written in files is the
//! business of `config`; which lines they take is the business of `matching`.

use crate::core::line::{DocumentType, LineKind};
use crate::core::money::Currency;
use crate::core::number::{Micros, Rate};
use crate::core::period::{Period, Span};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// One version of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementVersion {
    /// Agreement id, bytewise compared.
    pub id: String,
    /// 1, 2, ... without holes.
    pub version: u32,
    /// Title for people.
    pub title: String,
    /// Business goal, free of effect on figures.
    pub objective: Option<String>,
    /// Whether we owe or are owed.
    pub direction: Direction,
    /// Who takes part.
    pub audience: Audience,
    /// Who is paid; the partner when `None`.
    pub payee: Option<String>,
    /// Currency of the figures.
    pub currency: Currency,
    /// First and last valid day of the whole agreement, both included.
    pub valid: Period,
    /// First document date that this version rules; `valid.from` for version 1.
    pub valid_from: NaiveDate,
    /// Each partner alone or all together.
    pub qualifier_scope: QualifierScope,
    /// Which date of a document decides.
    pub date_basis: DateBasis,
    /// Exchange rates to use.
    pub exchange: Exchange,
    /// Whether a bound is reached, exceeded, or names the first unit.
    pub bound: Bound,
    /// In which period a return counts.
    pub returns: ReturnsBasis,
    /// What a net-return period does.
    pub negative: NegativePolicy,
    /// Whether the version starts the qualifier anew.
    pub restart_on_amendment: bool,
    /// With others on the same line, or alone.
    pub stacking: Stacking,
    /// Accrual policy.
    pub accrual: AccrualPolicy,
    /// How and when it is paid.
    pub settlement: SettlementTerms,
    /// Cap on the agreement's whole benefit per partner (or over all of them with
    /// `qualifier_scope = "agreement"`), over the agreement's validity.
    pub cap_total: Option<Micros>,
    /// Periods by the company's fiscal calendar, or by the Gregorian one.
    pub gregorian: bool,
    /// Terms in file order.
    pub terms: Vec<Term>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? } default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }
        impl $name {
            /// Every word with its value, in documentation order.
            pub const WORDS: &'static [(&'static str, $name)] = &[$(($text, $name::$variant)),+];
            /// The word used in files, the store and on screen.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some($name::$variant),)+ _ => None }
            }
        }
        impl Default for $name {
            fn default() -> Self { $name::$default }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}
pub(crate) use words;

words! {
    /// Who owes whom.
    Direction {
        /// We owe the partner.
        Payable = "payable",
        /// A vendor owes us.
        Receivable = "receivable",
    } default Payable
}
words! {
    /// Whose lines add up in one qualifier.
    QualifierScope {
        /// Each partner alone.
        Partner = "partner",
        /// All partners of the agreement together.
        Agreement = "agreement",
    } default Partner
}
words! {
    /// The date that places a document.
    DateBasis {
        /// Document date.
        DocumentDate = "document-date",
        /// Posting date; the document date where there is none.
        PostingDate = "posting-date",
    } default DocumentDate
}
words! {
    /// How a tier's lower bound is compared.
    Bound {
        /// `>=`.
        Reached = "reached",
        /// `>`.
        Exceeded = "exceeded",
        /// Whole-unit ladders: the n-th unit is the first at the new rate.
        NthUnit = "nth-unit",
    } default Reached
}
words! {
    /// In which period a return counts.
    ReturnsBasis {
        /// That of the credit note.
        OwnPeriod = "own-period",
        /// That of the invoice it refers to.
        OriginalPeriod = "original-period",
    } default OwnPeriod
}
words! {
    /// What becomes of an accumulation period with more returns than sales.
    NegativePolicy {
        /// It earns nothing.
        Zero = "zero",
        /// It earns a negative amount that later periods make good.
        Carry = "carry",
    } default Zero
}
words! {
    /// Whether other agreements may pay on the same line.
    Stacking {
        /// They may.
        Stackable = "stackable",
        /// They may not.
        Exclusive = "exclusive",
    } default Stackable
}
words! {
    /// Which tier's benefit pays on what.
    Method {
        /// The tier reached pays on everything.
        Retrospective = "retrospective",
        /// Each tier pays on its own slice.
        Marginal = "marginal",
    } default Retrospective
}
words! {
    /// A figure taken from lines.
    Measure {
        /// Net amount excluding tax, in the agreement's currency.
        NetAmount = "net-amount",
        /// Gross amount excluding tax, in the agreement's currency.
        GrossAmount = "gross-amount",
        /// Quantity in the term's unit.
        Quantity = "quantity",
        /// Weight: quantity in the item's base unit times its weight.
        Weight = "weight",
        /// Net less cost.
        Margin = "margin",
        /// Number of documents with at least one matching line.
        DocumentCount = "document-count",
    } default NetAmount
}
words! {
    /// When a document counts with regard to its payment.
    PaymentCondition {
        /// Paid or not.
        Any = "any",
        /// Fully paid; counted in its own period.
        Paid = "paid",
        /// Counted in the period of payment.
        PaidInPeriod = "paid-in-period",
        /// Posted and paid in the same period.
        PostedAndPaidInPeriod = "posted-and-paid-in-period",
        /// Each instalment as it arrives.
        AsReceived = "as-received",
    } default Any
}
words! {
    /// What happens to a line in another unit than the term's.
    UnitMatch {
        /// It is converted; no conversion is an exception.
        Convert = "convert",
        /// It does not count.
        Exact = "exact",
    } default Convert
}
words! {
    /// How a settlement leaves the house.
    PayoutMethod {
        /// A credit memo in the ERP.
        CreditMemo = "credit-memo",
        /// Files in a folder, for systems without an interface.
        Folder = "folder",
        /// Nothing leaves; the accrual stands.
        AccrueOnly = "accrue-only",
    } default CreditMemo
}

/// Partners that take part, by any of three ways, less exclusions. Membership is dated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Partner codes.
    pub partners: Vec<String>,
    /// Partner groups.
    pub groups: Vec<String>,
    /// Parents whose children take part (buying groups).
    pub parents: Vec<String>,
    /// Partner codes that do not.
    pub exclude_partners: Vec<String>,
}

/// Which exchange rates convert documents in other currencies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Rate type, `spot` unless stated.
    pub rate_type: String,
    /// Greatest age of a rate in days, 7 unless stated.
    pub max_age_days: u32,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { rate_type: "spot".to_owned(), max_age_days: 7 }
    }
}

/// How much is booked before it is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "policy")]
pub enum AccrualPolicy {
    /// What is earned so far.
    #[default]
    Earned,
}

/// When and how a settlement is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlementTerms {
    /// Rhythm.
    pub every: Span,
    /// Days after the period's last day before a settlement is proposed.
    pub grace_days: u32,
    /// How it leaves the house.
    pub method: PayoutMethod,
    /// Connector that takes the memo.
    pub connector: Option<String>,
    /// Smallest amount that is paid; less is carried forward.
    pub minimum: Micros,
}

impl Default for SettlementTerms {
    fn default() -> Self {
        Self { every: Span::Quarter, grace_days: 0, method: PayoutMethod::CreditMemo, connector: None, minimum: Micros::ZERO }
    }
}

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

/// The rule of a term. One file in `core/terms/` each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Rule {
    /// Volume rebate.
    Volume(Volume),
    /// A lump sum.
    Fixed(Fixed),
}

impl Rule {
    /// The type's name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Volume(_) => "volume",
            Rule::Fixed(_) => "fixed",
        }
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
