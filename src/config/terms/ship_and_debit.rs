//! Keys of a ship-and-debit term.

use crate::config::agreement_shapes::{ONE_OR_MORE, TERM};
use crate::config::reader::Section;
use crate::config::shape::{Key, Kind, Shape, word_kind};
use crate::core::line::DocumentType;
use crate::core::number::Micros;
use crate::core::problem::Problems;
use crate::core::terms::ship_and_debit::{CostBasis, PriceDrop, ShipAndDebit};

/// A ship-and-debit term.
pub static SHIP_AND_DEBIT: Shape = Shape::new(
    "a ship-and-debit term",
    "Claim lines against authorisations, each decided alone: (cost - authorised price) x quantity, or what is claimed if that is less.",
    &[
        Key::new(
            "authorizations",
            Kind::Name,
            "CSV file beside the agreement file with the authorisations of this term; those that were imported when left out",
        ),
        Key::new("cost_basis", word_kind!(CostBasis), "what the authorised price is compared with").default("book-price"),
        Key::new("claim_within", Kind::Days, "days after the ship date within which a line has to be submitted"),
        Key::new("price_tolerance", Kind::Table(&TOLERANCE), "how far a claim may differ from what is due without a note"),
        Key::new("price_drops", Kind::Tables(&PRICE_DROP), "falls of list prices: stock on hand is compensated"),
    ],
)
.variant_of(&TERM);

static TOLERANCE: Shape = Shape::new(
    "`price_tolerance`",
    "Both have to hold. What is paid is the lower of claimed and due all the same.",
    &[
        Key::new("per_unit", Kind::Amount, "per unit of the authorisation").required(),
        Key::new("amount", Kind::Amount, "over the whole line"),
    ],
);

static PRICE_DROP: Shape = Shape::new(
    "a price drop",
    "Every unit on hand at the partner before the first sale of the day is compensated.",
    &[
        Key::new("on", Kind::Date, "first day of the lower price").required(),
        Key::new("item", ONE_OR_MORE, "item codes").required(),
        Key::new("amount", Kind::Amount, "how much the price falls per unit, in the agreement's currency").required(),
        Key::new("unit", Kind::Name, "unit of the amount; the item's base unit when left out"),
    ],
);

/// Builds the rule of a ship-and-debit term.
pub fn read(section: Section<'_>, problems: &mut Problems) -> Option<ShipAndDebit> {
    for word in section.texts("documents").into_iter().filter(|_| section.has("documents")) {
        if !matches!(DocumentType::from_word(word), Some(DocumentType::Claim | DocumentType::Resale) | None) {
            problems.push(
                section
                    .problem("unknown-word", "documents", format!("a document of type `{word}` claims nothing"))
                    .help("documents = [\"claim\"], [\"resale\"] or both; claims when left out"),
            );
        }
    }
    let tolerance = section.table("price_tolerance");
    let mut drops = Vec::new();
    for drop in section.tables("price_drops") {
        let items: Vec<String> = match drop.node("item").and_then(|n| n.as_list()) {
            Some(list) => list.iter().filter_map(|n| n.as_text()).map(str::to_owned).collect(),
            None => drop.text("item").map(str::to_owned).into_iter().collect(),
        };
        if drop.has("item") && items.is_empty() {
            problems.push(drop.problem("empty-selection", "item", "the drop is of no item").help("name at least one item"));
        }
        let amount = drop.amount("amount")?;
        if amount <= Micros::ZERO {
            problems.push(
                drop.problem("out-of-range", "amount", "a price falls by more than nothing").help("write amount = \"50.00\""),
            );
        }
        drops.push(PriceDrop { on: drop.date("on")?, items, amount, unit: drop.text("unit").map(str::to_owned) });
    }
    Some(ShipAndDebit {
        authorizations: section.text("authorizations").map(str::to_owned),
        cost_basis: section.word("cost_basis", CostBasis::from_word)?,
        claim_within_days: section.days("claim_within"),
        price_tolerance: tolerance.and_then(|t| t.amount("per_unit")).unwrap_or_default(),
        amount_tolerance: tolerance.and_then(|t| t.amount("amount")),
        price_drops: drops,
    })
}
