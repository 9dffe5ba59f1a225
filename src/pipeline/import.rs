//! `import KIND FILE`: a canonical table, all or nothing, archived first, stored and normalized at once.

use super::contradictions::Said;
use super::intake::{Delivery, DocumentCounts, Intake};
use super::{PipelineError, PipelineResult, Settings};
use crate::core::master::{Draft, Table};
use crate::core::problem::Problems;
use crate::formats::{Format, FormatError};
use crate::mapping::canonical::{MOST_PROBLEMS, read_rows};
use crate::mapping::{Mapped, RowProblem};
use crate::store::{NewArchive, Store, WorkCounts};
use chrono::{DateTime, NaiveDate, Utc};
use std::ops::ControlFlow;
use std::path::Path;

/// Rows handed over together between the reading thread and the store.
const HANDOVER: usize = 1_024;

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// Rows of the file.
    pub rows: i64,
    /// What became of documents.
    pub documents: DocumentCounts,
    /// Whether the same file came before: nothing changes then.
    pub replay: bool,
}

/// Rank of canonical tables: as good as an ERP feed.
pub const IMPORT_RANK: i64 = 10;

/// In whose name a file comes in, and when.
#[derive(Clone, Copy, Debug)]
pub struct Entered<'a> {
    /// User, or `console`.
    pub by: &'a str,
    /// Day on which exceptions are opened.
    pub business_day: NaiveDate,
    /// The time.
    pub now: DateTime<Utc>,
}

type Row = Result<Draft, Box<RowProblem>>;

/// Imports one file. Every row is taken, or none and all problems are returned.
pub async fn import_table(
    store: &Store,
    settings: &Settings,
    table: Table,
    path: &Path,
    entered: Entered<'_>,
    progress: &mut dyn FnMut(i64),
) -> PipelineResult<Imported> {
    let Entered { by, business_day, now } = entered;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let mut format =
        path.extension().and_then(|e| e.to_str()).and_then(|_| Format::from_name(&name.to_ascii_lowercase())).ok_or_else(
            || {
                crate::core::problem::Problem::new("unknown-format", format!("`{name}` is none of .csv, .xlsx, .ndjson"))
                    .help("canonical tables are CSV, XLSX or NDJSON files")
            },
        )?;
    if let Format::Csv(options) = &mut format {
        options.line_end_required = true;
    }
    let io = |source| PipelineError::Io { what: format!("reading {}", path.display()), source };
    let open = || std::fs::File::open(path).map(|f| std::io::BufReader::with_capacity(1 << 18, f));
    let mut tx = store.begin().await?;
    let new = NewArchive {
        connector: crate::store::BY_HAND,
        feed: table.word(),
        name: &name,
        media_type: "application/octet-stream",
        mapping: None,
        run_id: None,
        acknowledge_key: None,
    };
    let archive_id = match tx.archive(&new, &mut open().map_err(io)?, now).await? {
        Ok(id) => id,
        Err(known) => {
            tracing::info!(file = %name, archive = known, "the same file was imported before; nothing changes");
            return Ok(Imported { rows: 0, documents: DocumentCounts::default(), replay: true });
        }
    };
    // Reading runs beside storing: two cores, and the channel's bound keeps memory flat.
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<Vec<Row>>(4);
    let mut file = open().map_err(io)?;
    let source = name.clone();
    let reader = tokio::task::spawn_blocking(move || {
        let mut batch: Vec<Row> = Vec::with_capacity(HANDOVER);
        let result = read_rows(table, &format, &mut file, &source, &mut |row| {
            batch.push(row);
            if batch.len() == HANDOVER
                && sender.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(HANDOVER))).is_err()
            {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let _ = sender.blocking_send(batch);
        result
    });
    let delivery = Delivery {
        archive_id,
        source: None,
        imported: true,
        replay: false,
        compared: false,
        source_rank: IMPORT_RANK,
        business_day,
        now,
    };
    let mut intake = Intake::start(&mut tx, settings, delivery).await?;
    let mut problems = Problems::default();
    let mut said = Said::default();
    let mut rows = 0i64;
    while let Some(batch) = receiver.recv().await {
        rows += i64::try_from(batch.len()).unwrap_or(0);
        for row in batch {
            match row {
                Ok(draft) => match said.note(&draft) {
                    Some(contradiction) => problems.push(contradiction.problem(&contradiction.second)),
                    None if problems.0.is_empty() => intake.take(Mapped::Row(draft)).await?,
                    None => {}
                },
                Err(row) => problems.0.extend(row.problems.into_iter().map(|p| p.problem)),
            }
        }
        progress(rows);
        if problems.0.len() >= MOST_PROBLEMS {
            break;
        }
    }
    drop(receiver);
    match reader.await.map_err(|e| PipelineError::Internal(format!("the reading thread ended: {e}")))? {
        Ok(_) => {}
        Err(FormatError::Refused(whole)) => problems.0.extend(whole.0),
        Err(FormatError::Io(source)) => return Err(io(source)),
    }
    if !problems.0.is_empty() {
        tx.rollback().await?;
        return Err(problems.into());
    }
    let (_, mut documents) = intake.finish().await?;
    // Circles show only once all rows are known (case 20).
    if matches!(table, Table::Items | Table::Partners)
        && let Err(circles) = tx.master_data().await?.check()
    {
        tx.rollback().await?;
        return Err(circles.into());
    }
    if table != Table::Lines {
        documents.pending = 0;
        let delivery = Delivery {
            archive_id,
            source: None,
            imported: true,
            replay: false,
            compared: false,
            source_rank: IMPORT_RANK,
            business_day,
            now,
        };
        let mut intake = Intake::start(&mut tx, settings, delivery).await?;
        intake.retry_pending().await?;
    }
    let counts = WorkCounts { rows_in: rows, rows_out: rows, ..WorkCounts::default() };
    tx.finish_archive(archive_id, "normalized", counts, now).await?;
    let detail = serde_json::json!({ "table": table.word(), "file": name, "rows": rows });
    tx.audit(now, by, "import", &format!("archive {archive_id}"), "done", &detail).await?;
    tx.commit().await?;
    Ok(Imported { rows, documents, replay: false })
}
