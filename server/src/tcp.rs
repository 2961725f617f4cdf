//! Connections of HTTP: what the kernel is told of each, since a session may play over it, and how many there are: of those that
//! have shown nothing, and of those that have shown a token.
//!
//! ```text
//!  accepted ──▶ strange ── a token that is known ──▶ known
//!                 └──── an operator's token, a WebSocket ─┴──▶ stays
//!
//!  of those that are strange, and of those that are known:
//!     waits ──── too many of one network or token, or in all ──▶ the oldest is closed
//!      │  ▲
//!      │  all of it handed over
//!      │  │
//!      ▼  │ a file, a clip or a save for whoever may have it
//!     carries ── too many that carry ──▶ the oldest of them is closed
//! ```
//! A session has few WebSockets ([`registry`](crate::registry)), and operators' programs are the node's own.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use prometheus_client::metrics::counter::Counter;
use session::tokens::TokenDigest;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Layer as _;
use transport::crowd::{Crowd, Network};

/// Bytes that the kernel takes beyond what it sends: they can be neither overtaken nor left out any more. It is read in
/// about 30 ms at 4 Mbit/s; much less would let a fast link run dry between two turns of a writer.
const UNSENT: u32 = 16 * 1024;
/// Connections that have shown nothing, in all and of one network. A browser has six at most to one server, and those behind one
/// proxy are of one network until one of their requests has shown something. 256 are a quarter of the descriptors that a process
/// has by default.
const STRANGERS: (usize, usize) = (256, 64);
/// The same of those that carry something meanwhile: half as many, since a page transfers few things at a time. With a file
/// that is open for each they are another quarter.
const STRANGERS_CARRYING: (usize, usize) = (128, 32);
/// Connections that have shown a token, in all and of one token: one that is closed while it waits is soon made again.
const KNOWN: (usize, usize) = (128, 32);
/// The same of those that carry something. Together with those that wait they are a quarter, too.
const KNOWN_CARRYING: (usize, usize) = (64, 16);

/// Accepts connections that send at once and hold little back, and of those that are alike the newest.
#[derive(Clone)]
pub(crate) struct Prompt(Arc<Peers>);

/// Connections that give way.
struct Peers {
    crowds: Mutex<Crowds>,
    gave_way: GaveWay,
}

/// Counts connections that gave way.
#[derive(Default)]
pub(crate) struct GaveWay {
    /// Those that had shown nothing.
    pub(crate) strangers: Counter,
    /// Those that had shown a token.
    pub(crate) known: Counter,
}

/// Whose a connection is, as far as it has shown that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Strangers(Network),
    Known(TokenDigest),
}

/// Where a connection is among those that give way.
#[derive(Clone, Copy, Debug)]
struct Place {
    whose: Whose,
    /// How much is on its way.
    carried: usize,
}

/// Each of them is in one of these. Whoever only waits keeps none out that carry something.
struct Crowds {
    strangers: Pair,
    known: Pair,
}

struct Pair {
    waiting: Places,
    carrying: Places,
}

type Places = Crowd<Arc<CancellationToken>, Whose>;

impl Crowds {
    fn of(&mut self, place: Place) -> &mut Places {
        let pair = match place.whose {
            Whose::Strangers(_) => &mut self.strangers,
            Whose::Known(_) => &mut self.known,
        };
        if place.carried > 0 { &mut pair.carrying } else { &mut pair.waiting }
    }
}

impl Pair {
    fn new(waiting: (usize, usize), carrying: (usize, usize)) -> Self {
        Self {
            waiting: Crowd::new(waiting.0, waiting.1),
            carrying: Crowd::new(carrying.0, carrying.1),
        }
    }
}

impl Prompt {
    /// Counts those that give way.
    pub(crate) fn new(gave_way: GaveWay) -> Self {
        Self(Peers::new(gave_way))
    }
}

impl<S> Accept<TcpStream, S> for Prompt {
    type Stream = Connection;
    type Service = AddExtension<S, Arc<Peer>>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let socket = SockRef::from(&stream);
        let told = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT));
        if let Err(error) = told {
            tracing::debug!(%error, "a connection keeps the system's own buffers");
        }
        // One that is gone already is of no network.
        let ip = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let peer = Arc::new(self.0.enter(ip));
        let gives_way = Some(Box::pin(CancellationToken::clone(&peer.gives_way).cancelled_owned()));
        let service = Extension(peer.clone()).layer(service);
        ready(Ok((Connection { stream, peer, gives_way }, service)))
    }
}

impl Peers {
    fn new(gave_way: GaveWay) -> Arc<Self> {
        let crowds = Crowds {
            strangers: Pair::new(STRANGERS, STRANGERS_CARRYING),
            known: Pair::new(KNOWN, KNOWN_CARRYING),
        };
        Arc::new(Self { crowds: Mutex::new(crowds), gave_way })
    }

    // Every change is one step, so a panic elsewhere leaves them whole.
    fn crowds(&self) -> MutexGuard<'_, Crowds> {
        self.crowds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Peer {
        let place = Place { whose: Whose::Strangers(ip.into()), carried: 0 };
        let (among, gives_way) = (self.clone(), Arc::default());
        let peer = Peer { among, gives_way, place: Mutex::new(Some(place)) };
        self.admit(&mut self.crowds(), place, &peer);
        peer
    }

    /// Whoever is in its way is closed.
    fn admit(&self, crowds: &mut Crowds, place: Place, peer: &Peer) {
        let gave_way = match place.whose {
            Whose::Strangers(_) => &self.gave_way.strangers,
            Whose::Known(_) => &self.gave_way.known,
        };
        let crowd = crowds.of(place);
        while let Some(oldest) = crowd.in_the_way(place.whose).cloned() {
            oldest.cancel();
            crowd.leave(|it| Arc::ptr_eq(it, &oldest));
            gave_way.inc();
        }
        crowd.enter(place.whose, peer.gives_way.clone());
    }
}

/// What is known of a connection; its requests have it as an extension.
pub(crate) struct Peer {
    among: Arc<Peers>,
    gives_way: Arc<CancellationToken>,
    /// None once it stays. Changed with the crowds locked.
    place: Mutex<Option<Place>>,
}

impl Peer {
    /// A request of it has shown this token, which is good: it is the newest of those that have.
    pub(crate) fn shows(&self, token: TokenDigest) {
        let mut crowds = self.among.crowds();
        if let Some(place) = &mut *self.place() {
            crowds.of(*place).leave(|it| self.is(it));
            place.whose = Whose::Known(token);
            self.admit(&mut crowds, *place);
        }
    }

    /// It gives way to nobody any more.
    pub(crate) fn stays(&self) {
        let mut crowds = self.among.crowds();
        if let Some(place) = self.place().take() {
            crowds.of(place).leave(|it| self.is(it));
        }
    }

    /// Whether it gives way to nobody.
    pub(crate) fn is_to_stay(&self) -> bool {
        self.place().is_none()
    }

    /// It carries something for somebody who may have it. Until what this yields is dropped it gives way to none but those
    /// that carry something, too.
    pub(crate) fn carries(self: &Arc<Self>) -> Carried {
        let mut crowds = self.among.crowds();
        if let Some(place) = &mut *self.place() {
            if place.carried == 0 {
                crowds.of(*place).leave(|it| self.is(it));
            }
            place.carried += 1;
            if place.carried == 1 {
                self.admit(&mut crowds, *place);
            }
        }
        Carried(self.clone())
    }

    /// One that was told to give way takes up no room of others until it has.
    fn admit(&self, crowds: &mut Crowds, place: Place) {
        if !self.gives_way.is_cancelled() {
            self.among.admit(crowds, place, self);
        }
    }

    fn is(&self, it: &Arc<CancellationToken>) -> bool {
        Arc::ptr_eq(it, &self.gives_way)
    }

    // Every change is one step.
    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stays();
    }
}

/// Something that a connection carries.
pub(crate) struct Carried(Arc<Peer>);

impl Drop for Carried {
    fn drop(&mut self) {
        let Self(peer) = self;
        let mut crowds = peer.among.crowds();
        if let Some(place) = &mut *peer.place() {
            if place.carried == 1 {
                crowds.of(*place).leave(|it| peer.is(it));
            }
            place.carried -= 1;
            if place.carried == 0 && !peer.gives_way.is_cancelled() {
                // As the newest, and in nobody's place: it may be about to close. The next one makes room.
                crowds.of(*place).enter(place.whose, peer.gives_way.clone());
            }
        }
    }
}

/// A connection, which breaks where it has to give way.
pub(crate) struct Connection {
    stream: TcpStream,
    peer: Arc<Peer>,
    /// None once it stays.
    gives_way: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Connection {
    /// Its stream, unless it has to give way; whoever reads or writes is woken then.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if let Some(told) = &mut self.gives_way {
            if self.peer.is_to_stay() {
                self.gives_way = None;
            } else if told.as_mut().poll(context).is_ready() {
                let kind = io::ErrorKind::ConnectionAborted;
                return Err(io::Error::new(kind, "it gave way to a newer one"));
            }
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_read(context, into)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream(context)?.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream(context)?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn among() -> Arc<Peers> {
        Peers::new(GaveWay::default())
    }

    fn comes(peers: &Arc<Peers>) -> Arc<Peer> {
        Arc::new(peers.enter(HERE))
    }

    /// One that has shown this token.
    fn known(peers: &Arc<Peers>, token: &str) -> Arc<Peer> {
        let peer = comes(peers);
        peer.shows(TokenDigest::of(token));
        peer
    }

    fn gave_way(peer: &Peer) -> bool {
        peer.gives_way.is_cancelled()
    }

    fn gone(peers: &[Arc<Peer>]) -> usize {
        peers.iter().filter(|it| gave_way(it)).count()
    }

    /// How many wait and how many carry: of strangers', and of those that are known.
    fn counts(peers: &Arc<Peers>) -> [(usize, usize); 2] {
        let crowds = peers.crowds();
        [&crowds.strangers, &crowds.known].map(|pair| (pair.waiting.len(), pair.carrying.len()))
    }

    /// Strangers' connections that gave way, and known ones.
    fn counted(peers: &Arc<Peers>) -> (u64, u64) {
        (peers.gave_way.strangers.get(), peers.gave_way.known.get())
    }

    #[test]
    fn what_carries_is_in_no_crowd_of_those_that_wait_and_comes_back_as_the_newest() {
        let peers = among();
        let carrying = comes(&peers);
        let (one, other) = (carrying.carries(), carrying.carries());
        let waiting: Vec<_> = (0..STRANGERS.1).map(|_| comes(&peers)).collect();
        assert!(!gave_way(&carrying) && gone(&waiting) == 0);
        drop(one);
        assert_eq!(counts(&peers)[0].1, 1, "the other one is still on its way");
        drop(other);
        // It pushed nobody out; the next one makes room for itself.
        assert_eq!(counts(&peers)[0], (STRANGERS.1 + 1, 0));
        let next = comes(&peers);
        assert_eq!((gone(&waiting), counts(&peers)[0].0), (2, STRANGERS.1));
        assert!(gave_way(&waiting[0]) && gave_way(&waiting[1]));
        assert!(!gave_way(&carrying) && !gave_way(&next));
        drop((waiting, carrying, next));
        assert_eq!(counts(&peers), [(0, 0); 2], "nothing is kept of who left");
    }

    #[test]
    fn a_crowd_of_those_that_carry_is_bounded_too_unless_they_stay() {
        let peers = among();
        let stays = comes(&peers);
        let first = stays.carries();
        stays.stays();
        let carrying: Vec<_> = (0..=STRANGERS_CARRYING.1).map(|_| comes(&peers)).collect();
        let carried: Vec<_> = carrying.iter().map(Peer::carries).collect();
        assert_eq!(gone(&carrying), 1);
        assert!(gave_way(&carrying[0]) && !gave_way(&stays), "the oldest alone gives way");
        assert_eq!(counted(&peers), (1, 0));
        drop(first);
        drop(carried);
        assert_eq!(counts(&peers)[0].0, STRANGERS_CARRYING.1, "who gave way is not back");
        let again = (stays.carries(), carrying[0].carries());
        carrying[0].shows(TokenDigest::of("a"));
        assert_eq!((counts(&peers)[0].1, counts(&peers)[1]), (0, (0, 0)));
        drop((again, stays, carrying));
        assert_eq!(counted(&peers), (1, 0));
        assert_eq!(counts(&peers), [(0, 0); 2]);
    }

    #[test]
    fn of_one_token_the_connection_that_showed_it_longest_ago_gives_way_and_nobody_elses() {
        let peers = among();
        let (other, carries, plays) = (known(&peers, "b"), known(&peers, "a"), known(&peers, "a"));
        let _carried = carries.carries();
        plays.stays();
        let waiting: Vec<_> = (0..KNOWN.1).map(|_| known(&peers, "a")).collect();
        assert_eq!(counts(&peers), [(0, 0), (KNOWN.1 + 1, 1)]);
        assert_eq!((gone(&waiting), counted(&peers)), (0, (0, 0)));
        // It asks for something again.
        waiting[0].shows(TokenDigest::of("a"));
        let next = known(&peers, "a");
        assert!(gave_way(&waiting[1]) && gone(&waiting) == 1 && !gave_way(&next));
        assert!(![&other, &carries, &plays].map(|it| gave_way(it)).contains(&true));
        assert_eq!(counted(&peers), (0, 1));
        // One proxy's connection shows one token after the other, and is of the last.
        waiting[2].shows(TokenDigest::of("c"));
        let last = known(&peers, "a");
        assert_eq!((gone(&waiting), gave_way(&last)), (1, false));
    }

    #[test]
    fn those_that_are_known_are_bounded_however_many_tokens_they_have_and_whatever_they_carry() {
        let peers = among();
        let player = known(&peers, "player");
        let crowd: Vec<_> = (0..300).map(|n| known(&peers, &(n / 8).to_string())).collect();
        assert_eq!(counts(&peers), [(0, 0), (KNOWN.0, 0)]);
        // Those of whom there are fewer than of others stay.
        assert!(!gave_way(&player));
        assert_eq!(counted(&peers), (0, 301 - KNOWN.0 as u64));
        drop(crowd);
        let crowd: Vec<_> = (0..80).map(|n| known(&peers, &(n / 8).to_string())).collect();
        let _carried: Vec<_> = crowd.iter().map(Peer::carries).collect();
        let _carried = (player.carries(), _carried);
        assert_eq!(counts(&peers), [(0, 0), (0, KNOWN_CARRYING.0)]);
        let all: Vec<_> = (0..=KNOWN_CARRYING.1).map(|_| known(&peers, "player")).collect();
        let _carried: Vec<_> = all.iter().map(Peer::carries).collect();
        assert!(gave_way(&player), "the oldest of too many of one token");
    }
}
