//! JSON Schemas and reference tables: fresh, and agreeing with what is accepted.

use crate::support::source::root;
use rebated::config::agreement_shapes::AGREEMENT;
use rebated::config::connector_file::CONNECTOR;
use rebated::config::rebated_file::REBATED;
use rebated::config::schedule_file::SCHEDULE;
use rebated::config::schema::{json_schema, markdown};
use rebated::config::shape::{Kind, Need, Shape};
use rebated::mapping::shape::MAPPING;
use std::path::Path;

/// Declarations with the file of their schema, and its title.
const FILES: &[(&str, &str, &Shape)] = &[
    ("connectors/schema.json", "connectors/*.toml", &CONNECTOR),
    ("mappings/schema.json", "mappings/*.toml", &MAPPING),
    ("schedules/schema.json", "schedules/*.toml", &SCHEDULE),
    ("docs/reference/schemas/agreement.json", "agreements/*.toml", &AGREEMENT),
    ("docs/reference/schemas/rebated.json", "rebated.toml", &REBATED),
];

/// Compares a generated file, or writes it when `UPDATE_SCHEMAS` is set.
fn fresh(path: &str, text: &str) -> Option<String> {
    let file = root().join(path);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap_or_default();
    (stored != text).then(|| format!("{path} is not what the declarations give: UPDATE_SCHEMAS=1 cargo nextest run schema"))
}

#[test]
fn the_schemas_in_the_repository_are_fresh() {
    let stale: Vec<_> = FILES
        .iter()
        .filter_map(|(path, title, shape)| {
            let text = serde_json::to_string_pretty(&json_schema(shape, title)).unwrap() + "\n";
            fresh(path, &text)
        })
        .collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

#[test]
fn the_reference_tables_are_fresh() {
    let stale: Vec<_> = [
        ("configuration", &REBATED, Some(&SCHEDULE)),
        ("agreement-file", &AGREEMENT, None),
        ("connector-file", &CONNECTOR, None),
    ]
    .into_iter()
    .filter_map(|(page, shape, second)| {
        let path = format!("docs/reference/{page}.md");
        let stored = std::fs::read_to_string(root().join(&path)).unwrap();
        let (head, _) = stored.split_once("<!-- generated from here on -->\n").unwrap();
        let tables = [markdown(shape), second.map_or_else(String::new, markdown)].concat();
        fresh(&path, &format!("{head}<!-- generated from here on -->\n{tables}"))
    })
    .collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

fn every_shape(shape: &'static Shape, seen: &mut Vec<&'static Shape>) {
    if seen.iter().any(|s| std::ptr::eq(*s, shape)) {
        return;
    }
    seen.push(shape);
    for key in shape.keys {
        if let Some(below) = rebated::config::reader::table_shape(key.kind) {
            every_shape(below, seen);
        }
    }
    for (_, variant) in shape.variants.iter().flat_map(|v| v.shapes) {
        every_shape(variant, seen);
    }
}

#[test]
fn every_default_satisfies_its_own_key() {
    let mut shapes = Vec::new();
    FILES.iter().for_each(|(_, _, shape)| every_shape(shape, &mut shapes));
    let mut checked = 0;
    for shape in shapes {
        for key in shape.keys {
            let Need::Default(text) = key.need else { continue };
            let value = match key.kind {
                Kind::Integer(..) | Kind::Flag => text.to_owned(),
                Kind::List(_) => format!("[{}]", text.split(", ").map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", ")),
                _ => format!("{text:?}"),
            };
            let table = rebated::config::tree::Table::parse(&rebated::config::source::Source::file(
                "d",
                &format!("{} = {value}\n", key.name),
            ));
            let mut problems = rebated::core::problem::Problems::default();
            rebated::config::checks::check_table(&table.unwrap(), shape, &mut problems);
            let own: Vec<_> = problems.0.iter().filter(|p| p.code != "missing-key").collect();
            assert!(own.is_empty(), "{}.{}: {own:?}", shape.name, key.name);
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn the_embedded_defaults_name_every_key_with_its_declared_default() {
    use rebated::config::variables::Variables;
    let text = rebated::config::layers::DEFAULTS;
    let mut shapes = Vec::new();
    every_shape(&REBATED, &mut shapes);
    for key in shapes.iter().flat_map(|s| s.keys).filter(|k| !matches!(k.kind, Kind::Table(_) | Kind::Later(_))) {
        assert!(text.contains(key.name), "default.toml does not name `{}`", key.name);
    }
    // A workspace that writes nothing gets from the embedded file what the declarations say.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rebated.toml"), crate::workspace::COMPANY).unwrap();
    let workspace = rebated::config::Workspace::load_with(dir.path(), &[], &Variables::given([], Path::new("."))).unwrap();
    let mut compared = 0;
    for section in REBATED.keys {
        let Kind::Table(below) = section.kind else { continue };
        for key in below.keys {
            let Need::Default(default) = key.need else { continue };
            let shown = workspace.shown.iter().find(|s| s.key == format!("{}.{}", section.name, key.name)).unwrap();
            let value = match &shown.value {
                serde_json::Value::Array(words) => words.iter().filter_map(|w| w.as_str()).collect::<Vec<_>>().join(", ").into(),
                value => value.clone(),
            };
            assert_eq!(value, serde_json::Value::from(default), "{}", shown.key);
            compared += 1;
        }
    }
    assert!(compared > 12, "{compared}");
}
