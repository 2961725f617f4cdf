//! Packets of sound with those before them once more (RFC 2198), for clients that decode Opus by something that knows nothing of
//! its own error correction: WebCodecs. Packets of more than two channels go by it alone, and say so by the type of each block:
//! [`type_of`]. The client's browser never looks into it.

use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use media::Layout;
use media::audio::SAMPLE_RATE;

/// A block's header, and that of the last one.
const HEADERS: [usize; 2] = [4, 1];
/// Its length has 10 bits, and its distance in time 14.
const MOST: (usize, u32) = (0x3ff, 0x3fff);

/// The type of a block of this layout: that of Opus, or as many as it has channels, which is none that an offer gives to Opus
/// (RFC 3551 §6).
pub(super) fn type_of(layout: Layout, opus: u8) -> u8 {
    match layout {
        Layout::Stereo => opus,
        more => more.channels() as u8,
    }
}

/// The payload with `packet` and, before it, as many of the `earlier` ones as fit, of which the nearest comes first here, each
/// with the time between their first samples. None where none fits, unless the packet alone is wanted so.
pub(super) fn encode<'a>(
    payload_type: u8,
    packet: &[u8],
    earlier: impl Iterator<Item = (Duration, &'a [u8])>,
    most_bytes: usize,
    alone: bool,
) -> Option<Bytes> {
    let mut bytes = HEADERS[1] + packet.len();
    let mut repeated: Vec<(u32, &[u8])> = Vec::new();
    for (before, data) in earlier {
        let samples = before.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000;
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        bytes += HEADERS[0] + data.len();
        if samples > MOST.1 || data.len() > MOST.0 || bytes > most_bytes {
            break;
        }
        repeated.push((samples, data));
    }
    if repeated.is_empty() && !alone {
        return None;
    }
    let mut out = Vec::with_capacity(bytes);
    for (samples, data) in repeated.iter().rev() {
        out.put_u8(0x80 | payload_type);
        // 14 bits and 10.
        out.put_uint(u64::from(samples << 10) | data.len() as u64, 3);
    }
    out.put_u8(payload_type);
    repeated.iter().rev().for_each(|(_, data)| out.put_slice(data));
    out.put_slice(packet);
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_payload_has_the_bytes_that_the_page_reads() {
        let earlier = [(MS(10), &[9_u8][..]), (MS(30), &[10, 11, 12])];
        let payload = encode(111, &[7, 8], earlier.into_iter(), 100, false).unwrap();
        // 1,440 and 480 samples before.
        let expected = [0xef, 0x16, 0x80, 3, 0xef, 7, 0x80, 1, 0x6f, 10, 11, 12, 9, 7, 8];
        assert_eq!(payload[..], expected);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let payload = |before, data: &[u8], most| {
            let earlier = [(MS(5), &[9_u8][..]), (before, data)];
            encode(111, &[7, 8], earlier.into_iter(), most, false).map(|payload| payload.len())
        };
        assert_eq!(payload(MS(10), &[10; 3], 15), Some(15));
        assert_eq!(payload(MS(10), &[10; 3], 14), Some(8));
        assert_eq!(payload(MS(342), &[10; 3], 2_000), Some(8), "a silence lies between");
        assert_eq!(payload(MS(10), &[10; 1_024], 2_000), Some(8));
        assert_eq!(payload(MS(10), &[10; 3], 7), None);
        assert_eq!(encode(111, &[7], std::iter::empty(), 100, false), None);
        let alone = encode(6, &[7], std::iter::empty(), 100, true);
        assert_eq!(alone.as_deref(), Some(&[6, 7][..]));
    }
}
