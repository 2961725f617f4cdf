//! What libaom is told of a picture. Pure.
//!
//! A picture may refer to seven others by name, of which the first is the last picture: that one alone it is to look at.
//! libaom keeps it in such buffers alone as one of the seven names.

use std::ffi::c_int;

use crate::buffers::Plan;
use crate::buffers::eight::References;

/// The buffer of the last picture, with those of golden and alt-ref behind it. Before it lies one that is neither
/// referred to nor kept in: libaom 3.6 keeps a picture in the first one as it likes, whatever it is told
/// (`av1_adjust_gf_refresh_qp_one_pass_rt`), as long as one of the seven names that.
const LAST: u8 = 1;

/// What the library is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Whether it may refer to each of the seven.
    pub(super) refers: [c_int; 7],
    /// The buffer of each of the seven.
    pub(super) buffers: [c_int; 7],
    /// Whether each buffer is to keep the picture.
    pub(super) kept: [c_int; 8],
}

impl Order {
    /// A plan in the library's words, for a picture that is kept in no buffer if it is coded in vain.
    pub(super) fn of(plan: Plan, in_vain: bool) -> Self {
        let references = References::of(plan, LAST);
        let References { last, kept } = if in_vain { references.in_vain() } else { references };
        let mut order =
            Self { refers: [1, 0, 0, 0, 0, 0, 0], buffers: [last.into(); 7], kept: [0; 8] };
        if plan == Plan::Key {
            // It is kept in all of them whatever is said.
            return order;
        }
        let mut names = order.buffers[1..].iter_mut();
        for (buffer, keeps) in order.kept.iter_mut().enumerate() {
            if kept >> buffer & 1 == 1
                && let Some(name) = names.next()
            {
                (*name, *keeps) = (buffer as c_int, 1);
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Slot;

    #[test]
    fn what_is_kept_in_is_named_and_the_first_buffer_never() {
        let plan = |last, golden, altref, keep| Plan::Delta { last, golden, altref, keep };
        let told = |plan, in_vain| {
            let Order { refers, buffers, kept } = Order::of(plan, in_vain);
            assert_eq!(refers, [1, 0, 0, 0, 0, 0, 0]);
            (buffers, kept)
        };
        let usual = told(plan(true, true, false, None), false);
        assert_eq!(usual, ([1; 7], [0, 1, 0, 0, 0, 0, 0, 0]));
        let back = told(plan(false, true, false, Some(Slot::AltRef)), false);
        assert_eq!(back, ([2, 1, 3, 2, 2, 2, 2], [0, 1, 0, 1, 0, 0, 0, 0]));
        let back = told(plan(false, true, false, Some(Slot::AltRef)), true);
        assert_eq!(back, ([2; 7], [0; 8]));
        assert_eq!(told(Plan::Key, false), ([1; 7], [0; 8]));
    }
}
