//! What a record means: field tables, a closed set of transforms, lookups, rules, in-file tests.
//!
//! Every record and every row ends in exactly one [`Mapped`]: a draft, a named reason to skip it, or
//! its problems. Nothing is dropped silently and nothing is guessed.

pub mod canonical;
pub(crate) mod tables;
pub(crate) mod value;

use crate::core::master::Draft;
use crate::core::problem::{Place, Problem};

/// What became of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// A typed draft.
    Row(Draft),
    /// A rule left it out.
    Skipped {
        /// The rule's reason.
        reason: String,
        /// Where the row stands.
        place: Place,
    },
    /// It could not be read; blocking.
    Problem(Box<RowProblem>),
}

/// A row that could not be read: what is known of its document, and everything wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowProblem {
    /// What is known of the document.
    pub identity: Identity,
    /// Everything wrong with the row; never empty.
    pub problems: Vec<FieldProblem>,
}

/// One field of a row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// What is wrong and where.
    pub problem: Problem,
    /// Target field, when it belongs to one.
    pub field: Option<String>,
    /// The value as the source wrote it.
    pub raw: Option<String>,
}

/// What is known of the document of a row, as text of the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Document type.
    pub document_type: Option<String>,
    /// Document number.
    pub document_number: Option<String>,
    /// Line number.
    pub line_number: Option<String>,
    /// Document date as written.
    pub document_date: Option<String>,
    /// Partner code.
    pub partner: Option<String>,
}
