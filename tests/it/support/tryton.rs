//! A real ERP server for one test: its own copy of the seeded company, its own port.
//!
//! Built once by `scripts/tryton/setup.py`. [`Rpc`] is a client of its own, so that what the product
//! did is not checked by the product's code.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SETUP: &str = "scripts/test --setup";

/// A running server; killed and removed with the value.
pub struct TrytonServer {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// Name of the database.
    pub database: String,
    /// Log-ins, ids and documents of the seed.
    pub seed: Value,
    child: Child,
    dir: TempDir,
}

impl TrytonServer {
    /// Starts a server; `None`, with a loud line, only where `REBATED_TESTS_WITHOUT_TRYTON` is set.
    pub fn start() -> Option<Self> {
        if std::env::var_os("REBATED_TESTS_WITHOUT_TRYTON").is_some() {
            eprintln!("SKIPPED a test against the real ERP: REBATED_TESTS_WITHOUT_TRYTON is set");
            return None;
        }
        let env = Path::new(env!("CARGO_MANIFEST_DIR")).join(".test-env");
        let (seed_dir, program) = (env.join("tryton"), env.join("python/bin/trytond"));
        for path in [&seed_dir.join("erp.sqlite"), &seed_dir.join("seed.json"), &program] {
            assert!(path.exists(), "{} is missing: run {SETUP}", path.display());
        }
        let seed: Value = serde_json::from_slice(&std::fs::read(seed_dir.join("seed.json")).unwrap()).unwrap();
        let database = seed["database"].as_str().unwrap().to_owned();
        let dir = tempfile::Builder::new().prefix("rebated-erp-").tempdir().unwrap();
        std::fs::copy(seed_dir.join("erp.sqlite"), dir.path().join(format!("{database}.sqlite"))).unwrap();
        // Another process may take the free port first.
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = launch(&program, dir.path(), &database, port);
            let url = format!("http://127.0.0.1:{port}");
            if wait_until_ready(&mut child, port) {
                return Some(Self { url, database, seed, child, dir });
            }
        }
        let log = std::fs::read_to_string(dir.path().join("server.log")).unwrap_or_default();
        panic!("the ERP server did not start:\n{log}");
    }

    /// Log-in and password of a seeded user.
    pub fn user(&self, login: &str) -> (String, String) {
        let user = if login == "admin" { &self.seed["admin"] } else { &self.seed["users"][login] };
        (user["login"].as_str().unwrap().to_owned(), user["password"].as_str().unwrap().to_owned())
    }

    /// The database file, for states that no call can bring about.
    pub fn database_file(&self) -> PathBuf {
        self.dir.path().join(format!("{}.sqlite", self.database))
    }

    /// Runs statements behind the server's back.
    pub async fn sql(&self, statements: &str) {
        use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(self.database_file()).busy_timeout(Duration::from_secs(10));
        let mut connection = options.connect().await.unwrap();
        connection.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Stops the server in its tracks (`STOP`) or lets it go on (`CONT`).
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// A client logged in as a seeded user.
    pub async fn rpc(&self, login: &str) -> Rpc {
        let (user, password) = self.user(login);
        let mut rpc = Rpc::new(format!("{}/{}/", self.url, self.database));
        let session = rpc.call("common.db.login", json!([user, {"password": password}, "en"])).await.unwrap();
        let key = format!("{user}:{}:{}", session[0], session[1].as_str().unwrap());
        rpc.authorization = Some(format!("Session {}", BASE64_STANDARD.encode(key)));
        rpc
    }
}

impl Drop for TrytonServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(program: &Path, dir: &Path, database: &str, port: u16) -> Child {
    let conf = dir.join("trytond.conf");
    let text = format!(
        "[database]\nuri = sqlite://\npath = {}\nlist = False\n\n[web]\nlisten = 127.0.0.1:{port}\n\n[session]\ntimeout = 3600\n",
        dir.display()
    );
    std::fs::write(&conf, text).unwrap();
    let log = std::fs::File::create(dir.join("server.log")).unwrap();
    Command::new(program)
        .arg("-c")
        .arg(conf)
        .args(["-d", database])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; run {SETUP}", program.display()))
}

/// Whether the server answers before it ends or a minute is over.
fn wait_until_ready(child: &mut Child, port: u16) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(90) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if answers(port) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

fn answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let body = r#"{"id":1,"method":"common.server.version","params":[]}"#;
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let head = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = String::new();
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.contains("\"result\"")
}

/// A plain client of the server.
pub struct Rpc {
    url: String,
    client: reqwest::Client,
    authorization: Option<String>,
}

impl Rpc {
    fn new(url: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, client: reqwest::Client::new(), authorization: None }
    }

    /// One call; `Err` is the body's `error`.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        let mut request = self.client.post(&self.url).json(&json!({"id": 1, "method": method, "params": params}));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap_or_else(|e| panic!("{method}: HTTP {status}: {e}"));
        match body.get("error") {
            Some(error) if !error.is_null() => Err(error.clone()),
            _ => Ok(body["result"].clone()),
        }
    }

    /// Outgoing documents that carry the reference.
    pub async fn memos(&self, reference: &str) -> Vec<Value> {
        let domain = json!([["reference", "=", reference], ["type", "=", "out"]]);
        let fields = json!([
            "number",
            "state",
            "total_amount",
            "currency.code",
            "party.code",
            "invoice_date",
            "lines.account.code",
            "lines.amount",
            "lines.description",
            "move"
        ]);
        let context = json!({"company": 1, "language": "en"});
        let found = self
            .call("model.account.invoice.search_read", json!([domain, 0, null, [["id", "ASC"]], fields, context]))
            .await
            .unwrap();
        found.as_array().unwrap().clone()
    }
}
