//! `accruals`: earned, booked and settled side by side; they are different numbers.

use super::Done;
use super::app::{App, Failure};
use super::output::{Table, print_json};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::{Period, period_label};
use crate::pipeline::accrue::codes;
use chrono::NaiveDate;
use clap::Args;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub struct Accruals {
    /// As of this business day
    #[arg(long, value_name = "DAY")]
    as_of: Option<NaiveDate>,
    /// Only this agreement
    #[arg(long)]
    agreement: Option<String>,
    /// Only this partner
    #[arg(long)]
    partner: Option<String>,
    /// The ledger entries instead of the figures
    #[arg(long)]
    entries: bool,
}

type Key = (i64, String, String, NaiveDate, NaiveDate, i64);

pub async fn run(command: Accruals, app: &App) -> Result<Done, Failure> {
    if command.entries {
        return entries(&command, app).await;
    }
    let as_of = command.as_of.unwrap_or(crate::core::period::LAST_DAY);
    let mut tx = app.store().read().await?;
    let codes = codes(&mut tx).await?;
    let versions = tx.agreements().await?;
    let mut booked: BTreeMap<Key, (Micros, Micros)> = BTreeMap::new();
    for row in tx.all_entries().await? {
        if row.business_day > as_of {
            continue;
        }
        let e = row.entry;
        let totals = booked.entry((e.partner_id, e.agreement, e.term, e.period_from, e.period_to, e.part)).or_default();
        match e.kind.as_str() {
            "settlement" | "write-off" => totals.1 -= e.amount,
            _ => totals.0 += e.amount,
        }
    }
    // What is under way counts as settled as well; the ledger releases it when it is confirmed.
    if command.as_of.is_none() {
        for s in tx.settlements().await?.iter().filter(|s| s.is_out() && s.state != "confirmed") {
            for p in tx.settlement_parts(s.id).await? {
                booked.entry((p.partner_id, s.agreement.clone(), p.term, p.period_from, p.period_to, p.part)).or_default().1 +=
                    Micros(p.amount_u);
            }
        }
    }
    let mut rows = Vec::new();
    for row in tx.all_earned_figures(as_of).await? {
        let f = row.figure;
        let partner = codes.get(&f.partner_id).cloned().unwrap_or_default();
        if command.agreement.as_ref().is_some_and(|a| *a != f.agreement)
            || command.partner.as_ref().is_some_and(|p| *p != partner)
        {
            continue;
        }
        let (b, s) = booked
            .get(&(f.partner_id, f.agreement.clone(), f.term.clone(), f.period_from, f.period_to, f.part))
            .copied()
            .unwrap_or_default();
        let currency = Currency::parse(&f.currency);
        let money = |m: Micros| currency.map_or_else(|| m.to_string(), |c| c.amount_text(m));
        let period = Period { from: f.period_from, to: f.period_to };
        let version = versions.iter().find(|v| v.body.id == f.agreement && i64::from(v.body.version) == f.version);
        let tier_from = version
            .and_then(|v| v.body.terms.iter().find(|t| t.id == f.term))
            .and_then(|t| t.rule.bound_text(usize::try_from(f.tier?).ok()?));
        rows.push(serde_json::json!({
            "agreement": f.agreement, "version": f.version, "term": f.term, "partner": partner,
            "period": { "from": f.period_from, "to": f.period_to, "label": period_label(period, &app.runtime.settings.calendar) },
            "part": f.part, "currency": f.currency, "qualifier": f.qualifier.to_text(2), "base": f.base.to_text(2),
            "tier": f.tier.map(|t| t + 1), "tier_from": tier_from, "free_goods": f.free_goods.to_text(0), "unrounded": f.unrounded.to_text(2),
            "earned": money(f.earned), "booked": money(b), "settled": money(s), "as_of": row.business_day,
        }));
    }
    if app.json {
        print_json(&rows);
        return Ok(Done::Clean);
    }
    let mut table = Table::new(&[
        "agreement",
        "term",
        "partner",
        "period",
        "qualifier",
        "base",
        "tier",
        "earned",
        "booked",
        "settled",
        "currency",
    ]);
    for r in &rows {
        let text = |key: &str| r[key].as_str().unwrap_or_default().to_owned();
        table.row(vec![
            text("agreement"),
            text("term"),
            text("partner"),
            r["period"]["label"].as_str().unwrap_or_default().to_owned(),
            text("qualifier"),
            text("base"),
            r["tier"].as_i64().map(|t| t.to_string()).unwrap_or_default(),
            text("earned"),
            text("booked"),
            text("settled"),
            text("currency"),
        ]);
    }
    table.print("nothing is accrued yet");
    Ok(Done::Clean)
}

async fn entries(command: &Accruals, app: &App) -> Result<Done, Failure> {
    let as_of = command.as_of.unwrap_or(crate::core::period::LAST_DAY);
    let mut tx = app.store().read().await?;
    let codes = codes(&mut tx).await?;
    let mut table =
        Table::new(&["id", "day", "month", "for", "kind", "agreement", "term", "partner", "amount", "currency", "reason"]);
    for row in tx.all_entries().await? {
        let e = row.entry;
        let partner = codes.get(&e.partner_id).cloned().unwrap_or_default();
        if row.business_day > as_of
            || command.agreement.as_ref().is_some_and(|a| *a != e.agreement)
            || command.partner.as_ref().is_some_and(|p| *p != partner)
        {
            continue;
        }
        let amount = Currency::parse(&e.currency).map_or_else(|| e.amount.to_string(), |c| c.amount_text(e.amount));
        if app.json {
            let value = serde_json::json!({
                "id": row.id, "business_day": row.business_day, "accounting_month": e.accounting_month, "for_month": e.for_month, "kind": e.kind,
                "agreement": e.agreement, "version": e.version, "term": e.term, "partner": partner, "amount": amount, "currency": e.currency,
                "period": { "from": e.period_from, "to": e.period_to }, "settlement": e.settlement_id, "reason": e.reason,
            });
            println!("{value}");
        } else {
            table.row(vec![
                row.id.to_string(),
                row.business_day.to_string(),
                e.accounting_month.format("%Y-%m").to_string(),
                e.for_month.format("%Y-%m").to_string(),
                e.kind,
                e.agreement,
                e.term,
                partner,
                amount,
                e.currency,
                e.reason,
            ]);
        }
    }
    if !app.json {
        table.print("the ledger is empty");
    }
    Ok(Done::Clean)
}
