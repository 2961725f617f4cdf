//! How far the client's clock is from the media clock, and how sure that is.
//!
//! A ping leaves at server time `s`, the client reads its clock as `c`, the answer is back at `r`. The
//! client read its clock between `s` and `r`, so the offset (client minus server) lies between
//! `c - r` and `c - s`, however the delay was split between the two ways. As the clocks drift apart by
//! at most [`ClockSyncConfig::drift_ppm`], an old sample's interval grows with its age. The sample with
//! the narrowest grown interval in the window is the estimate: its middle, and half its width as the
//! error. That is the minimum-RTT filter of NTP (RFC 5905 §10) with its bound kept.
//!
//! A sample whose interval does not meet the estimate's proves that a clock was set or slept: what was
//! known is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use media::MediaTime;
use thiserror::Error;

/// Pings without an answer that are remembered; the oldest is forgotten first.
const MAX_PENDING: usize = 8;
/// Largest integer that a JavaScript number holds exactly.
const MAX_CLIENT_MICROS: u64 = (1 << 53) - 1;

/// Settings of a [`ClockSync`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSyncConfig {
    /// Most that the clocks drift apart, in microseconds per second. Linux slews a clock that it
    /// disciplines by up to 500; two free crystals differ by less than 200.
    pub drift_ppm: u32,
    /// Steps in which the client's clock counts, in microseconds: browsers round `performance.now()`
    /// down to 5 on isolated pages and to 100 on others.
    pub client_step_micros: u32,
    /// How long a sample counts.
    pub window: Duration,
    /// An answer that took longer says nothing.
    pub slowest: Duration,
    /// Samples in the window, of which the least useful is forgotten when it is full.
    pub samples: usize,
    /// Time between pings while fewer than eight were answered.
    pub eager: Duration,
    /// Time between pings after that.
    pub steady: Duration,
}

impl Default for ClockSyncConfig {
    fn default() -> Self {
        Self {
            drift_ppm: 200,
            client_step_micros: 100,
            window: Duration::from_secs(60),
            slowest: Duration::from_secs(5),
            samples: 64,
            eager: Duration::from_millis(100),
            steady: Duration::from_secs(1),
        }
    }
}

/// Offset between two clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockEstimate {
    /// Client's clock minus media clock, in microseconds.
    pub offset_us: i64,
    /// The true offset is within so many microseconds of `offset_us`.
    pub error_us: u64,
}

impl ClockEstimate {
    /// The media time at which the client's clock showed `client_us`; zero for times before it began.
    pub fn to_media(&self, client_us: u64) -> MediaTime {
        let micros = i128::from(client_us) - i128::from(self.offset_us);
        // Beyond u64 microseconds there is no media time; saturate, callers refuse the absurd.
        let micros = u64::try_from(micros.max(0)).unwrap_or(u64::MAX);
        MediaTime::from_nanos(micros.saturating_mul(1_000))
    }
}

/// Why an answer was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PongError {
    /// No ping of this number is waiting for an answer.
    #[error("no ping of this number is waiting")]
    Unknown,
    /// It took too long to say anything.
    #[error("the answer came too late")]
    TooSlow,
    /// The client's time is no time.
    #[error("the client's time is out of range")]
    Range,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: MediaTime,
    /// Bounds of the offset at `at`, in microseconds.
    low: i64,
    high: i64,
}

/// Sends pings, takes answers, estimates.
#[derive(Clone, Debug)]
pub struct ClockSync {
    config: ClockSyncConfig,
    pending: VecDeque<(u32, MediaTime)>,
    samples: Vec<Sample>,
    next_id: u32,
    next_ping: MediaTime,
    answered: u64,
}

impl ClockSync {
    /// Knows nothing; the first ping is due at `now`.
    pub fn new(now: MediaTime, config: ClockSyncConfig) -> Self {
        Self {
            samples: Vec::with_capacity(config.samples.max(1)),
            config,
            pending: VecDeque::with_capacity(MAX_PENDING),
            next_id: 1,
            next_ping: now,
            answered: 0,
        }
    }

    /// When the next ping is due.
    pub fn poll_timeout(&self) -> MediaTime {
        self.next_ping
    }

    /// The number of the ping to send now, if one is due.
    pub fn poll_ping(&mut self, now: MediaTime) -> Option<u32> {
        if now < self.next_ping {
            return None;
        }
        let gap = if self.answered < 8 { self.config.eager } else { self.config.steady };
        self.next_ping = now + gap;
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.pending.push_back((id, now));
        Some(id)
    }

    /// Takes the answer to ping `id`, in which the client's clock showed `client_us`. Returns the
    /// round trip.
    ///
    /// # Errors
    /// See [`PongError`]; the estimate stays as it was.
    pub fn on_pong(
        &mut self,
        now: MediaTime,
        id: u32,
        client_us: u64,
    ) -> Result<Duration, PongError> {
        let result = self.take(now, id, client_us);
        self.answered += u64::from(result.is_ok());
        result
    }

    fn take(&mut self, now: MediaTime, id: u32, client_us: u64) -> Result<Duration, PongError> {
        let index = self.pending.iter().position(|(of, _)| *of == id).ok_or(PongError::Unknown)?;
        let (_, sent) = self.pending.remove(index).ok_or(PongError::Unknown)?;
        if client_us > MAX_CLIENT_MICROS {
            return Err(PongError::Range);
        }
        let round_trip = now.since(sent);
        if round_trip > self.config.slowest {
            return Err(PongError::TooSlow);
        }
        self.add_sample(sent, client_us, now);
        Ok(round_trip)
    }

    fn add_sample(&mut self, sent: MediaTime, client_us: u64, received: MediaTime) {
        let client = i128::from(client_us);
        // Rounded outwards: the media clock counts finer than microseconds.
        let low = client - i128::from(received.as_nanos().div_ceil(1_000));
        let high =
            client + i128::from(self.config.client_step_micros) - i128::from(sent.as_micros());
        // The reading was taken between both ends; drift in between is below what the age adds.
        let spread = self.drift(received.since(sent));
        let sample = Sample { at: received, low: clamp(low) - spread, high: clamp(high) + spread };
        if let Some(best) = self.best(received)
            && (sample.low > best.high || sample.high < best.low)
        {
            self.samples.clear();
        }
        let window = self.config.window;
        self.samples.retain(|old| received.since(old.at) <= window);
        if self.samples.len() >= self.config.samples.max(1)
            && let Some(widest) = self.widest(received)
        {
            self.samples.swap_remove(widest);
        }
        self.samples.push(sample);
    }

    /// The estimate at `now`; none before the first answer and once all answers are too old.
    pub fn estimate(&self, now: MediaTime) -> Option<ClockEstimate> {
        let best = self.best(now)?;
        let width = best.high.abs_diff(best.low);
        Some(ClockEstimate {
            offset_us: best.low.saturating_add_unsigned(width / 2),
            error_us: width.div_ceil(2),
        })
    }

    fn best(&self, now: MediaTime) -> Option<Sample> {
        self.samples
            .iter()
            .filter(|sample| now.since(sample.at) <= self.config.window)
            .map(|sample| self.grown(sample, now))
            .min_by_key(|sample| sample.high.abs_diff(sample.low))
    }

    fn widest(&self, now: MediaTime) -> Option<usize> {
        let width = |sample: &Sample| {
            let grown = self.grown(sample, now);
            grown.high.abs_diff(grown.low)
        };
        (0..self.samples.len()).max_by_key(|&index| width(&self.samples[index]))
    }

    /// The sample's interval as it bounds the offset at `now`.
    fn grown(&self, sample: &Sample, now: MediaTime) -> Sample {
        let drift = self.drift(now.since(sample.at));
        Sample { at: now, low: sample.low - drift, high: sample.high + drift }
    }

    /// Most that the clocks drift apart in `time`, in microseconds, rounded up.
    fn drift(&self, time: Duration) -> i64 {
        let nanos = time.as_nanos() * u128::from(self.config.drift_ppm);
        i64::try_from(nanos.div_ceil(1_000_000_000)).unwrap_or(i64::MAX / 4)
    }
}

/// Within half of the range, so that sums with drift cannot overflow.
fn clamp(micros: i128) -> i64 {
    const MOST: i128 = (i64::MAX / 2) as i128;
    micros.clamp(-MOST, MOST) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two clocks: the client's shows `offset` more and runs `ppm` fast.
    #[derive(Clone, Copy, Debug)]
    struct Clocks {
        offset: i64,
        ppm: i64,
    }

    impl Clocks {
        fn offset_at(self, now: MediaTime) -> i64 {
            self.offset + (i128::from(now.as_micros()) * i128::from(self.ppm) / 1_000_000) as i64
        }

        /// What the client reads, counting in steps of `step` microseconds.
        fn read(self, now: MediaTime, step: u64) -> u64 {
            let shown = now.as_micros().saturating_add_signed(self.offset_at(now));
            shown - shown % step
        }
    }

    fn exchange(
        sync: &mut ClockSync,
        clocks: Clocks,
        sent: MediaTime,
        there: Duration,
        back: Duration,
    ) -> MediaTime {
        let id = sync.poll_ping(sent).unwrap();
        let client = clocks.read(sent + there, 100);
        let received = sent + there + back;
        sync.on_pong(received, id, client).unwrap();
        received
    }

    fn ms(millis: u64) -> MediaTime {
        MediaTime::from_millis(millis)
    }

    #[test]
    fn the_error_is_half_of_the_best_round_trip() {
        let clocks = Clocks { offset: 5_000_000, ppm: 0 };
        let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
        assert_eq!(sync.estimate(ms(0)), None);
        let delay = Duration::from_millis;
        exchange(&mut sync, clocks, ms(1_000), delay(80), delay(10));
        exchange(&mut sync, clocks, ms(2_000), delay(2), delay(2));
        let now = exchange(&mut sync, clocks, ms(3_000), delay(1), delay(60));
        let estimate = sync.estimate(now).unwrap();
        // 2 ms of half round trip, 0.2 ms of drift in about a second, the step of the clock.
        assert!((2_000..2_300).contains(&estimate.error_us), "{estimate:?}");
        assert!(estimate.offset_us.abs_diff(5_000_000) <= estimate.error_us);
        let read = clocks.read(ms(2_500), 1);
        assert!(estimate.to_media(read).since(ms(2_497)) < delay(6));
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
        let delay = Duration::from_millis(3);
        for second in 1..10 {
            exchange(&mut sync, Clocks { offset: 0, ppm: 0 }, ms(second * 1_000), delay, delay);
        }
        let set = Clocks { offset: -2_000_000, ppm: 0 };
        let now = exchange(&mut sync, set, ms(10_000), delay, delay);
        assert_eq!(sync.samples.len(), 1, "what was known of the clock before is void");
        let estimate = sync.estimate(now).unwrap();
        assert!(estimate.offset_us.abs_diff(-2_000_000) <= estimate.error_us);
    }

    #[test]
    fn answers_that_say_nothing_are_refused() {
        let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
        assert_eq!(sync.on_pong(ms(1), 1, 0), Err(PongError::Unknown));
        let id = sync.poll_ping(ms(0)).unwrap();
        assert_eq!(sync.poll_ping(ms(99)), None);
        assert_eq!(sync.poll_timeout(), ms(100));
        assert_eq!(sync.on_pong(ms(1), id, u64::MAX), Err(PongError::Range));
        assert_eq!(sync.on_pong(ms(1), id, 5), Err(PongError::Unknown), "once is all");
        let id = sync.poll_ping(ms(100)).unwrap();
        assert_eq!(sync.on_pong(ms(6_000), id, 5), Err(PongError::TooSlow));
        assert_eq!(sync.estimate(ms(6_000)), None);
    }

    #[test]
    fn unanswered_pings_are_bounded_and_old_answers_run_out() {
        let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
        let first = sync.poll_ping(ms(0)).unwrap();
        for ping in 1..=MAX_PENDING as u64 {
            assert!(sync.poll_ping(ms(ping * 100)).is_some());
        }
        assert_eq!(sync.on_pong(ms(900), first, 5), Err(PongError::Unknown));
        sync.on_pong(ms(900), first + 1, 5).unwrap();
        assert!(sync.estimate(ms(60_000)).is_some());
        assert_eq!(sync.estimate(ms(61_000)), None);
    }

    proptest! {
        #[test]
        fn the_true_offset_is_always_within_the_error(
            offset in -1_000_000_000_i64..1_000_000_000_000,
            ppm in -200_i64..=200,
            // Gap to the ping, delay there and delay back, in microseconds.
            pings in proptest::collection::vec(
                (100_000_u64..3_000_000, 0_u64..200_000, 0_u64..200_000), 1..150),
            later in 0_u64..60_000_000,
        ) {
            let clocks = Clocks { offset, ppm };
            let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
            // Past the greatest negative offset, so that no clock shows less than zero.
            let mut now = ms(2_000_000);
            for (index, (gap, there, back)) in pings.into_iter().enumerate() {
                let sent = now + Duration::from_micros(gap).max(sync.poll_timeout().since(now));
                let (there, back) = (Duration::from_micros(there), Duration::from_micros(back));
                now = exchange(&mut sync, clocks, sent, there, back);
                let estimate = sync.estimate(now).unwrap();
                let truth = clocks.offset_at(now);
                prop_assert!(truth.abs_diff(estimate.offset_us) <= estimate.error_us,
                    "{truth} against {estimate:?}");
                prop_assert!(index == 0 || sync.samples.len() > 1, "taken for a clock that was set");
            }
            let then = now + Duration::from_micros(later);
            if let Some(estimate) = sync.estimate(then) {
                let truth = clocks.offset_at(then);
                prop_assert!(truth.abs_diff(estimate.offset_us) <= estimate.error_us);
            }
        }

        #[test]
        fn a_hostile_client_breaks_nothing(
            answers in proptest::collection::vec((0_u64..2_000_000, 0_u32..20, any::<u64>()), 0..200),
        ) {
            let mut sync = ClockSync::new(ms(0), ClockSyncConfig::default());
            let mut now = ms(0);
            for (gap, id, client_us) in answers {
                now = now + Duration::from_micros(gap);
                sync.poll_ping(now);
                let _ = sync.on_pong(now, id, client_us);
                let _ = sync.estimate(now).map(|estimate| estimate.to_media(client_us));
                prop_assert!(sync.samples.len() <= 64 && sync.pending.len() <= MAX_PENDING);
            }
        }
    }
}
