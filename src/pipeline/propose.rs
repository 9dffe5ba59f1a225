//! Propose: settlement = earned to date - settled to date, per agreement, payee and currency
//! (`calculation.md` section 8, cases 03, 05, 32).
//!
//! A settlement is proposed when the business day reaches its period's last day plus grace. Until it
//! is sent it is revised in place under one reference; content that stays the same keeps its
//! approvals, content that changes voids them. Nothing negative is ever paid: it is carried.

use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime, accrue, approve, snapshot};
use crate::core::agreement::AgreementVersion;
use crate::core::matching::{term_calendar, whole_validity};
use crate::core::number::Micros;
use crate::core::period::Period;
use crate::core::settlement::{self, Due, SettlementIdentity};
use crate::store::{AccumulatorRow, SettlementPart, SettlementRow, Tx};
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, HashMap};

type Key = (i64, String, NaiveDate, NaiveDate, i64);

/// Proposes and revises everything that is due.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let mut tx = runtime.store.begin().await?;
    let outcome = propose(runtime, &mut tx, request.business_day, "daemon", None).await?;
    if request.dry_run {
        tx.rollback().await?
    } else {
        tx.commit().await?
    }
    Ok(outcome)
}

/// Proposes what is due on the day, of one agreement or of all. `maker` counts as who prepared it.
pub async fn propose(
    runtime: &Runtime,
    tx: &mut Tx,
    business_day: NaiveDate,
    maker: &str,
    only: Option<&str>,
) -> PipelineResult<StageOutcome> {
    let versions = tx.active_agreements().await?;
    let codes = accrue::codes(tx).await?;
    let mut outcome = StageOutcome::default();
    let (mut proposed, mut revised, mut carried) = (0, 0, 0);
    for (agreement, versions) in figures::by_agreement(&versions) {
        if only.is_some_and(|only| only != agreement) {
            continue;
        }
        let Some(newest) = versions.last() else { continue };
        let periods = due_periods(&versions, runtime, business_day);
        if periods.is_empty() {
            continue;
        }
        let sums = tx.accumulators_of_agreement(agreement).await?;
        let mut payees: BTreeMap<String, Vec<AccumulatorRow>> = BTreeMap::new();
        for row in sums {
            let partner = codes.get(&row.partner_id).cloned().unwrap_or_default();
            payees.entry(newest.payee.clone().unwrap_or(partner)).or_default().push(row);
        }
        // A payee without any sums left may still have been overpaid.
        for settlement in tx.settlements().await?.iter().filter(|s| s.agreement == agreement) {
            payees.entry(settlement.payee.clone()).or_default();
        }
        let shared: Vec<AccumulatorRow> =
            if figures::together(&versions) { payees.values().flatten().cloned().collect() } else { Vec::new() };
        let settled = settled_parts(tx, agreement).await?;
        for (payee, rows) in payees {
            outcome.count_in += 1;
            let case = Case { runtime, versions: &versions, newest, payee: &payee, codes: &codes, business_day, maker };
            let rows = if shared.is_empty() { &rows } else { &shared };
            for done in case.periods(tx, &periods, rows, &settled).await? {
                match done {
                    Done::Proposed => proposed += 1,
                    Done::Revised => revised += 1,
                    Done::Carried => carried += 1,
                    Done::Same => {}
                }
            }
        }
    }
    outcome.count_out = proposed + revised;
    outcome.detail = format!("{proposed} proposed, {revised} revised, {carried} carried forward");
    Ok(outcome)
}

/// Settlement periods that are due, in order, clipped to the agreement's validity.
fn due_periods(versions: &[AgreementVersion], runtime: &Runtime, business_day: NaiveDate) -> Vec<Period> {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    let (Some(validity), Some(newest)) = (whole_validity(&references), versions.last()) else { return Vec::new() };
    let calendar = term_calendar(newest, &runtime.settings.calendar);
    let mut periods = Vec::new();
    let mut day = validity.from;
    while day <= validity.to {
        let whole = calendar.period(newest.settlement.every, day, validity);
        let Some(period) = whole.intersect(&validity) else { break };
        if !settlement::is_due(period, newest.settlement.grace_days, business_day) {
            break;
        }
        periods.push(period);
        day = whole.to + Days::new(1);
    }
    periods
}

async fn settled_parts(tx: &mut Tx, agreement: &str) -> PipelineResult<BTreeMap<Key, Micros>> {
    let mut settled = BTreeMap::new();
    for part in tx.settled_parts(agreement).await? {
        settled.insert(key_of(&part), Micros(part.amount_u));
    }
    Ok(settled)
}

fn key_of(part: &SettlementPart) -> Key {
    (part.partner_id, part.term.clone(), part.period_from, part.period_to, part.part)
}

enum Done {
    Proposed,
    Revised,
    Carried,
    Same,
}

/// One agreement and payee.
struct Case<'a> {
    runtime: &'a Runtime,
    versions: &'a [AgreementVersion],
    newest: &'a AgreementVersion,
    payee: &'a str,
    codes: &'a HashMap<i64, String>,
    business_day: NaiveDate,
    maker: &'a str,
}

impl Case<'_> {
    fn belongs(&self, partner_id: i64) -> bool {
        match &self.newest.payee {
            Some(payee) => payee == self.payee,
            None => self.codes.get(&partner_id).is_some_and(|code| code == self.payee),
        }
    }

    async fn periods(
        &self,
        tx: &mut Tx,
        periods: &[Period],
        rows: &[AccumulatorRow],
        settled: &BTreeMap<Key, Micros>,
    ) -> PipelineResult<Vec<Done>> {
        let mut done = Vec::new();
        let known = tx.settlements_of(&self.newest.id, self.payee).await?;
        // What earlier periods of this pass are about to pay counts as paid for later ones.
        let mut paid: BTreeMap<Key, Micros> =
            settled.iter().filter(|(key, _)| self.belongs(key.0)).map(|(k, v)| (k.clone(), *v)).collect();
        for (index, period) in periods.iter().enumerate() {
            let of_period: Vec<&SettlementRow> =
                known.iter().filter(|s| (s.period_from, s.period_to) == (period.from, period.to)).collect();
            let newest = of_period.iter().max_by_key(|s| s.number);
            let is_last = index + 1 == periods.len();
            let open = newest.filter(|s| !s.is_out() && s.state != "refused");
            if newest.is_some_and(|s| s.state == "refused") {
                // It was approved and may still be pushed again: its parts are spoken for.
                if let Some(s) = newest {
                    add(&mut paid, &tx.settlement_parts(s.id).await?);
                }
                continue;
            }
            // A sent settlement stays as it is; what changed since goes into the next period that is due,
            // or into a further settlement of the last one.
            if open.is_none() && newest.is_some() && !is_last {
                continue;
            }
            let figures = self.figures(rows, period.to);
            let parts = due_parts(&figures, &paid, |id| self.belongs(id));
            let earned = figures.iter().filter(|f| self.belongs(f.partner_id)).map(|f| f.earned).sum();
            let due = settlement::due(earned, paid.values().copied().sum(), self.newest.settlement.minimum);
            let outcome = match open {
                Some(open) => self.revise(tx, open, *period, due, &parts, &figures).await?,
                None => {
                    let number = newest.map_or(1, |s| s.number + 1);
                    self.create(tx, *period, number, due, &parts, &figures).await?
                }
            };
            let rejected = open.is_some_and(|o| o.state == "rejected") && matches!(outcome, Done::Same);
            if due.pays() && !rejected {
                add(&mut paid, &parts);
            }
            done.push(outcome);
        }
        Ok(done)
    }

    fn figures(&self, rows: &[AccumulatorRow], cutoff: NaiveDate) -> Vec<KeyFigure> {
        let rank = |id: i64| self.codes.get(&id).cloned().unwrap_or_default();
        figures::figures(self.versions, rows, &self.runtime.settings.calendar, Some(cutoff), &rank)
    }

    async fn row(
        &self,
        tx: &mut Tx,
        period: Period,
        number: i64,
        due: Due,
        parts: &[SettlementPart],
        figures: &[KeyFigure],
    ) -> PipelineResult<(SettlementRow, String)> {
        let amount = due.amount;
        let lines = snapshot::lines(self.runtime, tx, self.versions, figures, period.to, |id| self.belongs(id)).await?;
        let reference = settlement::reference(&SettlementIdentity {
            company: &self.runtime.settings.company,
            agreement: &self.newest.id,
            payee: self.payee,
            period,
            currency: self.newest.currency,
            number: u32::try_from(number).unwrap_or(1),
        });
        let shown = snapshot::Shown { parts: parts.to_vec(), lines };
        let text = serde_json::to_string(&shown).map_err(|e| PipelineError::Internal(e.to_string()))?;
        let fingerprint = settlement::fingerprint(self.payee, amount, self.newest.currency, &shown.lines, self.newest.version);
        let row = SettlementRow {
            id: 0,
            agreement: self.newest.id.clone(),
            payee: self.payee.to_owned(),
            period_from: period.from,
            period_to: period.to,
            currency: self.newest.currency.code().to_owned(),
            number,
            reference,
            amount_u: amount.0,
            carried_forward_u: due.carried_forward.0,
            state: if due.pays() { "proposed".into() } else { "empty".into() },
            revision: 1,
            fingerprint,
            method: self.newest.settlement.method.word().to_owned(),
            connector: self.newest.settlement.connector.clone(),
            maker: self.maker.to_owned(),
            erp_document: None,
            business_day: self.business_day,
            reason: None,
        };
        Ok((row, text))
    }

    async fn create(
        &self,
        tx: &mut Tx,
        period: Period,
        number: i64,
        due: Due,
        parts: &[SettlementPart],
        figures: &[KeyFigure],
    ) -> PipelineResult<Done> {
        // A first settlement that pays nothing shows what is carried; a further one would only repeat it.
        if !due.pays() && (number > 1 || due.carried_forward.is_zero()) {
            return Ok(Done::Same);
        }
        let (row, text) = self.row(tx, period, number, due, parts, figures).await?;
        let now = self.runtime.clock.now();
        let payable = row.state == "proposed";
        let id = tx.add_settlement(&row, parts_if(payable, parts), &text, now).await?;
        self.audit(tx, id, "settlement propose", &row).await?;
        if payable {
            self.standing(tx, id).await?;
        }
        Ok(if payable { Done::Proposed } else { Done::Carried })
    }

    async fn revise(
        &self,
        tx: &mut Tx,
        open: &SettlementRow,
        period: Period,
        due: Due,
        parts: &[SettlementPart],
        figures: &[KeyFigure],
    ) -> PipelineResult<Done> {
        let (mut row, text) = self.row(tx, period, open.number, due, parts, figures).await?;
        row.id = open.id;
        row.reference.clone_from(&open.reference);
        let payable = row.state == "proposed";
        if row.fingerprint == open.fingerprint && (row.amount_u, row.carried_forward_u) == (open.amount_u, open.carried_forward_u)
        {
            if payable && open.state != "rejected" {
                self.standing(tx, open.id).await?;
            }
            return Ok(if payable { Done::Same } else { Done::Carried });
        }
        row.revision = open.revision + 1;
        // The person who prepared it stays its maker; the daemon only follows the lines.
        if self.maker == "daemon" {
            row.maker.clone_from(&open.maker);
        }
        let now = self.runtime.clock.now();
        tx.revise_settlement(&row, parts_if(payable, parts), &text, now).await?;
        let voided = tx.void_approvals(open.id, &row.fingerprint, "the content changed after the approval").await?;
        self.audit(tx, open.id, "settlement revise", &row).await?;
        if voided > 0 {
            let detail = serde_json::json!({ "voided": voided, "from": open.fingerprint, "to": row.fingerprint });
            tx.audit(self.runtime.clock.now(), "daemon", "approval void", &format!("settlement {}", open.id), "done", &detail)
                .await?;
        }
        if payable {
            self.standing(tx, open.id).await?;
        }
        Ok(if payable { Done::Revised } else { Done::Carried })
    }

    async fn standing(&self, tx: &mut Tx, id: i64) -> PipelineResult<()> {
        if let Some(settlement) = tx.settlement(id).await? {
            approve::settle_standing(self.runtime, tx, &settlement, self.runtime.clock.now()).await?;
        }
        Ok(())
    }

    async fn audit(&self, tx: &mut Tx, id: i64, action: &str, row: &SettlementRow) -> PipelineResult<()> {
        let detail = serde_json::json!({
            "reference": row.reference, "amount": row.money(row.amount()), "currency": row.currency, "revision": row.revision,
            "carried_forward": row.money(Micros(row.carried_forward_u)), "fingerprint": row.fingerprint,
        });
        tx.audit(self.runtime.clock.now(), self.maker, action, &format!("settlement {id}"), "done", &detail).await?;
        Ok(())
    }
}

/// Nothing is spoken for by a settlement that pays nothing.
fn parts_if(payable: bool, parts: &[SettlementPart]) -> &[SettlementPart] {
    if payable { parts } else { &[] }
}

fn add(paid: &mut BTreeMap<Key, Micros>, parts: &[SettlementPart]) {
    for part in parts {
        *paid.entry(key_of(part)).or_default() += Micros(part.amount_u);
    }
}

/// Earned to the cutoff less paid, per key; keys that earned once and no longer do are set off.
fn due_parts(figures: &[KeyFigure], paid: &BTreeMap<Key, Micros>, belongs: impl Fn(i64) -> bool) -> Vec<SettlementPart> {
    let mut due: BTreeMap<Key, Micros> = BTreeMap::new();
    for f in figures.iter().filter(|f| belongs(f.partner_id)) {
        *due.entry((f.partner_id, f.term.clone(), f.period.from, f.period.to, f.part)).or_default() += f.earned;
    }
    for (key, amount) in paid {
        *due.entry(key.clone()).or_default() -= *amount;
    }
    due.into_iter()
        .filter(|(_, amount)| !amount.is_zero())
        .map(|((partner_id, term, period_from, period_to, part), amount)| SettlementPart {
            partner_id,
            term,
            period_from,
            period_to,
            part,
            amount_u: amount.0,
        })
        .collect()
}
