//! Names of companies: when two of them are the same, and which ones are merely similar (case 18).
//!
//! A name or an identifier decides only where it fits exactly one partner. Similar names are
//! suggestions for a person and never decide anything.

use foldhash::{HashMap, HashMapExt};
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

/// Legal forms and words that say no more than "a company"; removed at the end of a name only. The list is short on
/// purpose: each further one could make two companies one.
const AT_THE_END: &[&str] = &["gmbh", "ag", "kg", "inc", "llc", "ltd", "company", "co"];
/// Names offered for one that is not known.
const MOST_SUGGESTIONS: usize = 3;

/// The form in which names are compared: lower case, accents folded (ä is ae, ß is ss), `&` and `und` as `and`, full stops
/// removed, single letters joined, legal forms at the end removed as long as something is left. Empty for a name without
/// letters and digits.
pub fn normalized(name: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let end = |word: &mut String, words: &mut Vec<String>| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    for c in folded(name).chars() {
        match c {
            // "G.M.B.H." and "O'Neill" are one word each.
            '.' | '\'' | '\u{2019}' => {}
            '&' => {
                end(&mut word, &mut words);
                words.push("and".to_owned());
            }
            c if c.is_alphanumeric() => word.push(c),
            _ => end(&mut word, &mut words),
        }
    }
    end(&mut word, &mut words);
    for word in &mut words {
        if word == "und" {
            *word = "and".to_owned();
        }
    }
    let mut joined: Vec<String> = Vec::new();
    let mut letters = false;
    for word in words {
        let single = word.chars().nth(1).is_none() && word.chars().all(char::is_alphabetic);
        match joined.last_mut() {
            Some(last) if letters && single => last.push_str(&word),
            _ => joined.push(word),
        }
        letters = single;
    }
    while joined.len() > 1 && joined.last().is_some_and(|last| AT_THE_END.contains(&last.as_str())) {
        joined.pop();
    }
    joined.join(" ")
}

/// Lower case without accents; umlauts as their two letters, in one character or in two.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for c in text.nfd() {
        match c {
            '\u{308}' => {
                if matches!(out.chars().next_back(), Some('a' | 'o' | 'u')) {
                    out.push('e');
                }
            }
            c if unicode_normalization::char::is_combining_mark(c) => {}
            'ß' | 'ẞ' => out.push_str("ss"),
            'æ' | 'Æ' => out.push_str("ae"),
            'ø' | 'Ø' | 'œ' | 'Œ' => out.push_str("oe"),
            'ł' | 'Ł' => out.push('l'),
            'đ' | 'Đ' => out.push('d'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// An identifier as it is compared: letters and digits only, in upper case.
fn identifier(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

/// A partner's name or alias with its tax number, as master data has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRecord {
    /// Partner code; of the survivor, where it was merged.
    pub code: String,
    /// Name or recorded alias.
    pub name: String,
    /// Tax number.
    pub tax_id: Option<String>,
}

/// Whom a name or identifier means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly one partner.
    One(String),
    /// Several, in order of their codes.
    Several(Vec<String>),
    /// The name means one partner and the identifier another.
    Contradiction(String),
    /// None; codes and names of similar ones.
    None(Vec<(String, String)>),
}

/// Names and identifiers of all partners.
#[derive(Clone, Debug, Default)]
pub struct Names {
    by_name: HashMap<String, BTreeSet<String>>,
    by_tax_id: HashMap<String, BTreeSet<String>>,
    tax_ids: HashMap<String, BTreeSet<String>>,
    shown: HashMap<String, String>,
}

impl Names {
    /// Indexes the records; their order does not matter.
    pub fn new(records: &[NameRecord]) -> Self {
        let mut names =
            Self { by_name: HashMap::new(), by_tax_id: HashMap::new(), tax_ids: HashMap::new(), shown: HashMap::new() };
        for record in records {
            let form = normalized(&record.name);
            if !form.is_empty() {
                names.by_name.entry(form).or_default().insert(record.code.clone());
            }
            if let Some(tax_id) = record.tax_id.as_deref().map(identifier).filter(|id| !id.is_empty()) {
                names.by_tax_id.entry(tax_id.clone()).or_default().insert(record.code.clone());
                names.tax_ids.entry(record.code.clone()).or_default().insert(tax_id);
            }
            let shown = names.shown.entry(record.code.clone()).or_insert_with(|| record.name.clone());
            if record.name < *shown {
                shown.clone_from(&record.name);
            }
        }
        names
    }

    /// Whom a name and an identifier mean; either may be missing.
    pub fn find(&self, name: Option<&str>, tax_id: Option<&str>) -> Found {
        let form = name.map(normalized).unwrap_or_default();
        let named = self.by_name.get(&form).filter(|_| !form.is_empty());
        let tax_id = tax_id.map(identifier).filter(|id| !id.is_empty());
        let identified = tax_id.as_ref().and_then(|id| self.by_tax_id.get(id));
        let only = |set: &BTreeSet<String>| (set.len() == 1).then(|| set.iter().next().cloned()).flatten();
        if let Some(code) = identified.and_then(only) {
            return match named.and_then(only) {
                Some(other) if other != code => {
                    Found::Contradiction(format!("the name is that of {other}, the tax number that of {code}"))
                }
                _ => Found::One(code),
            };
        }
        match named.map(|set| (only(set), set)) {
            Some((Some(code), _)) => {
                // A number that the partner of that name does not have speaks against it.
                let other = tax_id.as_ref().is_some_and(|id| self.tax_ids.get(&code).is_some_and(|known| !known.contains(id)));
                if other {
                    Found::Contradiction(format!("the name is that of {code}, which has another tax number"))
                } else {
                    Found::One(code)
                }
            }
            Some((None, set)) => Found::Several(set.iter().cloned().collect()),
            None => match identified {
                Some(set) => Found::Several(set.iter().cloned().collect()),
                None => Found::None(self.similar(&form)),
            },
        }
    }

    /// Partners whose names differ by a letter or two, the nearest first.
    fn similar(&self, form: &str) -> Vec<(String, String)> {
        let length = form.chars().count();
        let most = (length / 6).min(2);
        if most == 0 {
            return Vec::new();
        }
        let mut near: Vec<(usize, &String)> = Vec::new();
        for (known, codes) in &self.by_name {
            if known.chars().count().abs_diff(length) <= most {
                let distance = distance(form, known);
                if distance <= most {
                    near.extend(codes.iter().map(|code| (distance, code)));
                }
            }
        }
        near.sort_unstable();
        near.dedup_by_key(|(_, code)| *code);
        near.truncate(MOST_SUGGESTIONS);
        near.into_iter().map(|(_, code)| (code.clone(), self.shown.get(code).cloned().unwrap_or_default())).collect()
    }
}

/// Letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn master() -> Names {
        let record = |code: &str, name: &str, tax_id: Option<&str>| NameRecord {
            code: code.to_owned(),
            name: name.to_owned(),
            tax_id: tax_id.map(str::to_owned),
        };
        Names::new(&[
            record("C-10", "Enterprise Solutions GmbH", None),
            record("C-11", "Solutions Handel GmbH", None),
            record("C-12", "Nordlicht Möbel AG", None),
            record("C-13", "A-B-C Company", None),
            record("C-14", "Müller & Söhne KG", Some("XX000000014")),
            record("C-15", "Mueller und Soehne KG", Some("XX000000015")),
        ])
    }

    #[test]
    fn case_18_only_names_that_are_certain_match() {
        let names = master();
        let one = |code: &str| Found::One(code.to_owned());
        for (name, expected) in [
            ("ENTERPRISE SOLUTIONS G.M.B.H.", one("C-10")),
            ("The Solutions Co", Found::None(Vec::new())),
            ("Nordlicht Moebel AG", one("C-12")),
            ("Nordlicht Mo\u{308}bel AG", one("C-12")),
            ("ABC Company", one("C-13")),
            ("A B C Co.", one("C-13")),
            ("Mueller & Soehne KG", Found::Several(vec!["C-14".into(), "C-15".into()])),
            ("Nordlich Möbel AG", Found::None(vec![("C-12".into(), "Nordlicht Möbel AG".into())])),
            ("Company", Found::None(Vec::new())),
            ("", Found::None(Vec::new())),
            (" - ", Found::None(Vec::new())),
        ] {
            assert_eq!(names.find(Some(name), None), expected, "{name}");
        }
        assert_eq!(names.find(Some("Mueller & Soehne KG"), Some("xx 000000014")), one("C-14"));
        assert_eq!(names.find(None, Some("XX000000015")), one("C-15"));
    }

    #[test]
    fn a_name_and_a_tax_number_that_mean_different_partners_decide_nothing() {
        let names = master();
        assert!(matches!(names.find(Some("ABC Company"), Some("XX000000014")), Found::Contradiction(_)));
        let two = Names::new(&[NameRecord { code: "C-1".into(), name: "Foo AG".into(), tax_id: Some("A1".into()) }]);
        assert!(matches!(two.find(Some("Foo AG"), Some("A2")), Found::Contradiction(_)));
        assert_eq!(two.find(Some("Foo AG"), None), Found::One("C-1".into()));
    }

    #[test]
    fn legal_forms_go_only_from_the_end_and_only_if_something_is_left() {
        assert_eq!(normalized("Ltd Trading Co. Ltd."), "ltd trading");
        assert_eq!(normalized("AG"), "ag");
        assert_eq!(normalized("GmbH & Co. KG"), "gmbh and");
        assert_eq!(normalized("Straße & Weg"), normalized("STRASSE und WEG"));
        assert_eq!(normalized("Straße & Weg"), normalized("strasse and weg"));
        assert_ne!(normalized("Nordlicht SE"), normalized("Nordlicht AG"));
    }

    proptest! {
        #[test]
        fn a_normalised_name_stays_as_it_is(name in "[A-Za-zäöüßéÄÖÜ&.' -]{0,24}") {
            let once = normalized(&name);
            // Joined letters may meet a single one again, so that it is compared word by word.
            let letters: String = once.chars().filter(|c| !c.is_whitespace()).collect();
            let twice: String = normalized(&once).chars().filter(|c| !c.is_whitespace()).collect();
            prop_assert!(letters.starts_with(&twice));
        }
        #[test]
        fn distance_is_zero_only_for_the_same_text(a in "[a-c]{0,6}", b in "[a-c]{0,6}") {
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
        }
    }
}
