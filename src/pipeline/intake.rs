//! Intake: drafts become documents, lines and master data (`calculation.md` section 2, cases 20 to 23).
//!
//! A document keeps its identity whoever delivers it, as often as it comes. The newest state by the
//! source's own change information counts, and replaces the earlier one as a whole. A line that
//! cannot be resolved waits in `pending_line` with an open exception; nothing is dropped.

use super::intake_version::{Group, VersionKey, group_drafts};
use super::{PipelineError, PipelineResult, Settings};
use crate::core::line::{DocumentType, DraftLine};
use crate::core::master::Draft;
use crate::core::master_data::MasterData;
use crate::core::money::Currency;
use crate::mapping::{Mapped, RowProblem};
use crate::store::{
    DocumentHead, DocumentRow, ErpMemoRow, Identity, MasterChange, NewException, NewLine, PendingRow, Tx, WorkCounts,
};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeMap;

/// Drafts held before they are stored together.
const BATCH: usize = 10_000;

/// What intake knows of the delivery it takes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Archived document.
    pub archive_id: i64,
    /// Whether a canonical table is imported by a person.
    pub imported: bool,
    /// Whether an archived document is read again by a mended mapping: it replaces what it gave before.
    pub replay: bool,
    /// Whether a full list is compared: documents that are new in it were missed by the cursor.
    pub compared: bool,
    /// Rank of the source; the higher one is the record of truth (case 23).
    pub source_rank: i64,
    /// Business day being closed.
    pub business_day: NaiveDate,
    /// The instant of the run.
    pub now: DateTime<Utc>,
}

/// Counts of what intake did with documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DocumentCounts {
    /// New documents.
    pub new: i64,
    /// New versions of known documents.
    pub changed: i64,
    /// Documents that are known in this state or a newer one.
    pub unchanged: i64,
    /// Lines that wait for master data.
    pub pending: i64,
    /// Exceptions opened.
    pub exceptions: i64,
}

/// Takes the rows of one delivery inside one transaction.
pub struct Intake<'t> {
    pub(super) tx: &'t mut Tx,
    pub(super) settings: &'t Settings,
    pub(super) delivery: Delivery,
    partner_ids: BTreeMap<String, i64>,
    item_ids: BTreeMap<String, i64>,
    master: MasterData,
    any_merges: bool,
    waiting: Vec<DraftLine>,
    /// Numbers that folded lines refer to: their originals change what the lines mean.
    referred: HashSet<String>,
    open_keys: HashSet<String>,
    references: HashSet<String>,
    rates_from: BTreeMap<String, NaiveDate>,
    all_units_changed: bool,
    counts: WorkCounts,
    documents: DocumentCounts,
    /// In a comparison: every document of the list, and those that were not known.
    pub(super) seen: HashSet<Identity>,
    /// See [`Intake::seen`].
    pub(super) found_late: Vec<DocumentRow>,
    /// Documents whose content changed, with their net sums before and after.
    pub(super) changes: Vec<(Identity, crate::core::number::Micros, crate::core::number::Micros)>,
}

impl<'t> Intake<'t> {
    /// Starts taking a delivery.
    pub async fn start(tx: &'t mut Tx, settings: &'t Settings, delivery: Delivery) -> PipelineResult<Self> {
        let partner_ids = tx.partner_ids().await?;
        let item_ids = tx.item_ids().await?;
        let master = tx.master_data().await?;
        let any_merges = master.partners().iter().any(|p| p.merged.is_some());
        let referred = tx.referred_numbers().await?.into_iter().collect();
        let open_keys =
            tx.exceptions(&crate::store::ExceptionFilter::default()).await?.into_iter().map(|e| e.dedupe_key).collect();
        let references = tx.settlements().await?.into_iter().map(|s| s.reference).collect();
        Ok(Self {
            tx,
            settings,
            delivery,
            partner_ids,
            item_ids,
            master,
            any_merges,
            waiting: Vec::new(),
            referred,
            open_keys,
            references,
            rates_from: BTreeMap::new(),
            all_units_changed: false,
            counts: WorkCounts::default(),
            documents: DocumentCounts::default(),
            seen: HashSet::new(),
            found_late: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Takes one mapped row.
    pub async fn take(&mut self, row: Mapped) -> PipelineResult<()> {
        self.counts.rows_in += 1;
        match row {
            Mapped::Skipped { .. } => self.counts.rows_skipped += 1,
            Mapped::Problem(problem) => self.refuse_row(&problem).await?,
            Mapped::Row(Draft::Line(line)) => {
                self.waiting.push(*line);
                if self.waiting.len() >= BATCH {
                    self.flush(false).await?;
                }
            }
            Mapped::Row(other) => {
                self.counts.rows_out += 1;
                self.take_master(other).await?;
            }
        }
        Ok(())
    }

    /// Takes what is left and gives the counts.
    pub async fn finish(mut self) -> PipelineResult<(WorkCounts, DocumentCounts)> {
        self.settle().await
    }

    /// Takes what is left; the intake can still be asked for what changed.
    pub(super) async fn settle(&mut self) -> PipelineResult<(WorkCounts, DocumentCounts)> {
        self.flush(true).await?;
        if self.all_units_changed {
            let ids: Vec<i64> = self.partner_ids.values().copied().collect();
            for id in ids {
                self.tx.mark_partner(id, "unit conversions changed").await?;
            }
        }
        for (currency, from) in std::mem::take(&mut self.rates_from) {
            for partner in self.tx.partners_trading_in(&currency, from).await? {
                self.tx.mark_partner(partner, "exchange rates changed").await?;
            }
        }
        Ok((self.counts, self.documents))
    }

    /// A row that could not be read becomes an exception of its document.
    async fn refuse_row(&mut self, row: &RowProblem) -> PipelineResult<()> {
        self.counts.rows_refused += 1;
        let id = &row.identity;
        let Some(first) = row.problems.first() else { return Ok(()) };
        let number = id.document_number.clone().unwrap_or_default();
        let line = id.line_number.clone().unwrap_or_default();
        let place = first.problem.place.as_ref().map(ToString::to_string);
        let subject = if number.is_empty() {
            place.clone().unwrap_or_else(|| "row".to_owned())
        } else {
            format!("{} {number} line {line}", id.document_type.as_deref().unwrap_or("document"))
        };
        let messages: Vec<String> = row
            .problems
            .iter()
            .map(|p| match (&p.field, &p.raw) {
                (Some(field), Some(raw)) => format!("{field} `{raw}`: {}", p.problem.message),
                (Some(field), None) => format!("{field}: {}", p.problem.message),
                _ => p.problem.message.clone(),
            })
            .collect();
        let key = if number.is_empty() {
            format!("row:{}:{}", self.delivery.archive_id, place.clone().unwrap_or_default())
        } else {
            row_key(&number, &line)
        };
        let new = NewException {
            code: first.problem.code.clone(),
            blocking: true,
            subject,
            message: messages.join("; "),
            help: first.problem.help.clone(),
            place,
            partner: id.partner.clone(),
            on_date: id.document_date.as_deref().and_then(|d| d.parse().ok()),
            line_number: id.line_number.clone(),
            dedupe_key: key,
            ..NewException::default()
        };
        self.open(new).await
    }

    pub(super) async fn open(&mut self, new: NewException) -> PipelineResult<()> {
        let key = new.dedupe_key.clone();
        if self.tx.open_exception(&new, self.delivery.business_day, self.delivery.now).await? {
            self.documents.exceptions += 1;
            self.open_keys.insert(key);
        }
        Ok(())
    }

    async fn take_master(&mut self, draft: Draft) -> PipelineResult<()> {
        match draft {
            Draft::Line(_) => {}
            Draft::Partner(p) => {
                let change = self.tx.put_partner(&p).await?;
                if let MasterChange::New(id) = change {
                    self.partner_ids.insert(p.partner.clone(), id);
                }
                if let Some(id) = self.partner_ids.get(&p.partner).copied() {
                    for alias in &p.aliases {
                        self.partner_ids.entry(alias.clone()).or_insert(id);
                    }
                }
                if let MasterChange::Changed(id) = change {
                    self.tx.mark_partner(id, "partner master data changed").await?;
                    if let Some(into) = p.merged_into.as_ref().and_then(|code| self.partner_ids.get(code)) {
                        self.tx.mark_partner(*into, "partner merged").await?;
                    }
                }
            }
            Draft::Item(i) => match self.tx.put_item(&i).await? {
                MasterChange::New(id) => {
                    self.item_ids.insert(i.item.clone(), id);
                }
                MasterChange::Changed(id) => self.mark_buyers(id, "item master data changed").await?,
                MasterChange::None => {}
            },
            Draft::Unit(u) => {
                let item_id = match &u.item {
                    None => 0,
                    Some(code) => match self.item_ids.get(code) {
                        Some(id) => *id,
                        None => {
                            let new = NewException {
                                code: "unknown-item".into(),
                                subject: format!("unit conversion of {code}"),
                                message: format!("unit conversion names item `{code}`, which is not known"),
                                help: Some("import the item first, then the conversion again".into()),
                                place: Some(u.place.to_string()),
                                dedupe_key: format!("unit:{code}:{}:{}", u.from_unit, u.to_unit),
                                ..NewException::default()
                            };
                            return self.open(new).await;
                        }
                    },
                };
                if self.tx.put_unit(item_id, &u).await? {
                    if item_id == 0 {
                        self.all_units_changed = true;
                    } else {
                        self.mark_buyers(item_id, "unit conversions changed").await?;
                    }
                }
            }
            Draft::Rate(r) => {
                if self.tx.put_rate(&r).await? {
                    let from = self.rates_from.entry(r.from_currency.code().to_owned()).or_insert(r.date);
                    *from = (*from).min(r.date);
                }
            }
            Draft::Memo(m) => {
                let memo = ErpMemoRow {
                    reference: m.reference.clone(),
                    document: m.document.clone().unwrap_or_default(),
                    memo_date: m.date,
                    currency: m.currency.unwrap_or(self.settings.currency).code().to_owned(),
                    amount_u: m.amount.0,
                    status: m.status.clone().unwrap_or_else(|| "posted".into()),
                    archive_id: self.delivery.archive_id,
                };
                self.tx.put_erp_memo(&memo).await?;
            }
            other => {
                let kind = other.table().word();
                let body = serde_json::to_string(&other).map_err(|e| PipelineError::Internal(e.to_string()))?;
                let key = super::sha256_hex(body.as_bytes());
                self.tx.put_canonical_row(kind, &key, &body, self.delivery.archive_id).await?;
            }
        }
        Ok(())
    }

    async fn mark_buyers(&mut self, item_id: i64, reason: &str) -> PipelineResult<()> {
        for partner in self.tx.partners_buying(item_id).await? {
            self.tx.mark_partner(partner, reason).await?;
        }
        Ok(())
    }

    /// Stores the waiting drafts; the last document may still grow and is kept unless `all`.
    async fn flush(&mut self, all: bool) -> PipelineResult<()> {
        let mut drafts = std::mem::take(&mut self.waiting);
        if !all {
            let last = drafts.last().map(|d| (d.document_number.clone(), d.document_type));
            let keep = drafts
                .iter()
                .rev()
                .take_while(|d| Some((&d.document_number, d.document_type)) == last.as_ref().map(|(n, t)| (n, *t)))
                .count();
            if keep < drafts.len() {
                self.waiting = drafts.split_off(drafts.len() - keep);
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        let groups = group_drafts(drafts, &self.settings.company);
        let numbers: Vec<&str> = groups.iter().map(|g| g.identity.number.as_str()).collect();
        let mut known: HashMap<Identity, DocumentRow> = HashMap::new();
        for row in self.tx.known_documents(&numbers).await? {
            known.insert(row.identity.clone(), row);
        }
        let mut new_documents: Vec<DocumentRow> = Vec::new();
        let mut new_at: HashMap<Identity, usize> = HashMap::new();
        let mut new_lines: Vec<NewLine> = Vec::new();
        let mut next_document = self.tx.take_ids("document", i64::try_from(groups.len()).unwrap_or(i64::MAX)).await?;
        let line_count: usize = groups.iter().map(|g| g.lines.len()).sum();
        let mut next_line = self.tx.take_ids("line", i64::try_from(line_count).unwrap_or(i64::MAX)).await?;
        for group in groups {
            if new_at.contains_key(&group.identity) {
                // A second state of a document that is new in this very batch: store the first one, then compare.
                self.store_batch(&mut new_documents, &mut new_lines).await?;
                new_at.clear();
                if let Some(row) = self.tx.document(&group.identity).await? {
                    known.insert(group.identity.clone(), row);
                }
            }
            if self.delivery.compared {
                self.seen.insert(group.identity.clone());
            }
            let existing = known.get(&group.identity).cloned();
            let head = self.head_of(&group, existing.as_ref()).await?;
            match existing {
                None => {
                    self.documents.new += 1;
                    let row = DocumentRow { id: next_document, identity: group.identity.clone(), head };
                    if self.delivery.compared {
                        self.found_late.push(row.clone());
                    }
                    next_document += 1;
                    new_lines.extend(self.resolve_lines(&group, &row, &mut next_line).await?);
                    new_at.insert(group.identity.clone(), new_documents.len());
                    new_documents.push(row);
                    self.note_original(&group).await?;
                }
                Some(old) => {
                    if let Some(lines) = self.next_version(&group, &old, head, &mut next_line).await? {
                        new_lines.extend(lines);
                        self.note_original(&group).await?;
                    }
                    if let Some(row) = self.tx.document(&group.identity).await? {
                        known.insert(group.identity.clone(), row);
                    }
                }
            }
        }
        self.store_batch(&mut new_documents, &mut new_lines).await
    }

    async fn store_batch(&mut self, documents: &mut Vec<DocumentRow>, lines: &mut Vec<NewLine>) -> PipelineResult<()> {
        self.tx.insert_documents(documents).await?;
        self.tx.insert_lines(lines).await?;
        documents.clear();
        lines.clear();
        Ok(())
    }

    /// Folded lines that refer to this document mean something else now.
    async fn note_original(&mut self, group: &Group) -> PipelineResult<()> {
        if group.identity.document_type == DocumentType::Invoice.word() && self.referred.contains(&group.identity.number) {
            for partner in self.tx.partners_referring_to(&group.identity.number).await? {
                self.tx.mark_partner(partner, &format!("{} arrived or changed", group.identity.number)).await?;
            }
        }
        Ok(())
    }

    async fn head_of(&mut self, group: &Group, existing: Option<&DocumentRow>) -> PipelineResult<DocumentHead> {
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
            content_hash: group.content_hash(),
            archive_id: self.delivery.archive_id,
            source_rank: self.delivery.source_rank,
        })
    }

    /// A document that carries one of our references is a payment of rebate, never a purchase or a return (case 03).
    async fn own_reference(&mut self, group: &Group) -> PipelineResult<Option<String>> {
        let Some(reference) = group.lines.iter().find_map(|l| l.our_reference.clone()) else { return Ok(None) };
        let first = &group.lines[0];
        if self.references.contains(&reference) {
            if group.key.status.counts() {
                let net: i64 = group.lines.iter().filter_map(|l| l.net_amount).map(|m| m.0).sum();
                let memo = ErpMemoRow {
                    reference: reference.clone(),
                    document: group.identity.number.clone(),
                    memo_date: Some(group.document_date),
                    currency: first.currency.clone().unwrap_or_else(|| self.settings.currency.code().to_owned()),
                    amount_u: -net,
                    status: group.key.status.word().to_owned(),
                    archive_id: self.delivery.archive_id,
                };
                self.tx.put_erp_memo(&memo).await?;
            }
        } else {
            let new = NewException {
                code: "unknown-own-reference".into(),
                blocking: true,
                subject: group.identity.to_string(),
                message: format!(
                    "carries the settlement reference `{reference}`, which no settlement of ours has; it is not counted"
                ),
                help: Some("correct the reference in the source, or confirm that it is not a sale".into()),
                partner: Some(first.partner.clone()),
                on_date: Some(group.document_date),
                dedupe_key: format!("own-reference:{reference}:{}", group.identity),
                ..NewException::default()
            };
            self.open(new).await?;
        }
        Ok(Some(reference))
    }

    /// Compares with the known state; gives the lines of a new version, or `None` when nothing is to be stored.
    async fn next_version(
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
        if self.delivery.replay && old.head.archive_id != head.archive_id {
            // A later delivery said something newer about it.
            self.documents.unchanged += 1;
            return Ok(None);
        }
        if self.delivery.compared && old.head.archive_id == head.archive_id {
            // The list came in the very bytes that a pull had brought.
            self.documents.unchanged += 1;
            return Ok(None);
        }
        let same_delivery = !self.delivery.replay
            && old.head.archive_id == head.archive_id
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
        if old.head.content_hash == head.content_hash && old.head.partner_id == head.partner_id {
            // Known content: only the ordering and the provenance move on.
            self.documents.unchanged += 1;
            self.counts.rows_out += i64::try_from(group.lines.len()).unwrap_or(0);
            head.version = old.head.version;
            if old.head.changed_at != head.changed_at || old.head.sequence != head.sequence || !same_source {
                self.tx.update_document(old.id, &head).await?;
            }
            return Ok(None);
        }
        self.documents.changed += 1;
        if self.delivery.replay {
            let before = match old.head.partner_id {
                Some(partner_id) => {
                    self.tx.lines_of_version(partner_id, old.id, old.head.version).await?.iter().map(|l| l.line.net_amount).sum()
                }
                None => crate::core::number::Micros::ZERO,
            };
            let after = group.lines.iter().filter_map(|l| l.net_amount).sum();
            self.changes.push((group.identity.clone(), before, after));
        }
        if self.delivery.imported
            && let Some(partner_id) = old.head.partner_id
        {
            self.report_removed_lines(group, old, partner_id).await?;
        }
        if let Some(partner_id) = old.head.partner_id {
            self.tx.put_superseded(old.id, partner_id, &old.head).await?;
            self.tx.supersede_lines(partner_id, old.id, old.head.version).await?;
        }
        self.tx.drop_pending(old.id).await?;
        self.tx.clear_document_exceptions(old.id, "a newer version of the document arrived", self.delivery.now).await?;
        self.tx.update_document(old.id, &head).await?;
        let row = DocumentRow { id: old.id, identity: old.identity.clone(), head };
        self.resolve_lines(group, &row, next_line).await.map(Some)
    }

    /// Two routes delivered the same document: the record of truth stays, a difference is shown (case 23).
    async fn compare_routes(&mut self, group: &Group, old: &DocumentRow) -> PipelineResult<()> {
        let Some(partner_id) = old.head.partner_id else { return Ok(()) };
        let ours: i64 =
            self.tx.lines_of_version(partner_id, old.id, old.head.version).await?.iter().map(|l| l.line.net_amount.0).sum();
        let theirs: i64 = group.lines.iter().filter_map(|l| l.net_amount).map(|m| m.0).sum();
        if ours != theirs {
            let difference = crate::core::number::Micros(theirs - ours);
            let digits = Currency::parse(&old.head.currency).map_or(2, Currency::minor_digits);
            let new = NewException {
                code: "routes-differ".into(),
                subject: group.identity.to_string(),
                message: format!(
                    "two routes delivered it and differ by {}; the record of truth is counted",
                    difference.abs().to_text(digits)
                ),
                help: Some("find out which of the two is right and correct it in its source".into()),
                partner: Some(old.head.partner_code.clone()),
                document_id: Some(old.id),
                on_date: Some(old.head.document_date),
                dedupe_key: format!("routes:{}", group.identity),
                ..NewException::default()
            };
            self.open(new).await?;
        }
        Ok(())
    }

    /// A table that names a known document with fewer lines takes lines away: a person should know.
    async fn report_removed_lines(&mut self, group: &Group, old: &DocumentRow, partner_id: i64) -> PipelineResult<()> {
        let mut gone = Vec::new();
        for row in self.tx.lines_of_version(partner_id, old.id, old.head.version).await? {
            if !group.lines.iter().any(|l| l.line_number == *row.line.line_number) {
                gone.push(row.line.line_number.to_string());
            }
        }
        if !gone.is_empty() {
            let new = NewException {
                code: "lines-removed".into(),
                subject: group.identity.to_string(),
                message: format!("was delivered again without line {}; the document as delivered now counts", gone.join(", ")),
                help: Some("deliver the document with all its lines if they still belong to it".into()),
                partner: Some(old.head.partner_code.clone()),
                document_id: None,
                on_date: Some(old.head.document_date),
                dedupe_key: format!("removed:{}:{}", group.identity, gone.join(",")),
                ..NewException::default()
            };
            self.open(new).await?;
        }
        Ok(())
    }

    /// More lines of a document that this delivery began earlier, apart from the others.
    async fn append_lines(&mut self, group: &Group, old: &DocumentRow, next_line: &mut i64) -> PipelineResult<Vec<NewLine>> {
        let mut known: HashSet<String> = HashSet::new();
        if let Some(partner_id) = old.head.partner_id {
            for row in self.tx.lines_of_version(partner_id, old.id, old.head.version).await? {
                known.insert(row.line.line_number.to_string());
            }
            // Its lines do not stand together, so running sums are built from the whole document.
            self.tx.mark_partner(partner_id, "a document stood in several places of its file").await?;
        }
        let mut rest = group.clone();
        rest.lines.retain(|l| !known.contains(&l.line_number));
        for line in group.lines.iter().filter(|l| known.contains(&l.line_number)) {
            self.duplicate_line(&group.identity, line).await?;
        }
        if rest.lines.is_empty() {
            return Ok(Vec::new());
        }
        self.resolve_lines(&rest, old, next_line).await
    }

    async fn duplicate_line(&mut self, identity: &Identity, line: &DraftLine) -> PipelineResult<()> {
        let new = NewException {
            code: "duplicate-line".into(),
            blocking: true,
            subject: format!("{identity} line {}", line.line_number),
            message: "the same line number stands twice in one delivery; the first one is counted".into(),
            help: Some("give every line of a document its own number".into()),
            place: Some(line.place.to_string()),
            partner: Some(line.partner.clone()),
            on_date: line.document_date,
            dedupe_key: format!("duplicate:{identity}:{}", line.line_number),
            ..NewException::default()
        };
        self.open(new).await
    }

    /// Resolves the lines of a version; those that cannot be resolved wait with an exception.
    pub(super) async fn resolve_lines(
        &mut self,
        group: &Group,
        document: &DocumentRow,
        next_line: &mut i64,
    ) -> PipelineResult<Vec<NewLine>> {
        let mut lines = Vec::with_capacity(group.lines.len());
        let mut seen: HashSet<&str> = HashSet::new();
        for draft in &group.lines {
            self.counts.rows_out += 1;
            if group.lines.len() > 1 && !seen.insert(draft.line_number.as_str()) {
                self.duplicate_line(&group.identity, draft).await?;
                continue;
            }
            let unresolved = self.unresolved(draft, document);
            if !self.open_keys.is_empty() {
                self.clear_row_exceptions(draft, &unresolved, document).await?;
            }
            if unresolved.is_empty() {
                let item_id = draft.item.as_ref().and_then(|code| self.item_ids.get(code)).copied();
                if let Some(line) = group.new_line(*next_line, draft, document, item_id, self.settings.currency) {
                    *next_line += 1;
                    lines.push(line);
                    continue;
                }
            }
            self.hold_line(draft, document, &unresolved).await?;
        }
        Ok(lines)
    }

    /// What of a line is not known: (code, message, help).
    fn unresolved(&self, draft: &DraftLine, document: &DocumentRow) -> Vec<(&'static str, String, &'static str)> {
        let mut missing = Vec::new();
        if document.head.partner_id.is_none()
            || (draft.partner != document.head.partner_code && !self.partner_ids.contains_key(&draft.partner))
        {
            missing.push((
                "unknown-partner",
                format!("partner `{}` is not known", draft.partner),
                "import or pull the partner, or record the code as an alias of one",
            ));
        } else if draft.partner != document.head.partner_code {
            missing.push((
                "mixed-partners",
                format!("names partner `{}`, but its document belongs to `{}`", draft.partner, document.head.partner_code),
                "a document has one partner; correct the mapping or the source",
            ));
        }
        if let Some(code) = &draft.item
            && !self.item_ids.contains_key(code)
        {
            missing.push((
                "unknown-item",
                format!("item `{code}` is not known"),
                "import or pull the item; the line is counted by itself once it is known",
            ));
        }
        if let Some(code) = &draft.currency
            && Currency::parse(code).is_none()
        {
            missing.push((
                "unknown-currency",
                format!("`{code}` is not a currency code"),
                "map the source's currency to its ISO 4217 code",
            ));
        }
        if draft.net_amount.is_none() && draft.quantity.is_none() {
            missing.push(("no-figures", "has neither an amount nor a quantity".to_owned(), "map net_amount or quantity"));
        }
        missing
    }

    async fn clear_row_exceptions(
        &mut self,
        draft: &DraftLine,
        unresolved: &[(&'static str, String, &'static str)],
        document: &DocumentRow,
    ) -> PipelineResult<()> {
        let key = row_key(&draft.document_number, &draft.line_number);
        if self.open_keys.remove(&key) {
            self.tx.clear_exception(&key, "the row was read", self.delivery.now).await?;
        }
        for code in ["unknown-partner", "unknown-item", "unknown-currency", "mixed-partners", "no-figures"] {
            let key = line_key(code, document.id, &draft.line_number);
            if unresolved.iter().all(|u| u.0 != code) && self.open_keys.remove(&key) {
                self.tx.clear_exception(&key, "it is known now", self.delivery.now).await?;
            }
        }
        Ok(())
    }

    async fn hold_line(
        &mut self,
        draft: &DraftLine,
        document: &DocumentRow,
        unresolved: &[(&'static str, String, &'static str)],
    ) -> PipelineResult<()> {
        self.documents.pending += 1;
        for (code, message, help) in unresolved {
            let new = NewException {
                code: (*code).to_owned(),
                blocking: true,
                subject: format!("{} line {}", document.identity, draft.line_number),
                message: message.clone(),
                help: Some((*help).to_owned()),
                place: (!draft.place.source.is_empty()).then(|| draft.place.to_string()),
                partner: Some(draft.partner.clone()),
                document_id: Some(document.id),
                line_number: Some(draft.line_number.clone()),
                on_date: Some(document.head.document_date),
                dedupe_key: line_key(code, document.id, &draft.line_number),
                ..NewException::default()
            };
            self.open(new).await?;
        }
        let codes: Vec<&str> = unresolved.iter().map(|u| u.0).collect();
        let row = PendingRow {
            document_id: document.id,
            version: document.head.version,
            line_number: draft.line_number.clone(),
            draft: draft.clone(),
            codes: codes.join(","),
        };
        // The document row has to stand before a line that waits for it.
        self.tx.put_pending(&row).await?;
        Ok(())
    }

    /// Tries the lines that wait for master data again; returns how many came through.
    pub async fn retry_pending(&mut self) -> PipelineResult<i64> {
        let mut by_document: BTreeMap<i64, Vec<PendingRow>> = BTreeMap::new();
        for row in self.tx.pending_lines().await? {
            by_document.entry(row.document_id).or_default().push(row);
        }
        let mut through = 0;
        for (document_id, rows) in by_document {
            let Some(mut document) = self.tx.document_by_id(document_id).await? else { continue };
            let had_partner = document.head.partner_id.is_some();
            if !had_partner {
                document.head.partner_id = self.partner_ids.get(&document.head.partner_code).copied();
            }
            let Some(partner_id) = document.head.partner_id else { continue };
            let drafts: Vec<DraftLine> =
                rows.into_iter().filter(|r| r.version == document.head.version).map(|r| r.draft).collect();
            if drafts.iter().all(|d| !self.unresolved(d, &document).is_empty()) {
                continue;
            }
            if !had_partner {
                self.tx.update_document(document_id, &document.head).await?;
            }
            self.tx.drop_pending(document_id).await?;
            let mut next_line = self.tx.take_ids("line", i64::try_from(drafts.len()).unwrap_or(0)).await?;
            let before = self.documents.pending;
            let groups = group_drafts(drafts, &self.settings.company);
            for group in groups {
                let lines = self.resolve_lines(&group, &document, &mut next_line).await?;
                through += i64::try_from(lines.len()).unwrap_or(0);
                self.tx.insert_lines(&lines).await?;
            }
            self.documents.pending = before;
            self.tx.mark_partner(partner_id, &format!("{} became known", document.identity)).await?;
        }
        Ok(through)
    }
}

/// Same row of the same document, whichever file it came in.
fn row_key(number: &str, line: &str) -> String {
    format!("row:{number}:{line}")
}

/// Same finding on the same stored line.
pub(super) fn line_key(code: &str, document_id: i64, line: &str) -> String {
    format!("line:{code}:{document_id}:{line}")
}

/// The identity of a draft's document (`architecture.md`, idempotency).
pub(super) fn identity_of(draft: &DraftLine, company: &str, date: NaiveDate) -> Identity {
    Identity {
        company: draft.company.clone().unwrap_or_else(|| company.to_owned()),
        document_type: draft.document_type.word(),
        number: draft.document_number.clone(),
        year: date.year(),
        issuer: if draft.document_type.issued_by_others() { draft.partner.clone() } else { String::new() },
    }
}
