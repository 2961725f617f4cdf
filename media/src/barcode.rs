//! A machine-readable strip in the picture: which frame this is and which input it shows.
//!
//! It is the debug overlay that end-to-end tests and the latency bench read from decoded pixels.
//! Layout: from the upper left corner, 33 square cells of [`CELL`] pixels in a row, white for 1 and
//! black for 0, most significant bit first: 16 bits of the frame id, 16 bits of the input number,
//! then even parity over both. Chroma under the strip is neutral.

use crate::{FrameId, InputSeq, Rect};

/// Edge of a cell in pixels. Sixteen is a macroblock, so coding noise does not cross cells.
pub const CELL: usize = 16;
/// Cells in the strip.
pub const CELLS: usize = 33;
/// Luma of a white cell in limited range.
const WHITE: u8 = 235;
/// Luma of a black cell in limited range.
const BLACK: u8 = 16;

/// What a strip says, both numbers modulo 2^16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Frame id.
    pub frame: u16,
    /// Newest input number shown; 0 when there was none.
    pub input: u16,
}

impl Strip {
    /// What it covers of a picture that it fits into.
    pub const AREA: Rect = Rect { x: 0, y: 0, width: (CELL * CELLS) as u32, height: CELL as u32 };

    /// The strip of a frame.
    pub fn new(frame: FrameId, input: Option<InputSeq>) -> Self {
        Self { frame: frame.0 as u16, input: input.map_or(0, |seq| seq.0 as u16) }
    }

    fn bits(self) -> impl Iterator<Item = bool> {
        let word = u32::from(self.frame) << 16 | u32::from(self.input);
        let parity = word.count_ones() % 2 == 1;
        (0..32).map(move |bit| word >> (31 - bit) & 1 == 1).chain([parity])
    }

    /// Draws the strip into NV12 planes. Does nothing when the picture is too small for it.
    pub fn draw_nv12(
        self,
        luma: &mut [u8],
        luma_stride: usize,
        chroma: &mut [u8],
        chroma_stride: usize,
    ) {
        if self.draw_luma(luma, luma_stride) {
            make_neutral(chroma, chroma_stride, CELL * CELLS);
        }
    }

    /// Draws the strip into a luma plane and two chroma planes of half its size each way, each given
    /// with its stride. Does nothing when the picture is too small for it.
    pub fn draw_i420(self, luma: &mut [u8], luma_stride: usize, chroma: [(&mut [u8], usize); 2]) {
        if self.draw_luma(luma, luma_stride) {
            for (plane, stride) in chroma {
                make_neutral(plane, stride, CELL * CELLS / 2);
            }
        }
    }

    /// Draws the strip into planes with 10 bits a sample, in 16, little endian, `shift` above the lowest:
    /// luma, and one plane of chroma pairs or two of chroma, each given with its stride in bytes. Does
    /// nothing when the picture is too small for it.
    pub fn draw_ten_bit<const PLANES: usize>(
        self,
        luma: &mut [u8],
        luma_stride: usize,
        chroma: [(&mut [u8], usize); PLANES],
        shift: u32,
    ) {
        let sample = |value: u8| (u16::from(value) << 2 << shift).to_le_bytes();
        if luma_stride < 2 * CELL * CELLS || luma.len() < luma_stride * CELL {
            return;
        }
        for row in luma.chunks_mut(luma_stride).take(CELL) {
            for (cell, bit) in row.as_chunks_mut::<2>().0.chunks_mut(CELL).zip(self.bits()) {
                cell.fill(sample(if bit { WHITE } else { BLACK }));
            }
        }
        for (plane, stride) in chroma {
            for row in plane.chunks_mut(stride).take(CELL / 2) {
                let samples = row.as_chunks_mut::<2>().0;
                let width = samples.len().min(CELL * CELLS / PLANES);
                samples[..width].fill(sample(128));
            }
        }
    }

    /// Whether the strip fitted.
    fn draw_luma(self, luma: &mut [u8], stride: usize) -> bool {
        if stride < CELL * CELLS || luma.len() < stride * CELL {
            return false;
        }
        for row in luma.chunks_mut(stride).take(CELL) {
            for (cell, bit) in row.chunks_mut(CELL).zip(self.bits()) {
                cell.fill(if bit { WHITE } else { BLACK });
            }
        }
        true
    }

    /// Reads the strip from the luma of a decoded picture; `None` when the parity is odd.
    pub fn read_luma(luma: &[u8], stride: usize) -> Option<Self> {
        if stride < CELL * CELLS {
            return None;
        }
        let row = luma.get(stride * (CELL / 2)..)?;
        let mut word = 0_u32;
        for cell in 0..32 {
            word = word << 1 | u32::from(*row.get(cell * CELL + CELL / 2)? > 126);
        }
        let parity = *row.get(32 * CELL + CELL / 2)? > 126;
        (parity == (word.count_ones() % 2 == 1))
            .then_some(Self { frame: (word >> 16) as u16, input: word as u16 })
    }
}

/// Takes the colour out of `width` bytes of the rows under the strip.
fn make_neutral(chroma: &mut [u8], stride: usize, width: usize) {
    for row in chroma.chunks_mut(stride).take(CELL / 2) {
        let width = row.len().min(width);
        row[..width].fill(128);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_drawn_is_read(frame: u64, input: u32) {
            let (mut luma, mut chroma) = (vec![90; 640 * 32], vec![20; 640 * 16]);
            let strip = Strip::new(FrameId(frame), Some(InputSeq(input)));
            strip.draw_nv12(&mut luma, 640, &mut chroma, 640);
            prop_assert_eq!(Strip::read_luma(&luma, 640), Some(strip));
            prop_assert!(luma[640 * 16..].iter().all(|&y| y == 90));
        }
    }

    #[test]
    fn planes_of_their_own_are_neutral_where_shared_ones_are() {
        let strip = Strip { frame: 7, input: 9 };
        let (mut luma, mut chroma) = (vec![90; 640 * 32], vec![20; 640 * 16]);
        strip.draw_nv12(&mut luma, 640, &mut chroma, 640);
        let (mut plain, mut cb, mut cr) =
            (vec![90; 640 * 32], vec![20; 320 * 16], vec![20; 320 * 16]);
        strip.draw_i420(&mut plain, 640, [(&mut cb, 320), (&mut cr, 320)]);
        assert_eq!(plain, luma);
        for (pair, each) in chroma.chunks(2).zip(cb.iter().zip(&cr)) {
            assert_eq!((pair[0], pair[1]), (*each.0, *each.1));
        }
        assert!(cb.contains(&128) && cb.contains(&20));
    }

    #[test]
    fn ten_bits_hold_the_same_as_eight() {
        let strip = Strip { frame: 7, input: 9 };
        let (mut luma, mut chroma) = (vec![90; 640 * 32], vec![20; 640 * 16]);
        strip.draw_nv12(&mut luma, 640, &mut chroma, 640);
        let wide = |plane: &[u8], shift: u32| -> Vec<u8> {
            plane.iter().flat_map(|&value| (u16::from(value) << 2 << shift).to_le_bytes()).collect()
        };
        for shift in [0, 6] {
            let (mut upper, mut pairs) =
                (wide(&[90; 640 * 32], shift), wide(&[20; 640 * 16], shift));
            strip.draw_ten_bit(&mut upper, 1280, [(&mut pairs, 1280)], shift);
            assert!(upper == wide(&luma, shift) && pairs == wide(&chroma, shift), "{shift}");
        }
        let (mut lower, mut cb, mut cr) =
            (wide(&[90; 640 * 32], 0), wide(&[20; 320 * 16], 0), wide(&[20; 320 * 16], 0));
        strip.draw_ten_bit(&mut lower, 1280, [(&mut cb, 640), (&mut cr, 640)], 0);
        let half: Vec<u8> = chroma.iter().step_by(2).copied().collect();
        assert!(lower == wide(&luma, 0) && cb == wide(&half, 0) && cr == cb);
    }

    #[test]
    fn one_wrong_cell_is_noticed() {
        let (mut luma, mut chroma) = (vec![0; 640 * 32], vec![0; 640 * 16]);
        Strip { frame: 7, input: 9 }.draw_nv12(&mut luma, 640, &mut chroma, 640);
        luma[640 * (CELL / 2) + CELL / 2] ^= 0xff;
        assert_eq!(Strip::read_luma(&luma, 640), None);
    }

    #[test]
    fn a_small_picture_is_left_alone() {
        let (mut luma, mut chroma) = (vec![1; 64 * 64], vec![1; 64 * 32]);
        Strip { frame: 7, input: 9 }.draw_nv12(&mut luma, 64, &mut chroma, 64);
        assert!(luma.iter().all(|&y| y == 1));
        assert_eq!(Strip::read_luma(&luma, 64), None);
    }
}
