//! Statements: figures of one partner and period, stored by revision, mailed once to each contact.

mod input;
mod mails;
mod open_points;

pub use mails::{Resent, mails_are_due, render_statement, resend, send_again, transport};

use crate::core::hash::sha256_hex;
use crate::core::period::{Period, period_label};
use crate::core::problem::Problem;
use crate::core::statement::Statement;
use crate::delivery::outbox;
use crate::pipeline::run::{Lease, RunRequest, fault_point};
use crate::pipeline::stages::StageOutcome;
use crate::pipeline::{PipelineError, PipelineResult, Runtime, pull};
use crate::store::{ExceptionFilter, MailRow, NewException, PartnerHead, StatementRow};
use chrono::NaiveDate;

/// Code of statements that wait for a feed.
const STATEMENTS_WAIT: &str = "statements-wait";

/// Writes and sends what is due.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let mut outcome = StageOutcome::default();
    let (mut written, mut refused) = (0, 0);
    let (due, waiting) = due(runtime, request).await?;
    for period in &due {
        for partner in partners_with_agreements(runtime).await? {
            lease.check()?;
            outcome.count_in += 1;
            match write(runtime, &partner, *period, request.business_day, false).await {
                Ok(Some(_)) => written += 1,
                Ok(None) => {}
                // One partner's figures keep nobody else from a statement.
                Err(PipelineError::Problems(problems)) => {
                    refuse(runtime, &partner, *period, request.business_day, &problems).await?;
                    refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        let mut tx = runtime.store.begin().await?;
        tx.clear_exception(&waits_key(*period), "they are written", runtime.clock.now()).await?;
        tx.commit().await?;
    }
    if request.dry_run {
        outcome.exceptions = refused;
        outcome.detail = format!("{written} statements would be written, {refused} held back; a dry run sends no mail");
        return Ok(outcome);
    }
    fault_point("statements:written");
    let report = mails::send(runtime, lease, request.business_day).await?;
    lease.check()?;
    outcome.count_out = i64::from(report.sent);
    outcome.exceptions = refused + i64::try_from(report.problems.len()).unwrap_or(0);
    let waiting = if waiting.is_empty() { String::new() } else { format!("; those of {} wait for a feed", waiting.join(", ")) };
    // A run that only sends what was written before says nothing of writing.
    let written = if due.is_empty() { String::new() } else { format!("{written} statements written, {refused} held back; ") };
    outcome.detail = format!(
        "{written}{} mails sent, {} later, {} uncertain, {} refused{waiting}",
        report.sent, report.later, report.uncertain, report.refused
    );
    if report.later > 0 {
        outcome.detail.push_str("; what is later is tried again by the daemon while it runs, else by the next run");
    }
    Ok(outcome)
}

fn refused_key(partner: &PartnerHead, period: Period) -> String {
    format!("statement-figures:{}:{period}", partner.code)
}

/// A statement whose figures contradict each other is not sent: a person has to look.
async fn refuse(
    runtime: &Runtime,
    partner: &PartnerHead,
    period: Period,
    business_day: NaiveDate,
    problems: &crate::core::problem::Problems,
) -> PipelineResult<()> {
    let first = problems.0.first();
    let new = NewException {
        code: first.map_or_else(|| "statement-does-not-add-up".to_owned(), |p| p.code.clone()),
        subject: format!("{} {}", partner.code, period_label(period, &runtime.settings.calendar)),
        message: format!("no statement was written: {problems}"),
        help: first.and_then(|p| p.help.clone()),
        partner: Some(partner.code.clone()),
        dedupe_key: refused_key(partner, period),
        ..NewException::default()
    };
    let mut tx = runtime.store.begin().await?;
    tx.open_exception(&new, business_day, runtime.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn waits_key(period: Period) -> String {
    format!("statements-wait:{period}")
}

/// Months whose statements are written now, and the names of those that wait: documents of a feed that
/// could not be read are missing, and a mail that is out cannot be called back. They are written by the
/// next run that reads every feed.
async fn due(runtime: &Runtime, request: &RunRequest) -> PipelineResult<(Vec<Period>, Vec<String>)> {
    let calendar = runtime.settings.calendar;
    let mut tx = runtime.store.begin().await?;
    let open = tx.exceptions(&ExceptionFilter::default()).await?;
    let waited = open.iter().filter(|e| e.code == STATEMENTS_WAIT).filter_map(|e| e.on_date).map(|day| calendar.month(day));
    let mut months: Vec<Period> = waited.collect();
    let this = request.statements_due.then(|| calendar.month(request.business_day));
    months.extend(this.filter(|month| !months.contains(month)));
    months.sort_by_key(|month| month.from);
    let failed = pull::failed_feeds(&mut tx).await?;
    if failed.is_empty() {
        return Ok((months, Vec::new()));
    }
    let mut names = Vec::new();
    for month in months {
        let name = period_label(month, &calendar);
        let new = NewException {
            code: STATEMENTS_WAIT.into(),
            subject: format!("statements of {name}"),
            message: format!("they wait, since documents may be missing: {} could not be read", failed.join(", ")),
            help: Some(
                "they are written by the next run that reads every feed; `rebated statement send` writes one as it is".into(),
            ),
            on_date: Some(month.to),
            dedupe_key: waits_key(month),
            ..NewException::default()
        };
        tx.open_exception(&new, request.business_day, runtime.clock.now()).await?;
        names.push(name);
    }
    tx.commit().await?;
    Ok((Vec::new(), names))
}

/// Partners that take part in any active agreement.
pub async fn partners_with_agreements(runtime: &Runtime) -> PipelineResult<Vec<PartnerHead>> {
    let mut tx = runtime.store.read().await?;
    let versions = tx.active_agreements().await?;
    let master = std::sync::Arc::new(tx.master_data().await?);
    let matcher = crate::core::matching::Matcher::new(&versions, master, runtime.settings.calendar);
    Ok(tx.partner_heads().await?.into_iter().filter(|p| !matcher.agreements_of(p.id).is_empty()).collect())
}

/// Writes a partner's statement for a period and plans its mails. `None` when the newest revision
/// says the same already, or there is nothing to say.
///
/// With `again`, mails are planned for the newest revision even when it is not new.
///
/// # Errors
/// `statement-period` for a period that does not begin and end with an accounting month; what is wrong with the figures.
pub async fn write(
    runtime: &Runtime,
    partner: &PartnerHead,
    period: Period,
    business_day: NaiveDate,
    again: bool,
) -> PipelineResult<Option<StatementRow>> {
    let calendar = &runtime.settings.calendar;
    let (first, last) = (calendar.month(period.from), calendar.month(period.to));
    if first.from != period.from || last.to != period.to {
        return Err(Problem::new("statement-period", format!("{period} does not begin and end with an accounting month"))
            .help(format!("{}..{} does", first.from, last.to))
            .into());
    }
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let latest = tx.latest_statement(&partner.code, period.from, period.to).await?;
    let revision = latest.as_ref().map_or(1, |l| l.revision + 1);
    let input = input::read(runtime, &mut tx, partner, period, business_day, u32::try_from(revision).unwrap_or(1)).await?;
    if input.agreements.is_empty() {
        return Ok(None);
    }
    let statement = Statement::build(input)?;
    let cleared = tx.clear_exception(&refused_key(partner, period), "its figures add up now", now).await? > 0;
    let figures = serde_json::to_string(&statement).map_err(|e| PipelineError::Internal(e.to_string()))?;
    let sha256 = content_hash(&statement)?;
    let row = match latest {
        Some(latest) if latest.sha256 == sha256 => {
            if !again {
                if cleared {
                    tx.commit().await?;
                }
                return Ok(None);
            }
            latest
        }
        _ => {
            let mut row = StatementRow {
                id: 0,
                partner: partner.code.clone(),
                period_from: period.from,
                period_to: period.to,
                revision,
                figures,
                sha256,
                business_day,
            };
            row.id = tx.add_statement(&row, now).await?;
            row
        }
    };
    let sender = runtime.workspace.config.mail.from.clone();
    let key = format!("statement:{}:{period}", partner.code);
    match outbox::plan_statement(&runtime.settings.company, &sender, &partner.code, period, row.revision, &partner.email) {
        Ok(mails) => {
            for mail in mails {
                let planned = MailRow {
                    id: 0,
                    kind: mail.kind,
                    statement_id: Some(row.id),
                    partner_code: mail.partner_code,
                    period_from: period.from,
                    period_to: period.to,
                    revision: mail.revision,
                    contact: mail.contact,
                    message_id: mail.message_id,
                    state: "planned".into(),
                    attempts: 0,
                    next_attempt_at: None,
                    last_answer: None,
                };
                tx.plan_mail(&planned, now).await?;
            }
            tx.clear_exception(&key, "there is an address now", now).await?;
        }
        Err(problem) => {
            let new = NewException {
                code: problem.code.clone(),
                subject: format!("{} {}", partner.code, period_label(period, &runtime.settings.calendar)),
                message: problem.message.clone(),
                help: problem.help.clone(),
                partner: Some(partner.code.clone()),
                dedupe_key: key,
                ..NewException::default()
            };
            tx.open_exception(&new, business_day, now).await?;
        }
    }
    let detail = serde_json::json!({ "revision": row.revision, "sha256": row.sha256 });
    tx.audit(now, "daemon", "statement write", &format!("{} {period}", partner.code), "done", &detail).await?;
    tx.commit().await?;
    Ok(Some(row))
}

/// Hash of what a statement says, without its number, day and audit head: the same figures are the
/// same statement.
fn content_hash(statement: &Statement) -> PipelineResult<String> {
    let mut value = serde_json::to_value(statement).map_err(|e| PipelineError::Internal(e.to_string()))?;
    for key in ["revision", "as_of", "audit_head"] {
        if let Some(object) = value.as_object_mut() {
            object.remove(key);
        }
    }
    Ok(sha256_hex(value.to_string().as_bytes()))
}

/// Whether the business day ends its month: the default time for statements.
pub fn month_ends(runtime: &Runtime, business_day: NaiveDate) -> bool {
    runtime.settings.calendar.month(business_day).to == business_day
}
