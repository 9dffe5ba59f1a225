//! `init`: writes a workspace that `check` accepts.
//!
//! Invariant: nothing that exists is overwritten; secrets go into `.env`, which only its owner may
//! read and version control leaves out.

use crate::config::library::{self, Shipped};
use crate::config::shape::nearest;
use crate::core::problem::{Place, Problem};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why a workspace was not written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Wrong use.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// A file could not be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

const REBATED_TOML: &str = include_str!("init/rebated.toml");
const README: &str = include_str!("init/README.md");
const EXAMPLE: &str = include_str!("init/example-agreement.toml");
const GITIGNORE: &str =
    "# figures, secrets and mails stay out of version control\n*.db\n*.db-shm\n*.db-wal\n.env\noutbox/\nexchange/\n";

/// Writes a workspace into `dir`, with the files of the named shipped connectors. Gives the paths
/// written, relative to `dir`.
///
/// # Errors
/// `workspace-exists`, `unknown-connector`, or what the file system says.
pub fn write_workspace(dir: &Path, connectors: &[String]) -> Result<Vec<String>, InitError> {
    if dir.join("rebated.toml").exists() {
        return Err(Problem::new("workspace-exists", "there is a workspace already")
            .at(Place::source(dir.join("rebated.toml").display().to_string()))
            .help("name another folder, or copy single files from the shipped library by hand")
            .into());
    }
    let shipped = library::connectors();
    let mut files = vec![
        ("rebated.toml".to_owned(), REBATED_TOML.to_owned()),
        (".gitignore".to_owned(), GITIGNORE.to_owned()),
        ("README.md".to_owned(), README.to_owned()),
        ("agreements/example.toml".to_owned(), EXAMPLE.to_owned()),
    ];
    if let Some(nightly) = library::schedules().iter().find(|s| s.name == "nightly") {
        files.push(("schedules/nightly.toml".to_owned(), nightly.text.to_owned()));
    }
    let mut variables = BTreeSet::new();
    for name in connectors {
        let Some(connector) = shipped.iter().find(|s| s.name == name) else {
            let names: Vec<_> = shipped.iter().map(|s| s.name).collect();
            let problem = Problem::new("unknown-connector", format!("no connector `{name}` is shipped"));
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("shipped: {}", names.join(", ")),
            };
            return Err(problem.help(help).into());
        };
        files.push((format!("connectors/{name}.toml"), connector.text.to_owned()));
        variables.extend(variables_of(connector.text));
        for mapping in used_mappings(connector) {
            files.push((format!("mappings/{}.toml", mapping.name), mapping.text.to_owned()));
            let used = library::lookups().into_iter().filter(|l| mapping.text.contains(&format!("\"{}\"", l.name)));
            files.extend(used.map(|l| (format!("mappings/lookups/{}.csv", l.name), l.text.to_owned())));
        }
    }
    if !variables.is_empty() {
        let lines: String = variables.iter().map(|name| format!("{name}={}\n", placeholder(name))).collect();
        files.push((
            ".env".to_owned(),
            format!("# Values of ${{NAME}} in the files beside; variables of the process win.\n{lines}"),
        ));
    }
    let mut seen = BTreeSet::new();
    files.retain(|(path, _)| seen.insert(path.clone()));
    for (path, text) in &files {
        write_new(&dir.join(path), text)?;
    }
    // A folder that is not there is an error for whoever reads it: it may be a share that is not mounted.
    for folder in connectors.iter().filter_map(|name| shipped.iter().find(|s| s.name == name)).flat_map(|c| folders_of(c.text)) {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder).map_err(|source| InitError::Io { path: folder, source })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Mappings of the library that a connector names; the canonical ones need no copy.
fn used_mappings(connector: &Shipped) -> Vec<Shipped> {
    library::mappings()
        .into_iter()
        .filter(|m| !m.name.starts_with("canonical-") && connector.text.contains(&format!("\"{}\"", m.name)))
        .collect()
}

/// Folders inside the workspace that a connector reads and writes.
fn folders_of(text: &str) -> Vec<String> {
    let values =
        text.lines().filter_map(|line| line.trim().strip_prefix("folder")?.trim_start().strip_prefix('=')?.split('"').nth(1));
    values.filter(|folder| !folder.starts_with('/') && !folder.contains("..")).map(str::to_owned).collect()
}

/// Names in `${NAME}`.
fn variables_of(text: &str) -> Vec<String> {
    let names = text.lines().filter(|l| !l.trim_start().starts_with('#')).flat_map(|l| l.split("${").skip(1));
    names.filter_map(|rest| rest.split('}').next()).filter(|n| !n.contains(':')).map(str::to_owned).collect()
}

fn placeholder(name: &str) -> &'static str {
    if name.ends_with("URL") { "https://change-me.example" } else { "change-me" }
}

fn write_new(path: &Path, text: &str) -> Result<(), InitError> {
    let io = |source| InitError::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if path.file_name().is_some_and(|n| n == ".env") {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    match options.open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(io),
        // A file of the user's own stays as it is.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io(error)),
    }
}
