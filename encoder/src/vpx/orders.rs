//! What libvpx is told of a picture: which of its buffers it may refer to, and which it is kept in. Pure.
//!
//! VP8 is told by flags. VP9 has the same flags, but is told by its eight buffers ([`crate::buffers::eight`]).

use std::ffi::c_long;

use super::standard::Standard;
use super::sys::flag;
use crate::buffers::eight::References;
use crate::buffers::{Plan, Slot};

/// The buffer of VP9's last picture.
const LAST: u8 = 0;

/// What the library is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Bits of [`flag`].
    pub(super) flags: c_long,
    /// Of VP9.
    pub(super) references: Option<References>,
}

impl Order {
    /// A plan in the library's words.
    pub(super) fn of(standard: Standard, plan: Plan) -> Self {
        let key = if plan == Plan::Key { flag::KEYFRAME } else { 0 };
        match standard {
            Standard::Vp8 => Self { flags: flags(plan), references: None },
            Standard::Vp9 => Self { flags: key, references: Some(References::of(plan, LAST)) },
        }
    }

    /// The same for a picture that nothing refers to, and that changes nothing for those after it.
    pub(super) fn in_vain(self) -> Self {
        match self.references {
            None => {
                let flags = self.flags & !(flag::AS_GOLDEN | flag::AS_ALTREF) | flag::IN_VAIN;
                Self { flags, ..self }
            }
            Some(references) => Self { references: Some(references.in_vain()), ..self },
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
    fn vp9_is_told_of_keyframes_by_a_flag_and_of_all_else_by_its_buffers() {
        let told = |plan| {
            let order = Order::of(Standard::Vp9, plan);
            (order.flags, order.references)
        };
        assert_eq!(told(Plan::Key), (1, Some(References { last: 0, kept: 0xff })));
        let altref = plan(false, false, true, Some(Slot::Golden));
        assert_eq!(told(altref), (0, Some(References { last: 2, kept: 0b011 })));
    }
}
