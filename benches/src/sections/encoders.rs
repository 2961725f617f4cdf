//! Every encoder that works here, without a server: what its adapter adds to it, what pictures it makes
//! of a bit rate, and what libx264 takes here against what it takes by its own command.
//!
//! - *Overhead* of an adapter is the length of `encode` less the time in the encoder itself. Adapters that
//!   call a library tell that with each unit; for an element of GStreamer it is between the push into it and
//!   the return of that push, less the push out of it (see `library`).
//! - *NVENC* is measured on doubles of its driver (see `nvenc`).
//! - *Processor time* is that of a process of its own that codes a clip from a file, user + system, by
//!   the system's account of ended children, less that of a process that codes one picture, per picture.
//!   Both sides have two threads. The command `x264` is set up as the candidate is, and what is compared
//!   are streams of the same rate: the candidate's is set so that it produces what the command did.
//! - *Quality* is of what FFmpeg's command decodes, against the source (see `quality`).
//! - *Probing* is that of a process that has loaded nothing, and then once more in that process.

mod clip;
mod coder;
mod library;
mod nvenc;

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings, Preference};
use media::{Bitrate, Codec, EncodeOptions, FrameId, FrameRate, Picture, Size};

use super::PATTERN_FPS;
use crate::Bench;
use crate::figures::Findings;
use crate::host::{HEIGHT, WIDTH};

use clip::Clip;
use coder::{Cost, Workshop};
pub(crate) use coder::{encode_clip, probe_twice};

const SIZE: Size = Size::new(WIDTH, HEIGHT);
const RATE: FrameRate = FrameRate::fps(PATTERN_FPS);
/// Pictures a second of the measurement's length: coding takes longer than real time where the encoder is
/// slow, and each rate is a clip of its own.
const CLIP_FPS: u32 = 30;
/// Bit rates of the rate-quality curves, in kbit/s.
const KBPS: [u32; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];
/// The rate at which libx264 is compared with its command.
const COMPARED_KBPS: u32 = 4_000;
/// Streams count as of the same rate when they differ by less than this part.
const SAME_RATE: f64 = 0.01;
/// Tries to get there.
const TRIES: u32 = 4;

/// Measures all of it.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let candidates = usable()?;
    let seconds = bench.args.seconds as u32;
    for candidate in &candidates {
        overhead(candidate, seconds, findings).with_context(|| candidate.name)?;
    }
    nvenc::run(seconds, findings).context("nvenc")?;
    let [cold, warm] = coder::probing()?;
    findings.put("encoders.probe.cold", "ms", cold);
    findings.put("encoders.probe.warm", "ms", warm);
    let workshop = Workshop::open(CLIP_FPS * seconds)?;
    match candidates.iter().find(|candidate| candidate.name.contains("x264")) {
        Some(candidate) => against_the_command(&workshop, candidate.name, findings)?,
        None => findings.note("libx264 was not compared: no candidate uses it here"),
    }
    for candidate in &candidates {
        for kbps in KBPS {
            let stream = workshop.ours(candidate.name, kbps, workshop.frames())?;
            let name = |what: &str| format!("encoders.rd.{}.{kbps}.{what}", candidate.name);
            let quality = workshop.quality(&stream)?;
            findings.put(name("rate"), "kbit/s", stream.kbps());
            findings.put(name("psnr"), "dB", quality.psnr()[0]);
            findings.put(name("ssim"), "dB", quality.ssim_db());
        }
    }
    findings.note(format!(
        "curves are of {} pictures at {PATTERN_FPS} a second; psnr and ssim are of luma, \
         ssim as -10 log10(1 - SSIM)",
        workshop.frames()
    ));
    findings.note("vmaf: no package (Debian 12 has neither libvmaf nor FFmpeg's filter of it)");
    Ok(())
}

/// Software candidates that code a picture here in the codec that is decoded here, best first.
fn usable() -> Result<Vec<Candidate>> {
    let usable = encoder::select(encoder::candidates(), &Preference::default())?.usable;
    let judged = |candidate: &Candidate| !candidate.hardware && candidate.codec == Codec::H264;
    Ok(usable.into_iter().filter(judged).collect())
}

fn settings(kbps: u32) -> EncoderSettings {
    EncoderSettings::new(SIZE, RATE, Bitrate::from_kbps(kbps.into()))
}

/// Times `encode` on a thread of its own, without pauses.
fn overhead(candidate: &Candidate, seconds: u32, findings: &mut Findings) -> Result<()> {
    library::watch()?;
    let (candidate, name) = (candidate.clone(), format!("encoders.overhead.{}", candidate.name));
    let thread = std::thread::Builder::new()
        .name("enc-bare".into())
        .spawn(move || timed(&candidate, PATTERN_FPS * seconds))?;
    let Ok(times) = thread.join() else { bail!("the encoder panicked") };
    match times? {
        Some(times) => findings.spread(&name, "ms", times),
        None => findings.missing(&name, "ms", "the time within its library is not told"),
    }
    Ok(())
}

/// Milliseconds of each call that were not spent in the encoder itself; none where that is not known.
fn timed(candidate: &Candidate, frames: u32) -> Result<Option<Vec<f64>>> {
    let mut clip = Clip::new();
    let mut encoder = BlockingEncoder::open(candidate, &settings(COMPARED_KBPS), ENCODE_PATIENCE)?;
    let mut times = Vec::with_capacity(frames as usize);
    // The first pictures fill caches and buffers.
    for number in 0..PATTERN_FPS + frames {
        let outside = clip.next(|image| -> Result<_> {
            let picture = Picture::Cpu(image);
            let options = EncodeOptions { keyframe: number == 0, strip: None };
            library::take();
            let began = Instant::now();
            let unit = encoder.encode(FrameId(number.into()), &picture, options)?;
            let whole = began.elapsed();
            let hooked = library::take();
            let library = Some(unit.library).filter(|told| !told.is_zero()).or(hooked);
            Ok(library.map(|library| whole.saturating_sub(library)))
        })??;
        let Some(outside) = outside else { return Ok(None) };
        if number >= PATTERN_FPS {
            times.push(outside.as_secs_f64() * 1e3);
        }
    }
    Ok(Some(times))
}

/// The candidate and the command `x264` on the same clip at the same rate.
fn against_the_command(workshop: &Workshop, name: &str, findings: &mut Findings) -> Result<()> {
    let by_command: Cost =
        workshop.cost(|frames| workshop.by_command(COMPARED_KBPS, frames)).context("x264")?;
    let target = by_command.stream.kbps();
    let (mut kbps, mut tries) = (COMPARED_KBPS, 0);
    let ours = loop {
        let ours = workshop.cost(|frames| workshop.ours(name, kbps, frames))?;
        tries += 1;
        if (ours.stream.kbps() / target - 1.0).abs() <= SAME_RATE || tries == TRIES {
            break ours;
        }
        kbps = (f64::from(kbps) * target / ours.stream.kbps()).round() as u32;
    };
    let (ours_quality, quality) =
        (workshop.quality(&ours.stream)?, workshop.quality(&by_command.stream)?);
    findings.put("encoders.x264.cpu", "ms/frame", ours.millis);
    findings.put("encoders.x264.cli_cpu", "ms/frame", by_command.millis);
    findings.put("encoders.x264.cpu_of_cli", "×", ours.millis / by_command.millis);
    findings.put("encoders.x264.rate_of_cli", "×", ours.stream.kbps() / target);
    for (index, plane) in ["y", "u", "v"].into_iter().enumerate() {
        let (ours, command) = (ours_quality.psnr()[index], quality.psnr()[index]);
        findings.put(format!("encoders.x264.psnr_{plane}"), "dB", ours);
        findings.put(format!("encoders.x264.cli_psnr_{plane}"), "dB", command);
    }
    let below = quality.psnr()[0] - ours_quality.psnr()[0];
    findings.put("encoders.x264.psnr_below_cli", "dB", below);
    findings.put("encoders.x264.ssim", "dB", ours_quality.ssim_db());
    findings.put("encoders.x264.cli_ssim", "dB", quality.ssim_db());
    findings.note(format!(
        "encoders.x264 is {name} at {kbps} kbit/s against the command x264 at {COMPARED_KBPS}, both of two threads, \
         {} pictures",
        workshop.frames()
    ));
    Ok(())
}
