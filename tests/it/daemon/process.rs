//! The real `rebated daemon`, killed, stopped and started: what the store, the mailbox and the
//! health page say afterwards.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use chrono::{DateTime, Duration, Timelike, Utc};
use rebated::daemon::board::RunBoard;
use rebated::store::{RunRow, Store};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// A workspace whose nightly job is due in six hours, with a store of its own.
struct Site {
    workspace: Workspace,
    store: Store,
    port: u16,
}

impl Site {
    /// `store_url`: `None` for SQLite inside the workspace.
    async fn new(store_url: Option<&str>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = store_url.unwrap_or("sqlite://rebated.db");
        let mut workspace = Workspace::with_config(&format!(
            "[company]\nname = \"Northwind Pumps Inc.\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n\n\
             [store]\nurl = \"${{STORE_URL}}\"\n\n[web]\nlisten = \"127.0.0.1:{port}\"\n\n\
             [run]\nheartbeat = \"1s\"\nstop_grace = \"1s\"\n"
        ));
        workspace.set_env("STORE_URL", store);
        let due = Utc::now() + Duration::hours(6);
        workspace.write(
            "schedules/nightly.toml",
            format!(
                "cron = \"0 {} {} * * *\"\nnotify = {{ on = [\"failed\", \"late\"], mail = [\"finance@northwind.example\"] }}\n",
                due.minute(),
                due.hour()
            ),
        );
        let url = store_url.map_or_else(|| format!("sqlite://{}", workspace.path().join("rebated.db").display()), str::to_owned);
        let store = Store::open(&url).await.unwrap();
        Self { workspace, store, port }
    }
    /// As if a daemon had planned up to then and was gone since.
    async fn planned_until(&self, at: DateTime<Utc>) {
        self.store.request("nightly", &[], at).await.unwrap();
    }
    fn start(&self, kill_at: Option<&str>) -> Running {
        let log = File::options().create(true).append(true).open(self.workspace.path().join("log")).unwrap();
        let mut command = self.workspace.command(["daemon"]);
        if let Some(point) = kill_at {
            command.env("REBATED_KILL_AT", point);
        }
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
    fn log(&self) -> String {
        std::fs::read_to_string(self.workspace.path().join("log")).unwrap_or_default()
    }
    /// The runs, oldest key first.
    async fn runs(&self) -> Vec<RunRow> {
        let mut runs = self.store.read().await.unwrap().runs(100).await.unwrap();
        runs.sort_by(|a, b| a.run_key.cmp(&b.run_key));
        runs
    }
    async fn until(&self, what: impl Fn(&[RunRow]) -> bool) -> Vec<RunRow> {
        let start = Instant::now();
        loop {
            let runs = self.runs().await;
            if what(&runs) {
                return runs;
            }
            assert!(start.elapsed() < PATIENCE, "it did not happen: {runs:?}\n{}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    async fn stages(&self, run: &RunRow) -> Vec<String> {
        let stages = self.store.read().await.unwrap().run_stages(run.id, run.attempt).await.unwrap();
        stages.into_iter().map(|stage| stage.stage).collect()
    }
    /// Everything in the mail folder.
    fn mails(&self) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.workspace.path().join("outbox")) else { return Vec::new() };
        folder.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok()).collect()
    }
    async fn until_mail(&self, word: &str) {
        let start = Instant::now();
        while !self.mails().iter().any(|mail| mail.contains(word) && mail.contains("finance@northwind.example")) {
            assert!(start.elapsed() < PATIENCE, "no mail about `{word}`: {:?}\n{}", self.mails(), self.log());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// A daemon that does not outlive the test.
struct Running(Child);

impl Running {
    fn terminate(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap().success());
    }
    fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the daemon did not end");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    fn stop(mut self) {
        self.terminate();
        let status = self.ended();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn killed_and_started_again(store_url: Option<&str>) {
    let site = Site::new(store_url).await;
    site.planned_until(Utc::now() - Duration::days(3)).await;
    let mut killed = site.start(Some("before:accrue"));
    assert!(!killed.ended().success());
    let runs = site.runs().await;
    let states: Vec<_> = runs.iter().map(|run| (run.state.as_str(), run.attempt, run.caught_up)).collect();
    assert_eq!(states, [("running", 1, true), ("requested", 0, true), ("requested", 0, true)], "{}", site.log());

    let daemon = site.start(None);
    let runs = site.until(|runs| runs.iter().all(|run| run.state == "finished")).await;
    let keys: Vec<_> = runs.iter().map(|run| (run.run_key.clone(), run.attempt, run.caught_up)).collect();
    let today = Utc::now().date_naive();
    // Due in six hours: the last local day that was due is yesterday's, or today's after 18:00.
    let last_closed = (Utc::now() + Duration::hours(6)).date_naive() - Duration::days(2);
    let day = |back: i64| (last_closed - Duration::days(back)).to_string();
    assert_eq!(keys, [(day(2), 2, true), (day(1), 1, true), (day(0), 1, true)], "today is {today}");
    for pair in runs.windows(2) {
        assert!(pair[0].finished_at <= pair[1].started_at, "oldest first, one at a time: {runs:?}");
    }
    let stages = [site.stages(&runs[0]).await, site.stages(&runs[1]).await, site.stages(&runs[2]).await];
    assert_eq!(stages.iter().filter(|stages| stages.contains(&"pull".to_owned())).count(), 1, "read once: {stages:?}");
    assert!(stages.iter().all(|stages| stages.contains(&"accrue".to_owned())), "{stages:?}");
    site.until_mail("late").await;
    assert!(site.get("/healthz").unwrap().starts_with("HTTP/1.1 200"));
    assert!(site.get("/readyz").unwrap().contains("\"ready\""));
    daemon.stop();
    assert!(site.get("/healthz").is_err());

    let again = site.start(None);
    while !site.get("/healthz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    again.stop();
    assert_eq!(site.runs().await, runs, "a finished key never runs again");
    site.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_26_a_daemon_killed_in_a_catch_up_goes_on_under_the_same_key_on_sqlite() {
    killed_and_started_again(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_26_a_daemon_killed_in_a_catch_up_goes_on_under_the_same_key_on_postgres() {
    if let Some(database) = Database::fresh() {
        killed_and_started_again(Some(&database.url)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_hands_back_a_step_that_hangs_in_a_call() {
    // An ERP that takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut site = Site::new(None).await;
    site.workspace.set_env("TRYTON_URL", format!("http://{}", silent.local_addr().unwrap()));
    for (name, value) in [("TRYTON_DATABASE", "erp"), ("TRYTON_USER", "rebates"), ("TRYTON_PASSWORD", "secret")] {
        site.workspace.set_env(name, value);
    }
    site.workspace.write("connectors/tryton.toml", std::fs::read("connectors/tryton.toml").unwrap());
    site.planned_until(Utc::now() - Duration::days(1)).await;
    let mut daemon = site.start(None);
    let before = site.until(|runs| runs.iter().any(|run| run.state == "running")).await[0].clone();
    let renewed = |runs: &[RunRow]| runs[0].heartbeat_at > before.heartbeat_at;
    site.until(renewed).await;
    daemon.terminate();
    assert!(daemon.ended().success(), "{}", site.log());
    let runs = site.runs().await;
    assert_eq!((runs[0].state.as_str(), runs[0].attempt, runs.len()), ("requested", 1, 1), "{}", site.log());
    assert!(!site.log().contains("secret"));
    site.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_broken_since_the_start_fails_the_run_and_tells_finance() {
    let site = Site::new(None).await;
    let daemon = site.start(None);
    site.until(|_| site.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))).await;
    site.workspace.write("schedules/a.toml", "ratte = \"1%\"\n");
    let day = Utc::now().date_naive();
    let run = rebated::daemon::board::NewRun {
        job: "nightly".into(),
        key: day.to_string().parse().unwrap(),
        business_day: day,
        caught_up: false,
        requested_at: Utc::now(),
    };
    site.store.request("nightly", &[run], Utc::now()).await.unwrap();
    let runs = site.until(|runs| runs.iter().any(|run| run.state == "failed")).await;
    assert!(runs[0].error.as_ref().is_some_and(|error| error.contains("schedules/a.toml")), "{runs:?}");
    site.until_mail("schedules/a.toml").await;

    // Whom to tell is read again for each alert.
    std::fs::remove_file(site.workspace.path().join("schedules/a.toml")).unwrap();
    let schedule = site.workspace.path().join("schedules/nightly.toml");
    let text = std::fs::read_to_string(&schedule).unwrap().replace("finance@northwind.example", "night@northwind.example");
    std::fs::write(&schedule, text).unwrap();
    let mut tx = site.store.begin().await.unwrap();
    let stale = tx.request_run("nightly", "2020-01-02", "2020-01-02".parse().unwrap(), false, Utc::now()).await.unwrap();
    let long_ago = Utc::now() - Duration::days(1);
    tx.claim_run(stale.id, "elsewhere/1.1/1/1", long_ago, long_ago).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let start = Instant::now();
    while !site.mails().iter().any(|mail| mail.contains("2020-01-02") && mail.contains("To: night@northwind.example")) {
        assert!(start.elapsed() < PATIENCE, "not told: {:?}\n{}", site.mails(), site.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    daemon.stop();
    site.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_job_by_hand_leaves_the_night_to_the_schedule() {
    let site = Site::new(None).await;
    let day = Utc::now().date_naive().to_string();
    site.workspace.run(["run", "--business-day", &day, "--steps", "match,accrue"]).ok();
    site.workspace.run(["run", "--business-day", &day, "--dry-run"]).ok();
    let runs = site.runs().await;
    // A dry run leaves no trace at all.
    assert_eq!(runs.len(), 1);
    assert!(runs.iter().all(|run| run.job != "nightly"), "{runs:?}");
    site.store.close().await;
}
