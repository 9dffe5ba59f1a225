//! The figures of one statement: one partner, one period, what was earned and how to check it.
//!
//! A pure builder: plain inputs from the store go in, a [`Statement`] comes out, which mail, sheet
//! and screen only render. It computes totals, the distance to the next tier and the recipe for
//! recomputing, never a rebate: earned amounts arrive rounded. Invariants: figures of one partner
//! only; currencies are never added; the shares of a term's lines add up to its earned amount.

use crate::core::agreement::{Direction, Measure, Method, Tier};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::Period;
use crate::core::problem::Problem;
pub use crate::core::statement_input::{
    AgreementInput, CarryReason, Language, StatementException, StatementInput, StatementLine, StatementSettlement, TermInput,
};
use crate::core::statement_recipe::{RecipeStep, recipe};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// A finished statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Our company's name.
    pub company: String,
    /// Partner code.
    pub partner: String,
    /// Partner name.
    pub partner_name: String,
    /// Short name for file names.
    pub partner_short: String,
    /// Language.
    pub language: Language,
    /// Period, both days included.
    pub period: Period,
    /// Its name in the fiscal calendar.
    pub period_label: String,
    /// 1 for the first statement of the period.
    pub revision: u32,
    /// Business day up to which documents were counted.
    pub as_of: NaiveDate,
    /// One block for each currency.
    pub blocks: Vec<CurrencyBlock>,
    /// Open exceptions.
    pub exceptions: Vec<StatementException>,
    /// Head of the audit chain when the statement was made.
    pub audit_head: Option<String>,
}

/// Agreements of one currency with their totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyBlock {
    /// The currency of every amount inside.
    pub currency: Currency,
    /// Sums over the agreements.
    pub totals: Totals,
    /// The agreements.
    pub agreements: Vec<AgreementFigures>,
}

/// Sums. `open` = `earned` - `settled`; below zero when more was paid than is earned now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Earned in the stated period: change of the earned amount over its days.
    pub earned_in_period: Micros,
    /// Earned in the accumulation periods so far.
    pub earned: Micros,
    /// Held in the accrual ledger.
    pub booked: Micros,
    /// Settled.
    pub settled: Micros,
    /// Earned and not settled.
    pub open: Micros,
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.earned_in_period += other.earned_in_period;
        self.earned += other.earned;
        self.booked += other.booked;
        self.settled += other.settled;
        self.open += other.open;
    }
}

/// One agreement on the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreementFigures {
    /// Agreement id.
    pub id: String,
    /// Version.
    pub version: u32,
    /// Title.
    pub title: String,
    /// Who owes whom.
    pub direction: Direction,
    /// Sums over the terms.
    pub totals: Totals,
    /// Why `totals.open` is not settled; `None` when nothing is open.
    pub carry_reason: Option<CarryReason>,
    /// Settlements.
    pub settlements: Vec<StatementSettlement>,
    /// Terms.
    pub terms: Vec<TermFigures>,
}

/// One term on the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermFigures {
    /// Term id.
    pub id: String,
    /// Type word.
    pub kind: String,
    /// Accumulation period.
    pub accumulation: Period,
    /// Measure that picks the tier.
    pub qualifier_measure: Measure,
    /// Measure the benefit multiplies.
    pub base_measure: Measure,
    /// Unit of quantities.
    pub unit: Option<String>,
    /// Retrospective or marginal.
    pub method: Method,
    /// The ladder.
    pub tiers: Vec<Tier>,
    /// Qualifier.
    pub qualifier: Micros,
    /// Whether it is that of all partners together.
    pub qualifier_of_all_partners: bool,
    /// Base.
    pub base: Micros,
    /// Index of the tier reached.
    pub tier: Option<usize>,
    /// The next tier with its distance.
    pub next: Option<NextTier>,
    /// Earned in the stated period.
    pub earned_in_period: Micros,
    /// Earned in the accumulation period so far.
    pub earned: Micros,
    /// Held in the accrual ledger.
    pub booked: Micros,
    /// How to recompute `earned` with a pocket calculator.
    pub recipe: Vec<RecipeStep>,
    /// Lines with their shares.
    pub lines: Vec<StatementLine>,
}

/// The tier above the one reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTier {
    /// The tier.
    pub tier: Tier,
    /// What the qualifier still lacks; zero when the bound is met but has to be exceeded.
    pub missing: Micros,
}

impl Statement {
    /// Builds the figures. Problems: `statement-does-not-add-up` when the shares of a term's lines
    /// are not its earned amount, `statement-tier` when the tier named does not exist.
    pub fn build(input: StatementInput) -> Result<Self, Problem> {
        let mut blocks: Vec<CurrencyBlock> = Vec::new();
        for agreement in input.agreements {
            let currency = agreement.currency;
            let figures = agreement_figures(agreement)?;
            let index = match blocks.iter().position(|b| b.currency == currency) {
                Some(index) => index,
                None => {
                    blocks.push(CurrencyBlock { currency, totals: Totals::default(), agreements: Vec::new() });
                    blocks.len() - 1
                }
            };
            blocks[index].totals.add(&figures.totals);
            blocks[index].agreements.push(figures);
        }
        blocks.sort_by_key(|b| b.currency);
        let partner_name = one_line(&input.partner_name);
        let partner_short = one_line(short_name(&input.partner_name));
        Ok(Self {
            company: one_line(&input.company),
            partner: input.partner,
            partner_short,
            partner_name,
            language: input.language,
            period: input.period,
            period_label: input.period_label,
            revision: input.revision,
            as_of: input.as_of,
            blocks,
            exceptions: input.exceptions,
            audit_head: input.audit_head,
        })
    }

    /// Number of lines listed.
    pub fn line_count(&self) -> usize {
        self.blocks.iter().flat_map(|b| &b.agreements).flat_map(|a| &a.terms).map(|t| t.lines.len()).sum()
    }
}

fn agreement_figures(agreement: AgreementInput) -> Result<AgreementFigures, Problem> {
    let mut totals = Totals { settled: agreement.settled, ..Totals::default() };
    let mut terms = Vec::with_capacity(agreement.terms.len());
    for term in agreement.terms {
        let figures = term_figures(&agreement.id, agreement.currency, term)?;
        totals.earned_in_period += figures.earned_in_period;
        totals.earned += figures.earned;
        totals.booked += figures.booked;
        terms.push(figures);
    }
    totals.open = totals.earned - totals.settled;
    let carry_reason = if totals.open.is_zero() {
        None
    } else if totals.open.is_negative() {
        Some(CarryReason::Overpaid)
    } else {
        Some(agreement.carry_reason)
    };
    Ok(AgreementFigures {
        id: agreement.id,
        version: agreement.version,
        title: one_line(&agreement.title),
        direction: agreement.direction,
        totals,
        carry_reason,
        settlements: agreement.settlements,
        terms,
    })
}

fn term_figures(agreement: &str, currency: Currency, term: TermInput) -> Result<TermFigures, Problem> {
    if term.tier.is_some_and(|index| index >= term.tiers.len()) {
        return Err(Problem::new(
            "statement-tier",
            format!("{agreement} {}: the tier reached is not one of the ladder", term.id),
        ));
    }
    let shares: Micros = term.lines.iter().map(|l| l.share).sum();
    if !term.lines.is_empty() && shares != term.earned {
        return Err(Problem::new(
            "statement-does-not-add-up",
            format!(
                "{agreement} {}: the lines' shares add up to {}, earned is {}",
                term.id,
                currency.amount_text(shares),
                currency.amount_text(term.earned)
            ),
        )
        .help("run the match and accrue steps again; a rebuild shows which of the two is right"));
    }
    let next_index = term.tier.map_or(0, |index| index + 1);
    let next = term
        .tiers
        .get(next_index)
        .map(|tier| NextTier { tier: tier.clone(), missing: (tier.from - term.qualifier).clamp_positive() });
    let recipe = recipe(&term, currency.minor_digits());
    Ok(TermFigures {
        id: term.id,
        kind: term.kind,
        accumulation: term.accumulation,
        qualifier_measure: term.qualifier_measure,
        base_measure: term.base_measure,
        unit: term.unit,
        method: term.method,
        tiers: term.tiers,
        qualifier: term.qualifier,
        qualifier_of_all_partners: term.qualifier_of_all_partners,
        base: term.base,
        tier: term.tier,
        next,
        earned_in_period: term.earned - term.earned_before,
        earned: term.earned,
        booked: term.booked,
        recipe,
        lines: term.lines,
    })
}

/// Text on one line: control characters (line breaks above all) become blanks, so that no name can
/// start a header of its own. Runs of blanks are left as they are.
pub fn one_line(text: &str) -> String {
    let cleaned: String =
        text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect();
    cleaned.trim().to_owned()
}

/// A short name for file names: the family's name before `&`, `und`, `and`, `et`, `y` where there
/// is one (`Möbelhaus Grünwald & Söhne` is known as Grünwald), else the name as it is.
fn short_name(name: &str) -> &str {
    for joint in [" & ", " und ", " and ", " et ", " y "] {
        if let Some((before, _)) = name.split_once(joint) {
            return before.split_whitespace().next_back().unwrap_or(name);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::agreement::{Benefit, Bound};
    use crate::core::number::Rate;

    fn micros(text: &str) -> Micros {
        Micros::parse(text).unwrap()
    }
    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }
    fn tier(from: &str, percent: &str) -> Tier {
        Tier { from: micros(from), benefit: Benefit::Rate(Rate::parse_percent(percent).unwrap()), back_to_first: false }
    }
    fn line(document: &str, net: &str, share: &str) -> StatementLine {
        StatementLine {
            document_type: "invoice".into(),
            document: document.into(),
            line: "1".into(),
            date: day("2026-06-03"),
            item: Some("P-100".into()),
            description: None,
            quantity: micros("10"),
            unit: "EA".into(),
            net: micros(net),
            net_currency: Currency::parse("EUR").unwrap(),
            share: micros(share),
        }
    }
    fn term() -> TermInput {
        TermInput {
            id: "volume".into(),
            kind: "volume".into(),
            accumulation: Period::new(day("2026-01-01"), day("2026-12-31")).unwrap(),
            qualifier_measure: Measure::NetAmount,
            base_measure: Measure::NetAmount,
            unit: None,
            method: Method::Retrospective,
            bound: Bound::Reached,
            tiers: vec![tier("0", "1%"), tier("100000", "2%"), tier("250000", "3.5%")],
            qualifier: micros("120000"),
            qualifier_of_all_partners: false,
            base: micros("120000"),
            tier: Some(1),
            earned: micros("2400"),
            earned_before: micros("900"),
            booked: micros("2400"),
            lines: vec![line("1", "90000", "1800"), line("2", "30000", "600")],
        }
    }
    fn agreement(id: &str, currency: &str, settled: &str, terms: Vec<TermInput>) -> AgreementInput {
        AgreementInput {
            id: id.into(),
            version: 1,
            title: "Volume".into(),
            direction: Direction::Payable,
            currency: Currency::parse(currency).unwrap(),
            settled: micros(settled),
            carry_reason: CarryReason::NotDue,
            settlements: vec![],
            terms,
        }
    }
    fn input(agreements: Vec<AgreementInput>) -> StatementInput {
        StatementInput {
            company: "Northwind".into(),
            partner: "K1".into(),
            partner_name: "Möbelhaus Grünwald & Söhne".into(),
            language: Language::De,
            period: Period::new(day("2026-06-01"), day("2026-06-30")).unwrap(),
            period_label: "2026-06".into(),
            revision: 1,
            as_of: day("2026-06-30"),
            agreements,
            exceptions: vec![],
            audit_head: None,
        }
    }

    #[test]
    fn the_period_gets_the_change_and_the_distance_to_the_next_tier_is_exact() {
        let statement = Statement::build(input(vec![agreement("A1", "EUR", "900", vec![term()])])).unwrap();
        let figures = &statement.blocks[0].agreements[0];
        assert_eq!(figures.totals.earned_in_period, micros("1500"), "the rate change of earlier lines belongs to June");
        assert_eq!(figures.totals.open, micros("1500"));
        assert_eq!(figures.carry_reason, Some(CarryReason::NotDue));
        let next = figures.terms[0].next.as_ref().unwrap();
        assert_eq!((next.tier.from, next.missing), (micros("250000"), micros("130000")));
    }

    #[test]
    fn currencies_are_never_added_together() {
        let statement = Statement::build(input(vec![
            agreement("A1", "USD", "0", vec![term()]),
            agreement("A2", "EUR", "0", vec![term()]),
            agreement("A3", "USD", "0", vec![term()]),
        ]))
        .unwrap();
        let seen: Vec<_> =
            statement.blocks.iter().map(|b| (b.currency.code().to_owned(), b.totals.earned, b.agreements.len())).collect();
        assert_eq!(seen, [("EUR".to_owned(), micros("2400"), 1), ("USD".to_owned(), micros("4800"), 2)]);
    }

    #[test]
    fn lines_that_do_not_add_up_to_the_earned_amount_are_refused() {
        let mut wrong = term();
        wrong.lines[1].share = micros("600.01");
        let problem = Statement::build(input(vec![agreement("A1", "EUR", "0", vec![wrong])])).unwrap_err();
        assert_eq!(problem.code, "statement-does-not-add-up");
        assert!(problem.message.contains("2400.01") && problem.message.contains("2400.00"), "{}", problem.message);
    }

    #[test]
    fn an_overpayment_is_carried_forward_visibly() {
        let statement = Statement::build(input(vec![agreement("A1", "EUR", "3000", vec![term()])])).unwrap();
        let figures = &statement.blocks[0].agreements[0];
        assert_eq!((figures.totals.open, figures.carry_reason), (micros("-600"), Some(CarryReason::Overpaid)));
    }

    #[test]
    fn line_breaks_in_names_do_not_survive() {
        let mut evil = input(vec![]);
        evil.partner_name = "Evil\r\nBcc: x@y.example".into();
        let statement = Statement::build(evil).unwrap();
        assert_eq!(statement.partner_name, "Evil  Bcc: x@y.example");
    }

    #[test]
    fn short_names_and_languages() {
        assert_eq!(short_name("Möbelhaus Grünwald & Söhne"), "Grünwald");
        assert_eq!(short_name("Acme Plumbing"), "Acme Plumbing");
        assert_eq!(Language::of_partner(Some("de-AT")), Language::De);
        assert_eq!(Language::of_partner(Some("pt")), Language::En);
        assert_eq!(Language::of_partner(None), Language::En);
    }
}
