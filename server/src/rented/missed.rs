//! When orders that nobody saw are looked for by the histories of a machine's renters: with the first final block, and with
//! each that comes no sooner after the one before than the shortest order lasts, since none is made and over meanwhile. One
//! that is earlier by no more than that is of a node that lags, and an earlier one of a chain that was begun anew.

use std::time::Duration;

use session::rental::BlockNumber;
use tokio::time::Instant;

use super::paid::AGAIN;

/// The longest pause between two tries to read renters' histories that fail: each costs all of the chain's readers their
/// connection.
const SELDOM: Duration = Duration::from_secs(5 * 60);

/// See the module. It outlasts connections.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// The final block that they were known by last.
    known: Option<BlockNumber>,
    /// Where that failed since: when they are looked for again, and how long that pause is.
    again: Option<(Instant, Duration)>,
}

impl Missed {
    /// Whether they are to be looked for now, where this is the newest final block and the shortest order lasts so many.
    pub(super) fn is_due(&self, now: Instant, head: BlockNumber, shortest: u32) -> bool {
        let is_known =
            |known: BlockNumber| head.since(known) < shortest && known.since(head) <= shortest;
        match self.again {
            Some((again, _)) => again <= now,
            None => !self.known.is_some_and(is_known),
        }
    }

    /// They are known by a final block.
    pub(super) fn found(&mut self, head: BlockNumber) {
        *self = Self { known: Some(head), again: None };
    }

    /// They could not be looked for.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = self.again.map_or(AGAIN, |(_, pause)| SELDOM.min(pause * 2));
        self.again = Some((now + pause, pause));
    }

    /// When they are looked for again after a failure.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again.map(|(again, _)| again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_read_once_a_shortest_order_and_ever_more_seldom_where_that_fails() {
        let (start, mut missed) = (Instant::now(), Missed::default());
        let is_due = |missed: &Missed, seconds, head| {
            missed.is_due(start + Duration::from_secs(seconds), BlockNumber(head), 300)
        };
        assert!(is_due(&missed, 0, 1_000));
        missed.found(BlockNumber(1_000));
        // Also where the chain is connected to anew.
        assert!(!is_due(&missed, 0, 1_000) && !is_due(&missed, 0, 1_299));
        assert!(is_due(&missed, 0, 1_300));
        assert!(!is_due(&missed, 0, 999) && !is_due(&missed, 0, 700), "a node lags");
        assert!(is_due(&missed, 0, 699), "a chain of development was begun anew");
        let mut now = 0;
        for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
            missed.failed(start + Duration::from_secs(now));
            assert!(!is_due(&missed, now + pause - 1, 9_000));
            assert!(is_due(&missed, now + pause, 9_000));
            now += pause;
        }
        missed.found(BlockNumber(9_000));
        assert!(!is_due(&missed, now, 9_000));
        missed.failed(start);
        assert!(is_due(&missed, 5, 9_300), "the pause begins anew");
    }
}
