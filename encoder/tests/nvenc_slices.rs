//! Slices that go on while NVENC codes the rest of their picture. The double is held back and let go, so that
//! what is proven of the order does not depend on how fast anything is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::doubles::{Bench, Log, SIZE, SinkDouble, wait_until};
use common::gpu::{PATIENCE, Raw, Rig, SETTINGS, word};
use common::{Picture as Scene, decode, psnr};
use media::{
    AccessUnit, Codec, EncodeOptions, FrameId, Part, Picture, PixelFormat, Size, Submitted,
    UnitKind,
};
use nearlight_encoder::h264::nals;
use nearlight_encoder::{Candidate, Command, EncoderSettings, Wake};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_CAPS as Cap;
use openh264::decoder::Decoder;

const SLICES: u8 = 3;
const FIRST: Part = Part { first: true, last: false };
/// `NV_ENC_ERR_OUT_OF_MEMORY`, after which a session is opened anew.
const OUT_OF_MEMORY: u32 = 10;

/// The candidate, opened with slices.
fn sliced(rig: &Rig, name: &str) -> Candidate {
    let candidate = rig.candidate(name).clone();
    let inner = Arc::clone(&candidate.open);
    let open = Arc::new(move |settings: &EncoderSettings, wake: &_| {
        inner(&EncoderSettings { slices: SLICES, ..*settings }, wake)
    });
    Candidate { open, ..candidate }
}

fn bench(rig: &Rig, name: &str) -> Bench {
    Bench::with(vec![sliced(rig, name)], Log::new(), false)
}

/// Hands a picture in of which the device codes one slice and no more; yields that slice as it came to the
/// sink.
fn first_part(rig: &Rig, bench: &mut Bench, scene: &Scene) -> AccessUnit {
    rig.gpu.encode_slices(1).unwrap();
    let before = bench.sink.units.all().len();
    let frame = bench.frame(|image| {
        image.stride = scene.stride;
        image.data = Arc::new(vec![scene.luma.clone(), scene.chroma.clone()]);
    });
    let id = frame.id;
    bench.worker.submit(frame);
    let first = bench.sink.units.wait_for(before + 1).remove(before);
    assert_eq!((first.frame, first.part), (id, FIRST));
    first
}

/// The device codes the rest too.
fn let_go(rig: &Rig) {
    rig.gpu.encode_slices(u32::MAX).unwrap();
}

/// Between looks for slices the thread sleeps, which is no time of the driver's.
#[test]
fn sleep_between_looks_is_told_apart_from_the_drivers_time() {
    let rig = Rig::new();
    let settings = EncoderSettings { slices: SLICES, ..SETTINGS };
    let mut encoder = rig.candidate("nvenc-h264").start(&settings, &Wake::new(|| ())).unwrap();
    rig.gpu.encode_slices(1).unwrap();
    let began = Instant::now();
    let picture = Scene::scene(settings.size, 0);
    let picture = Picture::Cpu(picture.image());
    let submitted = encoder.encode(FrameId(0), &picture, EncodeOptions::keyframe(true)).unwrap();
    assert!(matches!(submitted, Submitted::Later));
    let mut next = || loop {
        if let Some(unit) = encoder.poll() {
            break unit.unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "no part came");
        std::thread::yield_now();
    };
    let first = next();
    assert_eq!((first.part, first.library, first.waited), (FIRST, Duration::ZERO, Duration::ZERO));
    let calls = rig.gpu.encode_calls().unwrap();
    // Each look locks the picture, and unlocks it. After two seconds it is waited for without a look.
    let looks = || (rig.gpu.encode_calls().unwrap() - calls) / 2;
    let is_late = || began.elapsed() > Duration::from_secs(2);
    wait_until("twenty looks", || looks() > 20 || is_late());
    let slept = Duration::from_micros(50) * looks().saturating_sub(1) as u32;
    let_go(&rig);
    let last = loop {
        let part = next();
        if part.part.last {
            break part;
        }
    };
    assert!(last.waited >= slept, "{:?} and {slept:?}", last.waited);
    assert!(last.library > Duration::ZERO);
    assert!(last.library + last.waited <= began.elapsed(), "nothing counts twice");
}

#[test]
fn slices_are_sent_before_the_last_one_is_coded_and_are_one_picture() {
    for name in ["nvenc-h264", "nvenc-h265"] {
        let rig = Rig::new();
        let mut bench = bench(&rig, name);
        let mut decoder = Decoder::new().unwrap();
        let (mut seen, mut bytes) = (0, 0);
        for number in 0..4 {
            let scene = Scene::scene(SIZE, number as usize);
            let first = first_part(&rig, &mut bench, &scene);
            assert_eq!(bench.worker.stats().encoded, number, "it is not coded yet");
            let_go(&rig);
            let whole = || bench.sink.units.all().iter().skip(seen).any(|unit| unit.part.last);
            wait_until("the picture is whole", whole);
            let parts = bench.sink.units.all().split_off(seen);
            seen += parts.len();
            let kind = if number == 0 { UnitKind::Key } else { UnitKind::Delta };
            for (at, part) in parts.iter().enumerate() {
                let expected = Part { first: at == 0, last: at + 1 == parts.len() };
                assert_eq!((part.part, part.kind, part.frame), (expected, kind, first.frame));
                assert_eq!(part.refers_to, first.refers_to);
                assert!(part.data.starts_with(&[0, 0, 0, 1]));
            }
            let data = parts.iter().flat_map(|part| part.data.to_vec()).collect::<Vec<_>>();
            bytes += data.len() as u64;
            if name == "nvenc-h264" {
                let slices = |data: &[u8]| nals(data).filter(|nal| nal.kind().is_slice()).count();
                assert_eq!((slices(&first.data), slices(&data)), (1, SLICES.into()));
                let (luma, chroma) = psnr(&scene, &decode(&mut decoder, &data));
                assert!(luma > 28.0 && chroma > 28.0, "{luma} dB, {chroma} dB");
            }
        }
        bench.settle();
        let stats = bench.worker.stats();
        assert_eq!((stats.encoded, stats.keyframes, stats.bytes), (4, 1, bytes));
        bench.end();
        rig.assert_clean();
    }
}

/// Whatever is read when, it is the same stream, which the device without the means for it proves.
#[test]
fn parts_make_up_what_is_read_whole_elsewhere() {
    for (name, codec) in [("nvenc-h264", "h264"), ("nvenc-h265", "hevc")] {
        let size = Size::new(640, 384);
        let settings = EncoderSettings { size, largest: size, slices: 4, ..SETTINGS };
        let mut streams = [1, 0].map(|able| {
            let rig = Rig::new();
            let cap = Cap::NV_ENC_CAPS_SUPPORT_SUBFRAME_READBACK as u32;
            rig.gpu.encode_cap(codec, cap, able).unwrap();
            let mut run = rig.open(name, &settings).unwrap();
            let line = rig.calls("nvEncInitializeEncoder").remove(0);
            let able = able.to_string();
            assert_eq!((word(&line, "subframe"), word(&line, "offsets")), (&able[..], &able[..]));
            let code = |time| {
                let scene = Scene::scene(size, time);
                run.code(&Picture::Cpu(scene.image())).unwrap().data
            };
            let units: Vec<_> = (0..5).map(code).collect();
            drop(run);
            rig.assert_clean();
            units
        });
        let [parts, whole] = &mut streams;
        assert!(parts == whole, "{name}");
    }
}

#[test]
fn slices_go_on_in_another_size_and_with_fewer_than_asked_for() {
    let rig = Rig::new();
    let (small, large) = (Size::new(320, 64), Size::new(640, 384));
    let settings = EncoderSettings { size: large, largest: large, slices: 4, ..SETTINGS };
    let mut run = rig.open("nvenc-h265", &settings).unwrap();
    for size in [large, small, large] {
        run.encoder.resize(size).unwrap();
        for number in 0..3 {
            let unit = run.code(&Raw::new(PixelFormat::Nv12, size, number).picture()).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, number == 0);
            let text = String::from_utf8_lossy(&unit.data).into_owned();
            let slices = if size == small { 1 } else { 4 };
            assert_eq!(text.matches("slice=").count(), slices, "{size}");
        }
    }
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_picture_that_fails_after_its_first_slice_is_lost_and_a_keyframe_follows() {
    let rig = Rig::new();
    let mut bench = bench(&rig, "nvenc-h264");
    let mut decoder = Decoder::new().unwrap();
    bench.submit();
    let sent = bench.sink.units.all().len();
    first_part(&rig, &mut bench, &Scene::scene(SIZE, 1));
    // Whether it is looked for or waited for by now.
    rig.gpu.encode_breaks(OUT_OF_MEMORY).unwrap();
    let_go(&rig);
    bench.settle();
    assert_eq!(bench.sink.units.all().len(), sent + 1, "nothing more of it");
    assert_eq!((bench.worker.stats().encoded, bench.worker.stats().skipped), (1, 1));
    wait_until("the loss shows", || bench.worker.wants_refresh());
    // A keyframe on request has its interval.
    bench.clock.advance(common::doubles::INTERVAL);
    let scene = Scene::scene(SIZE, 2);
    let first = first_part(&rig, &mut bench, &scene);
    assert_eq!((first.kind, first.refers_to), (UnitKind::Key, None));
    let_go(&rig);
    bench.settle();
    let parts = bench.sink.units.all().split_off(sent + 1);
    let data = parts.iter().flat_map(|part| part.data.to_vec()).collect::<Vec<_>>();
    let (luma, _) = psnr(&scene, &decode(&mut decoder, &data));
    assert!(luma > 28.0, "{luma} dB");
    bench.end();
    rig.assert_clean();
}

#[test]
fn of_a_picture_of_which_a_part_is_refused_nothing_more_is_sent() {
    let rig = Rig::new();
    let mut bench = bench(&rig, "nvenc-h264");
    bench.submit();
    first_part(&rig, &mut bench, &Scene::scene(SIZE, 1));
    let sent = bench.sink.units.all().len();
    bench.sink.refuse.store(true, Ordering::SeqCst);
    let_go(&rig);
    // It is counted with the part, and over when its last one was read.
    wait_until("it is given back", || bench.returned.load(Ordering::SeqCst) == 2);
    bench.settle();
    assert_eq!(bench.sink.units.all().len(), sent);
    let stats = bench.worker.stats();
    assert_eq!((stats.encoded, stats.refused, stats.failed), (1, 1, 0));
    bench.sink.refuse.store(false, Ordering::SeqCst);
    bench.clock.advance(common::doubles::INTERVAL);
    let next = first_part(&rig, &mut bench, &Scene::scene(SIZE, 2));
    assert_ne!(next.kind, UnitKind::Delta, "it does without what was lost");
    let_go(&rig);
    bench.settle();
    bench.end();
    rig.assert_clean();
}

#[test]
fn a_viewer_who_comes_within_a_picture_begins_with_a_keyframe() {
    let rig = Rig::new();
    let mut bench = bench(&rig, "nvenc-h264");
    bench.submit();
    first_part(&rig, &mut bench, &Scene::scene(SIZE, 1));
    let before = bench.sink.clone();
    bench.sink = SinkDouble::new();
    bench.worker.command(Command::SetSink(Box::new(bench.sink.clone()))).unwrap();
    let_go(&rig);
    bench.settle();
    assert_eq!(bench.sink.units.all().len(), 0, "no part of what the one before saw begin");
    assert!(before.units.all().iter().all(|unit| unit.codec == Codec::H264));
    let first = first_part(&rig, &mut bench, &Scene::scene(SIZE, 2));
    assert_eq!((first.kind, first.refers_to), (UnitKind::Key, None));
    let_go(&rig);
    bench.settle();
    bench.end();
    rig.assert_clean();
}
