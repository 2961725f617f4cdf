//! Every failure has a remedy.

use proptest::prelude::*;

use super::*;

fn failure(call: Call, status: u32) -> Failure {
    Failure { call, answer: Answer::Status(Status(status)) }
}

const PHASES: [Phase; 6] =
    [Phase::Open, Phase::Frame, Phase::GoBack, Phase::Read, Phase::Change, Phase::Forget];

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
        (OpenEncodeSessionEx, 5, Phase::Open, 0, Remedy::Later),
        (OpenEncodeSessionEx, 20, Phase::Open, 0, Remedy::Later),
        (OpenEncodeSessionEx, 0xdead, Phase::Open, 0, Remedy::Later),
        (InitializeEncoder, 8, Phase::Open, 0, Remedy::Missing),
        (InitializeEncoder, 10, Phase::Open, 0, Remedy::Later),
        (GetEncodeCaps, 18, Phase::Open, 0, Remedy::Later),
        (GetEncodeCaps, 22, Phase::Open, 0, Remedy::Missing),
        (EncodePicture, 18, Phase::Frame, 0, Remedy::Retry),
        (EncodePicture, 18, Phase::Frame, 2, Remedy::Retry),
        (EncodePicture, 18, Phase::Frame, 3, Remedy::Skip),
        (EncodePicture, 13, Phase::Frame, 3, Remedy::Skip),
        (EncodePicture, 10, Phase::Frame, 0, Remedy::Reopen),
        (EncodePicture, 17, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 5, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 20, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 0xdead, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 8, Phase::Frame, 0, Remedy::GiveUp),
        (EncodePicture, 8, Phase::GoBack, 0, Remedy::Keyframe),
        (EncodePicture, 12, Phase::GoBack, 0, Remedy::Keyframe),
        (EncodePicture, 18, Phase::GoBack, 0, Remedy::Retry),
        (EncodePicture, 5, Phase::GoBack, 0, Remedy::GiveUp),
        (RegisterResource, 8, Phase::GoBack, 0, Remedy::Refuse),
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
}
