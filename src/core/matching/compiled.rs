//! Agreements prepared for matching: which version rules a day, which period holds it, and
//! selections as comparisons of small integers instead of texts.
//!
//! Nothing here looks at lines; the invariant is that exactly one version of an agreement rules
//! any day, the highest one that is in force.

use crate::core::agreement::{AgreementVersion, Dimension, Measure, PaymentCondition, Selection, Term, UnitMatch};
use crate::core::line::{DocumentType, Extra, Line, LineKind};
use crate::core::master_data::{MasterData, RateSeries};
use crate::core::money::Currency;
use crate::core::period::{FiscalCalendar, Period, Span};
use chrono::{Days, NaiveDate};
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

/// The calendar of an agreement's periods.
pub fn term_calendar(version: &AgreementVersion, company: &FiscalCalendar) -> FiscalCalendar {
    if version.gregorian { FiscalCalendar::default() } else { *company }
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
    pub base: Gauge,
    pub unit_match: UnitMatch,
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
}

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
        let text = |value: Option<&String>| value.is_some_and(|v| self.values.iter().any(|w| w == v));
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

fn compile_term(term: &Term, index: u32, symbols: &mut Symbols) -> CompiledTerm {
    let measures = term.rule.measures();
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
    }
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
    Some(Agreement {
        id: Arc::from(newest.id.as_str()),
        validity,
        calendar: term_calendar(newest, company),
        restarts: restarts(versions, &rules),
        terms,
        versions: compiled,
        rules,
        every: newest.settlement.every,
        by_posting_date: newest.date_basis == crate::core::agreement::DateBasis::PostingDate,
    })
}
