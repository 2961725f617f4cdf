//! Sessions with a client of WebSocket on them, over a real connection of HTTP.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;
#[path = "connections/crowd.rs"]
mod crowd;
#[path = "connections/http2.rs"]
mod http2;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode};
use common::{Ask, PATIENCE, Session, ask, create, create_with, serve, until};
use encoder::opus::{Aim, LONGEST, OpusEncoder};
use futures::{SinkExt as _, StreamExt as _};
use media::websocket::{Piece, first_byte};
use media::webtransport::{AudioDatagram, FrameHeader};
use media::{Acks, Bitrate, Codec, DataChannel, FrameAck, FrameState, UnitKind};
use nearlight::node::Node;
use nearlight::serve::Server;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// More keyframes than any machine costs a client that begins.
const MOST_KEYS: u32 = 10;

struct Client<S = TcpStream> {
    socket: WebSocketStream<S>,
    /// The frame that is coming.
    open: Option<(FrameHeader, usize)>,
}

/// What a client saw.
enum Came {
    Said(Value),
    Frame(FrameHeader, usize),
    Closed(Option<CloseFrame>),
}

impl Client {
    /// Asks for what follows the address of the node, as a page of this origin does.
    async fn connect(
        server: &Server,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Self, StatusCode> {
        let stream = TcpStream::connect(server.address).await.unwrap();
        Self::shake(stream, server, path, origin).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Asks over a stream that is there.
    async fn shake(
        stream: S,
        server: &Server,
        path: &str,
        origin: Option<&str>,
    ) -> Result<Self, StatusCode> {
        let mut request = Request::builder()
            .uri(format!("ws://{}{path}", server.address))
            .header("host", server.address.to_string())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let shaken = client_async(request.body(()).unwrap(), stream);
        match tokio::time::timeout(PATIENCE, shaken).await.expect("no answer") {
            Ok((socket, _)) => Ok(Self { socket, open: None }),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(other) => panic!("{other}"),
        }
    }

    async fn say(&mut self, channel: DataChannel, body: &[u8]) {
        let message = [&[first_byte(channel)][..], body].concat();
        self.socket.send(Message::Binary(message.into())).await.unwrap();
    }

    async fn came(&mut self) -> Came {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match next.expect("nothing came") {
                Some(Ok(Message::Binary(bytes))) => match bytes.first() {
                    Some(0) => return Came::Said(serde_json::from_slice(&bytes[1..]).unwrap()),
                    _ => {
                        let Some((piece, data)) = Piece::decode(&bytes) else { continue };
                        if let Some(header) = piece.header {
                            self.open = Some((header, 0));
                        }
                        let (_, read) = self.open.as_mut().expect("begun before");
                        *read += data.len();
                        if let Some((header, read)) = self.open.take_if(|_| piece.last) {
                            return Came::Frame(header, read);
                        }
                    }
                },
                Some(Ok(Message::Close(why))) => return Came::Closed(why),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Came::Closed(None),
            }
        }
    }

    async fn said(&mut self, kind: &str) -> Value {
        loop {
            match self.came().await {
                Came::Said(message) if message["type"] == kind => return message,
                Came::Closed(why) => panic!("closed: {why:?}"),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> FrameHeader {
        loop {
            match self.came().await {
                Came::Frame(header, bytes) => {
                    assert_eq!(bytes, header.bytes as usize);
                    return header;
                }
                Came::Closed(why) => panic!("closed: {why:?}"),
                Came::Said(_) => {}
            }
        }
    }

    /// The first frames of a client: a keyframe and two that follow it. One whose part of the node stood still meanwhile may
    /// have to begin again.
    async fn begins(&mut self) -> FrameHeader {
        let mut before = self.frame().await;
        assert_eq!((before.kind, before.refers_to), (UnitKind::Key, None));
        let (mut follow, mut keys) = (0, 1);
        while follow < 2 {
            let next = self.frame().await;
            match next.kind {
                UnitKind::Key => (follow, keys) = (0, keys + 1),
                kind => {
                    assert_eq!((kind, next.refers_to), (UnitKind::Delta, Some(before.frame)));
                    follow += 1;
                }
            }
            assert!(keys < MOST_KEYS, "nothing follows a keyframe");
            before = next;
        }
        before
    }

    /// The code and the reason that it was closed with.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Came::Closed(why) = self.came().await {
                let why = why.expect("closed without a word");
                return (why.code.into(), why.reason.to_string());
            }
        }
    }
}

fn page(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// What stands in an address after the node.
fn path_of(url: &str, scheme: &str) -> String {
    let (named, rest) = url.split_once("://").unwrap();
    assert_eq!(named, scheme);
    rest[rest.find('/').unwrap()..].to_owned()
}

/// A fresh address of a session.
async fn address(node: &Arc<Node>, session: &Session) -> String {
    address_by(node, session, "ws").await
}

async fn address_by(node: &Arc<Node>, session: &Session, scheme: &str) -> String {
    let reply = session.ask(Method::POST, "/socket").bearer(&session.token).of(node).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    path_of(reply.json()["url"].as_str().unwrap(), scheme)
}

async fn session(node: &Arc<Node>, wish: Ask) -> (Session, String) {
    let session = wish.of(node).await.session();
    let address = address(node, &session).await;
    (session, address)
}

/// What a counter of the node stands at.
fn count(node: &Node, name: &str) -> u64 {
    node.observe();
    let all = node.metrics.encode().unwrap();
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect(name).parse().unwrap()
}

fn metric(node: &Node, line: &str) -> bool {
    node.observe();
    node.metrics.encode().unwrap().lines().any(|each| each == line)
}

fn ack(wire_timestamp: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let frame = FrameAck { wire_timestamp, state: FrameState::Decoded, first_us: 1, last_us: 2 };
    Acks { decode_queue: Some(0), frames: vec![frame] }.encode(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_played_by_websocket() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let path = format!("{path}&decodes=VP8,H264");
    let mut client = Client::connect(&server, &path, Some(&page(server.address))).await.unwrap();
    let mut hello = client.said("hello").await;
    // It is said again once the encoder is up.
    while hello["codec"] == "" {
        hello = client.said("hello").await;
    }
    assert_eq!((&hello["codec"], &hello["session"]), (&json!("H264"), &json!(session.id)));
    let newest = client.begins().await;
    assert_eq!(newest.codec, Codec::H264);
    client.say(DataChannel::Acks, &ack(newest.wire_timestamp)).await;
    client.say(DataChannel::Input, &common::press(1)).await;
    let transport = json!({"type": "transport", "kind": "websocket", "reason": "UDP is blocked"});
    client.say(DataChannel::Control, transport.to_string().as_bytes()).await;
    let stats = client.said("stats").await;
    assert_eq!(stats["coded"], json!([128, 96]));
    until("the API says so", async || {
        let shown = session.ask(Method::GET, "").bearer(&session.token).of(node).await.json();
        let told = json!({"kind": "websocket", "reason": "UDP is blocked"});
        (shown["transport"] == told).then_some(())
    })
    .await;
    assert!(metric(node, "nearlight_connections_total{transport=\"websocket\"} 1"));
    client.say(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(client.said("ended").await["reason"], "The player ended the session.");
    assert_eq!(client.closed().await, (1_001, "closed by the server".to_owned()));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_works_once_for_its_session_and_its_pages() {
    let server = serve(&[]).await;
    let node = server.node();
    let page = page(server.address);
    let (first, one) = session(node, create()).await;
    let (_second, two) = session(node, create()).await;
    let refused = async |path: &str, origin: &str, status: u16| {
        let refused = Client::connect(&server, path, Some(origin)).await.err();
        assert_eq!(refused.map(|it| it.as_u16()), Some(status), "{origin}");
    };
    let ticket = |path: &str| path.split_once("ticket=").unwrap().1.to_owned();
    refused(&one, "https://evil.test", 403).await;
    refused(&one.replace(&ticket(&one), &ticket(&two)), &page, 401).await;
    refused(&one.replace(&ticket(&one), &first.token), &page, 401).await;
    refused(&one.replace(&ticket(&one), "0123"), &page, 401).await;
    refused(&format!("{one}&decodes=MJPEG"), &page, 400).await;
    refused(one.split_once('?').unwrap().0, &page, 400).await;
    refused(&one.replace(&first.id, "nothing"), &page, 404).await;
    let plain = ask(Method::GET, &one).of(node).await;
    plain.problem(426, "upgrade");
    assert!(metric(node, "nearlight_websocket_forbidden_total 8"));
    // None of that used it up.
    Client::connect(&server, &one, Some(&page)).await.unwrap().begins().await;
    refused(&one, &page, 401).await;
    for newer in 0..4 {
        assert_ne!(address(node, &first).await, one, "{newer}");
    }
    // A client that is no browser names no page.
    let newest = address(node, &first).await;
    Client::connect(&server, &newest, None).await.unwrap().begins().await;
    let late = address(node, &first).await;
    first.ask(Method::DELETE, "").bearer(&first.token).of(node).await;
    refused(&late, &page, 410).await;
    let over = first.ask(Method::POST, "/socket").bearer(&first.token).of(node).await;
    over.problem(410, "ended-session");
    let foreign = ask(Method::POST, "/api/v1/sessions/nothing/socket").of(node).await;
    foreign.problem(404, "unknown-session");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_expire_and_that_of_a_page_that_loads_again_lasts_as_long_as_its_session() {
    let (clock, open) = common::bent();
    let config = common::config(&["sessions.connect=60s", "sessions.reconnect=10m"]);
    let server = Server::bind_with(config, open).await.unwrap();
    let node = server.node();
    let reply = create().of(node).await;
    let session = reply.session();
    let resume = reply.json()["resume_ticket"].as_str().unwrap().to_owned();
    let redeem = async |ticket: &str| {
        let body = json!({ "ticket": ticket }).to_string();
        session.ask(Method::POST, "/redeem").json(body).of(node).await
    };
    let path = address(node, &session).await;
    Client::connect(&server, &path, None).await.unwrap().begins().await;
    let late = address(node, &session).await;
    clock.leap(Duration::from_secs(61));
    let expired = redeem(&session.ticket).await.problem(401, "unauthorized");
    assert!(expired.contains("has expired"), "{expired}");
    assert!(metric(node, "nearlight_tickets_refused_total{reason=\"expired\"} 1"));
    assert_eq!(Client::connect(&server, &late, None).await.err(), Some(StatusCode::UNAUTHORIZED));
    assert_eq!(redeem(&resume).await.status, 200);
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_served_is_told_why_and_whoever_was_there_plays_on() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    player.begins().await;
    let path = format!("{}&decodes=", address(node, &session).await);
    let mut other = Client::connect(&server, &path, None).await.unwrap();
    let (code, reason) = other.closed().await;
    assert_eq!(code, 4_000);
    assert!(!reason.is_empty());
    player.frame().await;
    // One that is served takes the place of the one before.
    let path = address(node, &session).await;
    let mut next = Client::connect(&server, &path, None).await.unwrap();
    next.begins().await;
    assert_eq!(player.closed().await.0, 1_001);
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_the_protocol_is_cut_off_counted_and_may_come_back() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let (_, bystander) = self::session(node, create()).await;
    let mut bystander = Client::connect(&server, &bystander, None).await.unwrap();
    let mut client = Client::connect(&server, &path, None).await.unwrap();
    client.begins().await;
    client.socket.send(Message::Text("hello".into())).await.unwrap();
    assert_eq!(client.closed().await, (1_008, "the client sent text".to_owned()));
    let mut client = Client::connect(&server, &address(node, &session).await, None).await.unwrap();
    client.begins().await;
    client.socket.send(Message::Binary(vec![0; 100_000].into())).await.unwrap();
    // Part of it is not read, and what is not read resets a connection: the reason may not get through.
    while !matches!(client.came().await, Came::Closed(_)) {}
    let counted = "nearlight_connections_closed_total{transport=\"websocket\",by=\"failure\"} 2";
    until("both are counted", async || metric(node, counted).then_some(())).await;
    let mut client = Client::connect(&server, &address(node, &session).await, None).await.unwrap();
    client.begins().await;
    // What cannot be understood is counted, and ends nothing.
    client.say(DataChannel::Acks, b"nonsense").await;
    client.say(DataChannel::Input, b"nonsense").await;
    client.say(DataChannel::Control, b"nonsense").await;
    let bad = "nearlight_bad_messages_total 3";
    until("they are counted", async || metric(node, bad).then_some(())).await;
    client.frame().await;
    bystander.begins().await;
    server.shut_down().await;
}

/// Sends such messages until it is cut off.
async fn floods(client: Client, channel: DataChannel, message: fn(u32) -> Vec<u8>) {
    let (mut says, mut reads) = client.socket.split();
    let reading = tokio::spawn(async move { while let Some(Ok(_)) = reads.next().await {} });
    for n in 0.. {
        let message = [&[first_byte(channel)][..], &message(n)].concat();
        if says.feed(Message::Binary(message.into())).await.is_err() {
            break;
        }
    }
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_who_floods_loses_the_session_and_nobody_else_does() {
    let (clock, open) = common::bent();
    let server = Server::bind_with(common::config(&[]), open).await.unwrap();
    let node = server.node();
    let (_, witness) = session(node, create()).await;
    let mut witness = Client::connect(&server, &witness, None).await.unwrap();
    witness.begins().await;
    let floods_of: [common::Flood; 2] =
        [(DataChannel::Input, common::press), (DataChannel::Control, common::wish)];
    let mut flooded = Vec::new();
    for (channel, message) in floods_of {
        let (session, path) = self::session(node, create()).await;
        let mut client = Client::connect(&server, &path, None).await.unwrap();
        client.begins().await;
        flooded.push((session, floods(client, channel, message)));
    }
    let sees = async || {
        witness.frame().await;
    };
    common::assert_floods_end_alone(node, &clock, flooded, sees).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_session_eight_websockets_are_open_and_it_is_the_newest_that_is_refused() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    player.begins().await;
    let next = address(node, &session).await;
    let entry = node.registry.find(&session.id).unwrap();
    let places: Vec<_> = std::iter::from_fn(|| entry.handle.socket()).collect();
    assert_eq!(places.len(), 7, "beside the player's");
    let refused = Client::connect(&server, &next, None).await.err();
    assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(metric(node, "nearlight_websocket_forbidden_total 1"));
    player.frame().await;
    drop(places);
    // That has not used the address up.
    Client::connect(&server, &next, None).await.unwrap().begins().await;
    server.shut_down().await;
}

/// It goes on talking, so that it is not silent; what the kernel and the writer take of frames is all that it costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_is_sent_no_more_than_waits_and_is_cut_off_alone() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let little = TcpSocket::new_v4().unwrap();
    little.set_recv_buffer_size(4_096).unwrap();
    let stream = little.connect(server.address).await.unwrap();
    let client = Client::shake(stream, &server, &path, None).await.unwrap();
    let (mut says, reads) = client.socket.split();
    let talks = tokio::spawn(async move {
        let message = [&[first_byte(DataChannel::Acks)][..], &ack(1)].concat();
        while says.send(Message::Binary(message.clone().into())).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let [encoded, dropped] = ["nearlight_frames_encoded_total", "nearlight_frames_dropped_total"];
    let so_far = || (count(node, encoded), count(node, dropped));
    // While it takes nothing the source goes on, and none of it is coded.
    let mut before = so_far();
    let (coded, _) = until("frames are left out before the encoder", async || {
        let now = so_far();
        if now.0 != before.0 {
            before = now;
        }
        (now.1 >= before.1 + 30).then_some(now)
    })
    .await;
    assert!(coded > 0);
    let cut = "nearlight_connections_closed_total{transport=\"websocket\",by=\"failure\"} 1";
    // Others play on while it is there and when it goes, and it may come back.
    let (_, other) = self::session(node, create()).await;
    let mut other = Client::connect(&server, &other, None).await.unwrap();
    other.begins().await;
    while !metric(node, cut) {
        other.frame().await;
    }
    other.frame().await;
    talks.await.unwrap();
    drop(reads);
    let again = address(node, &session).await;
    Client::connect(&server, &again, None).await.unwrap().begins().await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_played_over_tls() {
    let state = tempfile::tempdir().unwrap();
    let folder = format!("server.state_dir={}", state.path().display());
    let server = serve(&["server.tls=self-signed", &folder]).await;
    let node = server.node();
    let session = create().of(node).await.session();
    let path = address_by(node, &session, "wss").await;
    let mut trusted = rustls::RootCertStore::empty();
    let own = CertificateDer::from_pem_file(state.path().join("self-signed.crt")).unwrap();
    trusted.add(own).unwrap();
    let config =
        rustls::ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::from(server.address.ip());
    let secured = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let page = format!("https://{}", server.address);
    let mut client = Client::shake(secured, &server, &path, Some(&page)).await.unwrap();
    client.said("hello").await;
    let newest = client.begins().await;
    client.say(DataChannel::Acks, &ack(newest.wire_timestamp)).await;
    client.say(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(client.said("ended").await["reason"], "The player ended the session.");
    assert_eq!(client.closed().await, (1_001, "closed by the server".to_owned()));
    server.shut_down().await;
}

/// The address of somebody who joins as a spectator.
async fn invited(node: &Arc<Node>, session: &Session) -> String {
    let wish = json!({"role": "spectator"}).to_string();
    let invited =
        session.ask(Method::POST, "/invitations").bearer(&session.token).json(wish).of(node).await;
    let url = invited.json()["url"].as_str().unwrap().to_owned();
    let invitation = url.split_once("join=").unwrap().1;
    let wish = json!({"invitation": invitation}).to_string();
    let joined = ask(Method::POST, "/api/v1/join").json(wish).of(node).await.json();
    let (token, socket) = (&joined["token"], joined["socket_url"].as_str().unwrap());
    let socket = socket.strip_prefix("http://node.test").unwrap();
    let own = ask(Method::POST, socket).bearer(token.as_str().unwrap()).of(node).await;
    path_of(own.json()["url"].as_str().unwrap(), "ws")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_watches_by_websocket_too() {
    let server = serve(&[]).await;
    let node = server.node();
    let (session, path) = session(node, create()).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    player.begins().await;
    let path = invited(node, &session).await;
    let mut viewer = Client::connect(&server, &path, None).await.unwrap();
    assert_eq!(viewer.said("hello").await["role"], "spectator");
    viewer.begins().await;
    assert_eq!(Client::connect(&server, &path, None).await.err(), Some(StatusCode::UNAUTHORIZED));
    server.shut_down().await;
}

/// Asks for a session of this app.
fn playing(app: &str) -> Ask {
    create_with(&json!({"app": app, "video": {"width": 128, "height": 96, "fps": 30}}))
}

/// A datagram of 20 ms of noise.
fn spoken(sequence: u16) -> Vec<u8> {
    let mut coder = OpusEncoder::open(Bitrate::from_kbps(32), Aim::Corrected).unwrap();
    let mut packet = [0; LONGEST];
    let noise: Vec<f32> = (0..1_920_u32).map(|n| (n * 7_919 % 997) as f32 / 997.0 - 0.5).collect();
    let length = coder.encode(&noise, &mut packet).unwrap();
    let earlier = Default::default();
    let packet = &packet[..length];
    let mut out = Vec::new();
    AudioDatagram {
        sequence,
        timestamp: 0,
        length: 8,
        layout: media::Layout::Stereo,
        packet,
        earlier,
    }
    .encode(&mut out);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_players_voice_is_heard_and_nobody_elses() {
    let (clock, open) = common::bent();
    let server = Server::bind_with(common::config(&[]), open).await.unwrap();
    let node = server.node();
    let (session, path) = session(node, playing("rushing")).await;
    let mut player = Client::connect(&server, &path, None).await.unwrap();
    assert_eq!(player.said("hello").await["microphone"], "allowed");
    player.begins().await;
    // Who says nothing for two seconds is not heard any more, and a slow machine may take as long to look.
    clock.crawl();
    let say = |bytes: Vec<u8>| Message::Binary(bytes.into());
    for sequence in 0..10 {
        player.socket.send(say(spoken(sequence))).await.unwrap();
    }
    let told = loop {
        let told = player.said("stats").await["microphone"].clone();
        if told["packets"] == 10 {
            break told;
        }
    };
    assert_eq!(
        (&told["on"], &told["recorded"], &told["lost"]),
        (&json!(true), &json!(true), &json!(0))
    );
    assert_eq!(told["buffer_ms"], 200, "all of it was put in");
    assert_eq!(count(node, "nearlight_voice_refused_total"), 0);
    let joined = invited(node, &session).await;
    let mut viewer = Client::connect(&server, &joined, None).await.unwrap();
    assert_eq!(viewer.said("hello").await["microphone"], "not_by_role");
    viewer.socket.send(say(spoken(100))).await.unwrap();
    until("it is counted", async || {
        (count(node, "nearlight_voice_refused_total") == 1).then_some(())
    })
    .await;
    assert_eq!(count(node, "nearlight_voice_packets_total"), 10);
    // What is no voice ends the connection of whoever sent it.
    player.socket.send(say(vec![0x11, 0x10, 0])).await.unwrap();
    let why = "the client sent a voice that is none: a datagram of sound is too short".to_owned();
    assert_eq!(player.closed().await, (1_008, why));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_is_not_heard_where_game_or_node_do_not_allow_it() {
    for (overrides, app, told) in [
        (&[][..], "pattern", "not_by_game"),
        (&["audio.microphone=false"][..], "rushing", "not_by_node"),
    ] {
        let server = serve(overrides).await;
        let node = server.node();
        let (_, path) = session(node, playing(app)).await;
        let mut player = Client::connect(&server, &path, None).await.unwrap();
        assert_eq!(player.said("hello").await["microphone"], told);
        player.begins().await;
        player.socket.send(Message::Binary(spoken(0).into())).await.unwrap();
        until("it is counted", async || {
            (count(node, "nearlight_voice_refused_total") == 1).then_some(())
        })
        .await;
        assert_eq!(player.said("stats").await["microphone"], json!(null));
        assert_eq!(count(node, "nearlight_voice_packets_total"), 0);
        server.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_offer_none() {
    let server = serve(&["websocket.enabled=false"]).await;
    let node = server.node();
    let reply = create().of(node).await;
    let session = reply.session();
    assert_eq!(reply.json()["socket_url"], Value::Null);
    let asked = session.ask(Method::POST, "/socket").bearer(&session.token).of(node).await;
    asked.problem(404, "not-found");
    let path = format!("/api/v1/sessions/{}/socket?ticket=a", session.id);
    assert_eq!(Client::connect(&server, &path, None).await.err(), Some(StatusCode::NOT_FOUND));
    server.shut_down().await;
}
