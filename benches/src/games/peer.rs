//! A player: asks the node for a session by HTTP, connects by WebRTC, and takes what comes without decoding it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::BytesMut;
use media::{Codec, DataChannel, InputEvent, InputSeq, SequencedInput};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use transport::Answer;
use webrtc::peer_connection::{PeerConnection, RTCPeerConnectionState};

use super::client::{Arrived, Client, Wish};
use super::stamp;

/// How long a connection may take; a game may have to be started first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a str,
    pub(crate) size: (u32, u32),
    pub(crate) fps: u32,
    pub(crate) kbps: u32,
}

/// What a node said to a request for a session.
pub(crate) enum Reply {
    Playing(Peer),
    /// It refuses, by its own words.
    Refused(String),
}

/// A frame whose last packet came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole {
    /// The timestamp that the transport knows it by.
    pub(crate) wire_timestamp: u32,
    /// By the system's monotonic clock, in nanoseconds.
    pub(crate) at: u64,
    /// Bytes of its packets, without their headers.
    pub(crate) bytes: u64,
}

/// A player with a session.
pub(crate) struct Peer {
    base: String,
    path: String,
    token: String,
    input: Arc<dyn webrtc::data_channel::DataChannel>,
    frames: Arc<Mutex<Vec<Whole>>>,
    /// The connection lasts as long as this.
    _peer: Arc<dyn PeerConnection>,
}

impl Peer {
    /// Asks for a session and connects, on a runtime of the players.
    pub(crate) fn join(players: &Runtime, base: &str, asked: &Asked<'_>) -> Result<Reply> {
        players.block_on(Self::ask(base, asked))
    }

    /// The same where a refusal is an error.
    pub(crate) fn play(players: &Runtime, base: &str, asked: &Asked<'_>) -> Result<Self> {
        match Self::join(players, base, asked)? {
            Reply::Playing(peer) => Ok(peer),
            Reply::Refused(why) => bail!("{} was refused: {why}", asked.app),
        }
    }

    async fn ask(base: &str, asked: &Asked<'_>) -> Result<Reply> {
        let (width, height) = asked.size;
        let wish = json!({
            "app": asked.app,
            "video": {"width": width, "height": height, "fps": asked.fps, "max_kbps": asked.kbps},
        });
        let wish = ("application/json", wish.to_string());
        let (status, body) = http(base, "POST", "/api/v1/sessions", None, Some(wish)).await?;
        let said: Value = serde_json::from_str(&body).context("an answer that is no JSON")?;
        if status == 503 {
            return Ok(Reply::Refused(said["detail"].as_str().unwrap_or(&body).to_owned()));
        }
        ensure!(status == 201, "the node answers {status}: {body}");
        let text = |key: &str| {
            Ok::<_, anyhow::Error>(said[key].as_str().context("no such key")?.to_owned())
        };
        let (id, token) = (text("id")?, text("token")?);
        let path = format!("/api/v1/sessions/{id}");
        let (mut client, offer) = Client::offer(Wish::PAGE).await;
        let whep = format!("{path}/whep");
        let offer = ("application/sdp", offer);
        let (status, sdp) = http(base, "POST", &whep, Some(&token), Some(offer)).await?;
        ensure!(status == 201, "the node answers {status} to an offer: {sdp}");
        client
            .accept(&Answer { sdp, codec: Codec::H264, video_tracks: 1, data_channels: true })
            .await;
        if tokio::time::timeout(PATIENCE, connected(&mut client)).await.is_err() {
            let (_, body) = http(base, "GET", &path, Some(&token), None).await?;
            bail!("no connection came up: {body}");
        }
        let input = client.channels[&(DataChannel::Input as u16)].clone();
        let (frames, peer) = (Arc::<Mutex<Vec<Whole>>>::default(), client.peer.clone());
        tokio::spawn(take(client, frames.clone()));
        Ok(Reply::Playing(Self { base: base.into(), path, token, input, frames, _peer: peer }))
    }

    /// Presses a key or lets it go; `seq` counts the events of this player.
    pub(crate) async fn send(&self, seq: u32, event: InputEvent) -> Result<()> {
        let mut message = Vec::new();
        SequencedInput { seq: InputSeq(seq), event }.encode(&mut message);
        self.input.send(BytesMut::from(&message[..])).await.context("input cannot be sent")
    }

    /// The frames that came whole since this was asked last.
    pub(crate) fn frames(&self) -> Vec<Whole> {
        std::mem::take(&mut self.frames.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the session goes on, else the reason why not.
    pub(crate) fn plays(&self, players: &Runtime) -> Result<()> {
        let (status, body) =
            players.block_on(http(&self.base, "GET", &self.path, Some(&self.token), None))?;
        ensure!(status == 200, "a session is over: {body}");
        Ok(())
    }

    /// How the session began: `warm` or `cold`, and nothing of what is never started ahead.
    pub(crate) fn began(&self, players: &Runtime) -> Result<String> {
        let (_, body) =
            players.block_on(http(&self.base, "GET", &self.path, Some(&self.token), None))?;
        let said: Value = serde_json::from_str(&body).context("an answer that is no JSON")?;
        Ok(said["start"].as_str().unwrap_or_default().to_owned())
    }

    /// Ends the session and waits until the node has let go of it.
    pub(crate) fn leave(self, players: &Runtime) -> Result<()> {
        let ending = http(&self.base, "DELETE", &self.path, Some(&self.token), None);
        let (status, body) = players.block_on(ending)?;
        ensure!((200..300).contains(&status), "the node answers {status} to an end: {body}");
        Ok(())
    }
}

/// Waits until media and input can go. What comes before that is not looked at.
async fn connected(client: &mut Client) {
    let (mut up, mut open) = (false, false);
    while !(up && open) {
        match client.arrived.recv().await {
            Some(Arrived::State(RTCPeerConnectionState::Connected)) => up = true,
            Some(Arrived::Open(DataChannel::Input)) => open = true,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// Notes frames by their last packets until the connection is over.
async fn take(mut client: Client, frames: Arc<Mutex<Vec<Whole>>>) {
    let (mut bytes, mut newest) = (0, None);
    while let Some(arrived) = client.arrived.recv().await {
        let Arrived::Packet(packet) = arrived else { continue };
        let (wire_timestamp, at) = (packet.header.timestamp, stamp::now());
        // A path is probed with copies of what came whole.
        if newest.is_some_and(|newest: u32| wire_timestamp.wrapping_sub(newest).cast_signed() <= 0)
        {
            continue;
        }
        bytes += packet.payload.len() as u64;
        if packet.header.marker {
            newest = Some(wire_timestamp);
            let whole = Whole { wire_timestamp, at, bytes: std::mem::take(&mut bytes) };
            frames.lock().unwrap_or_else(PoisonError::into_inner).push(whole);
        }
    }
}

/// One request of HTTP/1.1 (RFC 9112) over a connection of its own; yields status and body.
async fn http(
    base: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<(&str, String)>,
) -> Result<(u16, String)> {
    let host = base.trim_start_matches("http://").trim_end_matches('/');
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(token) = token {
        request += &format!("Authorization: Bearer {token}\r\n");
    }
    let (kind, text) = body.unwrap_or_default();
    if !kind.is_empty() {
        request += &format!("Content-Type: {kind}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{text}", text.len());
    let mut stream =
        TcpStream::connect(host).await.with_context(|| format!("no node at {host}"))?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.context("an answer without a status")?, body.to_owned()))
}
