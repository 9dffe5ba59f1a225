//! Ship-and-debit: authorisations, channel stock, and what was decided on each claim line.

use super::bulk::Rows;
use super::{StoreResult, Tx, corrupt, from_row, on, shown};
use crate::core::master::{DraftAuthorization, DraftStock, StockKind};
use crate::core::master_data::circles::SINCE_EVER;
use crate::core::money::Currency;
use crate::core::number::{Exact, Micros, Rate};
use crate::core::terms::ship_and_debit::{Authorization, AuthorizedPrice, Decision, Outcome, Reason};
use chrono::NaiveDate;

/// What was decided on a claim line, or on stock on hand when a price fell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDecision {
    /// Document; 0 for stock on hand.
    pub document_id: i64,
    /// Line number; what was compensated for stock on hand.
    pub line_number: String,
    /// Line id of the state that was decided on; 0 for stock on hand.
    pub line_id: i64,
    /// Partner that it counts for.
    pub partner_id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day of the accumulation period.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// First day of the accounting month.
    pub bucket: NaiveDate,
    /// Agreement version.
    pub version: i64,
    /// Authorisation cited, or empty.
    pub authorization: String,
    /// Hash of the facts that were decided on.
    pub facts: String,
    /// Settlement by which it is paid: it stays as it is from then on.
    pub settlement_id: Option<i64>,
    /// The decision.
    pub decision: Decision,
}

struct Raw {
    document_id: i64,
    line_number: String,
    line_id: i64,
    partner_id: i64,
    agreement: String,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    part: i64,
    bucket: NaiveDate,
    version: i64,
    number: String,
    facts: String,
    settlement_id: Option<i64>,
    outcome: String,
    reason: String,
    message: String,
    claimed: String,
    basis: String,
    amount: String,
    quantity: String,
    pool: String,
}
from_row!(Raw {
    document_id,
    line_number,
    line_id,
    partner_id,
    agreement,
    term,
    period_from,
    period_to,
    part,
    bucket,
    version,
    number,
    facts,
    settlement_id,
    outcome,
    reason,
    message,
    claimed,
    basis,
    amount,
    quantity,
    pool,
});

fn exact(text: &str) -> StoreResult<Exact> {
    text.parse::<i128>().map(Exact).map_err(|e| corrupt("claim decision", e))
}

impl Raw {
    fn into_row(self) -> StoreResult<ClaimDecision> {
        Ok(ClaimDecision {
            document_id: self.document_id,
            line_number: self.line_number,
            line_id: self.line_id,
            partner_id: self.partner_id,
            agreement: self.agreement,
            term: self.term,
            period_from: self.period_from,
            period_to: self.period_to,
            part: self.part,
            bucket: self.bucket,
            version: self.version,
            authorization: self.number,
            facts: self.facts,
            settlement_id: self.settlement_id,
            decision: Decision {
                outcome: Outcome::from_word(&self.outcome).ok_or_else(|| corrupt("claim outcome", &self.outcome))?,
                reason: Reason::from_word(&self.reason).ok_or_else(|| corrupt("claim reason", &self.reason))?,
                message: self.message,
                claimed: exact(&self.claimed)?,
                basis: exact(&self.basis)?,
                amount: exact(&self.amount)?,
                quantity: exact(&self.quantity)?,
                pool: self.pool,
            },
        })
    }
}

/// Columns of decisions in the order of [`Raw`].
macro_rules! decisions {
    ($rest:literal) => {
        concat!(
            "SELECT document_id, line_number, line_id, partner_id, agreement, term, period_from, period_to, part, bucket, version, number, facts,
                    settlement_id, outcome, reason, message, claimed, basis, amount, quantity, pool FROM claim_decision ",
            $rest
        )
    };
}

struct RawAuthorization {
    number: String,
    partner: String,
    end_customer: String,
    item: String,
    book_price_u: Option<i64>,
    price_u: Option<i64>,
    margin_e8: Option<i64>,
    currency: Option<String>,
    unit: Option<String>,
    quantity_cap_u: Option<i64>,
    shipped_from: NaiveDate,
    shipped_to: Option<NaiveDate>,
}
from_row!(RawAuthorization {
    number,
    partner,
    end_customer,
    item,
    book_price_u,
    price_u,
    margin_e8,
    currency,
    unit,
    quantity_cap_u,
    shipped_from,
    shipped_to,
});

fn named(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

impl RawAuthorization {
    fn into_row(self) -> StoreResult<Authorization> {
        let price = match (self.price_u, self.margin_e8) {
            (Some(price), _) => AuthorizedPrice::Price(Micros(price)),
            (None, Some(margin)) => AuthorizedPrice::Margin(Rate(margin)),
            (None, None) => return Err(corrupt("authorisation", format!("{} has no price", self.number))),
        };
        let currency = match self.currency {
            Some(code) => Some(Currency::parse(&code).ok_or_else(|| corrupt("currency", &code))?),
            None => None,
        };
        Ok(Authorization {
            authorization: self.number,
            partner: named(self.partner),
            end_customer: named(self.end_customer),
            item: self.item,
            book_price: self.book_price_u.map(Micros),
            price,
            currency,
            unit: self.unit,
            quantity_cap: self.quantity_cap_u.map(Micros),
            shipped_from: (self.shipped_from != SINCE_EVER).then_some(self.shipped_from),
            shipped_to: self.shipped_to,
        })
    }
}

impl Tx {
    /// Keeps a row of an authorisation; `false` when it is known. A row of the same number, partner, end customer, item
    /// and first ship date is replaced. Imported ones are in the book named "".
    pub async fn put_authorization(&mut self, book: &str, a: &DraftAuthorization, archive_id: i64) -> StoreResult<bool> {
        let changed = on!(self, c => sqlx::query(
            "INSERT INTO claim_authorization (book, number, partner, end_customer, item, shipped_from, shipped_to, book_price_u, price_u, margin_e8,
                                              currency, unit, quantity_cap_u, archive_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             ON CONFLICT (book, number, partner, end_customer, item, shipped_from) DO UPDATE SET shipped_to = EXCLUDED.shipped_to,
                 book_price_u = EXCLUDED.book_price_u, price_u = EXCLUDED.price_u, margin_e8 = EXCLUDED.margin_e8, currency = EXCLUDED.currency,
                 unit = EXCLUDED.unit, quantity_cap_u = EXCLUDED.quantity_cap_u, archive_id = EXCLUDED.archive_id
             WHERE claim_authorization.shipped_to IS DISTINCT FROM EXCLUDED.shipped_to
                OR claim_authorization.book_price_u IS DISTINCT FROM EXCLUDED.book_price_u OR claim_authorization.price_u IS DISTINCT FROM EXCLUDED.price_u
                OR claim_authorization.margin_e8 IS DISTINCT FROM EXCLUDED.margin_e8 OR claim_authorization.currency IS DISTINCT FROM EXCLUDED.currency
                OR claim_authorization.unit IS DISTINCT FROM EXCLUDED.unit OR claim_authorization.quantity_cap_u IS DISTINCT FROM EXCLUDED.quantity_cap_u")
            .bind(book).bind(&a.authorization).bind(a.partner.as_deref().unwrap_or_default())
            .bind(a.end_customer.as_deref().unwrap_or_default()).bind(&a.item).bind(a.shipped_from.unwrap_or(SINCE_EVER)).bind(a.shipped_to)
            .bind(a.book_price.map(|m| m.0)).bind(a.authorized_price.map(|m| m.0)).bind(a.authorized_margin.map(|m| m.0))
            .bind(a.currency.map(|c| c.code().to_owned())).bind(&a.unit).bind(a.quantity_cap.map(|m| m.0)).bind(archive_id)
            .execute(c).await?.rows_affected());
        Ok(changed > 0)
    }

    /// Forgets a book before its file is read anew.
    pub async fn clear_authorizations(&mut self, book: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM claim_authorization WHERE book = $1").bind(book).execute(c).await?.rows_affected());
        Ok(())
    }

    /// The rows of a book.
    pub async fn authorizations(&mut self, book: &str) -> StoreResult<Vec<Authorization>> {
        let rows: Vec<RawAuthorization> = on!(self, c => sqlx::query_as(
            "SELECT number, partner, end_customer, item, book_price_u, price_u, margin_e8, currency, unit, quantity_cap_u, shipped_from, shipped_to
             FROM claim_authorization WHERE book = $1 ORDER BY number, partner, end_customer, item, shipped_from")
            .bind(book).fetch_all(c).await?);
        rows.into_iter().map(RawAuthorization::into_row).collect()
    }

    /// Whether any authorisation has prices in a currency.
    pub async fn authorizes_in(&mut self, currency: &str) -> StoreResult<bool> {
        let found: Option<i64> = on!(self, c => sqlx::query_scalar(
            "SELECT CAST(1 AS BIGINT) FROM claim_authorization WHERE currency = $1 LIMIT 1").bind(currency).fetch_optional(c).await?);
        Ok(found.is_some())
    }

    /// Forgets what is known of a partner's stock of an item on a day, before it is told anew.
    pub async fn clear_stock(&mut self, s: &DraftStock) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM channel_stock WHERE partner = $1 AND item = $2 AND stock_on = $3")
            .bind(&s.partner).bind(&s.item).bind(s.on).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Keeps a row of channel stock; a second one of the same day and cost adds to it.
    pub async fn put_stock(&mut self, s: &DraftStock) -> StoreResult<()> {
        let receipt = s.kind == Some(StockKind::Receipt);
        on!(self, c => sqlx::query(
            "INSERT INTO channel_stock (partner, item, stock_on, kind, unit_cost_u, quantity_u) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (partner, item, stock_on, kind, unit_cost_u) DO UPDATE SET quantity_u = channel_stock.quantity_u + EXCLUDED.quantity_u")
            .bind(&s.partner).bind(&s.item).bind(s.on).bind(if receipt { "receipt" } else { "count" })
            .bind(if s.kind == Some(StockKind::Count) { NO_COST } else { s.unit_cost.map_or(NO_COST, |m| m.0) })
            .bind(s.quantity.0).execute(c).await?.rows_affected());
        Ok(())
    }

    /// All channel stock: partner code, item code, day, whether it came in, unit cost, quantity.
    pub async fn channel_stock(&mut self) -> StoreResult<Vec<(String, String, NaiveDate, bool, Option<Micros>, Micros)>> {
        let rows: Vec<(String, String, NaiveDate, String, i64, i64)> = on!(self, c => sqlx::query_as(
            "SELECT partner, item, stock_on, kind, unit_cost_u, quantity_u FROM channel_stock ORDER BY partner, item, stock_on, kind, unit_cost_u")
            .fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(partner, item, on, kind, cost, quantity)| {
                (partner, item, on, kind == "receipt", (cost != NO_COST).then_some(Micros(cost)), Micros(quantity))
            })
            .collect())
    }

    /// Claims have to be decided again. Names why.
    pub async fn mark_claims(&mut self, reason: &str) -> StoreResult<()> {
        self.share_folding().await?;
        on!(self, c => sqlx::query("INSERT INTO dirty_claims (reason) VALUES ($1) ON CONFLICT (reason) DO NOTHING")
            .bind(&*shown(reason)).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Why claims have to be decided again; empty where they do not.
    pub async fn marked_claims(&mut self) -> StoreResult<Vec<String>> {
        Ok(on!(self, c => sqlx::query_scalar("SELECT reason FROM dirty_claims ORDER BY reason").fetch_all(c).await?))
    }
    /// Forgets the marks once claims are decided.
    pub async fn clear_claim_marks(&mut self) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM dirty_claims").execute(c).await?.rows_affected());
        Ok(())
    }

    /// Partners whose documents claim something, and those that decisions count for.
    pub async fn partners_with_claims(&mut self) -> StoreResult<Vec<i64>> {
        Ok(on!(self, c => sqlx::query_scalar(
            "SELECT partner_id FROM claim_decision
             UNION SELECT partner_id FROM document WHERE document_type IN ('claim', 'resale') AND partner_id IS NOT NULL").fetch_all(c).await?))
    }

    /// Every decision.
    pub async fn claim_decisions(&mut self) -> StoreResult<Vec<ClaimDecision>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(decisions!("ORDER BY document_id, line_number")).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }
    /// Decisions that count for a partner under an agreement.
    pub async fn claim_decisions_of(&mut self, partner_id: i64, agreement: &str) -> StoreResult<Vec<ClaimDecision>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(
            decisions!("WHERE partner_id = $1 AND agreement = $2 ORDER BY document_id, line_number"))
            .bind(partner_id).bind(agreement).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }
    /// Decisions on the lines of a document.
    pub async fn claim_decisions_on(&mut self, document_id: i64) -> StoreResult<Vec<ClaimDecision>> {
        let rows: Vec<Raw> = on!(self, c => sqlx::query_as(decisions!("WHERE document_id = $1 ORDER BY line_number"))
            .bind(document_id).fetch_all(c).await?);
        rows.into_iter().map(Raw::into_row).collect()
    }

    /// Writes decisions that are new or changed.
    pub async fn put_claim_decisions(&mut self, list: &[ClaimDecision]) -> StoreResult<()> {
        let mut rows = Rows::of(
            "claim_decision",
            [
                "document_id",
                "line_number",
                "line_id",
                "partner_id",
                "agreement",
                "term",
                "period_from",
                "period_to",
                "part",
                "bucket",
                "version",
                "number",
                "facts",
                "settlement_id",
                "outcome",
                "reason",
                "message",
                "claimed",
                "basis",
                "amount",
                "quantity",
                "pool",
            ],
            list.len(),
        );
        for d in list {
            rows.push([
                d.document_id.into(),
                (&d.line_number).into(),
                d.line_id.into(),
                d.partner_id.into(),
                (&d.agreement).into(),
                (&d.term).into(),
                d.period_from.into(),
                d.period_to.into(),
                d.part.into(),
                d.bucket.into(),
                d.version.into(),
                (&d.authorization).into(),
                (&d.facts).into(),
                d.settlement_id.into(),
                d.decision.outcome.word().into(),
                d.decision.reason.word().into(),
                shown(&d.decision.message).into_owned().into(),
                d.decision.claimed.0.to_string().into(),
                d.decision.basis.0.to_string().into(),
                d.decision.amount.0.to_string().into(),
                d.decision.quantity.0.to_string().into(),
                (&d.decision.pool).into(),
            ]);
        }
        self.upsert_rows(
            rows,
            "ON CONFLICT (document_id, line_number) DO UPDATE SET line_id = EXCLUDED.line_id, partner_id = EXCLUDED.partner_id, agreement = EXCLUDED.agreement,
                 term = EXCLUDED.term, period_from = EXCLUDED.period_from, period_to = EXCLUDED.period_to, part = EXCLUDED.part, bucket = EXCLUDED.bucket,
                 version = EXCLUDED.version, number = EXCLUDED.number, facts = EXCLUDED.facts, settlement_id = EXCLUDED.settlement_id,
                 outcome = EXCLUDED.outcome, reason = EXCLUDED.reason, message = EXCLUDED.message, claimed = EXCLUDED.claimed, basis = EXCLUDED.basis,
                 amount = EXCLUDED.amount, quantity = EXCLUDED.quantity, pool = EXCLUDED.pool",
        )
        .await
    }

    /// Forgets the decision on a line that is no longer there.
    pub async fn drop_claim_decision(&mut self, document_id: i64, line_number: &str) -> StoreResult<()> {
        on!(self, c => sqlx::query("DELETE FROM claim_decision WHERE document_id = $1 AND line_number = $2")
            .bind(document_id).bind(line_number).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Settlements whose decisions were looked up already.
    pub async fn settlements_with_claims_kept(&mut self) -> StoreResult<Vec<i64>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT settlement_id FROM claim_settlement ORDER BY settlement_id").fetch_all(c).await?),
        )
    }
    /// Notes that the decisions behind a settlement are kept.
    pub async fn keep_claims_of(&mut self, settlement_id: i64) -> StoreResult<()> {
        on!(self, c => sqlx::query("INSERT INTO claim_settlement (settlement_id) VALUES ($1) ON CONFLICT (settlement_id) DO NOTHING")
            .bind(settlement_id).execute(c).await?.rows_affected());
        Ok(())
    }
    /// Marks the decision on a line as paid by a settlement; it stays with the first one.
    pub async fn settle_claim(&mut self, document_id: i64, line_number: &str, settlement_id: i64) -> StoreResult<()> {
        on!(self, c => sqlx::query(
            "UPDATE claim_decision SET settlement_id = $3 WHERE document_id = $1 AND line_number = $2 AND settlement_id IS NULL")
            .bind(document_id).bind(line_number).bind(settlement_id).execute(c).await?.rows_affected());
        Ok(())
    }

    /// Names and tax numbers of all partners, old ones and aliases too: partner id, name, tax number.
    pub async fn partner_names(&mut self) -> StoreResult<Vec<(i64, String, Option<String>)>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT partner_id, name, tax_id FROM partner_fact
             UNION SELECT partner_id, alias, NULL FROM partner_alias ORDER BY 1, 2").fetch_all(c).await?))
    }
}

/// Stands for a cost that is not known: a part of the key cannot be NULL.
const NO_COST: i64 = -1;
