//! Units of a driver that leaves parameter sets out.

use crate::codec::Unit;
use crate::settings::Codec;

/// A unit without its parameter sets or sequence header.
pub(crate) fn without_parameter_sets(codec: Codec, mut unit: Unit) -> Unit {
    let first = unit.slices.first().map_or(0, |first| *first as usize);
    let sets = match codec {
        // The coders here put nothing else before the first slice.
        Codec::H264 | Codec::Hevc => 0..first,
        Codec::Av1 => sequence_header(&unit.bytes),
    };
    let gone = sets.len() as u32;
    unit.bytes.drain(sets);
    unit.slices.iter_mut().for_each(|slice| *slice -= gone);
    unit
}

/// Where the sequence header lies: behind the temporal delimiter, with a length of one byte (AV1, 5.3.1 and
/// 6.2.2). Nowhere in units without one.
fn sequence_header(bytes: &[u8]) -> std::ops::Range<usize> {
    const SEQUENCE_HEADER: u8 = 1 << 3 | 0b10;
    match bytes.get(2..4) {
        Some(&[SEQUENCE_HEADER, length]) => 2..4 + usize::from(length),
        _ => 0..0,
    }
}
