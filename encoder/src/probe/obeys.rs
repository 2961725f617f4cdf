//! Whether hardware does what it is told while it runs: drivers ignore some of it without a word.
//!
//! Software is proven by the compliance suite, and does not pay for this at every cold start. What a driver
//! ignores is tried once more with an encoder that is started anew for it. Where that helps, it is what
//! sessions get; where it does not, the candidate is declined: a stream that follows no bit rate fits no
//! link, and one without keyframes on request cannot be joined.

use std::cmp::Ordering;

use media::{Bitrate, EncodeError, Encoded, PixelFormat, Restarts, UnitKind};

use super::{MEASURED, RATE, Scene, code, open, outcome};
use crate::candidates::{Candidate, EncoderSettings};
use crate::choice::Outcome;
use crate::wake::BlockingEncoder;

/// The bit rate that it is told, beside the one that it is opened with, which is a quarter of this.
const HIGH: Bitrate = Bitrate::from_mbps(4);
/// Halfway in factors: far from both, so that only what does nothing, or next to it, is on the wrong side.
const BETWEEN: Bitrate = Bitrate::from_mbps(2);
/// Pictures in a row whose length is compared, none of them a keyframe, which is longer than others.
const WINDOW: usize = 6;
/// Pictures until they must have it: a second, which is what the compliance suite gives every encoder.
const LONGEST: usize = 30;

/// Why a trial ended.
enum Fault {
    /// It did not do this.
    Ignored(Restarts, String),
    /// It failed.
    Failed(Outcome),
}

/// Says what a candidate has to be started anew for. `encoder` is one of it with which pictures were
/// measured.
pub(super) fn restarts(
    candidate: &Candidate,
    settings: &EncoderSettings,
    encoder: BlockingEncoder,
) -> Result<Restarts, Outcome> {
    let mut restarts = encoder.capabilities().restarts;
    let mut trial = Trial { encoder, next: MEASURED + 1, settings };
    loop {
        let (ignored, reason) = match trial.run() {
            Ok(()) => return Ok(restarts),
            Err(Fault::Ignored(ignored, reason)) => (ignored, reason),
            Err(Fault::Failed(outcome)) => return Err(outcome),
        };
        if ignored.without(restarts) == Restarts::NONE {
            return Err(Outcome::Declined { reason: format!("{reason}, though started anew") });
        }
        tracing::info!(encoder = candidate.name, reason, "is started anew for it");
        restarts = restarts.and(ignored);
        // Before the next: there may be room for one session alone.
        drop(trial);
        let encoder = open(&candidate.restarting(restarts), settings)?;
        trial = Trial { encoder, next: 0, settings };
    }
}

/// An encoder that is tried.
struct Trial<'a> {
    encoder: BlockingEncoder,
    /// Number of the next picture.
    next: usize,
    settings: &'a EncoderSettings,
}

impl Trial<'_> {
    /// Asks for a keyframe, then for more bits and for less.
    fn run(&mut self) -> Result<(), Fault> {
        // A keyframe that comes unasked says nothing.
        while self.next < 2 {
            self.coded(self.next == 0)?;
        }
        let keyframe = Restarts { keyframe: true, ..Restarts::NONE };
        match self.code(true) {
            Ok(unit) if unit.kind == UnitKind::Key => {}
            Ok(_) => {
                let reason = "it made no keyframe when it was asked for one".to_owned();
                return Err(Fault::Ignored(keyframe, reason));
            }
            // An adapter that looks at what comes of a request says so.
            Err(EncodeError::NoKeyframe(reason)) => return Err(Fault::Ignored(keyframe, reason)),
            // Any other failure only happens to fall on this picture, and may pass.
            Err(error) => return Err(self.failed(&error)),
        }
        let low = self.settings.bitrate;
        // It may have to learn first what these pictures take.
        self.comes_to(low, Ordering::Less)?;
        for (bitrate, side) in [(HIGH, Ordering::Greater), (low, Ordering::Less)] {
            let told = self.encoder.set_rate(bitrate, RATE);
            told.map_err(|error| self.failed(&error))?;
            self.comes_to(bitrate, side)?;
        }
        Ok(())
    }

    /// Codes pictures until their length lies on this side of what [`BETWEEN`] gives them.
    fn comes_to(&mut self, bitrate: Bitrate, side: Ordering) -> Result<(), Fault> {
        let between = WINDOW * BETWEEN.bytes_in(RATE.interval()) as usize;
        let mut lengths = Vec::with_capacity(LONGEST);
        for _ in 0..LONGEST {
            let unit = self.coded(false)?;
            if unit.kind == UnitKind::Key {
                lengths.clear();
                continue;
            }
            lengths.push(unit.data.len());
            let bytes = lengths.last_chunk::<WINDOW>().map(|window| window.iter().sum::<usize>());
            if bytes.is_some_and(|bytes| bytes.cmp(&between) == side) {
                return Ok(());
            }
        }
        let than = if side == Ordering::Less { "less" } else { "more" };
        let reason = format!(
            "it does not follow its bit rate: within {LONGEST} pictures no {WINDOW} in a row took {than} \
             than {between} bytes at {bitrate}"
        );
        Err(Fault::Ignored(Restarts { rate: true, ..Restarts::NONE }, reason))
    }

    fn coded(&mut self, keyframe: bool) -> Result<Encoded, Fault> {
        self.code(keyframe).map_err(|error| self.failed(&error))
    }

    fn code(&mut self, keyframe: bool) -> Result<Encoded, EncodeError> {
        let number = self.next;
        self.next += 1;
        code(&mut self.encoder, number, keyframe, &Scene::noisy(number, PixelFormat::Nv12))
    }

    fn failed(&self, error: &EncodeError) -> Fault {
        Fault::Failed(outcome(error, true))
    }
}
