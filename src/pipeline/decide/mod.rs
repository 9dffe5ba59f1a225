//! Decide: what is granted for single things, claim lines among them. Part of the match stage.
//!
//! Decisions become running sums like those of lines, so that everything behind them follows. They
//! are made anew whenever something they depend on has changed; what was settled stays.

pub mod books;
mod claim_lines;
mod price_drops;
pub mod ship_and_debit;
pub mod shown;
