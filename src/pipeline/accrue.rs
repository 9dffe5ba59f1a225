//! Accrue: what is earned now, less what is booked, is booked (`calculation.md` section 7).
//!
//! Only partners and agreements whose sums changed are looked at. Earned figures and ledger entries
//! are appended, never changed; a second run over the same sums appends nothing.

use super::causes::{self, Concerned};
use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime};
use crate::core::accrual::{Booked, bookings};
use crate::core::agreement::AgreementVersion;
use crate::core::number::{Fine, Micros};
use crate::core::period::Period;
use crate::core::problem::Problem;
use crate::store::{EarnedRow, ExceptionFilter, KeyRow, NewEarned, NewEntry, NewException, Tx};
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
    let mut closed = closed_periods(&mut tx).await?;
    let marked = widen(&mut tx, &grouped).await?;
    let now = runtime.clock.now();
    let mut entries = 0;
    let mut concerned = Concerned::default();
    let too_large = TooLarge::read(&mut tx).await?;
    for (done, (agreement, keys)) in marked.iter().enumerate() {
        lease.check()?;
        let Some(versions) = grouped.get(agreement.as_str()) else {
            // An agreement that is no longer active keeps what it earned; nothing is booked in silence.
            continue;
        };
        let mut book = Book { runtime, request, versions, codes: &codes, closed, now, run_id: lease.run_id };
        // Where partners share a figure it is reckoned once for all of them.
        let shared = if figures::together(versions) {
            match book.figures(&mut tx, 0).await? {
                Ok(figures) => Some(figures),
                Err(problem) => {
                    total.exceptions += too_large.tell(&mut tx, &book, agreement, 0, problem).await?;
                    closed = book.closed;
                    continue;
                }
            }
        } else {
            None
        };
        for (pairs, key) in keys.iter().enumerate() {
            let figures = match &shared {
                Some(shared) => shared.iter().filter(|f| f.partner_id == key.partner_id).cloned().collect(),
                None => match book.figures(&mut tx, key.partner_id).await? {
                    Ok(figures) => figures,
                    Err(problem) => {
                        total.exceptions += too_large.tell(&mut tx, &book, agreement, key.partner_id, problem).await?;
                        continue;
                    }
                },
            };
            too_large.clear(&mut tx, &book, agreement, key.partner_id).await?;
            let (changed, booked) = book.pair(&mut tx, key, figures, &mut concerned).await?;
            total.count_in += 1;
            total.count_out += changed;
            entries += booked;
            tx.clear_key(key.partner_id, agreement).await?;
            if (pairs + 1) % BATCH == 0 {
                lease.commit(tx).await?;
                tx = runtime.store.begin().await?;
                book.closed = closed_periods(&mut tx).await?;
            }
        }
        closed = book.closed;
        runtime.progress.advanced(i64::try_from(done + 1).unwrap_or(0), i64::try_from(marked.len()).ok());
    }
    lease.commit(tx).await?;
    total.detail =
        format!("{} partner agreements looked at, {} figures changed, {entries} entries booked", total.count_in, total.count_out);
    Ok(total)
}

/// Months that take no entry; none is closed before this transaction ends.
async fn closed_periods(tx: &mut Tx) -> PipelineResult<BTreeSet<NaiveDate>> {
    Ok(tx.closed_periods_for_booking().await?.into_iter().collect())
}

/// Partner codes by id.
pub async fn codes(tx: &mut Tx) -> PipelineResult<HashMap<i64, String>> {
    Ok(tx.partner_heads().await?.into_iter().map(|p| (p.id, p.code)).collect())
}

/// Where partners share a qualifier, a change of one concerns all of them.
async fn widen(tx: &mut Tx, grouped: &BTreeMap<&str, Vec<AgreementVersion>>) -> PipelineResult<BTreeMap<String, Vec<KeyRow>>> {
    let mut marked: BTreeMap<String, Vec<KeyRow>> = BTreeMap::new();
    for key in tx.marked_keys().await? {
        marked.entry(key.agreement.clone()).or_default().push(key);
    }
    for (agreement, keys) in &mut marked {
        let Some(versions) = grouped.get(agreement.as_str()) else { continue };
        if figures::together(versions) {
            for partner_id in tx.accumulated_partners(agreement).await? {
                if !keys.iter().any(|k| k.partner_id == partner_id) {
                    let reason = "another partner of the agreement".to_owned();
                    keys.push(KeyRow { partner_id, agreement: agreement.clone(), reason, months: Vec::new() });
                }
            }
        }
    }
    Ok(marked)
}

/// Figures that do not fit: they hold their settlements until their source is corrected. What is booked
/// stays, the mark too, and the others go on.
struct TooLarge {
    open: BTreeSet<String>,
}

impl TooLarge {
    async fn read(tx: &mut Tx) -> PipelineResult<Self> {
        let open = tx.exceptions(&ExceptionFilter::default()).await?;
        Ok(Self { open: open.into_iter().map(|e| e.dedupe_key).filter(|k| k.starts_with("figure:")).collect() })
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

struct Book<'a> {
    runtime: &'a Runtime,
    request: &'a RunRequest,
    versions: &'a [AgreementVersion],
    codes: &'a HashMap<i64, String>,
    closed: BTreeSet<NaiveDate>,
    now: DateTime<Utc>,
    run_id: i64,
}

type Key = (String, NaiveDate, NaiveDate, i64);

impl Book<'_> {
    /// Figures of one partner, or of all where they are reckoned together.
    async fn figures(&self, tx: &mut Tx, partner_id: i64) -> PipelineResult<Result<Vec<KeyFigure>, Problem>> {
        let rows = figures::sums(tx, self.versions, partner_id).await?;
        let rank = |id: i64| self.codes.get(&id).cloned().unwrap_or_default();
        Ok(figures::figures(self.versions, &rows, &self.runtime.settings.calendar, None, &rank))
    }

    /// Books one partner under one agreement: (figures changed, entries booked).
    async fn pair(
        &self,
        tx: &mut Tx,
        key: &KeyRow,
        now: Vec<KeyFigure>,
        concerned: &mut Concerned,
    ) -> PipelineResult<(i64, i64)> {
        let calendar = &self.runtime.settings.calendar;
        let before: BTreeMap<Key, EarnedRow> = tx
            .earned_figures(key.partner_id, &key.agreement, crate::core::period::LAST_DAY)
            .await?
            .into_iter()
            .map(|row| ((row.figure.term.clone(), row.figure.period_from, row.figure.period_to, row.figure.part), row))
            .collect();
        let mut booked: BTreeMap<Key, BTreeMap<NaiveDate, Booked>> = BTreeMap::new();
        let mut last: BTreeMap<Key, i64> = BTreeMap::new();
        for row in tx.entries(key.partner_id, &key.agreement).await? {
            let e = row.entry;
            if e.settlement_id.is_none() {
                *last.entry((e.term.clone(), e.period_from, e.period_to, e.part)).or_default() += 1;
            }
            if !matches!(e.kind.as_str(), "settlement" | "write-off") {
                let months = booked.entry((e.term, e.period_from, e.period_to, e.part)).or_default();
                months.entry(e.for_month).or_default().amount += e.amount;
            }
        }
        let mut keys: BTreeSet<Key> = before.keys().chain(booked.keys()).cloned().collect();
        let mut by_key: BTreeMap<Key, KeyFigure> = BTreeMap::new();
        for figure in now {
            let key = (figure.term.clone(), figure.period.from, figure.period.to, figure.part);
            keys.insert(key.clone());
            by_key.insert(key, figure);
        }
        let newest = self.versions.last().ok_or_else(|| PipelineError::Internal("agreement without versions".into()))?;
        let mut earned: Vec<NewEarned> = Vec::new();
        let mut entries: Vec<NewEntry> = Vec::new();
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
        concerned.name(self.runtime, tx, self.versions, key.partner_id, &mut unnamed).await?;
        tx.append_earned(&earned, self.request.business_day, Some(self.run_id)).await?;
        tx.append_entries(&entries, self.request.business_day, Some(self.run_id), self.now).await?;
        Ok((i64::try_from(earned.len()).unwrap_or(0), i64::try_from(entries.len()).unwrap_or(0)))
    }
}

fn reason(why: String, period: Period, for_month: NaiveDate, month: NaiveDate) -> String {
    if month == for_month { why } else { format!("correction for {} ({period}): {why}", for_month.format("%Y-%m")) }
}
