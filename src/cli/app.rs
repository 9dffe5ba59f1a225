//! What a command works with: the loaded workspace, the open store, the clock, the acting user.

use super::Global;
use crate::clock::Clock;
use crate::config::Workspace;
use crate::core::problem::Problems;
use crate::pipeline::{PipelineError, Runtime, Settings};
use crate::store::{Store, StoreError, UserRow};
use chrono::{Days, NaiveDate, TimeDelta};
use std::path::PathBuf;
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
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}
impl From<crate::core::problem::Problem> for Failure {
    fn from(problem: crate::core::problem::Problem) -> Self {
        Self::Problems(problem.into())
    }
}
impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Problems(problems) => Self::Problems(problems),
            other => Self::Failed(other.into()),
        }
    }
}
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Url(_) | StoreError::TooNew { .. } => Self::Use(error.to_string()),
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

    /// The user whose token is in `REBATED_TOKEN`; an error when it is missing or unknown.
    pub async fn actor(&self) -> Result<UserRow, Failure> {
        match self.maybe_actor().await? {
            Some(user) => Ok(user),
            None => Err(Failure::Use("this needs a person: set REBATED_TOKEN (`rebated user token NAME` gives one)".into())),
        }
    }

    /// The user whose token is in `REBATED_TOKEN`, `None` when it is not set. An unknown token is an error.
    pub async fn maybe_actor(&self) -> Result<Option<UserRow>, Failure> {
        let Some(token) = std::env::var("REBATED_TOKEN").ok().filter(|t| !t.is_empty()) else { return Ok(None) };
        let mut tx = self.store().read().await?;
        match tx.user_of_token(&crate::core::hash::sha256_hex(token.as_bytes())).await? {
            Some(user) => Ok(Some(user)),
            None => Err(Failure::Use("REBATED_TOKEN is not the token of any user".into())),
        }
    }

    /// Name for the audit trail: the user, or `console` for whoever controls the machine.
    pub async fn actor_name(&self) -> Result<String, Failure> {
        Ok(self.maybe_actor().await?.map_or_else(|| "console".to_owned(), |u| u.name))
    }
}

/// Puts a runtime together.
pub fn runtime(workspace: Workspace, store: Store, clock: Clock, progress: Arc<dyn crate::pipeline::Progress>) -> Runtime {
    let company = &workspace.config.company;
    let settings = Settings {
        company: company.code.clone(),
        currency: company.currency,
        timezone: company.timezone,
        calendar: company.calendar,
    };
    let heartbeat = TimeDelta::from_std(workspace.config.run.heartbeat).unwrap_or(TimeDelta::minutes(1));
    let abandon_after = TimeDelta::from_std(workspace.config.run.abandon_after).unwrap_or(TimeDelta::minutes(10));
    Runtime { store, clock, workspace: Arc::new(workspace), settings, heartbeat, abandon_after, progress }
}
