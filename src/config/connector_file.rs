//! Connector files: WHO we talk to. Their keys, and the shape that drivers take.
//!
//! What a driver does with its own tables is the driver's business; here they are checked for
//! unknown keys and kept as a tree with variables put in. Invariant: the secrets of `auth` are
//! [`SecretString`]s and `Debug` never prints them.

use crate::config::reader::{File, in_file_order};
use crate::config::shape::{Key, Kind, Shape};
use crate::config::source::Source;
use crate::config::tree::Table;
use crate::config::value;
use crate::config::variables::Variables;
use crate::core::problem::{Place, Problem, Problems};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// One connector.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// Its name: the file's name without the ending.
    pub name: String,
    /// `files`, `json-rpc`, ...
    pub driver: String,
    /// Version of the connector file.
    pub version: u32,
    /// Where the other system is.
    pub base_url: Option<String>,
    /// `auth` without its secrets.
    pub auth: Map<String, Value>,
    /// The secrets of `auth` ([`SECRET_KEYS`]).
    pub secrets: BTreeMap<String, SecretString>,
    /// Budgets.
    pub limits: Limits,
    /// `[feeds.NAME]` tables.
    pub feeds: BTreeMap<String, Value>,
    /// `[push.NAME]` tables.
    pub push: BTreeMap<String, Value>,
    /// Keys of the driver at the top of the file.
    pub options: Map<String, Value>,
}

/// Budgets of one connector: `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute; the rest waits.
    pub requests_per_minute: u32,
    /// Requests at the same time.
    pub concurrency: u32,
    /// Longest wait for one whole answer.
    pub timeout: Duration,
    /// Longest wait for the answer to a push step.
    pub push_timeout: Duration,
    /// How often a read is tried.
    pub attempts: u32,
    /// Longest wait before a repeat, whatever `Retry-After` says.
    pub retry_after_max: Duration,
    /// Largest answer or file, in bytes.
    pub max_bytes: u64,
    /// Most pages of one pull.
    pub max_pages: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 300,
            concurrency: 4,
            timeout: Duration::from_secs(60),
            push_timeout: Duration::from_secs(180),
            attempts: 5,
            retry_after_max: Duration::from_secs(60),
            max_bytes: 64 * 1024 * 1024,
            max_pages: 100_000,
        }
    }
}

/// Keys of `auth` that hold secrets.
pub const SECRET_KEYS: [&str; 4] = ["password", "client_secret", "token", "key"];

/// A connector file of any driver.
pub static CONNECTOR: Shape = Shape::new(
    "a connector",
    "One other system: its address, how to log in, what is read from it and written to it.",
    &[
        Key::new(
            "driver",
            Kind::WordOrLater(&["files", "json-rpc"], &["odata", "rest", "graphql", "soap", "sql", "sftp", "as2", "imap"]),
            "how it is reached",
        )
        .required(),
        Key::new("version", Kind::Integer(1, 9999), "version of this file").default("1"),
        Key::new("limits", Kind::Table(&LIMITS), "budgets"),
    ],
)
.with_variants("driver", &[("files", &FILES), ("json-rpc", &JSON_RPC)]);

static LIMITS: Shape = Shape::new(
    "`limits`",
    "Budgets of one connector.",
    &[
        Key::new("requests_per_minute", Kind::Integer(1, 1_000_000), "requests a minute; the rest waits").default("300"),
        Key::new("concurrency", Kind::Integer(1, 1000), "requests at the same time").default("4"),
        Key::new("timeout", Kind::Duration, "longest wait for one whole answer").default("60s"),
        Key::new("push_timeout", Kind::Duration, "longest wait for the answer to a push step").default("180s"),
        Key::new("attempts", Kind::Integer(1, 100), "how often a read is tried").default("5"),
        Key::new("retry_after_max", Kind::Duration, "longest wait before a repeat, whatever the other system asks for")
            .default("60s"),
        Key::new("max_bytes", Kind::Integer(1, i64::MAX), "largest answer or file, in bytes").default("67108864"),
        Key::new("max_pages", Kind::Integer(1, i64::MAX), "most pages of one pull").default("100000"),
    ],
);

const AUTHORITY: Kind = Kind::Word(&["truth", "fill-in"]);

static FILES: Shape = Shape::new(
    "a files connector",
    "Folders in, folders out.",
    &[
        Key::new("feeds", Kind::Map(&Kind::Table(&FILES_FEED)), "what is read, as [feeds.NAME]"),
        Key::new("push", Kind::Map(&Kind::Table(&FILES_PUSH)), "what is written, as [push.NAME]"),
    ],
)
.variant_of(&CONNECTOR);

static FILES_FEED: Shape = Shape::new(
    "a feed of files",
    "Files of one kind.",
    &[
        Key::new(
            "mapping",
            Kind::Name,
            "mapping that says what a record means; `canonical-lines` and the like read canonical tables",
        )
        .required(),
        Key::new("authority", AUTHORITY, "whether this feed is the record of truth, or fills in what that one does not deliver")
            .default("truth"),
        Key::new("folder", Kind::Name, "folder; a relative path starts at the workspace").required(),
        Key::new("pattern", Kind::Name, "file names wanted, several by comma: `*.csv, *.xlsx`").default("*"),
        Key::new("settle", Kind::Duration, "how long size and time have to stand still before a file is taken").default("2s"),
        Key::new("unfinished", Kind::List(&Kind::Name), "endings that mark a file still being written")
            .default(".tmp, .part, .partial, .filepart, .crdownload"),
        Key::new(
            "line_end",
            Kind::Word(&["required", "optional"]),
            "whether the last row of a CSV file must have its line end; without one it may have been cut off",
        )
        .default("required"),
        Key::new("done", Kind::Name, "folder inside the feed's folder for taken files").default("done"),
        Key::new("failed", Kind::Name, "folder inside the feed's folder for refused files").default("failed"),
    ],
);

static FILES_PUSH: Shape = Shape::new(
    "a push into files",
    "Credit memos as files.",
    &[
        Key::new("mapping", Kind::Name, "mapping that reads the other system's own memos"),
        Key::new("folder", Kind::Name, "folder; a relative path starts at the workspace").required(),
        Key::new("sent", Kind::Name, "folder inside it for our own copies").default("sent"),
        Key::new("formats", Kind::List(&Kind::Word(&["json", "csv"])), "files that are written").default("json, csv"),
    ],
);

static JSON_RPC: Shape = Shape::new(
    "a json-rpc connector",
    "Calls with JSON bodies over HTTP.",
    &[
        Key::new("base_url", Kind::Url, "address of the calls").required(),
        Key::new("auth", Kind::Table(&AUTH), "how calls are authorized"),
        Key::new("envelope", Kind::Any, "body of a call, with the holes {id}, {method} and {params}"),
        Key::new("constants", Kind::Map(&Kind::Any), "values for holes; a later one may use an earlier one"),
        Key::new("values", Kind::Map(&Kind::Any), "how instants, dates and amounts are written"),
        Key::new("errors", Kind::Table(&RPC_ERRORS), "where an error says what it is"),
        Key::new("test", Kind::Table(&RPC_TEST), "what `connector test` tries"),
        Key::new("feeds", Kind::Map(&Kind::Table(&RPC_FEED)), "what is read, as [feeds.NAME]"),
        Key::new("push", Kind::Map(&Kind::Table(&RPC_PUSH)), "what is written, as [push.NAME]"),
    ],
)
.variant_of(&CONNECTOR);

static AUTH: Shape = Shape::new(
    "`auth`",
    "How calls are authorized. `password`, `client_secret`, `token` and `key` must be references such as `${NAME}`.",
    &[
        Key::new("type", Kind::Word(&["none", "basic", "bearer", "session"]), "kind of authorization").default("none"),
        Key::new("user", Kind::Name, "user name"),
        Key::new("password", Kind::Name, "reference to the password"),
        Key::new("token", Kind::Name, "reference to the token"),
        Key::new("key", Kind::Name, "reference to the key"),
        Key::new("client_secret", Kind::Name, "reference to the client's secret"),
        Key::new("login", Kind::Any, "session: the call that logs in, with the holes {user} and {password}"),
        Key::new("scheme", Kind::Name, "session: first word of the Authorization header"),
        Key::new("value", Kind::Name, "session: what follows it, with the holes {user} and {result...}"),
        Key::new("base64", Kind::Flag, "session: whether the value is sent as base64").default("false"),
    ],
);

static RPC_ERRORS: Shape = Shape::new(
    "`errors`",
    "Paths and words of errors in an answer's body.",
    &[
        Key::new("kind", Kind::Name, "path of the kind").default("code"),
        Key::new("message", Kind::List(&Kind::Name), "paths of the words, joined").default("message"),
        Key::new("changed", Kind::List(&Kind::Name), "words for `changed by somebody else`"),
        Key::new("busy", Kind::List(&Kind::Name), "words for `try again later`"),
        Key::new("warning", Kind::Name, "kind of a warning that a person may accept"),
        Key::new("warning_name", Kind::Name, "path of a warning's name"),
        Key::new("answer", Kind::Any, "call that accepts a warning"),
    ],
);

static RPC_TEST: Shape = Shape::new(
    "`test`",
    "Calls that change nothing.",
    &[
        Key::new("address", Kind::Any, "call that needs no log-in"),
        Key::new("address_path", Kind::Name, "path of that call's address"),
        Key::new("rights", Kind::List(&Kind::Any), "calls that show whether the user may do what is needed"),
    ],
);

static RPC_FEED: Shape = Shape::new(
    "a feed of calls",
    "Records of one kind, page by page.",
    &[
        Key::new("mapping", Kind::Name, "mapping that says what a record means").required(),
        Key::new("authority", AUTHORITY, "whether this feed is the record of truth, or fills in what that one does not deliver")
            .default("truth"),
        Key::new("method", Kind::Name, "method of a page").required(),
        Key::new("params", Kind::Any, "its parameters, with holes"),
        Key::new("fields", Kind::List(&Kind::Name), "fields asked for: the hole {fields}"),
        Key::new("filter", Kind::Any, "the hole {filter}"),
        Key::new("changed", Kind::Any, "the hole {changed}: what changed since the cursor"),
        Key::new("after", Kind::Any, "the hole {after}: what follows the last record of a page").required(),
        Key::new("id", Kind::Name, "path of a record's key, which pages follow").default("id"),
        Key::new("page_size", Kind::Integer(1, 1_000_000), "records of a page: the hole {limit}"),
        Key::new("records", Kind::Name, "path of the list of records in an answer"),
        Key::new("cursor", Kind::Table(&CURSOR), "how changes are found; everything is read again when left out"),
    ],
);

static CURSOR: Shape = Shape::new(
    "`cursor`",
    "How changes are found.",
    &[
        Key::new("field", Kind::Name, "field with the time of the last change").required(),
        Key::new("fallback", Kind::Name, "field to use while that one is empty"),
        Key::new("lag", Kind::Duration, "the cursor stays this far behind the clock"),
        Key::new("overlap", Kind::Duration, "each pull starts this far before the cursor"),
        Key::new("precision", Kind::Name, "precision of the field: second, millisecond or microsecond"),
        Key::new("tie_break", Kind::Name, "field that orders records of the same time"),
    ],
);

static RPC_PUSH: Shape = Shape::new(
    "a push of calls",
    "How a credit memo is looked up, created and posted.",
    &[
        Key::new("mapping", Kind::Name, "mapping that reads the other system's own memos"),
        Key::new("resolve", Kind::List(&Kind::Any), "calls that find keys of the other system by code"),
        Key::new("lookup", Kind::Any, "call that finds memos by our reference").required(),
        Key::new("read", Kind::Any, "where a memo found has its facts").required(),
        Key::new("steps", Kind::List(&Kind::Any), "calls in order, the first creates").required(),
        Key::new("line", Kind::Any, "one line of a memo"),
        Key::new("one_line_if_mixed", Kind::Flag, "whether lines of both signs are put together into one"),
        Key::new("accept_warnings", Kind::List(&Kind::Name), "warnings that are accepted, by the end of their name"),
        Key::new("lookup_delay", Kind::Duration, "how long an uncertain call may still take effect"),
    ],
);

/// Reads one connector file. `source_name` is its name in messages.
///
/// # Errors
/// Every problem of the file; the driver's own checks come when it is opened.
pub fn parse(name: &str, source_name: &str, text: &str, variables: &Variables) -> Result<ConnectorConfig, Problems> {
    let source = Source::file(source_name, text);
    let mut table = Table::parse(&source)?;
    let mut found = Problems::default();
    variables.apply(&mut table, &mut found);
    let (file, mut problems) = File::from_table(&source, table, &CONNECTOR);
    // What a variable would have given is not known: its kind is no further complaint.
    problems.0.retain(|p| !found.0.iter().any(|f| f.place == p.place));
    problems.0.extend(found.0);
    in_file_order(&mut problems);
    if !problems.0.is_empty() {
        return Err(problems);
    }
    ConnectorConfig::from_tree(name, file.table.to_json()).map_err(Problems::from)
}

impl ConnectorConfig {
    /// Takes a connector file's tree, variables already put in. Unknown keys at the top are left
    /// to the driver; the same goes for everything below `feeds` and `push`.
    ///
    /// # Errors
    /// `connector-file`: a part has the wrong type.
    pub fn from_tree(name: &str, mut tree: Map<String, Value>) -> Result<Self, Problem> {
        let problem =
            |message: String| Problem::new("connector-file", message).at(Place::source(format!("connectors/{name}.toml")));
        let mut table = |key: &str| match tree.remove(key) {
            None => Ok(Map::new()),
            Some(Value::Object(map)) => Ok(map),
            Some(_) => Err(problem(format!("`{key}` must be a table"))),
        };
        let (mut auth, limits, feeds, push) = (table("auth")?, table("limits")?, table("feeds")?, table("push")?);
        let mut secrets = BTreeMap::new();
        for key in SECRET_KEYS {
            if let Some(Value::String(secret)) = auth.remove(key) {
                secrets.insert(key.to_owned(), SecretString::from(secret));
            }
        }
        let mut text = |key: &str| match tree.remove(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(problem(format!("`{key}` must be text"))),
        };
        let (driver, base_url) = (text("driver")?, text("base_url")?);
        let version = tree.remove("version").and_then(|v| v.as_u64()).and_then(|v| u32::try_from(v).ok()).unwrap_or(1);
        Ok(Self {
            name: name.to_owned(),
            driver: driver.ok_or_else(|| problem("`driver` is missing".into()))?,
            version,
            base_url,
            auth,
            secrets,
            limits: Limits::from_table(&limits).map_err(|m| problem(format!("limits: {m}")))?,
            feeds: feeds.into_iter().collect(),
            push: push.into_iter().collect(),
            options: tree,
        })
    }

    /// Names of the mappings that feeds and pushes use, with the path of the key that names them.
    pub fn mappings(&self) -> Vec<(String, String)> {
        let tables = self.feeds.iter().map(|(n, t)| ("feeds", n, t)).chain(self.push.iter().map(|(n, t)| ("push", n, t)));
        tables
            .filter_map(|(kind, name, table)| {
                Some((format!("{kind}.{name}.mapping"), table.get("mapping")?.as_str()?.to_owned()))
            })
            .collect()
    }
}

impl Limits {
    fn from_table(table: &Map<String, Value>) -> Result<Self, String> {
        let mut limits = Self::default();
        for (key, value) in table {
            let count = || value.as_u64().filter(|n| *n > 0).ok_or_else(|| format!("`{key}` must be a whole number above zero"));
            let count32 = || count().and_then(|n| u32::try_from(n).map_err(|_| format!("`{key}` is too large")));
            let wait =
                || value.as_str().and_then(value::duration).ok_or_else(|| format!("`{key}` must be a time such as \"60s\""));
            match key.as_str() {
                "requests_per_minute" => limits.requests_per_minute = count32()?,
                "concurrency" => limits.concurrency = count32()?,
                "timeout" => limits.timeout = wait()?,
                "push_timeout" => limits.push_timeout = wait()?,
                "attempts" => limits.attempts = count32()?,
                "retry_after_max" => limits.retry_after_max = wait()?,
                "max_bytes" => limits.max_bytes = count()?,
                "max_pages" => limits.max_pages = count()?,
                _ => return Err(format!("`{key}` is not known")),
            }
        }
        Ok(limits)
    }
}
