//! Why a line counts or does not, for people.

use super::compiled::{CompiledTerm, Version};
use super::measure::{Discount, Refusal};
use super::sums::{Cell, Contribution, facet};
use super::{Counted, Document, Matcher, Placed, document_refusal};
use crate::core::line::Line;
use std::sync::Arc;

/// Why a line counts or not for one term of one agreement that could touch it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Agreement id.
    pub agreement: Arc<str>,
    /// Version that rules the line's day; `None` when none does.
    pub version: Option<u32>,
    /// Term id.
    pub term: Arc<str>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a line for a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Counted {
        /// What it adds.
        contribution: Contribution,
        /// By which rule, a lowercase fragment.
        rule: String,
    },
    /// It does not.
    Not {
        /// Stable code.
        code: &'static str,
        /// Why, a lowercase fragment.
        reason: String,
    },
}

impl Matcher {
    /// For every term of every agreement that could touch the line: why it counts or not.
    pub fn explain_line(&self, line: &Line, document: &Document<'_>) -> Vec<Verdict> {
        let refused = document_refusal(document);
        let discount = Discount::of(document.lines);
        let mut contributions = Vec::new();
        if refused.is_none() {
            contributions = self.contributions(document);
            contributions.extend(self.undecided(document));
        }
        let mut verdicts = Vec::new();
        for participation in &self.plan(line.partner_id).agreements {
            let agreement = &self.agreements[participation.agreement as usize];
            let placed = self.place(agreement, participation, line);
            for (index, id) in (0u32..).zip(&agreement.terms) {
                let version = placed.as_ref().ok().map(|p| &agreement.versions[p.version]);
                let judged = match (&refused, &placed, version) {
                    (Some((code, reason)), _, _) => Err((*code, reason.clone())),
                    (None, Ok(placed), Some(version)) => {
                        let term = version.terms.iter().find(|t| t.index == index).ok_or(Refusal::TermNotInVersion);
                        let judged = term.and_then(|term| {
                            let counted = self.judge(agreement, version, placed, term, line, discount.as_ref())?;
                            let rule = rule_text(version, term, placed, line, &counted);
                            Ok((counted.cell(participation.agreement, placed, version, term), rule))
                        });
                        judged.map_err(|refusal| (refusal.code(), refusal.reason(line, id)))
                    }
                    (None, Err(refusal), _) => Err((refusal.code(), refusal.reason(line, id))),
                    (None, Ok(_), None) => Err(("not-valid", "no version rules that day".to_owned())),
                };
                let given = |cell: Cell| {
                    contributions.iter().find(|(id, c)| *id == line.id && c.key == cell.key && c.facet == cell.facet)
                };
                let outcome = match judged {
                    Ok((cell, rule)) => given(cell).map(|(_, c)| Outcome::Counted { contribution: c.clone(), rule }),
                    Err((code, reason)) => {
                        // What lies before the agreement may be what its growth is compared with.
                        let baseline = contributions.iter().find(|(id, c)| {
                            *id == line.id
                                && (c.key.agreement, c.key.term, c.facet) == (participation.agreement, index, facet::BASELINE)
                        });
                        Some(match baseline {
                            Some((_, c)) => {
                                let rule = format!("version {}: in the baseline of {}", c.version, c.key.period);
                                Outcome::Counted { contribution: c.clone(), rule }
                            }
                            None => Outcome::Not { code, reason },
                        })
                    }
                };
                let Some(outcome) = outcome else { continue };
                verdicts.push(Verdict {
                    agreement: agreement.id.clone(),
                    version: version.map(|v| v.source.version),
                    term: id.clone(),
                    outcome,
                });
            }
        }
        verdicts
    }
}

fn rule_text(version: &Version, term: &CompiledTerm, placed: &Placed, line: &Line, counted: &Counted) -> String {
    let selected = if term.has_selection() { "selected" } else { "any" };
    let mut text = format!(
        "version {}: {selected} {} on {} of {}, counted in {}",
        version.source.version, line.line_kind, line.document_type, line.document_date, counted.period
    );
    if placed.day != line.document_date {
        text.push_str(&format!(" by the day {}", placed.day));
    }
    text
}
