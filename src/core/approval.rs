//! Approvals: for exactly this content, by somebody else, by as many as the sum asks for (case 32).
//!
//! A pure decision over facts that the caller has read in one transaction; storing an approval and
//! the audit trail, refused attempts included, is the caller's work.

use crate::core::number::Micros;
use serde::{Deserialize, Serialize};

/// Limits in the company's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalPolicy {
    /// From this sum on (reached) two different people approve.
    pub two_approvers_from: Micros,
    /// Sums below this need nobody.
    pub auto_approve_below: Micros,
}

impl ApprovalPolicy {
    /// How many people approve a settlement when everything of its partner, agreement and period
    /// that is not rejected adds up to `sum`.
    pub fn required(&self, sum: Micros) -> usize {
        if sum >= self.two_approvers_from { 2 } else { usize::from(sum >= self.auto_approve_below) }
    }
}

/// An approval that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenApproval<'a> {
    /// Content it was given for.
    pub fingerprint: &'a str,
    /// Who gave it.
    pub approver: &'a str,
}

/// Why somebody cannot approve a settlement, whatever their role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// They prepared it.
    Prepared,
    /// They entered a version of the agreement that it rests on.
    EnteredVersion,
    /// Trusted files count as theirs.
    StandsForFiles,
}

/// What is to be approved, as it stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvable<'a> {
    /// Fingerprint of the current content.
    pub fingerprint: &'a str,
    /// Who cannot approve it, and why.
    pub barred: &'a [(String, Bar)],
    /// Sum of all settlements of the same partner, agreement and period that are not rejected, sent
    /// ones included, in the company's currency. `None` when it cannot be told for want of a rate: then
    /// it counts as large.
    pub sum: Option<Micros>,
    /// Whether exceptions hold it.
    pub held: bool,
    /// Whether it waits for approval at all (not rejected, not sent, not empty).
    pub open: bool,
}

impl Approvable<'_> {
    fn bar(&self, name: &str) -> Option<Bar> {
        self.barred.iter().find(|(barred, _)| barred == name).map(|(_, bar)| *bar)
    }
}

/// Where the approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Different people who approved the current content.
    pub given: usize,
    /// People needed.
    pub required: usize,
}

impl Standing {
    /// Whether it may be pushed.
    pub const fn is_approved(self) -> bool {
        self.given >= self.required
    }
}

/// Why an approval is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It does not wait for approval.
    NotOpen,
    /// Not by this person.
    Barred(Bar),
    /// Open exceptions hold it.
    Held,
    /// It is no longer what was shown.
    StaleContent,
}

/// What comes of an attempt to approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The approval counts; store it.
    Recorded(Standing),
    /// The same person had approved this content already; nothing changes.
    AlreadyGiven(Standing),
    /// Refused.
    Refused(Refusal),
}

/// How many approvals of the current content count. Approvals of other content and of those who
/// cannot approve it do not.
pub fn standing(subject: &Approvable<'_>, given: &[GivenApproval<'_>], policy: &ApprovalPolicy) -> Standing {
    let mut approvers: Vec<&str> = given
        .iter()
        .filter(|a| a.fingerprint == subject.fingerprint && subject.bar(a.approver).is_none())
        .map(|a| a.approver)
        .collect();
    approvers.sort_unstable();
    approvers.dedup();
    Standing { given: approvers.len(), required: subject.sum.map_or(2, |sum| policy.required(sum)) }
}

/// Whether `approver`, who was shown the content `seen`, may approve.
pub fn decide(
    subject: &Approvable<'_>,
    given: &[GivenApproval<'_>],
    approver: &str,
    seen: &str,
    policy: &ApprovalPolicy,
) -> Decision {
    if !subject.open {
        return Decision::Refused(Refusal::NotOpen);
    }
    if let Some(bar) = subject.bar(approver) {
        return Decision::Refused(Refusal::Barred(bar));
    }
    if subject.held {
        return Decision::Refused(Refusal::Held);
    }
    if seen != subject.fingerprint {
        return Decision::Refused(Refusal::StaleContent);
    }
    let before = standing(subject, given, policy);
    if given.iter().any(|a| a.fingerprint == subject.fingerprint && a.approver == approver) {
        return Decision::AlreadyGiven(before);
    }
    Decision::Recorded(Standing { given: before.given + 1, ..before })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ApprovalPolicy = ApprovalPolicy { two_approvers_from: Micros(10_000_000_000), auto_approve_below: Micros(0) };

    fn barred() -> Vec<(String, Bar)> {
        vec![("prep".into(), Bar::Prepared), ("fin2".into(), Bar::EnteredVersion)]
    }
    fn subject<'a>(fingerprint: &'a str, sum: &str, barred: &'a [(String, Bar)]) -> Approvable<'a> {
        let sum = Some(Micros::parse(sum).expect("sum"));
        Approvable { fingerprint, barred, sum, held: false, open: true }
    }

    #[test]
    fn case_32_course_of_events() {
        let barred = barred();
        let first = subject("v1", "9800", &barred);
        assert_eq!(standing(&first, &[], &POLICY), Standing { given: 0, required: 1 });
        assert_eq!(decide(&first, &[], "prep", "v1", &POLICY), Decision::Refused(Refusal::Barred(Bar::Prepared)));
        let approved = decide(&first, &[], "fin1", "v1", &POLICY);
        assert_eq!(approved, Decision::Recorded(Standing { given: 1, required: 1 }));

        // The night makes it 10,150.00: the approval belongs to other content.
        let mut given = vec![GivenApproval { fingerprint: "v1", approver: "fin1" }];
        let second = subject("v2", "10150", &barred);
        assert!(!standing(&second, &given, &POLICY).is_approved());
        assert_eq!(standing(&second, &given, &POLICY), Standing { given: 0, required: 2 });
        assert_eq!(decide(&second, &given, "fin1", "v2", &POLICY), Decision::Recorded(Standing { given: 1, required: 2 }));
        given.push(GivenApproval { fingerprint: "v2", approver: "fin1" });
        assert_eq!(decide(&second, &given, "fin1", "v2", &POLICY), Decision::AlreadyGiven(Standing { given: 1, required: 2 }));
        assert_eq!(decide(&second, &given, "fin2", "v2", &POLICY), Decision::Refused(Refusal::Barred(Bar::EnteredVersion)));
        // Whoever entered a version after approving counts no more.
        given.push(GivenApproval { fingerprint: "v2", approver: "fin2" });
        assert_eq!(standing(&second, &given, &POLICY).given, 1);
        assert_eq!(decide(&second, &given, "fin3", "v2", &POLICY), Decision::Recorded(Standing { given: 2, required: 2 }));
        given.push(GivenApproval { fingerprint: "v2", approver: "fin3" });
        assert!(standing(&second, &given, &POLICY).is_approved());
    }

    #[test]
    fn case_32_a_split_sum_needs_two_for_each_part() {
        // 6,000.00 and 5,000.00 of the same partner, agreement and period.
        assert_eq!(standing(&subject("a", "11000", &[]), &[], &POLICY).required, 2);
        assert_eq!(standing(&subject("b", "10000", &[]), &[], &POLICY).required, 2);
        assert_eq!(standing(&subject("b", "9999.999999", &[]), &[], &POLICY).required, 1);
    }

    #[test]
    fn what_is_held_rejected_or_changed_meanwhile_is_not_approved() {
        let held = Approvable { held: true, ..subject("v1", "1", &[]) };
        assert_eq!(decide(&held, &[], "fin1", "v1", &POLICY), Decision::Refused(Refusal::Held));
        let rejected = Approvable { open: false, ..subject("v1", "1", &[]) };
        assert_eq!(decide(&rejected, &[], "fin1", "v1", &POLICY), Decision::Refused(Refusal::NotOpen));
        assert_eq!(decide(&subject("v2", "1", &[]), &[], "fin1", "v1", &POLICY), Decision::Refused(Refusal::StaleContent));
    }

    #[test]
    fn small_sums_may_need_nobody() {
        let policy = ApprovalPolicy { auto_approve_below: Micros(50_000_000), ..POLICY };
        assert!(standing(&subject("v1", "49.99", &[]), &[], &policy).is_approved());
        assert!(!standing(&subject("v1", "50", &[]), &[], &policy).is_approved());
    }

    #[test]
    fn a_sum_without_a_rate_counts_as_large() {
        let unknown = Approvable { sum: None, ..subject("v1", "1", &[]) };
        let policy = ApprovalPolicy { auto_approve_below: Micros(50_000_000), ..POLICY };
        assert_eq!(standing(&unknown, &[], &policy).required, 2);
    }
}
