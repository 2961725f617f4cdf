//! Units of H.264 with fewer numbers of pictures: OpenH264 counts them with 15 bits, and hardware may with as few as
//! its buffer takes (H.264, 7.4.2.1.1).

use crate::slice::{Bits, units};

/// Bits that are left out: a byte, so that what is behind them keeps its place in its byte.
const LESS: u32 = 8;

/// A unit whose numbers have eight bits less, and where its slices begin. None for one that is not understood.
pub(crate) fn narrow(unit: &[u8], frame_num_bits: u32) -> Option<(Vec<u8>, Vec<u32>)> {
    let (mut narrow, mut slices) = (Vec::new(), Vec::new());
    for (_, nal) in units(unit) {
        let (&header, payload) = nal.split_first()?;
        let kind = header & 0x1f;
        if matches!(kind, 1 | 5) {
            slices.push(narrow.len() as u32);
        }
        narrow.extend([0, 0, 0, 1, header]);
        match kind {
            7 => escape(&sequence(payload)?, &mut narrow),
            1 | 5 => escape(&slice(payload, frame_num_bits)?, &mut narrow),
            _ => narrow.extend(payload),
        }
    }
    Some((narrow, slices))
}

/// A sequence parameter set that says so.
fn sequence(payload: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut to) = (Bits::new(payload), Vec::new());
    let profile = copy(&mut bits, &mut to, 8)?;
    // Of those with more before the number OpenH264 is not asked for any.
    (profile < 100).then_some(())?;
    copy(&mut bits, &mut to, 16)?;
    number(&mut to, bits.number()?);
    number(&mut to, bits.number()?.checked_sub(LESS)?);
    while let Some(bit) = bits.bit() {
        to.push(bit == 1);
    }
    Some(bytes(&to))
}

fn slice(payload: &[u8], frame_num_bits: u32) -> Option<Vec<u8>> {
    let (mut bits, mut to) = (Bits::new(payload), Vec::new());
    for _ in ["first_mb_in_slice", "slice_type", "pic_parameter_set_id"] {
        number(&mut to, bits.number()?);
    }
    bits.bits(LESS)?;
    copy(&mut bits, &mut to, frame_num_bits - LESS)?;
    while let Some(bit) = bits.bit() {
        to.push(bit == 1);
    }
    Some(bytes(&to))
}

fn copy(bits: &mut Bits<'_>, to: &mut Vec<bool>, count: u32) -> Option<u32> {
    let value = bits.bits(count)?;
    to.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
    Some(value)
}

/// ue(v).
fn number(to: &mut Vec<bool>, value: u32) {
    let bits = (value + 1).ilog2();
    to.extend((0..bits).map(|_| false));
    to.extend((0..=bits).rev().map(|bit| (value + 1) >> bit & 1 == 1));
}

/// Up to the bit at which the payload ends, which is the last one that is set.
fn bytes(bits: &[bool]) -> Vec<u8> {
    let end = bits.iter().rposition(|bit| *bit).map_or(0, |last| last + 1);
    let byte = |bits: &[bool]| {
        (0..8).fold(0, |byte, at| byte << 1 | u8::from(bits.get(at).is_some_and(|bit| *bit)))
    };
    bits[..end].chunks(8).map(byte).collect()
}

/// Puts emulation prevention bytes in.
fn escape(payload: &[u8], to: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            to.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        to.push(byte);
    }
}
