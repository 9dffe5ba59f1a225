//! What a settlement is approved for: its parts and every line behind them with its share.

use super::counted;
use super::figures::KeyFigure;
use super::{PipelineResult, Runtime, accrue};
use crate::core::agreement::AgreementVersion;
use crate::core::settlement::SettlementLine;
use crate::store::{SettlementPart, Tx};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeSet;

/// The content of a settlement revision.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// What each key is paid.
    pub parts: Vec<SettlementPart>,
    /// Every line behind the earned figures.
    pub lines: Vec<SettlementLine>,
}

/// Lines behind the figures of the partners that belong to the settlement.
pub async fn lines(
    runtime: &Runtime,
    tx: &mut Tx,
    versions: &[AgreementVersion],
    figures: &[KeyFigure],
    cutoff: NaiveDate,
    belongs: impl Fn(i64) -> bool,
) -> PipelineResult<Vec<SettlementLine>> {
    let codes = accrue::codes(tx).await?;
    let partners: BTreeSet<i64> = figures.iter().map(|f| f.partner_id).filter(|id| belongs(*id)).collect();
    let mut lines = Vec::new();
    for partner_id in partners {
        let counted = counted::lines(runtime, tx, versions, partner_id, Some(cutoff)).await?;
        for figure in figures.iter().filter(|f| f.partner_id == partner_id) {
            for share in counted::shares(runtime, versions, figure, &counted)? {
                lines.push(SettlementLine {
                    term: figure.term.clone(),
                    partner: codes.get(&partner_id).cloned().unwrap_or_default(),
                    period_from: figure.period.from,
                    document: share.line.document.clone(),
                    line: share.line.line.clone(),
                    net: share.line.net,
                    share: share.share,
                });
            }
        }
    }
    lines.sort();
    Ok(lines)
}
