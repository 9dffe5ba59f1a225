//! What a later version of an agreement may not change, because the figures of both versions are
//! added, compared or paid together.
//!
//! A version may change rates, bounds, methods, who takes part, when and how it is paid, and until when it is
//! valid. It may not change what figures *are*: an amount in euros and one in dollars, or pieces and
//! amounts, have no sum. Where `restart_on_amendment` cuts the accumulation periods at its first day,
//! no figure spans both versions, and what a term measures may change there; what rules the whole
//! agreement (its currency, whose figures are taken together, which date and which calendar place a
//! document) may not even then: the past would be reckoned anew by it.

use crate::core::agreement::{AgreementVersion, Measure, ReturnsBasis, Term};
use crate::core::problem::Problem;

/// Why two neighbouring versions cannot stand together, with the key of the later one to blame;
/// `None` when they can. The problem has no place yet.
pub fn conflict(earlier: &AgreementVersion, later: &AgreementVersion) -> Option<(&'static str, Problem)> {
    let number = later.version;
    let end = "end the agreement (an amendment with an earlier `valid.to`) and make a new one with its own id";
    if later.valid_from <= earlier.valid_from {
        let message =
            format!("version {number} rules from {}, version {} from {}", later.valid_from, earlier.version, earlier.valid_from);
        return Some(("valid_from", Problem::new("amendment", message).help("a later version starts on a later day")));
    }
    let words = |gregorian: bool| if gregorian { "gregorian" } else { "fiscal" };
    let whole = [
        ("currency", earlier.currency.code(), later.currency.code()),
        ("qualifier_scope", earlier.qualifier_scope.word(), later.qualifier_scope.word()),
        ("date_basis", earlier.date_basis.word(), later.date_basis.word()),
        ("calendar", words(earlier.gregorian), words(later.gregorian)),
    ];
    if let Some((key, before, after)) = whole.into_iter().find(|(_, before, after)| before != after) {
        let message = format!(
            "version {number} of `{}` changes `{key}` from {before} to {after}, but it holds for all versions of an agreement",
            later.id
        );
        return Some((key, Problem::new("amendment-kind", message).help(end)));
    }
    let cut = later.restart_on_amendment;
    for term in &later.terms {
        let Some(before) = earlier.terms.iter().find(|t| t.id == term.id) else { continue };
        let Some((what, old, new)) = changed_kind(before, term) else { continue };
        // A return counted in its invoice's period would bring figures of the later kind into the earlier one.
        let apart = cut && [earlier, later].iter().all(|v| v.returns == ReturnsBasis::OwnPeriod);
        if apart {
            continue;
        }
        let message = format!(
            "version {number} of `{}` changes {what} of term `{}` from {old} to {new}, and figures of both would be added",
            later.id, term.id
        );
        let help = if cut {
            "with `returns = \"original-period\"` returns still reach back over the restart; give the changed term a new id"
                .to_owned()
        } else {
            format!("give the changed term a new id, or set `restart_on_amendment = true`, or {end}")
        };
        return Some(("terms", Problem::new("amendment-kind", message).help(help)));
    }
    None
}

/// The first thing that makes figures of two versions of a term different in kind.
fn changed_kind(before: &Term, after: &Term) -> Option<(&'static str, String, String)> {
    let measure = |name, before: Measure, after: Measure| {
        (before != after).then(|| (name, before.word().to_owned(), after.word().to_owned()))
    };
    if before.rule.name() != after.rule.name() {
        return Some(("the type", before.rule.name().to_owned(), after.rule.name().to_owned()));
    }
    if before.accumulate != after.accumulate {
        return Some(("the accumulation", before.accumulate.word().to_owned(), after.accumulate.word().to_owned()));
    }
    let (before, after) = (before.rule.measures(), after.rule.measures());
    let unit = |name, before: Option<&str>, after: Option<&str>| {
        let text = |unit: Option<&str>| unit.unwrap_or("none").to_owned();
        (before != after).then(|| (name, text(before), text(after)))
    };
    measure("the qualifier", before.qualifier, after.qualifier)
        .or_else(|| measure("the base", before.base, after.base))
        .or_else(|| unit("the unit", before.unit, after.unit))
        .or_else(|| unit("the unit of the base", before.base_unit, after.base_unit))
}
