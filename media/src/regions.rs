//! Parts of a picture that are coded finer or coarser than the rest.

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::Rect;

/// A part of a picture, and how finely it is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionQuality {
    /// In pixels of the picture. What lies outside of it counts for nothing.
    pub rect: Rect,
    /// Quantiser steps against the rest, within [`Regions::STEPS`]; negative is finer. Six of them double
    /// the step size (H.264, 8.5.12.1).
    pub steps: i8,
}

/// Parts of one picture; where they overlap, the later one counts.
///
/// Encoders have a step for each block of [`EncoderCapabilities::regions`](crate::EncoderCapabilities)
/// pixels, and a block counts to a region that it has any pixel of: the part that matters most comes
/// last. It is a value without memory of its own, so that each picture can have others at no cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    /// Those beyond the count are [`UNUSED`].
    list: [RegionQuality; Self::MOST],
    count: u8,
}

const UNUSED: RegionQuality =
    RegionQuality { rect: Rect { x: 0, y: 0, width: 0, height: 0 }, steps: 0 };

/// Why regions cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegionsRefused {
    /// There are more than [`Regions::MOST`].
    #[error("{0} regions in a picture, of which there are at most {most}", most = Regions::MOST)]
    TooMany(usize),
    /// The steps are beyond [`Regions::STEPS`].
    #[error(
        "a region of {0} steps, of which there are {least} to {most}",
        least = Regions::STEPS.start(),
        most = Regions::STEPS.end()
    )]
    Steps(i8),
}

impl Regions {
    /// Twice what two eyes take that each have a fovea and a ring around it.
    pub const MOST: usize = 8;
    /// A quarter of the step size to four times it.
    pub const STEPS: RangeInclusive<i8> = -12..=12;
    /// All of the picture alike.
    pub const NONE: Self = Self { list: [UNUSED; Self::MOST], count: 0 };

    /// Takes regions in their order.
    ///
    /// # Errors
    /// See [`RegionsRefused`].
    pub fn new(regions: &[RegionQuality]) -> Result<Self, RegionsRefused> {
        let mut list = [UNUSED; Self::MOST];
        let places = list.get_mut(..regions.len());
        let places = places.ok_or(RegionsRefused::TooMany(regions.len()))?;
        if let Some(wrong) = regions.iter().find(|region| !Self::STEPS.contains(&region.steps)) {
            return Err(RegionsRefused::Steps(wrong.steps));
        }
        places.copy_from_slice(regions);
        Ok(Self { list, count: regions.len() as u8 })
    }

    /// In their order.
    pub fn as_slice(&self) -> &[RegionQuality] {
        &self.list[..usize::from(self.count)]
    }

    /// Whether all of the picture is coded alike.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Default for Regions {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_there_is_room_for_and_steps_within_reason() {
        let region =
            |steps| RegionQuality { rect: Rect { x: 1, y: 2, width: 3, height: 4 }, steps };
        let all = [region(-12), region(0), region(12)];
        let regions = Regions::new(&all).unwrap();
        assert_eq!((regions.as_slice(), regions.is_empty()), (&all[..], false));
        assert_eq!(Regions::new(&[]), Ok(Regions::NONE));
        assert!(Regions::NONE.is_empty() && Regions::default() == Regions::NONE);
        assert_eq!(Regions::new(&[region(1); 8]).unwrap().as_slice().len(), Regions::MOST);

        let refused = Regions::new(&[region(1); 9]).unwrap_err();
        assert_eq!(refused.to_string(), "9 regions in a picture, of which there are at most 8");
        for steps in [-13, 13, i8::MIN, i8::MAX] {
            let refused = Regions::new(&[region(0), region(steps)]).unwrap_err();
            assert_eq!(refused, RegionsRefused::Steps(steps));
            assert!(refused.to_string().ends_with("there are -12 to 12"), "{refused}");
        }
    }
}
