//! Agreement files into typed agreement versions, with every rule of the contract checked.
//!
//! Not here: the keys (`agreement_shapes`), the ladder (`ladder`), approval and storage. Invariant:
//! what comes out can be calculated exactly as written; nothing that was written is ignored.

use crate::config::agreement_shapes::{AGREEMENT, SETTLEMENT, span};
use crate::config::ladder;
use crate::config::reader::{File, Section, in_file_order};
use crate::config::shape::nearest;
use crate::config::terms::{growth, mix, ship_and_debit};
use crate::config::tree::Node;
use crate::core::agreement::{
    AccrualPolicy, AgreementVersion, Audience, Bound, Caps, DateBasis, Dimension, Direction, Exchange, Fixed, Measure, Method,
    NegativePolicy, PaymentCondition, PayoutMethod, QualifierScope, ReturnsBasis, Rule, Selection, SettlementTerms, Stacking,
    Term, UnitMatch, Volume,
};
use crate::core::line::{DocumentType, LineKind};
use crate::core::money::Currency;
use crate::core::period::{Period, Span};
use crate::core::problem::{Problem, Problems};
use std::collections::BTreeMap;

/// Reads one agreement file. `source_name` is the file's name in messages.
///
/// # Errors
/// Every problem of the file, in file order.
pub fn parse(source_name: &str, text: &str) -> Result<AgreementVersion, Problems> {
    let (file, mut problems) = File::read(source_name, text, &AGREEMENT);
    // After a syntax error there is nothing to read.
    let version = if problems.0.iter().any(|p| p.code == "toml-syntax") { None } else { build(file.root(), &mut problems) };
    in_file_order(&mut problems);
    match version {
        Some(version) if problems.0.is_empty() => Ok(version),
        _ => Err(problems),
    }
}

/// Builds as far as possible, so that every problem is seen; `None` when a part is missing, which
/// the check has said already.
fn build(root: Section<'_>, problems: &mut Problems) -> Option<AgreementVersion> {
    if root.text("id").is_some_and(|id| id.contains(['/', '\\'])) {
        problems.push(root.problem("bad-text", "id", "an id has no `/` or `\\`").help("use letters, digits, `-`, `_` and `.`"));
    }
    let audience = audience(root, problems);
    let valid = validity(root, problems);
    let amendment = amendment(root, valid, problems);
    let currency = root.currency("currency");
    let bound = root.word("bound", Bound::from_word);
    let gregorian = calendar(root, problems);
    let terms = terms(root, bound, currency, problems);
    let settlement = settlement(root);
    let exchange = match root.table("exchange") {
        Some(table) => {
            table.text("rate_type").zip(table.days("max_age")).map(|(t, d)| Exchange { rate_type: t.to_owned(), max_age_days: d })
        }
        None => Some(Exchange::default()),
    };
    let id = root.text("id")?;
    let (version, valid_from) = amendment?;
    Some(AgreementVersion {
        id: id.to_owned(),
        version,
        title: root.text("title").unwrap_or(id).to_owned(),
        objective: root.text("objective").map(str::to_owned),
        direction: root.word("direction", Direction::from_word)?,
        audience,
        payee: root.text("payee").map(str::to_owned),
        currency: currency?,
        valid: valid?,
        valid_from,
        qualifier_scope: root.word("qualifier_scope", QualifierScope::from_word)?,
        date_basis: root.word("date_basis", DateBasis::from_word)?,
        exchange: exchange?,
        bound: bound?,
        returns: root.word("returns", ReturnsBasis::from_word)?,
        negative: root.word("negative", NegativePolicy::from_word)?,
        restart_on_amendment: root.flag("restart_on_amendment")?,
        stacking: root.word("stacking", Stacking::from_word)?,
        accrual: AccrualPolicy::Earned,
        settlement: settlement?,
        cap_total: root.table("caps").and_then(|c| c.amount("total")),
        gregorian,
        terms: terms?,
    })
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn audience(root: Section<'_>, problems: &mut Problems) -> Audience {
    let audience = Audience {
        partners: owned(root.texts("partners")),
        groups: owned(root.texts("groups")),
        parents: owned(root.texts("parents")),
        exclude_partners: owned(root.texts("exclude_partners")),
    };
    let named = |key: &str| root.node(key).is_some_and(|n| n.as_list().is_none_or(|l| !l.is_empty()));
    if !["partners", "groups", "parents"].into_iter().any(named) {
        problems.push(
            root.problem("no-partners", "partners", "nobody takes part in this agreement")
                .help("add partners = [\"...\"], groups = [\"...\"] or parents = [\"...\"]"),
        );
    }
    audience
}

fn validity(root: Section<'_>, problems: &mut Problems) -> Option<Period> {
    let valid = root.table("valid")?;
    let (from, to) = (valid.date("from")?, valid.date("to")?);
    let period = Period::new(from, to);
    if period.is_none() {
        problems.push(
            valid
                .problem("date-order", "to", format!("`valid` ends on {to}, before it starts on {from}"))
                .help("the last valid day is included and not before the first"),
        );
    }
    period
}

fn amendment(root: Section<'_>, valid: Option<Period>, problems: &mut Problems) -> Option<(u32, chrono::NaiveDate)> {
    let version = u32::try_from(root.integer("version")?).ok()?;
    let first = root.date("valid_from");
    if root.has("valid_from") && first.is_none() {
        return None;
    }
    if version > 1 && first.is_none() {
        problems.push(
            root.problem("amendment", "version", format!("version {version} does not say from when it rules"))
                .help("add valid_from = \"2026-04-01\", the first document date under the new conditions"),
        );
        return None;
    }
    let valid = valid?;
    let first = first.unwrap_or(valid.from);
    if version == 1 && first != valid.from {
        problems.push(
            root.problem("amendment", "valid_from", format!("version 1 rules from the first valid day, {}", valid.from))
                .help("leave `valid_from` out, or add the version number of the amendment"),
        );
    } else if !valid.contains(first) {
        problems.push(
            root.problem("amendment", "valid_from", format!("{first} lies outside the validity {valid}"))
                .help("an amendment starts inside `valid`"),
        );
    }
    Some((version, first))
}

fn calendar(root: Section<'_>, problems: &mut Problems) -> bool {
    let wanted = |section: Section<'_>| section.text("calendar").map(|word| word == "gregorian");
    let agreement = wanted(root).unwrap_or(false);
    let terms: Vec<_> = root.tables("terms");
    let asked: Vec<bool> = terms.iter().filter_map(|t| wanted(*t)).collect();
    let all_terms = !asked.is_empty() && asked.len() == terms.len() && asked.iter().all(|g| *g == asked[0]);
    if all_terms && !root.has("calendar") {
        return asked[0];
    }
    for term in terms.iter().filter(|t| wanted(**t).is_some_and(|g| g != agreement)) {
        problems.push(
            term.problem("not-yet-supported", "calendar", "terms by different calendars in one agreement are not supported yet")
                .help("give `calendar` once, for the whole agreement"),
        );
    }
    agreement
}

fn settlement(root: Section<'_>) -> Option<SettlementTerms> {
    // Left out, the table has the defaults of its own declaration.
    let empty = crate::config::tree::Table::empty(&root.table.source);
    let table = root.table("settlement").unwrap_or(Section::new(&empty, &SETTLEMENT));
    Some(SettlementTerms {
        every: table.word("every", span)?,
        grace_days: table.days("grace")?,
        method: table.word("method", PayoutMethod::from_word)?,
        connector: table.text("connector").map(str::to_owned),
        minimum: table.amount("minimum")?,
    })
}

fn terms(root: Section<'_>, bound: Option<Bound>, currency: Option<Currency>, problems: &mut Problems) -> Option<Vec<Term>> {
    let sections = root.tables("terms");
    if root.has("terms") && sections.is_empty() && root.node("terms").and_then(Node::as_list).is_some_and(<[Node]>::is_empty) {
        problems.push(root.problem("no-terms", "terms", "the agreement has no terms").help("add at least one [[terms]]"));
    }
    let mut seen: BTreeMap<&str, Section<'_>> = BTreeMap::new();
    for section in &sections {
        let Some(id) = section.text("id") else { continue };
        if let Some(first) = seen.insert(id, *section) {
            let line = first.place("id").line.unwrap_or_default();
            problems.push(
                section
                    .problem("duplicate-id", "id", format!("term `{id}` is already declared on line {line}"))
                    .help("give every term of an agreement its own id"),
            );
        }
    }
    dependencies(&sections, problems);
    // Every term is built before any is missed, so that all problems are seen.
    let built: Vec<Option<Term>> = sections.iter().map(|s| term(*s, bound, currency, problems)).collect();
    built.into_iter().collect()
}

/// What a term waits for: the terms that it names, and those that these are compared with.
fn edges_of<'a>(section: &Section<'a>, all: &[Section<'a>]) -> Vec<&'a str> {
    let mut edges = [section.texts("requires"), section.texts("after")].concat();
    let sets: Vec<&str> =
        all.iter().filter(|s| s.text("id").is_some_and(|id| edges.contains(&id))).filter_map(|s| s.text("one_of")).collect();
    for other in all {
        if let (Some(id), Some(set)) = (other.text("id"), other.text("one_of"))
            && sets.contains(&set)
            && !edges.contains(&id)
        {
            edges.push(id);
        }
    }
    edges
}

/// How terms build on one another: `requires` and `after` name terms of the agreement, in no circle; sets are told apart.
fn dependencies(sections: &[Section<'_>], problems: &mut Problems) {
    let ids: Vec<&str> = sections.iter().filter_map(|s| s.text("id")).collect();
    let graph: BTreeMap<&str, Vec<&str>> = sections.iter().filter_map(|s| Some((s.text("id")?, edges_of(s, sections)))).collect();
    for section in sections {
        for key in ["requires", "after"] {
            for node in section.node(key).and_then(Node::as_list).unwrap_or_default() {
                let Some(name) = node.as_text() else { continue };
                let Some(other) = sections.iter().find(|s| s.text("id") == Some(name)) else {
                    let problem =
                        Problem::new("unknown-term", format!("`{key}` names `{name}`, which is not a term of this agreement"))
                            .at(node.place());
                    problems.push(match nearest(name, ids.iter().copied()) {
                        Some(near) => problem.help(format!("did you mean `{near}`?")),
                        None => problem.help(format!("terms here: {}", ids.join(", "))),
                    });
                    continue;
                };
                if key == "after" && other.text("accumulate") != section.text("accumulate") {
                    problems.push(
                        Problem::new("term-span", format!("`{name}` accumulates over another span than this term"))
                            .at(node.place())
                            .help("a benefit can only be taken off the base of the same period: give both the same `accumulate`"),
                    );
                }
            }
        }
        let Some(set) = section.text("one_of") else { continue };
        let first = sections.iter().find(|s| s.text("one_of") == Some(set));
        if first.is_some_and(|first| first.text("accumulate") != section.text("accumulate")) {
            problems.push(
                section
                    .problem("term-span", "one_of", format!("the terms of the set `{set}` accumulate over different spans"))
                    .help("only figures of the same period can be compared: give them the same `accumulate`"),
            );
        }
        if sections.iter().filter(|s| s.text("one_of") == Some(set)).count() == 1 {
            problems.push(
                section
                    .problem("lonely-set", "one_of", format!("no other term is in the set `{set}`"))
                    .help("give the terms that exclude each other the same name, or leave `one_of` out"),
            );
        }
    }
    if let Some(cycle) = find_cycle(&graph) {
        let at = sections.iter().find(|s| s.text("id") == Some(cycle[0]));
        let key = |s: &Section<'_>| if s.texts("requires").contains(&cycle[1]) { "requires" } else { "after" };
        if let Some(section) = at {
            problems.push(
                section
                    .problem(
                        "term-cycle",
                        key(section),
                        format!("terms depend on each other in a circle: {}", cycle.join(" -> ")),
                    )
                    .help("remove one of these `requires` or `after`"),
            );
        }
    }
}

/// A cycle as the ids along it, the first repeated at the end; the one with the smallest first id.
fn find_cycle<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    fn walk<'a>(graph: &BTreeMap<&'a str, Vec<&'a str>>, start: &'a str, path: &mut Vec<&'a str>) -> bool {
        let last = path[path.len() - 1];
        for next in graph.get(last).into_iter().flatten() {
            if *next == start {
                path.push(start);
                return true;
            }
            if !path.contains(next) {
                path.push(next);
                if walk(graph, start, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    graph.keys().find_map(|start| {
        let mut path = vec![*start];
        walk(graph, start, &mut path).then_some(path)
    })
}

fn term(section: Section<'_>, bound: Option<Bound>, currency: Option<Currency>, problems: &mut Problems) -> Option<Term> {
    let select = selection(section, "where", problems);
    let except = selection(section, "except", problems);
    let accumulate = section.word("accumulate", span);
    let rule = match section.text("type")? {
        "volume" => volume(section, bound?, currency, problems).map(Rule::Volume),
        "growth" => growth::build(section, bound?, accumulate, currency, problems).map(Rule::Growth),
        "mix" => mix::build(section, bound?, currency, problems).map(Rule::Mix),
        "ship-and-debit" => ship_and_debit::read(section, problems).map(Rule::ShipAndDebit),
        "fixed" => section.amount("amount").map(|amount| Rule::Fixed(Fixed { amount })),
        _ => None,
    };
    let documents: Option<Vec<_>> = match &rule {
        Some(Rule::ShipAndDebit(_)) if !section.has("documents") => Some(vec![DocumentType::Claim]),
        _ => section.texts("documents").into_iter().map(DocumentType::from_word).collect(),
    };
    if section.has("documents") && documents.as_ref().is_some_and(Vec::is_empty) {
        problems.push(
            section
                .problem("empty-selection", "documents", "no document would count")
                .help("name at least one type, or leave the key out"),
        );
    }
    if section.flag("prorate_bounds") == Some(true)
        && matches!(accumulate, Some(Span::Line | Span::Document | Span::Lifetime | Span::Agreement))
    {
        problems.push(
            section
                .problem("no-period", "prorate_bounds", "bounds can only shrink with a period that can be clipped")
                .help("accumulate over weeks, months, quarters or years, or leave `prorate_bounds` out"),
        );
    }
    let caps = section.table("caps");
    let cap = |key: &str| caps.and_then(|c| c.amount(key));
    Some(Term {
        id: section.text("id")?.to_owned(),
        select,
        except,
        documents: documents?,
        payment: section.word("payment", PaymentCondition::from_word)?,
        accumulate: accumulate?,
        prorate_bounds: section.flag("prorate_bounds")?,
        caps: Caps {
            base: cap("base"),
            benefit: cap("benefit"),
            per_partner: cap("per_partner"),
            floor: section.amount("floor"),
        },
        requires: owned(section.texts("requires")),
        after: owned(section.texts("after")),
        one_of: section.text("one_of").map(str::to_owned),
        rule: rule?,
    })
}

/// The lines that a table of properties selects.
pub(super) fn selection(section: Section<'_>, key: &str, problems: &mut Problems) -> Selection {
    let mut dimensions = Vec::new();
    let Some(table) = section.table(key) else { return Selection::default() };
    for entry in &table.table.entries {
        if entry.key == "attributes" {
            for attribute in entry.node.as_table().map_or(&[][..], |t| t.entries.as_slice()) {
                take(Dimension::Attribute(attribute.key.clone()), &attribute.key, &attribute.node, &mut dimensions, problems);
            }
            continue;
        }
        match Dimension::from_name(&entry.key) {
            Some(dimension) => take(dimension, &entry.key, &entry.node, &mut dimensions, problems),
            None => {
                let known = table.shape.all_keys().map(|k| k.name);
                let problem = Problem::new("unknown-key", format!("`{}` is not a property of a line", entry.key))
                    .at(entry.node.source.place(entry.key_span.start));
                problems.push(match nearest(&entry.key, known) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help(format!(
                        "properties: {}; one that a mapping kept is written \"attributes.{}\"",
                        table.shape.all_keys().map(|k| k.name).filter(|n| *n != "attributes").collect::<Vec<_>>().join(", "),
                        entry.key
                    )),
                });
            }
        }
    }
    Selection { dimensions }
}

fn take(dimension: Dimension, key: &str, node: &Node, into: &mut Vec<(Dimension, Vec<String>)>, problems: &mut Problems) {
    let values: Vec<String> = match node.as_list() {
        Some(list) => list.iter().filter_map(Node::as_text).map(str::to_owned).collect(),
        None => node.as_text().map(str::to_owned).into_iter().collect(),
    };
    if node.as_list().is_some_and(<[Node]>::is_empty) {
        problems.push(
            Problem::new("empty-selection", format!("`{key}` is empty, so no line would match"))
                .at(node.place())
                .help("name at least one value, or leave the key out"),
        );
    }
    if dimension == Dimension::LineKind {
        for value in values.iter().filter(|v| LineKind::from_word(v).is_none()) {
            let words: Vec<_> = LineKind::WORDS.iter().map(|(w, _)| *w).collect();
            problems.push(
                Problem::new("unknown-word", format!("`{key}`: `{value}` is not a line kind"))
                    .at(node.place())
                    .help(format!("known words: {}", words.join(", "))),
            );
        }
    }
    into.push((dimension, values));
}

fn volume(section: Section<'_>, bound: Bound, currency: Option<Currency>, problems: &mut Problems) -> Option<Volume> {
    let qualifier = section.word("qualifier", Measure::from_word);
    let by_quantity = ["per_unit", "per_increment", "free_goods"];
    let per_unit = section.tables("tiers").iter().any(|t| by_quantity.iter().any(|key| t.has(key)));
    let base = if section.has("base") {
        section.word("base", Measure::from_word)
    } else {
        Some(if per_unit { Measure::Quantity } else { Measure::NetAmount })
    };
    let method = section.word("method", Method::from_word);
    let unit = section.text("unit").map(str::to_owned);
    let counted = [("qualifier", qualifier), ("base", base)].into_iter().find(|(_, m)| *m == Some(Measure::Quantity));
    if let (Some((key, _)), false) = (counted, section.has("unit")) {
        problems.push(
            section
                .problem("unit-missing", key, "a quantity is measured, but the term states no unit")
                .help("add unit = \"EA\" (or the unit the quantities are meant in) to the term"),
        );
    }
    let tiers = ladder::read(
        section,
        &ladder::Rules { bounds: ladder::Bounds::Measure(qualifier?), base: base?, bound, method: method?, currency },
        problems,
    );
    Some(Volume {
        qualifier: qualifier?,
        base: base?,
        unit,
        unit_match: section.word("unit_match", UnitMatch::from_word)?,
        method: method?,
        tiers: tiers?,
    })
}
