//! The least of a stream of values over the last seconds, in constant memory.

use std::time::Duration;

use media::MediaTime;

/// Parts that a window is cut into; the window forgets one part at a time.
const PARTS: usize = 10;

/// The least value of the window. Values may be forgotten up to a tenth of the window early, never
/// late.
#[derive(Clone, Debug)]
pub(crate) struct WindowedMin {
    part: Duration,
    /// The least value of each part, by the number of the part.
    parts: [Option<(u64, i64)>; PARTS],
}

impl WindowedMin {
    pub(crate) fn new(window: Duration) -> Self {
        Self { part: (window / PARTS as u32).max(Duration::from_nanos(1)), parts: [None; PARTS] }
    }

    /// Adds a value and returns the least of the window.
    pub(crate) fn add(&mut self, now: MediaTime, value: i64) -> i64 {
        let number = self.number(now);
        let slot = &mut self.parts[number as usize % PARTS];
        *slot = match *slot {
            Some((of, least)) if of == number => Some((number, least.min(value))),
            _ => Some((number, value)),
        };
        self.parts
            .iter()
            .flatten()
            .filter(|(of, _)| of + PARTS as u64 > number)
            .map(|&(_, least)| least)
            .min()
            .unwrap_or(value)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.parts = [None; PARTS];
    }

    fn number(&self, now: MediaTime) -> u64 {
        let part = u64::try_from(self.part.as_nanos()).unwrap_or(u64::MAX);
        now.as_nanos() / part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_least_of_the_last_nine_to_ten_parts(
            values in proptest::collection::vec((0_u64..3_000, -1_000_i64..1_000), 1..100),
        ) {
            let mut window = WindowedMin::new(Duration::from_secs(10));
            let (mut now, mut seen) = (MediaTime::ZERO, Vec::new());
            for (gap, value) in values {
                now = now + Duration::from_millis(gap);
                seen.push((now, value));
                let got = window.add(now, value);
                let least = |reach: u64| {
                    seen.iter()
                        .filter(|(at, _)| now.since(*at) <= Duration::from_secs(reach))
                        .map(|&(_, value)| value)
                        .min()
                };
                prop_assert!(Some(got) <= least(9) && Some(got) >= least(10));
            }
        }
    }
}
