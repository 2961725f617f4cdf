//! When the next picture of a display may pass.
//!
//! Pictures pass at a rate. One may come up to half an interval early, so that one that the game draws at the same rate never
//! waits for more than its own jitter. The rate is a little above the nominal one: a game that keeps it exactly would never
//! make up for a picture that was late once, and all that follow would wait.
//!
//! What is drawn first after input passes at once. The time borrowed is at most an interval in all, and is paid back by
//! stretching those that follow a little, so that no flood of input raises the rate.
//!
//! ```text
//!       input           damage
//!  No ─────────▶ Waits ────────▶ Due      a picture leads from Due back to No
//! ```

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::FrameRate;

/// Part of an interval that the gate gives up on each picture: half an interval is made up for within 16 pictures, and the
/// rate is exceeded by 3 in a hundred at most.
const HASTE: u32 = 32;
/// An interval is stretched by at most one part in so many to pay back, as those of rendered pictures are.
const STRETCH: u32 = 8;

/// See the module.
pub(super) struct Gate {
    interval: Duration,
    opens: Instant,
    pull: Pull,
    /// Time that pictures passed early and that is not paid back yet: an interval at most.
    debt: Duration,
}

/// Whether input pulls the next picture forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    /// There was none since the last picture.
    No,
    /// There was; what it changed is not drawn yet.
    Waits,
    /// Something was drawn since.
    Due,
}

impl Gate {
    pub(super) fn new(now: Instant, rate: FrameRate) -> Self {
        let interval = rate.interval() * (HASTE - 1) / HASTE;
        Self { interval, opens: now, pull: Pull::No, debt: Duration::ZERO }
    }

    pub(super) fn pull(&self) -> Pull {
        self.pull
    }

    /// The player has done something; whether that is the first since the last picture.
    pub(super) fn on_input(&mut self) -> bool {
        let is_first = self.pull == Pull::No;
        if is_first {
            self.pull = Pull::Waits;
        }
        is_first
    }

    /// Something was drawn since all that is known by now.
    pub(super) fn on_damage(&mut self) {
        if self.pull == Pull::Waits {
            self.pull = Pull::Due;
        }
    }

    /// When a picture may pass: now or later.
    pub(super) fn opens(&self, now: Instant) -> Instant {
        now + self.opens.saturating_duration_since(now).saturating_sub(self.credit())
    }

    /// A picture passed at `now`.
    pub(super) fn pass(&mut self, now: Instant) {
        let borrowed = self.opens.saturating_duration_since(now).min(self.credit());
        let (next, soonest) =
            (self.opens + self.interval.saturating_sub(borrowed), now + self.interval / 2);
        // What the game let go by for good pays, too.
        let lost = soonest.saturating_duration_since(next);
        let debt = (self.debt + borrowed).saturating_sub(lost);
        let paid = debt.min(self.interval / STRETCH);
        self.opens = next.max(soonest) + paid;
        self.debt = debt.saturating_sub(paid);
        // What input changed may be drawn behind a picture that was due anyway.
        if self.pull == Pull::Due {
            self.pull = Pull::No;
        }
    }

    /// How early the next picture may be.
    fn credit(&self) -> Duration {
        match self.pull {
            Pull::No | Pull::Waits => Duration::ZERO,
            Pull::Due => self.interval.saturating_sub(self.debt),
        }
    }
}

/// By this the one who puts in input tells a source of it, and wakes it.
#[derive(Debug, Default)]
pub(super) struct Nudge {
    given: Mutex<bool>,
    wake: Condvar,
}

impl Nudge {
    /// The game is about to get input. Told before, since what that changes may be drawn at once.
    pub(super) fn give(&self) {
        if !std::mem::replace(&mut *self.lock(), true) {
            self.wake.notify_one();
        }
    }

    /// Whether there was input since it was asked last.
    pub(super) fn take(&self) -> bool {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until there is, at most so long.
    pub(super) fn wait(&self, within: Duration) {
        drop(self.wake.wait_timeout_while(self.lock(), within, |given| !*given));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        // Nothing that is done under the lock panics.
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = ms(10);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn gate(opens: Instant) -> Gate {
        Gate { interval: INTERVAL, opens, pull: Pull::No, debt: Duration::ZERO }
    }

    #[test]
    fn it_makes_up_for_a_late_picture_while_the_game_keeps_the_rate() {
        let start = Instant::now();
        let mut gate = Gate::new(start, FrameRate::fps(100));
        let mut waits = Vec::new();
        for number in 0..40 {
            // The second one is late by most of an interval.
            let drawn = start + ms(number * 10 + if number == 1 { 9 } else { 0 });
            let passed = gate.opens(drawn);
            waits.push(passed - drawn);
            gate.pass(passed);
        }
        assert!(waits[2] >= ms(3), "it comes too early after the late one: {waits:?}");
        assert!(waits[20..].iter().all(Duration::is_zero), "{waits:?}");
    }

    #[test]
    fn it_lets_jitter_pass_and_holds_the_rate() {
        let start = Instant::now();
        let mut gate = gate(start);
        // Ten milliseconds apart, some late and some early: none waits.
        for (number, late) in [0, 3, 0, 4, 1, 0].into_iter().enumerate() {
            let at = start + ms(20 + number as u64 * 10 + late);
            assert_eq!(gate.opens(at), at, "picture {number}");
            gate.pass(at);
        }
        // As fast as it lets them: ten in a hundred milliseconds, and half of one.
        let begin = gate.opens;
        (0..10).for_each(|_| gate.pass(gate.opens));
        assert_eq!(gate.opens - begin, ms(100));
    }

    #[test]
    fn what_is_drawn_after_input_passes_at_once_and_the_time_is_paid_back() {
        let start = Instant::now();
        let mut gate = gate(start);
        gate.pass(start);
        gate.on_damage();
        assert_eq!(gate.opens(start + ms(1)), start + ms(10), "there was no input");
        assert!(gate.on_input());
        assert_eq!(gate.opens(start + ms(1)), start + ms(10), "it was drawn before the input");
        gate.on_damage();
        assert!(!gate.on_input(), "it is one burst");
        assert_eq!(gate.opens(start + ms(2)), start + ms(2));
        gate.pass(start + ms(2));
        gate.on_damage();
        let mut at = start + ms(2);
        let mut gaps = Vec::new();
        for _ in 0..8 {
            gaps.push((gate.opens(at) - at).as_micros());
            at = gate.opens(at);
            gate.pass(at);
        }
        // Eight milliseconds.
        assert_eq!(gaps, [11_250, 11_250, 11_250, 11_250, 11_250, 11_250, 10_500, 10_000]);
    }

    #[test]
    fn a_picture_that_was_due_anyway_takes_nothing_from_what_input_changes() {
        let start = Instant::now();
        let mut gate = gate(start);
        gate.on_damage();
        gate.on_input();
        gate.pass(start);
        gate.on_damage();
        assert_eq!(gate.opens(start + ms(2)), start + ms(2));
        gate.pass(start + ms(2));
        gate.on_damage();
        assert!(gate.opens(start + ms(3)) > start + ms(3), "it was shown");
    }

    #[test]
    fn a_game_that_stands_still_owes_nothing_afterwards() {
        let start = Instant::now();
        let mut gate = gate(start);
        gate.pass(start);
        gate.on_input();
        gate.on_damage();
        gate.pass(start + ms(1));
        gate.pass(start + ms(100));
        assert_eq!(gate.opens(start + ms(100)), start + ms(105));
        gate.on_input();
        gate.on_damage();
        assert_eq!(gate.opens(start + ms(101)), start + ms(101));
    }

    #[test]
    fn a_thousand_inputs_a_second_gain_one_picture_in_all() {
        // Each of them is drawn.
        let passed = |with_input: bool| {
            let start = Instant::now();
            let mut gate = gate(start);
            let mut passed = 0;
            for now in (0..2_000).map(|millis| start + ms(millis)) {
                if with_input {
                    gate.on_input();
                }
                gate.on_damage();
                if gate.opens(now) == now {
                    gate.pass(now);
                    passed += 1;
                }
            }
            passed
        };
        assert_eq!((passed(false), passed(true)), (200, 201));
    }

    proptest! {
        #[test]
        fn no_input_raises_the_rate(
            // Microseconds from one thing to the next: input (true), or the game draws.
            happenings in proptest::collection::vec((0_u64..12_000, any::<bool>()), 1..400),
        ) {
            let start = Instant::now();
            let mut gate = gate(start);
            let (mut now, mut is_damaged, mut passed) = (start, false, 0);
            for (gap, is_input) in happenings {
                let next = now + Duration::from_micros(gap);
                if is_damaged && gate.opens(now) <= next {
                    now = gate.opens(now);
                    gate.pass(now);
                    (is_damaged, passed) = (false, passed + 1);
                    prop_assert!(gate.opens(now) >= now + INTERVAL / 2);
                    prop_assert!(gate.opens(now) <= now + INTERVAL * 9 / 8);
                }
                now = next;
                if is_input {
                    gate.on_input();
                } else {
                    gate.on_damage();
                    is_damaged = true;
                }
            }
            let most = (now - start).as_millis() / 10 + 2;
            prop_assert!(passed <= most, "{passed} pictures in {:?}", now - start);
        }
    }
}
