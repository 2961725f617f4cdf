//! One stream that a client records.

use std::time::Duration;

use media::Layout;
use media::audio::SAMPLE_RATE;
use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{ChannelMap, Props, SampleSpec};

use super::channels::{Matrix, default_map};
use super::format::{encode, frame_bytes};
use super::gain::Gain;
use super::playback::Made;
use super::queue::{bytes_in, time_of};
use super::resample::{Fixed, Resampler, STEP};

/// Bytes of a fragment at most.
const LONGEST_FRAGMENT: usize = 64 * 1024;
/// What a client gets that does not say.
const USUAL_FRAGMENT: Duration = Duration::from_millis(20);

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

    /// Where the sink has this layout.
    pub(super) fn channels(self, layout: Layout) -> u8 {
        match self {
            Self::Microphone => 1,
            Self::Monitor => layout.channels() as u8,
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
    /// Channels go by their places.
    remaps: bool,
    layout: Layout,
    matrix: Matrix,
    resampler: Option<Resampler>,
    pending: Vec<u8>,
    samples: Vec<f32>,
}

impl Record {
    /// Beside a sink of this layout.
    pub(super) fn new(
        made: Made,
        (source, layout): (Source, Layout),
        asked: &BufferAttr,
        remaps: bool,
    ) -> Self {
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
            remaps,
            layout,
            matrix: Matrix::between(&default_map(source.channels(layout)), &made.map, remaps),
            pending: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Records this from now on.
    pub(super) fn move_to(&mut self, source: Source) {
        self.source = source;
        let from = default_map(source.channels(self.layout));
        self.matrix = Matrix::between(&from, &self.map, self.remaps);
    }

    /// The sink has another layout.
    pub(super) fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
        self.move_to(self.source);
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
