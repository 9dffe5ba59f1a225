//! The one integration binary: every topic is a module, so that the crate links once.
#![allow(clippy::unwrap_used)]

mod canonical;
mod config;
mod daemon;
mod drivers;
mod erp_push;
mod formats;
mod kill;
mod mail;
mod mapping;
mod mapping_files;
mod notify;
mod statement;
mod support;
mod tidy;
mod tryton;
mod workspace;
