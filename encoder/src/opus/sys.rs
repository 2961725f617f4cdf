//! The calls into libopus, which is opened at run time.
//!
//! Its interface is one of functions and numbers alone, and has only grown since 1.1: no structure of it
//! has to be known. What codes one or two channels and what codes more have the same functions under other names.
#![expect(unsafe_code, reason = "libopus is a C library; the calls are confined to this module")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use media::audio::{CHANNELS, SAMPLE_RATE};

use super::Streams;

use crate::cuda::Unavailable;
use crate::cuda::loader::DriverLibrary;

/// The library's name in the system.
const LIBRARY: &str = "libopus.so.0";
/// `OPUS_GET_LOOKAHEAD`: a request that writes an `opus_int32`.
const LOOKAHEAD: c_int = 4027;

/// What an encoder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Application {
    /// `OPUS_APPLICATION_AUDIO`: both of its coders, of which one has forward error correction.
    Audio = 2049,
    /// `OPUS_APPLICATION_RESTRICTED_LOWDELAY`: the other one alone, which needs not wait for the first.
    LowDelay = 2051,
}

/// Settings of an encoder: requests of `opus_encoder_ctl` that take an `opus_int32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Setting {
    /// `OPUS_SET_BITRATE`: bits a second.
    Bitrate = 4002,
    /// `OPUS_SET_COMPLEXITY`: 0 to 10.
    Complexity = 4010,
    /// `OPUS_SET_INBAND_FEC`: 0 or 1.
    InbandFec = 4012,
    /// `OPUS_SET_PACKET_LOSS_PERC`: 0 to 100.
    ExpectedLoss = 4014,
}

type Control = unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int;
type Encode = unsafe extern "C" fn(*mut c_void, *const f32, c_int, *mut u8, i32) -> i32;
type Decode = unsafe extern "C" fn(*mut c_void, *const u8, i32, *mut f32, c_int, c_int) -> c_int;
type Close = unsafe extern "C" fn(*mut c_void) -> ();

/// Declares the functions, and how they are found.
macro_rules! functions {
    ($($name:ident: $symbol:literal ($($argument:ty),*) -> $result:ty;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> $result,)*
            control: Control,
            control_many: Control,
        }

        impl Functions {
            fn find(library: &DriverLibrary) -> Result<Self, Unavailable> {
                Ok(Self {
                    // SAFETY: each type is that of opus.h and opus_multistream.h, where these names are declared;
                    // encoders and decoders are opaque there.
                    $($name: unsafe { library.function($symbol)? },)*
                    // SAFETY: as above.
                    control: unsafe { library.function("opus_encoder_ctl")? },
                    // SAFETY: as above, of opus_multistream.h.
                    control_many: unsafe { library.function("opus_multistream_encoder_ctl")? },
                })
            }
        }
    };
}

functions! {
    version: "opus_get_version_string" () -> *const c_char;
    describe: "opus_strerror" (c_int) -> *const c_char;
    open_encoder: "opus_encoder_create" (i32, c_int, c_int, *mut c_int) -> *mut c_void;
    encode: "opus_encode_float" (*mut c_void, *const f32, c_int, *mut u8, i32) -> i32;
    close_encoder: "opus_encoder_destroy" (*mut c_void) -> ();
    open_decoder: "opus_decoder_create" (i32, c_int, *mut c_int) -> *mut c_void;
    decode: "opus_decode_float" (*mut c_void, *const u8, i32, *mut f32, c_int, c_int) -> c_int;
    close_decoder: "opus_decoder_destroy" (*mut c_void) -> ();
    open_surround: "opus_multistream_surround_encoder_create"
        (i32, c_int, c_int, *mut c_int, *mut c_int, *mut u8, c_int, *mut c_int) -> *mut c_void;
    encode_many: "opus_multistream_encode_float" (*mut c_void, *const f32, c_int, *mut u8, i32) -> i32;
    close_many: "opus_multistream_encoder_destroy" (*mut c_void) -> ();
    open_decoder_many: "opus_multistream_decoder_create"
        (i32, c_int, c_int, c_int, *const u8, *mut c_int) -> *mut c_void;
    decode_many: "opus_multistream_decode_float"
        (*mut c_void, *const u8, i32, *mut f32, c_int, c_int) -> c_int;
    close_decoder_many: "opus_multistream_decoder_destroy" (*mut c_void) -> ();
}

/// The library, which stays open until the process ends.
pub(super) struct Library {
    functions: Functions,
}

/// The system's library, opened by the first that asks.
pub(super) fn system() -> Result<&'static Library, String> {
    static SYSTEM: OnceLock<Result<Library, String>> = OnceLock::new();
    SYSTEM.get_or_init(|| Library::open(OsStr::new(LIBRARY))).as_ref().map_err(Clone::clone)
}

impl Library {
    pub(super) fn open(file: &OsStr) -> Result<Self, String> {
        let library =
            DriverLibrary::open(file).map_err(|error| format!("{error} (Debian: libopus0)"))?;
        let functions = Functions::find(&library).map_err(|error| error.to_string())?;
        Ok(Self { functions })
    }

    pub(super) fn version(&self) -> String {
        // SAFETY: takes nothing and yields a text of the library's.
        text(unsafe { (self.functions.version)() })
    }

    fn failure(&self, function: &str, code: c_int) -> String {
        // SAFETY: takes any number and yields a text of the library's.
        format!("{function} failed: {}", text(unsafe { (self.functions.describe)(code) }))
    }
}

/// A text of the library's, which lasts as long as it.
fn text(text: *const c_char) -> String {
    if text.is_null() {
        return "nothing said".to_owned();
    }
    // SAFETY: not null, and the library's texts end and never change.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// An `OpusEncoder`, or an `OpusMSEncoder`.
pub(super) struct RawEncoder {
    library: &'static Library,
    state: NonNull<c_void>,
    channels: usize,
    encode: Encode,
    control: Control,
    close: Close,
}

// SAFETY: an encoder is memory that no thread but its caller's touches.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// An encoder of stereo.
    pub(super) fn open(
        library: &'static Library,
        application: Application,
    ) -> Result<Self, String> {
        let mut code = 0;
        let (rate, channels) = (SAMPLE_RATE as i32, CHANNELS as c_int);
        let functions = &library.functions;
        let open = functions.open_encoder;
        // SAFETY: plain numbers, and a place for the code.
        let state = unsafe { open(rate, channels, application as c_int, &raw mut code) };
        let state = NonNull::new(state).filter(|_| code == 0);
        let state = state.ok_or_else(|| library.failure("opus_encoder_create", code))?;
        Ok(Self {
            library,
            state,
            channels: CHANNELS,
            encode: functions.encode,
            control: functions.control,
            close: functions.close_encoder,
        })
    }

    /// An encoder of more channels, in the order of mapping family 1.
    pub(super) fn open_many(
        library: &'static Library,
        application: Application,
        streams: &Streams,
    ) -> Result<Self, String> {
        let (mut code, mut count, mut coupled) = (0, 0, 0);
        let channels = streams.mapping.len();
        let mut mapping = vec![0_u8; channels];
        let functions = &library.functions;
        // SAFETY: plain numbers, places for three of them, and one of as many bytes as there are channels.
        let state = unsafe {
            (functions.open_surround)(
                SAMPLE_RATE as i32,
                channels as c_int,
                Streams::FAMILY.into(),
                &raw mut count,
                &raw mut coupled,
                mapping.as_mut_ptr(),
                application as c_int,
                &raw mut code,
            )
        };
        let state = NonNull::new(state).filter(|_| code == 0);
        let name = "opus_multistream_surround_encoder_create";
        let state = state.ok_or_else(|| library.failure(name, code))?;
        let made = Self {
            library,
            state,
            channels,
            encode: functions.encode_many,
            control: functions.control_many,
            close: functions.close_many,
        };
        let is_known = (count, coupled) == (streams.count.into(), streams.coupled.into());
        if !is_known || mapping != streams.mapping {
            return Err(format!(
                "{name} maps {channels} channels to {mapping:?} of {count} streams"
            ));
        }
        Ok(made)
    }

    pub(super) fn set(&mut self, setting: Setting, value: i32) -> Result<(), String> {
        // SAFETY: the encoder is open, and each setting takes one `opus_int32`.
        let code = unsafe { (self.control)(self.state.as_ptr(), setting as c_int, value) };
        if code == 0 { Ok(()) } else { Err(self.library.failure("opus_encoder_ctl", code)) }
    }

    /// Samples by which what is decoded is later than what was coded.
    pub(super) fn lookahead(&self) -> Result<usize, String> {
        let mut samples: i32 = 0;
        // SAFETY: the encoder is open, and the request takes a place for an `opus_int32`.
        let code = unsafe { (self.control)(self.state.as_ptr(), LOOKAHEAD, &raw mut samples) };
        match usize::try_from(samples) {
            Ok(samples) if code == 0 => Ok(samples),
            _ => Err(self.library.failure("opus_encoder_ctl", code)),
        }
    }

    /// Codes a block; yields how many bytes of `out` the packet has. The library refuses blocks of
    /// lengths that Opus has not.
    pub(super) fn encode(&mut self, block: &[f32], out: &mut [u8]) -> Result<usize, String> {
        let samples = c_int::try_from(block.len() / self.channels).map_err(|e| e.to_string())?;
        let room = i32::try_from(out.len()).unwrap_or(i32::MAX);
        // SAFETY: the encoder is open; `block` has so many samples of each channel, and `out` so
        // many bytes.
        let bytes = unsafe {
            (self.encode)(self.state.as_ptr(), block.as_ptr(), samples, out.as_mut_ptr(), room)
        };
        usize::try_from(bytes).map_err(|_| self.library.failure("opus_encode_float", bytes))
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: open, and used no more.
        unsafe { (self.close)(self.state.as_ptr()) };
    }
}

/// An `OpusDecoder`, or an `OpusMSDecoder`.
pub(super) struct RawDecoder {
    library: &'static Library,
    state: NonNull<c_void>,
    channels: usize,
    decode: Decode,
    close: Close,
}

// SAFETY: a decoder is memory that no thread but its caller's touches.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    /// A decoder of stereo.
    pub(super) fn open(library: &'static Library) -> Result<Self, String> {
        let mut code = 0;
        let (rate, channels) = (SAMPLE_RATE as i32, CHANNELS as c_int);
        let functions = &library.functions;
        // SAFETY: plain numbers, and a place for the code.
        let state = unsafe { (functions.open_decoder)(rate, channels, &raw mut code) };
        let state = NonNull::new(state).filter(|_| code == 0);
        let state = state.ok_or_else(|| library.failure("opus_decoder_create", code))?;
        let (decode, close) = (functions.decode, functions.close_decoder);
        Ok(Self { library, state, channels: CHANNELS, decode, close })
    }

    /// A decoder of more channels, in the order of mapping family 1.
    pub(super) fn open_many(library: &'static Library, streams: &Streams) -> Result<Self, String> {
        let mut code = 0;
        let channels = streams.mapping.len();
        let functions = &library.functions;
        // SAFETY: plain numbers, a byte for each channel, and a place for the code.
        let state = unsafe {
            (functions.open_decoder_many)(
                SAMPLE_RATE as i32,
                channels as c_int,
                streams.count.into(),
                streams.coupled.into(),
                streams.mapping.as_ptr(),
                &raw mut code,
            )
        };
        let state = NonNull::new(state).filter(|_| code == 0);
        let state =
            state.ok_or_else(|| library.failure("opus_multistream_decoder_create", code))?;
        let (decode, close) = (functions.decode_many, functions.close_decoder_many);
        Ok(Self { library, state, channels, decode, close })
    }

    /// Decodes a packet, or what it says of the one before it; without a packet it makes up what is
    /// missing. Yields the samples of each channel that were written to `out`.
    pub(super) fn decode(
        &mut self,
        packet: Option<&[u8]>,
        before: bool,
        out: &mut [f32],
    ) -> Result<usize, String> {
        let (data, bytes) = packet.map_or((std::ptr::null(), 0), |p| (p.as_ptr(), p.len()));
        let bytes = i32::try_from(bytes).map_err(|error| error.to_string())?;
        let room = c_int::try_from(out.len() / self.channels).unwrap_or(c_int::MAX);
        // SAFETY: the decoder is open; `data` is null or has so many bytes, and `out` room for so many
        // samples of each channel.
        let samples = unsafe {
            (self.decode)(self.state.as_ptr(), data, bytes, out.as_mut_ptr(), room, before.into())
        };
        usize::try_from(samples).map_err(|_| self.library.failure("opus_decode_float", samples))
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        // SAFETY: open, and used no more.
        unsafe { (self.close)(self.state.as_ptr()) };
    }
}
