//! A session that its player comes back to again and again, by a new connection of either transport, by a page that
//! is loaded again, by another one while the one before is still there. Alone in its process: it counts threads and
//! descriptors. It prints how long they took, and how many longer than [`GOAL`] (`--nocapture`): that depends on the machine.
//! In a browser, network and all, `make bench ARGS="--only resume"` measures it.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do, and what it took is printed"
)]

extern crate transport as nearlight_transport;

#[path = "common/address.rs"]
mod address;
#[path = "../../transport/tests/client/mod.rs"]
mod client;
mod common;
#[path = "common/frames.rs"]
mod frames;
#[path = "../../transport/tests/quic_client/mod.rs"]
mod quic_client;

use std::sync::Arc;
use std::time::{Duration, Instant};

use address::{address, server};
use axum::http::Method;
use client::Wish;
use common::{Reply, Session, create, until};
use frames::first_unit;
use media::{Codec, DataChannel, FrameId, UnitKind};
use nearlight::node::Node;
use nearlight_transport::Answer;
use rtc::peer_connection::state::RTCPeerConnectionState;
use serde_json::json;

/// How often: forty times, or as often as `make soak` asks for.
fn resumes() -> u32 {
    std::env::var("NEARLIGHT_RESUMES").map_or(40, |number| number.parse().unwrap())
}

/// Those that fill what stays for good: allocator arenas, thread pools.
const WARMING: u32 = 8;
/// From when the node can be reached until there is a picture.
const GOAL: Duration = Duration::from_millis(400);
/// The ways to come back, by the number's rest: see [`Player::come_back`].
const WAYS: [&str; 4] = [
    "page loaded again, by WebTransport",
    "another network, by WebTransport",
    "page loaded again, by WebRTC",
    "another network, by WebRTC",
];
/// No page has this ticket.
const FORGED: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Threads and descriptors of this process.
fn footprint() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

enum On {
    WebRtc(client::Client),
    Quic(quic_client::Client),
}

struct Player {
    node: Arc<Node>,
    session: Session,
    /// What a page that is loaded again would have.
    ticket: String,
    on: Option<On>,
    /// Of those whose numbers are told.
    newest: Option<FrameId>,
    /// From when it could reach the node again until it had a picture that it could decode.
    took: Vec<Duration>,
}

impl Player {
    async fn new(node: &Arc<Node>) -> Self {
        let reply = create().of(node).await;
        let ticket = ticket(&reply);
        let (node, session) = (node.clone(), reply.session());
        Self { node, session, ticket, on: None, newest: None, took: Vec::new() }
    }

    async fn redeem(&self, ticket: &str) -> Reply {
        let body = json!({ "ticket": ticket }).to_string();
        self.session.ask(Method::POST, "/redeem").json(body).of(&self.node).await
    }

    /// Comes back in the way that this number stands for.
    async fn come_back(&mut self, number: u32) {
        let before = self.on.take();
        let (loaded_again, quic) = (number.is_multiple_of(2), number % 4 < 2);
        if loaded_again {
            // The page goes, and the connection with it.
            close(before).await;
            self.becomes("suspended").await;
            let began = Instant::now();
            self.take_up().await;
            self.connect(quic, began).await;
        } else {
            // The network is another one: the node learns of the new connection before the old one breaks.
            self.connect(quic, Instant::now()).await;
            close(before).await;
        }
        self.becomes("live").await;
        assert_eq!(self.node.registry.live().len(), 1);
    }

    /// Takes the session up by its ticket, and no other.
    async fn take_up(&mut self) {
        let before = (self.session.token.clone(), self.ticket.clone());
        self.redeem(FORGED).await.problem(401, "unauthorized");
        let reply = self.redeem(&before.1).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.ticket = ticket(&reply);
        self.session.token = reply.json()["token"].as_str().unwrap().to_owned();
        let replayed = self.redeem(&before.1).await.problem(401, "unauthorized");
        assert!(replayed.contains("used before"), "{replayed}");
        let old = self.session.ask(Method::GET, "").bearer(&before.0).of(&self.node).await;
        old.problem(401, "unauthorized");
    }

    async fn connect(&mut self, quic: bool, began: Instant) {
        let pictured;
        self.on = Some(if quic {
            let address = address(&self.node, &self.session).await;
            let mut client = address.connect("").await.expect("a connection");
            client.open_control().await;
            // A frame that is not acknowledged in time is given up on a machine that is busy: another keyframe comes.
            let shown = loop {
                let (header, _) = client.frame().await;
                if header.kind == UnitKind::Key {
                    break header.frame;
                }
            };
            pictured = began.elapsed();
            assert!(
                Some(shown) > self.newest,
                "the same source draws on: {shown:?} after {:?}",
                self.newest
            );
            self.newest = Some(shown);
            // The greeting: the node has all of the connection's streams.
            client.said().await;
            On::Quic(client)
        } else {
            let mut client = self.connect_webrtc().await;
            pictured = began.elapsed();
            client.opened(DataChannel::Control).await;
            On::WebRtc(client)
        });
        self.took.push(pictured);
    }

    async fn connect_webrtc(&self) -> client::Client {
        let (mut client, offer) = client::Client::offer(Wish::PAGE).await;
        let asked = self.session.ask(Method::POST, "/whep").bearer(&self.session.token).sdp(offer);
        let reply = asked.of(&self.node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let sdp = reply.text().to_owned();
        client
            .accept(&Answer { sdp, codec: Codec::H264, video_tracks: 1, data_channels: true })
            .await;
        client.state(RTCPeerConnectionState::Connected).await;
        first_unit(&mut client).await;
        client
    }

    async fn becomes(&self, state: &str) {
        until(state, async || {
            let asked = self.session.ask(Method::GET, "").bearer(&self.session.token);
            let reply = asked.of(&self.node).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            (reply.json()["state"] == state).then_some(())
        })
        .await;
    }
}

fn ticket(reply: &Reply) -> String {
    reply.json()["resume_ticket"].as_str().expect("a ticket").to_owned()
}

/// Without a goodbye.
async fn close(on: Option<On>) {
    match on {
        Some(On::WebRtc(client)) => client.peer.close().await.unwrap(),
        Some(On::Quic(client)) => client.leave().await,
        None => {}
    }
}

/// Prints them, and says how many took longer than they may.
fn print(what: &str, mut took: Vec<Duration>) -> usize {
    took.sort();
    let rank = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1];
    let (count, beyond) = (took.len(), took.iter().filter(|took| **took > GOAL).count());
    let (p50, p95, most) = (rank(50), rank(95), rank(100));
    println!(
        "{what}: {count} resumes, {beyond} beyond {GOAL:.0?}: p50 {p50:.0?}, p95 {p95:.0?}, at most {most:.0?}"
    );
    beyond
}

fn metric(node: &Node, line: &str) -> bool {
    node.observe();
    node.metrics.encode().unwrap().lines().any(|each| each == line)
}

#[test]
fn a_player_comes_back_as_often_as_it_likes() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Or the pool's own patience of ten seconds would be waited for below.
        .thread_keep_alive(Duration::from_millis(200))
        .enable_all()
        .build()
        .unwrap();
    let tasks = runtime.handle().clone();
    runtime.block_on(async {
        // Long: what is tested is that everybody comes back, and not how fast.
        let server =
            server(&["sessions.away=10m", "sessions.reconnect=10m", "sessions.max=1"]).await;
        let node = server.node().clone();
        let mut player = Player::new(&node).await;
        player.connect(true, Instant::now()).await;
        for number in 0..WARMING {
            player.come_back(number).await;
        }
        // By the same transport before and after.
        player.come_back(4).await;
        // What is held then besides is one connection's at most, and each that came back would leave as much.
        until("the connections before to be forgotten", async || {
            metric(&node, "nearlight_webtransport_connections 1").then_some(())
        })
        .await;
        let (before, alive) = (footprint(), tasks.metrics().num_alive_tasks());
        let count = resumes().next_multiple_of(4);
        player.took.clear();
        for number in 0..count {
            player.come_back(number).await;
        }
        // The first is number 0.
        for (rest, way) in WAYS.into_iter().enumerate() {
            print(way, player.took.iter().skip(rest).step_by(WAYS.len()).copied().collect());
        }
        let beyond = print("in all", player.took.clone());
        // A figure, of a machine that is asked for it.
        assert!(beyond == 0 || std::env::var("NEARLIGHT_RESUMES").is_err(), "{beyond}");
        player.come_back(4).await;
        let mut now = footprint();
        until("threads, descriptors and tasks to be given back", async || {
            now = footprint();
            let settled = now.0 <= before.0 && now.1 <= before.1;
            (settled && tasks.metrics().num_alive_tasks() <= alive).then_some(())
        })
        .await;
        let taken_up = WARMING / 2 + 1 + count / 2 + 1;
        for reason in ["replayed", "unknown"] {
            let line = format!("nearlight_tickets_refused_total{{reason=\"{reason}\"}} {taken_up}");
            assert!(metric(&node, &line), "{line}");
        }
        assert!(metric(&node, "nearlight_sessions_started_total 1"));
        server.shut_down().await;
    });
}
