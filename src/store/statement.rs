//! Statements as stored figures, numbered by revision.

use super::{StoreResult, Tx, from_row, on};
use chrono::{DateTime, NaiveDate, Utc};

/// A stored statement.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StatementRow {
    /// Id.
    pub id: i64,
    /// Partner code.
    pub partner: String,
    /// First day.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 1, 2, ...
    pub revision: i64,
    /// Figures as JSON text.
    pub figures: String,
    /// Hash of the figures.
    pub sha256: String,
    /// Business day it was written for.
    pub business_day: NaiveDate,
}

/// A statement without its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementHead {
    /// Id.
    pub id: i64,
    /// First day.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 1, 2, ...
    pub revision: i64,
}
from_row!(StatementHead { id, period_from, period_to, revision });

type Columns = (i64, String, NaiveDate, NaiveDate, i64, String, String, NaiveDate);

fn row(c: Columns) -> StatementRow {
    StatementRow {
        id: c.0,
        partner: c.1,
        period_from: c.2,
        period_to: c.3,
        revision: c.4,
        figures: c.5,
        sha256: c.6,
        business_day: c.7,
    }
}

impl Tx {
    /// Newest revision of a partner's statement for a period.
    pub async fn latest_statement(&mut self, partner: &str, from: NaiveDate, to: NaiveDate) -> StoreResult<Option<StatementRow>> {
        let found: Option<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, partner, period_from, period_to, revision, figures, sha256, business_day FROM statement
             WHERE partner = $1 AND period_from = $2 AND period_to = $3 ORDER BY revision DESC LIMIT 1")
            .bind(partner).bind(from).bind(to).fetch_optional(c).await?);
        Ok(found.map(row))
    }
    /// Newest revisions of a partner's statements for periods that ended before a day: the latest period first, of two that
    /// end on one day the one written last.
    pub async fn statements_before(&mut self, partner: &str, day: NaiveDate) -> StoreResult<Vec<StatementHead>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT id, period_from, period_to, revision FROM statement s WHERE partner = $1 AND period_to < $2 AND revision = (
                 SELECT MAX(revision) FROM statement n WHERE n.partner = s.partner AND n.period_from = s.period_from AND n.period_to = s.period_to)
             ORDER BY period_to DESC, id DESC").bind(partner).bind(day).fetch_all(c).await?))
    }
    /// A statement by id.
    pub async fn statement(&mut self, id: i64) -> StoreResult<Option<StatementRow>> {
        let found: Option<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, partner, period_from, period_to, revision, figures, sha256, business_day FROM statement WHERE id = $1")
            .bind(id).fetch_optional(c).await?);
        Ok(found.map(row))
    }
    /// All statements, newest last.
    pub async fn statements(&mut self) -> StoreResult<Vec<StatementRow>> {
        let rows: Vec<Columns> = on!(self, c => sqlx::query_as(
            "SELECT id, partner, period_from, period_to, revision, figures, sha256, business_day FROM statement ORDER BY id").fetch_all(c).await?);
        Ok(rows.into_iter().map(row).collect())
    }
    /// Stores the next revision and returns its id and number.
    pub async fn add_statement(&mut self, s: &StatementRow, now: DateTime<Utc>) -> StoreResult<i64> {
        let id = self.take_id("statement").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO statement (id, partner, period_from, period_to, revision, figures, sha256, business_day, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(id).bind(&s.partner).bind(s.period_from).bind(s.period_to).bind(s.revision).bind(&s.figures).bind(&s.sha256)
            .bind(s.business_day).bind(now).execute(c).await?.rows_affected());
        Ok(id)
    }
}
