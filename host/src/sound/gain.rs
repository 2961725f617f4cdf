//! Volumes.

use pulseaudio::protocol::ChannelVolume;

/// Volumes beyond this (36 dB) are taken for this: sums are to stay finite.
const LOUDEST: f32 = 64.0;

/// The volume of each channel of something. A change is spread over a step, so that it does not click.
#[derive(Clone, Debug)]
pub(super) struct Gain {
    volume: ChannelVolume,
    muted: bool,
    now: Vec<f32>,
}

impl Gain {
    pub(super) fn new(volume: ChannelVolume, muted: bool) -> Self {
        let now = linear(&volume, muted).collect();
        Self { volume, muted, now }
    }

    pub(super) fn volume(&self) -> ChannelVolume {
        self.volume
    }

    pub(super) fn is_muted(&self) -> bool {
        self.muted
    }

    /// Whether that was possible: it has as many channels, or one for all.
    pub(super) fn set_volume(&mut self, volume: &ChannelVolume) -> bool {
        let channels = self.volume.channels().len();
        match volume.channels() {
            [all] if channels > 1 => {
                let mut each = ChannelVolume::empty();
                (0..channels).for_each(|_| each.push(*all));
                self.volume = each;
            }
            some if some.len() == channels => self.volume = *volume,
            _ => return false,
        }
        true
    }

    pub(super) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Applies it to a step.
    pub(super) fn apply(&mut self, samples: &mut [f32]) {
        let channels = self.now.len();
        if channels == 0 || samples.is_empty() {
            return;
        }
        let part = channels as f32 / samples.len() as f32;
        let wanted = linear(&self.volume, self.muted);
        for (channel, (now, wanted)) in self.now.iter_mut().zip(wanted).enumerate() {
            let step = (wanted - *now) * part;
            if step == 0.0 && *now == 1.0 {
                continue;
            }
            for sample in samples.iter_mut().skip(channel).step_by(channels) {
                *now += step;
                *sample *= *now;
            }
            *now = wanted;
        }
    }
}

fn linear(volume: &ChannelVolume, muted: bool) -> impl Iterator<Item = f32> {
    let all = if muted { 0.0 } else { 1.0 };
    volume.channels().iter().map(move |volume| volume.to_linear().min(LOUDEST) * all)
}

#[cfg(test)]
mod tests {
    use pulseaudio::protocol::Volume;

    use super::*;

    #[test]
    fn a_change_is_gradual_and_then_exact() {
        let mut gain = Gain::new(ChannelVolume::norm(2), false);
        let mut samples = [1.0; 8];
        gain.apply(&mut samples);
        assert_eq!(samples, [1.0; 8]);
        gain.set_muted(true);
        gain.apply(&mut samples);
        assert_eq!(samples, [0.75, 0.75, 0.5, 0.5, 0.25, 0.25, 0.0, 0.0]);
        let mut samples = [1.0; 8];
        gain.apply(&mut samples);
        assert_eq!(samples, [0.0; 8]);
    }

    #[test]
    fn volumes_are_of_each_channel_or_of_all() {
        let mut gain = Gain::new(ChannelVolume::norm(2), false);
        let half = Volume::from_linear(0.5);
        let mut one = ChannelVolume::empty();
        one.push(half);
        assert!(gain.set_volume(&one));
        assert_eq!(gain.volume().channels(), [half, half]);
        assert!(!gain.set_volume(&ChannelVolume::norm(3)));
        let mut loud = ChannelVolume::empty();
        loud.push(Volume::from_u32_clamped(u32::MAX));
        assert!(gain.set_volume(&loud));
        let mut samples = [1.0; 4];
        gain.apply(&mut samples);
        assert_eq!(samples[2..], [LOUDEST; 2]);
    }
}
