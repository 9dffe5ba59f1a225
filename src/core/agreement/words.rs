//! The words that agreements are written in: closed sets, the same in files, the store and on screen.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? } default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }
        impl $name {
            /// Every word with its value, in documentation order.
            pub const WORDS: &'static [(&'static str, $name)] = &[$(($text, $name::$variant)),+];
            /// The word used in files, the store and on screen.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
            /// The value of a word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($text => Some($name::$variant),)+ _ => None }
            }
        }
        impl Default for $name {
            fn default() -> Self { $name::$default }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    };
}
pub(crate) use words;

words! {
    /// Who owes whom.
    Direction {
        /// We owe the partner.
        Payable = "payable",
        /// A vendor owes us.
        Receivable = "receivable",
    } default Payable
}
words! {
    /// Whose lines add up in one qualifier.
    QualifierScope {
        /// Each partner alone.
        Partner = "partner",
        /// All partners of the agreement together.
        Agreement = "agreement",
    } default Partner
}
words! {
    /// The date that places a document.
    DateBasis {
        /// Document date.
        DocumentDate = "document-date",
        /// Posting date; the document date where there is none.
        PostingDate = "posting-date",
    } default DocumentDate
}
words! {
    /// How a tier's lower bound is compared.
    Bound {
        /// `>=`.
        Reached = "reached",
        /// `>`.
        Exceeded = "exceeded",
        /// Whole-unit ladders: the n-th unit is the first at the new rate.
        NthUnit = "nth-unit",
    } default Reached
}
words! {
    /// In which period a return counts.
    ReturnsBasis {
        /// That of the credit note.
        OwnPeriod = "own-period",
        /// That of the invoice it refers to.
        OriginalPeriod = "original-period",
    } default OwnPeriod
}
words! {
    /// What becomes of an accumulation period with more returns than sales.
    NegativePolicy {
        /// It earns nothing.
        Zero = "zero",
        /// It earns a negative amount that later periods make good.
        Carry = "carry",
    } default Zero
}
words! {
    /// Whether other agreements may pay on the same line.
    Stacking {
        /// They may.
        Stackable = "stackable",
        /// They may not.
        Exclusive = "exclusive",
    } default Stackable
}
words! {
    /// Which tier's benefit pays on what.
    Method {
        /// The tier reached pays on everything.
        Retrospective = "retrospective",
        /// Each tier pays on its own slice.
        Marginal = "marginal",
    } default Retrospective
}
words! {
    /// A figure taken from lines.
    Measure {
        /// Net amount excluding tax, in the agreement's currency.
        NetAmount = "net-amount",
        /// Gross amount excluding tax, in the agreement's currency.
        GrossAmount = "gross-amount",
        /// Quantity in the term's unit.
        Quantity = "quantity",
        /// Weight: quantity in the item's base unit times its weight.
        Weight = "weight",
        /// Net less cost.
        Margin = "margin",
        /// Number of documents with at least one matching line.
        DocumentCount = "document-count",
    } default NetAmount
}
words! {
    /// When a document counts with regard to its payment.
    PaymentCondition {
        /// Paid or not.
        Any = "any",
        /// Fully paid; counted in its own period.
        Paid = "paid",
        /// Counted in the period of payment.
        PaidInPeriod = "paid-in-period",
        /// Posted and paid in the same period.
        PostedAndPaidInPeriod = "posted-and-paid-in-period",
        /// Each instalment as it arrives.
        AsReceived = "as-received",
    } default Any
}
words! {
    /// What happens to a line in another unit than the term's.
    UnitMatch {
        /// It is converted; no conversion is an exception.
        Convert = "convert",
        /// It does not count.
        Exact = "exact",
    } default Convert
}
words! {
    /// How a settlement leaves the house.
    PayoutMethod {
        /// A credit memo in the ERP.
        CreditMemo = "credit-memo",
        /// Files in a folder, for systems without an interface.
        Folder = "folder",
        /// Nothing leaves; the accrual stands.
        AccrueOnly = "accrue-only",
    } default CreditMemo
}
words! {
    /// What the bounds of a growth ladder are told in.
    GrowthOf {
        /// Percent of the baseline.
        Percent = "growth-percent",
        /// The measure that grows.
        Amount = "growth-amount",
    } default Percent
}
words! {
    /// What the benefit of growth pays on.
    GrowthBase {
        /// Everything of the period.
        All = "all",
        /// Only what lies above the baseline.
        Increase = "increase",
    } default All
}
words! {
    /// What a partner without a positive baseline means.
    NewPartner {
        /// Nothing is earned, and a person is told.
        Exception = "exception",
        /// Nothing is earned.
        Skip = "skip",
        /// Everything is growth; a negative baseline still earns nothing.
        ZeroBaseline = "zero-baseline",
    } default Exception
}
words! {
    /// Whether partners without a baseline count where all grow together.
    NewMembers {
        /// They do not: the baseline covers the same buyers as the figure.
        Exclude = "exclude",
        /// They do.
        Include = "include",
    } default Exclude
}
words! {
    /// What a mix counts.
    MixCount {
        /// Distinct items.
        Items = "distinct-items",
        /// Distinct categories.
        Categories = "distinct-categories",
    } default Items
}
