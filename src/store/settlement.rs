//! Settlements, what was shown for approval, and approvals. Money leaves by these rows only.

use super::{StoreError, StoreResult, Tx, from_row, on, shown_if, whole};
use crate::core::money::Currency;
use crate::core::number::Micros;
use chrono::{DateTime, NaiveDate, Utc};

/// A settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRow {
    /// Id.
    pub id: i64,
    /// Agreement id.
    pub agreement: String,
    /// Payee code.
    pub payee: String,
    /// First day of the settlement period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// Currency code.
    pub currency: String,
    /// Number within agreement, payee, period and currency.
    pub number: i64,
    /// Reference, for ever.
    pub reference: String,
    /// Amount to pay.
    pub amount_u: i64,
    /// Balance carried forward (zero or negative, or below the minimum).
    pub carried_forward_u: i64,
    /// State word.
    pub state: String,
    /// Revision of the content.
    pub revision: i64,
    /// Fingerprint of the content.
    pub fingerprint: String,
    /// Payout method word.
    pub method: String,
    /// Connector.
    pub connector: Option<String>,
    /// Who prepared it.
    pub maker: String,
    /// Document in the ERP.
    pub erp_document: Option<String>,
    /// Business day on which it was proposed or last revised.
    pub business_day: NaiveDate,
    /// Why it was rejected.
    pub reason: Option<String>,
}
from_row!(SettlementRow {
    id,
    agreement,
    payee,
    period_from,
    period_to,
    currency,
    number,
    reference,
    amount_u,
    carried_forward_u,
    state,
    revision,
    fingerprint,
    method,
    connector,
    maker,
    erp_document,
    business_day,
    reason,
});

impl SettlementRow {
    fn whole(&self, parts: &[SettlementPart]) -> StoreResult<()> {
        whole("a settlement", self.amount(), &self.currency)?;
        whole("a balance carried forward", Micros(self.carried_forward_u), &self.currency)?;
        parts.iter().try_for_each(|part| whole("a part of a settlement", Micros(part.amount_u), &self.currency))
    }
    /// Amount to pay.
    pub const fn amount(&self) -> Micros {
        Micros(self.amount_u)
    }
    /// An amount of it with the decimals of its currency.
    pub fn money(&self, amount: Micros) -> String {
        Currency::parse(&self.currency).map_or_else(|| amount.to_string(), |currency| currency.amount_text(amount))
    }
    /// Whether it has left the house, or may have.
    pub fn is_out(&self) -> bool {
        matches!(self.state.as_str(), "sending" | "sent" | "unknown" | "confirmed")
    }
    /// Whether its content may still be revised.
    pub fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "proposed" | "approved" | "empty")
    }
}

/// The part of a settlement that one key is paid.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SettlementPart {
    /// Partner.
    pub partner_id: i64,
    /// Term id.
    pub term: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Last day.
    pub period_to: NaiveDate,
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Amount; negative where an overpayment is set off.
    pub amount_u: i64,
}
from_row!(SettlementPart { partner_id, term, period_from, period_to, part, amount_u });

struct PartOf {
    settlement_id: i64,
    partner_id: i64,
    term: String,
    period_from: NaiveDate,
    period_to: NaiveDate,
    part: i64,
    amount_u: i64,
}
from_row!(PartOf { settlement_id, partner_id, term, period_from, period_to, part, amount_u });

impl PartOf {
    fn split(self) -> (i64, SettlementPart) {
        let Self { settlement_id, partner_id, term, period_from, period_to, part, amount_u } = self;
        (settlement_id, SettlementPart { partner_id, term, period_from, period_to, part, amount_u })
    }
}

/// An approval.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ApprovalRow {
    /// Id.
    pub id: i64,
    /// Settlement.
    pub settlement_id: i64,
    /// Content it was given for.
    pub fingerprint: String,
    /// Who approved.
    pub approver: String,
    /// When.
    pub approved_at: DateTime<Utc>,
    /// Why it no longer counts.
    pub void_reason: Option<String>,
}
from_row!(ApprovalRow { id, settlement_id, fingerprint, approver, approved_at, void_reason });

/// All columns of settlements, with the rest of the statement.
macro_rules! settlements {
    ($rest:literal) => {
        concat!(
            "SELECT id, agreement, payee, period_from, period_to, currency, number, reference, amount_u, carried_forward_u, state, revision, \
             fingerprint, method, connector, maker, erp_document, business_day, reason FROM settlement ",
            $rest
        )
    };
}

impl Tx {
    /// All settlements by id.
    pub async fn settlements(&mut self) -> StoreResult<Vec<SettlementRow>> {
        Ok(on!(self, c => sqlx::query_as(
            settlements!("ORDER BY id")).fetch_all(c).await?))
    }
    /// Settlements of an agreement and payee by period and number.
    pub async fn settlements_of(&mut self, agreement: &str, payee: &str) -> StoreResult<Vec<SettlementRow>> {
        Ok(on!(self, c => sqlx::query_as(
            settlements!("WHERE agreement = $1 AND payee = $2 ORDER BY period_from, number, id"))
            .bind(agreement).bind(payee).fetch_all(c).await?))
    }
    /// One settlement.
    pub async fn settlement(&mut self, id: i64) -> StoreResult<Option<SettlementRow>> {
        Ok(on!(self, c => sqlx::query_as(
            settlements!("WHERE id = $1")).bind(id).fetch_optional(c).await?))
    }
    /// All settlements of an agreement by id, locked: until this transaction ends nobody else proposes, approves, rejects or
    /// sends one of them. Whoever changes a settlement takes this lock before anything else, so that nobody decides on
    /// content that is just being replaced.
    pub async fn lock_settlements(&mut self, agreement: &str) -> StoreResult<Vec<SettlementRow>> {
        // SQLite has one writer at a time. The rows alone are not enough on PostgreSQL: a second proposer would not see the first one's new ones.
        if let Tx::Postgres(c) = self {
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('settlements of ' || $1, 0))")
                .bind(agreement)
                .execute(&mut **c)
                .await?;
        }
        Ok(on!(self, c => sqlx::query_as(settlements!("WHERE agreement = $1 ORDER BY id")).bind(agreement).fetch_all(c).await?))
    }
    /// One settlement, with its whole agreement locked.
    pub async fn lock_settlement(&mut self, id: i64) -> StoreResult<Option<SettlementRow>> {
        let Some(found) = self.settlement(id).await? else { return Ok(None) };
        Ok(self.lock_settlements(&found.agreement).await?.into_iter().find(|s| s.id == id))
    }

    /// Inserts a settlement and its first revision.
    pub async fn add_settlement(
        &mut self,
        s: &SettlementRow,
        parts: &[SettlementPart],
        snapshot: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<i64> {
        s.whole(parts)?;
        let id = self.take_id("settlement").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO settlement (id, agreement, payee, period_from, period_to, currency, number, reference, amount_u, carried_forward_u, state, revision, fingerprint,
                                     method, connector, maker, erp_document, business_day, reason, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)")
            .bind(id).bind(&s.agreement).bind(&s.payee).bind(s.period_from).bind(s.period_to).bind(&s.currency).bind(s.number).bind(&s.reference)
            .bind(s.amount_u).bind(s.carried_forward_u).bind(&s.state).bind(s.revision).bind(&s.fingerprint).bind(&s.method).bind(&s.connector)
            .bind(&s.maker).bind(&s.erp_document).bind(s.business_day).bind(&s.reason).bind(now).execute(c).await?.rows_affected());
        self.put_revision(id, s, parts, snapshot, now).await?;
        Ok(id)
    }

    /// Gives an open settlement new content under the same reference. `before` is the row as it was read.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer as it was read; nothing is written then.
    pub async fn revise_settlement(
        &mut self,
        before: &SettlementRow,
        s: &SettlementRow,
        parts: &[SettlementPart],
        snapshot: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        s.whole(parts)?;
        let done = on!(self, c => sqlx::query(
            "UPDATE settlement SET amount_u = $2, carried_forward_u = $3, state = $4, revision = $5, fingerprint = $6, method = $7, connector = $8, maker = $9,
                    business_day = $10, reason = NULL, updated_at = $11
             WHERE id = $1 AND state = $12 AND revision = $13 AND fingerprint = $14
               AND state IN ('proposed', 'approved', 'empty', 'rejected', 'withdrawn')")
            .bind(s.id).bind(s.amount_u).bind(s.carried_forward_u).bind(&s.state).bind(s.revision).bind(&s.fingerprint).bind(&s.method)
            .bind(&s.connector).bind(&s.maker).bind(s.business_day).bind(now).bind(&before.state).bind(before.revision).bind(&before.fingerprint)
            .execute(c).await?.rows_affected());
        if done != 1 {
            return Err(StoreError::Changed(format!("settlement {}", s.id)));
        }
        self.put_revision(s.id, s, parts, snapshot, now).await
    }

    /// Gives a settlement that is out the amount at which the other system holds its memo. `before` is the row as it was read.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is no longer as it was read; nothing is written then.
    pub async fn correct_settlement(
        &mut self,
        before: &SettlementRow,
        s: &SettlementRow,
        parts: &[SettlementPart],
        snapshot: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let done = on!(self, c => sqlx::query(
            "UPDATE settlement SET amount_u = $2, revision = $3, fingerprint = $4, reason = $5, updated_at = $6
             WHERE id = $1 AND state = $7 AND revision = $8 AND fingerprint = $9 AND state IN ('sending', 'sent', 'unknown', 'confirmed')")
            .bind(s.id).bind(s.amount_u).bind(s.revision).bind(&s.fingerprint).bind(&s.reason).bind(now).bind(&before.state)
            .bind(before.revision).bind(&before.fingerprint).execute(c).await?.rows_affected());
        if done != 1 {
            return Err(StoreError::Changed(format!("settlement {}", s.id)));
        }
        self.put_revision(s.id, s, parts, snapshot, now).await
    }

    async fn put_revision(
        &mut self,
        id: i64,
        s: &SettlementRow,
        parts: &[SettlementPart],
        snapshot: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let packed = zstd::bulk::compress(snapshot.as_bytes(), 3)
            .map_err(|source| StoreError::Io { what: "compressing".into(), source })?;
        on!(self, c => sqlx::query(
            "INSERT INTO settlement_revision (settlement_id, revision, amount_u, fingerprint, snapshot, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id).bind(s.revision).bind(s.amount_u).bind(&s.fingerprint).bind(packed).bind(now).execute(c).await?.rows_affected());
        on!(self, c => sqlx::query("DELETE FROM settlement_part WHERE settlement_id = $1").bind(id).execute(c).await?.rows_affected());
        for p in parts {
            on!(self, c => sqlx::query(
                "INSERT INTO settlement_part (settlement_id, partner_id, term, period_from, period_to, part, amount_u) VALUES ($1, $2, $3, $4, $5, $6, $7)")
                .bind(id).bind(p.partner_id).bind(&p.term).bind(p.period_from).bind(p.period_to).bind(p.part).bind(p.amount_u).execute(c).await?.rows_affected());
        }
        Ok(())
    }

    /// The lines a revision was shown with, as JSON text.
    pub async fn settlement_snapshot(&mut self, id: i64, revision: i64) -> StoreResult<String> {
        let packed: Vec<u8> = on!(self, c => sqlx::query_scalar("SELECT snapshot FROM settlement_revision WHERE settlement_id = $1 AND revision = $2")
            .bind(id).bind(revision).fetch_one(c).await?);
        let bytes =
            zstd::decode_all(packed.as_slice()).map_err(|source| StoreError::Io { what: "decompressing".into(), source })?;
        String::from_utf8(bytes).map_err(|e| super::corrupt("snapshot", e))
    }

    /// Parts of a settlement.
    pub async fn settlement_parts(&mut self, id: i64) -> StoreResult<Vec<SettlementPart>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT partner_id, term, period_from, period_to, part, amount_u FROM settlement_part WHERE settlement_id = $1
             ORDER BY partner_id, term, period_from, part").bind(id).fetch_all(c).await?))
    }

    /// What has been paid or is being paid per key of an agreement: (partner, term, period, part, amount).
    pub async fn settled_parts(&mut self, agreement: &str) -> StoreResult<Vec<SettlementPart>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT p.partner_id, p.term, p.period_from, p.period_to, p.part, CAST(SUM(p.amount_u) AS BIGINT) FROM settlement_part p
             JOIN settlement s ON s.id = p.settlement_id
             WHERE s.agreement = $1 AND s.state IN ('sending', 'sent', 'unknown', 'confirmed')
             GROUP BY p.partner_id, p.term, p.period_from, p.period_to, p.part").bind(agreement).fetch_all(c).await?))
    }

    /// What the ledger cleared per settlement of an agreement, by settlement and key, with the number of entries; negative where it was paid.
    pub async fn cleared_by_settlement(&mut self, agreement: &str) -> StoreResult<Vec<(i64, SettlementPart, i64)>> {
        let rows: Vec<(i64, i64, String, NaiveDate, NaiveDate, i64, i64, i64)> = on!(self, c => sqlx::query_as(
            "SELECT settlement_id, partner_id, term, period_from, period_to, part, CAST(SUM(amount_u) AS BIGINT), COUNT(*) FROM accrual_entry
             WHERE agreement = $1 AND kind = 'settlement' AND settlement_id IS NOT NULL
             GROUP BY settlement_id, partner_id, term, period_from, period_to, part").bind(agreement).fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(id, partner_id, term, period_from, period_to, part, amount_u, entries)| {
                (id, SettlementPart { partner_id, term, period_from, period_to, part, amount_u }, entries)
            })
            .collect())
    }

    /// What settlements of an agreement in any state hold for one partner: settlement id and part.
    pub async fn settled_for(&mut self, agreement: &str, partner_id: i64) -> StoreResult<Vec<(i64, SettlementPart)>> {
        let rows: Vec<PartOf> = on!(self, c => sqlx::query_as(
            "SELECT p.settlement_id, p.partner_id, p.term, p.period_from, p.period_to, p.part, p.amount_u FROM settlement_part p
             JOIN settlement s ON s.id = p.settlement_id
             WHERE s.agreement = $1 AND p.partner_id = $2 ORDER BY p.settlement_id, p.term, p.period_from, p.part")
            .bind(agreement).bind(partner_id).fetch_all(c).await?);
        Ok(rows.into_iter().map(PartOf::split).collect())
    }

    /// Moves a settlement, given as it was read, to another state.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when its state or content is no longer what was read: the decision was about something else.
    pub async fn move_settlement(
        &mut self,
        read: &SettlementRow,
        to: &str,
        erp_document: Option<&str>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> StoreResult<()> {
        let done = on!(self, c => sqlx::query(
            "UPDATE settlement SET state = $2, erp_document = COALESCE($3, erp_document), reason = $4, updated_at = $5
             WHERE id = $1 AND state = $6 AND revision = $7 AND fingerprint = $8")
            .bind(read.id).bind(to).bind(shown_if(erp_document).as_deref()).bind(shown_if(reason).as_deref()).bind(now).bind(&read.state).bind(read.revision).bind(&read.fingerprint)
            .execute(c).await?.rows_affected());
        if done == 1 { Ok(()) } else { Err(StoreError::Changed(format!("settlement {}", read.id))) }
    }

    /// Approvals of a settlement in order, void ones included.
    pub async fn approvals(&mut self, settlement_id: i64) -> StoreResult<Vec<ApprovalRow>> {
        Ok(on!(self, c => sqlx::query_as(
            "SELECT id, settlement_id, fingerprint, approver, approved_at, void_reason FROM approval WHERE settlement_id = $1 ORDER BY id")
            .bind(settlement_id).fetch_all(c).await?))
    }
    /// Records an approval; `false` when the same person approved the same content before.
    pub async fn add_approval(
        &mut self,
        settlement_id: i64,
        fingerprint: &str,
        maker: &str,
        approver: &str,
        now: DateTime<Utc>,
    ) -> StoreResult<bool> {
        let known: Option<i64> = on!(self, c => sqlx::query_scalar(
            "SELECT id FROM approval WHERE settlement_id = $1 AND fingerprint = $2 AND approver = $3 AND void_reason IS NULL")
            .bind(settlement_id).bind(fingerprint).bind(approver).fetch_optional(c).await?);
        if known.is_some() {
            return Ok(false);
        }
        let id = self.take_id("approval").await?;
        on!(self, c => sqlx::query(
            "INSERT INTO approval (id, settlement_id, fingerprint, maker, approver, approved_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id).bind(settlement_id).bind(fingerprint).bind(maker).bind(approver).bind(now).execute(c).await?.rows_affected());
        Ok(true)
    }
    /// Voids the approvals given for other content.
    pub async fn void_approvals(&mut self, settlement_id: i64, but_for: &str, reason: &str) -> StoreResult<u64> {
        Ok(on!(self, c => sqlx::query(
            "UPDATE approval SET void_reason = $3 WHERE settlement_id = $1 AND fingerprint <> $2 AND void_reason IS NULL")
            .bind(settlement_id).bind(but_for).bind(reason).execute(c).await?.rows_affected()))
    }
}
