//! A client on a session: a WebRTC peer in this process, made by the transport's own tests.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

#[path = "../../../transport/tests/client/mod.rs"]
pub mod client;
#[path = "../common/frames.rs"]
pub mod frames;

use std::sync::Arc;

use axum::http::Method;
use client::{Arrived, Client, Wish};
use encoder::h264::{NalKind, Sps, nals};
use media::{Codec, DataChannel, Size};
use nearlight::node::Node;
use nearlight_transport::Answer;
use rtc::peer_connection::state::RTCPeerConnectionState;
use serde_json::Value;

use crate::common::{self, Session, until};

/// Offers a connection to a session and waits until it is up. This stack drops a message that comes in one
/// go with the opening of its channel, so whether the first one, `hello`, arrives is for browsers to test.
pub async fn join(node: &Arc<Node>, session: &Session) -> Client {
    join_as(node, session, Codec::H264, |offer| offer).await
}

/// The same with another offer than the client's own.
pub async fn join_as(
    node: &Arc<Node>,
    session: &Session,
    codec: Codec,
    change: impl FnOnce(String) -> String,
) -> Client {
    join_with(Wish::PAGE, node, session, codec, change).await
}

/// The same as another client than a page that hears nothing.
pub async fn join_with(
    wish: Wish,
    node: &Arc<Node>,
    session: &Session,
    codec: Codec,
    change: impl FnOnce(String) -> String,
) -> Client {
    let (mut client, offer) = Client::offer(wish).await;
    let offer = change(offer);
    let reply = session.ask(Method::POST, "/whep").bearer(&session.token).sdp(offer).of(node).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let sdp = reply.text().to_owned();
    let answer = Answer { sdp, codec, video_tracks: 1, data_channels: true };
    client.accept(&answer).await;
    client.state(RTCPeerConnectionState::Connected).await;
    client
}

/// The next control message of this type; what else arrives before it is dropped.
pub async fn said(client: &mut Client, kind: &str) -> Value {
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

pub async fn state(node: &Arc<Node>, session: &Session) -> String {
    let reply = session.ask(Method::GET, "").bearer(&session.token).of(node).await;
    match reply.status.as_u16() {
        200 => reply.json()["state"].as_str().unwrap().to_owned(),
        410 => format!("ended: {}", reply.problem(410, "ended-session")),
        _ => panic!("{}", reply.text()),
    }
}

/// Waits until a session is live, which has not ended: it is suspended for a moment when its client, or the node, has stood
/// still for two seconds.
pub async fn lives(node: &Arc<Node>, session: &Session) {
    until("a session that is live", async || {
        let state = state(node, session).await;
        assert!(!state.starts_with("ended: "), "{state}");
        (state == "live").then_some(())
    })
    .await;
}

pub async fn ended(node: &Arc<Node>, session: &Session) -> String {
    until("the end of the session", async || {
        state(node, session).await.strip_prefix("ended: ").map(ToOwned::to_owned)
    })
    .await
}

/// Presses a key, once statistics came: then the channels are open, and last words will arrive.
pub async fn touch(client: &mut Client) {
    said(client, "stats").await;
    client.send(DataChannel::Input, &common::press(0)).await;
}

/// The size of the first picture that this client can decode.
pub async fn first_size(client: &mut Client) -> Size {
    let first = tokio::time::timeout(common::PATIENCE, frames::first_unit(client));
    declared(&first.await.expect("a keyframe").0).unwrap()
}

/// The size of the next keyframe of H.264.
pub async fn next_size(client: &mut Client) -> Size {
    let next = async {
        loop {
            if let Some(size) = declared(&frames::next_unit(client).await.0) {
                return size;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, next).await.expect("a keyframe")
}

fn declared(unit: &[u8]) -> Option<Size> {
    let sps = nals(unit).find(|nal| nal.kind() == NalKind::Sps)?;
    Some(Sps::parse(sps.bytes()).unwrap().size())
}
