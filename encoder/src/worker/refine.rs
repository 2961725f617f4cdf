//! A picture that stands still is coded again until it is good, and then not at all. Pure.
//!
//! Rate control gives each picture the same share, so the first picture after motion is as coarse as
//! the motion was; coded again, its share goes into what was left out.

use media::Damage;

/// Pictures that are coded again at most: half a second at 60 a second, in which x264 at 300 kbit/s
/// came from 24 to 39 dB (the test scene at 640x384).
const STEPS: u8 = 30;
/// Mean quantiser at which what is left is not seen, on the scale of H.264 and H.265.
const GOOD: u8 = 20;
/// A unit of less than the budget's share by this number added nothing.
const NOTHING: u64 = 20;
/// Units in a row that added nothing, after which the encoder adds nothing more. Fewer would not do:
/// OpenH264 makes some before it lowers its quantiser.
const QUIET: u8 = 8;

/// How far a still picture has come.
#[derive(Debug, Default)]
pub(super) struct Refinement {
    /// Pictures that may still be coded again.
    left: u8,
    /// Units in a row that added nothing.
    quiet: u8,
}

impl Refinement {
    /// A unit of `bytes` was coded for a picture of which `damage` had changed, with a budget of
    /// `budget` bytes.
    pub(super) fn coded(
        &mut self,
        damage: &Damage,
        bytes: u64,
        budget: u64,
        quantiser: Option<u8>,
    ) {
        if *damage == Damage::none() {
            self.left = self.left.saturating_sub(1);
        } else {
            (self.left, self.quiet) = (STEPS, 0);
        }
        let added = bytes.saturating_mul(NOTHING) > budget;
        self.quiet = if added { 0 } else { self.quiet.saturating_add(1) };
        if quantiser.is_some_and(|quantiser| quantiser <= GOOD) || self.quiet >= QUIET {
            self.left = 0;
        }
    }

    /// Whether the picture should be coded again if it stands still.
    pub(super) fn is_wanted(&self) -> bool {
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Units until a still picture after one change is left alone.
    fn repeats(bytes: u64, quantiser: impl Fn(u8) -> Option<u8>) -> u8 {
        let mut refinement = Refinement::default();
        refinement.coded(&Damage::Unknown, 1_000, 1_000, quantiser(0));
        let mut count = 0;
        while refinement.is_wanted() {
            count += 1;
            refinement.coded(&Damage::none(), bytes, 1_000, quantiser(count));
        }
        count
    }

    #[test]
    fn it_ends_when_the_picture_is_good_when_nothing_comes_and_in_any_case() {
        assert_eq!(repeats(900, |_| None), STEPS);
        assert_eq!(repeats(900, |step| Some(26 - step)), 6);
        assert_eq!(repeats(900, |_| Some(GOOD)), 0, "good at once");
        assert_eq!(repeats(50, |_| None), QUIET);
        assert_eq!(repeats(51, |_| Some(40)), STEPS);
    }

    #[test]
    fn nothing_is_wanted_before_anything_was_coded_and_each_change_begins_anew() {
        let mut refinement = Refinement::default();
        assert!(!refinement.is_wanted());
        for _ in 0..100 {
            refinement.coded(&Damage::Unknown, 10, 1_000, None);
            assert!(refinement.is_wanted());
        }
        refinement.coded(&Damage::Unknown, 900, 1_000, None);
        assert_eq!(refinement.left, STEPS);
    }
}
