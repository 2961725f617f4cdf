//! ICE over TCP (RFC 6544) for clients that no UDP reaches: they connect, this side only listens.
//! Datagrams travel behind their length (RFC 4571).
//!
//! A connection has to show a check that its session's client signed within some [`Patience`]; until then it
//! is one of few ([`unproven`](super::unproven)). After that it lives as long as something comes by it and what waits for it is taken: a client
//! that left without a word would keep a seat of its session, and could not come back. Nothing here waits on a client:
//! what it does not read is dropped beyond [`MAX_UNSENT`], which the rate controller sees as loss.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::framing::{Oversized, datagram};
use super::leg::{Counts, Heard, Leg};
use super::path::Path;
use super::unproven::{Candidate, Unproven};
use super::{Inner, MAX_DATAGRAM, stun};

/// How long a client may leave out what it should do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Until it shows whose it is.
    proof: Duration,
    /// After that, without a word.
    silent: Duration,
    /// Without taking a byte of what waits for it.
    stuck: Duration,
}

impl Patience {
    /// Browsers check a path that media does not take every 25 s. A link that takes nothing for as long as over a
    /// WebSocket carries no game.
    pub(super) const USUAL: Self = Self {
        proof: Duration::from_secs(5),
        silent: Duration::from_secs(60),
        stuck: Duration::from_secs(10),
    };
}

/// Connections of one session: a browser keeps one for each of its networks.
const MAX_LINKS: usize = 4;
/// Bytes for a client that does not read: about 100 ms at 10 Mbit/s.
const MAX_UNSENT: usize = 128 * 1024;
/// The kernel's own buffer would otherwise grow to megabytes, which are seconds.
const SEND_BUFFER: usize = 128 * 1024;
/// After a failure to accept (no descriptors left).
const BREATH: Duration = Duration::from_millis(100);

/// A connection of a client, as its session sends by it.
pub(super) struct TcpLink {
    /// It belongs to the task that serves it and is closed with that, though the session may go on to send by this: it is
    /// the session's path until the client has another one.
    stream: Weak<TcpStream>,
    pub(super) peer: SocketAddr,
    unsent: Mutex<Unsent>,
    /// Bytes wait to be sent.
    flush: Notify,
    broken: AtomicBool,
    counts: Arc<Counts>,
}

/// What waits for a client, and since when it has taken nothing of it.
#[derive(Debug, Default)]
struct Unsent {
    bytes: BytesMut,
    since: Option<Instant>,
}

impl Unsent {
    fn add(&mut self, bytes: &[u8], now: Instant) {
        if !bytes.is_empty() {
            self.bytes.extend_from_slice(bytes);
            self.since.get_or_insert(now);
        }
    }

    fn taken(&mut self, count: usize, now: Instant) {
        self.bytes.advance(count);
        self.since = (!self.bytes.is_empty()).then_some(now);
    }
}

impl TcpLink {
    fn new(stream: &Arc<TcpStream>, peer: SocketAddr, counts: Arc<Counts>) -> Self {
        Self {
            stream: Arc::downgrade(stream),
            peer,
            unsent: Mutex::default(),
            flush: Notify::new(),
            broken: AtomicBool::new(false),
            counts,
        }
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a datagram, or keeps it until there is room, or drops it where too much waits.
    pub(super) fn send(&self, datagram: &[u8]) {
        let Ok(length) = u16::try_from(datagram.len()) else { return };
        let mut unsent = self.unsent();
        let has_room = unsent.bytes.len() + datagram.len() <= MAX_UNSENT;
        let lives = has_room && !self.broken.load(Ordering::Relaxed);
        let Some(stream) = lives.then(|| self.stream.upgrade()).flatten() else {
            Counts::add(&self.counts.dropped);
            return;
        };
        let head = length.to_be_bytes();
        let mut sent = 0;
        if unsent.bytes.is_empty() {
            match stream.try_write_vectored(&[IoSlice::new(&head), IoSlice::new(datagram)]) {
                Ok(count) => sent = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.broken.store(true, Ordering::Relaxed),
            }
        }
        let now = Instant::now();
        unsent.add(&head[sent.min(2)..], now);
        unsent.add(&datagram[sent.saturating_sub(2)..], now);
        if unsent.since.is_some() {
            self.flush.notify_one();
        }
    }

    /// Since when the client has taken nothing of what waits for it.
    fn waits_since(&self) -> Option<Instant> {
        self.unsent().since
    }

    /// Nothing is sent by it any more, and nothing waits.
    fn end(&self) {
        self.broken.store(true, Ordering::Relaxed);
        *self.unsent() = Unsent::default();
    }

    fn write_unsent(&self, stream: &TcpStream) -> io::Result<()> {
        let mut unsent = self.unsent();
        while !unsent.bytes.is_empty() {
            match stream.try_write(&unsent.bytes) {
                Ok(count) => unsent.taken(count, Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until there is something to do, does it, and says whether the connection lives.
    async fn turn(&self, stream: &TcpStream, buffer: &mut BytesMut) -> io::Result<bool> {
        let mut interest = Interest::READABLE;
        if self.waits_since().is_some() {
            interest |= Interest::WRITABLE;
        }
        let ready = tokio::select! {
            ready = stream.ready(interest) => ready?,
            () = self.flush.notified() => return Ok(!self.broken.load(Ordering::Relaxed)),
        };
        if ready.is_writable() {
            self.write_unsent(stream)?;
        }
        if ready.is_readable() {
            buffer.reserve(2 * MAX_DATAGRAM);
            match stream.try_read_buf(buffer) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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

/// Accepts connections until it is dropped, which closes all of them.
pub(super) async fn listen(inner: Arc<Inner>, listener: TcpListener, patience: Patience) {
    let unproven = Unproven::shared();
    let mut links = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = links.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let candidate = unproven.admit(peer.ip()).await;
                links.spawn(serve(inner.clone(), stream, peer, candidate, patience));
            }
            Err(error) => {
                tracing::warn!(%error, "no TCP connection for media was accepted");
                sleep(BREATH).await;
            }
        }
    }
}

async fn serve(
    inner: Arc<Inner>,
    stream: TcpStream,
    peer: SocketAddr,
    mut candidate: Candidate,
    patience: Patience,
) {
    let options = socket2::SockRef::from(&stream);
    if options.set_tcp_nodelay(true).and(options.set_send_buffer_size(SEND_BUFFER)).is_err() {
        return;
    }
    let stream = Arc::new(stream);
    let link = Arc::new(TcpLink::new(&stream, peer, inner.counts.clone()));
    let path = Path::Tcp(link.clone());
    let mut buffer = BytesMut::new();
    let proof = tokio::select! {
        // Whoever has proven himself stays.
        biased;
        proof = prove(&inner, (&link, &stream), &path, &mut buffer) => proof,
        () = sleep(patience.proof) => None,
        () = candidate.gives_way() => None,
    };
    let Some(seat) = proof else {
        Counts::add(&inner.counts.tcp_refused);
        // Its place is free once it is closed.
        drop(stream);
        return;
    };
    drop(candidate);
    match carry(&seat.0, (&link, &stream), &path, buffer, patience).await {
        Over::Silent => Counts::add(&inner.counts.tcp_silent),
        Over::Stuck => Counts::add(&inner.counts.tcp_stuck),
        Over::Left => {}
    }
    link.end();
}

/// Why a connection of a session is over.
enum Over {
    /// The client closed it or broke the framing, or the session is over.
    Left,
    Silent,
    Stuck,
}

/// Passes on what comes until the connection is over.
async fn carry(
    leg: &Leg,
    (link, stream): (&TcpLink, &TcpStream),
    path: &Path,
    mut buffer: BytesMut,
    Patience { silent, stuck, .. }: Patience,
) -> Over {
    let silence = sleep(silent);
    tokio::pin!(silence);
    loop {
        loop {
            match datagram(&mut buffer) {
                Ok(Some(datagram)) => {
                    receive(leg, &datagram, path);
                    silence.as_mut().reset(Instant::now() + silent);
                }
                Ok(None) => break,
                Err(Oversized) => return Over::Left,
            }
        }
        // A turn ends when something begins to wait, and when some of it was taken.
        let stuck_at = link.waits_since().map(|since| since + stuck);
        tokio::select! {
            alive = link.turn(stream, &mut buffer) => {
                if !alive.unwrap_or(false) {
                    return Over::Left;
                }
            }
            () = leg.ended() => return Over::Left,
            () = &mut silence => return Over::Silent,
            () = sleep_until(stuck_at.unwrap_or_else(Instant::now)), if stuck_at.is_some() => {
                return Over::Stuck;
            }
        }
    }
}

/// Reads until the first datagram, which has to be a check that a session's client signed.
async fn prove(
    inner: &Inner,
    (link, stream): (&TcpLink, &TcpStream),
    path: &Path,
    buffer: &mut BytesMut,
) -> Option<Seat> {
    loop {
        if let Some(datagram) = datagram(buffer).ok()? {
            let Some(stun::Message::Request(request)) = stun::read(&datagram) else {
                Counts::add(&inner.counts.unroutable);
                return None;
            };
            let seat = Seat::take(inner.table().named(request.asked)?)?;
            let heard = seat.0.checked(&request, &datagram, path, Instant::now().into_std());
            return (heard != Heard::Forged).then_some(seat);
        }
        if !link.turn(stream, buffer).await.unwrap_or(false) {
            return None;
        }
    }
}

fn receive(leg: &Leg, datagram: &[u8], path: &Path) {
    if datagram.is_empty() {
        return;
    }
    let now = Instant::now().into_std();
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;
    use crate::webrtc::mux::{Table, sign};
    use crate::webrtc::offer::IceCredentials;

    #[test]
    fn what_waits_does_so_from_its_first_byte_or_from_the_last_that_was_taken() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut unsent = Unsent::default();
        unsent.add(&[], at(0));
        assert_eq!(unsent.since, None);
        unsent.add(&[1; 10], at(5));
        unsent.add(&[2; 10], at(9));
        assert_eq!(unsent.since, Some(at(5)), "what comes behind it changes nothing");
        unsent.taken(1, at(20));
        assert_eq!((unsent.since, unsent.bytes.len()), (Some(at(20)), 19));
        unsent.taken(19, at(30));
        assert_eq!(unsent.since, None);
        unsent.add(&[3], at(40));
        assert_eq!(unsent.since, Some(at(40)));
    }

    /// How long real I/O may take before a test fails.
    const PATIENCE: Duration = Duration::from_secs(60);
    const LONG: Duration = Duration::from_secs(3_600);

    /// A check of a session's client, framed.
    fn checked(leg: &Leg, transaction: u8) -> Vec<u8> {
        let crypto = rtc::crypto::default_provider().unwrap();
        let check = sign::Check {
            asked: "us",
            asking: "them",
            password: &leg.ours.password,
            controlling: true,
            nominates: true,
        };
        let check = sign::request(&check, &[transaction; 12], crypto.crypto()).unwrap();
        [&(check.len() as u16).to_be_bytes()[..], &check].concat()
    }

    /// A listener with one session, whose client has shown itself on a connection and was answered.
    struct Bed {
        leg: Arc<Leg>,
        counts: Arc<Counts>,
        check: Vec<u8>,
        client: TcpStream,
        _listening: JoinSet<()>,
    }

    impl Bed {
        async fn new(patience: Patience) -> Self {
            let credentials = |of: &str| IceCredentials {
                ufrag: of.to_owned(),
                password: format!("the password of {of}"),
            };
            let crypto = rtc::crypto::default_provider().unwrap();
            let counts = Arc::<Counts>::default();
            let (us, them) = (credentials("us"), credentials("them"));
            let leg = Arc::new(Leg::new(us, them, crypto.clone(), counts.clone()));
            let mut table = Table::default();
            table.insert(leg.clone());
            let (sockets, table) = (Vec::new(), Mutex::new(table));
            let inner = Arc::new(Inner { sockets, table, crypto, counts: counts.clone() });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let mut listening = JoinSet::new();
            listening.spawn(listen(inner, listener, patience));
            // What is not read waits on this side of it, and soon.
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4_096).unwrap();
            let mut client = socket.connect(address).await.unwrap();
            let check = checked(&leg, 5);
            client.write_all(&check).await.unwrap();
            Self { leg, counts, check, client, _listening: listening }
        }

        /// Nobody holds the socket any more, though the session still has it for its path.
        fn is_closed(&self) -> bool {
            let Some(Path::Tcp(link)) = self.leg.way(0) else { panic!("it has no path by TCP") };
            link.send(b"it goes nowhere");
            link.stream.strong_count() == 0
        }

        /// All that is sent to the client until it is closed.
        async fn rest(&mut self) -> Vec<u8> {
            let mut rest = Vec::new();
            let end = tokio::time::timeout(PATIENCE, self.client.read_to_end(&mut rest));
            // One that is closed while bytes of it are unread is reset.
            let _ = end.await.expect("it is held for ever");
            rest
        }
    }

    #[tokio::test]
    async fn a_link_that_is_proven_and_falls_silent_gives_its_seat_back() {
        let silent = Duration::from_millis(50);
        let mut bed = Bed::new(Patience { proof: LONG, silent, stuck: LONG }).await;
        let answer = bed.rest().await;
        assert!(answer.len() > 40, "it was taken first: {answer:?}");
        assert_eq!(bed.leg.links.load(Ordering::Acquire), 0);
        assert!(bed.is_closed(), "its descriptor is held as long as the session");
        assert_eq!(bed.counts.tcp_silent.load(Ordering::Relaxed), 1);
        assert_eq!(bed.counts.tcp_stuck.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_link_whose_client_never_reads_is_bounded_and_closed_though_the_client_goes_on() {
        let stuck = Duration::from_millis(200);
        let mut bed = Bed::new(Patience { proof: LONG, silent: LONG, stuck }).await;
        let (_reads, mut says) = bed.client.split();
        let going_on = async {
            // It is not read any more once it is closed.
            while says.write_all(&bed.check).await.is_ok() {
                tokio::task::yield_now().await;
            }
            std::future::pending::<()>().await;
        };
        let closed = async {
            let is_stuck = || bed.counts.tcp_stuck.load(Ordering::Relaxed) > 0;
            while !is_stuck() || bed.leg.links.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = going_on => {}
            closed = tokio::time::timeout(PATIENCE, closed) => closed.expect("it is held for ever"),
        }
        assert!(bed.is_closed(), "its descriptor is held as long as the session");
        assert_eq!(bed.counts.tcp_stuck.load(Ordering::Relaxed), 1);
        assert_eq!(bed.counts.tcp_silent.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn of_a_client_that_does_not_read_for_a_while_whole_datagrams_are_dropped() {
        let mut bed = Bed::new(Patience { proof: LONG, silent: LONG, stuck: LONG }).await;
        let asking = async {
            let mut asked = 0;
            while bed.counts.dropped.load(Ordering::Relaxed) == 0 {
                bed.client.write_all(&bed.check).await.unwrap();
                asked += bed.check.len();
            }
            asked
        };
        // An answer is about as long as what it answers, and the kernel keeps some megabytes of that.
        let asked = tokio::time::timeout(PATIENCE, asking).await.expect("all of it is kept");
        assert!(asked < 64 << 20, "{asked} bytes were asked before anything was dropped");
        let later = checked(&bed.leg, 9);
        let (mut reads, mut says) = bed.client.split();
        let asking = async {
            loop {
                says.write_all(&later).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let answered = async {
            let mut read = BytesMut::new();
            loop {
                while let Ok(Some(answer)) = datagram(&mut read) {
                    let message = stun::read(&answer);
                    let Some(stun::Message::Response { transaction, success: true }) = message
                    else {
                        panic!("{answer:?}")
                    };
                    if transaction == [9; 12] {
                        return;
                    }
                }
                assert!(reads.read_buf(&mut read).await.unwrap() > 0, "it is closed");
            }
        };
        tokio::select! {
            () = asking => {}
            answered = tokio::time::timeout(PATIENCE, answered) => answered.expect("no answer"),
        }
    }
}
