//! Users and their tokens. A token is shown once and kept only as its hash.

use super::{StoreResult, Tx, on};
use chrono::{DateTime, Utc};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UserRow {
    /// Name.
    pub name: String,
    /// Role.
    pub role: String,
}

impl Tx {
    /// Adds a user; `false` when the name is taken.
    pub async fn add_user(&mut self, name: &str, role: &str, now: DateTime<Utc>) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "INSERT INTO app_user (name, role, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
            .bind(name).bind(role).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }
    /// A user by name.
    pub async fn user(&mut self, name: &str) -> StoreResult<Option<UserRow>> {
        let found: Option<(String, String)> = on!(self, c => sqlx::query_as(
            "SELECT name, role FROM app_user WHERE name = $1 AND disabled_at IS NULL").bind(name).fetch_optional(c).await?);
        Ok(found.map(|(name, role)| UserRow { name, role }))
    }
    /// All users.
    pub async fn users(&mut self) -> StoreResult<Vec<UserRow>> {
        let rows: Vec<(String, String)> = on!(self, c => sqlx::query_as("SELECT name, role FROM app_user WHERE disabled_at IS NULL ORDER BY name").fetch_all(c).await?);
        Ok(rows.into_iter().map(|(name, role)| UserRow { name, role }).collect())
    }
    /// Stores a token's hash.
    pub async fn add_token(&mut self, user: &str, sha256: &str, now: DateTime<Utc>) -> StoreResult<()> {
        let id = self.take_id("user_token").await?;
        on!(self, c => sqlx::query("INSERT INTO user_token (id, user_name, token_sha256, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id).bind(user).bind(sha256).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Whose token it is.
    pub async fn user_of_token(&mut self, sha256: &str) -> StoreResult<Option<UserRow>> {
        let found: Option<(String, String)> = on!(self, c => sqlx::query_as(
            "SELECT u.name, u.role FROM user_token t JOIN app_user u ON u.name = t.user_name
             WHERE t.token_sha256 = $1 AND t.revoked_at IS NULL AND u.disabled_at IS NULL").bind(sha256).fetch_optional(c).await?);
        Ok(found.map(|(name, role)| UserRow { name, role }))
    }
    /// Ends what a user may do, for ever; `false` when there is no such user. The name stays taken.
    pub async fn disable_user(&mut self, name: &str, now: DateTime<Utc>) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query("UPDATE app_user SET disabled_at = $2 WHERE name = $1 AND disabled_at IS NULL")
            .bind(name).bind(now).execute(c).await?.rows_affected());
        Ok(done == 1)
    }
    /// Ends all tokens of a user; how many.
    pub async fn revoke_tokens(&mut self, user: &str, now: DateTime<Utc>) -> StoreResult<u64> {
        Ok(on!(self, c => sqlx::query("UPDATE user_token SET revoked_at = $2 WHERE user_name = $1 AND revoked_at IS NULL")
            .bind(user).bind(now).execute(c).await?.rows_affected()))
    }
    /// Notes that a user was shown some content of a subject.
    pub async fn note_shown(&mut self, user: &str, subject: &str, fingerprint: &str, now: DateTime<Utc>) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "INSERT INTO shown (user_name, subject, fingerprint, shown_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_name, subject) DO UPDATE SET fingerprint = EXCLUDED.fingerprint, shown_at = EXCLUDED.shown_at")
            .bind(user).bind(subject).bind(fingerprint).bind(now).execute(c).await?.rows_affected());
        Ok(())
    }
    /// The content of a subject that a user was shown last.
    pub async fn shown(&mut self, user: &str, subject: &str) -> StoreResult<Option<String>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT fingerprint FROM shown WHERE user_name = $1 AND subject = $2")
            .bind(user).bind(subject).fetch_optional(c).await?))
    }
}
