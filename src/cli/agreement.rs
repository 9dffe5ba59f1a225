//! `agreement import / list / show / submit / approve / reject`.

use super::Done;
use super::app::{App, Failure, readable};
use super::output::{Table, print_done, print_json};
use crate::config::{FileTrust, agreement_file};
use crate::core::problem::Problems;
use crate::core::reading;
use crate::core::rights::Action;
use crate::pipeline::decide::books;
use crate::pipeline::{load, named_table};
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
    /// The conditions in plain English, with an example that the program computes; newest version
    Text {
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
            let user = app.person(Action::EnterAgreement, &id).await?;
            let version = newest(app, &id, version, "draft").await?;
            load::submit(&app.runtime, &id, version, &user).await?;
            say(app, &id, version, "submitted", "waits for approval");
            Ok(Done::Waiting)
        }
        AgreementCommand::List => list(app).await,
        AgreementCommand::Show { id } => show(app, &id).await,
        AgreementCommand::Text { id } => text(app, &id).await,
        AgreementCommand::Approve { id, version } => {
            let user = app.person(Action::DecideAgreement, &id).await?;
            let version = waiting(app, &id, version).await?;
            load::approve(&app.runtime, &id, version, &user).await?;
            say(app, &id, version, "active", "is active");
            Ok(Done::Clean)
        }
        AgreementCommand::Reject { id, version, reason } => {
            let user = app.person(Action::DecideAgreement, &id).await?;
            let version = waiting(app, &id, version).await?;
            load::reject(&app.runtime, &id, version, &reason, &user).await?;
            say(app, &id, version, "rejected", "is rejected");
            Ok(Done::Clean)
        }
    }
}

/// The reading of the newest version that was not rejected, with all versions that lead to it.
async fn text(app: &App, id: &str) -> Result<Done, Failure> {
    let rows = app.store().read().await?.agreements().await?;
    let mut versions: Vec<_> = rows.into_iter().filter(|r| r.body.id == id && r.state != "rejected").collect();
    versions.sort_by_key(|r| r.body.version);
    let Some(state) = versions.last().map(|r| r.state.clone()) else {
        return Err(Failure::Use(format!("there is no agreement `{id}`; see `rebated agreement list`")));
    };
    let bodies: Vec<_> = versions.into_iter().map(|r| r.body).collect();
    let text = reading::read(&bodies, &app.runtime.settings.calendar);
    let version = bodies.last().map(|v| v.version);
    let value = serde_json::json!({ "agreement": id, "version": version, "state": state, "text": text });
    print_done(app.json, value, format_args!("{text}"));
    Ok(Done::Clean)
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

/// What became of a version.
fn say(app: &App, id: &str, version: i64, state: &str, text: &str) {
    let value = serde_json::json!({ "agreement": id, "version": version, "state": state });
    print_done(app.json, value, format_args!("{id} version {version} {text}"));
}

async fn import(app: &App, files: &[PathBuf], draft: bool) -> Result<Done, Failure> {
    let policy = &app.runtime.workspace.config.approval;
    // Trusted are the files of the workspace, which were reviewed; what comes through this door is whatever somebody has on disk.
    let reviewed = |text: &str| {
        policy.agreement_files == FileTrust::Trusted && app.runtime.workspace.agreements.iter().any(|(_, file)| file.text == text)
    };
    let mut problems = Problems::default();
    let mut parsed = Vec::new();
    for path in files {
        let name = path.display().to_string();
        readable(path)?;
        let text = std::fs::read_to_string(path).map_err(|e| Failure::Use(format!("{name}: {e}")))?;
        match agreement_file::parse(&name, &text) {
            Ok(version) => parsed.push((name, text, version)),
            Err(found) => problems.0.extend(found.0),
        }
    }
    if !problems.0.is_empty() {
        return Err(problems.into());
    }
    parsed.sort_by(|a, b| (&a.2.id, a.2.version).cmp(&(&b.2.id, b.2.version)));
    // Whoever enters a version cannot approve it, which only holds when it is known who did.
    let ids: Vec<&str> = parsed.iter().map(|(_, _, version)| version.id.as_str()).collect();
    let by = if app.maybe_actor().await.is_ok_and(|user| user.is_none()) && parsed.iter().all(|(_, text, _)| reviewed(text)) {
        policy.file_author.clone()
    } else {
        app.permitted(Action::EnterAgreement, &ids.join(", ")).await?.name
    };
    let mut tx = app.store().begin().await?;
    let mut entered = Vec::new();
    for (name, text, version) in &parsed {
        let trusted = reviewed(text);
        let beside = std::path::Path::new(name).parent().unwrap_or(std::path::Path::new("")).to_path_buf();
        let mut folders = vec![beside];
        folders.extend(named_table::folders(&app.runtime.workspace.dir));
        let by = if trusted { &policy.file_author } else { &by };
        let entry = load::Entry { by, trusted, draft, again: true, folders: &folders };
        match load::enter(&app.runtime, &mut tx, version, name, text, entry).await? {
            Ok(new) => {
                let state = tx.agreement(&version.id, i64::from(version.version)).await?.map(|row| row.state).unwrap_or_default();
                entered.push((version.id.as_str(), version.version, new, state));
            }
            Err(problem) => problems.push(problem),
        }
        problems.0.extend(books::take(&app.runtime, &mut tx, version, name, &folders, entry.by).await?);
    }
    if !problems.0.is_empty() {
        tx.rollback().await?;
        return Err(problems.into());
    }
    tx.commit().await?;
    if app.json {
        let values: Vec<_> = entered
            .iter()
            .map(|(id, version, new, state)| serde_json::json!({ "agreement": id, "version": version, "new": new, "state": state }))
            .collect();
        print_json(&values);
    } else {
        for (id, version, new, state) in &entered {
            let word = match state.as_str() {
                "submitted" => "waiting for approval",
                "draft" => "a draft, to be submitted",
                other => other,
            };
            let what = if *new { "entered" } else { "was entered before; nothing changed" };
            println!("{id} version {version} {what}: {word}");
        }
    }
    let waits = |state: &str| matches!(state, "submitted" | "draft");
    Ok(if entered.iter().any(|(_, _, _, state)| waits(state)) { Done::Waiting } else { Done::Clean })
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
