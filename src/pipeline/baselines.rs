//! Baselines of growth: which one stands for a period, when it is frozen, and what a person is told
//! (`calculation.md` section 5, case 10).
//!
//! Until its day a baseline follows the documents of its period. Then it is stored, and what comes later is
//! an exception and no other figure.

use super::PipelineResult;
use super::accrue::Book;
use super::figures::KeyFigure;
use crate::core::accrual::Entry;
use crate::core::agreement::{AgreementVersion, Baseline, BaselineRow, Freeze, Growth, NewPartner, Rule, Term};
use crate::core::master::{Draft, Table};
use crate::core::matching::{
    QUALIFIER, Sums, accumulation_periods, baseline_period, facet, restarts, ruling, term_calendar, whole_validity,
};
use crate::core::number::Exact;
use crate::core::period::{FiscalCalendar, Period};
use crate::core::problem::Problem;
use crate::pipeline::named_table::{self, Wanted};
use crate::store::{AccumulatorRow, BaselineKind, NewException, StandingBaseline, Tx};
use chrono::{Days, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A growth term with the periods that it compares: each with the days of its baseline.
struct Compared<'a> {
    term: &'a Term,
    growth: &'a Growth,
    periods: Vec<(Period, Period)>,
}

/// The growth terms of an agreement, by its newest version that has them.
fn growth_terms<'a>(versions: &'a [AgreementVersion], calendar: &FiscalCalendar) -> Vec<Compared<'a>> {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    let (Some(newest), Some(validity)) = (versions.last(), whole_validity(&references)) else { return Vec::new() };
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for term in versions.iter().rev().flat_map(|v| &v.terms).filter(|t| seen.insert(&t.id)) {
        let Rule::Growth(growth) = &term.rule else { continue };
        let calendar = term_calendar(newest, calendar);
        let restarts = restarts(&references, &ruling(&references));
        // A table is told by the days of its own period, or by those of the year before.
        let shape = if growth.baseline.follows_documents() { &growth.baseline } else { &Baseline::PriorYear };
        let periods = accumulation_periods(&calendar, term.accumulate, validity, &restarts)
            .into_iter()
            .filter_map(|p| Some((p, baseline_period(shape, &calendar, term.accumulate, p, validity)?)))
            .collect();
        found.push(Compared { term, growth, periods });
    }
    found
}

/// Baselines that stand, for the figures that they belong to: imported before frozen, frozen before those of the
/// agreement's own table.
pub fn standing<'a>(
    versions: &'a [AgreementVersion],
    rows: &[AccumulatorRow],
    calendar: &FiscalCalendar,
    rank: &dyn Fn(i64) -> String,
) -> Vec<(&'a str, Period, Entry)> {
    let mut list = Vec::new();
    if !versions.iter().flat_map(|v| &v.terms).any(|t| matches!(t.rule, Rule::Growth(_))) {
        return list;
    }
    let terms = growth_terms(versions, calendar);
    let partners: BTreeSet<i64> = rows.iter().map(|r| r.partner_id).collect();
    let stored: Vec<&AccumulatorRow> = rows.iter().filter(|r| r.facet == facet::STANDING_BASELINE).collect();
    for compared in &terms {
        for (period, baseline) in &compared.periods {
            // Told by the days of the period, or by those of the baseline where no period has these.
            let meant = |from, to| {
                let days = Period { from, to };
                days == *period || (days == *baseline && !compared.periods.iter().any(|(other, _)| *other == days))
            };
            for partner_id in &partners {
                let of_term = |r: &&&AccumulatorRow| {
                    r.partner_id == *partner_id
                        && (r.term == compared.term.id || (r.term.is_empty() && terms.len() == 1))
                        && meant(r.period_from, r.period_to)
                };
                let figure = stored.iter().filter(of_term).max_by_key(|r| r.version).map(|r| r.sums[QUALIFIER]);
                let figure = figure.or_else(|| match &compared.growth.baseline {
                    Baseline::Table { rows, .. } => {
                        let code = rank(*partner_id);
                        rows.iter().rfind(|r| r.partner == code && meant(r.from, r.to)).map(|r| r.amount.exact())
                    }
                    _ => None,
                });
                let Some(figure) = figure else { continue };
                let mut slots = [Exact::ZERO; 4];
                slots[QUALIFIER] = figure;
                list.push((
                    compared.term.id.as_str(),
                    *period,
                    Entry {
                        partner_id: *partner_id,
                        facet: facet::STANDING_BASELINE,
                        bucket: period.from,
                        version: 0,
                        sums: Sums { slots, lines: 0, documents: 0 },
                    },
                ));
            }
        }
    }
    list
}

/// The day from which on a baseline stands, provided that the agreement is in force.
fn stands_from(growth: &Growth, period: Period, baseline: Period, valid_from: NaiveDate) -> NaiveDate {
    let on = match growth.freeze {
        Freeze::Days(days) => baseline.to.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX),
        Freeze::Start => period.from,
        Freeze::On(day) => day,
    };
    on.max(valid_from)
}

/// Partners whose baselines are to be frozen by `business_day`: those of agreements in which such a day lies
/// at or after `since`.
pub async fn due(
    tx: &mut Tx,
    grouped: &BTreeMap<&str, Vec<AgreementVersion>>,
    calendar: &FiscalCalendar,
    since: NaiveDate,
    business_day: NaiveDate,
) -> PipelineResult<Vec<(i64, String)>> {
    let mut pairs = Vec::new();
    for (id, versions) in grouped {
        let valid_from = versions.first().map_or(NaiveDate::MIN, |v| v.valid.from);
        let due = growth_terms(versions, calendar).iter().any(|c| {
            c.growth.baseline.follows_documents()
                && c.periods.iter().any(|(period, baseline)| {
                    let day = stands_from(c.growth, *period, *baseline, valid_from);
                    since <= day && day <= business_day
                })
        });
        if due {
            pairs.extend(tx.accumulated_partners(id).await?.into_iter().map(|partner| (partner, (*id).to_owned())));
        }
    }
    Ok(pairs)
}

/// What becomes of the baselines of one pair: those whose day has come are frozen. The sums get them at once, so that
/// the figures of the same night know them.
pub fn freeze(
    versions: &[AgreementVersion],
    partner_id: i64,
    rows: &mut Vec<AccumulatorRow>,
    calendar: &FiscalCalendar,
    business_day: NaiveDate,
    frozen: &mut Vec<StandingBaseline>,
) {
    let Some(newest) = versions.last() else { return };
    let valid_from = versions.first().map_or(NaiveDate::MIN, |v| v.valid.from);
    for compared in growth_terms(versions, calendar) {
        if !compared.growth.baseline.follows_documents() {
            continue;
        }
        for (period, baseline) in &compared.periods {
            if stands_from(compared.growth, *period, *baseline, valid_from) > business_day {
                continue;
            }
            let of_period = |r: &&AccumulatorRow| {
                r.partner_id == partner_id
                    && r.term == compared.term.id
                    && (r.period_from, r.period_to) == (period.from, period.to)
            };
            let known = |r: &AccumulatorRow| r.facet == facet::STANDING_BASELINE && r.version == 0;
            if rows.iter().filter(of_period).any(known) || !rows.iter().any(|r| of_period(&r)) {
                continue;
            }
            let figure = rows.iter().filter(of_period).filter(|r| r.facet == facet::BASELINE).map(|r| r.sums[QUALIFIER]).sum();
            let standing = StandingBaseline {
                partner_id,
                agreement: newest.id.clone(),
                term: compared.term.id.clone(),
                period_from: period.from,
                period_to: period.to,
                kind: BaselineKind::Frozen,
                figure,
            };
            rows.push(standing.as_sum());
            frozen.push(standing);
        }
    }
}

/// Key of what a person is told about the baseline of a figure.
fn key(code: &str, agreement: &str, term: &str, partner_id: i64, from: NaiveDate) -> String {
    format!("baseline:{code}:{agreement}:{term}:{partner_id}:{from}")
}

/// What a person is told about the baselines of one pair's figures; what is mended is cleared.
pub(super) async fn tell(
    tx: &mut Tx,
    book: &Book<'_>,
    versions: &[AgreementVersion],
    partner_id: i64,
    figures: &[KeyFigure],
    open: &BTreeSet<String>,
) -> PipelineResult<i64> {
    let Some(newest) = versions.last() else { return Ok(0) };
    let mut opened = 0;
    for figure in figures {
        let term = versions.iter().rev().flat_map(|v| &v.terms).find(|t| t.id == figure.term);
        let Some(Rule::Growth(growth)) = term.map(|t| &t.rule) else { continue };
        let baseline = figure.evaluation.baseline.unwrap_or_default();
        let money = |amount: Exact| newest.currency.amount_text(amount.to_micros());
        let mut findings: Vec<(&str, String, &str)> = Vec::new();
        if figure.lines > 0 && growth.new_partner == NewPartner::Exception && baseline.is_zero() {
            findings.push((
                "no-baseline",
                format!("there is no baseline for {}: nothing is earned by growth", figure.period),
                "import a baseline (`rebated import baselines FILE`), or say what a new partner means with `new_partner`",
            ));
        } else if figure.lines > 0 && growth.new_partner != NewPartner::Skip && baseline.is_negative() {
            findings.push((
                "baseline-not-positive",
                format!(
                    "the baseline for {} is {}: growth over less than nothing is not defined",
                    figure.period,
                    money(baseline)
                ),
                "import a baseline (`rebated import baselines FILE`) that both sides agree on",
            ));
        }
        if let Some(documents) = figure.evaluation.documents_baseline
            && documents != baseline
            && growth.baseline.follows_documents()
        {
            let difference = money(documents - baseline);
            findings.push((
                "baseline-changed",
                format!(
                    "documents of the baseline of {} came after it was frozen at {}: difference {difference}",
                    figure.period,
                    money(baseline)
                ),
                "nothing changes by itself; import a baseline if both sides agree on another one",
            ));
        }
        for code in ["no-baseline", "baseline-not-positive", "baseline-changed"] {
            let key = key(code, &newest.id, &figure.term, partner_id, figure.period.from);
            match findings.iter().find(|f| f.0 == code) {
                Some((_, message, help)) => {
                    let partner = book.codes.get(&partner_id).cloned();
                    let new = NewException {
                        code: code.to_owned(),
                        blocking: false,
                        subject: format!("{} {} {}", newest.id, figure.term, partner.as_deref().unwrap_or_default()),
                        message: message.clone(),
                        help: Some((*help).to_owned()),
                        partner,
                        agreement: Some(newest.id.clone()),
                        dedupe_key: key,
                        ..NewException::default()
                    };
                    opened += i64::from(tx.open_exception(&new, book.request.business_day, book.now).await?);
                }
                None if open.contains(&key) => {
                    tx.clear_exception(&key, "there is a baseline now, or it agrees with its documents again", book.now).await?;
                }
                None => {}
            }
        }
    }
    Ok(opened)
}

const WANTED: Wanted = Wanted { table: Table::Baselines, of: "baselines", instead: "give the baseline as `period` or `fixed`" };

/// The version with the rows of the tables that it names, looked for in the folders in turn, and the hashes of those
/// tables.
pub fn with_tables(version: &AgreementVersion, source: &str, folders: &[PathBuf]) -> Result<(AgreementVersion, String), Problem> {
    let mut version = version.clone();
    let mut hashes = String::new();
    let id = version.id.clone();
    for term in &mut version.terms {
        let Rule::Growth(Growth { baseline: Baseline::Table { file, rows }, .. }) = &mut term.rule else { continue };
        let table = named_table::read(WANTED, file, source, folders).map_err(|found| first(found, file))?;
        *rows = table
            .rows
            .into_iter()
            .filter_map(|draft| match draft {
                Draft::Baseline(b) if b.agreement == id && b.term.as_ref().is_none_or(|t| *t == term.id) => {
                    Some(BaselineRow { partner: b.partner, from: b.from, to: b.to, amount: b.amount })
                }
                _ => None,
            })
            .collect();
        hashes.push_str(&table.sha256);
    }
    Ok((version, hashes))
}

fn first(found: Vec<Problem>, file: &str) -> Problem {
    found.into_iter().next().unwrap_or_else(|| Problem::new("unreadable-file", format!("`{file}` cannot be read")))
}
