//! Accepting what the other system holds: a memo bears our reference and another amount, and finance
//! decides that it stays as it is.
//!
//! The settlement then pays what the memo says. What was earned beyond it stays accrued and is proposed
//! again; what the memo pays too much is set off against what comes. It takes as many people as the
//! amount would take to be approved, and none of those who could not approve it.

use super::approve::{Facts, in_words};
use super::reconcile::memo_key;
use super::{PipelineError, PipelineResult, Runtime, settled};
use crate::core::allocation::share;
use crate::core::approval::Decision;
use crate::core::hash::sha256_hex;
use crate::core::memo::MemoRequest;
use crate::core::money::Currency;
use crate::core::number::{Fine, Micros};
use crate::core::problem::Problem;
use crate::core::rights::{self, Action};
use crate::store::{ExceptionFilter, SettlementPart, SettlementRow, Tx, UserRow};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Settlement.
    pub settlement: i64,
    /// Amount accepted.
    pub amount: String,
    /// Currency.
    pub currency: String,
    /// Amount before.
    pub instead_of: String,
    /// People who accepted it.
    pub given: i64,
    /// People needed.
    pub needed: i64,
    /// Whether it holds now.
    pub accepted: bool,
    /// State of the settlement; what is not confirmed yet is at the next push.
    pub state: String,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The amount at which the other system holds the memo.
    pub amount: Micros,
    /// Why it stays so.
    pub reason: &'a str,
    /// Day of correcting entries.
    pub business_day: NaiveDate,
}

/// Accepts in the name of a user. Every try is audited.
pub async fn accept(runtime: &Runtime, id: i64, wish: Wish<'_>, user: &UserRow) -> PipelineResult<Accepted> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let Some(settlement) = tx.lock_settlement(id).await? else {
        return Err(Problem::new("no-settlement", format!("there is no settlement {id}"))
            .help("see `rebated settlement list`")
            .into());
    };
    let fingerprint = sha256_hex(format!("{} accepted at {}", settlement.fingerprint, wish.amount).as_bytes());
    let facts = Facts::with_amount(runtime, &mut tx, &settlement, wish.amount).await?;
    let decision = facts.decide_accepted(&settlement, &fingerprint, &user.name);
    let refusal = match why_not(&mut tx, &settlement, wish, user).await? {
        Some(refusal) => Some(refusal),
        None => match decision {
            Decision::Refused(refusal) => {
                let (message, help) = in_words(refusal, &settlement, user, &[]);
                Some((message, help))
            }
            Decision::Recorded(_) | Decision::AlreadyGiven(_) => None,
        },
    };
    let detail = serde_json::json!({
        "fingerprint": fingerprint, "amount": settlement.money(wish.amount), "instead_of": settlement.money(settlement.amount()),
        "reason": wish.reason, "refused": refusal.as_ref().map(|r| &r.0),
    });
    let subject = format!("settlement {id}");
    let action = Action::AcceptMemo.word();
    let standing = match (refusal, decision) {
        (None, Decision::Recorded(standing) | Decision::AlreadyGiven(standing)) => standing,
        (refusal, _) => {
            let (message, help) = refusal.unwrap_or_default();
            tx.audit(now, &user.name, action, &subject, "refused", &detail).await?;
            tx.commit().await?;
            return Err(Problem::new("acceptance-refused", message).help(help).into());
        }
    };
    tx.add_approval(id, &fingerprint, &settlement.maker, &user.name, now).await?;
    tx.audit(now, &user.name, action, &subject, "done", &detail).await?;
    if standing.is_approved() {
        apply(runtime, &mut tx, &settlement, &fingerprint, wish, user).await?;
    }
    tx.commit().await?;
    let count = |n: usize| i64::try_from(n).unwrap_or(0);
    Ok(Accepted {
        settlement: id,
        amount: settlement.money(wish.amount),
        currency: settlement.currency.clone(),
        instead_of: settlement.money(settlement.amount()),
        given: count(standing.given),
        needed: count(standing.required),
        accepted: standing.is_approved(),
        state: settlement.state.clone(),
    })
}

type Refusal = (String, &'static str);

/// What speaks against it, before it is asked who decides.
async fn why_not(tx: &mut Tx, settlement: &SettlementRow, wish: Wish<'_>, user: &UserRow) -> PipelineResult<Option<Refusal>> {
    let id = settlement.id;
    if let Some(message) = rights::refusal(&user.name, &user.role, Action::AcceptMemo) {
        return Ok(Some((message, "finance approvers do")));
    }
    if wish.reason.trim().is_empty() {
        return Ok(Some(("a reason is needed".into(), "say why the memo stays as it is")));
    }
    let digits = Currency::parse(&settlement.currency).map_or(2, Currency::minor_digits);
    if wish.amount <= Micros::ZERO || wish.amount.fine().round(digits) != wish.amount {
        let message = format!("{} {} is no amount of a credit memo", wish.amount, settlement.currency);
        return Ok(Some((message, "give it as the other system shows it")));
    }
    if wish.amount == settlement.amount() {
        let message = format!("settlement {id} is {} {} already", settlement.money(wish.amount), settlement.currency);
        return Ok(Some((message, "the next push or reconciliation finds that it agrees")));
    }
    let look = "correct the document in the other system, or give the amount that it shows";
    if settlement.state != "confirmed" {
        // It was looked up and found to differ; whether it is this amount, the next look-up tells before anything is confirmed.
        let key = format!("push:{id}");
        let open = tx.exceptions(&ExceptionFilter::default()).await?;
        if settlement.is_out() && open.iter().any(|e| e.dedupe_key == key && e.code == "memo-differs") {
            return Ok(None);
        }
        let message = format!("settlement {id} is {}, and no memo of another amount was found for it", settlement.state);
        return Ok(Some((message, "only what differs in the other system can be accepted")));
    }
    let shown = tx.erp_memos().await?;
    let theirs: Vec<_> =
        shown.iter().filter(|m| m.reference == settlement.reference && m.status != "cancelled" && m.status != "draft").collect();
    Ok(match theirs.as_slice() {
        [one] if one.currency != settlement.currency => {
            Some((format!("memo {} is in {}, not in {}", one.document, one.currency, settlement.currency), look))
        }
        [one] if one.amount_u != wish.amount.0 => {
            let amount = settlement.money(Micros(one.amount_u));
            Some((format!("memo {} is {amount} {}, not {}", one.document, one.currency, settlement.money(wish.amount)), look))
        }
        [_] => None,
        [] => Some((format!("no source shows a memo with the reference {}", settlement.reference), look)),
        several => Some((format!("{} memos carry the reference {}", several.len(), settlement.reference), look)),
    })
}

/// The parts of a settlement when it pays another amount, in the proportion they had.
fn parts_at(parts: &[SettlementPart], amount: Micros, digits: u32) -> Vec<SettlementPart> {
    let weights: Vec<Fine> = parts.iter().map(|part| Micros(part.amount_u).fine()).collect();
    let shares = share(amount, &weights, digits);
    parts.iter().zip(shares).map(|(part, amount)| SettlementPart { amount_u: amount.0, ..part.clone() }).collect()
}

async fn apply(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    fingerprint: &str,
    wish: Wish<'_>,
    user: &UserRow,
) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let internal = |why: &dyn std::fmt::Display| PipelineError::Internal(why.to_string());
    let digits = Currency::parse(&settlement.currency).map_or(2, Currency::minor_digits);
    let parts = parts_at(&tx.settlement_parts(settlement.id).await?, wish.amount, digits);
    let why = format!("the memo stays at {} {}: {}", settlement.money(wish.amount), settlement.currency, wish.reason);
    let snapshot = tx.settlement_snapshot(settlement.id, settlement.revision).await?;
    let mut shown: serde_json::Value = serde_json::from_str(&snapshot).map_err(|e| internal(&e))?;
    shown["parts"] = serde_json::to_value(&parts).map_err(|e| internal(&e))?;
    shown["accepted"] =
        serde_json::json!({ "by": user.name, "reason": wish.reason, "instead_of": settlement.money(settlement.amount()) });
    let row = SettlementRow {
        amount_u: wish.amount.0,
        revision: settlement.revision + 1,
        fingerprint: fingerprint.to_owned(),
        reason: Some(why.clone()),
        ..settlement.clone()
    };
    tx.correct_settlement(settlement, &row, &parts, &shown.to_string(), now).await?;
    let key = if settlement.state == "confirmed" {
        let cleared = tx.cleared_by_settlement(&settlement.agreement).await?;
        let wanted = parts.iter().map(|part| (settled::key_of(part), -Micros(part.amount_u)));
        settled::clear(runtime, tx, &row, wanted, &cleared, wish.business_day, &format!("{}: {why}", row.reference)).await?;
        memo_key(&settlement.reference)
    } else {
        let memo = tx.memo(settlement.id).await?.ok_or_else(|| internal(&"the memo of the settlement is gone"))?;
        let mut request: MemoRequest = serde_json::from_str(&memo.request).map_err(|e| internal(&e))?;
        let mut by_term: BTreeMap<&str, Micros> = BTreeMap::new();
        for part in &parts {
            *by_term.entry(&part.term).or_default() += Micros(part.amount_u);
        }
        request.amount = wish.amount;
        let lines: Vec<Micros> = by_term.into_values().filter(|amount| !amount.is_zero()).collect();
        if lines.len() == request.lines.len() {
            request.lines.iter_mut().zip(lines).for_each(|(line, amount)| line.amount = amount);
        } else if let Some(mut line) = request.lines.first().cloned() {
            line.amount = wish.amount;
            request.lines = vec![line];
        }
        tx.ask_anew(settlement.id, &serde_json::to_string(&request).map_err(|e| internal(&e))?, now).await?;
        format!("push:{}", settlement.id)
    };
    for open in tx.exceptions(&ExceptionFilter::default()).await?.into_iter().filter(|e| e.dedupe_key == key) {
        tx.resolve_exception(open.id, "accept", wish.reason, &user.name, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_amount_is_shared_as_the_parts_were_and_adds_up() {
        let day: NaiveDate = "2026-01-01".parse().expect("day");
        let part = |term: &str, amount: &str| SettlementPart {
            partner_id: 1,
            term: term.into(),
            period_from: day,
            period_to: day,
            part: 0,
            amount_u: Micros::parse(amount).expect("amount").0,
        };
        let shares = |parts: &[SettlementPart], amount: &str| -> Vec<String> {
            let amount = Micros::parse(amount).expect("amount");
            parts_at(parts, amount, 2).iter().map(|p| Micros(p.amount_u).to_text(2)).collect()
        };
        // 30.00 and 10.00 at 20.01: three quarters and one quarter, the odd cent to the larger remainder.
        assert_eq!(shares(&[part("a", "30"), part("b", "10")], "20.01"), ["15.01", "5.00"]);
        // 100.00 less 40.00 set off, at 61.00: the one more by size.
        assert_eq!(shares(&[part("a", "100"), part("b", "-40")], "61"), ["100.71", "-39.71"]);
    }
}
