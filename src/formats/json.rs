//! JSON and NDJSON, strictly: every digit of a number is kept, a key that stands twice is refused,
//! depth and size are limited. There is no floating point anywhere on the way.
//!
//! A general JSON library was not used because a value tree of one either goes through floats or
//! takes the last of two equal keys, and none tells the line of a record.

use crate::core::problem::{Place, Problem};
use crate::formats::{FormatError, Node, Record, RecordSink};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Deepest nesting.
const DEEPEST: usize = 64;
/// Largest document.
const LARGEST: u64 = 512 * 1024 * 1024;
/// Longest line of NDJSON.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// What is wrong and at which byte.
type Fault = (usize, String);

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Keys that lead to the list whose elements' offsets are noted.
    watched: &'a [&'a str],
    offsets: Vec<usize>,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
    fn fault<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err((self.at, message.into()))
    }
    fn word(&mut self, word: &str, node: Node) -> Result<Node, Fault> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(node);
        }
        self.fault("not a JSON value")
    }
    /// `path` is how many of the watched keys led here, `None` when off the path.
    fn value(&mut self, depth: usize, path: Option<usize>) -> Result<Node, Fault> {
        if depth > DEEPEST {
            return self.fault(format!("nested more than {DEEPEST} deep"));
        }
        match self.bytes.get(self.at) {
            Some(b'{') => self.map(depth, path),
            Some(b'[') => self.list(depth, path),
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.fault("not a JSON value"),
            None => self.fault("the document ends too early"),
        }
    }
    fn map(&mut self, depth: usize, path: Option<usize>) -> Result<Node, Fault> {
        self.at += 1;
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            return Ok(Node::Map(entries));
        }
        loop {
            self.space();
            if self.bytes.get(self.at) != Some(&b'"') {
                return self.fault(if self.at < self.bytes.len() {
                    "a key in quotes is expected"
                } else {
                    "the document ends too early"
                });
            }
            let key_at = self.at;
            let key = self.string()?;
            // Few keys are compared one by one; a set only pays for wide records.
            let twice = if entries.len() < 16 {
                entries.iter().any(|(known, _)| *known == key)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|(known, _)| known.clone()));
                }
                !seen.insert(key.clone())
            };
            if twice {
                return Err((key_at, format!("the key `{key}` stands twice in one object")));
            }
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return self.fault(if self.at < self.bytes.len() {
                    "a colon is expected"
                } else {
                    "the document ends too early"
                });
            }
            self.at += 1;
            self.space();
            let below = path.filter(|&index| self.watched.get(index) == Some(&key.as_str())).map(|index| index + 1);
            let value = self.value(depth + 1, below)?;
            entries.push((key, value));
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::Map(entries));
                }
                Some(_) => return self.fault("a comma or `}` is expected"),
                None => return self.fault("the document ends too early"),
            }
        }
    }
    fn list(&mut self, depth: usize, path: Option<usize>) -> Result<Node, Fault> {
        let noted = path == Some(self.watched.len());
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            return Ok(Node::List(items));
        }
        loop {
            self.space();
            if noted {
                self.offsets.push(self.at);
            }
            items.push(self.value(depth + 1, None)?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::List(items));
                }
                Some(_) => return self.fault("a comma or `]` is expected"),
                None => return self.fault("the document ends too early"),
            }
        }
    }
    fn number(&mut self) -> Result<Node, Fault> {
        let begin = self.at;
        let digits = |parser: &mut Self| {
            let from = parser.at;
            while matches!(parser.bytes.get(parser.at), Some(b'0'..=b'9')) {
                parser.at += 1;
            }
            parser.at - from
        };
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let whole_at = self.at;
        let whole = digits(self);
        if whole == 0 || whole > 1 && self.bytes[whole_at] == b'0' {
            return Err((begin, "not a JSON number".to_owned()));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err((begin, "not a JSON number".to_owned()));
            }
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return Err((begin, "not a JSON number".to_owned()));
            }
        }
        Ok(Node::Number(self.text[begin..self.at].to_owned()))
    }
    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return self.fault("four hexadecimal digits are expected") };
        let code = digits.iter().fold(0, |code, &digit| code * 16 + char::from(digit).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(code)
    }
    fn string(&mut self) -> Result<String, Fault> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let begin = self.at;
            while !matches!(self.bytes.get(self.at), None | Some(b'"' | b'\\' | 0..=0x1F)) {
                self.at += 1;
            }
            out.push_str(&self.text[begin..self.at]);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    let escape_at = self.at;
                    self.at += 2;
                    match self.bytes.get(escape_at + 1) {
                        Some(b'"') => out.push('"'),
                        Some(b'\\') => out.push('\\'),
                        Some(b'/') => out.push('/'),
                        Some(b'b') => out.push('\u{8}'),
                        Some(b'f') => out.push('\u{c}'),
                        Some(b'n') => out.push('\n'),
                        Some(b'r') => out.push('\r'),
                        Some(b't') => out.push('\t'),
                        Some(b'u') => {
                            let mut code = self.hex()?;
                            if (0xD800..0xDC00).contains(&code) && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
                                self.at += 2;
                                let low = self.hex()?;
                                if (0xDC00..0xE000).contains(&low) {
                                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                                }
                            }
                            match char::from_u32(code) {
                                Some(character) => out.push(character),
                                None => return Err((escape_at, "half of a surrogate pair".to_owned())),
                            }
                        }
                        _ => return Err((escape_at, "not a JSON escape".to_owned())),
                    }
                }
                Some(_) => return self.fault("a control character inside text"),
                None => return self.fault("the document ends inside text"),
            }
        }
    }
}

fn parse_watching(text: &str, watched: &[&str]) -> Result<(Node, Vec<usize>), Fault> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, watched, offsets: Vec::new() };
    parser.space();
    let node = parser.value(0, Some(0))?;
    parser.space();
    if parser.at < parser.bytes.len() {
        return parser.fault("something follows the end of the document");
    }
    Ok((node, parser.offsets))
}

/// Line (1-based) and column (1-based, characters) of a byte offset.
fn position(text: &str, offset: usize) -> (u32, u32) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// Parses one JSON document.
///
/// # Errors
/// What is wrong, with line and column in `source`.
pub fn parse(text: &str, source: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    parse_watching(text, &[]).map(|(node, _)| node).map_err(|fault| problem(text, fault, Place::source(source)))
}

fn problem(text: &str, (offset, message): Fault, place: Place) -> Problem {
    let (line, column) = position(text, offset);
    let line = place.line.map_or(line, |base| base + line - 1);
    Problem::new("bad-json", message).at(place.at_line(line).at_column(column))
}

fn utf8<'a>(bytes: &'a [u8], place: &Place) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(|error| {
        let line = u32::try_from(memchr::memchr_iter(b'\n', &bytes[..error.valid_up_to()]).count()).unwrap_or(0);
        Problem::new("encoding", format!("byte 0x{:02X} is not UTF-8", bytes[error.valid_up_to()]))
            .at(place.clone().at_line(place.line.unwrap_or(1) + line))
    })
}

/// Reads a JSON document: the elements of the list at `records` (`value[]`, `result.rows[]`), else
/// the elements of a list, else the document itself.
///
/// # Errors
/// Anything that is not strict JSON, and a `records` path that leads to no list.
pub(crate) fn read(
    records: Option<&str>,
    input: &mut dyn Read,
    source: &str,
    sink: &mut RecordSink<'_>,
) -> Result<(), FormatError> {
    let place = Place::source(source);
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::new("too-large", "the document is larger than 512 MiB").at(place).into());
    }
    let text = utf8(&bytes, &place)?;
    let path = records.map(|path| path.strip_suffix("[]").unwrap_or(path)).unwrap_or_default();
    let keys: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('.').collect() };
    let (mut node, offsets) = parse_watching(text, &keys).map_err(|fault| problem(text, fault, place.clone()))?;
    for key in &keys {
        node = match node {
            Node::Map(entries) => entries.into_iter().find(|(name, _)| name == key).map_or(Node::Null, |(_, value)| value),
            _ => Node::Null,
        };
    }
    match node {
        Node::List(items) => {
            // Lines are counted on from record to record, so that many records cost one pass.
            let (mut line, mut counted) = (1, 0);
            for (index, item) in items.into_iter().enumerate() {
                if let Some(&offset) = offsets.get(index) {
                    line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..offset]).count();
                    counted = offset;
                }
                let at = place.clone().at_line(u32::try_from(line).unwrap_or(u32::MAX)).at_path(format!("{path}[{index}]"));
                if sink(Ok(Record { node: item, place: at })).is_break() {
                    break;
                }
            }
            Ok(())
        }
        node if records.is_none() => {
            let _ = sink(Ok(Record { node, place: place.at_line(1) }));
            Ok(())
        }
        _ => Err(Problem::new("no-records", format!("there is no list at `{path}`"))
            .at(place.at_path(path))
            .help("`records` in the mapping's [source] must lead to the list of records")
            .into()),
    }
}

/// Reads one JSON document per line; a bad line is a problem of that line.
///
/// # Errors
/// Bytes that are not UTF-8, a line longer than 16 MiB, a failing input.
pub(crate) fn read_lines(input: &mut dyn Read, source: &str, sink: &mut RecordSink<'_>) -> Result<(), FormatError> {
    let source: Arc<str> = source.into();
    let mut reader = BufReader::with_capacity(256 * 1024, input);
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        line += 1;
        let place = Place::source(Arc::clone(&source)).at_line(line);
        if reader.by_ref().take(LONGEST_LINE + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        if bytes.len() as u64 > LONGEST_LINE {
            return Err(Problem::new("record-too-long", "one line is longer than 16 MiB").at(place).into());
        }
        let text = utf8(&bytes, &place)?.trim();
        if text.is_empty() {
            continue;
        }
        let record = match parse_watching(text, &[]) {
            Ok((node, _)) => Ok(Record { node, place }),
            Err(fault) => Err(problem(text, fault, place)),
        };
        if sink(record) == ControlFlow::Break(()) {
            return Ok(());
        }
    }
}
