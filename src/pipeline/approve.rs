//! Approvals: for this content, by somebody else, as many as the sum asks for (case 32).

use super::{PipelineError, PipelineResult, Runtime};
use crate::core::approval::{self, Approvable, ApprovalPolicy, Bar, Decision, GivenApproval, Refusal};
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
    /// Why two are needed although nobody can tell the sum.
    pub why: Option<String>,
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

/// Oldest rate that tells how large a settlement in another currency is, in days.
const OLDEST_RATE_DAYS: u32 = 366;

/// What a decision rests on, read in one transaction.
struct Facts {
    barred: Vec<(String, Bar)>,
    sum: Option<Micros>,
    /// Why the sum is not known.
    why: Option<String>,
    /// Fingerprint and approver of every approval that is not void.
    given: Vec<(String, String)>,
    policy: ApprovalPolicy,
}

impl Facts {
    async fn read(runtime: &Runtime, tx: &mut Tx, settlement: &SettlementRow) -> PipelineResult<Self> {
        let (mut sum, mut why) = (Some(Micros::ZERO), None);
        for other in tx.settlements_of(&settlement.agreement, &settlement.payee).await? {
            let same_period = (other.period_from, other.period_to) == (settlement.period_from, settlement.period_to);
            if !same_period || other.state == "rejected" {
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
        for row in tx.agreements().await? {
            if row.body.id == settlement.agreement && row.state == "active" {
                barred.push((row.entered_by, Bar::EnteredVersion));
            }
        }
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
    let rate = match Currency::parse(&settlement.currency) {
        Some(from) => {
            let master = tx.master_data().await?;
            master
                .rate_series("spot", from, company)
                .and_then(|series| crate::core::master_data::rate_on(&series, day, OLDEST_RATE_DAYS))
        }
        None => None,
    };
    Ok(rate.map(|rate| settlement.amount().times(rate).to_micros()).ok_or_else(|| {
        format!(
            "there is no spot rate from {} to {company} of the {OLDEST_RATE_DAYS} days before {day}, so that the sum counts as large",
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
fn in_words(refusal: Refusal, settlement: &SettlementRow, user: &UserRow, held: &[ExceptionRow]) -> (String, &'static str) {
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
            format!("settlement {id} is no longer what was shown; its fingerprint is {}", settlement.fingerprint),
            "look at it again",
        ),
    }
}

/// Approves in the name of a user, who was shown the content with the fingerprint `seen`, or the
/// present one. Every try is audited, refused ones too.
pub async fn approve(runtime: &Runtime, id: i64, seen: Option<&str>, user: &UserRow) -> PipelineResult<Standing> {
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
    } else {
        let facts = Facts::read(runtime, &mut tx, &settlement).await?;
        let held = holding(&mut tx, &settlement).await?;
        let seen = seen.unwrap_or(&settlement.fingerprint);
        let subject = facts.subject(&settlement, !held.is_empty());
        match approval::decide(&subject, &facts.given(), &user.name, seen, &facts.policy) {
            Decision::Refused(refusal) => Some(in_words(refusal, &settlement, user, &held)),
            Decision::Recorded(_) | Decision::AlreadyGiven(_) => None,
        }
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
    let standing = standing(runtime, tx, settlement).await?;
    let state = if standing.given >= standing.needed { "approved" } else { "proposed" };
    if settlement.state != state && settlement.is_open() {
        tx.move_settlement(settlement.id, &settlement.state, state, None, None, now).await?;
    }
    Ok(Standing { state: state.to_owned(), ..standing })
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
