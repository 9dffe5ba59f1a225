//! Reconcile: our settlements against the memos that sources show, paired by reference only (case 31).

use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineResult, Runtime};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::reconcile::{Ours, Outcome, Theirs, Tolerance, compare};
use crate::store::{NewException, Store};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// One compared reference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Reference.
    pub reference: String,
    /// Our amount.
    pub ours: Option<String>,
    /// Our currency.
    pub currency: Option<String>,
    /// Their amount.
    pub theirs: Option<String>,
    /// Their currency.
    pub their_currency: Option<String>,
    /// Their document.
    pub document: Option<String>,
    /// Absolute difference, where both are in one currency and of one sign.
    pub difference: Option<String>,
    /// Largest difference accepted.
    pub limit: Option<String>,
    /// agrees, not-shown, or the exception's code.
    pub result: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Row by row, by reference.
    pub rows: Vec<Compared>,
    /// Accepted differences added up without their signs, by currency.
    pub accepted_differences: BTreeMap<String, String>,
    /// Rows that agree.
    pub agreeing: i64,
    /// Rows that do not.
    pub exceptions: i64,
    /// Confirmed memos of connectors of which no source shows memos.
    pub not_shown: i64,
}

impl Reconciliation {
    /// One line for people.
    pub fn summary(&self) -> String {
        let sums: Vec<String> = self.accepted_differences.iter().map(|(code, sum)| format!("{sum} {code}")).collect();
        let accepted = if sums.is_empty() { "none".to_owned() } else { sums.join(", ") };
        let not_shown = if self.not_shown > 0 { format!(", {} are shown by no source", self.not_shown) } else { String::new() };
        format!("{} memos agree, {} do not{not_shown}; accepted differences {accepted}", self.agreeing, self.exceptions)
    }
}

impl Compared {
    /// Our side for people.
    pub fn ours_text(&self) -> String {
        with_currency(self.ours.as_deref(), self.currency.as_deref())
    }
    /// Their side for people.
    pub fn theirs_text(&self) -> String {
        with_currency(self.theirs.as_deref(), self.their_currency.as_deref())
    }
}

fn with_currency(amount: Option<&str>, currency: Option<&str>) -> String {
    match (amount, currency) {
        (Some(amount), Some(currency)) => format!("{amount} {currency}"),
        (amount, _) => amount.unwrap_or("none").to_owned(),
    }
}

/// Compares every settlement that is out with every memo that a source shows.
pub async fn memos(store: &Store, tolerance: &Tolerance) -> PipelineResult<Reconciliation> {
    let mut tx = store.read().await?;
    let settlements = tx.settlements().await?;
    let theirs = tx.erp_memos().await?;
    let mut result = Reconciliation::default();
    let shown = tx.shown_settlements().await?;
    let mut accepted: BTreeMap<&str, (Micros, u32)> = BTreeMap::new();
    let mut seen: Vec<&str> = Vec::new();
    for s in settlements.iter().filter(|s| s.is_out()) {
        seen.push(&s.reference);
        let digits = Currency::parse(&s.currency).map_or(2, Currency::minor_digits);
        let ours = Ours { amount: s.amount(), currency: &s.currency };
        let found: Vec<_> =
            theirs.iter().filter(|m| m.reference == s.reference && m.status != "cancelled" && m.status != "draft").collect();
        // Under way: whether it arrives is the push's to find out, by looking it up.
        if found.is_empty() && s.state != "confirmed" {
            continue;
        }
        let their = found.first().map(|m| Theirs { amount: Micros(m.amount_u), currency: &m.currency });
        let cancelled = theirs.iter().find(|m| m.reference == s.reference && m.status == "cancelled");
        let outcome = match found.len() {
            0 if cancelled.is_some() => Outcome::Cancelled,
            0 if !shown.contains(&s.id) => Outcome::NotShown,
            0 | 1 => compare(Some(&ours), their.as_ref(), tolerance),
            _ => Outcome::Duplicate,
        };
        if let Outcome::Agrees { difference, .. } = outcome {
            accepted.entry(&s.currency).or_insert((Micros::ZERO, digits)).0 += difference;
        }
        push(
            &mut result,
            &s.reference,
            Some((&s.currency, s.amount())),
            found.first().copied().or(cancelled).map(|m| (m.currency.as_str(), Micros(m.amount_u), m.document.as_str())),
            outcome,
            digits,
        );
    }
    for m in &theirs {
        let ours = settlements.iter().find(|s| s.reference == m.reference);
        // An approved one is found by its reference when it is pushed.
        if let Some(s) = ours.filter(|s| !s.is_out() && s.state != "approved" && m.status != "cancelled" && m.status != "draft") {
            let digits = Currency::parse(&s.currency).map_or(2, Currency::minor_digits);
            push(
                &mut result,
                &m.reference,
                Some((&s.currency, s.amount())),
                Some((&m.currency, Micros(m.amount_u), &m.document)),
                Outcome::NotSent,
                digits,
            );
        }
        if ours.is_none() && !seen.contains(&m.reference.as_str()) {
            let digits = Currency::parse(&m.currency).map_or(2, Currency::minor_digits);
            push(&mut result, &m.reference, None, Some((&m.currency, Micros(m.amount_u), &m.document)), Outcome::NotOurs, digits);
        }
    }
    result.accepted_differences =
        accepted.into_iter().map(|(code, (sum, digits))| (code.to_owned(), sum.to_text(digits))).collect();
    Ok(result)
}

fn push(
    result: &mut Reconciliation,
    reference: &str,
    ours: Option<(&str, Micros)>,
    theirs: Option<(&str, Micros, &str)>,
    outcome: Outcome,
    digits: u32,
) {
    let (difference, limit) = match outcome {
        Outcome::Agrees { difference, limit } | Outcome::Differs { difference, limit } => (Some(difference), Some(limit)),
        _ => (None, None),
    };
    match outcome {
        Outcome::Agrees { .. } => result.agreeing += 1,
        Outcome::NotShown => result.not_shown += 1,
        _ => result.exceptions += 1,
    }
    result.rows.push(Compared {
        reference: reference.to_owned(),
        ours: ours.map(|o| o.1.to_text(digits)),
        currency: ours.map(|o| o.0.to_owned()),
        theirs: theirs.map(|t| t.1.to_text(digits)),
        their_currency: theirs.map(|t| t.0.to_owned()),
        document: theirs.map(|t| t.2.to_owned()),
        difference: difference.map(|d| d.to_text(digits)),
        limit: limit.map(|d| d.to_text(digits)),
        result: outcome.word().to_owned(),
    });
}

/// Compares and opens or clears one exception per reference.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let found = memos(&runtime.store, &runtime.workspace.config.reconcile.tolerance()).await?;
    let opened = record(runtime, request.business_day, &found).await?;
    Ok(StageOutcome {
        count_in: i64::try_from(found.rows.len()).unwrap_or(0),
        count_out: found.agreeing,
        exceptions: opened,
        detail: found.summary(),
    })
}

async fn record(runtime: &Runtime, business_day: NaiveDate, found: &Reconciliation) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let mut opened = 0;
    for row in &found.rows {
        let key = format!("memo:{}", row.reference);
        let gone = match row.result.as_str() {
            "agrees" => Some("it agrees now"),
            "not-shown" => Some("no source shows memos of its connector"),
            _ => None,
        };
        if let Some(reason) = gone {
            tx.clear_exception(&key, reason, now).await?;
            continue;
        }
        let new = NewException {
            code: row.result.clone(),
            subject: row.reference.clone(),
            message: match (row.result.as_str(), &row.document) {
                ("memo-cancelled", Some(document)) => {
                    format!("ours {}, and {document} was cancelled in the ERP: the partner is not credited", row.ours_text())
                }
                _ => format!("ours {}, theirs {}", row.ours_text(), row.theirs_text()),
            },
            help: Some(match row.result.as_str() {
                "memo-cancelled" => {
                    "enter a new memo with this reference in the ERP, or confirm that nothing is to be paid".into()
                }
                _ => "compare the document in the ERP with `rebated settlement show`".to_owned(),
            }),
            dedupe_key: key,
            lasting: true,
            ..NewException::default()
        };
        if tx.open_exception(&new, business_day, now).await? {
            opened += 1;
        }
    }
    tx.commit().await?;
    Ok(opened)
}
