//! Approvals: for this content, by somebody else, as many as the sum asks for (case 32).

use super::{PipelineError, PipelineResult, Runtime};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::problem::Problem;
use crate::store::{ExceptionFilter, ExceptionRow, SettlementRow, Tx, UserRow};
use std::collections::BTreeSet;

/// Where an approval stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    /// Approvals that count.
    pub given: i64,
    /// Approvals needed.
    pub needed: i64,
    /// Settlement state.
    pub state: String,
}

/// Open blocking exceptions that hold a settlement: those of its partners, or of nobody in
/// particular, dated inside the span whose lines it could have counted.
pub async fn holding(tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Vec<ExceptionRow>> {
    let versions: Vec<_> = tx.active_agreements().await?.into_iter().filter(|v| v.id == settlement.agreement).collect();
    let from = versions.iter().map(|v| v.valid.from).min();
    let open: Vec<ExceptionRow> =
        tx.exceptions(&ExceptionFilter::default()).await?.into_iter().filter(|e| e.blocking != 0).collect();
    if open.is_empty() {
        return Ok(open);
    }
    let ids = tx.partner_ids().await?;
    let heads = tx.partner_heads().await?;
    let master = tx.master_data().await?;
    let parts = tx.settlement_parts(settlement.id).await?;
    let mut partners: BTreeSet<i64> = parts.iter().map(|p| p.partner_id).collect();
    // Every partner that could count under the agreement, not only those that did.
    let matcher = crate::core::matching::Matcher::new(
        &versions,
        std::sync::Arc::new(master.clone()),
        crate::core::period::FiscalCalendar::default(),
    );
    for head in &heads {
        if !matcher.agreements_of(head.id).is_empty()
            && (settlement.payee == head.code || versions.iter().any(|v| v.payee.is_some()))
        {
            partners.insert(head.id);
        }
    }
    let concerns = |e: &ExceptionRow| {
        let agreement = e.agreement.as_deref().is_none_or(|a| a == settlement.agreement);
        let dated = e.on_date.is_none_or(|d| from.is_none_or(|from| from <= d) && d <= settlement.period_to);
        let whose = match e.partner.as_deref() {
            None => true,
            Some(code) => ids.get(code).is_some_and(|id| master.merge_chain(*id).iter().any(|p| partners.contains(&p.id))),
        };
        agreement && dated && whose
    };
    Ok(open.into_iter().filter(|e| concerns(e)).collect())
}

/// How many approvals the sum of everything open or out for the same payee, agreement and period needs.
pub async fn needed(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<i64> {
    let mut sum = Micros::ZERO;
    for other in tx.settlements_of(&settlement.agreement, &settlement.payee).await? {
        if (other.period_from, other.period_to) == (settlement.period_from, settlement.period_to) && other.state != "rejected" {
            sum += in_company_currency(runtime, tx, &other).await?;
        }
    }
    let policy = &runtime.workspace.config.approval;
    if sum < policy.auto_approve_below {
        return Ok(0);
    }
    Ok(if sum >= policy.two_approvers_from { 2 } else { 1 })
}

/// The amount at the proposal day's rate. Without a rate it counts as large: two people look at it.
async fn in_company_currency(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Micros> {
    let company = runtime.settings.currency;
    if settlement.currency == company.code() {
        return Ok(settlement.amount());
    }
    let Some(from) = Currency::parse(&settlement.currency) else {
        return Ok(runtime.workspace.config.approval.two_approvers_from);
    };
    let master = tx.master_data().await?;
    let rate = master
        .rate_series("spot", from, company)
        .and_then(|series| crate::core::master_data::rate_on(&series, settlement.business_day, 366));
    Ok(match rate {
        Some(rate) => settlement.amount().times(rate).to_micros(),
        None => runtime.workspace.config.approval.two_approvers_from,
    })
}

/// Users that cannot approve a settlement: who prepared it, who entered a version it rests on, and
/// whom trusted files count as.
async fn barred(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Vec<(String, &'static str)>> {
    let mut names = vec![(settlement.maker.clone(), "prepared it")];
    for row in tx.agreements().await? {
        if row.body.id == settlement.agreement && row.state == "active" {
            names.push((row.entered_by, "entered the agreement version"));
        }
    }
    names.push((runtime.workspace.config.approval.file_author.clone(), "stands for the files that are trusted"));
    Ok(names)
}

/// Approves in the name of a user. Every try is audited, refused ones too.
pub async fn approve(runtime: &Runtime, id: i64, user: &UserRow) -> PipelineResult<Standing> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = format!("settlement {id}");
    let Some(settlement) = tx.settlement(id).await? else {
        return Err(Problem::new("no-settlement", format!("there is no settlement {id}"))
            .help("see `rebated settlement list`")
            .into());
    };
    let refusal = if !matches!(user.role.as_str(), "finance-approver" | "admin") {
        Some((format!("{} ({}) may not approve settlements", user.name, user.role), "finance approvers do"))
    } else if settlement.state != "proposed" && settlement.state != "approved" {
        Some((format!("settlement {id} is {}", settlement.state), "only proposed settlements are approved"))
    } else if let Some((_, why)) = barred(runtime, &mut tx, &settlement).await?.into_iter().find(|(name, _)| *name == user.name) {
        Some((
            format!(
                "{} may not approve settlement {id}: {why}",
                user.name,
                why = why.replace("prepared it", "prepared it themselves")
            ),
            "somebody else has to",
        ))
    } else {
        let held = holding(&mut tx, &settlement).await?;
        held.first().map(|e| {
            (
                format!(
                    "settlement {id} is held by {} open exceptions, the first is {} [{}] {}",
                    held.len(),
                    e.id,
                    e.code,
                    e.subject
                ),
                "resolve them first",
            )
        })
    };
    let detail = serde_json::json!({ "fingerprint": settlement.fingerprint, "amount": settlement.money(settlement.amount()), "refused": refusal.as_ref().map(|r| &r.0) });
    if let Some((message, help)) = refusal {
        tx.audit(now, &user.name, "settlement approve", &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(PipelineError::from(Problem::new("approval-refused", message).help(help)));
    }
    tx.add_approval(id, &settlement.fingerprint, &settlement.maker, &user.name, now).await?;
    let standing = settle_standing(runtime, &mut tx, &settlement, now).await?;
    tx.audit(now, &user.name, "settlement approve", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(standing)
}

/// Counts approvals and moves the settlement between proposed and approved.
pub async fn settle_standing(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    now: chrono::DateTime<chrono::Utc>,
) -> PipelineResult<Standing> {
    let needed = needed(runtime, tx, settlement).await?;
    let approvers: BTreeSet<String> = tx
        .approvals(settlement.id)
        .await?
        .into_iter()
        .filter(|a| a.void_reason.is_none() && a.fingerprint == settlement.fingerprint)
        .map(|a| a.approver)
        .collect();
    let given = i64::try_from(approvers.len()).unwrap_or(0);
    let state = if given >= needed { "approved" } else { "proposed" };
    if settlement.state != state && settlement.is_open() {
        tx.move_settlement(settlement.id, &settlement.state, state, None, None, now).await?;
    }
    Ok(Standing { given, needed, state: state.to_owned() })
}

/// Rejects with a reason, which goes on the exception list.
pub async fn reject(runtime: &Runtime, id: i64, reason: &str, user: &UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = format!("settlement {id}");
    let Some(settlement) = tx.settlement(id).await? else {
        return Err(Problem::new("no-settlement", format!("there is no settlement {id}")).into());
    };
    let may = matches!(user.role.as_str(), "finance-approver" | "finance-preparer" | "admin");
    let refusal = if !may {
        Some(format!("{} ({}) may not reject settlements", user.name, user.role))
    } else if !matches!(settlement.state.as_str(), "proposed" | "approved") {
        Some(format!("settlement {id} is {}", settlement.state))
    } else if reason.trim().is_empty() {
        Some("a reason is needed".to_owned())
    } else {
        None
    };
    let detail = serde_json::json!({ "reason": reason, "fingerprint": settlement.fingerprint, "refused": refusal });
    if let Some(message) = refusal {
        tx.audit(now, &user.name, "settlement reject", &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(Problem::new("rejection-refused", message).into());
    }
    tx.move_settlement(id, &settlement.state, "rejected", None, Some(reason), now).await?;
    tx.void_approvals(id, "", "rejected").await?;
    let new = crate::store::NewException {
        code: "settlement-rejected".into(),
        subject: format!("settlement {id} {}", settlement.reference),
        message: format!("rejected by {}: {reason}", user.name),
        help: Some("mend the cause; the settlement is proposed again when its content changes".into()),
        partner: Some(settlement.payee.clone()),
        agreement: Some(settlement.agreement.clone()),
        dedupe_key: format!("rejected:{id}:{}", settlement.fingerprint),
        ..Default::default()
    };
    tx.open_exception(&new, settlement.business_day, now).await?;
    tx.audit(now, &user.name, "settlement reject", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(())
}
