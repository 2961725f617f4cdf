//! What comes out of what a client sends, be it a voice or garbage.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use media::audio::{CHANNELS, samples_in};
use media::{Bitrate, VoicePacket, VoiceSink, VoiceState};
use proptest::prelude::*;

use super::*;
use crate::opus::{Aim, OpusEncoder};

const BLOCK: usize = samples_in(Duration::from_millis(20));

/// What was put in, and whether it is on.
#[derive(Default)]
struct Heard(Mutex<(bool, Vec<f32>)>);

impl Heard {
    fn samples(&self) -> Vec<f32> {
        self.0.lock().unwrap().1.clone()
    }
}

impl VoiceSink for Heard {
    fn set_enabled(&self, enabled: bool) {
        self.0.lock().unwrap().0 = enabled;
    }
    fn put(&self, samples: &[f32]) {
        self.0.lock().unwrap().1.extend(samples);
    }
    fn state(&self) -> VoiceState {
        VoiceState::default()
    }
}

/// A second of a tone, as packets of 20 ms.
fn spoken(expected_loss: f64) -> Vec<VoicePacket> {
    let mut encoder = OpusEncoder::open(Bitrate::from_kbps(48), Aim::Corrected).unwrap();
    encoder.expect_loss(expected_loss).unwrap();
    let mut out = [0; crate::opus::LONGEST];
    let packet = |n: usize| {
        let block: Vec<f32> = (n * BLOCK..(n + 1) * BLOCK)
            .flat_map(|at| {
                let angle = std::f64::consts::TAU * 600.0 * at as f64 / 48_000.0;
                [(0.5 * angle.sin()) as f32; CHANNELS]
            })
            .collect();
        let length = encoder.encode(&block, &mut out).unwrap();
        let data = Bytes::copy_from_slice(&out[..length]);
        VoicePacket { sequence: (n as u16).wrapping_sub(10), data }
    };
    (0..50).map(packet).collect()
}

/// How loud the tone is in these samples.
fn level(samples: &[f32]) -> f64 {
    let (mut cos, mut sin) = (0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * 600.0 * at as f64 / 48_000.0;
        cos += f64::from(*sample) * angle.cos();
        sin += f64::from(*sample) * angle.sin();
    }
    2.0 * f64::hypot(cos, sin) / samples.len() as f64
}

fn heard(packets: &[VoicePacket]) -> (Vec<f32>, VoiceStats) {
    let (mut voice, sink) = (Voice::open().unwrap(), Heard::default());
    packets.iter().for_each(|packet| voice.take(packet, &sink).unwrap());
    (sink.samples(), voice.stats)
}

#[test]
fn a_tone_is_heard_in_one_channel_by_a_thread_that_leaves_the_microphone_off() {
    let (packets, sink) = (spoken(0.0), Arc::new(Heard::default()));
    let worker = VoiceWorker::spawn("mic-test".into(), sink.clone()).unwrap();
    for packet in &packets {
        worker.take(packet.clone());
        let came = || {
            let VoiceStats { packets, dropped, .. } = worker.stats();
            packets + dropped
        };
        while came() <= u64::from(packet.sequence.wrapping_add(10)) {
            std::thread::yield_now();
        }
    }
    assert!(sink.0.lock().unwrap().0, "it is on");
    let stats = worker.stats();
    assert_eq!((stats.packets, stats.lost, stats.malformed, stats.dropped), (50, 0, 0, 0));
    assert_eq!(stats.bytes, packets.iter().map(|packet| packet.data.len() as u64).sum::<u64>());
    drop(worker);
    assert!(!sink.0.lock().unwrap().0, "it is off");
    let samples = sink.samples();
    assert_eq!(samples.len(), 50 * BLOCK);
    let level = level(&samples[9_600..38_400]);
    assert!((level - 0.5).abs() < 0.05, "{level}");
}

#[test]
fn lost_packets_are_made_up_for_and_time_stays_what_it_was() {
    let mut packets = spoken(0.2);
    packets.remove(30);
    packets.drain(39..41);
    let (samples, stats) = heard(&packets);
    assert_eq!((stats.lost, stats.recovered, stats.late), (3, 2, 0));
    assert_eq!(samples.len(), 50 * BLOCK);
    let gap = level(&samples[30 * BLOCK..31 * BLOCK]);
    assert!(gap > 0.2, "what is lost is heard at {gap}");
}

#[test]
fn repeated_and_late_packets_are_left_out() {
    let mut packets = spoken(0.0);
    packets.insert(6, packets[5].clone());
    packets.swap(20, 21);
    let (samples, stats) = heard(&packets);
    assert_eq!((stats.lost, stats.late), (1, 2));
    assert_eq!(samples.len(), 50 * BLOCK);
}

#[test]
fn silence_that_is_told_is_not_put_in() {
    let mut packets = spoken(0.0);
    let last = packets.last().unwrap().clone();
    for (n, data) in
        [vec![last.data[0] & !0b11], vec![], vec![last.data[0] & !0b11, 0]].into_iter().enumerate()
    {
        packets.push(VoicePacket {
            sequence: last.sequence.wrapping_add(n as u16 + 1),
            data: data.into(),
        });
    }
    let (samples, stats) = heard(&packets);
    assert_eq!((samples.len(), stats.lost), (50 * BLOCK, 0));
}

#[test]
fn what_is_no_packet_is_counted_and_nobody_hears_it() {
    let garbage = [vec![0x02], vec![0xff; LONGEST + 1], vec![0x03, 0xff, 0xff, 0xff]];
    let packet =
        |(n, data): (usize, Vec<u8>)| VoicePacket { sequence: n as u16, data: data.into() };
    let packets: Vec<_> = garbage.into_iter().enumerate().map(packet).collect();
    let (samples, stats) = heard(&packets);
    assert_eq!((stats.packets, stats.malformed, samples.len()), (3, 3, 0));
}

#[test]
fn a_queue_that_is_full_drops_and_counts() {
    /// Its thread gets nowhere while this is held.
    struct Stuck(Mutex<()>);
    impl VoiceSink for Stuck {
        fn set_enabled(&self, _: bool) {
            drop(self.0.lock().unwrap());
        }
        fn put(&self, _: &[f32]) {}
        fn state(&self) -> VoiceState {
            VoiceState::default()
        }
    }
    let sink = Arc::new(Stuck(Mutex::new(())));
    let held = sink.0.lock().unwrap();
    let worker = VoiceWorker::spawn("mic-test".into(), sink.clone()).unwrap();
    spoken(0.0).into_iter().for_each(|packet| worker.take(packet));
    assert_eq!(worker.stats().dropped, 50 - WAITING as u64);
    drop(held);
    while worker.stats().packets < WAITING as u64 {
        std::thread::yield_now();
    }
}

proptest! {
    #[test]
    fn any_packets_in_any_order_are_taken_and_bounded(
        packets in proptest::collection::vec(
            (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..64)), 0..40,
        ),
        near in any::<bool>(),
    ) {
        let packets: Vec<_> = packets
            .into_iter()
            .map(|(sequence, data)| VoicePacket {
                sequence: if near { sequence % 16 } else { sequence },
                data: data.into(),
            })
            .collect();
        let (samples, stats) = heard(&packets);
        prop_assert_eq!(stats.packets, packets.len() as u64);
        // Each may bring itself and five that were lost before it.
        prop_assert!(samples.len() <= packets.len() * 6 * MOST);
        prop_assert!(samples.iter().all(|sample| sample.is_finite()));
    }
}
