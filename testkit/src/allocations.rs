//! What chosen threads allocate, or how much a process holds: allocators for the binary of a test or a bench, which count.
//!
//! There is one allocator in a process, so a test that counts is a binary of its own. What is counted is
//! what Rust allocates; C libraries, and libraries that are opened at run time, have their own.
#![expect(unsafe_code, reason = "an allocator is; each call goes to the system's as it came")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Where the first one came from.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    /// Whether this thread is one of those; `None` when nobody looked yet. Needs no destructor and
    /// no memory, so it is there for as long as the thread is.
    static COUNTED: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The system's allocator, counted.
#[derive(Debug)]
pub struct Counting {
    threads: &'static [&'static str],
}

/// What was allocated between [`begin`] and [`end`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// How many there were.
    pub count: u64,
    /// Where the first one came from.
    pub first: Option<String>,
}

/// Counts from now on.
pub fn begin() {
    COUNTING.store(false, Ordering::SeqCst);
    ALLOCATIONS.store(0, Ordering::SeqCst);
    FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
    COUNTING.store(true, Ordering::SeqCst);
}

/// Counts no more, and tells what came together. Zero where no [`Counting`] is the allocator.
pub fn end() -> Allocations {
    COUNTING.store(false, Ordering::SeqCst);
    let first = FIRST.lock().unwrap_or_else(PoisonError::into_inner).take();
    Allocations { count: ALLOCATIONS.load(Ordering::SeqCst), first }
}

impl Counting {
    /// Counts threads whose names begin with one of these.
    pub const fn on(threads: &'static [&'static str]) -> Self {
        Self { threads }
    }

    fn count(&self) {
        if !COUNTING.load(Ordering::Relaxed) {
            return;
        }
        // What is asked and written down here may allocate in turn, which must not come back.
        let counted = COUNTED.replace(Some(false)).unwrap_or_else(|| {
            let thread = std::thread::current();
            thread.name().is_some_and(|name| self.threads.iter().any(|each| name.starts_with(each)))
        });
        if counted && ALLOCATIONS.fetch_add(1, Ordering::Relaxed) == 0 {
            let place = Backtrace::force_capture().to_string();
            *FIRST.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        }
        COUNTED.set(Some(counted));
    }
}

// SAFETY: the system's allocator keeps the contract, and gets every argument unchanged. Counting
// neither unwinds nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes that are held, and the most that were since [`Held::begin`].
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST_HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which knows how much the whole process holds of it.
#[derive(Debug)]
pub struct Holding;

/// A stretch of time in which a process may come to hold more.
#[derive(Debug)]
pub struct Held {
    before: usize,
}

impl Held {
    /// It begins now; one at a time.
    pub fn begin() -> Self {
        let before = HELD.load(Ordering::SeqCst);
        MOST_HELD.store(before, Ordering::SeqCst);
        Self { before }
    }

    /// Bytes that were held beyond those at the beginning, when it was most. Zero where no [`Holding`] is the allocator.
    pub fn most(&self) -> usize {
        MOST_HELD.load(Ordering::SeqCst).saturating_sub(self.before)
    }
}

impl Holding {
    fn grows(bytes: usize) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        MOST_HELD.fetch_max(held, Ordering::Relaxed);
    }

    fn shrinks(bytes: usize) {
        HELD.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: as of `Counting`.
unsafe impl GlobalAlloc for Holding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grows(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::grows(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::grows(size);
        Self::shrinks(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Self::shrinks(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}
