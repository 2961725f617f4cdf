//! One connection to a device of an X server: whole messages to the driver `inputtest`, which nobody waits for.

use std::io::{Error, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::link::{DisplayError, connect_until};
use super::taken::Taken;

/// The version of the driver's protocol that is spoken.
const VERSION: [u16; 2] = [1, 1];
/// The driver's answer to ours, in 32-bit words: its bytes, its kind, and the version.
const ANSWER: usize = 12;
/// How soon whoever waits for it looks again whether anybody wants the device.
const LOOK: Duration = Duration::from_millis(20);
/// Kinds of messages; the server's answers are of the same kinds.
const HELLO: u32 = 0;
const SYNC: u32 = 1;

/// One connection.
#[derive(Debug)]
pub(super) struct Device {
    socket: UnixStream,
    /// What the socket has not taken of the last message.
    rest: Vec<u8>,
    /// What the server has made input of.
    taken: Taken,
}

impl Device {
    /// Connects to it, and waits until then for its answer, or until nobody wants it any more, which `is_over` is asked.
    pub(super) fn open(
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
    pub(super) fn takes_now(&mut self) -> Result<bool, DisplayError> {
        let rest = std::mem::take(&mut self.rest);
        let sent = self.put(&rest)?;
        self.rest.extend_from_slice(&rest[sent..]);
        let socket = self.socket.as_fd();
        let mut sockets = [PollFd::new(&socket, PollFlags::OUT)];
        match poll(&mut sockets, Some(&Timespec::default())) {
            // A socket that nobody reads any more takes everything.
            Ok(_) if sockets[0].revents().contains(PollFlags::HUP) => Err(DisplayError::Ended),
            Ok(ready) => Ok(ready > 0 && self.rest.is_empty()),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Whether the server has taken in all that was sent; it is asked where that is not known, and not waited for.
    pub(super) fn has_taken(&mut self) -> Result<bool, DisplayError> {
        if self.taken.is_settled() {
            return Ok(true);
        }
        let sync = words(&[8, SYNC]);
        if self.taken == Taken::Unknown {
            match self.send(&sync) {
                Ok(()) => self.taken = Taken::Asked,
                Err(DisplayError::Silent) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let mut answer = [0; 8];
        // The driver writes the eight bytes at once, and nothing else: none comes in part.
        match self.socket.read(&mut answer).map_err(|error| error.kind()) {
            Ok(0) => return Err(DisplayError::Ended),
            Ok(_) if sync == answer => self.taken.answered(),
            Ok(_) => return Err(DisplayError::Protocol("its devices answer nonsense".into())),
            Err(ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(Error::from(error).into()),
        }
        Ok(self.taken.is_settled())
    }

    /// What was sent is not waited for any more.
    pub(super) fn forget(&mut self) {
        self.taken.forget();
    }

    /// Sends a message, whole or not at all: what the socket takes of it only later goes before the next. Waits for nothing.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), DisplayError> {
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

/// The bytes of these words, in the machine's order.
pub(super) fn words(words: &[u32]) -> Vec<u8> {
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

    /// As long as most of what the driver is told.
    fn event() -> Vec<u8> {
        vec![7; 1_056]
    }

    #[test]
    fn a_server_that_takes_nothing_is_not_waited_for_and_gets_whole_messages() {
        let (mut device, mut server) = pair();
        let message = event();
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
        let (event, sync) = (event(), words(&[8, SYNC]));
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
        // One whose answer nobody waits for stops nothing, and its answer is not that to the next.
        device.send(&event).unwrap();
        assert!(!device.has_taken().unwrap());
        device.forget();
        assert!(device.has_taken().unwrap());
        device.send(&event).unwrap();
        assert!(!device.has_taken().unwrap());
        assert_eq!(heard(), [&both[..], &event].concat());
        (&server).write_all(&sync).unwrap();
        assert!(!device.has_taken().unwrap() && !device.has_taken().unwrap());
        assert_eq!(heard(), sync);
        (&server).write_all(&sync).unwrap();
        assert!(device.has_taken().unwrap());
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
