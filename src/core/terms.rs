//! Rebate types: one file each, all speaking of ladders and exact sums.
//!
//! A rule turns the running sums of one accumulation period into unrounded benefits; rounding,
//! caps over several figures and bookings are the business of `accrual`.

pub mod fixed;
pub mod growth;
pub mod ladder;
pub mod mix;
pub mod ship_and_debit;
pub mod volume;
