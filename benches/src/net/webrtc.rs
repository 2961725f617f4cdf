//! WebRTC: the transport as the node uses it, and a client of the same stack that asks for lost packets
//! as Chromium does.
//!
//! The stack's own requests are switched off: it takes a packet that came on the retransmission stream
//! for missing all the same, and asks for it without end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use media::{Clock, DataChannel, TransportEvent};
use rtc::interceptor::{FlexFec03ReceiveBuilder, NackGeneratorBuilder, Slot, TwccReceiverBuilder};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use testkit::net::{Relay, through, without_candidates};
use transport::WebRtc;
use webrtc::peer_connection::RTCPeerConnectionState;
use webrtc::runtime::TokioRuntime;

use super::assemble::Assembler;
use super::client::{self, Arrived, Wish};
use super::column::{Client, Column, Pair};
use super::viewer::Whole;

/// Time between two feedback packets: what Chromium was seen to do at 9 Mbit/s.
const FEEDBACK: Duration = Duration::from_millis(62);
/// Before repair: browsers do not tell that a packet came which they recovered themselves, and least of all when they
/// did, which would look like a path that overtakes.
const TOLD: usize = 5_500;
/// Never.
const OFF: Duration = Duration::from_secs(86_400);
/// How long its channels may take, once the server is connected: what the client's last flight loses nobody repeats.
const OPENING: Duration = Duration::from_secs(15);
/// What Chromium waits for a frame before it asks for a keyframe.
const PATIENCE: Duration = Duration::from_secs(3);
/// Frames whose place in the stream is remembered, until they are decoded.
const ENDS: usize = 1_024;

/// See the module.
pub(crate) struct WebRtcColumn;

#[async_trait]
impl Column for WebRtcColumn {
    fn name(&self) -> &'static str {
        "webrtc"
    }

    async fn connect(&self, relay: &mut Relay, clock: Arc<dyn Clock>) -> anyhow::Result<Pair> {
        let runtime = Arc::new(TokioRuntime);
        let wish = Wish { repair: true, ..Wish::PAGE };
        let (mut peer, offer) =
            client::Client::offer_with(wish, runtime, &["127.0.0.1:0"], &[], |registry| {
                registry
                    .with(Slot::FecDecoder, FlexFec03ReceiveBuilder::new().build())
                    .with(
                        Slot::NackGenerator,
                        NackGeneratorBuilder::new().with_interval(OFF).build(),
                    )
                    .with(
                        Slot::from(TOLD),
                        TwccReceiverBuilder::new().with_interval(FEEDBACK).build(),
                    )
            })
            .await;
        // Neither side learns an address of the other but the relay's.
        let offer = without_candidates(&offer);
        let (mut server, mut answer) =
            WebRtc::answer(&offer, client::config(), clock.clone()).await?;
        let mut fronts: BTreeMap<SocketAddr, SocketAddr> = BTreeMap::new();
        answer.sdp = through(&answer.sdp, |address| match fronts.entry(address) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(new) => relay.route(address).map(|front| *new.insert(front)),
        })?;
        peer.accept(&answer).await;
        loop {
            match client::event(&mut server).await {
                TransportEvent::Connected { .. } => break,
                // A handshake may lose too much.
                TransportEvent::Closed(reason) => anyhow::bail!("it does not connect: {reason}"),
                _ => {}
            }
        }
        let opened = async {
            peer.state(RTCPeerConnectionState::Connected).await;
            peer.opened(DataChannel::Acks).await;
        };
        tokio::time::timeout(OPENING, opened).await.context("its channels do not open")?;
        let client = Receiver {
            peer,
            clock,
            assembler: Assembler::default(),
            ssrc: None,
            ends: BTreeMap::new(),
        };
        Ok(Pair { server: Box::new(server), client: Box::new(client) })
    }
}

struct Receiver {
    peer: client::Client,
    clock: Arc<dyn Clock>,
    assembler: Assembler,
    /// Of the media, once some came.
    ssrc: Option<u32>,
    /// By frame the number after its last packet.
    ends: BTreeMap<u64, u64>,
}

impl Receiver {
    async fn request(&mut self) {
        let Some(media_ssrc) = self.ssrc else { return };
        if self.assembler.has_lost_all() {
            self.peer.picture_loss(media_ssrc).await;
        }
        let missing = self.assembler.requests(self.clock.now());
        if !missing.is_empty() {
            let nacks = nack_pairs_from_sequence_numbers(&missing);
            let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc, nacks };
            self.peer.feed_back(Box::new(nack)).await;
        }
    }
}

#[async_trait]
impl Client for Receiver {
    async fn whole(&mut self) -> anyhow::Result<Whole> {
        loop {
            let next = self.peer.arrived.recv().await;
            let packet = match next {
                Some(Arrived::Packet(packet)) => packet,
                Some(Arrived::State(RTCPeerConnectionState::Failed)) | None => {
                    anyhow::bail!("the connection is lost")
                }
                Some(_) => continue,
            };
            let header = &packet.header;
            self.ssrc = Some(header.ssrc);
            let whole = self.assembler.packet(
                self.clock.now(),
                header.sequence_number,
                header.timestamp,
                header.marker,
                &packet.payload,
            );
            if let Some((whole, end)) = whole {
                if self.ends.len() == ENDS {
                    self.ends.pop_first();
                }
                self.ends.insert(whole.label.frame, end);
                return Ok(whole);
            }
            // At once, as Chromium does. The packet is kept already, should this be dropped here.
            self.request().await;
        }
    }

    async fn tick(&mut self) {
        self.request().await;
    }

    fn decoded(&mut self, whole: &Whole) {
        if let Some(end) = self.ends.get(&whole.label.frame) {
            self.assembler.done(*end);
        }
        self.ends = self.ends.split_off(&whole.label.frame);
    }

    async fn acknowledge(&mut self, acks: Bytes) {
        self.peer.send(DataChannel::Acks, &acks).await;
    }

    async fn ask_keyframe(&mut self) {
        if let Some(ssrc) = self.ssrc {
            self.peer.picture_loss(ssrc).await;
        }
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
