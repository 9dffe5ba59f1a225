//! A folder as a target, for systems without an interface: one memo as JSON and as CSV.
//!
//! The other system takes the files away when it likes, so a kept copy under `sent/` is what a
//! lookup reads. It carries the ending `.prepared` until both files have been in the folder.
//! Invariant: one reference gives one pair of files with the same bytes for ever, whatever happens
//! between the writes; another content under the same reference is refused.

use super::files::{io_error, plain};
use super::{DriverError, MemoRequest, PushError, RemoteMemo, StepOutcome};
use crate::core::problem::Problem;
use serde::Deserialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `[push.NAME]` of this driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PushTable {
    #[serde(default)]
    #[allow(dead_code)]
    mapping: Option<String>,
    /// Folder, relative to the workspace or absolute.
    folder: PathBuf,
    /// Folder inside it for our own copies.
    #[serde(default = "sent")]
    sent: PathBuf,
    /// `json`, `csv`; the CSV is for people and old systems.
    #[serde(default = "both")]
    formats: Vec<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Form {
    Csv,
    Json,
}

impl Form {
    fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

fn sent() -> PathBuf {
    "sent".into()
}
fn both() -> Vec<Form> {
    vec![Form::Csv, Form::Json]
}

/// A folder that memos are written to.
pub(super) struct Target {
    folder: PathBuf,
    sent: PathBuf,
    formats: Vec<Form>,
}

impl Target {
    pub(super) fn new(table: PushTable, workspace: &Path) -> Result<Self, String> {
        if !plain(&table.sent) {
            return Err("`sent` must be a folder inside `folder`".into());
        }
        if table.formats.is_empty() {
            return Err("`formats` must name json, csv or both".into());
        }
        let folder = workspace.join(table.folder);
        Ok(Self { sent: folder.join(table.sent), folder, formats: table.formats })
    }

    fn kept(&self, reference: &str) -> PathBuf {
        self.sent.join(format!("{reference}.json"))
    }
    fn prepared(&self, reference: &str) -> PathBuf {
        self.sent.join(format!("{reference}.json.prepared"))
    }

    pub(super) fn lookup(&self, reference: &str) -> Result<Vec<RemoteMemo>, DriverError> {
        let malformed = |message: String| DriverError::Malformed { connector: self.folder.display().to_string(), message };
        file_name(reference).map_err(malformed)?;
        for (path, done) in [(self.kept(reference), true), (self.prepared(reference), false)] {
            let Some(bytes) = read(&path).map_err(io_error(&path))? else { continue };
            let memo: MemoRequest = serde_json::from_slice(&bytes).map_err(|e| malformed(format!("{}: {e}", path.display())))?;
            return Ok(vec![RemoteMemo {
                id: memo.reference.clone(),
                document: done.then(|| memo.reference.clone()),
                state: if done { "written" } else { "prepared" }.into(),
                done,
                next_step: (!done).then_some(0),
                amount: memo.amount,
                currency: memo.currency.code().to_owned(),
                partner: memo.payee,
                reference: memo.reference,
            }]);
        }
        Ok(Vec::new())
    }

    pub(super) fn write(&self, memo: &MemoRequest) -> Result<StepOutcome, PushError> {
        let refuse = |code: &str, message: String| PushError::Refused(Problem::new(code, message));
        file_name(&memo.reference).map_err(|m| refuse("memo-reference", m))?;
        let json = canonical_json(memo).map_err(|m| refuse("memo-unwritable", m))?;
        // What is half done is finished by the same step, so trouble on the disk is never unknown.
        let trouble = |path: &Path| {
            let path = path.display().to_string();
            move |e: io::Error| PushError::Busy(format!("{path}: {e}"))
        };
        let (kept, prepared) = (self.kept(&memo.reference), self.prepared(&memo.reference));
        let outcome = StepOutcome { remote_id: Some(memo.reference.clone()) };
        let before = match read(&kept).map_err(trouble(&kept))? {
            Some(bytes) => Some((bytes, true)),
            None => read(&prepared).map_err(trouble(&prepared))?.map(|bytes| (bytes, false)),
        };
        match before {
            Some((bytes, _)) if bytes != json => {
                return Err(refuse("memo-differs", format!("{} was written with another content", memo.reference)));
            }
            Some((_, true)) => return Ok(outcome),
            Some((_, false)) => {}
            None => {
                fs::create_dir_all(&self.sent).map_err(trouble(&self.sent))?;
                put(&prepared, &json).map_err(trouble(&prepared))?;
            }
        }
        // JSON last: whoever waits for it finds the CSV there.
        let mut formats = self.formats.clone();
        formats.sort_by_key(|form| *form == Form::Json);
        for form in formats {
            let path = self.folder.join(format!("{}.{}", memo.reference, form.ending()));
            let bytes = match form {
                Form::Json => json.clone(),
                Form::Csv => csv_text(memo).map_err(|m| refuse("memo-unwritable", m))?,
            };
            match read(&path).map_err(trouble(&path))? {
                Some(there) if there == bytes => {}
                Some(_) => return Err(refuse("memo-differs", format!("{} is there with another content", path.display()))),
                None => put(&path, &bytes).map_err(trouble(&path))?,
            }
        }
        fs::rename(&prepared, &kept).and_then(|()| sync_folder(&self.sent)).map_err(trouble(&kept))?;
        Ok(outcome)
    }

    pub(super) fn check(&self) -> (bool, String) {
        match fs::metadata(&self.folder) {
            Ok(meta) if meta.is_dir() && !meta.permissions().readonly() => (true, format!("{} is there", self.folder.display())),
            Ok(_) => (false, format!("{} is not a folder we may write to", self.folder.display())),
            Err(e) => (false, format!("{}: {e}", self.folder.display())),
        }
    }
}

/// A reference becomes a file's name, so it has to be one.
fn file_name(reference: &str) -> Result<(), String> {
    let fine = !reference.is_empty()
        && reference.len() <= 64
        && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    fine.then_some(()).ok_or_else(|| format!("`{reference}` cannot be the name of a file"))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Written aside, flushed, then renamed: a reader sees the whole file or none.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let aside = path.with_file_name(name);
    let mut file = fs::File::create(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Keys in a fixed order, no time of writing: the same memo gives the same bytes. Amounts show the
/// currency's own decimals, as in the CSV.
fn canonical_json(memo: &MemoRequest) -> Result<Vec<u8>, String> {
    let mut value = serde_json::to_value(memo).map_err(|e| e.to_string())?;
    value["amount"] = memo.currency.amount_text(memo.amount).into();
    for (index, line) in memo.lines.iter().enumerate() {
        value["lines"][index]["amount"] = memo.currency.amount_text(line.amount).into();
    }
    let mut bytes = serde_json::to_vec_pretty(&value).map_err(|e| e.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// One row per line. Text that a spreadsheet would take for a formula is quoted.
fn csv_text(memo: &MemoRequest) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = [
        "reference",
        "line",
        "date",
        "agreement",
        "payee",
        "period_from",
        "period_to",
        "currency",
        "amount",
        "description",
        "gl_expense",
        "gl_liability",
    ];
    writer.write_record(header).map_err(|e| e.to_string())?;
    for (index, line) in memo.lines.iter().enumerate() {
        let expense = line.gl_expense.as_ref().or(memo.gl_expense.as_ref());
        let row = [
            memo.reference.clone(),
            (index + 1).to_string(),
            memo.date.to_string(),
            harmless(&memo.agreement),
            harmless(&memo.payee),
            memo.period.from.to_string(),
            memo.period.to.to_string(),
            memo.currency.code().to_owned(),
            memo.currency.amount_text(line.amount),
            harmless(&line.description),
            harmless(expense.map_or("", String::as_str)),
            harmless(memo.gl_liability.as_deref().unwrap_or_default()),
        ];
        writer.write_record(row).map_err(|e| e.to_string())?;
    }
    writer.into_inner().map_err(|e| e.to_string())
}

fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']) { format!("'{text}") } else { text.to_owned() }
}
