//! The nightly job against the floor of the store: `scripts/bench`.
//!
//! For each size and store, in one run: load the lines bare (multi-row insert, COPY), then let the built program
//! import, match and accrue the same file, and compare. Absolute times are printed and never judged, because a
//! machine is rarely alone; the ratio of the largest load is judged, and so is the peak memory of ten times the lines.

mod floor;
mod measure;
mod oracle;
mod workload;

// The floor gets the product's allocator, and SQLite built as the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use measure::{Cost, Server, hundredths, ratio_e2};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use workload::Workload;

/// Most that import, match and accrue may cost, in hundredths of the bare load.
const MOST_E2: u64 = 300;
/// Most that the peak memory may grow over the sizes, in hundredths of the smallest size's.
const MOST_MEMORY_E2: u64 = 150;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        // The floor in a process of its own, so that it is measured like the product.
        ["floor", "sqlite", lines, database] => runtime().block_on(floor::sqlite(Path::new(lines), Path::new(database))),
        ["floor", "postgres", lines, url] => runtime().block_on(floor::postgres(Path::new(lines), url)),
        ["workload", folder, lines] => {
            let made = workload::write(Path::new(folder), number(lines)).expect("the workload");
            println!("{} lines in {} documents below {folder}", made.lines, made.documents);
        }
        _ => compare(&words),
    }
}

fn number(text: &str) -> u64 {
    text.replace('_', "").parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Value of `--name VALUE`, else the default.
fn option<'a>(words: &[&'a str], name: &str, default: &'a str) -> &'a str {
    words.iter().position(|w| *w == name).and_then(|at| words.get(at + 1)).copied().unwrap_or(default)
}

fn compare(words: &[&str]) {
    let sizes: Vec<u64> = option(words, "--lines", "100_000,1_000_000").split(',').map(number).collect();
    let stores: Vec<&str> = option(words, "--stores", "sqlite,postgres").split(',').collect();
    let rounds = number(option(words, "--rounds", "1"));
    let floor_only = words.contains(&"--floor-only");
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-nightly");
    let mut failures = Vec::new();
    println!("| store | lines | what | rows/s | wall s | CPU s | peak MiB | wall x floor | CPU x floor |");
    println!("|---|---|---|---|---|---|---|---|---|");
    for store in stores {
        let mut peaks = Vec::new();
        for &size in &sizes {
            std::fs::remove_dir_all(&base).ok();
            let load = workload::write(&base.join("workspace"), size).expect("the workload");
            let mut best: Option<(u64, u64)> = None;
            for round in 0..rounds {
                let bench = Bench::new(store, &base, &load, round);
                let floor = bench.floor();
                row(store, size, "bare load", floor, None);
                if floor_only {
                    continue;
                }
                let set_up = bench.set_up();
                row(store, size, "master data and agreements", set_up, None);
                let import = bench.product(&["import", "lines", &text(&load.table("lines"))]);
                row(store, size, "import lines", import, Some(floor));
                let accrue = bench.product(&["run", "nightly", "--business-day", "2025-12-31", "--steps", "match,accrue"]);
                row(store, size, "match, accrue", accrue, Some(floor));
                let all = import.then(accrue);
                row(store, size, "all", all, Some(floor));
                let ratios = (ratio_e2(all.wall_ms, floor.wall_ms), ratio_e2(all.cpu_ms, floor.cpu_ms));
                best = Some(best.map_or(ratios, |b| (b.0.min(ratios.0), b.1.min(ratios.1))));
                peaks.push((size, all.peak_kib));
                bench.check_figures();
            }
            // The aim is set for the largest load: on a small one, reading a thousand agreements and the
            // master data weighs as much as the lines.
            if let Some((wall, cpu)) = best
                && Some(&size) == sizes.iter().max()
                && wall.min(cpu) > MOST_E2
            {
                failures.push(format!(
                    "{store}, {size} lines: {} times the bare load (CPU {})",
                    hundredths(wall),
                    hundredths(cpu)
                ));
            }
        }
        let peak = |size: Option<&u64>| peaks.iter().filter(|p| Some(&p.0) == size).map(|p| p.1).min();
        if let (Some(small), Some(large)) = (peak(sizes.iter().min()), peak(sizes.iter().max()))
            && ratio_e2(large, small) > MOST_MEMORY_E2
        {
            failures.push(format!("{store}: peak memory grew from {} to {} MiB", small / 1024, large / 1024));
        }
    }
    std::fs::remove_dir_all(&base).ok();
    if !failures.is_empty() {
        eprintln!("FAILED\n  {}", failures.join("\n  "));
        std::process::exit(1);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a UTF-8 path").to_owned()
}

fn row(store: &str, lines: u64, what: &str, cost: Cost, floor: Option<Cost>) {
    let times = |own: u64, bare: fn(&Cost) -> u64| floor.as_ref().map_or(String::new(), |f| hundredths(ratio_e2(own, bare(f))));
    println!(
        "| {store} | {lines} | {what} | {} | {} | {} | {} | {} | {} |",
        cost.rows_per_second(lines),
        hundredths(cost.wall_ms / 10),
        hundredths(cost.cpu_ms / 10),
        cost.peak_kib / 1024,
        times(cost.wall_ms, |f| f.wall_ms),
        times(cost.cpu_ms, |f| f.cpu_ms),
    );
}

/// One store with one workload.
struct Bench<'a> {
    load: &'a Workload,
    /// SQLite file or PostgreSQL URL of the floor.
    floor_target: String,
    server: Option<Server>,
}

impl<'a> Bench<'a> {
    /// New, empty databases for floor and product.
    fn new(store: &str, base: &Path, load: &'a Workload, round: u64) -> Self {
        let (product_url, floor_target, server) = match store {
            "sqlite" => (format!("sqlite://bench-{round}.db"), text(&base.join(format!("floor-{round}.db"))), None),
            "postgres" => {
                let url = std::env::var("REBATED_BENCH_POSTGRES_URL").expect("REBATED_BENCH_POSTGRES_URL; scripts/bench sets it");
                let (server, prefix) = runtime().block_on(databases(&url));
                (format!("{prefix}/bench_product"), format!("{prefix}/bench_floor"), Some(server))
            }
            other => panic!("{other}: the stores are sqlite and postgres"),
        };
        let config = format!(
            "[company]\nname = \"Workload Ltd.\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n\n[store]\nurl = \"{product_url}\"\n\n\
             [approval]\nagreement_files = \"trusted\"\nfile_author = \"erp-admin\"\n"
        );
        std::fs::write(load.folder.join("rebated.toml"), config).expect("the workspace");
        Self { load, floor_target, server }
    }
    fn floor(&self) -> Cost {
        let store = if self.server.is_some() { "postgres" } else { "sqlite" };
        let own = std::env::current_exe().expect("this program");
        self.settled(Command::new(own).args(["floor", store, &text(&self.load.table("lines")), &self.floor_target]))
    }
    /// Everything that is there before the first line comes.
    fn set_up(&self) -> Cost {
        let mut cost = Cost::default();
        for kind in ["partners", "items", "units", "rates"] {
            cost = cost.then(self.product(&["import", kind, &text(&self.load.table(kind))]));
        }
        // A run without lines loads the agreement files.
        cost.then(self.product(&["run", "nightly", "--business-day", "2025-12-30", "--steps", "match,accrue"]))
    }
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rebated"));
        command.arg("--workspace").arg(&self.load.folder).args(arguments).stdout(std::process::Stdio::null());
        command
    }
    fn product(&self, arguments: &[&str]) -> Cost {
        self.settled(&mut self.command(arguments))
    }
    /// Measured after the disk has swallowed what the step before wrote. Code 1: something waits for a person.
    fn settled(&self, command: &mut Command) -> Cost {
        Command::new("sync").status().ok();
        std::thread::sleep(Duration::from_millis(200));
        measure::run(command, self.server.as_ref(), &[0, 1])
    }
    /// Every figure must be the oracle's: a fast wrong answer is none.
    fn check_figures(&self) {
        let output = self.command(&["accruals", "--json"]).stdout(std::process::Stdio::piped()).output().expect("the program");
        let rows: Vec<Value> = match serde_json::from_slice(&output.stdout) {
            Ok(Value::Array(rows)) => rows,
            _ => serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>().expect("JSON"),
        };
        let wrong = oracle::differences(&oracle::earned(self.load), &rows);
        assert!(wrong.is_empty(), "{} figures differ from the oracle:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    }
}

/// Makes the two databases anew; the server and the URL without a database.
async fn databases(url: &str) -> (Server, String) {
    let mut connection = PgConnection::connect(url).await.expect("the server");
    for name in ["bench_product", "bench_floor"] {
        for sql in [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")] {
            sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("a database");
        }
    }
    let folder: String = sqlx::query_scalar("SELECT setting FROM pg_settings WHERE name = 'data_directory'")
        .fetch_one(&mut connection)
        .await
        .expect("its folder");
    connection.close().await.ok();
    (Server::of_data_folder(&folder), url.rsplit_once('/').expect("a url with a database").0.to_owned())
}
