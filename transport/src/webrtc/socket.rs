//! The async runtime that the WebRTC stack is given: Tokio's, with sockets that notice when packets
//! really leave and when the client says goodbye, and with a driver whose panic ends only its own
//! connection.
//!
//! It must never decrypt, hold back or change a datagram, though it repeats some ([`flight`](super::flight)): RTP headers are in clear in SRTP
//! (RFC 3711 §3.1), which is all that is read. What the stack takes for its socket is the session's
//! share of the node's port.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tracing::Instrument as _;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

use super::flight::{self, Flight};
use super::mux::Share;
use super::shared::Shared;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module.
pub(super) struct SessionRuntime {
    inner: TokioRuntime,
    shared: Arc<Shared>,
    share: Arc<Share>,
}

impl SessionRuntime {
    pub(super) fn new(shared: Arc<Shared>, share: Arc<Share>) -> Self {
        Self { inner: TokioRuntime, shared, share }
    }
}

impl fmt::Debug for SessionRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionRuntime")
    }
}

impl Runtime for SessionRuntime {
    fn spawn(&self, future: Task) -> Box<dyn JoinHandle> {
        let shared = self.shared.clone();
        let task = async move {
            // The stack parses datagrams of strangers; a panic there must end this session only.
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!("the WebRTC stack panicked; its session ends");
                shared.driver_panicked.store(true, Ordering::Release);
            }
            shared.driver_stopped.notify_one();
        };
        self.inner.spawn(Box::pin(task.in_current_span()))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // The socket itself is closed here: only its address is used, as a name.
        let inner = self.share.socket(socket.local_addr()?);
        let breath = AtomicBool::new(false);
        let flight = Mutex::default();
        Ok(Arc::new(WatchedSocket { inner, shared: self.shared.clone(), breath, flight }))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        self.inner.connect_tcp(remote)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        self.inner.resolve_host(host)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.yield_now()
    }

    fn name(&self) -> &'static str {
        "tokio, watched"
    }
}

struct WatchedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    shared: Arc<Shared>,
    /// A datagram was just handed over: see [`poll_recv`](AsyncUdpSocket::poll_recv).
    breath: AtomicBool,
    flight: Mutex<Flight>,
}

impl fmt::Debug for WatchedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl WatchedSocket {
    /// As the stack is told it.
    fn now(&self) -> Instant {
        TokioRuntime.now()
    }

    /// Sends again what the client lacks of the handshake. Where there is no room for it, the client asks again.
    fn repeat(&self, cx: &mut Context<'_>, came: &[u8], now: Instant) {
        if !flight::is_handshake(came) {
            return;
        }
        let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        for (contents, destination) in flight.came(came, now) {
            let transmit =
                Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
            let _ = self.inner.poll_send(cx, &transmit);
        }
    }

    fn note_sent(&self, transmit: &Transmit<'_>) {
        let now = self.shared.clock.now();
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        for datagram in transmit.contents.chunks(size) {
            if flight::is_handshake(datagram) {
                let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
                flight.sent(datagram, transmit.destination, self.now());
                continue;
            }
            let Some((ssrc, timestamp)) = rtp_stream(datagram) else { continue };
            let Some(track) = self.shared.track(ssrc) else { continue };
            if let Some(event) = track.sent(timestamp, datagram.len(), now) {
                self.shared.events.report(event);
            }
        }
    }
}

/// SSRC and timestamp of an RTP packet; `None` for RTCP, STUN and DTLS (RFC 7983, RFC 5761 §4).
fn rtp_stream(datagram: &[u8]) -> Option<(u32, u32)> {
    let header = datagram.first_chunk::<12>()?;
    if header[0] >> 6 != 2 || (192..=223).contains(&header[1]) {
        return None;
    }
    let [.., t0, t1, t2, t3, s0, s1, s2, s3] = *header;
    Some((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([t0, t1, t2, t3])))
}

/// Content type of a DTLS alert record (RFC 6347 §4.1).
const DTLS_ALERT: u8 = 21;

impl AsyncUdpSocket for WatchedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let sent = self.inner.poll_send(cx, transmit);
        if matches!(sent, Poll::Ready(Ok(_))) {
            self.note_sent(transmit);
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        // The stack reads a burst of datagrams before it looks at what they led to. So a message
        // right behind the end of the SCTP handshake finds its negotiated channel not yet set up,
        // and is lost although SCTP acknowledged it. Until the channels are open it gets one
        // datagram a turn.
        if self.shared.is_gentle() && self.breath.swap(false, Ordering::AcqRel) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            self.breath.store(true, Ordering::Release);
            let now = self.now();
            for (buf, meta) in bufs.iter().zip(meta.iter()).take(count) {
                let datagrams = buf.get(..meta.len).into_iter();
                let datagrams = datagrams.flat_map(|all| all.chunks(meta.stride.max(1)));
                for datagram in datagrams {
                    self.shared.unheard.came(datagram, now);
                    self.repeat(cx, datagram, now);
                }
            }
            let alert = bufs.iter().zip(meta.iter()).take(count).any(|(buf, meta)| {
                buf.get(..meta.len).and_then(|datagram| datagram.first()) == Some(&DTLS_ALERT)
            });
            if alert {
                self.shared.alert.notify_one();
            }
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rtp_is_taken_for_rtp() {
        let mut packet = [0_u8; 20];
        packet[..12].copy_from_slice(&[0x80, 0xe0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 9]);
        assert_eq!(rtp_stream(&packet), Some((9, 7)));
        packet[1] = 200;
        assert_eq!(rtp_stream(&packet), None, "a sender report");
        packet[0] = DTLS_ALERT;
        assert_eq!(rtp_stream(&packet), None);
        assert_eq!(rtp_stream(&[0x80; 11]), None);
        assert_eq!(rtp_stream(&[]), None);
    }
}
