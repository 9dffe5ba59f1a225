//! Separated text: cut into records with right line numbers, strictly.
//!
//! Not built on the `csv` crate on purpose: that one takes a file that ends inside quotes as
//! complete and counts lines per record start before blank lines. Here a quote left open refuses the
//! file (it was cut off), a ragged row is a problem of that row, and the line is where the row
//! starts. Memory is one record plus one read buffer.

use crate::core::problem::{Place, Problem};
use crate::formats::text::{TextEncoding, Transcoder, UnknownByte};
use crate::formats::{CsvOptions, FormatError, HeaderCheck, Node, Record, RecordSink};
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

const CHUNK: usize = 256 * 1024;
/// Longest record; a longer one is a quote left open or not a table at all.
const LONGEST_RECORD: usize = 16 * 1024 * 1024;

/// How to mend a file without its last line end.
const CUT_OFF: &str = "it may have been cut off: deliver it again as a whole, with a line end after the last row; \
    a feed whose files really end without one says `line_end = \"optional\"`";

fn place(source: &Arc<str>, line: u32) -> Place {
    Place::source(Arc::clone(source)).at_line(line)
}

/// One record: its fields as text.
pub(crate) struct Row<'a> {
    text: &'a str,
    ends: &'a [Range<usize>],
    /// 1-based line where the record starts.
    pub(crate) line: u32,
}

impl<'a> Row<'a> {
    /// Number of fields.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
    /// A field as written (quotes removed).
    pub(crate) fn get(&self, index: usize) -> &'a str {
        self.ends.get(index).map_or("", |range| &self.text[range.clone()])
    }
    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.ends.iter().map(move |range| &text[range.clone()])
    }
}

/// What [`scan`] gives for each record: the row, or what is wrong with its quotes (with its line).
pub(crate) type RowSink<'a> = dyn FnMut(Result<Row<'_>, Problem>) -> Result<ControlFlow<()>, FormatError> + 'a;

struct Cutter<'a> {
    input: &'a mut dyn Read,
    source: &'a Arc<str>,
    separator: u8,
    buffer: Vec<u8>,
    /// Bytes of `buffer` before this are done.
    start: usize,
    end_of_input: bool,
    line: u32,
}

/// Where a raw record ends and what it holds.
struct Raw {
    /// Length without its line end.
    length: usize,
    /// Length with its line end.
    taken: usize,
    /// Whether it has one.
    ended: bool,
    quoted: bool,
    lines: u32,
}

impl Cutter<'_> {
    fn place(&self, line: u32) -> Place {
        Place::source(Arc::clone(self.source)).at_line(line)
    }

    /// Reads more bytes; `false` at the end of the input.
    fn fill(&mut self) -> Result<bool, FormatError> {
        if self.end_of_input {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        if self.buffer.len() > LONGEST_RECORD {
            return Err(Problem::new("record-too-long", "one record is longer than 16 MiB")
                .at(self.place(self.line))
                .help("look for a quote that is never closed")
                .into());
        }
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let count = loop {
            match self.input.read(&mut self.buffer[old..]) {
                Ok(count) => break count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let unknown = error.get_ref().and_then(|inner| inner.downcast_ref::<UnknownByte>());
                    return Err(match unknown {
                        Some(unknown) => Problem::new("encoding", unknown.to_string())
                            .at(self.place(u32::try_from(unknown.line).unwrap_or(u32::MAX)))
                            .help("declare the encoding the file really has")
                            .into(),
                        None => FormatError::Io(error),
                    });
                }
            }
        };
        self.buffer.truncate(old + count);
        self.end_of_input = count == 0;
        Ok(count > 0)
    }

    /// Finds the end of the next record, reading as needed; `None` at the end.
    fn next(&mut self) -> Result<Option<Raw>, FormatError> {
        let mut from = 0;
        let (mut quoted, mut inside, mut lines) = (false, false, 0);
        let mut closed_at = None;
        loop {
            let bytes = &self.buffer[self.start..];
            let mut position = from;
            while let Some(offset) = memchr::memchr2(b'\n', b'"', &bytes[position..]) {
                let at = position + offset;
                position = at + 1;
                if bytes[at] == b'"' {
                    if inside {
                        inside = false;
                        closed_at = Some(at);
                    } else if at == 0 || bytes[at - 1] == self.separator || closed_at == Some(at - 1) {
                        // Only at the start of a field does a quote open it; the other case is the
                        // second half of a doubled quote.
                        quoted = true;
                        inside = true;
                    }
                    continue;
                }
                lines += 1;
                if inside {
                    continue;
                }
                let length = if at > 0 && bytes[at - 1] == b'\r' { at - 1 } else { at };
                return Ok(Some(Raw { length, taken: at + 1, ended: true, quoted, lines }));
            }
            from = bytes.len();
            if !self.fill()? {
                let rest = self.buffer.len() - self.start;
                if inside {
                    return Err(Problem::new("truncated", "a quoted field is never closed")
                        .at(self.place(self.line))
                        .help("the file was cut off or a quote is missing; nothing of it was taken")
                        .into());
                }
                if rest == 0 {
                    return Ok(None);
                }
                let ended = self.buffer.ends_with(b"\r");
                let length = if ended { rest - 1 } else { rest };
                return Ok(Some(Raw { length, taken: rest, ended, quoted, lines }));
            }
        }
    }
}

/// Cuts a quoted record into fields; `Err` when text follows a closing quote.
fn cut_quoted(raw: &str, separator: u8, text: &mut String, ends: &mut Vec<Range<usize>>) -> Result<(), ()> {
    text.clear();
    ends.clear();
    let bytes = raw.as_bytes();
    let mut at = 0;
    loop {
        let begin = text.len();
        if bytes.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let quote = at + memchr::memchr(b'"', &bytes[at..]).ok_or(())?;
                text.push_str(&raw[at..quote]);
                at = quote + 1;
                if bytes.get(at) != Some(&b'"') {
                    break;
                }
                text.push('"');
                at += 1;
            }
            if at < bytes.len() && bytes[at] != separator {
                return Err(());
            }
        } else {
            let end = memchr::memchr(separator, &bytes[at..]).map_or(bytes.len(), |offset| at + offset);
            text.push_str(&raw[at..end]);
            at = end;
        }
        ends.push(begin..text.len());
        if at >= bytes.len() {
            return Ok(());
        }
        at += 1;
    }
}

/// Cuts `input` into records. Blank lines are passed over; the first record is the header, if any.
///
/// # Errors
/// Bytes outside the declared encoding, a quote never closed, a record without end.
pub(crate) fn scan(
    options: &CsvOptions,
    input: &mut dyn Read,
    source: &Arc<str>,
    sink: &mut RowSink<'_>,
) -> Result<(), FormatError> {
    let encoding = TextEncoding::from_label(&options.encoding).ok_or_else(|| {
        Problem::new("encoding", format!("`{}` is not an encoding that can be read", options.encoding))
            .at(Place::source(Arc::clone(source)))
            .help("use utf-8, windows-1252, iso-8859-1 or another single-byte encoding")
    })?;
    match &encoding {
        TextEncoding::Utf8 => cut(options, input, source, sink),
        TextEncoding::SingleByte { label, table } => cut(options, &mut Transcoder::new(input, label, table), source, sink),
    }
}

fn cut(options: &CsvOptions, input: &mut dyn Read, source: &Arc<str>, sink: &mut RowSink<'_>) -> Result<(), FormatError> {
    let separator = options.separator;
    let mut cutter =
        Cutter { input, source, separator, buffer: Vec::with_capacity(2 * CHUNK), start: 0, end_of_input: false, line: 1 };
    while cutter.buffer.len() < 3 && cutter.fill()? {}
    if cutter.buffer.starts_with(&[0xEF, 0xBB, 0xBF]) {
        cutter.start = 3;
    } else if cutter.buffer.starts_with(&[0xFF, 0xFE]) || cutter.buffer.starts_with(&[0xFE, 0xFF]) {
        return Err(Problem::new("encoding", "the file is UTF-16").at(cutter.place(1)).help("save it as UTF-8").into());
    } else if cutter.buffer.starts_with(b"PK\x03\x04") {
        return Err(Problem::new("wrong-format", "the file is a spreadsheet or archive, not separated text")
            .at(cutter.place(1))
            .help("read it as xlsx")
            .into());
    }
    let mut skip = options.skip_lines;
    let mut first = true;
    let (mut text, mut ends) = (String::new(), Vec::new());
    while let Some(raw) = cutter.next()? {
        let line = cutter.line;
        let bytes = &cutter.buffer[cutter.start..cutter.start + raw.length];
        cutter.start += raw.taken;
        cutter.line += raw.lines;
        if skip > 0 {
            skip -= 1;
            continue;
        }
        if bytes.is_empty() {
            continue;
        }
        let unfinished = options.line_end_required && !raw.ended;
        if unfinished && std::mem::take(&mut first) {
            return Err(Problem::new("truncated", "the file ends inside its first row")
                .at(place(source, line))
                .help(CUT_OFF)
                .into());
        }
        first = false;
        if unfinished {
            let message = "the file ends inside this row: no line end follows it";
            let _ = sink(Err(Problem::new("unfinished-row", message).at(place(source, line)).help(CUT_OFF)))?;
            return Ok(());
        }
        let record = match std::str::from_utf8(bytes) {
            Ok(record) => record,
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let at = line + u32::try_from(memchr::memchr_iter(b'\n', before).count()).unwrap_or(0);
                let message = format!("byte 0x{:02X} is not UTF-8", bytes[error.valid_up_to()]);
                return Err(Problem::new("encoding", message)
                    .at(Place::source(Arc::clone(source)).at_line(at))
                    .help("declare the encoding the file really has, for example windows-1252; nothing of it was taken")
                    .into());
            }
        };
        if memchr::memchr(0, bytes).is_some() {
            return Err(Problem::new("encoding", "a NUL byte is not text")
                .at(Place::source(Arc::clone(source)).at_line(line))
                .help("the file is not separated text in the declared encoding")
                .into());
        }
        let row = if raw.quoted {
            match cut_quoted(record, separator, &mut text, &mut ends) {
                Ok(()) => Ok(Row { text: &text, ends: &ends, line }),
                Err(()) => Err(Problem::new("bad-quotes", "text follows a closing quote")
                    .at(Place::source(Arc::clone(source)).at_line(line))
                    .help("double every quote inside a quoted field")),
            }
        } else {
            ends.clear();
            let mut begin = 0;
            for end in memchr::memchr_iter(separator, bytes) {
                ends.push(begin..end);
                begin = end + 1;
            }
            ends.push(begin..bytes.len());
            Ok(Row { text: record, ends: &ends, line })
        };
        if sink(row)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Names from a header row: trimmed, trailing unnamed columns dropped, none missing or named twice.
///
/// # Errors
/// A name that stands twice or is missing refuses the whole file.
pub(crate) fn column_names<'a>(cells: impl Iterator<Item = &'a str>, place: &Place) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
    while names.last().is_some_and(String::is_empty) {
        names.pop();
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(Problem::new("unnamed-column", format!("column {} has no name", index + 1))
                .at(place.clone())
                .help("name the column or delete it"));
        }
        if names[..index].contains(name) {
            return Err(Problem::new("duplicate-column", format!("column `{name}` stands twice"))
                .at(place.clone().at_path(name.as_str()))
                .help("which one is meant cannot be guessed: rename or delete one"));
        }
    }
    Ok(names)
}

/// The problem of a row whose fields are not those of the header; `None` when they are.
pub(crate) fn ragged(row: &Row<'_>, columns: usize, source: &Arc<str>) -> Option<Problem> {
    if row.len() == columns || row.len() > columns && (columns..row.len()).all(|index| row.get(index).trim().is_empty()) {
        return None;
    }
    Some(
        Problem::new("ragged-row", format!("the row has {} fields, the header {columns}", row.len()))
            .at(Place::source(Arc::clone(source)).at_line(row.line))
            .help("a separator inside a field needs quotes around it"),
    )
}

/// Reads every row as a map from column name to text.
///
/// # Errors
/// As [`scan`], and a header that cannot be used.
pub(crate) fn read(
    options: &CsvOptions,
    input: &mut dyn Read,
    source: &str,
    header: &mut HeaderCheck<'_>,
    sink: &mut RecordSink<'_>,
) -> Result<(), FormatError> {
    let source: Arc<str> = source.into();
    let mut names: Option<Vec<String>> = None;
    scan(options, input, &source, &mut |row| {
        let row = match row {
            Ok(row) => row,
            Err(problem) => return Ok(sink(Err(problem))),
        };
        let names = match &names {
            Some(names) => names,
            None => {
                let place = Place::source(Arc::clone(&source)).at_line(row.line);
                let found = if options.header {
                    column_names(row.fields(), &place)?
                } else {
                    (1..=row.len()).map(|number| number.to_string()).collect()
                };
                header(&found, &place)?;
                let found = &*names.insert(found);
                if options.header {
                    return Ok(ControlFlow::Continue(()));
                }
                found
            }
        };
        if let Some(problem) = ragged(&row, names.len(), &source) {
            return Ok(sink(Err(problem)));
        }
        let node =
            Node::Map(names.iter().zip(row.fields()).map(|(name, text)| (name.clone(), Node::Text(text.to_owned()))).collect());
        Ok(sink(Ok(Record { node, place: Place::source(Arc::clone(&source)).at_line(row.line) })))
    })?;
    if names.is_none() && options.header {
        return Err(Problem::new("no-header", "the file has no header row").at(Place::source(source)).into());
    }
    Ok(())
}
