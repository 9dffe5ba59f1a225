//! Declarations: which keys a file has, of which type, what they default to and what they mean.
//!
//! Each file kind is declared once; refusals, JSON Schema and the reference tables all come from
//! the declaration, so they cannot disagree. Not here: the checking (`reader`), the schema
//! (`schema`). Invariant: `Default` texts satisfy their own kind (a test checks every shape).

/// The keys of one table.
#[derive(Debug)]
pub struct Shape {
    /// Name for messages and headings: `a term`, `[store]`.
    pub name: &'static str,
    /// What the table is for.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
    /// What any other key holds; `None` refuses other keys.
    pub rest: Option<Kind>,
    /// Further keys that depend on the word of one key.
    pub variants: Option<Variants>,
    /// For a variant: the shape whose keys it adds to.
    pub base: Option<&'static Shape>,
}

/// Shapes by the word of a key such as `type`.
#[derive(Debug)]
pub struct Variants {
    /// The deciding key; declared among the keys of the shape.
    pub tag: &'static str,
    /// Word and the shape with the keys that it adds. A word may be missing here: then it adds none.
    pub shapes: &'static [(&'static str, &'static Shape)],
}

impl Shape {
    /// A table in which every key is known.
    pub const fn new(name: &'static str, doc: &'static str, keys: &'static [Key]) -> Self {
        Self { name, doc, keys, rest: None, variants: None, base: None }
    }
    /// The same, with keys that depend on the word of the key `tag`.
    pub const fn with_variants(mut self, tag: &'static str, shapes: &'static [(&'static str, &'static Shape)]) -> Self {
        self.variants = Some(Variants { tag, shapes });
        self
    }
    /// A variant of `base`: its keys come on top.
    pub const fn variant_of(mut self, base: &'static Shape) -> Self {
        self.base = Some(base);
        self
    }
    /// The same with further keys of one kind.
    pub const fn with_rest(mut self, kind: Kind) -> Self {
        self.rest = Some(kind);
        self
    }
    /// The declaration of a key.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.all_keys().find(|k| k.name == name)
    }
    /// Its keys, those of its base first.
    pub fn all_keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.base.map_or(&[][..], |b| b.keys).iter().chain(self.keys)
    }
    /// The variant that a table is, by the word of the deciding key. `None` when the word is
    /// missing, unknown or not supported yet: then nothing can be said about the other keys.
    pub fn resolve(&'static self, tag_text: impl Fn(&Key) -> Option<String>) -> Option<&'static Shape> {
        let Some(variants) = &self.variants else { return Some(self) };
        let tag = self.key(variants.tag)?;
        let word = tag_text(tag)?;
        match variants.shapes.iter().find(|(w, _)| *w == word) {
            Some((_, shape)) => Some(shape),
            None if matches!(tag.kind, Kind::Word(words) | Kind::WordOrLater(words, _) if words.contains(&word.as_str())) => {
                Some(self)
            }
            None => None,
        }
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// snake_case name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it must be there.
    pub need: Need,
    /// What it means, one sentence.
    pub doc: &'static str,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It must.
    Required,
    /// It may be left out and then has no value.
    Optional,
    /// It may be left out and then has this value, written as in a file without quotes.
    Default(&'static str),
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, need: Need::Optional, doc }
    }
    /// The same, required.
    pub const fn required(mut self) -> Self {
        self.need = Need::Required;
        self
    }
    /// The same with a default.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.need = Need::Default(value);
        self
    }
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is not empty.
    Name,
    /// A whole number within bounds, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Flag,
    /// Quoted decimal with at most six decimals: money, quantity, weight.
    Amount,
    /// Quoted percentage such as `"2.5%"`.
    Rate,
    /// Quoted percentage or amount: `"10%"` or `"500.00"`.
    AmountOrRate,
    /// Quoted date `"2026-01-31"`.
    Date,
    /// Quoted month and day `"03-01"`.
    MonthDay,
    /// Quoted time span: `"500ms"`, `"30s"`, `"10m"`, `"2h"`, `"7d"`.
    Duration,
    /// Quoted number of days: `"7d"`.
    Days,
    /// ISO 4217 code.
    Currency,
    /// IANA time zone.
    Zone,
    /// An address with a scheme.
    Url,
    /// One of some words.
    Word(&'static [&'static str]),
    /// One of some words; the second set comes with a later version and is refused by name.
    WordOrLater(&'static [&'static str], &'static [&'static str]),
    /// A list of one kind.
    List(&'static Kind),
    /// A table, as `[name]` or `{ ... }`.
    Table(&'static Shape),
    /// A list of tables, as `[[name]]` or `[{ ... }]`.
    Tables(&'static Shape),
    /// A table with keys of the writer's choice, each of one kind.
    Map(&'static Kind),
    /// Any of several kinds; told apart by TOML type, the first that fits.
    Either(&'static [Kind]),
    /// Anything.
    Any,
    /// Known, but refused as `not-yet-supported` unless it is one of these texts that change nothing.
    Later(&'static [&'static str]),
}

/// The words of a [`words!`](crate::core::agreement) enum as a constant list.
pub const fn names<T, const N: usize>(words: &[(&'static str, T)]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = words[i].0;
        i += 1;
    }
    names
}

/// `word_kind!(Bound)`: a [`Kind::Word`] with the words of an enum.
macro_rules! word_kind {
    ($name:ty) => {{
        const NAMES: [&str; <$name>::WORDS.len()] = $crate::config::shape::names(<$name>::WORDS);
        const WORDS: &[&str] = &NAMES;
        $crate::config::shape::Kind::Word(WORDS)
    }};
}
pub(crate) use word_kind;

/// The candidate nearest to a misspelt name, when it is near enough to be meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|c| (distance(&wanted, &c.to_lowercase().replace('-', "_")), c))
        .filter(|(d, c)| *d <= (wanted.chars().count().max(c.chars().count()) / 3).max(1))
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Edit distance with swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_strange_one_finds_none() {
        let known = ["settlement", "stacking", "terms", "to"];
        assert_eq!(nearest("setlement", known), Some("settlement"));
        assert_eq!(nearest("term", known), Some("terms"));
        assert_eq!(nearest("Stacking", known), Some("stacking"));
        assert_eq!(nearest("ot", known), Some("to"));
        assert_eq!(nearest("colour", known), None);
    }
}
