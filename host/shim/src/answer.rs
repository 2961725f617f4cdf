//! What a gamepad answers to `ioctl` (`linux/input.h`, `linux/joystick.h`).

use core::ffi::{c_int, c_ulong, c_void};
use core::sync::atomic::{AtomicU16, Ordering};

use super::device::{
    AXES, BUTTONS, CLOCK, EFFECTS, ERASE, EV_ABS, EV_FF, EV_KEY, EV_SYN, RECORD, UPLOAD, record,
};

/// What it calls itself.
const NAME: &[u8] = b"Microsoft X-Box 360 pad\0";
/// Bus (USB), vendor, product and version.
const ID: [u16; 4] = [3, 0x045e, 0x028e, 0x0110];
/// `FF_RUMBLE`: the one kind of effect that it has.
const FF_RUMBLE: u16 = 0x50;
/// `EV_VERSION`.
const EVENT_VERSION: u32 = 0x01_00_01;
/// `JS_VERSION`.
const JS_VERSION: u32 = 0x02_01_00;
/// Bytes of the largest set of bits: `KEY_MAX` is 0x2ff.
const MOST_BITS: usize = 0x300 / 8;
/// Bytes of `struct ff_effect`, whose numbers are read by their places.
const EFFECT: usize = 48;

/// Effects that are in use, of each gamepad. Those of a descriptor that was closed stay so until their number is needed.
static IN_USE: [AtomicU16; 4] = [const { AtomicU16::new(0) }; 4];

type Answer = Result<c_int, c_int>;

/// The number of a request, and the size of its argument (`asm-generic/ioctl.h`).
fn parts(request: c_ulong) -> (u8, usize) {
    (request as u8, (request >> 16) as usize & 0x3fff)
}

/// Writes as much as there is room for; how much that was.
///
/// # Safety
/// `to` has room for `room` bytes.
unsafe fn put(to: *mut c_void, room: usize, bytes: &[u8]) -> Answer {
    if to.is_null() {
        return Err(libc::EFAULT);
    }
    let length = bytes.len().min(room);
    // SAFETY: as the caller says.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast::<u8>(), length) };
    Ok(length as c_int)
}

/// Of an input device.
///
/// # Safety
/// `argument` is what the request says.
pub(super) unsafe fn event(
    fd: c_int,
    number: u8,
    request: c_ulong,
    argument: *mut c_void,
) -> Answer {
    let (what, room) = parts(request);
    // SAFETY: as the caller says, in what follows.
    let put = |bytes: &[u8]| unsafe { put(argument, room, bytes) };
    let zeros = || put(&[0; MOST_BITS]);
    match what {
        // EVIOCGVERSION, EVIOCGID.
        0x01 => put(&EVENT_VERSION.to_ne_bytes()).map(|_| 0),
        0x02 => put(&words(&ID)).map(|_| 0),
        // EVIOCGNAME; EVIOCGPHYS and EVIOCGUNIQ, which it has none of.
        0x06 => put(NAME),
        0x07 | 0x08 => Err(libc::ENOENT),
        // EVIOCGPROP, EVIOCGKEY, EVIOCGLED, EVIOCGSND, EVIOCGSW. What is down comes as events at once.
        0x09 | 0x18..=0x1b => zeros(),
        0x20..=0x3f => {
            let (bits, length) = bits(u16::from(what - 0x20));
            put(bits.get(..length).unwrap_or(&[]))
        }
        // EVIOCGABS.
        0x40..=0x7f => {
            let axis = AXES.iter().find(|axis| axis.0 == u16::from(what - 0x40));
            let (_, least, greatest) = axis.ok_or(libc::EINVAL)?;
            put(&integers(&[0, *least, *greatest, 0, 0, 0])).map(|_| 0)
        }
        // EVIOCSFF, EVIOCRMFF, EVIOCGEFFECTS.
        // SAFETY: as the caller says.
        0x80 if room == EFFECT => unsafe { remember(fd, number, argument.cast()) },
        0x81 => {
            let id = argument as usize;
            if id >= EFFECTS {
                return Err(libc::EINVAL);
            }
            in_use(number).fetch_and(!(1 << id), Ordering::Relaxed);
            send(fd, &record(0, 0, ERASE, id as u16, 0))
        }
        0x84 => put(&integers(&[EFFECTS as i32])).map(|_| 0),
        // EVIOCGRAB, EVIOCREVOKE: nobody else has it.
        0x90 | 0x91 => Ok(0),
        // EVIOCSCLOCKID.
        0xa0 if room == size_of::<c_int>() && !argument.is_null() => {
            // SAFETY: as the caller says.
            let clock = unsafe { argument.cast::<c_int>().read_unaligned() };
            match clock {
                libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC => {
                    send(fd, &record(0, 0, CLOCK, 0, clock))
                }
                _ => Err(libc::EINVAL),
            }
        }
        // EVIOCSABS: its axes are what they are.
        0xc0..=0xff => Ok(0),
        _ => Err(libc::EINVAL),
    }
}

/// Of a joystick.
///
/// # Safety
/// As above.
pub(super) unsafe fn js(request: c_ulong, argument: *mut c_void) -> Answer {
    let (what, room) = parts(request);
    // SAFETY: as the caller says, in what follows.
    let put = |bytes: &[u8]| unsafe { put(argument, room, bytes) };
    match what {
        // JSIOCGVERSION, JSIOCGAXES, JSIOCGBUTTONS, JSIOCGNAME.
        0x01 => put(&JS_VERSION.to_ne_bytes()).map(|_| 0),
        0x11 => put(&[AXES.len() as u8]).map(|_| 0),
        0x12 => put(&[BUTTONS.len() as u8]).map(|_| 0),
        0x13 => put(NAME),
        // JSIOCSCORR, JSIOCSAXMAP, JSIOCSBTNMAP: they are what they are.
        0x21 | 0x31 | 0x33 => Ok(0),
        // JSIOCGCORR: none.
        0x22 => put(&[0; 36 * AXES.len()]).map(|_| 0),
        // JSIOCGAXMAP, JSIOCGBTNMAP.
        0x32 => put(&AXES.map(|axis| axis.0 as u8)),
        0x34 => put(&words(&BUTTONS)),
        _ => Err(libc::EINVAL),
    }
}

/// `EVIOCGBIT`: codes that it has of a type of event, or types; and how many bytes say so.
fn bits(kind: u16) -> ([u8; MOST_BITS], usize) {
    let mut bits = [0; MOST_BITS];
    let mut set = |code: u16| {
        if let Some(byte) = bits.get_mut(usize::from(code / 8)) {
            *byte |= 1 << (code % 8);
        }
    };
    let length = match kind {
        EV_SYN => {
            [EV_SYN, EV_KEY, EV_ABS, EV_FF].into_iter().for_each(set);
            8
        }
        EV_KEY => {
            BUTTONS.into_iter().for_each(set);
            MOST_BITS
        }
        EV_ABS => {
            AXES.into_iter().for_each(|axis| set(axis.0));
            8
        }
        EV_FF => {
            set(FF_RUMBLE);
            16
        }
        _ => 8,
    };
    (bits, length)
}

fn in_use(number: u8) -> &'static AtomicU16 {
    &IN_USE[usize::from(number) % IN_USE.len()]
}

/// Takes an effect up, under a number of ours where it has none.
///
/// # Safety
/// `effect` is null or a `struct ff_effect`.
unsafe fn remember(fd: c_int, number: u8, effect: *mut u8) -> Answer {
    if effect.is_null() {
        return Err(libc::EFAULT);
    }
    // SAFETY: as the caller says; its fields are two bytes each.
    let field = |at: usize| unsafe { effect.add(at).cast::<u16>().read_unaligned() };
    let (kind, id, length, strong, weak) = (field(0), field(2), field(10), field(16), field(18));
    if kind != FF_RUMBLE {
        return Err(libc::EINVAL);
    }
    let used = in_use(number);
    let id = match id {
        u16::MAX => {
            // The first that is free; where none is, one that a program which closed the device may have left.
            let id = used.load(Ordering::Relaxed).trailing_ones() as u16 % EFFECTS as u16;
            // SAFETY: as above.
            unsafe { effect.add(2).cast::<u16>().write_unaligned(id) };
            id
        }
        id if usize::from(id) < EFFECTS => id,
        _ => return Err(libc::EINVAL),
    };
    used.fetch_or(1 << id, Ordering::Relaxed);
    let value = (u32::from(strong) << 16 | u32::from(weak)).cast_signed();
    send(fd, &record(length.into(), 0, UPLOAD, id, value))
}

fn send(fd: c_int, record: &[u8; RECORD]) -> Answer {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the record is as long as that.
    let sent = unsafe { libc::send(fd, record.as_ptr().cast(), RECORD, flags) };
    if sent == RECORD as isize { Ok(0) } else { Err(libc::ENODEV) }
}

fn words<const N: usize>(words: &[u16; N]) -> [u8; 22] {
    let mut bytes = [0; 22];
    for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *to = word.to_ne_bytes();
    }
    bytes
}

fn integers<const N: usize>(integers: &[i32; N]) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (to, integer) in bytes.as_chunks_mut().0.iter_mut().zip(integers) {
        *to = integer.to_ne_bytes();
    }
    bytes
}
