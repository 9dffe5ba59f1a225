//! What a command works with: the loaded workspace, the open store, the clock, the acting user.

use super::Global;
use crate::clock::Clock;
use crate::config::Workspace;
use crate::core::problem::{Problem, Problems};
use crate::core::rights::{Action, refusal};
use crate::pipeline::{PipelineError, Runtime, Settings};
use crate::store::{Store, StoreError, UserRow};
use chrono::{Days, NaiveDate, TimeDelta};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The user's files or data are wrong.
    Problems(Problems),
    /// Wrong use.
    Use(String),
    /// Something failed; running again is safe.
    Failed(anyhow::Error),
}

impl Failure {
    /// Exit code (`design`: 2 wrong use or configuration, 3 failed).
    pub const fn code(&self) -> u8 {
        match self {
            Self::Problems(_) | Self::Use(_) => 2,
            Self::Failed(_) => 3,
        }
    }

    /// The one shape that all failures are printed in.
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Problems(problems) => problems.0.clone(),
            Self::Use(message) => vec![Problem::new("usage", message.as_str())],
            Self::Failed(error) => vec![failed(error)],
        }
    }
}

/// What failed, with each cause that says something new: many errors repeat theirs.
fn failed(error: &anyhow::Error) -> Problem {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    let problem = Problem::new("failed", message);
    match error.downcast_ref::<StoreError>() {
        Some(StoreError::Unreachable { .. }) => {
            problem.help("see that it is there and that `store.url` names it; nothing was changed")
        }
        _ => problem,
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}
impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(problem.into())
    }
}
impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Problems(problems) => Self::Problems(problems),
            PipelineError::Store(error) => error.into(),
            other => Self::Failed(other.into()),
        }
    }
}
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Url(_) => Problem::new("bad-url", error.to_string())
                .help("give `--store` or `store.url` as sqlite://file or postgres://user@host/database")
                .into(),
            StoreError::TooNew { .. } => Self::Use(error.to_string()),
            StoreError::Migration(_) => Problem::new("schema-mismatch", error.to_string())
                .help("the database was made by another build of this program: use that one, or a backup made with this one")
                .into(),
            other => Self::Failed(other.into()),
        }
    }
}
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// A loaded workspace with its open store.
pub struct App {
    /// Everything the stages work with.
    pub runtime: Runtime,
    /// Whether to print JSON.
    pub json: bool,
}

/// The workspace folder a command works in.
pub fn workspace_dir(global: &Global) -> PathBuf {
    global.workspace.clone().unwrap_or_else(|| PathBuf::from("."))
}

/// The flags' layer of the configuration.
pub fn overrides(global: &Global) -> Vec<(String, String)> {
    global.store.iter().map(|url| ("store.url".to_owned(), url.clone())).collect()
}

/// Refuses a file that cannot be read, before anything is begun: nothing failed, the name is wrong.
pub fn readable(file: &Path) -> Result<(), Failure> {
    let problem = |why: &dyn std::fmt::Display| {
        Problem::new("file-unreadable", format!("{}: {why}", file.display())).help("name a file that exists and may be read")
    };
    match std::fs::File::open(file).and_then(|opened| opened.metadata()) {
        Ok(found) if found.is_dir() => Err(problem(&"is a folder").into()),
        Ok(_) => Ok(()),
        Err(error) => Err(problem(&error).into()),
    }
}

/// Loads the workspace with the flags' layer on top.
pub fn load_workspace(global: &Global) -> Result<Workspace, Failure> {
    Ok(Workspace::load(&workspace_dir(global), &overrides(global))?)
}

/// The same for a run: agreement files with problems are set aside, so that they stop nobody else.
pub fn load_workspace_for_run(global: &Global) -> Result<Workspace, Failure> {
    Ok(Workspace::load_for_run(&workspace_dir(global), &overrides(global))?)
}

impl App {
    /// Loads the workspace for a run and opens its store.
    pub async fn open_for_run(global: &Global) -> Result<Self, Failure> {
        let workspace = load_workspace_for_run(global)?;
        let progress: Arc<dyn crate::pipeline::Progress> = super::progress::for_terminal();
        Self::with(workspace, Clock::System, progress, global.json).await
    }

    /// Loads the workspace and opens its store.
    pub async fn open(global: &Global) -> Result<Self, Failure> {
        let workspace = load_workspace(global)?;
        let progress: Arc<dyn crate::pipeline::Progress> = super::progress::for_terminal();
        Self::with(workspace, Clock::System, progress, global.json).await
    }

    /// The same with a given clock and progress.
    pub async fn with(
        workspace: Workspace,
        clock: Clock,
        progress: Arc<dyn crate::pipeline::Progress>,
        json: bool,
    ) -> Result<Self, Failure> {
        let store = Store::open(&workspace.store_url()).await?;
        Ok(Self { runtime: runtime(workspace, store, clock, progress), json })
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.runtime.store
    }

    /// Today in the company's zone.
    pub fn today(&self) -> NaiveDate {
        self.runtime.clock.now().with_timezone(&self.runtime.settings.timezone).date_naive()
    }

    /// The business day that a run closes unless told otherwise: yesterday in the company's zone.
    pub fn previous_day(&self) -> NaiveDate {
        self.today().checked_sub_days(Days::new(1)).unwrap_or(NaiveDate::MIN)
    }

    /// The user whose token is in `REBATED_TOKEN`; an error when it is missing or unknown, which the trail keeps.
    /// What this person may do is for the caller to ask, who knows more to write down.
    pub async fn person(&self, action: Action, subject: &str) -> Result<UserRow, Failure> {
        let message = match self.maybe_actor().await {
            Ok(Some(user)) => return Ok(user),
            Ok(None) => "this needs a person: set REBATED_TOKEN (`rebated user token NAME` gives one)",
            Err(Failure::Use(_)) => UNKNOWN_TOKEN,
            Err(failure) => return Err(failure),
        };
        self.refuse("console", action, subject, message).await
    }

    /// The same, and the person may do it.
    pub async fn permitted(&self, action: Action, subject: &str) -> Result<UserRow, Failure> {
        let user = self.person(action, subject).await?;
        match refusal(&user.name, &user.role, action) {
            Some(message) => self.refuse(&user.name, action, subject, &message).await,
            None => Ok(user),
        }
    }

    /// In whose name something is done that needs nobody's: a person's who may do it, or `console` for
    /// whoever controls the machine.
    pub async fn in_name_of(&self, action: Action, subject: &str) -> Result<String, Failure> {
        let named = std::env::var("REBATED_TOKEN").is_ok_and(|token| !token.is_empty());
        if named || !action.unattended() {
            return Ok(self.permitted(action, subject).await?.name);
        }
        Ok("console".to_owned())
    }

    /// Writes a refused attempt into the trail.
    pub async fn refuse<T>(&self, actor: &str, action: Action, subject: &str, message: &str) -> Result<T, Failure> {
        let mut tx = self.store().begin().await?;
        // What it was about, as it stood (case 32).
        let fingerprint = match subject.strip_prefix("settlement ").and_then(|id| id.parse().ok()) {
            Some(id) => tx.settlement(id).await?.map(|s| s.fingerprint),
            None => None,
        };
        let detail = serde_json::json!({ "refused": message, "fingerprint": fingerprint });
        tx.audit(self.runtime.clock.now(), actor, action.word(), subject, "refused", &detail).await?;
        tx.commit().await?;
        Err(Problem::new("not-permitted", message).help("docs/reference/commands.md shows who may do what").into())
    }

    /// The user whose token is in `REBATED_TOKEN`, `None` when it is not set. An unknown token is an error.
    pub async fn maybe_actor(&self) -> Result<Option<UserRow>, Failure> {
        let Some(token) = std::env::var("REBATED_TOKEN").ok().filter(|t| !t.is_empty()) else { return Ok(None) };
        let mut tx = self.store().read().await?;
        match tx.user_of_token(&crate::core::hash::sha256_hex(token.as_bytes())).await? {
            Some(user) => Ok(Some(user)),
            None => Err(Failure::Use(UNKNOWN_TOKEN.into())),
        }
    }
}

const UNKNOWN_TOKEN: &str = "REBATED_TOKEN is not the token of any user";

/// Puts a runtime together.
pub fn runtime(workspace: Workspace, store: Store, clock: Clock, progress: Arc<dyn crate::pipeline::Progress>) -> Runtime {
    let settings = Settings::of(&workspace.config.company);
    let heartbeat = TimeDelta::from_std(workspace.config.run.heartbeat).unwrap_or(TimeDelta::minutes(1));
    let abandon_after = TimeDelta::from_std(workspace.config.run.abandon_after).unwrap_or(TimeDelta::minutes(10));
    Runtime { store, clock, workspace: Arc::new(workspace), settings, heartbeat, abandon_after, progress }
}
