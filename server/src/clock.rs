//! The media clock of this process.

use std::time::Instant;

use media::{Clock, MediaTime};

/// Nanoseconds since the clock was made, from the system's monotonic clock. One per process.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    /// Starts at zero now.
    #[allow(
        clippy::new_without_default,
        reason = "a default would hide that each clock is its own"
    )]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> MediaTime {
        let nanos = self.origin.elapsed().as_nanos();
        MediaTime::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
