//! Documents: the registry of identities (company, type, number, year; plus issuer for documents
//! that others number). A number alone identifies nothing (case 23).

use super::bulk::Rows;
use super::{StoreResult, Tx, on};
use chrono::{DateTime, NaiveDate, Utc};

/// What identifies a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Company.
    pub company: String,
    /// Document type word.
    pub document_type: &'static str,
    /// Number.
    pub number: String,
    /// Year of the document date.
    pub year: i32,
    /// Partner code for documents that others number, else empty.
    pub issuer: String,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} {})", self.document_type, self.number, self.company, self.year)
    }
}

/// What the registry holds of a document besides its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentHead {
    /// Version now.
    pub version: i64,
    /// Partner, when it is known.
    pub partner_id: Option<i64>,
    /// Partner code as delivered.
    pub partner_code: String,
    /// Document date.
    pub document_date: NaiveDate,
    /// Posting date.
    pub posting_date: Option<NaiveDate>,
    /// Day of full payment.
    pub paid_on: Option<NaiveDate>,
    /// Status word.
    pub status: String,
    /// One of our settlement references.
    pub our_reference: Option<String>,
    /// Currency code.
    pub currency: String,
    /// Change time in the source.
    pub changed_at: Option<DateTime<Utc>>,
    /// The source's ordering at the same change time.
    pub sequence: Option<i64>,
    /// Hash over all content.
    pub content_hash: Vec<u8>,
    /// Archived document it came from.
    pub archive_id: i64,
    /// Rank of the source: the higher one is the record of truth.
    pub source_rank: i64,
}

/// A registered document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// Id.
    pub id: i64,
    /// Identity.
    pub identity: Identity,
    /// The rest.
    pub head: DocumentHead,
}

pub(super) struct Raw {
    id: i64,
    company: String,
    document_type: String,
    document_number: String,
    document_year: i64,
    issuer: String,
    version: i64,
    partner_id: Option<i64>,
    partner_code: String,
    document_date: NaiveDate,
    posting_date: Option<NaiveDate>,
    paid_on: Option<NaiveDate>,
    status: String,
    our_reference: Option<String>,
    currency: String,
    changed_at: Option<DateTime<Utc>>,
    sequence: Option<i64>,
    content_hash: Vec<u8>,
    archive_id: i64,
    source_rank: i64,
}

super::from_row!(Raw {
    id,
    company,
    document_type,
    document_number,
    document_year,
    issuer,
    version,
    partner_id,
    partner_code,
    document_date,
    posting_date,
    paid_on,
    status,
    our_reference,
    currency,
    changed_at,
    sequence,
    content_hash,
    archive_id,
    source_rank,
});

impl Raw {
    pub(super) fn into_row(self) -> StoreResult<DocumentRow> {
        let document_type = crate::core::line::DocumentType::from_word(&self.document_type)
            .ok_or_else(|| super::corrupt("document type", &self.document_type))?
            .word();
        Ok(DocumentRow {
            id: self.id,
            identity: Identity {
                company: self.company,
                document_type,
                number: self.document_number,
                year: i32::try_from(self.document_year).unwrap_or_default(),
                issuer: self.issuer,
            },
            head: DocumentHead {
                version: self.version,
                partner_id: self.partner_id,
                partner_code: self.partner_code,
                document_date: self.document_date,
                posting_date: self.posting_date,
                paid_on: self.paid_on,
                status: self.status,
                our_reference: self.our_reference,
                currency: self.currency,
                changed_at: self.changed_at,
                sequence: self.sequence,
                content_hash: self.content_hash,
                archive_id: self.archive_id,
                source_rank: self.source_rank,
            },
        })
    }
}

macro_rules! document_select {
    ($tail:literal) => {
        concat!(
            "SELECT id, company, document_type, document_number, document_year, issuer, version, partner_id, partner_code, document_date,
                    posting_date, paid_on, status, our_reference, currency, changed_at, sequence, content_hash, archive_id, source_rank
             FROM document ",
            $tail
        )
    };
}

impl Tx {
    /// Documents of any identity with one of these numbers, looked up in bulk.
    pub async fn known_documents(&mut self, numbers: &[&str]) -> StoreResult<Vec<DocumentRow>> {
        let found: Vec<Raw> = match self {
            Tx::Sqlite(tx) => {
                let list = serde_json::to_string(numbers).map_err(|e| super::corrupt("numbers", e))?;
                sqlx::query_as(document_select!("WHERE document_number IN (SELECT value FROM json_each($1))"))
                    .bind(list)
                    .fetch_all(&mut **tx)
                    .await?
            }
            Tx::Postgres(tx) => {
                sqlx::query_as(document_select!("WHERE document_number = ANY($1)")).bind(numbers).fetch_all(&mut **tx).await?
            }
        };
        found.into_iter().map(Raw::into_row).collect()
    }

    /// Inserts new documents; their identities must be new.
    pub async fn insert_documents(&mut self, documents: &[DocumentRow]) -> StoreResult<()> {
        let mut rows = Rows::of(
            "document",
            [
                "id",
                "company",
                "document_type",
                "document_number",
                "document_year",
                "issuer",
                "version",
                "partner_id",
                "partner_code",
                "document_date",
                "posting_date",
                "paid_on",
                "status",
                "our_reference",
                "currency",
                "changed_at",
                "sequence",
                "content_hash",
                "archive_id",
                "source_rank",
            ],
            documents.len(),
        );
        for d in documents {
            rows.push([
                d.id.into(),
                (&d.identity.company).into(),
                d.identity.document_type.into(),
                (&d.identity.number).into(),
                i64::from(d.identity.year).into(),
                (&d.identity.issuer).into(),
                d.head.version.into(),
                d.head.partner_id.into(),
                (&d.head.partner_code).into(),
                d.head.document_date.into(),
                d.head.posting_date.into(),
                d.head.paid_on.into(),
                (&d.head.status).into(),
                (&d.head.our_reference).into(),
                (&d.head.currency).into(),
                d.head.changed_at.into(),
                d.head.sequence.into(),
                d.head.content_hash.as_slice().into(),
                d.head.archive_id.into(),
                d.head.source_rank.into(),
            ]);
        }
        self.insert_rows(rows).await
    }

    /// The document of an identity.
    pub async fn document(&mut self, identity: &Identity) -> StoreResult<Option<DocumentRow>> {
        let found: Option<Raw> = on!(self, c => sqlx::query_as(
            document_select!("WHERE company = $1 AND document_type = $2 AND document_number = $3 AND document_year = $4 AND issuer = $5"))
            .bind(&identity.company).bind(identity.document_type).bind(&identity.number).bind(i64::from(identity.year)).bind(&identity.issuer)
            .fetch_optional(c).await?);
        found.map(Raw::into_row).transpose()
    }

    /// A document by id.
    pub async fn document_by_id(&mut self, id: i64) -> StoreResult<Option<DocumentRow>> {
        let found: Option<Raw> = on!(self, c => sqlx::query_as(
            document_select!("WHERE id = $1")).bind(id).fetch_optional(c).await?);
        found.map(Raw::into_row).transpose()
    }

    /// Documents of a number, whatever company, type and year.
    pub async fn documents_numbered(&mut self, number: &str) -> StoreResult<Vec<DocumentRow>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            document_select!("WHERE document_number = $1 ORDER BY id")).bind(number).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Documents that a feed delivered and that changed (or, without change time, are dated) since an instant.
    pub async fn documents_of_feed(
        &mut self,
        connector: &str,
        feed: &str,
        since: DateTime<Utc>,
    ) -> StoreResult<Vec<DocumentRow>> {
        let day = since.date_naive();
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            "SELECT d.id, d.company, d.document_type, d.document_number, d.document_year, d.issuer, d.version, d.partner_id, d.partner_code, d.document_date,
                    d.posting_date, d.paid_on, d.status, d.our_reference, d.currency, d.changed_at, d.sequence, d.content_hash, d.archive_id, d.source_rank
             FROM document d JOIN archive a ON a.id = d.archive_id
             WHERE a.connector = $1 AND a.feed = $2 AND (d.changed_at >= $3 OR (d.changed_at IS NULL AND d.document_date >= $4)) ORDER BY d.id")
            .bind(connector).bind(feed).bind(since).bind(day).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Replaces the head of a document by its next version.
    pub async fn update_document(&mut self, id: i64, head: &DocumentHead) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE document SET version = $2, partner_id = $3, partner_code = $4, document_date = $5, posting_date = $6, paid_on = $7, status = $8,
                    our_reference = $9, currency = $10, changed_at = $11, sequence = $12, content_hash = $13, archive_id = $14, source_rank = $15, gone_on = NULL
             WHERE id = $1")
            .bind(id).bind(head.version).bind(head.partner_id).bind(&head.partner_code).bind(head.document_date).bind(head.posting_date)
            .bind(head.paid_on).bind(&head.status).bind(&head.our_reference).bind(&head.currency).bind(head.changed_at).bind(head.sequence)
            .bind(&head.content_hash).bind(head.archive_id).bind(head.source_rank).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Notes that a full list of the source no longer shows the document.
    pub async fn set_document_gone(&mut self, id: i64, on_day: NaiveDate) -> StoreResult<()> {
        on!(self, c => sqlx::query("UPDATE document SET gone_on = $2 WHERE id = $1").bind(id).bind(on_day).execute(c).await?.rows_affected());
        Ok(())
    }
}
