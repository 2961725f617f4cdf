//! The device of a session: what `fake-cuda` hands out as a context.
//!
//! The two libraries share no code. A context begins with a word by which it is known, and has functions
//! that copy from and to its memory, whose addresses are none of this process.

use std::ffi::c_void;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

/// First word of a context of the double of CUDA.
const MAGIC: [u8; 8] = *b"nearfake";
const CUDA_SUCCESS: u32 = 0;
const CUDA_ERROR_NOT_READY: u32 = 600;

#[repr(C)]
struct FakeContext {
    magic: [u8; 8],
    resolve: unsafe extern "C" fn(*const FakeContext, u64, u64, *mut Origin) -> u32,
    read: unsafe extern "C" fn(*const FakeContext, u64, u64, *mut u8) -> u32,
    write: unsafe extern "C" fn(*const FakeContext, u64, u64, *const u8) -> u32,
    waits: unsafe extern "C" fn(*const FakeContext, u64, *mut u64) -> u32,
    reached: unsafe extern "C" fn(*const FakeContext, u64, u64) -> u32,
}

/// What a stream waited for at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Waits {
    stream: u64,
    count: u64,
}

/// Where an address lies.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Origin {
    /// The import's handle.
    pub(crate) memory: u64,
    /// Bytes from the start of what was imported.
    pub(crate) offset: u64,
    /// Bytes from there to the end of the buffer.
    pub(crate) bytes: u64,
}

/// A context of the double of CUDA, which outlives what is made with it.
#[derive(Clone, Copy)]
pub(crate) struct Device(NonNull<FakeContext>);

// SAFETY: a context is a constant, and its functions take the driver's lock.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// The device behind a handle, if it is one of the double. The handle may be any number: its first word
    /// is read by way of the kernel, which says where there is nothing.
    pub(crate) fn of(context: *mut c_void) -> Option<Self> {
        let context = NonNull::new(context.cast::<FakeContext>()).filter(|c| c.is_aligned())?;
        let mut word = [0; MAGIC.len()];
        let memory = File::open("/proc/self/mem").ok()?;
        memory.read_exact_at(&mut word, context.addr().get() as u64).ok()?;
        (word == MAGIC).then_some(Self(context))
    }

    fn context(&self) -> &FakeContext {
        // SAFETY: its first word said that it is one, and it is a constant of a library that the caller
        // keeps for as long as the session.
        unsafe { self.0.as_ref() }
    }

    /// Where a range lies, if all of it is one mapped buffer.
    pub(crate) fn origin(&self, address: u64, bytes: u64) -> Option<Origin> {
        let mut origin = Origin::default();
        // SAFETY: the context is one, and there is an `Origin` to write.
        let result =
            unsafe { (self.context().resolve)(self.0.as_ptr(), address, bytes, &raw mut origin) };
        (result == CUDA_SUCCESS).then_some(origin)
    }

    /// What a stream waits for by now, if it is one.
    pub(crate) fn waits(&self, stream: u64) -> Option<Waits> {
        let mut count = 0;
        // SAFETY: the context is one, and there is a number to write.
        let result = unsafe { (self.context().waits)(self.0.as_ptr(), stream, &raw mut count) };
        (result == CUDA_SUCCESS).then_some(Waits { stream, count })
    }

    /// Whether all of it came; none when the stream is gone.
    pub(crate) fn reached(&self, waits: Waits) -> Option<bool> {
        // SAFETY: the context is one.
        match unsafe { (self.context().reached)(self.0.as_ptr(), waits.stream, waits.count) } {
            CUDA_SUCCESS => Some(true),
            CUDA_ERROR_NOT_READY => Some(false),
            _ => None,
        }
    }

    /// Copies a range out. Whether it is there.
    pub(crate) fn read(&self, address: u64, to: &mut [u8]) -> bool {
        // SAFETY: the context is one, and there is room for as many bytes as are asked for.
        let result = unsafe {
            (self.context().read)(self.0.as_ptr(), address, to.len() as u64, to.as_mut_ptr())
        };
        result == CUDA_SUCCESS
    }

    /// Copies into a range. Whether it is there.
    pub(crate) fn write(&self, address: u64, from: &[u8]) -> bool {
        // SAFETY: the context is one, and as many bytes can be read as are written.
        let result = unsafe {
            (self.context().write)(self.0.as_ptr(), address, from.len() as u64, from.as_ptr())
        };
        result == CUDA_SUCCESS
    }
}
