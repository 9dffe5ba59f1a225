//! What a child process and the database server cost: wall time, CPU time, peak memory. Linux only.
//!
//! Integers throughout: milliseconds, kibibytes, hundredths.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

/// Cost of one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub wall_ms: u64,
    /// The process and, where there is one, the database server.
    pub cpu_ms: u64,
    /// Most memory the process held (VmHWM).
    pub peak_kib: u64,
}

impl Cost {
    /// One step after the other.
    pub fn then(self, next: Self) -> Self {
        Self {
            wall_ms: self.wall_ms + next.wall_ms,
            cpu_ms: self.cpu_ms + next.cpu_ms,
            peak_kib: self.peak_kib.max(next.peak_kib),
        }
    }
    pub fn rows_per_second(self, rows: u64) -> u64 {
        rows * 1_000 / self.wall_ms.max(1)
    }
}

/// A database server whose CPU time belongs to the step.
pub struct Server {
    main_process: u64,
}

impl Server {
    /// The server whose data folder this is.
    pub fn of_data_folder(folder: &str) -> Self {
        let file = PathBuf::from(folder).join("postmaster.pid");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Self { main_process: text.lines().next().and_then(|l| l.trim().parse().ok()).expect("a process id") }
    }
    /// Itself, its ended children and its living children.
    fn cpu_ms(&self) -> u64 {
        let own = stat(self.main_process).map_or(0, |s| s.own_ms + s.ended_children_ms);
        let children = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().to_string_lossy().parse().ok());
        own + children.filter_map(stat).filter(|s| s.parent == self.main_process).map(|s| s.own_ms).sum::<u64>()
    }
}

struct Stat {
    parent: u64,
    own_ms: u64,
    ended_children_ms: u64,
}

/// `/proc/ID/stat`; the clock ticks 100 times a second on every Linux that matters here.
fn stat(process: u64) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in brackets may hold blanks.
    let fields: Vec<u64> = text.rsplit_once(')')?.1.split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
    Some(Stat {
        parent: *fields.get(1)?,
        own_ms: (fields.get(11)? + fields.get(12)?) * 10,
        ended_children_ms: (fields.get(13)? + fields.get(14)?) * 10,
    })
}

fn peak_kib(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Runs a command to its end and measures it; fails when the exit code is not one of `codes`.
pub fn run(command: &mut Command, server: Option<&Server>, codes: &[i32]) -> Cost {
    let own = u64::from(std::process::id());
    let before = stat(own).map_or(0, |s| s.ended_children_ms) + server.map_or(0, Server::cpu_ms);
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_kib(&child));
        match child.try_wait().expect("waiting for a child") {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let wall = begun.elapsed();
    assert!(status.code().is_some_and(|c| codes.contains(&c)), "{command:?}: {status}");
    // A backend that ends is counted by the server a moment later.
    thread::sleep(Duration::from_millis(if server.is_some() { 300 } else { 0 }));
    let after = stat(own).map_or(0, |s| s.ended_children_ms) + server.map_or(0, Server::cpu_ms);
    Cost { wall_ms: u64::try_from(wall.as_millis()).expect("short"), cpu_ms: after - before, peak_kib: peak }
}

/// `part / whole` in hundredths.
pub fn ratio_e2(part: u64, whole: u64) -> u64 {
    part * 100 / whole.max(1)
}

/// `1.23` for 123.
pub fn hundredths(value: u64) -> String {
    format!("{}.{:02}", value / 100, value % 100)
}
