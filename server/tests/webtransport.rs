//! Sessions with a client of WebTransport on them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

#[path = "common/address.rs"]
mod address;
#[path = "../../transport/tests/client/mod.rs"]
mod client;
mod common;
#[path = "../../transport/tests/quic_client/mod.rs"]
mod quic_client;

use std::sync::Arc;

use address::{Address, PAGE, address, begins, server};
use axum::http::Method;
use common::{Ask, Session, ask, create, until};
use media::webtransport::{Messages, StreamKind, datagram_byte};
use media::{Codec, DataChannel};
use nearlight::node::Node;
use nearlight::serve::Server;
use nearlight_transport::Answer;
use quic_client::{Client, Manners};
use rtc::peer_connection::state::RTCPeerConnectionState;
use serde_json::{Value, json};

/// A session and where it can be had.
async fn session(node: &Arc<Node>) -> (Session, Address) {
    session_of(node, create()).await
}

async fn session_of(node: &Arc<Node>, wish: Ask) -> (Session, Address) {
    let reply = wish.of(node).await;
    (reply.session(), Address::read(&reply.json()["webtransport"]))
}

async fn said(client: &mut Client, kind: &str) -> Value {
    loop {
        let message: Value = serde_json::from_slice(&client.said().await).unwrap();
        if message["type"] == kind {
            return message;
        }
    }
}

async fn shown(node: &Arc<Node>, session: &Session) -> Option<Value> {
    let reply = session.ask(Method::GET, "").bearer(&session.token).of(node).await;
    (reply.status == 200).then(|| reply.json())
}

async fn becomes(node: &Arc<Node>, session: &Session, state: &str) {
    until(state, async || {
        shown(node, session).await.filter(|shown| shown["state"] == state).map(drop)
    })
    .await;
}

fn metric(node: &Node, line: &str) -> bool {
    node.observe();
    node.metrics.encode().unwrap().lines().any(|each| each == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_played_by_webtransport_from_its_first_answer_on() {
    let server = server(&[]).await;
    let node = server.node();
    let (session, address) = session(node).await;
    assert_eq!(address.hashes.len(), 1);
    assert!(address.url.starts_with("https://127.0.0.1:"), "{}", address.url);
    let mut client = address.connect("&decodes=VP8,H264").await.expect("a connection");
    client.open_control().await;
    let mut hello = said(&mut client, "hello").await;
    // It is said again once the encoder is up.
    while hello["codec"] == "" {
        hello = said(&mut client, "hello").await;
    }
    assert_eq!((&hello["codec"], &hello["session"]), (&json!("H264"), &json!(session.id)));
    let newest = begins(&client).await;
    client.ack(&[(newest.wire_timestamp, 1_000_000)]).await;
    client.send(DataChannel::Input, &common::press(1)).await;
    // What was said before any frame had left knows of none.
    let stats = until("stages of frames", async || {
        let stats = said(&mut client, "stats").await;
        let stages = stats["stages"].as_array().unwrap();
        stages.iter().any(|stage| stage["stage"] == "seal").then_some(stats)
    })
    .await;
    assert_eq!(stats["coded"], json!([128, 96]));
    assert!(metric(node, "nearlight_connections_total{transport=\"webtransport\"} 1"));
    client.send(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(said(&mut client, "ended").await["reason"], "The player ended the session.");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_played_over_ipv6() {
    const PAGE: &str = "http://[::1]:8080";
    if !client::has_ipv6() {
        return;
    }
    let server =
        common::serve(&["server.listen=[::1]:0", &format!("server.public_url={PAGE}")]).await;
    let node = server.node();
    let (_, address) = session(node).await;
    assert!(address.url.starts_with("https://[::1]:"), "{}", address.url);
    let manners = Manners { origin: Some(PAGE.into()), ..Manners::default() };
    let mut client = Client::connect(&address.url, &address.hashes, &manners).await.unwrap();
    client.open_control().await;
    said(&mut client, "hello").await;
    let (newest, _) = client.frame().await;
    client.ack(&[(newest.wire_timestamp, 1_000_000)]).await;
    client.send(DataChannel::Input, &common::press(0)).await;
    client.send(DataChannel::Control, br#"{"type":"bye"}"#).await;
    assert_eq!(said(&mut client, "ended").await["reason"], "The player ended the session.");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_works_once_for_its_session_and_its_pages() {
    let server = server(&[]).await;
    let node = server.node();
    let (first, one) = session(node).await;
    let (_second, two) = session(node).await;
    let refused = async |url: &str, origin: &str| {
        let manners = Manners { origin: Some(origin.into()), ..Manners::default() };
        assert!(Client::connect(url, &one.hashes, &manners).await.is_err(), "{url} {origin}");
    };
    refused(&one.url, "https://evil.test").await;
    refused(&one.url.replace("/wt/", "/other/"), PAGE).await;
    refused(&format!("{}&decodes=MJPEG", one.url), PAGE).await;
    let ticket = |address: &Address| address.url.split_once("ticket=").unwrap().1.to_owned();
    refused(&one.url.replace(&ticket(&one), &ticket(&two)), PAGE).await;
    refused(&one.url.replace(&ticket(&one), &first.token), PAGE).await;
    let wrongs = "nearlight_webtransport_forbidden_total 5";
    until("five refusals", async || metric(node, wrongs).then_some(())).await;
    // None of that used it up.
    let client = one.connect("").await.expect("a connection");
    begins(&client).await;
    assert!(one.connect("").await.is_none(), "it was used");
    for newer in 0..4 {
        let fresh = address(node, &first).await;
        assert_ne!(fresh.url, one.url, "{newer}");
    }
    let newest = address(node, &first).await;
    begins(&newest.connect("").await.expect("a connection")).await;
    first.ask(Method::DELETE, "").bearer(&first.token).of(node).await;
    let late = first.ask(Method::POST, "/webtransport").bearer(&first.token).of(node).await;
    late.problem(410, "ended-session");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_what_it_decodes_or_nothing_and_the_session_stays() {
    let server = server(&[]).await;
    let node = server.node();
    let (session, first) = session(node).await;
    let client = first.connect("&decodes=VP8").await.expect("a connection");
    assert_eq!(begins(&client).await.codec, Codec::Vp8);
    let nothing = address(node, &session).await;
    assert!(nothing.connect("&decodes=").await.is_none());
    // Whoever was there plays on.
    client.frame().await;
    becomes(node, &session, "live").await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closes_without_goodbye_may_come_back_to_the_same_game() {
    let server = server(&[]).await;
    let node = server.node();
    let (session, first) = session(node).await;
    let client = first.connect("").await.expect("a connection");
    let before = begins(&client).await;
    client.leave().await;
    becomes(node, &session, "suspended").await;
    let again = address(node, &session).await.connect("").await.expect("a connection");
    assert!(begins(&again).await.frame > before.frame, "the same source draws on");
    becomes(node, &session, "live").await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stays_away_has_left_and_its_ticket_is_worth_nothing() {
    let server = server(&["sessions.away=1s"]).await;
    let node = server.node();
    let reply = create().of(node).await;
    let ticket = json!({"ticket": reply.json()["resume_ticket"]}).to_string();
    let (session, first) = (reply.session(), Address::read(&reply.json()["webtransport"]));
    let client = first.connect("").await.expect("a connection");
    begins(&client).await;
    client.leave().await;
    until("the end", async || shown(node, &session).await.is_none().then_some(())).await;
    let late = session.ask(Method::POST, "/redeem").json(ticket).of(node).await;
    assert_eq!(late.problem(410, "ended-session"), "The player left.");
    assert!(metric(node, "nearlight_sessions_ended_total{reason=\"client_left\"} 1"));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_changes_its_transport_and_back_without_a_restart() {
    let server = server(&[]).await;
    let node = server.node();
    let (session, first) = session(node).await;
    let quic = first.connect("").await.expect("a connection");
    let before = begins(&quic).await;

    let (mut webrtc, offer) = client::Client::offer(client::Wish::PAGE).await;
    let reply = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer).of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let sdp = reply.text().to_owned();
    let answer = Answer { sdp, codec: Codec::H264, video_tracks: 1, data_channels: true };
    webrtc.accept(&answer).await;
    webrtc.state(RTCPeerConnectionState::Connected).await;
    assert!(quic.closed().await.contains("closed by the server"));
    webrtc.frame().await;
    // It counts as away for a moment where it, or the node, has stood still for two seconds.
    becomes(node, &session, "live").await;

    let again = address(node, &session).await.connect("").await.expect("a connection");
    let after = begins(&again).await;
    assert!(after.frame > before.frame, "the same source draws on");
    becomes(node, &session, "live").await;
    assert_eq!(node.registry.live().len(), 1);
    assert!(metric(node, "nearlight_connections_total{transport=\"webtransport\"} 2"));
    assert!(metric(node, "nearlight_connections_total{transport=\"webrtc\"} 1"));
    server.shut_down().await;
}

/// What an offer of this race is answered.
async fn offers(node: &Arc<Node>, session: &Session, race: &str) -> common::Reply {
    let (_client, offer) = client::Client::offer(client::Wish::PAGE).await;
    let asked = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer);
    asked.header("nearlight-race", race).of(node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_connections_of_one_race_the_first_that_is_connected_stays() {
    let server = server(&[]).await;
    let node = server.node();
    let (session, first) = session(node).await;
    // One that is answered and not connected is overtaken.
    assert_eq!(offers(node, &session, "7").await.status, 201);
    let quick = first.connect("&race=7").await.expect("a connection");
    begins(&quick).await;
    for slow in ["7", "4294967295"] {
        let reply = offers(node, &session, slow).await;
        if slow == "7" {
            let why = reply.problem(409, "conflict");
            assert_eq!(why, "another connection of this client was quicker");
            // What is refused costs the session nothing.
            quick.frame().await;
            let late = address(node, &session).await.connect("&race=7").await;
            assert!(late.is_none(), "another one of the race");
            quick.frame().await;
        } else {
            assert_eq!(reply.status, 201, "another race: {}", reply.text());
            // Which it has not won before it is connected.
            quick.frame().await;
        }
    }
    offers(node, &session, "-1").await.problem(400, "bad-request");
    assert!(metric(node, "nearlight_connections_total{transport=\"webtransport\"} 1"));
    assert!(metric(node, "nearlight_connections_total{transport=\"webrtc\"} 2"));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_offer_it_says_so() {
    let server = server(&["webtransport.enabled=false"]).await;
    let node = server.node();
    let reply = create().of(node).await;
    assert!(reply.json().get("webtransport").is_none());
    let session = reply.session();
    let asked = session.ask(Method::POST, "/webtransport").bearer(&session.token).of(node).await;
    assert!(asked.problem(404, "not-found").contains("no WebTransport"));
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_names_what_the_client_reached_us_by() {
    let server =
        server(&["server.public_url=https://play.test:8443/", "webtransport.public_port=4433"])
            .await;
    let node = server.node();
    let (session, address) = session(node).await;
    let expected = format!("https://play.test:4433/wt/{}?ticket=", session.id);
    assert!(address.url.starts_with(&expected), "{}", address.url);
    let wrong = ask(Method::POST, &format!("/api/v1/sessions/{}/webtransport", session.id));
    let wrong = wrong.bearer("no token").of(node).await;
    wrong.problem(401, "unauthorized");
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_the_protocol_takes_no_other_with_it() {
    let server = server(&[]).await;
    let node = server.node();
    let (_good, one) = session(node).await;
    let witness = one.connect("").await.expect("a connection");
    begins(&witness).await;
    let (bad, two) = session(node).await;
    let mut wrong = two.connect("").await.expect("a connection");
    begins(&wrong).await;
    wrong.open_control().await;
    for nonsense in [&b"{"[..], b"null", &[0xff; 100]] {
        wrong.send(DataChannel::Control, nonsense).await;
        wrong.send(DataChannel::Input, nonsense).await;
        wrong.send(DataChannel::Acks, nonsense).await;
    }
    // Acknowledgements are datagrams, which may be lost.
    until("six refusals", async || {
        let text = node.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("nearlight_bad_messages_total "));
        line.unwrap().parse::<u32>().is_ok_and(|count| count >= 6).then_some(())
    })
    .await;
    until("a datagram of no kind to be counted", async || {
        wrong.connection.send_datagram([99]).unwrap();
        let text = node.metrics.encode().unwrap();
        let count =
            |line: &str| line.strip_prefix("nearlight_messages_dropped_total ")?.parse().ok();
        text.lines().find_map(count).filter(|dropped: &u64| *dropped > 0)
    })
    .await;
    let mut stream = wrong.connection.open_uni().await.unwrap().await.unwrap();
    stream.write_all(&[99]).await.unwrap();
    assert!(wrong.closed().await.contains("unknown kind 99"));
    becomes(node, &bad, "suspended").await;
    witness.frame().await;
    server.shut_down().await;
}

/// Sends such messages until it is cut off, and yields what it is told then.
async fn floods(client: &Client, channel: DataChannel, message: fn(u32) -> Vec<u8>) -> String {
    let connection = &client.connection;
    if let Some(first) = datagram_byte(channel) {
        for n in 0.. {
            let datagram = [&[first][..], &message(n)].concat();
            if connection.send_datagram(datagram).is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        return client.closed().await;
    }
    let (kind, mut stream, _said) = if channel == DataChannel::Control {
        let (send, receive) = connection.open_bi().await.unwrap().await.unwrap();
        (StreamKind::Control, send, Some(receive))
    } else {
        (StreamKind::Input, connection.open_uni().await.unwrap().await.unwrap(), None)
    };
    let mut out = vec![kind.first_byte()];
    for n in 0.. {
        assert!(Messages::write(kind, &message(n), &mut out));
        if stream.write_all(&out).await.is_err() {
            break;
        }
        out.clear();
    }
    client.closed().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_who_floods_loses_the_session_and_nobody_else_does() {
    let (clock, open) = common::bent();
    let config = common::config(&[&format!("server.public_url={PAGE}")]);
    let server = Server::bind_with(config, open).await.unwrap();
    let node = server.node();
    let (_good, one) = session(node).await;
    let witness = one.connect("").await.expect("a connection");
    witness.frame().await;
    // By a stream, by datagrams, by the stream of the control channel.
    let floods_of: [common::Flood; 3] = [
        (DataChannel::Input, common::press),
        (DataChannel::Motion, common::press),
        (DataChannel::Control, common::wish),
    ];
    let mut flooded = Vec::new();
    for (channel, message) in floods_of {
        let (session, address) = session(node).await;
        let client = address.connect("").await.expect("a connection");
        client.frame().await;
        flooded.push((session, async move {
            let told = floods(&client, channel, message).await;
            assert!(told.contains("the client kept sending more than"), "{told}");
        }));
    }
    let sees = async || {
        witness.frame().await;
    };
    common::assert_floods_end_alone(node, &clock, flooded, sees).await;
    server.shut_down().await;
}
