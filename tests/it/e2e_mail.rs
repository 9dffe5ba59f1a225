//! Statements from the built program through a real mail server: case 27, without the bounce, on both stores.

use crate::support::binary::Workspace;
use crate::support::postgres::Database;
use crate::support::smtp::SmtpServer;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection};

const NIGHT: [&str; 4] = ["run", "nightly", "--business-day", "2026-06-30"];
const ADDRESSES: [&str; 4] = ["a@k1.example", "b@k1.example", "x@k3.example", "y@k4.example"];

/// Code, name, contacts, net sales of June; 2% of it is earned.
const PARTNERS: [(&str, &str, &str, &str); 4] = [
    ("K1", "Möbelhaus Grünwald & Söhne", "a@k1.example;b@k1.example", "11111.00"),
    ("K2", "Zweirad Ohnepost", "", "22222.00"),
    ("K3", "Drei Eichen Handel", "x@k3.example", "33333.00"),
    ("K4", "Vierländer Kontor", "y@k4.example", "44444.00"),
];

/// Four partners, one agreement, June's invoices imported; nothing is settled before the year ends.
fn june(server: &SmtpServer, store: Option<&str>) -> Workspace {
    let mut workspace = Workspace::with_config(&format!(
        r#"
[company]
name = "Nordwind Pumpen GmbH"
currency = "EUR"
timezone = "Europe/Berlin"

[mail]
from = "Nordwind Boni <boni@nordwind.example>"
transport = {{ type = "smtp", url = "smtps://localhost:{}", ca_file = "mail-ca.pem" }}

[approval]
agreement_files = "trusted"
"#,
        server.port()
    ));
    if let Some(url) = store {
        workspace.set_env("REBATED_STORE_URL", url);
    }
    workspace.write("mail-ca.pem", std::fs::read(server.ca()).unwrap());
    workspace.write(
        "agreements/bonus.toml",
        r#"
id = "BONUS-2026"
title = "Jahresbonus 2026"
partners = ["K1", "K2", "K3", "K4"]
currency = "EUR"
valid = { from = "2026-01-01", to = "2026-12-31" }
settlement = { every = "year", method = "credit-memo" }

[[terms]]
id = "bonus"
type = "volume"
accumulate = "year"
qualifier = "net-amount"
base = "net-amount"
method = "retrospective"
tiers = [{ from = "0", rate = "2%" }]
"#,
    );
    let mut partners = "partner,name,email,language,country\n".to_owned();
    let mut lines =
        "document_type,document_number,line_number,document_date,partner,item,quantity,unit,net_amount,currency,status\n"
            .to_owned();
    for (code, name, contacts, net) in PARTNERS {
        partners.push_str(&format!("{code},{name},{contacts},de,DE\n"));
        lines.push_str(&format!("invoice,R-{code},1,2026-06-15,{code},P-1,10,EA,{net},EUR,posted\n"));
    }
    workspace.write("partners.csv", partners);
    workspace.write("items.csv", "item,description,category,base_unit\nP-1,Pumpe,PUMPEN,EA\n");
    workspace.write("lines.csv", lines);
    for kind in ["partners", "items", "lines"] {
        workspace.run(["import", kind, &format!("{kind}.csv")]).ok();
    }
    workspace
}

/// State and attempts by contact.
fn mails(workspace: &Workspace) -> Vec<(String, String, i64)> {
    let list = workspace.run(["statement", "list", "--json"]).ok().json();
    let mut mails: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|s| s["mails"].as_array().unwrap())
        .map(|m| {
            let text = |key: &str| m[key].as_str().unwrap().to_owned();
            (text("contact"), text("state"), m["attempts"].as_i64().unwrap())
        })
        .collect();
    mails.sort();
    mails
}

fn expected(states: [(&str, i64); 4]) -> Vec<(String, String, i64)> {
    ADDRESSES.iter().zip(states).map(|(a, (state, attempts))| ((*a).to_owned(), state.to_owned(), attempts)).collect()
}

/// Code and partner of the open exceptions.
fn exceptions(workspace: &Workspace) -> Vec<(String, String)> {
    let list = workspace.run(["exception", "list", "--json"]).ok().json();
    let mut found: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["code"].as_str().unwrap().to_owned(), e["partner"].as_str().unwrap_or_default().to_owned()))
        .collect();
    found.sort();
    found
}

/// The pause after a temporary refusal is over; waiting for it would take minutes.
fn pause_is_over(workspace: &Workspace, store: Option<&str>) {
    const SQL: &str = "UPDATE mail SET next_attempt_at = NULL WHERE state = 'later'";
    let file = workspace.path().join("rebated.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let changed = runtime.block_on(async {
        match store {
            Some(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                sqlx::query(SQL).execute(&mut connection).await.unwrap().rows_affected()
            }
            None => {
                let mut connection = sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap();
                let changed = sqlx::query(SQL).execute(&mut connection).await.unwrap().rows_affected();
                connection.close().await.unwrap();
                changed
            }
        }
    });
    assert_eq!(changed, 1, "one mail is to be tried later");
}

fn handed(server: &SmtpServer) -> [usize; 4] {
    ADDRESSES.map(|address| server.handed(address))
}

fn case_27(store: Option<&str>) {
    let server = SmtpServer::start();
    server.script(&json!({ "rcpt": {
        "x@k3.example": "550 5.1.1 no such user",
        "y@k4.example": ["451 4.7.1 later", "451 4.7.1 later"],
    }}));
    let workspace = june(&server, store);

    // The server answers 250 for a@, and the process dies before it notes that.
    let died = workspace.command(NIGHT).env("REBATED_KILL_AT", "mail:accepted").output().unwrap();
    assert!(died.status.code().is_none(), "the night was not killed: {died:?}");
    assert_eq!(handed(&server), [1, 0, 0, 0]);
    assert_eq!(mails(&workspace), expected([("sending", 1), ("planned", 0), ("planned", 0), ("planned", 0)]));

    workspace.run(NIGHT).expect_code(1);
    assert_eq!(mails(&workspace), expected([("uncertain", 1), ("sent", 1), ("refused", 1), ("later", 1)]));
    assert_eq!(handed(&server), [1, 1, 1, 1]);

    // A further run before the pause is over tries nothing.
    workspace.run(NIGHT).expect_code(1);
    assert_eq!(handed(&server), [1, 1, 1, 1]);

    pause_is_over(&workspace, store);
    workspace.run(NIGHT).expect_code(1);
    assert_eq!(mails(&workspace), expected([("uncertain", 1), ("sent", 1), ("refused", 1), ("later", 2)]));
    pause_is_over(&workspace, store);
    workspace.run(NIGHT).expect_code(1);
    for _ in 0..2 {
        assert_eq!(mails(&workspace), expected([("uncertain", 1), ("sent", 1), ("refused", 1), ("sent", 3)]));
        assert_eq!(handed(&server), [1, 1, 1, 3], "times handed to the server");
        let pairs = [("mail-refused", "K3"), ("mail-uncertain", "K1"), ("no-recipient", "K2")];
        assert_eq!(exceptions(&workspace), pairs.map(|(code, partner)| (code.to_owned(), partner.to_owned())));
        workspace.run(NIGHT).expect_code(1);
    }

    // The statement that nobody could be sent is stored.
    let list = workspace.run(["statement", "list", "--json"]).ok().json();
    let k2 = list.as_array().unwrap().iter().find(|s| s["partner"] == "K2").unwrap();
    assert_eq!((&k2["mails"], &k2["revision"]), (&json!([]), &json!(1)));
    let shown = workspace.run(["statement", "show", "--partner", "K2", "--period", "2026-06"]).ok().stdout;
    assert!(shown.contains("444,44"), "{shown}");

    read(&server.messages());
}

/// What arrived, read by another implementation.
fn read(messages: &[Value]) {
    let to: Vec<&str> = messages.iter().map(|m| m["to"].as_str().unwrap()).collect();
    assert_eq!(to, ["a@k1.example", "b@k1.example", "y@k4.example"], "once each");
    for message in messages {
        let to = message["to"].as_str().unwrap();
        assert_eq!(message["envelope_to"], json!([to]), "visible recipient and real one, nobody else");
        assert_eq!(message["defects"], json!([]));
        assert!(message["longest_line"].as_u64().unwrap() <= 998);
        assert!((1..=75).contains(&message["longest_word"].as_u64().unwrap()), "the subject needs encoded words");
        let head = message["header_text"].as_str().unwrap();
        assert!(ADDRESSES.iter().all(|other| *other == to || !head.contains(other)), "another address in a header: {head}");
        // Earned: 2% of 11111, 22222, 33333 and 44444.
        let own = if to.ends_with("k1.example") { "222,22" } else { "888,88" };
        for body in ["text", "html"] {
            let body = message[body].as_str().unwrap();
            for amount in ["222,22", "444,44", "666,66", "888,88"] {
                assert_eq!(body.contains(amount), amount == own, "{amount} in the mail to {to}:\n{body}");
            }
        }
    }
    assert_eq!(messages[0]["subject"], "Gutschriftsübersicht Juni 2026 – Möbelhaus Grünwald & Söhne");
    assert_eq!(messages[0]["attachments"][0]["name"], "Abrechnung_Juni_2026_Grünwald.xlsx");
    assert_ne!(messages[0]["message_id"], messages[1]["message_id"]);
}

#[test]
fn case_27_by_the_program_each_statement_goes_once_to_the_right_people() {
    case_27(None);
}

#[test]
fn case_27_by_the_program_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    case_27(Some(&database.url));
}

/// The daemon alone, with nothing due for hours, sends what a server put off.
fn tried_again_by_the_daemon(store: Option<&str>) {
    let server = SmtpServer::start();
    server.script(&json!({ "rcpt": { "y@k4.example": ["451 4.7.1 later", "451 4.7.1 later"] } }));
    let workspace = june(&server, store);
    let said = workspace.run(NIGHT).expect_code(1);
    assert!(said.stdout.contains("1 later") && said.stdout.contains("by the daemon"), "{}", said.stdout);
    let due = chrono::Utc::now() + chrono::Duration::hours(6);
    workspace.write("schedules/nightly.toml", due.format("cron = \"0 %M %H * * *\"\n").to_string());
    let daemon = Daemon(workspace.command(["daemon", "--listen", "none"]).stderr(std::process::Stdio::null()).spawn().unwrap());
    for attempts in [2, 3] {
        pause_is_over(&workspace, store);
        let start = std::time::Instant::now();
        while server.handed("y@k4.example") < attempts {
            assert!(start.elapsed().as_secs() < 60, "nobody tried again: {:?}", mails(&workspace));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let settled = |mails: &[(String, String, i64)]| mails.iter().all(|m| m.1 != "sending");
        while !settled(&mails(&workspace)) {
            assert!(start.elapsed().as_secs() < 60, "not noted: {:?}", mails(&workspace));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
    drop(daemon);
    assert_eq!(mails(&workspace), expected([("sent", 1), ("sent", 1), ("sent", 1), ("sent", 3)]));
    assert_eq!(handed(&server), [1, 1, 1, 3]);
    assert_eq!(server.messages().iter().filter(|m| m["to"] == "y@k4.example").count(), 1);
}

/// A daemon that does not outlive the test.
struct Daemon(std::process::Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn case_27_the_daemon_tries_again_what_the_server_put_off() {
    tried_again_by_the_daemon(None);
}

#[test]
fn case_27_the_daemon_tries_again_on_postgres() {
    let Some(database) = Database::fresh() else { return };
    tried_again_by_the_daemon(Some(&database.url));
}
