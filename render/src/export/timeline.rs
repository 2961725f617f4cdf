//! Timeline semaphores that another API of the same device can wait for: the device itself then holds a
//! reader off until a picture is complete, and no thread waits in between.
//!
//! wgpu makes no such semaphores and opens no device with the extension that exports them, so both are
//! done with Vulkan itself (`VK_KHR_external_semaphore_fd`). Used wrongly (a value waited for that no
//! submission signals) the reader waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ash::khr::external_semaphore_fd;
use ash::vk;
use media::{DeviceId, MemoryId, SharedSemaphore, SharedSignal};
use wgpu::hal::api::Vulkan;

use super::{NOT_VULKAN, owned, refused};

const OPAQUE_FD: vk::ExternalSemaphoreHandleTypeFlags =
    vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD;
/// For work that is under way on a device that was given up; work that was waited for is long complete.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Finds out whether a device opened with [`open`] can export timeline semaphores.
///
/// # Errors
/// Why it cannot.
pub(crate) fn offered(adapter: &wgpu::Adapter) -> Result<(), String> {
    // SAFETY: nothing of the adapter is destroyed through the guard.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
    if !hal.physical_device_capabilities().supports_extension(external_semaphore_fd::NAME) {
        return Err("the driver has no VK_KHR_external_semaphore_fd".to_owned());
    }
    let instance = hal.shared_instance();
    let physical = hal.raw_physical_device();
    let vulkan = instance.raw_instance();
    // SAFETY: the physical device is that of the adapter, and belongs to this instance.
    let properties = unsafe { vulkan.get_physical_device_properties(physical) };
    // Here and below are functions of 1.2, which `ash` panics in where they are missing.
    if properties.api_version.min(instance.instance_api_version()) < vk::API_VERSION_1_2 {
        return Err("the driver or the Vulkan loader is older than Vulkan 1.2".to_owned());
    }
    let mut timelines = vk::PhysicalDeviceTimelineSemaphoreFeatures::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut timelines);
    let mut kind =
        vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let asked = vk::PhysicalDeviceExternalSemaphoreInfo::default()
        .handle_type(OPAQUE_FD)
        .push_next(&mut kind);
    let mut answer = vk::ExternalSemaphoreProperties::default();
    // SAFETY: as above; every structure is as its functions declare it and lives through the calls.
    unsafe {
        vulkan.get_physical_device_features2(physical, &mut features);
        vulkan.get_physical_device_external_semaphore_properties(physical, &asked, &mut answer);
    }
    if timelines.timeline_semaphore == vk::FALSE {
        return Err("the device has no timeline semaphores".to_owned());
    }
    let exportable = vk::ExternalSemaphoreFeatureFlags::EXPORTABLE;
    if !answer.external_semaphore_features.contains(exportable) {
        return Err("the driver exports no timeline semaphores as file descriptors".to_owned());
    }
    Ok(())
}

/// Opens a device that exports semaphores, of an adapter that has them [`offered`]; in all else as
/// `wgpu::Adapter::request_device` would. The description asks for no more than the adapter has.
///
/// # Errors
/// What the driver says.
pub(crate) fn open(
    adapter: &wgpu::Adapter,
    description: &wgpu::DeviceDescriptor<'_>,
) -> Result<(wgpu::Device, wgpu::Queue), String> {
    // SAFETY: nothing of the adapter is destroyed through the guard.
    let hal = unsafe { adapter.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
    // SAFETY: the adapter has the features, the limits and the extension, and nothing is taken away from what
    // wgpu wants of the device.
    let opened = unsafe {
        hal.open_with_callback(
            description.required_features,
            &description.required_limits,
            &description.memory_hints,
            Some(Box::new(|wanted| wanted.extensions.push(external_semaphore_fd::NAME))),
        )
    };
    let opened = opened.map_err(|error| error.to_string())?;
    // SAFETY: it was opened above, on this adapter, with the features of this description.
    unsafe { adapter.create_device_from_hal(opened, description) }
        .map_err(|error| error.to_string())
}

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

    /// Has the one submission that `submit` makes signal the semaphore, and yields the value that it
    /// reaches then: none where there was no submission. Nobody else may submit meanwhile.
    pub(crate) fn signalled_by<T>(
        &self,
        queue: &wgpu::Queue,
        submit: impl FnOnce() -> T,
    ) -> (T, Option<u64>) {
        // SAFETY: nothing of the queue is destroyed through the guard.
        let Some(hal) = (unsafe { queue.as_hal::<Vulkan>() }) else { return (submit(), None) };
        let value = self.newest.load(Ordering::Relaxed) + 1;
        hal.add_signal_semaphore(self.semaphore, Some(value));
        let staged = Staged { queue: &hal, semaphore: self.semaphore };
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

/// A semaphore that the next submission signals, taken back unless there was one.
struct Staged<'a> {
    queue: &'a wgpu::hal::vulkan::Queue,
    semaphore: vk::Semaphore,
}

impl Staged<'_> {
    /// Whether it was still there: no submission took it.
    fn take_back(self) -> bool {
        self.queue.remove_signal_semaphore(self.semaphore)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Where `submit` panicked; else it is gone by now.
        self.queue.remove_signal_semaphore(self.semaphore);
    }
}

/// A timeline that others on the device can wait for.
pub(crate) struct SharedTimeline {
    timeline: Timeline,
    semaphore: Arc<SharedSemaphore>,
}

impl SharedTimeline {
    /// Makes one on a device that [`open`] opened.
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
        let asked = vk::SemaphoreGetFdInfoKHR::default()
            .semaphore(timeline.semaphore)
            .handle_type(OPAQUE_FD);
        // SAFETY: the semaphore was made on this device to be exported so.
        let fd = unsafe { functions.get_semaphore_fd(&asked) }
            .map_err(|error| refused("vkGetSemaphoreFdKHR", error))?;
        // SAFETY: it is ours from this call on (the specification of vkGetSemaphoreFdKHR).
        let fd = unsafe { owned("vkGetSemaphoreFdKHR", fd) }?;
        let semaphore = SharedSemaphore { id: MemoryId::next(), device: id, fd, timeline: true };
        Ok(Self { timeline, semaphore: Arc::new(semaphore) })
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The moment that the submission ended which signals `value`.
    pub(crate) fn signal(&self, value: u64) -> SharedSignal<'_> {
        SharedSignal { semaphore: &self.semaphore, value: Some(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Gpu, GpuOptions};

    /// The value that the device has reached.
    fn reached(timeline: &Timeline) -> u64 {
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { timeline.device.as_hal::<Vulkan>() }.expect("Vulkan");
        // SAFETY: the semaphore is a live timeline of this device.
        unsafe { hal.raw_device().get_semaphore_counter_value(timeline.semaphore) }
            .expect("it counts")
    }

    // The software driver exports no semaphores, but has those that count.
    #[test]
    fn the_submission_that_it_is_given_signals_it_and_no_other() {
        let options = GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() };
        let gpu = Gpu::open(&options).expect("tests need lavapipe (mesa-vulkan-drivers)");
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let commands = |sound: bool| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            if sound {
                encoder.clear_buffer(&buffer, 0, None);
            } else {
                // A copy of a buffer onto itself is no valid command.
                encoder.copy_buffer_to_buffer(&buffer, 0, &buffer, 0, 16);
            }
            encoder.finish()
        };
        let timeline = Timeline::new(gpu.device(), None).expect("the driver has them");
        let other = Timeline::new(gpu.device(), None).expect("the driver has them");
        let queue = gpu.queue();
        for expected in 1..=3 {
            let (submission, value) = queue.submit_and_signal(commands(true), &timeline);
            assert_eq!(value, Some(expected));
            gpu.wait(submission).expect("the device works");
            assert_eq!((reached(&timeline), reached(&other)), (expected, 0));
        }
        // What was refused signals nothing, and what comes after it does not do so in its place.
        let refused = gpu.checked(|| queue.submit_and_signal(commands(false), &timeline).1);
        assert!(refused.is_err());
        gpu.wait(queue.submit([commands(true)])).expect("the device works");
        assert_eq!(reached(&timeline), 3);
        let (submission, value) = queue.submit_and_signal(commands(true), &other);
        gpu.wait(submission).expect("the device works");
        assert_eq!((value, reached(&timeline), reached(&other)), (Some(1), 3, 1));
    }

    #[test]
    fn an_adapter_that_exports_none_says_why() {
        let options = GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() };
        let gpu = Gpu::open(&options).expect("tests need lavapipe (mesa-vulkan-drivers)");
        let reason = gpu.cannot_signal().expect("lavapipe exports no semaphores");
        assert!(reason.contains("VK_KHR_external_semaphore_fd"), "{reason}");
    }
}
