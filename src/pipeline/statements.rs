//! Statements: figures of one partner and period, stored by revision, mailed once to each contact.

use super::counted;
use super::figures::{self, KeyFigure};
use super::run::{Lease, RunRequest, fault_point};
use super::stages::{Stage, StageOutcome};
use super::{PipelineError, PipelineResult, Runtime, accrue};
use crate::config::MailTransportConfig;
use crate::core::agreement::{AgreementVersion, Measure, Method, Rule};
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
use crate::store::{ExceptionFilter, MailRow, NewException, PartnerHead, StatementRow, Tx};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Writes and sends what is due.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let mut outcome = StageOutcome::default();
    let mut written = 0;
    if request.statements_due {
        let period = runtime.settings.calendar.month(request.business_day);
        for partner in partners_with_agreements(runtime).await? {
            lease.check()?;
            outcome.count_in += 1;
            if write(runtime, &partner, period, request.business_day, false).await?.is_some() {
                written += 1;
            }
        }
    }
    fault_point("statements:written");
    let report = send(runtime, lease, request.business_day).await?;
    outcome.count_out = i64::from(report.sent);
    outcome.exceptions = i64::try_from(report.problems.len()).unwrap_or(0);
    outcome.detail = format!(
        "{written} statements written; {} mails sent, {} later, {} uncertain, {} refused",
        report.sent, report.later, report.uncertain, report.refused
    );
    if report.later > 0 {
        outcome.detail.push_str("; what is later is tried again by the daemon while it runs, else by the next run");
    }
    Ok(outcome)
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
    let figures = serde_json::to_string(&statement).map_err(|e| PipelineError::Internal(e.to_string()))?;
    let sha256 = content_hash(&statement)?;
    let row = match latest {
        Some(latest) if latest.sha256 == sha256 => {
            if !again {
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
            e.partner.as_deref() == Some(&partner.code) && e.on_date.is_none_or(|d| d <= period.to) && e.document_id.is_some()
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
    let calendar = runtime.settings.calendar;
    let rank = |id: i64| codes.get(&id).cloned().unwrap_or_default();
    let rows = figures::sums(tx, versions, partner.id).await?;
    let mine =
        |figures: Vec<KeyFigure>| -> Vec<KeyFigure> { figures.into_iter().filter(|f| f.partner_id == partner.id).collect() };
    let now = mine(figures::figures(versions, &rows, &calendar, Some(period.to), &rank));
    let settlements = tx.settlements_of(id, &partner.code).await?;
    if now.is_empty() && settlements.is_empty() {
        return Ok(None);
    }
    let before_day = period.from.pred_opt().unwrap_or(period.from);
    let before = mine(figures::figures(versions, &rows, &calendar, Some(before_day), &rank));
    let counted = counted::lines(runtime, tx, versions, partner.id, Some(period.to)).await?;
    let mut booked: BTreeMap<(String, NaiveDate, NaiveDate, i64), Micros> = BTreeMap::new();
    for row in tx.entries(partner.id, id).await? {
        let e = row.entry;
        if !matches!(e.kind.as_str(), "settlement" | "write-off") {
            *booked.entry((e.term, e.period_from, e.period_to, e.part)).or_default() += e.amount;
        }
    }
    let mut terms = Vec::new();
    for figure in &now {
        let Some(term) = versions.iter().rev().find_map(|v| v.terms.iter().find(|t| t.id == figure.term)) else { continue };
        let (qualifier_measure, base_measure, unit, method, tiers) = match &term.rule {
            Rule::Volume(v) => (v.qualifier, v.base, v.unit.clone(), v.method, v.tiers.clone()),
            Rule::Fixed(_) => (Measure::NetAmount, Measure::NetAmount, None, Method::Retrospective, Vec::new()),
        };
        let lines = counted::shares(runtime, versions, figure, &counted)
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
            qualifier_measure,
            base_measure,
            unit,
            method,
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
    let settled: Micros = settlements.iter().filter(|s| s.is_out()).map(|s| s.amount()).sum();
    let carry_reason = match settlements.iter().rev().find(|s| s.is_open()) {
        _ if newest.settlement.method == crate::core::agreement::PayoutMethod::AccrueOnly => CarryReason::AccrueOnly,
        Some(s) if s.state == "empty" && s.carried_forward_u < 0 => CarryReason::Overpaid,
        Some(s) if s.state == "empty" => CarryReason::BelowMinimum,
        Some(_) => CarryReason::InProgress,
        None => CarryReason::NotDue,
    };
    let label_calendar = term_calendar(newest, &calendar);
    Ok(Some(AgreementInput {
        id: id.to_owned(),
        version: newest.version,
        title: newest.title.clone(),
        direction: newest.direction,
        currency: newest.currency,
        bound: newest.bound,
        settled,
        carry_reason,
        settlements: settlements
            .iter()
            .filter(|s| s.amount_u != 0)
            .map(|s| StatementSettlement {
                reference: s.reference.clone(),
                period_label: period_label(Period { from: s.period_from, to: s.period_to }, &label_calendar),
                amount: s.amount(),
                state: s.state.clone(),
                document: s.erp_document.clone(),
            })
            .collect(),
        terms,
    }))
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
    let fault =
        |e: outbox::OutboxError<super::mail_rows::RowsError, super::mail_rows::RowsError>| PipelineError::Internal(e.to_string());
    let mut report = outbox.recover().await.map_err(fault)?;
    report.merge(outbox.pass(|| runtime.clock.now()).await.map_err(fault)?);
    Ok(report)
}

/// Renders a stored statement.
pub fn render_statement(row: &StatementRow) -> PipelineResult<crate::delivery::statement::RenderedStatement> {
    let statement: Statement = serde_json::from_str(&row.figures).map_err(|e| PipelineError::Internal(e.to_string()))?;
    render(&statement).map_err(|e| PipelineError::Internal(e.to_string()))
}
