//! Master data of a delivery: stored, and whoever it concerns marked for new sums.

use super::{Intake, PipelineResult};
use crate::core::master::Draft;
use crate::pipeline::PipelineError;
use crate::store::{ErpMemoRow, MasterChange, NewException};

impl Intake<'_> {
    pub(super) async fn take_master(&mut self, draft: Draft) -> PipelineResult<()> {
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
                let key = crate::pipeline::sha256_hex(body.as_bytes());
                self.tx.put_canonical_row(kind, &key, &body, self.delivery.archive_id).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mark_buyers(&mut self, item_id: i64, reason: &str) -> PipelineResult<()> {
        for partner in self.tx.partners_buying(item_id).await? {
            self.tx.mark_partner(partner, reason).await?;
        }
        Ok(())
    }
}
