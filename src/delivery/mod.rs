//! What leaves the house: credit memos, statements, mail. Every row is written before the first attempt.

pub mod erp_push;
pub mod mail;
pub mod notify;
pub mod outbox;
pub mod statement;
