//! How fast to send, how often and how large: one policy for every transport, fed by what acknowledgements tell, told
//! the time.
//!
//! ```text
//!            a queue of 30 ms, or losses that are not the path's own
//!   Clear ───────────────────────────────────────────────────────▶ Overused ──┐ the queue does not fall
//!     ▲  ▼ the queue is longer than it is held at                  │          ▼ although ever less arrives
//!   Filling ◀───────────────────────────────────────────────────────┘   longer route: a new base
//!                                                                      others: Contended, by losses
//! ```
//!
//! Queueing delay (one-way delay above its least of ten seconds) is the signal: a link that is asked for more than
//! it carries grows a queue long before it loses anything.
//!
//! - Near what the link carried when it was full ([`link`]) the rate grows by its square root, else by 8 % in 100 ms;
//!   the less, the more of a queue there is, and beyond some milliseconds it shrinks in proportion. So it comes to rest
//!   with a short queue, and of two sessions that share a link the smaller one gains.
//! - While a queue stands, what arrives is what the link carries. When it is long the rate becomes 0.95 of that at once,
//!   and less until the queue is drained; asking twice gives the same answer, so that nothing spirals.
//! - It is never above 1.5 times what arrives: a source that sends little proves nothing. Padding does ([`probe`]).
//! - Frames are skipped before the encoder while what waits at the bottleneck is more than two of them
//!   ([`backlog`]): that, and not the lower rate, is what keeps the worst delays short.
//! - Where bits are too few for the picture, frame rate and size give way ([`ladder`]).
//!
//! Five things look like a full link and are none: a longer route, a link that stood still and delivers all at once
//! ([`delivery`]), losses of chance ([`loss`]), somebody else's queue ([`foreign`], [`contended`]) and a client
//! without time to receive ([`client`]).

mod backlog;
mod client;
mod contended;
mod delivery;
mod foreign;
mod ladder;
mod link;
mod loss;
mod path;
mod probe;

use std::time::Duration;

use media::{Bitrate, MediaTime, PathReport, Size};

use self::backlog::Stretch;
pub use self::client::ClientLoad;
use self::client::ClientWatch;
use self::ladder::Ladder;
pub use self::ladder::Part;
use self::path::Path;
use self::probe::Prober;

/// Time between two steps up that are passed on.
const UP_EVERY: Duration = Duration::from_millis(100);
/// The target is passed on when it rose by this part; every fall is passed on.
const HYSTERESIS: f64 = 0.03;
/// Part of the target for the encoder; the rest is headers and the error of its rate control.
const ENCODER_SHARE: f64 = 0.95;
/// Repair and sound never take more than this part from the encoder.
const MOST_BESIDE: f64 = 0.25;
/// Over how many seconds what is sent beside video is averaged, and how often it is counted.
const BESIDE_IN: f64 = 0.5;
const BESIDE_EVERY: Duration = Duration::from_millis(200);
/// Frames that may wait at the bottleneck.
const FRAMES_WAIT: u32 = 2;
/// No frame is coded for so long at most.
const LONGEST_SKIP: Duration = Duration::from_millis(500);
/// Frames that may wait for the client's decoder: more than make it one that is behind.
const CLIENT_FRAMES_WAIT: f64 = 3.0;

/// Settings of a [`RateController`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateConfig {
    /// Where it starts.
    pub start: Bitrate,
    /// It never goes below this.
    pub floor: Bitrate,
    /// It never goes above this.
    pub ceiling: Bitrate,
    /// Of which so much is for sound.
    pub audio: Bitrate,
    /// Time between two frames of the source at its full rate.
    pub frame: Duration,
    /// Full size of its pictures.
    pub size: Size,
    /// Whether they can be coded smaller.
    pub resizes: bool,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self {
            start: Bitrate::from_mbps(5),
            floor: Bitrate::from_kbps(500),
            ceiling: Bitrate::from_mbps(20),
            audio: Bitrate::from_bps(0),
            frame: Duration::from_micros(16_667),
            size: Size::new(1280, 720),
            resizes: true,
        }
    }
}

/// What the controller thinks of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathState {
    /// There is room: the target rises, or stands at its ceiling or at what the source needs.
    Clear,
    /// A queue has begun to stand: the target gives way a little.
    Filling,
    /// More is sent than passes: the target falls at once.
    Overused,
    /// Others fill the queue: the target follows losses.
    Contended,
}

/// What keeps a session from more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// What the path takes.
    Link,
    /// The client does not keep up.
    Client,
    /// The session's own ceiling.
    Ceiling,
    /// The source has no more to show.
    Source,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStatus {
    /// What the path is like.
    pub path: PathState,
    /// What keeps the session from more.
    pub limit: Limit,
    /// What may be sent in all.
    pub target: Bitrate,
    /// What the encoder should produce.
    pub encoder: Bitrate,
    /// What arrives.
    pub acked: Bitrate,
    /// How long the newest packet that is known of waited at the bottleneck.
    pub queue: Duration,
    /// Part of the frame rate that pictures are made at.
    pub frame_rate: Part,
    /// Part of both edges of the size that they are coded at.
    pub size: Part,
}

/// What the driver of a session is to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateAction {
    /// Send at this rate.
    Target {
        /// In all: video, sound, repair.
        total: Bitrate,
        /// What the encoder should produce.
        encoder: Bitrate,
    },
    /// Make pictures at this part of the frame rate. The encoder is not set up anew: it codes them as they come, and is
    /// told as many more bits as there are fewer of them.
    FrameRate(Part),
    /// Code pictures at this part of both edges; each change is a keyframe, and they are 5 s apart at least.
    Size(Part),
    /// Send padding, so that in all so much is sent for so long.
    Probe {
        /// Together with everything else.
        rate: Bitrate,
        /// From now on.
        length: Duration,
    },
}

/// See the module. One per path.
#[derive(Clone, Debug)]
pub struct RateController {
    config: RateConfig,
    path: Path,
    prober: Prober,
    ladder: Ladder,
    client: ClientWatch,
    /// Bytes a second that are sent beside video, and what is not counted into it yet.
    beside: f64,
    counted: Counted,
    /// What was passed on last, and when it last rose.
    told: Told,
    told_up: MediaTime,
    heard: bool,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    total: Bitrate,
    encoder: Bitrate,
    rate: Part,
    size: Part,
}

/// Bytes of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    length: Duration,
    frames: u64,
    all: u64,
}

impl RateController {
    /// Starts at `now` with the start rate, brought within floor and ceiling.
    pub fn new(now: MediaTime, config: RateConfig) -> Self {
        let config = RateConfig { ceiling: config.ceiling.max(config.floor), ..config };
        let zero = Bitrate::from_bps(0);
        let mut controller = Self {
            config,
            path: Path::new(now, config),
            prober: Prober::new(now),
            ladder: Ladder::new(config.frame, config.size, config.resizes),
            client: ClientWatch::new(),
            beside: 0.0,
            counted: Counted::default(),
            told: Told { total: zero, encoder: zero, rate: Part::WHOLE, size: Part::WHOLE },
            told_up: now,
            heard: false,
        };
        (controller.told.total, controller.told.encoder) =
            (controller.target(), controller.encoder_target());
        controller
    }

    /// The last packet of a frame of `bytes` left `at`.
    pub fn on_sent(&mut self, at: MediaTime, bytes: u64) {
        self.path.on_sent(at, bytes);
    }

    /// The source's pictures have another size at their full size.
    pub fn on_resized(&mut self, size: Size) {
        self.config.size = size;
        self.ladder.resized(size);
    }

    /// It never goes above this from now on, and not below its floor either.
    pub fn set_ceiling(&mut self, ceiling: Bitrate) {
        self.config.ceiling = ceiling.max(self.config.floor);
        self.path.set_ceiling(self.config.ceiling);
    }

    /// The source's pictures can be coded smaller, or not.
    pub fn set_resizes(&mut self, resizes: bool) {
        self.config.resizes = resizes;
        self.ladder.set_resizes(resizes);
    }

    /// Takes a report.
    pub fn on_report(&mut self, report: &PathReport) {
        self.heard = true;
        if let Some(frames) = report.unread_frames {
            self.client.on_unread(report.at, frames);
            self.path.set_client_busy(self.client.is_behind(report.at));
        }
        let stretch = self.path.on_report(report);
        self.count_beside(report, stretch);
        if let Some(found) = self.prober.on_report(report.at, report, self.path.queue()) {
            self.path.probed(report.at, found.rate, found.filled);
        }
    }

    /// The client said how it copes.
    pub fn on_client(&mut self, now: MediaTime, load: ClientLoad) {
        // What waited for a packet to be sent again did not wait for the decoder.
        let decode_delay_micros = load.decode_delay_micros.filter(|_| !self.path.loses(now));
        let load = ClientLoad { decode_delay_micros, ..load };
        self.client.on_load(now, load, self.ladder.interval(), self.path.queue());
        self.path.set_client_busy(self.client.is_behind(now));
    }

    /// What to do now; `None` when nothing is left to do.
    pub fn poll(&mut self, now: MediaTime) -> Option<RateAction> {
        let behind = self.client.is_behind(now);
        self.path.set_client_busy(behind);
        self.ladder.step(now, self.encoder_target(), behind);
        self.poll_target(now).or_else(|| self.poll_steps()).or_else(|| self.poll_probe(now))
    }

    /// When [`poll`](Self::poll) is due for a probe; besides, it is after each report and now and then.
    pub fn poll_timeout(&self, now: MediaTime) -> Option<MediaTime> {
        self.prober.poll_timeout().map(|at| at.max(now + Duration::from_millis(1)))
    }

    /// Whether a frame should not be coded now.
    pub fn skip_frame(&self, now: MediaTime) -> bool {
        self.skip_until(now) > now
    }

    /// Until when frames should not be coded: more than two of them wait at the bottleneck, or three at the client.
    /// As far as is known now; a path that stays silent is tried again then.
    pub fn skip_until(&self, now: MediaTime) -> MediaTime {
        let interval = self.ladder.interval();
        let on_the_way = self.path.wait(now).saturating_sub(interval * FRAMES_WAIT);
        let at_the_client = (self.client.waiting(now) - CLIENT_FRAMES_WAIT).max(0.0);
        now + on_the_way.max(interval.mul_f64(at_the_client)).min(LONGEST_SKIP)
    }

    /// What may be sent in all: video, sound, repair.
    pub fn target(&self) -> Bitrate {
        self.path.target()
    }

    /// What the encoder should produce: the target less sound, repair and headers, at least half the floor.
    pub fn encoder_target(&self) -> Bitrate {
        let target = self.target();
        let beside = self.config.audio.bps().max((self.beside * 8.0) as u64);
        let beside = beside.min(target.scaled(MOST_BESIDE).bps());
        let video = Bitrate::from_bps(target.bps() - beside).scaled(ENCODER_SHARE);
        video.max(self.config.floor.scaled(0.5))
    }

    /// How things stand.
    pub fn status(&self, now: MediaTime) -> RateStatus {
        let limit = if self.ladder.client_limits() {
            Limit::Client
        } else if self.path.aim() >= self.config.ceiling && !self.ladder.link_limits() {
            Limit::Ceiling
        } else if self.path.state() == PathState::Clear && self.path.sends_less(now) {
            Limit::Source
        } else {
            Limit::Link
        };
        RateStatus {
            path: self.path.state(),
            limit,
            target: self.target(),
            encoder: self.encoder_target(),
            acked: self.path.acked_rate(),
            queue: self.path.queue(),
            frame_rate: self.ladder.rate(),
            size: self.ladder.of_size(),
        }
    }

    fn poll_target(&mut self, now: MediaTime) -> Option<RateAction> {
        let (total, encoder) = (self.target(), self.encoder_target());
        let rose = |now: Bitrate, then: Bitrate| {
            now.bps() as f64 >= then.bps() as f64 * (1.0 + HYSTERESIS)
        };
        // The encoder's part wavers with repair, which is no reason to tell it again and again.
        let down = total < self.told.total || rose(self.told.encoder, encoder);
        let at_ceiling = total == self.config.ceiling && self.told.total != total;
        let up = rose(total, self.told.total) || rose(encoder, self.told.encoder) || at_ceiling;
        if !down && (!up || now.since(self.told_up) < UP_EVERY) {
            return None;
        }
        if !down {
            self.told_up = now;
        }
        (self.told.total, self.told.encoder) = (total, encoder);
        Some(RateAction::Target { total, encoder })
    }

    fn poll_steps(&mut self) -> Option<RateAction> {
        let (rate, size) = (self.ladder.rate(), self.ladder.of_size());
        if rate != self.told.rate {
            self.told.rate = rate;
            return Some(RateAction::FrameRate(rate));
        }
        if size != self.told.size {
            self.told.size = size;
            return Some(RateAction::Size(size));
        }
        None
    }

    /// Whether what left `sent` may not have come yet, or the client's word of it not be here. Whoever asks for a keyframe
    /// meanwhile has not seen whether that helps him.
    pub fn is_under_way(&self, sent: MediaTime, now: MediaTime) -> bool {
        now.since(sent) < self.path.answered_in().saturating_add(self.path.queue())
    }

    fn poll_probe(&mut self, now: MediaTime) -> Option<RateAction> {
        let path = &self.path;
        let little = self.heard && path.state() == PathState::Clear && path.sends_little(now);
        let (aim, most) = (path.aim(), self.config.ceiling);
        let (queue, answered_in) = (path.queue(), path.answered_in());
        let probe = self.prober.poll(now, little, aim, most, queue, answered_in);
        probe.map(|(rate, length)| RateAction::Probe { rate, length })
    }

    /// What goes over the wire beside video frames: repair and sound. Padding makes room for them, so that
    /// nothing is counted while it is sent.
    fn count_beside(&mut self, report: &PathReport, stretch: Stretch) {
        if self.prober.is_running() {
            self.counted = Counted::default();
            return;
        }
        let counted = &mut self.counted;
        counted.length = counted.length.saturating_add(stretch.length);
        counted.frames = counted.frames.saturating_add(stretch.bytes);
        counted.all = counted.all.saturating_add(report.sent_bytes);
        if counted.length < BESIDE_EVERY || counted.frames == 0 {
            return;
        }
        let seconds = counted.length.as_secs_f64();
        let rate = counted.all.saturating_sub(counted.frames) as f64 / seconds;
        self.beside += (rate - self.beside) * (seconds / BESIDE_IN).min(1.0);
        *counted = Counted::default();
    }
}

#[cfg(test)]
mod tests;
