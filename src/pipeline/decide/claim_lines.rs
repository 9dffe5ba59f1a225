//! From stored claim and resale documents to lines of the queue: which term decides each, who the end
//! customer is, what a person said, what was settled.

use super::ship_and_debit::{CLAIM, Occasion, Stored, TermOf, exception_key, stored_row};
use crate::core::hash::sha256_hex;
use crate::core::line::{DocumentType, Line};
use crate::core::matching::{Cell, Document, Matcher};
use crate::core::names::{Found, NameRecord, Names};
use crate::core::number::Micros;
use crate::core::terms::ship_and_debit::{
    Book, ClaimLine, Decision, EndCustomer, PersonSays, Reason, TermRules, customer_code, survivor,
};
use crate::pipeline::PipelineResult;
use crate::store::{ClaimDecision, StoredDocument, Tx};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Columns of claims and resale that are kept with the line's attributes.
#[derive(Clone, Copy)]
pub(super) enum Column {
    ShippedOn,
    SubmittedOn,
    ClaimedAmount,
    ClaimedPrice,
    CorrectsDocument,
    CorrectsLine,
    EndCustomerName,
    EndCustomerTaxId,
}

impl Column {
    const ALL: [Self; 8] = [
        Self::ShippedOn,
        Self::SubmittedOn,
        Self::ClaimedAmount,
        Self::ClaimedPrice,
        Self::CorrectsDocument,
        Self::CorrectsLine,
        Self::EndCustomerName,
        Self::EndCustomerTaxId,
    ];
    const fn name(self) -> &'static str {
        match self {
            Self::ShippedOn => "shipped_on",
            Self::SubmittedOn => "submitted_on",
            Self::ClaimedAmount => "claimed_amount",
            Self::ClaimedPrice => "claimed_price",
            Self::CorrectsDocument => "corrects_document",
            Self::CorrectsLine => "corrects_line",
            Self::EndCustomerName => "end_customer_name",
            Self::EndCustomerTaxId => "end_customer_tax_id",
        }
    }
}

/// Lines with the places of their decisions, in the same order.
pub(super) struct Gathered {
    pub lines: Vec<ClaimLine>,
    pub places: Vec<Place>,
}

/// Where a decision counts.
pub(super) struct Place {
    pub document_id: i64,
    pub line_number: String,
    line_id: i64,
    cell: Cell,
    authorization: String,
    pub facts: String,
}

impl Place {
    pub fn row(&self, matcher: &Matcher, settlement_id: Option<i64>, decision: Decision) -> ClaimDecision {
        let subject = (self.document_id, self.line_number.clone(), self.line_id);
        stored_row(matcher, &self.cell, subject, self.authorization.clone(), self.facts.clone(), settlement_id, decision)
    }
}

pub(super) fn kept(line: &Line, column: Column) -> Option<&str> {
    line.extra.as_deref()?.attributes.get(column.name()).map(String::as_str)
}
fn day(line: &Line, column: Column) -> Option<NaiveDate> {
    kept(line, column)?.parse().ok()
}
fn figure(line: &Line, column: Column) -> Option<Micros> {
    Micros::parse(kept(line, column)?).ok()
}

/// The authorisation that a line cites.
fn cited(line: &Line) -> Option<&str> {
    line.extra.as_deref()?.authorization.as_deref()
}

/// Names of end customers, read only when a line needs them.
struct Customers {
    names: Names,
    aliases: BTreeMap<String, i64>,
}

impl Customers {
    async fn read(tx: &mut Tx, matcher: &Matcher) -> PipelineResult<Self> {
        let master = matcher.master();
        let code = |id: i64| master.partner(survivor(master, id)).map(|p| p.code.to_string());
        let records: Vec<NameRecord> = tx
            .partner_names()
            .await?
            .into_iter()
            .filter_map(|(id, name, tax_id)| Some(NameRecord { code: code(id)?, name, tax_id }))
            .collect();
        Ok(Self { names: Names::new(&records), aliases: tx.partner_ids().await? })
    }

    fn of(&self, line: &Line, matcher: &Matcher) -> EndCustomer {
        let master = matcher.master();
        if let Some(code) = line.extra.as_deref().and_then(|e| e.end_customer.as_deref()) {
            let known = master.partner_by_code(code).map(|p| p.id).or_else(|| self.aliases.get(code).copied());
            let own = known.and_then(|id| master.partner(id)).map_or_else(|| code.to_owned(), |p| p.code.to_string());
            return EndCustomer::Known(customer_code(master, &own));
        }
        let (name, tax_id) = (kept(line, Column::EndCustomerName), kept(line, Column::EndCustomerTaxId));
        if name.is_none() && tax_id.is_none() {
            return EndCustomer::Absent;
        }
        let told = name.or(tax_id).unwrap_or_default();
        EndCustomer::Unclear(match self.names.find(name, tax_id) {
            Found::One(code) => return EndCustomer::Known(code),
            Found::Several(codes) => format!("end customer `{told}` may be {}", codes.join(" or ")),
            Found::Contradiction(why) => format!("end customer `{told}`: {why}"),
            Found::None(similar) if similar.is_empty() => format!("no partner is called `{told}`"),
            Found::None(similar) => {
                let similar: Vec<String> = similar.into_iter().map(|(code, name)| format!("{code} {name}")).collect();
                format!("no partner is called `{told}`; similar: {}", similar.join(", "))
            }
        })
    }
}

/// What persons decided on held lines, by the exception's key.
async fn persons(tx: &mut Tx) -> PipelineResult<BTreeMap<String, PersonSays>> {
    Ok(tx
        .resolutions(CLAIM)
        .await?
        .into_iter()
        .filter_map(|(key, action)| {
            let says = match action.as_str() {
                "release" => PersonSays::Release,
                "confirm" => PersonSays::Deny,
                _ => return None,
            };
            Some((key, says))
        })
        .collect())
}

/// Lines that a term decides on. Each is decided by one term only: the first in order of agreement and term that knows the
/// authorisation, else the first that would take it.
pub(super) async fn gather(
    tx: &mut Tx,
    occasion: &Occasion<'_>,
    terms: &[TermOf<'_>],
    rules: &[TermRules<'_>],
    books: &[Book],
    documents: &[StoredDocument],
    stored: &Stored,
) -> PipelineResult<Gathered> {
    let matcher = occasion.matcher;
    let master = matcher.master();
    let index: BTreeMap<(&str, u32, &str), usize> =
        terms.iter().enumerate().map(|(i, t)| ((t.version.id.as_str(), t.version.version, t.term), i)).collect();
    let mut gathered = Gathered { lines: Vec::new(), places: Vec::new() };
    if documents.is_empty() {
        return Ok(gathered);
    }
    let customers = Customers::read(tx, matcher).await?;
    let persons = persons(tx).await?;
    for stored_document in documents {
        let document = stored_document.view();
        let mut candidates: BTreeMap<i64, Vec<(usize, Cell)>> = BTreeMap::new();
        for (line_id, cell) in matcher.placements(&document) {
            let Some(agreement) = matcher.agreement_id(cell.key.agreement) else { continue };
            let Some(term) = matcher.term_id(cell.key.agreement, cell.key.term) else { continue };
            if let Some(term) = index.get(&(&**agreement, cell.version, &**term)) {
                candidates.entry(line_id).or_default().push((*term, cell));
            }
        }
        for line in document.lines {
            let Some(places) = candidates.get(&line.id) else { continue };
            // A sale that cites nothing is no claim.
            if cited(line).is_none() && document.document_type == DocumentType::Resale {
                continue;
            }
            let knows = |term: usize| cited(line).is_some_and(|number| books[rules[term].book].knows(number));
            let Some((term, cell)) = places.iter().find(|(term, _)| knows(*term)).or_else(|| places.first()) else { continue };
            let facts = facts(&document, line, &terms[*term]);
            let key = (document.id, line.line_number.to_string());
            let settled = stored.get(&key).filter(|s| s.settlement_id.is_some() && s.facts == facts);
            let says = |reason| persons.get(&exception_key(reason, document.id, &line.line_number, &facts)).copied();
            let partner = survivor(master, line.partner_id);
            gathered.lines.push(ClaimLine {
                term: *term,
                partner,
                issuer: line.partner_id,
                partner_code: master.partner(partner).map(|p| p.code.to_string()).unwrap_or_default(),
                document: document.number.to_owned(),
                line: line.line_number.to_string(),
                document_date: line.document_date,
                submitted_on: day(line, Column::SubmittedOn).unwrap_or(line.document_date),
                shipped_on: day(line, Column::ShippedOn)
                    .or_else(|| (document.document_type == DocumentType::Resale).then_some(line.document_date)),
                authorization: cited(line).map(str::to_owned),
                item_id: line.item_id,
                item: line.item_id.and_then(|id| master.item(id)).map(|i| i.code.to_string()).unwrap_or_default(),
                end_customer: customers.of(line, matcher),
                invoice: line.refers_to_document.as_deref().map(str::to_owned),
                invoice_line: line.refers_to_line.as_deref().map(str::to_owned),
                quantity: line.quantity,
                unit: line.unit.to_string(),
                claimed: figure(line, Column::ClaimedAmount),
                claimed_price: figure(line, Column::ClaimedPrice),
                cost: line.cost_amount,
                resale: line.net_amount,
                currency: line.currency,
                corrects: kept(line, Column::CorrectsDocument)
                    .map(|document| (document.to_owned(), kept(line, Column::CorrectsLine).map(str::to_owned))),
                person: says(Reason::PossibleDuplicate).or_else(|| says(Reason::CorrectionUnknown)),
                settled: settled.map(|s| s.decision.clone()),
            });
            gathered.places.push(Place {
                document_id: document.id,
                line_number: line.line_number.to_string(),
                line_id: line.id,
                cell: *cell,
                authorization: cited(line).unwrap_or_default().to_owned(),
                facts,
            });
        }
    }
    Ok(gathered)
}

/// What a line says and where it is decided, as a short hash: a settled decision holds for this only.
fn facts(document: &Document<'_>, line: &Line, term: &TermOf<'_>) -> String {
    let columns: Vec<String> = Column::ALL.iter().map(|column| kept(line, *column).unwrap_or_default().to_owned()).collect();
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let parts = [
        term.version.id.clone(),
        term.term.to_owned(),
        document.number.to_owned(),
        line.line_number.to_string(),
        line.document_date.to_string(),
        line.item_id.map(|id| id.to_string()).unwrap_or_default(),
        line.quantity.to_string(),
        line.unit.to_string(),
        line.net_amount.to_string(),
        line.cost_amount.map(|c| c.to_string()).unwrap_or_default(),
        line.currency.to_string(),
        text(line.refers_to_document.as_deref()),
        text(line.refers_to_line.as_deref()),
        text(cited(line)),
        text(line.extra.as_deref().and_then(|e| e.end_customer.as_deref())),
        columns.join("\u{1f}"),
    ];
    sha256_hex(parts.join("\u{1e}").as_bytes())[..16].to_owned()
}
