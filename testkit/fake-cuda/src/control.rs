//! What tests tell this double and ask of it. `testkit::FakeGpu` wraps all of it.

use crate::{CONTROL, driver};

/// From now on `cuInit` answers `result`.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_init_answers(result: u32) {
    CONTROL.guarded((), || driver().init_answers = result);
}

/// The driver's version, 1000 a major one and 10 a minor one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_version(version: u32) {
    CONTROL.guarded((), || driver().version = version as i32);
}

/// How many devices there are said to be. The first alone is one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_devices(count: u32) {
    CONTROL.guarded((), || driver().devices = count as i32);
}

/// From now on the device has this UUID, so that it is the one that another interface names.
///
/// # Safety
/// 16 bytes can be read at `uuid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_cuda_uuid(uuid: *const [u8; 16]) {
    // SAFETY: the caller's word.
    CONTROL.guarded((), || driver().uuid = unsafe { uuid.read() });
}

/// From now on another device is listed before the one that is one. It has this UUID, and no context.
///
/// # Safety
/// 16 bytes can be read at `uuid`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_cuda_other_device(uuid: *const [u8; 16]) {
    // SAFETY: the caller's word.
    CONTROL.guarded((), || driver().other = Some(unsafe { uuid.read() }));
}

fake_control::export_control!(crate::CONTROL);

/// What was not given back so far, a line each; as `fake_log`.
///
/// # Safety
/// As `fake_log`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_leftovers(to: *mut u8, room: usize) -> usize {
    // SAFETY: passed on.
    unsafe { CONTROL.put_text(|| driver().leftovers_text(), to, room) }
}
