//! From the samples of a stream to channels and rate of what is heard.

use media::Layout;
use media::audio::SAMPLE_RATE;
use pulseaudio::protocol::{ChannelMap, ChannelPosition as P, SampleSpec};

use super::channels::{Matrix, default_map};
use super::resample::{Fixed, Resampler, STEP};

/// What a client says of the channels of its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) map: ChannelMap,
    /// They go by their places, or else by their order.
    pub(super) remaps: bool,
}

impl Places {
    /// Nothing of it is heard elsewhere than in front.
    pub(super) fn are_in_front(&self) -> bool {
        let front = [P::Mono, P::FrontLeft, P::FrontRight];
        match self.remaps {
            true => self.map.into_iter().all(|place| front.contains(&place)),
            false => usize::from(self.map.num_channels()) <= Layout::Stereo.channels(),
        }
    }
}

/// See the module.
pub(super) struct Mix {
    matrix: Matrix,
    resampler: Option<Resampler>,
    channels: usize,
    mixed: Vec<f32>,
}

impl Mix {
    pub(super) fn new(spec: &SampleSpec, places: &Places, layout: Layout) -> Self {
        let channels = layout.channels();
        let to = default_map(channels as u8);
        Self {
            matrix: Matrix::between(&places.map, &to, places.remaps),
            resampler: resampler(spec.sample_rate, channels),
            channels,
            mixed: Vec::new(),
        }
    }

    /// Samples of one channel of the stream that a step takes.
    pub(super) fn wanted(&self) -> usize {
        self.resampler.as_ref().map_or(STEP, Resampler::wanted)
    }

    /// Of these, how many are not out yet when they went in.
    pub(super) fn delay(&self) -> f64 {
        self.resampler.as_ref().map_or(0.0, Resampler::delay)
    }

    /// Another rate, without a break where it is near to the one before.
    pub(super) fn set_rate(&mut self, rate: u32) {
        let goes_on = self.resampler.as_mut().is_some_and(|old| old.set_rates(rate, SAMPLE_RATE));
        if !goes_on {
            self.resampler = resampler(rate, self.channels);
        }
    }

    /// So many samples of each channel, as they are heard.
    pub(super) fn step(&mut self, samples: &[f32], frames: usize) -> &[f32] {
        self.mixed.resize(frames * self.channels, 0.0);
        self.matrix.apply(samples, &mut self.mixed);
        match &mut self.resampler {
            Some(resampler) => resampler.step(&self.mixed),
            None => &self.mixed,
        }
    }
}

fn resampler(rate: u32, channels: usize) -> Option<Resampler> {
    Resampler::new(rate, SAMPLE_RATE, channels, Fixed::Output)
}

/// Adds samples of so many channels to others of more, whose first ones they are.
pub(super) fn add(samples: &[f32], channels: usize, to: &mut [f32], of: usize) {
    for (sample, to) in samples.chunks_exact(channels).zip(to.chunks_exact_mut(of)) {
        to.iter_mut().zip(sample).for_each(|(to, sample)| *to += sample);
    }
}
