//! How much a client may send.
//!
//! Each acknowledgement is looked up among the frames that were sent, and each message is passed on to the session. A
//! client says of a frame twice at most what became of it, so that 240 frames a second on four tracks make 1,920
//! messages. Of input a page has 2,500 events a second, where a mouse and four gamepads move at once; what the session
//! has no use for it drops, and who sends eight times as much goes on sending for no good. On the control channel a
//! page tells of frames and answers pings ten times a second each, tells its size five times a second at most while a
//! window is dragged, and little else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use media::{DataChannel, MediaTime};
use thiserror::Error;

/// Most acknowledgements of a second that are read.
const MOST: u32 = 2_000;
/// A client that sends more in a second is cut off: a network that held back what it let go at once would
/// have held it for five seconds.
const FLOOD: u32 = 5 * MOST;

/// Most input events a second.
const MOST_INPUT: u64 = 20_000;
/// A client that is ahead of that rate by so much is cut off: twice as many for so long, a little more for many times as
/// long, or as many at once. A network that held back those of a page would have held them for eight seconds.
const INPUT_AHEAD: Duration = Duration::from_secs(1);

/// Most control messages a second: a page has 30.
const MOST_CONTROL: u64 = 200;
/// The same of them: a thousand at once, for which a network would have held back those of a page for half a minute.
const CONTROL_AHEAD: Duration = Duration::from_secs(5);

/// Most packets of a voice in a second: the shortest that Opus has, each sent with two others.
const MOST_VOICE: u32 = 1_200;

/// A client sends far more than it has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Flood {
    #[error("the client sent more than {FLOOD} acknowledgements in a second")]
    Acks,
    #[error("the client kept sending more than {MOST_INPUT} input events a second")]
    Input,
    #[error("the client kept sending more than {MOST_CONTROL} control messages a second")]
    Control,
    #[error("the client kept sending more than {MOST_INPUT} messages a second that say nothing")]
    Stray,
}

/// What one client may send.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    acks: Mutex<Second>,
    input: Mutex<Due>,
    control: Mutex<Due>,
    voice: Mutex<Second>,
    stray: Mutex<Due>,
}

#[derive(Debug, Default)]
struct Second {
    began: MediaTime,
    count: u32,
}

impl Second {
    /// How many came in this second, with one more.
    fn count(&mut self, now: MediaTime) -> u32 {
        if now.since(self.began) >= Duration::from_secs(1) {
            *self = Self { began: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// When the next message would be due, if they came at the highest rate.
#[derive(Debug, Default)]
struct Due(MediaTime);

impl Due {
    /// How far the client is ahead of `most` a second, with one more.
    fn ahead(&mut self, now: MediaTime, most: u64) -> Duration {
        self.0 = self.0.max(now) + Duration::from_nanos(1_000_000_000 / most);
        self.0.since(now)
    }
}

impl Limits {
    /// Whether one more message may be read.
    ///
    /// # Errors
    /// When the client is to be cut off.
    pub(crate) fn passes(&self, channel: DataChannel, now: MediaTime) -> Result<bool, Flood> {
        match channel {
            DataChannel::Acks => self.ack(now),
            DataChannel::Input | DataChannel::Motion => self.input(now),
            DataChannel::Control => self.control(now),
        }
    }

    fn ack(&self, now: MediaTime) -> Result<bool, Flood> {
        let count = self.acks.lock().unwrap_or_else(PoisonError::into_inner).count(now);
        if count > FLOOD { Err(Flood::Acks) } else { Ok(count <= MOST) }
    }

    /// One more of what is read for nothing: of no known kind, a ping or pong, a voice beyond what one can say. There may be as
    /// many as of input.
    ///
    /// # Errors
    /// When the client is to be cut off.
    pub(crate) fn stray(&self, now: MediaTime) -> Result<(), Flood> {
        let mut due = self.stray.lock().unwrap_or_else(PoisonError::into_inner);
        if due.ahead(now, MOST_INPUT) > INPUT_AHEAD { Err(Flood::Stray) } else { Ok(()) }
    }

    /// Whether one more packet of a voice may be read. Of too many the rest of a second is not: they cost no more than
    /// other packets that nobody asked for.
    pub(crate) fn passes_voice(&self, now: MediaTime) -> bool {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner).count(now) <= MOST_VOICE
    }

    fn input(&self, now: MediaTime) -> Result<bool, Flood> {
        let mut due = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        if due.ahead(now, MOST_INPUT) > INPUT_AHEAD { Err(Flood::Input) } else { Ok(true) }
    }

    fn control(&self, now: MediaTime) -> Result<bool, Flood> {
        let mut due = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if due.ahead(now, MOST_CONTROL) > CONTROL_AHEAD { Err(Flood::Control) } else { Ok(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_not_read_until_the_next_second_and_a_flood_ends_it() {
        let limits = Limits::default();
        let passes = |at: u64| limits.passes(DataChannel::Acks, MediaTime::from_millis(at));
        let read = |count: u32, at: u64| (0..count).filter(|_| passes(at) == Ok(true)).count();
        assert_eq!(read(1_500, 5_000), 1_500);
        assert_eq!(read(1_500, 5_999), 500);
        assert_eq!(read(FLOOD, 6_000), 2_000);
        assert_eq!(passes(6_999), Err(Flood::Acks));
        assert_eq!(passes(7_000), Ok(true));
    }

    #[test]
    fn of_a_voice_no_more_is_read_than_one_can_say() {
        let limits = Limits::default();
        let passed = |at| {
            let now = MediaTime::from_millis(at);
            (0..10 * MOST_VOICE).filter(|_| limits.passes_voice(now)).count()
        };
        assert_eq!((passed(5_000), passed(5_999)), (MOST_VOICE as usize, 0));
        assert_eq!(passed(6_000), MOST_VOICE as usize);
    }

    /// Sends so many events a second; the millisecond that ends it.
    fn ended(limits: &Limits, events: u64, mut millis: std::ops::Range<u64>) -> Option<u64> {
        millis.find(|at| {
            let now = MediaTime::from_millis(*at);
            // Those of two channels are counted together.
            let mut channels = [DataChannel::Input, DataChannel::Motion].into_iter().cycle();
            (0..events / 1_000).any(|_| limits.passes(channels.next().unwrap(), now).is_err())
        })
    }

    #[test]
    fn input_may_come_in_heaps_and_fast_but_not_for_ever() {
        let limits = Limits::default();
        assert_eq!(ended(&limits, MOST_INPUT, 0..60_000), None);
        // Ten seconds of two devices, at once.
        assert_eq!(ended(&limits, 19_000 * 1_000, 60_000..60_001), None);
        // The heap is forgotten after a second.
        assert_eq!(ended(&limits, 2_000, 60_001..61_001), None);
        assert!(ended(&limits, 25_000, 62_000..70_000).is_some_and(|at| at >= 65_000));
        let limits = Limits::default();
        assert!(ended(&limits, 40_000, 0..10_000).is_some_and(|at| (900..1_100).contains(&at)));
        assert_eq!(limits.passes(DataChannel::Control, MediaTime::ZERO), Ok(true), "has its own");
    }

    #[test]
    fn what_is_read_for_nothing_may_come_in_a_heap_and_a_flood_of_it_ends_it() {
        let limits = Limits::default();
        let came = |count, at| {
            (0..count).filter(|_| limits.stray(MediaTime::from_millis(at)).is_ok()).count() as u64
        };
        assert_eq!(came(MOST_INPUT, 5_000), MOST_INPUT);
        assert_eq!(came(MOST_INPUT, 6_000), MOST_INPUT, "the heap is forgotten after a second");
        assert_eq!(limits.stray(MediaTime::from_millis(6_000)), Err(Flood::Stray));
        let input = limits.passes(DataChannel::Input, MediaTime::from_millis(6_000));
        assert_eq!(input, Ok(true), "has its own");
    }

    #[test]
    fn a_page_says_on_control_what_it_has_to_say_and_a_flood_ends_it() {
        let limits = Limits::default();
        // So many a second, evenly, from a second on; that which ends it.
        let ended = |each: u64, from: u64, seconds: u64| {
            (0..each * seconds).find(|n| {
                let now = MediaTime::from_millis(from * 1_000 + n * 1_000 / each);
                limits.passes(DataChannel::Control, now).is_err()
            })
        };
        assert_eq!(ended(MOST_CONTROL, 0, 3_600), None);
        // What a page says in half a minute, at once.
        let heap = (0..900)
            .map(|_| limits.passes(DataChannel::Control, MediaTime::from_millis(3_610_000)));
        assert!(heap.into_iter().all(|it| it == Ok(true)));
        assert_eq!(ended(30, 3_610, 60), None);
        assert!(ended(2 * MOST_CONTROL, 3_700, 60).is_some_and(|n| n < 6 * 2 * MOST_CONTROL));
        assert_eq!(
            limits.passes(DataChannel::Control, MediaTime::from_millis(3_700_000)),
            Err(Flood::Control)
        );
        assert_eq!(limits.passes(DataChannel::Input, MediaTime::ZERO), Ok(true), "has its own");
    }
}
