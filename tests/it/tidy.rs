//! The tree itself: arrows between the layers, sizes of files, what may not be written where.
//!
//! Each rule has one test, and each test fails when it found nothing to look at.

use crate::support::source::{SourceFile, code_only, files, has_word, root};
use std::collections::{BTreeMap, BTreeSet};

/// Layer and the layers it may use besides itself; `ARCHITECTURE.md` draws the same.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("config", &["core"]),
    ("formats", &["core"]),
    ("mapping", &["core", "config", "formats"]),
    ("drivers", &["core", "config", "formats"]),
    ("store", &["core", "config", "formats"]),
    ("delivery", &["core", "config", "formats", "mapping", "drivers", "store"]),
    ("pipeline", &["core", "config", "formats", "mapping", "drivers", "store", "delivery"]),
    ("web", &["core", "config", "formats", "mapping", "drivers", "store", "delivery", "pipeline"]),
    ("daemon", &["core", "config", "formats", "mapping", "drivers", "store", "delivery", "pipeline", "web"]),
    ("cli", &["core", "config", "formats", "mapping", "drivers", "store", "delivery", "pipeline", "web", "daemon"]),
];
/// Modules at the root that every layer but `core` may use; they use no layer.
const COMMON: &[&str] = &["clock", "owner", "telemetry"];

/// Longest file; the aim is 500.
const MOST_LINES: usize = 600;

/// Files in which a float is right, and why.
const FLOATS: &[(&str, &str)] = &[];

/// Products that a connector or mapping may name and Rust may not.
const VENDORS: &[&str] = &[
    "tryton",
    "trytond",
    "sap",
    "netsuite",
    "odoo",
    "salesforce",
    "quickbooks",
    "xero",
    "epicor",
    "business central",
    "business-central",
    "dynamics",
    "acumatica",
    "erpnext",
    "jd edwards",
    "sage",
    "hubspot",
    "shopify",
];

/// Fails with every finding at once.
#[track_caller]
fn none(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}\n  {}\n", findings.join("\n  "));
}

fn rust(folder: &str) -> Vec<SourceFile> {
    let found = files(folder, &[".rs"]);
    assert!(!found.is_empty(), "no Rust file below {folder}");
    found
}

/// Everything we wrote by hand, as text.
fn written() -> Vec<SourceFile> {
    let endings = [
        ".rs",
        ".toml",
        ".md",
        ".sql",
        ".csv",
        ".json",
        ".html",
        ".txt",
        ".j2",
        ".py",
        ".sh",
        ".service",
        "scripts/test",
        "scripts/bench",
    ];
    let found = files("", &endings);
    assert!(found.len() > 20, "only {} files found", found.len());
    found
}

/// First module after `crate::` (or enough `super::`) for every path in the code, with its line.
fn modules_used(path: &str, code: &str) -> Vec<(usize, String)> {
    // Modules between the crate's root and this file: src/a/b.rs is a::b, src/a/mod.rs is a.
    let depth = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/')
        .filter(|p| *p != "mod" && *p != "lib" && *p != "main")
        .count();
    let mut used = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let supers = "super::".repeat(depth);
        for start in ["crate::", "rebated::", supers.as_str()] {
            if start.is_empty() {
                continue;
            }
            for (at, _) in line.match_indices(start) {
                let before = line[..at].chars().next_back();
                // A longer chain of `super::` belongs to a nested module and is counted from there.
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_') || (start == supers && line[..at].ends_with("super::"))
                {
                    continue;
                }
                used.extend(first_segments(code, number, at + start.len()).into_iter().map(|m| (number + 1, m)));
            }
        }
    }
    used
}

/// `a` for `a::b`, `a` and `c` for `{a::b, c::{d, e}}`, from this place on.
fn first_segments(code: &str, line: usize, column: usize) -> Vec<String> {
    let offset: usize = code.split_inclusive('\n').take(line).map(str::len).sum::<usize>() + column;
    let rest = &code[offset..];
    let word = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let (mut depth, mut parts, mut start) = (0i32, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(word(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(word(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.retain(|p| !p.is_empty());
    parts
}

/// Arrows that point the wrong way in this file.
fn wrong_arrows(path: &str, text: &str) -> Vec<String> {
    let layer = path.trim_start_matches("src/").split(['/', '.']).next().expect("a name");
    let allowed: BTreeSet<&str> = match LAYERS.iter().find(|(name, _)| *name == layer) {
        Some((name, below)) => {
            let common = if *name == "core" { &[] } else { COMMON };
            below.iter().chain(common).chain([name]).copied().collect()
        }
        None if COMMON.contains(&layer) => COMMON.iter().copied().collect(),
        None => return Vec::new(),
    };
    let modules: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).chain(COMMON.iter().copied()).collect();
    modules_used(path, &code_only(text))
        .into_iter()
        .filter(|(_, module)| modules.contains(module.as_str()) && !allowed.contains(module.as_str()))
        .map(|(line, module)| format!("{path}:{line}: `{layer}` may not use `{module}`"))
        .collect()
}

#[test]
fn arrows_between_the_layers_point_only_to_the_left() {
    none(rust("src").iter().flat_map(|f| wrong_arrows(&f.path, &f.text)).collect(), "see the layers in ARCHITECTURE.md");
}

#[test]
fn every_folder_of_src_is_a_known_layer() {
    let known: BTreeSet<String> =
        LAYERS.iter().map(|(name, _)| name.to_string()).chain(COMMON.iter().map(|m| m.to_string())).collect();
    let found: BTreeSet<String> = rust("src")
        .iter()
        .filter_map(|f| f.path.trim_start_matches("src/").split(['/', '.']).next().map(str::to_owned))
        .filter(|n| n != "lib" && n != "main")
        .collect();
    let unknown: Vec<_> = found.difference(&known).cloned().collect();
    none(unknown, "add the folder to LAYERS in this test and to ARCHITECTURE.md");
}

#[test]
fn the_layer_test_sees_every_way_to_write_an_arrow() {
    let wrong = [
        ("src/core/a.rs", "use crate::store::Store;"),
        ("src/core/a.rs", "use crate::clock::Clock;"),
        ("src/mapping/a.rs", "use crate::{core::line::Line, drivers::Driver};"),
        ("src/store/a.rs", "use crate::{\n    core::{line, money},\n    mapping,\n};"),
        ("src/drivers/files.rs", "fn f() -> crate::store::Store { loop {} }"),
        ("src/drivers/mod.rs", "use super::pipeline::run;"),
        ("src/drivers/auth/oauth.rs", "use super::super::super::mapping::Mapping;"),
        ("src/clock.rs", "use crate::core::period::Period;"),
        ("src/pipeline/a.rs", "type T = rebated::daemon::Planner;"),
    ];
    for (path, text) in wrong {
        assert_eq!(wrong_arrows(path, text).len(), 1, "{path}: {text}");
    }
    let right = [
        ("src/core/a.rs", "use crate::core::line::Line; // crate::store"),
        ("src/mapping/a.rs", "const HELP: &str = \"crate::drivers\"; use crate::{config::reader, formats::Node};"),
        ("src/store/a/b.rs", "use super::mapping::Row; use super::super::line;"),
        ("src/cli/run.rs", "use crate::{daemon, pipeline, store, telemetry};"),
        ("src/main.rs", "fn main() { rebated::cli::main() }"),
    ];
    for (path, text) in right {
        assert_eq!(wrong_arrows(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn core_knows_no_file_network_clock_or_runtime() {
    let words = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "tokio",
        "sqlx",
        "reqwest",
        "SystemTime",
        "Instant",
        "Utc::now",
        "Local::now",
    ];
    let findings = rust("src/core").into_iter().flat_map(|f| {
        let code = code_only(&f.text);
        words.iter().filter(|w| has_word(&code, w)).map(|w| format!("{}: {w}", f.path)).collect::<Vec<_>>()
    });
    none(findings.collect(), "core is pure: pass the value in");
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let all: Vec<_> = ["src", "tests", "benches"].iter().flat_map(|folder| rust(folder)).collect();
    let long = all
        .iter()
        .filter(|f| f.text.lines().count() > MOST_LINES)
        .map(|f| format!("{}: {} lines", f.path, f.text.lines().count()));
    none(long.collect(), "one noun a file: split it");
}

#[test]
fn every_rust_file_opens_with_what_lives_in_it() {
    let all: Vec<_> = ["src", "tests", "benches"].iter().flat_map(|folder| rust(folder)).collect();
    none(all.iter().filter(|f| !f.text.starts_with("//! ")).map(|f| f.path.clone()).collect(), "first line must be `//! ...`");
}

#[test]
fn money_never_meets_a_float() {
    let mut findings = Vec::new();
    let mut allowed: BTreeSet<&str> = FLOATS.iter().map(|(path, _)| *path).collect();
    for file in ["src/core", "src/store", "src/mapping"].iter().flat_map(|folder| rust(folder)) {
        let code = code_only(&file.text);
        let lines = code.lines().enumerate().filter(|(_, l)| has_word(l, "f64") || has_word(l, "f32"));
        let found: Vec<_> = lines.map(|(n, l)| format!("{}:{}: {}", file.path, n + 1, l.trim())).collect();
        if !found.is_empty() && !allowed.remove(file.path.as_str()) {
            findings.extend(found);
        }
    }
    findings.extend(allowed.iter().map(|path| format!("{path}: no float left, take it off the list")));
    none(findings, "amounts are text at the edges and integers inside");
}

#[test]
fn rust_names_no_vendor() {
    let findings = rust("src").into_iter().flat_map(|f| {
        let lines: Vec<String> = f.text.lines().map(str::to_lowercase).collect();
        let hits = lines.iter().enumerate().flat_map(|(n, l)| VENDORS.iter().filter(|v| has_word(l, v)).map(move |v| (n, *v)));
        hits.map(|(n, v)| format!("{}:{}: {v}", f.path, n + 1)).collect::<Vec<_>>()
    });
    none(findings.collect(), "a system is two TOML files, never Rust");
}

#[test]
fn nothing_is_left_for_later_in_the_source() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["to", "do!"].concat(), ["unimplemen", "ted!"].concat()];
    let findings = written()
        .into_iter()
        .filter(|f| !f.path.ends_with(".md") && !f.path.ends_with(".csv") && f.path != "Cargo.toml")
        .flat_map(|f| {
            let lines = f.text.lines().enumerate().filter(|(_, l)| marks.iter().any(|m| has_word(l, m)));
            lines.map(|(n, l)| format!("{}:{}: {}", f.path, n + 1, l.trim())).collect::<Vec<_>>()
        });
    none(findings.collect(), "finish it, or open an issue");
}

#[test]
fn lines_end_with_a_line_feed_alone() {
    // Fixtures show what other systems write, carriage returns included.
    let findings = written()
        .into_iter()
        .filter(|f| !f.path.starts_with("tests/") || f.path.ends_with(".rs"))
        .filter(|f| f.text.contains('\r'));
    none(findings.map(|f| f.path).collect(), "carriage return found");
}

#[test]
fn shipped_connectors_mappings_and_schedules_are_toml() {
    let shipped: Vec<_> = ["connectors", "mappings", "schedules"].iter().flat_map(|folder| files(folder, &[".toml"])).collect();
    assert!(!shipped.is_empty(), "the library of shipped files is empty");
    let findings =
        shipped.iter().filter_map(|f| toml::from_str::<toml::Table>(&f.text).err().map(|e| format!("{}: {e}", f.path)));
    none(findings.collect(), "not TOML");
}

#[test]
fn both_dialects_have_the_same_migrations() {
    let versions = |dialect: &str| -> BTreeMap<String, String> {
        let found = files(&format!("src/store/migrations/{dialect}"), &[".sql"]);
        found
            .iter()
            .map(|f| {
                let name = f.path.rsplit('/').next().expect("a name");
                let (version, title) = name.split_once('_').unwrap_or_else(|| panic!("{}: not VERSION_title.sql", f.path));
                (version.to_owned(), title.to_owned())
            })
            .collect()
    };
    let (sqlite, postgres) = (versions("sqlite"), versions("postgres"));
    assert!(!sqlite.is_empty(), "no migration found");
    assert_eq!(sqlite, postgres, "a migration exists for one dialect only");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = files("", &[".md"]);
    assert!(pages.len() > 1);
    let mut findings = Vec::new();
    for page in &pages {
        let folder = root().join(&page.path);
        for (at, _) in page.text.match_indices("](") {
            let target = page.text[at + 2..].split([')', ' ', '\n']).next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !folder.parent().expect("a folder").join(target).exists() {
                findings.push(format!("{}: {target}", page.path));
            }
        }
    }
    none(findings, "the page links to a file that is not there");
}
