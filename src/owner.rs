//! Who holds a lease: a process, told apart from any other that ever had its number.
//!
//! Read from `/proc`, where there is one. Invariant: a holder is called dead only if it ran in
//! this very process table (same host name, same boot, same pid namespace) and is gone from it;
//! everywhere else its silence has to be waited for.

use std::fmt;
use std::fs;

/// A process as the holder of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    host: String,
    /// Boot and pid namespace: which table the pid is looked up in.
    table: String,
    pid: u32,
    /// Start time in clock ticks since boot; a pid that was given out again has another one.
    started: String,
}

/// What is known of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Alive,
    /// It is gone.
    Dead,
    /// It runs elsewhere, if at all.
    Unknown,
}

fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and brackets: the fields start after its last bracket.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    // A zombie has ended; only its parent has not noticed.
    if state == "Z" || state == "X" { None } else { fields.nth(18).map(str::to_owned) }
}

impl Owner {
    /// This process.
    pub fn this_process() -> Self {
        let trimmed = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
        let host = trimmed("/proc/sys/kernel/hostname").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| "host".to_owned());
        let boot = trimmed("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default();
        let digits: String = namespace.chars().filter(char::is_ascii_digit).collect();
        let pid = std::process::id();
        let boot: String = boot.chars().take_while(|c| *c != '-').collect();
        Self { host, table: format!("{boot}.{digits}"), pid, started: started(pid).unwrap_or_default() }
    }

    /// Reads the text that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.rsplitn(4, '/');
        let started = parts.next()?.to_owned();
        let pid = parts.next()?.parse().ok()?;
        let table = parts.next()?.to_owned();
        Some(Self { host: parts.next()?.to_owned(), table, pid, started })
    }

    /// What this process can tell of the holder.
    pub fn life(&self) -> Life {
        let me = Self::this_process();
        let blind = me.started.is_empty() || self.started.is_empty() || self.table.starts_with('.') || self.table.ends_with('.');
        if blind || (&self.host, &self.table) != (&me.host, &me.table) {
            return Life::Unknown;
        }
        if started(self.pid).as_ref() == Some(&self.started) { Life::Alive } else { Life::Dead }
    }
}

impl fmt::Display for Owner {
    /// `host/table/pid/started`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.host, self.table, self.pid, self.started)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_text_is_read_back() {
        let me = Owner::this_process();
        assert_eq!(Owner::parse(&me.to_string()), Some(me.clone()));
        assert_eq!(me.life(), Life::Alive);
    }

    #[test]
    fn a_process_that_ended_is_dead_even_before_its_parent_notices() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let owner = Owner { pid: child.id(), started: started(child.id()).unwrap(), ..Owner::this_process() };
        assert_eq!(owner.life(), Life::Alive);
        child.kill().unwrap();
        while started(child.id()).is_some() {
            std::thread::yield_now();
        }
        assert_eq!(owner.life(), Life::Dead, "a zombie");
        child.wait().unwrap();
        assert_eq!(owner.life(), Life::Dead);
    }

    #[test]
    fn a_pid_that_was_given_out_again_is_another_process() {
        let owner = Owner { started: "1".to_owned(), ..Owner::this_process() };
        assert_eq!(owner.life(), Life::Dead);
    }

    #[test]
    fn a_process_of_another_host_boot_or_container_is_unknown() {
        let me = Owner::this_process();
        assert_eq!(Owner { host: "elsewhere".to_owned(), ..me.clone() }.life(), Life::Unknown);
        assert_eq!(Owner { table: "0badb007.4026531836".to_owned(), ..me }.life(), Life::Unknown);
        assert_eq!(Owner::parse("cli"), None);
    }
}
