//! Opens `libcuda.so.1` and finds what is used of it.
//!
//! Also holds how any library of the driver is opened, for NVENC's loader.
#![expect(unsafe_code, reason = "a C library is opened at run time; confined to this module")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
use std::ptr::null;
use std::sync::Arc;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::sys::{
    CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE, CUDA_ERROR_INVALID_DEVICE, CUDA_ERROR_INVALID_VALUE,
    CUDA_ERROR_NO_DEVICE, CUDA_ERROR_NOT_INITIALIZED, CUDA_ERROR_NOT_PERMITTED,
    CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_STUB_LIBRARY, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
    CUDA_EXTERNAL_MEMORY_BUFFER_DESC, CUDA_EXTERNAL_MEMORY_HANDLE_DESC,
    CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC, CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, CUDA_MEMCPY2D,
    CUDA_SUCCESS, CUcontext, CUdevice, CUdeviceptr, CUexternalMemory, CUexternalSemaphore,
    CUresult, CUstream, CUuuid,
};
use super::{Unavailable, Version};

/// The driver's name of its library.
pub const LIBRARY: &str = "libcuda.so.1";

/// CUDA 10.0 is the first that imports memory of other interfaces.
const NEEDED: Version = Version { major: 10, minor: 0 };

/// More than a machine holds; a bound on what a broken driver can claim.
const MOST_DEVICES: c_int = 64;

/// A library that stays open until the process ends: drivers start threads that outlive a close.
pub(crate) struct DriverLibrary {
    library: &'static Library,
    name: String,
}

impl DriverLibrary {
    /// Opens a library by its name, which the dynamic linker looks for, or by its path.
    pub(crate) fn open(file: &OsStr) -> Result<Self, Unavailable> {
        let name = file.to_string_lossy().into_owned();
        // All symbols are bound now: a half-installed driver is refused here, not in a call later.
        // SAFETY: the code that runs on opening is that of the library which the operator's system, or
        // a test, has under this name; the process trusts it as it does its graphics driver.
        match unsafe { Library::open(Some(file), RTLD_NOW | RTLD_LOCAL) } {
            Ok(library) => Ok(Self { library: Box::leak(Box::new(library)), name }),
            Err(error) => {
                let reason = error.to_string();
                let reason =
                    reason.strip_prefix(&format!("{name}: ")).unwrap_or(&reason).to_owned();
                Err(Unavailable::NoLibrary { library: name, reason })
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Finds a function.
    ///
    /// # Safety
    /// `F` is the type of a C function as the one of this name is declared.
    pub(crate) unsafe fn function<F: Copy>(&self, symbol: &'static str) -> Result<F, Unavailable> {
        let missing = || Unavailable::MissingSymbol { library: self.name.clone(), symbol };
        // SAFETY: that the type fits is the caller's word. `Option`, since a symbol may be there
        // and have no address, which is no function pointer.
        let found = unsafe { self.library.get::<Option<F>>(symbol.as_bytes()) };
        let found = found.map_err(|_| missing())?.lift_option().ok_or_else(missing)?;
        Ok(*found)
    }
}

/// Declares functions of the driver and how they are found: by the first of their names that it has.
macro_rules! functions {
    (
        $(#[$text:meta])* $table:ident:
        $($name:ident: $symbol:literal $(or $older:literal)? ($($argument:ty),*);)*
    ) => {
        $(#[$text])*
        #[derive(Clone, Copy)]
        pub(crate) struct $table {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) -> CUresult,)*
        }

        impl $table {
            fn find(library: &DriverLibrary) -> Result<Self, Unavailable> {
                Ok(Self {
                    // SAFETY: each type is that of cuda.h, where these names are declared; versions of a
                    // function that stand in for one another have one type.
                    $($name: unsafe {
                        library.function($symbol)$(.or_else(|_| library.function($older)))?
                    }?,)*
                })
            }
        }
    };
}

functions! {
    /// What must be there.
    Functions:
    init: "cuInit" (u32);
    driver_get_version: "cuDriverGetVersion" (*mut c_int);
    device_get_count: "cuDeviceGetCount" (*mut c_int);
    device_get: "cuDeviceGet" (*mut CUdevice, c_int);
    device_get_name: "cuDeviceGetName" (*mut c_char, c_int, CUdevice);
    primary_ctx_retain: "cuDevicePrimaryCtxRetain" (*mut CUcontext, CUdevice);
    primary_ctx_release: "cuDevicePrimaryCtxRelease_v2" (CUdevice);
    ctx_push_current: "cuCtxPushCurrent_v2" (CUcontext);
    ctx_pop_current: "cuCtxPopCurrent_v2" (*mut CUcontext);
    import_external_memory: "cuImportExternalMemory"
        (*mut CUexternalMemory, *const CUDA_EXTERNAL_MEMORY_HANDLE_DESC);
    external_memory_get_mapped_buffer: "cuExternalMemoryGetMappedBuffer"
        (*mut CUdeviceptr, CUexternalMemory, *const CUDA_EXTERNAL_MEMORY_BUFFER_DESC);
    destroy_external_memory: "cuDestroyExternalMemory" (CUexternalMemory);
    mem_free: "cuMemFree_v2" (CUdeviceptr);
    memcpy_2d: "cuMemcpy2D_v2" (*const CUDA_MEMCPY2D);
    get_error_name: "cuGetErrorName" (CUresult, *mut *const c_char);
    // The newer one knows the parts of a divided device; drivers before 11.4 have the older only.
    device_get_uuid: "cuDeviceGetUuid_v2" or "cuDeviceGetUuid" (*mut CUuuid, CUdevice);
}

functions! {
    /// What a device waits by. Without it the caller waits.
    WaitFunctions:
    stream_create: "cuStreamCreate" (*mut CUstream, c_uint);
    stream_destroy: "cuStreamDestroy_v2" (CUstream);
    import_external_semaphore: "cuImportExternalSemaphore"
        (*mut CUexternalSemaphore, *const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC);
    destroy_external_semaphore: "cuDestroyExternalSemaphore" (CUexternalSemaphore);
    wait_external_semaphores: "cuWaitExternalSemaphoresAsync" (
        *const CUexternalSemaphore, *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, c_uint, CUstream
    );
}

/// A device of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number for this process.
    pub ordinal: i32,
    /// What its maker calls it.
    pub name: String,
    /// The same for every interface of the device, Vulkan among them.
    pub uuid: [u8; 16],
}

/// The driver, ready to be called.
pub struct Cuda {
    functions: Functions,
    waits: Result<WaitFunctions, Unavailable>,
    version: Version,
    devices: Vec<Device>,
}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cuda")
            .field("version", &self.version)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

impl Cuda {
    /// Opens the library of this name or path, and lists its devices. Takes up to seconds where the
    /// driver must first wake a device.
    ///
    /// # Errors
    /// [`Unavailable`] names what is missing, too old or broken.
    pub fn load(file: &OsStr) -> Result<Arc<Self>, Unavailable> {
        let library = DriverLibrary::open(file)?;
        let functions = Functions::find(&library)?;
        let waits = WaitFunctions::find(&library);
        // SAFETY: `cuInit` takes 0 and may be called at any time.
        match unsafe { (functions.init)(0) } {
            CUDA_SUCCESS => {}
            CUDA_ERROR_NO_DEVICE => return Err(Unavailable::NoDevice),
            result => return Err(functions.failed("cuInit", result)),
        }
        let version = functions.version()?;
        if version < NEEDED {
            let library = library.name().to_owned();
            return Err(Unavailable::TooOld { library, found: version, needed: NEEDED });
        }
        let devices = functions.devices()?;
        Ok(Arc::new(Self { functions, waits, version, devices }))
    }

    /// Version of CUDA that the driver has.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Every device that answers; never empty.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.functions
    }

    /// What a device waits by.
    ///
    /// # Errors
    /// The first of them that the driver lacks.
    pub(super) fn waits(&self) -> Result<&WaitFunctions, Unavailable> {
        self.waits.as_ref().map_err(Unavailable::clone)
    }
}

impl Functions {
    fn version(&self) -> Result<Version, Unavailable> {
        let mut number = 0;
        // SAFETY: the driver writes one `int`.
        let result = unsafe { (self.driver_get_version)(&raw mut number) };
        self.check("cuDriverGetVersion", result)?;
        // 1000 a major version and 10 a minor one.
        let number = u32::try_from(number).unwrap_or(0);
        Ok(Version { major: number / 1000, minor: number % 1000 / 10 })
    }

    fn devices(&self) -> Result<Vec<Device>, Unavailable> {
        let mut count = 0;
        // SAFETY: the driver writes one `int`.
        let result = unsafe { (self.device_get_count)(&raw mut count) };
        self.check("cuDeviceGetCount", result)?;
        let mut devices = Vec::new();
        let mut failure = Unavailable::NoDevice;
        for ordinal in 0..count.min(MOST_DEVICES) {
            // One that is broken is no reason to do without the others.
            match self.device(ordinal) {
                Ok(device) => devices.push(device),
                Err(error) => failure = error,
            }
        }
        if devices.is_empty() { Err(failure) } else { Ok(devices) }
    }

    /// The handle of a device.
    pub(super) fn handle(&self, ordinal: c_int) -> Result<CUdevice, Unavailable> {
        let mut device: CUdevice = 0;
        // SAFETY: the driver writes one `int`, and checks the ordinal.
        self.check("cuDeviceGet", unsafe { (self.device_get)(&raw mut device, ordinal) })?;
        Ok(device)
    }

    fn device(&self, ordinal: c_int) -> Result<Device, Unavailable> {
        let device = self.handle(ordinal)?;
        let mut name = [0_u8; 256];
        // SAFETY: the driver writes at most as many bytes as it is told there are.
        let result = unsafe {
            (self.device_get_name)(name.as_mut_ptr().cast(), name.len() as c_int, device)
        };
        self.check("cuDeviceGetName", result)?;
        let name = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        let mut uuid = [0; 16];
        // SAFETY: the driver writes the 16 bytes of a `CUuuid`.
        let result = unsafe { (self.device_get_uuid)(&raw mut uuid, device) };
        self.check("cuDeviceGetUuid", result)?;
        Ok(Device { ordinal, name: name.to_string_lossy().into_owned(), uuid })
    }

    pub(super) fn check(&self, call: &'static str, result: CUresult) -> Result<(), Unavailable> {
        if result == CUDA_SUCCESS { Ok(()) } else { Err(self.failed(call, result)) }
    }

    fn failed(&self, call: &'static str, result: CUresult) -> Unavailable {
        let mut name = null();
        // SAFETY: the driver writes a pointer to a text of its own that is never freed, or null, for
        // any number.
        let status = unsafe {
            let known = (self.get_error_name)(result, &raw mut name) == CUDA_SUCCESS;
            (known && !name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
        };
        let status = status.unwrap_or_else(|| format!("error {result}"));
        if is_lasting(result) {
            Unavailable::Status { call, status }
        } else {
            Unavailable::Passing { call, status }
        }
    }
}

/// Whether an answer says of the driver or of the call what is true as long as neither changes. All else,
/// what no header knows included, may be of the moment: asking again costs little, and not asking an
/// encoder.
fn is_lasting(result: CUresult) -> bool {
    matches!(
        result,
        CUDA_ERROR_INVALID_VALUE
            | CUDA_ERROR_NOT_INITIALIZED
            | CUDA_ERROR_STUB_LIBRARY
            | CUDA_ERROR_NO_DEVICE
            | CUDA_ERROR_INVALID_DEVICE
            | CUDA_ERROR_NOT_PERMITTED
            | CUDA_ERROR_NOT_SUPPORTED
            | CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
            | CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
    )
}
