//! What tests tell this double and ask of it. `testkit::FakeGpu` wraps all of it.

use std::ffi::{CStr, c_char};

use crate::driver::{Effect, Plan};
use crate::{CALLS, RELEASED, driver, guarded};

/// As an effect of `fake_plan`: the call waits for `fake_release`, then does what it was asked.
const HANG: u64 = u64::MAX;

/// From now on `cuInit` answers `result`.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_init_answers(result: u32) {
    guarded((), || driver().init_answers = result);
}

/// The driver's version, 1000 a major one and 10 a minor one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_version(version: u32) {
    guarded((), || driver().version = version as i32);
}

/// How many devices there are said to be. The first alone is one.
#[unsafe(no_mangle)]
pub extern "C" fn fake_cuda_devices(count: u32) {
    guarded((), || driver().devices = count as i32);
}

/// From the `nth` call of a function on, counted from now and beginning with 1, as many as `times` calls
/// answer `effect` and do nothing, or hang. Answers 0 where there is no such function.
///
/// # Safety
/// `call` is a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_plan(call: *const c_char, nth: u32, times: u32, effect: u64) -> u32 {
    guarded(0, || {
        // SAFETY: the caller's word.
        let name = unsafe { CStr::from_ptr(call) }.to_bytes();
        let effect = match u32::try_from(effect) {
            Ok(status) => Effect::Status(status),
            Err(_) if effect == HANG => Effect::Hang,
            Err(_) => return 0,
        };
        let known = CALLS.iter().find(|known| known.as_bytes() == name);
        let (Some(&call), Some(skip)) = (known, nth.checked_sub(1)) else { return 0 };
        driver().plan(Plan { call, skip, times, effect });
        1
    })
}

/// Ends all hangs of this moment.
#[unsafe(no_mangle)]
pub extern "C" fn fake_release() {
    guarded((), || {
        driver().releases += 1;
        RELEASED.notify_all();
    });
}

/// All calls with their results, a line each. Answers the bytes that the text has, and writes as many as
/// there is room for.
///
/// # Safety
/// `room` bytes can be written at `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_log(to: *mut u8, room: usize) -> usize {
    // SAFETY: passed on.
    guarded(0, || unsafe { put_text(&driver().log_text(), to, room) })
}

/// Rules that were broken, a line each with the call that broke it; as `fake_log`.
///
/// # Safety
/// As `fake_log`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_rules(to: *mut u8, room: usize) -> usize {
    // SAFETY: passed on.
    guarded(0, || unsafe { put_text(&driver().broken_text(), to, room) })
}

/// What was not given back so far, a line each; as `fake_log`.
///
/// # Safety
/// As `fake_log`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_leftovers(to: *mut u8, room: usize) -> usize {
    // SAFETY: passed on.
    guarded(0, || unsafe { put_text(&driver().leftovers_text(), to, room) })
}

/// # Safety
/// `room` bytes can be written at `to`.
unsafe fn put_text(text: &str, to: *mut u8, room: usize) -> usize {
    if !to.is_null() {
        // SAFETY: the caller's word; a text of ours does not overlap memory of theirs.
        unsafe { to.copy_from_nonoverlapping(text.as_ptr(), text.len().min(room)) };
    }
    text.len()
}
