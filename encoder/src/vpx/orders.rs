//! What libvpx is told of a picture: which of its buffers it may refer to, and which it is kept in. Pure.
//!
//! VP8 is told by flags. VP9 has the same flags, but in real time it looks at nothing but its last picture and at
//! times at golden, so that a picture from another one alone would be coded all but on its own. So VP9 is told, as
//! for layers, which of its eight buffers is the last picture to it: of a picture that makes a loss good the one
//! that the client has.

use std::ffi::{c_int, c_long};

use super::anchors::{Plan, Slot};
use super::standard::Standard;
use super::sys::flag;

/// Buffers of VP9, by their numbers: that of the last picture, and where the other two are kept.
const LAST: c_int = 0;
const GOLDEN: c_int = 1;
const ALTREF: c_int = 2;

/// What the library is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Bits of [`flag`].
    pub(super) flags: c_long,
    /// Of VP9.
    pub(super) references: Option<References>,
}

/// Buffers of VP9, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct References {
    /// What the library takes for its last picture, the only one that it refers to. Golden beside it makes
    /// pictures 0.1 dB better at the most, for 5 to 15 % of processor time.
    pub(super) last: c_int,
    /// Those that the picture is kept in, a bit for each.
    pub(super) kept: c_int,
}

impl Order {
    /// A plan in the library's words.
    pub(super) fn of(standard: Standard, plan: Plan) -> Self {
        let key = if plan == Plan::Key { flag::KEYFRAME } else { 0 };
        match standard {
            Standard::Vp8 => Self { flags: flags(plan), references: None },
            Standard::Vp9 => Self { flags: key, references: Some(references(plan)) },
        }
    }

    /// The same for a picture that nothing refers to, and that changes nothing for those after it.
    pub(super) fn in_vain(self) -> Self {
        match self.references {
            None => {
                let flags = self.flags & !(flag::AS_GOLDEN | flag::AS_ALTREF) | flag::IN_VAIN;
                Self { flags, ..self }
            }
            Some(references) => {
                Self { references: Some(References { kept: 0, ..references }), ..self }
            }
        }
    }
}

fn flags(plan: Plan) -> c_long {
    let Plan::Delta { last, golden, altref, keep } = plan else {
        return flag::KEYFRAME;
    };
    let unless = |refers: bool, flag| if refers { 0 } else { flag };
    let kept = match keep {
        None => flag::NOT_AS_GOLDEN | flag::NOT_AS_ALTREF,
        Some(Slot::Golden) => flag::AS_GOLDEN | flag::NOT_AS_ALTREF,
        Some(Slot::AltRef) => flag::AS_ALTREF | flag::NOT_AS_GOLDEN,
    };
    unless(last, flag::NOT_FROM_LAST)
        | unless(golden, flag::NOT_FROM_GOLDEN)
        | unless(altref, flag::NOT_FROM_ALTREF)
        | kept
}

fn references(plan: Plan) -> References {
    let Plan::Delta { last, golden, altref, keep } = plan else {
        // A keyframe refers to none and is kept in all.
        return References { last: LAST, kept: 0xff };
    };
    let places = [(last, LAST), (golden, GOLDEN), (altref, ALTREF)];
    let place = places.into_iter().find(|(refers, _)| *refers).map(|(_, place)| place);
    let kept = match keep {
        None => 0,
        Some(Slot::Golden) => 1 << GOLDEN,
        Some(Slot::AltRef) => 1 << ALTREF,
    };
    References { last: place.unwrap_or(LAST), kept: 1 << LAST | kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(last: bool, golden: bool, altref: bool, keep: Option<Slot>) -> Plan {
        Plan::Delta { last, golden, altref, keep }
    }

    #[test]
    fn a_plan_is_told_with_flags_that_do_not_contradict_each_other() {
        assert_eq!(flags(Plan::Key), 1);
        let told = |last, golden, altref, keep| flags(plan(last, golden, altref, keep));
        // vp8cx.h: LAST 16, GF 17, ARF 21 not referred to; GF 22, ARF 23 not updated; GF 19, ARF 24 forced.
        assert_eq!(told(true, true, true, None), 1 << 22 | 1 << 23);
        let altref = told(false, true, false, Some(Slot::AltRef));
        assert_eq!(altref, 1 << 16 | 1 << 21 | 1 << 22 | 1 << 24);
        let golden = told(false, false, true, Some(Slot::Golden));
        assert_eq!(golden, 1 << 16 | 1 << 17 | 1 << 19 | 1 << 23);
    }

    #[test]
    fn a_picture_in_vain_refers_as_planned_and_is_kept_as_nothing() {
        let plan = plan(false, true, false, Some(Slot::AltRef));
        // LAST 18, entropy 20, GF 22, ARF 23 not updated, which must not be forced as well.
        let vp8 = Order::of(Standard::Vp8, plan).in_vain();
        assert_eq!(vp8.flags, 1 << 16 | 1 << 21 | 1 << 18 | 1 << 20 | 1 << 22 | 1 << 23);
        let vp9 = Order::of(Standard::Vp9, plan).in_vain();
        assert_eq!(vp9.references, Some(References { last: 1, kept: 0 }));
    }

    #[test]
    fn what_may_be_referred_to_is_the_last_picture_to_vp9() {
        let told = |last, golden, altref, keep| {
            let order = Order::of(Standard::Vp9, plan(last, golden, altref, keep));
            assert_eq!(order.flags, 0);
            let References { last, kept } = order.references.unwrap();
            (last, kept)
        };
        assert_eq!(told(true, true, false, None), (0, 0b001));
        assert_eq!(told(true, false, true, Some(Slot::Golden)), (0, 0b011));
        assert_eq!(told(false, true, false, Some(Slot::AltRef)), (1, 0b101));
        assert_eq!(told(false, false, true, None), (2, 0b001));
        let key = Order::of(Standard::Vp9, Plan::Key);
        assert_eq!(key.flags, 1);
        assert_eq!(key.references, Some(References { last: 0, kept: 0xff }));
    }
}
