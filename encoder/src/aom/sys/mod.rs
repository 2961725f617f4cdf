//! The calls into libaom, which is opened at run time.
//!
//! Its structures (`layout.rs`) and functions are here as far as they are used. The library is told by a number
//! which headers a caller has, and refuses others; besides that, its version, sizes and defaults are looked at on
//! opening.
#![expect(unsafe_code, reason = "libaom is a C library; the calls are confined to this module")]

mod encoder;
mod layout;

use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

use crate::candidates::OpenError;
use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;
use crate::guarded::{Guarded, UNTOUCHED};
use crate::numbered::{self, Found};
pub(super) use encoder::RawEncoder;
use layout::{CONSTANT_RATE, Config, Context, Image, Packet, REALTIME, WRONG_INTERFACE};

/// The file of all releases since 3.0, which has their major number.
const FILE: &str = "libaom.so.3";
/// Releases whose structures are known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Their minor numbers.
    pub(super) minor: RangeInclusive<c_int>,
    /// Their `AOM_ENCODER_ABI_VERSION`.
    pub(super) interface: c_int,
}

/// Up to 3.12 the headers of 3.6 have only grown by names.
pub(super) const KNOWN: Known = Known { minor: 6..=12, interface: 29 };

/// Numbers that are looked for, to say that a library is there which is not known: the one before, and some that do
/// not exist yet.
const NAMED: RangeInclusive<u32> = 2..=9;

/// `aom_codec_iface_t`: a table of the library's own.
type Interface = *mut c_void;

/// Declares the functions that must be there, and how they are found.
macro_rules! functions {
    ($($name:ident: $symbol:literal ($($argument:ty),*) -> $result:ty;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
            control: unsafe extern "C" fn(*mut Guarded<Context>, c_int, ...) -> c_int,
        }

        impl Functions {
            fn find(library: &DriverLibrary) -> Result<Self, Unavailable> {
                Ok(Self {
                    // SAFETY: each type is that of the library's headers, where these names are
                    // declared; pointers to structures go to memory that is at least as large.
                    $($name: unsafe { library.function($symbol)? },)*
                    // SAFETY: as above.
                    control: unsafe { library.function("aom_codec_control")? },
                })
            }
        }
    };
}

functions! {
    number: "aom_codec_version" () -> c_int;
    version: "aom_codec_version_str" () -> *const c_char;
    av1: "aom_codec_av1_cx" () -> Interface;
    defaults: "aom_codec_enc_config_default" (Interface, *mut Guarded<Config>, u32) -> c_int;
    open: "aom_codec_enc_init_ver"
        (*mut Guarded<Context>, Interface, *const Guarded<Config>, c_long, c_int) -> c_int;
    configure: "aom_codec_enc_config_set" (*mut Guarded<Context>, *const Guarded<Config>) -> c_int;
    encode: "aom_codec_encode"
        (*mut Guarded<Context>, *const Image, i64, c_ulong, c_long) -> c_int;
    packet: "aom_codec_get_cx_data" (*mut Guarded<Context>, *mut *const c_void) -> *const Packet;
    error: "aom_codec_err_to_string" (c_int) -> *const c_char;
    detail: "aom_codec_error_detail" (*mut Guarded<Context>) -> *const c_char;
    close: "aom_codec_destroy" (*mut Guarded<Context>) -> c_int;
}

/// The library, opened and checked. It stays open until the process ends.
pub(super) struct Library {
    functions: Functions,
    interface: c_int,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("version", &self.version()).finish()
    }
}

/// The system's library, opened by the first that asks.
pub(super) fn system() -> Result<&'static Library, OpenError> {
    static SYSTEM: OnceLock<Result<Library, OpenError>> = OnceLock::new();
    SYSTEM.get_or_init(find).as_ref().map_err(Clone::clone)
}

fn find() -> Result<Library, OpenError> {
    match numbered::find(&[()], |()| FILE, "libaom.so", NAMED)? {
        Found::Known(library, ()) => Library::check(&library, KNOWN),
        Found::Other(number) => Err(OpenError::Missing(not_there(number))),
    }
}

/// Why there is no library to use, where one that is not known may be installed.
pub(super) fn not_there(unknown: Option<u32>) -> String {
    match unknown {
        Some(number) => {
            format!("{FILE} (libaom.so.{number} is there, whose structures are not known)")
        }
        None => format!("{FILE} (Debian: libaom3)"),
    }
}

impl Library {
    /// Opens a file that is to be one of these releases.
    #[cfg(test)]
    pub(super) fn open(file: &std::ffi::OsStr, known: Known) -> Result<Self, OpenError> {
        let library =
            DriverLibrary::open(file).map_err(|error| OpenError::Missing(error.to_string()))?;
        Self::check(&library, known)
    }

    /// Finds the functions and tries whether structures are as they are known to be.
    fn check(library: &DriverLibrary, known: Known) -> Result<Self, OpenError> {
        let refused = |why: String| OpenError::Refused(format!("{}: {why}", library.name()));
        let functions =
            Functions::find(library).map_err(|error| OpenError::Refused(error.to_string()))?;
        let Known { minor, interface } = known;
        let library = Self { functions, interface };
        // SAFETY: takes nothing and yields a number.
        let number = unsafe { (library.functions.number)() };
        if number >> 16 != 3 || !minor.contains(&(number >> 8 & 0xff)) {
            let (first, last) = minor.into_inner();
            let version = library.version();
            return Err(refused(format!(
                "its version {version} is not known, which 3.{first} to 3.{last} are"
            )));
        }
        library.try_open().map_err(refused)?;
        Ok(library)
    }

    /// Opens and closes an encoder of a small picture.
    fn try_open(&self) -> Result<(), String> {
        let config = self.config()?;
        let mut context = self.open_context(&config)?;
        let intact = context.is_intact();
        // SAFETY: open, and used no more.
        unsafe { (self.functions.close)(&raw mut *context) };
        if intact { Ok(()) } else { Err("its contexts are larger than known".into()) }
    }

    /// The library's defaults for real time, where they are as known.
    fn config(&self) -> Result<Box<Guarded<Config>>, String> {
        // SAFETY: integers, for which every value is one, and the bytes between them.
        let mut config = Box::new(Guarded::around(unsafe { std::mem::zeroed::<Config>() }));
        // SAFETY: as above; the place is ours and as long as the type.
        unsafe { (&raw mut config.value).write_bytes(UNTOUCHED, 1) };
        // SAFETY: takes nothing and yields a table that lasts as long as the library.
        let table = unsafe { (self.functions.av1)() };
        // SAFETY: the library fills a structure that is as large as known, with room behind it.
        let code = unsafe { (self.functions.defaults)(table, &raw mut *config, REALTIME) };
        self.check_code("aom_codec_enc_config_default", code)?;
        check_defaults(&config.value)?;
        if config.is_intact() {
            Ok(config)
        } else {
            Err("its settings are larger than known".into())
        }
    }

    /// An open context.
    fn open_context(&self, config: &Guarded<Config>) -> Result<Box<Guarded<Context>>, String> {
        // SAFETY: takes nothing and yields a table that lasts as long as the library.
        let table = unsafe { (self.functions.av1)() };
        let mut context = Box::new(Guarded::around(Context { fields: [0; 7] }));
        // SAFETY: the library fills the context, which is as large as known, with room behind it, and
        // copies the settings, which it filled itself.
        let code =
            unsafe { (self.functions.open)(&raw mut *context, table, config, 0, self.interface) };
        match code {
            0 => Ok(context),
            WRONG_INTERFACE => {
                let (version, interface) = (self.version(), self.interface);
                Err(format!("its version {version} has another interface than {interface}"))
            }
            code => Err(self.failure("aom_codec_enc_init_ver", code)),
        }
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

/// Some of the defaults that there are in all of these versions.
fn check_defaults(config: &Config) -> Result<(), String> {
    let untouched = u32::from_ne_bytes([UNTOUCHED; 4]);
    let depths = (config.bit_depth, config.input_bit_depth);
    for (name, right) in [
        ("usage", config.usage == REALTIME),
        ("size", (config.width, config.height) == (320, 240)),
        ("depth", depths == (8, 8)),
        ("time base", config.time_base == [1, 30]),
        ("rate control", config.rate_control == CONSTANT_RATE),
        ("bit rate", config.kilobits == 256),
        ("quantisers", (config.least_quantiser, config.greatest_quantiser) == (0, 63)),
        ("keyframe interval", config.keyframe_interval == 9_999),
        ("end", config.last != untouched),
    ] {
        if !right {
            return Err(format!("the {name} of its settings is not where it is known to be"));
        }
    }
    Ok(())
}
