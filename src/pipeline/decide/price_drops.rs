//! Price protection: stock on hand at partners when a list price fell.

use super::claim_lines::{Column, kept};
use super::ship_and_debit::{Occasion, Stored, TermOf, stored_row};
use crate::core::line::DocumentType;
use crate::core::master_data::MasterData;
use crate::core::number::{Exact, Micros};
use crate::core::terms::ship_and_debit::{
    Decision, Holdings, Movement, Outcome, PriceDrop, Reason, StockRow, item_root, on_hand, survivor,
};
use crate::pipeline::PipelineResult;
use crate::store::{ClaimDecision, StoredDocument, Tx};
use chrono::NaiveDate;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Between the parts of a decision's line number.
const BETWEEN: char = '\u{1f}';

/// Document and line that stand for stock on hand on receipts: the fall of the price, and the item.
pub(super) fn shown_as(line_number: &str) -> (String, String) {
    let parts: Vec<&str> = line_number.split(BETWEEN).collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    (format!("price-drop-{}", part(2)), part(3).to_owned())
}

/// Decides what every partner with stock of the items is due.
pub(super) async fn decide(
    tx: &mut Tx,
    occasion: &Occasion<'_>,
    terms: &[TermOf<'_>],
    documents: &[StoredDocument],
    stock: &[StockRow],
    stored: &Stored,
) -> PipelineResult<Vec<ClaimDecision>> {
    let mut rows = Vec::new();
    if terms.iter().all(|t| t.rule.price_drops.is_empty()) {
        return Ok(rows);
    }
    let matcher = occasion.matcher;
    let master = matcher.master().clone();
    let root = |code: &str| master.item_by_code(code).map(|i| item_root(&master, i.id));
    let mut received: BTreeMap<i64, Vec<(i64, Movement)>> = BTreeMap::new();
    for term in terms {
        let Some(agreement) = matcher.agreement_index(&term.version.id) else { continue };
        let Some(index) = matcher.term_index(agreement, term.term) else { continue };
        for drop in &term.rule.price_drops {
            for code in &drop.items {
                let Some(item) = root(code) else { continue };
                let partners: BTreeSet<i64> = stock.iter().filter(|s| root(&s.item) == Some(item)).map(|s| s.partner).collect();
                for partner in partners {
                    let Some(cell) = matcher.standing_on(agreement, index, partner, drop.on) else { continue };
                    if cell.version != term.version.version {
                        continue;
                    }
                    let came = match received.entry(partner) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(deliveries(tx, &master, partner).await?),
                    };
                    let own = |s: &&StockRow| s.partner == partner && root(&s.item) == Some(item);
                    let holdings = Holdings {
                        stock: stock.iter().filter(own).map(|s| (s.on, s.quantity.exact(), s.receipt)).collect(),
                        sold: sales(&master, documents, partner, item),
                        received: came.iter().filter(|(i, _)| *i == item).map(|(_, m)| *m).collect(),
                    };
                    let partner_code = master.partner(partner).map(|p| p.code.to_string()).unwrap_or_default();
                    let number =
                        [&term.version.id, term.term, &drop.on.to_string(), code, &partner_code].join(&BETWEEN.to_string());
                    let facts = format!("{} {}", drop.amount, drop.unit.as_deref().unwrap_or_default());
                    let known = stored.get(&(0, number.clone())).filter(|s| s.settlement_id.is_some() && s.facts == facts);
                    let decision = match known {
                        Some(settled) => settled.decision.clone(),
                        None => match granted(&master, item, drop, &holdings) {
                            Some(decision) => decision,
                            None => continue,
                        },
                    };
                    let settlement_id = known.and_then(|s| s.settlement_id);
                    rows.push(stored_row(matcher, &cell, (0, number, 0), String::new(), facts, settlement_id, decision));
                }
            }
        }
    }
    Ok(rows)
}

/// What stock on hand is due; `None` where none is known.
fn granted(master: &MasterData, item: i64, drop: &PriceDrop, holdings: &Holdings) -> Option<Decision> {
    let (quantity, how) = on_hand(drop.on, holdings)?;
    let waiting = |reason, message| Some(Decision::nothing(Outcome::Waiting, reason, message, Exact::ZERO));
    let quantity = match drop.unit.as_deref() {
        None => quantity,
        Some(unit) => {
            let base_unit = base_unit(master, item, drop.on);
            let ratio = base_unit.and_then(|from| master.ratio(Some(item), &from, unit, drop.on));
            match (ratio, quantity.checked_micros()) {
                (Some(ratio), Some(micros)) => ratio.apply(micros)?,
                _ => return waiting(Reason::NoConversion, format!("no conversion to unit `{unit}` on {}", drop.on)),
            }
        }
    };
    let Some(amount) = quantity.checked_share(drop.amount.exact(), Micros::ONE.exact()).filter(|a| a.checked_micros().is_some())
    else {
        return waiting(Reason::FigureTooLarge, format!("{} units at {} do not fit", quantity.to_text(0), drop.amount));
    };
    let message = format!("{} on hand on {}: {how}", quantity.to_text(0), drop.on);
    Some(Decision { amount, claimed: amount, ..Decision::nothing(Outcome::Accepted, Reason::PriceProtection, message, amount) })
}

fn base_unit(master: &MasterData, item: i64, day: NaiveDate) -> Option<String> {
    let fact = master.item_fact(master.item(item)?, day)?;
    fact.base_unit.as_deref().map(str::to_owned)
}

/// A quantity in the item's base unit, where the unit can be converted; else as it stands.
fn in_base_unit(master: &MasterData, item_id: i64, quantity: Micros, unit: &str, day: NaiveDate) -> Exact {
    let ratio = base_unit(master, item_id, day).and_then(|base| master.ratio(Some(item_id), unit, &base, day));
    ratio.and_then(|ratio| ratio.apply(quantity)).unwrap_or_else(|| quantity.exact())
}

/// What a partner sold of an item by its resale reports.
fn sales(master: &MasterData, documents: &[StoredDocument], partner: i64, item: i64) -> Vec<Movement> {
    let mut found = Vec::new();
    for document in documents.iter().filter(|d| d.status.counts()) {
        for line in document.lines.iter().filter(|l| l.document_type == DocumentType::Resale) {
            let Some(item_id) = line.item_id.filter(|id| item_root(master, *id) == item) else { continue };
            if survivor(master, line.partner_id) != partner {
                continue;
            }
            let shipped = kept(line, Column::ShippedOn).and_then(|t| t.parse().ok());
            let on = shipped.unwrap_or(line.document_date);
            found.push(Movement { on, quantity: in_base_unit(master, item_id, line.quantity, &line.unit, line.document_date) });
        }
    }
    found
}

/// What we invoiced to a partner, less what came back, by item.
async fn deliveries(tx: &mut Tx, master: &MasterData, partner: i64) -> PipelineResult<Vec<(i64, Movement)>> {
    let mut found = Vec::new();
    let sources: Vec<i64> = master.partners().iter().map(|p| p.id).filter(|id| survivor(master, *id) == partner).collect();
    for source in sources {
        for document in tx.documents_of_partner(source).await? {
            if !document.status.counts() || document.our_reference.is_some() {
                continue;
            }
            for line in &document.lines {
                if !matches!(line.document_type, DocumentType::Invoice | DocumentType::CreditNote) {
                    continue;
                }
                let Some(item_id) = line.item_id else { continue };
                let quantity = in_base_unit(master, item_id, line.quantity, &line.unit, line.document_date);
                found.push((item_root(master, item_id), Movement { on: line.document_date, quantity }));
            }
        }
    }
    Ok(found)
}
