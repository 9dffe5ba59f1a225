//! The workspace: typed files, layers, secrets, diagnostics with `file:line:column`.

pub mod reader;
pub mod shape;
pub mod source;
pub mod tree;
pub mod value;
