//! H.265 (RFC 7798): NAL units that fit are sent as they are, small ones that follow one another
//! together, large ones in fragments.

use bytes::{BufMut as _, Bytes, BytesMut};
use rtc::rtp::packetizer::Payloader;
use rtc::shared::error::Result;

/// Bytes of a NAL unit's header, and of a payload's.
const HEADER: usize = 2;
/// Bytes of the length before each NAL unit of an aggregation packet.
const LENGTH: usize = 2;
/// NAL unit types from here on are RTP's, or nobody's (RFC 7798 §1.1.4).
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
/// Says where a picture begins, which the marker does here.
const ACCESS_UNIT_DELIMITER: u8 = 35;
/// Only fills the bit rate.
const FILLER_DATA: u8 = 38;

/// See the module. Keeps no state: a sequence number is all that its packets need.
#[derive(Clone, Debug)]
pub(super) struct H265Payloader;

impl Payloader for H265Payloader {
    fn payload(&mut self, most: usize, unit: &Bytes) -> Result<Vec<Bytes>> {
        let mut out = Vec::new();
        // What goes into the next packet together, and its bytes as an aggregation packet.
        let mut small: Vec<Bytes> = Vec::new();
        let mut together = HEADER;
        for nal in nals(unit) {
            if together + LENGTH + nal.len() > most {
                flush(&mut small, &mut out);
                together = HEADER;
            }
            if nal.len() > most {
                fragment(&nal, most, &mut out);
            } else {
                together += LENGTH + nal.len();
                small.push(nal);
            }
        }
        flush(&mut small, &mut out);
        Ok(out)
    }

    fn clone_to(&self) -> Box<dyn Payloader> {
        Box::new(self.clone())
    }
}

fn kind(nal: &[u8]) -> u8 {
    nal[0] >> 1 & 0x3f
}

/// The NAL units of an Annex B unit that are worth sending, without start codes. Each has a header.
fn nals(unit: &Bytes) -> Vec<Bytes> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(&[a, b, c]) = unit.get(at..at + 3) {
        match (a, b, c) {
            (0, 0, 1) => {
                starts.push(at);
                at += 3;
            }
            // No start code has a larger byte.
            (_, _, 2..) => at += 3,
            _ => at += 1,
        }
    }
    let ends = starts.iter().skip(1).copied().chain([unit.len()]);
    let nal = |(start, end): (&usize, usize)| {
        let nal = &unit[start + 3..end];
        // The zero of a longer start code, and zeros that trail (ITU-T H.265, B.2).
        let length = nal.iter().rposition(|byte| *byte != 0)? + 1;
        let is_sent = length > HEADER
            && kind(nal) < AGGREGATION
            && ![ACCESS_UNIT_DELIMITER, FILLER_DATA].contains(&kind(nal));
        is_sent.then(|| unit.slice(start + 3..start + 3 + length))
    };
    starts.iter().zip(ends).filter_map(nal).collect()
}

/// A payload's header (RFC 7798 §4.2).
fn header(kind: u8, forbidden: bool, layer: u8, temporal: u8) -> [u8; 2] {
    [u8::from(forbidden) << 7 | kind << 1 | layer >> 5, layer << 3 | temporal]
}

/// Forbidden bit, layer and temporal id of a NAL unit.
fn parts(nal: &[u8]) -> (bool, u8, u8) {
    (nal[0] & 0x80 != 0, (nal[0] & 1) << 5 | nal[1] >> 3, nal[1] & 7)
}

/// Sends what was gathered: alone, or as an aggregation packet (§4.4.2).
fn flush(small: &mut Vec<Bytes>, out: &mut Vec<Bytes>) {
    if small.len() < 2 {
        out.append(small);
        return;
    }
    let (mut forbidden, mut layer, mut temporal) = (false, u8::MAX, u8::MAX);
    for nal in &*small {
        let (f, l, t) = parts(nal);
        (forbidden, layer, temporal) = (forbidden | f, layer.min(l), temporal.min(t));
    }
    let bytes: usize = small.iter().map(|nal| LENGTH + nal.len()).sum();
    let mut packet = BytesMut::with_capacity(HEADER + bytes);
    packet.put_slice(&header(AGGREGATION, forbidden, layer, temporal));
    for nal in small.drain(..) {
        // It fits into a packet, which is far below 64 kB.
        packet.put_u16(u16::try_from(nal.len()).unwrap_or(u16::MAX));
        packet.put_slice(&nal);
    }
    out.push(packet.freeze());
}

/// Cuts a NAL unit into fragmentation units (§4.4.3), of which there are at least two.
fn fragment(nal: &Bytes, most: usize, out: &mut Vec<Bytes>) {
    let (forbidden, layer, temporal) = parts(nal);
    let payload_header = header(FRAGMENTATION, forbidden, layer, temporal);
    let room = most.saturating_sub(HEADER + 1).max(1);
    let body = &nal[HEADER..];
    let last = body.len().div_ceil(room) - 1;
    for (n, piece) in body.chunks(room).enumerate() {
        let (start, end) = (u8::from(n == 0) << 7, u8::from(n == last) << 6);
        let mut packet = BytesMut::with_capacity(HEADER + 1 + piece.len());
        packet.put_slice(&payload_header);
        packet.put_u8(start | end | kind(nal));
        packet.put_slice(piece);
        out.push(packet.freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nal(kind: u8, len: usize) -> Vec<u8> {
        let body = (0..len).map(|n| n as u8 | 0x10);
        [kind << 1, 1].into_iter().chain(body).collect()
    }

    fn payloads(unit: &[u8], most: usize) -> Vec<Bytes> {
        let payloads = H265Payloader.payload(most, &Bytes::copy_from_slice(unit)).unwrap();
        assert!(payloads.iter().all(|payload| payload.len() <= most));
        payloads
    }

    /// What a receiver makes of it (RFC 7798 §4.4), apart from the code above.
    fn received(payloads: &[Bytes]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            match payload[0] >> 1 & 0x3f {
                48 => {
                    let mut rest = &payload[2..];
                    while let [high, low, tail @ ..] = rest {
                        let length = usize::from(*high) << 8 | usize::from(*low);
                        nals.push(tail[..length].to_vec());
                        rest = &tail[length..];
                    }
                }
                49 => {
                    let fu = payload[2];
                    if fu & 0x80 != 0 {
                        let first = payload[0] & 0x81 | (fu & 0x3f) << 1;
                        nals.push(vec![first, payload[1]]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&payload[3..]);
                }
                _ => nals.push(payload.to_vec()),
            }
        }
        nals
    }

    #[test]
    fn start_codes_of_both_lengths_may_be_mixed() {
        let parts = [nal(32, 20), nal(33, 40), nal(34, 9), nal(39, 30), nal(19, 3_000)];
        let codes: [&[u8]; 5] =
            [&[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 0, 1], &[0, 0, 1], &[0, 0, 0, 0, 1]];
        let unit: Vec<u8> =
            codes.iter().zip(&parts).flat_map(|(code, nal)| [code, &nal[..]].concat()).collect();
        let payloads = payloads(&unit, 1_000);
        assert_eq!(received(&payloads), parts);
        let kinds: Vec<_> = payloads.iter().map(|payload| kind(payload)).collect();
        assert_eq!(kinds, [48, 49, 49, 49, 49], "parameter sets together, then fragments");
        assert_eq!(payloads[1][2] >> 6, 0b10, "start");
        assert_eq!(payloads[2][2] >> 6, 0);
        assert_eq!(payloads[4][2] >> 6, 0b01, "end");
        assert!(payloads.iter().all(|payload| payload[1] == 1), "temporal id 0");
    }

    #[test]
    fn what_no_decoder_needs_is_left_out() {
        let slice = nal(1, 50);
        let parts = [nal(35, 1), slice.clone(), nal(38, 100), nal(48, 30), nal(63, 30), vec![2]];
        let mut unit: Vec<u8> =
            parts.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect();
        unit.extend([0, 0, 0]);
        assert_eq!(payloads(&unit, 1_000), [Bytes::from(slice)]);
        assert!(payloads(&[0, 0, 0, 1], 1_000).is_empty());
        assert!(payloads(&[2, 1, 5, 5], 1_000).is_empty(), "no start code");
    }

    #[test]
    fn a_packet_is_filled_to_the_last_byte_and_no_further() {
        // Header and two lengths: 6 bytes beside the NAL units.
        for (second, packets) in [(494 - HEADER, 1), (495 - HEADER, 2)] {
            let parts = [nal(32, 500 - HEADER), nal(1, second)];
            let unit: Vec<u8> =
                parts.iter().flat_map(|nal| [&[0, 0, 1], &nal[..]].concat()).collect();
            let payloads = payloads(&unit, 1_000);
            assert_eq!(payloads.len(), packets);
            assert_eq!(received(&payloads), parts);
        }
        for len in [998, 999, 1_994, 1_995] {
            let unit = [&[0, 0, 1], &nal(1, len)[..]].concat();
            let payloads = payloads(&unit, 1_000);
            assert_eq!(
                payloads.len(),
                [1, 2, 2, 3]
                    [[998, 999, 1_994, 1_995].iter().position(|each| *each == len).unwrap()]
            );
            assert_eq!(received(&payloads), [nal(1, len)]);
        }
    }

    #[test]
    fn an_aggregation_has_the_least_layer_and_temporal_id() {
        let with = |layer: u8, temporal: u8| {
            let mut nal = nal(1, 10);
            nal[..2].copy_from_slice(&header(1, false, layer, temporal));
            nal
        };
        let parts = [with(40, 3), with(33, 5)];
        let unit: Vec<u8> = parts.iter().flat_map(|nal| [&[0, 0, 1], &nal[..]].concat()).collect();
        let payloads = payloads(&unit, 1_000);
        assert_eq!((kind(&payloads[0]), super::parts(&payloads[0])), (48, (false, 33, 3)));
        assert_eq!(received(&payloads), parts);
    }
}
