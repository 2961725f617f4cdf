//! Running the server: bind, start, wait for a signal, stop in order.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum_server::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::node::Node;
use crate::{http, ops, tls};

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// Names what could not be set up: a taken port, a certificate, a missing graphics device or encoder.
pub fn run(config: Config) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("net")
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut server = Server::bind(config).await?;
        server.announce();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("interrupted"),
            _ = terminate.recv() => tracing::info!("asked to stop"),
            result = server.failed() => result?,
        }
        server.shut_down().await;
        Ok(())
    })
}

/// A running server; tests hold one of their own.
pub struct Server {
    node: Arc<Node>,
    public: Handle<SocketAddr>,
    private: Handle<SocketAddr>,
    tasks: tokio::task::JoinSet<Result<()>>,
    stop: CancellationToken,
    /// Where the page is.
    pub address: SocketAddr,
    /// Where metrics are.
    pub ops_address: SocketAddr,
}

impl Server {
    /// Binds both listeners, opens the graphics device, probes encoders, starts serving.
    ///
    /// # Errors
    /// As [`run`].
    pub async fn bind(config: Config) -> Result<Self> {
        Self::bind_with(config, Node::open).await
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
        let stop = CancellationToken::new();
        // Several servers in one process (tests) share the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = if config.secure() {
            let (certificate, key) = tls::files(&config.server)?;
            let secured = tls::config(&certificate, &key).await?;
            Some((secured, certificate, key))
        } else {
            None
        };
        let node = tokio::task::spawn_blocking(move || open(config)).await??;
        let mut tasks = tokio::task::JoinSet::new();
        let (public, private) = (Handle::new(), Handle::new());
        let router = http::router(node.clone());
        let handle = public.clone();
        match tls {
            Some((secured, certificate, key)) => {
                tokio::spawn(tls::reload_on_change(
                    secured.clone(),
                    certificate,
                    key,
                    stop.clone(),
                ));
                let server = axum_server::from_tcp_rustls(listener, secured)?.handle(handle);
                tasks.spawn(async move {
                    server
                        .serve(router.into_make_service())
                        .await
                        .context("the public listener failed")
                });
            }
            None => {
                let server = axum_server::from_tcp(listener)?.handle(handle);
                tasks.spawn(async move {
                    server
                        .serve(router.into_make_service())
                        .await
                        .context("the public listener failed")
                });
            }
        }
        let server = axum_server::from_tcp(ops_listener)?.handle(private.clone());
        let router = ops::router(node.clone());
        tasks.spawn(async move {
            server.serve(router.into_make_service()).await.context("the ops listener failed")
        });
        Ok(Self { node, public, private, tasks, stop, address, ops_address })
    }

    /// The node behind the listeners.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where to point a browser.
    pub fn url(&self) -> String {
        let scheme = if self.node.config.secure() { "https" } else { "http" };
        match self.node.config.server.public_url.as_str() {
            "" => format!("{scheme}://{}/", self.address),
            url => format!("{}/", url.trim_end_matches('/')),
        }
    }

    fn announce(&self) {
        let config = &self.node.config;
        tracing::info!(
            url = %self.url(), ops = %self.ops_address, device = %self.node.device_name(),
            encoder = %self.node.encoder_name(), open = config.access.open, "serving"
        );
        if config.access.open && !self.address.ip().is_loopback() {
            tracing::warn!("open mode on a public address: whoever reaches it may play");
        }
        if !config.access.open && config.access.token_sha256.is_empty() {
            tracing::warn!("nobody can create sessions: set access.token_sha256 or access.open");
        }
        if !config.secure() && !self.address.ip().is_loopback() {
            tracing::warn!("plain HTTP on a public address: browsers need HTTPS in front of it");
        }
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

    /// Stops accepting, ends the sessions, closes the listeners.
    pub async fn shut_down(mut self) {
        let grace = self.node.config.server.shutdown_grace.get();
        self.node.shut_down(grace).await;
        self.stop.cancel();
        self.public.graceful_shutdown(Some(grace));
        self.private.graceful_shutdown(Some(grace));
        while let Some(ended) = self.tasks.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!("{error:#}");
            }
        }
        tracing::info!("stopped");
    }
}

fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("{key}: cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
