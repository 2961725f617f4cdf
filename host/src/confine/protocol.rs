//! What the node and `nearlight-init` tell each other: one JSON text a packet, over a `SEQPACKET` pair.
//!
//! The node takes no word of the other end on trust: texts and descriptors have a bound, and what a game
//! that took the process over could say is what it could do anyway, to itself.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use rustix::process::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::machine::Exit;
use super::spec::Program;

/// Longest message in bytes: what a game is started with.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Descriptors that one message brings at most.
const MAX_FDS: usize = 3;

/// From the node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Start the X server, which writes a line to its standard output once it takes connections.
    Display {
        /// The server.
        program: Program,
        /// Files that each process may open from now on.
        open_files: u32,
        /// Processes that the player may have from now on.
        processes: Option<u32>,
    },
    /// Start the game.
    Launch(Program),
    /// Send SIGTERM to the game and what it started.
    Terminate,
    /// Halt everything but the process that is told so.
    Freeze,
    /// Let it run again.
    Thaw,
}

/// From the first process of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// It runs. With it come two descriptors: the player's home, and the folder of X sockets; and a third, by which the
    /// kernel asks about calls that lead out, where it does.
    Opened,
    /// The X server takes connections.
    DisplayReady,
    /// It could not be started.
    DisplayFailed(String),
    /// It has ended.
    DisplayEnded(Exit),
    /// The game runs.
    GameStarted,
    /// It could not be started.
    GameFailed(String),
    /// It has ended.
    GameEnded(Exit),
    /// [`Request::Freeze`] is done.
    Frozen,
    /// [`Request::Thaw`] is done.
    Thawed,
}

/// A message that arrived.
#[derive(Debug)]
pub struct Received<T> {
    /// What it says.
    pub message: T,
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
    /// Who sent it, as the kernel says, in this process's numbers.
    pub sender: Option<Pid>,
}

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Both ends: this process's, which learns who sends, and the other's.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::sockopt::set_socket_passcred(&ours, true)?;
        Ok((Self(ours), theirs))
    }

    /// An end that was inherited.
    pub fn of(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends a message. Never waits.
    ///
    /// # Errors
    /// When it is too long, when the other end is gone, or does not read.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        if text.len() > MAX_MESSAGE {
            return Err(io::Error::other(format!(
                "the message has {} bytes of at most {MAX_MESSAGE}",
                text.len()
            )));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, flags)?;
        Ok(())
    }

    /// Takes the next message. Never waits: [`io::ErrorKind::WouldBlock`] when there is none.
    /// `None` when the other end is gone.
    ///
    /// # Errors
    /// Besides that, when the message is too long or not understood; the next one can be taken.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        let mut text = vec![0; MAX_MESSAGE];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let got = recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
        let (mut fds, mut sender) = (Vec::new(), None);
        for item in control.drain() {
            match item {
                RecvAncillaryMessage::ScmRights(rights) => fds.extend(rights),
                RecvAncillaryMessage::ScmCredentials(of) => sender = Some(of.pid),
                _ => {}
            }
        }
        if got.bytes == 0 {
            return Ok(None);
        }
        if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::other("the message is too long"));
        }
        let message = serde_json::from_slice(text.get(..got.bytes).unwrap_or_default())?;
        Ok(Some(Received { message, fds, sender }))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors_and_sender() {
        let (ours, theirs) = Channel::pair().unwrap();
        let theirs = Channel::of(theirs);
        let null = std::fs::File::open("/dev/null").unwrap();
        theirs.send(&Report::Opened, &[null.as_fd(), null.as_fd()]).unwrap();
        theirs.send(&Report::GameEnded(Exit::Signal(9)), &[]).unwrap();
        let first = ours.receive::<Report>().unwrap().unwrap();
        assert_eq!((first.message, first.fds.len()), (Report::Opened, 2));
        assert_eq!(first.sender, Some(rustix::process::getpid()));
        let second = ours.receive::<Report>().unwrap().unwrap();
        assert_eq!((second.message, second.fds.len()), (Report::GameEnded(Exit::Signal(9)), 0));
        let none = ours.receive::<Report>().unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        drop(theirs);
        assert!(ours.receive::<Report>().unwrap().is_none());
    }

    #[test]
    fn what_is_not_understood_or_too_long_is_refused_and_the_next_one_comes() {
        let (ours, theirs) = Channel::pair().unwrap();
        for bad in [&b"{"[..], b"\"unknown\"", b"{\"game-ended\":{\"code\":\"x\"}}"] {
            rustix::net::send(&theirs, bad, SendFlags::empty()).unwrap();
            assert!(ours.receive::<Report>().is_err());
        }
        rustix::net::send(&theirs, &vec![b' '; MAX_MESSAGE + 1], SendFlags::empty()).unwrap();
        assert!(ours.receive::<Report>().unwrap_err().to_string().contains("too long"));
        let theirs = Channel::of(theirs);
        theirs.send(&Report::Frozen, &[]).unwrap();
        assert_eq!(ours.receive::<Report>().unwrap().unwrap().message, Report::Frozen);
        let program = Program { command: "x".repeat(MAX_MESSAGE), ..Program::default() };
        assert!(ours.send(&Request::Launch(program), &[]).is_err());
    }
}
