//! A ring of NV12 pictures, each of which knows what it lacks since it was filled last. They are as large as what they are filled
//! from, or smaller.
//!
//! The bound is the drop policy: with every picture out, [`Ring::take`] yields none and the source answers
//! `NoFreeSlot`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::{
    Clock, CpuImage, Damage, FrameImage, ImageError, Mark, MediaTime, PixelFormat, Plane, PlaneMut,
    SharedImage, Size, StageTimes,
};
use smallvec::SmallVec;

use super::convert::{PIXEL, convert, nv12_bytes, rows};
use super::scale::Scale;

/// One that is filled, one that waits, one that is encoded.
const SLOTS: usize = 3;

pub(super) struct Ring {
    free: Arc<Mutex<[Option<Buffer>; SLOTS]>>,
    /// The size of what pictures are filled from.
    whole: Size,
    /// Makes them smaller than that.
    scale: Option<Scale>,
    /// What changed since each was filled, also of those that are out.
    lacks: [Damage; SLOTS],
}

#[derive(Default)]
struct Buffer {
    pixels: Vec<u8>,
    size: Option<Size>,
    /// Somebody drew into it, so that nothing of it is known.
    drawn_into: bool,
}

impl Ring {
    /// Of pictures as large as what they are filled from, which has this size.
    pub(super) fn new(whole: Size) -> Self {
        let free = [(); SLOTS].map(|()| Some(Buffer::default()));
        let lacks = [(); SLOTS].map(|()| Damage::none());
        Self { free: Arc::new(Mutex::new(free)), whole, scale: None, lacks }
    }

    /// The size of its pictures.
    pub(super) fn size(&self) -> Size {
        self.scale.as_ref().map_or(self.whole, Scale::size)
    }

    /// That size where it is the one of what they are filled from.
    pub(super) fn unscaled(&self) -> Option<Size> {
        self.scale.is_none().then_some(self.whole)
    }

    /// What changes in its pictures where this does in what they are filled from.
    pub(super) fn damage(&self, damage: &Damage) -> Damage {
        self.scale.as_ref().map_or_else(|| damage.clone(), |scale| scale.damage(damage))
    }

    /// Says that this changed in what they are filled from: every picture lacks it.
    pub(super) fn changed(&mut self, damage: &Damage) {
        let damage = self.damage(damage);
        self.lacks.iter_mut().for_each(|lacks| lacks.merge(&damage));
    }

    /// What they are filled from has another size from now on, and so have they.
    pub(super) fn resized(&mut self, whole: Size) {
        (self.whole, self.scale) = (whole, None);
        self.forget();
    }

    /// Pictures have this size from now on, even both ways, or that of what they are filled from where that is smaller. Whether
    /// it is another one.
    pub(super) fn scale_to(&mut self, size: Size) -> bool {
        let edge = |wish: u32, whole: u32| wish.clamp(2, whole) & !1;
        let Size { width, height } = self.whole;
        let size = Size::new(edge(size.width, width), edge(size.height, height));
        if size == self.size() {
            return false;
        }
        self.scale = (size != self.whole).then(|| Scale::new(self.whole, size));
        self.forget();
        true
    }

    /// Nothing is known of any picture, and what those of before took is for others.
    fn forget(&mut self) {
        self.lacks = [(); SLOTS].map(|()| Damage::Unknown);
        lock(&self.free).iter_mut().flatten().for_each(|buffer| *buffer = Buffer::default());
    }

    /// A free picture, the one that lacks least; `None` when all are out.
    pub(super) fn take(&mut self) -> Option<Captured> {
        let size = self.size();
        let mut free = lock(&self.free);
        let missing = |index: usize, buffer: &Buffer| {
            let known = buffer.size == Some(size) && !buffer.drawn_into;
            if known { touched(&self.lacks[index], size) } else { size.height }
        };
        let candidates = free.iter().enumerate();
        let lacking = candidates.filter_map(|(index, slot)| Some((index, slot.as_ref()?)));
        let (index, _) = lacking.min_by_key(|&(index, buffer)| missing(index, buffer))?;
        let mut buffer = free[index].take()?;
        drop(free);
        if buffer.size != Some(size) || buffer.drawn_into {
            if buffer.size != Some(size) {
                buffer.pixels = vec![0; nv12_bytes(size)];
            }
            (buffer.size, buffer.drawn_into) = (Some(size), false);
            self.lacks[index] = Damage::Unknown;
        }
        let (free, complete_at) = (self.free.clone(), MediaTime::ZERO);
        Some(Captured { free, index, buffer, size, filled: 0, complete_at, done: false })
    }

    /// Makes `picture` show the rows of `bgrx`, the upper part of what it is filled from, or all of it. Of a picture that
    /// is filled bit by bit each call is told more; nothing that it lacks may change meanwhile but below those rows.
    ///
    /// # Errors
    /// When `bgrx` is longer than that, which is our bug.
    pub(super) fn fill(&mut self, picture: &mut Captured, bgrx: &[u8]) -> Result<(), String> {
        let row = self.whole.width as usize * PIXEL;
        let above = (bgrx.len() / row) as u32;
        let below = self.scale.as_ref().map_or(above, |scale| scale.ready(above));
        let lacks = &mut self.lacks[picture.index];
        for (from, to) in rows(lacks, picture.size) {
            let (from, to) = (from.max(picture.filled), to.min(below));
            if from >= to {
                continue;
            }
            let nv12 = &mut picture.buffer.pixels;
            match &mut self.scale {
                Some(scale) => scale.convert(bgrx, (from, to), nv12)?,
                None => convert(&bgrx[from as usize * row..], picture.size, (from, to), nv12)?,
            }
        }
        picture.filled = below;
        if below == picture.size.height {
            *lacks = Damage::none();
        }
        Ok(())
    }
}

/// Rows that this damage touches.
fn touched(damage: &Damage, size: Size) -> u32 {
    rows(damage, size).iter().map(|(from, to)| to - from).sum()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one assignment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A picture of the ring. Dropping it returns its slot.
pub(super) struct Captured {
    free: Arc<Mutex<[Option<Buffer>; SLOTS]>>,
    index: usize,
    buffer: Buffer,
    size: Size,
    /// Rows from the top that show what they should.
    filled: u32,
    complete_at: MediaTime,
    done: bool,
}

impl Captured {
    /// Says when the display's pixels were converted.
    pub(super) fn completed(&mut self, at: MediaTime) {
        self.complete_at = at;
    }

    fn luma(&self) -> usize {
        self.size.width as usize * self.size.height as usize
    }
}

impl FrameImage for Captured {
    fn format(&self) -> PixelFormat {
        PixelFormat::Nv12
    }

    fn size(&self) -> Size {
        self.size
    }

    fn finish(&mut self, _: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        stages.mark(Mark::Converted, self.complete_at);
        self.done = true;
        Ok(())
    }

    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        if !self.done {
            return Err(ImageError::Unfinished);
        }
        let (luma, chroma) = self.buffer.pixels.split_at(self.luma());
        let planes = [luma, chroma].map(|data| Plane { data, stride: self.size.width as usize });
        Ok(CpuImage {
            format: self.format(),
            size: self.size,
            planes: planes.into_iter().collect(),
        })
    }

    fn shared(&self) -> Option<SharedImage<'_>> {
        None
    }

    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        self.buffer.drawn_into = true;
        let (at, stride) = (self.luma(), self.size.width as usize);
        let (luma, chroma) = self.buffer.pixels.split_at_mut(at);
        Some([luma, chroma].into_iter().map(|data| PlaneMut { data, stride }).collect())
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        lock(&self.free)[self.index] = Some(std::mem::take(&mut self.buffer));
    }
}
