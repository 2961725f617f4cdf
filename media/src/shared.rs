//! Pictures in memory of a graphics device that another API of the same device can read in place.
//!
//! It names no graphics API and opens nothing: whoever allocates fills these in, whoever imports
//! reads them. File descriptors are Linux's opaque ones (Vulkan's
//! `VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT`, CUDA's `CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`):
//! they mean something only to drivers of the device that made them. Used wrongly (a slot written
//! while an encoder reads it, another size at import than at allocation) pictures tear, or the driver
//! refuses.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use crate::{PixelFormat, Size};

/// A graphics device, as every API of it names it (`VkPhysicalDeviceIDProperties::deviceUUID`,
/// `cuDeviceGetUuid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub [u8; 16]);

/// An allocation or a semaphore within this process. Never used again, so importers may keep what
/// they imported under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryId(pub u64);

impl MemoryId {
    /// One that nothing else in this process has.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Only that no number comes twice matters.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Memory of a device that another API of the same device can import.
#[derive(Debug)]
pub struct SharedMemory {
    /// What importers know it by.
    pub id: MemoryId,
    /// The device that it lies on.
    pub device: DeviceId,
    /// The allocation. An importer that takes ownership is given a duplicate.
    pub fd: OwnedFd,
    /// Bytes as allocated, which an importer must repeat; more than the picture takes.
    pub bytes: u64,
    /// The allocation holds this buffer alone (`VkMemoryDedicatedAllocateInfo`), which an importer
    /// must repeat too.
    pub dedicated: bool,
}

/// Where a plane lies in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedPlane {
    /// Bytes from the start of the memory.
    pub offset: u64,
    /// Bytes from one row to the next.
    pub stride: u32,
}

/// A borrowed picture in shared memory. Planes follow one another without a gap, as encoders that
/// take one pointer and one stride expect: each begins `stride * rows` after the one before it.
#[derive(Clone, Debug)]
pub struct SharedImage<'a> {
    /// The memory, kept by whoever imported it for as long as the import lives.
    pub memory: &'a Arc<SharedMemory>,
    /// Layout.
    pub format: PixelFormat,
    /// Width and height in pixels.
    pub size: Size,
    /// Planes in the order of the format.
    pub planes: SmallVec<[SharedPlane; 3]>,
    /// Signalled when the pixels are complete; none where
    /// [`FrameImage::finish`](crate::FrameImage::finish) must come first.
    pub ready: Option<SharedSignal<'a>>,
}

/// The moment that a semaphore stands for.
#[derive(Clone, Copy, Debug)]
pub struct SharedSignal<'a> {
    /// The semaphore.
    pub semaphore: &'a Arc<SharedSemaphore>,
    /// The value that a timeline semaphore reaches; none for a binary one.
    pub value: Option<u64>,
}

/// A semaphore of a device that another API of the same device can wait for.
#[derive(Debug)]
pub struct SharedSemaphore {
    /// What importers know it by.
    pub id: MemoryId,
    /// The device that signals it.
    pub device: DeviceId,
    /// The semaphore. An importer that takes ownership is given a duplicate.
    pub fd: OwnedFd,
    /// How it is signalled.
    pub kind: SemaphoreKind,
}

/// How a semaphore is signalled.
#[derive(Debug)]
pub enum SemaphoreKind {
    /// It counts up (`VK_SEMAPHORE_TYPE_TIMELINE`) and is waited for by a value.
    Timeline,
    /// It is signalled and waited for by turns (`VK_SEMAPHORE_TYPE_BINARY`).
    Binary(Turns),
}

/// Where a binary semaphore is between two signals: it must be waited for exactly once, and a picture that is
/// dropped on its way is waited for by nobody. So both sides say what they do.
///
/// ```text
/// free ─ signalled ─▶ signalled ─ take ─▶ taken ─ settle ─▶ free
/// ```
/// What stays taken, since its reader failed, is never signalled again.
#[derive(Debug, Default)]
pub struct Turns(Mutex<Turn>);

/// A state of [`Turns`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// Nothing signals it, and nobody waits for it.
    #[default]
    Free,
    /// A submission signals it, and nobody waits for it yet.
    Signalled,
    /// A reader's device waits for it, or did so.
    Taken,
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Turn> {
        // A word is never half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is.
    pub fn now(&self) -> Turn {
        *self.lock()
    }

    /// A submission was made that signals it.
    pub fn signalled(&self) {
        *self.lock() = Turn::Signalled;
    }

    /// Takes the one wait that its signal is for: `false` where there is none to take.
    pub fn take(&self) -> bool {
        let mut turn = self.lock();
        let theirs = *turn == Turn::Signalled;
        if theirs {
            *turn = Turn::Taken;
        }
        theirs
    }

    /// The wait that was taken is over.
    pub fn settle(&self) {
        let mut turn = self.lock();
        if *turn == Turn::Taken {
            *turn = Turn::Free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_for_one_wait() {
        let turns = Turns::default();
        assert!(!turns.take(), "nothing signals it");
        turns.settle();
        assert_eq!(turns.now(), Turn::Free);
        for _ in 0..2 {
            turns.signalled();
            turns.settle();
            assert_eq!(turns.now(), Turn::Signalled, "nobody waited for it");
            assert!(turns.take());
            assert!(!turns.take(), "somebody waits for it");
            assert_eq!(turns.now(), Turn::Taken);
            turns.settle();
            assert_eq!(turns.now(), Turn::Free);
        }
    }

    #[test]
    fn no_two_allocations_have_one_id() {
        let (first, second) = (MemoryId::next(), MemoryId::next());
        assert_ne!(first, second);
    }
}
