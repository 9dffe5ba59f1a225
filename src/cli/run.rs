//! `run [JOB]`: one execution; `runs`: what was executed.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::config::schedule_file::StatementsOn;
use crate::core::period::{Period, period_label};
use crate::core::rights::Action;
use crate::pipeline::load;
use crate::pipeline::run::{Rehearsed, RunOutcome, RunRequest, execute, rehearse};
use crate::pipeline::stages::Stage;
use crate::pipeline::statements::month_ends;
use crate::store::{StageRow, Store};
use clap::Args;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Args)]
pub struct Run {
    /// Job of schedules/
    #[arg(default_value = "nightly")]
    job: String,
    /// Business day to close; yesterday in the company's zone by default
    #[arg(long, value_name = "DAY")]
    business_day: Option<chrono::NaiveDate>,
    /// Close a day that is still to come
    #[arg(long)]
    ahead: bool,
    /// Only these stages
    #[arg(long, value_delimiter = ',', value_name = "S,..")]
    steps: Vec<String>,
    /// Show what the run would do: store, sources, ERP and mail stay as they are
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Runs {
    /// How many
    #[arg(long, default_value_t = 30)]
    limit: i64,
}

fn stages(words: &[String]) -> Result<Vec<Stage>, Failure> {
    let mut stages = Vec::new();
    for word in words {
        match Stage::from_word(word) {
            Some(stage) => stages.push(stage),
            None => {
                let known: Vec<&str> = Stage::WORDS.iter().map(|(w, _)| *w).collect();
                return Err(Failure::Use(format!("`{word}` is no step; there are {}", known.join(", "))));
            }
        }
    }
    Ok(stages)
}

pub async fn run(command: Run, app: &App) -> Result<Done, Failure> {
    let business_day = command.business_day.unwrap_or_else(|| app.previous_day());
    let today = app.today();
    if business_day > today && !command.ahead {
        return Err(Failure::Use(format!(
            "{business_day} is still to come, today is {today}: its periods are not over. Close it all the same with --ahead"
        )));
    }
    if !command.dry_run {
        app.in_name_of(Action::Run, &command.job).await?;
        load::agreements(&app.runtime, business_day).await?;
    }
    let schedule = app.runtime.workspace.schedule(&command.job);
    let scheduled = schedule.map(|s| s.schedule.steps.iter().map(|step| step.word().to_owned()).collect::<Vec<_>>());
    // A part of a job does not close the day: under the job's own key it would keep the scheduler
    // from ever doing the rest.
    let job = match (&command.dry_run, command.steps.as_slice()) {
        (true, _) => format!("{}/dry-run", command.job),
        (false, []) => command.job.clone(),
        (false, steps) => format!("{}/{}", command.job, steps.join("+")),
    };
    let stages = match (command.steps.is_empty(), scheduled) {
        (false, _) => stages(&command.steps)?,
        (true, Some(steps)) => stages(&steps)?,
        (true, None) if command.job == "nightly" => Stage::ALL.to_vec(),
        (true, None) => return Err(Failure::Use(format!("there is no schedules/{}.toml", command.job))),
    };
    let request = RunRequest {
        job,
        key: business_day.to_string(),
        business_day,
        stages,
        caught_up: false,
        dry_run: command.dry_run,
        // As the daemon would: a schedule says whether its job writes statements.
        statements_due: schedule.is_none_or(|s| s.statements == Some(StatementsOn::MonthEnd))
            && month_ends(&app.runtime, business_day),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    tokio::spawn(async move {
        asked_to_stop().await;
        flag.store(true, Ordering::Release);
    });
    if command.dry_run {
        let found = rehearse(&app.runtime, &request, stop).await?;
        print_rehearsed(&found, &request, app);
        return Ok(if found.settlements.is_empty() && found.exceptions.is_empty() { Done::Clean } else { Done::Waiting });
    }
    let Some(outcome) = execute(&app.runtime, &request, stop).await? else {
        return Err(Failure::Failed(anyhow::anyhow!("another run is being executed; start it again when that one is done")));
    };
    print(&outcome, app.json);
    if outcome.run.state == "failed" {
        return Err(Failure::Failed(anyhow::anyhow!("{}", outcome.run.error.unwrap_or_default())));
    }
    let waits = outcome.open_exceptions > 0 || outcome.waiting_settlements > 0 || outcome.waiting_agreements > 0;
    Ok(if waits { Done::Waiting } else { Done::Clean })
}

/// Ctrl-C, or SIGTERM as a service manager sends it.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

fn print_rehearsed(found: &Rehearsed, request: &RunRequest, app: &App) {
    if app.json {
        print_json(found);
        return;
    }
    println!("dry run of {} for {}: nothing is kept, nobody is told", request.job, request.business_day);
    print_stages(&found.stages);
    if !found.settlements.is_empty() {
        println!("\nsettlements as they would stand:");
        let mut table = Table::new(&["agreement", "payee", "period", "amount", "state", "revision"]);
        for s in &found.settlements {
            let period = Period { from: s.period_from, to: s.period_to };
            table.row(vec![
                s.agreement.clone(),
                s.payee.clone(),
                period_label(period, &app.runtime.settings.calendar),
                format!("{} {}", s.amount, s.currency),
                s.state.clone(),
                s.revision.to_string(),
            ]);
        }
        table.print("");
    }
    if !found.exceptions.is_empty() {
        println!("\nexceptions that would be opened:");
        let mut table = Table::new(&["code", "about", "what is wrong"]);
        for e in &found.exceptions {
            table.row(vec![e.code.clone(), e.subject.clone(), e.message.clone()]);
        }
        table.print("");
    }
    match app.store() {
        Store::Sqlite { .. } => println!("\nit was computed on a copy of the database, which is removed"),
        Store::Postgres(_) | Store::Rehearsal(_) => {
            println!("\nit was computed in one transaction, which is rolled back; others that write waited for it");
        }
    }
}

fn print(outcome: &RunOutcome, json: bool) {
    if json {
        print_json(outcome);
        return;
    }
    println!("{} {} attempt {}: {}", outcome.run.job, outcome.run.run_key, outcome.run.attempt, outcome.run.state);
    print_stages(&outcome.stages);
    if outcome.open_exceptions > 0 {
        println!("{} open exceptions: rebated exception list", outcome.open_exceptions);
    }
    if outcome.waiting_agreements > 0 {
        println!("{} agreement versions wait for approval: rebated agreement list", outcome.waiting_agreements);
    }
    if outcome.waiting_settlements > 0 {
        println!("{} settlements wait for approval: rebated settlement list", outcome.waiting_settlements);
    }
}

fn print_stages(stages: &[StageRow]) {
    let mut table = Table::new(&["stage", "in", "out", "exceptions", "what happened"]);
    for s in stages {
        table.row(vec![
            s.stage.clone(),
            s.count_in.to_string(),
            s.count_out.to_string(),
            s.exceptions.to_string(),
            s.detail.clone(),
        ]);
    }
    table.print("no stages");
}

pub async fn list(command: Runs, app: &App) -> Result<Done, Failure> {
    let rows = app.store().read().await?.runs(command.limit).await?;
    if app.json {
        print_json(&rows);
    } else {
        let mut table = Table::new(&["job", "key", "state", "attempt", "started", "finished", "caught up", "error"]);
        for r in rows {
            table.row(vec![
                r.job,
                r.run_key,
                r.state,
                r.attempt.to_string(),
                r.started_at.map(|t| t.format("%F %T").to_string()).unwrap_or_default(),
                r.finished_at.map(|t| t.format("%F %T").to_string()).unwrap_or_default(),
                if r.caught_up { "yes".into() } else { String::new() },
                r.error.unwrap_or_default(),
            ]);
        }
        table.print("no runs yet");
    }
    Ok(Done::Clean)
}
