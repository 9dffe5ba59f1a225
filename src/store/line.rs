//! Lines: facts of documents, one row per line and document version; and lines that wait for master data.

use super::bulk::{Cell, Rows};
use super::stored_document::Texts;
use super::{StoreResult, Tx, corrupt, on};
use crate::core::line::{DraftLine, LineKind};
use crate::core::money::Currency;
use crate::core::number::Micros;
use chrono::NaiveDate;

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

impl Tx {
    /// Inserts lines of new document versions. Lines of one version must be consecutive.
    pub async fn insert_lines(&mut self, lines: &[NewLine]) -> StoreResult<()> {
        self.share_folding().await?;
        let mut rows = Rows::of(
            "line",
            [
                "id",
                "partner_id",
                "document_id",
                "version",
                "line_number",
                "document_date",
                "item_id",
                "line_kind",
                "quantity_u",
                "unit",
                "gross_u",
                "net_u",
                "tax_u",
                "cost_u",
                "currency",
                "refers_to_document",
                "refers_to_line",
                "extra",
            ],
            lines.len(),
        );
        // A text that is bound is copied, one that is written is not.
        let mut texts = matches!(self, Tx::Sqlite(_)).then(Texts::default);
        let mut text = |text| texts.as_mut().map_or(Cell::Text(text), |texts| texts.share(text).into());
        let amount = |amount: Option<Micros>| Cell::from(amount.map(|m| m.0));
        for l in lines {
            rows.push([
                l.id.into(),
                l.partner_id.into(),
                l.document_id.into(),
                l.version.into(),
                text(&l.line_number),
                l.document_date.into(),
                l.item_id.into(),
                text(l.line_kind.word()),
                l.quantity.0.into(),
                text(&l.unit),
                amount(l.gross_amount),
                l.net_amount.0.into(),
                amount(l.tax_amount),
                amount(l.cost_amount),
                text(l.currency.code()),
                (&l.refers_to_document).into(),
                (&l.refers_to_line).into(),
                (&l.extra).into(),
            ]);
        }
        self.insert_rows(rows).await
    }

    /// Remembers that a version's share has to be taken out of the running sums, with the head it had.
    pub async fn put_superseded(&mut self, document_id: i64, partner_id: i64, head: &super::DocumentHead) -> StoreResult<()> {
        self.share_folding().await?;
        on!(self, c => sqlx::query(
            "INSERT INTO superseded_version (document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (document_id, version) DO NOTHING")
            .bind(document_id).bind(head.version).bind(partner_id).bind(head.document_date).bind(head.posting_date).bind(head.paid_on)
            .bind(&head.status).bind(&head.our_reference).execute(c).await?.rows_affected());
        Ok(())
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

    /// Partners that bought an item as goods, on documents that are sales or returns.
    pub async fn partners_with_goods(&mut self, item_id: i64) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar(
            "SELECT DISTINCT l.partner_id FROM line l JOIN document d ON d.id = l.document_id
             WHERE l.item_id = $1 AND l.superseded = 0 AND l.line_kind = 'goods' AND d.our_reference IS NULL")
            .bind(item_id).fetch_all(c).await?))
    }

    /// Partners with goods lines that name no item, on documents that are sales or returns: partner, number
    /// of such lines, and the number of one of the documents.
    pub async fn partners_without_item(&mut self) -> StoreResult<Vec<(i64, i64, String)>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT l.partner_id, COUNT(*), MIN(d.document_number) FROM line l JOIN document d ON d.id = l.document_id
             WHERE l.item_id IS NULL AND l.superseded = 0 AND l.line_kind = 'goods' AND d.our_reference IS NULL
             GROUP BY l.partner_id ORDER BY l.partner_id").fetch_all(c).await?))
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

    /// Partners that have documents, or had some before they were corrected.
    pub async fn partners_trading(&mut self) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar(
            "SELECT partner_id FROM document WHERE partner_id IS NOT NULL UNION SELECT partner_id FROM superseded_version")
            .fetch_all(c).await?))
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
