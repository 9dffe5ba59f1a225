//! A mapping file turned into a compiled [`Mapping`]: every problem at once, each with its place.

use crate::config::reader::{File, Section, in_file_order};
use crate::config::tree::{Entry, Node as TomlNode};
use crate::core::master::Table;
use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{CsvOptions, Format};
use crate::mapping::canonical::columns;
use crate::mapping::expression::Expressions;
use crate::mapping::field::{FieldPlan, Origin, Target, has_signs};
use crate::mapping::lookup::{Lookup, LookupFile};
use crate::mapping::path::{Path, RowsPath};
use crate::mapping::shape::MAPPING;
use crate::mapping::signs::{LineRules, Sign};
use crate::mapping::tables::check_text;
use crate::mapping::testcase::TestCase;
use crate::mapping::transform::{NumberFormat, check_pattern};
use crate::mapping::{Mapping, Rule};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gives the text of a lookup by name: the workspace's file, else the shipped one.
pub type LookupSource<'a> = dyn Fn(&str) -> Option<LookupFile> + 'a;

/// What fields share while they are compiled.
pub(super) struct Shared<'a> {
    pub(super) table: Table,
    pub(super) number: NumberFormat,
    pub(super) date: Option<String>,
    pub(super) timezone: Option<Tz>,
    pub(super) expressions: Expressions,
    pub(super) lookups: BTreeMap<String, Arc<Lookup>>,
    pub(super) source: &'a LookupSource<'a>,
    pub(super) depth: usize,
    pub(super) problems: Problems,
}

impl Mapping {
    /// Compiles a mapping file. `name` is the file's name for places (`mappings/x.toml`).
    ///
    /// # Errors
    /// Every problem of the file and of the lookups it uses.
    pub fn compile(name: &str, text: &str, lookups: &LookupSource<'_>) -> Result<Self, Problems> {
        let (file, problems) = File::read(name, text, &MAPPING);
        let root = file.root();
        let Some(table) = root.word("target", Table::from_row_word) else { return Err(problems) };
        let source = root.table("source");
        let mut shared = Shared {
            table,
            number: NumberFormat::default(),
            date: None,
            timezone: source.and_then(|s| s.text("timezone")).and_then(|zone| zone.parse().ok()),
            expressions: Expressions::new(),
            lookups: BTreeMap::new(),
            source: lookups,
            depth: 0,
            problems,
        };
        let format = source.map(|section| shared.source_options(section)).unwrap_or_default();
        let rows = root.text("rows").and_then(|text| {
            let compiled = RowsPath::parse(text);
            shared.path_result(compiled, root.place("rows"))
        });
        shared.depth = rows.as_ref().map_or(0, RowsPath::depth);
        let mut fields = shared.fields(root.entries("fields"));
        let canonical = root.flag("canonical") == Some(true);
        if canonical {
            shared.only_canonical(&root);
        } else {
            shared.position_as_line(&mut fields, &root);
            shared.required_fields(&fields, &root);
        }
        let rules = root.tables("rules").into_iter().filter_map(|section| shared.rule(section)).collect();
        let line_rules = if canonical { None } else { shared.line_rules(&root, &fields) };
        let tests = root.tables("test").into_iter().filter_map(|section| TestCase::read(section, &mut shared.problems)).collect();
        let mapping = Self {
            name: name.to_owned(),
            table,
            format,
            typed_values: source.and_then(|s| s.text("typed_values")) == Some("class-json"),
            canonical,
            rows,
            fields,
            rules,
            line_rules,
            expressions: shared.expressions,
            tests,
        };
        in_file_order(&mut shared.problems);
        shared.problems.into_result(mapping)
    }
}

/// What `[source]` says of the format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceFormat {
    pub(crate) word: Option<String>,
    pub(crate) csv: CsvOptions,
    pub(crate) sheet: Option<String>,
    pub(crate) records: Option<String>,
}

impl SourceFormat {
    /// The format of a document by what `[source]` says, else by the file's name, else JSON.
    pub(crate) fn format(&self, word: Option<&str>, file_name: &str) -> Format {
        let by_name = Format::from_name(file_name);
        let word = word.or(self.word.as_deref()).unwrap_or(match by_name {
            Some(Format::Csv(_)) => "csv",
            Some(Format::Xlsx { .. }) => "xlsx",
            Some(Format::Ndjson) => "ndjson",
            Some(Format::Json { .. }) | None => "json",
        });
        match word {
            "csv" => Format::Csv(self.csv.clone()),
            "xlsx" => Format::Xlsx { sheet: self.sheet.clone() },
            "ndjson" => Format::Ndjson,
            _ => Format::Json { records: self.records.clone() },
        }
    }
}

/// The only character of a text.
fn one_char(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

impl Shared<'_> {
    pub(super) fn problem(&mut self, code: &str, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(code, message).at(place));
    }
    pub(super) fn path_result<T>(&mut self, compiled: Result<T, String>, place: Place) -> Option<T> {
        compiled
            .map_err(|message| {
                let help = "paths look like a.b[0].c or ^number; other names stand in double quotes inside the quotes";
                self.problems.push(Problem::new("bad-path", message).at(place).help(help));
            })
            .ok()
    }
    pub(super) fn path(&mut self, text: &str, place: &Place) -> Option<Path> {
        let path = self.path_result(Path::parse(text), place.clone())?;
        if path.up() > self.depth {
            let message = format!("`{text}` goes {} up, the row has {} above it", path.up(), self.depth);
            self.problems.push(
                Problem::new("bad-path", message)
                    .at(place.clone())
                    .help("`^` is the parent of a row of `rows`; the record has none"),
            );
            return None;
        }
        Some(path)
    }
    pub(super) fn character(&mut self, section: &Section<'_>, key: &str) -> Option<char> {
        let text = section.text(key)?;
        let character = one_char(text);
        if character.is_none() {
            self.problem("bad-character", section.place(key), format!("`{key}` must be one character"));
        }
        character
    }
    pub(super) fn number(&mut self, section: &Section<'_>) -> NumberFormat {
        let format = NumberFormat {
            decimal: self.character(section, "decimal").unwrap_or('.'),
            thousands: if section.has("thousands") { self.character(section, "thousands") } else { None },
            trailing_minus: section.flag("trailing_minus") == Some(true),
            parentheses: section.flag("parentheses") == Some(true),
        };
        let mark = |c: char| !c.is_ascii_digit() && !matches!(c, '-' | '\u{2212}' | '+' | '(' | ')');
        if !mark(format.decimal) || !format.thousands.is_none_or(mark) || format.thousands == Some(format.decimal) {
            self.problem(
                "bad-character",
                section.table.place(),
                "decimal and thousands mark must differ and be no digit or sign",
            );
        }
        format
    }
    pub(super) fn pattern(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
        let pattern = section.text(key)?;
        if let Err(message) = check_pattern(pattern) {
            let problem = section.problem("bad-pattern", key, message).help("write it as %d.%m.%Y, see strftime");
            self.problems.push(problem);
        }
        Some(pattern.to_owned())
    }

    fn source_options(&mut self, section: Section<'_>) -> SourceFormat {
        if let Some(number) = section.table("number") {
            self.number = self.number(&number);
        }
        self.date = self.pattern(&section, "date");
        let separator = self.character(&section, "separator").and_then(|c| u8::try_from(c).ok()).filter(u8::is_ascii);
        if separator.is_none_or(|byte| matches!(byte, b'"' | b'\n' | b'\r')) {
            self.problem("bad-character", section.place("separator"), "the separator must be one ASCII character");
        }
        let encoding = section.text("encoding").unwrap_or("utf-8").to_owned();
        if !crate::formats::is_encoding(&encoding) {
            let problem = section
                .problem("encoding", "encoding", format!("`{encoding}` is not an encoding that can be read"))
                .help("use utf-8, windows-1252, iso-8859-1 or another single-byte encoding");
            self.problems.push(problem);
        }
        SourceFormat {
            word: section.text("format").map(str::to_owned),
            csv: CsvOptions {
                separator: separator.unwrap_or(b','),
                encoding,
                header: section.flag("header") != Some(false),
                skip_lines: section.integer("skip_lines").and_then(|lines| u32::try_from(lines).ok()).unwrap_or(0),
                line_end_required: false,
            },
            sheet: section.text("sheet").map(str::to_owned),
            records: section.text("records").map(str::to_owned),
        }
    }

    /// A canonical table says everything itself: what a mapping could add would only contradict it.
    fn only_canonical(&mut self, root: &Section<'_>) {
        for key in ["rows", "sign", "fields", "rules"] {
            if root.has(key) {
                let problem = root
                    .problem("wrong-step", key, format!("`{key}` does not fit a canonical table"))
                    .help("take it out, or leave `canonical` out and map every field");
                self.problems.push(problem);
            }
        }
    }

    /// A row of a list that has no number of its own has its place in the list.
    fn position_as_line(&mut self, fields: &mut Vec<FieldPlan>, root: &Section<'_>) {
        let told = root.entries("fields").iter().any(|entry| entry.key == "line_number");
        if self.table != Table::Lines || self.depth == 0 || told {
            return;
        }
        if let (Some(target), Ok(position)) = (self.target("line_number", root.place("fields")), Path::parse("#")) {
            fields.push(FieldPlan { target, origin: Origin::First(vec![position]), ..FieldPlan::default() });
        }
    }

    fn required_fields(&mut self, fields: &[FieldPlan], root: &Section<'_>) {
        let has =
            |wanted: &str| fields.iter().any(|field| matches!(field.target, Target::Column(_, column) if column.name == wanted));
        let in_file = |wanted: &str| root.entries("fields").iter().any(|entry| entry.key == wanted);
        let needed: &[&str] = if has_signs(self.table) { &["document_type", "document_date"] } else { &[] };
        let required = columns(self.table).iter().filter(|column| column.required).map(|column| column.name);
        let missing: Vec<&str> = required.chain(needed.iter().copied()).filter(|name| !has(name) && !in_file(name)).collect();
        for name in missing {
            let doc = columns(self.table).iter().find(|column| column.name == name).map_or("", |column| column.doc);
            let problem = root
                .problem(
                    "missing-field",
                    "fields",
                    format!("every {} needs the field `{name}` in [fields]", self.table.row_word()),
                )
                .help(format!("{name}: {doc}"));
            self.problems.push(problem);
        }
    }

    fn line_rules(&mut self, root: &Section<'_>, fields: &[FieldPlan]) -> Option<LineRules> {
        if !has_signs(self.table) {
            if root.has("sign") {
                let message = format!("`sign` does not fit the target `{}`", self.table.row_word());
                self.problem("wrong-step", root.place("sign"), message);
            }
            return None;
        }
        let sign = match root.text("sign") {
            Some("by-type") => Sign::ByType,
            Some(_) => Sign::Signed,
            None => {
                let problem = root
                    .problem("missing-key", "sign", "`sign` is missing: a mapping of lines must say whose sign counts")
                    .help("sign = \"by-type\" when figures are unsigned and the document type gives the sign, sign = \"signed\" when they carry it");
                self.problems.push(problem);
                Sign::Signed
            }
        };
        let includes = |name: &str| {
            let node = root.entries("fields").iter().find(|entry| entry.key == name).map(|entry| &entry.node);
            node.and_then(TomlNode::as_table).and_then(|table| table.get("tax")).and_then(TomlNode::as_text) == Some("included")
        };
        let rules = LineRules { sign, net_includes_tax: includes("net_amount"), gross_includes_tax: includes("gross_amount") };
        let has_tax = fields.iter().any(|field| field.target.name() == "tax_amount");
        if (rules.net_includes_tax || rules.gross_includes_tax) && !has_tax {
            self.problem(
                "missing-field",
                root.place("fields"),
                "an amount includes tax, and there is no field `tax_amount` to take off",
            );
        }
        Some(rules)
    }

    fn rule(&mut self, section: Section<'_>) -> Option<Rule> {
        let mut when = Vec::new();
        for entry in section.entries("when") {
            let place = entry.node.source.place(entry.key_span.start);
            let path = self.path(&entry.key, &place)?;
            if entry.node.as_table().is_some() {
                let problem = Problem::new("bad-rule", format!("`{}` must be compared with text", entry.key))
                    .at(place)
                    .help("a path with a point stands in quotes: \"a.b\" = \"x\"");
                self.problems.push(problem);
                return None;
            }
            let nodes = entry.node.as_list().unwrap_or(std::slice::from_ref(&entry.node));
            let values: Vec<String> = nodes.iter().map(text_of).collect();
            when.push((path, values));
        }
        let expression = match section.text("expr").map(|text| self.expressions.compile(text)) {
            Some(Ok(expression)) => Some(expression),
            Some(Err(message)) => {
                self.problem("bad-expression", section.place("expr"), message);
                return None;
            }
            None => None,
        };
        if when.is_empty() && expression.is_none() {
            self.problem("bad-rule", section.table.place(), "a rule needs `when` or `expr`");
        }
        let mut set = Vec::new();
        for entry in section.entries("set") {
            let target = self.target(&entry.key, entry.node.source.place(entry.key_span.start))?;
            let text = text_of(&entry.node);
            if let Target::Column(index, column) = target
                && let Err(fault) = check_text(self.table, index, &text)
            {
                self.problem("bad-fixed-value", entry.node.place(), format!("`{}`: {}", column.name, fault.message));
            }
            set.push((target, text));
        }
        let skip = section.text("skip").map(str::to_owned);
        if skip.is_some() != set.is_empty() {
            self.problem("bad-rule", section.table.place(), "a rule has either `skip` or `set`");
        }
        Some(Rule { when, expression, skip, set })
    }
}

pub(super) fn text_entries<'a>(section: &Section<'a>, key: &str) -> impl Iterator<Item = &'a Entry> {
    section.entries(key).iter()
}

/// A TOML value as the text that a row's value is compared with.
pub(super) fn text_of(node: &TomlNode) -> String {
    match node.to_json() {
        serde_json::Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}
