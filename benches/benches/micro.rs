//! Micro benchmarks of what runs for every event, picture or keyframe.
//!
//! `cargo bench -p nearlight-benches` prints them; they are for comparing two versions of one function on
//! one machine. What a user waits for is measured by `make bench`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use encoder::h264::prepare;
use encoder::{BlockingEncoder, ENCODE_PATIENCE, EncoderSettings, Nv12Converter, Preference};
use media::{
    Bitrate, CpuImage, EncodeOptions, FrameId, FrameRate, InputEvent, InputSeq, Mark, MediaTime,
    PathReport, Picture, PixelFormat, Plane, SequencedInput, Size, StageTimes,
};
use session::clock_offset::ClockEstimate;
use session::ledger::{ClientReport, LatencyLedger, LedgerConfig};
use session::rate::{RateConfig, RateController};
use smallvec::smallvec;

const SIZE: Size = Size::new(1280, 720);

/// A pointer's message, the most frequent one.
fn input(c: &mut Criterion) {
    let mut message = Vec::new();
    let event = InputEvent::PointerRelative { total_x: 12_345, total_y: -678 };
    SequencedInput { seq: InputSeq(9), event }.encode(&mut message);
    c.bench_function("input decode, pointer motion", |b| {
        b.iter(|| SequencedInput::decode(black_box(&message)));
    });
}

/// A picture of a captured display.
fn conversion(c: &mut Criterion) {
    let stride = SIZE.width as usize * 4;
    let bgrx: Vec<u8> = (0..stride * SIZE.height as usize).map(|i| ((i * 31) >> 3) as u8).collect();
    let image = CpuImage {
        format: PixelFormat::Bgrx8,
        size: SIZE,
        planes: smallvec![Plane { data: &bgrx, stride }],
    };
    let mut converter = Nv12Converter::new();
    let mut group = c.benchmark_group("convert");
    group.throughput(Throughput::Bytes(bgrx.len() as u64));
    group.bench_function("BGRX to NV12, 1280x720", |b| {
        b.iter(|| converter.convert(black_box(&image)).map(|nv12| nv12.planes[0].data[0]).ok());
    });
    group.finish();
}

/// A frame sent and its report, with the ledger full.
fn ledger(c: &mut Criterion) {
    let mut ledger = LatencyLedger::new(LedgerConfig::default());
    let clock = ClockEstimate { offset_us: 1_000_000, error_us: 100 };
    let mut number = 0_u64;
    c.bench_function("ledger, a frame sent and reported", |b| {
        b.iter(|| {
            number += 1;
            let start = MediaTime::from_millis(number * 16);
            let mut stages = StageTimes::captured(start);
            for (index, mark) in Mark::ALL.into_iter().enumerate() {
                stages.mark(mark, start + Duration::from_micros(100 * index as u64));
            }
            let sent = start + Duration::from_millis(1);
            ledger.on_sent(sent, FrameId(number), number as u32, stages);
            let decoded_us = sent.as_micros() + 1_003_000;
            let report = ClientReport {
                wire_timestamp: number as u32,
                received_us: None,
                decoded_us,
                presented_us: decoded_us + 500,
            };
            black_box(ledger.on_report(sent + Duration::from_millis(10), &report, Some(&clock)))
        });
    });
    let now = MediaTime::from_millis(number * 16);
    c.bench_function("ledger, a summary of five seconds", |b| {
        b.iter(|| black_box(ledger.summary(now)).sent);
    });
}

/// A keyframe of the encoder in use, whose parameter set is read and written anew.
fn parameter_sets(c: &mut Criterion) {
    let Ok(selection) = encoder::select(encoder::candidates(), &Preference::default()) else {
        return;
    };
    let settings = EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(8));
    let grey = vec![128; SIZE.pixels() as usize * 3 / 2];
    let (luma, chroma) = grey.split_at(SIZE.pixels() as usize);
    let stride = SIZE.width as usize;
    let picture = Picture::Cpu(CpuImage {
        format: PixelFormat::Nv12,
        size: SIZE,
        planes: smallvec![Plane { data: luma, stride }, Plane { data: chroma, stride }],
    });
    let options = EncodeOptions::keyframe(true);
    let unit = BlockingEncoder::open(selection.chosen(), &settings, ENCODE_PATIENCE)
        .ok()
        .and_then(|mut encoder| encoder.encode(FrameId(0), &picture, options).ok());
    let Some(unit) = unit else { return };
    c.bench_function("H.264, declare that nothing is reordered", |b| {
        let mut rewritten = Vec::new();
        b.iter(|| prepare(black_box(&unit.data), &mut rewritten).map(<[u8]>::len));
    });
}

/// A report of a path that is not full.
fn rate(c: &mut Criterion) {
    let mut controller = RateController::new(MediaTime::ZERO, RateConfig::default());
    let mut number = 0_u64;
    c.bench_function("rate controller, a report", |b| {
        b.iter(|| {
            number += 1;
            let report = PathReport {
                at: MediaTime::from_millis(number * 50),
                span: Duration::from_millis(50),
                acked_bytes: 50_000,
                acked_packets: 45,
                lost_packets: 0,
                sent_bytes: 50_000,
                one_way_delay_micros: (number % 7) as i64 * 300,
                newest_sent: MediaTime::from_millis(number * 50 - 10),
                newest_delay_micros: (number % 7) as i64 * 300 + 2_000,
                round_trip: Some(Duration::from_millis(5)),
                ecn_ce: 0,
                unread_frames: None,
            };
            controller.on_report(&report);
            black_box(controller.poll(report.at))
        });
    });
}

criterion_group! {
    name = micro;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(2));
    targets = input, conversion, ledger, parameter_sets, rate
}
criterion_main!(micro);
