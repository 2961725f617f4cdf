//! A session's sound: its thread, who listens, and what is told of it.
//!
//! Each packet is coded once, for the player and all who watch. What a viewer's path loses changes nothing in
//! it: the player's alone says how much is spent on making up for losses.
//!
//! The app brings the source when it is open, which may be after the first client came; until then that
//! client's sink waits here. Nothing is made while the session is suspended: it is heard with its picture.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use encoder::{SoundConfig, SoundStats, SoundWorker};
use media::{AudioSink, AudioSource, Bitrate, Clock, MediaTime, PathReport};
use session::hands::{PLAYER, Who};

use crate::metrics::Metrics;
use crate::wire;

/// The rate that is told is that of this time.
const WINDOW: Duration = Duration::from_secs(1);
/// Losses are an average of so many packets: some seconds of a session.
const LOSS_PACKETS: f64 = 1_000.0;
/// The expected loss is told anew when it moved by this much.
const LOSS_STEP: f64 = 0.005;

/// Where a path has this rate, packets are as short as they may be: those of 5 ms take 50 kbit/s more for headers than those of
/// 10. They are longer again where it has the lower one.
const ROOM: [Bitrate; 2] = [Bitrate::from_kbps(1_500), Bitrate::from_kbps(2_000)];

/// See the module.
pub(super) struct Audio {
    /// None where the session has no sound.
    config: Option<SoundConfig>,
    worker: Option<SoundWorker>,
    waiting: Vec<(Who, Box<dyn AudioSink>)>,
    paused: bool,
    /// The path has little room.
    sparing: bool,
    /// The player's client makes up for losses by what the codec says of them.
    by_codec: bool,
    /// What part of the packets their path loses, and what the encoder was told.
    loss: (f64, f64),
    sent: VecDeque<(MediaTime, u64)>,
    counted: SoundStats,
    told: Option<wire::AudioStats>,
}

impl Audio {
    /// Nobody listens yet, and the session is not played yet.
    pub(super) fn new(config: Option<SoundConfig>) -> Self {
        Self {
            config,
            worker: None,
            waiting: Vec::new(),
            paused: true,
            sparing: false,
            by_codec: false,
            loss: (0.0, 0.0),
            sent: VecDeque::new(),
            counted: SoundStats::default(),
            told: None,
        }
    }

    /// Whether clients are to be offered sound.
    pub(super) fn is_offered(&self) -> bool {
        self.config.is_some()
    }

    /// What is kept free for it on each client's path.
    pub(super) fn rate(&self) -> Bitrate {
        self.config.as_ref().map_or(Bitrate::from_bps(0), |sound| sound.bitrate)
    }

    /// The app is open, and brought this.
    pub(super) fn opened(&mut self, source: Option<Box<dyn AudioSource>>, clock: Arc<dyn Clock>) {
        let Some((config, source)) = self.config.clone().zip(source) else { return };
        match SoundWorker::spawn(config, source, clock) {
            Ok(worker) => {
                worker.set_paused(self.paused);
                worker.set_sparing(self.sparing);
                for (listener, sink) in self.waiting.drain(..) {
                    worker.attach(listener, sink);
                }
                self.worker = Some(worker);
            }
            Err(error) => tracing::warn!(%error, "no thread for sound: the session has none"),
        }
    }

    /// The session is suspended, or goes on.
    pub(super) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        if let Some(worker) = &self.worker {
            worker.set_paused(paused);
        }
    }

    /// The client of `who` listens by this sink from now on; none where it takes no sound.
    pub(super) fn listen(&mut self, who: Who, sink: Option<Box<dyn AudioSink>>) {
        let Some(sink) = sink.filter(|_| self.is_offered()) else { return };
        if who == PLAYER {
            self.by_codec = sink.wants_fec();
        }
        match &self.worker {
            Some(worker) => worker.attach(who, sink),
            None => {
                self.waiting.retain(|(of, _)| *of != who);
                self.waiting.push((who, sink));
            }
        }
    }

    /// A client is gone, or does not want to hear anything for now.
    pub(super) fn silence(&mut self, who: Who) {
        self.waiting.retain(|(of, _)| *of != who);
        if let Some(worker) = &self.worker {
            worker.detach(who);
        }
        if who == PLAYER {
            self.by_codec = false;
            self.loss.0 = 0.0;
            self.tell_loss();
        }
    }

    /// So much may be sent to the player's client in all.
    pub(super) fn on_rate(&mut self, rate: Bitrate) {
        let [less, enough] = ROOM;
        self.sparing = rate < if self.sparing { enough } else { less };
        if let Some(worker) = &self.worker {
            worker.set_sparing(self.sparing);
        }
    }

    /// How the path of the player's client did.
    pub(super) fn on_report(&mut self, report: &PathReport) {
        if !self.by_codec {
            return;
        }
        let lost = f64::from(report.lost_packets);
        let of = lost + f64::from(report.acked_packets);
        self.loss.0 = (self.loss.0 * LOSS_PACKETS + lost) / (LOSS_PACKETS + of);
        self.tell_loss();
    }

    fn tell_loss(&mut self) {
        let (now, told) = self.loss;
        if let Some(worker) = &self.worker
            && (now - told).abs() >= LOSS_STEP
        {
            worker.expect_loss(now);
            self.loss.1 = now;
        }
    }

    /// What clients were told last.
    pub(super) fn told(&self) -> Option<wire::AudioStats> {
        self.told.clone()
    }

    /// For clients; passes on to the node's metrics what was counted since the last call.
    pub(super) fn look(&mut self, now: MediaTime, metrics: &Metrics) -> Option<wire::AudioStats> {
        let (config, stats) = (self.config.as_ref()?, self.worker.as_ref()?.stats());
        metrics.audio_packets.inc_by(stats.packets - self.counted.packets);
        metrics.audio_bytes.inc_by(stats.bytes - self.counted.bytes);
        while self.sent.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.sent.pop_front();
        }
        let (since, before) = self.sent.front().copied().unwrap_or((now, stats.bytes));
        let rate = match now.since(since) {
            Duration::ZERO => Bitrate::from_bps(0),
            time => Bitrate::of(stats.bytes - before, time),
        };
        self.sent.push_back((now, stats.bytes));
        self.counted = stats;
        let kbps = |rate: Bitrate| u32::try_from(rate.kbps()).unwrap_or(u32::MAX);
        self.told = Some(wire::AudioStats {
            codec: "Opus".into(),
            kbps: kbps(rate),
            target_kbps: kbps(config.bitrate),
            silent: self.counted.silent,
            expected_loss: self.counted.expected_loss,
            refused: self.counted.refused,
            failed: self.counted.failed.clone(),
        });
        self.told()
    }

    /// Lets go of the thread, whose end blocks for as long as a block takes.
    pub(super) fn take(&mut self) -> Option<SoundWorker> {
        self.config = None;
        self.waiting.clear();
        self.worker.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use media::{AudioPacket, SendRefused};
    use testkit::WallClock;

    use super::*;
    use crate::sounds::beeps::Beeps;

    struct Sink(mpsc::Sender<AudioPacket>, bool);

    impl AudioSink for Sink {
        fn wants_fec(&self) -> bool {
            self.1
        }
        fn send(&mut self, packet: &AudioPacket) -> Result<(), SendRefused> {
            self.0.send(packet.clone()).map_err(|_| SendRefused::NotConnected)
        }
    }

    fn audio() -> Audio {
        Audio::new(Some(SoundConfig {
            name: "snd-test".into(),
            track: media::TrackId(0),
            block: Duration::from_millis(10),
            bitrate: Bitrate::from_kbps(96),
        }))
    }

    fn report(lost_packets: u32, acked_packets: u32) -> PathReport {
        PathReport {
            at: MediaTime::ZERO,
            span: Duration::ZERO,
            acked_bytes: 0,
            acked_packets,
            lost_packets,
            sent_bytes: 0,
            one_way_delay_micros: 0,
            newest_sent: MediaTime::ZERO,
            newest_delay_micros: 0,
            round_trip: None,
            ecn_ce: 0,
            unread_frames: None,
        }
    }

    #[test]
    fn who_comes_before_the_app_is_open_hears_it_and_the_players_losses_count() {
        const VIEWER: Who = 7;
        let (mut audio, metrics) = (audio(), Metrics::new());
        let (packets, heard) = mpsc::channel();
        let (others, heard_by_others) = mpsc::channel();
        audio.listen(PLAYER, Some(Box::new(Sink(packets, true))));
        audio.listen(VIEWER, Some(Box::new(Sink(others, true))));
        assert!(audio.told().is_none());
        audio.opened(Some(Box::new(Beeps)), WallClock::shared());
        audio.set_paused(false);
        let first = heard.recv().unwrap();
        assert!(!first.data.is_empty());
        assert_eq!(heard_by_others.recv().unwrap().data, first.data);
        audio.on_report(&report(10, 190));
        // It is told with the next block, and beeps come every second.
        while audio.look(MediaTime::ZERO, &metrics).unwrap().expected_loss == 0 {
            std::thread::yield_now();
        }
        audio.silence(PLAYER);
        assert!(heard.iter().count() < 1_000, "its sink is gone");
        // Nobody is left for whom it would be worth anything.
        while audio.look(MediaTime::ZERO, &metrics).unwrap().expected_loss != 0 {
            std::thread::yield_now();
        }
        audio.on_report(&report(100, 0));
        assert_eq!(audio.loss, (0.0, 0.0));
        heard_by_others.recv().unwrap();
        let stats = audio.look(MediaTime::from_millis(100), &metrics).unwrap();
        assert_eq!((stats.target_kbps, &stats.failed), (96, &None));
        assert_eq!(audio.told(), Some(stats));
        assert!(metrics.audio_packets.get() > 0 && metrics.audio_bytes.get() > 0);
        assert!(audio.take().is_some() && !audio.is_offered());
    }

    #[test]
    fn packets_are_longer_while_the_path_has_little_room() {
        let mut audio = audio();
        let sparing = [3_000, 1_500, 1_499, 1_999, 2_000, 1_500].map(|kbps| {
            audio.on_rate(Bitrate::from_kbps(kbps));
            audio.sparing
        });
        assert_eq!(sparing, [false, false, true, true, false, false]);
    }

    #[test]
    fn a_session_without_sound_takes_no_sinks() {
        let mut audio = Audio::new(None);
        let (packets, heard) = mpsc::channel();
        audio.opened(Some(Box::new(Beeps)), WallClock::shared());
        audio.listen(PLAYER, Some(Box::new(Sink(packets, false))));
        assert!(heard.recv().is_err());
        assert!(audio.look(MediaTime::ZERO, &Metrics::new()).is_none());
        assert!(audio.take().is_none());
    }
}
