//! Whether the client keeps up: what waits there for its decoder, and for how long.

use std::time::Duration;

use media::MediaTime;

use crate::window::WindowedMin;

/// How a client copes with what arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientLoad {
    /// Frames that wait for its decoder, where it knows.
    pub decode_queue: Option<u8>,
    /// From the last packet's sending to the decoder's answer, of the newest frame that was decoded, on an arbitrary
    /// but fixed offset, in microseconds; where it is known.
    pub decode_delay_micros: Option<i64>,
}

/// The least delay of so long is that of a decoder that nothing waits for.
const BASE: Duration = Duration::from_secs(10);
/// What waits is averaged over so many seconds: a single late frame is none.
const AVERAGED_IN: f64 = 0.3;
/// From so many frames on the client is behind...
const BEHIND: f64 = 1.5;
/// ...until fewer than so many wait.
const CAUGHT_UP: f64 = 0.8;
/// A client that says nothing for so long counts as one that keeps up.
const SILENT: Duration = Duration::from_secs(2);
/// What waits there is known for so long.
const FRESH: Duration = Duration::from_millis(200);
/// More than this many frames are not told apart.
const MOST: f64 = 30.0;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct ClientWatch {
    base: WindowedMin,
    waiting: f64,
    /// The same when it was told last.
    newest: f64,
    last: Option<MediaTime>,
    is_behind: bool,
}

impl ClientWatch {
    pub(super) fn new() -> Self {
        Self {
            base: WindowedMin::new(BASE),
            waiting: 0.0,
            newest: 0.0,
            last: None,
            is_behind: false,
        }
    }

    /// The client said how it copes, while frames come every `frame` and wait for `queue` on their way.
    pub(super) fn on_load(
        &mut self,
        now: MediaTime,
        load: ClientLoad,
        frame: Duration,
        queue: Duration,
    ) {
        let late = load.decode_delay_micros.map_or(0.0, |delay| {
            let base = self.base.add(now, delay);
            let late = delay.saturating_sub(base) as f64 - queue.as_micros() as f64;
            late / (frame.as_micros() as f64).max(1.0)
        });
        let waiting = f64::from(load.decode_queue.unwrap_or(0)).max(late).clamp(0.0, MOST);
        self.newest = waiting;
        let passed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64());
        self.last = Some(now);
        self.waiting += (waiting - self.waiting) * (1.0 - (-passed / AVERAGED_IN).exp());
        self.is_behind = self.waiting > if self.is_behind { CAUGHT_UP } else { BEHIND };
    }

    /// Frames that wait there, where that was told just now.
    pub(super) fn waiting(&self, now: MediaTime) -> f64 {
        let is_fresh = self.last.is_some_and(|last| now.since(last) <= FRESH);
        if is_fresh { self.newest } else { 0.0 }
    }

    /// Whether it does not keep up.
    pub(super) fn is_behind(&self, now: MediaTime) -> bool {
        self.is_behind && self.last.is_some_and(|last| now.since(last) <= SILENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_micros(16_667);

    fn feed(watch: &mut ClientWatch, from: u64, length: u64, load: impl Fn(u64) -> ClientLoad) {
        for millis in (from..from + length).step_by(16) {
            watch.on_load(MediaTime::from_millis(millis), load(millis), FRAME, Duration::ZERO);
        }
    }

    fn queue(frames: u8) -> ClientLoad {
        ClientLoad { decode_queue: Some(frames), decode_delay_micros: None }
    }

    #[test]
    fn a_queue_that_stands_is_behind_and_a_single_late_frame_is_not() {
        let mut watch = ClientWatch::new();
        feed(&mut watch, 0, 1_000, |_| queue(1));
        feed(&mut watch, 1_000, 16, |_| queue(9));
        let at = MediaTime::from_millis(1_016);
        assert!(!watch.is_behind(at));
        feed(&mut watch, 1_016, 500, |_| queue(4));
        let at = MediaTime::from_millis(1_516);
        assert!(watch.is_behind(at));
        assert!(!watch.is_behind(at + Duration::from_secs(3)), "nothing was heard since");
        feed(&mut watch, 1_516, 1_000, |_| queue(0));
        assert!(!watch.is_behind(MediaTime::from_millis(2_516)));
    }

    #[test]
    fn a_delay_that_the_path_does_not_make_is_the_clients() {
        let load = |delay| ClientLoad { decode_queue: None, decode_delay_micros: Some(delay) };
        let mut watch = ClientWatch::new();
        let way = -5_000_000;
        feed(&mut watch, 0, 1_000, |_| load(way + 4_000));
        feed(&mut watch, 1_000, 1_000, |_| load(way + 80_000));
        assert!(watch.is_behind(MediaTime::from_millis(2_000)));
        let mut watch = ClientWatch::new();
        feed(&mut watch, 0, 1_000, |_| load(way + 4_000));
        for millis in (1_000..2_000).step_by(16) {
            let (at, queue) = (MediaTime::from_millis(millis), Duration::from_millis(76));
            watch.on_load(at, load(way + 80_000), FRAME, queue);
        }
        assert!(!watch.is_behind(MediaTime::from_millis(2_000)), "it waited on its way");
    }
}
