//! Connections that come and go leave nothing behind. Alone in its process: it counts descriptors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure of a helper fails its test")]

mod client;

use std::time::{Duration, Instant};

use client::{Wish, annex_b, config, connect, event, unit};
use media::{MediaTime, TrackId, Transport, TransportEvent};

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Tasks of the runtime, and descriptors and threads of this process.
fn footprint(handle: &tokio::runtime::Handle) -> [usize; 3] {
    let tasks = handle.metrics().num_alive_tasks();
    [tasks, entries("/proc/self/fd"), entries("/proc/self/task")]
}

/// Waits until what closed connections hold is gone: there is no more of anything than before.
async fn settles(handle: &tokio::runtime::Handle, before: [usize; 3]) {
    let until = Instant::now() + client::PATIENCE;
    loop {
        let now = footprint(handle);
        if now.iter().zip(&before).all(|(now, before)| now <= before) {
            return;
        }
        assert!(Instant::now() < until, "tasks, descriptors, threads: {before:?}, now {now:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One test, so that no other opens descriptors while it counts.
#[test]
fn connections_leave_nothing_behind() {
    fifty_connections_leak_neither_descriptor_nor_thread_nor_task();
    refused_offers_leave_nothing_open();
}

fn fifty_connections_leak_neither_descriptor_nor_thread_nor_task() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let certificate = config().certificate;
        let mut before = None;
        for n in 0..51_u64 {
            let config =
                nearlight_transport::WebRtcConfig { certificate: certificate.clone(), ..config() };
            let wish = if n % 2 == 0 { Wish::PAGE } else { Wish::PLAYER };
            let (mut client, mut transport, _) = connect(wish, config).await;
            let mut sink = transport.video_sink(TrackId(0));
            sink.send(unit(0, MediaTime::ZERO, annex_b(true, 5_000, n))).unwrap();
            client.frame().await;
            match n % 3 {
                0 => drop(transport),
                1 => {
                    transport.close();
                    while !matches!(event(&mut transport).await, TransportEvent::Closed(_)) {}
                }
                _ => {
                    client.peer.close().await.unwrap();
                    while !matches!(event(&mut transport).await, TransportEvent::Closed(_)) {}
                }
            }
            client.peer.close().await.unwrap();
            drop((client, sink));
            // The first round warms pools that stay.
            if n == 0 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                before = Some(footprint(&handle));
            }
        }
        settles(&handle, before.unwrap()).await;
    });
}

fn refused_offers_leave_nothing_open() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let offer = include_str!("offers/chromium.sdp");
        // Reaches the stack and fails there: two fingerprints that differ.
        let offer = offer.replacen("sha-256 75:", "sha-256 76:", 1);
        let before = footprint(&handle);
        for _ in 0..20 {
            let clock = client::MonotonicClock::shared();
            let answered = nearlight_transport::WebRtc::answer(&offer, config(), clock).await;
            assert!(matches!(answered, Err(nearlight_transport::OfferError::Malformed(_))));
        }
        settles(&handle, before).await;
    });
}
