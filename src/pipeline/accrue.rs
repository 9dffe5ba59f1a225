//! Accrue: what is earned now, less what is booked, is booked (`calculation.md` section 7).
//!
//! Only partners and agreements whose sums changed are looked at. Earned figures and ledger entries
//! are appended, never changed; a second run over the same sums appends nothing.

use super::baselines;
use super::causes::{self, Concerned};
use super::contest;
use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime};
use crate::core::accrual::{Booked, bookings};
use crate::core::agreement::AgreementVersion;
use crate::core::number::{Fine, Micros};
use crate::core::period::Period;
use crate::core::problem::Problem;
use crate::store::{
    AccumulatorRow, EarnedRow, ExceptionFilter, MarkedKey, NewEarned, NewEntry, NewException, StandingBaseline, Tx,
};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Pairs booked in one transaction.
const BATCH: usize = 500;

/// Books what changed.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    let mut tx = runtime.store.begin().await?;
    let mut total = StageOutcome::default();
    let versions = tx.active_agreements().await?;
    let grouped = figures::by_agreement(&versions);
    let codes = codes(&mut tx).await?;
    freeze_when_due(&mut tx, &grouped, runtime, request.business_day).await?;
    let mut competed = contest::partners(&mut tx, &grouped).await?;
    if !competed.is_empty() {
        let looked_at: BTreeSet<i64> = widen(&mut tx, &grouped).await?.into_iter().map(|k| k.partner_id).collect();
        competed.retain(|partner| looked_at.contains(partner));
    }
    if !competed.is_empty() {
        contest::settle(runtime, &mut tx, &grouped, competed).await?;
    }
    // An agreement that is no longer active keeps what it earned; nothing is booked in silence.
    let marked: Vec<MarkedKey> =
        widen(&mut tx, &grouped).await?.into_iter().filter(|k| grouped.contains_key(k.agreement.as_str())).collect();
    let mut book = Book {
        runtime,
        request,
        grouped: &grouped,
        codes: &codes,
        closed: BTreeSet::new(),
        now: runtime.clock.now(),
        run_id: lease.run_id,
    };
    let mut entries = 0;
    let mut shared = Shared::default();
    let mut concerned = Concerned::default();
    let too_large = TooLarge::read(&mut tx).await?;
    for (batch, keys) in marked.chunks(BATCH).enumerate() {
        lease.check()?;
        book.closed = closed_periods(&mut tx).await?;
        let done = book.batch(&mut tx, keys, &mut shared, &mut concerned, &too_large).await?;
        total.count_in += done.looked_at;
        total.count_out += done.changed;
        total.exceptions += done.exceptions;
        entries += done.booked;
        lease.commit(tx).await?;
        tx = runtime.store.begin().await?;
        let done = (batch * BATCH + keys.len(), marked.len());
        runtime.progress.advanced(i64::try_from(done.0).unwrap_or(0), i64::try_from(done.1).ok());
    }
    lease.commit(tx).await?;
    total.detail =
        format!("{} partner agreements looked at, {} figures changed, {entries} entries booked", total.count_in, total.count_out);
    Ok(total)
}

/// Name of the watermark: the last business day on which baselines were looked through, in days since 1970.
const FROZEN: &str = "baselines-frozen";

/// Marks whose baselines come to stand although no line of theirs changed.
async fn freeze_when_due(
    tx: &mut Tx,
    grouped: &BTreeMap<&str, Vec<AgreementVersion>>,
    runtime: &Runtime,
    business_day: NaiveDate,
) -> PipelineResult<()> {
    let epoch = NaiveDate::default();
    let today = (business_day - epoch).num_days();
    let last = tx.watermark(FROZEN).await?;
    let since = epoch + chrono::TimeDelta::days(last.min(today));
    let due = baselines::due(tx, grouped, &runtime.settings.calendar, since, business_day).await?;
    let marks: Vec<MarkedKey> = due
        .into_iter()
        .map(|(partner_id, agreement)| MarkedKey {
            partner_id,
            agreement,
            reason: "the baseline stands from now on".to_owned(),
            months: Vec::new(),
        })
        .collect();
    tx.mark_keys(&marks).await?;
    if today > last {
        tx.set_watermark(FROZEN, today).await?;
    }
    Ok(())
}

/// Months that take no entry; none is closed before this transaction ends.
async fn closed_periods(tx: &mut Tx) -> PipelineResult<BTreeSet<NaiveDate>> {
    Ok(tx.closed_periods_for_booking().await?.into_iter().collect())
}

/// Partner codes by id.
pub async fn codes(tx: &mut Tx) -> PipelineResult<HashMap<i64, String>> {
    Ok(tx.partner_heads().await?.into_iter().map(|p| (p.id, p.code)).collect())
}

/// Where partners share a qualifier, a change of one concerns all of them. In order of agreement.
async fn widen(tx: &mut Tx, grouped: &BTreeMap<&str, Vec<AgreementVersion>>) -> PipelineResult<Vec<MarkedKey>> {
    let mut marked: BTreeMap<String, Vec<MarkedKey>> = BTreeMap::new();
    for key in tx.marked_keys().await? {
        marked.entry(key.agreement.clone()).or_default().push(key);
    }
    for (agreement, keys) in &mut marked {
        let Some(versions) = grouped.get(agreement.as_str()) else { continue };
        if figures::together(versions) {
            for partner_id in tx.accumulated_partners(agreement).await? {
                if !keys.iter().any(|k| k.partner_id == partner_id) {
                    let reason = "another partner of the agreement".to_owned();
                    keys.push(MarkedKey { partner_id, agreement: agreement.clone(), reason, months: Vec::new() });
                }
            }
        }
    }
    Ok(marked.into_values().flatten().collect())
}

/// Figures that do not fit: they hold their settlements until their source is corrected. What is booked
/// stays, the mark too, and the others go on.
struct TooLarge {
    open: BTreeSet<String>,
}

impl TooLarge {
    async fn read(tx: &mut Tx) -> PipelineResult<Self> {
        let open = tx.exceptions(&ExceptionFilter::default()).await?;
        Ok(Self {
            open: open
                .into_iter()
                .map(|e| e.dedupe_key)
                .filter(|k| k.starts_with("figure:") || k.starts_with("baseline:"))
                .collect(),
        })
    }

    /// Partner 0 stands for all that share the figure.
    fn key(agreement: &str, partner_id: i64) -> String {
        format!("figure:{agreement}:{partner_id}")
    }

    async fn tell(
        &self,
        tx: &mut Tx,
        book: &Book<'_>,
        agreement: &str,
        partner_id: i64,
        problem: Problem,
    ) -> PipelineResult<i64> {
        let partner = book.codes.get(&partner_id).cloned();
        let new = NewException {
            code: problem.code,
            blocking: true,
            subject: partner.as_ref().map_or_else(|| agreement.to_owned(), |code| format!("{agreement} {code}")),
            message: problem.message,
            help: problem.help,
            partner,
            agreement: Some(agreement.to_owned()),
            dedupe_key: Self::key(agreement, partner_id),
            ..NewException::default()
        };
        Ok(i64::from(tx.open_exception(&new, book.request.business_day, book.now).await?))
    }

    async fn clear(&self, tx: &mut Tx, book: &Book<'_>, agreement: &str, partner_id: i64) -> PipelineResult<()> {
        for key in [Self::key(agreement, partner_id), Self::key(agreement, 0)] {
            if self.open.contains(&key) {
                tx.clear_exception(&key, "the figure fits now", book.now).await?;
            }
        }
        Ok(())
    }
}

pub(super) struct Book<'a> {
    runtime: &'a Runtime,
    pub(super) request: &'a RunRequest,
    grouped: &'a BTreeMap<&'a str, Vec<AgreementVersion>>,
    pub(super) codes: &'a HashMap<i64, String>,
    closed: BTreeSet<NaiveDate>,
    pub(super) now: DateTime<Utc>,
    run_id: i64,
}

type Key = (String, NaiveDate, NaiveDate, i64);
type Pair = (i64, String);

/// Figures of the last agreement whose partners share them: reckoned once for all.
#[derive(Default)]
struct Shared {
    agreement: String,
    /// `None` where one of them does not fit.
    figures: Option<Vec<KeyFigure>>,
}

/// What a batch came to.
#[derive(Default)]
struct Done {
    looked_at: i64,
    changed: i64,
    booked: i64,
    exceptions: i64,
}

/// What stands in the store for one pair.
#[derive(Default)]
struct Standing {
    before: BTreeMap<Key, EarnedRow>,
    booked: BTreeMap<Key, BTreeMap<NaiveDate, Booked>>,
    /// Entries of the key that clear no settlement: the next one's number is one more.
    last: BTreeMap<Key, i64>,
    sums: Vec<AccumulatorRow>,
}

impl Book<'_> {
    /// Books a batch of pairs.
    async fn batch(
        &self,
        tx: &mut Tx,
        keys: &[MarkedKey],
        shared: &mut Shared,
        concerned: &mut Concerned,
        too_large: &TooLarge,
    ) -> PipelineResult<Done> {
        let pairs: Vec<(i64, &str)> = keys.iter().map(|k| (k.partner_id, k.agreement.as_str())).collect();
        let mut standing: HashMap<Pair, Standing> = HashMap::new();
        for row in tx.earned_of_pairs(&pairs).await? {
            let f = &row.figure;
            let key = (f.term.clone(), f.period_from, f.period_to, f.part);
            standing.entry((f.partner_id, f.agreement.clone())).or_default().before.insert(key, row);
        }
        for row in tx.booked_of_pairs(&pairs).await? {
            let key = (row.term, row.period_from, row.period_to, row.part);
            let stands = standing.entry((row.partner_id, row.agreement)).or_default();
            *stands.last.entry(key.clone()).or_default() += row.numbered;
            if row.bookings > 0 {
                stands.booked.entry(key).or_default().entry(row.for_month).or_default().amount += Micros(row.amount_u);
            }
        }
        for row in tx.accumulators_of_pairs(&pairs).await? {
            standing.entry((row.partner_id, row.agreement.clone())).or_default().sums.push(row);
        }
        let (mut earned, mut entries, mut frozen) = (Vec::new(), Vec::new(), Vec::new());
        let (mut booked, mut done): (Vec<(i64, &str)>, Done) = (Vec::new(), Done::default());
        for key in keys {
            let Some(versions) = self.grouped.get(key.agreement.as_str()) else { continue };
            let mut stands = standing.remove(&(key.partner_id, key.agreement.clone())).unwrap_or_default();
            let figures = if figures::together(versions) {
                if shared.agreement != key.agreement {
                    let mut rows = tx.accumulators_of_agreement(&key.agreement).await?;
                    let partners: BTreeSet<i64> = rows.iter().map(|r| r.partner_id).collect();
                    for partner_id in partners {
                        self.freeze(versions, partner_id, &mut rows, &mut frozen);
                    }
                    *shared = Shared { agreement: key.agreement.clone(), figures: None };
                    match self.figures(versions, &rows) {
                        Ok(figures) => shared.figures = Some(figures),
                        Err(problem) => done.exceptions += too_large.tell(tx, self, &key.agreement, 0, problem).await?,
                    }
                }
                let Some(figures) = &shared.figures else { continue };
                figures.iter().filter(|f| f.partner_id == key.partner_id).cloned().collect()
            } else {
                let mut rows = std::mem::take(&mut stands.sums);
                self.freeze(versions, key.partner_id, &mut rows, &mut frozen);
                match self.figures(versions, &rows) {
                    Ok(figures) => figures,
                    Err(problem) => {
                        done.exceptions += too_large.tell(tx, self, &key.agreement, key.partner_id, problem).await?;
                        continue;
                    }
                }
            };
            too_large.clear(tx, self, &key.agreement, key.partner_id).await?;
            done.exceptions += baselines::tell(tx, self, versions, key.partner_id, &figures, &too_large.open).await?;
            self.pair(tx, key, versions, figures, stands, &mut earned, &mut entries, concerned).await?;
            booked.push((key.partner_id, &key.agreement));
        }
        tx.freeze_baselines(&frozen, self.request.business_day).await?;
        tx.append_earned(&earned, self.request.business_day, Some(self.run_id)).await?;
        tx.append_entries(&entries, self.request.business_day, Some(self.run_id), self.now).await?;
        tx.clear_keys(&booked).await?;
        let count = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        (done.looked_at, done.changed, done.booked) = (count(booked.len()), count(earned.len()), count(entries.len()));
        Ok(done)
    }

    /// Baselines whose day has come stand from now on.
    fn freeze(
        &self,
        versions: &[AgreementVersion],
        partner_id: i64,
        rows: &mut Vec<AccumulatorRow>,
        frozen: &mut Vec<StandingBaseline>,
    ) {
        let calendar = &self.runtime.settings.calendar;
        baselines::freeze(versions, partner_id, rows, calendar, self.request.business_day, frozen);
    }

    fn figures(&self, versions: &[AgreementVersion], rows: &[AccumulatorRow]) -> Result<Vec<KeyFigure>, Problem> {
        let rank = |id: i64| self.codes.get(&id).cloned().unwrap_or_default();
        figures::figures(versions, rows, &self.runtime.settings.calendar, None, &rank)
    }

    /// What one partner's figures under one agreement change.
    async fn pair(
        &self,
        tx: &mut Tx,
        key: &MarkedKey,
        versions: &[AgreementVersion],
        now: Vec<KeyFigure>,
        stands: Standing,
        earned: &mut Vec<NewEarned>,
        entries: &mut Vec<NewEntry>,
        concerned: &mut Concerned,
    ) -> PipelineResult<()> {
        let calendar = &self.runtime.settings.calendar;
        let Standing { before, mut booked, mut last, .. } = stands;
        let mut keys: BTreeSet<Key> = before.keys().chain(booked.keys()).cloned().collect();
        let mut by_key: BTreeMap<Key, KeyFigure> = BTreeMap::new();
        for figure in now {
            let key = (figure.term.clone(), figure.period.from, figure.period.to, figure.part);
            keys.insert(key.clone());
            by_key.insert(key, figure);
        }
        let newest = versions.last().ok_or_else(|| PipelineError::Internal("agreement without versions".into()))?;
        let mut rated_anew: Vec<usize> = Vec::new();
        for k in keys {
            let figure = by_key.get(&k);
            let held = booked.remove(&k).unwrap_or_default();
            let new = NewEarned {
                partner_id: key.partner_id,
                agreement: key.agreement.clone(),
                version: i64::from(figure.map_or(newest.version, |f| f.version)),
                term: k.0.clone(),
                period_from: k.1,
                period_to: k.2,
                part: k.3,
                currency: newest.currency.code().to_owned(),
                qualifier: figure.map_or(Micros::ZERO, |f| f.qualifier.to_micros()),
                base: figure.map_or(Micros::ZERO, |f| f.base.to_micros()),
                tier: figure.and_then(|f| f.tier).and_then(|t| i64::try_from(t).ok()),
                unrounded: figure.map_or(Fine::ZERO, |f| f.unrounded),
                earned: figure.map_or(Micros::ZERO, |f| f.earned),
                free_goods: figure.map_or(Micros::ZERO, |f| f.evaluation.free_goods.to_micros()),
            };
            let buckets = figure.map(|f| f.buckets.clone()).unwrap_or_default();
            for b in bookings(
                &buckets,
                &held,
                |month| {
                    !held.contains_key(&month)
                        || key.months.iter().any(|m| self.runtime.settings.calendar.month_start(*m) == month)
                },
                |month| !self.closed.contains(&month),
                self.request.business_day,
                calendar,
            ) {
                let seq = last.entry(k.clone()).or_default();
                *seq += 1;
                entries.push(NewEntry {
                    seq: *seq,
                    partner_id: key.partner_id,
                    agreement: key.agreement.clone(),
                    version: new.version,
                    term: k.0.clone(),
                    period_from: k.1,
                    period_to: k.2,
                    part: k.3,
                    accounting_month: b.month,
                    for_month: b.for_month,
                    kind: b.kind.word().to_owned(),
                    amount: b.amount,
                    currency: new.currency.clone(),
                    settlement_id: None,
                    reason: {
                        let fresh = key.months.iter().any(|m| calendar.month_start(*m) == b.for_month);
                        let why = causes::why(&key.reason, b.for_month, fresh, calendar);
                        if b.month != b.for_month && !fresh && !why.of_month {
                            rated_anew.push(entries.len());
                        }
                        reason(why.text, Period { from: k.1, to: k.2 }, b.for_month, b.month)
                    },
                });
            }
            if before.get(&k).is_none_or(|row| row.figure != new) {
                earned.push(new);
            }
        }
        let mut unnamed: Vec<&mut NewEntry> =
            entries.iter_mut().enumerate().filter(|(at, _)| rated_anew.contains(at)).map(|(_, entry)| entry).collect();
        concerned.name(self.runtime, tx, versions, key.partner_id, &mut unnamed).await
    }
}

fn reason(why: String, period: Period, for_month: NaiveDate, month: NaiveDate) -> String {
    if month == for_month { why } else { format!("correction for {} ({period}): {why}", for_month.format("%Y-%m")) }
}
