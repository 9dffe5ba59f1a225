//! Fixed: an amount once per accumulation period in which something was sold.
//!
//! With `accumulate = "document"` that is once per invoice (VOL-26). A period whose returns outweigh
//! its sales earns nothing.

use crate::core::agreement::Fixed;
use crate::core::number::{Exact, Fine};

/// The amount due after `lines` counted lines worth `net` together.
pub fn due(rule: &Fixed, lines: i64, net: Exact) -> Fine {
    if lines > 0 && net > Exact::ZERO { rule.amount.fine() } else { Fine::ZERO }
}
