//! Games are let in by what they take of the cores and of memory, and refused with the sum that is taken.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

mod common;
mod player;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use common::{create_with, until};
use encoder::choice::{Accepts, Cost};
use encoder::{Candidate, Outcome, Prober, Verdict};
use host::catalogue::Resize;
use media::{
    ByteSize, Clock, Codec, DataChannel, DeviceId, EncoderCapabilities, FrameRate, FrameRequest,
    FrameSource, GraphicsMemory, InputSink, MediaTime, SequencedInput, Size, SourceError,
    SourceEvent, SourceInfo,
};
use nearlight::apps::{
    Ahead, App, AppInfo, Needs, OpenError, Prepared, Running, ScreenInfo, Start, VideoMode,
};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::saves::GameSaves;
use nearlight::wire::{EntryKind, KeyboardMode};
use player::client::{Client, Wish};
use player::{join, join_as, lives, said};
use serde_json::{Value, json};
use testkit::PulledPattern;
use tokio_util::sync::CancellationToken;

/// Takes so many thousandths of a core, and so many MiB; nothing where it is drawn here.
#[derive(Default)]
struct Game {
    id: &'static str,
    takes: Option<(Arc<AtomicU64>, u64)>,
    measured: bool,
    ahead: Option<Arc<Kept>>,
    /// Its screen may become so large, and it takes as much more of the cores as pictures have more pixels than these.
    grows: Option<(Size, Size)>,
    /// It needs so many MiB of a graphics device of 8 GiB, which has so many free.
    draws: Option<(u64, Arc<AtomicU64>)>,
    /// What it says of its pictures.
    usual: Option<VideoMode>,
}

impl App for Game {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: self.id.into(),
            title: self.id.into(),
            summary: String::new(),
            kind: EntryKind::Game,
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            controls: Vec::new(),
            screen: self.grows.map(|(_, largest)| ScreenInfo { largest, resize: Resize::Any }),
            unavailable: None,
        }
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(Window::new(video.size, clock));
        Ok(Running { source, input: Box::new(NoHands), sound: None, rumble: None, voice: None })
    }
    fn usual(&self) -> Option<VideoMode> {
        self.usual
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
    fn needs(&self, video: VideoMode) -> Option<Needs> {
        let (millis, mib) = self.takes.as_ref()?;
        let more = self.grows.map_or(1, |(from, _)| video.size.pixels() / from.pixels());
        let cpu = Duration::from_millis(millis.load(Ordering::Relaxed) * more);
        let graphics_memory = self.draws.as_ref().map_or(0, |(mib, _)| mib << 20);
        Some(Needs {
            cpu,
            measured: self.measured,
            memory: ByteSize(mib << 20),
            graphics_memory: ByteSize(graphics_memory),
        })
    }
    fn graphics_memory(&self) -> Option<GraphicsMemory> {
        let (_, free) = self.draws.as_ref()?;
        let free = ByteSize(free.load(Ordering::Relaxed) << 20);
        Some(GraphicsMemory { total: ByteSize(8 << 30), free })
    }
    fn ahead(&self) -> Option<Arc<dyn Ahead>> {
        self.ahead.clone().map(|ahead| ahead as Arc<dyn Ahead>)
    }
}

/// Starts games ahead that hold so many MiB, and knows what became of each.
#[derive(Default)]
struct Kept {
    mib: u64,
    /// Of which all fail but those of this size, where there is one.
    only: Option<Size>,
    started: AtomicU64,
    gone: Arc<AtomicU64>,
    /// Those that were started end by themselves.
    ended: Arc<AtomicBool>,
}

impl Ahead for Kept {
    fn wanted(&self) -> usize {
        2
    }
    fn needs(&self) -> Needs {
        let memory = ByteSize(self.mib << 20);
        let graphics_memory = ByteSize::default();
        Needs { cpu: Duration::from_millis(100), measured: true, memory, graphics_memory }
    }
    fn prepare(
        &self,
        video: Option<VideoMode>,
        _: &Arc<dyn Clock>,
        _: &CancellationToken,
    ) -> Result<Box<dyn Prepared>, String> {
        self.started.fetch_add(1, Ordering::Relaxed);
        let only = video.map(|video| video.size).or(self.only);
        Ok(Box::new(Ready { only, gone: self.gone.clone(), ended: self.ended.clone() }))
    }
}

/// One of them. Counts when it goes.
struct Ready {
    only: Option<Size>,
    gone: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Prepared for Ready {
    fn fits(&self, video: VideoMode) -> Result<(), &'static str> {
        if self.only.is_none_or(|only| only == video.size) { Ok(()) } else { Err("size") }
    }
    fn began(&self) -> Size {
        self.only.unwrap_or(Size::new(1280, 720))
    }
    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
    fn kill(&self) {}
    fn open(
        self: Box<Self>,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        Ok(Running { source, input: Box::new(NoHands), sound: None, rumble: None, voice: None })
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        self.gone.fetch_add(1, Ordering::Relaxed);
    }
}

/// Pictures of a screen that becomes as large as it is told to.
struct Window {
    pattern: PulledPattern,
    clock: Arc<dyn Clock>,
    told: Option<Size>,
}

impl Window {
    fn new(size: Size, clock: Arc<dyn Clock>) -> Self {
        Self { pattern: PulledPattern::new(size, 3, clock.clone()), clock, told: None }
    }
}

impl FrameSource for Window {
    fn info(&self) -> SourceInfo {
        SourceInfo { resizes: false, ..self.pattern.info() }
    }
    fn resize(&mut self, _: Size) -> Size {
        self.info().size
    }
    fn set_screen(&mut self, size: Size, _: u32) {
        self.told = Some(size);
    }
    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        match self.told.take() {
            Some(size) if size != self.info().size => {
                self.pattern = PulledPattern::new(size, 3, self.clock.clone());
                Ok(SourceEvent::Resized(size))
            }
            _ => self.pattern.next(request),
        }
    }
}

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

/// A node of two cores and a GiB, with a game whose need of the cores can be set, a game that needs memory, and a scene.
fn node() -> (Arc<Node>, Arc<AtomicU64>) {
    let millis = Arc::new(AtomicU64::new(1_500));
    let apps = [
        Game { id: "busy", takes: Some((millis.clone(), 1)), measured: true, ..Game::default() },
        Game { id: "new", takes: Some((millis.clone(), 1)), ..Game::default() },
        Game { id: "large", takes: Some((Arc::default(), 600)), measured: true, ..Game::default() },
        Game { id: "scene", takes: None, ..Game::default() },
    ];
    (node_with(apps), millis)
}

fn node_with(apps: impl IntoIterator<Item = Game>) -> Arc<Node> {
    node_that_codes(apps, cheap())
}

/// Coding takes next to nothing: what it takes here would be this machine's affair.
fn cheap() -> Probing {
    let mut candidates = encoder::candidates();
    candidates.retain(|each| each.name == encoder::openh264::NAME);
    let prober = Arc::new(Costs(1_000, 1_000));
    Probing { candidates, prober, ..Probing::in_process() }
}

fn node_that_codes(apps: impl IntoIterator<Item = Game>, probing: Probing) -> Arc<Node> {
    let apps = apps.into_iter().map(|game| Arc::new(game) as Arc<dyn App>);
    let limits = ["games.max_cpus=2.0", "games.max_memory_mib=1024"];
    let opened = Node::with_apps(common::config(&limits), None, apps, probing);
    opened.expect("a node")
}

/// A node with a game that is started ahead, and one that needs memory.
fn node_ahead(kept: Kept) -> (Arc<Node>, Arc<Kept>) {
    let (kept, millis) = (Arc::new(kept), Arc::<AtomicU64>::default());
    let takes = |mib| Some((millis.clone(), mib));
    let node = node_with([
        Game {
            id: "kept",
            takes: takes(kept.mib),
            measured: true,
            ahead: Some(kept.clone()),
            ..Game::default()
        },
        Game { id: "large", takes: takes(600), measured: true, ..Game::default() },
    ]);
    node.start_ahead().expect("a thread");
    (node, kept)
}

/// A figure of the node's metrics.
fn figure(node: &Node, line: &str) -> f64 {
    let text = node.metrics.encode().expect("metrics");
    let found = text.lines().find_map(|each| each.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

async fn ready(node: &Arc<Node>, many: u32) {
    let shown = async || figure(node, "nearlight_ahead_ready{app=\"kept\"}") == f64::from(many);
    until("as many are ready", async || shown().await.then_some(())).await;
}

/// How a session began.
async fn began(session: &common::Session, node: &Arc<Node>) -> String {
    until("how it began", async || {
        let reply = session.ask(Method::GET, "").bearer(&session.token).of(node).await;
        reply.json()["start"].as_str().map(ToOwned::to_owned)
    })
    .await
}

/// Slow and small, so that coding takes next to nothing of the cores beside what the game says.
fn wish(app: &str) -> Value {
    json!({"app": app, "video": {"width": 64, "height": 64, "fps": 1}})
}

#[tokio::test]
async fn a_second_game_that_does_not_fit_is_refused_and_the_first_goes_on() {
    let (node, millis) = node();
    let first = create_with(&wish("busy")).of(&node).await.session();
    let refused = create_with(&wish("busy")).of(&node).await;
    let detail = refused.problem(503, "refused");
    assert!(detail.contains("processor") && detail.contains("cores"), "{detail}");
    let room = &refused.json()["room"];
    assert_eq!((&room["sum"], &room["unit"]), (&json!("cpu"), &json!("thousandths of a core")));
    // The game's, and a little for coding.
    let [asked, left] = ["asked", "left"].map(|key| room[key].as_u64().expect(key));
    assert!((1_500..1_700).contains(&asked) && (300..=500).contains(&left), "{room}");
    // Nobody has left yet, so that nobody knows how long people stay.
    assert_eq!(room["expected_wait"], Value::Null);
    assert_eq!(refused.header("retry-after"), refused.json()["retry_after"].to_string());
    // What is drawn here is bounded by other sums.
    create_with(&wish("scene")).of(&node).await.session();
    let live = async || {
        let reply = first.ask(Method::GET, "").bearer(&first.token).of(&node).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        reply.json()["state"].as_str().map(ToOwned::to_owned)
    };
    assert!(live().await.is_some_and(|state| state != "ended"));
    // It was measured to take less: now there is room, and then none.
    millis.store(900, Ordering::Relaxed);
    create_with(&wish("busy")).of(&node).await.session();
    create_with(&wish("busy")).of(&node).await.problem(503, "refused");
    assert!(live().await.is_some_and(|state| state != "ended"));
}

#[tokio::test]
async fn who_is_refused_is_told_how_long_others_stay() {
    let (clock, _) = common::bent();
    let (node, _) = node();
    let node = clock.lead(node);
    // All that passes is what the test says.
    clock.crawl();
    let first = create_with(&wish("busy")).of(&node).await.session();
    clock.leap(Duration::from_secs(300));
    first.ask(Method::DELETE, "").bearer(&first.token).of(&node).await;
    until("its place", async || {
        let reply = create_with(&wish("busy")).of(&node).await;
        (reply.status == StatusCode::CREATED).then_some(())
    })
    .await;
    clock.leap(Duration::from_secs(60));
    let refused = until("how long it stayed", async || {
        let refused = create_with(&wish("busy")).of(&node).await;
        (!refused.json()["room"]["expected_wait"].is_null()).then_some(refused)
    })
    .await;
    let told = refused.json();
    let wait = told["room"]["expected_wait"].as_u64().expect("seconds");
    assert!((235..=241).contains(&wait), "{wait}");
    assert_eq!(
        (&told["retry_after"], refused.header("retry-after")),
        (&json!(wait), &*wait.to_string())
    );
    let detail = refused.problem(503, "refused");
    assert!(detail.ends_with(" Somebody is expected to leave within 4 min."), "{detail}");
}

/// A node with a game whose screen follows its player's window, and how many thousandths of a core it takes with the smallest
/// one; four times the pixels take four times as much.
fn node_of_windows() -> (Arc<Node>, Arc<AtomicU64>) {
    let millis = Arc::new(AtomicU64::new(400));
    (node_with([window(millis.clone())]), millis)
}

fn window(millis: Arc<AtomicU64>) -> Game {
    let (takes, grows) = (Some((millis, 1)), Some((SMALL, LARGE)));
    Game { id: "grows", takes, measured: true, grows, ..Game::default() }
}

/// Finds that all encoders work, those of H.264 with the first of these costs, in microseconds a megapixel, and others with the second.
struct Costs(u32, u32);

impl Prober for Costs {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        let accepts = Accepts::of(&EncoderCapabilities::plain("", Codec::H264));
        let verdict = |candidate: &Candidate| {
            let is_h264 = candidate.codec == Codec::H264;
            let micros_per_megapixel = if is_h264 { self.0 } else { self.1 };
            let cost = Cost { micros_per_megapixel, ten_bits: None };
            Verdict::of(candidate, Outcome::Works { cost, accepts: accepts.clone() })
        };
        candidates.iter().map(verdict).collect()
    }
}

/// They take so many thousandths of a core as small as they can be, and coding them so much.
fn node_of_windows_that_cost(millis: u64, costs: Costs) -> Arc<Node> {
    let probing = Probing { prober: Arc::new(costs), ..Probing::in_process() };
    node_that_codes([window(Arc::new(AtomicU64::new(millis)))], probing)
}

const SMALL: Size = Size::new(320, 200);
const LARGE: Size = Size::new(640, 400);

fn in_window(size: Size) -> Value {
    let view = json!({"width": size.width, "height": size.height, "dpi": 96});
    json!({"app": "grows", "view": view, "video": {"fps": 1}})
}

/// The page shows the picture in a place of this size.
async fn shows_in(client: &mut Client, size: Size) {
    let view = json!({"type": "view", "width": size.width, "height": size.height, "dpi": 96});
    client.send(DataChannel::Control, view.to_string().as_bytes()).await;
}

/// The next greeting with pictures of this size, refused a larger one or not.
async fn greeting(client: &mut Client, size: Size, refused: bool) -> Value {
    until("the greeting", async || {
        let hello = said(client, "hello").await;
        let video = &hello["video"];
        let is_so = (&video["width"], &video["height"])
            == (&json!(size.width), &json!(size.height))
            && hello.get("screen_refused").is_some() == refused;
        is_so.then_some(hello)
    })
    .await
}

/// Thousandths of a core that are left, as a game is told that does not fit.
async fn cores_left(node: &Arc<Node>, of: &Value) -> u64 {
    let refused = create_with(of).of(node).await;
    refused.json()["room"]["left"].as_u64().unwrap_or_else(|| panic!("{}", refused.text()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_booked_as_large_as_its_window_is() {
    let (node, millis) = node_of_windows();
    // Of those that take 400 of 2,000, and a little for coding, four fit, whatever they may become.
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(create_with(&in_window(SMALL)).of(&node).await.session());
    }
    create_with(&in_window(SMALL)).of(&node).await.problem(503, "refused");
    for session in sessions.drain(1..) {
        assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    }
    let mut client = join(&node, &sessions[0]).await;
    said(&mut client, "stats").await;
    let booked = async |most: u64| {
        until("what is booked", async || {
            let left = cores_left(&node, &in_window(LARGE)).await;
            ((2_000 - most - 200)..=(2_000 - most)).contains(&left).then_some(())
        })
        .await;
    };
    booked(400).await;
    // It grows: four times as much is booked, and nobody else comes.
    shows_in(&mut client, LARGE).await;
    greeting(&mut client, LARGE, false).await;
    booked(1_600).await;
    create_with(&in_window(SMALL)).of(&node).await.problem(503, "refused");
    // It is measured to take less as large as it is: then somebody does.
    millis.store(300, Ordering::Relaxed);
    let other = create_with(&in_window(SMALL)).of(&node).await.session();
    assert_eq!(other.ask(Method::DELETE, "").of(&node).await.status, 204);
    millis.store(400, Ordering::Relaxed);
    // It becomes smaller, and what it needs less is for others.
    shows_in(&mut client, SMALL).await;
    greeting(&mut client, SMALL, false).await;
    booked(400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_grows_beyond_what_there_is_room_for_keeps_its_picture_until_there_is() {
    let (node, _) = node_of_windows();
    let first = create_with(&in_window(SMALL)).of(&node).await.session();
    let second = create_with(&in_window(SMALL)).of(&node).await.session();
    let mut client = join(&node, &first).await;
    said(&mut client, "stats").await;
    shows_in(&mut client, LARGE).await;
    let hello = greeting(&mut client, SMALL, true).await;
    let told = hello["screen_refused"].as_str().expect("a reason");
    let begins = "There is no room for a screen of 640x400. The processor is busy: this needs 1.6";
    assert!(told.starts_with(begins), "{told}");
    // It is asked for again every few seconds.
    assert!(figure(&node, "nearlight_screens_refused_total") >= 1.0);
    // It plays on.
    lives(&node, &first).await;
    // A third still finds as much room as before.
    let third = create_with(&in_window(SMALL)).of(&node).await.session();
    // They leave: it is asked for again without another word of the page.
    for session in [second, third] {
        assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    }
    greeting(&mut client, LARGE, false).await;
    // One that its player makes as small as the picture is wants no more.
    let other = create_with(&in_window(SMALL)).of(&node).await;
    assert_eq!(other.json()["room"]["sum"], "cpu");
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_weighed_by_what_the_sessions_own_encoder_takes() {
    // Half a core a second for a large picture of VP8, next to nothing for one of H.264.
    let node = node_of_windows_that_cost(400, Costs(1, 2_000_000));
    let session = create_with(&in_window(SMALL)).of(&node).await.session();
    let only_vp8 = |offer: String| offer.replace("H264", "H262");
    let mut client = join_as(&node, &session, Codec::Vp8, only_vp8).await;
    said(&mut client, "stats").await;
    shows_in(&mut client, LARGE).await;
    let hello = greeting(&mut client, SMALL, true).await;
    let told = hello["screen_refused"].as_str().expect("a reason");
    assert!(told.contains("processor"), "{told}");
    assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    let session = create_with(&in_window(SMALL)).of(&node).await.session();
    let mut client = join(&node, &session).await;
    said(&mut client, "stats").await;
    shows_in(&mut client, LARGE).await;
    greeting(&mut client, LARGE, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_codec_for_the_screen_that_it_has_and_not_for_one_that_is_refused() {
    // H.264 takes a quarter of an interval for a small picture and all of it for a large one, which VP8 would be taken for.
    let node = node_of_windows_that_cost(400, Costs(4_000_000, 1));
    let session = create_with(&in_window(SMALL)).of(&node).await.session();
    let mut client = join(&node, &session).await;
    said(&mut client, "stats").await;
    shows_in(&mut client, LARGE).await;
    greeting(&mut client, SMALL, true).await;
    let (_again, offer) = Client::offer(Wish::PAGE).await;
    let answer = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer);
    let answer = answer.of(&node).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert!(answer.text().contains("H264/90000"), "{}", answer.text());
}

#[tokio::test]
async fn one_that_keeps_its_size_is_booked_with_that() {
    let (node, _) = node_of_windows();
    let mut fixed = in_window(LARGE);
    fixed["video"] = json!({"width": 320, "height": 200, "fps": 1});
    for _ in 0..4 {
        create_with(&fixed).of(&node).await.session();
    }
    create_with(&fixed).of(&node).await.problem(503, "refused");
}

#[tokio::test]
async fn who_is_refused_is_told_when_somebody_usually_leaves() {
    let (node, _) = node();
    let first = create_with(&wish("large")).of(&node).await.session();
    let refused = create_with(&wish("large")).of(&node).await;
    let room = &refused.json()["room"];
    assert_eq!((&room["sum"], room["asked"].as_u64()), (&json!("memory"), Some(600 << 20)));
    assert_eq!(room["left"].as_u64(), Some(424 << 20));
    assert_eq!(first.ask(Method::DELETE, "").of(&node).await.status, 204);
    create_with(&wish("large")).of(&node).await.session();
    let wait = until("a refusal that knows", async || {
        let refused = create_with(&wish("large")).of(&node).await;
        refused.json()["room"]["expected_wait"].as_u64()
    });
    assert!(wait.await >= 1);
}

#[tokio::test]
async fn a_game_that_a_graphics_device_has_no_memory_for_is_refused_until_there_is_some() {
    let free = Arc::new(AtomicU64::new(512));
    let game =
        |id| Game { id, takes: Some((Arc::default(), 1)), measured: true, ..Game::default() };
    let draws = |id, mib| Game { draws: Some((mib, free.clone())), ..game(id) };
    let node = node_with([draws("shooter", 2_048), draws("huge", 9_000), game("flat")]);
    let refused = create_with(&wish("shooter")).of(&node).await;
    let detail = refused.problem(503, "refused");
    assert!(detail.contains("Memory of the graphics device is short"), "{detail}");
    let room = |refused: &Value| {
        let room = &refused["room"];
        assert_eq!((&room["sum"], &room["unit"]), (&json!("graphics_memory"), &json!("bytes")));
        ["asked", "left"].map(|key| room[key].as_u64().expect(key) >> 20)
    };
    assert_eq!(room(&refused.json()), [2_048, 512]);
    let huge = create_with(&wish("huge")).of(&node).await;
    let detail = huge.problem(503, "refused");
    assert!(detail.contains("more graphics memory than the whole node has"), "{detail}");
    // Somebody else gave it back. The first has not taken any of it so far, and will.
    free.store(4_000, Ordering::Relaxed);
    let first = create_with(&wish("shooter")).of(&node).await.session();
    let refused = create_with(&wish("shooter")).of(&node).await;
    assert_eq!(room(&refused.json()), [2_048, 4_000 - 2_048]);
    create_with(&wish("flat")).of(&node).await.session();
    assert_eq!(first.ask(Method::DELETE, "").of(&node).await.status, 204);
    create_with(&wish("shooter")).of(&node).await.session();
    // How long the first stayed is known by now, or soon.
    let wait = until("a refusal that knows", async || {
        let refused = create_with(&wish("shooter")).of(&node).await;
        refused.json()["room"]["expected_wait"].as_u64()
    });
    assert!(wait.await >= 1);
}

#[tokio::test]
async fn what_would_never_fit_is_told_so() {
    let (node, millis) = node();
    millis.store(2_500, Ordering::Relaxed);
    let refused = create_with(&wish("busy")).of(&node).await;
    let detail = refused.problem(503, "refused");
    assert!(detail.contains("more processor time than the whole node has"), "{detail}");
    assert_eq!((refused.header("retry-after"), &refused.json()["room"]), ("", &Value::Null));
    // A limit says what a game may have, not what it needs: with nothing else known it gets the node to itself.
    create_with(&wish("new")).of(&node).await.session();
    create_with(&wish("new")).of(&node).await.problem(503, "refused");
}

#[tokio::test]
async fn what_coding_is_taken_for_keeps_nobody_from_an_empty_node() {
    // Together with nearly all of an interval of two cores it is more than there is.
    let node = node_of_windows_that_cost(1_200, Costs(9_000_000, 9_000_000));
    for _ in 0..2 {
        let first = create_with(&in_window(SMALL)).of(&node).await.session();
        create_with(&in_window(SMALL)).of(&node).await.problem(503, "refused");
        assert_eq!(first.ask(Method::DELETE, "").of(&node).await.status, 204);
    }
}

#[tokio::test]
async fn a_session_takes_what_was_started_ahead_and_each_is_played_once() {
    let (node, kept) = node_ahead(Kept { mib: 100, ..Kept::default() });
    ready(&node, 2).await;
    for number in 1..=3 {
        let session = create_with(&wish("kept")).of(&node).await.session();
        assert_eq!(began(&session, &node).await, "warm");
        let hits = async || figure(&node, "nearlight_ahead_hits_total") == f64::from(number);
        until("it is counted", async || hits().await.then_some(())).await;
        // It is replaced, and not put back when its session is over.
        ready(&node, 2).await;
        assert_eq!(kept.started.load(Ordering::Relaxed), 2 + u64::from(number as u32));
        assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    }
    assert_eq!(kept.gone.load(Ordering::Relaxed), 3, "those that were played");
    node.shut_down(Duration::from_secs(10)).await;
    assert_eq!(kept.gone.load(Ordering::Relaxed), 5);
    assert_eq!(kept.started.load(Ordering::Relaxed), 5, "nothing is started at the end");
}

#[tokio::test]
async fn what_was_started_ahead_gives_way_to_who_plays() {
    let (node, kept) = node_ahead(Kept { mib: 300, ..Kept::default() });
    ready(&node, 2).await;
    // 600 are held, and 424 are free.
    let large = create_with(&wish("large")).of(&node).await.session();
    ready(&node, 1).await;
    until("one is put away", async || (kept.gone.load(Ordering::Relaxed) == 1).then_some(())).await;
    assert_eq!(figure(&node, "nearlight_ahead_ended_total{reason=\"given_up\"}"), 1.0);
    // A player who would not fit all the same costs none.
    let refused = create_with(&wish("large")).of(&node).await;
    assert_eq!(refused.json()["room"]["left"].as_u64(), Some(124 << 20));
    ready(&node, 1).await;
    // Whoever takes the other one takes its room.
    let warm = create_with(&wish("kept")).of(&node).await.session();
    assert_eq!(began(&warm, &node).await, "warm");
    ready(&node, 0).await;
    let refused = create_with(&wish("kept")).of(&node).await;
    assert_eq!(refused.json()["room"]["left"].as_u64(), Some(124 << 20));
    assert_eq!(figure(&node, "nearlight_ahead_misses_total{reason=\"none_ready\"}"), 1.0);
    // With the room they come back.
    assert_eq!(large.ask(Method::DELETE, "").of(&node).await.status, 204);
    ready(&node, 2).await;
}

#[tokio::test]
async fn one_that_does_not_fit_is_passed_over_and_replaced_in_time() {
    let only = Some(Size::new(1_280, 720));
    let (node, kept) = node_ahead(Kept { mib: 1, only, ..Kept::default() });
    ready(&node, 2).await;
    for _ in 0..2 {
        let session = create_with(&wish("kept")).of(&node).await.session();
        assert_eq!(began(&session, &node).await, "cold");
    }
    assert_eq!(figure(&node, "nearlight_ahead_misses_total{reason=\"size\"}"), 2.0);
    until("one was replaced", async || (kept.started.load(Ordering::Relaxed) == 3).then_some(()))
        .await;
    ready(&node, 2).await;
    let session = create_with(&wish("kept")).of(&node).await.session();
    assert_eq!(began(&session, &node).await, "warm");
}

#[tokio::test]
async fn one_that_ends_is_replaced_after_a_pause_and_gives_its_room_back() {
    // There is no room for one of them beside the other game.
    let (node, kept) = node_ahead(Kept { mib: 450, ..Kept::default() });
    ready(&node, 2).await;
    kept.ended.store(true, Ordering::Relaxed);
    // Nobody is given one that is over, and what it held is free.
    let session = create_with(&wish("large")).of(&node).await.session();
    ready(&node, 0).await;
    let died = || figure(&node, "nearlight_ahead_ended_total{reason=\"died\"}");
    let both = until("both have died", async || Some(died()).filter(|died| *died >= 2.0)).await;
    assert_eq!(both, 2.0);
    kept.ended.store(false, Ordering::Relaxed);
    assert_eq!(session.ask(Method::DELETE, "").of(&node).await.status, 204);
    ready(&node, 2).await;
}

/// The size and the rate of a session with this wish of a game that says so much of its pictures, and is shown in HD at most.
async fn granted(limits: &[&str], usual: Option<(Size, u32)>, wish: &Value) -> (Size, u64) {
    let reply = asked(limits, usual, wish).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text());
    let video = reply.json()["video"].take();
    let [width, height, fps] =
        ["width", "height", "fps"].map(|key| video[key].as_u64().expect(key));
    (Size::new(width as u32, height as u32), fps)
}

/// What its node says to the wish.
async fn asked(limits: &[&str], usual: Option<(Size, u32)>, wish: &Value) -> common::Reply {
    let mode = |(size, fps)| VideoMode { size, dpi: VideoMode::DPI, rate: FrameRate::fps(fps) };
    let grows = Some((SMALL, Size::new(1280, 720)));
    let game = Game { id: "own", grows, usual: usual.map(mode), ..Game::default() };
    let apps = [Arc::new(game) as Arc<dyn App>];
    let node = Node::with_apps(common::config(limits), None, apps, cheap()).expect("a node");
    create_with(wish).of(&node).await
}

#[tokio::test]
async fn a_game_has_the_pictures_that_it_says_where_nobody_asks_for_others() {
    let own = Some((Size::new(640, 360), 50));
    let with = |key: &str, value: Value| json!({"app": "own", key: value});
    let (none, view) = (json!({"app": "own"}), json!({"width": 800, "height": 450, "dpi": 96}));
    for (wish, width, height, fps) in [
        (none.clone(), 640, 360, 50),
        (with("video", json!({"fps": 20})), 640, 360, 20),
        (with("video", json!({"width": 320, "fps": 60})), 320, 360, 60),
        (with("view", view), 800, 450, 50),
    ] {
        let told = granted(&[], own, &wish).await;
        assert_eq!(told, (Size::new(width, height), fps), "{wish}");
    }
    let beyond = asked(&[], own, &with("video", json!({"width": 1400}))).await;
    let detail = beyond.problem(400, "bad-request");
    assert!(detail.contains("is shown at 1280x720 at most"), "{detail}");
    // No more than the game and the node show, and the node's own where it says nothing.
    let node = ["video.width=640", "video.height=360", "video.fps=25"];
    let few = ["video.width=640", "video.max_edge=1001", "video.max_fps=40"];
    let large = Some((Size::new(1920, 1080), 240));
    for (limits, usual, width, height, fps) in [
        (&node[..], None, 640, 360, 25),
        (&node[..], large, 1280, 720, 120),
        (&few[..], large, 1000, 720, 40),
    ] {
        let told = granted(limits, usual, &none).await;
        assert_eq!(told, (Size::new(width, height), fps), "{limits:?}");
    }
}
