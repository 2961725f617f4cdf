//! How coarse the first picture after a fall of the rate is to be. Pure.
//!
//! libvpx takes a picture no coarser than those before it were in the mean as long as its buffer is as full as it
//! aims at. So the first one after a fall would be as long as at the old rate: six budgets after a fall from 8 to
//! 2 Mbit/s. Left free, it takes the length as inverse to the quantiser's step, and makes a tenth of a budget where
//! pictures are noise.
//!
//! Lengths go with a power of the step that is between 1 and 3, as the picture is. It is measured: the picture is
//! coded once in vain with a step that is right for a power in the middle, and then as the power between that and
//! the picture before it says.

/// Steps of AC coefficients (RFC 6386, 14.1) at the quantisers by which libvpx is told.
const STEPS: [u16; 64] = [
    4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 60, 64, 68, 72, 78, 84, 90, 96, 102, 108,
    114, 122, 131, 140, 149, 158, 167, 177, 189, 201, 213, 225, 239, 254, 269, 284,
];
/// The finest one by libvpx's own choice (its default).
pub(super) const FINEST: u8 = 4;
/// The power for pictures of which nothing is known.
const POWER: f64 = 1.7;
/// The range of powers that are believed: of two lengths that are close one may be chance.
const POWERS: std::ops::RangeInclusive<f64> = 0.8..=4.0;

/// How long a picture was, and how coarse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) bytes: usize,
    /// Up to 63.
    pub(super) quantiser: u8,
}

impl Seen {
    /// The quantiser with which a picture like this one takes so many bytes, as far as can be said.
    pub(super) fn guess(self, bytes: f64) -> u8 {
        self.with_power(bytes, POWER)
    }

    /// The same for the picture that was tried, this one being the one before it.
    pub(super) fn after_trial(self, tried: Self, bytes: f64) -> u8 {
        let steps = (self.log_step() - tried.log_step()).abs();
        let power = (self.log_bytes() - tried.log_bytes()).abs() / steps;
        let power = if power.is_finite() { power } else { POWER };
        tried.with_power(bytes, power.clamp(*POWERS.start(), *POWERS.end()))
    }

    fn with_power(self, bytes: f64, power: f64) -> u8 {
        let wanted = self.log_step() + (self.log_bytes() - bytes.max(1.0).ln()) / power;
        let distance = |quantiser: u8| (log_step(quantiser) - wanted).abs();
        let all = FINEST..=STEPS.len() as u8 - 1;
        all.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(FINEST)
    }

    fn log_bytes(self) -> f64 {
        (self.bytes.max(1) as f64).ln()
    }

    fn log_step(self) -> f64 {
        log_step(self.quantiser)
    }
}

fn log_step(quantiser: u8) -> f64 {
    f64::from(STEPS[usize::from(quantiser).min(STEPS.len() - 1)]).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture whose length is this power of the step.
    fn seen(quantiser: u8, power: f64) -> Seen {
        let bytes = 2e6 / f64::from(STEPS[usize::from(quantiser)]).powf(power);
        Seen { bytes: bytes as usize, quantiser }
    }

    proptest! {
        /// Wherever the power is, and a quantiser for the length.
        #[test]
        fn one_trial_finds_the_length(
            before in FINEST..40,
            power in 1.0..3.0_f64,
            share in 0.2..0.95_f64,
        ) {
            let before = seen(before, power);
            let bytes = before.bytes as f64 * share;
            let tried = seen(before.guess(bytes), power);
            let found = seen(before.after_trial(tried, bytes), power).bytes as f64 / bytes;
            // Quantisers lie up to a fifth of a step apart.
            let coarsest = seen(63, power).bytes as f64;
            prop_assert!((0.7..1.4).contains(&found) || bytes < coarsest, "{} times", found);
        }

        #[test]
        fn whatever_was_seen_the_answer_is_a_quantiser(
            lengths in [0_usize..1 << 30, 0_usize..1 << 30],
            quantisers in [any::<u8>(), any::<u8>()],
            bytes in 0.0..1e12_f64,
        ) {
            let seen = |at: usize| Seen { bytes: lengths[at], quantiser: quantisers[at] };
            let all = FINEST..=63;
            prop_assert!(all.contains(&seen(0).guess(bytes)));
            prop_assert!(all.contains(&seen(0).after_trial(seen(1), bytes)));
        }
    }

    #[test]
    fn a_fall_makes_pictures_coarser() {
        let before = Seen { bytes: 16_000, quantiser: 30 };
        assert!(before.guess(4_000.0) > before.guess(12_000.0));
        assert_eq!(before.guess(16_000.0), 30);
        // Twice as coarse by the trial made it a quarter: the power is 2.
        let tried = Seen { bytes: 4_000, quantiser: 46 };
        assert_eq!((STEPS[30], STEPS[46], STEPS[39]), (43, 102, 64));
        assert_eq!(before.after_trial(tried, 4_000.0), 46);
    }
}
