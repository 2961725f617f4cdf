//! What tests of semaphores submit on the software driver, which exports none but has them.

use std::sync::Arc;

use super::Signalled;
use crate::device::{Gpu, GpuOptions};

/// The software driver.
pub(super) fn software() -> Arc<Gpu> {
    let options = GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() };
    Gpu::open(&options).expect("tests need lavapipe (mesa-vulkan-drivers)")
}

/// A device, and a buffer for it to work on.
pub(super) struct Trial {
    pub(super) gpu: Arc<Gpu>,
    buffer: wgpu::Buffer,
}

impl Trial {
    pub(super) fn new() -> Self {
        let gpu = software();
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { gpu, buffer }
    }

    pub(super) fn commands(&self) -> wgpu::CommandBuffer {
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        encoder.clear_buffer(&self.buffer, 0, None);
        encoder.finish()
    }

    /// Submits commands that signal this, and waits until they ended.
    pub(super) fn submit<S: Signalled>(&self, signalled: &S) -> Option<S::Signal> {
        let (submission, signal) = self.gpu.queue().submit_and_signal(self.commands(), signalled);
        self.gpu.wait(submission).expect("the device works");
        signal
    }

    /// Submits commands that the device refuses.
    pub(super) fn refuse<S: Signalled>(&self, signalled: &S) {
        let made = self.gpu.checked(|| {
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            // A copy of a buffer onto itself is no valid command.
            encoder.copy_buffer_to_buffer(&self.buffer, 0, &self.buffer, 0, 16);
            self.gpu.queue().submit_and_signal(encoder.finish(), signalled).1
        });
        assert!(made.is_err());
    }
}
