//! Who may write what match reads: on PostgreSQL a lock keeps match and the writers of lines,
//! marks and superseded versions apart; on SQLite there is one writer anyway.
//!
//! Without it a line committed while match turns its pages would lie below the watermark and yet
//! be unread, or be read and lie above it: counted never or twice.

use super::{StoreResult, Tx};

/// A number of our own choice; other programs in the same database choose theirs.
const FOLDING: i64 = 0x7265_6261_7465_6401;

impl Tx {
    /// Taken by writers, any number of them together, until their transactions end.
    pub async fn share_folding(&mut self) -> StoreResult<()> {
        if let Tx::Postgres(tx) = self {
            sqlx::query("SELECT pg_advisory_xact_lock_shared($1)").bind(FOLDING).execute(&mut **tx).await?;
        }
        Ok(())
    }
    /// Taken by match, alone, until its transaction ends.
    pub async fn own_folding(&mut self) -> StoreResult<()> {
        if let Tx::Postgres(tx) = self {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(FOLDING).execute(&mut **tx).await?;
        }
        Ok(())
    }
}
