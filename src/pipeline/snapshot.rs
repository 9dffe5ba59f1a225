//! What a settlement is approved for: its parts and every line behind them with its share.

use super::counted::{self, CountedByKey, Lens};
use super::figures::KeyFigure;
use super::{PipelineResult, Runtime};
use crate::core::agreement::AgreementVersion;
use crate::core::settlement::SettlementLine;
use crate::store::{SettlementPart, Tx};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The content of a settlement revision.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// What each key is paid.
    pub parts: Vec<SettlementPart>,
    /// Every line behind the earned figures.
    pub lines: Vec<SettlementLine>,
}

/// Where the lines of a settlement's partners come from: read once, however many periods are looked at.
pub struct Source<'a> {
    runtime: &'a Runtime,
    versions: &'a [AgreementVersion],
    lens: &'a Lens,
    codes: &'a HashMap<i64, String>,
    counted: BTreeMap<i64, CountedByKey>,
}

impl<'a> Source<'a> {
    /// Nothing read yet.
    pub fn new(runtime: &'a Runtime, versions: &'a [AgreementVersion], lens: &'a Lens, codes: &'a HashMap<i64, String>) -> Self {
        Self { runtime, versions, lens, codes, counted: BTreeMap::new() }
    }

    /// Lines behind the figures of the partners that belong to the settlement.
    pub async fn lines(
        &mut self,
        tx: &mut Tx,
        figures: &[KeyFigure],
        cutoff: NaiveDate,
        belongs: impl Fn(i64) -> bool,
    ) -> PipelineResult<Vec<SettlementLine>> {
        let partners: BTreeSet<i64> = figures.iter().map(|f| f.partner_id).filter(|id| belongs(*id)).collect();
        let mut lines = Vec::new();
        for partner_id in partners {
            let all = match self.counted.entry(partner_id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(self.lens.lines(tx, partner_id, None).await?),
            };
            let counted = counted::until(all, cutoff);
            for figure in figures.iter().filter(|f| f.partner_id == partner_id) {
                for share in counted::shares(self.runtime, self.versions, figure, &counted)? {
                    lines.push(SettlementLine {
                        term: figure.term.clone(),
                        partner: self.codes.get(&partner_id).cloned().unwrap_or_default(),
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
}
