//! Media clocks for tests and benches: one that moves only when it is told to, and the system's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use media::{Clock, MediaTime};

/// Stands still until [`advance`](Self::advance). Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct FakeClock {
    nanos: Arc<AtomicU64>,
}

impl FakeClock {
    /// A clock that shows `at`.
    pub fn at(at: MediaTime) -> Self {
        Self { nanos: Arc::new(AtomicU64::new(at.as_nanos())) }
    }

    /// Moves the clock on and returns the new time.
    pub fn advance(&self, by: Duration) -> MediaTime {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        MediaTime::from_nanos(self.nanos.fetch_add(by, Ordering::SeqCst).saturating_add(by))
    }

    /// Moves the clock on to `at`; a time that has passed leaves it where it is.
    pub fn advance_to(&self, at: MediaTime) {
        self.nanos.fetch_max(at.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> MediaTime {
        MediaTime::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}

/// The system's monotonic clock since it was made, where sockets or codecs are real.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(Instant);

impl WallClock {
    /// A clock that shows zero now, to be shared.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for WallClock {
    fn now(&self) -> MediaTime {
        MediaTime::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_time_and_it_never_goes_back() {
        let clock = FakeClock::at(MediaTime::from_millis(5));
        let other = clock.clone();
        assert_eq!(clock.advance(Duration::from_millis(2)), MediaTime::from_millis(7));
        other.advance_to(MediaTime::from_millis(3));
        assert_eq!(other.now(), MediaTime::from_millis(7));
    }
}
