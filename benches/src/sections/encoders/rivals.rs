//! libx264 here against libx264 by commands of others, on the same clip from a file: its fastest preset, two
//! threads, a VBV of one frame, streams of the same rate.
//!
//! - *Processor time* is that of a process of its own, user + system, by the system's account of ended
//!   children, less that of a process that codes the first pictures only, per picture of the rest.
//!   They take turns, and what is compared are pairs.
//! - `x264` keeps one picture and has no option for more, while ours keeps as many as level 5.1 allows, so
//!   that it can recover without a keyframe. FFmpeg's can be told to keep as many: that is the same work.

use anyhow::{Context as _, Result};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, Speed};
use media::RecoveryMeans;

use super::coder::{Cost, Workshop};
use super::{COMPARED_KBPS, settings};
use crate::figures::{Findings, median};

/// Streams count as of the same rate when they differ by less than this part.
const SAME_RATE: f64 = 0.01;
/// Tries to get there.
const TRIES: u32 = 4;
/// Times that each codes the clip.
const TURNS: u32 = 3;

/// Compares time and quality.
pub(super) fn run(
    workshop: &Workshop,
    candidate: &Candidate,
    findings: &mut Findings,
) -> Result<()> {
    let kept = pictures_kept(candidate)?;
    let target = workshop.by_command(COMPARED_KBPS, workshop.frames()).context("x264")?.kbps();
    let kbps = same_rate(workshop, candidate, target)?;
    let ours = |frames| workshop.ours(candidate, Speed::P1, kbps, frames);
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        turns.push([
            workshop.cost(|frames| workshop.by_command(COMPARED_KBPS, frames))?,
            workshop.cost(ours)?,
            workshop.cost(|frames| workshop.by_ffmpeg(COMPARED_KBPS, kept, frames))?,
        ]);
    }
    let middle = |of: &dyn Fn(&[Cost; 3]) -> f64| {
        let values: Vec<_> = turns.iter().map(of).collect();
        median(&values).context("nothing was coded")
    };
    for (index, name) in ["cli_cpu", "cpu", "ffmpeg_cpu"].into_iter().enumerate() {
        let millis = middle(&|turn| turn[index].millis)?;
        findings.put(format!("encoders.x264.{name}"), "ms/frame", millis);
    }
    let of_cli = middle(&|[cli, ours, _]| ours.millis / cli.millis)?;
    let of_ffmpeg = middle(&|[_, ours, ffmpeg]| ours.millis / ffmpeg.millis)?;
    findings.put("encoders.x264.cpu_of_cli", "×", of_cli);
    findings.put("encoders.x264.cpu_of_ffmpeg", "×", of_ffmpeg);
    let [cli, ours, _] = &turns[0];
    findings.put("encoders.x264.rate_of_cli", "×", ours.stream.kbps() / cli.stream.kbps());
    let (theirs, quality) = (workshop.quality(&cli.stream)?, workshop.quality(&ours.stream)?);
    for (index, plane) in ["y", "u", "v"].into_iter().enumerate() {
        findings.put(format!("encoders.x264.psnr_{plane}"), "dB", quality.psnr()[index]);
        findings.put(format!("encoders.x264.cli_psnr_{plane}"), "dB", theirs.psnr()[index]);
    }
    findings.put("encoders.x264.psnr_below_cli", "dB", theirs.psnr()[0] - quality.psnr()[0]);
    findings.put("encoders.x264.ssim", "dB", quality.ssim_db());
    findings.put("encoders.x264.cli_ssim", "dB", theirs.ssim_db());
    findings.put("encoders.x264.ssim_below_cli", "dB", theirs.ssim_db() - quality.ssim_db());
    findings.note(format!(
        "encoders.x264 is {} with its fastest preset at {kbps} kbit/s, keeping {kept} pictures, against the \
         commands x264 (keeps one) and ffmpeg (keeps {kept}) at {COMPARED_KBPS}; two threads, {} pictures, \
         {TURNS} turns a run",
        candidate.name,
        workshop.frames()
    ));
    Ok(())
}

/// Pictures that the candidate keeps for recovery.
fn pictures_kept(candidate: &Candidate) -> Result<u16> {
    let settings = settings(COMPARED_KBPS);
    let encoder = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE)?;
    Ok(match encoder.capabilities().recovery {
        RecoveryMeans::References { reach } => reach + 1,
        _ => 1,
    })
}

/// The rate that the candidate must be told to produce `target`, both in kbit/s.
fn same_rate(workshop: &Workshop, candidate: &Candidate, target: f64) -> Result<u32> {
    let mut kbps = target;
    for _ in 0..TRIES {
        let told = kbps.round() as u32;
        let produced = workshop.ours(candidate, Speed::P1, told, workshop.frames())?.kbps();
        if (produced / target - 1.0).abs() <= SAME_RATE {
            break;
        }
        kbps *= target / produced;
    }
    Ok(kbps.round() as u32)
}
