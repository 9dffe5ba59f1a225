//! The one integration binary: every topic is a module, so that the crate links once.
#![allow(clippy::unwrap_used)]

mod canonical;
mod config;
mod daemon;
mod drivers;
mod erp_push;
mod formats;
mod mapping;
mod mapping_files;
mod support;
mod tidy;
mod tryton;
mod workspace;
