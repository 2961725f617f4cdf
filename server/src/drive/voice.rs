//! The player's microphone: whether it may be used, and what comes of what is said.
//!
//! ```text
//!  Off ──── a packet, while the session is live ────▶ On: a thread decodes, what is played may record
//!   ▲                                                  │
//!   └── nothing for 2 s, another connection, suspended ┘
//! ```
//! The page asks its user, and sends only while the user wants it. Here it is decided whether what comes is taken: the entry
//! must have a microphone, the node allow it, and the client be the player. Else it is dropped and counted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use encoder::{VoiceStats, VoiceWorker};
use media::{Bitrate, MediaTime, VoicePacket, VoiceSink};

use crate::metrics::Metrics;
use crate::wire::{MicrophoneAccess, MicrophoneStats};

/// Nobody speaks any more when nothing came for so long: browsers say four times a second that there is silence, at the
/// least.
const SILENT: Duration = Duration::from_secs(2);
/// The rate that is told is that of this time.
const WINDOW: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Voice {
    /// Of the thread.
    name: String,
    access: MicrophoneAccess,
    sink: Option<Arc<dyn VoiceSink>>,
    worker: Option<VoiceWorker>,
    paused: bool,
    /// When the newest packet came.
    newest: MediaTime,
    /// Of threads that have ended.
    before: VoiceStats,
    counted: VoiceStats,
    came: VecDeque<(MediaTime, u64)>,
}

impl Voice {
    /// Of a session that is not played yet.
    pub(super) fn new(session: &str, access: MicrophoneAccess) -> Self {
        Self {
            name: format!("mic-{}", session.chars().take(8).collect::<String>()),
            access,
            sink: None,
            worker: None,
            paused: true,
            newest: MediaTime::ZERO,
            before: VoiceStats::default(),
            counted: VoiceStats::default(),
            came: VecDeque::new(),
        }
    }

    /// Whether it may be used.
    pub(super) fn access(&self) -> MicrophoneAccess {
        self.access
    }

    /// Clients are told that they may send.
    pub(super) fn is_allowed(&self) -> bool {
        self.access == MicrophoneAccess::Allowed
    }

    /// The app is open, and listens there.
    pub(super) fn opened(&mut self, sink: Option<Arc<dyn VoiceSink>>) {
        self.sink = sink.filter(|_| self.is_allowed());
    }

    /// The session is suspended, or goes on.
    pub(super) fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            self.off();
        }
    }

    /// Nothing more comes by this connection.
    pub(super) fn off(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.before = sum(&self.before, &worker.stats());
        }
    }

    /// The session ends.
    pub(super) fn close(&mut self) {
        self.off();
        self.sink = None;
    }

    /// The player's client said something.
    pub(super) fn packet(&mut self, now: MediaTime, packet: VoicePacket, metrics: &Metrics) {
        let Some(sink) = self.sink.clone().filter(|_| !self.paused) else {
            metrics.voice_refused.inc();
            return;
        };
        self.newest = now;
        if self.worker.is_none() {
            match VoiceWorker::spawn(self.name.clone(), sink) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => {
                    tracing::warn!(%error, "no thread for the player's voice: it is not heard");
                    self.before.failed = Some(error.to_string());
                    self.sink = None;
                }
            }
        }
        if let Some(worker) = &self.worker {
            worker.take(packet);
        }
    }

    /// For the player's client; passes on to the node's metrics what was counted since the last call.
    pub(super) fn look(&mut self, now: MediaTime, metrics: &Metrics) -> Option<MicrophoneStats> {
        if !self.is_allowed() {
            return None;
        }
        if now.since(self.newest) > SILENT {
            self.off();
        }
        let worker = self.worker.as_ref().map(VoiceWorker::stats);
        let stats = worker.map_or_else(|| self.before.clone(), |now| sum(&self.before, &now));
        metrics.voice_packets.inc_by(stats.packets - self.counted.packets);
        metrics.voice_bytes.inc_by(stats.bytes - self.counted.bytes);
        metrics.voice_lost.inc_by(stats.lost - self.counted.lost);
        while self.came.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.came.pop_front();
        }
        let (since, bytes) = self.came.front().copied().unwrap_or((now, stats.bytes));
        let rate = match now.since(since) {
            Duration::ZERO => Bitrate::from_bps(0),
            time => Bitrate::of(stats.bytes - bytes, time),
        };
        self.came.push_back((now, stats.bytes));
        let state = self.sink.as_ref().map(|sink| sink.state()).unwrap_or_default();
        let told = MicrophoneStats {
            on: self.worker.is_some(),
            recorded: state.recorded,
            kbps: u32::try_from(rate.kbps()).unwrap_or(u32::MAX),
            packets: stats.packets,
            lost: stats.lost,
            recovered: stats.recovered,
            refused: stats.late + stats.malformed + stats.dropped,
            buffer_ms: millis(state.held),
            dropped_ms: millis(state.dropped),
            failed: stats.failed.clone(),
        };
        self.counted = stats;
        Some(told)
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn sum(before: &VoiceStats, now: &VoiceStats) -> VoiceStats {
    VoiceStats {
        packets: before.packets + now.packets,
        bytes: before.bytes + now.bytes,
        lost: before.lost + now.lost,
        recovered: before.recovered + now.recovered,
        late: before.late + now.late,
        malformed: before.malformed + now.malformed,
        dropped: before.dropped + now.dropped,
        failed: now.failed.clone().or_else(|| before.failed.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use bytes::Bytes;
    use encoder::opus::{Aim, LONGEST, OpusEncoder};
    use media::VoiceState;
    use media::audio::CHANNELS;

    use super::*;

    #[derive(Default)]
    struct Sink {
        on: AtomicBool,
        samples: AtomicUsize,
    }

    impl VoiceSink for Sink {
        fn set_enabled(&self, enabled: bool) {
            self.on.store(enabled, Ordering::Release);
        }
        fn put(&self, samples: &[f32]) {
            self.samples.fetch_add(samples.len(), Ordering::AcqRel);
        }
        fn state(&self) -> VoiceState {
            let held = Duration::from_millis(30);
            VoiceState { recorded: true, held, dropped: Duration::ZERO }
        }
    }

    fn packet(sequence: u16) -> VoicePacket {
        let mut encoder = OpusEncoder::open(Bitrate::from_kbps(32), Aim::Corrected).unwrap();
        let mut out = [0; LONGEST];
        let length = encoder.encode(&[0.25; 960 * CHANNELS], &mut out).unwrap();
        VoicePacket { sequence, data: Bytes::copy_from_slice(&out[..length]) }
    }

    fn opened(access: MicrophoneAccess) -> (Voice, Arc<Sink>) {
        let (mut voice, sink) = (Voice::new("0123456789", access), Arc::new(Sink::default()));
        voice.opened(Some(sink.clone()));
        (voice, sink)
    }

    #[test]
    fn what_the_player_says_is_heard_while_the_session_is_live_and_counted() {
        let (mut voice, sink) = opened(MicrophoneAccess::Allowed);
        let (metrics, ms) = (Metrics::new(), MediaTime::from_millis);
        voice.packet(ms(0), packet(0), &metrics);
        assert_eq!(metrics.voice_refused.get(), 1, "it is not live yet");
        voice.set_paused(false);
        voice.packet(ms(1_000), packet(1), &metrics);
        voice.packet(ms(1_020), packet(3), &metrics);
        // Packets are counted when what they hold was put.
        while voice.worker.as_ref().is_some_and(|worker| worker.stats().packets < 2) {
            std::thread::yield_now();
        }
        assert_eq!(sink.samples.load(Ordering::Acquire), 3 * 960);
        assert!(sink.on.load(Ordering::Acquire));
        let told = voice.look(ms(1_040), &metrics).unwrap();
        assert!(told.on && told.recorded, "{told:?}");
        assert_eq!((told.packets, told.lost, told.buffer_ms), (2, 1, 30));
        assert_eq!((metrics.voice_packets.get(), metrics.voice_lost.get()), (2, 1));
        // Nothing comes any more.
        assert!(voice.look(ms(3_000), &metrics).unwrap().on);
        assert!(!voice.look(ms(3_100), &metrics).unwrap().on);
        assert!(!sink.on.load(Ordering::Acquire));
        // Another connection begins anew, and what was counted stays.
        voice.packet(ms(4_000), packet(40_000), &metrics);
        voice.set_paused(true);
        assert!(!sink.on.load(Ordering::Acquire));
        let told = voice.look(ms(4_010), &metrics).unwrap();
        assert!(!told.on && told.packets >= 2 && told.lost == 1, "{told:?}");
        voice.close();
        voice.set_paused(false);
        voice.packet(ms(4_020), packet(1), &metrics);
        assert_eq!(metrics.voice_refused.get(), 2);
    }

    #[test]
    fn where_it_is_not_allowed_nothing_is_heard_and_everything_counted() {
        for access in [MicrophoneAccess::NotByGame, MicrophoneAccess::NotByNode] {
            let (mut voice, sink) = opened(access);
            let metrics = Metrics::new();
            voice.set_paused(false);
            voice.packet(MediaTime::from_millis(1), packet(0), &metrics);
            assert_eq!(metrics.voice_refused.get(), 1);
            assert!(voice.look(MediaTime::from_millis(2), &metrics).is_none());
            assert!(!sink.on.load(Ordering::Acquire) && !voice.is_allowed());
        }
    }
}
