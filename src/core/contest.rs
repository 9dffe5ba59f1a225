//! Agreements that exclude one another: which of them a line pays under (`calculation.md` section 5, case 15).
//!
//! Each exclusive agreement stands alone against all stackable ones together. The option that pays most on the
//! line keeps it in its base; on a tie the one that contains the lowest agreement id, compared bytewise. The order
//! in which agreements or lines are read has no say.

use crate::core::agreement::Stacking;
use crate::core::number::Fine;
use std::collections::BTreeMap;

/// What one agreement would pay on a line, at the tiers that all its lines reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid<'a> {
    /// Agreement id.
    pub agreement: &'a str,
    /// Whether others may pay on the line beside it.
    pub stacking: Stacking,
    /// Unrounded.
    pub share: Fine,
}

/// Who pays on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winner<'a> {
    /// All stackable agreements.
    Stack,
    /// One exclusive agreement.
    Exclusive(&'a str),
}

impl Winner<'_> {
    /// Whether an agreement is among those that pay.
    pub fn pays(&self, agreement: &str, stacking: Stacking) -> bool {
        match self {
            Winner::Stack => stacking == Stacking::Stackable,
            Winner::Exclusive(id) => *id == agreement,
        }
    }
}

/// The option that pays on a line; `None` where there is nothing to choose. A return goes the way of its sale: by the
/// size of what it takes back.
pub fn winner<'a>(bids: &[Bid<'a>]) -> Option<Winner<'a>> {
    let mut stack: Option<(Fine, &str)> = None;
    let mut exclusive: BTreeMap<&'a str, Fine> = BTreeMap::new();
    for bid in bids {
        match bid.stacking {
            Stacking::Exclusive => *exclusive.entry(bid.agreement).or_default() += bid.share,
            Stacking::Stackable => {
                let (sum, lowest) = stack.get_or_insert((Fine::ZERO, bid.agreement));
                *sum += bid.share;
                *lowest = (*lowest).min(bid.agreement);
            }
        }
    }
    let mut options: Vec<(Fine, &str, Winner<'a>)> =
        exclusive.into_iter().map(|(id, share)| (share, id, Winner::Exclusive(id))).collect();
    options.extend(stack.map(|(sum, lowest)| (sum, lowest, Winner::Stack)));
    if options.len() < 2 {
        return None;
    }
    options.into_iter().min_by(|a, b| b.0.abs().cmp(&a.0.abs()).then(a.1.cmp(b.1))).map(|option| option.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bid(agreement: &str, exclusive: bool, share: i64) -> Bid<'_> {
        let stacking = if exclusive { Stacking::Exclusive } else { Stacking::Stackable };
        Bid { agreement, stacking, share: Fine(i128::from(share) * Fine::ONE.0) }
    }

    #[test]
    fn case_15_the_better_option_pays_and_a_tie_goes_to_the_lowest_id() {
        let (r1, r2, r3, r4) = (bid("R1", false, 300), bid("R2", false, 200), bid("R3", true, 450), bid("R4", false, 150));
        assert_eq!(winner(&[r1, r2, r3]), Some(Winner::Stack));
        assert_eq!(winner(&[r1, r3]), Some(Winner::Exclusive("R3")));
        assert_eq!(winner(&[r3, r4, r1]), Some(Winner::Stack), "450 and 450: R1 is the lowest");
        assert_eq!(winner(&[r3]), None);
        assert_eq!(winner(&[r1, r2]), None);
        assert_eq!(winner(&[bid("B", true, 5), bid("A", true, 5)]), Some(Winner::Exclusive("A")));
    }

    proptest! {
        #[test]
        fn neither_order_nor_sign_decides(
            bids in proptest::collection::vec((0usize..6, any::<bool>(), 0i64..50), 1..8), turn in 0usize..8,
        ) {
            const IDS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];
            let kind: Vec<bool> = (0..6).map(|i| bids.iter().find(|b| b.0 == i).is_some_and(|b| b.1)).collect();
            let list: Vec<Bid<'_>> = bids.iter().map(|b| bid(IDS[b.0], kind[b.0], b.2)).collect();
            let mut turned = list.clone();
            turned.rotate_left(turn % list.len());
            prop_assert_eq!(winner(&list), winner(&turned));
            let back: Vec<Bid<'_>> = list.iter().map(|b| Bid { share: -b.share, ..*b }).collect();
            prop_assert_eq!(winner(&list), winner(&back));
        }
    }
}
