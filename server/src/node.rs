//! The node: everything that sessions share. Made once at start; HTTP and session drivers hold it.

mod create;
mod keys;
mod room;
mod viewers;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use media::Clock;
use render::device::GpuPool;
use session::admission::{Admission, Capacity, Lengths};
use session::invitations::Invitations;
use session::tokens::{Scope, TokenDigest, Tokens, Use};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::{Certificate, MediaPort, PortConfig, PortError};

use crate::ahead::Pool;
use crate::apps::{App, Apps};
use crate::clock::MonotonicClock;
use crate::config::Config;
use crate::encoders::{EncoderSession, NodeEncoders, Probing};
use crate::games::{Library, Looked};
use crate::http::Problem;
use crate::metrics::Metrics;
use crate::quic::Offer;
use crate::registry::Registry;
use crate::rented::{Durable, Outside, Rented};
use crate::scenes::SceneLibrary;
use crate::turn::Turn;
use crate::{capacity, doctor, wire};

use self::keys::{ADDRESSES, ENTERED, VIEWER_ADDRESSES};
use self::viewers::INVITATIONS;

pub use create::Wished;
pub use keys::Keys;
pub(crate) use keys::fill_random;

/// Somebody looks at the games already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Everything that sessions share.
pub struct Node {
    /// The configuration, with the address that was really bound.
    pub config: Config,
    /// The media clock of the process.
    pub clock: Arc<dyn Clock>,
    /// What can be played.
    pub catalogue: Apps,
    /// Where its games are, if they may be others while it runs.
    library: Option<Library>,
    /// Somebody looks at them.
    looks: Mutex<()>,
    /// The sessions.
    pub registry: Registry,
    /// What is counted.
    pub metrics: Metrics,
    /// What is known of the encoders.
    pub encoders: Arc<NodeEncoders>,
    /// The DTLS certificate of this process.
    pub certificate: Certificate,
    webtransport: OnceLock<Arc<Offer>>,
    gpu: Option<Arc<GpuPool>>,
    turn: Option<Turn>,
    /// Where media of WebRTC sessions comes in, once it is open.
    media_port: Mutex<Option<Arc<MediaPort>>>,
    admission: Mutex<Admission>,
    /// Of sessions that have ended.
    lengths: Mutex<Lengths>,
    tokens: Mutex<Tokens>,
    invitations: Mutex<Invitations>,
    /// Viewers up to now: numbers them.
    viewers: AtomicU64,
    /// What was started ahead of its players.
    ahead: Pool,
    /// Where it is rented out: its key and ledger, until it is known what it is rented by.
    durable: Mutex<Option<Durable>>,
    /// What the machine is rented by, once that is open.
    rented: OnceLock<Arc<Rented>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Node {
    /// Opens the key and the ledger of a rented node, then the graphics device, probes encoders, loads the catalogue.
    ///
    /// # Errors
    /// Names what is missing: a ledger that is damaged, no Vulkan device, no encoder, a broken scene folder is not an error but
    /// makes its entry unavailable.
    pub fn open(config: Config, probing: Probing) -> Result<Arc<Self>> {
        let durable = Durable::open(&config)?;
        let gpu = GpuPool::open(doctor::gpu_options(&config)).context("no graphics device")?;
        let gpu = Arc::new(gpu);
        let scenes = SceneLibrary::new(gpu.clone(), &config).apps();
        let has_games = !config.games.folders.is_empty();
        let library = has_games.then(|| Library::new(&config).with_gpu(gpu.clone()));
        Self::make(config, durable, Some(gpu), scenes, library, probing)
    }

    /// A node that offers the games of a library and nothing else.
    ///
    /// # Errors
    /// When key or ledger of a rented node cannot be opened, no encoder can be used, or no certificate made.
    pub fn with_games(config: Config, library: Library, probing: Probing) -> Result<Arc<Self>> {
        let durable = Durable::open(&config)?;
        Self::make(config, durable, None, [], Some(library), probing)
    }

    /// A node that offers just these apps, for hosts that bring their own.
    ///
    /// # Errors
    /// When key or ledger of a rented node cannot be opened, no encoder can be used, or no certificate made.
    pub fn with_apps(
        config: Config,
        gpu: Option<Arc<GpuPool>>,
        apps: impl IntoIterator<Item = Arc<dyn App>>,
        probing: Probing,
    ) -> Result<Arc<Self>> {
        let durable = Durable::open(&config)?;
        Self::make(config, durable, gpu, apps, None, probing)
    }

    fn make(
        config: Config,
        durable: Option<Durable>,
        gpu: Option<Arc<GpuPool>>,
        apps: impl IntoIterator<Item = Arc<dyn App>>,
        library: Option<Library>,
        probing: Probing,
    ) -> Result<Arc<Self>> {
        let encoders = Arc::new(NodeEncoders::open(probing, &config)?);
        let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
        let known = config.access.token_sha256.len();
        // For each session: token, ticket, redeemed token, for both tokens what resumes them (the last one used, and the
        // next), its addresses, and some room. One for each viewer, and its addresses. On a rented node also the tokens of renter
        // and guests who enter it, with what resumes them.
        let entered = if config.chain.enabled { 2 * 2 * ENTERED } else { 0 };
        let sessions = (8 + ADDRESSES + entered) * config.sessions.max as usize;
        let viewers = (1 + VIEWER_ADDRESSES) * config.sessions.max_viewers as usize;
        let mut tokens = Tokens::new(known + sessions + viewers);
        for digits in &config.access.token_sha256 {
            let digest =
                TokenDigest::from_hex(digits).context("access.token_sha256 is not 64 digits")?;
            tokens.add(clock.now(), digest, Scope::Operator, None, Use::Many)?;
        }
        let admission = Admission::new(Capacity {
            sessions: config.sessions.max as usize,
            pixel_rate: config.sessions.max_pixel_rate,
            // Not measured before a session runs; the two above bound what is.
            render: Duration::MAX,
            cpu: capacity::cores(&config.games),
            memory: capacity::memory(&config.games),
            viewers: config.sessions.max_viewers as usize,
            egress: config.sessions.max_egress.rate(),
        });
        let (catalogue, metrics) = (Apps::new(apps), Metrics::new());
        if let Some(library) = &library {
            catalogue.set_games(library.look().0);
            library.kept().into_iter().for_each(|saves| catalogue.know_of_saves(saves));
        }
        Ok(Arc::new(Self {
            clock,
            ahead: Pool::new(&catalogue, config.games.max_warm, metrics.clone()),
            catalogue,
            library,
            looks: Mutex::new(()),
            registry: Registry::default(),
            metrics,
            certificate: Certificate::generate().context("cannot make a DTLS certificate")?,
            encoders,
            webtransport: OnceLock::new(),
            gpu,
            turn: Turn::open(&config.ice)?,
            media_port: Mutex::new(None),
            admission: Mutex::new(admission),
            lengths: Mutex::default(),
            tokens: Mutex::new(tokens),
            invitations: Mutex::new(Invitations::new(INVITATIONS)),
            viewers: AtomicU64::new(0),
            durable: Mutex::new(durable),
            rented: OnceLock::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            config,
        }))
    }

    /// From now on apps that want it are started ahead of their players, as room is.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_ahead(self: &Arc<Self>) -> std::io::Result<()> {
        self.ahead.start(Arc::downgrade(self))
    }

    /// Looks at the folders of games again; what is new there can be played from then on. Sessions keep what they have.
    /// Reads files; none where the node's games are not from folders.
    ///
    /// # Errors
    /// [`Busy`] while somebody else does.
    pub fn look_at_games(&self) -> Result<Option<Looked>, Busy> {
        let Some(library) = &self.library else { return Ok(None) };
        // One after the other, as the catalogue is what the last one found; who waited would hold a thread for as long as a
        // disk hangs.
        let looks = match self.looks.try_lock() {
            Ok(looks) => looks,
            Err(TryLockError::Poisoned(looks)) => looks.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Busy),
        };
        let (games, looked) = library.look();
        self.catalogue.set_games(games);
        self.ahead.replace(&self.catalogue);
        let Looked { listed, added, changed, removed, broken } = looked;
        // Whoever reads that this is over may ask for the next look.
        drop(looks);
        tracing::info!(listed, added, changed, removed, broken, "games looked at again");
        Ok(Some(looked))
    }

    /// From now on the machine is for those who rent it; to be called before a rented node is served.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the node is not configured for it, or rented out already.
    pub async fn rent_out(self: &Arc<Self>, outside: Outside) -> Result<Arc<Rented>> {
        let Outside { boot, connect } = outside;
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner).take();
        let durable = durable.context("the node is not to be rented out, or is already")?;
        let rented = Rented::open(&self.config, durable, self.clock.clone(), boot).await?;
        rented.follow(connect, &self.tasks, self.stopping.clone());
        // A node is rented out once.
        let _ = self.rented.set(rented.clone());
        Ok(rented)
    }

    /// Whether it is known what the machine is rented by.
    pub(crate) fn is_rented_out(&self) -> bool {
        self.rented.get().is_some()
    }

    /// What the machine is rented by; none where the node is not rented out.
    ///
    /// # Errors
    /// A problem while it is about to be.
    pub(crate) fn rented(&self) -> Result<Option<&Arc<Rented>>, Problem> {
        match (self.config.chain.enabled, self.rented.get()) {
            (false, _) => Ok(None),
            (true, Some(rented)) => Ok(Some(rented)),
            (true, None) => Err(session::lease::Denied::NoHead.into()),
        }
    }

    /// What clients are offered by WebTransport; none where it is off.
    pub(crate) fn webtransport(&self) -> Option<&Offer> {
        self.webtransport.get().map(Arc::as_ref)
    }

    /// From now on clients are offered this.
    pub(crate) fn offer_webtransport(&self, offer: Arc<Offer>) {
        // A node is served once.
        let _ = self.webtransport.set(offer);
    }

    // Admission, tokens and invitations change their books in one step at the end of each call, so a panic
    // elsewhere leaves them whole.
    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port of all WebRTC sessions, opened by who asks first: a server when it starts, and in a node
    /// without listeners the first client. Called within a runtime.
    ///
    /// # Errors
    /// See [`PortError`].
    pub fn media_port(&self) -> Result<Arc<MediaPort>, PortError> {
        let mut port = self.media_port.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = &*port {
            return Ok(port.clone());
        }
        let config = &self.config;
        let mut bind = config.webrtc.listen.clone();
        if bind.is_empty() {
            bind.push(config.server.listen.ip());
        }
        let opened = MediaPort::open(PortConfig {
            port: config.webrtc.udp_port,
            // A page on this machine reaches us by loopback whatever else we listen on.
            loopback: true,
            external: config.webrtc.public.clone(),
            tcp: config.webrtc.tcp,
            ..PortConfig::new(bind)
        })?;
        *port = Some(opened.clone());
        Ok(opened)
    }

    /// The tracker that session drivers run under, and the token that tells them to stop.
    pub(crate) fn lifecycle(&self) -> (&TaskTracker, &CancellationToken) {
        (&self.tasks, &self.stopping)
    }

    /// Name of the graphics device.
    pub fn device_name(&self) -> String {
        self.gpu.as_ref().map_or_else(|| "none".into(), |gpu| gpu.current().name().to_owned())
    }

    /// Name of the encoder that ordinary sessions get, and why each better one is not used, a line each.
    pub fn encoder(&self) -> (&'static str, Vec<String>) {
        match self.encoders.usual() {
            Ok((choice, usable)) => (usable[0].name, choice.declined(usable[0].name)),
            // Some worked at the start and none does now.
            Err(error) => ("none", vec![error.to_string()]),
        }
    }

    /// Whether encoders work after all, or still, is found out beside the sessions. Called within a runtime.
    pub(crate) fn try_encoders_again(&self, names: &[&str]) {
        self.encoders.try_again(names, &self.tasks, &self.stopping);
    }

    /// A session got an encoder.
    pub(crate) fn encoder_session(&self, name: &'static str) -> EncoderSession {
        self.encoders.session(name, self.metrics.encoder_sessions(name))
    }

    /// A session got none of this encoder: those after it take another until there is one again. Called
    /// within a runtime.
    pub(crate) fn encoder_session_refused(&self, name: &'static str, open: u32) {
        // Whoever sees the count finds the report.
        self.encoders.session_refused(name, open);
        self.metrics.encoder_session_refused(name);
        self.try_encoders_again(&[name]);
    }

    /// What the API says of the node.
    pub fn describe(&self) -> wire::Node {
        wire::Node {
            version: env!("CARGO_PKG_VERSION").into(),
            open: self.config.access.open,
            rented: self.config.chain.enabled,
            device: self.device_name(),
            encoders: self.encoders.reports(),
        }
    }

    /// Why new sessions cannot start; `None` while they can.
    pub fn unhealthy(&self) -> Option<String> {
        if self.stopping.is_cancelled() {
            return Some("shutting down".into());
        }
        let lost = self.gpu.as_ref()?.current().lost()?;
        Some(format!("graphics device lost: {lost}"))
    }

    /// Brings the gauges up to date before they are read.
    pub fn observe(&self) {
        self.metrics
            .sessions_live
            .set(i64::try_from(self.registry.live().len()).unwrap_or(i64::MAX));
        let mut viewers = wire::Viewers::default();
        for entry in self.registry.live() {
            let wire::Viewers { co_players, spectators } = entry.audience.present();
            viewers.co_players += co_players;
            viewers.spectators += spectators;
        }
        self.metrics.viewers(viewers);
        if let Some(memory) = self.gpu.as_ref().and_then(|gpu| gpu.current().memory()) {
            let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.gpu_allocations.set(gauge(memory.allocations as u64));
            self.metrics.gpu_memory.set(gauge(memory.bytes));
        }
        let port = self.media_port.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(port) = port {
            self.metrics.observe_port(&port.counts());
        }
        if let Some(attempts) = self.catalogue.attempts() {
            self.metrics.observe_attempts(&attempts);
        }
        if let Some(offer) = self.webtransport() {
            self.metrics.webtransport(offer.news());
            let open = i64::try_from(offer.open_connections()).unwrap_or(i64::MAX);
            self.metrics.webtransport_connections.set(open);
        }
        self.metrics.uptime.set(self.clock.now().as_nanos() as f64 / 1e9);
    }

    /// Tells every session to end and waits until they have, at most `grace`; and then until what their games keep is
    /// saved, for which those that are not over by then are killed.
    pub async fn shut_down(self: &Arc<Self>, grace: Duration) {
        let until = Instant::now() + grace;
        self.stopping.cancel();
        self.ahead.tell_to_stop();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            for entry in self.registry.live() {
                tracing::warn!(session = %entry.id, state = ?entry.handle.status().state, "did not end in time");
            }
        }
        let node = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || node.ahead.stop()).await {
            tracing::error!(%error, "what was started ahead is not waited for");
        }
        if let Some(saves) = self.catalogue.saves() {
            let left = until.saturating_duration_since(Instant::now());
            if let Err(error) = tokio::task::spawn_blocking(move || saves.finish(left)).await {
                tracing::error!(%error, "games are not waited for");
            }
        }
    }
}
