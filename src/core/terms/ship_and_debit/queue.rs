//! The queue of claim lines: by day of submission, document and line, each decided in the light of those before it.
//!
//! What was settled comes first and stays as it was decided. The result is a function of the set of
//! lines, authorisations and stock, never of the order in which they arrived.

use super::book::{self, Book, Row};
use super::price_protection::StockRow;
use super::state::{Invoice, Layers, Root, State, near, plain};
use super::value::{No, Valued, share};
use super::{Decision, Outcome, Reason, ShipAndDebit};
use crate::core::agreement::Exchange;
use crate::core::master_data::MasterData;
use crate::core::matching::compare_line_numbers;
use crate::core::money::Currency;
use crate::core::number::{Exact, Micros};
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};
use std::cmp::Ordering;

/// Whom a claim line names as end customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCustomer {
    /// Nobody.
    Absent,
    /// This one, by its code after all merges.
    Known(String),
    /// Nobody can tell: why.
    Unclear(String),
}

/// What a person said about a held line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonSays {
    /// It is a claim of its own.
    Release,
    /// It is not paid.
    Deny,
}

/// One claim or resale line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimLine {
    /// Term that decides it, by its place among the queue's terms.
    pub term: usize,
    /// Partner id after all merges.
    pub partner: i64,
    /// Partner id as on the document: whose invoice numbers they are.
    pub issuer: i64,
    /// Partner code, for the order of lines.
    pub partner_code: String,
    /// Document type and number as they are told.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Document date: day of rates and units.
    pub document_date: NaiveDate,
    /// Day of submission.
    pub submitted_on: NaiveDate,
    /// Ship date.
    pub shipped_on: Option<NaiveDate>,
    /// Cited authorisation.
    pub authorization: Option<String>,
    /// Item id.
    pub item_id: Option<i64>,
    /// Item code.
    pub item: String,
    /// End customer.
    pub end_customer: EndCustomer,
    /// The partner's own invoice.
    pub invoice: Option<String>,
    /// Line of that invoice.
    pub invoice_line: Option<String>,
    /// Signed quantity.
    pub quantity: Micros,
    /// Unit of the quantity.
    pub unit: String,
    /// Amount claimed.
    pub claimed: Option<Micros>,
    /// Price per unit that the partner says is authorised.
    pub claimed_price: Option<Micros>,
    /// Cost that the partner states for the line.
    pub cost: Option<Micros>,
    /// Resale amount of the line.
    pub resale: Micros,
    /// Currency of the line.
    pub currency: Currency,
    /// Document and line that it corrects.
    pub corrects: Option<(String, Option<String>)>,
    /// What a person said about it.
    pub person: Option<PersonSays>,
    /// What was decided when it was settled.
    pub settled: Option<Decision>,
}

impl ClaimLine {
    fn order(&self, other: &Self) -> Ordering {
        let key = |l: &Self| (l.submitted_on, l.document.clone());
        key(self)
            .cmp(&key(other))
            .then_with(|| compare_line_numbers(&self.line, &other.line))
            .then_with(|| self.partner_code.cmp(&other.partner_code))
            .then_with(|| self.document_date.cmp(&other.document_date))
    }
    pub(super) fn invoice_key(&self, root: i64) -> Option<Invoice> {
        Some(Invoice { partner: self.issuer, number: plain(self.invoice.as_deref()?), item: root })
    }
}

/// Links lines that could be about one sale: lines with different keys never decide about each other, unless they cite
/// one authorisation or correct one another.
pub fn sale_key(partner: i64, invoice: Option<&str>) -> Option<String> {
    Some(format!("{partner}\u{1f}{}", near(invoice?)))
}

/// The rules of one term.
#[derive(Clone, Copy, Debug)]
pub struct TermRules<'a> {
    /// The term.
    pub rule: &'a ShipAndDebit,
    /// Its authorisations, by their place among the queue's books.
    pub book: usize,
    /// Currency of the agreement.
    pub currency: Currency,
    /// Exchange rates to use.
    pub exchange: &'a Exchange,
}

/// Everything that lines are decided by.
pub struct Queue<'a> {
    /// Master data.
    pub master: &'a MasterData,
    /// Terms.
    pub terms: &'a [TermRules<'a>],
    /// Authorisations.
    pub books: &'a [Book],
    /// Channel stock.
    pub stock: &'a [StockRow],
}

impl Queue<'_> {
    /// Decides the lines: decisions in the order of the lines given, which does not matter.
    pub fn decide(&self, lines: &[ClaimLine]) -> Vec<Decision> {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by(|a, b| lines[*a].order(&lines[*b]));
        let mut run = Run {
            queue: self,
            lines,
            state: State::new(self.layers()),
            decisions: vec![None; lines.len()],
            by_name: HashMap::new(),
            after: HashMap::new(),
        };
        for index in &order {
            let line = &lines[*index];
            let name = (line.partner, plain(&line.document), line.line.clone());
            run.by_name.entry(name).or_default().push(*index);
            run.by_name.entry((line.partner, plain(&line.document), String::new())).or_default().push(*index);
        }
        // What is settled has used its quantity, whoever comes first now.
        for index in order.iter().filter(|i| lines[**i].settled.is_some()) {
            run.take(*index);
        }
        for index in order.iter().filter(|i| lines[**i].settled.is_none()) {
            run.take(*index);
        }
        // What is left corrects something that corrects it.
        for index in &order {
            if run.decisions[*index].is_none() {
                let line = &lines[*index];
                let message = "it corrects a line that corrects it in turn".to_owned();
                let asked = run.asked(line).unwrap_or_default();
                run.decisions[*index] = Some(Decision::nothing(Outcome::Held, Reason::CorrectionUnknown, message, asked));
            }
        }
        run.decisions.into_iter().flatten().collect()
    }

    /// Layers of channel stock by partner and item, first in first.
    fn layers(&self) -> Layers {
        let mut layers = Layers::default();
        for row in self.stock {
            if let (Some(cost), Some(item)) = (row.unit_cost, self.master.item_by_code(&row.item)) {
                layers.add(row.partner, book::item_root(self.master, item.id), row.on, cost, row.quantity.exact());
            }
        }
        layers.sort();
        layers
    }
}

pub(super) struct Run<'q, 'a> {
    pub queue: &'q Queue<'a>,
    pub lines: &'q [ClaimLine],
    pub state: State,
    pub decisions: Vec<Option<Decision>>,
    /// Lines by partner, document and line; under an empty line all of the document.
    pub by_name: HashMap<(i64, String, String), Vec<usize>>,
    /// Corrections that wait for the line that they correct.
    after: HashMap<usize, Vec<usize>>,
}

impl<'q> Run<'q, '_> {
    /// What a line asks for as far as it says so.
    pub(super) fn asked(&self, line: &ClaimLine) -> Option<Exact> {
        self.convert(line, line.claimed?.exact(), line.currency).ok()
    }

    /// Decides a line unless it waits for the one that it corrects, and those that waited for it.
    fn take(&mut self, index: usize) {
        let line = &self.lines[index];
        let original = self.corrected(index).ok().flatten().filter(|original| self.decisions[*original].is_none());
        // What is settled waits for what is settled only: the others come after all of it.
        if let Some(original) = original.filter(|o| line.settled.is_none() || self.lines[*o].settled.is_some()) {
            self.after.entry(original).or_default().push(index);
            return;
        }
        let decision = match &line.settled {
            Some(settled) => self.replay(index, settled.clone()),
            None => self.decide(index),
        };
        self.decisions[index] = Some(decision);
        for next in self.after.remove(&index).unwrap_or_default() {
            self.take(next);
        }
    }

    fn decide(&mut self, index: usize) -> Decision {
        let line = &self.lines[index];
        let result = if line.quantity.is_zero() {
            Err(No::refused((Reason::QuantityMissing, "the line has no quantity".to_owned())))
        } else if line.quantity.is_negative() {
            self.give_back(index)
        } else {
            match self.corrected(index) {
                Ok(None) => self.claim(index),
                Ok(Some(original)) => match self.state.root_of(original) {
                    Some(root) => self.correct(index, root, original),
                    None => self.claim(index),
                },
                Err(no) => Err(no),
            }
        };
        result.unwrap_or_else(|no| {
            let asked = self.asked(line).unwrap_or_default();
            Decision::nothing(no.outcome, no.reason, no.message, asked)
        })
    }

    /// A line that stands for itself.
    fn claim(&mut self, index: usize) -> Result<Decision, No> {
        let line = &self.lines[index];
        let row = self.row_for(line)?;
        if let Some(late) = self.too_late(line) {
            return Err(late);
        }
        let row = self.row_for_customer(line, row)?;
        self.unclaimed(index, row, None)?;
        let valued = self.value(line, row)?;
        self.stand(index, row, &valued, None);
        let Valued { outcome, reason, message, claimed, basis, amount, quantity, pool, .. } = valued;
        Ok(Decision { outcome, reason, message, claimed, basis, amount, quantity, pool })
    }

    /// A line that replaces one that was paid: the difference is paid.
    fn correct(&mut self, index: usize, root: usize, original: usize) -> Result<Decision, No> {
        let line = &self.lines[index];
        let row = self.row_for(line)?;
        let late = self.too_late(line);
        let row = self.row_for_customer(line, row)?;
        self.unclaimed(index, row, Some(root))?;
        let before = self.state.roots[root].clone();
        self.state.release(&before);
        let result = self.value(line, row).and_then(|valued| {
            // What came back of the sale stays taken back.
            let back = before.returned.min(valued.quantity);
            let less = share(valued.amount, back, valued.quantity)?;
            let difference = valued.amount - less - before.amount;
            match late {
                Some(no) if difference > Exact::ZERO => {
                    self.state.layers.give_back(&valued.taken);
                    Err(no)
                }
                _ => Ok((valued, back, less, difference)),
            }
        });
        let (valued, back, less, amount) = match result {
            Ok(found) => found,
            Err(no) => {
                self.state.seize(&before);
                return Err(no);
            }
        };
        let kept = valued.quantity - back;
        let quantity = if valued.pool == before.pool { kept - before.quantity } else { kept };
        self.stand(index, row, &valued, Some(root));
        self.state.lower(root, back, less);
        let other = &self.lines[original];
        let message = format!(
            "corrects {} line {}: {} instead of {}{}",
            other.document,
            other.line,
            self.money(line, valued.amount),
            self.money(line, before.amount),
            if valued.message.is_empty() { String::new() } else { format!("; {}", valued.message) }
        );
        let reason = if valued.outcome == Outcome::Cut { valued.reason } else { Reason::Correction };
        Ok(Decision {
            outcome: valued.outcome,
            reason,
            message,
            claimed: valued.claimed,
            basis: valued.basis,
            amount,
            quantity,
            pool: valued.pool,
        })
    }

    /// Remembers what a line stands for from now on.
    pub(super) fn stand(&mut self, index: usize, row: &Row, valued: &Valued, root: Option<usize>) {
        let line = &self.lines[index];
        let item = self.root_item(line);
        let standing = Root {
            line: index,
            issuer: line.issuer,
            quantity: valued.quantity,
            amount: valued.amount,
            pool: valued.pool.clone(),
            unit: row.source.unit.clone().unwrap_or_else(|| line.unit.clone()),
            number: line.invoice.as_deref().map(plain),
            invoice_line: line.invoice_line.as_deref().map(plain),
            customer: Self::sold_to(line, row),
            returned: Exact::ZERO,
            taken: valued.taken.clone(),
        };
        self.register(index, item, standing, root);
    }

    pub(super) fn register(&mut self, index: usize, item: i64, standing: Root, root: Option<usize>) {
        let line = &self.lines[index];
        let key = line.invoice_key(item);
        let near_key = line.invoice.as_deref().map(|i| Invoice { partner: line.partner, number: near(i), item });
        let alike = self.alike(line, item);
        self.state.stand(index, standing, root, key, near_key, alike);
    }
}
