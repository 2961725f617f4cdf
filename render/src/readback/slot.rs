//! A slot of the ring, from being taken to being free again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use media::{FrameImage, SharedSemaphore, Size};

use super::image::RingImage;
use super::{Common, FrameCost};
use crate::device::{Completion, Gpu, Watched};
use crate::export::{Exported, Exporter, SharedBinary};

/// Timestamps follow the pixels, aligned as `resolve_query_set` demands.
const STAMP_ALIGN: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;
/// Bytes of the two timestamps: begin and end of the colour pass.
const STAMP_BYTES: u64 = 16;

pub(super) struct Slot {
    pub(super) common: Arc<Common>,
    busy: AtomicBool,
    /// Where the pass writes the picture.
    pixels: wgpu::Buffer,
    /// What is read back: the picture and behind it the timestamps, or of a shared picture the
    /// timestamps alone.
    written: wgpu::Buffer,
    /// Mapped; the same buffer as `written` where the device maps what it writes.
    pub(super) readable: wgpu::Buffer,
    /// Where the timestamps begin in both.
    pub(super) stamps_at: u64,
    pub(super) stamps: Option<wgpu::QuerySet>,
    /// The memory of `pixels`, where others can import it.
    pub(super) exported: Option<Exported>,
    /// Where the ring has no timeline.
    binary: Mutex<Option<SharedBinary>>,
    /// The view that was bound last, and how. A source has one or a few.
    bound: Mutex<Option<(wgpu::TextureView, wgpu::BindGroup)>>,
}

impl Slot {
    pub(super) fn for_cpu(common: &Arc<Common>) -> Self {
        let stamps_at = common.layout.bytes().next_multiple_of(STAMP_ALIGN);
        let (written, readable) =
            read_back(&common.gpu, stamps_at + STAMP_BYTES, wgpu::BufferUsages::STORAGE);
        Self::new(common, written.clone(), written, readable, stamps_at, (None, None))
    }

    pub(super) fn shared(common: &Arc<Common>, exporter: &Exporter) -> Result<Self, String> {
        let exported = exporter.buffer(common.layout.bytes())?;
        let binary = common.binary.then(|| binary(exporter)).flatten();
        let (written, readable) = read_back(&common.gpu, STAMP_BYTES, wgpu::BufferUsages::COPY_DST);
        let pixels = exported.buffer.clone();
        Ok(Self::new(common, pixels, written, readable, 0, (Some(exported), binary)))
    }

    fn new(
        common: &Arc<Common>,
        pixels: wgpu::Buffer,
        written: wgpu::Buffer,
        readable: wgpu::Buffer,
        stamps_at: u64,
        (exported, binary): (Option<Exported>, Option<SharedBinary>),
    ) -> Self {
        let stamps = common.gpu.has_timestamps().then(|| {
            common.gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("colour pass"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            })
        });
        Self {
            common: Arc::clone(common),
            busy: AtomicBool::new(false),
            pixels,
            written,
            readable,
            stamps_at,
            stamps,
            exported,
            binary: Mutex::new(binary),
            bound: Mutex::new(None),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    fn bind(&self, picture: &wgpu::TextureView) -> wgpu::BindGroup {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((view, group)) = &*bound
            && view == picture
        {
            return group.clone();
        }
        let Common { gpu, converter, layout, .. } = &*self.common;
        let pixels = wgpu::BufferBinding {
            buffer: &self.pixels,
            offset: 0,
            size: wgpu::BufferSize::new(layout.bytes()),
        };
        let group = converter.bind(gpu, picture, pixels);
        *bound = Some((picture.clone(), group.clone()));
        group
    }

    /// What makes the mapped buffer say how the picture came about.
    fn encode_read_back(&self, encoder: &mut wgpu::CommandEncoder) {
        if let Some(stamps) = &self.stamps {
            encoder.resolve_query_set(stamps, 0..2, &self.written, self.stamps_at);
        } else if self.exported.is_some() {
            // A buffer that the submission does not touch would be mapped at once, and the picture
            // count as complete by then.
            encoder.clear_buffer(&self.written, 0, None);
        }
        if self.written != self.readable {
            encoder.copy_buffer_to_buffer(&self.written, 0, &self.readable, 0, None);
        }
    }

    /// Submits the commands that write its picture, and yields what signals their end on the device.
    fn submit(&self, commands: wgpu::CommandBuffer) -> (wgpu::SubmissionIndex, Option<Signal>) {
        let Common { gpu, timeline, .. } = &*self.common;
        let queue = gpu.queue();
        if let Some(shared) = timeline {
            let (submission, value) = queue.submit_and_signal(commands, shared.timeline());
            let semaphore = Arc::clone(shared.semaphore());
            return (submission, value.map(|value| Signal { semaphore, value: Some(value) }));
        }
        let mut binary = self.binary.lock().unwrap_or_else(PoisonError::into_inner);
        if binary.as_ref().is_some_and(SharedBinary::is_stuck) {
            *binary = gpu.exporter().ok().and_then(self::binary);
        }
        let Some(binary) = &*binary else { return (queue.submit([commands]), None) };
        let (submission, signal) = queue.submit_and_signal(commands, binary);
        let semaphore = Arc::clone(binary.semaphore());
        (submission, signal.map(|()| Signal { semaphore, value: None }))
    }

    /// Has the picture of a shared slot copied to where the CPU can map it, and waits for it.
    ///
    /// # Errors
    /// Why the device did not.
    pub(super) fn copy_for_cpu(&self) -> Result<wgpu::BufferView, String> {
        let Common { gpu, layout, .. } = &*self.common;
        self.common.readbacks.fetch_add(1, Ordering::Relaxed);
        let (copy, submission) = gpu.checked(|| {
            let copy = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("copy of a shared picture"),
                size: layout.bytes(),
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            });
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&self.pixels, 0, &copy, 0, None);
            let submission = gpu.queue().submit([encoder.finish()]);
            (copy, submission)
        })?;
        let done = Arc::new(Completion::private());
        map_when_done(gpu, &copy, submission, &done);
        done.wait()?;
        copy.get_mapped_range(..).map_err(|error| error.to_string())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.common.gpu.lost().is_none() {
            return;
        }
        // It was given up, perhaps with work under way.
        if let Some(binary) = self.binary.get_mut().unwrap_or_else(PoisonError::into_inner) {
            binary.leave();
        }
    }
}

/// A semaphore for a slot.
fn binary(exporter: &Exporter) -> Option<SharedBinary> {
    let made = exporter.binary();
    if let Err(reason) = &made {
        tracing::warn!(reason, "a slot has no semaphore: its fence is waited for");
    }
    made.ok()
}

/// What is signalled on the device when a picture is complete.
pub(super) struct Signal {
    pub(super) semaphore: Arc<SharedSemaphore>,
    /// That of a timeline.
    pub(super) value: Option<u64>,
}

/// A buffer that the device writes, `usage` among other ways, and one that is mapped: the same one
/// where the device allows.
fn read_back(gpu: &Gpu, bytes: u64, usage: wgpu::BufferUsages) -> (wgpu::Buffer, wgpu::Buffer) {
    let buffer = |label, usage| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    };
    let written = usage | wgpu::BufferUsages::QUERY_RESOLVE;
    if gpu.maps_storage() {
        let one = buffer("picture slot", written | wgpu::BufferUsages::MAP_READ);
        (one.clone(), one)
    } else {
        (
            buffer("picture slot", written | wgpu::BufferUsages::COPY_SRC),
            buffer(
                "picture read-back",
                wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            ),
        )
    }
}

/// A slot that is not free; dropping it frees it.
struct Lease(Arc<Slot>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// A slot whose buffer is mapped, or will be. Held by the image and, until the device is through, by
/// the completion: a frame may be dropped in the mailbox before that, and wgpu-core 30 must not be
/// asked to map a buffer again while an aborted mapping of it waits for its submission (the end of
/// the old submission then reports the new mapping as complete, with half a picture in it).
pub(super) struct Mapping {
    lease: Lease,
    internal: Size,
    recorded_at: Instant,
}

impl Mapping {
    pub(super) fn slot(&self) -> &Slot {
        &self.lease.0
    }
}

impl Watched for Mapping {
    fn complete(&self, at: Instant) {
        let common = &self.slot().common;
        let time = at.saturating_duration_since(common.gpu.busy_since(self.recorded_at, at));
        *common.newest_cost.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(FrameCost { internal: self.internal, time });
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // Before the slot is free.
        self.slot().readable.unmap();
    }
}

/// A slot that a picture is being recorded for. Dropping it gives the slot back.
pub struct SlotGuard {
    lease: Lease,
    recorded: Option<(Size, Instant)>,
}

impl std::fmt::Debug for SlotGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotGuard").field("recorded", &self.recorded).finish_non_exhaustive()
    }
}

impl SlotGuard {
    /// Takes a slot, if it is free.
    pub(super) fn take(slot: &Arc<Slot>) -> Option<Self> {
        slot.busy.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        Some(Self { lease: Lease(Arc::clone(slot)), recorded: None })
    }

    /// Records conversion and read-back, as the last thing before `encoder` is submitted. `view`
    /// shows encoded (non-linear) values; its upper left `internal` is the picture.
    pub fn encode(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        internal: Size,
    ) {
        let slot = &*self.lease.0;
        let common = &*slot.common;
        let bound = slot.bind(view);
        let stamp_writes = slot.stamps.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        common.pass.encode(encoder, &bound, internal, &common.layout, stamp_writes);
        slot.encode_read_back(encoder);
        self.recorded = Some((internal, Instant::now()));
    }

    /// Submits the commands of the encoder that the picture was recorded in, and turns the slot into
    /// its image. `None` when nothing was recorded with [`encode`](Self::encode); nothing is submitted
    /// then.
    pub fn submit(self, commands: wgpu::CommandBuffer) -> Option<Box<dyn FrameImage>> {
        let Self { lease, recorded } = self;
        let (internal, recorded_at) = recorded?;
        let mapping = Arc::new(Mapping { lease, internal, recorded_at });
        let slot = mapping.slot();
        let Common { gpu, newest, .. } = &*slot.common;
        let (submission, signal) = slot.submit(commands);
        let done = Arc::new(Completion::holding(Arc::clone(&mapping) as _));
        *newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&done);
        map_when_done(gpu, &slot.readable, submission, &done);
        Some(Box::new(RingImage::new(mapping, done, signal)))
    }
}

/// Has `readable` mapped once `submission` ended, which `done` is told.
pub(super) fn map_when_done(
    gpu: &Gpu,
    readable: &wgpu::Buffer,
    submission: wgpu::SubmissionIndex,
    done: &Arc<Completion>,
) {
    let told = Arc::clone(done);
    readable.map_async(wgpu::MapMode::Read, .., move |mapped| {
        told.mapped(mapped.map(|()| Instant::now()).map_err(drop));
    });
    gpu.watch(submission, Arc::clone(done));
}
