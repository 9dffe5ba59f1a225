//! Where a value of the configuration was written: a file's text with its lines, a variable, a flag.
//!
//! Not here: what the values mean. Invariant: lines and columns are 1-based and count characters,
//! as editors do.

use crate::core::problem::Place;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What kind of thing a value came from; the order is the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The embedded defaults.
    Default,
    /// A file of the workspace, or of the shipped library.
    File,
    /// A `REBATED_*` variable.
    Variable,
    /// A flag of the command line.
    Flag,
}

/// A text that values were read from.
#[derive(PartialEq, Eq)]
pub struct Source {
    /// Name shown to people: `agreements/acme.toml`, `REBATED_STORE_URL`, `--store`.
    pub name: Arc<str>,
    /// What it is.
    pub layer: Layer,
    text: String,
    line_starts: Vec<usize>,
}

impl fmt::Debug for Source {
    /// The text may hold secrets of a person who should not have written them: only its name is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

impl Source {
    /// A file.
    pub fn file(name: &str, text: &str) -> Arc<Self> {
        Self::new(name, text, Layer::File)
    }
    /// Any layer.
    pub fn new(name: &str, text: &str, layer: Layer) -> Arc<Self> {
        let line_starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1)).collect();
        Arc::new(Self { name: Arc::from(name), layer, text: text.to_owned(), line_starts })
    }
    /// The text as written.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The text of a span; empty when the span does not lie in the text.
    pub fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or("")
    }
    /// Line and column of a byte offset, both from 1, columns in characters.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1) - 1;
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let end = offset.min(self.text.len());
        let column = self.text.get(start..end).map_or(0, |before| before.trim_start_matches('\u{feff}').chars().count());
        (u32::try_from(line + 1).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
    }
    /// The place of a byte offset. Variables and flags have no lines.
    pub fn place(&self, offset: usize) -> Place {
        let place = Place::source(self.name.clone());
        if self.layer >= Layer::Variable {
            return place;
        }
        let (line, column) = self.line_column(offset);
        place.at_line(line).at_column(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let source = Source::file("a.toml", "name = \"Müller\"\nnext = 1\r\nlast = 2");
        let at = |needle: &str| source.text().find(needle).map(|o| source.line_column(o));
        assert_eq!(at("name"), Some((1, 1)));
        assert_eq!(source.line_column("name = \"Müller".len()), (1, 15));
        assert_eq!(at("next"), Some((2, 1)));
        assert_eq!(at("2"), Some((3, 8)));
        assert_eq!(source.line_column(source.text().len()), (3, 9));
    }
}
