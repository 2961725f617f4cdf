//! The way of a picture from the device to the encoder's thread: a ring of three slots, each a
//! buffer that the colour pass writes and one that the CPU reads (the same one where the device
//! allows), used again and again.
//!
//! ```text
//! free ─ begin ─▶ being recorded ─ submitted ─▶ in flight ─ finish ─▶ mapped
//!   ▲                 │ drop          drop, once complete │             │ drop
//!   └─────────────────┴───────────────────────────────────┴─────────────┘
//! ```
//! Nothing here waits on the drawing thread. Used wrongly (images kept for ever) the slots run out
//! and [`FrameRing::begin`] yields `None`, which a source reports as `NoFreeSlot`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use media::{
    Clock, CpuImage, FrameImage, ImageError, Mark, PixelFormat, PlaneMut, SharedImage, Size,
    StageTimes,
};
use smallvec::SmallVec;
use thiserror::Error;

use crate::device::{Completion, Gpu, Watched};
use crate::nv12::{Nv12Converter, Nv12Layout};

/// One being drawn, one in the mailbox, one at the encoder.
const SLOTS: usize = 3;
/// Timestamps follow the pixels, aligned as `resolve_query_set` demands.
const STAMP_ALIGN: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;
/// Bytes of the two timestamps: begin and end of the colour pass.
const STAMP_BYTES: u64 = 16;

/// Why a ring could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// No picture of that size can be made.
    #[error("a picture of {0} cannot be coded: both sides must be even and at most 16384")]
    Size(Size),
    /// The device has no room, or is lost.
    #[error("the graphics device refused the buffers of a picture ring: {0}")]
    Refused(String),
}

/// What the device took for one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameCost {
    /// The internal size that the picture was drawn at.
    pub internal: Size,
    /// From when the device could begin with it (recorded, and everything before it complete) to its
    /// completion: drawing and conversion, without waiting for other sessions.
    pub time: Duration,
}

/// The ring of one source, for pictures of one coded size. A new size is a new ring; images of the
/// old one stay valid.
pub struct FrameRing {
    slots: SmallVec<[Arc<Slot>; SLOTS]>,
    shared: Arc<Shared>,
}

/// What all slots of a ring use.
struct Shared {
    gpu: Arc<Gpu>,
    converter: Arc<Nv12Converter>,
    layout: Nv12Layout,
    newest_cost: Mutex<Option<FrameCost>>,
    /// The picture that was submitted last, while anybody holds it.
    newest: Mutex<Weak<Completion>>,
    /// Nanoseconds of a timestamp's unit.
    stamp_period: f64,
}

struct Slot {
    shared: Arc<Shared>,
    busy: AtomicBool,
    /// Written by the pass.
    storage: wgpu::Buffer,
    /// Mapped; the same buffer as `storage` where the device maps storage.
    readable: wgpu::Buffer,
    stamps: Option<wgpu::QuerySet>,
    /// The view that was bound last, and how. A source has one or a few.
    bound: Mutex<Option<(wgpu::TextureView, wgpu::BindGroup)>>,
}

impl std::fmt::Debug for FrameRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameRing")
            .field("size", &self.size())
            .field("free", &self.free())
            .finish_non_exhaustive()
    }
}

impl FrameRing {
    /// Makes the buffers for pictures of `coded`.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(
        gpu: &Arc<Gpu>,
        converter: &Arc<Nv12Converter>,
        coded: Size,
    ) -> Result<Self, RingError> {
        let layout = Nv12Layout::new(coded).ok_or(RingError::Size(coded))?;
        let shared = Arc::new(Shared {
            gpu: Arc::clone(gpu),
            converter: Arc::clone(converter),
            layout,
            newest_cost: Mutex::new(None),
            newest: Mutex::default(),
            stamp_period: f64::from(gpu.queue().get_timestamp_period()),
        });
        let slots = gpu
            .checked(|| (0..SLOTS).map(|_| Arc::new(Slot::new(&shared))).collect())
            .map_err(RingError::Refused)?;
        Ok(Self { slots, shared })
    }

    /// The coded size.
    pub fn size(&self) -> Size {
        self.shared.layout.size()
    }

    /// Slots that are free.
    pub fn free(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.busy.load(Ordering::Acquire)).count()
    }

    /// Whether the device still works on the picture that was submitted last.
    pub fn is_drawing(&self) -> bool {
        let newest = self.shared.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.upgrade().is_some_and(|picture| picture.is_pending())
    }

    /// A free slot; `None` when all are held downstream.
    pub fn begin(&mut self) -> Option<SlotGuard> {
        let taken = |slot: &&Arc<Slot>| {
            slot.busy.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let slot = self.slots.iter().find(taken)?;
        Some(SlotGuard { lease: Lease(Arc::clone(slot)), recorded: None })
    }

    /// What the newest completed picture took, once each.
    pub fn take_cost(&self) -> Option<FrameCost> {
        self.shared.newest_cost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Slot {
    fn new(shared: &Arc<Shared>) -> Self {
        let gpu = &shared.gpu;
        let stamps = gpu.has_timestamps().then(|| {
            gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("nv12 pass"),
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            })
        });
        let buffer = |label, usage| {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: shared.stamps_at() + STAMP_BYTES,
                usage,
                mapped_at_creation: false,
            })
        };
        let written = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::QUERY_RESOLVE;
        let (storage, readable) = if gpu.maps_storage() {
            let one = buffer("nv12 slot", written | wgpu::BufferUsages::MAP_READ);
            (one.clone(), one)
        } else {
            (
                buffer("nv12 slot", written | wgpu::BufferUsages::COPY_SRC),
                buffer(
                    "nv12 read-back",
                    wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                ),
            )
        };
        Self {
            shared: Arc::clone(shared),
            busy: AtomicBool::new(false),
            storage,
            readable,
            stamps,
            bound: Mutex::new(None),
        }
    }

    fn bind(&self, picture: &wgpu::TextureView) -> wgpu::BindGroup {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((view, group)) = &*bound
            && view == picture
        {
            return group.clone();
        }
        let Shared { gpu, converter, layout, .. } = &*self.shared;
        let pixels = wgpu::BufferBinding {
            buffer: &self.storage,
            offset: 0,
            size: wgpu::BufferSize::new(layout.bytes()),
        };
        let group = converter.bind(gpu, picture, pixels);
        *bound = Some((picture.clone(), group.clone()));
        group
    }
}

impl Shared {
    fn stamps_at(&self) -> u64 {
        self.layout.bytes().next_multiple_of(STAMP_ALIGN)
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
struct Mapping {
    lease: Lease,
    internal: Size,
    recorded_at: Instant,
}

impl Mapping {
    fn slot(&self) -> &Slot {
        &self.lease.0
    }
}

impl Watched for Mapping {
    fn complete(&self, at: Instant) {
        let shared = &self.slot().shared;
        let time = at.saturating_duration_since(shared.gpu.busy_since(self.recorded_at, at));
        *shared.newest_cost.lock().unwrap_or_else(PoisonError::into_inner) =
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
    /// Records conversion and read-back, as the last thing before `encoder` is submitted. `view`
    /// shows encoded (non-linear) values; its upper left `internal` is the picture.
    pub fn encode(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        internal: Size,
    ) {
        let slot = &*self.lease.0;
        let shared = &*slot.shared;
        let bound = slot.bind(view);
        let stamp_writes = slot.stamps.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let layout = &shared.layout;
        shared.converter.encode(encoder, &bound, internal, layout, stamp_writes);
        if let Some(stamps) = &slot.stamps {
            encoder.resolve_query_set(stamps, 0..2, &slot.storage, shared.stamps_at());
        }
        if slot.storage != slot.readable {
            encoder.copy_buffer_to_buffer(&slot.storage, 0, &slot.readable, 0, None);
        }
        self.recorded = Some((internal, Instant::now()));
    }

    /// Turns the slot into an image, after the encoder was submitted as `submission`. `None` when
    /// nothing was recorded with [`encode`](Self::encode).
    pub fn submitted(self, submission: wgpu::SubmissionIndex) -> Option<Box<dyn FrameImage>> {
        let Self { lease, recorded } = self;
        let (internal, recorded_at) = recorded?;
        let mapping = Arc::new(Mapping { lease, internal, recorded_at });
        let slot = mapping.slot();
        let done = Arc::new(Completion::holding(Arc::clone(&mapping) as _));
        *slot.shared.newest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&done);
        let told = Arc::clone(&done);
        slot.readable.map_async(wgpu::MapMode::Read, .., move |mapped| {
            told.mapped(mapped.map(|()| Instant::now()).map_err(drop));
        });
        slot.shared.gpu.watch(submission, Arc::clone(&done));
        Some(Box::new(RingImage { pixels: None, mapping, done }))
    }
}

/// A picture in a slot.
struct RingImage {
    // Order matters: the view goes before the buffer is unmapped.
    pixels: Option<wgpu::BufferView>,
    mapping: Arc<Mapping>,
    done: Arc<Completion>,
}

impl RingImage {
    /// How long the colour pass ran, where the device measured it.
    fn pass_time(&self, pixels: &[u8]) -> Option<Duration> {
        let slot = self.mapping.slot();
        slot.stamps.as_ref()?;
        let at = usize::try_from(slot.shared.stamps_at()).ok()?;
        let stamp = |at: usize| Some(u64::from_le_bytes(*pixels.get(at..)?.first_chunk()?));
        // Zero or reversed stamps (a driver that does not write them) say nothing.
        let ticks = stamp(at + 8)?.checked_sub(stamp(at)?).filter(|&ticks| ticks > 0)?;
        Some(Duration::from_nanos((ticks as f64 * slot.shared.stamp_period) as u64))
    }

    fn lost(&self, reason: String) -> ImageError {
        ImageError::Lost(self.mapping.slot().shared.gpu.lost().unwrap_or(reason))
    }
}

impl FrameImage for RingImage {
    fn format(&self) -> PixelFormat {
        PixelFormat::Nv12
    }

    fn size(&self) -> Size {
        self.mapping.slot().shared.layout.size()
    }

    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        if self.pixels.is_some() {
            return Ok(());
        }
        let done = self.done.wait().map_err(|reason| self.lost(reason))?;
        let pixels = self
            .mapping
            .slot()
            .readable
            .get_mapped_range(..)
            .map_err(|error| self.lost(error.to_string()))?;
        // The completion's moment, on the media clock: it may be long past.
        let converted = clock.now() - done.elapsed();
        if let Some(pass) = self.pass_time(&pixels) {
            stages.mark(Mark::Drawn, converted - pass);
        }
        stages.mark(Mark::Converted, converted);
        self.pixels = Some(pixels);
        Ok(())
    }

    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        let pixels = self.pixels.as_ref().ok_or(ImageError::Unfinished)?;
        let layout = &self.mapping.slot().shared.layout;
        Ok(CpuImage {
            format: PixelFormat::Nv12,
            size: layout.size(),
            planes: layout.planes(pixels),
        })
    }

    /// Always `None`: the slot is read back to the CPU.
    fn shared(&self) -> Option<SharedImage<'_>> {
        None
    }

    /// Always `None`: a buffer mapped for reading stays as it is.
    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        None
    }
}
