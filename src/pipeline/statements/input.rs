//! What a statement is built from, read from the store: figures up to the period's end, what was paid on them, what
//! was stated before, and what is open.

use super::open_points;
use crate::core::accrual::tiers_of_period;
use crate::core::agreement::{AgreementVersion, PayoutMethod};
use crate::core::matching::{BASE, QUALIFIER, term_calendar, whole_validity};
use crate::core::number::Micros;
use crate::core::period::{Period, period_label};
use crate::core::statement::{
    AgreementInput, CarryReason, Language, StatedAgreement, StatedOn, StatedTerm, Statement, StatementInput, StatementLine,
    StatementSettlement, TermInput,
};
use crate::core::statement_recipe::recipe;
use crate::pipeline::figures::{self, KeyFigure};
use crate::pipeline::{PipelineError, PipelineResult, Runtime, accrue, counted, settled};
use crate::store::{PartnerHead, SettlementPart, SettlementRow, StatementHead, Tx};
use chrono::NaiveDate;
use std::collections::{BTreeMap, HashMap};

/// Everything a statement is built from.
pub(super) async fn read(
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
    let mut earlier = Earlier { heads: tx.statements_before(&partner.code, period.from).await?, read: Vec::new() };
    let open_points = open_points::of_partner(tx, partner, period).await?;
    let waits = open_points.iter().any(|p| !p.reason.counts());
    for (id, versions) in figures::by_agreement(&versions) {
        let shelf = Shelf { runtime, versions: &versions, partner, period, codes: &codes, waits };
        if let Some(agreement) = shelf.agreement(tx, id, &mut earlier).await? {
            agreements.push(agreement);
        }
    }
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
        open_points,
        audit_head,
    })
}

/// One agreement on the partner's statement.
struct Shelf<'a> {
    runtime: &'a Runtime,
    versions: &'a [AgreementVersion],
    partner: &'a PartnerHead,
    period: Period,
    codes: &'a HashMap<i64, String>,
    /// Whether lines of the partner wait for something to be clarified.
    waits: bool,
}

impl Shelf<'_> {
    async fn agreement(&self, tx: &mut Tx, id: &str, earlier: &mut Earlier) -> PipelineResult<Option<AgreementInput>> {
        let Shelf { runtime, versions, partner, period, .. } = *self;
        let references: Vec<&AgreementVersion> = versions.iter().collect();
        let (Some(newest), Some(validity)) = (versions.last(), whole_validity(&references)) else { return Ok(None) };
        if validity.from > period.to {
            return Ok(None);
        }
        // A version that only comes into force later has no place on this statement.
        let current = versions.iter().rev().find(|v| v.valid_from <= period.to).unwrap_or(newest);
        let calendar = runtime.settings.calendar;
        let rank = |id: i64| self.codes.get(&id).cloned().unwrap_or_default();
        let rows = figures::sums(tx, versions, partner.id).await?;
        let mine =
            |figures: Vec<KeyFigure>| -> Vec<KeyFigure> { figures.into_iter().filter(|f| f.partner_id == partner.id).collect() };
        let now = mine(figures::figures(versions, &rows, &calendar, Some(period.to), &rank)?);
        let payee = current.payee.as_deref().unwrap_or(&partner.code);
        let settlements = Settlements::read(tx, versions, payee, partner.id, period).await?;
        let stated = earlier.agreement(tx, id, validity.from).await?;
        let earned: Micros = now.iter().map(|f| f.earned).sum();
        let settled = settlements.settled();
        // An agreement that is over stays on the statements until all is told and paid.
        let told = stated.as_ref().map_or((Micros::ZERO, Micros::ZERO), |(_, told)| *told);
        let pays = current.settlement.method != PayoutMethod::AccrueOnly;
        let is_news = (earned, settled) != told || (pays && earned != settled);
        if !is_news && (now.is_empty() || !validity.overlaps(&period)) {
            return Ok(None);
        }
        let before_day = period.from.pred_opt().unwrap_or(period.from);
        let before = mine(figures::figures(versions, &rows, &calendar, Some(before_day), &rank)?);
        let counted = counted::lines(runtime, tx, versions, partner.id, Some(period.to)).await?;
        let booked = self.booked(tx, id).await?;
        let mut terms = Vec::new();
        for figure in &now {
            terms.extend(self.term(figure, &before, &booked, &counted)?);
        }
        let label_calendar = term_calendar(newest, &calendar);
        Ok(Some(AgreementInput {
            id: id.to_owned(),
            version: current.version,
            title: current.title.clone(),
            direction: current.direction,
            currency: current.currency,
            settled,
            carry_reason: self.carry_reason(current, &settlements),
            settlements: settlements
                .paid()
                .map(|(s, own)| StatementSettlement {
                    reference: s.reference.clone(),
                    period_label: period_label(Period { from: s.period_from, to: s.period_to }, &label_calendar),
                    amount: own,
                    state: s.state.clone(),
                    document: s.erp_document.clone(),
                })
                .collect(),
            terms,
            stated: stated.map(|(stated, _)| stated),
        }))
    }

    /// What is booked by term, accumulation period and part, like what is earned: of the months that the statement covers.
    async fn booked(&self, tx: &mut Tx, agreement: &str) -> PipelineResult<Booked> {
        let mut booked = Booked::new();
        for row in tx.entries(self.partner.id, agreement).await? {
            let e = row.entry;
            if !matches!(e.kind.as_str(), "settlement" | "write-off") && e.for_month <= self.period.to {
                *booked.entry((e.term, e.period_from, e.period_to, e.part)).or_default() += e.amount;
            }
        }
        Ok(booked)
    }

    fn term(
        &self,
        figure: &KeyFigure,
        before: &[KeyFigure],
        booked: &Booked,
        counted: &counted::CountedByKey,
    ) -> PipelineResult<Option<TermInput>> {
        let Shelf { runtime, versions, .. } = *self;
        // Tier and ladder are those of the version that ruled the newest lines.
        let of_version = |v: &'_ &AgreementVersion| v.terms.iter().any(|t| t.id == figure.term);
        let ruling = versions.iter().rev().filter(of_version).find(|v| v.version <= figure.version);
        let Some(ruling) = ruling.or_else(|| versions.iter().rev().find(of_version)) else { return Ok(None) };
        let Some(term) = ruling.terms.iter().find(|t| t.id == figure.term) else { return Ok(None) };
        let measures = term.rule.measures();
        let calendar = &runtime.settings.calendar;
        let scale = figure.evaluation.scale;
        let tiers = tiers_of_period(versions, &figure.term, ruling.version, figure.period, calendar, scale);
        let lines = counted::shares(runtime, versions, figure, counted)?
            .into_iter()
            .map(|s| StatementLine {
                document_type: s.line.document_type,
                document: s.line.document,
                line: s.line.line,
                date: s.line.date,
                item: s.line.item,
                quantity: s.line.quantity,
                unit: s.line.unit,
                net: s.line.net,
                net_currency: s.line.currency,
                counted_in: s.line.bucket,
                version: s.line.version,
                qualifier: s.line.sums.slots[QUALIFIER],
                base: s.line.sums.slots[BASE],
                derived: s.line.derived,
                unrounded: s.unrounded,
                share: s.share,
            })
            .collect();
        let earned_before = before
            .iter()
            .find(|b| b.term == figure.term && b.period == figure.period && b.part == figure.part)
            .map_or(Micros::ZERO, |b| b.earned);
        let key = (figure.term.clone(), figure.period.from, figure.period.to, figure.part);
        Ok(Some(TermInput {
            id: figure.term.clone(),
            kind: term.rule.name().to_owned(),
            accumulation: figure.period,
            part: figure.part,
            qualifier_measure: measures.qualifier,
            base_measure: measures.base,
            unit: measures.unit.map(str::to_owned),
            base_unit: measures.base_unit.map(str::to_owned),
            method: term.rule.method(),
            tiers,
            qualifier: figure.qualifier.to_micros(),
            qualifier_of_all_partners: figures::together(versions),
            base: figure.base.to_micros(),
            tier: figure.tier,
            earned: figure.earned,
            earned_before,
            booked: booked.get(&key).copied().unwrap_or_default(),
            recipe: recipe(&figure.reckoning(versions)),
            lines,
        }))
    }

    fn carry_reason(&self, current: &AgreementVersion, settlements: &Settlements) -> CarryReason {
        if current.settlement.method == PayoutMethod::AccrueOnly {
            return CarryReason::AccrueOnly;
        }
        let newest = settlements.rows.iter().rev().map(|(s, _)| s).find(|s| !s.is_out() && s.state != "withdrawn");
        match newest.map(|s| (s.state.as_str(), s.carried_forward_u)) {
            Some(("empty", carried)) if carried < 0 => CarryReason::Overpaid,
            Some(("empty", _)) => CarryReason::BelowMinimum,
            Some(("approved" | "refused", _)) => CarryReason::InProgress,
            Some(_) if self.waits => CarryReason::Held,
            // What nobody has approved yet is no promise.
            Some(_) => CarryReason::InReview,
            None => CarryReason::NotDue,
        }
    }
}

type Booked = BTreeMap<(String, NaiveDate, NaiveDate, i64), Micros>;

/// The partner's statements of earlier periods: what was stated is what this one builds on.
struct Earlier {
    /// Newest revisions, latest period first.
    heads: Vec<StatementHead>,
    /// Those read so far, in the same order.
    read: Vec<Statement>,
}

impl Earlier {
    /// What the latest one that had the agreement said of it, with what was earned and settled by then.
    async fn agreement(
        &mut self,
        tx: &mut Tx,
        id: &str,
        valid_from: NaiveDate,
    ) -> PipelineResult<Option<(StatedAgreement, (Micros, Micros))>> {
        for index in 0..self.heads.len() {
            // Before the agreement began nothing was said of it.
            if self.heads[index].period_to < valid_from {
                break;
            }
            if self.read.len() == index {
                let Some(row) = tx.statement(self.heads[index].id).await? else { break };
                let unreadable = |e| PipelineError::Internal(format!("statement {} cannot be read: {e}", row.id));
                self.read.push(serde_json::from_str(&row.figures).map_err(unreadable)?);
            }
            let statement = &self.read[index];
            let Some(figures) = statement.blocks.iter().flat_map(|b| &b.agreements).find(|a| a.id == id) else { continue };
            let on =
                StatedOn { period: statement.period, period_label: statement.period_label.clone(), revision: statement.revision };
            let terms = figures
                .terms
                .iter()
                .map(|t| StatedTerm {
                    id: t.id.clone(),
                    accumulation: t.accumulation,
                    part: t.part,
                    earned: t.earned,
                    lines: t.lines.clone(),
                })
                .collect();
            return Ok(Some((StatedAgreement { on, terms }, (figures.totals.earned, figures.totals.settled))));
        }
        Ok(None)
    }
}

/// Settlements that a partner's statement is about, each with the partner's own part: a payee may be
/// paid for several partners.
struct Settlements {
    rows: Vec<(SettlementRow, Micros)>,
}

impl Settlements {
    /// What left the house of it.
    fn paid(&self) -> impl Iterator<Item = (&SettlementRow, Micros)> {
        self.rows.iter().filter(|(s, own)| s.is_out() && !own.is_zero()).map(|(s, own)| (s, *own))
    }
    fn settled(&self) -> Micros {
        self.paid().map(|(_, own)| own).sum()
    }

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
