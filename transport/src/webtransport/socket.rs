//! The endpoint's socket, which tells each connection what the kernel took for it: the only place where it
//! is known when a frame really left. What QUIC sends again for what was lost is sent twice here, as networks
//! may do by themselves: each copy is the same packet, which a client takes once (RFC 9000 §12.3).

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Context, Poll};

use media::Clock;
use wtransport::quinn::udp::{RecvMeta, Transmit};
use wtransport::quinn::{AsyncUdpSocket, UdpPoller};

use super::connection::Shared;

/// Who is sent to at which address.
#[derive(Default)]
pub(super) struct Listeners(RwLock<HashMap<SocketAddr, Arc<Shared>>>);

impl Listeners {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<SocketAddr, Arc<Shared>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<SocketAddr, Arc<Shared>>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `connection` hears of what is sent to `address`.
    pub(super) fn listen(&self, address: SocketAddr, connection: &Arc<Shared>) {
        self.write().insert(address, connection.clone());
    }

    /// It does no longer, unless another connection took the address over.
    pub(super) fn leave(&self, address: SocketAddr, connection: &Arc<Shared>) {
        let mut listeners = self.write();
        if listeners.get(&address).is_some_and(|there| Arc::ptr_eq(there, connection)) {
            listeners.remove(&address);
        }
    }
}

/// See the module.
pub(super) struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    listeners: Arc<Listeners>,
    clock: Arc<dyn Clock>,
}

impl Socket {
    pub(super) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        listeners: Arc<Listeners>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { inner, listeners, clock }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.inner).finish()
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)?;
        let listener = self.listeners.read().get(&transmit.destination).cloned();
        if let Some(connection) = listener {
            let bytes = transmit.contents.len();
            let datagrams = transmit.segment_size.map_or(1, |size| bytes.div_ceil(size.max(1)));
            connection.socket_took(bytes, datagrams, self.clock.now());
            let again = connection.again(bytes, transmit.segment_size);
            if let Some(contents) = transmit.contents.get(..again).filter(|some| !some.is_empty()) {
                let segment_size = transmit.segment_size.filter(|size| *size < again);
                // One that the kernel does not take is lost, as it could have been later.
                let _ = self.inner.try_send(&Transmit { contents, segment_size, ..*transmit });
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, bufs, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
