//! Master data as dated facts: who a partner belonged to, what an item was, what a unit held and
//! what a currency cost on a document's date (`calculation.md` sections 2 and 3, cases 09, 19, 20).
//!
//! A snapshot: filled by the store, indexed here, never changed. Answers are always for a day; a
//! fact that is not known on that day is absent, never guessed.

pub mod circles;
mod units;

pub use units::Ratio;

pub use crate::core::master::MergeHistory;
use crate::core::money::Currency;
use crate::core::number::{Factor, Micros};
use crate::core::problem::Problems;
use chrono::NaiveDate;
use circles::Links;
use foldhash::{HashMap, HashMapExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use units::find_ratio;

/// A partner with its dated facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Id in the store.
    pub id: i64,
    /// Code, bytewise compared.
    pub code: Arc<str>,
    /// The merge that ended it, if any.
    pub merged: Option<Merge>,
    /// Facts by ascending first valid day.
    pub facts: Vec<PartnerFact>,
}

/// What held of a partner from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerFact {
    /// First valid day.
    pub valid_from: NaiveDate,
    /// Code of the parent.
    pub parent: Option<Arc<str>>,
    /// Groups it belongs to.
    pub groups: Vec<Arc<str>>,
}

/// A partner that became part of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Code of the survivor.
    pub into: Arc<str>,
    /// Day of the merge.
    pub on: NaiveDate,
    /// What becomes of the documents before that day.
    pub history: MergeHistory,
}

/// An item with its dated facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Id in the store.
    pub id: i64,
    /// Code, bytewise compared.
    pub code: Arc<str>,
    /// Code that replaced it and the day of the renumbering.
    pub replaced_by: Option<(Arc<str>, NaiveDate)>,
    /// Facts by ascending first valid day.
    pub facts: Vec<ItemFact>,
}

/// What held of an item from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemFact {
    /// First valid day.
    pub valid_from: NaiveDate,
    /// Category path, levels separated by `/`.
    pub category: Option<Arc<str>>,
    /// Brand.
    pub brand: Option<Arc<str>>,
    /// Item group.
    pub group: Option<Arc<str>>,
    /// Unit in which it is weighed and stocked.
    pub base_unit: Option<Arc<str>>,
    /// Weight of one base unit.
    pub weight: Option<Micros>,
}

/// One unit in terms of another: 1 `from_unit` = `factor` `to_unit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The item it holds for; all items when `None`.
    pub item_id: Option<i64>,
    /// The unit counted.
    pub from_unit: Arc<str>,
    /// The unit it is told in.
    pub to_unit: Arc<str>,
    /// First valid day.
    pub valid_from: NaiveDate,
    /// How many.
    pub factor: Factor,
}

/// One unit of `from` costs `rate` units of `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeRate {
    /// Rate type, such as `spot`.
    pub rate_type: Arc<str>,
    /// Currency converted.
    pub from: Currency,
    /// Currency of the result.
    pub to: Currency,
    /// Day of the rate.
    pub on: NaiveDate,
    /// The rate.
    pub rate: Factor,
}

/// Rates of one type and direction by ascending date.
pub type RateSeries = Arc<[(NaiveDate, Factor)]>;

/// Whom a document belongs to after merges (case 20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentOwner {
    /// Partner id under which the document is stored.
    pub partner_id: i64,
    /// `merged-partner-history`: the document came after the merge, so nobody can tell from its
    /// content whose it was; a person should look. Not blocking.
    pub exception: Option<&'static str>,
}

/// The snapshot.
#[derive(Clone, Debug, Default)]
pub struct MasterData {
    partners: Vec<Partner>,
    partner_by_id: HashMap<i64, u32>,
    partner_by_code: HashMap<Arc<str>, u32>,
    items: Vec<Item>,
    item_by_id: HashMap<i64, u32>,
    item_by_code: HashMap<Arc<str>, u32>,
    predecessors: HashMap<u32, Vec<u32>>,
    conversions: HashMap<i64, Vec<Conversion>>,
    rates: HashMap<(Arc<str>, Currency, Currency), RateSeries>,
}

/// Key of conversions that hold for every item.
const ALL_ITEMS: i64 = i64::MIN;
const LONGEST_CHAIN: usize = 64;

fn latest<T>(facts: &[T], day: NaiveDate, from: impl Fn(&T) -> NaiveDate) -> Option<&T> {
    let count = facts.partition_point(|f| from(f) <= day);
    count.checked_sub(1).and_then(|i| facts.get(i))
}

impl MasterData {
    /// Indexes what the store holds; the order of the rows does not matter.
    pub fn new(
        mut partners: Vec<Partner>,
        mut items: Vec<Item>,
        conversions: Vec<Conversion>,
        mut rates: Vec<ExchangeRate>,
    ) -> Self {
        let mut data = MasterData::default();
        for (index, partner) in (0u32..).zip(&mut partners) {
            partner.facts.sort_by_key(|f| f.valid_from);
            data.partner_by_id.insert(partner.id, index);
            data.partner_by_code.insert(partner.code.clone(), index);
        }
        for (index, item) in (0u32..).zip(&mut items) {
            item.facts.sort_by_key(|f| f.valid_from);
            data.item_by_id.insert(item.id, index);
            data.item_by_code.insert(item.code.clone(), index);
        }
        for (index, item) in (0u32..).zip(&items) {
            let successor = item.replaced_by.as_ref().and_then(|(code, _)| data.item_by_code.get(code));
            if let Some(successor) = successor {
                data.predecessors.entry(*successor).or_default().push(index);
            }
        }
        for list in data.predecessors.values_mut() {
            list.sort_by(|a, b| items[*a as usize].code.cmp(&items[*b as usize].code));
        }
        for conversion in conversions {
            data.conversions.entry(conversion.item_id.unwrap_or(ALL_ITEMS)).or_default().push(conversion);
        }
        for list in data.conversions.values_mut() {
            list.sort_by(|a, b| (&a.from_unit, &a.to_unit, a.valid_from).cmp(&(&b.from_unit, &b.to_unit, b.valid_from)));
        }
        rates.sort_by_key(|r| r.on);
        let mut series: HashMap<(Arc<str>, Currency, Currency), Vec<(NaiveDate, Factor)>> = HashMap::new();
        for rate in rates {
            series.entry((rate.rate_type, rate.from, rate.to)).or_default().push((rate.on, rate.rate));
        }
        data.rates = series.into_iter().map(|(key, list)| (key, list.into())).collect();
        data.partners = partners;
        data.items = items;
        data
    }

    /// Refuses circles in renumberings (A -> B -> A), mergers and parents, naming them (case 20).
    pub fn check(&self) -> Result<(), Problems> {
        Links::of(self).check()
    }

    /// A partner by its id.
    pub fn partner(&self, id: i64) -> Option<&Partner> {
        self.partner_by_id.get(&id).and_then(|i| self.partners.get(*i as usize))
    }
    /// A partner by its code.
    pub fn partner_by_code(&self, code: &str) -> Option<&Partner> {
        self.partner_by_code.get(code).and_then(|i| self.partners.get(*i as usize))
    }
    /// Every partner.
    pub fn partners(&self) -> &[Partner] {
        &self.partners
    }
    /// An item by its id.
    pub fn item(&self, id: i64) -> Option<&Item> {
        self.item_by_id.get(&id).and_then(|i| self.items.get(*i as usize))
    }
    /// An item by its code.
    pub fn item_by_code(&self, code: &str) -> Option<&Item> {
        self.item_by_code.get(code).and_then(|i| self.items.get(*i as usize))
    }
    /// Every item.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Who the partner is on a day for an agreement that is valid until `agreement_ends`: merges
    /// of that day or before always apply, later ones only where history moves and the agreement
    /// still runs when they happen.
    pub fn effective_partner(&self, id: i64, day: NaiveDate, agreement_ends: NaiveDate) -> i64 {
        let mut current = id;
        for _ in 0..LONGEST_CHAIN {
            let Some(merge) = self.partner(current).and_then(|p| p.merged.as_ref()) else { break };
            let Some(survivor) = self.partner_by_code(&merge.into) else { break };
            let moves = merge.history == MergeHistory::Moves && merge.on <= agreement_ends;
            if day < merge.on && !moves {
                break;
            }
            current = survivor.id;
        }
        current
    }
    /// The partner and everyone it was merged into, in order.
    pub fn merge_chain(&self, id: i64) -> Vec<&Partner> {
        let mut chain: Vec<&Partner> = Vec::new();
        let mut current = self.partner(id);
        while let Some(partner) = current {
            if chain.len() >= LONGEST_CHAIN || chain.iter().any(|p| p.id == partner.id) {
                break;
            }
            chain.push(partner);
            current = partner.merged.as_ref().and_then(|m| self.partner_by_code(&m.into));
        }
        chain
    }
    /// Partners whose lines may count for one of these: themselves, and everyone that was merged into them.
    pub fn sources_of(&self, partners: impl IntoIterator<Item = i64>) -> BTreeSet<i64> {
        let wanted: BTreeSet<i64> = partners.into_iter().collect();
        let merged = self.partners.iter().filter(|p| self.merge_chain(p.id).iter().any(|m| wanted.contains(&m.id)));
        let merged: Vec<i64> = merged.map(|p| p.id).collect();
        wanted.into_iter().chain(merged).collect()
    }
    /// Whom a document that now names `reported` belongs to, when its earlier versions named
    /// `before` (`None`: never seen), it is dated `date` and this version was seen on `seen_on`.
    pub fn document_owner(&self, reported: i64, before: Option<i64>, date: NaiveDate, seen_on: NaiveDate) -> DocumentOwner {
        let keeps = |id: i64| DocumentOwner { partner_id: id, exception: None };
        if let Some(before) = before {
            // A redelivery under the survivor is not a change of customer.
            let merged_here = self.merge_chain(before).iter().skip(1).any(|p| p.id == reported);
            return keeps(if merged_here { before } else { reported });
        }
        let first_seen_late = |merge: &Merge| merge.history == MergeHistory::Stays && date < merge.on && merge.on <= seen_on;
        if let Some(merge) = self.partner(reported).and_then(|p| p.merged.as_ref())
            && first_seen_late(merge)
            && let Some(survivor) = self.partner_by_code(&merge.into)
        {
            return DocumentOwner { partner_id: survivor.id, exception: Some("merged-partner-history") };
        }
        let code = self.partner(reported).map(|p| &p.code);
        let absorbed =
            self.partners.iter().filter_map(|p| p.merged.as_ref()).any(|m| Some(&m.into) == code && first_seen_late(m));
        DocumentOwner { partner_id: reported, exception: absorbed.then_some("merged-partner-history") }
    }
    /// What held of a partner on a day.
    pub fn partner_fact(&self, id: i64, day: NaiveDate) -> Option<&PartnerFact> {
        latest(&self.partner(id)?.facts, day, |f| f.valid_from)
    }
    /// Codes of the partner's parent, its parent's parent and so on, on a day.
    pub fn ancestors(&self, id: i64, day: NaiveDate) -> Vec<Arc<str>> {
        let mut codes: Vec<Arc<str>> = Vec::new();
        let mut current = self.partner_fact(id, day).and_then(|f| f.parent.clone());
        while let Some(code) = current {
            if codes.len() >= LONGEST_CHAIN || codes.contains(&code) {
                break;
            }
            let parent = self.partner_by_code(&code).map(|p| p.id);
            codes.push(code);
            current = parent.and_then(|p| self.partner_fact(p, day)).and_then(|f| f.parent.clone());
        }
        codes
    }

    /// The item's own code and every other number it has had or got (case 20): a renumbering
    /// changes the number, not the goods, and documents are delivered again under either.
    pub fn item_numbers(&self, item: &Item) -> Vec<Arc<str>> {
        let mut codes = vec![item.code.clone()];
        let mut todo: Vec<u32> = self.item_by_id.get(&item.id).map(|i| vec![*i]).unwrap_or_default();
        while let Some(index) = todo.pop() {
            for before in self.predecessors.get(&index).into_iter().flatten() {
                let code = &self.items[*before as usize].code;
                if !codes.contains(code) {
                    codes.push(code.clone());
                    todo.push(*before);
                }
            }
        }
        let mut successor = item.replaced_by.as_ref();
        while let Some((code, _)) = successor {
            if codes.contains(code) {
                break;
            }
            codes.push(code.clone());
            successor = self.item_by_code(code).and_then(|i| i.replaced_by.as_ref());
        }
        codes
    }
    /// What held of an item on a day; a renumbered item without facts of its own has those of its
    /// other numbers.
    pub fn item_fact(&self, item: &Item, day: NaiveDate) -> Option<&ItemFact> {
        if let Some(fact) =
            self.item_by_id.get(&item.id).and_then(|i| latest(&self.items[*i as usize].facts, day, |f| f.valid_from))
        {
            return Some(fact);
        }
        if item.replaced_by.is_none() && !self.item_by_id.get(&item.id).is_some_and(|i| self.predecessors.contains_key(i)) {
            return None;
        }
        self.item_numbers(item)
            .iter()
            .skip(1)
            .filter_map(|code| self.item_by_code(code))
            .find_map(|other| latest(&other.facts, day, |f| f.valid_from))
    }
    /// Days on which facts of the item change, its other numbers included.
    pub fn item_change_days(&self, item: &Item) -> Vec<NaiveDate> {
        let mut days: Vec<NaiveDate> = item.facts.iter().map(|f| f.valid_from).collect();
        if item.replaced_by.is_some() || self.item_by_id.get(&item.id).is_some_and(|i| self.predecessors.contains_key(i)) {
            for code in self.item_numbers(item).iter().skip(1) {
                days.extend(self.item_by_code(code).into_iter().flat_map(|i| i.facts.iter().map(|f| f.valid_from)));
            }
        }
        days.sort_unstable();
        days.dedup();
        days
    }

    /// Rates of one type and direction.
    pub fn rate_series(&self, rate_type: &str, from: Currency, to: Currency) -> Option<RateSeries> {
        self.rates.get(&(Arc::from(rate_type), from, to)).cloned()
    }

    /// Every series of one type into a currency.
    pub fn rates_into(&self, rate_type: &str, to: Currency) -> Vec<(Currency, RateSeries)> {
        let wanted = self.rates.iter().filter(|((t, _, into), _)| **t == *rate_type && *into == to);
        let mut list: Vec<(Currency, RateSeries)> = wanted.map(|((_, from, _), series)| (*from, series.clone())).collect();
        list.sort_by_key(|r| r.0);
        list
    }

    /// Conversions that contradict the others of their item, or of all items: the shortest way counts, and
    /// which one that is nobody should have to know.
    pub fn disagreeing_conversions(&self) -> Vec<Conversion> {
        let mut found: Vec<Conversion> = self.conversions.values().flat_map(|list| units::disagreeing(list)).collect();
        found.sort_by(|a, b| (a.item_id, &a.from_unit, &a.to_unit).cmp(&(b.item_id, &b.from_unit, &b.to_unit)));
        found
    }

    /// How many `to` one `from` of the item is on a day: item-specific conversions first (also
    /// over several steps and backwards), then together with those that hold for all items.
    /// `None` is an exception, never one.
    pub fn ratio(&self, item_id: Option<i64>, from: &str, to: &str, day: NaiveDate) -> Option<Ratio> {
        if from == to {
            return Some(Ratio::ONE);
        }
        let own: &[Conversion] = item_id.and_then(|id| self.conversions.get(&id)).map_or(&[], Vec::as_slice);
        let general: &[Conversion] = self.conversions.get(&ALL_ITEMS).map_or(&[], Vec::as_slice);
        if let Some(found) = find_ratio(&[own], from, to, day) {
            return Some(found);
        }
        if let Some(item) = item_id.and_then(|id| self.item(id))
            && (item.replaced_by.is_some() || self.item_by_id.get(&item.id).is_some_and(|i| self.predecessors.contains_key(i)))
        {
            for code in self.item_numbers(item).iter().skip(1) {
                let other = self.item_by_code(code).and_then(|i| self.conversions.get(&i.id));
                if let Some(found) = other.and_then(|list| find_ratio(&[list], from, to, day)) {
                    return Some(found);
                }
            }
        }
        find_ratio(&[own, general], from, to, day)
    }
}

/// The newest rate of the day or at most `max_age_days` before it.
pub fn rate_on(series: &[(NaiveDate, Factor)], day: NaiveDate, max_age_days: u32) -> Option<Factor> {
    rate_and_day_on(series, day, max_age_days).map(|(_, rate)| rate)
}

/// The same with the day that the rate is of.
pub fn rate_and_day_on(series: &[(NaiveDate, Factor)], day: NaiveDate, max_age_days: u32) -> Option<(NaiveDate, Factor)> {
    let (on, rate) = latest(series, day, |r| r.0)?;
    ((day - *on).num_days() <= i64::from(max_age_days)).then_some((*on, *rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("test date")
    }
    fn conversion(item: Option<i64>, from: &str, to: &str, valid_from: &str, factor: &str) -> Conversion {
        Conversion {
            item_id: item,
            from_unit: from.into(),
            to_unit: to.into(),
            valid_from: day(valid_from),
            factor: Factor::parse(factor).expect("test factor"),
        }
    }
    fn item(id: i64, code: &str, replaced_by: Option<(&str, &str)>) -> Item {
        Item { id, code: code.into(), replaced_by: replaced_by.map(|(c, d)| (c.into(), day(d))), facts: Vec::new() }
    }
    fn pieces(data: &MasterData, item: i64, quantity: i64, unit: &str, on: &str) -> Option<String> {
        data.ratio(Some(item), unit, "EA", day(on)).and_then(|r| r.apply(Micros(quantity * 1_000_000))).map(|q| q.to_text(0))
    }

    #[test]
    fn case_19_conversions_are_per_item_dated_and_chained() {
        let data = MasterData::new(
            vec![],
            vec![item(1, "P1", None), item(2, "P2", None), item(3, "P3", None)],
            vec![
                conversion(Some(1), "BOX", "EA", "2026-07-01", "10"),
                conversion(Some(1), "BOX", "EA", "2020-01-01", "12"),
                conversion(Some(1), "PAL", "BOX", "2020-01-01", "40"),
                conversion(Some(2), "BOX", "EA", "2020-01-01", "10"),
            ],
            vec![],
        );
        assert_eq!(pieces(&data, 1, 50, "BOX", "2026-02-02").as_deref(), Some("600"));
        assert_eq!(pieces(&data, 1, 1, "PAL", "2026-03-02").as_deref(), Some("480"));
        assert_eq!(pieces(&data, 2, 3, "BOX", "2026-03-09").as_deref(), Some("30"));
        assert_eq!(pieces(&data, 3, 5, "DRUM", "2026-04-01"), None);
        assert_eq!(pieces(&data, 1, 10, "BOX", "2026-06-30").as_deref(), Some("120"));
        assert_eq!(pieces(&data, 1, 10, "BOX", "2026-07-01").as_deref(), Some("100"));
        assert_eq!(pieces(&data, 1, 1, "BOX", "2019-12-31"), None);
        let back =
            data.ratio(Some(2), "EA", "BOX", day("2026-01-01")).and_then(|r| r.apply(Micros(5_000_000))).map(|q| q.to_text(0));
        assert_eq!(back.as_deref(), Some("0.5"));
    }

    #[test]
    fn an_item_conversion_wins_over_the_general_one() {
        let data = MasterData::new(
            vec![],
            vec![item(1, "P1", None), item(2, "P2", None)],
            vec![conversion(None, "BOX", "EA", "2020-01-01", "6"), conversion(Some(1), "BOX", "EA", "2020-01-01", "12")],
            vec![],
        );
        assert_eq!(pieces(&data, 1, 1, "BOX", "2026-01-01").as_deref(), Some("12"));
        assert_eq!(pieces(&data, 2, 1, "BOX", "2026-01-01").as_deref(), Some("6"));
    }

    #[test]
    fn case_20_a_chain_of_renumberings_is_followed_and_a_circle_refused() {
        let chain = MasterData::new(
            vec![],
            vec![
                item(1, "0815", Some(("0815-N", "2026-04-01"))),
                item(2, "0815-N", Some(("0815-N2", "2026-08-01"))),
                item(3, "0815-N2", None),
            ],
            vec![],
            vec![],
        );
        let newest = chain.item(3).expect("item");
        assert!(chain.item_numbers(newest).iter().any(|c| &**c == "0815"));
        assert!(chain.check().is_ok());
        let circle = MasterData::new(
            vec![],
            vec![item(1, "A", Some(("B", "2026-01-01"))), item(2, "B", Some(("A", "2026-02-01")))],
            vec![],
            vec![],
        );
        let problems = circle.check().expect_err("a circle");
        assert!(problems.to_string().contains("A -> B -> A"), "{problems}");
        assert_eq!(circle.item_numbers(circle.item(1).expect("item")).len(), 2);
    }

    #[test]
    fn case_09_a_weekend_takes_fridays_rate_and_an_old_rate_is_none() {
        let series = [
            (day("2026-03-02"), Factor::parse("0.92").expect("rate")),
            (day("2026-03-27"), Factor::parse("0.9312").expect("rate")),
        ];
        assert_eq!(rate_on(&series, day("2026-03-28"), 7).map(|r| r.to_string()).as_deref(), Some("0.9312"));
        assert_eq!(rate_on(&series, day("2026-03-10"), 7), None);
        assert_eq!(rate_on(&series, day("2026-03-01"), 7), None);
    }

    #[test]
    fn case_20_a_document_first_seen_after_the_merge_belongs_to_the_survivor_with_an_exception() {
        let partner = |id, code: &str, merged| Partner { id, code: code.into(), merged, facts: Vec::new() };
        let merge = Merge { into: "20001".into(), on: day("2026-05-15"), history: MergeHistory::Stays };
        let data = MasterData::new(vec![partner(1, "20001", None), partner(14, "20014", Some(merge))], vec![], vec![], vec![]);
        let seen_before = data.document_owner(14, None, day("2026-04-01"), day("2026-04-01"));
        assert_eq!(seen_before, DocumentOwner { partner_id: 14, exception: None });
        let again = data.document_owner(1, Some(14), day("2026-04-01"), day("2026-05-15"));
        assert_eq!(again, DocumentOwner { partner_id: 14, exception: None });
        for reported in [1, 14] {
            let late = data.document_owner(reported, None, day("2026-04-01"), day("2026-06-01"));
            assert_eq!(late, DocumentOwner { partner_id: 1, exception: Some("merged-partner-history") });
        }
    }
}
