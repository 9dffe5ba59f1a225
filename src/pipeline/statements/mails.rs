//! The mails of statements: sent once, tried again when put off, sent again when a person asks for it.

use crate::config::MailTransportConfig;
use crate::core::period::{Period, period_label};
use crate::core::problem::Problem;
use crate::core::rights::{self, Action};
use crate::core::schedule::RunKey;
use crate::core::statement::Statement;
use crate::delivery::mail::{FolderTransport, MailTransport, SmtpSettings, SmtpTransport};
use crate::delivery::outbox::{self, MailPauses, MailState, Outbox, OutboxReport, same_address};
use crate::delivery::statement::render;
use crate::pipeline::mail_rows::{self, RowsError};
use crate::pipeline::run::{Lease, RunRequest};
use crate::pipeline::stages::Stage;
use crate::pipeline::{PipelineError, PipelineResult, Runtime};
use crate::store::{MailRow, NewException, StatementRow, UserRow};
use chrono::NaiveDate;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Whether a mail that was put off may be tried again now.
pub async fn mails_are_due(runtime: &Runtime) -> PipelineResult<bool> {
    let now = runtime.clock.now();
    let later = runtime.store.read().await?.mails_in("later").await?;
    Ok(later.iter().any(|m| m.next_attempt_at.is_none_or(|at| at <= now)))
}

/// A run of its own for mails whose time has come, under the same lease and rules as at night. While
/// another run is under way nothing happens: that one sends them, or the next try does.
pub async fn send_again(runtime: &Runtime, stop: Arc<AtomicBool>) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let today = now.with_timezone(&runtime.settings.timezone).date_naive();
    let request = RunRequest {
        job: "mail".into(),
        key: RunKey::Due(now).to_string(),
        business_day: today.pred_opt().unwrap_or(today),
        stages: vec![Stage::Statements],
        caught_up: false,
        dry_run: false,
        statements_due: false,
    };
    crate::pipeline::run::execute(runtime, &request, stop).await?;
    Ok(())
}

/// Sends planned mails. A mail found in flight from an earlier process becomes uncertain.
pub(super) async fn send(runtime: &Runtime, lease: &Lease, business_day: NaiveDate) -> PipelineResult<OutboxReport> {
    let Some(transport) = transport(runtime)? else { return Ok(OutboxReport::default()) };
    let report = send_with(runtime, &transport, Some(lease)).await;
    transport.close().await;
    let report = report?;
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    for (mail_id, problem) in &report.problems {
        let mail = tx.mails().await?.into_iter().find(|m| m.id == *mail_id);
        let new = NewException {
            code: problem.code.clone(),
            subject: mail
                .as_ref()
                .map_or_else(|| format!("mail {mail_id}"), |m| format!("mail to {} of {}", m.contact, m.partner_code)),
            message: problem.message.clone(),
            help: problem.help.clone(),
            partner: mail.map(|m| m.partner_code),
            dedupe_key: exception_key(*mail_id, &problem.code),
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    }
    if let Some(problem) = &report.server {
        let new = NewException {
            code: problem.code.clone(),
            subject: "mail server".into(),
            message: problem.message.clone(),
            help: problem.help.clone(),
            dedupe_key: "mail-server".into(),
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    } else if report.sent > 0 {
        tx.clear_exception("mail-server", "mail was sent", now).await?;
    }
    tx.commit().await?;
    Ok(report)
}

pub fn transport(runtime: &Runtime) -> PipelineResult<Option<MailTransport>> {
    let wrong = |e: crate::delivery::mail::MailError| {
        Problem::new("mail-transport", e.to_string()).help("correct `transport` under [mail] in rebated.toml")
    };
    Ok(match &runtime.workspace.config.mail.transport {
        MailTransportConfig::Folder { path } => {
            Some(MailTransport::Folder(FolderTransport::new(runtime.workspace.dir.join(path))))
        }
        MailTransportConfig::Smtp { url, ca_file } => {
            let mut settings = SmtpSettings::from_url(url).map_err(wrong)?;
            settings.ca_file = ca_file.as_ref().map(|file| runtime.workspace.dir.join(file));
            Some(MailTransport::Smtp(Box::new(SmtpTransport::new(settings).map_err(wrong)?)))
        }
    })
}

async fn send_with(runtime: &Runtime, transport: &MailTransport, lease: Option<&Lease>) -> PipelineResult<OutboxReport> {
    let rows = mail_rows::Rows { store: &runtime.store, clock: &runtime.clock, lease };
    let content = mail_rows::Content { runtime, render: &render_statement };
    let outbox = Outbox { rows: &rows, content: &content, transport, pauses: MailPauses::default() };
    let fault = |e: outbox::OutboxError<RowsError, RowsError>| match e {
        outbox::OutboxError::Rows(RowsError::LeaseLost) => PipelineError::LeaseLost,
        outbox::OutboxError::Rows(RowsError::Store(e)) | outbox::OutboxError::Content(RowsError::Store(e)) => e.into(),
        other => PipelineError::Internal(other.to_string()),
    };
    let mut report = outbox.recover().await.map_err(fault)?;
    report.merge(outbox.pass(|| runtime.clock.now()).await.map_err(fault)?);
    Ok(report)
}

/// Renders a stored statement.
pub fn render_statement(row: &StatementRow) -> PipelineResult<crate::delivery::statement::RenderedStatement> {
    let statement: Statement = serde_json::from_str(&row.figures).map_err(|e| PipelineError::Internal(e.to_string()))?;
    render(&statement).map_err(|e| PipelineError::Internal(e.to_string()))
}

/// What a person had sent again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Resent {
    /// Revision of the statement.
    pub revision: i64,
    /// Addresses that get it once more.
    pub contacts: Vec<String>,
}

/// Plans the mails of a partner's newest statement of a period again that a person decided on: those
/// whose fate is uncertain, that were refused or that came back. A mail keeps its message id, so that a mail program shows
/// it as the one it was. Every try is audited, refused ones too.
///
/// # Errors
/// `resend-refused`, with the reason.
pub async fn resend(
    runtime: &Runtime,
    partner: &str,
    period: Period,
    contact: Option<&str>,
    reason: &str,
    user: &UserRow,
) -> PipelineResult<Resent> {
    let now = runtime.clock.now();
    let subject = format!("{partner} {period}");
    let label = period_label(period, &runtime.settings.calendar);
    let mut tx = runtime.store.begin().await?;
    let latest = tx.latest_statement(partner, period.from, period.to).await?;
    let present = tx.partner_heads().await?.into_iter().find(|p| p.code == partner).map(|p| p.email).unwrap_or_default();
    let mut mails: Vec<MailRow> = Vec::new();
    if let Some(statement) = &latest {
        mails = tx.mails().await?.into_iter().filter(|m| m.statement_id == Some(statement.id)).collect();
    }
    let asked = |m: &&MailRow| contact.is_none_or(|contact| same_address(contact, &m.contact));
    let open = |m: &&MailRow| MailState::from_word(&m.state).is_some_and(MailState::waits_for_a_person);
    let is_present = |m: &&MailRow| present.iter().any(|address| same_address(address, &m.contact));
    let chosen: Vec<&MailRow> = mails.iter().filter(asked).filter(open).filter(is_present).collect();
    let action = Action::ResendStatement;
    let refusal = if let Some(message) = rights::refusal(&user.name, &user.role, action) {
        Some((message, "finance does"))
    } else if reason.trim().is_empty() {
        Some(("a reason is needed".to_owned(), "say what the recipient answered"))
    } else if latest.is_none() {
        Some((format!("there is no statement of `{partner}` for {label}"), "`rebated statement send` writes one"))
    } else if mails.iter().filter(asked).filter(open).any(|m| !is_present(&m)) && chosen.is_empty() {
        let gone = "the address is not one of the partner's contacts any more";
        Some((gone.to_owned(), "`rebated statement send` sends it to the present ones"))
    } else if chosen.is_empty() {
        let states: Vec<String> = mails.iter().filter(asked).map(|m| format!("{} is {}", m.contact, m.state)).collect();
        let states = if states.is_empty() { "no mail of it is there".to_owned() } else { states.join(", ") };
        Some((
            format!("no mail of that statement is uncertain, refused or came back: {states}"),
            "see `rebated statement list`; `rebated statement send` sends a new revision when figures changed",
        ))
    } else {
        None
    };
    let contacts: Vec<String> = chosen.iter().map(|m| m.contact.clone()).collect();
    let detail = serde_json::json!({
        "reason": reason, "contacts": contacts, "revision": latest.as_ref().map(|l| l.revision),
        "was": chosen.iter().map(|m| &m.state).collect::<Vec<_>>(), "refused": refusal.as_ref().map(|r| &r.0),
    });
    if let Some((message, help)) = refusal {
        tx.audit(now, &user.name, action.word(), &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(Problem::new("resend-refused", message).help(help).into());
    }
    let answer = format!("to be sent again, says {}: {reason}", user.name);
    for mail in &chosen {
        // The row is read in this transaction; whoever changed it since wins.
        if !tx.move_mail(mail.id, &mail.state, MailState::Planned.word(), 0, None, Some(&answer), now).await? {
            return Err(Problem::new("resend-refused", format!("the mail to {} has just changed", mail.contact))
                .help("look at `rebated statement list` and decide again")
                .into());
        }
        for code in outbox::PROBLEMS {
            tx.clear_exception(&exception_key(mail.id, code), &answer, now).await?;
        }
    }
    tx.audit(now, &user.name, action.word(), &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(Resent { revision: latest.map_or(0, |l| l.revision), contacts })
}

fn exception_key(mail_id: i64, code: &str) -> String {
    format!("mail:{mail_id}:{code}")
}
