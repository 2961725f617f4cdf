//! What pictures each encoder in software makes of a bit rate, with the preset that sessions have by themselves.

use anyhow::{Context as _, Result};
use encoder::{Candidate, Speed};

use super::COMPARED_KBPS;
use super::coder::{FILLED, Told, Workshop};
use super::vmaf::Vmaf;
use crate::figures::Findings;
use crate::sections::PATTERN_FPS;

/// Bit rates, in kbit/s.
const KBPS: [u32; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];
/// Milliseconds of processor time of a picture above which fewer are coded.
const SLOW: f64 = 8.0;
/// Pictures then: a second of them.
const FEW: u32 = PATTERN_FPS;

const _: () = assert!(FEW > FILLED);

/// Codes the clip at each rate by each of them.
pub(super) fn run(
    workshop: &Workshop,
    candidates: &[Candidate],
    findings: &mut Findings,
) -> Result<()> {
    let vmaf = Vmaf::find();
    for candidate in candidates {
        curve(workshop, candidate, vmaf.as_ref().ok(), findings).with_context(|| candidate.name)?;
    }
    findings.note(format!(
        "curves (encoders.rd) are of one run, of so many pictures at {PATTERN_FPS} a second, with two threads; \
         psnr and ssim are of luma, ssim as -10 log10(1 - SSIM); vmaf is the mean of model vmaf_v0.6.1"
    ));
    if let Err(missing) = vmaf {
        findings.note(format!("vmaf: {missing:#}"));
    }
    Ok(())
}

fn curve(
    workshop: &Workshop,
    candidate: &Candidate,
    vmaf: Option<&Vmaf>,
    findings: &mut Findings,
) -> Result<()> {
    let told = |kbps| Told { kbps, speed: Speed::Auto, reach: u16::MAX };
    let code = |kbps, frames| workshop.ours(candidate, told(kbps), frames);
    let name = |what: &str| format!("encoders.rd.{}.{what}", candidate.name);
    let told = code(COMPARED_KBPS, FEW)?.told.context("its process does not tell its time")?;
    let frames = if told > SLOW { FEW } else { workshop.frames() };
    findings.put(name("pictures"), "", frames.into());
    for kbps in KBPS {
        let stream = code(kbps, frames)?;
        let quality = workshop.quality(&stream)?;
        findings.put(name(&format!("{kbps}.rate")), "kbit/s", stream.kbps());
        findings.put(name(&format!("{kbps}.psnr")), "dB", quality.psnr()[0]);
        findings.put(name(&format!("{kbps}.ssim")), "dB", quality.ssim_db());
        if let Some(vmaf) = vmaf {
            let score = vmaf.score(&stream.path, &workshop.path("clip.y4m"), frames)?;
            findings.put(name(&format!("{kbps}.vmaf")), "", score);
        }
        if let Some(millis) = stream.told.filter(|_| kbps == COMPARED_KBPS) {
            findings.put(name(&format!("{kbps}.cpu")), "ms/frame", millis);
        }
    }
    Ok(())
}
