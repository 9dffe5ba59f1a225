//! Lines that several agreements could pay on where some of them exclude others: who keeps them.
//!
//! A line counts in the qualifier of every agreement that takes it; at the tiers so reached the options are compared
//! line by line, and only the winner keeps the line in its base (case 15). What the others lose is one more sum of
//! theirs, made anew from all lines of a partner whenever anything of that partner changes, so it depends on no order.

use super::{PipelineResult, Runtime};
use crate::core::accrual::{Entry, Summed, own_parts};
use crate::core::agreement::{AgreementVersion, QualifierScope, Rule, Stacking};
use crate::core::contest::{Bid, Winner, winner};
use crate::core::matching::{BASE, MasterData, Matcher, QUALIFIER, compare_lines, facet};
use crate::core::number::{Exact, Fine};
use crate::core::period::{FiscalCalendar, Period};
use crate::store::{AccumulatorRow, MarkedKey, Tx};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a partner's lines lose to other agreements.
#[derive(Debug, Default)]
pub struct Lost {
    /// As sums of the agreements that lose them.
    pub rows: Vec<AccumulatorRow>,
    /// By line, agreement and term: who pays instead, for people.
    pub lines: BTreeMap<(i64, String, String), String>,
}

/// One line in one term.
struct Claim {
    line_id: i64,
    date: NaiveDate,
    document: String,
    line: String,
    summed: Summed,
}

impl Claim {
    fn place(&self) -> (NaiveDate, &str, &str, i64) {
        (self.date, &self.document, &self.line, self.line_id)
    }
}

/// Agreement, term, accumulation period and part.
type ClaimKey = (String, String, Period, i64);

/// The word of the newest version.
fn stacking(versions: &[AgreementVersion]) -> Stacking {
    versions.last().map_or(Stacking::Stackable, |v| v.stacking)
}

/// Partners whose lines agreements compete for, or did when they were last looked at.
pub async fn partners(tx: &mut Tx, grouped: &BTreeMap<&str, Vec<AgreementVersion>>) -> PipelineResult<BTreeSet<i64>> {
    let mut partners: BTreeSet<i64> = tx.partners_with_facet(facet::LOST).await?.into_iter().collect();
    for (id, versions) in grouped {
        if stacking(versions) == Stacking::Exclusive {
            partners.extend(tx.accumulated_partners(id).await?);
        }
    }
    Ok(partners)
}

/// Makes the sums of lost lines of these partners anew, and marks what they concern.
pub async fn settle(
    runtime: &Runtime,
    tx: &mut Tx,
    grouped: &BTreeMap<&str, Vec<AgreementVersion>>,
    partners: BTreeSet<i64>,
) -> PipelineResult<()> {
    let master = Arc::new(tx.master_data().await?);
    for partner_id in partners {
        let lost = of_partner(tx, runtime.settings.calendar, grouped, partner_id, &master).await?;
        if tx.replace_facet(partner_id, facet::LOST, &lost.rows).await? {
            let marks: Vec<MarkedKey> = tx
                .accumulated_agreements(partner_id)
                .await?
                .into_iter()
                .map(|agreement| MarkedKey {
                    partner_id,
                    agreement,
                    reason: "lines moved between agreements that exclude each other".to_owned(),
                    months: Vec::new(),
                })
                .collect();
            tx.mark_keys(&marks).await?;
        }
    }
    Ok(())
}

/// What the lines of one partner lose, by the agreements in force; nothing is read where nothing is lost.
pub async fn of_partner_anew(
    tx: &mut Tx,
    calendar: FiscalCalendar,
    partner_id: i64,
    master: &Arc<MasterData>,
) -> PipelineResult<Lost> {
    // The sums say whether there is anything to find.
    if !tx.has_facet(partner_id, facet::LOST).await? {
        return Ok(Lost::default());
    }
    let versions = tx.active_agreements().await?;
    of_partner(tx, calendar, &super::figures::by_agreement(&versions), partner_id, master).await
}

/// What the lines of one partner lose.
pub async fn of_partner(
    tx: &mut Tx,
    calendar: FiscalCalendar,
    grouped: &BTreeMap<&str, Vec<AgreementVersion>>,
    partner_id: i64,
    master: &Arc<MasterData>,
) -> PipelineResult<Lost> {
    let own = tx.accumulated_agreements(partner_id).await?;
    let competing: BTreeMap<&str, &Vec<AgreementVersion>> =
        own.iter().filter_map(|id| grouped.get_key_value(id.as_str())).map(|(id, versions)| (*id, versions)).collect();
    if !competing.values().any(|versions| stacking(versions) == Stacking::Exclusive) {
        return Ok(Lost::default());
    }
    let versions: Vec<AgreementVersion> = competing.values().flat_map(|list| list.iter().cloned()).collect();
    let matcher = Matcher::new(&versions, master.clone(), calendar);
    let mut claims: BTreeMap<ClaimKey, Vec<Claim>> = BTreeMap::new();
    for source in master.sources_of([partner_id]) {
        for stored in tx.documents_of_partner(source).await? {
            let document = stored.view();
            for (line_id, c) in matcher.contributions(&document) {
                if c.key.partner_id != partner_id || c.facet != facet::MAIN {
                    continue;
                }
                let Some(line) = document.lines.iter().find(|l| l.id == line_id) else { continue };
                let Some(agreement) = matcher.agreement_id(c.key.agreement) else { continue };
                let Some(term) = matcher.term_id(c.key.agreement, c.key.term) else { continue };
                let key = (agreement.to_string(), term.to_string(), c.key.period, c.key.part);
                let entry = Entry { partner_id, facet: c.facet, bucket: c.bucket, version: c.version, sums: c.sums };
                claims.entry(key).or_default().push(Claim {
                    line_id,
                    date: line.document_date,
                    document: line.document_number.to_string(),
                    line: line.line_number.to_string(),
                    summed: Summed { entry, sides: c.sides },
                });
            }
        }
    }
    let mut shares: BTreeMap<i64, BTreeMap<&str, Fine>> = BTreeMap::new();
    let mut contested: Vec<(ClaimKey, Claim)> = Vec::new();
    for ((agreement, term, period, part), mut list) in claims {
        let Some((id, versions)) = competing.get_key_value(agreement.as_str()) else { continue };
        // Growth and amounts for the whole period take no part, and lose nothing.
        let rule = versions.iter().rev().flat_map(|v| &v.terms).find(|t| t.id == term).map(|t| &t.rule);
        if matches!(rule, None | Some(Rule::Growth(_) | Rule::Fixed(_))) {
            continue;
        }
        list.sort_by(|a, b| compare_lines(a.place(), b.place()));
        let parts = parts(tx, &calendar, versions, &term, period, &list).await?;
        for (claim, share) in list.into_iter().zip(parts) {
            *shares.entry(claim.line_id).or_default().entry(id).or_default() += share;
            contested.push(((agreement.clone(), term.clone(), period, part), claim));
        }
    }
    let mut winners: BTreeMap<i64, Winner<'_>> = BTreeMap::new();
    for (line_id, by_agreement) in &shares {
        let bids: Vec<Bid<'_>> = by_agreement
            .iter()
            .map(|(id, share)| Bid {
                agreement: id,
                stacking: competing.get(id).map_or(Stacking::Stackable, |v| stacking(v)),
                share: *share,
            })
            .collect();
        if let Some(winner) = winner(&bids) {
            winners.insert(*line_id, winner);
        }
    }
    let mut lost = Lost::default();
    let mut sums: BTreeMap<(ClaimKey, NaiveDate, u32), Exact> = BTreeMap::new();
    for (key, claim) in contested {
        let Some(winner) = winners.get(&claim.line_id) else { continue };
        let mine = competing.get(key.0.as_str()).map_or(Stacking::Stackable, |v| stacking(v));
        if winner.pays(&key.0, mine) {
            continue;
        }
        let reason = match winner {
            Winner::Stack => "lower than what the stackable agreements pay together".to_owned(),
            Winner::Exclusive(id) => format!("lower than what {id} pays, which excludes others"),
        };
        lost.lines.insert((claim.line_id, key.0.clone(), key.1.clone()), reason);
        let entry = claim.summed.entry;
        *sums.entry((key, entry.bucket, entry.version)).or_default() += entry.sums.slots[BASE];
    }
    for (((agreement, term, period, part), bucket, version), base) in sums {
        let mut slots = [Exact::ZERO; 4];
        slots[QUALIFIER] = base;
        lost.rows.push(AccumulatorRow {
            partner_id,
            agreement,
            term,
            period_from: period.from,
            period_to: period.to,
            part,
            facet: facet::LOST,
            bucket,
            version: i64::from(version),
            sums: slots,
            lines: 0,
            documents: 0,
        });
    }
    Ok(lost)
}

/// What each line would earn by itself. Where partners share a qualifier, the tier is that of all of them.
async fn parts(
    tx: &mut Tx,
    calendar: &FiscalCalendar,
    versions: &[AgreementVersion],
    term: &str,
    period: Period,
    list: &[Claim],
) -> PipelineResult<Vec<Fine>> {
    let Some(newest) = versions.last() else { return Ok(vec![Fine::ZERO; list.len()]) };
    let mut summed: Vec<Summed> = list.iter().map(|c| c.summed.clone()).collect();
    if newest.qualifier_scope == QualifierScope::Agreement {
        let others = tx.accumulators_of_agreement(&newest.id).await?;
        let own = summed.first().map_or(0, |s| s.entry.partner_id);
        summed.extend(
            others
                .iter()
                .filter(|r| r.partner_id != own && r.term == term && (r.period_from, r.period_to) == (period.from, period.to))
                .filter(|r| r.facet == facet::MAIN)
                .map(|r| Summed { entry: super::figures::entry_of(r), sides: Vec::new() }),
        );
    }
    // A figure that does not fit is told where it is reckoned; here it wins nothing.
    let parts = own_parts(versions, term, period, summed, calendar).unwrap_or_default();
    Ok(parts.into_iter().chain(std::iter::repeat(Fine::ZERO)).take(list.len()).collect())
}
