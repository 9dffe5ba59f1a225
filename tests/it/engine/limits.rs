//! Figures at the edge of their range: exact where real data reaches, told where they do not fit.

use super::world::*;
use rebated::core::agreement::*;
use rebated::core::line::LineKind;
use rebated::core::master_data::MasterData;
use rebated::core::matching::{Accumulator, BASE};
use rebated::core::number::Rate;

fn world(rule: Volume, conversions: Vec<rebated::core::master_data::Conversion>) -> World {
    let master = MasterData::new(vec![partner(1, "C1")], vec![item(1, "P1", "PUMPS")], conversions, vec![]);
    World::with(vec![agreement(rule)], master)
}

fn told(sums: &Accumulator) -> Vec<&'static str> {
    sums.problems.iter().map(|p| p.code).collect()
}

fn in_unit(unit: &str, tiers: Vec<Tier>) -> Volume {
    Volume { unit: Some(unit.into()), ..pieces(tiers) }
}

fn once(from: &str, benefit: Benefit) -> Vec<Tier> {
    vec![Tier { from: micros(from), benefit, back_to_first: false }]
}

#[test]
fn a_chain_of_units_with_ten_decimals_each_is_exact() {
    // 1 drum = 55 GAL, 1 GAL = 3.785411784 L, 1 L = 0.8765432109 KG: their fraction times a quantity
    // passes 2^127.
    let chain = vec![
        conversion(None, "DRUM", "GAL", "2020-01-01", "55"),
        conversion(None, "GAL", "L", "2020-01-01", "3.785411784"),
        conversion(Some(1), "L", "KG", "2020-01-01", "0.8765432109"),
    ];
    let world = world(in_unit("KG", unit_tiers(&[("0", "1")])), chain);
    for (quantity, unit, expected) in [
        ("5000", "GAL", "16590.384998630286228"),
        ("500", "DRUM", "91247.117492466574254"),
        ("-5000", "GAL", "-16590.384998630286228"),
    ] {
        let sums = world.fold(&[Doc::invoice(1, "I", "2026-03-02", &["1"]).quantities(&[quantity], unit)]);
        assert_eq!(told(&sums), Vec::<&str>::new());
        let counted: Vec<String> = sums.iter().map(|(_, sums)| sums.slots[BASE].to_text(0)).collect();
        assert_eq!(counted, [expected], "{quantity} {unit}");
    }
}

#[test]
fn a_line_whose_converted_quantity_does_not_fit_waits_for_a_person() {
    let world = world(in_unit("EA", unit_tiers(&[("0", "1")])), vec![conversion(None, "BOX", "EA", "2020-01-01", "12")]);
    // An article number in the column of the quantity.
    let documents = [
        Doc::invoice(1, "I", "2026-03-02", &["10"]).quantities(&["4006381333931"], "BOX"),
        Doc::invoice(2, "J", "2026-03-02", &["10"]).quantities(&["2"], "BOX"),
    ];
    let sums = world.fold(&documents);
    assert_eq!(told(&sums), ["figure-too-large"]);
    assert!(sums.problems[0].blocking);
    assert_eq!(world.earned(&documents), "24.00", "the other line counts: 24 EA at 1.00");
}

#[test]
fn discounts_of_a_document_that_do_not_add_up_to_a_figure_are_told() {
    let world = world(volume(rate_tiers(&[("0", "1%")])), vec![]);
    let mut document = Doc::invoice(1, "I", "2026-03-02", &["100", "-5000000000000", "-5000000000000"]);
    for line in &mut document.lines[1..] {
        line.line_kind = LineKind::Discount;
    }
    assert_eq!(told(&world.fold(&[document])), ["figure-too-large"]);
}

#[test]
fn thirds_of_a_box_add_up_to_a_box_for_every_benefit() {
    let boxes = || vec![conversion(None, "BOX", "EA", "2020-01-01", "12")];
    // 4 EA are 0.3333333333333333 boxes; three invoices are one box.
    let sales: Vec<Doc> = (1..)
        .zip(["2026-03-02", "2026-04-02", "2026-05-04"])
        .map(|(id, d)| Doc::invoice(id, "I", d, &["40"]).quantities(&["4"], "EA"))
        .collect();
    let increment = Benefit::PerIncrement { every: micros("1"), amount: micros("2"), started: false, per_item: false };
    for (benefit, two, three) in [
        (Benefit::Amount(micros("100")), "0.00", "100.00"),
        (increment, "0.00", "2.00"),
        (Benefit::PerUnit(micros("0.005")), "0.00", "0.01"), // one box x 0.005, half a cent away from zero
    ] {
        for method in [Method::Retrospective, Method::Marginal] {
            let world = world(Volume { method, ..in_unit("BOX", once("1", benefit.clone())) }, boxes());
            let name = format!("{benefit:?} {method:?}");
            assert_eq!(world.earned(&sales[..2]), two, "{name}");
            // The slice of a marginal ladder starts at its bound: nothing lies above one box.
            let per_unit_above = method == Method::Marginal && !matches!(benefit, Benefit::Amount(_));
            assert_eq!(world.earned(&sales), if per_unit_above { "0.00" } else { three }, "{name}");
        }
    }
    // The price on another figure, and the figure that is shown.
    let rate = Benefit::Rate(Rate::parse_percent("10%").expect("rate"));
    let on_money = Volume { base: Measure::NetAmount, ..in_unit("BOX", once("1", rate)) };
    assert_eq!(world(on_money, boxes()).earned(&sales), "12.00");
    let shown = world(in_unit("BOX", once("1", Benefit::PerUnit(micros("1")))), boxes());
    let figures = shown.figures(shown.fold(&sales));
    assert_eq!(figures[0].2.base.to_text(0), "1");
    assert_eq!(figures[0].2.partners[0].base.to_text(0), "1");
}
