//! Regions of pictures as NVENC gets them: the map of quantiser steps of each codec, block by block, in
//! memory that stays until the picture is coded. The double checks both; no codec behind it follows a map.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::gpu::{PATIENCE, Raw, Rig, SETTINGS, SIZE};
use media::{
    Bitrate, EncodeError, EncodeOptions, FrameId, FrameRate, PixelFormat, Rect, RegionQuality,
    Regions, Size, Submitted,
};
use nearlight_encoder::{EncoderSettings, Wake};

const WITH_REGIONS: EncoderSettings = EncoderSettings { regions: true, ..SETTINGS };

fn region(x: u32, y: u32, width: u32, height: u32, steps: i8) -> RegionQuality {
    RegionQuality { rect: Rect { x, y, width, height }, steps }
}

/// The upper half coarser, and a small part of it finer.
fn regions() -> Regions {
    let upper = region(0, 0, u32::MAX, 96, 6);
    Regions::new(&[upper, region(100, 50, 30, 20, -12)]).unwrap()
}

/// The maps that the driver was given so far, as its log has them.
fn maps(rig: &Rig) -> Vec<String> {
    let calls = rig.calls("nvEncEncodePicture");
    let maps = calls.iter().filter_map(|line| line.split_once(" map="));
    maps.filter_map(|(_, rest)| rest.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_driver_gets_a_step_for_each_block() {
    // Macroblocks of 16, coding tree blocks of 32 and superblocks of 64 pixels, at two sizes.
    let rows = [
        (
            "nvenc-h264",
            16,
            ["0*240", "6*66,-12*3,6*17,-12*3,6*31,0*120", "6*54,-12*3,6*13,-12*3,6*23,0*32"],
        ),
        (
            "nvenc-h265",
            32,
            ["0*60", "6*13,-12*2,6*8,-12*2,6*5,0*30", "6*11,-12*2,6*6,-12*2,6*3,0*8"],
        ),
        ("nvenc-av1", 64, ["0*15", "30*1,-60*2,30*3,-60*2,30*2,0*5", "30*1,-60*2,30*2,-60*2,30*1"]),
    ];
    for (name, edge, [none, some, smaller]) in rows {
        let rig = Rig::new();
        let mut run = rig.open(name, &WITH_REGIONS).unwrap();
        assert_eq!(run.encoder.capabilities().regions, Some(edge));
        let options = EncodeOptions { regions: regions(), ..EncodeOptions::default() };
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
        run.code(&picture.picture()).unwrap();
        run.code_with(&picture.picture(), options).unwrap();
        run.code(&picture.picture()).unwrap();
        run.encoder.set_rate(Bitrate::from_mbps(2), FrameRate::fps(60)).unwrap();
        run.code_with(&picture.picture(), options).unwrap();
        let size = Size::new(256, 128);
        run.encoder.resize(size).unwrap();
        let picture = Raw::new(PixelFormat::Nv12, size, 1);
        run.code_with(&picture.picture(), options).unwrap();
        assert_eq!(maps(&rig), [none, some, none, some, smaller], "{name}");
        let set_up = [rig.calls("nvEncInitializeEncoder"), rig.calls("nvEncReconfigureEncoder")];
        assert_eq!(set_up.each_ref().map(Vec::len), [1, 2]);
        // `NV_ENC_QP_MAP_DELTA`.
        assert!(set_up.iter().flatten().all(|line| line.contains(" qpmap=2 ")), "{set_up:?}");
        drop(run);
        rig.assert_clean();
    }
}

#[test]
fn without_being_asked_for_there_are_none() {
    let rig = Rig::new();
    for name in ["nvenc-h264", "nvenc-h265", "nvenc-av1"] {
        let mut run = rig.open(name, &SETTINGS).unwrap();
        assert_eq!(run.encoder.capabilities().regions, None);
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
        run.code(&picture.picture()).unwrap();
        let options = EncodeOptions { regions: regions(), ..EncodeOptions::default() };
        let refused = run.code_with(&picture.picture(), options);
        let Err(EncodeError::Refused(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(name) && reason.contains("regions"), "{reason}");
        run.code(&picture.picture()).unwrap();
    }
    assert_eq!(maps(&rig), ["none"; 6]);
    let set_up = rig.calls("nvEncInitializeEncoder");
    assert!(set_up.iter().all(|line| line.contains(" qpmap=0 ")), "{set_up:?}");
    rig.assert_clean();
}

/// Each of the pictures in the encoder has a map of its own: the double looks at them when it codes.
#[test]
fn maps_of_pictures_on_their_way_stay_as_they_were() {
    let rig = Rig::new();
    let (sender, woken) = mpsc::sync_channel(64);
    let wake = Wake::new(move || {
        // Whoever waited may be gone while the encoder ends.
        let _ = sender.try_send(());
    });
    let mut encoder = rig.candidate("nvenc-h265").start(&WITH_REGIONS, &wake).unwrap();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    // Two rounds, so that each map is drawn over another one.
    for round in 0..2_i8 {
        rig.gpu.plan_encode("nvEncLockBitstream", 1, 1, testkit::Effect::Hang).unwrap();
        for number in 0..4_i8 {
            let whole = [region(0, 0, SIZE.width, SIZE.height, number + 4 * round - 3)];
            let regions = Regions::new(&whole).unwrap();
            let options = EncodeOptions { regions, ..EncodeOptions::default() };
            let frame = FrameId((round * 4 + number) as u64);
            let submitted = encoder.encode(frame, &picture.picture(), options);
            assert!(matches!(submitted, Ok(Submitted::Later)), "{submitted:?}");
        }
        for _ in 0..4 {
            let waited = Instant::now();
            while woken.recv_timeout(Duration::from_millis(10)).is_err() {
                assert!(waited.elapsed() < PATIENCE, "no unit came");
                // The second thread may begin to hang only now.
                rig.gpu.release_encode().unwrap();
            }
            encoder.poll().unwrap().unwrap();
        }
    }
    let expected: Vec<_> = (-3..5).map(|steps| format!("{steps}*60")).collect();
    assert_eq!(maps(&rig), expected);
    drop(encoder);
    rig.assert_clean();
}
