//! The node's port for WebTransport: its certificate, and who may connect to which session.
//!
//! A client comes with a ticket in its address, which works once, and with its page's origin. What it may do
//! is decided here; the session's driver only learns of clients that may.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use media::webtransport::ConnectPath;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use session::tokens::Scope;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use transport::Decodes;
use transport::webtransport::{
    Certificates, Endpoint, EndpointConfig, EndpointCounts, RENEW_EVERY, Request,
};

use crate::caller::{Caller, Refused};
use crate::config::{Config, Tls};
use crate::http::is_allowed_origin;
use crate::node::Node;
use crate::registry::{Asked, Entry, Handle, ViewerEntry};
use crate::tls::{self, WatchedFiles};

/// Clients that are being looked at. Each takes milliseconds, or two seconds if it does not take a refusal.
const AT_ONCE: usize = 64;
/// How long the last words of connections may take at shutdown.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the node offers by WebTransport.
pub(crate) struct Offer {
    endpoint: Endpoint,
    certificates: Mutex<Certificates>,
    port: u16,
    /// What the metrics have been told.
    counted: Mutex<EndpointCounts>,
}

/// Binds the port as configured; none where WebTransport is off.
///
/// # Errors
/// When a port that is named is taken.
pub(crate) fn bind(config: &Config) -> Result<Option<UdpSocket>> {
    let wanted = &config.webtransport;
    if !wanted.enabled {
        return Ok(None);
    }
    let ip = config.server.listen.ip();
    if wanted.port != 0 {
        let address = SocketAddr::new(ip, wanted.port);
        let socket = UdpSocket::bind(address)
            .with_context(|| format!("webtransport.port: cannot listen on UDP {address}"))?;
        return Ok(Some(socket));
    }
    let same = UdpSocket::bind(config.server.listen);
    let socket = same.or_else(|error| {
        tracing::warn!(%error, "UDP port {} is taken, WebTransport gets another", config.server.listen.port());
        UdpSocket::bind(SocketAddr::new(ip, 0))
    });
    Ok(Some(socket.context("no UDP port for WebTransport")?))
}

/// Serves clients on the socket until `stop`.
///
/// # Errors
/// When there is no certificate, or the socket is no good.
pub(crate) fn serve(node: &Arc<Node>, socket: UdpSocket, stop: CancellationToken) -> Result<()> {
    let server = &node.config.server;
    // Browsers know no certificate of our own; one that is taken by its hash lives for days only.
    let paths = [server.certificate.clone(), server.private_key.clone()];
    let files = (server.tls == Tls::Files).then(|| WatchedFiles::new(paths, tls::RELOAD_EVERY));
    let certificates = match &files {
        Some(files) => from_files(files)?,
        None => Certificates::own(SystemTime::now())?,
    };
    let config = EndpointConfig {
        per_address: node.config.webtransport.per_address,
        ..EndpointConfig::default()
    };
    let endpoint = Endpoint::open(socket, config, &certificates, node.clock.clone())?;
    let bound = endpoint.local_addr()?.port();
    tracing::info!(port = bound, "WebTransport");
    let public = node.config.webtransport.public_port;
    let offer = Arc::new(Offer {
        endpoint,
        certificates: Mutex::new(certificates),
        port: if public == 0 { bound } else { public },
        counted: Mutex::default(),
    });
    node.offer_webtransport(offer.clone());
    tokio::spawn(renew(offer.clone(), files, stop.clone()).in_current_span());
    tokio::spawn(receive(node.clone(), offer, stop).in_current_span());
    Ok(())
}

impl Offer {
    /// SHA-256 of the certificates that a client may meet.
    pub(crate) fn hashes(&self) -> Vec<[u8; 32]> {
        self.certificates().hashes()
    }

    /// Connections that QUIC has.
    pub(crate) fn open_connections(&self) -> usize {
        self.endpoint.open_connections()
    }

    /// What was counted since the last call.
    pub(crate) fn news(&self) -> EndpointCounts {
        let counts = self.endpoint.counts();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *counted, counts);
        EndpointCounts {
            refused: counts.refused - before.refused,
            validated: counts.validated - before.validated,
            failed: counts.failed - before.failed,
        }
    }

    /// The address of a session, or of a viewer, for a client that reaches the node's pages at `origin`.
    pub(crate) fn url(&self, origin: &str, listen: IpAddr, id: &str, ticket: &str) -> String {
        let host = tls::host_of(origin).unwrap_or_default();
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            // A browser tries one address of a name, and that of localhost may be the one that we do not
            // listen on.
            Err(_) if host == "localhost" => match tls::reachable(listen) {
                IpAddr::V6(ip) => format!("[{ip}]"),
                v4 => v4.to_string(),
            },
            _ => host.to_owned(),
        };
        let path = ConnectPath::text(id, ticket);
        format!("https://{host}:{}{path}", self.port)
    }

    fn certificates(&self) -> MutexGuard<'_, Certificates> {
        // A certificate is replaced in one step.
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what `change` makes of the certificates, if that is another one. Hashes are told of what is shown
    /// and of nothing else: a change that fails leaves both as they were.
    fn change(&self, change: impl FnOnce(&mut Certificates) -> Result<bool>) {
        let mut certificates = self.certificates();
        let mut wanted = certificates.clone();
        let changed = change(&mut wanted).and_then(|changed| {
            if changed {
                self.endpoint.show(&wanted)?;
            }
            *certificates = wanted;
            Ok(changed)
        });
        match changed {
            Ok(true) => tracing::info!("WebTransport shows another certificate"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!("the certificate of WebTransport stays as it was: {error:#}");
            }
        }
    }
}

/// Keeps the certificate fresh.
async fn renew(offer: Arc<Offer>, files: Option<WatchedFiles>, stop: CancellationToken) {
    match files {
        Some(mut files) => {
            while files.changed(&stop).await {
                offer.change(|shown| {
                    *shown = from_files(&files)?;
                    Ok(true)
                });
            }
        }
        None => {
            while stop.run_until_cancelled(tokio::time::sleep(RENEW_EVERY)).await.is_some() {
                offer.change(|own| Ok(own.renew(SystemTime::now())?));
            }
        }
    }
}

fn from_files(files: &WatchedFiles) -> Result<Certificates> {
    let [certificate, key] = &files.paths;
    let named = |path: &Path| format!("{} is no good for WebTransport", path.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .with_context(|| named(certificate))?
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .with_context(|| named(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| named(key))?;
    Ok(Certificates::given(chain, key.secret_der().to_vec())?)
}

/// Looks at each client that asks for a session.
async fn receive(node: Arc<Node>, offer: Arc<Offer>, stop: CancellationToken) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Some(request)) = stop.run_until_cancelled(offer.endpoint.request()).await {
        // Closed by nobody.
        let Ok(turn) = at_once.clone().acquire_owned().await else { break };
        let node = node.clone();
        let look = async move {
            look_at(&node, request).await;
            drop(turn);
        };
        tokio::spawn(look.in_current_span());
    }
    if tokio::time::timeout(LAST_WORDS, offer.endpoint.close()).await.is_err() {
        tracing::debug!("a WebTransport client did not take its goodbye");
    }
}

/// Passes a client on to its session, or refuses it.
async fn look_at(node: &Node, request: Request) {
    let refused = match admit(node, &request) {
        Ok((guest, asked)) => {
            let caller = Caller::WebTransport(Box::new(request));
            match guest.handle().take(caller, asked) {
                Ok(()) => return,
                Err(caller) => (caller, Refused::Busy, "the session is busy or over"),
            }
        }
        Err(why) => (Caller::WebTransport(Box::new(request)), Refused::Forbidden, why),
    };
    let (caller, refusal, why) = refused;
    node.metrics.webtransport_forbidden.inc();
    tracing::info!(why, "WebTransport refused");
    caller.refuse(refusal, why.into()).await;
}

/// Whom a client may connect as.
enum Guest {
    Player(Arc<Entry>),
    Viewer(Arc<ViewerEntry>),
}

impl Guest {
    fn handle(&self) -> &Handle {
        match self {
            Self::Player(session) => &session.handle,
            Self::Viewer(viewer) => &viewer.handle,
        }
    }
}

/// Whom a client may connect as, and what it asks for; or why not, for the log.
fn admit(node: &Node, request: &Request) -> Result<(Guest, Asked), &'static str> {
    // Clients that are no browsers name none; a page cannot leave it out.
    if let Some(origin) = request.origin()
        && !is_allowed_origin(node, origin, request.authority())
    {
        return Err("a foreign origin");
    }
    let path = ConnectPath::parse(request.path()).map_err(|_| "another path")?;
    let session = node.registry.find(&path.session).map(Guest::Player);
    let viewer = || node.registry.find_viewer(&path.session).map(Guest::Viewer);
    let guest = session.or_else(viewer).ok_or("there is no such session or viewer")?;
    let scope = match &guest {
        Guest::Player(session) => Scope::Connect(session.id.clone()),
        Guest::Viewer(viewer) => Scope::ConnectViewer(viewer.id.clone()),
    };
    node.check_token(&path.ticket, &scope).map_err(|_| "a ticket that is no good")?;
    let decodes = Decodes { eight: path.eight, ten: path.ten };
    Ok((guest, Asked { decodes, race: path.race }))
}
