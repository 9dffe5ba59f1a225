//! Output: plain tables for people, JSON for programs.
//!
//! Who reads may leave at any time (`rebated ... | head -1`). Work that is under way is done to its
//! end all the same, and the exit code tells of the work: what the reader no longer takes is dropped.
//! Any other trouble with the output, such as a full disk, makes the command fail.
//!
//! Much of what is printed was written by others. Characters that act on a terminal instead of being
//! seen are written out (`core::visible`), here and for every command.

use super::app::Failure;
use crate::core::visible::{escaped, on_one_line};
use serde::Serialize;
use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::OnceLock;

/// As the standard one, which panics when nobody reads: it is hidden in this whole layer.
macro_rules! println {
    () => { $crate::cli::output::out(format_args!("")) };
    ($($part:tt)*) => { $crate::cli::output::out(format_args!($($part)*)) };
}
/// As the standard one, which panics when nobody reads.
macro_rules! eprintln {
    ($($part:tt)*) => { $crate::cli::output::note(format_args!($($part)*)) };
}

/// Why output was lost, other than by a reader that left.
static LOST: OnceLock<io::Error> = OnceLock::new();

fn write_line(mut to: impl Write, text: Arguments<'_>) {
    let written = match text.as_str() {
        Some(plain) => to.write_all(escaped(plain).as_bytes()),
        None => to.write_all(escaped(&text.to_string()).as_bytes()),
    };
    if let Err(error) = written.and_then(|()| to.write_all(b"\n"))
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// A line on stdout.
pub fn out(text: Arguments<'_>) {
    write_line(io::stdout().lock(), text);
}

/// A line on stderr.
pub fn note(text: Arguments<'_>) {
    write_line(io::stderr().lock(), text);
}

/// What went wrong with the output so far.
pub fn trouble() -> Option<&'static io::Error> {
    if let Err(error) = io::stdout().flush()
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
    LOST.get()
}

/// A table that aligns its columns; numbers to the right.
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }
    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.into_iter().map(|cell| on_one_line(&cell).into_owned()).collect());
    }
    /// Prints it, or one line when it is empty.
    pub fn print(&self, empty: &str) {
        if self.rows.is_empty() {
            println!("{empty}");
            return;
        }
        let width =
            |i: usize| self.rows.iter().map(|r| r[i].chars().count()).chain([self.header[i].chars().count()]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let numeric: Vec<bool> = (0..self.header.len())
            .map(|i| {
                self.rows
                    .iter()
                    .all(|r| r[i].is_empty() || r[i].chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '%')))
            })
            .collect();
        let line = |cells: &[String]| {
            let text: Vec<String> = cells
                .iter()
                .enumerate()
                .map(|(i, c)| {
                    let pad = " ".repeat(widths[i].saturating_sub(c.chars().count()));
                    if numeric[i] { format!("{pad}{c}") } else { format!("{c}{pad}") }
                })
                .collect();
            println!("{}", text.join("  ").trim_end());
        };
        line(&self.header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
        line(&widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>());
        for row in &self.rows {
            line(row);
        }
    }
}

/// Prints one JSON document.
pub fn print_json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("error: cannot print: {error}"),
    }
}

/// Prints a failure to stderr: lines for people, or the one JSON shape of all failures.
pub fn print_failure(failure: &Failure, json: bool) {
    let problems = failure.problems();
    if json {
        eprintln!("{}", serde_json::json!({ "problems": problems }));
        return;
    }
    match failure {
        Failure::Problems(_) => print_problems(&problems),
        // A code would tell a person nothing here.
        Failure::Use(_) | Failure::Failed(_) => {
            for problem in &problems {
                eprintln!("error: {}", problem.message);
                if let Some(help) = &problem.help {
                    eprintln!("  help: {help}");
                }
            }
        }
    }
}

/// What a command did, for commands that otherwise say one line.
pub fn print_done(json: bool, value: serde_json::Value, text: Arguments<'_>) {
    if json { print_json(&value) } else { out(text) }
}

/// Problems as `file:line:column: message` with a help line each.
pub fn print_problems(problems: &[crate::core::problem::Problem]) {
    for problem in problems {
        let place = problem.place.as_ref().map(|p| format!("{p}: ")).unwrap_or_default();
        eprintln!("error: {place}{} [{}]", problem.message, problem.code);
        if let Some(help) = &problem.help {
            eprintln!("  help: {help}");
        }
    }
    if problems.len() > 1 {
        eprintln!("{} problems", problems.len());
    }
}
