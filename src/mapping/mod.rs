//! What a record means: field tables, a closed set of transforms, lookups, rules, in-file tests.
//!
//! Every record and every row ends in exactly one [`Mapped`]: a draft, a named reason to skip it, or
//! its problems. Nothing is dropped silently and nothing is guessed.

//!
//! - `canonical`, `tables`: the canonical tables, their columns, strict reading of their files.
//! - `shape`, `compile`, `compile_field`: a mapping file, checked and compiled.
//! - `path`, `field`, `transform`, `expression`, `lookup`, `signs`, `value`: what a field can do.
//! - `apply`: a document through a mapping. `testcase`, `trial`: in-file tests and `mapping try`.

mod apply;
pub mod canonical;
mod compile;
mod compile_field;
mod expression;
mod field;
mod lookup;
mod path;
pub mod reference;
pub mod shape;
mod signs;
pub(crate) mod tables;
pub mod testcase;
mod transform;
pub mod trial;
pub(crate) mod value;

use crate::core::line::DraftLine;
use crate::core::master::{Draft, Table};
use crate::core::problem::{Place, Problem};
use crate::formats::Format;

pub use apply::Tally;
pub use compile::LookupSource;
pub use field::Context;
pub use lookup::LookupFile;
pub use shape::MAPPING as MAPPING_SHAPE;

/// A compiled mapping.
#[derive(Clone, Debug)]
pub struct Mapping {
    name: String,
    table: Table,
    format: compile::SourceFormat,
    typed_values: bool,
    /// The documents are canonical tables already.
    canonical: bool,
    rows: Option<path::RowsPath>,
    fields: Vec<field::FieldPlan>,
    rules: Vec<Rule>,
    line_rules: Option<signs::LineRules>,
    expressions: expression::Expressions,
    tests: Vec<testcase::TestCase>,
}

/// A compiled rule.
#[derive(Clone, Debug)]
struct Rule {
    when: Vec<(path::Path, Vec<String>)>,
    expression: Option<expression::Expression>,
    skip: Option<String>,
    set: Vec<(field::Target, String)>,
}

impl Mapping {
    /// File name it was compiled from.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The canonical table its rows belong to.
    pub fn table(&self) -> Table {
        self.table
    }
    /// The format of a document: what `[source]` says, else what the file's name ends in, else JSON.
    pub fn format_for(&self, file_name: &str) -> Format {
        self.format.format(None, file_name)
    }
}

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
    /// The line as it is written, where nothing but its sign is in doubt: a person may release it (case 04).
    pub as_written: Option<Box<DraftLine>>,
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
