//! `user add NAME --role ROLE`, `user list`, `user token / revoke / disable NAME`: console actions, audited as such.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_done, print_json};
use crate::core::hash::sha256_hex;
use crate::core::rights::Role;
use clap::Subcommand;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use rand::Rng;

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user
    Add {
        /// Name, as it will stand in the audit trail
        name: String,
        /// What the user is there for
        #[arg(long, value_parser = roles())]
        role: Role,
    },
    /// List users
    List,
    /// End all tokens of a user, as when one was lost; `user token` makes a new one
    Revoke {
        /// User
        name: String,
    },
    /// End what a user may do, for ever
    Disable {
        /// User
        name: String,
    },
    /// Make a token; it is the last word printed, and shown only once
    Token {
        /// User
        name: String,
    },
}

/// The roles there are, each with what it is there for.
fn roles() -> impl TypedValueParser<Value = Role> {
    let described = |(word, role): &(&'static str, Role)| {
        PossibleValue::new(*word).help(match role {
            Role::Admin => "keeps systems connected",
            Role::Sales => "enters agreements",
            Role::FinancePreparer => "prepares settlements",
            Role::FinanceApprover => "approves",
            Role::Auditor => "reads everything, changes nothing",
            Role::Partner => "reads its own statements",
        })
    };
    PossibleValuesParser::new(Role::WORDS.iter().map(described)).map(|word| Role::from_word(&word).unwrap_or_default())
}

pub async fn run(command: UserCommand, app: &App) -> Result<Done, Failure> {
    let now = app.runtime.clock.now();
    match command {
        UserCommand::Add { name, role } => {
            let role = role.word();
            if name.is_empty()
                || name == "console"
                || name == "daemon"
                || name.chars().any(|c| c.is_whitespace() || c.is_control())
            {
                return Err(Failure::Use(format!("`{name}` cannot be a user name")));
            }
            let mut tx = app.store().begin().await?;
            let added = tx.add_user(&name, role, now).await?;
            let result = if added { "done" } else { "refused" };
            tx.audit(now, "console", "user add", &name, result, &serde_json::json!({ "role": role })).await?;
            tx.commit().await?;
            if !added {
                return Err(Failure::Use(format!("user `{name}` exists already")));
            }
            let value = serde_json::json!({ "user": name, "role": role });
            print_done(app.json, value, format_args!("user {name} added as {role}"));
        }
        UserCommand::List => {
            let users = app.store().read().await?.users().await?;
            if app.json {
                print_json(&users);
            } else {
                let mut table = Table::new(&["user", "role"]);
                for user in users {
                    table.row(vec![user.name, user.role]);
                }
                table.print("no users yet");
            }
        }
        UserCommand::Revoke { name } => {
            let mut tx = app.store().begin().await?;
            if tx.user(&name).await?.is_none() {
                return Err(Failure::Use(format!("there is no user `{name}`")));
            }
            let ended = tx.revoke_tokens(&name, now).await?;
            tx.audit(now, "console", "user revoke", &name, "done", &serde_json::json!({ "tokens": ended })).await?;
            tx.commit().await?;
            let value = serde_json::json!({ "user": name, "tokens_ended": ended });
            print_done(app.json, value, format_args!("{ended} tokens of {name} ended"));
        }
        UserCommand::Disable { name } => {
            let mut tx = app.store().begin().await?;
            if !tx.disable_user(&name, now).await? {
                return Err(Failure::Use(format!("there is no user `{name}`")));
            }
            let ended = tx.revoke_tokens(&name, now).await?;
            tx.audit(now, "console", "user disable", &name, "done", &serde_json::json!({ "tokens": ended })).await?;
            tx.commit().await?;
            let value = serde_json::json!({ "user": name, "disabled": true, "tokens_ended": ended });
            print_done(app.json, value, format_args!("user {name} is disabled"));
        }
        UserCommand::Token { name } => {
            let mut tx = app.store().begin().await?;
            if tx.user(&name).await?.is_none() {
                return Err(Failure::Use(format!("there is no user `{name}`")));
            }
            let secret: [u8; 32] = rand::rng().random();
            let token = format!("rbt_{}", sha256_hex(&secret));
            tx.add_token(&name, &sha256_hex(token.as_bytes()), now).await?;
            tx.audit(now, "console", "user token", &name, "done", &serde_json::json!({})).await?;
            tx.commit().await?;
            let value = serde_json::json!({ "user": name, "token": token });
            print_done(app.json, value, format_args!("token of {name}, shown only now: {token}"));
        }
    }
    Ok(Done::Clean)
}
