//! Outcomes and main reasons of claim lines, with the codes of X12 849 (elements 901 and 889).

use crate::core::agreement::words;
use serde::{Deserialize, Serialize};

words! {
    /// What came of a line.
    Outcome {
        /// Paid as asked, or less was asked than is due.
        Accepted = "accepted",
        /// Paid in part.
        Cut = "cut",
        /// Not paid.
        Refused = "refused",
        /// Neither paid nor refused until a person has decided.
        Held = "held",
        /// Cannot be decided before master data is mended.
        Waiting = "waiting",
    } default Waiting
}

words! {
    /// The one main reason of a decision.
    Reason {
        /// Nothing to say.
        Accepted = "accepted",
        /// Less was claimed than is due.
        ClaimedLess = "claimed-less",
        /// More was claimed than the prices give.
        PriceDiffers = "price-differs",
        /// The quantity left was less than the claimed one.
        QuantityExceeded = "quantity-exceeded",
        /// No quantity was left.
        QuantityUsedUp = "quantity-used-up",
        /// It corrects a line that was paid.
        Correction = "correction",
        /// Goods came back.
        Return = "return",
        /// More came back than was paid for.
        ReturnExceedsClaims = "return-exceeds-claims",
        /// Goods came back for which nothing was paid.
        ReturnWithoutClaim = "return-without-claim",
        /// No authorisation is cited.
        AuthorizationMissing = "authorization-missing",
        /// The cited authorisation is not known for this partner.
        UnknownAuthorization = "unknown-authorization",
        /// The item is not on it.
        ItemNotAuthorized = "item-not-authorized",
        /// The line has no ship date.
        ShipDateMissing = "ship-date-missing",
        /// Shipped after it was submitted.
        ShippedAfterSubmission = "shipped-after-submission",
        /// Shipped before the authorisation began.
        ShippedBeforeAuthorization = "shipped-before-authorization",
        /// Shipped after the authorisation ended.
        AuthorizationExpired = "authorization-expired",
        /// Submitted after the last day for it.
        SubmittedTooLate = "submitted-too-late",
        /// The authorisation is for named end customers and the line names none.
        EndCustomerMissing = "end-customer-missing",
        /// Nobody can tell who the end customer is.
        UnknownEndCustomer = "unknown-end-customer",
        /// The authorisation is for somebody else.
        EndCustomerNotAuthorized = "end-customer-not-authorized",
        /// The sale was claimed before and is paid.
        Duplicate = "duplicate",
        /// It may be a sale that is paid already.
        PossibleDuplicate = "possible-duplicate",
        /// The line that it corrects is not known.
        CorrectionUnknown = "correction-unknown",
        /// The line has no quantity.
        QuantityMissing = "quantity-missing",
        /// The line states no cost and the term goes by it.
        CostMissing = "cost-missing",
        /// The authorisation states no book price and the term goes by it.
        NoBookPrice = "no-book-price",
        /// No channel stock is known that the goods could come from.
        NoChannelStock = "no-channel-stock",
        /// The authorised price is not below the cost.
        PriceNotBelowCost = "price-not-below-cost",
        /// No exchange rate.
        NoRate = "no-rate",
        /// No unit conversion.
        NoConversion = "no-conversion",
        /// A figure does not fit.
        FigureTooLarge = "figure-too-large",
        /// Stock on hand when a price fell.
        PriceProtection = "price-protection",
    } default Accepted
}

impl Reason {
    /// X12 element 901, empty for an accepted line.
    pub const fn x12_901(self) -> &'static str {
        match self {
            Self::Accepted | Self::ClaimedLess | Self::Correction | Self::Return | Self::PriceProtection => "",
            Self::UnknownAuthorization => "01",
            Self::AuthorizationExpired => "02",
            Self::ItemNotAuthorized => "03",
            Self::QuantityExceeded | Self::ReturnExceedsClaims => "04",
            Self::QuantityUsedUp => "05",
            Self::PriceDiffers => "06",
            Self::ReturnWithoutClaim => "09",
            Self::AuthorizationMissing | Self::EndCustomerMissing => "15",
            Self::PriceNotBelowCost => "17",
            Self::ShippedAfterSubmission => "18",
            Self::ShippedBeforeAuthorization => "20",
            Self::PossibleDuplicate
            | Self::CorrectionUnknown
            | Self::NoChannelStock
            | Self::NoBookPrice
            | Self::NoRate
            | Self::NoConversion => "25",
            Self::UnknownEndCustomer | Self::EndCustomerNotAuthorized => "26",
            Self::ShipDateMissing => "27",
            Self::Duplicate => "28",
            Self::SubmittedTooLate => "29",
            Self::QuantityMissing | Self::CostMissing => "32",
            Self::FigureTooLarge => "33",
        }
    }
    /// X12 element 889: whether the line may be sent again; empty where nothing is asked.
    pub const fn x12_889(self) -> &'static str {
        match self {
            Self::UnknownAuthorization
            | Self::AuthorizationMissing
            | Self::ItemNotAuthorized
            | Self::EndCustomerMissing
            | Self::UnknownEndCustomer
            | Self::ShipDateMissing
            | Self::ShippedAfterSubmission
            | Self::QuantityMissing
            | Self::CostMissing
            | Self::FigureTooLarge => "C",
            Self::SubmittedTooLate
            | Self::AuthorizationExpired
            | Self::ShippedBeforeAuthorization
            | Self::EndCustomerNotAuthorized
            | Self::Duplicate
            | Self::QuantityUsedUp
            | Self::PriceNotBelowCost
            | Self::ReturnWithoutClaim => "N",
            _ => "",
        }
    }
    /// How a person mends what holds the line; `None` where nobody has to decide.
    pub const fn help(self) -> Option<&'static str> {
        Some(match self {
            Self::UnknownEndCustomer => {
                "record the name as an alias of the right partner, or its tax number; the line is decided again by itself"
            }
            Self::PossibleDuplicate => {
                "resolve with --action release (it is a sale of its own and is paid) or --action confirm (it is not paid)"
            }
            Self::CorrectionUnknown => {
                "wait for the line that it corrects, or resolve with --action release (it is a claim of its own)"
            }
            Self::NoBookPrice => "add the book price to the authorisation, or let the term use another cost_basis",
            Self::NoChannelStock => "import the partner's stock with its unit costs",
            Self::NoRate => "import the exchange rate of that day, or a newer one inside the agreement's greatest age",
            Self::NoConversion => "import a unit conversion for the item",
            Self::FigureTooLarge => "correct the quantity, the amount or the factor in its source",
            _ => return None,
        })
    }
}
