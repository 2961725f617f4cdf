//! The double of CUDA keeps its word: memory is one from both sides, and each rule trips when broken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]
#![expect(unsafe_code, reason = "functions of a C library are called")]

use std::ffi::{c_int, c_void};
use std::fs;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::{null, null_mut, without_provenance_mut};
use std::time::{Duration, Instant};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nearlight_encoder::cuda::sys::{
    BINARY_SEMAPHORE_FD, CUDA_EXTERNAL_MEMORY_BUFFER_DESC, CUDA_EXTERNAL_MEMORY_HANDLE_DESC,
    CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC, CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, CUDA_MEMCPY2D,
    CUcontext, CUdeviceptr, CUexternalMemory, CUexternalSemaphore, CUresult, CUstream, DEDICATED,
    OPAQUE_FD, TIMELINE_SEMAPHORE_FD,
};
use testkit::{Effect, Exported, FakeGpu};

const BYTES: usize = 40_000;
const OK: Result<(), u32> = Ok(());
const INVALID_VALUE: Result<(), u32> = Err(1);
const INVALID_CONTEXT: Result<(), u32> = Err(201);
const INVALID_HANDLE: Result<(), u32> = Err(400);
const CONTEXT_IS_DESTROYED: Result<(), u32> = Err(709);
const NOT_SUPPORTED: Result<(), u32> = Err(801);
/// Memory types of a copy.
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// The double, called as the driver is.
struct Driver {
    gpu: FakeGpu,
    library: Library,
}

fn result(status: CUresult) -> Result<(), u32> {
    if status == 0 { Ok(()) } else { Err(status) }
}

/// Calls a function of the library by its name.
macro_rules! call {
    ($driver:expr, $name:literal($($argument:expr => $type:ty),*)) => {{
        // SAFETY: the types are those of cuda.h; pointers are null or to values that outlive the call.
        unsafe {
            let function = $driver.library
                .get::<unsafe extern "C" fn($($type),*) -> CUresult>($name.as_bytes())
                .unwrap();
            result(function($($argument),*))
        }
    }};
}

impl Driver {
    /// Initialised, and nothing else.
    fn fresh() -> Self {
        let gpu = FakeGpu::fresh().unwrap();
        // SAFETY: a fake of this workspace, which does nothing on being opened.
        let library = unsafe { Library::open(Some(gpu.cuda()), RTLD_NOW | RTLD_LOCAL) }.unwrap();
        let driver = Self { gpu, library };
        call!(driver, "cuInit"(0 => u32)).unwrap();
        driver
    }

    /// With a context that is current on this thread.
    fn current() -> Self {
        let driver = Self::fresh();
        let context = driver.retain().unwrap();
        driver.push(context).unwrap();
        driver
    }

    fn retain(&self) -> Result<CUcontext, u32> {
        let mut context = null_mut();
        call!(self, "cuDevicePrimaryCtxRetain"(&raw mut context => *mut CUcontext, 0 => c_int))?;
        Ok(context)
    }

    fn release(&self) -> Result<(), u32> {
        call!(self, "cuDevicePrimaryCtxRelease_v2"(0 => c_int))
    }

    fn push(&self, context: CUcontext) -> Result<(), u32> {
        call!(self, "cuCtxPushCurrent_v2"(context => CUcontext))
    }

    fn pop(&self) -> Result<(), u32> {
        let mut context = null_mut();
        call!(self, "cuCtxPopCurrent_v2"(&raw mut context => *mut CUcontext))
    }

    /// On failure the descriptor is closed here, as an importer has to.
    fn import(&self, memory: &Exported, bytes: usize) -> Result<CUexternalMemory, u32> {
        let fd = memory.fd().unwrap().into_raw_fd();
        let imported = self.import_with(&description(fd, bytes));
        if imported.is_err() {
            // SAFETY: it is ours again.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        imported
    }

    fn import_with(
        &self,
        what: &CUDA_EXTERNAL_MEMORY_HANDLE_DESC,
    ) -> Result<CUexternalMemory, u32> {
        let mut memory = null_mut();
        call!(self, "cuImportExternalMemory"(
            &raw mut memory => *mut CUexternalMemory,
            what => *const CUDA_EXTERNAL_MEMORY_HANDLE_DESC
        ))?;
        Ok(memory)
    }

    fn map(&self, memory: CUexternalMemory, offset: u64, size: u64) -> Result<CUdeviceptr, u32> {
        let what = CUDA_EXTERNAL_MEMORY_BUFFER_DESC { offset, size, flags: 0, reserved: [0; 16] };
        let mut address = 0;
        call!(self, "cuExternalMemoryGetMappedBuffer"(
            &raw mut address => *mut CUdeviceptr,
            memory => CUexternalMemory,
            &raw const what => *const CUDA_EXTERNAL_MEMORY_BUFFER_DESC
        ))?;
        Ok(address)
    }

    fn free(&self, address: CUdeviceptr) -> Result<(), u32> {
        call!(self, "cuMemFree_v2"(address => CUdeviceptr))
    }

    fn destroy(&self, memory: CUexternalMemory) -> Result<(), u32> {
        call!(self, "cuDestroyExternalMemory"(memory => CUexternalMemory))
    }

    fn copy(&self, what: &CUDA_MEMCPY2D) -> Result<(), u32> {
        call!(self, "cuMemcpy2D_v2"(what => *const CUDA_MEMCPY2D))
    }

    /// Copies out `height` rows of `width` bytes.
    fn read(&self, from: CUdeviceptr, pitch: usize, width: usize, height: usize) -> Vec<u8> {
        let mut bytes = vec![0; width * height];
        self.copy(&out_of(from, pitch, &mut bytes, width, height)).unwrap();
        bytes
    }

    /// Panics unless exactly these rules were broken.
    #[track_caller]
    fn broke(&self, rules: &[&str]) {
        assert_eq!(self.gpu.cuda_broken_rules().unwrap(), rules);
    }

    #[track_caller]
    fn left(&self, leftovers: &[&str]) {
        assert_eq!(self.gpu.cuda_leftovers().unwrap(), leftovers);
    }
}

fn description(fd: RawFd, bytes: usize) -> CUDA_EXTERNAL_MEMORY_HANDLE_DESC {
    // SAFETY: numbers and pointers, for all of which zero is a value.
    let mut what: CUDA_EXTERNAL_MEMORY_HANDLE_DESC = unsafe { zeroed() };
    what.type_ = OPAQUE_FD;
    what.handle.fd = fd;
    what.size = bytes as u64;
    what.flags = DEDICATED;
    what
}

fn out_of(
    from: CUdeviceptr,
    pitch: usize,
    to: &mut [u8],
    width: usize,
    height: usize,
) -> CUDA_MEMCPY2D {
    assert!(to.len() >= width * height);
    CUDA_MEMCPY2D {
        srcXInBytes: 0,
        srcY: 0,
        srcMemoryType: DEVICE,
        srcHost: null(),
        srcDevice: from,
        srcArray: null_mut(),
        srcPitch: pitch,
        dstXInBytes: 0,
        dstY: 0,
        dstMemoryType: HOST,
        dstHost: to.as_mut_ptr().cast(),
        dstDevice: 0,
        dstArray: null_mut(),
        dstPitch: width,
        WidthInBytes: width,
        Height: height,
    }
}

/// A value that was never a handle.
fn nonsense() -> *mut c_void {
    without_provenance_mut(0xdead_beef)
}

/// Whether a descriptor is open and has this memory; other tests may be given its number meanwhile.
fn is_open(fd: RawFd, memory: &Exported) -> bool {
    let file = |fd: RawFd| fs::metadata(format!("/proc/self/fd/{fd}")).ok();
    let own = memory.fd().unwrap();
    let known = file(own.as_raw_fd()).unwrap();
    // The duplicate may have taken the very number.
    own.as_raw_fd() != fd
        && file(fd).is_some_and(|file| (file.dev(), file.ino()) == (known.dev(), known.ino()))
}

#[test]
fn one_memory_is_seen_from_both_sides_in_both_layouts() {
    for (mut memory, name) in [
        (Exported::plain(BYTES).unwrap(), "plain"),
        (Exported::lavapipe(BYTES).unwrap(), "lavapipe"),
    ] {
        let driver = Driver::current();
        let imported = driver.import(&memory, BYTES).unwrap();
        let whole = driver.map(imported, 0, BYTES as u64).unwrap();
        for (at, byte) in memory.bytes_mut().iter_mut().enumerate() {
            *byte = at as u8 ^ (at >> 8) as u8;
        }
        assert_eq!(driver.read(whole, 200, 200, BYTES / 200), memory.bytes_mut(), "{name}");

        // Rows 3 and 4, bytes 10..14, of rows of 100.
        let mut rows = *b"abcdefgh";
        let mut copy = out_of(whole, 100, &mut rows, 4, 2);
        (copy.srcMemoryType, copy.srcHost, copy.srcPitch) = (HOST, copy.dstHost.cast_const(), 4);
        (copy.dstMemoryType, copy.dstDevice, copy.dstPitch) = (DEVICE, whole, 100);
        (copy.dstXInBytes, copy.dstY) = (10, 3);
        driver.copy(&copy).unwrap();
        assert_eq!(&memory.bytes_mut()[310..314], b"abcd", "{name}");
        assert_eq!(&memory.bytes_mut()[410..414], b"efgh", "{name}");

        // Two buffers of one memory, of which one is a part.
        let part = driver.map(imported, 300, 200).unwrap();
        assert_eq!(driver.read(part + 10, 100, 4, 2), b"abcdefgh", "{name}");
        assert_eq!(driver.copy(&CUDA_MEMCPY2D { Height: 0, ..copy }), OK);

        driver.free(part).unwrap();
        driver.free(whole).unwrap();
        driver.destroy(imported).unwrap();
        driver.pop().unwrap();
        driver.release().unwrap();
        driver.broke(&[]);
        driver.left(&[]);
    }
}

#[test]
fn calls_are_logged_in_order_with_their_results() {
    let driver = Driver::current();
    assert_eq!(driver.free(7), INVALID_VALUE);
    driver.pop().unwrap();
    driver.release().unwrap();
    let log = driver.gpu.cuda_log().unwrap();
    let expected = [
        "cuInit 0",
        "cuDevicePrimaryCtxRetain 0",
        "cuCtxPushCurrent_v2 0",
        "cuMemFree_v2 1",
        "cuCtxPopCurrent_v2 0",
        "cuDevicePrimaryCtxRelease_v2 0",
    ];
    assert_eq!(log, expected);
}

#[test]
fn an_import_takes_the_descriptor_only_when_it_succeeds() {
    let driver = Driver::current();
    let memory = Exported::lavapipe(BYTES).unwrap();
    let fd = memory.fd().unwrap().into_raw_fd();
    let refused = [
        description(fd, 0),
        description(fd, BYTES * 2),
        CUDA_EXTERNAL_MEMORY_HANDLE_DESC { size: u64::MAX, ..description(fd, 0) },
        CUDA_EXTERNAL_MEMORY_HANDLE_DESC { flags: 2, ..description(fd, BYTES) },
        CUDA_EXTERNAL_MEMORY_HANDLE_DESC { reserved: [1; 16], ..description(fd, BYTES) },
    ];
    for what in &refused {
        assert_eq!(driver.import_with(what).map(drop), INVALID_VALUE);
        assert!(is_open(fd, &memory));
    }
    assert_eq!(driver.gpu.cuda_broken_rules().unwrap().len(), refused.len());
    let other = CUDA_EXTERNAL_MEMORY_HANDLE_DESC { type_: 9, ..description(fd, BYTES) };
    assert_eq!(driver.import_with(&other).map(drop), NOT_SUPPORTED);
    driver.gpu.plan_cuda("cuImportExternalMemory", 1, 1, Effect::Status(2)).unwrap();
    assert_eq!(driver.import_with(&description(fd, BYTES)).map(drop), Err(2));
    assert!(is_open(fd, &memory));
    let in_use = ["1 x primary context not released", "1 x context not popped"];
    driver.left(&[in_use[0], in_use[1], "1 x fd of a failed import not closed"]);

    // The same one, now as it should be.
    let imported = driver.import_with(&description(fd, BYTES)).unwrap();
    assert!(!is_open(fd, &memory), "CUDA owns it, and has closed it");
    driver.destroy(imported).unwrap();
    driver.left(&in_use);
}

#[test]
fn descriptors_that_are_none_are_refused() {
    let driver = Driver::current();
    for fd in [-1, c_int::MIN, c_int::MAX] {
        assert_eq!(driver.import_with(&description(fd, BYTES)).map(drop), INVALID_VALUE);
    }
    // A file that could shrink under the mapping.
    let file = fs::File::open("/proc/self/exe").unwrap();
    assert_eq!(driver.import_with(&description(file.as_raw_fd(), 1)).map(drop), INVALID_VALUE);
    assert_eq!(driver.gpu.cuda_broken_rules().unwrap().len(), 4);
    drop(file);
    let nothing = call!(driver, "cuImportExternalMemory"(
        null_mut() => *mut CUexternalMemory, null() => *const CUDA_EXTERNAL_MEMORY_HANDLE_DESC
    ));
    assert_eq!(nothing, INVALID_VALUE);
}

#[test]
fn calls_need_a_context_that_is_current_on_their_thread() {
    let driver = Driver::fresh();
    let memory = Exported::plain(BYTES).unwrap();
    let none = |call| format!("{call}: no context is current on this thread");
    assert_eq!(driver.import(&memory, BYTES).map(drop), INVALID_CONTEXT);
    assert_eq!(driver.free(1), INVALID_CONTEXT);
    assert_eq!(driver.pop(), INVALID_CONTEXT);
    driver.broke(&[
        &none("cuImportExternalMemory"),
        &none("cuMemFree_v2"),
        "cuCtxPopCurrent_v2: nothing to pop on this thread",
    ]);
    let driver = Driver::current();
    let elsewhere =
        std::thread::scope(|scope| scope.spawn(|| driver.destroy(nonsense())).join().unwrap());
    assert_eq!(elsewhere, INVALID_CONTEXT);
    driver.broke(&[&none("cuDestroyExternalMemory")]);
}

#[test]
fn contexts_are_known_retained_and_released_as_often() {
    let driver = Driver::fresh();
    assert_eq!(driver.push(null_mut()), INVALID_VALUE);
    assert_eq!(driver.push(nonsense()), INVALID_HANDLE);
    let context = driver.retain().unwrap();
    assert_eq!(driver.retain().unwrap(), context, "the primary context is one");
    driver.release().unwrap();
    driver.push(context).unwrap();
    driver.release().unwrap();
    assert_eq!(driver.free(1), CONTEXT_IS_DESTROYED);
    driver.pop().unwrap();
    assert_eq!(driver.push(context), CONTEXT_IS_DESTROYED);
    assert_eq!(driver.release(), INVALID_CONTEXT);
    driver.broke(&[
        "cuCtxPushCurrent_v2: no context",
        "cuCtxPushCurrent_v2: unknown context",
        "cuDevicePrimaryCtxRelease_v2: the context goes while it is current on a thread",
        "cuMemFree_v2: the context that is current was released",
        "cuCtxPushCurrent_v2: the context is not retained",
        "cuDevicePrimaryCtxRelease_v2: the primary context was released more often than retained",
    ]);
}

#[test]
fn memory_is_freed_before_it_is_destroyed_and_both_once() {
    let driver = Driver::current();
    let memory = Exported::plain(BYTES).unwrap();
    let imported = driver.import(&memory, BYTES).unwrap();
    let buffer = driver.map(imported, 0, BYTES as u64).unwrap();
    assert_eq!(driver.free(buffer + 1), INVALID_VALUE);
    assert_eq!(driver.destroy(imported), OK, "as cuda.h has it");
    let mut bytes = [0; 4];
    assert_eq!(driver.copy(&out_of(buffer, 4, &mut bytes, 4, 1)), INVALID_VALUE);
    assert_eq!(driver.free(buffer), OK);
    assert_eq!(driver.free(buffer), INVALID_VALUE);
    assert_eq!(driver.destroy(imported), INVALID_HANDLE);
    assert_eq!(driver.destroy(nonsense()), INVALID_HANDLE);
    assert_eq!(driver.map(imported, 0, 1).map(drop), INVALID_HANDLE);
    assert_eq!(driver.map(null_mut(), 0, 1).map(drop), INVALID_HANDLE);
    driver.broke(&[
        "cuMemFree_v2: unknown device pointer",
        "cuDestroyExternalMemory: destroyed before its buffer was freed",
        "cuMemcpy2D_v2: device memory that is not mapped",
        "cuMemFree_v2: already released device pointer",
        "cuDestroyExternalMemory: already released external memory",
        "cuDestroyExternalMemory: unknown external memory",
        "cuExternalMemoryGetMappedBuffer: already released external memory",
        "cuExternalMemoryGetMappedBuffer: unknown external memory",
    ]);
}

/// Streams and semaphores.
impl Driver {
    fn stream(&self, flags: u32) -> Result<CUstream, u32> {
        let mut stream = null_mut();
        call!(self, "cuStreamCreate"(&raw mut stream => *mut CUstream, flags => u32))?;
        Ok(stream)
    }

    fn destroy_stream(&self, stream: CUstream) -> Result<(), u32> {
        call!(self, "cuStreamDestroy_v2"(stream => CUstream))
    }

    /// As [`import`](Self::import).
    fn import_semaphore(&self, file: &Exported, kind: u32) -> Result<CUexternalSemaphore, u32> {
        let fd = file.fd().unwrap().into_raw_fd();
        // SAFETY: numbers and pointers, for all of which zero is a value.
        let mut what: CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC = unsafe { zeroed() };
        (what.type_, what.handle.fd) = (kind, fd);
        let mut semaphore = null_mut();
        let imported = call!(self, "cuImportExternalSemaphore"(
            &raw mut semaphore => *mut CUexternalSemaphore,
            &raw const what => *const CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC
        ));
        if imported.is_err() {
            // SAFETY: it is ours again.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        imported.map(|()| semaphore)
    }

    fn destroy_semaphore(&self, semaphore: CUexternalSemaphore) -> Result<(), u32> {
        call!(self, "cuDestroyExternalSemaphore"(semaphore => CUexternalSemaphore))
    }

    fn wait(
        &self,
        semaphore: CUexternalSemaphore,
        (value, flags): (u64, u32),
        stream: CUstream,
    ) -> Result<(), u32> {
        // SAFETY: numbers, for all of which zero is a value.
        let mut what: CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS = unsafe { zeroed() };
        (what.params.fence, what.flags) = (value, flags);
        call!(self, "cuWaitExternalSemaphoresAsync"(
            &raw const semaphore => *const CUexternalSemaphore,
            &raw const what => *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
            1 => u32, stream => CUstream
        ))
    }
}

#[test]
fn semaphores_are_waited_for_in_streams_that_are_known_and_go_after_that() {
    let driver = Driver::current();
    let mut file = Exported::plain(8).unwrap();
    assert_eq!(driver.import_semaphore(&file, 3).map(drop), NOT_SUPPORTED, "one of Windows");
    let semaphore = driver.import_semaphore(&file, TIMELINE_SEMAPHORE_FD).unwrap();
    assert_eq!(driver.stream(2).map(drop), INVALID_VALUE);
    let stream = driver.stream(1).unwrap();
    assert_eq!(driver.wait(semaphore, (2, 0), stream), OK);
    assert_eq!(driver.wait(semaphore, (1, 0), stream), OK, "as cuda.h has it");
    assert_eq!(driver.wait(semaphore, (3, 1), stream), INVALID_VALUE);
    assert_eq!(driver.wait(nonsense(), (3, 0), stream), INVALID_HANDLE);
    assert_eq!(driver.wait(semaphore, (3, 0), nonsense()), INVALID_HANDLE);
    let late = driver.import_semaphore(&file, TIMELINE_SEMAPHORE_FD).unwrap();
    assert_eq!(driver.wait(late, (4, 0), stream), OK);
    file.bytes_mut()[0] = 3;
    assert_eq!(driver.destroy_semaphore(semaphore), OK);
    assert_eq!(driver.destroy_semaphore(late), OK, "as cuda.h has it");
    assert_eq!(driver.destroy_semaphore(late), INVALID_HANDLE);
    assert_eq!(driver.wait(semaphore, (5, 0), stream), INVALID_HANDLE);
    assert_eq!(driver.destroy_stream(stream), OK);
    assert_eq!(driver.destroy_stream(stream), INVALID_HANDLE);
    driver.broke(&[
        "cuStreamCreate: unknown flags",
        "cuWaitExternalSemaphoresAsync: a value below one that was waited for before",
        "cuWaitExternalSemaphoresAsync: words of other semaphores not zero",
        "cuWaitExternalSemaphoresAsync: unknown external semaphore",
        "cuWaitExternalSemaphoresAsync: unknown stream",
        "cuDestroyExternalSemaphore: destroyed while a stream waits for it",
        "cuDestroyExternalSemaphore: already released external semaphore",
        "cuWaitExternalSemaphoresAsync: already released external semaphore",
        "cuStreamDestroy_v2: already released stream",
    ]);
    let left = ["1 x primary context not released", "1 x context not popped"];
    driver.left(&left);
    driver.stream(0).unwrap();
    driver.import_semaphore(&file, TIMELINE_SEMAPHORE_FD).unwrap();
    driver.left(&[
        left[0],
        left[1],
        "1 x external semaphore not destroyed",
        "1 x stream not destroyed",
    ]);
}

#[test]
fn a_binary_semaphore_is_waited_for_once_a_signal() {
    let driver = Driver::current();
    let mut file = Exported::plain(16).unwrap();
    let semaphore = driver.import_semaphore(&file, BINARY_SEMAPHORE_FD).unwrap();
    let stream = driver.stream(1).unwrap();
    assert_eq!(driver.wait(semaphore, (0, 0), stream), INVALID_VALUE, "nothing signals it");
    for signal in 1..=2 {
        file.bytes_mut()[8] = signal;
        assert_eq!(driver.wait(semaphore, (1, 0), stream), INVALID_VALUE);
        assert_eq!(driver.wait(semaphore, (0, 0), stream), OK);
        assert_eq!(driver.wait(semaphore, (0, 0), stream), INVALID_VALUE);
        file.bytes_mut()[0] = signal;
    }
    assert_eq!(driver.destroy_stream(stream), OK);
    assert_eq!(driver.destroy_semaphore(semaphore), OK);
    let (twice, valued) =
        ("a second wait for one signal, or a first for none", "a value for a binary semaphore");
    let broken = [twice, valued, twice, valued, twice]
        .map(|rule| format!("cuWaitExternalSemaphoresAsync: {rule}"));
    driver.broke(&broken.each_ref().map(String::as_str));
    driver.left(&["1 x primary context not released", "1 x context not popped"]);
}

#[test]
fn what_is_not_given_back_is_told() {
    let driver = Driver::current();
    let memory = Exported::plain(BYTES).unwrap();
    for _ in 0..2 {
        let imported = driver.import(&memory, BYTES).unwrap();
        driver.map(imported, 0, 1).unwrap();
    }
    driver.broke(&[]);
    driver.left(&[
        "1 x primary context not released",
        "1 x context not popped",
        "2 x external memory not destroyed",
        "2 x mapped buffer not freed",
    ]);
    driver.pop().unwrap();
    driver.release().unwrap();
    driver.broke(&["cuDevicePrimaryCtxRelease_v2: the context goes while it has external memory"]);
}

#[test]
fn buffers_and_copies_stay_within_their_memory() {
    let driver = Driver::current();
    let memory = Exported::lavapipe(BYTES).unwrap();
    let imported = driver.import(&memory, BYTES).unwrap();
    for (offset, size) in [(0, 0), (1, BYTES as u64), (u64::MAX, 2), (0, u64::MAX)] {
        assert_eq!(driver.map(imported, offset, size).map(drop), INVALID_VALUE);
    }
    let buffer = driver.map(imported, 0, 1000).unwrap();
    let mut bytes = [0; 1000];
    let good = out_of(buffer, 100, &mut bytes, 100, 10);
    assert_eq!(driver.copy(&good), OK);
    assert_eq!(driver.gpu.cuda_broken_rules().unwrap().len(), 4);
    let bad = [
        CUDA_MEMCPY2D { srcDevice: buffer + 1, ..good },
        CUDA_MEMCPY2D { srcDevice: 0, ..good },
        CUDA_MEMCPY2D { srcDevice: u64::MAX, ..good },
        CUDA_MEMCPY2D { srcPitch: 101, ..good },
        CUDA_MEMCPY2D { srcPitch: 99, ..good },
        CUDA_MEMCPY2D { srcPitch: usize::MAX, ..good },
        CUDA_MEMCPY2D { srcXInBytes: 1, ..good },
        CUDA_MEMCPY2D { srcY: 1, ..good },
        CUDA_MEMCPY2D { srcY: usize::MAX, ..good },
        CUDA_MEMCPY2D { Height: usize::MAX, ..good },
        CUDA_MEMCPY2D { WidthInBytes: usize::MAX, ..good },
        CUDA_MEMCPY2D { dstHost: null_mut(), ..good },
    ];
    for (number, what) in bad.iter().enumerate() {
        assert_eq!(driver.copy(what), INVALID_VALUE, "{number}");
    }
    assert_eq!(driver.gpu.cuda_broken_rules().unwrap().len(), 4 + bad.len());
    assert_eq!(driver.copy(&CUDA_MEMCPY2D { srcMemoryType: 3, ..good }), NOT_SUPPORTED);
}

#[test]
fn a_planned_call_fails_and_the_others_do_not() {
    let driver = Driver::current();
    let fail = |nth, times, status| {
        driver.gpu.plan_cuda("cuMemcpy2D_v2", nth, times, Effect::Status(status)).unwrap();
    };
    fail(2, 2, 0xdead);
    fail(5, u32::MAX, u32::MAX);
    let mut bytes = [0; 1];
    let nothing = out_of(0, 1, &mut bytes, 1, 0);
    let results: Vec<_> = (0..7).map(|_| driver.copy(&nothing)).collect();
    assert_eq!(results[..4], [OK, Err(0xdead), Err(0xdead), OK]);
    assert_eq!(results[4..], [Err(u32::MAX); 3]);
    assert!(driver.gpu.plan_cuda("cuNothing", 1, 1, Effect::Hang).is_err());
    assert!(driver.gpu.plan_cuda("cuInit", 0, 1, Effect::Hang).is_err());
    driver.broke(&[]);
}

#[test]
fn a_call_hangs_until_it_is_released_and_others_go_on() {
    let driver = Driver::fresh();
    driver.gpu.plan_cuda("cuDevicePrimaryCtxRetain", 1, 1, Effect::Hang).unwrap();
    std::thread::scope(|scope| {
        let hung = scope.spawn(|| driver.retain().map(drop));
        // Time to get there and to come back, which a hanging call does not do however long it is.
        std::thread::sleep(Duration::from_millis(50));
        assert!(!hung.is_finished());
        assert_eq!(call!(driver, "cuInit"(0 => u32)), OK);
        driver.left(&[]);
        let started = Instant::now();
        while !hung.is_finished() && started.elapsed() < Duration::from_secs(60) {
            driver.gpu.release_cuda().unwrap();
            std::thread::yield_now();
        }
        assert_eq!(hung.join().unwrap(), OK, "and then it does what it was asked");
    });
    driver.left(&["1 x primary context not released"]);
}

/// What stands behind a context of the double, for the double of NVENC.
#[repr(C)]
struct FakeContext {
    magic: [u8; 8],
    resolve: unsafe extern "C" fn(CUcontext, u64, u64, *mut [u64; 3]) -> u32,
    read: unsafe extern "C" fn(CUcontext, u64, u64, *mut u8) -> u32,
    write: unsafe extern "C" fn(CUcontext, u64, u64, *const u8) -> u32,
}

#[test]
fn a_context_tells_where_memory_lies_and_copies_it() {
    let driver = Driver::current();
    let context = driver.retain().unwrap();
    // SAFETY: a context of the double is a static of this type.
    let behind = unsafe { &*context.cast::<FakeContext>() };
    assert_eq!(&behind.magic, b"nearfake");
    let mut memory = Exported::lavapipe(BYTES).unwrap();
    let imported = driver.import(&memory, BYTES).unwrap();
    let buffer = driver.map(imported, 100, 1000).unwrap();
    memory.bytes_mut()[150..154].copy_from_slice(b"seen");
    let (mut origin, mut bytes) = ([0; 3], [0; 4]);
    // SAFETY: each writes or reads as many bytes as there are, and checks the rest.
    unsafe {
        assert_eq!((behind.resolve)(context, buffer + 50, 4, &raw mut origin), 0);
        assert_eq!((behind.read)(context, buffer + 50, 4, bytes.as_mut_ptr()), 0);
        assert_eq!((behind.write)(context, buffer + 60, 4, b"told".as_ptr()), 0);
        assert_eq!((behind.read)(nonsense(), buffer, 4, bytes.as_mut_ptr()), 201);
        driver.broke(&[]);
        assert_eq!((behind.read)(context, buffer + 997, 4, bytes.as_mut_ptr()), 1);
    }
    assert_eq!(origin, [imported.addr() as u64, 150, 950]);
    assert_eq!((&bytes, &memory.bytes_mut()[160..164]), (b"seen", b"told".as_slice()));
    driver.broke(&["read: device memory that is not mapped"]);
}
