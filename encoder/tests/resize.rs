//! Pictures of another size in the middle of a session: the encoder follows, gives way to one that takes
//! them, or they are left out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::time::Duration;

use common::doubles::*;
use common::gpu::{self, Rig};
use common::viewer::Viewer;
use common::{Picture, decode, psnr};
use media::UnitKind::{Delta, Key};
use media::{EncodeOptions, Frame, FrameId, PictureKind, Recovery, Size, UnitKind};
use nearlight_encoder::{
    BlockingEncoder, Candidate, Command, EncoderSettings, Resilience, WorkerEvent, candidates,
};
use openh264::decoder::Decoder;

/// The least that the better encoder takes.
const LEAST: Size = Size::new(145, 49);
/// Below it.
const SMALL: Size = Size::new(64, 48);
/// Below what any here takes.
const TINY: Size = Size::new(8, 8);

const BETTER: (&str, Behaviour) = ("from-145x49", Behaviour::HasLeastSize(LEAST));
const OTHER: (&str, Behaviour) = ("from-32x32", Behaviour::HasLeastSize(Size::new(32, 32)));

/// What the worker told, a line each.
fn told(bench: &Bench) -> Vec<String> {
    let line = |event: WorkerEvent| match event {
        WorkerEvent::Opened(capabilities) => format!("opened {}", capabilities.name),
        WorkerEvent::PassedOver { name, reason, .. } => format!("{name}: {reason}"),
        WorkerEvent::SizeRefused { size, reason } => format!("none takes {size}: {reason}"),
        other => format!("{other:?}"),
    };
    bench.events.all().into_iter().map(line).collect()
}

fn calls_of(bench: &Bench, what: &str) -> usize {
    bench.calls.all().iter().filter(|call| call.contains(what)).count()
}

#[test]
fn a_size_that_the_encoder_refuses_goes_to_the_next_one_and_others_bring_it_back() {
    let mut bench = Bench::of(&[BETTER, OTHER]);
    for size in [SIZE, SIZE, SMALL, SMALL, Size::new(32, 32), Size::new(32, 32), SIZE, SIZE] {
        bench.submit_sized(size);
    }
    let units = bench.sink.units.all();
    let widths: Vec<_> = units.iter().map(|unit| unit.data.len()).collect();
    assert_eq!(widths, [640, 640, 64, 64, 32, 32, 640, 640]);
    let kinds: Vec<_> = units.iter().map(|unit| unit.kind).collect();
    assert_eq!(kinds, [Key, Delta, Key, Delta, Key, Delta, Key, Delta]);
    assert_eq!(
        told(&bench),
        [
            "opened from-145x49",
            "from-145x49: 64x48 is too small, it takes 145x49 at least",
            "opened from-32x32",
            "from-145x49: it takes 145x49 to 4294967295x4294967295, not 32x32",
            "opened from-145x49",
        ]
    );
    assert_eq!(calls_of(&bench, " open "), 3);
    assert_eq!(calls_of(&bench, "refuses"), 1, "what it takes is known by then");
    assert_eq!(calls_of(&bench, "resize 32x32"), 1, "the other one follows in place");
    assert_eq!(bench.worker.stats().encoder, Some("from-145x49"));
    assert_eq!(bench.worker.stats().failed, 0);
    bench.end();
}

#[test]
fn what_was_scaled_does_not_move_by_whole_pixels() {
    let mut bench = Bench::of(&[BETTER, OTHER]);
    let between = Size::new(320, 192);
    for (size, scaled) in
        [(SIZE, false), (between, true), (SMALL, true), (SIZE, false), (between, false)]
    {
        let frame = bench.frame(|image| image.size = size);
        bench.worker.submit(Frame { scaled, ..frame });
        bench.settle();
    }
    let calls = bench.calls.all().into_iter();
    let of_sizes = |call: &String| call.contains(" open ") || call.starts_with("resize");
    assert_eq!(
        calls.filter(of_sizes).collect::<Vec<_>>(),
        [
            "from-145x49 open 5000",
            "resize 320x192 by parts of pixels",
            "from-32x32 open 5000 by parts of pixels",
            "from-145x49 open 5000",
            "resize 320x192",
        ]
    );
    bench.end();
}

#[test]
fn a_size_that_no_encoder_takes_is_told_once_and_nothing_else_changes() {
    let mut bench = Bench::of(&[BETTER, OTHER]);
    bench.submit();
    for _ in 0..3 {
        bench.submit_sized(TINY);
        bench.clock.advance(Duration::from_secs(60));
    }
    assert!(bench.worker.wants_refresh(), "the viewer has an old picture");
    bench.submit();
    bench.submit_sized(Size::new(16, 8));
    assert_eq!(bench.kinds(), [(0, Key), (4, Delta)]);
    let refused = |size| {
        format!(
            "none takes {size}: from-145x49: {size} is too small, it takes 145x49 at least; \
             from-32x32: {size} is too small, it takes 32x32 at least"
        )
    };
    let over = "SizeRefusalEnded".to_owned();
    let opened = "opened from-145x49".to_owned();
    assert_eq!(told(&bench), [opened, refused("8x8"), over, refused("16x8")]);
    assert_eq!(calls_of(&bench, "refuses 8x8"), 2, "each was asked once");
    assert_eq!(bench.worker.stats().failed, 4);
    // One that takes them may come with another viewer.
    let any = double("any", Behaviour::Works, &bench.calls);
    use_encoders(&bench, vec![any]);
    bench.submit_sized(TINY);
    assert_eq!(bench.kinds()[2..], [(6, Key)]);
    assert_eq!(told(&bench)[4..], ["SizeRefusalEnded", "opened any"]);
    bench.end();
}

fn use_encoders(bench: &Bench, encoders: Vec<Candidate>) {
    bench.worker.command(Command::UseEncoders { encoders, kind: PictureKind::NV12 }).unwrap();
}

#[test]
fn an_encoder_that_a_size_rules_out_did_not_break() {
    let mut bench = Bench::of(&[BETTER, OTHER]);
    bench.submit();
    bench.submit_sized(SMALL);
    let again = [BETTER, OTHER].map(|(name, what)| double(name, what, &bench.calls));
    use_encoders(&bench, again.to_vec());
    for size in [SMALL, SIZE] {
        bench.submit_sized(size);
    }
    let too_small = "from-145x49: 64x48 is too small, it takes 145x49 at least";
    assert_eq!(told(&bench)[3..], [too_small, "opened from-32x32", "opened from-145x49"]);
    assert_eq!(bench.kinds(), [(0, Key), (1, Key), (2, Key), (3, Key)]);
    bench.end();
}

#[test]
fn when_the_one_that_took_the_size_breaks_what_each_said_is_told() {
    let breaks = ("breaks", Behaviour::FailsAtFrame(2));
    let mut bench =
        Bench::of(&[BETTER, breaks, ("from-96x96", Behaviour::HasLeastSize(Size::new(96, 96)))]);
    bench.submit();
    bench.submit_sized(SMALL);
    let frame = bench.frame(|image| image.size = SMALL);
    bench.worker.submit(frame);
    wait_until("the thread ends", || bench.worker.has_ended());
    let all = "breaks: the double broke; \
               from-145x49: 64x48 is too small, it takes 145x49 at least; \
               from-96x96: 64x48 is too small, it takes 96x96 at least";
    assert_eq!(bench.events.all().last(), Some(&WorkerEvent::Failed(all.into())));
}

/// NVENC codes in hardware what is not too small for it, and software the rest.
#[test]
fn nvenc_gives_way_below_its_least_size_and_comes_back() {
    let rig = Rig::new();
    let mut encoders = vec![rig.candidate("nvenc-h264").clone()];
    encoders.extend(candidates().into_iter().filter(|candidate| candidate.name == "openh264"));
    let mut bench = Bench::with(encoders, Log::new(), false);
    let odd = Size::new(321, 193);
    for size in [SIZE, SIZE, SMALL, SMALL, odd, odd, SMALL, SIZE, SIZE] {
        bench.submit_sized(size);
    }
    let kinds = [(0, Key), (1, Delta), (2, Key), (3, Delta), (6, Delta), (7, Key), (8, Delta)];
    assert_eq!(bench.kinds(), kinds);
    let mut decoder = Decoder::new().unwrap();
    for unit in bench.sink.units.all() {
        let size = if (2..7).contains(&unit.frame.0) { SMALL } else { SIZE };
        assert_eq!(decode(&mut decoder, &unit.data).size, size, "picture {}", unit.frame.0);
    }
    assert_eq!(
        told(&bench),
        [
            "opened nvenc-h264",
            "nvenc-h264: 64x48 is too small, it takes 145x49 at least",
            "opened openh264",
            "none takes 321x193: nvenc-h264: 321x193 is odd, 4:2:0 takes even sizes; \
             openh264: 4:2:0 needs an even size, not 321x193",
            "SizeRefusalEnded",
            "opened nvenc-h264",
        ]
    );
    assert_eq!(bench.worker.stats().failed, 2);
    bench.end();
    rig.assert_clean();
}

/// Admission learns that the device is full, and the encoder is not taken for broken.
#[test]
fn an_encoder_without_a_session_for_a_size_is_told_as_full() {
    let rig = Rig::new();
    let mut encoders = vec![rig.candidate("nvenc-h264").clone()];
    encoders.extend(candidates().into_iter().filter(|candidate| candidate.name == "openh264"));
    let mut bench = Bench::with(encoders, Log::new(), false);
    let full = "NvEncOpenEncodeSessionEx answered OUT_OF_MEMORY";
    bench.submit_sized(SIZE);
    bench.submit_sized(SMALL);
    // It is to come back, and others have what it gave up.
    rig.gpu.encode_sessions(0).unwrap();
    bench.submit_sized(SIZE);
    let reason = format!("busy: {full}; 0 of its sessions are open here");
    let passed_over = WorkerEvent::PassedOver { name: "nvenc-h264", reason, open: Some(0) };
    assert_eq!(bench.events.all().last(), Some(&passed_over));
    assert_eq!(bench.worker.stats().encoder, Some("openh264"));
    rig.gpu.encode_sessions(1).unwrap();
    bench.submit_sized(Size::new(320, 192));
    assert_eq!(bench.worker.stats().encoder, Some("nvenc-h264"), "it is asked at every size");
    // Here it has one, and gives it up for a larger one.
    rig.gpu.encode_sessions(0).unwrap();
    bench.submit_sized(Size::new(800, 448));
    let said = bench.events.wait_for(6);
    let none = WorkerEvent::NoSession { name: "nvenc-h264", reason: full.into(), open: 0 };
    assert_eq!(said[5], none, "{said:?}");
    bench.submit_sized(Size::new(800, 448));
    assert_eq!(bench.worker.stats().encoder, Some("openh264"));
    bench.end();
    rig.assert_clean();
}

/// What refuses a size for good is asked once, what failed in passing again and again, but not for each picture.
#[test]
fn an_encoder_that_failed_in_passing_is_asked_again_for_a_size_that_no_other_takes() {
    let rig = Rig::new();
    let log = Log::new();
    let large = double("from-400x300", Behaviour::HasLeastSize(Size::new(400, 300)), &log);
    let encoders = vec![large, rig.candidate("nvenc-h264").clone()];
    rig.gpu.encode_sessions(0).unwrap();
    let mut bench = Bench::with(encoders, log, false);
    bench.submit_sized(SIZE);
    let size = Size::new(320, 192);
    let asked = || rig.calls("nvEncOpenEncodeSessionEx").len();
    let mut wait = |millis, sessions| {
        rig.gpu.encode_sessions(sessions).unwrap();
        bench.clock.advance(Duration::from_millis(millis));
        bench.submit_sized(size);
        asked()
    };
    assert_eq!([wait(0, 0), wait(999, 0), wait(1, 0), wait(999, 1)], [1, 1, 2, 2]);
    assert_eq!(wait(1, 1), 3);
    bench.submit_sized(size);
    assert_eq!(bench.kinds(), [(0, Key), (5, Key), (6, Delta)]);
    let too_small = "from-400x300: 320x192 is too small, it takes 400x300 at least";
    let full =
        "busy: NvEncOpenEncodeSessionEx answered OUT_OF_MEMORY; 0 of its sessions are open here";
    assert_eq!(
        told(&bench),
        [
            "opened from-400x300",
            &format!("none takes 320x192: {too_small}; nvenc-h264: {full}"),
            "SizeRefusalEnded",
            too_small,
            "opened nvenc-h264",
        ]
    );
    assert_eq!(calls_of(&bench, "refuses 320x192"), 1, "it says so for good");
    bench.end();
    rig.assert_clean();
}

/// What a wave under way was to heal the keyframe has healed, and waves of the new size heal what is lost there.
#[test]
fn a_resize_within_a_wave_costs_one_keyframe_and_ends_it() {
    let rig = Rig::new();
    let (mut ran, mut doubles) = (0, 0);
    for present in rig.all_candidates() {
        for units in [4, 30] {
            let resilience = Resilience::IntraRefresh { units };
            let settings = EncoderSettings { resilience, ..gpu::SETTINGS };
            let Ok(mut encoder) =
                BlockingEncoder::open(&present.candidate, &settings, gpu::PATIENCE)
            else {
                continue;
            };
            let label = format!("{}, waves of {units}", present.label());
            let mut viewer = present.codes_pictures().then(|| Viewer::new(present.candidate.codec));
            let mut number = 0;
            let mut code = |encoder: &mut BlockingEncoder, size| {
                let scene = Picture::scene(size, number as usize);
                let picture = media::Picture::Cpu(scene.image());
                let unit = encoder.encode(FrameId(number), &picture, EncodeOptions::default());
                let unit = unit.unwrap();
                if let Some(viewer) = &mut viewer {
                    let (luma, _) = psnr(&scene, &viewer.decode(&unit.data));
                    assert!(luma > 28.0, "{label}: picture {number} has {luma} dB");
                }
                number += 1;
                unit.kind
            };
            let (before, after) = (gpu::SIZE, Size::new(256, 128));
            let kinds = [(); 3].map(|()| code(&mut encoder, before));
            assert_eq!(kinds, [Key, Delta, Delta], "{label}");
            let recovery = encoder.forget(FrameId(2)..=FrameId(2));
            assert!(matches!(recovery, Recovery::Wave { .. }), "{label}: {recovery:?}");
            assert_eq!([(); 2].map(|()| code(&mut encoder, before)), [Delta; 2], "{label}");
            encoder.resize(after).unwrap();
            assert_eq!(code(&mut encoder, after), Key, "{label}");
            assert_eq!([(); 40].map(|()| code(&mut encoder, after)), [Delta; 40], "{label}");
            let Recovery::Wave { units, .. } = encoder.forget(FrameId(45)..=FrameId(45)) else {
                panic!("{label} begins no wave");
            };
            for left in (0..units).rev() {
                let expected = if left == 0 { UnitKind::Recovery } else { Delta };
                assert_eq!(code(&mut encoder, after), expected, "{label}: {left} before the last");
            }
            ran += 1;
            doubles += u32::from(present.double);
        }
    }
    // H.265 and AV1: what codes H.264 behind the double has no waves.
    assert!(ran >= doubles && doubles == 4, "{ran} ran, {doubles} of them doubles");
    rig.assert_clean();
}
