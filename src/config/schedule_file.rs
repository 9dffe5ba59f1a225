//! Schedule files: WHEN a job runs, what it does, and who is told.
//!
//! Not here: due times (`core::schedule`), timers (`daemon`). Invariant: a schedule that comes out
//! has a date that comes true and a zone that exists.

use crate::config::reader::{File, Section, in_file_order};
use crate::config::shape::{Key, Kind, Shape};
use crate::config::source::Source;
use crate::config::tree::Table;
use crate::config::variables::Variables;
use crate::core::problem::Problems;
use crate::core::schedule::{BusinessDayRule, Missed, Overlap, Schedule, Step};
use chrono_tz::Tz;
use secrecy::SecretString;

/// One schedule file.
#[derive(Clone, Debug)]
pub struct ScheduleFile {
    /// Name of the job: the file's name without its ending.
    pub name: String,
    /// Whether it comes with the program rather than with the workspace. The daemon runs only what
    /// the workspace has; `run JOB` finds both.
    pub shipped: bool,
    /// The calendar part.
    pub schedule: Schedule,
    /// The cron text as written.
    pub cron: String,
    /// When statements are sent by the `statements` step; `None`: only by command.
    pub statements: Option<StatementsOn>,
    /// Who is told what.
    pub notify: Notify,
}

/// When the `statements` step sends statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementsOn {
    /// When the business day is the last of a fiscal month.
    MonthEnd,
}

/// Who is told about a job.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    /// A run failed for good.
    pub failed: bool,
    /// A run is late.
    pub late: bool,
    /// A run left exceptions for a person.
    pub exceptions: bool,
    /// Mail addresses.
    pub mail: Vec<String>,
    /// Address that gets a JSON document; it may hold a secret.
    pub webhook: Option<SecretString>,
}

/// A whole schedule file.
pub static SCHEDULE: Shape = Shape::new(
    "a schedule",
    "When a job runs, what it does, and who is told.",
    &[
        Key::new("cron", Kind::Name, "six fields: second minute hour day month weekday").required(),
        Key::new("timezone", Kind::Zone, "zone of the cron fields; the company's when left out"),
        Key::new("business_day", Kind::Word(&["previous", "same"]), "which business day a run closes").default("previous"),
        Key::new(
            "steps",
            Kind::List(&Kind::Word(&["pull", "normalize", "match", "accrue", "reconcile", "propose", "push", "statements"])),
            "what the job does",
        )
        .default("pull, normalize, match, accrue, reconcile, propose, push, statements"),
        Key::new("missed", Kind::Word(&["catch-up", "run-once", "skip"]), "what happens to due times that were missed")
            .default("catch-up"),
        Key::new("overlap", Kind::Word(&["queue", "skip"]), "what happens to a due time that meets a running run")
            .default("queue"),
        Key::new("statements", Kind::Table(&STATEMENTS), "when statements are sent"),
        Key::new("notify", Kind::Table(&NOTIFY), "who is told"),
    ],
);

static STATEMENTS: Shape = Shape::new(
    "`statements`",
    "When the step `statements` sends statements.",
    &[Key::new("on", Kind::WordOrLater(&["month-end"], &["quarter-end", "year-end", "settlement"]), "occasion").required()],
);

static NOTIFY: Shape = Shape::new(
    "`notify`",
    "Who is told.",
    &[
        Key::new("on", Kind::List(&Kind::Word(&["failed", "late", "exceptions"])), "occasions")
            .default("failed, late, exceptions"),
        Key::new("mail", Kind::List(&Kind::Name), "mail addresses"),
        Key::new("webhook", Kind::Url, "address that gets a JSON document"),
    ],
);

/// Reads one schedule file. `zone` is the company's.
///
/// # Errors
/// Every problem of the file.
pub fn parse(
    name: &str,
    source_name: &str,
    text: &str,
    shipped: bool,
    zone: Tz,
    variables: &Variables,
) -> Result<ScheduleFile, Problems> {
    let source = Source::file(source_name, text);
    let mut table = Table::parse(&source)?;
    let mut found = Problems::default();
    variables.apply(&mut table, &mut found);
    let (file, mut problems) = File::from_table(&source, table, &SCHEDULE);
    problems.0.retain(|p| !found.0.iter().any(|f| f.place == p.place));
    problems.0.extend(found.0);
    let built = build(name, shipped, zone, file.root(), &mut problems);
    in_file_order(&mut problems);
    match built {
        Some(schedule) if problems.0.is_empty() => Ok(schedule),
        _ => Err(problems),
    }
}

fn build(name: &str, shipped: bool, company_zone: Tz, root: Section<'_>, problems: &mut Problems) -> Option<ScheduleFile> {
    // Whatever else was refused, the rest is looked at: all problems come at once.
    let zone: Option<Tz> = match root.text("timezone") {
        Some(zone) => zone.parse().ok(),
        None => Some(company_zone),
    };
    let notify = root.table("notify");
    let notify = notify.map_or_else(|| Some(Notify::default()), |table| read_notify(table, problems));
    let statements = match root.table("statements") {
        Some(table) => table.word("on", |w| (w == "month-end").then_some(StatementsOn::MonthEnd)).map(Some),
        None => Some(None),
    };
    let written = root.texts("steps");
    let mut steps: Vec<Step> = written.iter().filter_map(|s| s.parse().ok()).collect();
    let all_steps = steps.len() == written.len();
    if steps.is_empty() && !written.is_empty() {
        steps.push(Step::Pull);
    }
    let business_day =
        root.word("business_day", |w| Some(if w == "same" { BusinessDayRule::Same } else { BusinessDayRule::Previous }));
    let missed = root.word("missed", |w| match w {
        "run-once" => Some(Missed::RunOnce),
        "skip" => Some(Missed::Skip),
        _ => Some(Missed::CatchUp),
    });
    let overlap = root.word("overlap", |w| Some(if w == "skip" { Overlap::Skip } else { Overlap::Queue }));
    let cron = root.text("cron")?;
    let schedule = Schedule::new(
        name,
        cron,
        zone.unwrap_or(company_zone),
        business_day.unwrap_or(BusinessDayRule::Previous),
        &steps,
        missed.unwrap_or(Missed::CatchUp),
        overlap.unwrap_or(Overlap::Queue),
    );
    let whole = all_steps && zone.is_some() && business_day.is_some() && missed.is_some() && overlap.is_some();
    match schedule {
        Ok(schedule) if whole => Some(ScheduleFile {
            name: name.to_owned(),
            shipped,
            schedule,
            cron: cron.to_owned(),
            statements: statements?,
            notify: notify?,
        }),
        Ok(_) => None,
        Err(problem) => {
            let key = if problem.code == "no-steps" { "steps" } else { "cron" };
            let help =
                problem.help.clone().unwrap_or_else(|| "name at least one step, or leave `steps` out for all of them".to_owned());
            problems.push(problem.at(root.place(key)).help(help));
            None
        }
    }
}

fn read_notify(table: Section<'_>, problems: &mut Problems) -> Option<Notify> {
    let on = table.texts("on");
    let mail = table.texts("mail");
    for address in mail.iter().filter(|m| !m.contains('@') || m.ends_with('@') || m.starts_with('@')) {
        problems.push(
            table
                .problem("bad-address", "mail", format!("`mail`: `{address}` is not a mail address"))
                .help("write for example \"finance@northwind.example\""),
        );
    }
    let webhook = table.text("webhook");
    if webhook.is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        problems.push(
            table
                .problem("bad-url", "webhook", "`webhook` is not an address of the web")
                .help("write https://..., or a reference to a variable that holds it"),
        );
    }
    if mail.is_empty() && !table.has("webhook") {
        problems.push(
            table
                .problem("missing-key", "mail", "nobody would be told")
                .help("add mail = [\"...\"] or webhook = \"${ALERT_URL}\", or leave `notify` out"),
        );
    }
    Some(Notify {
        failed: on.contains(&"failed"),
        late: on.contains(&"late"),
        exceptions: on.contains(&"exceptions"),
        mail: mail.into_iter().map(str::to_owned).collect(),
        webhook: webhook.map(SecretString::from),
    })
}
