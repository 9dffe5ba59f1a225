//! Who may do what: one table, asked by every door that changes something.
//!
//! Separation of duties lives in two places: here, what a role may do at all; in [`super::approval`],
//! what one person may not do because of what they did before. Looking at figures on the command line
//! needs no right: whoever can run it reads the database anyway.

use crate::core::agreement::words;
use serde::{Deserialize, Serialize};

words! {
    /// What somebody is there for.
    Role {
        /// Keeps systems connected.
        Admin = "admin",
        /// Enters agreements.
        Sales = "sales",
        /// Prepares settlements.
        FinancePreparer = "finance-preparer",
        /// Approves.
        FinanceApprover = "finance-approver",
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// Reads its own statements.
        Partner = "partner",
    } default Partner
}

words! {
    /// What changes something.
    Action {
        /// A job of schedules/.
        Run = "run",
        /// Canonical tables, and what reconciliation finds.
        Import = "import",
        /// Their memos and ours, whose differences become exceptions.
        Reconcile = "reconcile",
        /// Archived documents, mapped again and written.
        ApplyReplay = "replay --apply",
        /// Conditions that wait for approval, and drafts handed in.
        EnterAgreement = "agreement import",
        /// Conditions that somebody else entered.
        DecideAgreement = "agreement approve",
        /// Settlements in one's own name.
        Propose = "settlement propose",
        /// Settlements that somebody else prepared.
        Approve = "settlement approve",
        /// Settlements that are not to be paid as they stand.
        Reject = "settlement reject",
        /// What is approved, as the night does.
        Push = "settlement push",
        /// What the other system refused.
        PushAgain = "settlement push ID",
        /// The amount at which the other system holds a memo.
        AcceptMemo = "settlement accept",
        /// Exceptions.
        ResolveException = "exception resolve",
        /// Exceptions, handed to somebody.
        AssignException = "exception assign",
        /// Statements, written and mailed now.
        SendStatement = "statement send",
        /// Statements whose mail may not have arrived.
        ResendStatement = "statement resend",
        /// Accounting periods.
        ClosePeriod = "period close",
        /// Accounting periods that were closed.
        ReopenPeriod = "period reopen",
    } default Run
}

const FINANCE: &[Role] = &[Role::FinancePreparer, Role::FinanceApprover];
const APPROVER: &[Role] = &[Role::FinanceApprover];
const CLERKS: &[Role] = &[Role::Admin, Role::FinancePreparer, Role::FinanceApprover];
const OFFICE: &[Role] = &[Role::Admin, Role::Sales, Role::FinancePreparer, Role::FinanceApprover];

impl Action {
    /// Roles that may do it.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::Run | Self::Import | Self::Reconcile | Self::ApplyReplay => CLERKS,
            Self::EnterAgreement | Self::AssignException => OFFICE,
            Self::DecideAgreement | Self::Approve | Self::AcceptMemo => APPROVER,
            // An approver may prepare, and is then barred from approving it.
            Self::Propose
            | Self::Reject
            | Self::Push
            | Self::PushAgain
            | Self::ResolveException
            | Self::SendStatement
            | Self::ResendStatement
            | Self::ClosePeriod
            | Self::ReopenPeriod => FINANCE,
        }
    }

    /// Whether it can be done in nobody's name, by whoever controls the machine: what the daemon does
    /// every night without a person as well. It stands as `console` in the trail.
    pub const fn unattended(self) -> bool {
        matches!(self, Self::Run | Self::Import | Self::Reconcile | Self::Push | Self::SendStatement)
    }

    /// What it is, after "may not".
    pub const fn deed(self) -> &'static str {
        match self {
            Self::Run => "start runs",
            Self::Import => "import tables",
            Self::Reconcile => "reconcile",
            Self::ApplyReplay => "map documents again",
            Self::EnterAgreement => "enter agreements",
            Self::DecideAgreement => "approve or reject agreements",
            Self::Propose => "prepare settlements",
            Self::Approve => "approve settlements",
            Self::Reject => "reject settlements",
            Self::Push => "push settlements",
            Self::PushAgain => "push settlements again",
            Self::AcceptMemo => "accept what the other system holds",
            Self::ResolveException => "resolve exceptions",
            Self::AssignException => "assign exceptions",
            Self::SendStatement => "send statements",
            Self::ResendStatement => "send statements again",
            Self::ClosePeriod => "close periods",
            Self::ReopenPeriod => "reopen periods",
        }
    }
}

/// Whether a role, as its stored word, may do it. A word that is no role may do nothing.
pub fn may(role: &str, action: Action) -> bool {
    Role::from_word(role).is_some_and(|role| action.roles().contains(&role))
}

/// Why somebody may not do it; `None` when they may.
pub fn refusal(name: &str, role: &str, action: Action) -> Option<String> {
    (!may(role, action)).then(|| format!("{name} ({role}) may not {}", action.deed()))
}

/// The table as the reference page shows it: Markdown, one row for each action.
pub fn markdown() -> String {
    let mut text = String::from("| to do this |");
    for (word, _) in Role::WORDS {
        text.push_str(&format!(" {word} |"));
    }
    text.push_str(" without a token |\n|---|");
    text.push_str(&"---|".repeat(Role::WORDS.len() + 1));
    text.push('\n');
    let mark = |yes: bool| if yes { " yes |" } else { " |" };
    for (word, action) in Action::WORDS {
        text.push_str(&format!("| `{word}` |"));
        for (_, role) in Role::WORDS {
            text.push_str(mark(action.roles().contains(role)));
        }
        text.push_str(mark(action.unattended()));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(action: Action) -> Vec<&'static str> {
        Role::WORDS.iter().map(|(word, _)| *word).filter(|word| may(word, action)).collect()
    }

    #[test]
    fn preparers_do_not_approve_and_readers_change_nothing() {
        for (_, action) in Action::WORDS {
            let may = who(*action);
            assert!(!may.is_empty(), "{action}");
            assert!(!may.contains(&"auditor") && !may.contains(&"partner"), "{action}: {may:?}");
        }
        assert_eq!(who(Action::Propose), ["finance-preparer", "finance-approver"]);
        for decision in [Action::Approve, Action::DecideAgreement, Action::AcceptMemo] {
            assert_eq!(who(decision), ["finance-approver"]);
        }
        assert_eq!(who(Action::EnterAgreement), ["admin", "sales", "finance-preparer", "finance-approver"]);
        assert_eq!(who(Action::ReopenPeriod), ["finance-preparer", "finance-approver"]);
    }

    #[test]
    fn what_is_decided_needs_a_name() {
        let unattended: Vec<&str> = Action::WORDS.iter().filter(|(_, a)| a.unattended()).map(|(word, _)| *word).collect();
        assert_eq!(unattended, ["run", "import", "reconcile", "settlement push", "statement send"]);
    }

    #[test]
    fn a_word_that_is_no_role_may_do_nothing() {
        assert!(Action::WORDS.iter().all(|(_, action)| !may("root", *action) && !may("", *action)));
        assert_eq!(refusal("mia", "sales", Action::Approve).as_deref(), Some("mia (sales) may not approve settlements"));
        assert_eq!(refusal("mia", "finance-approver", Action::Approve), None);
    }
}
