//! The UDP port of a node: handshakes within limits, and the certificate of now.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::Clock;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;
use wtransport::endpoint::{IncomingSessionFuture, SessionRequest};
use wtransport::quinn::crypto::rustls::QuicServerConfig;
use wtransport::quinn::{self, Incoming, Runtime as _, VarInt};

use super::admission::Admission;
use super::certificates::{CertificateFailed, Certificates};
use super::config::EndpointConfig;
use super::places::Places;
use super::request::Request;
use super::runtime::Runtime;
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
    serving: Arc<Serving>,
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
        let serving = Arc::new(Serving(Mutex::new(server(certificates)?)));
        let inner = Runtime.wrap_udp_socket(socket)?;
        let listeners = Arc::new(Listeners::default());
        let socket = Arc::new(Socket::new(inner, listeners.clone(), clock));
        let quic = quinn::Endpoint::new_with_abstract_socket(
            quinn::EndpointConfig::default(),
            Some(serving.now().clone()),
            socket,
            Arc::new(Runtime),
        )?;
        let (found, requests) = mpsc::channel(REQUESTS);
        let counters = Arc::new(Counters::default());
        let accepting = Accepting {
            quic: quic.clone(),
            config,
            serving: serving.clone(),
            places: Arc::new(Places::new(config.per_address)),
            handshakes: Arc::new(Semaphore::new(config.handshakes)),
            counters: counters.clone(),
            listeners,
            found,
        };
        let task = tokio::spawn(accepting.run().in_current_span());
        let requests = tokio::sync::Mutex::new(requests);
        Ok(Self { quic, serving, counters, requests, _accepting: AbortOnDropHandle::new(task) })
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
        let tls = tls(certificates)?;
        let mut serving = self.serving.now();
        // The rest stays, so that who was asked to prove its address before may still do so.
        serving.crypto = tls;
        self.quic.set_server_config(Some(serving.clone()));
        Ok(())
    }

    /// Connections that QUIC has: those that were accepted, those that are not yet, and those that end.
    pub fn open_connections(&self) -> usize {
        self.quic.open_connections()
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

/// How QUIC serves now.
struct Serving(Mutex<quinn::ServerConfig>);

impl Serving {
    fn now(&self) -> MutexGuard<'_, quinn::ServerConfig> {
        // Every change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn server(certificates: &Certificates) -> Result<quinn::ServerConfig, CertificateFailed> {
    let mut server = quinn::ServerConfig::with_crypto(tls(certificates)?);
    server
        .max_incoming(INCOMING.0)
        .incoming_buffer_size(INCOMING.1)
        .incoming_buffer_size_total(INCOMING.0 as u64 * INCOMING.1);
    Ok(server)
}

fn tls(certificates: &Certificates) -> Result<Arc<QuicServerConfig>, CertificateFailed> {
    let tls = QuicServerConfig::try_from(certificates.tls()?);
    tls.map(Arc::new).map_err(|error| CertificateFailed::of(&error))
}

/// Looks at every client that knocks.
struct Accepting {
    quic: quinn::Endpoint,
    config: EndpointConfig,
    serving: Arc<Serving>,
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
        let (admission, server) = Admission::new(place, turn, &self.config, &self.serving.now());
        let (found, counters) = (self.found.clone(), self.counters.clone());
        let (listeners, config) = (self.listeners.clone(), self.config);
        let handshake = async move {
            let session = shake_hands(incoming, server);
            // What is dropped without its request is cut off.
            match tokio::time::timeout(config.handshake_timeout, session).await {
                // With a full queue the client keeps its turn, so that no more than those pile up.
                Ok(Some(session)) => {
                    let request = Request::new(session, admission, listeners, config);
                    drop(found.send(request).await);
                }
                _ => drop(counters.failed.fetch_add(1, Ordering::Relaxed)),
            }
        };
        tokio::spawn(handshake.in_current_span());
    }
}

/// A client's request, once it is there.
async fn shake_hands(incoming: Incoming, server: quinn::ServerConfig) -> Option<SessionRequest> {
    let session = async {
        let connecting = incoming.accept_with(Arc::new(server))?;
        IncomingSessionFuture::with_quic_connecting(connecting).await
    };
    match session.await {
        Ok(session) => Some(session),
        Err(error) => {
            tracing::debug!(%error, "no WebTransport session");
            None
        }
    }
}
