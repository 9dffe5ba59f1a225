//! Documentation names no command that does not exist, and its page of commands is fresh.

use crate::support::source;
use clap::{Command, CommandFactory};
use rebated::cli::{Cli, reference};
use rebated::core::rights;

const GENERATED: &str = "<!-- generated from here on -->\n";
const RIGHTS: (&str, &str) = ("<!-- rights -->\n", "<!-- end of rights -->");

#[test]
fn the_page_of_commands_is_what_the_program_accepts() {
    let path = source::root().join("docs/reference/commands.md");
    let stored = std::fs::read_to_string(&path).unwrap();
    let (head, _) = stored.split_once(GENERATED).unwrap();
    let (before, rest) = head.split_once(RIGHTS.0).unwrap();
    let (_, after) = rest.split_once(RIGHTS.1).unwrap();
    let fresh = format!("{before}{}{}{}{after}{GENERATED}{}", RIGHTS.0, rights::markdown(), RIGHTS.1, reference::markdown());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    } else {
        assert!(stored == fresh, "docs/reference/commands.md is stale: UPDATE_SCHEMAS=1 cargo nextest run docs");
    }
}

/// Pieces of a page that are code: spans, and the lines of blocks.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            block = !block;
        } else if block {
            found.push(line.to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// What follows `rebated` on a command line, up to where the shell takes over.
fn calls(code: &str) -> Vec<Vec<String>> {
    let ends = |word: &str| word.starts_with(['|', '#', ';', '&', '>', ')', '(', '\\']) || word == "->";
    let words: Vec<&str> = code.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let name = word.trim_start_matches(['$', '(', '"', '\'']);
        if name == "rebated" || name == "target/release/rebated" || word.ends_with("=$(rebated") {
            let mut call = Vec::new();
            for word in &words[at + 1..] {
                if ends(word) {
                    break;
                }
                call.push(word.trim_end_matches([')', '"', ';', ',', '.', ':']).to_owned());
            }
            found.push(call);
        }
    }
    found
}

/// Why a call cannot be one, if so.
fn wrong(call: &[String]) -> Option<String> {
    let mut root = Cli::command();
    root.build();
    let mut command: &Command = &root;
    let mut words = call.iter();
    while let Some(word) = words.next() {
        if let Some(flag) = word.strip_prefix("--") {
            let name = flag.split('=').next().unwrap_or_default();
            let Some(arg) = command.get_arguments().find(|a| a.get_long() == Some(name)) else {
                return Some(format!("`{}` has no --{name}", command.get_name()));
            };
            if arg.get_action().takes_values() && !flag.contains('=') {
                words.next();
            }
        } else if command.has_subcommands() {
            let placeholder = !word.chars().all(|c| c.is_ascii_lowercase() || c == '-') || word.is_empty();
            match command.find_subcommand(word) {
                Some(found) => command = found,
                None if placeholder => return None,
                None => return Some(format!("`{}` has no command `{word}`", command.get_name())),
            }
        }
    }
    None
}

#[test]
fn no_page_and_no_message_names_a_command_that_does_not_exist() {
    let mut pages: Vec<source::SourceFile> = source::files("docs", &[".md"]);
    for folder in ["demo", "mappings", "connectors", "schedules", "packaging", "tests/scenarios", "tests/errors"] {
        pages.extend(source::files(folder, &[".md", ".service"]));
    }
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(source::root().join(name)).unwrap();
        pages.push(source::SourceFile { path: name.into(), text });
    }
    let root = Cli::command();
    let groups: Vec<&Command> = root.get_subcommands().filter(|c| c.has_subcommands()).collect();
    let (mut checked, mut faults) = (0, Vec::new());
    // `statement resend` is named there before it exists.
    pages.retain(|page| page.path != "docs/operate/statements.md");
    for page in &pages {
        for piece in code(&page.text) {
            let mut found = calls(&piece);
            // `settlement push ID`: a command without the program's name.
            let words: Vec<String> = piece.split_whitespace().map(str::to_owned).collect();
            let word = |at: usize| words.get(at).map_or("", String::as_str);
            if groups.iter().any(|g| g.get_name() == word(0))
                && word(1).chars().all(|c| c.is_ascii_lowercase() || c == '-')
                && words.len() > 1
            {
                found.push(words.clone());
            }
            for call in found {
                checked += 1;
                faults.extend(wrong(&call).map(|why| format!("{}: `{piece}`: {why}", page.path)));
            }
        }
    }
    let in_docs = checked;
    // What the program itself says, in its messages, helps and files.
    let mut files = source::files("src", &[".rs", ".toml"]);
    for folder in ["connectors", "mappings", "schedules", "demo"] {
        files.extend(source::files(folder, &[".toml"]));
    }
    for file in &files {
        for line in file.text.lines() {
            for start in ["`rebated ", ": rebated ", "then: rebated "] {
                for (at, _) in line.match_indices(start) {
                    let rest = &line[at + start.len() - "rebated ".len()..];
                    let end = rest.find(['`', '"', '(']).unwrap_or(rest.len());
                    for call in calls(&rest[..end].replace(['{', '}'], "X")) {
                        checked += 1;
                        faults.extend(wrong(&call).map(|why| format!("{}: {}: {why}", file.path, line.trim())));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(in_docs > 60 && checked > in_docs + 25, "{in_docs} calls in pages, {} in messages", checked - in_docs);
}

#[test]
fn the_check_sees_commands_and_flags_that_do_not_exist() {
    let call = |text: &str| calls(text).first().cloned().unwrap_or_default();
    assert_eq!(
        wrong(&call("rebated statement resurrect --partner X")).as_deref(),
        Some("`statement` has no command `resurrect`")
    );
    assert_eq!(wrong(&call("T=$(rebated user token bob | awk x)")), None);
    assert_eq!(
        wrong(&call("REBATED_TOKEN=$T rebated settlement approve 1 --twice")).as_deref(),
        Some("`approve` has no --twice")
    );
    assert_eq!(wrong(&call("rebated settlement list --json")), None);
}
