//! States of documents: which drafts belong together, which state is newer, whether content is the same.

use super::identity_of;
use crate::core::line::{DocumentStatus, DraftLine, Extra};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::store::{DocumentHead, DocumentRow, Identity, NewLine};
use chrono::{DateTime, NaiveDate, Utc};
use foldhash::{HashMap, HashMapExt};
use sha2::{Digest, Sha256};

/// What orders the states of a document: the source's own change information (case 22).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct VersionKey {
    /// When the source changed it.
    pub changed_at: Option<DateTime<Utc>>,
    /// Order at the same change time.
    pub sequence: Option<i64>,
    /// State.
    pub status: DocumentStatus,
}

impl VersionKey {
    /// The key of a stored document.
    pub fn of_head(head: &DocumentHead) -> Self {
        Self {
            changed_at: head.changed_at,
            sequence: head.sequence,
            status: DocumentStatus::from_word(&head.status).unwrap_or_default(),
        }
    }
    /// Whether this state is older. Without change information the later arrival is the newer state.
    pub fn is_older_than(&self, known: &Self) -> bool {
        match (self.changed_at, known.changed_at) {
            (Some(new), Some(old)) if new != old => new < old,
            _ => matches!((self.sequence, known.sequence), (Some(new), Some(old)) if new < old),
        }
    }
}

/// A draft that is moved by its address: it is large, and passes through many hands.
pub(super) type Held = Box<DraftLine>;

/// The lines of one state of one document.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub identity: Identity,
    pub document_date: NaiveDate,
    pub key: VersionKey,
    pub lines: Vec<Held>,
    /// [`Group::content_hash`], where it was reckoned ahead.
    pub hash: Option<Vec<u8>>,
}

/// The same on a thread of its own, with the hashes: the store takes the batch before meanwhile.
pub(super) fn group_ahead(drafts: Vec<Held>, company: &str) -> tokio::task::JoinHandle<Vec<Group>> {
    let company = company.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut groups = group_drafts(drafts, &company);
        for group in &mut groups {
            group.hash = Some(group.content_hash());
        }
        groups
    })
}

/// Groups drafts by document and state, in the order of their first lines.
///
/// The date of a document is that of its first line; lines without any date take the day 1900-01-01
/// only in theory, since mapping and canonical tables refuse them before.
pub(super) fn group_drafts(drafts: Vec<Held>, company: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut index: HashMap<(Identity, VersionKey), usize> = HashMap::new();
    for draft in drafts {
        // Lines of one document usually stand together: look at the last group before hashing.
        if let Some(last) = groups.last_mut()
            && last.identity.number == draft.document_number
            && last.identity.document_type == draft.document_type.word()
            && last.document_date == draft.document_date.unwrap_or_default()
            && last.key.status == draft.status
            && last.key.changed_at == draft.changed_at
            && last.key.sequence == draft.sequence
            && last.identity.company == *draft.company.as_deref().unwrap_or(company)
            && (last.identity.issuer.is_empty() || last.identity.issuer == draft.partner)
        {
            last.lines.push(draft);
            continue;
        }
        let document_date = draft.document_date.unwrap_or_default();
        let identity = identity_of(&draft, company, document_date);
        let key = VersionKey { changed_at: draft.changed_at, sequence: draft.sequence, status: draft.status };
        match index.get(&(identity.clone(), key.clone())) {
            Some(at) => groups[*at].lines.push(draft),
            None => {
                index.insert((identity.clone(), key.clone()), groups.len());
                groups.push(Group { identity, document_date, key, lines: vec![draft], hash: None });
            }
        }
    }
    groups
}

impl Group {
    /// SHA-256 over everything that can change a figure, free of the order of lines and of provenance.
    pub fn content_hash(&self) -> Vec<u8> {
        let mut order: Vec<&DraftLine> = self.lines.iter().map(|l| &**l).collect();
        if order.len() > 1 {
            order.sort_by(|a, b| a.line_number.cmp(&b.line_number));
        }
        let mut text = Vec::with_capacity(96 * (order.len() + 1));
        let field = |text: &mut Vec<u8>, value: &str| {
            text.extend_from_slice(value.as_bytes());
            text.push(0x1f);
        };
        let number = |text: &mut Vec<u8>, value: Option<Micros>| {
            if let Some(value) = value {
                text.extend_from_slice(&value.0.to_le_bytes());
            }
            text.push(0x1e);
        };
        let day = |text: &mut Vec<u8>, value: Option<NaiveDate>| {
            if let Some(value) = value {
                text.extend_from_slice(&chrono::Datelike::num_days_from_ce(&value).to_le_bytes());
            }
            text.push(0x1e);
        };
        field(&mut text, self.key.status.word());
        day(&mut text, Some(self.document_date));
        for l in order {
            field(&mut text, &l.line_number);
            field(&mut text, &l.partner);
            // Only where a line names another date than its document: what was stored before keeps its hash.
            if let Some(own) = l.document_date.filter(|own| *own != self.document_date) {
                day(&mut text, Some(own));
            }
            day(&mut text, l.posting_date);
            day(&mut text, l.paid_date);
            field(&mut text, l.line_kind.word());
            for figure in [l.quantity, l.gross_amount, l.net_amount, l.tax_amount, l.cost_amount] {
                number(&mut text, figure);
            }
            for value in [
                &l.item,
                &l.unit,
                &l.currency,
                &l.refers_to_document,
                &l.refers_to_line,
                &l.ship_to,
                &l.end_customer,
                &l.authorization,
                &l.order_type,
                &l.payment_terms,
                &l.territory,
                &l.our_reference,
            ] {
                field(&mut text, value.as_deref().unwrap_or_default());
            }
            for (name, value) in &l.attributes {
                field(&mut text, name);
                field(&mut text, value);
            }
            text.push(0x1d);
        }
        Sha256::digest(&text).to_vec()
    }

    /// The stored form of a resolved line; `None` when its currency is not one.
    pub fn new_line(
        &self,
        id: i64,
        l: &DraftLine,
        document: &DocumentRow,
        item_id: Option<i64>,
        default: Currency,
    ) -> Option<NewLine> {
        let currency = match &l.currency {
            Some(code) if code != default.code() => Currency::parse(code)?,
            _ => default,
        };
        let has_extra = l.ship_to.is_some()
            || l.end_customer.is_some()
            || l.authorization.is_some()
            || l.order_type.is_some()
            || l.payment_terms.is_some()
            || l.territory.is_some()
            || !l.attributes.is_empty();
        let extra = has_extra.then(|| {
            let extra = Extra {
                ship_to: l.ship_to.clone(),
                end_customer: l.end_customer.clone(),
                authorization: l.authorization.clone(),
                order_type: l.order_type.clone(),
                payment_terms: l.payment_terms.clone(),
                territory: l.territory.clone(),
                attributes: l.attributes.clone(),
            };
            serde_json::to_string(&extra).unwrap_or_default()
        });
        Some(NewLine {
            id,
            partner_id: document.head.partner_id?,
            document_id: document.id,
            version: document.head.version,
            line_number: l.line_number.clone(),
            document_date: self.document_date,
            item_id,
            line_kind: l.line_kind,
            quantity: l.quantity.unwrap_or_default(),
            unit: l.unit.clone().unwrap_or_default(),
            gross_amount: l.gross_amount,
            net_amount: l.net_amount.unwrap_or_default(),
            tax_amount: l.tax_amount,
            cost_amount: l.cost_amount,
            currency,
            refers_to_document: l.refers_to_document.clone(),
            refers_to_line: l.refers_to_line.clone(),
            extra,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(changed_at: Option<&str>, sequence: Option<i64>) -> VersionKey {
        VersionKey { changed_at: changed_at.map(|t| t.parse().expect("instant")), sequence, status: DocumentStatus::Posted }
    }

    #[test]
    fn the_newer_change_time_wins_then_the_sequence_then_the_later_arrival() {
        let old = key(Some("2026-04-05T10:00:00Z"), None);
        assert!(key(Some("2026-04-03T08:00:00Z"), None).is_older_than(&old));
        assert!(!key(Some("2026-04-06T08:00:00Z"), None).is_older_than(&old));
        let second = key(Some("2026-04-04T12:00:00Z"), Some(2));
        assert!(key(Some("2026-04-04T12:00:00Z"), Some(1)).is_older_than(&second));
        assert!(!key(Some("2026-04-04T12:00:00Z"), None).is_older_than(&second));
        assert!(!key(None, None).is_older_than(&key(None, None)));
    }
}
