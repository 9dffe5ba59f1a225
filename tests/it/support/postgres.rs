//! A fresh PostgreSQL database for one test, in the run's throw-away cluster.
//!
//! The cluster starts with the first test that asks (`scripts/test-postgres`) and ends with the
//! run: under nextest it is shared by all processes of the run, under `cargo test` it belongs to
//! the process. Invariant: no test sees another test's database.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// An empty database of its own, dropped with the value.
pub struct Database {
    /// `postgres://...`, ready for `store.url`.
    pub url: String,
    name: String,
}

impl Database {
    /// A new database; `None`, with a loud line, only where `REBATED_TESTS_WITHOUT_POSTGRES` is set.
    /// Usable from plain and from async tests.
    pub fn fresh() -> Option<Self> {
        if std::env::var_os("REBATED_TESTS_WITHOUT_POSTGRES").is_some() {
            eprintln!("SKIPPED the PostgreSQL half of this test: REBATED_TESTS_WITHOUT_POSTGRES is set");
            return None;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        admin(format!("CREATE DATABASE {name}"));
        let url = format!("{}/{name}", cluster().rsplit_once('/').expect("cluster url has a database").0);
        Some(Self { url, name })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Connections of a killed program or of a pool still open must not keep it alive.
        admin(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

/// URL of the cluster's `postgres` database.
fn cluster() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        if let Ok(url) = std::env::var("REBATED_TEST_POSTGRES_URL") {
            return url;
        }
        let own = std::process::id();
        let (key, watched) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => (run, std::os::unix::process::parent_id()),
            Err(_) => (format!("process-{own}"), own),
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-postgres");
        let output = Command::new(script)
            .args([key, watched.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/test-postgres starts");
        assert!(
            output.status.success(),
            "no PostgreSQL for the tests; run scripts/test once, or set REBATED_TESTS_WITHOUT_POSTGRES to skip them"
        );
        String::from_utf8(output.stdout).expect("a url").trim().to_owned()
    })
}

/// Runs one administrative statement on a thread of its own, since the test may be inside a runtime.
fn admin(sql: String) {
    let url = cluster();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(url).await.expect("the test cluster answers");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("administrative statement");
            connection.close().await.ok();
        });
    })
    .join()
    .expect("administrative statement");
}

#[tokio::test]
async fn two_databases_of_one_test_know_nothing_of_each_other() {
    let (Some(one), Some(two)) = (Database::fresh(), Database::fresh()) else { return };
    let mut first = PgConnection::connect(&one.url).await.unwrap();
    let mut second = PgConnection::connect(&two.url).await.unwrap();
    sqlx::query("CREATE TABLE only_here (x BIGINT)").execute(&mut first).await.unwrap();
    assert!(sqlx::query("SELECT x FROM only_here").fetch_all(&mut second).await.is_err());
    let url = one.url.clone();
    drop(one);
    assert!(PgConnection::connect(&url).await.is_err(), "a dropped database is gone although a connection was open");
}
