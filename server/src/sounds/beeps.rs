//! A short beep at each whole second of the media clock: the sound of the sync test.

use std::time::Duration;

use media::audio::{CHANNELS, SAMPLE_RATE};
use media::{AudioError, AudioSource, MediaTime, Sound};

/// How long a beep lasts, and the flash with it: two pictures of 30 a second at least.
pub const BEEP: Duration = Duration::from_millis(80);
/// Pitch: easily heard, and what sound cards are measured with.
const HERTZ: f32 = 1_000.0;
const LOUD: f32 = 0.25;
/// A beep that began or ended at once would click.
const RAMP: f32 = 0.002;

/// Time since the last whole second.
pub fn into_second(at: MediaTime) -> Duration {
    Duration::from_nanos(at.as_nanos() % 1_000_000_000)
}

/// See the module.
pub struct Beeps;

impl AudioSource for Beeps {
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        let start = into_second(at).as_secs_f64();
        for (n, pair) in block.chunks_exact_mut(CHANNELS).enumerate() {
            let seconds = (start + n as f64 / f64::from(SAMPLE_RATE)).fract() as f32;
            pair.fill(sample(seconds));
        }
        Ok(Sound::of(block))
    }
}

fn sample(seconds: f32) -> f32 {
    let left = BEEP.as_secs_f32() - seconds;
    if left <= 0.0 {
        return 0.0;
    }
    let ramp = (seconds.min(left) / RAMP).min(1.0);
    LOUD * ramp * (seconds * HERTZ * std::f32::consts::TAU).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(at: u64) -> (Sound, Vec<f32>) {
        let mut block = vec![9.0; 480 * CHANNELS];
        let sound = Beeps.fill(MediaTime::from_millis(at), &mut block).unwrap();
        (sound, block)
    }

    #[test]
    fn it_beeps_at_whole_seconds_and_is_silent_between() {
        for second in [0, 7_000] {
            assert_eq!(filled(second).0, Sound::Heard);
            assert_eq!(filled(second + 70).0, Sound::Heard);
            assert_eq!(filled(second + 80).0, Sound::Silent);
            assert_eq!(filled(second + 980).0, Sound::Silent);
        }
    }

    #[test]
    fn a_block_across_a_second_begins_to_beep_in_its_middle() {
        let (sound, block) = filled(995);
        assert_eq!(sound, Sound::Heard);
        let (before, after) = block.split_at(480);
        assert!(before.iter().all(|sample| *sample == 0.0));
        assert!(after.iter().any(|sample| sample.abs() > 0.1));
        let steps = block.chunks_exact(CHANNELS).map(|pair| pair[0]);
        let largest = steps.clone().zip(steps.skip(1)).map(|(a, b)| (a - b).abs());
        assert!(largest.fold(0.0, f32::max) < 0.05, "no click");
    }
}
