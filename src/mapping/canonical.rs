//! The canonical tables (`import KIND FILE`): their columns and strict reading into drafts.
//!
//! UTF-8, header row, `.` decimals, ISO dates. Unknown columns are refused unless `attributes.*`.

use crate::core::master::{Draft, Table};
use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{Format, FormatError};
use crate::mapping::RowProblem;
use std::io::Read;
use std::ops::ControlFlow;

/// Rows read from a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Rows of the table.
    pub rows: u64,
    /// Rows that became drafts.
    pub drafts: u64,
    /// Rows with problems.
    pub refused: u64,
}

/// Reads a table row by row: each row is a draft or its problems. Memory stays flat for CSV and NDJSON.
///
/// # Errors
/// [`FormatError`] when the table is refused as a whole (encoding, header, truncation): the caller
/// must then drop what it took.
pub fn read_rows(
    table: Table,
    format: &Format,
    input: &mut dyn Read,
    source: &str,
    sink: &mut dyn FnMut(Result<Draft, Box<RowProblem>>) -> ControlFlow<()>,
) -> Result<Count, FormatError> {
    let _ = (table, format, input, sink);
    Err(Problem::new("not-yet-supported", "this table is not read yet").at(Place::source(source)).into())
}

/// Most problems that [`read_table`] collects before it gives up.
pub const MOST_PROBLEMS: usize = 1000;

/// Reads a table all or nothing: every problem (up to [`MOST_PROBLEMS`]) or the count of its rows.
/// Drafts are given as they are read, in file order, until the first problem; on an error the
/// caller drops what it took.
///
/// # Errors
/// [`FormatError::Refused`] with all problems; [`FormatError::Io`] when `input` fails.
pub fn read_table(
    table: Table,
    format: &Format,
    input: &mut dyn Read,
    source: &str,
    sink: &mut dyn FnMut(Draft) -> ControlFlow<()>,
) -> Result<Count, FormatError> {
    let mut problems = Problems::default();
    let count = read_rows(table, format, input, source, &mut |row| match row {
        Ok(draft) if problems.0.is_empty() => sink(draft),
        Ok(_) => ControlFlow::Continue(()),
        Err(row) => {
            problems.0.extend(row.problems.into_iter().map(|p| p.problem));
            if problems.0.len() >= MOST_PROBLEMS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    });
    match count {
        Err(FormatError::Refused(whole)) => {
            problems.0.extend(whole.0);
            Err(FormatError::Refused(problems))
        }
        Ok(_) if !problems.0.is_empty() => Err(FormatError::Refused(problems)),
        other => other,
    }
}
