//! One connection to an X server: set up, checked, and with an end to every wait.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use media::SourceError;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use thiserror::Error;
use x11rb::connection::{Connection as _, RequestConnection as _};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::damage::{self, ConnectionExt as _};
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ImageOrder, Window};
use x11rb::protocol::xtest::{self, ConnectionExt as _};
use x11rb::rust_connection::RustConnection;

use super::Cookie;
use super::wire::Wire;

/// The longest wait for an answer. One takes well below a millisecond; a machine with far more work than it
/// can do must not end a game.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// A server that takes no connection now is tried again after this long.
const RETRY: Duration = Duration::from_millis(5);

/// Why a display cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DisplayError {
    /// Its socket cannot be connected.
    #[error("the display's socket cannot be connected: {0}")]
    Unreachable(std::io::Error),
    /// It takes no connection from us.
    #[error("the display refuses the connection: {0}")]
    Denied(String),
    /// It lacks an extension, or has a version that is too old.
    #[error("the display has no {extension} {version}")]
    Missing {
        /// The extension's name.
        extension: &'static str,
        /// The version that is needed.
        version: &'static str,
    },
    /// Its pixels have a layout other than 24 bits in 32, blue first.
    #[error("the display's pixels have another layout than BGRX: {0}")]
    Layout(String),
    /// Its size, or one asked for, cannot be coded or had.
    #[error("{width}x{height} is not a size that the display can have: {why}")]
    Size {
        /// Pixels from left to right.
        width: u32,
        /// Pixels from top to bottom.
        height: u32,
        /// What is wrong with it.
        why: String,
    },
    /// No answer came in time.
    #[error("the display did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The connection was closed: the server has ended.
    #[error("the display has ended")]
    Ended,
    /// The server refused a request.
    #[error("the display refused a request: {0}")]
    Refused(String),
    /// What came is not X.
    #[error("the display speaks nonsense: {0}")]
    Protocol(String),
    /// The system gives no memory.
    #[error("no memory to share with the display: {0}")]
    Memory(std::io::Error),
}

impl From<std::io::Error> for DisplayError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::TimedOut => Self::Silent,
            ErrorKind::UnexpectedEof
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::WriteZero => Self::Ended,
            _ => Self::Protocol(error.to_string()),
        }
    }
}

impl From<ConnectionError> for DisplayError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::IoError(error) => error.into(),
            error => Self::Protocol(error.to_string()),
        }
    }
}

impl From<ReplyError> for DisplayError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => error.into(),
            ReplyError::X11Error(error) => {
                let request = error.request_name.unwrap_or("a request");
                Self::Refused(format!("{request}: {:?}", error.error_kind))
            }
        }
    }
}

impl From<ReplyOrIdError> for DisplayError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::IdsExhausted => Self::Protocol("it gives no more ids".into()),
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
        }
    }
}

impl From<ConnectError> for DisplayError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::IoError(error) => error.into(),
            ConnectError::SetupFailed(setup) => {
                Self::Denied(String::from_utf8_lossy(&setup.reason).trim().to_owned())
            }
            error => Self::Protocol(error.to_string()),
        }
    }
}

impl From<DisplayError> for SourceError {
    fn from(error: DisplayError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A connection whose server has what we need, and serves it also while a program grabs the server.
pub(super) struct Link {
    x: RustConnection<Wire>,
    root: Window,
}

impl Link {
    pub(super) fn open(path: &Path, cookie: &Cookie) -> Result<Self, DisplayError> {
        let deadline = Instant::now() + PATIENCE;
        let socket = connect_until(path, deadline)?;
        let wire = Wire::new(socket, deadline.saturating_duration_since(Instant::now()))?;
        let x = RustConnection::connect_to_stream_with_auth_info(
            wire,
            0,
            Cookie::NAME.to_vec(),
            cookie.bytes().to_vec(),
        )?;
        let root = x.setup().roots.first().map_or(x11rb::NONE, |screen| screen.root);
        let link = Self { x, root };
        link.check_layout()?;
        link.check_extensions()?;
        // A program that grabs the server keeps its player neither from what it draws nor from input.
        link.x().xtest_grab_control(true)?.check()?;
        Ok(link)
    }

    /// The connection, for requests that are answered within [`PATIENCE`] from now.
    pub(super) fn x(&self) -> &RustConnection<Wire> {
        self.x_within(PATIENCE)
    }

    /// The same within another time.
    pub(super) fn x_within(&self, within: Duration) -> &RustConnection<Wire> {
        self.wire().arm(within);
        &self.x
    }

    /// The connection, for requests without an answer where [`Wire::writable`] has said yes: it waits for
    /// nothing.
    pub(super) fn wire_ready(&self) -> &RustConnection<Wire> {
        self.wire().arm(Duration::ZERO);
        &self.x
    }

    pub(super) fn wire(&self) -> &Wire {
        self.x.stream()
    }

    pub(super) fn root(&self) -> Window {
        self.root
    }

    fn check_layout(&self) -> Result<(), DisplayError> {
        let setup = self.x.setup();
        let refuse = |what: String| Err(DisplayError::Layout(what));
        let Some(screen) = setup.roots.first() else { return refuse("no screen".into()) };
        if setup.image_byte_order != ImageOrder::LSB_FIRST {
            return refuse("most significant byte first".into());
        }
        let bits = |depth| {
            setup
                .pixmap_formats
                .iter()
                .find(|format| format.depth == depth)
                .map(|f| f.bits_per_pixel)
        };
        if screen.root_depth != 24 || bits(24) != Some(32) {
            return refuse(format!("depth {} in {:?} bits", screen.root_depth, bits(24)));
        }
        let visuals = screen.allowed_depths.iter().flat_map(|depth| &depth.visuals);
        let masks = |visual: &x11rb::protocol::xproto::Visualtype| {
            [visual.red_mask, visual.green_mask, visual.blue_mask]
        };
        let mut of_root =
            visuals.filter(|visual| visual.visual_id == screen.root_visual).map(masks);
        match of_root.next() {
            Some([0x00ff_0000, 0x0000_ff00, 0x0000_00ff]) => Ok(()),
            masks => refuse(format!("masks {masks:x?}")),
        }
    }

    /// Checks every extension by name, and agrees on versions as X11 asks of each client.
    fn check_extensions(&self) -> Result<(), DisplayError> {
        let x = self.x();
        let needed = [
            (shm::X11_EXTENSION_NAME, "1.2"),
            (damage::X11_EXTENSION_NAME, "1.1"),
            (xfixes::X11_EXTENSION_NAME, "5.0"),
            (randr::X11_EXTENSION_NAME, "1.3"),
            (xtest::X11_EXTENSION_NAME, "2.2"),
        ];
        for (extension, _) in needed {
            x.prefetch_extension_information(extension)?;
        }
        for (extension, version) in needed {
            if x.extension_information(extension)?.is_none() {
                return Err(DisplayError::Missing { extension, version });
            }
        }
        let shm = x.shm_query_version()?;
        let damage = x.damage_query_version(1, 1)?;
        let xfixes = x.xfixes_query_version(5, 0)?;
        let randr = x.randr_query_version(1, 3)?;
        let xtest = x.xtest_get_version(2, 2)?;
        let (shm, damage, xfixes) = (shm.reply()?, damage.reply()?, xfixes.reply()?);
        let (randr, xtest) = (randr.reply()?, xtest.reply()?);
        let fresh = [
            (u32::from(shm.major_version), u32::from(shm.minor_version)) >= (1, 2),
            (damage.major_version, damage.minor_version) >= (1, 1),
            (xfixes.major_version, xfixes.minor_version) >= (5, 0),
            (randr.major_version, randr.minor_version) >= (1, 3),
            (u32::from(xtest.major_version), u32::from(xtest.minor_version)) >= (2, 2),
        ];
        match needed.iter().zip(fresh).find(|(_, fresh)| !fresh) {
            None => Ok(()),
            Some((&(extension, version), _)) => Err(DisplayError::Missing { extension, version }),
        }
    }
}

/// Connects a socket without waiting in the kernel, where a server that hangs would keep us for ever.
pub(super) fn connect_until(path: &Path, deadline: Instant) -> Result<UnixStream, DisplayError> {
    let unreachable = |error: Errno| DisplayError::Unreachable(error.into());
    let address = SocketAddrUnix::new(path).map_err(unreachable)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let socket = socket.map_err(unreachable)?;
    loop {
        match connect(&socket, &address) {
            Ok(()) => return Ok(socket.into()),
            // Its backlog is full.
            Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(RETRY),
            Err(Errno::AGAIN) => return Err(DisplayError::Silent),
            Err(Errno::INTR) => {}
            Err(error) => return Err(unreachable(error)),
        }
    }
}
