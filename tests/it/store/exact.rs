//! Case 33: exact amounts, instants, and two writers at once.

use super::*;

/// What stored amounts add up to, as text with two decimals or more.
async fn sum(open: &Open, amounts: &[&str]) -> String {
    let mut tx = open.store.begin().await.unwrap();
    let lines: Vec<NewLine> = (1..).zip(amounts).map(|(id, amount)| line(id, micros(amount))).collect();
    tx.insert_documents(&[document(1, "D1")]).await.unwrap();
    tx.insert_lines(&lines).await.unwrap();
    let sum = number(&mut tx, "SELECT CAST(SUM(net_u) AS BIGINT) FROM line").await;
    tx.rollback().await.unwrap();
    Micros(sum).to_text(2)
}

#[tokio::test]
async fn case_33_amounts_are_exact_and_the_same_on_both_databases() {
    for open in both().await {
        assert_eq!(sum(&open, &["17.99"; 5]).await, "89.95", "a");
        assert_eq!(sum(&open, &["0.10", "0.20"]).await, "0.30", "b");
        assert_eq!(sum(&open, &vec!["0.01"; 10_000]).await, "100.00", "c");
        assert_eq!(sum(&open, &["99999999999.9999", "0.0001"]).await, "100000000000.00", "e");
        assert_eq!(sum(&open, &["-1230.00"]).await, "-1230.00", "f");

        let mut tx = open.store.begin().await.unwrap();
        tx.insert_documents(&[document(1, "D1")]).await.unwrap();
        tx.insert_lines(&[line(1, micros("9.50")), line(2, micros("100.00")), line(3, micros("10.00"))]).await.unwrap();
        assert_eq!(Micros(number(&mut tx, "SELECT MAX(net_u) FROM line").await).to_text(2), "100.00", "d");
        let order: Vec<String> = {
            let sql = "SELECT net_u FROM line ORDER BY net_u";
            let list: Vec<i64> = match &mut tx {
                Tx::Sqlite(c) => sqlx::query_scalar(sql).fetch_all(&mut **c).await.unwrap(),
                Tx::Postgres(c) => sqlx::query_scalar(sql).fetch_all(&mut **c).await.unwrap(),
            };
            list.into_iter().map(|net| Micros(net).to_text(2)).collect()
        };
        assert_eq!(order, ["9.50", "10.00", "100.00"], "d");
        tx.commit().await.unwrap();

        for (row, wrong) in [("g", "NaN"), ("g", "Infinity"), ("g", "-Infinity"), ("h", "1.2345")] {
            let mut tx = open.store.begin().await.unwrap();
            let sql = format!("UPDATE line SET net_u = '{wrong}' WHERE id = 1");
            assert!(raw(&mut tx, &sql).await.is_err(), "{row}: {} takes {wrong}", open.store.dialect());
            tx.rollback().await.unwrap();
        }
        let mut tx = open.store.read().await.unwrap();
        assert_eq!(number(&mut tx, "SELECT net_u FROM line WHERE id = 1").await, 9_500_000, "nothing half-stored");
    }
}

#[test]
fn case_33_what_is_no_amount_or_too_fine_for_its_currency_is_refused_and_not_rounded() {
    for wrong in ["NaN", "Infinity", "1e3", "12,345.67", "1.2345678"] {
        assert!(Micros::parse(wrong).is_err(), "{wrong}");
    }
    assert!(!micros("1.2345").fits_digits(Currency::parse("USD").unwrap().minor_digits()));
    assert!(micros("1.2300").fits_digits(Currency::parse("USD").unwrap().minor_digits()));
    assert_eq!(micros("12345.67").to_text(2), "12345.67", "no locale puts a comma in");
}

#[tokio::test]
async fn case_33_nothing_finer_than_a_cent_gets_into_the_ledger_or_a_settlement() {
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        let day = day("2026-03-31");
        for (amount, currency) in [("1.2345", "USD"), ("-0.001", "EUR"), ("1.5", "JPY")] {
            let wrong = NewEntry { currency: currency.into(), ..entry(amount) };
            let refused = tx.append_entries(&[entry("1.23"), wrong], day, None, now()).await;
            assert!(matches!(refused, Err(StoreError::TooFine { .. })), "{amount} {currency}: {refused:?}");
            let wrong = SettlementRow { currency: currency.into(), amount_u: micros(amount).0, ..settlement() };
            let refused = tx.add_settlement(&wrong, &[], "{}", now()).await;
            assert!(matches!(refused, Err(StoreError::TooFine { .. })), "{amount} {currency}: {refused:?}");
        }
        tx.append_entries(&[NewEntry { currency: "KWD".into(), ..entry("1.234") }], day, None, now()).await.unwrap();
        assert_eq!(tx.all_entries().await.unwrap().len(), 1, "nothing half-stored");
    }
}

#[tokio::test]
async fn case_33_instants_are_compared_as_instants() {
    for open in both().await {
        let stored =
            ["2026-03-31T23:30:00-05:00", "2026-04-01T00:00:00Z", "2026-04-01T00:59:59.999999Z", "2026-04-01T01:00:00.000001Z"];
        let mut tx = open.store.begin().await.unwrap();
        for (id, instant) in (1..).zip(stored) {
            let mut row = document(id, &format!("D{id}"));
            row.head.changed_at = Some(at(instant));
            tx.insert_documents(&[row]).await.unwrap();
        }
        let sql = "SELECT id FROM document WHERE changed_at < $1 ORDER BY changed_at";
        let limit = at("2026-04-01T01:00:00Z");
        let before: Vec<i64> = match &mut tx {
            Tx::Sqlite(c) => sqlx::query_scalar(sql).bind(limit).fetch_all(&mut **c).await.unwrap(),
            Tx::Postgres(c) => sqlx::query_scalar(sql).bind(limit).fetch_all(&mut **c).await.unwrap(),
        };
        assert_eq!(before, [2, 3], "{}", open.store.dialect());
        for (id, instant) in (1..).zip(stored) {
            assert_eq!(tx.document_by_id(id).await.unwrap().unwrap().head.changed_at, Some(at(instant)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_33_a_second_writer_waits_for_the_first_and_a_reader_does_not() {
    let open = sqlite().await;
    let mut tx = open.store.begin().await.unwrap();
    let id = fill(&mut tx).await;
    tx.commit().await.unwrap();
    let other = Store::connect(&open.url).await.unwrap();

    let began = Instant::now();
    let mut night = open.store.begin().await.unwrap();
    let settlements = night.settlements().await.unwrap();
    assert_eq!(settlements.len(), 1);
    // Writers in the same process wait for its one writing connection, those of another one for the file.
    let approve = |store: Store, approver: &'static str| async move {
        let mut tx = store.begin().await?;
        let added = tx.add_approval(id, "f1", "anna", approver, now()).await?;
        tx.commit().await?;
        Ok::<(bool, Duration), StoreError>((added, began.elapsed()))
    };
    let inside = tokio::spawn(approve(open.store.clone(), "ben"));
    let outside = tokio::spawn(approve(other.clone(), "cleo"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    for store in [&open.store, &other] {
        let asked = Instant::now();
        let mut reader = store.read().await.unwrap();
        assert_eq!(reader.settlements().await.unwrap()[0].state, "proposed");
        assert!(reader.approvals(id).await.unwrap().is_empty());
        assert!(asked.elapsed() < Duration::from_millis(900), "a reader waited {:?}", asked.elapsed());
    }
    tokio::time::sleep(Duration::from_millis(1_000).saturating_sub(began.elapsed().saturating_sub(Duration::from_millis(500))))
        .await;
    let read = &settlements[0];
    night.move_settlement(read, "approved", None, None, now()).await.expect("reads first, writes later");
    let late = night.move_settlement(read, "rejected", None, None, now()).await;
    assert!(matches!(late, Err(StoreError::Changed(_))), "a decision about what is no longer so: {late:?}");
    let held = began.elapsed();
    night.commit().await.unwrap();

    for writer in [inside, outside] {
        let (added, after) = writer.await.unwrap().expect("nobody sees a locked database");
        assert!(added);
        assert!(after >= held, "it wrote after {after:?}, the night held the database until {held:?}");
    }
    let mut tx = open.store.read().await.unwrap();
    assert_eq!(tx.settlement(id).await.unwrap().unwrap().state, "approved");
    assert_eq!(tx.approvals(id).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn case_33_a_writer_that_waits_too_long_is_told_to_try_again_and_leaves_nothing() {
    let open = sqlite().await;
    let other = Store::connect(&open.url).await.unwrap();
    let night = open.store.begin().await.unwrap();
    let write = |store: Store| async move {
        let mut tx = store.begin().await?;
        tx.take_id("late").await?;
        tx.commit().await
    };
    let inside = tokio::spawn(write(open.store.clone()));
    let outside = tokio::spawn(write(other));
    for writer in [inside, outside] {
        let error: StoreError = writer.await.unwrap().expect_err("it waited past the limit");
        assert!(matches!(error, StoreError::Busy), "{error:?}");
        assert!(error.to_string().contains("try again"));
    }
    night.commit().await.unwrap();
    let mut tx = open.store.begin().await.unwrap();
    assert_eq!(tx.take_id("late").await.unwrap(), 1, "nothing half-stored");
}

#[tokio::test]
async fn case_33_reporting_views_give_exact_decimals_under_the_same_names() {
    let mut names = Vec::new();
    for open in both().await {
        let mut tx = open.store.begin().await.unwrap();
        raw(&mut tx, "INSERT INTO partner (id, code) VALUES (1, 'P')").await.unwrap();
        tx.insert_documents(&[document(1, "D1")]).await.unwrap();
        // The last two have more digits than a binary float keeps.
        let amounts = ["0.30", "-0.05", "-1230.00", "0.00", "9007199254.740993", "-99999999999.999999"];
        let lines: Vec<NewLine> = (1..).zip(amounts).map(|(id, amount)| line(id, micros(amount))).collect();
        tx.insert_lines(&lines).await.unwrap();
        let found: Vec<String> = {
            let sql = "SELECT CAST(net_amount AS TEXT) FROM report_line ORDER BY line_number";
            match &mut tx {
                Tx::Sqlite(c) => sqlx::query_scalar(sql).fetch_all(&mut **c).await.unwrap(),
                Tx::Postgres(c) => sqlx::query_scalar(sql).fetch_all(&mut **c).await.unwrap(),
            }
        };
        let expected: Vec<String> = amounts.iter().map(|a| micros(a).to_text(6)).collect();
        assert_eq!(found, expected, "{}", open.store.dialect());
        let sums = "SELECT COUNT(*) FROM report_line WHERE net_amount LIKE '%.______'";
        if let Tx::Sqlite(c) = &mut tx {
            // Read as what it is, not cast by this test.
            let texts: i64 = sqlx::query_scalar(sums).fetch_one(&mut **c).await.unwrap();
            assert_eq!(texts, 6);
        }
        use sqlx::{Column, Row};
        let sql = "SELECT * FROM report_line LIMIT 1";
        let of_store: Vec<String> = match &mut tx {
            Tx::Sqlite(c) => {
                let row = sqlx::query(sql).fetch_one(&mut **c).await.unwrap();
                row.columns().iter().map(|column| column.name().to_owned()).collect()
            }
            Tx::Postgres(c) => {
                let row = sqlx::query(sql).fetch_one(&mut **c).await.unwrap();
                row.columns().iter().map(|column| column.name().to_owned()).collect()
            }
        };
        names.push(of_store);
    }
    assert!(names.windows(2).all(|pair| pair[0] == pair[1]), "{names:?}");
}
