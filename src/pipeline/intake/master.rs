//! Master data of a delivery: stored, and whoever it concerns marked for new sums.

use super::{Intake, PipelineResult};
use crate::core::master::{Draft, DraftItem, DraftPartner};
use crate::core::master_data::MasterData;
use crate::core::master_data::circles::{Link, Links};
use crate::core::problem::Problem;
use crate::mapping::Mapped;
use crate::pipeline::PipelineError;
use crate::store::{BaselineKind, ErpMemoRow, MarkedKey, MasterChange, NewException, StandingBaseline};
use foldhash::{HashMap, HashMapExt, HashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Codes whose facts also decide about lines of other codes, as the delivery found them and as far
/// as it has come.
#[derive(Default)]
pub(super) struct Kin {
    /// From a partner to those below it and those merged into it.
    dependants: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Between an item and its other numbers, both ways.
    numbers: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Kin {
    pub fn of(master: &MasterData) -> Self {
        let mut kin = Self { dependants: HashMap::new(), numbers: HashMap::new() };
        for partner in master.partners() {
            let above = partner.facts.iter().filter_map(|f| f.parent.as_ref()).chain(partner.merged.as_ref().map(|m| &m.into));
            for code in above {
                kin.dependants.entry(code.clone()).or_default().push(partner.code.clone());
            }
        }
        for item in master.items() {
            if let Some((next, _)) = &item.replaced_by {
                kin.renumbered(&item.code, next);
            }
        }
        kin
    }
    fn renumbered(&mut self, old: &str, new: &str) {
        self.numbers.entry(old.into()).or_default().push(new.into());
        self.numbers.entry(new.into()).or_default().push(old.into());
    }
    /// The code and everything that can be reached from it.
    fn reach(edges: &HashMap<Arc<str>, Vec<Arc<str>>>, code: &str) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = vec![code.into()];
        let mut at = 0;
        while let Some(current) = found.get(at).cloned() {
            at += 1;
            for next in edges.get(&current).into_iter().flatten() {
                if !found.contains(next) {
                    found.push(next.clone());
                }
            }
        }
        found
    }
}

/// A row that would close a circle.
pub(super) struct Circle {
    subject: String,
    partner: Option<String>,
    place: String,
    problem: Problem,
}

/// Codes that a delivery brings for the first time, until they are stored together.
#[derive(Default)]
pub(super) struct Fresh {
    codes: HashSet<String>,
    partners: Vec<DraftPartner>,
    items: Vec<DraftItem>,
}

impl Fresh {
    /// `false` when the code waits already.
    fn add(&mut self, code: &str) -> bool {
        self.codes.insert(code.to_owned())
    }
}

/// New codes stored at once.
const FRESH_AT_ONCE: usize = 2_000;

impl Intake<'_> {
    /// Rows that would close a circle with the links that are known and those of the other rows: what
    /// stands at the end decides, not the order of the rows.
    pub(super) fn circular(&self, rows: &[Mapped]) -> BTreeMap<usize, Circle> {
        let mut refused: BTreeMap<usize, Circle> = BTreeMap::new();
        let linked = |row: &Mapped| match row {
            Mapped::Row(Draft::Partner(p)) => p.parent.is_some() || p.merged_into.is_some(),
            Mapped::Row(Draft::Item(i)) => i.replaced_by.is_some(),
            _ => false,
        };
        while rows.iter().enumerate().any(|(index, row)| linked(row) && !refused.contains_key(&index)) {
            let mut links = Links::of(&self.master);
            let mut changed = Vec::new();
            for (index, row) in rows.iter().enumerate().filter(|(index, _)| !refused.contains_key(index)) {
                match row {
                    Mapped::Row(Draft::Partner(p)) => {
                        let subject = format!("partner {}", p.partner);
                        let kinds = links.take_partner(p).into_iter();
                        changed.extend(kinds.map(|l| (index, l, &p.partner, Some(&p.partner), subject.clone(), &p.place)));
                    }
                    Mapped::Row(Draft::Item(i)) if links.take_item(i) => {
                        changed.push((index, Link::Renumbering, &i.item, None, format!("item {}", i.item), &i.place));
                    }
                    _ => {}
                }
            }
            let before = refused.len();
            for (index, link, code, partner, subject, place) in changed {
                if let Some(problem) = links.problem(link, code) {
                    let place = place.to_string();
                    refused.insert(index, Circle { subject, partner: partner.cloned(), place, problem });
                }
            }
            if refused.len() == before {
                break;
            }
        }
        refused
    }

    pub(super) async fn refuse_circle(&mut self, circle: Circle) -> PipelineResult<()> {
        self.counts.rows_in += 1;
        self.counts.rows_refused += 1;
        let new = NewException {
            code: circle.problem.code.clone(),
            blocking: true,
            dedupe_key: format!("circle:{}:{}", circle.problem.code, circle.subject),
            subject: circle.subject,
            message: format!("{}; the row was not taken", circle.problem.message),
            help: circle.problem.help,
            place: Some(circle.place),
            partner: circle.partner,
            ..NewException::default()
        };
        self.open(new).await
    }

    /// What was refused for a circle before is taken now.
    async fn clear_circles(&mut self, subject: &str) -> PipelineResult<()> {
        for code in ["partner-circle", "parent-circle", "item-circle"] {
            let key = format!("circle:{code}:{subject}");
            if self.open_keys.remove(&key) {
                self.tx.clear_exception(&key, "the row was taken", self.delivery.now).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn take_master(&mut self, draft: Draft) -> PipelineResult<()> {
        if matches!(draft, Draft::Partner(_)) {
            // Its name may be the one that a claim has been waiting for.
            self.claims_concerned.insert("partners were delivered");
        }
        // New codes wait to be stored together; anything else may build on them.
        match draft {
            Draft::Partner(p)
                if p.aliases.is_empty()
                    && p.merged_into.is_none()
                    && !self.partner_ids.contains_key(&p.partner)
                    && self.fresh.add(&p.partner) =>
            {
                self.fresh.partners.push(*p);
            }
            Draft::Item(i) if !self.item_ids.contains_key(&i.item) && self.fresh.add(&i.item) => self.fresh.items.push(*i),
            known => {
                self.store_fresh().await?;
                return self.take_known(known).await;
            }
        }
        if self.fresh.codes.len() >= FRESH_AT_ONCE { self.store_fresh().await } else { Ok(()) }
    }

    /// Stores the codes that were met for the first time.
    pub(super) async fn store_fresh(&mut self) -> PipelineResult<()> {
        let Fresh { partners, items, .. } = std::mem::take(&mut self.fresh);
        if !partners.is_empty() {
            let first = self.tx.put_new_partners(&partners).await?;
            for (id, p) in (first..).zip(&partners) {
                self.partner_ids.insert(p.partner.clone(), id);
            }
            for p in &partners {
                self.clear_circles(&format!("partner {}", p.partner)).await?;
                self.mark_kin(&p.partner, MasterChange::New(0)).await?;
            }
        }
        if !items.is_empty() {
            let first = self.tx.put_new_items(&items).await?;
            for (id, i) in (first..).zip(&items) {
                self.item_ids.insert(i.item.clone(), id);
                if let Some(next) = &i.replaced_by {
                    self.kin.renumbered(&i.item, next);
                }
            }
            for i in &items {
                self.clear_circles(&format!("item {}", i.item)).await?;
                self.mark_buyers(&i.item, "item master data changed", true).await?;
            }
        }
        Ok(())
    }

    async fn take_known(&mut self, draft: Draft) -> PipelineResult<()> {
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
                self.clear_circles(&format!("partner {}", p.partner)).await?;
                if change != MasterChange::None {
                    self.mark_kin(&p.partner, change).await?;
                }
            }
            Draft::Item(i) => {
                self.units.extend(i.base_unit.clone());
                let change = self.tx.put_item(&i).await?;
                if let MasterChange::New(id) = change {
                    self.item_ids.insert(i.item.clone(), id);
                }
                if let Some(next) = &i.replaced_by {
                    self.kin.renumbered(&i.item, next);
                }
                self.clear_circles(&format!("item {}", i.item)).await?;
                if change != MasterChange::None {
                    self.mark_buyers(&i.item, "item master data changed", matches!(change, MasterChange::New(_))).await?;
                }
            }
            Draft::Unit(u) => {
                self.units.extend([u.from_unit.clone(), u.to_unit.clone()]);
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
                    match &u.item {
                        None => self.all_units_changed = true,
                        Some(code) => self.mark_buyers(code, "unit conversions changed", false).await?,
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
                    reference: m
                        .reference
                        .as_ref()
                        .map_or_else(String::new, |r| crate::core::settlement::own_reference(r).unwrap_or_else(|| r.clone())),
                    document: m.document.clone().unwrap_or_default(),
                    memo_date: m.date,
                    currency: m.currency.unwrap_or(self.settings.currency).code().to_owned(),
                    amount_u: m.amount.0,
                    status: m.status.clone().unwrap_or_else(|| "posted".into()),
                    archive_id: self.delivery.archive_id,
                };
                self.tx.put_erp_memo(&memo).await?;
            }
            Draft::Baseline(b) => {
                let Some(partner_id) = self.partner_ids.get(&*b.partner).copied() else {
                    return Err(Problem::new("unknown-partner", format!("partner `{}` is not known", b.partner))
                        .at(b.place.clone())
                        .help("import the partner first")
                        .into());
                };
                let standing = StandingBaseline {
                    partner_id,
                    agreement: b.agreement.clone(),
                    term: b.term.clone().unwrap_or_default(),
                    period_from: b.from,
                    period_to: b.to,
                    kind: BaselineKind::Imported,
                    figure: b.amount.exact(),
                };
                if self.tx.import_baseline(&standing, self.delivery.business_day).await? {
                    let reason = format!("baseline of {}..{} imported", b.from, b.to);
                    let key = MarkedKey { partner_id, agreement: b.agreement.clone(), reason, months: Vec::new() };
                    self.tx.mark_keys(&[key]).await?;
                }
            }
            Draft::Authorization(a) => {
                if self.tx.put_authorization("", &a, self.delivery.archive_id).await? {
                    self.claims_concerned.insert("authorisations were delivered");
                }
            }
            Draft::Stock(s) => {
                if self.stock_told.insert((s.partner.clone(), s.item.clone(), s.on)) {
                    self.tx.clear_stock(&s).await?;
                }
                self.tx.put_stock(&s).await?;
                self.claims_concerned.insert("channel stock was delivered");
            }
            other => {
                let kind = other.table().word();
                let body = serde_json::to_string(&other).map_err(|e| PipelineError::Internal(e.to_string()))?;
                let key = crate::core::hash::sha256_hex(body.as_bytes());
                self.tx.put_canonical_row(kind, &key, &body, self.delivery.archive_id).await?;
            }
        }
        Ok(())
    }

    /// Marks a partner, everybody whose lines its facts decide about, and whoever such lines counted for
    /// before; whom they count for now is followed when they are folded.
    async fn mark_kin(&mut self, code: &str, change: MasterChange) -> PipelineResult<()> {
        let concerned = Kin::reach(&self.kin.dependants, code);
        if concerned.len() == 1 && matches!(change, MasterChange::New(_)) {
            // Nobody knew the code, so nothing was counted by its facts.
            return Ok(());
        }
        for code in concerned {
            if let Some(id) = self.partner_ids.get(&*code).copied() {
                self.tx.mark_partner(id, "partner master data changed").await?;
            }
            let before: Vec<i64> = match self.master.partner_by_code(&code) {
                Some(partner) => self.master.merge_chain(partner.id).iter().skip(1).map(|p| p.id).collect(),
                None => Vec::new(),
            };
            for id in before {
                self.tx.mark_partner(id, "partner merged").await?;
            }
        }
        Ok(())
    }

    /// Marks the buyers of an item under any of its numbers. Nobody has bought a number that is `new`.
    async fn mark_buyers(&mut self, code: &str, reason: &str, new: bool) -> PipelineResult<()> {
        for number in Kin::reach(&self.kin.numbers, code) {
            if new && *number == *code {
                continue;
            }
            let Some(id) = self.item_ids.get(&*number).copied() else { continue };
            let partners = self.tx.partners_buying(id).await?;
            self.tx.mark_partners(&partners, reason).await?;
        }
        Ok(())
    }
}
