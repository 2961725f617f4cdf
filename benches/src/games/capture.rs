//! Pictures from the X server to the last packet, and what they take of the processor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings};
use media::{
    Bitrate, Clock, CpuImage, EncodeOptions, FrameId, Mark, MediaTime, Picture, PixelFormat, Plane,
    Stage,
};

use super::args::Args;
use super::figures::Findings;
use super::node::{PAINTER, SERVER};
use super::peer::{Asked, Peer};
use super::record::Sent;
use super::threads::thread_times;
use super::watch::Seen;
use super::{Bench, codec, process, stamp};

/// The display, and the frames a second of the painter.
pub(crate) const SIZE: (u32, u32) = (1280, 720);
pub(crate) const FPS: u32 = 60;
/// Pictures that are coded again alone, to and fro.
const KEPT: usize = 160;
/// Beginnings of the names of the threads that capture and convert, code, and send.
const THREADS: [&str; 3] = ["src-", "enc-", SERVER];
/// Name of the thread that codes alone.
const ALONE: &str = "alone";

/// Plays the painter and looks where its pictures are and when.
pub(crate) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let hosting = bench.hosting()?;
    let (url, clock, log) = (hosting.url()?, hosting.clock()?, hosting.log.clone());
    let offset = Offset::read(clock.as_ref());
    let args = bench.args.clone();
    let asked = Asked { app: PAINTER, size: SIZE, fps: FPS, kbps: args.kbps };
    let peer = Peer::play(&bench.players, &url, &asked)?;
    sleep(args.warm_up());
    log.keep(KEPT);
    // Twice as long as the painter takes for so many, and then what copying them did is over, too.
    sleep(Duration::from_secs(2 * KEPT as u64 / u64::from(FPS) + 1));
    let kept = log.kept();
    log.take();
    peer.frames();
    bench.recorder.begin();
    let before = (times()?, process::cpu_time_below(std::process::id())?);
    let began = clock.now();
    sleep(args.window());
    let length = clock.now().since(began);
    let after = (times()?, process::cpu_time_below(std::process::id())?);
    let sent = bench.recorder.end().sent;
    let seen = log.take();
    let arrived = peer.frames().len();
    peer.plays(&bench.players)?;
    peer.leave(&bench.players)?;
    if sent.is_empty() {
        bail!("no frame was sent");
    }
    let frames = sent.len() as f64;
    findings.spread(
        "capture.latency",
        "ms",
        latencies(&sent, &drawn(&sent, &seen, offset), offset),
    );
    let painted = painted(&seen);
    findings.spread("capture.from_painting", "ms", latencies(&sent, &painted, offset));
    findings.spread("capture.from_damage", "ms", from_damage(&sent));
    for stage in Stage::ALL {
        let lengths: Vec<_> = sent
            .iter()
            .filter_map(|sent| sent.stages.spans().find(|(of, _)| *of == stage))
            .map(|(_, length)| length.as_secs_f64() * 1e3)
            .collect();
        if !lengths.is_empty() {
            findings.spread(&format!("capture.stage.{}", stage.name()), "ms", lengths);
        }
    }
    let pictures = latencies(&sent, &painted, offset).len() as f64;
    findings.put("capture.pictures_sent", "/s", pictures / length.as_secs_f64());
    findings.put("capture.fps_sent", "/s", frames / length.as_secs_f64());
    findings.put("capture.fps_arrived", "/s", arrived as f64 / length.as_secs_f64());
    let bytes: u64 = sent.iter().map(|sent| sent.bytes).sum();
    findings.put("capture.bitrate", "kbit/s", Bitrate::of(bytes, length).kbps() as f64);
    let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / frames;
    let mut whole = 0.0;
    for (name, time) in &after.0 {
        let ran = per_frame(time.saturating_sub(before.0.get(name).copied().unwrap_or_default()));
        whole += ran;
        findings.put(format!("capture.cpu.{}", name.trim_end_matches('-')), "ms/frame", ran);
    }
    findings.put("capture.cpu", "ms/frame", whole);
    let others = per_frame(after.1.saturating_sub(before.1));
    findings.put("capture.cpu.display_and_painter", "ms/frame", others);
    let alone = alone(&args, clock, kept, findings)?;
    findings.put("capture.cpu_of_alone", "×", whole / alone);
    Ok(())
}

/// Processor time by the beginnings of threads' names.
fn times() -> Result<BTreeMap<&'static str, Duration>> {
    let mut sums = BTreeMap::new();
    for (name, ran) in thread_times(std::process::id())? {
        if let Some(known) = THREADS.iter().find(|known| name.starts_with(*known)) {
            *sums.entry(*known).or_default() += ran;
        }
    }
    Ok(sums)
}

/// The media clock against the system's monotonic clock, which are one but for their beginnings.
#[derive(Clone, Copy)]
pub(crate) struct Offset(u64);

impl Offset {
    pub(crate) fn read(clock: &dyn Clock) -> Self {
        // The least of many, since a pause between both readings makes it larger.
        let readings = (0..500).map(|_| {
            let media = clock.now();
            stamp::now() - media.as_nanos()
        });
        Self(readings.min().unwrap_or_default())
    }

    /// A time of the media clock in nanoseconds of the system's.
    pub(crate) fn system(self, at: MediaTime) -> u64 {
        at.as_nanos() + self.0
    }
}

/// When painting of each picture began, by its frame.
fn painted(seen: &[Seen]) -> BTreeMap<u64, u64> {
    seen.iter().filter_map(|seen| Some((seen.frame.0, seen.stamp?.painted))).collect()
}

/// When the X server was first known to have drawn each picture, by its frame: by the source, or by the painter, whose next
/// picture says so where it was seen.
fn drawn(sent: &[Sent], seen: &[Seen], offset: Offset) -> BTreeMap<u64, u64> {
    let captured = sent
        .iter()
        .filter_map(|sent| Some((sent.frame, offset.system(sent.stages.get(Mark::Captured)?))));
    let captured: BTreeMap<_, _> = captured.collect();
    let mut pictures: Vec<_> =
        seen.iter().filter_map(|seen| Some((seen.stamp?, seen.frame.0))).collect();
    pictures.sort_unstable_by_key(|(stamp, _)| stamp.painted);
    // One that was captured twice counts as of the first time.
    pictures.dedup_by_key(|(stamp, _)| stamp.painted);
    let pairs = pictures.windows(2).filter_map(|pair| {
        let [(stamp, frame), (next, _)] = pair else { return None };
        // Otherwise one was left out between them, and it is that one's.
        let interval = 1_000_000_000 / u64::from(FPS);
        let follows = next.painted < stamp.painted + interval * 3 / 2;
        let captured = captured.get(frame).copied().unwrap_or(u64::MAX);
        follows.then_some((*frame, next.drawn_before.min(captured)))
    });
    pairs.collect()
}

/// From these times of pictures, by their frames, to their last packets, in milliseconds. One that was sent again because it
/// stood still counts once.
fn latencies(sent: &[Sent], from: &BTreeMap<u64, u64>, offset: Offset) -> Vec<f64> {
    let mut last = 0;
    let mut all = Vec::new();
    for sent in sent {
        let from = from.get(&sent.frame).copied();
        let (Some(from), Some(at)) = (from, sent.stages.get(Mark::LastSent)) else { continue };
        if from > last {
            all.push((offset.system(at) as f64 - from as f64) / 1e6);
            last = from;
        }
    }
    all
}

/// From when the source saw that the picture was there to its last packet, in milliseconds.
fn from_damage(sent: &[Sent]) -> Vec<f64> {
    let between = |sent: &Sent| {
        let (seen, gone) = (sent.stages.get(Mark::Captured)?, sent.stages.get(Mark::LastSent)?);
        Some(gone.since(seen).as_secs_f64() * 1e3)
    };
    sent.iter().filter_map(between).collect()
}

/// The settings of the painter's encoder.
pub(crate) fn settings(kbps: u32) -> EncoderSettings {
    EncoderSettings { integer_motion: true, ..codec::settings(SIZE, kbps, FPS) }
}

/// The same pictures coded by the same encoder at the same pace, without anything around it; yields the processor time
/// of each in milliseconds.
fn alone(
    args: &Args,
    clock: Arc<dyn Clock>,
    kept: Vec<Vec<u8>>,
    findings: &mut Findings,
) -> Result<f64> {
    let settings = settings(args.kbps);
    let candidates = encoder::candidates();
    let x264 = candidates.into_iter().find(|candidate| candidate.name == "x264");
    let x264 = x264.context("there is no x264")?;
    let frames = FPS * args.seconds as u32;
    // An encoder is created, used and dropped on one thread; its own threads take that thread's name.
    let thread = std::thread::Builder::new().name(ALONE.into());
    let thread = thread.spawn(move || code(&x264, settings, clock.as_ref(), &kept, frames))?;
    let Ok(coded) = thread.join() else { bail!("the encoder panicked") };
    let coded = coded?;
    findings.spread("capture.alone.encode", "ms", coded.times);
    let bitrate = Bitrate::of(coded.bytes, settings.rate.interval() * frames);
    findings.put("capture.alone.bitrate", "kbit/s", bitrate.kbps() as f64);
    let cpu = coded.cpu.as_secs_f64() * 1e3 / f64::from(frames);
    findings.put("capture.alone.cpu", "ms/frame", cpu);
    Ok(cpu)
}

struct Coded {
    times: Vec<f64>,
    bytes: u64,
    cpu: Duration,
}

fn code(
    candidate: &Candidate,
    settings: EncoderSettings,
    clock: &dyn Clock,
    kept: &[Vec<u8>],
    frames: u32,
) -> Result<Coded> {
    if kept.len() < 2 {
        bail!("no pictures were kept");
    }
    let mut encoder = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE)
        .context("the encoder does not open")?;
    let mut coded = Coded { times: Vec::new(), bytes: 0, cpu: Duration::ZERO };
    let spent = || -> Result<Duration> {
        let all = thread_times(std::process::id())?.into_iter();
        Ok(all.filter(|(name, _)| name == ALONE).map(|(_, ran)| ran).sum())
    };
    let (warm, start) = (FPS, clock.now());
    for number in 0..warm + frames {
        if number == warm {
            coded.cpu = spent()?;
        }
        let due = start + settings.rate.interval() * number;
        sleep(due.since(clock.now()));
        // To and fro, so that nothing jumps.
        let (turn, at) = (kept.len() - 1, number as usize % (2 * (kept.len() - 1)));
        let (luma, chroma) = kept[at.min(2 * turn - at)].split_at(settings.size.pixels() as usize);
        let stride = settings.size.width as usize;
        let planes = [luma, chroma].into_iter().map(|data| Plane { data, stride }).collect();
        let (format, size) = (PixelFormat::Nv12, settings.size);
        let picture = Picture::Cpu(CpuImage { format, size, planes });
        let began = clock.now();
        let unit = encoder.encode(
            FrameId(number.into()),
            &picture,
            EncodeOptions::keyframe(number == 0),
        )?;
        if number >= warm {
            coded.times.push(clock.now().since(began).as_secs_f64() * 1e3);
            coded.bytes += unit.data.len() as u64;
        }
    }
    coded.cpu = spent()?.saturating_sub(coded.cpu);
    Ok(coded)
}
