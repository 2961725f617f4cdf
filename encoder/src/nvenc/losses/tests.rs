//! What is planned alone; that decoders agree is judged by `tests/recovery`.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const REACH: u16 = 2;

fn lost(first: u64, last: u64) -> RangeInclusive<FrameId> {
    FrameId(first)..=FrameId(last)
}

fn code(losses: &mut Losses, frames: RangeInclusive<u64>) -> Vec<LongTerm> {
    let code = |frame| {
        let plan = losses.plan(frame == 0);
        losses.coded(FrameId(frame), frame == 0);
        plan
    };
    frames.map(code).collect()
}

fn mark(index: u32) -> LongTerm {
    LongTerm { mark: Some(index), from: None }
}

#[test]
fn marks_take_turns_once_they_are_acknowledged() {
    let mut losses = Losses::new(REACH, true, true);
    let plans = code(&mut losses, 0..=30);
    assert_eq!((plans[0], plans[8]), (mark(0), mark(1)));
    let marks = plans.iter().filter(|plan| plan.mark.is_some()).count();
    assert_eq!(marks, 2, "the keyframe stays until another one is acknowledged");
    losses.acknowledge(FrameId(7));
    assert_eq!(losses.plan(false), LongTerm::default());
    losses.acknowledge(FrameId(8));
    assert_eq!(losses.plan(false), mark(0));
    assert_eq!(losses.plan(true), mark(0), "a keyframe is the first one");
}

/// A loss of one picture, with all before it good.
fn invalidate(first: u64) -> Answer {
    Answer::Invalidate { first: FrameId(first), base: FrameId(first - 1) }
}

fn back_to(base: u64) -> Answer {
    Answer::GoBack { base: FrameId(base) }
}

#[test]
fn a_loss_within_the_buffer_is_invalidated_and_one_beyond_it_goes_back() {
    let mut losses = Losses::new(REACH, true, true);
    code(&mut losses, 0..=20);
    losses.acknowledge(FrameId(18));
    assert_eq!(losses.forget(&lost(20, 20)), invalidate(20));
    assert_eq!(losses.forget(&lost(20, 20)), Answer::Nothing);
    assert_eq!(code(&mut losses, 21..=21), [mark(0)]);
    assert_eq!(losses.forget(&lost(19, 21)), back_to(8));
    // 8 is kept by index 1, and 21 is lost.
    let back = LongTerm { mark: Some(0), from: Some(1) };
    assert_eq!(code(&mut losses, 22..=23), [back, LongTerm::default()]);
    assert_eq!(losses.forget(&lost(23, 23)), invalidate(23), "22 is good");
    // The recovery itself is lost too.
    assert_eq!(losses.forget(&lost(22, 22)), back_to(8));
    assert_eq!(losses.plan(false), back);
    assert_eq!(losses.forget(&lost(19, 23)), Answer::Nothing, "all of it is forgotten");
}

#[test]
fn without_an_acknowledged_one_the_keyframe_is_gone_back_to_and_none_helps_where_that_is_lost() {
    let mut losses = Losses::new(REACH, true, true);
    code(&mut losses, 0..=40);
    assert_eq!(losses.forget(&lost(9, 40)), back_to(0));
    assert_eq!(losses.plan(false).from, Some(0));
    let mut losses = Losses::new(REACH, true, true);
    code(&mut losses, 0..=4);
    assert_eq!(losses.forget(&lost(0, 0)), Answer::Keyframe);
    assert_eq!(losses.plan(true), mark(0));
}

#[test]
fn a_device_without_one_of_both_does_what_the_other_can() {
    let mut losses = Losses::new(4, true, false);
    assert!(code(&mut losses, 0..=20).iter().all(|plan| *plan == LongTerm::default()));
    assert_eq!(losses.forget(&lost(17, 17)), invalidate(17));
    code(&mut losses, 21..=21);
    assert_eq!(losses.forget(&lost(16, 16)), Answer::Keyframe);
    let mut losses = Losses::new(REACH, false, true);
    code(&mut losses, 0..=20);
    assert_eq!(losses.forget(&lost(20, 20)), back_to(0));
    let mut losses = Losses::new(REACH, false, false);
    code(&mut losses, 0..=20);
    assert_eq!(losses.forget(&lost(20, 20)), Answer::Keyframe);
}

/// A picture as the far end has it.
#[derive(Clone, Copy)]
struct Shown {
    frame: u64,
    /// Arrived, and so did all that it was coded from.
    good: bool,
}

proptest! {
    /// A driver that does as it is told, and a far end that decodes what arrives and says so later.
    #[test]
    fn what_follows_a_loss_can_be_decoded(
        invalidates in any::<bool>(),
        delay in 0_usize..12,
        script in prop::collection::vec(0_u8..10, 1..400),
    ) {
        let mut losses = Losses::new(REACH, invalidates, true);
        // The driver's buffer, newest first, with what is not to be referred to; and its long-term references.
        let mut held: VecDeque<(Shown, bool)> = VecDeque::new();
        let mut marked: [Option<Shown>; 2] = [None; 2];
        let mut answers: VecDeque<Option<u64>> = VecDeque::new();
        let mut untold: Vec<u64> = Vec::new();
        let (mut next, mut need_key, mut key_good) = (0, true, false);
        for event in script {
            if event < 8 {
                let arrived = event != 0;
                let key = std::mem::take(&mut need_key);
                let plan = losses.plan(key);
                let from = match plan.from {
                    Some(index) => marked[index as usize],
                    None => held.iter().find(|(_, invalid)| !invalid).map(|(shown, _)| *shown),
                };
                prop_assert!(!(key && plan.from.is_some()));
                let good = arrived && (key || from.is_some_and(|from| from.good));
                if key {
                    held.clear();
                    marked = [None; 2];
                    untold.clear();
                } else if untold.is_empty() {
                    prop_assert_eq!(good, arrived, "frame {} has a good reference", next);
                }
                let shown = Shown { frame: next, good };
                key_good = if key { good } else { key_good };
                if let Some(index) = plan.mark {
                    let other = marked[1 - index as usize];
                    let stays = !key_good || other.is_some_and(|other| other.good);
                    prop_assert!(key || stays, "one always stays");
                    marked[index as usize] = Some(shown);
                }
                losses.coded(FrameId(next), key);
                held.push_front((shown, false));
                held.truncate(usize::from(REACH) + 1);
                if !arrived {
                    untold.push(next);
                }
                answers.push_back(good.then_some(next));
                if answers.len() > delay
                    && let Some(frame) = answers.pop_front().flatten()
                {
                    losses.acknowledge(FrameId(frame));
                }
                next += 1;
            } else if let (Some(&first), Some(&last)) = (untold.first(), untold.last()) {
                untold.clear();
                match losses.forget(&lost(first, last)) {
                    Answer::Nothing => prop_assert!(false, "a loss is something"),
                    Answer::Invalidate { first: from, base } => {
                        prop_assert!(invalidates);
                        for (shown, invalid) in &mut held {
                            *invalid |= shown.frame >= from.0;
                        }
                        let left = held.iter().find(|(_, invalid)| !invalid);
                        prop_assert_eq!(left.map(|(shown, _)| shown.frame), Some(base.0));
                    }
                    Answer::GoBack { base } => {
                        let from = losses.plan(false).from;
                        let from = from.and_then(|index| marked[index as usize]);
                        let good = from.filter(|from| from.good).map(|from| from.frame);
                        prop_assert_eq!(good, Some(base.0));
                    }
                    // Only where the keyframe is lost is there no other one.
                    Answer::Keyframe => {
                        prop_assert!(marked.iter().flatten().all(|mark| !mark.good));
                        need_key = true;
                    }
                }
            }
        }
    }
}
