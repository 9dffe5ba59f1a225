//! How a line's figure in a term follows from what its document says: exchange rate and its day, unit
//! factor, weight, cost, share of a document discount. For receipts and statements, so that their reader gets from
//! the document to the figure with a pocket calculator.
//!
//! Nothing is computed for booking here: the figure arrives, and what leads to it is looked up again.

use crate::core::agreement::{AgreementVersion, Measure};
use crate::core::line::Line;
use crate::core::master_data::{MasterData, rate_and_day_on};
use crate::core::number::{Exact, Factor, Micros};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The way from a document's figure to a term's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// What is measured.
    pub measure: Measure,
    /// Amount or quantity on the document.
    pub stated: Micros,
    /// Its currency or unit.
    pub stated_in: String,
    /// Cost that is taken off, in the document's currency.
    pub cost: Option<Micros>,
    /// Exchange rate.
    pub rate: Option<UsedRate>,
    /// Unit factor, as a decimal or a fraction.
    pub factor: Option<String>,
    /// Weight of one base unit of the item.
    pub weight: Option<Micros>,
    /// Share of the document's discounts, in the agreement's currency.
    pub discount: Option<Exact>,
    /// The figure.
    pub result: Exact,
    /// Its currency or unit; empty for weights.
    pub result_in: String,
}

/// An exchange rate with the day it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRate {
    /// Units of the agreement's currency for one of the document's.
    pub rate: Factor,
    /// Day of the rate.
    pub on: NaiveDate,
}

/// Words and number forms of a language.
pub struct Wording<'a> {
    /// Writes plain decimal text.
    pub number: &'a dyn Fn(&str) -> String,
    /// Writes a day.
    pub day: &'a dyn Fn(NaiveDate) -> String,
    /// `cost`.
    pub cost: &'a str,
    /// `share of the document's discounts`.
    pub discount: &'a str,
}

/// The way to `result`, which the line adds to a figure of the measure, quantities in `unit`; `None` where the document says
/// just that, or the way is not known any more.
pub fn derive(
    master: &MasterData,
    version: &AgreementVersion,
    line: &Line,
    (measure, unit): (Measure, Option<&str>),
    result: Exact,
) -> Option<Derivation> {
    let plain = match measure {
        Measure::NetAmount => line.currency == version.currency && line.net_amount.exact() == result,
        Measure::Quantity => unit.is_none_or(|unit| *unit == *line.unit),
        Measure::DocumentCount => true,
        Measure::GrossAmount | Measure::Margin | Measure::Weight => false,
    };
    // A line that adds nothing to this figure is not told how.
    if plain || result.is_zero() {
        return None;
    }
    // A return is converted as its original was.
    let day = line.original.filter(|_| line.is_return()).map_or(line.document_date, |original| original.document_date);
    let currency = version.currency;
    let mut found = Derivation {
        measure,
        stated: line.net_amount,
        stated_in: line.currency.code().to_owned(),
        cost: None,
        rate: None,
        factor: None,
        weight: None,
        discount: None,
        result,
        result_in: currency.code().to_owned(),
    };
    match measure {
        Measure::NetAmount | Measure::GrossAmount | Measure::Margin => {
            if measure == Measure::GrossAmount {
                found.stated = line.gross_amount?;
            }
            if measure == Measure::Margin {
                found.cost = Some(line.cost_amount?);
            }
            if line.currency != currency {
                let series = master.rate_series(&version.exchange.rate_type, line.currency, currency)?;
                let (on, rate) = rate_and_day_on(&series, day, version.exchange.max_age_days)?;
                found.rate = Some(UsedRate { rate, on });
            }
            let rate = found.rate.map_or(Factor::ONE, |used| used.rate);
            let converted = found.stated.times(rate) - found.cost.unwrap_or_default().times(rate);
            let rest = result - converted;
            found.discount = (!rest.is_zero()).then_some(rest);
            Some(found)
        }
        Measure::Quantity => {
            let unit = unit?;
            let ratio = master.ratio(line.item_id, &line.unit, unit, day)?;
            found.stated = line.quantity;
            found.stated_in = line.unit.to_string();
            found.factor = Some(ratio.to_string());
            found.result_in = unit.to_owned();
            Some(found)
        }
        Measure::Weight => {
            let fact = line.item_id.and_then(|id| master.item(id)).and_then(|item| master.item_fact(item, day))?;
            let base_unit = fact.base_unit.as_deref()?;
            found.stated = line.quantity;
            found.stated_in = line.unit.to_string();
            found.weight = fact.weight;
            if *base_unit != *line.unit {
                found.factor = Some(master.ratio(line.item_id, &line.unit, base_unit, day)?.to_string());
            }
            found.result_in = String::new();
            Some(found)
        }
        Measure::DocumentCount => None,
    }
}

impl Derivation {
    /// `(100.00 - 60.00) EUR × 1.1 [2026-01-01] - 2.00 (discounts) = 42.00 USD`.
    pub fn formula(&self, words: &Wording<'_>) -> String {
        let number = |text: String| (words.number)(&text);
        let amounts = !matches!(self.measure, Measure::Quantity | Measure::Weight);
        let least = if amounts { 2 } else { 0 };
        let stated = number(self.stated.to_text(least));
        let mut text = match self.cost {
            Some(cost) => format!("({stated} − {} {}) {}", number(cost.to_text(least)), words.cost, self.stated_in),
            None => format!("{stated} {}", self.stated_in),
        };
        if let Some(used) = self.rate {
            text.push_str(&format!(" × {} [{}]", number(used.rate.to_text(0)), (words.day)(used.on)));
        }
        if let Some(factor) = &self.factor {
            // A fraction is two whole numbers.
            let shown = if factor.contains('/') { factor.clone() } else { number(factor.clone()) };
            text.push_str(&format!(" × {shown}"));
        }
        if let Some(weight) = self.weight {
            text.push_str(&format!(" × {}", number(weight.to_text(0))));
        }
        if let Some(discount) = self.discount {
            let sign = if discount.is_negative() { "−" } else { "+" };
            text.push_str(&format!(" {sign} {} ({})", number(discount.abs().to_text(least)), words.discount));
        }
        let result = format!("{text} = {} {}", number(self.result.to_text(least)), self.result_in);
        result.trim_end().to_owned()
    }

    /// The same in plain English.
    pub fn text(&self) -> String {
        self.formula(&Wording {
            number: &str::to_owned,
            day: &|day| day.to_string(),
            cost: "cost",
            discount: "share of the document's discounts",
        })
    }
}
