//! The X display of a session: capture, pointer, input.
//!
//! A [`Display`] is an X server that somebody else runs, reached by its unix socket. It opens what a session
//! needs, each with a connection of its own, so that no thread waits for another's answers: an [`XSource`]
//! for the source thread, an [`XInput`] for the network task. No call waits without bound: a server that
//! hangs is [`DisplayError::Silent`] after four seconds, one that has ended is [`DisplayError::Ended`].
//!
//! A display that is suspended (frozen, stopped) answers nobody: whoever suspends it stops asking first.
//!
//! Sessions know none of this: they have a [`Screen`], which a [`Driver`] opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use media::{Clock, FrameRate, MediaTime, Size};
use x11rb::NONE;
use x11rb::protocol::xproto::ConnectionExt as _;

pub mod clipboard;
mod convert;
mod device;
mod devices;
mod gate;
mod input;
mod keys;
mod link;
mod mirror;
mod pictures;
mod pointer;
mod ring;
mod scale;
mod screen;
mod seam;
mod segment;
mod source;
mod taken;
mod text;
mod windows;
mod wire;

use clipboard::{ClipLimits, Clipboard, Tell};
use link::Link;
use pointer::Aim;
use screen::Viewport;

pub use convert::conversion;
pub use devices::XDevices;
pub use input::XInput;
pub use link::DisplayError;
pub use seam::{Clips, Driver, Screen, X11};
pub use source::XSource;

/// What a client shows to be let in: `MIT-MAGIC-COOKIE-1`.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie([u8; 16]);

impl Cookie {
    const NAME: &[u8] = b"MIT-MAGIC-COOKIE-1";

    /// Of 16 bytes that nobody can guess.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The contents of an authority file (`-auth` of a server, `$XAUTHORITY` of clients) that has this cookie
    /// for display `number` of any host (Xau's `FamilyWild`).
    pub fn authority(&self, number: u32) -> Vec<u8> {
        let number = number.to_string();
        let mut file = vec![0xff, 0xff];
        for field in [b"".as_slice(), number.as_bytes(), Self::NAME, self.bytes()] {
            // No field comes near the 64 KiB that the length can say.
            file.extend_from_slice(&(field.len() as u16).to_be_bytes());
            file.extend_from_slice(field);
        }
        file
    }
}

impl std::fmt::Debug for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookie(..)")
    }
}

/// How much is shown of a screen that has this size now: all of it, or so much of its upper left corner. Asked, on the thread of
/// whoever looks at the screen, when its size may have changed; it may not block.
pub type Most = Arc<dyn Fn(Size) -> Size + Send + Sync>;

/// An X server that is ready for connections.
pub struct Display {
    link: Link,
    path: PathBuf,
    cookie: Cookie,
    /// The mode that was made for the present size, where one was.
    mode: Option<u32>,
    /// What the screen says that it shows.
    rate: FrameRate,
    /// No more of it is shown.
    most: Most,
    aim: Arc<Aim>,
    /// What its server was started for at most, where it does not know that itself.
    largest: Option<Size>,
    /// Its server's own, where it has any.
    devices: Option<Arc<XDevices>>,
}

impl Display {
    /// Connects to the server that listens on `path`, and checks that it has what a session needs.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn connect(path: &Path, cookie: &Cookie) -> Result<Self, DisplayError> {
        let link = Link::open(path, cookie)?;
        let (path, cookie) = (path.to_owned(), cookie.clone());
        let (mode, rate, aim) = (None, FrameRate::fps(60), Arc::default());
        let (largest, devices) = (None, None);
        Ok(Self {
            link,
            path,
            cookie,
            mode,
            rate,
            most: Arc::new(|size| size),
            aim,
            largest,
            devices,
        })
    }

    /// Fingers, the wheel and a pen go to these devices of the server, which has room for a screen of this size at most and does not
    /// say so: Xorg's.
    #[must_use]
    pub fn with_devices(self, devices: Arc<XDevices>, largest: Size) -> Self {
        Self { devices: Some(devices), largest: Some(largest), ..self }
    }

    /// Puts the pointer into the lower right corner: in the middle, where servers begin with it, it chooses in menus before
    /// its player has moved it.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn put_pointer_aside(&self) -> Result<(), DisplayError> {
        let (x, root) = (self.link.x(), self.link.root());
        // No farther than the screen goes.
        x.warp_pointer(NONE, root, 0, 0, 0, 0, i16::MAX, i16::MAX)?.check()?;
        Ok(())
    }

    /// The pictures a second that the screen says it shows from the next [`set_size`](Self::set_size) on, 60 before:
    /// programs that wait for a screen before each picture draw as many.
    pub fn set_rate(&mut self, rate: FrameRate) {
        self.rate = rate;
    }

    /// From now on no more of it is shown than that says, whatever size a program gives it: by all that is opened.
    pub fn set_most(&mut self, most: Most) {
        self.most = most;
    }

    /// The size of its pictures.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn size(&self) -> Result<Size, DisplayError> {
        Ok(Viewport::whole(&self.link)?.within(&self.most).size)
    }

    /// Gives it another size, even both ways and at most the one that the server was started with, and a
    /// number of dots an inch (48 to 480, 96 being usual). Programs see it at once, and windows that filled the
    /// screen before, or the only one of a program, fill it again; sources say `Resized`. Whoever asks for it asks no source
    /// meanwhile, which would see the screen half changed. It waits while a program grabs the server.
    ///
    /// # Errors
    /// [`DisplayError::Size`] when it cannot have that size; and see there.
    pub fn set_size(&mut self, size: Size, dpi: u32) -> Result<(), DisplayError> {
        let Self { link, largest, rate, mode, .. } = self;
        screen::set_size(link, *largest, size, *rate, dpi, mode)
    }

    /// Captures its pictures, over time at most at `rate`: what is drawn after input comes sooner, and what follows later. The
    /// clock gives the stage times, and says how often pictures may have another size.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn source(&self, rate: FrameRate, clock: Arc<dyn Clock>) -> Result<XSource, DisplayError> {
        let (link, aim) = (Link::open(&self.path, &self.cookie)?, self.aim.clone());
        XSource::open(link, rate, self.most.clone(), clock, aim)
    }

    /// Puts input into it. Whatever was pressed before is let go of. `now` is when the player is taken to have
    /// done something last.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn input(&self, now: MediaTime) -> Result<XInput, DisplayError> {
        let (link, aim) = (Link::open(&self.path, &self.cookie)?, self.aim.clone());
        XInput::open(link, &self.most, aim, self.devices.clone(), now)
    }

    /// Opens its clipboard. `tell` is called, on a thread of the clipboard's own, when a program has copied something.
    ///
    /// # Errors
    /// See [`DisplayError`].
    pub fn clipboard(&self, limits: ClipLimits, tell: Tell) -> Result<Clipboard, DisplayError> {
        Clipboard::open((&self.path, &self.cookie), limits, tell)
    }
}
