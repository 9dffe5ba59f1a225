//! The canonical tables (`import KIND FILE`): strict reading into drafts.
//!
//! UTF-8, header row, `.` decimals, ISO dates. Unknown columns are refused unless `attributes.*`.
//! Separated text has a path of its own: header positions are resolved once and no record tree is
//! built, because this is how a million lines come in. Which columns there are stands in `tables`.

use crate::config::shape::nearest;
use crate::core::line::DraftLine;
use crate::core::master::{Draft, Table};
use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{self, CsvOptions, Format, FormatError, Node, Record, csv};
use crate::mapping::signs::{LineRules, SIGN_CONFLICT, agrees_with_itself};
use crate::mapping::tables::{Row, with_row};
use crate::mapping::value::{Fault, check_code, no_nul};
use crate::mapping::{FieldProblem, Identity, RowProblem};
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

pub use crate::mapping::tables::{Column, columns, keeps_attributes};
pub use crate::mapping::value::Kind;

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
    with_row!(table, R => match format {
        Format::Csv(options) => read_csv::<R>(options, input, source, sink),
        _ => read_records::<R>(format, input, source, sink),
    })
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

/// Takes rows as they come.
type RowSink<'a> = dyn FnMut(Result<Draft, Box<RowProblem>>) -> ControlFlow<()> + 'a;

/// What a column of a file fills.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Column(usize),
    Attribute(String),
}

/// The target of a header name, or why there is none.
fn target<R: Row>(name: &str) -> Result<Target, Problem> {
    if let Some(index) = R::COLUMNS.iter().position(|column| column.name == name) {
        return Ok(Target::Column(index));
    }
    let attributes = keeps_attributes(R::TABLE);
    if let Some(attribute) = name.strip_prefix("attributes.").filter(|rest| attributes && !rest.is_empty()) {
        return Ok(Target::Attribute(attribute.to_owned()));
    }
    let problem = Problem::new("unknown-column", format!("the table `{}` has no column `{name}`", R::TABLE));
    Err(match nearest(name, R::COLUMNS.iter().map(|column| column.name)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if attributes => problem.help(format!("name it `attributes.{name}` to keep it")),
        None => problem.help("delete the column"),
    })
}

/// Columns that every file of the table needs and this one lacks.
fn missing_columns<R: Row>(names: &[String], place: &Place) -> Vec<Problem> {
    let has = |name: &str| names.iter().any(|known| known == name);
    let required = R::COLUMNS.iter().filter(|column| column.required && !has(column.name)).map(|column| column.name.to_owned());
    let one_of = R::HEADER.iter().filter(|names| !names.iter().any(|name| has(name))).map(|names| names.join("` or `"));
    required
        .chain(one_of)
        .map(|name| {
            Problem::new("missing-column", format!("the column `{name}` is missing"))
                .at(place.clone())
                .help("every file of this table needs it; nothing was taken")
        })
        .collect()
}

/// Fills one draft; keeps every fault with its column and raw text.
pub(crate) struct Filling<R: Row> {
    row: R,
    seen: u64,
    /// Columns that were there and held nothing.
    empty: u64,
    faults: Vec<FieldFault>,
}

impl<R: Row> Filling<R> {
    pub(crate) fn new(place: Place) -> Self {
        Self { row: R::blank(place), seen: 0, empty: 0, faults: Vec::new() }
    }
    /// Fills a column; blank text says that the source has nothing there.
    pub(crate) fn column(&mut self, index: usize, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            self.empty |= 1 << index;
            return;
        }
        let column = &R::COLUMNS[index];
        let filled = match column.kind {
            Kind::Code => no_nul(text).and_then(|()| check_code(text)).and_then(|()| R::SETTERS[index](&mut self.row, text)),
            Kind::Text | Kind::List => no_nul(text).and_then(|()| R::SETTERS[index](&mut self.row, text)),
            _ => R::SETTERS[index](&mut self.row, text),
        };
        self.seen |= 1 << index;
        if let Err(fault) = filled {
            self.fault(column.name, Some(text), fault);
        }
    }
    pub(crate) fn attribute(&mut self, name: &str, text: &str) {
        let text = text.trim();
        if let Err(fault) = no_nul(name).and_then(|()| no_nul(text)) {
            return self.fault(&format!("attributes.{name}"), Some(text), fault);
        }
        if let (false, Some(attributes)) = (text.is_empty(), self.row.attributes()) {
            attributes.insert(name.to_owned(), text.to_owned());
        }
    }
    pub(crate) fn fault(&mut self, field: &str, raw: Option<&str>, fault: Fault) {
        self.faults.push((field.to_owned(), raw.map(str::to_owned), fault));
    }
    /// The draft, or every fault of the row. A mapping's line rules set the signs first. Rules across columns are only tried on a row whose
    /// columns are all readable.
    pub(crate) fn finish(mut self, rules: Option<&LineRules>) -> Result<Draft, Refused> {
        for (index, column) in R::COLUMNS.iter().enumerate() {
            if column.required && self.seen & (1 << index) == 0 {
                let message = format!("there is no {}", column.name.replace('_', " "));
                self.faults.push((column.name.to_owned(), None, Fault::new("missing-value", message)));
            }
        }
        if let (true, Some(rules)) = (self.faults.is_empty(), rules)
            && let Err((field, fault)) = self.row.orient(rules)
        {
            self.faults.push((field.to_owned(), None, fault));
        }
        let only_signs = |faults: &[FieldFault]| faults.iter().all(|(_, _, fault)| fault.code == SIGN_CONFLICT);
        if only_signs(&self.faults) {
            let mut faults = Vec::new();
            self.row.check(self.seen, &mut faults);
            let told = !self.faults.is_empty();
            let new = faults.into_iter().filter(|(_, fault)| !(told && fault.code == SIGN_CONFLICT));
            self.faults.extend(new.map(|(field, fault)| (field.to_owned(), None, fault)));
        }
        let empty = self.empty & !self.seen;
        if R::EMPTY_TELLS && empty != 0 {
            let columns = R::COLUMNS.iter().enumerate().filter(|(index, _)| empty & (1 << index) != 0);
            self.row.told_empty(columns.map(|(_, column)| column.name.to_owned()).collect());
        }
        if self.faults.is_empty() {
            return Ok(self.row.draft());
        }
        let released = only_signs(&self.faults).then(|| self.row.draft());
        let as_written = match released {
            Some(Draft::Line(line)) if agrees_with_itself(&line) => Some(line),
            _ => None,
        };
        Err(Refused { faults: self.faults, as_written })
    }
}

/// A fault of a column, with the column's name and raw text.
type FieldFault = (String, Option<String>, Fault);

/// Why a row is no draft.
pub(crate) struct Refused {
    pub(crate) faults: Vec<FieldFault>,
    /// See [`RowProblem::as_written`].
    pub(crate) as_written: Option<Box<DraftLine>>,
}

/// A fault as the problem of a field.
pub(crate) fn field_problem(place: &Place, path: &str, field: &str, raw: Option<String>, fault: Fault) -> FieldProblem {
    let mut problem = Problem::new(fault.code, fault.message).at(place.clone().at_path(path));
    problem.help = fault.help;
    FieldProblem { problem, field: Some(field.to_owned()), raw }
}

/// A problem of a whole record as the problem of a row.
pub(crate) fn record_problem(problem: Problem) -> Box<RowProblem> {
    let problems = vec![FieldProblem { problem, field: None, raw: None }];
    Box::new(RowProblem { problems, ..RowProblem::default() })
}

/// Tells which document a refused row belongs to, from the texts of its columns.
fn identity(get: &mut dyn FnMut(&str) -> Option<String>) -> Identity {
    let mut get = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    Identity {
        document_type: get("document_type"),
        document_number: get("document_number"),
        line_number: get("line_number"),
        document_date: get("document_date"),
        partner: get("partner"),
    }
}

fn finish<R: Row>(
    filling: Filling<R>,
    place: &Place,
    get: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Draft, Box<RowProblem>> {
    filling.finish(None).map_err(|refused| {
        let problems =
            refused.faults.into_iter().map(|(field, raw, fault)| field_problem(place, &field, &field, raw, fault)).collect();
        Box::new(RowProblem { identity: identity(get), problems, as_written: refused.as_written })
    })
}

fn read_csv<R: Row>(
    options: &CsvOptions,
    input: &mut dyn Read,
    source: &str,
    sink: &mut RowSink<'_>,
) -> Result<Count, FormatError> {
    let source: Arc<str> = source.into();
    let mut targets: Option<Vec<Target>> = None;
    let mut count = Count::default();
    let refuse = |count: &mut Count, problem: Problem, sink: &mut RowSink<'_>| {
        count.rows += 1;
        count.refused += 1;
        Ok(sink(Err(record_problem(problem))))
    };
    csv::scan(options, input, &source, &mut |row| {
        let row = match row {
            Ok(row) => row,
            Err(problem) => return refuse(&mut count, problem, sink),
        };
        let place = Place::source(Arc::clone(&source)).at_line(row.line);
        let Some(targets) = &targets else {
            let names = csv::column_names(row.fields(), &place)?;
            let (found, mut problems) = header::<R>(&names, &place);
            if let (true, Some(hint)) = (names.len() == 1, other_separator(&names, options.separator)) {
                problems = vec![
                    Problem::new("missing-column", "the header is one single column")
                        .at(place)
                        .help(format!("the separator seems to be `{hint}`, `{}` is expected", char::from(options.separator))),
                ];
            }
            if !problems.is_empty() {
                return Err(FormatError::Refused(Problems(problems)));
            }
            targets = Some(found);
            return Ok(ControlFlow::Continue(()));
        };
        if let Some(problem) = csv::ragged(&row, targets.len(), &source) {
            return refuse(&mut count, problem, sink);
        }
        let mut filling = Filling::<R>::new(place);
        for (target, text) in targets.iter().zip(row.fields()) {
            match target {
                Target::Column(index) => filling.column(*index, text),
                Target::Attribute(name) => filling.attribute(name, text),
            }
        }
        // The place is only built again for a row that is refused.
        let place = Place::source(Arc::clone(&source)).at_line(row.line);
        let mut get = |name: &str| {
            let index = R::COLUMNS.iter().position(|column| column.name == name)?;
            let at = targets.iter().position(|target| *target == Target::Column(index))?;
            Some(row.get(at).to_owned())
        };
        let row = finish(filling, &place, &mut get);
        count.rows += 1;
        match &row {
            Ok(_) => count.drafts += 1,
            Err(_) => count.refused += 1,
        }
        Ok(sink(row))
    })?;
    if targets.is_none() {
        return Err(Problem::new("no-header", "the file has no header row").at(Place::source(source)).into());
    }
    Ok(count)
}

fn header<R: Row>(names: &[String], place: &Place) -> (Vec<Target>, Vec<Problem>) {
    let mut targets = Vec::new();
    let mut problems = missing_columns::<R>(names, place);
    for name in names {
        match target::<R>(name) {
            Ok(found) => targets.push(found),
            Err(problem) => problems.push(problem.at(place.clone().at_path(name.as_str()))),
        }
    }
    (targets, problems)
}

/// A separator that the only header cell seems to hold.
fn other_separator(names: &[String], separator: u8) -> Option<char> {
    let header = names.first()?;
    [',', ';', '\t', '|'].into_iter().filter(|c| *c != char::from(separator)).find(|c| header.matches(*c).count() >= 2)
}

fn read_records<R: Row>(
    format: &Format,
    input: &mut dyn Read,
    source: &str,
    sink: &mut RowSink<'_>,
) -> Result<Count, FormatError> {
    let sheet = matches!(format, Format::Xlsx { .. });
    let mut count = Count::default();
    let mut whole: Option<Vec<Problem>> = None;
    formats::read(format, input, source, &mut |record| {
        let record = match record {
            Ok(record) => record,
            Err(problem) => {
                count.rows += 1;
                count.refused += 1;
                return sink(Err(record_problem(problem)));
            }
        };
        let names = match &record.node {
            Node::Map(entries) if sheet && whole.is_none() => entries.iter().map(|(name, _)| name.clone()).collect(),
            _ => Vec::new(),
        };
        if !names.is_empty() {
            // Every row of a sheet names every column, so that its first row shows the header.
            let header_place = Place::source(Arc::clone(&record.place.source));
            let problems = header::<R>(&names, &header_place).1;
            let refused = !problems.is_empty();
            whole = Some(problems);
            if refused {
                return ControlFlow::Break(());
            }
        }
        let row = read_record::<R>(&record);
        count.rows += 1;
        match &row {
            Ok(_) => count.drafts += 1,
            Err(_) => count.refused += 1,
        }
        sink(row)
    })?;
    match whole {
        Some(problems) if !problems.is_empty() => Err(FormatError::Refused(Problems(problems))),
        _ => Ok(count),
    }
}

/// One record whose fields are canonical columns.
pub(crate) fn read_record<R: Row>(record: &Record) -> Result<Draft, Box<RowProblem>> {
    let Node::Map(entries) = &record.node else {
        let problem = Problem::new("bad-record", "the record is not an object").at(record.place.clone());
        return Err(record_problem(problem));
    };
    let mut filling = Filling::<R>::new(record.place.clone());
    for (name, node) in entries {
        fill_entry(&mut filling, name, node);
    }
    let mut get = |name: &str| entries.iter().find(|(key, _)| key == name).and_then(|(_, node)| scalar_text(node).ok().flatten());
    finish(filling, &record.place, &mut get)
}

fn fill_entry<R: Row>(filling: &mut Filling<R>, name: &str, node: &Node) {
    if let ("attributes", Node::Map(attributes)) = (name, node) {
        for (attribute, node) in attributes {
            match scalar_text(node) {
                Ok(text) => filling.attribute(attribute, text.as_deref().unwrap_or_default()),
                Err(fault) => filling.fault(&format!("attributes.{attribute}"), None, fault),
            }
        }
        return;
    }
    let target = match target::<R>(name) {
        Ok(target) => target,
        Err(problem) => {
            let mut fault = Fault::new("unknown-column", problem.message);
            fault.help = problem.help;
            return filling.fault(name, None, fault);
        }
    };
    let text = match (&target, node) {
        (Target::Column(index), Node::List(items)) if R::COLUMNS[*index].kind == Kind::List => items
            .iter()
            .map(scalar_text)
            .collect::<Result<Vec<_>, _>>()
            .map(|texts| Some(texts.into_iter().flatten().collect::<Vec<_>>().join(";"))),
        (Target::Column(index), Node::Number(text)) if matches!(R::COLUMNS[*index].kind, Kind::Amount | Kind::Factor) => {
            Ok(Some(formats::plain_number(text)))
        }
        _ => scalar_text(node),
    };
    match (target, text) {
        (Target::Column(index), Ok(text)) => filling.column(index, text.as_deref().unwrap_or_default()),
        (Target::Attribute(attribute), Ok(text)) => filling.attribute(&attribute, text.as_deref().unwrap_or_default()),
        (_, Err(fault)) => filling.fault(name, None, fault),
    }
}

/// The text of a single value.
pub(crate) fn scalar_text(node: &Node) -> Result<Option<String>, Fault> {
    match node {
        Node::Null => Ok(None),
        Node::Text(text) | Node::Number(text) => Ok(Some(text.clone())),
        Node::Bool(value) => Ok(Some(value.to_string())),
        Node::List(_) => Err(Fault::new("bad-value", "a list stands where a single value is expected")),
        Node::Map(_) => Err(Fault::new("bad-value", "an object stands where a single value is expected")),
    }
}
