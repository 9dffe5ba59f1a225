//! The checks of a line before its quantity and price, in their fixed order.

use super::Reason;
use super::book::{self, Row};
use super::queue::{ClaimLine, EndCustomer, PersonSays, Run};
use super::state::{Alike, Invoice, near, plain};
use super::value::No;
use crate::core::number::Exact;
use chrono::Days;

impl<'q> Run<'q, '_> {
    /// The line that a line says it corrects.
    pub(super) fn corrected(&self, index: usize) -> Result<Option<usize>, No> {
        let line = &self.lines[index];
        let Some((document, number)) = &line.corrects else { return Ok(None) };
        let name = (line.partner, plain(document), number.clone().unwrap_or_default());
        let invoice = line.invoice.as_deref().map(plain);
        let fits = |other: &ClaimLine| {
            number.is_some() || (other.invoice.as_deref().map(plain) == invoice && other.invoice_line == line.invoice_line)
        };
        let known = self.by_name.get(&name).map(Vec::as_slice).unwrap_or_default();
        let mut found = known.iter().copied().filter(|i| *i != index && fits(&self.lines[*i]));
        let last = found.next_back();
        // Without a line number only one line can be meant.
        let several = number.is_none() && found.next().is_some();
        match (last.filter(|_| !several), line.person) {
            (Some(original), _) => Ok(Some(original)),
            (None, Some(PersonSays::Release)) => Ok(None),
            (None, person) => {
                let number = number.as_ref().map(|n| format!(" line {n}")).unwrap_or_default();
                let message = format!("it corrects {document}{number}, which is not known");
                Err(match person {
                    Some(_) => No::refused((Reason::CorrectionUnknown, message)),
                    None => No::held(Reason::CorrectionUnknown, message),
                })
            }
        }
    }

    /// Checks of the cited number, the item and the ship date.
    pub(super) fn row_for(&self, line: &ClaimLine) -> Result<Vec<&'q Row>, No> {
        let Some(cited) = line.authorization.as_deref() else {
            return Err(No::refused((Reason::AuthorizationMissing, "the line cites no authorisation".to_owned())));
        };
        let book = &self.queue.books[self.queue.terms[line.term].book];
        let rows = book.cited(cited, line.partner).map_err(No::refused)?;
        let item = line.item_id.map(|id| book::item_root(self.queue.master, id));
        let rows = book::with_item(rows, item, cited, &line.item).map_err(No::refused)?;
        let Some(shipped) = line.shipped_on else {
            // Where no day is asked for, none is missing.
            let open = |r: &&Row| r.source.shipped_from.is_none() && r.source.shipped_to.is_none();
            if self.queue.terms[line.term].rule.claim_within_days.is_none() && rows.iter().all(open) {
                return Ok(rows);
            }
            return Err(No::refused((Reason::ShipDateMissing, "the line has no ship date".to_owned())));
        };
        if shipped > line.submitted_on {
            let message = format!("shipped on {shipped}, after it was submitted on {}", line.submitted_on);
            return Err(No::refused((Reason::ShippedAfterSubmission, message)));
        }
        book::on_ship_date(rows, shipped, cited).map_err(No::refused)
    }

    pub(super) fn too_late(&self, line: &ClaimLine) -> Option<No> {
        let days = self.queue.terms[line.term].rule.claim_within_days?;
        let shipped = line.shipped_on?;
        let last = shipped.checked_add_days(Days::new(u64::from(days)))?;
        (line.submitted_on > last).then(|| {
            let message = format!("submitted on {}, shipped on {shipped}: the last day was {last}", line.submitted_on);
            No::refused((Reason::SubmittedTooLate, message))
        })
    }

    pub(super) fn row_for_customer(&self, line: &ClaimLine, rows: Vec<&'q Row>) -> Result<&'q Row, No> {
        let cited = line.authorization.as_deref().unwrap_or_default();
        let customer = match &line.end_customer {
            EndCustomer::Absent => None,
            EndCustomer::Known(code) => Some(code.as_str()),
            EndCustomer::Unclear(why) => return Err(No::held(Reason::UnknownEndCustomer, why.clone())),
        };
        book::for_customer(rows, customer, cited).map_err(No::refused)
    }

    pub(super) fn sold_to(line: &ClaimLine, row: &Row) -> String {
        match &line.end_customer {
            EndCustomer::Known(code) => code.clone(),
            _ => row.source.end_customer.clone().unwrap_or_default(),
        }
    }

    /// Whether the sale was claimed before and is paid or about to be (case 17). `own` is what the line corrects.
    pub(super) fn unclaimed(&self, index: usize, row: &Row, own: Option<usize>) -> Result<(), No> {
        let line = &self.lines[index];
        let item = self.root_item(line);
        let released = line.person == Some(PersonSays::Release);
        let standing = |root: &usize| Some(*root) != own && self.state.roots[*root].quantity > Exact::ZERO;
        let name = |root: usize| {
            let other = &self.lines[self.state.roots[root].line];
            format!("{} line {}", other.document, other.line)
        };
        let held = |message: String| match line.person {
            Some(PersonSays::Deny) => No::refused((Reason::Duplicate, format!("{message}; a person decided that it is"))),
            _ => No::held(Reason::PossibleDuplicate, message),
        };
        let Some(key) = line.invoice_key(item) else {
            let alike = self.state.alike.get(&self.alike(line, item)).map(Vec::as_slice).unwrap_or_default();
            let other = alike.iter().find(|r| standing(r) && self.lines[self.state.roots[**r].line].document != line.document);
            return match other.filter(|_| !released) {
                Some(root) => Err(held(format!("names no invoice and is like {} in every respect", name(*root)))),
                None => Ok(()),
            };
        };
        let customer = Self::sold_to(line, row);
        let own_line = line.invoice_line.as_deref().map(plain);
        for root in self.state.by_invoice.get(&key).map(Vec::as_slice).unwrap_or_default().iter().filter(|r| standing(r)) {
            let other = &self.state.roots[*root];
            if other.invoice_line != own_line || other.customer != customer {
                continue;
            }
            if own_line.is_some() {
                return Err(No::refused((Reason::Duplicate, format!("the sale was paid with {}", name(*root)))));
            }
            if !released {
                return Err(held(format!("names no invoice line, and an invoice of that number was paid with {}", name(*root))));
            }
        }
        if released {
            return Ok(());
        }
        // Under all codes of a merged partner: its numbers may have been told under another one.
        let number = near(line.invoice.as_deref().unwrap_or_default());
        let near_key = Invoice { partner: line.partner, number, item };
        let near_line = own_line.as_deref().map(near);
        for root in self.state.near.get(&near_key).map(Vec::as_slice).unwrap_or_default().iter().filter(|r| standing(r)) {
            let other = &self.state.roots[*root];
            let exact = other.issuer == line.issuer
                && other.number == line.invoice.as_deref().map(plain)
                && other.invoice_line == own_line;
            if other.invoice_line.as_deref().map(near) == near_line && !exact {
                return Err(held(format!("the invoice number or line is written like that of {}, which is paid", name(*root))));
            }
        }
        Ok(())
    }

    pub(super) fn alike(&self, line: &ClaimLine, item: i64) -> Alike {
        Alike {
            partner: line.partner,
            authorization: line.authorization.clone().unwrap_or_default(),
            item,
            shipped_on: line.shipped_on,
            quantity: line.quantity,
            claimed: line.claimed,
        }
    }
}
