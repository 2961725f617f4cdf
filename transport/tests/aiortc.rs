//! A foreign stack plays the stream: aiortc, in `aiortc_peer.py`. And sends, with the keys that it was given, what no honest
//! client would (`hostile_peer.py`). Needs `make setup-test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use client::{Client, MonotonicClock, PATIENCE, Wish, annex_b, config_at, event, unit};
use media::{
    AccessUnit, CloseReason, DataChannel, MediaTime, TrackId, Transport, TransportEvent, UnitKind,
};
use nearlight_transport::{Answer, PortConfig, PortCounts, WebRtc, WebRtcConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep_until};
use webrtc::peer_connection::RTCPeerConnectionState;

/// 120 frames of 320x240 at 30 fps, one keyframe a second; made by `samples/generate.sh`.
const STREAM: &[u8] = include_bytes!("samples/testsrc.h264");
/// Nanoseconds between frames: 30 fps in whole RTP ticks.
const INTERVAL: u64 = 33_333_333;

fn python() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/.venv/bin/python");
    assert!(
        path.exists(),
        "{} is missing: run `make setup-test` (python3 -m venv testkit/.venv && \
         testkit/.venv/bin/pip install -r testkit/requirements.txt)",
        path.display()
    );
    path
}

/// The access units of an Annex B stream with access unit delimiters.
fn access_units(stream: &[u8]) -> Vec<Bytes> {
    let delimiter = [0, 0, 0, 1, 9];
    let starts: Vec<usize> =
        (0..stream.len().saturating_sub(5)).filter(|&at| stream[at..at + 5] == delimiter).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| Bytes::copy_from_slice(&stream[start..end]))
        .collect()
}

fn is_key(unit: &[u8]) -> bool {
    unit.windows(4).any(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x1f == 7)
}

/// The n-th picture of the stream, which begins again when it is over.
fn picture(units: &[Bytes], n: u64) -> AccessUnit {
    let data = units[n as usize % units.len()].clone();
    let mut unit = unit(n, MediaTime::from_nanos(n * INTERVAL), data);
    unit.kind = if is_key(&unit.data) { UnitKind::Key } else { UnitKind::Delta };
    unit
}

/// A peer in a process of its own.
struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts it; yields its offer.
    async fn start(script: &str, arguments: &[&str]) -> (Self, String) {
        let mut child = tokio::process::Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Self { child, stdin, lines };
        let offer = peer.says().await["sdp"].as_str().unwrap().to_owned();
        (peer, offer)
    }

    /// What it says next. Dropping the future before it is done loses nothing.
    async fn says(&mut self) -> serde_json::Value {
        let line = self.lines.next_line().await.unwrap();
        serde_json::from_str(&line.expect("the peer ended without a word")).unwrap()
    }

    async fn accept(&mut self, answer: &Answer) {
        let line = serde_json::json!({ "sdp": answer.sdp }).to_string() + "\n";
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }
}

/// A port for aiortc, which offers the machine's own addresses: they may not include loopback.
fn everywhere() -> WebRtcConfig {
    let port = PortConfig::new(vec!["0.0.0.0".parse().unwrap()]);
    config_at(PortConfig { loopback: true, ..port })
}

async fn play(arguments: &[&str]) {
    let units = access_units(STREAM);
    assert_eq!(units.len(), 120);
    let (mut peer, offer) = Peer::start("aiortc_peer.py", arguments).await;
    let (mut transport, answer) =
        WebRtc::answer(&offer, everywhere(), MonotonicClock::shared()).await.unwrap();
    peer.accept(&answer).await;

    let mut sink = transport.video_sink(TrackId(0));
    let mut tick = tokio::time::interval(Duration::from_nanos(INTERVAL));
    let (mut n, mut live, mut echoed) = (0_u64, false, !answer.data_channels);
    // The peer closes right behind its report, so either may be read first.
    let mut closed = false;
    let report = loop {
        tokio::select! {
            report = peer.says() => break report,
            _ = tick.tick(), if live => {
                if sink.send(picture(&units, n)).is_ok() {
                    n += 1;
                }
            }
            event = event(&mut transport), if !closed => match event {
                TransportEvent::Connected { .. } => live = true,
                TransportEvent::ChannelOpen(DataChannel::Control) => {
                    let hello = Bytes::from_static(b"{\"hello\":1}");
                    transport.send_data(DataChannel::Control, hello).unwrap();
                }
                TransportEvent::Data(DataChannel::Control, body) => {
                    assert_eq!(&body[..], b"{\"hello\":1}");
                    echoed = true;
                }
                TransportEvent::Closed(_) => (closed, live) = (true, false),
                _ => {}
            }
        }
    };
    assert!(report["frames"].as_u64().unwrap() >= 30, "{report}");
    assert_eq!(report["sizes"], serde_json::json!(["320x240"]));
    let times: Vec<i64> =
        report["pts"].as_array().unwrap().iter().map(|pts| pts.as_i64().unwrap()).collect();
    for pair in times.windows(2) {
        // Whole frame intervals of 3,000 ticks, give or take the rounding of one.
        let ticks = pair[1] - pair[0];
        assert!(ticks >= 2_999 && (ticks + 1) % 3_000 <= 2, "{ticks} ticks between frames");
    }
    while !closed {
        match event(&mut transport).await {
            TransportEvent::Data(DataChannel::Control, _) => echoed = true,
            TransportEvent::Closed(_) => closed = true,
            _ => {}
        }
    }
    assert!(echoed, "nothing came back on the control channel");
    assert!(peer.child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aiortc_plays_without_data_channels() {
    play(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aiortc_plays_with_data_channels() {
    play(&["--data"]).await;
}

/// Lets such a client attack, beside another one on the same port, until that is `seen`. Its session goes on, or ends with
/// the reason that this yields, and the other's goes on in any case. Also yields what the port counted, and how many packets
/// were sent at first and in all.
async fn attacked(
    by: &str,
    seen: impl Fn(Option<&CloseReason>, PortCounts) -> bool,
) -> (Option<CloseReason>, PortCounts, [u64; 2]) {
    let units = access_units(STREAM);
    let config = everywhere();
    let clock = MonotonicClock::shared();
    let (mut neighbour, offer) = Client::offer(Wish::PAGE).await;
    let (mut beside, answer) = WebRtc::answer(&offer, config.clone(), clock.clone()).await.unwrap();
    neighbour.accept(&answer).await;
    neighbour.state(RTCPeerConnectionState::Connected).await;
    let (mut peer, offer) = Peer::start("hostile_peer.py", &[by]).await;
    let (mut transport, answer) = WebRtc::answer(&offer, config.clone(), clock).await.unwrap();
    peer.accept(&answer).await;

    let (mut sink, mut other) = (transport.video_sink(TrackId(0)), beside.video_sink(TrackId(0)));
    let mut tick = tokio::time::interval(Duration::from_nanos(INTERVAL));
    let (mut live, mut n, mut m, mut reason, mut sent) = (false, 0, 0, None, None);
    let (mut after, mut seen_after, mut late) = (0, 0, Instant::now());
    // Both are sent pictures all the while, and for a second after it.
    while after < 30 || seen_after < 20 || !seen(reason.as_ref(), config.port.counts()) {
        tokio::select! {
            said = peer.says(), if sent.is_none() => {
                (sent, late) = (said["sent"].as_u64(), Instant::now() + PATIENCE);
            }
            () = sleep_until(late), if sent.is_some() => {
                panic!("{by}: too little is seen: {reason:?}, {:?}", config.port.counts())
            }
            _ = tick.tick() => {
                if live && sink.send(picture(&units, n)).is_ok() {
                    n += 1;
                }
                let (at, data) = (MediaTime::from_nanos(m * INTERVAL), annex_b(m == 0, 2_000, m));
                m += u64::from(other.send(unit(m, at, data)).is_ok());
                after += u64::from(sent.is_some());
            }
            // It may be shown none of those that were sent before it listened.
            _ = neighbour.frame() => seen_after += u64::from(sent.is_some()),
            event = event(&mut transport), if reason.is_none() => match event {
                TransportEvent::Connected { .. } => live = true,
                TransportEvent::Closed(why) => reason = Some(why),
                // It says nothing that a session would want.
                TransportEvent::Data(..) | TransportEvent::Voice(_) if by.starts_with("rt") => {
                    panic!("{by}: it reached the session")
                }
                _ => {}
            },
            event = event(&mut beside) => {
                assert!(!matches!(event, TransportEvent::Closed(_)), "{by}: {event:?}");
            }
        }
    }
    let (counts, mut sent) = (config.port.counts(), [sent.unwrap(); 2]);
    // Whoever was cut off sends nothing more.
    if reason.is_none() {
        peer.stdin.write_all(b"\n").await.unwrap();
        sent[1] = peer.says().await["total"].as_u64().unwrap();
    }
    (reason, counts, sent)
}

/// Whether as much of what was sent is counted as a port counts that is busy: it loses some of what comes so fast.
fn are_counted(sent: u64, counts: PortCounts) -> bool {
    (sent / 20..=sent).contains(&counts.unwanted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_from_a_client_is_counted_and_goes_no_further() {
    let (reason, counts, sent) = attacked("rtp", |_, counts| counts.unwanted >= 2_000).await;
    assert_eq!((reason, sent[0]), (None, 4_000), "{counts:?}");
    assert!(are_counted(sent[1], counts), "{sent:?}, {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feedback_of_senders_without_number_is_counted_and_harms_nobody() {
    let (reason, counts, sent) = attacked("rtcp", |_, counts| counts.unwanted >= 2_000).await;
    assert_eq!((reason, sent[0]), (None, 4_000), "{counts:?}");
    assert!(are_counted(sent[1], counts), "{sent:?}, {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sctp_that_lies_ends_its_own_session_at_most() {
    let (reason, counts, [sent, _]) = attacked("sctp", |_, _| true).await;
    println!("{sent} packets: {reason:?}, {counts:?}");
    assert!(sent > 0);
    let over = matches!(reason, None | Some(CloseReason::Failed(_) | CloseReason::Flood(_)));
    assert!(over, "{reason:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_cannot_be_read_is_not_held_without_bound() {
    for (by, why) in [
        ("gap", "the client sent more than 16384 chunks of SCTP after one that it never sent"),
        ("endless", "the client sent more than 262144 bytes of SCTP into a window that was shut"),
    ] {
        let (reason, ..) = attacked(by, |reason, _| reason.is_some()).await;
        assert_eq!(reason, Some(CloseReason::Flood(why.to_owned())), "{by}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dtls_that_lies_ends_its_own_session_at_most() {
    let (reason, counts, [sent, _]) = attacked("dtls", |_, _| true).await;
    println!("{sent} packets: {reason:?}, {counts:?}");
    assert_eq!(sent, 4_000);
    assert!(matches!(reason, None | Some(CloseReason::Failed(_))), "{reason:?}");
}
