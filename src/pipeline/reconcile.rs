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
    /// agrees, or the exception's code.
    pub result: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Row by row, by reference.
    pub rows: Vec<Compared>,
    /// Accepted differences added up without their signs.
    pub accepted_differences: String,
    /// Rows that agree.
    pub agreeing: i64,
    /// Rows that do not.
    pub exceptions: i64,
}

/// Compares every settlement that is out with every memo that a source shows.
pub async fn memos(store: &Store, tolerance: &Tolerance) -> PipelineResult<Reconciliation> {
    let mut tx = store.read().await?;
    let settlements = tx.settlements().await?;
    let theirs = tx.erp_memos().await?;
    let mut result = Reconciliation::default();
    let mut accepted = Micros::ZERO;
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
        let outcome = if found.len() > 1 { Outcome::Duplicate } else { compare(Some(&ours), their.as_ref(), tolerance) };
        if let Outcome::Agrees { difference, .. } = outcome {
            accepted += difference;
        }
        push(
            &mut result,
            &s.reference,
            Some((&s.currency, s.amount())),
            found.first().map(|m| (m.currency.as_str(), Micros(m.amount_u), m.document.as_str())),
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
    result.accepted_differences = accepted.to_text(2);
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
    if matches!(outcome, Outcome::Agrees { .. }) {
        result.agreeing += 1
    } else {
        result.exceptions += 1
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
        detail: format!(
            "{} memos agree, {} do not; accepted differences {}",
            found.agreeing, found.exceptions, found.accepted_differences
        ),
    })
}

async fn record(runtime: &Runtime, business_day: NaiveDate, found: &Reconciliation) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let mut opened = 0;
    for row in &found.rows {
        let key = format!("memo:{}", row.reference);
        // A memo that was sent this very night is not in a feed yet: only what a source shows can be missing there.
        if row.result == "agrees" || (row.result == "memo-missing" && !tx.shows_memos().await?) {
            tx.clear_exception(&key, "it agrees now", now).await?;
            continue;
        }
        let new = NewException {
            code: row.result.clone(),
            subject: row.reference.clone(),
            message: format!(
                "ours {} {}, theirs {} {}",
                row.ours.as_deref().unwrap_or("none"),
                row.currency.as_deref().unwrap_or(""),
                row.theirs.as_deref().unwrap_or("none"),
                row.their_currency.as_deref().unwrap_or("")
            ),
            help: Some("compare the document in the ERP with `rebated settlement show`".into()),
            dedupe_key: key,
            ..NewException::default()
        };
        if tx.open_exception(&new, business_day, now).await? {
            opened += 1;
        }
    }
    tx.commit().await?;
    Ok(opened)
}
