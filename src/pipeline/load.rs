//! Loading: changed files of the workspace go into the store before a run, each load audited.
//!
//! A version that is active is never edited in place once anything was booked under its agreement:
//! every change is a new version (case 14).

use super::decide::books;
use super::{PipelineResult, Runtime, baselines, calendar, named_table};
use crate::config::FileTrust;
use crate::core::agreement::AgreementVersion;
use crate::core::amendment;
use crate::core::hash::sha256_hex;
use crate::core::problem::{Place, Problem};
use crate::core::rights::{self, Action};
use crate::store::{ExceptionFilter, NewAgreementVersion, NewException, Tx};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a file comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Who enters it.
    pub by: &'a str,
    /// Whether it is active at once because files are trusted.
    pub trusted: bool,
    /// Whether it stays a draft until somebody submits it.
    pub draft: bool,
    /// Whether a text that was rejected is entered again: by a person who asks for it, not by every load.
    pub again: bool,
    /// Where the tables that it names are looked for, in turn.
    pub folders: &'a [PathBuf],
}

/// What a load did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Files that were not taken; what is in force of their agreements goes on.
    pub refused: Vec<Problem>,
    /// Exceptions opened for them.
    pub exceptions: i64,
    /// New versions.
    pub entered: i64,
    /// Versions known in the same text.
    pub known: i64,
}

/// Audits every file of the workspace that is new or changed since it was last loaded, with its hash.
pub async fn files(runtime: &Runtime) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut changed = 0;
    let mut tx = runtime.store.begin().await?;
    for file in &runtime.workspace.files {
        if tx.put_canonical_row("workspace-file", &file.path, &file.sha256, 0).await? {
            changed += 1;
            let detail = serde_json::json!({ "sha256": file.sha256, "program": env!("CARGO_PKG_VERSION") });
            tx.audit(now, &runtime.workspace.config.approval.file_author, "file load", &file.path, "done", &detail).await?;
        }
    }
    tx.commit().await?;
    Ok(changed)
}

/// Key of what is wrong with an agreement file.
fn file_key(path: &str) -> String {
    format!("agreement-file:{path}")
}

/// Loads the agreement files of the workspace. One that cannot be taken is an exception, and its
/// agreement goes on as it is in force: it must not stop the night for everybody.
pub async fn agreements(runtime: &Runtime, business_day: NaiveDate) -> PipelineResult<Loaded> {
    files(runtime).await?;
    calendar::take_up(runtime, business_day).await?;
    let now = runtime.clock.now();
    let policy = &runtime.workspace.config.approval;
    let folders = named_table::folders(&runtime.workspace.dir);
    let trusted = policy.agreement_files == FileTrust::Trusted;
    let entry = Entry { by: &policy.file_author, trusted, draft: false, again: false, folders: &folders };
    let mut loaded = Loaded::default();
    let mut tx = runtime.store.begin().await?;
    let mut refused: BTreeMap<String, (Option<String>, Vec<Problem>)> = BTreeMap::new();
    for problem in &runtime.workspace.set_aside.0 {
        let path = problem.place.as_ref().map(|place| place.source.to_string()).unwrap_or_default();
        refused.entry(path).or_default().1.push(problem.clone());
    }
    for (version, file) in &runtime.workspace.agreements {
        match enter(runtime, &mut tx, version, &file.path, &file.text, entry).await? {
            Ok(true) => loaded.entered += 1,
            Ok(false) => loaded.known += 1,
            Err(problem) => refused.entry(file.path.clone()).or_insert((Some(version.id.clone()), Vec::new())).1.push(problem),
        }
    }
    for (version, file) in &runtime.workspace.agreements {
        let problems = books::take(runtime, &mut tx, version, &file.path, &folders, entry.by).await?;
        if !problems.is_empty() {
            refused.entry(file.path.clone()).or_insert((Some(version.id.clone()), Vec::new())).1.extend(problems);
        }
    }
    for open in tx.exceptions(&ExceptionFilter::default()).await? {
        let path = open.dedupe_key.strip_prefix(&file_key(""));
        if path.is_some_and(|path| !refused.contains_key(path)) {
            tx.clear_exception(&open.dedupe_key, "the file is in order or gone", now).await?;
        }
    }
    for (path, (agreement, problems)) in refused {
        let Some(first) = problems.first() else { continue };
        let new = NewException {
            code: first.code.clone(),
            subject: path.clone(),
            message: problems.iter().map(|p| p.message.as_str()).collect::<Vec<_>>().join("; "),
            help: first.help.clone(),
            place: first.place.as_ref().map(ToString::to_string),
            agreement,
            dedupe_key: file_key(&path),
            ..NewException::default()
        };
        loaded.exceptions += i64::from(tx.open_exception(&new, business_day, now).await?);
        loaded.refused.extend(problems);
    }
    tx.commit().await?;
    Ok(loaded)
}

/// What loading the agreement files would refuse; nothing is changed.
pub async fn refusals(runtime: &Runtime) -> PipelineResult<Vec<Problem>> {
    let folders = named_table::folders(&runtime.workspace.dir);
    let entry = Entry { by: "check", trusted: false, draft: true, again: false, folders: &folders };
    let mut problems = Vec::new();
    let mut tx = runtime.store.begin().await?;
    for (version, file) in &runtime.workspace.agreements {
        problems.extend(enter(runtime, &mut tx, version, &file.path, &file.text, entry).await?.err());
        problems.extend(books::problems(version, &file.path, &folders));
    }
    tx.rollback().await?;
    Ok(problems)
}

/// Enters one version; `Ok(Ok(false))` when it is known in the same text.
pub async fn enter(
    runtime: &Runtime,
    tx: &mut Tx,
    version: &AgreementVersion,
    name: &str,
    text: &str,
    entry: Entry<'_>,
) -> PipelineResult<Result<bool, Problem>> {
    let now = runtime.clock.now();
    let place = Place::source(name);
    let (version, tables) = match baselines::with_tables(version, name, entry.folders) {
        Ok(filled) => filled,
        Err(problem) => return Ok(Err(problem)),
    };
    let version = &version;
    // What was approved is the file with the tables that it names.
    let sha256 = sha256_hex([text, &tables].concat().as_bytes());
    let number = i64::from(version.version);
    if let Some(known) = tx.agreement(&version.id, number).await? {
        let rejected = entry.again && known.state == "rejected";
        if !rejected && (known.source_sha256 == sha256 || known.body == *version) {
            // The same text that waits for approval becomes active when files are trusted now.
            if entry.trusted && known.state == "submitted" {
                tx.set_agreement_state(&known, "active", None, None, now).await?;
                tx.mark_agreement(&version.id, &in_force(version)).await?;
                return Ok(Ok(true));
            }
            return Ok(Ok(false));
        }
        if known.state == "active" && tx.has_bookings(&version.id).await? {
            return Ok(Err(Problem::new(
                "agreement-changed-in-place",
                format!("version {number} of `{}` is active and has bookings; it cannot be changed in place", version.id),
            )
            .at(place)
            .help(format!("put the old text back and write a second file with `version = {}` and `valid_from`", number + 1))));
        }
    }
    if number > 1
        && tx.agreement(&version.id, number - 1).await?.is_none()
        && !runtime.workspace.agreements.iter().any(|(f, _)| f.id == version.id && f.version + 1 == version.version)
    {
        return Ok(Err(Problem::new(
            "agreement-version-gap",
            format!("version {number} of `{}` has no version {} before it", version.id, number - 1),
        )
        .at(place)
        .help("versions are numbered 1, 2, ... without holes")));
    }
    // The workspace's files were compared with one another; what was entered before, by whatever way, is compared here.
    if number > 1
        && let Some(before) = tx.agreement(&version.id, number - 1).await?
        && before.state != "rejected"
        && let Some((_, problem)) = amendment::conflict(&before.body, version)
    {
        return Ok(Err(problem.at(place)));
    }
    let state = match (entry.draft, entry.trusted) {
        (true, _) => "draft",
        (false, true) => "active",
        (false, false) => "submitted",
    };
    let new = NewAgreementVersion {
        body: version,
        state,
        source_name: name,
        source_sha256: &sha256,
        source_text: text,
        entered_by: entry.by,
    };
    tx.put_agreement(&new, now).await?;
    if state == "active" {
        tx.mark_agreement(&version.id, &in_force(version)).await?;
    }
    let detail = serde_json::json!({ "file": name, "sha256": sha256, "state": state });
    tx.audit(now, entry.by, "agreement enter", &format!("{} version {number}", version.id), "done", &detail).await?;
    Ok(Ok(true))
}

/// Why figures change: corrections of the ledger name both versions.
fn in_force(version: &AgreementVersion) -> String {
    match version.version {
        1 => format!("version 1 valid from {}", version.valid_from),
        number => format!("version {} -> {number} valid from {}", number - 1, version.valid_from),
    }
}

/// A person hands a draft in for approval.
pub async fn submit(runtime: &Runtime, id: &str, version: i64, user: &crate::store::UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = subject(id, version);
    let draft = tx.agreement(id, version).await?.filter(|row| row.state == "draft");
    let refusal = rights::refusal(&user.name, &user.role, Action::EnterAgreement)
        .map(|message| Problem::new("not-permitted", message))
        .or_else(|| draft.is_none().then(|| Problem::new("agreement-state", format!("{subject} is no draft"))));
    if let (Some(row), None) = (&draft, &refusal) {
        tx.set_agreement_state(row, "submitted", None, None, now).await?;
    }
    let result = if refusal.is_none() { "done" } else { "refused" };
    let detail = serde_json::json!({ "refused": refusal.as_ref().map(|r| &r.message) });
    tx.audit(now, &user.name, "agreement submit", &subject, result, &detail).await?;
    tx.commit().await?;
    refusal.map_or(Ok(()), |problem| Err(problem.into()))
}

/// How a version is called in the trail, and where it is noted what a person was shown of it.
pub fn subject(id: &str, version: i64) -> String {
    format!("{id} version {version}")
}

/// A person approves a submitted version that somebody else entered, in the text that this person was
/// shown last (`agreement show`).
pub async fn approve(runtime: &Runtime, id: &str, version: i64, user: &crate::store::UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = subject(id, version);
    let found = tx.agreement(id, version).await?;
    let seen = tx.shown(&user.name, &format!("agreement {subject}")).await?;
    let refusal = match &found {
        None => Some(format!("there is no version {version} of `{id}`")),
        Some(row) if row.state != "submitted" => Some(format!("{subject} is {}", row.state)),
        Some(row) if row.entered_by == user.name => {
            Some(format!("{} entered {subject}; somebody else has to approve it", user.name))
        }
        Some(_) if !rights::may(&user.role, Action::DecideAgreement) => {
            rights::refusal(&user.name, &user.role, Action::DecideAgreement)
        }
        Some(row) if seen.as_ref().is_some_and(|seen| *seen != row.source_sha256) => {
            Some(format!("{subject} has changed since it was shown to {}; look at it again", user.name))
        }
        Some(_) => None,
    };
    let detail = serde_json::json!({ "refused": refusal });
    if let Some(message) = refusal {
        tx.audit(now, &user.name, "agreement approve", &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(Problem::new("approval-refused", message).help("a finance approver who did not enter it approves it").into());
    }
    if let Some(row) = &found {
        tx.set_agreement_state(row, "active", Some(&user.name), None, now).await?;
    }
    if let Some(row) = &found {
        tx.mark_agreement(id, &in_force(&row.body)).await?;
    }
    tx.audit(now, &user.name, "agreement approve", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(())
}

/// A person rejects a submitted version.
pub async fn reject(runtime: &Runtime, id: &str, version: i64, reason: &str, user: &crate::store::UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = subject(id, version);
    let waiting = tx.agreement(id, version).await?.filter(|row| row.state == "submitted");
    let refusal = if let Some(message) = rights::refusal(&user.name, &user.role, Action::DecideAgreement) {
        Some(Problem::new("not-permitted", message))
    } else if waiting.is_none() {
        Some(Problem::new("agreement-state", format!("{subject} is not waiting for approval")))
    } else if reason.trim().is_empty() {
        Some(Problem::new("agreement-state", "a reason is needed"))
    } else {
        None
    };
    if let (Some(row), None) = (&waiting, &refusal) {
        tx.set_agreement_state(row, "rejected", Some(&user.name), Some(reason), now).await?;
    }
    let result = if refusal.is_none() { "done" } else { "refused" };
    let detail = serde_json::json!({ "reason": reason, "refused": refusal.as_ref().map(|r| &r.message) });
    tx.audit(now, &user.name, "agreement reject", &subject, result, &detail).await?;
    tx.commit().await?;
    refusal.map_or(Ok(()), |problem| Err(problem.into()))
}
