//! The double of NVENC, called as the driver is.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nearlight_encoder::cuda::sys::{
    CUDA_EXTERNAL_MEMORY_BUFFER_DESC, CUDA_EXTERNAL_MEMORY_HANDLE_DESC, DEDICATED, OPAQUE_FD,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use std::os::fd::IntoRawFd;
use testkit::{Exported, FakeGpu};

pub(crate) type Handle = *mut c_void;
pub(crate) type Answer = Result<(), u32>;

pub(crate) const OK: Answer = Ok(());
pub(crate) const WIDTH: u32 = 320;
pub(crate) const HEIGHT: u32 = 192;
/// `NV_ENC_BUFFER_FORMAT_NV12`.
pub(crate) const NV12: u32 = 1;
pub(crate) const FORCE_IDR: u32 = 2;
pub(crate) const END: u32 = 8;

/// A structure of the interface, all zero at first. Never held as a value: see `nvenc::raw`.
pub(crate) struct Raw<T>(pub(crate) Box<MaybeUninit<T>>);

impl<T> Raw<T> {
    pub(crate) fn zeroed() -> Self {
        let mut memory = Box::<T>::new_uninit();
        // SAFETY: the box is as large as one `T`.
        unsafe { memory.as_mut_ptr().write_bytes(0, 1) };
        Self(memory)
    }

    /// With its version, by which every structure begins.
    pub(crate) fn new(version: u32) -> Self {
        let mut raw = Self::zeroed();
        // SAFETY: a version is there.
        unsafe { raw.at().cast::<u32>().write(version) };
        raw
    }

    pub(crate) fn at(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }
}

/// Writes a field as a number of its size, or as what it is.
macro_rules! set {
    ($raw:expr, $($field:ident).+ = $value:expr) => {{
        let value = $value;
        // SAFETY: the structure is alive and zero was written to all of it; fields of enumerations are
        // given numbers as large as they are.
        unsafe { crate::driver::write(&raw mut (*$raw.at()).$($field).+, value) }
    }};
}

/// Writes a value over the beginning of a field.
///
/// # Safety
/// The field can be written and is as large.
pub(crate) unsafe fn write<F, V>(field: *mut F, value: V) {
    // SAFETY: the caller's word.
    unsafe { field.cast::<V>().write_unaligned(value) }
}

/// Reads a field of 32 bits.
macro_rules! get {
    ($raw:expr, $field:ident as $type:ty) => {
        // SAFETY: the structure is alive, and all of it was written.
        unsafe { (&raw const (*$raw.at()).$field).cast::<$type>().read() }
    };
}

pub(crate) use {get, set};

/// The double with its table of functions and a context.
pub(crate) struct Driver {
    pub(crate) gpu: FakeGpu,
    cuda: Library,
    list: Raw<sdk::NV_ENCODE_API_FUNCTION_LIST>,
    pub(crate) context: Handle,
}

// SAFETY: the functions may be called from any thread, and a context is a number.
unsafe impl Sync for Driver {}

/// Calls an entry of the table; pointers live through the call.
macro_rules! entry {
    ($driver:expr, $entry:ident($($argument:expr => $type:ty),*)) => {
        // SAFETY: the types are those of nvEncodeAPI.h with numbers for enumerations, and pointers are null
        // or to values that outlive the call.
        unsafe {
            let function = (&raw const (*$driver.list().cast_mut()).$entry)
                .cast::<unsafe extern "C" fn($($type),*) -> u32>()
                .read();
            crate::driver::answer(function($($argument),*))
        }
    };
}

pub(crate) use entry;

pub(crate) fn answer(status: u32) -> Answer {
    if status == 0 { Ok(()) } else { Err(status) }
}

/// Calls a function of CUDA.
macro_rules! cuda {
    ($driver:expr, $name:literal($($argument:expr => $type:ty),*)) => {
        // SAFETY: as `entry`, with the types of cuda.h.
        unsafe {
            let function = $driver.cuda
                .get::<unsafe extern "C" fn($($type),*) -> u32>($name.as_bytes())
                .unwrap();
            assert_eq!(function($($argument),*), 0, $name);
        }
    };
}

impl Driver {
    pub(crate) fn fresh() -> Self {
        let gpu = FakeGpu::fresh().unwrap();
        // SAFETY: fakes of this workspace, which do nothing on being opened.
        let (cuda, library) = unsafe {
            (
                Library::open(Some(gpu.cuda()), RTLD_NOW | RTLD_LOCAL).unwrap(),
                Library::open(Some(gpu.encode()), RTLD_NOW | RTLD_LOCAL).unwrap(),
            )
        };
        let mut list = Raw::new(sdk::NV_ENCODE_API_FUNCTION_LIST_VER);
        type Create = unsafe extern "C" fn(*mut sdk::NV_ENCODE_API_FUNCTION_LIST) -> u32;
        // SAFETY: `gpu` keeps the library, whose function is declared so.
        unsafe {
            let create = library.get::<Create>(b"NvEncodeAPICreateInstance\0").unwrap();
            assert_eq!(create(list.at()), 0);
        }
        let mut driver = Self { gpu, cuda, list, context: null_mut() };
        cuda!(driver, "cuInit"(0 => u32));
        let context = &raw mut driver.context;
        cuda!(driver, "cuDevicePrimaryCtxRetain"(context => *mut Handle, 0 => c_int));
        cuda!(driver, "cuCtxPushCurrent_v2"(driver.context => Handle));
        driver
    }

    pub(crate) fn list(&self) -> *const sdk::NV_ENCODE_API_FUNCTION_LIST {
        self.list.0.as_ptr()
    }

    /// Memory of another interface as device memory.
    pub(crate) fn import(&self, memory: &Exported, bytes: usize) -> u64 {
        // SAFETY: numbers and pointers, for all of which zero is a value.
        let mut what: CUDA_EXTERNAL_MEMORY_HANDLE_DESC = unsafe { std::mem::zeroed() };
        what.type_ = OPAQUE_FD;
        what.handle.fd = memory.fd().unwrap().into_raw_fd();
        what.size = bytes as u64;
        what.flags = DEDICATED;
        let mut imported: Handle = null_mut();
        cuda!(self, "cuImportExternalMemory"(
            &raw mut imported => *mut Handle,
            &raw const what => *const CUDA_EXTERNAL_MEMORY_HANDLE_DESC
        ));
        let what = CUDA_EXTERNAL_MEMORY_BUFFER_DESC {
            offset: 0,
            size: bytes as u64,
            flags: 0,
            reserved: [0; 16],
        };
        let mut address = 0;
        cuda!(self, "cuExternalMemoryGetMappedBuffer"(
            &raw mut address => *mut u64,
            imported => Handle,
            &raw const what => *const CUDA_EXTERNAL_MEMORY_BUFFER_DESC
        ));
        address
    }

    pub(crate) fn free(&self, address: u64) {
        cuda!(self, "cuMemFree_v2"(address => u64));
    }

    pub(crate) fn open(&self) -> Result<Handle, u32> {
        let mut given = Raw::<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>::new(
            sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
        );
        set!(given, deviceType = 1_u32);
        set!(given, device = self.context);
        set!(given, apiVersion = sdk::NVENCAPI_VERSION);
        let mut session = null_mut();
        self.open_with(&mut given, &mut session).map(|()| session)
    }

    pub(crate) fn open_with(
        &self,
        given: &mut Raw<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>,
        session: &mut Handle,
    ) -> Answer {
        entry!(self, nvEncOpenEncodeSessionEx(
            given.at() => *mut sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, session => *mut Handle
        ))
    }

    pub(crate) fn destroy(&self, session: Handle) -> Answer {
        entry!(self, nvEncDestroyEncoder(session => Handle))
    }

    /// Panics unless exactly these rules were broken.
    #[track_caller]
    pub(crate) fn broke(&self, rules: &[&str]) {
        assert_eq!(self.gpu.encode_broken_rules().unwrap(), rules);
    }

    /// The log's lines of one function, without its name.
    pub(crate) fn logged(&self, call: &str) -> Vec<String> {
        let log = self.gpu.encode_log().unwrap();
        let lines = log.iter().filter_map(|line| line.strip_prefix(call)?.strip_prefix(' '));
        lines.map(str::to_owned).collect()
    }
}
