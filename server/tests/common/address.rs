//! Where a session can be had by WebTransport, as the API says it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use media::webtransport::FrameHeader;
use media::{FrameId, UnitKind};
use nearlight::node::Node;
use nearlight::serve::Server;
use serde_json::Value;

use crate::common::{Session, serve};
use crate::quic_client::{Came, Client, Manners};

/// A page on the node's own origin.
pub const PAGE: &str = "http://127.0.0.1:8080";

/// Frames among which something can be decoded.
const MOST_FRAMES: usize = 300;

/// A server that pages reach at [`PAGE`].
pub async fn server(overrides: &[&str]) -> Server {
    let ours = format!("server.public_url={PAGE}");
    serve(&[&[ours.as_str()], overrides].concat()).await
}

pub struct Address {
    pub url: String,
    pub hashes: Vec<[u8; 32]>,
}

impl Address {
    pub fn read(json: &Value) -> Self {
        let hash = |text: &Value| {
            let bytes = BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
            bytes.try_into().unwrap()
        };
        let hashes = json["certificate_hashes"].as_array().unwrap().iter().map(hash).collect();
        Self { url: json["url"].as_str().unwrap().to_owned(), hashes }
    }

    pub async fn connect(&self, more: &str) -> Option<Client> {
        let manners = Manners { origin: Some(PAGE.into()), ..Manners::default() };
        Client::connect(&format!("{}{more}", self.url), &self.hashes, &manners).await.ok()
    }
}

/// A fresh address of a session.
pub async fn address(node: &Arc<Node>, session: &Session) -> Address {
    let reply = session.ask(Method::POST, "/webtransport").bearer(&session.token).of(node).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    Address::read(&reply.json())
}

/// The first frames of a client: a keyframe and two that follow it. Yields the newest.
///
/// Each has a stream of its own, and streams are handed out in any order. On a busy machine the node gives frames up that took
/// too long, and codes on from one before them or anew: only so many may be missing as were given up.
pub async fn begins(client: &Client) -> FrameHeader {
    let mut came = BTreeMap::new();
    let mut given_up = 0;
    while came.len() + given_up < MOST_FRAMES {
        let Came::Whole(header, unit) = client.came().await else {
            given_up += 1;
            continue;
        };
        assert_eq!(unit.len(), header.bytes as usize);
        assert_eq!(header.kind == UnitKind::Key, header.refers_to.is_none());
        assert!(header.refers_to < Some(header.frame), "{header:?}");
        let twice = came.insert(header.frame, header);
        assert!(twice.is_none(), "{twice:?} came twice");
        let shown = shown(&came);
        let Some(newest) = shown.last_key_value().filter(|_| shown.len() > 2) else { continue };
        let needed: BTreeSet<_> = came.values().filter_map(|header| header.refers_to).collect();
        let missing = needed.iter().filter(|frame| !came.contains_key(*frame)).count();
        // One that is missing may be on its way.
        if missing <= given_up {
            assert!(shown.values().all(|header| header.codec == newest.1.codec));
            return *newest.1;
        }
    }
    panic!("nothing can be decoded; {given_up} frames were given up, and these came: {came:?}");
}

/// Those frames that can be decoded with what came.
fn shown(came: &BTreeMap<FrameId, FrameHeader>) -> BTreeMap<FrameId, FrameHeader> {
    let mut shown = BTreeMap::new();
    for (frame, header) in came {
        if header.refers_to.is_none_or(|needed| shown.contains_key(&needed)) {
            shown.insert(*frame, *header);
        }
    }
    shown
}
