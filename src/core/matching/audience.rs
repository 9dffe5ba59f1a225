//! Which agreements a partner takes part in, on which days, and as whom.
//!
//! Membership in groups and under parents is dated, merges may hand documents to a survivor; a
//! plan answers all of that once per partner, so that a line only compares days.

use super::compiled::Agreement;
use crate::core::agreement::Audience;
use crate::core::master_data::MasterData;
use crate::core::period::Period;
use chrono::{Days, NaiveDate};
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

/// What one partner's lines can count in.
pub(super) struct Plan {
    /// Agreements that name the partner in any way on any day, by ascending index.
    pub agreements: Vec<Participation>,
}

/// One partner in one agreement.
pub(super) struct Participation {
    /// Index of the agreement.
    pub agreement: u32,
    /// Days, the version that rules them and the partner that the lines count for; disjoint, in
    /// ascending order.
    pub stretches: Vec<Stretch>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    pub days: Period,
    pub version: usize,
    pub partner_id: i64,
}

impl Participation {
    pub fn on(&self, day: NaiveDate) -> Option<&Stretch> {
        self.stretches.iter().find(|s| s.days.contains(day))
    }
}

/// From codes, groups and parents to agreements.
#[derive(Default)]
pub(super) struct AudienceIndex {
    partners: HashMap<String, Vec<u32>>,
    groups: HashMap<String, Vec<u32>>,
    parents: HashMap<String, Vec<u32>>,
}

impl AudienceIndex {
    pub fn new(agreements: &[Agreement]) -> Self {
        let mut index = AudienceIndex { partners: HashMap::new(), groups: HashMap::new(), parents: HashMap::new() };
        for (number, agreement) in (0u32..).zip(agreements) {
            for version in &agreement.versions {
                let audience = &version.source.audience;
                for (names, map) in [
                    (&audience.partners, &mut index.partners),
                    (&audience.groups, &mut index.groups),
                    (&audience.parents, &mut index.parents),
                ] {
                    for name in names {
                        let list = map.entry(name.clone()).or_default();
                        if list.last() != Some(&number) {
                            list.push(number);
                        }
                    }
                }
            }
        }
        index
    }

    /// The plan of a partner.
    pub fn plan(&self, partner_id: i64, agreements: &[Agreement], master: &MasterData) -> Plan {
        let mut candidates: Vec<u32> = Vec::new();
        let mut days: Vec<NaiveDate> = Vec::new();
        let named = |map: &HashMap<String, Vec<u32>>, name: &str| map.get(name).cloned().unwrap_or_default();
        for partner in master.merge_chain(partner_id) {
            candidates.extend(named(&self.partners, &partner.code));
            days.extend(partner.merged.as_ref().map(|m| m.on));
            // Parents of parents count too, so each of their changes is a day to look at.
            let mut above: Vec<Arc<str>> = Vec::new();
            let mut next = vec![partner];
            while let Some(current) = next.pop() {
                for fact in &current.facts {
                    days.push(fact.valid_from);
                    if current.id == partner.id {
                        candidates.extend(fact.groups.iter().flat_map(|g| named(&self.groups, g)));
                    }
                    if let Some(parent) = &fact.parent
                        && !above.contains(parent)
                    {
                        candidates.extend(named(&self.parents, parent));
                        above.push(parent.clone());
                        next.extend(master.partner_by_code(parent));
                    }
                }
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
        days.sort_unstable();
        days.dedup();
        let agreements = candidates
            .into_iter()
            .map(|number| Participation {
                agreement: number,
                stretches: stretches(partner_id, &agreements[number as usize], &days, master),
            })
            .collect();
        Plan { agreements }
    }
}

fn stretches(partner_id: i64, agreement: &Agreement, days: &[NaiveDate], master: &MasterData) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for (rule, version) in &agreement.rules {
        let audience = &agreement.versions[*version].source.audience;
        let mut starts = vec![rule.from];
        starts.extend(days.iter().filter(|d| rule.from < **d && **d <= rule.to));
        for (i, start) in starts.iter().enumerate() {
            let end = starts.get(i + 1).map_or(rule.to, |next| *next - Days::new(1));
            let partner = master.effective_partner(partner_id, *start, agreement.validity.to);
            if !takes_part(partner, *start, audience, master) {
                continue;
            }
            match found.last_mut() {
                Some(last)
                    if last.version == *version && last.partner_id == partner && last.days.to.succ_opt() == Some(*start) =>
                {
                    last.days.to = end;
                }
                _ => found.push(Stretch { days: Period { from: *start, to: end }, version: *version, partner_id: partner }),
            }
        }
    }
    found
}

fn takes_part(partner_id: i64, day: NaiveDate, audience: &Audience, master: &MasterData) -> bool {
    let Some(partner) = master.partner(partner_id) else { return false };
    if audience.exclude_partners.iter().any(|c| **c == *partner.code) {
        return false;
    }
    if audience.partners.iter().any(|c| **c == *partner.code) {
        return true;
    }
    let fact = master.partner_fact(partner_id, day);
    if fact.is_some_and(|f| f.groups.iter().any(|g| audience.groups.iter().any(|w| **w == **g))) {
        return true;
    }
    !audience.parents.is_empty() && master.ancestors(partner_id, day).iter().any(|a| audience.parents.iter().any(|w| **w == **a))
}
