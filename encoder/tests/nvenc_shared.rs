//! NVENC's encoders and pictures in memory of the device: read where they lie, waited for by semaphores,
//! and coded while the caller goes on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::gpu::{
    Binary, KEY, PATIENCE, Raw, Rig, Run, SETTINGS, SIZE, Slot, Timeline, digest, hevc, text,
};
use common::{Picture as Scene, decode, psnr};
use media::barcode::Strip;
use media::{
    DeviceId, EncodeError, EncodeOptions, FrameId, Picture, PixelFormat, Size, Submitted, Turn,
};
use nearlight_encoder::EncoderSettings;
use openh264::decoder::Decoder;

#[test]
fn four_pictures_are_in_it_and_a_fifth_is_skipped() {
    let rig = Rig::new();
    let (mut encoder, woken) = rig.asynchronous("nvenc-h265");
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
        drop(rig.asynchronous(name));
        for (pictures, polled) in [(1, 0), (4, 0), (4, 1), (4, 4)] {
            let (mut encoder, woken) = rig.asynchronous(name);
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
        let (mut encoder, _) = rig.asynchronous(name);
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
    let (mut encoder, woken) = rig.asynchronous("nvenc-h265");
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
    let (mut encoder, woken) = rig.asynchronous("nvenc-h265");
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
    let (mut encoder, woken) = rig.asynchronous("nvenc-h265");
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
    assert!(matches!(outcome, Err(EncodeError::Busy(_))), "{outcome:?}");
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
}

/// What is refused comes through the CPU from then on; what is busy is left out, and shared again after it.
#[test]
fn cuda_may_fail_for_a_shared_picture_and_for_another_but_not_for_many_in_a_row() {
    let calls = [
        ("cuImportExternalSemaphore", 1_u32),
        ("cuWaitExternalSemaphoresAsync", 1),
        // Tried twice a picture.
        ("cuImportExternalMemory", 2),
        ("cuExternalMemoryGetMappedBuffer", 2),
    ];
    for (call, tries) in calls {
        let rig = Rig::new();
        let mut run = rig.h264();
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
        // Each of a semaphore and memory that were not imported before.
        let code = |run: &mut Run| {
            let (mut slot, fresh) = (Slot::new(PixelFormat::Nv12, SIZE), Timeline::reached(1));
            slot.draw(&picture);
            let mut image = slot.image();
            image.ready = Some(fresh.at(1));
            run.code(&Picture::Shared(image))
        };
        let fail = |status, pictures| {
            let effect = testkit::Effect::Status(status);
            rig.gpu.plan_cuda(call, 1, pictures * tries, effect).unwrap();
        };
        for pictures in [1, 2] {
            // CUDA_ERROR_UNKNOWN.
            fail(999, pictures);
            for _ in 0..pictures {
                let outcome = code(&mut run);
                assert!(matches!(outcome, Err(EncodeError::Busy(_))), "{call}: {outcome:?}");
            }
            code(&mut run).unwrap();
        }
        fail(999, 3);
        let last = [(); 3].map(|()| code(&mut run)).into_iter().next_back();
        match last {
            Some(Err(EncodeError::Refused(reason))) => {
                assert!(reason.ends_with("for 3 pictures in a row"), "{reason}");
            }
            other => panic!("{call}: {other:?}"),
        }
        // CUDA_ERROR_NOT_SUPPORTED will be answered again.
        fail(801, 1);
        let outcome = code(&mut run);
        assert!(matches!(outcome, Err(EncodeError::Refused(_))), "{call}: {outcome:?}");
        run.code(&picture.picture()).unwrap();
        drop(run);
        rig.assert_clean();
    }
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
