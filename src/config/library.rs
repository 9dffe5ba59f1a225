//! The shipped library: connectors, mappings, lookups and schedules embedded in the program.
//!
//! Not here: what the files mean. Invariant: a workspace file of the same name wins; an embedded
//! connector is never active by itself, `init --connector` copies it.

use include_dir::{Dir, include_dir};

static CONNECTORS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/connectors");
static MAPPINGS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mappings");
static SCHEDULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schedules");

/// A file that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name without the ending.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

fn texts(dir: &'static Dir<'static>, ending: &str) -> Vec<Shipped> {
    let mut found: Vec<_> = dir
        .files()
        .filter_map(|file| {
            let name = file.path().file_name()?.to_str()?.strip_suffix(ending)?;
            Some(Shipped { name, text: file.contents_utf8()? })
        })
        .collect();
    found.sort_by_key(|s| s.name);
    found
}

/// `connectors/*.toml`.
pub fn connectors() -> Vec<Shipped> {
    texts(&CONNECTORS, ".toml")
}
/// `mappings/*.toml`.
pub fn mappings() -> Vec<Shipped> {
    texts(&MAPPINGS, ".toml")
}
/// `mappings/lookups/*.csv`.
pub fn lookups() -> Vec<Shipped> {
    MAPPINGS.get_dir("lookups").map_or_else(Vec::new, |dir| texts(dir, ".csv"))
}
/// `schedules/*.toml`.
pub fn schedules() -> Vec<Shipped> {
    texts(&SCHEDULES, ".toml")
}
