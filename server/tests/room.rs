//! Games are let in by what they take of the cores and of memory, and refused with the sum that is taken.

#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use common::{create_with, until};
use media::{ByteSize, Clock, DeviceId, InputSink, MediaTime, SequencedInput};
use nearlight::apps::{App, AppInfo, Needs, OpenError, Running, Start, VideoMode};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::saves::GameSaves;
use nearlight::wire::{EntryKind, KeyboardMode};
use serde_json::{Value, json};
use testkit::PulledPattern;

/// Takes so many thousandths of a core, and so many MiB; nothing where it is drawn here.
struct Game {
    id: &'static str,
    takes: Option<(Arc<AtomicU64>, u64)>,
    measured: bool,
}

impl App for Game {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: self.id.into(),
            title: self.id.into(),
            summary: String::new(),
            kind: EntryKind::Game,
            genre: None,
            keyboard: KeyboardMode::Places,
            has_poster: false,
            controls: Vec::new(),
            screen: None,
            unavailable: None,
        }
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        Ok(Running { source, input: Box::new(NoHands), sound: None, rumble: None, voice: None })
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
    fn needs(&self, _: VideoMode) -> Option<Needs> {
        let (millis, mib) = self.takes.as_ref()?;
        let cpu = Duration::from_millis(millis.load(Ordering::Relaxed));
        Some(Needs { cpu, measured: self.measured, memory: ByteSize(mib << 20) })
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
        Game { id: "busy", takes: Some((millis.clone(), 1)), measured: true },
        Game { id: "new", takes: Some((millis.clone(), 1)), measured: false },
        Game { id: "large", takes: Some((Arc::default(), 600)), measured: true },
        Game { id: "scene", takes: None, measured: false },
    ];
    let apps = apps.map(|game| Arc::new(game) as Arc<dyn App>);
    let limits = ["games.max_cpus=2.0", "games.max_memory_mib=1024", "sessions.connect=60s"];
    let opened = Node::with_apps(common::config(&limits), None, apps, Probing::in_process());
    (opened.expect("a node"), millis)
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
