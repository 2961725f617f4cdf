//! NVENC's encoders against a driver that checks every call: what is coded, what is asked of the
//! driver, and what a change costs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::gpu::{Binary, PATIENCE, Raw, Rig, Run, SETTINGS, SIZE, Slot, Timeline};
use common::{Picture as Scene, decode, psnr, structure};
use media::barcode::Strip;
use media::{
    Bitrate, Codec, ColorDescription, DeviceId, EncodeError, EncodeOptions, Encoded, FrameId,
    FrameRate, Picture, PixelFormat, RateChange, Recovery, RecoveryMeans, Size, Submitted, Turn,
    UnitKind,
};
use nearlight_encoder::h264::{Sps, nals};
use nearlight_encoder::{EncoderSettings, OpenError, Resilience, Speed, Wake};
use openh264::decoder::Decoder;

const KEY: EncodeOptions = EncodeOptions::keyframe(true);

fn hevc(settings: &EncoderSettings) -> (Rig, Run) {
    let rig = Rig::new();
    let run = rig.open("nvenc-h265", settings).unwrap();
    (rig, run)
}

/// What the double puts into the units of codecs that it does not have.
fn text(unit: &Encoded) -> String {
    String::from_utf8_lossy(&unit.data).into_owned()
}

/// What it says of the picture's content.
fn digest(text: &str) -> Option<String> {
    text.split("sha256=").nth(1).map(|text| text[..64].to_owned())
}

/// A word of a line of the log, such as `size` of `size=320x192`.
fn word<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split(' ').filter_map(|word| word.split_once('='));
    words.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no {name} in {line}")).1
}

#[test]
fn h264_decodes_to_the_source() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let capabilities = run.encoder.capabilities().clone();
    assert!(capabilities.hardware && capabilities.bounded_frames);
    assert_eq!(capabilities.name, "nvenc-h264");
    assert_eq!(capabilities.depth, 4);
    assert_eq!(capabilities.shares, Some(DeviceId(*b"nearlight-fake-0")));
    assert_eq!(capabilities.recovery, RecoveryMeans::LongTerm);
    let mut decoder = Decoder::new().unwrap();
    for time in 0..8 {
        let scene = Scene::scene(SIZE, time);
        let unit = run.code(&Picture::Cpu(scene.image())).unwrap();
        let expected = if time == 0 { UnitKind::Key } else { UnitKind::Delta };
        assert_eq!(unit.kind, expected);
        assert!(unit.quantiser.is_some());
        let (luma, chroma) = psnr(&scene, &decode(&mut decoder, &unit.data));
        assert!(luma > 30.0 && chroma > 30.0, "picture {time}: {luma} dB, {chroma} dB");
        if time == 0 {
            assert_eq!(structure(Codec::H264, &unit.data), ["SPS", "PPS", "IDR"]);
            let sps = Sps::parse(nals(&unit.data).next().unwrap().bytes()).unwrap();
            assert!(sps.gaps_in_frame_num_allowed, "lost pictures may be left out");
            let vui = sps.vui.unwrap();
            assert_eq!(vui.bitstream_restriction.unwrap().max_num_reorder_frames, 0);
        }
    }
    drop(run);
    rig.assert_clean();
}

#[test]
fn every_codec_depth_and_chroma_is_set_up_as_asked() {
    let rows = [
        ("nvenc-h264", PixelFormat::Nv12, "codec=h264", "profile=baseline", "8", "420", "refs=5"),
        ("nvenc-h264", PixelFormat::Yuv444, "codec=h264", "profile=high444", "8", "444", "refs=5"),
        ("nvenc-h265", PixelFormat::Nv12, "codec=hevc", "profile=main", "8", "420", "refs=5"),
        ("nvenc-h265", PixelFormat::P010, "codec=hevc", "profile=main10", "10", "420", "refs=5"),
        ("nvenc-h265", PixelFormat::Yuv444, "codec=hevc", "profile=frext", "8", "444", "refs=5"),
        (
            "nvenc-h265",
            PixelFormat::Yuv444P16,
            "codec=hevc",
            "profile=frext",
            "10",
            "444",
            "refs=5",
        ),
        ("nvenc-av1", PixelFormat::Nv12, "codec=av1", "profile=main", "8", "420", "refs=8"),
        ("nvenc-av1", PixelFormat::P010, "codec=av1", "profile=main", "10", "420", "refs=8"),
    ];
    for (name, format, codec, profile, depth, chroma, references) in rows {
        let rig = Rig::new();
        let settings = EncoderSettings { format, ..SETTINGS };
        let mut run = rig.open(name, &settings).unwrap();
        let [line] = &rig.calls("nvEncInitializeEncoder")[..] else { panic!("{name}") };
        let depth = format!("depth={depth}");
        let chroma = format!("chroma={chroma}");
        let expected = [
            codec,
            profile,
            &depth,
            &chroma,
            references,
            "preset=p1",
            "tuning=3",
            "size=320x192",
            "rate=60/1",
            "bitrate=4000000",
            "max=4000000",
            "vbv=66667",
            "delay=66667",
            "rc=2",
            "multipass=1",
            "gop=4294967295",
            "idr=4294967295",
            "slices=1",
            "l0=1",
            "repeat=1",
            "subframe=0",
            "refresh=0/0",
        ];
        for part in expected {
            assert!(
                line.split(' ').any(|word| word == part),
                "{name} {format:?}: {part} in {line}"
            );
        }
        // The double has no H.264 of this kind, nor its parameter sets.
        if (name, format) == ("nvenc-h264", PixelFormat::Yuv444) {
            drop(run);
            rig.assert_clean();
            continue;
        }
        let mut texts = Vec::new();
        for number in 0..3 {
            let unit = run.code(&Raw::new(format, SIZE, number).picture()).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, number == 0);
            texts.push(text(&unit));
        }
        if (name, format) != ("nvenc-h264", PixelFormat::Nv12) {
            // The same pixels from device memory are the same picture.
            let mut slot = Slot::new(format, SIZE);
            slot.draw(&Raw::new(format, SIZE, 2));
            let shared = text(&run.code(&slot.picture()).unwrap());
            assert!(digest(&shared).is_some());
            assert_eq!(digest(&texts[2]), digest(&shared), "{name} {format:?}");
            assert_ne!(digest(&texts[1]), digest(&shared), "{name} {format:?}");
        }
        drop(run);
        rig.assert_clean();
    }
}

#[test]
fn colours_and_waves_and_speed_reach_the_driver() {
    let settings = EncoderSettings {
        format: PixelFormat::P010,
        color: ColorDescription::BT2020_PQ_LIMITED,
        resilience: Resilience::IntraRefresh { units: 4 },
        speed: Speed::P4,
        vbv_percent: 200,
        ..SETTINGS
    };
    let (rig, mut run) = hevc(&settings);
    assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::Wave { units: 4 });
    let line = rig.calls("nvEncInitializeEncoder").remove(0);
    assert_eq!((word(&line, "preset"), word(&line, "refresh")), ("p4", "2147483647/4"));
    assert_eq!(word(&line, "vbv"), "133333");
    let picture = Raw::new(PixelFormat::P010, SIZE, 0);
    for _ in 0..3 {
        run.code(&picture.picture()).unwrap();
    }
    let lost = FrameId(1)..=FrameId(1);
    let wave = Recovery::Wave { units: 4, base: FrameId(0) };
    assert_eq!(run.encoder.forget(lost.clone()), wave);
    assert_eq!(run.encoder.forget(lost), Recovery::Nothing, "told twice");
    let kinds: Vec<_> = (0..5).map(|_| run.code(&picture.picture()).unwrap().kind).collect();
    let delta = UnitKind::Delta;
    assert_eq!(kinds, [delta, delta, delta, UnitKind::Recovery, delta]);
    let waves: Vec<_> = rig
        .calls("nvEncEncodePicture")
        .iter()
        .map(|line| word(line, "refresh").to_owned())
        .collect();
    assert_eq!(waves, ["0", "0", "0", "4", "0", "0", "0", "0"]);
    drop(run);
    rig.assert_clean();
}

#[test]
fn what_the_device_or_the_sdk_lacks_is_refused_by_its_name() {
    let rig = Rig::new();
    let refused = |name, settings: &EncoderSettings| match rig.open(name, settings) {
        Err(OpenError::Refused(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{name} opened"),
    };
    let ten = EncoderSettings { format: PixelFormat::P010, ..SETTINGS };
    assert_eq!(refused("nvenc-h264", &ten), "H.264 with 10 bits is not in SDK 12.1");
    let full = EncoderSettings { format: PixelFormat::Yuv444, ..SETTINGS };
    assert_eq!(refused("nvenc-av1", &full), "AV1 with 4:4:4 is not in SDK 12.1");
    let rgb = EncoderSettings { format: PixelFormat::Bgrx8, ..SETTINGS };
    assert_eq!(refused("nvenc-h264", &rgb), "NVENC does not take Bgrx8");
    let small = EncoderSettings { size: Size::new(64, 64), ..SETTINGS };
    assert_eq!(refused("nvenc-h264", &small), "64x64 is too small, it takes 145x49 at least");
    rig.assert_clean();
}

#[test]
fn a_session_is_opened_on_the_device_that_draws() {
    let (first, drawing) = (DeviceId([1; 16]), DeviceId([2; 16]));
    let devices = |rig: &Rig| {
        rig.gpu.cuda_other_device(first).unwrap();
        rig.gpu.cuda_device(drawing).unwrap();
    };
    // Asked for nothing, the first is tried, which has no context; then the second.
    let retained = |rig: &Rig| {
        let log = rig.gpu.cuda_log().unwrap();
        log.into_iter().filter(|line| line.starts_with("cuDevicePrimaryCtxRetain")).count()
    };
    for (device, tried) in [(None, 2), (Some(first), 2), (Some(drawing), 1)] {
        let rig = Rig::new();
        devices(&rig);
        let run = rig.open("nvenc-h264", &EncoderSettings { device, ..SETTINGS }).unwrap();
        assert_eq!(run.encoder.capabilities().shares, Some(drawing));
        assert_eq!(retained(&rig), tried, "{device:?}");
        drop(run);
        rig.assert_clean();
    }
}

#[test]
fn a_device_that_draws_elsewhere_is_no_reason_to_do_without() {
    let rig = Rig::new();
    let elsewhere = EncoderSettings { device: Some(DeviceId([7; 16])), ..SETTINGS };
    let mut run = rig.open("nvenc-h264", &elsewhere).unwrap();
    assert_eq!(run.encoder.capabilities().shares, Some(DeviceId(*b"nearlight-fake-0")));
    run.code(&Raw::new(PixelFormat::Nv12, SIZE, 0).picture()).unwrap();
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_new_rate_costs_no_keyframe() {
    let rig = Rig::new();
    let mut run = rig.h264();
    for step in 0..6_u64 {
        let unit = run.code(&Raw::new(PixelFormat::Nv12, SIZE, step as usize).picture()).unwrap();
        assert_eq!(unit.kind == UnitKind::Key, step == 0);
        let bitrate = Bitrate::from_mbps(2 + step);
        let change = run.encoder.set_rate(bitrate, FrameRate::fps(30 + step as u32)).unwrap();
        assert_eq!(change, RateChange::Seamless);
    }
    let lines = rig.calls("nvEncReconfigureEncoder");
    assert_eq!(lines.len(), 6);
    let last = &lines[5];
    assert_eq!((word(last, "reset"), word(last, "idr")), ("0", "0"));
    assert_eq!(
        (word(last, "bitrate"), word(last, "rate"), word(last, "vbv")),
        ("7000000", "35/1", "200000")
    );
    let impossible = run.encoder.set_rate(Bitrate::from_bps(0), FrameRate::fps(60));
    assert!(matches!(impossible, Err(EncodeError::Refused(_))));
    run.code(&Raw::new(PixelFormat::Nv12, SIZE, 9).picture()).unwrap();
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_keyframe_is_the_next_unit() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    for number in 0..6 {
        let options = if number == 3 { KEY } else { EncodeOptions::default() };
        let unit = run.code_with(&picture.picture(), options).unwrap();
        assert_eq!(unit.kind == UnitKind::Key, number == 0 || number == 3, "{number}");
        if unit.kind == UnitKind::Key {
            assert_eq!(structure(Codec::H264, &unit.data), ["SPS", "PPS", "IDR"]);
        }
    }
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_new_size_costs_one_keyframe_and_no_session() {
    let rig = Rig::new();
    let largest = Size::new(640, 384);
    let mut run = rig.open("nvenc-h264", &EncoderSettings { largest, ..SETTINGS }).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut slots: Vec<Slot> = Vec::new();
    for (step, size) in [SIZE, largest, Size::new(426, 240), largest, SIZE].into_iter().enumerate()
    {
        run.encoder.resize(size).unwrap();
        for number in 0..4 {
            let scene = Scene::scene(size, step + number);
            // Every other picture from device memory.
            let unit = if number % 2 == 0 {
                run.code(&Picture::Cpu(scene.image())).unwrap()
            } else {
                let mut slot = Slot::new(PixelFormat::Nv12, size);
                slot.draw_scene(&scene);
                slots.push(slot);
                run.code(&slots.last().unwrap().picture()).unwrap()
            };
            assert_eq!(unit.kind == UnitKind::Key, number == 0, "{size}, unit {number}");
            let (luma, chroma) = psnr(&scene, &decode(&mut decoder, &unit.data));
            assert!(luma > 28.0 && chroma > 28.0, "{size}: {luma} dB, {chroma} dB");
        }
    }
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
    let resets = rig.calls("nvEncReconfigureEncoder");
    assert_eq!(resets.len(), 4);
    assert!(resets.iter().all(|line| word(line, "reset") == "1" && word(line, "idr") == "1"));

    // Beyond what was made room for, another session takes over.
    let larger = Size::new(800, 448);
    run.encoder.resize(larger).unwrap();
    for number in 0..2 {
        let scene = Scene::scene(larger, number);
        let unit = run.code(&Picture::Cpu(scene.image())).unwrap();
        assert_eq!(unit.kind == UnitKind::Key, number == 0);
        let (luma, _) = psnr(&scene, &decode(&mut decoder, &unit.data));
        assert!(luma > 28.0, "{luma} dB");
    }
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 2);
    assert!(matches!(run.encoder.resize(Size::new(9_000, 64)), Err(EncodeError::Refused(_))));
    assert!(matches!(run.encoder.resize(Size::new(321, 193)), Err(EncodeError::Refused(_))));
    run.code(&Picture::Cpu(Scene::scene(larger, 3).image())).unwrap();
    drop(run);
    rig.assert_clean();
}

#[test]
fn pictures_of_another_layout_take_another_session() {
    let (rig, mut run) = hevc(&SETTINGS);
    let formats = run.encoder.capabilities().formats.clone();
    assert_eq!(formats.len(), 4);
    for (number, format) in formats.into_iter().enumerate() {
        for picture in 0..2 {
            let unit = run.code(&Raw::new(format, SIZE, picture).picture()).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, picture == 0);
        }
        assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), number + 1);
    }
    let refused = run.code(&Raw::new(PixelFormat::Rgba8, SIZE, 0).picture());
    assert!(matches!(refused, Err(EncodeError::Refused(_))));
    drop(run);
    rig.assert_clean();
}

fn back_to(base: u64) -> Recovery {
    Recovery::Invalidated { base: FrameId(base) }
}

#[test]
fn all_pictures_since_the_first_lost_one_are_taken_out_of_the_references() {
    let (rig, mut run) = hevc(&EncoderSettings { long_term: false, ..SETTINGS });
    assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::References { reach: 4 });
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    let code = |run: &mut Run, count| {
        (0..count).map(|_| run.code(&picture.picture()).unwrap().kind).collect::<Vec<_>>()
    };
    code(&mut run, 10);
    assert_eq!(run.encoder.forget(FrameId(7)..=FrameId(8)), back_to(6));
    assert_eq!(run.encoder.forget(FrameId(8)..=FrameId(8)), Recovery::Nothing);
    assert_eq!(code(&mut run, 3), [UnitKind::Recovery, UnitKind::Delta, UnitKind::Delta]);
    // 7 to 9 still lie in the buffer of five.
    assert_eq!(run.encoder.forget(FrameId(11)..=FrameId(20)), back_to(10));
    assert_eq!(code(&mut run, 2), [UnitKind::Recovery, UnitKind::Delta]);
    assert_eq!(run.encoder.forget(FrameId(10)..=FrameId(10)), Recovery::KeyframeNeeded);
    let stamps: Vec<_> = rig
        .calls("nvEncInvalidateRefFrames")
        .iter()
        .map(|line| word(line, "ts").parse::<u64>().unwrap())
        .collect();
    assert_eq!(stamps, [7, 8, 9, 11, 12]);
    let key = run.code_with(&picture.picture(), KEY).unwrap();
    assert_eq!(key.kind, UnitKind::Key);
    assert_eq!(run.encoder.forget(FrameId(9)..=FrameId(14)), Recovery::Nothing);
    let refers: Vec<_> = rig
        .calls("nvEncLockBitstream")
        .iter()
        .map(|line| word(line, "refers").to_owned())
        .collect();
    assert_eq!(refers[9..], ["last", "older", "last", "last", "older", "last", "key"]);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_loss_beyond_the_buffer_goes_back_to_what_was_acknowledged() {
    let (rig, mut run) = hevc(&SETTINGS);
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    let code = |run: &mut Run, count| {
        (0..count).map(|_| run.code(&picture.picture()).unwrap().kind).collect::<Vec<_>>()
    };
    code(&mut run, 12);
    run.encoder.acknowledge(FrameId(9));
    // The buffer of five has room for three beside the long-term references.
    assert_eq!(run.encoder.forget(FrameId(10)..=FrameId(11)), back_to(9));
    assert_eq!(code(&mut run, 2), [UnitKind::Recovery, UnitKind::Delta]);
    assert_eq!(run.encoder.forget(FrameId(12)..=FrameId(12)), back_to(8));
    assert_eq!(code(&mut run, 2), [UnitKind::Recovery, UnitKind::Delta]);
    drop(run);
    let stamps = rig.calls("nvEncInvalidateRefFrames");
    let stamps: Vec<_> = stamps.iter().map(|line| word(line, "ts")).collect();
    assert_eq!(stamps, ["10", "11"], "the second loss takes all that is in the buffer");
    let told = |name: &str, key: &str| {
        let calls = rig.calls(name);
        let pictures = calls.iter().filter(|line| line.contains("ts="));
        pictures.map(|line| word(line, key).to_owned()).collect::<Vec<_>>()
    };
    let marks = told("nvEncEncodePicture", "mark");
    let marked = marks.iter().enumerate().filter(|(_, mark)| *mark != "none");
    let marked: Vec<_> = marked.map(|(frame, mark)| (frame, mark.as_str())).collect();
    assert_eq!(marked, [(0, "0"), (8, "1"), (14, "0")]);
    assert_eq!(told("nvEncEncodePicture", "ltr")[13..], ["0", "2", "0"]);
    assert_eq!(
        told("nvEncLockBitstream", "refers")[11..],
        ["last", "older", "last", "long-term", "last"]
    );
    rig.assert_clean();
}

/// The SDK lets a driver do with long-term references as it likes; that is seen, and costs a keyframe.
#[test]
fn a_driver_that_does_not_go_back_is_not_asked_to_again() {
    let (rig, mut run) = hevc(&SETTINGS);
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    for _ in 0..12 {
        run.code(&picture.picture()).unwrap();
    }
    rig.gpu.encode_goes_back(false).unwrap();
    assert_eq!(run.encoder.forget(FrameId(3)..=FrameId(11)), back_to(0));
    match run.code(&picture.picture()) {
        Err(EncodeError::Busy(reason)) => assert!(reason.contains("long-term"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::References { reach: 4 });
    let sessions = rig.calls("nvEncInitializeEncoder");
    assert_eq!(sessions.iter().map(|line| word(line, "ltr")).collect::<Vec<_>>(), ["2", "0"]);
    drop(run);
    rig.assert_clean();
}

#[test]
fn slices_are_read_as_they_come_and_add_up() {
    for name in ["nvenc-h264", "nvenc-h265", "nvenc-av1"] {
        let rig = Rig::new();
        let size = Size::new(640, 384);
        let settings = EncoderSettings { size, largest: size, slices: 4, ..SETTINGS };
        let mut run = rig.open(name, &settings).unwrap();
        let line = rig.calls("nvEncInitializeEncoder").remove(0);
        assert_eq!((word(&line, "subframe"), word(&line, "offsets")), ("1", "1"));
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
        let locks = rig.calls("nvEncLockBitstream");
        let partial = locks.iter().filter(|line| line.contains("whole=0")).count();
        assert_eq!(partial, 3 * 4, "{name}");
        drop(run);
        rig.assert_clean();
    }
}

#[test]
fn the_ninth_session_is_told_as_busy_with_those_that_are_open() {
    let rig = Rig::new();
    let mut runs: Vec<_> = (0..8).map(|_| rig.h264()).collect();
    match rig.open("nvenc-h265", &SETTINGS) {
        Err(OpenError::Busy { reason, open }) => {
            assert_eq!(open, 8);
            assert!(reason.contains("NvEncOpenEncodeSessionEx answered OUT_OF_MEMORY"), "{reason}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a ninth session"),
    }
    // None of the others minds, and one that ends makes room.
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    for run in &mut runs {
        run.code(&picture.picture()).unwrap();
    }
    runs.pop();
    runs.push(rig.open("nvenc-h265", &SETTINGS).unwrap());
    drop(runs);
    rig.assert_clean();
}

/// An encoder whose units are not waited for.
fn asynchronous(rig: &Rig, name: &str) -> (Box<dyn media::Encoder>, mpsc::Receiver<()>) {
    // Far more than pictures may be in it at once.
    let (sender, woken) = mpsc::sync_channel(64);
    let wake = Wake::new(move || {
        // Whoever waited may be gone while the encoder ends.
        let _ = sender.try_send(());
    });
    ((rig.candidate(name).open)(&SETTINGS, &wake).unwrap(), woken)
}

#[test]
fn four_pictures_are_in_it_and_a_fifth_is_skipped() {
    let rig = Rig::new();
    let (mut encoder, woken) = asynchronous(&rig, "nvenc-h265");
    let pictures: Vec<_> = (0..6).map(|n| Raw::new(PixelFormat::Nv12, SIZE, n)).collect();
    rig.gpu.plan_encode("nvEncLockBitstream", 1, 1, testkit::Effect::Hang).unwrap();
    let options = EncodeOptions::default();
    for round in 0..3_u64 {
        for (number, picture) in pictures.iter().enumerate().take(5) {
            let frame = FrameId(round * 10 + number as u64);
            let outcome = encoder.encode(frame, &picture.picture(), options);
            match outcome {
                Ok(Submitted::Later) => assert!(number < 4),
                Err(EncodeError::Busy(reason)) => {
                    assert_eq!((number, reason.as_str()), (4, "4 pictures are in it"));
                }
                other => panic!("{other:?}"),
            }
        }
        if round == 0 {
            assert!(encoder.poll().is_none(), "nothing is coded yet");
        }
        for number in 0..4 {
            let mut woke = false;
            let waited = Instant::now();
            while !woke && waited.elapsed() < PATIENCE {
                // The second thread may begin to hang only now.
                rig.gpu.release_encode().unwrap();
                woke = woken.recv_timeout(Duration::from_millis(10)).is_ok();
            }
            assert!(woke, "no unit came");
            let unit = encoder.poll().unwrap().unwrap();
            assert!(text(&unit).contains(&format!(" ts={} ", round * 10 + number)));
        }
        assert!(encoder.poll().is_none());
    }
    assert!(matches!(
        encoder.encode(FrameId(3), &pictures[0].picture(), options),
        Err(EncodeError::Refused(_))
    ));
    drop(encoder);
    rig.assert_clean();
}

#[test]
fn it_can_be_dropped_in_every_state() {
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    let options = EncodeOptions::default();
    for name in ["nvenc-h264", "nvenc-h265"] {
        let rig = Rig::new();
        drop(asynchronous(&rig, name));
        for (pictures, polled) in [(1, 0), (4, 0), (4, 1), (4, 4)] {
            let (mut encoder, woken) = asynchronous(&rig, name);
            let mut slots: Vec<_> =
                (0..pictures).map(|_| Slot::new(PixelFormat::Nv12, SIZE)).collect();
            for (number, slot) in slots.iter_mut().enumerate() {
                slot.draw(&picture);
                encoder.encode(FrameId(number as u64), &slot.picture(), options).unwrap();
            }
            for _ in 0..polled {
                woken.recv_timeout(PATIENCE).unwrap();
                encoder.poll().unwrap().unwrap();
            }
            drop(encoder);
        }
        let (mut encoder, _) = asynchronous(&rig, name);
        encoder.encode(FrameId(0), &picture.picture(), options).unwrap();
        encoder.resize(Size::new(256, 128)).unwrap();
        drop(encoder);
        rig.assert_clean();
    }
}

#[test]
fn pictures_in_device_memory_are_read_where_they_lie() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let mut slots: Vec<_> = (0..3).map(|_| Slot::new(PixelFormat::Nv12, SIZE)).collect();
    let mut decoder = Decoder::new().unwrap();
    for time in 0..12 {
        let scene = Scene::scene(SIZE, time);
        let slot = &mut slots[time % 3];
        slot.draw_scene(&scene);
        let unit = run.code(&slot.picture()).unwrap();
        let (luma, chroma) = psnr(&scene, &decode(&mut decoder, &unit.data));
        assert!(luma > 30.0 && chroma > 30.0, "picture {time}: {luma} dB, {chroma} dB");
        // The double overwrites what it has read: both sides have one memory.
        assert!(slot.bytes()[..SIZE.width as usize].iter().all(|&byte| byte == 0xa5));
    }
    // Once for each slot, and no copy by way of the CPU.
    assert_eq!(rig.calls("nvEncRegisterResource").len(), 3);
    assert_eq!(rig.calls("nvEncMapInputResource").len(), 12);
    for call in ["nvEncCreateInputBuffer", "nvEncLockInputBuffer"] {
        assert_eq!(rig.calls(call).len(), 0);
    }
    let cuda = rig.gpu.cuda_log().unwrap();
    assert!(!cuda.iter().any(|line| line.starts_with("cuMemcpy")));
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_picture_that_is_not_complete_is_waited_for_on_the_device() {
    let rig = Rig::new();
    let (mut encoder, woken) = asynchronous(&rig, "nvenc-h265");
    assert!(encoder.capabilities().waits_on_device);
    // Of more rings than semaphores are kept.
    for ring in 0..7 {
        let mut timeline = Timeline::new();
        let mut slot = Slot::new(PixelFormat::Nv12, SIZE);
        for value in 1..=2 {
            let number = ring * 2 + value as usize;
            let mut image = slot.image();
            image.ready = Some(timeline.at(value));
            let frame = FrameId(number as u64);
            let given = encoder.encode(frame, &Picture::Shared(image), KEY).unwrap();
            assert!(matches!(given, Submitted::Later));
            assert!(encoder.poll().is_none(), "it is not there before its signal");
            // Drawn after it was given, and what is coded.
            let picture = Raw::new(PixelFormat::Nv12, SIZE, number);
            slot.draw(&picture);
            timeline.signal(value);
            woken.recv_timeout(PATIENCE).unwrap();
            let unit = encoder.poll().unwrap().unwrap();
            let mut other = rig.open("nvenc-h265", &SETTINGS).unwrap();
            let wanted = other.code(&picture.picture()).unwrap();
            assert_eq!(digest(&text(&unit)), digest(&text(&wanted)), "picture {number}");
            assert!(digest(&text(&unit)).is_some());
        }
    }
    let log = rig.gpu.cuda_log().unwrap();
    let count = |call| log.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!(count("cuImportExternalSemaphore"), 7, "once for each ring");
    assert_eq!(count("cuDestroyExternalSemaphore"), 2, "those that were used longest ago");
    drop(encoder);
    rig.assert_clean();
}

#[test]
fn a_binary_semaphore_is_waited_for_once_a_picture_and_free_when_its_unit_is_out() {
    let rig = Rig::new();
    let (mut encoder, woken) = asynchronous(&rig, "nvenc-h265");
    let mut slots: Vec<_> =
        (0..3).map(|_| (Slot::new(PixelFormat::Nv12, SIZE), Binary::new())).collect();
    for number in 0..9 {
        let (slot, binary) = &mut slots[number % 3];
        binary.submit();
        let mut image = slot.image();
        image.ready = Some(binary.ready());
        let frame = FrameId(number as u64);
        let given = encoder.encode(frame, &Picture::Shared(image), KEY).unwrap();
        assert!(matches!(given, Submitted::Later));
        assert!(encoder.poll().is_none(), "it is not there before its signal");
        assert_eq!(binary.turns().now(), Turn::Taken);
        // Drawn after it was given, and what is coded.
        let picture = Raw::new(PixelFormat::Nv12, SIZE, number);
        slot.draw(&picture);
        binary.signal();
        woken.recv_timeout(PATIENCE).unwrap();
        let unit = encoder.poll().unwrap().unwrap();
        assert_eq!(binary.turns().now(), Turn::Free, "the source may signal it again");
        let mut other = rig.open("nvenc-h265", &SETTINGS).unwrap();
        let wanted = other.code(&picture.picture()).unwrap();
        assert_eq!(digest(&text(&unit)), digest(&text(&wanted)), "picture {number}");
        assert!(digest(&text(&unit)).is_some());
    }
    let log = rig.gpu.cuda_log().unwrap();
    let count = |call| log.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!(count("cuImportExternalSemaphore"), 3, "once for each slot");
    assert_eq!(count("cuWaitExternalSemaphoresAsync"), 9, "once for each picture");
    drop(encoder);
    rig.assert_clean();
}

#[test]
fn a_binary_signal_is_for_one_wait_whatever_fails() {
    // The driver is busy: the picture is given once more, and waited for once.
    let rig = Rig::new();
    let (mut encoder, woken) = asynchronous(&rig, "nvenc-h265");
    let (slot, mut binary) = (Slot::new(PixelFormat::Nv12, SIZE), Binary::new());
    binary.submit();
    let mut image = slot.image();
    image.ready = Some(binary.ready());
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 1, testkit::Effect::Status(18)).unwrap();
    encoder.encode(FrameId(0), &Picture::Shared(image), KEY).unwrap();
    binary.signal();
    woken.recv_timeout(PATIENCE).unwrap();
    encoder.poll().unwrap().unwrap();
    assert_eq!(binary.turns().now(), Turn::Free);
    let log = rig.gpu.cuda_log().unwrap();
    let waits = log.iter().filter(|line| line.starts_with("cuWaitExternalSemaphoresAsync"));
    assert_eq!(waits.count(), 1);
    // Somebody else has the wait: this picture is left out, and the next one is not.
    binary.submit();
    assert!(binary.turns().take());
    let mut image = slot.image();
    image.ready = Some(binary.ready());
    let outcome = encoder.encode(FrameId(1), &Picture::Shared(image), KEY);
    assert!(matches!(outcome, Err(EncodeError::Busy(_))), "{outcome:?}");
    encoder.encode(FrameId(2), &slot.picture(), KEY).unwrap();
    woken.recv_timeout(PATIENCE).unwrap();
    encoder.poll().unwrap().unwrap();
    // A wait that fails, and pictures that cannot be given, leave it taken: the source signals another.
    let mut other = Binary::new();
    other.submit();
    let mut image = slot.image();
    image.ready = Some(other.ready());
    let call = "cuWaitExternalSemaphoresAsync";
    rig.gpu.plan_cuda(call, 1, 1, testkit::Effect::Status(999)).unwrap();
    let outcome = encoder.encode(FrameId(3), &Picture::Shared(image), KEY);
    assert!(matches!(outcome, Err(EncodeError::Refused(_))), "{outcome:?}");
    assert_eq!(other.turns().now(), Turn::Taken);
    drop(encoder);
    rig.assert_clean();
}

/// Workers name their threads `enc-…`; the second one of an encoder is to be found beside it.
#[test]
fn the_thread_that_waits_is_named_after_the_one_that_codes() {
    let codes = std::thread::Builder::new().name("enc-named".into()).spawn(|| {
        let rig = Rig::new();
        let mut run = rig.h264();
        run.code(&Raw::new(PixelFormat::Nv12, SIZE, 0).picture()).unwrap();
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        // Others may end meanwhile.
        let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm")).ok();
        let names: Vec<_> = threads.filter_map(|thread| name(thread.unwrap().path())).collect();
        assert!(names.iter().any(|name| name.trim_end() == "nvo-named"), "{names:?}");
        drop(run);
        rig.assert_clean();
    });
    codes.unwrap().join().unwrap();
}

#[test]
fn where_the_device_cannot_wait_the_caller_does() {
    let timeline = Timeline::new();
    let slot = Slot::new(PixelFormat::Nv12, SIZE);
    let refused = |rig: &Rig, strip| {
        let mut run = rig.h264();
        let waits = run.encoder.capabilities().waits_on_device;
        let mut image = slot.image();
        image.ready = Some(timeline.at(1));
        let options = EncodeOptions { strip, ..EncodeOptions::default() };
        match run.code_with(&Picture::Shared(image), options) {
            Err(EncodeError::Refused(reason)) => assert_eq!(reason, "it is not complete"),
            other => panic!("{other:?}"),
        }
        // Complete, it is taken.
        run.code(&slot.picture()).unwrap();
        drop(run);
        rig.assert_clean();
        waits
    };
    let rig = Rig::new();
    assert!(refused(&rig, Some(Strip { frame: 1, input: 2 })), "a strip is drawn at once");
    for missing in ["cuStreamCreate", "cuImportExternalSemaphore", "cuWaitExternalSemaphoresAsync"]
    {
        assert!(!refused(&Rig::without(&[missing]), None), "{missing}");
    }
    let rig = Rig::new();
    rig.gpu.omit("nvEncSetIOCudaStreams").unwrap();
    assert!(!refused(&rig, None));
    for call in ["nvEncSetIOCudaStreams", "cuStreamCreate"] {
        let rig = Rig::new();
        match call.starts_with("cu") {
            true => rig.gpu.plan_cuda(call, 1, 1, testkit::Effect::Status(999)).unwrap(),
            false => rig.gpu.plan_encode(call, 1, 1, testkit::Effect::Status(20)).unwrap(),
        }
        assert!(!refused(&rig, None), "{call}");
    }
    // A semaphore that cannot be imported costs this picture alone.
    let rig = Rig::new();
    rig.gpu.plan_cuda("cuImportExternalSemaphore", 1, 1, testkit::Effect::Status(999)).unwrap();
    let mut run = rig.h264();
    let mut image = slot.image();
    image.ready = Some(timeline.at(1));
    let outcome = run.code(&Picture::Shared(image));
    assert!(matches!(outcome, Err(EncodeError::Refused(_))), "{outcome:?}");
    run.code(&slot.picture()).unwrap();
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_strip_is_drawn_wherever_the_picture_lies() {
    let size = Size::new(640, 384);
    let settings = EncoderSettings { size, largest: size, ..SETTINGS };
    let rig = Rig::new();
    let mut run = rig.open("nvenc-h264", &settings).unwrap();
    let mut decoder = Decoder::new().unwrap();
    let mut slot = Slot::new(PixelFormat::Nv12, size);
    for time in 0..4 {
        let scene = Scene::scene(size, time);
        slot.draw_scene(&scene);
        let strip = Strip { frame: 0x1200 + time as u16, input: 0x3400 };
        let options = EncodeOptions { strip: Some(strip), ..EncodeOptions::default() };
        let picture = if time % 2 == 0 { slot.picture() } else { Picture::Cpu(scene.image()) };
        let unit = run.code_with(&picture, options).unwrap();
        let decoded = decode(&mut decoder, &unit.data);
        assert_eq!(Strip::read_luma(&decoded.luma, decoded.stride), Some(strip));
    }
    drop(run);
    rig.assert_clean();
}

#[test]
fn memory_that_was_used_longest_ago_makes_room() {
    let (rig, mut run) = hevc(&SETTINGS);
    let mut slots: Vec<_> = (0..12).map(|_| Slot::new(PixelFormat::Nv12, SIZE)).collect();
    for number in (0..24).chain(20..24) {
        let slot = &mut slots[number % 12];
        slot.draw(&Raw::new(PixelFormat::Nv12, SIZE, number));
        run.code(&slot.picture()).unwrap();
    }
    let registered = rig.calls("nvEncRegisterResource").len();
    assert_eq!((registered, rig.calls("nvEncUnregisterResource").len()), (24, 16));
    drop(run);
    rig.assert_clean();
}

#[test]
fn shared_pictures_that_cannot_be_read_are_refused() {
    let (rig, mut run) = hevc(&SETTINGS);
    let slot = Slot::new(PixelFormat::Nv12, SIZE);
    let whole = slot.image();
    let refused = |run: &mut Run, image| match run.code(&Picture::Shared(image)) {
        Err(EncodeError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let mut image = whole.clone();
    image.planes[1].offset += 256;
    assert_eq!(refused(&mut run, image), "its planes do not follow one another");
    let mut image = whole.clone();
    image.planes.pop();
    assert_eq!(refused(&mut run, image), "1 planes of Nv12");
    let mut image = whole.clone();
    image.planes.clear();
    assert_eq!(refused(&mut run, image), "it has no planes");
    let mut image = whole.clone();
    image.planes.iter_mut().for_each(|plane| plane.offset += 1 << 40);
    assert!(refused(&mut run, image).starts_with("it ends at byte"));
    let mut image = whole.clone();
    image.planes.iter_mut().for_each(|plane| plane.stride = 318);
    image.planes[1].offset = 318 * 192;
    assert_eq!(refused(&mut run, image), "318 bytes from row to row");
    let mut image = whole.clone();
    image.size = Size::new(318, 192);
    assert_eq!(refused(&mut run, image), "its size is 318x192, not 320x192");
    let foreign = Slot::on(PixelFormat::Nv12, SIZE, DeviceId([1; 16]));
    assert_eq!(refused(&mut run, foreign.image()), "it lies on another device");
    let foreign = Arc::strong_count(foreign.memory());
    assert_eq!(foreign, 1, "nothing was kept of it");
    run.code(&Picture::Shared(whole)).unwrap();
    drop(run);
    rig.assert_clean();
}
