//! Output: plain tables for people, JSON for programs.

use super::app::Failure;
use serde::Serialize;

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
        self.rows.push(cells);
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

/// Prints a failure to stderr, as lines for people or as JSON.
pub fn print_failure(failure: &Failure, json: bool) {
    match failure {
        Failure::Problems(problems) if json => {
            eprintln!("{}", serde_json::json!({ "problems": problems.0 }));
        }
        Failure::Problems(problems) => print_problems(&problems.0),
        Failure::Use(message) if json => eprintln!("{}", serde_json::json!({ "error": message })),
        Failure::Use(message) => eprintln!("error: {message}"),
        Failure::Failed(error) if json => eprintln!("{}", serde_json::json!({ "error": format!("{error:#}") })),
        Failure::Failed(error) => eprintln!("error: {error:#}"),
    }
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
