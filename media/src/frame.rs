//! A frame: one owned handle on pixels, with everything that is known about them.
//!
//! Dropping a [`Frame`] gives its ring slot back to the source. Nobody downstream of the source names
//! a backend: whatever holds the pixels, [`FrameImage::map`] yields them on the CPU.

use std::sync::Arc;

use smallvec::SmallVec;
use thiserror::Error;

use crate::{
    Clock, ColorDescription, FrameId, InputSeq, MediaTime, Rect, SharedImage, Size, SpaceEpoch,
    StageTimes,
};

/// One picture on its way from a source to an encoder.
pub struct Frame {
    /// Counts up by one within the session.
    pub id: FrameId,
    /// The time that the picture shows; RTP timestamps are made from it.
    pub captured_at: MediaTime,
    /// The views within the picture: one for a screen, two for a headset, more for tiles.
    pub views: Views,
    /// What changed since the frame before it of the same source: beside that, all samples are the same,
    /// which encoders rely on.
    pub damage: Damage,
    /// How to read the colours.
    pub color: ColorDescription,
    /// Depth of the same views, where the source has it and was asked for it.
    pub depth: Option<DepthImage>,
    /// The newest input that the picture shows.
    pub last_input: Option<InputSeq>,
    /// Its pixels are not those that were drawn, of which there were more or less.
    pub scaled: bool,
    /// Marks so far.
    pub stages: StageTimes,
    /// The pixels.
    pub image: Box<dyn FrameImage>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("id", &self.id)
            .field("captured_at", &self.captured_at)
            .field("size", &self.image.size())
            .field("views", &self.views.len())
            .field("last_input", &self.last_input)
            .finish_non_exhaustive()
    }
}

/// The views of a frame; two fit without an allocation.
pub type Views = SmallVec<[View; 2]>;

/// One eye, one camera or one tile of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Where the view lies in the picture.
    pub region: Rect,
    /// Where the eye was when the view was drawn; none for a plain screen.
    pub pose: Option<Pose>,
    /// The view's field of view; none for a plain screen.
    pub fov: Option<Fov>,
    /// How resolution is spread over the view; none when it is uniform.
    pub foveation: Option<Arc<Foveation>>,
    /// The space that `pose` is given in.
    pub space: SpaceEpoch,
}

impl View {
    /// A plain screen of `size`.
    pub fn screen(size: Size) -> Self {
        Self {
            region: Rect::whole(size),
            pose: None,
            fov: None,
            foveation: None,
            space: SpaceEpoch(0),
        }
    }
}

/// Position and orientation of an eye in metres, right-handed, y up, looking along −z (WebXR §8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// x, y, z in metres.
    pub position: [f32; 3],
    /// Unit quaternion x, y, z, w.
    pub orientation: [f32; 4],
}

/// Tangents of the half angles of an asymmetric field of view, all positive for a usual eye.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fov {
    /// Tangent of the angle to the left edge.
    pub left: f32,
    /// Tangent of the angle to the right edge.
    pub right: f32,
    /// Tangent of the angle to the upper edge.
    pub up: f32,
    /// Tangent of the angle to the lower edge.
    pub down: f32,
}

/// A separable foveation map: piecewise linear from view space to picture space, per axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Foveation {
    /// Knots (view 0..=1, picture 0..=1) along x, ascending.
    pub x: Vec<(f32, f32)>,
    /// Knots along y, ascending.
    pub y: Vec<(f32, f32)>,
}

/// Depth that belongs to a frame: 32 bit floats, reversed (1 near, 0 at infinity), `size` row-major.
#[derive(Clone, Debug)]
pub struct DepthImage {
    /// Width and height of the depth picture, which may be smaller than the colour picture.
    pub size: Size,
    /// Distance of the near plane in metres.
    pub near: f32,
    /// Row-major depth values.
    pub values: Arc<[f32]>,
}

/// What changed since the frame before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Not known; take it as everything.
    Unknown,
    /// These rectangles, in pixels; none of them when nothing changed.
    Rects(SmallVec<[Rect; Damage::MAX_RECTS]>),
}

impl Damage {
    /// Rectangles that are kept apart, and fit without an allocation; one more merges them all.
    pub const MAX_RECTS: usize = 4;

    /// Nothing changed.
    pub fn none() -> Self {
        Self::Rects(SmallVec::new())
    }

    /// Adds a rectangle. The fifth is merged with those before it into the one that holds them all:
    /// nothing is lost and nothing grows.
    pub fn add(&mut self, rect: Rect) {
        let Self::Rects(rects) = self else { return };
        if rects.len() < Self::MAX_RECTS {
            rects.push(rect);
        } else {
            let whole = rects.drain(..).fold(rect, Rect::union);
            rects.push(whole);
        }
    }

    /// Adds what changed in another frame of the same size.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Unknown => *self = Self::Unknown,
            Self::Rects(rects) => rects.iter().for_each(|&rect| self.add(rect)),
        }
    }

    /// The same as a value without memory of its own; `None` where it is not known, or more than
    /// [`MAX_RECTS`](Self::MAX_RECTS).
    pub fn known(&self) -> Option<DamagedRects> {
        let Self::Rects(rects) = self else { return None };
        let mut list = [Rect { x: 0, y: 0, width: 0, height: 0 }; Self::MAX_RECTS];
        list.get_mut(..rects.len())?.copy_from_slice(rects);
        Some(DamagedRects { list, count: rects.len() as u8 })
    }
}

/// The rectangles of a [`Damage`] that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRects {
    /// Those beyond the count are empty.
    list: [Rect; Damage::MAX_RECTS],
    count: u8,
}

impl DamagedRects {
    /// In their order; none when nothing changed.
    pub fn as_slice(&self) -> &[Rect] {
        &self.list[..usize::from(self.count)]
    }

    /// Each with so many pixels more on all sides, of which the upper and the left edge of the picture cut
    /// off what lies beyond.
    #[must_use]
    pub fn widened(mut self, by: u32) -> Self {
        let widen = |start: u32, length: u32| {
            let from = start.saturating_sub(by);
            (from, start.saturating_add(length).saturating_add(by) - from)
        };
        for rect in &mut self.list[..usize::from(self.count)] {
            (rect.x, rect.width) = widen(rect.x, rect.width);
            (rect.y, rect.height) = widen(rect.y, rect.height);
        }
        self
    }
}

/// Layout of pixels in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Plane 0: 8 bit luma. Plane 1: interleaved 8 bit Cb, Cr at half size each way, chroma sited
    /// left of and between the luma rows (H.264 `chroma_sample_loc_type` 0).
    Nv12,
    /// As [`Nv12`](Self::Nv12), with 16 bits a sample, little endian: the value in the upper 10, zero
    /// below (V4L2's `V4L2_PIX_FMT_P010`).
    P010,
    /// Three planes of 8 bit Y, Cb and Cr, each of the full size.
    Yuv444,
    /// As [`Yuv444`](Self::Yuv444), with samples as in [`P010`](Self::P010) (NVENC's
    /// `NV_ENC_BUFFER_FORMAT_YUV444_10BIT`).
    Yuv444P16,
    /// One plane of 8 bit B, G, R, unused.
    Bgrx8,
    /// One plane of 8 bit R, G, B, A.
    Rgba8,
}

/// How much chroma there is in a picture of luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chroma {
    /// One pair for two by two pixels.
    C420,
    /// One pair for each pixel.
    C444,
}

/// Bits of a sample that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BitDepth {
    /// 8, in one byte.
    Eight,
    /// 10, in two bytes.
    Ten,
}

impl PixelFormat {
    /// How much chroma there is; `None` for RGB, which an encoder takes only converted.
    pub const fn chroma(self) -> Option<Chroma> {
        match self {
            Self::Nv12 | Self::P010 => Some(Chroma::C420),
            Self::Yuv444 | Self::Yuv444P16 => Some(Chroma::C444),
            Self::Bgrx8 | Self::Rgba8 => None,
        }
    }

    /// Bits of a sample.
    pub const fn depth(self) -> BitDepth {
        match self {
            Self::Nv12 | Self::Yuv444 | Self::Bgrx8 | Self::Rgba8 => BitDepth::Eight,
            Self::P010 | Self::Yuv444P16 => BitDepth::Ten,
        }
    }

    /// Bytes of a row, without padding, and rows of plane `number` (from 0) of a picture of `size`
    /// pixels; `None` beyond the last plane. The one place that knows the layouts.
    pub fn plane(self, number: usize, size: Size) -> Option<(usize, usize)> {
        let (width, height) = (size.width as usize, size.height as usize);
        let sample = match self.depth() {
            BitDepth::Eight => 1,
            BitDepth::Ten => 2,
        };
        match (self.chroma(), number) {
            (None, 0) => Some((width * 4, height)),
            (Some(_), 0) | (Some(Chroma::C444), 1 | 2) => Some((width * sample, height)),
            // Half as many pairs, of two samples.
            (Some(Chroma::C420), 1) => Some((width * sample, height / 2)),
            _ => None,
        }
    }

    /// [`plane`](Self::plane) for every plane, in their order.
    pub fn planes(self, size: Size) -> impl Iterator<Item = (usize, usize)> {
        (0..).map_while(move |number| self.plane(number, size))
    }
}

/// One plane of a picture on the CPU.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// At least `stride * (rows - 1) + bytes per row` bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// One plane of a picture on the CPU, for writing.
#[derive(Debug)]
pub struct PlaneMut<'a> {
    /// As in [`Plane::data`].
    pub data: &'a mut [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// A borrowed picture on the CPU.
#[derive(Clone, Debug)]
pub struct CpuImage<'a> {
    /// Layout.
    pub format: PixelFormat,
    /// Width and height in pixels; both even for 4:2:0.
    pub size: Size,
    /// Planes in the order of the format.
    pub planes: SmallVec<[Plane<'a>; 3]>,
}

/// Pixels, wherever they lie. Dropping it returns the slot that they lie in.
pub trait FrameImage: Send {
    /// Layout in memory once mapped.
    fn format(&self) -> PixelFormat;

    /// Width and height in pixels.
    fn size(&self) -> Size;

    /// Blocks until the pixels are complete, and sets the marks `Drawn`, unless its source has, and `Converted` to when they
    /// were. Called on the encoder's thread, so that the source's thread goes on with the next frame.
    ///
    /// # Errors
    /// [`ImageError::Lost`] when the device that draws the picture is gone.
    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError>;

    /// The pixels on the CPU. [`finish`](Self::finish) comes first.
    ///
    /// # Errors
    /// [`ImageError::Unfinished`] before `finish`; [`ImageError::Lost`] as there.
    fn map(&self) -> Result<CpuImage<'_>, ImageError>;

    /// The pixels as memory that an encoder on the same device reads in place; `None` where only the
    /// CPU can read them. Every image has the form that [`map`](Self::map) yields beside it.
    fn shared(&self) -> Option<SharedImage<'_>>;

    /// The pixels on the CPU for writing, to draw an overlay into them; `None` where they are
    /// read-only. Planes are in the order of the format.
    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>>;
}

/// Why pixels cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The device that held them is gone.
    #[error("the device that held the picture was lost: {0}")]
    Lost(String),
    /// `map` before `finish`.
    #[error("the picture was mapped before it was finished")]
    Unfinished,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_have_the_shapes_that_the_formats_say() {
        let shapes = |format: PixelFormat| format.planes(Size::new(6, 4)).collect::<Vec<_>>();
        assert_eq!(shapes(PixelFormat::Nv12), [(6, 4), (6, 2)]);
        assert_eq!(shapes(PixelFormat::P010), [(12, 4), (12, 2)]);
        assert_eq!(shapes(PixelFormat::Yuv444), [(6, 4); 3]);
        assert_eq!(shapes(PixelFormat::Yuv444P16), [(12, 4); 3]);
        assert_eq!(shapes(PixelFormat::Bgrx8), [(24, 4)]);
        assert_eq!(shapes(PixelFormat::Rgba8), [(24, 4)]);
    }

    #[test]
    fn damage_merges_without_loss_and_without_growth() {
        let rect = |x| Rect { x, y: 2, width: 4, height: 4 };
        let mut damage = Damage::none();
        let mut rest = Damage::none();
        (0..4).for_each(|n| damage.add(rect(n * 8)));
        [4, 5].into_iter().for_each(|n| rest.add(rect(n * 8)));
        damage.merge(&rest);
        let expected = [Rect { x: 0, y: 2, width: 36, height: 4 }, rect(40)];
        assert_eq!(damage, Damage::Rects(expected.into_iter().collect()));
        damage.merge(&Damage::Unknown);
        damage.merge(&rest);
        assert_eq!(damage, Damage::Unknown, "what is not known does not become known");
    }

    #[test]
    fn what_is_known_is_told_without_memory_and_nothing_else_is() {
        let rect = |x, width| Rect { x, y: 2, width, height: 4 };
        let of = |many: u32| Damage::Rects((0..many).map(|n| rect(n * 8, 4)).collect());
        for many in 0..=4 {
            let known = of(many).known().unwrap();
            assert_eq!(Damage::Rects(known.as_slice().iter().copied().collect()), of(many));
        }
        assert_eq!(of(5).known(), None, "more than there is room for");
        assert_eq!(Damage::Unknown.known(), None);
        let wider = of(2).known().unwrap().widened(3);
        let expected =
            [Rect { x: 0, y: 0, width: 7, height: 9 }, Rect { x: 5, y: 0, width: 10, height: 9 }];
        assert_eq!(wider.as_slice(), expected);
        let all = Damage::Rects(std::iter::once(rect(1, u32::MAX)).collect());
        assert_eq!(all.known().unwrap().widened(3).as_slice()[0].width, u32::MAX);
    }
}
