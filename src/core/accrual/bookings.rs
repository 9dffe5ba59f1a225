//! From earned to booked: only differences, and never into a closed month (`calculation.md`
//! section 7, cases 06 and 14).

use crate::core::number::Micros;
use crate::core::period::FiscalCalendar;
use chrono::{Days, NaiveDate};
use std::collections::BTreeMap;

/// Why an entry is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BookingKind {
    /// The lines of the month changed what it earns.
    Base,
    /// Other lines or terms changed the rate of the month's lines.
    RateAdjustment,
    /// The month it belongs to is closed.
    PriorPeriodAdjustment,
    /// Nothing of the month's lines is left.
    Reversal,
}

impl BookingKind {
    /// The word in the ledger.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::RateAdjustment => "rate-adjustment",
            Self::PriorPeriodAdjustment => "prior-period-adjustment",
            Self::Reversal => "reversal",
        }
    }
}

/// One entry for the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    /// First day of the accounting month it is booked in.
    pub month: NaiveDate,
    /// First day of the accounting month it belongs to.
    pub for_month: NaiveDate,
    /// Why.
    pub kind: BookingKind,
    /// The change, never zero.
    pub amount: Micros,
}

/// What the ledger holds for one accounting month of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// Sum of all entries that belong to the month, wherever they were booked; settlements apart.
    pub amount: Micros,
}

/// The entries that bring the ledger of one key from `booked` (by month they belong to) to
/// `earned` (by bucket).
///
/// `changed` tells of a month whether its lines changed since it was last booked; `is_open` of an
/// accounting month (its first day) whether it takes entries. An entry goes to the month it belongs
/// to while that is open, else to that of the business day, else to the earliest open one after
/// it. A second run over the same figures books nothing.
pub fn bookings(
    earned: &[(NaiveDate, Micros)],
    booked: &BTreeMap<NaiveDate, Booked>,
    changed: impl Fn(NaiveDate) -> bool,
    is_open: impl Fn(NaiveDate) -> bool,
    business_day: NaiveDate,
    calendar: &FiscalCalendar,
) -> Vec<Booking> {
    // Settlement weeks are parts of their month.
    let mut months: BTreeMap<NaiveDate, (Micros, Micros)> = BTreeMap::new();
    for (bucket, amount) in earned {
        months.entry(calendar.month_start(*bucket)).or_default().0 += *amount;
    }
    for (month, held) in booked {
        months.entry(calendar.month_start(*month)).or_default().1 += held.amount;
    }
    let fallback = open_month(calendar.month_start(business_day), &is_open, calendar);
    months
        .into_iter()
        .filter(|(_, (target, held))| target != held)
        .map(|(for_month, (target, held))| {
            let open = is_open(for_month);
            let kind = match (open, changed(for_month)) {
                (false, _) => BookingKind::PriorPeriodAdjustment,
                (true, true) if target.is_zero() => BookingKind::Reversal,
                (true, true) => BookingKind::Base,
                (true, false) => BookingKind::RateAdjustment,
            };
            Booking { month: if open { for_month } else { fallback }, for_month, kind, amount: target - held }
        })
        .collect()
}

/// The accounting month that takes an entry: the given one (its first day), or the earliest open one after it.
pub fn open_month(from: NaiveDate, is_open: &impl Fn(NaiveDate) -> bool, calendar: &FiscalCalendar) -> NaiveDate {
    let mut month = from;
    // A century of closed months ahead is a mistake; the entry then stays in the business day's.
    for _ in 0..1200 {
        if is_open(month) {
            return month;
        }
        month = calendar.month(month).to + Days::new(1);
    }
    from
}
