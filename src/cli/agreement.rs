//! `agreement import / list / show / submit / approve / reject`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::config::{FileTrust, agreement_file};
use crate::core::problem::Problems;
use crate::pipeline::load;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum AgreementCommand {
    /// Enter agreement files; they wait for approval unless files are trusted
    Import {
        /// TOML files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Enter as drafts, to be submitted later
        #[arg(long)]
        draft: bool,
    },
    /// Hand a draft in for approval
    Submit {
        /// Agreement id
        id: String,
        /// Version; the newest draft by default
        #[arg(long)]
        version: Option<i64>,
    },
    /// All versions
    List,
    /// The text of an agreement as entered, newest version
    Show {
        /// Agreement id
        id: String,
    },
    /// Approve a version that somebody else entered
    Approve {
        /// Agreement id
        id: String,
        /// Version; the newest that waits by default
        #[arg(long)]
        version: Option<i64>,
    },
    /// Reject a version that waits
    Reject {
        /// Agreement id
        id: String,
        /// Version; the newest that waits by default
        #[arg(long)]
        version: Option<i64>,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

pub async fn run(command: AgreementCommand, app: &App) -> Result<Done, Failure> {
    match command {
        AgreementCommand::Import { files, draft } => import(app, &files, draft).await,
        AgreementCommand::Submit { id, version } => {
            let user = app.actor().await?;
            let version = newest(app, &id, version, "draft").await?;
            load::submit(&app.runtime, &id, version, &user).await?;
            println!("{id} version {version} waits for approval");
            Ok(Done::Waiting)
        }
        AgreementCommand::List => list(app).await,
        AgreementCommand::Show { id } => show(app, &id).await,
        AgreementCommand::Approve { id, version } => {
            let user = app.actor().await?;
            let version = waiting(app, &id, version).await?;
            load::approve(&app.runtime, &id, version, &user).await?;
            println!("{id} version {version} is active");
            Ok(Done::Clean)
        }
        AgreementCommand::Reject { id, version, reason } => {
            let user = app.actor().await?;
            let version = waiting(app, &id, version).await?;
            load::reject(&app.runtime, &id, version, &reason, &user).await?;
            println!("{id} version {version} is rejected");
            Ok(Done::Clean)
        }
    }
}

async fn waiting(app: &App, id: &str, version: Option<i64>) -> Result<i64, Failure> {
    newest(app, id, version, "submitted").await
}

async fn newest(app: &App, id: &str, version: Option<i64>, state: &str) -> Result<i64, Failure> {
    if let Some(version) = version {
        return Ok(version);
    }
    let rows = app.store().read().await?.agreements().await?;
    rows.iter()
        .rfind(|r| r.body.id == id && r.state == state)
        .map(|r| i64::from(r.body.version))
        .ok_or_else(|| Failure::Use(format!("no version of `{id}` is {state}")))
}

async fn import(app: &App, files: &[PathBuf], draft: bool) -> Result<Done, Failure> {
    let policy = &app.runtime.workspace.config.approval;
    let user = app.maybe_actor().await?;
    // Trusted are the files of the workspace, which were reviewed; what comes through this door is whatever somebody has on disk.
    let reviewed = |text: &str| {
        policy.agreement_files == FileTrust::Trusted && app.runtime.workspace.agreements.iter().any(|(_, file)| file.text == text)
    };
    if let Some(user) = user.as_ref().filter(|u| matches!(u.role.as_str(), "auditor" | "partner")) {
        return Err(Failure::Use(format!("{} ({}) may not enter agreements", user.name, user.role)));
    }
    // Whoever enters a version cannot approve it.
    let by = user.map_or_else(|| "console".to_owned(), |u| u.name);
    let mut waiting = 0;
    let mut problems = Problems::default();
    let mut tx = app.store().begin().await?;
    let mut entered = 0;
    let mut parsed = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Failure::Use(format!("{name}: {e}")))?;
        match agreement_file::parse(&name, &text) {
            Ok(version) => parsed.push((name, text, version)),
            Err(found) => problems.0.extend(found.0),
        }
    }
    parsed.sort_by(|a, b| (&a.2.id, a.2.version).cmp(&(&b.2.id, b.2.version)));
    for (name, text, version) in &parsed {
        let trusted = reviewed(text);
        let entry = load::Entry { by: if trusted { &policy.file_author } else { &by }, trusted, draft };
        match load::enter(&app.runtime, &mut tx, version, name, text, entry).await? {
            Ok(new) => {
                entered += i64::from(new);
                waiting += i64::from(new && !trusted);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.0.is_empty() {
        tx.rollback().await?;
        return Err(problems.into());
    }
    tx.commit().await?;
    let state = if draft {
        "drafts"
    } else if waiting == 0 {
        "active"
    } else {
        "waiting for approval"
    };
    println!("{entered} of {} versions entered, {state}", files.len());
    Ok(if waiting == 0 { Done::Clean } else { Done::Waiting })
}

async fn list(app: &App) -> Result<Done, Failure> {
    let rows = app.store().read().await?.agreements().await?;
    if app.json {
        let values: Vec<_> = rows
            .iter()
            .map(|r| {
                serde_json::json!({
                    "agreement": r.body.id, "version": r.body.version, "title": r.body.title, "state": r.state, "valid_from": r.body.valid_from,
                    "valid": { "from": r.body.valid.from, "to": r.body.valid.to }, "currency": r.body.currency, "source": r.source_name,
                    "entered_by": r.entered_by, "approved_by": r.approved_by,
                })
            })
            .collect();
        print_json(&values);
    } else {
        let mut table = Table::new(&["agreement", "version", "state", "from", "to", "title", "entered by", "approved by"]);
        for r in rows {
            table.row(vec![
                r.body.id,
                r.body.version.to_string(),
                r.state,
                r.body.valid_from.to_string(),
                r.body.valid.to.to_string(),
                r.body.title,
                r.entered_by,
                r.approved_by.unwrap_or_default(),
            ]);
        }
        table.print("no agreements yet");
    }
    Ok(Done::Clean)
}

async fn show(app: &App, id: &str) -> Result<Done, Failure> {
    let rows = app.store().read().await?.agreements().await?;
    let Some(row) = rows.iter().rfind(|r| r.body.id == id) else {
        return Err(Failure::Use(format!("there is no agreement `{id}`")));
    };
    if let Some(user) = app.maybe_actor().await? {
        let subject = format!("agreement {}", load::subject(id, i64::from(row.body.version)));
        let mut tx = app.store().begin().await?;
        tx.note_shown(&user.name, &subject, &row.source_sha256, app.runtime.clock.now()).await?;
        tx.commit().await?;
    }
    if app.json {
        print_json(&row.body);
    } else {
        let text = app.store().read().await?.agreement_text(id, i64::from(row.body.version)).await?;
        println!("# {} version {}, {}, from {}\n{}", id, row.body.version, row.state, row.source_name, text.trim_end());
    }
    Ok(Done::Clean)
}
