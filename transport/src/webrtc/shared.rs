//! What the parts of one connection share: its clock, its events, its tracks and a few numbers.
//!
//! It must never own the connection or a task: everything here outlives the close.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use media::{Acks, Bitrate, Clock, FrameState, MediaTime};
use tokio::sync::Notify;

use super::audio::SoundStream;
use super::gate::Passage;
use super::track::Track;
use super::unheard::Unheard;
use crate::events::Events;
use crate::flood::Limits;

/// Packets that the share of lost ones is an average of: about a second of 5 Mbit/s.
const LOSS_WINDOW: u64 = 500;

/// What packets are late beyond this is waited for no longer.
const MOST_LATE: Duration = Duration::from_millis(20);
/// With each feedback, of which a second has about 16, it becomes less by this part...
const FADES: u64 = 16;
/// ...and is nothing below this: feedback tells times in quarters of a millisecond.
const LEAST_LATE: Duration = Duration::from_millis(1);

/// DTLS is up, and media flows.
const LIVE: u8 = 1;
/// Nothing does any more: this side closes, or the connection has ended.
const OVER: u8 = 2;

/// A rate to send at for some time, padding included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) rate: Bitrate,
    pub(super) begins: Instant,
    pub(super) ends: Instant,
}

/// See the module.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: Events,
    pub(super) tracks: Vec<Arc<Track>>,
    /// Set where the connection has sound.
    pub(super) sound: OnceLock<SoundStream>,
    /// Payload type of what the client says, where it may.
    pub(super) voice: OnceLock<u8>,
    /// Which of [`LIVE`] and [`OVER`] it has come to, if any: it never goes back.
    stage: AtomicU8,
    /// Reports of the client that were lost.
    pub(super) unheard: Unheard,
    /// Whether datagrams are fed to the stack one by one.
    gentle: AtomicBool,
    /// Bits per second; 0 does not hold packets back.
    pacing: AtomicU64,
    /// How long after it was sent a packet is sent again, whatever the round trip.
    pub(super) resend_within: Duration,
    /// Bytes of repair packets since the last path report.
    repair_bytes: AtomicU64,
    /// Packets of a million that were lost lately.
    loss: AtomicU32,
    /// How late packets came that later ones overtook, in nanoseconds.
    reordering: AtomicU64,
    /// Nanoseconds; 0 is unknown.
    round_trip: AtomicU64,
    /// A probe that has not begun.
    probe: Mutex<Option<Probe>>,
    /// Of what the client sends.
    pub(super) limits: Limits,
    /// What its data channels carry.
    pub(super) passage: Arc<Passage>,
    /// A DTLS alert came in: the client may have closed.
    pub(super) alert: Notify,
    /// The last candidate of this side was found.
    pub(super) gathered: Notify,
    /// The driver's task is over.
    pub(super) driver_stopped: Notify,
    /// It was, by a panic.
    pub(super) driver_panicked: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        tracks: Vec<Arc<Track>>,
        pacing: Option<Bitrate>,
        resend_within: Duration,
    ) -> Self {
        let shared = Self {
            clock,
            events: Events::new(tracks.len()),
            tracks,
            sound: OnceLock::new(),
            voice: OnceLock::new(),
            stage: AtomicU8::new(0),
            unheard: Unheard::default(),
            gentle: AtomicBool::new(false),
            pacing: AtomicU64::new(0),
            resend_within,
            repair_bytes: AtomicU64::new(0),
            loss: AtomicU32::new(0),
            reordering: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            probe: Mutex::new(None),
            limits: Limits::default(),
            passage: Arc::default(),
            alert: Notify::new(),
            gathered: Notify::new(),
            driver_stopped: Notify::new(),
            driver_panicked: AtomicBool::new(false),
        };
        if let Some(rate) = pacing {
            shared.set_pacing(rate);
        }
        shared
    }

    /// The track that sends with `ssrc`. A client has a handful at most.
    pub(super) fn track(&self, ssrc: u32) -> Option<&Arc<Track>> {
        self.tracks.iter().find(|track| track.params.ssrc == ssrc)
    }

    /// Whether `ssrc` is that of the sound.
    pub(super) fn is_sound(&self, ssrc: u32) -> bool {
        self.sound.get().is_some_and(|sound| sound.ssrc == ssrc)
    }

    /// The RTP timestamp that something captured at `at` has on the stream of `ssrc`.
    pub(super) fn timestamp(&self, ssrc: u32, at: MediaTime) -> Option<u32> {
        let sound = self.sound.get().filter(|sound| sound.ssrc == ssrc);
        let sound = sound.map(|sound| sound.timestamp(at));
        sound.or_else(|| self.track(ssrc).map(|track| track.timestamp(at)))
    }

    /// What became of frames at the client. Whoever reads the message counts one that is malformed.
    pub(super) fn acked(&self, message: &[u8]) {
        let Ok(acks) = Acks::decode(message) else { return };
        for ack in acks.frames.iter().filter(|ack| ack.state == FrameState::Decoded) {
            self.tracks.iter().for_each(|track| track.decoded(ack.wire_timestamp));
        }
    }

    /// Whether media flows.
    pub(super) fn is_live(&self) -> bool {
        self.stage.load(Ordering::Acquire) == LIVE
    }

    /// It does from now on, unless it has ended already: a client may connect, or be back, while its connection closes.
    pub(super) fn begin(&self) {
        self.stage.fetch_max(LIVE, Ordering::AcqRel);
    }

    /// It does no more.
    pub(super) fn end(&self) {
        self.stage.fetch_max(OVER, Ordering::AcqRel);
    }

    pub(super) fn is_gentle(&self) -> bool {
        self.gentle.load(Ordering::Acquire)
    }

    pub(super) fn set_gentle(&self, gentle: bool) {
        self.gentle.store(gentle, Ordering::Release);
    }

    /// `None`: not paced.
    pub(super) fn pacing(&self) -> Option<Bitrate> {
        let bps = self.pacing.load(Ordering::Relaxed);
        (bps > 0).then(|| Bitrate::from_bps(bps))
    }

    pub(super) fn set_pacing(&self, rate: Bitrate) {
        self.pacing.store(rate.bps(), Ordering::Relaxed);
    }

    pub(super) fn count_repair(&self, bytes: usize) {
        self.repair_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn take_repair(&self) -> u64 {
        self.repair_bytes.swap(0, Ordering::Relaxed)
    }

    /// So many of these packets were lost.
    pub(super) fn note_loss(&self, lost: u32, of: u32) {
        let before = u64::from(self.loss());
        let now = u64::from(lost) * 1_000_000;
        let loss = (before * LOSS_WINDOW + now) / (LOSS_WINDOW + u64::from(of));
        self.loss.store(loss.try_into().unwrap_or(1_000_000), Ordering::Relaxed);
    }

    /// Packets of a million that were lost lately.
    pub(super) fn loss(&self) -> u32 {
        self.loss.load(Ordering::Relaxed)
    }

    /// Of the packets that were told of together, the latest that later ones overtook came so late.
    pub(super) fn note_reordering(&self, late: Duration) {
        let late = late.min(MOST_LATE).as_nanos() as u64;
        let before = self.reordering.load(Ordering::Relaxed);
        let seen = late.max(before - before / FADES);
        let least = LEAST_LATE.as_nanos() as u64;
        self.reordering.store(if seen < least { 0 } else { seen }, Ordering::Relaxed);
    }

    /// How late packets come that later ones overtake; zero where none do.
    pub(super) fn reordering(&self) -> Duration {
        Duration::from_nanos(self.reordering.load(Ordering::Relaxed))
    }

    pub(super) fn set_probe(&self, rate: Bitrate, begins: Instant, length: Duration) {
        *self.probe_slot() = Some(Probe { rate, begins, ends: begins + length });
    }

    /// The probe that is to begin by `now`.
    pub(super) fn take_probe(&self, now: Instant) -> Option<Probe> {
        self.probe_slot().take_if(|probe| probe.begins <= now)
    }

    /// When the probe that has not begun is to.
    pub(super) fn probe_begins(&self) -> Option<Instant> {
        self.probe_slot().map(|probe| probe.begins)
    }

    fn probe_slot(&self) -> MutexGuard<'_, Option<Probe>> {
        // Every change is one assignment.
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_round_trip(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.round_trip.store(nanos, Ordering::Relaxed);
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        let nanos = self.round_trip.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use crate::webrtc::testing::shared;

    #[test]
    fn a_connection_that_closes_is_not_live_again() {
        let shared = shared(1);
        assert!(!shared.is_live());
        shared.begin();
        assert!(shared.is_live());
        shared.end();
        shared.begin();
        assert!(!shared.is_live());
    }
}
