//! The gamepad that games see, as the node and the library in the game both know it: what the kernel's driver `xpad`
//! shows of the most common one, which every game's table of gamepads has.
//!
//! A stream of a device carries `struct input_event` (`linux/input.h`) to the game, or `struct js_event`
//! (`linux/joystick.h`) where it was opened as `js`. Back come events of the game's own, and records of the same
//! shape that say what it asked for by `ioctl`.

/// Names of devices, each followed by the number of the gamepad.
pub(crate) const NAMES: [&[u8]; 2] = [b"event", b"js"];

/// `EV_SYN`: what came belongs together.
pub(crate) const EV_SYN: u16 = 0;
/// `EV_KEY`: a button.
pub(crate) const EV_KEY: u16 = 1;
/// `EV_ABS`: an axis.
pub(crate) const EV_ABS: u16 = 3;
/// `EV_FF`: an effect is played.
pub(crate) const EV_FF: u16 = 0x15;
/// Effects that it remembers.
pub(crate) const EFFECTS: usize = 16;

/// Buttons, in the order of their codes: `BTN_A` `B` `X` `Y`, `TL` `TR`, `SELECT` `START` `MODE`, `THUMBL` `THUMBR`.
pub(crate) const BUTTONS: [u16; 11] =
    [0x130, 0x131, 0x133, 0x134, 0x136, 0x137, 0x13a, 0x13b, 0x13c, 0x13d, 0x13e];
/// Axes, in the order of their codes: code, least and greatest value. `ABS_X` `Y` `Z`, `RX` `RY` `RZ`, `HAT0X` `HAT0Y`.
pub(crate) const AXES: [(u16, i32, i32); 8] = [
    (0x00, -32_768, 32_767),
    (0x01, -32_768, 32_767),
    (0x02, 0, 255),
    (0x03, -32_768, 32_767),
    (0x04, -32_768, 32_767),
    (0x05, 0, 255),
    (0x10, -1, 1),
    (0x11, -1, 1),
];

/// Bytes of a `struct input_event` where a word has 64 bits: seconds and microseconds `i64`, type and code `u16`,
/// value `i32`.
pub(crate) const RECORD: usize = 24;
/// Type of a record by which an effect is remembered: the code is its number, the value is the strong magnitude in the
/// upper and the weak one in the lower half, the seconds are its length in milliseconds.
pub(crate) const UPLOAD: u16 = 0x7f01;
/// Type of a record by which the effect of this number is forgotten.
pub(crate) const ERASE: u16 = 0x7f02;
/// Type of a record by which events bear the time of another clock: its number is the value.
pub(crate) const CLOCK: u16 = 0x7f03;

/// A record. `seconds` and `value` mean what its type says.
pub(crate) fn record(seconds: i64, micros: i64, kind: u16, code: u16, value: i32) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
    bytes[8..16].copy_from_slice(&micros.to_ne_bytes());
    bytes[16..18].copy_from_slice(&kind.to_ne_bytes());
    bytes[18..20].copy_from_slice(&code.to_ne_bytes());
    bytes[20..].copy_from_slice(&value.to_ne_bytes());
    bytes
}
