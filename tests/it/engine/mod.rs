//! The calculation core on small worlds: numeric cases, worked examples, and the two properties
//! (order-free, incremental equals rebuild). No store, no files.

mod cases;
mod examples;
mod limits;
mod matching;
mod properties;
mod recipe;
mod world;
