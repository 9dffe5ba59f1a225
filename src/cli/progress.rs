//! Progress: bars on a terminal, one log line per stage otherwise.

use crate::pipeline::{LogProgress, Progress};
use crate::store::StageRow;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

/// Bars when stderr is a terminal, log lines otherwise.
pub fn for_terminal() -> Arc<dyn Progress> {
    if std::io::stderr().is_terminal() { Arc::new(Bars { bar: Mutex::new(None) }) } else { Arc::new(LogProgress) }
}

impl Bars {
    fn take(&self) -> Option<ProgressBar> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Progress for Bars {
    fn stage_started(&self, stage: &str) {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{prefix:12} {bar:30} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }
    fn advanced(&self, done: i64, total: Option<i64>) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(total) = total {
                bar.set_length(u64::try_from(total).unwrap_or(0));
            }
            bar.set_position(u64::try_from(done).unwrap_or(0));
        }
    }
    fn stage_finished(&self, row: &StageRow) {
        if let Some(bar) = self.take() {
            bar.finish_and_clear();
        }
        eprintln!(
            "{:12} in {:>8}  out {:>8}  exceptions {:>4}  {}",
            row.stage, row.count_in, row.count_out, row.exceptions, row.detail
        );
    }
    fn stage_failed(&self, stage: &str, error: &str) {
        if let Some(bar) = self.take() {
            bar.finish_and_clear();
        }
        eprintln!("{stage:12} failed: {error}");
    }
}
