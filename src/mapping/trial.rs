//! `mapping try MAPPING SAMPLE`: what a mapping makes of a document, field by field.

use crate::core::problem::{Place, Problem};
use crate::formats::{Format, FormatError};
use crate::mapping::field::Context;
use crate::mapping::testcase::draft_texts;
use crate::mapping::{Mapped, Mapping};
use serde::Serialize;
use std::io::Read;
use std::ops::ControlFlow;

/// One row of the sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedRow {
    /// Where the row stands.
    pub place: Place,
    /// `draft`, `skipped` or `problem`.
    pub outcome: &'static str,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every field of the mapping.
    pub fields: Vec<TriedField>,
    /// Problems that belong to no field of the mapping.
    pub problems: Vec<Problem>,
}

/// One field of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedField {
    /// Target column.
    pub field: String,
    /// Where it comes from in the record.
    pub path: String,
    /// As the source writes it.
    pub raw: Option<String>,
    /// What it became; signs are already those of the document.
    pub value: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Maps at most `limit` rows of a sample.
///
/// # Errors
/// As [`Mapping::read`].
pub fn run(
    mapping: &Mapping,
    format: &Format,
    input: &mut dyn Read,
    source: &str,
    context: &Context,
    limit: usize,
) -> Result<Vec<TriedRow>, FormatError> {
    let mut rows = Vec::new();
    mapping.read_traced(format, input, source, context, true, &mut |mapped, trace| {
        let mut fields: Vec<TriedField> = trace
            .into_iter()
            .map(|trace| TriedField {
                field: trace.field,
                path: trace.taken.path,
                raw: trace.taken.raw,
                value: trace.taken.value.ok().flatten(),
                problem: None,
            })
            .collect();
        let (place, outcome, reason, mut problems) = match mapped {
            Mapped::Row(draft) => {
                let texts = draft_texts(&draft);
                if fields.is_empty() {
                    // A canonical table: columns keep their names.
                    let same = |(name, text): &(String, String)| TriedField {
                        field: name.clone(),
                        path: name.clone(),
                        raw: Some(text.clone()),
                        value: Some(text.clone()),
                        problem: None,
                    };
                    fields = texts.iter().map(same).collect();
                }
                for field in &mut fields {
                    if let Some((_, text)) = texts.iter().find(|(name, _)| *name == field.field) {
                        field.value = Some(text.clone());
                    }
                }
                (draft.place().clone(), "draft", None, Vec::new())
            }
            Mapped::Skipped { reason, place } => (place, "skipped", Some(reason), Vec::new()),
            Mapped::Problem(row) => {
                let place = row.problems.first().and_then(|problem| problem.problem.place.clone()).unwrap_or_default();
                (place, "problem", None, row.problems)
            }
        };
        for field in &mut fields {
            if let Some(at) = problems.iter().position(|problem| problem.field.as_deref() == Some(field.field.as_str())) {
                field.problem = Some(problems.remove(at).problem);
            }
        }
        let problems = problems.into_iter().map(|problem| problem.problem).collect();
        rows.push(TriedRow { place, outcome, reason, fields, problems });
        if rows.len() >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(rows)
}
