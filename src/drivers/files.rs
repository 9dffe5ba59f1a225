//! A folder as a source: complete files are handed over, then moved to `done` or `failed`.
//!
//! Writing memos into a folder is in `files_push`. Whether a file was seen before is told by its
//! hash in the archive, not here. Invariants: a file is read only when its size and time stood still
//! over two looks; nothing outside the feed's folder is opened, moved or followed; no file is ever
//! overwritten or deleted, except a source whose exact copy is already in place.

use super::config::{ConnectorConfig, Limits, duration, read_table};
use super::files_push::{PushTable, Target};
use super::{Check, DriverError, MemoRequest, PageSink, PullEnd, PushError, RawPage, RemoteMemo, StepOutcome, Taken};
use crate::core::hash::{hex, sha256_hex};
use crate::core::problem::{Place, Problem};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// `[feeds.NAME]` of this driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedTable {
    #[serde(default)]
    #[allow(dead_code)]
    mapping: Option<String>,
    /// The pipeline's business.
    #[serde(default)]
    #[allow(dead_code)]
    authority: Option<String>,
    /// The pipeline's business too.
    #[serde(default)]
    #[allow(dead_code)]
    line_end: Option<String>,
    /// Folder, relative to the workspace or absolute.
    folder: PathBuf,
    /// File names wanted: `*` and `?` as usual, several by comma.
    #[serde(default = "everything")]
    pattern: String,
    /// How long size and time have to stand still.
    #[serde(deserialize_with = "duration", default = "settle")]
    settle: Duration,
    /// Endings that mark a file still being written.
    #[serde(default = "unfinished")]
    unfinished: Vec<String>,
    /// Folder inside the feed's folder for taken files.
    #[serde(default = "done")]
    done: PathBuf,
    /// Folder inside the feed's folder for refused files.
    #[serde(default = "failed")]
    failed: PathBuf,
}

fn everything() -> String {
    "*".into()
}
fn settle() -> Duration {
    Duration::from_secs(2)
}
fn unfinished() -> Vec<String> {
    [".tmp", ".part", ".partial", ".filepart", ".crdownload"].map(str::to_owned).to_vec()
}
fn done() -> PathBuf {
    "done".into()
}
fn failed() -> PathBuf {
    "failed".into()
}

struct Feed {
    table: FeedTable,
    folder: PathBuf,
}

/// Folders that are read from and written to.
pub struct FilesDriver {
    name: String,
    limits: Limits,
    feeds: BTreeMap<String, Feed>,
    targets: BTreeMap<String, Target>,
}

/// What tells whether a file is still being written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    size: u64,
    modified: Option<SystemTime>,
}

fn look(path: &Path) -> Option<Look> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Look { size: meta.len(), modified: meta.modified().ok() })
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DriverError {
    let path = path.display().to_string();
    move |source| DriverError::Io { path, source }
}

impl FilesDriver {
    /// Reads the connector file's tables; touches no folder.
    pub fn open(connector: &ConnectorConfig, workspace: &Path) -> Result<Self, Problem> {
        let problem = |path: String, message: &str| {
            Problem::new("connector-file", message).at(Place::source(format!("connectors/{}.toml", connector.name)).at_path(path))
        };
        if let Some(key) = connector.options.keys().next() {
            return Err(problem(key.clone(), "this key is not known to the files driver"));
        }
        let mut feeds = BTreeMap::new();
        for (name, value) in &connector.feeds {
            let table: FeedTable = read_table(&connector.name, &format!("feeds.{name}"), value)?;
            for (key, inside) in [("done", &table.done), ("failed", &table.failed)] {
                if !plain(inside) {
                    return Err(problem(format!("feeds.{name}.{key}"), "must be a folder inside the feed's folder"));
                }
            }
            let folder = workspace.join(&table.folder);
            feeds.insert(name.clone(), Feed { table, folder });
        }
        let mut targets = BTreeMap::new();
        for (name, value) in &connector.push {
            let table: PushTable = read_table(&connector.name, &format!("push.{name}"), value)?;
            targets.insert(name.clone(), Target::new(table, workspace).map_err(|m| problem(format!("push.{name}"), &m))?);
        }
        Ok(Self { name: connector.name.clone(), limits: connector.limits, feeds, targets })
    }

    /// Names of the feeds.
    pub fn feeds(&self) -> Vec<&str> {
        self.feeds.keys().map(String::as_str).collect()
    }

    fn feed(&self, name: &str) -> Result<&Feed, DriverError> {
        let problem = || Problem::new("unknown-feed", format!("connector `{}` has no feed `{name}`", self.name));
        self.feeds.get(name).ok_or_else(|| DriverError::Config(problem()))
    }

    /// Hands over every complete file, in the order of names. A file still being written is left
    /// for the next pull.
    pub async fn pull(&self, feed: &str, sink: &mut dyn PageSink) -> Result<PullEnd, DriverError> {
        let feed = self.feed(feed)?;
        let first = feed.candidates()?;
        let (mut end, mut trouble) = (PullEnd::default(), None);
        if first.is_empty() {
            return Ok(end);
        }
        tokio::time::sleep(feed.table.settle).await;
        for (name, before) in first {
            let path = feed.folder.join(&name);
            let bytes = match self.read_settled(&path, before) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => continue,
                Err(error) => {
                    trouble.get_or_insert(error);
                    continue;
                }
            };
            let key = format!("{}:{name}", sha256_hex(&bytes));
            let page = RawPage { media_type: media_type(&name).into(), name, bytes, records: None, acknowledge_key: Some(key) };
            sink.page(page).await.map_err(DriverError::Sink)?;
            end.pages += 1;
        }
        // One bad file does not keep the others out, but it is told.
        trouble.map_or(Ok(end), Err)
    }

    /// The bytes, unless the file changed since the first look or while it was read.
    fn read_settled(&self, path: &Path, before: Look) -> Result<Option<Vec<u8>>, DriverError> {
        if look(path) != Some(before) {
            return Ok(None);
        }
        if before.size > self.limits.max_bytes {
            let message = format!("{} is larger than {} bytes", path.display(), self.limits.max_bytes);
            return Err(DriverError::Malformed { connector: self.name.clone(), message });
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(io_error(path))?;
        file.take(self.limits.max_bytes + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
        let still = look(path) == Some(before) && bytes.len() as u64 == before.size;
        Ok(still.then_some(bytes))
    }

    /// Moves a file whose page is committed. The key names the file and its content: a file that
    /// was replaced meanwhile is another file and stays.
    pub fn after_stored(&self, feed: &str, acknowledge_key: &str, taken: Taken) -> Result<(), DriverError> {
        let feed = self.feed(feed)?;
        let wrong = || DriverError::Malformed {
            connector: self.name.clone(),
            message: format!("`{acknowledge_key}` is not a file of this feed"),
        };
        let (hash, name) = acknowledge_key.split_once(':').ok_or_else(wrong)?;
        if !plain(Path::new(name)) || name.contains(['/', '\\']) {
            return Err(wrong());
        }
        let source = feed.folder.join(name);
        if content_hash(&source)?.as_deref() != Some(hash) {
            return Ok(());
        }
        let folder = feed.folder.join(match taken {
            Taken::Done => &feed.table.done,
            Taken::Failed => &feed.table.failed,
        });
        fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let mut goal = folder.join(name);
        match content_hash(&goal)? {
            None => {}
            Some(there) if there == hash => return fs::remove_file(&source).map_err(io_error(&source)),
            Some(_) => goal = folder.join(format!("{}-{name}", hash.get(..12).unwrap_or(hash))),
        }
        fs::rename(&source, &goal).map_err(io_error(&source))
    }

    fn target(&self, push: &str) -> Result<&Target, Problem> {
        self.targets
            .get(push)
            .ok_or_else(|| Problem::new("unknown-push", format!("connector `{}` has no push `{push}`", self.name)))
    }

    /// Reads written memos back.
    pub fn lookup(&self, push: &str, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        self.target(push).map_err(DriverError::Config)?.lookup(reference)
    }

    /// Writes a memo.
    pub fn run_step(&self, push: &str, step: usize, memo: &MemoRequest) -> Result<StepOutcome, PushError> {
        let target = self.target(push).map_err(PushError::Refused)?;
        if step != 0 {
            return Err(PushError::Refused(Problem::new("connector-file", format!("there is no step {step}"))));
        }
        target.write(memo)
    }

    /// Names of the steps.
    pub fn steps(&self, push: &str) -> Option<Vec<&str>> {
        self.targets.contains_key(push).then(|| vec!["write"])
    }

    /// Looks at the folders.
    pub fn test(&self) -> Vec<Check> {
        let feeds = self.feeds.iter().map(|(name, feed)| {
            let seen = feed.candidates();
            let ok = seen.is_ok();
            let detail =
                seen.map_or_else(|e| e.to_string(), |files| format!("{}: {} files wait", feed.folder.display(), files.len()));
            Check { name: format!("feed {name}"), ok, detail }
        });
        let targets = self.targets.iter().map(|(name, target)| {
            let (ok, detail) = target.check();
            Check { name: format!("push {name}"), ok, detail }
        });
        feeds.chain(targets).collect()
    }
}

impl Feed {
    /// Files that the feed wants, by name; links and folders are not followed.
    fn candidates(&self) -> Result<Vec<(String, Look)>, DriverError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(io_error(&self.folder))? {
            let entry = entry.map_err(io_error(&self.folder))?;
            // A name that is not text cannot be shown to anybody; it is not one of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            if self.wants(&name) {
                found.extend(look(&entry.path()).map(|look| (name, look)));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn wants(&self, name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        !name.starts_with('.')
            && !self.table.unfinished.iter().any(|ending| lower.ends_with(ending.as_str()))
            && self.table.pattern.split(',').any(|pattern| matches(pattern.trim(), name))
    }
}

/// Whether the path stays below where it is put.
pub(super) fn plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

/// `*` and `?`, upper and lower case alike.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.to_lowercase().chars().collect(), name.to_lowercase().chars().collect());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, n));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, from)) = star {
            p = at + 1;
            n = from + 1;
            star = Some((at, n));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("csv" | "txt" | "tsv") => "text/csv",
        Some("xlsx" | "xlsm") => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some("json") => "application/json",
        Some("xml") => "application/xml",
        _ => "application/octet-stream",
    }
}

/// Hash of a file's content; `None` when there is no such file.
pub(super) fn content_hash(path: &Path) -> Result<Option<String>, DriverError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(path)(e)),
    }
    let mut file = fs::File::open(path).map_err(io_error(path))?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk).map_err(io_error(path))? {
            0 => return Ok(Some(hex(&hasher.finalize()))),
            n => hasher.update(&chunk[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_know_star_and_question_mark() {
        assert!(matches("*.csv", "Sales.CSV"));
        assert!(matches("inv-??.json", "inv-07.json"));
        assert!(!matches("inv-??.json", "inv-7.json"));
        assert!(matches("*a*b", "xxaxxab"));
        assert!(!matches("*.csv", "csv"));
        assert!(matches("*", "x"));
    }

    #[test]
    fn a_path_that_climbs_is_not_plain() {
        for path in ["..", "a/../b", "/etc", "", "./a"] {
            assert!(!plain(Path::new(path)), "{path}");
        }
        assert!(plain(Path::new("done/2026")));
    }
}
