//! Buffers whose memory another API of the same device can import: CUDA, and with it NVENC, read a
//! picture where the colour pass wrote it.
//!
//! wgpu makes no such buffers, so these are made with Vulkan itself (`VK_KHR_external_memory_fd`) and
//! handed to wgpu, which uses and frees them as its own. It must never know pictures or encoders. Used
//! wrongly (a buffer written while an importer reads it) pictures tear: the two are ordered by the end
//! of the submission, which whoever hands the memory on waits for, or by a semaphore that the
//! submission signals and the importer's device waits for.
#![expect(
    unsafe_code,
    reason = "calls of Vulkan that wgpu does not offer; confined to this module"
)]

mod binary;
mod semaphore;
mod timeline;
#[cfg(test)]
mod trial;

use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ash::khr::{external_memory_fd, external_semaphore_fd};
use ash::vk;
use media::{DeviceId, MemoryId, SharedMemory};
use wgpu::hal::api::Vulkan;

use crate::device::GpuMemory;

pub(crate) use binary::SharedBinary;
pub use semaphore::Signalling;
pub(crate) use semaphore::{Signalled, offered as signalling_offered, open};
pub(crate) use timeline::SharedTimeline;

const NOT_VULKAN: &str = "the device is not one of Vulkan";
const OPAQUE_FD: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
/// What the colour pass and a read-back do with a buffer.
const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::STORAGE_BUFFER.as_raw() | vk::BufferUsageFlags::TRANSFER_SRC.as_raw(),
);
/// The same in wgpu's words.
const WGPU_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC);

/// Makes buffers that can be shared, on one open device.
pub struct Exporter {
    // Keeps the device, which the functions below belong to.
    device: wgpu::Device,
    functions: external_memory_fd::Device,
    /// What semaphores it has and functions for them, or why there are none.
    semaphores: Result<(Signalling, external_semaphore_fd::Device), String>,
    memory: vk::PhysicalDeviceMemoryProperties,
    id: DeviceId,
    held: Arc<Held>,
}

/// What is allocated now: wgpu's own report leaves it out.
#[derive(Default)]
struct Held {
    allocations: AtomicUsize,
    bytes: AtomicU64,
}

/// A buffer whose memory can be imported. The memory lives for as long as the buffer or an import of
/// it does.
pub struct Exported {
    /// For shaders to write and for copies from it; never to be mapped. wgpu does not zero it.
    pub buffer: wgpu::Buffer,
    /// What importers are given. The descriptor is closed with the last owner.
    pub memory: Arc<SharedMemory>,
    held: Arc<Held>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported").field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        self.held.allocations.fetch_sub(1, Ordering::Relaxed);
        self.held.bytes.fetch_sub(self.memory.bytes, Ordering::Relaxed);
    }
}

impl Exporter {
    /// Finds out what the device can do; `signalling` says with what semaphores it was opened that can be
    /// exported, or why with none.
    ///
    /// # Errors
    /// Why its memory cannot be shared.
    pub(crate) fn new(
        device: &wgpu::Device,
        signalling: Result<Signalling, String>,
    ) -> Result<Self, String> {
        // wgpu switches the extension on wherever it is, and says by this feature that it is.
        if !device.features().contains(wgpu::Features::VULKAN_EXTERNAL_MEMORY_FD) {
            return Err("the driver has no VK_KHR_external_memory_fd".to_owned());
        }
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { device.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
        let instance = hal.shared_instance();
        let physical = hal.raw_physical_device();
        let vulkan = instance.raw_instance();
        // SAFETY: the physical device is that of the open device, and belongs to this instance.
        let properties = unsafe { vulkan.get_physical_device_properties(physical) };
        // Below are functions of 1.1, which `ash` panics in where they are missing.
        if properties.api_version.min(instance.instance_api_version()) < vk::API_VERSION_1_1 {
            return Err("the driver or the Vulkan loader is older than Vulkan 1.1".to_owned());
        }
        let mut ids = vk::PhysicalDeviceIDProperties::default();
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
        let asked =
            vk::PhysicalDeviceExternalBufferInfo::default().usage(USAGE).handle_type(OPAQUE_FD);
        let mut answer = vk::ExternalBufferProperties::default();
        // SAFETY: as above; every structure is as its functions declare it and lives through the calls.
        let memory = unsafe {
            vulkan.get_physical_device_properties2(physical, &mut properties);
            vulkan.get_physical_device_external_buffer_properties(physical, &asked, &mut answer);
            vulkan.get_physical_device_memory_properties(physical)
        };
        // Some drivers want such an allocation to hold one buffer alone; ours always does.
        let offered = answer.external_memory_properties.external_memory_features;
        if !offered.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE) {
            return Err("the driver exports no buffers as file descriptors".to_owned());
        }
        Ok(Self {
            device: device.clone(),
            functions: external_memory_fd::Device::new(vulkan, hal.raw_device()),
            semaphores: signalling.map(|signalling| {
                (signalling, external_semaphore_fd::Device::new(vulkan, hal.raw_device()))
            }),
            memory,
            id: DeviceId(ids.device_uuid),
            held: Arc::default(),
        })
    }

    /// The device, as other APIs name it.
    pub fn device_id(&self) -> DeviceId {
        self.id
    }

    /// What is allocated now.
    pub fn held(&self) -> GpuMemory {
        GpuMemory {
            allocations: self.held.allocations.load(Ordering::Relaxed),
            bytes: self.held.bytes.load(Ordering::Relaxed),
        }
    }

    /// How other APIs of the device are told that a picture is complete.
    ///
    /// # Errors
    /// Why they are not told.
    pub fn signalling(&self) -> Result<Signalling, &str> {
        self.semaphores.as_ref().map(|(signalling, _)| *signalling).map_err(String::as_str)
    }

    /// Makes a semaphore by which others on the device are told of the end of submissions.
    ///
    /// # Errors
    /// Why there is none, or the call that failed and how.
    pub(crate) fn timeline(&self) -> Result<SharedTimeline, String> {
        let (_, functions) = self.semaphores.as_ref().map_err(String::clone)?;
        SharedTimeline::new(&self.device, functions, self.id)
    }

    /// Makes one by which they are told of one submission at a time.
    ///
    /// # Errors
    /// As [`timeline`](Self::timeline).
    pub(crate) fn binary(&self) -> Result<SharedBinary, String> {
        let (_, functions) = self.semaphores.as_ref().map_err(String::clone)?;
        SharedBinary::new(&self.device, functions, self.id)
    }

    /// Makes a buffer of `bytes`, in memory of its own. What it holds is undefined at first.
    ///
    /// # Errors
    /// The call that failed, and how. Nothing is left behind then.
    pub fn buffer(&self, bytes: u64) -> Result<Exported, String> {
        if bytes == 0 {
            return Err("a buffer of no bytes cannot be shared".to_owned());
        }
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { self.device.as_hal::<Vulkan>() }.ok_or(NOT_VULKAN)?;
        let raw = RawBuffer::new(hal.raw_device(), &self.memory, bytes)?;
        let fd = self.fd_of(raw.memory)?;
        let memory = Arc::new(SharedMemory {
            id: MemoryId::next(),
            device: self.id,
            fd,
            bytes: raw.allocated,
            dedicated: true,
        });
        let (buffer, device_memory) = raw.into_handles();
        // SAFETY: both were made on this very device, belong together from byte 0 on, and are freed by
        // the buffer that takes them, once the device is through with it.
        let buffer = unsafe {
            let buffer =
                wgpu::hal::vulkan::Buffer::from_raw_managed(buffer, device_memory, 0, bytes);
            let description = wgpu::BufferDescriptor {
                label: Some("shared picture"),
                size: bytes,
                usage: WGPU_USAGE,
                mapped_at_creation: false,
            };
            // It counts as initialised: whoever makes it writes all of it before it is read.
            self.device.create_buffer_from_hal::<Vulkan>(buffer, &description)
        };
        self.held.allocations.fetch_add(1, Ordering::Relaxed);
        self.held.bytes.fetch_add(memory.bytes, Ordering::Relaxed);
        Ok(Exported { buffer, memory, held: Arc::clone(&self.held) })
    }

    fn fd_of(&self, memory: vk::DeviceMemory) -> Result<OwnedFd, String> {
        let asked = vk::MemoryGetFdInfoKHR::default().memory(memory).handle_type(OPAQUE_FD);
        // SAFETY: the memory was allocated on this device to be exported so.
        let fd = unsafe { self.functions.get_memory_fd(&asked) }
            .map_err(|error| refused("vkGetMemoryFdKHR", error))?;
        // SAFETY: it is ours from this call on (the specification of vkGetMemoryFdKHR).
        unsafe { owned("vkGetMemoryFdKHR", fd) }
    }
}

/// Takes a descriptor that the driver yielded.
///
/// # Safety
/// It is negative, or open and nobody else's.
unsafe fn owned(call: &str, fd: i32) -> Result<OwnedFd, String> {
    if fd < 0 {
        return Err(format!("{call} yielded the descriptor {fd}"));
    }
    // SAFETY: it is open and ours, as the caller says.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Drivers need not set close-on-exec, and a streamed program must not inherit pictures.
    fd.try_clone().map_err(|error| format!("a descriptor could not be duplicated: {error}"))
}

/// A buffer with its memory, freed unless somebody takes them.
struct RawBuffer<'a> {
    device: &'a ash::Device,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    /// Bytes of the memory.
    allocated: u64,
}

impl<'a> RawBuffer<'a> {
    fn new(
        device: &'a ash::Device,
        properties: &vk::PhysicalDeviceMemoryProperties,
        bytes: u64,
    ) -> Result<Self, String> {
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(OPAQUE_FD);
        let description = vk::BufferCreateInfo::default()
            .size(bytes)
            .usage(USAGE)
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .push_next(&mut external);
        // SAFETY: the description is complete, and of a kind that the driver says it exports.
        let buffer = unsafe { device.create_buffer(&description, None) }
            .map_err(|error| refused("vkCreateBuffer", error))?;
        let mut made = Self { device, buffer, memory: vk::DeviceMemory::null(), allocated: 0 };
        // SAFETY: it was made above.
        let needs = unsafe { device.get_buffer_memory_requirements(buffer) };
        let kind = memory_type(properties, needs.memory_type_bits)
            .ok_or("the device has no memory of its own for shared buffers")?;
        let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(OPAQUE_FD);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
        let allocation = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(kind)
            .push_next(&mut export)
            .push_next(&mut dedicated);
        // SAFETY: size and kind are what the buffer needs, which it is dedicated to.
        made.memory = unsafe { device.allocate_memory(&allocation, None) }
            .map_err(|error| refused("vkAllocateMemory", error))?;
        made.allocated = needs.size;
        // SAFETY: both were made above, for one another, and are bound once.
        unsafe { device.bind_buffer_memory(buffer, made.memory, 0) }
            .map_err(|error| refused("vkBindBufferMemory", error))?;
        Ok(made)
    }

    /// To be freed by whoever takes them.
    fn into_handles(self) -> (vk::Buffer, vk::DeviceMemory) {
        let taken = ManuallyDrop::new(self);
        (taken.buffer, taken.memory)
    }
}

impl Drop for RawBuffer<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing was ever submitted with them, and nobody else has them; Vulkan ignores the
        // memory where there is none.
        unsafe {
            self.device.destroy_buffer(self.buffer, None);
            self.device.free_memory(self.memory, None);
        }
    }
}

fn refused(call: &str, error: vk::Result) -> String {
    format!("{call} answered {error:?}")
}

/// The first type of memory among `allowed` that lies on the device; drivers list faster ones first.
fn memory_type(properties: &vk::PhysicalDeviceMemoryProperties, allowed: u32) -> Option<u32> {
    let unfit = vk::MemoryPropertyFlags::PROTECTED
        | vk::MemoryPropertyFlags::LAZILY_ALLOCATED
        // Need a feature that the device was not opened with.
        | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD
        | vk::MemoryPropertyFlags::DEVICE_UNCACHED_AMD;
    (0..).zip(properties.memory_types_as_slice()).find_map(|(index, kind)| {
        let fits = allowed & (1 << index) != 0
            && kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
            && !kind.property_flags.intersects(unfit);
        fits.then_some(index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_lies_on_the_device_and_is_of_a_usual_kind() {
        let device = vk::MemoryPropertyFlags::DEVICE_LOCAL;
        let kinds = [
            vk::MemoryPropertyFlags::HOST_VISIBLE,
            device | vk::MemoryPropertyFlags::PROTECTED,
            device,
            device | vk::MemoryPropertyFlags::HOST_VISIBLE,
        ];
        let mut properties = vk::PhysicalDeviceMemoryProperties {
            memory_type_count: kinds.len() as u32,
            ..Default::default()
        };
        for (kind, flags) in properties.memory_types.iter_mut().zip(kinds) {
            kind.property_flags = flags;
        }
        assert_eq!(memory_type(&properties, 0b1111), Some(2));
        assert_eq!(memory_type(&properties, 0b1001), Some(3));
        assert_eq!(memory_type(&properties, 0b0011), None);
        assert_eq!(memory_type(&properties, 0), None);
    }
}
