//! One term in sentences.

use super::{bound_sentence, decided, list, money};
use crate::core::accrual::benefit_text;
use crate::core::agreement::{
    AgreementVersion, Baseline, Dimension, Freeze, Growth, GrowthBase, GrowthOf, Measure, Method, Mix, MixCount, NewMembers,
    NewPartner, PaymentCondition, QualifierScope, Rule, Selection, Term, UnitMatch,
};
use crate::core::number::Micros;
use crate::core::period::Span;

/// The sentences of a term.
pub fn read(agreement: &AgreementVersion, term: &Term) -> String {
    let mut text = format!("Term {} ({}). {}", term.id, term.rule.name(), lines(term));
    text.push_str(&payment(term.payment));
    match &term.rule {
        Rule::Volume(volume) => {
            text.push_str(&format!(
                " {} adds up over {} and decides the tier.",
                capitalized(&measure(volume.qualifier, volume.unit.as_deref())),
                span(term, agreement)
            ));
            text.push_str(&units(volume.unit.as_deref(), volume.unit_match));
        }
        Rule::Growth(growth) => text.push_str(&self::growth(agreement, term, growth)),
        Rule::Mix(mix) => text.push_str(&self::mix(agreement, term, mix)),
        Rule::ShipAndDebit(rule) => text.push_str(&decided::ship_and_debit(agreement, rule)),
        Rule::Fixed(fixed) => {
            text.push_str(&format!(
                " {} are paid once for {} in which such a line counts.",
                money(agreement, fixed.amount),
                span(term, agreement)
            ));
        }
    }
    text.push_str(&ladder(agreement, term));
    text.push_str(&limits(agreement, term));
    text.push_str(&others(term));
    text
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a measure is called in a sentence.
pub fn measure(measure: Measure, unit: Option<&str>) -> String {
    match (measure, unit) {
        (Measure::NetAmount, _) => "the net amount".to_owned(),
        (Measure::GrossAmount, _) => "the gross amount".to_owned(),
        (Measure::Quantity, Some(unit)) => format!("the quantity in {unit}"),
        (Measure::Quantity, None) => "the quantity".to_owned(),
        (Measure::Weight, _) => "the weight".to_owned(),
        (Measure::Margin, _) => "the margin (net less cost)".to_owned(),
        (Measure::DocumentCount, _) => "the number of documents".to_owned(),
    }
}

fn units(unit: Option<&str>, unit_match: UnitMatch) -> String {
    match (unit, unit_match) {
        (Some(unit), UnitMatch::Exact) => format!(" Lines in another unit than {unit} do not count."),
        (Some(_), UnitMatch::Convert) => " Lines in other units are converted.".to_owned(),
        (None, _) => String::new(),
    }
}

fn span(term: &Term, agreement: &AgreementVersion) -> String {
    let calendar = if agreement.gregorian { "calendar" } else { "fiscal" };
    match term.accumulate {
        Span::Line => "each line by itself".to_owned(),
        Span::Document => "each document by itself".to_owned(),
        Span::Week => "each week, Monday to Sunday".to_owned(),
        Span::Month | Span::Quarter | Span::HalfYear | Span::Year => format!("each {calendar} {}", term.accumulate.word()),
        Span::AgreementYear => "each year of the agreement".to_owned(),
        Span::Agreement | Span::Lifetime => "the whole agreement".to_owned(),
    }
}

fn lines(term: &Term) -> String {
    let documents: Vec<String> = term.documents.iter().map(|d| format!("{}s", d.word().replace('-', " "))).collect();
    let mut text = format!("Lines of {} count", list(&documents));
    let selected = selection(&term.select);
    if !selected.is_empty() {
        text.push_str(&format!(" with {selected}"));
    }
    let except = selection(&term.except);
    if !except.is_empty() {
        text.push_str(&format!(", except those with {except}"));
    }
    if term.select.values(&Dimension::LineKind).is_none() {
        text.push_str("; only goods, with their part of document discounts");
    }
    text.push('.');
    text
}

/// `item A or B and brand X`.
fn selection(selection: &Selection) -> String {
    let name = |dimension: &Dimension| match dimension {
        Dimension::Item => "item".to_owned(),
        Dimension::Category => "category".to_owned(),
        Dimension::Brand => "brand".to_owned(),
        Dimension::Group => "item group".to_owned(),
        Dimension::LineKind => "kind".to_owned(),
        Dimension::ShipTo => "ship-to".to_owned(),
        Dimension::EndCustomer => "end customer".to_owned(),
        Dimension::Territory => "territory".to_owned(),
        Dimension::OrderType => "order type".to_owned(),
        Dimension::PaymentTerms => "payment terms".to_owned(),
        Dimension::Unit => "unit".to_owned(),
        Dimension::Authorization => "authorisation".to_owned(),
        Dimension::Attribute(attribute) => format!("attribute {attribute}"),
    };
    let one = |(dimension, values): &(Dimension, Vec<String>)| {
        if values.iter().any(|v| v == "*") {
            format!("any {}", name(dimension))
        } else {
            format!("{} {}", name(dimension), values.join(" or "))
        }
    };
    list(&selection.dimensions.iter().map(one).collect::<Vec<_>>())
}

fn payment(condition: PaymentCondition) -> String {
    match condition {
        PaymentCondition::Any => String::new(),
        PaymentCondition::Paid => " A document counts once it is fully paid, in its own period.".to_owned(),
        PaymentCondition::PaidInPeriod => " A document counts in the period in which it was fully paid.".to_owned(),
        PaymentCondition::PostedAndPaidInPeriod => " A document counts if it was fully paid in its own period.".to_owned(),
        PaymentCondition::AsReceived => " A document counts as its payments arrive.".to_owned(),
    }
}

fn growth(agreement: &AgreementVersion, term: &Term, growth: &Growth) -> String {
    let figure = measure(growth.measure, growth.unit.as_deref());
    let amount = |micros: Micros| figure_text(agreement, growth.measure, growth.unit.as_deref(), micros);
    let compared = match &growth.baseline {
        Baseline::PriorYear => "that of the same months one fiscal year earlier".to_owned(),
        Baseline::PriorPeriod => "that of the period just before".to_owned(),
        Baseline::Fixed(baseline) => amount(*baseline),
        Baseline::Table { file, .. } => format!("the baselines of the table {file}"),
    };
    let mut text = format!(" {} of {} is compared with {compared}.", capitalized(&figure), span(term, agreement));
    text.push_str(&units(growth.unit.as_deref(), growth.unit_match));
    if growth.uplift.0 != 0 {
        text.push_str(&format!(" The baseline is first raised by {}.", growth.uplift.to_percent()));
    }
    for rise in &growth.price_rises {
        text.push_str(&format!(
            " The price rise of {} on {} lifts every bound by its part of the period that is left.",
            rise.percent.to_percent(),
            rise.on
        ));
    }
    if growth.baseline.follows_documents() {
        text.push_str(&match growth.freeze {
            Freeze::Days(days) => {
                format!(" The baseline stands from {days} days after its period on; documents that come later do not move it.")
            }
            Freeze::Start => {
                " The baseline stands from the first day of the period on; documents that come later do not move it.".to_owned()
            }
            Freeze::On(day) => format!(" The baseline stands from {day} on; documents that come later do not move it."),
        });
    }
    text.push_str(match growth.new_partner {
        NewPartner::Exception => " Where there is no baseline above zero nothing is earned until both sides agree on one.",
        NewPartner::Skip => " Where there is no baseline above zero nothing is earned.",
        NewPartner::ZeroBaseline => " Where nothing was bought before, everything is growth.",
    });
    if agreement.qualifier_scope == QualifierScope::Agreement && growth.new_members == NewMembers::Exclude {
        text.push_str(" Partners without a baseline have no part in this term.");
    }
    text.push_str(match growth.of {
        GrowthOf::Percent => " The increase in percent of the baseline decides the tier; a decline reaches none.",
        GrowthOf::Amount => " The increase decides the tier; a decline reaches none.",
    });
    text.push_str(match growth.base {
        GrowthBase::All => " It is paid on everything of the period.",
        GrowthBase::Increase => " It is paid on the increase only.",
    });
    text
}

fn mix(agreement: &AgreementVersion, term: &Term, mix: &Mix) -> String {
    let mut text = format!(" It is looked at over {}.", span(term, agreement));
    let everything = |chosen: &Selection| {
        let text = selection(chosen);
        if text.is_empty() { "all lines that count".to_owned() } else { format!("lines with {text}") }
    };
    if let Some(share) = &mix.share {
        text.push_str(&format!(
            " The share of {} in {}, by {}, decides the tier.",
            everything(&share.of),
            everything(&share.within),
            measure(mix.measure, mix.unit.as_deref())
        ));
    }
    match mix.count {
        Some(MixCount::Items) => {
            text.push_str(" The number of different items that were bought and not returned decides the tier.")
        }
        Some(MixCount::Categories) => {
            text.push_str(" The number of different categories that were bought and not returned decides the tier.")
        }
        None => {}
    }
    for minimum in &mix.minimums {
        text.push_str(&format!(
            " At least {} of {} must have been bought.",
            figure_text(agreement, minimum.measure, minimum.unit.as_deref(), minimum.at_least),
            everything(&minimum.select)
        ));
    }
    text.push_str(&format!(
        " It is paid on {} of {}.",
        measure(mix.base.measure, mix.base.unit.as_deref()),
        everything(&mix.base.select)
    ));
    text
}

/// A figure with what it is told in.
pub fn figure_text(agreement: &AgreementVersion, measure: Measure, unit: Option<&str>, figure: Micros) -> String {
    match measure {
        Measure::NetAmount | Measure::GrossAmount | Measure::Margin => money(agreement, figure),
        Measure::Quantity => format!("{figure} {}", unit.unwrap_or_default()).trim_end().to_owned(),
        Measure::Weight => figure.to_string(),
        Measure::DocumentCount => format!("{figure} documents"),
    }
}

fn ladder(agreement: &AgreementVersion, term: &Term) -> String {
    let tiers = term.rule.tiers();
    if tiers.is_empty() {
        return String::new();
    }
    let mut text = String::from(" Tiers:");
    for (index, tier) in tiers.iter().enumerate() {
        let bound = match &term.rule {
            rule if rule.bounds_are_shares() => rule.bound_text(index).unwrap_or_default(),
            Rule::Mix(mix) if mix.count.is_some() => tier.from.to_string(),
            Rule::Mix(mix) => figure_text(agreement, mix.base.measure, mix.base.unit.as_deref(), tier.from),
            rule => figure_text(agreement, rule.measures().qualifier, rule.measures().unit, tier.from),
        };
        let back = if tier.back_to_first { ", on everything from the first unit on" } else { "" };
        text.push_str(&format!("\n  from {bound}: {}{back}", benefit_text(&tier.benefit, agreement.currency)));
    }
    text.push_str(match term.rule.method() {
        Method::Retrospective => "\nThe tier reached pays on everything of the period.",
        Method::Marginal => "\nEach tier pays on its own part only.",
    });
    if let Rule::Volume(volume) = &term.rule
        && volume.base != volume.qualifier
    {
        text.push_str(&format!(" It is paid on {}.", measure(volume.base, volume.unit.as_deref())));
    }
    text.push_str(&format!(" {}", bound_sentence(agreement.bound)));
    if term.prorate_bounds {
        text.push_str(" In a period that the agreement covers only in part, bounds shrink with its days.");
    }
    text
}

fn limits(agreement: &AgreementVersion, term: &Term) -> String {
    let mut text = String::new();
    let caps = &term.caps;
    let measures = term.rule.measures();
    if let Some(cap) = caps.base {
        text.push_str(&format!(" At most {} count in a period.", figure_text(agreement, measures.base, measures.base_unit, cap)));
    }
    if let Some(cap) = caps.benefit {
        text.push_str(&format!(" A period pays at most {}.", money(agreement, cap)));
    }
    if let Some(cap) = caps.per_partner {
        text.push_str(&format!(" The term pays each partner at most {} over the whole agreement.", money(agreement, cap)));
    }
    if let Some(floor) = caps.floor {
        text.push_str(&format!(" A period in which anything counts pays at least {}.", money(agreement, floor)));
    }
    text
}

fn others(term: &Term) -> String {
    let mut text = String::new();
    if !term.requires.is_empty() {
        text.push_str(&format!(" It is paid only if {} earned something in a period that overlaps.", list(&term.requires)));
    }
    if !term.after.is_empty() {
        text.push_str(&format!(" What {} pays on the same lines is taken off first.", list(&term.after)));
    }
    if let Some(set) = &term.one_of {
        text.push_str(&format!(" Of the terms of the set {set} only the one that earns most in the period is paid."));
    }
    text
}
