//! Reading the tree as text: its files, and Rust source with comments and literals blanked out.

use std::path::{Path, PathBuf};

/// One file of the tree.
pub struct SourceFile {
    /// Path from the root, with `/`.
    pub path: String,
    pub text: String,
}

/// The package's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every UTF-8 file below `folder` (from the root) whose name ends with one of `endings`, sorted. Built and
/// hidden folders are left out.
pub fn files(folder: &str, endings: &[&str]) -> Vec<SourceFile> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut |path| {
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
        if endings.iter().any(|e| name.ends_with(e))
            && let Ok(text) = std::fs::read_to_string(path)
        {
            found.push(SourceFile { path: name, text });
        }
    });
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path: PathBuf = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules" | "proptest-regressions") {
                walk(&path, visit);
            }
        } else if name != ".DS_Store" {
            visit(&path);
        }
    }
}

/// Rust source with comments and the inside of string and character literals replaced by blanks;
/// lines keep their numbers.
pub fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    while i < chars.len() {
        let rest = &chars[i..];
        let end = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['"', ..] => quoted(rest, '"'),
            ['r', '"' | '#', ..] | ['b', 'r', ..] if !in_word(&chars, i) => raw_string(rest),
            ['\'', '\\', ..] => quoted(rest, '\''),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        if end == 0 {
            out.push(chars[i]);
            i += 1;
        } else {
            out.extend(rest[..end].iter().map(|c| blank(*c)));
            i += end;
        }
    }
    out
}

fn in_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut i) = (0, 0);
    while i < rest.len() {
        match &rest[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => {
                (depth, i) = (depth - 1, i + 2);
                if depth == 0 {
                    return i;
                }
            }
            _ => i += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut i = 1;
    while i < rest.len() {
        match rest[i] {
            '\\' => i += 2,
            c if c == quote => return i + 1,
            _ => i += 1,
        }
    }
    rest.len()
}

/// Length of the raw string that starts here; 0 when none does (`r#type`, `br` in a word).
fn raw_string(rest: &[char]) -> usize {
    let start = if rest[0] == 'b' { 2 } else { 1 };
    let hashes = rest[start..].iter().take_while(|c| **c == '#').count();
    if rest.get(start + hashes) != Some(&'"') {
        return 0;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = start + hashes + 1;
    rest[body..].windows(close.len()).position(|w| w == close).map_or(rest.len(), |p| body + p + close.len())
}

/// Whether `word` stands in `text` with no letter, digit or underscore on either side.
pub fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part) && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[test]
fn comments_and_literals_are_no_code() {
    let source = "use a; // use crate::x\n/* crate::y /* nested */ */ let s = \"crate::z \\\" still\"; let r = r#\"crate::w \" \"#; let c = '\"'; let l: &'a str = r#type;";
    let code = code_only(source);
    assert!(!code.contains("crate::"), "{code}");
    assert!(code.contains("use a;") && code.contains("let c =") && code.contains("let l: &'a str = r#type;"), "{code}");
    assert_eq!(code.lines().count(), source.lines().count());
}

#[test]
fn a_word_is_not_found_inside_another() {
    assert!(has_word("an f64 here", "f64") && has_word("sap", "sap"));
    assert!(!has_word("asap disappears f64x", "sap") && !has_word("f64x", "f64"));
}
