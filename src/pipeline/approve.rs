//! Approvals: for this content, by somebody else, as many as the sum asks for (case 32).

use super::{PipelineResult, Runtime};
use crate::core::agreement::{Exchange, QualifierScope};
use crate::core::approval::{self, Approvable, ApprovalPolicy, Bar, Decision, GivenApproval, Refusal};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::problem::Problem;
use crate::core::rights::{self, Action};
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
    /// Why two are needed although nobody can tell the sum.
    pub why: Option<String>,
}

/// Open blocking exceptions that hold a settlement: those of its partners, or of nobody in
/// particular, dated inside the span whose lines it could have counted.
pub async fn holding(tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Vec<ExceptionRow>> {
    let open: Vec<ExceptionRow> =
        tx.exceptions(&ExceptionFilter::default()).await?.into_iter().filter(|e| e.blocking != 0).collect();
    concerning(tx, settlement, open).await
}

/// Those of the exceptions that could touch the settlement.
async fn concerning(tx: &mut Tx, settlement: &SettlementRow, found: Vec<ExceptionRow>) -> PipelineResult<Vec<ExceptionRow>> {
    if found.is_empty() {
        return Ok(found);
    }
    let versions: Vec<_> = tx.active_agreements().await?.into_iter().filter(|v| v.id == settlement.agreement).collect();
    let from = versions.iter().map(|v| v.valid.from).min();
    let ids = tx.partner_ids().await?;
    let heads = tx.partner_heads().await?;
    let master = tx.master_data().await?;
    let parts = tx.settlement_parts(settlement.id).await?;
    let mut partners: BTreeSet<i64> = parts.iter().map(|p| p.partner_id).collect();
    // Every partner that could count under the agreement, not only those that did. Where all are paid together or tested
    // together, a line of any of them moves the settlement of each.
    let joint = versions.iter().any(|v| v.payee.is_some() || v.qualifier_scope == QualifierScope::Agreement);
    let matcher = crate::core::matching::Matcher::new(
        &versions,
        std::sync::Arc::new(master.clone()),
        crate::core::period::FiscalCalendar::default(),
    );
    for head in &heads {
        if !matcher.agreements_of(head.id).is_empty() && (settlement.payee == head.code || joint) {
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
    Ok(found.into_iter().filter(|e| concerns(e)).collect())
}

/// Oldest rate that tells how large a settlement in another currency is, in days.
const OLDEST_RATE_DAYS: u32 = 366;

/// What a decision rests on, read in one transaction.
pub(super) struct Facts {
    barred: Vec<(String, Bar)>,
    sum: Option<Micros>,
    /// Why the sum is not known.
    why: Option<String>,
    /// Fingerprint and approver of every approval that is not void.
    given: Vec<(String, String)>,
    policy: ApprovalPolicy,
}

impl Facts {
    pub(super) async fn read(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Self> {
        let (mut sum, mut why) = (Some(Micros::ZERO), None);
        let known = tx.agreements().await?.into_iter();
        let own: Vec<_> = known.filter(|row| row.state == "active" && row.body.id == settlement.agreement).collect();
        for other in tx.settlements_of(&settlement.agreement, &settlement.payee).await? {
            let same_period = (other.period_from, other.period_to) == (settlement.period_from, settlement.period_to);
            if !same_period || matches!(other.state.as_str(), "rejected" | "withdrawn") {
                continue;
            }
            match in_company_currency(runtime, tx, &other).await? {
                Ok(amount) => sum = sum.map(|sum| sum + amount),
                Err(reason) => (sum, why) = (None, Some(reason)),
            }
        }
        let config = &runtime.workspace.config.approval;
        // Who prepared it, who entered a version it rests on, and whom trusted files count as.
        let mut barred = vec![(settlement.maker.clone(), Bar::Prepared)];
        barred.extend(own.into_iter().map(|row| (row.entered_by, Bar::EnteredVersion)));
        barred.push((config.file_author.clone(), Bar::StandsForFiles));
        let approvals = tx.approvals(settlement.id).await?.into_iter().filter(|a| a.void_reason.is_none());
        Ok(Self {
            barred,
            sum,
            why,
            given: approvals.map(|a| (a.fingerprint, a.approver)).collect(),
            policy: ApprovalPolicy {
                two_approvers_from: config.two_approvers_from,
                auto_approve_below: config.auto_approve_below,
            },
        })
    }

    /// What an acceptance of another amount rests on: the same people are barred, and the sum is what would be paid then.
    pub(super) async fn with_amount(
        runtime: &Runtime,
        tx: &mut Tx,
        settlement: &SettlementRow,
        amount: Micros,
    ) -> PipelineResult<Self> {
        let mut facts = Self::read(runtime, tx, settlement).await?;
        let more = SettlementRow { amount_u: amount.0.saturating_sub(settlement.amount_u), ..settlement.clone() };
        match in_company_currency(runtime, tx, &more).await? {
            Ok(more) => facts.sum = facts.sum.and_then(|sum| sum.checked_add(more)),
            Err(reason) => (facts.sum, facts.why) = (None, Some(reason)),
        }
        Ok(facts)
    }

    /// Decides on content that is out already and that nothing holds.
    pub(super) fn decide_accepted(&self, settlement: &SettlementRow, fingerprint: &str, approver: &str) -> Decision {
        let subject = Approvable { fingerprint, barred: &self.barred, sum: self.sum, held: false, open: settlement.is_out() };
        approval::decide(&subject, &self.given(), approver, fingerprint, &self.policy)
    }

    fn subject<'a>(&'a self, settlement: &'a SettlementRow, held: bool) -> Approvable<'a> {
        let open = matches!(settlement.state.as_str(), "proposed" | "approved");
        Approvable { fingerprint: &settlement.fingerprint, barred: &self.barred, sum: self.sum, held, open }
    }

    fn given(&self) -> Vec<GivenApproval<'_>> {
        self.given.iter().map(|(fingerprint, approver)| GivenApproval { fingerprint, approver }).collect()
    }

    fn standing(&self, settlement: &SettlementRow) -> approval::Standing {
        approval::standing(&self.subject(settlement, false), &self.given(), &self.policy)
    }
}

/// The amount at the proposal day's rate, or why it cannot be told.
async fn in_company_currency(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
) -> PipelineResult<Result<Micros, String>> {
    let company = runtime.settings.currency;
    if settlement.currency == company.code() {
        return Ok(Ok(settlement.amount()));
    }
    let day = settlement.business_day;
    // The kind of rate by which the agreement's own figures are converted.
    let active = tx.active_agreements().await?;
    let newest = active.iter().filter(|v| v.id == settlement.agreement).max_by_key(|v| v.version);
    let rate_type = newest.map_or_else(|| Exchange::default().rate_type, |v| v.exchange.rate_type.clone());
    let rate = match Currency::parse(&settlement.currency) {
        Some(from) => {
            let master = tx.master_data().await?;
            master
                .rate_series(&rate_type, from, company)
                .and_then(|series| crate::core::master_data::rate_on(&series, day, OLDEST_RATE_DAYS))
        }
        None => None,
    };
    Ok(rate.map(|rate| settlement.amount().times(rate).to_micros()).ok_or_else(|| {
        format!(
            "there is no {rate_type} rate from {} to {company} of the {OLDEST_RATE_DAYS} days before {day}, so that the sum counts as large",
            settlement.currency
        )
    }))
}

/// Where the approval of a settlement stands.
pub async fn standing(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Standing> {
    let facts = Facts::read(runtime, tx, settlement).await?;
    let standing = facts.standing(settlement);
    let count = |n: usize| i64::try_from(n).unwrap_or(0);
    Ok(Standing {
        given: count(standing.given),
        needed: count(standing.required),
        state: settlement.state.clone(),
        why: facts.why,
    })
}

/// A refusal in words: what, and what to do.
pub(super) fn in_words(
    refusal: Refusal,
    settlement: &SettlementRow,
    user: &UserRow,
    held: &[ExceptionRow],
) -> (String, &'static str) {
    let id = settlement.id;
    match refusal {
        Refusal::NotOpen => (format!("settlement {id} is {}", settlement.state), "only proposed settlements are approved"),
        Refusal::Barred(bar) => {
            let why = match bar {
                Bar::Prepared => "prepared it themselves",
                Bar::EnteredVersion => "entered the agreement version",
                Bar::StandsForFiles => "stands for the files that are trusted",
            };
            (format!("{} may not approve settlement {id}: {why}", user.name), "somebody else has to")
        }
        Refusal::Held => {
            let first = held.first().map(|e| format!("{} [{}] {}", e.id, e.code, e.subject)).unwrap_or_default();
            let message = format!("settlement {id} is held by {} open exceptions, the first is {first}", held.len());
            (message, "resolve them first")
        }
        Refusal::StaleContent => (
            format!(
                "settlement {id} has changed since it was shown to {}; its fingerprint is {}",
                user.name, settlement.fingerprint
            ),
            "look at it again with `rebated settlement show`, then approve what it shows",
        ),
    }
}

/// Approves in the name of a user, for the content that this user was shown. Every try is audited,
/// refused ones too.
///
/// `seen` is the fingerprint of what the user decided on. Left out, it is what the user was shown
/// last (`settlement show` or `list`); a user who was shown nothing approves what stands.
pub async fn approve(runtime: &Runtime, id: i64, seen: Option<&str>, user: &UserRow) -> PipelineResult<Standing> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = format!("settlement {id}");
    let Some(settlement) = tx.lock_settlement(id).await? else {
        return Err(Problem::new("no-settlement", format!("there is no settlement {id}"))
            .help("see `rebated settlement list`")
            .into());
    };
    let seen = match seen {
        Some(seen) => seen.to_owned(),
        None => tx.shown(&user.name, &subject).await?.unwrap_or_else(|| settlement.fingerprint.clone()),
    };
    let refusal = if let Some(message) = rights::refusal(&user.name, &user.role, Action::Approve) {
        Some(Problem::new("approval-refused", message).help("finance approvers do"))
    } else {
        let facts = Facts::read(runtime, &mut tx, &settlement).await?;
        let held = holding(&mut tx, &settlement).await?;
        let accepted = tx.exceptions_accepted_by(&user.name, settlement.id).await?;
        let accepted = concerning(&mut tx, &settlement, accepted).await?;
        let subject = facts.subject(&settlement, !held.is_empty());
        match approval::decide(&subject, &facts.given(), &user.name, &seen, &facts.policy) {
            Decision::Refused(refusal) => {
                let (message, help) = in_words(refusal, &settlement, user, &held);
                let code = if refusal == Refusal::StaleContent { "stale-content" } else { "approval-refused" };
                Some(Problem::new(code, message).help(help))
            }
            Decision::Recorded(_) | Decision::AlreadyGiven(_) => accepted.first().map(|e| {
                let message = format!(
                    "{} may not approve settlement {id}: accepted exception {} [{}] that held it",
                    user.name, e.id, e.code
                );
                Problem::new("approval-refused", message).help("somebody else has to")
            }),
        }
    };
    let detail = serde_json::json!({
        "fingerprint": settlement.fingerprint, "seen": seen, "amount": settlement.money(settlement.amount()),
        "refused": refusal.as_ref().map(|r| &r.message),
    });
    if let Some(problem) = refusal {
        tx.audit(now, &user.name, "settlement approve", &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(problem.into());
    }
    tx.add_approval(id, &settlement.fingerprint, &settlement.maker, &user.name, now).await?;
    let standing = settle_standing(runtime, &mut tx, &settlement, now).await?;
    tx.audit(now, &user.name, "settlement approve", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(standing)
}

/// Counts approvals and moves the settlement between proposed and approved. The settlement is locked.
pub async fn settle_standing(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    now: chrono::DateTime<chrono::Utc>,
) -> PipelineResult<Standing> {
    let standing = standing(runtime, tx, settlement).await?;
    let state = if standing.given >= standing.needed { "approved" } else { "proposed" };
    if settlement.state != state && settlement.is_open() {
        tx.move_settlement(settlement, state, None, None, now).await?;
    }
    Ok(Standing { state: state.to_owned(), ..standing })
}

/// Rejects with a reason, which goes on the exception list.
pub async fn reject(runtime: &Runtime, id: i64, reason: &str, user: &UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let subject = format!("settlement {id}");
    let Some(settlement) = tx.lock_settlement(id).await? else {
        return Err(Problem::new("no-settlement", format!("there is no settlement {id}")).into());
    };
    let refusal = if let Some(message) = rights::refusal(&user.name, &user.role, Action::Reject) {
        Some(message)
    } else if !matches!(settlement.state.as_str(), "proposed" | "approved" | "refused") {
        // What the other system refused is not there; what is unknown may be, and stays until that is known.
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
    tx.move_settlement(&settlement, "rejected", None, Some(reason), now).await?;
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
    tx.clear_exception(&format!("push:{id}"), "the settlement was rejected", now).await?;
    tx.audit(now, &user.name, "settlement reject", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(())
}
