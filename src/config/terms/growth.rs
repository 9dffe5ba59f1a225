//! Growth terms: keys and what they build.

use crate::config::ladder::{self, Bounds};
use crate::config::reader::Section;
use crate::config::shape::{Key, Kind, Shape, word_kind};
use crate::config::value;
use crate::core::agreement::{
    Baseline, Bound, Freeze, Growth, GrowthBase, GrowthOf, Measure, Method, NewMembers, NewPartner, PriceRise, UnitMatch,
};
use crate::core::money::Currency;
use crate::core::number::Rate;
use crate::core::period::Span;
use crate::core::problem::Problems;

/// A growth term.
pub static GROWTH: Shape = Shape::new(
    "a growth term",
    "The increase over a baseline picks the tier; a decline reaches none.",
    &[
        Key::new("qualifier", word_kind!(GrowthOf), "whether bounds are percentages of the baseline or amounts of the measure")
            .default("growth-percent"),
        Key::new("measure", word_kind!(Measure), "what grows").default("net-amount"),
        Key::new("unit", Kind::Name, "unit of quantities; required where a quantity grows"),
        Key::new("unit_match", word_kind!(UnitMatch), "what happens to lines in another unit").default("convert"),
        Key::new("base", word_kind!(GrowthBase), "whether the benefit pays on everything or only on the increase").default("all"),
        Key::new(
            "method",
            word_kind!(Method),
            "the tier reached pays on everything, or each tier on its own slice of the increase",
        )
        .default("retrospective"),
        Key::new("baseline", Kind::Table(&BASELINE), "what the period is compared with").required(),
        Key::new("baseline_uplift", Kind::Rate, "by how much the baseline is raised before it is compared").default("0%"),
        Key::new("price_rises", Kind::Tables(&PRICE_RISE), "price rises inside the period, which lift bounds in percent"),
        Key::new(
            "freeze_on",
            Kind::Text,
            "from when on late documents no longer move the baseline: days after the baseline period (\"30d\"), \"start\" of the \
             period that is compared, or a date; never before the approval and the first valid day",
        )
        .default("30d"),
        Key::new("new_partner", word_kind!(NewPartner), "what a partner without a positive baseline means").default("exception"),
        Key::new("new_members", word_kind!(NewMembers), "whether partners without a baseline count where all grow together")
            .default("exclude"),
        Key::new("tiers", Kind::Tables(&ladder::SHARE_TIER), "the ladder, by ascending lower bound").required(),
    ],
)
.variant_of(&crate::config::agreement_shapes::TERM);

static BASELINE: Shape = Shape::new(
    "`baseline`",
    "What a period is compared with; one of the three.",
    &[
        Key::new(
            "period",
            Kind::Word(&["prior-year", "prior-period"]),
            "the same months one fiscal year earlier, or the period of the same span just before",
        ),
        Key::new("fixed", Kind::Amount, "a figure for each accumulation period, in the measure"),
        Key::new(
            "table",
            Kind::Name,
            "a file of baselines beside the agreement file: agreement, term, partner, from, to, amount",
        ),
    ],
);

static PRICE_RISE: Shape = Shape::new(
    "a price rise",
    "A price rise that the partner's growth does not owe to the partner.",
    &[
        Key::new("on", Kind::Date, "first day of the new prices").required(),
        Key::new("percent", Kind::Rate, "by how much").required(),
    ],
);

/// Builds the rule of a growth term.
pub fn build(
    section: Section<'_>,
    bound: Bound,
    accumulate: Option<Span>,
    currency: Option<Currency>,
    problems: &mut Problems,
) -> Option<Growth> {
    let of = section.word("qualifier", GrowthOf::from_word)?;
    let measure = section.word("measure", Measure::from_word)?;
    let base = section.word("base", GrowthBase::from_word)?;
    let method = section.word("method", Method::from_word)?;
    unit_stated(section, "measure", measure, problems);
    if measure == Measure::DocumentCount {
        problems.push(
            section
                .problem("growth-measure", "measure", "documents are not compared with those of another period")
                .help("let an amount or a quantity grow"),
        );
    }
    if matches!(accumulate, Some(Span::Line | Span::Document | Span::Lifetime)) {
        problems.push(
            section
                .problem("no-period", "accumulate", "growth compares a period with an earlier one")
                .help("accumulate over weeks, months, quarters, half-years or years"),
        );
    }
    if method == Method::Marginal && base == GrowthBase::All {
        problems.push(
            section
                .problem("growth-marginal", "method", "slices of growth are paid on the increase")
                .help("write base = \"increase\", or method = \"retrospective\""),
        );
    }
    if section.flag("prorate_bounds") == Some(true) && of == GrowthOf::Percent {
        problems.push(
            section
                .problem("no-period", "prorate_bounds", "bounds in percent do not shrink with a period: its baseline does")
                .help("leave `prorate_bounds` out"),
        );
    }
    let price_rises: Vec<PriceRise> = section
        .tables("price_rises")
        .into_iter()
        .filter_map(|t| Some(PriceRise { on: t.date("on")?, percent: t.rate("percent")? }))
        .collect();
    if of == GrowthOf::Amount && !price_rises.is_empty() {
        problems.push(
            section
                .problem("growth-price-rise", "price_rises", "price rises lift bounds in percent, and these are amounts")
                .help("raise the baseline with `baseline_uplift`, or use qualifier = \"growth-percent\""),
        );
    }
    let bounds = if of == GrowthOf::Percent { Bounds::Share } else { Bounds::Measure(measure) };
    let rules = ladder::Rules { bounds, base: measure, bound, method, currency };
    let tiers = ladder::read(section, &rules, problems);
    Some(Growth {
        measure,
        unit: section.text("unit").map(str::to_owned),
        unit_match: section.word("unit_match", UnitMatch::from_word)?,
        of,
        base,
        method,
        baseline: baseline(section, problems)?,
        uplift: section.rate("baseline_uplift").unwrap_or(Rate::ZERO),
        price_rises,
        freeze: freeze(section, problems)?,
        new_partner: section.word("new_partner", NewPartner::from_word)?,
        new_members: section.word("new_members", NewMembers::from_word)?,
        tiers: tiers?,
    })
}

/// A quantity needs its unit.
pub(super) fn unit_stated(section: Section<'_>, key: &str, measure: Measure, problems: &mut Problems) {
    if measure == Measure::Quantity && !section.has("unit") {
        problems.push(
            section
                .problem("unit-missing", key, "a quantity is measured, but no unit is stated")
                .help("add unit = \"EA\" (or the unit the quantities are meant in)"),
        );
    }
}

fn baseline(section: Section<'_>, problems: &mut Problems) -> Option<Baseline> {
    let table = section.table("baseline")?;
    let named: Vec<&str> = ["period", "fixed", "table"].into_iter().filter(|k| table.has(k)).collect();
    match named[..] {
        ["period"] => table.text("period").map(|w| if w == "prior-year" { Baseline::PriorYear } else { Baseline::PriorPeriod }),
        ["fixed"] => {
            let amount = table.amount("fixed")?;
            if amount.is_zero() {
                problems.push(
                    table
                        .problem("out-of-range", "fixed", "a baseline of 0 is none")
                        .help("give the figure that growth starts from, or write the ladder as a volume term"),
                );
            }
            Some(Baseline::Fixed(amount))
        }
        ["table"] => table.text("table").map(|file| Baseline::Table { file: file.to_owned(), rows: Vec::new() }),
        _ => {
            problems.push(
                section
                    .problem("baseline", "baseline", "a baseline is a `period`, a `fixed` figure or a `table`, and one of them")
                    .help("for example baseline = { period = \"prior-year\" }"),
            );
            None
        }
    }
}

fn freeze(section: Section<'_>, problems: &mut Problems) -> Option<Freeze> {
    let text = section.text("freeze_on")?;
    let found = match text {
        "start" => Some(Freeze::Start),
        _ => value::days(text).map(Freeze::Days).or_else(|| value::date(text).map(Freeze::On)),
    };
    if found.is_none() {
        problems.push(
            section
                .problem("freeze-on", "freeze_on", format!("`{text}` says no day"))
                .help("write \"30d\" (days after the baseline period), \"start\", or a date such as \"2026-01-31\""),
        );
    }
    found
}
