//! RGB to NV12 on the CPU, for pictures that are there already (captured displays, shared memory).
//!
//! BT.709 in limited range. Chroma is sited left of and between the luma rows (H.264
//! `chroma_sample_loc_type` 0): horizontally `[1 2 1] / 4` around every even column, vertically the
//! mean of two rows; beyond the left edge the edge repeats. Fixed point, within ±1 of the exact
//! value. It never allocates once a size was seen. It must not be fed linear light: the input is
//! taken as gamma coded, and anything else comes out too dark.

use media::{CpuImage, EncodeError, PixelFormat, Plane, Size};
use smallvec::smallvec;

use crate::nv12::{check_size, plane_holds};

/// BT.709 luma weights (ITU-R BT.709-6 §3.2).
const KR: f64 = 0.2126;
const KB: f64 = 0.0722;
const KG: f64 = 1.0 - KR - KB;
/// Limited range: 219 luma and 224 chroma steps for 255 of the input.
const LUMA_RANGE: f64 = 219.0 / 255.0;
const CHROMA_RANGE: f64 = 224.0 / 255.0;

const LUMA_BITS: u32 = 16;
const LUMA: [i32; 3] =
    fixed([KR * LUMA_RANGE, KG * LUMA_RANGE, KB * LUMA_RANGE], (1 << LUMA_BITS) as f64);
/// Chroma weights have 15 bits; 6 of them are kept between the vertical and the horizontal filter,
/// which is what fits 16 bits.
const CHROMA_BITS: u32 = 15;
const KEPT_BITS: u32 = 6;
const CB: [i32; 3] = fixed(
    [
        -KR / (2.0 * (1.0 - KB)) * CHROMA_RANGE,
        -KG / (2.0 * (1.0 - KB)) * CHROMA_RANGE,
        0.5 * CHROMA_RANGE,
    ],
    (1 << CHROMA_BITS) as f64,
);
const CR: [i32; 3] = fixed(
    [
        0.5 * CHROMA_RANGE,
        -KG / (2.0 * (1.0 - KR)) * CHROMA_RANGE,
        -KB / (2.0 * (1.0 - KR)) * CHROMA_RANGE,
    ],
    (1 << CHROMA_BITS) as f64,
);

const fn fixed(weights: [f64; 3], scale: f64) -> [i32; 3] {
    let mut out = [0; 3];
    let mut index = 0;
    while index < 3 {
        let scaled = weights[index] * scale;
        out[index] = (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32;
        index += 1;
    }
    out
}

/// Converts pictures into a buffer of its own.
#[derive(Debug, Default)]
pub struct Nv12Converter {
    size: Option<Size>,
    /// Luma rows, then chroma rows, `stride` bytes each.
    out: Vec<u8>,
    stride: usize,
    /// Vertically summed chroma of one pair of rows, with one column more on the left.
    cb: Vec<i16>,
    cr: Vec<i16>,
}

impl Nv12Converter {
    /// Pixels beside one of RGB whose chroma follows from it, too.
    pub(crate) const REACH: u32 = 1;

    /// Without buffers; they come with the first picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Converts a `Bgrx8` or `Rgba8` picture; the result stays valid until the next call.
    ///
    /// # Errors
    /// [`EncodeError::Refused`] for another layout, an odd size or a plane that is too short.
    pub fn convert(&mut self, image: &CpuImage<'_>) -> Result<CpuImage<'_>, EncodeError> {
        let rows = match image.format {
            PixelFormat::Bgrx8 => convert_rows::<16, 0>,
            PixelFormat::Rgba8 => convert_rows::<0, 16>,
            other @ (PixelFormat::Nv12
            | PixelFormat::P010
            | PixelFormat::Yuv444
            | PixelFormat::Yuv444P16) => {
                return Err(EncodeError::Refused(format!("{other:?} is not RGB")));
            }
        };
        check_size(image.size).map_err(EncodeError::Refused)?;
        let (width, height) = (image.size.width as usize, image.size.height as usize);
        let plane = match image.planes.as_slice() {
            &[plane] if plane_holds(&plane, width * 4, height) => plane,
            _ => return Err(EncodeError::Refused("RGB needs one plane of whole rows".into())),
        };
        self.resize(image.size);
        let (luma, chroma) = self.out.split_at_mut(self.stride * height);
        let mut scratch = Scratch { cb: &mut self.cb, cr: &mut self.cr };
        for pair in 0..height / 2 {
            let top = &plane.data[plane.stride * (2 * pair)..][..width * 4];
            let bottom = &plane.data[plane.stride * (2 * pair + 1)..][..width * 4];
            let (luma_top, luma_bottom) =
                luma[self.stride * 2 * pair..][..self.stride * 2].split_at_mut(self.stride);
            let mut out = RowPair {
                luma_top: &mut luma_top[..width],
                luma_bottom: &mut luma_bottom[..width],
                chroma: &mut chroma[self.stride * pair..][..width],
            };
            rows(top, bottom, &mut out, &mut scratch);
        }
        Ok(CpuImage {
            format: PixelFormat::Nv12,
            size: image.size,
            planes: smallvec![
                Plane { data: luma, stride: self.stride },
                Plane { data: chroma, stride: self.stride },
            ],
        })
    }

    fn resize(&mut self, size: Size) {
        if self.size == Some(size) {
            return;
        }
        let (width, height) = (size.width as usize, size.height as usize);
        // Whole cache lines, so that rows of the two planes share none.
        self.stride = width.next_multiple_of(64);
        self.out = vec![0; self.stride * (height + height / 2)];
        self.cb = vec![0; width + 1];
        self.cr = vec![0; width + 1];
        self.size = Some(size);
    }
}

/// Where two rows of pixels go. All slices have the width of the picture.
struct RowPair<'a> {
    luma_top: &'a mut [u8],
    luma_bottom: &'a mut [u8],
    chroma: &'a mut [u8],
}

struct Scratch<'a> {
    cb: &'a mut [i16],
    cr: &'a mut [i16],
}

/// Converts two rows with the widest vectors that the processor has.
fn convert_rows<const R: u32, const B: u32>(
    top: &[u8],
    bottom: &[u8],
    out: &mut RowPair<'_>,
    scratch: &mut Scratch<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return avx2::<R, B>(top, bottom, out, scratch);
    }
    kernel::<R, B>(top, bottom, out, scratch);
}

/// Calls the kernel compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "the caller has checked at run time that the processor has AVX2")]
fn avx2<const R: u32, const B: u32>(
    top: &[u8],
    bottom: &[u8],
    out: &mut RowPair<'_>,
    scratch: &mut Scratch<'_>,
) {
    #[target_feature(enable = "avx2")]
    fn compiled_for_avx2<const R: u32, const B: u32>(
        top: &[u8],
        bottom: &[u8],
        out: &mut RowPair<'_>,
        scratch: &mut Scratch<'_>,
    ) {
        kernel::<R, B>(top, bottom, out, scratch);
    }
    // SAFETY: `convert_rows`, the only caller, has seen `is_x86_feature_detected!("avx2")`.
    unsafe { compiled_for_avx2::<R, B>(top, bottom, out, scratch) }
}

/// `R` and `B` are the shifts of red and blue in a little-endian pixel. Plain loops over slices of
/// equal length, which the compiler turns into vector code.
#[inline(always)]
fn kernel<const R: u32, const B: u32>(
    top: &[u8],
    bottom: &[u8],
    out: &mut RowPair<'_>,
    scratch: &mut Scratch<'_>,
) {
    let width = out.luma_top.len();
    let (top, bottom) = (&top.as_chunks::<4>().0[..width], &bottom.as_chunks::<4>().0[..width]);
    let (luma_top, luma_bottom) = (&mut out.luma_top[..width], &mut out.luma_bottom[..width]);
    let (cb, cr) = (&mut scratch.cb[1..][..width], &mut scratch.cr[1..][..width]);
    for x in 0..width {
        let (a, b) = (u32::from_le_bytes(top[x]), u32::from_le_bytes(bottom[x]));
        let channel = |pixel: u32, shift: u32| (pixel >> shift & 255) as i32;
        let (ra, ga, ba) = (channel(a, R), channel(a, 8), channel(a, B));
        let (rb, gb, bb) = (channel(b, R), channel(b, 8), channel(b, B));
        luma_top[x] = luma(ra, ga, ba);
        luma_bottom[x] = luma(rb, gb, bb);
        let (r, g, b) = (ra + rb, ga + gb, ba + bb);
        cb[x] = chroma_sum(CB, r, g, b);
        cr[x] = chroma_sum(CR, r, g, b);
    }
    let (cb, cr) = (&mut *scratch.cb, &mut *scratch.cr);
    (cb[0], cr[0]) = (cb[1], cr[1]);
    let pairs = width / 2;
    let out = &mut out.chroma.as_chunks_mut::<2>().0[..pairs];
    // Pair i of the shifted row holds columns 2i − 1 and 2i; column 2i + 1 begins the next pair.
    let (cb_at, cb_after) = (&cb.as_chunks::<2>().0[..pairs], &cb[2..].as_chunks::<2>().0);
    let (cr_at, cr_after) = (&cr.as_chunks::<2>().0[..pairs], &cr[2..].as_chunks::<2>().0);
    let filter = |at: [i16; 2], after: i16| {
        let sum = i32::from(at[0]) + 2 * i32::from(at[1]) + i32::from(after);
        // Two rows and a filter gain of four: three bits more.
        (((sum + (1 << (KEPT_BITS + 2))) >> (KEPT_BITS + 3)) + 128) as u8
    };
    let last = pairs - 1;
    for i in 0..last.min(cb_after.len()).min(cr_after.len()) {
        out[i] = [filter(cb_at[i], cb_after[i][0]), filter(cr_at[i], cr_after[i][0])];
    }
    out[last] = [filter(cb_at[last], cb[width]), filter(cr_at[last], cr[width])];
}

#[inline(always)]
fn luma(r: i32, g: i32, b: i32) -> u8 {
    let weighted = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
    (((weighted + (1 << (LUMA_BITS - 1))) >> LUMA_BITS) + 16) as u8
}

#[inline(always)]
fn chroma_sum(weights: [i32; 3], r: i32, g: i32, b: i32) -> i16 {
    const SHIFT: u32 = CHROMA_BITS - KEPT_BITS;
    let weighted = weights[0] * r + weights[1] * g + weights[2] * b;
    ((weighted + (1 << (SHIFT - 1))) >> SHIFT) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A pixel by the equations of BT.709 in `f64`, not rounded: Y', Cb, Cr in 8 bit limited range.
    fn exact([r, g, b]: [f64; 3]) -> [f64; 3] {
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let scale = |steps: f64, value: f64| steps * value / 255.0;
        [
            16.0 + scale(219.0, y),
            128.0 + scale(224.0, (b - y) / 1.8556),
            128.0 + scale(224.0, (r - y) / 1.5748),
        ]
    }

    fn reference(pixel: &dyn Fn(usize, usize) -> [f64; 3], width: usize, height: usize) -> Planes {
        let mut planes = Planes { luma: Vec::new(), chroma: Vec::new() };
        for y in 0..height {
            for x in 0..width {
                planes.luma.push(exact(pixel(x, y))[0]);
            }
        }
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let mut sums = [0.0; 2];
                for row in [y, y + 1] {
                    let columns = [(x.saturating_sub(1), 1.0), (x, 2.0), (x + 1, 1.0)];
                    for (column, weight) in columns {
                        let [_, cb, cr] = exact(pixel(column, row));
                        sums[0] += weight * cb / 8.0;
                        sums[1] += weight * cr / 8.0;
                    }
                }
                planes.chroma.extend(sums);
            }
        }
        planes
    }

    struct Planes {
        luma: Vec<f64>,
        chroma: Vec<f64>,
    }

    fn check(bytes: &[u8], format: PixelFormat, width: usize, height: usize, stride: usize) {
        let order = if format == PixelFormat::Rgba8 { [0, 1, 2] } else { [2, 1, 0] };
        let pixel = |x: usize, y: usize| {
            order.map(|channel| f64::from(bytes[y * stride + x * 4 + channel]))
        };
        let expected = reference(&pixel, width, height);
        let mut converter = Nv12Converter::new();
        let image = CpuImage {
            format,
            size: Size::new(width as u32, height as u32),
            planes: smallvec![Plane { data: bytes, stride }],
        };
        let converted = converter.convert(&image).unwrap();
        for (plane, expected, rows) in
            [(0, &expected.luma, height), (1, &expected.chroma, height / 2)]
        {
            let plane = converted.planes[plane];
            for row in 0..rows {
                for column in 0..width {
                    let got = f64::from(plane.data[row * plane.stride + column]);
                    let want = expected[row * width + column];
                    assert!(
                        (got - want).abs() <= 1.0,
                        "{format:?} {width}x{height} row {row} column {column}: {got}, not {want}"
                    );
                }
            }
        }
    }

    fn noise(length: usize, mut seed: u64) -> Vec<u8> {
        (0..length)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_size_and_stride_is_within_one(
            half_width in 1_usize..70, half_height in 1_usize..5, extra in 0_usize..9, seed: u64,
            rgba: bool,
        ) {
            let (width, height) = (half_width * 2, half_height * 2);
            let stride = width * 4 + extra;
            let format = if rgba { PixelFormat::Rgba8 } else { PixelFormat::Bgrx8 };
            check(&noise(stride * (height - 1) + width * 4, seed), format, width, height, stride);
        }
    }

    #[test]
    fn the_corners_of_the_cube_are_within_one() {
        for corner in 0_u8..8 {
            let pixel = [0, 1, 2].map(|bit| if corner >> bit & 1 == 1 { 255 } else { 0 });
            let bytes = [pixel[0], pixel[1], pixel[2], 255].repeat(34 * 4);
            check(&bytes, PixelFormat::Rgba8, 34, 4, 34 * 4);
        }
    }

    /// The portable kernel, whatever the processor running the test has.
    #[test]
    fn both_kernels_agree() {
        let (width, bytes) = (46, noise(46 * 8, 9));
        let (top, bottom) = bytes.split_at(width * 4);
        let run = |rows: fn(&[u8], &[u8], &mut RowPair<'_>, &mut Scratch<'_>)| {
            let (mut luma, mut chroma) = (vec![0; width * 2], vec![0; width]);
            let (mut cb, mut cr) = (vec![0; width + 1], vec![0; width + 1]);
            let (luma_top, luma_bottom) = luma.split_at_mut(width);
            let mut out = RowPair { luma_top, luma_bottom, chroma: &mut chroma };
            rows(top, bottom, &mut out, &mut Scratch { cb: &mut cb, cr: &mut cr });
            (luma, chroma)
        };
        assert_eq!(run(kernel::<16, 0>), run(convert_rows::<16, 0>));
    }

    #[test]
    fn what_cannot_be_converted_is_refused() {
        let data = [0; 64];
        let image = |format, width, height| CpuImage {
            format,
            size: Size::new(width, height),
            planes: smallvec![Plane { data: &data, stride: 16 }],
        };
        let mut converter = Nv12Converter::new();
        for refused in [
            image(PixelFormat::Nv12, 4, 4),
            image(PixelFormat::P010, 4, 4),
            image(PixelFormat::Yuv444, 4, 4),
            image(PixelFormat::Yuv444P16, 4, 4),
            image(PixelFormat::Rgba8, 3, 4),
            image(PixelFormat::Rgba8, 4, 6),
            image(PixelFormat::Rgba8, 6, 2),
            image(PixelFormat::Rgba8, 0, 0),
        ] {
            assert!(matches!(converter.convert(&refused), Err(EncodeError::Refused(_))));
        }
        assert!(converter.convert(&image(PixelFormat::Rgba8, 4, 4)).is_ok());
    }
}
