//! Bits of headers, most significant first: as they are, and those of a raw byte sequence payload (H.264
//! §7.2, §7.3.1, §9.1).

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

/// Reads bits as they are.
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits that were read.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The next bit; none behind the end.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.position / 8)?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Some(bit == 1)
    }

    /// The next `count` bits, at most 32.
    pub(crate) fn read(&mut self, count: usize) -> Option<u32> {
        debug_assert!(count <= 32);
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }
}

/// Reads bits from the payload of a NAL unit and skips emulation prevention. Copies nothing, so that
/// the head of a slice costs no more than its few bytes.
pub(crate) struct BitReader<'a> {
    payload: &'a [u8],
    /// Index of the byte after the current one.
    next: usize,
    current: u8,
    /// Bits of the current byte that are not read yet.
    left: u32,
    /// Zero bytes up to the current one.
    zeros: u32,
    /// Bits that were read, without emulation prevention.
    position: usize,
}

impl<'a> BitReader<'a> {
    /// Over the payload of a NAL unit without its header.
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { payload, next: 0, current: 0, left: 0, zeros: 0, position: 0 }
    }

    fn next_byte(&mut self) -> Result<u8, SyntaxError> {
        let byte = *self.payload.get(self.next).ok_or(SyntaxError::Truncated)?;
        self.next += 1;
        Ok(byte)
    }

    /// `u(1)`.
    pub(crate) fn flag(&mut self) -> Result<bool, SyntaxError> {
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
        self.position += 1;
        Ok(self.current >> self.left & 1 == 1)
    }

    /// Bits that were read: those of the raw byte sequence payload.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// `u(count)`, at most 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, SyntaxError> {
        debug_assert!(count <= 32);
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    /// `u(8)`.
    pub(crate) fn byte(&mut self) -> Result<u8, SyntaxError> {
        self.bits(8).map(|value| value as u8)
    }

    /// `ue(v)`.
    pub(crate) fn unsigned(&mut self) -> Result<u32, SyntaxError> {
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
    pub(crate) fn unsigned_to(
        &mut self,
        limit: u32,
        name: &'static str,
    ) -> Result<u32, SyntaxError> {
        let value = self.unsigned()?;
        if value > limit { Err(SyntaxError::OutOfRange(name)) } else { Ok(value) }
    }

    /// `se(v)`.
    pub(crate) fn signed(&mut self) -> Result<i32, SyntaxError> {
        let code = self.unsigned()?;
        let magnitude = (code / 2 + code % 2) as i32;
        Ok(if code % 2 == 1 { magnitude } else { -magnitude })
    }
}

/// Writes bits, of the payload of a NAL unit among others.
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits used of the last byte; 0 when it is full.
    used: u32,
}

impl BitWriter {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::with_capacity(64), used: 0 }
    }

    /// `u(1)`.
    pub(crate) fn flag(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let (true, Some(last)) = (bit, self.bytes.last_mut()) {
            *last |= 0x80 >> self.used;
        }
        self.used = (self.used + 1) % 8;
    }

    /// `u(count)`, at most 32 bits.
    pub(crate) fn bits(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            self.flag(value >> bit & 1 == 1);
        }
    }

    /// `ue(v)`; `value` is below 2^32 − 1.
    pub(crate) fn unsigned(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = 63 - code.leading_zeros();
        self.bits(0, length);
        self.flag(true);
        self.bits((code & ((1 << length) - 1)) as u32, length);
    }

    /// `se(v)`.
    pub(crate) fn signed(&mut self, value: i32) {
        self.unsigned(if value > 0 { 2 * value as u32 - 1 } else { 2 * value.unsigned_abs() });
    }

    /// Ends with one bit that is set, and as many as the last byte has room for that are not: what both H.264
    /// (`rbsp_trailing_bits`) and AV1 (`trailing_bits`) end with.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.flag(true);
        self.bytes
    }

    /// Ends it so, and yields the NAL unit with emulation prevention.
    pub(crate) fn into_nal(self, header: u8) -> Vec<u8> {
        let bytes = self.into_bytes();
        let mut nal = Vec::with_capacity(bytes.len() + 8);
        nal.push(header);
        let mut zeros = 0;
        for byte in bytes {
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
