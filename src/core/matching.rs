//! Which lines count for which terms, as what, and why not (`calculation.md` sections 2 and 3).
//!
//! A [`Matcher`] holds every version of every agreement and a snapshot of master data; it folds
//! documents into running sums and answers for any line why it counts or does not. It rounds
//! nothing and knows nothing of tiers. Every line counts at most once per term.

mod audience;
mod compiled;
mod decided;
mod measure;
mod sums;
mod verdict;

pub use crate::core::master_data::MasterData;
pub use compiled::{accumulation_period, accumulation_periods, baseline_period, restarts, ruling, term_calendar, whole_validity};
pub use measure::{compare_line_numbers, compare_lines};
pub use sums::facet;
pub use sums::{Accumulator, BASE, Cell, Contribution, Key, LineProblem, QUALIFIER, Sums, WHOLE};
pub use verdict::{Outcome, Verdict};

use crate::core::agreement::{AgreementVersion, DateBasis, PaymentCondition, ReturnsBasis};
use crate::core::line::{DocumentStatus, DocumentType, Line, LineKind};
use crate::core::number::Exact;
use crate::core::period::{FiscalCalendar, Period, Span};
use audience::{AudienceIndex, Participation, Plan};
use chrono::NaiveDate;
use compiled::{Agreement, CompiledItem, CompiledTerm, ItemOnDay, Symbols, Version};
use foldhash::{HashMap, HashMapExt};
use measure::{Discount, Measured, Measuring, Refusal};
use std::sync::{Arc, PoisonError, RwLock};

/// A document with all its lines, as stored.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// Document id in the store.
    pub id: i64,
    /// Company code.
    pub company: &'a str,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub number: &'a str,
    /// Document date.
    pub date: NaiveDate,
    /// Posting date.
    pub posting_date: Option<NaiveDate>,
    /// State in the source.
    pub status: DocumentStatus,
    /// One of our settlement references, when the document carries it: then it pays rebate and is
    /// neither a purchase nor a return (case 03).
    pub our_reference: Option<&'a str>,
    /// All its lines, in any order.
    pub lines: &'a [Line],
}

impl Document<'_> {
    /// What it is in a number of documents: a credit note is not a further purchase.
    fn weight(&self) -> i64 {
        i64::from(self.document_type != DocumentType::CreditNote)
    }
}

/// Agreements and master data, ready to take lines. Shared by workers: it never changes.
pub struct Matcher {
    agreements: Vec<Agreement>,
    audiences: AudienceIndex,
    items: HashMap<i64, CompiledItem>,
    master: Arc<MasterData>,
    company: FiscalCalendar,
    plans: RwLock<HashMap<i64, Arc<Plan>>>,
}

/// Where a line counts in one agreement.
struct Placed {
    version: usize,
    partner_id: i64,
    day: NaiveDate,
    /// Document and line that per-document and per-line terms add it to.
    document_id: i64,
    line_id: i64,
    /// A return that ought to name its original and does not.
    orphan: bool,
}

/// A counted line of one term.
struct Counted {
    /// The figure's own sum, or that of its baseline.
    facet: i64,
    period: Period,
    bucket: NaiveDate,
    part: i64,
    measured: Measured,
}

impl Counted {
    fn sums(&self, documents: i64) -> Sums {
        let counts = self.facet == facet::MAIN;
        let slots = [self.measured.qualifier, self.measured.base, self.measured.whole, Exact::ZERO];
        Sums { slots, lines: i64::from(counts), documents: if counts { documents } else { 0 } }
    }
    fn cell(&self, agreement: u32, placed: &Placed, version: &Version, term: &CompiledTerm) -> Cell {
        let key = Key { agreement, term: term.index, partner_id: placed.partner_id, period: self.period, part: self.part };
        Cell { key, facet: self.facet, bucket: self.bucket, version: version.source.version }
    }
}

/// Why a whole document counts for nothing, if so: a code and a reason.
pub fn document_refusal(document: &Document<'_>) -> Option<(&'static str, String)> {
    match document.status {
        DocumentStatus::Draft => return Some(("draft", "the document is a draft".to_owned())),
        DocumentStatus::Cancelled => return Some(("cancelled", "the document is cancelled".to_owned())),
        DocumentStatus::Posted | DocumentStatus::Paid => {}
    }
    document.our_reference.map(|reference| ("own-reference", format!("the document pays our settlement {reference}")))
}

/// Attribute of a line that takes it out of every rebate.
const EXCLUDED_ATTRIBUTE: &str = "rebate_excluded";

fn is_excluded(line: &Line) -> bool {
    line.extra
        .as_deref()
        .and_then(|e| e.attributes.get(EXCLUDED_ATTRIBUTE))
        .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "true" | "yes" | "y" | "1" | "x"))
}

impl Matcher {
    /// Prepares all versions of all agreements (in any order) for matching.
    pub fn new(versions: &[AgreementVersion], master: Arc<MasterData>, calendar: FiscalCalendar) -> Self {
        let mut groups: Vec<Vec<&AgreementVersion>> = Vec::new();
        let mut sorted: Vec<&AgreementVersion> = versions.iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id).then(a.version.cmp(&b.version)));
        for version in sorted {
            match groups.last_mut() {
                Some(group) if group.last().is_some_and(|v| v.id == version.id) => group.push(version),
                _ => groups.push(vec![version]),
            }
        }
        let mut symbols = Symbols::default();
        let agreements: Vec<Agreement> =
            groups.iter().filter_map(|g| compiled::compile_agreement(g, &master, &calendar, &mut symbols)).collect();
        let items = compiled::compile_items(&master, &symbols);
        let audiences = AudienceIndex::new(&agreements);
        Self { agreements, audiences, items, master, company: calendar, plans: RwLock::new(HashMap::new()) }
    }

    /// Agreement ids by index, in bytewise order.
    pub fn agreements(&self) -> impl Iterator<Item = &Arc<str>> {
        self.agreements.iter().map(|a| &a.id)
    }
    /// The id of an agreement's index.
    pub fn agreement_id(&self, agreement: u32) -> Option<&Arc<str>> {
        self.agreements.get(agreement as usize).map(|a| &a.id)
    }
    /// The index of an agreement id.
    pub fn agreement_index(&self, id: &str) -> Option<u32> {
        let found = self.agreements.binary_search_by(|a| (*a.id).cmp(id)).ok()?;
        u32::try_from(found).ok()
    }
    /// The id of a term's index in an agreement.
    pub fn term_id(&self, agreement: u32, term: u32) -> Option<&Arc<str>> {
        self.agreements.get(agreement as usize)?.terms.get(term as usize)
    }
    /// The index of a term id in an agreement.
    pub fn term_index(&self, agreement: u32, id: &str) -> Option<u32> {
        let terms = &self.agreements.get(agreement as usize)?.terms;
        terms.iter().position(|t| **t == *id).and_then(|i| u32::try_from(i).ok())
    }
    /// Agreements that could touch lines of a partner, by index.
    pub fn agreements_of(&self, partner_id: i64) -> Vec<u32> {
        self.plan(partner_id).agreements.iter().map(|p| p.agreement).collect()
    }
    /// The master data it was built with.
    pub fn master(&self) -> &Arc<MasterData> {
        &self.master
    }

    fn plan(&self, partner_id: i64) -> Arc<Plan> {
        if let Some(plan) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(&partner_id) {
            return plan.clone();
        }
        let plan = Arc::new(self.audiences.plan(partner_id, &self.agreements, &self.master));
        self.plans.write().unwrap_or_else(PoisonError::into_inner).entry(partner_id).or_insert(plan).clone()
    }

    /// Folds a whole document into the running sums (`sign` 1), or takes it back (`sign` -1) when
    /// a newer version supersedes it. Taking back is exact as long as agreements and master data
    /// are those it was folded with; after a change of either, its partners are summed anew.
    pub fn fold(&self, document: &Document<'_>, sign: i64, out: &mut Accumulator) {
        out.lines_seen += document.lines.len() as u64;
        let mut found: Vec<Found> = Vec::with_capacity(document.lines.len().min(16));
        self.each(document, false, |line, number, placed, term, result| {
            let version = &self.agreements[number as usize].versions[placed.version];
            match result {
                Ok(counted) => {
                    out.lines_counted += 1;
                    if sign > 0 {
                        self.note_reference(document, line, number, placed, term, &counted, out);
                    }
                    let cell = counted.cell(number, placed, version, term);
                    let sums = counted.sums(0);
                    let per_line = term.accumulate == Span::Line;
                    let mut add = |cell: Cell, sums: Sums| match found.iter_mut().rev().find(|f| !per_line && f.cell == cell) {
                        Some(known) => known.sums.add(&sums, 1),
                        None => found.push(Found { cell, sums }),
                    };
                    add(cell, sums);
                    for (facet, figure) in &counted.measured.sides {
                        let slots = [*figure, Exact::ZERO, Exact::ZERO, Exact::ZERO];
                        add(Cell { facet: *facet, ..cell }, Sums { slots, lines: 0, documents: 0 });
                    }
                }
                Err(refusal) if sign > 0 && refusal.blocks() => {
                    self.note(document, line, number, placed, term, &refusal, out);
                }
                Err(_) => {}
            }
        });
        if found.len() > 1 {
            found.sort_unstable_by_key(|f| f.cell);
        }
        let mut previous: Option<Key> = None;
        for part in &mut found {
            // A document counts once per figure even when its lines lie in several months.
            if part.cell.facet == facet::MAIN {
                part.sums.documents = if previous == Some(part.cell.key) { 0 } else { document.weight() };
                previous = Some(part.cell.key);
            }
            out.add(part.cell, &part.sums, sign);
        }
    }

    /// What each line of a document gives to each figure, in the document's line order. The
    /// first counted line of a figure carries the document.
    pub fn contributions(&self, document: &Document<'_>) -> Vec<(i64, Contribution)> {
        let mut list: Vec<(i64, Contribution)> = Vec::new();
        self.each(document, false, |line, number, placed, term, result| {
            let version = &self.agreements[number as usize].versions[placed.version];
            if let Ok(counted) = result {
                let Cell { key, facet, bucket, version } = counted.cell(number, placed, version, term);
                let first = |c: &Contribution| c.key == key && c.facet == facet;
                let documents = if list.iter().any(|(_, c)| first(c)) { 0 } else { document.weight() };
                let (sums, sides) = (counted.sums(documents), counted.measured.sides);
                list.push((line.id, Contribution { key, facet, bucket, version, sums, sides }));
            }
        });
        list
    }

    /// Every line of a document with every term of the version that rules it: those that decide on single lines, or the
    /// others.
    fn each<'m>(
        &'m self,
        document: &Document<'_>,
        decided: bool,
        mut take: impl FnMut(&Line, u32, &Placed, &'m CompiledTerm, Result<Counted, Refusal<'m>>),
    ) {
        if document_refusal(document).is_some() {
            return;
        }
        let discount = Discount::of(document.lines);
        let mut plan: Option<(i64, Arc<Plan>)> = None;
        for line in document.lines {
            let plan = match &mut plan {
                Some((partner, plan)) if *partner == line.partner_id => plan,
                slot => &mut slot.insert((line.partner_id, self.plan(line.partner_id))).1,
            };
            for participation in &plan.agreements {
                let number = participation.agreement;
                let agreement = &self.agreements[number as usize];
                if !decided && !agreement.baselines.is_empty() {
                    self.baselines(agreement, participation, line, discount.as_ref(), |placed, term, result| {
                        take(line, number, placed, term, result);
                    });
                }
                let Ok(placed) = self.place(agreement, participation, line) else { continue };
                let version = &agreement.versions[placed.version];
                for term in version.terms.iter().filter(|t| t.decided == decided) {
                    let mut result = self.judge(agreement, version, &placed, term, line, discount.as_ref());
                    if let Ok(counted) = &mut result
                        && !term.after.is_empty()
                    {
                        self.sums_of_others(agreement, version, &placed, term, line, discount.as_ref(), counted);
                    }
                    take(line, number, &placed, term, result);
                }
            }
        }
    }

    /// The version, partner and day of a line in one agreement.
    ///
    /// A return goes to its original's day when the version that ruled the original says so; a
    /// return without a known original counts on its own day (case 06).
    fn place(&self, agreement: &Agreement, participation: &Participation, line: &Line) -> Result<Placed, Refusal<'static>> {
        let basis = if agreement.by_posting_date { DateBasis::PostingDate } else { DateBasis::DocumentDate };
        let day = line.day(basis);
        let own = participation.on(day);
        let by_original =
            |version: usize| agreement.versions[version].source.returns == ReturnsBasis::OriginalPeriod && line.is_return();
        if let Some(original) = &line.original
            && line.is_return()
        {
            let original_day = match basis {
                DateBasis::DocumentDate => original.document_date,
                DateBasis::PostingDate => original.posting_date.unwrap_or(original.document_date),
            };
            match participation.on(original_day) {
                Some(stretch) if by_original(stretch.version) => {
                    return Ok(Placed {
                        version: stretch.version,
                        partner_id: stretch.partner_id,
                        day: original_day,
                        document_id: original.document_id,
                        line_id: line.id,
                        orphan: false,
                    });
                }
                None if own.is_some_and(|s| by_original(s.version)) => return Err(Refusal::OriginalOutside),
                _ => {}
            }
        }
        let Some(stretch) = own else {
            let ruled = agreement.rules.iter().any(|(days, _)| days.contains(day));
            return Err(if ruled { Refusal::NotMember } else { Refusal::NotValid });
        };
        Ok(Placed {
            version: stretch.version,
            partner_id: stretch.partner_id,
            day,
            document_id: line.document_id,
            line_id: line.id,
            orphan: line.original.is_none() && by_original(stretch.version),
        })
    }

    /// The bases of terms whose benefit is taken off this term's, where they count the line in the same period.
    fn sums_of_others(
        &self,
        agreement: &Agreement,
        version: &Version,
        placed: &Placed,
        term: &CompiledTerm,
        line: &Line,
        discount: Option<&Discount>,
        counted: &mut Counted,
    ) {
        for (place, id) in &term.after {
            let other = version.terms.iter().find(|t| agreement.terms.get(t.index as usize).is_some_and(|known| **known == **id));
            let Some(other) = other else { continue };
            if let Ok(of_other) = self.judge(agreement, version, placed, other, line, discount)
                && (of_other.period, of_other.part) == (counted.period, counted.part)
            {
                counted.measured.sides.push((facet::after(*place), of_other.measured.base));
            }
        }
    }

    /// What a line gives to the baselines of periods that are compared with its own.
    ///
    /// A baseline covers the buyers who take part in the period that is compared, whether they took part
    /// then or not.
    fn baselines<'m>(
        &'m self,
        agreement: &'m Agreement,
        participation: &Participation,
        line: &Line,
        discount: Option<&Discount>,
        mut take: impl FnMut(&Placed, &'m CompiledTerm, Result<Counted, Refusal<'m>>),
    ) {
        let basis = if agreement.by_posting_date { DateBasis::PostingDate } else { DateBasis::DocumentDate };
        for baseline in &agreement.baselines {
            let version = &agreement.versions[baseline.version];
            let day = match &line.original {
                Some(original) if version.source.returns == ReturnsBasis::OriginalPeriod && line.is_return() => match basis {
                    DateBasis::DocumentDate => original.document_date,
                    DateBasis::PostingDate => original.posting_date.unwrap_or(original.document_date),
                },
                _ => line.day(basis),
            };
            for period in baseline.compared_with(day) {
                let partner_id = self.master.effective_partner(line.partner_id, day, agreement.validity.to);
                if !participation.stretches.iter().any(|s| s.partner_id == partner_id && s.days.overlaps(&period)) {
                    continue;
                }
                let placed = Placed {
                    version: baseline.version,
                    partner_id,
                    day,
                    document_id: line.document_id,
                    line_id: line.id,
                    orphan: false,
                };
                let measured = self.qualify(version, &placed, &baseline.term, line, discount).map(|(_, measured)| measured);
                let counted = |measured| Counted { facet: facet::BASELINE, period, bucket: period.from, part: 0, measured };
                take(&placed, &baseline.term, measured.map(counted));
            }
        }
    }

    /// Whether the term takes the line, on which day it counts and as what.
    fn qualify<'m>(
        &'m self,
        version: &'m Version,
        placed: &Placed,
        term: &'m CompiledTerm,
        line: &Line,
        discount: Option<&Discount>,
    ) -> Result<(NaiveDate, Measured), Refusal<'m>> {
        let item = line.item_id.and_then(|id| self.items.get(&id)).map(|i| i.on(placed.day));
        let day = self.selects(placed, term, line, item.as_ref(), discount)?;
        if term.decided {
            return Ok((day, Measured::NOTHING));
        }
        let conversion_day = match &line.original {
            Some(original) if line.is_return() => original.document_date,
            _ => line.document_date,
        };
        let measuring = Measuring { version, master: &self.master, line, discount, day: placed.day, conversion_day };
        Ok((day, measuring.measure(term, item.as_ref())?))
    }

    /// Whether the term takes the line, and on which day it counts.
    fn selects<'m>(
        &self,
        placed: &Placed,
        term: &'m CompiledTerm,
        line: &Line,
        item: Option<&ItemOnDay<'_>>,
        discount: Option<&Discount>,
    ) -> Result<NaiveDate, Refusal<'m>> {
        if !term.takes_document(line.document_type) {
            return Err(Refusal::DocumentType);
        }
        if !term.takes_kind(line.line_kind) {
            if line.line_kind == LineKind::Discount && term.spreads_discounts() {
                let spreads = discount.is_some_and(|d| d.spreads(line));
                return Err(if spreads || line.net_amount.is_zero() { Refusal::Spread } else { Refusal::DiscountWithoutGoods });
            }
            return Err(Refusal::Kind);
        }
        if line.extra.is_some() && is_excluded(line) {
            return Err(Refusal::RebateExcluded);
        }
        if let Some(test) = term.unselected(line, item) {
            return Err(Refusal::NotSelected(test));
        }
        if term.excepts(line, item) {
            return Err(Refusal::Excepted);
        }
        let day = match term.payment {
            PaymentCondition::Any => placed.day,
            PaymentCondition::Paid => line.paid_on.map(|_| placed.day).ok_or(Refusal::Unpaid)?,
            PaymentCondition::PaidInPeriod | PaymentCondition::PostedAndPaidInPeriod | PaymentCondition::AsReceived => {
                line.paid_on.ok_or(Refusal::Unpaid)?
            }
        };
        if self.company.covers(day) { Ok(day) } else { Err(Refusal::NoFiscalMonth(day)) }
    }

    fn judge<'m>(
        &'m self,
        agreement: &Agreement,
        version: &'m Version,
        placed: &Placed,
        term: &'m CompiledTerm,
        line: &Line,
        discount: Option<&Discount>,
    ) -> Result<Counted, Refusal<'m>> {
        let period_of = |day| {
            accumulation_period(&agreement.calendar, term.accumulate, day, agreement.validity, &agreement.restarts)
                .ok_or(Refusal::OutsidePeriod)
        };
        let (day, measured) = self.qualify(version, placed, term, line, discount)?;
        let period = period_of(day)?;
        if term.payment == PaymentCondition::PostedAndPaidInPeriod && period_of(placed.day)? != period {
            return Err(Refusal::PaidElsewhere);
        }
        let part = match term.accumulate {
            Span::Document => placed.document_id,
            Span::Line => placed.line_id,
            _ => 0,
        };
        let month = self.company.month_start(day);
        let settled = agreement.calendar.period(agreement.every, day, agreement.validity).from;
        Ok(Counted { facet: facet::MAIN, period, bucket: month.max(settled.min(day)), part, measured })
    }

    fn note(
        &self,
        document: &Document<'_>,
        line: &Line,
        number: u32,
        placed: &Placed,
        term: &CompiledTerm,
        refusal: &Refusal<'_>,
        out: &mut Accumulator,
    ) {
        let term_id = &self.agreements[number as usize].terms[term.index as usize];
        let reason = refusal.reason(line, term_id);
        self.push_problem(document, line, number, placed, term, (refusal.code(), true, reason), out);
    }

    /// Returns whose original is missing where it matters: not blocking.
    fn note_reference(
        &self,
        document: &Document<'_>,
        line: &Line,
        number: u32,
        placed: &Placed,
        term: &CompiledTerm,
        counted: &Counted,
        out: &mut Accumulator,
    ) {
        let named = line.refers_to_document.as_deref();
        if placed.orphan {
            let reason = match named {
                Some(number) => format!("the document {number} that the return refers to is not known: it counts on its own day"),
                None => "the return refers to no invoice: it counts on its own day".to_owned(),
            };
            self.push_problem(document, line, number, placed, term, ("return-without-reference", false, reason), out);
        } else if let Some(name) = named
            && counted.measured.converted
            && line.original.is_none()
            && line.is_return()
        {
            let reason = format!("the document {name} that the return refers to is not known: it is converted as of its own day");
            self.push_problem(document, line, number, placed, term, ("original-not-found", false, reason), out);
        }
    }

    fn push_problem(
        &self,
        document: &Document<'_>,
        line: &Line,
        number: u32,
        placed: &Placed,
        term: &CompiledTerm,
        (code, blocking, message): (&'static str, bool, String),
        out: &mut Accumulator,
    ) {
        debug_assert!(LineProblem::CODES.contains(&code), "{code} is not among the codes of matching");
        let agreement = &self.agreements[number as usize];
        // Several terms of one agreement meet the same fact; it is told once.
        let told =
            out.problems.iter().rev().take_while(|p| p.line_id == line.id).any(|p| p.code == code && p.agreement == agreement.id);
        if !told {
            out.problems.push(LineProblem {
                line_id: line.id,
                document_id: document.id,
                partner_id: line.partner_id,
                code,
                blocking,
                agreement: agreement.id.clone(),
                term: agreement.terms[term.index as usize].clone(),
                on: placed.day,
                message,
            });
        }
    }
}

struct Found {
    cell: Cell,
    sums: Sums,
}
