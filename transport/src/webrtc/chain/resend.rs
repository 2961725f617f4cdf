//! Sends again what the client asks for, while that is of use, and says so when it is not.
//!
//! The stock responder sends again whatever it still has, without header extensions. Here:
//!
//! - A retransmission (RFC 4588) has the header extensions of its packet, so that the frame keeps its
//!   descriptor and is shown without delay, and a transport-wide number of its own
//!   ([`with_resends`](super::with_resends)).
//! - A packet is not sent again within a round trip of the time before, but for one copy soon after: the
//!   next request of a browser that does not know the round trip comes 100 ms later. Where the acknowledgement of its frame
//!   does not come when it should, it is sent once more unasked.
//! - On a path where packets overtake one another a request says little: what it asks for is late, and comes by itself.
//!   It waits there for as long as packets were late and the rest of its frame may take, and for the acknowledgement of a
//!   frame that was whole after all.
//! - Requests are lost, too. A packet that the transport-wide feedback tells as lost, 31 ms later on average, is sent
//!   again as if it had been asked for, if it was not. After an outage that is told too late for that, and a client that lacks
//!   so much asks for nothing of it (libwebrtc above 1,000 packets): the frame is given up unless its acknowledgement comes
//!   just after.
//! - What comes too late is given up: its frame is reported as lost at once, so that the encoder goes back to
//!   one before it with the next picture. Until that one is sent, nothing that was lost in between is sent again.
//! - For what no frame to come needs, an empty packet is sent in its place. The client asks no more for
//!   it then, and libwebrtc, which assembles no H.264 frame behind a gap, sees none. It looks for a frame
//!   where a packet comes in, so that the packet before the next good frame is sent last.
//!
//! Without a format for retransmissions the packet itself is sent again, but not where packets are
//! numbered transport-wide: it would be sealed anew with another header under the nonce of the first time
//! (RFC 7714 §8.1, RFC 3711 §9.1), so its frame is given up instead.
//!
//! Bounds: [`KEPT`] packets a stream, [`ASKED`] of them asked for, of which the oldest go first, and [`DUE`] to be sent
//! later; for more there is no waiting and no copy. The client asks again for what is dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use media::FrameId;
use rtc::interceptor::{Attribute, AttributedPacket, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp;

use super::{Belt, Link};
use crate::webrtc::TRANSPORT_WIDE;
use crate::webrtc::shared::Shared;
use crate::webrtc::track::{Fate, Track};

/// Packets of a stream that can be sent again: a second of 38 Mbit/s, more than any deadline below.
const KEPT: usize = 4_096;
/// Packets that were asked for and may be missing still: libwebrtc asks for 1,000 at the most.
const ASKED: usize = 1_024;
/// Retransmissions that wait for their time, and copies.
const DUE: usize = 512;
/// From a retransmission to its copy: what a queue that overflows drops at once is longer than a packet, and of a frame that
/// repair packets made whole the acknowledgement comes first.
const COPY_AFTER: Duration = Duration::from_millis(12);
/// From a frame's last packet to its acknowledgement, beyond the way.
const DECODED_IN: Duration = Duration::from_millis(6);
/// After a round trip so long until a retransmission and its copy are taken for lost, where the frame is not acknowledged: the
/// queue that they came to may have grown, and where the acknowledgement is lost the next one repeats it a frame later. At
/// 5 % of loss and 6 ms a third of all packets that had been asked for were sent for a third time, nearly all of them in vain.
const ANSWERED_IN: Duration = Duration::from_millis(22);
/// Whoever is so far away asks himself before he could be answered again.
const FAR: Duration = Duration::from_millis(90);
/// No frame takes longer on its way, as far as requests wait for it.
const LONGEST_FRAME: Duration = Duration::from_millis(34);
/// Least time between two retransmissions that were asked for, where the round trip is not known.
const PAUSE: Duration = Duration::from_millis(20);

/// See the module.
pub(in crate::webrtc) struct Resend {
    shared: Arc<Shared>,
    streams: HashMap<u32, Stream>,
}

/// How a packet is sent again.
enum By {
    /// On a stream for that.
    OwnStream {
        ssrc: u32,
        payload_type: u8,
    },
    Itself,
    Nothing,
}

struct Kept {
    packet: rtp::Packet,
    /// When it came here for the first time.
    at: Instant,
    /// When it was last sent again because the client asked.
    resent: Option<Instant>,
    /// It is among those that were asked for.
    asked: bool,
}

/// A packet to be sent again at some time, unless it is needed no more.
struct Due {
    at: Instant,
    sequence: u16,
    what: What,
}

impl Due {
    fn is_never(&self) -> bool {
        matches!(self.what, What::Never)
    }
}

#[derive(Clone, Copy)]
enum What {
    /// It was not yet.
    First,
    /// It was, a moment before.
    Copy,
    /// It was, so long ago that its frame should have been acknowledged: then, for the last time.
    Again(Option<Instant>),
    /// It was never, and is not: it is too late.
    Never,
}

struct Stream {
    track: Arc<Track>,
    by: By,
    /// By number, without gaps, oldest first.
    kept: VecDeque<Kept>,
    /// Numbers that were asked for, and may be missing still.
    asked: VecDeque<u16>,
    /// What is to be sent, in the order of its time.
    due: VecDeque<Due>,
    /// Of the newest frame.
    timestamp: Option<u32>,
}

impl Resend {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, streams: HashMap::new() }
    }
}

impl Link for Resend {
    fn bind(&mut self, info: &StreamInfo) {
        let Some(track) = self.shared.track(info.ssrc).cloned() else { return };
        let numbered = info.rtp_header_extensions.iter().any(|known| known.uri == TRANSPORT_WIDE);
        let by = match info.ssrc_rtx.zip(info.payload_type_rtx) {
            Some((ssrc, payload_type)) => By::OwnStream { ssrc, payload_type },
            None if numbered => By::Nothing,
            None => By::Itself,
        };
        let stream = Stream {
            track,
            by,
            kept: VecDeque::new(),
            asked: VecDeque::new(),
            due: VecDeque::new(),
            timestamp: None,
        };
        self.streams.insert(info.ssrc, stream);
    }

    fn inbound(&mut self, message: &TaggedPacket, out: &mut Belt) {
        let Packet::Rtcp(packets) = &message.message.packet else { return };
        for packet in packets {
            if packet.as_any().is::<TransportLayerCc>() {
                for stream in self.streams.values_mut() {
                    for sequence in stream.track.take_missed() {
                        stream.missed(sequence, message.now, &self.shared, out);
                    }
                }
            }
            let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() else { continue };
            let Some(stream) = self.streams.get_mut(&nack.media_ssrc) else { continue };
            let mut next = None;
            for sequence in asked_for(nack) {
                next = stream.asked(sequence, message.now, &self.shared, out).or(next);
            }
            stream.look_at(next, message.now, out);
        }
    }

    fn outbound(&mut self, message: TaggedPacket, out: &mut Belt) {
        if let Packet::Rtp(packet) = &message.message.packet
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
        {
            if stream.timestamp.replace(packet.header.timestamp) != Some(packet.header.timestamp) {
                stream.void(message.now, out);
            }
            stream.keep(packet.clone(), message.now);
        }
        out.push_back(message);
    }

    fn tick(&mut self, now: Instant, out: &mut Belt) {
        for stream in self.streams.values_mut() {
            while let Some(Due { sequence, what, .. }) =
                stream.due.pop_front_if(|due| due.at <= now)
            {
                let body = match stream.track.fate(sequence) {
                    Some(Fate::Needed(frame)) if matches!(what, What::Never) => {
                        stream.give_up(frame, &self.shared);
                        continue;
                    }
                    Some(Fate::Needed(_)) => Body::Whole,
                    Some(Fate::Void { .. }) => Body::Empty,
                    Some(Fate::GivenUp | Fate::Forgotten) | None => continue,
                };
                match what {
                    What::First => {
                        stream.send_twice(sequence, now, body, self.shared.round_trip(), out);
                    }
                    What::Copy => stream.send(sequence, now, body, out),
                    What::Never => {}
                    What::Again(last) => stream.again(sequence, last, now, body, &self.shared, out),
                }
            }
        }
    }

    fn next_tick(&self) -> Option<Instant> {
        self.streams.values().filter_map(|stream| stream.due.front()).map(|due| due.at).min()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Whole,
    Empty,
}

impl Stream {
    fn keep(&mut self, packet: rtp::Packet, at: Instant) {
        let next = self.kept.back().map(|kept| kept.packet.header.sequence_number.wrapping_add(1));
        if next.is_some_and(|next| next != packet.header.sequence_number) {
            self.kept.clear();
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { packet, at, resent: None, asked: false });
    }

    fn find(&mut self, sequence: u16) -> Option<&mut Kept> {
        let first = self.kept.front()?.packet.header.sequence_number;
        self.kept.get_mut(usize::from(sequence.wrapping_sub(first)))
    }

    /// The client lacks a packet. Yields where a frame begins that does without it, where one was sent.
    fn asked(
        &mut self,
        sequence: u16,
        now: Instant,
        shared: &Shared,
        out: &mut Belt,
    ) -> Option<u16> {
        match self.track.fate(sequence)? {
            Fate::Forgotten => shared.events.keyframe_needed(self.track.params.id),
            Fate::Void { next } => {
                if self.is_due(sequence, now, shared) {
                    self.send_twice(sequence, now, Body::Empty, None, out);
                    return Some(next);
                }
            }
            Fate::GivenUp => self.note(sequence),
            Fate::Needed(frame) => {
                let in_time =
                    |kept: &mut Kept| now.saturating_duration_since(kept.at) <= deadline(shared);
                if matches!(self.by, By::Nothing) || !self.find(sequence).is_some_and(in_time) {
                    self.give_up(frame, shared);
                } else if self.is_due(sequence, now, shared) {
                    let late = shared.reordering();
                    let wait = late + self.rest_of_frame(sequence) + DECODED_IN;
                    if late.is_zero() || !self.send_at(now + wait, sequence, What::First) {
                        self.send_twice(sequence, now, Body::Whole, shared.round_trip(), out);
                    }
                }
                self.note(sequence);
            }
        }
        None
    }

    /// How long after a packet the last one of its frame comes, on a path that the frames fill.
    fn rest_of_frame(&self, sequence: u16) -> Duration {
        let Some(first) = self.kept.front() else { return Duration::ZERO };
        let at = usize::from(sequence.wrapping_sub(first.packet.header.sequence_number));
        let timestamp = |kept: &Kept| kept.packet.header.timestamp;
        let Some(its) = self.kept.get(at).map(timestamp) else { return Duration::ZERO };
        let of_it = |kept: &&Kept| timestamp(kept) == its;
        let before = self.kept.range(..at).rev().take_while(of_it).count();
        let after = self.kept.range(at + 1..).take_while(of_it).count();
        let last = at.checked_sub(before + 1).and_then(|last| self.kept.get(last)).map(timestamp);
        let ticks = last.map_or(0, |last| its.wrapping_sub(last));
        let interval = (Duration::from_secs(ticks.into()) / 90_000).min(LONGEST_FRAME);
        interval.mul_f64(after as f64 / (before + 1 + after) as f64)
    }

    /// When a packet of the frame of this one was last sent again.
    fn frame_resent(&self, sequence: u16) -> Option<Instant> {
        let first = self.kept.front()?.packet.header.sequence_number;
        let at = usize::from(sequence.wrapping_sub(first));
        let timestamp = self.kept.get(at)?.packet.header.timestamp;
        let is_of_it = |kept: &&Kept| kept.packet.header.timestamp == timestamp;
        let before = self.kept.range(..at).rev().take_while(is_of_it);
        let after = self.kept.range(at..).take_while(is_of_it);
        before.chain(after).filter_map(|kept| kept.resent).max()
    }

    /// The frame does not come.
    fn give_up(&self, frame: FrameId, shared: &Shared) {
        self.track.give_up(frame);
        shared.events.frame_lost(self.track.params.id, frame);
    }

    /// The client lacks a packet, by its feedback. Where it asked for it as well, that was answered.
    fn missed(&mut self, sequence: u16, now: Instant, shared: &Shared, out: &mut Belt) {
        if !matches!(self.track.fate(sequence), Some(Fate::Needed(_))) {
            return;
        }
        let Some(kept) = self.find(sequence).filter(|kept| kept.resent.is_none()) else { return };
        if now.saturating_duration_since(kept.at) <= deadline(shared) {
            self.is_due(sequence, now, shared);
            self.send_twice(sequence, now, Body::Whole, shared.round_trip(), out);
        } else if self.track.is_acknowledged() && !self.due.iter().any(Due::is_never) {
            // Where repair packets made it whole, the acknowledgement comes with this or just after. The oldest is told first,
            // and those after it need it.
            self.send_at(now + COPY_AFTER, sequence, What::Never);
        }
    }

    /// Whether a packet was not sent again for a round trip, which it is now.
    fn is_due(&mut self, sequence: u16, now: Instant, shared: &Shared) -> bool {
        let pause = shared.round_trip().unwrap_or(PAUSE);
        let Some(kept) = self.find(sequence) else { return false };
        let due = kept.resent.is_none_or(|at| now.saturating_duration_since(at) >= pause);
        if due {
            kept.resent = Some(now);
        }
        due
    }

    fn note(&mut self, sequence: u16) {
        if self.find(sequence).is_none_or(|kept| std::mem::replace(&mut kept.asked, true)) {
            return;
        }
        if self.asked.len() == ASKED
            && let Some(oldest) = self.asked.pop_front()
            && let Some(kept) = self.find(oldest)
        {
            kept.asked = false;
        }
        self.asked.push_back(sequence);
    }

    /// A new frame is about to leave: what the client lacks and needs no more because of it is told to be
    /// empty first.
    fn void(&mut self, now: Instant, out: &mut Belt) {
        let mut next = None;
        for _ in 0..self.asked.len() {
            let Some(sequence) = self.asked.pop_front() else { break };
            let fate = self.track.fate(sequence);
            let Some(kept) = self.find(sequence) else { continue };
            if let Some(Fate::Void { next: begin }) = fate {
                kept.asked = false;
                self.send_twice(sequence, now, Body::Empty, None, out);
                next = Some(begin);
            } else {
                self.asked.push_back(sequence);
            }
        }
        self.look_at(next, now, out);
    }

    /// Has the client look at the frame that begins with this packet.
    fn look_at(&mut self, begin: Option<u16>, now: Instant, out: &mut Belt) {
        if let Some(begin) = begin {
            self.send_twice(begin.wrapping_sub(1), now, Body::Empty, None, out);
        }
    }

    fn send_twice(
        &mut self,
        sequence: u16,
        now: Instant,
        body: Body,
        round_trip: Option<Duration>,
        out: &mut Belt,
    ) {
        self.send(sequence, now, body, out);
        if !matches!(self.by, By::OwnStream { .. }) {
            return;
        }
        self.send_at(now + COPY_AFTER, sequence, What::Copy);
        // Players of others acknowledge nothing.
        let answered = |time: &Duration| *time < FAR && self.track.is_acknowledged();
        if let Some(time) = round_trip.filter(answered) {
            let resent = self.find(sequence).and_then(|kept| kept.resent);
            self.send_at(now + time + ANSWERED_IN, sequence, What::Again(resent));
        }
    }

    /// Sends it for the last time, once that its frame is not acknowledged tells that it did not come: a frame that waits
    /// for the one before it is not acknowledged either.
    fn again(
        &mut self,
        sequence: u16,
        last: Option<Instant>,
        now: Instant,
        body: Body,
        shared: &Shared,
        out: &mut Belt,
    ) {
        let since = |kept: &mut Kept| {
            // Unless it was asked for meanwhile.
            (kept.resent == last).then(|| now.saturating_duration_since(kept.at))
        };
        let Some(since) = self.find(sequence).and_then(since) else { return };
        // Where another packet of its frame was sent again after it, the acknowledgement comes after that one.
        let answered = self.frame_resent(sequence).zip(shared.round_trip());
        let answered = answered.map(|(at, round_trip)| at + round_trip + ANSWERED_IN);
        if let Some(later) = answered.filter(|at| *at > now) {
            self.send_at(later, sequence, What::Again(last));
        } else if self.track.is_next(sequence) {
            self.send(sequence, now, body, out);
        } else if since <= deadline(shared) {
            self.send_at(now + DECODED_IN, sequence, What::Again(last));
        }
    }

    /// Whether there was room to have it sent then.
    fn send_at(&mut self, at: Instant, sequence: u16, what: What) -> bool {
        if self.due.len() == DUE {
            return false;
        }
        let place = self.due.partition_point(|due| due.at <= at);
        self.due.insert(place, Due { at, sequence, what });
        true
    }

    fn send(&mut self, sequence: u16, now: Instant, body: Body, out: &mut Belt) {
        let Some(original) = self.find(sequence).map(|kept| kept.packet.clone()) else { return };
        let packet = match self.by {
            By::Itself if body == Body::Whole => original,
            By::Itself | By::Nothing => return,
            By::OwnStream { ssrc, payload_type } => {
                retransmission(original, body, (ssrc, payload_type))
            }
        };
        let message = AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::Retransmission);
        out.push_back(TaggedPacket { now, transport: Default::default(), message });
    }
}

/// The numbers in a request (RFC 4585 §6.2.1).
pub(super) fn asked_for(nack: &TransportLayerNack) -> impl Iterator<Item = u16> {
    nack.nacks.iter().flat_map(|pair| {
        let others = (0..16_u16).filter(|bit| pair.lost_packets >> bit & 1 == 1);
        std::iter::once(0).chain(others.map(|bit| bit + 1)).map(|n| pair.packet_id.wrapping_add(n))
    })
}

/// RFC 4588 §4: the original number, then the payload. The number of its own it gets as it leaves.
fn retransmission(
    original: rtp::Packet,
    body: Body,
    (ssrc, payload_type): (u32, u8),
) -> rtp::Packet {
    let rtp::Packet { header, payload } = original;
    let sequence = header.sequence_number;
    let header = match body {
        Body::Whole => rtp::Header { ssrc, payload_type, ..header },
        Body::Empty => rtp::Header {
            version: header.version,
            timestamp: header.timestamp,
            ssrc,
            payload_type,
            ..Default::default()
        },
    };
    let payload = if body == Body::Whole { &payload[..] } else { &[] };
    let mut body = BytesMut::with_capacity(2 + payload.len());
    body.put_u16(sequence);
    body.put_slice(payload);
    rtp::Packet { header, payload: body.freeze() }
}

/// How long after a packet was sent it is still sent again: three round trips, as far as that is not
/// noticed anyhow, and one and a half at the least, so that whoever is far away gets it once.
fn deadline(shared: &Shared) -> Duration {
    let round_trip = shared.round_trip().unwrap_or_default();
    let least = shared.resend_within;
    (3 * round_trip).min(2 * least).max(round_trip * 3 / 2).max(least)
}

#[cfg(test)]
#[path = "resend_tests.rs"]
mod tests;
