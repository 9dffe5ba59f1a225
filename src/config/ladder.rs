//! Ladders of tiers as people write them into lower bounds with one benefit each.
//!
//! The rules are those of `calculation.md` section 4: only lower bounds take part in a
//! calculation; upper bounds are accepted when they cover everything exactly once. Not here: what
//! a tier pays (the engine).

use crate::config::reader::Section;
use crate::core::agreement::{Benefit, Bound, Measure, Method, Tier};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::problem::Problems;

/// What the rest of the term says about its ladder.
pub struct Rules {
    /// Measure of the bounds.
    pub qualifier: Measure,
    /// Measure that benefits multiply.
    pub base: Measure,
    /// How bounds compare.
    pub bound: Bound,
    /// Retrospective or marginal.
    pub method: Method,
    /// Currency of money bounds; `None` when it was refused.
    pub currency: Option<Currency>,
}

impl Rules {
    fn money(&self) -> bool {
        is_money(self.qualifier)
    }
    /// A bound for people: money with the decimals of its currency.
    fn text(&self, bound: Micros) -> String {
        match self.currency {
            Some(currency) if self.money() => currency.amount_text(bound),
            _ => bound.to_string(),
        }
    }
    /// The step that may lie between `to` and the next `from`: one minor unit, one whole unit, none.
    fn step(&self) -> Micros {
        match self.qualifier {
            Measure::Quantity | Measure::DocumentCount => Micros::ONE,
            Measure::Weight => Micros::ZERO,
            _ => Micros(10i64.pow(Micros::SCALE - self.currency.map_or(2, Currency::minor_digits).min(Micros::SCALE))),
        }
    }
}

fn is_money(measure: Measure) -> bool {
    matches!(measure, Measure::NetAmount | Measure::GrossAmount | Measure::Margin)
}

/// Reads the tiers of a term; `None` when one of them cannot be read.
pub fn read(term: Section<'_>, rules: &Rules, problems: &mut Problems) -> Option<Vec<Tier>> {
    let sections = term.tables("tiers");
    if sections.is_empty() {
        if term.has("tiers") {
            problems.push(
                term.problem("ladder-empty", "tiers", "the ladder has no tiers")
                    .help("add at least { from = \"0\", rate = \"1%\" }"),
            );
        }
        return None;
    }
    for pair in sections.windows(2) {
        compare(pair[0], pair[1], rules, problems);
    }
    if let Some(last) = sections.last() {
        upper_bound(*last, None, rules, problems);
    }
    let tiers: Vec<Option<Tier>> = sections.iter().map(|s| tier(*s, rules, problems)).collect();
    tiers.into_iter().collect()
}

fn compare(tier: Section<'_>, next: Section<'_>, rules: &Rules, problems: &mut Problems) {
    let (Some(from), Some(following)) = (tier.amount("from"), next.amount("from")) else { return };
    let text = |bound| rules.text(bound);
    if following == from {
        problems.push(
            next.problem("ladder-order", "from", format!("the bound {} comes twice", text(from)))
                .help("each tier has its own lower bound; remove one of the two"),
        );
    } else if following < from {
        problems.push(
            next.problem("ladder-order", "from", format!("bounds do not ascend: {} comes after {}", text(following), text(from)))
                .help("sort the tiers by their lower bound"),
        );
    } else {
        upper_bound(tier, Some(following), rules, problems);
    }
}

/// Checks `to` against the next lower bound; after the last tier nothing may end.
fn upper_bound(tier: Section<'_>, following: Option<Micros>, rules: &Rules, problems: &mut Problems) {
    let Some(to) = tier.amount("to") else { return };
    let text = |bound| rules.text(bound);
    if tier.amount("from").is_some_and(|from| to < from) {
        problems.push(
            tier.problem("ladder-order", "to", format!("the tier ends at {}, below its own lower bound", text(to)))
                .help("`to` is the upper bound of the same tier; it may be left out"),
        );
        return;
    }
    match following {
        None => problems.push(
            tier.problem("ladder-gap", "to", format!("no tier covers what lies above {}", text(to)))
                .help("leave `to` out of the last tier, or add a tier from there on, at rate = \"0%\" if it pays nothing"),
        ),
        Some(next) if next < to => problems.push(
            tier.problem("ladder-overlap", "to", format!("{} to {} is covered twice", text(next), text(to)))
                .help(format!("end this tier at {}, or leave every `to` out: only lower bounds count", text(next))),
        ),
        Some(next) if next > to + rules.step() => problems.push(
            tier.problem("ladder-gap", "to", format!("no tier covers what lies between {} and {}", text(to), text(next)))
                .help(format!("end this tier at {}, or leave every `to` out: only lower bounds count", text(next))),
        ),
        Some(_) => {}
    }
}

fn tier(tier: Section<'_>, rules: &Rules, problems: &mut Problems) -> Option<Tier> {
    let from = tier.amount("from");
    let back_to_first = tier.flag("back_to_first");
    if back_to_first == Some(true) && rules.method != Method::Marginal {
        problems.push(
            tier.problem("tier-back-to-first", "back_to_first", "only a tier of a marginal ladder can go back to the first unit")
                .help("write method = \"marginal\" in the term, or leave `back_to_first` out: a retrospective tier pays on everything anyway"),
        );
    }
    if rules.bound == Bound::NthUnit {
        let whole = from.is_none_or(|f| f.fits_digits(0));
        if !matches!(rules.qualifier, Measure::Quantity | Measure::DocumentCount) || !whole {
            problems.push(
                tier.problem("nth-unit", "from", "with bound = \"nth-unit\" a bound names a whole unit")
                    .help("use whole bounds of qualifier = \"quantity\" or \"document-count\", or another `bound`"),
            );
        }
    }
    let named: Vec<&str> =
        ["rate", "per_unit", "amount", "per_increment", "free_goods"].into_iter().filter(|k| tier.has(k)).collect();
    match named[..] {
        [] => {
            problems.push(
                tier.problem("tier-benefit", "benefit", "the tier pays nothing")
                    .help("add rate = \"2%\", per_unit, amount or per_increment; rate = \"0%\" if it is meant to pay nothing"),
            );
            return None;
        }
        [_] => {}
        [_, second, ..] => {
            problems.push(
                tier.problem("tier-benefit", second, format!("the tier names several benefits: {}", named.join(", ")))
                    .help("keep one, and write the other as a term of its own"),
            );
            return None;
        }
    }
    let benefit = benefit(tier, named[0], rules, problems);
    Some(Tier { from: from?, benefit: benefit?, back_to_first: back_to_first? })
}

fn benefit(tier: Section<'_>, key: &str, rules: &Rules, problems: &mut Problems) -> Option<Benefit> {
    let fits_base = match key {
        "rate" => is_money(rules.base),
        "per_unit" => !is_money(rules.base),
        _ => true,
    };
    if !fits_base {
        let (what, base) = if key == "rate" { ("a percentage", "net-amount") } else { ("an amount per unit", "quantity") };
        problems.push(
            tier.problem("tier-base", key, format!("{what} cannot be paid on the base `{}`", rules.base))
                .help(format!("write base = \"{base}\" in the term, or another benefit in the tier")),
        );
    }
    Some(match key {
        "rate" => Benefit::Rate(tier.rate(key)?),
        "per_unit" => Benefit::PerUnit(tier.amount(key)?),
        "amount" => Benefit::Amount(tier.amount(key)?),
        "per_increment" => {
            let table = tier.table(key)?;
            let every = table.amount("every")?;
            if every.is_zero() {
                problems
                    .push(table.problem("out-of-range", "every", "an increment of 0 never ends").help("use a size above zero"));
                return None;
            }
            Benefit::PerIncrement { every, amount: table.amount("amount")?, started: table.text("count")? == "started" }
        }
        _ => return None,
    })
}
