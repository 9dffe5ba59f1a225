//! The only SQL: one file per noun, the same statements on SQLite and PostgreSQL.
//!
//! [`Store`] opens the database and hands out transactions; every noun's methods are methods of
//! [`Tx`], so that what belongs together commits together. Write transactions on SQLite start with
//! `BEGIN IMMEDIATE`: one that reads first and writes later would fail at once when somebody else
//! wrote in between (case 33). Amounts are micro-units in columns ending in `_u`.

mod accumulator;
mod agreement;
mod archive;
mod audit;
pub mod backup;
mod baseline;
mod bulk;
mod claim;
mod document;
mod exception;
mod folding;
mod ids;
mod ledger;
mod line;
mod mail;
mod master;
mod memo;
mod migrate;
mod pairs;
mod period;
mod rehearsal;
mod run;
mod settlement;
mod statement;
mod stored_document;
mod user;

pub use accumulator::{AccumulatorRow, MarkedKey};
pub use agreement::{AgreementRow, NewAgreementVersion};
pub use archive::{ArchiveMeta, BY_HAND, NewArchive, ReadSend, WorkCounts};
pub use audit::AuditRow;
pub use baseline::{BaselineKind, StandingBaseline};
pub use claim::ClaimDecision;
pub use document::{DocumentHead, DocumentRow, Identity};
pub use exception::{ExceptionFilter, ExceptionRow, NewException};
pub use ledger::{BookedRow, EarnedRow, EntryRow, NewEarned, NewEntry};
pub use line::{NewLine, PendingRow};
pub use mail::MailRow;
pub use master::{MasterChange, PartnerHead};
pub use memo::{ErpMemoRow, MemoOutboxRow};
pub use migrate::latest_version;
pub use rehearsal::Rehearsal;
pub use run::{RunRow, StageRow};
pub use settlement::{ApprovalRow, SettlementPart, SettlementRow};
pub use statement::{StatementHead, StatementRow};
pub use stored_document::StoredDocument;
pub use user::UserRow;

use crate::core::money::Currency;
use crate::core::number::Micros;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

/// Failures of the store. `Busy` is worth a second try, the others are not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    /// A migration failed.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address is neither SQLite nor PostgreSQL.
    #[error("the store address `{0}` is neither sqlite:// nor postgres://")]
    Url(String),
    /// Nobody answers there.
    #[error("the database at {at} cannot be reached: {why}")]
    Unreachable {
        /// Host and port, or the file.
        at: String,
        /// What the system or the driver said.
        why: String,
    },
    /// The schema is newer than this program.
    #[error("the database has schema version {found}, this program knows {known}; use a newer program")]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// Another writer held the database past the configured wait.
    #[error("somebody else is writing; try again")]
    Busy,
    /// What was read and decided on was changed by somebody else before the change was written.
    #[error("{0} was changed by somebody else meanwhile; look at it again")]
    Changed(String),
    /// Stored data that this program cannot read.
    #[error("stored {what} cannot be read: {why}")]
    Corrupt {
        /// Which noun.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// An amount for a place that holds whole minor units of its currency (case 33): refused, never rounded.
    #[error("{amount} {currency} is finer than the smallest unit of {currency} and cannot be stored as {what}")]
    TooFine {
        /// Which noun.
        what: &'static str,
        /// The amount.
        amount: Micros,
        /// Its currency.
        currency: String,
    },
    /// Files around the database.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The failure.
        source: std::io::Error,
    },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // Two writers that wait for each other: the server stops one of them, and nothing of its work is kept.
        let stopped = |code: &str| matches!(code, "40P01" | "40001");
        match error.as_database_error().and_then(|e| e.code()) {
            Some(code) if stopped(&code) => Self::Busy,
            _ => Self::Database(error),
        }
    }
}

/// Result of the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// Refuses an amount that is no whole number of its currency's minor units.
fn whole(what: &'static str, amount: Micros, currency: &str) -> StoreResult<()> {
    let fits = amount.fits_digits(Currency::parse(currency).map_or(2, Currency::minor_digits));
    if fits { Ok(()) } else { Err(StoreError::TooFine { what, amount, currency: currency.to_owned() }) }
}

/// An open database.
#[derive(Clone, Debug)]
pub enum Store {
    /// Embedded SQLite: one writing connection, several reading ones.
    Sqlite {
        /// The writer.
        write: SqlitePool,
        /// The readers.
        read: SqlitePool,
        /// The database file.
        path: std::path::PathBuf,
    },
    /// PostgreSQL.
    Postgres(PgPool),
    /// PostgreSQL inside one transaction that is never committed: see [`Store::rehearse`].
    Rehearsal(PgPool),
}

/// A transaction. Dropped without [`Tx::commit`], it leaves no trace.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

/// Expands one body once per database, with the concrete connection bound to the name.
macro_rules! on {
    ($tx:expr, $conn:ident => $body:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::store::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}
pub(crate) use on;

/// Reads the columns of a row by position into the fields in their order, for both databases.
macro_rules! from_row {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        $crate::store::from_row!(@one sqlx::sqlite::SqliteRow, $name { $($field),+ });
        $crate::store::from_row!(@one sqlx::postgres::PgRow, $name { $($field),+ });
    };
    (@one $row:ty, $name:ident { $($field:ident),+ }) => {
        impl<'r> sqlx::FromRow<'r, $row> for $name {
            fn from_row(row: &'r $row) -> Result<Self, sqlx::Error> {
                use sqlx::Row;
                let mut at = 0..;
                Ok(Self { $($field: row.try_get(at.next().unwrap_or_default())?),+ })
            }
        }
    };
}
pub(crate) use from_row;

/// How long a writer waits for another one before it is told to try again.
pub const WRITE_WAIT: Duration = Duration::from_secs(10);

impl Store {
    /// Opens (and for SQLite creates) the database without changing its schema.
    pub async fn connect(url: &str) -> StoreResult<Self> {
        if url.starts_with("sqlite:") {
            Self::connect_sqlite(SqliteConnectOptions::from_str(url)?.create_if_missing(true)).await
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            let options = PgConnectOptions::from_str(url)?.application_name("rebated");
            // A pool asks again until its time is up, and then only says so. The first connection tells why.
            reach(&options).await?;
            Ok(Self::Postgres(PgPoolOptions::new().max_connections(8).connect_with(options).await?))
        } else {
            Err(StoreError::Url(mask_url(url)))
        }
    }

    /// Opens a SQLite file that exists.
    async fn connect_file(path: &std::path::Path) -> StoreResult<Self> {
        Self::connect_sqlite(SqliteConnectOptions::new().filename(path)).await
    }

    async fn connect_sqlite(options: SqliteConnectOptions) -> StoreResult<Self> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            // A ledger must survive power loss: FULL costs one fsync per commit, and commits are few.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WRITE_WAIT)
            .foreign_keys(true)
            .pragma("cache_size", "-32768")
            .pragma("temp_store", "memory")
            .row_buffer_size(1024);
        let path = options.get_filename().to_path_buf();
        let write = SqlitePoolOptions::new().max_connections(1).acquire_timeout(WRITE_WAIT).connect_with(options.clone()).await;
        let write = write.map_err(|error| match error {
            // SQLITE_CANTOPEN: no such folder, or no right to it.
            sqlx::Error::Database(why) if why.code().is_some_and(|code| code == "14") => {
                StoreError::Unreachable { at: path.display().to_string(), why: why.message().to_owned() }
            }
            other => other.into(),
        })?;
        let read = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        Ok(Self::Sqlite { write, read, path })
    }

    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &str) -> StoreResult<Self> {
        let store = Self::connect(url).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// Starts a transaction that will write.
    pub async fn begin(&self) -> StoreResult<Tx> {
        match self {
            Self::Sqlite { write, .. } => match write.begin_with("BEGIN IMMEDIATE").await {
                Ok(tx) => Ok(Tx::Sqlite(tx)),
                Err(error) if is_busy(&error) => Err(StoreError::Busy),
                Err(error) => Err(error.into()),
            },
            Self::Postgres(pool) | Self::Rehearsal(pool) => Ok(Tx::Postgres(pool.begin().await?)),
        }
    }

    /// Starts a transaction that only reads: one consistent picture, never waiting for writers.
    pub async fn read(&self) -> StoreResult<Tx> {
        match self {
            Self::Sqlite { read, .. } => Ok(Tx::Sqlite(read.begin().await?)),
            Self::Postgres(pool) => Ok(Tx::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)),
            Self::Rehearsal(pool) => Ok(Tx::Postgres(pool.begin().await?)),
        }
    }

    /// `sqlite` or `postgres`.
    pub const fn dialect(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) | Self::Rehearsal(_) => "postgres",
        }
    }

    /// Closes all connections.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) | Self::Rehearsal(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Makes everything done in it lasting.
    pub async fn commit(self) -> StoreResult<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
    /// Takes everything back.
    pub async fn rollback(self) -> StoreResult<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

/// How long a database server has to answer the first time.
const REACH_WAIT: Duration = Duration::from_secs(10);

/// Connects once: refused, unknown host, wrong password and a server that is just starting are told as what they are.
async fn reach(options: &PgConnectOptions) -> StoreResult<()> {
    let at = options.get_socket().map_or_else(
        || format!("{}:{}", options.get_host(), options.get_port()),
        |socket| format!("{}, port {}", socket.display(), options.get_port()),
    );
    match tokio::time::timeout(REACH_WAIT, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection.close().await?),
        Ok(Err(sqlx::Error::Io(error))) => Err(StoreError::Unreachable { at, why: error.to_string() }),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(StoreError::Unreachable { at, why: format!("no answer in {} seconds", REACH_WAIT.as_secs()) }),
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => {
            // SQLITE_BUSY and its extended codes: the low byte is 5.
            error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
        }
        _ => false,
    }
}

/// A database address without its password.
pub fn mask_url(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            let _ = parsed.set_password(Some("***"));
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// Text of others that is only shown: not every database can hold a NUL character, and a message must
/// not fail for one.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{2400}")) } else { Cow::Borrowed(text) }
}

/// The same for text that may be missing.
pub(crate) fn shown_if(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(shown)
}

/// Turns an unreadable stored word into an error instead of a guess.
pub(crate) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what, why: why.to_string() }
}
