//! Encoders come and go with sessions: nothing of them may stay. A binary of its own, since it
//! counts what the whole process holds.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::time::{Duration, Instant};

use common::Picture;
use media::{Bitrate, EncodeOptions, FrameId, FrameRate, Size};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError, candidates};

const SIZE: Size = Size::new(640, 384);

fn entries(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_hundred_encoders_leave_nothing_behind() {
    let settings = EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(4));
    let picture = Picture::scene(SIZE, 0);
    let use_each = || {
        for candidate in candidates() {
            let mut encoder =
                match BlockingEncoder::open(&candidate, &settings, Duration::from_secs(60)) {
                    Ok(encoder) => encoder,
                    Err(OpenError::Missing(_)) => continue,
                    Err(error) => panic!("{}: {error}", candidate.name),
                };
            for frame in 0..3 {
                let picture = media::Picture::Cpu(picture.image());
                encoder.encode(FrameId(frame), &picture, EncodeOptions::default()).unwrap();
            }
        }
    };
    // The first ones load plugins and fill allocator caches.
    for _ in 0..5 {
        use_each();
    }
    let (threads, files, memory) =
        (entries("/proc/self/task"), entries("/proc/self/fd"), resident_kib());
    for _ in 0..50 {
        use_each();
    }
    // A joined thread may stay listed for a moment.
    let start = Instant::now();
    while entries("/proc/self/task") > threads && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(entries("/proc/self/task") <= threads);
    assert!(entries("/proc/self/fd") <= files);
    let grown = resident_kib().saturating_sub(memory);
    println!("{threads} threads, {files} files, grown by {grown} KiB");
    // An encoder of this size holds several MiB: were one in ten kept, it would be more than this.
    assert!(grown < 24 * 1024, "resident memory grew by {grown} KiB");
}
