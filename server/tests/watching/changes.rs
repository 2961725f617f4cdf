//! What those who joined have of it when the player's page comes by another transport: nothing but its keyframe. And what a
//! game has of those who left before it was there: nothing.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use media::{Clock, DeviceId, InputSink, InputSupport, MediaTime, Pad, Plug};
use nearlight::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use nearlight::saves::GameSaves;
use testkit::PulledPattern;

use super::*;

/// What the session's input was told.
type Told = Arc<Mutex<Vec<InputEvent>>>;

/// The moving pattern, which notes what it is told, and is there once the gate's other end is gone.
#[derive(Default)]
struct Noting {
    told: Told,
    gate: Mutex<Option<Receiver<()>>>,
}

impl App for Noting {
    fn info(&self) -> AppInfo {
        common::info("noting", None)
    }
    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            gate.recv().unwrap_err();
        }
        let source = Box::new(PulledPattern::new(video.size, 3, clock));
        let input = Box::new(Notes(self.told.clone()));
        Ok(Running { source, input, sound: None, rumble: None, voice: None })
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

struct Notes(Told);

impl InputSink for Notes {
    fn inject(&mut self, input: &SequencedInput, _: MediaTime) {
        self.0.lock().unwrap().push(input.event.clone());
    }
    fn release_all(&mut self, _: MediaTime) {
        self.0.lock().unwrap().push(InputEvent::ReleaseAll);
    }
    fn support(&self) -> InputSupport {
        InputSupport::default()
    }
    fn idle_for(&self, _: MediaTime) -> Duration {
        Duration::ZERO
    }
}

fn key_is(code: KeyCode, pressed: bool) -> InputEvent {
    InputEvent::Key { code, pressed }
}

fn message(event: InputEvent) -> Vec<u8> {
    let mut out = Vec::new();
    SequencedInput { seq: InputSeq(1), event }.encode(&mut out);
    out
}

async fn serve_noting(app: Noting, clock: &Arc<common::Bent>) -> Server {
    let app: Arc<dyn App> = Arc::new(app);
    let clock = clock.clone();
    let open = move |config| {
        let node = Node::with_apps(config, None, [app], Probing::in_process());
        node.map(|node| clock.lead(node))
    };
    Server::bind_with(common::config(&[REACHED]), open).await.unwrap()
}

async fn noting(node: &Arc<Node>) -> Session {
    let wish = json!({"app": "noting", "video": {"width": 128, "height": 96, "fps": 30}});
    create_with(&wish).of(node).await.session()
}

fn was_told(told: &Told, event: &InputEvent) -> bool {
    told.lock().unwrap().contains(event)
}

/// Sends this until it is told: while the player is away nobody plays, and that is for a moment when his client, or the node, has
/// stood still for two seconds.
async fn does(told: &Told, client: &Client, event: &InputEvent) {
    until("what somebody did", async || {
        client.send(DataChannel::Input, &message(event.clone())).await;
        was_told(told, event).then_some(())
    })
    .await;
}

/// A co-player who watches and can play.
async fn co_player(node: &Arc<Node>, session: &Session) -> Client {
    let (_, text) = invite(node, session, json!({"role": "co_player"})).await;
    let mut client = join(node, &text).await.watch(node).await;
    client.opened(DataChannel::Input).await;
    first_unit(&mut client).await;
    client
}

/// Units that each viewer was sent.
async fn units(node: &Arc<Node>, session: &Session) -> Vec<u64> {
    let seen = viewers(node, session).await;
    assert!(seen.iter().all(|viewer| viewer["state"] == "live"), "{seen:?}");
    seen.iter().map(|viewer| viewer["units_sent"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joined_sees_and_holds_on_while_the_player_changes_its_transport() {
    let app = Noting::default();
    let told = app.told.clone();
    let server = serve_noting(app, &common::Bent::new()).await;
    let node = server.node();
    let session = noting(node).await;
    let _first = play(node, &session).await;
    let watching = spectator(node, &session).await.watch_by_webtransport(0).await;
    address::begins(&watching).await;
    let helping = co_player(node, &session).await;
    let [w_down, w_up] = [true, false].map(|pressed| key_is(KeyCode::W, pressed));
    let [a_down, a_up] = [true, false].map(|pressed| key_is(KeyCode::A, pressed));
    // To another transport and back; whether nothing else came between that has everybody let go of everything.
    let changes = async || {
        let mut player = play(node, &session).await;
        player.opened(DataChannel::Input).await;
        // Whoever comes to play begins with empty hands.
        told.lock().unwrap().clear();
        does(&told, &helping, &w_down).await;
        does(&told, &player, &a_down).await;
        let to = session.ask(Method::POST, "/webtransport").bearer(&session.token);
        let moved = by_webtransport(&to.of(node).await.json(), 0).await;
        let newest = address::begins(&moved).await;
        // The player's hand is empty once somebody else is served.
        let lets_go = was_told(&told, &a_up) || was_told(&told, &InputEvent::ReleaseAll);
        assert!(lets_go, "{told:?}");
        until("a picture of after it", async || {
            (watching.frame().await.0.frame > newest.frame).then_some(())
        })
        .await;
        let before = units(node, &session).await;
        let mut back = play(node, &session).await;
        first_unit(&mut back).await;
        until("more pictures for both", async || {
            let now = units(node, &session).await;
            now.iter().zip(&before).all(|(now, before)| now > before).then_some(())
        })
        .await;
        // The other one holds what it held.
        assert!(!was_told(&told, &w_up), "{told:?}");
        !was_told(&told, &InputEvent::ReleaseAll)
    };
    let mut tries = 1;
    while !changes().await {
        tries += 1;
        assert!(tries < 10, "everybody lets go each time");
    }
    does(&told, &helping, &w_up).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_to_connect_anew_holds_nothing_meanwhile() {
    let app = Noting::default();
    let told = app.told.clone();
    let server = serve_noting(app, &common::Bent::new()).await;
    let node = server.node();
    let session = noting(node).await;
    let _player = play(node, &session).await;
    let helping = co_player(node, &session).await;
    does(&told, &helping, &key_is(KeyCode::W, true)).await;
    told.lock().unwrap().clear();
    // Another client of the player's, for which the session is coded otherwise.
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    let _second = connect(node, to, Codec::Vp8, |offer| offer.replace("H264", "H262")).await;
    until("a key that is up", async || was_told(&told, &InputEvent::ReleaseAll).then_some(()))
        .await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_game_is_there_leaves_no_gamepad_behind() {
    let (opens, gate) = channel();
    let app = Noting { gate: Mutex::new(Some(gate)), ..Noting::default() };
    let told = app.told.clone();
    // A start may not take for ever, on a slow machine either.
    let clock = common::Bent::new();
    clock.crawl();
    let server = serve_noting(app, &clock).await;
    let node = server.node();
    let session = noting(node).await;
    let to = session.ask(Method::POST, "/webtransport").bearer(&session.token);
    let mut player = by_webtransport(&to.of(node).await.json(), 0).await;
    player.open_control().await;
    until("an encoder", async || {
        let said: Value = serde_json::from_slice(&player.said().await).unwrap();
        (said["type"] == "hello" && said["codec"] != "").then_some(())
    })
    .await;
    let (_, text) = invite(node, &session, json!({"role": "co_player"})).await;
    let helper = join(node, &text).await;
    let mut helping = helper.watch_by_webtransport(0).await;
    let plugged = InputEvent::GamepadPlugged { pad: Pad::ALL[0], plugged: Plug::Standard };
    helping.send(DataChannel::Input, &message(plugged)).await;
    // What is none comes after it, and is counted.
    helping.send(DataChannel::Input, b"?").await;
    until("the gamepad", async || (counter(node, "bad_messages_total") == 1).then_some(())).await;
    helper.ask(Method::DELETE, "").of(node).await;
    drop(opens);
    until("the game", async || (shown(node, &session).await["state"] == "live").then_some(()))
        .await;
    player.send(DataChannel::Input, &message(key_is(KeyCode::A, true))).await;
    until("a key, and no gamepad", async || {
        let told = told.lock().unwrap();
        let mut plugs = told.iter().filter_map(|event| match event {
            InputEvent::GamepadPlugged { plugged, .. } => Some(*plugged),
            _ => None,
        });
        // Where it was still to leave, it was there before.
        let none = plugs.next_back().is_none_or(|last| last == Plug::Out);
        (none && told.contains(&key_is(KeyCode::A, true))).then_some(())
    })
    .await;
    server.shut_down().await;
}
