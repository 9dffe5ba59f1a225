//! A real SMTP server with TLS and scripted refusals (`scripts/smtp/server.py`), and an independent
//! parser for the messages it received.
//!
//! Invariant: what a test sees was on the wire; nothing here looks into the sender.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use secrecy::SecretString;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// The Python of the test environment, which `scripts/test --setup` prepares.
pub fn python() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".test-env/python/bin/python");
    assert!(path.exists(), "{} is missing: run scripts/test --setup", path.display());
    path
}

/// How the server protects itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names)]
pub enum Tls {
    Implicit,
    StartTls,
    None,
}

/// A running server; it ends with the value.
pub struct SmtpServer {
    dir: TempDir,
    child: Child,
    port: u16,
    tls: Tls,
    login: Option<String>,
}

impl SmtpServer {
    /// Implicit TLS, no log-in, connections kept for five minutes.
    pub fn start() -> Self {
        Self::start_with(Tls::Implicit, None, 300)
    }

    /// `login` is `user:password`.
    pub fn start_with(tls: Tls, login: Option<&str>, idle_secs: u32) -> Self {
        let dir = tempfile::Builder::new().prefix("rebated-smtp-").tempdir().expect("temporary folder");
        certificates(dir.path());
        let word = match tls {
            Tls::Implicit => "implicit",
            Tls::StartTls => "starttls",
            Tls::None => "none",
        };
        let mut command = Command::new(python());
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/smtp/server.py"))
            .arg("--folder")
            .arg(dir.path().join("out"))
            .arg("--control")
            .arg(dir.path().join("control.json"))
            .args(["--tls", word, "--idle", &idle_secs.to_string()])
            .arg("--cert")
            .arg(dir.path().join("leaf.pem"))
            .arg("--key")
            .arg(dir.path().join("leaf.key"));
        if let Some(login) = login {
            command.args(["--login", login]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the SMTP server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("the SMTP server prints its port");
        let port = line.trim().strip_prefix("listening ").and_then(|p| p.parse().ok()).expect("a port");
        Self { dir, child, port, tls, login: login.map(str::to_owned) }
    }

    /// The URL for `mail.transport`, with the test's own authority.
    pub fn url(&self) -> SecretString {
        self.url_with(self.login.as_deref())
    }
    /// The same with another log-in.
    pub fn url_with(&self, login: Option<&str>) -> SecretString {
        let login = login.map_or(String::new(), |login| format!("{login}@"));
        let query = match self.tls {
            Tls::Implicit | Tls::StartTls => format!("?ca={}", self.ca().display()),
            Tls::None => "?tls=none".to_owned(),
        };
        let scheme = if self.tls == Tls::Implicit { "smtps" } else { "smtp" };
        SecretString::from(format!("{scheme}://{login}localhost:{}{query}", self.port))
    }
    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
    /// What to answer from now on: see `scripts/smtp/server.py`.
    pub fn script(&self, control: &Value) {
        std::fs::write(self.dir.path().join("control.json"), control.to_string()).expect("control file");
    }
    /// What happened, in order: verb, recipient, answer.
    pub fn log(&self) -> Vec<(String, String, String)> {
        let text = std::fs::read_to_string(self.dir.path().join("out/log.ndjson")).unwrap_or_default();
        let field = |v: &Value, name: &str| v[name].as_str().unwrap_or_default().to_owned();
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("log line"))
            .map(|v| (field(&v, "event"), field(&v, "recipient"), field(&v, "answer")))
            .collect()
    }
    /// How often a mail for the address was handed to the server, refused or not.
    pub fn handed(&self, address: &str) -> usize {
        self.log().iter().filter(|(event, recipient, _)| event == "rcpt" && recipient == address).count()
    }
    /// The files of the messages received, in order.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path().join("out"))
            .expect("folder")
            .map(|entry| entry.expect("entry").path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        files.sort();
        files
    }
    /// The messages received, decoded by another implementation.
    pub fn messages(&self) -> Vec<Value> {
        self.files().iter().map(|path| decode(path)).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Decodes a message file with Python's email package: `subject`, `from`, `to`, `message_id`,
/// `envelope_to`, `header_text` (raw), `longest_line` and `longest_word` (header line and encoded
/// word, in bytes), `text`, `html`, `attachments` (`name`, `type`, `size`), `defects`.
pub fn decode(path: &Path) -> Value {
    let script = r#"
import email, email.policy, json, re, sys
raw = open(sys.argv[1], "rb").read()
message = email.message_from_bytes(raw, policy=email.policy.default)
head = raw.split(b"\r\n\r\n", 1)[0]
parts = list(message.walk())
words = re.findall(rb"=\?[^?\s]+\?[BbQq]\?[^?\s]*\?=", raw)
text, html = message.get_body(("plain",)), message.get_body(("html",))
print(json.dumps({
    "subject": str(message["subject"]), "from": str(message["from"]), "to": str(message["to"]),
    "message_id": str(message["message-id"]), "envelope_to": message.get_all("x-envelope-to"),
    "header_text": head.decode("utf-8", "replace"),
    "longest_line": max(len(line) for line in raw.split(b"\r\n")),
    "longest_word": max([len(w) for w in words] or [0]),
    "text": text.get_content() if text else None, "html": html.get_content() if html else None,
    "attachments": [{"name": p.get_filename(), "type": p.get_content_type(), "size": len(p.get_content())}
                    for p in message.iter_attachments()],
    "defects": [str(d) for p in parts for d in p.defects]
               + [str(d) for p in parts for h in p.values() for d in getattr(h, "defects", [])],
}))
"#;
    let output = Command::new(python()).args(["-c", script]).arg(path).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The content of a message's attachment, taken out by Python's email package.
pub fn attachment(path: &Path, name: &str) -> Vec<u8> {
    let script = r#"
import email, email.policy, sys
message = email.message_from_bytes(open(sys.argv[1], "rb").read(), policy=email.policy.default)
found = [part for part in message.iter_attachments() if part.get_filename() == sys.argv[2]]
assert len(found) == 1, [part.get_filename() for part in message.iter_attachments()]
sys.stdout.buffer.write(found[0].get_content())
"#;
    let output = Command::new(python()).args(["-c", script]).arg(path).arg(name).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An authority and a leaf for `localhost`; a certificate that is both is refused by good clients.
fn certificates(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("certificate file");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("key");
    write("ca.pem", params.self_signed(&key).expect("authority").pem());
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().expect("key");
    write("leaf.pem", leaf.signed_by(&key, &issuer).expect("leaf").pem());
    write("leaf.key", key.serialize_pem());
}
