//! Open points: documents of the partner of which a line does not count yet, in facts that the partner knows.
//! What our own people are told of it stays in the house.

use crate::core::line::DocumentType;
use crate::core::period::Period;
use crate::core::statement::{OpenPoint, OpenReason};
use crate::pipeline::PipelineResult;
use crate::store::{DocumentRow, ExceptionFilter, PartnerHead, PendingRow, Tx};
use std::collections::BTreeMap;

/// What is open about documents of the partner dated up to the period's end, in order of document and line.
pub(super) async fn of_partner(tx: &mut Tx, partner: &PartnerHead, period: Period) -> PipelineResult<Vec<OpenPoint>> {
    let mut found: BTreeMap<(i64, Option<String>, OpenReason), ()> = BTreeMap::new();
    for e in tx.exceptions(&ExceptionFilter::default()).await? {
        let (Some(reason), Some(document)) = (OpenReason::of_code(&e.code), e.document_id) else { continue };
        let concerns = e.partner.as_deref() == Some(&partner.code) && e.on_date.is_none_or(|day| day <= period.to);
        if concerns {
            found.insert((document, e.line_number, reason), ());
        }
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut pending = tx.pending_lines().await?;
    pending.retain(|row| found.keys().any(|(document, ..)| *document == row.document_id));
    let mut documents: BTreeMap<i64, Option<DocumentRow>> = BTreeMap::new();
    let mut points = Vec::new();
    for (id, line, reason) in found.into_keys() {
        if let std::collections::btree_map::Entry::Vacant(place) = documents.entry(id) {
            place.insert(tx.document_by_id(id).await?);
        }
        let Some(Some(document)) = documents.get(&id) else { continue };
        let waiting = pending.iter().find(|row| row.document_id == id && Some(&row.line_number) == line.as_ref());
        points.push(point(document, line, reason, waiting));
    }
    points.sort_by(|a, b| (a.date, &a.document, &a.line).cmp(&(b.date, &b.document, &b.line)));
    Ok(points)
}

fn point(document: &DocumentRow, line: Option<String>, reason: OpenReason, waiting: Option<&PendingRow>) -> OpenPoint {
    let draft = waiting.map(|row| &row.draft);
    let net = draft.and_then(|d| d.net_amount);
    OpenPoint {
        reason,
        document_type: DocumentType::from_word(document.identity.document_type).unwrap_or_default(),
        document: document.identity.number.clone(),
        date: Some(document.head.document_date),
        line,
        item: draft.and_then(|d| d.item.clone()),
        currency: net
            .and(draft.and_then(|d| d.currency.clone()))
            .or_else(|| Some(document.head.currency.clone()).filter(|_| net.is_some())),
        net,
    }
}
