//! An open encoder.

use std::ffi::c_int;
use std::ops::RangeInclusive;
use std::ptr::null;
use std::time::Instant;

use media::{BitDepth, Size};

use super::layout::{
    BT709, CONSTANT_RATE, Config, Context, FORCE_KEY, FRAME, GET_QUANTISER, IS_KEY, Image,
    NO_KEYFRAMES, NV12, PictureReferences, RESILIENT, SET_REFERENCES, number,
};
use super::{Library, text};
use crate::aom::orders::Order;
use crate::buffers::{Budget, Coded, Plan, Source, cores};
use crate::guarded::Guarded;

/// Of 5 to 10 in 3.6, the higher the faster.
const SPEED: c_int = 8;
/// What a keyframe is meant to take at the most, in percent of a frame.
const KEYFRAME_PERCENT: c_int = 200;
/// Tiles beside one another. Rows of superblocks are coded at once within them too; however many cores there are, what comes
/// out is the same.
const TILES: u32 = 2;
/// More cores are left to others.
const MOST_THREADS: u32 = 4;
/// By how much of its budget a picture is meant to make good what those before it saved or overdrew, in percent.
const NEAR: u32 = 10;
/// Microseconds after which times begin anew, at 0 as they do at first: the library takes none that has more than 32 bits, nor one
/// before its first, and looks at no more of them than how long pictures last.
const ROUND: i64 = 3_600_000_000;

/// How it is set up beside its configuration.
const SET_UP: [(c_int, c_int); 19] = [
    (number::SPEED, SPEED),
    (number::LARGEST_KEYFRAME, KEYFRAME_PERCENT),
    (number::ROWS_AT_ONCE, 1),
    (number::TILE_COLUMNS, TILES.ilog2().cast_signed()),
    // By variance of blocks over time, which is finer where the picture stands still.
    (number::REFRESH, 3),
    (number::PRIMARIES, BT709),
    (number::TRANSFER, BT709),
    (number::MATRIX, BT709),
    // A picture must know of no other than the one that it refers to.
    (number::ORDER_HINTS, 0),
    (number::MOTION_OF_REFERENCES, 0),
    // Not for real time.
    (number::LOOK_BACK_MODEL, 0),
    (number::QUANTISERS_OF_BLOCKS, 0),
    (number::RESTORATION, 0),
    (number::OVERLAPPED_MOTION, 0),
    (number::GLOBAL_MOTION, 0),
    (number::WARPED_MOTION, 0),
    // Costs are reckoned once a picture.
    (number::COSTS[0], 2),
    (number::COSTS[1], 2),
    (number::COSTS[2], 2),
];

/// An open encoder. The pointers make it neither `Send` nor `Sync`.
pub(in super::super) struct RawEncoder {
    library: &'static Library,
    /// Open.
    context: Box<Guarded<Context>>,
    config: Box<Guarded<Config>>,
    image: Image,
    size: Size,
    /// The time that is 0 to the library, in microseconds; none before the first picture.
    counts_from: Option<i64>,
}

impl RawEncoder {
    /// Opens one for the least delay. Times are in microseconds.
    pub(in super::super) fn open(
        library: &'static Library,
        size: Size,
        budget: Budget,
    ) -> Result<Self, String> {
        let mut config = library.config()?;
        let c = &mut config.value;
        (c.width, c.height, c.threads) = (size.width, size.height, cores().min(MOST_THREADS));
        (c.time_base, c.lag, c.drop_threshold) = ([1, 1_000_000], 0, 0);
        (c.rate_control, c.keyframes) = (CONSTANT_RATE, NO_KEYFRAMES);
        (c.undershoot, c.overshoot) = (NEAR, NEAR);
        c.set_budget(budget);
        let context = library.open_context(&config)?;
        let mut encoder =
            Self { library, context, config, image: image(size), size, counts_from: None };
        for (what, value) in SET_UP {
            encoder.set(what, value)?;
        }
        Ok(encoder)
    }

    pub(in super::super) fn library(&self) -> &'static Library {
        self.library
    }

    fn set(&mut self, what: c_int, value: c_int) -> Result<(), String> {
        let control = self.library.functions.control;
        // SAFETY: the encoder is open, and each control that is set here takes such a number.
        let code = unsafe { control(&raw mut *self.context, what, value) };
        self.check("aom_codec_control", code)
    }

    /// Sets what the next picture refers to.
    fn set_references(&mut self, order: Order) -> Result<(), String> {
        let Order { refers, buffers, kept } = order;
        let mut told = PictureReferences { refers, buffers, kept };
        let control = self.library.functions.control;
        // SAFETY: the encoder is open, and this control takes such a structure, which the library copies within
        // the call.
        let code = unsafe { control(&raw mut *self.context, SET_REFERENCES, &raw mut told) };
        self.check("aom_codec_control", code)
    }

    /// Codes one picture.
    pub(in super::super) fn encode(
        &mut self,
        source: &Source<'_>,
        order: Order,
    ) -> Result<Coded<'_>, String> {
        self.set_references(order)?;
        let picture = source.picture;
        let stride = |stride: usize| c_int::try_from(stride).ok();
        let [luma, pairs, _] = picture.planes;
        let fits = (picture.size, picture.depth) == (self.size, BitDepth::Eight);
        let (true, Some(luma_stride), Some(pairs_stride)) =
            (fits, stride(luma.stride), stride(pairs.stride))
        else {
            return Err("the picture does not fit the encoder".into());
        };
        // Pairs have no second plane.
        self.image.plane = [luma.data.as_ptr(), pairs.data.as_ptr(), null()];
        self.image.stride = [luma_stride, pairs_stride, 0];
        // Were it set for all pictures, each would have a number, and one that is missing could not be gone back beyond.
        let flags = if source.plan == Plan::Key { FORCE_KEY } else { RESILIENT };
        let encode = self.library.functions.encode;
        let (image, duration) = (&raw const self.image, source.interval.into());
        let counts_from = self.counts_from.filter(|from| source.time - from < ROUND);
        let counts_from = *self.counts_from.insert(counts_from.unwrap_or(source.time));
        let time = source.time - counts_from;
        let began = Instant::now();
        // SAFETY: the encoder is open for this size. It reads planes that `Planar` vouches for within
        // the call.
        let code = unsafe { encode(&raw mut *self.context, image, time, duration, flags) };
        let took = began.elapsed();
        // Not kept beyond the call, which their memory need not outlive.
        self.image.plane = [null(); 3];
        self.check("aom_codec_encode", code)?;
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
        self.check("aom_codec_control", code)?;
        u8::try_from(quantiser).map_err(|_| format!("a picture has the quantiser {quantiser}"))
    }

    /// Sets how coarse pictures may be from the next one on.
    pub(in super::super) fn set_range(&mut self, range: &RangeInclusive<u8>) -> Result<(), String> {
        let config = &mut self.config.value;
        let told = [config.least_quantiser, config.greatest_quantiser];
        let wanted = [*range.start(), *range.end()].map(u32::from);
        if told == wanted {
            return Ok(());
        }
        [config.least_quantiser, config.greatest_quantiser] = wanted;
        self.configure()
    }

    /// Sets the budget from the next picture on.
    pub(in super::super) fn set_bits(&mut self, budget: Budget) -> Result<(), String> {
        self.config.value.set_budget(budget);
        self.configure()
    }

    fn configure(&mut self) -> Result<(), String> {
        // SAFETY: the encoder is open; the library copies settings that it filled itself.
        let code = unsafe {
            (self.library.functions.configure)(&raw mut *self.context, &raw const *self.config)
        };
        self.check("aom_codec_enc_config_set", code)
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
    /// The buffer is aimed at as it is at first.
    fn set_budget(&mut self, budget: Budget) {
        let Budget { kilobits, buffer_millis, most_millis } = budget;
        self.kilobits = kilobits;
        (self.buffer_at_first, self.buffer_aimed_at) = (buffer_millis, buffer_millis);
        self.buffer = most_millis;
    }
}

/// A picture in NV12 without planes yet.
fn image(size: Size) -> Image {
    let edges = [size.width, size.height];
    Image {
        format: NV12,
        reserved_1: [0; 6],
        stored: edges,
        bit_depth: 8,
        shown: edges,
        meant: edges,
        chroma_shift: [1; 2],
        plane: [null(); 3],
        stride: [0; 3],
        bytes: 0,
        bits_a_pixel: 12,
        reserved_2: [0; 2],
        reserved_3: [0; 5],
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: open since `open`, and dropped only once.
        unsafe { (self.library.functions.close)(&raw mut *self.context) };
    }
}
