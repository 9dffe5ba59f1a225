//! Agreements prepared for matching: which version rules a day, which period holds it, and
//! selections as comparisons of small integers instead of texts.
//!
//! Nothing here looks at lines; the invariant is that exactly one version of an agreement rules
//! any day, the highest one that is in force.

use super::sums::facet;
use crate::core::agreement::{
    AgreementVersion, Baseline, Dimension, Measure, Mix, MixCount, PaymentCondition, Rule, Selection, Term, UnitMatch,
};
use crate::core::line::{DocumentType, Extra, Line, LineKind};
use crate::core::master_data::{MasterData, RateSeries};
use crate::core::money::Currency;
use crate::core::period::{FiscalCalendar, Period, Span};
use chrono::{Days, NaiveDate};
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

/// The calendar of an agreement's periods.
pub fn term_calendar(version: &AgreementVersion, company: &FiscalCalendar) -> FiscalCalendar {
    if version.gregorian { company.gregorian() } else { *company }
}

/// First to last day over all versions; the newest version says when it ends.
pub fn whole_validity(versions: &[&AgreementVersion]) -> Option<Period> {
    let newest = versions.iter().max_by_key(|v| v.version)?;
    let from = versions.iter().map(|v| v.valid.from).min()?;
    Period::new(from, newest.valid.to)
}

/// Days with the version (an index into `versions`) that rules them.
pub fn ruling(versions: &[&AgreementVersion]) -> Vec<(Period, usize)> {
    let mut starts: Vec<NaiveDate> = versions.iter().map(|v| v.valid_from).collect();
    starts.sort_unstable();
    starts.dedup();
    let mut rules: Vec<(Period, usize)> = Vec::new();
    for (i, start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).map_or(NaiveDate::MAX, |next| *next - Days::new(1));
        let in_force = versions.iter().enumerate().filter(|(_, v)| v.valid_from <= *start).max_by_key(|(_, v)| v.version);
        if let Some((index, version)) = in_force
            && let Some(days) = Period::new(*start, end).and_then(|p| p.intersect(&version.valid))
        {
            rules.push((days, index));
        }
    }
    rules
}

/// The accumulation period of a span that holds the day, clipped to the validity and to the
/// stretch between amendments that start the qualifier anew.
pub fn accumulation_period(
    calendar: &FiscalCalendar,
    span: Span,
    day: NaiveDate,
    validity: Period,
    restarts: &[NaiveDate],
) -> Option<Period> {
    let mut period = calendar.period(span, day, validity).intersect(&validity)?;
    for restart in restarts {
        if *restart <= day {
            period.from = period.from.max(*restart);
        } else {
            period.to = period.to.min(*restart - Days::new(1));
        }
    }
    period.contains(day).then_some(period)
}

/// Days on which an amendment starts the qualifier anew.
pub fn restarts(versions: &[&AgreementVersion], rules: &[(Period, usize)]) -> Vec<NaiveDate> {
    rules.iter().filter(|(_, v)| versions[*v].restart_on_amendment).map(|(days, _)| days.from).collect()
}

pub(super) struct Agreement {
    pub id: Arc<str>,
    pub validity: Period,
    pub calendar: FiscalCalendar,
    pub restarts: Vec<NaiveDate>,
    pub terms: Vec<Arc<str>>,
    pub versions: Vec<Version>,
    pub rules: Vec<(Period, usize)>,
    pub baselines: Vec<BaselineTerm>,
    /// Rhythm of settlements, of the newest version: what is sold is summed so that each of its periods can be paid.
    pub every: Span,
    /// Of the newest version: which date places a document may not differ between versions, or a
    /// document could fall between two of them.
    pub by_posting_date: bool,
}

pub(super) struct Version {
    pub source: AgreementVersion,
    pub terms: Vec<CompiledTerm>,
    /// By currency: rates into the agreement's.
    pub rates: Vec<(Currency, RateSeries)>,
}

pub(super) struct CompiledTerm {
    pub index: u32,
    documents: u8,
    kinds: u8,
    select: Vec<Test>,
    except: Vec<Test>,
    pub payment: PaymentCondition,
    pub accumulate: Span,
    pub qualifier: Gauge,
    /// Which of the term's lines the qualifier takes; all when empty.
    qualifier_of: Vec<Test>,
    pub base: Gauge,
    base_of: Vec<Test>,
    pub unit_match: UnitMatch,
    /// Lines are not measured but decided on one by one.
    pub decided: bool,
    /// What the qualifier is a share of.
    pub whole: Option<Part>,
    /// Further sums of the figure.
    pub sides: Vec<Part>,
    /// Terms of the same version whose benefit is taken off, with their places in `after`.
    pub after: Vec<(i64, String)>,
    pub by_item: Option<ByItem>,
}

/// A further sum over a part of the term's lines.
pub(super) struct Part {
    pub facet: i64,
    tests: Vec<Test>,
    pub gauge: Gauge,
}

impl Part {
    pub fn takes(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
        all_hold(&self.tests, line, item)
    }
}

/// Which sums a figure has for each item or category.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ByItem {
    /// The base of each item.
    Base,
    /// The qualifier of each item.
    Items,
    /// The qualifier of each category.
    Categories,
}

fn all_hold(tests: &[Test], line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
    tests.iter().all(|test| test.holds(line, item))
}

/// A measure, and the unit of quantities.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Gauge {
    pub measure: Measure,
    pub unit: Option<Arc<str>>,
}

impl CompiledTerm {
    pub fn takes_document(&self, kind: DocumentType) -> bool {
        self.documents & (1 << kind as u8) != 0
    }
    pub fn takes_kind(&self, kind: LineKind) -> bool {
        self.kinds & (1 << kind as u8) != 0
    }
    /// Whether document discounts are spread over the goods lines instead of counting themselves.
    pub fn spreads_discounts(&self) -> bool {
        self.takes_kind(LineKind::Goods) && !self.takes_kind(LineKind::Discount)
    }
    /// The first dimension of the selection that does not hold.
    pub fn unselected(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> Option<&Test> {
        self.select.iter().find(|test| !test.holds(line, item))
    }
    pub fn excepts(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
        !self.except.is_empty() && self.except.iter().all(|test| test.holds(line, item))
    }
    pub fn has_selection(&self) -> bool {
        !self.select.is_empty()
    }
    pub fn qualifies(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
        all_hold(&self.qualifier_of, line, item)
    }
    pub fn pays_on(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
        all_hold(&self.base_of, line, item)
    }
    /// Whether every line of the term is in its qualifier and its base, and there is nothing else to sum.
    pub fn is_plain(&self) -> bool {
        self.qualifier_of.is_empty()
            && self.base_of.is_empty()
            && self.whole.is_none()
            && self.sides.is_empty()
            && self.by_item.is_none()
    }
}

/// A value that stands for every other: the line has any at all.
const ANY: &str = "*";

/// One dimension of a selection.
pub(super) struct Test {
    pub name: String,
    pub values: Vec<String>,
    kind: TestKind,
}

enum TestKind {
    Item(Box<[u32]>),
    Category(Box<[u32]>),
    Brand(Box<[u32]>),
    Group(Box<[u32]>),
    Kind(u8),
    Unit,
    Extra(fn(&Extra) -> Option<&String>),
    Attribute(String),
}

impl Test {
    fn holds(&self, line: &Line, item: Option<&ItemOnDay<'_>>) -> bool {
        let any = |wanted: &[u32], have: &[u32]| have.iter().any(|h| wanted.binary_search(h).is_ok());
        let text = |value: Option<&String>| value.is_some_and(|v| self.values.iter().any(|w| w == v || w == ANY));
        match &self.kind {
            TestKind::Item(wanted) => item.is_some_and(|i| any(wanted, &i.item.numbers)),
            TestKind::Category(wanted) => item.is_some_and(|i| any(wanted, &i.facts.categories)),
            TestKind::Brand(wanted) => item.is_some_and(|i| any(wanted, i.facts.brand.as_slice())),
            TestKind::Group(wanted) => item.is_some_and(|i| any(wanted, i.facts.group.as_slice())),
            TestKind::Kind(mask) => mask & (1 << line.line_kind as u8) != 0,
            TestKind::Unit => self.values.iter().any(|w| **w == *line.unit),
            TestKind::Extra(get) => text(line.extra.as_deref().and_then(get)),
            TestKind::Attribute(name) => text(line.extra.as_deref().and_then(|e| e.attributes.get(name))),
        }
    }
}

/// Small numbers for the texts that selections name; everything else needs none.
#[derive(Default)]
pub(super) struct Symbols(HashMap<String, u32>);

impl Symbols {
    fn of(&mut self, text: &str) -> u32 {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        *self.0.entry(text.to_owned()).or_insert(next)
    }
    fn known(&self, text: &str) -> Option<u32> {
        self.0.get(text).copied()
    }
}

/// What selections can see of an item.
pub(super) struct CompiledItem {
    numbers: Box<[u32]>,
    epochs: Box<[(NaiveDate, ItemFacts)]>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct ItemFacts {
    categories: Vec<u32>,
    brand: Option<u32>,
    group: Option<u32>,
}

static NO_FACTS: ItemFacts = ItemFacts { categories: Vec::new(), brand: None, group: None };

/// An item as it was on a day.
pub(super) struct ItemOnDay<'a> {
    item: &'a CompiledItem,
    facts: &'a ItemFacts,
}

impl CompiledItem {
    pub fn on(&self, day: NaiveDate) -> ItemOnDay<'_> {
        let count = self.epochs.partition_point(|e| e.0 <= day);
        let facts = count.checked_sub(1).and_then(|i| self.epochs.get(i)).map_or(&NO_FACTS, |e| &e.1);
        ItemOnDay { item: self, facts }
    }
}

/// Every level of a category path, and every path from the top down to it.
fn category_names(path: &str) -> Vec<String> {
    let levels: Vec<&str> = path.split('/').map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut names: Vec<String> = levels.iter().map(|l| (*l).to_owned()).collect();
    names.extend((2..=levels.len()).map(|n| levels[..n].join("/")));
    names
}

/// What selections can see of each item of the snapshot, by item id.
pub(super) fn compile_items(master: &MasterData, symbols: &Symbols) -> HashMap<i64, CompiledItem> {
    let mut items = HashMap::with_capacity(master.items().len());
    for item in master.items() {
        let numbers = master.item_numbers(item).iter().filter_map(|c| symbols.known(c)).collect();
        let mut epochs: Vec<(NaiveDate, ItemFacts)> = Vec::new();
        for day in master.item_change_days(item) {
            let Some(fact) = master.item_fact(item, day) else { continue };
            let facts = ItemFacts {
                categories: category_names(fact.category.as_deref().unwrap_or_default())
                    .iter()
                    .filter_map(|n| symbols.known(n))
                    .collect(),
                brand: fact.brand.as_deref().and_then(|b| symbols.known(b)),
                group: fact.group.as_deref().and_then(|g| symbols.known(g)),
            };
            if epochs.last().is_none_or(|last| last.1 != facts) {
                epochs.push((day, facts));
            }
        }
        items.insert(item.id, CompiledItem { numbers, epochs: epochs.into() });
    }
    items
}

fn compile_selection(selection: &Selection, with_kinds: bool, symbols: &mut Symbols) -> Vec<Test> {
    let mut tests = Vec::new();
    for (dimension, values) in &selection.dimensions {
        let mut sorted = |values: &[String]| {
            let mut numbers: Vec<u32> = values.iter().map(|v| symbols.of(v)).collect();
            numbers.sort_unstable();
            numbers.into_boxed_slice()
        };
        let (name, kind) = match dimension {
            Dimension::Item => ("item", TestKind::Item(sorted(values))),
            Dimension::Category => {
                let trimmed: Vec<String> =
                    values.iter().map(|v| v.split('/').map(str::trim).collect::<Vec<_>>().join("/")).collect();
                ("category", TestKind::Category(sorted(&trimmed)))
            }
            Dimension::Brand => ("brand", TestKind::Brand(sorted(values))),
            Dimension::Group => ("group", TestKind::Group(sorted(values))),
            // Which kinds a term takes is asked apart, since goods are the default.
            Dimension::LineKind if !with_kinds => continue,
            Dimension::LineKind => {
                let kinds = values.iter().filter_map(|v| LineKind::from_word(v)).fold(0, |mask, k| mask | 1 << k as u8);
                ("line kind", TestKind::Kind(kinds))
            }
            Dimension::ShipTo => ("ship-to", TestKind::Extra(|e| e.ship_to.as_ref())),
            Dimension::EndCustomer => ("end customer", TestKind::Extra(|e| e.end_customer.as_ref())),
            Dimension::Territory => ("territory", TestKind::Extra(|e| e.territory.as_ref())),
            Dimension::OrderType => ("order type", TestKind::Extra(|e| e.order_type.as_ref())),
            Dimension::PaymentTerms => ("payment terms", TestKind::Extra(|e| e.payment_terms.as_ref())),
            Dimension::Authorization => ("authorization", TestKind::Extra(|e| e.authorization.as_ref())),
            Dimension::Unit => ("unit", TestKind::Unit),
            Dimension::Attribute(name) => ("attribute", TestKind::Attribute(name.clone())),
        };
        let name =
            if let Dimension::Attribute(attribute) = dimension { format!("attributes.{attribute}") } else { name.to_owned() };
        tests.push(Test { name, values: values.clone(), kind });
    }
    tests
}

/// What a mix sums beside its base.
struct MixParts {
    qualifier_of: Vec<Test>,
    base_of: Vec<Test>,
    whole: Option<Part>,
    sides: Vec<Part>,
    by_item: Option<ByItem>,
}

fn mix_parts(mix: &Mix, symbols: &mut Symbols) -> MixParts {
    let mut tests = |select: &Selection| compile_selection(select, true, symbols);
    let gauge = |measure: Measure, unit: &Option<String>| Gauge { measure, unit: unit.as_deref().map(Arc::from) };
    let minimums = (1i64..).zip(&mix.minimums).map(|(number, minimum)| Part {
        facet: facet::minimum(number),
        tests: tests(&minimum.select),
        gauge: gauge(minimum.measure, &minimum.unit),
    });
    let sides = minimums.collect();
    MixParts {
        sides,
        qualifier_of: mix.share.as_ref().map(|s| tests(&s.of)).unwrap_or_default(),
        base_of: tests(&mix.base.select),
        whole: mix.share.as_ref().map(|s| Part {
            facet: facet::MAIN,
            tests: tests(&s.within),
            gauge: gauge(mix.measure, &mix.unit),
        }),
        by_item: mix.count.map(|count| match count {
            MixCount::Items => ByItem::Items,
            MixCount::Categories => ByItem::Categories,
        }),
    }
}

fn compile_term(term: &Term, index: u32, symbols: &mut Symbols) -> CompiledTerm {
    let measures = term.rule.measures();
    let parts = match &term.rule {
        Rule::Mix(mix) => mix_parts(mix, symbols),
        rule => MixParts {
            qualifier_of: Vec::new(),
            base_of: Vec::new(),
            whole: None,
            sides: Vec::new(),
            by_item: rule.tiers().iter().any(|t| t.benefit.is_per_item()).then_some(ByItem::Base),
        },
    };
    CompiledTerm {
        index,
        documents: term.documents.iter().fold(0, |mask, d| mask | 1 << *d as u8),
        kinds: LineKind::WORDS.iter().filter(|(_, k)| term.select.takes_kind(*k)).fold(0, |mask, (_, k)| mask | 1 << *k as u8),
        select: compile_selection(&term.select, false, symbols),
        except: compile_selection(&term.except, true, symbols),
        payment: term.payment,
        accumulate: term.accumulate,
        qualifier: Gauge { measure: measures.qualifier, unit: measures.unit.map(Arc::from) },
        base: Gauge { measure: measures.base, unit: measures.base_unit.map(Arc::from) },
        unit_match: measures.unit_match,
        decided: term.rule.is_decided(),
        qualifier_of: parts.qualifier_of,
        base_of: parts.base_of,
        whole: parts.whole,
        sides: parts.sides,
        by_item: parts.by_item,
        after: (1i64..).zip(&term.after).map(|(place, id)| (place, id.clone())).collect(),
    }
}

/// A term that compares periods with earlier ones: its lines of those count in the baseline.
pub(super) struct BaselineTerm {
    pub version: usize,
    pub term: CompiledTerm,
    /// Baseline periods, ascending, with the accumulation period that is compared.
    pub windows: Vec<(Period, Period)>,
}

impl BaselineTerm {
    /// The accumulation periods in whose baseline the day lies.
    pub fn compared_with(&self, day: NaiveDate) -> impl Iterator<Item = Period> {
        self.windows.iter().filter(move |(baseline, _)| baseline.contains(day)).map(|(_, period)| *period)
    }
}

/// Every accumulation period of a term from the first to the last valid day.
pub fn accumulation_periods(calendar: &FiscalCalendar, span: Span, validity: Period, restarts: &[NaiveDate]) -> Vec<Period> {
    let mut periods = Vec::new();
    let mut day = validity.from;
    while let Some(period) = accumulation_period(calendar, span, day, validity, restarts) {
        periods.push(period);
        if period.to >= validity.to {
            break;
        }
        day = period.to + Days::new(1);
    }
    periods
}

/// What a period is compared with: the same months of earlier years, or the period just before.
pub fn baseline_period(
    baseline: &Baseline,
    calendar: &FiscalCalendar,
    span: Span,
    period: Period,
    validity: Period,
) -> Option<Period> {
    let mut earlier = period;
    match baseline {
        Baseline::PriorYear => {
            // A span of several years is compared with as many before it.
            while earlier.to >= period.from {
                earlier = calendar.prior_year(earlier);
            }
            Some(earlier)
        }
        Baseline::PriorPeriod => Some(calendar.period(span, period.from.pred_opt()?, validity)),
        Baseline::Fixed(_) | Baseline::Table { .. } => None,
    }
}

fn baselines(
    versions: &[&AgreementVersion],
    terms: &[Arc<str>],
    calendar: &FiscalCalendar,
    validity: Period,
    restarts: &[NaiveDate],
    symbols: &mut Symbols,
) -> Vec<BaselineTerm> {
    let mut found = Vec::new();
    for (index, id) in (0u32..).zip(terms) {
        // The newest version says what growth is measured by.
        let newest =
            versions.iter().enumerate().filter_map(|(v, version)| Some((v, version.terms.iter().find(|t| *t.id == **id)?)));
        let Some((version, term)) = newest.max_by_key(|(v, _)| versions[*v].version) else { continue };
        let Rule::Growth(growth) = &term.rule else { continue };
        let windows: Vec<(Period, Period)> = accumulation_periods(calendar, term.accumulate, validity, restarts)
            .into_iter()
            .filter_map(|p| Some((baseline_period(&growth.baseline, calendar, term.accumulate, p, validity)?, p)))
            .collect();
        if !windows.is_empty() {
            found.push(BaselineTerm { version, term: compile_term(term, index, symbols), windows });
        }
    }
    found
}

/// All versions of one agreement, prepared.
pub(super) fn compile_agreement(
    versions: &[&AgreementVersion],
    master: &MasterData,
    company: &FiscalCalendar,
    symbols: &mut Symbols,
) -> Option<Agreement> {
    let newest = versions.iter().max_by_key(|v| v.version)?;
    let validity = whole_validity(versions)?;
    let rules = ruling(versions);
    let mut terms: Vec<Arc<str>> = Vec::new();
    let mut compiled = Vec::new();
    for version in versions {
        let mut list = Vec::new();
        for term in &version.terms {
            let index = terms.iter().position(|t| **t == *term.id).unwrap_or_else(|| {
                terms.push(Arc::from(term.id.as_str()));
                terms.len() - 1
            });
            list.push(compile_term(term, u32::try_from(index).unwrap_or(u32::MAX), symbols));
        }
        let rates = master.rates_into(&version.exchange.rate_type, version.currency);
        compiled.push(Version { source: (*version).clone(), terms: list, rates });
    }
    let (calendar, restarts) = (term_calendar(newest, company), restarts(versions, &rules));
    let baselines = baselines(versions, &terms, &calendar, validity, &restarts, symbols);
    Some(Agreement {
        id: Arc::from(newest.id.as_str()),
        validity,
        calendar,
        restarts,
        baselines,
        terms,
        versions: compiled,
        rules,
        every: newest.settlement.every,
        by_posting_date: newest.date_basis == crate::core::agreement::DateBasis::PostingDate,
    })
}
