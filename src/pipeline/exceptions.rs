//! What a person decides on an exception, and what follows from it.
//!
//! `waive` or `confirm` says that it is known and accepted: it no longer holds settlements.
//! `confirm-deletion` of a document that is gone from its source cancels it here. `release` of one that
//! bears a reference of our form says that it is a sale, so that it counts; of a credit note with the sign
//! of an invoice, that it means what is written (case 04); of a claim line that is held, that it is one of its
//! own, while `confirm` of such a line says that it is not paid. Everything else mends itself when the cause is
//! mended.

use super::decide::ship_and_debit::CLAIM;
use super::intake::refused::{RELEASE, row_key, source_key, source_prefix};
use super::intake::{Delivery, Intake};
use super::normalize::Reader;
use super::{PipelineError, PipelineResult, Runtime, catalog};
use crate::core::problem::Problem;
use crate::core::rights::{self, Action};
use crate::formats::FormatError;
use crate::mapping::Mapped;
use crate::store::{ArchiveMeta, ExceptionRow, Tx, UserRow};

const SIGN_CONFLICT: &str = "sign-conflict";

/// Actions and the codes they fit; an empty list fits every code.
pub const ACTIONS: &[(&str, &[&str])] = &[
    ("waive", &[]),
    ("confirm", &[]),
    ("keep", &["gone-from-source", "lines-removed", "routes-differ", "merged-partner-history"]),
    ("confirm-deletion", &["gone-from-source"]),
    (RELEASE, &["unknown-own-reference", SIGN_CONFLICT, "possible-duplicate", "correction-unknown"]),
];

/// Content of a document that a person confirmed as deleted: equal to no delivered one.
pub const DELETED: &[u8] = b"confirmed as deleted";

/// What a person can do about a code.
pub fn actions_for(code: &str) -> Vec<&'static str> {
    ACTIONS.iter().filter(|(_, codes)| codes.is_empty() || codes.contains(&code)).map(|(name, _)| *name).collect()
}

/// Resolves an exception in the name of a user.
pub async fn resolve(runtime: &Runtime, id: i64, action: &str, reason: &str, user: &UserRow) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let subject = format!("exception {id}");
    let mut tx = runtime.store.begin().await?;
    let refuse =
        |message: String, help: &str| PipelineError::from(Problem::new("exception-action", message).help(help.to_owned()));
    let Some(exception) = tx.exception(id).await? else {
        return Err(refuse(format!("there is no exception {id}"), "see `rebated exception list`"));
    };
    let known = actions_for(&exception.code);
    let fits = known.contains(&action);
    let why = if let Some(message) = rights::refusal(&user.name, &user.role, Action::ResolveException) {
        Some(message)
    } else if exception.state != "open" {
        Some(format!("exception {id} is resolved already"))
    } else if !fits {
        Some(format!("`{action}` is no action for `{}`; there are {}", exception.code, known.join(", ")))
    } else if reason.trim().is_empty() {
        Some("a reason is needed".to_owned())
    } else {
        None
    };
    let detail = serde_json::json!({ "action": action, "reason": reason, "code": exception.code, "refused": why });
    if let Some(why) = why {
        tx.audit(now, &user.name, "exception resolve", &subject, "refused", &detail).await?;
        tx.commit().await?;
        return Err(refuse(why, "see `rebated exception show`"));
    }
    if action == "confirm-deletion"
        && let Some(document_id) = exception.document_id
        && let Some(document) = tx.document_by_id(document_id).await?
        && let Some(partner_id) = document.head.partner_id
    {
        // The document stays in the registry as cancelled; its lines are kept and no longer counted.
        let mut head = document.head.clone();
        head.status = "cancelled".into();
        head.version += 1;
        // No delivery has this content: if the source brings the document again, it counts again.
        head.content_hash = DELETED.to_vec();
        tx.put_superseded(document_id, partner_id, &document.head).await?;
        tx.supersede_lines(partner_id, document_id, document.head.version).await?;
        tx.update_document(document_id, &head).await?;
    }
    tx.resolve_exception(id, action, reason, &user.name, now).await?;
    if action == RELEASE && exception.code == SIGN_CONFLICT {
        let Some(archive) = as_written(runtime, &mut tx, &exception).await? else {
            let why = "the row is not in the archive, or its quantity and amount have opposite signs, which nobody can mean";
            tx.rollback().await?;
            let mut tx = runtime.store.begin().await?;
            let detail = serde_json::json!({ "action": action, "reason": reason, "code": exception.code, "refused": why });
            tx.audit(now, &user.name, "exception resolve", &subject, "refused", &detail).await?;
            tx.commit().await?;
            return Err(refuse(why.to_owned(), "correct the document in the source"));
        };
        take_again(runtime, &mut tx, &archive).await?;
    }
    let of_claim = exception.dedupe_key.starts_with(CLAIM);
    if of_claim {
        tx.mark_claims(&format!("{action} of exception {id}")).await?;
    }
    if action == RELEASE
        && !of_claim
        && let Some(document_id) = exception.document_id
        && let Some(document) = tx.document_by_id(document_id).await?
    {
        let mut head = document.head.clone();
        head.our_reference = None;
        tx.update_document(document_id, &head).await?;
        if let Some(partner_id) = head.partner_id {
            tx.mark_partner(partner_id, &format!("{} was released as a sale", document.identity)).await?;
        }
    }
    tx.audit(now, &user.name, "exception resolve", &subject, "done", &detail).await?;
    tx.commit().await?;
    Ok(())
}

/// The newest archived document with the row that an exception is about, if a person can mean the row as it
/// is written.
async fn as_written(runtime: &Runtime, tx: &mut Tx, exception: &ExceptionRow) -> PipelineResult<Option<ArchiveMeta>> {
    for archive in tx.archives_with_refused_rows().await? {
        let prefix = source_prefix(&source_key(&archive));
        let found = rows(runtime, tx, &archive).await?.into_iter().any(|row| match row {
            Mapped::Problem(row) => row.as_written.is_some() && row_key(&row, &prefix) == exception.dedupe_key,
            _ => false,
        });
        if found {
            return Ok(Some(archive));
        }
    }
    Ok(None)
}

async fn rows(runtime: &Runtime, tx: &mut Tx, archive: &ArchiveMeta) -> PipelineResult<Vec<Mapped>> {
    let bytes = tx.archived_bytes(archive.id).await?;
    match Reader::open(runtime, archive)?.rows(runtime, archive, &bytes) {
        Ok(rows) => Ok(rows),
        // Refused as a whole: no row of it is known.
        Err(FormatError::Refused(_)) => Ok(Vec::new()),
        Err(FormatError::Io(source)) => Err(PipelineError::Io { what: format!("reading {}", archive.name), source }),
    }
}

/// Reads an archived document once more, now that a person has decided. What came later stays.
async fn take_again(runtime: &Runtime, tx: &mut Tx, archive: &ArchiveMeta) -> PipelineResult<()> {
    let now = runtime.clock.now();
    let rows = rows(runtime, tx, archive).await?;
    let delivery = Delivery {
        archive_id: archive.id,
        source: Some(source_key(archive)),
        imported: false,
        replay: true,
        compared: false,
        source_rank: catalog::source_rank(&runtime.workspace, &archive.connector, &archive.feed),
        business_day: now.with_timezone(&runtime.settings.timezone).date_naive(),
        now,
    };
    let mut intake = Intake::start(tx, &runtime.settings, delivery).await?;
    intake.take_all(rows).await?;
    let (counts, _) = intake.settle().await?;
    tx.finish_archive(archive.id, "normalized", counts, now).await?;
    Ok(())
}
