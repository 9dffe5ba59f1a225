//! The reference page of all commands, written from what the program itself accepts.

use super::Cli;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// Every command that does something, by its words, with what clap knows of it.
pub fn leaves() -> Vec<(Vec<String>, Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    collect(&root, &mut Vec::new(), &mut found);
    found
}

fn collect(command: &Command, words: &mut Vec<String>, found: &mut Vec<(Vec<String>, Command)>) {
    let mut below = command.get_subcommands().filter(|c| c.get_name() != "help").peekable();
    if below.peek().is_none() {
        found.push((words.clone(), command.clone()));
    }
    for sub in below {
        words.push(sub.get_name().to_owned());
        collect(sub, words, found);
        words.pop();
    }
}

/// The page below its hand-written head, as Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    let root = Cli::command();
    let mut group = String::new();
    table(&mut text, "## Of every command", root.get_arguments().filter(|a| a.is_global_set()));
    for (words, command) in leaves() {
        if words[0] != group {
            group.clone_from(&words[0]);
            let about = root.find_subcommand(&group).and_then(Command::get_about).map(ToString::to_string).unwrap_or_default();
            let _ = write!(text, "\n## `{group}`\n\n{about}.\n");
        }
        let own: Vec<&Arg> = command.get_arguments().filter(|a| !a.is_global_set() && a.get_id() != "help").collect();
        let mut usage = format!("rebated {}", words.join(" "));
        for arg in &own {
            let _ = write!(usage, " {}", in_usage(arg));
        }
        let _ = write!(text, "\n```\n{usage}\n```\n\n");
        if words.len() > 1 {
            let _ = writeln!(text, "{}.", command.get_about().map(ToString::to_string).unwrap_or_default());
        }
        if !own.is_empty() {
            table(&mut text, "", own.into_iter());
        }
    }
    text
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some([name, ..]) => name.to_string(),
        _ => arg.get_id().as_str().to_uppercase(),
    }
}

fn written(arg: &Arg) -> String {
    let value = if arg.get_action().takes_values() { value_name(arg) } else { String::new() };
    match arg.get_long() {
        Some(long) => format!("--{long} {value}").trim_end().to_owned(),
        None => value,
    }
}

fn in_usage(arg: &Arg) -> String {
    let many = arg.get_num_args().is_some_and(|n| n.max_values() > 1) || matches!(arg.get_action(), clap::ArgAction::Append);
    let text = format!("{}{}", written(arg), if many { "..." } else { "" });
    if arg.is_required_set() { text } else { format!("[{text}]") }
}

fn table<'a>(text: &mut String, heading: &str, args: impl Iterator<Item = &'a Arg>) {
    if !heading.is_empty() {
        let _ = writeln!(text, "{heading}");
    }
    let _ = write!(text, "\n| argument | meaning |\n|---|---|\n");
    for arg in args.filter(|a| a.get_id() != "help" && a.get_id() != "version") {
        let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = match arg.get_action().takes_values() {
            true => arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect(),
            false => Vec::new(),
        };
        if !values.is_empty() {
            let _ = write!(meaning, ": {}", values.join(", "));
        }
        let defaults: Vec<String> = arg
            .get_default_values()
            .iter()
            .map(|d| d.to_string_lossy().into_owned())
            .filter(|_| arg.get_action().takes_values())
            .collect();
        if !defaults.is_empty() {
            let _ = write!(meaning, " (default `{}`)", defaults.join(" "));
        }
        if let Some(variable) = arg.get_env() {
            let _ = write!(meaning, " (or `{}`)", variable.to_string_lossy());
        }
        let _ = writeln!(text, "| `{}` | {} |", written(arg), meaning.replace('|', "\\|"));
    }
}
