//! The built program, run in a temporary workspace as a user would run it.
//!
//! Invariant: nothing of the developer's own environment reaches it (`REBATED_*` is removed).

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A workspace folder of its own, removed with the value.
pub struct Workspace {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What one command printed and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    command: String,
}

impl Workspace {
    /// An empty folder: no `rebated.toml`.
    pub fn empty() -> Self {
        Self { dir: tempfile::Builder::new().prefix("rebated-test-").tempdir().expect("temporary folder"), env: Vec::new() }
    }
    /// A folder with this `rebated.toml`.
    pub fn with_config(rebated_toml: &str) -> Self {
        let workspace = Self::empty();
        workspace.write("rebated.toml", rebated_toml);
        workspace
    }
    /// A folder of a company that trusts its files, keeps this currency and mails into a folder.
    pub fn trusting(currency: &str) -> Self {
        Self::trusting_with(currency, "")
    }
    /// The same with further lines on approval.
    pub fn trusting_with(currency: &str, approval: &str) -> Self {
        Self::with_config(&format!(
            "[company]\nname = \"Test\"\ncurrency = \"{currency}\"\ntimezone = \"UTC\"\n[mail]\nfrom = \"r@example.test\"\n\
             transport = {{ type = \"folder\", path = \"mail\" }}\n[approval]\nagreement_files = \"trusted\"\n{approval}"
        ))
    }
    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        std::fs::write(&path, content).expect("file");
        path
    }
    /// Copies a folder's files into the workspace, folders included.
    pub fn copy_from(&self, source: &Path) {
        copy(source, self.path());
    }
    /// Sets a variable for every later command.
    pub fn set_env(&mut self, name: &str, value: impl Into<String>) {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.to_owned(), value.into()));
    }
    /// The command, ready to be changed or spawned.
    pub fn command<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rebated"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REBATED_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).env("REBATED_WORKSPACE", self.path()).env("NO_COLOR", "1");
        command.envs(self.env.iter().map(|(n, v)| (n, v))).args(args).stdin(Stdio::null());
        command
    }
    /// Runs to the end, whatever the exit code.
    pub fn run<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(&mut self.command(args))
    }
    /// Runs as the owner of this token.
    pub fn run_as<A: AsRef<std::ffi::OsStr>>(&self, token: &str, args: impl IntoIterator<Item = A>) -> Outcome {
        Outcome::of(self.command(args).env("REBATED_TOKEN", token))
    }
    /// Starts it and leaves it running; the caller kills or waits.
    pub fn spawn<A: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }
}

impl Outcome {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program starts");
        let args: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 messages"),
            command: args.join(" "),
        }
    }
    /// Fails the test, with everything printed, unless the exit code is this.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "`rebated {}`\n--- stdout\n{}\n--- stderr\n{}", self.command, self.stdout, self.stderr);
        self
    }
    /// Exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect_code(0)
    }
    /// The output as one JSON document; NDJSON becomes an array.
    #[track_caller]
    pub fn json(&self) -> Value {
        if let Ok(value) = serde_json::from_str(&self.stdout) {
            return value;
        }
        let lines: Result<Vec<Value>, _> =
            self.stdout.lines().filter(|l| !l.trim().is_empty()).map(serde_json::from_str).collect();
        match lines {
            Ok(rows) => Value::Array(rows),
            Err(error) => panic!(
                "`rebated {}` printed no JSON ({error})\n--- stdout\n{}\n--- stderr\n{}",
                self.command, self.stdout, self.stderr
            ),
        }
    }
    /// Last word printed, such as a token.
    #[track_caller]
    pub fn last_word(&self) -> String {
        self.stdout.split_whitespace().last().unwrap_or_else(|| panic!("`rebated {}` printed nothing", self.command)).to_owned()
    }
}

fn copy(source: &Path, target: &Path) {
    std::fs::create_dir_all(target).expect("folder");
    for entry in std::fs::read_dir(source).expect("readable folder") {
        let entry = entry.expect("entry");
        let to = target.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}
