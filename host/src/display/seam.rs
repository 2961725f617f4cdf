//! What a session wants of a display, whatever draws it.
//!
//! ```text
//!  Game ──▶ Driver::open ──▶ Screen ──┬── source() ──▶ FrameSource: capture by damage, the pointer beside it, `Resized`
//!                                     ├── input() ───▶ InputSink: keys, pointer, text
//!                                     ├── clipboard() ▶ Clips
//!                                     └── set_rate, set_size: live
//! ```
//!
//! Each of what a screen opens is used on a thread of its own, and none waits for another's answers. What was opened outlives
//! the screen; it ends when its display does, which goes with the sandbox. Nobody beyond [`Driver::open`] names a driver:
//! [`X11`] is the one that there is.

use std::fmt;
use std::sync::Arc;

use media::{Clock, Convert, FrameRate, FrameSource, InputSink, MediaTime, Size};

use super::clipboard::{Clip, ClipError, ClipLimits, Tell};
use super::{Cookie, Display, DisplayError, Most};
use crate::Game;

/// What draws displays.
pub trait Driver: fmt::Debug + Send + Sync {
    /// Opens the display of a game that waits to be launched.
    ///
    /// # Errors
    /// See [`DisplayError`].
    fn open(&self, game: &dyn Game) -> Result<Box<dyn Screen>, DisplayError>;
}

/// The display of one session.
pub trait Screen: Send {
    /// The pictures a second that it says it shows from the next [`set_size`](Self::set_size) on, 60 before: programs that
    /// wait for a screen before each picture draw as many.
    fn set_rate(&mut self, rate: FrameRate);

    /// Gives it another size, even both ways and at most the sandbox's largest, and a number of dots an inch (48 to 480, 96
    /// being usual). Programs see it at once; sources say `Resized`. Whoever asks for it asks no source meanwhile.
    ///
    /// # Errors
    /// [`DisplayError::Size`] when it cannot have that size; and see there.
    fn set_size(&mut self, size: Size, dpi: u32) -> Result<(), DisplayError>;

    /// From now on no more of it is shown than that says, whatever size a program gives it: by all that is opened.
    fn set_most(&mut self, most: Most);

    /// Captures its pictures, over time at most at `rate`: what is drawn after input comes sooner, and what follows later; what
    /// has not changed is none. The clock gives the stage times, and says how often pictures may have another size. They are
    /// converted by `convert` where it has any use, else on the processor.
    ///
    /// # Errors
    /// See [`DisplayError`].
    fn source(
        &self,
        rate: FrameRate,
        clock: Arc<dyn Clock>,
        convert: Option<Box<dyn Convert>>,
    ) -> Result<Box<dyn FrameSource>, DisplayError>;

    /// Puts input into it. Whatever was pressed before is let go of. `now` is when the player is taken to have done something
    /// last.
    ///
    /// # Errors
    /// See [`DisplayError`].
    fn input(&self, now: MediaTime) -> Result<Box<dyn InputSink>, DisplayError>;

    /// Opens its clipboard. `tell` is called, on a thread of the clipboard's own, when a program has copied something.
    ///
    /// # Errors
    /// See [`DisplayError`].
    fn clipboard(&self, limits: ClipLimits, tell: Tell) -> Result<Box<dyn Clips>, DisplayError>;
}

/// The clipboard of a display. Dropping it ends it.
pub trait Clips: Send + Sync {
    /// What was copied in the game: text where there is any, else an image. Blocks for as long as the program takes that it is
    /// in, within the limits.
    ///
    /// # Errors
    /// See [`ClipError`].
    fn take(&self) -> Result<Clip, ClipError>;

    /// Puts something into the clipboard of the game, in place of what was there. Blocks until it is there.
    ///
    /// # Errors
    /// See [`ClipError`].
    fn offer(&self, clip: Clip) -> Result<(), ClipError>;
}

/// The X server that each sandbox starts beside its game, whichever that is ([`confine::Server`](crate::confine::Server)).
#[derive(Clone, Copy, Debug, Default)]
pub struct X11;

impl Driver for X11 {
    fn open(&self, game: &dyn Game) -> Result<Box<dyn Screen>, DisplayError> {
        let server = game.display().ok_or(DisplayError::Ended)?;
        let mut display = Display::connect(&server.path(), &Cookie::new(server.cookie))?;
        if let Some((devices, largest)) = &server.devices {
            display = display.with_devices(devices.clone(), *largest);
        }
        display.put_pointer_aside()?;
        Ok(Box::new(Sandboxed { display, _server: server }))
    }
}

/// A display that is reached by its sandbox.
struct Sandboxed {
    display: Display,
    /// Keeps its path alive, by which connections are opened.
    _server: crate::confine::Display,
}

impl Screen for Sandboxed {
    fn set_rate(&mut self, rate: FrameRate) {
        self.display.set_rate(rate);
    }

    fn set_size(&mut self, size: Size, dpi: u32) -> Result<(), DisplayError> {
        self.display.set_size(size, dpi)
    }

    fn set_most(&mut self, most: Most) {
        self.display.set_most(most);
    }

    fn source(
        &self,
        rate: FrameRate,
        clock: Arc<dyn Clock>,
        convert: Option<Box<dyn Convert>>,
    ) -> Result<Box<dyn FrameSource>, DisplayError> {
        let source = self.display.source(rate, clock)?;
        Ok(Box::new(match convert {
            Some(convert) => source.converted_by(convert),
            None => source,
        }))
    }

    fn input(&self, now: MediaTime) -> Result<Box<dyn InputSink>, DisplayError> {
        Ok(Box::new(self.display.input(now)?))
    }

    fn clipboard(&self, limits: ClipLimits, tell: Tell) -> Result<Box<dyn Clips>, DisplayError> {
        Ok(Box::new(self.display.clipboard(limits, tell)?))
    }
}
