//! The lines behind a figure, with their shares: for receipts, settlements and statements.

use super::contest;
use super::decide::shown;
use super::figures::{KeyFigure, too_large};
use super::{PipelineResult, Runtime};
use crate::core::agreement::AgreementVersion;
use crate::core::derivation::{self, Derivation};
use crate::core::line::Line;
use crate::core::matching::{BASE, Contribution, MasterData, Matcher, QUALIFIER, facet};
use crate::core::money::Currency;
use crate::core::number::Exact;
use crate::core::period::{FiscalCalendar, Period};
use crate::core::problem::Problem;
use crate::core::receipt::{self, CountedLine, LineShare};
use crate::store::Tx;
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Term, accumulation period and part, with the lines that count.
pub type CountedByKey = BTreeMap<(i64, String, Period, i64), Vec<CountedLine>>;

/// One agreement's versions with the master data that decides what counts under them: read and prepared
/// once for any number of partners.
pub struct Lens {
    versions: Vec<AgreementVersion>,
    master: Arc<MasterData>,
    matcher: Matcher,
    calendar: FiscalCalendar,
    agreement: String,
    /// The agreement's currency, where terms of it decide on single lines.
    decides: Option<Currency>,
}

impl Lens {
    /// By master data that is at hand.
    pub fn new(runtime: &Runtime, versions: &[AgreementVersion], master: &Arc<MasterData>) -> Self {
        let calendar = runtime.settings.calendar;
        let agreement = versions.last().map(|v| v.id.clone()).unwrap_or_default();
        let decided = versions.iter().flat_map(|v| &v.terms).any(|t| t.rule.is_decided());
        Self {
            versions: versions.to_vec(),
            master: master.clone(),
            matcher: Matcher::new(versions, master.clone(), calendar),
            calendar,
            agreement,
            decides: versions.last().filter(|_| decided).map(|v| v.currency),
        }
    }

    /// Every line of a partner that counts under the agreement up to `cutoff`, by key.
    pub async fn lines(&self, tx: &mut Tx, partner_id: i64, cutoff: Option<NaiveDate>) -> PipelineResult<CountedByKey> {
        let mut counted = lines_by(tx, self, partner_id, cutoff).await?;
        // What another agreement pays has no part in this one's benefit.
        let lost = contest::of_partner_anew(tx, self.calendar, partner_id, &self.master).await?;
        for ((_, term, _, _), lines) in &mut counted {
            for line in lines {
                if lost.lines.contains_key(&(line.line_id, self.agreement.clone(), term.clone())) {
                    line.sides.push((facet::LOST, line.sums.slots[BASE]));
                }
            }
        }
        Ok(counted)
    }
}

/// What was sold by a day, of lines counted without a limit.
pub fn until(counted: &CountedByKey, cutoff: NaiveDate) -> CountedByKey {
    let kept = |lines: &Vec<CountedLine>| lines.iter().filter(|l| l.bucket <= cutoff).cloned().collect::<Vec<_>>();
    counted.iter().map(|(key, lines)| (key.clone(), kept(lines))).filter(|(_, lines)| !lines.is_empty()).collect()
}

/// Every line of a partner that counts under one agreement up to `cutoff`, by key.
pub async fn lines(
    runtime: &Runtime,
    tx: &mut Tx,
    versions: &[AgreementVersion],
    partner_id: i64,
    cutoff: Option<NaiveDate>,
) -> PipelineResult<CountedByKey> {
    let master = Arc::new(tx.master_data().await?);
    with_master(runtime, tx, versions, partner_id, cutoff, &master).await
}

/// The same by master data that is at hand.
pub async fn with_master(
    runtime: &Runtime,
    tx: &mut Tx,
    versions: &[AgreementVersion],
    partner_id: i64,
    cutoff: Option<NaiveDate>,
    master: &Arc<MasterData>,
) -> PipelineResult<CountedByKey> {
    Lens::new(runtime, versions, master).lines(tx, partner_id, cutoff).await
}

async fn lines_by(tx: &mut Tx, lens: &Lens, partner_id: i64, cutoff: Option<NaiveDate>) -> PipelineResult<CountedByKey> {
    let Lens { versions, master, matcher, decides, agreement, .. } = lens;
    let mut counted: CountedByKey = BTreeMap::new();
    // Lines that may be decided on one by one.
    let mut claims: BTreeMap<i64, Line> = BTreeMap::new();
    for source in master.sources_of([partner_id]) {
        for stored in tx.documents_of_partner(source).await? {
            let document = stored.view();
            if decides.is_some() && document.document_type.issued_by_others() {
                claims.extend(document.lines.iter().map(|line| (line.id, line.clone())));
            }
            for (line_id, contribution) in matcher.contributions(&document) {
                if contribution.key.partner_id != partner_id || cutoff.is_some_and(|c| contribution.bucket > c) {
                    continue;
                }
                let Some(line) = document.lines.iter().find(|l| l.id == line_id) else { continue };
                let Some(term) = matcher.term_id(contribution.key.agreement, contribution.key.term) else { continue };
                let key = (partner_id, term.to_string(), contribution.key.period, contribution.key.part);
                let derived = derived(master, versions, term, line, &contribution);
                counted.entry(key).or_default().push(CountedLine {
                    line_id,
                    document_type: line.document_type,
                    document: line.document_number.to_string(),
                    line: line.line_number.to_string(),
                    date: line.document_date,
                    item: line.item_id.and_then(|id| master.item(id)).map(|i| i.code.to_string()),
                    net: line.net_amount,
                    currency: line.currency,
                    quantity: line.quantity,
                    unit: line.unit.to_string(),
                    partner_id,
                    facet: contribution.facet,
                    bucket: contribution.bucket,
                    version: contribution.version,
                    sums: contribution.sums,
                    sides: contribution.sides,
                    derived,
                });
            }
        }
    }
    if let Some(currency) = decides {
        for (term, period, part, line) in shown::counted(tx, master, *currency, agreement, partner_id, cutoff, &claims).await? {
            counted.entry((partner_id, term, period, part)).or_default().push(line);
        }
    }
    Ok(counted)
}

/// How what a line adds follows from its document, where it is not just what that says.
fn derived(
    master: &MasterData,
    versions: &[AgreementVersion],
    term: &str,
    line: &Line,
    contribution: &Contribution,
) -> Vec<Derivation> {
    let version = versions.iter().find(|v| v.version == contribution.version);
    let Some((version, term)) = version.and_then(|v| Some((v, v.terms.iter().find(|t| t.id == term)?))) else {
        return Vec::new();
    };
    // What helps to reckon the figure beside its own lines is measured in ways of its own.
    if contribution.facet != facet::MAIN {
        return Vec::new();
    }
    let measures = term.rule.measures();
    let (qualifier, base) = ((measures.qualifier, measures.unit), (measures.base, measures.base_unit));
    let of = |measure, slot: usize| derivation::derive(master, version, line, measure, contribution.sums.slots[slot]);
    let other = if qualifier == base { None } else { of(qualifier, QUALIFIER) };
    other.into_iter().chain(of(base, BASE)).collect()
}

/// The lines of one figure with their shares, in document order.
pub fn shares(
    runtime: &Runtime,
    versions: &[AgreementVersion],
    figure: &KeyFigure,
    counted: &CountedByKey,
) -> Result<Vec<LineShare>, Problem> {
    let key = (figure.partner_id, figure.term.clone(), figure.period, figure.part);
    let mut lines = counted.get(&key).cloned().unwrap_or_default();
    for (place, taken) in &figure.taken_off {
        for line in &mut lines {
            let part = line.sides.iter().find(|(f, _)| facet::after_place(*f) == Some(*place)).map_or(Exact::ZERO, |s| s.1);
            line.sums.slots[BASE] -= taken.off(part);
        }
    }
    let agreement = versions.last().map_or("", |v| v.id.as_str());
    receipt::lines(
        versions,
        &figure.term,
        figure.period,
        &runtime.settings.calendar,
        figure.earned,
        figure.evaluation.baseline,
        lines,
    )
    .map_err(|e| too_large(agreement, &figure.term, figure.period, e))
}
