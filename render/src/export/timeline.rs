//! Timeline semaphores: one for a ring, which counts its pictures. A picture that is dropped on its way
//! leaves nothing to be put right.
//!
//! Used wrongly (a value waited for that no submission signals) the reader waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ash::khr::external_semaphore_fd;
use ash::vk;
use media::{DeviceId, SemaphoreKind, SharedSemaphore};
use wgpu::hal::api::Vulkan;

use super::semaphore::{OPAQUE_FD, Signalled, Staged, shared};
use super::{NOT_VULKAN, refused};

/// For work that is under way on a device that was given up; work that was waited for is long complete.
const PATIENCE_NS: u64 = 1_000_000_000;

/// A semaphore that counts up, by one for each submission that signals it.
pub(crate) struct Timeline {
    // Keeps the device, which the semaphore belongs to.
    device: wgpu::Device,
    semaphore: vk::Semaphore,
    /// What the newest of these submissions signals.
    newest: AtomicU64,
}

impl Timeline {
    /// Makes one on a device that has them, for use elsewhere where `export` says so.
    fn new(
        device: &wgpu::Device,
        export: Option<&mut vk::ExportSemaphoreCreateInfo<'_>>,
    ) -> Result<Self, String> {
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { device.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
        let mut kind =
            vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let mut description = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        if let Some(export) = export {
            description = description.push_next(export);
        }
        // SAFETY: the description is complete, and of a kind that the device is said to have.
        let semaphore = unsafe { hal.raw_device().create_semaphore(&description, None) }
            .map_err(|error| refused("vkCreateSemaphore", error))?;
        Ok(Self { device: device.clone(), semaphore, newest: AtomicU64::new(0) })
    }
}

impl Signalled for Timeline {
    /// The value that it reaches then.
    type Signal = u64;

    fn signalled_by<T>(&self, queue: &wgpu::Queue, submit: impl FnOnce() -> T) -> (T, Option<u64>) {
        // SAFETY: nothing of the queue is destroyed through the guard.
        let Some(hal) = (unsafe { queue.as_hal::<Vulkan>() }) else { return (submit(), None) };
        let value = self.newest.load(Ordering::Relaxed) + 1;
        let staged = Staged::signal(&hal, self.semaphore, Some(value));
        let made = submit();
        if staged.take_back() {
            return (made, None);
        }
        // Submissions come one at a time, so nobody counted meanwhile.
        self.newest.store(value, Ordering::Relaxed);
        (made, Some(value))
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        // SAFETY: nothing of the device is destroyed through the guard.
        let Some(hal) = (unsafe { self.device.as_hal::<Vulkan>() }) else { return };
        let (semaphores, values) = ([self.semaphore], [self.newest.load(Ordering::Relaxed)]);
        let all = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore is a live timeline of this device, which has Vulkan 1.2.
        let waited = unsafe { hal.raw_device().wait_semaphores(&all, PATIENCE_NS) };
        // One that work may still signal is left to go with the device. On a lost device none does.
        if waited != Err(vk::Result::TIMEOUT) {
            // SAFETY: all work that refers to it ended, and nobody else has it; imports keep what is behind it.
            unsafe { hal.raw_device().destroy_semaphore(self.semaphore, None) };
        }
    }
}

/// A timeline that others on the device can wait for.
pub(crate) struct SharedTimeline {
    timeline: Timeline,
    semaphore: Arc<SharedSemaphore>,
}

impl SharedTimeline {
    /// Makes one on a device that [`open`](super::open) opened.
    ///
    /// # Errors
    /// The call that failed, and how. Nothing is left behind then.
    pub(super) fn new(
        device: &wgpu::Device,
        functions: &external_semaphore_fd::Device,
        id: DeviceId,
    ) -> Result<Self, String> {
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(OPAQUE_FD);
        let timeline = Timeline::new(device, Some(&mut export))?;
        let semaphore = shared(functions, timeline.semaphore, id, SemaphoreKind::Timeline)?;
        Ok(Self { timeline, semaphore })
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// What others know it by.
    pub(crate) fn semaphore(&self) -> &Arc<SharedSemaphore> {
        &self.semaphore
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::Trial;
    use super::*;

    /// The value that the device has reached.
    fn reached(timeline: &Timeline) -> u64 {
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { timeline.device.as_hal::<Vulkan>() }.expect("Vulkan");
        // SAFETY: the semaphore is a live timeline of this device.
        unsafe { hal.raw_device().get_semaphore_counter_value(timeline.semaphore) }
            .expect("it counts")
    }

    #[test]
    fn the_submission_that_it_is_given_signals_it_and_no_other() {
        let trial = Trial::new();
        let gpu = &trial.gpu;
        let timeline = Timeline::new(gpu.device(), None).expect("the driver has them");
        let other = Timeline::new(gpu.device(), None).expect("the driver has them");
        for expected in 1..=3 {
            assert_eq!(trial.submit(&timeline), Some(expected));
            assert_eq!((reached(&timeline), reached(&other)), (expected, 0));
        }
        // What was refused signals nothing, and what comes after it does not do so in its place.
        trial.refuse(&timeline);
        gpu.wait(gpu.queue().submit([trial.commands()])).expect("the device works");
        assert_eq!(reached(&timeline), 3);
        assert_eq!((trial.submit(&other), reached(&timeline), reached(&other)), (Some(1), 3, 1));
    }
}
