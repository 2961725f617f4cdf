//! What a worker counts.

use std::time::Duration;

/// Upper bounds of the encode time histogram, in microseconds; above the last is one bucket more.
const BOUNDS: [u64; 12] =
    [500, 1_000, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 16_000, 24_000, 33_000, 66_000];

/// Counters of a worker since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// The encoder in use; none before the first was opened and after the last failed.
    pub encoder: Option<&'static str>,
    /// Units taken by the sink.
    pub encoded: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Frames replaced by a newer one before they were looked at.
    pub dropped: u64,
    /// Frames dropped before the encoder: the sink was not ready, or they could not have been
    /// decoded.
    pub skipped: u64,
    /// Frames dropped before the encoder: the client had not acknowledged enough of those before.
    pub throttled: u64,
    /// Units that the sink refused although it had said that it was ready.
    pub refused: u64,
    /// Pictures that came in RGB and were converted here; others are made in the encoder's layout.
    pub converted: u64,
    /// Pictures that could not be had, converted or coded.
    pub failed: u64,
    /// How long encoding took.
    pub times: EncodeTimes,
}

/// A histogram of encode times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeTimes {
    counts: [u64; BOUNDS.len() + 1],
    /// Sum over all pictures.
    pub sum: Duration,
    /// The newest.
    pub last: Duration,
}

impl EncodeTimes {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|&bound| bound < micros)] += 1;
        self.sum += time;
        self.last = time;
    }

    /// Buckets in ascending order: upper bound (none above the last) and pictures in this bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|&bound| Some(Duration::from_micros(bound)));
        bounds.chain([None]).zip(self.counts.iter().copied())
    }

    /// Pictures in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_land_in_the_bucket_that_holds_them() {
        let mut times = EncodeTimes::default();
        for micros in [0, 500, 501, 70_000] {
            times.record(Duration::from_micros(micros));
        }
        let filled: Vec<_> = times.buckets().filter(|&(_, count)| count > 0).collect();
        let bound = |micros| Some(Duration::from_micros(micros));
        assert_eq!(filled, [(bound(500), 2), (bound(1_000), 1), (None, 1)]);
        assert_eq!((times.count(), times.last), (4, Duration::from_millis(70)));
    }
}
