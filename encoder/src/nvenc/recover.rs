//! What is done about a driver's answers, and about pictures that a client has lost.
//!
//! Pure: [`remedy`] has one for every call, answer and moment, and [`References`] knows which coded
//! pictures the next one may still refer to.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use media::FrameId;
use smallvec::SmallVec;

use super::calls::{Answer, Call, Failure};
use super::status::Status;

/// When a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// While a session is opened and set up.
    Open,
    /// While a picture is handed in.
    Frame,
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

fn is_busy(status: Status) -> bool {
    matches!(status, Status::ENCODER_BUSY | Status::LOCK_BUSY)
}

fn open(call: Call, status: Status) -> Remedy {
    match (call, status) {
        // Which of the two a device without a free session answers differs from driver to driver.
        (Call::OpenEncodeSessionEx, Status::OUT_OF_MEMORY | Status::INCOMPATIBLE_CLIENT_KEY) => {
            Remedy::NoSession
        }
        _ => Remedy::Missing,
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

/// Pictures that are remembered: more than any decoded picture buffer holds.
const REMEMBERED: usize = 64;

/// Which coded pictures the decoder has, as far as is known.
#[derive(Debug)]
pub(crate) struct References {
    /// Pictures of the decoded picture buffer. Lost ones go on occupying it.
    buffer: usize,
    /// Coded since the last keyframe, that one included, oldest first; `false` where lost.
    coded: VecDeque<(FrameId, bool)>,
    /// The last keyframe, where one was coded since the beginning.
    key: Option<FrameId>,
}

/// What a loss means for the pictures to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing: no picture to come refers to what was lost.
    Nothing,
    /// These must be taken out of the references.
    Invalidate(SmallVec<[FrameId; 16]>),
    /// No picture that the decoder has is left in the buffer.
    Beyond,
}

impl References {
    /// For a decoded picture buffer of so many pictures.
    pub(crate) fn new(buffer: u32) -> Self {
        Self {
            buffer: (buffer as usize).clamp(1, REMEMBERED),
            coded: VecDeque::with_capacity(REMEMBERED),
            key: None,
        }
    }

    /// Pictures, counted back from the newest one, that may be lost so that one before them is left.
    pub(crate) fn reach(&self) -> u16 {
        // Fits: at most what is remembered.
        (self.buffer - 1) as u16
    }

    /// A picture was coded. Ids grow.
    pub(crate) fn coded(&mut self, frame: FrameId, keyframe: bool) {
        if keyframe {
            self.coded.clear();
            self.key = Some(frame);
        } else if self.coded.len() == REMEMBERED {
            self.coded.pop_front();
        }
        self.coded.push_back((frame, true));
    }

    /// The next picture will be a keyframe, and refers to nothing.
    pub(crate) fn restart(&mut self) {
        self.coded.clear();
        self.key = None;
    }

    /// The client lost these. All that was coded since then refers to them, so it goes with them.
    pub(crate) fn forget(&mut self, lost: &RangeInclusive<FrameId>) -> Loss {
        let (Some(key), Some(&(oldest, _))) = (self.key, self.coded.front()) else {
            return Loss::Nothing;
        };
        // What lies before a keyframe is over; what came after it and is no longer remembered has left
        // the buffer, and everything since refers to it.
        let start = (*lost.start()).max(key);
        if start <= *lost.end() && start < oldest {
            return Loss::Beyond;
        }
        let Some(first) = self.coded.iter().position(|(frame, held)| *held && lost.contains(frame))
        else {
            return Loss::Nothing;
        };
        let in_buffer = self.coded.len() - self.coded.len().min(self.buffer);
        let kept = self.coded.iter().take(first).skip(in_buffer).any(|&(_, held)| held);
        if !kept {
            return Loss::Beyond;
        }
        let after = self.coded.iter_mut().skip(first).filter(|(_, held)| *held);
        Loss::Invalidate(
            after
                .map(|(frame, held)| {
                    *held = false;
                    *frame
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
