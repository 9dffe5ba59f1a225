//! A worked example of a term, computed by the engine.

use super::money;
use super::term::{figure_text, measure};
use crate::core::accrual::{Entry, evaluate};
use crate::core::agreement::{AgreementVersion, Baseline, GrowthOf, Measure, Rule, Term};
use crate::core::matching::{BASE, QUALIFIER, Sums, WHOLE, accumulation_period, facet, term_calendar, whole_validity};
use crate::core::number::{Exact, Micros};
use crate::core::period::FiscalCalendar;
use crate::core::statement_recipe::{Reckoning, recipe};

/// Ten thousand of anything.
const SOME: Micros = Micros(10_000 * Micros::ONE.0);

/// The example, or nothing where a term has no figure that could be made up.
pub fn read(versions: &[AgreementVersion], agreement: &AgreementVersion, term: &Term, calendar: &FiscalCalendar) -> String {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    let Some(validity) = whole_validity(&references) else { return String::new() };
    let day = agreement.valid_from.max(validity.from);
    let Some(period) = accumulation_period(&term_calendar(agreement, calendar), term.accumulate, day, validity, &[]) else {
        return String::new();
    };
    let Some((slots, mut story, baseline)) = figures(agreement, term) else { return String::new() };
    let documents = i64::from(matches!(term.rule.measures().qualifier, Measure::DocumentCount)) * 9 + 1;
    let entry = Entry {
        partner_id: 1,
        facet: facet::MAIN,
        bucket: day,
        version: agreement.version,
        sums: Sums { slots, lines: documents, documents },
    };
    let mut entries = vec![entry];
    if let Some(baseline) = baseline {
        let mut slots = [Exact::ZERO; 4];
        slots[QUALIFIER] = baseline.exact();
        entries.push(Entry { facet: facet::STANDING_BASELINE, sums: Sums { slots, lines: 0, documents: 0 }, ..entry });
    }
    let Ok(evaluation) = evaluate(versions, &term.id, period, &entries, calendar) else { return String::new() };
    story.push_str(&format!(" earn {}", money(agreement, evaluation.earned)));
    let reckoning = Reckoning {
        evaluation: &evaluation,
        partner_id: entry.partner_id,
        together: false,
        base_measure: term.rule.measures().base,
        lowered: &[],
        earned: evaluation.earned,
    };
    let steps: Vec<String> = recipe(&reckoning).iter().map(|s| format!("\n  {}", s.text(agreement.currency))).collect();
    format!("\nFor example, {story}:{}", steps.concat())
}

/// A bound a little above the second tier, or the first, or some amount.
fn wanted(term: &Term) -> Micros {
    let tiers = term.rule.tiers();
    let bound = tiers.get(1).or(tiers.first()).map_or(Micros::ZERO, |t| t.from);
    if bound.is_zero() { SOME } else { Micros(bound.0.saturating_add(bound.0 / 5)) }
}

type Made = ([Exact; 4], String, Option<Micros>);

fn figures(agreement: &AgreementVersion, term: &Term) -> Option<Made> {
    let mut slots = [Exact::ZERO; 4];
    let measures = term.rule.measures();
    let told = |m: Measure, unit: Option<&str>, figure: Micros| figure_text(agreement, m, unit, figure);
    Some(match &term.rule {
        Rule::Volume(volume) => {
            let qualifier = wanted(term);
            let base = if volume.base == volume.qualifier { qualifier } else { SOME };
            (slots[QUALIFIER], slots[BASE]) = (qualifier.exact(), base.exact());
            let mut story = match volume.qualifier {
                Measure::DocumentCount => "10 documents in a period".to_owned(),
                _ => format!("purchases of {} in a period", told(volume.qualifier, measures.unit, qualifier)),
            };
            if volume.base != volume.qualifier {
                story.push_str(&format!(
                    ", with {} of {}",
                    told(volume.base, measures.base_unit, base),
                    measure(volume.base, None)
                ));
            }
            (slots, story, None)
        }
        Rule::Growth(growth) => {
            let baseline = match growth.baseline {
                Baseline::Fixed(amount) => amount,
                _ => SOME,
            };
            let increase = match growth.of {
                GrowthOf::Percent => {
                    let share = wanted(term).0.min(10 * Micros::ONE.0);
                    Exact(baseline.exact().0 / i128::from(Micros::ONE.0) * i128::from(share)).to_micros()
                }
                GrowthOf::Amount => wanted(term),
            };
            let current = Micros(baseline.0.saturating_add(increase.0));
            (slots[QUALIFIER], slots[BASE]) = (current.exact(), current.exact());
            let story = format!(
                "purchases of {} after {}",
                told(growth.measure, measures.unit, current),
                told(growth.measure, measures.unit, baseline)
            );
            (slots, story, Some(baseline).filter(|_| !matches!(growth.baseline, Baseline::Fixed(_))))
        }
        Rule::Mix(mix) if mix.share.is_some() && mix.minimums.is_empty() => {
            let share = wanted(term).0.min(Micros::ONE.0);
            let part = Exact(SOME.exact().0 / i128::from(Micros::ONE.0) * i128::from(share)).to_micros();
            (slots[QUALIFIER], slots[BASE], slots[WHOLE]) = (part.exact(), part.exact(), SOME.exact());
            let story = format!(
                "purchases of {} in a whole of {}",
                told(mix.measure, measures.unit, part),
                told(mix.measure, measures.unit, SOME)
            );
            (slots, story, None)
        }
        _ => return None,
    })
}
