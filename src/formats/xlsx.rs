//! Spreadsheets: one sheet as records, cells as text.
//!
//! A spreadsheet holds every number as a binary float. Excel shows 15 significant digits, so that
//! is what a cell says: the shortest decimal text of those digits, never an exponent. Dates are
//! known by the cell's type, not by how they look.

use crate::core::problem::{Place, Problem};
use crate::formats::{FormatError, HeaderCheck, Node, Record, RecordSink, csv};
use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
use std::io::{Cursor, Read};
use std::sync::Arc;

/// Largest file; a spreadsheet is read as a whole.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Most bytes that a file may unpack to: a small one may hold a thousand times its size.
const MOST_UNPACKED: u64 = 256 * 1024 * 1024;
/// Most cells between the first and the last one of a sheet, empty ones included.
const MOST_CELLS: u64 = 8_000_000;

/// Whether the parts of an archive unpack to more than is read. What the archive says of itself is not
/// trusted: they are unpacked, and thrown away.
fn unpacks_too_large(bytes: &[u8]) -> Result<bool, zip::result::ZipError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))?;
    let mut left = MOST_UNPACKED;
    for index in 0..archive.len() {
        let part = archive.by_index(index)?;
        left = left.saturating_sub(std::io::copy(&mut part.take(left + 1), &mut std::io::sink())?);
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Number of cells of a sheet between its first and its last one, without holding any.
fn extent(workbook: &mut Xlsx<Cursor<Vec<u8>>>, sheet: &str) -> Result<u64, calamine::XlsxError> {
    let mut cells = workbook.worksheet_cells_reader(sheet)?;
    let mut corners: Option<((u32, u32), (u32, u32))> = None;
    while let Some(cell) = cells.next_cell()? {
        let (row, column) = cell.get_position();
        let (first, last) = corners.unwrap_or(((row, column), (row, column)));
        corners = Some(((first.0.min(row), first.1.min(column)), (last.0.max(row), last.1.max(column))));
    }
    Ok(corners.map_or(0, |(first, last)| u64::from(last.0 - first.0 + 1) * u64::from(last.1 - first.1 + 1)))
}

/// Text of a binary number as a spreadsheet shows it: 15 significant digits. A number with more
/// digits than that before the point has lost some: it keeps its exponent (`4.01E+15`), so that it is
/// known as damaged.
pub(crate) fn number_text(value: f64) -> Option<String> {
    if !value.is_finite() {
        return None;
    }
    let text = format!("{value:.14e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if exponent >= 15 {
        return Some(format!("{}E+{exponent}", expand(mantissa, 0)?));
    }
    expand(mantissa, exponent)
}

/// `mantissa * 10^exponent` as plain decimal text; `None` past 60 digits.
pub(crate) fn expand(mantissa: &str, exponent: i32) -> Option<String> {
    if exponent.abs() > 60 {
        return None;
    }
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let (whole, fraction) = if point <= 0 {
        (String::new(), format!("{}{all}", "0".repeat(usize::try_from(-point).ok()?)))
    } else {
        let point = usize::try_from(point).ok()?;
        if point >= all.len() {
            (format!("{all}{}", "0".repeat(point - all.len())), String::new())
        } else {
            (all[..point].to_owned(), all[point..].to_owned())
        }
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.trim_end_matches('0');
    let sign = if whole == "0" && fraction.is_empty() { "" } else { sign };
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

fn cell_node(cell: &Data) -> Result<Node, String> {
    Ok(match cell {
        Data::Empty => Node::Null,
        Data::String(text) | Data::DateTimeIso(text) | Data::DurationIso(text) => Node::Text(text.clone()),
        Data::Int(number) => Node::Number(number.to_string()),
        Data::Float(number) => Node::Number(number_text(*number).ok_or_else(|| format!("the number {number} cannot be used"))?),
        Data::Bool(value) => Node::Bool(*value),
        Data::DateTime(value) if value.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = value.to_ymd_hms_milli();
            Node::Text(if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            })
        }
        Data::DateTime(value) => Node::Number(number_text(value.as_f64()).ok_or("a duration that cannot be used")?),
        Data::Error(error) => return Err(format!("the cell holds the error {error}")),
    })
}

/// Reads one sheet: the first row that is not empty names the columns.
///
/// # Errors
/// Not a spreadsheet, no such sheet, a header that cannot be used.
pub(crate) fn read(
    sheet: Option<&str>,
    input: &mut dyn Read,
    source: &str,
    header: &mut HeaderCheck<'_>,
    sink: &mut RecordSink<'_>,
) -> Result<(), FormatError> {
    let source: Arc<str> = source.into();
    let place = Place::source(Arc::clone(&source));
    let mut bytes = Vec::new();
    input.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problem::new("too-large", "the spreadsheet is larger than 64 MiB").at(place).help("export it as CSV").into());
    }
    let refuse = |message: String| Problem::new("wrong-format", message).at(place.clone());
    let too_large = |message: String| Problem::new("too-large", message).at(place.clone()).help("export it as CSV");
    match unpacks_too_large(&bytes) {
        Ok(false) => {}
        Ok(true) => return Err(too_large(format!("the spreadsheet unpacks to more than {} MiB", MOST_UNPACKED >> 20)).into()),
        Err(error) => return Err(refuse(format!("not a spreadsheet: {error}")).into()),
    }
    let mut workbook: Xlsx<_> = open_workbook_from_rs(Cursor::new(bytes))
        .map_err(|error: calamine::XlsxError| refuse(format!("not a spreadsheet: {error}")))?;
    let names = workbook.sheet_names();
    let name = match sheet {
        Some(wanted) => names.iter().find(|name| *name == wanted).ok_or_else(|| {
            refuse(format!("there is no sheet `{wanted}`")).help(format!("the sheets are: {}", names.join(", ")))
        })?,
        None => names.first().ok_or_else(|| refuse("there is no sheet".to_owned()))?,
    };
    let name = name.clone();
    let cells = extent(&mut workbook, &name).map_err(|error| refuse(format!("the sheet cannot be read: {error}")))?;
    if cells > MOST_CELLS {
        return Err(too_large(format!("the sheet spans {cells} cells, of which at most {MOST_CELLS} are read")).into());
    }
    let range = workbook.worksheet_range(&name).map_err(|error| refuse(format!("the sheet cannot be read: {error}")))?;
    let first_row = range.start().map_or(0, |(row, _)| row);
    let mut columns: Option<Vec<String>> = None;
    for (index, row) in range.rows().enumerate() {
        if row.iter().all(|cell| matches!(cell, Data::Empty)) {
            continue;
        }
        let line = first_row.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)).saturating_add(1);
        let at = place.clone().at_line(line);
        let Some(columns) = &columns else {
            let cells: Vec<String> = row.iter().map(cell_text).collect();
            let names = csv::column_names(cells.iter().map(String::as_str), &at)?;
            header(&names, &at)?;
            columns = Some(names);
            continue;
        };
        let mut entries = Vec::with_capacity(columns.len());
        let mut wrong = None;
        for (column, cell) in row.iter().enumerate() {
            match (columns.get(column), cell_node(cell)) {
                (Some(name), Ok(node)) => entries.push((name.clone(), node)),
                (Some(name), Err(message)) => {
                    wrong = Some(Problem::new("cell-error", message).at(at.clone().at_path(name.as_str())));
                }
                (None, Ok(Node::Null)) => {}
                (None, _) => {
                    wrong = Some(Problem::new("ragged-row", format!("cell {} has no column name", column + 1)).at(at.clone()));
                }
            }
        }
        let record = match wrong {
            Some(problem) => Err(problem),
            None => Ok(Record { node: Node::Map(entries), place: at }),
        };
        if sink(record).is_break() {
            return Ok(());
        }
    }
    if columns.is_none() {
        return Err(Problem::new("no-header", "the sheet has no header row").at(place).into());
    }
    Ok(())
}

fn cell_text(cell: &Data) -> String {
    match cell_node(cell) {
        Ok(Node::Text(text) | Node::Number(text)) => text,
        _ => String::new(),
    }
}
