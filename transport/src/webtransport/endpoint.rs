//! The UDP port of a node: handshakes within limits, and the certificate of now.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use media::Clock;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use wtransport::endpoint::IncomingSessionFuture;
use wtransport::quinn::crypto::rustls::QuicServerConfig;
use wtransport::quinn::{self, Incoming, Runtime as _, TokioRuntime, VarInt};

use super::certificates::{CertificateFailed, Certificates};
use super::config::EndpointConfig;
use super::places::{Place, Places};
use super::request::Request;
use super::socket::{Listeners, Socket};

/// Requests that wait for the owner.
const REQUESTS: usize = 16;
/// Clients that QUIC keeps packets of until they are looked at, and bytes of each: a first flight has
/// three packets at most.
const INCOMING: (usize, u64) = (256, 8 * 1024);

/// An endpoint could not be opened.
#[derive(Debug, Error)]
pub enum EndpointFailed {
    /// The socket cannot be used.
    #[error("the socket for WebTransport cannot be used: {0}")]
    Socket(#[from] std::io::Error),
    /// The certificate is no good.
    #[error(transparent)]
    Certificate(#[from] CertificateFailed),
}

/// What an endpoint has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointCounts {
    /// Clients that were refused because there were too many handshakes or connections of their address.
    pub refused: u64,
    /// Clients that were asked to prove their address.
    pub validated: u64,
    /// Handshakes that failed or took too long.
    pub failed: u64,
}

#[derive(Default)]
struct Counters {
    refused: AtomicU64,
    validated: AtomicU64,
    failed: AtomicU64,
}

/// See the module. Dropping it closes the port and every connection.
pub struct Endpoint {
    quic: quinn::Endpoint,
    config: EndpointConfig,
    counters: Arc<Counters>,
    requests: tokio::sync::Mutex<mpsc::Receiver<Request>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Endpoint {
    /// Serves on a UDP socket that is bound. To be called within a runtime of tokio.
    ///
    /// # Errors
    /// See [`EndpointFailed`].
    pub fn open(
        socket: UdpSocket,
        config: EndpointConfig,
        certificates: &Certificates,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, EndpointFailed> {
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        let listeners = Arc::new(Listeners::default());
        let socket = Arc::new(Socket::new(inner, listeners.clone(), clock));
        let quic = quinn::Endpoint::new_with_abstract_socket(
            quinn::EndpointConfig::default(),
            Some(server(&config, certificates)?),
            socket,
            Arc::new(TokioRuntime),
        )?;
        let (found, requests) = mpsc::channel(REQUESTS);
        let counters = Arc::new(Counters::default());
        let accepting = Accepting {
            quic: quic.clone(),
            config,
            places: Arc::new(Places::new(config.per_address)),
            handshakes: Arc::new(Semaphore::new(config.handshakes)),
            counters: counters.clone(),
            listeners,
            found,
        };
        let task = tokio::spawn(accepting.run().in_current_span());
        let requests = tokio::sync::Mutex::new(requests);
        Ok(Self { quic, config, counters, requests, _accepting: AbortOnDropHandle::new(task) })
    }

    /// The next client that asks for something; none once the endpoint is closed.
    pub async fn request(&self) -> Option<Request> {
        self.requests.lock().await.recv().await
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.quic.local_addr()
    }

    /// Shows another certificate to clients that come from now on. Connections stay.
    ///
    /// # Errors
    /// When it is no good; the one before stays.
    pub fn show(&self, certificates: &Certificates) -> Result<(), CertificateFailed> {
        self.quic.set_server_config(Some(server(&self.config, certificates)?));
        Ok(())
    }

    /// What was counted.
    pub fn counts(&self) -> EndpointCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EndpointCounts {
            refused: count(&self.counters.refused),
            validated: count(&self.counters.validated),
            failed: count(&self.counters.failed),
        }
    }

    /// Closes every connection and takes no more; returns when the last words have left.
    pub async fn close(&self) {
        self.quic.close(VarInt::from_u32(0), b"the node is shutting down");
        self.quic.wait_idle().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.quic.close(VarInt::from_u32(0), b"");
    }
}

/// How QUIC serves.
fn server(
    config: &EndpointConfig,
    certificates: &Certificates,
) -> Result<quinn::ServerConfig, CertificateFailed> {
    let tls = QuicServerConfig::try_from(certificates.tls()?)
        .map_err(|error| CertificateFailed::of(&error))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    server
        .transport_config(Arc::new(config.quic()))
        .max_incoming(INCOMING.0)
        .incoming_buffer_size(INCOMING.1)
        .incoming_buffer_size_total(INCOMING.0 as u64 * INCOMING.1);
    Ok(server)
}

/// Looks at every client that knocks.
struct Accepting {
    quic: quinn::Endpoint,
    config: EndpointConfig,
    places: Arc<Places>,
    handshakes: Arc<Semaphore>,
    counters: Arc<Counters>,
    listeners: Arc<Listeners>,
    found: mpsc::Sender<Request>,
}

impl Accepting {
    async fn run(self) {
        while let Some(incoming) = self.quic.accept().await {
            self.look_at(incoming);
        }
    }

    fn look_at(&self, incoming: Incoming) {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        // A forged address costs us a handshake's work, and its owner a place. As long as there is plenty of room
        // nobody waits a round trip for that.
        let busy = self.handshakes.available_permits() * 2 <= self.config.handshakes
            || self.places.are_scarce(incoming.remote_address().ip());
        if busy && !incoming.remote_address_validated() && incoming.may_retry() {
            count(&self.counters.validated);
            if let Err(error) = incoming.retry() {
                tracing::debug!(%error, "a client's address cannot be validated");
            }
            return;
        }
        let place = self.places.take(incoming.remote_address().ip());
        let turn = self.handshakes.clone().try_acquire_owned();
        let (Some(place), Ok(turn)) = (place, turn) else {
            count(&self.counters.refused);
            incoming.refuse();
            return;
        };
        let (found, counters) = (self.found.clone(), self.counters.clone());
        let (listeners, config) = (self.listeners.clone(), self.config);
        let handshake = async move {
            let request = shake_hands(incoming, place, listeners, config);
            match tokio::time::timeout(config.handshake_timeout, request).await {
                // With a full queue the handshake keeps its turn, so that no more than those pile up.
                Ok(Some(request)) => drop(found.send(request).await),
                _ => drop(counters.failed.fetch_add(1, Ordering::Relaxed)),
            }
            drop(turn);
        };
        tokio::spawn(handshake.in_current_span());
    }
}

/// A client's request, once it is there.
async fn shake_hands(
    incoming: Incoming,
    place: Place,
    listeners: Arc<Listeners>,
    config: EndpointConfig,
) -> Option<Request> {
    let session = IncomingSessionFuture::with_quic_incoming(incoming).await;
    match session {
        Ok(session) => Some(Request::new(session, place, listeners, config)),
        Err(error) => {
            tracing::debug!(%error, "no WebTransport session");
            None
        }
    }
}
