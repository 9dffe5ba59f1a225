//! Which keys a mapping file has: declared once, for refusals, JSON Schema and reference tables.

use crate::config::shape::{Key, Kind, Shape};

/// Words of `target`, in the order of the canonical tables.
pub(crate) const TARGETS: &[&str] =
    &["line", "partner", "item", "unit", "rate", "payment", "activity", "authorization", "baseline", "plan", "stock", "memo"];

static NUMBER: Shape = Shape::new(
    "a number format",
    "How the source writes figures. U+2212 is always read as a minus.",
    &[
        Key::new("decimal", Kind::Name, "Decimal mark, one character.").default("."),
        Key::new(
            "thousands",
            Kind::Text,
            "Thousands mark, one character; groups must then be of three digits. A space also stands for the non-breaking ones.",
        ),
        Key::new("trailing_minus", Kind::Flag, "Whether `5-` is minus five.").default("false"),
        Key::new("parentheses", Kind::Flag, "Whether `(5)` is minus five.").default("false"),
    ],
);

static SPLIT: Shape = Shape::new(
    "a split",
    "Cuts a text and takes one part.",
    &[
        Key::new("on", Kind::Name, "Text to cut at.").required(),
        Key::new("part", Kind::Integer(-99, 99), "Which part, from 1; negative counts from the end.").default("1"),
    ],
);

static PAD: Shape = Shape::new(
    "a pad",
    "Fills a text up on its left.",
    &[
        Key::new("width", Kind::Integer(1, 99), "Characters wanted.").required(),
        Key::new("with", Kind::Name, "Character to fill with.").default("0"),
    ],
);

static SOURCE: Shape = Shape::new(
    "[source]",
    "How the source's documents are written.",
    &[
        Key::new("format", Kind::Word(&["csv", "xlsx", "json", "ndjson"]), "Format; by the file's ending when left out."),
        Key::new("separator", Kind::Name, "CSV: separator, one ASCII character.").default(","),
        Key::new("encoding", Kind::Name, "CSV: utf-8, or a single-byte encoding such as windows-1252.").default("utf-8"),
        Key::new("header", Kind::Flag, "CSV: whether the first line names the columns; without it they are called 1, 2, ...").default("true"),
        Key::new("skip_lines", Kind::Integer(0, 1000), "CSV: lines before the header.").default("0"),
        Key::new("sheet", Kind::Name, "XLSX: sheet; the first when left out."),
        Key::new("records", Kind::Name, "JSON: path of the list of records, such as `value[]`."),
        Key::new("date", Kind::Name, "How plain dates are written (strptime), unless a field says otherwise."),
        Key::new("number", Kind::Table(&NUMBER), "How figures are written, unless a field says otherwise."),
        Key::new("timezone", Kind::Zone, "Zone of instants written without an offset."),
        Key::new(
            "typed_values",
            Kind::Word(&["none", "class-json"]),
            "class-json: objects such as {\"__class__\": \"Decimal\", \"decimal\": \"1.20\"}, `date` and `datetime` (UTC) are values.",
        )
        .default("none"),
    ],
);

pub(crate) static FIELD: Shape = Shape::new(
    "a field",
    "Where one target column comes from and how it is written there. Steps run in the order of this table.",
    &[
        Key::new(
            "from",
            Kind::Either(&[Kind::Name, Kind::List(&Kind::Name)]),
            "Path in the row; of several the first that has a value, or all with `join`.",
        ),
        Key::new("const", Kind::Text, "A fixed value; `company` means the company's for company and currency."),
        Key::new("template", Kind::Name, "Text with paths in braces: `{number}/{line}`; no value when one of them has none."),
        Key::new("expr", Kind::Name, "A guarded expression over row, parent, record and position."),
        Key::new("join", Kind::Text, "Joins all paths of `from` with this; no value when one of them has none."),
        Key::new("trim", Kind::Flag, "Values are always trimmed; may be written for clarity.").default("true"),
        Key::new("strip_prefix", Kind::Name, "Text taken off the front when it is there."),
        Key::new("strip_leading", Kind::Name, "Character taken off the front as often as it is there."),
        Key::new("replace", Kind::Map(&Kind::Text), "Texts replaced by others, in order."),
        Key::new("split", Kind::Table(&SPLIT), "Cuts the text and takes one part."),
        Key::new("upper", Kind::Flag, "To upper case.").default("false"),
        Key::new("lower", Kind::Flag, "To lower case.").default("false"),
        Key::new("pad", Kind::Table(&PAD), "Fills the text up on its left."),
        Key::new("number", Kind::Table(&NUMBER), "How the figure is written."),
        Key::new("scale", Kind::Integer(0, 9), "Implied decimals: with 2, `12345` is 123.45."),
        Key::new("negate", Kind::Flag, "Turns the sign.").default("false"),
        Key::new("map", Kind::Map(&Kind::Text), "Words of the source and what they mean here."),
        Key::new("lookup", Kind::Name, "Lookup table under mappings/lookups."),
        Key::new(
            "missing",
            Kind::Word(&["exception", "keep", "default"]),
            "What to do with a value that `map` or `lookup` does not know.",
        )
        .default("exception"),
        Key::new("default", Kind::Text, "Value when there is none; `company` means the company's for company and currency."),
        Key::new("date", Kind::Name, "How the date or instant is written (strptime)."),
        Key::new(
            "instant",
            Kind::Flag,
            "The value is a moment: its day is taken in the company's zone. Otherwise the day is taken as written.",
        )
        .default("false"),
        Key::new("timezone", Kind::Zone, "Zone of an instant written without an offset."),
        Key::new("code", Kind::Flag, "The text is a code: damage by a spreadsheet is refused. Always on for code columns.")
            .default("false"),
        Key::new("required", Kind::Flag, "A row without this value is an exception.").default("false"),
        Key::new(
            "tax",
            Kind::Word(&["excluded", "included"]),
            "net_amount, gross_amount: whether the figure includes tax; included tax (`tax_amount`) is taken off.",
        )
        .default("excluded"),
    ],
);

static RULE: Shape = Shape::new(
    "a rule",
    "Leaves rows out or sets fields. Rules run in file order; the first `skip` that holds decides.",
    &[
        Key::new(
            "when",
            Kind::Map(&Kind::Any),
            "Paths and the value, or values, they must have; \"\" is no value. All must hold.",
        ),
        Key::new("expr", Kind::Name, "An expression that must be true as well."),
        Key::new("skip", Kind::Name, "Leaves the row out, for this reason."),
        Key::new("set", Kind::Map(&Kind::Text), "Fields and the value they get, whatever the field table says."),
    ],
);

static TEST: Shape = Shape::new(
    "a test",
    "An in-file test: `check` runs it.",
    &[
        Key::new("name", Kind::Name, "What it shows, as a sentence.").required(),
        Key::new("input", Kind::Text, "The document.").required(),
        Key::new("format", Kind::Word(&["csv", "json", "ndjson"]), "Format of the input; the source's, else JSON."),
        Key::new("currency", Kind::Currency, "The company's currency in this test.").default("USD"),
        Key::new("timezone", Kind::Zone, "The company's zone in this test.").default("UTC"),
        Key::new(
            "expect",
            Kind::List(&Kind::Any),
            "Rows in order, each a table of the fields to compare, or { problem = \"code\", field = \"...\" }.",
        )
        .required(),
        Key::new("skipped", Kind::List(&Kind::Name), "Reasons of the rows left out, in order; not compared when left out."),
        Key::new("refused", Kind::Name, "Code of the problem that refuses the whole document."),
    ],
);

/// A mapping file.
pub static MAPPING: Shape = Shape::new(
    "a mapping",
    "What a record means.",
    &[
        Key::new("target", Kind::Word(TARGETS), "Which canonical table the rows belong to.").required(),
        Key::new("description", Kind::Text, "What it is for."),
        Key::new(
            "canonical",
            Kind::Flag,
            "The documents are canonical tables already: columns keep their names, no field table is needed.",
        )
        .default("false"),
        Key::new(
            "rows",
            Kind::Name,
            "List below the record whose elements are the rows: `lines[]`; the record itself when left out.",
        ),
        Key::new(
            "sign",
            Kind::Word(&["by-type", "signed"]),
            "Lines: whether the document type gives the sign of unsigned figures, or the figures carry it.",
        ),
        Key::new("source", Kind::Table(&SOURCE), "How the documents are written."),
        Key::new(
            "fields",
            Kind::Map(&Kind::Any),
            "Target column = path, or a table of steps. Attributes stand under `attributes`.",
        ),
        Key::new("rules", Kind::Tables(&RULE), "Rows to leave out, values to set."),
        Key::new("test", Kind::Tables(&TEST), "In-file tests."),
    ],
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::master::Table;

    #[test]
    fn every_canonical_table_can_be_a_target() {
        let words: Vec<&str> = Table::WORDS.iter().map(|(_, table)| table.row_word()).collect();
        assert_eq!(words, TARGETS);
    }
}
