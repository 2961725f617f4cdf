//! Opens `libnvidia-encode.so.1` and takes its table of functions.
#![expect(unsafe_code, reason = "a C library is opened at run time; confined to this module")]

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;

use super::Libraries;
use super::raw::Driver;
use super::status::Status;
use crate::cuda::loader::DriverLibrary;
use crate::cuda::{Cuda, Unavailable, Version};

/// The driver's name of its library.
pub const LIBRARY: &str = "libnvidia-encode.so.1";

/// Version of the SDK whose structures are used. Drivers go on taking those of older ones.
const NEEDED: Version =
    Version { major: sdk::NVENCAPI_MAJOR_VERSION, minor: sdk::NVENCAPI_MINOR_VERSION };

type GetMaxSupportedVersion = unsafe extern "C" fn(*mut u32) -> u32;
type CreateInstance = unsafe extern "C" fn(*mut sdk::NV_ENCODE_API_FUNCTION_LIST) -> u32;
pub(super) type Handle = *mut c_void;
type SetStreams =
    unsafe extern "C" fn(Handle, sdk::NV_ENC_CUSTREAM_PTR, sdk::NV_ENC_CUSTREAM_PTR) -> u32;

/// Declares the entries that must be there. They answer `u32` and write `u32` where the bindings have
/// an enumeration, which could not hold what a newer driver says.
macro_rules! functions {
    ($($name:ident: $entry:ident ($($argument:ty),*);)*) => {
        /// The driver's functions.
        #[derive(Clone, Copy)]
        pub(crate) struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) -> u32,)*
            /// `nvEncSetIOCudaStreams`, without which the caller waits for pictures.
            pub(crate) set_streams: Option<SetStreams>,
        }

        impl Functions {
            fn take(
                library: &str,
                list: &mut Driver<sdk::NV_ENCODE_API_FUNCTION_LIST>,
            ) -> Result<Self, Unavailable> {
                let list = list.pointer();
                let missing =
                    |entry| Unavailable::MissingEntry { library: library.to_owned(), entry };
                Ok(Self {
                    // SAFETY: the list lives through the call. An entry is null or the address of a C
                    // function, and differs from its declared type by enumerations of 32 bits only.
                    $($name: unsafe {
                        (&raw const (*list).$entry)
                            .cast::<Option<unsafe extern "C" fn($($argument),*) -> u32>>()
                            .read()
                    }
                    .ok_or_else(|| missing(stringify!($entry)))?,)*
                    // SAFETY: as above.
                    set_streams: unsafe {
                        (&raw const (*list).nvEncSetIOCudaStreams)
                            .cast::<Option<SetStreams>>()
                            .read()
                    },
                })
            }
        }
    };
}

functions! {
    open_encode_session_ex: nvEncOpenEncodeSessionEx
        (*mut sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Handle);
    get_encode_guid_count: nvEncGetEncodeGUIDCount (Handle, *mut u32);
    get_encode_guids: nvEncGetEncodeGUIDs (Handle, *mut sdk::GUID, u32, *mut u32);
    get_encode_profile_guid_count: nvEncGetEncodeProfileGUIDCount (Handle, sdk::GUID, *mut u32);
    get_encode_profile_guids: nvEncGetEncodeProfileGUIDs
        (Handle, sdk::GUID, *mut sdk::GUID, u32, *mut u32);
    get_input_format_count: nvEncGetInputFormatCount (Handle, sdk::GUID, *mut u32);
    get_input_formats: nvEncGetInputFormats (Handle, sdk::GUID, *mut u32, u32, *mut u32);
    get_encode_caps: nvEncGetEncodeCaps
        (Handle, sdk::GUID, *mut sdk::NV_ENC_CAPS_PARAM, *mut c_int);
    get_encode_preset_config_ex: nvEncGetEncodePresetConfigEx
        (Handle, sdk::GUID, sdk::GUID, u32, *mut sdk::NV_ENC_PRESET_CONFIG);
    initialize_encoder: nvEncInitializeEncoder (Handle, *mut sdk::NV_ENC_INITIALIZE_PARAMS);
    reconfigure_encoder: nvEncReconfigureEncoder (Handle, *mut sdk::NV_ENC_RECONFIGURE_PARAMS);
    create_input_buffer: nvEncCreateInputBuffer (Handle, *mut sdk::NV_ENC_CREATE_INPUT_BUFFER);
    destroy_input_buffer: nvEncDestroyInputBuffer (Handle, sdk::NV_ENC_INPUT_PTR);
    lock_input_buffer: nvEncLockInputBuffer (Handle, *mut sdk::NV_ENC_LOCK_INPUT_BUFFER);
    unlock_input_buffer: nvEncUnlockInputBuffer (Handle, sdk::NV_ENC_INPUT_PTR);
    create_bitstream_buffer: nvEncCreateBitstreamBuffer
        (Handle, *mut sdk::NV_ENC_CREATE_BITSTREAM_BUFFER);
    destroy_bitstream_buffer: nvEncDestroyBitstreamBuffer (Handle, sdk::NV_ENC_OUTPUT_PTR);
    lock_bitstream: nvEncLockBitstream (Handle, *mut sdk::NV_ENC_LOCK_BITSTREAM);
    unlock_bitstream: nvEncUnlockBitstream (Handle, sdk::NV_ENC_OUTPUT_PTR);
    register_resource: nvEncRegisterResource (Handle, *mut sdk::NV_ENC_REGISTER_RESOURCE);
    unregister_resource: nvEncUnregisterResource (Handle, sdk::NV_ENC_REGISTERED_PTR);
    map_input_resource: nvEncMapInputResource (Handle, *mut sdk::NV_ENC_MAP_INPUT_RESOURCE);
    unmap_input_resource: nvEncUnmapInputResource (Handle, sdk::NV_ENC_INPUT_PTR);
    encode_picture: nvEncEncodePicture (Handle, *mut sdk::NV_ENC_PIC_PARAMS);
    invalidate_ref_frames: nvEncInvalidateRefFrames (Handle, u64);
    destroy_encoder: nvEncDestroyEncoder (Handle);
}

/// NVENC, ready to open sessions on a device of [`Cuda`].
pub struct Nvenc {
    functions: Functions,
    version: Version,
    cuda: Arc<Cuda>,
    /// Sessions that are open by this process.
    sessions: AtomicU32,
}

impl std::fmt::Debug for Nvenc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nvenc")
            .field("version", &self.version)
            .field("cuda", &self.cuda)
            .finish_non_exhaustive()
    }
}

impl Nvenc {
    /// Opens both libraries and checks versions and functions. That a device can encode is not known
    /// before a session is opened on it.
    ///
    /// # Errors
    /// [`Unavailable`] names what is missing, too old or broken.
    pub fn load(libraries: &Libraries) -> Result<Arc<Self>, Unavailable> {
        // CUDA first: where it is missing, there is no driver at all.
        let cuda = Cuda::load(&libraries.cuda)?;
        let library = DriverLibrary::open(&libraries.encode)?;
        // SAFETY: both types are those of nvEncodeAPI.h, where these names are declared.
        let (get_version, create) = unsafe {
            (
                library.function::<GetMaxSupportedVersion>("NvEncodeAPIGetMaxSupportedVersion")?,
                library.function::<CreateInstance>("NvEncodeAPICreateInstance")?,
            )
        };
        let mut number = 0;
        // SAFETY: the driver writes one `uint32_t`.
        let status = unsafe { get_version(&raw mut number) };
        check("NvEncodeAPIGetMaxSupportedVersion", status)?;
        // Four bits are the minor version.
        let version = Version { major: number >> 4, minor: number & 0xf };
        if version < NEEDED {
            let library = library.name().to_owned();
            return Err(Unavailable::TooOld { library, found: version, needed: NEEDED });
        }
        let mut list = Driver::<sdk::NV_ENCODE_API_FUNCTION_LIST>::zeroed();
        let pointer = list.pointer();
        // SAFETY: the list is zero but for its version, as the SDK asks, and large enough for that
        // version; the driver writes it before it returns.
        let status = unsafe {
            (&raw mut (*pointer).version).write(sdk::NV_ENCODE_API_FUNCTION_LIST_VER);
            create(pointer)
        };
        check("NvEncodeAPICreateInstance", status)?;
        let functions = Functions::take(library.name(), &mut list)?;
        Ok(Arc::new(Self { functions, version, cuda, sessions: AtomicU32::new(0) }))
    }

    /// The newest version of the interface that the driver has.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The devices, and what imports memory into them.
    pub fn cuda(&self) -> &Arc<Cuda> {
        &self.cuda
    }

    /// Sessions that this process has open.
    pub fn sessions(&self) -> u32 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.functions
    }

    pub(super) fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check(call: &'static str, status: u32) -> Result<(), Unavailable> {
    match Status(status) {
        Status::SUCCESS => Ok(()),
        status if status.is_lasting() => {
            Err(Unavailable::Status { call, status: status.to_string() })
        }
        status => Err(Unavailable::Passing { call, status: status.to_string() }),
    }
}
