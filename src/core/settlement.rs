//! Settlements: what is due, under which reference, and the fingerprint that an approval binds to
//! (`calculation.md` section 8, cases 03, 05, 24 and 32).
//!
//! A reference never depends on amount or revision; a fingerprint never on time. Both hash
//! length-prefixed fields, so that no two contents share a text.

use crate::core::hash::hex;
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::Period;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What identifies a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementIdentity<'a> {
    /// Company code.
    pub company: &'a str,
    /// Agreement id.
    pub agreement: &'a str,
    /// Payee code.
    pub payee: &'a str,
    /// Settlement period.
    pub period: Period,
    /// Currency paid.
    pub currency: Currency,
    /// 1, 2, ... within the rest: a further one exists only after sending.
    pub number: u32,
}

/// One line behind a settlement, as it was when it was proposed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SettlementLine {
    /// Term id.
    pub term: String,
    /// Partner code.
    pub partner: String,
    /// First day of the accumulation period.
    pub period_from: NaiveDate,
    /// Document number.
    pub document: String,
    /// Line number.
    pub line: String,
    /// Net amount on the document.
    pub net: Micros,
    /// Its share of what is earned.
    pub share: Micros,
}

/// Prefix of every reference: documents that carry it are ours.
pub const REFERENCE_PREFIX: &str = "RBT-";
const REFERENCE_CHARS: usize = 12;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The reference that a text of another system is, in our writing: `RBT-` and 12 base-32 characters,
/// whatever the case. `None` for every other text.
pub fn own_reference(text: &str) -> Option<String> {
    let upper = text.trim().to_ascii_uppercase();
    let rest = upper.strip_prefix(REFERENCE_PREFIX)?;
    (rest.len() == REFERENCE_CHARS && rest.bytes().all(|b| BASE32.contains(&b))).then_some(upper)
}

fn feed(hash: &mut Sha256, field: &[u8]) {
    hash.update((field.len() as u64).to_be_bytes());
    hash.update(field);
}

/// `RBT-` and 12 base-32 characters, the same for ever for one settlement.
pub fn reference(identity: &SettlementIdentity<'_>) -> String {
    let mut hash = Sha256::new();
    for field in [
        identity.company,
        identity.agreement,
        identity.payee,
        &identity.period.to_string(),
        identity.currency.code(),
        &identity.number.to_string(),
    ] {
        feed(&mut hash, field.as_bytes());
    }
    let digest = hash.finalize();
    // Sixty bits: twelve characters of five.
    let bits = digest.iter().take(8).fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut text = String::from(REFERENCE_PREFIX);
    for index in 0..REFERENCE_CHARS {
        let five = (bits >> (59 - 5 * index)) & 31;
        text.push(char::from(BASE32[usize::try_from(five).unwrap_or(0)]));
    }
    text
}

/// SHA-256, in hex, over everything an approver sees: payee, amount, currency, lines and agreement
/// version. The order of the lines does not matter.
pub fn fingerprint(payee: &str, amount: Micros, currency: Currency, lines: &[SettlementLine], agreement_version: u32) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, payee.as_bytes());
    feed(&mut hash, amount.to_string().as_bytes());
    feed(&mut hash, currency.code().as_bytes());
    feed(&mut hash, agreement_version.to_string().as_bytes());
    let mut sorted: Vec<&SettlementLine> = lines.iter().collect();
    sorted.sort();
    feed(&mut hash, sorted.len().to_string().as_bytes());
    for line in sorted {
        for field in [
            line.term.as_str(),
            line.partner.as_str(),
            &line.period_from.to_string(),
            line.document.as_str(),
            line.line.as_str(),
            &line.net.to_string(),
            &line.share.to_string(),
        ] {
            feed(&mut hash, field.as_bytes());
        }
    }
    hex(&hash.finalize())
}

/// What a settlement pays and what is carried forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// To be paid: zero or at least the minimum.
    pub amount: Micros,
    /// Left for the next settlement: negative for an overpayment, positive below the minimum.
    pub carried_forward: Micros,
}

impl Due {
    /// Whether anything is paid.
    pub fn pays(self) -> bool {
        !self.amount.is_zero()
    }
}

/// Earned to date less settled to date, per agreement, payee and currency. Never negative: an
/// overpayment is carried forward and set off (case 05).
pub fn due(earned_to_date: Micros, settled_to_date: Micros, minimum: Micros) -> Due {
    let balance = earned_to_date - settled_to_date;
    if balance > Micros::ZERO && balance >= minimum {
        Due { amount: balance, carried_forward: Micros::ZERO }
    } else {
        Due { amount: Micros::ZERO, carried_forward: balance }
    }
}

/// Whether a settlement period may be proposed when this business day is closed: the period's last
/// day and the days of grace are over.
pub fn is_due(period: Period, grace_days: u32, business_day: NaiveDate) -> bool {
    period.to.checked_add_days(chrono::Days::new(u64::from(grace_days))).is_some_and(|first| business_day >= first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Micros {
        Micros::parse(text).expect("amount")
    }
    fn period(from: &str, to: &str) -> Period {
        Period::new(from.parse().expect("day"), to.parse().expect("day")).expect("period")
    }
    fn eur() -> Currency {
        Currency::parse("EUR").expect("currency")
    }

    #[test]
    fn case_03_each_settlement_pays_the_difference() {
        for (earned, settled, pays) in
            [("50", "0", "50.00"), ("600", "50", "550.00"), ("2300", "600", "1700.00"), ("2300", "2300", "0.00")]
        {
            assert_eq!(due(micros(earned), micros(settled), Micros::ZERO).amount.to_text(2), pays);
        }
    }

    #[test]
    fn case_05_an_overpayment_is_carried_and_set_off() {
        let after_return = due(micros("0"), micros("1230"), Micros::ZERO);
        assert_eq!((after_return.amount.to_text(2), after_return.carried_forward.to_text(2)), ("0.00".into(), "-1230.00".into()));
        assert_eq!(
            due(micros("1560"), micros("1230"), Micros::ZERO),
            Due { amount: micros("330"), carried_forward: Micros::ZERO }
        );
        assert_eq!(
            due(micros("1203"), micros("1230"), Micros::ZERO),
            Due { amount: Micros::ZERO, carried_forward: micros("-27") }
        );
    }

    #[test]
    fn less_than_the_minimum_waits() {
        assert_eq!(
            due(micros("9.99"), Micros::ZERO, micros("10")),
            Due { amount: Micros::ZERO, carried_forward: micros("9.99") }
        );
        assert_eq!(due(micros("10"), Micros::ZERO, micros("10")).amount, micros("10"));
    }

    #[test]
    fn a_reference_is_short_stable_and_its_own() {
        let identity = SettlementIdentity {
            company: "NW",
            agreement: "ACME-2026",
            payee: "C-10010",
            period: period("2026-01-01", "2026-03-31"),
            currency: eur(),
            number: 1,
        };
        let first = reference(&identity);
        assert_eq!(first.len(), 16);
        assert!(first.starts_with("RBT-") && first[4..].bytes().all(|b| BASE32.contains(&b)), "{first}");
        assert_eq!(first, reference(&identity));
        assert_ne!(first, reference(&SettlementIdentity { number: 2, ..identity }));
        // Fields are length-prefixed: moving a character to the next field changes the hash.
        assert_ne!(first, reference(&SettlementIdentity { company: "NWA", agreement: "CME-2026", ..identity }));
    }

    #[test]
    fn case_32_a_fingerprint_changes_with_the_content_and_with_nothing_else() {
        let line = |document: &str| SettlementLine {
            term: "volume".into(),
            partner: "C1".into(),
            period_from: "2026-01-01".parse().expect("day"),
            document: document.into(),
            line: "1".into(),
            net: micros("100"),
            share: micros("3"),
        };
        let print = |amount: &str, lines: &[SettlementLine], version| fingerprint("C1", micros(amount), eur(), lines, version);
        let lines = [line("A"), line("B")];
        let first = print("9800", &lines, 1);
        assert_eq!(first.len(), 64);
        assert_eq!(first, print("9800.000", &[line("B"), line("A")], 1));
        assert_ne!(first, print("10150", &lines, 1));
        assert_ne!(first, print("9800", &lines[..1], 1));
        assert_ne!(first, print("9800", &lines, 2));
    }

    #[test]
    fn a_period_is_proposed_on_its_last_day_or_after_the_grace() {
        let quarter = period("2026-01-01", "2026-03-31");
        let day = |text: &str| text.parse().expect("day");
        assert!(!is_due(quarter, 0, day("2026-03-30")));
        assert!(is_due(quarter, 0, day("2026-03-31")));
        assert!(!is_due(quarter, 10, day("2026-04-09")));
        assert!(is_due(quarter, 10, day("2026-04-10")));
    }
}
