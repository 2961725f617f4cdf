//! libaom's structures and numbers, as far as they are used, with the places that fields have in its headers from
//! version 3.6 to 3.12.

use std::ffi::{c_int, c_long};
use std::mem::{offset_of, size_of};

/// `AOM_CODEC_ABI_MISMATCH`.
pub(super) const WRONG_INTERFACE: c_int = 3;
/// `AOM_USAGE_REALTIME`.
pub(super) const REALTIME: u32 = 1;
/// `AOM_IMG_FMT_NV12`.
pub(super) const NV12: c_int = 0x107;
/// `AOM_CBR`.
pub(super) const CONSTANT_RATE: c_int = 1;
/// `AOM_KF_DISABLED`.
pub(super) const NO_KEYFRAMES: c_int = 0;
/// `AOM_EFLAG_FORCE_KF`.
pub(super) const FORCE_KEY: c_long = 1;
/// `AOM_EFLAG_ERROR_RESILIENT`.
pub(super) const RESILIENT: c_long = 1 << 28;
/// `AOM_CODEC_CX_FRAME_PKT`.
pub(super) const FRAME: c_int = 0;
/// `AOM_FRAME_IS_KEY`.
pub(super) const IS_KEY: u32 = 1;
/// `AOM_CICP_CP_BT_709`, `AOM_CICP_TC_BT_709` and `AOM_CICP_MC_BT_709`.
pub(super) const BT709: c_int = 1;

/// `AOME_GET_LAST_QUANTIZER_64`, an `int *`.
pub(super) const GET_QUANTISER: c_int = 20;
/// `AV1E_SET_SVC_REF_FRAME_CONFIG`, an `aom_svc_ref_frame_config_t *`.
pub(super) const SET_REFERENCES: c_int = 133;

/// Controls that take an `int` or an `unsigned int`.
pub(super) mod number {
    use std::ffi::c_int;

    /// `AOME_SET_CPUUSED`.
    pub(in super::super) const SPEED: c_int = 13;
    /// `AOME_SET_MAX_INTRA_BITRATE_PCT`.
    pub(in super::super) const LARGEST_KEYFRAME: c_int = 26;
    /// `AV1E_SET_ROW_MT`.
    pub(in super::super) const ROWS_AT_ONCE: c_int = 32;
    /// `AV1E_SET_TILE_COLUMNS`: a power of two.
    pub(in super::super) const TILE_COLUMNS: c_int = 33;
    /// `AV1E_SET_ENABLE_TPL_MODEL`.
    pub(in super::super) const LOOK_BACK_MODEL: c_int = 35;
    /// `AV1E_SET_AQ_MODE`.
    pub(in super::super) const REFRESH: c_int = 40;
    /// `AV1E_SET_COLOR_PRIMARIES`.
    pub(in super::super) const PRIMARIES: c_int = 45;
    /// `AV1E_SET_TRANSFER_CHARACTERISTICS`.
    pub(in super::super) const TRANSFER: c_int = 46;
    /// `AV1E_SET_MATRIX_COEFFICIENTS`.
    pub(in super::super) const MATRIX: c_int = 47;
    /// `AV1E_SET_ENABLE_RESTORATION`.
    pub(in super::super) const RESTORATION: c_int = 59;
    /// `AV1E_SET_ENABLE_OBMC`.
    pub(in super::super) const OVERLAPPED_MOTION: c_int = 61;
    /// `AV1E_SET_ENABLE_ORDER_HINT`.
    pub(in super::super) const ORDER_HINTS: c_int = 79;
    /// `AV1E_SET_ENABLE_REF_FRAME_MVS`.
    pub(in super::super) const MOTION_OF_REFERENCES: c_int = 84;
    /// `AV1E_SET_ENABLE_GLOBAL_MOTION`.
    pub(in super::super) const GLOBAL_MOTION: c_int = 95;
    /// `AV1E_SET_ENABLE_WARPED_MOTION`.
    pub(in super::super) const WARPED_MOTION: c_int = 96;
    /// `AV1E_SET_DELTAQ_MODE`.
    pub(in super::super) const QUANTISERS_OF_BLOCKS: c_int = 107;
    /// `AV1E_SET_COEFF_COST_UPD_FREQ`, `AV1E_SET_MODE_COST_UPD_FREQ` and `AV1E_SET_MV_COST_UPD_FREQ`.
    pub(in super::super) const COSTS: [c_int; 3] = [126, 127, 128];
}

/// `aom_codec_enc_cfg_t`, of which only the named fields are used.
#[repr(C)]
pub(super) struct Config {
    pub(super) usage: u32,
    pub(super) threads: u32,
    pub(super) profile: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) reserved_1: [u32; 3],
    pub(super) bit_depth: c_int,
    pub(super) input_bit_depth: u32,
    pub(super) time_base: [c_int; 2],
    pub(super) resilient: u32,
    pub(super) pass: c_int,
    pub(super) lag: u32,
    pub(super) drop_threshold: u32,
    pub(super) reserved_2: [u32; 8],
    pub(super) rate_control: c_int,
    pub(super) reserved_3: [usize; 4],
    pub(super) kilobits: u32,
    pub(super) least_quantiser: u32,
    pub(super) greatest_quantiser: u32,
    pub(super) undershoot: u32,
    pub(super) overshoot: u32,
    /// In milliseconds at the bit rate, as are the next two.
    pub(super) buffer: u32,
    pub(super) buffer_at_first: u32,
    pub(super) buffer_aimed_at: u32,
    pub(super) reserved_4: [u32; 4],
    pub(super) keyframes: c_int,
    pub(super) reserved_5: u32,
    pub(super) keyframe_interval: u32,
    pub(super) reserved_6: [u32; 176],
    pub(super) last: u32,
}

/// `aom_image_t`, of which only the named fields are used.
#[repr(C)]
pub(super) struct Image {
    pub(super) format: c_int,
    pub(super) reserved_1: [c_int; 6],
    pub(super) stored: [u32; 2],
    pub(super) bit_depth: u32,
    pub(super) shown: [u32; 2],
    pub(super) meant: [u32; 2],
    pub(super) chroma_shift: [u32; 2],
    pub(super) plane: [*const u8; 3],
    pub(super) stride: [c_int; 3],
    pub(super) bytes: usize,
    pub(super) bits_a_pixel: c_int,
    pub(super) reserved_2: [c_int; 2],
    pub(super) reserved_3: [usize; 5],
}

/// `aom_codec_ctx_t`, which the library fills.
#[repr(C)]
pub(super) struct Context {
    pub(super) fields: [usize; 7],
}

/// The first fields of `aom_codec_cx_pkt_t` where it holds a frame.
#[repr(C)]
pub(super) struct Packet {
    pub(super) kind: c_int,
    pub(super) data: *const u8,
    pub(super) bytes: usize,
    pub(super) reserved: [u64; 2],
    pub(super) flags: u32,
}

/// `aom_svc_ref_frame_config_t`: what the next picture may refer to, and which of the eight buffers it is kept in. Of
/// those, libaom keeps it only in such as are named among the seven that it may refer to.
#[repr(C)]
pub(super) struct PictureReferences {
    /// Whether it may refer to each of the seven: the last picture, two before it, golden and three more.
    pub(super) refers: [c_int; 7],
    /// The buffer of each of the seven.
    pub(super) buffers: [c_int; 7],
    /// Whether each buffer is to keep the picture.
    pub(super) kept: [c_int; 8],
}

const _: () = assert!(size_of::<Config>() == 904 && size_of::<Image>() == 168);
const _: () = assert!(size_of::<Context>() == 56 && size_of::<PictureReferences>() == 88);
const _: () = assert!(offset_of!(Config, width) == 12 && offset_of!(Config, bit_depth) == 32);
const _: () = assert!(offset_of!(Config, time_base) == 40 && offset_of!(Config, resilient) == 48);
const _: () = assert!(offset_of!(Config, lag) == 56 && offset_of!(Config, drop_threshold) == 60);
const _: () =
    assert!(offset_of!(Config, rate_control) == 96 && offset_of!(Config, kilobits) == 136);
const _: () = assert!(offset_of!(Config, undershoot) == 148 && offset_of!(Config, buffer) == 156);
const _: () = assert!(offset_of!(Config, keyframes) == 184);
const _: () = assert!(offset_of!(Config, keyframe_interval) == 192);
const _: () = assert!(offset_of!(Image, stored) == 28 && offset_of!(Image, bit_depth) == 36);
const _: () = assert!(offset_of!(Image, shown) == 40 && offset_of!(Image, chroma_shift) == 56);
const _: () = assert!(offset_of!(Image, plane) == 64 && offset_of!(Image, stride) == 88);
const _: () = assert!(offset_of!(Image, bytes) == 104 && offset_of!(Image, bits_a_pixel) == 112);
const _: () = assert!(offset_of!(Packet, data) == 8 && offset_of!(Packet, bytes) == 16);
const _: () = assert!(offset_of!(Packet, flags) == 40);
