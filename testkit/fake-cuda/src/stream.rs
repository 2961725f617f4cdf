//! Streams and the semaphores that they wait for.
//!
//! A stream here has nothing in it but waits: whoever works in it (the double of NVENC) asks whether those
//! that came before are over. No driver at hand exports semaphores, so a file stands for one.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::driver::{Driver, borrowed};
use crate::memory::Allocation;
use crate::sys::{
    BINARY_SEMAPHORE_FD, INVALID_HANDLE, INVALID_VALUE, NON_BLOCKING, NOT_READY, NOT_SUPPORTED,
    SemaphoreDescription, TIMELINE_SEMAPHORE_FD, WaitDescription,
};

/// An imported semaphore.
pub(crate) struct Semaphore {
    file: Arc<Allocation>,
    /// What was waited for last; of a binary one how often it was.
    newest: u64,
    binary: bool,
}

impl Semaphore {
    /// Signals of a binary one that were submitted: its second word.
    fn submitted(&self) -> u64 {
        // SAFETY: the import of a binary one has sixteen bytes at least; else as in `Pending::is_over`.
        let submitted = unsafe { AtomicU64::from_ptr(self.file.at(8).cast()) };
        submitted.load(Ordering::Acquire)
    }
}

/// A wait in a stream.
pub(crate) struct Pending {
    semaphore: u64,
    file: Arc<Allocation>,
    value: u64,
}

impl Pending {
    fn is_over(&self) -> bool {
        // SAFETY: the import has eight bytes at least, and mappings begin at a page. The other side writes
        // them as one word, too.
        let reached = unsafe { AtomicU64::from_ptr(self.file.at(0).cast()) };
        reached.load(Ordering::Acquire) >= self.value
    }
}

impl Driver {
    pub(crate) fn create_stream(&mut self, flags: u32) -> Result<u64, u32> {
        self.current()?;
        if flags & !NON_BLOCKING != 0 {
            return Err(self.refuse(INVALID_VALUE, "unknown flags"));
        }
        let handle = self.next_handle();
        self.streams.insert(handle, Vec::new());
        Ok(handle)
    }

    pub(crate) fn destroy_stream(&mut self, stream: u64) -> Result<(), u32> {
        self.current()?;
        if self.streams.remove(&stream).is_none() {
            return Err(self.unknown("stream", INVALID_HANDLE, stream));
        }
        self.gone.insert(stream);
        Ok(())
    }

    /// Takes the descriptor over, on success alone.
    pub(crate) fn import_semaphore(&mut self, what: &SemaphoreDescription) -> Result<u64, u32> {
        self.current()?;
        let words = match what.kind {
            TIMELINE_SEMAPHORE_FD => 1,
            BINARY_SEMAPHORE_FD => 2,
            _ => return Err(NOT_SUPPORTED),
        };
        if what.flags != 0 || what.reserved != [0; 16] {
            return Err(self.refuse(INVALID_VALUE, "flags or reserved words not zero"));
        }
        let Some(fd) = borrowed(what.handle.fd) else {
            return Err(self.refuse(INVALID_VALUE, "no fd"));
        };
        let file = match Allocation::map(fd, words * size_of::<u64>() as u64) {
            Ok(file) => Arc::new(file),
            Err(rule) => return Err(self.refuse(INVALID_VALUE, &rule)),
        };
        // SAFETY: it is open, as mapping it showed, and by `cuda.h` the importer gives it away.
        drop(unsafe { OwnedFd::from_raw_fd(what.handle.fd) });
        self.taken(what.handle.fd);
        let handle = self.next_handle();
        self.semaphores.insert(handle, Semaphore { file, newest: 0, binary: words == 2 });
        Ok(handle)
    }

    pub(crate) fn destroy_semaphore(&mut self, semaphore: u64) -> Result<(), u32> {
        self.current()?;
        if self.semaphores.remove(&semaphore).is_none() {
            return Err(self.unknown("external semaphore", INVALID_HANDLE, semaphore));
        }
        self.gone.insert(semaphore);
        let mut waits = self.streams.values().flatten();
        if waits.any(|wait| wait.semaphore == semaphore && !wait.is_over()) {
            self.broke("destroyed while a stream waits for it");
        }
        Ok(())
    }

    pub(crate) fn wait(
        &mut self,
        semaphore: u64,
        what: &WaitDescription,
        stream: u64,
    ) -> Result<(), u32> {
        self.current()?;
        if !self.streams.contains_key(&stream) {
            return Err(self.unknown("stream", INVALID_HANDLE, stream));
        }
        let Some(known) = self.semaphores.get_mut(&semaphore) else {
            return Err(self.unknown("external semaphore", INVALID_HANDLE, semaphore));
        };
        let newest = known.newest;
        // The n-th wait for a binary one is over with its n-th signal, and has no value.
        let value = if known.binary { newest + 1 } else { what.value };
        let unsignalled = known.binary && known.submitted() < value;
        let valued = known.binary && what.value != 0;
        if !unsignalled && !valued {
            known.newest = newest.max(value);
        }
        let wait = Pending { semaphore, file: Arc::clone(&known.file), value };
        let unused = (what.unused, what.reserved, what.flags, what.reserved_too);
        if unused != ([0; 3], [0; 10], 0, [0; 16]) {
            return Err(self.refuse(INVALID_VALUE, "words of other semaphores not zero"));
        }
        if valued {
            return Err(self.refuse(INVALID_VALUE, "a value for a binary semaphore"));
        }
        if unsignalled {
            return Err(
                self.refuse(INVALID_VALUE, "a second wait for one signal, or a first for none")
            );
        }
        if value < newest {
            self.broke("a value below one that was waited for before");
        }
        self.streams.entry(stream).or_default().push(wait);
        Ok(())
    }

    /// How much is in a stream, for who adds to it.
    pub(crate) fn waits(&mut self, stream: u64) -> Result<u64, u32> {
        match self.streams.get(&stream) {
            Some(waits) => Ok(waits.len() as u64),
            None => Err(self.unknown("stream", INVALID_HANDLE, stream)),
        }
    }

    /// Whether the first `count` waits of a stream are over.
    pub(crate) fn reached(&mut self, stream: u64, count: u64) -> Result<(), u32> {
        let Some(waits) = self.streams.get(&stream) else {
            return Err(self.unknown("stream", INVALID_HANDLE, stream));
        };
        let over = waits.iter().take(count as usize).all(Pending::is_over);
        if over { Ok(()) } else { Err(NOT_READY) }
    }
}
