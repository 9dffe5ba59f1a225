//! `rebated.toml`: its keys and the typed configuration they give.
//!
//! Not here: layering (`layers`), the other files of a workspace. Invariant: secrets are
//! [`SecretString`]s, so `Debug` never prints them.

use crate::config::calendar::{self, ReadFile};
use crate::config::reader::{Section, in_file_order};
use crate::config::shape::{Key, Kind, Shape};
use crate::core::money::Currency;
use crate::core::number::{Micros, Rate};
use crate::core::period::FiscalCalendar;
use crate::core::problem::Problems;
use crate::core::reconcile::Tolerance;
use chrono_tz::Tz;
use secrecy::SecretString;
use std::time::Duration;

/// The configuration of a workspace.
#[derive(Clone, Debug)]
pub struct RebatedConfig {
    /// `[company]`.
    pub company: Company,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[mail]`.
    pub mail: Mail,
    /// `[web]`.
    pub web: Web,
    /// `[approval]`.
    pub approval: Approval,
    /// `[run]`.
    pub run: RunConfig,
    /// `[reconcile]`.
    pub reconcile: Reconcile,
}

/// Whose rebates these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Company {
    /// Code of documents that name no company; part of every payment reference.
    pub code: String,
    /// Name on statements.
    pub name: String,
    /// Company currency.
    pub currency: Currency,
    /// Zone whose calendar turns instants into business days.
    pub timezone: Tz,
    /// Fiscal calendar.
    pub calendar: FiscalCalendar,
}

/// Where the store is.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `sqlite://...` or `postgres://...` as written; see `Workspace::store_url` for relative paths.
    pub url: SecretString,
}

/// How mail leaves.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Way out.
    pub transport: MailTransportConfig,
}

/// A way out for mail.
#[derive(Clone, Debug)]
pub enum MailTransportConfig {
    /// A mail server.
    Smtp {
        /// `smtps://user:password@host:port` or `smtp://...`.
        url: SecretString,
        /// Certificate of a company's own authority.
        ca_file: Option<String>,
    },
    /// A folder, relative to the workspace.
    Folder {
        /// Its path as written.
        path: String,
    },
}

/// The daemon's pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// `host:port`.
    pub listen: String,
    /// Address in mails.
    pub public_url: Option<String>,
}

/// Who approves what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// From this amount in company currency, two persons approve.
    pub two_approvers_from: Micros,
    /// Below this amount nobody has to.
    pub auto_approve_below: Micros,
    /// Files under `agreements/`.
    pub agreement_files: FileTrust,
    /// Files under `mappings/`.
    pub mapping_files: FileTrust,
    /// Files under `connectors/`.
    pub connector_files: FileTrust,
    /// Whom trusted files count as.
    pub file_author: String,
}

/// Whether a changed file is active at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTrust {
    /// A second person approves it first.
    NeedApproval,
    /// It was reviewed in version control.
    Trusted,
}

/// Times of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// How often a run gives a sign of life.
    pub heartbeat: Duration,
    /// A run without one for this long is abandoned.
    pub abandon_after: Duration,
    /// A run not finished this long after its due time is late.
    pub late_after: Duration,
    /// How long a step in hand may go on after a stop signal.
    pub stop_grace: Duration,
}

/// Differences that reconciliation lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconcile {
    /// Absolute amount.
    pub amount: Micros,
    /// Share of our amount.
    pub percent: Rate,
    /// Limit of both.
    pub at_most: Option<Micros>,
}

impl Reconcile {
    /// The tolerance that reconciliation works with.
    pub fn tolerance(&self) -> Tolerance {
        Tolerance { amount: self.amount, percent: self.percent, at_most: self.at_most }
    }
}

/// A whole `rebated.toml`.
pub static REBATED: Shape = Shape::new(
    "rebated.toml",
    "Company, store, mail, web, approval policy.",
    &[
        Key::new("company", Kind::Table(&COMPANY), "whose rebates these are").required(),
        Key::new("store", Kind::Table(&STORE), "where figures are kept"),
        Key::new("mail", Kind::Table(&MAIL), "how mail leaves"),
        Key::new("web", Kind::Table(&WEB), "the daemon's pages"),
        Key::new("approval", Kind::Table(&APPROVAL), "who approves what"),
        Key::new("run", Kind::Table(&RUN), "times of runs"),
        Key::new("reconcile", Kind::Table(&RECONCILE), "ours against theirs"),
    ],
);

static COMPANY: Shape = Shape::new(
    "[company]",
    "Whose rebates these are.",
    &[
        Key::new("name", Kind::Name, "name on statements").required(),
        Key::new(
            "code",
            Kind::Name,
            "company code of documents that name none; part of every payment reference, so choose it once",
        )
        .default("1"),
        Key::new("currency", Kind::Currency, "company currency").required(),
        Key::new("timezone", Kind::Zone, "zone whose calendar turns instants from sources into business days").required(),
        Key::new("fiscal_year_start", Kind::MonthDay, "month and day on which the fiscal year starts; the day is 01 to 28")
            .default("01-01"),
        calendar::YEAR_NAME,
        calendar::CALENDAR,
        calendar::YEAR_END,
        calendar::CALENDAR_FILE,
        calendar::WEEKEND,
        calendar::HOLIDAYS,
    ],
);

static STORE: Shape = Shape::new(
    "[store]",
    "Where figures are kept.",
    &[Key::new(
        "url",
        Kind::Url,
        "`sqlite://file` (a relative path starts at the workspace) or `postgres://user:${DB_PASSWORD}@host/database`",
    )
    .default("sqlite://rebated.db")],
);

static MAIL: Shape = Shape::new(
    "[mail]",
    "How mail leaves.",
    &[
        Key::new("from", Kind::Name, "sender of statements and alerts").default("Rebates <rebates@localhost>"),
        Key::new("transport", Kind::Table(&TRANSPORT), "way out; a folder `outbox` when left out"),
    ],
);

/// `mail.transport`.
pub static TRANSPORT: Shape = Shape::new(
    "`transport`",
    "Way out for mail.",
    &[Key::new("type", Kind::Word(&["smtp", "folder"]), "kind of transport").required()],
)
.with_variants("type", &[("smtp", &SMTP), ("folder", &FOLDER)]);

static SMTP: Shape = Shape::new(
    "an smtp transport",
    "A mail server.",
    &[
        Key::new("url", Kind::Url, "`smtps://user:${SMTP_PASSWORD}@host:465`, or `smtp://` with STARTTLS").required(),
        Key::new("ca_file", Kind::Name, "certificate of a company's own authority; a relative path starts at the workspace"),
    ],
)
.variant_of(&TRANSPORT);

static FOLDER: Shape = Shape::new(
    "a folder transport",
    "Mails as files.",
    &[Key::new("path", Kind::Name, "folder; a relative path starts at the workspace").required()],
)
.variant_of(&TRANSPORT);

static WEB: Shape = Shape::new(
    "[web]",
    "The daemon's pages.",
    &[
        Key::new("listen", Kind::Name, "host:port, or `none`").default("127.0.0.1:8484"),
        Key::new("public_url", Kind::Url, "address in mails"),
    ],
);

const TRUST: Kind = Kind::Word(&["need-approval", "trusted"]);
const TRUST_NOW: Kind = Kind::WordOrLater(&["trusted"], &["need-approval"]);

static APPROVAL: Shape = Shape::new(
    "[approval]",
    "Who approves what.",
    &[
        Key::new("two_approvers_from", Kind::Amount, "from this amount in company currency, two persons approve")
            .default("10000.00"),
        Key::new("auto_approve_below", Kind::Amount, "below this amount nobody has to").default("0.00"),
        Key::new("agreement_files", TRUST, "whether files under agreements/ are active when loaded").default("need-approval"),
        Key::new("mapping_files", TRUST_NOW, "whether changed mappings are active when loaded").default("trusted"),
        Key::new("connector_files", TRUST_NOW, "whether changed connectors are active when loaded").default("trusted"),
        Key::new("file_author", Kind::Name, "whom trusted files count as; that user cannot approve their settlements")
            .default("erp-admin"),
    ],
);

static RUN: Shape = Shape::new(
    "[run]",
    "Times of runs.",
    &[
        Key::new("heartbeat", Kind::Duration, "how often a run gives a sign of life").default("1m"),
        Key::new("abandon_after", Kind::Duration, "a run without one for this long is marked abandoned").default("10m"),
        Key::new("late_after", Kind::Duration, "a run not finished this long after its due time is late").default("2h"),
        Key::new("stop_grace", Kind::Duration, "how long a step in hand may go on after a stop signal").default("60s"),
    ],
);

static RECONCILE: Shape =
    Shape::new("[reconcile]", "Ours against theirs.", &[Key::new("tolerance", Kind::Table(&TOLERANCE), "differences that pass")]);

static TOLERANCE: Shape = Shape::new(
    "`tolerance`",
    "Differences within the larger of both pass.",
    &[
        Key::new("amount", Kind::Amount, "absolute difference").default("0.00"),
        Key::new("percent", Kind::Rate, "share of our amount").default("0%"),
        Key::new("at_most", Kind::Amount, "limit of both"),
    ],
);

/// Reads the merged layers, and the tables that they name through `files`; what a check has refused is missing and gives `None`.
pub fn read(root: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<RebatedConfig> {
    let config = sections(root, files, problems);
    in_file_order(problems);
    config
}

fn sections(root: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<RebatedConfig> {
    let company = root.table("company").and_then(|t| company(t, files, problems));
    let store = root.table("store").and_then(|t| store(t, problems));
    let mail = root.table("mail").and_then(|t| mail(t, problems));
    let run = root.table("run").and_then(|t| run(t, problems));
    let approval = root.table("approval").and_then(|t| approval(t, problems));
    let web = root.table("web")?;
    let listen = web.text("listen")?;
    if listen != "none"
        && listen.parse::<std::net::SocketAddr>().is_err()
        && !listen.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok())
    {
        problems.push(
            web.problem("bad-address", "listen", format!("`listen`: `{listen}` is not host:port"))
                .help("write for example \"127.0.0.1:8484\""),
        );
    }
    let tolerance = root.table("reconcile")?.table("tolerance")?;
    Some(RebatedConfig {
        company: company?,
        store: store?,
        mail: mail?,
        web: Web { listen: listen.to_owned(), public_url: web.text("public_url").map(str::to_owned) },
        approval: approval?,
        run: run?,
        reconcile: Reconcile {
            amount: tolerance.amount("amount")?,
            percent: tolerance.rate("percent")?,
            at_most: tolerance.amount("at_most"),
        },
    })
}

fn company(table: Section<'_>, files: &mut ReadFile<'_>, problems: &mut Problems) -> Option<Company> {
    let calendar = calendar::read(table, files, problems);
    Some(Company {
        code: table.text("code")?.to_owned(),
        name: table.text("name")?.to_owned(),
        currency: table.currency("currency")?,
        timezone: table.text("timezone")?.parse().ok()?,
        calendar: calendar?,
    })
}

fn store(table: Section<'_>, problems: &mut Problems) -> Option<StoreConfig> {
    let url = table.text("url")?;
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        problems.push(
            table
                .problem("bad-url", "url", "`url` is not the address of a store")
                .help("write \"sqlite://rebated.db\" or \"postgres://user:${DB_PASSWORD}@host/database\""),
        );
    }
    Some(StoreConfig { url: SecretString::from(url) })
}

fn mail(table: Section<'_>, problems: &mut Problems) -> Option<Mail> {
    let transport = table.table("transport")?;
    let transport = match transport.text("type")? {
        "smtp" => {
            let url = transport.text("url")?;
            if !url.starts_with("smtp://") && !url.starts_with("smtps://") {
                problems.push(
                    transport
                        .problem("bad-url", "url", "`url` is not the address of a mail server")
                        .help("write \"smtps://user:${SMTP_PASSWORD}@host:465\", or smtp:// for STARTTLS"),
                );
            }
            MailTransportConfig::Smtp { url: SecretString::from(url), ca_file: transport.text("ca_file").map(str::to_owned) }
        }
        _ => MailTransportConfig::Folder { path: transport.text("path")?.to_owned() },
    };
    Some(Mail { from: table.text("from")?.to_owned(), transport })
}

fn approval(table: Section<'_>, problems: &mut Problems) -> Option<Approval> {
    let trust = |key: &str| table.word(key, |w| Some(if w == "trusted" { FileTrust::Trusted } else { FileTrust::NeedApproval }));
    let (two, auto) = (table.amount("two_approvers_from"), table.amount("auto_approve_below"));
    if let (Some(two), Some(auto)) = (two, auto)
        && auto > two
    {
        problems.push(
            table
                .problem("out-of-range", "auto_approve_below", "amounts that need two approvers would need none")
                .help("`auto_approve_below` must not exceed `two_approvers_from`"),
        );
    }
    Some(Approval {
        two_approvers_from: two?,
        auto_approve_below: auto?,
        agreement_files: trust("agreement_files")?,
        mapping_files: trust("mapping_files")?,
        connector_files: trust("connector_files")?,
        file_author: table.text("file_author")?.to_owned(),
    })
}

fn run(table: Section<'_>, problems: &mut Problems) -> Option<RunConfig> {
    let (heartbeat, abandon_after) = (table.duration("heartbeat"), table.duration("abandon_after"));
    if let (Some(beat), Some(abandon)) = (heartbeat, abandon_after)
        && abandon < beat * 2
    {
        problems.push(
            table
                .problem("out-of-range", "abandon_after", "a living run would be taken for abandoned between two signs of life")
                .help("`abandon_after` must be at least twice `heartbeat`"),
        );
    }
    Some(RunConfig {
        heartbeat: heartbeat?,
        abandon_after: abandon_after?,
        late_after: table.duration("late_after")?,
        stop_grace: table.duration("stop_grace")?,
    })
}
