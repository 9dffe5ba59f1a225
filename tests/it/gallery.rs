//! The error gallery: each refusal of a workspace file in its exact words, and its page.

use crate::support::source::root;
use rebated::config::check::{NothingFurther, check_with, render};
use rebated::config::variables::Variables;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Codes that no file shows: they are about the folder or the command.
const WITHOUT_FILE: &[&str] = &["no-workspace", "workspace-exists", "connector-file"];

fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("tests/errors")).unwrap();
    let mut found: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    found.sort();
    assert!(found.len() > 40, "the gallery is empty: {found:?}");
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What `check` prints about a workspace with the folder's files in their places.
fn printed(folder: &Path) -> String {
    let workspace = tempfile::tempdir().unwrap();
    let dir = workspace.path();
    std::fs::write(dir.join("rebated.toml"), crate::workspace::COMPANY).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let place = match name(&path).as_str() {
            "message.txt" => continue,
            "rebated.toml" => dir.to_owned(),
            table if table.ends_with(".csv") => dir.to_owned(),
            other => dir.join(format!("{}s", other.trim_end_matches(".toml").trim_end_matches("-2"))),
        };
        std::fs::create_dir_all(&place).unwrap();
        std::fs::copy(&path, place.join(name(&path))).unwrap();
    }
    let variables = Variables::given([("ERP_URL".to_owned(), "https://erp.example".to_owned())], dir);
    render(&check_with(dir, &[], &variables, &mut NothingFurther).problems)
}

#[test]
fn every_bad_file_of_the_gallery_is_refused_in_its_own_words() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let (code, found) = (name(&folder), printed(&folder));
        if !found.contains(&format!("[{code}]")) {
            wrong.push(format!("{code}: is not among the problems:\n{found}"));
            continue;
        }
        let message = folder.join("message.txt");
        if std::env::var_os("UPDATE_GALLERY").is_some() {
            std::fs::write(&message, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&message).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{code}: expected\n{expected}found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_message_of_the_gallery_has_a_place_and_a_help() {
    for folder in folders() {
        let text = std::fs::read_to_string(folder.join("message.txt")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let (messages, helps): (Vec<&str>, Vec<&str>) = lines.iter().partition(|l| !l.starts_with("  help: "));
        assert_eq!(messages.len(), helps.len(), "{}", folder.display());
        for message in messages {
            let place = message.split(": ").next().unwrap();
            assert!(place.contains(".toml:") || place.contains(".csv:"), "{message}");
        }
    }
}

/// Codes in the sources of a layer, by the calls that make problems.
fn codes_in(layer: &str) -> BTreeSet<String> {
    let calls = ["Problem::new(", ".problem(", "refuse("];
    let mut found = BTreeSet::new();
    for file in crate::support::source::files(layer, &[".rs"]) {
        for call in calls {
            for rest in file.text.split(call).skip(1) {
                let Some(quoted) = rest.trim_start().strip_prefix('"') else { continue };
                found.extend(quoted.split('"').next().map(str::to_owned));
            }
        }
    }
    found
}

#[test]
fn every_code_of_the_workspace_layer_is_shown_in_the_gallery_and_documented() {
    let shown: BTreeSet<String> = folders().iter().map(|f| name(f)).collect();
    let page = std::fs::read_to_string(root().join("docs/reference/problems.md")).unwrap();
    let codes = codes_in("src/config");
    assert!(codes.len() > 40, "{codes:?}");
    let missing: Vec<_> = codes.iter().filter(|c| !shown.contains(*c) && !WITHOUT_FILE.contains(&c.as_str())).collect();
    assert!(missing.is_empty(), "not in tests/errors: {missing:?}");
    let undocumented: Vec<_> = codes.union(&shown).filter(|c| !page.contains(&format!("`{c}`"))).collect();
    assert!(undocumented.is_empty(), "not in docs/reference/problems.md: {undocumented:?}");
}
