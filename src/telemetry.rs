//! Logging: human lines on stderr, or JSON with `REBATED_LOG_FORMAT=json`. Filter by `REBATED_LOG`.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Installs the subscriber; a second call changes nothing.
pub fn init() {
    let filter = EnvFilter::try_from_env("REBATED_LOG").unwrap_or_else(|_| EnvFilter::new("warn,rebated=info"));
    // Its own complaints go to stderr by a call that panics when nobody reads there.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    // Colours are for a terminal; in a file or a journal they are noise.
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    let _ = match std::env::var("REBATED_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().try_init(),
        _ => builder.with_target(false).try_init(),
    };
}
