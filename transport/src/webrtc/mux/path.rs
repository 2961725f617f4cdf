//! Ways to a client: an address behind one of the port's UDP sockets, or a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use webrtc::runtime::{Transmit, UdpSockRef, UdpSocketState};

use super::tcp::TcpLink;

/// What waits in the kernel while this process does not run; the kernel may grant less.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// A keyframe of every session.
const SEND_BUFFER: usize = 4 * 1024 * 1024;

/// A UDP socket that all sessions share.
pub(super) struct SharedSocket {
    pub(super) io: UdpSocket,
    pub(super) batch: UdpSocketState,
    /// Its place among the port's sockets.
    pub(super) index: usize,
}

impl SharedSocket {
    pub(super) fn new(socket: std::net::UdpSocket, index: usize) -> io::Result<Self> {
        let io = UdpSocket::from_std(socket)?;
        let batch = UdpSocketState::new(UdpSockRef::from(&io))?;
        batch.set_recv_buffer_size(UdpSockRef::from(&io), RECEIVE_BUFFER)?;
        batch.set_send_buffer_size(UdpSockRef::from(&io), SEND_BUFFER)?;
        Ok(Self { io, batch, index })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || {
            self.batch.try_send(UdpSockRef::from(&self.io), transmit)
        })
    }
}

/// A session's wait for room in a socket's buffer. Tokio's own `poll_send_ready` remembers one waiter
/// for each socket, which would forget all sessions but one.
#[derive(Default)]
pub(super) struct Room(Mutex<Option<Wait>>);

type Wait = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

impl Room {
    fn poll(&self, cx: &mut Context<'_>, socket: &Arc<SharedSocket>) -> Poll<io::Result<()>> {
        let mut wait = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let future = wait.get_or_insert_with(|| {
            let socket = socket.clone();
            Box::pin(async move { socket.io.writable().await })
        });
        let room = ready!(future.as_mut().poll(cx));
        *wait = None;
        Poll::Ready(room)
    }
}

/// See the module.
#[derive(Clone)]
pub(super) enum Path {
    Udp {
        socket: Arc<SharedSocket>,
        /// The address of ours that the client reached, where the socket has several.
        source: Option<IpAddr>,
        remote: SocketAddr,
    },
    Tcp(Arc<TcpLink>),
}

impl Path {
    pub(super) fn remote(&self) -> SocketAddr {
        match self {
            Self::Udp { remote, .. } => *remote,
            Self::Tcp(link) => link.peer,
        }
    }

    /// Whether it is known without asking who is at its other end: a connection was agreed on by both.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Udp { socket, remote, source },
                Self::Udp { socket: other, remote: other_remote, source: other_source },
            ) => socket.index == other.index && remote == other_remote && source == other_source,
            (Self::Tcp(link), Self::Tcp(other)) => Arc::ptr_eq(link, other),
            _ => false,
        }
    }

    /// Sends one datagram if there is room now; STUN is repeated by who asks.
    pub(super) fn send_now(&self, datagram: &[u8]) {
        match self {
            Self::Udp { socket, source, remote } => {
                let transmit = Transmit {
                    destination: *remote,
                    ecn: None,
                    contents: datagram,
                    segment_size: None,
                    src_ip: *source,
                };
                if let Err(error) = socket.try_send(&transmit) {
                    tracing::trace!(%error, "a STUN message was not sent");
                }
            }
            Self::Tcp(link) => link.send(datagram),
        }
    }

    /// Sends what the stack has for its peer, waiting for room.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        transmit: &Transmit<'_>,
        room: &Room,
    ) -> Poll<io::Result<usize>> {
        let length = transmit.contents.len();
        match self {
            Self::Udp { socket, source, remote } => {
                let transmit = Transmit {
                    destination: *remote,
                    ecn: transmit.ecn,
                    contents: transmit.contents,
                    segment_size: transmit.segment_size,
                    src_ip: *source,
                };
                loop {
                    match socket.try_send(&transmit) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            ready!(room.poll(cx, socket))?;
                        }
                        sent => return Poll::Ready(sent.map(|()| length)),
                    }
                }
            }
            Self::Tcp(link) => {
                let size = transmit.segment_size.unwrap_or(length).max(1);
                transmit.contents.chunks(size).for_each(|datagram| link.send(datagram));
                Poll::Ready(Ok(length))
            }
        }
    }
}
