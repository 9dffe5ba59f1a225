//! Lines: facts of documents, one row per line and document version; and lines that wait for master data.

use super::{StoreResult, Tx, corrupt, from_row, on};
use crate::core::line::{DocumentStatus, DocumentType, DraftLine, Extra, Line, LineKind, Original};
use crate::core::money::Currency;
use crate::core::number::Micros;
use chrono::NaiveDate;
use std::sync::Arc;

/// A line to insert, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// Line id.
    pub id: i64,
    /// Partner.
    pub partner_id: i64,
    /// Document.
    pub document_id: i64,
    /// Version of the document.
    pub version: i64,
    /// Line number.
    pub line_number: String,
    /// Document date.
    pub document_date: NaiveDate,
    /// Item.
    pub item_id: Option<i64>,
    /// Kind.
    pub line_kind: LineKind,
    /// Signed quantity.
    pub quantity: Micros,
    /// Unit, empty when there is none.
    pub unit: String,
    /// Gross amount.
    pub gross_amount: Option<Micros>,
    /// Net amount.
    pub net_amount: Micros,
    /// Tax amount.
    pub tax_amount: Option<Micros>,
    /// Cost amount.
    pub cost_amount: Option<Micros>,
    /// Currency code.
    pub currency: Currency,
    /// Document it refers to.
    pub refers_to_document: Option<String>,
    /// Line it refers to.
    pub refers_to_line: Option<String>,
    /// Rarely used properties, `None` when all are absent.
    pub extra: Option<String>,
}

/// A stored line with what matching needs of its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRow {
    /// The canonical line.
    pub line: Line,
    /// Version of the document the line belongs to.
    pub version: i64,
    /// Company.
    pub company: String,
    /// State of the document.
    pub status: DocumentStatus,
    /// One of our settlement references on the document.
    pub our_reference: Option<String>,
}

/// A line that waits for master data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// Document.
    pub document_id: i64,
    /// Version of the document.
    pub version: i64,
    /// Line number.
    pub line_number: String,
    /// The draft.
    pub draft: DraftLine,
    /// Exception codes, `,` between them.
    pub codes: String,
}

struct Raw {
    id: i64,
    document_id: i64,
    version: i64,
    line_number: String,
    partner_id: i64,
    item_id: Option<i64>,
    line_kind: String,
    quantity_u: i64,
    unit: String,
    gross_u: Option<i64>,
    net_u: i64,
    cost_u: Option<i64>,
    currency: String,
    refers_to_document: Option<String>,
    refers_to_line: Option<String>,
    extra: Option<String>,
    company: String,
    document_type: String,
    document_number: String,
    document_date: NaiveDate,
    posting_date: Option<NaiveDate>,
    paid_on: Option<NaiveDate>,
    status: String,
    our_reference: Option<String>,
    original_id: Option<i64>,
    original_date: Option<NaiveDate>,
    original_posting: Option<NaiveDate>,
}
from_row!(Raw {
    id,
    document_id,
    version,
    line_number,
    partner_id,
    item_id,
    line_kind,
    quantity_u,
    unit,
    gross_u,
    net_u,
    cost_u,
    currency,
    refers_to_document,
    refers_to_line,
    extra,
    company,
    document_type,
    document_number,
    document_date,
    posting_date,
    paid_on,
    status,
    our_reference,
    original_id,
    original_date,
    original_posting,
});

impl Raw {
    fn into_row(self) -> StoreResult<LineRow> {
        Ok(LineRow {
            version: self.version,
            company: self.company,
            status: DocumentStatus::from_word(&self.status).ok_or_else(|| corrupt("document status", &self.status))?,
            our_reference: self.our_reference,
            line: Line {
                id: self.id,
                document_id: self.document_id,
                document_type: DocumentType::from_word(&self.document_type)
                    .ok_or_else(|| corrupt("document type", &self.document_type))?,
                document_number: Arc::from(self.document_number),
                line_number: Arc::from(self.line_number),
                document_date: self.document_date,
                posting_date: self.posting_date,
                paid_on: self.paid_on,
                partner_id: self.partner_id,
                item_id: self.item_id,
                line_kind: LineKind::from_word(&self.line_kind).ok_or_else(|| corrupt("line kind", &self.line_kind))?,
                quantity: Micros(self.quantity_u),
                unit: Arc::from(self.unit),
                gross_amount: self.gross_u.map(Micros),
                net_amount: Micros(self.net_u),
                cost_amount: self.cost_u.map(Micros),
                currency: Currency::parse(&self.currency).ok_or_else(|| corrupt("currency", &self.currency))?,
                refers_to_document: self.refers_to_document.map(Arc::from),
                refers_to_line: self.refers_to_line.map(Arc::from),
                original: self.original_id.zip(self.original_date).map(|(document_id, document_date)| Original {
                    document_id,
                    document_date,
                    posting_date: self.original_posting,
                }),
                extra: match self.extra {
                    Some(text) => Some(Box::new(serde_json::from_str::<Extra>(&text).map_err(|e| corrupt("line extra", e))?)),
                    None => None,
                },
            },
        })
    }
}

// The original of a return is the newest invoice of that number not dated after the return itself.
macro_rules! line_select {
    ($tail:literal) => {
        concat!(
            "SELECT l.id, l.document_id, l.version, l.line_number, l.partner_id, l.item_id, l.line_kind, l.quantity_u, l.unit, l.gross_u, l.net_u, l.cost_u,
                    l.currency, l.refers_to_document, l.refers_to_line, l.extra, d.company, d.document_type, d.document_number, l.document_date,
                    d.posting_date, d.paid_on, d.status, d.our_reference, o.id, o.document_date, o.posting_date
             FROM line l JOIN document d ON d.id = l.document_id
             LEFT JOIN document o ON l.refers_to_document IS NOT NULL AND o.id = (
                 SELECT x.id FROM document x WHERE x.company = d.company AND x.document_type = 'invoice' AND x.document_number = l.refers_to_document
                   AND x.document_date <= l.document_date ORDER BY x.document_year DESC LIMIT 1) ",
            $tail
        )
    };
}

impl Tx {
    /// Current lines with an id above `after`, in id order, at most `limit`.
    pub async fn lines_after(&mut self, after: i64, limit: i64) -> StoreResult<Vec<LineRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(line_select!("WHERE l.id > $1 AND l.superseded = 0 ORDER BY l.id LIMIT $2"))
            .bind(after).bind(limit).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Current lines of a partner, whole documents together.
    pub async fn lines_of_partner(&mut self, partner_id: i64) -> StoreResult<Vec<LineRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(line_select!("WHERE l.partner_id = $1 AND l.superseded = 0 ORDER BY l.document_id, l.id"))
            .bind(partner_id).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Lines of one version of a document, current or not, with the head of the current version.
    pub async fn lines_of_version(&mut self, partner_id: i64, document_id: i64, version: i64) -> StoreResult<Vec<LineRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(line_select!("WHERE l.partner_id = $1 AND l.document_id = $2 AND l.version = $3 ORDER BY l.id"))
            .bind(partner_id).bind(document_id).bind(version).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Remembers that a version's share has to be taken out of the running sums, with the head it had.
    pub async fn put_superseded(&mut self, document_id: i64, partner_id: i64, head: &super::DocumentHead) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO superseded_version (document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (document_id, version) DO NOTHING")
            .bind(document_id).bind(head.version).bind(partner_id).bind(head.document_date).bind(head.posting_date).bind(head.paid_on)
            .bind(&head.status).bind(&head.our_reference).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Takes the queue of superseded versions: their lines with the heads they had, a version at a time.
    /// Lines above `folded` were never folded and are left out.
    pub async fn take_superseded(&mut self, folded: i64) -> StoreResult<Vec<Vec<LineRow>>> {
        let queue: Vec<(i64, i64, i64, NaiveDate, Option<NaiveDate>, Option<NaiveDate>, String, Option<String>)> = on!(self, c => sqlx::query_as(
            "SELECT document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference FROM superseded_version ORDER BY document_id, version")
            .fetch_all(c).await?);
        let mut versions = Vec::new();
        for (document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference) in queue {
            let status = DocumentStatus::from_word(&status).ok_or_else(|| corrupt("document status", &status))?;
            let mut lines = self.lines_of_version(partner_id, document_id, version).await?;
            lines.retain(|l| l.line.id <= folded);
            for row in &mut lines {
                row.status = status;
                row.our_reference.clone_from(&our_reference);
                row.line.document_date = document_date;
                row.line.posting_date = posting_date;
                row.line.paid_on = paid_on;
            }
            if !lines.is_empty() {
                versions.push(lines);
            }
        }
        on!(self, c => sqlx::query("DELETE FROM superseded_version").execute(c).await?.rows_affected());
        Ok(versions)
    }

    /// Marks all lines of a document version as superseded; returns their partners.
    pub async fn supersede_lines(&mut self, partner_id: i64, document_id: i64, version: i64) -> StoreResult<u64> {
        Ok(on!(self, c => sqlx::query(
            "UPDATE line SET superseded = 1 WHERE partner_id = $1 AND document_id = $2 AND version = $3 AND superseded = 0")
            .bind(partner_id).bind(document_id).bind(version).execute(c).await?.rows_affected()))
    }

    /// Highest line id stored.
    pub async fn last_line_id(&mut self) -> StoreResult<i64> {
        let id: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT MAX(id) FROM line").fetch_one(c).await?);
        Ok(id.unwrap_or(0))
    }

    /// Partners that have lines referring to a document number. Superseded ones too: their share may
    /// still have to be taken out of the running sums, and only as it was put in.
    pub async fn partners_referring_to(&mut self, number: &str) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT DISTINCT partner_id FROM line WHERE refers_to_document = $1")
            .bind(number).fetch_all(c).await?))
    }

    /// Numbers that lines refer to, superseded ones too: most loads can skip the search per number.
    pub async fn referred_numbers(&mut self) -> StoreResult<Vec<String>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT DISTINCT refers_to_document FROM line WHERE refers_to_document IS NOT NULL")
            .fetch_all(c).await?))
    }

    /// Partners with lines of an item, superseded ones too.
    pub async fn partners_buying(&mut self, item_id: i64) -> StoreResult<Vec<i64>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT DISTINCT partner_id FROM line WHERE item_id = $1").bind(item_id).fetch_all(c).await?),
        )
    }

    /// Partners with documents in a currency from a day on. Asked of the documents, of which there are
    /// far fewer than lines; and of versions that still have to be taken out of the running sums.
    pub async fn partners_trading_in(&mut self, currency: &str, from: NaiveDate) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar(
            "SELECT partner_id FROM document WHERE currency = $1 AND document_date >= $2 AND partner_id IS NOT NULL
             UNION SELECT s.partner_id FROM superseded_version s
             JOIN line l ON l.partner_id = s.partner_id AND l.document_id = s.document_id AND l.version = s.version WHERE l.currency = $1")
            .bind(currency).bind(from).fetch_all(c).await?))
    }

    /// Keeps a line that waits for master data.
    pub async fn put_pending(&mut self, row: &PendingRow) -> StoreResult<()> {
        let draft = serde_json::to_string(&row.draft).map_err(|e| corrupt("draft line", e))?;
        on!(self, c => sqlx::query(
            "INSERT INTO pending_line (document_id, version, line_number, draft, codes) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (document_id, version, line_number) DO UPDATE SET draft = EXCLUDED.draft, codes = EXCLUDED.codes")
            .bind(row.document_id).bind(row.version).bind(&row.line_number).bind(draft).bind(&row.codes).execute(c).await?.rows_affected());
        Ok(())
    }

    /// All waiting lines.
    pub async fn pending_lines(&mut self) -> StoreResult<Vec<PendingRow>> {
        let rows: Vec<(i64, i64, String, String, String)> = on!(self, c => sqlx::query_as(
            "SELECT document_id, version, line_number, draft, codes FROM pending_line ORDER BY document_id, line_number").fetch_all(c).await?);
        rows.into_iter()
            .map(|(document_id, version, line_number, draft, codes)| {
                Ok(PendingRow {
                    document_id,
                    version,
                    line_number,
                    draft: serde_json::from_str(&draft).map_err(|e| corrupt("draft line", e))?,
                    codes,
                })
            })
            .collect()
    }

    /// Forgets the waiting lines of a document (they are superseded or resolved).
    pub async fn drop_pending(&mut self, document_id: i64) -> StoreResult<u64> {
        Ok(
            on!(self, c => sqlx::query("DELETE FROM pending_line WHERE document_id = $1").bind(document_id).execute(c).await?.rows_affected()),
        )
    }
}
