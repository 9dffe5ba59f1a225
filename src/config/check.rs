//! `check`: every file of a workspace, and what holds between files.
//!
//! What only higher layers can tell (does a mapping compile, does a driver take its tables) comes
//! in through [`Further`]. Invariant: nothing is written and nobody is contacted.

use crate::config::connector_file::ConnectorConfig;
use crate::config::reader::in_file_order;
use crate::config::shape::nearest;
use crate::config::variables::Variables;
use crate::config::workspace::{LookupText, MappingFile, Parts, place_in};
use crate::core::agreement::PayoutMethod;
use crate::core::problem::{Problem, Problems};
use std::fmt::Write;
use std::path::Path;

/// Checks of higher layers.
pub trait Further {
    /// Compiles a mapping and runs its in-file tests.
    fn mapping(&mut self, mapping: &MappingFile, lookups: &[LookupText]) -> Problems;
    /// Opens a connector's driver without contacting anybody.
    fn connector(&mut self, connector: &ConnectorConfig, dir: &Path) -> Problems;
}

/// No further checks.
pub struct NothingFurther;

impl Further for NothingFurther {
    fn mapping(&mut self, _: &MappingFile, _: &[LookupText]) -> Problems {
        Problems::default()
    }
    fn connector(&mut self, _: &ConnectorConfig, _: &Path) -> Problems {
        Problems::default()
    }
}

/// What a check found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// Files that were read.
    pub files: Vec<String>,
    /// Every problem, file by file.
    pub problems: Vec<Problem>,
}

/// Checks a workspace with the variables of this process.
pub fn check_workspace(dir: &Path, flags: &[(String, String)], further: &mut dyn Further) -> Report {
    check_with(dir, flags, &Variables::of_process(dir), further)
}

/// The same with given variables.
pub fn check_with(dir: &Path, flags: &[(String, String)], variables: &Variables, further: &mut dyn Further) -> Report {
    let (parts, mut problems) = Parts::read(dir, flags, variables);
    for mapping in parts.mappings.iter().filter(|m| !m.shipped) {
        problems.0.extend(further.mapping(mapping, &parts.lookups).0);
    }
    for connector in &parts.connectors {
        let found = further.connector(connector, dir);
        problems.0.extend(found.0.into_iter().map(|p| with_place(p, dir, connector)));
        unknown_mappings(&parts, connector, dir, &mut problems);
    }
    unknown_connectors(&parts, &mut problems);
    in_file_order(&mut problems);
    Report { files: parts.files.into_iter().map(|f| f.path).collect(), problems: problems.0 }
}

fn connector_path(connector: &ConnectorConfig) -> String {
    format!("connectors/{}.toml", connector.name)
}

/// A driver knows the path of a key in its file; the line is found here.
fn with_place(mut problem: Problem, dir: &Path, connector: &ConnectorConfig) -> Problem {
    let path = connector_path(connector);
    let known = problem.place.as_ref().is_some_and(|p| p.line.is_some());
    if !known && let Ok(text) = std::fs::read_to_string(dir.join(&path)) {
        let inside = problem.place.as_ref().and_then(|p| p.path.clone()).unwrap_or_default();
        problem.place = Some(place_in(&path, &text, &inside));
    }
    problem
}

fn unknown_mappings(parts: &Parts, connector: &ConnectorConfig, dir: &Path, problems: &mut Problems) {
    for (key, name) in connector.mappings() {
        if parts.mappings.iter().any(|m| m.name == name) {
            continue;
        }
        let path = connector_path(connector);
        let text = std::fs::read_to_string(dir.join(&path)).unwrap_or_default();
        let problem = Problem::new("unknown-mapping", format!("there is no mapping `{name}`")).at(place_in(&path, &text, &key));
        problems.push(match nearest(&name, parts.mappings.iter().map(|m| m.name.as_str())) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("write mappings/{name}.toml, or name a mapping of the shipped library")),
        });
    }
}

fn unknown_connectors(parts: &Parts, problems: &mut Problems) {
    for (version, file) in &parts.agreements {
        let settlement = &version.settlement;
        let Some(name) = settlement.connector.as_deref().filter(|_| settlement.method != PayoutMethod::AccrueOnly) else {
            continue;
        };
        let place = || place_in(&file.path, &file.text, "settlement.connector");
        match parts.connectors.iter().find(|c| c.name == name) {
            Some(connector) if connector.push.contains_key("credit-memo") => {}
            Some(_) => problems.push(
                Problem::new("no-push", format!("the connector `{name}` takes no credit memos"))
                    .at(place())
                    .help(format!("add [push.credit-memo] to connectors/{name}.toml, or name another connector")),
            ),
            // A connector file with problems of its own is not missing.
            None if parts.files.iter().any(|f| f.path == format!("connectors/{name}.toml")) => {}
            None => {
                let problem = Problem::new("unknown-connector", format!("there is no connector `{name}`")).at(place());
                problems.push(match nearest(name, parts.connectors.iter().map(|c| c.name.as_str())) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem
                        .help(format!("write connectors/{name}.toml, or copy a shipped one: rebated init DIR --connector NAME")),
                });
            }
        }
    }
}

/// Problems as people read them: `file:line:column: message`, and a line of help each.
pub fn render(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let place = problem.place.as_ref().map(|p| format!("{p}: ")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{place}{} [{}]", problem.message, problem.code);
        if let Some(help) = &problem.help {
            let _ = writeln!(text, "  help: {help}");
        }
    }
    text
}
