//! Statements: from figures to a mail with a sheet.
//!
//! `words`, `phrases`, `steps` and `numbers` speak the partner's language, `view` turns figures into text once, and
//! `html`, `text` and `sheet` only lay it out. Nothing here computes a figure. The same statement
//! gives the same bytes.

pub mod html;
pub mod numbers;
pub mod phrases;
pub mod sheet;
pub mod steps;
pub mod text;
pub mod view;
pub mod words;

use crate::core::statement::Statement;
use crate::core::visible::without_hidden;
use crate::delivery::mail::{MailAttachment, OutgoingMail};
use crate::delivery::statement::words::Words;
use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

/// Why a statement could not be rendered: a bug or an exhausted machine, never the figures.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error("statement template: {0}")]
    Template(#[from] minijinja::Error),
    /// The sheet could not be written.
    #[error("statement sheet: {0}")]
    Sheet(#[from] rust_xlsxwriter::XlsxError),
}

/// A statement in every form in which it leaves the house.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedStatement {
    /// Mail subject: without amounts.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML with inline styles and nothing from elsewhere.
    pub html: String,
    /// The sheet.
    pub sheet: MailAttachment,
}

/// Renders a statement in its partner's language.
pub fn render(statement: &Statement) -> Result<RenderedStatement, RenderError> {
    let view = view::View::of(statement);
    Ok(RenderedStatement {
        subject: without_hidden(subject(statement)),
        text: without_hidden(text::render(&view)?),
        html: without_hidden(html::render(&view)?),
        sheet: MailAttachment {
            name: attachment_name(statement, "xlsx"),
            media_type: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet".to_owned(),
            bytes: sheet::write(statement)?,
        },
    })
}

impl RenderedStatement {
    /// The mail to one contact.
    pub fn mail(self, from: &str, to: &str, message_id: &str, date: DateTime<Utc>) -> OutgoingMail {
        OutgoingMail {
            message_id: message_id.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            subject: self.subject,
            text: self.text,
            html: Some(self.html),
            attachments: vec![self.sheet],
            date,
        }
    }
}

/// `Gutschriftsübersicht Juni 2026 – Möbelhaus Grünwald & Söhne`
pub fn subject(statement: &Statement) -> String {
    let words = Words::of(statement.language);
    format!("{} {} – {}", words.title, words.period(&statement.period_label, statement.period), statement.partner_name)
}

/// `Abrechnung_Juni_2026_Grünwald.xlsx`: letters and digits of any script, joined by `_`, so that
/// no partner's name reaches a file system or a spreadsheet as anything else than a name.
pub fn attachment_name(statement: &Statement, extension: &str) -> String {
    let words = Words::of(statement.language);
    let period = words.period(&statement.period_label, statement.period);
    let name = format!("{} {} {}", words.file, period, statement.partner_short);
    let mut safe = String::new();
    for part in name.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '.').filter(|p| !p.is_empty()) {
        if safe.chars().count() + part.chars().count() > 80 {
            break;
        }
        if !safe.is_empty() {
            safe.push('_');
        }
        safe.push_str(part.trim_matches('.'));
    }
    format!("{safe}.{extension}")
}

/// The template engine: an unknown name is an error, block tags take their line away.
fn environment(escape: AutoEscape) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_| escape.clone());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    Ok(environment)
}
