//! libvpx's structures and numbers, as far as they are used, with the places that fields have in its headers from
//! version 1.11 to 1.17.

use std::ffi::{c_int, c_long, c_ulong};
use std::mem::{offset_of, size_of};

/// `VPX_CODEC_ABI_MISMATCH`.
pub(super) const WRONG_INTERFACE: c_int = 3;
/// `VPX_CODEC_CAP_HIGHBITDEPTH`.
pub(super) const HAS_TEN_BITS: c_long = 4;
/// `VPX_CODEC_USE_HIGHBITDEPTH`.
pub(super) const USE_TEN_BITS: c_long = 0x4_0000;
/// VP9's profile of 10 and 12 bits in 4:2:0.
pub(super) const TEN_BIT_PROFILE: u32 = 2;
/// `VPX_BITS_10`.
pub(super) const TEN_BITS: c_int = 10;
/// `VPX_IMG_FMT_NV12`.
pub(super) const NV12: c_int = 0x109;
/// `VPX_IMG_FMT_I42016`.
pub(super) const I42016: c_int = 0x902;
/// `VPX_CBR`.
pub(super) const CONSTANT_RATE: c_int = 1;
/// `VPX_KF_DISABLED`.
pub(super) const NO_KEYFRAMES: c_int = 0;
/// `VPX_ERROR_RESILIENT_DEFAULT`.
pub(super) const RESILIENT: u32 = 1;
/// `VPX_CODEC_CX_FRAME_PKT`.
pub(super) const FRAME: c_int = 0;
/// `VPX_FRAME_IS_KEY`.
pub(super) const IS_KEY: u32 = 1;
/// `VPX_DL_REALTIME`.
pub(super) const REALTIME: c_ulong = 1;
/// `VP8E_SET_ROI_MAP`, a `vpx_roi_map_t *`.
pub(super) const SET_SEGMENTS: c_int = 8;
/// `VP8E_SET_CPUUSED`, an `int`.
pub(super) const SET_SPEED: c_int = 13;
/// `VP8E_GET_LAST_QUANTIZER_64`, an `int *`.
pub(super) const GET_QUANTISER: c_int = 20;
/// `VP8E_SET_MAX_INTRA_BITRATE_PCT`, an `unsigned int`.
pub(super) const SET_LARGEST_KEYFRAME: c_int = 26;

/// `VP9E_SET_TILE_COLUMNS`, an `int`: a power of two.
pub(super) const SET_TILE_COLUMNS: c_int = 33;
/// `VP9E_SET_SVC`, an `int`.
pub(super) const SET_LAYERED: c_int = 39;
/// `VP9E_SET_SVC_PARAMETERS`, a `vpx_svc_extra_cfg_t *`.
pub(super) const SET_LAYERS: c_int = 41;
/// `VP9E_SET_COLOR_SPACE`, an `int`.
pub(super) const SET_COLOURS: c_int = 46;
/// `VPX_CS_BT_709`.
pub(super) const BT709: c_int = 2;
/// `VPX_CS_BT_2020`.
pub(super) const BT2020: c_int = 5;
/// `VP9E_SET_SVC_REF_FRAME_CONFIG`, a `vpx_svc_ref_frame_config_t *`.
pub(super) const SET_REFERENCES: c_int = 52;
/// `VP9E_SET_ROW_MT`, an `unsigned int`.
pub(super) const SET_ROWS_AT_ONCE: c_int = 55;
/// `VP9E_TEMPORAL_LAYERING_MODE_BYPASS`: references are what `SET_REFERENCES` says.
pub(super) const REFERENCES_AS_TOLD: c_int = 1;

/// What a picture may refer to and what it is kept as: bits of `vpx_enc_frame_flags_t`.
pub(in super::super) mod flag {
    use std::ffi::c_long;

    /// `VPX_EFLAG_FORCE_KF`.
    pub(in super::super::super) const KEYFRAME: c_long = 1;
    /// `VP8_EFLAG_NO_UPD_LAST` and `VP8_EFLAG_NO_UPD_ENTROPY`, beside those for the other two references.
    pub(in super::super::super) const IN_VAIN: c_long =
        1 << 18 | 1 << 20 | NOT_AS_GOLDEN | NOT_AS_ALTREF;
    /// `VP8_EFLAG_NO_REF_LAST`, `_GF` and `_ARF`.
    pub(in super::super::super) const NOT_FROM_LAST: c_long = 1 << 16;
    pub(in super::super::super) const NOT_FROM_GOLDEN: c_long = 1 << 17;
    pub(in super::super::super) const NOT_FROM_ALTREF: c_long = 1 << 21;
    /// `VP8_EFLAG_NO_UPD_GF` and `_ARF`.
    pub(in super::super::super) const NOT_AS_GOLDEN: c_long = 1 << 22;
    pub(in super::super::super) const NOT_AS_ALTREF: c_long = 1 << 23;
    /// `VP8_EFLAG_FORCE_GF` and `_ARF`.
    pub(in super::super::super) const AS_GOLDEN: c_long = 1 << 19;
    pub(in super::super::super) const AS_ALTREF: c_long = 1 << 24;
}

/// `vpx_codec_enc_cfg_t`, of which only the named fields are used.
#[repr(C)]
pub(super) struct Config {
    pub(super) reserved_1: u32,
    pub(super) threads: u32,
    pub(super) profile: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Of the stream.
    pub(super) bit_depth: c_int,
    /// Of the pictures.
    pub(super) input_bit_depth: u32,
    pub(super) time_base: [c_int; 2],
    pub(super) resilient: u32,
    pub(super) reserved_4: u32,
    pub(super) lag: u32,
    pub(super) drop_threshold: u32,
    pub(super) reserved_5: [u32; 5],
    pub(super) rate_control: c_int,
    pub(super) reserved_6: [usize; 4],
    pub(super) kilobits: u32,
    pub(super) least_quantiser: u32,
    pub(super) greatest_quantiser: u32,
    pub(super) undershoot: u32,
    pub(super) overshoot: u32,
    /// In milliseconds at the bit rate, as are the next two.
    pub(super) buffer: u32,
    pub(super) buffer_at_first: u32,
    pub(super) buffer_aimed_at: u32,
    pub(super) reserved_8: [u32; 4],
    pub(super) keyframes: c_int,
    pub(super) reserved_9: u32,
    pub(super) keyframe_interval: u32,
    pub(super) spatial_layers: u32,
    pub(super) reserved_10: [u32; 10],
    pub(super) temporal_layers: u32,
    pub(super) reserved_11: [u32; 5],
    /// Of which pictures a temporal layer and those below it consist: every one, every second and so on.
    pub(super) every: [u32; 5],
    pub(super) reserved_12: [u32; 17],
    /// In a second, in thousands: of each temporal layer and those below it together.
    pub(super) layer_kilobits: [u32; LAYERS],
    pub(super) layering: c_int,
    pub(super) reserved_13: [u32; 30],
    pub(super) last: u32,
}

/// `vpx_image_t`, of which only the named fields are used.
#[repr(C)]
pub(super) struct Image {
    pub(super) format: c_int,
    pub(super) reserved_1: [u32; 2],
    pub(super) stored: [u32; 2],
    pub(super) bit_depth: u32,
    pub(super) shown: [u32; 2],
    pub(super) reserved_2: [u32; 2],
    pub(super) chroma_shift: [u32; 2],
    pub(super) plane: [*const u8; 4],
    pub(super) stride: [c_int; 4],
    pub(super) bits_a_pixel: c_int,
    pub(super) reserved_3: [usize; 4],
}

/// `vpx_codec_ctx_t`, which the library fills.
#[repr(C)]
pub(super) struct Context {
    pub(super) fields: [usize; 7],
}

/// The first fields of `vpx_codec_cx_pkt_t` where it holds a frame.
#[repr(C)]
pub(super) struct Packet {
    pub(super) kind: c_int,
    pub(super) data: *const u8,
    pub(super) bytes: usize,
    pub(super) reserved: [u64; 2],
    pub(super) flags: u32,
}

/// `vpx_roi_map_t`, the same in all of these versions. VP8 uses neither what is reserved nor the last four of
/// each eight.
#[repr(C)]
pub(super) struct SegmentMap {
    pub(super) reserved_1: u8,
    pub(super) numbers: *const u8,
    pub(super) rows: u32,
    pub(super) columns: u32,
    pub(super) quantiser_offsets: [c_int; 8],
    pub(super) filter_offsets: [c_int; 8],
    pub(super) reserved_2: [c_int; 16],
    pub(super) static_thresholds: [u32; 4],
}

/// Layers that the library has room for (`VPX_MAX_LAYERS` and `VPX_SS_MAX_LAYERS`).
const LAYERS: usize = 12;
const SPATIAL: usize = 5;

/// `vpx_svc_extra_cfg_t`: what each layer of VP9 may do.
#[repr(C)]
pub(super) struct LayerSettings {
    pub(super) greatest_quantisers: [c_int; LAYERS],
    pub(super) least_quantisers: [c_int; LAYERS],
    /// Size of its pictures as a fraction of the whole.
    pub(super) numerators: [c_int; LAYERS],
    pub(super) denominators: [c_int; LAYERS],
    /// 0 is that of all.
    pub(super) speeds: [c_int; LAYERS],
    pub(super) layering: c_int,
    pub(super) loop_filters: [c_int; LAYERS],
}

/// `vpx_svc_ref_frame_config_t`: what the next picture of each spatial layer of VP9 refers to, by the numbers
/// of the eight buffers, and which of them it is kept in, by a bit for each.
#[repr(C)]
pub(super) struct LayerReferences {
    pub(super) last: [c_int; SPATIAL],
    pub(super) golden: [c_int; SPATIAL],
    pub(super) altref: [c_int; SPATIAL],
    pub(super) kept: [c_int; SPATIAL],
    pub(super) deprecated: [[c_int; SPATIAL]; 3],
    pub(super) from_last: [c_int; SPATIAL],
    pub(super) from_golden: [c_int; SPATIAL],
    pub(super) from_altref: [c_int; SPATIAL],
    pub(super) duration: [i64; SPATIAL],
}

const _: () = assert!(size_of::<Config>() == 504 && size_of::<Image>() == 136);
const _: () = assert!(size_of::<Context>() == 56);
const _: () = assert!(offset_of!(Config, threads) == 4 && offset_of!(Config, width) == 12);
const _: () = assert!(offset_of!(Config, profile) == 8 && offset_of!(Config, bit_depth) == 20);
const _: () = assert!(offset_of!(Config, time_base) == 28 && offset_of!(Config, resilient) == 36);
const _: () = assert!(offset_of!(Config, lag) == 44 && offset_of!(Config, drop_threshold) == 48);
const _: () =
    assert!(offset_of!(Config, rate_control) == 72 && offset_of!(Config, kilobits) == 112);
const _: () = assert!(offset_of!(Config, least_quantiser) == 116);
const _: () = assert!(offset_of!(Config, undershoot) == 124);
const _: () = assert!(offset_of!(Config, buffer) == 132 && offset_of!(Config, keyframes) == 160);
const _: () = assert!(offset_of!(Config, keyframe_interval) == 168);
const _: () = assert!(
    offset_of!(Config, spatial_layers) == 172 && offset_of!(Config, temporal_layers) == 216
);
const _: () = assert!(offset_of!(Config, every) == 240);
const _: () =
    assert!(offset_of!(Config, layer_kilobits) == 328 && offset_of!(Config, layering) == 376);
const _: () = assert!(offset_of!(Image, stored) == 12 && offset_of!(Image, bit_depth) == 20);
const _: () = assert!(offset_of!(Image, shown) == 24 && offset_of!(Image, chroma_shift) == 40);
const _: () = assert!(offset_of!(Image, plane) == 48 && offset_of!(Image, stride) == 80);
const _: () = assert!(offset_of!(Image, bits_a_pixel) == 96);
const _: () = assert!(offset_of!(Packet, data) == 8 && offset_of!(Packet, bytes) == 16);
const _: () = assert!(offset_of!(Packet, flags) == 40);

const _: () = assert!(size_of::<LayerSettings>() == 292 && size_of::<LayerReferences>() == 240);
const _: () = assert!(offset_of!(LayerReferences, from_last) == 140);
const _: () = assert!(offset_of!(LayerReferences, duration) == 200);
const _: () = assert!(size_of::<SegmentMap>() == 168 && offset_of!(SegmentMap, numbers) == 8);
const _: () = assert!(offset_of!(SegmentMap, rows) == 16 && offset_of!(SegmentMap, columns) == 20);
const _: () = assert!(offset_of!(SegmentMap, quantiser_offsets) == 24);
const _: () = assert!(offset_of!(SegmentMap, filter_offsets) == 56);
const _: () = assert!(offset_of!(SegmentMap, static_thresholds) == 152);
