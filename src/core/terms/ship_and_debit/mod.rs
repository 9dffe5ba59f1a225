//! Ship-and-debit: claim lines against authorisations, each line decided alone (cases 16 and 17).
//!
//! What a term agrees on, what an authorisation says and what a decision is. How lines queue up is in
//! `queue`, what an authorisation has to say about one line in `book`. Values in, decisions out: no store,
//! no clock.

mod book;
mod checks;
mod price_protection;
mod queue;
mod reason;
mod returns;
mod state;
#[cfg(test)]
mod tests;
mod value;

pub use book::{Book, customer_code, item_root, survivor};
pub use price_protection::{Holdings, Movement, StockRow, on_hand};
pub use queue::{ClaimLine, EndCustomer, PersonSays, Queue, TermRules, sale_key};
pub use reason::{Outcome, Reason};

use crate::core::agreement::words;
use crate::core::money::Currency;
use crate::core::number::{Exact, Micros, Rate};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

words! {
    /// What the authorised price is compared with.
    CostBasis {
        /// The book price of the authorisation.
        BookPrice = "book-price",
        /// The cost that the claim line states.
        ClaimedCost = "claimed-cost",
        /// What the goods cost the partner by its channel stock, first in first out.
        Fifo = "fifo",
    } default BookPrice
}

/// A ship-and-debit term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipAndDebit {
    /// File of its own authorisations, as the agreement names it; `None` takes those that were imported.
    pub authorizations: Option<String>,
    /// What the authorised price is compared with.
    pub cost_basis: CostBasis,
    /// Days after the ship date within which a line has to be submitted; `None` for any time.
    pub claim_within_days: Option<u32>,
    /// Up to how much per unit a claim may differ from what is due without a note.
    pub price_tolerance: Micros,
    /// The same for the whole line; both have to hold.
    pub amount_tolerance: Option<Micros>,
    /// Falls of list prices for which stock on hand is compensated.
    pub price_drops: Vec<PriceDrop>,
}

/// One dated row of an authorisation. Rows of one number, partner, end customer and item share the quantity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Authorization {
    /// Number that a claim line cites.
    pub authorization: String,
    /// Partner that may claim; any when `None`.
    pub partner: Option<String>,
    /// End customer that it is for; any when `None`.
    pub end_customer: Option<String>,
    /// Item code.
    pub item: String,
    /// Book price per unit.
    pub book_price: Option<Micros>,
    /// What the partner is to pay in the end.
    pub price: AuthorizedPrice,
    /// Currency of the prices; the agreement's when `None`.
    pub currency: Option<Currency>,
    /// Unit of prices and quantity; as the line states it when `None`.
    pub unit: Option<String>,
    /// Greatest quantity over all rows that share it.
    pub quantity_cap: Option<Micros>,
    /// First ship date.
    pub shipped_from: Option<NaiveDate>,
    /// Last ship date, included.
    pub shipped_to: Option<NaiveDate>,
}

/// What the partner is to pay in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizedPrice {
    /// A price per unit.
    Price(Micros),
    /// What leaves this share of the resale price as margin.
    Margin(Rate),
}

/// A fall of a list price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceDrop {
    /// First day of the lower price.
    pub on: NaiveDate,
    /// Items.
    pub items: Vec<String>,
    /// By how much per unit, in the agreement's currency.
    pub amount: Micros,
    /// Unit of the amount; the stock's when `None`.
    pub unit: Option<String>,
}

/// What came of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Accepted, cut, refused, held or waiting.
    pub outcome: Outcome,
    /// The one main reason.
    pub reason: Reason,
    /// In words, a lowercase fragment.
    pub message: String,
    /// What was asked, in the agreement's currency.
    pub claimed: Exact,
    /// Cost side of the accepted quantity, in the agreement's currency.
    pub basis: Exact,
    /// What is paid, unrounded, in the agreement's currency; negative where something is taken back.
    pub amount: Exact,
    /// Quantity of the authorisation that it uses up, in the authorisation's unit; negative where it is given back.
    pub quantity: Exact,
    /// Whose quantity that is; empty where none is used.
    pub pool: String,
}

impl Decision {
    /// A decision that pays nothing.
    pub fn nothing(outcome: Outcome, reason: Reason, message: String, claimed: Exact) -> Self {
        Self {
            outcome,
            reason,
            message,
            claimed,
            basis: Exact::ZERO,
            amount: Exact::ZERO,
            quantity: Exact::ZERO,
            pool: String::new(),
        }
    }
    /// Whether it pays, takes back or uses quantity: such a decision stays once it is settled.
    pub fn moves(&self) -> bool {
        !self.amount.is_zero() || !self.quantity.is_zero()
    }
}
