//! Authorisations ready to be asked: which row rules a line, and why none does.

use super::{Authorization, Reason};
use crate::core::master_data::MasterData;
use chrono::NaiveDate;
use foldhash::{HashMap, HashMapExt};

/// A row with its codes resolved.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub source: Authorization,
    /// Survivor of the partner; `None` for any. One that is not known fits nobody.
    partner: Option<i64>,
    /// One id for all numbers of the item; `None` where it is not known.
    item: Option<i64>,
    end_customer: Option<String>,
    /// Whose quantity it is.
    pub pool: String,
}

/// Authorisations of one source.
#[derive(Clone, Debug, Default)]
pub struct Book {
    rows: HashMap<String, Vec<Row>>,
}

/// Stands for a partner that is not known.
const NOBODY: i64 = -1;

/// The partner that a code means after all merges.
pub fn survivor(master: &MasterData, id: i64) -> i64 {
    master.merge_chain(id).last().map_or(id, |p| p.id)
}

/// One id for all numbers that an item has had (case 20).
pub fn item_root(master: &MasterData, id: i64) -> i64 {
    let Some(item) = master.item(id) else { return id };
    master.item_numbers(item).iter().filter_map(|code| master.item_by_code(code)).map(|i| i.id).min().unwrap_or(id)
}

/// The code of an end customer after all merges; one that is no partner stays as it is.
pub fn customer_code(master: &MasterData, code: &str) -> String {
    match master.partner_by_code(code) {
        Some(partner) => master.merge_chain(partner.id).last().map_or_else(|| code.to_owned(), |p| p.code.to_string()),
        None => code.to_owned(),
    }
}

impl Book {
    /// Resolves rows; their order does not matter. `name` tells books apart where quantities are counted.
    pub fn new(name: &str, rows: &[Authorization], master: &MasterData) -> Self {
        let mut book = Self { rows: HashMap::new() };
        for source in rows {
            let partner =
                source.partner.as_deref().map(|code| master.partner_by_code(code).map_or(NOBODY, |p| survivor(master, p.id)));
            let item = master.item_by_code(&source.item).map(|i| item_root(master, i.id));
            let end_customer = source.end_customer.as_deref().map(|code| customer_code(master, code));
            let pool = [
                name,
                &source.authorization,
                &partner.map(|p| p.to_string()).unwrap_or_default(),
                end_customer.as_deref().unwrap_or_default(),
                &item.map(|i| i.to_string()).unwrap_or_default(),
                source.unit.as_deref().unwrap_or_default(),
            ]
            .join("\u{1f}");
            let row = Row { source: source.clone(), partner, item, end_customer, pool };
            book.rows.entry(source.authorization.clone()).or_default().push(row);
        }
        for rows in book.rows.values_mut() {
            rows.sort_by(|a, b| a.source.cmp(&b.source));
        }
        book
    }

    /// Whether any row has the number.
    pub fn knows(&self, authorization: &str) -> bool {
        self.rows.contains_key(authorization)
    }

    /// Rows of the number that the partner may cite.
    pub(super) fn cited(&self, authorization: &str, partner: i64) -> Result<Vec<&Row>, (Reason, String)> {
        let Some(rows) = self.rows.get(authorization) else {
            return Err((Reason::UnknownAuthorization, format!("authorisation {authorization} is not known")));
        };
        let own: Vec<&Row> = rows.iter().filter(|r| r.partner.is_none_or(|p| p == partner)).collect();
        if own.is_empty() {
            return Err((Reason::UnknownAuthorization, format!("authorisation {authorization} is for another partner")));
        }
        Ok(own)
    }
}

/// Those of the rows that have the item.
pub(super) fn with_item<'a>(
    rows: Vec<&'a Row>,
    item: Option<i64>,
    authorization: &str,
    code: &str,
) -> Result<Vec<&'a Row>, (Reason, String)> {
    let kept: Vec<&Row> = rows.into_iter().filter(|r| item.is_some() && r.item == item).collect();
    if kept.is_empty() {
        return Err((Reason::ItemNotAuthorized, format!("item {code} is not on authorisation {authorization}")));
    }
    Ok(kept)
}

/// Those of the rows that hold on the ship date.
pub(super) fn on_ship_date<'a>(
    rows: Vec<&'a Row>,
    day: NaiveDate,
    authorization: &str,
) -> Result<Vec<&'a Row>, (Reason, String)> {
    let from = |r: &Row| r.source.shipped_from;
    let to = |r: &Row| r.source.shipped_to;
    let kept: Vec<&Row> =
        rows.iter().copied().filter(|r| from(r).is_none_or(|f| f <= day) && to(r).is_none_or(|t| day <= t)).collect();
    if !kept.is_empty() {
        return Ok(kept);
    }
    // After the end of an earlier row it has expired, whatever begins later.
    Err(match rows.iter().filter_map(|r| to(r)).filter(|t| *t < day).max() {
        Some(ended) => {
            (Reason::AuthorizationExpired, format!("shipped on {day}, authorisation {authorization} ended on {ended}"))
        }
        None => {
            let begins = rows.iter().filter_map(|r| from(r)).min();
            let begins = begins.map(|b| format!(" begins on {b}")).unwrap_or_default();
            (Reason::ShippedBeforeAuthorization, format!("shipped on {day}, authorisation {authorization}{begins}"))
        }
    })
}

/// The one row that rules: for this end customer rather than for any, then the newest.
pub(super) fn for_customer<'a>(
    rows: Vec<&'a Row>,
    customer: Option<&str>,
    authorization: &str,
) -> Result<&'a Row, (Reason, String)> {
    let newest = |rows: Vec<&'a Row>| {
        rows.into_iter().max_by(|a, b| (a.source.shipped_from, &a.source).cmp(&(b.source.shipped_from, &b.source)))
    };
    let named = |r: &&Row| r.end_customer.is_some();
    match customer {
        Some(code) => {
            let own: Vec<&Row> = rows.iter().copied().filter(|r| r.end_customer.as_deref() == Some(code)).collect();
            let open: Vec<&Row> = rows.iter().copied().filter(|r| !named(r)).collect();
            newest(if own.is_empty() { open } else { own }).ok_or_else(|| {
                (Reason::EndCustomerNotAuthorized, format!("authorisation {authorization} is not for end customer {code}"))
            })
        }
        None => {
            // Who cites an authorisation of one end customer says whom it is for.
            let first = rows.first().map(|r| r.end_customer.clone());
            if rows.iter().any(|r| Some(&r.end_customer) != first.as_ref()) {
                return Err((
                    Reason::EndCustomerMissing,
                    format!("authorisation {authorization} is for several end customers and the line names none"),
                ));
            }
            newest(rows).ok_or_else(|| (Reason::UnknownAuthorization, String::new()))
        }
    }
}
