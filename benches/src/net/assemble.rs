//! RTP packets put together to frames, and what is asked for again: as Chromium does it, told the time.

use std::collections::BTreeMap;
use std::time::Duration;

use media::MediaTime;

use super::encoder::Label;
use super::viewer::Whole;

/// Time between two requests for a packet. Chromium takes the round trip, and 100 ms where it only
/// receives and so measures none.
const AGAIN: Duration = Duration::from_millis(100);
/// Requests for a packet before it is given up.
const REQUESTS: u32 = 10;
/// Packets missing at once above which Chromium gives them all up, and asks for a keyframe.
const MISSING: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Piece {
    timestamp: u32,
    marker: bool,
    starts: bool,
    label: Option<Label>,
    at: MediaTime,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// Of frames that are not whole, by their number without wrapping.
    pieces: BTreeMap<u64, Piece>,
    newest: Option<u64>,
    /// The lowest that came, until a frame is over: the first to come may have overtaken others.
    lowest: Option<u64>,
    /// When each was last asked for, and how often.
    missing: BTreeMap<u64, (Option<MediaTime>, u32)>,
    /// So many are missing that only a keyframe helps, which nobody asked for yet.
    lost_all: bool,
}

impl Assembler {
    /// A packet of H.264 (RFC 6184) came; yields the frame that it made whole, with the number after its
    /// last packet.
    pub(crate) fn packet(
        &mut self,
        now: MediaTime,
        sequence: u16,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Option<(Whole, u64)> {
        let number = self.number(sequence);
        match self.newest {
            Some(_) if self.lowest.is_some_and(|lowest| number < lowest) => {
                let gap = number + 1..self.lowest.unwrap_or(number);
                self.missing.extend(gap.map(|number| (number, (None, 0))));
                self.lowest = Some(number);
            }
            Some(newest) if number <= newest => {
                // Not missed: a copy, or of a frame that is over.
                self.missing.remove(&number)?;
            }
            before => {
                let gap = before.map_or(number, |newest| newest + 1)..number;
                self.missing.extend(gap.map(|number| (number, (None, 0))));
                self.lowest = before.map_or(Some(number), |_| self.lowest);
                self.newest = Some(number);
                if self.missing.len() > MISSING {
                    self.missing.clear();
                    self.lost_all = true;
                }
            }
        }
        let (starts, label) = look(payload);
        self.pieces.insert(number, Piece { timestamp, marker, starts, label, at: now });
        self.whole(number, timestamp)
    }

    /// Sequence numbers to ask for now.
    pub(crate) fn requests(&mut self, now: MediaTime) -> Vec<u16> {
        self.missing.retain(|_, (asked, times)| {
            *times < REQUESTS || asked.is_some_and(|at| now.since(at) < AGAIN)
        });
        let due = self.missing.iter_mut().filter(|(_, (asked, times))| {
            *times < REQUESTS && asked.is_none_or(|at| now.since(at) >= AGAIN)
        });
        due.map(|(number, (asked, times))| {
            (*asked, *times) = (Some(now), *times + 1);
            (*number & 0xffff) as u16
        })
        .collect()
    }

    /// Whether to ask for a keyframe, as too much is missing to ask for.
    pub(crate) fn has_lost_all(&mut self) -> bool {
        std::mem::take(&mut self.lost_all)
    }

    /// Frames before this number are over: shown, or left behind.
    pub(crate) fn done(&mut self, before: u64) {
        self.lowest = None;
        self.pieces = self.pieces.split_off(&before);
        self.missing = self.missing.split_off(&before);
    }

    /// Without wrapping: the number nearest to the newest.
    fn number(&self, sequence: u16) -> u64 {
        // Room below the first, for packets that it overtook.
        let newest = self.newest.unwrap_or(1 << 16 | u64::from(sequence));
        let ahead = sequence.wrapping_sub((newest & 0xffff) as u16) as i16;
        newest.saturating_add_signed(ahead.into())
    }

    fn whole(&mut self, number: u64, timestamp: u32) -> Option<(Whole, u64)> {
        let of_frame = |(at, piece): (u64, Option<&Piece>)| {
            piece.filter(|piece| piece.timestamp == timestamp).map(|piece| (at, *piece))
        };
        let get = |at: u64| of_frame((at, self.pieces.get(&at)));
        let mut first = number;
        while !get(first)?.1.starts {
            first = first.checked_sub(1)?;
        }
        let mut last = number;
        while !get(last)?.1.marker {
            last += 1;
        }
        let pieces: Vec<_> =
            (first..=last).filter_map(|number| self.pieces.remove(&number)).collect();
        let label = pieces.iter().find_map(|piece| piece.label)?;
        let came = || pieces.iter().map(|piece| piece.at);
        let (first, end) = (came().min()?, came().max()?);
        Some((Whole { label, wire_timestamp: timestamp, first, last: end }, last + 1))
    }
}

/// Whether a frame of the emulated encoder starts with this payload, and the label in it.
fn look(payload: &[u8]) -> (bool, Option<Label>) {
    match payload {
        // Parameter sets, which stand before a keyframe's slice.
        [head, ..] if head & 31 == 24 => (true, None),
        [head, body @ ..] if matches!(head & 31, 1 | 5) => (head & 31 == 1, Label::read(body)),
        [head, part, body @ ..] if head & 31 == 28 && part & 0x80 != 0 => {
            (part & 31 == 1, Label::read(body))
        }
        _ => (false, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Encoder;
    use media::Bitrate;
    use rtc::rtp::codec::h264::H264Payloader;
    use rtc::rtp::packetizer::Payloader;

    /// Packets of frames: sequence number, timestamp, marker, payload.
    fn packets(frames: u64, first: u16) -> Vec<(u16, u32, bool, bytes::Bytes)> {
        let mut encoder = Encoder::new(Duration::from_millis(16), Bitrate::from_mbps(2), 1);
        let mut payloader = H264Payloader::default();
        let mut out = Vec::new();
        for n in 0..frames {
            let unit = encoder.encode(MediaTime::from_millis(n));
            let payloads = payloader.payload(1_000, &unit.data).unwrap();
            let last = payloads.len() - 1;
            for (index, payload) in payloads.into_iter().enumerate() {
                let sequence = first.wrapping_add(out.len() as u16);
                out.push((sequence, n as u32, index == last, payload));
            }
        }
        out
    }

    fn feed(assembler: &mut Assembler, packet: &(u16, u32, bool, bytes::Bytes)) -> Option<u64> {
        let (sequence, timestamp, marker, payload) = packet;
        let whole = assembler.packet(MediaTime::ZERO, *sequence, *timestamp, *marker, payload);
        whole.map(|(whole, _)| whole.label.frame)
    }

    #[test]
    fn frames_become_whole_in_order_and_across_the_wrap() {
        let mut assembler = Assembler::default();
        let whole: Vec<_> =
            packets(20, 65_500).iter().filter_map(|packet| feed(&mut assembler, packet)).collect();
        assert_eq!(whole, (0..20).collect::<Vec<_>>());
        assert!(assembler.requests(MediaTime::ZERO).is_empty());
        assert!(assembler.pieces.is_empty());
    }

    #[test]
    fn every_packet_that_is_lost_is_asked_for_and_completes_its_frame() {
        let all = packets(4, 7);
        for lost in 1..all.len() - 1 {
            let mut assembler = Assembler::default();
            let mut whole = Vec::new();
            let came = all.iter().enumerate().filter(|(index, _)| *index != lost);
            whole.extend(came.filter_map(|(_, packet)| feed(&mut assembler, packet)));
            assert_eq!(whole.len(), 3, "without packet {lost}");
            let ms = MediaTime::from_millis;
            assert_eq!(assembler.requests(ms(0)), [all[lost].0]);
            assert!(assembler.requests(ms(99)).is_empty());
            assert_eq!(assembler.requests(ms(100)), [all[lost].0]);
            whole.extend(feed(&mut assembler, &all[lost]));
            whole.sort_unstable();
            assert_eq!(whole, [0, 1, 2, 3]);
            assert_eq!(feed(&mut assembler, &all[lost]), None, "a copy");
            assert!(assembler.requests(ms(500)).is_empty());
        }
    }

    #[test]
    fn what_the_first_packet_overtook_is_taken_and_asked_for() {
        let all = packets(2, 9);
        let mut assembler = Assembler::default();
        assert_eq!(feed(&mut assembler, &all[2]), None);
        assert_eq!(feed(&mut assembler, &all[0]), None);
        assert_eq!(assembler.requests(MediaTime::ZERO), [all[1].0]);
        let whole: Vec<_> = [1]
            .into_iter()
            .chain(3..all.len())
            .filter_map(|at| feed(&mut assembler, &all[at]))
            .collect();
        assert_eq!(whole, [0, 1]);
    }

    #[test]
    fn requests_end() {
        let all = packets(3, 0);
        let mut assembler = Assembler::default();
        for packet in all.iter().filter(|packet| packet.0 != 2) {
            feed(&mut assembler, packet);
        }
        let asked: usize =
            (0..100).map(|n| assembler.requests(MediaTime::from_millis(n * 50)).len()).sum();
        assert_eq!(asked, REQUESTS as usize);
        assert!(assembler.missing.is_empty());
    }

    #[test]
    fn what_is_too_much_is_asked_for_by_a_keyframe_once() {
        let (first, last) = (packets(1, 7), packets(1, 1_000));
        for (after, is_too_much) in [(0, false), (40, true)] {
            let mut assembler = Assembler::default();
            feed(&mut assembler, &first[0]);
            let (sequence, rest) = (last[0].0 + after, last[0].clone());
            feed(&mut assembler, &(sequence, 9, rest.2, rest.3));
            assert_eq!(assembler.has_lost_all(), is_too_much, "{sequence}");
            assert!(!assembler.has_lost_all());
            assert_eq!(assembler.requests(MediaTime::ZERO).is_empty(), is_too_much);
        }
    }

    #[test]
    fn what_is_over_is_not_asked_for() {
        let all = packets(3, 0);
        let mut assembler = Assembler::default();
        for packet in all.iter().filter(|packet| packet.0 != 2) {
            feed(&mut assembler, packet);
        }
        assembler.done(u64::MAX);
        assert!(assembler.requests(MediaTime::ZERO).is_empty());
    }
}
