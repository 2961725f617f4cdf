//! Writes a scene to the device in portions. What is written lies in memory a second time until it is submitted, and
//! nothing here panics where the device is lost or full: wgpu reports both to whoever checks.

use crate::device::Queue;

/// Bytes that may wait for a submission: large enough that submissions do not count, small beside a large scene.
const PORTION: usize = 64 << 20;

/// The way to a device.
pub(crate) struct Staging<'a> {
    pub(crate) device: &'a wgpu::Device,
    queue: &'a Queue,
    waiting: usize,
}

impl<'a> Staging<'a> {
    pub(crate) fn new(device: &'a wgpu::Device, queue: &'a Queue) -> Self {
        Self { device, queue, waiting: 0 }
    }

    /// A buffer of `contents`, whose length is a multiple of 4.
    pub(crate) fn buffer(
        &mut self,
        label: &str,
        contents: &[u8],
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        // Not mapped at its creation: that panics where the device has no memory or is lost.
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            // An empty buffer cannot be bound.
            size: contents.len().max(64) as u64,
            usage: usage | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        for (index, portion) in contents.chunks(PORTION).enumerate() {
            self.queue.write_buffer(&buffer, (index * PORTION) as u64, portion);
            self.wrote(portion.len());
        }
        buffer
    }

    /// Writes one level of a texture whose rows are `width` texels of `texel` bytes.
    pub(crate) fn level(
        &mut self,
        texture: &wgpu::Texture,
        level: u32,
        width: u32,
        texel: u32,
        bytes: &[u8],
    ) {
        let bytes_per_row = width * texel;
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(bytes_per_row),
            rows_per_image: None,
        };
        let target = wgpu::TexelCopyTextureInfo {
            texture,
            mip_level: level,
            origin: wgpu::Origin3d::ZERO,
            aspect: wgpu::TextureAspect::All,
        };
        let size = extent(width, bytes.len() as u32 / bytes_per_row);
        self.queue.write_texture(target, bytes, layout, size);
        self.wrote(bytes.len());
    }

    fn wrote(&mut self, bytes: usize) {
        self.waiting += bytes;
        if self.waiting >= PORTION {
            self.queue.submit([]);
            self.waiting = 0;
        }
    }
}

pub(crate) fn extent(width: u32, height: u32) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}
