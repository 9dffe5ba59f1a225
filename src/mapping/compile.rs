//! A mapping file turned into a compiled [`Mapping`]: every problem at once, each with its place.

use crate::config::reader::{File, Section, check_table, in_file_order};
use crate::config::shape::nearest;
use crate::config::tree::{Entry, Node as TomlNode};
use crate::core::master::Table;
use crate::core::problem::{Place, Problem, Problems};
use crate::formats::{CsvOptions, Format};
use crate::mapping::canonical::{Kind, columns, keeps_attributes};
use crate::mapping::expression::Expressions;
use crate::mapping::field::{FieldPlan, Missing, Origin, Target, has_signs, template};
use crate::mapping::lookup::{Lookup, LookupFile};
use crate::mapping::path::{Path, RowsPath};
use crate::mapping::shape::{FIELD, MAPPING};
use crate::mapping::signs::{LineRules, Sign};
use crate::mapping::tables::check_text;
use crate::mapping::testcase::TestCase;
use crate::mapping::transform::{DateFormat, NumberFormat, TextSteps, check_pattern};
use crate::mapping::value::Fault;
use crate::mapping::{Mapping, Rule};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Gives the text of a lookup by name: the workspace's file, else the shipped one.
pub type LookupSource<'a> = dyn Fn(&str) -> Option<LookupFile> + 'a;

/// What fields share while they are compiled.
struct Shared<'a> {
    table: Table,
    number: NumberFormat,
    date: Option<String>,
    timezone: Option<Tz>,
    expressions: Expressions,
    lookups: BTreeMap<String, Arc<Lookup>>,
    source: &'a LookupSource<'a>,
    depth: usize,
    problems: Problems,
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
        let fields = shared.fields(root.entries("fields"));
        shared.required_fields(&fields, &root);
        let rules = root.tables("rules").into_iter().filter_map(|section| shared.rule(section)).collect();
        let line_rules = shared.line_rules(&root, &fields);
        let tests = root.tables("test").into_iter().filter_map(|section| TestCase::read(section, &mut shared.problems)).collect();
        let mapping = Self {
            name: name.to_owned(),
            table,
            format,
            typed_values: source.and_then(|s| s.text("typed_values")) == Some("class-json"),
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
    fn problem(&mut self, code: &str, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(code, message).at(place));
    }
    fn path_result<T>(&mut self, compiled: Result<T, String>, place: Place) -> Option<T> {
        compiled
            .map_err(|message| {
                let help = "paths look like a.b[0].c or ^number; other names stand in double quotes inside the quotes";
                self.problems.push(Problem::new("bad-path", message).at(place).help(help));
            })
            .ok()
    }
    fn path(&mut self, text: &str, place: &Place) -> Option<Path> {
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
    fn character(&mut self, section: &Section<'_>, key: &str) -> Option<char> {
        let text = section.text(key)?;
        let character = one_char(text);
        if character.is_none() {
            self.problem("bad-character", section.place(key), format!("`{key}` must be one character"));
        }
        character
    }
    fn number(&mut self, section: &Section<'_>) -> NumberFormat {
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
    fn pattern(&mut self, section: &Section<'_>, key: &str) -> Option<String> {
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
            },
            sheet: section.text("sheet").map(str::to_owned),
            records: section.text("records").map(str::to_owned),
        }
    }

    /// The column or attribute that a field name means.
    fn target(&mut self, name: &str, place: Place) -> Option<Target> {
        let columns = columns(self.table);
        if let Some(index) = columns.iter().position(|column| column.name == name) {
            return Some(Target::Column(index, &columns[index]));
        }
        let attributes = keeps_attributes(self.table);
        if let Some(attribute) = name.strip_prefix("attributes.").filter(|rest| attributes && !rest.is_empty()) {
            return Some(Target::Attribute(attribute.to_owned()));
        }
        let problem = Problem::new("unknown-field", format!("a {} has no field `{name}`", self.table.row_word())).at(place);
        self.problems.push(match nearest(name, columns.iter().map(|column| column.name)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if attributes => problem.help(format!("name it `attributes.{name}` to keep it")),
            None => problem.help(format!("fields: {}", columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", "))),
        });
        None
    }

    fn fields(&mut self, entries: &[Entry]) -> Vec<FieldPlan> {
        let mut fields = Vec::new();
        for entry in entries {
            match (entry.key.as_str(), entry.node.as_table()) {
                ("attributes", Some(table)) => {
                    for attribute in &table.entries {
                        let name = format!("attributes.{}", attribute.key);
                        fields.extend(self.field(&name, attribute));
                    }
                }
                (name, _) => fields.extend(self.field(name, entry)),
            }
        }
        fields
    }

    fn field(&mut self, name: &str, entry: &Entry) -> Option<FieldPlan> {
        let target = self.target(name, entry.node.source.place(entry.key_span.start))?;
        let mut plan = FieldPlan { target, ..FieldPlan::default() };
        let kind = plan.target.kind();
        if matches!(kind, Kind::Amount | Kind::Factor | Kind::Integer) {
            plan.number = Some(self.number.clone());
        }
        if let Some(text) = entry.node.as_text() {
            plan.origin = Origin::First(vec![self.path(text, &entry.node.place())?]);
            self.plan_date(&mut plan, None);
            return Some(plan);
        }
        let Some(table) = entry.node.as_table() else {
            let problem = Problem::new("wrong-type", format!("`{name}` must be a path in quotes or a table"))
                .at(entry.node.place())
                .help(format!("write {name} = \"path\" or {name} = {{ from = \"path\" }}"));
            self.problems.push(problem);
            return None;
        };
        let before = self.problems.0.len();
        check_table(table, &FIELD, &mut self.problems);
        if self.problems.0.len() > before {
            return None;
        }
        let section = Section::new(table, &FIELD);
        plan.origin = self.origin(name, &section)?;
        plan.steps = self.steps(&section);
        if let Some(number) = section.table("number") {
            plan.number = Some(self.number(&number));
        }
        plan.scale = section.integer("scale").and_then(|decimals| usize::try_from(decimals).ok());
        plan.negate = section.flag("negate") == Some(true);
        if (plan.scale.is_some() || plan.negate) && plan.number.is_none() {
            self.problem(
                "wrong-step",
                section.table.place(),
                format!("`{name}` is not a figure: `scale` and `negate` do not fit"),
            );
        }
        if section.has("map") {
            plan.map = Some(text_entries(&section, "map").map(|entry| (entry.key.clone(), text_of(&entry.node))).collect());
        }
        if let Some(lookup) = section.text("lookup") {
            plan.lookup = self.lookup(lookup, section.place("lookup")).map(|table| (lookup.to_owned(), table));
        }
        plan.missing = match section.text("missing") {
            Some("keep") => Missing::Keep,
            Some("default") => Missing::Default,
            _ => Missing::Exception,
        };
        plan.default = section.text("default").map(str::to_owned);
        plan.code = section.flag("code") == Some(true);
        plan.required = section.flag("required") == Some(true);
        self.plan_date(&mut plan, Some(&section));
        self.fixed_values(name, &plan, &section);
        Some(plan)
    }

    fn origin(&mut self, name: &str, section: &Section<'_>) -> Option<Origin> {
        let given: Vec<&str> = ["from", "const", "template", "expr"].into_iter().filter(|key| section.has(key)).collect();
        if given.len() > 1 {
            self.problem(
                "two-origins",
                section.place(given[1]),
                format!("`{name}` has `{}` and `{}`; keep one", given[0], given[1]),
            );
            return None;
        }
        if section.has("tax") && !matches!(name, "net_amount" | "gross_amount") {
            self.problem(
                "wrong-step",
                section.place("tax"),
                format!("`tax` does not fit `{name}`, only net_amount and gross_amount"),
            );
        }
        match given.first() {
            Some(&"from") => {
                let node = section.node("from")?;
                let nodes = node.as_list().unwrap_or(std::slice::from_ref(node));
                let paths: Vec<Path> = nodes.iter().filter_map(|node| self.path(node.as_text()?, &node.place())).collect();
                if paths.len() != nodes.len() || paths.is_empty() {
                    return None;
                }
                Some(match section.text("join") {
                    Some(between) => Origin::Joined(paths, between.to_owned()),
                    None => Origin::First(paths),
                })
            }
            Some(&"const") => section.text("const").map(|text| Origin::Const(text.trim().to_owned())),
            Some(&"template") => {
                let compiled = template(section.text("template")?);
                self.path_result(compiled, section.place("template")).map(Origin::Template)
            }
            Some(_) => {
                let text = section.text("expr")?;
                match self.expressions.compile(text) {
                    Ok(expression) => Some(Origin::Expression(expression)),
                    Err(message) => {
                        self.problem("bad-expression", section.place("expr"), message);
                        None
                    }
                }
            }
            None if section.has("default") => Some(Origin::Nowhere),
            None => {
                let problem = Problem::new("no-origin", format!("`{name}` does not say where it comes from"))
                    .at(section.table.place())
                    .help("give it `from`, `const`, `template`, `expr` or at least `default`");
                self.problems.push(problem);
                None
            }
        }
    }

    fn steps(&mut self, section: &Section<'_>) -> TextSteps {
        let split = section.table("split").and_then(|split| {
            let part = split.integer("part").unwrap_or(1);
            if part == 0 {
                self.problem("out-of-range", split.place("part"), "parts are counted from 1");
            }
            Some((split.text("on")?.to_owned(), part))
        });
        let pad = section.table("pad").and_then(|pad| {
            let with = self.character(&pad, "with")?;
            Some((usize::try_from(pad.integer("width")?).ok()?, with))
        });
        TextSteps {
            strip_prefix: section.text("strip_prefix").map(str::to_owned),
            strip_leading: if section.has("strip_leading") { self.character(section, "strip_leading") } else { None },
            replace: text_entries(section, "replace").map(|entry| (entry.key.clone(), text_of(&entry.node))).collect(),
            split,
            upper: section.flag("upper") == Some(true),
            lower: section.flag("lower") == Some(true),
            pad,
        }
    }

    fn plan_date(&mut self, plan: &mut FieldPlan, section: Option<&Section<'_>>) {
        let kind = plan.target.kind();
        let pattern = section.and_then(|section| self.pattern(section, "date"));
        let instant = section.is_some_and(|section| section.flag("instant") == Some(true));
        let zone = section.and_then(|section| section.text("timezone")).and_then(|zone| zone.parse().ok()).or(self.timezone);
        let asked = pattern.is_some() || instant;
        match kind {
            Kind::Date | Kind::Instant => {}
            Kind::Text | Kind::Code if asked => {}
            _ => {
                if asked {
                    let place = section.map_or_else(Place::default, |section| section.table.place());
                    self.problem(
                        "wrong-step",
                        place,
                        format!("`{}` is not a date: `date` and `instant` do not fit", plan.target.name()),
                    );
                }
                return;
            }
        }
        plan.moment = kind == Kind::Instant;
        let instant = instant || plan.moment;
        let pattern = pattern.or_else(|| if instant { None } else { self.date.clone() });
        plan.date = Some(DateFormat { pattern, instant, zone });
    }

    /// Values that stand in the file itself must already be right.
    fn fixed_values(&mut self, name: &str, plan: &FieldPlan, section: &Section<'_>) {
        let mut fixed: Vec<(&str, Place)> = Vec::new();
        if let (Origin::Const(text), Some(node)) = (&plan.origin, section.node("const")) {
            fixed.push((text, node.place()));
        }
        if let (Some(text), Some(node)) = (&plan.default, section.node("default")) {
            fixed.push((text, node.place()));
        }
        // Mapped words go on through the lookup, if there is one.
        if plan.lookup.is_none() {
            fixed.extend(text_entries(section, "map").filter_map(|entry| Some((entry.node.as_text()?, entry.node.place()))));
        }
        let company = |text: &str| text == "company" && (name == "company" || name.ends_with("currency"));
        for (text, place) in fixed {
            if text.is_empty() || company(text) {
                continue;
            }
            if let Target::Column(index, column) = plan.target
                && let Err(Fault { message, help, .. }) = check_text(self.table, index, text)
            {
                let mut problem = Problem::new("bad-fixed-value", format!("`{}`: {message}", column.name)).at(place);
                problem.help = help;
                self.problems.push(problem);
            }
        }
    }

    fn lookup(&mut self, name: &str, place: Place) -> Option<Arc<Lookup>> {
        if let Some(known) = self.lookups.get(name) {
            return Some(Arc::clone(known));
        }
        let Some(file) = (self.source)(name) else {
            let problem = Problem::new("unknown-lookup", format!("there is no lookup `{name}`"))
                .at(place)
                .help(format!("add mappings/lookups/{name}.csv with the columns from,to"));
            self.problems.push(problem);
            return None;
        };
        match Lookup::compile(&file) {
            Ok(lookup) => {
                let lookup = Arc::new(lookup);
                self.lookups.insert(name.to_owned(), Arc::clone(&lookup));
                Some(lookup)
            }
            Err(problems) => {
                self.problems.0.extend(problems.0);
                None
            }
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
                .problem("missing-field", "fields", format!("every {} needs the field `{name}`", self.table.row_word()))
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

fn text_entries<'a>(section: &Section<'a>, key: &str) -> impl Iterator<Item = &'a Entry> {
    section.entries(key).iter()
}

/// A TOML value as the text that a row's value is compared with.
fn text_of(node: &TomlNode) -> String {
    match node.to_json() {
        serde_json::Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}
