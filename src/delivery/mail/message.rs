//! One message as bytes: headers, text, HTML, attachments.
//!
//! Exactly one recipient, in the header and in the envelope. The same input gives the same bytes:
//! message id and part boundaries are derived, the date is passed in. Line breaks in any name or
//! subject become blanks before they reach a header.

use super::MailError;
use crate::core::hash::hex;
use crate::core::statement::one_line;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

/// A message before it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMail {
    /// Fixed id with angle brackets, as [`message_id`] gives it.
    pub message_id: String,
    /// Sender: `Rebates <rebates@company.example>`.
    pub from: String,
    /// The one recipient: an address, or a name with an address.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Plain text body.
    pub text: String,
    /// HTML body.
    pub html: Option<String>,
    /// Attachments.
    pub attachments: Vec<MailAttachment>,
    /// Date header.
    pub date: DateTime<Utc>,
}

/// One attached file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAttachment {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// A message ready to be handed over.
#[derive(Clone, Debug)]
pub struct BuiltMail {
    /// Sender and the one recipient.
    pub envelope: Envelope,
    /// Message id with angle brackets.
    pub message_id: String,
    /// Headers and body.
    pub bytes: Vec<u8>,
}

/// A message id that depends on nothing but what the message is: the same fields give the same id
/// for ever, so that a message sent twice can be recognised as one. `sender` gives the domain.
pub fn message_id(sender: &str, fields: &[&str]) -> Result<String, MailError> {
    let domain = mailbox(sender)?.email.domain().to_owned();
    Ok(format!("<rebated.{}@{domain}>", digest(fields)))
}

/// 32 hexadecimal characters over the length-prefixed fields.
fn digest(fields: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for field in fields {
        hasher.update(field.len().to_be_bytes());
        hasher.update(field.as_bytes());
    }
    hex(&hasher.finalize()[..16])
}

/// Parses `name <address>` or a bare address. Addresses with line breaks are refused.
pub fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    if text.chars().any(char::is_control) {
        return Err(MailError::Address { address: one_line(text), reason: "control characters".to_owned() });
    }
    text.trim()
        .parse()
        .map_err(|e: lettre::address::AddressError| MailError::Address { address: text.to_owned(), reason: e.to_string() })
}

impl OutgoingMail {
    /// Builds the bytes. Fails when an address is not one, never because of the text.
    pub fn build(&self) -> Result<BuiltMail, MailError> {
        let build_error = |e: &dyn std::fmt::Display| MailError::Build(e.to_string());
        let from = mailbox(&self.from)?;
        let to = mailbox(&self.to)?;
        let envelope = Envelope::new(Some(from.email.clone()), vec![to.email.clone()]).map_err(|e| build_error(&e))?;
        let boundary = digest(&["boundary", &self.message_id]);

        let text = SinglePart::plain(self.text.clone());
        let body = match &self.html {
            Some(html) => MultiPart::alternative()
                .boundary(format!("alternative-{boundary}"))
                .singlepart(text)
                .singlepart(SinglePart::html(html.clone())),
            None => MultiPart::mixed().boundary(format!("text-{boundary}")).singlepart(text),
        };
        let body = if self.attachments.is_empty() {
            body
        } else {
            let mut mixed = MultiPart::mixed().boundary(format!("mixed-{boundary}")).multipart(body);
            for attachment in &self.attachments {
                let media_type = ContentType::parse(&attachment.media_type).map_err(|e| build_error(&e))?;
                mixed = mixed.singlepart(Attachment::new(one_line(&attachment.name)).body(attachment.bytes.clone(), media_type));
            }
            mixed
        };
        let message = Message::builder()
            .from(from)
            .to(to)
            .raw_header(subject_header(&one_line(&self.subject)))
            .date(self.date.into())
            .message_id(Some(self.message_id.clone()))
            // Out-of-office answers to a nightly batch help nobody (RFC 3834).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(body)
            .map_err(|e| build_error(&e))?;
        Ok(BuiltMail { envelope, message_id: self.message_id.clone(), bytes: message.formatted() })
    }
}

/// The subject, encoded here: the library leaves ASCII words as they are, also a partner's name
/// that looks like an encoded word and would be shown as something else. Base64 words of whole
/// characters, at most 75 bytes each with their frame (RFC 2047), one to a line.
fn subject_header(subject: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str("Subject");
    if subject.is_ascii() && !subject.contains("=?") {
        return HeaderValue::new(name, subject.to_owned());
    }
    let mut words: Vec<String> = vec![String::new()];
    for character in subject.chars() {
        // 45 bytes are 60 in base64, and the frame takes 12.
        if words.last().is_some_and(|word| word.len() + character.len_utf8() > 45) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    let encoded: Vec<String> = words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    HeaderValue::dangerous_new_pre_encoded(name, subject.to_owned(), encoded.join("\r\n "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mail(subject: &str) -> OutgoingMail {
        OutgoingMail {
            message_id: message_id("Rebates <rebates@northwind.example>", &["statement", "K1"]).unwrap(),
            from: "Rebates <rebates@northwind.example>".into(),
            to: "a@k1.example".into(),
            subject: subject.into(),
            text: "Hello".into(),
            html: Some("<p>Hello</p>".into()),
            attachments: vec![],
            date: "2026-07-01T06:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_same_message_gives_the_same_bytes() {
        assert_eq!(mail("June").build().unwrap().bytes, mail("June").build().unwrap().bytes);
    }

    #[test]
    fn ids_depend_on_every_field_and_on_where_fields_end() {
        let id = |fields: &[&str]| message_id("r@x.example", fields).unwrap();
        assert_eq!(id(&["a", "b"]), id(&["a", "b"]));
        assert_ne!(id(&["a", "b"]), id(&["ab", ""]));
        assert_ne!(id(&["a", "b"]), id(&["a", "c"]));
        assert!(id(&["a"]).ends_with("@x.example>"));
    }

    #[test]
    fn line_breaks_start_no_header_of_their_own() {
        let bytes = mail("June\r\nBcc: b@k1.example").build().unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
        let mut evil = mail("June");
        evil.to = "a@k1.example\r\nBcc: b@k1.example".into();
        assert!(matches!(evil.build(), Err(MailError::Address { .. })));
    }
}
