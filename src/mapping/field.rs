//! One field of a compiled mapping: where its text comes from and the steps it goes through.

use crate::core::master::Table;
use crate::core::money::Currency;
use crate::formats::{Node, plain_number};
use crate::mapping::canonical::{Column, Kind};
use crate::mapping::expression::{Expression, Expressions};
use crate::mapping::lookup::Lookup;
use crate::mapping::path::{Levels, Path};
use crate::mapping::transform::{DateFormat, NumberFormat, TextSteps, implied_decimals, negate};
use crate::mapping::value::{Fault, check_code};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a mapping takes from the company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Company code, for documents of several companies.
    pub company: Option<String>,
    /// Company currency.
    pub currency: Currency,
    /// Accounting zone (case 13).
    pub timezone: Tz,
}

/// Where a field goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Column(usize, &'static Column),
    Attribute(String),
}

impl Target {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Column(_, column) => column.name.to_owned(),
            Self::Attribute(name) => format!("attributes.{name}"),
        }
    }
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Column(_, column) => column.kind,
            Self::Attribute(_) => Kind::Text,
        }
    }
}

/// Where a field's text comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The first path with a value.
    First(Vec<Path>),
    /// All paths, joined.
    Joined(Vec<Path>, String),
    Const(String),
    Template(Vec<Piece>),
    Expression(Expression),
    /// Only a default.
    Nowhere,
}

/// A piece of a text template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Path(Path),
}

/// What happens to a value that `map` or `lookup` does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Exception,
    Keep,
    Default,
}

/// A compiled field.
#[derive(Clone, Debug)]
pub(crate) struct FieldPlan {
    pub(crate) target: Target,
    pub(crate) origin: Origin,
    pub(crate) steps: TextSteps,
    /// Set when the value is a figure.
    pub(crate) number: Option<NumberFormat>,
    pub(crate) scale: Option<usize>,
    pub(crate) negate: bool,
    pub(crate) map: Option<BTreeMap<String, String>>,
    pub(crate) lookup: Option<(String, Arc<Lookup>)>,
    pub(crate) missing: Missing,
    pub(crate) default: Option<String>,
    /// Set when the value is a day.
    pub(crate) date: Option<DateFormat>,
    /// The value is kept as a moment, not as its day.
    pub(crate) moment: bool,
    pub(crate) code: bool,
    pub(crate) required: bool,
}

/// What a field gave.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// Path from the record, for people.
    pub(crate) path: String,
    /// As the source wrote it.
    pub(crate) raw: Option<String>,
    /// Canonical text.
    pub(crate) value: Result<Option<String>, Fault>,
}

impl Default for FieldPlan {
    fn default() -> Self {
        Self {
            target: Target::Attribute(String::new()),
            origin: Origin::Nowhere,
            steps: TextSteps::default(),
            number: None,
            scale: None,
            negate: false,
            map: None,
            lookup: None,
            missing: Missing::Exception,
            default: None,
            date: None,
            moment: false,
            code: false,
            required: false,
        }
    }
}

/// The text of a single value and whether the source wrote it as a number.
fn scalar(node: &Node) -> Result<Option<(String, bool)>, Fault> {
    match node {
        Node::Null => Ok(None),
        Node::Text(text) if text.trim().is_empty() => Ok(None),
        Node::Text(text) => Ok(Some((text.trim().to_owned(), false))),
        Node::Number(text) => Ok(Some((text.clone(), true))),
        Node::Bool(value) => Ok(Some((value.to_string(), false))),
        Node::List(_) => Err(Fault::new("bad-value", "the path leads to a list, not to a value")),
        Node::Map(_) => {
            Err(Fault::new("bad-value", "the path leads to an object, not to a value").help("name one of its fields"))
        }
    }
}

/// The value of a path as text.
pub(crate) fn path_text(path: &Path, levels: &Levels<'_>) -> Result<Option<(String, bool)>, Fault> {
    if path.is_position() {
        return Ok(levels.position(path).map(|position| (position.to_string(), false)));
    }
    levels.get(path).map_or(Ok(None), scalar)
}

impl FieldPlan {
    /// Takes the field out of a row.
    pub(crate) fn take(&self, levels: &Levels<'_>, expressions: &Expressions, context: &Context) -> Taken {
        let (path, found) = self.find(levels, expressions, context);
        match found {
            Err(fault) => Taken { path, raw: None, value: Err(fault) },
            Ok(found) => {
                let raw = found.as_ref().map(|(text, _)| text.clone());
                let value = match found {
                    Some((text, is_number)) => self.transform(&text, is_number, context),
                    None => Ok(None),
                };
                let value = value.and_then(|value| match value.or_else(|| self.fallback(context)) {
                    None if self.required => {
                        Err(Fault::new("missing-value", format!("there is no {}", self.target.name().replace('_', " "))))
                    }
                    value => Ok(value),
                });
                Taken { path, raw, value }
            }
        }
    }

    /// Whether the record speaks of this field at all, be it with nothing in it.
    pub(crate) fn is_told(&self, levels: &Levels<'_>) -> bool {
        match &self.origin {
            Origin::First(paths) | Origin::Joined(paths, _) => paths.iter().any(|path| levels.tells(path)),
            Origin::Template(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Path(path) if levels.tells(path))),
            Origin::Const(_) | Origin::Expression(_) => true,
            Origin::Nowhere => false,
        }
    }

    fn fallback(&self, context: &Context) -> Option<String> {
        self.default.as_deref().and_then(|text| self.company_value(text, context)).filter(|text| !text.is_empty())
    }

    /// `company` stands for the company's own code or currency.
    fn company_value(&self, text: &str, context: &Context) -> Option<String> {
        match (&self.target, text) {
            (Target::Column(_, column), "company") if column.name == "company" => context.company.clone(),
            (Target::Column(_, column), "company") if column.name.ends_with("currency") => {
                Some(context.currency.code().to_owned())
            }
            _ => Some(text.to_owned()),
        }
    }

    fn find(
        &self,
        levels: &Levels<'_>,
        expressions: &Expressions,
        context: &Context,
    ) -> (String, Result<Option<(String, bool)>, Fault>) {
        match &self.origin {
            Origin::Nowhere => (String::new(), Ok(None)),
            Origin::Const(text) => (String::new(), Ok(self.company_value(text, context).map(|text| (text, false)))),
            Origin::First(paths) => {
                let mut at = String::new();
                for path in paths {
                    at = levels.place_of(path);
                    match path_text(path, levels) {
                        Ok(None) => {}
                        found => return (at, found),
                    }
                }
                (at, Ok(None))
            }
            Origin::Joined(paths, between) => {
                let at = paths.iter().map(|path| levels.place_of(path)).collect::<Vec<_>>().join(", ");
                let parts: Result<Option<Vec<String>>, Fault> =
                    paths.iter().map(|path| Ok(path_text(path, levels)?.map(|(text, _)| text))).collect();
                (at, parts.map(|parts| parts.map(|parts| (parts.join(between), false))))
            }
            Origin::Template(pieces) => {
                let mut text = String::new();
                let mut at = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(fixed) => text.push_str(fixed),
                        Piece::Path(path) => {
                            at.push(levels.place_of(path));
                            match path_text(path, levels) {
                                Ok(Some((part, _))) => text.push_str(&part),
                                Ok(None) => return (at.join(", "), Ok(None)),
                                Err(fault) => return (at.join(", "), Err(fault)),
                            }
                        }
                    }
                }
                (at.join(", "), Ok(Some((text, false))))
            }
            Origin::Expression(expression) => {
                let found = expressions.run(expression, levels);
                (expression.text().to_owned(), found.map(|text| text.map(|text| (text, true))))
            }
        }
    }

    fn transform(&self, text: &str, is_number: bool, context: &Context) -> Result<Option<String>, Fault> {
        if let Origin::Const(_) = self.origin {
            return Ok(Some(text.to_owned()).filter(|text| !text.is_empty()));
        }
        if self.code || self.target.kind() == Kind::Code {
            check_code(text)?;
        }
        let mut text = self.steps.apply(text);
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(format) = &self.number {
            // A number of the format itself (JSON, a cell) has no written marks to declare.
            text = if is_number && self.steps == TextSteps::default() { plain_number(&text) } else { format.plain(&text)? };
            if let Some(decimals) = self.scale {
                text = implied_decimals(&text, decimals)?;
            }
            if self.negate {
                text = negate(&text);
            }
        }
        if let Some(map) = &self.map {
            let known = map.get(&text).map(String::as_str);
            match self.known(&text, known, "unmapped-word", || format!("the word `{text}` is not mapped"))? {
                Some(mapped) => text = mapped,
                None => return Ok(None),
            }
        }
        if let Some((name, lookup)) = &self.lookup {
            let known = lookup.get(&text);
            match self.known(&text, known, "not-in-lookup", || format!("`{text}` is not in the lookup `{name}`"))? {
                Some(mapped) => text = mapped,
                None => return Ok(None),
            }
        }
        if let Some(date) = &self.date {
            text = if self.moment { date.moment_text(&text)? } else { date.day(&text, context.timezone)?.to_string() };
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn known(
        &self,
        text: &str,
        known: Option<&str>,
        code: &'static str,
        message: impl Fn() -> String,
    ) -> Result<Option<String>, Fault> {
        match (known, self.missing) {
            (Some(known), _) => Ok(Some(known.to_owned())),
            (None, Missing::Keep) => Ok(Some(text.to_owned())),
            (None, Missing::Default) => Ok(None),
            (None, Missing::Exception) => Err(Fault::new(code, message())
                .help(format!("add it for `{}`, or say what else to do with `missing`", self.target.name()))),
        }
    }
}

/// Splits a text template into its pieces.
///
/// # Errors
/// A brace left open, or a path that is none.
pub(crate) fn template(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        let close = rest[open..].find('}').ok_or_else(|| format!("`{text}` has a brace left open"))? + open;
        pieces.push(Piece::Path(Path::parse(&rest[open + 1..close])?));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

/// Whether a table's rows have signs.
pub(crate) const fn has_signs(table: Table) -> bool {
    matches!(table, Table::Lines)
}
