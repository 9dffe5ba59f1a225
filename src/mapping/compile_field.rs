//! The field table of a mapping file, compiled field by field.

use crate::config::reader::{Section, check_table};
use crate::config::shape::nearest;
use crate::config::tree::Entry;
use crate::core::problem::{Place, Problem};
use crate::mapping::canonical::{Kind, columns, keeps_attributes};
use crate::mapping::compile::{Shared, text_entries, text_of};
use crate::mapping::field::{FieldPlan, Missing, Origin, Target, template};
use crate::mapping::lookup::Lookup;
use crate::mapping::path::Path;
use crate::mapping::shape::FIELD;
use crate::mapping::tables::check_text;
use crate::mapping::transform::{DateFormat, TextSteps};
use crate::mapping::value::Fault;
use std::sync::Arc;

/// Lookups that need no file: codes of the master data. A code is resolved when its row is taken, with
/// its aliases, and one that is not known waits there with an exception.
const MASTER_DATA: [&str; 3] = ["partners", "items", "units"];

impl Shared<'_> {
    /// The column or attribute that a field name means.
    pub(super) fn target(&mut self, name: &str, place: Place) -> Option<Target> {
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

    pub(super) fn fields(&mut self, entries: &[Entry]) -> Vec<FieldPlan> {
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
        self.idle_keys(name, &plan, &section);
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

    /// A key that would do nothing is a misunderstanding: say so.
    fn idle_keys(&mut self, name: &str, plan: &FieldPlan, section: &Section<'_>) {
        const STEPS: [&str; 15] = [
            "join",
            "strip_prefix",
            "strip_leading",
            "replace",
            "split",
            "upper",
            "lower",
            "pad",
            "number",
            "scale",
            "negate",
            "map",
            "lookup",
            "date",
            "instant",
        ];
        let mut idle = |key: &str, why: &str| {
            if section.has(key) {
                self.problem("wrong-step", section.place(key), format!("`{key}` of `{name}` does nothing: {why}"));
            }
        };
        if let Origin::Const(_) | Origin::Nowhere = plan.origin {
            STEPS.iter().for_each(|key| idle(key, "a fixed value is written the canonical way"));
            return;
        }
        if !matches!(plan.target.kind(), Kind::Text | Kind::Code | Kind::List) {
            idle("template", "templates are for text only");
        }
        if !matches!(plan.origin, Origin::Joined(..)) {
            idle("join", "it joins the paths of `from`");
        }
        if section.flag("trim") == Some(false) {
            idle("trim", "values are always trimmed");
        }
        if !section.has("map") && !section.has("lookup") {
            idle("missing", "there is neither `map` nor `lookup`");
        }
        if !matches!(plan.target.kind(), Kind::Amount | Kind::Factor | Kind::Integer | Kind::Text) {
            idle("number", "it is not a figure");
        }
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
            if MASTER_DATA.contains(&name) {
                return None;
            }
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
}
