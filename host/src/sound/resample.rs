//! From any sample rate to any other, without a break where blocks meet.
//!
//! A windowed sinc (crate `rubato`) that keeps what lies before a block. It delays by half of its length: 32
//! samples of the lower rate. Steps make a fixed number of samples, or take one, so that nothing is allocated
//! as they go.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Adjustable as _, Async, FixedAsync, Indexing, Resampler as _, SincInterpolationParameters,
    SincInterpolationType, WindowFunction,
};

/// Samples of one channel that a step makes or takes on the side of 48 kHz: 2.5 ms. Blocks of 5, 10 and 20 ms
/// are whole numbers of steps.
pub(super) const STEP: usize = 120;
/// Length of the filter in samples of the lower rate. The pass band reaches 85 % of the band at it.
const LENGTH: usize = 64;
/// By how much a client may change its rate in small steps (`PA_STREAM_VARIABLE_RATE`).
const DRIFT: f64 = 1.1;

/// Which side has the fixed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fixed {
    /// [`STEP`] samples come in.
    Input,
    /// [`STEP`] samples go out.
    Output,
}

/// See the module.
pub(super) struct Resampler {
    inner: Async<f32>,
    channels: usize,
    output: Vec<f32>,
}

impl Resampler {
    /// From `from` to `to` samples a second; none where nothing is to be done.
    pub(super) fn new(from: u32, to: u32, channels: usize, fixed: Fixed) -> Option<Self> {
        if from == to {
            return None;
        }
        // A filter that is cut off by the lower rate is longer in samples of the higher one.
        let length = LENGTH * (from.div_ceil(to) as usize).next_power_of_two().min(4);
        let parameters = SincInterpolationParameters::new(length, WindowFunction::BlackmanHarris2)
            .oversampling_factor(128)
            .interpolation(SincInterpolationType::Linear);
        let fixed = match fixed {
            Fixed::Input => FixedAsync::Input,
            Fixed::Output => FixedAsync::Output,
        };
        let ratio = f64::from(to) / f64::from(from);
        let made = Async::new_sinc(ratio, DRIFT, &parameters, STEP, channels, fixed);
        let inner = made.inspect_err(|error| tracing::error!(%error, from, to, "no resampler"));
        let inner = inner.ok()?;
        let output = vec![0.0; inner.output_frames_max() * channels];
        Some(Self { inner, channels, output })
    }

    /// Samples of one channel that the next step takes.
    pub(super) fn wanted(&self) -> usize {
        self.inner.input_frames_next()
    }

    /// Samples of one channel, of the rate that comes in, that are not out yet when theirs went in.
    pub(super) fn delay(&self) -> f64 {
        self.inner.output_delay() as f64 / self.inner.resample_ratio()
    }

    /// Changes the rate slightly and gradually. Whether that was possible: a new one does it otherwise.
    pub(super) fn set_rates(&mut self, from: u32, to: u32) -> bool {
        self.inner.set_resample_ratio(f64::from(to) / f64::from(from), true).is_ok()
    }

    /// Makes a step; what is missing of what it [wants](Self::wanted) is silence.
    pub(super) fn step(&mut self, input: &[f32]) -> &[f32] {
        let frames = input.len() / self.channels;
        let room = self.output.len() / self.channels;
        let indexing = (frames < self.wanted()).then(|| Indexing::new().partial_len(frames));
        let made = match (
            InterleavedSlice::new(input, self.channels, frames),
            InterleavedSlice::new_mut(&mut self.output, self.channels, room),
        ) {
            (Ok(input), Ok(mut output)) => {
                self.inner.process_into_buffer(&input, &mut output, indexing.as_ref())
            }
            _ => Ok((0, 0)),
        };
        let made = made.map_or(0, |(_, made)| made);
        &self.output[..made * self.channels]
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(rate: u32, hertz: f64, at: usize) -> f32 {
        (0.5 * (TAU * hertz * at as f64 / f64::from(rate)).sin()) as f32
    }

    /// What is left of a second of a tone at 48 kHz when the tone itself is taken away, relative to it.
    fn rest(samples: &[f32], hertz: f64) -> f64 {
        let part = |phase: f64| {
            let sum: f64 = samples
                .iter()
                .enumerate()
                .map(|(at, sample)| {
                    f64::from(*sample) * (TAU * hertz * at as f64 / 48_000.0 + phase).cos()
                })
                .sum();
            2.0 * sum / samples.len() as f64
        };
        let (cos, sin) = (part(0.0), part(-TAU / 4.0));
        let rest: f64 = samples
            .iter()
            .enumerate()
            .map(|(at, sample)| {
                let angle = TAU * hertz * at as f64 / 48_000.0;
                (f64::from(*sample) - cos * angle.cos() - sin * angle.sin()).powi(2)
            })
            .sum();
        let level = cos.hypot(sin);
        assert!((level - 0.5).abs() < 0.005, "level {level}");
        (2.0 * rest / samples.len() as f64).sqrt() / level
    }

    #[test]
    fn a_tone_of_any_rate_stays_clean_over_blocks() {
        for rate in [8_000, 11_025, 22_050, 44_100, 96_000, 192_000] {
            let mut resampler = Resampler::new(rate, 48_000, 1, Fixed::Output).unwrap();
            let (mut at, mut out) = (0, Vec::new());
            while out.len() < 48_000 + 4_800 {
                let wanted = resampler.wanted();
                let input: Vec<f32> = (at..at + wanted).map(|at| tone(rate, 1_000.0, at)).collect();
                at += wanted;
                let made = resampler.step(&input);
                assert_eq!(made.len(), STEP);
                out.extend_from_slice(made);
            }
            let rest = rest(&out[4_800..], 1_000.0);
            assert!(rest < 0.001, "{rate}: {rest}");
        }
    }

    #[test]
    fn what_is_above_the_band_is_not_folded_into_it() {
        let mut resampler = Resampler::new(192_000, 48_000, 1, Fixed::Output).unwrap();
        let (mut at, mut loudest) = (0, 0.0_f32);
        for step in 0..200 {
            let wanted = resampler.wanted();
            let input: Vec<f32> = (at..at + wanted).map(|at| tone(192_000, 40_000.0, at)).collect();
            at += wanted;
            let made = resampler.step(&input);
            if step > 10 {
                loudest = made.iter().fold(loudest, |loudest, sample| loudest.max(sample.abs()));
            }
        }
        assert!(loudest < 0.001, "{loudest}");
    }

    #[test]
    fn missing_samples_are_silence_and_a_rate_may_drift() {
        let mut resampler = Resampler::new(44_100, 48_000, 2, Fixed::Output).unwrap();
        assert_eq!(resampler.step(&[]).len(), STEP * 2);
        assert!(resampler.set_rates(44_000, 48_000));
        assert!(!resampler.set_rates(22_050, 48_000));
        assert!(resampler.delay() > 16.0 && resampler.delay() < 64.0, "{}", resampler.delay());
        assert!(Resampler::new(48_000, 48_000, 2, Fixed::Input).is_none());
    }
}
