//! What a line is worth: quantity left, cost, authorised price, and the lower of claimed and due.

use super::book::{self, Row};
use super::queue::{ClaimLine, Run};
use super::{AuthorizedPrice, CostBasis, Outcome, Reason};
use crate::core::master_data::rate_on;
use crate::core::money::Currency;
use crate::core::number::{Exact, Factor, Micros, Rate};

/// Why a line is not paid.
pub(super) struct No {
    pub outcome: Outcome,
    pub reason: Reason,
    pub message: String,
}

impl No {
    pub fn refused((reason, message): (Reason, String)) -> Self {
        Self { outcome: Outcome::Refused, reason, message }
    }
    pub fn held(reason: Reason, message: String) -> Self {
        Self { outcome: Outcome::Held, reason, message }
    }
    pub fn waiting(reason: Reason, message: String) -> Self {
        Self { outcome: Outcome::Waiting, reason, message }
    }
    pub fn too_large() -> Self {
        Self::waiting(Reason::FigureTooLarge, format!("a figure is past {}", Micros(i64::MAX).to_text(0)))
    }
}

/// A line with its value by the row that rules it.
pub(super) struct Valued {
    pub outcome: Outcome,
    pub reason: Reason,
    pub message: String,
    pub claimed: Exact,
    pub basis: Exact,
    pub amount: Exact,
    pub quantity: Exact,
    pub pool: String,
    pub taken: Vec<(usize, Exact)>,
}

pub(super) fn share(whole: Exact, part: Exact, of: Exact) -> Result<Exact, No> {
    whole.checked_share(part, of).ok_or_else(No::too_large)
}

fn fits(figure: Exact) -> Result<Exact, No> {
    figure.checked_micros().map(|_| figure).ok_or_else(No::too_large)
}

fn times_price(quantity: Exact, price: Micros) -> Result<Exact, No> {
    share(quantity, price.exact(), Micros::ONE.exact()).and_then(fits)
}

impl<'q> Run<'q, '_> {
    pub(super) fn root_item(&self, line: &ClaimLine) -> i64 {
        line.item_id.map_or(0, |id| book::item_root(self.queue.master, id))
    }

    pub(super) fn convert(&self, line: &ClaimLine, amount: Exact, from: Currency) -> Result<Exact, No> {
        let term = &self.queue.terms[line.term];
        if from == term.currency {
            return fits(amount);
        }
        let exchange = term.exchange;
        let series = self.queue.master.rate_series(&exchange.rate_type, from, term.currency);
        let rate = series.and_then(|s| rate_on(&s, line.document_date, exchange.max_age_days)).ok_or_else(|| {
            No::waiting(
                Reason::NoRate,
                format!(
                    "no rate from {from} to {} on {} or at most {} days before",
                    term.currency, line.document_date, exchange.max_age_days
                ),
            )
        })?;
        share(amount, Exact(i128::from(rate.0)), Exact(i128::from(Factor::ONE.0))).and_then(fits)
    }

    pub(super) fn units(&self, line: &ClaimLine, from: &str, to: &str, quantity: Exact) -> Result<Exact, No> {
        if from.is_empty() || to.is_empty() || from == to {
            return Ok(quantity);
        }
        let missing = || {
            No::waiting(
                Reason::NoConversion,
                format!("no conversion from unit `{from}` to `{to}` on {} for item {}", line.document_date, line.item),
            )
        };
        let ratio = self.queue.master.ratio(line.item_id, from, to, line.document_date).ok_or_else(missing)?;
        let one = ratio.apply(Micros::ONE).ok_or_else(No::too_large)?;
        // By the exact fraction where the quantity is one that a document can state.
        match quantity.checked_micros().filter(|m| m.exact() == quantity) {
            Some(whole) => ratio.apply(whole).ok_or_else(No::too_large),
            None => share(quantity, one, Micros::ONE.exact()),
        }
    }

    pub(super) fn money(&self, line: &ClaimLine, amount: Exact) -> String {
        let currency = self.queue.terms[line.term].currency;
        amount.checked_micros().map_or_else(|| amount.to_text(2), |micros| currency.amount_text(micros))
    }

    /// Checks of quantity and price; takes channel stock.
    pub(super) fn value(&mut self, line: &ClaimLine, row: &Row) -> Result<Valued, No> {
        let term = &self.queue.terms[line.term];
        let asked_units = self.units(line, &line.unit, row.source.unit.as_deref().unwrap_or_default(), line.quantity.exact())?;
        let quantity = match row.source.quantity_cap {
            Some(cap) => (cap.exact() - self.state.used(&row.pool)).clamp_positive().min(asked_units),
            None => asked_units,
        };
        let cited = &row.source.authorization;
        if quantity.is_zero() {
            let message = format!("nothing is left of the quantity of authorisation {cited}");
            return Err(No::refused((Reason::QuantityUsedUp, message)));
        }
        let part = |amount: Exact| share(amount, quantity, asked_units);
        let priced_in = row.source.currency.unwrap_or(term.currency);
        let (basis, taken) = match term.rule.cost_basis {
            CostBasis::BookPrice => {
                let Some(price) = row.source.book_price else {
                    return Err(No::held(Reason::NoBookPrice, format!("authorisation {cited} has no book price")));
                };
                (self.convert(line, times_price(quantity, price)?, priced_in)?, Vec::new())
            }
            CostBasis::ClaimedCost => {
                let Some(cost) = line.cost else {
                    return Err(No::refused((Reason::CostMissing, "the line states no cost".to_owned())));
                };
                (self.convert(line, part(cost.exact())?, line.currency)?, Vec::new())
            }
            CostBasis::Fifo => self.fifo(line, row, quantity, priced_in)?,
        };
        let result = self.priced(line, row, quantity, asked_units, basis, priced_in);
        match result {
            Ok(mut valued) => {
                valued.taken = taken;
                Ok(valued)
            }
            Err(no) => {
                self.state.layers.give_back(&taken);
                Err(no)
            }
        }
    }

    pub(super) fn fifo(
        &mut self,
        line: &ClaimLine,
        row: &Row,
        quantity: Exact,
        priced_in: Currency,
    ) -> Result<(Exact, Vec<(usize, Exact)>), No> {
        let master = self.queue.master;
        let unit = row.source.unit.clone().unwrap_or_else(|| line.unit.clone());
        let base_unit = line
            .item_id
            .and_then(|id| master.item(id))
            .and_then(|item| master.item_fact(item, line.document_date))
            .and_then(|fact| fact.base_unit.clone());
        let needed = self.units(line, &unit, base_unit.as_deref().unwrap_or_default(), quantity)?;
        let item = self.root_item(line);
        let day = line.shipped_on.unwrap_or(line.submitted_on);
        let Some((taken, costs)) = self.state.layers.take(line.partner, item, day, needed) else {
            let message = format!("the stock known up to {day} does not hold {} of item {}", needed.to_text(0), line.item);
            return Err(No::held(Reason::NoChannelStock, message));
        };
        let mut cost = Exact::ZERO;
        for (quantity, unit_cost) in costs {
            cost = cost.checked_add(times_price(quantity, unit_cost)?).ok_or_else(No::too_large)?;
        }
        match self.convert(line, cost, priced_in) {
            Ok(basis) => Ok((basis, taken)),
            Err(no) => {
                self.state.layers.give_back(&taken);
                Err(no)
            }
        }
    }

    pub(super) fn priced(
        &self,
        line: &ClaimLine,
        row: &Row,
        quantity: Exact,
        asked_units: Exact,
        basis: Exact,
        priced_in: Currency,
    ) -> Result<Valued, No> {
        let rule = self.queue.terms[line.term].rule;
        let part = |amount: Exact| share(amount, quantity, asked_units);
        let price = |price: Micros| self.convert(line, times_price(quantity, price)?, priced_in);
        let authorized = match row.source.price {
            AuthorizedPrice::Price(authorized) => price(authorized)?,
            AuthorizedPrice::Margin(margin) => {
                let resale = self.convert(line, part(line.resale.exact())?, line.currency)?;
                let kept = share(resale, Exact(i128::from(margin.0)), Exact(i128::from(Rate::ONE.0)))?;
                resale - kept
            }
        };
        let due = fits(basis - authorized)?;
        if due <= Exact::ZERO {
            let message =
                format!("the authorised {} are not below the cost of {}", self.money(line, authorized), self.money(line, basis));
            return Err(No::refused((Reason::PriceNotBelowCost, message)));
        }
        let whole = match (line.claimed, line.claimed_price) {
            (Some(claimed), _) => Some(self.convert(line, claimed.exact(), line.currency)?),
            (None, Some(stated)) => Some(share(fits(basis - price(stated)?)?, asked_units, quantity)?),
            (None, None) => None,
        };
        let claimed = whole.map_or(Ok(due), part)?;
        if claimed <= Exact::ZERO {
            let message = format!("claimed {} where {} are due", self.money(line, claimed), self.money(line, due));
            return Err(No::refused((Reason::PriceDiffers, message)));
        }
        let difference = claimed - due;
        let tolerated = difference.abs() <= times_price(quantity, rule.price_tolerance)?
            && rule.amount_tolerance.is_none_or(|most| difference.abs() <= most.exact());
        let unpaid = asked_units - quantity;
        let (outcome, reason, message) = if unpaid > Exact::ZERO {
            let open = whole.unwrap_or_default() - claimed;
            let message = format!(
                "{} of {} units ({}) are more than authorisation {} has left",
                unpaid.to_text(0),
                asked_units.to_text(0),
                self.money(line, open),
                row.source.authorization
            );
            (Outcome::Cut, Reason::QuantityExceeded, message)
        } else if tolerated || difference.is_zero() {
            (Outcome::Accepted, Reason::Accepted, String::new())
        } else if difference > Exact::ZERO {
            let message = format!(
                "claimed {}, due {}: {} not paid",
                self.money(line, claimed),
                self.money(line, due),
                self.money(line, difference)
            );
            (Outcome::Cut, Reason::PriceDiffers, message)
        } else {
            (Outcome::Accepted, Reason::ClaimedLess, format!("claimed {} less than due", self.money(line, -difference)))
        };
        let claimed_whole = match whole {
            Some(whole) => whole,
            None => share(due, asked_units, quantity)?,
        };
        Ok(Valued {
            outcome,
            reason,
            message,
            claimed: fits(claimed_whole)?,
            basis,
            amount: claimed.min(due),
            quantity,
            pool: row.pool.clone(),
            taken: Vec::new(),
        })
    }
}
