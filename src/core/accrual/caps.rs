//! Caps over several figures of one agreement: per partner and in total, first come first served.

use super::evaluation::BucketShare;
use super::spread;
use crate::core::agreement::{AgreementVersion, NegativePolicy, QualifierScope};
use crate::core::number::Micros;
use crate::core::period::Period;
use foldhash::{HashMap, HashMapExt};

/// One earned figure of one partner, before and after caps over several figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Position of the term in the newest version.
    pub term: usize,
    /// Partner.
    pub partner_id: i64,
    /// Accumulation period.
    pub period: Period,
    /// Document or line that is its own period, else 0.
    pub part: i64,
    /// Rounded.
    pub earned: Micros,
    /// By accounting month; they add up to `earned`.
    pub buckets: Vec<BucketShare>,
    /// The caps that changed it, in the order in which they did.
    pub lowered_by: Vec<Lowered>,
}

/// What a cap over several figures made of one of them: of `asked` and `before` together the cap lets `cap`
/// through at most, and `after` is what that leaves for this figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// `caps.per_partner` or `caps.total`.
    pub name: &'static str,
    /// The cap, in whole minor units.
    pub cap: Micros,
    /// What the figures served before asked for.
    pub asked: Micros,
    /// The figure before this cap.
    pub before: Micros,
    /// And after it.
    pub after: Micros,
}

/// Applies `caps.per_partner` of each term and `caps.total` of the agreement to all its figures
/// over its whole validity.
///
/// Figures are served by first day of the period, then in the order of terms; a capped figure is
/// shared over its months anew. `caps.total` holds per partner, or over all partners together with
/// `qualifier_scope = "agreement"`. The order of `figures` does not matter, but where partners are
/// taken together pass them in the order of their codes.
pub fn apply_caps(newest: &AgreementVersion, figures: &mut [Figure]) {
    let digits = newest.currency.minor_digits();
    let carry = newest.negative == NegativePolicy::Carry;
    let unit = 10i64.pow(Micros::SCALE - digits);
    let whole_units = |cap: Micros| Micros(cap.0.div_euclid(unit) * unit);
    let mut order: Vec<usize> = (0..figures.len()).collect();
    order.sort_by_key(|i| {
        let f = &figures[*i];
        (f.period.from, f.period.to, f.term, f.part, *i)
    });
    let together = newest.qualifier_scope == QualifierScope::Agreement;
    // Running totals before and after the cap, by what the cap is counted for.
    let mut per_partner: HashMap<(i64, usize), i128> = HashMap::new();
    let mut total: HashMap<i64, i128> = HashMap::new();
    for index in order {
        let figure = &mut figures[index];
        let before = figure.earned;
        if let Some(cap) = newest.terms.get(figure.term).and_then(|t| t.caps.per_partner) {
            let running = per_partner.entry((figure.partner_id, figure.term)).or_default();
            serve(figure, running, whole_units(cap), "caps.per_partner");
        }
        if let Some(cap) = newest.cap_total {
            let running = total.entry(if together { 0 } else { figure.partner_id }).or_default();
            serve(figure, running, whole_units(cap), "caps.total");
        }
        if figure.earned != before {
            let parts: Vec<_> = figure.buckets.iter().map(|b| b.unrounded).collect();
            let shares = spread(figure.earned, &parts, carry, Some(figure.earned.fine()), digits);
            for (bucket, share) in figure.buckets.iter_mut().zip(shares) {
                bucket.earned = share;
            }
        }
    }
}

/// Lets the figure have what is left. `running` is what has been asked for so far in micro-units (together
/// it may be more than an amount holds), so that a negative figure gives back only what the cap had
/// let through.
fn serve(figure: &mut Figure, running: &mut i128, cap: Micros, name: &'static str) {
    let most = i128::from(cap.0);
    let asked = *running;
    *running += i128::from(figure.earned.0);
    // Never further from zero than the figure itself.
    let allowed = Micros(i64::try_from((*running).min(most) - asked.min(most)).unwrap_or(figure.earned.0));
    if allowed != figure.earned {
        let asked = Micros(i64::try_from(asked).unwrap_or(i64::MAX));
        figure.lowered_by.push(Lowered { name, cap, asked, before: figure.earned, after: allowed });
        figure.earned = allowed;
    }
}
