//! Where an encoder's thread puts the units of one track.
//!
//! A unit goes straight into the driver's queue: no task in between. The bound of two is kept by
//! the track's count of units that the pacer has not let go of. So does each part of one: the packetiser is told
//! which it is by the header of the "packet" that it comes as, where the marker says that it is the last, and a
//! sequence number other than 0 that it is not the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use media::{AccessUnit, SendRefused, UnitSink};
use rtc::rtp;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

use super::shared::Shared;
use super::track::Track;

/// What sends a track's units.
pub(super) struct Outlet {
    pub(super) shared: Arc<Shared>,
    pub(super) track: Arc<Track>,
    pub(super) writer: Arc<TrackLocalStaticRTP>,
    pub(super) payload_type: u8,
    /// Number of the sink that may send.
    pub(super) turn: AtomicU64,
}

impl Outlet {
    /// Has the driver look at its links' deadlines: what looks like a packet of padding is taken out of the chain by
    /// the packetiser. A driver whose queue is full is awake.
    pub(super) fn wake(&self) {
        let header = rtp::Header {
            version: 2,
            padding: true,
            payload_type: self.payload_type,
            ssrc: self.track.params.ssrc,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::new() };
        let _ = self.writer.write_rtp(packet).now_or_never();
    }
}

/// See the module.
pub(super) struct TrackSink {
    outlet: Arc<Outlet>,
    turn: u64,
}

impl TrackSink {
    /// A sink for `outlet`; those made before it refuse from now on.
    pub(super) fn new(outlet: Arc<Outlet>) -> Self {
        let turn = outlet.turn.fetch_add(1, Ordering::AcqRel) + 1;
        Self { outlet, turn }
    }

    fn is_connected(&self) -> bool {
        self.outlet.shared.is_live() && self.outlet.turn.load(Ordering::Acquire) == self.turn
    }
}

impl UnitSink for TrackSink {
    fn is_ready(&self) -> bool {
        self.is_connected() && self.outlet.track.has_room()
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let outlet = &self.outlet;
        if !self.is_connected() || unit.codec != outlet.track.params.codec {
            return Err(SendRefused::NotConnected);
        }
        let timestamp = if unit.part.first {
            if let Some(frame) = outlet.track.break_off() {
                outlet.track.release();
                outlet.shared.events.frame_lost(outlet.track.params.id, frame);
            }
            if !outlet.track.reserve() {
                return Err(SendRefused::Full);
            }
            outlet.track.begin(&unit)
        } else {
            outlet.track.go_on(&unit).ok_or(SendRefused::GivenUp)?
        };
        let packet = rtp::Packet {
            header: rtp::Header {
                version: 2,
                marker: unit.part.last,
                sequence_number: u16::from(!unit.part.first),
                payload_type: outlet.payload_type,
                timestamp,
                ssrc: outlet.track.params.ssrc,
                ..Default::default()
            },
            payload: unit.data,
        };
        // The driver's queue holds 256 and gets at most two units of each track in a few parts, so this
        // does not wait; should it, the unit is refused rather than the encoder's thread held.
        let refused = match outlet.writer.write_rtp(packet).now_or_never() {
            Some(Ok(())) => return Ok(()),
            Some(Err(_)) => SendRefused::NotConnected,
            None => SendRefused::Full,
        };
        outlet.track.cancel(timestamp);
        outlet.track.release();
        Err(refused)
    }
}

/// The sink of a track that the client did not ask for.
pub(super) struct NoTrack;

impl UnitSink for NoTrack {
    fn is_ready(&self) -> bool {
        false
    }

    fn send(&mut self, _unit: AccessUnit) -> Result<(), SendRefused> {
        Err(SendRefused::NotConnected)
    }
}
