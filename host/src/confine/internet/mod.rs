//! The internet for a sandbox whose game may have it.
//!
//! ```text
//!  game ── device ── gate, relay (`inet-…`) ── stream ── passt ── sockets of the host
//!  └ network of the sandbox's own ┘└─────────── the node ────────┘└ a process, as the game's user ┘
//! ```
//!
//! The sandbox's network holds one device, and what the game sends by it comes to the relay, on this side of every wall:
//! it passes on what the gate lets through, and passt makes connections of the host of that. So nothing that the
//! game does to its network, and no route or source address, leads past the gate. Nobody outside reaches the game:
//! passt listens nowhere.
//!
//! passt lives in the game's control group, is halted and counted with it, and ends with its stream, that is with the node
//! at the latest.

mod gate;
mod relay;
mod tap;

use std::io::{self, ErrorKind, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};
use serde::{Deserialize, Serialize};

use super::attempts::Books;
use super::folder::User;
use super::launch::{Streams, Surroundings, spawn};
use super::protocol::Channel;
use gate::{GATEWAY, GUEST, PREFIX, RESOLVER};
use relay::Relay;

pub use tap::make;

/// Largest packet, as most networks have it: what is longer would be cut on the way.
const MTU: u16 = 1_500;
/// Bytes of frames from passt that may wait for the relay.
const ROOM: usize = 4 << 20;
/// How long a network may take to be made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Linux cuts thread names after 15 bytes.
const THREAD_NAME_BYTES: usize = 15;

/// What `nearlight-init --network` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Made {
    /// With it come the device, the network and, where the node is not root, the user namespace that has it.
    Whole,
    Failed(String),
}

/// What networks are made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::confine) struct Tools {
    pub(in crate::confine) passt: PathBuf,
    pub(in crate::confine) init: PathBuf,
}

/// `resolv.conf(5)` of a game that has the internet.
pub(in crate::confine) fn resolver() -> String {
    format!("nameserver {RESOLVER}\n")
}

/// A network of its own, which is there as long as this or a process in it.
struct Network {
    tap: OwnedFd,
    /// What a process enters one after the other to be in it.
    namespaces: Vec<OwnedFd>,
}

impl Network {
    fn make(init: &Path) -> io::Result<Self> {
        let (control, theirs) = Channel::pair()?;
        let streams =
            Streams { input: theirs.into(), output: Stdio::null(), error: Stdio::inherit() };
        let args = vec!["--network".into()];
        let mut child = spawn(init, args, streams, Surroundings::default())?;
        let made = Self::received(&control);
        // It ends by itself once it has told, and is not waited for where it does not.
        if made.is_err() {
            let _ = child.kill();
        }
        child.wait()?;
        made
    }

    fn received(control: &Channel) -> io::Result<Self> {
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(control, PollFlags::IN)];
        if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience)))? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        let received = control.receive::<Made>()?.ok_or(ErrorKind::BrokenPipe)?;
        if let Made::Failed(reason) = received.message {
            return Err(io::Error::other(reason));
        }
        let mut fds = received.fds.into_iter();
        let (Some(tap), Some(network)) = (fds.next(), fds.next()) else {
            return Err(ErrorKind::InvalidData.into());
        };
        Ok(Self { tap, namespaces: fds.next().into_iter().chain([network]).collect() })
    }
}

/// Makes a way out of a network and lets go of it: whether this machine can.
///
/// # Errors
/// Why it cannot.
pub(in crate::confine) fn try_out(tools: &Tools, user: Option<User>) -> Result<(), String> {
    let books = Books::default();
    let opened = Internet::open(tools, "trial", Vec::new(), user, books);
    opened.map(drop).map_err(|error| error.to_string())
}

/// The internet of one sandbox. Dropping it ends it.
#[derive(Debug)]
pub(in crate::confine) struct Internet {
    passt: Child,
    /// The stream to passt, which the relay has, too.
    stream: OwnedFd,
    relay: Option<JoinHandle<()>>,
}

impl Internet {
    /// Makes a network with a way out of it, for a sandbox of this name and user in the control groups behind these doors.
    /// What the game may not reach is counted in the books. With it comes what the sandbox's processes enter.
    ///
    /// # Errors
    /// When a part of it cannot be made or run; nothing is left of it then.
    pub(in crate::confine) fn open(
        tools: &Tools,
        id: &str,
        doors: Vec<OwnedFd>,
        user: Option<User>,
        books: Books,
    ) -> io::Result<(Self, Vec<OwnedFd>)> {
        let Network { tap, namespaces } = Network::make(&tools.init)?;
        let flags = SocketFlags::CLOEXEC;
        let (stream, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // passt drops what finds no room. The system gives as much of it as it gives anybody.
        set_socket_send_buffer_size(&theirs, ROOM)?;
        let streams =
            Streams { input: theirs.into(), output: Stdio::null(), error: Stdio::piped() };
        let around = Surroundings { doors, user, ..Surroundings::default() };
        let passt = spawn(&tools.passt, arguments(), streams, around)?;
        let mut internet = Self { passt, stream, relay: None };
        let (stream, mut errors) = (internet.stream.try_clone()?, internet.passt.stderr.take());
        if let Err(error) = greet(&stream) {
            drop(internet);
            let said = errors.take().map(said).unwrap_or_default();
            let why = said.lines().last().map_or_else(|| error.to_string(), str::to_owned);
            return Err(io::Error::other(format!("passt: {why}")));
        }
        let name: String = format!("inet-{id}").chars().take(THREAD_NAME_BYTES).collect();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _entered = span.entered();
            let mut relay = Relay::new(tap, stream, books);
            match relay.run() {
                Ok(()) => {
                    tracing::debug!(refused = relay.refused(), "the internet of a game ended");
                }
                Err(error) => tracing::warn!(%error, "a game lost the internet"),
            }
            drop(relay);
            let said = errors.map(said).unwrap_or_default();
            if !said.is_empty() {
                tracing::warn!(said, "passt");
            }
        });
        internet.relay = Some(thread?);
        Ok((internet, namespaces))
    }
}

/// Asks passt for its gateway, which it answers once it can carry anything.
///
/// # Errors
/// When it ends, or says nothing.
fn greet(stream: &OwnedFd) -> io::Result<()> {
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    let question = gate::question();
    let length = (question.len() as u32).to_be_bytes();
    rustix::io::write(stream, &[&length[..], &question].concat())?;
    let read = |bytes: &mut [u8]| {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            let mut fds = [PollFd::new(stream, PollFlags::IN)];
            if rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience)))? == 0 {
                return Err(ErrorKind::TimedOut.into());
            }
            match rustix::io::read(stream, rest)? {
                0 => return Err(io::Error::from(ErrorKind::BrokenPipe)),
                read => at += read,
            }
        }
        Ok(())
    };
    let mut length = [0; 4];
    read(&mut length)?;
    // No answer about an address is longer than a packet of the smallest network.
    const LONGEST: u32 = 576;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    read(&mut vec![0; length as usize])
}

/// What passt said: little, and only where it cannot go on. It has ended, or is about to.
fn said(errors: ChildStderr) -> String {
    const MOST: u64 = 2_048;
    let mut said = String::new();
    // What is no text is not shown.
    let _ = errors.take(MOST).read_to_string(&mut said);
    said.trim().to_owned()
}

fn arguments() -> Vec<std::ffi::OsString> {
    let addresses = [GUEST, GATEWAY, RESOLVER].map(|address| address.to_string());
    let [guest, gateway, resolver] = addresses.each_ref().map(String::as_str);
    let prefix = PREFIX.to_string();
    let args = [
        "--fd",
        "0",
        "--foreground",
        "--quiet",
        "--stderr",
        "--ipv4-only",
        // The gateway is no name for this machine.
        "--no-map-gw",
        "--no-dhcp",
        "--no-dhcpv6",
        "--no-ndp",
        "--no-ra",
        // Nobody outside reaches the game.
        "--tcp-ports",
        "none",
        "--udp-ports",
        "none",
        "--address",
        guest,
        "--netmask",
        &prefix,
        "--gateway",
        gateway,
        "--dns-forward",
        resolver,
    ];
    args.map(Into::into).into()
}

impl Drop for Internet {
    fn drop(&mut self) {
        // Both ends of it: the relay ends, and passt where it has not yet.
        let _ = shutdown(&self.stream, Shutdown::Both);
        let _ = self.passt.kill();
        let _ = self.passt.wait();
        if let Some(relay) = self.relay.take() {
            let _ = relay.join();
        }
    }
}
