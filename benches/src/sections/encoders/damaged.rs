//! What libx264 saves where it is told which part of a picture has changed: on a desktop that stands still a window
//! plays, which is a twentieth of it.
//!
//! *Processor time* is that of this process within `encode`, on all threads, by the system's account. The two ways
//! take turns, and of each the least counts: what else the process does only adds to it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use encoder::{BlockingEncoder, Candidate, ENCODE_PATIENCE};
use media::{CpuImage, Damage, EncodeOptions, FrameId, Picture, PixelFormat, Plane, Rect};
use nix::sys::resource::UsageWho;

use super::clip::{self, Clip, LUMA};
use super::coder::processor_time;
use super::{COMPARED_KBPS, SIZE, WARM_UP, settings};
use crate::figures::Findings;
use crate::host::WIDTH;

/// Of 1280x720 a twentieth.
const WINDOW: Rect = Rect { x: 512, y: 272, width: 288, height: 160 };
/// Times that each codes the pictures.
const TURNS: u32 = 3;

/// Measures so many pictures.
pub(super) fn run(candidate: &Candidate, frames: u32, findings: &mut Findings) -> Result<()> {
    let ways = [Damage::Rects(std::iter::once(WINDOW).collect()), Damage::Unknown];
    let mut least = [Duration::MAX; 2];
    for _ in 0..TURNS {
        for (least, damage) in least.iter_mut().zip(&ways) {
            *least = (*least).min(spent(candidate, frames, damage)?);
        }
    }
    let [told, unaware] = least.map(|spent| spent.as_secs_f64() * 1e3 / f64::from(frames));
    findings.put("encoders.damaged.cpu", "ms/frame", told);
    findings.put("encoders.damaged.unaware_cpu", "ms/frame", unaware);
    findings.put("encoders.damaged.cpu_of_unaware", "×", told / unaware);
    findings.note(format!(
        "encoders.damaged is {} at {COMPARED_KBPS} kbit/s of {frames} pictures of {SIZE}, in each of which 5 % changes, \
         told of that or not; {TURNS} turns a run",
        candidate.name
    ));
    Ok(())
}

/// Processor time of the pictures but the first, which fill caches and buffers.
fn spent(candidate: &Candidate, frames: u32, damage: &Damage) -> Result<Duration> {
    let mut encoder = BlockingEncoder::open(candidate, &settings(COMPARED_KBPS), ENCODE_PATIENCE)
        .context("the encoder does not open")?;
    let mut clip = Clip::new();
    let mut shown = clip.next(|image| clip::nv12(&image))?;
    let mut spent = Duration::ZERO;
    for number in 0..WARM_UP + frames {
        clip.next(|image| play(&mut shown, &image))?;
        let (luma, chroma) = shown.split_at(LUMA);
        let planes = [luma, chroma].map(|data| Plane { data, stride: WIDTH as usize });
        let image = CpuImage {
            format: PixelFormat::Nv12,
            size: SIZE,
            planes: planes.into_iter().collect(),
        };
        let options =
            EncodeOptions { damage: damage.known(), ..EncodeOptions::keyframe(number == 0) };
        let before = processor_time(UsageWho::RUSAGE_SELF)?;
        encoder.encode(FrameId(number.into()), &Picture::Cpu(image), options)?;
        if number >= WARM_UP {
            spent += processor_time(UsageWho::RUSAGE_SELF)?.saturating_sub(before);
        }
    }
    Ok(spent)
}

/// Has the window show what the picture shows there.
fn play(shown: &mut [u8], picture: &CpuImage<'_>) {
    let (luma, chroma) = shown.split_at_mut(LUMA);
    let Rect { x, y, width, height } = WINDOW;
    let [x, y, width, height] = [x, y, width, height].map(|edge| edge as usize);
    for ((shown, plane), (from, rows)) in
        [luma, chroma].into_iter().zip(&picture.planes).zip([(y, height), (y / 2, height / 2)])
    {
        for row in from..from + rows {
            let (to, at) = (row * WIDTH as usize + x, row * plane.stride + x);
            shown[to..to + width].copy_from_slice(&plane.data[at..at + width]);
        }
    }
}
