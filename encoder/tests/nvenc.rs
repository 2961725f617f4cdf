//! NVENC's encoders against a driver that checks every call: what is coded, what is asked of the
//! driver, and what a change costs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::{KEY, Raw, Rig, SETTINGS, SIZE, Slot, digest, hevc, text, word};
use common::{Picture as Scene, decode, psnr, structure};
use media::{
    Bitrate, Codec, ColorDescription, DeviceId, EncodeError, EncodeOptions, FrameId, FrameRate,
    Picture, PixelFormat, RateChange, Recovery, RecoveryMeans, Size, UnitKind,
};
use nearlight_encoder::h264::{Sps, nals};
use nearlight_encoder::{EncoderSettings, OpenError, Resilience, Speed};
use openh264::decoder::Decoder;

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

/// What it gives up in order to be opened anew another session may take.
#[test]
fn a_session_that_is_lost_to_others_in_a_change_is_told_as_such() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    run.code(&picture.picture()).unwrap();
    // Beyond what there is room for, and full by then.
    rig.gpu.encode_sessions(0).unwrap();
    match run.encoder.resize(Size::new(640, 384)) {
        Err(EncodeError::NoSession { reason, open }) => {
            assert_eq!(reason, "NvEncOpenEncodeSessionEx answered OUT_OF_MEMORY");
            assert_eq!(open, 0, "its own is gone");
        }
        other => panic!("{other:?}"),
    }
    drop(run);
    rig.assert_clean();
}

/// It has no room for the largest size, but for what it was opened with.
#[test]
fn a_device_of_few_macroblocks_shrinks_in_place_and_grows_back() {
    let rig = Rig::new();
    // MB_NUM_MAX: those of SIZE and no more.
    rig.gpu.encode_cap("h264", 31, 20 * 12).unwrap();
    let largest = Size::new(640, 384);
    let mut run = rig.open("nvenc-h264", &EncoderSettings { largest, ..SETTINGS }).unwrap();
    let small = Size::new(256, 128);
    for size in [SIZE, small, SIZE] {
        run.encoder.resize(size).unwrap();
        for number in 0..3 {
            let unit = run.code(&Raw::new(PixelFormat::Nv12, size, number).picture()).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, number == 0, "{size}, unit {number}");
            let bitrate = Bitrate::from_mbps(2 + number as u64);
            let change = run.encoder.set_rate(bitrate, FrameRate::fps(60)).unwrap();
            assert_eq!(change, RateChange::Seamless, "{size}, unit {number}");
        }
    }
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
    assert!(matches!(run.encoder.resize(largest), Err(EncodeError::Refused(_))));
    drop(run);
    rig.assert_clean();
}
