//! What a statement is built from: plain figures of one partner, as the store and the engine give
//! them. Earned amounts and shares arrive rounded; nothing here computes.

use crate::core::agreement::{Bound, Direction, Measure, Method, Tier, words};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::Period;
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
        /// An open exception holds the settlement.
        Held = "held",
        /// It waits for approval or for the ERP.
        InProgress = "in-progress",
        /// The agreement only accrues.
        AccrueOnly = "accrue-only",
    } default NotDue
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
    /// Open exceptions that concern the partner.
    pub exceptions: Vec<StatementException>,
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
    /// Settlements of the period or still under way.
    pub settlements: Vec<StatementSettlement>,
    /// Terms in file order.
    pub terms: Vec<TermInput>,
}

/// One term's figures for one accumulation period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermInput {
    /// Term id.
    pub id: String,
    /// Type word: `volume`, `fixed`.
    pub kind: String,
    /// Accumulation period that holds the stated period's last day.
    pub accumulation: Period,
    /// Measure that picks the tier.
    pub qualifier_measure: Measure,
    /// Measure the benefit multiplies.
    pub base_measure: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
    /// Retrospective or marginal.
    pub method: Method,
    /// How bounds are compared.
    pub bound: Bound,
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
    /// Earned as it stood at the end of the day before the stated period.
    pub earned_before: Micros,
    /// Booked in the accrual ledger.
    pub booked: Micros,
    /// Every line that counted in the accumulation period with its rounded share; empty when the
    /// statement is not itemised.
    pub lines: Vec<StatementLine>,
}

/// One line that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementLine {
    /// Document type word.
    pub document_type: String,
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date.
    pub date: NaiveDate,
    /// Item code.
    pub item: Option<String>,
    /// Item description.
    pub description: Option<String>,
    /// Signed quantity.
    pub quantity: Micros,
    /// Unit.
    pub unit: String,
    /// Signed net amount in the document's currency.
    pub net: Micros,
    /// The document's currency.
    pub net_currency: Currency,
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

/// An open exception that concerns the partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementException {
    /// Stable code.
    pub code: String,
    /// What it is about: `invoice 2001 line 2`.
    pub subject: String,
    /// What has to be decided.
    pub message: String,
}
