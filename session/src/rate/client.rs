//! Whether the client keeps up: what waits there to be read or for its decoder, and for how long.

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
    /// What waits for the decoder, and what lies unread before it: told apart, by different ends of the transport.
    decoder: Waiting,
    unread: Waiting,
    is_behind: bool,
}

/// Frames that wait somewhere.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    average: f64,
    /// When it was told last.
    newest: f64,
    last: Option<MediaTime>,
}

impl Waiting {
    fn add(&mut self, now: MediaTime, frames: f64) {
        self.newest = frames.clamp(0.0, MOST);
        let passed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64());
        self.last = Some(now);
        self.average += (self.newest - self.average) * (1.0 - (-passed / AVERAGED_IN).exp());
    }

    fn is_known(&self, now: MediaTime, for_long: Duration) -> bool {
        self.last.is_some_and(|last| now.since(last) <= for_long)
    }
}

impl ClientWatch {
    pub(super) fn new() -> Self {
        Self {
            base: WindowedMin::new(BASE),
            decoder: Waiting::default(),
            unread: Waiting::default(),
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
        self.decoder.add(now, f64::from(load.decode_queue.unwrap_or(0)).max(late));
        self.judge();
    }

    /// So many whole frames lay there unread, on average since this was told last.
    pub(super) fn on_unread(&mut self, now: MediaTime, frames: f64) {
        self.unread.add(now, frames);
        self.judge();
    }

    fn judge(&mut self) {
        let waiting = self.decoder.average.max(self.unread.average);
        self.is_behind = waiting > if self.is_behind { CAUGHT_UP } else { BEHIND };
    }

    /// Frames that wait for its decoder, where that was told just now.
    pub(super) fn waiting(&self, now: MediaTime) -> f64 {
        if self.decoder.is_known(now, FRESH) { self.decoder.newest } else { 0.0 }
    }

    /// Whether it does not keep up.
    pub(super) fn is_behind(&self, now: MediaTime) -> bool {
        let is_known = self.decoder.is_known(now, SILENT) || self.unread.is_known(now, SILENT);
        self.is_behind && is_known
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
    fn what_lies_unread_is_behind_however_short_the_decoders_queue() {
        let mut watch = ClientWatch::new();
        let mut last = MediaTime::ZERO;
        // Told when the client runs, for a moment every 400 ms: what it has read then is on time, what lay there is not.
        for (millis, unread) in (0..2_000).step_by(400).flat_map(|at| [(at, 2.0), (at + 50, 8.0)]) {
            last = MediaTime::from_millis(millis);
            watch.on_load(last, queue(0), FRAME, Duration::ZERO);
            watch.on_unread(last, unread);
        }
        assert!(watch.is_behind(last));
        assert!(watch.waiting(last) < 1.0, "they do not wait for the decoder");
        for millis in (2_000..3_000).step_by(50) {
            last = MediaTime::from_millis(millis);
            watch.on_unread(last, 0.1);
        }
        assert!(!watch.is_behind(last));
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
