//! A bounded ring of picture buffers on the CPU, each handed out as a [`FrameImage`].
//!
//! The bound is the drop policy: with every buffer out, [`SlotPool::take`] yields none and the source
//! answers `NoFreeSlot`. Buffers are allocated once and grow only when the picture does.

use std::sync::{Arc, Mutex, PoisonError};

use media::{
    Clock, CpuImage, FrameImage, ImageError, Mark, MediaTime, PixelFormat, Plane, PlaneMut,
    SharedImage, Size, StageTimes,
};
use smallvec::SmallVec;

/// The ring. Clones share the buffers.
#[derive(Clone, Debug)]
pub struct SlotPool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    slots: usize,
}

impl SlotPool {
    /// A ring of `slots` buffers, at least one.
    pub fn new(slots: usize) -> Self {
        let slots = slots.max(1);
        Self { free: Arc::new(Mutex::new(vec![Vec::new(); slots])), slots }
    }

    /// Buffers in all.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Buffers that nobody holds.
    pub fn free(&self) -> usize {
        self.lock().len()
    }

    /// Takes a buffer with room for a picture; its bytes are those of an earlier picture. `None`
    /// when every buffer is out.
    pub fn take(&self, format: PixelFormat, size: Size) -> Option<PooledImage> {
        let mut pixels = self.lock().pop()?;
        pixels.resize(bytes(format, size), 0);
        Some(PooledImage {
            pool: self.clone(),
            pixels,
            format,
            size,
            complete_at: MediaTime::ZERO,
            finished: false,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        // A panic elsewhere cannot leave a list of buffers half written.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a picture without padding.
fn bytes(format: PixelFormat, size: Size) -> usize {
    format.planes(size).map(|(row, rows)| row * rows).sum()
}

/// A picture in a buffer of the ring, rows without padding. Dropping it returns the buffer.
#[derive(Debug)]
pub struct PooledImage {
    pool: SlotPool,
    pixels: Vec<u8>,
    format: PixelFormat,
    size: Size,
    complete_at: MediaTime,
    finished: bool,
}

impl PooledImage {
    /// All planes in one slice, in the order of the format.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Luma and chroma of an NV12 picture; of other formats the first plane and the rest.
    pub fn nv12_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let first = self.format.plane(0, self.size).map_or(0, |(row, rows)| row * rows);
        self.pixels.split_at_mut(first)
    }

    /// Says when the last pixel was written; `finish` passes it on.
    pub fn completed(&mut self, at: MediaTime) {
        self.complete_at = at;
    }
}

impl FrameImage for PooledImage {
    fn format(&self) -> PixelFormat {
        self.format
    }

    fn size(&self) -> Size {
        self.size
    }

    fn finish(&mut self, _: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        // The CPU wrote the pixels in their final format: both marks fall together.
        stages.mark(Mark::Drawn, self.complete_at);
        stages.mark(Mark::Converted, self.complete_at);
        self.finished = true;
        Ok(())
    }

    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        if !self.finished {
            return Err(ImageError::Unfinished);
        }
        let mut rest = self.pixels.as_slice();
        let planes = self.format.planes(self.size).map(|(stride, rows)| {
            let (data, behind) = rest.split_at(stride * rows);
            rest = behind;
            Plane { data, stride }
        });
        Ok(CpuImage { format: self.format, size: self.size, planes: planes.collect() })
    }

    fn shared(&self) -> Option<SharedImage<'_>> {
        None
    }

    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        let mut rest = self.pixels.as_mut_slice();
        let planes = self.format.planes(self.size).map(|(stride, rows)| {
            let (data, behind) = std::mem::take(&mut rest).split_at_mut(stride * rows);
            rest = behind;
            PlaneMut { data, stride }
        });
        Some(planes.collect())
    }
}

impl Drop for PooledImage {
    fn drop(&mut self) {
        self.pool.lock().push(std::mem::take(&mut self.pixels));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;

    #[test]
    fn a_dropped_picture_returns_its_buffer() {
        let pool = SlotPool::new(2);
        let size = Size::new(8, 4);
        let first = pool.take(PixelFormat::Nv12, size);
        let second = pool.take(PixelFormat::Bgrx8, size);
        assert!(first.is_some() && second.is_some());
        assert!(pool.take(PixelFormat::Nv12, size).is_none());
        drop(second);
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn planes_have_the_shape_of_the_format() {
        let pool = SlotPool::new(1);
        let mut image = pool.take(PixelFormat::Nv12, Size::new(8, 4)).unwrap();
        assert!(matches!(image.map(), Err(ImageError::Unfinished)));
        image.completed(MediaTime::from_millis(3));
        let mut stages = StageTimes::default();
        image.finish(&FakeClock::default(), &mut stages).unwrap();
        assert_eq!(stages.get(Mark::Converted), Some(MediaTime::from_millis(3)));
        let mapped = image.map().unwrap();
        assert_eq!(mapped.planes.len(), 2);
        assert_eq!((mapped.planes[0].data.len(), mapped.planes[1].data.len()), (32, 16));
        drop(mapped);
        assert_eq!(image.map_mut().map(|planes| planes.len()), Some(2));
        drop(image);
        let mut image = pool.take(PixelFormat::Yuv444P16, Size::new(8, 4)).unwrap();
        image.finish(&FakeClock::default(), &mut stages).unwrap();
        let mapped = image.map().unwrap();
        let shapes = mapped.planes.iter().map(|plane| (plane.data.len(), plane.stride));
        assert_eq!(shapes.collect::<Vec<_>>(), [(64, 16); 3]);
        drop(mapped);
        assert_eq!(image.map_mut().map(|planes| planes.len()), Some(3));
    }
}
