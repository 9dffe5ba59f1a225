//! The workspace: typed files, layers, secrets, diagnostics with `file:line:column`.

pub mod agreement_file;
pub mod agreement_shapes;
pub mod checks;
pub mod ladder;
pub mod reader;
pub mod shape;
pub mod source;
pub mod tree;
pub mod value;
