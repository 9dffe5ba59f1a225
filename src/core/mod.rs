//! The pure core: no I/O, no async, no clock, no floats. Everything here is a function of its
//! arguments; `today` and the business day are passed in.

pub mod accrual;
pub mod agreement;
pub mod allocation;
pub mod amendment;
pub mod approval;
pub mod contest;
pub mod derivation;
pub mod hash;
pub mod line;
pub mod master;
pub mod master_data;
pub mod matching;
pub mod memo;
pub mod money;
pub mod names;
pub mod number;
pub mod period;
pub mod problem;
pub mod reading;
pub mod receipt;
pub mod recipe_text;
pub mod reconcile;
pub mod rights;
pub mod schedule;
pub mod settlement;
pub mod statement;
pub mod statement_changes;
pub mod statement_input;
pub mod statement_recipe;
pub mod terms;
pub mod visible;
