//! ICE over TCP (RFC 6544) for clients that no UDP reaches: they connect, this side only listens.
//! Datagrams travel behind their length (RFC 4571).
//!
//! A connection has to show a check that its session's client signed within [`PROOF`]; until then it
//! counts against limits. After that it lives as long as something comes by it: a client that left without
//! a word would keep a seat of its session, and could not come back. Nothing here waits on a client: what it
//! does not read is dropped beyond [`MAX_UNSENT`], which the rate controller sees as loss.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::framing::{Oversized, datagram};
use super::leg::{Counts, Heard, Leg};
use super::path::Path;
use super::{Inner, MAX_DATAGRAM, stun};

/// How long a connection may take until it shows whose it is.
const PROOF: Duration = Duration::from_secs(5);
/// How long one that has shown it may be silent. Browsers check a path that media does not take every 25 s.
pub(super) const SILENT: Duration = Duration::from_secs(60);
/// Connections that have not shown whose they are, in all and of one address.
const MAX_UNPROVEN: (usize, usize) = (128, 16);
/// Connections of one session: a browser keeps one for each of its networks.
const MAX_LINKS: usize = 4;
/// Bytes for a client that does not read: about 100 ms at 10 Mbit/s.
const MAX_UNSENT: usize = 128 * 1024;
/// The kernel's own buffer would otherwise grow to megabytes, which are seconds.
const SEND_BUFFER: usize = 128 * 1024;
/// After a failure to accept (no descriptors left).
const BREATH: Duration = Duration::from_millis(100);

/// A connection of a client.
pub(super) struct TcpLink {
    stream: TcpStream,
    pub(super) peer: SocketAddr,
    unsent: Mutex<BytesMut>,
    /// Bytes wait to be sent.
    flush: Notify,
    broken: AtomicBool,
    counts: Arc<Counts>,
}

impl TcpLink {
    fn unsent(&self) -> MutexGuard<'_, BytesMut> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a datagram, or keeps it until there is room, or drops it where too much waits.
    pub(super) fn send(&self, datagram: &[u8]) {
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        let mut unsent = self.unsent();
        if self.broken.load(Ordering::Relaxed) || unsent.len() + datagram.len() > MAX_UNSENT {
            Counts::add(&self.counts.dropped);
            return;
        }
        let head = length.to_be_bytes();
        let mut sent = 0;
        if unsent.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(&head), IoSlice::new(datagram)]) {
                Ok(count) => sent = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.broken.store(true, Ordering::Relaxed),
            }
        }
        if sent < 2 {
            unsent.extend_from_slice(&head[sent..]);
        }
        unsent.extend_from_slice(&datagram[sent.saturating_sub(2)..]);
        if !unsent.is_empty() {
            self.flush.notify_one();
        }
    }

    /// Ends the connection, though the session may go on to send by it.
    fn close(&self) {
        self.broken.store(true, Ordering::Relaxed);
        // One that the client ended needs no more.
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }

    fn write_unsent(&self) -> io::Result<()> {
        let mut unsent = self.unsent();
        while !unsent.is_empty() {
            match self.stream.try_write(&unsent) {
                Ok(count) => unsent.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until there is something to do, does it, and says whether the connection lives.
    async fn turn(&self, buffer: &mut BytesMut) -> io::Result<bool> {
        let mut interest = Interest::READABLE;
        if !self.unsent().is_empty() {
            interest |= Interest::WRITABLE;
        }
        let ready = tokio::select! {
            ready = self.stream.ready(interest) => ready?,
            () = self.flush.notified() => return Ok(!self.broken.load(Ordering::Relaxed)),
        };
        if ready.is_writable() {
            self.write_unsent()?;
        }
        if ready.is_readable() {
            buffer.reserve(2 * MAX_DATAGRAM);
            match self.stream.try_read_buf(buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Connections that have not shown whose they are.
#[derive(Default)]
struct Unproven(Mutex<HashMap<IpAddr, usize>>);

impl Unproven {
    fn admit(self: &Arc<Self>, ip: IpAddr) -> Option<Candidate> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, one) = MAX_UNPROVEN;
        if counts.values().sum::<usize>() >= all || counts.get(&ip).is_some_and(|n| *n >= one) {
            return None;
        }
        *counts.entry(ip).or_default() += 1;
        Some(Candidate { among: self.clone(), ip })
    }
}

struct Candidate {
    among: Arc<Unproven>,
    ip: IpAddr,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let mut counts = self.among.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// A connection's place in its session.
struct Seat(Arc<Leg>);

impl Seat {
    fn take(leg: Arc<Leg>) -> Option<Self> {
        let next = |links| (links < MAX_LINKS).then_some(links + 1);
        leg.links.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok()?;
        Some(Self(leg))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.links.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Accepts connections until it is dropped, which closes all of them. Those that show whose they are may be
/// silent for `silent`.
pub(super) async fn listen(inner: Arc<Inner>, listener: TcpListener, silent: Duration) {
    let unproven = Arc::new(Unproven::default());
    let mut links = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match unproven.admit(peer.ip()) {
                Some(candidate) => {
                    links.spawn(serve(inner.clone(), stream, peer, candidate, silent));
                }
                None => Counts::add(&inner.counts.tcp_refused),
            },
            Err(error) => {
                tracing::warn!(%error, "no TCP connection for media was accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn serve(
    inner: Arc<Inner>,
    stream: TcpStream,
    peer: SocketAddr,
    candidate: Candidate,
    silent: Duration,
) {
    let options = socket2::SockRef::from(&stream);
    if options.set_tcp_nodelay(true).and(options.set_send_buffer_size(SEND_BUFFER)).is_err() {
        return;
    }
    let link = Arc::new(TcpLink {
        stream,
        peer,
        unsent: Mutex::default(),
        flush: Notify::new(),
        broken: AtomicBool::new(false),
        counts: inner.counts.clone(),
    });
    let path = Path::Tcp(link.clone());
    let mut buffer = BytesMut::new();
    let proof = tokio::time::timeout(PROOF, prove(&inner, &link, &path, &mut buffer)).await;
    let Ok(Some(seat)) = proof else {
        Counts::add(&inner.counts.tcp_refused);
        return;
    };
    drop(candidate);
    carry(&seat.0, &link, &path, buffer, silent).await;
    link.close();
}

/// Passes on what comes until the connection is over.
async fn carry(leg: &Leg, link: &TcpLink, path: &Path, mut buffer: BytesMut, silent: Duration) {
    let silence = tokio::time::sleep(silent);
    tokio::pin!(silence);
    loop {
        loop {
            match datagram(&mut buffer) {
                Ok(Some(datagram)) => {
                    receive(leg, &datagram, path);
                    silence.as_mut().reset(tokio::time::Instant::now() + silent);
                }
                Ok(None) => break,
                Err(Oversized) => return,
            }
        }
        let alive = tokio::select! {
            alive = link.turn(&mut buffer) => alive.unwrap_or(false),
            () = leg.ended() => false,
            () = &mut silence => false,
        };
        if !alive {
            return;
        }
    }
}

/// Reads until the first datagram, which has to be a check that a session's client signed.
async fn prove(inner: &Inner, link: &TcpLink, path: &Path, buffer: &mut BytesMut) -> Option<Seat> {
    loop {
        if let Some(datagram) = datagram(buffer).ok()? {
            let Some(stun::Message::Request(request)) = stun::read(&datagram) else {
                Counts::add(&inner.counts.unroutable);
                return None;
            };
            let seat = Seat::take(inner.table().named(request.asked)?)?;
            let heard = seat.0.checked(&request, &datagram, path, Instant::now());
            return (heard != Heard::Forged).then_some(seat);
        }
        if !link.turn(buffer).await.unwrap_or(false) {
            return None;
        }
    }
}

fn receive(leg: &Leg, datagram: &[u8], path: &Path) {
    if datagram.is_empty() {
        return;
    }
    let now = Instant::now();
    // A link is its session's, whatever was asked by it.
    if !stun::is_stun(datagram) {
        leg.deliver(datagram, path, now);
        return;
    }
    match stun::read(datagram) {
        Some(stun::Message::Request(request)) => {
            leg.checked(&request, datagram, path, now);
        }
        Some(stun::Message::Response { transaction, success }) => {
            leg.answered(transaction, success, datagram, path);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_without_proof_are_bounded_in_all_and_by_address() {
        let unproven = Arc::new(Unproven::default());
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut held: Vec<_> = (0..20).filter_map(|_| unproven.admit(ip(1))).collect();
        assert_eq!(held.len(), MAX_UNPROVEN.1);
        held.extend((2..=255).filter_map(|n| unproven.admit(ip(n))));
        assert_eq!(held.len(), MAX_UNPROVEN.0);
        held.truncate(1);
        assert!(unproven.admit(ip(9)).is_some());
        held.clear();
        assert!(unproven.0.lock().unwrap().is_empty(), "nothing is kept of who left");
    }

    #[tokio::test]
    async fn a_link_that_is_proven_and_falls_silent_gives_its_seat_back() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        use crate::webrtc::mux::{Table, sign};
        use crate::webrtc::offer::IceCredentials;

        let credentials = |of: &str| IceCredentials {
            ufrag: of.to_owned(),
            password: format!("the password of {of}"),
        };
        let crypto = rtc::crypto::default_provider().unwrap();
        let counts = Arc::<Counts>::default();
        let leg = Leg::new(credentials("us"), credentials("them"), crypto.clone(), counts.clone());
        let leg = Arc::new(leg);
        let mut table = Table::default();
        table.insert(leg.clone());
        let (sockets, table) = (Vec::new(), Mutex::new(table));
        let inner = Arc::new(Inner { sockets, table, crypto: crypto.clone(), counts });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listening = JoinSet::new();
        listening.spawn(listen(inner, listener, Duration::from_millis(50)));

        let check = sign::Check {
            asked: "us",
            asking: "them",
            password: &leg.ours.password,
            controlling: true,
            nominates: true,
        };
        let check = sign::request(&check, &[5; 12], crypto.crypto()).unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&(check.len() as u16).to_be_bytes()).await.unwrap();
        stream.write_all(&check).await.unwrap();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
        end.await.expect("it is held for ever").unwrap();
        assert!(answer.len() > 40, "it was taken first: {answer:?}");
        assert_eq!(leg.links.load(Ordering::Acquire), 0);
    }
}
