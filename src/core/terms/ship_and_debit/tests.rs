//! Cases 16 and 17 and the worked examples through the queue alone, and what holds for every set of lines.

use super::*;
use crate::core::agreement::Exchange;
use crate::core::master_data::{Item, MasterData, Partner};
use proptest::prelude::*;

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}
fn figure(text: &str) -> Micros {
    Micros::parse(text).expect("a figure")
}
fn usd() -> Currency {
    Currency::parse("USD").expect("USD")
}

const ITEMS: [&str; 3] = ["4711-K", "4711-J", "A-200"];

fn master() -> MasterData {
    let items = (1i64..).zip(ITEMS).map(|(id, code)| Item { id, code: code.into(), replaced_by: None, facts: vec![] });
    let partner = |id, code: &str| Partner { id, code: code.into(), merged: None, facts: vec![] };
    MasterData::new(vec![partner(7, "D7"), partner(8, "D8")], items.collect(), vec![], vec![])
}

fn authorization(number: &str, item: &str, book: &str, price: &str, cap: Option<&str>) -> Authorization {
    Authorization {
        authorization: number.to_owned(),
        partner: None,
        end_customer: None,
        item: item.to_owned(),
        book_price: Some(figure(book)),
        price: AuthorizedPrice::Price(figure(price)),
        currency: None,
        unit: None,
        quantity_cap: cap.map(figure),
        shipped_from: None,
        shipped_to: None,
    }
}

fn line(document: &str, number: &str) -> ClaimLine {
    ClaimLine {
        term: 0,
        partner: 7,
        issuer: 7,
        partner_code: "D7".to_owned(),
        document: document.to_owned(),
        line: number.to_owned(),
        document_date: day("2026-04-03"),
        submitted_on: day("2026-04-03"),
        shipped_on: Some(day("2026-03-10")),
        authorization: Some("SPA-100".to_owned()),
        item_id: Some(1),
        item: "4711-K".to_owned(),
        end_customer: EndCustomer::Absent,
        invoice: None,
        invoice_line: None,
        quantity: Micros::ONE,
        unit: String::new(),
        claimed: None,
        claimed_price: None,
        cost: None,
        resale: Micros::ZERO,
        currency: usd(),
        corrects: None,
        person: None,
        settled: None,
    }
}

struct World {
    rule: ShipAndDebit,
    rows: Vec<Authorization>,
    stock: Vec<StockRow>,
}

impl World {
    fn decide(&self, lines: &[ClaimLine]) -> Vec<Decision> {
        let master = master();
        let exchange = Exchange::default();
        let terms = [TermRules { rule: &self.rule, book: 0, currency: usd(), exchange: &exchange }];
        let books = [Book::new("", &self.rows, &master)];
        Queue { master: &master, terms: &terms, books: &books, stock: &self.stock }.decide(lines)
    }
    /// Amount and reason of every line.
    fn paid(&self, lines: &[ClaimLine]) -> Vec<(String, &'static str)> {
        self.decide(lines).iter().map(|d| (d.amount.to_text(2), d.reason.word())).collect()
    }
}

fn world(rows: Vec<Authorization>) -> World {
    World { rule: ShipAndDebit { claim_within_days: Some(60), ..ShipAndDebit::default() }, rows, stock: vec![] }
}

fn case_16() -> (World, Vec<ClaimLine>) {
    let row = Authorization {
        end_customer: Some("C-900".to_owned()),
        shipped_from: Some(day("2026-02-01")),
        shipped_to: Some(day("2026-03-31")),
        ..authorization("SPA-100", "4711-K", "12.50", "10.75", Some("1000"))
    };
    let lines = [
        ("SPA-100", 1, "2026-02-01", "2026-03-05", "200", "350.00"),
        ("SPA-100", 1, "2026-03-31", "2026-04-03", "300", "525.00"),
        ("SPA-100", 1, "2026-04-01", "2026-04-03", "50", "87.50"),
        ("SPA-100", 1, "2026-01-31", "2026-03-05", "10", "17.50"),
        ("SPA-100", 1, "2026-03-10", "2026-04-03", "100", "200.00"),
        ("SPA-100", 1, "2026-03-12", "2026-04-03", "50", "80.00"),
        ("SPA-100", 2, "2026-03-12", "2026-04-03", "10", "17.50"),
        ("SPA-100", 1, "2026-03-15", "2026-04-03", "600", "1050.00"),
        ("SPA-100", 1, "2026-02-01", "2026-04-03", "20", "35.00"),
        ("SPA-1O0", 1, "2026-03-10", "2026-04-03", "40", "70.00"),
    ];
    let lines = (1..).zip(lines).map(|(number, (authorization, item, shipped, submitted, quantity, claimed))| ClaimLine {
        authorization: Some(authorization.to_owned()),
        item_id: Some(item),
        item: ITEMS[usize::try_from(item).expect("index") - 1].to_owned(),
        shipped_on: Some(day(shipped)),
        submitted_on: day(submitted),
        quantity: figure(quantity),
        claimed: Some(figure(claimed)),
        ..line("CL-1", &number.to_string())
    });
    (world(vec![row]), lines.collect())
}

#[test]
fn case_16_each_line_stands_alone_and_has_one_main_reason() {
    let (world, lines) = case_16();
    let expected = [
        ("350.00", "accepted"),
        ("525.00", "accepted"),
        ("0.00", "authorization-expired"),
        ("0.00", "shipped-before-authorization"),
        ("175.00", "price-differs"),
        ("80.00", "claimed-less"),
        ("0.00", "item-not-authorized"),
        ("612.50", "quantity-exceeded"),
        ("0.00", "submitted-too-late"),
        ("0.00", "unknown-authorization"),
    ];
    let expected: Vec<(String, &str)> = expected.iter().map(|(a, r)| ((*a).to_owned(), *r)).collect();
    assert_eq!(world.paid(&lines), expected);
    let decisions = world.decide(&lines);
    let sum = |of: fn(&Decision) -> Exact| decisions.iter().map(of).sum::<Exact>().to_text(2);
    assert_eq!(sum(|d| d.claimed), "2432.50");
    assert_eq!(sum(|d| d.amount), "1742.50");
    assert_eq!(sum(|d| d.quantity), "1000.00");
    assert_eq!(decisions[7].message, "250 of 600 units (437.50) are more than authorisation SPA-100 has left");
    assert_eq!(decisions[8].message, "submitted on 2026-04-03, shipped on 2026-02-01: the last day was 2026-04-02");
}

/// Case 17: 3.00 per unit, item A-200, end customer E9.
fn case_17() -> (World, Vec<ClaimLine>) {
    let row = Authorization {
        end_customer: Some("E9".to_owned()),
        ..authorization("SPA-100", "A-200", "10.00", "7.00", Some("100000"))
    };
    let row = Authorization { price: AuthorizedPrice::Price(figure("7.00")), ..row };
    let claim = |document: &str, number: &str, submitted: &str, invoice: (&str, &str), units: &str, claimed: &str| ClaimLine {
        item_id: Some(3),
        item: "A-200".to_owned(),
        submitted_on: day(submitted),
        end_customer: EndCustomer::Known("E9".to_owned()),
        invoice: Some(invoice.0.to_owned()),
        invoice_line: Some(invoice.1.to_owned()),
        quantity: figure(units),
        claimed: Some(figure(claimed)),
        ..line(document, number)
    };
    let lines = vec![
        ClaimLine {
            end_customer: EndCustomer::Unclear("no end customer is called E-9".to_owned()),
            ..claim("DM-500", "9", "2026-04-01", ("88190", "1"), "20", "60.00")
        },
        claim("DM-501", "1", "2026-04-02", ("88231", "1"), "40", "120.00"),
        claim("DM-501", "2", "2026-04-02", ("88231", "2"), "40", "120.00"),
        claim("DM-502", "1", "2026-04-03", ("088231", "1"), "40", "120.00"),
        claim("DM-502", "2", "2026-04-03", (" 88231 ", "1"), "40", "120.00"),
        ClaimLine {
            corrects: Some(("DM-501".to_owned(), Some("2".to_owned()))),
            ..claim("DM-502", "3", "2026-04-03", ("88231", "2"), "45", "135.00")
        },
        claim("DM-502", "4", "2026-04-03", ("88190", "1"), "20", "60.00"),
    ];
    (world(vec![row]), lines)
}

#[test]
fn case_17_duplicates_look_alikes_and_resubmissions() {
    let (world, lines) = case_17();
    let expected = [
        ("0.00", "unknown-end-customer"),
        ("120.00", "accepted"),
        ("120.00", "accepted"),
        ("0.00", "possible-duplicate"),
        ("0.00", "duplicate"),
        ("15.00", "correction"),
        ("60.00", "accepted"),
    ];
    let expected: Vec<(String, &str)> = expected.iter().map(|(a, r)| ((*a).to_owned(), *r)).collect();
    assert_eq!(world.paid(&lines), expected);
    let decisions = world.decide(&lines);
    assert_eq!(decisions[3].outcome, Outcome::Held);
    assert_eq!(decisions[4].message, "the sale was paid with DM-501 line 1");
    assert_eq!(decisions[5].message, "corrects DM-501 line 2: 135.00 instead of 120.00");
    // 40 + 40, 5 more by the correction, 20.
    assert_eq!(decisions.iter().map(|d| d.quantity).sum::<Exact>().to_text(0), "105");
}

#[test]
fn a_person_releases_or_denies_what_is_held() {
    let (world, mut lines) = case_17();
    lines[3].person = Some(PersonSays::Release);
    assert_eq!(world.paid(&lines)[3], ("120.00".to_owned(), "accepted"));
    lines[3].person = Some(PersonSays::Deny);
    let denied = world.decide(&lines).swap_remove(3);
    assert_eq!((denied.outcome, denied.reason), (Outcome::Refused, Reason::Duplicate));
}

#[test]
fn worked_examples_snd_of_prices_margins_and_stock() {
    // SND-01: same item, two contracts: (5.52 - 2.78) x 150 = 411.00, x 116 = 317.84, (5.52 - 4.00) x 25 = 38.00.
    let rows = vec![authorization("K1", "4711-K", "5.52", "2.78", None), authorization("K2", "4711-K", "5.52", "4.00", None)];
    let mut two = world(rows);
    let claim = |number: &str, contract: &str, units: &str| ClaimLine {
        authorization: Some(contract.to_owned()),
        quantity: figure(units),
        ..line("CL-1", number)
    };
    let lines = [claim("1", "K1", "150"), claim("2", "K1", "116"), claim("3", "K2", "25")];
    assert_eq!(two.paid(&lines).iter().map(|p| p.0.as_str()).collect::<Vec<_>>(), ["411.00", "317.84", "38.00"]);
    // SND-02: 2.785 claimed instead of 2.78 is 0.005 a unit and 0.75 a line: inside 0.01 a unit, outside 0.50 a line.
    two.rule.price_tolerance = figure("0.01");
    let stated = |price: &str| ClaimLine { claimed_price: Some(figure(price)), ..claim("1", "K1", "150") };
    assert_eq!(two.paid(&[stated("2.785")]), [("410.25".to_owned(), "accepted")]);
    assert_eq!(two.paid(&[stated("2.775")]), [("411.00".to_owned(), "accepted")]);
    assert_eq!(two.paid(&[stated("6.00")]), [("0.00".to_owned(), "price-differs")]);
    two.rule.amount_tolerance = Some(figure("0.50"));
    assert_eq!(two.paid(&[stated("2.785")]), [("410.25".to_owned(), "claimed-less")]);
    // SND-05: resale at 900 with a margin of 25 %: the partner is to pay 675, its cost of 1,000 is 325 too high.
    let mut margin = world(vec![Authorization {
        price: AuthorizedPrice::Margin(Rate::parse_percent("25%").expect("rate")),
        ..authorization("SPA-100", "4711-K", "1000", "0", None)
    }]);
    assert_eq!(margin.paid(&[ClaimLine { resale: figure("900"), ..line("CL-1", "1") }])[0].0, "325.00");
    margin.rule.cost_basis = CostBasis::ClaimedCost;
    assert_eq!(margin.paid(&[ClaimLine { resale: figure("900"), ..line("CL-1", "1") }])[0].1, "cost-missing");
    let stated = ClaimLine { resale: figure("900"), cost: Some(figure("980")), ..line("CL-1", "1") };
    assert_eq!(margin.paid(&[stated])[0].0, "305.00");
    // SND-06: 1,000 sold at 3.00 that cost 2.00: by stock the basis is 2,000, by book price 3,000.
    let mut stocked = world(vec![authorization("SPA-100", "4711-K", "3.00", "1.50", None)]);
    stocked.stock = vec![StockRow {
        partner: 7,
        item: "4711-K".to_owned(),
        on: day("2026-01-31"),
        quantity: figure("1000"),
        unit_cost: Some(figure("2.00")),
        receipt: false,
    }];
    let sold = ClaimLine { quantity: figure("1000"), ..line("CL-1", "1") };
    assert_eq!(stocked.decide(std::slice::from_ref(&sold))[0].basis.to_text(2), "3000.00");
    stocked.rule.cost_basis = CostBasis::Fifo;
    let by_stock = stocked.decide(&[sold.clone(), ClaimLine { line: "2".to_owned(), ..sold }]);
    assert_eq!((by_stock[0].basis.to_text(2), by_stock[0].amount.to_text(2)), ("2000.00".to_owned(), "500.00".to_owned()));
    assert_eq!((by_stock[1].outcome, by_stock[1].reason), (Outcome::Held, Reason::NoChannelStock));
}

#[test]
fn stock_goes_out_in_the_order_in_which_it_came() {
    // 600 at 2.00, then 600 at 2.20: 1,000 cost 600 x 2.00 + 400 x 2.20 = 2,080.00; 100 that come back cost 2.20 each.
    let mut world = world(vec![authorization("SPA-100", "4711-K", "3.00", "1.50", None)]);
    world.rule.cost_basis = CostBasis::Fifo;
    let layer = |on: &str, cost: &str| StockRow {
        partner: 7,
        item: "4711-K".to_owned(),
        on: day(on),
        quantity: figure("600"),
        unit_cost: Some(figure(cost)),
        receipt: true,
    };
    world.stock = vec![layer("2026-02-10", "2.20"), layer("2026-01-10", "2.00")];
    let first =
        ClaimLine { quantity: figure("1000"), invoice: Some("1".into()), invoice_line: Some("1".into()), ..line("CL-1", "1") };
    let back = ClaimLine { line: "2".to_owned(), quantity: figure("-100"), ..first.clone() };
    let again = ClaimLine { line: "3".to_owned(), quantity: figure("300"), invoice: Some("2".into()), ..first.clone() };
    let decided = world.decide(&[first, back, again]);
    assert_eq!(decided[0].basis.to_text(2), "2080.00");
    // (2,080 - 1,500) x 100 / 1,000
    assert_eq!(decided[1].amount.to_text(2), "-58.00");
    // 200 were left at 2.20 and 100 came back at 2.20.
    assert_eq!(decided[2].basis.to_text(2), "660.00");
}

#[test]
fn snd_03_ship_dates_outside_the_contract() {
    let ended = Authorization { shipped_to: Some(day("2025-12-31")), ..authorization("OLD", "4711-K", "5", "4", None) };
    let begins = Authorization { shipped_from: Some(day("2027-01-01")), ..authorization("NEW", "4711-K", "5", "4", None) };
    let claim = |number: &str| ClaimLine {
        authorization: Some(number.to_owned()),
        shipped_on: Some(day("2026-02-15")),
        ..line("CL-1", number)
    };
    let paid = world(vec![ended, begins]).paid(&[claim("OLD"), claim("NEW")]);
    assert_eq!(paid, [("0.00".to_owned(), "authorization-expired"), ("0.00".to_owned(), "shipped-before-authorization")]);
}

#[test]
fn the_row_of_the_ship_date_rules_and_dated_rows_share_the_quantity() {
    // 100 units at 2.00 until 15 March, then 3.00, 120 in all.
    let until =
        Authorization { shipped_to: Some(day("2026-03-15")), ..authorization("SPA-100", "4711-K", "10", "8", Some("100")) };
    let from =
        Authorization { shipped_from: Some(day("2026-03-16")), ..authorization("SPA-100", "4711-K", "10", "7", Some("120")) };
    let claim = |number: &str, shipped: &str, units: &str| ClaimLine {
        shipped_on: Some(day(shipped)),
        quantity: figure(units),
        ..line("CL-1", number)
    };
    let paid = world(vec![from, until]).paid(&[claim("1", "2026-03-15", "90"), claim("2", "2026-03-16", "50")]);
    // 90 x 2.00; 120 less 90 leaves 30 x 3.00.
    assert_eq!(paid, [("180.00".to_owned(), "accepted"), ("90.00".to_owned(), "quantity-exceeded")]);
}

#[test]
fn returns_give_back_what_was_paid_and_free_the_quantity() {
    let world = world(vec![authorization("SPA-100", "4711-K", "10", "8", Some("100"))]);
    let claim = |number: &str, invoice: &str, units: &str| ClaimLine {
        invoice: Some(invoice.to_owned()),
        invoice_line: Some("1".to_owned()),
        quantity: figure(units),
        ..line("CL-1", number)
    };
    let lines = [
        claim("1", "A1", "80"),
        claim("2", "A1", "-30"),
        claim("3", "A2", "50"),
        claim("4", "A1", "-60"),
        claim("5", "A9", "-5"),
        ClaimLine { corrects: Some(("CL-1".to_owned(), Some("3".to_owned()))), ..claim("6", "A2", "40") },
    ];
    let decided = world.decide(&lines);
    let paid: Vec<(String, &str)> = decided.iter().map(|d| (d.amount.to_text(2), d.reason.word())).collect();
    let expected = [
        ("160.00", "accepted"),
        ("-60.00", "return"),
        ("100.00", "accepted"),               // 100 less 80 less -30: 50 are left
        ("-100.00", "return-exceeds-claims"), // of 60 only 50 were still paid for
        ("0.00", "return-without-claim"),
        ("-20.00", "correction"), // 40 x 2.00 instead of 50 x 2.00
    ];
    assert_eq!(paid, expected.map(|(a, r)| (a.to_owned(), r)));
    assert_eq!(decided.iter().map(|d| d.quantity).sum::<Exact>().to_text(0), "40");
}

#[test]
fn what_came_back_is_not_paid_again_by_a_correction() {
    let world = world(vec![authorization("SPA-100", "4711-K", "10", "8", None)]);
    let claim = |number: &str, units: &str| ClaimLine {
        invoice: Some("A1".to_owned()),
        invoice_line: Some("1".to_owned()),
        quantity: figure(units),
        ..line("CL-1", number)
    };
    let corrected = ClaimLine { corrects: Some(("CL-1".to_owned(), Some("1".to_owned()))), ..claim("3", "12") };
    let paid = world.paid(&[claim("1", "10"), claim("2", "-4"), corrected]);
    // 20.00, less 8.00; 12 sold of which 4 came back are 16.00, of which 12.00 stand.
    assert_eq!(paid.iter().map(|p| p.0.as_str()).collect::<Vec<_>>(), ["20.00", "-8.00", "4.00"]);
}

#[test]
fn a_late_correction_lowers_but_does_not_raise() {
    let world = world(vec![authorization("SPA-100", "4711-K", "10", "8", None)]);
    let first = ClaimLine { quantity: figure("10"), shipped_on: Some(day("2026-02-10")), ..line("CL-1", "1") };
    let late = |units: &str| ClaimLine {
        corrects: Some(("CL-1".to_owned(), Some("1".to_owned()))),
        quantity: figure(units),
        shipped_on: Some(day("2026-02-10")),
        submitted_on: day("2026-06-01"),
        ..line("CL-9", "1")
    };
    assert_eq!(world.paid(&[first.clone(), late("9")])[1], ("-2.00".to_owned(), "correction"));
    assert_eq!(world.paid(&[first, late("11")])[1], ("0.00".to_owned(), "submitted-too-late"));
}

#[test]
fn a_settled_decision_stays_although_an_earlier_claim_arrives() {
    let world = world(vec![authorization("SPA-100", "4711-K", "10", "8", Some("100"))]);
    let mut paid = ClaimLine { quantity: figure("80"), ..line("CL-2", "1") };
    paid.settled = Some(world.decide(std::slice::from_ref(&paid)).swap_remove(0));
    let earlier = ClaimLine { quantity: figure("50"), submitted_on: day("2026-03-20"), ..line("CL-1", "1") };
    let decided = world.paid(&[earlier, paid]);
    assert_eq!(decided, [("40.00".to_owned(), "quantity-exceeded"), ("160.00".to_owned(), "accepted")]);
}

#[test]
fn a_circle_of_corrections_is_held() {
    let world = world(vec![authorization("SPA-100", "4711-K", "10", "8", None)]);
    let correcting = |number: &str, other: &str| ClaimLine {
        corrects: Some(("CL-1".to_owned(), Some(other.to_owned()))),
        ..line("CL-1", number)
    };
    let decided = world.paid(&[correcting("1", "2"), correcting("2", "1")]);
    assert!(decided.iter().all(|d| d.1 == "correction-unknown"), "{decided:?}");
}

#[test]
fn what_cannot_be_converted_waits() {
    let euro = Currency::parse("EUR").expect("EUR");
    let row = Authorization { unit: Some("EA".to_owned()), ..authorization("SPA-100", "4711-K", "10", "8", None) };
    let world = world(vec![row]);
    let claimed = ClaimLine { claimed: Some(figure("2.00")), currency: euro, unit: "EA".to_owned(), ..line("CL-1", "1") };
    let boxed = ClaimLine { unit: "BOX".to_owned(), ..line("CL-1", "2") };
    let decided = world.decide(&[claimed, boxed]);
    assert_eq!((decided[0].outcome, decided[0].reason), (Outcome::Waiting, Reason::NoRate));
    assert_eq!((decided[1].outcome, decided[1].reason), (Outcome::Waiting, Reason::NoConversion));
}

/// Lines that collide in every way: few invoices, authorisations, days; returns and corrections among them.
fn lines() -> impl Strategy<Value = Vec<ClaimLine>> {
    let one = (0..3usize, 0..4usize, 0..5i64, -6..25i64, 0..3usize, 0..6usize, prop::option::of(1..60i64));
    prop::collection::vec(one, 1..14).prop_map(|drafts| {
        let drafts = (1..).zip(drafts);
        drafts
            .map(|(number, (document, invoice, submitted, units, shape, corrects, claimed))| {
                let mut one = line(&format!("DM-{document}"), &format!("{number}"));
                one.partner = if shape == 2 { 8 } else { 7 };
                one.issuer = one.partner;
                one.partner_code = format!("D{}", one.partner);
                one.submitted_on = day("2026-04-01") + Days::new(u64::try_from(submitted).expect("days"));
                one.shipped_on = Some(day("2026-03-25") + Days::new(u64::try_from(submitted).expect("days")));
                one.quantity = Micros(units * 1_000_000);
                one.claimed = claimed.map(|c| Micros(c * units.signum() * 1_000_000));
                one.invoice = [Some("77"), Some("077"), Some("78"), None][invoice].map(str::to_owned);
                one.invoice_line = one.invoice.as_ref().map(|_| "1".to_owned());
                if corrects == 0 {
                    one.corrects = Some(("DM-0".to_owned(), Some("1".to_owned())));
                }
                one
            })
            .collect()
    })
}

use chrono::Days;

fn capped() -> World {
    let row = Authorization { shipped_to: Some(day("2026-03-28")), ..authorization("SPA-100", "4711-K", "10", "8", Some("40")) };
    world(vec![row])
}

proptest! {
    #[test]
    fn decisions_do_not_depend_on_the_order_of_arrival(lines in lines(), seed in any::<u64>()) {
        let world = capped();
        let straight = world.decide(&lines);
        let mut shuffled: Vec<usize> = (0..lines.len()).collect();
        shuffled.sort_by_key(|i| (u64::try_from(*i).expect("index") + 1).wrapping_mul(seed | 1));
        let moved: Vec<ClaimLine> = shuffled.iter().map(|i| lines[*i].clone()).collect();
        let decided = world.decide(&moved);
        for (at, index) in shuffled.iter().enumerate() {
            prop_assert_eq!(&decided[at], &straight[*index]);
        }
    }

    #[test]
    fn no_quantity_cap_is_passed_and_nothing_ends_below_zero(lines in lines()) {
        let decided = capped().decide(&lines);
        prop_assert_eq!(decided.len(), lines.len());
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|i| lines[*i].submitted_on);
        let used: Exact = decided.iter().map(|d| d.quantity).sum();
        let paid: Exact = decided.iter().map(|d| d.amount).sum();
        prop_assert!(used >= Exact::ZERO && used <= figure("40").exact(), "{}", used);
        prop_assert!(paid >= Exact::ZERO && paid <= figure("80").exact(), "{}", paid);
        for (line, decision) in lines.iter().zip(&decided) {
            if line.quantity > Micros::ZERO && line.corrects.is_none() {
                prop_assert!(decision.amount >= Exact::ZERO);
                if let Some(claimed) = line.claimed {
                    prop_assert!(decision.amount <= claimed.exact());
                }
            }
            if !matches!(decision.outcome, Outcome::Accepted | Outcome::Cut) {
                prop_assert!(!decision.moves());
            }
        }
    }

    #[test]
    fn what_is_settled_stays_whatever_comes(first in lines(), more in lines()) {
        let world = capped();
        let decided = world.decide(&first);
        let mut all: Vec<ClaimLine> = first.iter().zip(&decided).map(|(line, decision)| {
            let settled = decision.moves().then(|| decision.clone());
            ClaimLine { settled, ..line.clone() }
        }).collect();
        let again = world.decide(&all);
        for (before, after) in decided.iter().zip(&again) {
            prop_assert!(!before.moves() || before == after);
        }
        all.extend(more.into_iter().map(|l| ClaimLine { document: format!("X{}", l.document), ..l }));
        let later = world.decide(&all);
        for (before, after) in decided.iter().zip(&later) {
            prop_assert!(!before.moves() || before == after);
        }
        let used: Exact = later.iter().map(|d| d.quantity).sum();
        prop_assert!(used >= Exact::ZERO && used <= figure("40").exact(), "{}", used);
    }
}
