//! The way of a picture from the device to the encoder's thread: a ring of three slots, used again and
//! again.
//!
//! Where the CPU reads the pictures, a slot is a buffer that the colour pass writes and one that is
//! mapped (the same one where the device allows). Where an encoder on the device reads them, it is a
//! buffer in shared memory, and only the pass's timestamps are mapped.
//!
//! ```text
//! free ─ begin ─▶ being recorded ─ submitted ─▶ in flight ─ finish ─▶ mapped
//!   ▲                 │ drop          drop, once complete │             │ drop
//!   └─────────────────┴───────────────────────────────────┴─────────────┘
//! ```
//! Nothing here waits on the drawing thread. Used wrongly (images kept for ever) the slots run out
//! and [`FrameRing::begin`] yields `None`, which a source reports as `NoFreeSlot`.

mod image;
mod slot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use media::{PictureKind, Size};
use smallvec::SmallVec;
use thiserror::Error;

use crate::device::{Completion, Gpu};
use crate::export::{Exporter, SharedTimeline, Signalling};
use crate::picture::{CPU_ALIGN, Pass, PictureConverter, PictureLayout, SHARED_ALIGN};

use slot::Slot;
pub use slot::SlotGuard;

/// One being drawn, one in the mailbox, one at the encoder.
const SLOTS: usize = 3;

/// Why a ring could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RingError {
    /// No picture of that size can be made.
    #[error("a picture of {0} cannot be coded: both sides must be even and at most 16384")]
    Size(Size),
    /// Nothing makes pictures of that kind.
    #[error("pictures of {:?} in {:?} are not made", .0.format, .0.color)]
    Kind(PictureKind),
    /// The device has no room, or is lost.
    #[error("the graphics device refused the buffers of a picture ring: {0}")]
    Refused(String),
    /// The device has no memory that an encoder could read.
    #[error("the graphics device cannot share pictures: {0}")]
    Unshared(String),
}

/// Who reads the pictures of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// The CPU.
    Cpu,
    /// An API of the same device, in place. The CPU can read them too, at the price of a copy.
    Shared,
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
    common: Arc<Common>,
    kind: PictureKind,
    sharing: Sharing,
}

/// What all slots of a ring use.
struct Common {
    gpu: Arc<Gpu>,
    converter: Arc<PictureConverter>,
    pass: Pass,
    layout: PictureLayout,
    newest_cost: Mutex<Option<FrameCost>>,
    /// The picture that was submitted last, while anybody holds it.
    newest: Mutex<Weak<Completion>>,
    /// Signalled by the end of each shared picture, where the device can.
    timeline: Option<SharedTimeline>,
    /// Each slot has a semaphore of its own for that.
    binary: bool,
    /// Nanoseconds of a timestamp's unit.
    stamp_period: f64,
    /// Shared pictures that were copied for the CPU after all.
    readbacks: AtomicU64,
}

impl std::fmt::Debug for FrameRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameRing")
            .field("size", &self.size())
            .field("sharing", &self.sharing)
            .field("free", &self.free())
            .finish_non_exhaustive()
    }
}

impl FrameRing {
    /// Makes the buffers for pictures of `coded` size and of a kind.
    ///
    /// # Errors
    /// See [`RingError`].
    pub fn new(
        gpu: &Arc<Gpu>,
        converter: &Arc<PictureConverter>,
        coded: Size,
        kind: PictureKind,
        sharing: Sharing,
    ) -> Result<Self, RingError> {
        let align = match sharing {
            Sharing::Cpu => CPU_ALIGN,
            Sharing::Shared => SHARED_ALIGN,
        };
        let pass = gpu.checked(|| converter.pass(gpu, kind)).map_err(RingError::Refused)?;
        let pass = pass.ok_or(RingError::Kind(kind))?;
        let layout = PictureLayout::new(kind.format, coded, align).ok_or(RingError::Size(coded))?;
        let exporter = match sharing {
            Sharing::Cpu => None,
            Sharing::Shared => {
                Some(gpu.exporter().map_err(|reason| RingError::Unshared(reason.to_owned()))?)
            }
        };
        let (timeline, binary) = exporter.map_or((None, false), signalling);
        let common = Arc::new(Common {
            gpu: Arc::clone(gpu),
            converter: Arc::clone(converter),
            pass,
            layout,
            newest_cost: Mutex::new(None),
            newest: Mutex::default(),
            timeline,
            binary,
            stamp_period: f64::from(gpu.queue().timestamp_period()),
            readbacks: AtomicU64::new(0),
        });
        let make = || {
            let slot = |_| match exporter {
                None => Ok(Slot::for_cpu(&common)),
                Some(exporter) => Slot::shared(&common, exporter),
            };
            (0..SLOTS).map(|number| slot(number).map(Arc::new)).collect::<Result<_, String>>()
        };
        let slots = gpu.checked(make).flatten().map_err(RingError::Refused)?;
        Ok(Self { slots, common, kind, sharing })
    }

    /// The coded size.
    pub fn size(&self) -> Size {
        self.common.layout.size()
    }

    /// What its pictures are.
    pub fn kind(&self) -> PictureKind {
        self.kind
    }

    /// Who reads the pictures.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Slots that are free.
    pub fn free(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_free()).count()
    }

    /// Whether the device still works on the picture that was submitted last.
    pub fn is_drawing(&self) -> bool {
        let newest = self.common.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.upgrade().is_some_and(|picture| picture.is_pending())
    }

    /// A free slot; `None` when all are held downstream.
    pub fn begin(&mut self) -> Option<SlotGuard> {
        self.slots.iter().find_map(SlotGuard::take)
    }

    /// What the newest completed picture took, once each.
    pub fn take_cost(&self) -> Option<FrameCost> {
        self.common.newest_cost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Pictures in shared memory that were mapped, and so copied for the CPU after all. It stays 0
    /// where the encoder reads them in place.
    pub fn readbacks(&self) -> u64 {
        self.common.readbacks.load(Ordering::Relaxed)
    }
}

/// What tells readers on the device that a picture is complete: a timeline, or a semaphore of each slot.
/// Without either they wait for a fence.
fn signalling(exporter: &Exporter) -> (Option<SharedTimeline>, bool) {
    let made = exporter.signalling().map_err(str::to_owned).and_then(|signalling| {
        let timeline = match signalling {
            Signalling::Timeline => Some(exporter.timeline()?),
            Signalling::Binary => None,
        };
        Ok((timeline, signalling))
    });
    match made {
        Ok((timeline, signalling)) => {
            tracing::info!("the end of shared pictures is signalled by {signalling}");
            (timeline, signalling == Signalling::Binary)
        }
        Err(reason) => {
            tracing::info!(reason, "the end of shared pictures is waited for by a fence");
            (None, false)
        }
    }
}
