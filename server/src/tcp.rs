//! Connections of HTTP: what the kernel is told of each, since a session may play over it, and how many there are that have shown
//! nothing yet.
//!
//! ```text
//!  accepted ──▶ newcomer ──┬── a token that is known, a WebSocket, something made ──▶ stays
//!                          └── too many of one network, or in all ──▶ the oldest is closed
//! ```

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Accepts connections that send at once and hold little back, and of those that have shown nothing the newest.
#[derive(Clone)]
pub(crate) struct Prompt(Arc<Newcomers>);

/// Connections that have shown nothing.
struct Newcomers {
    crowd: Mutex<Crowd<Arc<CancellationToken>>>,
    gave_way: Counter,
}

impl Prompt {
    /// Counts those that give way.
    pub(crate) fn new(gave_way: Counter) -> Self {
        let crowd = Mutex::new(Crowd::new(MOST.0, MOST.1));
        Self(Arc::new(Newcomers { crowd, gave_way }))
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
    // Every change is one step, so a panic elsewhere leaves them whole.
    fn crowd(&self) -> MutexGuard<'_, Crowd<Arc<CancellationToken>>> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, ip: IpAddr) -> Newcomer {
        let gives_way = Arc::<CancellationToken>::default();
        let mut crowd = self.crowd();
        while let Some(oldest) = crowd.in_the_way(ip).cloned() {
            oldest.cancel();
            crowd.leave(|it| Arc::ptr_eq(it, &oldest));
            self.gave_way.inc();
        }
        crowd.enter(ip, gives_way.clone());
        Newcomer { among: self.clone(), gives_way, stays: AtomicBool::new(false) }
    }
}

/// What is known of a connection; its requests have it as an extension.
pub(crate) struct Newcomer {
    among: Arc<Newcomers>,
    gives_way: Arc<CancellationToken>,
    stays: AtomicBool,
}

impl Newcomer {
    /// It has shown whose it is, and gives way to nobody any more.
    pub(crate) fn stays(&self) {
        self.stays.store(true, Ordering::Relaxed);
        self.among.crowd().leave(|it| Arc::ptr_eq(it, &self.gives_way));
    }

    /// Whether it has.
    pub(crate) fn is_known(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.among.crowd().leave(|it| Arc::ptr_eq(it, &self.gives_way));
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
