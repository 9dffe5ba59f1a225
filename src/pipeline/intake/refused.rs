//! Rows that could not be read: an exception each, which closes by itself once the row, its document or
//! its file came again and could be read.
//!
//! A row that names its document is known by document and line, whichever file brings it. One that
//! does not is known by its place in its source.

use super::version::Group;
use super::{Intake, PipelineResult};
use crate::core::line::{DocumentType, DraftLine};
use crate::mapping::RowProblem;
use crate::store::{ArchiveMeta, NewException};

/// Begins the keys of all rows that name their document.
pub const ROW: &str = "row:";
/// What a person decides who says that a row means what is written.
pub const RELEASE: &str = "release";
/// A row whose document type could not be read.
const ANY_TYPE: &str = "?";

/// Same source of rows: a file under its name in its feed, a page of an API only as itself.
pub fn source_key(archive: &ArchiveMeta) -> String {
    match archive.acknowledge_key {
        Some(_) => format!("{}/{}/{}", archive.connector, archive.feed, archive.name),
        None => format!("{}/{}#{}", archive.connector, archive.feed, archive.id),
    }
}

/// Key of a source that was refused as a whole.
pub fn whole_key(archive: &ArchiveMeta) -> String {
    format!("file:{}", source_key(archive))
}

fn document_prefix(document_type: &str, number: &str) -> String {
    format!("{ROW}{document_type}:{number}:")
}

/// Begins the keys of rows of a source that do not name their document.
pub fn source_prefix(source: &str) -> String {
    format!("rowin:{source}:")
}

/// The key of a refused row's exception; `prefix` is that of its source.
pub fn row_key(row: &RowProblem, prefix: &str) -> String {
    let id = &row.identity;
    let number = id.document_number.as_deref().unwrap_or_default();
    let line = id.line_number.as_deref().unwrap_or_default();
    if number.is_empty() {
        let place = row.problems.first().and_then(|first| first.problem.place.as_ref());
        let at = place.and_then(|p| p.line).map_or_else(String::new, |line| line.to_string());
        let at = if at.is_empty() { place.map(ToString::to_string).unwrap_or_default() } else { at };
        format!("{prefix}{at}")
    } else {
        let known = id.document_type.as_deref().filter(|word| DocumentType::from_word(word).is_some());
        format!("{}{line}", document_prefix(known.unwrap_or(ANY_TYPE), number))
    }
}

/// Whether an exception's key is that of a refused row of a document, of this line if one is named.
pub fn is_row_of(key: &str, number: &str, line: Option<&str>) -> bool {
    let types = DocumentType::WORDS.iter().map(|(word, _)| *word).chain([ANY_TYPE]);
    types.map(|word| document_prefix(word, number)).any(|prefix| match (key.strip_prefix(prefix.as_str()), line) {
        (Some(rest), Some(line)) => rest == line,
        // A number may hold a colon itself; a line number of that kind is not worth a mix-up.
        (Some(rest), None) => !rest.contains(':'),
        (None, _) => false,
    })
}

impl Intake<'_> {
    /// A row that could not be read becomes an exception of its document.
    pub(super) async fn refuse_row(&mut self, row: &RowProblem) -> PipelineResult<()> {
        self.counts.rows_refused += 1;
        let id = &row.identity;
        let Some(first) = row.problems.first() else { return Ok(()) };
        let number = id.document_number.clone().unwrap_or_default();
        let line = id.line_number.clone().unwrap_or_default();
        let place = first.problem.place.as_ref().map(ToString::to_string);
        let subject = if number.is_empty() {
            place.clone().unwrap_or_else(|| "row".to_owned())
        } else {
            format!("{} {number} line {line}", id.document_type.as_deref().unwrap_or("document"))
        };
        let messages: Vec<String> = row
            .problems
            .iter()
            .map(|p| match (&p.field, &p.raw) {
                (Some(field), Some(raw)) => format!("{field} `{raw}`: {}", p.problem.message),
                (Some(field), None) => format!("{field}: {}", p.problem.message),
                _ => p.problem.message.clone(),
            })
            .collect();
        let key = row_key(row, &self.source_prefix());
        self.refused_now.insert(key.clone());
        let new = NewException {
            code: first.problem.code.clone(),
            blocking: true,
            subject,
            message: messages.join("; "),
            help: first.problem.help.clone(),
            place,
            partner: id.partner.clone(),
            on_date: id.document_date.as_deref().and_then(|d| d.parse().ok()),
            line_number: id.line_number.clone(),
            dedupe_key: key,
            ..NewException::default()
        };
        self.open(new).await
    }

    /// The line of a refused row, where a person said that it means what is written (case 04).
    pub(super) async fn released(&mut self, row: &RowProblem) -> PipelineResult<Option<Box<DraftLine>>> {
        let Some(line) = &row.as_written else { return Ok(None) };
        let key = row_key(row, &self.source_prefix());
        let decided = self.tx.exception_decided(&key).await?;
        Ok(decided.is_some_and(|(action, _)| action == RELEASE).then(|| line.clone()))
    }

    fn source_prefix(&self) -> String {
        match &self.delivery.source {
            Some(source) => source_prefix(source),
            None => source_prefix(&format!("#{}", self.delivery.archive_id)),
        }
    }

    /// The keys under which a refused row of this line may be known.
    pub(super) fn row_keys(draft: &DraftLine) -> [String; 2] {
        [draft.document_type.word(), ANY_TYPE]
            .map(|word| format!("{}{}", document_prefix(word, &draft.document_number), draft.line_number))
    }

    /// A state of a document was taken as it is now: rows of it that were refused before are done with,
    /// unless this delivery has them too.
    pub(super) fn document_read(&mut self, group: &Group) {
        if !self.any_row_open {
            return;
        }
        let types = [group.identity.document_type, ANY_TYPE];
        let prefixes = types.map(|word| document_prefix(word, &group.identity.number));
        let open = self.open_keys.iter().filter(|key| prefixes.iter().any(|prefix| key.starts_with(prefix.as_str())));
        self.read_now.extend(open.cloned());
    }

    /// Closes what this delivery has shown to be mended.
    pub(super) async fn close_mended_rows(&mut self) -> PipelineResult<()> {
        let prefix = self.source_prefix();
        let of_source = self.open_keys.iter().filter(|key| key.starts_with(&prefix)).cloned();
        let mended: Vec<String> = of_source.chain(self.read_now.drain()).filter(|key| !self.refused_now.contains(key)).collect();
        for key in mended {
            if self.open_keys.remove(&key) {
                self.tx.clear_exception(&key, "it was delivered again and could be read", self.delivery.now).await?;
            }
        }
        Ok(())
    }
}
