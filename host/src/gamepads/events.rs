//! What is written to a game. Pure.

use media::{PadButtons, PadState};

use super::device::{AXES, BUTTONS, EV_ABS, EV_KEY, EV_SYN, record};

/// `SYN_REPORT`.
const SYN_REPORT: u16 = 0;
/// `JS_EVENT_BUTTON`, `JS_EVENT_AXIS`, `JS_EVENT_INIT`.
const JS_BUTTON: u8 = 1;
const JS_AXIS: u8 = 2;
const JS_INIT: u8 = 0x80;
/// Greatest value of an axis of a joystick.
const JS_MOST: i32 = 32_767;

/// How a program opened a gamepad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interface {
    /// `struct input_event`s.
    Event,
    /// `struct js_event`s.
    Js,
}

/// The time that events bear.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) seconds: i64,
    pub(crate) nanos: i64,
}

/// Which of [`BUTTONS`] are down. The triggers are axes only, as with the real one.
fn buttons(state: &PadState) -> [bool; BUTTONS.len()] {
    use PadButtons as B;
    [
        B::SOUTH,
        B::EAST,
        B::WEST,
        B::NORTH,
        B::LEFT_SHOULDER,
        B::RIGHT_SHOULDER,
        B::SELECT,
        B::START,
        B::GUIDE,
        B::LEFT_STICK,
        B::RIGHT_STICK,
    ]
    .map(|button| state.buttons.is_down(button))
}

/// Where [`AXES`] are.
fn axes(state: &PadState) -> [i32; AXES.len()] {
    let between = |less, more| {
        i32::from(state.buttons.is_down(more)) - i32::from(state.buttons.is_down(less))
    };
    let ([x, y, rx, ry], [left, right]) =
        (state.axes.map(i32::from), state.triggers.map(i32::from));
    let hat_x = between(PadButtons::LEFT, PadButtons::RIGHT);
    let hat_y = between(PadButtons::UP, PadButtons::DOWN);
    [x, y, left, rx, ry, right, hat_x, hat_y]
}

impl Interface {
    /// What tells a program that had `from` that it is `to` now.
    pub(crate) fn tell(self, from: &PadState, to: &PadState, at: Stamp, out: &mut Vec<u8>) {
        let (micros, millis) = (at.nanos / 1_000, at.seconds * 1_000 + at.nanos / 1_000_000);
        let begin = out.len();
        for (number, (was, is)) in buttons(from).into_iter().zip(buttons(to)).enumerate() {
            match self {
                _ if was == is => {}
                Self::Event => {
                    out.extend(record(at.seconds, micros, EV_KEY, BUTTONS[number], is.into()));
                }
                Self::Js => out.extend(js_event(millis, is.into(), JS_BUTTON, number)),
            }
        }
        for (number, (was, is)) in axes(from).into_iter().zip(axes(to)).enumerate() {
            match self {
                _ if was == is => {}
                Self::Event => {
                    out.extend(record(at.seconds, micros, EV_ABS, AXES[number].0, is));
                }
                Self::Js => out.extend(js_event(millis, spread(number, is), JS_AXIS, number)),
            }
        }
        if self == Self::Event && out.len() > begin {
            out.extend(record(at.seconds, micros, EV_SYN, SYN_REPORT, 0));
        }
    }

    /// What a program is told that has just opened it.
    pub(super) fn greet(self, state: &PadState, at: Stamp, out: &mut Vec<u8>) {
        if self == Self::Event {
            return self.tell(&PadState::default(), state, at, out);
        }
        let millis = at.seconds * 1_000 + at.nanos / 1_000_000;
        for (number, is) in buttons(state).into_iter().enumerate() {
            out.extend(js_event(millis, is.into(), JS_BUTTON | JS_INIT, number));
        }
        for (number, is) in axes(state).into_iter().enumerate() {
            out.extend(js_event(millis, spread(number, is), JS_AXIS | JS_INIT, number));
        }
    }
}

/// A joystick's axes are as wide as can be, both ways.
fn spread(number: usize, value: i32) -> i16 {
    let (_, least, greatest) = AXES[number];
    let [wanted, least, greatest, most] = [value, least, greatest, JS_MOST].map(i64::from);
    let wide = (wanted - least) * 2 * most / (greatest - least) - most;
    // The middle of an even number of values is between two.
    let wide = if value == 0 && least < 0 { 0 } else { wide };
    i16::try_from(wide).unwrap_or(0)
}

fn js_event(millis: i64, value: i16, kind: u8, number: usize) -> [u8; 8] {
    // It wraps, by its definition.
    let [a, b, c, d] = (millis as u32).to_ne_bytes();
    let [e, f] = value.to_ne_bytes();
    [a, b, c, d, e, f, kind, number as u8]
}

#[cfg(test)]
mod tests {
    use super::super::device::RECORD;
    use super::*;

    const AT: Stamp = Stamp { seconds: 5, nanos: 6_007_000 };

    fn state(buttons: u32, axes: [i16; 4], triggers: [u8; 2]) -> PadState {
        PadState { buttons: PadButtons::new(buttons).unwrap(), axes, triggers }
    }

    fn told(from: &PadState, to: &PadState) -> Vec<(u16, u16, i32)> {
        let mut out = Vec::new();
        Interface::Event.tell(from, to, AT, &mut out);
        let (records, rest) = out.as_chunks::<RECORD>();
        assert!(rest.is_empty());
        let word =
            |record: &[u8; RECORD], at: usize| u16::from_ne_bytes([record[at], record[at + 1]]);
        let read = |record: &[u8; RECORD]| {
            assert_eq!(record[..8], 5_i64.to_ne_bytes());
            assert_eq!(record[8..16], 6_007_i64.to_ne_bytes());
            let value = i32::from_ne_bytes([record[20], record[21], record[22], record[23]]);
            (word(record, 16), word(record, 18), value)
        };
        records.iter().map(read).collect()
    }

    #[test]
    fn only_what_changed_is_told() {
        let rest = PadState::default();
        assert!(told(&rest, &rest).is_empty());
        let a = state(PadButtons::SOUTH | PadButtons::LEFT, [0, -32_768, 0, 32_767], [255, 0]);
        let expected = [
            (EV_KEY, 0x130, 1),
            (EV_ABS, 1, -32_768),
            (EV_ABS, 2, 255),
            (EV_ABS, 4, 32_767),
            (EV_ABS, 0x10, -1),
            (EV_SYN, 0, 0),
        ];
        assert_eq!(told(&rest, &a), expected);
        let b = state(PadButtons::GUIDE | PadButtons::LEFT, [0, -32_768, 0, 32_767], [255, 0]);
        let expected = [(EV_KEY, 0x130, 0), (EV_KEY, 0x13c, 1), (EV_SYN, 0, 0)];
        assert_eq!(told(&a, &b), expected);
    }

    #[test]
    fn every_button_is_told_once() {
        let all = state(PadButtons::EVERY, [0; 4], [0; 2]);
        // The pressed triggers are axes, and opposite directions cancel each other.
        let keys = told(&PadState::default(), &all);
        let expected: Vec<_> = BUTTONS.iter().map(|code| (EV_KEY, *code, 1)).collect();
        assert_eq!(keys[..11], expected);
        assert_eq!(keys[11..], [(EV_SYN, 0, 0)]);
    }

    #[test]
    fn a_joystick_begins_with_everything() {
        let mut out = Vec::new();
        let state = state(PadButtons::START, [1, -32_768, 0, 32_767], [255, 0]);
        Interface::Js.greet(&state, AT, &mut out);
        let events: Vec<_> = out
            .as_chunks::<8>()
            .0
            .iter()
            .map(|event| {
                assert_eq!(event[..4], 5_006_u32.to_ne_bytes());
                (event[6], event[7], i16::from_ne_bytes([event[4], event[5]]))
            })
            .collect();
        assert_eq!(events.len(), 19);
        assert!(
            events[..11].iter().all(|(kind, number, value)| {
                *kind == 0x81 && *value == i16::from(*number == 7)
            })
        );
        let axes: Vec<i16> = events[11..].iter().map(|event| event.2).collect();
        assert_eq!(axes, [1, -32_767, 32_767, 0, 32_767, -32_767, 0, 0]);
        out.clear();
        Interface::Js.tell(&state, &PadState { axes: [0; 4], ..state }, AT, &mut out);
        assert_eq!(out.len(), 3 * 8);
    }
}
