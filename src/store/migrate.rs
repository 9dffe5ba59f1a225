//! Migrations: separate texts per dialect, equal version numbers. A released file is never edited.

use super::{Store, StoreError, StoreResult, Tx, on};
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use std::borrow::Cow;

const SQLITE: &[(i64, &str, &str)] = &[(1, "init", include_str!("migrations/sqlite/0001_init.sql"))];
const POSTGRES: &[(i64, &str, &str)] = &[(1, "init", include_str!("migrations/postgres/0001_init.sql"))];

fn migrator(files: &'static [(i64, &str, &str)]) -> Migrator {
    Migrator::with_migrations(
        files
            .iter()
            .map(|(version, name, sql)| {
                Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, sql.into_sql_str(), false)
            })
            .collect(),
    )
}

/// Newest schema version this program knows.
pub fn latest_version() -> i64 {
    SQLITE.last().map_or(0, |m| m.0)
}

impl Store {
    /// Brings the schema up to date; refuses a schema that is newer than the program.
    pub async fn migrate(&self) -> StoreResult<()> {
        if let Some(found) = self.schema_version().await?
            && found > latest_version()
        {
            return Err(StoreError::TooNew { found, known: latest_version() });
        }
        match self {
            Self::Sqlite { write, .. } => migrator(SQLITE).run(write).await?,
            Self::Postgres(pool) | Self::Rehearsal(pool) => migrator(POSTGRES).run(pool).await?,
        }
        Ok(())
    }

    /// Schema version found, `None` in an empty database.
    pub async fn schema_version(&self) -> StoreResult<Option<i64>> {
        let mut tx = self.read().await?;
        let exists: i64 = match &mut tx {
            Tx::Sqlite(c) => {
                sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
                    .fetch_one(&mut **c)
                    .await?
            }
            Tx::Postgres(c) => {
                sqlx::query_scalar(
                    "SELECT COUNT(*) FROM pg_tables WHERE tablename = '_sqlx_migrations' AND schemaname = current_schema()",
                )
                .fetch_one(&mut **c)
                .await?
            }
        };
        if exists == 0 {
            return Ok(None);
        }
        Ok(on!(&mut tx, c => sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(c).await?))
    }
}
