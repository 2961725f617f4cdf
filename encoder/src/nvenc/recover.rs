//! What is done about a driver's answers: pure, with one for every call, answer and moment.

use std::time::Duration;

use super::calls::{Answer, Call, Failure};
use super::status::Status;

/// When a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// While a session is opened and set up.
    Open,
    /// While a picture is handed in.
    Frame,
    /// While one is that is to be coded from a long-term reference.
    GoBack,
    /// While a coded picture is read.
    Read,
    /// While bit rate, frame rate or size is changed.
    Change,
    /// While lost pictures are taken out of the references.
    Forget,
}

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The same call again, a little later.
    Retry,
    /// The picture is skipped; nothing is broken.
    Skip,
    /// The memory is imported and registered anew, once.
    Register,
    /// The picture is refused, so that it comes through the CPU from now on.
    Refuse,
    /// The session is closed and another one opened, once; the next picture is a keyframe.
    Reopen,
    /// A keyframe makes good what could not be.
    Keyframe,
    /// No session is free.
    NoSession,
    /// There is no such encoder here.
    Missing,
    /// There may be one, but not now: another try may end otherwise.
    Later,
    /// The next candidate takes over.
    GiveUp,
}

/// How often a busy device is asked again.
pub(crate) const RETRIES: u32 = 3;
/// And how long after.
pub(crate) const BUSY: Duration = Duration::from_millis(1);

/// The remedy for `failure` in `phase`, when `tries` remedies for the same picture came before.
pub(crate) fn remedy(failure: Failure, phase: Phase, tries: u32) -> Remedy {
    let Answer::Status(status) = failure.answer else {
        // A driver that forgets its results is not to be trusted with more pictures.
        return if phase == Phase::Open { Remedy::Missing } else { Remedy::GiveUp };
    };
    match phase {
        Phase::Open => open(failure.call, status),
        Phase::Frame => frame(failure.call, status, tries),
        Phase::GoBack => match (failure.call, status) {
            // It may not have what it was told to keep, and nothing else of this picture is new to it.
            (Call::EncodePicture, Status::INVALID_PARAM | Status::UNSUPPORTED_PARAM) => {
                Remedy::Keyframe
            }
            (call, status) => frame(call, status, tries),
        },
        Phase::Read => read(status, tries),
        Phase::Change => match status {
            Status::INVALID_PARAM
            | Status::UNSUPPORTED_PARAM
            | Status::OUT_OF_MEMORY
            | Status::UNIMPLEMENTED => Remedy::Reopen,
            _ if is_busy(status) && tries < RETRIES => Remedy::Retry,
            _ if is_busy(status) => Remedy::Reopen,
            _ => Remedy::GiveUp,
        },
        Phase::Forget => match status {
            Status::INVALID_PARAM | Status::UNSUPPORTED_PARAM | Status::UNIMPLEMENTED => {
                Remedy::Keyframe
            }
            _ if is_busy(status) => Remedy::Keyframe,
            _ => Remedy::GiveUp,
        },
    }
}

/// Whether the driver asks for another try.
pub(crate) fn is_busy(status: Status) -> bool {
    matches!(status, Status::ENCODER_BUSY | Status::LOCK_BUSY)
}

fn open(call: Call, status: Status) -> Remedy {
    match (call, status) {
        // Which of the two a device without a free session answers differs from driver to driver.
        (Call::OpenEncodeSessionEx, Status::OUT_OF_MEMORY | Status::INCOMPATIBLE_CLIENT_KEY) => {
            Remedy::NoSession
        }
        _ if status.is_lasting() => Remedy::Missing,
        _ => Remedy::Later,
    }
}

fn frame(call: Call, status: Status, tries: u32) -> Remedy {
    if is_busy(status) {
        return if tries < RETRIES { Remedy::Retry } else { Remedy::Skip };
    }
    match (call, status) {
        (_, Status::OUT_OF_MEMORY) => Remedy::Reopen,
        (
            Call::RegisterResource | Call::MapInputResource,
            Status::RESOURCE_REGISTER_FAILED
            | Status::RESOURCE_NOT_REGISTERED
            | Status::RESOURCE_NOT_MAPPED
            | Status::MAP_FAILED,
        ) => {
            if tries == 0 {
                Remedy::Register
            } else {
                Remedy::Refuse
            }
        }
        // Memory that it does not take may still be copied.
        (
            Call::RegisterResource,
            Status::INVALID_PARAM | Status::UNSUPPORTED_PARAM | Status::UNIMPLEMENTED,
        ) => Remedy::Refuse,
        _ => Remedy::GiveUp,
    }
}

fn read(status: Status, tries: u32) -> Remedy {
    match status {
        _ if is_busy(status) && tries < RETRIES => Remedy::Retry,
        // A picture that was coded and not read leaves a gap that others refer to.
        Status::OUT_OF_MEMORY => Remedy::Reopen,
        _ if is_busy(status) => Remedy::Reopen,
        _ => Remedy::GiveUp,
    }
}

#[cfg(test)]
mod tests;
