//! Offers of strangers against the whole stack: an error, never a panic, and nothing left open. And clients
//! and readers that break their connection: it ends with a reason.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::sync::Arc;
use std::time::Duration;

use client::{
    Arrived, Client, MonotonicClock, Wish, annex_b, booby_trap, config, connect, event, unit, until,
};
use media::{Clock, CloseReason, DataChannel, MediaTime, TrackId, Transport, TransportEvent};
use nearlight_transport::{OfferError, WebRtc};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rtc::rtcp::raw_packet::RawPacket;

const CHROMIUM: &str = include_str!("offers/chromium.sdp");

async fn answer(offer: &str) -> Result<String, OfferError> {
    let answered = WebRtc::answer(offer, config(), MonotonicClock::shared()).await;
    answered.map(|(_transport, answer)| answer.sdp)
}

#[tokio::test]
async fn a_browsers_offer_is_answered() {
    let sdp = answer(CHROMIUM).await.unwrap();
    for line in [
        "a=setup:passive",
        "a=sendonly",
        "a=rtpmap:108 H264/90000",
        "a=rtpmap:109 rtx/90000",
        "a=rtcp-fb:108 nack pli",
        "a=rtcp-fb:108 transport-cc",
        "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    ] {
        assert!(sdp.lines().any(|found| found == line), "no {line} in\n{sdp}");
    }
    assert!(sdp.contains("a=ssrc-group:FID "), "{sdp}");
    assert!(!sdp.contains("VP8") && !sdp.contains("a=rtpmap:98"), "{sdp}");
}

#[tokio::test]
async fn refusals_come_by_name() {
    assert_eq!(answer("").await, Err(OfferError::Empty));
    let ten_megabytes = CHROMIUM.repeat(10_000_000 / CHROMIUM.len());
    assert!(matches!(answer(&ten_megabytes).await, Err(OfferError::TooLarge(_))));
    assert_eq!(answer(&CHROMIUM.replace("m=video", "m=audio")).await, Err(OfferError::NoVideo));
    let error = answer(&CHROMIUM.replace("H264", "VP9")).await.unwrap_err();
    assert!(matches!(error, OfferError::NoUsableCodec(_)), "{error}");
    let error = answer(&CHROMIUM.replace("sha-256 75:", "")).await.unwrap_err();
    assert!(matches!(error, OfferError::Malformed(_)), "{error}");
}

/// Chooses the same every time.
fn runner() -> TestRunner {
    let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
    let rng = proptest::test_runner::TestRng::deterministic_rng(algorithm);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// Lines are dropped, doubled, swapped and bitten, so that most offers pass the first reader and
/// reach the stack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_offers_never_panic() {
    let panics = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (_, loopback) = Client::offer(Wish::PAGE).await;
    let mut runner = runner();
    let edits = prop::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..5, any::<char>()),
        1..6,
    );
    let (mut answered, mut refused) = (0, 0);
    for n in 0..250 {
        let offer = if n % 2 == 0 { CHROMIUM } else { &loopback };
        let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
        for (a, b, what, letter) in edits.new_tree(&mut runner).unwrap().current() {
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            match what {
                0 if lines.len() > 1 => {
                    lines.remove(a);
                }
                1 => lines.insert(a, lines[b].clone()),
                2 => lines.swap(a, b),
                3 => {
                    let line = &lines[a];
                    let at =
                        line.char_indices().nth(line.chars().count() / 2).map_or(0, |(at, _)| at);
                    lines[a].truncate(at);
                }
                _ => lines[a].push(letter),
            }
        }
        let offer = lines.join("\r\n") + "\r\n";
        match tokio::spawn(async move { answer(&offer).await }).await.unwrap() {
            Ok(_) => answered += 1,
            Err(OfferError::Malformed(why)) if why == "it breaks the SDP parser" => {
                panics.lock().unwrap().push(lines.join("\n"));
            }
            Err(_) => refused += 1,
        }
    }
    let panics = panics.lock().unwrap();
    assert!(
        panics.is_empty(),
        "the stack panicked on {} offers, first:\n{}",
        panics.len(),
        panics[0]
    );
    assert!(answered > 20 && refused > 20, "{answered} answered, {refused} refused");
}

async fn failed(transport: &mut impl Transport) -> String {
    loop {
        match event(transport).await {
            TransportEvent::Closed(CloseReason::Failed(reason) | CloseReason::Flood(reason)) => {
                return reason;
            }
            TransportEvent::Closed(other) => panic!("{other:?}"),
            _ => {}
        }
    }
}

/// Reports, requests and acknowledgements of every kind, about this stream and others, whose lengths lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feedback_that_lies_costs_nobody_a_frame() {
    let (mut client, mut transport, _) = connect(Wish::PAGE, config()).await;
    client.opened(DataChannel::Control).await;
    let mut sink = transport.video_sink(TrackId(0));
    sink.send(unit(0, MediaTime::ZERO, annex_b(true, 3_000, 0))).unwrap();
    let (ssrc, first, _) = client.frame().await;
    let mut runner = runner();
    let words = prop::collection::vec(any::<[u8; 4]>(), 1..40);
    let packets = (0_u8..32, 192_u8..224, any::<Option<u16>>(), words, 0..4);
    for _ in 0..500 {
        let (count, kind, lie, mut words, other) = packets.new_tree(&mut runner).unwrap().current();
        if let Some(about) = words.get_mut(1).filter(|_| other > 0) {
            *about = ssrc.to_be_bytes();
        }
        let length = lie.unwrap_or(words.len() as u16).to_be_bytes();
        let head = [0x80 | count, kind, length[0], length[1]];
        let packet = [&head, words.as_flattened()].concat();
        client.feed_back(Box::new(RawPacket(packet.into()))).await;
    }
    client.send(DataChannel::Control, b"the last of it").await;
    let is_last = |event: &TransportEvent| matches!(event, TransportEvent::Data(..));
    until(&mut transport, is_last).await;
    sink.send(unit(1, MediaTime::from_millis(16), annex_b(false, 3_000, 1))).unwrap();
    until(&mut transport, |event| matches!(event, TransportEvent::FrameSent { .. })).await;
    loop {
        // What it asked for again comes on a stream of its own.
        let Arrived::Packet(packet) = client.next().await else { continue };
        if packet.header.ssrc == ssrc && packet.header.timestamp != first && packet.header.marker {
            break;
        }
    }
}

/// A clock that stands.
struct Still;

impl Clock for Still {
    fn now(&self) -> MediaTime {
        MediaTime::from_millis(5)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_acknowledgements_input_or_control_is_bounded_and_ends_its_connection() {
    let floods = [
        (DataChannel::Acks, "the client sent more than 10000 acknowledgements in a second"),
        (DataChannel::Input, "the client kept sending more than 20000 input events a second"),
        (DataChannel::Control, "the client kept sending more than 200 control messages a second"),
    ];
    for (channel, why) in floods {
        // Where a datagram of it is lost on its way another bound ends it first: of what follows a gap.
        let reason = loop {
            let reason = flooded(channel).await;
            if !reason.contains("after one that it never sent") {
                break reason;
            }
        };
        assert_eq!(reason, why);
    }
}

/// How a session ends whose client floods this channel.
async fn flooded(channel: DataChannel) -> String {
    let (mut client, offer) = Client::offer(Wish::PAGE).await;
    // All of it is within a second.
    let (mut transport, answer) = WebRtc::answer(&offer, config(), Arc::new(Still)).await.unwrap();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    client.opened(channel).await;
    let sender = client.channels[&(channel as u16)].clone();
    let flooding = tokio::spawn(async move {
        let mut sent = 0_u32;
        while sender.send(bytes::BytesMut::from(&[9][..])).await.is_ok() {
            sent += 1;
            // Whoever reads is to have some time, too.
            match sent % 200 {
                0 => tokio::time::sleep(Duration::from_millis(1)).await,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    let reason = failed(&mut transport).await;
    flooding.abort();
    reason
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_a_connections_own_tasks_ends_it_with_a_reason() {
    let (client, offer) = Client::offer(Wish::PLAYER).await;
    let (mut transport, answer) =
        WebRtc::answer(&offer, config(), MonotonicClock::shared()).await.unwrap();
    let went_off = booby_trap(&mut transport);
    client.accept(&answer).await;
    tokio::time::timeout(client::PATIENCE, went_off.notified()).await.unwrap();
    assert_eq!(failed(&mut transport).await, "its supervisor panicked");
}
