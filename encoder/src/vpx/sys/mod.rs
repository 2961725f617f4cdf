//! The calls into libvpx, which is opened at run time.
//!
//! Its structures (`layout.rs`) and functions are here as far as they are used. The library is told by a number
//! which headers a caller has, and refuses others; besides that, sizes and defaults are tried on opening. A
//! library without an entry in [`VERSIONS`] is not used.
#![expect(unsafe_code, reason = "libvpx is a C library; the calls are confined to this module")]

mod encoder;
mod layout;

use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::sync::OnceLock;

use super::standard::Standard;
use crate::candidates::OpenError;
use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;
use crate::guarded::{Guarded, UNTOUCHED};
use crate::numbered::{self, Found};
pub(super) use encoder::RawEncoder;
pub(super) use layout::flag;
use layout::{
    Config, Context, HAS_TEN_BITS, Image, Packet, TEN_BITS, USE_TEN_BITS, WRONG_INTERFACE,
};

/// A library whose structures are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// The number in the file's name.
    pub(super) number: u32,
    pub(super) file: &'static str,
    /// `VPX_ENCODER_ABI_VERSION` of the releases that have this file.
    interfaces: &'static [c_int],
}

/// Newest first: 1.16 and 1.17, 1.15.1 on, 1.14 and 1.15.0, 1.13, 1.11 and 1.12.
pub(super) const VERSIONS: [Version; 5] = [
    Version { number: 12, file: "libvpx.so.12", interfaces: &[39] },
    Version { number: 11, file: "libvpx.so.11", interfaces: &[37] },
    Version { number: 9, file: "libvpx.so.9", interfaces: &[36, 34] },
    Version { number: 8, file: "libvpx.so.8", interfaces: &[30] },
    Version { number: 7, file: "libvpx.so.7", interfaces: &[25] },
];

/// Numbers that are looked for, to say that a library is there which is not known: from the first ones
/// that are still installed anywhere to some that do not exist yet.
const NAMED: std::ops::RangeInclusive<u32> = 4..=24;

/// `vpx_codec_iface_t`: a table of the library's own.
type Interface = *mut c_void;

const VP9_INTERFACE: &str = "vpx_codec_vp9_cx";

/// Declares the functions that must be there, and how they are found.
macro_rules! functions {
    ($($name:ident: $symbol:literal ($($argument:ty),*) -> $result:ty;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
            control: unsafe extern "C" fn(*mut Guarded<Context>, c_int, ...) -> c_int,
            /// Where it was built with VP9.
            vp9: Option<unsafe extern "C" fn() -> Interface>,
        }

        impl Functions {
            fn find(library: &DriverLibrary) -> Result<Self, Unavailable> {
                Ok(Self {
                    // SAFETY: each type is that of the library's headers, where these names are
                    // declared; pointers to structures go to memory that is at least as large.
                    $($name: unsafe { library.function($symbol)? },)*
                    // SAFETY: as above.
                    control: unsafe { library.function("vpx_codec_control_")? },
                    // SAFETY: as above.
                    vp9: unsafe { library.function(VP9_INTERFACE) }.ok(),
                })
            }
        }
    };
}

functions! {
    version: "vpx_codec_version_str" () -> *const c_char;
    vp8: "vpx_codec_vp8_cx" () -> Interface;
    abilities: "vpx_codec_get_caps" (Interface) -> c_long;
    defaults: "vpx_codec_enc_config_default" (Interface, *mut Guarded<Config>, u32) -> c_int;
    open: "vpx_codec_enc_init_ver"
        (*mut Guarded<Context>, Interface, *const Guarded<Config>, c_long, c_int) -> c_int;
    configure: "vpx_codec_enc_config_set" (*mut Guarded<Context>, *const Guarded<Config>) -> c_int;
    encode: "vpx_codec_encode"
        (*mut Guarded<Context>, *const Image, i64, c_ulong, c_long, c_ulong) -> c_int;
    packet: "vpx_codec_get_cx_data" (*mut Guarded<Context>, *mut *const c_void) -> *const Packet;
    error: "vpx_codec_err_to_string" (c_int) -> *const c_char;
    detail: "vpx_codec_error_detail" (*mut Guarded<Context>) -> *const c_char;
    close: "vpx_codec_destroy" (*mut Guarded<Context>) -> c_int;
}

/// The library, opened and checked. It stays open until the process ends.
pub(super) struct Library {
    functions: Functions,
    /// Of those that are known, the one that it accepts.
    interface: c_int,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("interface", &self.interface).finish_non_exhaustive()
    }
}

/// The system's library, opened by the first that asks.
pub(super) fn system() -> Result<&'static Library, OpenError> {
    static SYSTEM: OnceLock<Result<Library, OpenError>> = OnceLock::new();
    SYSTEM.get_or_init(find).as_ref().map_err(Clone::clone)
}

fn find() -> Result<Library, OpenError> {
    match numbered::find(&VERSIONS, |version| version.file, "libvpx.so", NAMED)? {
        Found::Known(library, version) => Library::check(&library, version),
        Found::Other(number) => Err(OpenError::Missing(not_there(number))),
    }
}

/// Why there is no library to use, where one that is not known may be installed.
pub(super) fn not_there(unknown: Option<u32>) -> String {
    let known = VERSIONS.map(|version| version.number.to_string()).join(", ");
    match unknown {
        Some(number) => format!(
            "libvpx.so of number {known} (libvpx.so.{number} is there, whose structures are not known)"
        ),
        None => format!("libvpx.so of number {known} (Debian: libvpx7)"),
    }
}

impl Library {
    /// Opens a file that is said to be of a version.
    #[cfg(test)]
    pub(super) fn open(file: &std::ffi::OsStr, version: Version) -> Result<Self, OpenError> {
        let library =
            DriverLibrary::open(file).map_err(|error| OpenError::Missing(error.to_string()))?;
        Self::check(&library, version)
    }

    /// Whether it has a codec.
    #[cfg(test)]
    pub(super) fn has(&self, standard: Standard) -> Result<(), String> {
        self.config(standard).map(drop)
    }

    /// Whether it codes pictures of ten bits with this codec.
    pub(super) fn has_ten_bits(&self, standard: Standard) -> bool {
        self.table(standard).is_ok_and(|table| {
            // SAFETY: takes a table of the library's and yields a number in it.
            unsafe { (self.functions.abilities)(table) & HAS_TEN_BITS != 0 }
        })
    }

    /// Finds the functions and tries whether structures are as they are known to be.
    fn check(library: &DriverLibrary, version: Version) -> Result<Self, OpenError> {
        let refused = |why: String| OpenError::Refused(format!("{}: {why}", library.name()));
        let functions =
            Functions::find(library).map_err(|error| OpenError::Refused(error.to_string()))?;
        let mut library = Self { functions, interface: 0 };
        library.config(Standard::Vp8).map_err(refused)?;
        for interface in version.interfaces {
            library.interface = *interface;
            match library.try_open() {
                Ok(()) => return Ok(library),
                Err(WRONG_INTERFACE) => {}
                Err(code) => return Err(refused(library.failure("vpx_codec_enc_init_ver", code))),
            }
        }
        Err(refused(format!("its version {} is not known", library.version())))
    }

    /// Opens and closes an encoder of a small picture. Both codecs have the same structures.
    fn try_open(&self) -> Result<(), c_int> {
        let config = self.config(Standard::Vp8).map_err(|_| WRONG_INTERFACE)?;
        let mut context = self.open_context(Standard::Vp8, &config)?;
        let intact = context.is_intact();
        // SAFETY: open, and used no more.
        unsafe { (self.functions.close)(&raw mut *context) };
        if intact { Ok(()) } else { Err(WRONG_INTERFACE) }
    }

    /// The library's defaults, where they are as known.
    fn config(&self, standard: Standard) -> Result<Box<Guarded<Config>>, String> {
        let interface = self.table(standard)?;
        // SAFETY: integers, for which every value is one, and the bytes between them.
        let mut config = Box::new(Guarded::around(unsafe { std::mem::zeroed::<Config>() }));
        // SAFETY: as above; the place is ours and as long as the type.
        unsafe { (&raw mut config.value).write_bytes(UNTOUCHED, 1) };
        // SAFETY: the library fills a structure that is as large as known, with room behind it. Usage
        // 0 is the only one.
        let code = unsafe { (self.functions.defaults)(interface, &raw mut *config, 0) };
        self.check_code("vpx_codec_enc_config_default", code)?;
        check_defaults(standard, &config.value)?;
        if config.is_intact() {
            Ok(config)
        } else {
            Err("its settings are larger than known".into())
        }
    }

    fn table(&self, standard: Standard) -> Result<Interface, String> {
        let interface = match standard {
            Standard::Vp8 => Some(self.functions.vp8),
            Standard::Vp9 => self.functions.vp9,
        };
        let interface = interface.ok_or_else(|| format!("it has no {VP9_INTERFACE}"))?;
        // SAFETY: takes nothing and yields a table that lasts as long as the library.
        Ok(unsafe { interface() })
    }

    /// An open context, or the code that the library answers.
    fn open_context(
        &self,
        standard: Standard,
        config: &Guarded<Config>,
    ) -> Result<Box<Guarded<Context>>, c_int> {
        let table = self.table(standard).map_err(|_| WRONG_INTERFACE)?;
        let mut context = Box::new(Guarded::around(Context { fields: [0; 7] }));
        let flags = if config.value.bit_depth == TEN_BITS { USE_TEN_BITS } else { 0 };
        let (open, interface) = (self.functions.open, self.interface);
        // SAFETY: the library fills the context, which is as large as known, with room behind it, and
        // copies the settings, which it filled itself.
        let code = unsafe { open(&raw mut *context, table, config, flags, interface) };
        if code == 0 { Ok(context) } else { Err(code) }
    }

    fn version(&self) -> String {
        // SAFETY: takes nothing and yields a text of the library's.
        text(unsafe { (self.functions.version)() })
    }

    fn failure(&self, function: &str, code: c_int) -> String {
        // SAFETY: takes any number and yields a text of the library's.
        format!("{function} failed: {}", text(unsafe { (self.functions.error)(code) }))
    }

    fn check_code(&self, function: &str, code: c_int) -> Result<(), String> {
        if code == 0 { Ok(()) } else { Err(self.failure(function, code)) }
    }
}

/// A text of the library's, which ends with a zero byte and stays as it is.
fn text(text: *const c_char) -> String {
    if text.is_null() {
        return "no reason given".into();
    }
    // SAFETY: not null; see above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Some of the defaults that there have been in all versions.
fn check_defaults(standard: Standard, config: &Config) -> Result<(), String> {
    let Config { width, height, time_base, kilobits, buffer, keyframe_interval, last, .. } =
        *config;
    let finest = match standard {
        Standard::Vp8 => 4,
        Standard::Vp9 => 0,
    };
    let layers = (config.spatial_layers, config.temporal_layers);
    let quantisers = (config.least_quantiser, config.greatest_quantiser);
    let depths = (config.bit_depth, config.input_bit_depth);
    let untouched = u32::from_ne_bytes([UNTOUCHED; 4]);
    for (name, right) in [
        ("size", (width, height) == (320, 240)),
        ("depth", depths == (8, 8)),
        ("time base", time_base == [1, 30]),
        ("bit rate", kilobits == 256),
        ("quantisers", quantisers == (finest, 63)),
        ("buffer", buffer == 6_000),
        ("keyframe interval", keyframe_interval == 128),
        ("number of layers", layers == (1, 1)),
        ("end", last != untouched),
    ] {
        if !right {
            return Err(format!("the {name} of its settings is not where it is known to be"));
        }
    }
    Ok(())
}
