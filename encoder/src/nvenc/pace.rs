//! When slices are looked for. Pure: it is told the time, since its picture was begun.
//!
//! Each look is a call into the driver, and what a slice waits for the next one delays it. So a slice is not
//! looked for before it was there in the quickest of the last pictures, counted from the slice before it: what
//! holds up a picture as a whole then counts once. From then on it is looked for every [`SHORT`], and more
//! seldom as it comes later than that. That is two to three looks a slice where all pictures take the same time,
//! and about six where times differ by a fifth and pictures are held up by up to a millisecond. The bench's double,
//! whose first slice comes when OpenH264 is done with all, takes nine.
//!
//! No pause is longer than [`LONG`], so that a device that becomes quicker at once is late by no more; where that
//! shows, the first pictures after it are looked for much earlier. The last slice is not looked for at all (see
//! `output`).

use std::time::Duration;

/// Least and most time between two looks.
const SHORT: Duration = Duration::from_micros(50);
const LONG: Duration = Duration::from_millis(2);
/// Pictures of which the quickest counts.
const PICTURES: usize = 8;
/// The part of a time by which it may be wrong: of that by which a slice is late already, until the next look,
/// and of that at which one was found that may have been there for long. The next time that is the case in
/// a row twice as much, and so on.
const PART: u32 = 8;

/// Times of one session's slices.
#[derive(Debug)]
pub(super) struct Pace {
    slices: Vec<Slice>,
    /// Where the picture's own times go.
    picture: usize,
    /// Slices of it that are there.
    there: usize,
    /// When the newest of them was found.
    found: Duration,
    /// The last look since then.
    missed: Option<Duration>,
}

/// Times of the slices of one number.
#[derive(Clone, Debug, Default)]
struct Slice {
    /// When it was not there yet in the last pictures, since the one before it was found.
    missing: [Duration; PICTURES],
    /// Pictures in a row in which it may have been there for long.
    late: u32,
}

impl Pace {
    /// For pictures of so many slices, of which nothing is known.
    pub(super) fn new(slices: u8) -> Self {
        let slices = vec![Slice::default(); slices.into()];
        Self { slices, picture: 0, there: 0, found: Duration::ZERO, missed: None }
    }

    /// Nothing is known of the pictures to come.
    pub(super) fn forget(&mut self) {
        self.slices.fill(Slice::default());
    }

    /// The next picture is begun.
    pub(super) fn begin(&mut self) {
        self.picture = (self.picture + 1) % PICTURES;
        (self.there, self.found, self.missed) = (0, Duration::ZERO, None);
    }

    /// So many slices were there with a look at this time.
    pub(super) fn looked(&mut self, at: Duration, there: usize) {
        if there <= self.there {
            self.missed = Some(at);
            return;
        }
        let expected = self.expected();
        let missed = self.missed.take().map(|missed| missed.saturating_sub(self.found));
        let since = at.saturating_sub(self.found);
        for (number, slice) in self.slices.iter_mut().enumerate().take(there).skip(self.there) {
            let (missed, since) = match number == self.there {
                true => (missed, since),
                // With the one before it.
                false => (None, Duration::ZERO),
            };
            slice.found(self.picture, missed, since, expected);
        }
        (self.there, self.found) = (there, at);
    }

    /// How long to sleep until the next look.
    pub(super) fn pause(&self, now: Duration) -> Duration {
        let since = now.saturating_sub(self.found);
        match self.expected().checked_sub(since) {
            Some(early) => early.clamp(SHORT, LONG),
            None => ((since - self.expected()) / PART).clamp(SHORT, LONG),
        }
    }

    /// When the next slice was there in the quickest picture, since the one before it was found.
    fn expected(&self) -> Duration {
        let times = self.slices.get(self.there).and_then(|slice| slice.missing.iter().min());
        times.copied().unwrap_or_default()
    }
}

impl Slice {
    /// It was found at this time, and was missing at the one before; all since the slice before it was found.
    fn found(
        &mut self,
        picture: usize,
        missed: Option<Duration>,
        since: Duration,
        expected: Duration,
    ) {
        // Whether the look that found it is the first one that was to.
        let first = since >= expected && missed.is_none_or(|missed| missed < expected);
        self.late = if first { self.late + 1 } else { 0 };
        let wrong = (since / PART * (1 << self.late.saturating_sub(1).min(3))).max(2 * SHORT);
        let least = missed.unwrap_or_default();
        self.missing[picture] = if first { since.saturating_sub(wrong).max(least) } else { least };
    }
}

#[cfg(test)]
mod tests {
    use testkit::Rng;

    use super::*;

    /// Microseconds by which a sleep is longer than it was meant to be.
    const OVERSLEPT: u64 = 8;

    /// What came of a picture.
    #[derive(Default)]
    struct Seen {
        looks: u32,
        /// Microseconds that the slice that waited longest waited to be found.
        late: u64,
    }

    /// Follows a picture whose slices are ready at these times, in microseconds.
    fn follow(pace: &mut Pace, ready: &[u64]) -> Seen {
        let (mut now, mut seen, mut found) = (Duration::ZERO, Seen::default(), 0);
        pace.begin();
        loop {
            let micros = now.as_micros() as u64;
            let there = ready.iter().filter(|ready| **ready <= micros).count();
            pace.looked(now, there);
            seen.looks += 1;
            let new = ready[found..there].iter().map(|ready| micros - ready);
            seen.late = new.fold(seen.late, u64::max);
            found = there;
            if there == ready.len() {
                return seen;
            }
            now += pace.pause(now) + Duration::from_micros(OVERSLEPT);
        }
    }

    #[test]
    fn slices_that_come_as_they_did_are_found_with_three_looks_each_at_the_most() {
        let mut pace = Pace::new(4);
        let first = follow(&mut pace, &[1_000, 2_000, 3_000]);
        assert!(first.looks < 60 && first.late <= 200, "{} looks", first.looks);
        // Each refines what the one before found, and the last ones count.
        let seen: Vec<_> = (1..50).map(|_| follow(&mut pace, &[1_000, 2_000, 3_000])).collect();
        assert!(seen.iter().all(|seen| seen.late <= 200));
        let looks: u32 = seen[2 * PICTURES..].iter().map(|seen| seen.looks).sum();
        let settled = seen.len() as u32 - 2 * PICTURES as u32;
        assert!(looks <= 9 * settled, "{looks} of {settled} pictures");
        assert!(seen[2 * PICTURES..].iter().all(|seen| seen.late <= 70));
    }

    /// The whole picture is held up by up to a millisecond, and each slice takes a fifth more or less.
    #[test]
    fn slices_that_take_this_long_or_that_are_found_soon_with_few_looks() {
        let (mut pace, mut random) = (Pace::new(4), Rng::new(7));
        let (mut looks, mut late) = (0, Vec::new());
        for picture in 0..1_000 {
            let mut at = random.below(1_000);
            let ready = [(); 3].map(|()| {
                at += 900 + random.below(200);
                at
            });
            let seen = follow(&mut pace, &ready);
            if picture >= PICTURES {
                looks += seen.looks;
                late.push(seen.late);
            }
        }
        late.sort_unstable();
        let pictures = late.len() as u32;
        assert!(looks < 30 * pictures, "{looks} looks of {pictures} pictures");
        let late = [late[late.len() / 2], late[late.len() * 19 / 20]];
        assert!(late[0] <= 80 && late[1] <= 150, "{late:?}");
    }

    #[test]
    fn a_slice_that_is_late_is_looked_for_more_seldom() {
        let mut pace = Pace::new(2);
        for _ in 0..20 {
            follow(&mut pace, &[1_000, 2_000]);
        }
        // A hundred times as long as it ever took.
        let seen = follow(&mut pace, &[100_000, 200_000]);
        assert!(seen.late <= 2_100 && seen.looks < 170, "{} us, {} looks", seen.late, seen.looks);
    }

    #[test]
    fn a_device_that_becomes_quicker_at_once_is_followed_within_four_pictures() {
        for [before, after] in [[8_000, 1_000], [1_500, 200], [1_000, 700]] {
            let mut pace = Pace::new(2);
            for _ in 0..20 {
                follow(&mut pace, &[before, 2 * before]);
            }
            let late: Vec<_> =
                (0..20).map(|_| follow(&mut pace, &[after, 2 * after]).late).collect();
            assert!(late[0] <= 2_100, "{late:?}");
            assert!(late[4..].iter().all(|late| *late <= 150), "{late:?}");
        }
    }

    /// As of pictures of another size.
    #[test]
    fn what_is_forgotten_holds_nothing_up() {
        let mut pace = Pace::new(2);
        for _ in 0..20 {
            follow(&mut pace, &[1_500, 3_000]);
        }
        pace.forget();
        assert!(follow(&mut pace, &[100, 200]).late <= 60);
    }
}
