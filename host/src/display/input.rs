//! Puts a player's input into a display (XTEST 2.2).
//!
//! Called by the network task: nothing here waits. What a busy server does not take at once is kept, in order, until it
//! does; where that becomes too much all of it is dropped and counted, and everything is let go of. Kept is, too, what goes another
//! way than the input before it, until the server has taken that ([`Taken`]): only letting go of everything overtakes anything. The
//! wheel turns by whole notches, since XTEST has no finer ones; a finger or a pen is the pointer with its main button (XTEST has no
//! pressure), a pen's own button the second one. A server with devices of its own ([`XDevices`]) has every finger, all of the wheel,
//! and a pen with its pressure. While text is typed no modifier is held and Caps Lock is off: they are in the text already.

mod act;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::input::TouchPhase;
use media::{InputEvent, InputSink, InputSupport, MediaTime, PenState, SequencedInput, TakenAs};
use x11rb::connection::Connection as _;
use x11rb::cookie::Cookie;
use x11rb::errors::ConnectionError;
use x11rb::protocol::xproto::{ConnectionExt as _, KeyButMask};

use super::Most;
use super::devices::{Which, XDevices};
use super::link::{DisplayError, Link};
use super::pointer::Aim;
use super::screen::Viewport;
use super::taken::Taken;
use super::text::Spares;

/// X's numbers of the buttons left, middle, right, back and forward.
const BUTTONS: [u8; 5] = [1, 2, 3, 8, 9];
/// Events that are kept for a server that takes none now: seconds of a keyboard and a mouse.
const MOST_WAITING: usize = 1_024;
/// How soon it is asked again whether it does, at first: an answer takes well below that, and some fifty events, of which its socket
/// is full, a few times as long where it has a processor; and at the most.
const AGAIN: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(200)];
/// How long a server may take to hear the last of it, which is waited for. Short: whoever drops it does other things.
const FAREWELL: Duration = Duration::from_millis(250);

/// A player's hands on a display. Dropping it lets go of everything.
pub struct XInput {
    link: Link,
    aim: Arc<Aim>,
    devices: Option<Arc<XDevices>>,
    /// What the server has made input of that XTEST was given.
    taken: Taken,
    /// The request by which it was asked that last.
    question: u64,
    keys: [bool; 256],
    buttons: [bool; 256],
    /// Letters are capitals.
    caps: bool,
    /// Totals of the relative motion that was taken last.
    totals: Option<(i32, i32)>,
    /// What is left of relative motion below a pixel, and of the wheel below a notch.
    motion: (i32, i32),
    wheel: (i32, i32),
    /// The finger that is the pointer.
    finger: Option<u8>,
    pen: PenState,
    spares: Spares,
    last: MediaTime,
    /// What was not taken yet, the oldest first.
    waiting: VecDeque<InputEvent>,
    /// How long it is waited for at present, and until when; nothing once something was taken.
    pause: Duration,
    due: MediaTime,
    dropped: Arc<AtomicU64>,
    /// Everything must be let go of before anything else.
    owed: bool,
    gone: bool,
}

impl XInput {
    pub(super) fn open(
        link: Link,
        most: &Most,
        aim: Arc<Aim>,
        devices: Option<Arc<XDevices>>,
        now: MediaTime,
    ) -> Result<Self, DisplayError> {
        if aim.shown().is_none() {
            let (screen, whole) = Viewport::on_screen(&link)?;
            aim.show(screen, &whole.within(most));
        }
        let spares = Spares::find(&link)?;
        let mut input = Self {
            link,
            aim,
            devices,
            taken: Taken::All,
            question: 0,
            keys: [false; 256],
            buttons: [false; 256],
            caps: false,
            totals: None,
            motion: (0, 0),
            wheel: (0, 0),
            finger: None,
            pen: PenState::default(),
            spares,
            last: now,
            waiting: VecDeque::new(),
            pause: Duration::ZERO,
            due: now,
            dropped: Arc::default(),
            owed: false,
            gone: false,
        };
        // What another connection left pressed stays so until somebody lets go of it.
        let pressed = input.link.x().query_keymap()?.reply()?.keys;
        let pointer = input.link.x().query_pointer(input.link.root())?.reply()?;
        input.caps = pointer.mask.contains(KeyButMask::LOCK);
        for key in 0..=u8::MAX {
            let (byte, bit) = (usize::from(key / 8), key % 8);
            input.keys[usize::from(key)] = pressed[byte] >> bit & 1 == 1;
        }
        BUTTONS.iter().for_each(|&button| input.buttons[usize::from(button)] = true);
        input.let_go()?;
        // So that the first finger need not wait for it.
        input.link.x().get_input_focus()?.reply()?;
        input.taken = Taken::All;
        Ok(input)
    }

    /// Counts the events that were dropped because the server took none.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.dropped.clone()
    }

    /// Does what waits, as far as the server takes input now.
    fn drain(&mut self) {
        match self.try_all() {
            Ok(()) => {}
            // Some of it may be written, and is not repeated.
            Err(DisplayError::Silent) => self.owed = true,
            Err(error) => {
                self.lose();
                if !std::mem::replace(&mut self.gone, true) {
                    // The source's end is what ends the session.
                    tracing::debug!(%error, "input is taken no more");
                }
            }
        }
    }

    fn try_all(&mut self) -> Result<(), DisplayError> {
        while (self.owed || !self.waiting.is_empty()) && self.take_notice()? {
            if self.owed {
                self.let_go()?;
                self.owed = false;
            } else if !self.is_in_order()? {
                break;
            } else if let Some(event) = self.waiting.pop_front() {
                self.aim.nudge.give();
                self.act(&event)?;
                self.link.wire_ready().flush()?;
                self.pause = Duration::ZERO;
            }
        }
        Ok(())
    }

    /// Drops what waits: a release may be among it.
    fn lose(&mut self) {
        self.dropped.fetch_add(self.waiting.len() as u64, Ordering::Relaxed);
        self.waiting.clear();
        self.owed = true;
    }

    /// Keeps an event until it is taken. Where a pointer or a finger goes on moving it is where it went last.
    fn keep(&mut self, event: &InputEvent) {
        // Fingers move side by side.
        let mut moves = self.waiting.iter_mut().rev().take_while(|it| mover(it).is_some());
        match moves.find(|it| mover(it) == mover(event)) {
            Some(before) => before.clone_from(event),
            None => self.waiting.push_back(event.clone()),
        }
        if self.waiting.len() > MOST_WAITING || self.gone {
            if !self.gone {
                tracing::warn!(lost = self.waiting.len(), "the display takes no input");
            }
            self.lose();
        }
    }

    /// Reads what the server says; whether it takes input now.
    fn take_notice(&mut self) -> Result<bool, DisplayError> {
        if self.gone || !self.link.wire().writable()? {
            return Ok(false);
        }
        if let Some(devices) = self.devices.clone() {
            match devices.take_now() {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => self.known(Err(error))?,
            }
        }
        // What every client is told (that keys have other symbols) and what was refused.
        while self.link.wire_ready().poll_for_event()?.is_some() {}
        Ok(true)
    }

    /// Whether the server has taken what went another way than the next event will; it is asked where that is not known.
    fn is_in_order(&mut self) -> Result<bool, DisplayError> {
        let (Some(next), Some(devices)) = (self.waiting.front(), self.devices.clone()) else {
            return Ok(true);
        };
        let device = match next {
            InputEvent::Touch { .. } => Some(Which::Touch),
            InputEvent::Wheel { .. } => Some(Which::Wheel),
            InputEvent::Pen(_) => Some(Which::Pen),
            _ => None,
        };
        let keys = device.is_none() || self.has_taken()?;
        match devices.have_taken(device) {
            Ok(others) => Ok(keys && others),
            Err(error) => self.known(Err(error)).map(|()| keys),
        }
    }

    /// Whether the server has taken what XTEST was given; it is asked where that is not known, and not waited for.
    fn has_taken(&mut self) -> Result<bool, DisplayError> {
        let x = self.link.wire_ready();
        let cookie = match self.taken {
            Taken::All | Taken::Forgotten => return Ok(true),
            Taken::Unknown => x.get_input_focus()?,
            Taken::Asked | Taken::Outdated => Cookie::new(x, self.question),
        };
        if self.taken == Taken::Unknown {
            (self.taken, self.question) = (Taken::Asked, cookie.sequence_number());
        }
        // Where it is not there yet, it is kept for whoever asks by the same number.
        match cookie.reply_unchecked() {
            Ok(_) => self.taken.answered(),
            Err(ConnectionError::IoError(error)) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.taken.is_settled())
    }

    /// What became of an event for the devices. A program may turn them off: then a finger is the pointer again.
    fn known(&mut self, done: Result<(), DisplayError>) -> Result<(), DisplayError> {
        match done {
            Ok(()) | Err(DisplayError::Silent) => done,
            Err(error) => {
                tracing::debug!(%error, "a device of the display is gone");
                if let Some(devices) = self.devices.take() {
                    // What the others do not take now, whoever opens the next one makes up for.
                    let _ = devices.let_go();
                }
                Ok(())
            }
        }
    }
}

/// What moves, where an event is nothing but that.
fn mover(event: &InputEvent) -> Option<(u8, u8)> {
    match event {
        InputEvent::PointerAbsolute { .. } => Some((0, 0)),
        InputEvent::PointerRelative { .. } => Some((1, 0)),
        InputEvent::Touch { finger, phase: TouchPhase::Move, .. } => Some((2, *finger)),
        _ => None,
    }
}

impl InputSink for XInput {
    fn inject(&mut self, input: &SequencedInput, at: MediaTime) {
        self.last = at;
        if matches!(
            input.event,
            InputEvent::Gamepad { .. }
                | InputEvent::GamepadPlugged { .. }
                | InputEvent::PadMotion { .. }
                | InputEvent::PadTouch { .. }
        ) {
            // A display has none, but shows what comes of it.
            self.aim.nudge.give();
            return;
        }
        self.keep(&input.event);
        self.drain();
    }

    fn release_all(&mut self, _: MediaTime) {
        self.lose();
        self.drain();
    }

    fn catch_up(&mut self, now: MediaTime) -> Option<MediaTime> {
        self.drain();
        if self.gone || (!self.owed && self.waiting.is_empty()) {
            self.pause = Duration::ZERO;
            return None;
        }
        // It is called after each event, too: that it was asked more often is no reason to wait longer.
        if self.pause.is_zero() || self.due <= now {
            self.pause = (self.pause * 2).clamp(AGAIN[0], AGAIN[1]);
            self.due = now + self.pause;
        }
        Some(self.due)
    }

    fn support(&self) -> InputSupport {
        let (touch, pen) = match self.devices {
            Some(_) => (TakenAs::Itself, TakenAs::WithPressure),
            None => (TakenAs::Pointer, TakenAs::Pointer),
        };
        InputSupport { touch, pen, text: true, ..InputSupport::default() }
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        now.since(self.last)
    }
}

impl Drop for XInput {
    fn drop(&mut self) {
        self.lose();
        self.drain();
        if !self.owed && self.spares.restore(&self.link).is_ok() {
            // A server drops what it has not read when a connection closes. What it still misses, whoever opens the
            // next one makes up for.
            if let Ok(heard) = self.link.x_within(FAREWELL).get_input_focus() {
                let _ = heard.reply();
            }
        }
    }
}
