//! Claims over nights: incremental equals rebuild, and the order of arrival decides nothing.
//!
//! Random claims that collide in invoices, authorisations and quantities come in over three nights, some
//! changed or withdrawn later, while authorisations, a quantity cap and an alias arrive late. After each
//! night decisions and running sums must equal those made anew; in another order the end is the same.

use crate::support::postgres::Database;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rebated::clock::Clock;
use rebated::config::{Workspace, agreement_file};
use rebated::core::line::{DocumentStatus, DocumentType, DraftLine};
use rebated::core::master::{Draft, DraftAuthorization, DraftItem, DraftPartner};
use rebated::core::number::Micros;
use rebated::mapping::Mapped;
use rebated::pipeline::decide::shown::answers;
use rebated::pipeline::intake::{Delivery, Intake};
use rebated::pipeline::{LogProgress, Runtime, Settings, matching};
use rebated::store::{NewAgreementVersion, Store, Tx};
use std::collections::BTreeMap;
use std::sync::Arc;

const NIGHTS: usize = 3;
const CLAIMS: usize = 5;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
fn now() -> DateTime<Utc> {
    "2026-07-01T03:00:00Z".parse().unwrap()
}

#[derive(Clone, Debug)]
struct LineSpec {
    authorization: usize,
    invoice: usize,
    units: i64,
    claimed: Option<i64>,
    shipped: u64,
    named: usize,
    corrects: Option<usize>,
}

/// One state of a claim document.
#[derive(Clone, Debug)]
struct State {
    night: usize,
    withdrawn: bool,
    lines: Vec<LineSpec>,
}

#[derive(Clone, Debug)]
struct World {
    /// Of each claim: partner, day of submission, states in the source's order.
    claims: Vec<(usize, u64, Vec<State>)>,
    /// Nights of the late authorisation, the raised cap and the alias; `NIGHTS` is never.
    events: [usize; 3],
}

fn world() -> impl Strategy<Value = World> {
    let line = (
        0..3usize,
        0..4usize,
        -8..30i64,
        prop::option::of(1..70i64),
        0..20u64,
        0..4usize,
        prop::option::weighted(0.2, 0..CLAIMS),
    );
    let line = line.prop_map(|(authorization, invoice, units, claimed, shipped, named, corrects)| LineSpec {
        authorization,
        invoice,
        units,
        claimed,
        shipped,
        named,
        corrects,
    });
    let state = (0..NIGHTS, prop::bool::weighted(0.2), prop::collection::vec(line, 1..4))
        .prop_map(|(night, withdrawn, lines)| State { night, withdrawn, lines });
    let claim = (0..2usize, 20..40u64, prop::collection::vec(state, 1..3));
    (prop::collection::vec(claim, CLAIMS), prop::array::uniform3(0..=NIGHTS))
        .prop_map(|(claims, events)| World { claims, events })
}

fn drafts(index: usize, partner: usize, submitted: u64, order: usize, state: &State) -> Vec<DraftLine> {
    let start = day("2026-01-01");
    let line = |(position, line): (usize, &LineSpec)| {
        let mut attributes = BTreeMap::from([
            ("submitted_on".to_owned(), (start + Days::new(submitted)).to_string()),
            ("shipped_on".to_owned(), (start + Days::new(line.shipped)).to_string()),
        ]);
        if let Some(claimed) = line.claimed {
            attributes.insert("claimed_amount".to_owned(), (claimed * line.units.signum()).to_string());
        }
        if let Some(name) = ["", "Ernst Neun AG", "Ernst Noyn GmbH", "nobody"].get(line.named).filter(|n| !n.is_empty()) {
            attributes.insert("end_customer_name".to_owned(), (*name).to_owned());
        }
        if let Some(corrects) = line.corrects {
            attributes.insert("corrects_document".to_owned(), format!("DM-{corrects}"));
            attributes.insert("corrects_line".to_owned(), "1".to_owned());
        }
        DraftLine {
            document_type: DocumentType::Claim,
            document_number: format!("DM-{index}"),
            line_number: (position + 1).to_string(),
            document_date: Some(start + Days::new(submitted)),
            partner: format!("D{partner}"),
            item: Some("I0".to_owned()),
            quantity: Some(Micros(line.units * 1_000_000)),
            unit: Some("EA".to_owned()),
            currency: Some("USD".to_owned()),
            authorization: Some(["SPA", "OPEN", "LATE"][line.authorization].to_owned()),
            refers_to_document: [None, Some("77"), Some("077"), Some("78")][line.invoice].map(str::to_owned),
            refers_to_line: Some("1".to_owned()),
            status: if state.withdrawn { DocumentStatus::Cancelled } else { DocumentStatus::Posted },
            changed_at: Some(now() + TimeDelta::minutes(i64::try_from(order).unwrap())),
            attributes,
            ..DraftLine::default()
        }
    };
    state.lines.iter().enumerate().map(line).collect()
}

fn authorization(number: &str, cap: Option<i64>, end_customer: Option<&str>) -> Draft {
    Draft::Authorization(Box::new(DraftAuthorization {
        authorization: number.to_owned(),
        item: "I0".to_owned(),
        end_customer: end_customer.map(str::to_owned),
        book_price: Some(Micros(10_000_000)),
        authorized_price: Some(Micros(8_000_000)),
        quantity_cap: cap.map(|c| Micros(c * 1_000_000)),
        shipped_from: Some(day("2026-01-03")),
        ..DraftAuthorization::default()
    }))
}

fn partner(code: &str, name: &str, alias: Option<&str>) -> Draft {
    Draft::Partner(Box::new(DraftPartner {
        partner: code.to_owned(),
        name: Some(name.to_owned()),
        aliases: alias.map(str::to_owned).into_iter().collect(),
        ..DraftPartner::default()
    }))
}

const AGREEMENT: &str = "id = \"SPA\"\npartners = [\"D0\", \"D1\"]\ncurrency = \"USD\"\nvalid = { from = \"2026-01-01\", to = \"2026-12-31\" }\n\
    [[terms]]\nid = \"spa\"\ntype = \"ship-and-debit\"\naccumulate = \"month\"\nclaim_within = \"30d\"\n\
    [[terms]]\nid = \"other\"\ntype = \"ship-and-debit\"\n";

struct Company {
    runtime: Runtime,
    deliveries: i64,
    _dir: tempfile::TempDir,
}

impl Company {
    async fn start(url: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "[company]\nname = \"Test\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\n[mail]\nfrom = \"r@example.org\"\n\
                    transport = { type = \"folder\", path = \"outbox\" }\n[approval]\nagreement_files = \"trusted\"\nfile_author = \"erp\"\n";
        std::fs::write(dir.path().join("rebated.toml"), text).unwrap();
        let workspace = Workspace::load(dir.path(), &[]).unwrap();
        let own = format!("sqlite://{}", dir.path().join("test.db").display());
        let store = Store::open(url.unwrap_or(&own)).await.unwrap();
        let settings = Settings::of(&workspace.config.company);
        let runtime = Runtime {
            store,
            clock: Clock::manual_at(now()),
            workspace: Arc::new(workspace),
            settings,
            heartbeat: TimeDelta::minutes(1),
            abandon_after: TimeDelta::minutes(10),
            progress: Arc::new(LogProgress),
        };
        let mut company = Self { runtime, deliveries: 0, _dir: dir };
        let item = DraftItem { item: "I0".to_owned(), base_unit: Some("EA".to_owned()), ..DraftItem::default() };
        company
            .take(vec![
                partner("D0", "Delta Null", None),
                partner("D1", "Delta One", None),
                partner("E9", "Ernst Neun GmbH", None),
                Draft::Item(Box::new(item)),
                authorization("SPA", Some(40), Some("E9")),
                authorization("OPEN", None, None),
            ])
            .await;
        let body = agreement_file::parse("spa.toml", AGREEMENT).unwrap_or_else(|problems| panic!("{problems}"));
        let mut tx = company.runtime.store.begin().await.unwrap();
        let new = NewAgreementVersion {
            body: &body,
            state: "active",
            source_name: "spa.toml",
            source_sha256: "",
            source_text: AGREEMENT,
            entered_by: "erp",
        };
        tx.put_agreement(&new, now()).await.unwrap();
        tx.mark_agreement("SPA", "entered").await.unwrap();
        tx.commit().await.unwrap();
        company
    }

    async fn take(&mut self, drafts: Vec<Draft>) {
        self.deliveries += 1;
        let delivery = Delivery {
            archive_id: self.deliveries,
            source: None,
            imported: true,
            replay: false,
            compared: false,
            source_rank: 10,
            business_day: day("2026-06-30"),
            now: now(),
        };
        let mut tx = self.runtime.store.begin().await.unwrap();
        let mut intake = Intake::start(&mut tx, &self.runtime.settings, delivery).await.unwrap();
        for draft in drafts {
            intake.take(Mapped::Row(draft)).await.unwrap();
        }
        intake.finish().await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn night(&mut self, world: &World, night: usize, backwards: bool) {
        let events = [
            authorization("LATE", Some(20), None),
            authorization("SPA", Some(60), Some("E9")),
            partner("E9", "Ernst Neun GmbH", Some("Ernst Noyn GmbH")),
        ];
        for (event, at) in events.into_iter().zip(world.events) {
            if at == night {
                self.take(vec![event]).await;
            }
        }
        let mut groups: Vec<Vec<DraftLine>> = Vec::new();
        for (index, (partner, submitted, states)) in world.claims.iter().enumerate() {
            for (order, state) in states.iter().enumerate().filter(|(_, s)| s.night == night) {
                groups.push(drafts(index, *partner, *submitted, order, state));
            }
        }
        if backwards {
            groups.reverse();
        }
        self.take(groups.into_iter().flatten().map(|line| Draft::Line(Box::new(line))).collect()).await;
        let mut tx = self.runtime.store.begin().await.unwrap();
        matching::fold(&mut tx, &self.runtime, day("2026-06-30"), now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// What was decided, and what it adds up to.
    async fn picture(tx: &mut Tx) -> (Vec<String>, Vec<String>) {
        let decisions = answers(tx).await.unwrap().iter().map(|a| format!("{a:?}")).collect();
        let mut sums: Vec<String> = tx.all_accumulators().await.unwrap().iter().map(|row| format!("{row:?}")).collect();
        sums.sort();
        (decisions, sums)
    }

    /// Decisions and sums as kept, against those made anew from all documents.
    async fn equals_a_rebuild(&self) -> Result<(), String> {
        let mut tx = self.runtime.store.begin().await.unwrap();
        let kept = Self::picture(&mut tx).await;
        for row in tx.claim_decisions().await.unwrap() {
            tx.drop_claim_decision(row.document_id, &row.line_number).await.unwrap();
        }
        tx.mark_agreement("SPA", "check").await.unwrap();
        matching::fold(&mut tx, &self.runtime, day("2026-06-30"), now()).await.unwrap();
        let anew = Self::picture(&mut tx).await;
        tx.rollback().await.unwrap();
        if kept == anew { Ok(()) } else { Err(format!("kept {kept:#?}\nanew {anew:#?}")) }
    }

    async fn end(&self) -> (Vec<String>, Vec<String>) {
        let mut tx = self.runtime.store.begin().await.unwrap();
        let picture = Self::picture(&mut tx).await;
        tx.rollback().await.unwrap();
        picture
    }
}

async fn live(world: &World, url: Option<&str>) -> Result<(Vec<String>, Vec<String>), String> {
    let mut company = Company::start(url).await;
    for night in 0..NIGHTS {
        company.night(world, night, false).await;
        company.equals_a_rebuild().await.map_err(|e| format!("night {night}: {e}"))?;
    }
    let end = company.end().await;
    company.runtime.store.close().await;
    Ok(end)
}

/// The same facts in one night, the other way round.
async fn at_once(world: &World) -> (Vec<String>, Vec<String>) {
    let mut together = world.clone();
    let night = |at: usize| if at == NIGHTS { NIGHTS } else { 0 };
    together.events = together.events.map(night);
    for (_, _, states) in &mut together.claims {
        for state in states {
            state.night = 0;
        }
    }
    let mut company = Company::start(None).await;
    company.night(&together, 0, true).await;
    let end = company.end().await;
    company.runtime.store.close().await;
    end
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future)
}

/// Decisions without what the order of arrival may change: ids and nothing else are in them.
fn outcomes(world: &World, url: Option<&str>) -> Result<(), TestCaseError> {
    block_on(async {
        let nights = live(world, url).await.map_err(TestCaseError::fail)?;
        let once = at_once(world).await;
        prop_assert_eq!(nights.0, once.0);
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn claims_night_by_night_equal_a_rebuild_and_any_other_order(world in world()) {
        outcomes(&world, None)?;
    }
}

#[test]
fn claims_on_postgres_equal_a_rebuild() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..3 {
        let world = world().new_tree(&mut runner).unwrap().current();
        let Some(database) = Database::fresh() else { return };
        outcomes(&world, Some(&database.url)).unwrap_or_else(|e| panic!("{e}\n{world:#?}"));
    }
}
