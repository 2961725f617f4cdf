//! WebTransport on loopback, with a client in Rust: frames and messages here, the rest by its subject in `quic`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;
mod quic;
mod quic_client;

use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{
    AccessUnit, BitDepth, Bitrate, CloseReason, Codec, DataChannel, FrameId, Mark, MediaTime, Part,
    PathReport, SendRefused, TrackId, Transport, TransportEvent, UnitKind,
};
use nearlight_transport::webtransport::{
    ConnectionConfig, Deadlines, EndpointConfig, WebTransport,
};

use client::{event, unit, until};
use quic::{Node, body, closed, connection_config, pair};
use quic_client::{Came, Client, Manners};

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
        // A report is of 50 ms: what is acknowledged sooner after the one before makes none.
        tokio::time::sleep(Duration::from_millis(50)).await;
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
    let began = Instant::now();
    sink.send(unit(0, MediaTime::ZERO, body(0, 100_000))).unwrap();
    client.frame().await;
    // 200 ms but for the first slice, which waits for nothing. The server's marks are early where QUIC sends again what a
    // client that stands still has not acknowledged.
    assert!(began.elapsed() >= Duration::from_millis(180), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_frames_and_later_ones_reach_it() {
    let node = Node::open(EndpointConfig::default());
    let manners = Manners { room: 8_000, ..Manners::default() };
    // Within it both places are seen to be taken.
    let deadline = Duration::from_secs(5);
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
async fn what_was_said_before_our_close_arrives() {
    let (_node, mut client, mut transport) = pair().await;
    client.open_control().await;
    let is_control = |event: &_| matches!(event, TransportEvent::ChannelOpen(DataChannel::Control));
    until(&mut transport, is_control).await;
    // More than leaves at once.
    let said = |n: u8| Bytes::from(vec![n; 60_000]);
    for n in 0..8 {
        transport.send_data(DataChannel::Control, said(n)).unwrap();
    }
    transport.close();
    let late = transport.send_data(DataChannel::Control, said(8));
    assert_eq!(late, Err(SendRefused::NotConnected));
    for n in 0..8 {
        assert_eq!(client.said().await, said(n));
    }
    // It may go first, as a page does.
    client.leave().await;
    assert_eq!(closed(&mut transport).await, CloseReason::Local);
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
