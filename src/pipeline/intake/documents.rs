//! States of documents: what a delivery changes of a known one, and whose it is (cases 03, 20, 22, 23).

use super::version::{Group, VersionKey};
use super::{Intake, PipelineResult};
use crate::core::line::{DocumentStatus, DocumentType};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::settlement;
use crate::pipeline::exceptions::DELETED;
use crate::store::{DocumentHead, DocumentRow, ErpMemoRow, Identity, NewException, NewLine};
use foldhash::{HashSet, HashSetExt};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// A document that was delivered with fewer lines than it had.
pub(super) struct Removed {
    document: DocumentRow,
    lines: Vec<String>,
}

fn unknown_reference(reference: &str, identity: &Identity) -> String {
    format!("own-reference:{reference}:{identity}")
}

impl Intake<'_> {
    /// Folded lines that refer to this document mean something else now.
    pub(super) async fn note_original(&mut self, group: &Group) -> PipelineResult<()> {
        if group.identity.document_type == DocumentType::Invoice.word() && self.referred.contains(&group.identity.number) {
            for partner in self.tx.partners_referring_to(&group.identity.number).await? {
                self.tx.mark_partner(partner, &format!("{} arrived or changed", group.identity.number)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn head_of(&mut self, group: &Group, existing: Option<&DocumentRow>) -> PipelineResult<DocumentHead> {
        let first = &group.lines[0];
        let reported = self.partner_ids.get(&first.partner).copied();
        let before = existing.and_then(|e| e.head.partner_id);
        let partner_id = match reported {
            None => None,
            Some(reported) if !self.any_merges => Some(reported),
            Some(reported) => {
                let owner = self.master.document_owner(reported, before, group.document_date, self.delivery.business_day);
                if let Some(code) = owner.exception {
                    let new = NewException {
                        code: code.into(),
                        subject: group.identity.to_string(),
                        message: format!(
                            "first seen after partner `{}` was merged; it is counted for the survivor",
                            first.partner
                        ),
                        help: Some("check whose purchase it was".into()),
                        partner: Some(first.partner.clone()),
                        on_date: Some(group.document_date),
                        dedupe_key: format!("merged:{}", group.identity),
                        lasting: true,
                        ..NewException::default()
                    };
                    self.open(new).await?;
                }
                Some(owner.partner_id)
            }
        };
        let our_reference = self.own_reference(group).await?;
        let currency = first.currency.clone().unwrap_or_else(|| self.settings.currency.code().to_owned());
        Ok(DocumentHead {
            version: existing.map_or(1, |e| e.head.version + 1),
            partner_id,
            partner_code: first.partner.clone(),
            document_date: group.document_date,
            posting_date: first.posting_date,
            paid_on: first.paid_date,
            status: group.key.status.word().to_owned(),
            our_reference,
            currency,
            changed_at: group.key.changed_at,
            sequence: group.key.sequence,
            content_hash: group.hash.clone().unwrap_or_else(|| group.content_hash()),
            archive_id: self.delivery.archive_id,
            source_rank: self.delivery.source_rank,
        })
    }

    /// A document that carries one of our references is a payment of rebate, never a purchase or a return (case 03).
    pub(super) async fn own_reference(&mut self, group: &Group) -> PipelineResult<Option<String>> {
        // What a customer or an admin wrote into the same field is not one of ours and means nothing here.
        let Some(reference) = group.lines.iter().find_map(|l| settlement::own_reference(l.our_reference.as_deref()?)) else {
            return Ok(None);
        };
        if !self.references.contains(&reference)
            && let Some((action, _)) = self.tx.exception_decided(&unknown_reference(&reference, &group.identity)).await?
            && action == "release"
        {
            // A person said that it is a sale.
            return Ok(None);
        }
        Ok(Some(reference))
    }

    /// A reference of our form that no settlement of ours has: is it a payment or a sale?
    pub(super) async fn note_unknown_reference(&mut self, document: &DocumentRow) -> PipelineResult<()> {
        let Some(reference) = document.head.our_reference.as_ref().filter(|r| !self.references.contains(*r)) else {
            return Ok(());
        };
        let key = unknown_reference(reference, &document.identity);
        if self.tx.exception_decided(&key).await?.is_some() {
            return Ok(());
        }
        let new = NewException {
            code: "unknown-own-reference".into(),
            blocking: true,
            subject: document.identity.to_string(),
            message: format!(
                "carries the settlement reference `{reference}`, which no settlement of ours has; it is not counted"
            ),
            help: Some(
                "correct the reference in the source; or resolve with --action release (it is a sale and counts) or \
                 --action confirm (it is a payment and does not)"
                    .into(),
            ),
            partner: Some(document.head.partner_code.clone()),
            document_id: Some(document.id),
            on_date: Some(document.head.document_date),
            dedupe_key: key,
            ..NewException::default()
        };
        self.open(new).await
    }

    /// Keeps what a source shows of our own memo, cancelled ones too: somebody may have taken the credit
    /// back. Only for a state that is not older than the known one.
    pub(super) async fn note_memo(&mut self, group: &Group) -> PipelineResult<()> {
        let Some(reference) = group.lines.iter().find_map(|l| settlement::own_reference(l.our_reference.as_deref()?)) else {
            return Ok(());
        };
        if !self.references.contains(&reference) || group.key.status == DocumentStatus::Draft {
            return Ok(());
        }
        let first = &group.lines[0];
        let net: Option<Micros> = group.lines.iter().filter_map(|l| l.net_amount).try_fold(Micros::ZERO, Micros::checked_add);
        let memo = ErpMemoRow {
            reference,
            document: group.identity.number.clone(),
            memo_date: Some(group.document_date),
            currency: first.currency.clone().unwrap_or_else(|| self.settings.currency.code().to_owned()),
            // A memo past the range of an amount is none of ours: it differs from whatever we sent.
            amount_u: net.map_or(i64::MAX, |net| -net.0),
            status: group.key.status.word().to_owned(),
            archive_id: self.delivery.archive_id,
        };
        self.tx.put_erp_memo(&memo).await?;
        Ok(())
    }

    /// A document that a person confirmed as deleted is delivered again: it counts, and that is told.
    async fn back_in_source(&mut self, group: &Group, old: &DocumentRow) -> PipelineResult<()> {
        let new = NewException {
            code: "back-in-source".into(),
            subject: group.identity.to_string(),
            message: "was confirmed as deleted, and its source delivers it again: it counts again".into(),
            help: Some("check in the source whether it is valid; it can be confirmed as deleted once it is gone again".into()),
            partner: Some(group.lines[0].partner.clone()),
            on_date: Some(group.document_date),
            // Of this version: it may vanish and come back more than once.
            dedupe_key: format!("back:{}:{}", group.identity, old.head.version),
            ..NewException::default()
        };
        self.open(new).await
    }

    /// Compares with the known state; gives the lines of a new version, or `None` when nothing is to be stored.
    pub(super) async fn next_version(
        &mut self,
        group: &Group,
        old: &DocumentRow,
        mut head: DocumentHead,
        next_line: &mut i64,
    ) -> PipelineResult<Option<Vec<NewLine>>> {
        if old.head.source_rank > head.source_rank {
            self.compare_routes(group, old).await?;
            self.documents.unchanged += 1;
            self.counts.rows_out += i64::try_from(group.lines.len()).unwrap_or(0);
            return Ok(None);
        }
        let deleted = old.head.content_hash == DELETED;
        if self.delivery.replay && (deleted || old.head.archive_id != head.archive_id) {
            // A later delivery, or a person, said something newer about it.
            self.documents.unchanged += 1;
            return Ok(None);
        }
        if self.delivery.compared && !deleted && old.head.archive_id == head.archive_id {
            // The list came in the very bytes that a pull had brought.
            self.documents.unchanged += 1;
            return Ok(None);
        }
        let same_delivery = !deleted
            && (self.said.contains(&old.id) || (!self.delivery.replay && old.head.archive_id == head.archive_id))
            && VersionKey::of_head(&old.head) == group.key
            && old.head.source_rank == head.source_rank;
        if same_delivery {
            return self.append_lines(group, old, next_line).await.map(Some);
        }
        let same_source = old.head.source_rank == head.source_rank;
        if same_source && group.key.is_older_than(&VersionKey::of_head(&old.head)) {
            self.documents.unchanged += 1;
            self.counts.rows_out += i64::try_from(group.lines.len()).unwrap_or(0);
            return Ok(None);
        }
        let differs = if old.head.source_rank < head.source_rank { self.fill_in_that_differs(group, old).await? } else { None };
        self.note_memo(group).await?;
        if deleted {
            self.back_in_source(group, old).await?;
        }
        if old.head.content_hash == head.content_hash && old.head.partner_id == head.partner_id {
            // Known content: only the ordering and the provenance move on.
            self.documents.unchanged += 1;
            self.document_read(group);
            self.said.insert(old.id);
            self.counts.rows_out += i64::try_from(group.lines.len()).unwrap_or(0);
            head.version = old.head.version;
            if old.head.changed_at != head.changed_at || old.head.sequence != head.sequence || !same_source {
                self.tx.update_document(old.id, &head).await?;
            }
            if let Some(difference) = differs {
                self.routes_differ(old, difference).await?;
            }
            return Ok(None);
        }
        self.documents.changed += 1;
        self.document_read(group);
        if self.delivery.replay {
            self.said.insert(old.id);
            let before = match old.head.partner_id {
                Some(partner_id) => {
                    self.tx.document_version(partner_id, old.id, old.head.version).await?.map_or(Micros::ZERO, |d| d.net_amount())
                }
                None => Micros::ZERO,
            };
            let after = group.lines.iter().filter_map(|l| l.net_amount).sum();
            self.changes.push((group.identity.clone(), before, after));
        }
        if self.delivery.imported
            && let Some(partner_id) = old.head.partner_id
        {
            self.note_removed_lines(group, old, partner_id).await?;
        }
        if let Some(partner_id) = old.head.partner_id {
            self.tx.put_superseded(old.id, partner_id, &old.head).await?;
            self.tx.supersede_lines(partner_id, old.id, old.head.version).await?;
        }
        self.tx.drop_pending(old.id).await?;
        self.tx.clear_document_exceptions(old.id, "a newer version of the document arrived", self.delivery.now).await?;
        self.tx.update_document(old.id, &head).await?;
        if let Some(difference) = differs {
            self.routes_differ(old, difference).await?;
        }
        let row = DocumentRow { id: old.id, identity: old.identity.clone(), head };
        self.note_unknown_reference(&row).await?;
        self.resolve_lines(group, &row, next_line).await.map(Some)
    }

    /// A route that only fills in delivered what the record of truth has delivered: that one stays, a
    /// difference is shown (case 23).
    async fn compare_routes(&mut self, group: &Group, old: &DocumentRow) -> PipelineResult<()> {
        let Some(partner_id) = old.head.partner_id else { return Ok(()) };
        let difference = self.difference(group, old, partner_id, old.head.version).await?;
        if !difference.is_zero() {
            self.routes_differ(old, difference).await?;
        }
        Ok(())
    }

    /// The record of truth delivers what was filled in: a state of it that said something else is shown,
    /// so that it does not matter which of the two comes first.
    async fn fill_in_that_differs(&mut self, group: &Group, old: &DocumentRow) -> PipelineResult<Option<Micros>> {
        let Some(partner_id) = old.head.partner_id else { return Ok(None) };
        for version in (1..=old.head.version).rev() {
            let difference = self.difference(group, old, partner_id, version).await?;
            if !difference.is_zero() {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    /// What the delivered lines say more than a stored state, waiting lines included.
    async fn difference(&mut self, group: &Group, old: &DocumentRow, partner_id: i64, version: i64) -> PipelineResult<Micros> {
        let mut ours: Micros =
            self.tx.document_version(partner_id, old.id, version).await?.map_or(Micros::ZERO, |d| d.net_amount());
        let theirs: Micros = group.lines.iter().filter_map(|l| l.net_amount).sum();
        if ours != theirs {
            let waiting = self.tx.pending_lines().await?.into_iter().filter(|p| (p.document_id, p.version) == (old.id, version));
            ours += waiting.filter_map(|p| p.draft.net_amount).sum();
        }
        Ok(theirs - ours)
    }

    async fn routes_differ(&mut self, document: &DocumentRow, difference: Micros) -> PipelineResult<()> {
        let digits = Currency::parse(&document.head.currency).map_or(2, Currency::minor_digits);
        let new = NewException {
            code: "routes-differ".into(),
            subject: document.identity.to_string(),
            message: format!(
                "two routes delivered it and differ by {}; the record of truth is counted",
                difference.abs().to_text(digits)
            ),
            help: Some("find out which of the two is right and correct it in its source".into()),
            partner: Some(document.head.partner_code.clone()),
            document_id: Some(document.id),
            on_date: Some(document.head.document_date),
            dedupe_key: format!("routes:{}", document.identity),
            lasting: true,
            ..NewException::default()
        };
        self.open(new).await
    }

    /// A table that names a known document with fewer lines takes lines away, unless they stand further on.
    async fn note_removed_lines(&mut self, group: &Group, old: &DocumentRow, partner_id: i64) -> PipelineResult<()> {
        let mut gone = Vec::new();
        for line in self.tx.document_version(partner_id, old.id, old.head.version).await?.into_iter().flat_map(|d| d.lines) {
            if !group.lines.iter().any(|l| l.line_number == *line.line_number) {
                gone.push(line.line_number.to_string());
            }
        }
        if !gone.is_empty() {
            self.removed.insert(old.id, Removed { document: old.clone(), lines: gone });
        }
        Ok(())
    }

    /// Lines that a known document lost: a person should know.
    pub(super) async fn report_removed_lines(&mut self) -> PipelineResult<()> {
        for (_, Removed { document, lines }) in self.removed.drain().collect::<BTreeMap<_, _>>() {
            let new = NewException {
                code: "lines-removed".into(),
                subject: document.identity.to_string(),
                message: format!("was delivered again without line {}; the document as delivered now counts", lines.join(", ")),
                help: Some("deliver the document with all its lines if they still belong to it".into()),
                partner: Some(document.head.partner_code.clone()),
                document_id: None,
                on_date: Some(document.head.document_date),
                dedupe_key: format!("removed:{}:{}", document.identity, lines.join(",")),
                lasting: true,
                ..NewException::default()
            };
            self.open(new).await?;
        }
        Ok(())
    }

    /// More lines of a document that this delivery began earlier, apart from the others.
    pub(super) async fn append_lines(
        &mut self,
        group: &Group,
        old: &DocumentRow,
        next_line: &mut i64,
    ) -> PipelineResult<Vec<NewLine>> {
        let mut known: HashSet<String> = HashSet::new();
        if let Some(partner_id) = old.head.partner_id {
            let stored = self.tx.document_version(partner_id, old.id, old.head.version).await?;
            known.extend(stored.into_iter().flat_map(|d| d.lines).map(|l| l.line_number.to_string()));
            // Its lines do not stand together, so running sums are built from the whole document.
            self.tx.mark_partner(partner_id, "a document stood in several places of its file").await?;
        }
        if let Some(removed) = self.removed.get_mut(&old.id) {
            removed.lines.retain(|line| !group.lines.iter().any(|l| l.line_number == *line));
            if removed.lines.is_empty() {
                self.removed.remove(&old.id);
            }
        }
        let mut rest = Group { hash: None, ..group.clone() };
        rest.lines.retain(|l| !known.contains(&l.line_number));
        for line in group.lines.iter().filter(|l| known.contains(&l.line_number)) {
            self.duplicate_line(&group.identity, line).await?;
        }
        if rest.lines.is_empty() {
            return Ok(Vec::new());
        }
        // The content is no longer what the first place said: a later state that equals that is a change.
        let mut grown = old.clone();
        grown.head.content_hash.extend(rest.content_hash());
        grown.head.content_hash = Sha256::digest(&grown.head.content_hash).to_vec();
        self.tx.update_document(old.id, &grown.head).await?;
        self.resolve_lines(&rest, &grown, next_line).await
    }
}
