//! Time on the media clock.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the node's monotonic media clock: nanoseconds since the clock's origin.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MediaTime(u64);

impl MediaTime {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
    /// From microseconds since the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros * 1_000)
    }
    /// From milliseconds since the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }
    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// Microseconds since the origin, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }
    /// Time since `earlier`; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
    /// This time on an RTP clock of `hertz` ticks a second (RFC 3550 §5.1), before the random offset.
    pub fn rtp_ticks(self, hertz: u32) -> u32 {
        // Only the low 32 bits travel; the truncation is the wrap that RTP expects.
        (u128::from(self.0) * u128::from(hertz) / 1_000_000_000) as u32
    }
}

impl Add<Duration> for MediaTime {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for MediaTime {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// What adapters read the media clock from; injected, so that tests own the time.
pub trait Clock: Send + Sync {
    /// The present moment. Never goes back.
    fn now(&self) -> MediaTime;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_ticks_wrap_at_32_bits() {
        assert_eq!(MediaTime::from_millis(1_000).rtp_ticks(90_000), 90_000);
        // 2^32 ticks of 90 kHz take about 13 h 15 min.
        let wrap = MediaTime::from_nanos(47_721_858_844_445);
        assert_eq!(wrap.rtp_ticks(90_000), 0);
    }

    #[test]
    fn differences_saturate() {
        let (a, b) = (MediaTime::from_millis(1), MediaTime::from_millis(3));
        assert_eq!(b.since(a), Duration::from_millis(2));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(a - Duration::from_secs(1), MediaTime::ZERO);
    }
}
