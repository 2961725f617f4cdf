//! A hundred sessions in a row leave nothing behind. Alone in its process: it counts threads and
//! descriptors.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate transport as nearlight_transport;

#[path = "../../transport/tests/client/mod.rs"]
mod client;
mod common;

use std::sync::Arc;

use axum::http::Method;
use client::{Client, Wish};
use common::{create, node, until};
use media::Codec;
use nearlight::node::Node;
use nearlight_transport::Answer;
use rtc::peer_connection::state::RTCPeerConnectionState;

/// How many: a hundred, or as many as `make soak` asks for.
fn sessions() -> u32 {
    std::env::var("NEARLIGHT_SESSIONS").map_or(100, |number| number.parse().unwrap())
}

/// Sessions that fill what stays for good: allocator arenas, GStreamer's registry, thread pools.
const WARMING: u32 = 4;

/// Nothing changes in so many looks: longer than the runtime keeps a thread without work.
const STILL: u32 = 50;

/// Threads and descriptors of this process.
fn footprint() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

/// One session from its making to its end, which comes in a different way every time.
async fn one(node: &Arc<Node>, number: u32) {
    let session = create().of(node).await.session();
    let mut joined = None;
    // Every tenth is left alone by its client.
    if !number.is_multiple_of(10) {
        let wish = if number.is_multiple_of(2) { Wish::PAGE } else { Wish::PLAYER };
        let (mut client, offer) = Client::offer(wish).await;
        let reply = session.ask(Method::POST, "/whep").sdp(offer).of(node).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let sdp = reply.text().to_owned();
        let answer = Answer { sdp, codec: Codec::H264, video_tracks: 1, data_channels: wish.data };
        client.accept(&answer).await;
        client.state(RTCPeerConnectionState::Connected).await;
        client.frame().await;
        joined = Some(client);
    }
    match (number % 3, &joined) {
        // The client goes first and the session with it.
        (0, Some(client)) => client.peer.close().await.unwrap(),
        _ => {
            let gone = session.ask(Method::DELETE, "").bearer(&session.token).of(node).await;
            assert_eq!(gone.status, 204, "{}", gone.text());
        }
    }
    if let Some(client) = joined {
        client.peer.close().await.unwrap();
    }
    until("the end of the session", async || {
        session.ask(Method::GET, "").of(node).await.status.as_u16().eq(&410).then_some(())
    })
    .await;
}

#[test]
fn many_sessions_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Or the pool's own patience of ten seconds would be waited for below.
        .thread_keep_alive(std::time::Duration::from_millis(200))
        .enable_all()
        .build()
        .unwrap();
    let tasks = runtime.handle().clone();
    runtime.block_on(async {
        // One place: a session that did not give its place back would refuse the next.
        let node = node(&["sessions.max=1", "sessions.away=200ms"]);
        for number in 0..WARMING {
            one(&node, number).await;
        }
        // What the last one holds goes a moment later.
        let mut seen = (footprint(), 0, 0);
        until("the last of them to be gone", async || {
            let now = (footprint(), tasks.metrics().num_alive_tasks());
            let looks = if (seen.0, seen.1) == now { seen.2 + 1 } else { 0 };
            seen = (now.0, now.1, looks);
            (looks == STILL).then_some(())
        })
        .await;
        let (before, alive) = (seen.0, seen.1);
        for number in 0..sessions() {
            one(&node, number).await;
        }
        let mut now = footprint();
        until("threads, descriptors and tasks to be given back", async || {
            now = footprint();
            let settled = now.0 <= before.0 && now.1 <= before.1;
            (settled && tasks.metrics().num_alive_tasks() <= alive).then_some(())
        })
        .await;
        assert!(node.registry.live().is_empty());
        let started = format!("nearlight_sessions_started_total {}", sessions() + WARMING);
        let text = node.metrics.encode().unwrap();
        assert!(text.lines().any(|line| line == started), "{text}");
    });
}
