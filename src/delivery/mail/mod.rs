//! Mail: one message for one recipient, and what the server said about it.
//!
//! `message` builds the bytes, `smtp` and `folder` hand them over. Whether to try at all, and
//! whether to try again, is the business of `outbox`. Invariant: [`SendOutcome`] never guesses; a
//! message whose end may have reached the server is `Uncertain`, nothing milder.

pub mod folder;
pub mod message;
pub mod smtp;

pub use folder::FolderTransport;
pub use message::{BuiltMail, MailAttachment, OutgoingMail, message_id};
pub use smtp::{SmtpSettings, SmtpTls, SmtpTransport};

/// What became of one attempt to hand over one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// The server took it.
    Sent {
        /// The server's queue id, or its whole answer where it names none.
        queue_id: String,
    },
    /// The server refuses it for good (5xx about the recipient or the content).
    Refused {
        /// Its answer.
        answer: String,
    },
    /// The server asks to come back later (4xx).
    Later {
        /// Its answer.
        answer: String,
    },
    /// It was certainly not handed over: no connection, no log-in, or cut before the content.
    NotSent {
        /// Why.
        reason: String,
    },
    /// The content went out and no answer came back: it may or may not have arrived.
    Uncertain {
        /// Why.
        reason: String,
    },
}

/// Why a message cannot be built or a transport cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Not an address that mail can go to.
    #[error("`{address}` is not a mail address: {reason}")]
    Address {
        /// As written.
        address: String,
        /// Why.
        reason: String,
    },
    /// The message cannot be put together.
    #[error("the message cannot be built: {0}")]
    Build(String),
    /// The transport's settings are wrong. Never carries a password.
    #[error("mail transport: {0}")]
    Settings(String),
}

/// Where mail goes.
pub enum MailTransport {
    /// To a server.
    Smtp(Box<SmtpTransport>),
    /// Into a folder, one file for each message.
    Folder(FolderTransport),
}

impl MailTransport {
    /// Hands over one message. Always returns: every step has a time limit.
    pub async fn send(&self, mail: &BuiltMail) -> SendOutcome {
        match self {
            Self::Smtp(smtp) => smtp.send(mail).await,
            Self::Folder(folder) => folder.send(mail).await,
        }
    }

    /// Ends an open connection politely.
    pub async fn close(&self) {
        if let Self::Smtp(smtp) = self {
            smtp.close().await;
        }
    }
}
