//! Where a session can be had by WebTransport, as the API says it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;

use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use media::UnitKind;
use media::webtransport::FrameHeader;
use nearlight::node::Node;
use nearlight::serve::Server;
use serde_json::Value;

use crate::common::{Session, serve};
use crate::quic_client::{Client, Manners};

/// A page on the node's own origin.
pub const PAGE: &str = "http://127.0.0.1:8080";

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

/// The first frames of a client: a keyframe and two that follow it.
pub async fn begins(client: &Client) -> FrameHeader {
    let (first, unit) = client.frame().await;
    assert_eq!((first.kind, first.refers_to), (UnitKind::Key, None));
    assert_eq!(unit.len(), first.bytes as usize);
    let mut before = first;
    for _ in 0..2 {
        let (next, _) = client.frame().await;
        assert_eq!((next.kind, next.refers_to), (UnitKind::Delta, Some(before.frame)));
        assert!(next.frame > before.frame && next.codec == first.codec);
        before = next;
    }
    before
}
