//! What NVENC's streams are made of and say of themselves: slices, parameter sets, colours, and pictures
//! within what the device codes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::{Raw, Rig, SETTINGS, SIZE, text, word};
use common::{Picture as Scene, decode, psnr};
use media::{ColorDescription, EncodeError, EncodeOptions, Picture, PixelFormat, Size, UnitKind};
use nearlight_encoder::h264::{Sps, nals};
use nearlight_encoder::{EncoderSettings, OpenError};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_CAPS as Cap;
use openh264::decoder::Decoder;

const CODECS: [&str; 3] = ["nvenc-h264", "nvenc-h265", "nvenc-av1"];

/// One call waits for each picture, however long the device takes and however many slices there are, where
/// the device cannot tell of them one by one.
#[test]
fn a_picture_of_slices_is_waited_for_once() {
    for (name, codec) in CODECS.into_iter().zip(["h264", "hevc", "av1"]) {
        let rig = Rig::new();
        // AV1 has tiles, which are never read one by one.
        if codec != "av1" {
            let cap = Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK as u32;
            rig.gpu.encode_cap(codec, cap, 0).unwrap();
        }
        let size = Size::new(640, 384);
        let settings = EncoderSettings { size, largest: size, slices: 4, ..SETTINGS };
        let mut run = rig.open(name, &settings).unwrap();
        rig.gpu.encode_delay(3_000).unwrap();
        let line = rig.calls("nvEncInitializeEncoder").remove(0);
        // Split over several engines as without slices: H.264 never is.
        let split = if name == "nvenc-h264" { "15" } else { "0" };
        let words = ["slices", "subframe", "offsets", "split"].map(|key| word(&line, key));
        assert_eq!(words, ["4", "0", "0", split], "{name}");
        let mut decoder = Decoder::new().unwrap();
        for time in 0..4 {
            let scene = Scene::scene(size, time);
            let unit = run.code(&Picture::Cpu(scene.image())).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, time == 0);
            if name == "nvenc-h264" {
                let slices = nals(&unit.data).filter(|nal| nal.kind().is_slice()).count();
                assert_eq!(slices, 4);
                let (luma, _) = psnr(&scene, &decode(&mut decoder, &unit.data));
                assert!(luma > 28.0, "{luma} dB");
            } else {
                let what = if name == "nvenc-av1" { "tile" } else { "slice" };
                for number in 0..4 {
                    assert_eq!(text(&unit).matches(&format!("{what}={number} ")).count(), 1);
                }
            }
        }
        assert_eq!(rig.calls("nvEncLockBitstream").len(), 4, "{name}");
        drop(run);
        rig.assert_clean();
    }
}

/// No decoder could begin with it, so it is no keyframe to send, and the next candidate takes over.
#[test]
fn a_keyframe_without_parameter_sets_is_not_sent() {
    let first = ["a sequence parameter set", "a video parameter set", "a sequence header"];
    for (name, missing) in CODECS.into_iter().zip(first) {
        let rig = Rig::new();
        let mut run = rig.open(name, &SETTINGS).unwrap();
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
        assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
        rig.gpu.encode_parameter_sets(false).unwrap();
        assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta, "it needs none");
        match run.code_with(&picture.picture(), EncodeOptions::keyframe(true)) {
            Err(EncodeError::Fatal(reason)) => {
                assert_eq!(reason, format!("it is a keyframe without {missing}"), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        drop(run);
        rig.assert_clean();
    }
}

/// Primaries, transfer, matrix and range in the numbers of ITU-T H.273.
#[test]
fn the_colours_of_a_session_reach_the_driver_in_every_codec() {
    let sdr = (ColorDescription::BT709_LIMITED, "1/1/1/0");
    let hdr10 = (ColorDescription::BT2020_PQ_LIMITED, "9/16/9/0");
    let rows = [
        ("nvenc-h264", PixelFormat::Nv12, sdr),
        ("nvenc-h265", PixelFormat::Nv12, sdr),
        ("nvenc-h265", PixelFormat::Yuv444, sdr),
        ("nvenc-h265", PixelFormat::P010, hdr10),
        ("nvenc-h265", PixelFormat::Yuv444P16, hdr10),
        ("nvenc-av1", PixelFormat::Nv12, sdr),
        ("nvenc-av1", PixelFormat::P010, hdr10),
        // In 8 bits: H.264 has no 10 in this SDK, and whoever opens it says what pictures have.
        ("nvenc-h264", PixelFormat::Nv12, hdr10),
    ];
    for (name, format, (color, expected)) in rows {
        let rig = Rig::new();
        let mut run = rig.open(name, &EncoderSettings { format, color, ..SETTINGS }).unwrap();
        let line = rig.calls("nvEncInitializeEncoder").remove(0);
        assert_eq!(word(&line, "colours"), expected, "{name} {format:?}");
        let unit = run.code(&Raw::new(format, SIZE, 0).picture()).unwrap();
        if name == "nvenc-h264" {
            let sps = Sps::parse(nals(&unit.data).next().unwrap().bytes()).unwrap();
            let signal = sps.vui.unwrap().signal.unwrap();
            let told = signal.colour.unwrap();
            let numbers = [told.primaries, told.transfer, told.matrix];
            let [primaries, transfer, matrix] = numbers.map(|number| number.to_string());
            let range = u8::from(signal.full_range);
            assert_eq!(format!("{primaries}/{transfer}/{matrix}/{range}"), expected);
        }
        drop(run);
        rig.assert_clean();
    }
}

#[test]
fn more_macroblocks_than_the_device_codes_are_refused_by_their_number() {
    let rig = Rig::new();
    let sized = |width, height| {
        let size = Size::new(width, height);
        EncoderSettings { size, largest: size, ..SETTINGS }
    };
    match rig.open("nvenc-h264", &sized(4096, 2320)) {
        Err(OpenError::Refused(reason)) => {
            assert_eq!(reason, "4096x2320 has more macroblocks than 36864");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
    let mut run = rig.open("nvenc-h264", &sized(4096, 2304)).unwrap();
    match run.encoder.resize(Size::new(2320, 4096)) {
        Err(EncodeError::Refused(reason)) => {
            assert_eq!(reason, "2320x4096 has more macroblocks than 36864");
        }
        other => panic!("{other:?}"),
    }
    // It has no room for both ways at once, and takes another session for each.
    run.encoder.resize(Size::new(2304, 4096)).unwrap();
    let sessions = rig.calls("nvEncInitializeEncoder");
    let room: Vec<_> = sessions.iter().map(|line| word(line, "largest")).collect();
    assert_eq!(room, ["4096x2304", "2304x4096"]);
    drop(run);
    rig.assert_clean();
}
