//! Ladders of tiers as people write them into lower bounds with one benefit each.
//!
//! The rules are those of `calculation.md` section 4: only lower bounds take part in a
//! calculation; upper bounds are accepted when they cover everything exactly once. Not here: what
//! a tier pays (the engine).

use crate::config::agreement_shapes::{AMOUNT, BACK_TO_FIRST, FREE_GOODS, PER_INCREMENT, PER_UNIT, RATE};
use crate::config::reader::Section;
use crate::config::shape::{Key, Kind, Shape};
use crate::core::agreement::{Benefit, Bound, Measure, Method, Tier};
use crate::core::money::Currency;
use crate::core::number::{Micros, Rate};
use crate::core::problem::Problems;

/// What the rest of the term says about its ladder.
pub struct Rules {
    /// What the bounds are told in.
    pub bounds: Bounds,
    /// Measure that benefits multiply.
    pub base: Measure,
    /// How bounds compare.
    pub bound: Bound,
    /// Retrospective or marginal.
    pub method: Method,
    /// Currency of money bounds; `None` when it was refused.
    pub currency: Option<Currency>,
}

/// What the bounds of a ladder are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// A measure.
    Measure(Measure),
    /// Percentages of another figure.
    Share,
}

impl Rules {
    /// A bound for people: money with the decimals of its currency.
    fn text(&self, bound: Micros) -> String {
        match (self.bounds, self.currency) {
            (Bounds::Share, _) => bound.to_percent(),
            (Bounds::Measure(measure), Some(currency)) if is_money(measure) => currency.amount_text(bound),
            _ => bound.to_string(),
        }
    }
    /// A bound as it is written; a fraction where it is a percentage.
    fn bound(&self, tier: Section<'_>, key: &str) -> Option<Micros> {
        match self.bounds {
            Bounds::Measure(_) => tier.amount(key),
            Bounds::Share => match tier.text(key)? {
                "0" => Some(Micros::ZERO),
                _ => tier.rate(key).and_then(fraction),
            },
        }
    }
    /// The step that may lie between `to` and the next `from`: one minor unit, one whole unit, none.
    fn step(&self) -> Micros {
        match self.bounds {
            Bounds::Measure(Measure::Quantity | Measure::DocumentCount) => Micros::ONE,
            Bounds::Measure(Measure::Weight) | Bounds::Share => Micros::ZERO,
            Bounds::Measure(_) => {
                Micros(10i64.pow(Micros::SCALE - self.currency.map_or(2, Currency::minor_digits).min(Micros::SCALE)))
            }
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
    let (Some(from), Some(following)) = (rules.bound(tier, "from"), rules.bound(next, "from")) else { return };
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
    let Some(to) = rules.bound(tier, "to") else { return };
    let text = |bound| rules.text(bound);
    if rules.bound(tier, "from").is_some_and(|from| to < from) {
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
    let from = rules.bound(tier, "from");
    if from.is_none() && tier.text("from").is_some() {
        let text = tier.text("from").unwrap_or_default();
        problems.push(match text.strip_suffix('%') {
            Some(_) if rules.bounds == Bounds::Share => tier
                .problem("too-fine", "from", format!("`{text}` has more than four decimals"))
                .help("a share or growth is compared with at most four decimals of a percent"),
            Some(_) => tier
                .problem("tier-bound", "from", format!("`{text}` is a percentage, and this ladder has none"))
                .help("write an amount or a count"),
            None => tier
                .problem("tier-bound", "from", format!("`{text}` is no percentage"))
                .help(format!("this ladder is told in percent: write \"{text}%\"")),
        });
    }
    let back_to_first = tier.flag("back_to_first");
    if back_to_first == Some(true) && rules.method != Method::Marginal {
        problems.push(
            tier.problem("tier-back-to-first", "back_to_first", "only a tier of a marginal ladder can go back to the first unit")
                .help("write method = \"marginal\" in the term, or leave `back_to_first` out: a retrospective tier pays on everything anyway"),
        );
    }
    if rules.bound == Bound::NthUnit {
        let whole = from.is_none_or(|f| f.fits_digits(0));
        if !matches!(rules.bounds, Bounds::Measure(Measure::Quantity | Measure::DocumentCount)) || !whole {
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
            problems.push(tier.problem("tier-benefit", "benefit", "the tier pays nothing").help(
                "add rate = \"2%\", per_unit, amount, per_increment or free_goods; rate = \"0%\" if it is meant to pay nothing",
            ));
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
            let per_item = table.text("per")? == "item";
            if per_item && rules.method == Method::Marginal {
                problems.push(
                    table
                        .problem("tier-per-item", "per", "slices of a marginal ladder are of all items together")
                        .help("write method = \"retrospective\" in the term, or per = \"together\""),
                );
            }
            let started = table.text("count")? == "started";
            Benefit::PerIncrement { every, amount: table.amount("amount")?, started, per_item }
        }
        "free_goods" => {
            let table = tier.table(key)?;
            let every = table.amount("every")?;
            if every.is_zero() {
                problems.push(table.problem("out-of-range", "every", "a multiple of 0 never ends").help("use a size above zero"));
                return None;
            }
            Benefit::FreeGoods { every, quantity: table.amount("quantity")?, unit_value: table.amount("unit_value")? }
        }
        _ => return None,
    })
}

/// A percentage as a fraction with six decimals; `None` when it is finer.
fn fraction(rate: Rate) -> Option<Micros> {
    let step = Rate::ONE.0 / Micros::ONE.0;
    (rate.0 % step == 0).then_some(Micros(rate.0 / step))
}

/// A tier whose bound may be a percentage.
pub static SHARE_TIER: Shape = Shape::new(
    "a tier",
    "A lower bound and one benefit.",
    &[
        Key::new(
            "from",
            Kind::AmountOrRate,
            "lower bound: a percentage of the baseline or of the whole, else an amount or a count",
        )
        .required(),
        Key::new(
            "to",
            Kind::AmountOrRate,
            "upper bound, if the ladder is written with them; checked for gaps and overlaps, else without effect",
        ),
        RATE,
        PER_UNIT,
        AMOUNT,
        PER_INCREMENT,
        FREE_GOODS,
        BACK_TO_FIRST,
    ],
);
