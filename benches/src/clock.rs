//! How the clocks of this process, this machine and the page stand to each other.
//!
//! All three tick on one machine, so two comparisons are enough; each has an error that is stated.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use media::Clock;
use serde::Deserialize;

/// Readings of which the tightest counts.
const READINGS: usize = 500;

/// The system's clock against the media clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairing {
    /// System's time minus media time, in microseconds.
    offset_us: f64,
    /// The true offset is within so many microseconds.
    error_us: f64,
}

impl Pairing {
    /// Reads the clocks, the media clock between two readings of the system's.
    pub(crate) fn read(clock: &dyn Clock) -> Result<Self> {
        let since_epoch = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH).context("the system's clock is before 1970")
        };
        let mut best: Option<(Duration, f64)> = None;
        for _ in 0..READINGS {
            let before = since_epoch(SystemTime::now())?;
            let media = clock.now();
            let after = since_epoch(SystemTime::now())?;
            // A step of the system's clock in between makes no reading.
            let Some(width) = after.checked_sub(before) else { continue };
            if best.is_none_or(|(narrowest, _)| width < narrowest) {
                let middle = before + width / 2;
                best = Some((width, micros(middle) - media.as_nanos() as f64 / 1e3));
            }
        }
        let (width, offset_us) = best.context("the system's clock does not run")?;
        Ok(Self { offset_us, error_us: micros(width) / 2.0 })
    }
}

fn micros(length: Duration) -> f64 {
    length.as_nanos() as f64 / 1e3
}

/// The page's clock against the system's, as the page measured it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageClock {
    /// The page's clock minus the system's, in microseconds.
    ahead_us: f64,
    /// Width of the middle half of the readings.
    spread_us: f64,
    /// Least step of the page's clock.
    step_us: f64,
}

/// The page's clock against the media clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relation {
    /// The page's clock minus the media clock, in microseconds.
    page_minus_media_us: f64,
    /// Error in microseconds, for a single time.
    pub(crate) error_us: f64,
    /// How coarse the page's clock is, in microseconds.
    pub(crate) step_us: f64,
}

impl Relation {
    /// Joins both comparisons. Half a step of the page's clock is the error of any time that it tells.
    pub(crate) fn new(pairing: Pairing, page: PageClock) -> Self {
        Self {
            page_minus_media_us: pairing.offset_us + page.ahead_us,
            error_us: pairing.error_us + page.spread_us / 2.0 + page.step_us / 2.0,
            step_us: page.step_us,
        }
    }

    /// The relation in the middle of two readings; what it drifted between them adds to the error.
    pub(crate) fn between(before: Self, after: Self) -> Self {
        let drift = (after.page_minus_media_us - before.page_minus_media_us).abs();
        Self {
            page_minus_media_us: f64::midpoint(
                before.page_minus_media_us,
                after.page_minus_media_us,
            ),
            error_us: before.error_us.max(after.error_us) + drift / 2.0,
            step_us: before.step_us.max(after.step_us),
        }
    }

    /// One clock for both, for tests.
    #[cfg(test)]
    pub(crate) const fn exact() -> Self {
        Self { page_minus_media_us: 0.0, error_us: 0.0, step_us: 0.0 }
    }

    /// A time of the page as media time, in microseconds.
    pub(crate) fn media_us(&self, page_us: u64) -> f64 {
        page_us as f64 - self.page_minus_media_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeClock;

    #[test]
    fn a_time_of_the_page_becomes_media_time() {
        let pairing = Pairing { offset_us: 1_000_000.0, error_us: 1.0 };
        let page = PageClock { ahead_us: 300.0, spread_us: 20.0, step_us: 100.0 };
        let first = Relation::new(pairing, page);
        assert_eq!(first.media_us(1_005_300), 5_000.0);
        assert_eq!(first.error_us, 61.0);
        let later = Relation::new(pairing, PageClock { ahead_us: 310.0, ..page });
        let both = Relation::between(first, later);
        assert_eq!(both.media_us(1_005_305), 5_000.0);
        assert_eq!(both.error_us, 66.0);
    }

    #[test]
    fn clocks_of_this_process_pair_within_a_millisecond() {
        let pairing = Pairing::read(&FakeClock::default()).unwrap();
        assert!(pairing.offset_us > 1.5e15, "microseconds since 1970");
        assert!(pairing.error_us < 1_000.0, "{pairing:?}");
    }
}
