//! Circles: links of master data that lead back to where they started (case 20).
//!
//! A circle of mergers or renumberings has no survivor, a circle of parents no head. Nothing that
//! follows links may meet one, so that whoever brings one in is refused. Conversions are no links
//! in this sense: units lead to one another both ways, and `find_ratio` visits each once.

use super::MasterData;
use crate::core::master::{DraftItem, DraftPartner};
use crate::core::problem::{Problem, Problems};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// First valid day of facts that name none.
pub const SINCE_EVER: NaiveDate = NaiveDate::from_ymd_opt(1900, 1, 1).expect("a date");

/// A kind of link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// A partner merged into another.
    Merge,
    /// A partner below another, from a day on.
    Parent,
    /// An item that got another number.
    Renumbering,
}

/// The links alone, as they would stand with some drafts taken.
#[derive(Clone, Debug, Default)]
pub struct Links {
    merged: BTreeMap<Arc<str>, Arc<str>>,
    replaced: BTreeMap<Arc<str>, Arc<str>>,
    parents: BTreeMap<Arc<str>, BTreeMap<NaiveDate, Option<Arc<str>>>>,
}

impl Links {
    /// The links of a snapshot.
    pub fn of(master: &MasterData) -> Self {
        let mut links = Self::default();
        for partner in master.partners() {
            if let Some(merge) = &partner.merged {
                links.merged.insert(partner.code.clone(), merge.into.clone());
            }
            if partner.facts.iter().any(|f| f.parent.is_some()) {
                let days = partner.facts.iter().map(|f| (f.valid_from, f.parent.clone())).collect();
                links.parents.insert(partner.code.clone(), days);
            }
        }
        for item in master.items() {
            if let Some((next, _)) = &item.replaced_by {
                links.replaced.insert(item.code.clone(), next.clone());
            }
        }
        links
    }

    /// Takes a partner's links; gives the kinds that changed.
    pub fn take_partner(&mut self, draft: &DraftPartner) -> Vec<Link> {
        let code: Arc<str> = draft.partner.as_str().into();
        let mut changed = Vec::new();
        if let Some(into) = &draft.merged_into
            && self.merged.insert(code.clone(), into.as_str().into()).as_deref() != Some(into)
        {
            changed.push(Link::Merge);
        }
        // A row that tells no parent leaves it as it is.
        if let Some(parent) = &draft.parent {
            let days = self.parents.entry(code).or_default();
            let from = draft.valid_from.unwrap_or(SINCE_EVER);
            if days.insert(from, Some(parent.as_str().into())).flatten().as_deref() != Some(parent) {
                changed.push(Link::Parent);
            }
        } else if draft.told_empty.iter().any(|column| column == "parent") {
            self.parents.entry(code).or_default().insert(draft.valid_from.unwrap_or(SINCE_EVER), None);
        }
        changed
    }

    /// Takes an item's link; `true` when it changed.
    pub fn take_item(&mut self, draft: &DraftItem) -> bool {
        let Some(next) = &draft.replaced_by else { return false };
        self.replaced.insert(draft.item.as_str().into(), next.as_str().into()).as_deref() != Some(next)
    }

    fn parent_on(&self, code: &str, day: NaiveDate) -> Option<Arc<str>> {
        self.parents.get(code)?.range(..=day).next_back()?.1.clone()
    }

    /// The circle that leads through this code, from it and back to it.
    pub fn circle(&self, link: Link, code: &str) -> Option<Vec<Arc<str>>> {
        match link {
            Link::Merge => walk(code, |at| self.merged.get(at).cloned()),
            Link::Renumbering => walk(code, |at| self.replaced.get(at).cloned()),
            Link::Parent => {
                // Parents change on days: each first day of a fact is a graph of its own.
                let first = *self.parents.get(code)?.keys().next()?;
                let days: BTreeSet<NaiveDate> =
                    self.parents.values().flat_map(|facts| facts.range(first..).map(|f| *f.0)).collect();
                days.into_iter().find_map(|day| walk(code, |at| self.parent_on(at, day)))
            }
        }
    }

    /// The refusal of whatever closes such a circle.
    pub fn problem(&self, link: Link, code: &str) -> Option<Problem> {
        let circle = self.circle(link, code)?.join(" -> ");
        let (code, message, help) = match link {
            Link::Merge => ("partner-circle", format!("partners are merged in a circle: {circle}"), "merged_into"),
            Link::Parent => ("parent-circle", format!("partners are parents of each other in a circle: {circle}"), "parent"),
            Link::Renumbering => ("item-circle", format!("items replace each other in a circle: {circle}"), "replaced_by"),
        };
        Some(Problem::new(code, message).help(format!("remove or correct one `{help}` of the circle")))
    }

    /// Refuses every circle there is, each once.
    ///
    /// # Errors
    /// One problem for each circle, naming it.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let all = [
            (Link::Renumbering, self.replaced.keys().collect::<Vec<_>>()),
            (Link::Merge, self.merged.keys().collect()),
            (Link::Parent, self.parents.keys().collect()),
        ];
        for (link, codes) in all {
            for code in codes {
                let first = self.circle(link, code).is_some_and(|circle| circle.iter().min() == Some(code));
                if let (true, Some(problem)) = (first, self.problem(link, code)) {
                    problems.push(problem);
                }
            }
        }
        problems.into_result(())
    }
}

/// Follows links from `start`; the way when it comes back there.
fn walk(start: &str, next: impl Fn(&str) -> Option<Arc<str>>) -> Option<Vec<Arc<str>>> {
    let mut way: Vec<Arc<str>> = vec![start.into()];
    let mut seen: BTreeSet<Arc<str>> = BTreeSet::new();
    while let Some(code) = next(way.last()?) {
        let back = *code == *start;
        way.push(code.clone());
        if back {
            return Some(way);
        }
        if !seen.insert(code) {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(partner: &str, parent: &str, from: &str) -> DraftPartner {
        DraftPartner {
            partner: partner.into(),
            parent: Some(parent.into()),
            valid_from: Some(from.parse().expect("day")),
            ..DraftPartner::default()
        }
    }

    #[test]
    fn parents_are_a_circle_only_when_they_are_on_the_same_day() {
        let mut links = Links::default();
        assert_eq!(links.take_partner(&below("A", "B", "2026-01-01")), [Link::Parent]);
        assert!(links.take_partner(&below("A", "B", "2026-01-01")).is_empty(), "nothing new");
        links.take_partner(&below("B", "C", "2026-01-01"));
        links.take_partner(&below("C", "A", "2026-06-01"));
        assert_eq!(links.circle(Link::Parent, "A").expect("circle").join(">"), "A>B>C>A");
        // A leaves before C comes below it.
        links.take_partner(&below("A", "HOLDING", "2026-05-01"));
        assert_eq!(links.circle(Link::Parent, "A"), None);
        links.check().expect("no circle");
    }

    #[test]
    fn a_circle_is_told_once_and_what_only_leads_into_it_is_none() {
        let mut links = Links::default();
        for (item, next) in [("1", "2"), ("2", "3"), ("3", "2"), ("9", "9")] {
            let draft = DraftItem { item: item.into(), replaced_by: Some(next.into()), ..DraftItem::default() };
            assert!(links.take_item(&draft));
        }
        assert_eq!(links.circle(Link::Renumbering, "1"), None);
        let told: Vec<String> = links.check().expect_err("circles").0.into_iter().map(|p| p.message).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].ends_with("2 -> 3 -> 2") && told[1].ends_with("9 -> 9"), "{told:?}");
    }
}
