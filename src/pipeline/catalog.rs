//! What the workspace and the shipped library hold, by name; a workspace file of the same name wins.

use super::PipelineResult;
use crate::config::Workspace;
use crate::mapping::LookupFile;
use crate::mapping::Mapping;

/// Rank of feeds that are the record of truth, and of those that only fill in (case 23).
const TRUTH: i64 = 10;
const FILL_IN: i64 = 5;

/// Compiles a mapping by name; `None` when there is none.
pub fn mapping(workspace: &Workspace, name: &str) -> PipelineResult<Option<Mapping>> {
    let Some(file) = workspace.mapping(name) else { return Ok(None) };
    let lookups = |lookup: &str| workspace.lookup(lookup).map(|l| LookupFile { name: l.path.clone(), text: l.text.clone() });
    Ok(Some(Mapping::compile(&file.path, &file.text, &lookups)?))
}

fn feed_word<'a>(workspace: &'a Workspace, connector: &str, feed: &str, key: &str) -> Option<&'a str> {
    workspace.connectors.iter().find(|c| c.name == connector)?.feeds.get(feed)?.get(key)?.as_str()
}

/// Whether the last row of separated text has to end with a line end: one without may have been cut off.
pub fn line_end_required(workspace: &Workspace, connector: &str, feed: &str) -> bool {
    feed_word(workspace, connector, feed, "line_end") != Some("optional")
}

/// Rank of a feed: `authority = "fill-in"` gives way to what the record of truth delivers.
pub fn source_rank(workspace: &Workspace, connector: &str, feed: &str) -> i64 {
    let authority = feed_word(workspace, connector, feed, "authority");
    if authority == Some("fill-in") { FILL_IN } else { TRUTH }
}

/// The connector that takes credit memos: the one named, else the only one that can.
pub fn push_connector(workspace: &Workspace, named: Option<&str>) -> Option<String> {
    let mut able = workspace.connectors.iter().filter(|c| c.push.contains_key(super::push::CREDIT_MEMO));
    match named {
        Some(name) => able.find(|c| c.name == name).map(|c| c.name.clone()),
        None => {
            let first = able.next()?;
            able.next().is_none().then(|| first.name.clone())
        }
    }
}
