//! A workspace: every file of a folder, read and checked at once.
//!
//! Not here: what mappings compile to (`mapping`), what drivers make of their tables (`drivers`).
//! Invariant: a workspace exists only when no file of it has a problem; for a run, agreement files
//! that have one are set aside.

use crate::config::connector_file::{self, ConnectorConfig};
use crate::config::layers::{self, Shown};
use crate::config::rebated_file::{self, REBATED, RebatedConfig};
use crate::config::schedule_file::{self, ScheduleFile};
use crate::config::source::Source;
use crate::config::tree::{Table, Value};
use crate::config::variables::Variables;
use crate::config::{agreement_file, library};
use crate::core::agreement::AgreementVersion;
use crate::core::amendment;
use crate::core::hash::sha256_hex;
use crate::core::problem::{Place, Problem, Problems};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything that the files of a workspace say.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The folder.
    pub dir: PathBuf,
    /// `rebated.toml` with its layers.
    pub config: RebatedConfig,
    /// Connectors of the workspace, by name.
    pub connectors: Vec<ConnectorConfig>,
    /// Mappings by name; those of the shipped library where the workspace has none of the name.
    pub mappings: Vec<MappingFile>,
    /// Lookups by name, likewise.
    pub lookups: Vec<LookupText>,
    /// Schedules by name, likewise.
    pub schedules: Vec<ScheduleFile>,
    /// Agreement files by id and version.
    pub agreements: Vec<(AgreementVersion, AgreementSource)>,
    /// Every file of the folder that was read, with its hash.
    pub files: Vec<FileHash>,
    /// Every value of the configuration with its origin.
    pub shown: Vec<Shown>,
    /// Problems of agreement files that were set aside; empty unless loaded for a run.
    pub set_aside: Problems,
}

/// Where an agreement was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementSource {
    /// Path inside the workspace: `agreements/acme.toml`.
    pub path: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The file's text.
    pub text: String,
}

/// A mapping file, not yet compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingFile {
    /// File name without the ending.
    pub name: String,
    /// Name in messages: `mappings/x.toml`.
    pub path: String,
    /// Its text.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    /// Whether it comes with the program.
    pub shipped: bool,
}

/// A lookup table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupText {
    /// File name without the ending.
    pub name: String,
    /// Name in messages: `mappings/lookups/x.csv`.
    pub path: String,
    /// CSV text.
    pub text: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FileHash {
    /// Path inside the workspace.
    pub path: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// How paths of agreement files begin.
const AGREEMENT_FOLDER: &str = "agreements/";

impl Workspace {
    /// Loads every file of a workspace. `flags` are keys of `rebated.toml` (`store.url`) with the
    /// values that the command line gives them.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(dir: &Path, flags: &[(String, String)]) -> Result<Self, Problems> {
        Self::load_with(dir, flags, &Variables::of_process(dir))
    }

    /// The same with given variables.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load_with(dir: &Path, flags: &[(String, String)], variables: &Variables) -> Result<Self, Problems> {
        let (parts, problems) = Parts::read(dir, flags, variables);
        Self::of(dir, parts, problems, Problems::default())
    }

    /// Loads a workspace for a run. An agreement file with a problem is set aside, with whatever else
    /// is written of the same agreement: what is in force goes on, for everybody.
    ///
    /// # Errors
    /// Every problem of every other file.
    pub fn load_for_run(dir: &Path, flags: &[(String, String)]) -> Result<Self, Problems> {
        let (mut parts, problems) = Parts::read(dir, flags, &Variables::of_process(dir));
        let of_agreement = |p: &Problem| p.place.as_ref().is_some_and(|place| place.source.starts_with(AGREEMENT_FOLDER));
        let (aside, others): (Vec<_>, Vec<_>) = problems.0.into_iter().partition(of_agreement);
        let named = |path: &str| aside.iter().any(|p| p.place.as_ref().is_some_and(|place| &*place.source == path));
        let ids: Vec<String> = parts.agreements.iter().filter(|(_, file)| named(&file.path)).map(|(v, _)| v.id.clone()).collect();
        parts.agreements.retain(|(version, _)| !ids.contains(&version.id));
        Self::of(dir, parts, Problems(others), Problems(aside))
    }

    fn of(dir: &Path, parts: Parts, problems: Problems, set_aside: Problems) -> Result<Self, Problems> {
        match parts.config {
            Some((config, shown)) if problems.0.is_empty() => Ok(Self {
                dir: dir.to_owned(),
                config,
                connectors: parts.connectors,
                mappings: parts.mappings,
                lookups: parts.lookups,
                schedules: parts.schedules,
                agreements: parts.agreements,
                files: parts.files,
                shown,
                set_aside,
            }),
            _ => Err(problems),
        }
    }

    /// Address of the store; a relative SQLite path starts at the workspace.
    pub fn store_url(&self) -> String {
        let url = self.config.store.url.expose_secret();
        let Some(rest) = url.strip_prefix("sqlite:") else { return url.to_owned() };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.starts_with('/') || path.starts_with(":memory:") || path.is_empty() {
            return url.to_owned();
        }
        format!("sqlite://{}", self.dir.join(path).display())
    }
    /// A mapping by name.
    pub fn mapping(&self, name: &str) -> Option<&MappingFile> {
        self.mappings.iter().find(|m| m.name == name)
    }
    /// A lookup by name.
    pub fn lookup(&self, name: &str) -> Option<&LookupText> {
        self.lookups.iter().find(|l| l.name == name)
    }
    /// A connector by name.
    pub fn connector(&self, name: &str) -> Option<&ConnectorConfig> {
        self.connectors.iter().find(|c| c.name == name)
    }
    /// A schedule by name, shipped ones included.
    pub fn schedule(&self, name: &str) -> Option<&ScheduleFile> {
        self.schedules.iter().find(|s| s.name == name)
    }
    /// A path of the configuration; relative ones start at the workspace.
    pub fn path(&self, written: &str) -> PathBuf {
        self.dir.join(written)
    }
}

/// What could be read of a workspace, beside the problems of the rest.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The configuration with the origin of its values.
    pub config: Option<(RebatedConfig, Vec<Shown>)>,
    /// Connectors without problems.
    pub connectors: Vec<ConnectorConfig>,
    /// Mappings.
    pub mappings: Vec<MappingFile>,
    /// Lookups.
    pub lookups: Vec<LookupText>,
    /// Schedules without problems.
    pub schedules: Vec<ScheduleFile>,
    /// Agreements without problems.
    pub agreements: Vec<(AgreementVersion, AgreementSource)>,
    /// Every file that was read.
    pub files: Vec<FileHash>,
}

impl Parts {
    /// Reads every file of a workspace, with every problem of every file.
    pub fn read(dir: &Path, flags: &[(String, String)], variables: &Variables) -> (Self, Problems) {
        let mut reading = Reading { dir, variables, problems: Problems::default(), files: Vec::new() };
        let config = reading.config(flags);
        let zone = config.as_ref().map_or(chrono_tz::UTC, |(c, _)| c.company.timezone);
        let connectors = reading.connectors();
        let (mappings, lookups) = (reading.mappings(), reading.lookups());
        let schedules = reading.schedules(zone);
        let agreements = reading.agreements();
        let Reading { problems, files, .. } = reading;
        (Self { config, connectors, mappings, lookups, schedules, agreements, files }, problems)
    }
}

struct Reading<'a> {
    dir: &'a Path,
    variables: &'a Variables,
    problems: Problems,
    files: Vec<FileHash>,
}

impl Reading<'_> {
    fn take<T>(&mut self, result: Result<T, Problems>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(found) => {
                self.problems.0.extend(found.0);
                None
            }
        }
    }

    /// The text of a file; a problem when it cannot be read.
    fn text(&mut self, path: &str) -> Option<String> {
        let unreadable = |message: String| Problem::new("file-unreadable", message).at(Place::source(path));
        match std::fs::read(self.dir.join(path)) {
            Ok(bytes) => {
                self.files.push(FileHash { path: path.to_owned(), sha256: sha256_hex(&bytes) });
                match String::from_utf8(bytes) {
                    Ok(text) => Some(text),
                    Err(error) => {
                        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
                        let mut problem = unreadable("the file is not UTF-8 text".into()).help("save it as UTF-8");
                        problem.place = problem.place.map(|p| p.at_line(u32::try_from(line).unwrap_or(u32::MAX)));
                        self.problems.push(problem);
                        None
                    }
                }
            }
            Err(error) => {
                self.problems.push(unreadable(format!("the file cannot be read: {error}")).help("check its owner and rights"));
                None
            }
        }
    }

    /// Files of a folder with an ending, as (name, path inside the workspace), sorted by name.
    fn list(&mut self, folder: &str, ending: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(self.dir.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return found,
            Err(error) => {
                self.problems.push(
                    Problem::new("file-unreadable", format!("the folder cannot be read: {error}")).at(Place::source(folder)),
                );
                return found;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = file.strip_suffix(ending).filter(|n| !n.is_empty() && !file.starts_with('.')) {
                found.push((name.to_owned(), format!("{folder}/{file}")));
            }
        }
        found.sort();
        found
    }

    fn config(&mut self, flags: &[(String, String)]) -> Option<(RebatedConfig, Vec<Shown>)> {
        if !self.dir.join("rebated.toml").exists() {
            let place = self.dir.join("rebated.toml").display().to_string();
            self.problems.push(
                Problem::new("no-workspace", "there is no rebated.toml here")
                    .at(Place::source(place))
                    .help("name the folder with --workspace or REBATED_WORKSPACE, or write a new one: rebated init DIR"),
            );
            return None;
        }
        let text = self.text("rebated.toml")?;
        let source = Source::file("rebated.toml", &text);
        let parsed = Table::parse(&source);
        let mut table = self.take(parsed)?;
        let mut found = Problems::default();
        self.variables.apply(&mut table, &mut found);
        let merged = layers::merge(table, self.variables, flags, &mut found);
        let shown = layers::show(&merged);
        let (file, mut problems) = crate::config::reader::File::from_table(&source, merged, &REBATED);
        problems.0.retain(|p| !found.0.iter().any(|f| f.place == p.place));
        problems.0.extend(found.0);
        let config = rebated_file::read(file.root(), &mut |path| self.text(path), &mut problems);
        self.problems.0.extend(problems.0);
        Some((config?, shown))
    }

    fn connectors(&mut self) -> Vec<ConnectorConfig> {
        let mut found = Vec::new();
        for (name, path) in self.list("connectors", ".toml") {
            let Some(text) = self.text(&path) else { continue };
            let parsed = connector_file::parse(&name, &path, &text, self.variables);
            found.extend(self.take(parsed));
        }
        found
    }

    fn mappings(&mut self) -> Vec<MappingFile> {
        let mut found: BTreeMap<String, MappingFile> = BTreeMap::new();
        for shipped in library::mappings() {
            found.insert(
                shipped.name.to_owned(),
                mapping(shipped.name, &format!("mappings/{}.toml", shipped.name), shipped.text, true),
            );
        }
        for (name, path) in self.list("mappings", ".toml") {
            if let Some(text) = self.text(&path) {
                found.insert(name.clone(), mapping(&name, &path, &text, false));
            }
        }
        found.into_values().collect()
    }

    fn lookups(&mut self) -> Vec<LookupText> {
        let mut found: BTreeMap<String, LookupText> = BTreeMap::new();
        for shipped in library::lookups() {
            let path = format!("mappings/lookups/{}.csv", shipped.name);
            found.insert(
                shipped.name.to_owned(),
                LookupText { name: shipped.name.to_owned(), path, text: shipped.text.to_owned() },
            );
        }
        for (name, path) in self.list("mappings/lookups", ".csv") {
            if let Some(text) = self.text(&path) {
                found.insert(name.clone(), LookupText { name, path, text });
            }
        }
        found.into_values().collect()
    }

    fn schedules(&mut self, zone: chrono_tz::Tz) -> Vec<ScheduleFile> {
        let own = self.list("schedules", ".toml");
        let mut found = Vec::new();
        for shipped in library::schedules().into_iter().filter(|s| !own.iter().any(|(name, _)| name == s.name)) {
            let path = format!("schedules/{}.toml", shipped.name);
            let parsed = schedule_file::parse(shipped.name, &path, shipped.text, true, zone, self.variables);
            found.extend(self.take(parsed));
        }
        for (name, path) in own {
            let Some(text) = self.text(&path) else { continue };
            let parsed = schedule_file::parse(&name, &path, &text, false, zone, self.variables);
            found.extend(self.take(parsed));
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    fn agreements(&mut self) -> Vec<(AgreementVersion, AgreementSource)> {
        let mut found: Vec<(AgreementVersion, AgreementSource)> = Vec::new();
        for (_, path) in self.list("agreements", ".toml") {
            let Some(text) = self.text(&path) else { continue };
            // An example that is commented out says nothing that could be ignored.
            if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
                continue;
            }
            let parsed = agreement_file::parse(&path, &text);
            let Some(version) = self.take(parsed) else { continue };
            found.push((version, AgreementSource { path, sha256: sha256_hex(text.as_bytes()), text }));
        }
        self.versions(&found);
        found.sort_by(|(a, _), (b, _)| (&a.id, a.version).cmp(&(&b.id, b.version)));
        found
    }

    /// Rules between files: one file per version, and each version starts after the one before.
    fn versions(&mut self, agreements: &[(AgreementVersion, AgreementSource)]) {
        for (at, (version, file)) in agreements.iter().enumerate() {
            for (other, first) in &agreements[..at] {
                if other.id != version.id {
                    continue;
                }
                if other.version == version.version {
                    let message = format!("version {} of agreement `{}` is also in {}", version.version, version.id, first.path);
                    self.problems.push(
                        Problem::new("duplicate-id", message)
                            .at(key_place(file, if version.version > 1 { "version" } else { "id" }))
                            .help(
                                "give an amendment the next version number with its valid_from, or another agreement its own id",
                            ),
                    );
                }
            }
        }
        let mut ordered: Vec<&(AgreementVersion, AgreementSource)> = agreements.iter().collect();
        ordered.sort_by(|(a, _), (b, _)| (&a.id, a.version).cmp(&(&b.id, b.version)));
        for pair in ordered.windows(2) {
            let [(earlier, first), (later, file)] = pair else { continue };
            if earlier.id == later.id
                && earlier.version < later.version
                && let Some((key, mut problem)) = amendment::conflict(earlier, later)
            {
                problem.message.push_str(&format!(" (version {} is in {})", earlier.version, first.path));
                self.problems.push(problem.at(key_place(file, key)));
            }
        }
    }
}

fn mapping(name: &str, path: &str, text: &str, shipped: bool) -> MappingFile {
    MappingFile {
        name: name.to_owned(),
        path: path.to_owned(),
        text: text.to_owned(),
        sha256: sha256_hex(text.as_bytes()),
        shipped,
    }
}

/// Place of a key at the top of an agreement file.
fn key_place(agreement: &AgreementSource, key: &str) -> Place {
    place_in(&agreement.path, &agreement.text, key)
}

/// Place of the value at a dotted path in a file's text; of its start when there is none.
pub(crate) fn place_in(name: &str, text: &str, path: &str) -> Place {
    let file = Source::file(name, text);
    let Ok(mut table) = Table::parse(&file) else { return file.place(0) };
    let mut place = file.place(0);
    for key in path.split('.') {
        let Some(node) = table.get(key).cloned() else { return place };
        place = node.place();
        match node.value {
            Value::Table(below) => table = below,
            _ => return place,
        }
    }
    place
}
