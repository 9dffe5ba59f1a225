//! Push: approved settlements leave the house, each once (case 24).
//!
//! The outbox row with its reference stands before the first request. Every state change checks in
//! its own transaction that this run still holds its lease, so that a process that was paused past
//! its lease cannot mark or send anything.

use super::run::{Lease, RunRequest, fault_point};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime, approve, catalog, settled};
use crate::core::agreement::PayoutMethod;
use crate::core::memo::{MemoLine, MemoRequest};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::{Period, period_label};
use crate::core::problem::Problem;
use crate::core::rights::{self, Action};
use crate::delivery::erp_push::{DriverPort, ErpPush, MemoChange, MemoRow, MemoRows, PushPauses, PushReport, PushState};
use crate::drivers::Driver;
use crate::store::{MemoOutboxRow, NewException, SettlementRow, StoreError, Tx, UserRow};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use std::collections::BTreeMap;

/// Name of the push that settlements use in a connector file.
pub const CREDIT_MEMO: &str = "credit-memo";

/// Pushes everything that is approved and not held.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    if request.dry_run {
        let (planned, exceptions) = plan(runtime, request.business_day, lease).await?;
        let detail = format!("{planned} would be handed to the outbox; a dry run pushes nothing");
        return Ok(StageOutcome { count_in: planned, exceptions, detail, ..StageOutcome::default() });
    }
    let (planned, unplanned) = plan(runtime, request.business_day, lease).await?;
    let report = deliver(runtime, request.business_day, lease).await?;
    let exceptions = unplanned + record(runtime, request.business_day, &report).await?;
    lease.check()?;
    Ok(StageOutcome {
        count_in: planned,
        count_out: i64::from(report.confirmed),
        exceptions,
        detail: format!(
            "{planned} handed to the outbox, {} confirmed, {} wait or need a person",
            report.confirmed,
            report.problems.len()
        ),
    })
}

/// What became of an approved settlement.
enum Planned {
    Yes,
    /// It is held, or no longer approved for what it says now.
    Not,
    NoConnector {
        opened: bool,
    },
}

/// Moves approved settlements into the outbox: the reference is committed before the first attempt. Gives
/// their number and that of exceptions opened.
async fn plan(runtime: &Runtime, business_day: NaiveDate, lease: &Lease) -> PipelineResult<(i64, i64)> {
    let (mut count, mut exceptions) = (0, 0);
    let approved: Vec<i64> = {
        let mut tx = runtime.store.read().await?;
        let all = tx.settlements().await?;
        all.iter().filter(|s| s.state == "approved" && s.method != PayoutMethod::AccrueOnly.word()).map(|s| s.id).collect()
    };
    for id in approved {
        lease.check()?;
        let mut tx = runtime.store.begin().await?;
        match plan_one(runtime, &mut tx, id, business_day).await? {
            Planned::Yes => count += 1,
            Planned::NoConnector { opened } => exceptions += i64::from(opened),
            Planned::Not => {}
        }
        lease.commit(tx).await?;
    }
    fault_point("memo:planned");
    Ok((count, exceptions))
}

/// Starts sending one settlement, if it is still approved for what it says now and nothing holds it.
async fn plan_one(runtime: &Runtime, tx: &mut Tx, id: i64, business_day: NaiveDate) -> PipelineResult<Planned> {
    let now = runtime.clock.now();
    // From here to the commit nobody revises or rejects it.
    let Some(settlement) = tx.lock_settlement(id).await?.filter(|s| s.state == "approved") else { return Ok(Planned::Not) };
    if !approve::holding(tx, &settlement).await?.is_empty() {
        return Ok(Planned::Not);
    }
    // What was enough for this one alone may not be for all that is open by now (case 32).
    if approve::settle_standing(runtime, tx, &settlement, now).await?.state != "approved" {
        return Ok(Planned::Not);
    }
    let Some(connector) = catalog::push_connector(&runtime.workspace, settlement.connector.as_deref()) else {
        let new = NewException {
            code: "memo-no-connector".into(),
            blocking: false,
            subject: settlement.reference.clone(),
            message: format!("settlement {} is approved, but no connector takes credit memos", settlement.id),
            help: Some("name one under `settlement.connector` of the agreement, with a [push.credit-memo] table".into()),
            agreement: Some(settlement.agreement.clone()),
            dedupe_key: format!("push:{}", settlement.id),
            ..NewException::default()
        };
        let opened = tx.open_exception(&new, business_day, now).await?;
        return Ok(Planned::NoConnector { opened });
    };
    let memo = request_of(runtime, tx, &settlement, business_day).await?;
    let row = MemoOutboxRow {
        settlement_id: settlement.id,
        reference: settlement.reference.clone(),
        connector,
        request: serde_json::to_string(&memo).map_err(|e| PipelineError::Internal(e.to_string()))?,
        state: PushState::Planned.word().to_owned(),
        remote_id: None,
        erp_document: None,
        attempts: 0,
        not_before: None,
        last_answer: None,
    };
    tx.plan_memo(&row, now).await?;
    tx.move_settlement(&settlement, "sending", None, None, now).await?;
    let detail = serde_json::json!({ "reference": settlement.reference, "fingerprint": settlement.fingerprint });
    tx.audit(now, "daemon", "settlement push", &format!("settlement {}", settlement.id), "done", &detail).await?;
    Ok(Planned::Yes)
}

/// Hands a settlement that the other system refused to the outbox again, in the name of a user; the
/// settlement is locked. Says why not, if it must not be.
pub async fn again(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    user: Option<&UserRow>,
) -> PipelineResult<Option<String>> {
    let now = runtime.clock.now();
    let id = settlement.id;
    match user {
        None => return Ok(Some("to push again what was refused needs a person: set REBATED_TOKEN".into())),
        Some(user) => {
            if let Some(message) = rights::refusal(&user.name, &user.role, Action::PushAgain) {
                return Ok(Some(message));
            }
        }
    }
    if let Some(first) = approve::holding(tx, settlement).await?.first() {
        return Ok(Some(format!("settlement {id} is held by exception {} [{}] {}", first.id, first.code, first.subject)));
    }
    if let Some(mut memo) = tx.memo(id).await? {
        // A refusal may have come from something in between: the ERP is asked twice before it is asked to create again.
        memo.state = PushState::Unknown.word().to_owned();
        memo.not_before = None;
        tx.save_memo(&memo, now).await?;
    }
    tx.move_settlement(settlement, "sending", None, None, now).await?;
    Ok(None)
}

/// The memo as it is asked for, now and at every repetition: it is stored with its first attempt.
///
/// It bears the business day that the run closes, not the day on the clock: a night that ends after
/// midnight, or is made good a week later, books into the month it belongs to.
async fn request_of(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    business_day: NaiveDate,
) -> PipelineResult<MemoRequest> {
    let currency = Currency::parse(&settlement.currency)
        .ok_or_else(|| PipelineError::Internal(format!("currency {}", settlement.currency)))?;
    let period = Period { from: settlement.period_from, to: settlement.period_to };
    let label = period_label(period, &runtime.settings.calendar);
    let versions = tx.active_agreements().await?;
    let newest = versions.iter().rfind(|v| v.id == settlement.agreement);
    let mut by_term: BTreeMap<String, Micros> = BTreeMap::new();
    for part in tx.settlement_parts(settlement.id).await? {
        *by_term.entry(part.term).or_default() += Micros(part.amount_u);
    }
    let lines = by_term
        .into_iter()
        .filter(|(_, amount)| !amount.is_zero())
        .map(|(term, amount)| MemoLine {
            description: format!("{} {term} {label}", settlement.agreement),
            amount,
            gl_expense: None,
        })
        .collect();
    Ok(MemoRequest {
        reference: settlement.reference.clone(),
        agreement: settlement.agreement.clone(),
        agreement_version: newest.map_or(1, |v| v.version),
        payee: settlement.payee.clone(),
        period,
        date: business_day,
        currency,
        amount: settlement.amount(),
        description: format!("Rebate {} {label}", settlement.agreement),
        lines,
        gl_expense: None,
        gl_liability: None,
    })
}

async fn deliver(runtime: &Runtime, business_day: NaiveDate, lease: &Lease) -> PipelineResult<PushReport> {
    let mut drivers: BTreeMap<String, Driver> = BTreeMap::new();
    let mut broken: BTreeMap<String, Problem> = BTreeMap::new();
    for connector in &runtime.workspace.connectors {
        if connector.push.contains_key(CREDIT_MEMO) {
            match Driver::open(connector, &runtime.workspace.dir) {
                Ok(driver) => {
                    drivers.insert(connector.name.clone(), driver);
                }
                // Its memos wait; those of the others go.
                Err(problem) => {
                    tracing::error!(connector = %connector.name, "{problem}");
                    broken.insert(connector.name.clone(), problem);
                }
            }
        }
    }
    let ports: BTreeMap<String, DriverPort<'_>> =
        drivers.iter().filter_map(|(name, driver)| Some((name.clone(), DriverPort::new(driver, CREDIT_MEMO)?))).collect();
    let rows = Rows { runtime, lease, business_day };
    let push = ErpPush { rows: &rows, ports: &ports, pauses: PushPauses::default() };
    let fault = |error| match error {
        RowsError::Store(error) => error.into(),
        RowsError::LeaseLost => PipelineError::LeaseLost,
        RowsError::Unreadable(why) => PipelineError::Internal(why),
    };
    let mut report = push.until(&runtime.clock, Duration::minutes(5)).await.map_err(fault)?;
    for row in rows.open().await.map_err(fault)? {
        if let Some(problem) = broken.get(&row.connector) {
            report.problems.insert(row.settlement_id, problem.clone());
        }
    }
    Ok(report)
}

/// What a person has to look at becomes an exception; what is confirmed clears its own.
async fn record(runtime: &Runtime, business_day: NaiveDate, report: &PushReport) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let mut opened = 0;
    for settlement in tx.settlements().await? {
        let key = format!("push:{}", settlement.id);
        match report.problems.get(&settlement.id) {
            Some(problem) => {
                let new = NewException {
                    code: problem.code.clone(),
                    subject: settlement.reference.clone(),
                    message: problem.message.clone(),
                    help: problem.help.clone(),
                    agreement: Some(settlement.agreement.clone()),
                    partner: Some(settlement.payee.clone()),
                    dedupe_key: key,
                    ..NewException::default()
                };
                opened += i64::from(tx.open_exception(&new, business_day, now).await?);
            }
            None if settlement.state == "confirmed" => {
                tx.clear_exception(&key, "the memo is confirmed", now).await?;
            }
            None => {}
        }
    }
    tx.commit().await?;
    Ok(opened)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum RowsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the lease of this run was lost")]
    LeaseLost,
    #[error("{0}")]
    Unreadable(String),
}

/// The outbox on the store.
pub(super) struct Rows<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) lease: &'a Lease,
    pub(super) business_day: NaiveDate,
}

impl MemoRows for Rows<'_> {
    type Error = RowsError;

    async fn open(&self) -> Result<Vec<MemoRow>, RowsError> {
        let mut tx = self.runtime.store.read().await?;
        let rows = tx.open_memos().await?;
        Ok(rows
            .into_iter()
            .map(|r| MemoRow {
                settlement_id: r.settlement_id,
                connector: r.connector,
                reference: r.reference,
                state: PushState::from_word(&r.state).unwrap_or_default(),
                remote_id: r.remote_id,
                attempts: u32::try_from(r.attempts).unwrap_or(0),
                not_before: r.not_before,
            })
            .collect())
    }

    async fn request(&self, row: &MemoRow) -> Result<MemoRequest, RowsError> {
        let mut tx = self.runtime.store.read().await?;
        let stored = tx
            .memo(row.settlement_id)
            .await?
            .ok_or_else(|| RowsError::Unreadable(format!("memo of settlement {} is gone", row.settlement_id)))?;
        serde_json::from_str(&stored.request).map_err(|e| RowsError::Unreadable(e.to_string()))
    }

    fn stopping(&self) -> bool {
        self.lease.check().is_err()
    }

    async fn change(&self, settlement_id: i64, from: PushState, change: &MemoChange) -> Result<bool, RowsError> {
        if change.remote_id.is_some() && change.state == PushState::Sent {
            fault_point("memo:created-not-noted");
        }
        let now: DateTime<Utc> = self.runtime.clock.now();
        let mut tx = self.runtime.store.begin().await?;
        // Whoever still holds the run writes down what the ERP did, also when asked to stop.
        if self.lease.is_lost() || !tx.holds_lease(self.lease.run_id, self.lease.token).await? {
            return Err(RowsError::LeaseLost);
        }
        let Some(settlement) = tx.lock_settlement(settlement_id).await? else { return Ok(false) };
        let Some(mut row) = tx.memo(settlement_id).await? else { return Ok(false) };
        if row.state != from.word() || !matches!(settlement.state.as_str(), "sending" | "sent" | "unknown") {
            return Ok(false);
        }
        row.state = change.state.word().to_owned();
        row.remote_id.clone_from(&change.remote_id);
        row.erp_document.clone_from(&change.document);
        row.attempts = i64::from(change.attempts);
        row.not_before = change.not_before;
        row.last_answer.clone_from(&change.last_answer);
        tx.save_memo(&row, now).await?;
        let to = match change.state {
            PushState::Planned | PushState::Sent => "sending",
            PushState::Unknown => "unknown",
            PushState::Confirmed => "confirmed",
            PushState::Refused => "refused",
        };
        if change.state == PushState::Confirmed {
            release(self.runtime, &mut tx, &settlement, self.business_day).await.map_err(|error| match error {
                PipelineError::Store(error) => RowsError::Store(error),
                other => RowsError::Unreadable(other.to_string()),
            })?;
        }
        if settlement.state != to {
            tx.move_settlement(&settlement, to, change.document.as_deref(), change.last_answer.as_deref(), now).await?;
            let detail = serde_json::json!({ "document": change.document, "answer": change.last_answer });
            tx.audit(now, "daemon", &format!("settlement {to}"), &format!("settlement {settlement_id}"), "done", &detail).await?;
        }
        tx.commit().await?;
        let step = if change.remote_id.is_some() && change.state == PushState::Sent { ":created" } else { "" };
        fault_point(&format!("memo:{}{step}", change.state.word()));
        Ok(true)
    }
}

/// Clearing entries: what is paid is no longer accrued.
async fn release(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow, business_day: NaiveDate) -> PipelineResult<()> {
    let parts = tx.settlement_parts(settlement.id).await?;
    let cleared = tx.cleared_by_settlement(&settlement.agreement).await?;
    let wanted = parts.iter().map(|part| (settled::key_of(part), -Micros(part.amount_u)));
    settled::clear(runtime, tx, settlement, wanted, &cleared, business_day, &format!("paid by {}", settlement.reference)).await
}
