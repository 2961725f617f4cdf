//! Every encoder that works here, without a server: what its adapter adds to it, what pictures it makes
//! of a bit rate, and what libx264 takes here against what it takes by commands of others.
//!
//! - *Overhead* of an adapter is the length of `encode` less the time in the encoder itself. Adapters that
//!   call a library tell that with each unit; for an element of GStreamer it is between the push into it and
//!   the return of that push, less the push out of it (see `library`).
//! - *NVENC* is measured on doubles of its driver (see `nvenc`).
//! - *libx264* is held against the commands `x264` and `ffmpeg` (see `rivals`).
//! - *Damage* is what libx264 saves by being told what has changed (see `damaged`).
//! - *Curves* of rate and quality are those of every encoder in software (see `curves`).
//! - *Quality* is of what FFmpeg's command decodes, against the source (see `quality`).
//! - *Probing* is as a node does it (see `probing`).

mod clip;
mod coder;
mod curves;
mod damaged;
mod library;
mod nvenc;
mod probing;
mod rivals;
mod vmaf;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, EncoderSettings, OpenError};
use media::{Bitrate, EncodeOptions, FrameId, FrameRate, Picture, Size};

use super::PATTERN_FPS;
use crate::Bench;
use crate::figures::Findings;
use crate::host::{HEIGHT, WIDTH};

use clip::Clip;
use coder::Workshop;
pub(crate) use coder::encode_clip;
pub(crate) use probing::answer;

const SIZE: Size = Size::new(WIDTH, HEIGHT);
const RATE: FrameRate = FrameRate::fps(PATTERN_FPS);
/// Pictures a second of the measurement's length: coding takes longer than real time where the encoder is
/// slow, and each rate is a clip of its own.
const CLIP_FPS: u32 = 30;
/// The rate at which encoders are compared in all but quality.
const COMPARED_KBPS: u32 = 4_000;
/// Calls of an encoder that fill caches and buffers before any is timed.
const WARM_UP: u32 = 20;
/// The longest that one encoder is timed: some take a tenth of a second a picture.
const TIMED: Duration = Duration::from_secs(2);

/// Measures all of it.
pub(super) fn run(bench: &mut Bench, findings: &mut Findings) -> Result<()> {
    let candidates = in_software(findings)?;
    let seconds = bench.args.seconds as u32;
    for candidate in &candidates {
        overhead(candidate, PATTERN_FPS * seconds, findings).with_context(|| candidate.name)?;
    }
    nvenc::run(seconds, findings).context("nvenc")?;
    match candidates.iter().find(|candidate| candidate.name == encoder::libx264::NAME) {
        Some(candidate) => damaged::run(candidate, PATTERN_FPS * seconds, findings)?,
        None => findings.note("libx264 was not told of damage: it is not here"),
    }
    let [cold, warm] = probing::run().context("probing")?;
    findings.put("encoders.probe.cold", "ms", cold);
    findings.put("encoders.probe.warm", "ms", warm);
    let workshop = Workshop::open(CLIP_FPS * seconds)?;
    match candidates.iter().find(|candidate| candidate.name.contains("x264")) {
        Some(candidate) => rivals::run(&workshop, candidate, findings)?,
        None => findings.note("libx264 was not compared: no candidate uses it here"),
    }
    // The same pictures come to the same streams, nearly: that takes longest, and once is enough.
    if bench.run == 1 {
        curves::run(&workshop, &candidates, findings)?;
    }
    Ok(())
}

/// Encoders in software that open here, best first.
fn in_software(findings: &mut Findings) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for candidate in encoder::candidates().into_iter().filter(|candidate| !candidate.hardware) {
        match BlockingEncoder::open(&candidate, &settings(COMPARED_KBPS), ENCODE_PATIENCE) {
            Ok(_) => found.push(candidate),
            Err(OpenError::Missing(what)) => {
                findings.note(format!("{} is not here: {what}", candidate.name));
            }
            Err(error) => bail!("{} does not open: {error}", candidate.name),
        }
    }
    ensure!(!found.is_empty(), "no encoder opens");
    Ok(found)
}

fn settings(kbps: u32) -> EncoderSettings {
    EncoderSettings::new(SIZE, RATE, Bitrate::from_kbps(kbps.into()))
}

/// Times `encode` on a thread of its own, without pauses.
fn overhead(candidate: &Candidate, frames: u32, findings: &mut Findings) -> Result<()> {
    library::watch()?;
    let (candidate, name) = (candidate.clone(), format!("encoders.overhead.{}", candidate.name));
    let thread = std::thread::Builder::new()
        .name("enc-bare".into())
        .spawn(move || timed(&candidate, frames))?;
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
    let mut start = Instant::now();
    for number in 0..WARM_UP + frames {
        if number == WARM_UP {
            start = Instant::now();
        }
        let outside = clip.next(|image| -> Result<_> {
            let picture = Picture::Cpu(image);
            let options = EncodeOptions::keyframe(number == 0);
            library::take();
            let began = Instant::now();
            let unit = encoder.encode(FrameId(number.into()), &picture, options)?;
            let whole = began.elapsed();
            let hooked = library::take();
            let library = Some(unit.library).filter(|told| !told.is_zero()).or(hooked);
            Ok(library.map(|library| whole.saturating_sub(library)))
        })??;
        let Some(outside) = outside else { return Ok(None) };
        if number >= WARM_UP {
            times.push(outside.as_secs_f64() * 1e3);
            if start.elapsed() > TIMED {
                break;
            }
        }
    }
    Ok(Some(times))
}
