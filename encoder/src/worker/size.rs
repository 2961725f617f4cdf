//! Pictures of another size: the encoder follows in place, or gives way to one that can.
//!
//! Every encoder of the session is asked in the order of use, so that a better one which a size had ruled
//! out comes back at the first that it takes; a new size costs a keyframe in any case. A size that none of
//! them takes changes nothing: its pictures are left out, what each said is told once, and pictures of the
//! size before are coded on. While it lasts those are asked again that failed in a way that may pass.

use std::time::Duration;

use media::{Damage, EncodeError, Encoder, EncoderCapabilities, MediaTime, Size};

use super::WorkerEvent;
use super::pass::FrameFailure;
use super::run::Runner;
use crate::candidates::{Candidate, EncoderSettings, OpenError};
use crate::wake::Wake;

/// How long after a try those are asked again for a size that all of them refused. No picture is coded
/// meanwhile that a try could hold up.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// An encoder of the session that has not broken.
pub(super) struct Listed {
    pub(super) candidate: Candidate,
    /// What it can do, where it was open.
    pub(super) capabilities: Option<EncoderCapabilities>,
    /// Why it was passed over.
    pub(super) refusal: String,
    /// What it said to the size that all of them refuse; it is asked no more where that lasts.
    refuses: Option<Refusal>,
}

/// Why an encoder is passed over.
#[derive(Clone)]
pub(super) struct Refusal {
    reason: String,
    /// Sessions of it that are open, where it has none to give.
    open: Option<u32>,
    /// It may take the same at another time.
    may_pass: bool,
}

impl Refusal {
    pub(super) const fn of_size(reason: String) -> Self {
        Self { reason, open: None, may_pass: false }
    }
}

/// A size that none of them takes.
pub(super) struct RefusedSize {
    size: Size,
    /// What each said, as it was told.
    told: String,
    /// When some are asked again; never where none of them may take it then.
    again: Option<MediaTime>,
}

impl Listed {
    pub(super) fn new(candidate: Candidate) -> Self {
        Self { candidate, capabilities: None, refusal: String::new(), refuses: None }
    }

    fn open(&self, settings: &EncoderSettings, wake: &Wake) -> Result<Box<dyn Encoder>, Refusal> {
        if let Some(EncoderCapabilities { smallest, largest, .. }) =
            self.capabilities.as_ref().filter(|known| !known.takes_size(settings.size))
        {
            let reason = format!("it takes {smallest} to {largest}, not {}", settings.size);
            return Err(Refusal::of_size(reason));
        }
        self.candidate.start(settings, wake).map_err(|error| {
            let may_pass = error.may_pass();
            match error {
                OpenError::Refused(reason) => Refusal::of_size(reason),
                OpenError::Busy { open, .. } => {
                    Refusal { reason: error.to_string(), open: Some(open), may_pass }
                }
                error => Refusal { reason: error.to_string(), open: None, may_pass },
            }
        })
    }
}

impl Runner {
    /// Makes the coded size that of the picture; tells whether another encoder took over for that. What was scaled for that
    /// size does not move by whole pixels any more.
    pub(super) fn fit(&mut self, size: Size, scaled: bool) -> Result<bool, FrameFailure> {
        let integer_motion = self.config.settings.integer_motion && !scaled;
        if size == self.settings.size && (integer_motion || !self.settings.integer_motion) {
            self.end_size_refusal();
            return Ok(false);
        }
        let now = self.clock.now();
        match &self.refused_size {
            Some(refused) if refused.size == size => {
                if refused.again.is_none_or(|again| now < again) {
                    return Err(FrameFailure::Told);
                }
            }
            _ => self.end_size_refusal(),
        }
        // One that takes over has to have room for what it may be changed to.
        let Size { width, height } = self.config.settings.largest;
        let largest = Size::new(width.max(size.width), height.max(size.height));
        let settings = EncoderSettings { size, largest, integer_motion, ..self.settings };
        let mut refusals = Vec::new();
        for (rank, listed) in self.listed.iter().enumerate() {
            if let Some(lasting) = listed.refuses.as_ref().filter(|refusal| !refusal.may_pass) {
                refusals.push(lasting.clone());
                continue;
            }
            let encoder = match &mut self.encoder {
                Some(in_use) if rank == self.in_use => {
                    in_use.set_integer_motion(integer_motion);
                    match in_use.resize(size) {
                        Ok(()) => None,
                        Err(EncodeError::Refused(reason)) => {
                            refusals.push(Refusal::of_size(reason));
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                _ => match listed.open(&settings, &self.wake) {
                    Ok(encoder) => Some(encoder),
                    Err(refusal) => {
                        refusals.push(refusal);
                        continue;
                    }
                },
            };
            self.end_size_refusal();
            self.settings = settings;
            self.missed = Damage::Unknown;
            let goes_over = encoder.is_some();
            if goes_over {
                self.drop_encoder();
            }
            for (rank, refusal) in refusals.into_iter().enumerate() {
                self.pass_over(rank, refusal);
            }
            if let Some(encoder) = encoder {
                self.opened(rank, encoder);
            }
            return Ok(goes_over);
        }
        self.refuse_size(size, refusals);
        Err(FrameFailure::Told)
    }

    /// None of them takes this size, each for its reason.
    fn refuse_size(&mut self, size: Size, refusals: Vec<Refusal>) {
        let said = self.listed.iter().zip(&refusals);
        let said = said.map(|(listed, it)| format!("{}: {}", listed.candidate.name, it.reason));
        let told = said.collect::<Vec<_>>().join("; ");
        let may_pass = refusals.iter().any(|refusal| refusal.may_pass);
        let again = may_pass.then(|| self.clock.now() + ASKED_AGAIN);
        for (listed, refusal) in self.listed.iter_mut().zip(refusals) {
            listed.refuses = Some(refusal);
        }
        let before = self.refused_size.replace(RefusedSize { size, told: told.clone(), again });
        if before.is_none_or(|before| before.told != told) {
            (self.events)(WorkerEvent::SizeRefused { size, reason: told });
        }
    }

    /// This one does not take the size of now, or has no session for it.
    pub(super) fn pass_over(&mut self, rank: usize, refusal: Refusal) {
        let Refusal { reason, open, .. } = refusal;
        let Some(listed) = self.listed.get_mut(rank) else { return };
        listed.refusal.clone_from(&reason);
        (self.events)(WorkerEvent::PassedOver { name: listed.candidate.name, reason, open });
    }

    /// Pictures are of another size, or others are asked for theirs.
    pub(super) fn end_size_refusal(&mut self) {
        if self.refused_size.take().is_some() {
            self.listed.iter_mut().for_each(|listed| listed.refuses = None);
            (self.events)(WorkerEvent::SizeRefusalEnded);
        }
    }
}
