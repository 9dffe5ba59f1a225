//! The page for newcomers, played by a shell as it is written: what it promises is what they get.

use crate::support::binary::Workspace;
use crate::support::source;
use std::path::Path;
use std::process::Command;

/// The commands of a page, in order.
fn commands(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[test]
fn the_first_night_goes_as_its_page_says() {
    let page = std::fs::read_to_string(source::root().join("docs/start/README.md")).unwrap();
    let script = commands(&page);
    assert!(script.lines().count() > 20, "no commands on the page");
    let workspace = Workspace::empty();
    let program = Path::new(env!("CARGO_BIN_EXE_rebated"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REBATED_")) {
        shell.env_remove(name);
    }
    let output = shell.args(["-e", "-c", &script]).current_dir(workspace.path()).env("PATH", path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // Every figure that the page names, and what it says about them.
    for word in ["unknown-item", "234.00", "250.00", "1 of 1 approvals, approved", "the chain is intact"] {
        assert!(said.contains(word), "no {word:?} in\n{said}");
    }
    let files = |folder: &str, ending: &str| {
        let entries = std::fs::read_dir(workspace.path().join("first-night").join(folder)).unwrap();
        entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
    };
    assert_eq!(files("exchange/credit-memos", ".json"), 1, "one memo, however often the night runs");
    assert!(files("outbox", ".eml") >= 1);
}
