//! When the next picture of a pulled source is due.
//!
//! Pictures lie on a grid of the frame interval. Input pulls the next one forward, so that what the
//! player did shows at once; the time borrowed is paid back by stretching the following intervals a
//! little, so that the rate over time stays what the encoder's bit rate was made for. A picture that
//! was missed is skipped, never caught up with a burst.

use std::time::Duration;

use media::{FrameRate, MediaTime};

/// An interval is stretched by at most one part in so many to pay back: below the quarter that the
/// goal for the frame interval's 95th percentile allows.
const STRETCH: u32 = 8;

/// Says when to draw. The driver sleeps until [`next_due`](Self::next_due), draws, and says how it
/// went.
#[derive(Clone, Debug)]
pub struct FramePacer {
    interval: Duration,
    least: Duration,
    /// The next place of the grid.
    due: MediaTime,
    /// Where input has pulled the next picture to; before `due`.
    pulled: Option<MediaTime>,
    last: Option<MediaTime>,
    /// Time that pictures were drawn early and that is not paid back yet.
    debt: Duration,
}

impl FramePacer {
    /// Pictures at `rate` from `now` on. `least` is the shortest time between two of them, taken as
    /// at most the interval of `rate`.
    pub fn new(now: MediaTime, rate: FrameRate, least: Duration) -> Self {
        let interval = rate.interval();
        let least = least.min(interval);
        Self { interval, least, due: now, pulled: None, last: None, debt: Duration::ZERO }
    }

    /// When to draw next. A time that has passed means now.
    pub fn next_due(&self) -> MediaTime {
        let spaced = self.last.map_or(MediaTime::ZERO, |last| last + self.least);
        self.pulled.unwrap_or(self.due).max(spaced)
    }

    /// The time between two pictures.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Changes the rate from the next picture on.
    pub fn set_rate(&mut self, rate: FrameRate) {
        self.interval = rate.interval();
        self.least = self.least.min(self.interval);
        self.debt = self.debt.min(self.most_debt());
        self.pulled = None;
        if let Some(last) = self.last {
            self.due = self.due.min(last + self.interval);
        }
    }

    /// Drawing began at `now`.
    pub fn on_frame(&mut self, now: MediaTime) {
        let early = self.due.since(now);
        if early > Duration::ZERO {
            let borrowed = early.min(self.most_debt().saturating_sub(self.debt));
            self.debt += borrowed;
            self.due = self.due + (self.interval - borrowed);
        } else {
            self.skip_past(now);
        }
        let paid = self.debt.min(self.interval / STRETCH);
        self.debt -= paid;
        self.due = self.due + paid;
        self.last = Some(now);
        self.pulled = None;
    }

    /// The source was asked at `now` and nothing had changed: no picture was spent, so that the next
    /// input is answered at once.
    pub fn on_unchanged(&mut self, now: MediaTime) {
        self.debt = Duration::ZERO;
        self.pulled = None;
        self.skip_past(now);
    }

    /// The player did something at `now`.
    pub fn on_input(&mut self, now: MediaTime) {
        let credit = self.most_debt().saturating_sub(self.debt);
        let spaced = self.last.map_or(now, |last| last + self.least);
        let target = now.max(spaced).max(self.due - credit);
        if target < self.next_due() {
            self.pulled = Some(target);
        }
    }

    /// How early a picture can be in all.
    fn most_debt(&self) -> Duration {
        self.interval - self.least
    }

    /// Moves the grid to its first place after `now`; what lies between is lost, and debts with it.
    fn skip_past(&mut self, now: MediaTime) {
        let late = now.since(self.due);
        if late >= self.interval {
            self.debt = Duration::ZERO;
        }
        let missed = late.as_nanos() / self.interval.as_nanos().max(1);
        let places = u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1);
        self.due = self.due + self.interval.saturating_mul(places);
        if self.due <= now {
            self.due = now + self.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_millis(20);
    const LEAST: Duration = Duration::from_millis(8);

    fn pacer() -> FramePacer {
        FramePacer::new(MediaTime::ZERO, FrameRate::fps(50), LEAST)
    }

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn pictures_lie_on_a_grid_even_when_each_is_a_little_late() {
        let mut pacer = pacer();
        for frame in 0..1_000 {
            assert_eq!(pacer.next_due(), ms(frame * 20));
            pacer.on_frame(ms(frame * 20 + frame % 7));
        }
    }

    #[test]
    fn missed_pictures_are_not_caught_up() {
        let mut pacer = pacer();
        pacer.on_frame(ms(0));
        pacer.on_frame(ms(95));
        assert_eq!(pacer.next_due(), ms(103));
        pacer.on_frame(ms(103));
        assert_eq!(pacer.next_due(), ms(120));
    }

    #[test]
    fn input_pulls_the_next_picture_forward_and_the_time_is_paid_back() {
        let mut pacer = pacer();
        pacer.on_frame(ms(0));
        pacer.on_input(ms(3));
        assert_eq!(pacer.next_due(), ms(8));
        pacer.on_input(ms(12));
        assert_eq!(pacer.next_due(), ms(8), "a later input never pushes back");
        pacer.on_frame(ms(12));
        let mut at = ms(12);
        let mut gaps = Vec::new();
        for _ in 0..5 {
            gaps.push(pacer.next_due().since(at));
            at = pacer.next_due();
            pacer.on_frame(at);
        }
        let us: Vec<_> = gaps.iter().map(Duration::as_micros).collect();
        assert_eq!(us, [22_500, 22_500, 22_500, 20_500, 20_000]);
    }

    #[test]
    fn after_an_unchanged_picture_input_is_answered_at_once() {
        let mut pacer = pacer();
        pacer.on_frame(ms(0));
        for tick in 1..10 {
            assert_eq!(pacer.next_due(), ms(tick * 20));
            pacer.on_unchanged(ms(tick * 20));
        }
        pacer.on_input(ms(190));
        assert_eq!(pacer.next_due(), ms(190));
    }

    #[test]
    fn a_new_rate_counts_from_the_last_picture() {
        let mut pacer = FramePacer::new(MediaTime::ZERO, FrameRate::fps(10), LEAST);
        pacer.on_frame(ms(0));
        pacer.set_rate(FrameRate::fps(50));
        assert_eq!(pacer.next_due(), ms(20));
        pacer.set_rate(FrameRate::fps(10));
        pacer.on_frame(ms(20));
        assert_eq!(pacer.next_due(), ms(120));
    }

    proptest! {
        #[test]
        fn no_input_raises_the_rate_or_breaks_the_least_interval(
            // Microseconds from one thing to the next: an input (true), or drawing when it is due.
            happenings in proptest::collection::vec((0_u64..15_000, any::<bool>()), 1..400),
            late in 0_u64..30_000,
        ) {
            let mut pacer = pacer();
            let (mut now, mut frames): (MediaTime, Vec<MediaTime>) = (MediaTime::ZERO, Vec::new());
            for (gap, input) in happenings {
                let next = now + Duration::from_micros(gap);
                while pacer.next_due() <= next {
                    // Now and then the machine is late.
                    let delay = if frames.len() % 5 == 4 { late } else { 0 };
                    now = now.max(pacer.next_due()) + Duration::from_micros(delay);
                    if let Some(&last) = frames.last() {
                        prop_assert!(now.since(last) >= LEAST);
                    }
                    frames.push(now);
                    pacer.on_frame(now);
                    prop_assert!(pacer.next_due() >= now + LEAST);
                    prop_assert!(pacer.next_due() <= now + INTERVAL * 9 / 8);
                }
                now = now.max(next);
                if input {
                    pacer.on_input(now);
                }
            }
            let most = now.as_micros() / 20_000 + 3;
            prop_assert!(frames.len() as u64 <= most, "{} frames in {now:?}", frames.len());
        }
    }
}
