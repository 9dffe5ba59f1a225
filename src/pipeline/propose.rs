//! Propose: settlement = earned to date - settled to date, per agreement, payee and currency
//! (`calculation.md` section 8, cases 03, 05, 32).
//!
//! A settlement is proposed when the business day reaches its period's last day plus grace. Until it
//! is sent it is revised in place under one reference; content that stays the same keeps its
//! approvals, content that changes voids them. Nothing negative is ever paid: it is carried. An open
//! settlement of a period that an amendment took away is withdrawn, and what it would have paid is
//! proposed in the periods that are there now.

use super::counted::Lens;
use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest};
use super::settled::{self, Key, Settled, key_of};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime, accrue, approve, snapshot};
use crate::core::accrual::TooLarge;
use crate::core::agreement::{AgreementVersion, PayoutMethod};
use crate::core::master_data::MasterData;
use crate::core::matching::{term_calendar, whole_validity};
use crate::core::number::Micros;
use crate::core::period::Period;
use crate::core::problem::Problem;
use crate::core::settlement::{self, Due, SettlementIdentity};
use crate::store::{AccumulatorRow, SettlementPart, SettlementRow, Tx};
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What to propose, for whom and when.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Business day that is closed.
    pub business_day: NaiveDate,
    /// Who counts as having prepared it.
    pub maker: &'a str,
    /// One agreement, or all.
    pub only: Option<&'a str>,
    /// The run it belongs to, if it is part of one.
    pub lease: Option<&'a Lease>,
}

/// Proposes and revises everything that is due.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    let order = Order { business_day: request.business_day, maker: "daemon", only: None, lease: Some(lease) };
    propose(runtime, &order).await
}

#[derive(Default)]
struct Counts {
    payees: i64,
    proposed: i64,
    revised: i64,
    carried: i64,
    withdrawn: i64,
}

/// Proposes what is due. Each agreement commits by itself: a decision of a person waits no longer than
/// for one agreement, and all of an agreement is decided on together.
pub async fn propose(runtime: &Runtime, order: &Order<'_>) -> PipelineResult<StageOutcome> {
    let mut tx = runtime.store.read().await?;
    let versions = tx.active_agreements().await?;
    let codes = accrue::codes(&mut tx).await?;
    let merges = tx.merges().await?;
    let master = Arc::new(tx.master_data().await?);
    let with_settlements: BTreeSet<String> = tx.settlements().await?.into_iter().map(|s| s.agreement).collect();
    tx.rollback().await?;
    let mut counts = Counts::default();
    let mut left_out = 0;
    for (agreement, versions) in figures::by_agreement(&versions) {
        let due = periods(&versions, runtime, order.business_day, order.business_day).due > 0;
        if order.only.is_some_and(|only| only != agreement) || !(due || with_settlements.contains(agreement)) {
            continue;
        }
        if let Some(lease) = order.lease {
            lease.check()?;
        }
        let mut tx = runtime.store.begin().await?;
        let shelf = Shelf { runtime, order, versions: &versions, codes: &codes, merges: merges.as_ref(), master: &master };
        match shelf.propose(&mut tx, agreement, &mut counts).await {
            Ok(()) => {}
            // Accrue has told it; what stands of this agreement stays as it is, the others go on.
            Err(PipelineError::Problems(problems)) if problems.0.iter().all(|p| p.code == figures::TOO_LARGE) => {
                tracing::error!(agreement, "nothing is proposed: {problems}");
                tx.rollback().await?;
                left_out += 1;
                continue;
            }
            Err(error) => return Err(error),
        }
        match order.lease {
            Some(lease) => lease.commit(tx).await?,
            None => tx.commit().await?,
        }
    }
    let Counts { payees, proposed, revised, carried, withdrawn } = counts;
    let mut detail = format!("{proposed} proposed, {revised} revised, {carried} carried forward");
    if withdrawn > 0 {
        detail.push_str(&format!(", {withdrawn} withdrawn"));
    }
    if left_out > 0 {
        detail.push_str(&format!(", {left_out} agreements left out for figures that do not fit"));
    }
    Ok(StageOutcome { count_in: payees, count_out: proposed + revised + withdrawn, exceptions: 0, detail })
}

/// Settlement periods of an agreement in order, clipped to its validity.
struct Periods {
    all: Vec<Period>,
    /// How many of them are due: the last day and the grace are over.
    due: usize,
}

/// Those that begin by `horizon`.
fn periods(versions: &[AgreementVersion], runtime: &Runtime, business_day: NaiveDate, horizon: NaiveDate) -> Periods {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    let mut periods = Periods { all: Vec::new(), due: 0 };
    let (Some(validity), Some(newest)) = (whole_validity(&references), versions.last()) else { return periods };
    let calendar = term_calendar(newest, &runtime.settings.calendar);
    let mut day = validity.from;
    while day <= validity.to.min(horizon) {
        let whole = calendar.period(newest.settlement.every, day, validity);
        let Some(period) = whole.intersect(&validity) else { break };
        if settlement::is_due(period, newest.settlement.grace_days, business_day) {
            periods.due += 1;
        }
        periods.all.push(period);
        day = whole.to + Days::new(1);
    }
    periods
}

/// One agreement.
struct Shelf<'a> {
    runtime: &'a Runtime,
    order: &'a Order<'a>,
    versions: &'a [AgreementVersion],
    codes: &'a HashMap<i64, String>,
    merges: Option<&'a MasterData>,
    master: &'a Arc<MasterData>,
}

impl Shelf<'_> {
    /// Proposes for all payees.
    async fn propose(&self, tx: &mut Tx, agreement: &str, counts: &mut Counts) -> PipelineResult<()> {
        let Some(newest) = self.versions.last() else { return Ok(()) };
        let known = tx.lock_settlements(agreement).await?;
        let day = self.order.business_day;
        let horizon = known.iter().map(|s| s.period_to).max().unwrap_or(day).max(day);
        let mut periods = periods(self.versions, self.runtime, day, horizon);
        if newest.settlement.method == PayoutMethod::AccrueOnly {
            // Nothing ever leaves the house, so there is nothing to approve.
            (periods.all, periods.due) = (Vec::new(), 0);
        }
        let sums = tx.accumulators_of_agreement(agreement).await?;
        let mut payees: BTreeMap<String, Vec<AccumulatorRow>> = BTreeMap::new();
        for row in sums {
            let partner = self.codes.get(&row.partner_id).cloned().unwrap_or_default();
            payees.entry(newest.payee.clone().unwrap_or(partner)).or_default().push(row);
        }
        // A payee without any sums left may still have been overpaid.
        for settlement in &known {
            payees.entry(settlement.payee.clone()).or_default();
        }
        if let Some(merges) = self.merges {
            settled::follow_merges(self.runtime, tx, self.versions, merges, &known, day).await?;
        }
        let settled = settled::of(tx, self.versions, self.merges).await?;
        for (survivor, merged) in &settled.moved_to {
            let code = self.codes.get(survivor).cloned().unwrap_or_default();
            let buys = payees.values().flatten().any(|row| row.partner_id == *survivor && row.lines > 0);
            if newest.payee.is_none() {
                let paid: Micros = settled.by_key.iter().filter(|(key, _)| key.0 == *survivor).map(|(_, paid)| *paid).sum();
                let stranded = if buys { Micros::ZERO } else { paid };
                settled::warn_of_stranded(self.runtime, tx, newest, &code, merged, stranded, day).await?;
            }
            payees.entry(newest.payee.clone().unwrap_or(code)).or_default();
        }
        let shared: Vec<AccumulatorRow> =
            if figures::together(self.versions) { payees.values().flatten().cloned().collect() } else { Vec::new() };
        let lens = Lens::new(self.runtime, self.versions, self.master);
        for (payee, rows) in payees {
            counts.payees += 1;
            let mut source = snapshot::Source::new(self.runtime, self.versions, &lens, self.codes);
            let case = Case {
                runtime: self.runtime,
                versions: self.versions,
                newest,
                payee: &payee,
                codes: self.codes,
                business_day: self.order.business_day,
                maker: self.order.maker,
            };
            let own: Vec<&SettlementRow> = known.iter().filter(|s| s.payee == payee).collect();
            let rows = if shared.is_empty() { &rows } else { &shared };
            for done in case.periods(tx, &periods, &own, rows, &settled, &mut source).await? {
                match done {
                    Done::Proposed => counts.proposed += 1,
                    Done::Revised => counts.revised += 1,
                    Done::Carried => counts.carried += 1,
                    Done::Withdrawn => counts.withdrawn += 1,
                    Done::Same => {}
                }
            }
        }
        Ok(())
    }
}

enum Done {
    Proposed,
    Revised,
    Carried,
    Withdrawn,
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

    /// Everything of the payee, period by period. `known` are its settlements, locked.
    async fn periods(
        &self,
        tx: &mut Tx,
        periods: &Periods,
        known: &[&SettlementRow],
        rows: &[AccumulatorRow],
        settled: &Settled,
        source: &mut snapshot::Source<'_>,
    ) -> PipelineResult<Vec<Done>> {
        let mut done = Vec::new();
        // What earlier periods of this pass are about to pay counts as paid for later ones.
        let mut paid: BTreeMap<Key, Micros> =
            settled.by_key.iter().filter(|(key, _)| self.belongs(key.0)).map(|(k, v)| (k.clone(), *v)).collect();
        let place = |s: &SettlementRow| periods.all.iter().position(|p| (p.from, p.to) == (s.period_from, s.period_to));
        let mut due = periods.due;
        for s in known {
            match (place(s), s.state.as_str()) {
                // It was approved and may still be pushed again: its parts are spoken for.
                (_, "refused") => add(&mut paid, &tx.settlement_parts(s.id).await?),
                // An amendment moved the periods: what it would pay is in those of today.
                (None, "proposed" | "approved" | "empty") => done.push(self.withdraw(tx, s).await?),
                // A longer grace must not freeze what was proposed under a shorter one.
                (Some(at), "proposed" | "approved" | "empty") if s.period_to <= self.business_day => due = due.max(at + 1),
                _ => {}
            }
        }
        // The run closes a day before that of a later settlement: what is missing is in the later one, or comes with it.
        if known.iter().any(|s| place(s).is_some_and(|at| at >= due) && !matches!(s.state.as_str(), "rejected" | "withdrawn")) {
            return Ok(done);
        }
        for (index, period) in periods.all.iter().enumerate().take(due) {
            let newest = known.iter().filter(|s| place(s) == Some(index)).max_by_key(|s| s.number).copied();
            let is_last = index + 1 == due;
            let open = newest.filter(|s| !s.is_out() && s.state != "refused");
            if newest.is_some_and(|s| s.state == "refused") {
                continue;
            }
            // A sent settlement stays as it is; what changed since goes into the next period that is due,
            // or into a further settlement of the last one.
            if open.is_none() && newest.is_some() && !is_last {
                continue;
            }
            let figures = self.figures(rows, period.to)?;
            let parts = due_parts(&figures, &paid, |id| self.belongs(id));
            let earned =
                figures.iter().filter(|f| self.belongs(f.partner_id)).try_fold(Micros::ZERO, |sum, f| sum.checked_add(f.earned));
            let earned = earned.ok_or_else(|| figures::too_large(&self.newest.id, "in all", *period, TooLarge))?;
            let due = settlement::due(earned, paid.values().copied().sum(), self.newest.settlement.minimum);
            let outcome = match open {
                Some(open) => self.revise(tx, open, *period, due, &parts, &figures, source).await?,
                None => {
                    let number = newest.map_or(1, |s| s.number + 1);
                    self.create(tx, *period, number, due, &parts, &figures, source).await?
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

    /// Takes back a settlement of a period that the agreement no longer has; approvals given for it are void.
    async fn withdraw(&self, tx: &mut Tx, open: &SettlementRow) -> PipelineResult<Done> {
        let now = self.runtime.clock.now();
        let reason = format!(
            "version {} of the agreement has no settlement period {} to {}; what is due is proposed in the periods it has",
            self.newest.version, open.period_from, open.period_to
        );
        tx.move_settlement(open, "withdrawn", None, Some(&reason), now).await?;
        let voided = tx.void_approvals(open.id, "", "the settlement was withdrawn").await?;
        let detail = serde_json::json!({
            "reference": open.reference, "amount": open.money(open.amount()), "currency": open.currency, "was": open.state,
            "voided": voided, "reason": reason,
        });
        let subject = format!("settlement {}", open.id);
        tx.audit(now, self.maker, "settlement withdraw", &subject, "done", &detail).await?;
        Ok(Done::Withdrawn)
    }

    fn figures(&self, rows: &[AccumulatorRow], cutoff: NaiveDate) -> Result<Vec<KeyFigure>, Problem> {
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
        source: &mut snapshot::Source<'_>,
    ) -> PipelineResult<(SettlementRow, String)> {
        let amount = due.amount;
        let lines = source.lines(tx, figures, period.to, |id| self.belongs(id)).await?;
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
        source: &mut snapshot::Source<'_>,
    ) -> PipelineResult<Done> {
        // A first settlement that pays nothing shows what is carried; a further one would only repeat it.
        if !due.pays() && (number > 1 || due.carried_forward.is_zero()) {
            return Ok(Done::Same);
        }
        let (row, text) = self.row(tx, period, number, due, parts, figures, source).await?;
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
        source: &mut snapshot::Source<'_>,
    ) -> PipelineResult<Done> {
        let (mut row, text) = self.row(tx, period, open.number, due, parts, figures, source).await?;
        row.id = open.id;
        row.reference.clone_from(&open.reference);
        let payable = row.state == "proposed";
        let same = row.fingerprint == open.fingerprint
            && (row.amount_u, row.carried_forward_u) == (open.amount_u, open.carried_forward_u);
        if same && open.state != "withdrawn" {
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
        tx.revise_settlement(open, &row, parts_if(payable, parts), &text, now).await?;
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
