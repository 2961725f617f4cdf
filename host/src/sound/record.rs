//! One stream that a client records, and the microphone.

use std::collections::VecDeque;
use std::time::Duration;

use media::audio::{CHANNELS, SAMPLE_RATE, samples_in};
use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{ChannelMap, Props, SampleSpec};

use super::channels::Matrix;
use super::format::{encode, frame_bytes};
use super::gain::Gain;
use super::playback::Made;
use super::queue::{bytes_in, time_of};
use super::resample::{Fixed, Resampler, STEP};

/// Bytes of a fragment at most.
const LONGEST_FRAGMENT: usize = 64 * 1024;
/// What a client gets that does not say.
const USUAL_FRAGMENT: Duration = Duration::from_millis(20);
/// The microphone is heard when so much of it is there, so that packets that come unevenly leave no gaps.
const MICROPHONE_BEFORE: usize = samples_in(Duration::from_millis(20));
/// Its oldest samples are dropped beyond this.
const MICROPHONE_MOST: usize = samples_in(Duration::from_millis(100));

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// What the node pushes.
    Microphone,
    /// What is heard.
    Monitor,
}

impl Source {
    pub(super) const ALL: [Self; 2] = [Self::Microphone, Self::Monitor];

    pub(super) fn index(self) -> u32 {
        self as u32
    }

    pub(super) fn channels(self) -> u8 {
        match self {
            Self::Microphone => 1,
            Self::Monitor => CHANNELS as u8,
        }
    }
}

/// See the module.
pub(super) struct Record {
    pub(super) index: u32,
    pub(super) client: u32,
    pub(super) source: Source,
    pub(super) spec: SampleSpec,
    pub(super) map: ChannelMap,
    pub(super) props: Props,
    pub(super) gain: Gain,
    pub(super) corked: bool,
    /// Bytes that are sent at once.
    pub(super) fragment: usize,
    /// Bytes that were sent.
    pub(super) sent: i64,
    matrix: Matrix,
    resampler: Option<Resampler>,
    pending: Vec<u8>,
    samples: Vec<f32>,
}

impl Record {
    pub(super) fn new(made: Made, source: Source, asked: &BufferAttr, matrix: Matrix) -> Self {
        let channels = usize::from(made.spec.channels);
        Self {
            fragment: fragment(asked, &made.spec),
            resampler: Resampler::new(SAMPLE_RATE, made.spec.sample_rate, channels, Fixed::Input),
            index: made.index,
            client: made.client,
            source,
            spec: made.spec,
            map: made.map,
            props: made.props,
            gain: made.gain,
            corked: made.corked,
            sent: 0,
            matrix,
            pending: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// How long what is not sent yet took.
    pub(super) fn buffered(&self) -> Duration {
        time_of(&self.spec, self.pending.len())
    }

    pub(super) fn set_fragment(&mut self, asked: &BufferAttr) {
        self.fragment = fragment(asked, &self.spec);
    }

    /// Forgets what is not sent yet.
    pub(super) fn flush(&mut self) {
        self.pending.clear();
    }

    /// Takes a step of its source.
    pub(super) fn feed(&mut self, step: &[f32]) {
        if self.corked {
            return;
        }
        self.samples.resize(STEP * usize::from(self.spec.channels), 0.0);
        self.matrix.apply(step, &mut self.samples);
        self.gain.apply(&mut self.samples);
        let samples = match &mut self.resampler {
            Some(resampler) => resampler.step(&self.samples),
            None => &self.samples,
        };
        encode(self.spec.format, samples, &mut self.pending);
    }

    /// The next fragment, if it is whole.
    pub(super) fn take(&mut self, into: &mut Vec<u8>) -> bool {
        if self.pending.len() < self.fragment {
            return false;
        }
        into.clear();
        into.extend(self.pending.drain(..self.fragment));
        self.sent += self.fragment as i64;
        true
    }
}

fn fragment(asked: &BufferAttr, spec: &SampleSpec) -> usize {
    let frame = frame_bytes(spec);
    let bytes = match asked.fragment_size {
        0 | u32::MAX => bytes_in(spec, USUAL_FRAGMENT),
        bytes => bytes as usize,
    };
    let bytes = bytes.min(LONGEST_FRAGMENT);
    (bytes - bytes % frame).max(frame)
}

/// What was pushed and is not recorded yet.
#[derive(Debug, Default)]
pub(super) struct MicrophoneQueue {
    enabled: bool,
    /// Enough was there, and it has not run out since.
    runs: bool,
    samples: VecDeque<f32>,
    dropped: u64,
}

impl MicrophoneQueue {
    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        if !enabled {
            self.runs = false;
            self.samples.clear();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn push(&mut self, samples: &[f32]) {
        if !self.enabled {
            return;
        }
        let finite = |sample: &f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        self.samples.extend(samples.iter().map(finite));
        let much = self.samples.len().saturating_sub(MICROPHONE_MOST);
        self.samples.drain(..much);
        self.dropped += much as u64;
        self.runs |= self.samples.len() >= MICROPHONE_BEFORE;
    }

    /// Fills a step; what is not there is silence.
    pub(super) fn take(&mut self, step: &mut [f32; STEP]) {
        let there = if self.runs { self.samples.len().min(STEP) } else { 0 };
        let (heard, silent) = step.split_at_mut(there);
        heard.iter_mut().zip(self.samples.drain(..there)).for_each(|(out, sample)| *out = sample);
        silent.fill(0.0);
        self.runs &= there == STEP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_microphone_is_silent_until_it_is_on_and_enough_is_there() {
        let mut queue = MicrophoneQueue::default();
        let mut step = [9.0; STEP];
        queue.push(&[0.5; MICROPHONE_BEFORE]);
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
        queue.set_enabled(true);
        queue.push(&[0.5; MICROPHONE_BEFORE - 1]);
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
        queue.push(&[f32::NAN]);
        for _ in 0..MICROPHONE_BEFORE / STEP - 1 {
            queue.take(&mut step);
            assert_eq!(step, [0.5; STEP]);
        }
        queue.take(&mut step);
        assert_eq!((step[0], step[STEP - 1]), (0.5, 0.0));
        queue.take(&mut step);
        assert_eq!(step, [0.0; STEP]);
    }

    #[test]
    fn what_nobody_records_is_bounded() {
        let mut queue = MicrophoneQueue::default();
        queue.set_enabled(true);
        queue.push(&[0.1; MICROPHONE_MOST + 7]);
        assert_eq!((queue.dropped(), queue.samples.len()), (7, MICROPHONE_MOST));
        queue.set_enabled(false);
        assert_eq!(queue.samples.len(), 0);
    }
}
