//! A document through a mapping: every record and every row ends in exactly one [`Mapped`].

use crate::core::master::Draft;
use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{self, Format, FormatError, Node, Record};
use crate::mapping::canonical::{Filling, field_problem, read_record, read_rows, record_problem};
use crate::mapping::field::{Context, FieldPlan, Origin, Piece, Taken, Target, path_text};
use crate::mapping::path::{Levels, NoRows, Path};
use crate::mapping::tables::{Row, with_row};
use crate::mapping::value::Fault;
use crate::mapping::{Identity, Mapped, Mapping, RowProblem, Rule};
use std::io::Read;
use std::ops::ControlFlow;

/// What a document gave. Every row is in exactly one of `drafts`, `skipped`, `refused`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records of the document.
    pub records: u64,
    /// Rows that became drafts.
    pub drafts: u64,
    /// Rows and empty records left out for a named reason.
    pub skipped: u64,
    /// Rows and records with problems.
    pub refused: u64,
}

/// What one field of a row gave, for `mapping try`.
pub(crate) struct Trace {
    pub(crate) field: String,
    pub(crate) taken: Taken,
}

/// Takes rows with their traces; the trace is empty unless asked for.
type TracedSink<'a> = dyn FnMut(Mapped, Vec<Trace>) -> ControlFlow<()> + 'a;

impl Mapping {
    /// Reads a document and maps every record, in source order.
    ///
    /// # Errors
    /// [`FormatError::Refused`] when the document is refused as a whole (encoding, a column that is
    /// missing or stands twice, truncation): drop what was taken from it.
    pub fn read(
        &self,
        format: &Format,
        input: &mut dyn Read,
        source: &str,
        context: &Context,
        sink: &mut dyn FnMut(Mapped) -> ControlFlow<()>,
    ) -> Result<Tally, FormatError> {
        self.read_traced(format, input, source, context, false, &mut |mapped, _| sink(mapped))
    }

    pub(crate) fn read_traced(
        &self,
        format: &Format,
        input: &mut dyn Read,
        source: &str,
        context: &Context,
        traced: bool,
        sink: &mut TracedSink<'_>,
    ) -> Result<Tally, FormatError> {
        if self.canonical {
            return self.read_canonical(format, input, source, sink);
        }
        let mut tally = Tally::default();
        let mut header = |names: &[String], place: &Place| self.check_header(names, place);
        formats::read_with_header(format, input, source, &mut header, &mut |record| {
            tally.records += 1;
            let mut counted = |mapped: Mapped, trace: Vec<Trace>| {
                match &mapped {
                    Mapped::Row(_) => tally.drafts += 1,
                    Mapped::Skipped { .. } => tally.skipped += 1,
                    Mapped::Problem(_) => tally.refused += 1,
                }
                sink(mapped, trace)
            };
            match record {
                Ok(record) => self.record(record, context, traced, &mut counted),
                Err(problem) => counted(Mapped::Problem(record_problem(problem)), Vec::new()),
            }
        })?;
        Ok(tally)
    }

    fn read_canonical(
        &self,
        format: &Format,
        input: &mut dyn Read,
        source: &str,
        sink: &mut TracedSink<'_>,
    ) -> Result<Tally, FormatError> {
        let count = read_rows(self.table, format, input, source, &mut |row| sink(mapped(row), Vec::new()))?;
        Ok(Tally { records: count.rows, drafts: count.drafts, skipped: 0, refused: count.refused })
    }

    /// Maps one record.
    pub fn apply(&self, record: Record, context: &Context, sink: &mut dyn FnMut(Mapped) -> ControlFlow<()>) -> ControlFlow<()> {
        self.record(record, context, false, &mut |mapped, _| sink(mapped))
    }

    fn record(&self, record: Record, context: &Context, traced: bool, sink: &mut TracedSink<'_>) -> ControlFlow<()> {
        if self.canonical {
            let row = with_row!(self.table, R => read_record::<R>(&record));
            return sink(mapped(row), Vec::new());
        }
        let Record { mut node, place } = record;
        if self.typed_values {
            unwrap_typed(&mut node);
        }
        if !matches!(node, Node::Map(_)) {
            let problem = Problem::new("bad-record", "the record is not an object").at(place);
            return sink(Mapped::Problem(record_problem(problem)), Vec::new());
        }
        let levels = Levels::record(&node);
        let rows = match &self.rows {
            None => vec![levels],
            Some(path) => match levels.rows(path) {
                Ok(rows) => rows,
                Err(NoRows::Empty) => {
                    return sink(Mapped::Skipped { reason: format!("no rows at `{}`", path.text()), place }, Vec::new());
                }
                Err(NoRows::NotAList(at)) => {
                    let problem = Problem::new("bad-record", format!("`{at}` is not a list")).at(place.at_path(at));
                    return sink(Mapped::Problem(record_problem(problem)), Vec::new());
                }
            },
        };
        for row in &rows {
            let (mapped, trace) = with_row!(self.table, R => self.row::<R>(row, &place, context, traced));
            sink(mapped, trace)?;
        }
        ControlFlow::Continue(())
    }

    fn row<R: Row>(&self, levels: &Levels<'_>, place: &Place, context: &Context, traced: bool) -> (Mapped, Vec<Trace>) {
        let record_path = place.path.as_deref().unwrap_or_default();
        let row_place = match (record_path, levels.row_path()) {
            (_, "") => place.clone(),
            ("", row) => place.clone().at_path(row),
            (record, row) => place.clone().at_path(format!("{record}.{row}")),
        };
        let mut set: Vec<(&Target, &str)> = Vec::new();
        for rule in &self.rules {
            match self.holds(rule, levels) {
                Ok(false) => {}
                Ok(true) => match &rule.skip {
                    Some(reason) => return (Mapped::Skipped { reason: reason.clone(), place: row_place }, Vec::new()),
                    None => set.extend(rule.set.iter().map(|(target, text)| (target, text.as_str()))),
                },
                Err(fault) => {
                    let problem = field_problem(&row_place, levels.row_path(), "rules", None, fault);
                    let identity = self.identity(levels, context);
                    let row = RowProblem { identity, problems: vec![problem], as_written: None };
                    return (Mapped::Problem(Box::new(row)), Vec::new());
                }
            }
        }
        let mut filling = Filling::<R>::new(row_place.clone());
        let mut trace = Vec::new();
        let mut taken_from: Vec<(&Target, Taken)> = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            if set.iter().any(|(target, _)| **target == field.target) {
                continue;
            }
            let mut taken = field.take(levels, &self.expressions, context);
            match taken.value.clone() {
                Ok(Some(text)) => fill(&mut filling, &field.target, &text),
                Ok(None) if field.is_told(levels) => fill(&mut filling, &field.target, ""),
                Ok(None) => {}
                Err(fault) => filling.fault(&field.target.name(), taken.raw.as_deref(), fault),
            }
            if traced {
                trace.push(Trace { field: field.target.name(), taken: taken.clone() });
            }
            // What a document is called stays known even when another field is wrong.
            taken.value = taken.value.or(Ok(None));
            taken_from.push((&field.target, taken));
        }
        for (target, text) in &set {
            fill(&mut filling, target, text);
            if traced {
                let taken = Taken { path: "rules".to_owned(), raw: None, value: Ok(Some((*text).to_owned())) };
                trace.push(Trace { field: target.name(), taken });
            }
        }
        match filling.finish(self.line_rules.as_ref()) {
            Ok(draft) => (Mapped::Row(draft), trace),
            Err(refused) => {
                let problems = refused
                    .faults
                    .into_iter()
                    .map(|(field, raw, fault)| {
                        let taken = taken_from.iter().find(|(target, _)| target.name() == field).map(|(_, taken)| taken);
                        let path = match (record_path, taken.map(|taken| taken.path.as_str()).filter(|path| !path.is_empty())) {
                            ("", Some(path)) => path.to_owned(),
                            (record, Some(path)) => format!("{record}.{path}"),
                            (_, None) => field.clone(),
                        };
                        let raw = taken.and_then(|taken| taken.raw.clone()).or(raw);
                        field_problem(&row_place, &path, &field, raw, fault)
                    })
                    .collect();
                let identity = self.identity(levels, context);
                (Mapped::Problem(Box::new(RowProblem { identity, problems, as_written: refused.as_written })), trace)
            }
        }
    }

    fn holds(&self, rule: &Rule, levels: &Levels<'_>) -> Result<bool, Fault> {
        for (path, values) in &rule.when {
            let text = path_text(path, levels)?.map_or_else(String::new, |(text, _)| text);
            if !values.contains(&text) {
                return Ok(false);
            }
        }
        let Some(expression) = &rule.expression else { return Ok(true) };
        match self.expressions.run(expression, levels)?.as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => {
                Err(Fault::new("expression-failed", format!("the expression `{}` is neither true nor false", expression.text())))
            }
        }
    }

    /// What is known of the row's document; the text of the source where a field cannot be read.
    fn identity(&self, levels: &Levels<'_>, context: &Context) -> Identity {
        let mut identity = Identity::default();
        for field in &self.fields {
            let slot = match field.target.name().as_str() {
                "document_type" => &mut identity.document_type,
                "document_number" => &mut identity.document_number,
                "line_number" => &mut identity.line_number,
                "document_date" => &mut identity.document_date,
                "partner" => &mut identity.partner,
                _ => continue,
            };
            let taken = field.take(levels, &self.expressions, context);
            *slot = taken.value.unwrap_or_default().or(taken.raw);
        }
        identity
    }

    /// A table must have every column that the mapping names: one that is missing refuses the file,
    /// since otherwise every row would silently lack it.
    fn check_header(&self, names: &[String], place: &Place) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let mut check = |path: &Path, field: &str| {
            if path.is_position() || names.iter().any(|name| name == path.rest()) {
                return;
            }
            let missing = format!("the column `{}` is missing", path.rest());
            let problem = Problem::new("missing-column", missing).at(place.clone().at_path(path.rest()));
            let near = crate::config::shape::nearest(path.rest(), names.iter().map(String::as_str));
            problems.push(problem.help(match near {
                Some(near) => format!("`{field}` needs it; the file has `{near}`; nothing was taken"),
                None => format!("`{field}` needs it; nothing was taken"),
            }));
        };
        for field in &self.fields {
            let name = field.target.name();
            for path in paths(field) {
                check(path, &name);
            }
        }
        for (path, _) in self.rules.iter().flat_map(|rule| &rule.when) {
            check(path, "rules");
        }
        problems.0.dedup_by(|a, b| a.message == b.message);
        problems.into_result(())
    }
}

fn mapped(row: Result<Draft, Box<RowProblem>>) -> Mapped {
    row.map_or_else(Mapped::Problem, Mapped::Row)
}

fn fill<R: Row>(filling: &mut Filling<R>, target: &Target, text: &str) {
    match target {
        Target::Column(index, _) => filling.column(*index, text),
        Target::Attribute(name) => filling.attribute(name, text),
    }
}

fn paths(field: &FieldPlan) -> Vec<&Path> {
    match &field.origin {
        Origin::First(paths) | Origin::Joined(paths, _) => paths.iter().collect(),
        Origin::Template(pieces) => pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Path(path) => Some(path),
                Piece::Text(_) => None,
            })
            .collect(),
        Origin::Const(_) | Origin::Expression(_) | Origin::Nowhere => Vec::new(),
    }
}

/// Turns objects that stand for one value (`{"__class__": "Decimal", "decimal": "1.20"}`) into it.
/// Moments of this notation are in UTC.
fn unwrap_typed(node: &mut Node) {
    match node {
        Node::List(items) => items.iter_mut().for_each(unwrap_typed),
        Node::Map(entries) => {
            if let Some(value) = typed_value(entries) {
                *node = value;
            } else {
                entries.iter_mut().for_each(|(_, value)| unwrap_typed(value));
            }
        }
        _ => {}
    }
}

fn typed_value(entries: &[(String, Node)]) -> Option<Node> {
    let get = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let part = |name: &str| match get(name) {
        Some(Node::Number(text)) => text.parse::<u32>().ok(),
        _ => None,
    };
    let Some(Node::Text(class)) = get("__class__") else { return None };
    let day = || Some(format!("{:04}-{:02}-{:02}", part("year")?, part("month")?, part("day")?));
    match class.as_str() {
        "Decimal" => match get("decimal")? {
            Node::Text(text) | Node::Number(text) => Some(Node::Number(text.clone())),
            _ => None,
        },
        "date" => day().map(Node::Text),
        "datetime" => {
            let (hour, minute, second) = (part("hour")?, part("minute").unwrap_or(0), part("second").unwrap_or(0));
            let micros = part("microsecond").unwrap_or(0);
            let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
            Some(Node::Text(format!("{}T{hour:02}:{minute:02}:{second:02}{fraction}Z", day()?)))
        }
        _ => None,
    }
}
