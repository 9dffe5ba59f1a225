//! Which keys an agreement file has (contract section 2), declared once.
//!
//! Not here: what they build (`agreement_file`) and the rules between them. What the engine cannot
//! do yet is declared too, so that it is refused by name and never ignored.

use crate::config::shape::{Key, Kind, Shape, word_kind};
use crate::config::terms;
use crate::core::agreement::{
    Bound, DateBasis, Measure, Method, NegativePolicy, PaymentCondition, PayoutMethod, QualifierScope, ReturnsBasis, UnitMatch,
};
use crate::core::line::DocumentType;
use crate::core::period::Span;

/// Spans by their words in files.
pub const SPANS: [(&str, Span); 10] = [
    ("line", Span::Line),
    ("document", Span::Document),
    ("week", Span::Week),
    ("month", Span::Month),
    ("quarter", Span::Quarter),
    ("half-year", Span::HalfYear),
    ("year", Span::Year),
    ("agreement-year", Span::AgreementYear),
    ("agreement", Span::Agreement),
    ("lifetime", Span::Lifetime),
];

/// The span of a word.
pub fn span(word: &str) -> Option<Span> {
    SPANS.iter().find(|(w, _)| *w == word).map(|(_, span)| *span)
}

const SPAN_WORDS: &[&str] =
    &["line", "document", "week", "month", "quarter", "half-year", "year", "agreement-year", "agreement", "lifetime"];

/// One text or a list of them.
pub const ONE_OR_MORE: Kind = Kind::Either(&[Kind::List(&Kind::Name), Kind::Name]);

const CALENDAR: Key = Key::new("calendar", Kind::Word(&["fiscal", "gregorian"]), "whose months, quarters and years are meant");

/// A whole agreement file.
pub static AGREEMENT: Shape = Shape::new(
    "an agreement",
    "Approved conditions with one partner, several, or a group. One file is one version.",
    &[
        Key::new("id", Kind::Name, "name of the agreement, the same in all its versions").required(),
        Key::new("title", Kind::Name, "title for people; the id when left out"),
        Key::new("version", Kind::Integer(1, 9999), "1, 2, ... without holes; each amendment is a further file").default("1"),
        Key::new("valid_from", Kind::Date, "first document date that this version rules; required from version 2 on"),
        Key::new("restart_on_amendment", Kind::Flag, "whether this version starts its qualifiers anew").default("false"),
        Key::new(
            "objective",
            Kind::Word(&["increase-revenue", "sustainable-growth", "margin", "strategic-accounts", "engagement"]),
            "business goal, without effect on figures",
        ),
        Key::new(
            "direction",
            Kind::WordOrLater(&["payable"], &["receivable"]),
            "payable: we owe the partner; receivable: a vendor owes us",
        )
        .default("payable"),
        Key::new("partners", Kind::List(&Kind::Name), "partner codes that take part"),
        Key::new("groups", Kind::List(&Kind::Name), "partner groups whose members take part"),
        Key::new("parents", Kind::List(&Kind::Name), "parents whose children take part (buying groups)"),
        Key::new("exclude_partners", Kind::List(&Kind::Name), "partner codes that do not"),
        Key::new("payee", Kind::Name, "who is paid, if not the partner"),
        Key::new("currency", Kind::Currency, "currency of every figure of the agreement").required(),
        Key::new("valid", Kind::Table(&VALID), "first and last valid day").required(),
        Key::new("qualifier_scope", word_kind!(QualifierScope), "each partner alone, or all partners together")
            .default("partner"),
        Key::new("date_basis", word_kind!(DateBasis), "which date of a document places it").default("document-date"),
        CALENDAR.default("fiscal"),
        Key::new("exchange", Kind::Table(&EXCHANGE), "rates for documents in other currencies"),
        Key::new("bound", word_kind!(Bound), "whether a bound is reached, must be exceeded, or names the first unit")
            .default("reached"),
        Key::new("returns", word_kind!(ReturnsBasis), "in which period a return counts").default("own-period"),
        Key::new("negative", word_kind!(NegativePolicy), "what a period with more returns than sales earns").default("zero"),
        Key::new("rounding", Kind::Word(&["half-away-from-zero"]), "the one rounding of an earned figure")
            .default("half-away-from-zero"),
        Key::new("stacking", Kind::Word(&["stackable", "exclusive"]), "whether other agreements may pay on the same line")
            .default("stackable"),
        Key::new("accrual", Kind::Table(&ACCRUAL), "how much is booked before it is settled"),
        Key::new("settlement", Kind::Table(&SETTLEMENT), "when and how it is paid"),
        Key::new("hold_back_release", Kind::Later(&[]), "when held-back amounts are released"),
        Key::new("gl", Kind::Later(&[]), "general ledger accounts of this agreement"),
        Key::new("caps", Kind::Table(&AGREEMENT_CAPS), "cap on the whole agreement"),
        Key::new("terms", Kind::Tables(&TERM), "the rules, as [[terms]]").required(),
    ],
);

static VALID: Shape = Shape::new(
    "`valid`",
    "Validity; both days are included.",
    &[
        Key::new("from", Kind::Date, "first valid day").required(),
        Key::new("to", Kind::Date, "last valid day, included").required(),
    ],
);

static EXCHANGE: Shape = Shape::new(
    "`exchange`",
    "Exchange rates.",
    &[
        Key::new("rate_type", Kind::Name, "rate type of the imported rates").default("spot"),
        Key::new("max_age", Kind::Days, "greatest age of a rate; an older one counts as missing").default("7d"),
    ],
);

static ACCRUAL: Shape = Shape::new(
    "`accrual`",
    "Accrual policy.",
    &[Key::new("policy", Kind::WordOrLater(&["earned"], &["fixed-rate", "forecast"]), "what is booked").default("earned")],
)
.with_variants("policy", &[]);

/// Settlement terms.
pub static SETTLEMENT: Shape = Shape::new(
    "`settlement`",
    "When and how it is paid.",
    &[
        Key::new(
            "every",
            Kind::WordOrLater(
                &["week", "month", "quarter", "half-year", "year", "agreement-year", "agreement"],
                &["line", "document", "lifetime"],
            ),
            "rhythm of settlements",
        )
        .default("quarter"),
        Key::new("grace", Kind::Days, "days after the period's last day before a settlement is proposed").default("0d"),
        Key::new("method", settlement_methods(), "how a settlement leaves the house").default("credit-memo"),
        Key::new("connector", Kind::Name, "connector that takes the memo"),
        Key::new("pay_in", Kind::Later(&["agreement"]), "currency of the payment"),
        Key::new("tax", Kind::Later(&["none"]), "tax on the memo"),
        Key::new("hold_back", Kind::Later(&["0%", "0.0%", "0.00%"]), "share that is paid only when the annual target is met"),
        Key::new("minimum", Kind::Amount, "smallest amount that is paid; less is carried forward").default("0.00"),
    ],
);

const fn settlement_methods() -> Kind {
    const NOW: [&str; PayoutMethod::WORDS.len()] = crate::config::shape::names(PayoutMethod::WORDS);
    const WORDS: &[&str] = &NOW;
    Kind::WordOrLater(WORDS, &["bank-file", "bank-transfer", "edi", "ubl"])
}

static AGREEMENT_CAPS: Shape = Shape::new(
    "`caps` of an agreement",
    "Caps over all terms.",
    &[Key::new(
        "total",
        Kind::Amount,
        "largest benefit over the whole validity, per partner or over all with `qualifier_scope = \"agreement\"`",
    )],
);

/// A term of any type.
pub static TERM: Shape = Shape::new(
    "a term",
    "One rule.",
    &[
        Key::new("id", Kind::Name, "name of the term, unique in the agreement").required(),
        Key::new(
            "type",
            Kind::WordOrLater(&["volume", "growth", "mix", "ship-and-debit", "fixed"], &["performance"]),
            "rebate type",
        )
        .required(),
        Key::new("where", Kind::Table(&SELECTION), "lines it takes: every named property must hold, any of its values suffices"),
        Key::new("except", Kind::Table(&SELECTION), "lines it does not take"),
        Key::new(
            "documents",
            Kind::List(&word_kind!(DocumentType)),
            "document types that count; claims of a ship-and-debit term when left out",
        )
        .default("invoice, credit-note"),
        Key::new("payment", payment_words(), "when a document counts with regard to its payment").default("any"),
        Key::new("accumulate", Kind::Word(SPAN_WORDS), "span over which the qualifier adds up").default("year"),
        CALENDAR,
        Key::new("prorate_bounds", Kind::Flag, "whether bounds shrink with a clipped period").default("false"),
        Key::new("caps", Kind::Table(&TERM_CAPS), "largest base and benefit"),
        Key::new("floor", Kind::Amount, "smallest benefit per accumulation period once anything counted"),
        Key::new("guarantee", Kind::Later(&[]), "guaranteed amount"),
        Key::new(
            "requires",
            Kind::List(&Kind::Name),
            "terms that must have earned something in a period that overlaps; else this one earns nothing",
        ),
        Key::new(
            "after",
            Kind::List(&Kind::Name),
            "terms whose benefit is taken off the base of the lines that both count; they accumulate over the same span",
        ),
        Key::new(
            "one_of",
            Kind::Name,
            "name of a set of terms of the agreement: only the one that earns most in the period pays",
        ),
    ],
)
.with_variants(
    "type",
    &[
        ("volume", &VOLUME),
        ("growth", &terms::growth::GROWTH),
        ("mix", &terms::mix::MIX),
        ("ship-and-debit", &terms::ship_and_debit::SHIP_AND_DEBIT),
        ("fixed", &FIXED),
    ],
);

const fn payment_words() -> Kind {
    const ALL: [&str; PaymentCondition::WORDS.len()] = crate::config::shape::names(PaymentCondition::WORDS);
    const WORDS: &[&str] = &ALL;
    let (now, later) = WORDS.split_at(4);
    Kind::WordOrLater(now, later)
}

/// A volume term.
pub static VOLUME: Shape = Shape::new(
    "a volume term",
    "Any measure over the accumulation period picks the tier; any measure is the base. A credit note counts no document and takes none away.",
    &[
        Key::new("qualifier", word_kind!(Measure), "measure that picks the tier").default("net-amount"),
        Key::new(
            "base",
            word_kind!(Measure),
            "measure that the benefit multiplies; the quantity when tiers pay per unit, else the net amount",
        ),
        Key::new("unit", Kind::Name, "unit of quantities; required where a quantity is measured"),
        Key::new("unit_match", word_kind!(UnitMatch), "what happens to lines in another unit").default("convert"),
        Key::new("method", word_kind!(Method), "the tier reached pays on everything, or each tier on its own slice")
            .default("retrospective"),
        Key::new("tiers", Kind::Tables(&TIER), "the ladder, by ascending lower bound").required(),
    ],
)
.variant_of(&TERM);

/// A lump sum.
pub static FIXED: Shape = Shape::new(
    "a fixed term",
    "A lump sum once per accumulation period in which at least one line counts.",
    &[Key::new("amount", Kind::Amount, "the lump sum, in the agreement's currency").required()],
)
.variant_of(&TERM);

/// A tier.
pub static TIER: Shape = Shape::new(
    "a tier",
    "A lower bound and one benefit.",
    &[
        Key::new("from", Kind::Amount, "lower bound").required(),
        Key::new(
            "to",
            Kind::Amount,
            "upper bound, if the ladder is written with them; checked for gaps and overlaps, else without effect",
        ),
        RATE,
        PER_UNIT,
        AMOUNT,
        PER_INCREMENT,
        FREE_GOODS,
        BACK_TO_FIRST,
    ],
);

pub(super) const RATE: Key = Key::new("rate", Kind::Rate, "share of the base");
pub(super) const PER_UNIT: Key = Key::new("per_unit", Kind::Amount, "amount per unit of the base");
pub(super) const AMOUNT: Key = Key::new("amount", Kind::Amount, "amount once per accumulation period");
pub(super) const PER_INCREMENT: Key = Key::new("per_increment", Kind::Table(&INCREMENT), "amount for each increment of the base");
pub(super) const FREE_GOODS: Key =
    Key::new("free_goods", Kind::Table(&GOODS), "goods without charge for each complete multiple of the base");
pub(super) const BACK_TO_FIRST: Key =
    Key::new("back_to_first", Kind::Flag, "in a marginal ladder: once reached, this tier pays on everything").default("false");

static GOODS: Shape = Shape::new(
    "`free_goods`",
    "Goods without charge.",
    &[
        Key::new("every", Kind::Amount, "size of a multiple of the base").required(),
        Key::new("quantity", Kind::Amount, "goods for each complete multiple").required(),
        Key::new("unit_value", Kind::Amount, "what one of them is worth; 0 when goods are sent and nothing is paid")
            .default("0.00"),
    ],
);

static INCREMENT: Shape = Shape::new(
    "`per_increment`",
    "An amount for each increment of the base.",
    &[
        Key::new("every", Kind::Amount, "size of an increment").required(),
        Key::new("amount", Kind::Amount, "amount for each").required(),
        Key::new("count", Kind::Word(&["complete", "started"]), "whether a started increment counts").default("complete"),
        Key::new("per", Kind::Word(&["together", "item"]), "over all items together, or per item").default("together"),
    ],
);

static TERM_CAPS: Shape = Shape::new(
    "`caps` of a term",
    "Caps of one term.",
    &[
        Key::new("base", Kind::Amount, "largest base that counts per accumulation period"),
        Key::new("benefit", Kind::Amount, "largest benefit per accumulation period"),
        Key::new("per_partner", Kind::Amount, "largest benefit per partner over the validity"),
    ],
);

/// `where` and `except`.
pub static SELECTION: Shape = Shape::new(
    "a selection of lines",
    "Every named property must hold; any of its values suffices. Further properties: `\"attributes.x\"`, as the mapping kept them.",
    &[
        Key::new("item", ONE_OR_MORE, "item codes"),
        Key::new("category", ONE_OR_MORE, "any level of the item's category path"),
        Key::new("brand", ONE_OR_MORE, "item brands"),
        Key::new("group", ONE_OR_MORE, "item groups"),
        Key::new("line_kind", ONE_OR_MORE, "line kinds; goods when left out"),
        Key::new("ship_to", ONE_OR_MORE, "ship-to codes"),
        Key::new("end_customer", ONE_OR_MORE, "end customer codes"),
        Key::new("territory", ONE_OR_MORE, "territories"),
        Key::new("order_type", ONE_OR_MORE, "order types"),
        Key::new("payment_terms", ONE_OR_MORE, "payment terms"),
        Key::new("unit", ONE_OR_MORE, "units on the document"),
        Key::new("authorization", ONE_OR_MORE, "ship-and-debit authorisations"),
        Key::new("attributes", Kind::Map(&ONE_OR_MORE), "attributes that the mapping kept"),
    ],
)
.with_rest(ONE_OR_MORE);
