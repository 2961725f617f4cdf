//! What tests tell this double and ask of it. `testkit::FakeGpu` wraps all of it.

use std::ffi::{CStr, c_char};

use crate::settings::{Codec, Fill, settings};
use crate::{CONTROL, ENTRIES, hardware, session};

fake_control::export_control!(crate::CONTROL);

/// Parts of `FAKE_NVENC_PLAN` that plan no call: `omit ENTRY`, `version MAJOR MINOR`, `create STATUS`,
/// `sessions COUNT`, `deny CODEC`, `ignore rates`, `ignore keyframes`. Whether it is one.
pub(crate) fn tell(words: &[&str]) -> bool {
    let number = |word: &str| word.parse::<u32>().ok();
    match *words {
        ["omit", entry] => omit(entry.as_bytes()),
        ["version", major, minor] => match (number(major), number(minor)) {
            (Some(major), Some(minor)) => {
                settings().version = major << 4 | minor;
                true
            }
            _ => false,
        },
        ["create", status] => number(status).map(|s| settings().create_answers = s).is_some(),
        ["sessions", count] => number(count).map(|c| settings().sessions = c).is_some(),
        ["deny", codec] => Codec::named(codec).map(|codec| settings().deny(codec)).is_some(),
        ["ignore", "rates"] => {
            settings().ignores_rates = true;
            true
        }
        ["ignore", "keyframes"] => {
            settings().ignores_keyframes = true;
            true
        }
        _ => false,
    }
}

fn omit(entry: &[u8]) -> bool {
    let place = ENTRIES.iter().position(|name| name.as_bytes() == entry);
    place.map(|place| settings().omitted |= 1 << place).is_some()
}

/// The version that the driver claims.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_version(version: u32) {
    CONTROL.guarded((), || settings().version = version);
}

/// `NvEncodeAPICreateInstance` answers this status, which no header need know.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_create_answers(status: u32) {
    CONTROL.guarded((), || settings().create_answers = status);
}

/// Leaves the entry of this name out of the table. Answers 0 where there is none.
///
/// # Safety
/// `entry` is a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_nvenc_omit(entry: *const c_char) -> u32 {
    // SAFETY: the caller's word.
    CONTROL.guarded(0, || omit(unsafe { CStr::from_ptr(entry) }.to_bytes()).into())
}

/// How many sessions can be open at once.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_sessions(count: u32) {
    CONTROL.guarded((), || settings().sessions = count);
}

/// The codec of this name (`h264`, `hevc`, `av1`) is not offered. Answers 0 where there is none.
///
/// # Safety
/// `codec` is a text that ends with a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_nvenc_deny(codec: *const c_char) -> u32 {
    CONTROL.guarded(0, || {
        // SAFETY: the caller's word.
        let codec = Codec::named(unsafe { CStr::from_ptr(codec) }.to_str().unwrap_or_default());
        codec.map(|codec| settings().deny(codec)).is_some().into()
    })
}

/// From now on a codec's capability, by its number in `NV_ENC_CAPS`, is `value`. Answers 0 where there is
/// no such codec.
///
/// # Safety
/// As `fake_nvenc_deny`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_nvenc_cap(codec: *const c_char, cap: u32, value: i32) -> u32 {
    CONTROL.guarded(0, || {
        // SAFETY: the caller's word.
        let codec = Codec::named(unsafe { CStr::from_ptr(codec) }.to_str().unwrap_or_default());
        codec.map(|codec| settings().change(codec, cap, value)).is_some().into()
    })
}

/// Whether inputs in device memory are overwritten with 0xA5 once they were coded, which they are
/// without being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_poison(on: u32) {
    CONTROL.guarded((), || settings().poison = on != 0);
}

/// Whether pictures become the long-term references that they are told to become, which they do without
/// being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_marks(on: u32) {
    CONTROL.guarded((), || settings().marks = on != 0);
}

/// Whether pictures are coded from the long-term references that they are told to be, which they are
/// without being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_goes_back(on: u32) {
    CONTROL.guarded((), || settings().goes_back = on != 0);
}

/// Whether units have parameter sets where they are told to, which they have without being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_parameter_sets(on: u32) {
    CONTROL.guarded((), || settings().parameter_sets = on != 0);
}

/// Whether pictures of H.264 are counted with eight bits less than OpenH264 counts them with, which they are not
/// without being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_few_numbers(on: u32) {
    CONTROL.guarded((), || settings().few_numbers = on != 0);
}

/// For how many nanoseconds each slice of the newest picture has been ready, for `room` of them; how many those are.
///
/// # Safety
/// There is room for so many numbers at `to`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_nvenc_slice_ages(to: *mut u64, room: usize) -> usize {
    CONTROL.guarded(0, || {
        let ages = hardware::slice_ages();
        let count = ages.len().min(room);
        // SAFETY: the caller's word.
        unsafe { to.copy_from_nonoverlapping(ages.as_ptr(), count) };
        count
    })
}

/// What sessions that run ignore without a word: bit 0 is a new bit rate, bit 1 a request for a keyframe.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_ignores(orders: u32) {
    CONTROL.guarded((), || {
        let mut settings = settings();
        (settings.ignores_rates, settings.ignores_keyframes) = (orders & 1 != 0, orders & 2 != 0);
    });
}

/// This number stands in fields of enumerations that the driver fills: presets, results of locks, mapped
/// formats.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_fill(number: u32) {
    CONTROL.guarded((), || settings().fill = Fill::Number(number));
}

/// They have their right values again.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_fill_right() {
    CONTROL.guarded((), || settings().fill = Fill::Right);
}

/// How long the hardware takes for a picture beside what coding it takes, in microseconds; 0 at first. Slices
/// that are read one by one are ready one after another in that time.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_delay(microseconds: u32) {
    CONTROL.guarded((), || settings().delay = microseconds);
}

/// How many slices of each picture the hardware seems to be done with: whoever asks for more waits, or is told
/// of so many. All of them without being told.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_slices(most: u32) {
    CONTROL.guarded((), || {
        settings().slices = most;
        session::tell_all();
    });
}

/// The next lock of a picture, or one that waits for slices, answers this status, which no header need know.
#[unsafe(no_mangle)]
pub extern "C" fn fake_nvenc_breaks(status: u32) {
    CONTROL.guarded((), || {
        settings().breaks = Some(status);
        session::tell_all();
    });
}

/// What was not given back so far, a line each; as `fake_log`.
///
/// # Safety
/// As `fake_log`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fake_leftovers(to: *mut u8, room: usize) -> usize {
    // SAFETY: passed on.
    unsafe { CONTROL.put_text(session::leftovers_text, to, room) }
}
