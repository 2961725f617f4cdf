//! A node without a graphics device, and a caller of its HTTP interface without a socket.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use media::{
    AudioError, AudioSource, Clock, CpuImage, DataChannel, DeviceId, Frame, FrameImage,
    FrameRequest, FrameSource, ImageError, InputEvent, InputSeq, InputSink, KeyCode, MediaTime,
    PictureKind, PixelFormat, Plane, PlaneMut, Rect, SequencedInput, SharedImage, Size, Sound,
    SourceError, SourceEvent, SourceInfo, StageTimes, VoiceSink, VoiceState,
};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::clock::MonotonicClock;
use nearlight::config::{self, Config};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::saves::GameSaves;
use nearlight::serve::Server;
use nearlight::wire::{EntryKind, KeyboardMode};
use nearlight::{http, ops};
use serde_json::{Value, json};
use testkit::{PulledPattern, PushedShared, SharedSurface};
use tower::ServiceExt as _;

/// How long real I/O may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An operator's token; the node knows its digest.
pub const OPERATOR: &str = "operator-of-tests";
const OPERATOR_SHA256: &str = "7694f7c1739a53591bf6558fec9c2fe23fac38106ddb81c81ccc59d2f1a5d41e";

/// An offer as Chromium makes it, of the transport's own tests.
pub const CHROMIUM: &str = include_str!("../../../transport/tests/offers/chromium.sdp");

/// Settings for loopback on ports that the system picks, with `overrides` (`key=value`) over them.
pub fn config(overrides: &[&str]) -> Config {
    let ours = [
        "server.listen=127.0.0.1:0".to_owned(),
        "ops.listen=127.0.0.1:0".to_owned(),
        "webrtc.udp_port=0".to_owned(),
        // Longer than any test takes: whose session is to end by itself says so.
        "sessions.connect=10m".to_owned(),
        "sessions.reconnect=10m".to_owned(),
        "sessions.away=10m".to_owned(),
        "access.open=true".to_owned(),
        format!("access.token_sha256=[\"{OPERATOR_SHA256}\"]"),
    ];
    let all: Vec<String> =
        ours.into_iter().chain(overrides.iter().map(|&text| text.to_owned())).collect();
    config::load(None, [], &all).expect("a valid configuration")
}

/// A node that plays `pattern`, `rushing` (which has sound), `wide` and `display`, and the doubles of what may go wrong: `panics`, `panics-at-input`, `loses-device`,
/// `hangs` and `broken`.
pub fn node(overrides: &[&str]) -> Arc<Node> {
    open(config(overrides)).expect("a node")
}

/// What [`node`] is opened by.
pub fn open(config: Config) -> anyhow::Result<Arc<Node>> {
    with_probing(config, Probing::in_process())
}

/// The same with other encoders, or other ways to try them.
pub fn with_probing(config: Config, probing: Probing) -> anyhow::Result<Arc<Node>> {
    let mut apps: Vec<Arc<dyn App>> = vec![
        Arc::new(PatternApp { rushes: false }),
        Arc::new(PatternApp { rushes: true }),
        Arc::new(WideApp),
        Arc::new(DisplayApp("display", RESIZED)),
        Arc::new(DisplayApp("shrinking", SHRUNK)),
        Arc::new(BrokenApp),
    ];
    for fault in [Fault::Panic, Fault::PanicAtInput, Fault::LoseDevice, Fault::Hang] {
        apps.push(Arc::new(FaultyApp(fault)));
    }
    Node::with_apps(config, None, apps, probing)
}

/// A clock that tests bend.
pub struct Bent {
    clock: MonotonicClock,
    crawls_from: OnceLock<MediaTime>,
    /// Nanoseconds.
    leapt: AtomicU64,
}

impl Bent {
    /// How many times slower than real time it is when it crawls.
    const SLOWER: u32 = 100;

    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: MonotonicClock::new(),
            crawls_from: OnceLock::new(),
            leapt: AtomicU64::new(0),
        })
    }

    /// Gives a node that is used by nobody yet this clock.
    pub fn lead(self: &Arc<Self>, mut node: Arc<Node>) -> Arc<Node> {
        Arc::get_mut(&mut node).expect("nobody else has it yet").clock = self.clone();
        node
    }

    /// It crawls from now on: what comes comes fast by it, however slow the machine is.
    pub fn crawl(&self) {
        self.crawls_from.get_or_init(|| self.clock.now());
    }

    /// So much time has passed.
    pub fn leap(&self, time: Duration) {
        self.leapt.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Clock for Bent {
    fn now(&self) -> MediaTime {
        let now = self.clock.now();
        let now = match self.crawls_from.get() {
            Some(from) => *from + now.since(*from) / Self::SLOWER,
            None => now,
        };
        now + Duration::from_nanos(self.leapt.load(Ordering::Relaxed))
    }
}

/// What opens a node that has such a clock.
pub fn bent() -> (Arc<Bent>, impl Fn(Config) -> anyhow::Result<Arc<Node>> + Clone) {
    let clock = Bent::new();
    let of_node = clock.clone();
    let open = move |config| open(config).map(|node| of_node.lead(node));
    (clock, open)
}

/// What whoever asks for a session is told whose player sent too much.
const FLOODED: &str = "The player's client sent far more than a session takes.";

/// What a flood comes by, and its messages by their number.
pub type Flood = (DataChannel, fn(u32) -> Vec<u8>);

/// One message of a flood on the control channel: each says something new, which the node has to look at.
pub fn wish(n: u32) -> Vec<u8> {
    let message = match n % 3 {
        0 => json!({"type": "quality", "max_kbps": 2_000 + n % 1_000}),
        1 => json!({"type": "view", "width": 640 + n % 640, "height": 400, "dpi": 96}),
        _ => json!({"type": "transport", "kind": "websocket", "reason": n.to_string()}),
    };
    message.to_string().into_bytes()
}

/// The same of input.
pub fn press(n: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let event = InputEvent::Key { code: KeyCode::W, pressed: n.is_multiple_of(2) };
    SequencedInput { seq: InputSeq(n), event }.encode(&mut out);
    out
}

/// Checks that so many sessions ended because their players sent too much, and no other did.
fn assert_flooded(node: &Node, sessions: u32) {
    node.observe();
    let all = node.metrics.encode().expect("metrics");
    for line in [
        format!("nearlight_floods_total {sessions}"),
        format!("nearlight_sessions_ended_total{{reason=\"flood\"}} {sessions}"),
    ] {
        assert!(all.lines().any(|each| each == line), "{line} is not in {all}");
    }
}

/// Lets players flood, one after the other: each loses its session, and whoever is asked to see that has nothing of it.
pub async fn assert_floods_end_alone(
    node: &Arc<Node>,
    clock: &Bent,
    floods: Vec<(Session, impl Future<Output = ()>)>,
    mut witness: impl AsyncFnMut(),
) {
    clock.crawl();
    for ((session, flood), number) in floods.into_iter().zip(1..) {
        let flood = tokio::time::timeout(PATIENCE, flood);
        let (flood, ()) = tokio::join!(flood, witness());
        flood.expect("it is never cut off");
        let why = until("the end", async || {
            let shown = session.ask(Method::GET, "").bearer(&session.token).of(node).await;
            (shown.status == 410).then(|| shown.problem(410, "ended-session"))
        })
        .await;
        assert_eq!(why, FLOODED);
        assert_flooded(node, number);
    }
    witness().await;
}

/// The same behind listeners.
pub async fn serve(overrides: &[&str]) -> Server {
    Server::bind_with(config(overrides), open).await.expect("a server")
}

/// The moving test pattern, silent or with noise.
struct PatternApp {
    rushes: bool,
}

impl App for PatternApp {
    fn info(&self) -> AppInfo {
        info(if self.rushes { "rushing" } else { "pattern" }, None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        let sound = self.rushes.then(|| Box::new(Noise(1)) as Box<dyn AudioSource>);
        let voice = self.rushes.then(|| Arc::new(Ear::default()) as Arc<dyn VoiceSink>);
        Ok(Running { source, input: Box::new(NoHands), sound, rumble: None, voice })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        self.rushes
    }
    fn takes_voice(&self) -> bool {
        self.rushes
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

/// Hears a voice while it is on, and tells how much of it there was.
#[derive(Default)]
struct Ear {
    on: AtomicBool,
    samples: AtomicU64,
}

impl VoiceSink for Ear {
    fn set_enabled(&self, enabled: bool) {
        self.on.store(enabled, Ordering::Release);
    }
    fn put(&self, samples: &[f32]) {
        self.samples.fetch_add(samples.len() as u64, Ordering::AcqRel);
    }
    fn state(&self) -> VoiceState {
        let held = media::audio::time_of(self.samples.load(Ordering::Acquire));
        VoiceState { recorded: self.on.load(Ordering::Acquire), held, dropped: Duration::ZERO }
    }
}

/// Noise by a generator's state (Marsaglia's xorshift): no two packets of it are the same.
struct Noise(u32);

impl AudioSource for Noise {
    fn fill(&mut self, _: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        for sample in block.iter_mut() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            *sample = (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5;
        }
        Ok(Sound::of(block))
    }
}

/// The pattern in ten bits where that is asked for.
struct WideApp;

impl App for WideApp {
    fn info(&self) -> AppInfo {
        info("wide", None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(Wide(PulledPattern::new(video.size, 3, clock)));
        Ok(Running { source, input: Box::new(NoHands), sound: None, rumble: None, voice: None })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        true
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

struct Wide(PulledPattern);

impl FrameSource for Wide {
    fn info(&self) -> SourceInfo {
        self.0.info()
    }
    fn resize(&mut self, size: Size) -> Size {
        self.0.resize(size)
    }
    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        Ok(match self.0.next(request)? {
            SourceEvent::Frame(frame) if request.kind == PictureKind::HDR10 => {
                let image = WideImage { narrow: frame.image, planes: Vec::new() };
                SourceEvent::Frame(Frame {
                    color: request.kind.color,
                    image: Box::new(image),
                    ..frame
                })
            }
            event => event,
        })
    }
}

/// NV12 as P010.
struct WideImage {
    narrow: Box<dyn FrameImage>,
    /// Rows of each, from the time that it is finished.
    planes: Vec<(Vec<u8>, usize)>,
}

impl FrameImage for WideImage {
    fn format(&self) -> PixelFormat {
        PixelFormat::P010
    }
    fn size(&self) -> Size {
        self.narrow.size()
    }
    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        self.narrow.finish(clock, stages)?;
        let widen = |plane: &Plane<'_>| {
            let samples = plane.data.iter().flat_map(|&sample| [0, sample]);
            (samples.collect(), plane.stride * 2)
        };
        self.planes = self.narrow.map()?.planes.iter().map(widen).collect();
        Ok(())
    }
    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        if self.planes.is_empty() {
            return Err(ImageError::Unfinished);
        }
        let planes = self.planes.iter().map(|(data, stride)| Plane { data, stride: *stride });
        Ok(CpuImage { format: self.format(), size: self.size(), planes: planes.collect() })
    }
    fn shared(&self) -> Option<SharedImage<'_>> {
        None
    }
    fn map_mut(&mut self) -> Option<smallvec::SmallVec<[PlaneMut<'_>; 3]>> {
        None
    }
}

/// The size that "display" takes with the first input.
pub const RESIZED: Size = Size::new(192, 128);
/// The same of "shrinking".
pub const SHRUNK: Size = Size::new(64, 48);

/// A display in shared memory, which the first input resizes and the second one ends.
struct DisplayApp(&'static str, Size);

impl App for DisplayApp {
    fn info(&self) -> AppInfo {
        info(self.0, None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let refused = |error: std::io::Error| OpenError::Content(error.to_string());
        let surface = SharedSurface::new(video.size).map_err(refused)?;
        surface.fill(Rect { x: 8, y: 8, width: 32, height: 32 }, [20, 120, 220]);
        let source = PushedShared::new(surface.clone(), 3, clock).map_err(refused)?;
        Ok(Running {
            source: Box::new(source),
            input: Box::new(Hands { surface, resized: self.1, inputs: 0 }),
            sound: None,
            rumble: None,
            voice: None,
        })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn integer_motion(&self) -> bool {
        true
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

struct Hands {
    surface: SharedSurface,
    resized: Size,
    inputs: u32,
}

impl InputSink for Hands {
    fn inject(&mut self, _: &SequencedInput, _: MediaTime) {
        self.inputs += 1;
        if self.inputs == 1 {
            self.surface.resize(self.resized).expect("shared memory");
        } else {
            self.surface.end();
        }
    }
    fn release_all(&mut self, _: MediaTime) {}
    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

/// What goes wrong in a [`FaultyApp`] from the first input on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next picture meets a bug.
    Panic,
    /// Taking the input meets one.
    PanicAtInput,
    /// The graphics device is lost, and there again with the second input.
    LoseDevice,
    /// The next picture never comes back: a driver that hangs.
    Hang,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Panic => "panics",
            Self::PanicAtInput => "panics-at-input",
            Self::LoseDevice => "loses-device",
            Self::Hang => "hangs",
        }
    }
}

/// Plays like the pattern until the first input.
struct FaultyApp(Fault);

impl App for FaultyApp {
    fn info(&self) -> AppInfo {
        info(self.0.name(), None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let inputs = Arc::<AtomicU32>::default();
        let pattern = PulledPattern::new(video.size, 3, clock);
        let source = Faulty { fault: self.0, pattern, inputs: inputs.clone() };
        Ok(Running {
            source: Box::new(source),
            input: Box::new(Trigger(self.0, inputs)),
            sound: None,
            rumble: None,
            voice: None,
        })
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

struct Faulty {
    fault: Fault,
    pattern: PulledPattern,
    inputs: Arc<AtomicU32>,
}

impl FrameSource for Faulty {
    fn info(&self) -> SourceInfo {
        self.pattern.info()
    }
    fn resize(&mut self, size: Size) -> Size {
        self.pattern.resize(size)
    }
    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let inputs = self.inputs.load(Ordering::Relaxed);
        if inputs > 0 {
            match self.fault {
                Fault::Panic => panic!("the double's bug, which tests want"),
                Fault::PanicAtInput => {}
                Fault::LoseDevice if inputs == 1 => {
                    return Err(SourceError::DeviceLost("the double's device".into()));
                }
                Fault::LoseDevice => {}
                Fault::Hang => loop {
                    std::thread::park();
                },
            }
        }
        self.pattern.next(request)
    }
}

/// Tells a [`Faulty`] of input.
struct Trigger(Fault, Arc<AtomicU32>);

impl InputSink for Trigger {
    fn inject(&mut self, _: &SequencedInput, _: MediaTime) {
        self.1.fetch_add(1, Ordering::Relaxed);
        assert!(self.0 != Fault::PanicAtInput, "the double's bug, which tests want");
    }
    fn release_all(&mut self, _: MediaTime) {}
    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

/// Is in the catalogue and cannot be played.
struct BrokenApp;

impl App for BrokenApp {
    fn info(&self) -> AppInfo {
        info("broken", Some("its file is truncated"))
    }
    fn open(&self, _: VideoMode, _: Arc<dyn Clock>, _: &Start) -> Result<Running, OpenError> {
        Err(OpenError::Content("its file is truncated".into()))
    }
    fn device(&self) -> Option<DeviceId> {
        None
    }
    fn has_sound(&self) -> bool {
        false
    }
    fn draws_hdr(&self) -> bool {
        false
    }
    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }
    fn draw_poster(&self) -> Option<Vec<u8>> {
        None
    }
}

pub fn info(id: &str, unavailable: Option<&str>) -> AppInfo {
    AppInfo {
        id: id.into(),
        title: id.to_uppercase(),
        summary: String::new(),
        kind: EntryKind::Synthetic,
        controls: Vec::new(),
        genre: None,
        licence: None,
        keyboard: KeyboardMode::Places,
        has_poster: false,
        screen: None,
        unavailable: unavailable.map(Into::into),
    }
}

/// Takes input and does nothing with it.
struct NoHands;

impl InputSink for NoHands {
    fn inject(&mut self, _: &SequencedInput, _: MediaTime) {}
    fn release_all(&mut self, _: MediaTime) {}
    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

/// A request that is being put together.
pub struct Ask {
    request: axum::http::request::Builder,
    body: Body,
}

/// Begins a request.
pub fn ask(method: Method, path: &str) -> Ask {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "node.test");
    Ask { request, body: Body::empty() }
}

/// Asks for a session of the moving pattern, small.
pub fn create() -> Ask {
    create_with(&json!({"app": "pattern", "video": {"width": 128, "height": 96, "fps": 30}}))
}

/// Asks for a session.
pub fn create_with(wish: &Value) -> Ask {
    ask(Method::POST, "/api/v1/sessions").json(wish.to_string())
}

impl Ask {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }
    pub fn json(self, text: impl Into<String>) -> Self {
        self.header("content-type", "application/json").body(text.into())
    }
    pub fn sdp(self, text: impl Into<Bytes>) -> Self {
        self.header("content-type", "application/sdp").body(text.into())
    }
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }
    /// Asks the public interface.
    pub async fn of(self, node: &Arc<Node>) -> Reply {
        let request = self.request.body(self.body).expect("a request");
        let response = http::router(node.clone()).oneshot(request).await;
        Reply::read(response.expect("routers do not fail")).await
    }
    /// Asks the operator's interface.
    pub async fn of_ops(self, node: &Arc<Node>) -> Reply {
        let request = self.request.body(self.body).expect("a request");
        let response = ops::router(node.clone()).oneshot(request).await;
        Reply::read(response.expect("routers do not fail")).await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 16 << 20).await.expect("a body");
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The session that was created.
    pub fn session(&self) -> Session {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text());
        let body = self.json();
        let text = |key: &str| body[key].as_str().expect(key).to_owned();
        let ticket = text("play_url").split_once("ticket=").expect("a ticket").1.to_owned();
        Session { id: text("id"), token: text("token"), ticket }
    }

    /// Checks that this is a problem of the kind, and yields its detail.
    pub fn problem(&self, status: u16, kind: &str) -> String {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), self.header("content-type"), body["type"].as_str()),
            (status, "application/problem+json", Some(format!("/problems/{kind}").as_str())),
            "{}",
            self.text()
        );
        assert_eq!(body["status"], status);
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        body["detail"].as_str().unwrap_or_default().to_owned()
    }
}

/// What a caller knows of a session.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub token: String,
    pub ticket: String,
}

impl Session {
    /// Begins a request to an address of this session.
    pub fn ask(&self, method: Method, below: &str) -> Ask {
        ask(method, &format!("/api/v1/sessions/{}{below}", self.id))
    }
}

/// Waits until `look` yields something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    seen.await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
