//! Price protection: what a partner had on hand when a list price fell.
//!
//! Counts are of the evening of their day. The first one from the drop on is gone back from; where
//! there is none, the last one before is gone forward from, or all receipts are.

use crate::core::number::{Exact, Micros};
use chrono::NaiveDate;

/// A row of a partner's stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRow {
    /// Partner id after all merges.
    pub partner: i64,
    /// Item code.
    pub item: String,
    /// Day of the count or receipt.
    pub on: NaiveDate,
    /// Quantity in the item's base unit.
    pub quantity: Micros,
    /// Cost of one unit; a row without one is no layer of FIFO cost.
    pub unit_cost: Option<Micros>,
    /// What came in rather than what was counted.
    pub receipt: bool,
}

/// Goods that left (positive) or came in again (negative) on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Day.
    pub on: NaiveDate,
    /// Quantity in the item's base unit.
    pub quantity: Exact,
}

/// What is known of one item at one partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Counts and receipts: day, quantity, whether it is a receipt.
    pub stock: Vec<(NaiveDate, Exact, bool)>,
    /// What the partner sold.
    pub sold: Vec<Movement>,
    /// What we delivered, less what it sent back.
    pub received: Vec<Movement>,
}

/// What was on hand before the first sale of the day, and how that is known; `None` where no stock is known.
pub fn on_hand(day: NaiveDate, holdings: &Holdings) -> Option<(Exact, String)> {
    let counts = || holdings.stock.iter().filter(|s| !s.2);
    let total = |of: &dyn Fn(NaiveDate) -> bool| -> Exact { counts().filter(|s| of(s.0)).map(|s| s.1).sum() };
    let moved = |list: &[Movement], of: &dyn Fn(NaiveDate) -> bool| -> Exact {
        list.iter().filter(|m| of(m.on)).map(|m| m.quantity).sum()
    };
    let receipts = |of: &dyn Fn(NaiveDate) -> bool| -> Exact {
        let rows = holdings.stock.iter().filter(|s| s.2 && of(s.0));
        rows.map(|s| s.1).sum::<Exact>() + moved(&holdings.received, of)
    };
    let (quantity, how) = if let Some(after) = counts().map(|s| s.0).filter(|d| *d >= day).min() {
        let between = |d: NaiveDate| day <= d && d <= after;
        let (counted, sold, came) = (total(&|d| d == after), moved(&holdings.sold, &between), receipts(&between));
        let how = format!("{} counted on {after}, {} sold and {} received since {day}", text(counted), text(sold), text(came));
        (counted + sold - came, how)
    } else if let Some(before) = counts().map(|s| s.0).max() {
        let between = |d: NaiveDate| before < d && d < day;
        let (counted, sold, came) = (total(&|d| d == before), moved(&holdings.sold, &between), receipts(&between));
        let how = format!("{} counted on {before}, {} sold and {} received before {day}", text(counted), text(sold), text(came));
        (counted - sold + came, how)
    } else {
        let earlier = |d: NaiveDate| d < day;
        holdings.stock.first()?;
        let (sold, came) = (moved(&holdings.sold, &earlier), receipts(&earlier));
        (came - sold, format!("{} received and {} sold before {day}", text(came), text(sold)))
    };
    Some((quantity.clamp_positive(), how))
}

fn text(quantity: Exact) -> String {
    quantity.to_text(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }
    fn units(number: i64) -> Exact {
        Micros(number * 1_000_000).exact()
    }
    fn sold(on: &str, number: i64) -> Movement {
        Movement { on: day(on), quantity: units(number) }
    }

    #[test]
    fn ppr_01_units_on_hand_when_the_price_fell() {
        // 25 bought, 5 sold before 5 March, 5 since, 15 left on 10 March: 20 were on hand.
        let sales = vec![sold("2026-03-02", 5), sold("2026-03-06", 5), sold("2026-03-11", 3)];
        let counted = Holdings { stock: vec![(day("2026-03-10"), units(15), false)], sold: sales.clone(), received: vec![] };
        assert_eq!(on_hand(day("2026-03-05"), &counted).map(|h| h.0), Some(units(20)));
        let earlier = Holdings { stock: vec![(day("2026-02-20"), units(25), false)], ..counted.clone() };
        assert_eq!(on_hand(day("2026-03-05"), &earlier).map(|h| h.0), Some(units(20)));
        let receipt = Holdings { stock: vec![(day("2026-02-20"), units(25), true)], ..counted.clone() };
        assert_eq!(on_hand(day("2026-03-05"), &receipt).map(|h| h.0), Some(units(20)));
        assert_eq!(on_hand(day("2026-03-05"), &Holdings::default()), None);
    }

    #[test]
    fn what_came_in_at_the_lower_price_is_not_compensated() {
        // 15 counted on the 10th of which 10 were delivered on the 7th, and 5 were sold since the drop: 10 were on hand.
        let holdings = Holdings {
            stock: vec![(day("2026-03-10"), units(15), false)],
            sold: vec![sold("2026-03-05", 5)],
            received: vec![sold("2026-03-07", 10)],
        };
        assert_eq!(on_hand(day("2026-03-05"), &holdings).map(|h| h.0), Some(units(10)));
    }
}
