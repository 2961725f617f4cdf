//! When slices are looked for. Pure: it is told the time, since its picture was begun.
//!
//! Each look is a call into the driver, and what a slice waits for the next one delays it. So a slice is not
//! looked for before it was there in the quickest of the last pictures; from then on every [`SHORT`], and
//! more seldom as it comes later than that.

use std::time::Duration;

/// Least and most time between two looks. A thread that sleeps so shortly wakes some 50 µs later than it
/// asked for, so that a slice waits for about as long in the mean.
const SHORT: Duration = Duration::from_micros(50);
const LONG: Duration = Duration::from_millis(2);
/// Pictures of which the quickest counts.
const PICTURES: usize = 8;
/// The part of a time by which it may be wrong: of that by which a slice is late already, until the next look,
/// and of that at which one was found that may have been there for long.
const PART: u32 = 8;

/// Times of one session's slices.
#[derive(Debug)]
pub(super) struct Pace {
    /// For each slice of a picture: when it was not there yet, in the last pictures.
    missing: Vec<[Duration; PICTURES]>,
    /// Where the picture's own go.
    picture: usize,
    /// Slices of it that are there.
    there: usize,
    /// The last look at which the next one was expected, and missing.
    missed: Option<Duration>,
}

impl Pace {
    /// For pictures of so many slices, of which nothing is known.
    pub(super) fn new(slices: u8) -> Self {
        let missing = vec![[Duration::ZERO; PICTURES]; slices.into()];
        Self { missing, picture: 0, there: 0, missed: None }
    }

    /// The next picture is begun.
    pub(super) fn begin(&mut self) {
        self.picture = (self.picture + 1) % PICTURES;
        (self.there, self.missed) = (0, None);
    }

    /// So many slices were there with a look at this time.
    pub(super) fn looked(&mut self, at: Duration, there: usize) {
        if there <= self.there {
            if at >= self.expected() {
                self.missed = Some(at);
            }
            return;
        }
        let missing = self.missed.take();
        let missing = missing.unwrap_or_else(|| at.saturating_sub((at / PART).max(2 * SHORT)));
        for times in self.missing.iter_mut().take(there).skip(self.there) {
            times[self.picture] = missing;
        }
        self.there = there;
    }

    /// How long to sleep until the next look.
    pub(super) fn pause(&self, now: Duration) -> Duration {
        match self.expected().checked_sub(now) {
            Some(early) => early.max(SHORT),
            None => ((now - self.expected()) / PART).clamp(SHORT, LONG),
        }
    }

    /// When the next slice was there in the quickest picture.
    fn expected(&self) -> Duration {
        let times = self.missing.get(self.there).and_then(|times| times.iter().min());
        times.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use testkit::Rng;

    use super::*;

    /// What came of a picture.
    #[derive(Default)]
    struct Seen {
        looks: u32,
        /// Microseconds that the last slice waited to be found.
        late: u64,
    }

    /// Follows a picture whose slices are ready at these times, in microseconds.
    fn follow(pace: &mut Pace, ready: &[u64]) -> Seen {
        let (mut now, mut seen) = (Duration::ZERO, Seen::default());
        pace.begin();
        loop {
            let micros = now.as_micros() as u64;
            let there = ready.iter().filter(|ready| **ready <= micros).count();
            pace.looked(now, there);
            seen.looks += 1;
            if there == ready.len() {
                seen.late = micros - ready.last().unwrap();
                return seen;
            }
            now += pace.pause(now);
        }
    }

    #[test]
    fn slices_that_come_as_they_did_are_found_with_two_looks_each() {
        let mut pace = Pace::new(4);
        let first = follow(&mut pace, &[1_000, 2_000, 3_000, 4_000]);
        assert!(first.looks < 40 && first.late <= 500, "{} looks", first.looks);
        // Each refines what the one before found, and the last ones count.
        let seen: Vec<_> =
            (1..50).map(|_| follow(&mut pace, &[1_000, 2_000, 3_000, 4_000])).collect();
        assert!(seen.iter().all(|seen| seen.late <= 500));
        let settled = &seen[2 * PICTURES..];
        assert!(settled.iter().all(|seen| seen.late <= 50 && seen.looks <= 9));
    }

    #[test]
    fn slices_that_take_this_long_or_that_are_found_soon_with_few_looks() {
        let (mut pace, mut random) = (Pace::new(4), Rng::new(7));
        let (mut looks, mut late) = (0, 0);
        for picture in 0..1_000 {
            let mut at = 0;
            let ready = [(); 4].map(|()| {
                at += 900 + random.below(200);
                at
            });
            let seen = follow(&mut pace, &ready);
            if picture >= PICTURES {
                (looks, late) = (looks + seen.looks, late + seen.late);
            }
        }
        let pictures = 1_000 - PICTURES as u32;
        assert!(looks < 30 * pictures, "{looks} looks");
        assert!(late < 60 * u64::from(pictures), "{late} us");
    }

    #[test]
    fn a_slice_that_is_late_is_looked_for_more_seldom_and_a_quicker_device_is_followed() {
        let mut pace = Pace::new(2);
        for _ in 0..20 {
            follow(&mut pace, &[1_000, 2_000]);
        }
        // A hundred times as long as it ever took.
        let seen = follow(&mut pace, &[100_000, 200_000]);
        assert!(seen.late <= 2_000 && seen.looks < 170, "{} us, {} looks", seen.late, seen.looks);
        for _ in 0..20 {
            follow(&mut pace, &[1_000, 8_000]);
        }
        let late: Vec<_> = (0..20).map(|_| follow(&mut pace, &[1_000, 2_000]).late).collect();
        assert!(late[0] > 5_000 && late[14..].iter().all(|late| *late < 150), "{late:?}");
    }
}
