//! A moving picture that costs little more than a copy: what the synthetic sources show.
//!
//! A textured tile is computed once, in four versions shifted by quarter pixels, so that an encoder
//! meets the sub-pixel motion of real content. A frame is rows copied from it: the lower half pans
//! slower than the upper half (parallax), and sprites of other parts of the tile move over both. The
//! picture depends on nothing but the time asked for, and its motion never jumps: an encoder would
//! take a jump for a scene cut.

use std::sync::Arc;
use std::time::Duration;

use media::{
    Clock, ColorDescription, Damage, Frame, FrameRequest, FrameSource, Mark, MediaTime, Pacing,
    PixelFormat, SourceError, SourceEvent, SourceInfo, StageTimes, View, Views,
};
use media::{Rect, Size};
use smallvec::smallvec;

use crate::pool::SlotPool;

/// Edge of the tile in pixels; a power of two, so that wrapping is a mask.
const TILE: usize = 512;
/// Versions of the tile, each shifted by 1/PHASES of a pixel.
const PHASES: usize = 4;
/// Sprites that move over the picture.
const SPRITES: u32 = 5;
/// Edge of a sprite in pixels.
const SPRITE: u32 = 96;

/// Pulled NV12 pictures with motion, the same at the same time on every machine.
pub struct PulledPattern {
    size: Size,
    texture: Texture,
    pool: SlotPool,
    clock: Arc<dyn Clock>,
    shown: Option<MediaTime>,
    paused: bool,
}

impl PulledPattern {
    /// Pictures of `size`, rounded down to even, at least 2x2, `slots` of them at most in flight.
    pub fn new(size: Size, slots: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            size: even(size),
            texture: Texture::new(),
            pool: SlotPool::new(slots),
            clock,
            shown: None,
            paused: false,
        }
    }

    /// Stops or resumes the motion: a stopped picture is unchanged.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }
}

impl FrameSource for PulledPattern {
    fn info(&self) -> SourceInfo {
        let size = self.size;
        SourceInfo { pacing: Pacing::Pulled, size, views: 1, drawn: size, resizes: true }
    }

    fn resize(&mut self, size: Size) -> Size {
        if even(size) != self.size {
            // Nothing of this size was shown.
            (self.size, self.shown) = (even(size), None);
        }
        self.size
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let mut stages = StageTimes::captured(self.clock.now());
        // A paused picture stands at the time that was shown last.
        let at = match self.shown {
            Some(shown) if self.paused => shown,
            _ => request.at,
        };
        if self.shown == Some(at) && !request.refresh {
            return Ok(SourceEvent::Unchanged);
        }
        let mut image =
            self.pool.take(PixelFormat::Nv12, self.size).ok_or(SourceError::NoFreeSlot)?;
        stages.mark(Mark::DrawStarted, self.clock.now());
        let (luma, chroma) = image.nv12_mut();
        let mut canvas = Canvas { luma, chroma, stride: self.size.width as usize };
        self.texture.paint(&mut canvas, Rect::whole(self.size), at, 0.0);
        image.completed(self.clock.now());
        let damage =
            if self.shown == Some(at) { Damage::Rects(smallvec![]) } else { Damage::Unknown };
        self.shown = Some(at);
        Ok(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: request.at,
            views: Views::from_elem(View::screen(self.size), 1),
            damage,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            last_input: None,
            scaled: false,
            stages,
            image: Box::new(image),
        }))
    }
}

/// `size` rounded down to even, at least 2x2.
pub(crate) fn even(size: Size) -> Size {
    Size::new((size.width & !1).max(2), (size.height & !1).max(2))
}

/// An NV12 picture to draw on; both planes have the same stride.
pub(crate) struct Canvas<'a> {
    pub(crate) luma: &'a mut [u8],
    pub(crate) chroma: &'a mut [u8],
    pub(crate) stride: usize,
}

/// The tile in all its versions.
pub(crate) struct Texture {
    /// `PHASES` tiles of `TILE` x `TILE` luma.
    luma: Vec<Vec<u8>>,
    /// One tile of `TILE` x `TILE/2` interleaved chroma: finer shifts are below what 4:2:0 shows.
    chroma: Vec<u8>,
}

impl Texture {
    pub(crate) fn new() -> Self {
        let base: Vec<f32> =
            (0..TILE * TILE).map(|i| brightness((i % TILE) as u32, (i / TILE) as u32)).collect();
        let luma = (0..PHASES)
            .map(|phase| {
                let part = phase as f32 / PHASES as f32;
                (0..TILE * TILE)
                    .map(|i| {
                        let (x, row) = (i % TILE, i - i % TILE);
                        let next = base[row + (x + 1) % TILE];
                        (base[i] + (next - base[i]) * part) as u8
                    })
                    .collect()
            })
            .collect();
        let chroma = (0..TILE * TILE / 2)
            .map(|i| {
                let (x, y) = ((i % TILE) as u32 / 2, (i / TILE) as u32);
                let channel = (i % 2) as u32;
                (128.0 + 70.0 * (noise(2 * x, 2 * y, 64, 11 + channel) - 0.5)) as u8
            })
            .collect();
        Self { luma, chroma }
    }

    /// Paints the picture of time `at` into `region`, its content moved right by `shift` pixels.
    pub(crate) fn paint(&self, canvas: &mut Canvas<'_>, region: Rect, at: MediaTime, shift: f64) {
        // Two minutes are a whole number of periods of every motion below: nothing ever jumps, and
        // the arithmetic stays precise however long the process runs.
        let seconds = at.since(MediaTime::ZERO).as_nanos() % Duration::from_secs(120).as_nanos();
        let seconds = seconds as f64 / 1e9;
        let swing =
            |period: f64, phase: f64| (std::f64::consts::TAU * (seconds / period + phase)).sin();
        let half = (region.height / 2) & !1;
        let upper = Rect { height: half, ..region };
        let lower = Rect { y: region.y + half, height: region.height - half, ..region };
        let pan = 400.0 * swing(12.0, 0.0) - shift;
        let tilt = 60.0 * swing(8.0, 0.3);
        self.copy(canvas, upper, pan, tilt);
        self.copy(canvas, lower, 0.4 * pan + 97.0, tilt + f64::from(half));
        for sprite in 0..SPRITES {
            let phase = f64::from(sprite) / f64::from(SPRITES);
            let edge = SPRITE.min(region.width).min(region.height) & !1;
            let room = (f64::from(region.width - edge), f64::from(region.height - edge));
            let x = (0.5 + 0.5 * swing(6.0, phase)) * room.0 + shift;
            let y = (0.5 + 0.5 * swing(5.0, 2.0 * phase)) * room.1;
            let place = Rect {
                x: region.x + (x.clamp(0.0, room.0) as u32 & !1),
                y: region.y + (y as u32 & !1),
                width: edge,
                height: edge,
            };
            // Ten tiles in two minutes.
            let scroll = TILE as f64 * seconds / 12.0;
            self.copy(canvas, place, 131.0 * f64::from(sprite) + scroll, 61.0 * phase);
        }
    }

    /// Copies the part of the endless tiling that begins at (`x`, `y`) into `region`.
    fn copy(&self, canvas: &mut Canvas<'_>, region: Rect, x: f64, y: f64) {
        let quarter = (x * PHASES as f64).round() as i64;
        let tile = &self.luma[quarter.rem_euclid(PHASES as i64) as usize];
        let left = quarter.div_euclid(PHASES as i64).rem_euclid(TILE as i64) as usize;
        let top = (y.round() as i64).rem_euclid(TILE as i64) as usize;
        let (width, at_x) = (region.width as usize, region.x as usize);
        for row in 0..region.height as usize {
            let from = &tile[(top + row) % TILE * TILE..][..TILE];
            let to = (region.y as usize + row) * canvas.stride + at_x;
            copy_wrapped(&mut canvas.luma[to..to + width], from, left);
        }
        for row in 0..region.height as usize / 2 {
            let from = &self.chroma[(top / 2 + row) % (TILE / 2) * TILE..][..TILE];
            let to = (region.y as usize / 2 + row) * canvas.stride + at_x;
            copy_wrapped(&mut canvas.chroma[to..to + width], from, left & !1);
        }
    }
}

/// Fills `to` from the endless repetition of `from`, starting at `left`.
fn copy_wrapped(mut to: &mut [u8], from: &[u8], left: usize) {
    let mut start = left % from.len();
    while !to.is_empty() {
        let length = to.len().min(from.len() - start);
        let (head, tail) = to.split_at_mut(length);
        head.copy_from_slice(&from[start..start + length]);
        to = tail;
        start = 0;
    }
}

/// Luma of the tile in 16..=235: four octaves of noise and a grid of lines, periodic.
fn brightness(x: u32, y: u32) -> f32 {
    let cloud = 0.5 * noise(x, y, 64, 1)
        + 0.25 * noise(x, y, 16, 2)
        + 0.15 * noise(x, y, 4, 3)
        + 0.10 * noise(x, y, 2, 4);
    let line = if x % 64 < 2 || y % 64 < 2 { 0.35 } else { 0.0 };
    16.0 + 219.0 * (cloud + line).min(1.0)
}

/// Value noise in 0..=1 on a lattice of `cell` pixels that repeats with the tile.
fn noise(x: u32, y: u32, cell: u32, salt: u32) -> f32 {
    let cells = TILE as u32 / cell;
    let (cx, cy) = (x / cell, y / cell);
    let (fx, fy) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
    let corner = |dx, dy| lattice((cx + dx) % cells, (cy + dy) % cells, salt);
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * fx;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * fx;
    upper + (lower - upper) * fy
}

/// A fixed random number in 0..=1 for a lattice point.
fn lattice(x: u32, y: u32, salt: u32) -> f32 {
    let mut h =
        x.wrapping_mul(0x85eb_ca6b) ^ y.wrapping_mul(0xc2b2_ae35) ^ salt.wrapping_mul(0x27d4_eb2f);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    ((h ^ (h >> 15)) >> 8) as f32 / ((1 << 24) - 1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;
    use media::FrameId;

    const SIZE: Size = Size::new(320, 180);

    fn picture(at: MediaTime) -> Vec<u8> {
        let mut source = PulledPattern::new(SIZE, 1, Arc::new(FakeClock::default()));
        let request = FrameRequest {
            id: FrameId(1),
            at,
            within: Duration::ZERO,
            views: &[],
            refresh: true,
            share: false,
            kind: media::PictureKind::NV12,
        };
        let Ok(SourceEvent::Frame(mut frame)) = source.next(&request) else { panic!("no frame") };
        frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
        frame.image.map().unwrap().planes.iter().flat_map(|plane| plane.data.to_vec()).collect()
    }

    fn difference(a: &[u8], b: &[u8]) -> f64 {
        let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.len() as f64
    }

    #[test]
    fn the_picture_depends_on_the_time_alone() {
        assert_eq!(picture(MediaTime::from_millis(1_234)), picture(MediaTime::from_millis(1_234)));
    }

    #[test]
    fn every_step_moves_and_none_jumps() {
        // Across the wrap of the motion at 120 s.
        let frames: Vec<_> =
            (0..60).map(|i| picture(MediaTime::from_millis(119_500 + i * 1_000 / 60))).collect();
        for pair in frames.windows(2) {
            let step = difference(&pair[0], &pair[1]);
            assert!((0.2..16.0).contains(&step), "mean change of a step: {step}");
        }
    }

    #[test]
    fn the_texture_fills_the_range_and_has_colour() {
        let pixels = picture(MediaTime::ZERO);
        let (luma, chroma) = pixels.split_at(320 * 180);
        let (low, high) = (luma.iter().min().unwrap(), luma.iter().max().unwrap());
        assert!(*low >= 16 && *high <= 235 && high - low > 120, "luma {low}..={high}");
        let (low, high) = (chroma.iter().min().unwrap(), chroma.iter().max().unwrap());
        assert!(high - low > 30, "chroma {low}..={high}");
    }
}
