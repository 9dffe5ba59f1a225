//! The columns of every canonical table, once: name, kind, meaning, and how text fills the draft.
//!
//! Canonical files and mappings both build drafts through this list, so both know the same names,
//! the same types and the same rules.

use crate::core::line::{DocumentType, DraftLine, LineKind};
use crate::core::master::{
    Draft, DraftActivity, DraftAuthorization, DraftBaseline, DraftItem, DraftMemo, DraftPartner, DraftPayment, DraftPlan,
    DraftRate, DraftStock, DraftUnit, Table,
};
use crate::core::money::Currency;
use crate::core::number::{Factor, Micros};
use crate::core::problem::Place;
use crate::mapping::signs::{self, LineRules};
use crate::mapping::value::{Fault, Field, FromText, Kind};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// One column of a canonical table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in headers and mappings.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether every row needs it.
    pub required: bool,
    /// What it means.
    pub doc: &'static str,
}

/// Faults of a finished row with the column each belongs to.
pub(crate) type RowFaults = Vec<(&'static str, Fault)>;

/// A draft that is filled column by column.
pub(crate) trait Row: Sized + 'static {
    const TABLE: Table;
    const COLUMNS: &'static [Column];
    const SETTERS: &'static [fn(&mut Self, &str) -> Result<(), Fault>];
    /// Of each list at least one column must be in a header.
    const HEADER: &'static [&'static [&'static str]] = &[];
    fn blank(place: Place) -> Self;
    fn attributes(&mut self) -> Option<&mut BTreeMap<String, String>>;
    /// Whether columns that were named and left empty mean something.
    const EMPTY_TELLS: bool = false;
    /// Takes note of columns that were named and left empty.
    fn told_empty(&mut self, _columns: Vec<String>) {}
    /// Rules across columns; `seen` has a bit for each column that was filled.
    fn check(&self, _seen: u64, _faults: &mut RowFaults) {}
    /// Sets the signs that a mapping's document type gives, and takes included tax off.
    fn orient(&mut self, _rules: &LineRules) -> Result<(), (&'static str, Fault)> {
        Ok(())
    }
    fn draft(self) -> Draft;
}

const fn required<R, F: Field>(_: fn(&R) -> &F) -> bool {
    F::REQUIRED
}

macro_rules! attributes_of {
    ($row:ident, yes) => {
        Some(&mut $row.attributes)
    };
    ($row:ident, no) => {{
        let _ = $row;
        None
    }};
}

macro_rules! table {
    (
        $row:ident, $table:ident, $variant:ident, attributes $attributes:tt, blank $blank:expr,
        { $($name:ident: $kind:ident = $doc:literal,)+ }
        $(extra { $($extra:ident: $ekind:ident $etype:ty = $edoc:literal,)+ })?
        $(rest { $($rest:tt)* })?
    ) => {
        impl Row for $row {
            const TABLE: Table = Table::$table;
            const COLUMNS: &'static [Column] = &[
                $(Column {
                    name: stringify!($name), kind: Kind::$kind, required: required(|row: &$row| &row.$name),
                    doc: $doc
                },)+
                $($(Column { name: stringify!($extra), kind: Kind::$ekind, required: false, doc: $edoc },)+)?
            ];
            const SETTERS: &'static [fn(&mut Self, &str) -> Result<(), Fault>] = &[
                $(|row, text| row.$name.fill(text),)+
                $($(|row, text| {
                    <$etype>::from_text(text)?;
                    row.attributes.insert(stringify!($extra).to_owned(), text.to_owned());
                    Ok(())
                },)+)?
            ];
            fn blank(place: Place) -> Self {
                let blank: fn(Place) -> Self = $blank;
                blank(place)
            }
            fn attributes(&mut self) -> Option<&mut BTreeMap<String, String>> {
                attributes_of!(self, $attributes)
            }
            fn draft(self) -> Draft {
                Draft::$variant(Box::new(self))
            }
            $($($rest)*)?
        }
    };
}

table! {
    DraftLine, Lines, Line, attributes yes, blank |place| Self { place, ..Self::default() },
    {
        company: Code = "Company; the workspace's when empty",
        document_type: Word = "order, shipment, invoice, credit-note, resale, receipt or claim",
        document_number: Code = "Document number",
        line_number: Code = "Line number within the document",
        document_date: Date = "Document date; may only be empty on drafts and cancelled documents",
        posting_date: Date = "Posting date",
        paid_date: Date = "Day of full payment",
        partner: Code = "Partner",
        ship_to: Code = "Ship-to",
        end_customer: Code = "End customer",
        item: Code = "Item",
        line_kind: Word = "goods (default), service, freight, surcharge, discount, tax or comment",
        quantity: Amount = "Quantity; negative on credit notes and returns",
        unit: Code = "Unit of the quantity",
        gross_amount: Amount = "Amount before discounts, excluding tax; negative on credit notes and returns",
        net_amount: Amount = "Net amount excluding tax; negative on credit notes and returns",
        tax_amount: Amount = "Tax",
        cost_amount: Amount = "Cost",
        currency: Code = "ISO 4217 code",
        refers_to_document: Code = "Document it refers to: a return's original, a claim's invoice",
        refers_to_line: Code = "Line of that document",
        authorization: Code = "Ship-and-debit authorisation",
        order_type: Code = "Order type",
        payment_terms: Code = "Payment terms",
        territory: Code = "Territory",
        our_reference: Code = "Our settlement reference, when the document carries one",
        status: Word = "posted (default), paid, draft or cancelled",
        sequence: Integer = "The source's ordering of versions",
        changed_at: Instant = "When the source last changed it",
    }
    extra {
        shipped_on: Date NaiveDate = "Claims and resale: ship date",
        submitted_on: Date NaiveDate = "Claims: day of submission",
        claimed_amount: Amount Micros = "Claims: amount claimed",
        claimed_price: Amount Micros = "Claims: authorised price per unit as the partner states it",
        corrects_document: Code String = "Claims and resale: document it corrects",
        corrects_line: Code String = "Claims and resale: line it corrects",
        end_customer_name: Text String = "Claims and resale: end customer's name",
        end_customer_tax_id: Code String = "Claims and resale: end customer's tax id",
    }
    rest {
        const HEADER: &'static [&'static [&'static str]] =
            &[&["document_type"], &["document_date"], &["net_amount", "claimed_amount"]];
        fn check(&self, seen: u64, faults: &mut RowFaults) {
            check_line(self, seen, faults);
        }
        fn orient(&mut self, rules: &LineRules) -> Result<(), (&'static str, Fault)> {
            signs::orient(self, rules)
        }
    }
}

/// Rules across the columns of a line: what must be there, and the sign rule of signed figures.
fn check_line(line: &DraftLine, seen: u64, faults: &mut RowFaults) {
    // The second column: a type that defaults would hide a forgotten column.
    if seen & 0b10 == 0 {
        faults.push(("document_type", Fault::new("missing-value", "there is no document type")));
    }
    if line.status.counts() {
        if line.document_date.is_none() {
            faults.push(("document_date", Fault::new("missing-value", "there is no document date")));
        }
        // What a claim line asks for may follow from its quantity.
        let claimed = line.document_type == DocumentType::Claim
            && (line.quantity.is_some() || line.attributes.contains_key("claimed_amount"));
        if line.net_amount.is_none() && line.line_kind != LineKind::Comment && !claimed {
            faults.push(("net_amount", Fault::new("missing-value", "there is no net amount")));
        }
    }
    if let Some(fault) = signs::sign_fault(line) {
        faults.push(fault);
    }
}

table! {
    DraftPartner, Partners, Partner, attributes yes, blank |place| Self { place, ..Self::default() },
    {
        partner: Code = "Partner",
        name: Text = "Name",
        parent: Code = "Parent partner (buying group, head office)",
        groups: List = "Groups it belongs to",
        email: List = "Addresses for statements",
        language: Code = "Language of statements",
        currency: Currency = "Its currency",
        country: Code = "Country",
        tax_id: Code = "Tax id",
        aliases: List = "Other codes that mean this partner",
        valid_from: Date = "First day on which parent and groups hold",
        merged_into: Code = "Partner it was merged into",
        merged_on: Date = "Day of the merge",
        merge_history: Word = "stays (default) or moves",
        payout_account: Code = "Account for transfers; not supported yet, refused when filled",
        payout_routing: Code = "Bank code for transfers; not supported yet, refused when filled",
    }
    rest {
        const EMPTY_TELLS: bool = true;
        fn told_empty(&mut self, columns: Vec<String>) {
            self.told_empty = columns;
        }
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.merged_into.is_some() != self.merged_on.is_some() {
                faults.push(("merged_on", Fault::new("missing-value", "a merge needs both `merged_into` and `merged_on`")));
            }
            for (column, filled) in [("payout_account", &self.payout_account), ("payout_routing", &self.payout_routing)] {
                if filled.is_some() {
                    // Where money goes is never changed by one person alone, and nobody could approve it yet.
                    let fault = Fault::new("not-yet-supported", format!("`{column}` is not supported yet: nothing is paid to accounts"));
                    faults.push((column, fault.help("leave the column out; credit memos settle the account in the ERP")));
                }
            }
            if self.merged_into.as_deref() == Some(self.partner.as_str()) {
                faults.push(("merged_into", Fault::new("bad-reference", "a partner cannot be merged into itself")));
            }
        }
    }
}

table! {
    DraftItem, Items, Item, attributes yes, blank |place| Self { place, ..Self::default() },
    {
        item: Code = "Item",
        description: Text = "Description",
        category: Text = "Category path with `/` between levels",
        brand: Text = "Brand",
        group: Code = "Item group",
        base_unit: Code = "Base unit",
        weight: Amount = "Weight of one base unit",
        valid_from: Date = "First day on which the classification holds",
        replaced_by: Code = "Item that replaced it",
        replaced_on: Date = "Day of the renumbering",
    }
    rest {
        const EMPTY_TELLS: bool = true;
        fn told_empty(&mut self, columns: Vec<String>) {
            self.told_empty = columns;
        }
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.replaced_by.is_some() != self.replaced_on.is_some() {
                faults.push(("replaced_on", Fault::new("missing-value", "a renumbering needs both `replaced_by` and `replaced_on`")));
            }
            if self.replaced_by.as_deref() == Some(self.item.as_str()) {
                faults.push(("replaced_by", Fault::new("bad-reference", "an item cannot replace itself")));
            }
        }
    }
}

table! {
    DraftUnit, Units, Unit, attributes no, blank |place| Self { place, ..Self::default() },
    {
        item: Code = "Item; empty for all items",
        from_unit: Code = "Unit converted from",
        to_unit: Code = "Unit converted to",
        factor: Factor = "How many `to_unit` are one `from_unit`",
        valid_from: Date = "First day on which it holds",
    }
    rest {
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.from_unit == self.to_unit && self.factor != Factor::ONE {
                faults.push(("factor", Fault::new("bad-value", format!("one {} is one {}", self.from_unit, self.to_unit))));
            }
        }
    }
}

table! {
    DraftRate, Rates, Rate, attributes no,
    blank |place| {
        // Every field is required, so none of these reaches a finished row.
        let none = Currency::parse("USD").expect("USD is an ISO code");
        Self { rate_type: String::new(), from_currency: none, to_currency: none, date: NaiveDate::default(), rate: Factor::ZERO, place }
    },
    {
        rate_type: Code = "Rate type",
        from_currency: Currency = "Currency converted from",
        to_currency: Currency = "Currency converted to",
        date: Date = "Day of the rate",
        rate: Factor = "How much `to_currency` is one `from_currency`",
    }
    rest {
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.from_currency == self.to_currency && self.rate != Factor::ONE {
                faults.push(("rate", Fault::new("bad-value", format!("one {} is one {}", self.from_currency, self.to_currency))));
            }
        }
    }
}

table! {
    DraftPayment, Payments, Payment, attributes no, blank |place| Self { place, ..Self::default() },
    {
        document: Code = "Document number",
        paid_on: Date = "Day of the payment",
        amount: Amount = "Amount; empty for the whole document",
    }
}

table! {
    DraftActivity, Activities, Activity, attributes yes, blank |place| Self { place, ..Self::default() },
    {
        activity: Code = "Kind of activity",
        partner: Code = "Partner",
        person: Text = "Person it belongs to",
        proof: Code = "Proof number",
        value: Amount = "Value of a KPI",
        cost: Amount = "Proven cost",
        started_on: Date = "First day",
        ended_on: Date = "Last day",
        received_on: Date = "Day on which the proof was received",
        valid_until: Date = "Last day on which it is valid",
    }
}

table! {
    DraftAuthorization, Authorizations, Authorization, attributes no, blank |place| Self { place, ..Self::default() },
    {
        authorization: Code = "Authorisation number",
        partner: Code = "Partner",
        end_customer: Code = "End customer",
        item: Code = "Item",
        book_price: Amount = "Book price per unit",
        authorized_price: Amount = "Authorised price per unit",
        authorized_margin: Rate = "Share of the resale price that the partner is to keep, instead of a price",
        currency: Currency = "Currency of the prices",
        unit: Code = "Unit of prices and cap",
        quantity_cap: Amount = "Greatest quantity",
        shipped_from: Date = "First ship date",
        shipped_to: Date = "Last ship date, included",
    }
    rest {
        const HEADER: &'static [&'static [&'static str]] = &[&["authorized_price", "authorized_margin"]];
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            match (self.authorized_price, self.authorized_margin) {
                (None, None) => faults.push(("authorized_price", Fault::new("missing-value", "there is neither a price nor a margin"))),
                (Some(_), Some(_)) => {
                    faults.push(("authorized_margin", Fault::new("bad-value", "there are both a price and a margin").help("give one of them")));
                }
                _ => {}
            }
            let figures = [("book_price", self.book_price), ("authorized_price", self.authorized_price), ("quantity_cap", self.quantity_cap)];
            for (field, _) in figures.iter().filter(|(_, figure)| figure.is_some_and(Micros::is_negative)) {
                faults.push((*field, Fault::new("bad-number", format!("the {} is negative", field.replace('_', " ")))));
            }
            if let (Some(from), Some(to)) = (self.shipped_from, self.shipped_to)
                && to < from
            {
                faults.push(("shipped_to", Fault::new("date-order", format!("it ends on {to}, before it starts on {from}"))));
            }
        }
    }
}

table! {
    DraftBaseline, Baselines, Baseline, attributes no, blank |place| Self { place, ..Self::default() },
    {
        agreement: Code = "Agreement",
        term: Code = "Term; empty for the only growth term",
        partner: Code = "Partner",
        from: Date = "First day of the period",
        to: Date = "Last day, included",
        amount: Amount = "The baseline",
    }
    rest {
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.to < self.from {
                faults.push(("to", Fault::new("bad-period", "the period ends before it starts")));
            }
        }
    }
}

table! {
    DraftPlan, Plans, Plan, attributes no, blank |place| Self { place, ..Self::default() },
    {
        partner: Code = "Partner",
        period: Code = "Period: 2026, 2026-Q1 or 2026-03",
        measure: Code = "Measure",
        amount: Amount = "The figure",
    }
}

table! {
    DraftStock, Stock, Stock, attributes no, blank |place| Self { place, ..Self::default() },
    {
        partner: Code = "Partner",
        item: Code = "Item",
        on: Date = "Day of the count or receipt",
        quantity: Amount = "Quantity in the item's base unit",
        unit_cost: Amount = "Cost of one unit: the row is a layer of FIFO cost",
        kind: Word = "count (on hand in the evening) or receipt (came in); a row with a cost is both a count and a layer when empty",
    }
}

table! {
    DraftMemo, Memos, Memo, attributes no, blank |place| Self { place, ..Self::default() },
    {
        reference: Code = "Our reference; empty on credit notes that are none of ours, which are listed and not compared",
        document: Code = "The ERP's document number; needed where there is no reference",
        date: Date = "Document date",
        currency: Currency = "Currency",
        amount: Amount = "Amount; positive is a credit to the partner",
        status: Code = "State in the ERP",
    }
    rest {
        const HEADER: &'static [&'static [&'static str]] = &[&["reference", "document"]];
        fn check(&self, _seen: u64, faults: &mut RowFaults) {
            if self.reference.is_none() && self.document.is_none() {
                faults.push(("reference", Fault::new("missing-value", "there is neither a reference nor a document")));
            }
        }
    }
}

/// Calls a generic function with the row type of a table.
macro_rules! with_row {
    ($table:expr, $row:ident => $call:expr) => {
        match $table {
            $crate::core::master::Table::Lines => {
                type $row = $crate::core::line::DraftLine;
                $call
            }
            $crate::core::master::Table::Partners => {
                type $row = $crate::core::master::DraftPartner;
                $call
            }
            $crate::core::master::Table::Items => {
                type $row = $crate::core::master::DraftItem;
                $call
            }
            $crate::core::master::Table::Units => {
                type $row = $crate::core::master::DraftUnit;
                $call
            }
            $crate::core::master::Table::Rates => {
                type $row = $crate::core::master::DraftRate;
                $call
            }
            $crate::core::master::Table::Payments => {
                type $row = $crate::core::master::DraftPayment;
                $call
            }
            $crate::core::master::Table::Activities => {
                type $row = $crate::core::master::DraftActivity;
                $call
            }
            $crate::core::master::Table::Authorizations => {
                type $row = $crate::core::master::DraftAuthorization;
                $call
            }
            $crate::core::master::Table::Baselines => {
                type $row = $crate::core::master::DraftBaseline;
                $call
            }
            $crate::core::master::Table::Plans => {
                type $row = $crate::core::master::DraftPlan;
                $call
            }
            $crate::core::master::Table::Stock => {
                type $row = $crate::core::master::DraftStock;
                $call
            }
            $crate::core::master::Table::Memos => {
                type $row = $crate::core::master::DraftMemo;
                $call
            }
        }
    };
}
pub(crate) use with_row;

/// The columns of a table in documentation order.
pub fn columns(table: Table) -> &'static [Column] {
    with_row!(table, R => R::COLUMNS)
}

/// Whether rows of a table keep `attributes.*`.
pub fn keeps_attributes(table: Table) -> bool {
    with_row!(table, R => R::blank(Place::default()).attributes().is_some())
}

/// Whether a text can fill a column, by its place among the columns.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check_text(table: Table, index: usize, text: &str) -> Result<(), Fault> {
    with_row!(table, R => R::SETTERS[index](&mut R::blank(Place::default()), text))
}
