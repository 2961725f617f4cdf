//! What those who joined have of it when the player's page comes by another transport: nothing but its keyframe, and not even
//! that where it cannot be connected. And what a game has of those who left before it was there: nothing.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use media::{Pad, PadButtons, PadState, Plug};
use nearlight::apps::App;

use super::noting::{Noting, Told};
use super::*;

fn key_is(code: KeyCode, pressed: bool) -> InputEvent {
    InputEvent::Key { code, pressed }
}

fn message(event: InputEvent) -> Vec<u8> {
    numbered(1, event)
}

fn numbered(seq: u32, event: InputEvent) -> Vec<u8> {
    let mut out = Vec::new();
    SequencedInput { seq: InputSeq(seq), event }.encode(&mut out);
    out
}

async fn serve_noting(app: Noting, clock: &Arc<common::Bent>, overrides: &[&str]) -> Server {
    let app: Arc<dyn App> = Arc::new(app);
    let clock = clock.clone();
    let open = move |config| {
        let node = Node::with_apps(config, None, [app], Probing::in_process());
        node.map(|node| clock.lead(node))
    };
    Server::bind_with(common::config(&[&[REACHED], overrides].concat()), open).await.unwrap()
}

async fn noting(node: &Arc<Node>) -> Session {
    let wish = json!({"app": "noting", "video": {"width": 128, "height": 96, "fps": 30}});
    create_with(&wish).of(node).await.session()
}

/// A node whose game notes what it is told, that, and a session of it.
async fn serve_noted() -> (Server, Told, Session) {
    let app = Noting::default();
    let told = app.told.clone();
    let server = serve_noting(app, &common::Bent::new(), &[]).await;
    let session = noting(server.node()).await;
    (server, told, session)
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

async fn invited(node: &Arc<Node>, session: &Session) -> Viewer {
    let (_, text) = invite(node, session, json!({"role": "co_player"})).await;
    join(node, &text).await
}

/// A co-player who watches and can play.
async fn co_player(node: &Arc<Node>, session: &Session) -> Client {
    let mut client = invited(node, session).await.watch(node).await;
    client.opened(DataChannel::Input).await;
    first_unit(&mut client).await;
    client
}

/// Waits until this was told.
async fn is_told(told: &Told, event: &InputEvent) {
    until("what somebody did", async || was_told(told, event).then_some(())).await;
}

/// Units that each viewer was sent.
async fn units(node: &Arc<Node>, session: &Session) -> Vec<u64> {
    let seen = viewers(node, session).await;
    assert!(seen.iter().all(|viewer| viewer["state"] == "live"), "{seen:?}");
    seen.iter().map(|viewer| viewer["units_sent"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joined_sees_and_holds_on_while_the_player_changes_its_transport() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
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
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let _player = play(node, &session).await;
    let helping = co_player(node, &session).await;
    does(&told, &helping, &key_is(KeyCode::W, true)).await;
    told.lock().unwrap().clear();
    // Another client of the player's, for which the session is coded otherwise.
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    let _second = connect(node, to, Codec::Vp8, |offer| offer.replace("H264", "H262")).await;
    is_told(&told, &InputEvent::ReleaseAll).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_co_player_who_comes_anew_begins_with_empty_hands() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let _player = play(node, &session).await;
    let helper = invited(node, &session).await;
    let mut before = helper.watch(node).await;
    before.opened(DataChannel::Input).await;
    does(&told, &before, &key_is(KeyCode::W, true)).await;
    told.lock().unwrap().clear();
    // His page is loaded anew, and the one before is not there to say anything.
    let mut after = helper.watch(node).await;
    after.opened(DataChannel::Input).await;
    is_told(&told, &InputEvent::ReleaseAll).await;
    does(&told, &after, &key_is(KeyCode::A, true)).await;
    server.shut_down().await;
}

/// The new page counts its input from one, and that of the old one was said by higher numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_co_player_who_comes_anew_while_nobody_plays_has_his_gamepad_afterwards() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let mut player = play(node, &session).await;
    said(&mut player, "stats").await;
    let becomes = async |state: &str| {
        until(state, async || (shown(node, &session).await["state"] == state).then_some(())).await;
    };
    let helper = invited(node, &session).await;
    let mut before = helper.watch(node).await;
    before.opened(DataChannel::Input).await;
    let [pad, ..] = Pad::ALL;
    let presses = |buttons| {
        let buttons = PadButtons::new(buttons).unwrap();
        InputEvent::Gamepad { pad, state: PadState { buttons, ..PadState::default() } }
    };
    let plugged = InputEvent::GamepadPlugged { pad, plugged: Plug::Standard };
    before.send(DataChannel::Input, &numbered(100, plugged)).await;
    let south = presses(PadButtons::SOUTH);
    until("a button of the old page", async || {
        before.send(DataChannel::Input, &numbered(101, south.clone())).await;
        was_told(&told, &south).then_some(())
    })
    .await;
    becomes("live").await;
    player.peer.close().await.unwrap();
    becomes("suspended").await;
    let mut after = helper.watch(node).await;
    after.opened(DataChannel::Input).await;
    let _again = play(node, &session).await;
    becomes("live").await;
    does(&told, &after, &presses(PadButtons::EAST)).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_co_player_whose_path_falls_silent_holds_nothing() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let _player = play(node, &session).await;
    let helper = invited(node, &session).await;
    // His client's tasks live in a runtime of their own, which dies without a goodbye.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (there, held) = (node.clone(), told.clone());
    let begins = tokio::task::spawn_blocking(move || {
        let client = runtime.block_on(async {
            let mut client = helper.watch(&there).await;
            client.opened(DataChannel::Input).await;
            does(&held, &client, &key_is(KeyCode::W, true)).await;
            client
        });
        (runtime, client)
    });
    let (runtime, client) = begins.await.unwrap();
    told.lock().unwrap().clear();
    runtime.shutdown_background();
    is_told(&told, &InputEvent::ReleaseAll).await;
    assert_eq!(viewers(node, &session).await[0]["state"], "live", "he may come back by it");
    drop(client);
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_player_held_whose_page_is_hidden_is_let_go_of_while_others_watch() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let mut player = play(node, &session).await;
    player.opened(DataChannel::Input).await;
    let mut watching = spectator(node, &session).await.watch(node).await;
    first_unit(&mut watching).await;
    let [pad, ..] = Pad::ALL;
    let pressed = |buttons| {
        let buttons = PadButtons::new(buttons).unwrap();
        InputEvent::Gamepad { pad, state: PadState { buttons, ..PadState::default() } }
    };
    let plugged = InputEvent::GamepadPlugged { pad, plugged: Plug::Standard };
    player.send(DataChannel::Input, &numbered(5, plugged)).await;
    until("a button", async || {
        player.send(DataChannel::Input, &numbered(7, pressed(PadButtons::SOUTH))).await;
        was_told(&told, &pressed(PadButtons::SOUTH)).then_some(())
    })
    .await;
    let w_down = key_is(KeyCode::W, true);
    player.send(DataChannel::Input, &numbered(8, w_down.clone())).await;
    is_told(&told, &w_down).await;
    told.lock().unwrap().clear();
    let hidden = json!({"type": "visibility", "visible": false}).to_string();
    player.send(DataChannel::Control, hidden.as_bytes()).await;
    is_told(&told, &InputEvent::ReleaseAll).await;
    assert_eq!(shown(node, &session).await["state"], "live");
    // What was on its way before comes too late, and what comes back by the same page counts.
    player.send(DataChannel::Input, &numbered(6, pressed(PadButtons::WEST))).await;
    player.send(DataChannel::Input, &numbered(9, pressed(PadButtons::EAST))).await;
    is_told(&told, &pressed(PadButtons::EAST)).await;
    assert!(!was_told(&told, &pressed(PadButtons::WEST)), "{told:?}");
    server.shut_down().await;
}

/// Whether player and viewer are there.
async fn both_live(node: &Arc<Node>, session: &Session) -> Option<()> {
    let sees = viewers(node, session).await[0]["state"] == "live";
    (sees && shown(node, session).await["state"] == "live").then_some(())
}

/// A player by WebTransport, who has a picture.
async fn by_quic(node: &Arc<Node>, session: &Session) -> quic_client::Client {
    let to = session.ask(Method::POST, "/webtransport").bearer(&session.token);
    let player = by_webtransport(&to.of(node).await.json(), 0).await;
    address::begins(&player).await;
    player
}

/// Sees so many pictures, and yields how many beside them were given up, for which a busy machine was too late.
async fn sees(client: &quic_client::Client, pictures: u64) -> u64 {
    let (mut seen, mut given_up) = (0, 0);
    while seen < pictures {
        match client.came().await {
            quic_client::Came::Whole(..) => seen += 1,
            quic_client::Came::GivenUp => given_up += 1,
        }
    }
    given_up
}

/// Makes an offer by whose answer nobody comes; yields the address of the connection.
async fn offers_in_vain(node: &Arc<Node>, to: common::Ask) -> String {
    let (_, offer) = Client::offer(Wish::PAGE).await;
    let reply = to.sdp(offer).of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.header("location").to_owned()
}

/// Connects by what its offer was answered.
async fn comes(client: &mut Client, reply: &common::Reply) {
    assert_eq!(reply.status, 201, "{}", reply.text());
    let sdp = reply.text().to_owned();
    client.accept(&Answer { sdp, codec: Codec::H264, video_tracks: 1, data_channels: true }).await;
    client.state(RTCPeerConnectionState::Connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_come_about_costs_nobody_a_picture() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let mut player = by_quic(node, &session).await;
    let watcher = spectator(node, &session).await;
    let watching = watcher.watch_by_webtransport(0).await;
    address::begins(&watching).await;

    let whep = || session.ask(Method::POST, "/whep").bearer(&session.token);
    let first = offers_in_vain(node, whep()).await;
    let second = offers_in_vain(node, whep()).await;
    offers_in_vain(node, watcher.ask(Method::POST, "/whep")).await;
    // The newer offer has taken the older one's place.
    let trickle = async |address: &str| {
        let below = address.split_once(&session.id).expect("the session in its address").1;
        let to = session.ask(Method::PATCH, below).bearer(&session.token);
        let kind = "application/trickle-ice-sdpfrag";
        to.header("content-type", kind).body("a=candidate:nonsense\r\n").of(node).await
    };
    trickle(&first).await.problem(412, "precondition");
    assert_ne!(trickle(&second).await.status, 412, "{second}");

    sees(&player, 30).await;
    sees(&watching, 30).await;
    player.send(DataChannel::Input, &message(key_is(KeyCode::A, true))).await;
    is_told(&told, &key_is(KeyCode::A, true)).await;
    lives(node, &session).await;
    assert_eq!(viewers(node, &session).await[0]["state"], "live");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_connected_is_given_up_and_the_session_lives_on() {
    // By it a session may wait long for its first connection; how long one is waited for that was answered it does not say.
    let clock = common::Bent::new();
    clock.crawl();
    let server = serve_noting(Noting::default(), &clock, &["sessions.connect=2s"]).await;
    let node = server.node();
    let session = noting(node).await;
    let to = session.ask(Method::POST, "/webtransport").bearer(&session.token);
    let player = by_webtransport(&to.of(node).await.json(), 0).await;
    let watcher = spectator(node, &session).await;
    let _watching = watcher.watch_by_webtransport(0).await;
    until("both to be there", async || both_live(node, &session).await).await;
    offers_in_vain(node, session.ask(Method::POST, "/whep").bearer(&session.token)).await;
    offers_in_vain(node, watcher.ask(Method::POST, "/whep")).await;
    let given_up = "nearlight_connections_closed_total{transport=\"webrtc\",by=\"silence\"} 2";
    until("both to be given up", async || {
        let all = node.metrics.encode().unwrap();
        all.lines().any(|line| line == given_up).then_some(())
    })
    .await;
    // Some may have come before.
    sees(&player, 3).await;
    until("both to be there still", async || both_live(node, &session).await).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_to_webrtc_plays_on_until_it_is_connected() {
    let (server, told, session) = serve_noted().await;
    let node = server.node();
    let mut player = by_quic(node, &session).await;
    let watching = spectator(node, &session).await.watch_by_webtransport(0).await;
    address::begins(&watching).await;
    let keyframes = async || {
        next_look(node, &session).await;
        (counter(node, "keyframes_total"), counter(node, "viewer_keyframes_total"))
    };
    let (began, before) = (Instant::now(), keyframes().await);

    let (mut next, offer) = Client::offer(Wish::PAGE).await;
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    let reply = to.sdp(offer).of(node).await;
    let mut given_up = sees(&player, 10).await + sees(&watching, 10).await;
    player.send(DataChannel::Input, &message(key_is(KeyCode::A, true))).await;
    is_told(&told, &key_is(KeyCode::A, true)).await;

    told.lock().unwrap().clear();
    comes(&mut next, &reply).await;
    assert!(player.closed().await.contains("closed by the server"));
    let (_, asked) = first_unit(&mut next).await;
    // Whoever takes over begins with empty hands, and nobody else holds anything.
    is_told(&told, &InputEvent::ReleaseAll).await;
    next.opened(DataChannel::Input).await;
    next.send(DataChannel::Input, &message(key_is(KeyCode::D, true))).await;
    is_told(&told, &key_is(KeyCode::D, true)).await;
    // What came before the change is read first.
    given_up += sees(&watching, 60).await;

    // One for the change, those that somebody asked for, and one for each time that a busy machine may have been too late.
    let after = keyframes().await;
    let (all, for_viewers) = (after.0 - before.0, after.1 - before.1);
    let late = given_up + next.gaps + began.elapsed().as_secs() / 2;
    let may_be = 1..=1 + asked + for_viewers + late;
    assert!(may_be.contains(&all), "{all}; {asked} asked for, {for_viewers} for viewers, {late}");
    lives(node, &session).await;
    server.shut_down().await;
}

/// The same of one who watches.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_changes_to_webrtc_sees_on_until_it_is_connected() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let mut player = play(node, &session).await;
    first_unit(&mut player).await;
    let watcher = spectator(node, &session).await;
    let watching = watcher.watch_by_webtransport(0).await;
    address::begins(&watching).await;
    let (mut next, offer) = Client::offer(Wish::PAGE).await;
    let reply = watcher.ask(Method::POST, "/whep").sdp(offer).of(node).await;
    sees(&watching, 10).await;
    comes(&mut next, &reply).await;
    assert!(watching.closed().await.contains("closed by the server"));
    first_unit(&mut next).await;
    player.frame().await;
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
    let server = serve_noting(app, &clock, &[]).await;
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
    let helper = invited(node, &session).await;
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
