//! A caller of CUDA's driver interface, as an encoder is one: it imports memory and looks at it.
//!
//! The library is NVIDIA's or the double of it; nothing here knows which. Used wrongly (memory that is
//! written meanwhile) it sees half a picture.
#![expect(unsafe_code, reason = "functions of a C library are called")]

// As the encoder declares them, so that whoever calls this driver checks those declarations.
#[path = "../../encoder/src/cuda/sys.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
mod sys;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::ptr::{null, null_mut};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use media::{DeviceId, SemaphoreKind, SharedMemory, SharedPlane, SharedSemaphore, SharedSignal};

use sys::{
    BINARY_SEMAPHORE_FD, CUDA_EXTERNAL_MEMORY_BUFFER_DESC, CUDA_EXTERNAL_MEMORY_HANDLE_DESC,
    CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC, CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
    CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES, CUDA_MEMCPY2D, CUDA_SUCCESS, CUcontext, CUdevice,
    CUdeviceptr, CUexternalHandle, CUexternalMemory, CUexternalSemaphore, CUresult, CUstream,
    CUuuid, DEDICATED, NON_BLOCKING, OPAQUE_FD, TIMELINE_SEMAPHORE_FD,
};

/// `CU_MEMORYTYPE_HOST`.
const HOST: u32 = 1;
/// `CU_MEMORYTYPE_DEVICE`.
const DEVICE: u32 = 2;

/// The driver, initialised.
#[derive(Debug)]
pub struct Cuda {
    library: Library,
}

/// A device of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// Its number for this process.
    pub ordinal: i32,
    /// What its maker calls it.
    pub name: String,
    /// The same for every API of the device.
    pub id: DeviceId,
}

/// Calls a function of the library by its name; what it answers becomes an error that names it.
macro_rules! call {
    ($cuda:expr, $name:literal($($argument:expr => $type:ty),*)) => {{
        // SAFETY: the types are those of cuda.h; pointers are null or to values that outlive the call.
        let result = unsafe {
            $cuda
                .library
                .get::<unsafe extern "C" fn($($type),*) -> CUresult>($name.as_bytes())
                .map(|function| function($($argument),*))
        };
        match result {
            Ok(CUDA_SUCCESS) => Ok(()),
            Ok(status) => Err(format!("{} answered {status}", $name)),
            Err(error) => Err(error.to_string()),
        }
    }};
}

impl Cuda {
    /// Opens the library of this name or path, and initialises it.
    ///
    /// # Errors
    /// The call that failed, and how; so for everything below.
    pub fn open(file: &OsStr) -> Result<Self, String> {
        // SAFETY: the driver of this machine, or the double of it, which are trusted.
        let library = unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| error.to_string())?;
        let cuda = Self { library };
        call!(cuda, "cuInit"(0 => u32))?;
        Ok(cuda)
    }

    /// What there is.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn devices(&self) -> Result<Vec<CudaDevice>, String> {
        let mut count = 0;
        call!(self, "cuDeviceGetCount"(&raw mut count => *mut c_int))?;
        (0..count).map(|ordinal| self.device(ordinal)).collect()
    }

    fn device(&self, ordinal: c_int) -> Result<CudaDevice, String> {
        let mut device: CUdevice = 0;
        call!(self, "cuDeviceGet"(&raw mut device => *mut CUdevice, ordinal => c_int))?;
        let mut name = [0_u8; 256];
        call!(self, "cuDeviceGetName"(
            name.as_mut_ptr().cast() => *mut c_char, name.len() as c_int => c_int,
            device => CUdevice
        ))?;
        let mut uuid: CUuuid = [0; 16];
        call!(self, "cuDeviceGetUuid_v2"(&raw mut uuid => *mut CUuuid, device => CUdevice))?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(CudaDevice { ordinal, name: name.to_string_lossy().into_owned(), id: DeviceId(uuid) })
    }

    /// The context of a device, current on this thread until it is dropped.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn context(&self, device: &CudaDevice) -> Result<CudaContext<'_>, String> {
        let mut context = null_mut();
        call!(self, "cuDevicePrimaryCtxRetain"(
            &raw mut context => *mut CUcontext, device.ordinal => CUdevice
        ))?;
        // Released from here on, also when it cannot be made current.
        let mut retained =
            CudaContext { cuda: self, ordinal: device.ordinal, context, current: false };
        call!(self, "cuCtxPushCurrent_v2"(context => CUcontext))?;
        retained.current = true;
        Ok(retained)
    }
}

/// A context that is current. It stays on its thread.
#[derive(Debug)]
pub struct CudaContext<'a> {
    cuda: &'a Cuda,
    ordinal: CUdevice,
    context: CUcontext,
    current: bool,
}

impl CudaContext<'_> {
    /// Imports an allocation; its descriptor stays with the caller, CUDA has a duplicate.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn import(&self, memory: &SharedMemory) -> Result<CudaMemory<'_>, String> {
        let fd = memory.fd.try_clone().map_err(|error| error.to_string())?;
        let what = CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
            type_: OPAQUE_FD,
            handle: CUexternalHandle { fd: fd.as_raw_fd() },
            size: memory.bytes,
            flags: if memory.dedicated { DEDICATED } else { 0 },
            reserved: [0; 16],
        };
        let mut handle = null_mut();
        call!(self.cuda, "cuImportExternalMemory"(
            &raw mut handle => *mut CUexternalMemory,
            &raw const what => *const CUDA_EXTERNAL_MEMORY_HANDLE_DESC
        ))?;
        // It is CUDA's now, which may have closed it; where the import failed it is closed here.
        let _ = fd.into_raw_fd();
        Ok(CudaMemory { cuda: self.cuda, handle })
    }

    /// Imports a semaphore; its descriptor stays with the caller, CUDA has a duplicate.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn import_semaphore(
        &self,
        semaphore: &SharedSemaphore,
    ) -> Result<CudaSemaphore<'_>, String> {
        let fd = semaphore.fd.try_clone().map_err(|error| error.to_string())?;
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
        call!(self.cuda, "cuImportExternalSemaphore"(
            &raw mut handle => *mut CUexternalSemaphore,
            &raw const what => *const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC
        ))?;
        // As of memory.
        let _ = fd.into_raw_fd();
        Ok(CudaSemaphore { cuda: self.cuda, handle })
    }

    /// A queue of work.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn stream(&self) -> Result<CudaStream<'_>, String> {
        let mut handle = null_mut();
        call!(self.cuda, "cuStreamCreate"(
            &raw mut handle => *mut CUstream, NON_BLOCKING => u32
        ))?;
        Ok(CudaStream { cuda: self.cuda, handle })
    }
}

impl Drop for CudaContext<'_> {
    fn drop(&mut self) {
        // What is answered here helps nobody: the double tells what is left over.
        if self.current {
            let mut popped = self.context;
            let _ = call!(self.cuda, "cuCtxPopCurrent_v2"(&raw mut popped => *mut CUcontext));
        }
        let _ = call!(self.cuda, "cuDevicePrimaryCtxRelease_v2"(self.ordinal => CUdevice));
    }
}

/// An imported allocation.
#[derive(Debug)]
pub struct CudaMemory<'a> {
    cuda: &'a Cuda,
    handle: CUexternalMemory,
}

impl CudaMemory<'_> {
    /// Gives its first `bytes` an address.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn map(&self, bytes: u64) -> Result<CudaBuffer<'_>, String> {
        let what = CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
            offset: 0,
            size: bytes,
            flags: 0,
            reserved: [0; 16],
        };
        let mut address = 0;
        call!(self.cuda, "cuExternalMemoryGetMappedBuffer"(
            &raw mut address => *mut CUdeviceptr, self.handle => CUexternalMemory,
            &raw const what => *const CUDA_EXTERNAL_MEMORY_BUFFER_DESC
        ))?;
        Ok(CudaBuffer { cuda: self.cuda, address, bytes })
    }
}

impl Drop for CudaMemory<'_> {
    fn drop(&mut self) {
        let _ = call!(self.cuda, "cuDestroyExternalMemory"(self.handle => CUexternalMemory));
    }
}

/// An imported semaphore.
#[derive(Debug)]
pub struct CudaSemaphore<'a> {
    cuda: &'a Cuda,
    handle: CUexternalSemaphore,
}

impl Drop for CudaSemaphore<'_> {
    fn drop(&mut self) {
        let _ = call!(self.cuda, "cuDestroyExternalSemaphore"(self.handle => CUexternalSemaphore));
    }
}

/// A queue of work of the device.
#[derive(Debug)]
pub struct CudaStream<'a> {
    cuda: &'a Cuda,
    handle: CUstream,
}

impl CudaStream<'_> {
    /// Holds off what comes after it in the stream until `signal`, which `semaphore` was imported for.
    /// The caller does not wait, and settles the turn of a binary one when the stream is through.
    ///
    /// # Errors
    /// As [`Cuda::open`].
    pub fn wait(
        &self,
        semaphore: &CudaSemaphore<'_>,
        signal: &SharedSignal<'_>,
    ) -> Result<(), String> {
        if let SemaphoreKind::Binary(turns) = &signal.semaphore.kind
            && !turns.take()
        {
            return Err("somebody else waits for the signal".to_owned());
        }
        let what = CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS {
            params: CUDA_EXTERNAL_SEMAPHORE_WAIT_VALUES {
                fence: signal.value.unwrap_or(0),
                nvSciSync: 0,
                key: 0,
                timeoutMs: 0,
                reserved: [0; 11],
            },
            flags: 0,
            reserved: [0; 16],
        };
        call!(self.cuda, "cuWaitExternalSemaphoresAsync"(
            &raw const semaphore.handle => *const CUexternalSemaphore,
            &raw const what => *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
            1 => u32, self.handle => CUstream
        ))
    }

    /// Copies rows as [`CudaBuffer::read`] does, after what is in the stream.
    ///
    /// # Errors
    /// As [`CudaBuffer::read`].
    pub fn read(
        &self,
        buffer: &CudaBuffer<'_>,
        plane: SharedPlane,
        width: usize,
        rows: usize,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; width * rows];
        let copy = buffer.copy_out(plane, width, rows, &mut bytes)?;
        call!(self.cuda, "cuMemcpy2DAsync_v2"(
            &raw const copy => *const CUDA_MEMCPY2D, self.handle => CUstream
        ))?;
        call!(self.cuda, "cuStreamSynchronize"(self.handle => CUstream))?;
        Ok(bytes)
    }
}

impl Drop for CudaStream<'_> {
    fn drop(&mut self) {
        let _ = call!(self.cuda, "cuStreamDestroy_v2"(self.handle => CUstream));
    }
}

/// A mapped range of an import.
#[derive(Debug)]
pub struct CudaBuffer<'a> {
    cuda: &'a Cuda,
    address: CUdeviceptr,
    bytes: u64,
}

impl CudaBuffer<'_> {
    /// Copies rows of `width` bytes out of a plane.
    ///
    /// # Errors
    /// As [`Cuda::open`], and when the rows do not lie within the buffer.
    pub fn read(&self, plane: SharedPlane, width: usize, rows: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; width * rows];
        let copy = self.copy_out(plane, width, rows, &mut bytes)?;
        call!(self.cuda, "cuMemcpy2D_v2"(&raw const copy => *const CUDA_MEMCPY2D))?;
        Ok(bytes)
    }

    /// Copies rows of `width` bytes, one after the other in `bytes`, into a plane. Complete once
    /// something is read.
    ///
    /// # Errors
    /// As [`CudaBuffer::read`].
    pub fn write(&self, plane: SharedPlane, width: usize, bytes: &[u8]) -> Result<(), String> {
        let rows = bytes.len() / width.max(1);
        let mut copy = self.copy(plane, width, rows)?;
        (copy.srcMemoryType, copy.srcHost, copy.srcPitch) = (HOST, bytes.as_ptr().cast(), width);
        (copy.dstMemoryType, copy.dstDevice, copy.dstPitch) =
            (DEVICE, self.address + plane.offset, plane.stride as usize);
        call!(self.cuda, "cuMemcpy2D_v2"(&raw const copy => *const CUDA_MEMCPY2D))
    }

    /// A copy of a plane's rows to `bytes`, which has room for them.
    fn copy_out(
        &self,
        plane: SharedPlane,
        width: usize,
        rows: usize,
        bytes: &mut [u8],
    ) -> Result<CUDA_MEMCPY2D, String> {
        let mut copy = self.copy(plane, width, rows)?;
        (copy.srcMemoryType, copy.srcDevice, copy.srcPitch) =
            (DEVICE, self.address + plane.offset, plane.stride as usize);
        (copy.dstMemoryType, copy.dstHost, copy.dstPitch) =
            (HOST, bytes.as_mut_ptr().cast(), width);
        Ok(copy)
    }

    /// A copy that has no sides yet.
    fn copy(&self, plane: SharedPlane, width: usize, rows: usize) -> Result<CUDA_MEMCPY2D, String> {
        let end = plane.offset + u64::from(plane.stride) * rows as u64;
        if width > plane.stride as usize || end > self.bytes {
            return Err(format!("rows up to byte {end} of a buffer of {}", self.bytes));
        }
        Ok(CUDA_MEMCPY2D {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: 0,
            srcHost: null(),
            srcDevice: 0,
            srcArray: null_mut(),
            srcPitch: 0,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: 0,
            dstHost: null_mut(),
            dstDevice: 0,
            dstArray: null_mut(),
            dstPitch: 0,
            WidthInBytes: width,
            Height: rows,
        })
    }
}

impl Drop for CudaBuffer<'_> {
    fn drop(&mut self) {
        let _ = call!(self.cuda, "cuMemFree_v2"(self.address => CUdeviceptr));
    }
}
