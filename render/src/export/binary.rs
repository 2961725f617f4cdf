//! Binary semaphores, for devices that export no timelines: one for a slot, since a semaphore can be signalled
//! again only when it was waited for.
//!
//! A picture that is dropped on its way is waited for by nobody, so the next submission of its slot does that
//! itself before it signals. One whose reader failed may be waited for still: its semaphore is never signalled
//! again, and the slot gets another. Used wrongly (a reader that waits without taking its
//! [turn](media::Turns)) the device hangs.

use std::sync::Arc;

use ash::khr::external_semaphore_fd;
use ash::vk;
use media::{DeviceId, SemaphoreKind, SharedSemaphore, Turn, Turns};
use wgpu::hal::api::Vulkan;

use super::semaphore::{OPAQUE_FD, Signalled, Staged, shared};
use super::{NOT_VULKAN, refused};

/// A binary semaphore that others on the device can wait for.
pub(crate) struct SharedBinary {
    // Keeps the device, which the semaphore belongs to.
    device: wgpu::Device,
    /// None once it is left to go with the device.
    semaphore: Option<vk::Semaphore>,
    shared: Arc<SharedSemaphore>,
}

impl SharedBinary {
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
        let kind = || SemaphoreKind::Binary(Turns::default());
        Self::made(device, Some(&mut export), |raw| shared(functions, raw, id, kind()))
    }

    fn made(
        device: &wgpu::Device,
        export: Option<&mut vk::ExportSemaphoreCreateInfo<'_>>,
        share: impl FnOnce(vk::Semaphore) -> Result<Arc<SharedSemaphore>, String>,
    ) -> Result<Self, String> {
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { device.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
        let mut description = vk::SemaphoreCreateInfo::default();
        if let Some(export) = export {
            description = description.push_next(export);
        }
        // SAFETY: the description is complete, and of a kind that every device has.
        let semaphore = unsafe { hal.raw_device().create_semaphore(&description, None) }
            .map_err(|error| refused("vkCreateSemaphore", error))?;
        match share(semaphore) {
            Ok(shared) => Ok(Self { device: device.clone(), semaphore: Some(semaphore), shared }),
            Err(reason) => {
                // SAFETY: it was made above, and nobody has it.
                unsafe { hal.raw_device().destroy_semaphore(semaphore, None) };
                Err(reason)
            }
        }
    }

    /// What others know it by.
    pub(crate) fn semaphore(&self) -> &Arc<SharedSemaphore> {
        &self.shared
    }

    fn turns(&self) -> Option<&Turns> {
        match &self.shared.kind {
            SemaphoreKind::Binary(turns) => Some(turns),
            SemaphoreKind::Timeline => None,
        }
    }

    /// A reader waits for it that may never be through. Its slot is free, so none that works does.
    pub(crate) fn is_stuck(&self) -> bool {
        self.turns().is_some_and(|turns| turns.now() == Turn::Taken)
    }

    /// Leaves it to go with the device, which may have work still that signals it.
    pub(crate) fn leave(&mut self) {
        self.semaphore = None;
    }
}

impl Signalled for SharedBinary {
    type Signal = ();

    fn signalled_by<T>(&self, queue: &wgpu::Queue, submit: impl FnOnce() -> T) -> (T, Option<()>) {
        // SAFETY: nothing of the queue is destroyed through the guard.
        let hal = unsafe { queue.as_hal::<Vulkan>() };
        let (Some(hal), Some(semaphore), Some(turns)) = (hal, self.semaphore, self.turns()) else {
            return (submit(), None);
        };
        // Taken so that nobody else waits for what is waited for here.
        let unread = turns.take();
        if !unread && turns.now() != Turn::Free {
            return (submit(), None);
        }
        if unread {
            let stage = vk::PipelineStageFlags::TOP_OF_PIPE;
            hal.add_wait_semaphore(semaphore, None, stage);
        }
        let staged = Staged::signal(&hal, semaphore, None);
        let made = submit();
        let submitted = !staged.take_back();
        if unread && !submitted {
            hal.remove_wait_semaphore(semaphore);
        }
        // Where nothing was submitted the signal of before is still there.
        if unread || submitted {
            turns.signalled();
        }
        (made, submitted.then_some(()))
    }
}

impl Drop for SharedBinary {
    fn drop(&mut self) {
        let Some(semaphore) = self.semaphore else { return };
        // SAFETY: nothing of the device is destroyed through the guard.
        let Some(hal) = (unsafe { self.device.as_hal::<Vulkan>() }) else { return };
        // SAFETY: its slot is free only when the device is through with all that refers to it, and leaves it
        // where that is not known; imports keep what is behind it.
        unsafe { hal.raw_device().destroy_semaphore(semaphore, None) };
    }
}

#[cfg(test)]
mod tests {
    use media::MemoryId;

    use super::super::trial::Trial;
    use super::*;

    /// Whoever waits for a semaphore.
    struct Reader(vk::Semaphore);

    impl Signalled for Reader {
        type Signal = ();

        fn signalled_by<T>(
            &self,
            queue: &wgpu::Queue,
            submit: impl FnOnce() -> T,
        ) -> (T, Option<()>) {
            // SAFETY: nothing of the queue is destroyed through the guard.
            let hal = unsafe { queue.as_hal::<Vulkan>() }.expect("Vulkan");
            hal.add_wait_semaphore(self.0, None, vk::PipelineStageFlags::TOP_OF_PIPE);
            (submit(), None)
        }
    }

    #[test]
    fn it_is_waited_for_once_between_two_signals_whatever_becomes_of_a_picture() {
        let trial = Trial::new();
        let binary = SharedBinary::made(trial.gpu.device(), None, |_| {
            let fd = std::fs::File::open("/dev/null").expect("Linux").into();
            let kind = SemaphoreKind::Binary(Turns::default());
            Ok(Arc::new(SharedSemaphore {
                id: MemoryId::next(),
                device: DeviceId([0; 16]),
                fd,
                kind,
            }))
        })
        .expect("every driver has them");
        let semaphore = binary.semaphore.expect("it is not left");
        let turns = binary.turns().expect("it is binary");
        // As a reader of the same device would.
        let read = || {
            assert!(turns.take());
            trial.submit(&Reader(semaphore));
        };
        trial.refuse(&binary);
        assert_eq!(turns.now(), Turn::Free, "nothing was submitted");
        // Pictures that are read, and ones that are dropped.
        for dropped in [0, 1, 3] {
            for _ in 0..=dropped {
                assert_eq!(trial.submit(&binary), Some(()));
                assert_eq!(turns.now(), Turn::Signalled);
            }
            trial.refuse(&binary);
            assert_eq!(turns.now(), Turn::Signalled, "that of before is still there");
            read();
            assert!(binary.is_stuck(), "nobody said that the wait is over");
            turns.settle();
            assert!(!binary.is_stuck());
        }
        // One whose reader failed is not signalled any more.
        assert_eq!(trial.submit(&binary), Some(()));
        read();
        assert_eq!(trial.submit(&binary), None);
        assert_eq!(turns.now(), Turn::Taken);
        assert_eq!(trial.gpu.errors(), (0, None));
    }
}
