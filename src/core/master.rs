//! Drafts of everything but lines: partners, items, units, rates and the other canonical tables.
//!
//! A draft is what a mapping or a canonical table gives: typed and exact, but its codes still name
//! things by text; `pipeline::normalize` and `import` resolve them. Text is trimmed and never
//! empty inside an `Option`. An empty list or `None` means the source did not tell, unless it named the
//! column and left it empty (`told_empty`).

use crate::core::agreement::words;
use crate::core::line::DraftLine;
use crate::core::money::Currency;
use crate::core::number::{Factor, Micros, Rate};
use crate::core::problem::Place;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

words! {
    /// What happens to the history of a partner that was merged into another (case 20).
    MergeHistory {
        /// Documents dated before the merge stay with the old partner; one first seen after it
        /// belongs to the survivor, with an exception.
        Stays = "stays",
        /// All documents count for the survivor.
        Moves = "moves",
    } default Stays
}

words! {
    /// What a row of channel stock says.
    StockKind {
        /// What was on hand in the evening of the day.
        Count = "count",
        /// What came in on the day.
        Receipt = "receipt",
    } default Count
}

words! {
    /// The canonical tables (`import KIND FILE`).
    Table {
        /// Document lines.
        Lines = "lines",
        /// Partners.
        Partners = "partners",
        /// Items.
        Items = "items",
        /// Unit conversions.
        Units = "units",
        /// Exchange rates.
        Rates = "rates",
        /// Payments of documents.
        Payments = "payments",
        /// Activities, certificates, proofs.
        Activities = "activities",
        /// Ship-and-debit authorisations.
        Authorizations = "authorizations",
        /// Fixed growth baselines.
        Baselines = "baselines",
        /// Plans for forecasts.
        Plans = "plans",
        /// Distributor stock.
        Stock = "stock",
        /// Credit memos as the ERP shows them.
        Memos = "memos",
    } default Lines
}

impl Table {
    /// The word for one row, as `target` of a mapping writes it.
    pub const fn row_word(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::Partners => "partner",
            Self::Items => "item",
            Self::Units => "unit",
            Self::Rates => "rate",
            Self::Payments => "payment",
            Self::Activities => "activity",
            Self::Authorizations => "authorization",
            Self::Baselines => "baseline",
            Self::Plans => "plan",
            Self::Stock => "stock",
            Self::Memos => "memo",
        }
    }
    /// The table whose rows a mapping's `target` names.
    pub fn from_row_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().map(|(_, table)| *table).find(|table| table.row_word() == word)
    }
}

/// A partner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftPartner {
    /// Partner code.
    pub partner: String,
    /// Name.
    pub name: Option<String>,
    /// Code of the parent (buying group, head office).
    pub parent: Option<String>,
    /// Groups it belongs to.
    pub groups: Vec<String>,
    /// Addresses for statements.
    pub email: Vec<String>,
    /// Language of statements (`en`, `de-AT`).
    pub language: Option<String>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Country code.
    pub country: Option<String>,
    /// Tax id.
    pub tax_id: Option<String>,
    /// Other codes that mean this partner.
    pub aliases: Vec<String>,
    /// First day on which parent and groups hold.
    pub valid_from: Option<NaiveDate>,
    /// Code of the partner it was merged into.
    pub merged_into: Option<String>,
    /// Day of the merge.
    pub merged_on: Option<NaiveDate>,
    /// What happens to its history.
    pub merge_history: Option<MergeHistory>,
    /// Account for transfers; refused until a change of it can be approved by a second person.
    pub payout_account: Option<String>,
    /// Bank code for transfers; refused likewise.
    pub payout_routing: Option<String>,
    /// Kept attributes, without the `attributes.` prefix.
    pub attributes: BTreeMap<String, String>,
    /// Columns that the source named and left empty: what they held before is gone from `valid_from` on.
    #[serde(default)]
    pub told_empty: Vec<String>,
    /// Where it came from.
    pub place: Place,
}

/// An item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftItem {
    /// Item code.
    pub item: String,
    /// Description.
    pub description: Option<String>,
    /// Category path with `/`.
    pub category: Option<String>,
    /// Brand.
    pub brand: Option<String>,
    /// Item group.
    pub group: Option<String>,
    /// Base unit.
    pub base_unit: Option<String>,
    /// Weight of one base unit.
    pub weight: Option<Micros>,
    /// First day on which the classification holds.
    pub valid_from: Option<NaiveDate>,
    /// Code of the item that replaced it.
    pub replaced_by: Option<String>,
    /// Day of the renumbering.
    pub replaced_on: Option<NaiveDate>,
    /// Kept attributes.
    pub attributes: BTreeMap<String, String>,
    /// Columns that the source named and left empty: what they held before is gone from `valid_from` on.
    #[serde(default)]
    pub told_empty: Vec<String>,
    /// Where it came from.
    pub place: Place,
}

/// A unit conversion: one `from_unit` is `factor` times `to_unit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftUnit {
    /// Item code; `None` for all items.
    pub item: Option<String>,
    /// Unit converted from.
    pub from_unit: String,
    /// Unit converted to.
    pub to_unit: String,
    /// How many `to_unit` are one `from_unit`; greater than zero.
    pub factor: Factor,
    /// First day on which it holds.
    pub valid_from: Option<NaiveDate>,
    /// Where it came from.
    pub place: Place,
}

/// An exchange rate: one `from_currency` is `rate` times `to_currency`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftRate {
    /// Rate type (`spot`, `average`).
    pub rate_type: String,
    /// Currency converted from.
    pub from_currency: Currency,
    /// Currency converted to.
    pub to_currency: Currency,
    /// Day of the rate.
    pub date: NaiveDate,
    /// The rate; greater than zero.
    pub rate: Factor,
    /// Where it came from.
    pub place: Place,
}

/// A payment of one of our documents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftPayment {
    /// Document number.
    pub document: String,
    /// Day of the payment.
    pub paid_on: NaiveDate,
    /// Amount; `None` for the whole document.
    pub amount: Option<Micros>,
    /// Where it came from.
    pub place: Place,
}

/// An activity, certificate or proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftActivity {
    /// Kind of activity.
    pub activity: String,
    /// Partner code.
    pub partner: String,
    /// Person it belongs to.
    pub person: Option<String>,
    /// Proof number.
    pub proof: Option<String>,
    /// Value of a KPI.
    pub value: Option<Micros>,
    /// Proven cost.
    pub cost: Option<Micros>,
    /// First day.
    pub started_on: Option<NaiveDate>,
    /// Last day.
    pub ended_on: Option<NaiveDate>,
    /// Day on which we received the proof.
    pub received_on: Option<NaiveDate>,
    /// Last day on which it is valid.
    pub valid_until: Option<NaiveDate>,
    /// Kept attributes.
    pub attributes: BTreeMap<String, String>,
    /// Where it came from.
    pub place: Place,
}

/// One row of a ship-and-debit authorisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftAuthorization {
    /// Authorisation number.
    pub authorization: String,
    /// Partner code.
    pub partner: Option<String>,
    /// End customer.
    pub end_customer: Option<String>,
    /// Item code.
    pub item: String,
    /// Book price per unit.
    pub book_price: Option<Micros>,
    /// Authorised price per unit.
    pub authorized_price: Option<Micros>,
    /// Share of the resale price that the partner is to keep; instead of a price.
    pub authorized_margin: Option<Rate>,
    /// Currency of the prices.
    pub currency: Option<Currency>,
    /// Unit of the prices and the cap.
    pub unit: Option<String>,
    /// Greatest quantity.
    pub quantity_cap: Option<Micros>,
    /// First ship date.
    pub shipped_from: Option<NaiveDate>,
    /// Last ship date.
    pub shipped_to: Option<NaiveDate>,
    /// Where it came from.
    pub place: Place,
}

/// A fixed baseline of a growth term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftBaseline {
    /// Agreement id.
    pub agreement: String,
    /// Term id; `None` for the only growth term.
    pub term: Option<String>,
    /// Partner code.
    pub partner: String,
    /// First day of the period it compares with.
    pub from: NaiveDate,
    /// Last day, included.
    pub to: NaiveDate,
    /// The baseline.
    pub amount: Micros,
    /// Where it came from.
    pub place: Place,
}

/// A plan figure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftPlan {
    /// Partner code.
    pub partner: String,
    /// Period as text (`2026-Q1`, `2026-03`, `2026`).
    pub period: String,
    /// Measure (`net-amount`, `quantity`).
    pub measure: String,
    /// The figure.
    pub amount: Micros,
    /// Where it came from.
    pub place: Place,
}

/// A distributor's stock of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftStock {
    /// Partner code.
    pub partner: String,
    /// Item code.
    pub item: String,
    /// Day of the count or receipt.
    pub on: NaiveDate,
    /// Quantity.
    pub quantity: Micros,
    /// Cost of one unit.
    pub unit_cost: Option<Micros>,
    /// What the row says; one with a cost is a count and a layer of cost when `None`.
    pub kind: Option<StockKind>,
    /// Where it came from.
    pub place: Place,
}

/// A credit memo as the ERP shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftMemo {
    /// Our reference on it; the ERP's own credit notes carry none.
    pub reference: Option<String>,
    /// The ERP's document number.
    pub document: Option<String>,
    /// Document date.
    pub date: Option<NaiveDate>,
    /// Currency.
    pub currency: Option<Currency>,
    /// Amount; positive is a credit to the partner.
    pub amount: Micros,
    /// State as the ERP words it.
    pub status: Option<String>,
    /// Where it came from.
    pub place: Place,
}

/// A draft row of any canonical table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Draft {
    /// A document line.
    Line(Box<DraftLine>),
    /// A partner.
    Partner(Box<DraftPartner>),
    /// An item.
    Item(Box<DraftItem>),
    /// A unit conversion.
    Unit(Box<DraftUnit>),
    /// An exchange rate.
    Rate(Box<DraftRate>),
    /// A payment.
    Payment(Box<DraftPayment>),
    /// An activity.
    Activity(Box<DraftActivity>),
    /// An authorisation.
    Authorization(Box<DraftAuthorization>),
    /// A baseline.
    Baseline(Box<DraftBaseline>),
    /// A plan figure.
    Plan(Box<DraftPlan>),
    /// A stock count.
    Stock(Box<DraftStock>),
    /// A credit memo.
    Memo(Box<DraftMemo>),
}

impl Draft {
    /// The table it belongs to.
    pub const fn table(&self) -> Table {
        match self {
            Self::Line(_) => Table::Lines,
            Self::Partner(_) => Table::Partners,
            Self::Item(_) => Table::Items,
            Self::Unit(_) => Table::Units,
            Self::Rate(_) => Table::Rates,
            Self::Payment(_) => Table::Payments,
            Self::Activity(_) => Table::Activities,
            Self::Authorization(_) => Table::Authorizations,
            Self::Baseline(_) => Table::Baselines,
            Self::Plan(_) => Table::Plans,
            Self::Stock(_) => Table::Stock,
            Self::Memo(_) => Table::Memos,
        }
    }
    /// Where it came from.
    pub fn place(&self) -> &Place {
        match self {
            Self::Line(row) => &row.place,
            Self::Partner(row) => &row.place,
            Self::Item(row) => &row.place,
            Self::Unit(row) => &row.place,
            Self::Rate(row) => &row.place,
            Self::Payment(row) => &row.place,
            Self::Activity(row) => &row.place,
            Self::Authorization(row) => &row.place,
            Self::Baseline(row) => &row.place,
            Self::Plan(row) => &row.place,
            Self::Stock(row) => &row.place,
            Self::Memo(row) => &row.place,
        }
    }
}
