//! What was put in by the player's microphone and is not recorded yet: a buffer that evens out how packets come.
//!
//! ```text
//!        on           30 ms are there             it ran out
//!  Off ─────▶ Filling ───────────────▶ Running ───────────────▶ Filling
//!   ▲            └───────────┬───────────┘
//!   └────────── off ─────────┘   what is there is forgotten
//! ```
//! Recorders take 2.5 ms after 2.5 ms by the node's clock, and the player's clock is another one. Of what is over 60 ms the
//! oldest is dropped at once. What was never needed for a second is cut out, faded, down to 10 ms of reserve: so a browser whose
//! clock is fast, or a path that once stood still, does not make everything late from then on. One whose clock is slow
//! runs out now and then, which is heard as a short silence.

use std::collections::VecDeque;
use std::time::Duration;

use media::VoiceState;
use media::audio::{samples_in, time_of};

use super::resample::STEP;

/// It is heard when so much of it is there: with packets of 20 ms that is after the second one.
const BEFORE: usize = samples_in(Duration::from_millis(30));
/// Its oldest samples are dropped beyond this.
pub(super) const MOST: usize = samples_in(Duration::from_millis(60));
/// What may be there at the least in every step.
const RESERVE: usize = samples_in(Duration::from_millis(10));
/// Steps that this is looked at for: a second.
const LOOK: u32 = 400;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct MicrophoneQueue {
    enabled: bool,
    /// Enough was there, and it has not run out since.
    runs: bool,
    samples: VecDeque<f32>,
    /// What was left after a step at the least, and steps that this is known of.
    least: usize,
    steps: u32,
    dropped: u64,
}

impl MicrophoneQueue {
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        if !enabled {
            self.samples.clear();
            self.stop();
        }
    }

    /// Samples that were left out.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// For who puts in; `recorded` is not known here.
    pub(super) fn state(&self, recorded: bool) -> VoiceState {
        VoiceState {
            recorded,
            held: time_of(self.samples.len() as u64),
            dropped: time_of(self.dropped),
        }
    }

    pub(super) fn put(&mut self, samples: &[f32]) {
        if !self.enabled {
            return;
        }
        let finite = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        self.samples.extend(samples.iter().map(finite));
        let much = self.samples.len().saturating_sub(MOST);
        self.samples.drain(..much);
        self.dropped += much as u64;
        self.runs |= self.samples.len() >= BEFORE;
    }

    /// Fills a step; what is not there is silence.
    pub(super) fn take(&mut self, step: &mut [f32; STEP]) {
        let there = if self.runs { self.samples.len().min(STEP) } else { 0 };
        let (heard, silent) = step.split_at_mut(there);
        heard.iter_mut().zip(self.samples.drain(..there)).for_each(|(out, sample)| *out = sample);
        silent.fill(0.0);
        if there < STEP {
            self.stop();
        } else {
            self.look(step);
        }
    }

    fn stop(&mut self) {
        (self.runs, self.steps) = (false, 0);
    }

    /// A whole step was taken: what was not needed for long is cut out, and this step leads over the cut.
    fn look(&mut self, step: &mut [f32; STEP]) {
        let left = self.samples.len();
        self.least = if self.steps == 0 { left } else { self.least.min(left) };
        self.steps += 1;
        if self.steps < LOOK {
            return;
        }
        self.steps = 0;
        let much = self.least.saturating_sub(RESERVE);
        // Less than a step is not worth what is heard of it.
        if much < STEP {
            return;
        }
        for (at, (sample, later)) in
            step.iter_mut().zip(self.samples.range(much - STEP..much)).enumerate()
        {
            let part = at as f32 / STEP as f32;
            *sample += (later - *sample) * part;
        }
        self.samples.drain(..much);
        self.dropped += much as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of a packet.
    const PACKET: usize = samples_in(Duration::from_millis(20));
    /// Steps that are taken at once.
    const BLOCK: usize = 4;

    fn on() -> MicrophoneQueue {
        let mut queue = MicrophoneQueue::default();
        queue.set_enabled(true);
        queue
    }

    #[test]
    fn it_is_silent_until_it_is_on_and_enough_is_there() {
        let mut queue = MicrophoneQueue::default();
        let mut step = [9.0; STEP];
        queue.put(&[0.5; BEFORE]);
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
        queue.set_enabled(true);
        queue.put(&[0.5; BEFORE - 1]);
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
        queue.put(&[f32::NAN]);
        for _ in 0..BEFORE / STEP - 1 {
            queue.take(&mut step);
            assert_eq!(step, [0.5; STEP]);
        }
        queue.take(&mut step);
        assert_eq!((step[0], step[STEP - 1]), (0.5, 0.0));
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
    }

    #[test]
    fn what_nobody_records_is_bounded_and_gone_when_it_goes_off() {
        let mut queue = on();
        queue.put(&[0.1; MOST + 7]);
        assert_eq!(queue.state(true).held, Duration::from_millis(60));
        assert_eq!(queue.dropped(), 7);
        queue.set_enabled(false);
        assert_eq!(queue.state(false), VoiceState { dropped: time_of(7), ..VoiceState::default() });
    }

    /// What became of a voice whose packets come at these microseconds, and that is taken 10 ms after 10 ms by a clock of
    /// its own.
    struct Run {
        queue: MicrophoneQueue,
        /// Steps with less than was to be taken, after the first whole one.
        short: usize,
        /// Most that was held when it was taken from.
        held: Duration,
        /// The same in the last ten seconds.
        later: Duration,
    }

    fn run(packets: impl IntoIterator<Item = u64>) -> Run {
        let mut run = Run { queue: on(), short: 0, held: Duration::ZERO, later: Duration::ZERO };
        let mut packets = packets.into_iter().peekable();
        let (mut step, mut now, mut began) = ([0.0; STEP], 3_000, false);
        let mut held = Vec::new();
        while packets.peek().is_some() {
            while packets.next_if(|at| *at <= now).is_some() {
                run.queue.put(&[0.5; PACKET]);
            }
            held.push(run.queue.state(true).held);
            for _ in 0..BLOCK {
                run.queue.take(&mut step);
                let whole = step == [0.5; STEP];
                began |= whole;
                run.short += usize::from(began && !whole);
            }
            now += 10_000;
        }
        run.held = held.iter().max().copied().unwrap();
        run.later = held.iter().rev().take(1_000).max().copied().unwrap();
        run
    }

    #[test]
    fn packets_that_come_unevenly_are_heard_without_a_gap() {
        // Each up to 12 ms late.
        let late = (0..3_000_u64).map(|n| n * 20_000 + (n * n * 7_919) % 12_000);
        let run = run(late);
        assert_eq!(run.short, 0);
        // What was held at first and never needed.
        let dropped = time_of(run.queue.dropped());
        assert!(dropped <= Duration::from_millis(20), "{dropped:?}");
        assert!(run.held <= Duration::from_millis(60), "{:?}", run.held);
    }

    #[test]
    fn after_a_path_that_stood_still_it_is_not_late_for_ever() {
        // For a fifth of a second nothing comes, and then all at once.
        let at = |n: u64| if (500..510).contains(&n) { 510 * 20_000 } else { n * 20_000 };
        let run = run((0..2_000).map(at));
        assert!(run.queue.dropped() > 0);
        assert!(run.held <= Duration::from_millis(60), "{:?}", run.held);
        assert!(run.later <= Duration::from_millis(40), "{:?}", run.later);
    }

    #[test]
    fn a_clock_that_is_fast_or_slow_is_followed() {
        // By a thousandth, which is ten times what sound cards are off by: in a minute 60 ms too much, or too little.
        let fast = run((0..3_000).map(|n| n * 19_980));
        assert_eq!(fast.short, 0);
        assert!(fast.later <= Duration::from_millis(45), "{:?}", fast.later);
        let slow = run((0..3_000).map(|n| n * 20_020));
        assert!((1..40).contains(&slow.short), "{}", slow.short);
        let dropped = time_of(slow.queue.dropped());
        assert!(dropped <= Duration::from_millis(60), "{dropped:?}");
    }

    #[test]
    fn a_cut_is_no_jump() {
        let mut queue = on();
        let (mut step, mut at, mut heard) = ([0.0; STEP], 0, Vec::new());
        let mut slope = |samples: usize| -> Vec<f32> {
            at += samples;
            (at - samples..at).map(|at| at as f32 / 1e6).collect()
        };
        queue.put(&slope(MOST));
        for _ in 0..LOOK + 4 {
            queue.take(&mut step);
            heard.extend(step);
            queue.put(&slope(STEP));
        }
        assert_eq!(queue.dropped() as usize, MOST - STEP - RESERVE);
        let steepest = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 3e-5, "{steepest}");
    }
}
