//! Operational alerts to the company's own people: failed, late, exceptions.
//!
//! Best effort by design: an alert that cannot be delivered is reported to the caller, who logs
//! it, and never fails a run. No figures of a partner are in here, only counts and reasons.

use crate::core::agreement::words;
use crate::core::statement::one_line;
use crate::delivery::mail::{MailTransport, OutgoingMail, SendOutcome, message_id};
use chrono::{DateTime, NaiveDate, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;

words! {
    /// What an alert is about.
    AlertKind {
        /// A run failed.
        Failed = "failed",
        /// A run has not started or not ended in time.
        Late = "late",
        /// A run ended and left exceptions.
        Exceptions = "exceptions",
    } default Failed
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// Our company's name.
    pub company: String,
    /// Job name.
    pub job: String,
    /// Key of the run: business day or due time.
    pub run_key: String,
    /// Business day.
    pub business_day: NaiveDate,
    /// Attempt number; a further attempt is a further alert.
    pub attempt: u32,
    /// One sentence.
    pub summary: String,
    /// Further lines: stage counts, exception codes with counts, where to look.
    pub details: Vec<String>,
    /// When.
    pub at: DateTime<Utc>,
}

impl Alert {
    fn subject(&self) -> String {
        one_line(&format!("rebated: {} {} {}", self.job, self.run_key, self.kind))
    }
    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.summary);
        for detail in &self.details {
            text.push_str(&format!("- {detail}\n"));
        }
        text.push_str(&format!(
            "\ncompany {}, job {}, run {}, business day {}, attempt {}, at {}\n",
            self.company,
            self.job,
            self.run_key,
            self.business_day,
            self.attempt,
            self.at.format("%Y-%m-%d %H:%M:%S UTC")
        ));
        text
    }
}

/// Where alerts go.
pub struct Notifier<'a> {
    /// Way out for mail, with the sender's address.
    pub mail: Option<(&'a MailTransport, String)>,
    /// Recipients, each of whom gets a mail of their own.
    pub recipients: Vec<String>,
    /// Where to post the alert as JSON.
    pub webhook: Option<SecretString>,
    /// Limit for the post.
    pub webhook_timeout: Duration,
}

/// An alert that did not get out on one of its ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDelivered {
    /// The address, or `webhook` (its URL may be a secret).
    pub to: String,
    /// Why.
    pub reason: String,
}

impl Notifier<'_> {
    /// Sends the alert on every way; returns the ways that failed.
    pub async fn notify(&self, alert: &Alert) -> Vec<NotDelivered> {
        let mut failed = Vec::new();
        for recipient in &self.recipients {
            if let Err(reason) = self.mail(alert, recipient).await {
                failed.push(NotDelivered { to: recipient.clone(), reason });
            }
        }
        if let Some(url) = &self.webhook
            && let Err(reason) = self.post(alert, url).await
        {
            failed.push(NotDelivered { to: "webhook".to_owned(), reason });
        }
        failed
    }

    async fn mail(&self, alert: &Alert, recipient: &str) -> Result<(), String> {
        let Some((transport, sender)) = &self.mail else {
            return Err("no mail transport is configured".to_owned());
        };
        let fields = ["alert", &alert.job, &alert.run_key, alert.kind.word(), &alert.attempt.to_string(), recipient];
        let mail = OutgoingMail {
            message_id: message_id(sender, &fields).map_err(|e| e.to_string())?,
            from: sender.clone(),
            to: recipient.to_owned(),
            subject: alert.subject(),
            text: alert.text(),
            html: None,
            attachments: Vec::new(),
            date: alert.at,
        };
        let built = mail.build().map_err(|e| e.to_string())?;
        match transport.send(&built).await {
            SendOutcome::Sent { .. } => Ok(()),
            SendOutcome::Refused { answer } | SendOutcome::Later { answer } => Err(answer),
            SendOutcome::NotSent { reason } | SendOutcome::Uncertain { reason } => Err(reason),
        }
    }

    async fn post(&self, alert: &Alert, url: &SecretString) -> Result<(), String> {
        let client = reqwest::Client::builder()
            .timeout(self.webhook_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| e.without_url().to_string())?;
        let mut last = String::new();
        for pause in [0, 2, 5] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            match client.post(url.expose_secret()).json(alert).send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) if response.status().is_client_error() => return Err(format!("answered {}", response.status())),
                Ok(response) => last = format!("answered {}", response.status()),
                // The URL of a webhook is often its only secret.
                Err(error) => last = error.without_url().to_string(),
            }
        }
        Err(last)
    }
}
