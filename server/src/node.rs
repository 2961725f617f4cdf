//! The node: everything that sessions share. Made once at start; HTTP and session drivers hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use encoder::SoundConfig;
use media::{
    Bitrate, ByteSize, Clock, Codec, CodecSet, FrameRate, PictureKind, SessionId, Size, TrackId,
    ViewerId,
};
use render::device::GpuPool;
use session::admission::{
    self, Admission, Capacity, Demand, Lengths, Permit, PermitNumber, Refusal, Reserve,
    ViewerPermit,
};
use session::invitations::{Invitation, InvitationError, InvitationId, Invitations};
use session::reason::StoppedBy;
use session::tokens::{Scope, TokenDigest, TokenError, Tokens, Use};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use transport::{Certificate, MediaPort, PortConfig, PortError};

use crate::ahead::{Pool, Taken};
use crate::apps::{self, App, Apps, Needs, Prepared, ScreenInfo, VideoMode};
use crate::clock::MonotonicClock;
use crate::config::Config;
use crate::encoders::{EncoderSession, NodeEncoders, Probing};
use crate::games;
use crate::http::Problem;
use crate::metrics::Metrics;
use crate::quic::Offer;
use crate::registry::{Entry, Registry, ViewerEntry};
use crate::rented::{Claim, Outside, Rented, Tenancy};
use crate::saves::{Begins, Keep, Player, Wish};
use crate::scenes::SceneLibrary;
use crate::sharing::Share;
use crate::turn::Turn;
use crate::{capacity, doctor, drive, wire};

/// Addresses of a session for WebTransport that work at once: several tabs or tries of one client.
const ADDRESSES: usize = 4;
/// The same of a viewer.
const VIEWER_ADDRESSES: usize = 2;
/// Seconds until a client that is refused may ask again: where nothing better is known, and at the most.
const RETRY: u32 = 10;
const LATEST_RETRY: u32 = 3_600;
/// Invitations of a session that are good at once.
const INVITATIONS: usize = 16;

/// Everything that sessions share.
pub struct Node {
    /// The configuration, with the address that was really bound.
    pub config: Config,
    /// The media clock of the process.
    pub clock: Arc<dyn Clock>,
    /// What can be played.
    pub catalogue: Apps,
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
    /// What the machine is rented by, once that is open.
    rented: OnceLock<Arc<Rented>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Node {
    /// Opens the graphics device, probes encoders, loads the catalogue.
    ///
    /// # Errors
    /// Names what is missing: no Vulkan device, no encoder, a broken scene folder is not an error but
    /// makes its entry unavailable.
    pub fn open(config: Config, probing: Probing) -> Result<Arc<Self>> {
        let gpu = GpuPool::open(doctor::gpu_options(&config)).context("no graphics device")?;
        let gpu = Arc::new(gpu);
        let scenes = SceneLibrary::new(gpu.clone(), &config);
        let apps = scenes.apps().into_iter().chain(games::apps(&config)).collect::<Vec<_>>();
        Self::with_apps(config, Some(gpu), apps, probing)
    }

    /// A node that offers just these apps, for hosts that bring their own.
    ///
    /// # Errors
    /// When no encoder can be used, or no certificate made.
    pub fn with_apps(
        config: Config,
        gpu: Option<Arc<GpuPool>>,
        apps: impl IntoIterator<Item = Arc<dyn App>>,
        probing: Probing,
    ) -> Result<Arc<Self>> {
        let encoders = Arc::new(NodeEncoders::open(probing, &config)?);
        let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
        let known = config.access.token_sha256.len();
        // For each session: token, ticket, redeemed token, for both tokens what resumes them (the last one used, and the
        // next), its addresses, and some room. One for each viewer, and its addresses.
        let sessions = (8 + ADDRESSES) * config.sessions.max as usize;
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
        Ok(Arc::new(Self {
            clock,
            ahead: Pool::new(&catalogue, config.games.max_warm, metrics.clone()),
            catalogue,
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

    /// From now on the machine is for those who rent it; to be called before a rented node is served.
    ///
    /// # Errors
    /// When key or ledger cannot be opened.
    pub async fn rent_out(self: &Arc<Self>, outside: Outside) -> Result<Arc<Rented>> {
        let Outside { boot, connect } = outside;
        let rented = Rented::open(&self.config, self.clock.clone(), boot).await?;
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

    /// Admits and starts a session; yields its handle and its keys. Whether it begins with something that its player
    /// saved is not looked for here, where nothing waits for disks.
    ///
    /// # Errors
    /// A problem for the client: unknown app, impossible picture, no capacity.
    pub fn create_session(
        self: &Arc<Self>,
        wish: wire::NewSession,
        begins: Begins,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        if self.config.chain.enabled {
            return Err(Problem::RENTED);
        }
        self.create(wish, begins, None)
    }

    /// The same for whoever rents the machine, or has a ticket.
    pub(crate) fn create_rented(
        self: &Arc<Self>,
        wish: wire::NewSession,
        begins: Begins,
        claim: &Claim,
        tenancy: Tenancy,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        self.create(wish, begins, Some((claim, tenancy)))
    }

    fn create(
        self: &Arc<Self>,
        wish: wire::NewSession,
        begins: Begins,
        rented: Option<(&Claim, Tenancy)>,
    ) -> Result<(Arc<Entry>, Keys), Problem> {
        let app = self.find_app(&wish.app)?;
        let keep = self.keep(&wish)?;
        let info = app.app.info();
        if let Some(reason) = info.unavailable {
            return Err(self.refuse(&wish.app, reason));
        }
        if self.stopping.is_cancelled() {
            return Err(self.refuse(&wish.app, "the node is shutting down".into()));
        }
        let (mut video, mut mode) = self.grant(&wish.video)?;
        let fixed = wish.video.width.or(wish.video.height).is_some();
        let most = self.config.video.max_edge & !1;
        let screen = info.screen.filter(|_| !fixed).map(|screen| {
            let Size { width, height } = screen.largest;
            ScreenInfo { largest: Size::new(width.min(most), height.min(most)), ..screen }
        });
        if let (Some(view), Some(screen)) = (&wish.view, screen) {
            mode = drive::screen::for_view(view, screen.largest, mode);
            (video.width, video.height) = (mode.size.width, mode.size.height);
        }
        let largest = screen.filter(|screen| screen.changes).map(|screen| screen.largest);
        let kind = if video.hdr { PictureKind::HDR10 } else { PictureKind::NV12 };
        if video.hdr && !app.app.draws_hdr() {
            let reason = format!("HDR10 is not drawn by {:?}", wish.app);
            return Err(self.refuse(&wish.app, reason));
        }
        // What the client decodes is known with its offer.
        let coded = self.encoders.demand(mode, kind, CodecSet::of(&Codec::ALL));
        let (choice, encoders) = self.encoders.choose(&coded).map_err(|error| {
            let reason = match video.hdr {
                true => format!("HDR10 needs an encoder of 10 bits a sample: {error}"),
                false => error.to_string(),
            };
            let problem = self.refuse(&wish.app, reason);
            if self.encoders.is_full() { problem.retry_after(10) } else { problem }
        })?;
        let id = SessionId::new(random_text(16)?);
        let needs = app.app.needs(mode);
        let demand = Demand {
            // It may become so large.
            pixel_rate: (largest.unwrap_or(mode.size).pixels() as f64 * mode.rate.as_f64()) as u64,
            egress: Bitrate::from_kbps(video.max_kbps.into()),
            cpu: needs.map_or(Duration::ZERO, |needs| self.cores(needs, encoders[0].name, &coded)),
            memory: needs.map_or_else(ByteSize::default, |needs| needs.memory),
            ..Demand::default()
        };
        let taken = self.take_ahead(&wish.app, mode, begins);
        let (permit, prepared) = self
            .let_in(&demand, taken)
            .map_err(|refusal| self.refuse_for_room(&wish.app, &refusal))?;
        let (claim, tenancy) = rented.unzip();
        let keys = match self.issue_keys(&id, claim) {
            Ok(keys) => keys,
            Err(problem) => {
                self.release(&id, permit);
                // Its end is waited for.
                tokio::task::spawn_blocking(move || drop(prepared));
                return Err(problem);
            }
        };
        let shares = app.app.shares();
        let share = shares.map(|rules| Share::new(rules, &id, self.metrics.clone()));
        if let Some(tenancy) = &tenancy {
            tenancy.is_of(&id);
        }
        let plan = drive::Plan {
            id,
            app: app.app.clone(),
            app_id: wish.app,
            video: mode,
            granted: video,
            largest,
            barcode: wish.barcode,
            choice,
            encoders,
            keep,
            prepared,
            share,
            permit,
            tenancy,
        };
        let entry = drive::start(self, plan);
        self.registry.insert(entry.clone());
        self.metrics.sessions_started.inc();
        Ok((entry, keys))
    }

    fn find_app(&self, id: &str) -> Result<&apps::Entry, Problem> {
        self.catalogue
            .find(id)
            .ok_or_else(|| Problem::UNKNOWN_APP.because(format!("no entry has the id {id:?}")))
    }

    /// What a session of this wish keeps; nothing where nobody says who plays, or the app has nothing to keep.
    pub(crate) fn keep(&self, wish: &wire::NewSession) -> Result<Option<Arc<Keep>>, Problem> {
        let app = self.find_app(&wish.app)?;
        let wrong = |why: String| Problem::BAD_REQUEST.because(why);
        let player = wish.player.as_deref().map(|player| {
            Player::parse(player, self.config.access.open)
                .map_err(|why| wrong(format!("player: {why}")))
        });
        let player = player.transpose()?;
        let from = wish.save.as_deref().map_or(Ok(Wish::Newest), Wish::parse).map_err(wrong)?;
        match (app.app.saves(), player) {
            (Some(saves), Some(player)) => Ok(Some(Keep::new(saves, player, from))),
            (None, _) if matches!(from, Wish::Version(_)) => {
                Err(wrong(format!("save: nothing is kept of {:?}", wish.app)))
            }
            (_, None) if matches!(from, Wish::Version(_)) => {
                Err(wrong("save: nobody says who plays (player)".into()))
            }
            _ => Ok(None),
        }
    }

    /// One that was started ahead, if there is one for this session; what is in the way else is counted.
    fn take_ahead(&self, app: &str, mode: VideoMode, begins: Begins) -> Option<Taken> {
        let taken = match begins {
            Begins::Afresh => self.ahead.take(self.clock.now(), app, mode)?,
            Begins::WithSaves if self.ahead.knows(app) => Err("saves"),
            Begins::WithSaves => return None,
        };
        taken.map_err(|why| self.metrics.ahead_missed(why)).ok()
    }

    /// Lets a session in, which takes the room of the one that it takes; what else was started ahead gives way.
    fn let_in(
        &self,
        demand: &Demand,
        taken: Option<Taken>,
    ) -> Result<(Permit, Option<Box<dyn Prepared>>), Refusal> {
        let measured = self.measured();
        let mut books = self.admission();
        measured.into_iter().for_each(|(place, cpu)| books.revise(place, cpu));
        self.ahead.loose(self.clock.now()).into_iter().for_each(|room| books.give_back(room));
        let taken = taken.map(|taken| {
            let (held, untold) = taken.split();
            let demand = held.demand();
            books.give_back(held);
            (demand, untold)
        });
        let way = self.ahead.give_way(self.clock.now(), |reserves| {
            books.gives_way(demand, reserves.iter().copied())
        });
        let admitted = way.and_then(|rooms| {
            rooms.into_iter().for_each(|room| books.give_back(room));
            books.admit(demand)
        });
        match (admitted, taken) {
            (Ok(permit), taken) => Ok((permit, taken.map(|(_, taken)| taken.prepared()))),
            (Err(refusal), None) => Err(refusal),
            (Err(refusal), Some((held, taken))) => {
                // It held as much a moment ago; but for the cores, since it stands still.
                match books.reserve(&Demand { cpu: Duration::ZERO, ..held }) {
                    Ok(room) => self.ahead.put_back(taken, room),
                    Err(why) => tracing::error!(%why, "what was started ahead has lost its room"),
                }
                Err(refusal)
            }
        }
    }

    /// Room for one that is about to be started ahead; none where there is no more.
    pub(crate) fn reserve(&self, needs: Needs) -> Option<Reserve> {
        let mut books = self.admission();
        let most = books.capacity().cpu;
        let cpu = if needs.measured { needs.cpu } else { needs.cpu.min(most) };
        books.reserve(&Demand { cpu, memory: needs.memory, ..Demand::default() }).ok()
    }

    /// One that was started ahead takes nothing of the cores any more.
    pub(crate) fn stands_still(&self, place: PermitNumber) {
        self.admission().revise(place, Duration::ZERO);
    }

    /// Takes such room back.
    pub(crate) fn give_back(&self, rooms: Vec<Reserve>) {
        let mut books = self.admission();
        rooms.into_iter().for_each(|room| books.give_back(room));
    }

    /// What each session of a game is taken to need of the cores by now.
    fn measured(&self) -> Vec<(PermitNumber, Duration)> {
        let live = self.registry.live();
        let of = |entry: &Arc<Entry>| {
            let needs = self.catalogue.find(&entry.app)?.app.needs(entry.mode)?;
            let all = CodecSet::of(&Codec::ALL);
            let coded = self.encoders.demand(entry.mode, PictureKind::NV12, all);
            let (_, encoders) = self.encoders.choose(&coded).ok()?;
            Some((entry.place, self.cores(needs, encoders[0].name, &coded)))
        };
        live.iter().filter_map(of).collect()
    }

    /// Time of cores per second of a game with its coding. One of which nothing but its limit is known gets a node that
    /// has less for itself.
    fn cores(&self, needs: Needs, encoder: &str, coded: &encoder::Demand) -> Duration {
        let cpu = needs.cpu + self.encoders.coding(encoder, coded);
        if needs.measured { cpu } else { cpu.min(self.admission().capacity().cpu) }
    }

    /// Says that there is no room, in which sum, and when there may be some.
    fn refuse_for_room(&self, app: &str, refusal: &Refusal) -> Problem {
        let wait = refusal.may_pass().then(|| self.expected_wait()).flatten();
        let mut why = refusal.to_string();
        if let Some(wait) = wait {
            why += &format!(" Somebody is expected to leave within {wait} s.");
        }
        let problem = self.refuse(app, why).room(room(refusal, wait));
        match refusal.may_pass() {
            true => problem.retry_after(wait.unwrap_or(RETRY).clamp(1, LATEST_RETRY)),
            false => problem,
        }
    }

    /// Seconds until the next session is expected to end.
    fn expected_wait(&self) -> Option<u32> {
        let now = self.clock.now();
        let live = self.registry.live();
        let ages = live.iter().map(|entry| now.since(entry.since));
        let usual = self.lengths.lock().unwrap_or_else(PoisonError::into_inner).usual();
        let wait = admission::expected_wait(ages, usual, self.config.sessions.longest.get())?;
        Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1))
    }

    /// Counts and logs a refusal, and makes the problem that tells the client.
    fn refuse(&self, app: &str, reason: String) -> Problem {
        self.metrics.sessions_refused.inc();
        tracing::info!(app, reason, "session refused");
        Problem::REFUSED.because(reason)
    }

    /// Keys of a session: all of it, or what a guest of a rented node may do.
    pub(crate) fn issue_keys(
        &self,
        session: &SessionId,
        claim: Option<&Claim>,
    ) -> Result<Keys, Problem> {
        let sessions = &self.config.sessions;
        let scope = match claim.and_then(Claim::scopes) {
            Some(scopes) => Scope::Guest(session.clone(), scopes),
            None => Scope::Session(session.clone()),
        };
        let token = self.issue(scope, sessions.longest.get(), Use::Many)?;
        let ticket =
            self.issue(Scope::Ticket(session.clone()), sessions.connect.get(), Use::Once)?;
        let resume = self.issue_resume(session, &token)?;
        Ok(Keys { token, ticket, resume })
    }

    /// A ticket by which a page that loads again takes its session up, in place of this token.
    fn issue_resume(&self, session: &SessionId, token: &str) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.longest.get();
        self.tokens()
            .issue_resume(now, random, session, token, Some(expires))
            .map_err(|error| Problem::REFUSED.because(error.to_string()).retry_after(10))
    }

    /// A ticket for the address of a session on the port of WebTransport; the newest few work.
    pub(crate) fn issue_address(&self, session: &SessionId) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.connect.get();
        let scope = Scope::Connect(session.clone());
        self.tokens()
            .issue_among(now, random, scope, Some(expires), ADDRESSES)
            .map_err(|error| Problem::REFUSED.because(error.to_string()).retry_after(10))
    }

    /// A ticket for the address of a viewer on the port of WebTransport.
    pub(crate) fn issue_viewer_address(&self, viewer: &ViewerId) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.connect.get();
        let scope = Scope::ConnectViewer(viewer.clone());
        self.tokens()
            .issue_among(now, random, scope, Some(expires), VIEWER_ADDRESSES)
            .map_err(|error| Problem::REFUSED.because(error.to_string()).retry_after(10))
    }

    /// Invites others to a session; yields the invitation and the text that its link carries.
    ///
    /// # Errors
    /// A problem for the client: values out of range, or too many invitations.
    pub fn invite(
        &self,
        session: &SessionId,
        wish: &wire::NewInvitation,
    ) -> Result<(Invitation, String), Problem> {
        let longest = self.config.sessions.longest.get();
        let lasts = match wish.expires_in {
            None => longest,
            Some(0) => return Err(Problem::BAD_REQUEST.because("expires_in is 0")),
            Some(seconds) => Duration::from_secs(seconds.into()).min(longest),
        };
        if wish.uses == Some(0) {
            return Err(Problem::BAD_REQUEST.because("uses is 0"));
        }
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        self.invitations()
            .issue(now, random, session, wish.role.into(), now + lasts, wish.uses)
            .map_err(|error| Problem::CONFLICT.because(error.to_string()))
    }

    /// The invitations of a session that let somebody in.
    pub fn invitations_of(&self, session: &SessionId) -> Vec<Invitation> {
        self.invitations().of(self.clock.now(), session)
    }

    /// Takes an invitation back: nobody comes in by it any more, and those who did are sent away.
    ///
    /// # Errors
    /// A problem for the client when the session has no such one.
    pub async fn revoke_invitation(
        &self,
        session: &SessionId,
        id: InvitationId,
    ) -> Result<(), Problem> {
        if !self.invitations().revoke(session, id) {
            return Err(Problem::NOT_FOUND.because("the session has no such invitation"));
        }
        // Whoever came in before is in the registry: both is done under the lock of the book.
        let guests = self.registry.viewers_of(session).into_iter();
        let guests: Vec<_> = guests.filter(|viewer| viewer.invitation == id).collect();
        futures::future::join_all(guests.iter().map(async |viewer| {
            // One that has just left needs not be told.
            let _ = viewer.handle.stop(StoppedBy::Owner).await;
        }))
        .await;
        Ok(())
    }

    /// Lets somebody join a session by an invitation; yields its handle and its bearer token.
    ///
    /// # Errors
    /// A problem for the client: a bad invitation, or no room.
    pub fn join(self: &Arc<Self>, invitation: &str) -> Result<(Arc<ViewerEntry>, String), Problem> {
        let refused = |problem: Problem| {
            self.metrics.viewers_refused.inc();
            tracing::info!(reason = problem.reason(), "viewer refused");
            problem
        };
        let now = self.clock.now();
        // Until the viewer is in the registry nobody revokes what it comes by.
        let mut book = self.invitations();
        let known = book.look_up(now, invitation);
        let invited =
            known.map_err(|why| refused(Problem::INVITATION.because(why.to_string())))?.clone();
        let gone = || Problem::INVITATION.because(InvitationError::Unknown.to_string());
        let session = self.registry.find(invited.session.as_str()).ok_or_else(gone)?;
        if session.handle.is_over() {
            return Err(refused(gone()));
        }
        let most = self.config.sessions.viewers as usize;
        if self.registry.viewers_of(&session.id).len() >= most {
            let why = format!("The session has as many viewers as it takes: {most}.");
            return Err(refused(Problem::NO_PLACE.because(why).retry_after(10)));
        }
        let egress = Bitrate::from_kbps(session.video.max_kbps.into());
        let admitted = self.admission().admit_viewer(egress);
        let permit = admitted.map_err(|refusal| {
            let problem = Problem::NO_PLACE.because(refusal.to_string()).retry_after(RETRY);
            refused(problem.room(room(&refusal, None)))
        })?;
        let token = random_text(16).map(ViewerId::new).and_then(|id| {
            let scope = Scope::Viewer(id.clone());
            Ok((id, self.issue(scope, self.config.sessions.longest.get(), Use::Many)?))
        });
        let (id, token) = match token {
            Ok(made) => made,
            Err(problem) => {
                self.admission().release_viewer(permit);
                return Err(problem);
            }
        };
        let plan = drive::ViewerPlan {
            id,
            who: self.viewers.fetch_add(1, Ordering::Relaxed) + 1,
            role: invited.role,
            video: session.mode,
            granted: session.video.clone(),
            permit,
        };
        let viewer = drive::join(self, &session, invited.id, plan);
        self.registry.insert_viewer(viewer.clone());
        book.used(invited.id);
        drop(book);
        self.metrics.viewers_joined.inc();
        Ok((viewer, token))
    }

    /// Gives a viewer's place back and forgets its tokens. Its task calls this once.
    pub(crate) fn release_viewer(&self, id: &ViewerId, permit: ViewerPermit) {
        self.admission().release_viewer(permit);
        self.tokens().revoke_viewer(id);
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

    fn issue(&self, scope: Scope, lasts: Duration, uses: Use) -> Result<String, Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        self.tokens()
            .issue(now, random, scope, Some(now + lasts), uses)
            .map_err(|error| Problem::REFUSED.because(error.to_string()).retry_after(10))
    }

    /// Takes a ticket of a session, from a link or to resume it, for a bearer token of it and the ticket to resume
    /// that.
    ///
    /// # Errors
    /// A problem for the client: wrong, expired, or used before.
    pub fn redeem(&self, session: &SessionId, ticket: &str) -> Result<(String, String), Problem> {
        let mut random = [0; 32];
        fill_random(&mut random)?;
        let now = self.clock.now();
        let expires = now + self.config.sessions.longest.get();
        let (ticket_of, token_of) =
            (Scope::Ticket(session.clone()), Scope::Session(session.clone()));
        let token = {
            let mut tokens = self.tokens();
            match tokens.exchange(now, ticket, &ticket_of, random, token_of, Some(expires)) {
                Err(TokenError::WrongScope) => {
                    tokens.resume(now, ticket, session, random, Some(expires))
                }
                exchanged => exchanged,
            }
        };
        let token = token.map_err(|why| {
            self.metrics.ticket_refused(why.code());
            match why {
                TokenError::Full => Problem::REFUSED.because(why.to_string()).retry_after(10),
                _ => Problem::UNAUTHORIZED.because(why.to_string()),
            }
        })?;
        let resume = self.issue_resume(session, &token)?;
        Ok((token, resume))
    }

    /// How a session of this app sounds; none where it does not.
    pub(crate) fn sound(&self, app: &dyn App, session: &str) -> Option<SoundConfig> {
        let audio = &self.config.audio;
        if !(audio.enabled && app.has_sound()) {
            return None;
        }
        if let Err(error) = encoder::opus::version() {
            tracing::warn!(%error, "a session has no sound");
            return None;
        }
        Some(SoundConfig {
            name: format!("snd-{}", session.chars().take(8).collect::<String>()),
            track: TrackId(0),
            block: audio.packet.get(),
            bitrate: audio.rate.rate(),
        })
    }

    /// Whether the player of this app may use a microphone.
    pub(crate) fn microphone(&self, app: &dyn App) -> wire::MicrophoneAccess {
        if !app.takes_voice() {
            return wire::MicrophoneAccess::NotByGame;
        }
        let is_there = encoder::opus::version().inspect_err(|error| {
            tracing::warn!(%error, "a session has no microphone");
        });
        if self.config.audio.microphone && is_there.is_ok() {
            wire::MicrophoneAccess::Allowed
        } else {
            wire::MicrophoneAccess::NotByNode
        }
    }

    /// Checks a bearer token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn check_token(&self, token: &str, needed: &Scope) -> Result<(), TokenError> {
        self.tokens().check(self.clock.now(), token, needed)
    }

    fn grant(&self, wish: &wire::VideoWish) -> Result<(wire::Video, VideoMode), Problem> {
        let limits = &self.config.video;
        let edge = |name: &str, wish: Option<u32>, default: u32| {
            let edge = wish.unwrap_or(default);
            if !(64..=limits.max_edge).contains(&edge) || !edge.is_multiple_of(2) {
                return Err(Problem::BAD_REQUEST.because(format!(
                    "video.{name} must be an even number from 64 to {}",
                    limits.max_edge
                )));
            }
            Ok(edge)
        };
        let width = edge("width", wish.width, limits.width)?;
        let height = edge("height", wish.height, limits.height)?;
        let fps = wish.fps.unwrap_or(limits.fps);
        if !(1..=limits.max_fps).contains(&fps) {
            return Err(Problem::BAD_REQUEST
                .because(format!("video.fps must be from 1 to {}", limits.max_fps)));
        }
        let (least, most) = (limits.min_rate.rate().kbps(), limits.max_rate.rate().kbps());
        let max_kbps = u64::from(wish.max_kbps.unwrap_or(u32::MAX)).clamp(least, most);
        let video = wire::Video { width, height, fps, max_kbps: max_kbps as u32, hdr: wish.hdr };
        Ok((
            video,
            VideoMode {
                size: Size::new(width, height),
                dpi: VideoMode::DPI,
                rate: FrameRate::fps(fps),
            },
        ))
    }

    /// Gives a session's place back and forgets its tokens. Its driver calls this once, after all else
    /// is freed.
    pub(crate) fn release(&self, id: &SessionId, permit: Permit) {
        self.admission().release(permit);
        self.ahead.room();
        if let Some(entry) = self.registry.find(id.as_str()) {
            let length = self.clock.now().since(entry.since);
            self.lengths.lock().unwrap_or_else(PoisonError::into_inner).add(length);
        }
        self.tokens().revoke_session(id);
        self.invitations().forget_session(id);
    }

    // Admission, tokens and invitations change their books in one step at the end of each call, so a panic
    // elsewhere leaves them whole.
    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invitations(&self) -> MutexGuard<'_, Invitations> {
        self.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// STUN and TURN servers for a client, named by the id of its session or its own, with credentials that
    /// begin to expire now.
    pub(crate) fn ice_servers(&self, client: &str) -> Vec<wire::IceServer> {
        let mut servers = self.config.webrtc.ice_servers.clone();
        match self.turn.as_ref().map(|turn| turn.server(client, SystemTime::now())) {
            Some(Ok(server)) => servers.push(server),
            Some(Err(error)) => tracing::error!("a client goes without TURN: {error:#}"),
            None => {}
        }
        servers
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
        self.metrics.encoder_session_refused(name);
        self.encoders.session_refused(name, open);
        self.try_encoders_again(&[name]);
    }

    /// What the API says of the node.
    pub fn describe(&self) -> wire::Node {
        wire::Node {
            version: env!("CARGO_PKG_VERSION").into(),
            open: self.config.access.open,
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

fn room(refusal: &Refusal, expected_wait: Option<u32>) -> Option<wire::Room> {
    let admission::Room { sum, unit, asked, left } = refusal.room()?;
    Some(wire::Room { sum: sum.into(), unit: unit.into(), asked, left, expected_wait })
}

/// What opens a session.
pub struct Keys {
    /// Bearer token of the session's addresses.
    pub token: String,
    /// Works once, to be redeemed for a token.
    pub ticket: String,
    /// Works once, to be redeemed for another token in place of this one.
    pub resume: String,
}

/// Unguessable text of `bytes` random bytes, in hexadecimal.
fn random_text(bytes: usize) -> Result<String, Problem> {
    let mut random = vec![0; bytes];
    fill_random(&mut random)?;
    Ok(crate::http::hex(&random))
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Problem> {
    getrandom::fill(bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random bytes");
        Problem::INTERNAL
    })
}
