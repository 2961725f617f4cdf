//! Percentiles of one slice without keeping its samples: 32 classes an octave, so a figure is at most 3.2 % too high.

use std::time::Duration;

use crate::receipts::UNKNOWN;

/// Classes of an octave.
const FINE: u32 = 32;
/// Up to 2^24 microseconds, which is more than a slice; what is longer counts as that.
const OCTAVES: u32 = 25;

/// How often latencies were in which class.
#[derive(Debug)]
pub(super) struct Latencies {
    counts: Box<[u32; (FINE * OCTAVES) as usize]>,
    all: u32,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: Box::new([0; (FINE * OCTAVES) as usize]), all: 0 }
    }
}

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        if let Some(count) = self.counts.get_mut(class_of(micros)) {
            *count = count.saturating_add(1);
        }
        self.all = self.all.saturating_add(1);
    }

    /// The 50th, 95th and 99th in microseconds.
    pub(super) fn percentiles(&self) -> [u32; 3] {
        [50, 95, 99].map(|percent| self.percentile(percent))
    }

    fn percentile(&self, percent: u64) -> u32 {
        let rank = (u64::from(self.all) * percent).div_ceil(100);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += u64::from(*count);
            below >= rank && rank > 0
        });
        found.map_or(UNKNOWN, upper_of)
    }
}

fn class_of(micros: u32) -> usize {
    let micros = micros.clamp(1, (1 << (OCTAVES - 1)) - 1);
    let octave = micros.ilog2();
    // The bits below the highest, five of them.
    let fine =
        if octave >= 5 { (micros >> (octave - 5)) & 31 } else { (micros << (5 - octave)) & 31 };
    (octave * FINE + fine) as usize
}

/// The highest of a class.
fn upper_of(class: usize) -> u32 {
    let (octave, fine) = (class as u32 / FINE, class as u32 % FINE);
    if octave >= 5 { ((32 + fine + 1) << (octave - 5)) - 1 } else { (32 + fine) >> (5 - octave) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_close_and_never_too_low() {
        let mut all = Latencies::default();
        assert_eq!(all.percentiles(), [UNKNOWN; 3]);
        (1..=10_000).for_each(|micros| all.add(Duration::from_micros(micros)));
        for (found, exact) in all.percentiles().into_iter().zip([5_000_u32, 9_500, 9_900]) {
            assert!(
                found >= exact && f64::from(found) <= f64::from(exact) * 1.032,
                "{found} {exact}"
            );
        }
    }

    #[test]
    fn every_latency_has_a_class_that_holds_it() {
        for micros in (0..2_000).chain([65_535, 65_536, 1 << 23, (1 << 24) - 1]) {
            let upper = upper_of(class_of(micros));
            assert!(upper >= micros && upper <= micros + micros / 31 + 1, "{micros} {upper}");
        }
        let mut all = Latencies::default();
        all.add(Duration::from_secs(1_000_000));
        assert_eq!(all.percentiles(), [(1 << 24) - 1; 3]);
    }
}
