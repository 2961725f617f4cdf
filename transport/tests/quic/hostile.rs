//! Clients that are refused, break the protocol or flood, and parts of a connection that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use media::webtransport::{Messages, StreamKind};
use media::{
    Clock, CloseReason, DataChannel, FrameId, MediaTime, TrackId, Transport, TransportEvent,
};
use nearlight_transport::webtransport::{EndpointConfig, Refusal, WebTransport};

use super::{Node, body, closed, connection_config, holds, pair};
use crate::client::{self, event, unit};
use crate::quic_client::{Client, Manners};

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
    let (mut sent, ignored) = (0_u32, transport.dropped_events());
    assert!(ignored >= 2, "{ignored}");
    while transport.dropped_events() == ignored {
        client.send(DataChannel::Motion, &sent.to_be_bytes()).await;
        sent += 1;
        // A server that stands still for two seconds finds fewer than it is cut off for.
        if sent.is_multiple_of(8) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
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
async fn a_flood_of_input_or_of_what_says_nothing_ends_its_connection_alone() {
    let (mut node, other, mut untouched) = pair().await;
    node.clock = Arc::new(Broken::default());
    let flooded = async |mut transport: WebTransport, client: &Client, what: &str| {
        let CloseReason::Flood(reason) = closed(&mut transport).await else { panic!() };
        assert_eq!(reason, format!("the client kept sending more than 20000 {what}"));
        assert!(client.closed().await.contains(&reason), "the client is told");
    };
    const INPUT: &str = "input events a second";
    const NOTHING: &str = "messages a second that say nothing";
    // By datagrams, which are dropped where the session has not read those before.
    let motion = media::webtransport::datagram_byte(DataChannel::Motion).unwrap();
    // Nor does a voice say so much, and of the third kind are none.
    for (first, what) in [(motion, INPUT), (media::webtransport::AUDIO, NOTHING), (0x55, NOTHING)] {
        let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
        while client.connection.send_datagram([first, 9]).is_ok() {
            tokio::task::yield_now().await;
        }
        flooded(transport, &client, what).await;
    }
    // By a stream, which waits for the session.
    let (client, transport) = node.connect(&Manners::default(), connection_config()).await;
    let mut stream = client.connection.open_uni().await.unwrap().await.unwrap();
    stream.write_all(&[StreamKind::Input.first_byte()]).await.unwrap();
    let mut heap = Vec::new();
    for _ in 0..1_000 {
        assert!(Messages::write(StreamKind::Input, &[9], &mut heap));
    }
    let flooding = tokio::spawn(async move { while stream.write_all(&heap).await.is_ok() {} });
    flooded(transport, &client, INPUT).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_quic_goes_nowhere_and_others_stay() {
    let (node, good, mut untouched) = pair().await;
    let mut sink = untouched.video_sink(TrackId(0));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = node.endpoint.local_addr().unwrap();
    // Knuth's linear congruential generator, the same bytes each time.
    let mut state = 0x51_u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as usize
    };
    for n in 0..4_000 {
        let length = 1 + random() % 1_499;
        let mut bytes: Vec<_> = (0..length).map(|_| random().to_le_bytes()[0]).collect();
        // Half of them begin as packets of QUIC do (RFC 9000 section 17.2), of every version.
        if n % 2 == 0 {
            bytes[0] |= 0xc0;
        }
        socket.send_to(&bytes, to).unwrap();
    }
    // Behind all of them in the socket.
    let (later, _theirs) = node.connect(&Manners::default(), connection_config()).await;
    assert!(tokio::time::timeout(Duration::ZERO, node.endpoint.request()).await.is_err());
    sink.send(unit(0, MediaTime::ZERO, body(0, 100))).unwrap();
    assert_eq!(good.frame().await.1, body(0, 100));
    later.leave().await;
    good.leave().await;
}
