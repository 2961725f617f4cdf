//! Small things that this crate's unit tests need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{
    AccessUnit, Clock, Codec, ColorDescription, Damage, FrameId, MediaTime, Part, StageTimes,
    TrackId, UnitKind, Views,
};
use rtc::interceptor::{AttributedPacket, Packet, TaggedPacket};
use rtc::rtp;

use super::shared::Shared;
use super::track::{Track, TrackParams};

pub(super) const SSRC: u32 = 1_000;

struct Still;

impl Clock for Still {
    fn now(&self) -> MediaTime {
        MediaTime::from_millis(5)
    }
}

pub(super) fn shared(tracks: u8) -> Arc<Shared> {
    shared_of(Codec::H264, tracks)
}

pub(super) fn shared_of(codec: Codec, tracks: u8) -> Arc<Shared> {
    let track = |n: u8| {
        Arc::new(Track::new(TrackParams {
            id: TrackId(n),
            codec,
            ssrc: SSRC + u32::from(n),
            rtx_ssrc: SSRC + 1_000 + u32::from(n),
            fec_ssrc: SSRC + 2_000 + u32::from(n),
            timestamp_offset: 0,
            first_sequence: 0,
        }))
    };
    Arc::new(Shared::new(
        Arc::new(Still),
        (0..tracks).map(track).collect(),
        None,
        Duration::from_millis(150),
    ))
}

pub(super) fn unit(frame: u64, captured_at: MediaTime, bytes: usize) -> AccessUnit {
    AccessUnit {
        track: TrackId(0),
        frame: FrameId(frame),
        captured_at,
        kind: UnitKind::Delta,
        refers_to: frame.checked_sub(1).map(FrameId),
        codec: Codec::H264,
        data: Bytes::from(vec![0x41; bytes]),
        part: Part::WHOLE,
        views: Views::default(),
        damage: Damage::Unknown,
        depth: None,
        color: ColorDescription::BT709_LIMITED,
        last_input: None,
        stages: StageTimes::captured(captured_at),
    }
}

/// A packet of 1,012 bytes.
pub(super) fn rtp_packet(ssrc: u32, sequence_number: u16, now: Instant) -> TaggedPacket {
    let header = rtp::Header { version: 2, ssrc, sequence_number, ..Default::default() };
    let packet = rtp::Packet { header, payload: Bytes::from(vec![0; 1_000]) };
    TaggedPacket {
        now,
        transport: Default::default(),
        message: AttributedPacket::new(Packet::Rtp(packet)),
    }
}
