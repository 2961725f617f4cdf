//! A driver that breaks, one call at a time: each failure has a name and an end, nothing is left
//! behind, and no other session minds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::time::Duration;

use common::doubles::{Bench, Log, wait_until};
use common::gpu::{ENTRIES, Raw, Rig, Run, SETTINGS, SIZE, Slot, Timeline};
use media::barcode::Strip;
use media::{
    Bitrate, EncodeError, EncodeOptions, FrameId, FrameRate, Picture, PixelFormat, RateChange,
    Recovery, RecoveryMeans, Size, UnitKind,
};
use nearlight_encoder::{EncoderSettings, OpenError, WorkerEvent, candidates};
use testkit::Effect;

/// Calls of CUDA that sessions make.
const CUDA: [&str; 15] = [
    "cuDeviceGet",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuImportExternalMemory",
    "cuExternalMemoryGetMappedBuffer",
    "cuDestroyExternalMemory",
    "cuMemFree_v2",
    "cuMemcpy2D_v2",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuImportExternalSemaphore",
    "cuWaitExternalSemaphoresAsync",
    "cuDestroyExternalSemaphore",
];

/// A call of NVENC that sessions can do without.
const OPTIONAL: &str = "nvEncSetIOCudaStreams";

/// Of the right width for a strip.
const WIDE: Size = Size::new(640, 128);

/// Uses every call of an encoder three times and more, and goes on as a worker does: a picture that is
/// refused comes through the CPU, and an encoder that broke is given up. Yields why that was, and units.
fn life(rig: &Rig) -> (Vec<String>, usize) {
    let (mut reasons, mut units) = (Vec::new(), 0);
    for _ in 0..3 {
        match rig.open("nvenc-h265", &EncoderSettings { size: WIDE, largest: WIDE, ..SETTINGS }) {
            Ok(mut run) => {
                if let Err(reason) = live(&mut run, &mut units) {
                    reasons.push(reason);
                }
            }
            Err(error) => reasons.push(error.to_string()),
        }
    }
    assert!(reasons.iter().all(|reason| reason.len() > 10), "{reasons:?}");
    (reasons, units)
}

fn live(run: &mut Run, units: &mut usize) -> Result<(), String> {
    let picture = Raw::new(PixelFormat::Nv12, WIDE, 1);
    let mut slot = Slot::new(PixelFormat::Nv12, WIDE);
    let mut timeline = Timeline::new();
    timeline.signal(1);
    for number in 0..6 {
        // A strip is drawn at once, and so not where the device waits.
        let strip = (number != 1).then_some(Strip { frame: 1, input: 2 });
        let options = EncodeOptions { strip, ..EncodeOptions::default() };
        slot.draw(&picture);
        let mut image = slot.image();
        image.ready = strip.is_none().then(|| timeline.at(1));
        let mut coded = run.code_with(&Picture::Shared(image), options);
        if matches!(coded, Err(EncodeError::Refused(_))) || number >= 3 {
            coded = run.code_with(&picture.picture(), options);
        }
        match coded {
            Ok(_) => *units += 1,
            Err(EncodeError::Fatal(reason)) => return Err(reason),
            Err(_) => {}
        }
        if number == 2 || number == 4 {
            let lost = FrameId(run.frames - 1);
            let recovery = run.encoder.forget(lost..=lost);
            assert!(!matches!(recovery, Recovery::Wave { units: 0, .. }));
            let (bitrate, rate) = (Bitrate::from_mbps(2 + number), FrameRate::fps(50));
            run.encoder.set_rate(bitrate, rate).map_err(|error| error.to_string())?;
        }
    }
    for size in [Size::new(320, 128), WIDE] {
        run.encoder.resize(size).map_err(|error| error.to_string())?;
        let picture = Raw::new(PixelFormat::Nv12, size, 2);
        match run.code(&picture.picture()) {
            Ok(unit) => {
                assert_eq!(unit.kind, UnitKind::Key);
                *units += 1;
            }
            Err(EncodeError::Fatal(reason)) => return Err(reason),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Another session on the same driver, which codes a picture now and then.
struct Neighbour(Run);

impl Neighbour {
    fn check(&mut self) {
        let picture = Raw::new(PixelFormat::Nv12, SIZE, 7);
        let unit = self.0.code(&picture.picture()).unwrap();
        assert_eq!(unit.kind == UnitKind::Key, self.0.frames == 1);
    }
}

/// Breaks one call at its first and third use, with each of `statuses`.
fn break_call(
    statuses: impl Iterator<Item = u32>,
    plan: impl Fn(&Rig, u32, u32),
) -> (Rig, Vec<String>) {
    let rig = Rig::new();
    // What is not destroyed since destroying fails goes on counting.
    rig.gpu.encode_sessions(10_000).unwrap();
    let mut neighbour = Neighbour(rig.open("nvenc-h264", &SETTINGS).unwrap());
    neighbour.check();
    let mut all = Vec::new();
    for status in statuses {
        for nth in [1, 3] {
            plan(&rig, nth, status);
            let (reasons, units) = life(&rig);
            assert!(reasons.len() <= 1, "one failure, told twice: {reasons:?}");
            // Two lives of three are whole.
            assert!(units >= 16, "{units} units");
            all.extend(reasons);
        }
        neighbour.check();
    }
    drop(neighbour);
    (rig, all)
}

#[test]
fn every_call_of_nvenc_may_fail_with_every_status() {
    for call in ENTRIES.into_iter().chain([OPTIONAL]) {
        let statuses = (1..=26).chain([0xdead]);
        let (rig, reasons) = break_call(statuses, |rig, nth, status| {
            rig.gpu.plan_encode(call, nth, 1, Effect::Status(status)).unwrap();
        });
        let name = call.replacen("nvEnc", "NvEnc", 1);
        for reason in &reasons {
            assert!(reason.contains(&name), "{call}: {reason}");
        }
        assert_eq!(rig.gpu.encode_broken_rules().unwrap(), [""; 0], "{call}");
        assert_eq!(rig.gpu.cuda_broken_rules().unwrap(), [""; 0], "{call}");
        // What could not be given back stays; all else is gone.
        if call == "nvEncDestroyEncoder" {
            assert_ne!(rig.gpu.encode_leftovers().unwrap(), [""; 0]);
        } else {
            assert_eq!(rig.encode_leftovers(), [""; 0], "{call}");
        }
        assert_eq!(rig.cuda_leftovers(), [""; 0], "{call}");
    }
}

#[test]
fn every_call_of_cuda_may_fail() {
    for call in CUDA {
        let statuses = [1, 2, 100, 101, 201, 219, 400, 700, 709, 999, 0xdead].into_iter();
        let (rig, reasons) = break_call(statuses, |rig, nth, status| {
            rig.gpu.plan_cuda(call, nth, 1, Effect::Status(status)).unwrap();
        });
        // Only opening needs CUDA: a picture that cannot be imported comes through the CPU.
        let opens = matches!(call, "cuDeviceGet" | "cuDevicePrimaryCtxRetain");
        assert_eq!(reasons.is_empty(), !opens, "{call}: {reasons:?}");
        assert_eq!(rig.gpu.encode_broken_rules().unwrap(), [""; 0], "{call}");
        assert_eq!(rig.encode_leftovers(), [""; 0], "{call}");
        let gives_back = matches!(
            call,
            "cuDevicePrimaryCtxRelease_v2"
                | "cuCtxPopCurrent_v2"
                | "cuDestroyExternalMemory"
                | "cuMemFree_v2"
                | "cuCtxPushCurrent_v2"
                | "cuStreamDestroy_v2"
                | "cuDestroyExternalSemaphore"
        );
        if !gives_back {
            rig.assert_clean();
        }
    }
}

#[test]
fn fields_that_are_not_filled_or_hold_unknown_numbers_are_no_danger() {
    for number in [0, 9, 0xdead, u32::MAX] {
        let rig = Rig::new();
        for name in ["nvenc-h264", "nvenc-h265", "nvenc-av1"] {
            // Of a preset only what is not set here goes back as it came.
            rig.gpu.encode_fill(Some(number)).unwrap();
            match rig.open(name, &SETTINGS) {
                Ok(_) => {}
                Err(OpenError::Missing(reason)) => {
                    assert_eq!(reason, "NvEncInitializeEncoder answered INVALID_PARAM");
                }
                Err(other) => panic!("{other}"),
            }
            rig.gpu.encode_fill(None).unwrap();
            let mut run = rig.open(name, &SETTINGS).unwrap();
            let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
            rig.gpu.encode_fill(Some(number)).unwrap();
            // Which picture is a keyframe its own headers say.
            let unit = run.code(&picture.picture()).unwrap();
            assert_eq!(unit.kind, UnitKind::Key);
            // A mapped picture of no known format goes back as it came.
            let mut slot = Slot::new(PixelFormat::Nv12, SIZE);
            slot.draw(&picture);
            match run.code(&slot.picture()) {
                Err(EncodeError::Fatal(reason)) => {
                    assert_eq!(reason, "NvEncEncodePicture answered INVALID_PARAM");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rig.encode_leftovers(), [""; 0]);
        assert_eq!(rig.cuda_leftovers(), [""; 0]);
    }
}

#[test]
fn what_may_pass_is_told_apart_and_asked_again() {
    let rig = Rig::new();
    let said = |name: &str| match rig.open(name, &SETTINGS) {
        Err(OpenError::Failed(reason)) => reason,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened although a call fails"),
    };
    // As before the kernel's module is loaded, or when another process holds the device.
    rig.gpu.cuda_init_answers(999).unwrap();
    assert_eq!(said("nvenc-h264"), "cuInit answered CUDA_ERROR_UNKNOWN");
    rig.gpu.cuda_init_answers(0).unwrap();
    drop(rig.h264());
    rig.gpu.plan_cuda("cuDevicePrimaryCtxRetain", 1, 1, Effect::Status(2)).unwrap();
    let reason = said("nvenc-h265");
    assert!(reason.starts_with("cuDevicePrimaryCtxRetain answered "), "{reason}");
    for (call, status) in [("nvEncInitializeEncoder", 10), ("nvEncOpenEncodeSessionEx", 5)] {
        rig.gpu.plan_encode(call, 1, 1, Effect::Status(status)).unwrap();
        let reason = said("nvenc-h264");
        assert!(reason.contains(&call.replacen("nvEnc", "NvEnc", 1)), "{reason}");
        drop(rig.h264());
    }
    // The driver says that the device does not do it, and will say so again.
    rig.gpu.plan_encode("nvEncInitializeEncoder", 1, 1, Effect::Status(12)).unwrap();
    assert!(matches!(rig.open("nvenc-h264", &SETTINGS), Err(OpenError::Missing(_))));
    rig.assert_clean();
}

#[test]
fn half_of_the_entries_is_no_driver() {
    let rig = Rig::new();
    for entry in ENTRIES.iter().step_by(2) {
        rig.gpu.omit(entry).unwrap();
    }
    match rig.open("nvenc-av1", &SETTINGS) {
        Err(OpenError::Missing(reason)) => {
            assert!(reason.contains("leaves nvEncOpenEncodeSessionEx out"), "{reason}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened with half a table"),
    }
    rig.assert_clean();
}

#[test]
fn a_codec_that_the_device_lacks_is_told_by_its_name() {
    let rig = Rig::new();
    rig.gpu.encode_deny("av1").unwrap();
    match rig.open("nvenc-av1", &SETTINGS) {
        Err(OpenError::Missing(reason)) => assert_eq!(reason, "this device does not code AV1"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened without the codec"),
    }
    rig.h264().code(&Raw::new(PixelFormat::Nv12, SIZE, 0).picture()).unwrap();
    rig.assert_clean();
}

#[test]
fn a_device_without_seamless_changes_is_opened_anew() {
    // SUPPORT_DYN_RES_CHANGE, SUPPORT_DYN_BITRATE_CHANGE, SUPPORT_INTRA_REFRESH, SUPPORT_REF_PIC_INVALIDATION,
    // NUM_MAX_LTR_FRAMES.
    let rig = Rig::new();
    for cap in [19, 20, 25, 28, 40] {
        rig.gpu.encode_cap("hevc", cap, 0).unwrap();
    }
    let mut run = rig.open("nvenc-h265", &SETTINGS).unwrap();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    run.code(&picture.picture()).unwrap();
    assert_eq!(run.encoder.capabilities().rate_change, RateChange::Keyframe);
    let change = run.encoder.set_rate(Bitrate::from_mbps(9), FrameRate::fps(60)).unwrap();
    assert_eq!(change, RateChange::Keyframe);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    assert_eq!(run.encoder.forget(FrameId(1)..=FrameId(1)), Recovery::KeyframeNeeded);
    let size = Size::new(256, 128);
    run.encoder.resize(size).unwrap();
    let picture = Raw::new(PixelFormat::Nv12, size, 0);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 3);
    assert_eq!(rig.calls("nvEncReconfigureEncoder").len(), 0);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_device_that_goes_back_to_no_reference_makes_losses_good_by_a_wave() {
    // SUPPORT_REF_PIC_INVALIDATION, NUM_MAX_LTR_FRAMES.
    let rig = Rig::new();
    for cap in [28, 40] {
        rig.gpu.encode_cap("hevc", cap, 0).unwrap();
    }
    let mut run = rig.open("nvenc-h265", &SETTINGS).unwrap();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    for _ in 0..2 {
        run.code(&picture.picture()).unwrap();
    }
    let RecoveryMeans::Wave { units } = run.encoder.capabilities().recovery else {
        panic!("{:?}", run.encoder.capabilities())
    };
    let wave = Recovery::Wave { units, base: FrameId(0) };
    assert_eq!(run.encoder.forget(FrameId(1)..=FrameId(1)), wave);
    for unit in 1..=units {
        let due = if unit == units { UnitKind::Recovery } else { UnitKind::Delta };
        assert_eq!(run.code(&picture.picture()).unwrap().kind, due);
    }
    let began = rig.calls("nvEncEncodePicture");
    let began = began.iter().filter(|line| line.contains(&format!(" refresh={units} ")));
    assert_eq!(began.count(), 1);
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 1, "that was known before");
    drop(run);
    rig.assert_clean();
}

/// What it keeps no reference for any more than it invalidates one is known only once it was asked.
#[test]
fn a_device_that_turns_out_to_keep_no_reference_makes_losses_good_by_waves_from_then_on() {
    // SUPPORT_REF_PIC_INVALIDATION.
    let rig = Rig::new();
    rig.gpu.encode_cap("hevc", 28, 0).unwrap();
    rig.gpu.encode_marks(false).unwrap();
    let mut run = rig.open("nvenc-h265", &SETTINGS).unwrap();
    assert_eq!(run.encoder.capabilities().recovery, RecoveryMeans::LongTerm);
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    assert!(matches!(run.code(&picture.picture()), Err(EncodeError::Busy(_))));
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    let RecoveryMeans::Wave { units } = run.encoder.capabilities().recovery else {
        panic!("{:?}", run.encoder.capabilities())
    };
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    let wave = Recovery::Wave { units, base: FrameId(1) };
    assert_eq!(run.encoder.forget(FrameId(2)..=FrameId(2)), wave);
    for unit in 1..=units {
        let due = if unit == units { UnitKind::Recovery } else { UnitKind::Delta };
        assert_eq!(run.code(&picture.picture()).unwrap().kind, due);
    }
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 2);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_busy_device_is_asked_again_and_then_a_picture_is_skipped() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    run.code(&picture.picture()).unwrap();
    // ENCODER_BUSY for three calls, and for good.
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 3, Effect::Status(18)).unwrap();
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 4, Effect::Status(18)).unwrap();
    match run.code(&picture.picture()) {
        Err(EncodeError::Busy(reason)) => {
            assert_eq!(reason, "NvEncEncodePicture answered ENCODER_BUSY");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    // LOCK_BUSY, likewise.
    rig.gpu.plan_encode("nvEncLockBitstream", 1, 3, Effect::Status(13)).unwrap();
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_device_out_of_memory_gets_one_more_session_and_no_third() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    run.code(&picture.picture()).unwrap();
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 1, Effect::Status(10)).unwrap();
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Key);
    assert_eq!(run.code(&picture.picture()).unwrap().kind, UnitKind::Delta);
    assert_eq!(rig.calls("nvEncOpenEncodeSessionEx").len(), 2);
    rig.gpu.plan_encode("nvEncEncodePicture", 1, 1, Effect::Status(10)).unwrap();
    match run.code(&picture.picture()) {
        Err(EncodeError::Fatal(reason)) => {
            assert_eq!(reason, "NvEncEncodePicture answered OUT_OF_MEMORY");
        }
        other => panic!("{other:?}"),
    }
    drop(run);
    rig.assert_clean();
}

#[test]
fn memory_that_cannot_be_registered_comes_through_the_cpu() {
    let rig = Rig::new();
    let mut run = rig.h264();
    let picture = Raw::new(PixelFormat::Nv12, SIZE, 0);
    let mut slot = Slot::new(PixelFormat::Nv12, SIZE);
    slot.draw(&picture);
    // RESOURCE_REGISTER_FAILED once is made good, twice is not.
    rig.gpu.plan_encode("nvEncRegisterResource", 1, 1, Effect::Status(23)).unwrap();
    run.code(&slot.picture()).unwrap();
    slot = Slot::new(PixelFormat::Nv12, SIZE);
    slot.draw(&picture);
    rig.gpu.plan_encode("nvEncRegisterResource", 1, 2, Effect::Status(23)).unwrap();
    assert!(matches!(run.code(&slot.picture()), Err(EncodeError::Refused(_))));
    run.code(&picture.picture()).unwrap();
    // A mapping that fails is registered anew.
    slot.draw(&picture);
    run.code(&slot.picture()).unwrap();
    slot.draw(&picture);
    rig.gpu.plan_encode("nvEncMapInputResource", 1, 1, Effect::Status(16)).unwrap();
    run.code(&slot.picture()).unwrap();
    assert_eq!(rig.calls("nvEncUnregisterResource").len(), 1);
    drop(run);
    rig.assert_clean();
}

#[test]
fn a_driver_that_never_answers_loses_its_encoder_and_nothing_is_freed_under_it() {
    let rig = Rig::new();
    let mut neighbour = Neighbour(rig.open("nvenc-h264", &SETTINGS).unwrap());
    neighbour.check();
    let mut encoders = vec![rig.candidate("nvenc-h264").clone()];
    encoders.extend(candidates().into_iter().filter(|candidate| candidate.name == "openh264"));
    // Its first picture is never read, so that any patience is over some time.
    rig.gpu.plan_encode("nvEncLockBitstream", 1, 1, Effect::Hang).unwrap();
    let patience = Duration::from_millis(20);
    let mut bench = Bench::with_patience(encoders, Log::new(), false, patience);
    bench.submit();
    let fell_back =
        |event: &WorkerEvent| matches!(event, WorkerEvent::FellBack { name: "nvenc-h264", .. });
    wait_until("the worker gives it up", || bench.events.all().iter().any(fell_back));
    for _ in 0..3 {
        bench.submit();
    }
    let stats = bench.worker.stats();
    assert_eq!(stats.encoder, Some("openh264"));
    // The thread that hangs has its session, with all that is in it.
    let left = rig.gpu.encode_leftovers().unwrap();
    assert!(left.iter().any(|line| line.contains("picture not read")), "{left:?}");
    assert!(left.contains(&"2 x session not destroyed".to_owned()), "{left:?}");
    wait_until("the thread gives back what it had", || {
        // It may begin to hang only now.
        rig.gpu.release_encode().unwrap();
        rig.gpu.encode_leftovers().unwrap().contains(&"1 x session not destroyed".to_owned())
    });
    neighbour.check();
    bench.end();
    drop(neighbour);
    rig.assert_clean();
}

/// Calls by which a picture goes in.
const GOES_IN: [&str; 6] = [
    "nvEncCreateInputBuffer",
    "nvEncLockInputBuffer",
    "nvEncUnlockInputBuffer",
    "nvEncRegisterResource",
    "nvEncMapInputResource",
    "nvEncEncodePicture",
];

/// Between two pictures, and with one in it.
#[test]
fn a_device_that_is_lost_takes_the_next_candidate_and_one_keyframe() {
    for (passing, told) in [(&[][..], "NvEncLockInputBuffer"), (&GOES_IN, "NvEncLockBitstream")] {
        let rig = Rig::new();
        let mut encoders = vec![rig.candidate("nvenc-h264").clone()];
        encoders.extend(candidates().into_iter().filter(|candidate| candidate.name == "openh264"));
        let mut bench = Bench::with(encoders, Log::new(), false);
        for _ in 0..5 {
            bench.submit();
        }
        // DEVICE_NOT_EXIST from every call from now on.
        for call in ENTRIES.into_iter().filter(|call| !passing.contains(call)) {
            rig.gpu.plan_encode(call, 1, u32::MAX, Effect::Status(5)).unwrap();
        }
        for _ in 0..5 {
            bench.submit();
        }
        assert_eq!(bench.worker.stats().encoder, Some("openh264"));
        let keys = bench.kinds().iter().filter(|(_, kind)| *kind == UnitKind::Key).count();
        assert_eq!((keys, bench.kinds().len()), (2, 9), "{:?}", bench.kinds());
        let reason = format!("{told} answered DEVICE_NOT_EXIST");
        let fell_back = WorkerEvent::FellBack { name: "nvenc-h264", reason };
        assert!(bench.events.all().contains(&fell_back), "{:?}", bench.events.all());
        bench.end();
        rig.assert_rules();
        assert_eq!(rig.cuda_leftovers(), [""; 0]);
    }
}
