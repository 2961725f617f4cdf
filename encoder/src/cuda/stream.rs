//! A queue of the device's work that waits for semaphores of another interface.
#![expect(unsafe_code, reason = "functions of a C library are called; confined to this module")]

use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr::null_mut;
use std::sync::Arc;

use media::{MemoryId, SemaphoreKind, SharedSemaphore, SharedSignal};

use super::context::{Context, warn};
use super::loader::WaitFunctions;
use super::sys::{
    BINARY_SEMAPHORE_FD, CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC, CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
    CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES, CUexternalHandle, CUexternalSemaphore, CUstream,
    NON_BLOCKING, TIMELINE_SEMAPHORE_FD,
};
use super::{Failure, Unavailable};

/// A queue of a context. What it was told to wait for must come: it goes only then.
pub(crate) struct Stream {
    context: Arc<Context>,
    functions: WaitFunctions,
    /// In a place of its own: NVENC is told where it lies.
    handle: Box<CUstream>,
    /// The one waited for last is the last.
    imported: Vec<Imported>,
    /// Semaphores that are kept.
    room: usize,
}

/// A semaphore that was imported.
struct Imported {
    id: MemoryId,
    handle: CUexternalSemaphore,
    /// A binary one that the queue waits for, or did so, and whose turn is not settled.
    taken: Option<Arc<SharedSemaphore>>,
}

// SAFETY: the driver takes streams and semaphores on any thread on which their context is current.
unsafe impl Send for Stream {}

impl Stream {
    /// Makes one in `context` that keeps the `room` semaphores which were waited for last. Of work in the
    /// queue no more may be unfinished at once.
    ///
    /// # Errors
    /// The function that the driver lacks, or the call that failed.
    pub(crate) fn new(context: &Arc<Context>, room: usize) -> Result<Self, Failure> {
        let functions = *context.cuda().waits()?;
        let _current = context.current()?;
        let mut handle = null_mut();
        // SAFETY: the driver writes one pointer.
        let result = unsafe { (functions.stream_create)(&raw mut handle, NON_BLOCKING) };
        context.cuda().functions().check("cuStreamCreate", result)?;
        if handle.is_null() {
            let status = "no stream".to_owned();
            return Err(Unavailable::Status { call: "cuStreamCreate", status });
        }
        let context = Arc::clone(context);
        Ok(Self { context, functions, handle: Box::new(handle), imported: Vec::new(), room })
    }

    /// Where its handle lies, for as long as it lives.
    pub(crate) fn place(&mut self) -> *mut CUstream {
        &raw mut *self.handle
    }

    /// Holds off what is given to the queue from now on until `signal`. Nobody waits here. `false`: somebody
    /// else does so for this signal, which is for one wait alone.
    ///
    /// # Errors
    /// The call that failed, or that the semaphore is of another kind or device.
    pub(crate) fn wait(&mut self, signal: &SharedSignal<'_>) -> Result<bool, Failure> {
        let context = Arc::clone(&self.context);
        let _current = context.current()?;
        let imported = self.import(signal.semaphore)?;
        let value = match (&signal.semaphore.kind, signal.value) {
            (SemaphoreKind::Timeline, Some(value)) => value,
            (SemaphoreKind::Binary(turns), None) => {
                if imported.taken.is_some() {
                    // For a picture that is given once more.
                    return Ok(true);
                }
                if !turns.take() {
                    return Ok(false);
                }
                imported.taken = Some(Arc::clone(signal.semaphore));
                0
            }
            _ => return Err(refused("its signal is of another kind")),
        };
        let handle = imported.handle;
        let what = CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS {
            params: CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES {
                fence: value,
                nvSciSync: 0,
                key: 0,
                timeoutMs: 0,
                reserved: [0; 11],
            },
            flags: 0,
            reserved: [0; 16],
        };
        // SAFETY: the driver reads one handle, which is live, and one description; the stream is live.
        let result = unsafe {
            (self.functions.wait_external_semaphores)(
                &raw const handle,
                &raw const what,
                1,
                *self.handle,
            )
        };
        context.cuda().functions().check("cuWaitExternalSemaphoresAsync", result)?;
        Ok(true)
    }

    /// What waited for a signal is done, and so is the wait.
    pub(crate) fn settle(&mut self, semaphore: MemoryId) {
        let mut imported = self.imported.iter_mut();
        let taken = imported.find(|known| known.id == semaphore).and_then(|it| it.taken.take());
        if let Some(SemaphoreKind::Binary(turns)) = taken.as_ref().map(|taken| &taken.kind) {
            turns.settle();
        }
    }

    /// A semaphore, imported where it is not. The context is current.
    fn import(&mut self, semaphore: &Arc<SharedSemaphore>) -> Result<&mut Imported, Failure> {
        if let Some(at) = self.imported.iter().position(|known| known.id == semaphore.id) {
            self.imported[at..].rotate_left(1);
        } else {
            if semaphore.device != self.context.device() {
                return Err(refused("it is of another device"));
            }
            if self.imported.len() >= self.room {
                // Everything that waited for it is complete, as the room was chosen.
                let oldest = self.imported.remove(0);
                self.destroy(&oldest);
            }
            let handle = self.import_new(semaphore)?;
            self.imported.push(Imported { id: semaphore.id, handle, taken: None });
        }
        self.imported.last_mut().ok_or_else(|| refused("it is not kept"))
    }

    fn import_new(&self, semaphore: &SharedSemaphore) -> Result<CUexternalSemaphore, Failure> {
        let fd = semaphore
            .fd
            .try_clone()
            .map_err(|error| Unavailable::Status { call: "dup", status: error.to_string() })?;
        let what = CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC {
            type_: match semaphore.kind {
                SemaphoreKind::Timeline => TIMELINE_SEMAPHORE_FD,
                SemaphoreKind::Binary(_) => BINARY_SEMAPHORE_FD,
            },
            handle: CUexternalHandle { fd: fd.as_raw_fd() },
            flags: 0,
            reserved: [0; 16],
        };
        let mut handle = null_mut();
        // SAFETY: the driver writes one pointer and reads the description; the descriptor is open.
        let result =
            unsafe { (self.functions.import_external_semaphore)(&raw mut handle, &raw const what) };
        // On failure the duplicate is closed here: the driver takes it on success alone.
        self.context.cuda().functions().check("cuImportExternalSemaphore", result)?;
        let _taken = fd.into_raw_fd();
        if handle.is_null() {
            let status = "no semaphore".to_owned();
            return Err(Unavailable::Status { call: "cuImportExternalSemaphore", status });
        }
        Ok(handle)
    }

    /// The context is current.
    fn destroy(&self, semaphore: &Imported) {
        // SAFETY: the import is one of `import_new`, nothing waits for it, and it is destroyed here alone.
        let result = unsafe { (self.functions.destroy_external_semaphore)(semaphore.handle) };
        warn(self.context.cuda().functions().check("cuDestroyExternalSemaphore", result));
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Without it nothing can be freed; the context takes it along.
        let _current = match self.context.current() {
            Ok(current) => current,
            Err(failure) => return warn(Err(failure)),
        };
        // SAFETY: the stream is that of `new`, and is destroyed here alone.
        let result = unsafe { (self.functions.stream_destroy)(*self.handle) };
        warn(self.context.cuda().functions().check("cuStreamDestroy", result));
        for semaphore in &self.imported {
            self.destroy(semaphore);
        }
    }
}

fn refused(why: &str) -> Failure {
    Unavailable::Status { call: "cuImportExternalSemaphore", status: why.to_owned() }
}
