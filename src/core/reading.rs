//! An agreement read back in plain English, with an example that the engine computes: what partners sign.
//!
//! Every condition that changes a figure has its sentence; the example goes through the same code as a night, so a
//! ladder that was written down wrongly shows at once.

mod decided;
mod example;
mod term;

use crate::core::agreement::{
    AgreementVersion, Bound, DateBasis, Direction, NegativePolicy, PayoutMethod, QualifierScope, ReturnsBasis, Stacking,
};
use crate::core::number::Micros;
use crate::core::period::{FiscalCalendar, Span};

/// The reading of the newest of an agreement's versions, which are given in order; paragraphs are separated by an empty line.
pub fn read(versions: &[AgreementVersion], calendar: &FiscalCalendar) -> String {
    let Some(newest) = versions.last() else { return String::new() };
    let mut paragraphs = vec![heading(newest), who(newest), when(newest)];
    for term in &newest.terms {
        let mut paragraph = term::read(newest, term);
        paragraph.push_str(&example::read(versions, newest, term, calendar));
        paragraphs.push(paragraph);
    }
    paragraphs.push(together(newest));
    paragraphs.push(returns(newest));
    paragraphs.push(payment(newest));
    paragraphs.retain(|p| !p.is_empty());
    paragraphs.join("\n\n")
}

fn heading(agreement: &AgreementVersion) -> String {
    format!("{} ({}, version {})", agreement.title, agreement.id, agreement.version)
}

/// `A`, `A and B`, `A, B and C`.
fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

fn who(agreement: &AgreementVersion) -> String {
    let audience = &agreement.audience;
    let mut parts = Vec::new();
    if !audience.partners.is_empty() {
        parts.push(list(&audience.partners));
    }
    if !audience.groups.is_empty() {
        parts.push(format!("the members of {}", list(&audience.groups)));
    }
    if !audience.parents.is_empty() {
        parts.push(format!("everybody below {}", list(&audience.parents)));
    }
    let mut text = match agreement.direction {
        Direction::Payable => format!("We pay rebates to {}", list(&parts)),
        Direction::Receivable => format!("We receive rebates from {}", list(&parts)),
    };
    if !audience.exclude_partners.is_empty() {
        text.push_str(&format!(", but not {}", list(&audience.exclude_partners)));
    }
    text.push('.');
    if !audience.groups.is_empty() || !audience.parents.is_empty() {
        text.push_str(" Whoever joins or leaves takes part for the days of membership.");
    }
    if agreement.qualifier_scope == QualifierScope::Agreement {
        text.push_str(
            " All of them are taken together to see what is reached, and share what is earned by what each has bought.",
        );
    }
    if let Some(payee) = &agreement.payee {
        text.push_str(&format!(" Everything is paid to {payee}."));
    }
    text
}

fn when(agreement: &AgreementVersion) -> String {
    let date = match agreement.date_basis {
        DateBasis::DocumentDate => "document date",
        DateBasis::PostingDate => "posting date",
    };
    let mut text = format!(
        "The agreement holds from {} to {}, both days included, by the {date} of each document.",
        agreement.valid.from, agreement.valid.to
    );
    if agreement.version > 1 {
        text.push_str(&format!(
            " This version rules documents from {} on; earlier ones are ruled by the version before, at the tier that both together reach{}.",
            agreement.valid_from,
            if agreement.restart_on_amendment { "; what adds up starts anew on that day" } else { "" }
        ));
    }
    text.push_str(&format!(
        " Figures are in {}; documents in another currency are converted at the {} rate of their date, which may be at most {} days old.",
        agreement.currency, agreement.exchange.rate_type, agreement.exchange.max_age_days
    ));
    text.push_str(" Amounts are net of tax.");
    text
}

fn together(agreement: &AgreementVersion) -> String {
    let mut text = String::new();
    if let Some(cap) = agreement.cap_total {
        let scope = if agreement.qualifier_scope == QualifierScope::Agreement { "all partners together" } else { "each partner" };
        text.push_str(&format!("All terms together pay {scope} at most {} over the whole agreement. ", money(agreement, cap)));
    }
    if agreement.stacking == Stacking::Exclusive {
        text.push_str(
            "Where other agreements could pay on the same line, it is paid under the one option that pays most: this agreement alone, \
             another exclusive one, or all others together. The line still counts towards every tier.",
        );
    }
    text.trim_end().to_owned()
}

fn returns(agreement: &AgreementVersion) -> String {
    let period = match agreement.returns {
        ReturnsBasis::OwnPeriod => "Returns count in the period of the credit note.",
        ReturnsBasis::OriginalPeriod => {
            "Returns count in the period of the invoice that they refer to; without one in that of the credit note."
        }
    };
    let negative = match agreement.negative {
        NegativePolicy::Zero => "A period with more returns than purchases earns nothing.",
        NegativePolicy::Carry => {
            "A period with more returns than purchases earns a negative amount, which later periods make good."
        }
    };
    format!(
        "{period} {negative} What is earned is rounded once, half away from zero, to the smallest unit of {}.",
        agreement.currency
    )
}

fn payment(agreement: &AgreementVersion) -> String {
    let settlement = &agreement.settlement;
    let every = match settlement.every {
        Span::Agreement | Span::Lifetime => "at the end of the agreement".to_owned(),
        Span::AgreementYear => "at the end of each year of the agreement".to_owned(),
        span => format!("at the end of each {}", span.word()),
    };
    let grace = match settlement.grace_days {
        0 => String::new(),
        1 => ", a day later".to_owned(),
        days => format!(", {days} days later"),
    };
    let how = match settlement.method {
        PayoutMethod::CreditMemo => "paid by credit memo",
        PayoutMethod::Folder => "paid by the documents that we hand over",
        PayoutMethod::AccrueOnly => return format!("What is earned is shown {every} and is not paid out under this agreement."),
    };
    let mut text = format!("What is earned and not yet paid is {how} {every}{grace}.");
    if !settlement.minimum.is_zero() {
        text.push_str(&format!(" Less than {} is carried forward.", money(agreement, settlement.minimum)));
    }
    text.push_str(" What was paid too much is set off against later payments.");
    text
}

fn money(agreement: &AgreementVersion, amount: Micros) -> String {
    format!("{} {}", agreement.currency.amount_text(amount), agreement.currency)
}

/// How a bound is reached, as a sentence.
fn bound_sentence(bound: Bound) -> &'static str {
    match bound {
        Bound::Reached => "Whoever meets a bound exactly has reached it.",
        Bound::Exceeded => "A bound must be exceeded; meeting it exactly is not enough.",
        Bound::NthUnit => "A bound names the first unit at the new rate.",
    }
}
