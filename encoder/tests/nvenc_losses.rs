//! What NVENC's encoders answer losses with: older references, and those that are kept for long.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::{KEY, Raw, Rig, Run, SETTINGS, SIZE, hevc, word};
use common::{Picture as Scene, decode, psnr};
use media::{EncodeError, FrameId, Picture, PixelFormat, Recovery, RecoveryMeans, UnitKind};
use nearlight_encoder::h264::{NalKind, Pps, SliceHeader, Sps, nals};
use nearlight_encoder::{EncoderSettings, Resilience};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_CAPS as Cap;
use openh264::decoder::Decoder;

const WAVES: Resilience = Resilience::IntraRefresh { units: 10 };

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

/// `ltrNumFrames` is "not necessarily honored": the answer to a mark is read, before a loss needs it.
#[test]
fn a_driver_that_does_not_keep_a_reference_is_found_out_by_its_answer() {
    for keeps in [0, 8] {
        let rig = Rig::new();
        rig.gpu.encode_marks(keeps > 0).unwrap();
        let mut run = rig.open("nvenc-h264", &SETTINGS).unwrap();
        assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::LongTerm);
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
        for _ in 0..keeps {
            run.code(&picture.picture()).unwrap();
        }
        // The next picture to be kept.
        rig.gpu.encode_marks(false).unwrap();
        match run.code(&picture.picture()) {
            Err(EncodeError::Busy(reason)) => assert!(reason.contains("long-term"), "{reason}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
        for _ in 0..12 {
            assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
        }
        let means = RecoveryMeans::References { reach: 4 };
        assert_eq!(run.encoder.capabilities().recovery, means, "what is claimed is what it does");
        assert_eq!(rig.calls("nvEncInitializeEncoder").len(), 2);
        drop(run);
        rig.assert_clean();
    }
}

/// The driver chooses how many numbers pictures of H.264 have. Few of them come around within a gap, which decoders do
/// not make good.
#[test]
fn pictures_are_numbered_with_more_bits_than_the_driver_has() {
    for (slices, resilience) in
        [(1, Resilience::References), (3, Resilience::References), (1, WAVES)]
    {
        let rig = Rig::new();
        rig.gpu.encode_few_numbers(true).unwrap();
        // What is behind the double makes no waves; what stands in the parameter sets is the same.
        rig.gpu.encode_cap("h264", Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH as u32, 1).unwrap();
        let settings = EncoderSettings { slices, resilience, ..SETTINGS };
        let mut run = rig.open("nvenc-h264", &settings).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let (mut sps, mut pps) = (None, None);
        // More than the 128 numbers of the driver's.
        for number in 0..140_u32 {
            let scene = Scene::scene(SIZE, number as usize);
            let unit = run.code(&Picture::Cpu(scene.image())).unwrap();
            let mut seen = 0;
            for nal in nals(&unit.data) {
                match (nal.kind(), &sps, &pps) {
                    (NalKind::Sps, ..) => sps = Some(Sps::parse(nal.bytes()).unwrap()),
                    (NalKind::Pps, ..) => pps = Some(Pps::parse(nal.bytes()).unwrap()),
                    (kind, Some(sps), Some(pps)) if kind.is_slice() => {
                        let slice = SliceHeader::parse(nal.bytes(), sps, pps).unwrap();
                        assert_eq!(slice.frame_num, number);
                        seen += 1;
                    }
                    _ => panic!("{:?}", nal.kind()),
                }
            }
            assert_eq!(seen, slices);
            let (luma, _) = psnr(&scene, &decode(&mut decoder, &unit.data));
            assert!(luma > 28.0, "picture {number}: {luma} dB");
        }
        let sps = sps.unwrap();
        assert_eq!((sps.log2_max_frame_num_minus4 + 4, sps.gaps_in_frame_num_allowed), (15, true));
        drop(run);
        rig.assert_clean();
    }
}

/// A driver that has dropped a reference may say so when it is to be used.
#[test]
fn a_driver_that_refuses_to_go_back_codes_a_keyframe_and_is_not_given_up() {
    let (rig, mut run) = hevc(&SETTINGS);
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    for _ in 0..12 {
        run.code(&picture.picture()).unwrap();
    }
    assert_eq!(run.encoder.forget(FrameId(3)..=FrameId(11)), back_to(0));
    // INVALID_PARAM.
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 1, testkit::Effect::Status(8)).unwrap();
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::References { reach: 4 });
    drop(run);
    rig.assert_clean();
}
