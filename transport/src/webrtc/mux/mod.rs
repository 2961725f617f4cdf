//! One port for the media of all sessions: UDP sockets that they share, and TCP on the same number.
//!
//! ```text
//! UDP socket ──► check? by user name fragment ─┐
//!            └─► else by remote address ───────┴─► leg of a session ─► VirtualSocket ─► stack
//! TCP listener ─► first check shows whose it is ─┘
//! ```
//!
//! The stack binds sockets of its own; what it binds is closed at once and it is given a
//! [`VirtualSocket`] instead. Its own candidates never leave: the port writes those of the answer.
//! A datagram of a stranger makes no state: an address belongs to a session once it has sent a check
//! that is signed with that session's password. Anybody can write another's address on what it sends, and
//! a client has the password of its own session, so an address where a client has answered a check of ours is
//! another session's only once that one's client has answered there too. Tables are bounded and die with the
//! sessions.
//!
//! It must never decrypt or change a datagram, nor wait on a session: what a session does not read is
//! dropped and counted.

mod framing;
mod leg;
mod open;
mod path;
mod sign;
mod stun;
mod table;
mod tcp;
mod unproven;
mod wanted;

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rtc::crypto::RTCCryptoProvider;
use tokio::io::Interest;
use tokio::task::JoinSet;
use webrtc::runtime::{AsyncUdpSocket, BATCH_SIZE, RecvMeta, Transmit, UdpSockRef};

use self::leg::{Counts, Heard, Leg};
use self::path::{Path, Room, SharedSocket};
use self::stun::Message;
use self::table::{Remote, Table};
use super::offer::IceCredentials;

pub use self::open::{PortConfig, PortError};

/// Room for one datagram of a batch that the kernel joined (GRO): one link's MTU.
const SEGMENT: usize = 1_500;
/// Segments that the stack is told may come at once, so that its buffers hold [`MAX_DATAGRAM`].
const MAX_SEGMENTS: usize = 6;
/// Longest datagram that is taken, in bytes: the MTU of links with jumbo frames. Feedback on more than some
/// 1,700 packets is longer than what the stack has room for otherwise, where a client does not cut it.
const MAX_DATAGRAM: usize = MAX_SEGMENTS * SEGMENT;

/// The sockets of a node, which its connections share. See [`PortConfig`].
pub struct MediaPort {
    config: PortConfig,
    number: u16,
    inner: Arc<Inner>,
    /// Readers of the sockets; dropped with the port.
    _tasks: JoinSet<()>,
}

/// What a port counted since it was opened. What is not counted is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortCounts {
    /// Datagrams that belong to no session: of strangers, or late ones of a session that ended.
    pub unroutable: u64,
    /// STUN messages that name a session but are not signed by its client.
    pub forged: u64,
    /// Datagrams dropped because a session, or a client over TCP, did not read in time.
    pub dropped: u64,
    /// Packets of media that clients sent that may send none, and feedback of too many senders.
    pub unwanted: u64,
    /// Times that a client came to another address, and media with it.
    pub moved: u64,
    /// TCP connections that did not show whose they are, in their time or before they had to give way to newer ones.
    pub tcp_refused: u64,
    /// Those of a session that were closed because nothing came by them.
    pub tcp_silent: u64,
    /// Those of a session that were closed because the client took nothing of what waited for it.
    pub tcp_stuck: u64,
}

impl fmt::Debug for MediaPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaPort({})", self.number)
    }
}

impl MediaPort {
    /// The number of the port.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// What was counted.
    pub fn counts(&self) -> PortCounts {
        let counts = &self.inner.counts;
        PortCounts {
            unroutable: counts.unroutable.load(Ordering::Relaxed),
            forged: counts.forged.load(Ordering::Relaxed),
            dropped: counts.dropped.load(Ordering::Relaxed),
            unwanted: counts.unwanted.load(Ordering::Relaxed),
            moved: counts.moved.load(Ordering::Relaxed),
            tcp_refused: counts.tcp_refused.load(Ordering::Relaxed),
            tcp_silent: counts.tcp_silent.load(Ordering::Relaxed),
            tcp_stuck: counts.tcp_stuck.load(Ordering::Relaxed),
        }
    }

    /// Sessions that have a share, and addresses that are known to be theirs.
    pub fn occupancy(&self) -> (usize, usize) {
        self.inner.table().len()
    }

    /// Takes a share for a client that has the credentials `theirs`.
    pub(super) fn join(self: &Arc<Self>, theirs: IceCredentials) -> io::Result<Arc<Share>> {
        let ours = IceCredentials { ufrag: ice_chars(16)?, password: ice_chars(32)? };
        let (crypto, counts) = (self.inner.crypto.clone(), self.inner.counts.clone());
        let leg = Arc::new(Leg::new(ours, theirs, crypto, counts));
        self.inner.table().insert(leg.clone());
        Ok(Arc::new(Share { port: self.clone(), leg }))
    }
}

/// Random characters of ICE credentials (RFC 8839 §5.4), 6 bits each.
fn ice_chars(count: usize) -> io::Result<String> {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = vec![0; count];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(random.iter().map(|byte| char::from(CHARS[usize::from(byte & 63)])).collect())
}

/// A session's share of the port; its end, once all who hold it are gone, ends what the port knows.
pub(super) struct Share {
    port: Arc<MediaPort>,
    leg: Arc<Leg>,
}

impl Share {
    /// The credentials that the client has to use.
    pub(super) fn credentials(&self) -> &IceCredentials {
        &self.leg.ours
    }

    /// The client may speak, by this payload type.
    pub(super) fn take_voice(&self, payload_type: u8) {
        self.leg.take_voice(payload_type);
    }

    /// Lines of the answer, without `a=candidate:`.
    pub(super) fn candidates(&self) -> Vec<String> {
        self.port.config.candidates(self.port.number)
    }

    /// The socket that the stack is given in place of the one that it bound at `bound`.
    pub(super) fn socket(self: &Arc<Self>, bound: SocketAddr) -> Arc<dyn AsyncUdpSocket> {
        Arc::new(VirtualSocket { share: self.clone(), bound, room: Room::default() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.leg.end();
        self.port.inner.table().remove(&self.leg);
    }
}

/// What the readers of the sockets share.
pub(super) struct Inner {
    sockets: Vec<Arc<SharedSocket>>,
    table: Mutex<Table>,
    crypto: Arc<dyn RTCCryptoProvider>,
    counts: Arc<Counts>,
}

impl Inner {
    // Entries come and go in one step each, so a panic elsewhere leaves the table whole.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Routes one datagram that came in by UDP.
    fn receive(&self, path: &Path, socket: usize, datagram: &[u8]) {
        let remote = Remote { socket, address: path.remote() };
        let known = || self.table().at(remote);
        let now = Instant::now();
        let leg = if datagram.is_empty() || datagram.len() > MAX_DATAGRAM {
            None
        } else if !stun::is_stun(datagram) {
            known().inspect(|leg| {
                let asked = leg.deliver(datagram, path, now);
                self.table().asked(asked, leg);
            })
        } else {
            match stun::read(datagram) {
                Some(Message::Request(request)) => {
                    let named = self.table().named(request.asked);
                    named.inspect(|leg| {
                        let heard = leg.checked(&request, datagram, path, now);
                        let Heard::Signed(mut asked) = heard else { return };
                        if !self.table().learn(remote, leg, false) {
                            asked = asked.or_else(|| leg.prove(path, now));
                        }
                        self.table().asked(asked, leg);
                    })
                }
                Some(Message::Response { transaction, success }) => {
                    // To a check of ours it is of whom was asked, whoever the address is taken for.
                    let asked = self.table().who_asked(&transaction);
                    asked.or_else(known).inspect(|leg| {
                        if leg.answered(transaction, success, datagram, path) {
                            self.table().learn(remote, leg, true);
                        }
                    })
                }
                None => None,
            }
        };
        if leg.is_none() {
            Counts::add(&self.counts.unroutable);
        }
    }
}

/// Reads a shared socket for ever.
async fn read(inner: Arc<Inner>, socket: Arc<SharedSocket>) {
    let segments = socket.batch.gro_segments().max(1);
    let size = (segments * SEGMENT).max(MAX_DATAGRAM + 1);
    let mut storage = vec![0; BATCH_SIZE * size];
    let mut slices: Vec<IoSliceMut<'_>> = storage.chunks_mut(size).map(IoSliceMut::new).collect();
    let mut metas = [RecvMeta::default(); BATCH_SIZE];
    loop {
        if let Err(error) = socket.io.readable().await {
            tracing::error!(%error, "a media socket cannot be read");
            return;
        }
        let received = socket.io.try_io(Interest::READABLE, || {
            socket.batch.recv(UdpSockRef::from(&socket.io), &mut slices, &mut metas)
        });
        // Errors are those of one client's path, or that nothing is there.
        let count = match received {
            Ok(count) => count,
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    tracing::debug!(%error, "nothing was read from a media socket");
                }
                continue;
            }
        };
        for (slice, meta) in slices.iter().zip(&metas).take(count) {
            let path = Path::Udp { socket: socket.clone(), source: meta.dst_ip, remote: meta.addr };
            let datagrams = slice.get(..meta.len).unwrap_or_default();
            for datagram in datagrams.chunks(meta.stride.max(1)) {
                inner.receive(&path, socket.index, datagram);
            }
        }
    }
}

/// What the stack takes for a socket of its own.
struct VirtualSocket {
    share: Arc<Share>,
    bound: SocketAddr,
    room: Room,
}

impl fmt::Debug for VirtualSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualSocket({:?})", self.share.port)
    }
}

impl AsyncUdpSocket for VirtualSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.bound)
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let leg = &self.share.leg;
        // The stack joins media into batches, never checks.
        if transmit.segment_size.is_none() && stun::is_stun(transmit.contents) {
            leg.stun_of_stack(transmit.contents);
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        match leg.way(transmit.contents.len()) {
            Some(path) => path.poll_send(cx, transmit, &self.room),
            None => Poll::Ready(Ok(transmit.contents.len())),
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(ready!(self.share.leg.poll_recv(cx, bufs, meta))))
    }

    fn max_gro_segments(&self) -> usize {
        MAX_SEGMENTS
    }

    fn max_gso_segments(&self) -> usize {
        let sockets = self.share.port.inner.sockets.iter();
        sockets.map(|socket| socket.batch.max_gso_segments()).min().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn datagrams_of_jumbo_frames_reach_the_stack_whole_and_longer_ones_are_counted() {
        let io = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        io.set_nonblocking(true).unwrap();
        let socket = Arc::new(SharedSocket::new(io, 0).unwrap());
        let port = MediaPort::open(PortConfig::new(vec!["127.0.0.1".parse().unwrap()])).unwrap();
        let theirs = IceCredentials { ufrag: "them".into(), password: "a password".into() };
        let share = port.join(theirs).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        assert!(port.inner.table().learn(Remote { socket: 0, address }, &share.leg, true));
        let path = Path::Udp { socket, source: None, remote: address };
        for length in [MAX_DATAGRAM, MAX_DATAGRAM + 1] {
            port.inner.receive(&path, 0, &vec![22; length]);
        }
        assert_eq!(port.counts().unroutable, 1);
        let stack = share.socket(address);
        let mut buffer = vec![0; stack.max_gro_segments() * SEGMENT];
        let mut meta = [RecvMeta::default()];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let read = stack.poll_recv(&mut cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta);
        assert!(matches!(read, Poll::Ready(Ok(1))));
        assert_eq!((meta[0].len, meta[0].stride), (MAX_DATAGRAM, MAX_DATAGRAM));
    }
}
