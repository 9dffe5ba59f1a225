//! Statements about many pairs of partner and agreement at once: a night looks at thousands, and a
//! round trip for each would cost more than the work.

use super::{StoreResult, corrupt};

/// The pairs as SQLite takes them: `[[1, "A"], ...]`.
pub(super) fn json(pairs: &[(i64, &str)]) -> StoreResult<String> {
    serde_json::to_string(pairs).map_err(|e| corrupt("pairs", e))
}

/// The pairs as PostgreSQL takes them: two arrays.
pub(super) fn columns(pairs: &[(i64, &str)]) -> (Vec<i64>, Vec<String>) {
    pairs.iter().map(|(partner_id, agreement)| (*partner_id, (*agreement).to_owned())).unzip()
}

/// Rows of a table (called `t`) that belong to the pairs, whose columns come first in an index of it.
macro_rules! of_pairs {
    ($tx:expr, $pairs:expr, $select:literal, $table:literal, $tail:literal) => {
        match $tx {
            Tx::Sqlite(tx) => {
                sqlx::query_as(concat!(
                    $select,
                    " FROM json_each($1) k CROSS JOIN ",
                    $table,
                    " t WHERE t.partner_id = k.value ->> 0 AND t.agreement = k.value ->> 1 ",
                    $tail
                ))
                .bind($crate::store::pairs::json($pairs)?)
                .fetch_all(&mut **tx)
                .await?
            }
            Tx::Postgres(tx) => {
                let (partners, agreements) = $crate::store::pairs::columns($pairs);
                sqlx::query_as(concat!(
                    $select,
                    " FROM UNNEST($1::BIGINT[], $2::TEXT[]) AS k (partner_id, agreement) CROSS JOIN ",
                    $table,
                    " t WHERE t.partner_id = k.partner_id AND t.agreement = k.agreement ",
                    $tail
                ))
                .bind(partners)
                .bind(agreements)
                .fetch_all(&mut **tx)
                .await?
            }
        }
    };
}
pub(super) use of_pairs;
