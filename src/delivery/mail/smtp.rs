//! SMTP, verb by verb, so that the place of a failure is known.
//!
//! The library's own `send` does not say how far it came, and its time limit covers connecting
//! only; here every step has one, and the step decides what a failure means: before the content
//! nothing was handed over, after it only the server's own answer is believed.

use super::{BuiltMail, MailError, SendOutcome};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use secrecy::{ExposeSecret, SecretString};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte (`smtps://`).
    Implicit,
    /// STARTTLS, and no mail without it (`smtp://`).
    StartTls,
    /// None: only to this very machine (`smtp://localhost?tls=none`).
    None,
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// Host name; also the name the certificate must bear.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Protection.
    pub tls: SmtpTls,
    /// A further certificate authority in PEM, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Log-in name and password.
    pub credentials: Option<(String, SecretString)>,
    /// Limit for connecting, TLS and log-in, and for each verb before the content.
    pub command_timeout: Duration,
    /// Limit for the content and the answer to it. RFC 5321 asks for ten minutes.
    pub content_timeout: Duration,
}

impl SmtpSettings {
    /// Reads `smtps://user:password@host:465` or `smtp://host:587`, with `?ca=/path/ca.pem` for a
    /// further authority. Without TLS only `smtp://localhost:25?tls=none` (a relay on this machine).
    pub fn from_url(url: &SecretString) -> Result<Self, MailError> {
        let wrong = |what: &str| MailError::Settings(what.to_owned());
        let parsed = url::Url::parse(url.expose_secret()).map_err(|_| wrong("the address is not a URL"))?;
        let host = parsed.host_str().ok_or_else(|| wrong("the address names no host"))?.to_owned();
        let mut ca_file = None;
        let mut no_tls = false;
        for (key, value) in parsed.query_pairs() {
            match (key.as_ref(), value.as_ref()) {
                ("ca", path) => ca_file = Some(PathBuf::from(path)),
                ("tls", "none") => no_tls = true,
                ("tls", "required") => {}
                (key, _) => return Err(wrong(&format!("`{key}` in the address is not known; use `ca` or `tls`"))),
            }
        }
        let (tls, default_port) = match (parsed.scheme(), no_tls) {
            ("smtps", false) => (SmtpTls::Implicit, 465),
            ("smtp", false) => (SmtpTls::StartTls, 587),
            ("smtp", true) if matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]") => (SmtpTls::None, 25),
            ("smtp", true) => return Err(wrong("`tls=none` is for a server on this machine only; mail to others goes by TLS")),
            _ => return Err(wrong("the address must start with smtps:// or smtp://")),
        };
        let decode = |text: &str| percent_decoded(text).ok_or_else(|| wrong("the log-in in the address is not UTF-8"));
        let credentials = match parsed.password() {
            Some(password) => Some((decode(parsed.username())?, SecretString::from(decode(password)?))),
            None if parsed.username().is_empty() => None,
            None => return Err(wrong("the address names a user but no password")),
        };
        Ok(Self {
            port: parsed.port().unwrap_or(default_port),
            host,
            tls,
            ca_file,
            credentials,
            command_timeout: Duration::from_secs(60),
            content_timeout: Duration::from_secs(600),
        })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' && tail.len() >= 2 {
            let hex = std::str::from_utf8(&tail[..2]).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// One connection at a time, kept open between messages.
pub struct SmtpTransport {
    settings: SmtpSettings,
    tls: Option<TlsParameters>,
    hello: ClientId,
    connection: Mutex<Option<AsyncSmtpConnection>>,
}

/// Why a message did not get as far as its content.
enum BeforeContent {
    /// The server's answer about this recipient or message.
    Answer(SendOutcome),
    /// Connection trouble; says nothing about the message.
    Broken(String),
}

impl SmtpTransport {
    /// Sets up a transport; connects with the first message.
    pub fn new(settings: SmtpSettings) -> Result<Self, MailError> {
        let tls = match settings.tls {
            SmtpTls::None => None,
            SmtpTls::Implicit | SmtpTls::StartTls => {
                let mut builder = TlsParameters::builder(settings.host.clone());
                if let Some(path) = &settings.ca_file {
                    let pem = std::fs::read(path).map_err(|e| MailError::Settings(format!("{}: {e}", path.display())))?;
                    let certificate =
                        Certificate::from_pem(&pem).map_err(|e| MailError::Settings(format!("{}: {e}", path.display())))?;
                    builder = builder.add_root_certificate(certificate);
                }
                Some(builder.build().map_err(|e| MailError::Settings(e.to_string()))?)
            }
        };
        Ok(Self { settings, tls, hello: ClientId::default(), connection: Mutex::new(None) })
    }

    /// Hands over one message.
    pub async fn send(&self, mail: &BuiltMail) -> SendOutcome {
        // The connection is taken out for the time of use: if this future is dropped half way, so is
        // the connection, and nobody continues in the middle of someone else's message.
        let mut kept = self.connection.lock().await;
        let idle = match kept.take() {
            Some(connection) => self.still_open(connection).await,
            None => None,
        };
        let was_idle = idle.is_some();
        let mut connection = match idle {
            Some(connection) => connection,
            None => match self.connect().await {
                Ok(connection) => connection,
                Err(reason) => return SendOutcome::NotSent { reason },
            },
        };
        let mut before = self.envelope(&mut connection, mail).await;
        if was_idle && matches!(before, Err(BeforeContent::Broken(_))) {
            // Closed by the server between our question and the message: not a failed mail.
            connection = match self.connect().await {
                Ok(connection) => connection,
                Err(reason) => return SendOutcome::NotSent { reason },
            };
            before = self.envelope(&mut connection, mail).await;
        }
        match before {
            Ok(()) => {}
            Err(BeforeContent::Broken(reason)) => return SendOutcome::NotSent { reason },
            Err(BeforeContent::Answer(outcome)) => {
                if self.limited(connection.command(Rset)).await.is_ok() {
                    *kept = Some(connection);
                }
                return outcome;
            }
        }
        let answer = timeout(self.settings.content_timeout, connection.message(&mail.bytes)).await;
        match answer {
            Ok(Ok(response)) => {
                *kept = Some(connection);
                let text = response.message().collect::<Vec<_>>().join(" ");
                SendOutcome::Sent { queue_id: queue_id(&text) }
            }
            Ok(Err(error)) => match refusal(&error) {
                Some(outcome) => {
                    *kept = Some(connection);
                    outcome
                }
                None => SendOutcome::Uncertain { reason: format!("no answer after the content: {}", chain(&error)) },
            },
            Err(_) => SendOutcome::Uncertain {
                reason: format!("no answer {} seconds after the content", self.settings.content_timeout.as_secs()),
            },
        }
    }

    /// Says goodbye.
    pub async fn close(&self) {
        if let Some(mut connection) = self.connection.lock().await.take() {
            let _ = self.limited(connection.quit()).await;
        }
    }

    /// Connects, protects, logs in, and says goodbye: what `check --online` tries.
    pub async fn test(&self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        let _ = self.limited(connection.quit()).await;
        Ok(())
    }

    async fn limited<T>(&self, step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, VerbError> {
        match timeout(self.settings.command_timeout, step).await {
            Ok(result) => result.map_err(VerbError::Smtp),
            Err(_) => Err(VerbError::TooSlow(self.settings.command_timeout)),
        }
    }

    async fn still_open(&self, mut connection: AsyncSmtpConnection) -> Option<AsyncSmtpConnection> {
        match timeout(self.settings.command_timeout, connection.test_connected()).await {
            Ok(true) => Some(connection),
            Ok(false) | Err(_) => None,
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let at = format!("{}:{}", self.settings.host, self.settings.port);
        let implicit = if self.settings.tls == SmtpTls::Implicit { self.tls.clone() } else { None };
        let host = self.settings.host.trim_matches(['[', ']']).to_owned();
        let server = (host, self.settings.port);
        let mut connection = self
            .limited(AsyncSmtpConnection::connect_tokio1(
                server,
                Some(self.settings.command_timeout),
                &self.hello,
                implicit,
                None,
            ))
            .await
            .map_err(|e| format!("no connection to {at}: {e}"))?;
        if let (SmtpTls::StartTls, Some(tls)) = (self.settings.tls, &self.tls) {
            self.limited(connection.starttls(tls.clone(), &self.hello)).await.map_err(|e| format!("no TLS with {at}: {e}"))?;
        }
        if let Some((user, password)) = &self.settings.credentials {
            let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
            self.limited(connection.auth(DEFAULT_MECHANISMS, &credentials))
                .await
                .map_err(|e| format!("{at} does not accept the log-in: {e}"))?;
        }
        Ok(connection)
    }

    async fn envelope(&self, connection: &mut AsyncSmtpConnection, mail: &BuiltMail) -> Result<(), BeforeContent> {
        let mut options = Vec::new();
        let mut addresses = mail.envelope.from().into_iter().chain(mail.envelope.to());
        if addresses.any(|address| !address.to_string().is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let answer = "the server takes no addresses outside ASCII (SMTPUTF8)".to_owned();
                return Err(BeforeContent::Answer(SendOutcome::Refused { answer }));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !mail.bytes.is_ascii() && connection.server_info().supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        // A refused sender is our setting, not the recipient's fault: the mail stays to be sent.
        match self.limited(connection.command(Mail::new(mail.envelope.from().cloned(), options))).await {
            Ok(_) => {}
            Err(VerbError::Smtp(error)) if error.is_transient() => {
                return Err(BeforeContent::Answer(SendOutcome::Later { answer: error.to_string() }));
            }
            Err(error) => return Err(BeforeContent::Broken(format!("sender: {error}"))),
        }
        for recipient in mail.envelope.to() {
            self.verb(connection.command(Rcpt::new(recipient.clone(), vec![]))).await?;
        }
        self.verb(connection.command(Data)).await
    }

    async fn verb<T>(&self, step: impl Future<Output = Result<T, SmtpError>>) -> Result<(), BeforeContent> {
        match self.limited(step).await {
            Ok(_) => Ok(()),
            Err(VerbError::Smtp(error)) => Err(match refusal(&error) {
                Some(outcome) => BeforeContent::Answer(outcome),
                None => BeforeContent::Broken(chain(&error)),
            }),
            Err(slow) => Err(BeforeContent::Broken(slow.to_string())),
        }
    }
}

/// A failed verb: the library's error, or our time limit.
#[derive(Debug, thiserror::Error)]
enum VerbError {
    #[error("{}", chain(.0))]
    Smtp(SmtpError),
    #[error("no answer within {} seconds", .0.as_secs())]
    TooSlow(Duration),
}

/// The server's own refusal, if the error is one.
fn refusal(error: &SmtpError) -> Option<SendOutcome> {
    let answer = chain(error);
    if error.is_transient() {
        Some(SendOutcome::Later { answer })
    } else if error.is_permanent() {
        Some(SendOutcome::Refused { answer })
    } else {
        None
    }
}

/// An error with its causes, as far as they add anything.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// The id in `Ok: queued as 4F1`; the whole answer where there is none.
fn queue_id(answer: &str) -> String {
    match answer.split_once("queued as ") {
        Some((_, id)) => id.trim().to_owned(),
        None => answer.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(url: &str) -> Result<SmtpSettings, MailError> {
        SmtpSettings::from_url(&SecretString::from(url.to_owned()))
    }

    #[test]
    fn addresses_of_servers() {
        let implicit = settings("smtps://user:p%40ss@mail.example:465").unwrap();
        assert_eq!((implicit.tls, implicit.port, implicit.host.as_str()), (SmtpTls::Implicit, 465, "mail.example"));
        let (user, password) = implicit.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("user", "p@ss"));
        assert_eq!(settings("smtp://mail.example").unwrap().tls, SmtpTls::StartTls, "never in the clear by default");
        assert_eq!(settings("smtp://mail.example").unwrap().port, 587);
        assert_eq!(settings("smtp://localhost:2525?tls=none").unwrap().tls, SmtpTls::None);
    }

    #[test]
    fn mail_to_another_machine_in_the_clear_is_refused_without_telling_the_password() {
        for url in [
            "smtp://u:hunter2@mail.example?tls=none",
            "http://u:hunter2@mail.example",
            "smtps://u:hunter2@mail.example?verify=no",
        ] {
            let error = settings(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let debug = format!("{:?}", settings("smtps://u:hunter2@mail.example").unwrap());
        assert!(!debug.contains("hunter2"), "{debug}");
    }

    #[test]
    fn queue_ids() {
        assert_eq!(queue_id("2.0.0 Ok: queued as 4F1A"), "4F1A");
        assert_eq!(queue_id("2.0.0 accepted"), "2.0.0 accepted");
    }
}
