//! A second device on the same adapter, which sees what the first one exports as CUDA does: by import.
#![expect(unsafe_code, reason = "calls of Vulkan that wgpu does not offer")]

use std::os::fd::IntoRawFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use ash::vk;
use media::SharedMemory;
use nearlight_render::device::{Gpu, GpuOptions};
use wgpu::hal::api::Vulkan;

const OPAQUE_FD: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
/// Generous: waited for in full only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The second device.
pub(crate) struct Importer {
    gpu: Arc<Gpu>,
}

impl Importer {
    /// One beside `gpu`.
    pub(crate) fn beside(gpu: &Gpu) -> Self {
        let options = GpuOptions { adapter: Some(gpu.name().to_owned()), ..GpuOptions::default() };
        let other = Gpu::open(&options).expect("it was opened once");
        assert_eq!(other.device_id(), gpu.device_id());
        Self { gpu: other }
    }

    /// The first bytes of an allocation, as they are now.
    pub(crate) fn read(&self, memory: &SharedMemory, bytes: u64) -> Vec<u8> {
        let imported = self.import(memory);
        let device = self.gpu.device();
        let copy = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("copy of an import"),
            size: bytes.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&imported, 0, &copy, 0, copy.size());
        let submission = self.gpu.queue().submit([encoder.finish()]);
        let (told, mapped) = mpsc::sync_channel(1);
        copy.map_async(wgpu::MapMode::Read, .., move |result| {
            let _ = told.send(result);
        });
        self.gpu.wait(submission).expect("the device works");
        mapped.recv_timeout(PATIENCE).expect("it is told").expect("it is mapped");
        let mut read = copy.get_mapped_range(..).expect("it is mapped").to_vec();
        read.truncate(bytes as usize);
        read
    }

    /// A buffer over the whole of an allocation.
    fn import(&self, memory: &SharedMemory) -> wgpu::Buffer {
        assert!(memory.dedicated, "as it is imported here");
        // SAFETY: nothing of the device is destroyed through the guard.
        let hal = unsafe { self.gpu.device().as_hal::<Vulkan>() }.expect("Vulkan");
        let device = hal.raw_device();
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(OPAQUE_FD);
        // As it was made by the exporter, so that it needs the same memory.
        let description = vk::BufferCreateInfo::default()
            .size(memory.bytes)
            .usage(vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC)
            .push_next(&mut external);
        // SAFETY: the description is complete.
        let buffer = unsafe { device.create_buffer(&description, None) }.expect("a buffer");
        // SAFETY: the buffer and the physical device are those of this device.
        let (needs, kinds) = unsafe {
            let instance = hal.shared_instance().raw_instance();
            let physical = hal.raw_physical_device();
            (
                device.get_buffer_memory_requirements(buffer),
                instance.get_physical_device_memory_properties(physical),
            )
        };
        let kind = (0..)
            .zip(kinds.memory_types_as_slice())
            .find(|(at, kind)| {
                let local = vk::MemoryPropertyFlags::DEVICE_LOCAL;
                needs.memory_type_bits & (1 << at) != 0 && kind.property_flags.contains(local)
            })
            .expect("the exporter has found one")
            .0;
        let fd = memory.fd.try_clone().expect("a descriptor").into_raw_fd();
        let mut import = vk::ImportMemoryFdInfoKHR::default().handle_type(OPAQUE_FD).fd(fd);
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(buffer);
        let allocation = vk::MemoryAllocateInfo::default()
            .allocation_size(memory.bytes)
            .memory_type_index(kind)
            .push_next(&mut import)
            .push_next(&mut dedicated);
        // SAFETY: size and kind are those of the exporter; Vulkan owns the descriptor from here on. Both are
        // made for one another, bound once, and freed by the buffer that takes them.
        unsafe {
            let imported = device.allocate_memory(&allocation, None).expect("it is imported");
            device.bind_buffer_memory(buffer, imported, 0).expect("it is bound");
            let raw =
                wgpu::hal::vulkan::Buffer::from_raw_managed(buffer, imported, 0, memory.bytes);
            let description = wgpu::BufferDescriptor {
                label: Some("import"),
                size: memory.bytes,
                usage: wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            };
            self.gpu.device().create_buffer_from_hal::<Vulkan>(raw, &description)
        }
    }
}
