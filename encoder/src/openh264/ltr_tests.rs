//! The state machine alone; what OpenH264 makes of it is judged by `tests/recovery/`.

use super::*;
use crate::h264::SliceType;

fn header(frame_num: u32, idr_pic_id: Option<u32>, long_term: Option<LongTermMark>) -> SliceHeader {
    SliceHeader {
        first_mb: 0,
        slice_type: if idr_pic_id.is_some() { SliceType::I } else { SliceType::P },
        frame_num,
        idr_pic_id,
        references: Default::default(),
        long_term,
    }
}

/// A keyframe 0, and pictures up to `last`, of which `marks` mark something.
fn coded(last: u64, marks: &[(u64, LongTermMark)]) -> LongTerm {
    let mut state = LongTerm::new();
    assert_eq!(
        state.coded(FrameId(0), &header(0, Some(3), Some(LongTermMark::Current))),
        UnitKind::Key
    );
    for frame in 1..=last {
        let mark = marks.iter().find(|(by, _)| *by == frame).map(|(_, mark)| *mark);
        assert_eq!(state.coded(FrameId(frame), &header(frame as u32, None, mark)), UnitKind::Delta);
    }
    state
}

fn lost(first: u64, last: u64) -> RangeInclusive<FrameId> {
    FrameId(first)..=FrameId(last)
}

fn back_to(base: u64, failed: Option<u32>) -> Forget {
    Forget::Recover { base: FrameId(base), failed: failed.map(Feedback::Failed) }
}

#[test]
fn without_acknowledgements_it_goes_back_to_the_keyframe() {
    let mut state = coded(50, &[(9, LongTermMark::Current)]);
    assert_eq!(state.idr(), 3);
    assert_eq!(state.forget(&lost(20, 49)), back_to(0, None));
    assert_eq!(state.forget(&lost(30, 50)), Forget::Nothing, "it is forgotten already");
    assert_eq!(state.coded(FrameId(51), &header(51, None, None)), UnitKind::Recovery);
    assert_eq!(state.coded(FrameId(52), &header(52, None, None)), UnitKind::Delta);
    assert_eq!(state.forget(&lost(0, 0)), Forget::Beyond);
    assert_eq!(state.forget(&lost(52, 52)), Forget::Beyond, "until a keyframe");
    assert_eq!(state.coded(FrameId(53), &header(0, Some(4), None)), UnitKind::Key);
    assert_eq!((state.idr(), state.forget(&lost(40, 52))), (4, Forget::Nothing));
}

#[test]
fn an_acknowledged_picture_confirms_what_was_marked_before_it() {
    let mut state = coded(20, &[(9, LongTermMark::Earlier(1))]);
    assert_eq!(state.acknowledge(FrameId(8)), None);
    assert_eq!(state.acknowledge(FrameId(12)), Some(Feedback::Marked(8)));
    assert_eq!(state.acknowledge(FrameId(13)), None, "once");
    // The confirmed one is behind the loss.
    assert_eq!(state.forget(&lost(10, 19)), back_to(9, None));
    state.coded(FrameId(21), &header(21, None, None));
    assert_eq!(state.forget(&lost(9, 9)), Forget::Beyond, "the client said that it has it");
}

#[test]
fn a_mark_that_is_lost_has_failed() {
    let mut state = coded(20, &[(9, LongTermMark::Current)]);
    assert_eq!(state.forget(&lost(9, 9)), back_to(0, Some(9)));
    assert_eq!(state.acknowledge(FrameId(20)), None);
}

#[test]
fn a_recovery_says_nothing_of_a_mark_before_it() {
    let mut state = coded(20, &[(9, LongTermMark::Current)]);
    assert_eq!(state.forget(&lost(15, 15)), back_to(0, None));
    state.coded(FrameId(21), &header(21, None, None));
    let mut early = coded(20, &[(9, LongTermMark::Current)]);
    assert_eq!(early.forget(&lost(15, 15)), back_to(0, None));
    early.coded(FrameId(21), &header(21, None, None));
    // Frame 14 was coded from the mark, frame 21 from the keyframe.
    assert_eq!(early.acknowledge(FrameId(14)), Some(Feedback::Marked(9)));
    assert_eq!(state.acknowledge(FrameId(21)), Some(Feedback::Failed(9)));
}

#[test]
fn numbers_come_around() {
    let mut state = coded(0, &[]);
    state.coded(FrameId(1), &header(0, None, Some(LongTermMark::Earlier(1))));
    assert_eq!(state.acknowledge(FrameId(1)), Some(Feedback::Marked(32_767)));
}

#[test]
fn a_loss_longer_than_what_is_remembered_is_made_good() {
    let mut state = coded(500, &[(9, LongTermMark::Current)]);
    assert_eq!(state.forget(&lost(40, 500)), back_to(0, None));
    let mut state = coded(500, &[(300, LongTermMark::Current)]);
    assert_eq!(state.forget(&lost(40, 400)), back_to(0, Some(300)));
}
