//! Reports of a DualSense by USB, from the controller's side. Pure. Layouts as Linux's driver reads and writes them
//! (`drivers/hid/hid-playstation.c`).

use media::{PadButtons, PadEffects, PadMotion, PadState, PadTouch, Rumble};

/// What it says of itself: the gamepad's axes, hat and buttons, then bytes of its maker; the report that it is told
/// things by; feature reports.
pub(super) const DESCRIPTOR: [u8; 273] = [
    0x05, 0x01, 0x09, 0x05, 0xa1, 0x01, // a gamepad
    0x85, 0x01, 0x09, 0x30, 0x09, 0x31, 0x09, 0x32, 0x09, 0x35, 0x09, 0x33, 0x09, 0x34, 0x15, 0x00,
    0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x06, 0x81, 0x02, // six axes
    0x06, 0x00, 0xff, 0x09, 0x20, 0x95, 0x01, 0x81, 0x02, // a count
    0x05, 0x01, 0x09, 0x39, 0x15, 0x00, 0x25, 0x07, 0x35, 0x00, 0x46, 0x3b, 0x01, 0x65, 0x14, 0x75,
    0x04, 0x95, 0x01, 0x81, 0x42, 0x65, 0x00, // a hat
    0x05, 0x09, 0x19, 0x01, 0x29, 0x0f, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x0f, 0x81,
    0x02, // fifteen buttons
    0x06, 0x00, 0xff, 0x09, 0x21, 0x95, 0x0d, 0x81, 0x02, // and more bits
    0x06, 0x00, 0xff, 0x09, 0x22, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x34, 0x81,
    0x02, // motion, touchpad
    0x85, 0x02, 0x09, 0x23, 0x95, 0x2f, 0x91, 0x02, // what it is told
    0x85, 0x05, 0x09, 0x33, 0x95, 0x28, 0xb1, 0x02, 0x85, 0x08, 0x09, 0x34, 0x95, 0x2f, 0xb1, 0x02,
    0x85, 0x09, 0x09, 0x24, 0x95, 0x13, 0xb1, 0x02, 0x85, 0x0a, 0x09, 0x25, 0x95, 0x1a, 0xb1, 0x02,
    0x85, 0x20, 0x09, 0x26, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x21, 0x09, 0x27, 0x95, 0x04, 0xb1, 0x02,
    0x85, 0x22, 0x09, 0x40, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x80, 0x09, 0x28, 0x95, 0x3f, 0xb1, 0x02,
    0x85, 0x81, 0x09, 0x29, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x82, 0x09, 0x2a, 0x95, 0x09, 0xb1, 0x02,
    0x85, 0x83, 0x09, 0x2b, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0x84, 0x09, 0x2c, 0x95, 0x3f, 0xb1, 0x02,
    0x85, 0x85, 0x09, 0x2d, 0x95, 0x02, 0xb1, 0x02, 0x85, 0xa0, 0x09, 0x2e, 0x95, 0x01, 0xb1, 0x02,
    0x85, 0xe0, 0x09, 0x2f, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf0, 0x09, 0x30, 0x95, 0x3f, 0xb1, 0x02,
    0x85, 0xf1, 0x09, 0x31, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf2, 0x09, 0x32, 0x95, 0x0f, 0xb1, 0x02,
    0x85, 0xf4, 0x09, 0x35, 0x95, 0x3f, 0xb1, 0x02, 0x85, 0xf5, 0x09, 0x36, 0x95, 0x03, 0xb1, 0x02,
    0xc0,
];

/// Bytes of a report with its number.
pub(super) const INPUT: usize = 64;
/// Numbers of reports: what it says, what it is told.
const SAYS: u8 = 1;
const IS_TOLD: u8 = 2;
/// Bytes of what it is told, without the number.
const TOLD: usize = 47;
/// Pixels of the touchpad.
const TOUCHPAD: [u32; 2] = [1920, 1080];

/// Everything that it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DualSenseState {
    /// Buttons, sticks and triggers.
    pub pad: PadState,
    /// How it moves.
    pub motion: PadMotion,
    /// What lies on its touchpad.
    pub touch: PadTouch,
}

/// What it is told; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Both motors, until it is told otherwise.
    pub rumble: Option<Rumble>,
    /// Lights and triggers.
    pub effects: PadEffects,
}

/// Bits of the three bytes of buttons: first byte above the hat, second, third.
const BUTTONS: [(u32, usize, u8); 13] = [
    (PadButtons::WEST, 0, 0x10),
    (PadButtons::SOUTH, 0, 0x20),
    (PadButtons::EAST, 0, 0x40),
    (PadButtons::NORTH, 0, 0x80),
    (PadButtons::LEFT_SHOULDER, 1, 0x01),
    (PadButtons::RIGHT_SHOULDER, 1, 0x02),
    (1 << 6, 1, 0x04),
    (1 << 7, 1, 0x08),
    (PadButtons::SELECT, 1, 0x10),
    (PadButtons::START, 1, 0x20),
    (PadButtons::LEFT_STICK, 1, 0x40),
    (PadButtons::RIGHT_STICK, 1, 0x80),
    (PadButtons::GUIDE, 2, 0x01),
];

/// The report that says it; `count` numbers reports.
pub(super) fn report(state: &DualSenseState, count: u8) -> [u8; INPUT] {
    let DualSenseState { pad, motion, touch } = state;
    let mut bytes = [0; INPUT];
    bytes[0] = SAYS;
    for (byte, axis) in bytes[1..5].iter_mut().zip(pad.axes) {
        // From 0 to 255, 128 being the middle.
        *byte = ((i32::from(axis) + 32_768) >> 8) as u8;
    }
    bytes[5..7].copy_from_slice(&pad.triggers);
    bytes[7] = count;
    bytes[8] = hat(pad.buttons);
    for (button, byte, bit) in BUTTONS {
        if pad.buttons.is_down(button) {
            bytes[8 + byte] |= bit;
        }
    }
    bytes[10] |= u8::from(touch.pressed) << 1;
    for (at, part) in motion.gyro.into_iter().chain(motion.accel).enumerate() {
        bytes[16 + 2 * at..18 + 2 * at].copy_from_slice(&part.to_le_bytes());
    }
    // Its clock counts thirds of a microsecond.
    bytes[28..32].copy_from_slice(&motion.time_us.wrapping_mul(3).to_le_bytes());
    for (finger, bytes) in touch.fingers.into_iter().zip(bytes[33..41].as_chunks_mut::<4>().0) {
        let Some(finger) = finger else {
            bytes[0] = 0x80;
            continue;
        };
        let pixel = |at: u16, edge: u32| (u32::from(at) * (edge - 1) + 32_767) / 65_535;
        let packed = pixel(finger.x, TOUCHPAD[0]) | pixel(finger.y, TOUCHPAD[1]) << 12;
        bytes[0] = finger.contact & 0x7f;
        bytes[1..].copy_from_slice(&packed.to_le_bytes()[..3]);
    }
    // Full, and on the cable.
    bytes[53] = 0x2a;
    bytes
}

/// Eight directions from up clockwise, then none. Opposite ones cancel each other.
fn hat(buttons: PadButtons) -> u8 {
    let way = |less, more| i8::from(buttons.is_down(more)) - i8::from(buttons.is_down(less));
    let (x, y) = (way(PadButtons::LEFT, PadButtons::RIGHT), way(PadButtons::UP, PadButtons::DOWN));
    match (x, y) {
        (0, -1) => 0,
        (1, -1) => 1,
        (1, 0) => 2,
        (1, 1) => 3,
        (0, 1) => 4,
        (-1, 1) => 5,
        (-1, 0) => 6,
        (-1, -1) => 7,
        _ => 8,
    }
}

/// What it is told by a report with its number; none of what is no such report.
pub(super) fn orders(report: &[u8]) -> Option<Orders> {
    let (&number, told) = report.split_first()?;
    let told: &[u8; TOLD] = told.first_chunk()?;
    if number != IS_TOLD {
        return None;
    }
    let (first, second, third) = (told[0], told[1], told[38]);
    let eleven = |at: usize| std::array::from_fn(|byte| told[at + byte]);
    let motor = |byte: u8| u16::from(byte) * 257;
    // Motors as older controllers had them, in the older or the newer way.
    let rumbles = first & 1 != 0 || third & 4 != 0;
    let rumble = Rumble { strong: motor(told[3]), weak: motor(told[2]), length_ms: u16::MAX };
    let still = rumble.strong == 0 && rumble.weak == 0;
    Some(Orders {
        rumble: rumbles.then_some(if still { Rumble::default() } else { rumble }),
        effects: PadEffects {
            right: (first & 4 != 0).then(|| eleven(10)),
            left: (first & 8 != 0).then(|| eleven(21)),
            light: (second & 4 != 0).then(|| [told[44], told[45], told[46]]),
            players: (second & 16 != 0).then_some(told[43] & 0x1f),
        },
    })
}

/// A feature report that the driver asks for, with its number; none of others.
pub(super) fn feature(number: u8, address: [u8; 6]) -> Option<Vec<u8>> {
    match number {
        // Calibration: reports are in the units that the driver takes an uncalibrated controller to have.
        0x05 => {
            let mut bytes = vec![0; 41];
            bytes[0] = number;
            let (speed, gyro, accel) = (540_i16, 8_640_i16, 8_192_i16);
            let words = [0, 0, 0, gyro, -gyro, gyro, -gyro, gyro, -gyro, speed, speed];
            let words = words.into_iter().chain([accel, -accel, accel, -accel, accel, -accel]);
            for (at, word) in words.enumerate() {
                bytes[1 + 2 * at..3 + 2 * at].copy_from_slice(&word.to_le_bytes());
            }
            Some(bytes)
        }
        // Its address, by which the driver tells controllers apart.
        0x09 => {
            let mut bytes = vec![0; 20];
            bytes[0] = number;
            bytes[1..7].copy_from_slice(&address);
            Some(bytes)
        }
        // Firmware: of hardware 0x0100_0216, new enough for motors in the newer way.
        0x20 => {
            let mut bytes = vec![0; 64];
            bytes[0] = number;
            bytes[24..28].copy_from_slice(&0x0100_0216_u32.to_le_bytes());
            bytes[28..32].copy_from_slice(&0x0100_0002_u32.to_le_bytes());
            bytes[44..46].copy_from_slice(&0x0224_u16.to_le_bytes());
            Some(bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use media::PadFinger;

    use super::*;

    /// Adds up the bits of each report, by its kind and number, as a parser of descriptors does (HID 1.11 §6.2.2).
    fn sizes() -> Vec<(u8, u8, u32)> {
        let (mut size, mut count, mut number) = (0, 0, 0);
        let mut found: Vec<(u8, u8, u32)> = Vec::new();
        let mut at = 0;
        while at < DESCRIPTOR.len() {
            let (tag, length) =
                (DESCRIPTOR[at] & 0xfc, [0, 1, 2, 4][(DESCRIPTOR[at] & 3) as usize]);
            let value = DESCRIPTOR[at + 1..at + 1 + length].iter().rev();
            let value = value.fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
            match tag {
                0x74 => size = value,
                0x94 => count = value,
                0x84 => number = value as u8,
                0x80 | 0x90 | 0xb0 => {
                    match found.iter_mut().find(|(t, n, _)| (*t, *n) == (tag, number)) {
                        Some((.., bits)) => *bits += size * count,
                        None => found.push((tag, number, size * count)),
                    }
                }
                _ => {}
            }
            at += 1 + length;
        }
        found
    }

    #[test]
    fn the_descriptor_has_reports_of_these_sizes() {
        let sizes = sizes();
        for (kind, number, bytes) in [(0x80, 1, INPUT - 1), (0x90, 2, TOLD), (0xb0, 5, 40)] {
            assert!(sizes.contains(&(kind, number, bytes as u32 * 8)), "{sizes:x?}");
        }
        for number in [5, 9, 0x20] {
            let bytes = feature(number, [0; 6]).unwrap();
            assert!(sizes.contains(&(0xb0, number, (bytes.len() as u32 - 1) * 8)), "{number:#x}");
        }
        assert_eq!(feature(1, [0; 6]), None);
    }

    #[test]
    fn what_it_says_lies_where_the_driver_reads_it() {
        let rest = report(&DualSenseState::default(), 7);
        assert_eq!(rest[..12], [1, 128, 128, 128, 128, 0, 0, 7, 8, 0, 0, 0]);
        assert_eq!((rest[33], rest[37]), (0x80, 0x80));
        for (button, byte, bit) in BUTTONS {
            let pad = PadState { buttons: PadButtons::new(button).unwrap(), ..PadState::default() };
            let said = report(&DualSenseState { pad, ..DualSenseState::default() }, 7);
            let mut expected = rest;
            expected[8 + byte] |= bit;
            assert_eq!(said, expected, "{button:#x}");
        }
        let ways = [
            PadButtons::UP,
            PadButtons::UP | PadButtons::RIGHT,
            PadButtons::RIGHT,
            PadButtons::RIGHT | PadButtons::DOWN,
            PadButtons::DOWN,
            PadButtons::DOWN | PadButtons::LEFT,
            PadButtons::LEFT,
            PadButtons::LEFT | PadButtons::UP,
            PadButtons::LEFT | PadButtons::RIGHT,
        ];
        for (value, way) in ways.into_iter().enumerate() {
            assert_eq!(hat(PadButtons::new(way).unwrap()), value as u8);
        }
        let state = DualSenseState {
            pad: PadState {
                axes: [-32_768, 32_767, 0, -1],
                triggers: [3, 255],
                ..PadState::default()
            },
            motion: PadMotion { gyro: [1, -2, 3], accel: [-4, 5, -6], time_us: 0x5555_5556 },
            touch: PadTouch {
                pressed: true,
                fingers: [None, Some(PadFinger { contact: 5, x: 65_535, y: 32_768 })],
            },
        };
        let said = report(&state, 0);
        assert_eq!(said[1..7], [0, 255, 128, 127, 3, 255]);
        assert_eq!(said[10], 2);
        let motion = [1, 0, 0xfe, 0xff, 3, 0, 0xfc, 0xff, 5, 0, 0xfa, 0xff];
        assert_eq!(said[16..28], motion);
        assert_eq!(said[28..32], [2, 0, 0, 0]);
        // 1919 and 540 in twelve bits each.
        assert_eq!(said[33..41], [0x80, 0, 0, 0, 5, 0x7f, 0xc7, 0x21]);
    }

    #[test]
    fn what_it_is_told_is_read_where_the_driver_writes_it() {
        let mut told = [0; 63];
        told[0] = 2;
        let nothing = Orders::default();
        let effects = |effects| Orders { effects, ..nothing };
        assert_eq!(orders(&told), Some(nothing));
        let with = |changes: &[(usize, u8)]| {
            let mut told = told;
            changes.iter().for_each(|&(at, value)| told[1 + at] = value);
            orders(&told).unwrap()
        };
        let rumble = Rumble { strong: 0xffff, weak: 257, length_ms: u16::MAX };
        for flag in [(0, 3), (38, 4)] {
            let orders = with(&[flag, (2, 1), (3, 255)]);
            assert_eq!(orders, Orders { rumble: Some(rumble), ..nothing });
        }
        assert_eq!(with(&[(0, 3)]).rumble, Some(Rumble::default()));
        let trigger = [0x21, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        let bytes = |from: usize| trigger.iter().enumerate().map(move |(at, &b)| (from + at, b));
        let right: Vec<_> = bytes(10).chain([(0, 4)]).collect();
        assert_eq!(
            with(&right),
            effects(PadEffects { right: Some(trigger), ..PadEffects::default() })
        );
        let left: Vec<_> = bytes(21).chain([(0, 8)]).collect();
        assert_eq!(
            with(&left),
            effects(PadEffects { left: Some(trigger), ..PadEffects::default() })
        );
        let light = with(&[(1, 4), (44, 1), (45, 2), (46, 3)]);
        assert_eq!(light, effects(PadEffects { light: Some([1, 2, 3]), ..PadEffects::default() }));
        let players = with(&[(1, 16), (43, 0xff)]);
        assert_eq!(players, effects(PadEffects { players: Some(0x1f), ..PadEffects::default() }));
        for bad in [&told[..0], &told[..47], &[1; 63]] {
            assert_eq!(orders(bad), None);
        }
    }
}
