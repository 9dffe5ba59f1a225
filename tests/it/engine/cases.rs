//! The numeric cases 01 to 09, 14, 19 and 20 on the engine alone.

use super::world::*;
use chrono::NaiveDate;
use rebated::core::accrual::{Booked, Booking, BookingKind, bookings};
use rebated::core::agreement::*;
use rebated::core::line::DocumentStatus;
use rebated::core::master_data::{MasterData, Merge, MergeHistory, Partner};
use rebated::core::number::Micros;
use rebated::core::period::{FiscalCalendar, Span};
use rebated::core::receipt;
use std::collections::BTreeMap;

fn total(agreement: AgreementVersion, net: &str) -> String {
    World::new(vec![agreement]).earned(&[Doc::invoice(1, "I1", "2026-03-01", &[net])])
}

#[test]
fn case_01_tier_boundaries() {
    let ladder = || volume(rate_tiers(&[("0", "0%"), ("50000", "2%"), ("100000", "3%"), ("250000", "4.5%")]));
    for (net, expected) in [
        ("49999.99", "0.00"),
        ("50000", "1000.00"),
        ("99999.99", "2000.00"),
        ("100000", "3000.00"),
        ("250000", "11250.00"),
        ("0", "0.00"),
        ("-1200", "0.00"),
    ] {
        assert_eq!(total(agreement(ladder()), net), expected, "{net}");
    }
    for (net, expected) in [("100000", "2000.00"), ("100000.01", "3000.00")] {
        assert_eq!(total(AgreementVersion { bound: Bound::Exceeded, ..agreement(ladder()) }, net), expected, "over, {net}");
    }
    assert_eq!(total(agreement(volume(rate_tiers(&[("0", "5%"), ("1001", "10%")]))), "1000.50"), "50.03");
}

fn case_02_shares(third_date: &str) -> (String, String, Vec<(String, String)>) {
    let tiers = || rate_tiers(&[("0", "1%"), ("20000", "2%"), ("60000", "4%")]);
    let documents = [
        Doc::invoice(1, "INV-1", "2026-01-10", &["12000"]),
        Doc::invoice(2, "INV-2", "2026-02-03", &["15000"]),
        Doc::invoice(3, "INV-3", third_date, &["48000"]),
    ];
    let all_units = World::new(vec![agreement(volume(tiers()))]).earned(&documents);
    let marginal = World::new(vec![agreement(Volume { method: Method::Marginal, ..volume(tiers()) })]);
    let (_, period, figure) = marginal.figures(marginal.fold(&documents)).remove(0);
    let counted = documents.iter().flat_map(|d| counted(&marginal, d)).collect();
    let shares =
        receipt::lines(&marginal.versions, "volume", period, &marginal.calendar, figure.earned, None, counted).expect("it fits");
    let texts = shares.iter().map(|s| (s.line.document.clone(), s.share.to_text(2))).collect();
    (all_units, figure.earned.to_text(2), texts)
}

fn counted(world: &World, document: &Doc) -> Vec<receipt::CountedLine> {
    let contributions = world.matcher().contributions(&document.document());
    contributions
        .into_iter()
        .map(|(line_id, c)| {
            let line = document.lines.iter().find(|l| l.id == line_id).expect("own line");
            receipt::CountedLine {
                line_id,
                document_type: line.document_type,
                document: line.document_number.to_string(),
                line: line.line_number.to_string(),
                date: line.document_date,
                item: None,
                net: line.net_amount,
                currency: line.currency,
                quantity: line.quantity,
                unit: line.unit.to_string(),
                partner_id: c.key.partner_id,
                facet: c.facet,
                bucket: c.bucket,
                version: c.version,
                sums: c.sums,
                sides: c.sides,
                derived: Vec::new(),
            }
        })
        .collect()
}

#[test]
fn case_02_marginal_and_all_units_and_shares_per_invoice() {
    let shares =
        |list: &[(&str, &str)]| -> Vec<(String, String)> { list.iter().map(|(d, s)| ((*d).into(), (*s).into())).collect() };
    let (all_units, marginal, parts) = case_02_shares("2026-03-20");
    assert_eq!((all_units.as_str(), marginal.as_str()), ("3000.00", "1600.00"));
    assert_eq!(parts, shares(&[("INV-1", "120.00"), ("INV-2", "220.00"), ("INV-3", "1260.00")]));
    let (_, late, parts) = case_02_shares("2026-01-15");
    assert_eq!(late, "1600.00");
    assert_eq!(parts, shares(&[("INV-1", "120.00"), ("INV-3", "880.00"), ("INV-2", "600.00")]));
}

#[test]
fn case_03_our_own_memos_are_no_purchases() {
    let world = World::new(vec![agreement(volume(rate_tiers(&[("0", "5%"), ("5000", "10%"), ("10000", "20%")])))]);
    let memo = |id, date, net: &str| {
        let mut memo = Doc::credit(id, "M", date, &[net]);
        memo.our_reference = Some("RBT-AAAAAAAAAAAA".into());
        memo
    };
    let documents = [
        Doc::invoice(1, "I1", "2026-02-01", &["1000"]),
        Doc::invoice(2, "I2", "2026-05-01", &["5000"]),
        memo(3, "2026-05-02", "-50"),
        Doc::invoice(4, "I3", "2026-08-01", &["5500"]),
        memo(5, "2026-08-02", "-550"),
    ];
    assert_eq!(world.earned(&documents[..1]), "50.00");
    assert_eq!(world.earned(&documents[..3]), "600.00");
    assert_eq!(world.earned(&documents), "2300.00");
}

#[test]
fn case_05_a_return_takes_the_tier_of_its_original_away() {
    let mut rule = agreement(volume(rate_tiers(&[("40000", "3%")])));
    rule.returns = ReturnsBasis::OriginalPeriod;
    rule.terms[0].accumulate = Span::HalfYear;
    let world = World::new(vec![rule]);
    let first = Doc::invoice(1, "INV-61", "2026-06-12", &["41000"]);
    let back = Doc::credit(2, "CN", "2026-07-22", &["-2500"]).refers_to("2026-06-12");
    assert_eq!(world.earned_by_period(std::slice::from_ref(&first)), ["1230.00"]);
    for (second, expected) in [("52000", "1560.00"), ("40100", "1203.00")] {
        let next = Doc::invoice(3, "INV-90", "2026-09-01", &[second]);
        assert_eq!(world.earned_by_period(&[first.clone(), back.clone(), next]), ["0.00", expected]);
    }
}

/// A ledger of one key: what is booked for each month, and the bookings of a night.
#[derive(Default)]
struct Ledger {
    booked: BTreeMap<NaiveDate, Booked>,
    closed: Vec<NaiveDate>,
}

impl Ledger {
    fn night(&mut self, earned: &[(NaiveDate, Micros)], business_day: &str) -> Vec<Booking> {
        let entries = bookings(
            earned,
            &self.booked,
            |_| true,
            |month| !self.closed.contains(&month),
            day(business_day),
            &FiscalCalendar::default(),
        );
        for entry in &entries {
            self.booked.entry(entry.for_month).or_default().amount += entry.amount;
        }
        entries
    }
}
fn texts(entries: &[Booking]) -> Vec<(String, String, BookingKind, String)> {
    entries.iter().map(|b| (b.month.to_string(), b.for_month.to_string(), b.kind, b.amount.to_text(2))).collect()
}
fn entry(month: &str, for_month: &str, kind: BookingKind, amount: &str) -> (String, String, BookingKind, String) {
    (month.into(), for_month.into(), kind, amount.into())
}

#[test]
fn case_06_a_closed_month_is_corrected_in_an_open_one() {
    for (returns, january, february) in
        [(ReturnsBasis::OwnPeriod, "0.00", "42.00"), (ReturnsBasis::OriginalPeriod, "-115.00", "57.00")]
    {
        let mut rule = agreement(volume(rate_tiers(&[("0", "1%"), ("10000", "2%")])));
        rule.returns = returns;
        rule.terms[0].accumulate = Span::Month;
        let world = World::new(vec![rule]);
        let documents = [
            Doc::invoice(1, "INV-11", "2026-01-20", &["10000"]),
            Doc::invoice(2, "INV-12", "2026-02-03", &["6000"]),
            Doc::credit(3, "CN-1", "2026-02-10", &["-1500"]).refers_to("2026-01-20"),
            Doc::credit(4, "CN-2", "2026-02-12", &["-300"]),
        ];
        let months = |documents: &[Doc]| -> Vec<(NaiveDate, Micros)> {
            world.figures(world.fold(documents)).iter().flat_map(|f| f.2.buckets.clone()).collect()
        };
        let mut ledger = Ledger::default();
        let first = ledger.night(&months(&documents[..1]), "2026-01-31");
        assert_eq!(texts(&first), [entry("2026-01-01", "2026-01-01", BookingKind::Base, "200.00")]);
        ledger.closed.push(day("2026-01-01"));
        let second = ledger.night(&months(&documents), "2026-02-28");
        let mut expected = Vec::new();
        if january != "0.00" {
            expected.push(entry("2026-02-01", "2026-01-01", BookingKind::PriorPeriodAdjustment, january));
        }
        expected.push(entry("2026-02-01", "2026-02-01", BookingKind::Base, february));
        assert_eq!(texts(&second), expected, "{returns}");
        assert_eq!(ledger.night(&months(&documents), "2026-02-28"), [], "a second run books nothing");
        let orphans: Vec<i64> = world.fold(&documents).problems.iter().map(|p| p.document_id).collect();
        assert_eq!(orphans, if returns == ReturnsBasis::OwnPeriod { vec![] } else { vec![4] });
    }
}

#[test]
fn case_07_round_once_and_share_the_cents() {
    let world = World::new(vec![agreement(volume(rate_tiers(&[("0", "2.5%")])))]);
    let sale = Doc::invoice(1, "I1", "2026-03-02", &["33.30", "33.30", "33.30", "57.50"]);
    let (_, period, figure) = world.figures(world.fold([&sale])).remove(0);
    assert_eq!(figure.earned.to_text(2), "3.94");
    let shares = receipt::lines(&world.versions, "volume", period, &world.calendar, figure.earned, None, counted(&world, &sale))
        .expect("it fits");
    let parts: Vec<String> = shares.iter().map(|s| s.share.to_text(2)).collect();
    assert_eq!(parts, ["0.84", "0.83", "0.83", "1.44"]);

    let mut ledger = Ledger::default();
    let mut documents = vec![sale];
    let mut booked = |documents: &[Doc]| -> String {
        let figures = world.figures(world.fold(documents));
        let entries = ledger.night(&figures[0].2.buckets, "2026-03-10");
        entries.iter().map(|b| b.amount).sum::<Micros>().to_text(2)
    };
    assert_eq!(booked(&documents), "3.94");
    for (night, (net, expected)) in
        [("-33.30", "-0.84"), ("-33.30", "-0.83"), ("-33.30", "-0.83"), ("-57.50", "-1.44")].iter().enumerate()
    {
        documents.push(Doc::credit(10 + i64::try_from(night).expect("small"), "CN", "2026-03-10", &[net]));
        assert_eq!(booked(&documents), *expected);
    }
    assert_eq!(world.earned(&documents), "0.00");
}

#[test]
fn case_08_a_full_credit_note_leaves_nothing_and_negatives_mirror() {
    for (net, rate, expected) in [
        ("25", "0.5%", "0.13"),
        ("45", "0.5%", "0.23"),
        ("1001", "2.5%", "25.03"),
        ("1001", "1.5%", "15.02"),
        ("1007", "1.5%", "15.11"),
        ("19.99", "25%", "5.00"),
    ] {
        let carry = AgreementVersion { negative: NegativePolicy::Carry, ..agreement(volume(rate_tiers(&[("0", rate)]))) };
        let world = World::new(vec![carry]);
        let sale = Doc::invoice(1, "I", "2026-03-02", &[net]);
        let back = Doc::credit(2, "C", "2026-03-03", &[&format!("-{net}")]);
        assert_eq!(world.earned(std::slice::from_ref(&sale)), expected);
        assert_eq!(world.earned(std::slice::from_ref(&back)), format!("-{expected}"));
        assert_eq!(world.earned(&[sale, back]), "0.00");
    }
}

#[test]
fn case_09_rates_of_the_original_weekends_and_minor_units() {
    let rates = vec![
        rate("USD", "EUR", "2026-03-02", "0.9200"),
        rate("USD", "EUR", "2026-03-27", "0.9312"),
        rate("USD", "EUR", "2026-04-15", "0.9500"),
        rate("JPY", "EUR", "2026-03-20", "0.006150"),
    ];
    let flat = agreement(volume(rate_tiers(&[("0", "3%")])));
    let world = World::with(vec![flat], MasterData::new(vec![partner(1, "C1")], vec![], vec![], rates));
    let of = |doc: Doc, code: &str| doc.each(|l| l.currency = currency(code));
    let documents = [
        of(Doc::invoice(1, "INV-1", "2026-03-02", &["10000"]), "USD"),
        of(Doc::invoice(2, "INV-2", "2026-03-20", &["1500000"]), "JPY"),
        of(Doc::invoice(3, "INV-3", "2026-03-28", &["2500"]), "USD"),
        of(Doc::credit(4, "CN-1", "2026-04-15", &["-4000"]).refers_to("2026-03-02"), "USD"),
    ];
    let (_, _, figure) = world.figures(world.fold(&documents)).remove(0);
    assert_eq!((figure.base.to_text(2), figure.earned.to_text(2)), ("17073.00".into(), "512.19".into()));

    let stale = of(Doc::invoice(5, "INV-5", "2026-04-10", &["100"]), "USD");
    let sums = world.fold([&stale]);
    assert!(sums.is_empty(), "a line without a rate counts for nothing");
    let found: Vec<_> = sums.problems.iter().map(|p| (p.code, p.blocking, &*p.agreement, p.document_id)).collect();
    assert_eq!(found, [("no-rate", true, "A", 5)]);

    for (code, net, expected) in [("JPY", "123457", "1543"), ("KWD", "123.457", "1.543"), ("USD", "123457", "1543.21")] {
        let payout = AgreementVersion { currency: currency(code), ..agreement(volume(rate_tiers(&[("0", "1.25%")]))) };
        let world = World::new(vec![payout]);
        let sale = of(Doc::invoice(1, "I", "2026-03-02", &[net]), code);
        let figure = world.figures(world.fold([&sale])).remove(0).2;
        assert_eq!(currency(code).amount_text(figure.earned), expected);
    }
}

#[test]
fn case_14_a_back_dated_version_and_an_edited_invoice() {
    let first = agreement(volume(rate_tiers(&[("0", "3%")])));
    let second = AgreementVersion { version: 2, valid_from: day("2026-04-01"), ..agreement(volume(rate_tiers(&[("0", "4%")]))) };
    let monthly = |mut v: AgreementVersion| {
        v.terms[0].accumulate = Span::Month;
        v
    };
    let before = World::new(vec![monthly(first.clone())]);
    let after = World::new(vec![monthly(first), monthly(second)]);
    let months = |world: &World, documents: &[Doc]| -> Vec<(NaiveDate, Micros)> {
        world.figures(world.fold(documents)).iter().flat_map(|f| f.2.buckets.clone()).collect()
    };
    let inv_21 = Doc::invoice(21, "INV-21", "2026-02-11", &["20000"]);
    let inv_41 = Doc::invoice(41, "INV-41", "2026-04-10", &["15000"]);
    let inv_51 = Doc::invoice(51, "INV-51", "2026-05-20", &["10000"]);
    let mut ledger = Ledger::default();
    ledger.night(&months(&before, std::slice::from_ref(&inv_21)), "2026-02-28");
    ledger.night(&months(&before, &[inv_21.clone(), inv_41.clone()]), "2026-04-30");
    ledger.closed.extend([day("2026-02-01"), day("2026-04-01")]);
    let correction = ledger.night(&months(&after, &[inv_21, inv_41.clone()]), "2026-05-12");
    let adjustment = BookingKind::PriorPeriodAdjustment;
    assert_eq!(texts(&correction), [entry("2026-05-01", "2026-04-01", adjustment, "150.00")]);
    let edited = Doc::invoice(21, "INV-21", "2026-02-11", &["21000"]);
    let last = ledger.night(&months(&after, &[edited, inv_41, inv_51]), "2026-05-25");
    assert_eq!(
        texts(&last),
        [entry("2026-05-01", "2026-02-01", adjustment, "30.00"), entry("2026-05-01", "2026-05-01", BookingKind::Base, "400.00")]
    );
    assert_eq!(ledger.booked.values().map(|b| b.amount).sum::<Micros>().to_text(2), "1630.00");
}

#[test]
fn case_19_pieces_in_boxes_and_pallets() {
    let conversions = vec![
        conversion(Some(1), "BOX", "EA", "2020-01-01", "12"),
        conversion(Some(1), "BOX", "EA", "2026-07-01", "10"),
        conversion(Some(1), "PAL", "BOX", "2020-01-01", "40"),
        conversion(Some(2), "BOX", "EA", "2020-01-01", "10"),
    ];
    let items = || vec![item(1, "P1", "X"), item(2, "P2", "X"), item(3, "P3", "X")];
    let season =
        AgreementVersion { valid: period("2026-01-01", "2026-07-31"), ..agreement(pieces(unit_tiers(&[("1000", "0.20")]))) };
    let of = |id, date, item, quantity: &str, unit: &str| {
        let sign = if quantity.starts_with('-') { "-1" } else { "1" };
        Doc::invoice(id, "I", date, &[sign]).quantities(&[quantity], unit).each(|l| l.item_id = Some(item))
    };
    let documents = [
        of(1, "2026-02-02", 1, "50", "BOX"),
        of(2, "2026-03-02", 1, "1", "PAL"),
        of(3, "2026-03-09", 2, "3", "BOX"),
        of(4, "2026-03-20", 2, "-1", "BOX").refers_to("2026-03-09"),
        of(5, "2026-04-01", 3, "5", "DRUM"),
        of(6, "2026-06-30", 1, "10", "BOX"),
        of(7, "2026-07-01", 1, "10", "BOX"),
    ];
    let world = World::with(vec![season.clone()], MasterData::new(vec![partner(1, "C1")], items(), conversions.clone(), vec![]));
    let sums = world.fold(&documents);
    let found: Vec<_> = sums.problems.iter().map(|p| (p.code, p.document_id)).collect();
    assert_eq!(found, [("no-conversion", 5)]);
    let figure = world.figures(sums).remove(0).2;
    assert_eq!((figure.qualifier.to_text(0), figure.earned.to_text(2)), ("1320".into(), "264.00".into()));

    let mut more = conversions;
    more.push(conversion(Some(3), "DRUM", "EA", "2020-01-01", "20"));
    let world = World::with(vec![season], MasterData::new(vec![partner(1, "C1")], items(), more, vec![]));
    assert_eq!(world.earned(&documents), "284.00");
}

#[test]
fn case_20_a_merge_keeps_or_moves_the_history() {
    let for_partner = |id: &str, code: &str, tiers| AgreementVersion {
        id: id.into(),
        audience: Audience { partners: vec![code.into()], ..Audience::default() },
        ..agreement(volume(tiers))
    };
    let versions = vec![
        for_partner("G-5", "20001", rate_tiers(&[("50000", "2%")])),
        for_partner("G-6", "20014", rate_tiers(&[("0", "1%")])),
    ];
    // INV-B is stored under 20014; its second delivery names 20001 and stays an update of it.
    let documents = [
        Doc::invoice(1, "INV-A", "2026-03-01", &["30000"]),
        Doc::invoice(2, "INV-B", "2026-04-01", &["25000"]).partner(14),
        Doc::invoice(3, "INV-C", "2026-06-01", &["10000"]),
    ];
    for (history, g5, g6) in [(MergeHistory::Stays, "40000", "25000"), (MergeHistory::Moves, "65000", "0")] {
        let merged = Some(Merge { into: "20001".into(), on: day("2026-05-15"), history });
        let partners = vec![partner(1, "20001"), Partner { merged, ..partner(14, "20014") }];
        let world = World::with(versions.clone(), MasterData::new(partners, vec![], vec![], vec![]));
        let matcher = world.matcher();
        let sums = world.fold(&documents).into_sorted();
        let base = |id: &str| -> String {
            let index = matcher.agreement_index(id);
            let own = sums.iter().filter(|(cell, _)| Some(cell.key.agreement) == index);
            own.map(|(_, s)| s.slots[1]).sum::<rebated::core::number::Exact>().to_text(0)
        };
        assert_eq!((base("G-5").as_str(), base("G-6").as_str()), (g5, g6), "{history:?}");
    }
}

#[test]
fn case_20_a_renumbered_item_stays_in_its_agreement() {
    let mut rule = agreement(volume(rate_tiers(&[("0", "1%")])));
    rule.terms[0].select = Selection { dimensions: vec![(Dimension::Item, vec!["0815".into()])] };
    let mut old = item(1, "0815", "X");
    old.replaced_by = Some(("0815-N".into(), day("2026-04-01")));
    let mut middle = item(2, "0815-N", "X");
    middle.replaced_by = Some(("0815-N2".into(), day("2026-08-01")));
    let items = vec![old, middle, item(3, "0815-N2", "X"), item(4, "0816", "X")];
    let world = World::with(vec![rule], MasterData::new(vec![partner(1, "C1")], items, vec![], vec![]));
    let of = |id, date, item| Doc::invoice(id, "I", date, &["100"]).each(|l| l.item_id = Some(item));
    let documents = [of(1, "2026-03-01", 1), of(2, "2026-04-01", 2), of(3, "2026-09-01", 3), of(4, "2026-05-01", 4)];
    assert_eq!(world.earned(&documents), "3.00");
}

#[test]
fn case_22_drafts_and_cancelled_documents_do_not_count() {
    let world = World::new(vec![agreement(volume(rate_tiers(&[("0", "1%")])))]);
    for (status, expected) in [
        (DocumentStatus::Posted, "10.00"),
        (DocumentStatus::Paid, "10.00"),
        (DocumentStatus::Draft, "0.00"),
        (DocumentStatus::Cancelled, "0.00"),
    ] {
        let mut document = Doc::invoice(1, "I", "2026-03-01", &["1000"]);
        document.status = status;
        assert_eq!(world.earned(&[document]), expected, "{status}");
    }
}
