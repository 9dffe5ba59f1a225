//! What is not as it was stated: lines that became known, changed or fell away after a statement said what
//! counted.

use crate::core::line::DocumentType;
use crate::core::matching::compare_line_numbers;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::statement_input::StatementLine;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A line that became known, changed or fell away after it was stated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineChange {
    /// Term id.
    pub term: String,
    /// Document type.
    pub document_type: DocumentType,
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date.
    pub date: NaiveDate,
    /// Net amount that counted on the statement before; `None` when it did not count.
    pub before: Option<Micros>,
    /// Net amount that counts now; `None` when it does not count any more.
    pub now: Option<Micros>,
    /// Currency of both.
    pub currency: Currency,
}

impl LineChange {
    /// By document date, document and line.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.date, &self.document)
            .cmp(&(other.date, &other.document))
            .then_with(|| compare_line_numbers(&self.line, &other.line))
    }
}

/// Lines that are not as they were stated: new, changed, gone.
pub fn line_changes<'a>(term: &str, stated: &[StatementLine], now: impl Iterator<Item = &'a StatementLine>) -> Vec<LineChange> {
    let key = |l: &StatementLine| (l.document_type, l.document.clone(), l.line.clone(), l.date);
    let mut before: BTreeMap<_, Vec<&StatementLine>> = BTreeMap::new();
    for line in stated {
        before.entry(key(line)).or_default().push(line);
    }
    let change = |line: &StatementLine, before: Option<Micros>, now: Option<Micros>| LineChange {
        term: term.to_owned(),
        document_type: line.document_type,
        document: line.document.clone(),
        line: line.line.clone(),
        date: line.date,
        before,
        now,
        currency: line.net_currency,
    };
    let mut changes = Vec::new();
    for line in now {
        let known = before.get_mut(&key(line));
        let same = |l: &&StatementLine| {
            (l.net, l.net_currency, l.quantity, &l.unit) == (line.net, line.net_currency, line.quantity, &line.unit)
        };
        match known.and_then(|list| list.iter().position(same).or((!list.is_empty()).then_some(0)).map(|at| list.remove(at))) {
            None => changes.push(change(line, None, Some(line.net))),
            Some(old) if same(&old) => {}
            Some(old) if old.net_currency == line.net_currency => changes.push(change(line, Some(old.net), Some(line.net))),
            Some(old) => {
                changes.push(change(old, Some(old.net), None));
                changes.push(change(line, None, Some(line.net)));
            }
        }
    }
    changes.extend(before.into_values().flatten().map(|line| change(line, Some(line.net), None)));
    changes
}
