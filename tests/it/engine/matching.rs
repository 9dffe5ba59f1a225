//! Which lines count, as whose, and why not.

use super::world::*;
use rebated::core::agreement::*;
use rebated::core::line::{Extra, LineKind};
use rebated::core::master_data::MasterData;
use rebated::core::matching::Outcome;
use rebated::core::period::Span;

fn flat() -> AgreementVersion {
    agreement(volume(rate_tiers(&[("0", "10%")])))
}
fn select(dimension: Dimension, values: &[&str]) -> Selection {
    Selection { dimensions: vec![(dimension, values.iter().map(|v| (*v).into()).collect())] }
}

#[test]
fn any_level_of_the_category_path_selects() {
    let items = || vec![item(1, "P1", "PUMPS/ROTARY/SMALL"), item(2, "P2", "PUMPS/AXIAL"), item(3, "P3", "VALVES")];
    for (category, expected) in
        [("PUMPS", "20.00"), ("ROTARY", "10.00"), ("PUMPS/ROTARY", "10.00"), ("PUMP", "0.00"), ("VALVES", "10.00")]
    {
        let mut rule = flat();
        rule.terms[0].select = select(Dimension::Category, &[category]);
        let world = World::with(vec![rule], MasterData::new(vec![partner(1, "C1")], items(), vec![], vec![]));
        let of = |id, item| Doc::invoice(id, "I", "2026-03-02", &["100"]).each(|l| l.item_id = Some(item));
        assert_eq!(world.earned(&[of(1, 1), of(2, 2), of(3, 3)]), expected, "{category}");
    }
}

#[test]
fn classification_is_that_of_the_document_date() {
    let mut moved = item(1, "P1", "OLD");
    moved.facts.push(rebated::core::master_data::ItemFact {
        valid_from: day("2026-06-01"),
        category: Some("NEW".into()),
        ..moved.facts[0].clone()
    });
    let mut rule = flat();
    rule.terms[0].select = select(Dimension::Category, &["NEW"]);
    let world = World::with(vec![rule], MasterData::new(vec![partner(1, "C1")], vec![moved], vec![], vec![]));
    let documents = [Doc::invoice(1, "I", "2026-05-31", &["100"]), Doc::invoice(2, "I", "2026-06-01", &["10"])];
    assert_eq!(world.earned(&documents), "1.00");
}

#[test]
fn groups_parents_and_exclusions_are_dated() {
    let master = || {
        let partners = vec![
            member(1, "C1", &[("2026-01-01", None, &["EAST"]), ("2026-07-01", None, &[])]),
            member(2, "C2", &[("2026-01-01", Some("BG-1"), &["EAST"])]),
            member(3, "BG-1", &[("2026-01-01", Some("HOLDING"), &[])]),
            member(4, "HOLDING", &[]),
        ];
        MasterData::new(partners, vec![], vec![], vec![])
    };
    let bases = |audience: Audience| -> Vec<(i64, String)> {
        let world = World::with(vec![AgreementVersion { audience, ..flat() }], master());
        let documents: Vec<Doc> = (1..=4)
            .flat_map(|p| {
                [
                    Doc::invoice(p * 10, "I", "2026-03-02", &["100"]).partner(p),
                    Doc::invoice(p * 10 + 1, "I", "2026-08-02", &["50"]).partner(p),
                ]
            })
            .collect();
        world.figures(world.fold(&documents)).into_iter().map(|f| (f.0, f.2.base.to_text(0))).collect()
    };
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let by_group = bases(Audience { groups: names(&["EAST"]), ..Audience::default() });
    assert_eq!(by_group, [(1, "100".into()), (2, "150".into())]);
    let by_parent = bases(Audience { parents: names(&["HOLDING"]), ..Audience::default() });
    assert_eq!(by_parent, [(2, "150".into()), (3, "150".into())]);
    let excluded = bases(Audience { groups: names(&["EAST"]), exclude_partners: names(&["C2"]), ..Audience::default() });
    assert_eq!(excluded, [(1, "100".into())]);
}

#[test]
fn a_document_discount_is_spread_over_the_goods_lines() {
    let mut rule = flat();
    rule.terms[0].select = select(Dimension::Category, &["PUMPS"]);
    let items = vec![item(1, "P1", "PUMPS"), item(2, "P2", "VALVES")];
    let world = World::with(vec![rule], MasterData::new(vec![partner(1, "C1")], items, vec![], vec![]));
    let mut document = Doc::invoice(1, "I", "2026-03-02", &["100", "200", "-30", "40"]);
    document.lines[1].item_id = Some(2);
    document.lines[2].line_kind = LineKind::Discount;
    document.lines[3].line_kind = LineKind::Freight;
    // A third of the discount goes with the pumps: 100 - 10 = 90.
    let figure = world.figures(world.fold([&document])).remove(0).2;
    assert_eq!((figure.base.to_text(0), figure.earned.to_text(2), figure.lines), ("90".into(), "9.00".into(), 1));

    let mut lonely = Doc::invoice(2, "I", "2026-03-02", &["-30"]);
    lonely.lines[0].line_kind = LineKind::Discount;
    let sums = world.fold([&lonely]);
    assert_eq!(sums.problems.iter().map(|p| (p.code, p.blocking)).collect::<Vec<_>>(), [("discount-without-goods", true)]);
}

#[test]
fn shares_of_a_discount_add_up_exactly() {
    let world = World::new(vec![flat()]);
    let mut document = Doc::invoice(1, "I", "2026-03-02", &["1", "1", "1", "-0.10"]);
    document.lines[3].line_kind = LineKind::Discount;
    let figure = world.figures(world.fold([&document])).remove(0).2;
    assert_eq!(figure.base.to_text(0), "2.9");
}

#[test]
fn a_document_counts_once_however_many_lines_and_months_it_has() {
    let rule = Volume { qualifier: Measure::DocumentCount, ..volume(rate_tiers(&[("0", "1%"), ("3", "10%")])) };
    let mut version = agreement(rule);
    version.returns = ReturnsBasis::OriginalPeriod;
    let world = World::new(vec![version]);
    let documents = [Doc::invoice(1, "I", "2026-03-02", &["100", "100"]), Doc::invoice(2, "I", "2026-04-02", &["100", "100"])];
    assert_eq!(world.earned(&documents), "4.00");
    // One invoice whose lines take back from two months is the third document.
    let mut back = Doc::invoice(3, "C", "2026-05-02", &["-50", "-50"]).refers_to("2026-03-02");
    back.lines[1].original = documents[1].lines.first().map(|l| rebated::core::line::Original {
        document_id: l.document_id,
        document_date: l.document_date,
        posting_date: None,
    });
    let figure = world.figures(world.fold(documents.iter().chain([&back]))).remove(0).2;
    assert_eq!((figure.qualifier.to_text(0), figure.earned.to_text(2)), ("3".into(), "30.00".into()));
}

#[test]
fn a_return_of_an_invoice_before_the_agreement_does_not_count_in_it() {
    let world = World::new(vec![AgreementVersion { returns: ReturnsBasis::OriginalPeriod, ..flat() }]);
    let back = Doc::credit(2, "C", "2026-01-20", &["-50"]).refers_to("2025-12-20");
    assert!(world.fold([&back]).is_empty());
    let verdicts = world.matcher().explain_line(&back.lines[0], &back.document());
    assert!(matches!(verdicts[0].outcome, Outcome::Not { code: "original-outside", .. }), "{verdicts:?}");
}

#[test]
fn a_return_after_the_agreement_counts_with_its_original() {
    let mut rule = AgreementVersion { returns: ReturnsBasis::OriginalPeriod, ..flat() };
    rule.terms[0].accumulate = Span::Quarter;
    let world = World::new(vec![rule]);
    let sale = Doc::invoice(1, "I", "2026-12-20", &["100"]);
    let back = Doc::credit(2, "C", "2027-01-20", &["-40"]).refers_to("2026-12-20");
    assert_eq!(world.earned(&[sale, back]), "6.00");
}

#[test]
fn every_line_says_why_it_counts_or_not() {
    let mut rule = flat();
    rule.terms[0].select = select(Dimension::Category, &["PUMPS"]);
    rule.terms[0].except = select(Dimension::Item, &["P9"]);
    let items = vec![item(1, "P1", "PUMPS"), item(9, "P9", "PUMPS"), item(2, "P2", "VALVES")];
    let partners = vec![partner(1, "C1"), partner(2, "C2")];
    let world = World::with(vec![rule], MasterData::new(partners, items, vec![], vec![]));
    let code = |document: &Doc| -> Vec<&'static str> {
        let verdicts = world.matcher().explain_line(&document.lines[0], &document.document());
        verdicts
            .iter()
            .map(|v| match &v.outcome {
                Outcome::Counted { .. } => "counted",
                Outcome::Not { code, .. } => code,
            })
            .collect()
    };
    let sale = || Doc::invoice(1, "I", "2026-03-02", &["100"]);
    assert_eq!(code(&sale()), ["counted"]);
    assert_eq!(code(&sale().each(|l| l.item_id = Some(9))), ["excepted"]);
    assert_eq!(code(&sale().each(|l| l.item_id = Some(2))), ["not-selected"]);
    assert_eq!(code(&sale().each(|l| l.item_id = None)), ["not-selected"]);
    assert_eq!(code(&sale().each(|l| l.line_kind = LineKind::Freight)), ["line-kind"]);
    assert_eq!(code(&sale().each(|l| l.currency = currency("USD"))), ["no-rate"]);
    assert_eq!(code(&sale().each(|l| l.document_date = day("2027-01-01"))), ["not-valid"]);
    assert_eq!(code(&sale().each(|l| l.document_type = rebated::core::line::DocumentType::Order)), ["document-type"]);
    let flagged = Extra { attributes: [("rebate_excluded".to_owned(), "yes".to_owned())].into(), ..Extra::default() };
    assert_eq!(code(&sale().each(|l| l.extra = Some(Box::new(flagged.clone())))), ["rebate-excluded"]);
    assert_eq!(code(&sale().partner(2)), Vec::<&str>::new(), "an agreement that does not name the partner has no say");
    let mut memo = sale();
    memo.our_reference = Some("RBT-X".into());
    assert_eq!(code(&memo), ["own-reference"]);
}

#[test]
fn selections_test_attributes_and_other_line_kinds() {
    let mut rule = flat();
    rule.terms[0].select = Selection {
        dimensions: vec![
            (Dimension::LineKind, vec!["service".into()]),
            (Dimension::Attribute("channel".into()), vec!["web".into()]),
        ],
    };
    let world = World::new(vec![rule]);
    let with = |kind: LineKind, channel: &str| {
        let extra = Extra { attributes: [("channel".to_owned(), channel.to_owned())].into(), ..Extra::default() };
        let document = Doc::invoice(1, "I", "2026-03-02", &["100"]).each(|l| {
            l.line_kind = kind;
            l.extra = Some(Box::new(extra.clone()));
        });
        world.earned(&[document])
    };
    assert_eq!(with(LineKind::Service, "web"), "10.00");
    assert_eq!(with(LineKind::Goods, "web"), "0.00");
    assert_eq!(with(LineKind::Service, "phone"), "0.00");
}

#[test]
fn a_return_takes_back_from_the_invoice_that_earned_it() {
    let mut rule = AgreementVersion { returns: ReturnsBasis::OriginalPeriod, ..agreement(volume(rate_tiers(&[("100", "10%")]))) };
    rule.terms[0].accumulate = Span::Document;
    let world = World::new(vec![rule]);
    let sale = Doc::invoice(1, "I", "2026-03-02", &["150"]);
    let back = Doc::credit(2, "C", "2026-04-02", &["-60"]).refers_to("2026-03-02");
    assert_eq!(world.earned_by_period(std::slice::from_ref(&sale)), ["15.00"]);
    assert_eq!(world.earned_by_period(&[sale, back]), ["0.00"]);
}

#[test]
fn a_credit_note_is_no_further_document_and_takes_none_away() {
    let rule = Volume { qualifier: Measure::DocumentCount, ..volume(rate_tiers(&[("1", "1%"), ("2", "5%")])) };
    let world = World::new(vec![agreement(rule)]);
    let first = Doc::invoice(1, "I1", "2026-03-02", &["1000"]);
    let back = Doc::credit(2, "C1", "2026-03-03", &["-1000"]).refers_to("2026-03-02");
    let second = Doc::invoice(3, "I2", "2026-03-04", &["500"]);
    // 1,000.00 and its full return are one document, and nothing is left of it.
    assert_eq!(world.earned(&[first.clone(), back.clone()]), "0.00");
    assert_eq!(world.earned(&[back.clone(), second.clone()]), "0.00");
    // Two invoices: 500.00 x 5 %.
    assert_eq!(world.earned(&[first, back, second]), "25.00");
}
