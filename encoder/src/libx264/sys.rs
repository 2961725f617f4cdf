//! The calls into libx264, which is opened at run time.
//!
//! libx264 is GPL, so nothing of its header is here and nothing of it is linked: there are sizes and
//! places of the few fields that are used, for the builds whose structures were looked at, and a check
//! on opening that they are so. Whatever else is set goes through the library's own parser of names
//! and values. A build without an entry in [`BUILDS`] is not used.
#![expect(unsafe_code, reason = "libx264 is a C library; the calls are confined to this module")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Write as _;
use std::mem::{offset_of, size_of};
use std::ptr::{NonNull, null, null_mut};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media::Size;

use crate::candidates::OpenError;
use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;
use crate::guarded::{Guarded, UNTOUCHED};
use crate::numbered::{self, Found};
use crate::nv12::Nv12;

/// A build of the library whose structures are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) number: u32,
    pub(super) file: &'static str,
    /// The name of this function changes with every change of a structure.
    open: &'static str,
}

/// Newest first. All have the structures of this module.
pub(super) const BUILDS: [Build; 3] = [
    Build { number: 165, file: "libx264.so.165", open: "x264_encoder_open_165" },
    Build { number: 164, file: "libx264.so.164", open: "x264_encoder_open_164" },
    Build { number: 163, file: "libx264.so.163", open: "x264_encoder_open_163" },
];

/// Builds that are looked for, to say that one is there which is not known: from the first ones that
/// are still installed anywhere to some that do not exist yet.
const NAMED: std::ops::RangeInclusive<u32> = 142..=180;

/// Bytes of `x264_param_t`.
const PARAMETERS: usize = 1024;

/// Places in `x264_param_t`, all of them `int`.
mod place {
    pub(super) const WIDTH: usize = 28;
    pub(super) const HEIGHT: usize = 32;
    pub(super) const COLOUR_SPACE: usize = 36;
    pub(super) const BIT_DEPTH: usize = 40;
    pub(super) const REFERENCES: usize = 92;
    pub(super) const KEYFRAME_INTERVAL: usize = 100;
    pub(super) const B_FRAMES: usize = 116;
    pub(super) const LOG_LEVEL: usize = 528;
    pub(super) const PSYCHOVISUAL: usize = 624;
    pub(super) const BLOCK_FLAGS: usize = 628;
    pub(super) const BLOCK_FLAGS_BACK: usize = 632;
    pub(super) const DEAD_ZONE: usize = 636;
    pub(super) const ANNEX_B: usize = 904;
    pub(super) const RATE_NUMERATOR: usize = 920;
    pub(super) const RATE_DENOMINATOR: usize = 924;
}

/// `X264_CSP_NV12`.
const NV12: c_int = 4;
/// `X264_TYPE_AUTO` and `X264_TYPE_IDR`.
const TYPE_AUTO: c_int = 0;
const TYPE_IDR: c_int = 1;

/// `x264_param_t`.
type Parameters = Guarded<[u8; PARAMETERS]>;

impl Parameters {
    fn new() -> Box<Self> {
        Box::new(Guarded::around([UNTOUCHED; PARAMETERS]))
    }

    fn get(&self, place: usize) -> c_int {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.value[place..place + 4]);
        c_int::from_ne_bytes(bytes)
    }

    fn set(&mut self, place: usize, value: c_int) {
        self.value[place..place + 4].copy_from_slice(&value.to_ne_bytes());
    }
}

/// `x264_picture_t`, of which only the named fields are used. Zero is a value of every field.
#[repr(C)]
struct Picture {
    kind: c_int,
    /// One more than the quantiser; asked for where it is not zero, and told of what was coded.
    quantiser_plus_1: c_int,
    reserved_1: c_int,
    keyframe: c_int,
    time: i64,
    reserved_2: [u64; 2],
    colour_space: c_int,
    planes: c_int,
    stride: [c_int; 4],
    plane: [*const u8; 4],
    /// Added to the quantiser of each macroblock, row by row, where adaptive quantisation is on.
    quantiser_offsets: *const f32,
    reserved_3: u64,
    /// What is known of each macroblock, row by row. Without a function to free them, which lies behind, they
    /// stay ours.
    block_flags: *const u8,
    reserved_4: [u64; 15],
}

/// `x264_nal_t`.
#[repr(C)]
struct Nal {
    reserved_1: [c_int; 5],
    bytes: c_int,
    data: *const u8,
    reserved_2: u64,
}

const _: () = assert!(size_of::<Picture>() == 240 && size_of::<Nal>() == 40);
const _: () = assert!(offset_of!(Picture, quantiser_plus_1) == 4);
const _: () = assert!(offset_of!(Picture, keyframe) == 12 && offset_of!(Picture, time) == 16);
const _: () = assert!(offset_of!(Picture, colour_space) == 40 && offset_of!(Picture, planes) == 44);
const _: () = assert!(offset_of!(Picture, stride) == 48 && offset_of!(Picture, plane) == 64);
const _: () = assert!(offset_of!(Picture, quantiser_offsets) == 96);
const _: () = assert!(offset_of!(Picture, block_flags) == 112);
const _: () = assert!(offset_of!(Nal, bytes) == 20 && offset_of!(Nal, data) == 24);

/// An open encoder of the library's.
type Handle = *mut c_void;

/// Declares the functions that must be there, and how they are found.
macro_rules! functions {
    ($($name:ident: $symbol:literal ($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            open: unsafe extern "C" fn(*mut Parameters) -> Handle,
        }

        impl Functions {
            fn find(library: &DriverLibrary, build: Build) -> Result<Self, Unavailable> {
                Ok(Self {
                    // SAFETY: each type is that of x264.h, where these names are declared; pointers
                    // to structures go to memory that is at least as large.
                    $($name: unsafe { library.function($symbol)? },)*
                    // SAFETY: as above.
                    open: unsafe { library.function(build.open)? },
                })
            }
        }
    };
}

functions! {
    defaults: "x264_param_default" (*mut Parameters);
    preset: "x264_param_default_preset" (*mut Parameters, *const c_char, *const c_char) -> c_int;
    parse: "x264_param_parse" (*mut Parameters, *const c_char, *const c_char) -> c_int;
    profile: "x264_param_apply_profile" (*mut Parameters, *const c_char) -> c_int;
    init_picture: "x264_picture_init" (*mut Guarded<Picture>);
    current: "x264_encoder_parameters" (Handle, *mut Parameters);
    reconfigure: "x264_encoder_reconfig" (Handle, *mut Parameters) -> c_int;
    encode: "x264_encoder_encode"
        (Handle, *mut *mut Nal, *mut c_int, *mut Guarded<Picture>, *mut Guarded<Picture>) -> c_int;
    invalidate: "x264_encoder_invalidate_reference" (Handle, i64) -> c_int;
    refresh: "x264_encoder_intra_refresh" (Handle);
    close: "x264_encoder_close" (Handle);
}

/// The library, opened and checked. It stays open until the process ends.
pub(super) struct Library {
    functions: Functions,
    build: u32,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("build", &self.build).finish_non_exhaustive()
    }
}

/// The system's library, opened by the first that asks.
pub(super) fn system() -> Result<&'static Library, OpenError> {
    static SYSTEM: OnceLock<Result<Library, OpenError>> = OnceLock::new();
    SYSTEM.get_or_init(find).as_ref().map_err(Clone::clone)
}

fn find() -> Result<Library, OpenError> {
    match numbered::find(&BUILDS, |build| build.file, "libx264.so", NAMED)? {
        Found::Known(library, build) => Library::check(&library, build),
        Found::Other(number) => Err(OpenError::Missing(not_there(number))),
    }
}

/// Why there is no library to use, where a build that is not known may be installed.
pub(super) fn not_there(unknown: Option<u32>) -> String {
    let known = BUILDS.map(|build| build.number.to_string()).join(" or ");
    match unknown {
        Some(number) => format!(
            "libx264 of build {known} (build {number} is there, whose structures are not known)"
        ),
        None => format!("libx264 of build {known} (Debian: libx264-164)"),
    }
}

impl Library {
    /// Opens a file that is said to be of a build.
    #[cfg(test)]
    pub(super) fn open(file: &std::ffi::OsStr, build: Build) -> Result<Self, OpenError> {
        let library =
            DriverLibrary::open(file).map_err(|error| OpenError::Missing(error.to_string()))?;
        Self::check(&library, build)
    }

    /// Finds the functions and tries whether structures are as they are known to be.
    fn check(library: &DriverLibrary, build: Build) -> Result<Self, OpenError> {
        let refused = |why: String| OpenError::Refused(format!("{}: {why}", library.name()));
        let functions = Functions::find(library, build)
            .map_err(|error| OpenError::Refused(error.to_string()))?;
        let library = Self { functions, build: build.number };
        library.check_parameters().map_err(refused)?;
        library.check_picture().map_err(refused)?;
        Ok(library)
    }

    fn check_parameters(&self) -> Result<(), String> {
        let mut parameters = Parameters::new();
        // SAFETY: the library fills a structure that is as large as known, with room behind it.
        unsafe { (self.functions.defaults)(&raw mut *parameters) };
        check_defaults(|place| parameters.get(place))?;
        self.parse(&mut parameters, c"fps", c"60000/1001")?;
        let rate = (parameters.get(place::RATE_NUMERATOR), parameters.get(place::RATE_DENOMINATOR));
        if rate != (60_000, 1_001) {
            return Err(format!("a frame rate is not where it should be, there is {rate:?}"));
        }
        if !parameters.is_intact() {
            return Err("its parameters are larger than known".into());
        }
        Ok(())
    }

    fn check_picture(&self) -> Result<(), String> {
        let picture = self.picture();
        let Picture { kind, quantiser_plus_1, keyframe, .. } = picture.value;
        let Picture { time, colour_space, planes, .. } = picture.value;
        let zero = (kind, quantiser_plus_1, keyframe) == (TYPE_AUTO, 0, 0)
            && (time, colour_space, planes) == (0, 0, 0);
        let Picture { quantiser_offsets, block_flags, .. } = picture.value;
        let null = quantiser_offsets.is_null() && block_flags.is_null();
        if zero && null && picture.is_intact() {
            Ok(())
        } else {
            Err("its pictures are not as known".into())
        }
    }

    /// A picture as the library initialises one.
    fn picture(&self) -> Box<Guarded<Picture>> {
        // SAFETY: integers and pointers, for which zero is a value.
        let mut picture = Box::new(Guarded::around(unsafe { std::mem::zeroed() }));
        // SAFETY: the library fills a structure that is as large as known, with room behind it.
        unsafe { (self.functions.init_picture)(&raw mut *picture) };
        picture
    }

    /// Sets a parameter by the name that it has on the library's command line.
    fn parse(&self, parameters: &mut Parameters, name: &CStr, value: &CStr) -> Result<(), String> {
        // SAFETY: the parameters were filled by the library; both texts end with a zero byte. None of
        // the names used here makes the library allocate.
        let code = unsafe { (self.functions.parse)(parameters, name.as_ptr(), value.as_ptr()) };
        if code == 0 { Ok(()) } else { Err(format!("libx264 takes no {name:?} of {value:?}")) }
    }

    /// The same for a number, without allocating.
    fn parse_number(
        &self,
        parameters: &mut Parameters,
        name: &CStr,
        number: u32,
    ) -> Result<(), String> {
        let mut text = [0_u8; 16];
        // Ten digits at the most, so a zero byte is left.
        let written = write!(&mut text[..], "{number}");
        let value = CStr::from_bytes_until_nul(&text).unwrap_or_default();
        debug_assert!(written.is_ok());
        self.parse(parameters, name, value)
    }
}

/// Some of the defaults that `x264_param_default` has had in all builds.
pub(super) fn check_defaults(get: impl Fn(usize) -> c_int) -> Result<(), String> {
    for (name, place, expected) in [
        // `X264_CSP_I420`.
        ("colour space", place::COLOUR_SPACE, 2),
        ("bit depth", place::BIT_DEPTH, 8),
        ("references", place::REFERENCES, 3),
        ("keyframe interval", place::KEYFRAME_INTERVAL, 250),
        ("B-frames", place::B_FRAMES, 3),
        // `X264_LOG_INFO`.
        ("log level", place::LOG_LEVEL, 2),
        ("regard for what is seen", place::PSYCHOVISUAL, 1),
        ("use of flags of blocks", place::BLOCK_FLAGS, 0),
        ("change of flags of blocks", place::BLOCK_FLAGS_BACK, 0),
        ("dead zone", place::DEAD_ZONE, 21),
        ("byte stream format", place::ANNEX_B, 1),
    ] {
        let found = get(place);
        if found != expected {
            return Err(format!("its {name} is {found} by default, not {expected} as known"));
        }
    }
    Ok(())
}

/// What an encoder is opened with.
pub(super) struct Settings<'a> {
    pub(super) size: Size,
    /// Numerator and denominator.
    pub(super) rate: (u32, u32),
    pub(super) budget: Budget,
    /// The preset's name.
    pub(super) preset: &'a CStr,
    /// Names and values of the library's command line, set after preset and tuning.
    pub(super) options: &'a [(&'static CStr, &'a CStr)],
}

/// Bits that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// In a second, in thousands.
    pub(super) kilobits: u32,
    /// What the VBV holds, in thousands.
    pub(super) vbv_kilobits: u32,
}

/// What is told of the macroblocks of a picture, row by row.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfBlocks<'a> {
    /// Added to their quantisers; they count only where `aq-mode` is set.
    pub(super) offsets: Option<&'a [f32]>,
    /// `X264_MBINFO_CONSTANT` for those that show what they showed in the picture before.
    pub(super) flags: Option<&'a [u8]>,
}

/// A coded picture in the byte stream format, until the next one is coded.
pub(super) struct Coded<'a> {
    pub(super) data: &'a [u8],
    pub(super) key: bool,
    /// A wave of intra blocks begins with it, and the parameter sets come again.
    pub(super) refresh: bool,
    /// The quantiser that the picture was begun with; none where the library says nothing that is one.
    pub(super) quantiser: Option<u8>,
    /// How long the library took.
    pub(super) took: Duration,
}

/// An open encoder. The pointers make it neither `Send` nor `Sync`.
pub(super) struct RawEncoder {
    library: &'static Library,
    /// From the library's open function, not yet closed.
    handle: NonNull<c_void>,
    size: Size,
    parameters: Box<Parameters>,
    input: Box<Guarded<Picture>>,
    output: Box<Guarded<Picture>>,
}

impl RawEncoder {
    pub(super) fn open(library: &'static Library, settings: &Settings<'_>) -> Result<Self, String> {
        let edge = |edge| c_int::try_from(edge).map_err(|_| "the size is out of range".to_owned());
        let mut parameters = Parameters::new();
        let p = &mut *parameters;
        let functions = &library.functions;
        // SAFETY: the library fills the structure; the texts end with a zero byte.
        let code =
            unsafe { (functions.preset)(p, settings.preset.as_ptr(), c"zerolatency".as_ptr()) };
        check("x264_param_default_preset", code)?;
        p.set(place::WIDTH, edge(settings.size.width)?);
        p.set(place::HEIGHT, edge(settings.size.height)?);
        p.set(place::COLOUR_SPACE, NV12);
        // `X264_LOG_NONE`: it would print to the process's standard error.
        p.set(place::LOG_LEVEL, -1);
        p.set(place::BLOCK_FLAGS, 1);
        p.set(place::RATE_NUMERATOR, settings.rate.0.cast_signed());
        p.set(place::RATE_DENOMINATOR, settings.rate.1.cast_signed());
        for (name, value) in settings.options {
            library.parse(p, name, value)?;
        }
        library.set_budget(p, settings.budget)?;
        // SAFETY: the library filled the structure; the text ends with a zero byte.
        check("x264_param_apply_profile", unsafe { (functions.profile)(p, c"baseline".as_ptr()) })?;
        // SAFETY: the library filled the structure, and copies what it needs of it.
        let handle = NonNull::new(unsafe { (functions.open)(p) })
            .ok_or_else(|| format!("libx264 takes no {} at these settings", settings.size))?;
        let (input, output) = (library.picture(), library.picture());
        Ok(Self { library, handle, size: settings.size, parameters, input, output })
    }

    /// Codes one picture. `time` grows with every picture.
    pub(super) fn encode(
        &mut self,
        source: &Nv12<'_>,
        time: i64,
        keyframe: bool,
        OfBlocks { offsets, flags }: OfBlocks<'_>,
    ) -> Result<Coded<'_>, String> {
        let stride = |stride: usize| c_int::try_from(stride).ok();
        let (true, Some(luma), Some(chroma)) =
            (source.size == self.size, stride(source.luma.stride), stride(source.chroma.stride))
        else {
            return Err("the picture does not fit the encoder".into());
        };
        let blocks = self.size.width.div_ceil(16) as usize * self.size.height.div_ceil(16) as usize;
        if offsets.is_some_and(|offsets| offsets.len() != blocks)
            || flags.is_some_and(|flags| flags.len() != blocks)
        {
            return Err("offsets or flags are not those of its macroblocks".into());
        }
        let picture = &mut self.input.value;
        picture.kind = if keyframe { TYPE_IDR } else { TYPE_AUTO };
        picture.time = time;
        (picture.colour_space, picture.planes) = (NV12, 2);
        picture.stride = [luma, chroma, 0, 0];
        picture.plane = [source.luma.data.as_ptr(), source.chroma.data.as_ptr(), null(), null()];
        picture.quantiser_offsets = offsets.map_or(null(), <[f32]>::as_ptr);
        picture.block_flags = flags.map_or(null(), <[u8]>::as_ptr);
        let (mut nals, mut count) = (null_mut::<Nal>(), 0);
        let began = Instant::now();
        // SAFETY: the encoder is open for this size. It reads planes that `Nv12` vouches for, and an
        // offset and flags for each macroblock, within the call: without look-ahead and threads for whole
        // pictures the picture is coded by then, and flags are read of none but the one that is coded. It
        // writes the output picture and the two locations, which are ours.
        let bytes = unsafe {
            (self.library.functions.encode)(
                self.handle.as_ptr(),
                &raw mut nals,
                &raw mut count,
                &raw mut *self.input,
                &raw mut *self.output,
            )
        };
        let took = began.elapsed();
        // Not kept beyond the call, which their memory need not outlive.
        self.input.value.plane = [null(); 4];
        self.input.value.quantiser_offsets = null();
        self.input.value.block_flags = null();
        let bytes = match usize::try_from(bytes) {
            Ok(bytes) if bytes > 0 && count > 0 && !nals.is_null() => bytes,
            _ => return Err(format!("x264_encoder_encode answered {bytes}, with {count} units")),
        };
        // SAFETY: `count` units lie there. Their payloads follow one another, `bytes` in all, and
        // stay until the next call, which needs `&mut self`.
        let data = unsafe { std::slice::from_raw_parts((*nals).data, bytes) };
        // What the library calls a keyframe may also be the first picture of a wave.
        let Picture { kind, quantiser_plus_1, keyframe, .. } = self.output.value;
        let key = kind == TYPE_IDR;
        let quantiser = quantiser_plus_1.checked_sub(1).and_then(|value| u8::try_from(value).ok());
        Ok(Coded { data, key, refresh: keyframe != 0 && !key, quantiser, took })
    }

    /// Sets budget and options, of those that it changes as it goes on, from the next picture on. What was set since the
    /// newest picture is forgotten.
    pub(super) fn reconfigure(
        &mut self,
        budget: Budget,
        options: &[(&CStr, &CStr)],
    ) -> Result<(), String> {
        let functions = &self.library.functions;
        let p = &mut *self.parameters;
        // SAFETY: the encoder is open; the library fills the structure, which is as large as known.
        unsafe { (functions.current)(self.handle.as_ptr(), p) };
        self.library.set_budget(p, budget)?;
        for (name, value) in options {
            self.library.parse(p, name, value)?;
        }
        // SAFETY: the encoder is open; the library copies what it needs of a structure of its own.
        check("x264_encoder_reconfig", unsafe { (functions.reconfigure)(self.handle.as_ptr(), p) })
    }

    /// Refers to no picture of this time or later any more.
    pub(super) fn invalidate(&mut self, time: i64) -> Result<(), String> {
        // SAFETY: the encoder is open, and codes nothing at the moment.
        let code = unsafe { (self.library.functions.invalidate)(self.handle.as_ptr(), time) };
        check("x264_encoder_invalidate_reference", code)
    }

    /// Begins a wave of intra blocks with the next picture, or with the one after the last of a wave
    /// that is under way. Only for an encoder with `intra-refresh`.
    pub(super) fn refresh(&mut self) {
        // SAFETY: the encoder is open, and codes nothing at the moment.
        unsafe { (self.library.functions.refresh)(self.handle.as_ptr()) };
    }
}

impl Library {
    fn set_budget(&self, parameters: &mut Parameters, budget: Budget) -> Result<(), String> {
        self.parse_number(parameters, c"bitrate", budget.kilobits)?;
        self.parse_number(parameters, c"vbv-maxrate", budget.kilobits)?;
        self.parse_number(parameters, c"vbv-bufsize", budget.vbv_kilobits)
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: open since `open`, and dropped only once.
        unsafe { (self.library.functions.close)(self.handle.as_ptr()) };
    }
}

fn check(function: &str, code: c_int) -> Result<(), String> {
    if code >= 0 { Ok(()) } else { Err(format!("{function} failed with code {code}")) }
}
