//! Master data: partners, items, units, rates. Identities once, facts dated. A fact of which a source
//! does not speak is kept; one that it names and leaves empty is gone from the row's first day on.

use super::bulk::{Cell, Rows};
use super::{StoreResult, Tx, corrupt, on};
use crate::core::master::{DraftItem, DraftPartner, DraftRate, DraftUnit};
use crate::core::master_data::circles::SINCE_EVER as EVER;
use crate::core::master_data::{Conversion, ExchangeRate, Item, ItemFact, MasterData, Merge, MergeHistory, Partner, PartnerFact};
use crate::core::money::Currency;
use crate::core::number::{Factor, Micros};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an import changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterChange {
    /// Nothing new.
    None,
    /// A new identity.
    New(i64),
    /// New facts of a known identity that can change figures.
    Changed(i64),
}

/// Newest facts of a partner, for people and mail.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PartnerHead {
    /// Id.
    pub id: i64,
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
    /// Mail addresses.
    pub email: Vec<String>,
    /// Language tag.
    pub language: Option<String>,
    /// Currency code.
    pub currency: Option<String>,
    /// Country code.
    pub country: Option<String>,
}

/// What holds of a fact once a row was taken.
fn standing<T>(told_empty: &[String], column: &str, told: Option<T>, old: Option<T>) -> Option<T> {
    if told_empty.iter().any(|empty| empty == column) { None } else { told.or(old) }
}

fn list(text: &str) -> Vec<String> {
    text.split(';').map(str::trim).filter(|p| !p.is_empty()).map(str::to_owned).collect()
}

impl Tx {
    /// Stores partners that nobody knew, each named once, without aliases and mergers; gives the first of their ids, which follow
    /// one another.
    pub async fn put_new_partners(&mut self, partners: &[DraftPartner]) -> StoreResult<i64> {
        let first = self.take_ids("partner", i64::try_from(partners.len()).unwrap_or(i64::MAX)).await?;
        let mut identities = Rows::of("partner", ["id", "code"], partners.len());
        let mut facts = Rows::of(
            "partner_fact",
            ["partner_id", "valid_from", "name", "parent", "groups", "email", "language", "currency", "country", "tax_id"],
            partners.len(),
        );
        for (id, p) in (first..).zip(partners) {
            identities.push([id.into(), (&p.partner).into()]);
            facts.push([
                id.into(),
                p.valid_from.unwrap_or(EVER).into(),
                p.name.as_ref().unwrap_or(&p.partner).into(),
                (&p.parent).into(),
                p.groups.join(";").into(),
                p.email.join(";").into(),
                (&p.language).into(),
                p.currency.map_or(Cell::Null, |c| c.code().to_owned().into()),
                (&p.country).into(),
                (&p.tax_id).into(),
            ]);
        }
        self.insert_rows(identities).await?;
        self.insert_rows(facts).await?;
        Ok(first)
    }

    /// Stores items that nobody knew, each named once; gives the first of their ids, which follow one another.
    pub async fn put_new_items(&mut self, items: &[DraftItem]) -> StoreResult<i64> {
        let first = self.take_ids("item", i64::try_from(items.len()).unwrap_or(i64::MAX)).await?;
        let mut identities = Rows::of("item", ["id", "code", "replaced_by", "replaced_on"], items.len());
        let mut facts = Rows::of(
            "item_fact",
            ["item_id", "valid_from", "description", "category", "brand", "item_group", "base_unit", "weight_u"],
            items.len(),
        );
        for (id, i) in (first..).zip(items) {
            let replaced_on = i.replaced_by.as_ref().map(|_| i.replaced_on.unwrap_or(EVER));
            identities.push([id.into(), (&i.item).into(), (&i.replaced_by).into(), replaced_on.into()]);
            facts.push([
                id.into(),
                i.valid_from.unwrap_or(EVER).into(),
                (&i.description).into(),
                (&i.category).into(),
                (&i.brand).into(),
                (&i.group).into(),
                (&i.base_unit).into(),
                i.weight.map(|w| w.0).into(),
            ]);
        }
        self.insert_rows(identities).await?;
        self.insert_rows(facts).await?;
        Ok(first)
    }

    /// Stores a partner's identity and dated facts.
    pub async fn put_partner(&mut self, p: &DraftPartner) -> StoreResult<MasterChange> {
        let known: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT id FROM partner WHERE code = $1").bind(&p.partner).fetch_optional(c).await?);
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.take_id("partner").await?;
                on!(self, c => sqlx::query("INSERT INTO partner (id, code) VALUES ($1, $2)").bind(id).bind(&p.partner).execute(c).await?.rows_affected());
                id
            }
        };
        let mut changed = false;
        if let Some(into) = &p.merged_into {
            let history = p.merge_history.unwrap_or_default().word();
            let done = on!(self, c => sqlx::query(
                "UPDATE partner SET merged_into = $2, merged_on = $3, merge_history = $4
                 WHERE id = $1 AND (merged_into IS NULL OR merged_into <> $2 OR merged_on <> $3 OR merge_history <> $4)")
                .bind(id).bind(into).bind(p.merged_on).bind(history).execute(c).await?.rows_affected());
            changed |= done > 0;
        }
        for alias in &p.aliases {
            let done = on!(self, c => sqlx::query(
                "INSERT INTO partner_alias (alias, partner_id) VALUES ($1, $2)
                 ON CONFLICT (alias) DO UPDATE SET partner_id = EXCLUDED.partner_id WHERE partner_alias.partner_id <> EXCLUDED.partner_id")
                .bind(alias).bind(id).execute(c).await?.rows_affected());
            changed |= done > 0;
        }
        // Facts that the row does not tell are taken from the fact that holds on its first day.
        type Fact =
            (NaiveDate, String, Option<String>, String, String, Option<String>, Option<String>, Option<String>, Option<String>);
        let valid_from = p.valid_from.unwrap_or(EVER);
        let before: Option<Fact> = on!(self, c => sqlx::query_as(
            "SELECT valid_from, name, parent, groups, email, language, currency, country, tax_id FROM partner_fact
             WHERE partner_id = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1").bind(id).bind(valid_from).fetch_optional(c).await?);
        let empty = (valid_from, p.partner.clone(), None, String::new(), String::new(), None, None, None, None);
        let old = before.clone().unwrap_or(empty);
        let now = |column: &str, told: Option<String>, old: Option<String>| standing(&p.told_empty, column, told, old);
        let joined = |list: &[String]| (!list.is_empty()).then(|| list.join(";"));
        let new: Fact = (
            valid_from,
            // Everybody is called something: a partner without a name by its code.
            now("name", p.name.clone(), Some(old.1)).unwrap_or_else(|| p.partner.clone()),
            now("parent", p.parent.clone(), old.2),
            now("groups", joined(&p.groups), Some(old.3)).unwrap_or_default(),
            now("email", joined(&p.email), Some(old.4)).unwrap_or_default(),
            now("language", p.language.clone(), old.5),
            now("currency", p.currency.map(|c| c.code().to_owned()), old.6),
            now("country", p.country.clone(), old.7),
            now("tax_id", p.tax_id.clone(), old.8),
        );
        if before.as_ref() != Some(&new) {
            changed |= before.as_ref().is_none_or(|b| b.2 != new.2 || b.3 != new.3);
            on!(self, c => sqlx::query(
                "INSERT INTO partner_fact (partner_id, valid_from, name, parent, groups, email, language, currency, country, tax_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                 ON CONFLICT (partner_id, valid_from) DO UPDATE SET name = EXCLUDED.name, parent = EXCLUDED.parent, groups = EXCLUDED.groups, email = EXCLUDED.email,
                     language = EXCLUDED.language, currency = EXCLUDED.currency, country = EXCLUDED.country, tax_id = EXCLUDED.tax_id")
                .bind(id).bind(new.0).bind(&new.1).bind(&new.2).bind(&new.3).bind(&new.4).bind(&new.5).bind(&new.6).bind(&new.7).bind(&new.8)
                .execute(c).await?.rows_affected());
            // Only parent and groups are dated; what a partner is called and how it is reached holds for all days.
            on!(self, c => sqlx::query(
                "UPDATE partner_fact SET name = $2, email = $3, language = $4, currency = $5, country = $6, tax_id = $7 WHERE partner_id = $1")
                .bind(id).bind(&new.1).bind(&new.4).bind(&new.5).bind(&new.6).bind(&new.7).bind(&new.8).execute(c).await?.rows_affected());
        }
        Ok(match (known, changed) {
            (None, _) => MasterChange::New(id),
            (Some(_), true) => MasterChange::Changed(id),
            (Some(_), false) => MasterChange::None,
        })
    }

    /// Stores an item's identity and dated facts.
    pub async fn put_item(&mut self, i: &DraftItem) -> StoreResult<MasterChange> {
        let known: Option<i64> =
            on!(self, c => sqlx::query_scalar("SELECT id FROM item WHERE code = $1").bind(&i.item).fetch_optional(c).await?);
        let id = match known {
            Some(id) => id,
            None => {
                let id = self.take_id("item").await?;
                on!(self, c => sqlx::query("INSERT INTO item (id, code) VALUES ($1, $2)").bind(id).bind(&i.item).execute(c).await?.rows_affected());
                id
            }
        };
        let mut changed = false;
        if let Some(next) = &i.replaced_by {
            let done = on!(self, c => sqlx::query(
                "UPDATE item SET replaced_by = $2, replaced_on = $3 WHERE id = $1 AND (replaced_by IS NULL OR replaced_by <> $2 OR replaced_on IS NULL OR replaced_on <> $3)")
                .bind(id).bind(next).bind(i.replaced_on.unwrap_or(EVER)).execute(c).await?.rows_affected());
            changed |= done > 0;
        }
        type Fact = (NaiveDate, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>);
        let valid_from = i.valid_from.unwrap_or(EVER);
        let before: Option<Fact> = on!(self, c => sqlx::query_as(
            "SELECT valid_from, description, category, brand, item_group, base_unit, weight_u FROM item_fact
             WHERE item_id = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 1").bind(id).bind(valid_from).fetch_optional(c).await?);
        let old = before.clone().unwrap_or((valid_from, None, None, None, None, None, None));
        let now = |column: &str, told: Option<String>, old: Option<String>| standing(&i.told_empty, column, told, old);
        let new: Fact = (
            valid_from,
            now("description", i.description.clone(), old.1),
            now("category", i.category.clone(), old.2),
            now("brand", i.brand.clone(), old.3),
            now("group", i.group.clone(), old.4),
            now("base_unit", i.base_unit.clone(), old.5),
            standing(&i.told_empty, "weight", i.weight.map(|w| w.0), old.6),
        );
        if before.as_ref() != Some(&new) {
            changed |= before.as_ref().is_none_or(|b| (&b.2, &b.3, &b.4, &b.5, &b.6) != (&new.2, &new.3, &new.4, &new.5, &new.6));
            on!(self, c => sqlx::query(
                "INSERT INTO item_fact (item_id, valid_from, description, category, brand, item_group, base_unit, weight_u) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (item_id, valid_from) DO UPDATE SET description = EXCLUDED.description, category = EXCLUDED.category, brand = EXCLUDED.brand,
                     item_group = EXCLUDED.item_group, base_unit = EXCLUDED.base_unit, weight_u = EXCLUDED.weight_u")
                .bind(id).bind(new.0).bind(&new.1).bind(&new.2).bind(&new.3).bind(&new.4).bind(&new.5).bind(new.6).execute(c).await?.rows_affected());
            on!(self, c => sqlx::query("UPDATE item_fact SET description = $2 WHERE item_id = $1").bind(id).bind(&new.1).execute(c).await?.rows_affected());
        }
        Ok(match (known, changed) {
            (None, _) => MasterChange::New(id),
            (Some(_), true) => MasterChange::Changed(id),
            (Some(_), false) => MasterChange::None,
        })
    }

    /// Stores a unit conversion of an item (0 = of all items). `true` when anything changed.
    pub async fn put_unit(&mut self, item_id: i64, u: &DraftUnit) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "INSERT INTO unit_conversion (item_id, from_unit, to_unit, valid_from, factor_e10) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (item_id, from_unit, to_unit, valid_from) DO UPDATE SET factor_e10 = EXCLUDED.factor_e10 WHERE unit_conversion.factor_e10 <> EXCLUDED.factor_e10")
            .bind(item_id).bind(&u.from_unit).bind(&u.to_unit).bind(u.valid_from.unwrap_or(EVER)).bind(u.factor.0).execute(c).await?.rows_affected());
        Ok(done > 0)
    }

    /// Stores an exchange rate. `true` when anything changed.
    pub async fn put_rate(&mut self, r: &DraftRate) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "INSERT INTO exchange_rate (rate_type, from_currency, to_currency, rate_on, rate_e10) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (rate_type, from_currency, to_currency, rate_on) DO UPDATE SET rate_e10 = EXCLUDED.rate_e10 WHERE exchange_rate.rate_e10 <> EXCLUDED.rate_e10")
            .bind(&r.rate_type).bind(r.from_currency.code()).bind(r.to_currency.code()).bind(r.date).bind(r.rate.0).execute(c).await?.rows_affected());
        Ok(done > 0)
    }

    /// The body of a kept row.
    pub async fn canonical_row(&mut self, kind: &str, key: &str) -> StoreResult<Option<String>> {
        Ok(
            on!(self, c => sqlx::query_scalar("SELECT body FROM canonical_row WHERE kind = $1 AND row_key = $2").bind(kind).bind(key).fetch_optional(c).await?),
        )
    }
    /// Keeps a row of a canonical table that later rebate types read. `true` when it is new or changed.
    pub async fn put_canonical_row(&mut self, kind: &str, key: &str, body: &str, archive_id: i64) -> StoreResult<bool> {
        let done = on!(self, c => sqlx::query(
            "INSERT INTO canonical_row (kind, row_key, body, archive_id) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kind, row_key) DO UPDATE SET body = EXCLUDED.body, archive_id = EXCLUDED.archive_id WHERE canonical_row.body <> EXCLUDED.body")
            .bind(kind).bind(key).bind(body).bind(archive_id).execute(c).await?.rows_affected());
        Ok(done > 0)
    }

    /// Partner ids by code and alias. A code of its own wins over an alias.
    pub async fn partner_ids(&mut self) -> StoreResult<BTreeMap<String, i64>> {
        let aliases: Vec<(String, i64)> =
            on!(self, c => sqlx::query_as("SELECT alias, partner_id FROM partner_alias").fetch_all(c).await?);
        let codes: Vec<(String, i64)> = on!(self, c => sqlx::query_as("SELECT code, id FROM partner").fetch_all(c).await?);
        Ok(aliases.into_iter().chain(codes).collect())
    }

    /// Item ids by code.
    pub async fn item_ids(&mut self) -> StoreResult<BTreeMap<String, i64>> {
        let codes: Vec<(String, i64)> = on!(self, c => sqlx::query_as("SELECT code, id FROM item").fetch_all(c).await?);
        Ok(codes.into_iter().collect())
    }

    /// Every unit that master data knows: base units, and both ends of conversions.
    pub async fn known_units(&mut self) -> StoreResult<Vec<String>> {
        Ok(on!(self, c => sqlx::query_scalar(
            "SELECT base_unit FROM item_fact WHERE base_unit IS NOT NULL
             UNION SELECT from_unit FROM unit_conversion UNION SELECT to_unit FROM unit_conversion").fetch_all(c).await?))
    }

    /// Newest facts of all partners, by code.
    pub async fn partner_heads(&mut self) -> StoreResult<Vec<PartnerHead>> {
        let rows: Vec<(i64, String, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>)> = on!(self, c => sqlx::query_as(
            "SELECT p.id, p.code, f.name, f.email, f.language, f.currency, f.country FROM partner p
             LEFT JOIN partner_fact f ON f.partner_id = p.id AND f.valid_from = (SELECT MAX(x.valid_from) FROM partner_fact x WHERE x.partner_id = p.id)
             ORDER BY p.code").fetch_all(c).await?);
        Ok(rows
            .into_iter()
            .map(|(id, code, name, email, language, currency, country)| PartnerHead {
                name: name.unwrap_or_else(|| code.clone()),
                email: list(&email.unwrap_or_default()),
                id,
                code,
                language,
                currency,
                country,
            })
            .collect())
    }

    /// Partners and who they were merged into, without any other fact; `None` where nobody ever was.
    pub async fn merges(&mut self) -> StoreResult<Option<MasterData>> {
        let merged: Option<i64> = on!(self, c => sqlx::query_scalar("SELECT id FROM partner WHERE merged_into IS NOT NULL LIMIT 1").fetch_optional(c).await?);
        if merged.is_none() {
            return Ok(None);
        }
        Ok(Some(MasterData::new(self.partners(BTreeMap::new()).await?, vec![], vec![], vec![])))
    }

    async fn partners(&mut self, mut facts_of: BTreeMap<i64, Vec<PartnerFact>>) -> StoreResult<Vec<Partner>> {
        let text = |t: String| -> Arc<str> { Arc::from(t) };
        let partners: Vec<(i64, String, Option<String>, Option<NaiveDate>, Option<String>)> = on!(self, c => sqlx::query_as("SELECT id, code, merged_into, merged_on, merge_history FROM partner ORDER BY id").fetch_all(c).await?);
        Ok(partners
            .into_iter()
            .map(|(id, code, into, on, history)| Partner {
                id,
                code: text(code),
                merged: into.map(|into| Merge {
                    into: text(into),
                    on: on.unwrap_or(EVER),
                    history: if history.as_deref() == Some("moves") { MergeHistory::Moves } else { MergeHistory::Stays },
                }),
                facts: facts_of.remove(&id).unwrap_or_default(),
            })
            .collect())
    }

    /// The whole master data as one snapshot for matching.
    pub async fn master_data(&mut self) -> StoreResult<MasterData> {
        let text = |t: String| -> Arc<str> { Arc::from(t) };
        let facts: Vec<(i64, NaiveDate, Option<String>, String)> = on!(self, c => sqlx::query_as(
            "SELECT partner_id, valid_from, parent, groups FROM partner_fact ORDER BY partner_id, valid_from").fetch_all(c).await?);
        let mut facts_of: BTreeMap<i64, Vec<PartnerFact>> = BTreeMap::new();
        for (id, valid_from, parent, groups) in facts {
            facts_of.entry(id).or_default().push(PartnerFact {
                valid_from,
                parent: parent.map(text),
                groups: list(&groups).into_iter().map(text).collect(),
            });
        }
        let partners = self.partners(facts_of).await?;
        let items: Vec<(i64, String, Option<String>, Option<NaiveDate>)> =
            on!(self, c => sqlx::query_as("SELECT id, code, replaced_by, replaced_on FROM item ORDER BY id").fetch_all(c).await?);
        let facts: Vec<(i64, NaiveDate, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>)> = on!(self, c => sqlx::query_as(
            "SELECT item_id, valid_from, category, brand, item_group, base_unit, weight_u FROM item_fact ORDER BY item_id, valid_from").fetch_all(c).await?);
        let mut facts_of: BTreeMap<i64, Vec<ItemFact>> = BTreeMap::new();
        for (id, valid_from, category, brand, group, base_unit, weight) in facts {
            facts_of.entry(id).or_default().push(ItemFact {
                valid_from,
                category: category.map(text),
                brand: brand.map(text),
                group: group.map(text),
                base_unit: base_unit.map(text),
                weight: weight.map(Micros),
            });
        }
        let items = items
            .into_iter()
            .map(|(id, code, next, on)| Item {
                id,
                code: text(code),
                replaced_by: next.map(|next| (text(next), on.unwrap_or(EVER))),
                facts: facts_of.remove(&id).unwrap_or_default(),
            })
            .collect();
        let conversions: Vec<(i64, String, String, NaiveDate, i64)> = on!(self, c => sqlx::query_as(
            "SELECT item_id, from_unit, to_unit, valid_from, factor_e10 FROM unit_conversion").fetch_all(c).await?);
        let conversions = conversions
            .into_iter()
            .map(|(item_id, from_unit, to_unit, valid_from, factor)| Conversion {
                item_id: (item_id != 0).then_some(item_id),
                from_unit: text(from_unit),
                to_unit: text(to_unit),
                valid_from,
                factor: Factor(factor),
            })
            .collect();
        let rates: Vec<(String, String, String, NaiveDate, i64)> = on!(self, c => sqlx::query_as(
            "SELECT rate_type, from_currency, to_currency, rate_on, rate_e10 FROM exchange_rate").fetch_all(c).await?);
        let currency = |code: &str| Currency::parse(code).ok_or_else(|| corrupt("currency", code));
        let rates = rates
            .into_iter()
            .map(|(rate_type, from, to, on, rate)| {
                Ok(ExchangeRate {
                    rate_type: text(rate_type),
                    from: currency(&from)?,
                    to: currency(&to)?,
                    on,
                    rate: Factor(rate),
                })
            })
            .collect::<StoreResult<Vec<_>>>()?;
        Ok(MasterData::new(partners, items, conversions, rates))
    }
}
