//! Plays one folder of `tests/scenarios/` against the built program.
//!
//! The runner knows commands and how to compare tables; it knows no rule of the product. Invariant:
//! an expectation passes only by finding the row it names, exactly once.

use super::binary::{Outcome, Workspace};
use super::postgres::Database;
use super::rows::{self, Row};
use serde::Deserialize;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which database a scenario plays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
}

/// `scenario.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// Which case it shows, in a sentence or two.
    why: String,
    /// What `rebated.toml` says beyond the runner's defaults.
    #[serde(default)]
    workspace: toml::Table,
    /// Users with their roles; each gets a token.
    #[serde(default)]
    users: BTreeMap<String, String>,
    step: Vec<Step>,
}

/// One step: exactly one action or expectation, with its modifiers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    /// What happens here, for the reader and for failure messages.
    note: String,
    /// Imports `file` as this canonical table.
    import: Option<String>,
    file: Option<String>,
    /// Copies `file` of the scenario into the workspace under this name.
    put: Option<String>,
    /// One run of this job for `business_day`, of `steps` only when given.
    run: Option<String>,
    business_day: Option<String>,
    steps: Option<String>,
    /// Closes these accounting months, in order.
    close: Option<Vec<String>>,
    /// Any other command.
    command: Option<Vec<String>>,
    /// Acting user of the command.
    user: Option<String>,
    /// Exit code; 0 unless stated, and for runs and imports 0 or 1 (something waits for a person).
    exit: Option<i32>,
    /// Texts that the command must print, on either stream.
    says: Vec<String>,
    /// Texts that it must not print.
    says_not: Vec<String>,
    expect_accruals: Option<Vec<Row>>,
    expect_settlements: Option<Vec<Row>>,
    /// Open exceptions: these and no others.
    expect_exceptions: Option<Vec<Row>>,
    /// Decisions of `claim list`.
    expect_claims: Option<Vec<Row>>,
    /// Sums of entries of `accruals --entries`: together the rows must account for every entry of their agreements.
    expect_ledger: Option<Vec<Row>>,
    /// Lines that the store holds, as reporting tools see them.
    expect_lines: Option<Vec<Row>>,
    /// The receipt `of` a figure shows these line shares and nothing else.
    expect_receipt: Option<Vec<Row>>,
    of: Option<Row>,
    /// The rows that the audit trail gained since the last look, in order, these and no others; only
    /// those that `of` fits when it is given.
    expect_audit: Option<Vec<Row>>,
    /// Files whose name fits `folder/*ending`.
    expect_files: Option<String>,
    /// Figures as of this business day.
    as_of: Option<String>,
    /// How many rows or files there are altogether.
    count: Option<usize>,
}

/// A scenario under way.
struct Stage {
    name: String,
    folder: PathBuf,
    workspace: Workspace,
    database_url: String,
    tokens: BTreeMap<String, String>,
    at: String,
    /// Rows of the audit trail that were looked at.
    audited: Cell<usize>,
    _database: Option<Database>,
}

/// Plays a scenario from its first step to its last; panics with the step's place when it differs.
pub fn play(name: &str, store: Store) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(name);
    let text = std::fs::read_to_string(folder.join("scenario.toml")).expect("scenario.toml");
    let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}/scenario.toml: {e}"));
    assert!(!scenario.why.trim().is_empty(), "{name}: say why");
    assert!(scenario.step.iter().any(Step::expects), "{name}: a scenario expects something");

    let mut workspace = Workspace::empty();
    // No figure may depend on the zone of the machine.
    workspace.set_env("TZ", if store == Store::Sqlite { "Pacific/Kiritimati" } else { "Pacific/Pago_Pago" });
    let (url, database) = match store {
        Store::Sqlite => (format!("sqlite://{}", workspace.path().join("rebated.db").display()), None),
        Store::Postgres => match Database::fresh() {
            Some(database) => (database.url.clone(), Some(database)),
            None => return,
        },
    };
    workspace.copy_from(&folder);
    workspace.write("rebated.toml", configuration(scenario.workspace, &url));
    let mut stage = Stage {
        name: name.to_owned(),
        folder,
        workspace,
        database_url: url,
        tokens: BTreeMap::new(),
        at: "set-up".to_owned(),
        audited: Cell::new(0),
        _database: database,
    };
    stage.prepare(&scenario.users);
    for (index, step) in scenario.step.iter().enumerate() {
        stage.at = format!("step {} ({})", index + 1, if step.note.is_empty() { step.title() } else { step.note.clone() });
        stage.play(step);
    }
}

/// The runner's defaults with the scenario's own keys over them.
fn configuration(own: toml::Table, url: &str) -> String {
    let defaults: toml::Table = toml::from_str(
        r#"
        company = { name = "Example Trading", currency = "EUR", timezone = "UTC" }
        mail = { from = "Rebates <rebates@example.test>", transport = { type = "folder", path = "mail" } }
        approval = { agreement_files = "trusted" }
        "#,
    )
    .expect("defaults");
    let mut all = defaults;
    all.insert(
        "store".to_owned(),
        toml::Value::Table([("url".to_owned(), toml::Value::String(url.to_owned()))].into_iter().collect()),
    );
    for (key, value) in own {
        match (all.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => under.extend(over),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
    toml::to_string(&all).expect("configuration")
}

impl Step {
    fn expects(&self) -> bool {
        self.expect_accruals.is_some()
            || self.expect_settlements.is_some()
            || self.expect_exceptions.is_some()
            || self.expect_claims.is_some()
            || self.expect_ledger.is_some()
            || self.expect_lines.is_some()
            || self.expect_receipt.is_some()
            || self.expect_audit.is_some()
            || self.expect_files.is_some()
    }
    fn title(&self) -> String {
        let text = format!("{self:?}");
        text.chars().filter(|c| *c != '\n').take(160).collect()
    }
}

impl Stage {
    /// Users with tokens, then the master data every step builds on.
    fn prepare(&mut self, users: &BTreeMap<String, String>) {
        self.tell(&["db", "migrate"]).ok();
        for (user, role) in users {
            self.tell(&["user", "add", user, "--role", role]).ok();
            let token = self.tell(&["user", "token", user]).ok().last_word();
            self.tokens.insert(user.clone(), token);
        }
        for table in ["partners", "items", "units", "rates"] {
            let file = self.folder.join("input").join(format!("{table}.csv"));
            if file.is_file() {
                self.tell(&["import", table, &file.display().to_string()]).ok();
            }
        }
    }

    fn play(&self, step: &Step) {
        if let Some(table) = &step.import {
            let file = self.taken(step.file.as_deref().expect("an import names its file"));
            self.judge(step, self.tell(&["import", table, &file.display().to_string()]), &[0, 1]);
        } else if let Some(target) = &step.put {
            let content = self.content(step.file.as_deref().expect("a put names its file"));
            self.workspace.write(&self.filled(target), content);
        } else if let Some(job) = &step.run {
            let day = step.business_day.as_deref().expect("a run closes a business day");
            // Whatever the clock of this machine says.
            let mut words = vec!["run", job, "--business-day", day, "--ahead"];
            if let Some(steps) = &step.steps {
                words.extend(["--steps", steps]);
            }
            self.judge(step, self.tell(&words), &[0, 1]);
        } else if let Some(months) = &step.close {
            for month in months {
                self.judge(step, self.tell_as(step.user.as_deref(), &["period", "close", month]), &[0]);
            }
        } else if let Some(words) = &step.command {
            let words: Vec<String> = words
                .iter()
                .map(|word| match word.strip_prefix("{file:").and_then(|rest| rest.strip_suffix('}')) {
                    Some(file) => self.taken(file).display().to_string(),
                    None => self.filled(word),
                })
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.judge(step, self.tell_as(step.user.as_deref(), &words), &[0]);
        } else if let Some(expected) = &step.expect_accruals {
            let mut words = vec!["accruals", "--json"];
            if let Some(day) = &step.as_of {
                words.extend(["--as-of", day]);
            }
            self.compare("accruals", expected, self.rows(&words), step.count);
        } else if let Some(expected) = &step.expect_settlements {
            self.compare("settlements", expected, self.rows(&["settlement", "list", "--json"]), step.count);
        } else if let Some(expected) = &step.expect_claims {
            self.compare("claims", expected, self.rows(&["claim", "list", "--json"]), step.count);
        } else if let Some(expected) = &step.expect_exceptions {
            let open: Vec<Value> =
                self.rows(&["exception", "list", "--json"]).into_iter().filter(|row| row["state"] == "open").collect();
            self.compare("open exceptions", expected, open, Some(step.count.unwrap_or(expected.len())));
        } else if let Some(expected) = &step.expect_ledger {
            let entries = self.rows(&["accruals", "--entries", "--json"]);
            rows::compare_sums(expected, &entries).unwrap_or_else(|e| self.fail(&e));
        } else if let Some(expected) = &step.expect_lines {
            self.compare("lines", expected, rows::lines(&self.database_url), step.count);
        } else if let Some(expected) = &step.expect_receipt {
            self.compare("receipt lines", expected, self.receipt(step), Some(expected.len()));
        } else if let Some(expected) = &step.expect_audit {
            let of = step.of.as_ref().map(|row| self.filled_row(row)).unwrap_or_default();
            let mut found = rows::audit(&self.tell(&["audit", "export"]).ok().json());
            let news = found.split_off(self.audited.replace(found.len()));
            let news: Vec<Value> = news.into_iter().filter(|row| rows::fits(&of, row)).collect();
            let expected: Vec<Row> = expected.iter().map(|row| self.filled_row(row)).collect();
            rows::compare_in_order(&expected, &news).unwrap_or_else(|e| self.fail(&e));
        } else if let Some(pattern) = &step.expect_files {
            let pattern = &self.filled(pattern);
            let found = self.files(pattern);
            assert!(found.len() == step.count.unwrap_or(1), "{}: {}: {pattern}: found {found:?}", self.name, self.at);
            let all: String = found.iter().map(|f| std::fs::read_to_string(f).unwrap_or_default()).collect();
            for text in &step.says {
                let text = self.filled(text);
                assert!(all.contains(&text), "{}: {}: no {text:?} in\n{all}", self.name, self.at);
            }
        } else {
            self.fail("a step without an action");
        }
    }

    /// Compares figures with what a command or the store gave.
    fn compare(&self, what: &str, expected: &[Row], found: Vec<Value>, count: Option<usize>) {
        let expected: Vec<Row> = expected.iter().map(|row| self.filled_row(row)).collect();
        rows::compare(&expected, &found).unwrap_or_else(|e| self.fail(&format!("{what}: {e}")));
        if let Some(count) = count
            && found.len() != count
        {
            self.fail(&format!("{what}: {} rows instead of {count}\n{}", found.len(), rows::listing(&found)));
        }
    }

    /// The lines of one receipt.
    fn receipt(&self, step: &Step) -> Vec<Value> {
        let of = step.of.as_ref().expect("a receipt is `of` a figure");
        let mut words = vec!["explain".to_owned()];
        for (key, value) in of {
            words.push(format!("--{key}"));
            words.push(value.as_str().expect("text").to_owned());
        }
        words.push("--json".to_owned());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let receipt = self.tell(&words).ok().json();
        let lines = rows::find(&receipt, "lines").unwrap_or_else(|| self.fail(&format!("no `lines` in {receipt:#}")));
        lines.as_array().expect("lines are a list").clone()
    }

    fn files(&self, pattern: &str) -> Vec<PathBuf> {
        let (folder, ending) = pattern.split_once("/*").expect("folder/*ending");
        let Ok(entries) = std::fs::read_dir(self.workspace.path().join(folder)) else { return Vec::new() };
        let mut found: Vec<PathBuf> = entries
            .map(|entry| entry.expect("entry").path())
            .filter(|path| path.is_file() && path.to_string_lossy().ends_with(ending))
            .collect();
        found.sort();
        found
    }

    fn judge(&self, step: &Step, outcome: Outcome, usual: &[i32]) {
        let allowed = step.exit.map_or(usual.to_vec(), |code| vec![code]);
        if !allowed.contains(&outcome.code) {
            self.fail(&format!(
                "exit {} instead of {allowed:?}\n--- stdout\n{}\n--- stderr\n{}",
                outcome.code, outcome.stdout, outcome.stderr
            ));
        }
        let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
        for text in &step.says {
            let text = self.filled(text);
            assert!(all.contains(&text), "{}: {}: {text:?} was not printed\n{all}", self.name, self.at);
        }
        for text in &step.says_not {
            assert!(!all.contains(text), "{}: {}: {text:?} was printed\n{all}", self.name, self.at);
        }
    }

    fn tell(&self, words: &[&str]) -> Outcome {
        self.workspace.run(words)
    }
    fn tell_as(&self, user: Option<&str>, words: &[&str]) -> Outcome {
        match user {
            Some(user) => {
                let token = self.tokens.get(user).unwrap_or_else(|| self.fail(&format!("no user {user}")));
                self.workspace.run_as(token, words)
            }
            None => self.workspace.run(words),
        }
    }
    /// Rows of a list command, whatever its exit code: a list with open items may end with 1.
    fn rows(&self, words: &[&str]) -> Vec<Value> {
        let outcome = self.tell(words);
        if outcome.code > 1 {
            self.fail(&format!("`rebated {}` ended with {}\n{}", words.join(" "), outcome.code, outcome.stderr));
        }
        if outcome.stdout.trim().is_empty() {
            return Vec::new();
        }
        match outcome.json() {
            Value::Array(rows) => rows,
            row => vec![row],
        }
    }

    /// A scenario file ready to be imported: as it is, or with its placeholders filled.
    fn taken(&self, name: &str) -> PathBuf {
        let content = self.content(name);
        self.workspace.write(&format!("taken/{}", name.replace('/', "-")), content)
    }
    fn content(&self, name: &str) -> Vec<u8> {
        let bytes = std::fs::read(self.folder.join(name)).unwrap_or_else(|e| self.fail(&format!("{name}: {e}")));
        match String::from_utf8(bytes) {
            Ok(text) if text.contains("{reference:") || text.contains("{settlement:") => self.filled(&text).into_bytes(),
            Ok(text) if text.contains("{n}") => repeated(&text).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(other_encoding) => other_encoding.into_bytes(),
        }
    }

    /// Fills `{settlement:AGREEMENT/PAYEE/PERIOD}` (the id), `{reference:...}` and `{fingerprint:...}` of
    /// the same form and `{exception:CODE}` from what the program lists. The newest settlement of a period counts.
    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        while let Some((noun, start)) = ["settlement", "reference", "fingerprint", "exception"]
            .iter()
            .find_map(|n| text.find(&format!("{{{n}:")).map(|at| (*n, at)))
        {
            let end = start + text[start..].find('}').expect("a closed placeholder");
            let key = text[start + noun.len() + 2..end].to_owned();
            let value = match noun {
                "exception" => self.look_up(&["exception", "list", "--json"], &[("code", &key), ("state", "open")], "id"),
                _ => {
                    let parts: Vec<&str> = key.split('/').collect();
                    let [agreement, payee, period] = parts[..] else { self.fail(&format!("placeholder {key}")) };
                    self.look_up(
                        &["settlement", "list", "--json"],
                        &[("agreement", agreement), ("payee", payee), ("period", period)],
                        noun,
                    )
                }
            };
            text.replace_range(start..=end, &value);
        }
        text
    }
    fn filled_row(&self, row: &Row) -> Row {
        let filled = |value: &toml::Value| match value {
            toml::Value::String(text) => toml::Value::String(self.filled(text)),
            other => other.clone(),
        };
        row.iter().map(|(key, value)| (key.clone(), filled(value))).collect()
    }
    fn look_up(&self, words: &[&str], keys: &[(&str, &str)], field: &str) -> String {
        let row: Row = keys.iter().map(|(k, v)| ((*k).to_owned(), toml::Value::String((*v).to_owned()))).collect();
        let found = self.rows(words);
        match found.iter().rev().find(|candidate| rows::fits(&row, candidate)) {
            Some(candidate) => rows::text(&candidate[field]),
            None => self.fail(&format!("no row with {keys:?} in\n{}", rows::listing(&found))),
        }
    }

    fn fail(&self, message: &str) -> ! {
        panic!("{}: {}: {message}", self.name, self.at)
    }
}

/// Repeats every row with `{n}` ten thousand times where it stands, counting up from 1.
fn repeated(text: &str) -> String {
    let mut all = String::new();
    for row in text.lines() {
        let times = if row.contains("{n}") { 10_000 } else { 1 };
        for n in 1..=times {
            all.push_str(&row.replace("{n}", &n.to_string()));
            all.push('\n');
        }
    }
    all
}
