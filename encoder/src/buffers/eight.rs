//! What a library with eight buffers is told of a picture. Pure.
//!
//! Such a library in real time looks at nothing but what it takes for its last picture and at times at golden, so that
//! a picture from another one alone would be coded all but on its own. So it is told which of the buffers the last
//! picture is to it: of a picture that makes a loss good the one that the client has.

use super::{Plan, Slot};

/// Buffers, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct References {
    /// What the library takes for its last picture, the only one that it refers to.
    pub(crate) last: u8,
    /// Those that the picture is kept in, a bit for each.
    pub(crate) kept: u8,
}

impl References {
    /// A plan for buffers of which `first` holds the last picture, the next one golden, and the one after it alt-ref.
    pub(crate) fn of(plan: Plan, first: u8) -> Self {
        let Plan::Delta { last, golden, altref, keep } = plan else {
            // A keyframe refers to none and is kept in all.
            return Self { last: first, kept: 0xff };
        };
        let places = [(last, 0), (golden, 1), (altref, 2)];
        let place = places.into_iter().find(|(refers, _)| *refers).map_or(0, |(_, place)| place);
        let kept = match keep {
            None => 0b001,
            Some(Slot::Golden) => 0b011,
            Some(Slot::AltRef) => 0b101,
        };
        Self { last: first + place, kept: kept << first }
    }

    /// The same for a picture that nothing refers to.
    pub(crate) fn in_vain(self) -> Self {
        Self { kept: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_referred_to_is_the_last_picture() {
        let plan = |last, golden, altref, keep| Plan::Delta { last, golden, altref, keep };
        for first in [0, 1] {
            let told = |plan| {
                let References { last, kept } = References::of(plan, first);
                (last - first, kept >> first)
            };
            assert_eq!(told(plan(true, true, false, None)), (0, 0b001));
            assert_eq!(told(plan(true, false, true, Some(Slot::Golden))), (0, 0b011));
            assert_eq!(told(plan(false, true, false, Some(Slot::AltRef))), (1, 0b101));
            assert_eq!(told(plan(false, false, true, None)), (2, 0b001));
            assert_eq!(References::of(Plan::Key, first), References { last: first, kept: 0xff });
        }
        let vain = References::of(plan(false, true, false, Some(Slot::AltRef)), 1).in_vain();
        assert_eq!(vain, References { last: 2, kept: 0 });
    }
}
