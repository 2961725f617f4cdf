//! Running the server: bind, start, wait for a signal, stop in order.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::service::SendService;
use axum_server::tls_rustls::RustlsAcceptor;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Tls};
use crate::encoders::Probing;
use crate::node::{Busy, Node};
use crate::rented::Outside;
use crate::tcp::{GaveWay, Prompt};
use crate::{http, ops, quic, tls};

/// A connection that has not sent a whole request head for so long is closed: a client that trickles bytes must not
/// hold one for ever. Also how long a connection may idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests of one connection of HTTP/2 at once, each of which may hold a body, or a file that it carries: somewhat more than the
/// six that a browser has by connections of HTTP/1.1. Whoever asks for more waits.
const MOST_REQUESTS: u32 = 8;
/// What still runs when everything was told to end and had its time: threads that hang in a driver.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM; a second one ends the process at once. SIGHUP has it look at the folders of games again.
///
/// # Errors
/// Names what could not be set up: a taken port, a certificate, a missing graphics device or encoder.
pub fn run(config: Config, probing: Probing) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("net")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(async {
        // One that comes while encoders are tried ends nothing either.
        let mut hang_up = signal(SignalKind::hangup())?;
        // A terminal that is closed says the same: what it was to show ends with it.
        let attended = std::io::stderr().is_terminal();
        let mut server = Server::bind(config, probing).await?;
        server.announce();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = interrupt.recv() => tracing::info!("interrupted"),
                _ = terminate.recv() => tracing::info!("asked to stop"),
                result = server.failed() => result?,
                _ = hang_up.recv() => {
                    if !attended {
                        server.look_at_games();
                        continue;
                    }
                    tracing::info!("its terminal is gone");
                }
            }
            break;
        }
        tokio::select! {
            () = server.shut_down() => {}
            _ = interrupt.recv() => tracing::warn!("interrupted again: sessions are cut off"),
            _ = terminate.recv() => tracing::warn!("asked again to stop: sessions are cut off"),
        }
        Ok(())
    });
    // Waits for no thread that hangs.
    runtime.shutdown_timeout(LEFT_BEHIND);
    result
}

/// A running server; tests hold one of their own.
pub struct Server {
    node: Arc<Node>,
    public: Handle<SocketAddr>,
    private: Handle<SocketAddr>,
    tasks: tokio::task::JoinSet<Result<()>>,
    stop: CancellationToken,
    /// Of the self-signed certificate.
    fingerprint: Option<String>,
    /// Where the page is.
    pub address: SocketAddr,
    /// Where metrics are.
    pub ops_address: SocketAddr,
}

impl Server {
    /// Binds both listeners, opens what a rented node has on its disk, then the graphics device, probes encoders, starts serving.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn bind(config: Config, probing: Probing) -> Result<Self> {
        Self::bind_with(config, |config| Node::open(config, probing)).await
    }

    /// Like [`bind`](Self::bind), with a node of the caller's making: `open` is given the
    /// configuration with the address that was really bound, and may block.
    ///
    /// # Errors
    /// As [`run`], and whatever `open` fails with.
    pub async fn bind_with(
        mut config: Config,
        open: impl FnOnce(Config) -> Result<Arc<Node>> + Send + 'static,
    ) -> Result<Self> {
        // Ports first: a second server on the same machine should fail before it warms a GPU.
        let listener = bind(config.server.listen, "server.listen")?;
        let ops_listener = bind(config.ops.listen, "ops.listen")?;
        let (address, ops_address) = (listener.local_addr()?, ops_listener.local_addr()?);
        config.server.listen = address;
        let quic_socket = quic::bind(&config)?;
        let stop = CancellationToken::new();
        // Several servers in one process (tests) share the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut fingerprint = None;
        let tls = if config.secure() {
            let (certificate, key) = tls::files(&config.server)?;
            if config.server.tls != Tls::Files {
                fingerprint = Some(tls::fingerprint(&certificate)?);
            }
            let secured = tls::config(&certificate, &key).await?;
            Some((secured, certificate, key))
        } else {
            None
        };
        let node = tokio::task::spawn_blocking(move || open(config)).await??;
        rent_out(&node).await?;
        let media = node.media_port().context("webrtc.udp_port")?;
        tracing::info!(
            port = media.number(),
            tcp = node.config.webrtc.tcp,
            "media of all sessions"
        );
        if let Some(socket) = quic_socket {
            quic::serve(&node, socket, stop.clone())?;
        }
        node.try_encoders_again(&node.encoders.doubtful());
        node.start_ahead().context("no thread to start games ahead")?;
        let mut tasks = tokio::task::JoinSet::new();
        let (public, private) = (Handle::new(), Handle::new());
        let router = http::router(node.clone());
        let prompt = Prompt::new(GaveWay {
            strangers: node.metrics.http_gave_way.clone(),
            known: node.metrics.http_known_gave_way.clone(),
        });
        match tls {
            Some((secured, certificate, key)) => {
                let reload = tls::reload_on_change(
                    secured.clone(),
                    certificate,
                    key,
                    tls::RELOAD_EVERY,
                    stop.clone(),
                );
                tokio::spawn(reload);
                let server = axum_server::from_tcp(listener)?;
                let server = server.acceptor(RustlsAcceptor::new(secured).acceptor(prompt));
                tasks.spawn(serve(server, public.clone(), router, "the public listener failed"));
            }
            None => {
                let server = axum_server::from_tcp(listener)?.acceptor(prompt);
                tasks.spawn(serve(server, public.clone(), router, "the public listener failed"));
            }
        }
        let server = axum_server::from_tcp(ops_listener)?;
        let router = ops::router(node.clone());
        tasks.spawn(serve(server, private.clone(), router, "the ops listener failed"));
        Ok(Self { node, public, private, tasks, stop, fingerprint, address, ops_address })
    }

    /// The node behind the listeners.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where to point a browser on this machine.
    pub fn url(&self) -> String {
        match self.node.config.server.public_url.as_str() {
            "" => self.url_at(tls::reachable(self.address.ip())),
            url => format!("{}/", url.trim_end_matches('/')),
        }
    }

    fn url_at(&self, ip: IpAddr) -> String {
        let scheme = if self.node.config.secure() { "https" } else { "http" };
        format!("{scheme}://{}/", SocketAddr::new(ip, self.address.port()))
    }

    fn announce(&self) {
        let config = &self.node.config;
        tracing::info!(
            url = %self.url(), ops = %self.ops_address, device = %self.node.device_name(),
            encoder = self.node.encoder().0, open = config.access.open, "serving"
        );
        if self.address.ip().is_unspecified() && config.server.public_url.is_empty() {
            for ip in tls::local_addresses() {
                tracing::info!(url = %self.url_at(ip), "from other machines");
            }
        }
        if let Some(sha256) = &self.fingerprint {
            tracing::info!(
                %sha256,
                "the certificate is self-signed: a browser warns once; go on only if it shows this fingerprint"
            );
        }
        if config.access.open && !self.address.ip().is_loopback() {
            tracing::warn!("open mode on a public address: whoever reaches it may play");
        }
        let lets_nobody_in = !config.access.open && config.access.token_sha256.is_empty();
        if lets_nobody_in && !config.chain.enabled {
            tracing::warn!("nobody can create sessions: set access.token_sha256 or access.open");
        }
        if !config.secure() && !self.address.ip().is_loopback() {
            tracing::warn!("plain HTTP on a public address: browsers need HTTPS in front of it");
        }
        if self.address.ip().is_loopback()
            && config.webrtc.listen.is_empty()
            && !config.server.public_url.is_empty()
        {
            tracing::warn!(
                "behind a proxy media still comes from this machine itself, and now only by loopback: set webrtc.listen"
            );
        }
    }

    /// Looks at the folders of games again, which may take as long as their disks do: nobody waits for it.
    fn look_at_games(&self) {
        let node = self.node.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(Busy) = node.look_at_games() {
                tracing::warn!("games are being looked at already");
            }
        });
    }

    /// Waits until a listener ends, which it does only by failing.
    ///
    /// # Errors
    /// Why it failed.
    async fn failed(&mut self) -> Result<()> {
        match self.tasks.join_next().await {
            Some(ended) => ended.context("a listener panicked")?,
            None => Ok(()),
        }
    }

    /// Stops accepting, ends the sessions, closes the listeners; metrics and health last of all.
    pub async fn shut_down(mut self) {
        let grace = self.node.config.server.shutdown_grace.get();
        // Requests that are under way, and connections that exist, last as long as the sessions may.
        self.public.graceful_shutdown(Some(grace));
        self.node.shut_down(grace).await;
        self.stop.cancel();
        self.public.graceful_shutdown(Some(LEFT_BEHIND));
        self.private.graceful_shutdown(Some(LEFT_BEHIND));
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("{error:#}");
            }
        }
        tracing::info!("stopped");
    }
}

/// On a rented node: takes what its ledger knows, and follows the chain from then on.
async fn rent_out(node: &Arc<Node>) -> Result<()> {
    // Tests bring a chain of their own.
    if !node.config.chain.enabled || node.is_rented_out() {
        return Ok(());
    }
    node.rent_out(Outside::of(&node.config.chain)).await.map(drop)
}

/// Serves a router within limits on what a client may hold.
async fn serve<A>(
    mut server: axum_server::Server<SocketAddr, A>,
    handle: Handle<SocketAddr>,
    router: axum::Router,
    failure: &'static str,
) -> Result<()>
where
    A: Accept<TcpStream, axum::Router> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Service: SendService<axum::http::Request<Incoming>> + Send,
    A::Future: Send,
{
    server.http_builder().http1().header_read_timeout(HEAD_TIMEOUT);
    server.http_builder().http2().max_concurrent_streams(MOST_REQUESTS);
    let server = server.handle(handle).first_request_timeout(HEAD_TIMEOUT);
    server.serve(router.into_make_service()).await.context(failure)
}

fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("{key}: cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
