//! Decisions for people: as lines behind a figure, and as answers to "what became of my claim".

use super::ship_and_debit::shown_as;
use crate::core::line::{DocumentType, Line};
use crate::core::matching::{BASE, MasterData, QUALIFIER, Sums, facet};
use crate::core::money::Currency;
use crate::core::number::{Exact, Micros};
use crate::core::period::Period;
use crate::core::receipt::CountedLine;
use crate::pipeline::PipelineResult;
use crate::store::{ClaimDecision, Tx};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// Decisions that count for a partner under an agreement, as lines behind its figures: term, period and part with each.
/// `lines` are the claim and resale lines of its documents by id.
pub async fn counted(
    tx: &mut Tx,
    master: &MasterData,
    currency: Currency,
    agreement: &str,
    partner_id: i64,
    cutoff: Option<NaiveDate>,
    lines: &BTreeMap<i64, Line>,
) -> PipelineResult<Vec<(String, Period, i64, CountedLine)>> {
    let mut found = Vec::new();
    for row in tx.claim_decisions_of(partner_id, agreement).await? {
        if cutoff.is_some_and(|c| row.bucket > c) {
            continue;
        }
        let line = lines.get(&row.line_id);
        let (document, number) = shown_as(&row, line.map(|l| &*l.document_number));
        let mut sums = Sums { lines: 1, documents: 1, ..Sums::default() };
        sums.slots[QUALIFIER] = row.decision.claimed;
        sums.slots[BASE] = row.decision.amount;
        let counted = CountedLine {
            line_id: row.line_id,
            document_type: line.map_or(DocumentType::Claim, |l| l.document_type),
            document,
            line: number,
            date: line.map_or(row.bucket, |l| l.document_date),
            item: line.and_then(|l| l.item_id).and_then(|id| master.item(id)).map(|i| i.code.to_string()),
            // What the partner asked for stands where a sale has its net amount.
            net: row.decision.claimed.checked_micros().unwrap_or_default(),
            currency: line.map_or(currency, |l| l.currency),
            quantity: line.map_or(Micros::ZERO, |l| l.quantity),
            unit: line.map_or_else(String::new, |l| l.unit.to_string()),
            partner_id,
            facet: facet::MAIN,
            sides: Vec::new(),
            derived: Vec::new(),
            bucket: row.bucket,
            version: u32::try_from(row.version).unwrap_or(0),
            sums,
        };
        found.push((row.term.clone(), Period { from: row.period_from, to: row.period_to }, row.part, counted));
    }
    Ok(found)
}

/// The answer to one claim line, with the codes of X12 849.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Partner code.
    pub partner: String,
    /// Agreement id.
    pub agreement: String,
    /// Term id.
    pub term: String,
    /// Authorisation cited.
    pub authorization: String,
    /// accepted, cut, refused, held or waiting.
    pub outcome: String,
    /// The one main reason.
    pub reason: String,
    /// In words.
    pub message: String,
    /// Currency of the amounts.
    pub currency: String,
    /// What was asked.
    pub claimed: String,
    /// What is paid; negative where something is taken back.
    pub paid: String,
    /// Quantity of the authorisation that it uses.
    pub quantity: String,
    /// X12 element 901: reason, empty for an accepted line.
    pub x12_901: String,
    /// X12 element 889: follow-up, may be empty.
    pub x12_889: String,
    /// Settlement that paid it; the decision stays as it is from then on.
    pub settlement: Option<i64>,
}

/// An amount with the decimals of its currency; more only where it has them.
pub fn money(currency: Currency, amount: Exact) -> String {
    amount.checked_micros().map_or_else(|| amount.to_text(2), |micros| currency.amount_text(micros))
}

impl Answer {
    /// Puts a decision into words.
    pub fn of(row: &ClaimDecision, number: Option<&str>, partner: &str, currency: Currency) -> Self {
        let (document, line) = shown_as(row, number);
        let decision = &row.decision;
        Self {
            document,
            line,
            partner: partner.to_owned(),
            agreement: row.agreement.clone(),
            term: row.term.clone(),
            authorization: row.authorization.clone(),
            outcome: decision.outcome.word().to_owned(),
            reason: decision.reason.word().to_owned(),
            message: decision.message.clone(),
            currency: currency.code().to_owned(),
            claimed: money(currency, decision.claimed),
            paid: money(currency, decision.amount),
            quantity: decision.quantity.to_text(0),
            x12_901: decision.reason.x12_901().to_owned(),
            x12_889: decision.reason.x12_889().to_owned(),
            settlement: row.settlement_id,
        }
    }
    /// One sentence: what is paid of what was claimed, and why not more.
    pub fn text(&self) -> String {
        let why = match (self.reason.as_str(), self.message.as_str()) {
            ("accepted", "") => String::new(),
            (reason, "") => format!(" ({reason})"),
            (_, message) => format!(": {message}"),
        };
        let units = if self.quantity == "0" { String::new() } else { format!(", {} units", self.quantity) };
        let settled = self.settlement.map(|id| format!("; paid by settlement {id}")).unwrap_or_default();
        format!("{}, {} of {} {} paid{units}{why}{settled}", self.outcome, self.paid, self.claimed, self.currency)
    }
}

/// Answers to claim lines, in the order of documents and lines.
pub async fn answers(tx: &mut Tx) -> PipelineResult<Vec<Answer>> {
    let currencies: BTreeMap<String, Currency> =
        tx.active_agreements().await?.into_iter().map(|v| (v.id.clone(), v.currency)).collect();
    let codes: BTreeMap<i64, String> = tx.partner_heads().await?.into_iter().map(|p| (p.id, p.code)).collect();
    let mut numbers: BTreeMap<i64, String> = BTreeMap::new();
    let mut found = Vec::new();
    for row in tx.claim_decisions().await? {
        let Some(currency) = currencies.get(&row.agreement) else { continue };
        if row.document_id != 0 && !numbers.contains_key(&row.document_id) {
            let document = tx.document_by_id(row.document_id).await?;
            numbers.insert(row.document_id, document.map(|d| d.identity.number).unwrap_or_default());
        }
        let partner = codes.get(&row.partner_id).map(String::as_str).unwrap_or_default();
        found.push(Answer::of(&row, numbers.get(&row.document_id).map(String::as_str), partner, *currency));
    }
    found.sort_by(|a, b| {
        (&a.document, &a.partner)
            .cmp(&(&b.document, &b.partner))
            .then_with(|| crate::core::matching::compare_line_numbers(&a.line, &b.line))
    });
    Ok(found)
}
