//! Pictures as C libraries are told them: where luma, Cb and Cr begin. In ten bits they have chroma in two planes and the
//! value in the lower bits of 16, where P010 has pairs and the upper ones.

use media::barcode::Strip;
use media::{BitDepth, Plane, Size};

use crate::nv12::{Nv12, TwoPlanes};

/// A picture in 4:2:0 whose planes are known to be long enough.
pub(crate) struct Planar<'a> {
    pub(crate) size: Size,
    /// Of ten bits every sample is an aligned `u16`.
    pub(crate) depth: BitDepth,
    /// Luma, Cb and Cr. Of pairs both begin in the same plane, Cr at their second half.
    pub(crate) planes: [Plane<'a>; 3],
}

impl<'a> From<Nv12<'a>> for Planar<'a> {
    fn from(picture: Nv12<'a>) -> Self {
        let Nv12 { size, luma, chroma } = picture;
        let second = Plane { data: chroma.data.get(1..).unwrap_or_default(), ..chroma };
        Self { size, depth: BitDepth::Eight, planes: [luma, chroma, second] }
    }
}

/// Memory of an encoder's own for pictures in ten bits.
#[derive(Default)]
pub(crate) struct Lowered {
    luma: Vec<u16>,
    chroma: [Vec<u16>; 2],
}

impl Lowered {
    /// A copy of P010, with the strip.
    pub(crate) fn draw(&mut self, picture: &TwoPlanes<'_>, strip: Option<Strip>) -> Planar<'_> {
        let size = picture.size;
        let (width, height) = (size.width as usize, size.height as usize);
        let (row, chroma_row) = (picture.row(), picture.row() / 2);
        self.luma.resize(width * height, 0);
        self.chroma.iter_mut().for_each(|plane| plane.resize(width * height / 4, 0));
        let chroma = self.chroma.each_mut().map(|plane| (bytes(plane), chroma_row));
        lower(picture, strip, (bytes(&mut self.luma), row), chroma);
        let [cb, cr] = &self.chroma;
        let planes = [plane(&self.luma, row), plane(cb, chroma_row), plane(cr, chroma_row)];
        Planar { size, depth: BitDepth::Ten, planes }
    }
}

fn bytes(samples: &mut [u16]) -> &mut [u8] {
    bytemuck::cast_slice_mut(samples)
}

fn plane(samples: &[u16], stride: usize) -> Plane<'_> {
    Plane { data: bytemuck::cast_slice(samples), stride }
}

/// Writes P010 into luma, Cb and Cr, each given with its stride in bytes, and draws the strip there.
pub(crate) fn lower(
    picture: &TwoPlanes<'_>,
    strip: Option<Strip>,
    (luma, luma_stride): (&mut [u8], usize),
    [(cb, cb_stride), (cr, cr_stride)]: [(&mut [u8], usize); 2],
) {
    lower_luma(picture, luma, luma_stride);
    lower_chroma(picture, (&mut *cb, cb_stride), (&mut *cr, cr_stride));
    if let Some(strip) = strip {
        strip.draw_ten_bit(luma, luma_stride, [(cb, cb_stride), (cr, cr_stride)], 0);
    }
}

/// From the upper 10 bits of 16 to the lower ones. Little endian, as both are.
fn lowered(sample: [u8; 2]) -> [u8; 2] {
    (u16::from_le_bytes(sample) >> 6).to_le_bytes()
}

fn lower_luma(picture: &TwoPlanes<'_>, to: &mut [u8], to_stride: usize) {
    let (row, height) = (picture.row(), picture.size.height as usize);
    let from = picture.luma.data.chunks(picture.luma.stride).take(height);
    for (from, to) in from.zip(to.chunks_mut(to_stride)) {
        let samples = from[..row].as_chunks::<2>().0.iter();
        for (from, to) in samples.zip(to.as_chunks_mut::<2>().0) {
            *to = lowered(*from);
        }
    }
}

fn lower_chroma(
    picture: &TwoPlanes<'_>,
    (cb, cb_stride): (&mut [u8], usize),
    (cr, cr_stride): (&mut [u8], usize),
) {
    let (row, rows) = (picture.row(), picture.size.height as usize / 2);
    let from = picture.chroma.data.chunks(picture.chroma.stride).take(rows);
    let to = cb.chunks_mut(cb_stride).zip(cr.chunks_mut(cr_stride));
    for (from, (cb, cr)) in from.zip(to) {
        let pairs = from[..row].as_chunks::<4>().0.iter();
        let to = cb.as_chunks_mut::<2>().0.iter_mut().zip(cr.as_chunks_mut::<2>().0);
        for (pair, (cb, cr)) in pairs.zip(to) {
            (*cb, *cr) = (lowered([pair[0], pair[1]]), lowered([pair[2], pair[3]]));
        }
    }
}

#[cfg(test)]
mod tests {
    use media::PixelFormat;

    use super::*;

    const SIZE: Size = Size::new(6, 4);

    #[test]
    fn ten_bits_are_taken_out_of_padded_rows() {
        // Rows are 12 bytes; the lowest six bits of a sample say nothing.
        let stride = 20;
        let sample = |row: usize, at: usize| (row * 100 + at * 7) as u16;
        let plane = |rows: usize| {
            let mut plane = vec![0xee; stride * rows];
            for (row, bytes) in plane.chunks_mut(stride).enumerate() {
                for (at, bytes) in bytes.as_chunks_mut::<2>().0.iter_mut().take(6).enumerate() {
                    *bytes = (sample(row, at) << 6 | 0x2a).to_le_bytes();
                }
            }
            plane
        };
        let (luma, chroma) = (plane(4), plane(2));
        let [luma, chroma] = [&luma, &chroma].map(|data| Plane { data, stride });
        let picture = TwoPlanes { size: SIZE, format: PixelFormat::P010, luma, chroma };
        let mut memory = Lowered::default();
        let Planar { size, depth, planes } = memory.draw(&picture, None);
        assert_eq!((size, depth), (SIZE, BitDepth::Ten));
        assert_eq!(planes.map(|plane| plane.stride), [12, 6, 6]);
        let [luma, cb, cr] =
            planes.map(|plane| bytemuck::cast_slice::<u8, u16>(plane.data).to_vec());
        let all = |rows, places: &[usize]| -> Vec<u16> {
            (0..rows).flat_map(|row| places.iter().map(move |at| sample(row, *at))).collect()
        };
        assert_eq!(luma, all(4, &[0, 1, 2, 3, 4, 5]));
        assert_eq!((cb, cr), (all(2, &[0, 2, 4]), all(2, &[1, 3, 5])));
    }

    #[test]
    fn pairs_are_known_by_the_place_of_their_second_half() {
        let (luma, chroma): (Vec<u8>, Vec<u8>) = ((0..24).collect(), (100..112).collect());
        let [luma, chroma] = [&luma, &chroma].map(|data| Plane { data, stride: 6 });
        let Planar { depth, planes, .. } = Nv12 { size: SIZE, luma, chroma }.into();
        assert_eq!(depth, BitDepth::Eight);
        assert_eq!(planes.map(|plane| (plane.data[0], plane.stride)), [(0, 6), (100, 6), (101, 6)]);
    }
}
