//! Measures where sent frames spend their time: 60 frames a second of 8 Mbit/s to a client of the
//! same stack in the same process, over loopback. `cargo run --release --example stages [Mbit/s]`;
//! the argument sets the pacer.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring tool")]

#[path = "../tests/client/mod.rs"]
mod client;

use std::time::{Duration, Instant};

use client::{MonotonicClock, Wish, annex_b, config, event, unit, until};
use media::{Bitrate, Mark, MediaTime, Stage, StageTimes, TrackId, Transport, TransportEvent};
use nearlight_transport::WebRtc;
use webrtc::peer_connection::RTCPeerConnectionState;

const FRAMES: u64 = 1_200;
const FRAME_BYTES: usize = 8_000_000 / 8 / 60;
const INTERVAL: Duration = Duration::from_nanos(16_666_667);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let pacing = std::env::args().nth(1).map(|rate| Bitrate::from_mbps(rate.parse().unwrap()));
    let clock = MonotonicClock::shared();
    let (mut client, offer) = client::Client::offer(Wish::PAGE).await;
    let config = config();
    let started = Instant::now();
    let (mut transport, answer) = WebRtc::answer(&offer, config, clock.clone()).await.unwrap();
    let answered = started.elapsed();
    client.accept(&answer).await;
    until(&mut transport, |event| matches!(event, TransportEvent::Connected { .. })).await;
    println!("answer {answered:.1?}, connected after {:.1?}", started.elapsed());
    client.state(RTCPeerConnectionState::Connected).await;
    if let Some(rate) = pacing {
        transport.set_pacing(rate);
    }
    // Read what arrives, as a client does, or its queue grows.
    tokio::spawn(async move {
        loop {
            client.next().await;
        }
    });

    // The encoder's thread.
    let mut sink = transport.video_sink(TrackId(0));
    let frames: Vec<_> = (0..16).map(|n| annex_b(n == 0, FRAME_BYTES, n)).collect();
    let encoder = std::thread::spawn(move || {
        let begin = Instant::now();
        let mut refused = 0;
        let mut calls = Vec::new();
        for n in 0..FRAMES {
            std::thread::sleep((INTERVAL * n as u32).saturating_sub(begin.elapsed()));
            let now = clock.now();
            let mut unit = unit(n + 1, now, frames[n as usize % frames.len()].clone());
            unit.stages = StageTimes::captured(now);
            unit.stages.mark(Mark::Encoded, now);
            let call = Instant::now();
            refused += u64::from(sink.send(unit).is_err());
            calls.push(call.elapsed());
        }
        (refused, calls)
    });
    let mut spans: Vec<Vec<Duration>> = vec![Vec::new(); Stage::ALL.len() + 1];
    let mut last = MediaTime::ZERO;
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(1), event(&mut transport)).await
    {
        if let TransportEvent::FrameSent { stages, .. } = event {
            for (stage, length) in stages.spans() {
                spans[stage as usize].push(length);
            }
            let end = stages.get(Mark::LastSent).unwrap();
            assert!(end >= last);
            last = end;
            spans[Stage::ALL.len()].push(end.since(stages.get(Mark::Encoded).unwrap()));
        }
        if spans[Stage::ALL.len()].len() as u64 == FRAMES {
            break;
        }
    }
    let (refused, calls) = encoder.join().unwrap();
    println!("{refused} of {FRAMES} frames refused, {} events dropped", transport.dropped_events());
    row("send() call", calls);
    for stage in [Stage::Queue, Stage::Packetise, Stage::Pace, Stage::Seal, Stage::Send] {
        row(stage.name(), std::mem::take(&mut spans[stage as usize]));
    }
    row("encoded to last sent", std::mem::take(&mut spans[Stage::ALL.len()]));
}

fn row(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!("{name:>22}: p50 {:>8.1?}  p95 {:>8.1?}  p99 {:>8.1?}", at(50), at(95), at(99));
}
