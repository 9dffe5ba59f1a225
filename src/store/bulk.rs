//! Bulk loading: multi-row INSERT on SQLite, COPY on PostgreSQL. Hand-written pairs, because here
//! the dialects differ fivefold in speed.

use super::document::DocumentRow;
use super::line::NewLine;
use super::{StoreResult, Tx};
use sqlx::{QueryBuilder, Sqlite};
use std::fmt::Write;

// 32,766 bound values per statement at most.
const DOCUMENTS_PER_STATEMENT: usize = 150;
const LINES_PER_STATEMENT: usize = 200;

const DOCUMENT_COLUMNS: &str = "id, company, document_type, document_number, document_year, issuer, version, partner_id, partner_code, document_date, posting_date, paid_on, status, our_reference, currency, changed_at, sequence, content_hash, archive_id, source_rank";
const LINE_COLUMNS: &str = "id, partner_id, document_id, version, line_number, document_date, item_id, line_kind, quantity_u, unit, gross_u, net_u, tax_u, cost_u, currency, refers_to_document, refers_to_line, extra, superseded";

/// Text for COPY: tab-separated, `\N` for NULL.
struct CopyText(String);

impl CopyText {
    fn text(&mut self, value: &str) {
        for ch in value.chars() {
            match ch {
                '\\' => self.0.push_str("\\\\"),
                '\t' => self.0.push_str("\\t"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                other => self.0.push(other),
            }
        }
        self.0.push('\t');
    }
    fn maybe(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.0.push_str("\\N\t"),
        }
    }
    fn shown(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{value}\t");
    }
    fn maybe_shown(&mut self, value: Option<impl std::fmt::Display>) {
        match value {
            Some(value) => self.shown(value),
            None => self.0.push_str("\\N\t"),
        }
    }
    fn end_row(&mut self) {
        self.0.pop();
        self.0.push('\n');
    }
}

impl Tx {
    /// Inserts new documents; their identities must be new.
    pub async fn insert_documents(&mut self, documents: &[DocumentRow]) -> StoreResult<()> {
        if documents.is_empty() {
            return Ok(());
        }
        match self {
            Tx::Sqlite(tx) => {
                for part in documents.chunks(DOCUMENTS_PER_STATEMENT) {
                    let mut sql = QueryBuilder::<Sqlite>::new(const_format_insert("document", DOCUMENT_COLUMNS));
                    sql.push_values(part, |mut row, d| {
                        row.push_bind(d.id)
                            .push_bind(&d.identity.company)
                            .push_bind(d.identity.document_type)
                            .push_bind(&d.identity.number)
                            .push_bind(i64::from(d.identity.year))
                            .push_bind(&d.identity.issuer)
                            .push_bind(d.head.version)
                            .push_bind(d.head.partner_id)
                            .push_bind(&d.head.partner_code)
                            .push_bind(d.head.document_date)
                            .push_bind(d.head.posting_date)
                            .push_bind(d.head.paid_on)
                            .push_bind(&d.head.status)
                            .push_bind(&d.head.our_reference)
                            .push_bind(&d.head.currency)
                            .push_bind(d.head.changed_at)
                            .push_bind(d.head.sequence)
                            .push_bind(&d.head.content_hash)
                            .push_bind(d.head.archive_id)
                            .push_bind(d.head.source_rank);
                    });
                    sql.build().execute(&mut **tx).await?;
                }
            }
            Tx::Postgres(tx) => {
                let mut copy = tx.copy_in_raw(&format!("COPY document ({DOCUMENT_COLUMNS}) FROM STDIN")).await?;
                let mut text = CopyText(String::with_capacity(documents.len() * 160));
                for d in documents {
                    text.shown(d.id);
                    text.text(&d.identity.company);
                    text.text(d.identity.document_type);
                    text.text(&d.identity.number);
                    text.shown(d.identity.year);
                    text.text(&d.identity.issuer);
                    text.shown(d.head.version);
                    text.maybe_shown(d.head.partner_id);
                    text.text(&d.head.partner_code);
                    text.shown(d.head.document_date);
                    text.maybe_shown(d.head.posting_date);
                    text.maybe_shown(d.head.paid_on);
                    text.text(&d.head.status);
                    text.maybe(d.head.our_reference.as_deref());
                    text.text(&d.head.currency);
                    text.maybe_shown(d.head.changed_at.map(|at| at.to_rfc3339()));
                    text.maybe_shown(d.head.sequence);
                    text.shown(format_args!("\\\\x{}", crate::core::hash::hex(&d.head.content_hash)));
                    text.shown(d.head.archive_id);
                    text.shown(d.head.source_rank);
                    text.end_row();
                }
                copy.send(text.0.as_bytes()).await?;
                copy.finish().await?;
            }
        }
        Ok(())
    }

    /// Inserts lines of new document versions. Lines of one version must be consecutive.
    pub async fn insert_lines(&mut self, lines: &[NewLine]) -> StoreResult<()> {
        if lines.is_empty() {
            return Ok(());
        }
        match self {
            Tx::Sqlite(tx) => {
                for part in lines.chunks(LINES_PER_STATEMENT) {
                    let mut sql = QueryBuilder::<Sqlite>::new(const_format_insert("line", LINE_COLUMNS));
                    sql.push_values(part, |mut row, l| {
                        row.push_bind(l.id)
                            .push_bind(l.partner_id)
                            .push_bind(l.document_id)
                            .push_bind(l.version)
                            .push_bind(&l.line_number)
                            .push_bind(l.document_date)
                            .push_bind(l.item_id)
                            .push_bind(l.line_kind.word())
                            .push_bind(l.quantity.0)
                            .push_bind(&l.unit)
                            .push_bind(l.gross_amount.map(|m| m.0))
                            .push_bind(l.net_amount.0)
                            .push_bind(l.tax_amount.map(|m| m.0))
                            .push_bind(l.cost_amount.map(|m| m.0))
                            .push_bind(l.currency.code().to_owned())
                            .push_bind(&l.refers_to_document)
                            .push_bind(&l.refers_to_line)
                            .push_bind(&l.extra)
                            .push("0");
                    });
                    sql.build().execute(&mut **tx).await?;
                }
            }
            Tx::Postgres(tx) => {
                let mut copy = tx.copy_in_raw(&format!("COPY line ({LINE_COLUMNS}) FROM STDIN")).await?;
                let mut text = CopyText(String::with_capacity(lines.len() * 120));
                for l in lines {
                    text.shown(l.id);
                    text.shown(l.partner_id);
                    text.shown(l.document_id);
                    text.shown(l.version);
                    text.text(&l.line_number);
                    text.shown(l.document_date);
                    text.maybe_shown(l.item_id);
                    text.text(l.line_kind.word());
                    text.shown(l.quantity.0);
                    text.text(&l.unit);
                    text.maybe_shown(l.gross_amount.map(|m| m.0));
                    text.shown(l.net_amount.0);
                    text.maybe_shown(l.tax_amount.map(|m| m.0));
                    text.maybe_shown(l.cost_amount.map(|m| m.0));
                    text.text(l.currency.code());
                    text.maybe(l.refers_to_document.as_deref());
                    text.maybe(l.refers_to_line.as_deref());
                    text.maybe(l.extra.as_deref());
                    text.shown(0);
                    text.end_row();
                }
                copy.send(text.0.as_bytes()).await?;
                copy.finish().await?;
            }
        }
        Ok(())
    }

    /// Which of the (company, type, number, year, issuer) identities exist already, looked up in bulk.
    pub async fn known_documents(&mut self, numbers: &[&str]) -> StoreResult<Vec<DocumentRow>> {
        let mut rows = Vec::new();
        match self {
            Tx::Sqlite(tx) => {
                let list = serde_json::to_string(numbers).map_err(|e| super::corrupt("numbers", e))?;
                let found: Vec<super::document::Raw> = sqlx::query_as(
                    "SELECT id, company, document_type, document_number, document_year, issuer, version, partner_id, partner_code, document_date,
                            posting_date, paid_on, status, our_reference, currency, changed_at, sequence, content_hash, archive_id, source_rank
                     FROM document WHERE document_number IN (SELECT value FROM json_each($1))",
                )
                .bind(list)
                .fetch_all(&mut **tx)
                .await?;
                for raw in found {
                    rows.push(raw.into_row()?);
                }
            }
            Tx::Postgres(tx) => {
                let list: Vec<String> = numbers.iter().map(|n| (*n).to_owned()).collect();
                let found: Vec<super::document::Raw> = sqlx::query_as(
                    "SELECT id, company, document_type, document_number, document_year, issuer, version, partner_id, partner_code, document_date,
                            posting_date, paid_on, status, our_reference, currency, changed_at, sequence, content_hash, archive_id, source_rank
                     FROM document WHERE document_number = ANY($1)",
                )
                .bind(list)
                .fetch_all(&mut **tx)
                .await?;
                for raw in found {
                    rows.push(raw.into_row()?);
                }
            }
        }
        Ok(rows)
    }
}

/// `INSERT INTO table (columns) ` from this file's own constants: nothing from outside gets in.
fn const_format_insert(table: &'static str, columns: &'static str) -> String {
    format!("INSERT INTO {table} ({columns}) ")
}
