//! The checks behind `reader`: a value against its kind, a table against its shape.
//!
//! Not here: typed access, semantics across keys. Invariant: every refusal has a code, a place and
//! a help, and shows no secret.

use crate::config::shape::{Key, Kind, Need, Shape, nearest};
use crate::config::tree::{Node, Table, Value};
use crate::config::value;
use crate::core::money::Currency;
use crate::core::number::{NumberError, Rate};
use crate::core::problem::{Problem, Problems};

/// Checks a table against its declaration.
pub fn check_table(table: &Table, shape: &'static Shape, problems: &mut Problems) {
    let Some(shape) = resolved(table, shape) else {
        check_tag(table, shape, problems);
        return;
    };
    for entry in &table.entries {
        match (shape.key(&entry.key), shape.rest) {
            (Some(key), _) => check_node(&entry.key, &entry.node, key.kind, problems),
            (None, Some(kind)) => check_node(&entry.key, &entry.node, kind, problems),
            (None, None) => problems.push(unknown_key(&entry.key, shape).at(entry.node.source.place(entry.key_span.start))),
        }
    }
    for key in shape.all_keys().filter(|k| k.need == Need::Required && table.get(k.name).is_none()) {
        problems.push(missing_key(key, shape).at(table.place()));
    }
}

/// The variant of the shape that a table is; `None` when its deciding word is missing or not usable.
pub fn resolved(table: &Table, shape: &'static Shape) -> Option<&'static Shape> {
    shape.resolve(|tag| match (table.get(tag.name), tag.need) {
        (Some(node), _) => node.as_text().map(str::to_owned),
        (None, Need::Default(word)) => Some(word.to_owned()),
        (None, _) => None,
    })
}

/// Complains about the deciding key alone: which other keys are right depends on it.
fn check_tag(table: &Table, shape: &'static Shape, problems: &mut Problems) {
    let Some(tag) = shape.variants.as_ref().and_then(|v| shape.key(v.tag)) else { return };
    match table.get(tag.name) {
        Some(node) => check_node(tag.name, node, tag.kind, problems),
        None => problems.push(missing_key(tag, shape).at(table.place())),
    }
}

fn missing_key(key: &Key, shape: &'static Shape) -> Problem {
    Problem::new("missing-key", format!("`{}` is missing in {}", key.name, shape.name)).help(format!(
        "add {}   # {}",
        example(key.name, key.kind),
        key.doc
    ))
}

fn unknown_key(name: &str, shape: &'static Shape) -> Problem {
    let problem = Problem::new("unknown-key", format!("`{name}` is not a key of {}", shape.name));
    match nearest(name, shape.all_keys().map(|k| k.name)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("known keys: {}", shape.all_keys().map(|k| k.name).collect::<Vec<_>>().join(", "))),
    }
}

/// How a key of a kind is written, for help texts.
pub fn example(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Table(shape) => format!("{name} = {{ {} }}", required_examples(shape)),
        Kind::Tables(_) => format!("[[{name}]]"),
        kind => format!("{name} = {}", example_value(kind)),
    }
}

fn required_examples(shape: &'static Shape) -> String {
    let required = shape.all_keys().filter(|k| k.need == Need::Required);
    let parts: Vec<_> = required.map(|k| format!("{} = {}", k.name, example_value(k.kind))).collect();
    if parts.is_empty() { "...".to_owned() } else { parts.join(", ") }
}

fn example_value(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Name | Kind::Any | Kind::Later(_) => "\"...\"".into(),
        Kind::Integer(min, _) => min.max(1).to_string(),
        Kind::Flag => "true".into(),
        Kind::Amount => "\"1000.00\"".into(),
        Kind::Rate => "\"2.5%\"".into(),
        Kind::AmountOrRate => "\"10%\"".into(),
        Kind::Date => "\"2026-01-31\"".into(),
        Kind::MonthDay => "\"01-01\"".into(),
        Kind::Duration => "\"10m\"".into(),
        Kind::Days => "\"7d\"".into(),
        Kind::Currency => "\"USD\"".into(),
        Kind::Zone => "\"Europe/Berlin\"".into(),
        Kind::Url => "\"https://...\"".into(),
        Kind::Word(words) | Kind::WordOrLater(words, _) => format!("\"{}\"", words.first().unwrap_or(&"...")),
        Kind::List(kind) => format!("[{}]", example_value(*kind)),
        Kind::Table(shape) => format!("{{ {} }}", required_examples(shape)),
        Kind::Tables(shape) => format!("[{{ {} }}]", required_examples(shape)),
        Kind::Map(kind) => format!("{{ name = {} }}", example_value(*kind)),
        Kind::Either(kinds) => kinds.first().map_or_else(|| "...".into(), |k| example_value(*k)),
    }
}

/// What a kind is, for messages.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Name | Kind::Word(_) | Kind::WordOrLater(..) | Kind::Later(_) => "text in quotes",
        Kind::Integer(..) => "a whole number",
        Kind::Flag => "true or false",
        Kind::Amount => "a decimal number in quotes",
        Kind::Rate => "a percentage in quotes",
        Kind::AmountOrRate => "a percentage or an amount in quotes",
        Kind::Date => "a date in quotes",
        Kind::MonthDay => "month and day in quotes",
        Kind::Duration => "a time span in quotes",
        Kind::Days => "a number of days in quotes",
        Kind::Currency => "a currency code in quotes",
        Kind::Zone => "a time zone in quotes",
        Kind::Url => "an address in quotes",
        Kind::List(_) => "a list",
        Kind::Table(_) | Kind::Map(_) => "a table",
        Kind::Tables(_) => "a list of tables",
        Kind::Either(kinds) => kinds.first().map_or("a value", |k| kind_name(*k)),
        Kind::Any => "a value",
    }
}

/// Whether a value's TOML type suits the kind at all.
fn fits(node: &Node, kind: Kind) -> bool {
    match kind {
        Kind::Any | Kind::Later(_) => true,
        Kind::Integer(..) => matches!(node.value, Value::Integer(_)),
        Kind::Flag => matches!(node.value, Value::Flag(_)),
        Kind::List(_) => matches!(node.value, Value::List(_)),
        Kind::Tables(_) => node.as_list().is_some_and(|list| list.iter().all(|n| n.as_table().is_some())),
        Kind::Table(_) | Kind::Map(_) => matches!(node.value, Value::Table(_)),
        Kind::Either(kinds) => kinds.iter().any(|k| fits(node, *k)),
        _ => matches!(node.value, Value::Text(_)),
    }
}

pub(crate) fn check_node(key: &str, node: &Node, kind: Kind, problems: &mut Problems) {
    match kind {
        Kind::Later(neutral) => {
            if !node.as_text().is_some_and(|t| neutral.contains(&t)) {
                let problem = Problem::new("not-yet-supported", format!("`{key}` is not supported yet")).at(node.place());
                problems.push(match neutral.first() {
                    Some(word) => problem
                        .help(format!("leave it out, or write {key} = \"{word}\"; anything else comes with a later version")),
                    None => problem.help("leave it out; it comes with a later version"),
                });
            }
            return;
        }
        Kind::Either(kinds) => {
            match kinds.iter().find(|k| fits(node, **k)) {
                Some(kind) => check_node(key, node, *kind, problems),
                None => {
                    let names: Vec<_> = kinds.iter().map(|k| kind_name(*k)).collect();
                    problems.push(wrong_type(key, node, &names.join(" or "), kind));
                }
            }
            return;
        }
        _ if !fits(node, kind) => {
            problems.push(wrong_type(key, node, kind_name(kind), kind));
            return;
        }
        _ => {}
    }
    match (&node.value, kind) {
        (Value::Text(text), kind) => {
            if let Some(problem) = check_text(&text.value, kind) {
                // The text of a secret appears in no message.
                let problem = if text.is_secret() {
                    Problem::new(
                        &problem.code,
                        format!("`{key}`: the value put in for `{}` is not {}", text.shown, kind_name(kind)),
                    )
                } else {
                    Problem { message: format!("`{key}`: {}", problem.message), ..problem }
                };
                problems.push(problem.at(node.place()));
            }
        }
        (Value::Integer(n), Kind::Integer(min, max)) if !(min..=max).contains(n) => {
            let range = if max == i64::MAX { format!("{min} or more") } else { format!("{min} to {max}") };
            problems.push(
                Problem::new("out-of-range", format!("`{key}`: {n} is out of range"))
                    .at(node.place())
                    .help(format!("use {range}")),
            );
        }
        (Value::List(list), Kind::List(kind)) => list.iter().for_each(|n| check_node(key, n, *kind, problems)),
        (Value::List(list), Kind::Tables(shape)) => {
            list.iter().filter_map(Node::as_table).for_each(|t| check_table(t, shape, problems));
        }
        (Value::Table(table), Kind::Table(shape)) => check_table(table, shape, problems),
        (Value::Table(table), Kind::Map(kind)) => {
            table.entries.iter().for_each(|e| check_node(&e.key, &e.node, *kind, problems));
        }
        _ => {}
    }
}

fn wrong_type(key: &str, node: &Node, wanted: &str, kind: Kind) -> Problem {
    let written = node.source.slice(&node.span);
    let is_number = matches!(node.value, Value::Integer(_) | Value::Float(_));
    let decimal = matches!(kind, Kind::Amount | Kind::Rate | Kind::AmountOrRate);
    if is_number && decimal {
        let help = match (kind, Rate::parse_percent(written)) {
            // A bare fraction most often comes from a program that counts 1 as 100%.
            (Kind::Rate, Ok(rate)) if rate < Rate::ONE && !rate.is_zero() => {
                format!("write {key} = \"{}\", or \"{written}%\" if that is meant", rate.to_percent())
            }
            (Kind::Rate, _) => format!("write {key} = \"{written}%\""),
            _ => format!("write {key} = \"{written}\""),
        };
        return Problem::new("unquoted-number", format!("`{key}`: {written} must stand in quotes, so that no digit is lost"))
            .at(node.place())
            .help(help);
    }
    let unquoted = is_number || matches!(node.value, Value::Date(_) | Value::Flag(_));
    let problem = Problem::new("wrong-type", format!("`{key}` must be {wanted}, not {}", node.type_name())).at(node.place());
    if unquoted && matches!(kind_name(kind).rsplit(' ').next(), Some("quotes")) {
        return problem.help(format!("write {key} = \"{written}\""));
    }
    problem.help(format!("write {}", example(key, kind)))
}

/// What is wrong with a text of a kind, as a problem without place; `None` when nothing is.
pub(crate) fn check_text(text: &str, kind: Kind) -> Option<Problem> {
    let number = |error: NumberError, help: &str| Problem::new("bad-number", format!("`{text}`: {error}")).help(help.to_owned());
    let refuse = |code: &str, message: String, help: &str| Some(Problem::new(code, message).help(help.to_owned()));
    let decimal_help = "write plain digits with a point and at most six decimals, such as \"1250.00\"";
    match kind {
        Kind::Name if text.trim().is_empty() => {
            refuse("empty-text", "the text is empty".into(), "write a name, or leave the key out")
        }
        Kind::Name if text.chars().any(char::is_control) => {
            refuse("bad-text", "the text has a control character in it".into(), "retype the text")
        }
        Kind::Name if text.trim() != text => {
            refuse("bad-text", format!("`{text}` has blanks around it"), "remove the blanks: codes are compared exactly")
        }
        Kind::Amount => match value::amount(text) {
            Ok(n) if n.is_negative() => refuse("out-of-range", format!("`{text}` is below zero"), "use zero or more"),
            Ok(_) => None,
            Err(error) => Some(number(error, decimal_help)),
        },
        Kind::Rate => match value::percent(text) {
            Ok(n) if n.is_negative() => refuse("out-of-range", format!("`{text}` is below zero"), "use 0% or more"),
            Ok(_) => None,
            Err(NumberError::NotDecimal) => {
                refuse("bad-number", format!("`{text}` is not a percentage"), "write digits and a percent sign, such as \"2.5%\"")
            }
            Err(error) => Some(number(error, "a percentage has at most six decimals")),
        },
        Kind::AmountOrRate => check_text(text, if text.ends_with('%') { Kind::Rate } else { Kind::Amount }),
        Kind::Date if value::date(text).is_none() => {
            refuse("bad-date", format!("`{text}` is not a date of the calendar"), "write year, month, day as \"2026-01-31\"")
        }
        Kind::MonthDay if value::month_day(text).is_none() => {
            refuse("bad-date", format!("`{text}` is not a month and day"), "write month and day as \"03-01\"")
        }
        Kind::Duration if value::duration(text).is_none() => refuse(
            "bad-duration",
            format!("`{text}` is not a time span"),
            "write a number with its unit: \"500ms\", \"30s\", \"10m\", \"2h\" or \"7d\"",
        ),
        Kind::Days if value::days(text).is_none() => {
            refuse("bad-duration", format!("`{text}` is not a number of days"), "write whole days, such as \"7d\"")
        }
        Kind::Currency if Currency::parse(text).is_none() => refuse(
            "unknown-currency",
            format!("`{text}` is not an ISO 4217 currency code"),
            "use the three-letter code, such as \"USD\" or \"EUR\"",
        ),
        Kind::Zone => zone_problem(text),
        Kind::Url if url::Url::parse(text).is_err() => {
            refuse("bad-url", "this is not an address".into(), "write it whole, with its scheme: \"https://host/path\"")
        }
        Kind::Word(words) => word_problem(text, words, &[]),
        Kind::WordOrLater(words, later) => word_problem(text, words, later),
        _ => None,
    }
}

fn zone_problem(text: &str) -> Option<Problem> {
    if text.parse::<chrono_tz::Tz>().is_ok() {
        return None;
    }
    let problem = Problem::new("unknown-zone", format!("`{text}` is not a time zone"));
    Some(match nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|z| z.name())) {
        Some(near) => problem.help(format!("did you mean \"{near}\"?")),
        None => problem.help("use a name of the IANA list, such as \"Europe/Berlin\" or \"America/Chicago\""),
    })
}

fn word_problem(text: &str, words: &'static [&'static str], later: &'static [&'static str]) -> Option<Problem> {
    if words.contains(&text) {
        return None;
    }
    let list = words.join(", ");
    if later.contains(&text) {
        return Some(
            Problem::new("not-yet-supported", format!("`{text}` is not supported yet"))
                .help(format!("it comes with a later version; supported now: {list}")),
        );
    }
    let problem = Problem::new("unknown-word", format!("`{text}` is not one of the words known here"));
    Some(match nearest(text, words.iter().copied()) {
        Some(near) if words.len() > 3 => problem.help(format!("did you mean \"{near}\"? known words: {list}")),
        _ => problem.help(format!("known words: {list}")),
    })
}
