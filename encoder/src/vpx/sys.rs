//! The calls into libvpx, which is opened at run time.
//!
//! Its structures and functions are here as far as they are used, with the places that fields have in
//! its headers from version 1.11 to 1.17. The library is told by a number which headers a caller has,
//! and refuses others; besides that, sizes and defaults are tried on opening. A library without an
//! entry in [`VERSIONS`] is not used.
#![expect(unsafe_code, reason = "libvpx is a C library; the calls are confined to this module")]

use std::ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void};
use std::mem::{offset_of, size_of};
use std::ops::RangeInclusive;
use std::ptr::null;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use media::Size;

use super::segments::COUNT;
use crate::candidates::OpenError;
use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;
use crate::guarded::{Guarded, UNTOUCHED};
use crate::numbered::{self, Found};
use crate::nv12::Nv12;

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

/// `VPX_CODEC_ABI_MISMATCH`.
const WRONG_INTERFACE: c_int = 3;
/// `VPX_IMG_FMT_NV12`.
const NV12: c_int = 0x109;
/// `VPX_CBR`.
const CONSTANT_RATE: c_int = 1;
/// `VPX_KF_DISABLED`.
const NO_KEYFRAMES: c_int = 0;
/// `VPX_ERROR_RESILIENT_DEFAULT`.
const RESILIENT: u32 = 1;
/// `VPX_CODEC_CX_FRAME_PKT`.
const FRAME: c_int = 0;
/// `VPX_FRAME_IS_KEY`.
const IS_KEY: u32 = 1;
/// `VPX_DL_REALTIME`.
const REALTIME: c_ulong = 1;
/// `VP8E_SET_ROI_MAP`, a `vpx_roi_map_t *`.
const SET_SEGMENTS: c_int = 8;
/// `VP8E_SET_CPUUSED`, an `int`.
const SET_SPEED: c_int = 13;
/// `VP8E_GET_LAST_QUANTIZER_64`, an `int *`.
const GET_QUANTISER: c_int = 20;
/// `VP8E_SET_MAX_INTRA_BITRATE_PCT`, an `unsigned int`.
const SET_LARGEST_KEYFRAME: c_int = 26;

/// What a picture may refer to and what it is kept as: bits of `vpx_enc_frame_flags_t`.
pub(super) mod flag {
    use std::ffi::c_long;

    /// `VPX_EFLAG_FORCE_KF`.
    pub(in super::super) const KEYFRAME: c_long = 1;
    /// `VP8_EFLAG_NO_UPD_LAST` and `VP8_EFLAG_NO_UPD_ENTROPY`, beside those for the other two references.
    pub(in super::super) const IN_VAIN: c_long = 1 << 18 | 1 << 20 | NOT_AS_GOLDEN | NOT_AS_ALTREF;
    /// `VP8_EFLAG_NO_REF_LAST`, `_GF` and `_ARF`.
    pub(in super::super) const NOT_FROM_LAST: c_long = 1 << 16;
    pub(in super::super) const NOT_FROM_GOLDEN: c_long = 1 << 17;
    pub(in super::super) const NOT_FROM_ALTREF: c_long = 1 << 21;
    /// `VP8_EFLAG_NO_UPD_GF` and `_ARF`.
    pub(in super::super) const NOT_AS_GOLDEN: c_long = 1 << 22;
    pub(in super::super) const NOT_AS_ALTREF: c_long = 1 << 23;
    /// `VP8_EFLAG_FORCE_GF` and `_ARF`.
    pub(in super::super) const AS_GOLDEN: c_long = 1 << 19;
    pub(in super::super) const AS_ALTREF: c_long = 1 << 24;
}

/// `vpx_codec_enc_cfg_t`, of which only the named fields are used.
#[repr(C)]
struct Config {
    reserved_1: u32,
    threads: u32,
    reserved_2: u32,
    width: u32,
    height: u32,
    reserved_3: [u32; 2],
    time_base: [c_int; 2],
    resilient: u32,
    reserved_4: u32,
    lag: u32,
    drop_threshold: u32,
    reserved_5: [u32; 5],
    rate_control: c_int,
    reserved_6: [usize; 4],
    kilobits: u32,
    least_quantiser: u32,
    greatest_quantiser: u32,
    reserved_7: [u32; 2],
    /// In milliseconds at the bit rate, as are the next two.
    buffer: u32,
    buffer_at_first: u32,
    buffer_aimed_at: u32,
    reserved_8: [u32; 4],
    keyframes: c_int,
    reserved_9: u32,
    keyframe_interval: u32,
    reserved_10: [u32; 82],
    last: u32,
}

/// `vpx_image_t`, of which only the named fields are used.
#[repr(C)]
struct Image {
    format: c_int,
    reserved_1: [u32; 2],
    stored: [u32; 2],
    bit_depth: u32,
    shown: [u32; 2],
    reserved_2: [u32; 2],
    chroma_shift: [u32; 2],
    plane: [*const u8; 4],
    stride: [c_int; 4],
    bits_a_pixel: c_int,
    reserved_3: [usize; 4],
}

/// `vpx_codec_ctx_t`, which the library fills.
#[repr(C)]
struct Context {
    fields: [usize; 7],
}

/// The first fields of `vpx_codec_cx_pkt_t` where it holds a frame.
#[repr(C)]
struct Packet {
    kind: c_int,
    data: *const u8,
    bytes: usize,
    reserved: [u64; 2],
    flags: u32,
}

/// `vpx_roi_map_t`, the same in all of these versions. VP8 uses neither what is reserved nor the last four of
/// each eight.
#[repr(C)]
struct SegmentMap {
    reserved_1: u8,
    numbers: *const u8,
    rows: u32,
    columns: u32,
    quantiser_offsets: [c_int; 8],
    filter_offsets: [c_int; 8],
    reserved_2: [c_int; 16],
    static_thresholds: [u32; 4],
}

const _: () = assert!(size_of::<Config>() == 504 && size_of::<Image>() == 136);
const _: () = assert!(size_of::<Context>() == 56);
const _: () = assert!(offset_of!(Config, threads) == 4 && offset_of!(Config, width) == 12);
const _: () = assert!(offset_of!(Config, time_base) == 28 && offset_of!(Config, resilient) == 36);
const _: () = assert!(offset_of!(Config, lag) == 44 && offset_of!(Config, drop_threshold) == 48);
const _: () =
    assert!(offset_of!(Config, rate_control) == 72 && offset_of!(Config, kilobits) == 112);
const _: () = assert!(offset_of!(Config, least_quantiser) == 116);
const _: () = assert!(offset_of!(Config, buffer) == 132 && offset_of!(Config, keyframes) == 160);
const _: () = assert!(offset_of!(Config, keyframe_interval) == 168);
const _: () = assert!(offset_of!(Image, stored) == 12 && offset_of!(Image, bit_depth) == 20);
const _: () = assert!(offset_of!(Image, shown) == 24 && offset_of!(Image, chroma_shift) == 40);
const _: () = assert!(offset_of!(Image, plane) == 48 && offset_of!(Image, stride) == 80);
const _: () = assert!(offset_of!(Image, bits_a_pixel) == 96);
const _: () = assert!(offset_of!(Packet, data) == 8 && offset_of!(Packet, bytes) == 16);
const _: () = assert!(offset_of!(Packet, flags) == 40);

const _: () = assert!(size_of::<SegmentMap>() == 168 && offset_of!(SegmentMap, numbers) == 8);
const _: () = assert!(offset_of!(SegmentMap, rows) == 16 && offset_of!(SegmentMap, columns) == 20);
const _: () = assert!(offset_of!(SegmentMap, quantiser_offsets) == 24);
const _: () = assert!(offset_of!(SegmentMap, filter_offsets) == 56);
const _: () = assert!(offset_of!(SegmentMap, static_thresholds) == 152);

/// `vpx_codec_iface_t`: a table of the library's own.
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
                    control: unsafe { library.function("vpx_codec_control_")? },
                })
            }
        }
    };
}

functions! {
    version: "vpx_codec_version_str" () -> *const c_char;
    vp8: "vpx_codec_vp8_cx" () -> Interface;
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

    /// Finds the functions and tries whether structures are as they are known to be.
    fn check(library: &DriverLibrary, version: Version) -> Result<Self, OpenError> {
        let refused = |why: String| OpenError::Refused(format!("{}: {why}", library.name()));
        let functions =
            Functions::find(library).map_err(|error| OpenError::Refused(error.to_string()))?;
        let mut library = Self { functions, interface: 0 };
        library.check_config().map_err(refused)?;
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

    fn check_config(&self) -> Result<(), String> {
        let config = self.config()?;
        check_defaults(&config.value)?;
        if config.is_intact() { Ok(()) } else { Err("its settings are larger than known".into()) }
    }

    /// Opens and closes an encoder of a small picture.
    fn try_open(&self) -> Result<(), c_int> {
        let config = self.config().map_err(|_| WRONG_INTERFACE)?;
        let mut context = self.open_context(&config)?;
        let intact = context.is_intact();
        // SAFETY: open, and used no more.
        unsafe { (self.functions.close)(&raw mut *context) };
        if intact { Ok(()) } else { Err(WRONG_INTERFACE) }
    }

    /// The library's defaults for VP8.
    fn config(&self) -> Result<Box<Guarded<Config>>, String> {
        // SAFETY: integers, for which every value is one, and the bytes between them.
        let mut config = Box::new(Guarded::around(unsafe { std::mem::zeroed::<Config>() }));
        // SAFETY: as above; the place is ours and as long as the type.
        unsafe { (&raw mut config.value).write_bytes(UNTOUCHED, 1) };
        // SAFETY: the library fills a structure that is as large as known, with room behind it. Usage
        // 0 is the only one.
        let code = unsafe { (self.functions.defaults)(self.vp8(), &raw mut *config, 0) };
        self.check_code("vpx_codec_enc_config_default", code)?;
        Ok(config)
    }

    fn vp8(&self) -> Interface {
        // SAFETY: takes nothing and yields a table that lasts as long as the library.
        unsafe { (self.functions.vp8)() }
    }

    /// An open context, or the code that the library answers.
    fn open_context(&self, config: &Guarded<Config>) -> Result<Box<Guarded<Context>>, c_int> {
        let mut context = Box::new(Guarded::around(Context { fields: [0; 7] }));
        // SAFETY: the library fills the context, which is as large as known, with room behind it, and
        // copies the settings, which it filled itself.
        let code = unsafe {
            (self.functions.open)(&raw mut *context, self.vp8(), config, 0, self.interface)
        };
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

/// Some of the defaults that VP8 has had in all versions.
fn check_defaults(config: &Config) -> Result<(), String> {
    let Config { width, height, time_base, kilobits, buffer, keyframe_interval, last, .. } =
        *config;
    let quantisers = (config.least_quantiser, config.greatest_quantiser);
    let untouched = u32::from_ne_bytes([UNTOUCHED; 4]);
    for (name, right) in [
        ("size", (width, height) == (320, 240)),
        ("time base", time_base == [1, 30]),
        ("bit rate", kilobits == 256),
        ("quantisers", quantisers == (4, 63)),
        ("buffer", buffer == 6_000),
        ("keyframe interval", keyframe_interval == 128),
        ("end", last != untouched),
    ] {
        if !right {
            return Err(format!("the {name} of its settings is not where it is known to be"));
        }
    }
    Ok(())
}

/// Bits that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// In a second, in thousands.
    pub(super) kilobits: u32,
    /// What rate control may save and overdraw, in milliseconds at this rate.
    pub(super) buffer_millis: u32,
}

/// A coded picture, until the next one is coded.
pub(super) struct Coded<'a> {
    pub(super) data: &'a [u8],
    pub(super) key: bool,
    /// How coarse it is, up to 63.
    pub(super) quantiser: u8,
    /// How long the library took.
    pub(super) took: Duration,
}

/// An open encoder. The pointers make it neither `Send` nor `Sync`.
pub(super) struct RawEncoder {
    library: &'static Library,
    /// Open.
    context: Box<Guarded<Context>>,
    config: Box<Guarded<Config>>,
    image: Image,
    size: Size,
    /// The library has a map of segments.
    segmented: bool,
}

impl RawEncoder {
    /// Opens one for the least delay. Times are in microseconds; `speed` is that of
    /// `VP8E_SET_CPUUSED`; a keyframe is meant to be no larger than this many percent of a frame.
    pub(super) fn open(
        library: &'static Library,
        size: Size,
        budget: Budget,
        speed: c_int,
        keyframe_percent: u32,
    ) -> Result<Self, String> {
        let mut config = library.config()?;
        let c = &mut config.value;
        (c.width, c.height, c.threads) = (size.width, size.height, 1);
        (c.time_base, c.lag, c.drop_threshold) = ([1, 1_000_000], 0, 0);
        c.resilient = RESILIENT;
        (c.rate_control, c.keyframes) = (CONSTANT_RATE, NO_KEYFRAMES);
        c.set_budget(budget);
        let context = library
            .open_context(&config)
            .map_err(|code| library.failure("vpx_codec_enc_init_ver", code))?;
        let mut encoder =
            Self { library, context, config, image: image(size), size, segmented: false };
        let control = library.functions.control;
        // SAFETY: the encoder is open, and this control takes an `int`.
        let code = unsafe { control(&raw mut *encoder.context, SET_SPEED, speed) };
        encoder.check("vpx_codec_control_", code)?;
        // SAFETY: the encoder is open, and this control takes an `unsigned int`.
        let code =
            unsafe { control(&raw mut *encoder.context, SET_LARGEST_KEYFRAME, keyframe_percent) };
        encoder.check("vpx_codec_control_", code)?;
        Ok(encoder)
    }

    /// Codes one picture, which begins at `time`, lasts for `duration` and has these [`flag`]s.
    pub(super) fn encode(
        &mut self,
        source: &Nv12<'_>,
        time: i64,
        duration: c_ulong,
        flags: c_long,
    ) -> Result<Coded<'_>, String> {
        let stride = |stride: usize| c_int::try_from(stride).ok();
        let (true, Some(luma), Some(chroma)) =
            (source.size == self.size, stride(source.luma.stride), stride(source.chroma.stride))
        else {
            return Err("the picture does not fit the encoder".into());
        };
        let pairs = source.chroma.data.as_ptr();
        // The library knows pairs by the place of their second half.
        self.image.plane = [source.luma.data.as_ptr(), pairs, pairs.wrapping_add(1), null()];
        self.image.stride = [luma, chroma, chroma, 0];
        let functions = &self.library.functions;
        let began = Instant::now();
        // SAFETY: the encoder is open for this size. It reads planes that `Nv12` vouches for within
        // the call.
        let code = unsafe {
            (functions.encode)(
                &raw mut *self.context,
                &raw const self.image,
                time,
                duration,
                flags,
                REALTIME,
            )
        };
        let took = began.elapsed();
        // Not kept beyond the call, which their memory need not outlive.
        self.image.plane = [null(); 4];
        self.check("vpx_codec_encode", code)?;
        let quantiser = self.quantiser()?;
        let functions = &self.library.functions;
        let mut place = null();
        loop {
            // SAFETY: the encoder is open; the place is where the last call left it.
            let packet = unsafe { (functions.packet)(&raw mut *self.context, &raw mut place) };
            if packet.is_null() {
                return Err("it made no unit of the picture".into());
            }
            // SAFETY: not null, so a packet lies there until the next picture is coded, which needs
            // `&mut self`.
            let packet = unsafe { &*packet };
            if packet.kind == FRAME && !packet.data.is_null() {
                // SAFETY: a frame has this many bytes there, for as long.
                let data = unsafe { std::slice::from_raw_parts(packet.data, packet.bytes) };
                return Ok(Coded { data, key: packet.flags & IS_KEY != 0, quantiser, took });
            }
        }
    }

    /// How coarse the newest picture is.
    fn quantiser(&mut self) -> Result<u8, String> {
        let control = self.library.functions.control;
        let mut quantiser: c_int = 0;
        // SAFETY: the encoder is open, and this control writes an `int`.
        let code = unsafe { control(&raw mut *self.context, GET_QUANTISER, &raw mut quantiser) };
        self.check("vpx_codec_control_", code)?;
        u8::try_from(quantiser).map_err(|_| format!("a picture has the quantiser {quantiser}"))
    }

    /// Sets how coarse pictures may be from the next one on.
    pub(super) fn set_quantisers(&mut self, range: RangeInclusive<u8>) -> Result<(), String> {
        let config = &mut self.config.value;
        config.least_quantiser = (*range.start()).into();
        config.greatest_quantiser = (*range.end()).into();
        self.configure()
    }

    /// Sets the segment of each macroblock of the next picture, row by row, and on a scale of 63 the offset of
    /// the quantiser in each; none makes one of all. To be called before each picture, so that each brings
    /// the map with it.
    pub(super) fn set_segments(
        &mut self,
        segments: Option<(&[u8], [i32; COUNT])>,
    ) -> Result<(), String> {
        if segments.is_none() && !self.segmented {
            return Ok(());
        }
        let [columns, rows] = [self.size.width, self.size.height].map(|edge| edge.div_ceil(16));
        let (numbers, offsets) = match segments {
            Some((numbers, _)) if numbers.len() as u64 != u64::from(columns) * u64::from(rows) => {
                return Err("the segments do not fit the encoder".into());
            }
            Some((numbers, offsets)) => (numbers.as_ptr(), offsets),
            None => (null(), [0; COUNT]),
        };
        let mut map = SegmentMap {
            reserved_1: 0,
            numbers,
            rows,
            columns,
            quantiser_offsets: [0; 8],
            filter_offsets: [0; 8],
            reserved_2: [0; 16],
            static_thresholds: [0; 4],
        };
        map.quantiser_offsets[..COUNT].copy_from_slice(&offsets);
        let control = self.library.functions.control;
        // SAFETY: the encoder is open, and this control takes such a structure, of which the library copies
        // within the call what it needs: as many numbers as were counted above, or none.
        let code = unsafe { control(&raw mut *self.context, SET_SEGMENTS, &raw mut map) };
        self.check("vpx_codec_control_", code)?;
        self.segmented = segments.is_some();
        Ok(())
    }

    /// Sets the budget from the next picture on.
    pub(super) fn set_budget(&mut self, budget: Budget) -> Result<(), String> {
        self.config.value.set_budget(budget);
        self.configure()
    }

    fn configure(&mut self) -> Result<(), String> {
        // SAFETY: the encoder is open; the library copies settings that it filled itself.
        let code = unsafe {
            (self.library.functions.configure)(&raw mut *self.context, &raw const *self.config)
        };
        self.check("vpx_codec_enc_config_set", code)
    }

    fn check(&mut self, function: &str, code: c_int) -> Result<(), String> {
        self.library.check_code(function, code).map_err(|failure| {
            // SAFETY: the encoder is open; the text stays until the next call.
            let detail = text(unsafe { (self.library.functions.detail)(&raw mut *self.context) });
            format!("{failure} ({detail})")
        })
    }
}

impl Config {
    fn set_budget(&mut self, budget: Budget) {
        self.kilobits = budget.kilobits;
        let millis = budget.buffer_millis;
        (self.buffer, self.buffer_at_first, self.buffer_aimed_at) = (millis, millis, millis);
    }
}

/// A picture in NV12 without planes yet.
fn image(size: Size) -> Image {
    let edges = [size.width, size.height];
    Image {
        format: NV12,
        reserved_1: [0; 2],
        stored: edges,
        bit_depth: 8,
        shown: edges,
        reserved_2: [0; 2],
        chroma_shift: [1; 2],
        plane: [null(); 4],
        stride: [0; 4],
        bits_a_pixel: 12,
        reserved_3: [0; 4],
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: open since `open`, and dropped only once.
        unsafe { (self.library.functions.close)(&raw mut *self.context) };
    }
}
