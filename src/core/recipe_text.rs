//! A recipe's steps in plain English, for receipts.

use crate::core::accrual::{benefit_text, percent};
use crate::core::money::Currency;
use crate::core::number::{Exact, Fine};
use crate::core::statement_recipe::RecipeStep;

/// Text of a figure that may have no end: ten decimals are more than a pocket calculator shows.
pub fn shortened(plain: &str) -> String {
    match plain.split_once('.') {
        Some((whole, fraction)) if fraction.len() > 10 => format!("{whole}.{}…", &fraction[..10]),
        _ => plain.to_owned(),
    }
}

fn exact(figure: Exact) -> String {
    shortened(&figure.to_text(2))
}
fn fine(figure: Fine) -> String {
    shortened(&figure.to_text(2))
}
/// Cut, never rounded up: 9.99999 % is not ten.
fn in_percent(part: Exact, whole: Exact) -> String {
    if whole > Exact::ZERO { format!(" ({})", percent(part, whole)) } else { String::new() }
}
fn of(version: Option<u32>) -> String {
    version.map_or_else(String::new, |version| format!("version {version}: "))
}

impl RecipeStep {
    /// The step, a lowercase fragment.
    pub fn text(&self, currency: Currency) -> String {
        let money = |amount| currency.amount_text(amount);
        match self {
            Self::Qualifier { measure, total, all_partners } => {
                let whose = if *all_partners { ", all partners together" } else { "" };
                format!("qualifier ({measure}{whose}): the lines add up to {}", exact(*total))
            }
            Self::Growth { measure, current, baseline, raised, increase } => {
                let raised_to = if raised == baseline { String::new() } else { format!(", raised to {}", exact(*raised)) };
                format!(
                    "growth ({measure}): {} less the baseline of {}{raised_to} = {}{}",
                    exact(*current),
                    exact(*baseline),
                    exact(*increase),
                    in_percent(*increase, *raised)
                )
            }
            Self::Share { part, whole } => format!("share: {} of {}{}", exact(*part), exact(*whole), in_percent(*part, *whole)),
            Self::Count { count } => format!("{} distinct", count.to_text(0)),
            Self::Minimum { measure, unit, bought, at_least } => {
                let unit = unit.as_ref().map(|u| format!(" {u}")).unwrap_or_default();
                let met = if *bought >= at_least.exact() { "reached" } else { "not reached" };
                format!("minimum of {at_least}{unit} ({measure}): {}{unit}, {met}", shortened(&bought.to_text(0)))
            }
            Self::Base { measure, total } => format!("base ({measure}): the lines add up to {}", exact(*total)),
            Self::BaseCap { counted, kept } => format!("of {} no more than {} counts (caps.base)", exact(*counted), exact(*kept)),
            Self::Tier { version, from, benefit } => {
                format!("{}the tier from {} is reached: {}", of(*version), exact(*from), benefit_text(benefit, currency))
            }
            Self::NoTier { version, first } => {
                let first = first.map_or_else(String::new, |first| format!(", the first starts at {}", exact(first)));
                format!("{}no tier is reached{first}", of(*version))
            }
            Self::Multiply { version, amount, benefit, product } => {
                format!("{}{} at {} = {}", of(*version), exact(*amount), benefit_text(benefit, currency), fine(*product))
            }
            Self::Proportion { version, base, benefit, slice, qualifier, product } => format!(
                "{}{} at {}, times {} / {} = {}",
                of(*version),
                exact(*base),
                benefit_text(benefit, currency),
                exact(*slice),
                exact(*qualifier),
                fine(*product)
            ),
            Self::Amount { version, amount } => format!("{}{} once", of(*version), money(*amount)),
            Self::Lines { version, total } => {
                format!("{}the parts of its lines before rounding add up to {}", of(*version), fine(*total))
            }
            Self::Sum { total } => format!("together {}", fine(*total)),
            Self::Clamped { computed } => format!("more returns than sales: {} becomes 0", fine(*computed)),
            Self::Floor { floor } => format!("raised to the floor of {}", money(*floor)),
            Self::Cap { computed, cap } => format!("{} lowered to the cap of {} (caps.benefit)", fine(*computed), money(*cap)),
            Self::After { term, benefit } => {
                format!("base: less what {term} earns on the same lines (of {} in all)", fine(*benefit))
            }
            Self::Unmet { requires } => format!("nothing, since {} earned nothing", requires.join(" and ")),
            Self::Beaten { by } => format!("nothing, since {by} of the same set earns more"),
            Self::Round { exact, rounded } => {
                format!("{} rounded once, half away from zero: {}", fine(*exact), money(*rounded))
            }
            Self::PartnerShare { total, base, whole, earned } => format!(
                "of {} for all partners this one has {} / {}: {}",
                money(*total),
                exact(*base),
                exact(*whole),
                money(*earned)
            ),
            Self::SharedCap { name, cap, asked, before, after } => format!(
                "cap of {} over several figures ({name}): {} were asked for before, so that of {} there are {} left",
                money(*cap),
                money(*asked),
                money(*before),
                money(*after)
            ),
            Self::Adjusted { computed, earned } => format!("{} is kept as {}", money(*computed), money(*earned)),
            Self::InPeriod { earned, before, change } => {
                format!("in the period: {} less {} earned before it = {}", money(*earned), money(*before), money(*change))
            }
            Self::Correction { before, stated, change } => format!(
                "corrections of earlier periods: {} known now less {} stated then = {}",
                money(*before),
                money(*stated),
                money(*change)
            ),
        }
    }
}
