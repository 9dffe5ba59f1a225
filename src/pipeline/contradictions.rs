//! Rows of one table that contradict each other: which of them is meant nobody can tell, so that none is
//! taken and both places are told.

use crate::core::master::{Draft, DraftItem, DraftPartner};
use crate::core::problem::{Place, Problem};
use crate::mapping::{FieldProblem, Identity, Mapped, RowProblem};
use foldhash::HashMap;

/// What the rows of a delivery said so far.
#[derive(Default)]
pub struct Said {
    by_key: HashMap<String, Saying>,
}

struct Saying {
    content: Vec<u8>,
    place: Place,
}

/// Two rows that say different things of the same.
pub struct Contradiction {
    /// What of, for people.
    what: String,
    /// Where the first one stands.
    pub first: Place,
    /// Where the other one stands.
    pub second: Place,
}

impl Contradiction {
    /// The refusal of the row that stands at the place.
    pub fn problem(&self, at: &Place) -> Problem {
        Problem::new(
            "contradicting-rows",
            format!("{} stands with different values in {} and {}", self.what, self.first, self.second),
        )
        .at(at.clone())
        .help("which one is meant cannot be guessed: leave one of them in the table")
    }
}

impl Said {
    /// Looks at a further row. Rows that repeat one another say nothing new.
    pub fn note(&mut self, draft: &Draft) -> Option<Contradiction> {
        for (key, what, content) in sayings(draft) {
            match self.by_key.get(&key) {
                Some(first) if first.content != content => {
                    return Some(Contradiction { what, first: first.place.clone(), second: draft.place().clone() });
                }
                Some(_) => {}
                None => {
                    self.by_key.insert(key, Saying { content, place: draft.place().clone() });
                }
            }
        }
        None
    }
}

/// Refuses every row that contradicts another one of the same delivery.
pub fn refuse(rows: &mut [Mapped]) {
    let mut said = Said::default();
    let found: Vec<Contradiction> =
        rows.iter().filter_map(|row| if let Mapped::Row(draft) = row { said.note(draft) } else { None }).collect();
    if found.is_empty() {
        return;
    }
    for row in rows {
        let Mapped::Row(draft) = &*row else { continue };
        let place = draft.place().clone();
        if let Some(contradiction) = found.iter().find(|c| c.first == place || c.second == place) {
            let partner = if let Draft::Partner(p) = draft { Some(p.partner.clone()) } else { None };
            let problem = FieldProblem { problem: contradiction.problem(&place), field: None, raw: None };
            let identity = Identity { partner, ..Identity::default() };
            *row = Mapped::Problem(Box::new(RowProblem { identity, problems: vec![problem], as_written: None }));
        }
    }
}

fn text(row: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(row).unwrap_or_default()
}

/// What a row says: under which key, of what, and the saying itself without its place.
fn sayings(draft: &Draft) -> Vec<(String, String, Vec<u8>)> {
    let day = |day: &Option<chrono::NaiveDate>| day.map_or_else(String::new, |day| format!(" from {day}"));
    match draft {
        Draft::Partner(p) => {
            let what = format!("partner `{}`{}", p.partner, day(&p.valid_from));
            let mut all = vec![(what.clone(), what, text(&DraftPartner { place: Place::default(), ..(**p).clone() }))];
            for alias in &p.aliases {
                let what = format!("alias `{alias}`");
                all.push((what.clone(), what, p.partner.clone().into_bytes()));
            }
            all
        }
        Draft::Item(i) => {
            let what = format!("item `{}`{}", i.item, day(&i.valid_from));
            vec![(what.clone(), what, text(&DraftItem { place: Place::default(), ..(**i).clone() }))]
        }
        Draft::Unit(u) => {
            let of = u.item.as_ref().map_or_else(String::new, |item| format!(" of item `{item}`"));
            let what = format!("the conversion of `{}` into `{}`{of}{}", u.from_unit, u.to_unit, day(&u.valid_from));
            vec![(what.clone(), what, u.factor.0.to_le_bytes().to_vec())]
        }
        Draft::Rate(r) => {
            let what = format!("the {} rate of {} in {} on {}", r.rate_type, r.from_currency, r.to_currency, r.date);
            vec![(what.clone(), what, r.rate.0.to_le_bytes().to_vec())]
        }
        _ => Vec::new(),
    }
}
