//! Match: new and changed documents are folded into running sums per key and accounting month.
//!
//! A night costs its new lines only: what a document version gave is taken back when it is
//! superseded, and added for its successor. Changes of master data, agreements or rates mark
//! partners or agreements; their sums are built anew from all lines. Both roads lead to the same
//! sums, which `rebuild` proves.

use super::causes::Causes;
use super::decide::ship_and_debit::{self, Occasion};
use super::intake::line_key;
use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineError, PipelineResult, Runtime};
use crate::core::line::DocumentType;
use crate::core::matching::{Accumulator, MasterData, Matcher};
use crate::store::{AccumulatorRow, MarkedKey, NewException, StoredDocument, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};

/// Lines read at once.
const PAGE: i64 = 5_000;
/// Name of the watermark: highest line id that is folded.
const FOLDED: &str = "folded-line";

/// Folds what is new.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let outcome = fold(&mut tx, runtime, request.business_day, now).await?;
    lease.commit(tx).await?;
    Ok(outcome)
}

/// One transaction's worth of folding.
pub async fn fold(tx: &mut Tx, runtime: &Runtime, business_day: NaiveDate, now: DateTime<Utc>) -> PipelineResult<StageOutcome> {
    tx.own_folding().await?;
    let versions = tx.active_agreements().await?;
    let master = Arc::new(tx.master_data().await?);
    let matcher = Arc::new(Matcher::new(&versions, master.clone(), runtime.settings.calendar));
    let marked_agreements: BTreeMap<String, String> = tx.marked_agreements().await?.into_iter().collect();
    let marked_partners = with_survivors(tx.marked_partners().await?, &master);
    let all_marked = !versions.is_empty() && versions.iter().all(|v| marked_agreements.contains_key(&v.id));
    let folded = tx.watermark(FOLDED).await?;
    let last = tx.last_line_id().await?;
    let calendar = runtime.settings.calendar;
    let closed: BTreeSet<NaiveDate> = tx.closed_periods().await?.into_iter().collect();
    let mut causes = Causes::default();
    let mut months: BTreeMap<(i64, String), BTreeSet<NaiveDate>> = BTreeMap::new();

    // Scopes that are built anew.
    let mut rebuilt = Accumulator::new();
    let mut rebuilt_new = 0i64;
    if !marked_agreements.is_empty() || !marked_partners.is_empty() {
        for (agreement, reason) in &marked_agreements {
            for partner in tx.accumulated_partners(agreement).await? {
                causes.note(partner, agreement, reason, None);
            }
            tx.clear_accumulators_of_agreement(agreement).await?;
        }
        for (partner, reason) in &marked_partners {
            for agreement in tx.accumulated_agreements(*partner).await? {
                causes.note(*partner, &agreement, reason, None);
            }
            tx.clear_accumulators_of_partner(*partner).await?;
        }
        if all_marked || !marked_agreements.is_empty() {
            rebuilt_new = fold_all(tx, runtime, &matcher, folded, last, &mut rebuilt).await?;
        } else {
            for partner in master.sources_of(marked_partners.keys().copied()) {
                for document in tx.documents_of_partner(partner).await? {
                    matcher.fold(&document.view(), 1, &mut rebuilt);
                }
            }
        }
    }
    let is_marked =
        |agreement: &str, partner: i64| marked_agreements.contains_key(agreement) || marked_partners.contains_key(&partner);

    // New lines and superseded versions of everything else.
    let mut fresh = Accumulator::new();
    let superseded = tx.take_superseded(folded).await?;
    let mut claims = superseded.iter().any(|d| d.view().document_type.issued_by_others());
    let mut lines_in = 0i64;
    if !all_marked {
        let mut successors: HashSet<i64> = HashSet::new();
        for document in &superseded {
            let facts = document.view();
            let mut taken = Accumulator::new();
            matcher.fold(&facts, -1, &mut taken);
            let reason = format!("{} {} state {} taken back", facts.document_type, facts.number, document.version);
            for (cell, _) in taken.iter() {
                if let Some(id) = matcher.agreement_id(cell.key.agreement) {
                    causes.note(cell.key.partner_id, id, &reason, Some(cell.bucket));
                }
            }
            successors.insert(facts.id);
            fresh.merge(taken);
        }
        fresh.problems.clear();
        let mut folding = Folding::onto(&matcher, std::mem::take(&mut fresh));
        let mut after = folded;
        loop {
            let (documents, next) = tx.documents_after(after, last, PAGE).await?;
            let mut plain = Vec::with_capacity(documents.len());
            for document in documents {
                lines_in += i64::try_from(document.lines.len()).unwrap_or(0);
                let facts = document.view();
                claims |= facts.document_type.issued_by_others();
                // What replaces a state, or comes late into a closed month, is named where it is booked.
                let late = || {
                    closed.contains(&calendar.month_start(facts.date))
                        || (!closed.is_empty() && facts.document_type == DocumentType::CreditNote)
                };
                if !successors.contains(&facts.id) && !late() {
                    plain.push(document);
                    continue;
                }
                let mut added = Accumulator::new();
                matcher.fold(&facts, 1, &mut added);
                let reason = format!("{} {} state {} added", facts.document_type, facts.number, document.version);
                for (cell, _) in added.iter() {
                    if let Some(id) = matcher.agreement_id(cell.key.agreement) {
                        causes.note(cell.key.partner_id, id, &reason, Some(cell.bucket));
                    }
                }
                fresh.merge(added);
            }
            folding.take(plain).await?;
            runtime.progress.advanced(next.unwrap_or(last), Some(last));
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        fresh.merge(folding.done().await?);
    } else {
        lines_in = rebuilt_new;
    }

    let mut changed = 0i64;
    let mut rows: Vec<AccumulatorRow> = Vec::new();
    for (sums, anew) in [(&rebuilt, true), (&fresh, false)] {
        for (cell, sum) in sums.iter() {
            let Some(agreement) = matcher.agreement_id(cell.key.agreement) else { continue };
            if is_marked(agreement, cell.key.partner_id) != anew || sum.is_zero() {
                continue;
            }
            let Some(term) = matcher.term_id(cell.key.agreement, cell.key.term) else { continue };
            changed += 1;
            if anew {
                let reason = marked_partners.get(&cell.key.partner_id).or_else(|| marked_agreements.get(&**agreement));
                causes.note(cell.key.partner_id, agreement, reason.map_or("", |r| r), None);
            } else {
                causes.note(cell.key.partner_id, agreement, "", None);
                months.entry((cell.key.partner_id, agreement.to_string())).or_default().insert(cell.bucket);
            }
            rows.push(AccumulatorRow {
                partner_id: cell.key.partner_id,
                agreement: agreement.to_string(),
                term: term.to_string(),
                period_from: cell.key.period.from,
                period_to: cell.key.period.to,
                part: cell.key.part,
                facet: cell.facet,
                bucket: cell.bucket,
                version: i64::from(cell.version),
                sums: sum.slots,
                lines: sum.lines,
                documents: sum.documents,
            });
        }
    }
    rows.sort_by(|a, b| {
        (a.partner_id, &a.agreement, &a.term, a.period_from, a.part, a.facet, a.bucket, a.version).cmp(&(
            b.partner_id,
            &b.agreement,
            &b.term,
            b.period_from,
            b.part,
            b.facet,
            b.bucket,
            b.version,
        ))
    });
    let first_load = folded == 0 && all_marked;
    if first_load {
        tx.insert_accumulators(&rows).await?
    } else {
        tx.add_to_accumulators(&rows).await?
    }
    let occasion = Occasion {
        versions: &versions,
        matcher: &matcher,
        claims_changed: claims,
        lines_changed: last != folded || !superseded.is_empty(),
        agreements: &marked_agreements,
        partners: &marked_partners,
        business_day,
        now,
    };
    let decided = ship_and_debit::decide(tx, &occasion, &mut causes, &mut months).await?;
    let marks: Vec<MarkedKey> = causes
        .pairs()
        .map(|(partner_id, agreement, reason)| MarkedKey {
            partner_id,
            agreement: agreement.to_owned(),
            reason,
            months: months.get(&(partner_id, agreement.to_owned())).into_iter().flatten().copied().collect(),
        })
        .collect();
    tx.mark_keys(&marks).await?;
    let exceptions = decided.exceptions
        + raise(tx, &matcher, &[&rebuilt, &fresh], &marked_agreements, &marked_partners, business_day, now).await?;
    tx.set_watermark(FOLDED, last).await?;
    tx.clear_marks().await?;
    Ok(StageOutcome {
        count_in: lines_in,
        count_out: changed,
        exceptions,
        detail: format!(
            "{lines_in} new lines, {} superseded documents, {} agreements and {} partners built anew, {} claim lines decided",
            superseded.len(),
            marked_agreements.len(),
            marked_partners.len(),
            decided.lines
        ),
    })
}

/// Folds every current line; returns how many of them are new.
///
/// Lines of a document that came through later stand apart from its other lines. Such a document is
/// folded as a whole, since discounts and document counts look at all of it.
async fn fold_all(
    tx: &mut Tx,
    runtime: &Runtime,
    matcher: &Arc<Matcher>,
    folded: i64,
    last: i64,
    out: &mut Accumulator,
) -> PipelineResult<i64> {
    let mut new_lines = 0i64;
    let mut seen = Seen::default();
    let mut apart: BTreeMap<(i64, i64, i64), BTreeSet<i64>> = BTreeMap::new();
    let mut folding = Folding::onto(matcher, std::mem::take(out));
    let mut after = 0;
    loop {
        let (documents, next) = tx.documents_after(after, last, PAGE).await?;
        let mut first = Vec::with_capacity(documents.len());
        for document in documents {
            new_lines += i64::try_from(document.lines.iter().filter(|l| l.id > folded).count()).unwrap_or(0);
            if seen.first_time(document.id) {
                first.push(document);
            } else {
                let key = (document.lines[0].partner_id, document.id, document.version);
                apart.entry(key).or_default().extend(document.lines.iter().map(|l| l.id));
            }
        }
        folding.take(first).await?;
        runtime.progress.advanced(next.unwrap_or(last), Some(last));
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    *out = folding.done().await?;
    for ((partner, document, version), ids) in apart {
        let Some(whole) = tx.document_version(partner, document, version).await? else { continue };
        let mut before = whole.clone();
        before.lines.retain(|line| !ids.contains(&line.id));
        if !before.lines.is_empty() {
            matcher.fold(&before.view(), -1, out);
        }
        out.problems.retain(|p| p.document_id != document);
        matcher.fold(&whole.view(), 1, out);
    }
    Ok(new_lines)
}

/// Folds pages on a thread of its own: the store reads the next page meanwhile.
struct Folding<'a> {
    matcher: &'a Arc<Matcher>,
    /// The page under way, with all sums before it.
    sums: JoinHandle<Accumulator>,
}

impl<'a> Folding<'a> {
    fn onto(matcher: &'a Arc<Matcher>, sums: Accumulator) -> Self {
        Self { matcher, sums: tokio::task::spawn_blocking(move || sums) }
    }
    /// Folds one page, as soon as the one before is done.
    async fn take(&mut self, documents: Vec<StoredDocument>) -> PipelineResult<()> {
        let mut sums = (&mut self.sums).await.map_err(stopped)?;
        let matcher = self.matcher.clone();
        self.sums = tokio::task::spawn_blocking(move || {
            for document in &documents {
                matcher.fold(&document.view(), 1, &mut sums);
            }
            sums
        });
        Ok(())
    }
    async fn done(self) -> PipelineResult<Accumulator> {
        self.sums.await.map_err(stopped)
    }
}

fn stopped(error: JoinError) -> PipelineError {
    PipelineError::Internal(format!("folding ended: {error}"))
}

/// Which document ids have been seen: a bit each, since a store may hold millions.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Seen {
    fn first_time(&mut self, id: i64) -> bool {
        let id = usize::try_from(id).unwrap_or(0);
        let (word, bit) = (id / 64, 1u64 << (id % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let known = self.0[word] & bit != 0;
        self.0[word] |= bit;
        !known
    }
}

/// The marked partners and everyone they were merged into, for whom their lines count.
fn with_survivors(marked: Vec<(i64, String)>, master: &MasterData) -> BTreeMap<i64, String> {
    let mut all: BTreeMap<i64, String> = BTreeMap::new();
    for (partner, reason) in marked {
        for survivor in master.merge_chain(partner) {
            all.entry(survivor.id).or_insert_with(|| reason.clone());
        }
        all.insert(partner, reason);
    }
    all
}

/// Findings of matching become exceptions; those of rebuilt scopes that are not found again are cleared.
async fn raise(
    tx: &mut Tx,
    matcher: &Matcher,
    found: &[&Accumulator],
    marked_agreements: &BTreeMap<String, String>,
    marked_partners: &BTreeMap<i64, String>,
    business_day: NaiveDate,
    now: DateTime<Utc>,
) -> PipelineResult<i64> {
    let master = matcher.master();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    let mut opened = 0;
    for (index, accumulator) in found.iter().enumerate() {
        for problem in &accumulator.problems {
            let marked = marked_agreements.contains_key(&*problem.agreement) || marked_partners.contains_key(&problem.partner_id);
            if marked != (index == 0) {
                continue;
            }
            let key =
                format!("{}:{}", line_key(problem.code, problem.document_id, &problem.line_id.to_string()), problem.agreement);
            if !keys.insert(key.clone()) {
                continue;
            }
            let document = tx.document_by_id(problem.document_id).await?;
            let code = master.partner(problem.partner_id).map(|p| p.code.to_string());
            let new = NewException {
                code: problem.code.to_owned(),
                blocking: problem.blocking,
                subject: document.map_or_else(|| format!("line {}", problem.line_id), |d| d.identity.to_string()),
                message: format!("{} (agreement {}, term {})", problem.message, problem.agreement, problem.term),
                help: help_for(problem.code).map(str::to_owned),
                partner: code,
                agreement: Some(problem.agreement.to_string()),
                document_id: Some(problem.document_id),
                on_date: Some(problem.on),
                dedupe_key: key,
                lasting: true,
                ..NewException::default()
            };
            if tx.open_exception(&new, business_day, now).await? {
                opened += 1;
            }
        }
    }
    // In scopes built anew every finding was made again; what was not is gone.
    for open in tx.exceptions(&crate::store::ExceptionFilter::default()).await? {
        let Some(agreement) = &open.agreement else { continue };
        let partner = open.partner.as_deref().and_then(|code| master.partner_by_code(code)).map(|p| p.id);
        let rebuilt = marked_agreements.contains_key(agreement) || partner.is_some_and(|p| marked_partners.contains_key(&p));
        let of_claim = open.dedupe_key.starts_with(ship_and_debit::CLAIM);
        if rebuilt && !of_claim && help_for(&open.code).is_some() && !keys.contains(&open.dedupe_key) {
            tx.clear_exception(&open.dedupe_key, "not found again", now).await?;
        }
    }
    Ok(opened)
}

/// How to mend a finding of matching; `None` for codes that matching does not raise.
fn help_for(code: &str) -> Option<&'static str> {
    Some(match code {
        "no-rate" => "import the exchange rate of that day, or a newer one inside the agreement's greatest age",
        "no-fiscal-month" => "add the fiscal year to the table that `calendar_file` in rebated.toml names, or correct the date",
        "no-conversion" => "import a unit conversion for the item",
        "no-weight" => "import the item's weight",
        "no-gross-amount" => "map the gross amount, or let the term use net-amount",
        "figure-too-large" => "correct the quantity, the amount or the factor in its source",
        "no-cost" => "map the cost amount, or let the term use another measure",
        "discount-without-goods" => "correct the document in its source; a discount is spread over goods lines",
        "return-without-reference" => "name the original invoice in the source; until then it counts in its own period",
        "original-not-found" => "deliver the original invoice, or correct the reference",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::help_for;
    use crate::core::matching::LineProblem;

    /// A code without help would also never be cleared: findings of matching are told by it.
    #[test]
    fn every_code_of_matching_says_how_to_mend_it() {
        for code in LineProblem::CODES {
            assert!(help_for(code).is_some(), "{code}");
        }
    }
}
