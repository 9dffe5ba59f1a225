//! Goods that came back, and lines whose decision was settled before.

use super::queue::{EndCustomer, Run};
use super::state::{Invoice, Root, near, plain};
use super::value::{No, share};
use super::{CostBasis, Decision, Outcome, Reason};
use crate::core::number::Exact;

impl<'q> Run<'q, '_> {
    /// The standing claims that goods of a returned line may belong to, the newest first.
    pub(super) fn returned(&self, index: usize) -> Vec<usize> {
        let line = &self.lines[index];
        let item = self.root_item(line);
        if let Ok(Some(original)) = self.corrected(index)
            && let Some(root) = self.state.root_of(original)
        {
            return vec![root];
        }
        let roots: Vec<usize> = match line.invoice_key(item) {
            Some(key) => {
                let own_line = line.invoice_line.as_deref().map(plain);
                let known = self.state.by_invoice.get(&key).map(Vec::as_slice).unwrap_or_default();
                let fits = |root: &usize| {
                    let root = &self.state.roots[*root];
                    let customer = match &line.end_customer {
                        EndCustomer::Known(code) => root.customer == *code,
                        _ => true,
                    };
                    customer && (own_line.is_none() || root.invoice_line == own_line)
                };
                let found: Vec<usize> = known.iter().copied().filter(fits).collect();
                if !found.is_empty() {
                    return self.newest_standing(found);
                }
                // The sale may have been told under another code of a merged partner.
                let near_key = Invoice { partner: line.partner, number: near(&key.number), item };
                let alike = self.state.near.get(&near_key).map(Vec::as_slice).unwrap_or_default();
                let same = |root: &usize| self.state.roots[*root].number.as_ref() == Some(&key.number) && fits(root);
                alike.iter().copied().filter(same).collect()
            }
            None => {
                let cited = line.authorization.clone().unwrap_or_default();
                self.state.unnamed.get(&(line.partner, cited, item)).cloned().unwrap_or_default()
            }
        };
        self.newest_standing(roots)
    }

    fn newest_standing(&self, mut roots: Vec<usize>) -> Vec<usize> {
        roots.retain(|r| self.state.roots[*r].quantity > Exact::ZERO);
        roots.reverse();
        roots
    }

    /// Goods came back: what was paid for them is taken back, and the authorisation has the quantity again.
    pub(super) fn give_back(&mut self, index: usize) -> Result<Decision, No> {
        let line = &self.lines[index];
        let roots = self.returned(index);
        let Some(first) = roots.first() else {
            let message = "nothing was paid for the goods that came back".to_owned();
            return Err(No::refused((Reason::ReturnWithoutClaim, message)));
        };
        let pool = self.state.roots[*first].pool.clone();
        let unit = self.state.roots[*first].unit.clone();
        let whole = self.units(line, &line.unit, &unit, -line.quantity.exact())?;
        let (mut rest, mut amount) = (whole, Exact::ZERO);
        for root in roots {
            if rest <= Exact::ZERO || self.state.roots[root].unit != unit {
                break;
            }
            let standing = &self.state.roots[root];
            let part = rest.min(standing.quantity);
            let value = share(standing.amount, part, standing.quantity)?;
            self.state.lower(root, part, value);
            rest -= part;
            amount -= value;
        }
        let taken = whole - rest;
        let (reason, message) = if rest > Exact::ZERO {
            let message = format!("{} of {} units that came back had been paid for", taken.to_text(0), whole.to_text(0));
            (Reason::ReturnExceedsClaims, message)
        } else {
            (Reason::Return, format!("{} units came back", whole.to_text(0)))
        };
        Ok(Decision {
            outcome: Outcome::Accepted,
            reason,
            message,
            claimed: self.asked(line).unwrap_or(amount),
            basis: Exact::ZERO,
            amount,
            quantity: -taken,
            pool,
        })
    }

    /// A line that is settled: what it took is taken.
    pub(super) fn replay(&mut self, index: usize, decision: Decision) -> Decision {
        let line = &self.lines[index];
        let item = self.root_item(line);
        if line.quantity.is_negative() {
            let (mut rest, whole) = (-decision.quantity, -decision.quantity);
            for root in self.returned(index) {
                if rest <= Exact::ZERO {
                    break;
                }
                let part = rest.min(self.state.roots[root].quantity);
                let value = (-decision.amount).checked_share(part, whole).unwrap_or_default();
                self.state.lower(root, part, value);
                rest -= part;
            }
        } else if decision.moves() {
            let original = self.corrected(index).ok().flatten().and_then(|original| self.state.root_of(original));
            let (mut quantity, mut amount, mut returned) = (decision.quantity, decision.amount, Exact::ZERO);
            if let Some(root) = original {
                let before = self.state.roots[root].clone();
                self.state.release(&before);
                returned = before.returned;
                if before.pool == decision.pool {
                    quantity += before.quantity;
                }
                amount += before.amount;
            }
            let unit = decision.pool.rsplit('\u{1f}').next().unwrap_or_default();
            let customer = match &line.end_customer {
                EndCustomer::Known(code) => code.clone(),
                _ => decision.pool.split('\u{1f}').nth(3).unwrap_or_default().to_owned(),
            };
            let day = line.shipped_on.unwrap_or(line.submitted_on);
            let fifo = self.queue.terms[line.term].rule.cost_basis == CostBasis::Fifo;
            let taken = if fifo { self.state.layers.take(line.partner, item, day, quantity) } else { None };
            let standing = Root {
                line: index,
                issuer: line.issuer,
                quantity,
                amount,
                pool: decision.pool.clone(),
                unit: if unit.is_empty() { line.unit.clone() } else { unit.to_owned() },
                number: line.invoice.as_deref().map(plain),
                invoice_line: line.invoice_line.as_deref().map(plain),
                customer,
                returned,
                taken: taken.map(|t| t.0).unwrap_or_default(),
            };
            self.register(index, item, standing, original);
        }
        decision
    }
}
