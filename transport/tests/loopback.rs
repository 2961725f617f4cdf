//! A server's transport against a client of the same stack, over loopback.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use client::{Arrived, Wish, annex_b, config, connect, event, unit, until};
use media::{
    AccessUnit, CloseReason, Codec, ColorDescription, DataChannel, FrameId, Mark, MediaTime, Part,
    SendRefused, TrackId, Transport, TransportEvent, UnitKind, UnitSink,
};

use rtc::rtp::codec::h264::H264Packet;
use rtc::rtp::packetizer::Depacketizer;
use rtc::shared::marshal::MarshalSize;

/// Sends when there is room.
async fn send(sink: &mut Box<dyn UnitSink>, unit: AccessUnit) {
    tokio::time::timeout(client::PATIENCE, async {
        while !sink.is_ready() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .expect("the sink never took a unit");
    sink.send(unit).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_arrive_byte_for_byte_with_timestamps_of_their_capture() {
    let (mut client, mut transport, answer) = connect(Wish::PAGE, config()).await;
    assert_eq!((answer.codec, answer.video_tracks, answer.data_channels), (Codec::H264, 1, true));
    let mut sink = transport.video_sink(TrackId(0));
    // Sizes around one packet, one fragment more, and many; frames are skipped in between.
    let sizes = [40_000, 3, 1_149, 1_150, 1_151, 2_297, 2_298, 2_299, 9_000, 100, 25_000];
    let mut first = None;
    for (n, size) in sizes.into_iter().enumerate() {
        let n = n as u64;
        let at = MediaTime::from_millis(1_000 + n * n * 17);
        let sent = annex_b(n == 0, size, n);
        send(&mut sink, unit(n, at, sent.clone())).await;
        let (_, timestamp, got) = client.frame().await;
        assert!(got == sent, "frame {n} of {size} bytes differs");
        let first = *first.get_or_insert(timestamp);
        assert_eq!(timestamp.wrapping_sub(first), (n * n * 17 * 90) as u32, "frame {n}");
    }
}

/// The part of a frame that begins it, goes on with it, or ends it.
fn part(frame: u64, number: usize) -> AccessUnit {
    let at = MediaTime::from_millis(frame * 16);
    let data = annex_b(frame == 0 && number == 0, 4_000, 10 * frame + number as u64);
    let part = Part { first: number == 0, last: number == 2 };
    AccessUnit { part, ..unit(frame, at, data) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_leave_as_they_come_and_are_one_frame() {
    let (mut client, mut transport, answer) = connect(Wish::PLAYER, config()).await;
    let id = extension(&answer.sdp, "#dependency-descriptor-rtp-header-extension");
    let mut sink = transport.video_sink(TrackId(0));
    let mut reader = client::descriptor::Reader::default();
    let (mut timestamps, mut next) = (Vec::new(), None);
    for n in 0..5_u64 {
        let mut depacketizer = H264Packet::default();
        for number in 0..3 {
            let sent = part(n, number);
            sink.send(sent.clone()).unwrap();
            // The client has all of a part before there is another one.
            let (mut came, mut packets) = (Vec::new(), 0);
            while came.len() < sent.data.len() {
                let packet = client.packet().await;
                let descriptor = reader.read(&packet.header.get_extension(id).unwrap());
                let first = number == 0 && packets == 0;
                packets += 1;
                came.extend_from_slice(&depacketizer.depacketize(&packet.payload).unwrap());
                let last = number == 2 && came.len() == sent.data.len();
                assert_eq!((descriptor.first, descriptor.last), (first, last), "{n}, {number}");
                assert_eq!((descriptor.number, packet.header.marker), (n as u16, last));
                let sequence = packet.header.sequence_number;
                assert_eq!(next.replace(sequence.wrapping_add(1)).unwrap_or(sequence), sequence);
                timestamps.push(packet.header.timestamp);
            }
            assert!(came == sent.data, "{n}, {number}");
        }
        assert_eq!(sink.send(part(n, 2)), Err(SendRefused::GivenUp), "it is over");
        timestamps.dedup();
        assert_eq!(timestamps.len() as u64, n + 1);
        let sent = until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. }));
        let TransportEvent::FrameSent { frame, bytes, .. } = sent.await else { unreachable!() };
        assert_eq!(frame, FrameId(n));
        assert!(bytes > 12_000, "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_whose_last_part_never_comes_is_lost_and_the_next_one_arrives() {
    let (mut client, mut transport, _) = connect(Wish::PLAYER, config()).await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(part(0, 0)).unwrap();
    // Another viewer's sink: what comes of the frame through the one before is refused.
    let mut next = transport.video_sink(TrackId(0));
    assert_eq!(sink.send(part(0, 1)), Err(SendRefused::NotConnected));
    let whole = annex_b(true, 3_000, 77);
    let at = MediaTime::from_millis(16);
    let key = AccessUnit { kind: UnitKind::Key, refers_to: None, ..unit(1, at, whole.clone()) };
    next.send(key).unwrap();
    let told = until(&mut transport, |event| matches!(event, TransportEvent::FramesLost(..))).await;
    let TransportEvent::FramesLost(_, frames) = told else { unreachable!() };
    assert_eq!(frames, FrameId(0)..=FrameId(0));
    let (_, _, got) = client.frame().await;
    // This client goes by markers alone: it has what came of the first before.
    assert!(got.ends_with(&whole));
    until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
    assert_eq!(next.send(part(0, 1)), Err(SendRefused::GivenUp));
    for n in 2..6 {
        let data = annex_b(false, 300, n);
        send(&mut next, unit(n, MediaTime::from_millis(16 * n), data.clone())).await;
        assert_eq!(client.frame().await.2, data);
    }
}

/// The number that an answer gives a header extension.
fn extension(sdp: &str, name: &str) -> u8 {
    let line = sdp.lines().find(|line| line.ends_with(&format!("/{name}"))).unwrap();
    line["a=extmap:".len()..].split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_packet_of_a_frame_carries_a_playout_delay_of_zero() {
    let (mut client, mut transport, answer) = connect(Wish::PLAYER, config()).await;
    let id = extension(&answer.sdp, "playout-delay");
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..3 {
        let data = annex_b(n == 0, 5_000, n);
        send(&mut sink, unit(n, MediaTime::from_millis(16 * n), data)).await;
        let mut packets = 0;
        loop {
            let packet = client.packet().await;
            let wanted = (packets == 0).then_some(&[0_u8; 3][..]);
            assert_eq!(packet.header.get_extension(id).as_deref(), wanted, "{n}, {packets}");
            assert_eq!(packet.header.payload_type, 108, "the client's number of 42e01f");
            packets += 1;
            if packet.header.marker {
                break;
            }
        }
        assert!(packets > 4, "{packets}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_packet_of_a_keyframe_tells_colours_that_are_not_the_usual_ones() {
    let (mut client, mut transport, answer) = connect(Wish::PLAYER, config()).await;
    let id = extension(&answer.sdp, "color-space");
    let mut sink = transport.video_sink(TrackId(0));
    let (usual, hdr) = (ColorDescription::BT709_LIMITED, ColorDescription::BT2020_PQ_LIMITED);
    for (n, (kind, color, told)) in
        [(UnitKind::Key, hdr, true), (UnitKind::Delta, hdr, false), (UnitKind::Key, usual, false)]
            .into_iter()
            .enumerate()
    {
        let at = MediaTime::from_millis(n as u64 * 17);
        let data = annex_b(kind == UnitKind::Key, 5_000, n as u64);
        send(&mut sink, AccessUnit { kind, color, ..unit(n as u64, at, data) }).await;
        loop {
            let packet = client.packet().await;
            let last = packet.header.marker;
            // BT.2020, PQ, BT.2020; limited range, chroma on the left and between the rows.
            let wanted = [9, 16, 9, 0b01_01_10];
            let wanted = (told && last).then_some(&wanted[..]);
            assert_eq!(packet.header.get_extension(id).as_deref(), wanted, "unit {n}");
            let header = packet.header.marshal_size();
            assert!(header + packet.payload.len() + 2 + 16 <= 1_200, "it has its room");
            if last {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_goes_both_ways_on_every_channel() {
    let (mut client, mut transport, _) = connect(Wish::PAGE, config()).await;
    let mut open = Vec::new();
    while open.len() < DataChannel::ALL.len() {
        if let TransportEvent::ChannelOpen(channel) = event(&mut transport).await {
            open.push(channel);
        }
    }
    for channel in DataChannel::ALL {
        assert!(open.contains(&channel));
        // This client's stack loses what reaches it before its channels are set up.
        client.opened(channel).await;
        let body = Bytes::from(format!("{{\"to\":\"{}\"}}", channel.label()));
        transport.send_data(channel, body.clone()).unwrap();
        loop {
            if let Arrived::Message(from, got) = client.next().await {
                assert_eq!((from, got), (channel, body));
                break;
            }
        }
        client.send(channel, &[1, 2, 3]).await;
        let came = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(from, body) = came else { unreachable!() };
        assert_eq!((from, &body[..]), (channel, &[1, 2, 3][..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn input_in_bulk_arrives_in_order() {
    let (mut client, mut transport, _) = connect(Wish::PAGE, config()).await;
    client.opened(DataChannel::Input).await;
    let sender = tokio::spawn(async move {
        for n in 0..2_000_u32 {
            client.send(DataChannel::Input, &n.to_le_bytes()).await;
        }
        client
    });
    for n in 0..2_000_u32 {
        let came = until(&mut transport, |event| matches!(event, TransportEvent::Data(..))).await;
        let TransportEvent::Data(_, body) = came else { unreachable!() };
        assert_eq!(body[..], n.to_le_bytes());
    }
    drop(sender.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_player_needs_no_data_channels() {
    let wish = Wish { audio: true, ..Wish::PLAYER };
    let (mut client, mut transport, answer) = connect(wish, config()).await;
    assert!(!answer.data_channels && !answer.sdp.contains("m=application"));
    let audio = answer.sdp.split("m=").find(|section| section.starts_with("audio")).unwrap();
    assert!(audio.contains("a=inactive") && audio.contains("a=ice-ufrag"), "{audio}");
    send(&mut transport.video_sink(TrackId(0)), unit(0, MediaTime::ZERO, annex_b(true, 500, 1)))
        .await;
    client.frame().await;
    assert_eq!(
        transport.send_data(DataChannel::Control, Bytes::from_static(b"{}")),
        Err(SendRefused::NotConnected)
    );
    assert!(transport.audio_sink().is_none(), "the session has no sound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tracks_go_by_their_sections() {
    let wish = Wish { videos: 3, ..Wish::PLAYER };
    let (mut client, mut transport, answer) = connect(wish, config()).await;
    assert_eq!(answer.video_tracks, 3);
    let mut ssrcs: Vec<u32> = Vec::new();
    for n in 0..3_u8 {
        let mut sink = transport.video_sink(TrackId(n));
        let data = annex_b(true, 3_000 + usize::from(n), 7);
        let mut sent = unit(0, MediaTime::ZERO, data.clone());
        sent.track = TrackId(n);
        send(&mut sink, sent).await;
        let (ssrc, _, got) = client.frame().await;
        assert_eq!(got, data);
        let section = answer.sdp.split("m=video").nth(usize::from(n) + 1).unwrap();
        assert!(section.contains(&format!("a=ssrc:{ssrc} ")), "track {n}");
        ssrcs.push(ssrc);
    }
    assert!(ssrcs[0] != ssrcs[1] && ssrcs[1] != ssrcs[2]);
    assert!(!transport.video_sink(TrackId(3)).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_picture_is_asked_for_anew() {
    let (mut client, mut transport, _) = connect(Wish::PLAYER, config()).await;
    send(&mut transport.video_sink(TrackId(0)), unit(0, MediaTime::ZERO, annex_b(true, 500, 1)))
        .await;
    let (ssrc, ..) = client.frame().await;
    client.picture_loss(ssrc).await;
    let came =
        until(&mut transport, |event| matches!(event, TransportEvent::KeyframeNeeded(_))).await;
    assert!(matches!(came, TransportEvent::KeyframeNeeded(TrackId(0))));
}

/// The runtime has one thread and the test does not await between the calls, so the driver cannot
/// take the first unit before the third is offered.
#[tokio::test]
async fn a_queue_of_two_refuses_the_third() {
    let (_client, mut transport, _) = connect(Wish::PLAYER, config()).await;
    let mut sink = transport.video_sink(TrackId(0));
    let frame = |n| unit(n, MediaTime::from_millis(n * 16), annex_b(n == 0, 500, n));
    assert!(sink.is_ready());
    sink.send(frame(0)).unwrap();
    sink.send(frame(1)).unwrap();
    assert!(!sink.is_ready());
    assert_eq!(sink.send(frame(2)), Err(SendRefused::Full));
    for expected in 0..2 {
        let sent =
            until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
        let TransportEvent::FrameSent { frame, .. } = sent else { unreachable!() };
        assert_eq!(frame, FrameId(expected));
    }
    assert!(sink.is_ready());
    sink.send(frame(3)).unwrap();
    let mut replacing = transport.video_sink(TrackId(0));
    assert_eq!(sink.send(frame(4)), Err(SendRefused::NotConnected), "replaced");
    replacing.send(frame(4)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_of_a_sent_frame_are_in_order() {
    let (_client, mut transport, _) = connect(Wish::PLAYER, config()).await;
    transport.set_pacing(media::Bitrate::from_mbps(100));
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..20_u64 {
        let data = annex_b(n == 0, 30_000, n);
        send(&mut sink, unit(n, MediaTime::from_nanos(n + 1), data)).await;
        let sent =
            until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
        let TransportEvent::FrameSent { track, frame, bytes, stages, .. } = sent else {
            unreachable!()
        };
        assert_eq!((track, frame), (TrackId(0), FrameId(n)));
        assert!((30_000..33_000).contains(&bytes), "{bytes}");
        let marks = [
            Mark::Captured,
            Mark::Dequeued,
            Mark::Packetised,
            Mark::Paced,
            Mark::FirstSent,
            Mark::LastSent,
        ];
        let times: Vec<_> = marks.map(|mark| stages.get(mark).expect("a mark is missing")).into();
        assert!(times.is_sorted(), "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_path_is_reported() {
    let config = config();
    let port = config.port.clone();
    let began = std::time::Instant::now();
    let (mut client, mut transport, _) = connect(Wish::PLAYER, config).await;
    let mut sink = transport.video_sink(TrackId(0));
    let mut sent = 0;
    let mut acked = 0;
    let mut round_trip = None;
    let mut n = 0;
    let started = std::time::Instant::now();
    // Round trips come with receiver reports, about one a second. Frames leave as fast as the socket takes them.
    while (acked < 50 || round_trip.is_none()) && started.elapsed() < client::PATIENCE {
        if sink.is_ready() {
            let body = annex_b(n == 0, 3_000, n);
            sink.send(unit(n, MediaTime::from_millis(n * 10), body)).unwrap();
            n += 1;
        }
        // Nothing piles up however late the next report is.
        while client.arrived.try_recv().is_ok() {}
        let event = event(&mut transport).await;
        if let TransportEvent::Path(report) = event {
            assert!(report.acked_bytes <= report.sent_bytes);
            acked += report.acked_packets;
            sent += report.sent_bytes;
            round_trip = report.round_trip.or(round_trip);
        }
    }
    assert!(acked >= 50 && sent > 50 * 900, "{acked} packets acknowledged, {:?}", port.counts());
    let round_trip = round_trip.expect("no round trip was measured");
    assert!(round_trip < began.elapsed(), "{round_trip:?} of {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_close_is_reported_here_and_there() {
    let (client, mut transport, _) = connect(Wish::PAGE, config()).await;
    let mut sink = transport.video_sink(TrackId(0));
    transport.close();
    let last = until_closed(&mut transport).await;
    assert_eq!(last, CloseReason::Local);
    assert_eq!(
        sink.send(unit(0, MediaTime::ZERO, annex_b(true, 10, 0))),
        Err(SendRefused::NotConnected)
    );
    // The client's own stack tells of the end by its data channels only.
    tokio::time::timeout(client::PATIENCE, async {
        loop {
            let state = client.channels[&0].ready_state().await;
            if !matches!(state, Ok(webrtc::data_channel::RTCDataChannelState::Open)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the client was not told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_before_our_close_arrives() {
    let (mut client, mut transport, _) = connect(Wish::PAGE, config()).await;
    let is_control = |event: &_| matches!(event, TransportEvent::ChannelOpen(DataChannel::Control));
    until(&mut transport, is_control).await;
    client.opened(DataChannel::Control).await;
    // More than leaves before the client has acknowledged some of it.
    let said = |n: u8| Bytes::from(vec![b'a' + n; 10_000]);
    for n in 0..8 {
        transport.send_data(DataChannel::Control, said(n)).unwrap();
    }
    transport.close();
    let late = transport.send_data(DataChannel::Control, said(8));
    assert_eq!(late, Err(SendRefused::NotConnected));
    for n in 0..8 {
        let got = loop {
            if let Arrived::Message(DataChannel::Control, got) = client.next().await {
                break got;
            }
        };
        assert_eq!(got, said(n));
    }
    assert_eq!(until_closed(&mut transport).await, CloseReason::Local);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_close_is_reported_at_once() {
    for wish in [Wish::PAGE, Wish::PLAYER] {
        let (client, mut transport, _) = connect(wish, config()).await;
        client.peer.close().await.unwrap();
        let closed = tokio::time::timeout(client::PATIENCE, until_closed(&mut transport));
        assert_eq!(closed.await.expect("the end"), CloseReason::Remote);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_is_interrupted_then_gone() {
    let config = nearlight_transport::WebRtcConfig {
        // Far apart: whoever looks late would see nothing but the end.
        interrupted_after: Duration::from_millis(500),
        unreachable_after: Duration::from_secs(8),
        ..config()
    };
    // The client's tasks live in a runtime of their own, which dies without a goodbye.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let (client, offer) = runtime.spawn(client::Client::offer(Wish::PLAYER)).await.unwrap();
    let clock = client::MonotonicClock::shared();
    let (mut transport, answer) =
        nearlight_transport::WebRtc::answer(&offer, config, clock).await.unwrap();
    let client = runtime
        .spawn(async move {
            client.accept(&answer).await;
            client
        })
        .await
        .unwrap();
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    runtime.shutdown_background();
    until(&mut transport, |event| matches!(event, TransportEvent::Interrupted)).await;
    assert_eq!(until_closed(&mut transport).await, CloseReason::Unreachable);
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_comes_is_given_up() {
    let config = nearlight_transport::WebRtcConfig {
        connect_timeout: Duration::from_millis(200),
        ..config()
    };
    let (_client, offer) = client::Client::offer(Wish::PLAYER).await;
    let clock = client::MonotonicClock::shared();
    let (mut transport, _) =
        nearlight_transport::WebRtc::answer(&offer, config, clock).await.unwrap();
    assert!(!transport.video_sink(TrackId(0)).is_ready());
    assert_eq!(until_closed(&mut transport).await, CloseReason::Unreachable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trickled_candidates_are_read_and_none_is_needed() {
    let (client, offer) = client::Client::offer(Wish::PLAYER).await;
    let (candidates, rest): (Vec<&str>, Vec<&str>) =
        offer.lines().partition(|line| line.starts_with("a=candidate:"));
    assert!(!candidates.is_empty());
    let offer = rest.join("\r\n") + "\r\n";
    let clock = client::MonotonicClock::shared();
    let (mut transport, answer) =
        nearlight_transport::WebRtc::answer(&offer, config(), clock).await.unwrap();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    let attribute = |key: &str| rest.iter().find(|line| line.starts_with(key)).unwrap().to_string();
    let fragment = |candidates: &str| {
        format!(
            "{}\r\n{}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n{candidates}\r\n",
            attribute("a=ice-ufrag:"),
            attribute("a=ice-pwd:"),
        )
    };
    let handle = transport.remote_candidates();
    assert!(handle.add(&fragment(&candidates.join("\r\n"))).unwrap() > 0);
    assert_eq!(handle.add(&fragment(&format!("{}\r\n", candidates[0]).repeat(100))), Ok(32));
    drop(transport);
    let closed = async {
        while handle.add(&fragment(candidates[0])).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(client::PATIENCE, closed).await.expect("closed by the drop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_name_external_addresses_and_the_port_and_that_we_are_lite() {
    let (_client, offer) = client::Client::offer(Wish::PAGE).await;
    let config = client::config_at(nearlight_transport::PortConfig {
        loopback: true,
        external: vec!["203.0.113.7".parse().unwrap()],
        ..nearlight_transport::PortConfig::new(vec!["127.0.0.2".parse().unwrap()])
    });
    let port = config.port.number().to_string();
    let clock = client::MonotonicClock::shared();
    let (_transport, answer) =
        nearlight_transport::WebRtc::answer(&offer, config, clock).await.unwrap();
    let (head, media) = answer.sdp.split_once("m=").unwrap();
    assert!(head.contains("a=ice-lite\r\n"), "{head}");
    let candidates: Vec<Vec<&str>> = media
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').collect())
        .collect();
    // Loopback addresses are never behind a NAT.
    for ip in ["127.0.0.1", "127.0.0.2"] {
        for protocol in ["udp", "tcp"] {
            let is = |words: &&Vec<&str>| words[2] == protocol && words[4] == ip;
            assert!(candidates.iter().any(|words| is(&words)), "{ip} {protocol}: {candidates:?}");
        }
    }
    assert!(candidates.iter().all(|words| words[1] == "1" && words[5] == port), "{candidates:?}");
}

async fn until_closed(transport: &mut nearlight_transport::WebRtcTransport) -> CloseReason {
    loop {
        if let TransportEvent::Closed(reason) = event(transport).await {
            return reason;
        }
    }
}

/// A client that loses each twentieth packet, whose packets are sent again for so long; and how many it
/// lost.
async fn connect_lossy(
    resend_within: Duration,
) -> (
    client::Client,
    nearlight_transport::WebRtcTransport,
    nearlight_transport::Answer,
    Arc<AtomicUsize>,
) {
    let lost = Arc::new(AtomicUsize::new(0));
    let runtime = Arc::new(client::lossy::Lossy { every: 20, lost: lost.clone() });
    let (mut client, offer) = client::Client::offer_on(Wish::PLAYER, runtime).await;
    let clock = client::MonotonicClock::shared();
    let config = nearlight_transport::WebRtcConfig { resend_within, ..config() };
    let (mut transport, answer) =
        nearlight_transport::WebRtc::answer(&offer, config, clock).await.unwrap();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    client.state(webrtc::peer_connection::RTCPeerConnectionState::Connected).await;
    (client, transport, answer, lost)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_resending_brings_too_late_is_told_as_lost() {
    let (_client, mut transport, _, lost) = connect_lossy(Duration::ZERO).await;
    let mut sink = transport.video_sink(TrackId(0));
    for n in 0..60 {
        send(&mut sink, unit(n, MediaTime::from_millis(n * 16), annex_b(n == 0, 3_000, n))).await;
    }
    let told = until(&mut transport, |event| matches!(event, TransportEvent::FramesLost(..))).await;
    let TransportEvent::FramesLost(TrackId(0), frames) = told else { panic!("{told:?}") };
    assert!(lost.load(Ordering::Relaxed) > 0);
    // Each has three packets, and the twentieth packet was the first to be lost.
    assert!((5..=7).contains(&frames.start().0), "{frames:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_packets_are_sent_again_on_their_own_stream() {
    // Whatever the machine is busy with, nothing is given up.
    let (mut client, mut transport, answer, lost) = connect_lossy(client::PATIENCE).await;
    let id = extension(&answer.sdp, "#dependency-descriptor-rtp-header-extension");
    let mut sink = transport.video_sink(TrackId(0));
    // 60 frames of 10,000 bytes in payloads of 1,150: nine each, and the parameter sets.
    let expected = 60 * 9 + 1;
    let (mut numbers, mut first) = (BTreeSet::<i16>::new(), None);
    let (mut n, mut sent) = (0, 0);
    let all_come = async {
        loop {
            let whole = (0..).take_while(|number| numbers.contains(number)).count();
            if whole >= expected {
                break;
            }
            // No more are sent behind a gap than a socket holds, so that it loses none, and the client, whose next request may
            // be late, still knows the gap. Small frames behind the sixty show that the last of those is missing.
            if sent < whole + 64 && sink.is_ready() {
                let (size, packets) = if n < 60 { (10_000, 9) } else { (100, 1) };
                let at = MediaTime::from_millis(n * 16);
                sink.send(unit(n, at, annex_b(n == 0, size, n))).unwrap();
                (n, sent) = (n + 1, sent + packets);
            }
            let next = tokio::time::timeout(Duration::from_millis(2), client.next()).await;
            let Ok(Arrived::Packet(packet)) = next else { continue };
            let first = *first.get_or_insert(packet.header.sequence_number);
            assert!(packet.header.get_extension(id).is_some(), "it came without its descriptor");
            numbers.insert(packet.header.sequence_number.wrapping_sub(first) as i16);
        }
    };
    tokio::time::timeout(client::PATIENCE, all_come).await.expect("some never came");
    assert!(lost.load(Ordering::Relaxed) >= 20, "too little was lost to prove anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_packet_tells_what_its_frame_needs() {
    let (mut client, mut transport, answer) = connect(Wish::PLAYER, config()).await;
    let id = extension(&answer.sdp, "#dependency-descriptor-rtp-header-extension");
    let mut sink = transport.video_sink(TrackId(0));
    let mut reader = client::descriptor::Reader::default();
    // Frames by number, what they are coded from, and how many frames before them that was sent.
    let frames: [(u64, Option<u64>, &[u16]); 7] = [
        (0, None, &[]),
        (1, Some(0), &[1]),
        (4, Some(1), &[1]),
        (5, Some(0), &[3]),
        (6, Some(5), &[1]),
        (7, None, &[]),
        (9, Some(7), &[1]),
    ];
    for (number, (frame, refers_to, needs)) in frames.into_iter().enumerate() {
        let kind = if refers_to.is_none() { UnitKind::Key } else { UnitKind::Delta };
        let data = annex_b(kind == UnitKind::Key, 4_000, frame);
        let refers_to = refers_to.map(FrameId);
        let unit = unit(frame, MediaTime::from_millis(frame * 16), data);
        send(&mut sink, AccessUnit { kind, refers_to, ..unit }).await;
        let mut packets = 0;
        loop {
            let packet = client.packet().await;
            let descriptor = reader.read(&packet.header.get_extension(id).unwrap());
            let expected = client::descriptor::Descriptor {
                first: packets == 0,
                last: packet.header.marker,
                number: number as u16,
                templates: packets == 0 && kind == UnitKind::Key,
                needs: needs.to_vec(),
            };
            assert_eq!(descriptor, expected, "packet {packets} of frame {frame}");
            assert!(packet.header.marshal_size() + packet.payload.len() + 2 + 16 <= 1_200);
            packets += 1;
            if packet.header.marker {
                break;
            }
        }
        assert!(packets > 3);
    }
}
