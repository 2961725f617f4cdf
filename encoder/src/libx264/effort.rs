//! What the library does for fewer bits and smoother edges, left out where nobody sees it.
//!
//! Predicted pictures whose blocks are cut up take fewer bits, and the filter smooths the edges that coarse quantisers
//! leave. One that is as fine as anybody sees has no such edges, and where there are bits to spare it takes less processor
//! time without both. The library changes them from one picture to the next, which it does not do with all of a preset.
//!
//! What a picture takes is known behind it: the first one of a new scene is coded as the one before was, but for keyframes
//! that are asked for.
//!
//! Pure: it is told quantisers and lengths.

use std::ffi::CStr;

use crate::settings::{EncoderSettings, LibX264Preset};

/// Up to this quantiser a picture is as fine as anybody sees...
const FINE: u8 = EncoderSettings::MIN_QP;
/// ...and from this one on errors can be seen.
const SEEN: u8 = FINE + 3;
/// Parts of its budget: a picture that took less has bits to spare...
const SPARE: f64 = 0.6;
/// ...and one that took more was held back, so that parts of it are coarser than it was meant to be.
const HELD_BACK: f64 = 0.85;

/// How much is done for a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Effort {
    /// All of the preset.
    #[default]
    Full,
    /// Blocks of predicted pictures are whole, and nothing is filtered.
    Less,
}

impl Effort {
    /// That for the picture after one that was begun with this quantiser, of which none is finer than `finest`, and took this
    /// part of its budget.
    pub(super) fn after(self, quantiser: u8, finest: u8, taken: f64) -> Self {
        if quantiser >= SEEN || taken > HELD_BACK {
            Self::Full
        } else if quantiser <= FINE.max(finest) && taken < SPARE {
            Self::Less
        } else {
            self
        }
    }

    /// Options of the library's command line.
    pub(super) const fn options(
        self,
        preset: LibX264Preset,
    ) -> [(&'static CStr, &'static CStr); 2] {
        match self {
            Self::Full if preset.filters => {
                [(c"partitions", preset.partitions), (c"deblock", c"0:0")]
            }
            Self::Full => [(c"partitions", preset.partitions), (c"deblock", c"false")],
            Self::Less => [(c"partitions", c"none"), (c"deblock", c"false")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_done_once_a_picture_is_fine_with_bits_to_spare_until_one_is_not() {
        let mut effort = Effort::default();
        let pictures = [
            (30, 1.0, false),
            (18, 0.7, false),
            (19, 0.2, false),
            (18, 0.5, true),
            (20, 0.8, true),
            (17, 0.9, false),
            (17, 0.1, true),
            (21, 0.1, false),
            (20, 0.1, false),
            (18, f64::NAN, false),
            (18, 0.1, true),
        ];
        for (quantiser, taken, less) in pictures {
            effort = effort.after(quantiser, 0, taken);
            assert_eq!(effort == Effort::Less, less, "{quantiser} {taken}");
        }
        let after = |quantiser, finest| Effort::Full.after(quantiser, finest, 0.1);
        assert_eq!([after(20, 20), after(21, 21)], [Effort::Less, Effort::Full]);
    }
}
