//! Mail against a real SMTP server: case 27 (without the bounce's arrival) and drill 13.

use crate::support::smtp::{SmtpServer, Tls, decode};
use chrono::{DateTime, Duration, Utc};
use rebated::core::period::Period;
use rebated::core::problem::Problem;
use rebated::core::statement::{Language, Statement, StatementInput};
use rebated::delivery::mail::{
    FolderTransport, MailTransport, OutgoingMail, SendOutcome, SmtpSettings, SmtpTransport, message_id,
};
use rebated::delivery::outbox::{
    Composed, MailChange, MailContent, MailPauses, MailRow, MailRows, MailState, NewMail, Outbox, OutboxReport, plan_statement,
    problem_of,
};
use rebated::delivery::statement::render;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration as StdDuration;

const SENDER: &str = "Rebates <rebates@northwind.example>";

fn june() -> Period {
    Period::new("2026-06-01".parse().unwrap(), "2026-06-30".parse().unwrap()).unwrap()
}
fn start() -> DateTime<Utc> {
    "2026-07-01T06:00:00Z".parse().unwrap()
}

fn statement(code: &str, name: &str) -> Statement {
    Statement::build(StatementInput {
        company: "Northwind Pumps".into(),
        partner: code.into(),
        partner_name: name.into(),
        language: Language::De,
        period: june(),
        period_label: "2026-06".into(),
        revision: 1,
        as_of: "2026-06-30".parse().unwrap(),
        agreements: vec![],
        open_points: vec![],
        audit_head: None,
    })
    .unwrap()
}

/// Partners with their contacts; what a statement says is made at the moment of sending.
#[derive(Default)]
struct Partners(Mutex<BTreeMap<String, (String, Vec<String>)>>);

impl Partners {
    fn of(partners: &[(&str, &str, &[&str])]) -> Self {
        let map = partners
            .iter()
            .map(|(code, name, contacts)| ((*code).into(), ((*name).into(), contacts.iter().map(|c| (*c).into()).collect())))
            .collect();
        Self(Mutex::new(map))
    }
    fn contacts_of(&self, code: &str) -> Vec<String> {
        self.0.lock().unwrap()[code].1.clone()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the process died here")]
struct Died;

impl MailContent for Partners {
    type Error = Died;
    async fn contacts(&self, partner_code: &str) -> Result<Vec<String>, Died> {
        Ok(self.contacts_of(partner_code))
    }
    async fn compose(&self, row: &MailRow) -> Result<Composed, Died> {
        let name = self.0.lock().unwrap()[&row.partner_code].0.clone();
        if name == "unwritable" {
            return Err(Died);
        }
        let rendered = render(&statement(&row.partner_code, &name)).unwrap();
        Ok(Composed {
            partner_code: row.partner_code.clone(),
            mail: rendered.mail(SENDER, &row.contact, &row.message_id, start()),
        })
    }
}

/// Rows that survive, and a process that dies before it notes the outcome for one contact.
#[derive(Default)]
struct Rows {
    rows: Mutex<Vec<MailRow>>,
    dies_noting: Mutex<Option<String>>,
    problems: Mutex<Vec<Problem>>,
}

impl Rows {
    fn plan(&self, partners: &Partners) {
        let codes: Vec<String> = partners.0.lock().unwrap().keys().cloned().collect();
        for code in codes {
            match plan_statement("northwind", SENDER, &code, june(), 1, &partners.contacts_of(&code)) {
                Ok(mails) => mails.into_iter().for_each(|mail| self.add(mail)),
                Err(problem) => self.problems.lock().unwrap().push(problem),
            }
        }
    }
    fn add(&self, mail: NewMail) {
        let mut rows = self.rows.lock().unwrap();
        assert!(rows.iter().all(|row| row.message_id != mail.message_id), "message ids are unique");
        let id = i64::try_from(rows.len()).unwrap() + 1;
        rows.push(MailRow {
            id,
            kind: mail.kind,
            partner_code: mail.partner_code,
            period: mail.period,
            revision: mail.revision,
            contact: mail.contact,
            message_id: mail.message_id,
            state: MailState::Planned,
            attempts: 0,
            next_attempt_at: None,
            last_answer: None,
        });
    }
    fn of(&self, contact: &str) -> MailRow {
        self.rows.lock().unwrap().iter().find(|row| row.contact == contact).unwrap().clone()
    }
    /// What a person does.
    fn move_to(&self, contact: &str, state: MailState) {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.iter_mut().find(|row| row.contact == contact).unwrap();
        assert!(row.state.may_become(state), "{} to {state}", row.state);
        row.state = state;
    }
}

impl MailRows for Rows {
    type Error = Died;
    async fn sending(&self) -> Result<Vec<MailRow>, Died> {
        Ok(self.rows.lock().unwrap().iter().filter(|r| r.state == MailState::Sending).cloned().collect())
    }
    async fn due(&self, now: DateTime<Utc>) -> Result<Vec<MailRow>, Died> {
        let due = |r: &&MailRow| match r.state {
            MailState::Planned => true,
            MailState::Later => r.next_attempt_at.is_none_or(|at| at <= now),
            _ => false,
        };
        Ok(self.rows.lock().unwrap().iter().filter(due).cloned().collect())
    }
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, Died> {
        Ok(self.rows.lock().unwrap().iter().filter(|r| r.state == MailState::Later).filter_map(|r| r.next_attempt_at).min())
    }
    async fn change(&self, id: i64, from: MailState, change: &MailChange) -> Result<bool, Died> {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.iter_mut().find(|row| row.id == id).unwrap();
        if row.state != from {
            return Ok(false);
        }
        if from == MailState::Sending && self.dies_noting.lock().unwrap().as_ref() == Some(&row.contact) {
            return Err(Died);
        }
        assert!(from.may_become(change.state), "{from} to {}", change.state);
        row.state = change.state;
        row.attempts = change.attempts;
        row.next_attempt_at = change.next_attempt_at;
        row.last_answer = change.last_answer.clone();
        Ok(true)
    }
}

fn transport(url: &SecretString) -> MailTransport {
    MailTransport::Smtp(Box::new(smtp(url, 5, 5)))
}
fn smtp(url: &SecretString, command_secs: u64, content_secs: u64) -> SmtpTransport {
    let mut settings = SmtpSettings::from_url(url).unwrap();
    settings.command_timeout = StdDuration::from_secs(command_secs);
    settings.content_timeout = StdDuration::from_secs(content_secs);
    SmtpTransport::new(settings).unwrap()
}
fn mail_to(contact: &str) -> OutgoingMail {
    OutgoingMail {
        message_id: message_id(SENDER, &["test", contact]).unwrap(),
        from: SENDER.into(),
        to: contact.into(),
        subject: "Test".into(),
        text: "Hello".into(),
        html: None,
        attachments: vec![],
        date: start(),
    }
}
async fn send(transport: &SmtpTransport, contact: &str) -> SendOutcome {
    transport.send(&mail_to(contact).build().unwrap()).await
}
fn codes(report: &OutboxReport) -> Vec<&str> {
    report.problems.iter().map(|(_, problem)| problem.code.as_str()).collect()
}

#[tokio::test]
async fn case_27_each_contact_gets_its_statement_once_and_every_other_fate_is_seen() {
    let server = SmtpServer::start();
    server.script(&json!({
        "rcpt": { "x@k3.example": "550 5.1.1 no such user", "y@k4.example": ["451 4.7.1 greylisted", "451 4.7.1 greylisted"] },
    }));
    let partners = Partners::of(&[
        ("K1", "Möbelhaus Grünwald & Söhne", &["a@k1.example", "b@k1.example"]),
        ("K2", "Ohne Adresse", &[]),
        ("K3", "Drei", &["x@k3.example"]),
        ("K4", "Vier", &["y@k4.example"]),
    ]);
    let rows = Rows::default();
    rows.plan(&partners);
    let no_recipient: Vec<_> = rows.problems.lock().unwrap().iter().map(|p| (p.code.clone(), p.message.contains("K2"))).collect();
    assert_eq!(no_recipient, [("no-recipient".to_owned(), true)]);

    // The server answers 250 for a@, and the process dies before it notes that.
    *rows.dies_noting.lock().unwrap() = Some("a@k1.example".into());
    let way = transport(&server.url());
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    outbox.recover().await.unwrap();
    outbox.pass(start).await.unwrap_err();
    assert_eq!(rows.of("a@k1.example").state, MailState::Sending);
    assert_eq!(rows.of("b@k1.example").state, MailState::Planned, "not yet tried");

    // Restart.
    *rows.dies_noting.lock().unwrap() = None;
    let way = transport(&server.url());
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    let recovered = outbox.recover().await.unwrap();
    assert_eq!(codes(&recovered), ["mail-uncertain"]);
    let report = outbox.pass(start).await.unwrap();
    assert_eq!((report.sent, report.refused, report.later, codes(&report)), (1, 1, 1, vec!["mail-refused"]), "{report:?}");
    // Completion: the pauses grow.
    let mut now = start();
    let mut pauses = Vec::new();
    while let Some(next) = rows.next_due().await.unwrap() {
        pauses.push((next - now).num_minutes());
        now = next;
        outbox.pass(|| now).await.unwrap();
    }
    assert_eq!(pauses, [1, 5]);

    for (contact, state, handed) in [
        ("a@k1.example", MailState::Uncertain, 1),
        ("b@k1.example", MailState::Sent, 1),
        ("x@k3.example", MailState::Refused, 1),
        ("y@k4.example", MailState::Sent, 3),
    ] {
        let row = rows.of(contact);
        assert_eq!((row.state, server.handed(contact)), (state, handed), "{row:?}");
        assert_eq!(usize::try_from(row.attempts).unwrap(), handed, "{contact}");
    }

    // Two days later the bounce arrives.
    rows.move_to("y@k4.example", MailState::Bounced);
    assert_eq!(problem_of(&rows.of("y@k4.example"), MailState::Bounced, "550 mailbox gone").unwrap().code, "mail-bounced");

    // What arrived, read by another implementation.
    let messages = server.messages();
    assert_eq!(messages.len(), 3, "a@, b@ and y@ once each");
    for message in &messages {
        let to = message["to"].as_str().unwrap();
        assert_eq!(message["envelope_to"], json!([to]), "visible recipient and real one, nobody else");
        assert_eq!(message["defects"], json!([]));
        assert!(message["longest_line"].as_u64().unwrap() <= 998);
        assert!((1..=75).contains(&message["longest_word"].as_u64().unwrap()), "the subject needs encoded words");
        let head = message["header_text"].as_str().unwrap();
        for other in ["a@k1.example", "b@k1.example", "x@k3.example", "y@k4.example"] {
            assert!(other == to || !head.contains(other), "{other} in a header of the mail to {to}");
        }
        for (name, owner) in [("Grünwald", "k1"), ("Vier", "k4"), ("Drei", "k3")] {
            assert_eq!(
                message["text"].as_str().unwrap().contains(name),
                to.ends_with(&format!("{owner}.example")),
                "figures of {to} only"
            );
        }
    }
    let k1 = &messages[0];
    assert_eq!(k1["subject"], "Gutschriftsübersicht Juni 2026 – Möbelhaus Grünwald & Söhne");
    assert_eq!(k1["attachments"][0]["name"], "Abrechnung_Juni_2026_Grünwald.xlsx");
    assert_eq!(k1["attachments"].as_array().unwrap().len(), 1);

    // Finance presses the button for a@: the same message id.
    rows.move_to("a@k1.example", MailState::Planned);
    outbox.pass(start).await.unwrap();
    let again = server.messages();
    assert_eq!((again.len(), &again[3]["message_id"]), (4, &messages[0]["message_id"]));
    assert_ne!(messages[0]["message_id"], messages[1]["message_id"]);
}

#[tokio::test]
async fn a_temporary_refusal_is_retried_five_times_and_then_a_person_decides() {
    let server = SmtpServer::start();
    server.script(&json!({ "rcpt": { "y@k4.example": "451 4.7.1 later" } }));
    let partners = Partners::of(&[("K4", "Vier", &["y@k4.example"])]);
    let rows = Rows::default();
    rows.plan(&partners);
    let way = transport(&server.url());
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    let mut now = start();
    let mut last = outbox.pass(|| now).await.unwrap();
    while let Some(next) = rows.next_due().await.unwrap() {
        now = next;
        last = outbox.pass(|| now).await.unwrap();
    }
    assert_eq!((rows.of("y@k4.example").state, server.handed("y@k4.example")), (MailState::Refused, 6));
    assert!(last.problems[0].1.message.contains("given up after 6 attempts"), "{last:?}");
}

#[tokio::test]
async fn the_place_of_a_failure_decides_what_is_known() {
    let server = SmtpServer::start();
    server.script(&json!({
        "rcpt": { "refused@p.example": "550 5.1.1 no", "later@p.example": "450 4.2.1 later", "drop@p.example": "drop", "stall@p.example": "stall" },
        "data": { "data5@p.example": "554 5.7.1 spam", "data4@p.example": "451 4.3.0 full", "cut@p.example": "drop-after",
                  "silent@p.example": "stall-after", "before@p.example": "drop" },
    }));
    let way = smtp(&server.url(), 2, 2);
    let is = |outcome: SendOutcome| match outcome {
        SendOutcome::Sent { .. } => "sent",
        SendOutcome::Refused { .. } => "refused",
        SendOutcome::Later { .. } => "later",
        SendOutcome::NotSent { .. } => "not sent",
        SendOutcome::Uncertain { .. } => "uncertain",
    };
    for (contact, expected) in [
        ("good@p.example", "sent"),
        ("refused@p.example", "refused"),
        ("later@p.example", "later"),
        ("drop@p.example", "not sent"),
        ("stall@p.example", "not sent"),
        ("data5@p.example", "refused"),
        ("data4@p.example", "later"),
        ("cut@p.example", "uncertain"),
        ("silent@p.example", "uncertain"),
        // The content has left us here too: that the server threw it away is not for us to know.
        ("before@p.example", "uncertain"),
        ("good2@p.example", "sent"),
    ] {
        let outcome = send(&way, contact).await;
        assert_eq!(is(outcome.clone()), expected, "{contact}: {outcome:?}");
    }
    let received: Vec<Value> = server.messages().into_iter().map(|m| m["to"].clone()).collect();
    assert_eq!(received, ["good@p.example", "cut@p.example", "silent@p.example", "good2@p.example"]);
}

#[tokio::test]
async fn the_queue_id_of_the_server_is_kept() {
    let server = SmtpServer::start();
    let way = smtp(&server.url(), 5, 5);
    assert_eq!(send(&way, "a@k1.example").await, SendOutcome::Sent { queue_id: "0001".into() });
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_reopened() {
    let server = SmtpServer::start_with(Tls::Implicit, None, 1);
    let way = smtp(&server.url(), 5, 5);
    assert!(matches!(send(&way, "a@k1.example").await, SendOutcome::Sent { .. }));
    tokio::time::sleep(StdDuration::from_millis(1800)).await;
    let outcome = send(&way, "b@k1.example").await;
    assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
    assert_eq!(server.files().len(), 2);
}

#[tokio::test]
async fn starttls_and_log_in_work_and_a_wrong_password_blames_no_recipient() {
    let server = SmtpServer::start_with(Tls::StartTls, Some("rebated:c%40nary-7731"), 300);
    // The server is told the password as it is, the URL escapes it.
    let wrong = smtp(&server.url_with(Some("rebated:c@nary-0000".replace('@', "%40").as_str())), 5, 5);
    match send(&wrong, "a@k1.example").await {
        SendOutcome::NotSent { reason } => {
            assert!(reason.contains("does not accept the log-in"), "{reason}");
            assert!(!reason.contains("nary"), "no secret in an error: {reason}");
        }
        other => panic!("{other:?}"),
    }
    let right = smtp(&server.url_with(Some("rebated:c%2540nary-7731")), 5, 5);
    let outcome = send(&right, "a@k1.example").await;
    assert!(matches!(outcome, SendOutcome::Sent { .. }), "{outcome:?}");
}

#[tokio::test]
async fn nothing_goes_out_in_the_clear_or_to_a_stranger() {
    // No STARTTLS offered: the settings ask for it, so nothing is sent.
    let plain = SmtpServer::start_with(Tls::None, None, 300);
    let way = smtp(&SecretString::from(format!("smtp://localhost:{}", plain.port())), 5, 5);
    match send(&way, "a@k1.example").await {
        SendOutcome::NotSent { reason } => assert!(reason.contains("no TLS"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(plain.files().is_empty() && plain.log().is_empty());
    // A certificate that no authority we know has signed.
    let server = SmtpServer::start();
    let stranger = smtp(&SecretString::from(format!("smtps://localhost:{}", server.port())), 5, 5);
    assert!(matches!(send(&stranger, "a@k1.example").await, SendOutcome::NotSent { .. }));
    assert!(server.files().is_empty());
    // A relay on this very machine may do without.
    let local = smtp(&plain.url(), 5, 5);
    assert!(matches!(send(&local, "a@k1.example").await, SendOutcome::Sent { .. }));
}

#[tokio::test]
async fn without_a_server_the_mails_wait_and_the_pass_does_not_try_them_all() {
    let contacts: Vec<String> = (0..10).map(|n| format!("c{n}@k1.example")).collect();
    let borrowed: Vec<&str> = contacts.iter().map(String::as_str).collect();
    let partners = Partners::of(&[("K1", "Eins", &borrowed)]);
    let rows = Rows::default();
    rows.plan(&partners);
    // A port that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let way = transport(&SecretString::from(format!("smtps://localhost:{port}")));
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    let report = outbox.pass(start).await.unwrap();
    assert_eq!((report.later, report.server.unwrap().code.as_str()), (3, "mail-server"));
    assert_eq!(rows.rows.lock().unwrap().iter().filter(|r| r.state == MailState::Planned).count(), 7);
    assert!(rows.rows.lock().unwrap().iter().all(|r| r.attempts == 0), "nothing was handed over");
}

#[tokio::test]
async fn the_address_is_checked_again_at_the_moment_of_sending() {
    let folder = tempfile::tempdir().unwrap();
    let way = MailTransport::Folder(FolderTransport::new(folder.path()));
    let partners = Partners::of(&[("K1", "Eins", &["a@k1.example", "Left@k1.example"])]);
    let rows = Rows::default();
    rows.plan(&partners);
    partners.0.lock().unwrap().get_mut("K1").unwrap().1 = vec!["A@k1.example".into()];
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    let report = outbox.pass(start).await.unwrap();
    assert_eq!(codes(&report), ["mail-not-a-contact"]);
    assert_eq!(rows.of("Left@k1.example").state, MailState::Refused);
    assert_eq!(rows.of("a@k1.example").state, MailState::Sent, "spelling in capitals is the same address");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn one_statement_that_cannot_be_composed_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let way = MailTransport::Folder(FolderTransport::new(folder.path()));
    let partners = Partners::of(&[("K1", "unwritable", &["a@k1.example"]), ("K2", "Zwei", &["a@k2.example"])]);
    let rows = Rows::default();
    rows.plan(&partners);
    let outbox = Outbox { rows: &rows, content: &partners, transport: &way, pauses: MailPauses::default() };
    let report = outbox.pass(start).await.unwrap();
    assert_eq!((report.sent, codes(&report)), (1, vec!["mail-content"]));
    assert_eq!(rows.of("a@k1.example").state, MailState::Planned);
}

/// A composer that mixes partners up: the worst bug, caught at the last gate.
struct Shuffled<'a>(&'a Partners, BTreeMap<String, String>);

impl MailContent for Shuffled<'_> {
    type Error = Died;
    async fn contacts(&self, partner_code: &str) -> Result<Vec<String>, Died> {
        self.0.contacts(partner_code).await
    }
    async fn compose(&self, row: &MailRow) -> Result<Composed, Died> {
        let other = MailRow { partner_code: self.1[&row.partner_code].clone(), ..row.clone() };
        self.0.compose(&other).await
    }
}

#[tokio::test]
async fn figures_of_another_partner_are_never_sent_however_they_are_mixed_up() {
    let names: Vec<String> = (0..5).map(|n| format!("K{n}")).collect();
    let contacts: Vec<String> = (0..5).map(|n| format!("a@k{n}.example")).collect();
    let borrowed: Vec<[&str; 1]> = contacts.iter().map(|c| [c.as_str()]).collect();
    let list: Vec<(&str, &str, &[&str])> =
        names.iter().zip(&borrowed).map(|(name, contact)| (name.as_str(), name.as_str(), contact.as_slice())).collect();
    // Every rotation and every swap of two.
    let mut shuffles: Vec<Vec<usize>> = (0..5).map(|by| (0..5).map(|n| (n + by) % 5).collect()).collect();
    for swap in 1..5 {
        let mut order: Vec<usize> = (0..5).collect();
        order.swap(0, swap);
        shuffles.push(order);
    }
    for order in shuffles {
        let folder = tempfile::tempdir().unwrap();
        let way = MailTransport::Folder(FolderTransport::new(folder.path()));
        let partners = Partners::of(&list);
        let rows = Rows::default();
        rows.plan(&partners);
        let map = order.iter().enumerate().map(|(n, other)| (names[n].clone(), names[*other].clone())).collect();
        let shuffled = Shuffled(&partners, map);
        let outbox = Outbox { rows: &rows, content: &shuffled, transport: &way, pauses: MailPauses::default() };
        let report = outbox.pass(start).await.unwrap();
        let right = order.iter().enumerate().filter(|(n, other)| n == *other).count();
        assert_eq!((report.sent as usize, report.refused as usize), (right, 5 - right), "{order:?}");
        assert!(codes(&report).iter().all(|code| *code == "mail-wrong-partner"));
    }
}

#[test]
fn long_and_strange_names_arrive_character_for_character() {
    let folder = tempfile::tempdir().unwrap();
    let long = "Österreichisch-Ungarische Großhandelsgesellschaft für Präzisionsmöbelbeschläge ".repeat(4);
    for (number, name) in [
        "Möbelhaus Grünwald & Söhne",
        long.trim(),
        "株式会社日本ポンプ製作所 & 流体機器販売",
        "=cmd|calc Supplies",
        "\"Quoted\" =?utf-8?Q?fake?= (comment) <x@y.example>",
        "Evil\r\nBcc: victim@other.example",
        "😀🏭 Émile & Frères — ČŘŽ",
    ]
    .into_iter()
    .enumerate()
    {
        let statement = statement("K1", name);
        let rendered = render(&statement).unwrap();
        let subject = rendered.subject.clone();
        let attachment = rendered.sheet.name.clone();
        let id = message_id(SENDER, &["x", name]).unwrap();
        let built =
            rendered.mail("Rückvergütung Nord <rebates@northwind.example>", "a@k1.example", &id, start()).build().unwrap();
        let path = folder.path().join(format!("{number}.eml"));
        std::fs::write(&path, &built.bytes).unwrap();
        let read = decode(&path);
        assert_eq!(read["subject"], Value::from(subject.as_str()), "{name:?}");
        assert_eq!(read["attachments"][0]["name"], Value::from(attachment.as_str()), "{name:?}");
        assert_eq!(read["from"], "Rückvergütung Nord <rebates@northwind.example>");
        assert!(read["longest_line"].as_u64().unwrap() <= 998 && read["longest_word"].as_u64().unwrap() <= 75, "{read}");
        assert!(!read["header_text"].as_str().unwrap().lines().any(|line| line.to_lowercase().starts_with("bcc")), "{name:?}");
        assert_eq!(read["message_id"], Value::from(id.as_str()));
        assert!(built.bytes.is_ascii());
    }
}

#[test]
fn a_message_id_depends_on_partner_period_revision_and_contact_and_on_nothing_else() {
    let id = |partner: &str, revision, contact: &str| {
        plan_statement("northwind", SENDER, partner, june(), revision, &[contact.to_owned()]).unwrap()[0].message_id.clone()
    };
    let first = id("K1", 1, "a@k1.example");
    assert_eq!(first, id("K1", 1, "A@K1.example"));
    for other in [id("K2", 1, "a@k1.example"), id("K1", 2, "a@k1.example"), id("K1", 1, "b@k1.example")] {
        assert_ne!(first, other);
    }
    let twice = plan_statement("northwind", SENDER, "K1", june(), 1, &["a@k1.example".into(), " A@k1.example ".into()]).unwrap();
    assert_eq!(twice.len(), 1, "one mail for one address");
}

#[test]
fn pauses_grow() {
    let pauses = MailPauses::default().after_refusal;
    assert_eq!(pauses.len(), 5);
    assert!(pauses.windows(2).all(|two| two[0] < two[1]));
    assert!(pauses[0] >= Duration::minutes(1));
}
