//! H.264 by OpenH264, called through its C interface (`codec_api.h`).

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use openh264_sys2 as ffi;
use openh264_sys2::API as _;

use crate::codec::{IDR, P, Unit};
use crate::config::Configuration;
use crate::hardware::Job;
use crate::long_term::LongTerm;
use crate::narrow::narrow;
use crate::references::Source;
use crate::settings::settings;
use crate::slice::{ParameterSets, SliceHeader, units};

/// It clips frame rates to this (`MAX_FRAME_RATE`).
const MAX_FRAME_RATE: f32 = 60.0;

/// Pictures between one confirmed long-term reference and the next one that it marks.
const MARKING_PERIOD: c_int = 4;

/// The C++ method behind the table has a layer argument that the C header leaves out; −1 is its default.
type ForceIntraFrame = unsafe extern "C" fn(*mut ffi::ISVCEncoder, bool, c_int) -> c_int;

/// An encoder of one size.
pub(crate) struct OpenH264 {
    api: ffi::DynamicAPI,
    handle: NonNull<ffi::ISVCEncoder>,
    table: ffi::ISVCEncoderVtbl,
    /// What it is set up with.
    config: Configuration,
    info: Box<ffi::SFrameBSInfo>,
    sets: ParameterSets,
    /// Parameter sets as they were sent last.
    sets_bytes: Vec<u8>,
    pictures: u64,
    cb: Vec<u8>,
    cr: Vec<u8>,
    long_term: LongTerm,
}

impl OpenH264 {
    pub(crate) fn open(config: &Configuration) -> Result<Self, String> {
        let api = ffi::DynamicAPI::from_source();
        let mut handle = null_mut();
        // SAFETY: there is a location for the encoder's address.
        let code = unsafe { api.WelsCreateSVCEncoder(&raw mut handle) };
        let Some(handle) = NonNull::new(handle).filter(|_| code == 0) else {
            return Err(format!("OpenH264 cannot be created (code {code})"));
        };
        let this = Self {
            api,
            handle,
            // SAFETY: an encoder points to its table, which is a constant of the library.
            table: unsafe { **handle.as_ptr() },
            config: config.clone(),
            info: Box::default(),
            sets: ParameterSets::default(),
            sets_bytes: Vec::new(),
            pictures: 0,
            cb: Vec::new(),
            cr: Vec::new(),
            long_term: LongTerm::default(),
        };
        // Before it is initialised, or it prints to the standard error of the process.
        this.set(ffi::ENCODER_OPTION_TRACE_LEVEL, ffi::WELS_LOG_QUIET)?;
        let mut native = ffi::SEncParamExt::default();
        let (Some(defaults), Some(initialize)) =
            (this.table.GetDefaultParams, this.table.InitializeExt)
        else {
            return Err("OpenH264 lacks a function".to_owned());
        };
        // SAFETY: the encoder is alive, and fills and reads a structure of ours.
        unsafe {
            checked("GetDefaultParams", defaults(this.handle.as_ptr(), &raw mut native))?;
            fill(&mut native, config);
            checked("InitializeExt", initialize(this.handle.as_ptr(), &raw const native))?;
        }
        this.set(ffi::ENCODER_LTR_MARKING_PERIOD, MARKING_PERIOD)?;
        Ok(this)
    }

    /// Whether it can go on with a configuration, changed in rates only.
    pub(crate) fn can_become(&self, config: &Configuration) -> bool {
        let fixed = |c: &Configuration| {
            (c.width, c.height, c.slices, c.cabac, c.profile, c.goes_back, c.colours)
        };
        fixed(&self.config) == fixed(config)
    }

    /// Codes a picture of its size; `pixels` are the extent of its layout. `source` is what hardware would
    /// code it from, and `oldest` the oldest picture that it could be told to code later ones from.
    pub(crate) fn code(
        &mut self,
        job: &Job,
        pixels: &[u8],
        source: Source,
        oldest: u64,
    ) -> Result<Unit, String> {
        self.follow(&job.configuration)?;
        match source {
            Source::Nothing => self.force_key()?,
            Source::Last => {
                if let Some(number) = self.long_term.confirm(oldest) {
                    self.feed_back(ffi::LTR_MARKING_SUCCESS, number)?;
                }
            }
            Source::Older(invalid) => self.go_back(invalid.saturating_sub(1))?,
            Source::LongTerm(timestamp) => self.go_back(timestamp)?,
        }
        let bytes = self.encode(job, pixels)?;
        self.finish(job, bytes, source)
    }

    /// Has the next picture coded from one that is not newer than that of this timestamp.
    fn go_back(&mut self, timestamp: u64) -> Result<(), String> {
        if !self.long_term.is_held_with(timestamp) {
            return Err(format!("OpenH264 has no long-term reference from before {timestamp}"));
        }
        if let Some(number) = self.long_term.recover() {
            self.feed_back(ffi::LTR_MARKING_FAILED, number)?;
        }
        let request = ffi::SLTRRecoverRequest {
            uiFeedbackType: ffi::LTR_RECOVERY_REQUEST as u32,
            uiIDRPicId: self.long_term.idr,
            // Any but −1, which asks for a keyframe; −1 below leaves open where the loss lies.
            iLastCorrectFrameNum: 0,
            iCurrentFrameNum: -1,
            iLayerId: 0,
        };
        self.set(ffi::ENCODER_LTR_RECOVERY_REQUEST, request)
    }

    /// Tells OpenH264 what became of the long-term reference of this `frame_num`.
    fn feed_back(&self, kind: ffi::KEY_FRAME_REQUEST_TYPE, number: u32) -> Result<(), String> {
        let feedback = ffi::SLTRMarkingFeedback {
            uiFeedbackType: kind as u32,
            uiIDRPicId: self.long_term.idr,
            iLTRFrameNum: number.cast_signed(),
            iLayerId: 0,
        };
        self.set(ffi::ENCODER_LTR_MARKING_FEEDBACK, feedback)
    }

    /// Takes over the rates.
    fn follow(&mut self, config: &Configuration) -> Result<(), String> {
        if config.bitrate != self.config.bitrate {
            let info = ffi::SBitrateInfo {
                iLayer: ffi::SPATIAL_LAYER_ALL,
                iBitrate: config.bitrate.try_into().unwrap_or(c_int::MAX),
            };
            self.set(ffi::ENCODER_OPTION_BITRATE, info)?;
        }
        if config.rate != self.config.rate {
            self.set(ffi::ENCODER_OPTION_FRAME_RATE, frame_rate(config))?;
        }
        self.config = config.clone();
        Ok(())
    }

    fn force_key(&self) -> Result<(), String> {
        let force = self.table.ForceIntraFrame.ok_or("OpenH264 lacks a function")?;
        // SAFETY: `CWelsH264SVCEncoder::ForceIntraFrame (bool, int)` is what stands in the table.
        let force = unsafe {
            std::mem::transmute::<
                unsafe extern "C" fn(*mut ffi::ISVCEncoder, bool) -> c_int,
                ForceIntraFrame,
            >(force)
        };
        // SAFETY: the encoder is initialised.
        checked("ForceIntraFrame", unsafe { force(self.handle.as_ptr(), true, -1) })
    }

    fn encode(&mut self, job: &Job, pixels: &[u8]) -> Result<Vec<u8>, String> {
        let (width, height) = (job.layout.width as usize, job.layout.height as usize);
        let pitch = job.layout.pitch as usize;
        // It takes chroma in two planes.
        self.cb.clear();
        self.cr.clear();
        for row in job.layout.visible(pixels).skip(height) {
            self.cb.extend(row.iter().step_by(2));
            self.cr.extend(row.iter().skip(1).step_by(2));
        }
        let picture = ffi::SSourcePicture {
            iColorFormat: ffi::videoFormatI420,
            iStride: [pitch as c_int, (width / 2) as c_int, (width / 2) as c_int, 0],
            pData: [
                pixels.as_ptr().cast_mut(),
                self.cb.as_mut_ptr(),
                self.cr.as_mut_ptr(),
                null_mut(),
            ],
            iPicWidth: width as c_int,
            iPicHeight: height as c_int,
            uiTimeStamp: self.millis(),
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        let encode = self.table.EncodeFrame.ok_or("OpenH264 lacks a function")?;
        // SAFETY: the encoder is initialised for this size, only reads the planes, and writes a structure
        // that is ours.
        let code = unsafe { encode(self.handle.as_ptr(), &raw const picture, &raw mut *self.info) };
        checked("EncodeFrame", code)?;
        self.pictures += 1;
        Ok(self.collect())
    }

    fn millis(&self) -> i64 {
        let (numerator, denominator) = self.config.rate;
        let millis = u128::from(self.pictures) * 1_000 * u128::from(denominator)
            / u128::from(numerator.max(1));
        i64::try_from(millis).unwrap_or(i64::MAX)
    }

    /// Copies the unit out of the encoder's memory.
    fn collect(&self) -> Vec<u8> {
        let mut unit = Vec::new();
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let nals = usize::try_from(layer.iNalCount).unwrap_or(0);
            if nals == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the last call filled so many layers, each with so many lengths of NAL units that lie
            // one after the other; they stay until the next call.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, nals);
                let length = lengths.iter().map(|&n| usize::try_from(n).unwrap_or(0)).sum();
                unit.extend_from_slice(std::slice::from_raw_parts(layer.pBsBuf, length));
            }
        }
        unit
    }

    /// Looks into what was coded.
    fn finish(&mut self, job: &Job, mut bytes: Vec<u8>, source: Source) -> Result<Unit, String> {
        let key = match self.info.eFrameType {
            ffi::videoFrameTypeIDR => true,
            ffi::videoFrameTypeP => false,
            other => return Err(format!("OpenH264 returned a frame of type {other}")),
        };
        if key != (source == Source::Nothing) {
            return Err(format!(
                "OpenH264 coded from {}",
                if key { "nothing" } else { "something" }
            ));
        }
        if key {
            self.sets = ParameterSets::default();
            self.sets_bytes.clear();
        }
        let mut gaps = None;
        for (at, nal) in units(&bytes) {
            if self.sets.take(nal) {
                self.sets_bytes.extend(&bytes[at..at + nal.len() + 4]);
                gaps = gaps.or(self.sets.gaps.map(|(byte, bit)| (at + 4 + byte, bit)));
            }
        }
        // Hardware need not declare gaps as OpenH264 does: who needs it has to.
        if let Some((byte, bit)) = gaps.filter(|_| key) {
            bytes[byte] &= !bit;
            if let Some(copy) = self.sets_bytes.get_mut(byte) {
                *copy &= !bit;
            }
        }
        if key && !job.configuration.repeat && !job.parameter_sets && job.number > 0 {
            bytes.drain(..self.sets_bytes.len());
        } else if !key && job.parameter_sets {
            bytes.splice(..0, self.sets_bytes.iter().copied());
        }
        let (mut slices, mut qp) = (Vec::new(), 0);
        for (at, nal) in units(&bytes) {
            if let Some(header) = SliceHeader::parse(nal, &self.sets) {
                if slices.is_empty() {
                    self.long_term.coded(job.timestamp, &header);
                }
                slices.push(at as u32);
                qp += header.qp;
            }
        }
        if slices.is_empty() {
            return Err("OpenH264 returned no slice that could be read".to_owned());
        }
        let count = slices.len() as u32;
        if settings().few_numbers {
            (bytes, slices) = narrow(&bytes, self.sets.frame_num_bits)
                .ok_or("a unit of OpenH264 could not be numbered anew")?;
        }
        Ok(Unit {
            kind: if key { IDR } else { P },
            qp: qp / count,
            ..Unit::of(job, bytes, slices, source)
        })
    }

    fn set<T>(&self, option: ffi::ENCODER_OPTION, mut value: T) -> Result<(), String> {
        let set = self.table.SetOption.ok_or("OpenH264 lacks a function")?;
        // SAFETY: the encoder is alive and copies the value; callers pass the type that
        // `codec_app_def.h` has for their option.
        let code = unsafe { set(self.handle.as_ptr(), option, (&raw mut value).cast::<c_void>()) };
        checked("SetOption", code)
    }
}

impl Drop for OpenH264 {
    fn drop(&mut self) {
        // SAFETY: alive, and dropped once.
        unsafe {
            if let Some(uninitialize) = self.table.Uninitialize {
                uninitialize(self.handle.as_ptr());
            }
            self.api.WelsDestroySVCEncoder(self.handle.as_ptr());
        }
    }
}

fn checked(function: &str, code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("OpenH264's {function} failed with code {code}")) }
}

fn frame_rate(config: &Configuration) -> f32 {
    (config.rate.0 as f32 / config.rate.1 as f32).clamp(1.0, MAX_FRAME_RATE)
}

fn fill(native: &mut ffi::SEncParamExt, config: &Configuration) {
    let (width, height) = (config.width as c_int, config.height as c_int);
    let bitrate = config.bitrate.try_into().unwrap_or(c_int::MAX);
    native.iUsageType = ffi::CAMERA_VIDEO_REAL_TIME;
    native.iPicWidth = width;
    native.iPicHeight = height;
    native.iTargetBitrate = bitrate;
    native.iRCMode = ffi::RC_BITRATE_MODE;
    native.fMaxFrameRate = frame_rate(config);
    native.iTemporalLayerNum = 1;
    native.iSpatialLayerNum = 1;
    native.iComplexityMode = ffi::LOW_COMPLEXITY;
    native.uiIntraPeriod = 0;
    native.bEnableLongTermReference = config.goes_back;
    native.iLTRRefNum = if config.goes_back { 2 } else { 0 };
    // As many, and the picture before.
    native.iNumRefFrame = 1 + native.iLTRRefNum;
    native.eSpsPpsIdStrategy = ffi::CONSTANT_ID;
    native.iEntropyCodingModeFlag = config.cabac.into();
    (native.iMinQp, native.iMaxQp) = (12, 51);
    native.bEnableFrameSkip = false;
    // The session's thread is the hardware: one picture, one thread.
    native.iMultipleThreadIdc = 1;
    native.bUseLoadBalancing = false;
    native.bEnableDenoise = false;
    native.bEnableBackgroundDetection = false;
    native.bEnableAdaptiveQuant = false;
    native.bEnableSceneChangeDetect = false;
    let layer = &mut native.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = native.fMaxFrameRate;
    layer.iSpatialBitrate = bitrate;
    layer.uiProfileIdc =
        if config.cabac || config.profile == "high" { ffi::PRO_HIGH } else { ffi::PRO_BASELINE };
    layer.sSliceArgument.uiSliceMode =
        if config.slices > 1 { ffi::SM_FIXEDSLCNUM_SLICE } else { ffi::SM_SINGLE_SLICE };
    layer.sSliceArgument.uiSliceNum = config.slices;
    if let Some(colours) = config.colours {
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = ffi::VF_UNDEF as u8;
        layer.bFullRange = colours.full_range;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = colours.primaries;
        layer.uiTransferCharacteristics = colours.transfer;
        layer.uiColorMatrix = colours.matrix;
    }
}
