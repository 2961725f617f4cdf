//! Puts a player's input into a display (XTEST 2.2).
//!
//! Called by the network task: nothing here waits. What a busy server does not take at once is kept, in order, until it
//! does; where that becomes too much all of it is dropped and counted, and everything is let go of. Kept is, too, what goes another
//! way than the input before it, until the server has taken that ([`Taken`]): only letting go of everything overtakes anything. The
//! wheel turns by whole notches, since XTEST has no finer ones; a finger or a pen is the pointer with its main button (XTEST has no
//! pressure), a pen's own button the second one. A server with devices of its own ([`XDevices`]) has every finger, all of the wheel,
//! and a pen with its pressure. While text is typed no modifier is held and Caps Lock is off: they are in the text already.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::input::{PointerButton, TouchPhase};
use media::{
    InputEvent, InputSink, InputSupport, MediaTime, Pen, PenState, SequencedInput, TakenAs,
};
use x11rb::connection::Connection as _;
use x11rb::cookie::Cookie;
use x11rb::errors::ConnectionError;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT, KeyButMask, MOTION_NOTIFY_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::Most;
use super::devices::{Place, Which, XDevices};
use super::keys::{CAPS_LOCK, NUM_LOCK, keycode};
use super::link::{DisplayError, Link};
use super::pointer::Aim;
use super::screen::Viewport;
use super::taken::Taken;
use super::text::Spares;

/// X's numbers of the buttons left, middle, right, back and forward.
const BUTTONS: [u8; 5] = [1, 2, 3, 8, 9];
/// X's buttons of the wheel: up and down, left and right.
const VERTICAL: [u8; 2] = [4, 5];
const HORIZONTAL: [u8; 2] = [6, 7];
/// 1/120 of a notch in one.
const NOTCH: i32 = 120;
/// Notches of one event that count: no wheel turns further between two.
const MOST_NOTCHES: i32 = 20;
/// Events that are kept for a server that takes none now: seconds of a keyboard and a mouse.
const MOST_WAITING: usize = 1_024;
/// How soon it is asked again whether it does, at first: an answer takes well below that, and some fifty events, of which its socket
/// is full, a few times as long where it has a processor; and at the most.
const AGAIN: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(200)];
/// How long a server may take to hear the last of it, which is waited for. Short: whoever drops it does other things.
const FAREWELL: Duration = Duration::from_millis(250);
/// Units of relative motion in a pixel.
const UNITS: i32 = 16;

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
    /// How long it was waited for last, since something was taken.
    pause: Duration,
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
            Taken::All => return Ok(true),
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
        Ok(self.taken == Taken::All)
    }

    /// What became of an event for the devices. A program may turn them off: then a finger is the pointer again.
    fn known(&mut self, done: Result<(), DisplayError>) -> Result<(), DisplayError> {
        match done {
            Ok(()) | Err(DisplayError::Silent) => done,
            Err(error) => {
                tracing::debug!(%error, "a device of the display is gone");
                self.devices = None;
                Ok(())
            }
        }
    }

    /// What takes fingers and pens by themselves, and where they are for it.
    fn devices_at(&self, x: u16, y: u16) -> Option<(Arc<XDevices>, Place)> {
        Some((self.devices.clone()?, self.aim.on_screen(x, y)?))
    }

    fn fake(&mut self, kind: u8, detail: u8, x: i16, y: i16) -> Result<(), DisplayError> {
        let root = self.link.root();
        self.taken.sent();
        self.link.wire_ready().xtest_fake_input(kind, detail, 0, root, x, y, 0)?;
        Ok(())
    }

    fn act(&mut self, event: &InputEvent) -> Result<(), DisplayError> {
        match *event {
            InputEvent::Key { code, pressed } => match keycode(code) {
                Some(key) => self.key(key, pressed),
                None => Ok(()),
            },
            InputEvent::Button { button, pressed } => self.button(number(button), pressed),
            InputEvent::PointerAbsolute { x, y } => self.point(x, y),
            InputEvent::PointerRelative { total_x, total_y } => self.travel(total_x, total_y),
            InputEvent::Wheel { x, y } => self.turn(x, y),
            InputEvent::Touch { finger, phase, x, y, pressure } => match self.devices_at(x, y) {
                Some((devices, at)) => self.known(devices.touch(finger, phase, at, pressure)),
                None => self.touch(finger, phase, x, y),
            },
            InputEvent::Text(ref text) => self.type_text(text),
            InputEvent::ReleaseAll => self.let_go(),
            InputEvent::Pen(pen) => match self.devices_at(pen.x, pen.y) {
                Some((devices, at)) => self.known(devices.draw(&pen, at)),
                None => self.draw(pen),
            },
            InputEvent::Gamepad { .. }
            | InputEvent::GamepadPlugged { .. }
            | InputEvent::PadMotion { .. }
            | InputEvent::PadTouch { .. } => Ok(()),
        }
    }

    fn key(&mut self, key: u8, pressed: bool) -> Result<(), DisplayError> {
        // The server repeats keys by itself.
        if self.keys[usize::from(key)] == pressed {
            return Ok(());
        }
        self.fake(if pressed { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT }, key, 0, 0)?;
        self.keys[usize::from(key)] = pressed;
        self.caps ^= pressed && key == CAPS_LOCK;
        Ok(())
    }

    fn strike(&mut self, key: u8) -> Result<(), DisplayError> {
        self.fake(KEY_PRESS_EVENT, key, 0, 0)?;
        self.fake(KEY_RELEASE_EVENT, key, 0, 0)
    }

    fn type_text(&mut self, text: &str) -> Result<(), DisplayError> {
        self.spares.prepare(&self.link, text)?;
        // To let go of a lock and press it again is to turn it.
        let lifts = |key: u8| self.spares.is_modifier(key) && key != CAPS_LOCK && key != NUM_LOCK;
        let held = (0..=u8::MAX).filter(|&key| self.keys[usize::from(key)] && lifts(key));
        let held: Vec<u8> = held.collect();
        let caps = self.caps && !self.keys[usize::from(CAPS_LOCK)];
        for &key in &held {
            self.fake(KEY_RELEASE_EVENT, key, 0, 0)?;
        }
        if caps {
            self.strike(CAPS_LOCK)?;
        }
        let struck = self.spares.struck().to_vec();
        for key in struck {
            self.strike(key)?;
        }
        if caps {
            self.strike(CAPS_LOCK)?;
        }
        for &key in &held {
            self.fake(KEY_PRESS_EVENT, key, 0, 0)?;
        }
        Ok(())
    }

    fn button(&mut self, button: u8, pressed: bool) -> Result<(), DisplayError> {
        if self.buttons[usize::from(button)] == pressed {
            return Ok(());
        }
        self.fake(if pressed { BUTTON_PRESS_EVENT } else { BUTTON_RELEASE_EVENT }, button, 0, 0)?;
        self.buttons[usize::from(button)] = pressed;
        Ok(())
    }

    fn point(&mut self, x: u16, y: u16) -> Result<(), DisplayError> {
        let place = |at: u16, from: u32, edge: u32| {
            let scaled =
                (u32::from(at) * (edge - 1) + u32::from(u16::MAX) / 2) / u32::from(u16::MAX);
            // Screens have at most 32,767 pixels each way.
            (from + scaled) as i16
        };
        let Some(view) = self.aim.shown() else { return Ok(()) };
        let (x, y) = (place(x, view.x, view.size.width), place(y, view.y, view.size.height));
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y)
    }

    fn travel(&mut self, total_x: i32, total_y: i32) -> Result<(), DisplayError> {
        let Some((x, y)) = self.totals.replace((total_x, total_y)) else { return Ok(()) };
        let whole = |left: &mut i32, by: i32| {
            let sum = left.saturating_add(by);
            let pixels = (sum / UNITS).clamp(i16::MIN.into(), i16::MAX.into());
            *left = sum % UNITS;
            pixels as i16
        };
        let x = whole(&mut self.motion.0, total_x.wrapping_sub(x));
        let y = whole(&mut self.motion.1, total_y.wrapping_sub(y));
        if (x, y) == (0, 0) {
            return Ok(());
        }
        self.fake(MOTION_NOTIFY_EVENT, 1, x, y)
    }

    fn turn(&mut self, x: i16, y: i16) -> Result<(), DisplayError> {
        if let Some(devices) = self.devices.clone() {
            let within = |by: i16| i32::from(by).clamp(-MOST_NOTCHES * NOTCH, MOST_NOTCHES * NOTCH);
            return self.known(devices.turn(within(x), within(y)));
        }
        self.wheel.0 += i32::from(x);
        self.wheel.1 += i32::from(y);
        let notches = (self.wheel.0 / NOTCH, self.wheel.1 / NOTCH);
        self.wheel = (self.wheel.0 % NOTCH, self.wheel.1 % NOTCH);
        for (notches, [back, forth]) in [(notches.0, HORIZONTAL), (notches.1, VERTICAL)] {
            let button = if notches < 0 { back } else { forth };
            for _ in 0..notches.abs().min(MOST_NOTCHES) {
                self.button(button, true)?;
                self.button(button, false)?;
            }
        }
        Ok(())
    }

    fn touch(&mut self, finger: u8, phase: TouchPhase, x: u16, y: u16) -> Result<(), DisplayError> {
        match phase {
            TouchPhase::Start if self.finger.is_none() => {
                self.finger = Some(finger);
                self.point(x, y)?;
                self.button(BUTTONS[0], true)
            }
            _ if self.finger != Some(finger) => Ok(()),
            TouchPhase::Start | TouchPhase::Move => self.point(x, y),
            TouchPhase::End | TouchPhase::Cancel => {
                self.finger = None;
                self.button(BUTTONS[0], false)
            }
        }
    }

    fn draw(&mut self, pen: Pen) -> Result<(), DisplayError> {
        if pen.state.has(PenState::NEAR) {
            self.point(pen.x, pen.y)?;
        }
        // What a mouse holds stays held while the pen changes nothing.
        let before = std::mem::replace(&mut self.pen, pen.state);
        for (what, button) in [(PenState::TIP, BUTTONS[0]), (PenState::BARREL, BUTTONS[2])] {
            if before.has(what) != pen.state.has(what) {
                self.button(button, pen.state.has(what))?;
            }
        }
        Ok(())
    }

    fn let_go(&mut self) -> Result<(), DisplayError> {
        // The page may start over with its counting.
        (self.totals, self.finger, self.pen) = (None, None, PenState::default());
        (self.motion, self.wheel) = ((0, 0), (0, 0));
        for number in 0..=u8::MAX {
            self.key(number, false)?;
            self.button(number, false)?;
        }
        if let Some(devices) = self.devices.clone() {
            self.known(devices.let_go())?;
        }
        Ok(self.link.wire_ready().flush()?)
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

fn number(button: PointerButton) -> u8 {
    BUTTONS[button as usize]
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
            // A display has none.
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
        let is_behind = (self.owed || !self.waiting.is_empty()) && !self.gone;
        self.pause =
            if is_behind { (self.pause * 2).clamp(AGAIN[0], AGAIN[1]) } else { Duration::ZERO };
        is_behind.then(|| now + self.pause)
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
