//! Bytes to trees of text. A format knows nothing of meaning: numbers stay text so that no digit is lost.
//!
//! What a format refuses as a whole (encoding, header, truncation) is [`FormatError::Refused`]; what
//! is wrong with one record is a [`Problem`] for that record, and the others go on.

pub(crate) mod csv;
pub mod json;
mod text;
pub(crate) mod xlsx;

use crate::core::problem::{Place, Problem, Problems};
use std::io::Read;
use std::ops::ControlFlow;

/// A tree of text, as every format gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Absent value (JSON `null`, empty cell).
    Null,
    /// Text.
    Text(String),
    /// A number, digit for digit as written.
    Number(String),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Node>),
    /// Named values in source order.
    Map(Vec<(String, Node)>),
}

/// One record of a document with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The record.
    pub node: Node,
    /// Where it stands.
    pub place: Place,
}

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Between fields; one ASCII character.
    pub separator: u8,
    /// `utf-8` (default, strict) or the label of a single-byte encoding such as `windows-1252`.
    pub encoding: String,
    /// Whether the first line names the columns; without it they are named `1`, `2`, ...
    pub header: bool,
    /// Lines before the header that are not part of the table.
    pub skip_lines: u32,
    /// Whether the last row must end with a line end: without one it may have been cut off. What is
    /// delivered needs it; a text in a file of ours does not.
    pub line_end_required: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { separator: b',', encoding: "utf-8".to_owned(), header: true, skip_lines: 0, line_end_required: false }
    }
}

/// How to read bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Separated text.
    Csv(CsvOptions),
    /// A spreadsheet; the first sheet unless named.
    Xlsx {
        /// Sheet name.
        sheet: Option<String>,
    },
    /// A JSON document.
    Json {
        /// Path of the list of records (`value[]`, `result[]`); without it a list gives its
        /// elements and anything else is one record.
        records: Option<String>,
    },
    /// One JSON document per line.
    Ndjson,
}

impl Format {
    /// The format that a file name's ending tells, with default options.
    pub fn from_name(name: &str) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        match ending.as_str() {
            "csv" | "txt" => Some(Self::Csv(CsvOptions::default())),
            "xlsx" | "xlsm" => Some(Self::Xlsx { sheet: None }),
            "json" => Some(Self::Json { records: None }),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The document is refused as a whole: whatever was taken from it must not be kept.
    #[error("{0}")]
    Refused(Problems),
    /// The bytes could not be had.
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Problems> for FormatError {
    fn from(problems: Problems) -> Self {
        Self::Refused(problems)
    }
}

impl From<Problem> for FormatError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.into())
    }
}

/// Takes records as they come; `Break` stops the reading.
pub type RecordSink<'a> = dyn FnMut(Result<Record, Problem>) -> ControlFlow<()> + 'a;

/// Reads `input` record by record. A record that is wrong in itself is given as a [`Problem`].
///
/// # Errors
/// [`FormatError::Refused`] when the document is refused as a whole, even after records were given;
/// [`FormatError::Io`] when `input` fails.
pub fn read(format: &Format, input: &mut dyn Read, source: &str, sink: &mut RecordSink<'_>) -> Result<(), FormatError> {
    read_with_header(format, input, source, &mut |_, _| Ok(()), sink)
}

/// Looks at the column names of a table before its first row; an error refuses the whole file.
pub type HeaderCheck<'a> = dyn FnMut(&[String], &Place) -> Result<(), Problems> + 'a;

/// As [`read`], with a look at the column names first, where the format has any.
///
/// # Errors
/// As [`read`], and what `header` refuses.
pub fn read_with_header(
    format: &Format,
    input: &mut dyn Read,
    source: &str,
    header: &mut HeaderCheck<'_>,
    sink: &mut RecordSink<'_>,
) -> Result<(), FormatError> {
    match format {
        Format::Csv(options) => csv::read(options, input, source, header, sink),
        Format::Xlsx { sheet } => xlsx::read(sheet.as_deref(), input, source, header, sink),
        Format::Json { records } => json::read(records.as_deref(), input, source, sink),
        Format::Ndjson => json::read_lines(input, source, sink),
    }
}

/// Plain decimal text of a number that may carry an exponent (`1.5E+2` is `150`); a number that
/// cannot be written plainly stays as it is.
pub fn plain_number(text: &str) -> String {
    match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            exponent.parse().ok().and_then(|exponent| xlsx::expand(mantissa, exponent)).unwrap_or_else(|| text.to_owned())
        }
        None => text.to_owned(),
    }
}

/// Whether separated text can be read in an encoding.
pub fn is_encoding(label: &str) -> bool {
    text::TextEncoding::from_label(label).is_some()
}
