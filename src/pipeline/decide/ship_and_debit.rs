//! Claim lines and stock on hand: decided, kept, and turned into running sums.

use super::claim_lines::{self, Gathered};
use super::price_drops;
use crate::core::agreement::{AgreementVersion, Rule};
use crate::core::matching::{BASE, Cell, Matcher, QUALIFIER, facet};
use crate::core::number::Exact;
use crate::core::terms::ship_and_debit::{Book, Decision, Outcome, Queue, Reason, ShipAndDebit, StockRow, TermRules, survivor};
use crate::pipeline::PipelineResult;
use crate::pipeline::causes::Causes;
use crate::store::{AccumulatorRow, ClaimDecision, ExceptionFilter, NewException, StoredDocument, Tx};
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Prefix of the keys of exceptions about claims.
pub const CLAIM: &str = "claim:";

/// Accounting months whose sums changed, by partner and agreement.
pub type Months = BTreeMap<(i64, String), BTreeSet<NaiveDate>>;

/// A ship-and-debit term of one version.
pub(super) struct TermOf<'a> {
    pub version: &'a AgreementVersion,
    pub term: &'a str,
    pub rule: &'a ShipAndDebit,
}

/// The terms of all versions.
pub(super) fn terms_of(versions: &[AgreementVersion]) -> Vec<TermOf<'_>> {
    let mut found = Vec::new();
    for version in versions {
        for term in &version.terms {
            if let Rule::ShipAndDebit(rule) = &term.rule {
                found.push(TermOf { version, term: &term.id, rule });
            }
        }
    }
    found
}

/// The book of authorisations that a term takes: its file, or the imported ones.
pub fn book_name(rule: &ShipAndDebit) -> &str {
    rule.authorizations.as_deref().unwrap_or_default()
}

/// What deciding came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Lines decided on.
    pub lines: usize,
    /// Exceptions opened.
    pub exceptions: i64,
}

/// What the caller knows.
pub struct Occasion<'a> {
    /// All active versions.
    pub versions: &'a [AgreementVersion],
    /// Their matcher.
    pub matcher: &'a Matcher,
    /// Whether claim or resale lines came or went.
    pub claims_changed: bool,
    /// Whether any lines came or went: what was delivered decides about stock on hand.
    pub lines_changed: bool,
    /// Agreements whose sums were built anew.
    pub agreements: &'a BTreeMap<String, String>,
    /// Partners whose sums were built anew.
    pub partners: &'a BTreeMap<i64, String>,
    /// Business day being closed.
    pub business_day: NaiveDate,
    /// The instant.
    pub now: DateTime<Utc>,
}

/// Decides what has to be decided again. Changed pairs are noted in `causes` and `months`.
pub async fn decide(tx: &mut Tx, occasion: &Occasion<'_>, causes: &mut Causes, months: &mut Months) -> PipelineResult<Decided> {
    let marked = tx.marked_claims().await?;
    let terms = terms_of(occasion.versions);
    let drops = terms.iter().any(|t| !t.rule.price_drops.is_empty());
    let stock_moved = drops && (occasion.lines_changed || !occasion.partners.is_empty());
    if !occasion.claims_changed && !stock_moved && marked.is_empty() && !built_anew(tx, occasion, &terms).await? {
        return Ok(Decided::default());
    }
    let stored = tx.claim_decisions().await?;
    if terms.is_empty() && stored.is_empty() {
        tx.clear_claim_marks().await?;
        return Ok(Decided::default());
    }
    let documents = tx.claim_documents().await?;
    let stored = keep_settled(tx, occasion, &terms, stored, &documents).await?;
    let mut books: BTreeMap<&str, usize> = BTreeMap::new();
    for term in &terms {
        let next = books.len();
        books.entry(book_name(term.rule)).or_insert(next);
    }
    let master = occasion.matcher.master().clone();
    let mut book_list: Vec<Book> = vec![Book::default(); books.len()];
    for (name, index) in &books {
        book_list[*index] = Book::new(name, &tx.authorizations(name).await?, &master);
    }
    let rules: Vec<TermRules<'_>> = terms
        .iter()
        .map(|t| TermRules {
            rule: t.rule,
            book: books[book_name(t.rule)],
            currency: t.version.currency,
            exchange: &t.version.exchange,
        })
        .collect();
    let stock: Vec<StockRow> = tx
        .channel_stock()
        .await?
        .into_iter()
        .filter_map(|(partner, item, on, receipt, unit_cost, quantity)| {
            let partner = survivor(&master, master.partner_by_code(&partner)?.id);
            Some(StockRow { partner, item, on, quantity, unit_cost, receipt })
        })
        .collect();
    let Gathered { lines, places } = claim_lines::gather(tx, occasion, &terms, &rules, &book_list, &documents, &stored).await?;
    let queue = Queue { master: &master, terms: &rules, books: &book_list, stock: &stock };
    let decided = queue.decide(&lines);
    let mut rows: Vec<ClaimDecision> = Vec::with_capacity(decided.len());
    for (place, decision) in places.iter().zip(decided) {
        let settlement_id = stored
            .get(&(place.document_id, place.line_number.clone()))
            .filter(|s| s.facts == place.facts && s.decision == decision)
            .and_then(|s| s.settlement_id);
        rows.push(place.row(occasion.matcher, settlement_id, decision));
    }
    rows.extend(price_drops::decide(tx, occasion, &terms, &documents, &stock, &stored).await?);
    let exceptions = raise(tx, occasion, &rows, &documents).await?;
    let lines = rows.len();
    keep(tx, &rows, &stored, &documents, causes, months).await?;
    sum_up(tx, &terms, &rows, &stored).await?;
    tx.clear_claim_marks().await?;
    Ok(Decided { lines, exceptions })
}

/// Whether sums that decisions add to were built anew, so that they have to be added again.
async fn built_anew(tx: &mut Tx, occasion: &Occasion<'_>, terms: &[TermOf<'_>]) -> PipelineResult<bool> {
    if terms.iter().any(|t| occasion.agreements.contains_key(&t.version.id)) {
        return Ok(true);
    }
    if occasion.partners.is_empty() {
        return Ok(false);
    }
    Ok(tx.partners_with_claims().await?.iter().any(|partner| occasion.partners.contains_key(partner)))
}

/// Decisions by document and line.
pub(super) type Stored = BTreeMap<(i64, String), ClaimDecision>;

/// Marks the decisions behind settlements that have left the house since last time: they stay.
async fn keep_settled(
    tx: &mut Tx,
    occasion: &Occasion<'_>,
    terms: &[TermOf<'_>],
    stored: Vec<ClaimDecision>,
    documents: &[StoredDocument],
) -> PipelineResult<Stored> {
    let mut stored: Stored = stored.into_iter().map(|d| ((d.document_id, d.line_number.clone()), d)).collect();
    let agreements: BTreeSet<&str> = terms.iter().map(|t| t.version.id.as_str()).collect();
    let known: BTreeSet<i64> = tx.settlements_with_claims_kept().await?.into_iter().collect();
    let numbers: BTreeMap<i64, &str> = documents.iter().map(|d| (d.id, d.view().number)).collect();
    let master = occasion.matcher.master();
    for settlement in tx.settlements().await? {
        if !settlement.is_out() || known.contains(&settlement.id) || !agreements.contains(settlement.agreement.as_str()) {
            continue;
        }
        let snapshot = tx.settlement_snapshot(settlement.id, settlement.revision).await?;
        let paid = snapshot_lines(&snapshot);
        for row in stored.values_mut() {
            if row.agreement != settlement.agreement || row.settlement_id.is_some() || !row.decision.moves() {
                continue;
            }
            let (document, line) = shown_as(row, numbers.get(&row.document_id).copied());
            let partner = master.partner(row.partner_id).map(|p| p.code.to_string()).unwrap_or_default();
            if paid.contains(&(row.term.clone(), partner, document, line)) {
                row.settlement_id = Some(settlement.id);
                tx.settle_claim(row.document_id, &row.line_number, settlement.id).await?;
            }
        }
        tx.keep_claims_of(settlement.id).await?;
    }
    Ok(stored)
}

/// Document and line of a decision as receipts and settlements show them.
pub fn shown_as(row: &ClaimDecision, number: Option<&str>) -> (String, String) {
    match (row.document_id, number) {
        (0, _) => price_drops::shown_as(&row.line_number),
        (_, number) => (number.unwrap_or_default().to_owned(), row.line_number.clone()),
    }
}

/// Term, partner, document and line of everything behind a settlement.
fn snapshot_lines(snapshot: &str) -> BTreeSet<(String, String, String, String)> {
    let value: serde_json::Value = serde_json::from_str(snapshot).unwrap_or_default();
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = value["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().map(|l| (text(l, "term"), text(l, "partner"), text(l, "document"), text(l, "line"))).collect()
}

/// Lines that a person has to look at; those that are mended are closed.
async fn raise(
    tx: &mut Tx,
    occasion: &Occasion<'_>,
    rows: &[ClaimDecision],
    documents: &[StoredDocument],
) -> PipelineResult<i64> {
    let heads: BTreeMap<i64, &StoredDocument> = documents.iter().map(|d| (d.id, d)).collect();
    let mut opened = 0;
    let mut found: BTreeSet<String> = BTreeSet::new();
    for row in rows.iter().filter(|r| matches!(r.decision.outcome, Outcome::Held | Outcome::Waiting)) {
        let reason = row.decision.reason;
        let key = exception_key(reason, row.document_id, &row.line_number, &row.facts);
        let partner = occasion.matcher.master().partner(row.partner_id).map(|p| p.code.to_string());
        let document = heads.get(&row.document_id).map(|d| d.view());
        let new = NewException {
            code: reason.word().to_owned(),
            // What merely waits for a person is paid later; what cannot be reckoned would make the sum wrong.
            blocking: row.decision.outcome == Outcome::Waiting,
            subject: match &document {
                Some(d) => format!("{} {} line {}", d.document_type, d.number, row.line_number),
                None => shown_as(row, None).0,
            },
            message: format!("{} (agreement {}, term {})", row.decision.message, row.agreement, row.term),
            help: reason.help().map(str::to_owned),
            partner,
            agreement: Some(row.agreement.clone()),
            document_id: (row.document_id != 0).then_some(row.document_id),
            line_number: Some(row.line_number.clone()),
            on_date: document.map(|d| d.date),
            dedupe_key: key.clone(),
            lasting: true,
            ..NewException::default()
        };
        if tx.open_exception(&new, occasion.business_day, occasion.now).await? {
            opened += 1;
        }
        found.insert(key);
    }
    for open in tx.exceptions(&ExceptionFilter::default()).await? {
        if open.dedupe_key.starts_with(CLAIM) && !found.contains(&open.dedupe_key) {
            tx.clear_exception(&open.dedupe_key, "decided", occasion.now).await?;
        }
    }
    Ok(opened)
}

/// Key of the exception about a line: a changed line is another finding.
pub(super) fn exception_key(reason: Reason, document_id: i64, line: &str, facts: &str) -> String {
    format!("{CLAIM}{}:{document_id}:{line}:{facts}", reason.word())
}

/// Writes what is new or changed, forgets what is gone, and notes whose figures that concerns.
async fn keep(
    tx: &mut Tx,
    rows: &[ClaimDecision],
    stored: &Stored,
    documents: &[StoredDocument],
    causes: &mut Causes,
    months: &mut Months,
) -> PipelineResult<()> {
    let numbers: BTreeMap<i64, &str> = documents.iter().map(|d| (d.id, d.view().number)).collect();
    let mut note = |row: &ClaimDecision, what: &str| {
        let (document, line) = shown_as(row, numbers.get(&row.document_id).copied());
        let kind = if row.document_id == 0 { "" } else { "claim " };
        let reason = format!("{kind}{document} line {line} {what}");
        causes.note(row.partner_id, &row.agreement, &reason, Some(row.bucket));
        months.entry((row.partner_id, row.agreement.clone())).or_default().insert(row.bucket);
    };
    let now: BTreeSet<(i64, &str)> = rows.iter().map(|r| (r.document_id, r.line_number.as_str())).collect();
    for (key, old) in stored {
        if !now.contains(&(key.0, key.1.as_str())) {
            note(old, "withdrawn");
            tx.drop_claim_decision(key.0, &key.1).await?;
        }
    }
    let mut changed = Vec::new();
    for row in rows {
        match stored.get(&(row.document_id, row.line_number.clone())) {
            Some(old) if old == row => continue,
            Some(old) => {
                if (old.partner_id, &old.agreement, old.bucket) != (row.partner_id, &row.agreement, row.bucket) {
                    note(old, "withdrawn");
                }
                if sums_of(old) != sums_of(row) {
                    note(row, row.decision.outcome.word());
                }
            }
            None => note(row, row.decision.outcome.word()),
        }
        changed.push(row.clone());
    }
    tx.put_claim_decisions(&changed).await?;
    Ok(())
}

/// Where a decision counts and what it adds.
fn sums_of(row: &ClaimDecision) -> (i64, &str, &str, NaiveDate, NaiveDate, i64, NaiveDate, i64, Exact, Exact) {
    (
        row.partner_id,
        &row.agreement,
        &row.term,
        row.period_from,
        row.period_to,
        row.part,
        row.bucket,
        row.version,
        row.decision.claimed,
        row.decision.amount,
    )
}

type Address = (i64, String, String, NaiveDate, NaiveDate, i64, NaiveDate, i64);

/// Brings the running sums to what the decisions add up to.
async fn sum_up(tx: &mut Tx, terms: &[TermOf<'_>], rows: &[ClaimDecision], stored: &Stored) -> PipelineResult<()> {
    let mut wanted: BTreeMap<Address, ([Exact; 4], i64, BTreeSet<i64>)> = BTreeMap::new();
    for r in rows {
        let address =
            (r.partner_id, r.agreement.clone(), r.term.clone(), r.period_from, r.period_to, r.part, r.bucket, r.version);
        let sum = wanted.entry(address).or_default();
        sum.0[QUALIFIER] += r.decision.claimed;
        sum.0[BASE] += r.decision.amount;
        sum.1 += 1;
        sum.2.insert(r.document_id);
    }
    let mut agreements: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for term in terms {
        agreements.entry(&term.version.id).or_default().insert(term.term);
    }
    for row in stored.values() {
        agreements.entry(&row.agreement).or_default().insert(&row.term);
    }
    let mut deltas: Vec<AccumulatorRow> = Vec::new();
    for (agreement, of_terms) in agreements {
        for row in tx.accumulators_of_agreement(agreement).await? {
            if !of_terms.contains(row.term.as_str()) || row.facet != facet::MAIN {
                continue;
            }
            let address = (
                row.partner_id,
                row.agreement.clone(),
                row.term.clone(),
                row.period_from,
                row.period_to,
                row.part,
                row.bucket,
                row.version,
            );
            let (mut sums, lines, documents) = wanted.remove(&address).unwrap_or_default();
            for (sum, old) in sums.iter_mut().zip(row.sums) {
                *sum -= old;
            }
            let (lines, documents) = (lines - row.lines, count(&documents) - row.documents);
            if lines != 0 || documents != 0 || sums.iter().any(|s| !s.is_zero()) {
                deltas.push(AccumulatorRow { sums, lines, documents, ..row });
            }
        }
    }
    for ((partner_id, agreement, term, period_from, period_to, part, bucket, version), (sums, lines, documents)) in wanted {
        deltas.push(AccumulatorRow {
            partner_id,
            agreement,
            term,
            period_from,
            period_to,
            part,
            facet: facet::MAIN,
            bucket,
            version,
            sums,
            lines,
            documents: count(&documents),
        });
    }
    tx.add_to_accumulators(&deltas).await?;
    Ok(())
}

fn count(documents: &BTreeSet<i64>) -> i64 {
    i64::try_from(documents.len()).unwrap_or(i64::MAX)
}

/// The stored form of a decision at its place.
pub(super) fn stored_row(
    matcher: &Matcher,
    cell: &Cell,
    (document_id, line_number, line_id): (i64, String, i64),
    authorization: String,
    facts: String,
    settlement_id: Option<i64>,
    decision: Decision,
) -> ClaimDecision {
    let key = &cell.key;
    ClaimDecision {
        document_id,
        line_number,
        line_id,
        partner_id: key.partner_id,
        agreement: matcher.agreement_id(key.agreement).map(ToString::to_string).unwrap_or_default(),
        term: matcher.term_id(key.agreement, key.term).map(ToString::to_string).unwrap_or_default(),
        period_from: key.period.from,
        period_to: key.period.to,
        part: key.part,
        bucket: cell.bucket,
        version: i64::from(cell.version),
        authorization,
        facts,
        settlement_id,
        decision,
    }
}
