//! Credit memos between us and another system: what we ask for and what it says it holds.
//!
//! No state machine lives here (that is `delivery`), and no protocol (that is `drivers`).
//! Amounts are positive when the partner is credited, whatever sign the other system uses.

use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::Period;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A credit memo as we want it to stand in the other system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoRequest {
    /// Our reference, committed in the store before the first attempt; never changes.
    pub reference: String,
    /// Agreement id.
    pub agreement: String,
    /// Agreement version the settlement was approved under.
    pub agreement_version: u32,
    /// Code of the partner who is paid.
    pub payee: String,
    /// Settlement period.
    pub period: Period,
    /// Date of the memo.
    pub date: NaiveDate,
    /// Currency of the amounts.
    pub currency: Currency,
    /// Total, positive, rounded to the currency's minor unit; the lines add up to it.
    pub amount: Micros,
    /// One line of text for the document's head.
    pub description: String,
    /// At least one line.
    pub lines: Vec<MemoLine>,
    /// Account of the rebate expense (contra revenue), if the agreement names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gl_expense: Option<String>,
    /// Account of the accrued liability, if the agreement names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gl_liability: Option<String>,
}

/// One line of a credit memo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoLine {
    /// What the partner reads.
    pub description: String,
    /// Share of the total; negative when it sets off an overpayment.
    pub amount: Micros,
    /// Account of the line, when it differs from the memo's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gl_expense: Option<String>,
}

/// A memo found in the other system by our reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteMemo {
    /// The other system's key of the record.
    pub id: String,
    /// Its document number, once it has one.
    pub document: Option<String>,
    /// Its state, in the other system's own word.
    pub state: String,
    /// Whether that state means that the memo is booked for good.
    pub done: bool,
    /// Index of the step that has to run next; `None` when done, or when no step leads on from
    /// this state (cancelled by a person, for instance): then somebody has to decide.
    pub next_step: Option<usize>,
    /// Total, positive = credit to the partner.
    pub amount: Micros,
    /// Currency code as the other system gives it.
    pub currency: String,
    /// Partner code as the other system gives it.
    pub partner: String,
    /// The reference that it carries.
    pub reference: String,
}

/// What one push step gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// Key of the record that the step created or acted on.
    pub remote_id: Option<String>,
}
