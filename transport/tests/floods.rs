//! What a connection holds of a client that sends without end, while its session does not come to read, and then does. Alone
//! in its process: it counts what that holds, the clients' part included.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;
mod quic_client;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use client::socket::End;
use client::{Wish, config, event, until};
use futures::{SinkExt as _, StreamExt as _};
use media::websocket::first_byte;
use media::webtransport::{Messages, StreamKind, datagram_byte};
use media::{
    BitDepth, Clock, CloseReason, Codec, DataChannel, MediaTime, Transport, TransportEvent,
};
use nearlight_transport::webtransport::{Certificates, Endpoint, EndpointConfig};
use nearlight_transport::{WebRtc, websocket, webtransport};
use quic_client::Manners;
use testkit::allocations::{Held, Holding};

#[global_allocator]
static ALLOCATOR: Holding = Holding;

/// Bytes that a client sends in all, and by WebRTC, which is slow with both of its stacks in one process.
const OFFERED: usize = 200 << 20;
const OFFERED_BY_WEBRTC: usize = 64 << 20;
/// Bytes of a message on a reliable channel: the longest that a session reads.
const MESSAGE: usize = 16 * 1024;
/// Bytes of a datagram.
const DATAGRAM: usize = 1_000;
/// A client that has sent nothing for so long is held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// A clock that is never slow enough for a flood to be cut off: what is held while it goes on is what is to be seen.
struct Hurried(AtomicU64);

impl Hurried {
    fn shared() -> Arc<dyn Clock> {
        Arc::new(Self(AtomicU64::new(0)))
    }
}

impl Clock for Hurried {
    fn now(&self) -> MediaTime {
        MediaTime::from_millis(self.0.fetch_add(10, Ordering::Relaxed))
    }
}

/// What a client has sent so far.
type Sent = Arc<AtomicUsize>;

/// Bytes that were held at most.
#[derive(Debug)]
struct Endured {
    /// While nobody read.
    unread: usize,
    /// While somebody did.
    read: usize,
}

/// Lets `flood` send while nobody reads, and again while somebody does.
async fn endured(
    mut transport: impl Transport + 'static,
    sent: &Sent,
    flood: impl Future<Output = ()> + Send + 'static,
) -> Endured {
    let held = Held::begin();
    let mut flood = tokio::spawn(flood);
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) && !flood.is_finished() {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(HELD_BACK).await;
    }
    let unread = held.most();
    let held = Held::begin();
    loop {
        tokio::select! {
            ended = &mut flood => break ended.unwrap(),
            event = event(&mut transport) => {
                match event {
                    // Its client goes when it has sent everything, which may be seen first. One that was cut off fails.
                    TransportEvent::Closed(CloseReason::Remote) => break (&mut flood).await.unwrap(),
                    TransportEvent::Closed(reason) => panic!("{reason:?}"),
                    _ => {}
                }
            }
        }
    }
    Endured { unread, read: held.most() }
}

async fn by_websocket(channel: DataChannel, bytes: usize) -> Endured {
    let (end, server) = End::pair();
    let config = websocket::ConnectionConfig::new(Codec::H264, BitDepth::Eight);
    let transport = websocket::Request::new(server).accept(config, Hurried::shared()).unwrap();
    let sent = Sent::default();
    let counted = sent.clone();
    let flood = async move {
        let message = [&[first_byte(channel)][..], &vec![7; bytes]].concat();
        let End { mut to, mut from } = end;
        // It reads, too.
        let reading = tokio::spawn(async move { while from.next().await.is_some() {} });
        while counted.fetch_add(bytes, Ordering::Relaxed) < OFFERED {
            to.send(websocket::Message::Binary(message.clone().into())).await.unwrap();
        }
        reading.abort();
    };
    endured(transport, &sent, flood).await
}

async fn by_webtransport(channel: DataChannel, bytes: usize) -> Endured {
    let certificates = Certificates::own(SystemTime::now()).unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let clock = Hurried::shared();
    let config = EndpointConfig::default();
    let endpoint = Endpoint::open(socket, config, &certificates, clock.clone()).unwrap();
    let url = format!("https://{}/wt/a?ticket=b", endpoint.local_addr().unwrap());
    let config = webtransport::ConnectionConfig {
        codec: Codec::H264,
        depth: BitDepth::Eight,
        deadlines: webtransport::Deadlines { key: client::PATIENCE, other: client::PATIENCE },
        pacing: None,
    };
    let server = async { endpoint.request().await.unwrap().accept(config, clock).await.unwrap() };
    let (hashes, manners) = (certificates.hashes(), Manners::default());
    let client = quic_client::Client::connect(&url, &hashes, &manners);
    let (client, transport) = tokio::join!(client, server);
    let client = client.unwrap();
    let sent = Sent::default();
    let counted = sent.clone();
    let flood = async move {
        let (body, mut out) = (vec![7; bytes], Vec::new());
        if let Some(first) = datagram_byte(channel) {
            let datagram = [&[first][..], &body].concat();
            while counted.fetch_add(bytes, Ordering::Relaxed) < OFFERED {
                client.connection.send_datagram(&datagram).unwrap();
                if counted.load(Ordering::Relaxed) % (32 * bytes) == 0 {
                    // Sooner they would replace each other before they leave.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            return;
        }
        let (mut stream, _said) = client.connection.open_bi().await.unwrap().await.unwrap();
        stream.write_all(&[StreamKind::Control.first_byte()]).await.unwrap();
        assert!(Messages::write(StreamKind::Control, &body, &mut out));
        while counted.fetch_add(bytes, Ordering::Relaxed) < OFFERED {
            stream.write_all(&out).await.unwrap();
        }
    };
    endured(transport, &sent, flood).await
}

async fn by_webrtc(channel: DataChannel, bytes: usize) -> Endured {
    let (mut client, offer) = client::Client::offer(Wish::PAGE).await;
    let (mut transport, answer) =
        WebRtc::answer(&offer, config(), Hurried::shared()).await.unwrap();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    client.opened(channel).await;
    let sender = client.channels[&(channel as u16)].clone();
    let sent = Sent::default();
    let counted = sent.clone();
    let flood = async move {
        let body = vec![7; bytes];
        while counted.fetch_add(bytes, Ordering::Relaxed) < OFFERED_BY_WEBRTC {
            // The client's own stack holds any amount.
            while sender.outstanding_bytes().await.unwrap() > 256 * 1024 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sender.send(BytesMut::from(&body[..])).await.unwrap();
        }
    };
    let endured = endured(transport, &sent, flood).await;
    drop(client);
    endured
}

/// What may be held of it: 256 messages wait for the session; the stack of WebRTC has two such queues more. And what is on its
/// way to them.
const MOST: usize = 8 << 20;
const MOST_BY_WEBRTC: usize = 16 << 20;

#[test]
fn what_a_client_sends_without_end_is_not_held_whoever_reads_it() {
    use DataChannel::{Acks, Control, Motion};
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Messages that no other may overtake, which hold the client back; and such as are dropped.
        let floods = [
            (by_websocket(Control, MESSAGE).await, MOST),
            (by_websocket(Acks, DATAGRAM).await, MOST),
            (by_webtransport(Control, MESSAGE).await, MOST),
            (by_webtransport(Motion, DATAGRAM).await, MOST),
            (by_webrtc(Control, MESSAGE).await, MOST_BY_WEBRTC),
            (by_webrtc(Acks, DATAGRAM).await, MOST_BY_WEBRTC),
        ];
        for (held, most) in floods {
            println!("{held:?}");
            assert!(held.unread < most && held.read < most, "{held:?}, more than {most}");
        }
    });
}
