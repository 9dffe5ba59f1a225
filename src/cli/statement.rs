//! `statement list / show / send / resend`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::core::period::{Period, parse_period, period_label, period_names};
use crate::core::rights::Action;
use crate::pipeline::run::{RunRequest, execute};
use crate::pipeline::stages::Stage;
use crate::pipeline::statements;
use clap::Subcommand;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Debug, Subcommand)]
pub enum StatementCommand {
    /// Statements and their mails
    List,
    /// A statement as text
    Show {
        /// Partner code
        #[arg(long)]
        partner: String,
        /// Month, quarter or year
        #[arg(long)]
        period: String,
        /// Also write text, HTML and sheet into this folder
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Write a statement if its figures changed, and send it
    Send {
        /// Partner code
        #[arg(long)]
        partner: String,
        /// Month, quarter or year
        #[arg(long)]
        period: String,
    },
    /// Send mails again that are uncertain, were refused or came back
    Resend {
        /// Partner code
        #[arg(long)]
        partner: String,
        /// Month, quarter or year
        #[arg(long)]
        period: String,
        /// Only to this address
        #[arg(long, value_name = "ADDRESS")]
        contact: Option<String>,
        /// Why, such as what the recipient answered
        #[arg(long)]
        reason: String,
    },
}

fn period_of(app: &App, text: &str) -> Result<Period, Failure> {
    let calendar = &app.runtime.settings.calendar;
    parse_period(text, calendar).ok_or_else(|| Failure::Use(format!("`{text}` is no period; write {}", period_names(calendar))))
}

pub async fn run(command: StatementCommand, app: &App) -> Result<Done, Failure> {
    match command {
        StatementCommand::List => list(app).await,
        StatementCommand::Show { partner, period, out } => {
            let period = period_of(app, &period)?;
            let Some(row) = app.store().read().await?.latest_statement(&partner, period.from, period.to).await? else {
                return Err(Failure::Use(format!(
                    "there is no statement of `{partner}` for that period yet; `statement send` writes one"
                )));
            };
            let rendered = statements::render_statement(&row)?;
            if let Some(dir) = out {
                let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes);
                std::fs::create_dir_all(&dir)
                    .and_then(|()| write("statement.txt", rendered.text.as_bytes()))
                    .and_then(|()| write("statement.html", rendered.html.as_bytes()))
                    .and_then(|()| write(&rendered.sheet.name, &rendered.sheet.bytes))
                    .map_err(anyhow::Error::from)?;
            }
            if app.json {
                let figures: serde_json::Value = serde_json::from_str(&row.figures).map_err(anyhow::Error::from)?;
                print_json(&figures);
            } else {
                println!("{}\n\n{}", rendered.subject, rendered.text);
            }
            Ok(Done::Clean)
        }
        StatementCommand::Send { partner, period } => {
            app.in_name_of(Action::SendStatement, &partner).await?;
            let period = period_of(app, &period)?;
            let heads = app.store().read().await?.partner_heads().await?;
            let Some(head) = heads.into_iter().find(|p| p.code == partner) else {
                return Err(Failure::Use(format!("there is no partner `{partner}`")));
            };
            let before = app.store().read().await?.latest_statement(&partner, period.from, period.to).await?;
            let Some(row) = statements::write(&app.runtime, &head, period, app.today(), true).await? else {
                return Err(Failure::Use(format!("`{partner}` has no figures in that period")));
            };
            let is_new = before.is_none_or(|before| before.revision != row.revision);
            let said = if is_new { "written" } else { "unchanged" };
            send(app, &format!("revision {} {said}", row.revision)).await
        }
        StatementCommand::Resend { partner, period, contact, reason } => {
            let period = period_of(app, &period)?;
            let user = app.person(Action::ResendStatement, &format!("{partner} {period}")).await?;
            let resent = statements::resend(&app.runtime, &partner, period, contact.as_deref(), &reason, &user).await?;
            send(app, &format!("revision {} again to {}", resent.revision, resent.contacts.join(", "))).await
        }
    }
}

/// Sends what is planned, as the nightly run does.
async fn send(app: &App, done: &str) -> Result<Done, Failure> {
    let request = RunRequest {
        job: "statements".into(),
        key: app.runtime.clock.now().to_rfc3339(),
        business_day: app.today(),
        stages: vec![Stage::Statements],
        caught_up: false,
        dry_run: false,
        statements_due: false,
    };
    let Some(outcome) = execute(&app.runtime, &request, Arc::new(AtomicBool::new(false))).await? else {
        return Err(Failure::Failed(anyhow::anyhow!(
            "{done}, but another run is being executed; it sends the mail, or the next one"
        )));
    };
    let exceptions: i64 = outcome.stages.iter().map(|s| s.exceptions).sum();
    if app.json {
        print_json(&outcome);
    } else if let Some(stage) = outcome.stages.first() {
        println!("{done}; {}", stage.detail);
    }
    Ok(if exceptions > 0 { Done::Waiting } else { Done::Clean })
}

async fn list(app: &App) -> Result<Done, Failure> {
    let mut tx = app.store().read().await?;
    let statements = tx.statements().await?;
    let mails = tx.mails().await?;
    let calendar = app.runtime.settings.calendar;
    if app.json {
        let values: Vec<_> = statements
            .iter()
            .map(|s| {
                let mine: Vec<_> = mails.iter().filter(|m| m.statement_id == Some(s.id)).collect();
                let period = Period { from: s.period_from, to: s.period_to };
                serde_json::json!({
                    "statement": s.id, "partner": s.partner, "period": { "from": s.period_from, "to": s.period_to, "label": period_label(period, &calendar) },
                    "revision": s.revision, "mails": mine,
                })
            })
            .collect();
        print_json(&values);
        return Ok(Done::Clean);
    }
    let mut table = Table::new(&["partner", "period", "revision", "contact", "mail", "attempts", "answer"]);
    for s in &statements {
        let label = period_label(Period { from: s.period_from, to: s.period_to }, &calendar);
        let mine: Vec<_> = mails.iter().filter(|m| m.statement_id == Some(s.id)).collect();
        if mine.is_empty() {
            table.row(vec![
                s.partner.clone(),
                label.clone(),
                s.revision.to_string(),
                "none".into(),
                "not sent".into(),
                String::new(),
                String::new(),
            ]);
        }
        for m in mine {
            table.row(vec![
                s.partner.clone(),
                label.clone(),
                s.revision.to_string(),
                m.contact.clone(),
                m.state.clone(),
                m.attempts.to_string(),
                m.last_answer.clone().unwrap_or_default(),
            ]);
        }
    }
    table.print("no statements yet");
    Ok(Done::Clean)
}
