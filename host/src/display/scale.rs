//! Makes pictures of a display smaller, for a link that carries too few bits for more: the display stays as it is.
//!
//! A pixel is the mean of those around its place, weighted by a Hamming window that reaches one pixel of the smaller picture
//! to either side: sharper than a triangle, and without the steps of plain averages. First down, then across, in 16 bits:
//! weights are parts of 256 and add up to exactly that, so that plain colours stay what they are. Rows are made as they come,
//! and nothing is allocated once the sizes are known: `fast_image_resize` 6.0 makes a vector for each row and column at each call.

use std::f64::consts::PI;

use media::{Damage, Rect, Size};

use super::convert::{PIXEL, convert, even};
use super::mirror::Rows;

/// All weights of a pixel together: a channel times this, and half of it, fits 16 bits.
const ONE: u16 = 256;
/// Rows that are converted in one go, an even number: they are in the cache yet.
const STRIP: u32 = 16;

/// See the module.
pub(super) struct Scale {
    from: Size,
    to: Size,
    down: Taps,
    across: Taps,
    /// A row of the larger picture's width: what the rows that it is made of add up to, and their mean.
    sums: Vec<u16>,
    mean: Vec<u8>,
    /// Rows of the smaller picture.
    strip: Vec<u8>,
}

impl Scale {
    /// From a size to one that is no larger either way; both are even.
    pub(super) fn new(from: Size, to: Size) -> Self {
        let row = from.width as usize * PIXEL;
        Self {
            from,
            to,
            down: Taps::new(from.height, to.height),
            across: Taps::new(from.width, to.width),
            sums: vec![0; row],
            mean: vec![0; row],
            strip: vec![0; STRIP as usize * to.width as usize * PIXEL],
        }
    }

    /// The size of what is made.
    pub(super) fn size(&self) -> Size {
        self.to
    }

    /// What changes in the smaller picture where this does in the larger one.
    pub(super) fn damage(&self, damage: &Damage) -> Damage {
        let Damage::Rects(rects) = damage else { return Damage::Unknown };
        let mut touched = Damage::none();
        for rect in rects {
            let (x, right) = self.across.made_of(rect.x, rect.x + rect.width);
            let (y, bottom) = self.down.made_of(rect.y, rect.y + rect.height);
            touched.add(even(Rect { x, y, width: right - x, height: bottom - y }));
        }
        touched
    }

    /// How many rows of the smaller picture, from the top, are made of the upper `rows` of the larger one alone; an even
    /// number.
    pub(super) fn ready(&self, rows: u32) -> u32 {
        self.down.ready(rows) & !1
    }

    /// Converts the rows `from..to` of the smaller picture, both even: `bgrx` is the upper part of the larger one from which
    /// they are [`ready`](Self::ready), `nv12` all of the smaller one. Rows have no padding.
    ///
    /// # Errors
    /// When the buffers do not have that size, which is our bug.
    pub(super) fn convert(
        &mut self,
        bgrx: &[u8],
        (from, to): Rows,
        nv12: &mut [u8],
    ) -> Result<(), String> {
        let row = self.to.width as usize * PIXEL;
        for top in (from..to).step_by(STRIP as usize) {
            let bottom = (top + STRIP).min(to);
            for (number, y) in (top..bottom).enumerate() {
                self.average(bgrx, y)?;
                self.across.shorten(&self.mean, &mut self.strip[number * row..][..row]);
            }
            let made = (bottom - top) as usize * row;
            convert(&self.strip[..made], self.to, (top, bottom), nv12)?;
        }
        Ok(())
    }

    /// The mean of the rows that a row of the smaller picture is made of.
    fn average(&mut self, bgrx: &[u8], y: u32) -> Result<(), String> {
        let row = self.from.width as usize * PIXEL;
        let (first, weights) = self.down.of(y as usize);
        let rows = bgrx.get(first * row..(first + weights.len()) * row).ok_or("no such pixels")?;
        self.sums.fill(ONE / 2);
        for (pixels, &weight) in rows.chunks_exact(row).zip(weights) {
            for (sum, &channel) in self.sums.iter_mut().zip(pixels) {
                *sum += u16::from(channel) * weight;
            }
        }
        for (mean, &sum) in self.mean.iter_mut().zip(&self.sums) {
            *mean = mean_of(sum);
        }
        Ok(())
    }
}

fn mean_of(sum: u16) -> u8 {
    (sum / ONE) as u8
}

/// Which pixels of a longer line make each one of a shorter, and by how much.
struct Taps {
    /// How many do.
    each: usize,
    /// The first of them.
    first: Vec<u32>,
    weights: Vec<u16>,
}

impl Taps {
    fn new(from: u32, to: u32) -> Self {
        let step = f64::from(from) / f64::from(to);
        // None that lies farther off than a step has any weight.
        let each = ((2.0 * step).ceil() as u32).min(from);
        let mut taps = Self { each: each as usize, first: Vec::new(), weights: Vec::new() };
        for index in 0..to {
            let middle = (f64::from(index) + 0.5) * step - 0.5;
            let first = ((middle - step).floor() + 1.0).max(0.0) as u32;
            let first = first.min(from - each);
            let window = (first..first + each).map(|at| hamming((f64::from(at) - middle) / step));
            taps.first.push(first);
            taps.weights.extend(weights(&window.collect::<Vec<_>>()));
        }
        taps
    }

    /// The first of those that make one, and their weights.
    fn of(&self, index: usize) -> (usize, &[u16]) {
        (self.first[index] as usize, &self.weights[index * self.each..][..self.each])
    }

    /// Those, from the first to the one before the second, that are made of any of `start..end`.
    fn made_of(&self, start: u32, end: u32) -> Rows {
        let to = self.first.partition_point(|&first| first < end);
        (self.ready(start), to as u32)
    }

    /// How many, from the first, are made of those before `end` alone.
    fn ready(&self, end: u32) -> u32 {
        self.first.partition_point(|&first| first + self.each as u32 <= end) as u32
    }

    /// Makes a row of pixels shorter.
    fn shorten(&self, from: &[u8], to: &mut [u8]) {
        let (from, _) = from.as_chunks::<PIXEL>();
        let (to, _) = to.as_chunks_mut::<PIXEL>();
        let taps = self.first.iter().zip(self.weights.chunks_exact(self.each));
        for (pixel, (&first, weights)) in to.iter_mut().zip(taps) {
            let mut sums = [ONE / 2; PIXEL];
            for (channels, &weight) in from[first as usize..].iter().zip(weights) {
                for (sum, &channel) in sums.iter_mut().zip(channels) {
                    *sum += u16::from(channel) * weight;
                }
            }
            *pixel = sums.map(mean_of);
        }
    }
}

/// The window at a distance from its middle, of which it reaches one to either side.
fn hamming(at: f64) -> f64 {
    let angle = PI * at.abs();
    match at.abs() {
        at if at < f64::EPSILON => 1.0,
        at if at < 1.0 => angle.sin() / angle * (0.54 + 0.46 * angle.cos()),
        _ => 0.0,
    }
}

/// Such shares of [`ONE`]. What is rounded off one is added to the next.
fn weights(shares: &[f64]) -> impl Iterator<Item = u16> {
    let all: f64 = shares.iter().sum();
    let up_to = move |sum: f64| (sum / all * f64::from(ONE)).round() as u16;
    shares.iter().scan(0.0, move |sum, share| {
        let before = up_to(*sum);
        *sum += share;
        Some(up_to(*sum) - before)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::convert::nv12_bytes;
    use super::*;

    /// A picture of one colour.
    fn plain(size: Size, colour: [u8; 4]) -> Vec<u8> {
        colour.repeat(size.pixels() as usize)
    }

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    fn fill(pixels: &mut [u8], size: Size, area: Rect, colour: [u8; 4]) {
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                let at = (y * size.width + x) as usize * PIXEL;
                pixels[at..at + PIXEL].copy_from_slice(&colour);
            }
        }
    }

    fn scaled(pixels: &[u8], from: Size, to: Size) -> Vec<u8> {
        let mut nv12 = vec![0; nv12_bytes(to)];
        Scale::new(from, to).convert(pixels, (0, to.height), &mut nv12).unwrap();
        nv12
    }

    proptest! {
        #[test]
        fn a_plain_colour_stays_what_it_is(
            colour: [u8; 4], to_width in 1_u32..20, to_height in 1_u32..20, more in 0_u32..40,
        ) {
            let to = Size::new(to_width * 2, to_height * 2);
            let from = Size::new(to.width + more, to.height + 2 * (more % 7));
            let from = Size::new(from.width.next_multiple_of(2), from.height);
            let mut whole = vec![0; nv12_bytes(from)];
            convert(&plain(from, colour), from, (0, from.height), &mut whole).unwrap();
            let luma = whole[0];
            let chroma = &whole[from.pixels() as usize..][..2];
            let nv12 = scaled(&plain(from, colour), from, to);
            let (lumas, chromas) = nv12.split_at(to.pixels() as usize);
            prop_assert!(lumas.iter().all(|&each| each == luma));
            prop_assert!(chromas.chunks(2).all(|each| each == chroma));
        }

        #[test]
        fn what_changes_is_told_and_no_more_than_that_by_far(
            x in 0_u32..60, y in 0_u32..40, width in 1_u32..30, height in 1_u32..30,
            to in prop::sample::select(vec![(96, 54), (64, 36), (100, 70), (128, 36)]),
        ) {
            let (from, to) = (Size::new(128, 72), Size::new(to.0, to.1));
            let area = rect(x, y, width.min(128 - x), height.min(72 - y));
            let mut pixels = plain(from, [9, 9, 9, 0]);
            let before = scaled(&pixels, from, to);
            fill(&mut pixels, from, area, [255, 200, 99, 0]);
            let after = scaled(&pixels, from, to);
            let mut damage = Damage::none();
            damage.add(area);
            let told = Scale::new(from, to).damage(&damage);
            let Damage::Rects(told) = told else { unreachable!("{told:?}") };
            let told = told[0];
            prop_assert!(told.fits(to), "{:?}", told);
            for row in 0..to.height {
                for column in 0..to.width {
                    let at = (row * to.width + column) as usize;
                    let pair = (to.pixels() as u32 + row / 2 * to.width + column / 2 * 2) as usize;
                    let is_same = before[at] == after[at] && before[pair..pair + 2] == after[pair..pair + 2];
                    let within = (told.x..told.x + told.width).contains(&column)
                        && (told.y..told.y + told.height).contains(&row);
                    prop_assert!(is_same || within, "{},{} is not in {:?}", column, row, told);
                }
            }
            // A pixel of the smaller picture to either side, and the even edge.
            let most = |edge: u32, to: u32, from: u32| (edge * to).div_ceil(from) + 6;
            prop_assert!(told.width <= most(area.width, to.width, from.width), "{:?}", told);
            prop_assert!(told.height <= most(area.height, to.height, from.height), "{:?}", told);
        }

        #[test]
        fn rows_that_come_bit_by_bit_make_the_same_picture(steps in prop::collection::vec(1_u32..30, 1..9)) {
            let (from, to) = (Size::new(64, 128), Size::new(48, 96));
            let mut pixels = plain(from, [0; 4]);
            for (number, byte) in pixels.iter_mut().enumerate() {
                *byte = (number as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
            }
            let (mut scale, mut nv12) = (Scale::new(from, to), vec![0; nv12_bytes(to)]);
            let (mut come, mut done) = (0, 0);
            for step in steps.into_iter().chain([from.height]) {
                come = (come + step).min(from.height);
                let ready = scale.ready(come);
                prop_assert!(done <= ready && ready.is_multiple_of(2));
                let upper = &pixels[..(come * from.width) as usize * PIXEL];
                scale.convert(upper, (done, ready), &mut nv12).unwrap();
                done = ready;
            }
            prop_assert_eq!(done, to.height);
            prop_assert_eq!(nv12, scaled(&pixels, from, to));
        }
    }

    #[test]
    fn a_pixel_is_made_of_those_around_its_place() {
        let near = |taps: &Taps, index| {
            let (first, weights) = taps.of(index);
            (first, weights.to_vec())
        };
        let half = Taps::new(8, 4);
        assert_eq!(near(&half, 1), (1, vec![10, 118, 118, 10]));
        // At the edges what would lie beside the picture has no part.
        assert_eq!(near(&half, 0), (0, vec![123, 123, 10, 0]));
        assert_eq!(near(&half, 3), (4, vec![0, 10, 123, 123]));
        let same = Taps::new(6, 6);
        assert_eq!(near(&same, 3), (3, vec![256, 0]));
    }

    #[test]
    fn fine_stripes_are_as_grey_as_their_mean() {
        let (from, to) = (Size::new(64, 32), Size::new(32, 16));
        let mut pixels = plain(from, [0; 4]);
        (0..64).step_by(2).for_each(|x| fill(&mut pixels, from, rect(x, 0, 1, 32), [255; 4]));
        let nv12 = scaled(&pixels, from, to);
        // Half of 219, over 16.
        let middle = &nv12[8 * 32 + 4..][..24];
        assert!(middle.iter().all(|luma| luma.abs_diff(126) <= 1), "{middle:?}");
    }

    #[test]
    fn pictures_that_are_too_short_are_refused() {
        let (from, to) = (Size::new(16, 16), Size::new(8, 8));
        let pixels = plain(from, [1; 4]);
        let mut scale = Scale::new(from, to);
        assert!(scale.convert(&pixels[4..], (0, 8), &mut [0; 96]).is_err());
        assert!(scale.convert(&pixels, (0, 8), &mut [0; 95]).is_err());
        assert!(scale.convert(&pixels, (0, 8), &mut [0; 96]).is_ok());
    }
}
