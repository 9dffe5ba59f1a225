//! The archive: raw documents as received, compressed and hashed, append-only; and where each feed stands.

use super::{StoreError, StoreResult, Tx, on};
use crate::core::hash::{hex, sha256_hex};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::io::Read;

/// Bytes of raw text per stored chunk, so that a document of any size needs little memory.
pub const CHUNK_BYTES: usize = 4 << 20;

/// Connector name of tables that a person imports.
pub const BY_HAND: &str = "import";

/// A document to archive.
#[derive(Clone, Debug)]
pub struct NewArchive<'a> {
    /// Connector name; [`BY_HAND`] for canonical tables.
    pub connector: &'a str,
    /// Feed name; the table for imports.
    pub feed: &'a str,
    /// File or page name.
    pub name: &'a str,
    /// Media type.
    pub media_type: &'a str,
    /// Mapping that reads it; `None` for canonical tables.
    pub mapping: Option<&'a str>,
    /// The run that fetched it.
    pub run_id: Option<i64>,
    /// Key for acknowledging to the source.
    pub acknowledge_key: Option<&'a str>,
}

/// What is known of an archived document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ArchiveMeta {
    /// Id.
    pub id: i64,
    /// Connector name.
    pub connector: String,
    /// Feed name.
    pub feed: String,
    /// File or page name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Mapping that reads it.
    pub mapping: Option<String>,
    /// SHA-256 of the raw bytes.
    pub sha256: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// Key for acknowledging to the source.
    pub acknowledge_key: Option<String>,
}

/// Counts of one normalized document: every row ends in exactly one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkCounts {
    /// Rows read.
    pub rows_in: i64,
    /// Rows that became lines or master data.
    pub rows_out: i64,
    /// Rows a rule skipped, with its reason.
    pub rows_skipped: i64,
    /// Rows that became exceptions.
    pub rows_refused: i64,
}

/// Which earlier delivery of the same bytes makes a new one superfluous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Only the last word of the feed.
    Last,
    /// Any.
    Ever,
}

type MetaColumns = (i64, String, String, String, String, Option<String>, String, DateTime<Utc>, Option<String>);

fn meta(c: MetaColumns) -> ArchiveMeta {
    ArchiveMeta {
        id: c.0,
        connector: c.1,
        feed: c.2,
        name: c.3,
        media_type: c.4,
        mapping: c.5,
        sha256: c.6,
        received_at: c.7,
        acknowledge_key: c.8,
    }
}

fn compress(bytes: &[u8]) -> StoreResult<Vec<u8>> {
    zstd::bulk::compress(bytes, 1).map_err(|source| StoreError::Io { what: "compressing".into(), source })
}

impl Tx {
    /// Archives a document from a reader. `Err(id)` inside `Ok` means that the same bytes were the last
    /// word of the same feed. Bytes that came before something else are a new delivery: who sends A, B
    /// and A again means A.
    pub async fn archive(
        &mut self,
        new: &NewArchive<'_>,
        raw: &mut dyn ReadSend,
        now: DateTime<Utc>,
    ) -> StoreResult<Result<i64, i64>> {
        self.archive_unless(Seen::Last, new, raw, now).await
    }

    /// The same for a list that is only compared: bytes that the feed ever brought are known.
    pub async fn archive_compared(
        &mut self,
        new: &NewArchive<'_>,
        raw: &mut dyn ReadSend,
        now: DateTime<Utc>,
    ) -> StoreResult<Result<i64, i64>> {
        self.archive_unless(Seen::Ever, new, raw, now).await
    }

    /// Whether something came after a known delivery that may have said otherwise.
    ///
    /// Who delivers on purpose, by hand or as a file, means what comes last: anything else of its feed
    /// that came since, or another route, may have said otherwise. A page of an API is read again night
    /// by night as far as the overlap reaches; it says something new only when the reading before did
    /// not have it.
    async fn overtaken(&mut self, known: i64, new: &NewArchive<'_>, now: DateTime<Utc>) -> StoreResult<bool> {
        let (key, told): (Option<String>, i64) = on!(self, c => sqlx::query_as("SELECT acknowledge_key, acknowledged FROM archive_work WHERE archive_id = $1")
                .bind(known).fetch_one(c).await?);
        if new.acknowledge_key.is_some() && key.as_deref() == new.acknowledge_key && told == 0 {
            // The very file that still lies there because nobody could move it away yet.
            return Ok(false);
        }
        let by_hand = new.connector == BY_HAND;
        if !by_hand && new.acknowledge_key.is_none() {
            let missed: i64 = on!(self, c => sqlx::query_scalar(
                "SELECT COUNT(*) FROM archive a JOIN archive_work w ON w.archive_id = a.id
                 WHERE a.connector = $2 AND a.feed = $3 AND w.seen_at < $4
                   AND w.seen_at > (SELECT k.seen_at FROM archive_work k WHERE k.archive_id = $1)")
                .bind(known).bind(new.connector).bind(new.feed).bind(now).fetch_one(c).await?);
            return Ok(missed > 0);
        }
        let later: i64 = on!(self, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM archive WHERE id > $1 AND ((connector = $2 AND feed = $3)
                OR ($4 = 1 AND connector <> $5) OR ($4 = 0 AND connector = $5))")
            .bind(known).bind(new.connector).bind(new.feed).bind(i64::from(by_hand)).bind(BY_HAND).fetch_one(c).await?);
        Ok(later > 0)
    }

    async fn archive_unless(
        &mut self,
        seen: Seen,
        new: &NewArchive<'_>,
        raw: &mut dyn ReadSend,
        now: DateTime<Utc>,
    ) -> StoreResult<Result<i64, i64>> {
        let id = self.take_id("archive").await?;
        let io = |source| StoreError::Io { what: format!("reading {}", new.name), source };
        let mut hasher = Sha256::new();
        let mut size: i64 = 0;
        let mut chunks: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0u8; CHUNK_BYTES];
        loop {
            let mut filled = 0;
            while filled < buffer.len() {
                let n = raw.read(&mut buffer[filled..]).map_err(io)?;
                if n == 0 {
                    break;
                }
                filled += n;
            }
            if filled == 0 {
                break;
            }
            hasher.update(&buffer[..filled]);
            size += i64::try_from(filled).unwrap_or(i64::MAX);
            // Compressed text is a tenth of the raw one, so holding it costs little; the row with the
            // hash has to stand before its chunks.
            chunks.push(compress(&buffer[..filled])?);
            if filled < buffer.len() {
                break;
            }
        }
        let sha256 = hex(&hasher.finalize());
        let known: Option<i64> = on!(self, c => sqlx::query_scalar(
            "SELECT MAX(id) FROM archive WHERE connector = $1 AND feed = $2 AND sha256 = $3")
            .bind(new.connector).bind(new.feed).bind(&sha256).fetch_one(c).await?);
        if let Some(known) = known
            && (seen == Seen::Ever || !self.overtaken(known, new, now).await?)
        {
            on!(self, c => sqlx::query("UPDATE archive_work SET seen_at = $2 WHERE archive_id = $1").bind(known).bind(now).execute(c).await?.rows_affected());
            return Ok(Err(known));
        }
        if known.is_some() {
            // A new delivery of known bytes: the first one keeps them for all.
            chunks.clear();
        }
        on!(self, c => sqlx::query(
            "INSERT INTO archive (id, connector, feed, name, media_type, sha256, size_bytes, mapping, run_id, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
            .bind(id).bind(new.connector).bind(new.feed).bind(new.name).bind(new.media_type).bind(&sha256).bind(size)
            .bind(new.mapping).bind(new.run_id).bind(now).execute(c).await?.rows_affected());
        for (seq, chunk) in chunks.into_iter().enumerate() {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            on!(self, c => sqlx::query("INSERT INTO archive_chunk (archive_id, seq, body) VALUES ($1, $2, $3)")
                .bind(id).bind(seq).bind(chunk).execute(c).await?.rows_affected());
        }
        on!(self, c => sqlx::query("INSERT INTO archive_work (archive_id, state, acknowledge_key, seen_at, updated_at) VALUES ($1, 'new', $2, $3, $3)")
            .bind(id).bind(new.acknowledge_key).bind(now).execute(c).await?.rows_affected());
        Ok(Ok(id))
    }

    /// The raw bytes of an archived document, checked against its hash.
    pub async fn archived_bytes(&mut self, id: i64) -> StoreResult<Vec<u8>> {
        let sha256: String =
            on!(self, c => sqlx::query_scalar("SELECT sha256 FROM archive WHERE id = $1").bind(id).fetch_one(c).await?);
        let chunks: Vec<Vec<u8>> = on!(self, c => sqlx::query_scalar(
            "SELECT body FROM archive_chunk WHERE archive_id = (
                 SELECT MIN(a.id) FROM archive a JOIN archive me ON a.connector = me.connector AND a.feed = me.feed AND a.sha256 = me.sha256
                 WHERE me.id = $1) ORDER BY seq").bind(id).fetch_all(c).await?);
        let mut bytes = Vec::new();
        for chunk in chunks {
            let mut decoder =
                zstd::Decoder::new(chunk.as_slice()).map_err(|source| StoreError::Io { what: "decompressing".into(), source })?;
            decoder.read_to_end(&mut bytes).map_err(|source| StoreError::Io { what: "decompressing".into(), source })?;
        }
        if sha256_hex(&bytes) != sha256 {
            return Err(super::corrupt("archive", format!("document {id} does not match its hash")));
        }
        Ok(bytes)
    }

    /// Documents not normalized yet, oldest first.
    pub async fn new_archives(&mut self) -> StoreResult<Vec<ArchiveMeta>> {
        let rows: Vec<MetaColumns> = on!(self, c => sqlx::query_as(
            "SELECT a.id, a.connector, a.feed, a.name, a.media_type, a.mapping, a.sha256, a.received_at, w.acknowledge_key
             FROM archive a JOIN archive_work w ON w.archive_id = a.id WHERE w.state = 'new' ORDER BY a.id").fetch_all(c).await?);
        Ok(rows.into_iter().map(meta).collect())
    }

    /// Archived documents with rows that could not be read, newest first.
    pub async fn archives_with_refused_rows(&mut self) -> StoreResult<Vec<ArchiveMeta>> {
        let rows: Vec<MetaColumns> = on!(self, c => sqlx::query_as(
            "SELECT a.id, a.connector, a.feed, a.name, a.media_type, a.mapping, a.sha256, a.received_at, w.acknowledge_key
             FROM archive a JOIN archive_work w ON w.archive_id = a.id WHERE w.rows_refused > 0 AND a.mapping IS NOT NULL ORDER BY a.id DESC").fetch_all(c).await?);
        Ok(rows.into_iter().map(meta).collect())
    }

    /// All archived documents that a mapping reads, oldest first.
    pub async fn archives_of_mapping(&mut self, mapping: &str) -> StoreResult<Vec<ArchiveMeta>> {
        let rows: Vec<MetaColumns> = on!(self, c => sqlx::query_as(
            "SELECT a.id, a.connector, a.feed, a.name, a.media_type, a.mapping, a.sha256, a.received_at, w.acknowledge_key
             FROM archive a JOIN archive_work w ON w.archive_id = a.id WHERE a.mapping = $1 ORDER BY a.id").bind(mapping).fetch_all(c).await?);
        Ok(rows.into_iter().map(meta).collect())
    }

    /// One archived document's facts.
    pub async fn archive_meta(&mut self, id: i64) -> StoreResult<Option<ArchiveMeta>> {
        let found: Option<MetaColumns> = on!(self, c => sqlx::query_as(
            "SELECT a.id, a.connector, a.feed, a.name, a.media_type, a.mapping, a.sha256, a.received_at, w.acknowledge_key
             FROM archive a JOIN archive_work w ON w.archive_id = a.id WHERE a.id = $1").bind(id).fetch_optional(c).await?);
        Ok(found.map(meta))
    }

    /// Marks a document as `normalized` or `refused` with its counts.
    pub async fn finish_archive(&mut self, id: i64, state: &str, counts: WorkCounts, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE archive_work SET state = $2, rows_in = $3, rows_out = $4, rows_skipped = $5, rows_refused = $6, updated_at = $7 WHERE archive_id = $1")
            .bind(id).bind(state).bind(counts.rows_in).bind(counts.rows_out).bind(counts.rows_skipped).bind(counts.rows_refused)
            .bind(now).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Documents whose source has not been told yet: (archive id, connector, feed, key, state).
    pub async fn unacknowledged(&mut self) -> StoreResult<Vec<(i64, String, String, String, String)>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT a.id, a.connector, a.feed, w.acknowledge_key, w.state FROM archive a JOIN archive_work w ON w.archive_id = a.id
             WHERE w.acknowledge_key IS NOT NULL AND w.acknowledged = 0 AND w.state <> 'new' ORDER BY a.id").fetch_all(c).await?))
    }

    /// The same bytes came again under another name: the source is to be told of that one too.
    pub async fn note_replay(&mut self, id: i64, acknowledge_key: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query("UPDATE archive_work SET acknowledge_key = $2, acknowledged = 0 WHERE archive_id = $1")
            .bind(id).bind(acknowledge_key).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Notes that the source was told.
    pub async fn set_acknowledged(&mut self, id: i64) -> StoreResult<()> {
        on!(self, c => sqlx::query("UPDATE archive_work SET acknowledged = 1 WHERE archive_id = $1").bind(id).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Where a feed stands.
    pub async fn cursor(&mut self, connector: &str, feed: &str) -> StoreResult<Option<String>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT cursor FROM feed_cursor WHERE connector = $1 AND feed = $2")
            .bind(connector).bind(feed).fetch_optional(c).await?))
    }

    /// Moves a feed's cursor.
    pub async fn set_cursor(&mut self, connector: &str, feed: &str, cursor: &str, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO feed_cursor (connector, feed, cursor, updated_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (connector, feed) DO UPDATE SET cursor = EXCLUDED.cursor, updated_at = EXCLUDED.updated_at")
            .bind(connector).bind(feed).bind(cursor).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
}

/// A reader that may cross threads.
pub trait ReadSend: Read + Send {}
impl<T: Read + Send> ReadSend for T {}
