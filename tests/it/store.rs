//! The store on both databases: every statement is accepted, append-only tables refuse changes,
//! amounts and instants are exact (case 33), writers wait for one another, the audit trail shows
//! what was tampered with, and what goes in comes out.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::support::source;
use chrono::{DateTime, NaiveDate, Utc};
use rebated::core::line::LineKind;
use rebated::core::money::Currency;
use rebated::core::number::{Exact, Fine, Micros};
use rebated::store::{
    AccumulatorRow, DocumentHead, DocumentRow, Identity, NewArchive, NewEarned, NewEntry, NewLine, SettlementPart, SettlementRow,
    Store, StoreError, StoreResult, Tx, latest_version,
};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use std::time::{Duration, Instant};

mod exact;
mod safety;

// ---------------------------------------------------------------------------------------------
// A store of each kind.

/// An open store of a test, with what keeps it alive.
struct Open {
    store: Store,
    url: String,
    _dir: tempfile::TempDir,
    _database: Option<Database>,
}

async fn sqlite() -> Open {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", dir.path().join("test.db").display());
    Open { store: Store::open(&url).await.unwrap(), url, _dir: dir, _database: None }
}

/// A fresh store on each database.
async fn both() -> Vec<Open> {
    let mut stores = vec![sqlite().await];
    if let Some(database) = Database::fresh() {
        let store = Store::open(&database.url).await.unwrap();
        stores.push(Open { store, url: database.url.clone(), _dir: tempfile::tempdir().unwrap(), _database: Some(database) });
    }
    stores
}

/// Runs one statement as somebody with direct access to the database would.
async fn raw(tx: &mut Tx, sql: &str) -> Result<u64, sqlx::Error> {
    let sql = AssertSqlSafe(sql.to_owned());
    Ok(match tx {
        Tx::Sqlite(c) => sqlx::query(sql).execute(&mut **c).await?.rows_affected(),
        Tx::Postgres(c) => sqlx::query(sql).execute(&mut **c).await?.rows_affected(),
    })
}

/// One whole number that a statement gives.
async fn number(tx: &mut Tx, sql: &str) -> i64 {
    let sql = AssertSqlSafe(sql.to_owned());
    match tx {
        Tx::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(&mut **c).await.unwrap(),
        Tx::Postgres(c) => sqlx::query_scalar(sql).fetch_one(&mut **c).await.unwrap(),
    }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}
fn now() -> DateTime<Utc> {
    at("2026-04-01T02:00:00Z")
}
fn micros(text: &str) -> Micros {
    Micros::parse(text).unwrap()
}

fn document(id: i64, number: &str) -> DocumentRow {
    DocumentRow {
        id,
        identity: Identity {
            company: "1".into(),
            document_type: "invoice",
            number: number.into(),
            year: 2026,
            issuer: String::new(),
        },
        head: DocumentHead {
            version: 1,
            partner_id: Some(1),
            partner_code: "P".into(),
            document_date: day("2026-03-31"),
            posting_date: None,
            paid_on: None,
            status: "posted".into(),
            our_reference: None,
            currency: "USD".into(),
            changed_at: None,
            sequence: None,
            content_hash: vec![0, 1, 0x5c, 0x0a, 0xff],
            archive_id: 1,
            source_rank: 10,
        },
    }
}

fn line(id: i64, net_amount: Micros) -> NewLine {
    NewLine {
        id,
        partner_id: 1,
        document_id: 1,
        version: 1,
        line_number: id.to_string(),
        document_date: day("2026-03-31"),
        item_id: None,
        line_kind: LineKind::Goods,
        quantity: Micros::ONE,
        unit: "EA".into(),
        gross_amount: None,
        net_amount,
        tax_amount: None,
        cost_amount: None,
        currency: Currency::parse("USD").unwrap(),
        refers_to_document: None,
        refers_to_line: None,
        extra: None,
    }
}

fn settlement() -> SettlementRow {
    SettlementRow {
        id: 0,
        agreement: "A".into(),
        payee: "P".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-03-31"),
        currency: "USD".into(),
        number: 1,
        reference: "RBT-ABCDEFGHIJKL".into(),
        amount_u: 12_340_000,
        carried_forward_u: 0,
        state: "proposed".into(),
        revision: 1,
        fingerprint: "f1".into(),
        method: "credit-memo".into(),
        connector: None,
        maker: "anna".into(),
        erp_document: None,
        business_day: day("2026-03-31"),
        reason: None,
    }
}

/// A row in every table that takes no changes, and a settlement; gives its id.
async fn fill(tx: &mut Tx) -> i64 {
    let new = NewArchive {
        connector: "erp",
        feed: "invoices",
        name: "page 1",
        media_type: "application/json",
        mapping: None,
        run_id: None,
        acknowledge_key: None,
    };
    tx.archive(&new, &mut &b"{\"raw\": \"M\xc3\xbcller\"}"[..], now()).await.unwrap().unwrap();
    let earned = NewEarned {
        partner_id: 1,
        agreement: "A".into(),
        version: 1,
        term: "t".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-12-31"),
        part: 0,
        currency: "USD".into(),
        qualifier: micros("1000"),
        base: micros("1000"),
        tier: Some(0),
        unrounded: Fine::parse("12.339999").unwrap(),
        free_goods: Micros::parse("2").unwrap(),
        earned: micros("12.34"),
    };
    tx.append_earned(&[earned], day("2026-03-31"), None).await.unwrap();
    tx.append_entries(&[entry("12.34")], day("2026-03-31"), None, now()).await.unwrap();
    let part = SettlementPart {
        partner_id: 1,
        term: "t".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-12-31"),
        part: 0,
        amount_u: 12_340_000,
    };
    let id = tx.add_settlement(&settlement(), &[part], "{}", now()).await.unwrap();
    for action in ["one", "two", "three", "four"] {
        tx.audit(now(), "anna", action, "subject", "done", &serde_json::json!({ "why": "Prüfung" })).await.unwrap();
    }
    id
}

/// An entry of a ledger.
fn entry(amount: &str) -> NewEntry {
    NewEntry {
        partner_id: 1,
        agreement: "A".into(),
        version: 1,
        term: "t".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-12-31"),
        part: 0,
        accounting_month: day("2026-03-01"),
        for_month: day("2026-03-01"),
        kind: "base".into(),
        amount: micros(amount),
        currency: "USD".into(),
        settlement_id: None,
        seq: 1,
        reason: "new lines".into(),
    }
}

// ---------------------------------------------------------------------------------------------
// Statements.

/// The string literals of Rust source, comments left out.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        match ch {
            '/' if chars.peek() == Some(&'/') => while chars.next().is_some_and(|c| c != '\n') {},
            '\'' => {
                // A character, or a lifetime.
                let mut ahead = chars.clone();
                let first = ahead.next();
                if first == Some('\\') {
                    ahead.next();
                }
                if ahead.next() == Some('\'') {
                    chars = ahead;
                }
            }
            '"' => {
                let mut literal = String::new();
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => match chars.next() {
                            Some('n') => literal.push('\n'),
                            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                            Some(other) => literal.push(other),
                            None => {}
                        },
                        other => literal.push(other),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// `$1, $2, ...`
fn places(count: usize) -> String {
    (1..=count).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ")
}

/// Statements of the rows that a file stores in bulk: each `Rows::of` with its columns, and with the conflict
/// clause that follows it, if there is one.
fn bulk_statements(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in text.split("Rows::of(").skip(1) {
        let words = literals(part);
        let Some(open) = part.find('[') else { continue };
        let columns = literals(&part[open..part.find(']').unwrap_or(part.len())]);
        let insert = format!("INSERT INTO {} ({}) VALUES ({})", words[0], columns.join(", "), places(columns.len()));
        found.extend(words.iter().filter(|w| w.starts_with("ON CONFLICT")).map(|tail| format!("{insert} {tail}")));
        found.push(insert);
    }
    found
}

/// Every statement of the store: where it stands and its text.
fn statements() -> Vec<(String, String)> {
    let verbs = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    let files = source::files("src/store", &[".rs"]);
    let pairs = files.iter().find(|f| f.path.ends_with("/pairs.rs")).map(|f| literals(&f.text)).unwrap();
    let pairs: Vec<&String> = pairs.iter().filter(|l| l.starts_with(" FROM ") || l.starts_with(" t WHERE ")).collect();
    assert_eq!(pairs.len(), 4, "the two ways to name pairs");
    let mut found = Vec::new();
    for file in &files {
        let all = literals(&file.text);
        let is_statement = |text: &String| verbs.iter().any(|v| text.trim_start().starts_with(v));
        for (place, literal) in all.iter().enumerate().filter(|(_, l)| is_statement(l)) {
            let at = format!("{} literal {place}", file.path);
            if literal.contains("{names}") {
                // Put together from rows, see below.
            } else if literal.starts_with("SELECT t.") {
                let (table, tail) = (&all[place + 1], &all[place + 2]);
                for way in pairs.chunks(2) {
                    found.push((at.clone(), format!("{literal}{}{table}{}{tail}", way[0], way[1])));
                }
            } else if literal.ends_with("WHERE id") {
                for list in [" IN (SELECT value FROM json_each($1))", " = ANY($1)"] {
                    found.push((at.clone(), format!("{literal}{list}")));
                }
            } else if literal.ends_with(' ') {
                // Begun in a macro, ended where it is used.
                found.extend(all.iter().filter(|l| l.starts_with("WHERE ")).map(|tail| (at.clone(), format!("{literal}{tail}"))));
            } else {
                found.push((at, literal.clone()));
            }
        }
        found.extend(bulk_statements(&file.text).into_iter().map(|sql| (format!("{} rows", file.path), sql)));
    }
    found
}

/// The one database that a statement is written for; `None` is both.
fn only(statement: &str) -> Option<&'static str> {
    let has = |words: &[&str]| words.iter().any(|w| statement.contains(w));
    if has(&["json_each", "sqlite_master"]) {
        Some("sqlite")
    } else if has(&["jsonb", "ANY($", "UNNEST", "pg_tables", "FOR UPDATE", "FOR SHARE", "pg_advisory"]) {
        Some("postgres")
    } else {
        None
    }
}

#[tokio::test]
async fn every_statement_is_accepted_by_every_database_it_is_written_for() {
    let statements = statements();
    assert!(statements.len() > 150, "only {} statements were found in the sources", statements.len());
    for wanted in [
        "SELECT x.id FROM document x WHERE x.company = k.company",
        "INSERT INTO document (id, company",
        "INSERT INTO line (id, partner_id",
        "UNNEST($1::BIGINT[], $2::TEXT[]) AS k (partner_id, agreement) CROSS JOIN accrual_entry",
        "ON CONFLICT (partner_id, agreement, term, period_from",
    ] {
        assert!(statements.iter().any(|(_, s)| s.contains(wanted)), "no statement with `{wanted}`");
    }
    for open in both().await {
        let mut tx = open.store.read().await.unwrap();
        let mut refused = Vec::new();
        let mut prepared = 0;
        for (place, sql) in &statements {
            if only(sql).is_some_and(|d| d != open.store.dialect()) {
                continue;
            }
            prepared += 1;
            let text = AssertSqlSafe(sql.clone()).into_sql_str();
            let result = match &mut tx {
                Tx::Sqlite(c) => (&mut **c).prepare(text).await.map(|_| ()),
                Tx::Postgres(c) => {
                    // A refused statement ends the transaction, and the others are still to be seen.
                    (&mut **c).execute("SAVEPOINT one").await.unwrap();
                    let result = (&mut **c).prepare(text).await.map(|_| ());
                    (&mut **c).execute("ROLLBACK TO SAVEPOINT one").await.unwrap();
                    result
                }
            };
            if let Err(error) = result {
                refused.push(format!("{place}: {error}\n    {sql}"));
            }
        }
        assert!(refused.is_empty(), "{} refuses\n{}", open.store.dialect(), refused.join("\n"));
        assert!(prepared > 140, "{}: {prepared} statements prepared", open.store.dialect());
    }
}

#[test]
fn both_schemas_have_the_same_versions_tables_and_columns() {
    let shape = |dialect: &str| -> Vec<String> {
        let mut lines = Vec::new();
        for file in source::files(&format!("src/store/migrations/{dialect}"), &[".sql"]) {
            lines.push(file.path.rsplit('/').next().unwrap().to_owned());
            for line in file.text.lines().map(str::trim) {
                let mut words = line.split_whitespace();
                match (words.next(), words.next(), words.next()) {
                    (Some("CREATE"), Some(kind @ ("TABLE" | "VIEW")), Some(name)) => lines.push(format!("{kind} {name}")),
                    (Some(column), Some("TEXT" | "INTEGER" | "BIGINT" | "DATE" | "TIMESTAMPTZ" | "BLOB" | "BYTEA"), _) => {
                        lines.push(format!("  {column}"));
                    }
                    _ => {}
                }
            }
        }
        lines
    };
    let sqlite = shape("sqlite");
    assert!(sqlite.len() > 200);
    assert_eq!(sqlite, shape("postgres"));
}

// ---------------------------------------------------------------------------------------------
// What the database itself refuses.

#[tokio::test]
async fn ledger_archive_and_audit_tables_refuse_changes_in_the_database_itself() {
    const TABLES: [(&str, &str); 6] = [
        ("archive", "name"),
        ("archive_chunk", "body"),
        ("accrual_entry", "amount_u"),
        ("earned_figure", "earned_u"),
        ("settlement_revision", "fingerprint"),
        ("audit", "detail"),
    ];
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        fill(&mut tx).await;
        tx.commit().await.unwrap();
        for (table, column) in TABLES {
            let mut attempts = vec![format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")];
            if open.store.dialect() == "postgres" {
                attempts.push(format!("TRUNCATE {table} CASCADE"));
            }
            for attempt in attempts {
                let mut tx = open.store.begin().await.unwrap();
                let error = raw(&mut tx, &attempt).await.expect_err(&attempt);
                assert!(error.to_string().contains("append-only"), "{attempt}: {error}");
                tx.rollback().await.unwrap();
            }
            let mut tx = open.store.read().await.unwrap();
            assert!(number(&mut tx, &format!("SELECT COUNT(*) FROM {table}")).await > 0, "{table} lost its rows");
        }
    }
}

#[tokio::test]
async fn no_door_lets_a_maker_approve_what_they_made() {
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        let id = fill(&mut tx).await;
        tx.commit().await.unwrap();
        let mut tx = open.store.begin().await.unwrap();
        assert!(tx.add_approval(id, "f1", "anna", "anna", now()).await.is_err(), "{}", open.store.dialect());
        tx.rollback().await.unwrap();
        let mut tx = open.store.begin().await.unwrap();
        assert!(tx.add_approval(id, "f1", "anna", "ben", now()).await.unwrap());
        assert!(!tx.add_approval(id, "f1", "anna", "ben", now()).await.unwrap(), "the same approval twice is one");
        tx.commit().await.unwrap();
        let mut tx = open.store.begin().await.unwrap();
        assert!(raw(&mut tx, "UPDATE approval SET approver = maker").await.is_err());
        tx.rollback().await.unwrap();
        let mut tx = open.store.begin().await.unwrap();
        let sql = "INSERT INTO agreement_version (agreement, version, state, body, source_name, source_sha256, source_text, entered_by, entered_at, approved_by)
                   VALUES ('A', 1, 'active', '{}', 'a', '', '', 'anna', '2026-01-01T00:00:00+00:00', 'anna')";
        assert!(raw(&mut tx, sql).await.is_err(), "an agreement approved by who entered it");
        tx.rollback().await.unwrap();
        let mut tx = open.store.read().await.unwrap();
        let approvals = tx.approvals(id).await.unwrap();
        assert_eq!(approvals.iter().map(|a| a.approver.as_str()).collect::<Vec<_>>(), ["ben"]);
    }
}

// ---------------------------------------------------------------------------------------------
// What goes in comes out.

#[tokio::test]
async fn documents_and_lines_come_back_as_they_went_in_whatever_they_hold() {
    const ODD: [&str; 6] = ["tab\there", "line\nbreak\r\n", "back\\slash\\N", "Größe Ø 12 – 猫", "\\.", "'quoted' \"twice\""];
    let mut seen = Vec::new();
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        let mut documents = Vec::new();
        let mut lines = Vec::new();
        for (id, odd) in (1..).zip(ODD) {
            let mut row = document(id, odd);
            row.identity.company = odd.into();
            row.head.partner_code = odd.into();
            row.head.our_reference = (id % 2 == 0).then(|| odd.to_owned());
            row.head.posting_date = (id % 2 == 1).then(|| day("2026-04-01"));
            row.head.changed_at = Some(at("2026-03-31T23:30:00.123456-05:00"));
            row.head.sequence = Some(id);
            documents.push(row);
            let mut new = line(id, Micros(-id));
            new.document_id = id;
            new.line_number = odd.into();
            new.unit = odd.into();
            new.gross_amount = Some(Micros(i64::MAX));
            new.refers_to_document = Some(odd.into());
            new.refers_to_line = Some(String::new());
            new.extra = Some(serde_json::json!({ "attributes": { "note": odd } }).to_string());
            lines.push(new);
        }
        // A last one with nothing that can be left out.
        documents.push(document(7, "plain"));
        let mut plain = line(7, Micros(i64::MIN + 1));
        plain.document_id = 7;
        lines.push(plain);
        tx.insert_documents(&documents).await.unwrap();
        tx.insert_lines(&lines).await.unwrap();
        tx.commit().await.unwrap();

        let mut tx = open.store.read().await.unwrap();
        for row in &documents {
            assert_eq!(tx.document_by_id(row.id).await.unwrap().as_ref(), Some(row));
            assert_eq!(tx.document(&row.identity).await.unwrap().as_ref(), Some(row));
        }
        let numbers: Vec<&str> = documents.iter().map(|d| d.identity.number.as_str()).collect();
        let mut known = tx.known_documents(&numbers).await.unwrap();
        known.sort_by_key(|d| d.id);
        assert_eq!(known, documents);
        let documents = tx.documents_of_partner(1).await.unwrap();
        let stored: Vec<_> = documents.into_iter().flat_map(|d| d.lines).collect();
        assert_eq!(stored.len(), lines.len());
        for (line, new) in stored.iter().zip(&lines) {
            assert_eq!((line.id, line.document_id, &*line.line_number), (new.id, new.document_id, new.line_number.as_str()));
            assert_eq!((line.quantity, line.net_amount, line.gross_amount), (new.quantity, new.net_amount, new.gross_amount));
            assert_eq!((&*line.unit, line.cost_amount), (new.unit.as_str(), new.cost_amount));
            assert_eq!(line.refers_to_document.as_deref(), new.refers_to_document.as_deref());
            assert_eq!(line.refers_to_line.as_deref(), new.refers_to_line.as_deref());
            let note = line.extra.as_ref().and_then(|e| e.attributes.get("note")).map(String::as_str);
            assert_eq!(note, new.extra.is_some().then_some(new.unit.as_str()));
        }
        seen.push(stored);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "both databases give the same lines");
}

fn running_sum(number: i64, factor: i128) -> AccumulatorRow {
    AccumulatorRow {
        partner_id: number % 7,
        agreement: "Größe \"2026\" \\ 1".into(),
        term: "t\t1".into(),
        period_from: day("2026-01-01"),
        period_to: day("2026-12-31"),
        part: number,
        facet: number % 3,
        bucket: day("2026-03-01"),
        version: 1 + number % 2,
        sums: [Exact(factor * i128::from(number)), Exact(factor * 10_i128.pow(30)), Exact(-factor), Exact(0)],
        lines: 2,
        documents: 1,
    }
}

#[tokio::test]
async fn running_sums_inserted_at_once_equal_those_added_one_by_one() {
    let rows: Vec<AccumulatorRow> = (0..1_203).map(|n| running_sum(n, 6)).collect();
    let mut all = Vec::new();
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        tx.insert_accumulators(&rows).await.unwrap();
        let at_once = tx.all_accumulators().await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(at_once.len(), rows.len());

        let mut tx = open.store.begin().await.unwrap();
        for factor in [8, -2] {
            let mut deltas: Vec<AccumulatorRow> = (0..1_203).map(|n| running_sum(n, factor)).collect();
            for delta in &mut deltas {
                (delta.lines, delta.documents) = if factor > 0 { (3, 2) } else { (-1, -1) };
            }
            tx.add_to_accumulators(&deltas).await.unwrap();
        }
        assert_eq!(tx.all_accumulators().await.unwrap(), at_once, "{}", open.store.dialect());
        let mut back = running_sum(5, -6);
        (back.lines, back.documents) = (-2, -1);
        tx.add_to_accumulators(std::slice::from_ref(&back)).await.unwrap();
        let left = tx.all_accumulators().await.unwrap();
        assert_eq!(left.len(), rows.len() - 1, "a sum that ends at nothing is gone");
        assert!(left.iter().all(|row| row.part != 5));
        tx.rollback().await.unwrap();
        all.push(at_once);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "both databases give the same sums in the same order");
}
