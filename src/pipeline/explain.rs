//! Explain: the same road backwards. A receipt for any earned figure, a journey for any line.

use super::contest;
use super::counted;
use super::decide::shown::Answer;
use super::figures;
use super::intake::refused::is_row_of;
use super::{PipelineResult, Runtime, accrue, settled};
use crate::core::agreement::AgreementVersion;
use crate::core::line::Line;
use crate::core::matching::{Matcher, Outcome};
use crate::core::number::Micros;
use crate::core::period::Period;
use crate::core::problem::Problem;
use crate::core::receipt::{Receipt, ReceiptHead};
use crate::store::{ExceptionFilter, Tx};
use serde::Serialize;
use std::sync::Arc;

/// Receipts of a partner's figures under an agreement that overlap the period, as of its last day.
pub async fn receipts(
    runtime: &Runtime,
    agreement: &str,
    partner: &str,
    period: Option<Period>,
    term: Option<&str>,
) -> PipelineResult<Vec<Receipt>> {
    let mut tx = runtime.store.read().await?;
    let versions: Vec<_> = tx.active_agreements().await?.into_iter().filter(|v| v.id == agreement).collect();
    let Some(newest) = versions.last() else {
        return Err(Problem::new("no-agreement", format!("no version of `{agreement}` is active"))
            .help("see `rebated agreement list`")
            .into());
    };
    let Some(partner_id) = tx.partner_ids().await?.get(partner).copied() else {
        return Err(Problem::new("no-partner", format!("there is no partner `{partner}`")).into());
    };
    let codes = accrue::codes(&mut tx).await?;
    let cutoff = period.map(|p| p.to);
    let rows = figures::sums(&mut tx, &versions, partner_id).await?;
    let rank = |id: i64| codes.get(&id).cloned().unwrap_or_default();
    let found = figures::figures(&versions, &rows, &runtime.settings.calendar, cutoff, &rank)?;
    let counted = counted::lines(runtime, &mut tx, &versions, partner_id, cutoff).await?;
    let entries = tx.entries(partner_id, agreement).await?;
    let merges = tx.merges().await?;
    let settled = settled::of(&mut tx, &versions, merges.as_ref()).await?;
    let mut receipts = Vec::new();
    for figure in found.iter().filter(|f| f.partner_id == partner_id && term.is_none_or(|t| t == f.term)) {
        if period.is_some_and(|p| !p.overlaps(&figure.period)) {
            continue;
        }
        let same = |t: &str, from, to, part| {
            t == figure.term && from == figure.period.from && to == figure.period.to && part == figure.part
        };
        let booked: Micros = entries
            .iter()
            .map(|r| &r.entry)
            .filter(|e| {
                // Like what is earned: of the months that were asked for.
                same(&e.term, e.period_from, e.period_to, e.part)
                    && !matches!(e.kind.as_str(), "settlement" | "write-off")
                    && cutoff.is_none_or(|day| e.for_month <= day)
            })
            .map(|e| e.amount)
            .sum();
        let key = (partner_id, figure.term.clone(), figure.period.from, figure.period.to, figure.part);
        let paid = settled.by_key.get(&key).copied().unwrap_or_default();
        let head = ReceiptHead {
            agreement: agreement.to_owned(),
            title: newest.title.clone(),
            term: figure.term.clone(),
            partner: partner.to_owned(),
            period: figure.period,
            currency: newest.currency,
            sold_by: cutoff,
        };
        let shares = counted::shares(runtime, &versions, figure, &counted)?;
        receipts.push(Receipt::new(head, &figure.reckoning(&versions), &shares, booked, paid));
    }
    Ok(receipts)
}

/// One step of a line's journey.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Stage.
    pub stage: &'static str,
    /// What happened there.
    pub what: String,
}

/// Why an agreement's term counted a line, or not.
#[derive(Clone, Debug, Serialize)]
pub struct LineVerdict {
    /// Agreement id.
    pub agreement: String,
    /// Term id.
    pub term: String,
    /// Whether it counts.
    pub counted: bool,
    /// Reason code; empty when it counts.
    pub code: String,
    /// In words.
    pub reason: String,
}

/// Where a line came from and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Journey {
    /// Document.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Stage by stage.
    pub steps: Vec<Step>,
    /// For every term of every agreement that could touch it.
    pub verdicts: Vec<LineVerdict>,
}

/// The journeys of rows that could not be read: they end at once, in an exception.
async fn refused(tx: &mut Tx, number: &str, only: Option<&str>) -> PipelineResult<Vec<Journey>> {
    let rows =
        tx.exceptions(&ExceptionFilter { all: true }).await?.into_iter().filter(|e| is_row_of(&e.dedupe_key, number, only));
    Ok(rows
        .map(|e| {
            let place = e.place.map(|place| format!(" at {place}")).unwrap_or_default();
            let state = match (e.state.as_str(), &e.reason) {
                ("open", _) | (_, None) => e.state.clone(),
                (state, Some(reason)) => format!("{state}: {reason}"),
            };
            Journey {
                document: e.subject,
                line: e.line_number.unwrap_or_default(),
                steps: vec![Step {
                    stage: "normalize",
                    what: format!("refused{place}: {} [{}], exception {} is {state}", e.message, e.code, e.id),
                }],
                verdicts: Vec::new(),
            }
        })
        .collect())
}

/// Verdicts after agreements that exclude each other were compared: what another one pays does not count.
fn kept(verdicts: Vec<LineVerdict>, line: &Line, lost: &contest::Lost) -> Vec<LineVerdict> {
    let mut verdicts = verdicts;
    for verdict in verdicts.iter_mut().filter(|v| v.counted) {
        if let Some(reason) = lost.lines.get(&(line.id, verdict.agreement.clone(), verdict.term.clone())) {
            (verdict.counted, verdict.code) = (false, "paid-by-another".to_owned());
            verdict.reason = format!("in the qualifier only: {reason}");
        }
    }
    verdicts
}

/// Whether a term decides on each of its lines.
fn decides(versions: &[AgreementVersion], agreement: &str, term: &str) -> bool {
    versions.iter().filter(|v| v.id == agreement).flat_map(|v| &v.terms).any(|t| t.id == term && t.rule.is_decided())
}

/// What a term that decides on each of its lines says of one.
fn decided(agreement: &str, term: &str, answer: Option<&Answer>) -> LineVerdict {
    let (counted, code, reason) = match answer {
        None => (false, "not-decided-yet".to_owned(), "it is decided with the next match".to_owned()),
        Some(answer) if answer.agreement != agreement || answer.term != term => {
            let by = format!("{} {} decides on it", answer.agreement, answer.term);
            (false, "decided-elsewhere".to_owned(), by)
        }
        Some(answer) => {
            let counted = matches!(answer.outcome.as_str(), "accepted" | "cut");
            (counted, if counted { String::new() } else { answer.reason.clone() }, answer.text())
        }
    };
    LineVerdict { agreement: agreement.to_owned(), term: term.to_owned(), counted, code, reason }
}

/// The journey of the lines of all documents of a number, rows that could not be read first.
pub async fn journey(runtime: &Runtime, number: &str, only: Option<&str>) -> PipelineResult<Vec<Journey>> {
    let mut tx = runtime.store.read().await?;
    let versions = tx.active_agreements().await?;
    let master = Arc::new(tx.master_data().await?);
    let matcher = Matcher::new(&versions, master.clone(), runtime.settings.calendar);
    let mut journeys = refused(&mut tx, number, only).await?;
    for document in tx.documents_numbered(number).await? {
        let mut steps = Vec::new();
        if let Some(archive) = tx.archive_meta(document.head.archive_id).await? {
            steps.push(Step {
                stage: "pull",
                what: format!(
                    "{} {} {} of {}, sha256 {}",
                    archive.connector,
                    archive.feed,
                    archive.name,
                    archive.received_at,
                    &archive.sha256[..12]
                ),
            });
        }
        steps.push(Step {
            stage: "normalize",
            what: format!("{}, version {}, {}", document.identity, document.head.version, document.head.status),
        });
        for row in tx
            .pending_lines()
            .await?
            .into_iter()
            .filter(|r| r.document_id == document.id && only.is_none_or(|l| l == r.line_number))
        {
            journeys.push(Journey {
                document: document.identity.to_string(),
                line: row.line_number.clone(),
                steps: steps
                    .iter()
                    .cloned()
                    .chain([Step { stage: "normalize", what: format!("waits: {}", row.codes) }])
                    .collect(),
                verdicts: Vec::new(),
            });
        }
        let Some(partner_id) = document.head.partner_id else { continue };
        if let Some(stored) = tx.document_version(partner_id, document.id, document.head.version).await? {
            let view = stored.view();
            let survivor = master.effective_partner(partner_id, view.date, chrono::NaiveDate::MAX);
            let lost = contest::of_partner_anew(&mut tx, runtime.settings.calendar, survivor, &master).await?;
            let decisions = tx.claim_decisions_on(document.id).await?;
            for line in view.lines.iter().filter(|l| only.is_none_or(|only| only == &*l.line_number)) {
                let decision = decisions.iter().find(|d| *d.line_number == *line.line_number);
                let answer = decision.and_then(|d| {
                    let currency = versions.iter().find(|v| v.id == d.agreement)?.currency;
                    let partner = master.partner(d.partner_id).map_or_else(String::new, |p| p.code.to_string());
                    Some(Answer::of(d, Some(number), &partner, currency))
                });
                let verdicts: Vec<LineVerdict> = matcher
                    .explain_line(line, &view)
                    .into_iter()
                    .map(|v| match v.outcome {
                        Outcome::Counted { .. } if decides(&versions, &v.agreement, &v.term) => {
                            decided(&v.agreement, &v.term, answer.as_ref())
                        }
                        Outcome::Counted { rule, .. } => LineVerdict {
                            agreement: v.agreement.to_string(),
                            term: v.term.to_string(),
                            counted: true,
                            code: String::new(),
                            reason: rule,
                        },
                        Outcome::Not { code, reason } => LineVerdict {
                            agreement: v.agreement.to_string(),
                            term: v.term.to_string(),
                            counted: false,
                            code: code.to_owned(),
                            reason,
                        },
                    })
                    .collect();
                let verdicts = kept(verdicts, line, &lost);
                let mut steps = steps.clone();
                let counted = verdicts.iter().filter(|v| v.counted).count();
                let partner = master.partner(line.partner_id).map_or_else(String::new, |p| p.code.to_string());
                steps.push(Step {
                    stage: "normalize",
                    what: format!(
                        "partner {partner}, quantity {} {}, net {} {}",
                        line.quantity,
                        line.unit,
                        line.currency.amount_text(line.net_amount),
                        line.currency
                    ),
                });
                steps.push(Step { stage: "match", what: format!("{counted} of {} terms count it", verdicts.len()) });
                steps.extend(answer.iter().map(|answer| Step { stage: "match", what: answer.text() }));
                for s in tx.settlements().await? {
                    if s.is_out()
                        && tx.settlement_snapshot(s.id, s.revision).await?.contains(&format!("\"document\":\"{number}\""))
                    {
                        steps.push(Step {
                            stage: "push",
                            what: format!("behind settlement {} {} ({})", s.id, s.reference, s.state),
                        });
                    }
                }
                journeys.push(Journey {
                    document: document.identity.to_string(),
                    line: line.line_number.to_string(),
                    steps,
                    verdicts,
                });
            }
        }
    }
    Ok(journeys)
}
