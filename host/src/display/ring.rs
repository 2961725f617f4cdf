//! A ring of NV12 pictures, each of which knows what it lacks since it was filled last.
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

/// One that is filled, one that waits, one that is encoded.
const SLOTS: usize = 3;

pub(super) struct Ring {
    free: Arc<Mutex<[Option<Buffer>; SLOTS]>>,
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
    pub(super) fn new() -> Self {
        let free = [(); SLOTS].map(|()| Some(Buffer::default()));
        Self { free: Arc::new(Mutex::new(free)), lacks: [(); SLOTS].map(|()| Damage::none()) }
    }

    /// Says that this changed: every picture lacks it.
    pub(super) fn changed(&mut self, damage: &Damage) {
        self.lacks.iter_mut().for_each(|lacks| lacks.merge(damage));
    }

    /// Pictures have another size from now on: what those of before took is for others.
    pub(super) fn resized(&mut self) {
        lock(&self.free).iter_mut().flatten().for_each(|buffer| *buffer = Buffer::default());
    }

    /// A free picture of `size`, the one that lacks least; `None` when all are out.
    pub(super) fn take(&mut self, size: Size) -> Option<Captured> {
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
        Some(Captured {
            free,
            index,
            buffer,
            size,
            filled: 0,
            drawn_at: complete_at,
            complete_at,
            done: false,
        })
    }

    /// Makes `picture` show the rows of `bgrx`, the upper part of a picture of its size, or all of it. Of a picture that
    /// is filled bit by bit each call is told more; nothing that it lacks may change meanwhile but below those rows.
    ///
    /// # Errors
    /// When `bgrx` is longer than the picture, which is our bug.
    pub(super) fn fill(&mut self, picture: &mut Captured, bgrx: &[u8]) -> Result<(), String> {
        let below = (bgrx.len() / (picture.size.width as usize * PIXEL)) as u32;
        let lacks = &mut self.lacks[picture.index];
        for (from, to) in rows(lacks, picture.size) {
            let (from, to) = (from.max(picture.filled), to.min(below));
            if from < to {
                convert(bgrx, picture.size, (from, to), &mut picture.buffer.pixels)?;
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
    drawn_at: MediaTime,
    complete_at: MediaTime,
    done: bool,
}

impl Captured {
    /// Says when the display's pixels were there, and when they were converted.
    pub(super) fn completed(&mut self, drawn_at: MediaTime, complete_at: MediaTime) {
        (self.drawn_at, self.complete_at) = (drawn_at, complete_at);
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
        stages.mark(Mark::Drawn, self.drawn_at);
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
