//! The calls into OpenH264's C interface (`codec_api.h`, 2.7.0).
//!
//! The `openh264` crate's own `Encoder` is not used: it codes one slice, hence on one core, and
//! cannot set a rate but through its raw interface.
#![expect(unsafe_code, reason = "OpenH264 is a C library; the calls are confined to this module")]

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{NonNull, null_mut};
use std::time::{Duration, Instant};

use media::{Plane, Size};
use openh264_sys2 as ffi;
use openh264_sys2::API as _;

use super::ltr::Feedback;
use crate::nv12::plane_holds;

/// Pictures between one confirmed long-term reference and the next one that is marked.
const MARKING_PERIOD: c_int = 8;

/// What an encoder is opened with.
pub(super) struct Parameters {
    pub(super) size: Size,
    pub(super) bits_per_second: i32,
    pub(super) frames_per_second: f32,
    pub(super) slices: u16,
}

/// A picture with separate chroma planes.
pub(super) struct I420<'a> {
    pub(super) size: Size,
    pub(super) luma: Plane<'a>,
    pub(super) cb: Plane<'a>,
    pub(super) cr: Plane<'a>,
}

/// A coded picture in the byte stream format, until the next one is coded.
pub(super) struct Coded<'a> {
    pub(super) data: &'a [u8],
    pub(super) key: bool,
    /// How long the library took.
    pub(super) took: Duration,
}

/// An initialised encoder. The pointer makes it neither `Send` nor `Sync`.
pub(super) struct RawEncoder {
    api: ffi::DynamicAPI,
    /// Made by `WelsCreateSVCEncoder`, not yet destroyed.
    handle: NonNull<ffi::ISVCEncoder>,
    vtable: Vtable,
    size: Size,
    /// 6 kB, filled by every call.
    info: Box<ffi::SFrameBSInfo>,
    /// The newest unit: the library's layers one after the other.
    unit: Vec<u8>,
}

/// The functions used, known not to be null.
struct Vtable {
    uninitialize: unsafe extern "C" fn(*mut ffi::ISVCEncoder) -> c_int,
    encode_frame: unsafe extern "C" fn(
        *mut ffi::ISVCEncoder,
        *const ffi::SSourcePicture,
        *mut ffi::SFrameBSInfo,
    ) -> c_int,
    force_intra_frame: ForceIntraFrame,
    set_option:
        unsafe extern "C" fn(*mut ffi::ISVCEncoder, ffi::ENCODER_OPTION, *mut c_void) -> c_int,
}

/// The C++ method behind the vtable has a layer argument that the C header, and so the binding,
/// leaves out; −1 is its default.
type ForceIntraFrame = unsafe extern "C" fn(*mut ffi::ISVCEncoder, bool, c_int) -> c_int;

impl RawEncoder {
    pub(super) fn open(parameters: &Parameters) -> Result<Self, String> {
        let api = ffi::DynamicAPI::from_source();
        let mut handle = null_mut();
        // SAFETY: the library writes a pointer to the one location that it is given.
        let code = unsafe { api.WelsCreateSVCEncoder(&raw mut handle) };
        let handle = match NonNull::new(handle) {
            Some(handle) if code == 0 => handle,
            _ => return Err(format!("OpenH264 cannot be created (code {code})")),
        };
        // SAFETY: a created encoder points to its vtable, which is static in the library.
        let table = unsafe { &**handle.as_ptr() };
        let (
            Some(initialize),
            Some(defaults),
            Some(uninitialize),
            Some(encode_frame),
            Some(force_intra_frame),
            Some(set_option),
        ) = (
            table.InitializeExt,
            table.GetDefaultParams,
            table.Uninitialize,
            table.EncodeFrame,
            table.ForceIntraFrame,
            table.SetOption,
        )
        else {
            // SAFETY: created above and used by nobody else.
            unsafe { api.WelsDestroySVCEncoder(handle.as_ptr()) };
            return Err("OpenH264 lacks a function".into());
        };
        // SAFETY: `CWelsH264SVCEncoder::ForceIntraFrame (bool bIDR, int32_t iLayerId)` is what the
        // entry points to in the bundled version; see `ForceIntraFrame`.
        let force_intra_frame = unsafe {
            std::mem::transmute::<
                unsafe extern "C" fn(*mut ffi::ISVCEncoder, bool) -> c_int,
                ForceIntraFrame,
            >(force_intra_frame)
        };
        let raw = Self {
            api,
            handle,
            vtable: Vtable { uninitialize, encode_frame, force_intra_frame, set_option },
            size: parameters.size,
            info: Box::default(),
            unit: Vec::new(),
        };
        // Before initialising, or it prints its warnings to the process's standard error.
        raw.set_option(ffi::ENCODER_OPTION_TRACE_LEVEL, ffi::WELS_LOG_QUIET)?;
        let mut native = ffi::SEncParamExt::default();
        // SAFETY: `handle` is alive; the library fills the structure that it is given.
        check("GetDefaultParams", unsafe { defaults(raw.handle.as_ptr(), &raw mut native) })?;
        fill(&mut native, parameters);
        // SAFETY: `handle` is alive; the structure was made by the library's defaults and ours.
        check("InitializeExt", unsafe { initialize(raw.handle.as_ptr(), &raw const native) })?;
        raw.set_option(ffi::ENCODER_LTR_MARKING_PERIOD, MARKING_PERIOD)?;
        Ok(raw)
    }

    /// Codes one picture.
    pub(super) fn encode(&mut self, source: &I420<'_>, millis: i64) -> Result<Coded<'_>, String> {
        let (width, height) = (source.size.width as usize, source.size.height as usize);
        let fits = source.size == self.size
            && plane_holds(&source.luma, width, height)
            && plane_holds(&source.cb, width / 2, height / 2)
            && plane_holds(&source.cr, width / 2, height / 2);
        let stride = |plane: &Plane<'_>| c_int::try_from(plane.stride).ok();
        let (true, Some(y), Some(cb), Some(cr)) =
            (fits, stride(&source.luma), stride(&source.cb), stride(&source.cr))
        else {
            return Err("the picture does not fit the encoder".into());
        };
        let picture = ffi::SSourcePicture {
            iColorFormat: ffi::videoFormatI420,
            iStride: [y, cb, cr, 0],
            pData: [
                source.luma.data.as_ptr().cast_mut(),
                source.cb.data.as_ptr().cast_mut(),
                source.cr.data.as_ptr().cast_mut(),
                null_mut(),
            ],
            iPicWidth: source.size.width as c_int,
            iPicHeight: source.size.height as c_int,
            uiTimeStamp: millis,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        let began = Instant::now();
        // SAFETY: the encoder is initialised for this size; it only reads the planes, which were
        // checked to hold it and live through the call, and writes the structure that is ours.
        let code = unsafe {
            (self.vtable.encode_frame)(
                self.handle.as_ptr(),
                &raw const picture,
                &raw mut *self.info,
            )
        };
        let took = began.elapsed();
        check("EncodeFrame", code)?;
        self.collect();
        let data = self.unit.as_slice();
        match self.info.eFrameType {
            ffi::videoFrameTypeIDR if !data.is_empty() => Ok(Coded { data, key: true, took }),
            ffi::videoFrameTypeP if !data.is_empty() => Ok(Coded { data, key: false, took }),
            other => Err(format!("OpenH264 returned a frame of type {other}")),
        }
    }

    /// Copies the bitstream out of the encoder's memory.
    fn collect(&mut self) {
        self.unit.clear();
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let nals = usize::try_from(layer.iNalCount).unwrap_or(0);
            if nals == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the last `EncodeFrame` filled the first `iLayerNum` layers: each has
            // `iNalCount` lengths, whose units lie one after the other from `pBsBuf` on. They stay
            // until the next call, which needs `&mut self`.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, nals);
                let length = lengths.iter().map(|&n| usize::try_from(n).unwrap_or(0)).sum();
                self.unit.extend_from_slice(std::slice::from_raw_parts(layer.pBsBuf, length));
            }
        }
    }

    /// Makes the next picture an IDR picture with parameter sets.
    pub(super) fn force_keyframe(&mut self) -> Result<(), String> {
        // SAFETY: the encoder is initialised; −1 means every layer.
        let code = unsafe { (self.vtable.force_intra_frame)(self.handle.as_ptr(), true, -1) };
        check("ForceIntraFrame", code)
    }

    /// Sets the bit rate from the next picture on.
    pub(super) fn set_bitrate(&mut self, bits_per_second: i32) -> Result<(), String> {
        let info = ffi::SBitrateInfo { iLayer: ffi::SPATIAL_LAYER_ALL, iBitrate: bits_per_second };
        self.set_option(ffi::ENCODER_OPTION_BITRATE, info)
    }

    /// Codes the next picture from the confirmed long-term reference. `idr` is the `idr_pic_id` of the
    /// newest keyframe.
    pub(super) fn recover(&mut self, idr: u32) -> Result<(), String> {
        let request = ffi::SLTRRecoverRequest {
            uiFeedbackType: ffi::LTR_RECOVERY_REQUEST as c_uint,
            uiIDRPicId: idr,
            // Any but −1, which asks for a keyframe. Where the loss lies is left open by the −1 below:
            // by a range the encoder would drop references of an earlier round of `frame_num` too.
            iLastCorrectFrameNum: 0,
            iCurrentFrameNum: -1,
            iLayerId: 0,
        };
        self.set_option(ffi::ENCODER_LTR_RECOVERY_REQUEST, request)
    }

    /// Tells what became of the long-term reference with this `frame_num`.
    pub(super) fn confirm(&mut self, idr: u32, feedback: Feedback) -> Result<(), String> {
        let (kind, number) = match feedback {
            Feedback::Marked(number) => (ffi::LTR_MARKING_SUCCESS, number),
            Feedback::Failed(number) => (ffi::LTR_MARKING_FAILED, number),
        };
        let feedback = ffi::SLTRMarkingFeedback {
            uiFeedbackType: kind as c_uint,
            uiIDRPicId: idr,
            iLTRFrameNum: number.cast_signed(),
            iLayerId: 0,
        };
        self.set_option(ffi::ENCODER_LTR_MARKING_FEEDBACK, feedback)
    }

    fn set_option<T>(&self, option: ffi::ENCODER_OPTION, mut value: T) -> Result<(), String> {
        // SAFETY: the encoder is alive, and the library copies the value during the call. The
        // callers pass the type that `codec_app_def.h` documents for their option.
        let code = unsafe {
            (self.vtable.set_option)(self.handle.as_ptr(), option, (&raw mut value).cast())
        };
        check("SetOption", code)
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: alive since `open`, and dropped only once. `Uninitialize` does nothing to an
        // encoder that was never initialised.
        unsafe {
            (self.vtable.uninitialize)(self.handle.as_ptr());
            self.api.WelsDestroySVCEncoder(self.handle.as_ptr());
        }
    }
}

fn check(function: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("OpenH264's {function} failed with code {code}")) }
}

fn fill(native: &mut ffi::SEncParamExt, parameters: &Parameters) {
    let (width, height) = (parameters.size.width as c_int, parameters.size.height as c_int);
    native.iUsageType = ffi::CAMERA_VIDEO_REAL_TIME;
    native.iPicWidth = width;
    native.iPicHeight = height;
    native.iTargetBitrate = parameters.bits_per_second;
    native.iRCMode = ffi::RC_BITRATE_MODE;
    native.fMaxFrameRate = parameters.frames_per_second;
    native.iTemporalLayerNum = 1;
    native.iSpatialLayerNum = 1;
    native.iComplexityMode = ffi::LOW_COMPLEXITY;
    native.uiIntraPeriod = 0;
    // Two long-term references and the picture before.
    native.iNumRefFrame = 3;
    native.iLTRRefNum = 2;
    native.eSpsPpsIdStrategy = ffi::CONSTANT_ID;
    native.iEntropyCodingModeFlag = 0;
    // Left at 0 they become 12..=42, which overshoots threefold on hard content.
    (native.iMinQp, native.iMaxQp) = (12, 51);
    // A skipped frame would break one unit for one frame.
    native.bEnableFrameSkip = false;
    native.bEnableLongTermReference = true;
    native.iMultipleThreadIdc = parameters.slices;
    native.bUseLoadBalancing = false;
    native.bEnableDenoise = false;
    native.bEnableBackgroundDetection = false;
    native.bEnableAdaptiveQuant = false;
    // It would answer a cut with a keyframe of its own.
    native.bEnableSceneChangeDetect = false;
    let layer = &mut native.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = parameters.frames_per_second;
    layer.iSpatialBitrate = parameters.bits_per_second;
    layer.uiProfileIdc = ffi::PRO_BASELINE;
    layer.sSliceArgument.uiSliceMode =
        if parameters.slices > 1 { ffi::SM_FIXEDSLCNUM_SLICE } else { ffi::SM_SINGLE_SLICE };
    layer.sSliceArgument.uiSliceNum = parameters.slices.into();
    // BT.709 in limited range (ITU-T H.273). Chroma location is absent, which means left.
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = ffi::VF_UNDEF as u8;
    layer.bFullRange = false;
    layer.bColorDescriptionPresent = true;
    (layer.uiColorPrimaries, layer.uiTransferCharacteristics, layer.uiColorMatrix) = (1, 1, 1);
}
