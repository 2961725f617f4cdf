//! NVENC's loader against a driver with one thing wrong at a time: each is refused by its name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::sync::Arc;

use common::gpu::ENTRIES;
use nearlight_encoder::cuda::{Unavailable, Version};
use nearlight_encoder::nvenc::{Libraries, Nvenc};
use testkit::{Effect, FakeGpu};

/// Functions without which the libraries are of no use; either of two for the identity of a device.
const SYMBOLS: [&str; 17] = [
    "cuInit",
    "cuDriverGetVersion",
    "cuDeviceGetCount",
    "cuDeviceGet",
    "cuDeviceGetName",
    "cuDevicePrimaryCtxRetain",
    "cuDevicePrimaryCtxRelease_v2",
    "cuCtxPushCurrent_v2",
    "cuCtxPopCurrent_v2",
    "cuImportExternalMemory",
    "cuExternalMemoryGetMappedBuffer",
    "cuDestroyExternalMemory",
    "cuMemFree_v2",
    "cuMemcpy2D_v2",
    "cuGetErrorName",
    "NvEncodeAPIGetMaxSupportedVersion",
    "NvEncodeAPICreateInstance",
];

fn libraries(gpu: &FakeGpu) -> Libraries {
    Libraries { encode: gpu.encode().into(), cuda: gpu.cuda().into() }
}

fn load(gpu: &FakeGpu) -> Result<Arc<Nvenc>, Unavailable> {
    Nvenc::load(&libraries(gpu))
}

/// What the loader says of a driver to which this was done.
fn refusal(break_it: impl Fn(&FakeGpu) -> std::io::Result<()>) -> Unavailable {
    let gpu = FakeGpu::fresh().unwrap();
    break_it(&gpu).unwrap();
    load(&gpu).unwrap_err()
}

fn version(major: u32, minor: u32) -> Version {
    Version { major, minor }
}

#[test]
fn both_libraries_are_opened_and_their_device_found() {
    let gpu = FakeGpu::fresh().unwrap();
    let nvenc = load(&gpu).unwrap();
    assert_eq!(nvenc.version(), version(12, 1));
    assert_eq!(nvenc.cuda().version(), version(12, 4));
    let [device] = nvenc.cuda().devices() else { panic!("{nvenc:?}") };
    assert_eq!((device.ordinal, device.name.as_str()), (0, "Nearlight fake GPU"));
    assert_eq!(&device.uuid, b"nearlight-fake-0");
    // What is loaded stays when its file goes.
    drop(gpu);
    assert_eq!(nvenc.cuda().devices().len(), 1);
}

#[test]
fn a_library_that_is_not_there_is_told_from_the_other() {
    let gpu = FakeGpu::fresh().unwrap();
    let missing = |libraries: &Libraries| match Nvenc::load(libraries) {
        Err(Unavailable::NoLibrary { library, .. }) => library,
        other => panic!("{other:?}"),
    };
    let no_encode = Libraries { encode: "/nonexistent/encode".into(), ..libraries(&gpu) };
    assert_eq!(missing(&no_encode), "/nonexistent/encode");
    let neither = Libraries { cuda: "/nonexistent/cuda".into(), ..no_encode };
    assert_eq!(missing(&neither), "/nonexistent/cuda");
}

#[test]
fn an_old_driver_is_refused_and_a_newer_one_taken() {
    let gpu = FakeGpu::fresh().unwrap();
    for (major, minor) in [(12, 2), (13, 0), (13, 1)] {
        gpu.encode_version(major, minor).unwrap();
        assert_eq!(load(&gpu).unwrap().version(), version(major, minor));
    }
    for (major, minor) in [(0, 0), (8, 2), (11, 1), (12, 0)] {
        gpu.encode_version(major, minor).unwrap();
        let library = gpu.encode().to_string_lossy().into_owned();
        let (found, needed) = (version(major, minor), version(12, 1));
        assert_eq!(load(&gpu).unwrap_err(), Unavailable::TooOld { library, found, needed });
    }
    let old_cuda = refusal(|gpu| gpu.cuda_version(9020));
    assert!(
        matches!(old_cuda, Unavailable::TooOld { found, .. } if found == version(9, 2)),
        "{old_cuda}"
    );
    // No version at all is an old one.
    let no_cuda = refusal(|gpu| gpu.cuda_version(u32::MAX));
    assert!(
        matches!(no_cuda, Unavailable::TooOld { found, .. } if found == version(0, 0)),
        "{no_cuda}"
    );
}

#[test]
fn a_gap_in_the_table_is_refused_by_its_name() {
    for missing in ENTRIES {
        match refusal(|gpu| gpu.omit(missing)) {
            Unavailable::MissingEntry { entry, .. } => assert_eq!(entry, missing),
            other => panic!("{missing}: {other}"),
        }
    }
    let gpu = FakeGpu::fresh().unwrap();
    for unused in ["nvEncSetIOCudaStreams", "nvEncGetLastErrorString", "nvEncLookaheadPicture"] {
        gpu.omit(unused).unwrap();
    }
    load(&gpu).unwrap();
}

#[test]
fn a_library_with_half_its_functions_is_refused_by_the_missing_one() {
    for missing in SYMBOLS {
        let gpu = FakeGpu::without(&[missing]).unwrap();
        match load(&gpu).unwrap_err() {
            Unavailable::MissingSymbol { symbol, .. } => assert_eq!(symbol, missing),
            other => panic!("{missing}: {other}"),
        }
    }
    // Drivers before 11.4 have the first version alone.
    let old = FakeGpu::without(&["cuDeviceGetUuid_v2"]).unwrap();
    assert_eq!(&load(&old).unwrap().cuda().devices()[0].uuid, b"nearlight-fake-0");
    let neither = FakeGpu::without(&["cuDeviceGetUuid_v2", "cuDeviceGetUuid"]).unwrap();
    assert!(matches!(
        load(&neither),
        Err(Unavailable::MissingSymbol { symbol: "cuDeviceGetUuid", .. })
    ));
}

#[test]
fn a_call_that_fails_is_named_with_its_answer() {
    let status = |call, status: &str| Unavailable::Status { call, status: status.into() };
    assert_eq!(
        refusal(|gpu| gpu.cuda_init_answers(801)),
        status("cuInit", "CUDA_ERROR_NOT_SUPPORTED")
    );
    let passing = |call, status: &str| Unavailable::Passing { call, status: status.into() };
    let unknown = "CUDA_ERROR_UNKNOWN";
    assert_eq!(refusal(|gpu| gpu.cuda_init_answers(999)), passing("cuInit", unknown));
    // A number that no header knows.
    assert_eq!(refusal(|gpu| gpu.cuda_init_answers(0xdead)), passing("cuInit", "error 57005"));
    let create = "NvEncodeAPICreateInstance";
    assert_eq!(refusal(|gpu| gpu.encode_create_answers(15)), status(create, "INVALID_VERSION"));
    assert_eq!(refusal(|gpu| gpu.encode_create_answers(10)), passing(create, "OUT_OF_MEMORY"));
    assert_eq!(refusal(|gpu| gpu.encode_create_answers(0xdead)), passing(create, "status 57005"));
}

/// Each once, so that a driver which is well by then is taken.
#[test]
fn every_call_that_is_made_to_load_may_fail() {
    let cuda = [
        "cuInit",
        "cuDriverGetVersion",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDeviceGetName",
        "cuDeviceGetUuid_v2",
    ];
    let encode = ["NvEncodeAPIGetMaxSupportedVersion", "NvEncodeAPICreateInstance"];
    for call in cuda.into_iter().chain(encode) {
        let gpu = FakeGpu::fresh().unwrap();
        for status in [1, 2, 3, 5, 10, 15, 22, 101, 801, 999, 0xdead] {
            let failure = Effect::Status(status);
            if cuda.contains(&call) {
                gpu.plan_cuda(call, 1, 1, failure).unwrap();
            } else {
                gpu.plan_encode(call, 1, 1, failure).unwrap();
            }
            match load(&gpu) {
                Err(
                    Unavailable::Status { call: told, .. }
                    | Unavailable::Passing { call: told, .. },
                ) => {
                    assert_eq!(told, call.trim_end_matches("_v2"));
                }
                other => panic!("{call} {status}: {other:?}"),
            }
            load(&gpu).unwrap();
        }
    }
    // What has no name has a number.
    let gpu = FakeGpu::fresh().unwrap();
    gpu.plan_cuda("cuGetErrorName", 1, 1, Effect::Status(1)).unwrap();
    gpu.plan_cuda("cuDeviceGetCount", 1, 1, Effect::Status(999)).unwrap();
    let (call, status) = ("cuDeviceGetCount", "error 999".into());
    assert_eq!(load(&gpu).unwrap_err(), Unavailable::Passing { call, status });
}

#[test]
fn devices_are_those_that_answer() {
    assert_eq!(refusal(|gpu| gpu.cuda_init_answers(100)), Unavailable::NoDevice);
    for none in [0, -1, i32::MIN] {
        assert_eq!(refusal(|gpu| gpu.cuda_devices(none as u32)), Unavailable::NoDevice);
    }
    // The fake has one, whatever it claims.
    for claimed in [2, i32::MAX] {
        let gpu = FakeGpu::fresh().unwrap();
        gpu.cuda_devices(claimed as u32).unwrap();
        assert_eq!(load(&gpu).unwrap().cuda().devices().len(), 1);
    }
}
