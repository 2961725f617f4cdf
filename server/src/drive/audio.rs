//! A session's sound: its thread, who listens, and what is told of it.
//!
//! Each packet is coded once, for the player and all who watch; once more in all channels where what is played has more than
//! two and somebody plays as many. How many it may have is what the player's client says that it plays. What a viewer's path loses changes nothing in
//! it: the player's alone says how much is spent on making up for losses.
//!
//! The app brings the source when it is open, which may be after the first client came; until then that
//! client's sink waits here. Nothing is made while the session is suspended: it is heard with its picture.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use encoder::{Listener, SoundConfig, SoundStats, SoundWorker};
use media::{AudioSink, AudioSource, Bitrate, Clock, Layout, MediaTime, PathReport};
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

/// How a session is to sound.
#[derive(Debug, Clone)]
pub(crate) struct SoundPlan {
    /// How it is coded.
    pub(crate) config: SoundConfig,
    /// The most channels that it may have, and those that it begins with.
    pub(crate) most: Layout,
    pub(crate) layout: Layout,
}

/// See the module.
pub(super) struct Audio {
    /// None where the session has no sound.
    plan: Option<SoundPlan>,
    /// Those who said that they play more than two channels.
    plays: Vec<(Who, Layout)>,
    /// Those whose clients make up for losses by what the codec says of them: they play two channels.
    by_codec: Vec<Who>,
    worker: Option<SoundWorker>,
    waiting: Vec<(Who, Box<dyn AudioSink>)>,
    paused: bool,
    /// The path has little room.
    sparing: bool,
    /// What part of the packets their path loses, and what the encoder was told.
    loss: (f64, f64),
    /// Bytes of two channels, and of all.
    sent: VecDeque<(MediaTime, [u64; 2])>,
    counted: SoundStats,
    /// For those who hear two channels, and for those who hear all.
    told: Option<[wire::AudioStats; 2]>,
}

impl Audio {
    /// Nobody listens yet, and the session is not played yet.
    pub(super) fn new(plan: Option<SoundPlan>) -> Self {
        Self {
            plan,
            plays: Vec::new(),
            by_codec: Vec::new(),
            worker: None,
            waiting: Vec::new(),
            paused: true,
            sparing: false,
            loss: (0.0, 0.0),
            sent: VecDeque::new(),
            counted: SoundStats::default(),
            told: None,
        }
    }

    /// Whether clients are to be offered sound.
    pub(super) fn is_offered(&self) -> bool {
        self.plan.is_some()
    }

    /// What is kept free for it on each client's path at the least; where more is sent, that is seen.
    pub(super) fn rate(&self) -> Bitrate {
        self.plan.as_ref().map_or(Bitrate::from_bps(0), |plan| plan.config.bitrate)
    }

    /// The channels that what is played may have.
    pub(super) fn layout(&self) -> Layout {
        self.plan.as_ref().map_or(Layout::Stereo, |plan| plan.layout)
    }

    /// The client of `who` plays so many channels from now on. What is played may have as many as the player's.
    pub(super) fn plays(&mut self, who: Who, channels: u8) {
        let Some(plan) = &mut self.plan else { return };
        let layout = Layout::within(channels);
        self.plays.retain(|(of, _)| *of != who);
        if layout != Layout::Stereo {
            self.plays.push((who, layout));
        }
        if who == PLAYER {
            plan.layout = layout.min(plan.most);
        }
        self.tell_layout();
    }

    /// Another client of `who` comes, or none any more: it plays two channels until it says more. What is played goes on as it
    /// is.
    pub(super) fn renew(&mut self, who: Who) {
        let before = self.plays.len();
        self.plays.retain(|(of, _)| *of != who);
        if self.plays.len() != before {
            self.tell_layout();
        }
    }

    fn tell_layout(&self) {
        if let Some(worker) = &self.worker {
            worker.set_surround(self.layout(), self.wide());
        }
    }

    /// Those who play all channels that there may be.
    fn wide(&self) -> Vec<Listener> {
        let layout = self.layout();
        let all = self.plays.iter().filter(|(who, plays)| {
            layout != Layout::Stereo && *plays >= layout && !self.by_codec.contains(who)
        });
        all.map(|(who, _)| *who).collect()
    }

    /// The app is open, and brought this.
    pub(super) fn opened(&mut self, source: Option<Box<dyn AudioSource>>, clock: Arc<dyn Clock>) {
        let Some((plan, source)) = self.plan.clone().zip(source) else { return };
        match SoundWorker::spawn(plan.config, source, clock) {
            Ok(worker) => {
                worker.set_paused(self.paused);
                worker.set_sparing(self.sparing);
                worker.set_surround(self.layout(), self.wide());
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
        self.by_codec.retain(|of| *of != who);
        if sink.wants_fec() {
            self.by_codec.push(who);
        }
        self.tell_layout();
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
        self.by_codec.retain(|of| *of != who);
        if who == PLAYER {
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
        if !self.by_codec.contains(&PLAYER) {
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

    /// What the client of `who` is told, as it was last.
    pub(super) fn told(&self, who: Who) -> Option<wire::AudioStats> {
        let [two, all] = self.told.clone()?;
        let hears_all = self.counted.layout != Layout::Stereo && self.wide().contains(&who);
        Some(if hears_all { all } else { two })
    }

    /// For the player's client; passes on to the node's metrics what was counted since the last call.
    pub(super) fn look(&mut self, now: MediaTime, metrics: &Metrics) -> Option<wire::AudioStats> {
        let (plan, stats) = (self.plan.as_ref()?, self.worker.as_ref()?.stats());
        let coded = [stats.stereo, stats.surround];
        for (coded, counted) in coded.iter().zip([self.counted.stereo, self.counted.surround]) {
            metrics.audio_packets.inc_by(coded.packets - counted.packets);
            metrics.audio_bytes.inc_by(coded.bytes - counted.bytes);
        }
        while self.sent.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.sent.pop_front();
        }
        let bytes = coded.map(|coded| coded.bytes);
        let (since, before) = self.sent.front().copied().unwrap_or((now, bytes));
        self.sent.push_back((now, bytes));
        let kbps = |rate: Bitrate| u32::try_from(rate.kbps()).unwrap_or(u32::MAX);
        let of = |at: usize, layout: Layout| wire::AudioStats {
            codec: "Opus".into(),
            channels: layout.channels() as u8,
            kbps: match now.since(since) {
                Duration::ZERO => 0,
                time => kbps(Bitrate::of(bytes[at] - before[at], time)),
            },
            target_kbps: kbps(plan.config.rate(layout)),
            silent: coded[at].silent,
            expected_loss: if at == 0 { stats.expected_loss } else { 0 },
            refused: stats.refused,
            failed: stats.failed.clone(),
        };
        self.told = Some([of(0, Layout::Stereo), of(1, stats.layout)]);
        self.counted = stats;
        self.told(PLAYER)
    }

    /// Lets go of the thread, whose end blocks for as long as a block takes.
    pub(super) fn take(&mut self) -> Option<SoundWorker> {
        self.plan = None;
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
        let config = SoundConfig {
            name: "snd-test".into(),
            track: media::TrackId(0),
            block: Duration::from_millis(10),
            bitrate: Bitrate::from_kbps(96),
        };
        let layout = Layout::Stereo;
        Audio::new(Some(SoundPlan { config, most: Layout::Surround51, layout }))
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
        assert!(audio.told(PLAYER).is_none());
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
        assert_eq!(audio.told(PLAYER), Some(stats));
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
    fn what_is_played_may_have_as_many_channels_as_the_players_client_and_no_more_than_its_entry_says()
     {
        let mut audio = audio();
        let mut after = |who: Who, channels: u8| {
            audio.plays(who, channels);
            (audio.layout(), audio.wide())
        };
        assert_eq!(after(7, 8), (Layout::Stereo, vec![]), "a viewer changes nothing");
        assert_eq!(after(PLAYER, 8), (Layout::Surround51, vec![7, PLAYER]));
        assert_eq!(after(7, 2), (Layout::Surround51, vec![PLAYER]));
        assert_eq!(after(7, 6), (Layout::Surround51, vec![PLAYER, 7]));
        // One that decodes by what the codec says of losses has two.
        let (packets, _heard) = mpsc::channel();
        audio.listen(7, Some(Box::new(Sink(packets, true))));
        assert_eq!(audio.wide(), [PLAYER]);
        audio.silence(7);
        assert_eq!(audio.wide(), [PLAYER, 7], "a page that is hidden comes back");
        // What is played keeps its channels for who comes next, of whom nothing is known.
        audio.renew(PLAYER);
        assert_eq!((audio.layout(), audio.wide()), (Layout::Surround51, vec![7]));
        audio.plays(PLAYER, 2);
        assert_eq!((audio.layout(), audio.wide()), (Layout::Stereo, vec![]));
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
