//! Every failure has a remedy, and references survive what they can.

use proptest::prelude::*;

use super::*;

fn failure(call: Call, status: u32) -> Failure {
    Failure { call, answer: Answer::Status(Status(status)) }
}

const PHASES: [Phase; 5] = [Phase::Open, Phase::Frame, Phase::Read, Phase::Change, Phase::Forget];

#[test]
fn remedies_are_those_of_the_table() {
    use Call::{
        EncodePicture, GetEncodeCaps, InitializeEncoder, InvalidateRefFrames, LockBitstream,
        MapInputResource, OpenEncodeSessionEx, ReconfigureEncoder, RegisterResource,
    };
    let rows = [
        (OpenEncodeSessionEx, 10, Phase::Open, 0, Remedy::NoSession),
        (OpenEncodeSessionEx, 21, Phase::Open, 0, Remedy::NoSession),
        (OpenEncodeSessionEx, 1, Phase::Open, 0, Remedy::Missing),
        (OpenEncodeSessionEx, 15, Phase::Open, 0, Remedy::Missing),
        (OpenEncodeSessionEx, 0xdead, Phase::Open, 0, Remedy::Missing),
        (InitializeEncoder, 10, Phase::Open, 0, Remedy::Missing),
        (GetEncodeCaps, 18, Phase::Open, 0, Remedy::Missing),
        (EncodePicture, 18, Phase::Frame, 0, Remedy::Retry),
        (EncodePicture, 18, Phase::Frame, 2, Remedy::Retry),
        (EncodePicture, 18, Phase::Frame, 3, Remedy::Skip),
        (EncodePicture, 13, Phase::Frame, 3, Remedy::Skip),
        (EncodePicture, 10, Phase::Frame, 0, Remedy::Reopen),
        (EncodePicture, 17, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 5, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 20, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 0xdead, Phase::Frame, 0, Remedy::GiveUp),
        (RegisterResource, 23, Phase::Frame, 0, Remedy::Register),
        (RegisterResource, 23, Phase::Frame, 1, Remedy::Refuse),
        (RegisterResource, 8, Phase::Frame, 0, Remedy::Refuse),
        (MapInputResource, 16, Phase::Frame, 0, Remedy::Register),
        (MapInputResource, 16, Phase::Frame, 1, Remedy::Refuse),
        (MapInputResource, 4, Phase::Frame, 0, Remedy::GiveUp),
        (LockBitstream, 13, Phase::Read, 0, Remedy::Retry),
        (LockBitstream, 13, Phase::Read, 3, Remedy::Reopen),
        (LockBitstream, 10, Phase::Read, 0, Remedy::Reopen),
        (LockBitstream, 20, Phase::Read, 0, Remedy::GiveUp),
        (ReconfigureEncoder, 8, Phase::Change, 0, Remedy::Reopen),
        (ReconfigureEncoder, 12, Phase::Change, 0, Remedy::Reopen),
        (ReconfigureEncoder, 5, Phase::Change, 0, Remedy::GiveUp),
        (InvalidateRefFrames, 8, Phase::Forget, 0, Remedy::Keyframe),
        (InvalidateRefFrames, 12, Phase::Forget, 0, Remedy::Keyframe),
        (InvalidateRefFrames, 3, Phase::Forget, 0, Remedy::GiveUp),
    ];
    for (call, status, phase, tries, expected) in rows {
        let found = remedy(failure(call, status), phase, tries);
        assert_eq!(found, expected, "{call} {status} {phase:?} {tries}");
    }
}

#[test]
fn a_driver_that_forgets_its_results_is_given_up() {
    for &call in Call::ALL {
        let failure = Failure { call, answer: Answer::Without("a handle") };
        assert_eq!(remedy(failure, Phase::Open, 0), Remedy::Missing);
        assert_eq!(remedy(failure, Phase::Frame, 0), Remedy::GiveUp);
    }
    let failure = Failure { call: Call::MapInputResource, answer: Answer::Without("a picture") };
    assert_eq!(failure.to_string(), "NvEncMapInputResource answered SUCCESS without a picture");
}

proptest! {
    /// Whatever a call answers, in the end something is done that is no further try.
    #[test]
    fn every_failure_ends(
        call in prop::sample::select(Call::ALL),
        status in prop_oneof![0_u32..30, any::<u32>()],
        phase in prop::sample::select(&PHASES),
    ) {
        let ends = (0..=RETRIES + 1).any(|tries| {
            !matches!(
                remedy(failure(call, status), phase, tries),
                Remedy::Retry | Remedy::Register | Remedy::Reopen
            )
        });
        // Reopening is done once, which the encoder counts.
        let reopens = remedy(failure(call, status), phase, RETRIES) == Remedy::Reopen;
        prop_assert!(ends || reopens);
    }

    /// A model that keeps everything: the next picture may refer to what lies in the buffer, was not
    /// lost, and came before every loss that was told and after the keyframe.
    #[test]
    fn references_agree_with_a_model_that_forgets_nothing(
        buffer in 1_u32..8,
        steps in prop::collection::vec((0_u8..12, 0_u64..12, 0_u64..6), 1..150),
    ) {
        let mut references = References::new(buffer);
        let mut model: Vec<(u64, bool)> = Vec::new();
        let mut next = 1;
        for (kind, back, length) in steps {
            if kind < 9 {
                let key = model.is_empty() || kind == 8;
                references.coded(FrameId(next), key);
                if key {
                    model.clear();
                }
                model.push((next, true));
                // Now and then a frame is skipped before the encoder.
                next += 1 + u64::from(kind == 3);
                continue;
            }
            let start = next.saturating_sub(back);
            let lost = FrameId(start)..=FrameId(start + length);
            let outcome = references.forget(&lost);
            let hit = model.iter().position(|(id, held)| *held && lost.contains(&FrameId(*id)));
            let Some(first) = hit else {
                prop_assert_eq!(outcome, Loss::Nothing);
                continue;
            };
            let from = model.len().saturating_sub(buffer as usize);
            let kept = (from..first).any(|at| model[at].1);
            if kept {
                let gone: SmallVec<[FrameId; 16]> =
                    model[first..].iter().filter(|(_, held)| *held).map(|(id, _)| FrameId(*id)).collect();
                prop_assert_eq!(outcome, Loss::Invalidate(gone));
                model[first..].iter_mut().for_each(|(_, held)| *held = false);
            } else {
                prop_assert_eq!(outcome, Loss::Beyond);
                references.restart();
                model.clear();
            }
        }
    }
}

fn coded(buffer: u32, frames: RangeInclusive<u64>) -> References {
    let mut references = References::new(buffer);
    for id in frames.clone() {
        references.coded(FrameId(id), id == *frames.start());
    }
    references
}

#[test]
fn as_many_may_be_lost_as_the_reach_says() {
    let lost = |first, last| FrameId(first)..=FrameId(last);
    assert_eq!(coded(5, 1..=40).reach(), 4);
    let ids = |outcome| match outcome {
        Loss::Invalidate(frames) => frames.iter().map(|frame| frame.0).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ids(coded(5, 1..=40).forget(&lost(37, 37))), [37, 38, 39, 40]);
    assert_eq!(coded(5, 1..=40).forget(&lost(36, 36)), Loss::Beyond);
    assert_eq!(coded(5, 1..=3).forget(&lost(1, 1)), Loss::Beyond, "the keyframe itself");
    assert_eq!(coded(1, 1..=3).forget(&lost(3, 3)), Loss::Beyond, "a buffer of one");
    assert_eq!(coded(5, 10..=12).forget(&lost(1, 9)), Loss::Nothing, "before the keyframe");
    assert_eq!(coded(5, 10..=12).forget(&lost(13, 20)), Loss::Nothing, "not coded yet");
    assert_eq!(coded(5, 1..=200).forget(&lost(20, 20)), Loss::Beyond, "long out of the buffer");
    assert_eq!(References::new(5).forget(&lost(0, 9)), Loss::Nothing);
}

#[test]
fn what_was_lost_goes_on_occupying_the_buffer() {
    let mut references = coded(5, 1..=40);
    let lost = FrameId(39)..=FrameId(39);
    assert!(matches!(references.forget(&lost), Loss::Invalidate(_)));
    assert_eq!(references.forget(&lost), Loss::Nothing, "told twice");
    for id in 41..=43 {
        references.coded(FrameId(id), false);
    }
    // 39 to 43 are in the buffer, of which the decoder has 41 to 43.
    assert_eq!(references.forget(&(FrameId(41)..=FrameId(41))), Loss::Beyond);
}
