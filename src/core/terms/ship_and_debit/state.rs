//! What the queue has come to: quantities used, sales that stand as paid, channel stock left.

use crate::core::number::{Exact, Micros};
use chrono::NaiveDate;
use foldhash::HashMap;

/// A number as it is compared: without blanks around it, in upper case (case 17).
pub(super) fn plain(text: &str) -> String {
    text.trim().to_uppercase()
}

/// A number as it might have been meant: letters and digits without leading zeros.
pub(super) fn near(text: &str) -> String {
    let kept: String = plain(text).chars().filter(|c| c.is_alphanumeric()).collect();
    kept.trim_start_matches('0').to_owned()
}

/// An item on an invoice of a partner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Invoice {
    pub partner: i64,
    pub number: String,
    pub item: i64,
}

/// A line without an invoice, as far as lines can be alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Alike {
    pub partner: i64,
    pub authorization: String,
    pub item: i64,
    pub shipped_on: Option<NaiveDate>,
    pub quantity: Micros,
    pub claimed: Option<Micros>,
}

/// A sale that is paid, after all corrections and returns.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// The newest line that says what it is.
    pub line: usize,
    pub issuer: i64,
    pub quantity: Exact,
    pub amount: Exact,
    pub pool: String,
    /// Unit of the quantity.
    pub unit: String,
    pub number: Option<String>,
    pub invoice_line: Option<String>,
    pub customer: String,
    /// Quantity that came back.
    pub returned: Exact,
    /// Channel stock that it took.
    pub taken: Vec<(usize, Exact)>,
}

#[derive(Default)]
pub(super) struct State {
    used: HashMap<String, Exact>,
    pub roots: Vec<Root>,
    root_of: HashMap<usize, usize>,
    pub by_invoice: HashMap<Invoice, Vec<usize>>,
    pub near: HashMap<Invoice, Vec<usize>>,
    pub alike: HashMap<Alike, Vec<usize>>,
    /// Sales without an invoice by partner, authorisation and item.
    pub unnamed: HashMap<(i64, String, i64), Vec<usize>>,
    pub layers: Layers,
}

impl State {
    pub fn new(layers: Layers) -> Self {
        Self { layers, ..Self::default() }
    }
    pub fn used(&self, pool: &str) -> Exact {
        self.used.get(pool).copied().unwrap_or_default()
    }
    /// The sale that a line's decision belongs to, where it is paid.
    pub fn root_of(&self, line: usize) -> Option<usize> {
        self.root_of.get(&line).copied()
    }
    fn change(&mut self, pool: &str, by: Exact) {
        *self.used.entry(pool.to_owned()).or_default() += by;
    }
    /// Takes a sale out before it is decided again.
    pub fn release(&mut self, root: &Root) {
        self.change(&root.pool, -root.quantity);
        self.layers.give_back(&root.taken);
    }
    /// Puts it back as it was.
    pub fn seize(&mut self, root: &Root) {
        self.change(&root.pool, root.quantity);
        self.layers.take_again(&root.taken);
    }
    /// A sale stands, anew or in place of what `root` stood for, which was released.
    pub fn stand(
        &mut self,
        line: usize,
        standing: Root,
        root: Option<usize>,
        invoice: Option<Invoice>,
        near: Option<Invoice>,
        alike: Alike,
    ) {
        self.change(&standing.pool, standing.quantity);
        let index = match root {
            Some(index) => {
                self.roots[index] = standing;
                index
            }
            None => {
                self.roots.push(standing);
                self.roots.len() - 1
            }
        };
        self.root_of.insert(line, index);
        fn note<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<usize>>, key: K, index: usize) {
            let list = map.entry(key).or_default();
            if !list.contains(&index) {
                list.push(index);
            }
        }
        match (invoice, near) {
            (Some(invoice), Some(near)) => {
                note(&mut self.by_invoice, invoice, index);
                note(&mut self.near, near, index);
            }
            _ => note(&mut self.unnamed, (alike.partner, alike.authorization.clone(), alike.item), index),
        }
        note(&mut self.alike, alike, index);
    }
    /// Part of a sale is taken back.
    pub fn lower(&mut self, root: usize, quantity: Exact, amount: Exact) {
        let root = &mut self.roots[root];
        let (before, pool) = (root.quantity, root.pool.clone());
        root.quantity -= quantity;
        root.amount -= amount;
        root.returned += quantity;
        // What came in last goes back first.
        let mut back: Vec<(usize, Exact)> = Vec::new();
        let held: Exact = root.taken.iter().map(|t| t.1).sum();
        let mut rest = held.checked_share(quantity, before).unwrap_or_default();
        while rest > Exact::ZERO {
            let Some((layer, taken)) = root.taken.pop() else { break };
            let part = rest.min(taken);
            back.push((layer, part));
            rest -= part;
            if taken > part {
                root.taken.push((layer, taken - part));
            }
        }
        self.layers.give_back(&back);
        self.change(&pool, -quantity);
    }
}

/// Channel stock in layers, first in first out.
#[derive(Default)]
pub(super) struct Layers {
    layers: Vec<Layer>,
    by_item: HashMap<(i64, i64), Vec<usize>>,
}

struct Layer {
    on: NaiveDate,
    cost: Micros,
    left: Exact,
}

/// Quantities with their unit costs.
type Costs = Vec<(Exact, Micros)>;

impl Layers {
    pub fn add(&mut self, partner: i64, item: i64, on: NaiveDate, cost: Micros, quantity: Exact) {
        self.by_item.entry((partner, item)).or_default().push(self.layers.len());
        self.layers.push(Layer { on, cost, left: quantity });
    }
    pub fn sort(&mut self) {
        for list in self.by_item.values_mut() {
            list.sort_by_key(|i| (self.layers[*i].on, self.layers[*i].cost, self.layers[*i].left));
        }
    }
    /// Takes a quantity from layers that came in by the day; `None`, and nothing taken, where they do not hold it.
    pub fn take(&mut self, partner: i64, item: i64, day: NaiveDate, quantity: Exact) -> Option<(Vec<(usize, Exact)>, Costs)> {
        let list = self.by_item.get(&(partner, item))?;
        let mut rest = quantity;
        let (mut taken, mut costs) = (Vec::new(), Vec::new());
        for index in list {
            let layer = &self.layers[*index];
            if rest <= Exact::ZERO || layer.on > day {
                break;
            }
            let part = rest.min(layer.left);
            if part > Exact::ZERO {
                taken.push((*index, part));
                costs.push((part, layer.cost));
                rest -= part;
            }
        }
        if rest > Exact::ZERO {
            return None;
        }
        self.take_again(&taken);
        Some((taken, costs))
    }
    pub fn take_again(&mut self, taken: &[(usize, Exact)]) {
        for (index, quantity) in taken {
            self.layers[*index].left -= *quantity;
        }
    }
    pub fn give_back(&mut self, taken: &[(usize, Exact)]) {
        for (index, quantity) in taken {
            self.layers[*index].left += *quantity;
        }
    }
}
