//! The floor: the same rows into the product's own `line` table with nothing else done.
//!
//! It reads the same CSV, resolves nothing (row numbers stand in for ids), checks nothing, keeps no document.
//! SQLite gets multi-row inserts, PostgreSQL a COPY; both tables have the product's keys and indexes.

use crate::workload::{item_of, partner_of};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, QueryBuilder, Sqlite, SqliteConnection};
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::str::FromStr;

const COLUMNS: &str = "id, partner_id, document_id, version, line_number, document_date, item_id, line_kind, quantity_u, unit, net_u, currency, \
                       refers_to_document, refers_to_line";
const ROWS_PER_STATEMENT: usize = 200;
const ROWS_PER_TRANSACTION: usize = 50_000;

/// One row, as cheaply as the table allows.
struct Row<'a> {
    id: i64,
    partner: i64,
    document: i64,
    line: &'a str,
    date: &'a str,
    item: i64,
    quantity_u: i64,
    unit: &'a str,
    net_u: i64,
    currency: &'a str,
    refers_to: Option<(&'a str, &'a str)>,
}

impl<'a> Row<'a> {
    fn of(id: i64, record: &'a csv::StringRecord) -> Self {
        Self {
            id,
            partner: i64::try_from(partner_of(&record[4])).expect("small"),
            document: record[1][1..].parse().expect("a number"),
            line: &record[2],
            date: &record[3],
            item: i64::try_from(item_of(&record[5])).expect("small"),
            quantity_u: micros(&record[6]),
            unit: &record[7],
            net_u: micros(&record[8]),
            currency: &record[9],
            refers_to: (!record[10].is_empty()).then(|| (&record[10], &record[11])),
        }
    }
}

fn micros(text: &str) -> i64 {
    let (whole, cents) = text.split_once('.').unwrap_or((text, "00"));
    let value = whole.parse::<i64>().expect("digits").abs() * 1_000_000 + cents.parse::<i64>().expect("two digits") * 10_000;
    if text.starts_with('-') { -value } else { value }
}

fn records(lines: &Path) -> csv::Reader<BufReader<File>> {
    csv::Reader::from_reader(BufReader::with_capacity(1 << 20, File::open(lines).expect("the lines")))
}

/// The product's statements that make the table and its indexes.
fn table_statements(dialect: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(dialect);
    let mut files: Vec<_> = std::fs::read_dir(&folder).expect("migrations").map(|e| e.expect("entry").path()).collect();
    files.sort();
    let text: String = files.iter().map(|f| std::fs::read_to_string(f).expect("a migration")).collect();
    let code: String = text.lines().filter(|l| !l.trim_start().starts_with("--")).map(|l| l.to_owned() + "\n").collect();
    let about_line = |s: &&str| s.starts_with("CREATE TABLE line (") || s.contains(" ON line (") && s.contains("INDEX");
    let found: Vec<_> = code.split(';').map(str::trim).filter(about_line).map(str::to_owned).collect();
    assert!(found.len() > 1, "the table `line` and its indexes are not where they were");
    found
}

/// Loads the lines into a new SQLite file.
pub async fn sqlite(lines: &Path, database: &Path) {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("cache_size", "-65536");
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a new database");
    for statement in table_statements("sqlite") {
        connection.execute(AssertSqlSafe(statement)).await.expect("the table");
    }
    let mut reader = records(lines);
    let mut batch = Vec::with_capacity(ROWS_PER_STATEMENT);
    let (mut id, mut done) = (0, false);
    while !done {
        let mut transaction = connection.begin().await.expect("a transaction");
        let mut in_transaction = 0;
        while in_transaction < ROWS_PER_TRANSACTION && !done {
            batch.clear();
            while batch.len() < ROWS_PER_STATEMENT {
                let mut record = csv::StringRecord::new();
                done = !reader.read_record(&mut record).expect("a record");
                if done {
                    break;
                }
                batch.push(record);
            }
            if batch.is_empty() {
                break;
            }
            let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO line ({COLUMNS}) "));
            query.push_values(&batch, |mut values, record| {
                id += 1;
                let row = Row::of(id, record);
                values.push_bind(row.id).push_bind(row.partner).push_bind(row.document).push_bind(1_i64);
                values.push_bind(row.line.to_owned()).push_bind(row.date.to_owned()).push_bind(row.item).push_bind("goods");
                values
                    .push_bind(row.quantity_u)
                    .push_bind(row.unit.to_owned())
                    .push_bind(row.net_u)
                    .push_bind(row.currency.to_owned());
                values.push_bind(row.refers_to.map(|r| r.0.to_owned())).push_bind(row.refers_to.map(|r| r.1.to_owned()));
            });
            query.build().execute(&mut *transaction).await.expect("an insert");
            in_transaction += batch.len();
        }
        transaction.commit().await.expect("a commit");
    }
    connection.close().await.expect("closed");
}

/// Loads the lines into an empty PostgreSQL database.
pub async fn postgres(lines: &Path, url: &str) {
    let options = PgConnectOptions::from_str(url).expect("a url");
    let mut connection = PgConnection::connect_with(&options).await.expect("the server");
    for statement in table_statements("postgres") {
        connection.execute(AssertSqlSafe(statement)).await.expect("the table");
    }
    let mut reader = records(lines);
    let mut copy = connection.copy_in_raw(&format!("COPY line ({COLUMNS}) FROM STDIN")).await.expect("a copy");
    let mut record = csv::StringRecord::new();
    let mut buffer = String::with_capacity(1 << 20);
    let mut id = 0;
    while reader.read_record(&mut record).expect("a record") {
        id += 1;
        let row = Row::of(id, &record);
        let (document, line) = row.refers_to.unwrap_or(("\\N", "\\N"));
        writeln!(
            buffer,
            "{}\t{}\t{}\t1\t{}\t{}\t{}\tgoods\t{}\t{}\t{}\t{}\t{document}\t{line}",
            row.id, row.partner, row.document, row.line, row.date, row.item, row.quantity_u, row.unit, row.net_u, row.currency
        )
        .expect("writing to a string");
        if buffer.len() > (1 << 20) - 256 {
            copy.send(buffer.as_bytes()).await.expect("sent");
            buffer.clear();
        }
    }
    copy.send(buffer.as_bytes()).await.expect("sent");
    copy.finish().await.expect("copied");
    connection.close().await.expect("closed");
}
