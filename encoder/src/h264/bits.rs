//! Bits of a raw byte sequence payload (H.264 §7.2, §7.3.1, §9.1).

use thiserror::Error;

/// Why syntax could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// The payload ended within a syntax element.
    #[error("the payload ends too early")]
    Truncated,
    /// A syntax element has a value that the standard forbids.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

/// Reads bits from the payload of a NAL unit and skips emulation prevention. Copies nothing, so that
/// the head of a slice costs no more than its few bytes.
pub(super) struct BitReader<'a> {
    payload: &'a [u8],
    /// Index of the byte after the current one.
    next: usize,
    current: u8,
    /// Bits of the current byte that are not read yet.
    left: u32,
    /// Zero bytes up to the current one.
    zeros: u32,
}

impl<'a> BitReader<'a> {
    /// Over the payload of a NAL unit without its header.
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { payload, next: 0, current: 0, left: 0, zeros: 0 }
    }

    fn next_byte(&mut self) -> Result<u8, SyntaxError> {
        let byte = *self.payload.get(self.next).ok_or(SyntaxError::Truncated)?;
        self.next += 1;
        Ok(byte)
    }

    /// `u(1)`.
    pub(super) fn flag(&mut self) -> Result<bool, SyntaxError> {
        if self.left == 0 {
            let mut byte = self.next_byte()?;
            if self.zeros >= 2 && byte == 3 {
                self.zeros = 0;
                byte = self.next_byte()?;
            }
            self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
            (self.current, self.left) = (byte, 8);
        }
        self.left -= 1;
        Ok(self.current >> self.left & 1 == 1)
    }

    /// `u(count)`, at most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, SyntaxError> {
        debug_assert!(count <= 32);
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// `u(8)`.
    pub(super) fn byte(&mut self) -> Result<u8, SyntaxError> {
        self.bits(8).map(|value| value as u8)
    }

    /// `ue(v)`.
    pub(super) fn unsigned(&mut self) -> Result<u32, SyntaxError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(SyntaxError::OutOfRange("an Exp-Golomb code"));
            }
        }
        Ok((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `ue(v)` of at most `limit`.
    pub(super) fn unsigned_to(
        &mut self,
        limit: u32,
        name: &'static str,
    ) -> Result<u32, SyntaxError> {
        let value = self.unsigned()?;
        if value > limit { Err(SyntaxError::OutOfRange(name)) } else { Ok(value) }
    }

    /// `se(v)`.
    pub(super) fn signed(&mut self) -> Result<i32, SyntaxError> {
        let code = self.unsigned()?;
        let magnitude = (code / 2 + code % 2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// Writes the payload of a NAL unit.
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used of the last byte; 0 when it is full.
    used: u32,
}

impl BitWriter {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(64), used: 0 }
    }

    /// `u(1)`.
    pub(super) fn flag(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 0x80 >> self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    /// `u(count)`, at most 32 bits.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.flag(value >> bit & 1 == 1);
        }
    }

    /// `ue(v)`; `value` is below 2^32 − 1.
    pub(super) fn unsigned(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 63 - code.leading_zeros();
        self.bits(0, length);
        self.flag(true);
        self.bits((code & ((1 << length) - 1)) as u32, length);
    }

    /// `se(v)`.
    pub(super) fn signed(&mut self, value: i32) {
        self.unsigned(if value > 0 { 2 * value as u32 - 1 } else { 2 * value.unsigned_abs() });
    }

    /// Ends with `rbsp_trailing_bits` and yields the NAL unit with emulation prevention.
    pub(super) fn into_nal(mut self, header: u8) -> Vec<u8> {
        self.flag(true);
        let mut nal = Vec::with_capacity(self.bytes.len() + 8);
        nal.push(header);
        let mut zeros = 0;
        for byte in self.bytes {
            if zeros >= 2 && byte <= 3 {
                nal.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            nal.push(byte);
        }
        nal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            values in proptest::collection::vec((0..u32::MAX, any::<i16>(), 0_u32..=32), 1..40),
        ) {
            let mut writer = BitWriter::new();
            for &(unsigned, signed, count) in &values {
                writer.unsigned(unsigned / 2);
                writer.signed(signed.into());
                writer.bits(unsigned & ((1_u64 << count) - 1) as u32, count);
            }
            let nal = writer.into_nal(0x67);
            prop_assert!(!nal.windows(3).any(|w| w[0] == 0 && w[1] == 0 && w[2] < 3));
            let mut reader = BitReader::new(&nal[1..]);
            for &(unsigned, signed, count) in &values {
                prop_assert_eq!(reader.unsigned(), Ok(unsigned / 2));
                prop_assert_eq!(reader.signed(), Ok(i32::from(signed)));
                prop_assert_eq!(reader.bits(count), Ok(unsigned & ((1_u64 << count) - 1) as u32));
            }
            prop_assert_eq!(reader.flag(), Ok(true));
        }

        #[test]
        fn reading_garbage_ends(bytes: Vec<u8>) {
            let mut reader = BitReader::new(&bytes);
            while reader.unsigned().is_ok() {}
        }
    }
}
