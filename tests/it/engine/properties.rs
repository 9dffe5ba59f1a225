//! The properties that every figure keeps: order-free, incremental equals rebuild, shares add up,
//! never negative, no cap passed.

use super::world::*;
use proptest::prelude::*;
use rebated::core::accrual::Evaluation;
use rebated::core::agreement::*;
use rebated::core::line::Original;
use rebated::core::matching::Accumulator;
use rebated::core::number::Micros;
use rebated::core::period::{Period, Span};

pub(super) fn rule() -> impl Strategy<Value = AgreementVersion> {
    let tiers = prop::collection::btree_map(0i64..5_000, (0i64..2_000, any::<bool>()), 1..5);
    let method = prop_oneof![Just(Method::Retrospective), Just(Method::Marginal)];
    let bound = prop_oneof![Just(Bound::Reached), Just(Bound::Exceeded)];
    let returns = prop_oneof![Just(ReturnsBasis::OwnPeriod), Just(ReturnsBasis::OriginalPeriod)];
    let span = prop_oneof![Just(Span::Year), Just(Span::Quarter), Just(Span::Month), Just(Span::Week), Just(Span::Document)];
    let base = prop_oneof![Just(Measure::NetAmount), Just(Measure::Quantity), Just(Measure::DocumentCount)];
    let cap = prop::option::of(0i64..100_000);
    (tiers, method, bound, returns, span, base, cap).prop_map(|(tiers, method, bound, returns, span, qualifier, cap)| {
        let tiers = tiers
            .into_iter()
            .map(|(from, (rate, back))| Tier {
                from: Micros(from * 1_000_000),
                benefit: Benefit::Rate(rebated::core::number::Rate(rate * 10_000)),
                back_to_first: back && method == Method::Marginal,
            })
            .collect();
        let mut version = agreement(Volume { method, qualifier, unit: Some("EA".into()), ..volume(tiers) });
        version.bound = bound;
        version.returns = returns;
        version.terms[0].accumulate = span;
        version.terms[0].caps.benefit = cap.map(|c| Micros(c * 10_000));
        version
    })
}

pub(super) fn amended() -> impl Strategy<Value = Vec<AgreementVersion>> {
    (rule(), prop::option::of(rule())).prop_map(|(first, second)| {
        let second = second.map(|second| {
            let mut next = AgreementVersion { version: 2, valid_from: day("2026-05-11"), ..first.clone() };
            next.terms[0].rule = second.terms[0].rule.clone();
            next
        });
        std::iter::once(first).chain(second).collect()
    })
}

/// A document of some day with some lines; negative ones are credit notes, half of them with an original.
fn document(id: i64) -> impl Strategy<Value = Doc> {
    let lines = prop::collection::vec((1i64..4_000_000, 1i64..50), 1..4);
    (0u64..365, lines, any::<bool>(), prop::option::of(0u64..365)).prop_map(move |(offset, lines, back, original)| {
        let date = day("2026-01-01") + chrono::Days::new(offset);
        let sign = if back { -1 } else { 1 };
        let nets: Vec<String> = lines.iter().map(|(net, _)| Micros(sign * net * 1_000).to_string()).collect();
        let quantities: Vec<String> = lines.iter().map(|(_, quantity)| (sign * quantity).to_string()).collect();
        let nets: Vec<&str> = nets.iter().map(String::as_str).collect();
        let quantities: Vec<&str> = quantities.iter().map(String::as_str).collect();
        let number = format!("D{id}");
        let made = if back {
            Doc::credit(id, &number, &date.to_string(), &nets)
        } else {
            Doc::invoice(id, &number, &date.to_string(), &nets)
        };
        let made = made.quantities(&quantities, "EA");
        match original.filter(|_| back) {
            Some(days) => {
                let document_date = day("2026-01-01") + chrono::Days::new(days);
                made.each(|l| l.original = Some(Original { document_id: 1, document_date, posting_date: None }))
            }
            None => made,
        }
    })
}

pub(super) fn documents() -> impl Strategy<Value = Vec<Doc>> {
    prop::collection::vec(document(0), 1..14).prop_map(|list| {
        (1i64..)
            .zip(list)
            .map(|(id, doc)| {
                let mut numbered = Doc { id, ..doc };
                for (index, line) in (0i64..).zip(&mut numbered.lines) {
                    (line.document_id, line.id) = (id, id * 1000 + index);
                    line.document_number = format!("D{id}").into();
                }
                numbered
            })
            .collect()
    })
}

fn figures(world: &World, sums: Accumulator) -> Vec<(i64, Period, Evaluation)> {
    world.figures(sums)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn figures_do_not_depend_on_the_order_of_arrival(
        versions in amended(),
        (documents, shuffled) in documents().prop_flat_map(|d| (Just(d.clone()), Just(d).prop_shuffle())),
        swap in any::<bool>(),
    ) {
        let world = World::new(versions);
        let mut other = world.clone();
        if swap {
            other.versions.reverse();
        }
        let shuffled: Vec<Doc> = shuffled.into_iter().map(|mut d| { d.lines.reverse(); d }).collect();
        prop_assert_eq!(figures(&world, world.fold(&documents)), figures(&other, other.fold(&shuffled)));
    }

    #[test]
    fn a_night_and_a_rebuild_agree(
        versions in amended(),
        documents in documents(),
        edits in prop::collection::vec((0usize..14, document(0)), 0..10),
        halves in any::<bool>(),
    ) {
        let world = World::new(versions);
        let matcher = world.matcher();
        let mut now = documents;
        let mut sums = Accumulator::new();
        for document in &now {
            matcher.fold(&document.document(), 1, &mut sums);
        }
        for (index, edit) in edits {
            let index = index % now.len();
            let id = now[index].id;
            let mut next = Doc { id, ..edit };
            for (n, line) in (0i64..).zip(&mut next.lines) {
                (line.document_id, line.id) = (id, id * 1000 + n);
            }
            let mut change = Accumulator::new();
            matcher.fold(&now[index].document(), -1, &mut change);
            matcher.fold(&next.document(), 1, &mut change);
            sums.merge(change);
            now[index] = next;
        }
        // The rest of the night may be shared by two workers.
        let rebuilt = if halves {
            let (left, right) = now.split_at(now.len() / 2);
            let mut whole = world.fold(left);
            whole.merge(world.fold(right));
            whole
        } else {
            world.fold(&now)
        };
        let (sums, rebuilt) = (sums.into_sorted(), rebuilt.into_sorted());
        prop_assert_eq!(&sums, &rebuilt);
    }

    #[test]
    fn shares_add_up_nothing_is_negative_and_no_cap_is_passed(versions in amended(), documents in documents()) {
        let world = World::new(versions);
        let cap = world.versions.last().and_then(|v| v.terms[0].caps.benefit);
        for (_, _, figure) in figures(&world, world.fold(&documents)) {
            prop_assert!(!figure.earned.is_negative());
            prop_assert!(!figure.earned.to_text(2).starts_with('-'));
            if let Some(cap) = cap {
                prop_assert!(figure.earned <= cap);
            }
            prop_assert_eq!(figure.buckets.iter().map(|b| b.1).sum::<Micros>(), figure.earned);
            prop_assert_eq!(figure.partners.iter().map(|p| p.earned).sum::<Micros>(), figure.earned);
            prop_assert!(figure.earned.fits_digits(2));
        }
    }

    #[test]
    fn later_months_do_not_move_the_cents_of_earlier_ones(
        nets in prop::collection::vec(1i64..10_000_000, 2..12),
        rate in 1i64..2_000,
    ) {
        let mut version = agreement(volume(rate_tiers(&[("0", "1%")])));
        if let Rule::Volume(rule) = &mut version.terms[0].rule {
            rule.tiers[0].benefit = Benefit::Rate(rebated::core::number::Rate(rate * 1_000));
        }
        let world = World::new(vec![version]);
        let documents: Vec<Doc> = (1i64..).zip(&nets).map(|(month, net)| {
            Doc::invoice(month, "I", &format!("2026-{month:02}-15"), &[&Micros(net * 1_000).to_string()])
        }).collect();
        let all = figures(&world, world.fold(&documents)).remove(0).2.buckets;
        let fewer = figures(&world, world.fold(&documents[..documents.len() - 1])).remove(0).2.buckets;
        prop_assert_eq!(&all[..fewer.len()], &fewer[..]);
    }
}
