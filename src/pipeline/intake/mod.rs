//! Intake: drafts become documents, lines and master data (`calculation.md` section 2, cases 20 to 23).
//!
//! A document keeps its identity whoever delivers it, as often as it comes. The newest state by the
//! source's own change information counts, and replaces the earlier one as a whole. A line that
//! cannot be resolved waits in `pending_line` with an open exception; nothing is dropped.

mod documents;
mod lines;
mod master;
pub mod refused;
mod version;

use super::{PipelineError, PipelineResult, Settings};
use crate::core::line::DraftLine;
use crate::core::master::Draft;
use crate::core::master_data::MasterData;
use crate::mapping::Mapped;
use crate::store::{DocumentRow, Identity, NewException, NewLine, Tx, WorkCounts};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use documents::Removed;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeMap;
use tokio::task::JoinHandle;
use version::{Group, Held, group_ahead};

/// Drafts held before they are stored together.
const BATCH: usize = 5_000;

/// What intake knows of the delivery it takes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Archived document.
    pub archive_id: i64,
    /// What tells that its source came again: see [`refused::source_key`].
    pub source: Option<String>,
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
    /// Units that master data or a term of an agreement names.
    units: HashSet<String>,
    master: MasterData,
    kin: master::Kin,
    any_merges: bool,
    waiting: Vec<Held>,
    /// The batch before, on its way to be stored.
    ready: Option<JoinHandle<Vec<Group>>>,
    /// Numbers that folded lines refer to: their originals change what the lines mean.
    referred: HashSet<String>,
    /// Stored documents that say what this delivery says: more lines of one that stand further on belong to it.
    said: HashSet<i64>,
    /// Lines that known documents seem to have lost, until the delivery brings them further on.
    removed: HashMap<i64, Removed>,
    open_keys: HashSet<String>,
    /// Whether any refused row is open: the exception, so that a delivery usually looks for none.
    any_row_open: bool,
    /// Keys of rows that this delivery could not read, and of refused rows whose documents it brought.
    refused_now: HashSet<String>,
    read_now: HashSet<String>,
    references: HashSet<String>,
    rates_from: BTreeMap<String, NaiveDate>,
    all_units_changed: bool,
    /// Why claims have to be decided again.
    claims_concerned: std::collections::BTreeSet<&'static str>,
    /// Stock of which the delivery told something: partner, item and day.
    stock_told: HashSet<(String, String, NaiveDate)>,
    fresh: master::Fresh,
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
        tx.share_folding().await?;
        let partner_ids = tx.partner_ids().await?;
        let item_ids = tx.item_ids().await?;
        let mut units: HashSet<String> = tx.known_units().await?.into_iter().collect();
        units.extend(tx.active_agreements().await?.iter().flat_map(lines::units_of));
        let master = tx.master_data().await?;
        let kin = master::Kin::of(&master);
        let any_merges = master.partners().iter().any(|p| p.merged.is_some());
        let referred = tx.referred_numbers().await?.into_iter().collect();
        let open_keys: HashSet<String> =
            tx.exceptions(&crate::store::ExceptionFilter::default()).await?.into_iter().map(|e| e.dedupe_key).collect();
        let any_row_open = open_keys.iter().any(|key| key.starts_with(refused::ROW));
        let references = tx.settlements().await?.into_iter().map(|s| s.reference).collect();
        Ok(Self {
            tx,
            settings,
            delivery,
            partner_ids,
            item_ids,
            units,
            master,
            kin,
            any_merges,
            waiting: Vec::new(),
            ready: None,
            referred,
            said: HashSet::new(),
            removed: HashMap::new(),
            open_keys,
            any_row_open,
            refused_now: HashSet::new(),
            read_now: HashSet::new(),
            references,
            rates_from: BTreeMap::new(),
            all_units_changed: false,
            claims_concerned: std::collections::BTreeSet::new(),
            stock_told: HashSet::new(),
            fresh: master::Fresh::default(),
            counts: WorkCounts::default(),
            documents: DocumentCounts::default(),
            seen: HashSet::new(),
            found_late: Vec::new(),
            changes: Vec::new(),
        })
    }

    /// Takes the rows of a whole document. A row whose link would close a circle is refused.
    pub async fn take_all(&mut self, rows: Vec<Mapped>) -> PipelineResult<()> {
        let mut circular = self.circular(&rows);
        for (index, row) in rows.into_iter().enumerate() {
            match circular.remove(&index) {
                Some(circle) => self.refuse_circle(circle).await?,
                None => self.take(row).await?,
            }
        }
        Ok(())
    }

    /// Takes one mapped row.
    pub async fn take(&mut self, row: Mapped) -> PipelineResult<()> {
        self.counts.rows_in += 1;
        match row {
            Mapped::Skipped { .. } => self.counts.rows_skipped += 1,
            Mapped::Problem(problem) => match self.released(&problem).await? {
                Some(line) => self.take_line(line).await?,
                None => self.refuse_row(&problem).await?,
            },
            Mapped::Row(Draft::Line(line)) => self.take_line(line).await?,
            Mapped::Row(other) => {
                self.counts.rows_out += 1;
                self.take_master(other).await?;
            }
        }
        Ok(())
    }

    async fn take_line(&mut self, line: Held) -> PipelineResult<()> {
        self.waiting.push(line);
        if self.waiting.len() >= BATCH {
            self.flush(false).await?;
        }
        Ok(())
    }

    /// Takes what is left and gives the counts.
    pub async fn finish(mut self) -> PipelineResult<(WorkCounts, DocumentCounts)> {
        self.settle().await
    }

    /// Takes what is left; the intake can still be asked for what changed.
    pub(super) async fn settle(&mut self) -> PipelineResult<(WorkCounts, DocumentCounts)> {
        self.store_fresh().await?;
        self.flush(true).await?;
        self.report_removed_lines().await?;
        self.close_mended_rows().await?;
        if self.all_units_changed {
            // Whoever bought nothing yet has no figure that changes: the reason of the first one is another.
            let ids = self.tx.partners_trading().await?;
            self.tx.mark_partners(&ids, "unit conversions changed").await?;
        }
        for (currency, from) in std::mem::take(&mut self.rates_from) {
            let partners = self.tx.partners_trading_in(&currency, from).await?;
            self.tx.mark_partners(&partners, "exchange rates changed").await?;
            if self.tx.authorizes_in(&currency).await? {
                // Prices of an authorisation need not be in the currency of the documents.
                self.claims_concerned.insert("exchange rates changed");
            }
        }
        for reason in std::mem::take(&mut self.claims_concerned) {
            self.tx.mark_claims(reason).await?;
        }
        Ok((self.counts, self.documents))
    }

    pub(super) async fn open(&mut self, new: NewException) -> PipelineResult<()> {
        let key = new.dedupe_key.clone();
        if self.tx.open_exception(&new, self.delivery.business_day, self.delivery.now).await? {
            self.documents.exceptions += 1;
            self.open_keys.insert(key);
        }
        Ok(())
    }

    /// Stores the batch before and makes the waiting drafts ready, or with `all` stores both.
    async fn flush(&mut self, all: bool) -> PipelineResult<()> {
        let before = self.ready.take();
        let drafts = self.cut(all);
        if !drafts.is_empty() {
            self.ready = Some(group_ahead(drafts, &self.settings.company));
        }
        for ready in before.into_iter().chain(if all { self.ready.take() } else { None }) {
            let groups = ready.await.map_err(|e| PipelineError::Internal(format!("documents could not be put together: {e}")))?;
            self.store_groups(groups).await?;
        }
        Ok(())
    }

    /// The waiting drafts; the last document may still grow and is kept unless `all`.
    fn cut(&mut self, all: bool) -> Vec<Held> {
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
        drafts
    }

    async fn store_groups(&mut self, groups: Vec<Group>) -> PipelineResult<()> {
        let numbers: Vec<&str> = groups.iter().map(|g| g.identity.number.as_str()).collect();
        let mut known: HashMap<Identity, DocumentRow> = HashMap::new();
        for row in self.tx.known_documents(&numbers).await? {
            known.insert(row.identity.clone(), row);
        }
        let mut new_documents: Vec<DocumentRow> = Vec::new();
        let mut touched: HashSet<Identity> = HashSet::with_capacity(groups.len());
        let line_count: usize = groups.iter().map(|g| g.lines.len()).sum();
        let mut new_lines: Vec<NewLine> = Vec::with_capacity(line_count);
        let mut next_document = self.tx.take_ids("document", i64::try_from(groups.len()).unwrap_or(i64::MAX)).await?;
        let mut next_line = self.tx.take_ids("line", i64::try_from(line_count).unwrap_or(i64::MAX)).await?;
        for group in groups {
            if touched.contains(&group.identity) {
                // A second state of a document in this very batch: the lines of the first one have to stand
                // before they can be superseded.
                // The others of the batch are known from here on, too.
                known.extend(new_documents.iter().map(|row| (row.identity.clone(), row.clone())));
                self.store_batch(&mut new_documents, &mut new_lines).await?;
                touched.clear();
                if let Some(row) = self.tx.document(&group.identity).await? {
                    known.insert(group.identity.clone(), row);
                }
            }
            if self.delivery.compared {
                self.seen.insert(group.identity.clone());
            }
            touched.insert(group.identity.clone());
            let existing = known.get(&group.identity).cloned();
            let head = self.head_of(&group, existing.as_ref()).await?;
            match existing {
                None => {
                    self.documents.new += 1;
                    self.document_read(&group);
                    let row = DocumentRow { id: next_document, identity: group.identity.clone(), head };
                    if self.delivery.compared {
                        self.found_late.push(row.clone());
                    }
                    next_document += 1;
                    new_lines.extend(self.resolve_lines(&group, &row, &mut next_line).await?);
                    self.note_unknown_reference(&row).await?;
                    new_documents.push(row);
                    self.note_memo(&group).await?;
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
