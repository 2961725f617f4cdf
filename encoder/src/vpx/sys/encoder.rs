//! An open encoder.

use std::ffi::c_int;
use std::ops::RangeInclusive;
use std::ptr::null;
use std::time::Instant;

use media::{BitDepth, MatrixCoefficients, PictureKind, Plane, Size};

use super::layout::{
    BT709, BT2020, CONSTANT_RATE, Config, Context, FRAME, GET_QUANTISER, I42016, IS_KEY, Image,
    LayerReferences, LayerSettings, NO_KEYFRAMES, NV12, REALTIME, REFERENCES_AS_TOLD, RESILIENT,
    SET_COLOURS, SET_LARGEST_KEYFRAME, SET_LAYERED, SET_LAYERS, SET_REFERENCES, SET_ROWS_AT_ONCE,
    SET_SEGMENTS, SET_SPEED, SET_TILE_COLUMNS, SegmentMap, TEN_BIT_PROFILE, TEN_BITS,
};
use super::{Library, text};
use crate::buffers::eight::References;
use crate::buffers::{Budget, Coded};
use crate::guarded::Guarded;
use crate::planar::Planar;
use crate::vpx::orders::Order;
use crate::vpx::segments::COUNT;
use crate::vpx::standard::{MOST_THREADS, Standard, Tuning};

/// By how much of its budget a picture of VP9 is meant to make good what those before it saved or overdrew, in
/// percent.
const NEAR: u32 = 10;

/// An open encoder. The pointers make it neither `Send` nor `Sync`.
pub(in super::super) struct RawEncoder {
    library: &'static Library,
    standard: Standard,
    /// Open.
    context: Box<Guarded<Context>>,
    config: Box<Guarded<Config>>,
    image: Image,
    size: Size,
    depth: BitDepth,
    /// The library has a map of segments.
    segmented: bool,
    /// As they were set; none by the library's own choice.
    quantisers: Option<RangeInclusive<u8>>,
}

impl RawEncoder {
    /// Opens one for the least delay. Times are in microseconds.
    pub(in super::super) fn open(
        library: &'static Library,
        standard: Standard,
        kind: PictureKind,
        size: Size,
        budget: Budget,
    ) -> Result<Self, String> {
        let Tuning { speed, threads, keyframe_percent } = standard.tuning();
        let mut config = library.config(standard)?;
        let c = &mut config.value;
        (c.width, c.height, c.threads) = (size.width, size.height, threads);
        (c.time_base, c.lag, c.drop_threshold) = ([1, 1_000_000], 0, 0);
        c.resilient = RESILIENT;
        (c.rate_control, c.keyframes) = (CONSTANT_RATE, NO_KEYFRAMES);
        if standard == Standard::Vp9 {
            // All pictures are of the lower one: rate control is told of a new rate only where there are several.
            (c.temporal_layers, c.layering) = (2, REFERENCES_AS_TOLD);
            c.every[..2].fill(1);
            (c.undershoot, c.overshoot) = (NEAR, NEAR);
        }
        let depth = kind.format.depth();
        if depth == BitDepth::Ten {
            (c.profile, c.bit_depth, c.input_bit_depth) = (TEN_BIT_PROFILE, TEN_BITS, 10);
        }
        c.set_budget(budget);
        let context = library
            .open_context(standard, &config)
            .map_err(|code| library.failure("vpx_codec_enc_init_ver", code))?;
        let mut encoder = Self {
            library,
            standard,
            context,
            config,
            image: image(size, depth),
            size,
            depth,
            segmented: false,
            quantisers: None,
        };
        encoder.set(SET_SPEED, speed)?;
        encoder.set(SET_LARGEST_KEYFRAME, keyframe_percent)?;
        if standard == Standard::Vp9 {
            encoder.set(SET_LAYERED, 1)?;
            encoder.set(SET_COLOURS, colours(kind.color.matrix))?;
            // As many where there are fewer cores: what comes out must not depend on them.
            encoder.set(SET_TILE_COLUMNS, MOST_THREADS.ilog2().cast_signed())?;
            encoder.set(SET_ROWS_AT_ONCE, 1)?;
        }
        Ok(encoder)
    }

    /// Sets what takes an `int`, or an `unsigned int` of a value that both have.
    fn set(&mut self, what: c_int, value: c_int) -> Result<(), String> {
        let control = self.library.functions.control;
        // SAFETY: the encoder is open, and each control that is set here takes such a number.
        let code = unsafe { control(&raw mut *self.context, what, value) };
        self.check("vpx_codec_control_", code)
    }

    /// Sets what the next picture of VP9 refers to.
    fn set_references(&mut self, references: References, duration: u32) -> Result<(), String> {
        let References { last, kept } = references;
        let first = |value: c_int| {
            let mut values = [0; _];
            values[0] = value;
            values
        };
        let mut durations = [0; _];
        durations[0] = duration.into();
        let mut told = LayerReferences {
            last: first(last.into()),
            golden: first(last.into()),
            altref: first(last.into()),
            kept: first(kept.into()),
            deprecated: [first(0); 3],
            from_last: first(1),
            from_golden: first(0),
            from_altref: first(0),
            duration: durations,
        };
        let control = self.library.functions.control;
        // SAFETY: the encoder is open, and this control takes such a structure, which the library copies within
        // the call.
        let code = unsafe { control(&raw mut *self.context, SET_REFERENCES, &raw mut told) };
        self.check("vpx_codec_control_", code)
    }

    /// Codes one picture, which begins at `time` and lasts for `duration`.
    pub(in super::super) fn encode(
        &mut self,
        source: &Planar<'_>,
        time: i64,
        duration: u32,
        order: Order,
    ) -> Result<Coded<'_>, String> {
        if let Some(references) = order.references {
            self.set_references(references, duration)?;
        }
        let stride = |plane: Plane<'_>| c_int::try_from(plane.stride).ok();
        let fits = (source.size, source.depth) == (self.size, self.depth);
        let (true, [Some(luma), Some(cb), Some(cr)]) = (fits, source.planes.map(stride)) else {
            return Err("the picture does not fit the encoder".into());
        };
        self.image.stride = [luma, cb, cr, 0];
        let [luma, cb, cr] = source.planes.map(|plane| plane.data.as_ptr());
        self.image.plane = [luma, cb, cr, null()];
        let functions = &self.library.functions;
        let began = Instant::now();
        // SAFETY: the encoder is open for this size and depth. It reads planes that `Planar` vouches
        // for within the call.
        let code = unsafe {
            (functions.encode)(
                &raw mut *self.context,
                &raw const self.image,
                time,
                duration.into(),
                order.flags,
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
    pub(in super::super) fn set_quantisers(
        &mut self,
        range: RangeInclusive<u8>,
    ) -> Result<(), String> {
        if self.quantisers.as_ref() == Some(&range) {
            return Ok(());
        }
        self.quantisers = Some(range.clone());
        match self.standard {
            Standard::Vp8 => {
                let config = &mut self.config.value;
                config.least_quantiser = (*range.start()).into();
                config.greatest_quantiser = (*range.end()).into();
                self.configure()
            }
            Standard::Vp9 => {
                let mut layers = LayerSettings {
                    greatest_quantisers: [(*range.end()).into(); _],
                    least_quantisers: [(*range.start()).into(); _],
                    numerators: [1; _],
                    denominators: [1; _],
                    speeds: [0; _],
                    layering: REFERENCES_AS_TOLD,
                    loop_filters: [0; _],
                };
                let control = self.library.functions.control;
                // SAFETY: the encoder is open, and this control takes such a structure, which the library copies
                // within the call.
                let code = unsafe { control(&raw mut *self.context, SET_LAYERS, &raw mut layers) };
                self.check("vpx_codec_control_", code)
            }
        }
    }

    /// Sets the segment of each macroblock of the next picture, row by row, and on a scale of 63 the offset of
    /// the quantiser in each; none makes one of all. To be called before each picture, so that each brings
    /// the map with it.
    pub(in super::super) fn set_segments(
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
    pub(in super::super) fn set_budget(&mut self, budget: Budget) -> Result<(), String> {
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
    /// The buffer is aimed at as it is at first. One that may hold no more than that would only ever ask for less:
    /// pictures of VP9 would make less than the rate.
    fn set_budget(&mut self, budget: Budget) {
        let Budget { kilobits, buffer_millis, most_millis } = budget;
        self.kilobits = kilobits;
        self.layer_kilobits[..2].fill(kilobits);
        (self.buffer_at_first, self.buffer_aimed_at) = (buffer_millis, buffer_millis);
        self.buffer = most_millis;
    }
}

/// What a stream says of its colours. RGB there is none in 4:2:0.
const fn colours(matrix: MatrixCoefficients) -> c_int {
    match matrix {
        MatrixCoefficients::Bt2020 => BT2020,
        MatrixCoefficients::Bt709 | MatrixCoefficients::Identity => BT709,
    }
}

/// A picture without planes yet: NV12, or three planes of 16 bits a sample.
fn image(size: Size, depth: BitDepth) -> Image {
    let edges = [size.width, size.height];
    let (format, bit_depth, bits_a_pixel) = match depth {
        BitDepth::Eight => (NV12, 8, 12),
        BitDepth::Ten => (I42016, 16, 24),
    };
    Image {
        format,
        reserved_1: [0; 2],
        stored: edges,
        bit_depth,
        shown: edges,
        reserved_2: [0; 2],
        chroma_shift: [1; 2],
        plane: [null(); 4],
        stride: [0; 4],
        bits_a_pixel,
        reserved_3: [0; 4],
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: open since `open`, and dropped only once.
        unsafe { (self.library.functions.close)(&raw mut *self.context) };
    }
}
