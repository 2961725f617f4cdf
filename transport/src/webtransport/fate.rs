//! What becomes of a frame that QUIC has to its end.
//!
//! One that is late is given up: on a path that stands still or is full, what comes after it is worth more. Where newer
//! frames came whole meanwhile the path is neither. Then packets of it were lost, twice or more often, and are under way
//! again: the encoder's answer would take as long as they do, and would leave out all frames between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;

/// Resends that an overtaken frame is waited for, each a round trip long.
const RESENDS: u32 = 2;
/// No frame is waited for longer because of them. Pages ask for a keyframe after 400 ms without a picture, and the
/// encoder's answer must be there before.
const LATEST: Duration = Duration::from_millis(300);

/// The newest frame that came whole; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest(Arc<AtomicU64>);

impl Newest {
    /// Waits for a frame that was the `number`th to be sent; whether it came whole. `time` is how long it may take, and
    /// `round_trip` tells how long one takes by then.
    pub(super) async fn came_whole(
        &self,
        number: u64,
        acknowledged: impl Future<Output = bool>,
        time: Duration,
        round_trip: impl Fn() -> Duration,
    ) -> bool {
        tokio::pin!(acknowledged);
        let came = match timeout(time, &mut acknowledged).await {
            Ok(came) => came,
            Err(_) => {
                let more = self.more(number, time, round_trip());
                timeout(more, acknowledged).await.unwrap_or(false)
            }
        };
        if came {
            self.0.fetch_max(number, Ordering::Relaxed);
        }
        came
    }

    /// How much longer to wait for a frame that did not come in time.
    fn more(&self, number: u64, time: Duration, round_trip: Duration) -> Duration {
        let is_overtaken = self.0.load(Ordering::Relaxed) > number;
        if is_overtaken {
            (round_trip * RESENDS).min(LATEST.saturating_sub(time))
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    async fn came(newest: &Newest, number: u64) -> bool {
        newest.came_whole(number, ready(true), ms(130), || ms(30)).await
    }

    #[tokio::test]
    async fn a_late_frame_that_newer_ones_overtook_is_waited_for_two_round_trips_longer() {
        let newest = Newest::default();
        let more = |round_trip| newest.more(2, ms(100 + round_trip), ms(round_trip));
        assert!(came(&newest, 1).await && came(&newest, 2).await);
        assert_eq!(more(30), ms(0), "nothing overtook it");
        assert!(came(&newest, 3).await && came(&newest, 1).await);
        assert_eq!(more(30), ms(60));
        assert_eq!(more(90), ms(110), "the page asks soon");
        assert_eq!(more(250), ms(0), "it had longer than that");
    }

    #[tokio::test]
    async fn one_that_does_not_come_is_given_up_and_overtakes_none() {
        let newest = Newest::default();
        assert!(!newest.came_whole(3, ready(false), ms(130), || ms(30)).await);
        assert!(!newest.came_whole(3, pending(), ms(0), || ms(30)).await);
        assert_eq!(newest.more(2, ms(130), ms(30)), ms(0));
        assert!(came(&newest, 3).await);
        assert!(!newest.came_whole(2, pending(), ms(0), || ms(1)).await);
    }

    /// Not there when the first time ends, and there when it is asked again.
    #[tokio::test]
    async fn an_acknowledgement_within_the_longer_time_counts() {
        let newest = Newest::default();
        assert!(came(&newest, 3).await);
        let asked = AtomicU64::new(0);
        let late = std::future::poll_fn(|_| {
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(true)
        });
        assert!(newest.came_whole(2, late, ms(0), || ms(30_000)).await);
    }
}
