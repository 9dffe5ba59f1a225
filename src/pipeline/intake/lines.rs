//! Lines: resolved against master data, or waiting for it with an open exception.

use super::version::{Group, Held, group_drafts};
use super::{Intake, PipelineResult, line_key};
use crate::core::agreement::AgreementVersion;
use crate::core::line::DraftLine;
use crate::core::money::Currency;
use crate::store::{DocumentRow, Identity, NewException, NewLine, PendingRow};
use foldhash::{HashSet, HashSetExt};
use std::collections::BTreeMap;

/// Code of documents with lines in several currencies.
const MIXED_CURRENCIES: &str = "mixed-currencies";

/// Units that the terms of an agreement name.
pub(super) fn units_of(version: &AgreementVersion) -> Vec<String> {
    version.terms.iter().flat_map(|term| term.rule.units()).map(str::to_owned).collect()
}

/// A finding about a whole document is one exception, however many lines show it.
fn of_document(line: NewException, document: &DocumentRow) -> NewException {
    NewException {
        subject: document.identity.to_string(),
        line_number: None,
        dedupe_key: format!("document:{}:{}", line.code, document.id),
        ..line
    }
}

impl Intake<'_> {
    pub(super) async fn duplicate_line(&mut self, identity: &Identity, line: &DraftLine) -> PipelineResult<()> {
        let new = NewException {
            code: "duplicate-line".into(),
            blocking: true,
            subject: format!("{identity} line {}", line.line_number),
            message: "the same line number stands twice in one delivery; the first one is counted".into(),
            help: Some("give every line of a document its own number".into()),
            place: Some(line.place.to_string()),
            partner: Some(line.partner.clone()),
            on_date: line.document_date,
            dedupe_key: format!("duplicate:{identity}:{}", line.line_number),
            ..NewException::default()
        };
        self.open(new).await
    }

    /// Resolves the lines of a version; those that cannot be resolved wait with an exception.
    pub(super) async fn resolve_lines(
        &mut self,
        group: &Group,
        document: &DocumentRow,
        next_line: &mut i64,
    ) -> PipelineResult<Vec<NewLine>> {
        let mut lines = Vec::with_capacity(group.lines.len());
        let mut seen: HashSet<&str> = HashSet::new();
        let mixed = self.mixed_currencies(&group.lines, document).is_some();
        self.mixed_dates(group, document).await?;
        for draft in &group.lines {
            self.counts.rows_out += 1;
            if group.lines.len() > 1 && !seen.insert(draft.line_number.as_str()) {
                self.duplicate_line(&group.identity, draft).await?;
                continue;
            }
            let mut unresolved = self.unresolved(draft, document);
            if mixed {
                unresolved.extend(self.mixed_currencies(&group.lines, document));
            }
            if !self.open_keys.is_empty() {
                self.clear_row_exceptions(draft, &unresolved, document).await?;
            }
            if unresolved.is_empty() {
                let item_id = draft.item.as_ref().and_then(|code| self.item_ids.get(code)).copied();
                if let Some(line) = group.new_line(*next_line, draft, document, item_id, self.settings.currency) {
                    *next_line += 1;
                    lines.push(line);
                    continue;
                }
            }
            self.hold_line(draft, document, &unresolved).await?;
        }
        Ok(lines)
    }

    /// A document has one date, on which all its lines count. Lines that name another one are told, not held:
    /// which day was meant is clear, only not to everybody.
    async fn mixed_dates(&mut self, group: &Group, document: &DocumentRow) -> PipelineResult<()> {
        let others = group.lines.iter().filter_map(|line| line.document_date).filter(|date| *date != group.document_date);
        let Some(other) = others.min() else { return Ok(()) };
        let new = NewException {
            code: "mixed-dates".into(),
            subject: document.identity.to_string(),
            message: format!("has lines of {other}; all of them count on {}, the date of its first line", group.document_date),
            help: Some("correct the date in the source or in the mapping, or deliver a document for each date".into()),
            place: group.lines.first().map(|line| line.place.to_string()),
            partner: Some(document.head.partner_code.clone()),
            document_id: Some(document.id),
            on_date: Some(group.document_date),
            dedupe_key: format!("document:mixed-dates:{}", document.id),
            ..NewException::default()
        };
        self.open(new).await
    }

    /// A document has one currency: its rates, its place in the sums and its settlement depend on it.
    /// Which of several is meant nobody can tell, so that none of its lines counts.
    fn mixed_currencies(&self, drafts: &[Held], document: &DocumentRow) -> Option<(&'static str, String, &'static str)> {
        let known = |code: &str| Currency::parse(code).is_some();
        let head = document.head.currency.as_str();
        let company = self.settings.currency;
        if drafts.iter().all(|draft| draft.currency.as_deref().unwrap_or(company.code()) == head) {
            return None;
        }
        let mut first = known(head).then_some(head);
        for draft in drafts {
            let code = draft.currency.as_deref().unwrap_or(self.settings.currency.code());
            // One that is no currency at all is an exception of its own line.
            if Some(code) == first || !known(code) {
                continue;
            }
            let Some(other) = first.replace(code) else { continue };
            return Some((
                MIXED_CURRENCIES,
                format!("has lines in {} and in {}; a document has one currency", other.min(code), other.max(code)),
                "correct the currency in the source or in the mapping, or deliver a document for each currency",
            ));
        }
        None
    }

    /// What of a line is not known: (code, message, help).
    pub(super) fn unresolved(&self, draft: &DraftLine, document: &DocumentRow) -> Vec<(&'static str, String, &'static str)> {
        let mut missing = Vec::new();
        if document.head.partner_id.is_none()
            || (draft.partner != document.head.partner_code && !self.partner_ids.contains_key(&draft.partner))
        {
            missing.push((
                "unknown-partner",
                format!("partner `{}` is not known", draft.partner),
                "import or pull the partner, or record the code as an alias of one",
            ));
        } else if draft.partner != document.head.partner_code {
            missing.push((
                "mixed-partners",
                format!("names partner `{}`, but its document belongs to `{}`", draft.partner, document.head.partner_code),
                "a document has one partner; correct the mapping or the source",
            ));
        }
        if let Some(code) = &draft.item
            && !self.item_ids.contains_key(code)
        {
            missing.push((
                "unknown-item",
                format!("item `{code}` is not known"),
                "import or pull the item; the line is counted by itself once it is known",
            ));
        }
        if let Some(unit) = &draft.unit
            && !self.units.contains(unit)
        {
            missing.push((
                "no-conversion",
                format!(
                    "unit `{unit}` is not known: there is no conversion of it for item `{}`",
                    draft.item.as_deref().unwrap_or_default()
                ),
                "map the source's unit to one of yours, or import it as an item's base unit or with a conversion",
            ));
        }
        if let Some(code) = &draft.currency
            && code != self.settings.currency.code()
            && Currency::parse(code).is_none()
        {
            missing.push((
                "unknown-currency",
                format!("`{code}` is not a currency code"),
                "map the source's currency to its ISO 4217 code",
            ));
        }
        if draft.net_amount.is_none() && draft.quantity.is_none() {
            missing.push(("no-figures", "has neither an amount nor a quantity".to_owned(), "map net_amount or quantity"));
        }
        missing
    }

    pub(super) async fn clear_row_exceptions(
        &mut self,
        draft: &DraftLine,
        unresolved: &[(&'static str, String, &'static str)],
        document: &DocumentRow,
    ) -> PipelineResult<()> {
        for key in Self::row_keys(draft) {
            if !self.refused_now.contains(&key) && self.open_keys.remove(&key) {
                self.tx.clear_exception(&key, "the row was read", self.delivery.now).await?;
            }
        }
        for code in ["unknown-partner", "unknown-item", "no-conversion", "unknown-currency", "mixed-partners", "no-figures"] {
            let key = line_key(code, document.id, &draft.line_number);
            if unresolved.iter().all(|u| u.0 != code) && self.open_keys.remove(&key) {
                self.tx.clear_exception(&key, "it is known now", self.delivery.now).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn hold_line(
        &mut self,
        draft: &DraftLine,
        document: &DocumentRow,
        unresolved: &[(&'static str, String, &'static str)],
    ) -> PipelineResult<()> {
        self.documents.pending += 1;
        for (code, message, help) in unresolved {
            let new = NewException {
                code: (*code).to_owned(),
                blocking: true,
                subject: format!("{} line {}", document.identity, draft.line_number),
                message: message.clone(),
                help: Some((*help).to_owned()),
                place: (!draft.place.source.is_empty()).then(|| draft.place.to_string()),
                partner: Some(draft.partner.clone()),
                document_id: Some(document.id),
                line_number: Some(draft.line_number.clone()),
                on_date: Some(document.head.document_date),
                dedupe_key: line_key(code, document.id, &draft.line_number),
                ..NewException::default()
            };
            self.open(if *code == MIXED_CURRENCIES { of_document(new, document) } else { new }).await?;
        }
        let codes: Vec<&str> = unresolved.iter().map(|u| u.0).collect();
        let row = PendingRow {
            document_id: document.id,
            version: document.head.version,
            line_number: draft.line_number.clone(),
            draft: draft.clone(),
            codes: codes.join(","),
        };
        // The document row has to stand before a line that waits for it.
        self.tx.put_pending(&row).await?;
        Ok(())
    }

    /// Tries the lines that wait for master data again; returns how many came through.
    pub async fn retry_pending(&mut self) -> PipelineResult<i64> {
        let mut by_document: BTreeMap<i64, Vec<PendingRow>> = BTreeMap::new();
        for row in self.tx.pending_lines().await? {
            by_document.entry(row.document_id).or_default().push(row);
        }
        let mut through = 0;
        for (document_id, rows) in by_document {
            let Some(mut document) = self.tx.document_by_id(document_id).await? else { continue };
            let had_partner = document.head.partner_id.is_some();
            if !had_partner {
                document.head.partner_id = self.partner_ids.get(&document.head.partner_code).copied();
            }
            let Some(partner_id) = document.head.partner_id else { continue };
            let drafts: Vec<Held> =
                rows.into_iter().filter(|r| r.version == document.head.version).map(|r| Box::new(r.draft)).collect();
            if drafts.iter().all(|d| !self.unresolved(d, &document).is_empty())
                || self.mixed_currencies(&drafts, &document).is_some()
            {
                continue;
            }
            if !had_partner {
                self.tx.update_document(document_id, &document.head).await?;
            }
            self.tx.drop_pending(document_id).await?;
            let mut next_line = self.tx.take_ids("line", i64::try_from(drafts.len()).unwrap_or(0)).await?;
            let before = self.documents.pending;
            let groups = group_drafts(drafts, &self.settings.company);
            for group in groups {
                let lines = self.resolve_lines(&group, &document, &mut next_line).await?;
                through += i64::try_from(lines.len()).unwrap_or(0);
                self.tx.insert_lines(&lines).await?;
            }
            self.documents.pending = before;
            self.tx.mark_partner(partner_id, &format!("{} became known", document.identity)).await?;
        }
        Ok(through)
    }
}
