//! Backups that can be trusted: a consistent copy, then read back and checked.

use super::{Store, StoreError, StoreResult};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use std::path::Path;

/// What a check of a database found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Verification {
    /// Schema version.
    pub schema_version: i64,
    /// Rows of the audit trail, all of whose hashes fit.
    pub audit_rows: i64,
    /// Archived documents, all of whose bytes match their hash.
    pub archived_documents: i64,
    /// What does not fit.
    pub problems: Vec<String>,
}

impl Store {
    /// Writes a consistent copy. SQLite: `VACUUM INTO`; PostgreSQL: the server's own `pg_dump`.
    pub async fn backup(&self, to: &Path) -> StoreResult<()> {
        if to.exists() {
            return Err(StoreError::Io {
                what: format!("writing {}", to.display()),
                source: std::io::Error::new(std::io::ErrorKind::AlreadyExists, "the file exists; a backup never overwrites one"),
            });
        }
        match self {
            Self::Sqlite { write, .. } => {
                sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(write).await?;
            }
            Self::Postgres(pool) | Self::Rehearsal(pool) => {
                let options = pool.connect_options();
                let mut command = tokio::process::Command::new("pg_dump");
                command.arg("--format=custom").arg("--no-owner").arg("--file").arg(to);
                command.arg("--host").arg(
                    options.get_socket().map_or_else(|| options.get_host().to_owned(), |s| s.to_string_lossy().into_owned()),
                );
                command.arg("--port").arg(options.get_port().to_string()).arg("--username").arg(options.get_username());
                command.arg(options.get_database().unwrap_or(options.get_username()));
                command.envs(environment(&options));
                let io = |source| StoreError::Io { what: "running pg_dump".into(), source };
                let output = command.output().await.map_err(io)?;
                if !output.status.success() {
                    return Err(io(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
                }
            }
        }
        Ok(())
    }

    /// Reads everything that has a hash and compares; checks the database's own structure.
    pub async fn verify(&self) -> StoreResult<Verification> {
        let mut problems = Vec::new();
        let schema_version = self.schema_version().await?.unwrap_or(0);
        if let Self::Sqlite { read, .. } = self {
            let findings: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check").fetch_all(read).await?;
            problems.extend(findings.into_iter().filter(|f| f != "ok"));
        }
        let mut tx = self.read().await?;
        let audit_rows = match tx.verify_audit().await? {
            Ok(rows) => rows,
            Err(id) => {
                problems.push(format!("audit row {id} does not fit the chain"));
                0
            }
        };
        let ids: Vec<i64> =
            super::on!(&mut tx, c => sqlx::query_scalar("SELECT id FROM archive ORDER BY id").fetch_all(c).await?);
        let mut archived_documents = 0;
        for id in ids {
            match tx.archived_bytes(id).await {
                Ok(_) => archived_documents += 1,
                Err(StoreError::Corrupt { why, .. }) => problems.push(why),
                Err(other) => return Err(other),
            }
        }
        Ok(Verification { schema_version, audit_rows, archived_documents, problems })
    }
}

/// What `pg_dump` must know and cannot be told by an argument, which everybody on the host could read.
fn environment(options: &PgConnectOptions) -> Vec<(&'static str, String)> {
    let url = options.to_url_lossy();
    let decoded = |text: &str| url::form_urlencoded::parse(text.as_bytes()).next().map(|(word, _)| word.into_owned());
    let mut known: Vec<_> = url.password().and_then(decoded).map(|word| ("PGPASSWORD", word)).into_iter().collect();
    for (key, variable) in
        [("sslmode", "PGSSLMODE"), ("sslrootcert", "PGSSLROOTCERT"), ("sslcert", "PGSSLCERT"), ("sslkey", "PGSSLKEY")]
    {
        // A certificate is shown as `file: PATH`.
        let given = url.query_pairs().find(|(name, _)| name == key);
        known.extend(given.map(|(_, value)| (variable, value.strip_prefix("file: ").unwrap_or(&value).to_owned())));
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pg_dump_connects_as_the_url_says_whatever_the_password_is_made_of() {
        let options: PgConnectOptions =
            "postgres://r:a%26b%3Dc%2Bd%20%25@db.example/x?sslmode=verify-full&sslrootcert=/etc/ca.pem".parse().expect("a url");
        let told = environment(&options);
        let said = |name: &str| told.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!(said("PGPASSWORD"), Some("a&b=c+d %"));
        assert_eq!(said("PGSSLMODE"), Some("verify-full"));
        assert_eq!(said("PGSSLROOTCERT"), Some("/etc/ca.pem"));
        assert_eq!(said("PGSSLKEY"), None);
    }
}
