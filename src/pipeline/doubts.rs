//! Doubts: names and facts that fit every rule of their table and yet cannot be meant.
//!
//! An agreement that names a partner nobody has, an item without a category where categories are asked
//! for: each is looked for in what is stored after the night's data came, as an exception that holds
//! nothing and closes by itself. They are a function of the store, so that no order of deliveries
//! matters.

use super::{PipelineResult, Runtime};
use crate::core::agreement::{AgreementVersion, Dimension};
use crate::core::master_data::MasterData;
use crate::core::matching::Matcher;
use crate::delivery::outbox;
use crate::store::{ExceptionFilter, NewException, Tx};
use chrono::NaiveDate;
use std::collections::BTreeSet;
use std::sync::Arc;

const UNKNOWN_NAME: &str = "agreement-unknown-name";
const UNCLASSIFIED: &str = "unclassified-item";
const NO_ITEM: &str = "no-item";
const PARENT: &str = "unknown-parent";
const EMAIL: &str = "bad-email";
const CONVERSIONS: &str = "conversions-disagree";
const CODES: [&str; 6] = [UNKNOWN_NAME, UNCLASSIFIED, NO_ITEM, PARENT, EMAIL, CONVERSIONS];

/// Looks for doubts and opens or closes their exceptions; returns how many were opened.
pub async fn note(runtime: &Runtime, business_day: NaiveDate) -> PipelineResult<i64> {
    let now = runtime.clock.now();
    let mut tx = runtime.store.begin().await?;
    let versions = tx.active_agreements().await?;
    let master = Arc::new(tx.master_data().await?);
    let mut found = unknown_names(&versions, &master);
    found.extend(parents(&versions, &master));
    found.extend(conversions(&master));
    found.extend(addresses(&mut tx).await?);
    found.extend(unclassified(&mut tx, runtime, &versions, &master).await?);
    found.extend(without_item(&mut tx, runtime, &versions, &master).await?);
    let keys: BTreeSet<&str> = found.iter().map(|new| new.dedupe_key.as_str()).collect();
    for open in tx.exceptions(&ExceptionFilter::default()).await? {
        if CODES.contains(&open.code.as_str()) && !keys.contains(open.dedupe_key.as_str()) {
            tx.clear_exception(&open.dedupe_key, "it is no longer so", now).await?;
        }
    }
    let mut opened = 0;
    for new in &found {
        opened += i64::from(tx.open_exception(new, business_day, now).await?);
    }
    tx.commit().await?;
    Ok(opened)
}

/// What the workspace's agreement files, and those in force, name that nobody knows.
pub async fn of_agreements(tx: &mut Tx, mut versions: Vec<AgreementVersion>) -> PipelineResult<Vec<NewException>> {
    let master = tx.master_data().await?;
    if master.partners().is_empty() || master.items().is_empty() {
        // Nothing was imported or pulled yet.
        return Ok(Vec::new());
    }
    for stored in tx.active_agreements().await? {
        if !versions.iter().any(|v| (&v.id, v.version) == (&stored.id, stored.version)) {
            versions.push(stored);
        }
    }
    Ok(unknown_names(&versions, &master))
}

/// Every name that the master data can know.
struct Names<'a> {
    partners: BTreeSet<&'a str>,
    parents: BTreeSet<&'a str>,
    groups: BTreeSet<&'a str>,
    items: BTreeSet<&'a str>,
    categories: BTreeSet<String>,
    brands: BTreeSet<&'a str>,
    item_groups: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(master: &'a MasterData) -> Self {
        let facts = || master.partners().iter().flat_map(|p| &p.facts);
        let items = || master.items().iter().flat_map(|i| &i.facts);
        let partners: BTreeSet<&str> = master.partners().iter().map(|p| &*p.code).collect();
        let mut categories = BTreeSet::new();
        for path in items().filter_map(|f| f.category.as_deref()) {
            let levels: Vec<&str> = path.split('/').map(str::trim).collect();
            for (at, level) in levels.iter().enumerate() {
                categories.insert((*level).to_owned());
                categories.insert(levels[..=at].join("/"));
            }
        }
        Self {
            parents: facts().filter_map(|f| f.parent.as_deref()).chain(partners.iter().copied()).collect(),
            groups: facts().flat_map(|f| f.groups.iter().map(|g| &**g)).collect(),
            items: master.items().iter().map(|i| &*i.code).collect(),
            brands: items().filter_map(|f| f.brand.as_deref()).collect(),
            item_groups: items().filter_map(|f| f.group.as_deref()).collect(),
            partners,
            categories,
        }
    }

    /// Whether a value of a dimension is known; `None` for dimensions that no master data knows.
    fn knows(&self, dimension: &Dimension, value: &str) -> Option<bool> {
        Some(match dimension {
            Dimension::Item => self.items.contains(value),
            Dimension::Category => {
                let path: Vec<&str> = value.split('/').map(str::trim).collect();
                self.categories.contains(&path.join("/"))
            }
            Dimension::Brand => self.brands.contains(value),
            Dimension::Group => self.item_groups.contains(value),
            _ => return None,
        })
    }
}

fn word(dimension: &Dimension) -> &'static str {
    match dimension {
        Dimension::Item => "item",
        Dimension::Category => "category",
        Dimension::Brand => "brand",
        _ => "item group",
    }
}

fn unknown_names(versions: &[AgreementVersion], master: &MasterData) -> Vec<NewException> {
    let names = Names::of(master);
    let mut found = Vec::new();
    for version in versions {
        let mut missing: BTreeSet<String> = BTreeSet::new();
        let mut look = |what: &str, values: &[String], known: &BTreeSet<&str>| {
            missing.extend(values.iter().filter(|v| !known.contains(v.as_str())).map(|v| format!("{what} `{v}`")));
        };
        let audience = &version.audience;
        look("partner", &audience.partners, &names.partners);
        look("partner", &audience.exclude_partners, &names.partners);
        look("group", &audience.groups, &names.groups);
        look("parent", &audience.parents, &names.parents);
        look("payee", version.payee.as_slice(), &names.partners);
        for (dimension, values) in version.terms.iter().flat_map(|t| t.select.dimensions.iter().chain(&t.except.dimensions)) {
            let unknown = values.iter().filter(|v| names.knows(dimension, v) == Some(false));
            missing.extend(unknown.map(|v| format!("{} `{v}`", word(dimension))));
        }
        if missing.is_empty() {
            continue;
        }
        let list = missing.into_iter().collect::<Vec<_>>().join(", ");
        found.push(NewException {
            code: UNKNOWN_NAME.into(),
            subject: format!("{} version {}", version.id, version.version),
            message: format!("names what no master data knows: {list}"),
            help: Some("correct the agreement, or import what it names; until then nothing can count there".into()),
            agreement: Some(version.id.clone()),
            dedupe_key: format!("names:{}:{}:{list}", version.id, version.version),
            lasting: true,
            ..NewException::default()
        });
    }
    found
}

/// Parents that are nobody.
fn parents(versions: &[AgreementVersion], master: &MasterData) -> Vec<NewException> {
    // A buying group may be known to agreements only.
    let named: BTreeSet<&str> = versions.iter().flat_map(|v| &v.audience.parents).map(String::as_str).collect();
    let newest = master.partners().iter().filter_map(|p| Some((&*p.code, p.facts.last()?.parent.as_deref()?)));
    let mut found = Vec::new();
    for (code, parent) in newest {
        if master.partner_by_code(parent).is_some() || named.contains(parent) {
            continue;
        }
        found.push(NewException {
            code: PARENT.into(),
            subject: format!("partner {code}"),
            message: format!("its parent `{parent}` is no partner, and no agreement names it"),
            help: Some("correct the parent, or import it".into()),
            partner: Some(code.to_owned()),
            dedupe_key: format!("parent:{code}:{parent}"),
            lasting: true,
            ..NewException::default()
        });
    }
    found
}

/// Conversions by which a quantity is one thing or another, depending on the way from unit to unit.
fn conversions(master: &MasterData) -> Vec<NewException> {
    let mut found = Vec::new();
    for conversion in master.disagreeing_conversions() {
        let item = conversion.item_id.and_then(|id| master.item(id)).map(|item| &*item.code);
        let subject = item.map_or_else(|| "units of all items".to_owned(), |code| format!("units of item {code}"));
        let (from, to) = (&conversion.from_unit, &conversion.to_unit);
        found.push(NewException {
            code: CONVERSIONS.into(),
            message: format!(
                "one {from} is {} {to} since {}, and something else by the other conversions; the one with the fewest steps counts",
                conversion.factor, conversion.valid_from
            ),
            help: Some("import the conversion that is right, with the first day on which it holds".into()),
            dedupe_key: format!("conversions:{}:{from}:{to}:{}", item.unwrap_or_default(), conversion.factor),
            subject,
            lasting: true,
            ..NewException::default()
        });
    }
    found
}

/// Addresses to which no statement could be sent.
async fn addresses(tx: &mut Tx) -> PipelineResult<Vec<NewException>> {
    let mut found = Vec::new();
    for head in tx.partner_heads().await? {
        for address in head.email.iter().filter(|a| !outbox::is_address(a)) {
            found.push(NewException {
                code: EMAIL.into(),
                subject: format!("partner {}", head.code),
                message: format!("`{address}` is not a mail address"),
                help: Some("correct the partner's mail address; statements cannot reach it".into()),
                partner: Some(head.code.clone()),
                dedupe_key: format!("email:{}:{address}", head.code),
                lasting: true,
                ..NewException::default()
            });
        }
    }
    Ok(found)
}

/// Items without a category that somebody bought under an agreement that asks for categories.
async fn unclassified(
    tx: &mut Tx,
    runtime: &Runtime,
    versions: &[AgreementVersion],
    master: &Arc<MasterData>,
) -> PipelineResult<Vec<NewException>> {
    let asks = |v: &AgreementVersion| v.terms.iter().any(|t| t.select.values(&Dimension::Category).is_some());
    let asking: Vec<AgreementVersion> = versions.iter().filter(|v| asks(v)).cloned().collect();
    if asking.is_empty() {
        return Ok(Vec::new());
    }
    let matcher = Matcher::new(&asking, master.clone(), runtime.settings.calendar);
    let mut found = Vec::new();
    for item in master.items().iter().filter(|i| i.facts.last().is_none_or(|f| f.category.is_none())) {
        let mut agreements: BTreeSet<String> = BTreeSet::new();
        for partner in tx.partners_with_goods(item.id).await? {
            agreements.extend(
                matcher.agreements_of(partner).into_iter().filter_map(|a| matcher.agreement_id(a)).map(ToString::to_string),
            );
        }
        if agreements.is_empty() {
            continue;
        }
        let list = agreements.into_iter().collect::<Vec<_>>().join(", ");
        found.push(NewException {
            code: UNCLASSIFIED.into(),
            subject: format!("item {}", item.code),
            message: format!("has no category; its lines do not count where a category is asked for: {list}"),
            help: Some("import the item's category".into()),
            dedupe_key: format!("unclassified:{}", item.code),
            lasting: true,
            ..NewException::default()
        });
    }
    Ok(found)
}

/// Goods of nobody knows what: agreements that select by what an item is pass them over.
async fn without_item(
    tx: &mut Tx,
    runtime: &Runtime,
    versions: &[AgreementVersion],
    master: &Arc<MasterData>,
) -> PipelineResult<Vec<NewException>> {
    let by_item = [Dimension::Item, Dimension::Category, Dimension::Brand, Dimension::Group];
    let selects = |v: &AgreementVersion| v.terms.iter().any(|t| by_item.iter().any(|d| t.select.values(d).is_some()));
    let selecting: Vec<AgreementVersion> = versions.iter().filter(|v| selects(v)).cloned().collect();
    if selecting.is_empty() {
        return Ok(Vec::new());
    }
    let matcher = Matcher::new(&selecting, master.clone(), runtime.settings.calendar);
    let mut found = Vec::new();
    for (partner, lines, document) in tx.partners_without_item().await? {
        let agreements: Vec<&str> =
            matcher.agreements_of(partner).into_iter().filter_map(|a| matcher.agreement_id(a)).map(|id| &**id).collect();
        let Some(partner) = master.partner(partner).filter(|_| !agreements.is_empty()) else { continue };
        found.push(NewException {
            code: NO_ITEM.into(),
            subject: format!("partner {}", partner.code),
            message: format!(
                "{lines} goods lines name no item, on {document} for one; they do not count where items are selected: {}",
                agreements.join(", ")
            ),
            help: Some("name the item in the source, or map the lines to their kind: freight, service, ...".into()),
            partner: Some(partner.code.to_string()),
            dedupe_key: format!("no-item:{}", partner.code),
            lasting: true,
            ..NewException::default()
        });
    }
    Ok(found)
}
