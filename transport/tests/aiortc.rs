//! A foreign stack plays the stream: aiortc, in `aiortc_peer.py`. Needs `make setup-test`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use client::{MonotonicClock, config_at, event, unit};
use media::{DataChannel, MediaTime, TrackId, Transport, TransportEvent, UnitKind};
use nearlight_transport::{PortConfig, WebRtc};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

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

async fn play(arguments: &[&str]) {
    let units = access_units(STREAM);
    assert_eq!(units.len(), 120);
    let mut child = tokio::process::Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiortc_peer.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let offer: serde_json::Value =
        serde_json::from_str(&lines.next_line().await.unwrap().expect("no offer came")).unwrap();
    let offer = offer["sdp"].as_str().unwrap();
    // aiortc offers the machine's own addresses, which may not include loopback.
    let port = PortConfig::new(vec!["0.0.0.0".parse().unwrap()]);
    let config = config_at(PortConfig { loopback: true, ..port });
    let (mut transport, answer) =
        WebRtc::answer(offer, config, MonotonicClock::shared()).await.unwrap();
    let line = serde_json::json!({ "sdp": answer.sdp }).to_string() + "\n";
    stdin.write_all(line.as_bytes()).await.unwrap();

    let mut sink = transport.video_sink(TrackId(0));
    let mut tick = tokio::time::interval(Duration::from_nanos(INTERVAL));
    let (mut n, mut live, mut echoed) = (0_u64, false, !answer.data_channels);
    // The peer closes right behind its report, so either may be read first.
    let mut closed = false;
    let report = loop {
        tokio::select! {
            line = lines.next_line() => break line.unwrap().expect("the peer ended without a word"),
            _ = tick.tick(), if live => {
                let data = units[n as usize % units.len()].clone();
                let mut unit = unit(n, MediaTime::from_nanos(n * INTERVAL), data);
                unit.kind = if is_key(&unit.data) { UnitKind::Key } else { UnitKind::Delta };
                if sink.send(unit).is_ok() {
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
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
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
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aiortc_plays_without_data_channels() {
    play(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aiortc_plays_with_data_channels() {
    play(&["--data"]).await;
}
