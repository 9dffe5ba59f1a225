//! Many rows at once: multi-row INSERT on SQLite, COPY on PostgreSQL, and one upsert for both.
//!
//! Hand-written, because here the dialects differ fivefold in speed. What a table holds is the
//! business of its noun's file; this one only knows cells.

use super::{StoreResult, Tx, on};
use chrono::{DateTime, NaiveDate, Utc};
use foldhash::HashMap;
use sqlx::AssertSqlSafe;
use std::fmt::Write;
use std::sync::Arc;

/// SQLite takes 32,766 bound values per statement, PostgreSQL 65,535.
const MOST_VALUES: usize = 32_000;
/// More rows per statement win nothing and cost a longer text.
const MOST_ROWS: usize = 500;
/// Bytes of COPY text sent together: the server takes them in while the next are written.
const COPY_CHUNK: usize = 1 << 16;

/// One value of a row.
#[derive(Clone, Debug)]
pub(super) enum Cell<'a> {
    /// NULL of a text column.
    Null,
    /// NULL of an integer column.
    NullInt,
    Int(i64),
    Text(&'a str),
    /// A text that many rows share: bound without copying it.
    Shared(Arc<str>),
    Owned(String),
    Day(NaiveDate),
    Instant(DateTime<Utc>),
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    fn is_null(&self) -> bool {
        matches!(self, Cell::Null | Cell::NullInt)
    }
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}
impl From<Option<i64>> for Cell<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Cell::NullInt, Cell::Int)
    }
}
impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Cell::Text(value)
    }
}
impl<'a> From<&'a String> for Cell<'a> {
    fn from(value: &'a String) -> Self {
        Cell::Text(value)
    }
}
impl<'a> From<&'a Option<String>> for Cell<'a> {
    fn from(value: &'a Option<String>) -> Self {
        value.as_deref().map_or(Cell::Null, Cell::Text)
    }
}
impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Cell::Owned(value)
    }
}
impl From<Arc<str>> for Cell<'_> {
    fn from(value: Arc<str>) -> Self {
        Cell::Shared(value)
    }
}
impl From<NaiveDate> for Cell<'_> {
    fn from(value: NaiveDate) -> Self {
        Cell::Day(value)
    }
}
impl From<Option<NaiveDate>> for Cell<'_> {
    fn from(value: Option<NaiveDate>) -> Self {
        value.map_or(Cell::Null, Cell::Day)
    }
}
impl From<DateTime<Utc>> for Cell<'_> {
    fn from(value: DateTime<Utc>) -> Self {
        Cell::Instant(value)
    }
}
impl From<Option<DateTime<Utc>>> for Cell<'_> {
    fn from(value: Option<DateTime<Utc>>) -> Self {
        value.map_or(Cell::Null, Cell::Instant)
    }
}
impl<'a> From<&'a [u8]> for Cell<'a> {
    fn from(value: &'a [u8]) -> Self {
        Cell::Bytes(value)
    }
}

/// Rows of one table, cell by cell.
#[derive(Debug)]
pub(super) struct Rows<'a, const WIDTH: usize> {
    table: &'static str,
    columns: [&'static str; WIDTH],
    cells: Vec<Cell<'a>>,
}

impl<'a, const WIDTH: usize> Rows<'a, WIDTH> {
    /// No rows yet. Table and columns are this program's own words: nothing from outside gets into a statement.
    pub fn of(table: &'static str, columns: [&'static str; WIDTH], expected: usize) -> Self {
        Self { table, columns, cells: Vec::with_capacity(expected * WIDTH) }
    }
    pub fn push(&mut self, row: [Cell<'a>; WIDTH]) {
        self.cells.extend(row);
    }
    /// Columns that any row fills. A column that every row leaves NULL need not be named.
    fn filled(&self) -> Vec<usize> {
        (0..WIDTH).filter(|column| self.cells.iter().skip(*column).step_by(WIDTH).any(|c| !c.is_null())).collect()
    }
    fn names(&self, columns: &[usize]) -> String {
        columns.iter().map(|c| self.columns[*c]).collect::<Vec<_>>().join(", ")
    }
    fn rows(&self) -> std::slice::Chunks<'_, Cell<'a>> {
        self.cells.chunks(WIDTH)
    }
}

/// `(?, ?), (?, ?)`: a value list of `rows` rows.
fn value_list(rows: usize, width: usize) -> String {
    let row = format!("({})", vec!["?"; width].join(", "));
    vec![row.as_str(); rows].join(", ")
}

/// The same with numbered places.
fn numbered_list(rows: usize, width: usize) -> String {
    let mut text = String::with_capacity(rows * width * 7);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            let _ = write!(text, "{}${}", if column == 0 { "" } else { ", " }, row * width + column + 1);
        }
        text.push(')');
    }
    text
}

/// Text for COPY: tab-separated, `\N` for NULL. Numbers, days and hashes are written by hand: formatting
/// them costs more than anything else of a load.
#[derive(Default)]
struct CopyText {
    out: Vec<u8>,
    days: Days,
    /// The last instant and its text: a delivery stamps its rows alike.
    instant: Option<(DateTime<Utc>, String)>,
}

impl CopyText {
    fn text(&mut self, value: &str) {
        if !value.bytes().any(|b| matches!(b, b'\\' | b'\t' | b'\n' | b'\r')) {
            self.out.extend_from_slice(value.as_bytes());
            return;
        }
        for byte in value.bytes() {
            match byte {
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                other => self.out.push(other),
            }
        }
    }
    fn int(&mut self, value: i64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut left = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + u8::try_from(left % 10).unwrap_or(0);
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            self.out.push(b'-');
        }
        self.out.extend_from_slice(&digits[at..]);
    }
    fn bytes(&mut self, value: &[u8]) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.out.extend_from_slice(b"\\\\x");
        self.out.extend(value.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
    }
    fn instant(&mut self, value: DateTime<Utc>) {
        match &self.instant {
            Some((last, text)) if *last == value => self.out.extend_from_slice(text.as_bytes()),
            _ => {
                let text = value.to_rfc3339();
                self.out.extend_from_slice(text.as_bytes());
                self.instant = Some((value, text));
            }
        }
    }
    fn cell(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Null | Cell::NullInt => self.out.extend_from_slice(b"\\N"),
            Cell::Int(value) => self.int(*value),
            Cell::Text(value) => self.text(value),
            Cell::Shared(value) => self.text(value),
            Cell::Owned(value) => self.text(value),
            Cell::Day(value) => {
                let text = self.days.text(*value);
                self.out.extend_from_slice(text.as_bytes());
            }
            Cell::Instant(value) => self.instant(*value),
            Cell::Bytes(value) => self.bytes(value),
        }
    }
}

/// Texts of days, each made once: a load names few days, often.
#[derive(Default)]
struct Days(HashMap<NaiveDate, Arc<str>>);

impl Days {
    fn text(&mut self, day: NaiveDate) -> Arc<str> {
        self.0.entry(day).or_insert_with(|| Arc::from(day.to_string())).clone()
    }
}

macro_rules! bound {
    ($query:expr, $cell:expr, $day:expr) => {
        match $cell {
            Cell::Null => $query.bind(None::<String>),
            Cell::NullInt => $query.bind(None::<i64>),
            Cell::Int(value) => $query.bind(*value),
            Cell::Text(value) => $query.bind(*value),
            Cell::Shared(value) => $query.bind(value.clone()),
            Cell::Owned(value) => $query.bind(value.as_str()),
            Cell::Day(value) => $query.bind($day(*value)),
            Cell::Instant(value) => $query.bind(*value),
            Cell::Bytes(value) => $query.bind(*value),
        }
    };
}

impl Tx {
    /// Inserts rows whose keys are new.
    pub(super) async fn insert_rows<const WIDTH: usize>(&mut self, rows: Rows<'_, WIDTH>) -> StoreResult<()> {
        if rows.cells.is_empty() {
            return Ok(());
        }
        let columns = rows.filled();
        let names = rows.names(&columns);
        match self {
            Tx::Sqlite(tx) => {
                let mut days = Days::default();
                let most = (MOST_VALUES / columns.len().max(1)).min(MOST_ROWS);
                let whole: Arc<str> =
                    Arc::from(format!("INSERT INTO {} ({names}) VALUES {}", rows.table, value_list(most, columns.len())));
                for part in rows.cells.chunks(most * WIDTH) {
                    let count = part.len() / WIDTH;
                    let mut query = if count == most {
                        sqlx::query(AssertSqlSafe(whole.clone()))
                    } else {
                        let list = value_list(count, columns.len());
                        // Not kept prepared: every size would be a statement of its own.
                        sqlx::query(AssertSqlSafe(format!("INSERT INTO {} ({names}) VALUES {list}", rows.table)))
                            .persistent(false)
                    };
                    for row in part.chunks(WIDTH) {
                        for column in &columns {
                            query = bound!(query, &row[*column], |day| days.text(day));
                        }
                    }
                    query.execute(&mut **tx).await?;
                }
            }
            Tx::Postgres(tx) => {
                let mut copy = tx.copy_in_raw(&format!("COPY {} ({names}) FROM STDIN", rows.table)).await?;
                let mut text = CopyText { out: Vec::with_capacity(COPY_CHUNK), ..CopyText::default() };
                for row in rows.rows() {
                    for (place, column) in columns.iter().enumerate() {
                        if place > 0 {
                            text.out.push(b'\t');
                        }
                        text.cell(&row[*column]);
                    }
                    text.out.push(b'\n');
                    if text.out.len() > COPY_CHUNK - (1 << 13) {
                        copy.send(text.out.as_slice()).await?;
                        text.out.clear();
                    }
                }
                copy.send(text.out.as_slice()).await?;
                copy.finish().await?;
            }
        }
        Ok(())
    }

    /// Inserts rows, each key once, with an `ON CONFLICT` clause.
    pub(super) async fn upsert_rows<const WIDTH: usize>(
        &mut self,
        rows: Rows<'_, WIDTH>,
        on_conflict: &'static str,
    ) -> StoreResult<()> {
        let names = rows.columns.join(", ");
        let most = (MOST_VALUES / WIDTH).min(MOST_ROWS);
        for part in rows.cells.chunks(most * WIDTH) {
            let count = part.len() / WIDTH;
            // SQLite looks a numbered place up by walking all of them.
            let list = if matches!(self, Tx::Sqlite(_)) { value_list(count, WIDTH) } else { numbered_list(count, WIDTH) };
            let sql = format!("INSERT INTO {} ({names}) VALUES {list} {on_conflict}", rows.table);
            on!(self, c => {
                let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(count == most);
                for cell in part {
                    query = bound!(query, cell, |day: NaiveDate| day);
                }
                query.execute(c).await?.rows_affected()
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(cell: &Cell<'_>) -> String {
        let mut text = CopyText::default();
        text.cell(cell);
        String::from_utf8(text.out).expect("text")
    }

    #[test]
    fn copy_text_says_what_is_meant_whatever_is_in_it() {
        assert_eq!(written(&Cell::Text("a\tb\\N\nc\r")), "a\\tb\\\\N\\nc\\r");
        assert_eq!(written(&Cell::Text("Größe")), "Größe");
        assert_eq!(written(&Cell::Null), "\\N");
        assert_eq!(written(&Cell::Bytes(&[0, 10, 255])), "\\\\x000aff");
        let mut text = CopyText::default();
        let (first, second) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + chrono::Duration::microseconds(1));
        for instant in [first, first, second] {
            text.cell(&Cell::Instant(instant));
        }
        let expected = [first, first, second].map(|i| i.to_rfc3339()).concat();
        assert_eq!(String::from_utf8(text.out).expect("text"), expected);
    }

    proptest! {
        #[test]
        fn whole_numbers_are_written_as_they_are(value: i64) {
            prop_assert_eq!(written(&Cell::Int(value)), value.to_string());
        }
    }

    #[test]
    fn the_ends_of_the_range_are_whole_numbers_too() {
        for value in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(written(&Cell::Int(value)), value.to_string());
        }
    }
}
