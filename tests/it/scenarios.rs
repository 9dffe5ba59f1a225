//! The scenarios of `tests/scenarios/`, each through the built program on both stores.
//!
//! A scenario is a folder that finance can read: conditions, documents, and the steps with the
//! figures they must give (`tests/scenarios/README.md`). Nothing about a particular scenario lives
//! here but its name; a folder that is not named below is an error.

use crate::support::scenario::{Store, play};

macro_rules! scenarios {
    ($($test:ident = $folder:literal),+ $(,)?) => {
        const NAMED: &[&str] = &[$($folder),+];
        $(mod $test {
            use super::*;
            #[test]
            fn on_sqlite() {
                play($folder, Store::Sqlite);
            }
            #[test]
            fn on_postgres() {
                play($folder, Store::Postgres);
            }
        })+
    };
}

scenarios! {
    tier_boundaries = "case-01-tier-boundaries",
    marginal_and_all_units = "case-02-marginal-and-all-units",
    interim_settlement = "case-03-interim-settlement",
    sign_of_credit_documents = "case-04-sign-of-credit-documents",
    return_drops_a_tier = "case-05-return-drops-a-tier",
    period_of_a_return = "case-06-period-of-a-return",
    rounding_once = "case-07-rounding-once",
    half_way_amounts = "case-08-half-way-amounts",
    exchange_rate_and_minor_units = "case-09-exchange-rate-and-minor-units",
    growth_baseline = "case-10-growth-baseline",
    leap_day_baseline = "case-11-leap-day-baseline",
    product_mix_share = "case-12-product-mix-share",
    growth = "worked-gro-growth",
    combinations = "worked-stk-combinations",
    paid_documents = "worked-acc-08-paid-documents",
    mix_shares = "worked-mix-shares",
    goods_and_items = "worked-vol-goods-and-items",
    business_day_and_time_zone = "case-13-business-day-and-time-zone",
    back_dated_agreement_change = "case-14-back-dated-agreement-change",
    overlapping_agreements = "case-15-overlapping-agreements",
    ship_and_debit_validation = "case-16-ship-and-debit-validation",
    ship_and_debit_duplicates = "case-17-ship-and-debit-duplicates",
    end_customer_names = "case-18-end-customer-names",
    ship_and_debit_life_cycle = "ship-and-debit-life-cycle",
    ship_and_debit_examples = "worked-snd-ship-and-debit",
    price_protection = "worked-ppr-price-protection",
    units_of_measure = "case-19-units-of-measure",
    merged_customer_history_stays = "case-20-merged-customer-history-stays",
    merged_customer_history_moves = "case-20-merged-customer-history-moves",
    circle_by_feed = "case-20-circle-by-feed",
    renumbered_item = "case-20-renumbered-item",
    late_versions_and_voids = "case-22-late-versions-and-voids",
    document_in_two_places = "case-22-document-in-two-places",
    document_in_two_places_replayed = "case-22-document-in-two-places-replayed",
    changes_of_one_night = "case-22-changes-of-one-night",
    document_identity = "case-23-document-identity",
    credit_memo_once = "case-24-credit-memo-once",
    memo_cancelled = "case-24-memo-cancelled",
    csv_traps = "case-28-csv-traps",
    csv_traps_in_windows_1252 = "case-28-csv-traps-windows-1252",
    tolerance = "case-31-tolerance",
    tolerance_two_percent = "case-31-tolerance-two-percent",
    memos_by_connector = "case-31-memos-by-connector",
    approval_binds_to_content = "case-32-approval-binds-to-content",
    exact_amounts = "case-33-exact-amounts",
    approval_without_a_rate = "approval-without-a-rate",
    master_data_first = "night-master-data-first",
    mixed_currencies = "mixed-currencies",
    mixed_dates = "mixed-dates",
    nul_character = "nul-character",
    agreement_files_set_aside = "agreement-files-set-aside",
    doubtful_names = "doubtful-names",
    doubtful_master_data = "doubtful-master-data",
    statements_wait_for_feeds = "statements-wait-for-feeds",
    contradicting_rows = "contradicting-rows",
    cut_off_file = "cut-off-file",
    emptied_cells = "emptied-cells",
    delivered_again = "delivered-again",
    hostile_text = "hostile-text",
    own_references = "own-references",
    refused_rows_close = "refused-rows-close",
    volume_by_amount = "worked-vol-by-amount",
    volume_by_quantity = "worked-vol-by-quantity",
    volume_per_document_and_week = "worked-vol-per-document-and-week",
    volume_night_by_night = "worked-vol-night-by-night",
    returns = "worked-ret-returns",
    version_by_transaction_date = "worked-ver-by-transaction-date",
    units_and_whole_lots = "worked-uom-units-and-whole-lots",
    one_rounding = "worked-rnd-one-rounding",
    quarterly_accrual = "worked-acc-quarterly-accrual",
    amendment_moves_settlement_periods = "amendment-moves-settlement-periods",
    approval_of_what_was_seen = "approval-of-what-was-seen",
    merge_after_settlement = "merge-after-settlement",
    merged_into_a_paid_period = "merged-into-a-paid-period",
    amendment_with_another_measure = "amendment-with-another-measure",
    clearing_after_close = "clearing-after-close",
    joint_tier_held = "joint-tier-held",
    memo_differs_accepted = "memo-differs-accepted",
    who_may_do_what = "who-may-do-what",
    statement_figures = "statement-figures",
    figure_too_large = "figure-too-large",
    statements_add_up = "statements-add-up",
    fiscal_years_of_weeks = "fiscal-years-of-weeks",
    fiscal_table = "fiscal-table",
}

#[test]
fn every_folder_is_a_named_scenario() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut found: Vec<String> = std::fs::read_dir(root)
        .expect("tests/scenarios")
        .map(|entry| entry.expect("entry"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut named: Vec<String> = NAMED.iter().map(|n| (*n).to_owned()).collect();
    named.sort();
    assert_eq!(found, named);
}
