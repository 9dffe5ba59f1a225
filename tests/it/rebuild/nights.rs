//! The nights of a world, live and rebuilt, and the properties they have to keep.

use super::*;
use rebated::core::matching::facet;
use rebated::store::AccumulatorRow;

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
            clock: Clock::manual_at(at("2026-07-01T03:00:00Z")),
            workspace: Arc::new(workspace),
            settings,
            heartbeat: TimeDelta::minutes(1),
            abandon_after: TimeDelta::minutes(10),
            progress: Arc::new(LogProgress),
        };
        let mut company = Self { runtime, deliveries: 0, _dir: dir };
        company.take_master(first_master_data(), 0).await;
        for id in AGREEMENTS {
            company.enter(id, 1).await;
        }
        company
    }

    async fn enter(&self, id: &str, version: u32) {
        let text = agreement_text(id, version);
        let body = agreement_file::parse(id, &text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let mut tx = self.runtime.store.begin().await.unwrap();
        let new = NewAgreementVersion {
            body: &body,
            state: "active",
            source_name: id,
            source_sha256: "",
            source_text: &text,
            entered_by: "erp",
        };
        tx.put_agreement(&new, self.runtime.clock.now()).await.unwrap();
        tx.mark_agreement(id, "entered").await.unwrap();
        tx.commit().await.unwrap();
    }

    fn next_delivery(&mut self, night: usize) -> Delivery {
        self.deliveries += 1;
        Delivery {
            archive_id: self.deliveries,
            source: None,
            imported: true,
            replay: false,
            compared: false,
            source_rank: 10,
            business_day: day(BUSINESS_DAYS[night]),
            now: self.runtime.clock.now(),
        }
    }

    async fn take(&self, drafts: Vec<Draft>, delivery: Delivery, retry: bool) {
        let mut tx = self.runtime.store.begin().await.unwrap();
        let mut intake = Intake::start(&mut tx, &self.runtime.settings, delivery.clone()).await.unwrap();
        for draft in drafts {
            intake.take(Mapped::Row(draft)).await.unwrap();
        }
        intake.finish().await.unwrap();
        if retry {
            let mut intake = Intake::start(&mut tx, &self.runtime.settings, delivery).await.unwrap();
            intake.retry_pending().await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn take_master(&mut self, drafts: Vec<Draft>, night: usize) {
        let delivery = self.next_delivery(night);
        self.take(drafts, delivery, true).await;
    }

    async fn take_events(&mut self, world: &World, night: usize) {
        for (event, _) in EVENTS.iter().zip(&world.events).filter(|(_, at)| **at == night) {
            match event {
                Event::VolumeAmended => self.enter("VOLUME", 2).await,
                Event::TogetherAmended => self.enter("TOGETHER", 2).await,
                Event::JanuaryCloses => {
                    let january = Period::new(day("2026-01-01"), day("2026-01-31")).unwrap();
                    let mut tx = self.runtime.store.begin().await.unwrap();
                    tx.set_period_state(january, "closed", "fiona", None, self.runtime.clock.now()).await.unwrap();
                    tx.commit().await.unwrap();
                }
                other => self.take_master(master_data_of(*other), night).await,
            }
        }
    }

    async fn take_documents(&mut self, world: &World, night: usize, backwards: bool) {
        let (together, apart) = world.delivery(night, backwards);
        let delivery = self.next_delivery(night);
        for lines in [together, apart] {
            let drafts = lines.into_iter().map(|line| Draft::Line(Box::new(line))).collect();
            self.take(drafts, delivery.clone(), false).await;
        }
    }

    async fn close_day(&self, night: usize) {
        let request = RunRequest {
            job: "nightly".to_owned(),
            key: BUSINESS_DAYS[night].to_owned(),
            business_day: day(BUSINESS_DAYS[night]),
            stages: vec![Stage::Match, Stage::Accrue],
            caught_up: false,
            dry_run: false,
            statements_due: false,
        };
        let outcome = execute(&self.runtime, &request, Arc::new(AtomicBool::new(false))).await.unwrap();
        assert_eq!(outcome.expect("nobody else runs").run.state, "finished");
    }

    /// Running sums as kept, against those built anew over agreements and over partners.
    async fn sums_equal_a_rebuild(&self, night: usize) -> Result<(), String> {
        for by_partner in [false, true] {
            let mut tx = self.runtime.store.begin().await.unwrap();
            // What lines lose to other agreements is reckoned when figures are, not here.
            let summed = |rows: Vec<AccumulatorRow>| -> Vec<_> { rows.into_iter().filter(|r| r.facet != facet::LOST).collect() };
            let kept = summed(tx.all_accumulators().await.unwrap());
            if by_partner {
                for partner in tx.partner_heads().await.unwrap() {
                    tx.mark_partner(partner.id, "check").await.unwrap();
                }
            } else {
                for id in AGREEMENTS {
                    tx.mark_agreement(id, "check").await.unwrap();
                }
            }
            let now = self.runtime.clock.now();
            matching::fold(&mut tx, &self.runtime, day(BUSINESS_DAYS[night]), now).await.unwrap();
            let anew = summed(tx.all_accumulators().await.unwrap());
            tx.rollback().await.unwrap();
            let only_kept: Vec<_> = kept.iter().filter(|row| !anew.contains(row)).collect();
            let only_anew: Vec<_> = anew.iter().filter(|row| !kept.contains(row)).collect();
            if !only_kept.is_empty() || !only_anew.is_empty() {
                let by = if by_partner { "partners" } else { "agreements" };
                return Err(format!("night {night}, by {by}:\nkept {only_kept:#?}\nanew {only_anew:#?}"));
            }
        }
        Ok(())
    }

    /// Every ledger entry of a key adds up to its newest figure.
    async fn ledger_equals_figures(&self, night: usize) -> Result<(), String> {
        let mut tx = self.runtime.store.read().await.unwrap();
        let mut difference: BTreeMap<_, Micros> = BTreeMap::new();
        for row in tx.all_earned_figures(LAST_DAY).await.unwrap() {
            let f = row.figure;
            *difference.entry((f.partner_id, f.agreement, f.term, f.period_from, f.period_to, f.part)).or_default() += f.earned;
        }
        for row in tx.all_entries().await.unwrap() {
            let e = row.entry;
            *difference.entry((e.partner_id, e.agreement, e.term, e.period_from, e.period_to, e.part)).or_default() -= e.amount;
        }
        difference.retain(|_, amount| !amount.is_zero());
        if difference.is_empty() { Ok(()) } else { Err(format!("night {night}: earned less booked {difference:#?}")) }
    }

    /// Earned by agreement, term, partner and period; documents that are their own period together.
    async fn earned(&self) -> BTreeMap<(String, String, String, NaiveDate), Micros> {
        let mut tx = self.runtime.store.read().await.unwrap();
        let codes: BTreeMap<i64, String> = tx.partner_heads().await.unwrap().into_iter().map(|p| (p.id, p.code)).collect();
        let mut earned: BTreeMap<_, Micros> = BTreeMap::new();
        for row in tx.all_earned_figures(LAST_DAY).await.unwrap() {
            let f = row.figure;
            *earned.entry((f.agreement, f.term, codes[&f.partner_id].clone(), f.period_from)).or_default() += f.earned;
        }
        earned.retain(|_, amount| !amount.is_zero());
        earned
    }

    async fn rows(&self) -> (usize, i64) {
        let mut tx = self.runtime.store.read().await.unwrap();
        let figures = tx.all_earned_figures(LAST_DAY).await.unwrap();
        (tx.all_entries().await.unwrap().len(), figures.iter().map(|f| f.id).max().unwrap_or(0))
    }
}

/// What a world earned.
type Earned = BTreeMap<(String, String, String, NaiveDate), Micros>;

async fn live(world: &World, url: Option<&str>, backwards: bool) -> Result<Earned, String> {
    let mut company = Company::start(url).await;
    for night in 0..NIGHTS {
        if world.master_first[night] {
            company.take_events(world, night).await;
            company.take_documents(world, night, backwards).await;
        } else {
            company.take_documents(world, night, backwards).await;
            company.take_events(world, night).await;
        }
        company.close_day(night).await;
        company.sums_equal_a_rebuild(night).await?;
        company.ledger_equals_figures(night).await?;
    }
    let before = company.rows().await;
    company.close_day(NIGHTS - 1).await;
    if company.rows().await != before {
        return Err("a second run over the same lines booked something".to_owned());
    }
    let earned = company.earned().await;
    company.runtime.store.close().await;
    Ok(earned)
}

/// In both orders; gives what was earned.
async fn both_orders(world: &World, urls: [Option<&str>; 2]) -> Result<Earned, String> {
    let one = live(world, urls[0], false).await?;
    let other = live(&world.shuffled(), urls[1], true).await?;
    if one != other {
        let differs = |a: &Earned, b: &Earned| -> Vec<_> {
            a.iter().filter(|(k, v)| b.get(*k) != Some(*v)).map(|(k, v)| format!("{k:?} {v}")).collect()
        };
        return Err(format!("another order earned something else:\n{:#?}\n{:#?}", differs(&one, &other), differs(&other, &one)));
    }
    Ok(one)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn sums_kept_night_by_night_equal_a_rebuild_in_any_order_of_arrival(world in world()) {
        let outcome = runtime().block_on(both_orders(&world, [None, None]));
        if let Err(difference) = outcome {
            return Err(TestCaseError::fail(difference));
        }
    }
}

#[test]
fn two_fixed_worlds_behave_alike_on_postgres_and_sqlite() {
    let mut runner = TestRunner::deterministic();
    for number in 0..2 {
        let world = world().new_tree(&mut runner).unwrap().current();
        let (Some(one), Some(two)) = (Database::fresh(), Database::fresh()) else { return };
        let runtime = runtime();
        let postgres = runtime.block_on(both_orders(&world, [Some(&one.url), Some(&two.url)]));
        let postgres = postgres.unwrap_or_else(|difference| panic!("world {number}: {difference}\n{world:#?}"));
        assert!(!postgres.is_empty(), "a world that earns nothing shows nothing");
        let sqlite = runtime.block_on(live(&world, None, false)).unwrap();
        assert_eq!(postgres, sqlite, "world {number}");
    }
}
