//! A connection of TCP through the relay: bytes in pieces over the same links, and no more of them than the queue takes.
//!
//! What the queue has no room for is not read, so that it waits in the sender's kernel, as it does before a bottleneck
//! that TCP has filled. The connection on either side of the relay loses nothing, so what a link loses cannot be sent
//! again: a piece that is missing, or comes twice, ends the connection.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags};
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes of a piece: what a packet of 1,500 carries beside IPv4 and TCP with timestamps.
pub(super) const PIECE: usize = 1_448;
/// Bytes that IPv4 and TCP put before it.
pub(super) const HEADERS: u64 = 52;
/// What the kernel keeps of a server before the link takes it, in bytes.
const BEFORE: usize = 4_096;
/// What waits for a client that does not read; then nothing more is read for it.
const BEHIND: usize = 64 * 1_024;

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To the client.
    Down,
    /// To the server.
    Up,
}

/// A piece on its way.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) way: Way,
    connection: u64,
    number: u64,
    bytes: Vec<u8>,
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// Serves one client after the other.
#[derive(Debug)]
pub(super) struct Pipe {
    front: TcpListener,
    server: SocketAddr,
    ends: Option<Ends>,
    /// Connections so far.
    connections: u64,
}

#[derive(Debug)]
struct Ends {
    client: TcpStream,
    server: TcpStream,
    /// What arrived and waits for each.
    to_client: Waiting,
    to_server: Waiting,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Pieces that were read for it, and that arrived.
    read: u64,
    arrived: u64,
    /// No more are read.
    ended: bool,
}

impl Pipe {
    pub(super) fn new(front: TcpListener, server: SocketAddr) -> Self {
        Self { front, server, ends: None, connections: 0 }
    }

    /// Takes a client that waits, where there is none.
    pub(super) fn accept(&mut self) {
        if self.ends.is_some() {
            return;
        }
        let Ok((client, _)) = self.front.accept() else { return };
        self.connections += 1;
        self.ends = Ends::new(client, self.server).ok();
    }

    /// What can be read of one end now. One that ends takes the other with it, once what it sent has arrived.
    pub(super) fn read(&mut self, way: Way, buffer: &mut [u8]) -> Option<Piece> {
        let ends = self.ends.as_mut()?;
        let (from, waiting) = match way {
            Way::Down => (&mut ends.server, &mut ends.to_client),
            Way::Up => (&mut ends.client, &mut ends.to_server),
        };
        if waiting.ended || waiting.bytes.len() > BEHIND {
            return None;
        }
        match from.read(&mut buffer[..PIECE]) {
            Ok(0) => {
                waiting.ended = true;
                None
            }
            Ok(length) => {
                waiting.read += 1;
                let bytes = buffer[..length].to_vec();
                Some(Piece { way, connection: self.connections, number: waiting.read, bytes })
            }
            Err(error) if waits(&error) => None,
            Err(_) => {
                self.ends = None;
                None
            }
        }
    }

    /// A piece arrived; hands on what the other end takes. Pieces of a connection before this one are no longer wanted.
    pub(super) fn arrived(&mut self, piece: Piece) {
        let is_ours = piece.connection == self.connections;
        let Some(ends) = self.ends.as_mut().filter(|_| is_ours) else { return };
        let waiting = match piece.way {
            Way::Down => &mut ends.to_client,
            Way::Up => &mut ends.to_server,
        };
        waiting.arrived += 1;
        if piece.number != waiting.arrived {
            self.ends = None;
            return;
        }
        waiting.bytes.extend(piece.bytes);
    }

    /// Writes what waits, as far as both ends take it.
    pub(super) fn write(&mut self) {
        let Some(ends) = self.ends.as_mut() else { return };
        let written = ends
            .to_client
            .write(&mut ends.client)
            .and_then(|()| ends.to_server.write(&mut ends.server));
        if written.is_err() || ends.to_client.is_over() || ends.to_server.is_over() {
            self.ends = None;
        }
    }

    /// What to wake for; `reads` says of a way whether its link has room.
    pub(super) fn poll<'a>(&'a self, reads: impl Fn(Way) -> bool, all: &mut Vec<PollFd<'a>>) {
        let Some(ends) = &self.ends else {
            all.push(PollFd::from_borrowed_fd(self.front.as_fd(), PollFlags::IN));
            return;
        };
        let sides = [
            (&ends.server, Way::Down, &ends.to_client, &ends.to_server),
            (&ends.client, Way::Up, &ends.to_server, &ends.to_client),
        ];
        for (socket, way, goes, comes) in sides {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads(way) && !goes.ended && goes.bytes.len() <= BEHIND);
            flags.set(PollFlags::OUT, !comes.bytes.is_empty());
            if !flags.is_empty() {
                all.push(PollFd::from_borrowed_fd(socket.as_fd(), flags));
            }
        }
    }
}

impl Ends {
    fn new(client: TcpStream, address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Before it connects: the window is agreed on then.
        socket.set_recv_buffer_size(BEFORE)?;
        socket.connect(&address.into())?;
        let server = TcpStream::from(socket);
        for end in [&client, &server] {
            end.set_nonblocking(true)?;
            end.set_nodelay(true)?;
        }
        let (to_client, to_server) = Default::default();
        Ok(Self { client, server, to_client, to_server })
    }
}

impl Waiting {
    /// Whatever was sent was handed on, and no more comes.
    fn is_over(&self) -> bool {
        self.ended && self.read == self.arrived && self.bytes.is_empty()
    }

    fn write(&mut self, to: &mut TcpStream) -> io::Result<()> {
        while !self.bytes.is_empty() {
            match to.write(&self.bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => drop(self.bytes.drain(..taken)),
                Err(error) if waits(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
