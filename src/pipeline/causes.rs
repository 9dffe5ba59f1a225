//! Why figures change, from matching to the ledger: each reason with the accounting months it is about.
//!
//! A ledger entry names what made it (case 14): the states of a document, the versions of an agreement,
//! and for a correction that only rates a closed month anew the documents it rates.

use super::{PipelineResult, Runtime};
use crate::core::agreement::AgreementVersion;
use crate::core::master_data::MasterData;
use crate::core::period::FiscalCalendar;
use crate::store::{NewEntry, Tx};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Reasons shown for one month, and documents named.
const MOST: usize = 20;
/// Reasons kept for one pair; more would only cost memory.
const KEPT: usize = 1_000;
/// What is said when nothing else is known.
const NEW_LINES: &str = "new lines";

/// Partners and agreements whose figures are looked at again, and why.
#[derive(Default)]
pub struct Causes(BTreeMap<(i64, String), BTreeMap<String, BTreeSet<NaiveDate>>>);

impl Causes {
    /// Marks a pair. A reason without a bucket is about everything; an empty one says nothing.
    pub fn note(&mut self, partner: i64, agreement: &str, reason: &str, bucket: Option<NaiveDate>) {
        let reasons = self.0.entry((partner, agreement.to_owned())).or_default();
        if !reason.is_empty() && (reasons.len() < KEPT || reasons.contains_key(reason)) {
            reasons.entry(reason.to_owned()).or_default().extend(bucket);
        }
    }
    /// The pairs with their reasons as one text, which [`why`] reads.
    pub fn pairs(&self) -> impl Iterator<Item = (i64, &str, String)> {
        self.0.iter().map(|((partner, agreement), reasons)| (*partner, agreement.as_str(), written(reasons)))
    }
}

/// `[2026-02-01 2026-03-01] reason; reason about everything`.
fn written(reasons: &BTreeMap<String, BTreeSet<NaiveDate>>) -> String {
    let mut shown: BTreeMap<Option<NaiveDate>, usize> = BTreeMap::new();
    let mut parts = Vec::new();
    for (reason, buckets) in reasons {
        let about: Vec<Option<NaiveDate>> =
            if buckets.is_empty() { vec![None] } else { buckets.iter().copied().map(Some).collect() };
        if about.iter().all(|bucket| shown.get(bucket).is_some_and(|times| *times >= MOST)) {
            continue;
        }
        for bucket in about {
            *shown.entry(bucket).or_default() += 1;
        }
        let buckets: Vec<String> = buckets.iter().map(ToString::to_string).collect();
        parts.push(if buckets.is_empty() { reason.clone() } else { format!("[{}] {reason}", buckets.join(" ")) });
    }
    parts.join("; ")
}

/// Why the figures of one month change.
pub struct Why {
    /// For people.
    pub text: String,
    /// Whether it names what came or went in that very month; else the month is only rated anew.
    pub of_month: bool,
}

/// Reads what matching noted. `fresh`: lines came or went in the month.
pub fn why(noted: &str, month: NaiveDate, fresh: bool, calendar: &FiscalCalendar) -> Why {
    let reasons: Vec<(Vec<NaiveDate>, &str)> = noted.split("; ").filter(|part| !part.is_empty()).map(read).collect();
    let is_of = |buckets: &[NaiveDate]| buckets.iter().any(|bucket| calendar.month_start(*bucket) == month);
    let of_month = reasons.iter().any(|(buckets, _)| is_of(buckets));
    let about = |buckets: &[NaiveDate]| buckets.is_empty() || is_of(buckets);
    let mut texts: Vec<&str> = reasons.iter().filter(|(buckets, _)| about(buckets)).map(|(_, text)| *text).collect();
    if texts.is_empty() && !fresh {
        texts = reasons.iter().map(|(_, text)| *text).collect();
    }
    texts.truncate(MOST);
    Why { text: if texts.is_empty() { NEW_LINES.to_owned() } else { texts.join("; ") }, of_month }
}

fn read(part: &str) -> (Vec<NaiveDate>, &str) {
    let split = part.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    match split.map(|(buckets, text)| (buckets.split(' ').map(str::parse).collect::<Result<Vec<NaiveDate>, _>>(), text)) {
        Some((Ok(buckets), text)) => (buckets, text),
        _ => (Vec::new(), part),
    }
}

/// Names the documents of corrections that rate a month anew without anything having come or gone in it.
#[derive(Default)]
pub struct Concerned {
    master: Option<Arc<MasterData>>,
}

impl Concerned {
    /// Adds them to the reasons of these entries, all of one partner and agreement.
    pub async fn name(
        &mut self,
        runtime: &Runtime,
        tx: &mut Tx,
        versions: &[AgreementVersion],
        partner_id: i64,
        entries: &mut [&mut NewEntry],
    ) -> PipelineResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let master = match &self.master {
            Some(master) => master.clone(),
            None => self.master.insert(Arc::new(tx.master_data().await?)).clone(),
        };
        let counted = super::counted::with_master(runtime, tx, versions, partner_id, None, &master).await?;
        let calendar = &runtime.settings.calendar;
        for entry in entries {
            let mut documents: BTreeSet<&str> = BTreeSet::new();
            for ((_, term, period, part), lines) in &counted {
                if (term.as_str(), period.from, period.to, *part)
                    == (&*entry.term, entry.period_from, entry.period_to, entry.part)
                {
                    let of_month = lines.iter().filter(|line| calendar.month_start(line.bucket) == entry.for_month);
                    documents.extend(of_month.map(|line| line.document.as_str()));
                }
            }
            if documents.is_empty() {
                continue;
            }
            let more = documents.len().saturating_sub(MOST);
            let named: Vec<&str> = documents.into_iter().take(MOST).collect();
            entry.reason.push_str(&format!("; concerns {}", named.join(", ")));
            if more > 0 {
                entry.reason.push_str(&format!(" and {more} more"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("test day")
    }

    #[test]
    fn each_month_gets_the_reasons_that_are_about_it() {
        let mut causes = Causes::default();
        causes.note(1, "A", "invoice I-1 state 1 taken back", Some(day("2026-02-01")));
        causes.note(1, "A", "invoice I-1 state 2 added", Some(day("2026-02-01")));
        causes.note(1, "A", "invoice I-1 state 2 added", Some(day("2026-03-15")));
        causes.note(1, "A", "", Some(day("2026-05-01")));
        causes.note(2, "A", "version 1 -> 2 valid from 2026-04-01", None);
        let pairs: Vec<_> = causes.pairs().collect();
        let calendar = FiscalCalendar::default();
        let texts = |index: usize, month: &str, fresh| {
            let why = why(&pairs[index].2, day(month), fresh, &calendar);
            (why.text, why.of_month)
        };
        assert_eq!(texts(0, "2026-02-01", true), ("invoice I-1 state 1 taken back; invoice I-1 state 2 added".to_owned(), true));
        assert_eq!(texts(0, "2026-03-01", true), ("invoice I-1 state 2 added".to_owned(), true));
        assert_eq!(texts(0, "2026-05-01", true), ("new lines".to_owned(), false));
        // Nothing came or went in January: it is rated anew because of the others.
        assert_eq!(
            texts(0, "2026-01-01", false),
            ("invoice I-1 state 1 taken back; invoice I-1 state 2 added".to_owned(), false)
        );
        assert_eq!(texts(1, "2026-04-01", false), ("version 1 -> 2 valid from 2026-04-01".to_owned(), false));
        assert_eq!(why("", day("2026-04-01"), true, &calendar).text, "new lines");
    }

    #[test]
    fn many_reasons_of_one_month_do_not_keep_out_those_of_another() {
        let mut causes = Causes::default();
        for number in 0..500 {
            causes.note(1, "A", &format!("invoice A-{number:03} state 2 added"), Some(day("2026-01-01")));
        }
        causes.note(1, "A", "invoice Z state 2 added", Some(day("2026-02-01")));
        let text = causes.pairs().next().expect("one pair").2;
        assert_eq!(text.matches("; ").count(), MOST, "{text}");
        assert_eq!(why(&text, day("2026-02-01"), true, &FiscalCalendar::default()).text, "invoice Z state 2 added");
    }
}
