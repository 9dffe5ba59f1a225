//! Terms by rebate type: the keys of each type and what they build, one file each.

pub mod growth;
pub mod mix;
pub mod ship_and_debit;
