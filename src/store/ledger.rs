//! The accrual ledger and the earned figures behind it: append-only, both.

use super::bulk::Rows;
use super::pairs::of_pairs;
use super::{StoreResult, Tx, corrupt, from_row, on, whole};
use crate::core::number::{Fine, Micros};
use chrono::{DateTime, NaiveDate, Utc};

/// An earned figure to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEarned {
    /// Partner.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Newest version that took part.
    pub version: i64,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Currency code.
    pub currency: String,
    /// Qualifier, cut to micro-units.
    pub qualifier: Micros,
    /// Base, cut to micro-units.
    pub base: Micros,
    /// Index of the tier reached.
    pub tier: Option<i64>,
    /// Benefit before rounding.
    pub unrounded: Fine,
    /// Earned.
    pub earned: Micros,
    /// Goods without charge, in the term's unit.
    pub free_goods: Micros,
}

/// A stored earned figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarnedRow {
    /// Id.
    pub id: i64,
    /// The figure.
    pub figure: NewEarned,
    /// Business day on which it was found.
    pub business_day: NaiveDate,
}

/// A ledger entry to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Partner.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Agreement version.
    pub version: i64,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Accounting month it is booked in.
    pub accounting_month: NaiveDate,
    /// Accounting month it is about.
    pub for_month: NaiveDate,
    /// Kind word.
    pub kind: String,
    /// Signed amount.
    pub amount: Micros,
    /// Currency code.
    pub currency: String,
    /// Settlement, for entries of kind settlement.
    pub settlement_id: Option<i64>,
    /// 1, 2, ... among the entries of its key that clear the same settlement, or that clear none: one more than its maker
    /// found when the amount was reckoned. Of two entries reckoned from the same state the database takes one.
    pub seq: i64,
    /// Why, naming documents or versions.
    pub reason: String,
}

/// A stored ledger entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Id.
    pub id: i64,
    /// The entry.
    pub entry: NewEntry,
    /// Business day on which it was booked.
    pub business_day: NaiveDate,
}

/// What the ledger holds for one key and month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookedRow {
    /// Partner.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Accounting month it is about.
    pub for_month: NaiveDate,
    /// Sum of the bookings (settlements and write-offs apart), in micro-units.
    pub amount_u: i64,
    /// How many bookings there are.
    pub bookings: i64,
    /// How many entries clear no settlement.
    pub numbered: i64,
}
from_row!(BookedRow { partner_id, agreement, term, period_from, period_to, part, for_month, amount_u, bookings, numbered });

struct RawEarned {
    id: i64,
    partner_id: i64,
    agreement: String,
    version: i64,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    part: i64,
    currency: String,
    business_day: NaiveDate,
    qualifier_u: i64,
    base_u: i64,
    tier: Option<i64>,
    unrounded: String,
    earned_u: i64,
    free_goods_u: i64,
}
from_row!(RawEarned {
    id,
    partner_id,
    agreement,
    version,
    term,
    period_from,
    period_to,
    part,
    currency,
    business_day,
    qualifier_u,
    base_u,
    tier,
    unrounded,
    earned_u,
    free_goods_u
});

impl RawEarned {
    fn into_row(self) -> StoreResult<EarnedRow> {
        Ok(EarnedRow {
            id: self.id,
            business_day: self.business_day,
            figure: NewEarned {
                partner_id: self.partner_id,
                agreement: self.agreement,
                version: self.version,
                term: self.term,
                period_from: self.period_from,
                period_to: self.period_to,
                part: self.part,
                currency: self.currency,
                qualifier: Micros(self.qualifier_u),
                base: Micros(self.base_u),
                tier: self.tier,
                unrounded: Fine(self.unrounded.parse().map_err(|e| corrupt("earned figure", e))?),
                earned: Micros(self.earned_u),
                free_goods: Micros(self.free_goods_u),
            },
        })
    }
}

struct RawEntry {
    id: i64,
    partner_id: i64,
    agreement: String,
    version: i64,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    part: i64,
    accounting_month: NaiveDate,
    for_month: NaiveDate,
    kind: String,
    amount_u: i64,
    currency: String,
    business_day: NaiveDate,
    settlement_id: Option<i64>,
    reason: String,
    seq: i64,
}
from_row!(RawEntry {
    id,
    partner_id,
    agreement,
    version,
    term,
    period_from,
    period_to,
    part,
    accounting_month,
    for_month,
    kind,
    amount_u,
    currency,
    business_day,
    settlement_id,
    reason,
    seq
});

impl RawEntry {
    fn into_row(self) -> EntryRow {
        EntryRow {
            id: self.id,
            business_day: self.business_day,
            entry: NewEntry {
                partner_id: self.partner_id,
                agreement: self.agreement,
                version: self.version,
                term: self.term,
                period_from: self.period_from,
                period_to: self.period_to,
                part: self.part,
                accounting_month: self.accounting_month,
                for_month: self.for_month,
                kind: self.kind,
                amount: Micros(self.amount_u),
                currency: self.currency,
                settlement_id: self.settlement_id,
                seq: self.seq,
                reason: self.reason,
            },
        }
    }
}

impl Tx {
    /// Newest earned figures of everything, as of a business day.
    pub async fn all_earned_figures(&mut self, as_of: NaiveDate) -> StoreResult<Vec<EarnedRow>> {
        let rows: Vec<RawEarned> = on!(self, c => sqlx::query_as(
            "SELECT e.id, e.partner_id, e.agreement, e.version, e.term, e.period_from, e.period_to, e.part, e.currency, e.business_day, e.qualifier_u, e.base_u,
                    e.tier, e.unrounded, e.earned_u, e.free_goods_u
             FROM earned_figure e JOIN (
                 SELECT MAX(id) AS id FROM earned_figure WHERE business_day <= $1 GROUP BY partner_id, agreement, term, period_from, period_to, part) n ON n.id = e.id
             ORDER BY e.agreement, e.partner_id, e.term, e.period_from, e.period_to, e.part").bind(as_of).fetch_all(c).await?);
        rows.into_iter().map(RawEarned::into_row).collect()
    }

    /// Appends earned figures.
    pub async fn append_earned(
        &mut self,
        figures: &[NewEarned],
        business_day: NaiveDate,
        run_id: Option<i64>,
    ) -> StoreResult<()> {
        if figures.is_empty() {
            return Ok(());
        }
        let first = self.take_ids("earned_figure", i64::try_from(figures.len()).unwrap_or(i64::MAX)).await?;
        let mut rows = Rows::of(
            "earned_figure",
            [
                "id",
                "partner_id",
                "agreement",
                "version",
                "term",
                "period_from",
                "period_to",
                "part",
                "currency",
                "business_day",
                "run_id",
                "qualifier_u",
                "base_u",
                "tier",
                "unrounded",
                "earned_u",
                "free_goods_u",
            ],
            figures.len(),
        );
        for (id, f) in (first..).zip(figures) {
            whole("an earned figure", f.earned, &f.currency)?;
            rows.push([
                id.into(),
                f.partner_id.into(),
                (&f.agreement).into(),
                f.version.into(),
                (&f.term).into(),
                f.period_from.into(),
                f.period_to.into(),
                f.part.into(),
                (&f.currency).into(),
                business_day.into(),
                run_id.into(),
                f.qualifier.0.into(),
                f.base.0.into(),
                f.tier.into(),
                f.unrounded.0.to_string().into(),
                f.earned.0.into(),
                f.free_goods.0.into(),
            ]);
        }
        self.insert_rows(rows).await
    }

    /// Appends ledger entries.
    ///
    /// # Errors
    /// [`super::StoreError::Changed`] when one would go into a closed month: it was closed after its entry was reckoned;
    /// [`super::StoreError::TooFine`] for an amount that is no whole number of minor units.
    pub async fn append_entries(
        &mut self,
        entries: &[NewEntry],
        business_day: NaiveDate,
        run_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.refuse_closed(entries.iter().map(|e| e.accounting_month)).await?;
        let first = self.take_ids("accrual_entry", i64::try_from(entries.len()).unwrap_or(i64::MAX)).await?;
        let mut rows = Rows::of(
            "accrual_entry",
            [
                "id",
                "partner_id",
                "agreement",
                "version",
                "term",
                "period_from",
                "period_to",
                "part",
                "accounting_month",
                "for_month",
                "kind",
                "amount_u",
                "currency",
                "business_day",
                "run_id",
                "settlement_id",
                "reason",
                "created_at",
                "seq",
            ],
            entries.len(),
        );
        for (id, e) in (first..).zip(entries) {
            whole("a ledger entry", e.amount, &e.currency)?;
            rows.push([
                id.into(),
                e.partner_id.into(),
                (&e.agreement).into(),
                e.version.into(),
                (&e.term).into(),
                e.period_from.into(),
                e.period_to.into(),
                e.part.into(),
                e.accounting_month.into(),
                e.for_month.into(),
                (&e.kind).into(),
                e.amount.0.into(),
                (&e.currency).into(),
                business_day.into(),
                run_id.into(),
                e.settlement_id.into(),
                (&e.reason).into(),
                now.into(),
                e.seq.into(),
            ]);
        }
        self.insert_rows(rows).await
    }

    /// Newest earned figures of pairs of partner and agreement.
    pub async fn earned_of_pairs(&mut self, pairs: &[(i64, &str)]) -> StoreResult<Vec<EarnedRow>> {
        let rows: Vec<RawEarned> = of_pairs!(
            self,
            pairs,
            "SELECT t.id, t.partner_id, t.agreement, t.version, t.term, t.period_from, t.period_to, t.part, t.currency, t.business_day, t.qualifier_u,
                    t.base_u, t.tier, t.unrounded, t.earned_u, t.free_goods_u",
            "earned_figure",
            "AND t.id = (SELECT MAX(id) FROM earned_figure x WHERE x.partner_id = t.partner_id AND x.agreement = t.agreement AND x.term = t.term
                AND x.period_from = t.period_from AND x.period_to = t.period_to AND x.part = t.part)"
        );
        rows.into_iter().map(RawEarned::into_row).collect()
    }

    /// What is booked for pairs of partner and agreement, by key and month it is about.
    pub async fn booked_of_pairs(&mut self, pairs: &[(i64, &str)]) -> StoreResult<Vec<BookedRow>> {
        Ok(of_pairs!(
            self,
            pairs,
            "SELECT t.partner_id, t.agreement, t.term, t.period_from, t.period_to, t.part, t.for_month,
                    CAST(SUM(CASE WHEN t.kind IN ('settlement', 'write-off') THEN 0 ELSE t.amount_u END) AS BIGINT),
                    CAST(SUM(CASE WHEN t.kind IN ('settlement', 'write-off') THEN 0 ELSE 1 END) AS BIGINT),
                    CAST(SUM(CASE WHEN t.settlement_id IS NULL THEN 1 ELSE 0 END) AS BIGINT)",
            "accrual_entry",
            "GROUP BY t.partner_id, t.agreement, t.term, t.period_from, t.period_to, t.part, t.for_month"
        ))
    }

    /// Ledger entries of one agreement and partner in booking order.
    pub async fn entries(&mut self, partner_id: i64, agreement: &str) -> StoreResult<Vec<EntryRow>> {
        let rows: Vec<RawEntry> = on!(self, c => sqlx::query_as(
            "SELECT id, partner_id, agreement, version, term, period_from, period_to, part, accounting_month, for_month, kind, amount_u, currency, business_day, settlement_id, reason, seq
             FROM accrual_entry WHERE partner_id = $1 AND agreement = $2 ORDER BY id").bind(partner_id).bind(agreement).fetch_all(c).await?);
        Ok(rows.into_iter().map(RawEntry::into_row).collect())
    }

    /// All ledger entries in booking order.
    pub async fn all_entries(&mut self) -> StoreResult<Vec<EntryRow>> {
        let rows: Vec<RawEntry> = on!(self, c => sqlx::query_as(
            "SELECT id, partner_id, agreement, version, term, period_from, period_to, part, accounting_month, for_month, kind, amount_u, currency, business_day, settlement_id, reason, seq
             FROM accrual_entry ORDER BY id").fetch_all(c).await?);
        Ok(rows.into_iter().map(RawEntry::into_row).collect())
    }
}
