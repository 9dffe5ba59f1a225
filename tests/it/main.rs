//! The one integration binary: every topic is a module, so that the crate links once.
#![allow(clippy::unwrap_used)]

mod approval;
mod canonical;
mod claims;
mod commands;
mod compare;
mod config;
mod daemon;
mod docs;
mod drivers;
mod dry_run;
mod e2e_mail;
mod e2e_tryton;
mod engine;
mod erp_push;
mod formats;
mod gallery;
mod generated_year;
mod kill;
mod mail;
mod mapping;
mod mapping_files;
mod notify;
#[allow(dead_code)]
#[path = "../../benches/nightly/oracle.rs"]
mod oracle;
mod output;
mod races;
mod reading;
mod rebuild;
mod resend;
mod scenarios;
mod schema;
mod start_page;
mod statement;
mod store;
mod support;
mod tidy;
mod tryton;
mod unreadable_feed;
#[allow(dead_code)]
#[path = "../../benches/nightly/workload.rs"]
mod workload;
mod workspace;
