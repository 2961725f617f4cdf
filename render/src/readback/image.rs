//! A picture in a slot.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use media::{
    Clock, CpuImage, FrameImage, ImageError, Mark, PixelFormat, PlaneMut, SharedImage,
    SharedSignal, Size, StageTimes,
};
use smallvec::SmallVec;

use super::slot::{Mapping, Signal};
use crate::device::Completion;

pub(super) struct RingImage {
    // Order matters: the views go before the buffer is unmapped.
    mapped: Option<wgpu::BufferView>,
    /// Of a shared picture that the CPU wanted after all.
    copy: OnceCell<wgpu::BufferView>,
    mapping: Arc<Mapping>,
    done: Arc<Completion>,
    /// What the picture's submission signals, where others on the device can wait for it.
    signal: Option<Signal>,
}

impl RingImage {
    pub(super) fn new(
        mapping: Arc<Mapping>,
        done: Arc<Completion>,
        signal: Option<Signal>,
    ) -> Self {
        Self { mapped: None, copy: OnceCell::new(), mapping, done, signal }
    }

    /// How long the colour pass ran, where the device measured it.
    fn pass_time(&self, mapped: &[u8]) -> Option<Duration> {
        let slot = self.mapping.slot();
        slot.stamps.as_ref()?;
        let at = usize::try_from(slot.stamps_at).ok()?;
        let stamp = |at: usize| Some(u64::from_le_bytes(*mapped.get(at..)?.first_chunk()?));
        // Zero or reversed stamps (a driver that does not write them) say nothing.
        let ticks = stamp(at + 8)?.checked_sub(stamp(at)?).filter(|&ticks| ticks > 0)?;
        Some(Duration::from_nanos((ticks as f64 * slot.common.stamp_period) as u64))
    }

    fn lost(&self, reason: String) -> ImageError {
        ImageError::Lost(self.mapping.slot().common.gpu.lost().unwrap_or(reason))
    }

    /// The copy of a shared picture, made when it is first asked for.
    fn copy(&self) -> Result<&wgpu::BufferView, ImageError> {
        if let Some(copy) = self.copy.get() {
            return Ok(copy);
        }
        let copy = self.mapping.slot().copy_for_cpu().map_err(|reason| self.lost(reason))?;
        Ok(self.copy.get_or_init(|| copy))
    }
}

impl FrameImage for RingImage {
    fn format(&self) -> PixelFormat {
        self.mapping.slot().common.layout.format()
    }

    fn size(&self) -> Size {
        self.mapping.slot().common.layout.size()
    }

    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        if self.mapped.is_some() {
            return Ok(());
        }
        let done = self.done.wait().map_err(|reason| self.lost(reason))?;
        let mapped = self
            .mapping
            .slot()
            .readable
            .get_mapped_range(..)
            .map_err(|error| self.lost(error.to_string()))?;
        // The completion's moment, on the media clock: it may be long past.
        let converted = clock.now() - done.elapsed();
        if let Some(pass) = self.pass_time(&mapped) {
            stages.mark(Mark::Drawn, converted - pass);
        }
        stages.mark(Mark::Converted, converted);
        self.mapped = Some(mapped);
        Ok(())
    }

    /// Of a shared picture a copy is made, once: the way of a picture whose import failed.
    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        let mapped = self.mapped.as_ref().ok_or(ImageError::Unfinished)?;
        let slot = self.mapping.slot();
        let pixels = if slot.exported.is_some() { self.copy()? } else { mapped };
        let layout = &slot.common.layout;
        Ok(CpuImage { format: layout.format(), size: layout.size(), planes: layout.planes(pixels) })
    }

    /// `None` where the slot is read back to the CPU. Where the device exports no semaphores nothing is
    /// signalled on it: [`finish`](FrameImage::finish) comes before the picture is read.
    fn shared(&self) -> Option<SharedImage<'_>> {
        let slot = self.mapping.slot();
        let exported = slot.exported.as_ref()?;
        Some(SharedImage {
            memory: &exported.memory,
            format: slot.common.layout.format(),
            size: slot.common.layout.size(),
            planes: slot.common.layout.shared_planes(),
            ready: self
                .signal
                .as_ref()
                .map(|signal| SharedSignal { semaphore: &signal.semaphore, value: signal.value }),
        })
    }

    /// Always `None`: a buffer mapped for reading stays as it is.
    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        None
    }
}
