//! Reconcile: our settlements against the memos that sources show, paired by reference only (case 31).

use super::run::{Lease, RunRequest};
use super::stages::StageOutcome;
use super::{PipelineResult, Runtime};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::reconcile::{Ours as Side, Outcome, Tolerance, compare};
use crate::store::{ErpMemoRow, NewException, SettlementRow, Store};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One compared reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Reference; empty for a memo that carries none.
    pub reference: String,
    /// Our settlement.
    pub settlement: Option<i64>,
    /// Its agreement.
    pub agreement: Option<String>,
    /// Who is paid.
    pub payee: Option<String>,
    /// The document that our push was confirmed with.
    pub our_document: Option<String>,
    /// Our amount.
    pub ours: Option<String>,
    /// Our currency.
    pub currency: Option<String>,
    /// Their amount.
    pub theirs: Option<String>,
    /// Their currency.
    pub their_currency: Option<String>,
    /// Their document.
    pub document: Option<String>,
    /// All documents that carry the reference, when there are several.
    pub documents: Vec<Theirs>,
    /// Absolute difference, where both are in one currency and of one sign.
    pub difference: Option<String>,
    /// Largest difference accepted.
    pub limit: Option<String>,
    /// agrees, not-shown, no-reference, or the exception's code.
    pub result: String,
}

/// One document of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Theirs {
    /// Its number.
    pub document: String,
    /// Amount.
    pub amount: String,
    /// Currency.
    pub currency: String,
}

/// The whole comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Row by row, by reference.
    pub rows: Vec<Compared>,
    /// Accepted differences added up without their signs, by currency.
    pub accepted_differences: BTreeMap<String, String>,
    /// Rows that agree.
    pub agreeing: i64,
    /// Rows that do not.
    pub exceptions: i64,
    /// Confirmed memos of connectors of which no source shows memos.
    pub not_shown: i64,
    /// Credit notes of theirs that carry no reference.
    pub without_reference: i64,
}

impl Reconciliation {
    /// One line for people.
    pub fn summary(&self) -> String {
        let sums: Vec<String> = self.accepted_differences.iter().map(|(code, sum)| format!("{sum} {code}")).collect();
        let accepted = if sums.is_empty() { "none".to_owned() } else { sums.join(", ") };
        let not_shown = if self.not_shown > 0 { format!(", {} are shown by no source", self.not_shown) } else { String::new() };
        let others = match self.without_reference {
            0 => String::new(),
            n => format!("; {n} of theirs carry no reference and are not compared"),
        };
        format!("{} memos agree, {} do not{not_shown}; accepted differences {accepted}{others}", self.agreeing, self.exceptions)
    }
}

impl Compared {
    /// Our side for people.
    pub fn ours_text(&self) -> String {
        with_currency(self.ours.as_deref(), self.currency.as_deref())
    }
    /// Their side for people.
    pub fn theirs_text(&self) -> String {
        with_currency(self.theirs.as_deref(), self.their_currency.as_deref())
    }

    /// Our side, found again: number, agreement, payee, amount, and the document that confirmed it.
    fn our_side(&self) -> String {
        let Some(id) = self.settlement else { return "no settlement of ours".to_owned() };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let confirmed = self.our_document.as_ref().map(|d| format!(", confirmed as {d}")).unwrap_or_default();
        format!("settlement {id} ({} to {}) is {}{confirmed}", text(&self.agreement), text(&self.payee), self.ours_text())
    }

    /// Their side likewise.
    fn their_side(&self) -> String {
        match self.documents.as_slice() {
            [] => format!("memo {} is {}", self.document.as_deref().unwrap_or("without a number"), self.theirs_text()),
            several => {
                let all: Vec<String> = several.iter().map(|m| format!("{} {} {}", m.document, m.amount, m.currency)).collect();
                format!("{} memos carry the reference: {}", several.len(), all.join(", "))
            }
        }
    }

    /// What is wrong, and what can be done about it.
    fn in_words(&self) -> (String, String) {
        let (ours, theirs) = (self.our_side(), self.their_side());
        let apart = match (&self.difference, &self.limit) {
            (Some(difference), Some(limit)) => format!("; they are {difference} apart, {limit} is accepted"),
            _ => String::new(),
        };
        let accept = match (self.settlement, &self.theirs) {
            (Some(id), Some(amount)) => format!("rebated settlement accept {id} --amount {amount}"),
            _ => String::new(),
        };
        match self.result.as_str() {
            "memo-missing" => (
                format!("{ours}, and the sources show no memo of it"),
                "look for the document in the ERP; enter it again with this reference, or confirm that it is known".into(),
            ),
            "memo-cancelled" => (
                format!(
                    "{ours}, and {} was cancelled in the ERP: the partner is not credited",
                    self.document.as_deref().unwrap_or("the memo")
                ),
                "enter a new memo with this reference in the ERP, or confirm that nothing is to be paid".into(),
            ),
            "memo-duplicate" => {
                (format!("{theirs}; {ours}: the partner is credited more than once"), "reverse all but one in the ERP".into())
            }
            "memo-not-ours" => (
                format!("{theirs}, and no settlement of ours has its reference"),
                "correct the reference in the ERP, or confirm that it is known".into(),
            ),
            "memo-not-sent" => (
                format!("{theirs}, and {ours}, which was never sent: a restored backup, or a memo entered by hand"),
                "approve and push the settlement, which finds the memo, or reverse the memo in the ERP".into(),
            ),
            "memo-differs" => {
                (format!("{theirs}; {ours}{apart}"), format!("correct the memo in the ERP, or take its amount over: {accept}"))
            }
            _ => (format!("{theirs}; {ours}{apart}"), "correct the memo in the ERP".into()),
        }
    }
}

fn with_currency(amount: Option<&str>, currency: Option<&str>) -> String {
    match (amount, currency) {
        (Some(amount), Some(currency)) => format!("{amount} {currency}"),
        (amount, _) => amount.unwrap_or("none").to_owned(),
    }
}

fn digits_of(currency: &str) -> u32 {
    Currency::parse(currency).map_or(2, Currency::minor_digits)
}

/// Our side of a row.
fn of_ours(s: &SettlementRow) -> Compared {
    Compared {
        reference: s.reference.clone(),
        settlement: Some(s.id),
        agreement: Some(s.agreement.clone()),
        payee: Some(s.payee.clone()),
        our_document: s.erp_document.clone(),
        ours: Some(s.money(s.amount())),
        currency: Some(s.currency.clone()),
        ..Compared::default()
    }
}

/// The same with their side.
fn with_theirs(row: Compared, memo: Option<&ErpMemoRow>) -> Compared {
    match memo {
        None => row,
        Some(m) => Compared {
            reference: m.reference.clone(),
            theirs: Some(Micros(m.amount_u).to_text(digits_of(&m.currency))),
            their_currency: Some(m.currency.clone()),
            document: Some(m.document.clone()),
            ..row
        },
    }
}

/// Compares every settlement that is out with every memo that a source shows.
pub async fn memos(store: &Store, tolerance: &Tolerance) -> PipelineResult<Reconciliation> {
    let mut tx = store.read().await?;
    let settlements = tx.settlements().await?;
    let theirs = tx.erp_memos().await?;
    let shown = tx.shown_settlements().await?;
    let stands = |m: &&ErpMemoRow| m.status != "cancelled" && m.status != "draft";
    let mut by_reference: HashMap<&str, Vec<&ErpMemoRow>> = HashMap::new();
    for memo in &theirs {
        by_reference.entry(&memo.reference).or_default().push(memo);
    }
    let mut result = Reconciliation::default();
    let mut accepted: BTreeMap<&str, Micros> = BTreeMap::new();
    let mut known: HashMap<&str, &SettlementRow> = HashMap::new();
    for s in &settlements {
        known.insert(&s.reference, s);
        if !s.is_out() {
            continue;
        }
        let all = by_reference.get(s.reference.as_str()).map_or(&[][..], Vec::as_slice);
        let found: Vec<&ErpMemoRow> = all.iter().copied().filter(|m| stands(m)).collect();
        // Under way: whether it arrives is the push's to find out, by looking it up.
        if found.is_empty() && s.state != "confirmed" {
            continue;
        }
        let ours = Side { amount: s.amount(), currency: &s.currency };
        let their = found.first().map(|m| Side { amount: Micros(m.amount_u), currency: &m.currency });
        let cancelled = all.iter().copied().find(|m| m.status == "cancelled");
        let outcome = match found.len() {
            0 if cancelled.is_some() => Outcome::Cancelled,
            0 if !shown.contains(&s.id) => Outcome::NotShown,
            0 | 1 => compare(Some(&ours), their.as_ref(), tolerance),
            _ => Outcome::Duplicate,
        };
        if let Outcome::Agrees { difference, .. } = outcome {
            *accepted.entry(&s.currency).or_default() += difference;
        }
        let mut row = with_theirs(of_ours(s), found.first().copied().or(cancelled));
        if outcome == Outcome::Duplicate {
            let one = |m: &&ErpMemoRow| Theirs {
                document: m.document.clone(),
                amount: Micros(m.amount_u).to_text(digits_of(&m.currency)),
                currency: m.currency.clone(),
            };
            row.documents = found.iter().map(one).collect();
        }
        result.add(row, outcome, digits_of(&s.currency));
    }
    for m in &theirs {
        let digits = digits_of(&m.currency);
        match known.get(m.reference.as_str()) {
            _ if m.reference.is_empty() => {
                if stands(&m) {
                    result.add(with_theirs(Compared::default(), Some(m)), Outcome::NoReference, digits);
                }
            }
            None => result.add(with_theirs(Compared::default(), Some(m)), Outcome::NotOurs, digits),
            // An approved one is found by its reference when it is pushed.
            Some(s) if !s.is_out() && s.state != "approved" && stands(&m) => {
                result.add(with_theirs(of_ours(s), Some(m)), Outcome::NotSent, digits);
            }
            Some(_) => {}
        }
    }
    result.accepted_differences =
        accepted.into_iter().map(|(code, sum)| (code.to_owned(), sum.to_text(digits_of(code)))).collect();
    Ok(result)
}

impl Reconciliation {
    fn add(&mut self, row: Compared, outcome: Outcome, digits: u32) {
        let (difference, limit) = match outcome {
            Outcome::Agrees { difference, limit } | Outcome::Differs { difference, limit } => (Some(difference), Some(limit)),
            _ => (None, None),
        };
        match outcome {
            Outcome::Agrees { .. } => self.agreeing += 1,
            Outcome::NotShown => self.not_shown += 1,
            Outcome::NoReference => self.without_reference += 1,
            _ => self.exceptions += 1,
        }
        self.rows.push(Compared {
            difference: difference.map(|d| d.to_text(digits)),
            limit: limit.map(|d| d.to_text(digits)),
            result: outcome.word().to_owned(),
            ..row
        });
    }
}

/// Compares and opens or clears one exception per reference.
pub async fn run(runtime: &Runtime, request: &RunRequest, lease: &Lease) -> PipelineResult<StageOutcome> {
    lease.check()?;
    let found = memos(&runtime.store, &runtime.workspace.config.reconcile.tolerance()).await?;
    let opened = record(runtime, request.business_day, &found).await?;
    Ok(StageOutcome {
        count_in: i64::try_from(found.rows.len()).unwrap_or(0),
        count_out: found.agreeing,
        exceptions: opened,
        detail: found.summary(),
    })
}

/// What the exception of a reference is told by.
pub fn memo_key(reference: &str) -> String {
    format!("memo:{reference}")
}

/// Opens and clears the exceptions of a comparison; how many are new.
pub async fn record(runtime: &Runtime, business_day: NaiveDate, found: &Reconciliation) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let mut opened = 0;
    let mut standing: BTreeSet<String> = BTreeSet::new();
    for row in &found.rows {
        let key = memo_key(&row.reference);
        let gone = match row.result.as_str() {
            "no-reference" => continue,
            "agrees" => Some("it agrees now"),
            "not-shown" => Some("no source shows memos of its connector"),
            _ => None,
        };
        if let Some(reason) = gone {
            tx.clear_exception(&key, reason, now).await?;
            continue;
        }
        let (message, help) = row.in_words();
        // A reference that is ours for one and foreign for another memo stands once.
        if !standing.insert(key.clone()) {
            continue;
        }
        let new = NewException {
            code: row.result.clone(),
            subject: row.reference.clone(),
            message,
            help: Some(help),
            partner: row.payee.clone(),
            agreement: row.agreement.clone(),
            dedupe_key: key,
            lasting: true,
            ..NewException::default()
        };
        opened += i64::from(tx.open_exception(&new, business_day, now).await?);
    }
    tx.commit().await?;
    Ok(opened)
}
