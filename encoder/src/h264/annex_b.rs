//! NAL units in the byte stream format (H.264 Annex B).

use crate::bits::SyntaxError;

/// What a NAL unit holds (H.264 table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A slice of a picture that is not an IDR picture.
    Slice,
    /// A slice of an IDR picture.
    IdrSlice,
    /// Supplemental enhancement information.
    Sei,
    /// A sequence parameter set.
    Sps,
    /// A picture parameter set.
    Pps,
    /// An access unit delimiter.
    Aud,
    /// Any other `nal_unit_type`.
    Other(u8),
}

impl NalKind {
    /// What a unit holds whose first byte is `header`.
    pub(crate) const fn of(header: u8) -> Self {
        match header & 0x1f {
            1 => Self::Slice,
            5 => Self::IdrSlice,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Aud,
            other => Self::Other(other),
        }
    }

    /// Whether it is part of the coded picture itself.
    pub const fn is_slice(self) -> bool {
        matches!(self, Self::Slice | Self::IdrSlice)
    }
}

/// One NAL unit within an access unit.
#[derive(Clone, Copy, Debug)]
pub struct Nal<'a> {
    unit: &'a [u8],
    payload: usize,
    /// Index of the first byte of its start code.
    pub start: usize,
    /// Index after its last byte.
    pub end: usize,
}

impl<'a> Nal<'a> {
    /// Header and payload, without the start code and with emulation prevention. Never empty.
    pub fn bytes(&self) -> &'a [u8] {
        &self.unit[self.payload..self.end]
    }

    /// What it holds.
    pub fn kind(&self) -> NalKind {
        NalKind::of(self.bytes()[0])
    }
}

/// The NAL units of `unit` in order. Bytes before the first start code are skipped.
pub fn nals(unit: &[u8]) -> impl Iterator<Item = Nal<'_>> {
    let mut next = find_start_code(unit, 0);
    std::iter::from_fn(move || {
        loop {
            let (start, payload) = next?;
            next = find_start_code(unit, payload);
            // Zero bytes before the next start code belong to it (trailing_zero_8bits).
            let end = next.map_or(unit.len(), |(start, _)| start);
            if payload < end {
                return Some(Nal { unit, payload, start, end });
            }
        }
    })
}

/// What is behind each start code, as far as `unit` goes: for who looks at headers alone, where the end of
/// a slice need not be searched.
pub(crate) fn heads(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            (_, at) = find_start_code(unit, at)?;
            let head = &unit[at..];
            let is_empty = head.is_empty()
                || [&[0, 0, 1][..], &[0, 0, 0, 1]].iter().any(|code| head.starts_with(code));
            if !is_empty {
                return Some(head);
            }
        }
    })
}

/// Whether a NAL unit begins here, as far as its start code says.
pub(crate) fn begins_with_start_code(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1])
}

/// The next start code at or after `from`: where it begins, with one leading zero byte if there is
/// one, and where its payload begins.
fn find_start_code(unit: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut found = from;
    loop {
        // By the last of three bytes: behind most of them no code begins.
        found += match *unit.get(found..found + 3)? {
            [0, 0, 1] => break,
            [_, _, 0] => 1,
            _ => 3,
        };
    }
    let start = if found > from && unit[found - 1] == 0 { found - 1 } else { found };
    Some((start, found + 3))
}

/// Replaces NAL units of `unit`, of which `head` are looked at, by what `replacement` makes of their bytes:
/// nothing leaves one as it is, and an empty one drops it. Returns `unit` where all stay, else what it wrote
/// into `rewritten`.
pub(crate) fn rewrite<'a>(
    unit: &'a [u8],
    head: impl Iterator<Item = Nal<'a>>,
    mut replacement: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, SyntaxError>,
    rewritten: &'a mut Vec<u8>,
) -> Result<&'a [u8], SyntaxError> {
    rewritten.clear();
    let mut copied = 0;
    for nal in head {
        if let Some(bytes) = replacement(nal.bytes())? {
            rewritten.reserve(unit.len() + bytes.len());
            rewritten.extend_from_slice(&unit[copied..nal.start]);
            if !bytes.is_empty() {
                rewritten.extend_from_slice(&[0, 0, 0, 1]);
                rewritten.extend_from_slice(&bytes);
            }
            copied = nal.end;
        }
    }
    if copied == 0 {
        return Ok(unit);
    }
    rewritten.extend_from_slice(&unit[copied..]);
    Ok(rewritten)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_are_those_of_the_units(unit in prop::collection::vec(0_u8..3, 0..40)) {
            let heads: Vec<_> = heads(&unit).map(|head| (head.len(), head[0])).collect();
            let units = nals(&unit).map(|nal| (unit.len() - nal.payload, nal.bytes()[0]));
            prop_assert_eq!(heads, units.collect::<Vec<_>>());
        }
    }

    #[test]
    fn both_start_codes_are_found() {
        let unit = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 3];
        let parts: Vec<_> = nals(&unit).map(|nal| (nal.kind(), nal.start, nal.bytes())).collect();
        assert_eq!(
            parts,
            [(NalKind::Sps, 0, &[0x67, 1, 2][..]), (NalKind::IdrSlice, 7, &[0x65, 3][..])]
        );
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        for unit in [&[][..], &[0, 0], &[0, 0, 1], &[0, 0, 0, 1, 0, 0, 1]] {
            assert_eq!(nals(unit).count(), 0, "{unit:?}");
        }
    }
}
