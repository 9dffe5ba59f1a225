//! The workspace: typed files, layers, secrets, diagnostics with `file:line:column`.
