//! Each rule trips when it is broken, and is answered with the status that the SDK has for it.

use std::ptr::null_mut;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use testkit::{Effect, Exported};

use crate::content::picture;
use crate::driver::{
    Answer, Driver, END, FORCE_IDR, HEIGHT, Handle, NV12, OK, Raw, WIDTH, entry, set,
};
use crate::session::{At, Session, Setup, none, nonsense};

const INVALID_ENCODERDEVICE: Answer = Err(3);
const INVALID_DEVICE: Answer = Err(4);
const UNSUPPORTED_DEVICE: Answer = Err(2);
const INVALID_PTR: Answer = Err(6);
const INVALID_PARAM: Answer = Err(8);
const INVALID_CALL: Answer = Err(9);
const NOT_INITIALIZED: Answer = Err(11);
const UNSUPPORTED_PARAM: Answer = Err(12);
const LOCK_BUSY: Answer = Err(13);
const INVALID_VERSION: Answer = Err(15);
const REGISTER_FAILED: Answer = Err(23);
const NOT_REGISTERED: Answer = Err(24);
const NOT_MAPPED: Answer = Err(25);

pub(crate) const PRESET_VERSION: u32 = sdk::NV_ENC_PRESET_CONFIG_VER;

/// Parameters of a session as they should be.
pub(crate) fn open_parameters(driver: &Driver) -> Raw<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS> {
    let mut given: Raw<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS> =
        Raw::new(sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
    set!(given, deviceType = 1_u32);
    set!(given, device = driver.context);
    set!(given, apiVersion = sdk::NVENCAPI_VERSION);
    given
}

/// Memory for a preset.
pub(crate) fn preset() -> Raw<sdk::NV_ENC_PRESET_CONFIG> {
    let mut preset: Raw<sdk::NV_ENC_PRESET_CONFIG> = Raw::new(PRESET_VERSION);
    set!(preset, presetCfg.version = sdk::NV_ENC_CONFIG_VER);
    preset
}

pub(crate) fn frame_field_mode(preset: &mut Raw<sdk::NV_ENC_PRESET_CONFIG>) -> u32 {
    // SAFETY: the structure is alive, and was written.
    unsafe { (&raw const (*preset.at()).presetCfg.frameFieldMode).cast::<u32>().read() }
}

impl Session<'_> {
    /// P1 for the least delay.
    pub(crate) fn preset(&self, to: &mut Raw<sdk::NV_ENC_PRESET_CONFIG>) -> Answer {
        entry!(self.driver, nvEncGetEncodePresetConfigEx(
            self.handle => Handle,
            sdk::NV_ENC_CODEC_H264_GUID => sdk::GUID,
            sdk::NV_ENC_PRESET_P1_GUID => sdk::GUID,
            3 => u32,
            to.at() => *mut sdk::NV_ENC_PRESET_CONFIG
        ))
    }

    fn cap(&self, codec: sdk::GUID, cap: u32) -> Result<i32, u32> {
        let mut given = Raw::<sdk::NV_ENC_CAPS_PARAM>::new(sdk::NV_ENC_CAPS_PARAM_VER);
        set!(given, capsToQuery = cap);
        let mut answer = 0;
        entry!(self.driver, nvEncGetEncodeCaps(
            self.handle => Handle,
            codec => sdk::GUID,
            given.at() => *mut sdk::NV_ENC_CAPS_PARAM,
            &raw mut answer => *mut i32
        ))?;
        Ok(answer)
    }
}

impl Setup {
    /// 10 bit AV1, of one tile.
    pub(crate) fn av1_ten_bit(&mut self) {
        let mut av1 = crate::session::At(self.coding().cast::<sdk::NV_ENC_CONFIG_AV1>());
        set!(av1, _bitfield_1 = 1_u32 << 5 | 1 << 7 | 2 << 12 | 2 << 15);
    }
}

#[test]
fn sessions_are_opened_with_the_right_words() {
    let driver = Driver::fresh();
    type Change = fn(&mut Raw<sdk::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>);
    let cases: [(Change, Answer, &str); 7] = [
        (
            |g| set!(g, version = 1_u32),
            INVALID_VERSION,
            "version 0x1 of NV_ENC_OPEN_ENCODE_SESSIONEX_PARAMS, which is 0x7101000c",
        ),
        (|g| set!(g, apiVersion = 0xb_u32), INVALID_VERSION, "apiVersion 0xb"),
        (|g| set!(g, deviceType = 7_u32), UNSUPPORTED_DEVICE, "the device is not one of CUDA"),
        (|g| set!(g, device = none()), INVALID_PTR, "no context"),
        (
            |g| set!(g, device = nonsense()),
            INVALID_DEVICE,
            "the context is not one of the double of CUDA",
        ),
        (
            |g| set!(g, device = g.at()),
            INVALID_DEVICE,
            "the context is not one of the double of CUDA",
        ),
        (
            |g| set!(g, reserved1 = 1_u32),
            INVALID_PARAM,
            "NV_ENC_OPEN_ENCODE_SESSIONEX_PARAMS::reserved1 is not zero",
        ),
    ];
    let mut rules = Vec::new();
    for (change, answer, rule) in cases {
        let mut given = open_parameters(&driver);
        change(&mut given);
        assert_eq!(driver.open_with(&mut given, &mut null_mut()), answer, "{rule}");
        rules.push(format!("nvEncOpenEncodeSessionEx: {rule}"));
    }
    assert_eq!(driver.destroy(none()), INVALID_PTR);
    assert_eq!(driver.destroy(nonsense()), INVALID_ENCODERDEVICE);
    let session = driver.open().unwrap();
    assert_eq!(driver.destroy(session), OK);
    assert_eq!(driver.destroy(session), INVALID_ENCODERDEVICE);
    let destroyed = ["no session", "unknown session", "a destroyed session"];
    rules.extend(destroyed.map(|rule| format!("nvEncDestroyEncoder: {rule}")));
    assert_eq!(driver.gpu.encode_broken_rules().unwrap(), rules);
}

#[test]
fn nothing_works_before_the_encoder_is_initialised() {
    let driver = Driver::fresh();
    let handle = driver.open().unwrap();
    let session = Session { driver: &driver, handle, setup: Setup::h264() };
    assert_eq!(session.create_output().map(drop), NOT_INITIALIZED);
    assert_eq!(session.create_input(WIDTH, HEIGHT, NV12).map(drop), NOT_INITIALIZED);
    assert_eq!(session.register(0, WIDTH, NV12).map(drop), NOT_INITIALIZED);
    assert_eq!(session.encode((none(), 0), none(), 0, 0), NOT_INITIALIZED);
    assert_eq!(session.end(), NOT_INITIALIZED);
    assert_eq!(session.lock(none(), 0).map(drop), NOT_INITIALIZED);
    assert_eq!(session.invalidate(0), NOT_INITIALIZED);
    assert_eq!(Setup::h264().reconfigure(&driver, handle, 0), NOT_INITIALIZED);
    let rules = driver.gpu.encode_broken_rules().unwrap();
    assert_eq!(rules.len(), 8);
    assert!(
        rules.iter().all(|rule| rule.ends_with(": the encoder is not initialised")),
        "{rules:?}"
    );
    assert_eq!(driver.destroy(handle), OK);
}

#[test]
fn each_parameter_of_the_setup_is_checked() {
    type Change = fn(&mut Setup);
    // enableLTR, beside what is set already.
    const LONG_TERM: u32 = 1 << 14 | 1 << 12;
    let cases: [(Change, Answer, &str); 25] = [
        (
            |s| set!(s.given, version = 0_u32),
            INVALID_VERSION,
            "version 0x0 of NV_ENC_INITIALIZE_PARAMS",
        ),
        (|s| set!(s.config, version = 0_u32), INVALID_VERSION, "version 0x0 of NV_ENC_CONFIG"),
        (
            |s| set!(s.config, rcParams.version = 0_u32),
            INVALID_VERSION,
            "version 0x0 of NV_ENC_RC_PARAMS",
        ),
        (|s| set!(s.given, reserved = 1_u32), INVALID_PARAM, "NV_ENC_INITIALIZE_PARAMS::reserved"),
        (|s| set!(s.config, reserved = 1_u32), INVALID_PARAM, "NV_ENC_CONFIG::reserved"),
        (
            |s| s.h264_with(|mut h| set!(h, reserved1 = 1_u32)),
            INVALID_PARAM,
            "NV_ENC_CONFIG_H264::reserved1",
        ),
        (
            |s| set!(s.given, encodeGUID = sdk::NV_ENC_PRESET_P1_GUID),
            UNSUPPORTED_PARAM,
            "the codec is not offered",
        ),
        (
            |s| set!(s.given, presetGUID = sdk::NV_ENC_CODEC_H264_GUID),
            UNSUPPORTED_PARAM,
            "the preset is not known",
        ),
        (
            |s| set!(s.config, profileGUID = sdk::NV_ENC_HEVC_PROFILE_MAIN_GUID),
            UNSUPPORTED_PARAM,
            "the profile is not one",
        ),
        (|s| set!(s.given, tuningInfo = 9_u32), INVALID_PARAM, "the tuning is no value"),
        (|s| set!(s.given, enableEncodeAsync = 1_u32), INVALID_PARAM, "events are not supported"),
        (|s| set!(s.given, enablePTD = 0_u32), UNSUPPORTED_PARAM, "picture types must be left"),
        (|s| set!(s.given, encodeWidth = 4098_u32), INVALID_PARAM, "the size is larger"),
        (|s| set!(s.given, encodeHeight = 16_u32), INVALID_PARAM, "the size is smaller"),
        (|s| set!(s.given, encodeWidth = 321_u32), INVALID_PARAM, "the size is odd"),
        (|s| set!(s.given, frameRateDen = 0_u32), INVALID_PARAM, "no frame rate"),
        (|s| set!(s.config, rcParams.averageBitRate = 0_u32), INVALID_PARAM, "no bit rate"),
        (
            |s| set!(s.config, frameFieldMode = 0_u32),
            INVALID_PARAM,
            "frameFieldMode or mvPrecision",
        ),
        // enableSubFrameWrite without reportSliceOffsets, and with pictures that are split (automatically).
        (
            |s| set!(s.given, _bitfield_1 = 0b10_u32 | 15 << 5),
            INVALID_PARAM,
            "sub-frames whose slices are not told",
        ),
        (
            |s| set!(s.given, _bitfield_1 = 0b11_u32),
            INVALID_PARAM,
            "sub-frames of pictures that engines share",
        ),
        (|s| set!(s.config, frameIntervalP = 2_i32), UNSUPPORTED_PARAM, "B-frames"),
        (
            |s| s.h264_with(|mut h| set!(h, _bitfield_1 = LONG_TERM)),
            INVALID_PARAM,
            "long-term references, and none of them",
        ),
        (
            |s| {
                s.h264_with(|mut h| {
                    set!(h, _bitfield_1 = LONG_TERM);
                    set!(h, ltrNumFrames = 2_u32);
                    set!(h, ltrTrustMode = 1_u32);
                });
            },
            UNSUPPORTED_PARAM,
            "long-term references of the encoder's choice",
        ),
        (
            |s| {
                s.h264_with(|mut h| {
                    set!(h, _bitfield_1 = LONG_TERM);
                    set!(h, ltrNumFrames = 9_u32);
                    set!(h, maxNumRefFrames = 16_u32);
                });
            },
            UNSUPPORTED_PARAM,
            "so many long-term references",
        ),
        (
            |s| {
                s.h264_with(|mut h| {
                    set!(h, _bitfield_1 = LONG_TERM);
                    set!(h, ltrNumFrames = 5_u32);
                });
            },
            INVALID_PARAM,
            "no reference beside the long-term ones",
        ),
    ];
    let driver = Driver::fresh();
    let handle = driver.open().unwrap();
    for (number, (change, answer, rule)) in cases.into_iter().enumerate() {
        let mut setup = Setup::h264();
        change(&mut setup);
        assert_eq!(setup.initialize(&driver, handle), answer, "{rule}");
        let broken = driver.gpu.encode_broken_rules().unwrap();
        assert_eq!(broken.len(), number + 1, "{broken:?}");
        assert!(
            broken[number].starts_with(&format!("nvEncInitializeEncoder: {rule}")),
            "{broken:?}"
        );
    }
    assert_eq!(Setup::h264().initialize(&driver, handle), OK);
    assert_eq!(Setup::h264().initialize(&driver, handle), INVALID_CALL);
    assert_eq!(driver.destroy(handle), OK);
}

#[test]
fn what_is_not_offered_is_neither_told_nor_taken() {
    use sdk::NV_ENC_CAPS as Cap;
    // What is taken away, and a setup that needs it.
    let vbv = |setup: &mut Setup| set!(setup.config, rcParams.vbvBufferSize = 9_u32);
    let sub_frame = |setup: &mut Setup| set!(setup.given, _bitfield_1 = 0b11_u32 | 15 << 5);
    let resize = |setup: &mut Setup| {
        set!(setup.given, maxEncodeWidth = WIDTH);
        set!(setup.given, maxEncodeHeight = HEIGHT);
    };
    type Case<'a> = (&'a str, Cap, &'a dyn Fn() -> Setup);
    let cases: [Case<'_>; 5] = [
        ("h264", Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE, &|| changed(Setup::h264(), vbv)),
        ("h264", Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK, &|| changed(Setup::h264(), sub_frame)),
        ("h264", Cap::NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE, &|| changed(Setup::h264(), resize)),
        ("hevc", Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE, &|| Setup::hevc(true, false)),
        ("hevc", Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE, &|| Setup::hevc(false, true)),
    ];
    for (codec, cap, setup) in cases {
        let driver = Driver::fresh();
        let guid =
            if codec == "h264" { sdk::NV_ENC_CODEC_H264_GUID } else { sdk::NV_ENC_CODEC_HEVC_GUID };
        let session = Session::new(&driver, setup());
        assert_eq!(session.cap(guid, cap as u32), Ok(1));
        driver.gpu.encode_cap(codec, cap as u32, 0).unwrap();
        assert_eq!(session.cap(guid, cap as u32), Ok(0));
        assert_eq!(driver.destroy(session.handle), OK);
        driver.broke(&[]);
        let handle = driver.open().unwrap();
        assert_eq!(setup().initialize(&driver, handle), UNSUPPORTED_PARAM, "{cap:?}");
        assert_eq!(driver.destroy(handle), OK);
        assert_eq!(driver.gpu.encode_broken_rules().unwrap().len(), 1, "{cap:?}");
    }
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    driver.gpu.encode_deny("av1").unwrap();
    let mut count = 0;
    let codecs = entry!(driver, nvEncGetEncodeGUIDCount(
        session.handle => Handle, &raw mut count => *mut u32
    ));
    assert_eq!((codecs, count), (OK, 2));
    assert_eq!(session.cap(sdk::NV_ENC_CODEC_AV1_GUID, 0), Err(12));
    assert_eq!(session.cap(sdk::NV_ENC_CODEC_H264_GUID, 1000), Err(8));
    driver.broke(&[
        "nvEncGetEncodeCaps: the codec is not offered",
        "nvEncGetEncodeCaps: capability 1000 is not known",
    ]);
    assert!(driver.gpu.encode_deny("vp9").is_err());
}

fn changed(mut setup: Setup, change: impl Fn(&mut Setup)) -> Setup {
    change(&mut setup);
    setup
}

#[test]
fn pictures_take_their_way_in_order() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let bytes = (WIDTH * HEIGHT * 3 / 2) as usize;
    let mut memory = Exported::plain(bytes).unwrap();
    memory.bytes_mut().copy_from_slice(&picture(0));
    let address = driver.import(&memory, bytes);
    let resource = session.register(address, WIDTH, NV12).unwrap();
    let outputs = [session.create_output().unwrap(), session.create_output().unwrap()];
    let encode = |input, output, ts| session.encode((input, WIDTH), output, ts, 0);

    assert_eq!(encode(resource, outputs[0], 5), NOT_MAPPED);
    let (mapping, _) = session.map(resource).unwrap();
    assert_eq!(session.map(resource).map(drop), INVALID_PARAM);
    assert_eq!(session.unregister(resource), INVALID_PARAM);
    assert_eq!(session.lock(outputs[0], 0).map(drop), INVALID_PARAM);
    assert_eq!(encode(mapping, outputs[0], 5), OK);
    assert_eq!(encode(mapping, outputs[1], 6), INVALID_PARAM);
    assert_eq!(session.unmap(mapping), INVALID_PARAM);
    assert_eq!(session.destroy_output(outputs[0]), INVALID_PARAM);
    assert_eq!(session.lock(outputs[0], 0).map(drop), OK);
    assert_eq!(session.lock(outputs[0], 0).map(drop), INVALID_PARAM);
    assert_eq!(encode(mapping, outputs[0], 6), INVALID_PARAM);
    assert_eq!(session.unlock(outputs[0]), OK);
    assert_eq!(session.unlock(outputs[0]), INVALID_PARAM);
    assert_eq!(encode(mapping, outputs[0], 5), INVALID_PARAM);
    assert_eq!(session.invalidate(4), INVALID_PARAM);
    assert_eq!(session.unmap(mapping), OK);
    assert_eq!(session.unmap(mapping), NOT_MAPPED);
    assert_eq!(session.unregister(resource), OK);
    assert_eq!(session.unregister(resource), NOT_REGISTERED);
    assert_eq!(session.unregister(nonsense()), NOT_REGISTERED);
    assert_eq!(encode(nonsense(), outputs[0], 6), INVALID_PARAM);
    session.close(&[], &outputs);
    driver.broke(&[
        "nvEncEncodePicture: the resource is registered, and not mapped",
        "nvEncMapInputResource: the resource is mapped already",
        "nvEncUnregisterResource: the resource is mapped",
        "nvEncLockBitstream: there is no picture in the bitstream buffer",
        "nvEncEncodePicture: the input has a picture that was not locked yet",
        "nvEncUnmapInputResource: unmapped before its picture was locked",
        "nvEncDestroyBitstreamBuffer: the bitstream buffer is in use",
        "nvEncLockBitstream: the bitstream buffer is locked already",
        "nvEncEncodePicture: the bitstream buffer is in use",
        "nvEncUnlockBitstream: the bitstream buffer is not locked",
        "nvEncEncodePicture: the timestamp does not increase",
        "nvEncInvalidateRefFrames: no picture has this timestamp",
        "nvEncUnmapInputResource: already released mapped input",
        "nvEncUnregisterResource: already released resource",
        "nvEncUnregisterResource: unknown resource",
        "nvEncEncodePicture: unknown input",
    ]);
}

/// Marks and uses of long-term references, as `NV_ENC_PIC_PARAMS_H264` has them.
#[test]
fn long_term_references_are_those_that_were_marked() {
    const MARK: u32 = 1 << 2;
    const USE: u32 = 1 << 3;
    let setup = |count: u32| {
        changed(Setup::h264(), |s| {
            s.h264_with(|mut h| {
                set!(h, _bitfield_1 = 1_u32 << 12 | u32::from(count > 0) << 14);
                set!(h, ltrNumFrames = count);
            });
        })
    };
    let encode = |session: &Session, (input, pitch), output, ts: u64, bits: u32, index: u32| {
        session.encode_with(|given| {
            set!(given, inputBuffer = input);
            set!(given, outputBitstream = output);
            set!(given, inputPitch = pitch);
            set!(given, inputTimeStamp = ts);
            // SAFETY: a live structure of ours, of which the address alone is taken.
            let coding = unsafe { &raw mut (*given.at()).codecPicParams };
            let mut h264 = At(coding.cast::<sdk::NV_ENC_PIC_PARAMS_H264>());
            set!(h264, _bitfield_1 = bits);
            set!(h264, ltrMarkFrameIdx = index);
            set!(h264, ltrUseFrameBitmap = if bits & USE == 0 { 0 } else { 1_u32 << index });
        })
    };
    let driver = Driver::fresh();
    let session = Session::new(&driver, setup(0));
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), WIDTH as usize);
    assert_eq!(encode(&session, (input, pitch), output, 0, MARK, 0), INVALID_PARAM);
    session.close(&[input], &[output]);

    let session = Session::new(&driver, setup(2));
    let (input, output) = session.buffers();
    let mut next = 0;
    let mut coded = |bits, index| {
        let pitch = session.fill(input, &picture(next), WIDTH as usize);
        next += 1;
        let answer = encode(&session, (input, pitch), output, next as u64, bits, index);
        if answer == OK {
            session.lock(output, 0).unwrap();
            session.unlock(output).unwrap();
        }
        answer
    };
    assert_eq!(coded(MARK, 0), OK);
    assert_eq!(coded(MARK, 2), INVALID_PARAM);
    assert_eq!(coded(USE, 1), INVALID_PARAM);
    assert_eq!(coded(1, 0), UNSUPPORTED_PARAM);
    for _ in 0..12 {
        assert_eq!(coded(0, 0), OK);
    }
    assert_eq!(coded(MARK, 1), OK);
    assert_eq!(coded(USE, 0), OK);
    assert_eq!(coded(MARK | USE, 1), OK);
    session.close(&[input], &[output]);
    driver.broke(&[
        "nvEncEncodePicture: long-term references were not set up",
        "nvEncEncodePicture: there is no long-term reference of this index",
        "nvEncEncodePicture: to be coded from a long-term reference that was not marked",
        "nvEncEncodePicture: flags of a picture that are not offered",
    ]);
    let log = driver.logged("nvEncLockBitstream");
    let refers: Vec<_> = log.iter().filter_map(|line| line.split("refers=").nth(1)).collect();
    assert_eq!((refers[0], refers[1]), ("key", "last"));
    assert_eq!(refers[13..], ["last", "long-term", "long-term"]);
}

#[test]
fn outputs_are_locked_in_order_and_inputs_not_used_while_locked() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (first, output) = session.buffers();
    let (second, next) = session.buffers();
    let pitch = session.fill(first, &picture(0), WIDTH as usize);
    session.fill(second, &picture(1), WIDTH as usize);
    session.encode((first, pitch), output, 0, 0).unwrap();
    session.encode((second, pitch), next, 1, 0).unwrap();
    assert_eq!(session.lock(next, 0).map(drop), INVALID_PARAM);
    session.read(output);
    session.read(next);
    session.lock_input(first, 0).unwrap();
    assert_eq!(session.lock_input(first, 0).map(drop), LOCK_BUSY);
    assert_eq!(session.encode((first, pitch), output, 2, 0), INVALID_PARAM);
    assert_eq!(session.destroy_input(first), INVALID_PARAM);
    session.unlock_input(first).unwrap();
    assert_eq!(session.unlock_input(first), INVALID_PARAM);
    assert_eq!(session.encode((first, pitch + 4), output, 2, 0), INVALID_PARAM);
    assert_eq!(session.encode((first, pitch), output, 2, 0x40), UNSUPPORTED_PARAM);
    session.end().unwrap();
    assert_eq!(session.encode((first, pitch), output, 2, FORCE_IDR), INVALID_CALL);
    session.close(&[first, second], &[output, next]);
    driver.broke(&[
        "nvEncLockBitstream: locked before the picture that came before it",
        "nvEncLockInputBuffer: the input buffer is locked already",
        "nvEncEncodePicture: the input buffer is locked",
        "nvEncDestroyInputBuffer: the input buffer is in use",
        "nvEncUnlockInputBuffer: the input buffer is not locked",
        "nvEncEncodePicture: the pitch is not that of the input",
        "nvEncEncodePicture: flags 0x40",
        "nvEncEncodePicture: a picture after the end of the stream",
    ]);
}

#[test]
fn pictures_and_resources_are_what_they_say() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let bytes = (WIDTH * HEIGHT * 3 / 2) as usize;
    let memory = Exported::plain(bytes).unwrap();
    let address = driver.import(&memory, bytes);
    for (pitch, answer) in
        [(WIDTH - 4, INVALID_PARAM), (WIDTH + 2, INVALID_PARAM), (WIDTH + 4, REGISTER_FAILED)]
    {
        assert_eq!(session.register(address, pitch, NV12).map(drop), answer);
    }
    // A format of more than 8 bit, which H.264 has not, and one that is none.
    for format in [0x1_0000, 0xdead] {
        assert_eq!(session.register(address, WIDTH, format).map(drop), UNSUPPORTED_PARAM);
    }
    let rules = driver.gpu.encode_broken_rules().unwrap();
    assert_eq!(rules.len(), 5, "{rules:?}");
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), WIDTH as usize);
    type Change = fn(&mut Raw<sdk::NV_ENC_PIC_PARAMS>);
    let cases: [(Change, Answer); 6] = [
        (|g| set!(g, version = 3_u32), INVALID_VERSION),
        (|g| set!(g, reserved3 = 1_u32), INVALID_PARAM),
        (|g| set!(g, pictureStruct = 0_u32), INVALID_PARAM),
        (|g| set!(g, inputWidth = WIDTH + 2), INVALID_PARAM),
        (|g| set!(g, bufferFmt = 0xdead_u32), INVALID_PARAM),
        (|g| set!(g, outputBitstream = nonsense()), INVALID_PARAM),
    ];
    for (number, (change, answer)) in cases.into_iter().enumerate() {
        let result = session.encode_with(|given| {
            set!(given, inputBuffer = input);
            set!(given, outputBitstream = output);
            set!(given, inputPitch = pitch);
            change(given);
        });
        assert_eq!(result, answer, "{number}");
    }
    assert_eq!(driver.gpu.encode_broken_rules().unwrap().len(), 11);
    session.close(&[input], &[output]);
}

#[test]
fn what_is_left_when_a_session_goes_is_told() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let (input, output) = session.buffers();
    let pitch = session.fill(input, &picture(0), WIDTH as usize);
    session.encode((input, pitch), output, 0, 0).unwrap();
    let left = [
        "1 x picture not read",
        "1 x input buffer not destroyed",
        "1 x bitstream buffer not destroyed",
        "1 x end of the stream not told",
    ];
    let told = driver.gpu.encode_leftovers().unwrap();
    assert_eq!(told[0], "1 x session not destroyed");
    assert_eq!(told[1..], left);
    assert_eq!(driver.destroy(session.handle), OK);
    driver.broke(
        &left.map(|left| format!("nvEncDestroyEncoder: {left}")).each_ref().map(String::as_str),
    );
}

#[test]
fn every_call_of_a_session_can_be_planned_to_fail_once() {
    const CALLS: [&str; 12] = [
        "nvEncOpenEncodeSessionEx",
        "nvEncGetEncodePresetConfigEx",
        "nvEncInitializeEncoder",
        "nvEncCreateInputBuffer",
        "nvEncCreateBitstreamBuffer",
        "nvEncLockInputBuffer",
        "nvEncUnlockInputBuffer",
        "nvEncEncodePicture",
        "nvEncLockBitstream",
        "nvEncUnlockBitstream",
        "nvEncDestroyInputBuffer",
        "nvEncDestroyEncoder",
    ];
    /// Does all of it, and whatever fails once more.
    fn through(driver: &Driver) -> u32 {
        let mut failed = 0;
        let mut again = |work: &mut dyn FnMut() -> Answer| {
            if let Err(status) = work() {
                failed = status;
                work().unwrap();
            }
        };
        let mut handle = none();
        again(&mut || driver.open().map(|opened| handle = opened));
        let session = Session { driver, handle, setup: Setup::h264() };
        again(&mut || session.preset(&mut preset()));
        again(&mut || Setup::h264().initialize(driver, handle));
        let (mut input, mut output, mut pitch) = (none(), none(), 0);
        again(&mut || session.create_input(WIDTH, HEIGHT, NV12).map(|made| input = made));
        again(&mut || session.create_output().map(|made| output = made));
        again(&mut || session.lock_input(input, 0).map(|locked| pitch = locked.1 as u32));
        again(&mut || session.unlock_input(input));
        again(&mut || session.encode((input, pitch), output, 1, 0));
        again(&mut || session.lock(output, 0).map(drop));
        again(&mut || session.unlock(output));
        session.end().unwrap();
        again(&mut || session.destroy_input(input));
        again(&mut || session.destroy_output(output));
        again(&mut || driver.destroy(handle));
        failed
    }
    let driver = Driver::fresh();
    assert_eq!(through(&driver), 0);
    for (number, call) in CALLS.into_iter().enumerate() {
        let status = 0xdead + number as u32;
        driver.gpu.plan_encode(call, 1, 1, Effect::Status(status)).unwrap();
        assert_eq!(through(&driver), status, "{call}");
        assert_eq!(
            driver.logged(call).iter().filter(|line| **line == status.to_string()).count(),
            1
        );
    }
    driver.broke(&[]);
    assert!(driver.gpu.encode_leftovers().unwrap().is_empty());
    assert!(driver.gpu.plan_encode("nvEncNothing", 1, 1, Effect::Hang).is_err());
}

#[test]
fn what_sessions_do_not_use_is_not_implemented() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let statistics =
        entry!(driver, nvEncGetEncodeStats(session.handle => Handle, none() => Handle));
    assert_eq!(statistics, Err(22));
    assert_eq!(session.encode_with(|given| set!(given, encodePicFlags = END)), OK);
    assert_eq!(driver.destroy(session.handle), OK);
}

#[test]
fn streams_are_those_of_the_sessions_device() {
    let driver = Driver::fresh();
    let session = Session::new(&driver, Setup::h264());
    let set = |stream: Handle| {
        entry!(driver, nvEncSetIOCudaStreams(
            session.handle => Handle, stream => Handle, stream => Handle
        ))
    };
    assert_eq!(set(none()), INVALID_PTR);
    let mut stream = session.handle;
    assert_eq!(
        set((&raw mut stream).cast()),
        INVALID_PARAM,
        "a pointer to a stream, not any handle"
    );
    driver.broke(&[
        "nvEncSetIOCudaStreams: no stream",
        "nvEncSetIOCudaStreams: no stream of the session's device",
    ]);
    assert_eq!(session.encode_with(|given| set!(given, encodePicFlags = END)), OK);
    assert_eq!(driver.destroy(session.handle), OK);
}
