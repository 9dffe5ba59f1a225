//! What the tests share: a database server, the built program in a temporary workspace, outside
//! systems. Nothing here knows a rule of the product.
#![allow(dead_code)]

pub mod binary;
pub mod postgres;
pub mod proxy;
pub mod rows;
pub mod scenario;
pub mod smtp;
pub mod source;
pub mod tryton;
