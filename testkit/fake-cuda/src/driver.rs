//! What the driver knows: contexts, imports, what it was told to do, and which rules were broken.
//!
//! Handles are numbers that are looked up and never followed. Device addresses are no addresses of
//! this process, as on a real device: who follows one crashes at once instead of being lucky.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstat;

use crate::CONTROL;
use crate::memory::Allocation;
use crate::stream::{Pending, Semaphore};
use crate::sys::{
    BufferDescription, CONTEXT_IS_DESTROYED, Copy2d, DEDICATED, DEVICE, HOST, HandleDescription,
    INVALID_CONTEXT, INVALID_DEVICE, INVALID_HANDLE, INVALID_VALUE, NOT_INITIALIZED, NOT_SUPPORTED,
    OPAQUE_FD, Side,
};

/// Between two buffers nothing is mapped, so that a copy beyond one never lands in the next.
const GAP: u64 = 2 << 20;
/// The device, unless a test gives it another name.
const UUID: [u8; 16] = *b"nearlight-fake-0";
const FIRST_ADDRESS: u64 = 0x2_0000_0000;

/// Memory that is mapped for the device.
struct Buffer {
    memory: u64,
    allocation: Arc<Allocation>,
    offset: u64,
    bytes: u64,
}

/// A descriptor that an import left to its caller, and the file that it had.
struct Left {
    fd: i32,
    file: (u64, u64),
}

/// Where an address lies.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    /// The import's handle.
    pub(crate) memory: u64,
    /// Bytes from the start of what was imported.
    pub(crate) offset: u64,
    /// Bytes from there to the end of the buffer.
    pub(crate) bytes: u64,
}

/// The driver's state.
pub(crate) struct Driver {
    pub(crate) init_answers: u32,
    pub(crate) version: i32,
    pub(crate) devices: i32,
    pub(crate) uuid: [u8; 16],
    /// A device that is listed before it, and is none.
    pub(crate) other: Option<[u8; 16]>,
    pub(crate) initialised: bool,
    /// The call in progress, by which broken rules are named.
    pub(crate) call: &'static str,
    /// Owners of the primary context, the only one there is.
    retained: u32,
    /// How often it lies on a thread's stack of contexts.
    pushed: BTreeMap<u64, u32>,
    memories: BTreeMap<u64, Arc<Allocation>>,
    buffers: BTreeMap<u64, Buffer>,
    pub(crate) semaphores: BTreeMap<u64, Semaphore>,
    /// Every stream with what it waits for.
    pub(crate) streams: BTreeMap<u64, Vec<Pending>>,
    /// Handles and addresses that were valid once.
    pub(crate) gone: BTreeSet<u64>,
    left: Vec<Left>,
    handles: u64,
    next_address: u64,
}

impl Driver {
    pub(crate) fn new(version: i32) -> Self {
        Self {
            init_answers: 0,
            version,
            devices: 1,
            uuid: UUID,
            other: None,
            initialised: false,
            call: "",
            retained: 0,
            pushed: BTreeMap::new(),
            memories: BTreeMap::new(),
            buffers: BTreeMap::new(),
            semaphores: BTreeMap::new(),
            streams: BTreeMap::new(),
            gone: BTreeSet::new(),
            left: Vec::new(),
            handles: 0,
            next_address: FIRST_ADDRESS,
        }
    }

    /// The number of the device, which is also its handle.
    pub(crate) fn device(&self) -> i32 {
        self.other.is_some().into()
    }

    /// The UUID of the device of this number, or of the one that is listed before it.
    ///
    /// # Errors
    /// Where there is no such device.
    pub(crate) fn uuid_of(&self, device: i32) -> Result<[u8; 16], u32> {
        match self.other {
            Some(other) if device == 0 => Ok(other),
            _ if device == self.device() => Ok(self.uuid),
            _ => Err(INVALID_DEVICE),
        }
    }

    /// # Errors
    /// Where this is not the device.
    pub(crate) fn is_device(&self, device: i32) -> Result<(), u32> {
        if device == self.device() { Ok(()) } else { Err(INVALID_DEVICE) }
    }

    /// What nobody has given back yet.
    pub(crate) fn leftovers_text(&self) -> String {
        let pushed: u32 = self.pushed.values().sum();
        let open = self.left.iter().filter(|left| file_of(left.fd) == Some(left.file)).count();
        let counts = [
            (self.retained as usize, "primary context not released"),
            (pushed as usize, "context not popped"),
            (self.memories.len(), "external memory not destroyed"),
            (self.buffers.len(), "mapped buffer not freed"),
            (self.semaphores.len(), "external semaphore not destroyed"),
            (self.streams.len(), "stream not destroyed"),
            (open, "fd of a failed import not closed"),
        ];
        let left = counts.iter().filter(|(count, _)| *count > 0);
        left.map(|(count, what)| format!("{count} x {what}\n")).collect()
    }

    /// Records a broken rule.
    pub(crate) fn broke(&self, rule: &str) {
        CONTROL.broke(self.call, rule);
    }

    pub(crate) fn refuse(&self, status: u32, rule: &str) -> u32 {
        self.broke(rule);
        status
    }

    pub(crate) fn ready(&self) -> Result<(), u32> {
        if self.initialised { Ok(()) } else { Err(NOT_INITIALIZED) }
    }

    fn depth(&mut self) -> &mut u32 {
        self.pushed.entry(this_thread()).or_default()
    }

    /// Calls that work on memory need a context of this thread.
    pub(crate) fn current(&mut self) -> Result<(), u32> {
        self.ready()?;
        if *self.depth() == 0 {
            return Err(self.refuse(INVALID_CONTEXT, "no context is current on this thread"));
        }
        if self.retained == 0 {
            let rule = "the context that is current was released";
            return Err(self.refuse(CONTEXT_IS_DESTROYED, rule));
        }
        Ok(())
    }

    pub(crate) fn retain(&mut self) -> Result<(), u32> {
        self.ready()?;
        self.retained += 1;
        Ok(())
    }

    pub(crate) fn release(&mut self) -> Result<(), u32> {
        self.ready()?;
        match self.retained {
            0 => {
                let rule = "the primary context was released more often than retained";
                return Err(self.refuse(INVALID_CONTEXT, rule));
            }
            1 => {
                // The driver would take all of it away.
                if !self.memories.is_empty() || !self.buffers.is_empty() {
                    self.broke("the context goes while it has external memory");
                }
                if !self.semaphores.is_empty() || !self.streams.is_empty() {
                    self.broke("the context goes while it has streams or semaphores");
                }
                if self.pushed.values().any(|depth| *depth > 0) {
                    self.broke("the context goes while it is current on a thread");
                }
            }
            _ => {}
        }
        self.retained -= 1;
        Ok(())
    }

    pub(crate) fn push(&mut self, context: usize, primary: usize) -> Result<(), u32> {
        self.ready()?;
        if context == 0 {
            return Err(self.refuse(INVALID_VALUE, "no context"));
        }
        if context != primary {
            return Err(self.refuse(INVALID_HANDLE, "unknown context"));
        }
        if self.retained == 0 {
            return Err(self.refuse(CONTEXT_IS_DESTROYED, "the context is not retained"));
        }
        *self.depth() += 1;
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Result<(), u32> {
        self.ready()?;
        let depth = self.depth();
        if *depth == 0 {
            return Err(self.refuse(INVALID_CONTEXT, "nothing to pop on this thread"));
        }
        *depth -= 1;
        Ok(())
    }

    /// Takes the descriptor over, on success alone.
    pub(crate) fn import(&mut self, what: &HandleDescription) -> Result<u64, u32> {
        self.current()?;
        if what.kind != OPAQUE_FD {
            return Err(NOT_SUPPORTED);
        }
        if what.flags & !DEDICATED != 0 || what.reserved != [0; 16] {
            return Err(self.refuse(INVALID_VALUE, "unknown flags, or reserved words not zero"));
        }
        let Some(fd) = borrowed(what.handle.fd) else {
            return Err(self.refuse(INVALID_VALUE, "no fd"));
        };
        let allocation = match Allocation::map(fd, what.size) {
            Ok(allocation) => allocation,
            Err(rule) => return Err(self.refuse(INVALID_VALUE, &rule)),
        };
        // SAFETY: it is open, as mapping it showed, and by `cuda.h` the importer gives it away.
        drop(unsafe { OwnedFd::from_raw_fd(what.handle.fd) });
        self.taken(what.handle.fd);
        let handle = self.next_handle();
        self.memories.insert(handle, Arc::new(allocation));
        Ok(handle)
    }

    /// An import took a descriptor.
    pub(crate) fn taken(&mut self, fd: i32) {
        self.left.retain(|left| left.fd != fd);
    }

    pub(crate) fn next_handle(&mut self) -> u64 {
        self.handles += 1;
        // No address that anything could be at.
        0xfa4e_0000_0000_0000 | self.handles << 4
    }

    /// Remembers a descriptor that an import did not take, which its caller has to close.
    pub(crate) fn left_open(&mut self, fd: i32) {
        if let Some(file) = file_of(fd) {
            self.left.retain(|left| left.fd != fd);
            self.left.push(Left { fd, file });
        }
    }

    pub(crate) fn map(&mut self, memory: u64, what: &BufferDescription) -> Result<u64, u32> {
        self.current()?;
        let Some(allocation) = self.memories.get(&memory).cloned() else {
            return Err(self.unknown("external memory", INVALID_HANDLE, memory));
        };
        if what.flags != 0 || what.reserved != [0; 16] {
            return Err(self.refuse(INVALID_VALUE, "flags or reserved words not zero"));
        }
        let end = what.offset.checked_add(what.size);
        if what.size == 0 || end.is_none_or(|end| end > allocation.bytes) {
            return Err(self.refuse(INVALID_VALUE, "the buffer is not within the memory"));
        }
        let address = self.next_address;
        self.next_address += what.size.next_multiple_of(GAP) + GAP;
        let buffer = Buffer { memory, allocation, offset: what.offset, bytes: what.size };
        self.buffers.insert(address, buffer);
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), u32> {
        self.current()?;
        if self.buffers.remove(&address).is_none() {
            return Err(self.unknown("device pointer", INVALID_VALUE, address));
        }
        self.gone.insert(address);
        Ok(())
    }

    pub(crate) fn destroy(&mut self, memory: u64) -> Result<(), u32> {
        self.current()?;
        if self.memories.remove(&memory).is_none() {
            return Err(self.unknown("external memory", INVALID_HANDLE, memory));
        }
        self.gone.insert(memory);
        // `cuda.h` lets buffers be freed later, when nobody may touch them any more. We free first.
        if self.buffers.values().any(|buffer| buffer.memory == memory) {
            self.broke("destroyed before its buffer was freed");
        }
        Ok(())
    }

    pub(crate) fn unknown(&mut self, what: &str, status: u32, value: u64) -> u32 {
        let known = if self.gone.contains(&value) { "already released" } else { "unknown" };
        self.refuse(status, &format!("{known} {what}"))
    }

    /// The buffer that holds all of a range, and how far into it the range begins.
    fn buffer(&self, address: u64, bytes: u64) -> Option<(&Buffer, u64)> {
        let (start, buffer) = self.buffers.range(..=address).next_back()?;
        let within = address - start;
        let fits = within.checked_add(bytes).is_some_and(|end| end <= buffer.bytes);
        // What was destroyed must no longer be used.
        (fits && self.memories.contains_key(&buffer.memory)).then_some((buffer, within))
    }

    pub(crate) fn origin(&mut self, address: u64, bytes: u64) -> Result<Origin, u32> {
        match self.buffer(address, bytes) {
            Some((buffer, within)) => Ok(Origin {
                memory: buffer.memory,
                offset: buffer.offset + within,
                bytes: buffer.bytes - within,
            }),
            None => Err(self.refuse(INVALID_VALUE, "device memory that is not mapped")),
        }
    }

    /// Address in this process of a range of device memory; good for as long as `self` is locked.
    pub(crate) fn host(&mut self, address: u64, bytes: u64) -> Result<*mut u8, u32> {
        match self.buffer(address, bytes) {
            Some((buffer, within)) => Ok(buffer.allocation.at(buffer.offset + within)),
            None => Err(self.refuse(INVALID_VALUE, "device memory that is not mapped")),
        }
    }

    /// Copies rows.
    ///
    /// # Safety
    /// Host memory is there for every row that is named.
    pub(crate) unsafe fn copy(&mut self, what: &Copy2d) -> Result<(), u32> {
        self.current()?;
        let (width, height) = (what.width, what.height);
        if width == 0 || height == 0 {
            return Ok(());
        }
        let from = self.first_byte(&what.from, width, height)?;
        let to = self.first_byte(&what.to, width, height)?;
        for row in 0..height {
            // SAFETY: `first_byte` checked that all rows lie in one buffer, which stays mapped while the
            // driver is locked; for host memory it is the caller's word. `copy` allows overlaps.
            unsafe {
                let from = from.wrapping_add(row * what.from.pitch);
                std::ptr::copy(from, to.wrapping_add(row * what.to.pitch), width);
            }
        }
        Ok(())
    }

    fn first_byte(&mut self, side: &Side, width: usize, height: usize) -> Result<*mut u8, u32> {
        let row = side.x.checked_add(width);
        if row.is_none_or(|row| row > side.pitch) {
            return Err(self.refuse(INVALID_VALUE, "the pitch is less than a row"));
        }
        let first = side.y.checked_mul(side.pitch).and_then(|rows| rows.checked_add(side.x));
        let extent = (height - 1).checked_mul(side.pitch).and_then(|rows| rows.checked_add(width));
        let (Some(first), Some(extent)) = (first, extent) else {
            return Err(self.refuse(INVALID_VALUE, "rows beyond all memory"));
        };
        match side.kind {
            HOST if side.host.is_null() => Err(self.refuse(INVALID_VALUE, "no host memory")),
            HOST => Ok(side.host.wrapping_add(first)),
            DEVICE => match side.device.checked_add(first as u64) {
                Some(address) => self.host(address, extent as u64),
                None => Err(self.refuse(INVALID_VALUE, "rows beyond all memory")),
            },
            _ => Err(NOT_SUPPORTED),
        }
    }
}

/// A number of the calling thread. `std::thread::current` would leave a destructor with the thread, to be
/// run when this library may be closed.
fn this_thread() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(0) };
    }
    if NUMBER.get() == 0 {
        NUMBER.set(THREADS.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}

pub(crate) fn borrowed<'a>(fd: i32) -> Option<BorrowedFd<'a>> {
    // SAFETY: not negative. Whether it is open is asked of the kernel before anything else, and it is
    // the importer's to keep open for the length of the call.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// What tells the file of an open descriptor from others.
fn file_of(fd: i32) -> Option<(u64, u64)> {
    let file = fstat(borrowed(fd)?).ok()?;
    Some((file.st_dev, file.st_ino))
}
