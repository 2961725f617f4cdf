//! The video tracks of a connection that sends frames whole: how many units wait, which sink may send, and the
//! timestamps that frames are sent with.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use media::{AccessUnit, Codec, SendRefused, TrackId, UnitSink};
use tokio::sync::mpsc;

use crate::timestamp::Timestamps;

/// Video tracks of a connection: two eyes or two players, and room for as many more.
pub(crate) const TRACKS: usize = 4;
/// Units of a track between the encoder and the socket: one that is being sent and one that waits.
const UNITS: usize = 2;
/// Parts of a unit that wait, on average: an encoder that is farther ahead of the writer has its unit refused.
const PARTS: usize = 4;

/// See the module.
pub(crate) struct Tracks {
    /// Nothing has ended yet.
    live: AtomicBool,
    tracks: [Track; TRACKS],
    /// Random start of the clock that all timestamps are on.
    offset: u32,
}

struct Track {
    /// Units that the encoder handed over and the socket has not taken.
    pending: AtomicUsize,
    /// Number of the sink that may send.
    turn: AtomicU64,
    timestamps: Mutex<Timestamps>,
}

impl Tracks {
    pub(crate) fn new(offset: u32) -> Self {
        let track = |_| Track {
            pending: AtomicUsize::new(0),
            turn: AtomicU64::new(0),
            timestamps: Mutex::new(Timestamps::new(offset)),
        };
        Self { live: AtomicBool::new(true), tracks: std::array::from_fn(track), offset }
    }

    /// The queue between the sinks and the writer: it has room for the units of all tracks.
    pub(crate) fn queue() -> (mpsc::Sender<AccessUnit>, mpsc::Receiver<AccessUnit>) {
        mpsc::channel(TRACKS * UNITS * PARTS)
    }

    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Sinks refuse from now on.
    pub(crate) fn end(&self) {
        self.live.store(false, Ordering::Release);
    }

    /// Random start of the clock that all timestamps are on.
    pub(crate) fn timestamp_offset(&self) -> u32 {
        self.offset
    }

    /// The timestamp of a unit that is about to be sent.
    pub(crate) fn timestamp(&self, unit: &AccessUnit) -> u32 {
        let timestamps = self.track(unit.track).map(|track| &track.timestamps);
        timestamps.map_or(0, |timestamps| {
            timestamps.lock().unwrap_or_else(PoisonError::into_inner).next(unit.captured_at)
        })
    }

    /// Gives the place of a unit back.
    pub(crate) fn release(&self, track: TrackId) {
        if let Some(track) = self.track(track) {
            let less = |pending: usize| pending.checked_sub(1);
            let _ = track.pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
    }

    /// Where an encoder puts the units of a track; those made before it refuse from now on.
    pub(crate) fn sink(
        self: &Arc<Self>,
        track: TrackId,
        codec: Codec,
        units: mpsc::Sender<AccessUnit>,
    ) -> Box<dyn UnitSink> {
        let turn =
            self.track(track).map_or(0, |track| track.turn.fetch_add(1, Ordering::AcqRel) + 1);
        Box::new(FrameSink { tracks: self.clone(), units, track, turn, codec })
    }

    fn track(&self, track: TrackId) -> Option<&Track> {
        self.tracks.get(usize::from(track.0))
    }
}

/// Where an encoder's thread puts the units of one track.
struct FrameSink {
    tracks: Arc<Tracks>,
    units: mpsc::Sender<AccessUnit>,
    track: TrackId,
    turn: u64,
    codec: Codec,
}

impl FrameSink {
    /// The track, while this sink may send on it.
    fn track(&self) -> Option<&Track> {
        let track = self.tracks.track(self.track)?;
        let is_ours = track.turn.load(Ordering::Acquire) == self.turn;
        (self.tracks.is_live() && is_ours).then_some(track)
    }
}

impl UnitSink for FrameSink {
    fn is_ready(&self) -> bool {
        self.track().is_some_and(|track| track.pending.load(Ordering::Acquire) < UNITS)
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let track = self.track().filter(|_| unit.codec == self.codec && unit.track == self.track);
        let track = track.ok_or(SendRefused::NotConnected)?;
        let first = unit.part.first;
        if first {
            let more = |pending: usize| (pending < UNITS).then_some(pending + 1);
            track
                .pending
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
                .map_err(|_| SendRefused::Full)?;
        }
        // The rest of one of which a part is refused does not come, and the writer gives it up.
        self.units.try_send(unit).map_err(|error| {
            if first {
                self.tracks.release(self.track);
            }
            match error {
                mpsc::error::TrySendError::Full(_) => SendRefused::Full,
                mpsc::error::TrySendError::Closed(_) => SendRefused::NotConnected,
            }
        })
    }
}
