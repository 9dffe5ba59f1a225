//! Running sums: what lines add to the figures of a term, partner and period.
//!
//! Sums are exact and additive: folding a document adds, taking its superseded version back
//! subtracts, and neither depends on the order. Nothing here rounds.

use crate::core::number::Exact;
use crate::core::period::Period;
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

/// Which figure: an agreement's term, a partner and an accumulation period.
///
/// `agreement` and `term` are indexes of the `Matcher` that made the key; ask it for the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index of the agreement in its matcher.
    pub agreement: u32,
    /// Index of the term id among all term ids that the agreement's versions ever had.
    pub term: u32,
    /// Partner that the line counts for, merges applied.
    pub partner_id: i64,
    /// Accumulation period, clipped to the agreement's validity.
    pub period: Period,
    /// 0, or the document id (`accumulate = "document"`) or line id (`"line"`).
    pub part: i64,
}

/// Slot of the qualifier.
pub const QUALIFIER: usize = 0;
/// Slot of the base.
pub const BASE: usize = 1;
/// Slot of what the qualifier is a share of.
pub const WHOLE: usize = 2;

/// Exact sums of counted lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// 0 qualifier, 1 base, 2 what the qualifier is a share of.
    pub slots: [Exact; 4],
    /// Lines counted.
    pub lines: i64,
    /// Documents with at least one counted line.
    pub documents: i64,
}

impl Sums {
    /// Adds (`sign` 1) or takes back (`sign` -1).
    pub fn add(&mut self, other: &Sums, sign: i64) {
        for (mine, theirs) in self.slots.iter_mut().zip(other.slots) {
            if sign < 0 {
                *mine -= theirs;
            } else {
                *mine += theirs;
            }
        }
        self.lines += sign * other.lines;
        self.documents += sign * other.documents;
    }
    /// Whether nothing is left.
    pub fn is_zero(&self) -> bool {
        *self == Sums::default()
    }
}

/// What one line or document gives to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The figure.
    pub key: Key,
    /// Which of its sums, see [`facet`].
    pub facet: i64,
    /// First day of the accounting month (or of the settlement week in it) that holds the line.
    pub bucket: NaiveDate,
    /// Agreement version whose ladder applies.
    pub version: u32,
    /// What it adds.
    pub sums: Sums,
    /// What it adds to other sums of the figure, by facet.
    pub sides: Vec<(i64, Exact)>,
}

/// Kinds of sums that one figure is reckoned from (`Cell::facet`).
pub mod facet {
    /// What the figure's own lines add up to.
    pub const MAIN: i64 = 0;
    /// What lines of the baseline period add up to.
    pub const BASELINE: i64 = 1;
    /// A baseline that stands: frozen, or given by a table.
    pub const STANDING_BASELINE: i64 = 2;

    /// The base of lines on which another agreement pays.
    pub const LOST: i64 = 3;

    /// What a mix asks a minimum of, by its number from 1.
    pub const fn minimum(number: i64) -> i64 {
        10 + number
    }
    /// The base of the term whose benefit is taken off, on lines that both count, by its place in `after` from 1.
    pub const fn after(place: i64) -> i64 {
        1_000_000 + place
    }
    /// The place in `after` of such a sum.
    pub fn after_place(facet: i64) -> Option<i64> {
        (facet > 1_000_000).then_some(facet - 1_000_000)
    }
    /// What lines without an item add up to, where items are told apart.
    pub const NO_ITEM: i64 = -(1 << 60);
    /// What each item adds up to.
    pub const fn item(id: i64) -> i64 {
        -id
    }
    /// What each category adds up to: by its full path, since categories have no number.
    pub fn category(path: &str) -> i64 {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(path.as_bytes());
        let head = u64::from_be_bytes(std::array::from_fn(|i| digest[i]));
        -((1i64 << 61) | i64::try_from(head >> 3).unwrap_or(0))
    }
    /// Whether it is the sum of one item or category.
    pub const fn is_by_item(facet: i64) -> bool {
        facet < 0
    }
}

/// Address of one running sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The figure.
    pub key: Key,
    /// Which of the figure's sums, see [`facet`].
    pub facet: i64,
    /// Accounting month.
    pub bucket: NaiveDate,
    /// Agreement version.
    pub version: u32,
}

/// A fact found while matching that a person has to decide on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    /// Line id.
    pub line_id: i64,
    /// Document id.
    pub document_id: i64,
    /// Partner on the line.
    pub partner_id: i64,
    /// Stable code, one of [`LineProblem::CODES`].
    pub code: &'static str,
    /// Whether the line is left out until it is resolved, and settlements wait.
    pub blocking: bool,
    /// Agreement id.
    pub agreement: Arc<str>,
    /// Term id.
    pub term: Arc<str>,
    /// Day that places the line.
    pub on: NaiveDate,
    /// What is wrong, a lowercase fragment.
    pub message: String,
}

impl LineProblem {
    /// Every code that matching may raise.
    pub const CODES: [&'static str; 10] = [
        "no-rate",
        "no-fiscal-month",
        "no-conversion",
        "no-weight",
        "no-gross-amount",
        "no-cost",
        "figure-too-large",
        "discount-without-goods",
        "return-without-reference",
        "original-not-found",
    ];
}

/// Changes of running sums, gathered from folded documents.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    cells: HashMap<Cell, Sums>,
    /// Facts that a person has to decide on, in the order found.
    pub problems: Vec<LineProblem>,
    /// Lines folded in, counted or not.
    pub lines_seen: u64,
    /// Line-term pairs that counted.
    pub lines_counted: u64,
}

impl Accumulator {
    /// An empty one.
    pub fn new() -> Self {
        Self { cells: HashMap::new(), ..Self::default() }
    }
    /// Adds to one cell.
    pub fn add(&mut self, cell: Cell, sums: &Sums, sign: i64) {
        self.cells.entry(cell).or_default().add(sums, sign);
    }
    /// The change of one cell.
    pub fn get(&self, cell: &Cell) -> Option<&Sums> {
        self.cells.get(cell)
    }
    /// Number of touched cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
    /// Touched cells in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Cell, &Sums)> {
        self.cells.iter()
    }
    /// Takes in what another worker gathered.
    pub fn merge(&mut self, other: Accumulator) {
        for (cell, sums) in &other.cells {
            self.add(*cell, sums, 1);
        }
        self.problems.extend(other.problems);
        self.lines_seen += other.lines_seen;
        self.lines_counted += other.lines_counted;
    }
    /// Hands out the touched cells sorted by key, bucket and version, leaving out what cancelled.
    pub fn into_sorted(self) -> Vec<(Cell, Sums)> {
        let mut cells: Vec<(Cell, Sums)> = self.cells.into_iter().filter(|(_, s)| !s.is_zero()).collect();
        cells.sort_unstable_by_key(|c| c.0);
        cells
    }
}
