//! Fingers, the wheel and a pen as devices of an X server that has some for it: Xorg's driver `inputtest`, which does what a
//! socket tells it.
//!
//! Messages are what the driver's header says (`xf86-input-inputtest-protocol.h`, version 1.1): words of 32 bits in the
//! machine's order, of which the first two are the bytes of the whole and its kind, and 64 valuators that a mask names. Each
//! device has one connection at a time, and a server whose device has lost its own looks for it on and on: so
//! there is one of these for a sandbox, which it lasts as long as. A program that turns a device off ends it: then a finger is the
//! pointer. The server reads these sockets and the display's in an order of its own: whoever sends by another one than before asks
//! first whether it has taken the rest (`have_taken`).

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use media::input::TouchPhase;
use media::{Pen, PenState};

use super::device::{Device, words};
use super::link::{DisplayError, PATIENCE};
use crate::confine::xorg::MOST_FINGERS;

/// Kinds of messages.
const MOTION: u32 = 2;
const PROXIMITY: u32 = 3;
const BUTTON: u32 = 4;
const TOUCH: u32 = 6;
/// What a finger does (XI 2.2).
const TOUCH_BEGIN: u32 = 18;
const TOUCH_UPDATE: u32 = 19;
const TOUCH_END: u32 = 20;
/// Valuators of a message, and the bytes of all: whether there are two of each, the mask, and both of each.
const VALUATORS: usize = 64;
const VALUATOR_BYTES: usize = 16 + 2 * VALUATORS * 8;
/// Axes of the devices, in the driver's order.
const ACROSS: usize = 0;
const DOWN: usize = 1;
const TURN_ACROSS: usize = 2;
const TURN_DOWN: usize = 3;
const PRESSURE: usize = 4;
/// The highest pressure of fingers and of pens.
const MOST_OF_FINGERS: f64 = 2_047.0;
const MOST_OF_PENS: f64 = 1_000.0;
/// Buttons of a pen: its tip and its own.
const PEN_BUTTONS: [(u8, u32); 2] = [(PenState::TIP, 1), (PenState::BARREL, 3)];

/// One of the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Touch,
    Wheel,
    Pen,
}

/// A place on the whole screen: 0 is the left or upper edge, 65536 the other.
pub(super) type Place = (f64, f64);

/// The devices of one server.
#[derive(Debug)]
pub struct XDevices(Mutex<State>);

#[derive(Debug)]
struct State {
    touch: Device,
    wheel: Device,
    pen: Device,
    /// Whose number the finger has that is at this place. A place is a finger's number to the server.
    fingers: [Option<u8>; MOST_FINGERS],
    /// What the pen does, as the server knows it: bits of [`PenState`].
    drawn: u8,
}

impl XDevices {
    /// Connects to the sockets of fingers, wheel and pen. Waits four seconds at most for the server to answer, and no longer once
    /// nobody wants them any more, which `is_over` is asked while it waits.
    ///
    /// # Errors
    /// [`DisplayError::Silent`] where it did not answer until then; and see there.
    pub fn connect(
        [touch, wheel, pen]: &[PathBuf; 3],
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, DisplayError> {
        let deadline = Instant::now() + PATIENCE;
        let open = |path: &PathBuf| Device::open(path, deadline, is_over);
        let (touch, wheel, pen) = (open(touch)?, open(wheel)?, open(pen)?);
        let (fingers, drawn) = ([None; MOST_FINGERS], 0);
        Ok(Self(Mutex::new(State { touch, wheel, pen, fingers, drawn })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether each takes messages now; what is left of the last goes first.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub(super) fn take_now(&self) -> Result<bool, DisplayError> {
        let State { touch, wheel, pen, .. } = &mut *self.state();
        Ok(touch.takes_now()? && wheel.takes_now()? && pen.takes_now()?)
    }

    /// Whether the server has taken in what was sent to all, or to all but one; it is asked where that is not known.
    ///
    /// # Errors
    /// See [`DisplayError`]; never [`DisplayError::Silent`].
    pub(super) fn have_taken(&self, but: Option<Which>) -> Result<bool, DisplayError> {
        let State { touch, wheel, pen, .. } = &mut *self.state();
        let mut all = true;
        for (which, device) in [(Which::Touch, touch), (Which::Wheel, wheel), (Which::Pen, pen)] {
            all &= but == Some(which) || device.has_taken()?;
        }
        Ok(all)
    }

    /// A finger does this. Those beyond [`MOST_FINGERS`] do nothing. `pressure` is 0 to 65535.
    ///
    /// # Errors
    /// [`DisplayError::Silent`] when the server does not take it now.
    pub(super) fn touch(
        &self,
        finger: u8,
        phase: TouchPhase,
        place: Place,
        pressure: u16,
    ) -> Result<(), DisplayError> {
        let state = &mut *self.state();
        let known = state.fingers.iter().position(|each| *each == Some(finger));
        let free = || state.fingers.iter().position(Option::is_none);
        let (number, kind) = match (phase, known) {
            (TouchPhase::Start, None) => match free() {
                Some(number) => (number, TOUCH_BEGIN),
                None => return Ok(()),
            },
            (_, None) => return Ok(()),
            (TouchPhase::Start | TouchPhase::Move, Some(number)) => (number, TOUCH_UPDATE),
            (TouchPhase::End | TouchPhase::Cancel, Some(number)) => {
                state.touch.send(&touch(number, TOUCH_END, &[]))?;
                state.fingers[number] = None;
                return Ok(());
            }
        };
        let pressure = f64::from(pressure) * MOST_OF_FINGERS / f64::from(u16::MAX);
        let valuators = [(ACROSS, place.0), (DOWN, place.1), (PRESSURE, pressure)];
        state.touch.send(&touch(number, kind, &valuators))?;
        state.fingers[number] = Some(finger);
        Ok(())
    }

    /// The wheel turns, in 1/120 of a notch, which is what the driver's axes count, too. The server makes buttons of whole notches
    /// for programs that know no others.
    ///
    /// # Errors
    /// As [`touch`](Self::touch).
    pub(super) fn turn(&self, x: i32, y: i32) -> Result<(), DisplayError> {
        let turned = [(TURN_ACROSS, x), (TURN_DOWN, y)];
        let turned = turned.into_iter().filter(|(_, by)| *by != 0);
        let turned: Vec<_> = turned.map(|(axis, by)| (axis, f64::from(by))).collect();
        if turned.is_empty() {
            return Ok(());
        }
        self.state().wheel.send(&message(MOTION, &[0], &turned))
    }

    /// The pen does this.
    ///
    /// # Errors
    /// As [`touch`](Self::touch).
    pub(super) fn draw(&self, pen: &Pen, place: Place) -> Result<(), DisplayError> {
        let state = &mut *self.state();
        let near = pen.state.has(PenState::NEAR);
        if near {
            let pressure = f64::from(pen.pressure) * MOST_OF_PENS / f64::from(u16::MAX);
            let valuators = [(ACROSS, place.0), (DOWN, place.1), (PRESSURE, pressure)];
            if state.drawn & PenState::NEAR == 0 {
                state.pen.send(&message(PROXIMITY, &[1], &valuators))?;
                state.drawn |= PenState::NEAR;
            }
            state.pen.send(&message(MOTION, &[1], &valuators))?;
        }
        for (what, button) in PEN_BUTTONS {
            let pressed = pen.state.has(what);
            if (state.drawn & what != 0) != pressed {
                state.pen.send(&message(BUTTON, &[1, button, u32::from(pressed)], &[]))?;
                state.drawn ^= what;
            }
        }
        if !near && state.drawn & PenState::NEAR != 0 {
            state.pen.send(&message(PROXIMITY, &[0], &[]))?;
            state.drawn = 0;
        }
        Ok(())
    }

    /// Lifts every finger and the pen. What comes next waits for nothing that was sent before.
    ///
    /// # Errors
    /// As [`touch`](Self::touch), the first of them; what could be lifted is.
    pub(super) fn let_go(&self) -> Result<(), DisplayError> {
        let down: Vec<u8> = self.state().fingers.iter().flatten().copied().collect();
        let lift = |finger| self.touch(finger, TouchPhase::Cancel, (0.0, 0.0), 0);
        let lifted = down.into_iter().try_for_each(lift);
        let drawn = self.draw(&Pen::default(), (0.0, 0.0));
        let state = &mut *self.state();
        // The server lifts what is on a device that is gone.
        if is_gone(&lifted) {
            state.fingers = [None; MOST_FINGERS];
        }
        if is_gone(&drawn) {
            state.drawn = 0;
        }
        for device in [&mut state.touch, &mut state.wheel, &mut state.pen] {
            device.forget();
        }
        lifted.and(drawn)
    }
}

/// Whether the device is gone for which this was done.
fn is_gone(done: &Result<(), DisplayError>) -> bool {
    !matches!(done, Ok(()) | Err(DisplayError::Silent))
}

fn touch(number: usize, kind: u32, valuators: &[(usize, f64)]) -> Vec<u8> {
    // There are few numbers.
    message(TOUCH, &[number as u32, kind], valuators)
}

/// A message of these words and valuators.
fn message(kind: u32, fields: &[u32], valuators: &[(usize, f64)]) -> Vec<u8> {
    let head = (8 + 4 * fields.len()).next_multiple_of(8);
    let bytes = head + VALUATOR_BYTES;
    let mut message = words(&[bytes as u32, kind]);
    message.extend(words(fields));
    message.resize(bytes, 0);
    for &(axis, value) in valuators {
        message[head + 4 + axis / 8] |= 1 << (axis % 8);
        let at = head + 16 + 8 * axis;
        message[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    /// Devices, and the server's ends of fingers, wheel and pen.
    fn connected() -> (XDevices, [UnixStream; 3]) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["touch", "wheel", "pen"].map(|name| folder.path().join(name));
        let listeners = paths.each_ref().map(|path| UnixListener::bind(path).unwrap());
        let server = std::thread::spawn(move || {
            listeners.map(|listener| {
                let (mut socket, _) = listener.accept().unwrap();
                let mut hello = [0; 12];
                socket.read_exact(&mut hello).unwrap();
                // It says the same of itself.
                socket.write_all(&hello).unwrap();
                socket
            })
        });
        let devices = XDevices::connect(&paths, &|| false).unwrap();
        (devices, server.join().unwrap())
    }

    /// Until it is told this.
    fn hear(server: &mut UnixStream, expected: &[u8]) {
        let mut told = vec![0; expected.len()];
        server.read_exact(&mut told).unwrap();
        assert_eq!(told, expected);
    }

    fn put_down(devices: &XDevices) {
        devices.touch(7, TouchPhase::Start, (0.0, 0.0), 9).unwrap();
        let state = PenState::new(PenState::NEAR | PenState::TIP).unwrap();
        devices.draw(&Pen { state, ..Pen::default() }, (0.0, 0.0)).unwrap();
    }

    #[test]
    fn a_device_that_is_gone_leaves_nothing_down_on_the_others() {
        let (devices, [touched, _wheel, mut drawn]) = connected();
        assert!(devices.take_now().unwrap());
        put_down(&devices);
        let mut before = [0; 1_056 + 1_056 + 1_064];
        drawn.read_exact(&mut before).unwrap();
        drop(touched);
        assert!(matches!(devices.take_now(), Err(DisplayError::Ended)));
        assert!(matches!(devices.let_go(), Err(DisplayError::Ended)));
        hear(&mut drawn, &message(BUTTON, &[1, 1, 0], &[]));
        hear(&mut drawn, &message(PROXIMITY, &[0], &[]));
        // It is known then that nothing is down.
        devices.let_go().unwrap();

        let (devices, [mut touched, _wheel, drawn]) = connected();
        put_down(&devices);
        let mut before = [0; 1_056];
        touched.read_exact(&mut before).unwrap();
        drop(drawn);
        assert!(matches!(devices.let_go(), Err(DisplayError::Ended)));
        hear(&mut touched, &touch(0, TOUCH_END, &[]));
        devices.let_go().unwrap();
    }

    #[test]
    fn what_was_sent_before_all_was_let_go_of_is_not_waited_for() {
        let (devices, _server) = connected();
        devices.turn(0, 120).unwrap();
        assert!(devices.have_taken(Some(Which::Wheel)).unwrap());
        assert!(!devices.have_taken(None).unwrap());
        devices.let_go().unwrap();
        assert!(devices.have_taken(None).unwrap());
        devices.turn(0, 120).unwrap();
        assert!(!devices.have_taken(None).unwrap());

        // Nor is what nobody has asked about, what lifts them included.
        let (devices, _server) = connected();
        devices.turn(0, 120).unwrap();
        put_down(&devices);
        devices.let_go().unwrap();
        for next in [Which::Touch, Which::Wheel, Which::Pen] {
            assert!(devices.have_taken(Some(next)).unwrap(), "{next:?}");
        }
        put_down(&devices);
        assert!(!devices.have_taken(Some(Which::Wheel)).unwrap());
    }

    #[test]
    fn messages_are_as_long_as_the_driver_has_them_and_say_which_valuators_count() {
        let lengths = [
            (message(MOTION, &[1], &[]), 1_056),
            (message(PROXIMITY, &[1], &[]), 1_056),
            (message(BUTTON, &[1, 1, 1], &[]), 1_064),
            (touch(3, TOUCH_BEGIN, &[]), 1_056),
        ];
        for (message, length) in lengths {
            assert_eq!(message.len(), length);
            assert_eq!(message[..4], (length as u32).to_ne_bytes());
        }
        let touch = touch(3, TOUCH_BEGIN, &[(ACROSS, 1.5), (PRESSURE, 2.0)]);
        assert_eq!(touch[4..16], words(&[TOUCH, 3, TOUCH_BEGIN]));
        assert_eq!(touch[16..32], [0, 0, 0, 0, 0b1_0001, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(touch[32..40], 1.5_f64.to_ne_bytes());
        assert_eq!(touch[64..72], 2.0_f64.to_ne_bytes());
    }
}
