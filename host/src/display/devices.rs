//! Fingers, the wheel and a pen as devices of an X server that has some for it: Xorg's driver `inputtest`, which does what a
//! socket tells it.
//!
//! Messages are what the driver's header says (`xf86-input-inputtest-protocol.h`, version 1.1): words of 32 bits in the
//! machine's order, of which the first two are the bytes of the whole and its kind, and 64 valuators that a mask names. Each
//! device has one connection at a time, and a server whose device has lost its own looks for it on and on: so
//! there is one of these for a sandbox, which it lasts as long as. A program that turns a device off ends it: then a finger is the
//! pointer. The server reads these sockets and the display's in an order of its own: whoever sends by another one than before asks
//! first whether it has taken the rest (`have_taken`).

use std::io::{Error, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use media::input::TouchPhase;
use media::{Pen, PenState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::link::{DisplayError, PATIENCE, connect_until};
use super::taken::Taken;
use crate::confine::xorg::MOST_FINGERS;

/// The version that is spoken.
const VERSION: [u16; 2] = [1, 1];
/// The driver's answer to ours, in 32-bit words: its bytes, its kind, and the version.
const ANSWER: usize = 12;
/// How soon whoever waits for it looks again whether anybody wants the devices.
const LOOK: Duration = Duration::from_millis(20);
/// Kinds of messages; the server's answers to the first two are of the same kinds.
const HELLO: u32 = 0;
const SYNC: u32 = 1;
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

/// One connection.
#[derive(Debug)]
struct Device {
    socket: UnixStream,
    /// What the socket has not taken of the last message.
    rest: Vec<u8>,
    /// What the server has made input of.
    taken: Taken,
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

    /// Lifts every finger and the pen.
    ///
    /// # Errors
    /// As [`touch`](Self::touch); what was lifted is.
    pub(super) fn let_go(&self) -> Result<(), DisplayError> {
        let down: Vec<u8> = self.state().fingers.iter().flatten().copied().collect();
        for finger in down {
            self.touch(finger, TouchPhase::Cancel, (0.0, 0.0), 0)?;
        }
        self.draw(&Pen::default(), (0.0, 0.0))
    }
}

impl Device {
    fn open(
        path: &Path,
        deadline: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, DisplayError> {
        let socket = connect_until(path, deadline)?;
        let mut device = Self { socket, rest: Vec::new(), taken: Taken::All };
        let [major, minor] = VERSION.map(u16::to_ne_bytes);
        let mut hello = words(&[ANSWER as u32, HELLO]);
        hello.extend([major, minor].concat());
        device.send(&hello)?;
        let mut answer = [0; ANSWER];
        device.read(&mut answer, deadline, is_over)?;
        let [.., a, b, c, d] = answer;
        let theirs = [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])];
        if theirs[0] != VERSION[0] || theirs[1] < VERSION[1] {
            let [major, minor] = theirs;
            return Err(DisplayError::Protocol(format!("its devices speak {major}.{minor}")));
        }
        // Asked before there was any input, it would not answer until there is some.
        device.taken = Taken::All;
        Ok(device)
    }

    fn read(
        &mut self,
        answer: &mut [u8],
        deadline: Instant,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), DisplayError> {
        let mut have = 0;
        while have < answer.len() {
            match self.socket.read(&mut answer[have..]) {
                Ok(0) => return Err(DisplayError::Ended),
                Ok(more) => have += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(deadline, is_over)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits a moment for more to read.
    fn wait(&self, deadline: Instant, is_over: &dyn Fn() -> bool) -> Result<(), DisplayError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if is_over() || left == Duration::ZERO {
            return Err(DisplayError::Silent);
        }
        let left = Timespec::try_from(left.min(LOOK)).map_err(Error::other)?;
        let socket = self.socket.as_fd();
        let waited = poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&left));
        match waited {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Whether it takes some messages without a wait: a unix socket says so only while most of its buffer is free.
    fn takes_now(&mut self) -> Result<bool, DisplayError> {
        let rest = std::mem::take(&mut self.rest);
        let sent = self.put(&rest)?;
        self.rest.extend_from_slice(&rest[sent..]);
        let socket = self.socket.as_fd();
        match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&Timespec::default())) {
            Ok(ready) => Ok(ready > 0 && self.rest.is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Whether the server has taken in all that was sent; it is asked where that is not known, and not waited for.
    fn has_taken(&mut self) -> Result<bool, DisplayError> {
        let sync = words(&[8, SYNC]);
        match self.taken {
            Taken::All => return Ok(true),
            Taken::Unknown => match self.send(&sync) {
                Ok(()) => self.taken = Taken::Asked,
                Err(DisplayError::Silent) => return Ok(false),
                Err(error) => return Err(error),
            },
            Taken::Asked | Taken::Outdated => {}
        }
        let mut answer = [0; 8];
        match self.socket.read(&mut answer).map_err(|error| error.kind()) {
            Ok(0) => return Err(DisplayError::Ended),
            Ok(_) if sync == answer => self.taken.answered(),
            Ok(_) => return Err(DisplayError::Protocol("its devices answer nonsense".into())),
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(Error::from(error).into()),
        }
        Ok(self.taken == Taken::All)
    }

    /// Sends a message, whole or not at all: what the socket takes of it only later goes before the next. Waits for nothing.
    fn send(&mut self, message: &[u8]) -> Result<(), DisplayError> {
        let rest = std::mem::take(&mut self.rest);
        let sent = self.put(&rest)?;
        self.rest.extend_from_slice(&rest[sent..]);
        if !self.rest.is_empty() {
            return Err(DisplayError::Silent);
        }
        let sent = self.put(message)?;
        if sent == 0 {
            return Err(DisplayError::Silent);
        }
        self.rest.extend_from_slice(&message[sent..]);
        self.taken.sent();
        Ok(())
    }

    /// How much of it the socket takes now.
    fn put(&self, bytes: &[u8]) -> Result<usize, DisplayError> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => Ok(sent),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(Error::from(error).into()),
        }
    }
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

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn pair() -> (Device, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Device { socket: ours, rest: Vec::new(), taken: Taken::All }, theirs)
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

    #[test]
    fn a_server_that_takes_nothing_is_not_waited_for_and_gets_whole_messages() {
        let (mut device, mut server) = pair();
        let message = message(MOTION, &[0], &[(TURN_DOWN, 3.0)]);
        let mut sent = 0_usize;
        while device.send(&message).is_ok() {
            sent += 1;
            assert!(sent < 1_000_000, "the socket has no end");
        }
        let mut read = vec![0; message.len()];
        for _ in 0..sent {
            server.read_exact(&mut read).unwrap();
            assert_eq!(read, message);
        }
        // What the socket had not taken comes first.
        device.rest = vec![1, 2, 3];
        device.send(&message).unwrap();
        read.resize(3 + message.len(), 0);
        server.read_exact(&mut read).unwrap();
        assert_eq!(read, [&[1, 2, 3], &message[..]].concat());
        drop(server);
        assert!(matches!(device.send(&message), Err(DisplayError::Ended)));
    }

    #[test]
    fn a_server_is_asked_once_whether_it_has_taken_what_was_sent() {
        let (mut device, server) = pair();
        server.set_nonblocking(true).unwrap();
        let (event, sync) = (message(MOTION, &[0], &[(TURN_DOWN, 3.0)]), words(&[8, SYNC]));
        let both = [&event[..], &sync].concat();
        let heard = || {
            let mut bytes = Vec::new();
            // It ends where nothing is left to be read.
            let _ = (&server).read_to_end(&mut bytes);
            bytes
        };
        assert!(device.has_taken().unwrap());
        assert!(heard().is_empty(), "nothing was sent");
        device.send(&event).unwrap();
        assert!(!device.has_taken().unwrap() && !device.has_taken().unwrap());
        assert_eq!(heard(), both);
        // An answer is not about what was sent after the question; there is one question at a time.
        device.send(&event).unwrap();
        assert!(!device.has_taken().unwrap());
        assert_eq!(heard(), event);
        (&server).write_all(&sync).unwrap();
        assert!(!device.has_taken().unwrap() && !device.has_taken().unwrap());
        assert_eq!(heard(), sync);
        (&server).write_all(&sync).unwrap();
        assert!(device.has_taken().unwrap());
        assert!(heard().is_empty());
        device.send(&event).unwrap();
        (&server).write_all(&[0; 8]).unwrap();
        assert!(matches!(device.has_taken(), Err(DisplayError::Protocol(_))));
        drop(server);
        assert!(matches!(device.has_taken(), Err(DisplayError::Ended)));
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("touch");
        // It takes connections, and says nothing.
        let _silent = UnixListener::bind(&path).unwrap();
        let asked = Cell::new(0);
        let is_over = || {
            asked.set(asked.get() + 1);
            asked.get() == 2
        };
        let deadline = Instant::now() + Duration::from_secs(3_600);
        let error = Device::open(&path, deadline, &is_over).unwrap_err();
        assert!(matches!(error, DisplayError::Silent), "{error}");
        assert_eq!(asked.get(), 2, "it is asked on");
    }
}
