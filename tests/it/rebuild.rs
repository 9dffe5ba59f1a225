//! Incremental equals rebuild, and figures are free of the order of arrival (`calculation.md`).
//!
//! Random documents in several states, returns before and after their originals, and master data
//! that changes in between come in over four nights. After each night the running sums must equal
//! those built anew, and the ledger the newest figures. The same facts in another order, on other
//! nights, must earn the same.

use crate::support::postgres::Database;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rebated::clock::Clock;
use rebated::config::{Workspace, agreement_file};
use rebated::core::line::{DocumentStatus, DocumentType, DraftLine, LineKind};
use rebated::core::master::{Draft, DraftItem, DraftPartner, DraftRate, DraftUnit, MergeHistory};
use rebated::core::money::Currency;
use rebated::core::number::{Factor, Micros};
use rebated::core::period::{LAST_DAY, Period};
use rebated::mapping::Mapped;
use rebated::pipeline::intake::{Delivery, Intake};
use rebated::pipeline::run::{RunRequest, execute};
use rebated::pipeline::stages::Stage;
use rebated::pipeline::{LogProgress, Runtime, Settings, matching};
use rebated::store::{NewAgreementVersion, Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

mod nights;

const NIGHTS: usize = 4;
const BUSINESS_DAYS: [&str; NIGHTS] = ["2026-02-28", "2026-03-31", "2026-04-30", "2026-06-30"];
const AGREEMENTS: [&str; 8] = ["ALONE", "CHAIN", "EACH", "GROWTH", "HEAD", "MIX", "TOGETHER", "VOLUME"];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

// ---------------------------------------------------------------------------------------------
// What happens in a world.

#[derive(Clone, Debug)]
struct LineSpec {
    /// 0 to 2 are known from the start, 3 comes late.
    item: usize,
    discount: bool,
    quantity: i64,
    cents: i64,
    boxes: bool,
}

/// One state of a document, as its source tells it.
#[derive(Clone, Debug)]
struct State {
    night: usize,
    /// 0 to 2 are known from the start, 3 comes late.
    partner: usize,
    day: u64,
    status: DocumentStatus,
    euro: bool,
    /// The last line stands apart from the others in its delivery.
    apart: bool,
    refers: Option<usize>,
    lines: Vec<LineSpec>,
}

#[derive(Clone, Debug)]
struct Document {
    credit: bool,
    /// In the source's order.
    states: Vec<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    CategoryChange,
    BoxOfTwelve,
    BoxOfTen,
    RateOfJanuary,
    RateOfMarch,
    VolumeAmended,
    TogetherAmended,
    LatePartnerAndItem,
    JoinsGroup,
    Merged,
    Renumbered,
    HeadOfHead,
    JanuaryCloses,
}
const EVENTS: [Event; 13] = [
    Event::CategoryChange,
    Event::BoxOfTwelve,
    Event::BoxOfTen,
    Event::RateOfJanuary,
    Event::RateOfMarch,
    Event::VolumeAmended,
    Event::TogetherAmended,
    Event::LatePartnerAndItem,
    Event::JoinsGroup,
    Event::Merged,
    Event::Renumbered,
    Event::HeadOfHead,
    Event::JanuaryCloses,
];

#[derive(Clone, Debug)]
struct World {
    documents: Vec<Document>,
    /// Night of each event; `NIGHTS` is never.
    events: Vec<usize>,
    /// Whether master data comes before the documents of a night.
    master_first: Vec<bool>,
    /// How far nights move in the other order.
    shifts: Vec<usize>,
}

fn line() -> impl Strategy<Value = LineSpec> {
    (0..4usize, prop::bool::weighted(0.15), 1..40i64, 1..90_000i64, any::<bool>())
        .prop_map(|(item, discount, quantity, cents, boxes)| LineSpec { item, discount, quantity, cents, boxes })
}

fn state() -> impl Strategy<Value = State> {
    let status = prop_oneof![
        6 => Just(DocumentStatus::Posted),
        2 => Just(DocumentStatus::Paid),
        2 => Just(DocumentStatus::Cancelled),
        1 => Just(DocumentStatus::Draft),
    ];
    let refers = prop::option::weighted(0.7, 0..9usize);
    let lines = prop::collection::vec(line(), 1..4);
    (0..NIGHTS, 0..4usize, 0..180u64, status, prop::bool::weighted(0.25), any::<bool>(), refers, lines).prop_map(
        |(night, partner, day, status, euro, apart, refers, lines)| State {
            night,
            partner,
            day,
            status,
            euro,
            apart,
            refers,
            lines,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let document = (prop::bool::weighted(0.4), prop::collection::vec(state(), 1..4))
        .prop_map(|(credit, states)| Document { credit, states });
    (
        prop::collection::vec(document, 2..9),
        prop::collection::vec(0..=NIGHTS, EVENTS.len()),
        prop::collection::vec(any::<bool>(), NIGHTS),
        prop::collection::vec(0..NIGHTS, 40),
    )
        .prop_map(|(documents, events, master_first, shifts)| World { documents, events, master_first, shifts })
}

impl World {
    /// The same facts on other nights and the other way round.
    fn shuffled(&self) -> World {
        let mut other = self.clone();
        let mut shifts = self.shifts.iter().copied().cycle();
        let mut moved = |night: usize| (night + shifts.next().unwrap_or(1)) % NIGHTS;
        for document in &mut other.documents {
            for state in &mut document.states {
                state.night = moved(state.night);
                state.apart = !state.apart;
            }
        }
        for night in &mut other.events {
            if *night < NIGHTS {
                *night = moved(*night);
            }
        }
        for first in &mut other.master_first {
            *first = !*first;
        }
        other
    }

    /// The drafts of a night, and the lines that stand apart; `backwards` turns the documents round.
    fn delivery(&self, night: usize, backwards: bool) -> (Vec<DraftLine>, Vec<DraftLine>) {
        let mut groups: Vec<(bool, Vec<DraftLine>)> = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            for (order, state) in document.states.iter().enumerate().filter(|(_, s)| s.night == night) {
                groups.push((state.apart && state.lines.len() > 1, drafts(index, document, order, state)));
            }
        }
        if backwards {
            groups.reverse();
        }
        let (mut together, mut apart) = (Vec::new(), Vec::new());
        for (splits, mut lines) in groups {
            if splits {
                apart.extend(lines.pop());
            }
            together.extend(lines);
        }
        (together, apart)
    }
}

fn drafts(index: usize, document: &Document, order: usize, state: &State) -> Vec<DraftLine> {
    let sign = if document.credit { -1 } else { 1 };
    let number = |index: usize, credit: bool| format!("{}{index}", if credit { "R" } else { "D" });
    let line = |(position, line): (usize, &LineSpec)| DraftLine {
        document_type: if document.credit { DocumentType::CreditNote } else { DocumentType::Invoice },
        document_number: number(index, document.credit),
        line_number: (position + 1).to_string(),
        document_date: day("2026-01-01").checked_add_days(Days::new(state.day)),
        partner: format!("P{}", state.partner),
        item: (!line.discount).then(|| format!("I{}", line.item)),
        line_kind: if line.discount { LineKind::Discount } else { LineKind::Goods },
        quantity: Some(Micros(if line.discount { 0 } else { sign * line.quantity * 1_000_000 })),
        unit: Some(if line.boxes { "BOX" } else { "EA" }.to_owned()),
        net_amount: Some(Micros(if line.discount { -sign * line.cents * 1_000 } else { sign * line.cents * 10_000 })),
        currency: Some(if state.euro { "EUR" } else { "USD" }.to_owned()),
        refers_to_document: state.refers.filter(|_| document.credit).map(|original| number(original, false)),
        status: state.status,
        changed_at: Some(at("2026-01-01T00:00:00Z") + TimeDelta::minutes(i64::try_from(order).unwrap())),
        ..DraftLine::default()
    };
    state.lines.iter().enumerate().map(line).collect()
}

// ---------------------------------------------------------------------------------------------
// Agreements and master data.

fn agreement_text(id: &str, version: u32) -> String {
    let head = |id: &str, more: &str| {
        format!(
            "id = \"{id}\"\nversion = {version}\ncurrency = \"USD\"\nvalid = {{ from = \"2026-01-01\", to = \"2026-12-31\" }}\n\
             exchange = {{ rate_type = \"spot\", max_age = \"366d\" }}\n{more}\n"
        )
    };
    let term = |id: &str, text: &str| format!("[[terms]]\nid = \"{id}\"\ntype = \"volume\"\n{text}\n");
    let pumps = |tiers: &str| {
        term(
            "pumps",
            &format!(
                "where = {{ category = [\"PUMPS\"] }}\naccumulate = \"quarter\"\nqualifier = \"net-amount\"\nbase = \"net-amount\"\n\
                 method = \"retrospective\"\ntiers = [{tiers}]"
            ),
        )
    };
    let pieces = term(
        "pieces",
        "accumulate = \"year\"\nqualifier = \"quantity\"\nbase = \"quantity\"\nunit = \"EA\"\nmethod = \"marginal\"\n\
         tiers = [{ from = \"0\", per_unit = \"0.05\" }, { from = \"40\", per_unit = \"0.11\" }, { from = \"200\", per_unit = \"0.13\" }]",
    );
    match (id, version) {
        ("VOLUME", 1) => {
            head(id, "partners = [\"P0\", \"P1\", \"P3\"]\ncaps = { total = \"150.00\" }")
                + &*pumps(
                    "{ from = \"0\", rate = \"1%\" }, { from = \"500\", rate = \"2.5%\" }, { from = \"2000\", rate = \"4%\" }",
                )
                + &*pieces
        }
        ("VOLUME", _) => {
            head(id, "partners = [\"P0\", \"P1\", \"P3\"]\nvalid_from = \"2026-03-01\"\ncaps = { total = \"180.00\" }")
                + &*pumps("{ from = \"0\", rate = \"1.5%\" }, { from = \"700\", rate = \"3%\" }")
                + &*pieces
        }
        ("EACH", _) => {
            head(id, "groups = [\"EAST\"]\nreturns = \"original-period\"")
                + &*term(
                    "month",
                    "accumulate = \"month\"\nqualifier = \"net-amount\"\nbase = \"net-amount\"\nmethod = \"retrospective\"\n\
                     tiers = [{ from = \"0\", rate = \"0.7%\" }, { from = \"300\", rate = \"1.3%\" }]",
                )
                + &*term(
                    "document",
                    "accumulate = \"document\"\nqualifier = \"net-amount\"\nbase = \"net-amount\"\nmethod = \"retrospective\"\n\
                     tiers = [{ from = \"100\", rate = \"1%\" }]",
                )
        }
        // Excludes VOLUME, EACH and CHAIN where it pays more.
        ("ALONE", _) => {
            head(id, "partners = [\"P0\", \"P1\", \"P2\"]\nstacking = \"exclusive\"")
                + &*term(
                    "alone",
                    "where = { item = [\"I0\", \"I2\"] }\naccumulate = \"quarter\"\nmethod = \"marginal\"\n\
                     tiers = [{ from = \"0\", rate = \"2%\" }, { from = \"400\", rate = \"5%\" }]",
                )
        }
        ("CHAIN", _) => {
            let chained = |id: &str, text: &str, rate: &str| {
                term(id, &format!("accumulate = \"month\"\n{text}\ntiers = [{{ from = \"0\", rate = \"{rate}\" }}]"))
            };
            head(id, "partners = [\"P0\", \"P1\", \"P2\", \"P3\"]")
                + &*chained("first", "where = { category = [\"PUMPS\"] }", "3%")
                + &*chained("second", "after = [\"first\"]", "2%")
                + &*chained("third", "requires = [\"first\"]\none_of = \"best\"", "1.1%")
                + "[[terms]]\nid = \"fourth\"\ntype = \"volume\"\naccumulate = \"month\"\none_of = \"best\"\nqualifier = \"quantity\"\n\
                   base = \"quantity\"\nunit = \"EA\"\n\
                   tiers = [{ from = \"0\", per_increment = { every = \"3\", amount = \"0.50\", per = \"item\" } }]\n"
        }
        // Never frozen: a frozen baseline is a stored input, and depends on its day.
        ("GROWTH", _) => {
            head(id, "partners = [\"P0\", \"P1\", \"P2\", \"P3\"]")
                + "[[terms]]\nid = \"growth\"\ntype = \"growth\"\naccumulate = \"quarter\"\nbaseline = { period = \"prior-period\" }\n\
                   freeze_on = \"2027-06-01\"\nnew_partner = \"skip\"\nbase = \"increase\"\n\
                   tiers = [{ from = \"0%\", rate = \"3%\" }, { from = \"20%\", rate = \"7%\" }]\n"
        }
        ("MIX", _) => {
            head(id, "partners = [\"P0\", \"P1\", \"P2\", \"P3\"]\nreturns = \"original-period\"")
                + "[[terms]]\nid = \"share\"\ntype = \"mix\"\naccumulate = \"quarter\"\n\
                   share = { of = { category = [\"PUMPS\"] }, in = {} }\n\
                   minimums = [{ where = { item = [\"I0\"] }, measure = \"quantity\", unit = \"EA\", at_least = \"5\" }]\n\
                   tiers = [{ from = \"10%\", rate = \"1%\" }, { from = \"50%\", rate = \"2%\" }]\n\
                   [[terms]]\nid = \"count\"\ntype = \"mix\"\naccumulate = \"half-year\"\ncount = \"distinct-items\"\n\
                   tiers = [{ from = \"2\", amount = \"3.00\" }, { from = \"3\", rate = \"1%\" }]\n"
        }
        ("HEAD", _) => {
            head(id, "parents = [\"HQ\"]\nreturns = \"original-period\"")
                + &*term(
                    "item",
                    "where = { item = [\"I0\"] }\naccumulate = \"year\"\nqualifier = \"net-amount\"\nbase = \"net-amount\"\n\
                     method = \"retrospective\"\ntiers = [{ from = \"0\", rate = \"2%\" }]",
                )
        }
        (_, version) => {
            let more = if version == 1 { "" } else { "valid_from = \"2026-04-01\"\nreturns = \"original-period\"" };
            head(id, &format!("partners = [\"P0\", \"P1\", \"P2\", \"P3\"]\nqualifier_scope = \"agreement\"\n{more}"))
                + &*term(
                    "documents",
                    "accumulate = \"half-year\"\nqualifier = \"document-count\"\nbase = \"net-amount\"\nmethod = \"retrospective\"\n\
                     tiers = [{ from = \"1\", rate = \"0.5%\" }, { from = \"3\", rate = \"1.1%\" }, { from = \"6\", rate = \"1.7%\" }]",
                )
        }
    }
}

fn partner(code: &str) -> DraftPartner {
    DraftPartner { partner: code.to_owned(), name: Some(code.to_owned()), ..DraftPartner::default() }
}
fn item(code: &str, category: &str) -> DraftItem {
    DraftItem {
        item: code.to_owned(),
        category: Some(category.to_owned()),
        base_unit: Some("EA".to_owned()),
        ..DraftItem::default()
    }
}
fn rate(date: &str, rate: &str) -> Draft {
    Draft::Rate(Box::new(DraftRate {
        rate_type: "spot".to_owned(),
        from_currency: Currency::parse("EUR").unwrap(),
        to_currency: Currency::parse("USD").unwrap(),
        date: day(date),
        rate: Factor::parse(rate).unwrap(),
        place: Default::default(),
    }))
}

fn first_master_data() -> Vec<Draft> {
    let head = DraftPartner { parent: Some("BG".to_owned()), groups: vec!["EAST".to_owned()], ..partner("P0") };
    vec![
        Draft::Partner(Box::new(head)),
        Draft::Partner(Box::new(partner("P1"))),
        Draft::Partner(Box::new(partner("P2"))),
        Draft::Item(Box::new(item("I0", "PUMPS"))),
        Draft::Item(Box::new(item("I1", "PUMPS"))),
        Draft::Item(Box::new(item("I2", "VALVES"))),
    ]
}

fn master_data_of(event: Event) -> Vec<Draft> {
    let boxes = |item: Option<&str>, factor: &str, valid_from: Option<&str>| {
        Draft::Unit(Box::new(DraftUnit {
            item: item.map(str::to_owned),
            from_unit: "BOX".to_owned(),
            to_unit: "EA".to_owned(),
            factor: Factor::parse(factor).unwrap(),
            valid_from: valid_from.map(day),
            ..DraftUnit::default()
        }))
    };
    match event {
        Event::CategoryChange => {
            vec![Draft::Item(Box::new(DraftItem { valid_from: Some(day("2026-03-01")), ..item("I1", "VALVES") }))]
        }
        Event::BoxOfTwelve => vec![boxes(None, "12", None)],
        Event::BoxOfTen => vec![boxes(Some("I0"), "10", Some("2026-03-01"))],
        Event::RateOfJanuary => vec![rate("2026-01-01", "1.1")],
        Event::RateOfMarch => vec![rate("2026-03-01", "1.2")],
        Event::LatePartnerAndItem => {
            vec![Draft::Partner(Box::new(partner("P3"))), Draft::Item(Box::new(item("I3", "PUMPS")))]
        }
        Event::JoinsGroup => vec![Draft::Partner(Box::new(DraftPartner {
            groups: vec!["EAST".to_owned()],
            valid_from: Some(day("2026-02-01")),
            ..partner("P1")
        }))],
        Event::Merged => vec![Draft::Partner(Box::new(DraftPartner {
            merged_into: Some("P0".to_owned()),
            merged_on: Some(day("2026-04-01")),
            merge_history: Some(MergeHistory::Moves),
            ..partner("P2")
        }))],
        Event::Renumbered => vec![Draft::Item(Box::new(DraftItem {
            replaced_by: Some("I0".to_owned()),
            replaced_on: Some(day("2026-05-01")),
            ..item("I2", "VALVES")
        }))],
        Event::HeadOfHead => {
            vec![Draft::Partner(Box::new(DraftPartner { parent: Some("HQ".to_owned()), ..partner("BG") }))]
        }
        Event::VolumeAmended | Event::TogetherAmended | Event::JanuaryCloses => Vec::new(),
    }
}

// ---------------------------------------------------------------------------------------------
// Living through it.
