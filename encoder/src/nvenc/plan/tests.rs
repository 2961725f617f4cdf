//! Plans field by field, in numbers and in the driver's structures, and every refusal by name.
#![expect(unsafe_code, reason = "reads back what was written into the driver's structures")]

use proptest::prelude::*;
use sdk::NV_ENC_CAPS as Cap;

use super::*;
use crate::nvenc::raw::Driver;

const HD: Size = Size::new(1280, 720);

/// Everything, as a device has it that lacks nothing.
fn able() -> Caps {
    Caps::query(|cap| {
        Ok::<_, ()>(match cap {
            Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES => 3,
            Cap::NV_ENC_CAPS_WIDTH_MIN => 145,
            Cap::NV_ENC_CAPS_HEIGHT_MIN => 49,
            Cap::NV_ENC_CAPS_WIDTH_MAX => 4096,
            Cap::NV_ENC_CAPS_HEIGHT_MAX => 4090,
            Cap::NV_ENC_CAPS_MB_NUM_MAX => 65_536,
            Cap::NV_ENC_CAPS_MB_PER_SEC_MAX => 983_040,
            Cap::NV_ENC_CAPS_NUM_MAX_LTR_FRAMES => 8,
            Cap::NV_ENC_CAPS_NUM_ENCODER_ENGINES => 2,
            _ => 1,
        })
    })
    .unwrap()
}

/// Nothing but a constant bit rate and room for the picture.
fn bare() -> Caps {
    Caps::query(|cap| {
        Ok::<_, ()>(match cap {
            Cap::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES => 2,
            Cap::NV_ENC_CAPS_WIDTH_MAX | Cap::NV_ENC_CAPS_HEIGHT_MAX => 4096,
            _ => 0,
        })
    })
    .unwrap()
}

fn settings(codec: Codec) -> Settings {
    let rate = FrameRate::new(60_000, 1_001).unwrap();
    Settings::new(&EncoderSettings::new(HD, rate, Bitrate::from_mbps(6)), codec).unwrap()
}

fn h264() -> Settings {
    settings(Codec::H264)
}

/// What is read of a device's answers, by number.
#[test]
fn capabilities_are_asked_for_by_number_and_a_refusal_ends_it() {
    let mut asked = Vec::new();
    let caps = Caps::query(|cap| {
        asked.push(cap as u32);
        Ok::<_, ()>(cap as i32)
    })
    .unwrap();
    asked.sort_unstable();
    let numbers =
        [1, 7, 16, 17, 19, 20, 23, 25, 26, 27, 28, 31, 32, 33, 39, 40, 45, 46, 47, 49, 50];
    assert_eq!(asked, numbers);
    assert_eq!((caps.largest, caps.smallest), (Size::new(16, 17), Size::new(45, 46)));
    assert_eq!((caps.rate_control_modes, caps.macroblocks), (1, 31));
    assert_eq!(caps.macroblocks_per_second, 32);
    assert_eq!((caps.long_term, caps.engines), (40, 49));
    assert!(!caps.constant_bitrate());

    let none = Caps::query(|_| Ok::<_, ()>(-1)).unwrap();
    assert_eq!((none.largest, none.engines, none.ten_bit), (Size::new(0, 0), 0, false));
    let status = Caps::query(|cap| if cap as u32 == 39 { Err(cap as u32) } else { Ok(1) });
    assert_eq!(status, Err(39));
}

#[test]
fn h264_by_default() {
    use sdk::NV_ENC_H264_ENTROPY_CODING_MODE::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC as CAVLC;
    let plan = Plan::new(&h264(), &able()).unwrap();
    let expected = Plan {
        codec: sdk::NV_ENC_CODEC_H264_GUID,
        preset: sdk::NV_ENC_PRESET_P1_GUID,
        profile: sdk::NV_ENC_H264_PROFILE_BASELINE_GUID,
        input: sdk::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
        size: HD,
        largest: HD,
        rate: FrameRate::new(60_000, 1_001).unwrap(),
        sub_frames: false,
        split: sdk::NV_ENC_SPLIT_ENCODE_MODE::NV_ENC_SPLIT_DISABLE_MODE,
        bitrate: 6_000_000,
        vbv: 100_100,
        references: 5,
        long_term: 2,
        referred: sdk::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_1,
        wave: None,
        map: None,
        vui: vui(&h264()),
        coding: Coding::H264 { entropy: CAVLC, chroma_format: 1, slices: 1 },
    };
    assert_eq!(plan, expected);
}

#[test]
fn what_the_device_lacks_and_may_lack_is_left_to_it() {
    let plan = Plan::new(&Settings { profile: H264Profile::High, ..h264() }, &bare()).unwrap();
    assert_eq!((plan.largest, plan.vbv), (Size::new(0, 0), 0));
    assert_eq!((plan.long_term, plan.reach()), (0, 4));
    assert_eq!(plan.referred, sdk::NV_ENC_NUM_REF_FRAMES::NV_ENC_NUM_REF_FRAMES_AUTOSELECT);
    let Coding::H264 { entropy, .. } = plan.coding else { panic!("{plan:?}") };
    let cavlc = sdk::NV_ENC_H264_ENTROPY_CODING_MODE::NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    assert_eq!(entropy, cavlc);
}

/// Room is made for larger sizes, unless it were more than the device codes; then each takes its own.
#[test]
fn room_is_made_within_the_macroblocks_of_the_device() {
    let largest = Size::new(4096, 4096);
    let settings = Settings { largest, ..settings(Codec::H265) };
    let room = |macroblocks| {
        let caps = Caps { macroblocks, largest, ..able() };
        Plan::new(&settings, &caps).unwrap().largest
    };
    assert_eq!([65_536, 0].map(room), [largest; 2]);
    assert_eq!(room(65_535), HD);
}

#[test]
fn profiles_and_inputs_follow_codec_depth_and_chroma() {
    use BitDepth::{Eight, Ten};
    use Chroma::{C420, C444};
    use sdk::NV_ENC_BUFFER_FORMAT as Format;
    let rows = [
        (
            (Codec::H264, Eight, C444),
            sdk::NV_ENC_H264_PROFILE_HIGH_444_GUID,
            Format::NV_ENC_BUFFER_FORMAT_YUV444,
        ),
        (
            (Codec::H265, Eight, C420),
            sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID,
            Format::NV_ENC_BUFFER_FORMAT_NV12,
        ),
        (
            (Codec::H265, Ten, C420),
            sdk::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
            Format::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
        ),
        (
            (Codec::H265, Eight, C444),
            sdk::NV_ENC_HEVC_PROFILE_FREXT_GUID,
            Format::NV_ENC_BUFFER_FORMAT_YUV444,
        ),
        (
            (Codec::H265, Ten, C444),
            sdk::NV_ENC_HEVC_PROFILE_FREXT_GUID,
            Format::NV_ENC_BUFFER_FORMAT_YUV444_10BIT,
        ),
        (
            (Codec::Av1, Eight, C420),
            sdk::NV_ENC_AV1_PROFILE_MAIN_GUID,
            Format::NV_ENC_BUFFER_FORMAT_NV12,
        ),
        (
            (Codec::Av1, Ten, C420),
            sdk::NV_ENC_AV1_PROFILE_MAIN_GUID,
            Format::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
        ),
    ];
    for ((codec, depth, chroma), profile, input) in rows {
        let plan = Plan::new(&Settings { depth, chroma, ..settings(codec) }, &able()).unwrap();
        assert_eq!((plan.profile, plan.input), (profile, input), "{codec:?} {depth:?} {chroma:?}");
        // Where chroma lies is said of 4:2:0 only.
        assert_eq!(plan.vui.chromaSampleLocationFlag, u32::from(chroma == C420));
        let minus_8 = if depth == Ten { 2 } else { 0 };
        match plan.coding {
            Coding::H264 { chroma_format, .. } => assert_eq!(chroma_format, 3),
            Coding::Hevc { chroma_format, depth_minus_8, .. } => {
                assert_eq!((chroma_format == 3, depth_minus_8), (chroma == C444, minus_8));
            }
            Coding::Av1 { depth_minus_8, .. } => assert_eq!(depth_minus_8, minus_8),
        }
    }
}

#[test]
fn presets_splitting_and_tiles() {
    for (speed, preset) in [
        (Speed::P1, sdk::NV_ENC_PRESET_P1_GUID),
        (Speed::P2, sdk::NV_ENC_PRESET_P2_GUID),
        (Speed::P3, sdk::NV_ENC_PRESET_P3_GUID),
        (Speed::P4, sdk::NV_ENC_PRESET_P4_GUID),
    ] {
        assert_eq!(Plan::new(&Settings { speed, ..h264() }, &able()).unwrap().preset, preset);
    }
    for (codec, split, read_one_by_one) in
        [(Codec::H264, 15, true), (Codec::H265, 0, true), (Codec::Av1, 0, false)]
    {
        for (slices, sub_frames) in [(1, true), (4, true), (4, false)] {
            let caps = Caps { sub_frames, ..able() };
            let plan = Plan::new(&Settings { slices, ..settings(codec) }, &caps).unwrap();
            let one_by_one = read_one_by_one && sub_frames && slices > 1;
            assert_eq!(plan.sub_frames, one_by_one, "{codec:?}, {slices} slices");
            let split = if one_by_one { 15 } else { split };
            assert_eq!(plan.split as u32, split, "{codec:?}, {slices} slices");
        }
    }
    // A wave may leave the picture one slice.
    let wave = Resilience::IntraRefresh { units: 9 };
    for single_slice_refresh in [false, true] {
        let caps = Caps { single_slice_refresh, ..able() };
        let settings = Settings { slices: 4, resilience: wave, ..settings(Codec::H265) };
        let plan = Plan::new(&settings, &caps).unwrap();
        assert_eq!(plan.sub_frames, !single_slice_refresh);
    }
    for (slices, columns) in [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (20, 16)] {
        let plan = Plan::new(&Settings { slices, ..settings(Codec::Av1) }, &able()).unwrap();
        let Coding::Av1 { tile_columns, .. } = plan.coding else { panic!("{plan:?}") };
        assert_eq!((tile_columns, plan.references), (columns, 8));
    }
    // 1280x720 has 45 rows of macroblocks, 12 of coding tree blocks, 20 columns of superblocks.
    for (codec, most) in [(Codec::H264, 45), (Codec::H265, 12), (Codec::Av1, 16)] {
        let plan = Plan::new(&Settings { slices: 200, ..settings(codec) }, &able()).unwrap();
        let cut = match plan.coding {
            Coding::H264 { slices, .. } | Coding::Hevc { slices, .. } => slices,
            Coding::Av1 { tile_columns, .. } => tile_columns,
        };
        assert_eq!(cut, most, "{codec:?}");
    }
    let wide = Caps { largest: Size::new(8192, 8192), macroblocks: 262_144, ..able() };
    for (width, columns) in [(4096, 1), (4098, 2), (8192, 2)] {
        let size = Size::new(width, 4096);
        let settings = Settings { size, largest: size, ..settings(Codec::Av1) };
        let Coding::Av1 { tile_columns, .. } = Plan::new(&settings, &wide).unwrap().coding else {
            panic!("not AV1")
        };
        assert_eq!(tile_columns, columns, "{width}");
    }
}

#[test]
fn the_vbv_is_one_frame_to_the_nearest_bit() {
    let rate = |numerator, denominator| FrameRate::new(numerator, denominator).unwrap();
    for (bitrate, rate, percent, bits) in [
        (6_000_000, rate(60, 1), 100, 100_000),
        (6_000_000, rate(60, 1), 150, 150_000),
        (6_000_000, rate(60_000, 1_001), 100, 100_100),
        (100, rate(3, 1), 100, 33),
        (200, rate(3, 1), 100, 67),
        (1, rate(240, 1), 1, 1),
        (u32::MAX, rate(1, u32::MAX), u16::MAX, u32::MAX),
        (u32::MAX, rate(1, 1), 100, u32::MAX),
    ] {
        assert_eq!(vbv_bits(bitrate, rate, percent), bits, "{bitrate} {rate:?} {percent}");
    }
}

#[test]
fn every_refusal_has_its_name() {
    let (able, bare) = (able(), bare());
    let hevc = settings(Codec::H265);
    let ten = |settings| Settings { depth: BitDepth::Ten, ..settings };
    let full = |settings| Settings { chroma: Chroma::C444, ..settings };
    let sized = |width, height| {
        let size = Size::new(width, height);
        Settings { size, largest: size, ..h264() }
    };
    let wave = |units| Settings { resilience: Resilience::IntraRefresh { units }, ..h264() };
    let no_cbr = Caps { rate_control_modes: 1, ..able };
    let rated = |bps| Settings { bitrate: Bitrate::from_bps(bps), ..h264() };
    let smaller = Settings { largest: Size::new(1280, 718), ..h264() };
    let wide = Settings { largest: Size::new(4098, 720), ..h264() };
    let level_5 = Caps { macroblocks: 36_864, ..able };
    let rows = [
        (settings(Codec::Vp8), able, "NVENC does not code VP8"),
        (settings(Codec::Vp9), able, "NVENC does not code VP9"),
        (ten(h264()), able, "H.264 with 10 bits is not in SDK 12.1"),
        (full(settings(Codec::Av1)), able, "AV1 with 4:4:4 is not in SDK 12.1"),
        (ten(hevc), bare, "this device does not code 10 bits"),
        (ten(settings(Codec::Av1)), bare, "this device does not code 10 bits"),
        (full(hevc), bare, "this device does not code 4:4:4"),
        (full(h264()), bare, "this device does not code 4:4:4"),
        (h264(), no_cbr, "this device has no constant bit rate"),
        (wave(10), bare, "this device has no intra refresh"),
        (wave(0), able, "intra refresh over no frame"),
        (sized(144, 48), able, "144x48 is too small, it takes 145x49 at least"),
        (sized(1280, 48), able, "1280x48 is too small, it takes 145x49 at least"),
        (sized(0, 720), bare, "0x720 is too small, it takes 0x0 at least"),
        (sized(4098, 720), able, "4098x720 is too large, it takes 4096x4090 at most"),
        (sized(1280, 4092), able, "1280x4092 is too large, it takes 4096x4090 at most"),
        (wide, able, "4098x720 is too large, it takes 4096x4090 at most"),
        (sized(4096, 2320), level_5, "4096x2320 has more macroblocks than 36864"),
        (sized(1281, 720), able, "1281x720 is odd, 4:2:0 takes even sizes"),
        (smaller, able, "1280x720 is beyond the largest, 1280x718"),
        (Settings { slices: 0, ..h264() }, able, "0 slices"),
        (rated(0), able, "a bit rate of 0 bit/s, it takes 1 to 4294967295"),
        (rated(1 << 32), able, "a bit rate of 4294967296 bit/s, it takes 1 to 4294967295"),
        (Settings { vbv_percent: 0, ..h264() }, able, "a VBV of 0 percent"),
    ];
    for (settings, caps, name) in rows {
        assert_eq!(check(&settings, &caps).unwrap_err().to_string(), name);
        assert!(Plan::new(&settings, &caps).is_err(), "{name}");
    }
    // 4:4:4 has no pairs to split.
    assert_eq!(check(&full(sized(1281, 721)), &able), Ok(()));
}

/// What a plan makes of structures that were zero.
struct Written {
    config: Driver<sdk::NV_ENC_CONFIG>,
    parameters: sdk::NV_ENC_INITIALIZE_PARAMS,
    rate: sdk::NV_ENC_RC_PARAMS,
}

impl Written {
    fn by(settings: Settings) -> Self {
        let mut config = Driver::<sdk::NV_ENC_CONFIG>::zeroed();
        let mut parameters = Driver::zeroed();
        Plan::new(&settings, &able()).unwrap().apply(&mut config, &mut parameters);
        let pointer = config.pointer();
        // SAFETY: zero and what was written over it are values of both.
        let (rate, parameters) =
            unsafe { ((&raw const (*pointer).rcParams).read(), parameters.pointer().read()) };
        assert_eq!(parameters.encodeConfig, pointer);
        Self { config, parameters, rate }
    }

    /// The codec's part.
    ///
    /// # Safety
    /// `T` is the part's type.
    unsafe fn codec<T>(&mut self) -> T {
        let pointer = self.config.pointer();
        // SAFETY: the caller's; zero and what was written over it are values of it.
        unsafe { (&raw const (*pointer).encodeCodecConfig).cast::<T>().read() }
    }
}

#[test]
fn every_codec_is_told_the_session_and_the_rate() {
    for codec in [Codec::H264, Codec::H265, Codec::Av1] {
        let mut written = Written::by(Settings {
            largest: Size::new(1920, 1080),
            speed: Speed::P3,
            slices: 4,
            regions: codec == Codec::Av1,
            ..settings(codec)
        });
        let map_mode = if codec == Codec::Av1 { 2 } else { 0 };
        let parameters = &written.parameters;
        assert_eq!(parameters.version, 0xf106_000c);
        assert_eq!(parameters.presetGUID, sdk::NV_ENC_PRESET_P3_GUID);
        assert_eq!((parameters.encodeWidth, parameters.encodeHeight), (1280, 720));
        assert_eq!((parameters.darWidth, parameters.darHeight), (1280, 720));
        assert_eq!((parameters.maxEncodeWidth, parameters.maxEncodeHeight), (1920, 1080));
        assert_eq!((parameters.frameRateNum, parameters.frameRateDen), (60_000, 1_001));
        assert_eq!((parameters.enableEncodeAsync, parameters.enablePTD), (0, 1));
        assert_eq!(parameters.tuningInfo as u32, 3);
        let sub_frames = u32::from(codec != Codec::Av1);
        let read = (parameters.reportSliceOffsets(), parameters.enableSubFrameWrite());
        assert_eq!(read, (sub_frames, sub_frames));
        assert_eq!(parameters.enableOutputInVidmem(), 0);
        // Slices that are read one by one are of one engine.
        let split = if codec == Codec::Av1 { 0 } else { 15 };
        assert_eq!(parameters.splitEncodeMode(), split);

        let rate = &written.rate;
        assert_eq!((rate.version, rate.rateControlMode as u32), (0x7101_000c, 2));
        assert_eq!((rate.averageBitRate, rate.maxBitRate), (6_000_000, 6_000_000));
        assert_eq!((rate.vbvBufferSize, rate.vbvInitialDelay), (100_100, 100_100));
        assert_eq!((rate.multiPass as u32, rate.qpMapMode as u32), (1, map_mode));
        assert_eq!((rate.lowDelayKeyFrameScale, rate.zeroReorderDelay()), (1, 1));
        assert_eq!((rate.enableAQ(), rate.enableLookahead(), rate.enableTemporalAQ()), (0, 0, 0));

        let config = written.config.pointer();
        // SAFETY: the box is live, and every value is one of these types.
        unsafe {
            assert_eq!((*config).version, 0xf108_000c);
            assert_eq!((*config).gopLength, u32::MAX);
            assert_eq!((*config).frameIntervalP, 1);
            assert_eq!((&raw const (*config).frameFieldMode).cast::<u32>().read(), 1);
        }
    }
}

fn assert_vui(vui: &sdk::NV_ENC_CONFIG_H264_VUI_PARAMETERS, located: u32) {
    assert_eq!((vui.videoSignalTypePresentFlag, vui.videoFormat as u32), (1, 5));
    assert_eq!((vui.videoFullRangeFlag, vui.colourDescriptionPresentFlag), (0, 1));
    let colours = (vui.colourPrimaries, vui.transferCharacteristics, vui.colourMatrix);
    assert_eq!((colours.0 as u32, colours.1 as u32, colours.2 as u32), (1, 1, 1));
    assert_eq!(vui.chromaSampleLocationFlag, located);
    assert_eq!((vui.chromaSampleLocationTop, vui.chromaSampleLocationBot), (0, 0));
    assert_eq!((vui.bitstreamRestrictionFlag, vui.timingInfoPresentFlag), (1, 0));
}

#[test]
fn h264_is_written_whole() {
    let mut written = Written::by(Settings { profile: H264Profile::High, slices: 4, ..h264() });
    assert_eq!(written.parameters.encodeGUID, sdk::NV_ENC_CODEC_H264_GUID);
    // SAFETY: the plan is of H.264.
    let h264: sdk::NV_ENC_CONFIG_H264 = unsafe { written.codec() };
    assert_eq!((h264.repeatSPSPPS(), h264.outputAUD(), h264.enableLTR()), (1, 0, 1));
    assert_eq!((h264.idrPeriod, h264.entropyCodingMode as u32), (u32::MAX, 1));
    assert_eq!((h264.sliceMode, h264.sliceModeData), (3, 4));
    assert_eq!((h264.maxNumRefFrames, h264.numRefL0 as u32), (5, 1));
    assert_eq!((h264.ltrNumFrames, h264.ltrTrustMode, h264.chromaFormatIDC), (2, 0, 1));
    assert_eq!((h264.enableIntraRefresh(), h264.intraRefreshPeriod), (0, 0));
    assert_vui(&h264.h264VUIParameters, 1);
}

/// They take the place of references, and each condition on them holds.
#[test]
fn long_term_references_are_kept_where_they_can_be() {
    let plan = |settings: Settings, caps: &Caps| {
        let plan = Plan::new(&settings, caps).unwrap();
        (plan.long_term, plan.reach())
    };
    assert_eq!(plan(h264(), &able()), (2, 2));
    assert_eq!(plan(settings(Codec::H265), &able()), (2, 2));
    assert_eq!(plan(settings(Codec::Av1), &able()), (0, 7), "AV1 has none in this SDK");
    assert_eq!(plan(Settings { long_term: false, ..h264() }, &able()), (0, 4));
    let wave = Settings { resilience: Resilience::IntraRefresh { units: 9 }, ..h264() };
    assert_eq!(plan(wave, &able()), (0, 4));
    assert_eq!(plan(h264(), &Caps { long_term: 1, ..able() }), (0, 4));
    assert_eq!(plan(h264(), &Caps { multiple_references: false, ..able() }), (0, 4));
}

#[test]
fn hevc_is_written_whole() {
    let mut written = Written::by(Settings {
        depth: BitDepth::Ten,
        chroma: Chroma::C444,
        slices: 2,
        resilience: Resilience::IntraRefresh { units: 12 },
        ..settings(Codec::H265)
    });
    assert_eq!(written.parameters.encodeGUID, sdk::NV_ENC_CODEC_HEVC_GUID);
    // SAFETY: the plan is of H.265.
    let hevc: sdk::NV_ENC_CONFIG_HEVC = unsafe { written.codec() };
    assert_eq!((hevc.repeatSPSPPS(), hevc.outputAUD(), hevc.enableLTR()), (1, 0, 0));
    assert_eq!((hevc.chromaFormatIDC(), hevc.pixelBitDepthMinus8()), (3, 2));
    assert_eq!((hevc.idrPeriod, hevc.sliceMode, hevc.sliceModeData), (u32::MAX, 3, 2));
    assert_eq!((hevc.maxNumRefFramesInDPB, hevc.numRefL0 as u32), (5, 1));
    assert_eq!((hevc.enableIntraRefresh(), hevc.singleSliceIntraRefresh()), (1, 1));
    assert_eq!(hevc.outputRecoveryPointSEI(), 1);
    assert_eq!((hevc.intraRefreshPeriod, hevc.intraRefreshCnt), (0x7fff_ffff, 12));
    assert_vui(&hevc.hevcVUIParameters, 0);
}

#[test]
fn av1_is_written_whole() {
    let mut written =
        Written::by(Settings { depth: BitDepth::Ten, slices: 5, ..settings(Codec::Av1) });
    assert_eq!(written.parameters.encodeGUID, sdk::NV_ENC_CODEC_AV1_GUID);
    // SAFETY: the plan is of AV1.
    let av1: sdk::NV_ENC_CONFIG_AV1 = unsafe { written.codec() };
    assert_eq!((av1.repeatSeqHdr(), av1.outputAnnexBFormat(), av1.chromaFormatIDC()), (1, 0, 1));
    assert_eq!((av1.inputPixelBitDepthMinus8(), av1.pixelBitDepthMinus8()), (2, 2));
    assert_eq!((av1.idrPeriod, av1.numTileColumns, av1.numTileRows), (u32::MAX, 4, 0));
    assert_eq!((av1.maxNumRefFramesInDPB, av1.numFwdRefs as u32), (8, 1));
    assert_eq!((av1.colorPrimaries as u32, av1.transferCharacteristics as u32), (1, 1));
    assert_eq!((av1.matrixCoefficients as u32, av1.colorRange), (1, 0));
    assert_eq!((av1.chromaSamplePosition, av1.enableIntraRefresh()), (1, 0));
}

/// BT.2020, PQ and BT.2020 are 9, 16 and 9 (ITU-T H.273).
#[test]
fn hdr10_is_declared_by_its_code_points() {
    let color = ColorDescription::BT2020_PQ_LIMITED;
    let written = |codec| Written::by(Settings { depth: BitDepth::Ten, color, ..settings(codec) });
    // SAFETY: the plan is of H.265.
    let hevc: sdk::NV_ENC_CONFIG_HEVC = unsafe { written(Codec::H265).codec() };
    let vui = &hevc.hevcVUIParameters;
    assert_eq!((hevc.pixelBitDepthMinus8(), vui.videoFullRangeFlag), (2, 0));
    let colours = (vui.colourPrimaries, vui.transferCharacteristics, vui.colourMatrix);
    assert_eq!((colours.0 as u32, colours.1 as u32, colours.2 as u32), (9, 16, 9));
    // SAFETY: the plan is of AV1.
    let av1: sdk::NV_ENC_CONFIG_AV1 = unsafe { written(Codec::Av1).codec() };
    let colours = (av1.colorPrimaries, av1.transferCharacteristics, av1.matrixCoefficients);
    assert_eq!((colours.0 as u32, colours.1 as u32, colours.2 as u32), (9, 16, 9));
    assert_eq!((av1.pixelBitDepthMinus8(), av1.colorRange), (2, 0));
}

/// A preset with every bit set stands for a newer driver, whose enumerations have values that the
/// bindings do not know.
#[test]
fn what_a_preset_has_elsewhere_stays() {
    let (mut config, mut parameters) = (Driver::<sdk::NV_ENC_CONFIG>::zeroed(), Driver::zeroed());
    let pointer = config.pointer();
    // SAFETY: the box is as large as one structure.
    unsafe { pointer.write_bytes(0xff, 1) };
    let settings = Settings { long_term: false, ..h264() };
    Plan::new(&settings, &able()).unwrap().apply(&mut config, &mut parameters);
    let pointer = config.pointer();
    // SAFETY: the box is live and written all over; each type read holds any bits.
    let (precision, level, bits, rate_bits) = unsafe {
        let h264 = (&raw const (*pointer).encodeCodecConfig).cast::<sdk::NV_ENC_CONFIG_H264>();
        (
            (&raw const (*pointer).mvPrecision).cast::<u32>().read(),
            (*h264).level,
            (&raw const (*h264)._bitfield_1).cast::<u32>().read(),
            (&raw const (*pointer).rcParams._bitfield_1).cast::<u32>().read(),
        )
    };
    assert_eq!((precision, level), (u32::MAX, u32::MAX));
    // Bits of the header, counted from 0: AUD 6, no parameter sets 7, recovery point 9, refresh 10,
    // repeated parameter sets 12, LTR 14, filler 17, single slice 20.
    let cleared = [6, 7, 9, 10, 14, 17, 20].map(|bit| 1_u32 << bit).iter().sum::<u32>();
    assert_eq!(bits, !cleared);
    // AQ 3, lookahead 5, temporal AQ 8, zero delay 9, P that none refers to 10.
    let cleared = [3, 5, 8, 10].map(|bit| 1_u32 << bit).iter().sum::<u32>();
    assert_eq!(rate_bits, !cleared);
}

/// Under a constant bit rate a still picture would otherwise cost what a moving one does.
#[test]
fn no_codec_fills_up_to_the_bit_rate() {
    // `enableFillerDataInsertion`, or `enableBitstreamPadding`, behind the fields before the bits.
    for (codec, fields, bit) in [(Codec::H264, 0, 17), (Codec::H265, 4, 14), (Codec::Av1, 4, 9)] {
        let mut config = Driver::<sdk::NV_ENC_CONFIG>::zeroed();
        let pointer = config.pointer();
        // SAFETY: the box is as large as one structure.
        unsafe { pointer.write_bytes(0xff, 1) };
        Plan::new(&settings(codec), &able()).unwrap().apply(&mut config, &mut Driver::zeroed());
        let pointer = config.pointer();
        // SAFETY: the box is live and written all over, and a number holds any bits.
        let bits =
            unsafe { (&raw const (*pointer).encodeCodecConfig).cast::<u32>().add(fields).read() };
        assert_eq!(bits & 1 << bit, 0, "{codec:?}");
    }
}

proptest! {
    #[test]
    fn the_vbv_is_never_nothing_and_never_shrinks_as_the_bit_rate_grows(
        bitrate in 1..u32::MAX,
        more in any::<u32>(),
        numerator in 1..=u32::MAX,
        denominator in 1..=u32::MAX,
        percent in 1..=u16::MAX,
    ) {
        let rate = FrameRate::new(numerator, denominator).unwrap();
        let bits = vbv_bits(bitrate, rate, percent);
        prop_assert!(bits >= 1);
        prop_assert!(vbv_bits(bitrate.saturating_add(more), rate, percent) >= bits);
    }

    #[test]
    fn the_vbv_is_within_half_a_bit(bitrate in 1_000_u32..200_000_000, fps in 1_u32..=240) {
        let bits = i64::from(vbv_bits(bitrate, FrameRate::fps(fps), 100));
        let off = bits * i64::from(fps) - i64::from(bitrate);
        prop_assert!(2 * off.abs() <= i64::from(fps));
    }

    #[test]
    fn settings_have_a_plan_or_a_refusal_with_a_name(
        codec in prop::sample::select(vec![Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9]),
        (ten, full, high) in any::<(bool, bool, bool)>(),
        (width, height) in (0_u32..5_000, 0_u32..5_000),
        bitrate in any::<u64>(),
        narrow in 0_u32..=64,
        (slices, vbv_percent, units) in any::<(u8, u16, Option<u16>)>(),
        lacking in any::<bool>(),
    ) {
        let size = Size::new(width & !1, height & !1);
        let bitrate = Bitrate::from_bps(bitrate.checked_shr(narrow).unwrap_or(0));
        let settings = Settings {
            depth: if ten { BitDepth::Ten } else { BitDepth::Eight },
            chroma: if full { Chroma::C444 } else { Chroma::C420 },
            profile: if high { H264Profile::High } else { H264Profile::Baseline },
            slices,
            vbv_percent,
            resilience: units.map_or(Resilience::References, |units| {
                Resilience::IntraRefresh { units }
            }),
            ..Settings::new(&EncoderSettings::new(size, FrameRate::fps(60), bitrate), codec)
                .unwrap()
        };
        let caps = if lacking { bare() } else { able() };
        match Plan::new(&settings, &caps) {
            Ok(plan) => {
                prop_assert_eq!(check(&settings, &caps), Ok(()));
                prop_assert_eq!(u64::from(plan.bitrate), bitrate.bps());
                prop_assert_eq!(plan.vbv == 0, lacking);
            }
            Err(refusal) => {
                prop_assert_eq!(check(&settings, &caps), Err(refusal));
                prop_assert!(!refusal.to_string().is_empty());
            }
        }
    }
}
