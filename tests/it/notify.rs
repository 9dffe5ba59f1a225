//! Alerts to the company's own people, by a real SMTP server and a real HTTP connection.

use crate::support::smtp::SmtpServer;
use chrono::{DateTime, Utc};
use rebated::delivery::mail::{MailTransport, SmtpSettings, SmtpTransport};
use rebated::delivery::notify::{Alert, AlertKind, Notifier};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::time::Duration as StdDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn alert() -> Alert {
    Alert {
        kind: AlertKind::Failed,
        company: "Northwind Pumps".into(),
        job: "nightly".into(),
        run_key: "2026-06-30".into(),
        business_day: "2026-06-30".parse().unwrap(),
        attempt: 2,
        summary: "stage pull failed: erp does not answer".into(),
        details: vec!["pull: 0 in, 0 out".into()],
        at: "2026-07-01T06:00:00Z".parse::<DateTime<Utc>>().unwrap(),
    }
}

/// Answers each connection with the next status; gives the bodies back.
async fn webhook(statuses: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=c4nary-9921", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut bodies = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request).to_string();
                if let Some((_, body)) = text.split_once("\r\n\r\n")
                    && (body.ends_with('}') || read == 0)
                {
                    bodies.push(body.to_owned());
                    break;
                }
            }
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        bodies
    });
    (url, task)
}

#[tokio::test]
async fn an_alert_reaches_each_recipient_and_the_webhook() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = SmtpServer::start();
    server.script(&json!({ "rcpt": { "gone@northwind.example": "550 5.1.1 no" } }));
    let (url, hook) = webhook(vec!["503 Service Unavailable", "200 OK"]).await;
    let way = MailTransport::Smtp(Box::new(SmtpTransport::new(SmtpSettings::from_url(&server.url()).unwrap()).unwrap()));
    let notifier = Notifier {
        mail: Some((&way, "Rebates <rebates@northwind.example>".into())),
        recipients: vec!["finance@northwind.example".into(), "gone@northwind.example".into()],
        webhook: Some(SecretString::from(url)),
        webhook_timeout: StdDuration::from_secs(5),
    };
    let failed = notifier.notify(&alert()).await;
    assert_eq!(failed.iter().map(|f| f.to.as_str()).collect::<Vec<_>>(), ["gone@northwind.example"]);
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["subject"], "rebated: nightly 2026-06-30 failed");
    assert!(messages[0]["text"].as_str().unwrap().contains("erp does not answer"));
    let bodies = hook.await.unwrap();
    assert_eq!(bodies.len(), 2, "tried again after 503");
    let body: Value = serde_json::from_str(&bodies[1]).unwrap();
    assert_eq!((&body["kind"], &body["job"]), (&json!("failed"), &json!("nightly")));
}

#[tokio::test]
async fn a_webhook_that_refuses_is_reported_without_its_secret() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, _hook) = webhook(vec!["403 Forbidden"]).await;
    let gone = SecretString::from(url);
    let notifier = Notifier { mail: None, recipients: vec![], webhook: Some(gone), webhook_timeout: StdDuration::from_secs(5) };
    let failed = notifier.notify(&alert()).await;
    assert_eq!(failed.len(), 1);
    assert!(failed[0].reason.contains("403") && !format!("{failed:?}").contains("c4nary"), "{failed:?}");
}
