//! Running sums or lines of one figure, measured and sorted out: its own, those beside them, and its baseline.

use super::evaluate::Rules;
use super::evaluation::Entry;
use crate::core::agreement::{Baseline, Measure, NewMembers, QualifierScope, Rule};
use crate::core::matching::{BASE, QUALIFIER, Sums, WHOLE, facet};
use crate::core::number::{Exact, Micros};
use crate::core::terms::volume::Amounts;
use chrono::NaiveDate;
use foldhash::HashMap;
use std::collections::BTreeMap;

/// A running sum or a line, with what it adds to other sums of the figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summed {
    /// The sum.
    pub entry: Entry,
    /// Other sums, by facet.
    pub sides: Vec<(i64, Exact)>,
}

/// Running sums with those beside them at their side.
pub(super) fn in_order(entries: &[Entry]) -> Vec<Summed> {
    let alone = |e: &Entry| matches!(e.facet, facet::MAIN | facet::BASELINE | facet::STANDING_BASELINE);
    let mut list: Vec<Summed> =
        entries.iter().filter(|e| alone(e)).map(|entry| Summed { entry: *entry, sides: Vec::new() }).collect();
    if list.len() < entries.len() {
        let place = |e: &Entry| -> (i64, NaiveDate, u32) { (e.partner_id, e.bucket, e.version) };
        let places: HashMap<_, usize> =
            list.iter().enumerate().filter(|(_, s)| s.entry.facet == facet::MAIN).map(|(i, s)| (place(&s.entry), i)).collect();
        for entry in entries.iter().filter(|e| !alone(e)) {
            if let Some(index) = places.get(&place(entry)) {
                list[*index].sides.push((entry.facet, entry.sums.slots[QUALIFIER]));
            }
        }
    }
    list
}

/// An entry with its measured figures.
pub(super) struct MeasuredEntry {
    pub entry: Entry,
    /// Place among the entries given.
    pub index: usize,
    pub version: usize,
    pub amounts: Amounts,
    /// The base before any cap on it.
    pub counted: Exact,
    pub whole: Exact,
    pub sides: Vec<(i64, Exact)>,
}

/// Everything that goes into one figure.
pub(super) struct Gathered {
    pub measured: Vec<MeasuredEntry>,
    /// Sums beside the figure's own, by facet.
    pub beside: BTreeMap<i64, Exact>,
    /// The baseline of each partner.
    pub baselines: BTreeMap<i64, Exact>,
    /// What documents make of the baseline, where another one stands.
    pub documents_baseline: Option<Exact>,
}

impl Gathered {
    /// The baseline of all partners of the figure.
    pub fn baseline(&self) -> Exact {
        self.baselines.values().copied().sum()
    }
}

pub(super) fn value(measure: Measure, slot: usize, sums: &Sums) -> Exact {
    match measure {
        Measure::DocumentCount => Micros(sums.documents * Micros::ONE.0).exact(),
        _ => sums.slots[slot],
    }
}

impl Rules<'_> {
    /// Sorts sums out, in their order. `baseline` overrules what they say of it.
    pub fn gather(&self, summed: Vec<Summed>, baseline: Option<Exact>) -> Gathered {
        let mut measured: Vec<MeasuredEntry> = Vec::with_capacity(summed.len());
        let mut beside: BTreeMap<i64, Exact> = BTreeMap::new();
        let (mut of_documents, mut standing) = (BTreeMap::<i64, Exact>::new(), BTreeMap::<i64, Exact>::new());
        for (index, Summed { entry, sides }) in summed.into_iter().enumerate() {
            match entry.facet {
                facet::MAIN => {}
                facet::BASELINE => {
                    *of_documents.entry(entry.partner_id).or_default() += entry.sums.slots[QUALIFIER];
                    continue;
                }
                facet::STANDING_BASELINE => {
                    *standing.entry(entry.partner_id).or_default() += entry.sums.slots[QUALIFIER];
                    continue;
                }
                _ => continue,
            }
            let Some(version) = self.versions.iter().position(|v| v.agreement.version == entry.version) else { continue };
            let Some(term) = self.versions[version].term else { continue };
            let measures = term.rule.measures();
            let counted = value(measures.base, BASE, &entry.sums);
            let amounts = Amounts { qualifier: value(measures.qualifier, QUALIFIER, &entry.sums), base: counted };
            let lost: Exact = sides.iter().filter(|(f, _)| *f == facet::LOST).map(|(_, figure)| *figure).sum();
            let counted = counted - lost;
            let amounts = Amounts { base: counted, ..amounts };
            for (facet, figure) in &sides {
                *beside.entry(*facet).or_default() += *figure;
            }
            measured.push(MeasuredEntry { entry, index, version, amounts, counted, whole: entry.sums.slots[WHOLE], sides });
        }
        let documents_baseline = (!standing.is_empty()).then(|| of_documents.values().copied().sum());
        let baselines = match (baseline, &self.newest_term.rule) {
            (Some(baseline), _) => BTreeMap::from([(0, baseline)]),
            (None, Rule::Growth(growth)) => match growth.baseline {
                Baseline::Fixed(amount) => BTreeMap::from([(0, amount.exact())]),
                Baseline::PriorYear | Baseline::PriorPeriod | Baseline::Table { .. } => {
                    of_documents.extend(standing);
                    of_documents
                }
            },
            (None, _) => BTreeMap::new(),
        };
        let mut gathered = Gathered { measured, beside, baselines, documents_baseline };
        if baseline.is_none() {
            self.leave_new_members_out(&mut gathered);
        }
        if let Some(cap) = self.newest_term.caps.base {
            // The base that comes first counts; what lies above the cap does not.
            let (mut running, mut kept) = (Exact::ZERO, Exact::ZERO);
            for part in &mut gathered.measured {
                running += part.amounts.base;
                let upto = running.min(cap.exact());
                part.amounts.base = upto - kept;
                kept = upto;
            }
        }
        gathered
    }

    /// Where partners grow together, the baseline covers the same buyers as the figure (GRO-05).
    fn leave_new_members_out(&self, gathered: &mut Gathered) {
        let Rule::Growth(growth) = &self.newest_term.rule else { return };
        let together = self.newest.qualifier_scope == QualifierScope::Agreement;
        if !together || growth.new_members == NewMembers::Include || matches!(growth.baseline, Baseline::Fixed(_)) {
            return;
        }
        gathered.baselines.retain(|_, baseline| *baseline > Exact::ZERO);
        for part in &mut gathered.measured {
            if !gathered.baselines.contains_key(&part.entry.partner_id) {
                part.amounts = Amounts::default();
                part.counted = Exact::ZERO;
            }
        }
    }
}
