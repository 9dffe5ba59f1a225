//! The workload: a year of invoices of one company as canonical tables, and the agreements they count for.
//!
//! Same number of lines, same bytes: no clock, no system randomness. Dates ascend. The shape is a wholesaler's:
//! few partners buy most, an invoice has about five lines, three documents in a hundred are credit notes that name
//! their invoice, two in a hundred are in a foreign currency, one line in ten is sold by the box.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub const PARTNERS: u64 = 2_000;
pub const ITEMS: u64 = 20_000;
pub const CATEGORIES: u64 = 200;
pub const AGREEMENTS: u64 = 1_000;
const DAYS: u64 = 365;
pub const CURRENCIES: [&str; 3] = ["USD", "EUR", "GBP"];

/// Where everything was written, and what is needed to recompute it.
pub struct Workload {
    /// The workspace: `rebated.toml` is the caller's, `agreements/` is filled.
    pub folder: PathBuf,
    pub lines: u64,
    pub documents: u64,
    pub partners: Vec<Partner>,
    pub items: Vec<Item>,
    pub agreements: Vec<Agreement>,
}

pub struct Partner {
    pub region: u64,
    pub currency: usize,
}

pub struct Item {
    pub category: u64,
    pub brand: u64,
    price_cents: u64,
}

/// One volume agreement with one term, valid the whole year.
pub struct Agreement {
    pub id: String,
    pub who: Who,
    pub currency: usize,
    pub selection: Selection,
    pub measure: Measure,
    pub retrospective: bool,
    /// Months of an accumulation period: 12, 6 or 3.
    pub months: u32,
    /// Lower bound (whole units of the measure) and benefit: hundredths of a percent, or cents a piece where a
    /// marginal ladder counts pieces.
    pub tiers: Vec<(u64, u64)>,
}

pub enum Who {
    Partner(u64),
    Region(u64),
}

pub enum Selection {
    Everything,
    Categories([u64; 2]),
    /// Ten categories under one node of the tree.
    Range(u64),
    Brand(u64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    Net,
    Pieces,
}

impl Workload {
    /// Path of a canonical table.
    pub fn table(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{kind}.csv"))
    }
}

/// Code of the n-th partner; codes share a prefix and are not dense, as real ones do.
pub fn partner_code(n: u64) -> String {
    format!("C-{:06}", 10_000 + n * 7)
}

/// The other way round.
pub fn partner_of(code: &str) -> u64 {
    (code[2..].parse::<u64>().expect("a partner code") - 10_000) / 7
}

fn item_code(n: u64) -> String {
    format!("IT-{:07}", 1_000 + n * 13)
}

/// The item's number.
pub fn item_of(code: &str) -> u64 {
    (code[3..].parse::<u64>().expect("an item code") - 1_000) / 13
}

fn small(n: u64) -> usize {
    usize::try_from(n).expect("a small number")
}

/// A small generator of even pseudo-random numbers (a 64-bit counter, mixed).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).expect("below a 64-bit bound")
    }
    /// Squared, so that the first tenth comes up about once in three times.
    fn skewed(&mut self, bound: u64) -> u64 {
        let side = self.below(1 << 24);
        ((side * side) >> 24).wrapping_mul(bound) >> 24
    }
    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// Writes the tables and agreement files for so many lines.
pub fn write(folder: &Path, lines: u64) -> io::Result<Workload> {
    fs::create_dir_all(folder.join("agreements"))?;
    let mut random = Random(0x5EED);
    let partners = partners(folder, &mut random)?;
    let items = items(folder, &mut random)?;
    units_and_rates(folder, &mut random)?;
    let agreements = agreements(&mut random, &partners, lines);
    for agreement in &agreements {
        fs::write(folder.join(format!("agreements/{}.toml", agreement.id.to_lowercase())), agreement.to_toml())?;
    }
    let documents = invoices(folder, &mut random, &partners, &items, lines)?;
    Ok(Workload { folder: folder.to_owned(), lines, documents, partners, items, agreements })
}

fn table(folder: &Path, kind: &str, header: &str) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(folder.join(format!("{kind}.csv")))?);
    writeln!(file, "{header}")?;
    Ok(file)
}

fn partners(folder: &Path, random: &mut Random) -> io::Result<Vec<Partner>> {
    let mut file = table(folder, "partners", "partner,name,groups,email,language,currency,country")?;
    let mut partners = Vec::new();
    for n in 0..PARTNERS {
        let partner = Partner { currency: [0, 0, 0, 0, 0, 0, 1, 1, 1, 2][small(random.below(10))], region: random.below(12) };
        let (code, currency) = (partner_code(n), CURRENCIES[partner.currency]);
        writeln!(file, "{code},Partner {n},REGION-{:02},accounts-{n}@partner.example,en,{currency},US", partner.region)?;
        partners.push(partner);
    }
    file.flush()?;
    Ok(partners)
}

fn items(folder: &Path, random: &mut Random) -> io::Result<Vec<Item>> {
    let mut file = table(folder, "items", "item,description,category,brand,base_unit")?;
    let mut items = Vec::new();
    for n in 0..ITEMS {
        let item = Item { category: random.below(CATEGORIES), brand: random.below(40), price_cents: 150 + random.skewed(60_000) };
        writeln!(
            file,
            "{},Item {n},RANGE-{:02}/CAT-{:03},BRAND-{:02},EA",
            item_code(n),
            item.category / 10,
            item.category,
            item.brand
        )?;
        items.push(item);
    }
    file.flush()?;
    Ok(items)
}

fn units_and_rates(folder: &Path, random: &mut Random) -> io::Result<()> {
    let mut units = table(folder, "units", "item,from_unit,to_unit,factor")?;
    writeln!(units, ",BX,EA,12")?;
    units.flush()?;
    let mut rates = table(folder, "rates", "rate_type,from_currency,to_currency,date,rate")?;
    // Weekly, the first before the year begins; six decimals, dearer currency first.
    for week in 0..53 {
        for (from, to, floor) in [
            ("EUR", "USD", 1_050_000),
            ("USD", "EUR", 930_000),
            ("GBP", "USD", 1_240_000),
            ("USD", "GBP", 780_000),
            ("GBP", "EUR", 1_150_000),
            ("EUR", "GBP", 850_000),
        ] {
            let rate = floor + random.below(20_000);
            let day = if week == 0 { "2024-12-28".to_owned() } else { date(week * 7 - 4) };
            writeln!(rates, "spot,{from},{to},{day},{}.{:06}", rate / 1_000_000, rate % 1_000_000)?;
        }
    }
    rates.flush()
}

/// The n-th day of 2025 as ISO text.
fn date(day: u64) -> String {
    let mut rest = day;
    for (month, days) in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        if rest < days {
            return format!("2025-{:02}-{:02}", month + 1, rest + 1);
        }
        rest -= days;
    }
    unreachable!("the year has {DAYS} days")
}

fn agreements(random: &mut Random, partners: &[Partner], lines: u64) -> Vec<Agreement> {
    // Lines of an average partner, so that ladders are reached at every size of the workload.
    let share = lines / PARTNERS + 1;
    let mut agreements = Vec::new();
    for n in 0..AGREEMENTS {
        let partner = if n < AGREEMENTS / 2 { n } else { random.skewed(PARTNERS) };
        // One agreement in a hundred is for a whole region.
        let who = if n % 100 == 99 { Who::Region(random.below(12)) } else { Who::Partner(partner) };
        let (selection, selectivity) = match random.below(10) {
            0..=2 => (Selection::Everything, 1),
            3..=6 => (Selection::Categories([random.below(CATEGORIES), random.below(CATEGORIES)]), 100),
            7..=8 => (Selection::Range(random.below(CATEGORIES / 10)), 20),
            _ => (Selection::Brand(random.below(40)), 40),
        };
        let measure = if random.percent(50) { Measure::Pieces } else { Measure::Net };
        let retrospective = n % 2 == 0;
        let expected = share * if measure == Measure::Pieces { 40 } else { 6_000 } / selectivity + 4;
        let (first, step) = if measure == Measure::Pieces && !retrospective { (5, 10) } else { (50, 75) };
        let tiers = (0..3 + random.below(3)).map(|tier| (tier * expected / 3, first + step * tier)).collect();
        let months = [12, 12, 6, 3][small(random.below(4))];
        let currency = partners[small(partner)].currency;
        agreements.push(Agreement {
            id: format!("BENCH-{n:04}"),
            who,
            currency,
            selection,
            measure,
            retrospective,
            months,
            tiers,
        });
    }
    agreements
}

impl Agreement {
    /// Whether a marginal ladder pays cents a piece instead of a percentage.
    pub fn pays_by_piece(&self) -> bool {
        self.measure == Measure::Pieces && !self.retrospective
    }
    /// Whether it counts this item.
    pub fn selects(&self, item: &Item) -> bool {
        match self.selection {
            Selection::Everything => true,
            Selection::Categories(of) => of.contains(&item.category),
            Selection::Range(range) => item.category / 10 == range,
            Selection::Brand(brand) => item.brand == brand,
        }
    }
    fn to_toml(&self) -> String {
        let who = match self.who {
            Who::Partner(n) => format!("partners = [\"{}\"]", partner_code(n)),
            Who::Region(n) => format!("groups = [\"REGION-{n:02}\"]"),
        };
        let selection = match self.selection {
            Selection::Everything => String::new(),
            Selection::Categories([a, b]) if a == b => format!("where = {{ category = [\"CAT-{a:03}\"] }}\n"),
            Selection::Categories([a, b]) => format!("where = {{ category = [\"CAT-{a:03}\", \"CAT-{b:03}\"] }}\n"),
            Selection::Range(n) => format!("where = {{ category = [\"RANGE-{n:02}\"] }}\n"),
            Selection::Brand(n) => format!("where = {{ brand = [\"BRAND-{n:02}\"] }}\n"),
        };
        let accumulate = match self.months {
            12 => "year",
            6 => "half-year",
            _ => "quarter",
        };
        let measure = match (self.measure, self.pays_by_piece()) {
            (Measure::Net, _) => "qualifier = \"net-amount\"\nbase = \"net-amount\"\n",
            (Measure::Pieces, false) => "unit = \"EA\"\nqualifier = \"quantity\"\nbase = \"net-amount\"\n",
            (Measure::Pieces, true) => "unit = \"EA\"\nqualifier = \"quantity\"\nbase = \"quantity\"\n",
        };
        let mut text = format!(
            "id = \"{id}\"\ntitle = \"Workload agreement {id}\"\n{who}\ncurrency = \"{currency}\"\n\
             valid = {{ from = \"2025-01-01\", to = \"2025-12-31\" }}\nexchange = {{ rate_type = \"spot\", max_age = \"7d\" }}\n\
             settlement = {{ every = \"quarter\", method = \"credit-memo\" }}\n\n\
             [[terms]]\nid = \"volume\"\ntype = \"volume\"\n{selection}accumulate = \"{accumulate}\"\nmethod = \"{method}\"\n{measure}tiers = [\n",
            id = self.id,
            currency = CURRENCIES[self.currency],
            method = if self.retrospective { "retrospective" } else { "marginal" },
        );
        for (from, benefit) in &self.tiers {
            let (whole, part) = (benefit / 100, benefit % 100);
            let benefit = if self.pays_by_piece() {
                format!("per_unit = \"{whole}.{part:02}\"")
            } else {
                format!("rate = \"{whole}.{part:02}%\"")
            };
            writeln!(text, "  {{ from = \"{from}\", {benefit} }},").expect("writing to a string");
        }
        text + "]\n"
    }
}

fn invoices(folder: &Path, random: &mut Random, partners: &[Partner], items: &[Item], lines: u64) -> io::Result<u64> {
    let header = "document_type,document_number,line_number,document_date,partner,item,quantity,unit,net_amount,currency,refers_to_document,refers_to_line";
    let mut file = table(folder, "lines", header)?;
    let mut newest_invoice: Vec<Option<u64>> = vec![None; partners.len()];
    let (mut written, mut document) = (0, 0);
    while written < lines {
        let day = date(written * DAYS / lines);
        let partner = random.skewed(PARTNERS);
        let slot = small(partner);
        let original = newest_invoice[slot].filter(|_| random.percent(4));
        let currency = CURRENCIES[if random.percent(2) { small(random.below(3)) } else { partners[slot].currency }];
        let count = (1 + random.below(if original.is_some() { 1 } else { 9 })).min(lines - written);
        let (kind, sign) = if original.is_some() { ("credit-note", "-") } else { ("invoice", "") };
        let refers = original.map(|o| format!("R{o:08},1")).unwrap_or_else(|| ",".to_owned());
        for line in 1..=count {
            let item = random.skewed(ITEMS);
            let known = &items[small(item)];
            let boxed = random.percent(10);
            let quantity = 1 + random.skewed(if boxed { 12 } else { 120 });
            let price = known.price_cents * (85 + random.below(16)) / 100 * if boxed { 12 } else { 1 };
            let net = quantity * price;
            writeln!(
                file,
                "{kind},R{document:08},{line},{day},{},{},{sign}{quantity},{},{sign}{}.{:02},{currency},{refers}",
                partner_code(partner),
                item_code(item),
                if boxed { "BX" } else { "EA" },
                net / 100,
                net % 100,
            )?;
        }
        if original.is_none() {
            newest_invoice[slot] = Some(document);
        }
        written += count;
        document += 1;
    }
    file.flush()?;
    Ok(document)
}
