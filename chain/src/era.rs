//! How long a signed call lives: its era (`sp_runtime::generic::Era`), which names a block that it is born at and a
//! period, a power of two. It can be included up to block `birth + period - 1`.

use session::rental::BlockNumber;

/// Blocks that a call lives unless something ends it earlier; 6 minutes of blocks of 6 s.
pub(crate) const LIFE: u32 = 60;
/// The shortest period that there is.
const SHORTEST: u32 = 4;
/// The longest whose phase is exact.
const LONGEST: u32 = 4_096;

/// An era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// The block whose hash is signed.
    pub(crate) birth: BlockNumber,
    /// Blocks from there.
    pub(crate) period: u32,
}

impl Life {
    /// The block from which on it cannot be included.
    pub(crate) fn dies(self) -> BlockNumber {
        self.birth.after(self.period)
    }
}

/// The era of a call that is signed when these are the newest blocks. It ends with block `deadline` at the latest, where
/// there is one; a period counts back from its end, so the birth may be long before. It begins at a final block, if
/// the chain remembers hashes (`kept` of them) for so long. None where no block is left for the call.
pub(crate) fn life(
    best: BlockNumber,
    finalized: BlockNumber,
    deadline: Option<BlockNumber>,
    kept: u32,
) -> Option<Life> {
    let best = best.0;
    let finalized = finalized.0.min(best);
    let last = best.checked_add(LIFE)?;
    let last = deadline.map_or(last, |deadline| deadline.0.min(last));
    if last <= best {
        return None;
    }
    let most = LONGEST.min(1 << kept.max(SHORTEST).ilog2());
    // From a final block if that fits, else from any that is there.
    [finalized, best].into_iter().find_map(|newest| {
        let whole = (last + 1 - newest).next_power_of_two().clamp(SHORTEST, most);
        let birth = (last + 1).checked_sub(whole);
        if let Some(birth) = birth.filter(|birth| *birth <= newest) {
            return Some(Life { birth: BlockNumber(birth), period: whole });
        }
        // Too near to block 0 to count back, or too far from it: as long as fits from here.
        let period = (1 << (last + 1 - newest).ilog2()).min(most);
        let life = Life { birth: BlockNumber(newest), period };
        (period >= SHORTEST && life.dies().0 > best + 1).then_some(life)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(best: u32, finalized: u32, deadline: Option<u32>) -> Option<(u32, u32)> {
        let life =
            life(BlockNumber(best), BlockNumber(finalized), deadline.map(BlockNumber), 2_400);
        life.map(|life| (life.birth.0, life.period))
    }

    #[test]
    fn a_call_lives_six_minutes_and_never_beyond_its_deadline() {
        assert_eq!(of(1_000, 998, None), Some((997, 64)));
        assert_eq!(of(1_000, 1_000, Some(1_010)), Some((995, 16)));
        // The block after the best is the last one that it may be in.
        assert_eq!(of(1_149, 1_149, Some(1_150)), Some((1_147, 4)));
        assert_eq!(of(1_150, 1_150, Some(1_150)), None);
        // Near block 0, and with finality held.
        assert_eq!(of(0, 0, None), Some((0, 32)));
        assert_eq!(of(2, 0, None), Some((0, 32)));
        assert_eq!(of(1_000, 500, None), Some((37, 1_024)));
        assert_eq!(of(10_000, 500, None), Some((9_997, 64)));
    }

    proptest! {
        #[test]
        fn eras_hold_what_they_must(
            best in 0..20_000_u32, behind in 0..3_000_u32, window in proptest::option::of(0..200_u32),
            kept in 16..5_000_u32,
        ) {
            let deadline = window.map(|window| BlockNumber(best + window));
            let best = BlockNumber(best);
            let finalized = BlockNumber(best.0.saturating_sub(behind));
            let Some(life) = life(best, finalized, deadline, kept) else {
                // No block is left, or fewer than the shortest era has above block 0.
                prop_assert!(deadline.is_some_and(|deadline| deadline.0 < best.0 + SHORTEST));
                return Ok(());
            };
            prop_assert!(life.period.is_power_of_two() && life.period >= SHORTEST);
            prop_assert!(life.period <= kept.max(SHORTEST));
            prop_assert!(life.birth <= best, "its hash is there");
            prop_assert!(life.dies() > best.after(1), "the next block may have it");
            prop_assert!(deadline.is_none_or(|deadline| life.dies() <= deadline.after(1)));
        }
    }
}
