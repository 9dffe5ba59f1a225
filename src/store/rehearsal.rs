//! A store to try things on: everything written to it is gone afterwards.
//!
//! SQLite: a copy beside the database, removed at the end. PostgreSQL: one connection in one
//! transaction that is never committed; every transaction of the rehearsal is a savepoint in it.

use super::{Store, StoreError, StoreResult};
use sqlx::Connection;
use sqlx::postgres::PgPoolOptions;
use std::path::{Path, PathBuf};

/// A rehearsal under way. [`Rehearsal::end`] takes everything back; so does dropping it, but for the
/// file of the copy.
#[derive(Debug)]
pub struct Rehearsal {
    store: Store,
    copy: Option<PathBuf>,
}

fn files_of(copy: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|ending| {
        let mut name = copy.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

impl Rehearsal {
    /// The store as it is now, to be written to without consequences.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Takes everything back.
    pub async fn end(self) -> StoreResult<()> {
        // Closing the connection ends the transaction without a commit.
        self.store.close().await;
        for file in self.copy.iter().flat_map(|copy| files_of(copy)) {
            if let Err(source) = std::fs::remove_file(&file)
                && source.kind() != std::io::ErrorKind::NotFound
            {
                return Err(StoreError::Io { what: format!("removing {}", file.display()), source });
            }
        }
        Ok(())
    }
}

impl Store {
    /// Starts a rehearsal on the store as it is.
    pub async fn rehearse(&self) -> StoreResult<Rehearsal> {
        match self {
            Self::Sqlite { path, .. } => {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".dry-run-{}", std::process::id()));
                let copy = PathBuf::from(name);
                // What an earlier process of the same number left behind is of no use to anybody.
                for file in files_of(&copy) {
                    let _ = std::fs::remove_file(file);
                }
                self.backup(&copy).await?;
                let store = Self::connect_file(&copy).await?;
                Ok(Rehearsal { store, copy: Some(copy) })
            }
            Self::Postgres(pool) | Self::Rehearsal(pool) => {
                let options = (*pool.connect_options()).clone();
                let single = PgPoolOptions::new()
                    .max_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None)
                    .test_before_acquire(false)
                    .connect_with(options)
                    .await?;
                let mut connection = single.acquire().await?;
                // Left open on purpose: the pool hands out this one connection, and what begins on it
                // next is a savepoint.
                std::mem::forget(connection.begin().await?);
                drop(connection);
                Ok(Rehearsal { store: Self::Rehearsal(single), copy: None })
            }
        }
    }
}
