//! Connections of HTTP: what the kernel is told of each, since a session may play over it, and how many there are that have shown
//! nothing yet.
//!
//! ```text
//!  accepted ──▶ newcomer ──┬── a token that is known, a WebSocket, something made ──▶ stays
//!               ▲      │   └── too many of one network, or in all ──▶ the oldest is closed
//!           all of it  │ a file, a clip or a save for whoever may have it
//!         handed over  │
//!               │      ▼
//!               carries ────── too many that carry ──▶ the oldest of them is closed
//! ```

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use prometheus_client::metrics::counter::Counter;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Layer as _;
use transport::crowd::Crowd;

/// Bytes that the kernel takes beyond what it sends: they can be neither overtaken nor left out any more. It is read in
/// about 30 ms at 4 Mbit/s; much less would let a fast link run dry between two turns of a writer.
const UNSENT: u32 = 16 * 1024;
/// Connections that have shown nothing, in all and of one network. A browser has six at most to one server, and those behind one
/// proxy are of one network until one of their requests has shown something. 256 are a quarter of the descriptors that a process
/// has by default.
const MOST: (usize, usize) = (256, 64);
/// The same of those that carry something meanwhile: half as many, since a page transfers few things at a time. With a file
/// that is open for each they are another quarter.
const MOST_CARRYING: (usize, usize) = (128, 32);

/// Accepts connections that send at once and hold little back, and of those that have shown nothing the newest.
#[derive(Clone)]
pub(crate) struct Prompt(Arc<Newcomers>);

/// Connections that have shown nothing.
struct Newcomers {
    crowds: Mutex<Crowds>,
    gave_way: Counter,
}

/// Each of them is in one of these. Whoever only waits keeps none out that carry something.
struct Crowds {
    waiting: Places,
    carrying: Places,
}

type Places = Crowd<Arc<CancellationToken>>;

impl Prompt {
    /// Counts those that give way.
    pub(crate) fn new(gave_way: Counter) -> Self {
        Self(Newcomers::new(gave_way))
    }
}

impl<S> Accept<TcpStream, S> for Prompt {
    type Stream = Connection;
    type Service = AddExtension<S, Arc<Newcomer>>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let socket = SockRef::from(&stream);
        let told = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT));
        if let Err(error) = told {
            tracing::debug!(%error, "a connection keeps the system's own buffers");
        }
        // One that is gone already is of no network.
        let ip = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let newcomer = Arc::new(self.0.enter(ip));
        let gives_way =
            Some(Box::pin(CancellationToken::clone(&newcomer.gives_way).cancelled_owned()));
        let service = Extension(newcomer.clone()).layer(service);
        ready(Ok((Connection { stream, newcomer, gives_way }, service)))
    }
}

impl Newcomers {
    fn new(gave_way: Counter) -> Arc<Self> {
        let crowds = Crowds {
            waiting: Crowd::new(MOST.0, MOST.1),
            carrying: Crowd::new(MOST_CARRYING.0, MOST_CARRYING.1),
        };
        Arc::new(Self { crowds: Mutex::new(crowds), gave_way })
    }

    // Every change is one step, so a panic elsewhere leaves them whole.
    fn crowds(&self) -> MutexGuard<'_, Crowds> {
        self.crowds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Newcomer {
        let newcomer = Newcomer {
            among: self.clone(),
            ip,
            gives_way: Arc::default(),
            stays: AtomicBool::new(false),
            carried: AtomicUsize::new(0),
        };
        self.admit(&mut self.crowds().waiting, &newcomer);
        newcomer
    }

    /// Whoever is in its way is closed.
    fn admit(&self, crowd: &mut Places, newcomer: &Newcomer) {
        while let Some(oldest) = crowd.in_the_way(newcomer.ip).cloned() {
            oldest.cancel();
            crowd.leave(|it| Arc::ptr_eq(it, &oldest));
            self.gave_way.inc();
        }
        crowd.enter(newcomer.ip, newcomer.gives_way.clone());
    }
}

/// What is known of a connection; its requests have it as an extension.
pub(crate) struct Newcomer {
    among: Arc<Newcomers>,
    ip: IpAddr,
    gives_way: Arc<CancellationToken>,
    stays: AtomicBool,
    /// What is on its way; changed with the crowds locked.
    carried: AtomicUsize,
}

impl Newcomer {
    /// It has shown whose it is, and gives way to nobody any more.
    pub(crate) fn stays(&self) {
        self.stays.store(true, Ordering::Relaxed);
        self.leave();
    }

    /// Whether it has.
    pub(crate) fn is_known(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }

    /// It carries something for somebody who may have it. Until what this yields is dropped it gives way to none but those
    /// that carry something, too.
    pub(crate) fn carries(self: &Arc<Self>) -> Carried {
        let mut crowds = self.among.crowds();
        if self.carried.fetch_add(1, Ordering::Relaxed) == 0 && self.is_in_a_crowd() {
            crowds.waiting.leave(|it| self.is(it));
            self.among.admit(&mut crowds.carrying, self);
        }
        Carried(self.clone())
    }

    /// With the crowds locked: one that was told to give way takes up no room of others until it has.
    fn is_in_a_crowd(&self) -> bool {
        !self.is_known() && !self.gives_way.is_cancelled()
    }

    fn is(&self, it: &Arc<CancellationToken>) -> bool {
        Arc::ptr_eq(it, &self.gives_way)
    }

    fn leave(&self) {
        let mut crowds = self.among.crowds();
        crowds.waiting.leave(|it| self.is(it));
        crowds.carrying.leave(|it| self.is(it));
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Something that a connection carries.
pub(crate) struct Carried(Arc<Newcomer>);

impl Drop for Carried {
    fn drop(&mut self) {
        let Self(newcomer) = self;
        let mut crowds = newcomer.among.crowds();
        if newcomer.carried.fetch_sub(1, Ordering::Relaxed) == 1 && newcomer.is_in_a_crowd() {
            crowds.carrying.leave(|it| newcomer.is(it));
            // As the newest, and in nobody's place: it may be about to close. The next one to be accepted makes room.
            crowds.waiting.enter(newcomer.ip, newcomer.gives_way.clone());
        }
    }
}

/// A connection, which breaks where it has to give way.
pub(crate) struct Connection {
    stream: TcpStream,
    newcomer: Arc<Newcomer>,
    /// None once it stays.
    gives_way: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Connection {
    /// Its stream, unless it has to give way; whoever reads or writes is woken then.
    fn stream(&mut self, context: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        if self.newcomer.is_known() {
            self.gives_way = None;
        }
        if let Some(told) = &mut self.gives_way
            && told.as_mut().poll(context).is_ready()
        {
            let kind = io::ErrorKind::ConnectionAborted;
            return Err(io::Error::new(kind, "it gave way to a newer one"));
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

    fn among() -> Arc<Newcomers> {
        Newcomers::new(Counter::default())
    }

    fn comes(newcomers: &Arc<Newcomers>) -> Arc<Newcomer> {
        Arc::new(newcomers.enter(HERE))
    }

    fn gave_way(newcomer: &Newcomer) -> bool {
        newcomer.gives_way.is_cancelled()
    }

    #[test]
    fn what_carries_is_in_no_crowd_of_those_that_wait_and_comes_back_as_the_newest() {
        let newcomers = among();
        let carrying = comes(&newcomers);
        let (one, other) = (carrying.carries(), carrying.carries());
        let waiting: Vec<_> = (0..MOST.1).map(|_| comes(&newcomers)).collect();
        assert!(!gave_way(&carrying) && !waiting.iter().any(|it| gave_way(it)));
        drop(one);
        assert_eq!(newcomers.crowds().carrying.len(), 1, "the other one is still on its way");
        drop(other);
        assert!(newcomers.crowds().carrying.is_empty());
        // It pushed nobody out; the next one makes room for itself.
        assert_eq!(newcomers.crowds().waiting.len(), MOST.1 + 1);
        let next = comes(&newcomers);
        let gone = waiting.iter().filter(|it| gave_way(it)).count();
        assert_eq!((gone, newcomers.crowds().waiting.len()), (2, MOST.1));
        assert!(gave_way(&waiting[0]) && gave_way(&waiting[1]));
        assert!(!gave_way(&carrying) && !gave_way(&next));
        drop((waiting, carrying, next));
        assert!(newcomers.crowds().waiting.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn a_crowd_of_those_that_carry_is_bounded_too_unless_they_are_known() {
        let newcomers = among();
        let known = comes(&newcomers);
        let first = known.carries();
        known.stays();
        let carrying: Vec<_> = (0..=MOST_CARRYING.1).map(|_| comes(&newcomers)).collect();
        let carried: Vec<_> = carrying.iter().map(Newcomer::carries).collect();
        let gone: Vec<_> = carrying.iter().map(|it| gave_way(it)).collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[0] && !gave_way(&known), "the oldest alone gives way");
        assert_eq!(newcomers.gave_way.get(), 1);
        drop(first);
        drop(carried);
        assert_eq!(newcomers.crowds().waiting.len(), MOST_CARRYING.1, "who gave way is not back");
        let again = (known.carries(), carrying[0].carries());
        assert!(newcomers.crowds().carrying.is_empty());
        drop((again, known, carrying));
        assert_eq!(newcomers.gave_way.get(), 1);
        let crowds = newcomers.crowds();
        assert!(crowds.waiting.is_empty() && crowds.carrying.is_empty());
    }
}
