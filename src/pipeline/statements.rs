//! Statements: figures of one partner and period, stored by revision, mailed once to each contact.

use super::counted;
use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest, fault_point};
use super::stages::{Stage, StageOutcome};
use super::{PipelineError, PipelineResult, Runtime, accrue, settled};
use crate::config::MailTransportConfig;
use crate::core::accrual::tiers_of_period;
use crate::core::agreement::AgreementVersion;
use crate::core::hash::sha256_hex;
use crate::core::matching::{term_calendar, whole_validity};
use crate::core::number::Micros;
use crate::core::period::{Period, period_label};
use crate::core::problem::Problem;
use crate::core::schedule::RunKey;
use crate::core::statement::{
    AgreementInput, CarryReason, Language, Statement, StatementException, StatementInput, StatementLine, StatementSettlement,
    TermInput,
};
use crate::delivery::mail::{FolderTransport, MailTransport, SmtpSettings, SmtpTransport};
use crate::delivery::outbox::{self, MailPauses, Outbox, OutboxReport};
use crate::delivery::statement::render;
use crate::store::{ExceptionFilter, MailRow, NewException, PartnerHead, SettlementPart, SettlementRow, StatementRow, Tx};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Code of statements that wait for a feed.
const STATEMENTS_WAIT: &str = "statements-wait";

/// Writes and sends what is due.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let mut outcome = StageOutcome::default();
    let (mut written, mut refused) = (0, 0);
    let (due, waiting) = due(runtime, request).await?;
    for period in &due {
        for partner in partners_with_agreements(runtime).await? {
            lease.check()?;
            outcome.count_in += 1;
            match write(runtime, &partner, *period, request.business_day, false).await {
                Ok(Some(_)) => written += 1,
                Ok(None) => {}
                // One partner's figures keep nobody else from a statement.
                Err(PipelineError::Problems(problems)) => {
                    refuse(runtime, &partner, *period, request.business_day, &problems).await?;
                    refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        let mut tx = runtime.store.begin().await?;
        tx.clear_exception(&waits_key(*period), "they are written", runtime.clock.now()).await?;
        tx.commit().await?;
    }
    if request.dry_run {
        outcome.exceptions = refused;
        outcome.detail = format!("{written} statements would be written, {refused} held back; a dry run sends no mail");
        return Ok(outcome);
    }
    fault_point("statements:written");
    let report = send(runtime, lease, request.business_day).await?;
    lease.check()?;
    outcome.count_out = i64::from(report.sent);
    outcome.exceptions = refused + i64::try_from(report.problems.len()).unwrap_or(0);
    let waiting = if waiting.is_empty() { String::new() } else { format!("; those of {} wait for a feed", waiting.join(", ")) };
    outcome.detail = format!(
        "{written} statements written, {refused} held back; {} mails sent, {} later, {} uncertain, {} refused{waiting}",
        report.sent, report.later, report.uncertain, report.refused
    );
    if report.later > 0 {
        outcome.detail.push_str("; what is later is tried again by the daemon while it runs, else by the next run");
    }
    Ok(outcome)
}

fn refused_key(partner: &PartnerHead, period: Period) -> String {
    format!("statement-figures:{}:{period}", partner.code)
}

/// A statement whose figures contradict each other is not sent: a person has to look.
async fn refuse(
    runtime: &Runtime,
    partner: &PartnerHead,
    period: Period,
    business_day: NaiveDate,
    problems: &crate::core::problem::Problems,
) -> PipelineResult<()> {
    let first = problems.0.first();
    let new = NewException {
        code: first.map_or_else(|| "statement-does-not-add-up".to_owned(), |p| p.code.clone()),
        subject: format!("{} {}", partner.code, period_label(period, &runtime.settings.calendar)),
        message: format!("no statement was written: {problems}"),
        help: first.and_then(|p| p.help.clone()),
        partner: Some(partner.code.clone()),
        dedupe_key: refused_key(partner, period),
        ..NewException::default()
    };
    let mut tx = runtime.store.begin().await?;
    tx.open_exception(&new, business_day, runtime.clock.now()).await?;
    tx.commit().await?;
    Ok(())
}

fn waits_key(period: Period) -> String {
    format!("statements-wait:{period}")
}

/// Months whose statements are written now, and the names of those that wait: documents of a feed that
/// could not be read are missing, and a mail that is out cannot be called back. They are written by the
/// next run that reads every feed.
async fn due(runtime: &Runtime, request: &RunRequest) -> PipelineResult<(Vec<Period>, Vec<String>)> {
    let calendar = runtime.settings.calendar;
    let mut tx = runtime.store.begin().await?;
    let open = tx.exceptions(&ExceptionFilter::default()).await?;
    let waited = open.iter().filter(|e| e.code == STATEMENTS_WAIT).filter_map(|e| e.on_date).map(|day| calendar.month(day));
    let mut months: Vec<Period> = waited.collect();
    let this = request.statements_due.then(|| calendar.month(request.business_day));
    months.extend(this.filter(|month| !months.contains(month)));
    months.sort_by_key(|month| month.from);
    let failed = super::pull::failed_feeds(&mut tx).await?;
    if failed.is_empty() {
        return Ok((months, Vec::new()));
    }
    let mut names = Vec::new();
    for month in months {
        let name = period_label(month, &calendar);
        let new = NewException {
            code: STATEMENTS_WAIT.into(),
            subject: format!("statements of {name}"),
            message: format!("they wait, since documents may be missing: {} could not be read", failed.join(", ")),
            help: Some(
                "they are written by the next run that reads every feed; `rebated statement send` writes one as it is".into(),
            ),
            on_date: Some(month.to),
            dedupe_key: waits_key(month),
            ..NewException::default()
        };
        tx.open_exception(&new, request.business_day, runtime.clock.now()).await?;
        names.push(name);
    }
    tx.commit().await?;
    Ok((Vec::new(), names))
}

/// Partners that take part in any active agreement.
pub async fn partners_with_agreements(runtime: &Runtime) -> PipelineResult<Vec<PartnerHead>> {
    let mut tx = runtime.store.read().await?;
    let versions = tx.active_agreements().await?;
    let master = std::sync::Arc::new(tx.master_data().await?);
    let matcher = crate::core::matching::Matcher::new(&versions, master, runtime.settings.calendar);
    Ok(tx.partner_heads().await?.into_iter().filter(|p| !matcher.agreements_of(p.id).is_empty()).collect())
}

/// Writes a partner's statement for a period and plans its mails. `None` when the newest revision
/// says the same already, or there is nothing to say.
///
/// With `again`, mails are planned for the newest revision even when it is not new.
pub async fn write(
    runtime: &Runtime,
    partner: &PartnerHead,
    period: Period,
    business_day: NaiveDate,
    again: bool,
) -> PipelineResult<Option<StatementRow>> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let latest = tx.latest_statement(&partner.code, period.from, period.to).await?;
    let revision = latest.as_ref().map_or(1, |l| l.revision + 1);
    let input = input(runtime, &mut tx, partner, period, business_day, u32::try_from(revision).unwrap_or(1)).await?;
    if input.agreements.is_empty() {
        return Ok(None);
    }
    let statement = Statement::build(input)?;
    let cleared = tx.clear_exception(&refused_key(partner, period), "its figures add up now", now).await? > 0;
    let figures = serde_json::to_string(&statement).map_err(|e| PipelineError::Internal(e.to_string()))?;
    let sha256 = content_hash(&statement)?;
    let row = match latest {
        Some(latest) if latest.sha256 == sha256 => {
            if !again {
                if cleared {
                    tx.commit().await?;
                }
                return Ok(None);
            }
            latest
        }
        _ => {
            let mut row = StatementRow {
                id: 0,
                partner: partner.code.clone(),
                period_from: period.from,
                period_to: period.to,
                revision,
                figures,
                sha256,
                business_day,
            };
            row.id = tx.add_statement(&row, now).await?;
            row
        }
    };
    let sender = runtime.workspace.config.mail.from.clone();
    let key = format!("statement:{}:{period}", partner.code);
    match outbox::plan_statement(&runtime.settings.company, &sender, &partner.code, period, row.revision, &partner.email) {
        Ok(mails) => {
            for mail in mails {
                let planned = MailRow {
                    id: 0,
                    kind: mail.kind,
                    statement_id: Some(row.id),
                    partner_code: mail.partner_code,
                    period_from: period.from,
                    period_to: period.to,
                    revision: mail.revision,
                    contact: mail.contact,
                    message_id: mail.message_id,
                    state: "planned".into(),
                    attempts: 0,
                    next_attempt_at: None,
                    last_answer: None,
                };
                tx.plan_mail(&planned, now).await?;
            }
            tx.clear_exception(&key, "there is an address now", now).await?;
        }
        Err(problem) => {
            let new = NewException {
                code: problem.code.clone(),
                subject: format!("{} {}", partner.code, period_label(period, &runtime.settings.calendar)),
                message: problem.message.clone(),
                help: problem.help.clone(),
                partner: Some(partner.code.clone()),
                dedupe_key: key,
                ..NewException::default()
            };
            tx.open_exception(&new, business_day, now).await?;
        }
    }
    let detail = serde_json::json!({ "revision": row.revision, "sha256": row.sha256 });
    tx.audit(now, "daemon", "statement write", &format!("{} {period}", partner.code), "done", &detail).await?;
    tx.commit().await?;
    Ok(Some(row))
}

/// Hash of what a statement says, without its number, day and audit head: the same figures are the
/// same statement.
fn content_hash(statement: &Statement) -> PipelineResult<String> {
    let mut value = serde_json::to_value(statement).map_err(|e| PipelineError::Internal(e.to_string()))?;
    for key in ["revision", "as_of", "audit_head"] {
        if let Some(object) = value.as_object_mut() {
            object.remove(key);
        }
    }
    Ok(sha256_hex(value.to_string().as_bytes()))
}

/// Exceptions that tell a partner why a line of a document does not count yet. What concerns our own
/// routes, comparisons and decisions stays in the house.
const SHOWN: &[&str] = &[
    "unknown-item",
    "unknown-currency",
    "no-figures",
    "sign-conflict",
    "mixed-partners",
    "duplicate-line",
    "no-rate",
    "no-conversion",
    "no-weight",
    "no-gross-amount",
    "no-cost",
    "figure-too-large",
    "discount-without-goods",
    "return-without-reference",
    "original-not-found",
];

/// Everything a statement is built from.
pub async fn input(
    runtime: &Runtime,
    tx: &mut Tx,
    partner: &PartnerHead,
    period: Period,
    business_day: NaiveDate,
    revision: u32,
) -> PipelineResult<StatementInput> {
    let versions = tx.active_agreements().await?;
    let codes = accrue::codes(tx).await?;
    let mut agreements = Vec::new();
    for (id, versions) in figures::by_agreement(&versions) {
        if let Some(agreement) = agreement_input(runtime, tx, id, &versions, partner, period, &codes).await? {
            agreements.push(agreement);
        }
    }
    let exceptions = tx
        .exceptions(&ExceptionFilter::default())
        .await?
        .into_iter()
        .filter(|e| {
            SHOWN.contains(&e.code.as_str())
                && e.partner.as_deref() == Some(&partner.code)
                && e.on_date.is_none_or(|d| d <= period.to)
                && e.document_id.is_some()
        })
        .map(|e| StatementException { code: e.code, subject: e.subject, message: e.message })
        .collect();
    let audit_head = tx.audit_head().await?;
    Ok(StatementInput {
        company: runtime.workspace.config.company.name.clone(),
        partner: partner.code.clone(),
        partner_name: partner.name.clone(),
        language: Language::of_partner(partner.language.as_deref()),
        period,
        period_label: period_label(period, &runtime.settings.calendar),
        revision,
        as_of: business_day,
        agreements,
        exceptions,
        audit_head,
    })
}

async fn agreement_input(
    runtime: &Runtime,
    tx: &mut Tx,
    id: &str,
    versions: &[AgreementVersion],
    partner: &PartnerHead,
    period: Period,
    codes: &std::collections::HashMap<i64, String>,
) -> PipelineResult<Option<AgreementInput>> {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    let (Some(newest), Some(validity)) = (versions.last(), whole_validity(&references)) else { return Ok(None) };
    if !validity.overlaps(&period) {
        return Ok(None);
    }
    // A version that only comes into force later has no place on this statement.
    let current = versions.iter().rev().find(|v| v.valid_from <= period.to).unwrap_or(newest);
    let calendar = runtime.settings.calendar;
    let rank = |id: i64| codes.get(&id).cloned().unwrap_or_default();
    let rows = figures::sums(tx, versions, partner.id).await?;
    let mine =
        |figures: Vec<KeyFigure>| -> Vec<KeyFigure> { figures.into_iter().filter(|f| f.partner_id == partner.id).collect() };
    let now = mine(figures::figures(versions, &rows, &calendar, Some(period.to), &rank)?);
    let payee = current.payee.as_deref().unwrap_or(&partner.code);
    let settlements = Settlements::read(tx, versions, payee, partner.id, period).await?;
    let concerned =
        payee == partner.code && !settlements.rows.is_empty() || settlements.rows.iter().any(|(_, own)| !own.is_zero());
    if now.is_empty() && !concerned {
        return Ok(None);
    }
    let before_day = period.from.pred_opt().unwrap_or(period.from);
    let before = mine(figures::figures(versions, &rows, &calendar, Some(before_day), &rank)?);
    let counted = counted::lines(runtime, tx, versions, partner.id, Some(period.to)).await?;
    let mut booked: BTreeMap<(String, NaiveDate, NaiveDate, i64), Micros> = BTreeMap::new();
    for row in tx.entries(partner.id, id).await? {
        let e = row.entry;
        // Like what is earned: of the months that the statement covers.
        if !matches!(e.kind.as_str(), "settlement" | "write-off") && e.for_month <= period.to {
            *booked.entry((e.term, e.period_from, e.period_to, e.part)).or_default() += e.amount;
        }
    }
    let mut terms = Vec::new();
    for figure in &now {
        // Tier and ladder are those of the version that ruled the newest lines.
        let of_version = |v: &'_ &AgreementVersion| v.terms.iter().any(|t| t.id == figure.term);
        let ruling = versions.iter().rev().filter(of_version).find(|v| v.version <= figure.version);
        let Some(ruling) = ruling.or_else(|| versions.iter().rev().find(of_version)) else { continue };
        let Some(term) = ruling.terms.iter().find(|t| t.id == figure.term) else { continue };
        let measures = term.rule.measures();
        let tiers = tiers_of_period(versions, &figure.term, ruling.version, figure.period, &calendar, figure.evaluation.scale);
        let lines = counted::shares(runtime, versions, figure, &counted)?
            .into_iter()
            .map(|s| StatementLine {
                document_type: String::new(),
                document: s.line.document,
                line: s.line.line,
                date: s.line.date,
                item: s.line.item,
                description: None,
                quantity: s.line.quantity,
                unit: s.line.unit,
                net: s.line.net,
                net_currency: s.line.currency,
                share: s.share,
            })
            .collect();
        let earned_before = before
            .iter()
            .find(|b| b.term == figure.term && b.period == figure.period && b.part == figure.part)
            .map_or(Micros::ZERO, |b| b.earned);
        terms.push(TermInput {
            id: figure.term.clone(),
            kind: term.rule.name().to_owned(),
            accumulation: figure.period,
            qualifier_measure: measures.qualifier,
            base_measure: measures.base,
            unit: measures.unit.map(str::to_owned),
            method: term.rule.method(),
            bound: ruling.bound,
            tiers,
            qualifier: figure.qualifier.to_micros(),
            qualifier_of_all_partners: figures::together(versions),
            base: figure.base.to_micros(),
            tier: figure.tier,
            earned: figure.earned,
            earned_before,
            booked: booked
                .get(&(figure.term.clone(), figure.period.from, figure.period.to, figure.part))
                .copied()
                .unwrap_or_default(),
            lines,
        });
    }
    let carry_reason = match settlements.rows.iter().rev().map(|(s, _)| s).find(|s| s.is_open()) {
        _ if current.settlement.method == crate::core::agreement::PayoutMethod::AccrueOnly => CarryReason::AccrueOnly,
        Some(s) if s.state == "empty" && s.carried_forward_u < 0 => CarryReason::Overpaid,
        Some(s) if s.state == "empty" => CarryReason::BelowMinimum,
        Some(_) => CarryReason::InProgress,
        None => CarryReason::NotDue,
    };
    let label_calendar = term_calendar(newest, &calendar);
    Ok(Some(AgreementInput {
        id: id.to_owned(),
        version: current.version,
        title: current.title.clone(),
        direction: current.direction,
        currency: current.currency,
        settled: settlements.rows.iter().filter(|(s, _)| s.is_out()).map(|(_, own)| *own).sum(),
        carry_reason,
        settlements: settlements
            .rows
            .iter()
            .filter(|(_, own)| !own.is_zero())
            .map(|(s, own)| StatementSettlement {
                reference: s.reference.clone(),
                period_label: period_label(Period { from: s.period_from, to: s.period_to }, &label_calendar),
                amount: *own,
                state: s.state.clone(),
                document: s.erp_document.clone(),
            })
            .collect(),
        terms,
    }))
}

/// Settlements that a partner's statement is about, each with the partner's own part: a payee may be
/// paid for several partners.
struct Settlements {
    rows: Vec<(SettlementRow, Micros)>,
}

impl Settlements {
    /// Those for periods that end with the stated one or before, like what is earned; of later ones
    /// only what they pay for accumulation periods that had ended.
    async fn read(
        tx: &mut Tx,
        versions: &[AgreementVersion],
        payee: &str,
        partner_id: i64,
        stated: Period,
    ) -> PipelineResult<Self> {
        let mut own = settled::parts_for(tx, versions, partner_id).await?;
        let Some(newest) = versions.last() else { return Ok(Self { rows: Vec::new() }) };
        let mut rows = tx.settlements_of(&newest.id, payee).await?;
        for id in own.keys() {
            if !rows.iter().any(|s| s.id == *id) {
                rows.extend(tx.settlement(*id).await?);
            }
        }
        rows.sort_by_key(|s| (s.period_from, s.number, s.id));
        let counted = rows.into_iter().map(|s| {
            let parts = own.remove(&s.id).unwrap_or_default();
            let within = |p: &&SettlementPart| s.period_to <= stated.to || p.period_to <= stated.to;
            let sum: Micros = parts.iter().filter(within).map(|p| Micros(p.amount_u)).sum();
            (s, sum)
        });
        Ok(Self { rows: counted.filter(|(s, sum)| s.period_to <= stated.to || !sum.is_zero()).collect() })
    }
}

/// Whether the business day ends its month: the default time for statements.
pub fn month_ends(runtime: &Runtime, business_day: NaiveDate) -> bool {
    runtime.settings.calendar.month(business_day).to == business_day
}

/// Whether a mail that was put off may be tried again now.
pub async fn mails_are_due(runtime: &Runtime) -> PipelineResult<bool> {
    let now = runtime.clock.now();
    let later = runtime.store.read().await?.mails_in("later").await?;
    Ok(later.iter().any(|m| m.next_attempt_at.is_none_or(|at| at <= now)))
}

/// A run of its own for mails whose time has come, under the same lease and rules as at night. While
/// another run is under way nothing happens: that one sends them, or the next try does.
pub async fn send_again(runtime: &Runtime, stop: Arc<AtomicBool>) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let today = now.with_timezone(&runtime.settings.timezone).date_naive();
    let request = RunRequest {
        job: "mail".into(),
        key: RunKey::Due(now).to_string(),
        business_day: today.pred_opt().unwrap_or(today),
        stages: vec![Stage::Statements],
        caught_up: false,
        dry_run: false,
        statements_due: false,
    };
    super::run::execute(runtime, &request, stop).await?;
    Ok(())
}

/// Sends planned mails. A mail found in flight from an earlier process becomes uncertain.
pub async fn send(runtime: &Runtime, lease: &Lease, business_day: NaiveDate) -> PipelineResult<OutboxReport> {
    let Some(transport) = transport(runtime)? else { return Ok(OutboxReport::default()) };
    let report = send_with(runtime, &transport, Some(lease)).await;
    transport.close().await;
    let report = report?;
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    for (mail_id, problem) in &report.problems {
        let mail = tx.mails().await?.into_iter().find(|m| m.id == *mail_id);
        let new = NewException {
            code: problem.code.clone(),
            subject: mail
                .as_ref()
                .map_or_else(|| format!("mail {mail_id}"), |m| format!("mail to {} of {}", m.contact, m.partner_code)),
            message: problem.message.clone(),
            help: problem.help.clone(),
            partner: mail.map(|m| m.partner_code),
            dedupe_key: format!("mail:{mail_id}:{}", problem.code),
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    }
    if let Some(problem) = &report.server {
        let new = NewException {
            code: problem.code.clone(),
            subject: "mail server".into(),
            message: problem.message.clone(),
            help: problem.help.clone(),
            dedupe_key: "mail-server".into(),
            ..NewException::default()
        };
        tx.open_exception(&new, business_day, now).await?;
    } else if report.sent > 0 {
        tx.clear_exception("mail-server", "mail was sent", now).await?;
    }
    tx.commit().await?;
    Ok(report)
}

pub fn transport(runtime: &Runtime) -> PipelineResult<Option<MailTransport>> {
    let wrong = |e: crate::delivery::mail::MailError| {
        Problem::new("mail-transport", e.to_string()).help("correct `transport` under [mail] in rebated.toml")
    };
    Ok(match &runtime.workspace.config.mail.transport {
        MailTransportConfig::Folder { path } => {
            Some(MailTransport::Folder(FolderTransport::new(runtime.workspace.dir.join(path))))
        }
        MailTransportConfig::Smtp { url, ca_file } => {
            let mut settings = SmtpSettings::from_url(url).map_err(wrong)?;
            settings.ca_file = ca_file.as_ref().map(|file| runtime.workspace.dir.join(file));
            Some(MailTransport::Smtp(Box::new(SmtpTransport::new(settings).map_err(wrong)?)))
        }
    })
}

async fn send_with(runtime: &Runtime, transport: &MailTransport, lease: Option<&Lease>) -> PipelineResult<OutboxReport> {
    let rows = super::mail_rows::Rows { store: &runtime.store, clock: &runtime.clock, lease };
    let content = super::mail_rows::Content { runtime, render: &render_statement };
    let outbox = Outbox { rows: &rows, content: &content, transport, pauses: MailPauses::default() };
    use super::mail_rows::RowsError;
    let fault = |e: outbox::OutboxError<RowsError, RowsError>| match e {
        outbox::OutboxError::Rows(RowsError::LeaseLost) => PipelineError::LeaseLost,
        outbox::OutboxError::Rows(RowsError::Store(e)) | outbox::OutboxError::Content(RowsError::Store(e)) => e.into(),
        other => PipelineError::Internal(other.to_string()),
    };
    let mut report = outbox.recover().await.map_err(fault)?;
    report.merge(outbox.pass(|| runtime.clock.now()).await.map_err(fault)?);
    Ok(report)
}

/// Renders a stored statement.
pub fn render_statement(row: &StatementRow) -> PipelineResult<crate::delivery::statement::RenderedStatement> {
    let statement: Statement = serde_json::from_str(&row.figures).map_err(|e| PipelineError::Internal(e.to_string()))?;
    render(&statement).map_err(|e| PipelineError::Internal(e.to_string()))
}
