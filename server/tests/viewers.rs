//! Those who join a session that somebody else plays: real clients of both transports.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate encoder as nearlight_encoder;
extern crate transport as nearlight_transport;

#[path = "common/address.rs"]
mod address;
#[path = "watching/changes.rs"]
mod changes;
#[path = "../../transport/tests/client/mod.rs"]
mod client;
#[path = "../../encoder/tests/common/mod.rs"]
mod coding;
mod common;
#[path = "common/frames.rs"]
mod frames;
#[path = "watching/invitations.rs"]
mod invitations;
#[path = "common/noting.rs"]
mod noting;
#[path = "../../transport/tests/quic_client/mod.rs"]
mod quic_client;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use client::{Arrived, Client, Wish};
use coding::decode;
use coding::gpu::{Rig, SIZE};
use common::{Session, ask, create, create_with, node, serve, until};
use encoder::h264::{NalKind, nals};
use frames::{Ordered, first_unit, next_unit};
use media::webtransport::AudioDatagram;
use media::{Codec, DataChannel, InputEvent, InputSeq, KeyCode, SequencedInput};
use nearlight::encoders::Probing;
use nearlight::node::Node;
use nearlight::serve::Server;
use nearlight_transport::Answer;
use openh264::decoder::Decoder;
use quic_client::Manners;
use rtc::peer_connection::state::RTCPeerConnectionState;
use serde_json::{Value, json};

/// By what clients reach a server of these tests, for addresses in its answers.
const REACHED: &str = "server.public_url=http://127.0.0.1:8080";

/// Somebody who joined.
struct Viewer {
    id: String,
    token: String,
    joined: Value,
}

impl Viewer {
    fn ask(&self, method: Method, below: &str) -> common::Ask {
        ask(method, &format!("/api/v1/viewers/{}{below}", self.id)).bearer(&self.token)
    }

    async fn watch(&self, node: &Arc<Node>) -> Client {
        connect(node, self.ask(Method::POST, "/whep"), Codec::H264, |offer| offer).await
    }

    /// Watches, and listens too.
    async fn hear(&self, node: &Arc<Node>) -> Client {
        connect_as(LISTENER, node, self.ask(Method::POST, "/whep"), Codec::H264, |offer| offer)
            .await
    }

    /// Watches by WebTransport; `room` is what it lets the node send before it reads, 0 for as much as usual.
    async fn watch_by_webtransport(&self, room: u32) -> quic_client::Client {
        by_webtransport(&self.joined["webtransport"], room).await
    }
}

/// Connects to such an address by WebTransport.
async fn by_webtransport(address: &Value, room: u32) -> quic_client::Client {
    let hash = |text: &Value| {
        let bytes = BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
        bytes.try_into().unwrap()
    };
    let hashes: Vec<[u8; 32]> =
        address["certificate_hashes"].as_array().unwrap().iter().map(hash).collect();
    let manners = Manners { room, ..Manners::default() };
    let url = address["url"].as_str().unwrap();
    quic_client::Client::connect(url, &hashes, &manners).await.unwrap()
}

/// A page that asks for sound as well.
const LISTENER: Wish = Wish { audio: true, ..Wish::PAGE };

/// Offers a connection and waits until it is up.
async fn connect(
    node: &Arc<Node>,
    to: common::Ask,
    codec: Codec,
    change: impl FnOnce(String) -> String,
) -> Client {
    connect_as(Wish::PAGE, node, to, codec, change).await
}

async fn connect_as(
    wish: Wish,
    node: &Arc<Node>,
    to: common::Ask,
    codec: Codec,
    change: impl FnOnce(String) -> String,
) -> Client {
    let (mut client, offer) = Client::offer(wish).await;
    let reply = to.sdp(change(offer)).of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let sdp = reply.text().to_owned();
    client.accept(&Answer { sdp, codec, video_tracks: 1, data_channels: true }).await;
    client.state(RTCPeerConnectionState::Connected).await;
    client
}

async fn play(node: &Arc<Node>, session: &Session) -> Client {
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    connect(node, to, Codec::H264, |offer| offer).await
}

/// Makes an invitation; yields its id and what its link carries.
async fn invite(node: &Arc<Node>, session: &Session, wish: Value) -> (u64, String) {
    let to = session.ask(Method::POST, "/invitations").bearer(&session.token);
    let reply = to.json(wish.to_string()).of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let made = reply.json();
    let url = made["url"].as_str().unwrap();
    let text = url.split_once("/#join=").expect("a link").1.to_owned();
    (made["id"].as_u64().unwrap(), text)
}

async fn try_to_join(node: &Arc<Node>, invitation: &str) -> common::Reply {
    let body = json!({"invitation": invitation}).to_string();
    ask(Method::POST, "/api/v1/join").json(body).of(node).await
}

async fn join(node: &Arc<Node>, invitation: &str) -> Viewer {
    let reply = try_to_join(node, invitation).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let joined = reply.json();
    let text = |key: &str| joined[key].as_str().expect(key).to_owned();
    Viewer { id: text("id"), token: text("token"), joined: joined.clone() }
}

/// Joins as a spectator.
async fn spectator(node: &Arc<Node>, session: &Session) -> Viewer {
    let (_, text) = invite(node, session, json!({"role": "spectator"})).await;
    join(node, &text).await
}

async fn said(client: &mut Client, kind: &str) -> Value {
    let wanted = async {
        loop {
            if let Arrived::Message(DataChannel::Control, text) = client.next().await {
                let message: Value = serde_json::from_slice(&text).unwrap();
                if message["type"] == kind {
                    return message;
                }
            }
        }
    };
    let said = tokio::time::timeout(common::PATIENCE, wanted).await;
    said.unwrap_or_else(|_| panic!("no {kind} was said"))
}

async fn shown(node: &Arc<Node>, session: &Session) -> Value {
    let reply = session.ask(Method::GET, "").bearer(&session.token).of(node).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Waits until a session is live: it is suspended for a moment when its client, or the node, has stood still for long.
async fn lives(node: &Arc<Node>, session: &Session) {
    until("a session that is live", async || {
        (shown(node, session).await["state"] == "live").then_some(())
    })
    .await;
}

async fn viewers(node: &Arc<Node>, session: &Session) -> Vec<Value> {
    let reply = session.ask(Method::GET, "/viewers").bearer(&session.token).of(node).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json().as_array().unwrap().clone()
}

fn counter(node: &Node, name: &str) -> u64 {
    node.observe();
    let text = node.metrics.encode().unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("nearlight_{name} ")));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn key() -> Vec<u8> {
    let mut out = Vec::new();
    let event = InputEvent::Key { code: KeyCode::W, pressed: true };
    SequencedInput { seq: InputSeq(1), event }.encode(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn one_encode_serves_a_player_and_viewers_of_both_transports() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let mut player = play(node, &session).await;
    player.frame().await;
    let (_, text) = invite(node, &session, json!({"role": "spectator"})).await;
    let all = [join(node, &text).await, join(node, &text).await, join(node, &text).await];
    let mut first = all[0].watch(node).await;
    let mut second = all[1].watch(node).await;
    let mut third = all[2].watch_by_webtransport(0).await;
    third.open_control().await;
    // Nobody begins in the middle.
    address::begins(&third).await;
    for _ in 0..10 {
        player.frame().await;
        first.frame().await;
        second.frame().await;
        third.frame().await;
    }
    // What was said before they came is read first.
    until("the player to be told of all", async || {
        let told = said(&mut player, "stats").await["viewers"].clone();
        (told == json!({"co_players": 0, "spectators": 3})).then_some(())
    })
    .await;
    let hello = loop {
        let message: Value = serde_json::from_slice(&third.said().await).unwrap();
        if message["type"] == "hello" {
            break message;
        }
    };
    assert_eq!((&hello["role"], &hello["session"]), (&json!("spectator"), &json!(all[2].id)));
    let (frames, seen) =
        (shown(node, &session).await["frames"].clone(), viewers(node, &session).await);
    let count = |value: &Value, key: &str| value[key].as_u64().unwrap();
    // However many watch, each step is taken once a frame, or not at all.
    assert_eq!(count(&frames, "captured"), count(&frames, "converted"));
    assert!(count(&frames, "encoded") <= count(&frames, "captured"), "{frames}");
    assert_eq!(seen.len(), 3);
    for viewer in &seen {
        assert_eq!((&viewer["role"], &viewer["state"]), (&json!("spectator"), &json!("live")));
        assert!(count(viewer, "units_sent") >= 10, "{viewer}");
    }
    // Counted after the viewers' units: no unit went to two of them that was coded twice.
    let frames = next_look(node, &session).await;
    let most = seen.iter().map(|viewer| count(viewer, "units_sent")).max().unwrap();
    assert!(most <= count(&frames, "encoded"), "{seen:?} of {frames}");
    until("the gauge", async || {
        node.observe();
        let text = node.metrics.encode().unwrap();
        text.contains("nearlight_viewers{role=\"spectator\"} 3").then_some(())
    })
    .await;
    assert!(counter(node, "viewer_units_sent_total") >= 30);
    // One goes, and the others play on.
    all[1].ask(Method::DELETE, "").of(node).await;
    assert_eq!(said(&mut second, "ended").await["reason"], "You left.");
    all[1].ask(Method::GET, "").of(node).await.problem(410, "ended-session");
    player.frame().await;
    first.frame().await;
    third.frame().await;
    player.send(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(said(&mut first, "ended").await["reason"], "The player ended the session.");
    server.shut_down().await;
}

/// A server whose sessions are coded by the double of NVIDIA's driver, in four slices that leave one by one.
async fn serve_slices(rig: &Rig) -> Server {
    let candidates = vec![rig.candidate("nvenc-h264").clone()];
    let retry = Duration::from_secs(3_600);
    let probing = Probing { candidates, retry, cache: None, ..Probing::in_process() };
    let config = common::config(&[REACHED, "video.nvenc_slices=4"]);
    Server::bind_with(config, |config| common::with_probing(config, probing)).await.unwrap()
}

/// What somebody sees: every frame is whole, and can be decoded after those before it.
struct Eyes {
    decoder: Decoder,
    keyframes: usize,
}

impl Eyes {
    fn new() -> Self {
        Self { decoder: Decoder::new().unwrap(), keyframes: 0 }
    }

    fn see(&mut self, unit: &[u8]) {
        assert_eq!(nals(unit).filter(|nal| nal.kind().is_slice()).count(), 4);
        self.keyframes += usize::from(nals(unit).any(|nal| nal.kind() == NalKind::IdrSlice));
        assert_eq!(decode(&mut self.decoder, unit).size, SIZE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_that_leave_one_by_one_are_whole_frames_for_everybody() {
    let rig = Rig::new();
    let server = serve_slices(&rig).await;
    let node = server.node();
    let video = json!({"width": SIZE.width, "height": SIZE.height});
    let session = create_with(&json!({"app": "pattern", "video": video})).of(node).await.session();
    let mut eyes = [(); 3].map(|()| Eyes::new());
    let mut player = play(node, &session).await;
    let (unit, mut asked) = first_unit(&mut player).await;
    eyes[0].see(&unit);
    let (began, gaps) = (Instant::now(), player.gaps);
    let (_, text) = invite(node, &session, json!({"role": "spectator"})).await;
    let all = [join(node, &text).await, join(node, &text).await];
    let mut first = all[0].watch(node).await;
    let second = all[1].watch_by_webtransport(0).await;
    eyes[1].see(&first_unit(&mut first).await.0);
    for _ in 0..20 {
        let (unit, again) = next_unit(&mut player).await;
        eyes[0].see(&unit);
        asked += again;
        eyes[1].see(&next_unit(&mut first).await.0);
    }
    let (mut ordered, mut came, mut seen) = (Ordered::default(), 0, 0);
    while seen < 20 {
        let (header, unit) = second.frame().await;
        assert_eq!(header.bytes, 0, "its end is not known when it begins");
        for unit in ordered.take(header, unit) {
            eyes[2].see(&unit);
            seen += 1;
        }
        came += 1;
        assert!(came < 300, "{seen} of them can be decoded");
    }
    assert_eq!(eyes.each_ref().map(|eyes| eyes.keyframes >= 1), [true; 3]);
    // Its own, and those for viewers: as they come, and where frames for them were given up. One more for each two seconds in
    // which it may have been silent, and each time that packets were lost.
    let for_viewers = counter(node, "viewer_keyframes_total");
    let most = began.elapsed().as_secs() / 2 + 1;
    assert!(for_viewers <= most, "{for_viewers} keyframes for viewers, of which {most} may be");
    let (keyframes, more) = (eyes[0].keyframes as u64, most - 1 + player.gaps - gaps);
    assert!(keyframes <= 1 + asked + for_viewers + more, "{keyframes}, {for_viewers} for viewers");
    // Frames are counted, not parts.
    let seen = viewers(node, &session).await;
    let encoded = next_look(node, &session).await["encoded"].as_u64().unwrap();
    for viewer in &seen {
        let sent = viewer["units_sent"].as_u64().unwrap();
        assert!((20..=encoded).contains(&sent), "{viewer} of {encoded}");
    }
    server.shut_down().await;
    drop((player, first, second));
    rig.assert_clean();
}

/// So many packets of sound by WebRTC, of which the client's offer has the number 111.
async fn heard(client: &mut Client, count: usize) -> Vec<Bytes> {
    let mut packets = Vec::new();
    while packets.len() < count {
        if let Arrived::Packet(packet) = client.next().await
            && packet.header.payload_type == 111
        {
            packets.push(packet.payload);
        }
    }
    packets
}

async fn heard_by_webtransport(client: &quic_client::Client, count: usize) -> Vec<Bytes> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let came = tokio::time::timeout(common::PATIENCE, client.connection.receive_datagram());
        let datagram = came.await.expect("no sound came").unwrap();
        if let Ok(sound) = AudioDatagram::decode(&datagram) {
            packets.push(Bytes::copy_from_slice(sound.packet));
        }
    }
    packets
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_of_both_transports_hear_the_players_sound_which_is_coded_once() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let wish = json!({"app": "rushing", "video": {"width": 128, "height": 96}});
    let session = create_with(&wish).of(node).await.session();
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    let mut player = connect_as(LISTENER, node, to, Codec::H264, |offer| offer).await;
    heard(&mut player, 10).await;
    // This one never reads what it is sent, and holds nobody up.
    let silent = spectator(node, &session).await;
    let asleep = silent.watch_by_webtransport(2_000).await;
    let one = spectator(node, &session).await;
    let two = spectator(node, &session).await;
    let mut near = one.hear(node).await;
    let far = two.watch_by_webtransport(0).await;
    // No two packets are the same: whoever got one got what the others did. Any of them may be lost on its way to somebody,
    // and those who came first have more to read.
    let (mut by_webtransport, mut by_webrtc, mut of_player) = (Vec::new(), Vec::new(), Vec::new());
    until("ten packets that all have", async || {
        by_webtransport.extend(heard_by_webtransport(&far, 20).await);
        by_webrtc.extend(heard(&mut near, 40).await);
        of_player.extend(heard(&mut player, 40).await);
        let has_all = |packet: &&Bytes| by_webrtc.contains(packet) && of_player.contains(packet);
        (by_webtransport.iter().filter(has_all).count() >= 10).then_some(())
    })
    .await;
    let stats = said(&mut near, "stats").await;
    assert_eq!(
        (&stats["audio"]["codec"], &stats["audio"]["silent"]),
        (&json!("Opus"), &json!(false))
    );
    // One leaves, and the others go on.
    two.ask(Method::DELETE, "").of(node).await;
    heard(&mut near, 50).await;
    // A player who looks away takes it from nobody; it goes when nobody is left, and is back with the player.
    player.send(DataChannel::Control, br#"{"type":"visibility","visible":false}"#).await;
    heard(&mut near, 50).await;
    for viewer in [one, silent] {
        viewer.ask(Method::DELETE, "").of(node).await;
    }
    let made = audio_packets_at_rest(node).await;
    player.send(DataChannel::Control, br#"{"type":"visibility","visible":true}"#).await;
    until("sound again", async || (counter(node, "audio_packets_total") > made + 20).then_some(()))
        .await;
    drop(asleep);
    server.shut_down().await;
}

/// How many packets were made, once none are made any more: the driver looks at them four times a second.
async fn audio_packets_at_rest(node: &Arc<Node>) -> u64 {
    let (mut last, mut same) = (counter(node, "audio_packets_total"), 0);
    until("silence", async || {
        let now = counter(node, "audio_packets_total");
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same >= 100).then_some(now)
    })
    .await
}

/// The counters once the driver has looked at them again.
async fn next_look(node: &Arc<Node>, session: &Session) -> Value {
    let before = shown(node, session).await["frames"].clone();
    until("the next look", async || {
        let frames = shown(node, session).await["frames"].clone();
        (frames != before).then_some(frames)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectators_input_is_refused_and_a_co_players_counts() {
    let node = node(&[]);
    // Whatever reaches this one, it ends of.
    let wish = json!({"app": "panics-at-input", "video": {"width": 128, "height": 96}});
    let session = create_with(&wish).of(&node).await.session();
    let mut player = play(&node, &session).await;
    player.frame().await;
    let watcher = spectator(&node, &session).await;
    assert_eq!(watcher.joined["role"], "spectator");
    let mut watching = watcher.watch(&node).await;
    watching.frame().await;
    watching.opened(DataChannel::Input).await;
    for _ in 0..3 {
        watching.send(DataChannel::Input, &key()).await;
    }
    until("three refusals", async || {
        (viewers(&node, &session).await[0]["input_refused"] == 3).then_some(())
    })
    .await;
    assert_eq!(counter(&node, "viewer_input_refused_total"), 3);
    player.frame().await;
    let (_, text) = invite(&node, &session, json!({"role": "co_player"})).await;
    let helper = join(&node, &text).await;
    assert_eq!(helper.joined["role"], "co_player");
    let mut helping = helper.watch(&node).await;
    helping.frame().await;
    helping.opened(DataChannel::Input).await;
    // Again and again: while the player is away nobody plays, and he is for a moment when his client has stood still.
    let keys = helping.channels[&(DataChannel::Input as u16)].clone();
    tokio::spawn(async move {
        while keys.send(BytesMut::from(&key()[..])).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    // The driver is gone with its bug, and nobody is left behind.
    assert_eq!(said(&mut watching, "ended").await["reason"], "The session failed.");
    assert_eq!(said(&mut helping, "ended").await["reason"], "The session failed.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_can_do_nothing_to_the_session() {
    let node = node(&["access.open=false"]);
    let session = create().bearer(common::OPERATOR).of(&node).await.session();
    let viewer = spectator(&node, &session).await;
    assert!(!viewer.joined.to_string().contains(&session.id), "it does not learn its id");
    for (method, below) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/invitations"),
        (Method::GET, "/invitations"),
        (Method::GET, "/viewers"),
        (Method::POST, "/webtransport"),
    ] {
        let asked = session.ask(method, below).bearer(&viewer.token).json("{}").of(&node).await;
        asked.problem(401, "unauthorized");
    }
    // Nor is it served without its token, or with another's.
    let other = spectator(&node, &session).await;
    let bare = ask(Method::GET, &format!("/api/v1/viewers/{}", viewer.id));
    bare.of(&node).await.problem(401, "unauthorized");
    for wrong in [&other.token, &session.token] {
        let asked = ask(Method::GET, &format!("/api/v1/viewers/{}", viewer.id)).bearer(wrong);
        asked.of(&node).await.problem(401, "unauthorized");
    }
    ask(Method::GET, "/api/v1/viewers/nobody").of(&node).await.problem(404, "unknown-viewer");
    let me = viewer.ask(Method::GET, "").of(&node).await;
    assert_eq!((me.status.as_u16(), &me.json()["state"]), (200, &json!("starting")));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_nodes_take_so_many_viewers() {
    let node =
        node(&["sessions.viewers=2", "sessions.max_viewers=3", "sessions.max_egress=100 Mbit/s"]);
    let wish = |kbps: u32| json!({"app": "pattern", "video": {"width": 128, "height": 96, "max_kbps": kbps}});
    let one = create_with(&wish(1_000)).of(&node).await.session();
    let two = create_with(&wish(20_000)).of(&node).await.session();
    let (_, first) = invite(&node, &one, json!({"role": "spectator"})).await;
    let (_, second) = invite(&node, &two, json!({"role": "spectator"})).await;
    let refused = async |text: &str| {
        let reply = try_to_join(&node, text).await;
        assert_eq!(reply.header("retry-after"), "10");
        reply.problem(503, "refused")
    };
    let gone = join(&node, &first).await;
    join(&node, &first).await;
    assert!(refused(&first).await.contains("as many viewers as it takes: 2"));
    join(&node, &second).await;
    assert!(refused(&second).await.contains("This node has as many viewers as it takes: 3"));
    // Who leaves makes room.
    assert_eq!(gone.ask(Method::DELETE, "").of(&node).await.status, 204);
    join(&node, &second).await;
    // 1 + 20 for those who play, 1 + 20 + 20 for those who watch: 38 Mbit/s are left.
    let three = create_with(&wish(20_000)).of(&node).await.session();
    let (_, third) = invite(&node, &three, json!({"role": "spectator"})).await;
    let full = create_with(&wish(20_000)).of(&node).await;
    assert!(full.problem(503, "refused").contains("link is busy"), "{}", full.text());
    assert!(refused(&third).await.contains("as many viewers"));
    assert_eq!(counter(&node, "viewers_refused_total"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_does_not_decode_the_sessions_codec_is_told() {
    let node = node(&[]);
    let session = create().of(&node).await.session();
    let mut player = play(&node, &session).await;
    player.frame().await;
    let viewer = spectator(&node, &session).await;
    let (_, offer) = Client::offer(Wish::PAGE).await;
    let only_vp8 = offer.replace("H264", "H262");
    let refused = viewer.ask(Method::POST, "/whep").sdp(only_vp8.clone()).of(&node).await;
    let why = refused.problem(406, "unusable-offer");
    assert!(why.contains("coded in H264 with 8 bits"), "{why}");
    // It may come with another browser, and nobody was in the way.
    player.frame().await;
    let mut watching = viewer.watch(&node).await;
    watching.frame().await;
    // Another client of the player's, for which the session is coded otherwise.
    let to = session.ask(Method::POST, "/whep").bearer(&session.token);
    let _second = connect(&node, to, Codec::Vp8, |offer| offer.replace("H264", "H262")).await;
    until("the viewer's connection to be closed", async || {
        let shown = viewer.ask(Method::GET, "").of(&node).await.json();
        (shown["state"] == "suspended").then_some(())
    })
    .await;
    let to = viewer.ask(Method::POST, "/whep");
    let mut again = connect(&node, to, Codec::Vp8, |offer| offer).await;
    let packet = again.packet().await;
    assert_eq!(packet.header.payload_type, 96, "VP8 in this client's offer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectator_sees_what_goes_on_while_the_players_page_is_hidden() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let mut player = play(node, &session).await;
    player.frame().await;
    player.opened(DataChannel::Control).await;
    player.send(DataChannel::Control, br#"{"type":"visibility","visible":false}"#).await;
    // Said after it on the same channel: when this shows, the page is known to be hidden.
    let transport = br#"{"type":"transport","kind":"webrtc","reason":"a test"}"#;
    player.send(DataChannel::Control, transport).await;
    until("what was said", async || {
        shown(node, &session).await["transport"].is_object().then_some(())
    })
    .await;
    let mut watching = spectator(node, &session).await.watch_by_webtransport(0).await;
    watching.open_control().await;
    address::begins(&watching).await;
    // The player, who sees none of it, is sent none of it; what left before may be counted late.
    until("pictures that the player is not sent", async || {
        let sent = counter(node, "frames_sent_total");
        for _ in 0..10 {
            watching.frame().await;
        }
        (counter(node, "frames_sent_total") == sent).then_some(())
    })
    .await;
    lives(node, &session).await;
    player.send(DataChannel::Control, br#"{"type":"visibility","visible":true}"#).await;
    // Of what was on its way before, nothing is a keyframe.
    until("a picture that begins anew", async || {
        let (unit, _) = next_unit(&mut player).await;
        nals(&unit).any(|nal| nal.kind() == NalKind::IdrSlice).then_some(())
    })
    .await;
    watching.frame().await;
    server.shut_down().await;
}

/// As of a page that its browser has frozen: it is hidden, and reads nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_player_who_takes_nothing_holds_nobody_up() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let to = session.ask(Method::POST, "/webtransport").bearer(&session.token);
    let mut player = by_webtransport(&to.of(node).await.json(), 20_000).await;
    player.open_control().await;
    until("the player", async || (shown(node, &session).await["state"] == "live").then_some(()))
        .await;
    player.send(DataChannel::Control, br#"{"type":"visibility","visible":false}"#).await;
    let mut watching = spectator(node, &session).await.watch(node).await;
    for _ in 0..60 {
        watching.frame().await;
    }
    lives(node, &session).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_page_goes_without_a_goodbye_finds_its_place_again() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let mut player = play(node, &session).await;
    player.frame().await;
    let viewer = spectator(node, &session).await;
    let state = async || {
        let reply = viewer.ask(Method::GET, "").of(node).await;
        if reply.status == 200 {
            reply.json()["state"].clone()
        } else {
            json!(reply.status.as_u16())
        }
    };
    for _ in 0..2 {
        let mut page = viewer.watch(node).await;
        said(&mut page, "stats").await;
        page.peer.close().await.unwrap();
        until("its absence", async || (state().await == "suspended").then_some(())).await;
    }
    // A client that does not talk to the node has no other goodbye.
    let to = viewer.ask(Method::POST, "/whep");
    let mut plain = connect_as(Wish::PLAYER, node, to, Codec::H264, |offer| offer).await;
    plain.frame().await;
    plain.peer.close().await.unwrap();
    until("the end of its place", async || (state().await == 410).then_some(())).await;
    player.frame().await;
    server.shut_down().await;
}

/// A client that takes no more than a few bytes, and reads none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_never_reads_is_passed_over_and_the_player_plays_on() {
    let server = serve(&[REACHED]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let mut player = play(node, &session).await;
    player.frame().await;
    let began = Instant::now();
    let asleep = spectator(node, &session).await.watch_by_webtransport(2_000).await;
    let viewer = spectator(node, &session).await;
    let mut watching = viewer.watch(node).await;
    watching.frame().await;
    let skipped = async |node: &Arc<Node>| {
        let seen = viewers(node, &session).await;
        seen[0]["units_skipped"].as_u64().unwrap()
    };
    // It is given some units, then none, while all of the others come.
    until("units that it is not given", async || {
        player.frame().await;
        watching.frame().await;
        (skipped(node).await >= 60).then_some(())
    })
    .await;
    let asked = counter(node, "viewer_keyframes_total");
    let most = began.elapsed().as_secs() / 2 + 1;
    assert!(asked <= most, "{asked} keyframes for viewers, of which {most} may be");
    lives(node, &session).await;
    drop(asleep);
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_nobody_connects_as_gives_its_place_back() {
    let (clock, open) = common::bent();
    let node = open(common::config(&["sessions.connect=60s", "sessions.viewers=1"])).unwrap();
    let session = create().of(&node).await.session();
    let mut player = play(&node, &session).await;
    player.frame().await;
    let (_, text) = invite(&node, &session, json!({"role": "spectator"})).await;
    let late = join(&node, &text).await;
    try_to_join(&node, &text).await.problem(503, "refused");
    clock.leap(Duration::from_secs(61));
    until("the end of its wait", async || {
        let reply = late.ask(Method::GET, "").of(&node).await;
        (reply.status == 410).then(|| {
            assert_eq!(reply.problem(410, "ended-session"), "Nobody connected in time.");
        })
    })
    .await;
    join(&node, &text).await;
    player.frame().await;
}
