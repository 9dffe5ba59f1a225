//! What a statement is built from: plain figures of one partner, as the store and the engine give
//! them. Earned amounts and shares arrive rounded; nothing here computes.

use crate::core::agreement::{Direction, Measure, Method, Tier, words};
use crate::core::derivation::Derivation;
use crate::core::line::DocumentType;
use crate::core::money::Currency;
use crate::core::number::{Exact, Fine, Micros};
use crate::core::period::Period;
use crate::core::statement_recipe::RecipeStep;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

words! {
    /// Languages in which statements are written.
    Language {
        /// English.
        En = "en",
        /// German.
        De = "de",
        /// Spanish.
        Es = "es",
        /// French.
        Fr = "fr",
    } default En
}

impl Language {
    /// The language of a partner record: `de`, `de-AT`, `DE`; English when unknown or absent.
    pub fn of_partner(tag: Option<&str>) -> Self {
        let primary = tag.unwrap_or("").split(['-', '_']).next().unwrap_or("").trim().to_ascii_lowercase();
        Self::from_word(&primary).unwrap_or_default()
    }
}

words! {
    /// Why an amount that is earned is not paid with this period.
    CarryReason {
        /// The settlement period has not ended, or its grace days are not over.
        NotDue = "not-due",
        /// Below the agreement's smallest payment.
        BelowMinimum = "below-minimum",
        /// More was paid than is earned now; set off against later periods.
        Overpaid = "overpaid",
        /// An open point has to be clarified first.
        Held = "held",
        /// It is looked through in the house; nothing is promised yet.
        InReview = "in-review",
        /// It is released and on its way.
        InProgress = "in-progress",
        /// The agreement only accrues.
        AccrueOnly = "accrue-only",
    } default NotDue
}

words! {
    /// Why a line of a document does not count, or counts otherwise than it says, as the partner may know it.
    OpenReason {
        /// Something has to be clarified in the house.
        Clarifying = "clarifying",
        /// The item is not known yet.
        Item = "item",
        /// The exchange rate is not known yet.
        Rate = "rate",
        /// The unit cannot be converted yet.
        Unit = "unit",
        /// It counts on its own day, since the document that it returns is not known.
        Return = "return",
    } default Clarifying
}

impl OpenReason {
    /// What the partner is told of an exception's code; `None` for what concerns our own routes, comparisons
    /// and decisions, which stays in the house.
    pub fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "unknown-item" => Self::Item,
            "unknown-currency" | "no-rate" => Self::Rate,
            "no-conversion" | "no-weight" => Self::Unit,
            "return-without-reference" | "original-not-found" => Self::Return,
            "no-figures"
            | "no-fiscal-month"
            | "sign-conflict"
            | "mixed-partners"
            | "duplicate-line"
            | "no-gross-amount"
            | "no-cost"
            | "figure-too-large"
            | "discount-without-goods" => Self::Clarifying,
            _ => return None,
        })
    }
    /// Whether the line counts all the same.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Return)
    }
}

/// Everything a statement is built from. All figures concern `partner` alone, except a qualifier
/// that the agreement takes over all of its partners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementInput {
    /// Our company's name.
    pub company: String,
    /// Partner code.
    pub partner: String,
    /// Partner name.
    pub partner_name: String,
    /// Language of the partner.
    pub language: Language,
    /// The period stated, both days included.
    pub period: Period,
    /// Its name in the fiscal calendar, as `period_label` gives it: `2026-06`, `2026-Q1`.
    pub period_label: String,
    /// 1 for the first statement of the period.
    pub revision: u32,
    /// Business day up to which documents were counted.
    pub as_of: NaiveDate,
    /// Agreements, in the order in which they are shown.
    pub agreements: Vec<AgreementInput>,
    /// Documents of the partner about which something is open.
    pub open_points: Vec<OpenPoint>,
    /// Head of the audit chain when the statement was made.
    pub audit_head: Option<String>,
}

/// One agreement of the partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementInput {
    /// Agreement id.
    pub id: String,
    /// Version valid at the period's end.
    pub version: u32,
    /// Title.
    pub title: String,
    /// Who owes whom.
    pub direction: Direction,
    /// Currency of all its figures.
    pub currency: Currency,
    /// Settled for this partner, whoever was paid, for periods up to the stated one.
    pub settled: Micros,
    /// Why the rest is not settled, where there is a rest.
    pub carry_reason: CarryReason,
    /// Credit memos that left the house; together they are `settled`.
    pub settlements: Vec<StatementSettlement>,
    /// Terms in file order.
    pub terms: Vec<TermInput>,
    /// What the partner was told last, before the stated period; `None` on the first statement.
    pub stated: Option<StatedAgreement>,
}

/// An agreement on an earlier statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedAgreement {
    /// Which statement.
    pub on: StatedOn,
    /// What it said.
    pub terms: Vec<StatedTerm>,
}

/// The statement that this one builds on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedOn {
    /// Its period.
    pub period: Period,
    /// Name of the period in the fiscal calendar.
    pub period_label: String,
    /// Its revision.
    pub revision: u32,
}

/// A figure as it was stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedTerm {
    /// Term id.
    pub id: String,
    /// Accumulation period.
    pub accumulation: Period,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Earned.
    pub earned: Micros,
    /// The lines that counted.
    pub lines: Vec<StatementLine>,
}

/// One term's figures for one accumulation period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermInput {
    /// Term id.
    pub id: String,
    /// Type word: `volume`, `fixed`.
    pub kind: String,
    /// Accumulation period.
    pub accumulation: Period,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Measure that picks the tier.
    pub qualifier_measure: Measure,
    /// Measure the benefit multiplies.
    pub base_measure: Measure,
    /// Unit of the qualifier, where it is a quantity.
    pub unit: Option<String>,
    /// Unit of the base, where it is a quantity.
    pub base_unit: Option<String>,
    /// Retrospective or marginal.
    pub method: Method,
    /// The ladder of the version that `tier` is of, with the bounds of this accumulation period; empty
    /// for terms without tiers.
    pub tiers: Vec<Tier>,
    /// Qualifier up to `as_of`.
    pub qualifier: Micros,
    /// Whether the qualifier is that of all partners of the agreement together.
    pub qualifier_of_all_partners: bool,
    /// Base up to `as_of`.
    pub base: Micros,
    /// Index of the tier reached.
    pub tier: Option<usize>,
    /// Earned in the accumulation period up to `as_of`, rounded.
    pub earned: Micros,
    /// Earned up to the day before the stated period, by what is known now.
    pub earned_before: Micros,
    /// Booked in the accrual ledger.
    pub booked: Micros,
    /// How to recompute `earned`.
    pub recipe: Vec<RecipeStep>,
    /// Every line that counted in the accumulation period with its rounded share; empty when the
    /// statement is not itemised.
    pub lines: Vec<StatementLine>,
}

/// One line that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date.
    pub date: NaiveDate,
    /// Item code.
    pub item: Option<String>,
    /// Signed quantity.
    pub quantity: Micros,
    /// Unit.
    pub unit: String,
    /// Signed net amount in the document's currency.
    pub net: Micros,
    /// The document's currency.
    pub net_currency: Currency,
    /// First day of the accounting month in which it counts.
    pub counted_in: NaiveDate,
    /// Agreement version that ruled it.
    pub version: u32,
    /// What it adds to the qualifier, in the agreement's currency or the term's unit.
    pub qualifier: Exact,
    /// What it adds to the base.
    pub base: Exact,
    /// How these follow from the document, where they are not just what it says.
    pub derived: Vec<Derivation>,
    /// Its part of the benefit before rounding and before caps.
    pub unrounded: Fine,
    /// Share of the earned amount, rounded, in the agreement's currency.
    pub share: Micros,
}

/// A settlement as the partner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementSettlement {
    /// Our reference, which the credit memo carries.
    pub reference: String,
    /// Name of the settlement period.
    pub period_label: String,
    /// Amount, positive when the partner is credited.
    pub amount: Micros,
    /// State word.
    pub state: String,
    /// Number of the credit memo in the ERP.
    pub document: Option<String>,
}

/// A document of the partner about which something is open, in facts that the partner knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPoint {
    /// What is open.
    pub reason: OpenReason,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document: String,
    /// Document date, where it is known.
    pub date: Option<NaiveDate>,
    /// Line number; `None` for the whole document.
    pub line: Option<String>,
    /// Item code.
    pub item: Option<String>,
    /// Net amount on the document.
    pub net: Option<Micros>,
    /// Its currency, as the document writes it.
    pub currency: Option<String>,
}
