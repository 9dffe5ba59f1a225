//! Problems: bad data or bad configuration, as values.
//!
//! A problem is expected. It has a stable code, a place and a way to mend it; the same value is a
//! diagnostic on a terminal, a row of the exceptions list, JSON and a database row. Failures of the
//! machine (I/O, bugs) are errors of the layer where they happen and do not live here.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Where in the user's own material the problem is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File name, or the name of the archived document. Shared: a million lines of one file carry it.
    #[serde(serialize_with = "shared_text", deserialize_with = "text_to_share")]
    pub source: Arc<str>,
    /// 1-based line, where the source has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// 1-based column (characters).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Field or path inside the record: `terms[0].tiers[1].from`, `Betrag`, `lines[3].amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Place {
    /// A place that only names its source.
    pub fn source(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), ..Self::default() }
    }
    /// The same place with a line.
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }
    /// The same place with a column.
    pub fn at_column(mut self, column: u32) -> Self {
        self.column = Some(column);
        self
    }
    /// The same place with a path inside the record.
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }
}

fn shared_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn text_to_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    String::deserialize(deserializer).map(Arc::from)
}

impl fmt::Display for Place {
    /// `file:line:column (path)`, leaving out what is unknown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        if let Some(path) = &self.path {
            write!(f, " ({path})")?;
        }
        Ok(())
    }
}

/// One problem: a stable code, what is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable kebab-case code, documented in `docs/reference/problems.md`.
    pub code: String,
    /// What is wrong: a lowercase fragment without a full stop.
    pub message: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Problem {
    /// A problem without a place yet.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), place: None, help: None }
    }
    /// The same problem at a place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
    /// The same problem with a way to mend it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `place: message [code]; help`, one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.code)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Several problems found in one go; never empty when used as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }
    /// `Ok(value)` if nothing was found, else all that was found.
    pub fn into_result<T>(self, value: T) -> Result<T, Problems> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}
