//! The stages by name, in their order.

use super::run::{Lease, RunRequest};
use super::{PipelineResult, Runtime, accrue, matching, normalize, propose, pull, push, reconcile, statements};
use crate::store::StageRow;
use serde::{Deserialize, Serialize};

crate::core::agreement::words! {
    /// A stage of the nightly job.
    Stage {
        /// Fetch what is new from every connector.
        Pull = "pull",
        /// Turn raw documents into canonical lines.
        Normalize = "normalize",
        /// Fold new and changed lines into running sums.
        Match = "match",
        /// Book what is earned.
        Accrue = "accrue",
        /// Compare our memos with theirs.
        Reconcile = "reconcile",
        /// Propose and revise settlements.
        Propose = "propose",
        /// Push approved settlements.
        Push = "push",
        /// Write and send statements.
        Statements = "statements",
    } default Pull
}

/// Counts of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageOutcome {
    /// Things looked at.
    pub count_in: i64,
    /// Things changed.
    pub count_out: i64,
    /// Exceptions raised.
    pub exceptions: i64,
    /// One line for people.
    pub detail: String,
}

impl StageOutcome {
    /// As it is recorded and shown.
    pub fn row(&self, stage: Stage) -> StageRow {
        StageRow {
            stage: stage.word().to_owned(),
            count_in: self.count_in,
            count_out: self.count_out,
            exceptions: self.exceptions,
            detail: self.detail.clone(),
        }
    }
}

impl Stage {
    /// All stages in their order.
    pub const ALL: [Stage; 8] = [
        Stage::Pull,
        Stage::Normalize,
        Stage::Match,
        Stage::Accrue,
        Stage::Reconcile,
        Stage::Propose,
        Stage::Push,
        Stage::Statements,
    ];

    /// Executes the stage.
    pub async fn run(self, runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
        match self {
            Self::Pull => pull::run(runtime, request, lease).await,
            Self::Normalize => normalize::run(runtime, request, lease).await,
            Self::Match => matching::run(runtime, request, lease).await,
            Self::Accrue => accrue::run(runtime, request, lease).await,
            Self::Reconcile => reconcile::run(runtime, request, lease).await,
            Self::Propose => propose::run(runtime, request, lease).await,
            Self::Push => push::run(runtime, request, lease).await,
            Self::Statements => statements::run(runtime, request, lease).await,
        }
    }
}
