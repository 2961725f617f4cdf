//! The device's queue, and the only way to submit to it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::export::Signalled;

/// The queue of a device. Work that is submitted runs in order, over all sessions.
///
/// What wgpu-hal is told to signal is signalled by whichever submission comes next, whoever makes it.
/// So nobody gets at wgpu's queue itself, and one submission goes at a time: wgpu would have them wait for
/// one another too. `map_async` of a buffer that [`write_buffer`](Self::write_buffer) wrote to submits
/// beside this lock: no such buffer is mapped here.
#[derive(Clone)]
pub struct Queue {
    queue: wgpu::Queue,
    submitting: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(queue: wgpu::Queue) -> Self {
        Self { queue, submitting: Arc::default() }
    }

    /// Hands commands to the device, and before them everything that was written.
    pub fn submit(
        &self,
        commands: impl IntoIterator<Item = wgpu::CommandBuffer>,
    ) -> wgpu::SubmissionIndex {
        let _alone = self.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.submit(commands)
    }

    /// As [`submit`](Self::submit), and yields what says that the commands are complete: none where the
    /// device refused them.
    pub(crate) fn submit_and_signal<S: Signalled>(
        &self,
        commands: wgpu::CommandBuffer,
        with: &S,
    ) -> (wgpu::SubmissionIndex, Option<S::Signal>) {
        let _alone = self.submitting.lock().unwrap_or_else(PoisonError::into_inner);
        with.signalled_by(&self.queue, || self.queue.submit([commands]))
    }

    /// Writes to a buffer, before what is submitted next.
    pub fn write_buffer(&self, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) {
        self.queue.write_buffer(buffer, offset, data);
    }

    /// Writes to a texture, before what is submitted next.
    pub fn write_texture(
        &self,
        texture: wgpu::TexelCopyTextureInfo<'_>,
        data: &[u8],
        layout: wgpu::TexelCopyBufferLayout,
        size: wgpu::Extent3d,
    ) {
        self.queue.write_texture(texture, data, layout, size);
    }

    /// Nanoseconds of a timestamp's unit.
    pub fn timestamp_period(&self) -> f32 {
        self.queue.get_timestamp_period()
    }
}
