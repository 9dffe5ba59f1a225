//! Accruals: from running sums to what is earned, and from there to what is booked
//! (`calculation.md` sections 4, 6 and 7).
//!
//! Earned is a function of the sums alone, rounded once per agreement, term, partner and
//! accumulation period. What is booked is the change of that rounded figure. Nothing here looks
//! at lines; the same code serves a night and a rebuild.

mod bookings;
mod caps;
mod combine;
mod evaluate;
mod evaluation;
mod gather;
mod ruling;
mod steps;

pub use bookings::{Booked, Booking, BookingKind, bookings, open_month};
pub use caps::{Figure, Lowered, apply_caps};
pub use combine::{Combination, Taken, take_off};
pub use evaluate::{TooLarge, evaluate, evaluate_to_date, tiers_of_period};
pub(crate) use evaluate::{line_parts, own_parts};
pub use evaluation::{BucketShare, Entry, Evaluation, PartnerFigure, TierReached, VersionFigure};
pub use gather::Summed;
pub use steps::{Step, benefit_text, percent};

use crate::core::number::{Fine, Micros};

/// Shares a rounded figure over its months: each month gets the change of the rounded running
/// total, kept between zero (unless net returns carry) and `limit`.
///
/// Later months never move the cents of earlier ones, so a closed month is corrected only when its
/// own figure changes; the shares add up to `earned`.
pub(crate) fn spread(earned: Micros, parts: &[Fine], carry: bool, limit: Option<Fine>, minor_digits: u32) -> Vec<Micros> {
    let mut running = Fine::ZERO;
    let mut given = Micros::ZERO;
    let mut shares: Vec<Micros> = Vec::with_capacity(parts.len());
    for part in parts {
        running += *part;
        let floor = if carry { running } else { running.clamp_positive() };
        let kept = limit.map_or(floor, |limit| floor.min(limit));
        let rounded = kept.round(minor_digits);
        shares.push(rounded - given);
        given = rounded;
    }
    // A floor, or a limit that came later, moves the end.
    if let Some(last) = shares.last_mut() {
        *last += earned - given;
    }
    shares
}
