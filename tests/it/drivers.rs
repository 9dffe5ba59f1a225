//! Drivers against real folders, and against a server that misbehaves in ways a real one cannot be
//! made to. The real ERP is in `tryton.rs`.

use crate::support::proxy::canned;
use chrono::{NaiveDate, Utc};
use futures::future::BoxFuture;
use rebated::config::connector_file;
use rebated::config::variables::Variables;
use rebated::core::memo::{MemoLine, MemoRequest};
use rebated::core::money::Currency;
use rebated::core::number::Micros;
use rebated::core::period::Period;
use rebated::drivers::{ConnectorConfig, Driver, DriverError, PageSink, PushError, RawPage, SinkError, Taken};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Keeps pages; fails at one of them when told so.
#[derive(Default)]
pub struct Pages {
    pub pages: Vec<RawPage>,
    pub fail_at: Option<usize>,
}

impl PageSink for Pages {
    fn page<'a>(&'a mut self, page: RawPage) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async move {
            if self.fail_at == Some(self.pages.len() + 1) {
                return Err("disk full".into());
            }
            self.pages.push(page);
            Ok(())
        })
    }
}

impl Pages {
    /// All records of all pages.
    pub fn records(&self) -> Vec<Value> {
        let parse = |page: &RawPage| serde_json::from_slice::<Value>(&page.bytes).unwrap()["result"].as_array().unwrap().clone();
        self.pages.iter().flat_map(parse).collect()
    }
    /// One field of all records, sorted.
    pub fn field(&self, name: &str) -> Vec<String> {
        let mut all: Vec<String> = self.records().iter().map(|r| r[name].as_str().unwrap_or_default().to_owned()).collect();
        all.sort();
        all
    }
}

/// A shipped connector file with variables put in; `edit` changes its tree.
pub fn shipped(name: &str, variables: &[(&str, &str)], edit: impl FnOnce(&mut Value)) -> ConnectorConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("connectors/{name}.toml"));
    let mut text = fs::read_to_string(path).unwrap();
    for (key, value) in variables {
        text = text.replace(&format!("${{{key}}}"), value);
    }
    let mut tree: Value = toml::from_str(&text).unwrap();
    edit(&mut tree);
    ConnectorConfig::from_tree(name, tree.as_object().unwrap().clone()).unwrap()
}

/// A memo of one line.
pub fn memo(reference: &str, payee: &str, currency: &str, amount: &str) -> MemoRequest {
    let amount = Micros::parse(amount).unwrap();
    let day = |text: &str| text.parse::<NaiveDate>().unwrap();
    MemoRequest {
        reference: reference.into(),
        agreement: "ACME-2026".into(),
        agreement_version: 1,
        payee: payee.into(),
        period: Period::new(day("2026-01-01"), day("2026-03-31")).unwrap(),
        date: day("2026-03-31"),
        currency: Currency::parse(currency).unwrap(),
        amount,
        description: "Rebate ACME-2026, 2026-Q1".into(),
        lines: vec![MemoLine { description: "Volume rebate 2026-Q1".into(), amount, gl_expense: None }],
        gl_expense: None,
        gl_liability: Some("2450".into()),
    }
}

fn config(tree: Value) -> ConnectorConfig {
    ConnectorConfig::from_tree("test", tree.as_object().unwrap().clone()).unwrap()
}

fn folder_driver(dir: &Path, feed: Value) -> Driver {
    let mut table = json!({"folder": "in", "settle": "0s"});
    table.as_object_mut().unwrap().extend(feed.as_object().unwrap().clone());
    fs::create_dir_all(dir.join("in")).unwrap();
    Driver::open(&config(json!({"driver": "files", "feeds": {"lines": table}, "push": {"credit-memo": {"folder": "out"}}})), dir)
        .unwrap()
}

async fn take(driver: &Driver) -> Pages {
    let mut pages = Pages::default();
    driver.pull("lines", None, Utc::now(), &mut pages).await.unwrap();
    pages
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).map(|d| d.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()).unwrap_or_default();
    names.sort();
    names
}

#[tokio::test]
async fn files_come_in_the_order_of_their_names_byte_for_byte_and_move_to_done_after_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({"pattern": "*.csv, *.json"}));
    let inbox = dir.path().join("in");
    fs::write(inbox.join("b.csv"), b"\xef\xbb\xbfx;y\r\n1;\xe4\n").unwrap();
    fs::write(inbox.join("a.json"), b"[]").unwrap();
    fs::write(inbox.join("note.txt"), b"no").unwrap();
    let pages = take(&driver).await;
    assert_eq!(pages.pages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["a.json", "b.csv"]);
    assert_eq!(pages.pages[1].bytes, b"\xef\xbb\xbfx;y\r\n1;\xe4\n");
    assert_eq!(pages.pages[1].media_type, "text/csv");
    assert_eq!(names(&inbox), ["a.json", "b.csv", "note.txt"], "nothing moves before the commit");

    for _ in 0..2 {
        let key = pages.pages[1].acknowledge_key.as_deref().unwrap();
        driver.after_stored("lines", key, Taken::Done).await.unwrap();
        let key = pages.pages[0].acknowledge_key.as_deref().unwrap();
        driver.after_stored("lines", key, Taken::Failed).await.unwrap();
        assert_eq!(names(&inbox), ["done", "failed", "note.txt"]);
        assert_eq!(names(&inbox.join("done")), ["b.csv"]);
        assert_eq!(names(&inbox.join("failed")), ["a.json"]);
    }
    assert_eq!(take(&driver).await.pages.len(), 0);
}

#[tokio::test]
async fn a_file_replaced_before_it_was_moved_is_another_file_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    let file = dir.path().join("in/a.csv");
    fs::write(&file, "one").unwrap();
    let first = take(&driver).await.pages.remove(0);
    fs::write(&file, "two").unwrap();
    driver.after_stored("lines", first.acknowledge_key.as_deref().unwrap(), Taken::Done).await.unwrap();
    let second = take(&driver).await.pages.remove(0);
    assert_eq!(second.bytes, b"two");
    assert_ne!(first.acknowledge_key, second.acknowledge_key);
}

#[tokio::test]
async fn a_name_used_again_does_not_overwrite_what_was_taken_before() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    for content in ["january", "february", "february"] {
        fs::write(dir.path().join("in/sales.csv"), content).unwrap();
        let page = take(&driver).await.pages.remove(0);
        driver.after_stored("lines", page.acknowledge_key.as_deref().unwrap(), Taken::Done).await.unwrap();
    }
    let done = dir.path().join("in/done");
    let mut contents: Vec<String> = names(&done).iter().map(|name| fs::read_to_string(done.join(name)).unwrap()).collect();
    contents.sort();
    assert_eq!(contents, ["february", "january"]);
    assert_eq!(names(&dir.path().join("in")), ["done"]);
}

#[tokio::test]
async fn a_file_still_being_written_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({"settle": "400ms"}));
    let file = dir.path().join("in/a.csv");
    for unfinished in ["b.csv.tmp", "c.csv.PART", ".hidden.csv"] {
        fs::write(dir.path().join("in").join(unfinished), "x").unwrap();
    }
    fs::write(&file, "half").unwrap();
    let writer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        fs::write(&file, "half and the other half").unwrap();
    });
    assert_eq!(take(&driver).await.pages, Vec::new());
    writer.await.unwrap();
    let pages = take(&driver).await.pages;
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].bytes, b"half and the other half");
}

#[tokio::test]
async fn a_file_too_large_is_told_and_does_not_keep_the_others_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("in")).unwrap();
    let tree = json!({"driver": "files", "limits": {"max_bytes": 10}, "feeds": {"lines": {"folder": "in", "settle": "0s"}}});
    let driver = Driver::open(&config(tree), dir.path()).unwrap();
    fs::write(dir.path().join("in/a.csv"), "far too large").unwrap();
    fs::write(dir.path().join("in/b.csv"), "small").unwrap();
    let mut pages = Pages::default();
    let error = driver.pull("lines", None, Utc::now(), &mut pages).await.unwrap_err();
    assert!(error.to_string().contains("a.csv is larger than 10 bytes"), "{error}");
    assert_eq!(pages.pages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["b.csv"]);
}

#[tokio::test]
async fn nothing_outside_the_folder_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    fs::write(dir.path().join("secret.csv"), "secret").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret.csv"), dir.path().join("in/link.csv")).unwrap();
    fs::create_dir(dir.path().join("in/folder.csv")).unwrap();
    assert_eq!(take(&driver).await.pages, Vec::new(), "links and folders are not followed");
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    for key in [format!("{hash}:../secret.csv"), format!("{hash}:a/../../secret.csv"), "nonsense".into()] {
        driver.after_stored("lines", &key, Taken::Done).await.unwrap_err();
    }
    assert!(dir.path().join("secret.csv").exists());
    for (key, value) in [("done", "../done"), ("failed", "/tmp")] {
        let tree = json!({"driver": "files", "feeds": {"lines": {"folder": "in", key: value}}});
        let problem = Driver::open(&config(tree), dir.path()).err().unwrap();
        assert!(problem.message.contains("inside the feed's folder"), "{problem}");
    }
}

#[tokio::test]
async fn a_memo_written_to_a_folder_is_found_by_its_reference_also_after_somebody_took_it() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    let out = dir.path().join("out");
    let memo = memo("RBT-ABCDEFGH2345", "=cmd|calc", "JPY", "1230");
    assert_eq!(driver.lookup("credit-memo", &memo.reference).await.unwrap(), Vec::new());
    let outcome = driver.run_step("credit-memo", 0, &memo, None).await.unwrap();
    assert_eq!(outcome.remote_id.as_deref(), Some("RBT-ABCDEFGH2345"));
    assert_eq!(names(&out), ["RBT-ABCDEFGH2345.csv", "RBT-ABCDEFGH2345.json", "sent"]);
    let csv = fs::read_to_string(out.join("RBT-ABCDEFGH2345.csv")).unwrap();
    assert!(csv.contains(",'=cmd|calc,") && csv.contains(",JPY,1230,"), "{csv}");
    let json = fs::read(out.join("RBT-ABCDEFGH2345.json")).unwrap();

    let check = || async {
        let found = driver.lookup("credit-memo", "RBT-ABCDEFGH2345").await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].done && found[0].next_step.is_none());
        assert_eq!((found[0].amount, found[0].currency.as_str(), found[0].partner.as_str()), (memo.amount, "JPY", "=cmd|calc"));
    };
    check().await;
    driver.run_step("credit-memo", 0, &memo, None).await.unwrap();
    assert_eq!(fs::read(out.join("RBT-ABCDEFGH2345.json")).unwrap(), json, "the same reference, the same bytes");

    fs::remove_file(out.join("RBT-ABCDEFGH2345.json")).unwrap();
    fs::remove_file(out.join("RBT-ABCDEFGH2345.csv")).unwrap();
    check().await;
    driver.run_step("credit-memo", 0, &memo, None).await.unwrap();
    assert_eq!(names(&out), ["sent"], "what was taken away is not written again");

    let mut other = memo.clone();
    other.amount = Micros::parse("1231").unwrap();
    assert!(
        matches!(driver.run_step("credit-memo", 0, &other, None).await, Err(PushError::Refused(p)) if p.code == "memo-differs")
    );
}

#[tokio::test]
async fn a_memo_whose_writing_was_broken_off_is_finished_by_the_same_step() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    let memo = memo("RBT-1", "C-1", "USD", "10.00");
    driver.run_step("credit-memo", 0, &memo, None).await.unwrap();
    let out = dir.path().join("out");
    // The state after a kill between the two files.
    fs::rename(out.join("sent/RBT-1.json"), out.join("sent/RBT-1.json.prepared")).unwrap();
    fs::remove_file(out.join("RBT-1.json")).unwrap();
    fs::write(out.join("RBT-1.json.part"), "{").unwrap();
    let found = driver.lookup("credit-memo", "RBT-1").await.unwrap();
    assert!(!found[0].done);
    assert_eq!(found[0].next_step, Some(0));
    driver.run_step("credit-memo", 0, &memo, Some(&found[0].id)).await.unwrap();
    assert_eq!(names(&out), ["RBT-1.csv", "RBT-1.json", "sent"]);
    assert!(driver.lookup("credit-memo", "RBT-1").await.unwrap()[0].done);
}

#[tokio::test]
async fn a_reference_that_is_no_file_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let driver = folder_driver(dir.path(), json!({}));
    for reference in ["../RBT-1", "", "a/b", "a b"] {
        assert!(
            matches!(
                driver.run_step("credit-memo", 0, &memo(reference, "C", "USD", "1"), None).await,
                Err(PushError::Refused(_))
            ),
            "{reference}"
        );
    }
    assert!(!dir.path().join("RBT-1.json").exists());
}

/// A minimal JSON-RPC 2.0 connector: none of the shipped one's particulars.
fn rpc_driver(url: &str, limits: Value) -> Driver {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut limit =
        json!({"retry_after_max": "20ms", "attempts": 3, "timeout": "2s", "push_timeout": "2s", "requests_per_minute": 60000});
    limit.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let tree = json!({
        "driver": "json-rpc", "base_url": url, "limits": limit,
        "auth": {"type": "bearer", "token": "canary-3141"},
        "errors": {"busy": ["locked"]},
        "feeds": {"docs": {"method": "list", "params": {"since": "{changed}", "after": "{after}", "limit": "{limit}"},
                  "changed": "{since}", "after": "{last}", "page_size": 2, "cursor": {"field": "at", "precision": "second", "lag": "0s"}}},
        "push": {"credit-memo": {
            "lookup": {"method": "find", "params": ["{reference}"]},
            "read": {"document": "no", "state": "state", "done": ["booked"], "amount": "amount", "currency": "cur", "partner": "who", "reference": "ref"},
            "steps": [{"name": "create", "method": "create", "params": {"ref": "{reference}", "amount": "{amount}"}, "gives": "id"}]}},
    });
    Driver::open(&config(tree), Path::new(".")).unwrap()
}

fn result(value: Value) -> (u16, Vec<(&'static str, String)>, String) {
    (200, Vec::new(), json!({"jsonrpc": "2.0", "id": 1, "result": value}).to_string())
}

fn doc(id: u32, at: &str) -> Value {
    json!({"id": id, "at": at})
}

#[tokio::test]
async fn a_source_that_knows_whole_seconds_has_its_cursor_cut_down_before_the_overlap() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let asked = seen.clone();
    let url = canned(move |_, params| {
        asked.lock().unwrap().push(params.clone());
        if params.get("after").is_some() {
            result(json!([]))
        } else {
            result(json!([doc(1, "2026-06-12T10:00:00.900Z"), doc(2, "2026-06-12T10:00:00.100Z")]))
        }
    });
    let driver = rpc_driver(&url, json!({}));
    let end = driver.pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap();
    assert_eq!(end.cursor.as_deref(), Some(r#"{"changed_at":"2026-06-12T10:00:00Z"}"#));
    assert_eq!((end.pages, end.records), (1, 2));
    driver.pull("docs", end.cursor.as_deref(), Utc::now(), &mut Pages::default()).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].get("since"), None);
    assert_eq!(seen[2]["since"], "2026-06-12T09:45:00.000000Z");
}

#[tokio::test]
async fn a_page_that_does_not_advance_ends_the_pull_instead_of_turning_for_ever() {
    for answer in [
        json!([doc(1, "2026-06-12T10:00:00Z"), doc(2, "2026-06-12T10:00:00Z")]),
        json!([doc(2, "2026-06-12T10:00:00Z"), doc(1, "2026-06-12T10:00:00Z")]),
    ] {
        let url = canned(move |_, _| result(answer.clone()));
        let error = rpc_driver(&url, json!({})).pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
        assert!(error.to_string().contains("does not advance"), "{error}");
    }
}

#[tokio::test]
async fn endless_pages_and_endless_answers_hit_a_limit() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let url = canned(move |_, _| {
        result(json!([doc(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, "2026-06-12T10:00:00Z")]))
    });
    let error =
        rpc_driver(&url, json!({"max_pages": 7})).pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
    assert!(error.to_string().contains("more than 7 pages"), "{error}");

    let url = canned(|_, _| (200, Vec::new(), format!("{{\"result\":[{}]}}", " ".repeat(100_000))));
    let error =
        rpc_driver(&url, json!({"max_bytes": 50_000})).pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
    assert!(error.to_string().contains("larger than 50000 bytes"), "{error}");

    let url = canned(|_, _| (200, Vec::new(), format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))));
    rpc_driver(&url, json!({"attempts": 1})).pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
}

#[tokio::test]
async fn a_busy_server_is_asked_again_a_bounded_number_of_times() {
    for (status, retry_after) in
        [(503, None), (429, Some("1")), (429, Some("315360000")), (503, Some("Fri, 31 Dec 2099 23:59:59 GMT"))]
    {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = asked.clone();
        let url = canned(move |_, _| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (status, retry_after.map(|v| ("Retry-After", v.to_owned())).into_iter().collect(), String::new())
        });
        let started = Instant::now();
        let error = rpc_driver(&url, json!({})).pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 3);
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_credential_goes_nowhere_else() {
    let stolen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = stolen.clone();
    let elsewhere = canned(move |_, _| {
        flag.store(true, std::sync::atomic::Ordering::Relaxed);
        result(json!([]))
    });
    let url = canned(move |_, _| (307, vec![("Location", elsewhere.clone())], String::new()));
    let driver = rpc_driver(&url, json!({}));
    let error = driver.pull("docs", None, Utc::now(), &mut Pages::default()).await.unwrap_err();
    assert!(matches!(&error, DriverError::Refused { .. }), "{error}");
    assert!(!stolen.load(std::sync::atomic::Ordering::Relaxed));
}

#[tokio::test]
async fn what_a_push_step_says_follows_from_what_is_known() {
    #[derive(Debug, PartialEq)]
    enum Said {
        Refused,
        Busy,
        Unknown,
    }
    let cases: [(u16, String, Said); 11] = [
        (200, json!({"error": {"code": 1, "message": "period closed, canary-3141"}}).to_string(), Said::Refused),
        (200, json!({"error": {"code": 1, "message": "row locked"}}).to_string(), Said::Busy),
        (200, "{\"jsonrpc\":\"2.0\",\"res".into(), Said::Unknown),
        (200, json!({"result": {"no_id": 1}}).to_string(), Said::Unknown),
        (429, String::new(), Said::Busy),
        (502, "<html>".into(), Said::Unknown),
        (504, json!({"error": "upstream timeout"}).to_string(), Said::Unknown),
        (500, json!({"error": {"code": 1, "message": "period closed"}}).to_string(), Said::Refused),
        (503, String::new(), Said::Unknown),
        (504, String::new(), Said::Unknown),
        (403, "<html>".into(), Said::Refused),
    ];
    for (status, body, expected) in cases {
        let text = body.clone();
        let url = canned(move |_, _| (status, Vec::new(), text.clone()));
        let error =
            rpc_driver(&url, json!({})).run_step("credit-memo", 0, &memo("RBT-1", "C", "USD", "5.00"), None).await.unwrap_err();
        let said = match &error {
            PushError::Refused(_) => Said::Refused,
            PushError::Busy(_) => Said::Busy,
            PushError::Unknown(_) => Said::Unknown,
        };
        assert_eq!(said, expected, "{status} {body}: {error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "a secret in {error}");
    }
    // Nobody listens: nothing was sent.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = rpc_driver(&format!("http://{closed}"), json!({}))
        .run_step("credit-memo", 0, &memo("RBT-1", "C", "USD", "5.00"), None)
        .await;
    assert!(matches!(error, Err(PushError::Busy(_))), "{error:?}");
}

#[test]
fn an_address_with_a_password_in_it_is_refused() {
    let tree = json!({"driver": "json-rpc", "base_url": "https://u:hunter2@erp.example/"});
    let problem = Driver::open(&config(tree), Path::new(".")).err().unwrap();
    assert!(!problem.to_string().contains("hunter2"));
}

#[test]
fn shipped_connectors_open_and_a_misspelt_key_is_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let variables =
        [("TRYTON_URL", "http://localhost:1"), ("TRYTON_DATABASE", "erp"), ("TRYTON_USER", "u"), ("TRYTON_PASSWORD", "p")];
    let driver = Driver::open(&shipped("tryton", &variables, |_| {}), Path::new(".")).unwrap();
    assert_eq!(driver.feeds(), ["invoices", "memos", "parties", "products", "rates", "rates-back"]);
    assert_eq!(driver.steps("credit-memo").unwrap(), ["create", "post"]);
    Driver::open(&shipped("files", &[], |_| {}), Path::new(".")).unwrap();
    // The workspace's own reader knows every key of both.
    let given = Variables::given(variables.map(|(k, v)| (k.to_owned(), v.to_owned())), Path::new("."));
    for name in ["tryton", "files"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("connectors/{name}.toml"))).unwrap();
        let config =
            connector_file::parse(name, &format!("connectors/{name}.toml"), &text, &given).unwrap_or_else(|p| panic!("{p}"));
        Driver::open(&config, Path::new(".")).unwrap();
    }
    let wrong = shipped("tryton", &variables, |tree| {
        tree["feeds"]["invoices"]["feilds"] = Value::Object(Map::new());
    });
    let problem = Driver::open(&wrong, Path::new(".")).err().unwrap();
    assert!(problem.to_string().contains("feilds") && problem.to_string().contains("feeds.invoices"), "{problem}");
}

#[test]
fn the_tests_inside_the_shipped_mappings_pass() {
    use rebated::mapping::{Mapping, testcase};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let mut count = 0;
    for name in names(&folder).iter().filter(|name| name.ends_with(".toml")) {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let mapping =
            Mapping::compile(&format!("mappings/{name}"), &text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
        let results = testcase::run(&mapping);
        assert!(!results.is_empty(), "{name} has no test");
        for result in results {
            assert!(result.passed(), "{}: {}: {:#?}", result.place, result.name, result.failures);
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}
