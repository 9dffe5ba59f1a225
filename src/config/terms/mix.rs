//! Mix terms: keys and what they build.

use super::growth::unit_stated;
use crate::config::agreement_file::selection;
use crate::config::agreement_shapes::SELECTION;
use crate::config::ladder::{self, Bounds};
use crate::config::reader::Section;
use crate::config::shape::{Key, Kind, Shape, word_kind};
use crate::core::agreement::{Bound, Measure, Method, Minimum, Mix, MixBase, MixCount, Selection, Share, UnitMatch};
use crate::core::money::Currency;
use crate::core::problem::Problems;

/// A mix term.
pub static MIX: Shape = Shape::new(
    "a mix term",
    "The share of one selection in another, a count of distinct items or categories, or a basket of minimums; every condition must hold.",
    &[
        Key::new("share", Kind::Table(&SHARE), "the share that picks the tier: `of` these lines `in` those"),
        Key::new("count", word_kind!(MixCount), "the count that picks the tier: what was bought more than it was returned"),
        Key::new("measure", word_kind!(Measure), "what the share is measured in").default("net-amount"),
        Key::new("unit", Kind::Name, "unit of quantities; required where a quantity is measured"),
        Key::new("unit_match", word_kind!(UnitMatch), "what happens to lines in another unit").default("convert"),
        Key::new("minimums", Kind::Tables(&MINIMUM), "what must be bought at least in the period"),
        Key::new(
            "base",
            Kind::Either(&[Kind::Word(&["part", "whole"]), Kind::Table(&BASE)]),
            "what the benefit multiplies: the part of the share, its whole, or lines of their own",
        )
        .default("part"),
        Key::new("method", word_kind!(Method), "the tier reached pays on everything, or each tier on its own slice")
            .default("retrospective"),
        Key::new("tiers", Kind::Tables(&ladder::SHARE_TIER), "the ladder: percentages of the whole, counts, or bounds of the base")
            .required(),
    ],
)
.variant_of(&crate::config::agreement_shapes::TERM);

static SHARE: Shape = Shape::new(
    "`share`",
    "A share of lines.",
    &[
        Key::new("of", Kind::Table(&SELECTION), "the part").required(),
        Key::new("in", Kind::Table(&SELECTION), "the whole; every line of the term when left out or empty"),
    ],
);

static MINIMUM: Shape = Shape::new(
    "a minimum",
    "What must be bought at least in the period.",
    &[
        Key::new("where", Kind::Table(&SELECTION), "of which lines of the term; of all when left out"),
        Key::new("measure", word_kind!(Measure), "in which measure").default("net-amount"),
        Key::new("unit", Kind::Name, "unit of quantities; required where a quantity is measured"),
        Key::new("at_least", Kind::Amount, "how much").required(),
    ],
);

static BASE: Shape = Shape::new(
    "`base` of a mix",
    "Lines that the benefit multiplies.",
    &[
        Key::new("where", Kind::Table(&SELECTION), "which lines of the term; all when left out"),
        Key::new("measure", word_kind!(Measure), "in which measure").default("net-amount"),
        Key::new("unit", Kind::Name, "unit of quantities; required where a quantity is measured"),
    ],
);

/// Builds the rule of a mix term.
pub fn build(section: Section<'_>, bound: Bound, currency: Option<Currency>, problems: &mut Problems) -> Option<Mix> {
    let measure = section.word("measure", Measure::from_word)?;
    let method = section.word("method", Method::from_word)?;
    let unit = section.text("unit").map(str::to_owned);
    unit_stated(section, "measure", measure, problems);
    not_documents(section, measure, problems);
    let share = section
        .table("share")
        .map(|table| Share { of: selection(table, "of", problems), within: selection(table, "in", problems) });
    let count = if section.has("count") { section.word("count", MixCount::from_word) } else { None };
    let minimums: Vec<Minimum> = section.tables("minimums").into_iter().filter_map(|table| minimum(table, problems)).collect();
    if share.is_some() && count.is_some() {
        problems.push(
            section
                .problem("mix-kind", "count", "a share and a count cannot both pick the tier")
                .help("keep one, and ask for the other as a minimum or in a term of its own"),
        );
    }
    if share.is_none() && count.is_none() && minimums.is_empty() {
        problems.push(
            section
                .problem("mix-kind", "share", "nothing is asked of the mix")
                .help("add share = { of = { ... }, in = { ... } }, count = \"distinct-items\" or minimums = [{ ... }]"),
        );
    }
    if share.is_some() && section.flag("prorate_bounds") == Some(true) {
        problems.push(
            section
                .problem("no-period", "prorate_bounds", "a share does not shrink with a period")
                .help("leave `prorate_bounds` out"),
        );
    }
    if count.is_some() && method == Method::Marginal {
        problems.push(
            section
                .problem("mix-marginal", "method", "a count has no slices that could be paid")
                .help("write method = \"retrospective\""),
        );
    }
    let base = base(section, share.as_ref(), measure, unit.as_ref(), problems)?;
    let bounds = match (&share, count) {
        (Some(_), _) => Bounds::Share,
        (None, Some(_)) => Bounds::Measure(Measure::DocumentCount),
        (None, None) => Bounds::Measure(base.measure),
    };
    let rules = ladder::Rules { bounds, base: base.measure, bound, method, currency };
    let tiers = ladder::read(section, &rules, problems);
    Some(Mix {
        share,
        count,
        measure,
        unit,
        unit_match: section.word("unit_match", UnitMatch::from_word)?,
        minimums,
        base,
        method,
        tiers: tiers?,
    })
}

fn not_documents(section: Section<'_>, measure: Measure, problems: &mut Problems) {
    if measure == Measure::DocumentCount {
        problems.push(
            section
                .problem("mix-measure", "measure", "documents have no share of lines")
                .help("measure an amount, a quantity or a weight"),
        );
    }
}

fn minimum(table: Section<'_>, problems: &mut Problems) -> Option<Minimum> {
    let measure = table.word("measure", Measure::from_word)?;
    unit_stated(table, "measure", measure, problems);
    not_documents(table, measure, problems);
    Some(Minimum {
        select: selection(table, "where", problems),
        measure,
        unit: table.text("unit").map(str::to_owned),
        at_least: table.amount("at_least")?,
    })
}

fn base(
    section: Section<'_>,
    share: Option<&Share>,
    measure: Measure,
    unit: Option<&String>,
    problems: &mut Problems,
) -> Option<MixBase> {
    if let Some(table) = section.node("base").and_then(|n| n.as_table()) {
        let table = Section::new(table, &BASE);
        let measure = table.word("measure", Measure::from_word)?;
        unit_stated(table, "measure", measure, problems);
        not_documents(table, measure, problems);
        let select = selection(table, "where", problems);
        return Some(MixBase { select, measure, unit: table.text("unit").map(str::to_owned) });
    }
    let whole = section.node("base").and_then(|n| n.as_text()) == Some("whole");
    let select = match (share, whole) {
        (Some(share), true) => share.within.clone(),
        (Some(share), false) => share.of.clone(),
        (None, _) => Selection::default(),
    };
    Some(MixBase { select, measure, unit: unit.cloned() })
}
