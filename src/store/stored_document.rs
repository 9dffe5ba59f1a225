//! Stored documents as matching reads them: the head of a version with all its lines.
//!
//! Lines, heads and originals are read apart and put together here: a line then costs its own
//! columns only, and a million of them are read in seconds.

use super::{StoreResult, Tx, corrupt};
use crate::core::line::{DocumentStatus, DocumentType, Extra, Line, LineKind, Original};
use crate::core::matching::Document;
use crate::core::money::Currency;
use crate::core::number::Micros;
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt, HashSet};
use futures::TryStreamExt;
use sqlx::Row;
use std::sync::Arc;

/// One version of a document with stored lines of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// Document id.
    pub id: i64,
    /// Version that the lines belong to.
    pub version: i64,
    /// Company.
    pub company: Arc<str>,
    /// State of the document.
    pub status: DocumentStatus,
    /// One of our settlement references on the document.
    pub our_reference: Option<String>,
    /// Its lines by id; never empty.
    pub lines: Vec<Line>,
}

impl StoredDocument {
    /// The engine's view of it.
    pub fn view(&self) -> Document<'_> {
        let first = &self.lines[0];
        Document {
            id: self.id,
            company: &self.company,
            document_type: first.document_type,
            number: &first.document_number,
            date: first.document_date,
            posting_date: first.posting_date,
            status: self.status,
            our_reference: self.our_reference.as_deref(),
            lines: &self.lines,
        }
    }
    /// Sum of its net amounts, in the document's currency.
    pub fn net_amount(&self) -> Micros {
        self.lines.iter().map(|l| l.net_amount).sum()
    }
}

/// Texts that many lines share, each kept once.
#[derive(Default)]
pub(super) struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// More different texts than this are not shared any more.
    const MOST: usize = 10_000;

    pub fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new: Arc<str> = Arc::from(text);
        if self.0.len() < Self::MOST {
            self.0.insert(new.clone());
        }
        new
    }
}

/// Columns of a row by position, on either database.
trait Columns {
    fn int(&self, at: usize) -> sqlx::Result<i64>;
    fn maybe_int(&self, at: usize) -> sqlx::Result<Option<i64>>;
    fn text(&self, at: usize) -> sqlx::Result<&str>;
    fn maybe_text(&self, at: usize) -> sqlx::Result<Option<&str>>;
    fn day(&self, at: usize) -> sqlx::Result<NaiveDate>;
    fn maybe_day(&self, at: usize) -> sqlx::Result<Option<NaiveDate>>;
}

// The statements below are our own and their columns typed in the schema: asking each value for its type again
// would cost more than reading it.
macro_rules! plain_columns {
    () => {
        fn int(&self, at: usize) -> sqlx::Result<i64> {
            self.try_get_unchecked(at)
        }
        fn maybe_int(&self, at: usize) -> sqlx::Result<Option<i64>> {
            self.try_get_unchecked(at)
        }
        fn text(&self, at: usize) -> sqlx::Result<&str> {
            self.try_get_unchecked(at)
        }
        fn maybe_text(&self, at: usize) -> sqlx::Result<Option<&str>> {
            self.try_get_unchecked(at)
        }
    };
}

impl Columns for sqlx::postgres::PgRow {
    plain_columns!();
    fn day(&self, at: usize) -> sqlx::Result<NaiveDate> {
        self.try_get_unchecked(at)
    }
    fn maybe_day(&self, at: usize) -> sqlx::Result<Option<NaiveDate>> {
        self.try_get_unchecked(at)
    }
}

impl Columns for sqlx::sqlite::SqliteRow {
    plain_columns!();
    fn day(&self, at: usize) -> sqlx::Result<NaiveDate> {
        iso_day(self.text(at)?)
    }
    fn maybe_day(&self, at: usize) -> sqlx::Result<Option<NaiveDate>> {
        self.maybe_text(at)?.map(iso_day).transpose()
    }
}

/// `2026-01-31`, as SQLite keeps days.
fn iso_day(text: &str) -> sqlx::Result<NaiveDate> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    };
    let day = || {
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)
    };
    match day() {
        Some(day) => Ok(day),
        None => text.parse().map_err(|e: chrono::ParseError| sqlx::Error::Decode(Box::new(e))),
    }
}

/// A line without what its document's head tells.
fn line(row: &impl Columns, texts: &mut Texts) -> StoreResult<(i64, Line)> {
    let kind = row.text(7)?;
    let currency = row.text(13)?;
    let line = Line {
        id: row.int(0)?,
        document_id: row.int(1)?,
        document_type: DocumentType::default(),
        document_number: texts.share(""),
        line_number: texts.share(row.text(3)?),
        partner_id: row.int(4)?,
        document_date: row.day(5)?,
        posting_date: None,
        paid_on: None,
        item_id: row.maybe_int(6)?,
        line_kind: LineKind::from_word(kind).ok_or_else(|| corrupt("line kind", kind))?,
        quantity: Micros(row.int(8)?),
        unit: texts.share(row.text(9)?),
        gross_amount: row.maybe_int(10)?.map(Micros),
        net_amount: Micros(row.int(11)?),
        cost_amount: row.maybe_int(12)?.map(Micros),
        currency: Currency::parse(currency).ok_or_else(|| corrupt("currency", currency))?,
        refers_to_document: row.maybe_text(14)?.map(Arc::from),
        refers_to_line: row.maybe_text(15)?.map(|text| texts.share(text)),
        original: None,
        extra: match row.maybe_text(16)? {
            Some(text) => Some(Box::new(serde_json::from_str::<Extra>(text).map_err(|e| corrupt("line extra", e))?)),
            None => None,
        },
    };
    Ok((row.int(2)?, line))
}

/// Lines of one document version stand together.
fn gather(found: Vec<(i64, Line)>) -> Vec<StoredDocument> {
    let mut documents: Vec<StoredDocument> = Vec::new();
    for (version, line) in found {
        match documents.last_mut() {
            Some(last) if last.id == line.document_id && last.version == version => last.lines.push(line),
            _ => documents.push(StoredDocument {
                id: line.document_id,
                version,
                company: Arc::from(""),
                status: DocumentStatus::default(),
                our_reference: None,
                lines: vec![line],
            }),
        }
    }
    documents
}

/// A line that refers to a document: its id, company, the number and its own day.
type Reference<'a> = (i64, &'a str, &'a str, NaiveDate);

struct Head {
    company: Arc<str>,
    document_type: DocumentType,
    number: Arc<str>,
    posting_date: Option<NaiveDate>,
    paid_on: Option<NaiveDate>,
    status: DocumentStatus,
    our_reference: Option<String>,
}

fn head(row: &impl Columns, texts: &mut Texts) -> StoreResult<(i64, Head)> {
    let (document_type, status) = (row.text(2)?, row.text(6)?);
    let head = Head {
        company: texts.share(row.text(1)?),
        document_type: DocumentType::from_word(document_type).ok_or_else(|| corrupt("document type", document_type))?,
        number: Arc::from(row.text(3)?),
        posting_date: row.maybe_day(4)?,
        paid_on: row.maybe_day(5)?,
        status: DocumentStatus::from_word(status).ok_or_else(|| corrupt("document status", status))?,
        our_reference: row.maybe_text(7)?.map(str::to_owned),
    };
    Ok((row.int(0)?, head))
}

fn original(row: &impl Columns) -> StoreResult<Original> {
    Ok(Original { document_id: row.int(0)?, document_date: row.day(1)?, posting_date: row.maybe_day(2)? })
}

/// Runs one statement on either database and reads its rows as they come.
macro_rules! each_row {
    ($tx:expr, $sql:expr, [$($bind:expr),+], |$row:ident| $body:expr) => {
        super::on!($tx, c => {
            let mut stream = sqlx::query($sql)$(.bind($bind))+.fetch(c);
            while let Some($row) = stream.try_next().await? {
                $body
            }
        })
    };
}

/// The same for a list of ids, which the databases take in different ways.
macro_rules! each_row_of {
    ($tx:expr, $ids:expr, $head:literal, $tail:literal, |$row:ident| $body:expr) => {
        match $tx {
            Tx::Sqlite(c) => {
                let list = serde_json::to_string($ids).map_err(|e| corrupt("ids", e))?;
                let sql = concat!($head, " IN (SELECT value FROM json_each($1))", $tail);
                let mut stream = sqlx::query(sql).bind(list).fetch(&mut **c);
                while let Some($row) = stream.try_next().await? {
                    $body
                }
            }
            Tx::Postgres(c) => {
                let sql = concat!($head, " = ANY($1)", $tail);
                let mut stream = sqlx::query(sql).bind($ids).fetch(&mut **c);
                while let Some($row) = stream.try_next().await? {
                    $body
                }
            }
        }
    };
}

macro_rules! line_select {
    ($tail:literal) => {
        concat!(
            "SELECT id, document_id, version, line_number, partner_id, document_date, item_id, line_kind, quantity_u, unit, gross_u, net_u, cost_u,
                    currency, refers_to_document, refers_to_line, extra FROM line ",
            $tail
        )
    };
}

impl Tx {
    /// Current documents with lines above `after` and up to `last`, in the order of their line ids, about `limit` lines of them;
    /// and the id to go on after, `None` at the end. The last document is whole as far as its lines stand together.
    pub async fn documents_after(
        &mut self,
        after: i64,
        last: i64,
        limit: i64,
    ) -> StoreResult<(Vec<StoredDocument>, Option<i64>)> {
        let mut window = limit.max(2);
        loop {
            let upto = after.saturating_add(window).min(last);
            let mut found = Vec::new();
            let mut texts = Texts::default();
            // A range of ids and no LIMIT: with one, PostgreSQL may sort the whole table for every page.
            each_row!(self, line_select!("WHERE id > $1 AND id <= $2 AND superseded = 0 ORDER BY id"), [after, upto], |row| {
                found.push(line(&row, &mut texts)?);
            });
            let mut next = None;
            if upto < last {
                // The last document may go on behind the window: it is left to the next one.
                let tail = found.last().map(|(version, line)| (*version, line.document_id));
                let cut = found.iter().rev().take_while(|(version, line)| Some((*version, line.document_id)) == tail).count();
                if cut == found.len() && !found.is_empty() {
                    window = window.saturating_mul(4);
                    continue;
                }
                found.truncate(found.len() - cut);
                // Where nothing was found, nothing stands in the window.
                next = Some(found.last().map_or(upto, |(_, line)| line.id));
            }
            return Ok((self.with_heads(gather(found), &mut texts).await?, next));
        }
    }

    /// Current lines of a partner, whole documents together.
    pub async fn documents_of_partner(&mut self, partner_id: i64) -> StoreResult<Vec<StoredDocument>> {
        let (mut found, mut texts) = (Vec::new(), Texts::default());
        each_row!(self, line_select!("WHERE partner_id = $1 AND superseded = 0 ORDER BY document_id, id"), [partner_id], |row| {
            found.push(line(&row, &mut texts)?);
        });
        self.with_heads(gather(found), &mut texts).await
    }

    /// Current claim and resale lines, whole documents together.
    pub async fn claim_documents(&mut self) -> StoreResult<Vec<StoredDocument>> {
        let (mut found, mut texts) = (Vec::new(), Texts::default());
        each_row!(
            self,
            line_select!(
                "WHERE superseded = $1 AND document_id IN (SELECT id FROM document WHERE document_type IN ('claim', 'resale'))
                 ORDER BY document_id, id"
            ),
            [0i64],
            |row| found.push(line(&row, &mut texts)?)
        );
        self.with_heads(gather(found), &mut texts).await
    }

    /// One version of a document, current or not, with the head of the current version. `None` when it has no lines.
    pub async fn document_version(
        &mut self,
        partner_id: i64,
        document_id: i64,
        version: i64,
    ) -> StoreResult<Option<StoredDocument>> {
        let (mut found, mut texts) = (Vec::new(), Texts::default());
        each_row!(
            self,
            line_select!("WHERE partner_id = $1 AND document_id = $2 AND version = $3 ORDER BY id"),
            [partner_id, document_id, version],
            |row| found.push(line(&row, &mut texts)?)
        );
        Ok(self.with_heads(gather(found), &mut texts).await?.pop())
    }

    /// Takes the queue of superseded versions: their lines with the heads they had, a version at a time.
    /// Lines above `folded` were never folded and are left out.
    pub async fn take_superseded(&mut self, folded: i64) -> StoreResult<Vec<StoredDocument>> {
        let queue: Vec<(i64, i64, i64, NaiveDate, Option<NaiveDate>, Option<NaiveDate>, String, Option<String>)> = super::on!(self, c => sqlx::query_as(
            "SELECT document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference FROM superseded_version ORDER BY document_id, version")
            .fetch_all(c).await?);
        let mut versions = Vec::new();
        for (document_id, version, partner_id, document_date, posting_date, paid_on, status, our_reference) in queue {
            let status = DocumentStatus::from_word(&status).ok_or_else(|| corrupt("document status", &status))?;
            let Some(mut document) = self.document_version(partner_id, document_id, version).await? else { continue };
            document.lines.retain(|line| line.id <= folded);
            document.status = status;
            document.our_reference = our_reference;
            for line in &mut document.lines {
                line.document_date = document_date;
                line.posting_date = posting_date;
                line.paid_on = paid_on;
            }
            if !document.lines.is_empty() {
                versions.push(document);
            }
        }
        super::on!(self, c => sqlx::query("DELETE FROM superseded_version").execute(c).await?.rows_affected());
        Ok(versions)
    }

    /// Completes documents with their heads and their lines with the originals they refer to.
    async fn with_heads(&mut self, mut documents: Vec<StoredDocument>, texts: &mut Texts) -> StoreResult<Vec<StoredDocument>> {
        if documents.is_empty() {
            return Ok(documents);
        }
        let mut ids: Vec<i64> = documents.iter().map(|d| d.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut heads: HashMap<i64, Head> = HashMap::with_capacity(ids.len());
        each_row_of!(
            self,
            &ids,
            "SELECT id, company, document_type, document_number, posting_date, paid_on, status, our_reference FROM document WHERE id",
            "",
            |row| {
                let (id, head) = head(&row, texts)?;
                heads.insert(id, head);
            }
        );
        let mut references: Vec<Reference<'_>> = Vec::new();
        for document in &documents {
            // What a claim or resale line refers to is the partner's own invoice.
            let Some(head) = heads.get(&document.id).filter(|h| !h.document_type.issued_by_others()) else { continue };
            references.extend(
                document
                    .lines
                    .iter()
                    .filter_map(|line| Some((line.id, &*head.company, line.refers_to_document.as_deref()?, line.document_date))),
            );
        }
        let originals = self.originals(&references).await?;
        for document in &mut documents {
            let head = heads.get(&document.id).ok_or_else(|| corrupt("line", format!("document {} is missing", document.id)))?;
            document.company = head.company.clone();
            document.status = head.status;
            document.our_reference.clone_from(&head.our_reference);
            for line in &mut document.lines {
                line.document_type = head.document_type;
                line.document_number = head.number.clone();
                line.posting_date = head.posting_date;
                line.paid_on = head.paid_on;
                line.original = originals.get(&line.id).copied();
            }
        }
        Ok(documents)
    }

    /// The originals of returns, by line id: the newest invoice of the number that is not dated after the return itself.
    async fn originals(&mut self, references: &[Reference<'_>]) -> StoreResult<HashMap<i64, Original>> {
        let mut originals: HashMap<i64, Original> = HashMap::new();
        if references.is_empty() {
            return Ok(originals);
        }
        // Only ids are looked up first, and from the list alone: joined to lines and documents, PostgreSQL may read all
        // documents for every page.
        let mut found: Vec<(i64, i64)> = Vec::with_capacity(references.len());
        match self {
            Tx::Sqlite(c) => {
                let list = serde_json::to_string(references).map_err(|e| corrupt("references", e))?;
                let mut stream = sqlx::query(
                    "SELECT k.value ->> 0, (
                         SELECT x.id FROM document x WHERE x.company = k.value ->> 1 AND x.document_type = 'invoice' AND x.document_number = k.value ->> 2
                           AND x.document_date <= k.value ->> 3 ORDER BY x.document_year DESC LIMIT 1)
                     FROM json_each($1) k",
                )
                .bind(list)
                .fetch(&mut **c);
                while let Some(row) = stream.try_next().await? {
                    if let Some(original) = row.maybe_int(1)? {
                        found.push((row.int(0)?, original));
                    }
                }
            }
            Tx::Postgres(c) => {
                let ids: Vec<i64> = references.iter().map(|r| r.0).collect();
                let companies: Vec<&str> = references.iter().map(|r| r.1).collect();
                let numbers: Vec<&str> = references.iter().map(|r| r.2).collect();
                let days: Vec<NaiveDate> = references.iter().map(|r| r.3).collect();
                let mut stream = sqlx::query(
                    "SELECT k.id, (
                         SELECT x.id FROM document x WHERE x.company = k.company AND x.document_type = 'invoice' AND x.document_number = k.number
                           AND x.document_date <= k.day ORDER BY x.document_year DESC LIMIT 1)
                     FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], $4::DATE[]) AS k (id, company, number, day)",
                )
                .bind(ids)
                .bind(companies)
                .bind(numbers)
                .bind(days)
                .fetch(&mut **c);
                while let Some(row) = stream.try_next().await? {
                    if let Some(original) = row.maybe_int(1)? {
                        found.push((row.int(0)?, original));
                    }
                }
            }
        }
        let mut ids: Vec<i64> = found.iter().map(|(_, original)| *original).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut facts: HashMap<i64, Original> = HashMap::with_capacity(ids.len());
        each_row_of!(self, &ids, "SELECT id, document_date, posting_date FROM document WHERE id", "", |row| {
            let original = original(&row)?;
            facts.insert(original.document_id, original);
        });
        originals.extend(found.iter().filter_map(|(line, original)| Some((*line, *facts.get(original)?))));
        Ok(originals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_kept_and_nothing_else_is_a_day() {
        assert_eq!(iso_day("2026-02-28").expect("a day"), NaiveDate::from_ymd_opt(2026, 2, 28).expect("a day"));
        for text in ["2026-02-30", "2026-2-3x", "20260228", "2026/02/28", ""] {
            assert!(iso_day(text).is_err(), "{text}");
        }
    }
}
