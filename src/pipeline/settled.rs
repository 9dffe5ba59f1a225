//! What was paid, under whom it counts now (case 20).
//!
//! A settlement names whom it paid for, for ever. When that partner is merged into another one and its
//! history moves, what it was paid moves along: the survivor earns on the old partner's lines, so
//! the old partner's payments are set off against that, in the figures and in the ledger. Where the
//! history stays, so do the payments. What cannot be divided by rule holds the survivor's
//! settlements until a person has decided.

use super::{PipelineResult, Runtime};
use crate::core::accrual::open_month;
use crate::core::agreement::AgreementVersion;
use crate::core::master_data::{MasterData, MergeHistory};
use crate::core::matching::whole_validity;
use crate::core::number::Micros;
use crate::store::{NewEntry, NewException, SettlementPart, SettlementRow, Tx};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Partner, term, accumulation period and part.
pub type Key = (i64, String, NaiveDate, NaiveDate, i64);

/// The key of a part.
pub fn key_of(part: &SettlementPart) -> Key {
    (part.partner_id, part.term.clone(), part.period_from, part.period_to, part.part)
}

/// Payments of one agreement by the key that they count for now.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Amounts.
    pub by_key: BTreeMap<Key, Micros>,
    /// Survivors that payments of merged partners were moved to, with the codes of those partners.
    pub moved_to: BTreeMap<i64, BTreeSet<String>>,
}

/// Who a partner's payments for a key belong to.
struct Owners<'a> {
    merges: &'a MasterData,
    agreement_ends: NaiveDate,
}

impl Owners<'_> {
    fn of(&self, part: &SettlementPart) -> i64 {
        self.merges.effective_partner(part.partner_id, part.period_from, self.agreement_ends)
    }
}

fn ends(versions: &[AgreementVersion]) -> NaiveDate {
    let references: Vec<&AgreementVersion> = versions.iter().collect();
    whole_validity(&references).map_or(NaiveDate::MAX, |validity| validity.to)
}

/// What is paid or being paid per key of an agreement. `merges` is `None` where nobody was ever merged.
pub async fn of(tx: &mut Tx, versions: &[AgreementVersion], merges: Option<&MasterData>) -> PipelineResult<Settled> {
    let mut settled = Settled::default();
    let Some(newest) = versions.last() else { return Ok(settled) };
    let owners = merges.map(|merges| Owners { merges, agreement_ends: ends(versions) });
    for part in tx.settled_parts(&newest.id).await? {
        let mut key = key_of(&part);
        if let Some(owners) = &owners {
            key.0 = owners.of(&part);
            if key.0 != part.partner_id
                && let Some(before) = owners.merges.partner(part.partner_id)
            {
                settled.moved_to.entry(key.0).or_default().insert(before.code.to_string());
            }
        }
        *settled.by_key.entry(key).or_default() += Micros(part.amount_u);
    }
    Ok(settled)
}

/// Parts of settlements in any state that count for one partner now, by settlement.
pub async fn parts_for(
    tx: &mut Tx,
    versions: &[AgreementVersion],
    partner_id: i64,
) -> PipelineResult<BTreeMap<i64, Vec<SettlementPart>>> {
    let mut parts: BTreeMap<i64, Vec<SettlementPart>> = BTreeMap::new();
    let Some(newest) = versions.last() else { return Ok(parts) };
    let merges = tx.merges().await?;
    let owners = merges.as_ref().map(|merges| Owners { merges, agreement_ends: ends(versions) });
    let sources = merges.as_ref().map_or_else(|| BTreeSet::from([partner_id]), |m| m.sources_of([partner_id]));
    for source in sources {
        for (settlement, part) in tx.settled_for(&newest.id, source).await? {
            if owners.as_ref().map_or(source, |owners| owners.of(&part)) == partner_id {
                parts.entry(settlement).or_default().push(part);
            }
        }
    }
    Ok(parts)
}

/// Moves in the ledger what payments cleared to the partners that they count for now. Run again it
/// finds nothing to do.
pub async fn follow_merges(
    runtime: &Runtime,
    tx: &mut Tx,
    versions: &[AgreementVersion],
    merges: &MasterData,
    known: &[SettlementRow],
    business_day: NaiveDate,
) -> PipelineResult<()> {
    let Some(newest) = versions.last() else { return Ok(()) };
    let owners = Owners { merges, agreement_ends: ends(versions) };
    let mut moves: Vec<(&SettlementRow, Vec<SettlementPart>)> = Vec::new();
    for settlement in known.iter().filter(|s| s.is_out()) {
        let parts = tx.settlement_parts(settlement.id).await?;
        for part in &parts {
            warn_of_late_merge(runtime, tx, merges, settlement, part, business_day).await?;
        }
        if settlement.state == "confirmed"
            && parts.iter().any(|p| merges.partner(p.partner_id).is_some_and(|p| p.merged.is_some()))
        {
            moves.push((settlement, parts));
        }
    }
    if moves.is_empty() {
        return Ok(());
    }
    let cleared = tx.cleared_by_settlement(&newest.id).await?;
    for (settlement, parts) in moves {
        let wanted = parts.iter().map(|part| {
            let mut key = key_of(part);
            key.0 = owners.of(part);
            (key, -Micros(part.amount_u))
        });
        let why = format!("paid by {}, counted where the merged partner's history is", settlement.reference);
        clear(runtime, tx, settlement, wanted, &cleared, business_day, &why).await?;
    }
    Ok(())
}

/// Brings the clearing entries of a settlement to what is `wanted`: what is paid is no longer accrued. Only what is
/// missing is appended, so that saying it twice books it once, in the month of the business day or the
/// first open one after it.
pub async fn clear(
    runtime: &Runtime,
    tx: &mut Tx,
    settlement: &SettlementRow,
    wanted: impl Iterator<Item = (Key, Micros)>,
    cleared: &[(i64, SettlementPart, i64)],
    business_day: NaiveDate,
    why: &str,
) -> PipelineResult<()> {
    let mut missing: BTreeMap<Key, Micros> = BTreeMap::new();
    let mut last: BTreeMap<Key, i64> = BTreeMap::new();
    for (key, amount) in wanted {
        *missing.entry(key).or_default() += amount;
    }
    for (_, part, entries) in cleared.iter().filter(|(id, _, _)| *id == settlement.id) {
        *missing.entry(key_of(part)).or_default() -= Micros(part.amount_u);
        last.insert(key_of(part), *entries);
    }
    let calendar = &runtime.settings.calendar;
    let closed: BTreeSet<NaiveDate> = tx.closed_periods_for_booking().await?.into_iter().collect();
    let month = open_month(calendar.month_start(business_day), &|month| !closed.contains(&month), calendar);
    let entries: Vec<NewEntry> = missing
        .into_iter()
        .filter(|(_, amount)| !amount.is_zero())
        .map(|(key, amount)| (last.get(&key).copied().unwrap_or(0) + 1, key, amount))
        .map(|(seq, (partner_id, term, period_from, period_to, part), amount)| NewEntry {
            partner_id,
            seq,
            agreement: settlement.agreement.clone(),
            version: 0,
            term,
            period_from,
            period_to,
            part,
            accounting_month: month,
            for_month: month,
            kind: "settlement".into(),
            amount,
            currency: settlement.currency.clone(),
            settlement_id: Some(settlement.id),
            reason: why.to_owned(),
        })
        .collect();
    Ok(tx.append_entries(&entries, business_day, None, runtime.clock.now()).await?)
}

/// A merge that was entered after a settlement for days that it already covers: with `stays` some of the
/// lines that were paid belong to the survivor, and nobody can tell how much of the payment does.
async fn warn_of_late_merge(
    runtime: &Runtime,
    tx: &mut Tx,
    merges: &MasterData,
    settlement: &SettlementRow,
    part: &SettlementPart,
    business_day: NaiveDate,
) -> PipelineResult<()> {
    let Some(partner) = merges.partner(part.partner_id) else { return Ok(()) };
    let Some(merge) = &partner.merged else { return Ok(()) };
    let spans = part.period_from < merge.on && merge.on <= settlement.period_to.min(part.period_to);
    if merge.history != MergeHistory::Stays || !spans {
        return Ok(());
    }
    let key = format!("merged-after-settlement:{}:{}", settlement.id, partner.code);
    if tx.exception_decided(&key).await?.is_some() {
        return Ok(());
    }
    let new = NewException {
        code: "merged-after-settlement".into(),
        blocking: true,
        subject: settlement.reference.clone(),
        message: format!(
            "settlement {} paid `{}` for days up to {}; since {} its lines count for `{}`, which would be paid for them again",
            settlement.id, partner.code, settlement.period_to, merge.on, merge.into
        ),
        help: Some("reject what is too much in the next settlements or agree on it with the partner, then confirm".into()),
        partner: Some(merge.into.to_string()),
        agreement: Some(settlement.agreement.clone()),
        dedupe_key: key,
        ..NewException::default()
    };
    tx.open_exception(&new, business_day, runtime.clock.now()).await?;
    Ok(())
}

/// What merged partners were paid more than is earned now, where the survivor does not take part: no later
/// settlement of the agreement sets it off, so it holds the survivor's others until a person has decided.
pub async fn warn_of_stranded(
    runtime: &Runtime,
    tx: &mut Tx,
    agreement: &AgreementVersion,
    survivor: &str,
    merged: &BTreeSet<String>,
    stranded: Micros,
    business_day: NaiveDate,
) -> PipelineResult<()> {
    let key = format!("merged-overpaid:{}:{survivor}", agreement.id);
    let now = runtime.clock.now();
    if stranded <= Micros::ZERO {
        tx.clear_exception(&key, "nothing is overpaid any more", now).await?;
        return Ok(());
    }
    if tx.exception_decided(&key).await?.is_some() {
        return Ok(());
    }
    let merged: Vec<&str> = merged.iter().map(String::as_str).collect();
    let new = NewException {
        code: "merged-overpaid".into(),
        blocking: true,
        subject: format!("{} {survivor}", agreement.id),
        message: format!(
            "the history of {} moved to `{survivor}`, which does not buy under {}: {} {} more was paid there than is earned now",
            merged.join(", "),
            agreement.id,
            agreement.currency.amount_text(stranded),
            agreement.currency
        ),
        help: Some("agree with the partner how it is made good, then confirm; it is not set off by itself".into()),
        partner: Some(survivor.to_owned()),
        dedupe_key: key,
        ..NewException::default()
    };
    tx.open_exception(&new, business_day, now).await?;
    Ok(())
}
