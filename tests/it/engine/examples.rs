//! Worked examples from public material: volume, returns, versions, units, rounding, accruals.

use super::world::*;
use rebated::core::accrual::{Figure, apply_caps, evaluate_to_date};
use rebated::core::agreement::*;
use rebated::core::number::Micros;
use rebated::core::period::Span;

/// One sale of so many pieces at so much money altogether.
fn sold(id: i64, date: &str, quantity: &str, net: &str) -> Doc {
    Doc::invoice(id, "I", date, &[net]).quantities(&[quantity], "EA")
}
fn marginal(rule: Volume) -> Volume {
    Volume { method: Method::Marginal, ..rule }
}
fn bounded(rule: Volume, bound: Bound) -> AgreementVersion {
    AgreementVersion { bound, ..agreement(rule) }
}
fn money(rule: AgreementVersion, net: &str) -> String {
    World::new(vec![rule]).earned(&[Doc::invoice(1, "I", "2026-03-02", &[net])])
}
fn count(rule: AgreementVersion, quantity: &str) -> String {
    World::new(vec![rule]).earned(&[sold(1, "2026-03-02", quantity, "1")])
}
fn every(mut rule: AgreementVersion, span: Span) -> AgreementVersion {
    rule.terms[0].accumulate = span;
    rule
}

#[test]
fn vol_01_02_05_06_stepped_and_retrospective_bands() {
    let bands = || rate_tiers(&[("0", "10%"), ("1000", "25%")]);
    assert_eq!(money(agreement(marginal(volume(bands()))), "2000"), "350.00");
    assert_eq!(money(agreement(volume(bands())), "2000"), "500.00");
    let from_501 = marginal(pieces(unit_tiers(&[("501", "2"), ("1001", "3")])));
    assert_eq!(count(bounded(from_501, Bound::NthUnit), "1200"), "1600.00");
    let units_pick_money_pays = Volume {
        qualifier: Measure::Quantity,
        base: Measure::NetAmount,
        unit: Some("EA".into()),
        ..volume(rate_tiers(&[("501", "5%"), ("1001", "10%")]))
    };
    let world = World::new(vec![agreement(units_pick_money_pays)]);
    assert_eq!(world.earned(&[sold(1, "2026-03-02", "1200", "12000")]), "1200.00");
}

#[test]
fn vol_07_08_09_per_document_per_week_per_month() {
    let per_order = every(agreement(pieces(unit_tiers(&[("10", "15"), ("20", "30")]))), Span::Document);
    let world = World::new(vec![per_order]);
    assert_eq!(world.earned(&[sold(1, "2026-03-02", "30", "1")]), "900.00");
    assert_eq!(
        world.earned_by_period(&[sold(1, "2026-03-02", "15", "1"), sold(2, "2026-03-02", "15", "1")]),
        ["225.00", "225.00"]
    );
    let weekly = every(bounded(pieces(unit_tiers(&[("0", "20"), ("50", "40")])), Bound::Exceeded), Span::Week);
    let world = World::new(vec![weekly]);
    let (monday, sunday, next) =
        (sold(1, "2026-03-02", "40", "1"), sold(2, "2026-03-08", "60", "1"), sold(3, "2026-03-09", "40", "1"));
    assert_eq!(world.earned(std::slice::from_ref(&monday)), "800.00");
    assert_eq!(world.earned(&[monday.clone(), sunday.clone()]), "4000.00");
    assert_eq!(world.earned_by_period(&[monday, sunday, next]), ["4000.00", "800.00"]);
    let monthly = Volume { base: Measure::NetAmount, ..pieces(rate_tiers(&[("500", "5%")])) };
    let world = World::new(vec![every(agreement(monthly), Span::Month)]);
    assert_eq!(world.earned(&[sold(1, "2026-03-02", "600", "12000")]), "600.00");
}

#[test]
fn vol_10_to_16_18_19_ladders() {
    let sap = || agreement(volume(rate_tiers(&[("100000", "1%"), ("200000", "2%"), ("300000", "3%")])));
    for (net, expected) in [("190000", "1900.00"), ("200000", "4000.00"), ("300000", "9000.00"), ("210000", "4200.00")] {
        assert_eq!(money(sap(), net), expected);
    }
    let scale = || pieces(unit_tiers(&[("0", "10"), ("5", "12"), ("20", "15"), ("100", "20")]));
    assert_eq!(count(agreement(scale()), "140"), "2800.00");
    assert_eq!(count(agreement(marginal(scale())), "140"), "2230.00");
    let ebate = || volume(rate_tiers(&[("1000", "2%"), ("5000", "4%"), ("10000", "6%")]));
    assert_eq!(money(agreement(ebate()), "7500"), "300.00");
    assert_eq!(money(agreement(marginal(ebate())), "7500"), "180.00");
    let phocas = || marginal(volume(rate_tiers(&[("0", "5%"), ("10000", "10%")])));
    let per_item = || marginal(pieces(unit_tiers(&[("0", "1"), ("100", "2")])));
    for (net, expected) in [("6000", "300.00"), ("8000", "400.00"), ("20000", "1500.00")] {
        assert_eq!(money(agreement(phocas()), net), expected);
    }
    for (quantity, expected) in [("20", "20.00"), ("80", "80.00"), ("120", "140.00")] {
        assert_eq!(count(agreement(per_item()), quantity), expected);
    }
    let oca = || volume(rate_tiers(&[("0", "10%"), ("100", "20%"), ("300", "30%")]));
    let world =
        |rule| World::new(vec![agreement(rule)]).earned(&[Doc::invoice(1, "I", "2026-03-02", &["300", "500", "1000", "2000"])]);
    assert_eq!((world(oca()), world(marginal(oca()))), ("1140.00".into(), "1100.00".into()));
    assert_eq!((money(agreement(oca()), "1000"), money(agreement(marginal(oca())), "1000")), ("300.00".into(), "260.00".into()));
    let tydei = || volume(rate_tiers(&[("0", "2%"), ("50000", "4%"), ("100000", "6%")]));
    assert_eq!(
        (money(agreement(tydei()), "75000"), money(agreement(marginal(tydei())), "75000")),
        ("3000.00".into(), "2000.00".into())
    );
    assert_eq!(money(agreement(marginal(tydei())), "150000"), "6000.00");
    for (bound, expected) in [(Bound::Reached, "2000.00"), (Bound::Exceeded, "1000.00")] {
        assert_eq!(money(bounded(tydei(), bound), "50000"), expected);
        assert_eq!(money(bounded(marginal(tydei()), bound), "50000"), "1000.00");
    }
}

#[test]
fn vol_20_21_24_back_to_first_nth_unit_and_fixed_targets() {
    let mut cases = marginal(pieces(unit_tiers(&[("1", "1.50"), ("250", "2"), ("400", "3")])));
    assert_eq!(count(bounded(cases.clone(), Bound::NthUnit), "300"), "475.50");
    cases.tiers[1].back_to_first = true;
    assert_eq!(count(bounded(cases, Bound::NthUnit), "300"), "600.00");
    let metasfresh = Volume {
        qualifier: Measure::Quantity,
        unit: Some("EA".into()),
        ..marginal(volume(rate_tiers(&[("0", "10%"), ("15", "20%")])))
    };
    let world = World::new(vec![bounded(metasfresh, Bound::NthUnit)]);
    assert_eq!(world.earned(&[sold(1, "2026-03-02", "26", "26")]), "3.80");
    let target = || volume(vec![Tier { from: micros("100000"), benefit: Benefit::Amount(micros("1000")), back_to_first: false }]);
    assert_eq!((money(agreement(target()), "110000"), money(agreement(target()), "90000")), ("1000.00".into(), "0.00".into()));
}

#[test]
fn vol_26_a_fixed_amount_per_invoice_and_none_for_a_credit_note() {
    let mut rule = agreement(volume(vec![]));
    rule.terms[0].rule = Rule::Fixed(Fixed { amount: micros("190") });
    let world = World::new(vec![every(rule, Span::Document)]);
    let mut documents: Vec<Doc> = (1..=10).map(|id| Doc::invoice(id, "I", "2026-03-02", &["50", "60"])).collect();
    documents.push(Doc::credit(11, "C", "2026-03-09", &["-50"]));
    assert_eq!(world.earned(&documents), "1900.00");
}

#[test]
fn ret_01_returns_take_the_highest_tier_back_first() {
    let rule = marginal(pieces(unit_tiers(&[("1", "10"), ("3", "20"), ("5", "30")])));
    let world = World::new(vec![bounded(rule, Bound::NthUnit)]);
    let mut documents = Vec::new();
    for (id, expected) in [(1, "20.00"), (2, "60.00"), (3, "120.00")] {
        documents.push(sold(id, "2026-03-02", "2", "1"));
        assert_eq!(world.earned(&documents), expected);
    }
    let with = |quantity: &str| {
        let back = Doc::credit(9, "C", "2026-03-05", &["-1"]).quantities(&[quantity], "EA");
        world.earned(&[documents.clone(), vec![back]].concat())
    };
    assert_eq!((with("-2"), with("-3")), ("60.00".into(), "40.00".into()));
}

#[test]
fn ret_03_a_period_of_net_returns_earns_nothing_unless_it_carries() {
    let flat = || agreement(volume(rate_tiers(&[("0", "10%")])));
    let documents = [Doc::invoice(1, "I", "2026-03-02", &["100"]), Doc::credit(2, "C", "2026-03-03", &["-300"])];
    assert_eq!(World::new(vec![flat()]).earned(&documents), "0.00");
    let carry = AgreementVersion { negative: NegativePolicy::Carry, ..flat() };
    assert_eq!(World::new(vec![carry]).earned(&documents), "-20.00");
}

#[test]
fn ver_01_the_version_of_the_transaction_date_rules() {
    let first = agreement(volume(rate_tiers(&[("0", "10%")])));
    let second = AgreementVersion { version: 2, valid_from: day("2026-03-10"), ..agreement(volume(rate_tiers(&[("0", "15%")]))) };
    let world = World::new(vec![second, first]);
    assert_eq!(world.earned(&[Doc::invoice(1, "I", "2026-03-06", &["100"])]), "10.00");
    assert_eq!(world.earned(&[Doc::invoice(1, "I", "2026-03-06", &["300"])]), "30.00");
    assert_eq!(world.earned(&[Doc::invoice(1, "I", "2026-03-10", &["100"])]), "15.00");
}

#[test]
fn the_qualifier_adds_up_across_versions_and_each_line_is_paid_by_its_own_ladder() {
    let first = agreement(volume(rate_tiers(&[("0", "1%"), ("10000", "2%")])));
    let second = |restart| AgreementVersion {
        version: 2,
        valid_from: day("2026-07-01"),
        restart_on_amendment: restart,
        ..agreement(volume(rate_tiers(&[("0", "1%"), ("10000", "3%")])))
    };
    let documents = [Doc::invoice(1, "I", "2026-03-06", &["6000.10"]), Doc::invoice(2, "I", "2026-08-06", &["5000.25"])];
    // 6,000.10 x 2 % + 5,000.25 x 3 % = 120.002 + 150.0075 = 270.0095, rounded once.
    assert_eq!(World::new(vec![first.clone(), second(false)]).earned(&documents), "270.01");
    // Anew from 1 July: neither part reaches 10,000.
    assert_eq!(World::new(vec![first, second(true)]).earned_by_period(&documents), ["60.00", "50.00"]);
}

#[test]
fn uom_01_02_conversion_and_increments() {
    use rebated::core::master_data::MasterData;
    let master = || {
        let cases = vec![conversion(None, "CASE", "EA", "2020-01-01", "4")];
        MasterData::new(vec![partner(1, "C1")], vec![item(1, "P1", "X")], cases, vec![])
    };
    let each = pieces(unit_tiers(&[("0", "2")]));
    let three_cases = Doc::invoice(1, "I", "2026-03-02", &["30"]).quantities(&["3"], "CASE");
    let earned = |rule: Volume| World::with(vec![agreement(rule)], master()).earned(std::slice::from_ref(&three_cases));
    assert_eq!(earned(each.clone()), "24.00");
    assert_eq!(earned(Volume { unit_match: UnitMatch::Exact, ..each }), "0.00");
    let lots = |started| {
        let benefit = Benefit::PerIncrement { every: micros("10"), amount: micros("2"), started, per_item: false };
        agreement(pieces(vec![Tier { from: Micros::ZERO, benefit, back_to_first: false }]))
    };
    assert_eq!((count(lots(false), "25"), count(lots(true), "25")), ("4.00".into(), "6.00".into()));
    // Counted on the net quantity of the period, not document by document.
    let world = World::new(vec![lots(false)]);
    assert_eq!(world.earned(&[sold(1, "2026-03-02", "15", "1"), sold(2, "2026-04-02", "15", "1")]), "6.00");
}

#[test]
fn rnd_01_bands_are_not_rounded_one_by_one() {
    let rule = marginal(volume(rate_tiers(&[("0", "10%"), ("33.33", "20%")])));
    let world = World::new(vec![agreement(rule)]);
    let figure = world.figures(world.fold(&[Doc::invoice(1, "I", "2026-03-02", &["66.67"])])).remove(0).2;
    assert_eq!((figure.unrounded.to_text(0), figure.earned.to_text(2)), ("10.001".into(), "10.00".into()));
}

#[test]
fn acc_01_02_06_earned_to_date_quarter_by_quarter() {
    let rule = || agreement(volume(rate_tiers(&[("100000", "5%")])));
    let quarters = [("2026-02-01", "50000"), ("2026-05-01", "75000"), ("2026-08-01", "100000"), ("2026-11-01", "75000")];
    let documents: Vec<Doc> = (1..).zip(quarters).map(|(id, (date, net))| Doc::invoice(id, "I", date, &[net])).collect();
    let world = World::new(vec![rule()]);
    let to_date: Vec<String> = (1..=4).map(|n| world.earned(&documents[..n])).collect();
    assert_eq!(to_date, ["0.00", "6250.00", "11250.00", "15000.00"]);
    let separate = World::new(vec![every(rule(), Span::Quarter)]);
    assert_eq!(separate.earned_by_period(&documents), ["0.00", "0.00", "5000.00", "0.00"]);

    let lots = Volume {
        qualifier: Measure::Quantity,
        unit: Some("EA".into()),
        ..volume(rate_tiers(&[("0", "10%"), ("15", "15%"), ("50", "30%")]))
    };
    let world = World::new(vec![agreement(lots)]);
    let sales: Vec<Doc> = (1..).zip(["14", "12", "20", "30"]).map(|(id, q)| sold(id, "2026-03-02", q, q)).collect();
    let running: Vec<String> = (1..=4).map(|n| world.earned(&sales[..n])).collect();
    assert_eq!(running, ["1.40", "3.90", "6.90", "22.80"]);
}

#[test]
fn a_figure_to_date_leaves_later_months_out() {
    let world = World::new(vec![agreement(volume(rate_tiers(&[("0", "1%"), ("2000", "2%")])))]);
    let documents = [Doc::invoice(1, "I", "2026-03-31", &["1000"]), Doc::invoice(2, "I", "2026-04-01", &["1000"])];
    let entries = World::entries(world.fold(&documents));
    let year = period("2026-01-01", "2026-12-31");
    let to = |cutoff| {
        evaluate_to_date(&world.versions, "volume", year, &entries, &world.calendar, day(cutoff))
            .expect("it fits")
            .earned
            .to_text(2)
    };
    assert_eq!((to("2026-03-31"), to("2026-06-30")), ("10.00".into(), "40.00".into()));
}

#[test]
fn caps_and_floors_of_a_period() {
    let capped = |caps: Caps, net: &str| {
        let mut rule = agreement(volume(rate_tiers(&[("0", "1%")])));
        rule.terms[0].caps = caps;
        money(rule, net)
    };
    assert_eq!(capped(Caps { base: Some(micros("100000")), ..Caps::default() }, "140000"), "1000.00");
    assert_eq!(capped(Caps { benefit: Some(micros("500")), ..Caps::default() }, "140000"), "500.00");
    let floor = || Caps { floor: Some(micros("25")), ..Caps::default() };
    assert_eq!(capped(floor(), "100"), "25.00");
    assert_eq!(capped(floor(), "-100"), "0.00", "a floor never turns a negative base into a rebate");
}

#[test]
fn a_total_cap_is_served_in_the_order_of_time() {
    let mut rule = every(agreement(volume(rate_tiers(&[("0", "1%")]))), Span::Quarter);
    rule.cap_total = Some(micros("100"));
    let world = World::new(vec![rule.clone()]);
    let documents: Vec<Doc> = (1..)
        .zip([("2026-02-01", "8000"), ("2026-05-01", "4000"), ("2026-08-01", "-3000"), ("2026-11-01", "9000")])
        .map(|(id, (date, net))| Doc::invoice(id, "I", date, &[net]))
        .collect();
    let mut figures: Vec<Figure> = world
        .figures(world.fold(&documents))
        .into_iter()
        .map(|(partner_id, period, figure)| Figure {
            term: 0,
            partner_id,
            period,
            part: 0,
            earned: figure.earned,
            buckets: figure.partners[0].buckets.clone(),
            lowered_by: Vec::new(),
        })
        .collect();
    figures.reverse();
    apply_caps(&rule, &mut figures);
    figures.reverse();
    let earned: Vec<String> = figures.iter().map(|f| f.earned.to_text(2)).collect();
    assert_eq!(earned, ["80.00", "20.00", "0.00", "0.00"]);
    let lowered = &figures[1].lowered_by[0];
    assert_eq!((lowered.name, lowered.cap, lowered.asked), ("caps.total", micros("100"), micros("80")));
    assert_eq!((lowered.before, lowered.after), (micros("40"), micros("20")));
    for figure in &figures {
        assert_eq!(figure.buckets.iter().map(|b| b.earned).sum::<Micros>(), figure.earned);
    }
}

#[test]
fn partners_taken_together_reach_the_tier_together_and_share_by_base() {
    let mut rule = agreement(volume(rate_tiers(&[("0", "1%"), ("1000", "2%")])));
    rule.audience.partners.push("C2".into());
    let alone = World::new(vec![rule.clone()]);
    let documents = [Doc::invoice(1, "I", "2026-03-02", &["600.25"]), Doc::invoice(2, "I", "2026-04-02", &["400.50"]).partner(2)];
    let separately: Vec<String> = alone.figures(alone.fold(&documents)).iter().map(|f| f.2.earned.to_text(2)).collect();
    assert_eq!(separately, ["6.00", "4.01"]);
    rule.qualifier_scope = QualifierScope::Agreement;
    let world = World::new(vec![rule]);
    let entries = World::entries(world.fold(&documents));
    let together = rebated::core::accrual::evaluate(
        &world.versions,
        "volume",
        period("2026-01-01", "2026-12-31"),
        &entries,
        &world.calendar,
    )
    .expect("it fits");
    // 1,000.75 x 2 % = 20.015 -> 20.02; unrounded 12.005 and 8.01.
    assert_eq!(together.earned.to_text(2), "20.02");
    let shares: Vec<String> = together.partners.iter().map(|p| p.earned.to_text(2)).collect();
    assert_eq!(shares, ["12.01", "8.01"]);
}
