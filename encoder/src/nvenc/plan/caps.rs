//! What a device can do with one codec.

use media::Size;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::NV_ENC_CAPS as Cap;

/// Answers to `nvEncGetEncodeCaps` for one codec, by their names in `NV_ENC_CAPS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps {
    /// `SUPPORTED_RATECONTROL_MODES`, a mask of `NV_ENC_PARAMS_RC_MODE`.
    pub(crate) rate_control_modes: u32,
    /// `SUPPORT_CABAC`, of H.264.
    pub(crate) cabac: bool,
    /// `WIDTH_MIN` and `HEIGHT_MIN` in pixels.
    pub(crate) smallest: Size,
    /// `WIDTH_MAX` and `HEIGHT_MAX` in pixels.
    pub(crate) largest: Size,
    /// `SUPPORT_DYN_RES_CHANGE`: the size can change without opening anew.
    pub(crate) resize: bool,
    /// `SUPPORT_DYN_BITRATE_CHANGE`: so can the bit rate.
    pub(crate) new_bitrate: bool,
    /// `SUPPORT_INTRA_REFRESH`.
    pub(crate) intra_refresh: bool,
    /// `SUPPORT_CUSTOM_VBV_BUF_SIZE`.
    pub(crate) custom_vbv: bool,
    /// `SUPPORT_DYNAMIC_SLICE_MODE`: slices can be cut by size; a number of slices needs none of it.
    pub(crate) dynamic_slices: bool,
    /// `SUPPORT_REF_PIC_INVALIDATION`: lost pictures can be taken out of the references.
    pub(crate) invalidation: bool,
    /// `MB_NUM_MAX`, macroblocks of a picture; 0 where it tells none.
    pub(crate) macroblocks: u32,
    /// `MB_PER_SEC_MAX` in macroblocks a second: how fast it is and no limit on what it takes.
    pub(crate) macroblocks_per_second: u32,
    /// `SUPPORT_YUV444_ENCODE`.
    pub(crate) full_chroma: bool,
    /// `SUPPORT_10BIT_ENCODE`.
    pub(crate) ten_bit: bool,
    /// `NUM_MAX_LTR_FRAMES`: long-term references, in pictures.
    pub(crate) long_term: u32,
    /// `SUPPORT_MULTIPLE_REF_FRAMES`: how many pictures one refers to can be set.
    pub(crate) multiple_references: bool,
    /// `SUPPORT_SUBFRAME_READBACK`: slices can be read while others of the picture are being coded.
    pub(crate) sub_frames: bool,
    /// `NUM_ENCODER_ENGINES`.
    pub(crate) engines: u32,
    /// `SINGLE_SLICE_INTRA_REFRESH`: intra refresh leaves the picture one slice.
    pub(crate) single_slice_refresh: bool,
}

impl Caps {
    /// Puts the questions to `ask`. A negative answer counts as 0.
    ///
    /// # Errors
    /// The first that `ask` returns.
    pub(crate) fn query<E>(mut ask: impl FnMut(Cap) -> Result<i32, E>) -> Result<Self, E> {
        let mut number = |cap| Ok(u32::try_from(ask(cap)?).unwrap_or(0));
        Ok(Self {
            rate_control_modes: number(Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES)?,
            cabac: number(Cap::NV_ENC_CAPS_SUPPORT_CABAC)? != 0,
            smallest: Size::new(
                number(Cap::NV_ENC_CAPS_WIDTH_MIN)?,
                number(Cap::NV_ENC_CAPS_HEIGHT_MIN)?,
            ),
            largest: Size::new(
                number(Cap::NV_ENC_CAPS_WIDTH_MAX)?,
                number(Cap::NV_ENC_CAPS_HEIGHT_MAX)?,
            ),
            resize: number(Cap::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE)? != 0,
            new_bitrate: number(Cap::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE)? != 0,
            intra_refresh: number(Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH)? != 0,
            custom_vbv: number(Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)? != 0,
            dynamic_slices: number(Cap::NV_ENC_CAPS_SUPPORT_DYNAMIC_SLICE_MODE)? != 0,
            invalidation: number(Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION)? != 0,
            macroblocks: number(Cap::NV_ENC_CAPS_MB_NUM_MAX)?,
            macroblocks_per_second: number(Cap::NV_ENC_CAPS_MB_PER_SEC_MAX)?,
            full_chroma: number(Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE)? != 0,
            ten_bit: number(Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)? != 0,
            long_term: number(Cap::NV_ENC_CAPS_NUM_MAX_LTR_FRAMES)?,
            multiple_references: number(Cap::NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES)? != 0,
            sub_frames: number(Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK)? != 0,
            engines: number(Cap::NV_ENC_CAPS_NUM_ENCODER_ENGINES)?,
            single_slice_refresh: number(Cap::NV_ENC_CAPS_SINGLE_SLICE_INTRA_REFRESH)? != 0,
        })
    }

    /// Whether a picture of `size` has no more macroblocks than it codes.
    pub(crate) fn codes_macroblocks_of(&self, size: Size) -> bool {
        let edge = |pixels: u32| u64::from(pixels.div_ceil(16));
        let macroblocks = edge(size.width) * edge(size.height);
        self.macroblocks == 0 || macroblocks <= u64::from(self.macroblocks)
    }

    /// Whether the rate control can hold a constant bit rate.
    pub(crate) fn constant_bitrate(&self) -> bool {
        let mode = sdk::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR as u32;
        self.rate_control_modes & mode != 0
    }
}
