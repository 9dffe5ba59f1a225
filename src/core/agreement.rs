//! Agreements as approved conditions: versions, terms, ladders (`calculation.md` sections 2 to 8).
//!
//! These are the typed conditions that the engine reads. How they are written in files is the
//! business of `config`; which lines they take is the business of `matching`.

mod rules;
mod term;
mod words;

pub use rules::*;
pub use term::{Caps, Dimension, Selection, Term};
pub(crate) use words::words;
pub use words::*;

use crate::core::money::Currency;
use crate::core::number::Micros;
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
