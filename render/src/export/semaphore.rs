//! Semaphores that another API of the same device can wait for: the device itself then holds a reader off
//! until a picture is complete, and no thread waits in between.
//!
//! wgpu makes no such semaphores and opens no device with the extension that exports them, so both are
//! done with Vulkan itself (`VK_KHR_external_semaphore_fd`).

use std::sync::Arc;

use ash::khr::external_semaphore_fd;
use ash::vk;
use media::{DeviceId, MemoryId, SemaphoreKind, SharedSemaphore};
use wgpu::hal::api::Vulkan;

use super::{NOT_VULKAN, owned, refused};

pub(super) const OPAQUE_FD: vk::ExternalSemaphoreHandleTypeFlags =
    vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD;

/// What submissions can signal.
pub(crate) trait Signalled {
    /// What a reader waits for.
    type Signal;

    /// Has the one submission that `submit` makes signal it: none where there was no submission. Nobody
    /// else may submit meanwhile.
    fn signalled_by<T>(
        &self,
        queue: &wgpu::Queue,
        submit: impl FnOnce() -> T,
    ) -> (T, Option<Self::Signal>);
}

/// What tells others on the device that a picture is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalling {
    /// A timeline semaphore for each ring.
    Timeline,
    /// A binary semaphore for each slot of a ring.
    Binary,
}

impl std::fmt::Display for Signalling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Timeline => "a timeline semaphore",
            Self::Binary => "a binary semaphore",
        })
    }
}

/// A timeline where the device exports such, else binary semaphores. Each is given as why it is not there.
fn best(
    timeline: Result<(), &'static str>,
    binary: Result<(), &'static str>,
) -> Result<Signalling, String> {
    match (timeline, binary) {
        (Ok(()), _) => Ok(Signalling::Timeline),
        (Err(reason), Ok(())) => {
            tracing::info!(reason, "the device has binary semaphores for others, and no timelines");
            Ok(Signalling::Binary)
        }
        (Err(timeline), Err(binary)) => Err(format!("{timeline}, and {binary}")),
    }
}

/// Finds out what semaphores a device opened with [`open`] can export.
///
/// # Errors
/// Why it can export none.
pub(crate) fn offered(adapter: &wgpu::Adapter) -> Result<Signalling, String> {
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
    let version = properties.api_version.min(instance.instance_api_version());
    // Below are functions of 1.1, which `ash` panics in where they are missing.
    if version < vk::API_VERSION_1_1 {
        return Err("the driver or the Vulkan loader is older than Vulkan 1.1".to_owned());
    }
    let exports = |kind| {
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(kind);
        let mut asked = vk::PhysicalDeviceExternalSemaphoreInfo::default().handle_type(OPAQUE_FD);
        // Before 1.2 there is one kind, and no word for it.
        if version >= vk::API_VERSION_1_2 {
            asked = asked.push_next(&mut kind);
        }
        let mut answer = vk::ExternalSemaphoreProperties::default();
        // SAFETY: as above; every structure is as its function declares it and lives through the call.
        unsafe {
            vulkan.get_physical_device_external_semaphore_properties(physical, &asked, &mut answer);
        }
        answer.external_semaphore_features.contains(vk::ExternalSemaphoreFeatureFlags::EXPORTABLE)
    };
    let counts = || {
        let mut timelines = vk::PhysicalDeviceTimelineSemaphoreFeatures::default();
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut timelines);
        // SAFETY: as above.
        unsafe { vulkan.get_physical_device_features2(physical, &mut features) };
        timelines.timeline_semaphore == vk::TRUE
    };
    let timeline = if version < vk::API_VERSION_1_2 {
        Err("the driver or the Vulkan loader is older than Vulkan 1.2")
    } else if !counts() {
        Err("the device has no timeline semaphores")
    } else if !exports(vk::SemaphoreType::TIMELINE) {
        Err("the driver exports no timeline semaphores as file descriptors")
    } else {
        Ok(())
    };
    let binary = if exports(vk::SemaphoreType::BINARY) {
        Ok(())
    } else {
        Err("it exports no binary ones either")
    };
    best(timeline, binary)
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

/// What others know a semaphore of this device by, which was made to be exported.
///
/// # Errors
/// The call that failed, and how.
pub(super) fn shared(
    functions: &external_semaphore_fd::Device,
    semaphore: vk::Semaphore,
    device: DeviceId,
    kind: SemaphoreKind,
) -> Result<Arc<SharedSemaphore>, String> {
    let asked = vk::SemaphoreGetFdInfoKHR::default().semaphore(semaphore).handle_type(OPAQUE_FD);
    // SAFETY: the semaphore was made on this device to be exported so.
    let fd = unsafe { functions.get_semaphore_fd(&asked) }
        .map_err(|error| refused("vkGetSemaphoreFdKHR", error))?;
    // SAFETY: it is ours from this call on (the specification of vkGetSemaphoreFdKHR).
    let fd = unsafe { owned("vkGetSemaphoreFdKHR", fd) }?;
    Ok(Arc::new(SharedSemaphore { id: MemoryId::next(), device, fd, kind }))
}

/// A semaphore that the next submission signals, taken back unless there was one.
pub(super) struct Staged<'a> {
    queue: &'a wgpu::hal::vulkan::Queue,
    semaphore: vk::Semaphore,
}

impl<'a> Staged<'a> {
    /// Stages it; `value` is that of a timeline.
    pub(super) fn signal(
        queue: &'a wgpu::hal::vulkan::Queue,
        semaphore: vk::Semaphore,
        value: Option<u64>,
    ) -> Self {
        queue.add_signal_semaphore(semaphore, value);
        Self { queue, semaphore }
    }

    /// Whether it was still there: no submission took it.
    pub(super) fn take_back(self) -> bool {
        self.queue.remove_signal_semaphore(self.semaphore)
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // Where `submit` panicked; else it is gone by now.
        self.queue.remove_signal_semaphore(self.semaphore);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::software;
    use super::*;

    #[test]
    fn an_adapter_that_exports_none_says_why() {
        let gpu = software();
        let reason = gpu.cannot_signal().expect("lavapipe exports no semaphores");
        assert!(reason.contains("VK_KHR_external_semaphore_fd"), "{reason}");
    }

    #[test]
    fn a_timeline_comes_before_binary_semaphores_and_those_before_a_fence() {
        assert_eq!(best(Ok(()), Ok(())), Ok(Signalling::Timeline));
        assert_eq!(best(Ok(()), Err("no")), Ok(Signalling::Timeline));
        assert_eq!(best(Err("none"), Ok(())), Ok(Signalling::Binary));
        assert_eq!(best(Err("none"), Err("not one")), Err("none, and not one".to_owned()));
    }
}
