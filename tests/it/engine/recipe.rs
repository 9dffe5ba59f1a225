//! Recipes: a pocket calculator that knows nothing but the printed steps arrives at what was earned.

use super::properties::{amended, documents};
use super::world::*;
use proptest::prelude::*;
use rebated::core::accrual::{Evaluation, Figure, apply_caps};
use rebated::core::agreement::*;
use rebated::core::derivation::derive;
use rebated::core::master_data::MasterData;
use rebated::core::number::{Exact, Fine, Micros};
use rebated::core::period::Span;
use rebated::core::statement_recipe::{RecipeStep, Reckoning, recipe};

/// What a benefit pays on an amount, by hand.
fn by_hand(benefit: &Benefit, amount: Exact) -> Fine {
    match benefit {
        Benefit::Rate(rate) => amount.times(*rate),
        Benefit::PerUnit(price) => amount.times_price(*price),
        Benefit::Amount(amount) => amount.fine(),
        Benefit::PerIncrement { every, amount: pays, started, .. } => {
            let (whole, rest) = (amount.0 / every.exact().0, amount.0 % every.exact().0);
            Fine(pays.fine().0 * (whole + i128::from(*started && rest > 0)))
        }
        Benefit::FreeGoods { every, quantity, unit_value } => {
            Fine(quantity.exact().times_price(*unit_value).0 * (amount.0 / every.exact().0))
        }
    }
}

/// Follows the steps as they are printed, checking each result, to the last one.
fn calculate(steps: &[RecipeStep]) -> Micros {
    let mut sum = Fine::ZERO;
    let mut amount: Option<Micros> = None;
    let near = |a: Fine, b: Fine| assert!(a.0.abs_diff(b.0) < 1_000_000_000_000, "{a} is not {b}");
    for step in steps {
        match step {
            RecipeStep::Multiply { amount, benefit, product, .. } => {
                near(by_hand(benefit, *amount), *product);
                sum += *product;
            }
            RecipeStep::Proportion { base, benefit, slice, qualifier, product, .. } => {
                near(by_hand(benefit, *base).share(*slice, *qualifier), *product);
                sum += *product;
            }
            RecipeStep::Amount { amount, .. } => sum += amount.fine(),
            RecipeStep::Lines { total, .. } => sum += *total,
            RecipeStep::Sum { total } => near(sum, *total),
            RecipeStep::Clamped { computed } => {
                near(sum, *computed);
                assert!(sum.is_negative());
                sum = Fine::ZERO;
            }
            RecipeStep::Floor { floor } => sum = floor.fine(),
            RecipeStep::Cap { computed, cap } => {
                near(sum, *computed);
                assert!(cap.fine() < sum);
                sum = cap.fine();
            }
            RecipeStep::Round { exact, rounded } => {
                near(sum, *exact);
                amount = Some(*rounded);
            }
            RecipeStep::PartnerShare { total, base, whole, earned } => {
                assert_eq!(*total, amount.unwrap_or_else(|| sum.round(2)));
                let share = total.fine().share(*base, *whole);
                assert!((share - earned.fine()).abs() < micros("0.01").fine(), "the largest remainders get the missing cents");
                amount = Some(*earned);
            }
            RecipeStep::SharedCap { cap, asked, before, after, .. } => {
                assert_eq!(*before, amount.unwrap_or_else(|| sum.round(2)));
                assert_eq!((*asked + *before).min(*cap) - (*asked).min(*cap), *after);
                amount = Some(*after);
            }
            RecipeStep::Adjusted { .. } => panic!("the steps do not arrive: {steps:#?}"),
            RecipeStep::Growth { current, raised, increase, .. } => assert_eq!(*current - *raised, *increase),
            RecipeStep::Qualifier { .. }
            | RecipeStep::Share { .. }
            | RecipeStep::Count { .. }
            | RecipeStep::Minimum { .. }
            | RecipeStep::Base { .. }
            | RecipeStep::BaseCap { .. }
            | RecipeStep::Tier { .. }
            | RecipeStep::NoTier { .. }
            | RecipeStep::After { .. }
            | RecipeStep::Unmet { .. }
            | RecipeStep::Beaten { .. }
            | RecipeStep::InPeriod { .. }
            | RecipeStep::Correction { .. } => {}
        }
    }
    amount.unwrap_or_else(|| sum.round(2))
}

fn steps(versions: &[AgreementVersion], partner_id: i64, evaluation: &Evaluation) -> Vec<RecipeStep> {
    let newest = versions.last().expect("a version");
    let earned = evaluation.partners.iter().find(|p| p.partner_id == partner_id).map_or(evaluation.earned, |p| p.earned);
    recipe(&Reckoning {
        evaluation,
        partner_id,
        together: newest.qualifier_scope == QualifierScope::Agreement,
        base_measure: newest.terms[0].rule.measures().base,
        lowered: &[],
        earned,
    })
}

/// Steps of the only figure of partner 1, checked by the calculator.
fn told(versions: Vec<AgreementVersion>, documents: &[Doc]) -> Vec<RecipeStep> {
    let world = World::new(versions);
    let mut figures = world.figures(world.fold(documents));
    let (partner, _, figure) = figures.remove(0);
    let steps = steps(&world.versions, partner, &figure);
    assert_eq!(calculate(&steps), figure.partners[0].earned, "{steps:#?}");
    steps
}

fn second(first: &AgreementVersion, tiers: Vec<Tier>) -> AgreementVersion {
    let mut next = AgreementVersion { version: 2, valid_from: day("2026-05-01"), ..first.clone() };
    if let Rule::Volume(volume) = &mut next.terms[0].rule {
        volume.tiers = tiers;
    }
    next
}

fn products(steps: &[RecipeStep]) -> Vec<(Option<u32>, String, String)> {
    steps
        .iter()
        .filter_map(|s| match s {
            RecipeStep::Multiply { version, amount, product, .. } => Some((*version, amount.to_text(2), product.to_text(2))),
            _ => None,
        })
        .collect()
}

#[test]
fn each_version_has_a_product_of_its_own() {
    let first = agreement(volume(rate_tiers(&[("0", "2%")])));
    let versions = vec![first.clone(), second(&first, rate_tiers(&[("0", "4%")]))];
    let steps = told(versions, &[Doc::invoice(1, "I1", "2026-02-01", &["500"]), Doc::invoice(2, "I2", "2026-06-01", &["600"])]);
    let expected = [(Some(1), "500.00".into(), "10.00".into()), (Some(2), "600.00".into(), "24.00".into())];
    assert_eq!(products(&steps), expected);
    assert!(steps.contains(&RecipeStep::Sum { total: Fine::parse("34").expect("figure") }));
}

#[test]
fn the_slices_of_a_later_version_begin_where_the_first_one_ended() {
    let ladder = |low: &str, high: &str| rate_tiers(&[("0", low), ("1000", high)]);
    let first = agreement(Volume { method: Method::Marginal, ..volume(ladder("1%", "2%")) });
    let versions = vec![first.clone(), second(&first, ladder("3%", "5%"))];
    let steps = told(versions, &[Doc::invoice(1, "I1", "2026-02-01", &["800"]), Doc::invoice(2, "I2", "2026-06-01", &["700"])]);
    // 800 at 1 %, then 200 up to the bound at 3 % and 500 above it at 5 %.
    let expected = [
        (Some(1), "800.00".into(), "8.00".into()),
        (Some(2), "200.00".into(), "6.00".into()),
        (Some(2), "500.00".into(), "25.00".into()),
    ];
    assert_eq!(products(&steps), expected);
}

#[test]
fn what_returns_of_a_later_version_take_back_is_told() {
    let ladder = || rate_tiers(&[("0", "1%"), ("1000", "2%")]);
    let first = agreement(Volume { method: Method::Marginal, ..volume(ladder()) });
    let versions = vec![first.clone(), second(&first, ladder())];
    let steps = told(versions, &[Doc::invoice(1, "I1", "2026-02-01", &["800"]), Doc::credit(2, "C2", "2026-06-01", &["-900"])]);
    // At -100 no tier is reached; the first version's lines earned 8.00 by their place, the second's take it back.
    let lines: Vec<_> = steps.iter().filter(|s| matches!(s, RecipeStep::Lines { .. })).collect();
    assert_eq!(lines.len(), 2, "{steps:#?}");
}

#[test]
fn a_fixed_amount_under_a_cap_over_all_is_told_with_the_cap() {
    let mut version = agreement(volume(vec![]));
    version.terms = vec![Term { accumulate: Span::Quarter, ..term("volume", Rule::Fixed(Fixed { amount: micros("100") })) }];
    version.cap_total = Some(micros("175.49"));
    let world = World::new(vec![version]);
    let documents = [Doc::invoice(1, "I1", "2026-02-01", &["500"]), Doc::invoice(2, "I2", "2026-06-01", &["600"])];
    let evaluated = world.figures(world.fold(&documents));
    let mut figures: Vec<Figure> = evaluated
        .iter()
        .map(|(partner_id, period, e)| Figure {
            term: 0,
            partner_id: *partner_id,
            period: *period,
            part: 0,
            earned: e.earned,
            buckets: e.partners[0].buckets.clone(),
            lowered_by: Vec::new(),
        })
        .collect();
    apply_caps(&world.versions[0], &mut figures);
    let steps = recipe(&Reckoning {
        evaluation: &evaluated[1].2,
        partner_id: 1,
        together: false,
        base_measure: Measure::NetAmount,
        lowered: &figures[1].lowered_by,
        earned: figures[1].earned,
    });
    assert_eq!((calculate(&steps), figures[1].earned), (micros("75.49"), micros("75.49")), "{steps:#?}");
    let text = steps.last().expect("steps").text(currency("EUR"));
    assert_eq!(
        text,
        "cap of 175.49 over several figures (caps.total): 100.00 were asked for before, so that of 100.00 there are 75.49 left"
    );
}

#[test]
fn caps_floors_and_returns_are_steps_of_their_own() {
    let mut capped = agreement(volume(rate_tiers(&[("0", "2%")])));
    capped.terms[0].caps.benefit = Some(micros("15"));
    capped.terms[0].caps.base = Some(micros("900"));
    let steps = told(vec![capped], &[Doc::invoice(1, "I1", "2026-02-01", &["1000"])]);
    let exact = |text: &str| Exact::parse(text).expect("figure");
    assert!(steps.contains(&RecipeStep::BaseCap { counted: exact("1000"), kept: exact("900") }), "{steps:#?}");
    assert!(steps.contains(&RecipeStep::Cap { computed: micros("18").fine(), cap: micros("15") }), "{steps:#?}");

    let mut floor = agreement(volume(rate_tiers(&[("0", "2%")])));
    floor.terms[0].caps.floor = Some(micros("30"));
    let steps = told(vec![floor], &[Doc::invoice(1, "I1", "2026-02-01", &["1000"])]);
    assert!(steps.contains(&RecipeStep::Floor { floor: micros("30") }));
}

#[test]
fn what_all_partners_earned_is_shared_by_base() {
    let mut version = agreement(volume(rate_tiers(&[("0", "1%")])));
    version.qualifier_scope = QualifierScope::Agreement;
    version.audience.partners = vec!["C1".into(), "C2".into()];
    let world = World::new(vec![version]);
    let documents = [Doc::invoice(1, "I1", "2026-02-01", &["1000"]), Doc::invoice(2, "I2", "2026-02-01", &["2001"]).partner(2)];
    let figures = world.figures(world.fold(&documents));
    // The sums of each partner are a key of their own here; the agreement evaluates them together.
    let entries = World::entries(world.fold(&documents));
    let evaluation =
        rebated::core::accrual::evaluate(&world.versions, "volume", figures[0].1, &entries, &world.calendar).expect("it fits");
    for partner in &evaluation.partners {
        let steps = steps(&world.versions, partner.partner_id, &evaluation);
        assert_eq!(calculate(&steps), partner.earned, "{steps:#?}");
        assert!(steps.iter().any(|s| matches!(s, RecipeStep::PartnerShare { total, .. } if *total == micros("30.01"))));
    }
}

#[test]
fn increments_pieces_and_amounts_arrive() {
    let increment = Benefit::PerIncrement { every: micros("10"), amount: micros("2"), started: false, per_item: false };
    let ladder = |benefit| vec![Tier { from: micros("0"), benefit, back_to_first: false }];
    let first = agreement(pieces(ladder(increment)));
    let sold = Doc::invoice(1, "I1", "2026-02-01", &["500"]).quantities(&["47"], "EA");
    let steps = told(vec![first.clone()], std::slice::from_ref(&sold));
    assert_eq!(products(&steps), [(None, "47.00".into(), "8.00".into())]);
    // 47 and 8 pieces are five increments together, four and none apart.
    let more = Doc::invoice(2, "I2", "2026-06-01", &["500"]).quantities(&["8"], "EA");
    let versions = vec![first.clone(), AgreementVersion { version: 2, valid_from: day("2026-05-01"), ..first }];
    let steps = told(versions, &[sold.clone(), more]);
    assert_eq!(products(&steps), [(None, "55.00".into(), "10.00".into())]);
    let steps = told(vec![agreement(pieces(ladder(Benefit::Amount(micros("70")))))], &[sold]);
    assert!(steps.contains(&RecipeStep::Amount { version: None, amount: micros("70") }));
}

#[test]
fn the_way_from_a_document_to_a_figure_names_rate_factor_cost_and_discount() {
    let version = agreement(volume(rate_tiers(&[("0", "1%")])));
    let partners = vec![partner(1, "C1")];
    let units =
        vec![conversion(Some(1), "DZ", "EA", "2020-01-01", "12"), conversion(Some(1), "EA", "BOX", "2020-01-01", "0.125")];
    let rates = vec![rate("USD", "EUR", "2026-01-30", "0.9")];
    let master = MasterData::new(partners, vec![item(1, "P1", "PUMPS")], units, rates);
    let dollars = Doc::invoice(1, "I1", "2026-02-01", &["100"]).each(|l| {
        l.currency = currency("USD");
        l.cost_amount = Some(micros("60"));
    });
    let line = &dollars.lines[0];
    let way = |measure, unit, result: &str| {
        derive(&master, &version, line, (measure, unit), Exact::parse(result).expect("figure")).map(|d| d.text())
    };
    assert_eq!(way(Measure::NetAmount, None, "90").as_deref(), Some("100.00 USD × 0.9 [2026-01-30] = 90.00 EUR"));
    assert_eq!(
        way(Measure::NetAmount, None, "85.5").as_deref(),
        Some("100.00 USD × 0.9 [2026-01-30] − 4.50 (share of the document's discounts) = 85.50 EUR")
    );
    assert_eq!(way(Measure::Margin, None, "36").as_deref(), Some("(100.00 − 60.00 cost) USD × 0.9 [2026-01-30] = 36.00 EUR"));
    assert_eq!(way(Measure::Quantity, Some("EA"), "1"), None, "the document says it");
    let dozens = Doc::invoice(1, "I1", "2026-02-01", &["100"]).quantities(&["1.5"], "DZ");
    let way = |unit, result: &str| {
        let measure = (Measure::Quantity, Some(unit));
        derive(&master, &version, &dozens.lines[0], measure, Exact::parse(result).expect("figure")).map(|d| d.text())
    };
    assert_eq!(way("EA", "18").as_deref(), Some("1.5 DZ × 12 = 18 EA"));
    assert_eq!(way("BOX", "2.25").as_deref(), Some("1.5 DZ × 1.5 = 2.25 BOX"));
    let euros = Doc::invoice(1, "I1", "2026-02-01", &["100"]);
    assert_eq!(derive(&master, &version, &euros.lines[0], (Measure::NetAmount, None), micros("100").exact()), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_recipe_arrives_at_the_figure(versions in amended(), documents in documents()) {
        let world = World::new(versions);
        for (partner, _, figure) in world.figures(world.fold(&documents)) {
            let steps = steps(&world.versions, partner, &figure);
            prop_assert_eq!(calculate(&steps), figure.earned, "{:#?}", steps);
            // With one version the reader needs no list of lines.
            let by_lines = steps.iter().any(|s| matches!(s, RecipeStep::Lines { .. }));
            prop_assert!(!by_lines || figure.versions.len() > 1, "{:#?}", steps);
        }
    }
}
