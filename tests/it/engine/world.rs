//! A small world for the engine: agreements, master data and documents in a few words.

use chrono::NaiveDate;
use rebated::core::accrual::{Entry, Evaluation, evaluate};
use rebated::core::agreement::*;
use rebated::core::line::{DocumentStatus, DocumentType, Line, LineKind, Original};
use rebated::core::master_data::{Conversion, ExchangeRate, Item, ItemFact, MasterData, Partner, PartnerFact};
use rebated::core::matching::{Accumulator, Cell, Document, Matcher, Sums};
use rebated::core::money::Currency;
use rebated::core::number::{Factor, Micros, Rate};
use rebated::core::period::{FiscalCalendar, Period, Span};
use std::sync::Arc;

pub fn day(text: &str) -> NaiveDate {
    text.parse().expect("test date")
}
pub fn period(from: &str, to: &str) -> Period {
    Period::new(day(from), day(to)).expect("test period")
}
pub fn micros(text: &str) -> Micros {
    Micros::parse(text).expect("test amount")
}
pub fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("test currency")
}

pub fn rate_tiers(tiers: &[(&str, &str)]) -> Vec<Tier> {
    let benefit = |rate: &str| Benefit::Rate(Rate::parse_percent(rate).expect("test rate"));
    tiers.iter().map(|(from, rate)| Tier { from: micros(from), benefit: benefit(rate), back_to_first: false }).collect()
}
pub fn unit_tiers(tiers: &[(&str, &str)]) -> Vec<Tier> {
    tiers
        .iter()
        .map(|(from, price)| Tier { from: micros(from), benefit: Benefit::PerUnit(micros(price)), back_to_first: false })
        .collect()
}

/// Volume on net amounts, retrospective.
pub fn volume(tiers: Vec<Tier>) -> Volume {
    Volume {
        qualifier: Measure::NetAmount,
        base: Measure::NetAmount,
        unit: None,
        unit_match: UnitMatch::Convert,
        method: Method::Retrospective,
        tiers,
    }
}
/// Volume on pieces, retrospective.
pub fn pieces(tiers: Vec<Tier>) -> Volume {
    Volume { qualifier: Measure::Quantity, base: Measure::Quantity, unit: Some("EA".into()), ..volume(tiers) }
}

pub fn term(id: &str, rule: Rule) -> Term {
    Term {
        id: id.into(),
        select: Selection::default(),
        except: Selection::default(),
        documents: vec![DocumentType::Invoice, DocumentType::CreditNote],
        payment: PaymentCondition::Any,
        accumulate: Span::Year,
        prorate_bounds: false,
        requires: Vec::new(),
        after: Vec::new(),
        one_of: None,
        caps: Caps::default(),
        rule,
    }
}

/// One partner `C1`, one term `volume`, the year 2026, EUR.
pub fn agreement(rule: Volume) -> AgreementVersion {
    AgreementVersion {
        id: "A".into(),
        version: 1,
        title: "Test".into(),
        objective: None,
        direction: Direction::Payable,
        audience: Audience { partners: vec!["C1".into()], ..Audience::default() },
        payee: None,
        currency: currency("EUR"),
        valid: period("2026-01-01", "2026-12-31"),
        valid_from: day("2026-01-01"),
        qualifier_scope: QualifierScope::Partner,
        date_basis: DateBasis::DocumentDate,
        exchange: Exchange::default(),
        bound: Bound::Reached,
        returns: ReturnsBasis::OwnPeriod,
        negative: NegativePolicy::Zero,
        restart_on_amendment: false,
        stacking: Stacking::Stackable,
        accrual: AccrualPolicy::Earned,
        settlement: SettlementTerms::default(),
        cap_total: None,
        gregorian: false,
        terms: vec![term("volume", Rule::Volume(rule))],
    }
}

pub fn partner(id: i64, code: &str) -> Partner {
    Partner { id, code: code.into(), merged: None, facts: Vec::new() }
}
pub fn member(id: i64, code: &str, facts: &[(&str, Option<&str>, &[&str])]) -> Partner {
    let facts = facts
        .iter()
        .map(|(from, parent, groups)| PartnerFact {
            valid_from: day(from),
            parent: parent.map(Arc::from),
            groups: groups.iter().map(|g| Arc::from(*g)).collect(),
        })
        .collect();
    Partner { facts, ..partner(id, code) }
}
pub fn item(id: i64, code: &str, category: &str) -> Item {
    let fact = ItemFact {
        valid_from: day("2000-01-01"),
        category: Some(category.into()),
        brand: None,
        group: None,
        base_unit: Some("EA".into()),
        weight: None,
    };
    Item { id, code: code.into(), replaced_by: None, facts: vec![fact] }
}
pub fn conversion(item: Option<i64>, from: &str, to: &str, valid_from: &str, factor: &str) -> Conversion {
    let factor = Factor::parse(factor).expect("test factor");
    Conversion { item_id: item, from_unit: from.into(), to_unit: to.into(), valid_from: day(valid_from), factor }
}
pub fn rate(from: &str, to: &str, on: &str, rate: &str) -> ExchangeRate {
    let rate = Factor::parse(rate).expect("test rate");
    ExchangeRate { rate_type: "spot".into(), from: currency(from), to: currency(to), on: day(on), rate }
}

/// A document and its lines.
#[derive(Clone, Debug)]
pub struct Doc {
    pub id: i64,
    pub status: DocumentStatus,
    pub our_reference: Option<String>,
    pub lines: Vec<Line>,
}

impl Doc {
    /// An invoice of partner 1 with one line per net amount, in EUR, item 1.
    pub fn invoice(id: i64, number: &str, date: &str, nets: &[&str]) -> Self {
        let lines = nets.iter().enumerate().map(|(n, net)| line(id, n, number, date, net)).collect();
        Doc { id, status: DocumentStatus::Posted, our_reference: None, lines }
    }
    /// A credit note; the amount is given as it counts, below zero.
    pub fn credit(id: i64, number: &str, date: &str, nets: &[&str]) -> Self {
        Self::invoice(id, number, date, nets).each(|l| l.document_type = DocumentType::CreditNote)
    }
    /// Its original's date.
    pub fn refers_to(self, date: &str) -> Self {
        let document_date = day(date);
        self.each(|l| l.original = Some(Original { document_id: 1, document_date, posting_date: None }))
    }
    /// Changes every line.
    pub fn each(mut self, change: impl Fn(&mut Line)) -> Self {
        self.lines.iter_mut().for_each(change);
        self
    }
    pub fn partner(self, id: i64) -> Self {
        self.each(|l| l.partner_id = id)
    }
    /// Quantities instead of the default one piece per line.
    pub fn quantities(mut self, quantities: &[&str], unit: &str) -> Self {
        for (line, quantity) in self.lines.iter_mut().zip(quantities) {
            line.quantity = micros(quantity);
            line.unit = unit.into();
        }
        self
    }
    pub fn document(&self) -> Document<'_> {
        let first = &self.lines[0];
        Document {
            id: self.id,
            company: "NW",
            document_type: first.document_type,
            number: &first.document_number,
            date: first.document_date,
            posting_date: first.posting_date,
            status: self.status,
            our_reference: self.our_reference.as_deref(),
            lines: &self.lines,
        }
    }
}

pub fn line(document: i64, index: usize, number: &str, date: &str, net: &str) -> Line {
    let index = i64::try_from(index).expect("index");
    Line {
        id: document * 1000 + index,
        document_id: document,
        document_type: DocumentType::Invoice,
        document_number: number.into(),
        line_number: (index + 1).to_string().into(),
        document_date: day(date),
        posting_date: None,
        paid_on: None,
        partner_id: 1,
        item_id: Some(1),
        line_kind: LineKind::Goods,
        quantity: micros("1"),
        unit: "EA".into(),
        gross_amount: None,
        net_amount: micros(net),
        cost_amount: None,
        currency: currency("EUR"),
        refers_to_document: None,
        refers_to_line: None,
        original: None,
        extra: None,
    }
}

/// Agreements with master data.
#[derive(Clone)]
pub struct World {
    pub versions: Vec<AgreementVersion>,
    pub master: Arc<MasterData>,
    pub calendar: FiscalCalendar,
}

impl World {
    /// Partners 1 `C1` and 2 `C2`, item 1 `P1`.
    pub fn new(versions: Vec<AgreementVersion>) -> Self {
        let partners = vec![partner(1, "C1"), partner(2, "C2")];
        Self::with(versions, MasterData::new(partners, vec![item(1, "P1", "PUMPS")], vec![], vec![]))
    }
    pub fn with(versions: Vec<AgreementVersion>, master: MasterData) -> Self {
        World { versions, master: Arc::new(master), calendar: FiscalCalendar::default() }
    }
    pub fn matcher(&self) -> Matcher {
        Matcher::new(&self.versions, self.master.clone(), self.calendar)
    }
    pub fn fold<'a>(&self, documents: impl IntoIterator<Item = &'a Doc>) -> Accumulator {
        let matcher = self.matcher();
        let mut sums = Accumulator::new();
        for document in documents {
            matcher.fold(&document.document(), 1, &mut sums);
        }
        sums
    }
    /// The running sums as the reckoning takes them.
    pub fn entries(sums: Accumulator) -> Vec<Entry> {
        sums.into_sorted().into_iter().map(entry).collect()
    }
    /// Figures of term `volume` of agreement `A` from running sums, by partner and period.
    pub fn figures(&self, sums: Accumulator) -> Vec<(i64, Period, Evaluation)> {
        let matcher = self.matcher();
        let mut keys: Vec<(i64, Period, i64, Vec<Entry>)> = Vec::new();
        for (cell, sums) in sums.into_sorted() {
            assert_eq!(matcher.agreement_id(cell.key.agreement).map(|id| &**id), Some("A"));
            let entry = entry((cell, sums));
            let (partner, period, part) = (cell.key.partner_id, cell.key.period, cell.key.part);
            match keys.iter_mut().find(|k| (k.0, k.1, k.2) == (partner, period, part)) {
                Some(key) => key.3.push(entry),
                None => keys.push((partner, period, part, vec![entry])),
            }
        }
        keys.into_iter()
            .map(|(partner, period, _, entries)| {
                (partner, period, evaluate(&self.versions, "volume", period, &entries, &self.calendar).expect("it fits"))
            })
            .collect()
    }
    /// What partner 1 has earned over all periods, as text with cents.
    pub fn earned(&self, documents: &[Doc]) -> String {
        let figures = self.figures(self.fold(documents));
        figures.iter().filter(|f| f.0 == 1).map(|f| f.2.earned).sum::<Micros>().to_text(2)
    }
    /// Earned by period of partner 1, as text.
    pub fn earned_by_period(&self, documents: &[Doc]) -> Vec<String> {
        let figures = self.figures(self.fold(documents));
        figures.iter().filter(|f| f.0 == 1).map(|f| f.2.earned.to_text(2)).collect()
    }
}

fn entry((cell, sums): (Cell, Sums)) -> Entry {
    Entry { partner_id: cell.key.partner_id, facet: cell.facet, bucket: cell.bucket, version: cell.version, sums }
}
