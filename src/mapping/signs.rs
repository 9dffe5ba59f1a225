//! Whose sign counts: the one place that turns the figures of credit documents (case 04).
//!
//! A mapping names one convention. When a figure contradicts it nobody guesses: the row is a
//! blocking `sign-conflict` that a person resolves. Discounts run against their document, so their
//! figures are turned with it but never compared.

use crate::core::line::{DocumentType, DraftLine, LineKind};
use crate::core::number::Micros;
use crate::mapping::value::Fault;

/// Where the sign of a line's figures comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Figures are unsigned; the document type gives the sign.
    ByType,
    /// Figures carry the sign.
    Signed,
}

/// What a mapping says about the amounts of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineRules {
    pub(crate) sign: Sign,
    /// Whether the source's net amount includes tax.
    pub(crate) net_includes_tax: bool,
    /// Whether the source's gross amount includes tax.
    pub(crate) gross_includes_tax: bool,
}

/// Code of figures whose sign contradicts the other place that could give it.
pub(crate) const SIGN_CONFLICT: &str = "sign-conflict";

fn conflict(message: &str) -> Fault {
    Fault::new(SIGN_CONFLICT, message.to_owned()).help(
        "correct it in the source; or, if a credit note really is negative, resolve with --action release (it counts as written)",
    )
}

fn runs_against_its_document(line: &DraftLine) -> bool {
    matches!(line.line_kind, LineKind::Discount | LineKind::Comment)
}

/// Takes included tax off and sets the signs by type. After a sign conflict the line holds what it
/// would say if its figures mean what is written, for a person to release.
pub(crate) fn orient(line: &mut DraftLine, rules: &LineRules) -> Result<(), (&'static str, Fault)> {
    let tax = line.tax_amount;
    for (field, amount, included) in [
        ("net_amount", &mut line.net_amount, rules.net_includes_tax),
        ("gross_amount", &mut line.gross_amount, rules.gross_includes_tax),
    ] {
        let (true, Some(with_tax)) = (included, *amount) else { continue };
        let Some(tax) = tax else {
            return Err((field, Fault::new("missing-value", "the amount includes tax and there is no tax amount to take off")));
        };
        *amount =
            Some(with_tax.checked_add(-tax).ok_or((field, Fault::new("bad-number", "the amount without tax is too large")))?);
    }
    if rules.sign == Sign::Signed {
        return Ok(());
    }
    let compared = !runs_against_its_document(line);
    let figures: [(&'static str, &mut Option<Micros>); 5] = [
        ("quantity", &mut line.quantity),
        ("net_amount", &mut line.net_amount),
        ("gross_amount", &mut line.gross_amount),
        ("tax_amount", &mut line.tax_amount),
        ("cost_amount", &mut line.cost_amount),
    ];
    let mut first = None;
    for (field, figure) in figures {
        let Some(value) = figure else { continue };
        if compared && value.is_negative() && first.is_none() {
            let what = field.replace('_', " ");
            first = Some((field, conflict(&format!("the mapping takes signs by type, but the {what} is negative"))));
        }
        if line.document_type == DocumentType::CreditNote {
            *figure = Some(-*value);
        }
    }
    first.map_or(Ok(()), Err)
}

/// Whether quantity and amounts of a line point the same way: otherwise nobody can mean it as it is written.
pub(crate) fn agrees_with_itself(line: &DraftLine) -> bool {
    let opposite = |amount: Option<Micros>| {
        line.quantity.zip(amount).is_some_and(|(quantity, amount)| quantity.0.signum() * amount.0.signum() < 0)
    };
    runs_against_its_document(line) || !(opposite(line.net_amount) || opposite(line.gross_amount))
}

/// The sign rule (case 04): a credit note does not carry positive figures, and quantity and amount
/// of one line point the same way. Discounts run against their document and are left alone.
pub(crate) fn sign_fault(line: &DraftLine) -> Option<(&'static str, Fault)> {
    if runs_against_its_document(line) {
        return None;
    }
    if line.document_type == DocumentType::CreditNote {
        for (field, figure) in [("quantity", line.quantity), ("net_amount", line.net_amount), ("gross_amount", line.gross_amount)]
        {
            if figure.is_some_and(|figure| figure.0 > 0) {
                return Some((field, conflict(&format!("a credit note with a positive {}", field.replace('_', " ")))));
            }
        }
    }
    for (field, amount) in [("net_amount", line.net_amount), ("gross_amount", line.gross_amount)] {
        if let (Some(quantity), Some(amount)) = (line.quantity, amount)
            && quantity.0.signum() * amount.0.signum() < 0
        {
            return Some((field, conflict("quantity and amount have opposite signs")));
        }
    }
    None
}
