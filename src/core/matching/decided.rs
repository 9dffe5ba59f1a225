//! Terms that decide on single things: where a line, or a thing that is no line, adds to their sums.

use super::compiled::accumulation_period;
use super::sums::{Cell, Contribution, Key, Sums, facet};
use super::{Document, Matcher};
use chrono::NaiveDate;

impl Matcher {
    /// Where lines stand in the terms that decide on each of them: line id and the sum that a decision adds to. A line may
    /// stand in several terms; in order of agreement and term.
    pub fn placements(&self, document: &Document<'_>) -> Vec<(i64, Cell)> {
        let mut list: Vec<(i64, Cell)> = Vec::new();
        self.each(document, true, |line, number, placed, term, result| {
            let version = &self.agreements[number as usize].versions[placed.version];
            if let Ok(counted) = result {
                list.push((line.id, counted.cell(number, placed, version, term)));
            }
        });
        list
    }

    /// The same as contributions that add nothing yet.
    pub(super) fn undecided(&self, document: &Document<'_>) -> impl Iterator<Item = (i64, Contribution)> {
        self.placements(document).into_iter().map(|(line_id, cell)| {
            let Cell { key, facet, bucket, version } = cell;
            (line_id, Contribution { key, facet, bucket, version, sums: Sums::default(), sides: Vec::new() })
        })
    }

    /// Where something of a partner that is no line stands in a term that decides on single things; `None` where the partner
    /// does not take part on the day or the version in force has no such term.
    pub fn standing_on(&self, agreement: u32, term: u32, partner_id: i64, day: NaiveDate) -> Option<Cell> {
        let plan = self.plan(partner_id);
        if !self.company.covers(day) {
            return None;
        }
        let stretch = plan.agreements.iter().find(|p| p.agreement == agreement)?.on(day)?;
        let agreement_of = &self.agreements[agreement as usize];
        let version = &agreement_of.versions[stretch.version];
        let compiled = version.terms.iter().find(|t| t.index == term && t.decided)?;
        let calendar = &agreement_of.calendar;
        let period = accumulation_period(calendar, compiled.accumulate, day, agreement_of.validity, &agreement_of.restarts)?;
        let settled = calendar.period(agreement_of.every, day, agreement_of.validity).from;
        let key = Key { agreement, term, partner_id: stretch.partner_id, period, part: 0 };
        let bucket = self.company.month_start(day).max(settled.min(day));
        Some(Cell { key, facet: facet::MAIN, bucket, version: version.source.version })
    }
}
