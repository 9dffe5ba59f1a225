//! Terms that decide on single things, in sentences.

use super::{list, money};
use crate::core::agreement::AgreementVersion;
use crate::core::terms::ship_and_debit::{CostBasis, ShipAndDebit};

/// What a ship-and-debit term grants, and by when it is to be claimed.
pub fn ship_and_debit(agreement: &AgreementVersion, rule: &ShipAndDebit) -> String {
    let cost = match rule.cost_basis {
        CostBasis::BookPrice => "the book price of its authorisation",
        CostBasis::ClaimedCost => "the cost that it states",
        CostBasis::Fifo => "what the goods cost the partner by its stock, first in first out",
    };
    let known = match &rule.authorizations {
        Some(file) => format!("in {file}"),
        None => "among those that are imported".to_owned(),
    };
    let mut text = format!(
        " Each line cites an authorisation, {known}, and is decided by itself: it is paid {cost} less the authorised price, for the \
         quantity that the authorisation has left, and never more than it claims."
    );
    if let Some(days) = rule.claim_within_days {
        text.push_str(&format!(" It is to be submitted within {days} days of the ship date."));
    }
    for drop in &rule.price_drops {
        let unit = drop.unit.as_deref().map(|unit| format!(" {unit}")).unwrap_or_default();
        text.push_str(&format!(
            " Each{unit} of {} that is on hand when the price falls on {} is paid {}.",
            list(&drop.items),
            drop.on,
            money(agreement, drop.amount)
        ));
    }
    text
}
