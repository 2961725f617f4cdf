//! Input as it travels: one event a message, little endian, `kind: u8, number: u32, payload`.
//!
//! | kind | event | payload |
//! |---|---|---|
//! | 1 | key | HID usage `u16`, pressed `u8` |
//! | 2 | pointer button | button `u8` (0 left, 1 middle, 2 right, 3 back, 4 forward), pressed `u8` |
//! | 3 | pointer, absolute | x `u16`, y `u16` (0 is the left or upper edge, 65535 the other) |
//! | 4 | pointer, relative | total x `i32`, total y `i32` since the session began, 1/16 pixel |
//! | 5 | wheel | x `i16`, y `i16`, 1/120 of a notch |
//! | 6 | touch | finger `u8`, phase `u8` (0 start, 1 move, 2 end, 3 cancel), x `u16`, y `u16`, pressure `u16` |
//! | 7 | text | 1 to 64 bytes of UTF-8 without control characters |
//! | 8 | release all | none |
//! | 9 | gamepad | pad `u8` (0 to 3), buttons `u32` (a bit each, in the standard mapping's order), four axes `i16`, two triggers `u8` |
//! | 10 | gamepad plugged in or out | pad `u8`, plugged `u8` |
//! | 11 | pen | x `u16`, y `u16`, pressure `u16`, tilt across and down `i8` degrees, twist `u16` degrees, state `u8` (a bit each: near, tip, barrel, eraser) |
//! | 12 | gamepad's motion | pad `u8`, gyroscope three `i16` in 1/16 degree a second, accelerometer three `i16` in 1/8192 g, its clock `u32` in microseconds |
//! | 13 | gamepad's touchpad | pad `u8`, pressed `u8`, two fingers: contact `u8` (0 to 127; 255 and zeros for none), x `u16`, y `u16` |
//!
//! A gamepad's message is its whole state, and an older one than was taken counts for nothing: a lost or
//! reordered message loses nothing. Relative motion carries totals that wrap, so a lost or reordered message loses nothing: the next
//! one heals it. Every other length and value is refused; bad input changes nothing.

use std::time::Duration;

use thiserror::Error;

use crate::{InputSeq, MediaTime, Pad, PadButtons, PadMotion, PadState, PadTouch, Pen, Plug};

/// Longest message: kind, number, text.
pub const MAX_MESSAGE: usize = 5 + MAX_TEXT;
const MAX_TEXT: usize = 64;

/// A key by its physical place: usage on the keyboard page (7) of the USB HID Usage Tables §10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyCode(pub u16);

impl KeyCode {
    /// `KeyA`; the letters follow in order.
    pub const A: Self = Self(0x04);
    /// `KeyD`.
    pub const D: Self = Self(0x07);
    /// `KeyE`.
    pub const E: Self = Self(0x08);
    /// `KeyQ`.
    pub const Q: Self = Self(0x14);
    /// `KeyS`.
    pub const S: Self = Self(0x16);
    /// `KeyW`.
    pub const W: Self = Self(0x1a);
    /// `KeyC`.
    pub const C: Self = Self(0x06);
    /// `Space`.
    pub const SPACE: Self = Self(0x2c);
    /// `ArrowRight`.
    pub const RIGHT: Self = Self(0x4f);
    /// `ArrowLeft`.
    pub const LEFT: Self = Self(0x50);
    /// `ArrowDown`.
    pub const DOWN: Self = Self(0x51);
    /// `ArrowUp`.
    pub const UP: Self = Self(0x52);
    /// `ShiftLeft`.
    pub const SHIFT_LEFT: Self = Self(0xe1);
    /// The last usage that the page defines (right GUI).
    pub const LAST: Self = Self(0xe7);
}

/// A pointer button, numbered as in DOM `MouseEvent.button`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PointerButton {
    /// Main button.
    Left = 0,
    /// Wheel button.
    Middle = 1,
    /// Second button.
    Right = 2,
    /// Browser back.
    Back = 3,
    /// Browser forward.
    Forward = 4,
}

/// What a finger does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TouchPhase {
    /// It came down.
    Start = 0,
    /// It moved.
    Move = 1,
    /// It was lifted.
    End = 2,
    /// The system took it away.
    Cancel = 3,
}

/// One thing that the user did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A key went down or up.
    Key {
        /// Which.
        code: KeyCode,
        /// Down.
        pressed: bool,
    },
    /// A pointer button went down or up.
    Button {
        /// Which.
        button: PointerButton,
        /// Down.
        pressed: bool,
    },
    /// The pointer is here: 0 is the left or upper edge of the picture, 65535 the other.
    PointerAbsolute {
        /// Across.
        x: u16,
        /// Down.
        y: u16,
    },
    /// The locked pointer has moved this far in all, in 1/16 pixel, wrapping.
    PointerRelative {
        /// To the right.
        total_x: i32,
        /// Down.
        total_y: i32,
    },
    /// The wheel turned, in 1/120 of a notch; positive is right and down (DOM `WheelEvent`).
    Wheel {
        /// To the right.
        x: i16,
        /// Down.
        y: i16,
    },
    /// A finger.
    Touch {
        /// Which finger.
        finger: u8,
        /// What it does.
        phase: TouchPhase,
        /// Across, as in [`InputEvent::PointerAbsolute`].
        x: u16,
        /// Down.
        y: u16,
        /// 0 to 65535.
        pressure: u16,
    },
    /// Text from an input method.
    Text(String),
    /// Every key, button and finger is up, and nobody touches a gamepad (the page lost focus).
    ReleaseAll,
    /// A gamepad is like this now.
    Gamepad {
        /// Which.
        pad: Pad,
        /// All of it.
        state: PadState,
    },
    /// A gamepad was plugged in, untouched, or out.
    GamepadPlugged {
        /// Which.
        pad: Pad,
        /// What there is now.
        plugged: Plug,
    },
    /// A pen is like this now.
    Pen(Pen),
    /// A gamepad moves like this now.
    PadMotion {
        /// Which.
        pad: Pad,
        /// How.
        motion: PadMotion,
    },
    /// A gamepad's touchpad is like this now.
    PadTouch {
        /// Which.
        pad: Pad,
        /// All of it.
        touch: PadTouch,
    },
}

/// An event with the client's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequencedInput {
    /// The client's number.
    pub seq: InputSeq,
    /// The event.
    pub event: InputEvent,
}

/// Why a message is not input.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// Its length does not fit its kind.
    #[error("an input message of kind {kind} has {length} bytes")]
    Length {
        /// The first byte; 0 for an empty message.
        kind: u8,
        /// Bytes in the message.
        length: usize,
    },
    /// No such kind.
    #[error("there is no input of kind {0}")]
    Kind(u8),
    /// A field has a value that it cannot have.
    #[error("{field} cannot be {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it said.
        value: u32,
    },
    /// The text is not UTF-8 or has control characters.
    #[error("the text is not plain UTF-8")]
    Text,
}

impl SequencedInput {
    /// Parses one message.
    ///
    /// # Errors
    /// See [`InputError`]; nothing else can happen, whatever the bytes are.
    pub fn decode(message: &[u8]) -> Result<Self, InputError> {
        let kind = message.first().copied().unwrap_or(0);
        let length = InputError::Length { kind, length: message.len() };
        let Some((head, body)) = message.split_at_checked(5) else { return Err(length) };
        let seq = InputSeq(u32::from_le_bytes([head[1], head[2], head[3], head[4]]));
        let event = match (kind, body) {
            (1, &[a, b, pressed]) => {
                let code = u16::from_le_bytes([a, b]);
                if !(KeyCode::A.0..=KeyCode::LAST.0).contains(&code) {
                    return Err(InputError::Value { field: "key code", value: code.into() });
                }
                InputEvent::Key { code: KeyCode(code), pressed: flag("pressed", pressed)? }
            }
            (2, &[button, pressed]) => {
                let button = match button {
                    0 => PointerButton::Left,
                    1 => PointerButton::Middle,
                    2 => PointerButton::Right,
                    3 => PointerButton::Back,
                    4 => PointerButton::Forward,
                    value => {
                        return Err(InputError::Value { field: "button", value: value.into() });
                    }
                };
                InputEvent::Button { button, pressed: flag("pressed", pressed)? }
            }
            (3, &[a, b, c, d]) => InputEvent::PointerAbsolute {
                x: u16::from_le_bytes([a, b]),
                y: u16::from_le_bytes([c, d]),
            },
            (4, &[a, b, c, d, e, f, g, h]) => InputEvent::PointerRelative {
                total_x: i32::from_le_bytes([a, b, c, d]),
                total_y: i32::from_le_bytes([e, f, g, h]),
            },
            (5, &[a, b, c, d]) => {
                InputEvent::Wheel { x: i16::from_le_bytes([a, b]), y: i16::from_le_bytes([c, d]) }
            }
            (6, &[finger, phase, a, b, c, d, e, f]) => {
                let phase = match phase {
                    0 => TouchPhase::Start,
                    1 => TouchPhase::Move,
                    2 => TouchPhase::End,
                    3 => TouchPhase::Cancel,
                    value => {
                        return Err(InputError::Value {
                            field: "touch phase",
                            value: value.into(),
                        });
                    }
                };
                InputEvent::Touch {
                    finger,
                    phase,
                    x: u16::from_le_bytes([a, b]),
                    y: u16::from_le_bytes([c, d]),
                    pressure: u16::from_le_bytes([e, f]),
                }
            }
            (7, text) if (1..=MAX_TEXT).contains(&text.len()) => {
                let text = std::str::from_utf8(text).map_err(|_| InputError::Text)?;
                if text.chars().any(char::is_control) {
                    return Err(InputError::Text);
                }
                InputEvent::Text(text.to_owned())
            }
            (8, []) => InputEvent::ReleaseAll,
            (9, &[pad, a, b, c, d, ref axes @ .., left, right]) if axes.len() == 8 => {
                let bits = u32::from_le_bytes([a, b, c, d]);
                let buttons = PadButtons::new(bits)
                    .ok_or(InputError::Value { field: "gamepad's buttons", value: bits })?;
                let mut state =
                    PadState { buttons, triggers: [left, right], ..PadState::default() };
                for (axis, bytes) in state.axes.iter_mut().zip(axes.as_chunks().0) {
                    *axis = i16::from_le_bytes(*bytes);
                }
                InputEvent::Gamepad { pad: number_of_pad(pad)?, state }
            }
            (10, &[pad, plugged]) => InputEvent::GamepadPlugged {
                pad: number_of_pad(pad)?,
                plugged: Plug::new(plugged)
                    .ok_or(InputError::Value { field: "plugged", value: plugged.into() })?,
            },
            (11, body) => {
                let body = body.as_array().ok_or(length)?;
                InputEvent::Pen(Pen::decode(body).map_err(refused)?)
            }
            (12, &[pad, ref body @ ..]) => InputEvent::PadMotion {
                pad: number_of_pad(pad)?,
                motion: PadMotion::decode(body.as_array().ok_or(length)?),
            },
            (13, &[pad, ref body @ ..]) => InputEvent::PadTouch {
                pad: number_of_pad(pad)?,
                touch: PadTouch::decode(body.as_array().ok_or(length)?).map_err(refused)?,
            },
            (1..=13, _) => return Err(length),
            _ => return Err(InputError::Kind(kind)),
        };
        Ok(Self { seq, event })
    }

    /// Appends the message to `out`. Text beyond what [`decode`](Self::decode) takes is not checked.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u8| {
            out.push(kind);
            out.extend_from_slice(&self.seq.0.to_le_bytes());
        };
        match &self.event {
            InputEvent::Key { code, pressed } => {
                head(1);
                out.extend_from_slice(&code.0.to_le_bytes());
                out.push(u8::from(*pressed));
            }
            InputEvent::Button { button, pressed } => {
                head(2);
                out.extend_from_slice(&[*button as u8, u8::from(*pressed)]);
            }
            InputEvent::PointerAbsolute { x, y } => {
                head(3);
                out.extend_from_slice(&x.to_le_bytes());
                out.extend_from_slice(&y.to_le_bytes());
            }
            InputEvent::PointerRelative { total_x, total_y } => {
                head(4);
                out.extend_from_slice(&total_x.to_le_bytes());
                out.extend_from_slice(&total_y.to_le_bytes());
            }
            InputEvent::Wheel { x, y } => {
                head(5);
                out.extend_from_slice(&x.to_le_bytes());
                out.extend_from_slice(&y.to_le_bytes());
            }
            InputEvent::Touch { finger, phase, x, y, pressure } => {
                head(6);
                out.extend_from_slice(&[*finger, *phase as u8]);
                out.extend_from_slice(&x.to_le_bytes());
                out.extend_from_slice(&y.to_le_bytes());
                out.extend_from_slice(&pressure.to_le_bytes());
            }
            InputEvent::Text(text) => {
                head(7);
                out.extend_from_slice(text.as_bytes());
            }
            InputEvent::ReleaseAll => head(8),
            InputEvent::Gamepad { pad, state } => {
                head(9);
                out.push(pad.number());
                out.extend_from_slice(&state.buttons.bits().to_le_bytes());
                for axis in state.axes {
                    out.extend_from_slice(&axis.to_le_bytes());
                }
                out.extend_from_slice(&state.triggers);
            }
            InputEvent::GamepadPlugged { pad, plugged } => {
                head(10);
                out.extend_from_slice(&[pad.number(), plugged.number()]);
            }
            InputEvent::Pen(pen) => {
                head(11);
                pen.encode(out);
            }
            InputEvent::PadMotion { pad, motion } => {
                head(12);
                out.push(pad.number());
                motion.encode(out);
            }
            InputEvent::PadTouch { pad, touch } => {
                head(13);
                out.push(pad.number());
                touch.encode(out);
            }
        }
    }
}

fn refused((field, value): (&'static str, u32)) -> InputError {
    InputError::Value { field, value }
}

fn flag(field: &'static str, value: u8) -> Result<bool, InputError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        value => Err(InputError::Value { field, value: value.into() }),
    }
}

fn number_of_pad(number: u8) -> Result<Pad, InputError> {
    Pad::new(number).ok_or(InputError::Value { field: "gamepad", value: number.into() })
}

/// What a sink makes of what not every one takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TakenAs {
    /// All of it is taken.
    Itself,
    /// It is a pen with its pressure; tilt and twist are lost.
    WithPressure,
    /// It is the pointer: pressure, tilt and all fingers but one are lost.
    Pointer,
    /// Nothing of it is taken.
    #[default]
    Nothing,
}

/// What gamepads become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadsAs {
    /// Devices of the kernel.
    Devices,
    /// Devices that a library in the program shows it.
    Library,
    /// Nothing.
    #[default]
    Nothing,
}

/// What a sink takes beyond keys, buttons and the pointer. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct InputSupport {
    /// Fingers.
    pub touch: TakenAs,
    /// Pens.
    pub pen: TakenAs,
    /// Gamepads' motion and touchpads.
    pub pad_extras: bool,
    /// Text.
    pub text: bool,
    /// It is better played with text than with keys by their place, until the user chooses.
    pub prefers_text: bool,
    /// It is better pointed at than looked around in: the page should send where the pointer is and not capture the mouse, until
    /// the user chooses.
    pub prefers_absolute: bool,
    /// Gamepads.
    pub pads: PadsAs,
    /// Why gamepads and pens are no devices of the kernel, where what is played takes any.
    pub no_devices: Option<String>,
}

/// Where input goes: a camera, a game's virtual devices. Called by the network task, without a queue.
pub trait InputSink: Send {
    /// Takes one event that came in at `at`.
    fn inject(&mut self, input: &SequencedInput, at: MediaTime);

    /// Lets go of every key, button, finger and gamepad: on blur, disconnect and suspend.
    fn release_all(&mut self, at: MediaTime);

    /// Goes on with what could not be done at once, and says when to ask again; none where nothing is left. It is called after
    /// each of the two above.
    fn catch_up(&mut self, _now: MediaTime) -> Option<MediaTime> {
        None
    }

    /// What it takes, and what is lost in it.
    fn support(&self) -> InputSupport;

    /// How long ago the user last did something, seen from `now`.
    fn idle_for(&self, now: MediaTime) -> Duration;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PadFinger, PenState};
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = InputEvent> {
        prop_oneof![
            (4_u16..=0xe7, any::<bool>())
                .prop_map(|(code, pressed)| InputEvent::Key { code: KeyCode(code), pressed }),
            any::<bool>()
                .prop_map(|pressed| InputEvent::Button { button: PointerButton::Right, pressed }),
            any::<(u16, u16)>().prop_map(|(x, y)| InputEvent::PointerAbsolute { x, y }),
            any::<(i32, i32)>()
                .prop_map(|(total_x, total_y)| InputEvent::PointerRelative { total_x, total_y }),
            any::<(i16, i16)>().prop_map(|(x, y)| InputEvent::Wheel { x, y }),
            any::<(u8, u16, u16, u16)>().prop_map(|(finger, x, y, pressure)| InputEvent::Touch {
                finger,
                phase: TouchPhase::Cancel,
                x,
                y,
                pressure
            }),
            "[a-zäß漢]{1,16}".prop_map(InputEvent::Text),
            Just(InputEvent::ReleaseAll),
            (0..4_u8, 0..=PadButtons::EVERY, any::<([i16; 4], [u8; 2])>()).prop_map(
                |(pad, bits, (axes, triggers))| InputEvent::Gamepad {
                    pad: Pad::ALL[usize::from(pad)],
                    state: PadState { buttons: PadButtons::new(bits).unwrap(), axes, triggers },
                }
            ),
            (0..3_u8).prop_map(|plugged| InputEvent::GamepadPlugged {
                pad: Pad::ALL[3],
                plugged: Plug::new(plugged).unwrap(),
            }),
            (any::<[u16; 3]>(), -90..=90_i8, -90..=90_i8, 0..360_u16, 0..8_u8).prop_map(
                |([x, y, pressure], right, down, twist, bits)| {
                    let state = PenState::new(if bits == 0 { 0 } else { (2 * bits) | 1 }).unwrap();
                    InputEvent::Pen(Pen { x, y, pressure, tilt: [right, down], twist, state })
                }
            ),
            any::<([i16; 3], [i16; 3], u32)>().prop_map(|(gyro, accel, time_us)| {
                let motion = PadMotion { gyro, accel, time_us };
                InputEvent::PadMotion { pad: Pad::ALL[1], motion }
            }),
            (any::<bool>(), 0..0x80_u8, any::<(u16, u16)>()).prop_map(
                |(pressed, contact, (x, y))| {
                    let fingers = [None, Some(PadFinger { contact, x, y })];
                    InputEvent::PadTouch { pad: Pad::ALL[2], touch: PadTouch { pressed, fingers } }
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn every_event_survives_the_wire(seq: u32, event in event()) {
            let input = SequencedInput { seq: InputSeq(seq), event };
            let mut wire = Vec::new();
            input.encode(&mut wire);
            prop_assert!(wire.len() <= MAX_MESSAGE);
            prop_assert_eq!(SequencedInput::decode(&wire), Ok(input));
        }

        #[test]
        fn any_bytes_are_input_or_an_error(message in proptest::collection::vec(any::<u8>(), 0..96)) {
            if let Ok(input) = SequencedInput::decode(&message) {
                let mut again = Vec::new();
                input.encode(&mut again);
                prop_assert_eq!(again, message);
            }
        }

        #[test]
        fn every_wrong_length_is_refused(seq: u32, event in event(), cut in 1_usize..64, more in 1_usize..80) {
            // Text may be cut to a shorter text; every other kind has one length.
            prop_assume!(!matches!(event, InputEvent::Text(_)));
            let mut wire = Vec::new();
            SequencedInput { seq: InputSeq(seq), event }.encode(&mut wire);
            let short = &wire[..wire.len().saturating_sub(cut)];
            prop_assert!(SequencedInput::decode(short).is_err());
            wire.resize(wire.len() + more, 0);
            prop_assert!(SequencedInput::decode(&wire).is_err());
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let refuse = |bytes: &[u8]| SequencedInput::decode(bytes).expect_err("refused").to_string();
        assert_eq!(refuse(&[]), "an input message of kind 0 has 0 bytes");
        assert_eq!(refuse(&[14, 0, 0, 0, 0]), "there is no input of kind 14");
        let mut pen = [11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for (at, value, why) in [
            (11, 91, "tilt cannot be 91"),
            (12, 0x80, "tilt cannot be 128"),
            (14, 2, "twist cannot be 512"),
            (15, 2, "pen's state cannot be 2"),
            (15, 0x11, "pen's state cannot be 17"),
        ] {
            pen[at] = value;
            assert_eq!(refuse(&pen), why);
            pen[at] = 0;
        }
        assert_eq!(refuse(&[12, 0, 0, 0, 0, 4, 0]), "gamepad cannot be 4");
        assert_eq!(refuse(&[12, 0, 0, 0, 0, 3, 0]), "an input message of kind 12 has 7 bytes");
        let mut touch = [13, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 0];
        assert!(SequencedInput::decode(&touch).is_ok());
        touch[8] = 1;
        assert_eq!(refuse(&touch), "contact cannot be 255");
        touch[6] = 2;
        assert_eq!(refuse(&touch), "pressed cannot be 2");
        assert_eq!(refuse(&[1, 0, 0, 0, 0, 3, 0, 1]), "key code cannot be 3");
        assert_eq!(refuse(&[1, 0, 0, 0, 0, 4, 0, 2]), "pressed cannot be 2");
        assert_eq!(refuse(&[2, 0, 0, 0, 0, 5, 1]), "button cannot be 5");
        assert_eq!(refuse(&[6, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0]), "touch phase cannot be 4");
        assert_eq!(refuse(&[10, 0, 0, 0, 0, 4, 1]), "gamepad cannot be 4");
        assert_eq!(refuse(&[10, 0, 0, 0, 0, 3, 3]), "plugged cannot be 3");
        let mut state = [0; 20];
        (state[0], state[8]) = (9, 2);
        assert_eq!(refuse(&state), "gamepad's buttons cannot be 131072");
        assert_eq!(refuse(&[7, 0, 0, 0, 0, 0x1b]), "the text is not plain UTF-8");
        assert_eq!(refuse(&[7, 0, 0, 0, 0, 0xff]), "the text is not plain UTF-8");
    }
}
