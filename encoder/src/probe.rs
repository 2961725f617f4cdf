//! Finding out which encoders work on this machine, and how long each takes.
//!
//! Every candidate is opened and codes some pictures, and where it takes HDR10 some of that too, so
//! that the answer says what is true here and not what is installed. Hardware is also asked for a keyframe
//! and for another bit rate while it runs. That loads drivers and plugins, and some of those crash or hang:
//! [`ChildProber`] tries them in a process of its own, within a time limit. [`Cache`] remembers what
//! was found for as long as the machine stays as it is. It must never know sessions. Used wrongly
//! (in the process of a node, with a broken driver) it ends the node.

mod cache;
mod child;
mod obeys;
pub(crate) mod row;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use media::{
    BitDepth, Bitrate, CpuImage, EncodeError, EncodeOptions, Encoded, FrameId, FrameRate, Picture,
    PictureKind, PixelFormat, Plane, Size, UnitKind,
};
use smallvec::smallvec;

use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::choice::{Accepts, Cost, Outcome, Verdict};
use crate::settings::Speed;
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

/// Tries them on the calling thread, with their own presets: a driver that crashes ends this process,
/// one that hangs never returns. Panics are caught.
#[derive(Clone, Copy, Debug)]
pub struct InProcess;

impl Prober for InProcess {
    fn probe(&self, candidates: &[Candidate]) -> Vec<Verdict> {
        try_each(candidates, Speed::Auto)
    }
}

fn try_each(candidates: &[Candidate], speed: Speed) -> Vec<Verdict> {
    // One at a time in a process, as in a child: each would measure the others too, and libraries
    // are opened for the first time here, which not all of them take from two threads at once.
    static TRYING: Mutex<()> = Mutex::new(());
    let _trying = TRYING.lock().unwrap_or_else(PoisonError::into_inner);
    candidates.iter().map(|candidate| Verdict::of(candidate, attempt(candidate, speed))).collect()
}

/// Size of the pictures that a candidate must code: above what hardware encoders take as their least,
/// and large enough that a call's fixed part does not hide what a pixel takes.
const SIZE: Size = Size::new(640, 384);
/// Pictures whose times are measured.
const MEASURED: usize = 6;
/// The frame rate that a candidate is told.
const RATE: FrameRate = FrameRate::fps(30);

/// Tries a candidate with pictures of eight bits, and with HDR10 where it says that it takes that.
fn attempt(candidate: &Candidate, speed: Speed) -> Outcome {
    let (micros_per_megapixel, mut accepts) = match tried(candidate, PictureKind::NV12, speed) {
        Ok(worked) => worked,
        Err(failure) => return failure,
    };
    let kind = PictureKind::HDR10;
    let mut ten_bits = None;
    if accepts.formats.contains(&kind.format) {
        match tried(candidate, kind, speed) {
            Ok((micros, _)) => ten_bits = Some(micros),
            // No reason to do without it in eight.
            Err(failure) => {
                tracing::info!(encoder = candidate.name, ?failure, "does not code ten bits");
                if matches!(failure, Outcome::Declined { .. }) {
                    accepts.formats.retain(|format| *format != kind.format);
                }
            }
        }
    }
    Outcome::Works { cost: Cost { micros_per_megapixel, ten_bits }, accepts }
}

/// Opens a candidate and codes pictures. A panic is a bug of ours, but no reason to stream nothing
/// when another candidate works.
fn tried(
    candidate: &Candidate,
    kind: PictureKind,
    speed: Speed,
) -> Result<(u32, Accepts), Outcome> {
    catch_unwind(AssertUnwindSafe(|| measure(candidate, kind, speed))).unwrap_or_else(|panic| {
        Err(Outcome::Declined { reason: format!("panicked: {}", crate::panic_text(&*panic)) })
    })
}

/// Codes a keyframe and then pictures that move, whose times are the cost: microseconds for a million
/// pixels.
fn measure(
    candidate: &Candidate,
    kind: PictureKind,
    speed: Speed,
) -> Result<(u32, Accepts), Outcome> {
    // A tenth of a bit a pixel and more, which is what sessions have at their start.
    let usual = EncoderSettings::new(SIZE, RATE, Bitrate::from_mbps(1));
    let settings = EncoderSettings { speed, ..usual.with_kind(kind) };
    let mut encoder = open(candidate, &settings)?;
    let hardware = candidate.hardware;
    let failed = |error: EncodeError| outcome(&error, hardware);
    let first = code(&mut encoder, 0, true, &Scene::at(0, kind.format)).map_err(failed)?;
    if first.kind != UnitKind::Key || first.data.is_empty() {
        return Err(Outcome::Declined { reason: "its first picture was not a keyframe".into() });
    }
    let mut times = Vec::with_capacity(MEASURED);
    for number in 1..=MEASURED {
        let scene = Scene::at(number, kind.format);
        let started = Instant::now();
        code(&mut encoder, number, false, &scene).map_err(failed)?;
        times.push(started.elapsed());
    }
    let mut accepts = Accepts::of(encoder.capabilities());
    // Once: layouts of one driver share its rate control.
    if hardware && kind == PictureKind::NV12 {
        accepts.restarts = obeys::restarts(candidate, &settings, encoder)?;
    }
    Ok((micros_per_megapixel(&times), accepts))
}

fn open(candidate: &Candidate, settings: &EncoderSettings) -> Result<BlockingEncoder, Outcome> {
    BlockingEncoder::open(candidate, settings, ENCODE_PATIENCE).map_err(|error| {
        let reason = error.to_string();
        match error {
            OpenError::Busy { .. } => Outcome::Busy { reason },
            OpenError::Failed(_) => Outcome::Failed { reason },
            OpenError::Missing(_) | OpenError::Refused(_) => Outcome::Declined { reason },
        }
    })
}

fn code(
    encoder: &mut BlockingEncoder,
    number: usize,
    keyframe: bool,
    scene: &Scene,
) -> Result<Encoded, EncodeError> {
    let options = EncodeOptions::keyframe(keyframe);
    encoder.encode(FrameId(number as u64), &Picture::Cpu(scene.image()), options)
}

/// What it does not take, it will not take later. All else is of the call: it was opened, and so it is
/// there.
fn outcome(error: &EncodeError, hardware: bool) -> Outcome {
    let reason = error.to_string();
    match error {
        EncodeError::Refused(_) => Outcome::Declined { reason },
        EncodeError::NoSession { .. } => Outcome::Busy { reason },
        // Software that is broken stays so.
        EncodeError::Fatal(_) | EncodeError::NoKeyframe(_) if !hardware => {
            Outcome::Declined { reason }
        }
        _ => Outcome::Failed { reason },
    }
}

/// The least for a million pixels: the other pictures may have waited for a processor that something
/// else had, and the answer is kept for long.
fn micros_per_megapixel(times: &[Duration]) -> u32 {
    let micros = times.iter().min().map_or(0, Duration::as_micros);
    u32::try_from(micros * 1_000_000 / u128::from(SIZE.pixels())).unwrap_or(u32::MAX)
}

/// Waves and edges that move under grain that stands: a picture that only shifts, or none that changes,
/// would be coded in less time than those of a game.
struct Scene {
    /// NV12 or P010.
    format: PixelFormat,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Scene {
    const WIDTH: usize = SIZE.width as usize;
    const HEIGHT: usize = SIZE.height as usize;

    fn at(time: usize, format: PixelFormat) -> Self {
        // Knuth's multiplicative hash, of which the upper bits are the good ones.
        Self::with(time, format, |at| (at as u32).wrapping_mul(2_654_435_761) >> 29)
    }

    /// The same under more grain, which is another in every picture: how many bits that takes is for rate
    /// control to say.
    fn noisy(time: usize, format: PixelFormat) -> Self {
        Self::with(time, format, |at| {
            let hash = (at as u32 ^ (time as u32) << 20).wrapping_mul(2_654_435_761);
            (hash ^ hash >> 15).wrapping_mul(2_246_822_519) >> 28
        })
    }

    fn with(time: usize, format: PixelFormat, grain: impl Fn(usize) -> u32) -> Self {
        let luma = (0..Self::WIDTH * Self::HEIGHT).map(|at| {
            let (x, y) = (at % Self::WIDTH, at / Self::WIDTH);
            let wave = triangle(x + 5 * time, 118) * triangle(y + 3 * time, 73) / 64;
            let edge = if ((x + 8 * time) / 90 + y / 70).is_multiple_of(2) { 30 } else { 0 };
            (60 + 2 * wave + edge) as u8 + grain(at) as u8
        });
        let luma = samples(luma, format);
        let chroma = (0..Self::WIDTH * Self::HEIGHT / 2).map(|at| {
            let (x, y) = (at % Self::WIDTH / 2, at / Self::WIDTH);
            (96 + triangle(x + 3 * time, 59) * triangle(y + 2 * time, 37) / 64) as u8
        });
        Self { format, luma, chroma: samples(chroma, format) }
    }

    fn image(&self) -> CpuImage<'_> {
        let stride = self.luma.len() / Self::HEIGHT;
        let plane = |data| Plane { data, stride };
        let planes = smallvec![plane(&self.luma[..]), plane(&self.chroma[..])];
        CpuImage { format: self.format, size: SIZE, planes }
    }
}

/// Samples as a layout has them: P010 holds ten bits on the upper side of a little-endian word, of which
/// the lower two differ from sample to sample, as they do in pictures that are drawn.
fn samples(values: impl Iterator<Item = u8>, format: PixelFormat) -> Vec<u8> {
    match format.depth() {
        BitDepth::Eight => values.collect(),
        BitDepth::Ten => {
            let words = values.enumerate().map(|(at, value)| [(at as u8 & 3) << 6, value]);
            words.flatten().collect()
        }
    }
}

/// Up from 0 to 64 and down again within `period`.
fn triangle(at: usize, period: usize) -> usize {
    let phase = at % period * 128 / period;
    phase.min(128 - phase)
}

#[cfg(test)]
mod tests {
    use media::{Codec, Encoder, EncoderCapabilities};
    use testkit::Inert;

    use super::*;

    #[test]
    fn the_cost_is_the_least_of_what_was_measured() {
        let millis = |times: &[u64]| {
            let times: Vec<_> = times.iter().copied().map(Duration::from_millis).collect();
            micros_per_megapixel(&times)
        };
        // 640x384 is a quarter of a megapixel, nearly.
        assert_eq!(millis(&[7, 900, 5, 4, 8, 6]), 4_000 * 1_000_000 / 245_760);
        assert_eq!(millis(&[u64::MAX / 2; 6]), u32::MAX, "a clock that jumps");
    }

    #[test]
    fn every_picture_of_the_scene_is_another() {
        let pictures: Vec<_> = (0..=MEASURED).map(|at| Scene::at(at, PixelFormat::Nv12)).collect();
        for (n, picture) in pictures.iter().enumerate() {
            let changed = |other: &Scene| {
                let pairs = picture.luma.iter().zip(&other.luma);
                pairs.filter(|(a, b)| a != b).count() * 2 > picture.luma.len()
            };
            assert!(pictures[..n].iter().all(changed), "picture {n} repeats another");
        }
    }

    #[test]
    fn grain_that_moves_is_another_in_every_picture() {
        let grain = |time| {
            let [noisy, plain] =
                [Scene::noisy, Scene::at].map(|make| make(time, PixelFormat::Nv12));
            let pairs = noisy.luma.into_iter().zip(plain.luma);
            pairs.map(|(noisy, plain)| noisy.wrapping_sub(plain)).collect::<Vec<_>>()
        };
        let [one, other] = [7, 8].map(grain);
        let same = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(same * 4 < one.len(), "{same} of {} samples have the same", one.len());
    }

    #[test]
    fn pictures_of_ten_bits_are_those_of_eight_and_more() {
        let [eight, ten] = [PixelFormat::Nv12, PixelFormat::P010].map(|each| Scene::at(3, each));
        for (eight, ten) in [(&eight.luma, &ten.luma), (&eight.chroma, &ten.chroma)] {
            assert_eq!(ten.len(), 2 * eight.len());
            for (value, word) in eight.iter().zip(ten.chunks(2)) {
                assert_eq!((word[1], word[0] & 0x3f), (*value, 0));
            }
        }
        assert!(ten.luma.chunks(2).any(|word| word[0] != 0), "the lower bits are used");
        assert_eq!(ten.image().planes[1].stride, 2 * Scene::WIDTH);
    }

    /// What a candidate was opened for, in order.
    type Notes = std::sync::Arc<Mutex<Vec<(PictureKind, Speed)>>>;

    /// A candidate that notes what it was opened for, and answers so.
    fn noted(answer: fn(PixelFormat) -> Result<(), OpenError>) -> (Candidate, Notes) {
        let opened = Notes::default();
        let notes = opened.clone();
        let open = std::sync::Arc::new(move |settings: &EncoderSettings, _: &_| {
            notes.lock().unwrap().push((settings.kind(), settings.speed));
            answer(settings.format)?;
            let mut capabilities = EncoderCapabilities::plain("noted", Codec::Vp9);
            capabilities.formats.push(PixelFormat::P010);
            let format = settings.format;
            // It takes pictures of one layout alone.
            Ok(Box::new(Inert::new(capabilities, move |asked| {
                assert_eq!(asked.format, format);
                let kind = if asked.keyframe { UnitKind::Key } else { UnitKind::Delta };
                Ok(Encoded::new(vec![1].into(), kind))
            })) as Box<dyn Encoder>)
        });
        let (name, library) = ("noted", "a double");
        (Candidate { name, codec: Codec::Vp9, hardware: false, library, open }, opened)
    }

    #[test]
    fn what_takes_both_is_tried_in_both_with_the_preset_of_sessions() {
        let (candidate, opened) = noted(|_| Ok(()));
        let verdict = try_each(&[candidate], Speed::P3).remove(0);
        let tried = [PictureKind::NV12, PictureKind::HDR10].map(|kind| (kind, Speed::P3));
        assert_eq!(*opened.lock().unwrap(), tried);
        let Outcome::Works { cost, accepts } = verdict.outcome else { panic!("{verdict:?}") };
        assert!(cost.ten_bits.is_some());
        assert_eq!(accepts.formats[..], [PixelFormat::Nv12, PixelFormat::P010]);
    }

    #[test]
    fn what_refuses_ten_bits_after_all_is_used_in_eight() {
        let tried = |answer| {
            let (candidate, _) = noted(answer);
            let verdict = try_each(&[candidate], Speed::Auto).remove(0);
            let Outcome::Works { cost, accepts } = verdict.outcome else { panic!("{verdict:?}") };
            (cost.ten_bits, accepts.formats.contains(&PixelFormat::P010))
        };
        let refuses = |format| match format {
            PixelFormat::P010 => Err(OpenError::Refused("ten bits".into())),
            _ => Ok(()),
        };
        assert_eq!(tried(refuses), (None, false));
        // It may take them later.
        let fails = |format| match format {
            PixelFormat::P010 => Err(OpenError::Failed("no memory".into())),
            _ => Ok(()),
        };
        assert_eq!(tried(fails), (None, true));
        let panics = |format| match format {
            PixelFormat::P010 => panic!("in ten bits"),
            _ => Ok(()),
        };
        assert_eq!(tried(panics), (None, false));
    }
}
