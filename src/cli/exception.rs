//! `exception list / show / resolve / assign`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_done, print_json};
use crate::core::rights::Action;
use crate::pipeline::exceptions::{actions_for, resolve};
use crate::store::ExceptionFilter;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum ExceptionCommand {
    /// What waits for a person
    List {
        /// Also resolved ones
        #[arg(long)]
        all: bool,
    },
    /// One exception with place and help
    Show {
        /// Number
        id: i64,
    },
    /// Decide; `exception show` names the actions that fit
    Resolve {
        /// Number
        id: i64,
        /// One of those that `exception show` names: waive, confirm, keep, release, confirm-deletion
        #[arg(long)]
        action: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Give it to somebody
    Assign {
        /// Number
        id: i64,
        /// User
        user: String,
    },
}

pub async fn run(command: ExceptionCommand, app: &App) -> Result<Done, Failure> {
    match command {
        ExceptionCommand::List { all } => {
            let rows = app.store().read().await?.exceptions(&ExceptionFilter { all }).await?;
            if app.json {
                print_json(&rows.iter().map(json).collect::<Vec<_>>());
            } else {
                let mut table = Table::new(&["id", "code", "holds", "subject", "message", "opened", "owner", "state"]);
                for e in &rows {
                    table.row(vec![
                        e.id.to_string(),
                        e.code.clone(),
                        if e.blocking != 0 { "yes".into() } else { "no".into() },
                        e.subject.clone(),
                        e.message.clone(),
                        e.opened_on.to_string(),
                        e.owner.clone().unwrap_or_default(),
                        e.state.clone(),
                    ]);
                }
                table.print("no exceptions");
            }
            Ok(Done::Clean)
        }
        ExceptionCommand::Show { id } => {
            let Some(e) = app.store().read().await?.exception(id).await? else {
                return Err(Failure::Use(format!("there is no exception {id}")));
            };
            if app.json {
                print_json(&json(&e));
            } else {
                println!("exception {} [{}] {}", e.id, e.code, e.state);
                println!("  about   {}", e.subject);
                println!("  what    {}", e.message);
                for (name, value) in [
                    ("place", &e.place),
                    ("help", &e.help),
                    ("partner", &e.partner),
                    ("agreement", &e.agreement),
                    ("owner", &e.owner),
                ] {
                    if let Some(value) = value {
                        println!("  {name:7} {value}");
                    }
                }
                println!("  opened  {}", e.opened_on);
                println!("  holds settlements: {}", if e.blocking != 0 { "yes" } else { "no" });
                if e.state == "open" {
                    println!("  actions {}", actions_for(&e.code).join(", "));
                }
                if let Some(by) = &e.resolved_by {
                    println!(
                        "  {} by {by}: {}",
                        e.resolution.as_deref().unwrap_or_default(),
                        e.reason.as_deref().unwrap_or_default()
                    );
                }
            }
            Ok(Done::Clean)
        }
        ExceptionCommand::Resolve { id, action, reason } => {
            let user = app.person(Action::ResolveException, &format!("exception {id}")).await?;
            resolve(&app.runtime, id, &action, &reason, &user).await?;
            let value = serde_json::json!({ "exception": id, "state": "resolved", "action": action, "by": user.name });
            print_done(app.json, value, format_args!("exception {id} resolved: {action}"));
            Ok(Done::Clean)
        }
        ExceptionCommand::Assign { id, user } => {
            let actor = app.permitted(Action::AssignException, &format!("exception {id}")).await?.name;
            let now = app.runtime.clock.now();
            let mut tx = app.store().begin().await?;
            if tx.user(&user).await?.is_none() {
                return Err(Failure::Use(format!("there is no user `{user}`")));
            }
            if !tx.assign_exception(id, &user).await? {
                return Err(Failure::Use(format!("there is no exception {id}")));
            }
            tx.audit(now, &actor, "exception assign", &format!("exception {id}"), "done", &serde_json::json!({ "owner": user }))
                .await?;
            tx.commit().await?;
            let value = serde_json::json!({ "exception": id, "owner": user });
            print_done(app.json, value, format_args!("exception {id} is with {user}"));
            Ok(Done::Clean)
        }
    }
}

fn json(e: &crate::store::ExceptionRow) -> serde_json::Value {
    let mut value = serde_json::to_value(e).unwrap_or_default();
    value["blocking"] = (e.blocking != 0).into();
    value["actions"] = actions_for(&e.code).into();
    value
}
