//! WebTransport: the node's endpoint, and a client that reads the streams of frames side by side, as the
//! page does.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use media::webtransport::FrameHeader;
use media::{BitDepth, Clock, Codec, DataChannel, TransportEvent};
use testkit::net::Relay;
use tokio::task::JoinSet;
use transport::webtransport::{
    Certificates, ConnectionConfig, Deadlines, Endpoint, EndpointConfig,
};
use wtransport::RecvStream;

use super::client;
use super::column::{Client, Column, Pair};
use super::encoder::Label;
use super::quic_client::{self, Manners};
use super::session::INTERVAL;
use super::viewer::Whole;

/// The page's patience with frames that wait for others.
const PATIENCE: Duration = Duration::from_millis(400);
/// The least deadline of a frame, as the node has it.
const LEAST_DEADLINE: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct WebTransportColumn;

#[async_trait]
impl Column for WebTransportColumn {
    fn name(&self) -> &'static str {
        "quic"
    }

    async fn connect(&self, relay: &mut Relay, clock: Arc<dyn Clock>) -> anyhow::Result<Pair> {
        let certificates = Certificates::own(SystemTime::now())?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let config = EndpointConfig::default();
        let endpoint = Endpoint::open(socket, config, &certificates, clock.clone())?;
        let front = relay.route(endpoint.local_addr()?)?;
        let url = format!("https://{front}/wt/bench?ticket=bench");
        let config = ConnectionConfig {
            codec: Codec::H264,
            depth: BitDepth::Eight,
            deadlines: Deadlines::of_interval(INTERVAL, LEAST_DEADLINE),
            pacing: None,
        };
        let accepted = async {
            let request = endpoint.request().await.context("the endpoint closed")?;
            Ok::<_, anyhow::Error>(request.accept(config, clock.clone()).await?)
        };
        let (hashes, manners) = (certificates.hashes(), Manners::default());
        let connected = quic_client::Client::connect(&url, &hashes, &manners);
        let (peer, server) = tokio::join!(connected, accepted);
        let (mut peer, mut server) = (peer?, server?);
        peer.open_control().await;
        let is_open = |event: &TransportEvent| {
            matches!(event, TransportEvent::ChannelOpen(DataChannel::Control))
        };
        client::until(&mut server, is_open).await;
        let client = Receiver { peer, clock, reading: JoinSet::new(), _endpoint: endpoint };
        Ok(Pair { server: Box::new(server), client: Box::new(client) })
    }
}

struct Receiver {
    peer: quic_client::Client,
    clock: Arc<dyn Clock>,
    /// Streams that are being read; each yields its frame, or none where the server gave it up.
    reading: JoinSet<Option<Whole>>,
    /// Closed with the client.
    _endpoint: Endpoint,
}

#[async_trait]
impl Client for Receiver {
    async fn whole(&mut self) -> anyhow::Result<Whole> {
        loop {
            tokio::select! {
                Some(read) = self.reading.join_next() => {
                    if let Some(whole) = read.context("a reader panicked")? {
                        return Ok(whole);
                    }
                }
                stream = self.peer.connection.accept_uni() => {
                    let stream = stream.context("the client's side ended")?;
                    self.reading.spawn(read(stream, self.clock.clone()));
                }
            }
        }
    }

    /// QUIC asks by itself.
    async fn tick(&mut self) {}

    /// Streams of older frames end by themselves.
    fn decoded(&mut self, _whole: &Whole) {}

    async fn acknowledge(&mut self, acks: Bytes) {
        self.peer.send(DataChannel::Acks, &acks).await;
    }

    async fn ask_keyframe(&mut self) {
        self.peer.send(DataChannel::Control, br#"{"type":"keyframe"}"#).await;
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

async fn read(mut stream: RecvStream, clock: Arc<dyn Clock>) -> Option<Whole> {
    let mut header = [0; FrameHeader::LEN];
    stream.read_exact(&mut header).await.ok()?;
    let first = clock.now();
    let header = FrameHeader::decode(&header).ok()?;
    let mut unit = vec![0; header.bytes as usize];
    stream.read_exact(&mut unit).await.ok()?;
    let label = Label::of_unit(&unit)?;
    let wire_timestamp = header.wire_timestamp;
    let whole = Whole { label, wire_timestamp, first, last: clock.now() };
    // As the page does: one that left before the stream is over would refuse its end.
    tokio::spawn(async move { while let Ok(Some(_)) = stream.read(&mut [0]).await {} });
    Some(whole)
}
