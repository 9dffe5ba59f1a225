//! Document lines: the draft that a mapping or a canonical table gives, and the canonical line.
//!
//! A draft still names its partner, item and unit by text; `pipeline::normalize` resolves it into
//! a [`Line`]. Figures of a draft are typed, exact and already carry their sign.

use crate::core::agreement::words;
use crate::core::number::Micros;
use crate::core::problem::Place;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

words! {
    /// Types of documents.
    DocumentType {
        /// Sales order.
        Order = "order",
        /// Shipment.
        Shipment = "shipment",
        /// Invoice.
        Invoice = "invoice",
        /// Credit note or return.
        CreditNote = "credit-note",
        /// A distributor's resale (point of sale) report.
        Resale = "resale",
        /// Goods receipt.
        Receipt = "receipt",
        /// A partner's claim.
        Claim = "claim",
    } default Invoice
}

impl DocumentType {
    /// Whether others issue it, so that its number is only unique per partner.
    pub const fn issued_by_others(self) -> bool {
        matches!(self, Self::Claim | Self::Resale | Self::Receipt)
    }
}

words! {
    /// Kinds of lines; only goods count unless a term says otherwise.
    LineKind {
        /// Goods.
        Goods = "goods",
        /// Services.
        Service = "service",
        /// Freight.
        Freight = "freight",
        /// Surcharge.
        Surcharge = "surcharge",
        /// Discount on the document, spread over its goods lines.
        Discount = "discount",
        /// Tax.
        Tax = "tax",
        /// Text only.
        Comment = "comment",
    } default Goods
}

words! {
    /// State of a document in its source.
    DocumentStatus {
        /// Posted.
        Posted = "posted",
        /// Fully paid.
        Paid = "paid",
        /// Not final: never counted.
        Draft = "draft",
        /// Cancelled or voided: never counted.
        Cancelled = "cancelled",
    } default Posted
}

impl DocumentStatus {
    /// Whether documents in this state count.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Posted | Self::Paid)
    }
}

/// One line as its source tells it, typed but not resolved. Text is trimmed, empty text is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftLine {
    /// Company code; the workspace's when `None`.
    pub company: Option<String>,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document_number: String,
    /// Line number (text: sources use letters too).
    pub line_number: String,
    /// Document date.
    pub document_date: Option<NaiveDate>,
    /// Posting date.
    pub posting_date: Option<NaiveDate>,
    /// Day of full payment.
    pub paid_date: Option<NaiveDate>,
    /// Partner code of the source.
    pub partner: String,
    /// Ship-to code.
    pub ship_to: Option<String>,
    /// End customer code.
    pub end_customer: Option<String>,
    /// Item code of the source.
    pub item: Option<String>,
    /// Line kind.
    pub line_kind: LineKind,
    /// Signed quantity.
    pub quantity: Option<Micros>,
    /// Unit on the document.
    pub unit: Option<String>,
    /// Signed gross amount excluding tax.
    pub gross_amount: Option<Micros>,
    /// Signed net amount excluding tax.
    pub net_amount: Option<Micros>,
    /// Tax amount.
    pub tax_amount: Option<Micros>,
    /// Cost amount.
    pub cost_amount: Option<Micros>,
    /// Currency code as written.
    pub currency: Option<String>,
    /// Number of the document it refers to (the original of a return).
    pub refers_to_document: Option<String>,
    /// Line of that document.
    pub refers_to_line: Option<String>,
    /// Ship-and-debit authorisation.
    pub authorization: Option<String>,
    /// Order type.
    pub order_type: Option<String>,
    /// Payment terms.
    pub payment_terms: Option<String>,
    /// Territory.
    pub territory: Option<String>,
    /// One of our settlement references, when the document carries it.
    pub our_reference: Option<String>,
    /// State of the document.
    pub status: DocumentStatus,
    /// The source's ordering of versions at the same change time.
    pub sequence: Option<i64>,
    /// When the source last changed the document.
    pub changed_at: Option<DateTime<Utc>>,
    /// Attributes kept under their names without the `attributes.` prefix; also the claim and
    /// resale columns that only later stages read.
    pub attributes: BTreeMap<String, String>,
    /// Where it came from.
    pub place: Place,
}

/// One canonical line: resolved, signed, ready for matching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Line id in the store.
    pub id: i64,
    /// Document id in the store.
    pub document_id: i64,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document_number: Arc<str>,
    /// Line number.
    pub line_number: Arc<str>,
    /// Document date.
    pub document_date: NaiveDate,
    /// Posting date.
    pub posting_date: Option<NaiveDate>,
    /// Day of full payment.
    pub paid_on: Option<NaiveDate>,
    /// Partner on the document, by its id in the store; merges are applied when matching.
    pub partner_id: i64,
    /// Item id in the store; `None` for lines without an item (freight, comments).
    pub item_id: Option<i64>,
    /// Line kind.
    pub line_kind: LineKind,
    /// Signed quantity in `unit`.
    pub quantity: Micros,
    /// Unit on the document, empty when there is none.
    pub unit: Arc<str>,
    /// Signed gross amount excluding tax.
    pub gross_amount: Option<Micros>,
    /// Signed net amount excluding tax.
    pub net_amount: Micros,
    /// Cost amount.
    pub cost_amount: Option<Micros>,
    /// Currency code.
    pub currency: crate::core::money::Currency,
    /// The document it refers to.
    pub refers_to_document: Option<Arc<str>>,
    /// Line of that document.
    pub refers_to_line: Option<Arc<str>>,
    /// The original's date and conversion facts, when the store found it.
    pub original: Option<Original>,
    /// Rarely used properties.
    pub extra: Option<Box<Extra>>,
}

/// What a return needs to know of the line or document it refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Document id of the original, for terms that look at each document by itself.
    pub document_id: i64,
    /// Document date of the original.
    pub document_date: NaiveDate,
    /// Posting date of the original.
    pub posting_date: Option<NaiveDate>,
}

/// Rarely used properties of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// Ship-to code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<String>,
    /// End customer code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_customer: Option<String>,
    /// Authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// Order type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_type: Option<String>,
    /// Payment terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_terms: Option<String>,
    /// Territory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub territory: Option<String>,
    /// Kept attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Line {
    /// The day that places the line: document or posting date.
    pub fn day(&self, basis: crate::core::agreement::DateBasis) -> NaiveDate {
        match basis {
            crate::core::agreement::DateBasis::DocumentDate => self.document_date,
            crate::core::agreement::DateBasis::PostingDate => self.posting_date.unwrap_or(self.document_date),
        }
    }
    /// Whether it takes something back: a credit note, or a negative line on an invoice.
    pub fn is_return(&self) -> bool {
        self.document_type == DocumentType::CreditNote || self.net_amount.is_negative() || self.quantity.is_negative()
    }
}
