//! The figures of one statement: one partner, one period, what was earned and how to check it.
//!
//! A pure builder: plain inputs from the store go in, a [`Statement`] comes out, which mail, sheet
//! and screen only render. It computes totals, the distance to the next tier and the recipe for
//! recomputing, never a rebate: earned amounts arrive rounded. Invariants: figures of one partner
//! only; currencies are never added; the shares of a term's lines add up to its earned amount; what was
//! stated before, its corrections and what is earned in the period add up to what is earned to date, so that whoever
//! adds up statement after statement arrives there too.

use crate::core::agreement::{Direction, Measure, Method, Tier};
use crate::core::money::Currency;
use crate::core::number::Micros;
use crate::core::period::Period;
use crate::core::problem::Problem;
pub use crate::core::statement_changes::LineChange;
use crate::core::statement_changes::line_changes;
pub use crate::core::statement_input::{
    AgreementInput, CarryReason, Language, OpenPoint, OpenReason, StatedAgreement, StatedOn, StatedTerm, StatementInput,
    StatementLine, StatementSettlement, TermInput,
};
use crate::core::statement_recipe::RecipeStep;
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
    /// Documents about which something is open.
    pub open_points: Vec<OpenPoint>,
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

/// Sums. `stated_before` + `corrections` + `earned_in_period` = `earned`; `open` = `earned` - `settled`, below
/// zero when more was paid than is earned now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Earned as the statement before said; zero on the first one.
    pub stated_before: Micros,
    /// What became known since of the time before the stated period; on the first statement all that was earned then.
    pub corrections: Micros,
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
        self.stated_before += other.stated_before;
        self.corrections += other.corrections;
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
    /// Credit memos that left the house.
    pub settlements: Vec<StatementSettlement>,
    /// The statement that this one builds on; `None` on the first one.
    pub stated_on: Option<StatedOn>,
    /// Terms.
    pub terms: Vec<TermFigures>,
    /// Figures that were stated and of which nothing is left.
    pub gone: Vec<GoneFigure>,
    /// Lines of the time before the stated period that are not as they were stated.
    pub changes: Vec<LineChange>,
}

/// A figure that was stated and of whose lines none counts any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneFigure {
    /// Term id.
    pub id: String,
    /// Accumulation period.
    pub accumulation: Period,
    /// What was stated.
    pub stated: Micros,
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
    /// 0, or the document or line that is its own period.
    pub part: i64,
    /// Measure that picks the tier.
    pub qualifier_measure: Measure,
    /// Measure the benefit multiplies.
    pub base_measure: Measure,
    /// Unit of the qualifier, where it is a quantity.
    pub unit: Option<String>,
    /// Unit of the base, where it is a quantity.
    pub base_unit: Option<String>,
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
    /// Earned as the statement before said.
    pub stated_before: Micros,
    /// What became known since of the time before the stated period.
    pub corrections: Micros,
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
            let figures = agreement_figures(agreement, input.period)?;
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
            open_points: input.open_points,
            audit_head: input.audit_head,
        })
    }

    /// Number of lines listed.
    pub fn line_count(&self) -> usize {
        self.blocks.iter().flat_map(|b| &b.agreements).flat_map(|a| &a.terms).map(|t| t.lines.len()).sum()
    }
}

fn agreement_figures(agreement: AgreementInput, period: Period) -> Result<AgreementFigures, Problem> {
    let mut totals = Totals { settled: agreement.settled, ..Totals::default() };
    let (stated_on, mut stated) = agreement.stated.map_or((None, Vec::new()), |s| (Some(s.on), s.terms));
    let mut terms = Vec::with_capacity(agreement.terms.len());
    let mut changes = Vec::new();
    for term in agreement.terms {
        let same = |s: &StatedTerm| (&s.id, s.accumulation, s.part) == (&term.id, term.accumulation, term.part);
        let before = stated.iter().position(same).map(|at| stated.swap_remove(at));
        if stated_on.is_some() {
            let known = before.as_ref().map_or(&[][..], |b| &b.lines);
            let earlier = term.lines.iter().filter(|l| l.counted_in < period.from);
            changes.extend(line_changes(&term.id, known, earlier));
        }
        let figures = term_figures(&agreement.id, agreement.currency, term, before.map_or(Micros::ZERO, |b| b.earned))?;
        totals.stated_before += figures.stated_before;
        totals.corrections += figures.corrections;
        totals.earned_in_period += figures.earned_in_period;
        totals.earned += figures.earned;
        totals.booked += figures.booked;
        terms.push(figures);
    }
    let mut gone = Vec::new();
    for term in stated {
        changes.extend(line_changes(&term.id, &term.lines, std::iter::empty()));
        totals.stated_before += term.earned;
        totals.corrections -= term.earned;
        if !term.earned.is_zero() {
            gone.push(GoneFigure { id: term.id, accumulation: term.accumulation, stated: term.earned });
        }
    }
    gone.sort_by(|a, b| (a.accumulation.from, &a.id).cmp(&(b.accumulation.from, &b.id)));
    changes.sort_by(LineChange::order);
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
        stated_on,
        terms,
        gone,
        changes,
    })
}

fn term_figures(agreement: &str, currency: Currency, term: TermInput, stated: Micros) -> Result<TermFigures, Problem> {
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
    let corrections = term.earned_before - stated;
    let change = term.earned - term.earned_before;
    let mut recipe = term.recipe;
    if !stated.is_zero() && !corrections.is_zero() {
        recipe.push(RecipeStep::Correction { before: term.earned_before, stated, change: corrections });
    }
    if !term.earned_before.is_zero() {
        recipe.push(RecipeStep::InPeriod { earned: term.earned, before: term.earned_before, change });
    }
    Ok(TermFigures {
        id: term.id,
        kind: term.kind,
        accumulation: term.accumulation,
        part: term.part,
        qualifier_measure: term.qualifier_measure,
        base_measure: term.base_measure,
        unit: term.unit,
        base_unit: term.base_unit,
        method: term.method,
        tiers: term.tiers,
        qualifier: term.qualifier,
        qualifier_of_all_partners: term.qualifier_of_all_partners,
        base: term.base,
        tier: term.tier,
        next,
        stated_before: stated,
        corrections,
        earned_in_period: change,
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
    use crate::core::agreement::Benefit;
    use crate::core::number::{Fine, Rate};

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
            document_type: crate::core::line::DocumentType::Invoice,
            document: document.into(),
            line: "1".into(),
            date: day("2026-06-03"),
            item: Some("P-100".into()),
            quantity: micros("10"),
            unit: "EA".into(),
            net: micros(net),
            net_currency: Currency::parse("EUR").unwrap(),
            counted_in: day("2026-06-01"),
            version: 1,
            qualifier: micros(net).exact(),
            base: micros(net).exact(),
            derived: vec![],
            unrounded: Fine::ZERO,
            share: micros(share),
        }
    }
    fn term() -> TermInput {
        TermInput {
            id: "volume".into(),
            kind: "volume".into(),
            accumulation: Period::new(day("2026-01-01"), day("2026-12-31")).unwrap(),
            part: 0,
            qualifier_measure: Measure::NetAmount,
            base_measure: Measure::NetAmount,
            unit: None,
            base_unit: None,
            method: Method::Retrospective,
            tiers: vec![tier("0", "1%"), tier("100000", "2%"), tier("250000", "3.5%")],
            qualifier: micros("120000"),
            qualifier_of_all_partners: false,
            base: micros("120000"),
            tier: Some(1),
            earned: micros("2400"),
            earned_before: micros("900"),
            booked: micros("2400"),
            recipe: vec![],
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
            stated: None,
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
            open_points: vec![],
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

    fn stated(terms: Vec<StatedTerm>) -> Option<StatedAgreement> {
        let period = Period::new(day("2026-05-01"), day("2026-05-31")).unwrap();
        Some(StatedAgreement { on: StatedOn { period, period_label: "2026-05".into(), revision: 2 }, terms })
    }

    #[test]
    fn what_was_stated_its_corrections_and_the_period_add_up_to_what_is_earned() {
        let mut now = term();
        now.lines[0].counted_in = day("2026-05-01");
        let accumulation = now.accumulation;
        let before =
            |id: &str, earned: &str, lines| StatedTerm { id: id.into(), accumulation, part: 0, earned: micros(earned), lines };
        let mut changed = line("1", "80000", "800");
        changed.counted_in = day("2026-05-01");
        let away = line("0", "100", "7");
        let mut agreement = agreement("A1", "EUR", "0", vec![now]);
        agreement.stated = stated(vec![before("volume", "800", vec![changed]), before("given-up", "7", vec![away])]);
        let statement = Statement::build(input(vec![agreement])).unwrap();
        let figures = &statement.blocks[0].agreements[0];
        let t = &figures.totals;
        // 900.00 earned before June by what is known now, 800.00 and 7.00 were stated.
        assert_eq!((t.stated_before, t.corrections, t.earned_in_period), (micros("807"), micros("93"), micros("1500")));
        assert_eq!(t.stated_before + t.corrections + t.earned_in_period, t.earned);
        assert_eq!(figures.gone.iter().map(|g| (g.id.as_str(), g.stated)).collect::<Vec<_>>(), [("given-up", micros("7"))]);
        let changes: Vec<_> = figures.changes.iter().map(|c| (c.document.as_str(), c.before, c.now)).collect();
        assert_eq!(changes, [("0", Some(micros("100")), None), ("1", Some(micros("80000")), Some(micros("90000")))]);
        let correction = RecipeStep::Correction { before: micros("900"), stated: micros("800"), change: micros("100") };
        assert!(figures.terms[0].recipe.contains(&correction));
    }

    #[test]
    fn the_first_statement_says_what_was_earned_before_it() {
        let statement = Statement::build(input(vec![agreement("A1", "EUR", "0", vec![term()])])).unwrap();
        let figures = &statement.blocks[0].agreements[0];
        assert_eq!((figures.totals.stated_before, figures.totals.corrections), (micros("0"), micros("900")));
        assert_eq!(figures.changes, [], "nothing was stated that could have changed");
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
