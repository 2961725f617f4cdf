//! Prints the candidate table of this machine and how long each encoder takes on moving pictures.
//!
//! `cargo run -p nearlight-encoder --example measure -- [width height frames]`
#![expect(clippy::print_stdout, reason = "a command line program")]

use std::time::{Duration, Instant};

use media::{
    Bitrate, CpuImage, EncodeOptions, FrameId, FrameRate, Picture, PixelFormat, Plane, Size,
};
use nearlight_encoder::{
    BlockingEncoder, ENCODE_PATIENCE, EncoderSettings, Nv12Converter, Preference, candidates,
    select,
};
use smallvec::smallvec;

/// Pictures that are made before and repeated, so that making them is not measured.
const PICTURES: usize = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u32> =
        std::env::args().skip(1).map(|n| n.parse()).collect::<Result<_, _>>()?;
    let (size, frames) = match numbers.as_slice() {
        &[width, height, frames] => (Size::new(width, height), frames),
        _ => (Size::new(1280, 720), 600),
    };
    let selection = select(candidates(), &Preference::default())?;
    for verdict in &selection.table {
        let cost = verdict.cost().map(|cost| cost.of_picture(PixelFormat::Nv12, size));
        println!(
            "{:12} {:?} hardware={} {}, takes {cost:?} by its probe",
            verdict.name,
            verdict.codec,
            verdict.hardware,
            verdict.reason()
        );
    }
    let sources: Vec<_> = (0..PICTURES).map(|time| rgb_scene(size, time)).collect();
    let mut converter = Nv12Converter::new();
    let mut times = Vec::new();
    let mut converted = Vec::new();
    let cpu = cpu_time();
    for frame in 0..frames as usize {
        let started = Instant::now();
        let nv12 =
            converter.convert(&image(PixelFormat::Bgrx8, size, &sources[frame % PICTURES]))?;
        times.push(started.elapsed());
        if frame < PICTURES {
            converted
                .push(nv12.planes.iter().map(|p| (p.data.to_vec(), p.stride)).collect::<Vec<_>>());
        }
    }
    print_times("convert", size, &mut times, &cpu_note(cpu, frames));

    for candidate in &selection.usable {
        let settings = EncoderSettings::new(size, FrameRate::fps(60), Bitrate::from_mbps(8));
        let mut encoder = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE)?;
        let (mut times, mut bytes, cpu) = (Vec::new(), 0, cpu_time());
        for frame in 0..u64::from(frames) {
            let planes = &converted[frame as usize % converted.len()];
            let picture = CpuImage {
                format: PixelFormat::Nv12,
                size,
                planes: planes
                    .iter()
                    .map(|(data, stride)| Plane { data, stride: *stride })
                    .collect(),
            };
            let started = Instant::now();
            let unit =
                encoder.encode(FrameId(frame), &Picture::Cpu(picture), EncodeOptions::default())?;
            times.push(started.elapsed());
            bytes += unit.data.len() as u64;
        }
        let produced = Bitrate::of(bytes, settings.rate.interval() * frames);
        let note = format!("{}, {produced} of {}", cpu_note(cpu, frames), settings.bitrate);
        print_times(candidate.name, size, &mut times, &note);
    }
    Ok(())
}

/// Time that the threads of this process were on a processor: unlike the wall clock it does not
/// count the wait for one on a busy machine. `None` where the system does not tell.
fn cpu_time() -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let nanos = threads.filter_map(|thread| {
        let line = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}

fn cpu_note(before: Option<Duration>, frames: u32) -> String {
    match cpu_time().zip(before) {
        Some((now, before)) => {
            format!("cpu {:.2} ms a frame", (now - before).as_secs_f64() * 1e3 / f64::from(frames))
        }
        None => "cpu unknown".into(),
    }
}

fn image(format: PixelFormat, size: Size, data: &[u8]) -> CpuImage<'_> {
    CpuImage { format, size, planes: smallvec![Plane { data, stride: size.width as usize * 4 }] }
}

/// Waves and edges that move.
fn rgb_scene(size: Size, time: usize) -> Vec<u8> {
    let (mut data, t) = (Vec::new(), time as f32);
    for y in 0..size.height {
        for x in 0..size.width {
            let (x, y) = (x as f32, y as f32);
            let wave = ((x + 5.0 * t) / 37.0).sin() * ((y - 3.0 * t) / 23.0).cos();
            let edge = if (((x + 8.0 * t) / 90.0) as u32 + (y / 70.0) as u32) & 1 == 0 {
                30.0
            } else {
                0.0
            };
            let grain = ((x * 12.9898 + y * 78.233).sin() * 43_758.547).fract() * 8.0;
            let level = 110.0 + 70.0 * wave + edge + grain;
            data.extend([level as u8, (level * 0.8) as u8, (220.0 - level) as u8, 255]);
        }
    }
    data
}

fn print_times(name: &str, size: Size, times: &mut [Duration], note: &str) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{name:12} {size} p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms {note}",
        at(0.5),
        at(0.95),
        at(0.99)
    );
}
