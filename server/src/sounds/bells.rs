//! Bells that ring when something in a scene is touched, each thing with a note of its own.
//!
//! A bell is a few tones that fade, the higher ones sooner (additive synthesis); all notes are of one
//! pentatonic scale, so that any two sound well together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::audio::{CHANNELS, SAMPLE_RATE};
use media::{AudioError, AudioSource, MediaTime, Sound};

/// Touches that wait for the next block; more at once are not told apart.
const WAITING: usize = 8;
/// Bells that ring at once; the oldest gives way.
const RINGING: usize = 12;
/// Lowest note: A3.
const LOWEST: f32 = 220.0;
/// Semitones of a major pentatonic scale.
const SCALE: [u32; 5] = [0, 2, 4, 7, 9];
/// Octaves of it that are used.
const OCTAVES: u32 = 3;
/// Tones of a bell: multiple of its pitch, loudness, seconds until it has faded to 1/e.
const TONES: [(f32, f32, f32); 4] =
    [(1.0, 1.0, 0.55), (2.0, 0.5, 0.35), (3.01, 0.25, 0.2), (5.43, 0.12, 0.09)];
const LOUD: f32 = 0.12;
/// Seconds that the attack takes.
const ATTACK: f32 = 0.003;
/// Seconds after which a bell is not heard any more.
const LENGTH: f32 = 4.0;

/// What rings the bells of a session.
#[derive(Clone, Default)]
pub struct Strikes(Arc<Mutex<Vec<Strike>>>);

#[derive(Clone, Copy)]
struct Strike {
    at: MediaTime,
    note: usize,
    /// From -1, left, to 1.
    across: f32,
}

impl Strikes {
    /// Rings the bell of this thing, at a place across the picture from -1, left, to 1.
    pub fn strike(&self, thing: usize, across: f32, at: MediaTime) {
        let mut waiting = self.lock();
        if waiting.len() < WAITING {
            waiting.push(Strike { at, note: thing, across: across.clamp(-1.0, 1.0) });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Strike>> {
        // Every change is one push or a drain.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub struct Bells {
    strikes: Strikes,
    ringing: Vec<Bell>,
}

struct Bell {
    /// Radians a sample.
    step: f32,
    gains: [f32; CHANNELS],
    /// Samples since the strike, or until it.
    age: i64,
}

impl Bells {
    /// Bells that ring by `strikes`.
    pub fn new(strikes: Strikes) -> Self {
        Self { strikes, ringing: Vec::with_capacity(RINGING) }
    }
}

impl AudioSource for Bells {
    fn fill(&mut self, at: MediaTime, block: &mut [f32]) -> Result<Sound, AudioError> {
        for strike in self.strikes.lock().drain(..) {
            if self.ringing.len() == RINGING {
                self.ringing.remove(0);
            }
            self.ringing.push(Bell::new(strike, at));
        }
        block.fill(0.0);
        for bell in &mut self.ringing {
            bell.add_to(block);
        }
        let end = (LENGTH * SAMPLE_RATE as f32) as i64;
        self.ringing.retain(|bell| bell.age < end);
        Ok(if self.ringing.is_empty() { Sound::of(block) } else { Sound::Heard })
    }
}

impl Bell {
    /// `now` is when the block begins. A strike of the block before rings at once.
    fn new(strike: Strike, now: MediaTime) -> Self {
        let notes = SCALE.len() as u32 * OCTAVES;
        let note = (strike.note % notes as usize) as u32;
        let semitones =
            SCALE[(note % SCALE.len() as u32) as usize] + 12 * (note / SCALE.len() as u32);
        let hertz = LOWEST * (semitones as f32 / 12.0).exp2();
        // Equal power at every place.
        let angle = (strike.across + 1.0) * std::f32::consts::FRAC_PI_4;
        let ahead = strike.at.since(now).as_secs_f32() * SAMPLE_RATE as f32;
        Self {
            step: hertz * std::f32::consts::TAU / SAMPLE_RATE as f32,
            gains: [angle.cos() * LOUD, angle.sin() * LOUD],
            age: -(ahead as i64),
        }
    }

    fn add_to(&mut self, block: &mut [f32]) {
        for pair in block.chunks_exact_mut(CHANNELS) {
            if self.age >= 0 {
                let value = self.value();
                pair.iter_mut().zip(self.gains).for_each(|(sample, gain)| *sample += value * gain);
            }
            self.age += 1;
        }
    }

    fn value(&self) -> f32 {
        let (age, rate) = (self.age as f32, SAMPLE_RATE as f32);
        let seconds = age / rate;
        let tone = |(multiple, loud, fades): (f32, f32, f32)| {
            loud * (-seconds / fades).exp() * (age * self.step * multiple).sin()
        };
        // The end fades to nothing, or it would click.
        let end = ((LENGTH - seconds) * 10.0).clamp(0.0, 1.0);
        (seconds / ATTACK).min(1.0) * end * TONES.into_iter().map(tone).sum::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 10;

    struct Room {
        strikes: Strikes,
        bells: Bells,
        at: u64,
    }

    impl Room {
        fn new() -> Self {
            let strikes = Strikes::default();
            Self { bells: Bells::new(strikes.clone()), strikes, at: 1_000 }
        }

        fn hear(&mut self) -> (Sound, Vec<f32>) {
            let mut block = vec![9.0; 480 * CHANNELS];
            let sound = self.bells.fill(MediaTime::from_millis(self.at), &mut block).unwrap();
            self.at += BLOCK;
            (sound, block)
        }
    }

    fn energy(block: &[f32], channel: usize) -> f32 {
        block.iter().skip(channel).step_by(CHANNELS).map(|sample| sample * sample).sum()
    }

    #[test]
    fn nothing_is_heard_until_something_is_touched_and_after_it_has_faded() {
        let mut room = Room::new();
        assert_eq!(room.hear().0, Sound::Silent);
        room.strikes.strike(3, 0.0, MediaTime::from_millis(1_008));
        let (sound, block) = room.hear();
        assert_eq!(sound, Sound::Heard);
        assert!(energy(&block, 0) > 0.001 && block.iter().all(|sample| sample.abs() < 0.5));
        let blocks = (0..1_000).position(|_| room.hear().0 == Sound::Silent).unwrap();
        assert_eq!(blocks, 399, "four seconds");
    }

    #[test]
    fn a_touch_in_a_block_rings_from_its_time_on() {
        let mut room = Room::new();
        room.strikes.strike(0, 0.0, MediaTime::from_millis(1_005));
        let (_, block) = room.hear();
        assert!(block[..480].iter().all(|sample| *sample == 0.0));
        assert!(energy(&block[480..], 1) > 0.0);
    }

    #[test]
    fn it_is_heard_from_where_it_is_seen() {
        for (across, left) in [(-1.0, true), (1.0, false), (-9.0, true)] {
            let mut room = Room::new();
            room.strikes.strike(0, across, MediaTime::from_millis(1_000));
            let (_, block) = room.hear();
            let (one, other) = (energy(&block, 0), energy(&block, 1));
            assert_eq!(one > 100.0 * other, left, "{across}: {one} {other}");
        }
    }

    #[test]
    fn a_flood_of_touches_is_bounded() {
        let mut room = Room::new();
        for n in 0..1_000 {
            room.strikes.strike(n, 0.0, MediaTime::from_millis(1_000));
            if n % 50 == 0 {
                let (_, block) = room.hear();
                assert!(block.iter().all(|sample| sample.abs() < 4.0));
            }
        }
        assert_eq!(room.bells.ringing.len(), RINGING);
        assert_eq!(room.strikes.lock().len(), WAITING);
    }
}
