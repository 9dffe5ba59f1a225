//! How terms of one agreement build on one another: which is reckoned first, what a benefit takes off another
//! base, which of a set pays (`calculation.md` section 5).

use super::evaluation::Entry;
use crate::core::agreement::AgreementVersion;
use crate::core::matching::{BASE, facet};
use crate::core::number::{Exact, Fine};
use std::collections::{BTreeMap, BTreeSet};

/// How the newest versions of an agreement's terms depend on one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combination<'a> {
    /// Terms in the order in which they are reckoned; those of one set stand together.
    pub units: Vec<Vec<&'a str>>,
    requires: BTreeMap<&'a str, &'a [String]>,
    after: BTreeMap<&'a str, &'a [String]>,
}

impl<'a> Combination<'a> {
    /// The order of the terms of all versions; the newest version that has a term says what it waits for.
    pub fn new(versions: &'a [AgreementVersion]) -> Self {
        let mut found = Combination::default();
        let mut sets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut singles: Vec<Vec<&str>> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        for term in versions.iter().rev().flat_map(|v| &v.terms) {
            if !seen.insert(&term.id) {
                continue;
            }
            found.requires.insert(&term.id, &term.requires);
            found.after.insert(&term.id, &term.after);
            match &term.one_of {
                Some(set) => sets.entry(set).or_default().push(&term.id),
                None => singles.push(vec![&term.id]),
            }
        }
        let mut waiting: Vec<Vec<&str>> = singles.into_iter().chain(sets.into_values()).collect();
        let mut done: BTreeSet<&str> = BTreeSet::new();
        while !waiting.is_empty() {
            let ready = |unit: &Vec<&str>| {
                let needs = unit.iter().flat_map(|t| found.requires_of(t).iter().chain(found.after_of(t)));
                needs.into_iter().all(|n| done.contains(n.as_str()) || !seen.contains(n.as_str()))
            };
            // A file with a circle is refused; what slips through is reckoned in order of id.
            let next = waiting.iter().position(ready).unwrap_or(0);
            let unit = waiting.remove(next);
            done.extend(unit.iter().copied());
            found.units.push(unit);
        }
        found
    }
    /// Terms that must have earned something.
    pub fn requires_of(&self, term: &str) -> &'a [String] {
        self.requires.get(term).copied().unwrap_or_default()
    }
    /// Terms whose benefit is taken off the base, in the order of their sums beside the figure.
    pub fn after_of(&self, term: &str) -> &'a [String] {
        self.after.get(term).copied().unwrap_or_default()
    }
}

/// What another term of the same period takes off a base: its benefit, and the base that it was paid on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The benefit before rounding.
    pub benefit: Fine,
    /// What it was paid on.
    pub base: Exact,
}

impl Taken {
    /// The part of the benefit that belongs to a part of the other term's base, in proportion.
    pub fn off(&self, part: Exact) -> Exact {
        let fine = self.benefit.checked_share(part, self.base).unwrap_or(Fine::ZERO);
        Exact(crate::core::number::div_half_away(fine.0, 10i128.pow(Fine::SCALE - Exact::SCALE)))
    }
}

/// Takes the benefits of other terms off the base of each sum: `taken` by partner and by place in `after`, from 1.
pub fn take_off(entries: &mut [Entry], taken: &BTreeMap<(i64, i64), Taken>) {
    if taken.is_empty() {
        return;
    }
    let mut off: BTreeMap<(i64, chrono::NaiveDate, u32), Exact> = BTreeMap::new();
    for entry in entries.iter() {
        if let Some(taken) = facet::after_place(entry.facet).and_then(|place| taken.get(&(entry.partner_id, place))) {
            *off.entry((entry.partner_id, entry.bucket, entry.version)).or_default() += taken.off(entry.sums.slots[0]);
        }
    }
    for entry in entries.iter_mut().filter(|e| e.facet == facet::MAIN) {
        if let Some(off) = off.get(&(entry.partner_id, entry.bucket, entry.version)) {
            entry.sums.slots[BASE] -= *off;
        }
    }
}
