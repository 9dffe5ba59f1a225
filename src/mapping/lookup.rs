//! Lookup tables: `mappings/lookups/NAME.csv` with the columns `from` and `to`.

use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{CsvOptions, Format, FormatError, Node, read};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// A lookup's file: its name for problems, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupFile {
    /// File name.
    pub name: String,
    /// CSV text.
    pub text: String,
}

/// A compiled lookup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup(HashMap<String, String>);

impl Lookup {
    /// Compiles a lookup file.
    ///
    /// # Errors
    /// Every row that is not one pair, and every `from` that stands twice.
    pub(crate) fn compile(file: &LookupFile) -> Result<Self, Problems> {
        let mut pairs = HashMap::new();
        let mut problems = Problems::default();
        let result = read(&Format::Csv(CsvOptions::default()), &mut file.text.as_bytes(), &file.name, &mut |record| {
            let record = match record {
                Ok(record) => record,
                Err(problem) => {
                    problems.push(problem);
                    return ControlFlow::Continue(());
                }
            };
            let cell = |name: &str| match &record.node {
                Node::Map(entries) => entries.iter().find(|(key, _)| key == name).and_then(|(_, node)| match node {
                    Node::Text(text) => Some(text.trim().to_owned()),
                    _ => None,
                }),
                _ => None,
            };
            match (cell("from"), cell("to")) {
                (Some(from), Some(to)) => {
                    if pairs.insert(from.clone(), to).is_some() {
                        problems.push(
                            Problem::new("duplicate-lookup", format!("`{from}` stands twice")).at(record.place).help("keep one"),
                        );
                    }
                    ControlFlow::Continue(())
                }
                _ => {
                    problems.push(
                        Problem::new("bad-lookup", "a lookup has the columns `from` and `to`")
                            .at(Place::source(file.name.as_str())),
                    );
                    ControlFlow::Break(())
                }
            }
        });
        match result {
            Ok(()) => {}
            Err(FormatError::Refused(refused)) => problems.0.extend(refused.0),
            Err(FormatError::Io(error)) => problems.push(Problem::new("bad-lookup", error.to_string())),
        }
        problems.into_result(Self(pairs))
    }
    /// The text that stands for another.
    pub(crate) fn get(&self, from: &str) -> Option<&str> {
        self.0.get(from).map(String::as_str)
    }
}
