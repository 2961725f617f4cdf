//! How coarse the first picture after a fall of the rate is to be. Pure.
//!
//! libvpx and libaom take a picture no coarser than those before it were in the mean (libaom: a quarter coarser) as long
//! as their buffer is as full as they aim at. So the first one after a fall would be as long as at the old rate. Left
//! free, they take the length as inverse to the quantiser's step, and make a small part of a budget where pictures are
//! noise.
//!
//! Lengths go with a power of the step that is between 1 and 3, as the picture is. It is measured: the picture is
//! coded once in vain with a step that is right for a power in the middle, and then as the power between that and
//! the picture before it says.

use std::ops::RangeInclusive;

/// How coarse the quantisers are by which a library is told.
#[derive(Debug)]
pub(crate) struct Steps {
    /// Steps of AC coefficients.
    ac: [u16; 64],
    /// The finest quantiser by the encoder's own choice.
    pub(super) finest: u8,
}

impl Steps {
    /// RFC 6386, 14.1. The finest one is libvpx's default.
    pub(crate) const VP8: Self = Self {
        ac: [
            4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 31,
            32, 33, 34, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 60, 64, 68, 72, 78, 84, 90,
            96, 102, 108, 114, 122, 131, 140, 149, 158, 167, 177, 189, 201, 213, 225, 239, 254,
            269, 284,
        ],
        finest: 4,
    };
    /// `ac_qlookup` of the VP9 bitstream specification, 8.6.1, eight bits, at every fourth index. libvpx's default
    /// for the finest one is 0, which is without loss.
    pub(crate) const VP9: Self = Self {
        ac: [
            4, 11, 15, 19, 23, 27, 31, 35, 39, 43, 47, 51, 55, 59, 63, 67, 71, 75, 79, 83, 87, 91,
            95, 99, 104, 112, 120, 128, 136, 144, 152, 164, 176, 188, 200, 215, 231, 247, 265, 285,
            305, 329, 353, 380, 408, 440, 474, 510, 550, 593, 639, 689, 743, 801, 864, 933, 1_007,
            1_087, 1_173, 1_267, 1_369, 1_479, 1_628, 1_828,
        ],
        finest: 2,
    };
    /// The same of ten bits.
    pub(crate) const VP9_TEN_BITS: Self = Self {
        ac: [
            4, 16, 27, 40, 55, 71, 88, 105, 122, 140, 158, 177, 195, 213, 231, 249, 267, 284, 302,
            319, 337, 354, 371, 388, 409, 441, 474, 506, 539, 571, 604, 652, 700, 749, 797, 857,
            922, 986, 1_058, 1_138, 1_218, 1_314, 1_411, 1_519, 1_631, 1_759, 1_895, 2_039, 2_199,
            2_371, 2_555, 2_755, 2_971, 3_203, 3_455, 3_731, 4_028, 4_348, 4_692, 5_068, 5_476,
            5_804, 6_512, 7_312,
        ],
        finest: 2,
    };
    /// `Ac_Qlookup` of the AV1 specification, 7.12.2, eight bits, and the indices that libaom takes from it are those of VP9
    /// and libvpx.
    pub(crate) const AV1: Self = Self::VP9;

    /// All that the encoder may choose from.
    pub(super) fn free(&self) -> RangeInclusive<u8> {
        self.finest..=self.ac.len() as u8 - 1
    }

    fn log_step(&self, quantiser: u8) -> f64 {
        f64::from(self.ac[usize::from(quantiser).min(self.ac.len() - 1)]).ln()
    }
}

/// The power for pictures of which nothing is known.
const POWER: f64 = 1.7;
/// The highest one of pictures: of noise.
const HIGHEST: f64 = 3.0;
/// The range of powers that are believed: of two lengths that are close one may be chance.
const POWERS: RangeInclusive<f64> = 0.8..=4.0;

/// How long a picture was, and how coarse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) bytes: usize,
    /// Up to 63.
    pub(super) quantiser: u8,
}

impl Seen {
    /// The quantiser with which a picture like this one takes so many bytes, as far as can be said.
    pub(super) fn guess(self, steps: &Steps, bytes: f64) -> u8 {
        self.with_power(steps, bytes, POWER)
    }

    /// The same for the picture that was tried, this one being the one before it.
    pub(super) fn after_trial(self, steps: &Steps, tried: Self, bytes: f64) -> u8 {
        let log_step = |seen: Self| steps.log_step(seen.quantiser);
        let apart = (log_step(self) - log_step(tried)).abs();
        let power = (self.log_bytes() - tried.log_bytes()).abs() / apart;
        let power = if power.is_finite() { power } else { POWER };
        tried.with_power(steps, bytes, power.clamp(*POWERS.start(), *POWERS.end()))
    }

    /// The finest quantiser with which a picture like this one takes no more bytes than these, even where lengths
    /// grow by the highest power there is: not coarser than this one was.
    pub(super) fn finest(self, steps: &Steps, bytes: f64) -> u8 {
        self.with_power(steps, bytes, HIGHEST).min(self.quantiser)
    }

    fn with_power(self, steps: &Steps, bytes: f64, power: f64) -> u8 {
        let longer = (self.log_bytes() - bytes.max(1.0).ln()) / power;
        let wanted = steps.log_step(self.quantiser) + longer;
        let distance = |quantiser: u8| (steps.log_step(quantiser) - wanted).abs();
        let nearest = steps.free().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        nearest.unwrap_or(steps.finest)
    }

    fn log_bytes(self) -> f64 {
        (self.bytes.max(1) as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture whose length is this power of the step.
    fn seen(steps: &Steps, quantiser: u8, power: f64) -> Seen {
        // Of the coarsest there are some left.
        let bytes = 2e14 / (steps.log_step(quantiser) * power).exp();
        Seen { bytes: bytes as usize, quantiser }
    }

    fn any_steps() -> impl Strategy<Value = &'static Steps> {
        prop::sample::select(vec![&Steps::VP8, &Steps::VP9, &Steps::VP9_TEN_BITS])
    }

    proptest! {
        /// Wherever the power is, and a quantiser for the length.
        #[test]
        fn one_trial_finds_the_length(
            steps in any_steps(),
            // Finer ones of ten bits lie farther apart.
            before in 6_u8..40,
            power in 1.0..3.0_f64,
            share in 0.2..0.95_f64,
        ) {
            let seen = |quantiser| seen(steps, quantiser, power);
            let before = seen(before);
            let bytes = before.bytes as f64 * share;
            let tried = seen(before.guess(steps, bytes));
            let found = seen(before.after_trial(steps, tried, bytes)).bytes as f64 / bytes;
            // Quantisers lie up to a fifth of a step apart.
            let coarsest = seen(63).bytes as f64;
            prop_assert!((0.7..1.4).contains(&found) || bytes < coarsest, "{} times", found);
        }

        #[test]
        fn whatever_was_seen_the_answer_is_a_quantiser(
            steps in any_steps(),
            lengths in [0_usize..1 << 30, 0_usize..1 << 30],
            quantisers in [any::<u8>(), any::<u8>()],
            bytes in 0.0..1e12_f64,
        ) {
            let seen = |at: usize| Seen { bytes: lengths[at], quantiser: quantisers[at] };
            let all = steps.finest..=63;
            prop_assert!(all.contains(&seen(0).guess(steps, bytes)));
            prop_assert!(all.contains(&seen(0).after_trial(steps, seen(1), bytes)));
        }
    }

    #[test]
    fn a_picture_may_be_finer_where_the_one_before_it_was_short() {
        let steps = &Steps::VP9;
        let before = |bytes| Seen { bytes, quantiser: 48 };
        let finest = |bytes| before(bytes).finest(steps, 8_000.0);
        // An eighth of the length by the third power: half the step.
        assert_eq!((steps.ac[48], steps.ac[38], steps.ac[39]), (550, 265, 285));
        assert_eq!(finest(1_000), 39);
        assert_eq!(finest(8_000), 48);
        assert_eq!(finest(80_000), 48, "it is for rate control to make it coarser");
        assert_eq!(finest(0), finest(1), "what takes nothing has a length all the same");
    }

    #[test]
    fn a_fall_makes_pictures_coarser() {
        let steps = &Steps::VP8;
        let before = Seen { bytes: 16_000, quantiser: 30 };
        assert!(before.guess(steps, 4_000.0) > before.guess(steps, 12_000.0));
        assert_eq!(before.guess(steps, 16_000.0), 30);
        // Twice as coarse by the trial made it a quarter: the power is 2.
        let tried = Seen { bytes: 4_000, quantiser: 46 };
        assert_eq!((steps.ac[30], steps.ac[46], steps.ac[39]), (43, 102, 64));
        assert_eq!(before.after_trial(steps, tried, 4_000.0), 46);
    }
}
