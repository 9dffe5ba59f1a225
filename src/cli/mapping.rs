//! `mapping try MAPPING SAMPLE`: source path, raw and mapped value of every field.

use super::app::{Failure, load_workspace};
use super::output::{Table, print_json};
use super::{Done, Global};
use crate::formats::FormatError;
use crate::mapping::{Context, trial};
use crate::pipeline::catalog;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Show what a mapping makes of a sample document
    Try {
        /// Mapping name, or its file
        mapping: String,
        /// Sample document
        sample: PathBuf,
        /// Most rows shown
        #[arg(long, default_value_t = 20)]
        rows: usize,
    },
}

pub fn run(command: MappingCommand, global: &Global) -> Result<Done, Failure> {
    let MappingCommand::Try { mapping: name, sample, rows } = command;
    let workspace = load_workspace(global)?;
    // The file is what an admin has at hand: mappings/mine.toml is the mapping `mine`.
    let name = match name.strip_suffix(".toml") {
        Some(file) => file.rsplit(['/', '\\']).next().unwrap_or(file).to_owned(),
        None => name,
    };
    let Some(mapping) = catalog::mapping(&workspace, &name)? else {
        return Err(Failure::Use(format!("there is no mapping `{name}` under mappings/ or in the shipped library")));
    };
    let file = sample.file_name().map_or_else(|| sample.display().to_string(), |n| n.to_string_lossy().into_owned());
    let mut input = std::fs::File::open(&sample).map_err(|e| Failure::Use(format!("{}: {e}", sample.display())))?;
    let company = &workspace.config.company;
    let context = Context { company: Some(company.code.clone()), currency: company.currency, timezone: company.timezone };
    let found = match trial::run(&mapping, &mapping.format_for(&file), &mut input, &file, &context, rows) {
        Ok(found) => found,
        Err(FormatError::Refused(problems)) => return Err(problems.into()),
        Err(FormatError::Io(error)) => return Err(Failure::Failed(error.into())),
    };
    if global.json {
        print_json(&found);
    } else {
        for row in &found {
            println!("{}: {}{}", row.place, row.outcome, row.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default());
            let mut table = Table::new(&["field", "source", "raw", "value", "problem"]);
            for f in &row.fields {
                table.row(vec![
                    f.field.clone(),
                    f.path.clone(),
                    f.raw.clone().unwrap_or_default(),
                    f.value.clone().unwrap_or_default(),
                    f.problem.as_ref().map(|p| p.message.clone()).unwrap_or_default(),
                ]);
            }
            table.print("no fields");
            for p in &row.problems {
                println!("  {p}");
            }
            println!();
        }
    }
    Ok(if found.iter().any(|r| r.outcome == "problem") { Done::Waiting } else { Done::Clean })
}
