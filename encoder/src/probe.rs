//! Finding out which encoders work on this machine, and how long each takes.
//!
//! Every candidate is opened and codes some pictures, so that the answer says what is true here and
//! not what is installed. That loads drivers and plugins, and some of those crash or hang:
//! [`ChildProber`] tries them in a process of its own, within a time limit. [`Cache`] remembers what
//! was found for as long as the machine stays as it is. It must never know sessions. Used wrongly
//! (in the process of a node, with a broken driver) it ends the node.

mod cache;
mod child;
pub(crate) mod row;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::{
    Bitrate, CpuImage, EncodeError, EncodeOptions, Encoded, FrameId, FrameRate, Picture,
    PixelFormat, Plane, Size, UnitKind,
};
use smallvec::smallvec;

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::choice::{Accepts, Cost, Outcome, Verdict};
use crate::wake::BlockingEncoder;
use crate::worker::ENCODE_PATIENCE;

pub use cache::{Cache, Places};
pub use child::{ChildProber, Limits, answer};

/// What was found, by the candidates' names.
pub type Outcomes = BTreeMap<String, Outcome>;

/// Tries candidates.
pub trait Prober: Send + Sync {
    /// Tries each, and yields a verdict of each in the same order. Blocks.
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict>;
}

/// Tries them on the calling thread: a driver that crashes ends this process, one that hangs never
/// returns. Panics are caught.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl Prober for InProcess {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        // One at a time in a process, as in a child: each would measure the others too, and libraries
        // are opened for the first time here, which not all of them take from two threads at once.
        static TRYING: Mutex<()> = Mutex::new(());
        let _trying = TRYING.lock().unwrap_or_else(PoisonError::into_inner);
        candidates.iter().map(|candidate| Verdict::of(candidate, attempt(candidate))).collect()
    }
}

/// Size of the pictures that a candidate must code: above what hardware encoders take as their least,
/// and large enough that a call's fixed part does not hide what a pixel takes.
const SIZE: Size = Size::new(640, 384);
/// Pictures whose times are measured.
const MEASURED: usize = 6;

/// Opens a candidate and codes pictures. A panic is a bug of ours, but no reason to stream nothing
/// when another candidate works.
fn attempt(candidate: &Candidate) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| measure(candidate)))
        .unwrap_or_else(|panic| {
            Err(Outcome::Declined { reason: format!("panicked: {}", crate::panic_text(&*panic)) })
        })
        .unwrap_or_else(|failure| failure)
}

/// Codes a keyframe and then pictures that move, whose times are the cost.
fn measure(candidate: &Candidate) -> Result<Outcome, Outcome> {
    // A tenth of a bit a pixel and more, which is what sessions have at their start.
    let settings = EncoderSettings::new(SIZE, FrameRate::fps(30), Bitrate::from_mbps(1));
    let opened = BlockingEncoder::open(candidate, &settings, ENCODE_PATIENCE);
    let mut encoder = opened.map_err(|error| {
        let reason = error.to_string();
        match error {
            OpenError::Busy { .. } => Outcome::Busy { reason },
            OpenError::Failed(_) => Outcome::Failed { reason },
            OpenError::Missing(_) | OpenError::Refused(_) => Outcome::Declined { reason },
        }
    })?;
    let hardware = candidate.hardware;
    let first = code(&mut encoder, hardware, 0, &Scene::at(0))?;
    if first.kind != UnitKind::Key || first.data.is_empty() {
        return Err(Outcome::Declined { reason: "its first picture was not a keyframe".into() });
    }
    let mut times = Vec::with_capacity(MEASURED);
    for number in 1..=MEASURED {
        let scene = Scene::at(number);
        let started = Instant::now();
        code(&mut encoder, hardware, number, &scene)?;
        times.push(started.elapsed());
    }
    Ok(Outcome::Works { cost: cost(&times), accepts: Accepts::of(encoder.capabilities()) })
}

/// What it does not take, it will not take later. All else is of the call: it was opened, and so it is
/// there.
fn code(
    encoder: &mut BlockingEncoder,
    hardware: bool,
    number: usize,
    scene: &Scene,
) -> Result<Encoded, Outcome> {
    let options = EncodeOptions::keyframe(number == 0);
    let picture = Picture::Cpu(scene.image());
    encoder.encode(FrameId(number as u64), &picture, options).map_err(|error| {
        let reason = error.to_string();
        match error {
            EncodeError::Refused(_) => Outcome::Declined { reason },
            // Software that is broken stays so.
            EncodeError::Fatal(_) if !hardware => Outcome::Declined { reason },
            _ => Outcome::Failed { reason },
        }
    })
}

/// The least for a million pixels: the other pictures may have waited for a processor that something
/// else had, and the answer is kept for long.
fn cost(times: &[Duration]) -> Cost {
    let micros = times.iter().min().map_or(0, Duration::as_micros);
    let micros_per_megapixel = micros * 1_000_000 / u128::from(SIZE.pixels());
    Cost { micros_per_megapixel: u32::try_from(micros_per_megapixel).unwrap_or(u32::MAX) }
}

/// Waves and edges that move under grain that stands: a picture that only shifts, or none that changes,
/// would be coded in less time than those of a game.
struct Scene {
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Scene {
    const WIDTH: usize = SIZE.width as usize;
    const HEIGHT: usize = SIZE.height as usize;

    fn at(time: usize) -> Self {
        let luma = (0..Self::WIDTH * Self::HEIGHT).map(|at| {
            let (x, y) = (at % Self::WIDTH, at / Self::WIDTH);
            let wave = triangle(x + 5 * time, 118) * triangle(y + 3 * time, 73) / 64;
            let edge = if ((x + 8 * time) / 90 + y / 70).is_multiple_of(2) { 30 } else { 0 };
            // Knuth's multiplicative hash, of which the upper bits are the good ones.
            let grain = (at as u32).wrapping_mul(2_654_435_761) >> 29;
            (60 + 2 * wave + edge) as u8 + grain as u8
        });
        let chroma = (0..Self::WIDTH * Self::HEIGHT / 2).map(|at| {
            let (x, y) = (at % Self::WIDTH / 2, at / Self::WIDTH);
            (96 + triangle(x + 3 * time, 59) * triangle(y + 2 * time, 37) / 64) as u8
        });
        Self { luma: luma.collect(), chroma: chroma.collect() }
    }

    fn image(&self) -> CpuImage<'_> {
        let plane = |data| Plane { data, stride: Self::WIDTH };
        let planes = smallvec![plane(&self.luma[..]), plane(&self.chroma[..])];
        CpuImage { format: PixelFormat::Nv12, size: SIZE, planes }
    }
}

/// Up from 0 to 64 and down again within `period`.
fn triangle(at: usize, period: usize) -> usize {
    let phase = at % period * 128 / period;
    phase.min(128 - phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_is_the_least_of_what_was_measured() {
        let millis = |times: &[u64]| {
            let times: Vec<_> = times.iter().copied().map(Duration::from_millis).collect();
            cost(&times).micros_per_megapixel
        };
        // 640x384 is a quarter of a megapixel, nearly.
        assert_eq!(millis(&[7, 900, 5, 4, 8, 6]), 4_000 * 1_000_000 / 245_760);
        assert_eq!(millis(&[u64::MAX / 2; 6]), u32::MAX, "a clock that jumps");
    }

    #[test]
    fn every_picture_of_the_scene_is_another() {
        let pictures: Vec<_> = (0..=MEASURED).map(Scene::at).collect();
        for (n, picture) in pictures.iter().enumerate() {
            let changed = |other: &Scene| {
                let pairs = picture.luma.iter().zip(&other.luma);
                pairs.filter(|(a, b)| a != b).count() * 2 > picture.luma.len()
            };
            assert!(pictures[..n].iter().all(changed), "picture {n} repeats another");
        }
    }
}
