//! `demo`: the whole nightly job on sample data, in a throw-away workspace.
//!
//! Nothing here is special: every step is a call that the other commands make, on files that ship
//! with the repository (`demo/`).

use super::app::{App, Failure, load_workspace};
use super::output::{note, out, print_json};
use super::{Done, Global};
use crate::clock::Clock;
use crate::core::master::Table as Canonical;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::{FiscalCalendar, Period};
use crate::core::statement::Statement;
use crate::pipeline::import::{Entered, import_table};
use crate::pipeline::run::{RunOutcome, RunRequest, execute};
use crate::pipeline::stages::Stage;
use crate::pipeline::{Progress, approve, explain, load};
use crate::store::{ExceptionFilter, StageRow, UserRow};
use chrono::NaiveDate;
use clap::Args;
use include_dir::{Dir, include_dir};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the story is told to a program, which gets one document at the end: then it goes to stderr.
static TO_A_PROGRAM: AtomicBool = AtomicBool::new(false);

/// A line of the story.
macro_rules! println {
    ($($part:tt)*) => { tell(format_args!($($part)*)) };
}

fn tell(text: std::fmt::Arguments<'_>) {
    if TO_A_PROGRAM.load(Ordering::Relaxed) { note(text) } else { out(text) }
}

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/demo");

#[derive(Debug, Args)]
pub struct Demo {
    /// Stop after the output; there are no pages to serve yet, so this is what happens anyway
    #[arg(long)]
    no_serve: bool,
    /// Write the workspace here instead of a new temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Stage lines on stdout, as part of the story.
struct Story;

impl Progress for Story {
    fn stage_started(&self, _: &str) {}
    fn advanced(&self, _: i64, _: Option<i64>) {}
    fn stage_finished(&self, row: &StageRow) {
        println!("    {:10} {}", row.stage, row.detail);
    }
    fn stage_failed(&self, stage: &str, error: &str) {
        println!("    {stage:10} failed: {error}");
    }
}

pub async fn run(command: Demo, global: &Global) -> Result<Done, Failure> {
    let _ = command.no_serve;
    TO_A_PROGRAM.store(global.json, Ordering::Relaxed);
    let dir = match command.dir {
        Some(dir) => dir,
        None => tempfile::Builder::new().prefix("rebated-demo-").tempdir().map_err(anyhow::Error::from)?.keep(),
    };
    std::fs::create_dir_all(&dir).map_err(anyhow::Error::from)?;
    FILES.extract(&dir).map_err(anyhow::Error::from)?;
    let mut global = global.clone();
    global.workspace = Some(dir.clone());
    global.store = None;
    let app = App::with(load_workspace(&global)?, Clock::System, Arc::new(Story), false).await?;
    println!("Brightwater Pumps, three partners, first quarter of 2026. Workspace: {}\n", dir.display());

    println!("1. Master data and agreements");
    for (table, file) in [(Canonical::Partners, "partners"), (Canonical::Items, "items")] {
        let n = import(&app, table, &dir.join(format!("tables/{file}.csv"))).await?;
        println!("    {n} {file}");
    }
    let loaded = load::agreements(&app.runtime, day(2026, 3, 31)).await?;
    println!("    {} agreements, active because files are trusted here\n", loaded.entered);

    println!("2. The night of 31 March: the ERP's journal is in the inbox");
    deliver(&dir, "inbox-1/journal-2026-q1.csv")?;
    night(&app, day(2026, 3, 31)).await?;
    accruals(&app).await?;
    exceptions(&app).await?;
    settlements(&app).await?;

    println!("5. January is closed; then item PUMP-C becomes known, invoice 1001 is corrected, pieces come back");
    let january = Period { from: day(2026, 1, 1), to: day(2026, 1, 31) };
    let now = app.runtime.clock.now();
    let mut tx = app.store().begin().await?;
    tx.set_period_state(january, "closed", "console", None, now).await?;
    tx.audit(now, "console", "period", "2026-01", "done", &serde_json::json!({ "state": "closed" })).await?;
    tx.commit().await?;
    import(&app, Canonical::Items, &dir.join("inbox-2/items.csv")).await?;
    deliver(&dir, "inbox-2/journal-correction.csv")?;
    night(&app, day(2026, 4, 1)).await?;
    corrections(&app).await?;

    println!("6. A second person approves; the daemon prepared, so it could not");
    let fiona = approver(&app).await?;
    let mut tx = app.store().read().await?;
    let open = tx.settlements().await?;
    drop(tx);
    for s in open.iter().filter(|s| s.state == "proposed") {
        let standing = approve::approve(&app.runtime, s.id, Some(&s.fingerprint), &fiona).await?;
        println!(
            "    settlement {} of {} {}: {} of {} approvals, {}",
            s.id,
            text(&s.currency, s.amount()),
            s.currency,
            standing.given,
            standing.needed,
            standing.state
        );
    }
    println!("\n7. Push: one credit memo each, under a reference that never changes");
    let outcome = stage(&app, day(2026, 4, 1), Stage::Push).await?;
    let _ = outcome;
    let mut tx = app.store().read().await?;
    for s in tx.settlements().await? {
        println!("    {} {} {:>9} {} {}", s.reference, s.payee, text(&s.currency, s.amount()), s.currency, s.state);
    }
    drop(tx);
    println!("\n8. The receipt that Lakeside can recompute with a pocket calculator");
    for receipt in explain::receipts(
        &app.runtime,
        "LAKESIDE-2026",
        "C-100",
        Some(Period { from: day(2026, 1, 1), to: day(2026, 3, 31) }),
        None,
    )
    .await?
    {
        for line in receipt.text().lines() {
            println!("    {line}");
        }
    }
    println!("\n9. The night of 30 April: the statements of April say what was corrected since those of March");
    night(&app, day(2026, 4, 30)).await?;
    statements(&app, &dir).await?;
    if global.json {
        let mut tx = app.store().read().await?;
        let settlements: Vec<_> = tx
            .settlements()
            .await?
            .iter()
            .map(|s| {
                serde_json::json!({
                    "settlement": s.id, "agreement": s.agreement, "payee": s.payee, "currency": s.currency,
                    "amount": text(&s.currency, s.amount()), "state": s.state, "reference": s.reference,
                })
            })
            .collect();
        let open = tx.open_exception_count().await?;
        print_json(&serde_json::json!({ "workspace": dir, "settlements": settlements, "open_exceptions": open }));
    }
    app.store().close().await;
    next(&dir);
    Ok(Done::Clean)
}

fn next(dir: &Path) {
    let at = format!("rebated --workspace {}", dir.display());
    println!("\nLook around:");
    println!("    {at} accruals --entries");
    println!("    {at} explain --document 1001");
    println!("    {at} settlement show 1");
    println!("    {at} statement show --partner C-300 --period 2026-04");
    println!("    {at} audit verify");
    println!("    ls {}/credit-memos {}/outbox", dir.display(), dir.display());
    println!("Your own: rebated init my-rebates --connector NAME, then docs/admin/connect-your-erp.md");
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}

fn text(currency: &str, amount: Micros) -> String {
    Currency::parse(currency).map_or_else(|| amount.to_string(), |c| c.amount_text(amount))
}

fn deliver(dir: &Path, file: &str) -> Result<(), Failure> {
    let inbox = dir.join("inbox");
    std::fs::create_dir_all(&inbox).map_err(anyhow::Error::from)?;
    let name = Path::new(file).file_name().unwrap_or_default();
    std::fs::copy(dir.join(file), inbox.join(name)).map_err(anyhow::Error::from)?;
    Ok(())
}

async fn import(app: &App, table: Canonical, file: &Path) -> Result<i64, Failure> {
    let r = &app.runtime;
    let entered = Entered { by: "console", business_day: day(2026, 3, 31), now: r.clock.now() };
    Ok(import_table(&r.store, &r.settings, table, file, entered, &mut |_| {}).await?.rows)
}

async fn stage(app: &App, business_day: NaiveDate, stage: Stage) -> Result<RunOutcome, Failure> {
    request(app, "push", app.runtime.clock.now().to_rfc3339(), business_day, vec![stage]).await
}

async fn night(app: &App, business_day: NaiveDate) -> Result<RunOutcome, Failure> {
    let outcome = request(app, "nightly", business_day.to_string(), business_day, Stage::ALL.to_vec()).await?;
    println!("");
    Ok(outcome)
}

async fn request(app: &App, job: &str, key: String, business_day: NaiveDate, stages: Vec<Stage>) -> Result<RunOutcome, Failure> {
    let month_end = FiscalCalendar::default().month(business_day).to == business_day;
    let request =
        RunRequest { job: job.into(), key, business_day, stages, caught_up: false, dry_run: false, statements_due: month_end };
    let outcome = execute(&app.runtime, &request, Arc::new(AtomicBool::new(false))).await?;
    outcome.ok_or_else(|| {
        Failure::Failed(anyhow::anyhow!("another run is being executed in {}", app.runtime.workspace.dir.display()))
    })
}

async fn accruals(app: &App) -> Result<(), Failure> {
    println!("3. Accruals: what each partner has earned so far");
    let mut tx = app.store().read().await?;
    let codes = crate::pipeline::accrue::codes(&mut tx).await?;
    for row in tx.all_earned_figures(crate::core::period::LAST_DAY).await? {
        let f = row.figure;
        let partner = codes.get(&f.partner_id).cloned().unwrap_or_default();
        println!(
            "    {:14} {} {:7} qualifier {:>10}  tier {}  earned {:>9} {}",
            f.agreement,
            partner,
            f.term,
            f.qualifier.to_text(2),
            f.tier.map_or_else(|| "-".to_owned(), |t| (t + 1).to_string()),
            text(&f.currency, f.earned),
            f.currency
        );
    }
    println!("");
    Ok(())
}

async fn exceptions(app: &App) -> Result<(), Failure> {
    println!("4. What a person has to look at, and what it holds");
    let mut tx = app.store().read().await?;
    for e in tx.exceptions(&ExceptionFilter::default()).await? {
        println!("    exception {} [{}] {}: {}", e.id, e.code, e.subject, e.message);
        if let Some(help) = &e.help {
            println!("      {help}");
        }
    }
    Ok(())
}

async fn settlements(app: &App) -> Result<(), Failure> {
    let mut tx = app.store().read().await?;
    for s in tx.settlements().await? {
        let held = approve::holding(&mut tx, &s).await?;
        let note = held.first().map_or_else(String::new, |e| format!(", held by exception {}", e.id));
        println!(
            "    settlement {} {} to {}: {} {} {}{note}",
            s.id,
            s.agreement,
            s.payee,
            text(&s.currency, s.amount()),
            s.currency,
            s.state
        );
    }
    println!("");
    Ok(())
}

async fn corrections(app: &App) -> Result<(), Failure> {
    println!("    Booked that night:");
    let mut tx = app.store().read().await?;
    for row in tx.all_entries().await? {
        if row.business_day == day(2026, 4, 1) {
            let e = row.entry;
            println!(
                "    {} {:>9} {} in {} ({}; {})",
                e.agreement,
                text(&e.currency, e.amount),
                e.currency,
                e.accounting_month.format("%Y-%m"),
                e.kind,
                e.reason
            );
        }
    }
    println!("");
    Ok(())
}

/// Whoever adds up the statements arrives at what was earned.
async fn statements(app: &App, dir: &Path) -> Result<(), Failure> {
    let mut tx = app.store().read().await?;
    let april = Period { from: day(2026, 4, 1), to: day(2026, 4, 30) };
    println!("    {:8} {:>10} {:>12} {:>10} {:>10} {:>10}", "partner", "stated", "corrections", "April", "to date", "credited");
    for partner in tx.partner_heads().await? {
        let Some(row) = tx.latest_statement(&partner.code, april.from, april.to).await? else { continue };
        let statement: Statement = serde_json::from_str(&row.figures).map_err(anyhow::Error::from)?;
        for block in &statement.blocks {
            let t = &block.totals;
            let [stated, corrections, april, earned, settled] =
                [t.stated_before, t.corrections, t.earned_in_period, t.earned, t.settled].map(|m| block.currency.amount_text(m));
            println!("    {:8} {stated:>10} {corrections:>12} {april:>10} {earned:>10} {settled:>10}", statement.partner);
        }
    }
    let mails = tx.mails().await?;
    println!("\n    {} mails in {}", mails.iter().filter(|m| m.state == "sent").count(), dir.join("outbox").display());
    for m in mails {
        println!("    {} {} to {} ({})", m.period_to.format("%Y-%m"), m.partner_code, m.contact, m.state);
    }
    Ok(())
}

/// A finance approver with a token, as `user add` and `user token` make one.
async fn approver(app: &App) -> Result<UserRow, Failure> {
    let now = app.runtime.clock.now();
    let mut tx = app.store().begin().await?;
    tx.add_user("fiona", "finance-approver", now).await?;
    tx.audit(now, "console", "user add", "fiona", "done", &serde_json::json!({ "role": "finance-approver" })).await?;
    let user = tx.user("fiona").await?;
    tx.commit().await?;
    user.ok_or_else(|| Failure::Failed(anyhow::anyhow!("the approver is gone")))
}
