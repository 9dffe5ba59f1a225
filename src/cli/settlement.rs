//! `settlement list / show / propose / approve / reject / accept / push`.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_done, print_json};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::{Period, period_label};
use crate::core::rights::Action;
use crate::pipeline::run::{RunRequest, execute};
use crate::pipeline::stages::Stage;
use crate::pipeline::{accept, approve, propose, push};
use crate::store::{SettlementRow, Tx};
use clap::Subcommand;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Debug, Subcommand)]
pub enum SettlementCommand {
    /// All settlements
    List,
    /// One settlement with its parts, lines, approvals and what holds it
    Show {
        /// Number
        id: i64,
    },
    /// Propose what is due now, in your name
    Propose {
        /// Only this agreement
        #[arg(long)]
        agreement: Option<String>,
        /// As of this business day; yesterday by default
        #[arg(long)]
        business_day: Option<chrono::NaiveDate>,
    },
    /// Approve a settlement as it was shown to you
    Approve {
        /// Number
        id: i64,
        /// Content you decided on, as `settlement show` and `list --json` print it; what you were shown last by default
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Reject a settlement
    Reject {
        /// Number
        id: i64,
        /// Why; it goes on the exception list
        #[arg(long)]
        reason: String,
    },
    /// Take over the amount at which the other system holds the memo, when it differs and is to stay so
    Accept {
        /// Number
        id: i64,
        /// The memo's amount, as the other system shows it
        #[arg(long)]
        amount: String,
        /// Why it stays so
        #[arg(long)]
        reason: String,
    },
    /// Push what is approved
    Push {
        /// Also try again a settlement that was refused
        id: Option<i64>,
    },
}

pub async fn run(command: SettlementCommand, app: &App) -> Result<Done, Failure> {
    match command {
        SettlementCommand::List => list(app).await,
        SettlementCommand::Show { id } => show(app, id).await,
        SettlementCommand::Propose { agreement, business_day } => {
            let user = app.permitted(Action::Propose, agreement.as_deref().unwrap_or("settlements")).await?;
            let day = business_day.unwrap_or_else(|| app.previous_day());
            let order = propose::Order { business_day: day, maker: &user.name, only: agreement.as_deref(), lease: None };
            let outcome = propose::propose(&app.runtime, &order).await?;
            let value = serde_json::json!({ "payees": outcome.count_in, "changed": outcome.count_out, "detail": outcome.detail });
            print_done(app.json, value, format_args!("{}", outcome.detail));
            Ok(Done::Clean)
        }
        SettlementCommand::Approve { id, fingerprint } => {
            let user = app.person(Action::Approve, &format!("settlement {id}")).await?;
            let standing = approve::approve(&app.runtime, id, fingerprint.as_deref(), &user).await?;
            if app.json {
                print_json(&standing);
            } else {
                println!("settlement {id}: {} of {} approvals, {}", standing.given, standing.needed, standing.state);
                if let Some(why) = &standing.why {
                    println!("  two are needed: {why}");
                }
            }
            Ok(if standing.state == "approved" { Done::Clean } else { Done::Waiting })
        }
        SettlementCommand::Reject { id, reason } => {
            let user = app.person(Action::Reject, &format!("settlement {id}")).await?;
            approve::reject(&app.runtime, id, &reason, &user).await?;
            let value = serde_json::json!({ "settlement": id, "state": "rejected", "by": user.name });
            print_done(app.json, value, format_args!("settlement {id} rejected"));
            Ok(Done::Clean)
        }
        SettlementCommand::Accept { id, amount, reason } => {
            let Ok(amount) = Micros::parse(&amount) else {
                return Err(Failure::Use(format!("`{amount}` is no amount; write it as 1234.50")));
            };
            let user = app.person(Action::AcceptMemo, &format!("settlement {id}")).await?;
            let wish = accept::Wish { amount, reason: &reason, business_day: app.today() };
            let done = accept::accept(&app.runtime, id, wish, &user).await?;
            if app.json {
                print_json(&done);
            } else if !done.accepted {
                println!("settlement {id}: {} of {} people accept {} {}", done.given, done.needed, done.amount, done.currency);
            } else {
                let next = if done.state == "confirmed" { "" } else { "; the next push confirms it" };
                println!("settlement {id} pays {} {} instead of {}{next}", done.amount, done.currency, done.instead_of);
            }
            Ok(if done.accepted { Done::Clean } else { Done::Waiting })
        }
        SettlementCommand::Push { id } => push_approved(app, id).await,
    }
}

/// One settlement as scripts read it (contract section 4).
fn json(app: &App, s: &SettlementRow) -> serde_json::Value {
    let currency = Currency::parse(&s.currency);
    let text = |amount: Micros| currency.map_or_else(|| amount.to_string(), |c| c.amount_text(amount));
    let period = Period { from: s.period_from, to: s.period_to };
    serde_json::json!({
        "settlement": s.id, "agreement": s.agreement, "payee": s.payee,
        "period": { "from": s.period_from, "to": s.period_to, "label": period_label(period, &app.runtime.settings.calendar) },
        "currency": s.currency, "amount": text(s.amount()), "carried_forward": text(Micros(s.carried_forward_u)), "state": s.state,
        "reference": s.reference, "erp_document": s.erp_document, "number": s.number, "revision": s.revision,
        "fingerprint": s.fingerprint, "maker": s.maker, "method": s.method, "reason": s.reason, "business_day": s.business_day,
    })
}

/// The same with where its approvals stand.
async fn json_standing(app: &App, tx: &mut Tx, s: &SettlementRow) -> Result<serde_json::Value, Failure> {
    let mut value = json(app, s);
    let approvals = tx.approvals(s.id).await?;
    let standing = approve::standing(&app.runtime, tx, s).await?;
    value["approvals_given"] = standing.given.into();
    value["approvals_needed"] = standing.needed.into();
    value["approvals_why"] = standing.why.into();
    value["approvals"] = serde_json::to_value(&approvals).unwrap_or_default();
    Ok(value)
}

async fn list(app: &App) -> Result<Done, Failure> {
    let mut tx = app.store().read().await?;
    let rows = tx.settlements().await?;
    if app.json {
        let mut values = Vec::new();
        for s in &rows {
            values.push(json_standing(app, &mut tx, s).await?);
        }
        print_json(&values);
    } else {
        let mut table =
            Table::new(&["id", "agreement", "payee", "period", "amount", "currency", "carried", "state", "reference", "memo"]);
        for s in &rows {
            let value = json(app, s);
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            table.row(vec![
                s.id.to_string(),
                s.agreement.clone(),
                s.payee.clone(),
                value["period"]["label"].as_str().unwrap_or_default().to_owned(),
                text("amount"),
                s.currency.clone(),
                text("carried_forward"),
                s.state.clone(),
                s.reference.clone(),
                s.erp_document.clone().unwrap_or_default(),
            ]);
        }
        table.print("no settlements yet");
    }
    note_shown(app, rows.iter()).await?;
    Ok(Done::Clean)
}

/// Remembers what the acting user has seen, so that an approval is for that and nothing else.
async fn note_shown(app: &App, rows: impl Iterator<Item = &SettlementRow>) -> Result<(), Failure> {
    let Some(user) = app.maybe_actor().await? else { return Ok(()) };
    let mut tx = app.store().begin().await?;
    for s in rows.filter(|s| s.is_open()) {
        tx.note_shown(&user.name, &format!("settlement {}", s.id), &s.fingerprint, app.runtime.clock.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn show(app: &App, id: i64) -> Result<Done, Failure> {
    let mut tx = app.store().read().await?;
    let Some(s) = tx.settlement(id).await? else { return Err(Failure::Use(format!("there is no settlement {id}"))) };
    let holding = approve::holding(&mut tx, &s).await?;
    let mut value = json_standing(app, &mut tx, &s).await?;
    let snapshot = tx.settlement_snapshot(id, s.revision).await?;
    let shown: serde_json::Value = serde_json::from_str(&snapshot).map_err(anyhow::Error::from)?;
    let currency = Currency::parse(&s.currency);
    let money = |value: &serde_json::Value| {
        let amount = value.as_str().and_then(|text| Micros::parse(text).ok());
        amount.zip(currency).map_or_else(|| value.clone(), |(amount, currency)| amount.to_text(currency.minor_digits()).into())
    };
    value["lines"] = shown["lines"].clone();
    for line in value["lines"].as_array_mut().into_iter().flatten() {
        for key in ["net", "share"] {
            line[key] = money(&line[key]);
        }
    }
    value["parts"] = shown["parts"].clone();
    for part in value["parts"].as_array_mut().into_iter().flatten() {
        let amount = Micros(part["amount_u"].as_i64().unwrap_or_default());
        part["amount"] = s.money(amount).into();
    }
    value["held_by"] = holding.iter().map(|e| serde_json::json!({ "id": e.id, "code": e.code, "subject": e.subject })).collect();
    drop(tx);
    note_shown(app, std::iter::once(&s)).await?;
    if app.json {
        print_json(&value);
        return Ok(Done::Clean);
    }
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    println!("settlement {id}  {}  {}", s.reference, s.state);
    println!(
        "  {} to {} for {}: {} {}",
        s.agreement,
        s.payee,
        value["period"]["label"].as_str().unwrap_or_default(),
        text("amount"),
        s.currency
    );
    println!("  carried forward {}", text("carried_forward"));
    println!("  approvals {} of {}, prepared by {}", value["approvals_given"], value["approvals_needed"], s.maker);
    if let Some(why) = value["approvals_why"].as_str() {
        println!("  two are needed: {why}");
    }
    println!("  fingerprint {}", s.fingerprint);
    for e in &holding {
        println!("  held by exception {} [{}] {}", e.id, e.code, e.subject);
    }
    let mut table = Table::new(&["term", "partner", "document", "line", "net", "share"]);
    for line in value["lines"].as_array().into_iter().flatten() {
        let cell = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        table.row(vec![cell("term"), cell("partner"), cell("document"), cell("line"), cell("net"), cell("share")]);
    }
    table.print("no lines");
    Ok(Done::Clean)
}

/// A run of only the push stage: the same lease, the same rules as at night.
async fn push_approved(app: &App, id: Option<i64>) -> Result<Done, Failure> {
    let subject = id.map_or_else(|| "settlements".to_owned(), |id| format!("settlement {id}"));
    let actor = app.in_name_of(Action::Push, &subject).await?;
    let user = app.maybe_actor().await?;
    let now = app.runtime.clock.now();
    let mut tx = app.store().begin().await?;
    if let Some(id) = id {
        let Some(s) = tx.lock_settlement(id).await? else { return Err(Failure::Use(format!("there is no settlement {id}"))) };
        let refusal = match s.state.as_str() {
            "proposed" => Some(format!("settlement {id} is not approved")),
            "empty" | "rejected" | "withdrawn" => Some(format!("settlement {id} is {}", s.state)),
            "refused" => push::again(&app.runtime, &mut tx, &s, user.as_ref()).await?,
            _ => None,
        };
        if let Some(message) = refusal {
            let detail = serde_json::json!({ "fingerprint": s.fingerprint, "amount": s.money(s.amount()), "refused": message });
            tx.audit(now, &actor, "settlement push", &format!("settlement {id}"), "refused", &detail).await?;
            tx.commit().await?;
            return Err(Failure::Use(message));
        }
    }
    tx.audit(now, &actor, "push", "settlements", "done", &serde_json::json!({ "settlement": id })).await?;
    tx.commit().await?;
    let request = RunRequest {
        job: "push".into(),
        key: now.to_rfc3339(),
        business_day: app.today(),
        stages: vec![Stage::Push],
        caught_up: false,
        dry_run: false,
        statements_due: false,
    };
    let Some(outcome) = execute(&app.runtime, &request, Arc::new(AtomicBool::new(false))).await? else {
        return Err(Failure::Failed(anyhow::anyhow!("another run is being executed; push again when it is done")));
    };
    if app.json {
        print_json(&outcome);
    } else if let Some(stage) = outcome.stages.first() {
        println!("{}", stage.detail);
    }
    let exceptions = outcome.stages.iter().map(|s| s.exceptions).sum::<i64>();
    Ok(if exceptions > 0 { Done::Waiting } else { Done::Clean })
}
