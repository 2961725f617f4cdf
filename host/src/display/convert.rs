//! From the pixels of a display to those of a video stream.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media::{Damage, Rect, Size};
use smallvec::SmallVec;
use yuv::{
    BufferStoreMut, YuvBiPlanarImageMut, YuvConversionMode, YuvRange, YuvStandardMatrix,
    bgra_to_yuv_nv12,
};

/// Bytes of a pixel of a display.
pub(super) const PIXEL: usize = 4;

/// Bytes of an NV12 picture without padding; `size` is even both ways.
pub(super) fn nv12_bytes(size: Size) -> usize {
    size.width as usize * size.height as usize * 3 / 2
}

/// The least rectangle of even edges that holds `rect`, within an even picture that holds `rect`.
pub(super) fn even(rect: Rect) -> Rect {
    let (x, y) = (rect.x & !1, rect.y & !1);
    let end = |start: u32, length: u32| (start + length).next_multiple_of(2);
    Rect { x, y, width: end(rect.x, rect.width) - x, height: end(rect.y, rect.height) - y }
}

/// The rows of `damage`, from top to bottom, none twice.
pub(super) fn rows(damage: &Damage, size: Size) -> SmallVec<[(u32, u32); Damage::MAX_RECTS]> {
    let mut rows = SmallVec::<[(u32, u32); Damage::MAX_RECTS]>::new();
    match damage {
        Damage::Unknown => rows.push((0, size.height)),
        Damage::Rects(rects) => {
            rows.extend(rects.iter().map(|rect| (rect.y, rect.y + rect.height)));
        }
    }
    rows.sort_unstable();
    rows.dedup_by(|next, before| {
        let joins = next.0 <= before.1;
        if joins {
            before.1 = before.1.max(next.1);
        }
        joins
    });
    rows
}

/// Converts the rows `from..to`, both even, of a picture of `size`: `bgrx` is those rows, `nv12` all of the picture, both without
/// padding. Rows are converted whole: the library takes no part of a row that does not begin at its start.
///
/// # Errors
/// When the buffers do not have that size, which is our bug.
pub(super) fn convert(
    bgrx: &[u8],
    size: Size,
    (from, to): (u32, u32),
    nv12: &mut [u8],
) -> Result<(), String> {
    let width = size.width as usize;
    let (start, end) = (from as usize, to as usize);
    let (luma, chroma) =
        nv12.split_at_mut_checked(width * size.height as usize).ok_or("a picture is too short")?;
    let luma = luma.get_mut(start * width..end * width).ok_or("no such luma")?;
    let chroma = chroma.get_mut(start / 2 * width..end / 2 * width).ok_or("no such chroma")?;
    let pixels = bgrx.get(..(end - start) * width * PIXEL).ok_or("no such pixels")?;
    let mut image = YuvBiPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(luma),
        y_stride: size.width,
        uv_plane: BufferStoreMut::Borrowed(chroma),
        uv_stride: size.width,
        width: size.width,
        height: to - from,
    };
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt709);
    let stride = size.width * PIXEL as u32;
    bgra_to_yuv_nv12(&mut image, pixels, stride, range, matrix, YuvConversionMode::Balanced)
        .map_err(|error| error.to_string())
}

/// Time of a core that a picture of so many pixels takes to be converted, by one that this machine was measured to take,
/// once.
pub fn conversion(pixels: u64) -> Duration {
    static MEASURED: OnceLock<Duration> = OnceLock::new();
    let size = Size::new(640, 360);
    let measured = MEASURED.get_or_init(|| {
        let bgrx = vec![90; size.pixels() as usize * PIXEL];
        let mut nv12 = vec![0; nv12_bytes(size)];
        let mut once = || {
            let began = Instant::now();
            // Buffers of this size are never refused.
            let _ = convert(&bgrx, size, (0, size.height), &mut nv12);
            began.elapsed()
        };
        // What else the machine does can only add to it.
        (0..5).map(|_| once()).min().unwrap_or_default()
    });
    measured.mul_f64(pixels as f64 / size.pixels() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// BT.709 in limited range (ITU-R BT.709-6 §3), in floating point.
    fn expected([b, g, r]: [u8; 3]) -> [f64; 3] {
        let [b, g, r] = [b, g, r].map(|part| f64::from(part) / 255.0);
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.8556, 128.0 + 224.0 * (r - y) / 1.5748]
    }

    proptest! {
        #[test]
        fn only_the_rows_are_written_and_they_are_right(
            colour: [u8; 3],
            y in 0_u32..20, height in 1_u32..21,
        ) {
            let size = Size::new(40, 40);
            let rect = even(Rect { x: 3, y, width: 2, height });
            prop_assert!(rect.fits(size));
            let pixels = [colour[0], colour[1], colour[2], 0].repeat(40 * 40);
            let mut nv12 = vec![77; nv12_bytes(size)];
            convert(&pixels[rect.y as usize * 160..], size, (rect.y, rect.y + rect.height), &mut nv12)
                .unwrap();
            let (luma, chroma) = nv12.split_at(1_600);
            let [ey, eb, er] = expected(colour);
            for row in 0..40_u32 {
                for column in 0..40_u32 {
                    let within = (rect.y..rect.y + rect.height).contains(&row);
                    let found = f64::from(luma[(row * 40 + column) as usize]);
                    let pair = (row / 2 * 40 + column / 2 * 2) as usize;
                    let pair = [f64::from(chroma[pair]), f64::from(chroma[pair + 1])];
                    if within {
                        let off = [found - ey, pair[0] - eb, pair[1] - er];
                        prop_assert!(off.iter().all(|off| off.abs() <= 1.5), "{off:?}");
                    } else {
                        prop_assert_eq!((found, pair), (77.0, [77.0; 2]));
                    }
                }
            }
        }
    }

    #[test]
    fn twice_the_pixels_take_twice_the_time() {
        let (one, two) = (conversion(1_000_000), conversion(2_000_000));
        assert!(!one.is_zero());
        assert!(two.abs_diff(one * 2) <= Duration::from_nanos(2), "{one:?} {two:?}");
    }

    #[test]
    fn buffers_that_are_too_short_are_refused() {
        let size = Size::new(8, 8);
        let whole = (0, 8);
        assert!(convert(&[0; 256], size, whole, &mut [0; 60]).is_err());
        assert!(convert(&[0; 255], size, whole, &mut [0; 96]).is_err());
        assert!(convert(&[0; 256], size, whole, &mut [0; 95]).is_err());
    }

    #[test]
    fn rows_join_and_are_sorted() {
        let size = Size::new(10, 100);
        let rect = |y, height| Rect { x: 2, y, width: 2, height };
        let of = |rects: &[Rect]| {
            let mut damage = Damage::none();
            rects.iter().for_each(|&rect| damage.add(rect));
            rows(&damage, size).to_vec()
        };
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[rect(50, 4), rect(0, 10), rect(8, 4), rect(12, 2)]), [(0, 14), (50, 54)]);
        assert_eq!(of(&[rect(0, 90), rect(4, 4)]), [(0, 90)]);
        assert_eq!(rows(&Damage::Unknown, size).to_vec(), [(0, 100)]);
    }
}
