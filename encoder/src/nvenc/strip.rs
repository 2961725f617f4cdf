//! The strip of `media::barcode` for every layout that NVENC takes.

use media::barcode::{CELL, CELLS, Strip};
use media::{BitDepth, Chroma, PixelFormat, Size};

/// Samples of a row.
const WIDTH: usize = CELL * CELLS;

/// A strip as rows of the planes of one layout, in memory that is used again.
#[derive(Debug)]
pub(crate) struct StripRows {
    format: PixelFormat,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl StripRows {
    pub(crate) fn new(format: PixelFormat) -> Self {
        Self { format, luma: Vec::new(), chroma: Vec::new() }
    }

    /// Draws the strip; tells whether a picture of `size` has room for it.
    pub(crate) fn draw(&mut self, strip: Strip, size: Size) -> bool {
        if (size.width as usize) < WIDTH || (size.height as usize) < CELL {
            return false;
        }
        let chroma = match self.format.chroma() {
            Some(Chroma::C444) => WIDTH * CELL,
            _ => WIDTH * CELL / 2,
        };
        self.luma.resize(WIDTH * CELL, 0);
        self.chroma.resize(chroma, 0);
        strip.draw_nv12(&mut self.luma, WIDTH, &mut self.chroma[..WIDTH * CELL / 2], WIDTH);
        self.chroma.fill(128);
        if self.format.depth() == BitDepth::Ten {
            widen(&mut self.luma);
            widen(&mut self.chroma);
        }
        true
    }

    /// The rows of a plane and the bytes of each; `None` beyond the last plane.
    pub(crate) fn plane(&self, number: usize) -> Option<(&[u8], usize)> {
        let (row, _) = self.format.plane(number, Size::new(WIDTH as u32, CELL as u32))?;
        Some((if number == 0 { &self.luma } else { &self.chroma }, row))
    }
}

/// Makes each sample one of 16 bits with the value in the upper ones.
fn widen(samples: &mut Vec<u8>) {
    let count = samples.len();
    samples.resize(count * 2, 0);
    for at in (0..count).rev() {
        (samples[2 * at], samples[2 * at + 1]) = (0, samples[at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_reads_the_same_in_every_layout() {
        let strip = Strip { frame: 0xbeef, input: 0x1234 };
        let size = Size::new(640, 384);
        for format in
            [PixelFormat::Nv12, PixelFormat::P010, PixelFormat::Yuv444, PixelFormat::Yuv444P16]
        {
            let mut rows = StripRows::new(format);
            // Drawn twice: the memory is used again.
            assert!(rows.draw(Strip { frame: 1, input: 2 }, size) && rows.draw(strip, size));
            let bytes = if format.depth() == BitDepth::Ten { 2 } else { 1 };
            let (luma, row) = rows.plane(0).unwrap();
            assert_eq!((luma.len(), row), (WIDTH * CELL * bytes, WIDTH * bytes));
            let upper: Vec<_> = luma.iter().skip(bytes - 1).step_by(bytes).copied().collect();
            assert_eq!(Strip::read_luma(&upper, WIDTH), Some(strip), "{format:?}");
            let mut planes = 1;
            while let Some((chroma, row)) = rows.plane(planes) {
                assert!(chroma.iter().skip(bytes - 1).step_by(bytes).all(|&value| value == 128));
                let rows = if format.chroma() == Some(Chroma::C444) { CELL } else { CELL / 2 };
                assert_eq!(chroma.len(), row * rows);
                planes += 1;
            }
            assert_eq!(planes, format.planes(size).count());
        }
    }

    #[test]
    fn a_small_picture_gets_none() {
        let strip = Strip { frame: 1, input: 2 };
        let mut rows = StripRows::new(PixelFormat::Nv12);
        assert!(!rows.draw(strip, Size::new(526, 384)) && !rows.draw(strip, Size::new(640, 14)));
        assert!(rows.draw(strip, Size::new(528, 16)));
    }
}
