//! Coded units in the IVF container, which keeps each with its frame's number, for any codec.
//!
//! A header of 32 bytes (`DKIF`, version, length of the header, FourCC, width, height, time base,
//! number of frames, unused), and before each frame its size and time, all little endian
//! (libvpx, `ivfenc.c`).

use std::io::{Result, Write};

use media::{Codec, Size};

/// Ticks of a second: a frame's number is its time.
pub const TICKS_A_SECOND: u32 = 60;

/// Bytes of a file that are not those of its `frames`.
pub const fn overhead(frames: u64) -> u64 {
    32 + 12 * frames
}

/// Writes `units`, each with the number of its frame, in order.
///
/// # Errors
/// That of `into`.
pub fn write<'a>(
    into: &mut impl Write,
    codec: Codec,
    size: Size,
    units: impl ExactSizeIterator<Item = (u64, &'a [u8])>,
) -> Result<()> {
    let four_cc = match codec {
        Codec::H264 => b"H264",
        Codec::H265 => b"HEVC",
        Codec::Av1 => b"AV01",
        Codec::Vp8 => b"VP80",
        Codec::Vp9 => b"VP90",
    };
    into.write_all(b"DKIF\0\0\x20\0")?;
    into.write_all(four_cc)?;
    for edge in [size.width, size.height] {
        into.write_all(&(edge as u16).to_le_bytes())?;
    }
    for word in [TICKS_A_SECOND, 1, units.len() as u32, 0] {
        into.write_all(&word.to_le_bytes())?;
    }
    for (number, unit) in units {
        into.write_all(&(unit.len() as u32).to_le_bytes())?;
        into.write_all(&number.to_le_bytes())?;
        into.write_all(unit)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_units_stand_one_after_another() {
        let units: [(u64, &[u8]); 2] = [(0, &[1, 2, 3]), (7, &[4])];
        let mut file = Vec::new();
        write(&mut file, Codec::Vp8, Size::new(640, 258), units.into_iter()).unwrap();
        assert_eq!(file[..16], *b"DKIF\0\0\x20\0VP80\x80\x02\x02\x01");
        assert_eq!(file[16..32], [60, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(file[32..47], [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(file.len() as u64 - overhead(2), 4);
        assert_eq!(file[47..], [1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4]);
    }
}
