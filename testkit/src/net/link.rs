//! One direction of a path: chance, a queue, a bottleneck, and the time to the far side.

use std::collections::VecDeque;
use std::time::Duration;

use media::{Bitrate, MediaTime};

use super::{Loss, Script};
use crate::Rng;

/// How much waits before a bottleneck at most; a packet that does not fit is dropped (tail drop).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// So many bytes, whatever the rate: when the rate falls, the wait grows.
    Bytes(u64),
    /// As many bytes as pass in this time at the rate of the moment; at rate zero, at the rate before it.
    /// What waits stays when the rate falls.
    Time(Duration),
}

/// A link's properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// What passes the bottleneck. At zero packets wait, as in an access point whose radio is away.
    pub rate: Bitrate,
    /// Time from the bottleneck to the far side.
    pub delay: Duration,
    /// Up to this much is added to `delay`, uniformly.
    pub jitter: Duration,
    /// Whether `jitter` lets packets overtake each other.
    pub reorders: bool,
    /// What waits at most.
    pub queue: Queue,
    /// What chance takes before the queue.
    pub loss: Loss,
    /// Part of the packets that arrives twice, 0.0 to 1.0.
    pub duplicates: f64,
    /// Larger packets are dropped, in bytes.
    pub mtu: u64,
    /// Whether everything that is sent or waits is lost, as with a cable that is out.
    pub down: bool,
    /// Where chance starts. Read when a link is made and never after.
    pub seed: u64,
}

impl LinkConfig {
    /// A clean link of `rate`, 20 ms long, with room for 300 ms and packets of 1,500 bytes.
    pub fn of(rate: Bitrate) -> Self {
        Self {
            rate,
            delay: Duration::from_millis(20),
            jitter: Duration::ZERO,
            reorders: false,
            queue: Queue::Time(Duration::from_millis(300)),
            loss: Loss::None,
            duplicates: 0.0,
            mtu: 1_500,
            down: false,
            seed: 1,
        }
    }
}

/// What became of a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Queued,
    /// The queue was full.
    Overflow,
    /// Chance took it, or the link was down.
    Lost,
    /// It was larger than the link takes.
    TooLarge,
}

/// A packet at the far side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<T> {
    /// When it arrived.
    pub at: MediaTime,
    /// When it was sent.
    pub sent: MediaTime,
    /// How long it waited until the bottleneck took its first bit.
    pub waited: Duration,
    /// Its size.
    pub bytes: u64,
    /// What was sent.
    pub item: T,
}

/// What a link did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Packets that were sent.
    pub sent: u64,
    /// Of them those that the queue had no room for.
    pub overflowed: u64,
    /// Those that chance took, that were too large, and that were lost in an outage.
    pub lost: u64,
    /// Bytes that passed the bottleneck.
    pub passed_bytes: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    sent: MediaTime,
    bytes: u64,
    item: T,
}

/// Bits times nanoseconds per second: exact at every rate.
const UNITS_PER_BYTE: u128 = 8 * 1_000_000_000;

/// See the module. First in, first out, unless jitter reorders.
#[derive(Debug)]
pub struct Link<T> {
    config: LinkConfig,
    /// What it becomes, in order of time.
    steps: VecDeque<(MediaTime, LinkConfig)>,
    /// The rate, or the one before it fell to zero.
    carried: Bitrate,
    rng: Rng,
    is_bad: bool,
    queue: VecDeque<Waiting<T>>,
    queued_bytes: u64,
    /// What is left of the packet at the head, in bits times nanoseconds per second.
    head_left: u128,
    /// When the bottleneck took the head's first bit.
    head_since: MediaTime,
    /// Up to when the bottleneck has worked.
    worked_until: MediaTime,
    /// In order of arrival.
    flying: VecDeque<Arrival<T>>,
    counts: LinkCounts,
}

impl<T: Clone> Link<T> {
    /// An idle link.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            config,
            steps: VecDeque::new(),
            carried: config.rate,
            rng: Rng::new(config.seed),
            is_bad: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            head_left: 0,
            head_since: MediaTime::ZERO,
            worked_until: MediaTime::ZERO,
            flying: VecDeque::new(),
            counts: LinkCounts::default(),
        }
    }

    /// An idle link whose script begins at time zero.
    pub fn scripted(script: &Script) -> Self {
        let mut link = Self::new(script.start);
        link.follow(MediaTime::ZERO, script);
        link
    }

    /// Follows a script that begins `now`, in place of any other.
    pub fn follow(&mut self, now: MediaTime, script: &Script) {
        self.change(now, |config| *config = script.start);
        self.steps = script.steps.iter().map(|(after, config)| (now + *after, *config)).collect();
    }

    /// The properties as they are.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What it did so far.
    pub fn counts(&self) -> LinkCounts {
        self.counts
    }

    /// Changes properties from `now` on; what passed before is not touched.
    pub fn change(&mut self, now: MediaTime, change: impl FnOnce(&mut LinkConfig)) {
        self.work(now);
        let mut config = self.config;
        change(&mut config);
        self.turn_into(config);
    }

    /// Sends a packet. Times never go back.
    pub fn send(&mut self, now: MediaTime, bytes: u64, item: T) -> Fate {
        self.work(now);
        self.counts.sent += 1;
        // Chance is asked in an outage too, so that what comes after does not depend on it.
        let takes = self.config.loss.takes(&mut self.is_bad, &mut self.rng);
        let is_large = bytes > self.config.mtu;
        if takes || self.config.down || is_large {
            self.counts.lost += 1;
            return if is_large { Fate::TooLarge } else { Fate::Lost };
        }
        if !self.has_room(bytes) {
            self.counts.overflowed += 1;
            return Fate::Overflow;
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { sent: now, bytes, item });
        if self.queue.len() == 1 {
            self.take_head(now);
        }
        Fate::Queued
    }

    /// Whether the queue takes a packet of so many bytes, as it was when the link was last looked at.
    pub fn has_room(&self, bytes: u64) -> bool {
        let room = match self.config.queue {
            Queue::Bytes(bytes) => bytes,
            Queue::Time(time) => self.carried.bytes_in(time),
        };
        self.queued_bytes + bytes <= room.max(bytes)
    }

    /// The next packet that arrived by `now`.
    pub fn receive(&mut self, now: MediaTime) -> Option<Arrival<T>> {
        self.work(now);
        if self.flying.front()?.at > now {
            return None;
        }
        self.flying.pop_front()
    }

    /// When to ask for arrivals again: none comes before, one may come then. `None` while nothing is on
    /// its way.
    pub fn poll_timeout(&self) -> Option<MediaTime> {
        let landing = self.flying.front().map(|arrival| arrival.at);
        if self.queue.is_empty() {
            return landing;
        }
        let rate = u128::from(self.config.rate.bps());
        let passes = (rate > 0).then(|| {
            self.worked_until + nanos(self.head_left.div_ceil(rate.max(1))) + self.config.delay
        });
        let step = self.steps.front().map(|(at, _)| *at);
        [landing, passes, step].into_iter().flatten().min()
    }

    /// How long a packet sent at `now` would wait before the bottleneck; `Duration::MAX` at rate zero with
    /// packets waiting.
    pub fn queue_delay(&mut self, now: MediaTime) -> Duration {
        self.work(now);
        let Some(head) = self.queue.front() else { return Duration::ZERO };
        let behind = u128::from(self.queued_bytes - head.bytes) * UNITS_PER_BYTE;
        match u128::from(self.config.rate.bps()) {
            0 => Duration::MAX,
            rate => nanos((behind + self.head_left) / rate),
        }
    }

    /// Lets time pass until `now`, through the steps of the script.
    fn work(&mut self, now: MediaTime) {
        while let Some((at, config)) = self.steps.front().copied().filter(|(at, _)| *at <= now) {
            self.steps.pop_front();
            self.carry(at);
            self.turn_into(config);
        }
        self.carry(now);
    }

    fn turn_into(&mut self, config: LinkConfig) {
        self.config = config;
        if config.rate.bps() > 0 {
            self.carried = config.rate;
        }
        if config.down {
            self.counts.lost += self.queue.len() as u64;
            self.queue.clear();
            self.queued_bytes = 0;
        }
    }

    /// Lets the bottleneck work until `now` at the rate of the moment.
    fn carry(&mut self, now: MediaTime) {
        let rate = u128::from(self.config.rate.bps());
        while !self.queue.is_empty() {
            let room = rate * now.since(self.worked_until).as_nanos();
            if room < self.head_left || rate == 0 {
                self.head_left -= room;
                break;
            }
            // Rounded up: a packet never leaves before its last bit.
            self.worked_until = self.worked_until + nanos(self.head_left.div_ceil(rate));
            if let Some(passed) = self.queue.pop_front() {
                self.queued_bytes -= passed.bytes;
                self.counts.passed_bytes += passed.bytes;
                self.fly(passed);
            }
            self.take_head(self.worked_until);
        }
        self.worked_until = self.worked_until.max(now);
    }

    fn take_head(&mut self, at: MediaTime) {
        self.head_since = at;
        self.head_left =
            self.queue.front().map_or(0, |next| u128::from(next.bytes) * UNITS_PER_BYTE);
    }

    fn fly(&mut self, passed: Waiting<T>) {
        let Waiting { sent, bytes, item } = passed;
        let waited = self.head_since.since(sent);
        let twice = self.rng.unit() < self.config.duplicates;
        let arrival = Arrival { at: MediaTime::ZERO, sent, waited, bytes, item };
        if twice {
            self.land(arrival.clone());
        }
        self.land(arrival);
    }

    fn land(&mut self, mut arrival: Arrival<T>) {
        let jitter = self.rng.below(self.config.jitter.as_nanos() as u64 + 1);
        arrival.at = self.worked_until + self.config.delay + Duration::from_nanos(jitter);
        let mut place = self.flying.len();
        if self.config.reorders {
            place = self.flying.partition_point(|before| before.at <= arrival.at);
        } else if let Some(last) = self.flying.back() {
            arrival.at = arrival.at.max(last.at);
        }
        self.flying.insert(place, arrival);
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
