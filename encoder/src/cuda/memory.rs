//! Memory of another interface, made memory of a device.
#![expect(unsafe_code, reason = "functions of a C library are called; confined to this module")]

use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr::null_mut;
use std::sync::Arc;

use media::SharedMemory;

use super::context::{Context, warn};
use super::sys::{
    CUDA_EXTERNAL_MEMORY_BUFFER_DESC, CUDA_EXTERNAL_MEMORY_HANDLE_DESC, CUDA_MEMCPY2D, CUdeviceptr,
    CUexternalHandle, CUexternalMemory, DEDICATED, DEVICE, HOST, OPAQUE_FD,
};
use super::{Failure, Unavailable};

/// An allocation that was imported and mapped, whole. Kept alive, and unmapped on being dropped.
pub(crate) struct Imported {
    context: Arc<Context>,
    /// The allocation must outlive what was made of it.
    memory: Arc<SharedMemory>,
    handle: CUexternalMemory,
    pointer: CUdeviceptr,
}

// SAFETY: the driver takes both handles on any thread on which their context is current.
unsafe impl Send for Imported {}

impl Imported {
    /// Imports `memory`, which lies on the device of `context`.
    ///
    /// # Errors
    /// The call that failed; nothing is left behind then.
    pub(crate) fn new(context: &Arc<Context>, memory: &Arc<SharedMemory>) -> Result<Self, Failure> {
        let functions = context.cuda().functions();
        let _current = context.current()?;
        let fd = memory
            .fd
            .try_clone()
            .map_err(|error| Unavailable::Status { call: "dup", status: error.to_string() })?;
        let what = CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
            type_: OPAQUE_FD,
            handle: CUexternalHandle { fd: fd.as_raw_fd() },
            size: memory.bytes,
            flags: if memory.dedicated { DEDICATED } else { 0 },
            reserved: [0; 16],
        };
        let mut handle = null_mut();
        // SAFETY: the driver writes one pointer and reads the description; the descriptor is open.
        let result =
            unsafe { (functions.import_external_memory)(&raw mut handle, &raw const what) };
        // On failure the duplicate is closed here: the driver takes it on success alone.
        functions.check("cuImportExternalMemory", result)?;
        let _taken = fd.into_raw_fd();
        // Owned from here on, so that it goes when mapping fails.
        let (context, memory) = (Arc::clone(context), Arc::clone(memory));
        let mut imported = Self { context, memory, handle, pointer: 0 };
        let whole = CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
            offset: 0,
            size: imported.memory.bytes,
            flags: 0,
            reserved: [0; 16],
        };
        let mut pointer = 0;
        // SAFETY: the driver writes one address and reads the description; the import is live.
        let result = unsafe {
            (functions.external_memory_get_mapped_buffer)(
                &raw mut pointer,
                handle,
                &raw const whole,
            )
        };
        functions.check("cuExternalMemoryGetMappedBuffer", result)?;
        if pointer == 0 {
            let status = "no address".to_owned();
            return Err(Unavailable::Status { call: "cuExternalMemoryGetMappedBuffer", status });
        }
        imported.pointer = pointer;
        Ok(imported)
    }

    /// Address of its first byte on the device.
    pub(crate) fn pointer(&self) -> CUdeviceptr {
        self.pointer
    }

    /// Bytes of it.
    pub(crate) fn bytes(&self) -> u64 {
        self.memory.bytes
    }

    /// Writes rows of `row` bytes, which follow one another in `data`, to `offset` and every `stride`
    /// bytes after it. For small overlays: it waits for the device.
    ///
    /// # Errors
    /// The call that failed, or that the rows do not lie within the memory.
    pub(crate) fn write_rows(
        &self,
        offset: u64,
        stride: u32,
        row: usize,
        data: &[u8],
    ) -> Result<(), Failure> {
        let outside = || Unavailable::Status {
            call: "cuMemcpy2D",
            status: "rows beyond the memory".to_owned(),
        };
        let height = data.len().checked_div(row).filter(|&rows| rows > 0).ok_or_else(outside)?;
        let extent = (height as u64 - 1) * u64::from(stride) + row as u64;
        if row > stride as usize || offset.checked_add(extent).is_none_or(|end| end > self.bytes())
        {
            return Err(outside());
        }
        let functions = self.context.cuda().functions();
        let _current = self.context.current()?;
        let what = CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: HOST,
            srcHost: data.as_ptr().cast(),
            srcDevice: 0,
            srcArray: null_mut(),
            srcPitch: row,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: DEVICE,
            dstHost: null_mut(),
            dstDevice: self.pointer + offset,
            dstArray: null_mut(),
            dstPitch: stride as usize,
            WidthInBytes: row,
            Height: height,
        };
        // SAFETY: `data` has `height` rows of `row` bytes, and the mapped buffer holds what is written,
        // as checked above.
        functions.check("cuMemcpy2D", unsafe { (functions.memcpy_2d)(&raw const what) })
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        let functions = self.context.cuda().functions();
        // Without it nothing can be freed; the context takes it along.
        let _current = match self.context.current() {
            Ok(current) => current,
            Err(failure) => return warn(Err(failure)),
        };
        if self.pointer != 0 {
            // SAFETY: the address is that of the buffer mapped by `new`, and is freed here alone.
            warn(functions.check("cuMemFree", unsafe { (functions.mem_free)(self.pointer) }));
        }
        // SAFETY: the import is that of `new`, has no buffer any more, and is destroyed here alone.
        let result = unsafe { (functions.destroy_external_memory)(self.handle) };
        warn(functions.check("cuDestroyExternalMemory", result));
    }
}
