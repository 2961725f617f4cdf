//! libx264 here against libx264 by commands of others, on the same clip from a file: its fastest preset, two
//! threads, a VBV of one frame, streams of the same rate.
//!
//! - *Processor time* is that of a process of its own, user + system, by the system's account of ended
//!   children, less that of a process that codes the first pictures only, per picture of the rest.
//!   They take turns, and of each the least counts.
//! - `x264` keeps one picture and has no option for more, while ours keeps as many as level 5.1 allows, so
//!   that it can recover without a keyframe: each picture is then written to memory that no cache holds
//!   any more. So the command is held against ours without recovery, which is the same work, and against
//!   ours as sessions have it. FFmpeg's can be told to keep as many: that is the same work again.

use anyhow::{Context as _, Result};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE, Speed};
use media::RecoveryMeans;

use super::coder::{Cost, Told, Workshop};
use super::{COMPARED_KBPS, settings};
use crate::figures::Findings;

/// Streams count as of the same rate when they differ by less than this part.
const SAME_RATE: f64 = 0.01;
/// Tries to get there.
const TRIES: u32 = 4;
/// Times that each codes the clip.
const TURNS: u32 = 6;

/// Compares time and quality.
pub(super) fn run(
    workshop: &Workshop,
    candidate: &Candidate,
    findings: &mut Findings,
) -> Result<()> {
    let kept = pictures_kept(candidate)?;
    let target = workshop.by_command(COMPARED_KBPS, workshop.frames()).context("x264")?.kbps();
    let kbps = same_rate(workshop, candidate, target)?;
    let ours = |reach| Told { reach, ..fastest(kbps) };
    let alone = |frames| workshop.ours(candidate, ours(0), frames);
    let with_recovery = |frames| workshop.ours(candidate, ours(u16::MAX), frames);
    let by_command = |frames| workshop.by_command(COMPARED_KBPS, frames);
    let by_ffmpeg = |frames| workshop.by_ffmpeg(COMPARED_KBPS, kept, frames);
    let mut turns: Option<[Cost; 4]> = None;
    for _ in 0..TURNS {
        let [one, two, three, four] = turns.map_or([None, None, None, None], |all| all.map(Some));
        turns = Some([
            workshop.cost(by_command, one)?,
            workshop.cost(alone, two)?,
            workshop.cost(with_recovery, three)?,
            workshop.cost(by_ffmpeg, four)?,
        ]);
    }
    let [cli, alone, ours, ffmpeg] = turns.context("nothing was coded")?;
    for (name, cost) in
        [("cli_cpu", &cli), ("alone_cpu", &alone), ("cpu", &ours), ("ffmpeg_cpu", &ffmpeg)]
    {
        findings.put(format!("encoders.x264.{name}"), "ms/frame", cost.millis());
    }
    for (name, ours, theirs) in [
        ("alone_of_cli", &alone, &cli),
        ("cpu_of_cli", &ours, &cli),
        ("cpu_of_ffmpeg", &ours, &ffmpeg),
    ] {
        findings.put(format!("encoders.x264.{name}"), "×", ours.millis() / theirs.millis());
    }
    for (name, ours) in [("alone_rate_of_cli", &alone), ("rate_of_cli", &ours)] {
        let rates = ours.kbps().zip(cli.kbps()).context("nothing was coded")?;
        findings.put(format!("encoders.x264.{name}"), "×", rates.0 / rates.1);
    }
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
        "encoders.x264 is {} with its fastest preset at {kbps} kbit/s, keeping one picture (alone) or {kept}, \
         against the commands x264 (keeps one) and ffmpeg (keeps {kept}) at {COMPARED_KBPS}; two threads, \
         {} pictures, {TURNS} turns a run",
        candidate.name,
        workshop.frames()
    ));
    Ok(())
}

fn fastest(kbps: u32) -> Told {
    Told { kbps, speed: Speed::P1, reach: u16::MAX }
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
        let produced = workshop.ours(candidate, fastest(told), workshop.frames())?.kbps();
        if (produced / target - 1.0).abs() <= SAME_RATE {
            break;
        }
        kbps *= target / produced;
    }
    Ok(kbps.round() as u32)
}
