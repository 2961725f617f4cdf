//! What each event of a player is to a display, by XTEST or by devices of its own.

use std::sync::Arc;

use media::input::{PointerButton, TouchPhase};
use media::{InputEvent, Pen, PenState};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    MOTION_NOTIFY_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;

use super::{BUTTONS, XInput};
use crate::display::devices::{Place, XDevices};
use crate::display::keys::{CAPS_LOCK, NUM_LOCK, keycode};
use crate::display::link::DisplayError;

/// X's buttons of the wheel: up and down, left and right.
const VERTICAL: [u8; 2] = [4, 5];
const HORIZONTAL: [u8; 2] = [6, 7];
/// 1/120 of a notch in one.
const NOTCH: i32 = 120;
/// Notches of one event that count: no wheel turns further between two.
const MOST_NOTCHES: i32 = 20;
/// Units of relative motion in a pixel.
const UNITS: i32 = 16;

impl XInput {
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

    /// Does what the player did.
    pub(super) fn act(&mut self, event: &InputEvent) -> Result<(), DisplayError> {
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

    /// Lets go of everything. What comes next waits for nothing that was sent before.
    pub(super) fn let_go(&mut self) -> Result<(), DisplayError> {
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
        self.link.wire_ready().flush()?;
        self.taken.forget();
        Ok(())
    }
}

fn number(button: PointerButton) -> u8 {
    BUTTONS[button as usize]
}
