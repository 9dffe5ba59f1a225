//! Ids from blocks: one row per noun, raised in the caller's transaction. Unique across daemons,
//! dense and readable, and no database sequence is needed.

use super::{StoreResult, Tx, on};

impl Tx {
    /// Reserves `count` consecutive ids of a noun and returns the first.
    pub async fn take_ids(&mut self, noun: &str, count: i64) -> StoreResult<i64> {
        let next: i64 = on!(self, c => sqlx::query_scalar(
            "INSERT INTO id_block (noun, next_id) VALUES ($1, 1 + $2)
             ON CONFLICT (noun) DO UPDATE SET next_id = id_block.next_id + $2 RETURNING next_id")
            .bind(noun).bind(count).fetch_one(c).await?);
        Ok(next - count)
    }
    /// Reserves one id.
    pub async fn take_id(&mut self, noun: &str) -> StoreResult<i64> {
        self.take_ids(noun, 1).await
    }
    /// Reads a watermark, 0 when never set.
    pub async fn watermark(&mut self, noun: &str) -> StoreResult<i64> {
        let value: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT value FROM watermark WHERE noun = $1")
            .bind(noun).fetch_optional(c).await?);
        Ok(value.unwrap_or(0))
    }
    /// Sets a watermark.
    pub async fn set_watermark(&mut self, noun: &str, value: i64) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO watermark (noun, value) VALUES ($1, $2) ON CONFLICT (noun) DO UPDATE SET value = EXCLUDED.value")
            .bind(noun).bind(value).execute(c).await?.rows_affected());
        Ok(())
    }
}
