//! `rebated`: B2B rebates at night, unattended, every cent right.
//!
//! Folders are layers; an arrow may only point left (a test enforces it):
//! `core` <- `config`, `formats` <- `mapping`, `drivers`, `store` <- `delivery` <- `pipeline` <-
//! `daemon` <- `cli` <- `main`. See `ARCHITECTURE.md`.

pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod daemon;
pub mod delivery;
pub mod drivers;
pub mod formats;
pub mod mapping;
pub mod owner;
pub mod pipeline;
pub mod store;
pub mod telemetry;
