//! Paths from a row into its record: `a.b[0].c`, `^number` for the parent, `#` for the row's position.
//!
//! A key that ends in a point holds the record that its name points to (`party` and `party.`), so
//! `party.code` finds `{"party.": {"code": ...}}` too. A key that itself contains points is found by
//! its whole name first; one with other special characters stands in double quotes.

use crate::formats::Node;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Key { name: String, dotted: String },
    Index(usize),
}

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// How many parents up.
    up: usize,
    rest: String,
    segments: Vec<Segment>,
    /// `#`: the position of the row in its list, from 1.
    position: bool,
}

fn lookup<'a>(entries: &'a [(String, Node)], key: &str) -> Option<&'a Node> {
    entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let rest = trimmed.trim_start_matches('^');
        let up = trimmed.len() - rest.len();
        let mut path = Self { up, rest: rest.to_owned(), segments: Vec::new(), position: rest == "#" };
        if path.position {
            return Ok(path);
        }
        if let Some(name) = rest.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).filter(|name| !name.is_empty()) {
            path.rest = name.to_owned();
            path.segments.push(Segment::Key { name: name.to_owned(), dotted: format!("{name}.") });
            return Ok(path);
        }
        for part in rest.split('.') {
            let (name, mut indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.is_empty() || name.contains(['^', '"', ']']) {
                return Err(format!("`{trimmed}` is not a path"));
            }
            path.segments.push(Segment::Key { name: name.to_owned(), dotted: format!("{name}.") });
            while !indexes.is_empty() {
                let end = indexes.find(']').ok_or_else(|| format!("`{trimmed}` is not a path: a bracket is open"))?;
                let index =
                    indexes[1..end].parse().map_err(|_| format!("`{trimmed}` is not a path: `{indexes}` is no position"))?;
                path.segments.push(Segment::Index(index));
                indexes = &indexes[end + 1..];
                if !indexes.is_empty() && !indexes.starts_with('[') {
                    return Err(format!("`{trimmed}` is not a path"));
                }
            }
        }
        Ok(path)
    }
    /// Parents up from the row.
    pub(crate) fn up(&self) -> usize {
        self.up
    }
    /// Without the parent marks.
    pub(crate) fn rest(&self) -> &str {
        &self.rest
    }
    /// Whether it asks for the row's position.
    pub(crate) fn is_position(&self) -> bool {
        self.position
    }
    /// The value in the record that the parent marks lead to.
    pub(crate) fn resolve<'a>(&self, node: &'a Node) -> Option<&'a Node> {
        if let Node::Map(entries) = node
            && let Some(found) = lookup(entries, &self.rest)
        {
            return Some(found);
        }
        walk(node, &self.segments)
    }
    /// Whether the record speaks of the value: it has it, if only as `null`, or has nothing on the way to it.
    fn is_told(&self, node: &Node) -> bool {
        self.resolve(node).is_some()
            || (1..self.segments.len()).any(|length| matches!(walk(node, &self.segments[..length]), Some(Node::Null)))
    }
}

fn walk<'a>(mut node: &'a Node, segments: &[Segment]) -> Option<&'a Node> {
    for (at, segment) in segments.iter().enumerate() {
        node = match (segment, node) {
            (Segment::Key { name, dotted }, Node::Map(entries)) => {
                let direct = lookup(entries, name);
                match direct {
                    Some(Node::Map(_) | Node::List(_)) => direct?,
                    _ if at + 1 < segments.len() => lookup(entries, dotted)?,
                    _ => direct?,
                }
            }
            (Segment::Index(index), Node::List(items)) => items.get(*index)?,
            _ => return None,
        };
    }
    Some(node)
}

/// The lists that rows come from: `lines[]`, `orders[].lines[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowsPath {
    text: String,
    /// One step per list.
    steps: Vec<(String, Path)>,
}

impl RowsPath {
    /// Compiles `a[].b[]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let body = trimmed.strip_suffix("[]").ok_or_else(|| format!("`{trimmed}` must end in `[]`"))?;
        let steps = body
            .split("[].")
            .map(|step| match Path::parse(step)? {
                path if path.up > 0 || path.position => Err(format!("`{trimmed}` cannot lead to a parent")),
                path => Ok((step.to_owned(), path)),
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok(Self { text: trimmed.to_owned(), steps })
    }
    /// As written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
    /// Number of lists, and so of parents a row has.
    pub(crate) fn depth(&self) -> usize {
        self.steps.len()
    }
}

/// A row with its parents: the record first, the row last.
#[derive(Clone, Debug)]
pub(crate) struct Levels<'a> {
    /// Node, path from the record, position from 1.
    levels: Vec<(&'a Node, String, usize)>,
}

/// Why a record gave no rows.
pub(crate) enum NoRows {
    /// There is no list, or it is empty.
    Empty,
    /// Something else stands where the list should be.
    NotAList(String),
}

impl<'a> Levels<'a> {
    /// The record itself as the only row.
    pub(crate) fn record(node: &'a Node) -> Self {
        Self { levels: vec![(node, String::new(), 1)] }
    }
    /// Every row below the record, in source order.
    pub(crate) fn rows(&self, path: &RowsPath) -> Result<Vec<Levels<'a>>, NoRows> {
        let mut current = vec![self.clone()];
        for (text, step) in &path.steps {
            let mut next = Vec::new();
            for parent in &current {
                let (node, prefix, _) = &parent.levels[parent.levels.len() - 1];
                let prefix = if prefix.is_empty() { text.clone() } else { format!("{prefix}.{text}") };
                let mut add = |item: &'a Node, index: usize| {
                    let mut child = parent.clone();
                    child.levels.push((item, format!("{prefix}[{index}]"), index + 1));
                    next.push(child);
                };
                // A record whose key with a point holds the list: `lines` are ids, `lines.` the rows.
                match step.resolve_list(node) {
                    None | Some(Node::Null) => {}
                    Some(Node::List(items)) => items.iter().enumerate().for_each(|(index, item)| add(item, index)),
                    Some(single @ Node::Map(_)) => add(single, 0),
                    Some(_) => return Err(NoRows::NotAList(prefix)),
                }
            }
            current = next;
        }
        if current.is_empty() { Err(NoRows::Empty) } else { Ok(current) }
    }
    /// The node that a path starts from.
    fn base(&self, up: usize) -> Option<&(&'a Node, String, usize)> {
        self.levels.len().checked_sub(1 + up).and_then(|at| self.levels.get(at))
    }
    /// The value of a path; `#` is not a value.
    pub(crate) fn get(&self, path: &Path) -> Option<&'a Node> {
        path.resolve(self.base(path.up)?.0)
    }
    /// Whether the record speaks of the value of a path at all.
    pub(crate) fn tells(&self, path: &Path) -> bool {
        path.is_position() || self.base(path.up).is_some_and(|base| path.is_told(base.0))
    }
    /// The position from 1 of the row, or of the parent that `^#` names.
    pub(crate) fn position(&self, path: &Path) -> Option<usize> {
        self.base(path.up).map(|level| level.2)
    }
    /// The position of the row in its list, from 1.
    pub(crate) fn row_position(&self) -> usize {
        self.levels.last().map_or(1, |level| level.2)
    }
    /// Path of a value from the record, as problems name it.
    pub(crate) fn place_of(&self, path: &Path) -> String {
        match self.base(path.up) {
            Some((_, prefix, _)) if !prefix.is_empty() => format!("{prefix}.{}", path.rest),
            _ => path.rest.clone(),
        }
    }
    /// Path of the row from the record, empty for the record itself.
    pub(crate) fn row_path(&self) -> &str {
        self.levels.last().map_or("", |level| &level.1)
    }
    /// The nodes from the row upwards.
    pub(crate) fn upwards(&self) -> impl Iterator<Item = &'a Node> + '_ {
        self.levels.iter().rev().map(|level| level.0)
    }
}

impl Path {
    fn resolve_list<'a>(&self, node: &'a Node) -> Option<&'a Node> {
        if let (Node::Map(entries), [Segment::Key { dotted, .. }]) = (node, self.segments.as_slice())
            && let Some(found @ Node::List(_)) = lookup(entries, dotted)
        {
            return Some(found);
        }
        self.resolve(node)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::formats::json;

    fn get(json_text: &str, path: &str) -> Option<Node> {
        Path::parse(path).unwrap().resolve(&json::parse(json_text, "t").unwrap()).cloned()
    }

    #[test]
    fn paths_walk_maps_lists_and_keys_with_points() {
        let number = |text: &str| Some(Node::Number(text.to_owned()));
        assert_eq!(get(r#"{"a":{"b":[{"c":1},{"c":2}]}}"#, "a.b[1].c"), number("2"));
        assert_eq!(get(r#"{"party":7,"party.":{"code":8}}"#, "party.code"), number("8"));
        assert_eq!(get(r#"{"party":7,"party.":{"code":8}}"#, "party"), number("7"));
        assert_eq!(get(r#"{"party":null,"party.":null}"#, "party.code"), None);
        assert_eq!(get(r#"{"unit.":{"category.":{"name":9}}}"#, "unit.category.name"), number("9"));
        assert_eq!(get(r#"{"Doc. No.":5}"#, "\"Doc. No.\""), number("5"));
        assert_eq!(get(r#"{"Doc.No":5}"#, "Doc.No"), number("5"));
        assert_eq!(get(r#"{"a":1}"#, "b"), None);
        for bad in ["", "a..b", "a[", "a[x]", "a[1]b", "a.^b", "a]"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rows_know_every_parent_and_their_own_place() {
        let record =
            json::parse(r#"{"n":"R","orders":[{"n":"A","lines":[{"n":1}]},{"n":"B","lines":[{"n":2},{"n":3}]}]}"#, "t").unwrap();
        let rows_path = RowsPath::parse("orders[].lines[]").unwrap();
        let Ok(rows) = Levels::record(&record).rows(&rows_path) else { panic!("no rows") };
        assert_eq!(rows.len(), 3);
        let last = &rows[2];
        let text = |path: &str| match last.get(&Path::parse(path).unwrap()) {
            Some(Node::Text(text) | Node::Number(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((text("n"), text("^n"), text("^^n")), ("3".into(), "B".into(), "R".into()));
        assert_eq!(last.place_of(&Path::parse("^n").unwrap()), "orders[1].n");
        assert_eq!(last.place_of(&Path::parse("n").unwrap()), "orders[1].lines[1].n");
        assert_eq!(last.position(&Path::parse("#").unwrap()), Some(2));
        assert_eq!(last.get(&Path::parse("^^^n").unwrap()), None);
        assert!(RowsPath::parse("lines").is_err());
    }
}
