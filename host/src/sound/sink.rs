//! What is heard: the sum of all that is played, step by step. In two channels always, and where whoever listens has more, in
//! all of these as well: for those who hear two, what has more channels is mixed down stream by stream.

use media::Layout;
use media::audio::CHANNELS;
use pulseaudio::protocol::ChannelVolume;

use super::gain::Gain;
use super::resample::STEP;

/// See the module.
pub(super) struct Sink {
    layout: Layout,
    front: Part,
    /// Empty where the two are all.
    all: Option<Part>,
    /// Samples of each channel of a step that are in no block yet.
    left: usize,
}

/// A step, and how loud it is.
struct Part {
    gain: Gain,
    step: Vec<f32>,
    channels: usize,
}

impl Part {
    fn new(layout: Layout, volume: ChannelVolume, muted: bool) -> Self {
        let channels = layout.channels();
        Self { gain: Gain::new(volume, muted), step: vec![0.0; STEP * channels], channels }
    }

    fn finish(&mut self) {
        self.gain.apply(&mut self.step);
        for sample in &mut self.step {
            *sample = sample.clamp(-1.0, 1.0);
        }
    }

    /// What of the step is not taken yet, of so many samples of each channel.
    fn rest(&self, left: usize, frames: usize) -> &[f32] {
        let from = (STEP - left) * self.channels;
        &self.step[from..from + frames * self.channels]
    }
}

impl Sink {
    /// In stereo, as loud as what is played.
    pub(super) fn new() -> Self {
        let front = Part::new(Layout::Stereo, ChannelVolume::norm(CHANNELS as u8), false);
        Self { layout: Layout::Stereo, front, all: None, left: 0 }
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Has these channels from now on; new ones are as loud as the first one.
    pub(super) fn set_layout(&mut self, layout: Layout) {
        let (before, muted) = (self.volume(), self.is_muted());
        let first = before.channels().first().copied();
        let known = before.channels().iter().copied().map(Some);
        let mut volume = ChannelVolume::empty();
        let each = known.chain(std::iter::repeat(first)).take(layout.channels());
        each.flatten().for_each(|each| volume.push(each));
        self.all = (layout != Layout::Stereo).then(|| Part::new(layout, volume, muted));
        (self.layout, self.left) = (layout, 0);
    }

    pub(super) fn volume(&self) -> ChannelVolume {
        self.all.as_ref().unwrap_or(&self.front).gain.volume()
    }

    pub(super) fn is_muted(&self) -> bool {
        self.front.gain.is_muted()
    }

    /// Whether that was possible: it has as many channels, or one for all.
    pub(super) fn set_volume(&mut self, volume: &ChannelVolume) -> bool {
        let Some(all) = &mut self.all else { return self.front.gain.set_volume(volume) };
        let done = all.gain.set_volume(volume);
        let mut front = ChannelVolume::empty();
        all.gain.volume().channels().iter().take(CHANNELS).for_each(|each| front.push(*each));
        done && self.front.gain.set_volume(&front)
    }

    pub(super) fn set_muted(&mut self, muted: bool) {
        self.front.gain.set_muted(muted);
        self.all.iter_mut().for_each(|all| all.gain.set_muted(muted));
    }

    /// Begins a step: what is to be added to, in two channels and in all of them; the latter is empty where the two are all.
    pub(super) fn begin(&mut self) -> (&mut [f32], &mut [f32]) {
        self.front.step.fill(0.0);
        let all = self.all.as_mut().map_or(&mut [][..], |all| {
            all.step.fill(0.0);
            &mut all.step[..]
        });
        (&mut self.front.step, all)
    }

    /// All was added: yields the step in all channels.
    pub(super) fn finish(&mut self) -> &[f32] {
        self.left = STEP;
        self.front.finish();
        match &mut self.all {
            Some(all) => {
                all.finish();
                &all.step
            }
            None => &self.front.step,
        }
    }

    /// Whether all of the step was taken.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// What is left of a step is of no use any more.
    pub(super) fn skip(&mut self) {
        self.left = 0;
    }

    /// Takes as much of the step as is there, or as there is room for; yields how many samples of `front` were filled. All
    /// channels are appended, where there are more.
    pub(super) fn take(&mut self, front: &mut [f32], all: &mut Vec<f32>) -> usize {
        let frames = self.left.min(front.len() / CHANNELS);
        let filled = frames * CHANNELS;
        front[..filled].copy_from_slice(self.front.rest(self.left, frames));
        if let Some(part) = &self.all {
            all.extend_from_slice(part.rest(self.left, frames));
        }
        self.left -= frames;
        filled
    }
}
