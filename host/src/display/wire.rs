//! The bytes between us and an X server, bounded in time and size.
//!
//! The server runs beside the game, which may kill it and put something else in its place: what comes from
//! it is input that nobody vouches for. No wait outlasts the time given by [`Wire::arm`], no packet and no
//! burst is longer than ours would ever be, and descriptors that nobody asked for are closed.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::rust_connection::{DefaultStream, PollMode, Stream};
use x11rb::utils::RawFdContainer;

/// The longest packet: a picture of a pointer of 2,048 pixels each way.
const MAX_PACKET: u64 = 32 + 4 * 2_048 * 2_048;
/// What may come in while one request is answered, beside which events may lie.
const MAX_BURST: u64 = 2 * MAX_PACKET;
/// Bytes by which the length of a packet is known.
const HEAD: usize = 8;
/// Bytes of the shortest packet of an X server once it is set up (X11 protocol, appendix B).
const LEAST: u64 = 32;

/// A unix socket whose waits end.
pub(super) struct Wire {
    socket: DefaultStream,
    state: Mutex<State>,
}

struct State {
    deadline: Instant,
    /// Bytes that may still come before the next [`Wire::arm`].
    burst: u64,
    framing: Framing,
}

impl Wire {
    /// # Errors
    /// The system's.
    pub(super) fn new(socket: UnixStream, within: Duration) -> Result<Self> {
        let (socket, _) = DefaultStream::from_unix_stream(socket)?;
        let deadline = Instant::now() + within;
        let state = State { deadline, burst: MAX_BURST, framing: Framing::new() };
        Ok(Self { socket, state: Mutex::new(state) })
    }

    /// Waits from now on end after this time, with [`ErrorKind::TimedOut`].
    pub(super) fn arm(&self, within: Duration) {
        let mut state = self.lock();
        state.deadline = Instant::now() + within;
        state.burst = MAX_BURST;
    }

    /// Waits at most so long until something can be read; whether it can.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn readable(&self, within: Duration) -> Result<bool> {
        self.wait(PollFlags::IN, within)
    }

    /// Whether a message of some kilobytes can be written without a wait: a unix socket says so only
    /// while most of its buffer is free.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn writable(&self) -> Result<bool> {
        self.wait(PollFlags::OUT, Duration::ZERO)
    }

    fn wait(&self, flags: PollFlags, within: Duration) -> Result<bool> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).map_err(Error::other)?;
            let mut fds = [PollFd::new(&self.socket, flags)];
            match poll(&mut fds, Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for Wire {
    fn poll(&self, mode: PollMode) -> Result<()> {
        let flags = match mode {
            PollMode::Readable => PollFlags::IN,
            PollMode::Writable => PollFlags::OUT,
            PollMode::ReadAndWritable => PollFlags::IN | PollFlags::OUT,
        };
        let left = self.lock().deadline.saturating_duration_since(Instant::now());
        if self.wait(flags, left)? { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    fn read(&self, buffer: &mut [u8], fds: &mut Vec<RawFdContainer>) -> Result<usize> {
        let known = fds.len();
        let bytes = self.socket.read(buffer, fds)?;
        fds.truncate(known);
        let mut state = self.lock();
        state.burst = state.burst.checked_sub(bytes as u64).ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, "the server does not stop talking")
        })?;
        state.framing.pass(&buffer[..bytes])?;
        Ok(bytes)
    }

    fn write(&self, buffer: &[u8], fds: &mut Vec<RawFdContainer>) -> Result<usize> {
        self.socket.write(buffer, fds)
    }

    fn write_vectored(
        &self,
        buffers: &[IoSlice<'_>],
        fds: &mut Vec<RawFdContainer>,
    ) -> Result<usize> {
        self.socket.write_vectored(buffers, fds)
    }
}

/// Follows the packets of a server, to see their lengths before anyone makes room for them.
struct Framing {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the present packet that follow its head.
    body: u64,
    set_up: bool,
}

impl Framing {
    fn new() -> Self {
        Self { head: [0; HEAD], have: 0, body: 0, set_up: false }
    }

    fn pass(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if self.body > 0 {
                let skip = self.body.min(bytes.len() as u64);
                self.body -= skip;
                bytes = &bytes[skip as usize..];
                continue;
            }
            let (head, rest) = bytes.split_at(bytes.len().min(HEAD - self.have));
            self.head[self.have..self.have + head.len()].copy_from_slice(head);
            self.have += head.len();
            bytes = rest;
            if self.have == HEAD {
                self.have = 0;
                self.body = self.length()? - HEAD as u64;
            }
        }
        Ok(())
    }

    /// Bytes of the packet that begins with `head`.
    fn length(&mut self) -> Result<u64> {
        let [kind, _, _, _, a, b, c, d] = self.head;
        if !std::mem::replace(&mut self.set_up, true) {
            // The answer to the set-up: a word says how many units of four bytes follow.
            return Ok(HEAD as u64 + 4 * u64::from(u16::from_ne_bytes([c, d])));
        }
        // Replies and generic events are longer where they say so; bit 7 marks what a client sent.
        let long = kind == 1 || kind & 0x7f == 35;
        let more = if long { 4 * u64::from(u32::from_ne_bytes([a, b, c, d])) } else { 0 };
        if LEAST + more > MAX_PACKET {
            let text = format!("the server sends a packet of {} bytes", LEAST + more);
            return Err(Error::new(ErrorKind::InvalidData, text));
        }
        Ok(LEAST + more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn packet(kind: u8, units: u32) -> Vec<u8> {
        let mut packet = vec![0; 32 + 4 * units as usize];
        packet[0] = kind;
        packet[4..8].copy_from_slice(&units.to_ne_bytes());
        packet
    }

    #[test]
    fn packets_are_followed_however_they_are_cut() {
        let mut set_up = vec![0; 8 + 4 * 100];
        set_up[0] = 1;
        set_up[6..8].copy_from_slice(&100_u16.to_ne_bytes());
        // An event's fifth byte is no length.
        let stream = [set_up, packet(1, 3), packet(12, 0), packet(35, 7), packet(1, 0)].concat();
        for cut in 1..40 {
            let mut framing = Framing::new();
            stream.chunks(cut).for_each(|part| framing.pass(part).unwrap());
            assert_eq!((framing.have, framing.body), (0, 0), "cut into {cut}");
            let mut event = packet(12, 0);
            event[4..8].fill(0xff);
            framing.pass(&event).unwrap();
            let huge = &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
            assert!(framing.pass(huge).unwrap_err().to_string().contains("a packet of"));
        }
    }

    #[test]
    fn waits_end_and_bursts_are_bounded() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let wire = Wire::new(ours, Duration::ZERO).unwrap();
        assert_eq!(wire.poll(PollMode::Readable).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(wire.writable().unwrap());
        wire.poll(PollMode::ReadAndWritable).unwrap();
        wire.lock().burst = 40;
        theirs.write_all(&[0; 48]).unwrap();
        let mut fds = Vec::new();
        let mut buffer = [0; 32];
        assert_eq!(wire.read(&mut buffer, &mut fds).unwrap(), 32);
        assert_eq!(wire.read(&mut buffer, &mut fds).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
