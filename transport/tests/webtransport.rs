//! WebTransport on loopback, with a client in Rust.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;
mod quic_client;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use client::{MonotonicClock, event, unit, until};
use media::webtransport::{Messages, StreamKind};
use media::{
    AccessUnit, BitDepth, Bitrate, Clock, CloseReason, Codec, DataChannel, FrameId, Mark,
    MediaTime, Part, PathReport, SendRefused, TrackId, Transport, TransportEvent, UnitKind,
};
use nearlight_transport::webtransport::{
    Certificates, ConnectionConfig, Deadlines, Endpoint, EndpointConfig, Refusal, Request,
    WebTransport,
};
use quic_client::{Came, Client, Manners};

fn connection_config() -> ConnectionConfig {
    ConnectionConfig {
        codec: Codec::H264,
        depth: BitDepth::Eight,
        // Nothing is given up because a test's machine is slow.
        deadlines: Deadlines { key: Duration::from_secs(60), other: Duration::from_secs(60) },
        pacing: None,
    }
}

struct Node {
    clock: Arc<dyn Clock>,
    endpoint: Endpoint,
    certificates: Certificates,
}

impl Node {
    fn open(config: EndpointConfig) -> Self {
        let certificates = Certificates::own(SystemTime::now()).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let clock = MonotonicClock::shared();
        let endpoint = Endpoint::open(socket, config, &certificates, clock.clone()).unwrap();
        Self { clock, endpoint, certificates }
    }

    fn url(&self) -> String {
        format!("https://{}/wt/a?ticket=b", self.endpoint.local_addr().unwrap())
    }

    async fn request(&self) -> Request {
        let request = tokio::time::timeout(client::PATIENCE, self.endpoint.request()).await;
        request.expect("nobody asked").expect("the endpoint is open")
    }

    /// A client and its connection here.
    async fn connect(&self, manners: &Manners, config: ConnectionConfig) -> (Client, WebTransport) {
        let (url, hashes) = (self.url(), self.certificates.hashes());
        let server =
            async { self.request().await.accept(config, self.clock.clone()).await.unwrap() };
        let (client, mut transport) = tokio::join!(Client::connect(&url, &hashes, manners), server);
        let connected = event(&mut transport).await;
        assert!(matches!(connected, TransportEvent::Connected { codec: Codec::H264 }));
        (client.unwrap(), transport)
    }
}

async fn pair() -> (Node, Client, WebTransport) {
    let node = Node::open(EndpointConfig::default());
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    (node, client, transport)
}

async fn closed(transport: &mut WebTransport) -> CloseReason {
    loop {
        if let TransportEvent::Closed(reason) = event(transport).await {
            return reason;
        }
    }
}

fn body(n: u64, len: usize) -> Bytes {
    Bytes::from(client::nal(0x41, len, n))
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_arrive_whole_one_a_stream_and_are_reported_with_every_mark() {
    let (_node, client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    let mut before = None;
    for n in 0..20 {
        let len = if n == 0 { 150_000 } else { 3_000 + n as usize };
        sink.send(unit(n, MediaTime::from_millis(16 * n), body(n, len))).unwrap();
        let (header, data) = client.frame().await;
        assert_eq!(data, body(n, len));
        assert_eq!((header.frame, header.track, header.codec), (FrameId(n), 0, Codec::H264));
        assert_eq!(header.refers_to, n.checked_sub(1).map(FrameId));
        assert_eq!(header.kind, if n == 0 { UnitKind::Key } else { UnitKind::Delta });
        assert_eq!(
            (header.color, header.full_range, header.depth),
            ([1; 3], false, BitDepth::Eight)
        );
        if let Some(before) = before.replace(header.wire_timestamp) {
            assert_eq!(header.wire_timestamp.wrapping_sub(before), 16 * 90);
        }
        let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
        let TransportEvent::FrameSent { frame, wire_timestamp, bytes, stages, .. } = sent.await
        else {
            unreachable!()
        };
        assert_eq!((frame, wire_timestamp), (FrameId(n), header.wire_timestamp));
        assert!(bytes as usize > len, "{bytes}");
        let after =
            [Mark::Dequeued, Mark::Packetised, Mark::Paced, Mark::FirstSent, Mark::LastSent];
        let times = after.map(|mark| stages.get(mark).unwrap_or_else(|| panic!("{mark:?}")));
        assert!(times.is_sorted(), "{times:?}");
    }
}

/// Parts of a frame: whether the first and whether the last one.
const PARTS: [Part; 3] = [
    Part { first: true, last: false },
    Part { first: false, last: false },
    Part { first: false, last: true },
];

fn part(frame: u64, number: usize) -> AccessUnit {
    let data = body(10 * frame + number as u64, 20_000);
    AccessUnit { part: PARTS[number], ..unit(frame, MediaTime::from_millis(16 * frame), data) }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_leave_as_they_come_and_are_one_frame() {
    let (_node, client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..5 {
        sink.send(part(n, 0)).unwrap();
        assert!(sink.is_ready(), "it takes one place of two");
        // The client has the first part before there is another one.
        let begun = client.begun(20_000).await.unwrap();
        assert_eq!((begun.header.frame, begun.header.bytes), (FrameId(n), 0));
        assert_eq!(begun.unit, part(n, 0).data);
        sink.send(part(n, 1)).unwrap();
        let mut last = part(n, 2);
        last.stages.mark(Mark::Encoded, MediaTime::from_millis(16 * n + 5));
        sink.send(last).unwrap();
        let Came::Whole(_, data) = begun.rest().await else { panic!("given up") };
        assert_eq!(data, [0, 1, 2].map(|number| part(n, number).data).concat());
        let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
        let TransportEvent::FrameSent { frame, bytes, stages, .. } = sent.await else {
            unreachable!()
        };
        assert_eq!(frame, FrameId(n));
        assert!(bytes > 60_000, "{bytes}");
        assert_eq!(stages.get(Mark::Encoded), Some(MediaTime::from_millis(16 * n + 5)));
        assert!(stages.get(Mark::FirstSent) <= stages.get(Mark::LastSent));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_whose_last_part_never_comes_is_lost_and_the_next_one_arrives() {
    let (_node, client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(part(0, 0)).unwrap();
    let begun = client.begun(20_000).await.unwrap();
    // Another viewer's sink: what comes of the frame through the one before is refused.
    let mut next = transport.video_sink(TrackId(0));
    assert_eq!(sink.send(part(0, 1)), Err(SendRefused::NotConnected));
    next.send(unit(1, MediaTime::from_millis(16), body(1, 500))).unwrap();
    let lost = until(&mut transport, |event| matches!(event, TransportEvent::FramesLost(..))).await;
    let TransportEvent::FramesLost(_, frames) = lost else { unreachable!() };
    assert_eq!(frames, FrameId(0)..=FrameId(0));
    assert_eq!(begun.rest().await, Came::GivenUp);
    let (header, data) = client.frame().await;
    assert_eq!((header.frame, data), (FrameId(1), body(1, 500)));
    until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
    // What was lost before goes nowhere, and both places are free.
    next.send(part(0, 2)).unwrap();
    next.send(unit(2, MediaTime::from_millis(32), body(2, 500))).unwrap();
    next.send(unit(3, MediaTime::from_millis(48), body(3, 500))).unwrap();
    // Streams come in any order.
    let mut came = [client.frame().await.0.frame, client.frame().await.0.frame];
    came.sort_unstable();
    assert_eq!(came, [FrameId(2), FrameId(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_takes_too_long_loses_its_frame() {
    let node = Node::open(EndpointConfig::default());
    let deadline = Duration::from_millis(50);
    let deadlines = Deadlines { key: deadline, other: deadline };
    let config = ConnectionConfig { deadlines, ..connection_config() };
    let (_client, mut transport) = node.connect(&Manners::default(), config).await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(part(0, 0)).unwrap();
    // Nothing comes after it.
    let lost = until(&mut transport, |event| matches!(event, TransportEvent::FramesLost(..))).await;
    let TransportEvent::FramesLost(_, frames) = lost else { unreachable!() };
    assert_eq!(frames, FrameId(0)..=FrameId(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_within_a_frame_is_gone() {
    let (_node, client, mut transport) = pair().await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(part(0, 0)).unwrap();
    drop(client.begun(20_000).await);
    client.leave().await;
    assert_eq!(closed(&mut transport).await, CloseReason::Remote);
    assert_eq!(sink.send(part(0, 1)), Err(SendRefused::NotConnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_travel_both_ways_and_acknowledgements_become_a_report() {
    let (_node, mut client, mut transport) = pair().await;
    assert_eq!(
        transport.send_data(DataChannel::Control, Bytes::from_static(b"early")),
        Err(SendRefused::NotConnected)
    );
    client.open_control().await;
    let is_control = |event: &_| matches!(event, TransportEvent::ChannelOpen(DataChannel::Control));
    until(&mut transport, is_control).await;
    for n in 0..10_u8 {
        let message = Bytes::from(vec![n; 1 + 6_000 * usize::from(n)]);
        transport.send_data(DataChannel::Control, message.clone()).unwrap();
        assert_eq!(client.said().await, message);
    }
    for channel in DataChannel::ALL {
        client.send(channel, b"from the client").await;
        let data = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(on, body) = data else { unreachable!() };
        assert_eq!((on, &body[..]), (channel, &b"from the client"[..]));
    }
    let (acked, _) = arrived(&mut client, &mut transport, 20_000).await;
    assert!(acked.sent_bytes > 10_000, "{acked:?}");
    assert!(acked.acked_packets >= 14 && acked.round_trip.is_some(), "{acked:?}");
}

/// Sends frames of 10,000 bytes and acknowledges them until reports name so many bytes as arrived: what QUIC
/// has not acknowledged yet comes with a later one. Yields the sum of the reports, and how many frames it took.
async fn arrived(
    client: &mut Client,
    transport: &mut WebTransport,
    bytes: u64,
) -> (PathReport, u64) {
    let mut sink = transport.video_sink(TrackId(0));
    let mut sum: Option<PathReport> = None;
    for n in 0.. {
        sink.send(unit(n, MediaTime::from_millis(n), body(n, 10_000))).unwrap();
        let (header, _) = client.frame().await;
        until(transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
        let never_sent = (header.wire_timestamp.wrapping_add(1_000_000), 1);
        client.ack(&[never_sent, (header.wire_timestamp, 9_000)]).await;
        let path = until(transport, |event| matches!(event, TransportEvent::Path(_))).await;
        let TransportEvent::Path(mut report) = path else { unreachable!() };
        if let Some(before) = sum {
            report.acked_bytes += before.acked_bytes;
            report.acked_packets += before.acked_packets;
            report.sent_bytes += before.sent_bytes;
        }
        assert!(report.newest_sent <= report.at, "{report:?}");
        if report.acked_bytes > bytes {
            return (report, n + 1);
        }
        assert!(n < 1_000, "{report:?}");
        sum = Some(report);
    }
    unreachable!("there is always another frame")
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_fills_up_to_the_rate_and_counts_as_arrived() {
    let (_node, mut client, mut transport) = pair().await;
    // As long as it takes on a slow machine; 8 Mbit/s are 150 kB in 150 ms.
    transport.probe(Bitrate::from_mbps(8), client::PATIENCE);
    let mut padding = 0;
    while padding < 150_000 {
        let datagram = tokio::time::timeout(client::PATIENCE, client.connection.receive_datagram());
        let datagram = datagram.await.expect("no more padding").unwrap();
        assert_eq!(datagram[0], media::webtransport::PADDING);
        padding += datagram.len();
    }
    transport.probe(Bitrate::from_mbps(8), Duration::ZERO);
    let (acked, frames) = arrived(&mut client, &mut transport, 150_000).await;
    // Ten frames alone would not make so many.
    assert!(frames < 10 && acked.sent_bytes > 150_000, "{frames} frames, {acked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_takes_as_long_as_its_pace_says() {
    let node = Node::open(EndpointConfig::default());
    let config = ConnectionConfig { pacing: Some(Bitrate::from_mbps(4)), ..connection_config() };
    let (client, mut transport) = node.connect(&Manners::default(), config).await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(unit(0, MediaTime::ZERO, body(0, 100_000))).unwrap();
    client.frame().await;
    let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
    let TransportEvent::FrameSent { stages, .. } = sent.await else { unreachable!() };
    let [first, last] = [Mark::FirstSent, Mark::LastSent].map(|mark| stages.get(mark).unwrap());
    // 200 ms but for the first slice, which waits for nothing.
    assert!(last.since(first) >= Duration::from_millis(180), "{:?}", last.since(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_frames_and_later_ones_reach_it() {
    let node = Node::open(EndpointConfig::default());
    let manners = Manners { room: 8_000, ..Manners::default() };
    let deadline = Duration::from_millis(50);
    let deadlines = Deadlines { key: deadline, other: deadline };
    let (client, mut transport) =
        node.connect(&manners, ConnectionConfig { deadlines, ..connection_config() }).await;
    let mut sink = transport.video_sink(TrackId(0));
    assert!(sink.is_ready());
    for n in 0..2 {
        sink.send(unit(n, MediaTime::from_millis(n), body(n, 100_000))).unwrap();
    }
    assert!(!sink.is_ready());
    let third = unit(2, MediaTime::from_millis(2), body(2, 100));
    assert_eq!(sink.send(third), Err(SendRefused::Full));
    let mut lost = Vec::new();
    while lost.len() < 2 {
        if let TransportEvent::FramesLost(_, frames) = event(&mut transport).await {
            lost.extend(frames.start().0..=frames.end().0);
        }
    }
    assert_eq!(lost, [0, 1]);
    assert!(sink.is_ready(), "their places are free again");
    let seen = [client.came().await, client.came().await];
    assert_eq!(seen, [Came::GivenUp, Came::GivenUp]);
    // Now it reads, and what was thrown away no longer counts against it.
    loop {
        sink.send(unit(3, MediaTime::from_millis(3), body(3, 4_000))).unwrap();
        if let Came::Whole(header, data) = client.came().await {
            assert_eq!((header.frame, data), (FrameId(3), body(3, 4_000)));
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_refuse_what_is_not_theirs_and_what_comes_after_another_or_the_end() {
    let (_node, _client, mut transport) = pair().await;
    let mut first = transport.video_sink(TrackId(0));
    let small = || unit(0, MediaTime::ZERO, body(0, 10));
    let mut other = small();
    other.codec = Codec::Vp8;
    assert_eq!(first.send(other), Err(SendRefused::NotConnected));
    let mut second = transport.video_sink(TrackId(0));
    assert!(!first.is_ready() && second.is_ready());
    assert_eq!(first.send(small()), Err(SendRefused::NotConnected));
    assert_eq!(transport.video_sink(TrackId(9)).send(small()), Err(SendRefused::NotConnected));
    transport.close();
    assert_eq!(closed(&mut transport).await, CloseReason::Local);
    assert_eq!(second.send(small()), Err(SendRefused::NotConnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_may_end_it_and_the_other_one_learns() {
    let (node, client, mut transport) = pair().await;
    client.leave().await;
    assert_eq!(closed(&mut transport).await, CloseReason::Remote);
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    drop(transport);
    assert!(client.closed().await.contains("closed by the server"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_client_is_not_connected_and_the_next_one_is() {
    let node = Node::open(EndpointConfig::default());
    for why in [Refusal::Forbidden, Refusal::NotFound, Refusal::TooMany] {
        let refuse = async {
            let request = node.request().await;
            assert_eq!(request.path(), "/wt/a?ticket=b");
            assert_eq!(request.origin(), Some("https://play.test"));
            request.refuse(why).await;
        };
        let manners = Manners { origin: Some("https://play.test".into()), ..Manners::default() };
        let (url, hashes) = (node.url(), node.certificates.hashes());
        let (refused, ()) = tokio::join!(Client::connect(&url, &hashes, &manners), refuse);
        assert!(refused.is_err());
    }
    let (client, _transport) = node.connect(&Manners::default(), connection_config()).await;
    client.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_break_the_protocol_are_cut_off_with_a_reason_and_others_stay() {
    let (node, good, mut untouched) = pair().await;
    let mut sink = untouched.video_sink(TrackId(0));
    let wrongs = [
        "a message of 65537 bytes",
        "a message of 65535 bytes",
        "unknown kind 7",
        "unknown kind 1",
        "unknown kind 0",
        "second stream",
        "more than 64 streams",
    ];
    for (n, wrong) in wrongs.into_iter().enumerate() {
        let (mut bad, mut transport) = node.connect(&Manners::default(), connection_config()).await;
        match n {
            0 => {
                let (mut stream, _) = bad.connection.open_bi().await.unwrap().await.unwrap();
                stream.write_all(&[0, 0, 1, 0, 1]).await.unwrap();
            }
            1 => {
                let mut stream = bad.connection.open_uni().await.unwrap().await.unwrap();
                stream.write_all(&[1, 255, 255]).await.unwrap();
            }
            2 => {
                let mut stream = bad.connection.open_uni().await.unwrap().await.unwrap();
                stream.write_all(&[7]).await.unwrap();
            }
            // Input has one direction, control has two.
            3 => {
                let (mut stream, _) = bad.connection.open_bi().await.unwrap().await.unwrap();
                stream.write_all(&[1]).await.unwrap();
            }
            4 => {
                let mut stream = bad.connection.open_uni().await.unwrap().await.unwrap();
                stream.write_all(&[0]).await.unwrap();
            }
            5 => {
                bad.open_control().await;
                bad.open_control().await;
            }
            _ => {
                let connection = bad.connection.clone();
                // Streams that end before their first byte.
                while let Ok(opening) = connection.open_uni().await {
                    let Ok(mut stream) = opening.await else { break };
                    if stream.finish().await.is_err() {
                        break;
                    }
                }
            }
        }
        let reason = closed(&mut transport).await;
        let CloseReason::Failed(text) = &reason else { panic!("{wrong}: {reason:?}") };
        assert!(text.contains(wrong), "{wrong}: {text}");
        assert!(bad.closed().await.contains(wrong), "the client is told");
        sink.send(unit(n as u64, MediaTime::from_millis(n as u64), body(0, 1_000))).unwrap();
        assert_eq!(good.frame().await.0.frame, FrameId(n as u64));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_of_an_unknown_kind_are_counted_and_a_flood_of_motion_is_bounded() {
    let (_node, mut client, mut transport) = pair().await;
    for unknown in [&[0x55, 1, 2][..], &[]] {
        client.connection.send_datagram(unknown).unwrap();
    }
    holds(|| transport.ignored_datagrams() == 2).await;
    client.open_control().await;
    let mut sent = 0_u32;
    while transport.dropped_events() == 0 {
        client.send(DataChannel::Motion, &sent.to_be_bytes()).await;
        sent += 1;
        tokio::task::yield_now().await;
    }
    // Behind the flood on a stream: it passes as soon as the session reads.
    client.send(DataChannel::Control, b"still here").await;
    let mut motions = 0;
    loop {
        match event(&mut transport).await {
            TransportEvent::Data(DataChannel::Motion, _) => motions += 1,
            TransportEvent::Data(DataChannel::Control, body) => {
                assert_eq!(&body[..], b"still here");
                break;
            }
            TransportEvent::Closed(reason) => panic!("{reason:?}"),
            _ => {}
        }
    }
    assert!(motions < sent, "{motions} of {sent}");
}

/// A clock that stands, or panics once it is told to.
#[derive(Default)]
struct Broken(AtomicBool);

impl Clock for Broken {
    fn now(&self) -> MediaTime {
        assert!(!self.0.load(Ordering::Relaxed), "a clock that panics");
        MediaTime::from_millis(5)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_acknowledgements_is_bounded_and_ends_its_connection_alone() {
    let (mut node, other, mut untouched) = pair().await;
    // All of it is within a second.
    node.clock = Arc::new(Broken::default());
    let (client, mut transport) = node.connect(&Manners::default(), connection_config()).await;
    let nonsense = [media::webtransport::datagram_byte(DataChannel::Acks).unwrap(), 9];
    while client.connection.send_datagram(nonsense).is_ok() {
        tokio::task::yield_now().await;
    }
    let CloseReason::Flood(reason) = closed(&mut transport).await else { panic!() };
    assert_eq!(reason, "the client sent more than 10000 acknowledgements in a second");
    assert!(transport.dropped_events() >= 8_000, "{}", transport.dropped_events());
    assert!(client.closed().await.contains(&reason));
    untouched.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    other.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_input_ends_its_connection_alone() {
    let (mut node, other, mut untouched) = pair().await;
    node.clock = Arc::new(Broken::default());
    let flooded = async |mut transport: WebTransport, client: &Client| {
        let CloseReason::Flood(reason) = closed(&mut transport).await else { panic!() };
        assert_eq!(reason, "the client kept sending more than 20000 input events a second");
        assert!(client.closed().await.contains(&reason), "the client is told");
    };
    // By datagrams, which are dropped where the session has not read those before.
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    let motion = [media::webtransport::datagram_byte(DataChannel::Motion).unwrap(), 9];
    while client.connection.send_datagram(motion).is_ok() {
        tokio::task::yield_now().await;
    }
    flooded(transport, &client).await;
    // By a stream, which waits for the session.
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    let mut stream = client.connection.open_uni().await.unwrap().await.unwrap();
    stream.write_all(&[StreamKind::Input.first_byte()]).await.unwrap();
    let mut heap = Vec::new();
    for _ in 0..1_000 {
        assert!(Messages::write(StreamKind::Input, &[9], &mut heap));
    }
    let flooding = tokio::spawn(async move { while stream.write_all(&heap).await.is_ok() {} });
    flooded(transport, &client).await;
    flooding.await.unwrap();
    untouched.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    other.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_control_messages_ends_its_connection_alone() {
    let (mut node, other, mut untouched) = pair().await;
    node.clock = Arc::new(Broken::default());
    let (mut client, mut transport) = node.connect(&Manners::default(), connection_config()).await;
    client.open_control().await;
    for _ in 0..1_001 {
        client.send(DataChannel::Control, b"{}").await;
    }
    let CloseReason::Flood(reason) = closed(&mut transport).await else { panic!() };
    assert_eq!(reason, "the client kept sending more than 200 control messages a second");
    assert!(client.closed().await.contains(&reason), "the client is told");
    untouched.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    other.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_a_connections_own_tasks_ends_it_with_a_reason() {
    let (mut node, mut client, mut transport) = pair().await;
    let went_off = client::booby_trap(&mut transport);
    client.open_control().await;
    tokio::time::timeout(client::PATIENCE, went_off.notified()).await.unwrap();
    let reason = closed(&mut transport).await;
    assert_eq!(reason, CloseReason::Failed("its supervisor panicked".to_owned()));
    assert!(client.closed().await.contains("the server failed"));
    let clock = Arc::new(Broken::default());
    node.clock = clock.clone();
    let (client, mut transport) = node.connect(&Manners::default(), connection_config()).await;
    clock.0.store(true, Ordering::Relaxed);
    transport.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    let reason = closed(&mut transport).await;
    assert_eq!(reason, CloseReason::Failed("the writer failed".to_owned()));
    assert!(client.closed().await.contains("the writer failed"));
}

/// Waits until something holds.
async fn holds(mut what: impl FnMut() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(client::PATIENCE, wait).await.expect("it never holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_no_more() {
    let node = Node::open(EndpointConfig { per_address: 2, ..EndpointConfig::default() });
    let (first, mut one) = node.connect(&Manners::default(), connection_config()).await;
    let (_second, _two) = node.connect(&Manners::default(), connection_config()).await;
    let (url, hashes) = (node.url(), node.certificates.hashes());
    assert!(Client::connect(&url, &hashes, &Manners::default()).await.is_err());
    assert_eq!(node.endpoint.counts().refused, 1);
    first.leave().await;
    assert_eq!(closed(&mut one).await, CloseReason::Remote);
    node.connect(&Manners::default(), connection_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_ask_are_cut_off_and_hold_no_place() {
    let node = Node::open(EndpointConfig {
        handshakes: 2,
        per_address: 2,
        handshake_timeout: Duration::from_millis(200),
        ..EndpointConfig::default()
    });
    let quic = quic_client::quic(&node.certificates.hashes());
    let address = node.endpoint.local_addr().unwrap();
    for _ in 0..2 {
        let mut stuck = Vec::new();
        for _ in 0..2 {
            let connection = quic.connect(address, "localhost").unwrap().await.unwrap();
            // The first half of a stream's kind.
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(&[0x40]).await.unwrap();
            stuck.push((connection, stream));
        }
        // With their streams open: only the endpoint can have ended them.
        holds(|| node.endpoint.open_connections() == 0).await;
        drop(stuck);
    }
    assert_eq!(node.endpoint.counts().failed, 4);
    node.connect(&Manners::default(), connection_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_from_another_address_is_paced_and_reported_as_before() {
    let (_node, relay, mut client, mut transport) = behind_relay(EndpointConfig::default()).await;
    let before = transport.remote_address().ip();
    relay.moved.store(true, Ordering::Relaxed);
    let mut sink = transport.video_sink(TrackId(0));
    let (mut acked, mut lately, mut n) = (0, 0, 0);
    // What is acknowledged there is counted on.
    let counting = async {
        while transport.remote_address().ip() == before || lately < 100_000 {
            sink.send(unit(n, MediaTime::from_millis(n), body(n, 10_000))).unwrap();
            n += 1;
            let (header, _) = client.frame().await;
            client.ack(&[(header.wire_timestamp, 9_000)]).await;
            holds(|| sink.is_ready()).await;
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(event) = transport.poll_event(&mut cx) {
                let TransportEvent::Path(report) = event else { continue };
                acked += report.acked_bytes;
                if transport.remote_address().ip() != before {
                    lately += report.acked_bytes;
                }
            }
        }
    };
    tokio::time::timeout(client::PATIENCE, counting).await.expect("nothing counts as arrived");
    assert!(acked <= 12_000 * n, "{acked} bytes of {n} frames");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_sent_again_twice() {
    let (_node, relay, client, mut transport) = behind_relay(EndpointConfig::default()).await;
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..20 {
        relay.lose.store(n % 4 == 3, Ordering::Relaxed);
        sink.send(unit(n, MediaTime::from_millis(16 * n), body(n, 10_000))).unwrap();
        assert_eq!(client.frame().await.1, body(n, 10_000));
        holds(|| sink.is_ready()).await;
    }
    assert!(!relay.lose.load(Ordering::Relaxed));
    holds(|| relay.copies.load(Ordering::Relaxed) >= 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_clients_prove_their_address_first() {
    let node = Node::open(EndpointConfig { handshakes: 3, ..EndpointConfig::default() });
    // Handshakes that never come to their request.
    let quic = quic_client::quic(&node.certificates.hashes());
    let address = node.endpoint.local_addr().unwrap();
    let mut stuck = Vec::new();
    for _ in 0..2 {
        stuck.push(quic.connect(address, "localhost").unwrap().await.unwrap());
    }
    assert_eq!(node.endpoint.counts().validated, 0);
    node.connect(&Manners::default(), connection_config()).await;
    assert_eq!(node.endpoint.counts().validated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_for_new_clients_and_connections_outlive_the_change() {
    let (mut node, client, mut transport) = pair().await;
    let old = node.certificates.hashes();
    node.certificates = Certificates::own(SystemTime::now()).unwrap();
    node.endpoint.show(&node.certificates).unwrap();
    assert!(Client::connect(&node.url(), &old, &Manners::default()).await.is_err());
    holds(|| node.endpoint.counts().failed == 1).await;
    node.connect(&Manners::default(), connection_config()).await;
    transport.video_sink(TrackId(0)).send(unit(0, MediaTime::ZERO, body(0, 10))).unwrap();
    client.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_proves_its_address_while_the_certificate_changes_is_let_in() {
    let node = Node::open(EndpointConfig { per_address: 2, ..EndpointConfig::default() });
    let _first = node.connect(&Manners::default(), connection_config()).await;
    let next = Certificates::own(SystemTime::now()).unwrap();
    let hashes = next.hashes();
    let relay = Relay::start(node.endpoint.local_addr().unwrap()).await;
    let node = Arc::new(node);
    let changing = node.clone();
    let change = move || changing.endpoint.show(&next).unwrap();
    *relay.before.lock().unwrap() = Some(Box::new(change));
    let url = format!("https://{}/wt/a?ticket=b", relay.address);
    let manners = Manners::default();
    let (client, _request) = tokio::join!(Client::connect(&url, &hashes, &manners), async {
        node.request().await.accept(connection_config(), node.clock.clone()).await.unwrap()
    });
    client.unwrap();
    assert_eq!(node.endpoint.counts().validated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_path_is_interrupted_and_comes_back_or_does_not() {
    let config = EndpointConfig {
        interrupted_after: Duration::from_millis(500),
        unreachable_after: Duration::from_secs(4),
        ..EndpointConfig::default()
    };
    let (_node, relay, _client, mut transport) = behind_relay(config).await;
    relay.cut.store(true, Ordering::Relaxed);
    until(&mut transport, |event| matches!(event, TransportEvent::Interrupted)).await;
    relay.cut.store(false, Ordering::Relaxed);
    until(&mut transport, is_up).await;
    relay.cut.store(true, Ordering::Relaxed);
    assert_eq!(closed(&mut transport).await, CloseReason::Unreachable);
}

/// What is between one client and the server.
struct Relay {
    /// Where the client has to go.
    address: SocketAddr,
    /// Nothing passes.
    cut: AtomicBool,
    /// The server sees the client at another address.
    moved: AtomicBool,
    /// The next full datagram to the client does not pass.
    lose: AtomicBool,
    /// Datagrams to the client that came before.
    copies: AtomicU64,
    /// Done before the client gets the first word of the server.
    before: std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Relay {
    async fn start(server: SocketAddr) -> Arc<Self> {
        let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let address = near.local_addr().unwrap();
        let (cut, moved) = (AtomicBool::new(false), AtomicBool::new(false));
        let (lose, copies, before) = Default::default();
        let relay = Arc::new(Self { address, cut, moved, lose, copies, before });
        let state = relay.clone();
        tokio::spawn(async move {
            let mut client = None;
            let mut seen = HashSet::new();
            let (mut there, mut back, mut back_too) = ([0; 2_048], [0; 2_048], [0; 2_048]);
            loop {
                let (is_back, datagram) = tokio::select! {
                    Ok((len, from)) = near.recv_from(&mut there) => {
                        client = Some(from);
                        (false, &there[..len])
                    }
                    Ok((len, _)) = far.recv_from(&mut back) => (true, &back[..len]),
                    Ok((len, _)) = other.recv_from(&mut back_too) => (true, &back_too[..len]),
                };
                let is_copy = is_back && !seen.insert(datagram.to_vec());
                state.copies.fetch_add(u64::from(is_copy), Ordering::Relaxed);
                let is_full = is_back && datagram.len() > 1_000;
                if state.cut.load(Ordering::Relaxed)
                    || is_full && state.lose.swap(false, Ordering::Relaxed)
                {
                    continue;
                }
                let before = state.before.lock().unwrap().take_if(|_| is_back);
                if let Some(before) = before {
                    before();
                }
                let far = if state.moved.load(Ordering::Relaxed) { &other } else { &far };
                let _ = match client.filter(|_| is_back) {
                    Some(client) => near.send_to(datagram, client).await,
                    None => far.send_to(datagram, server).await,
                };
            }
        });
        relay
    }
}

/// A client behind a relay, and its connection here.
async fn behind_relay(config: EndpointConfig) -> (Node, Arc<Relay>, Client, WebTransport) {
    let node = Node::open(config);
    let relay = Relay::start(node.endpoint.local_addr().unwrap()).await;
    let url = format!("https://{}/wt/a?ticket=b", relay.address);
    let server = async {
        let request = node.request().await;
        request.accept(connection_config(), node.clock.clone()).await.unwrap()
    };
    let (hashes, manners) = (node.certificates.hashes(), Manners::default());
    let (client, mut transport) = tokio::join!(Client::connect(&url, &hashes, &manners), server);
    until(&mut transport, is_up).await;
    (node, relay, client.unwrap(), transport)
}

fn is_up(event: &TransportEvent) -> bool {
    matches!(event, TransportEvent::Connected { .. })
}
