//! Declared text encodings: bytes to UTF-8, nothing guessed, nothing replaced.
//!
//! UTF-8 passes through unchanged and is checked where records are cut; single-byte encodings are
//! turned into UTF-8 while reading. A byte that the declared encoding does not know refuses the
//! whole document: a replacement character in a name would be a silent change of data.

use std::io::{self, Read};

/// An encoding that a mapping may declare.
#[derive(Clone, Debug)]
pub(crate) enum TextEncoding {
    Utf8,
    SingleByte { label: String, table: Box<[Option<char>; 256]> },
}

impl TextEncoding {
    /// The encoding of a label (`utf-8`, `windows-1252`, `iso-8859-1`, ...); `None` when unknown or
    /// not a single-byte encoding.
    pub(crate) fn from_label(label: &str) -> Option<Self> {
        let label = label.trim().to_ascii_lowercase();
        if matches!(label.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii") {
            return Some(Self::Utf8);
        }
        let mut table = Box::new([None; 256]);
        // The web's tables read iso-8859-1 as windows-1252; files mean what they say.
        let latin1 = matches!(label.as_str(), "iso-8859-1" | "latin1" | "latin-1" | "iso8859-1");
        let encoding = if latin1 { None } else { Some(encoding_rs::Encoding::for_label(label.as_bytes())?) };
        if encoding.is_some_and(|e| !e.is_single_byte()) {
            return None;
        }
        for byte in 0..=255u8 {
            let character = match encoding {
                Some(encoding) => {
                    encoding.decode_without_bom_handling_and_without_replacement(&[byte]).and_then(|text| text.chars().next())
                }
                None => Some(char::from(byte)),
            };
            // Bytes without a printable meaning decode to C1 controls: a wrong declaration, not text.
            table[usize::from(byte)] = character.filter(|c| !('\u{80}'..='\u{9f}').contains(c));
        }
        Some(Self::SingleByte { label, table })
    }
}

/// Turns a single-byte encoding into UTF-8 while reading.
pub(crate) struct Transcoder<'a> {
    input: &'a mut dyn Read,
    table: &'a [Option<char>; 256],
    label: &'a str,
    raw: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    line: u64,
}

impl<'a> Transcoder<'a> {
    pub(crate) fn new(input: &'a mut dyn Read, label: &'a str, table: &'a [Option<char>; 256]) -> Self {
        Self { input, table, label, raw: vec![0; 64 * 1024], ready: Vec::new(), given: 0, line: 1 }
    }
}

/// A byte that the declared encoding does not know, carried through [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("byte 0x{byte:02X} is not text in {label}")]
pub(crate) struct UnknownByte {
    pub(crate) byte: u8,
    pub(crate) label: String,
    pub(crate) line: u64,
}

impl Read for Transcoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            let count = self.input.read(&mut self.raw)?;
            for &byte in &self.raw[..count] {
                if byte == b'\n' {
                    self.line += 1;
                }
                let Some(character) = self.table[usize::from(byte)] else {
                    let unknown = UnknownByte { byte, label: self.label.to_owned(), line: self.line };
                    return Err(io::Error::new(io::ErrorKind::InvalidData, unknown));
                };
                self.ready.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        let count = out.len().min(self.ready.len() - self.given);
        out[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
