//! The thread that waits for coded pictures: `nvo-<label>`.
//!
//! The driver has no events on Linux, so somebody must wait in `NvEncLockBitstream`. It waits there for the
//! whole picture, however many slices it has: single ones (`enableSubFrameWrite`) would be given to who asks
//! for them again and again, and go no further. A unit is one piece up to the packetiser, which numbers a
//! frame by its packets and repairs it as a whole, and WebTransport's frames begin with their length. With
//! it HEVC would not be split between engines either. So slices are for decoders that work on them at once,
//! or lose one of them and not the picture.
//!
//! Bound: [`PICTURES`](super::ring::PICTURES). After a failure it reads no further picture of its session,
//! since each refers to the one that was not read; they all fail with it.

use media::{Codec, Encoded, UnitKind};
use thiserror::Error;

use super::calls::{Answer, Call, Failure, ReadCalls};
use super::inner::{Inner, Pending};
use super::plan::Settings;
use super::recover::{BUSY, Phase, Remedy, remedy};
use crate::h264::{self, Declarations};
use crate::headers;
use crate::unit_pool::UnitPool;
use crate::wake::Wake;

/// Why there is no unit for a picture.
#[derive(Clone, Debug, Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Driver(#[from] Failure),
    /// What it coded is no stream that can be sent.
    #[error("{0}")]
    Stream(String),
    /// It was not coded from the long-term reference that it had to be coded from, or did not become one.
    #[error("the driver did not keep or use a long-term reference as it was told")]
    LongTermReference,
    #[error("the thread that reads coded pictures is gone")]
    ReaderGone,
}

/// What the thread has.
pub(super) struct Reader {
    wake: Wake,
    codec: Codec,
    declare: Declarations,
    calls: ReadCalls,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
}

impl Reader {
    /// `gaps`: lost pictures may be left out by later ones.
    pub(super) fn new(settings: &Settings, gaps: bool, wake: Wake) -> Self {
        Self {
            wake,
            codec: settings.codec,
            declare: Declarations { gaps },
            calls: ReadCalls::new(),
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
        }
    }

    /// Reads pictures until there will be no more.
    pub(super) fn run(mut self, inner: &Inner) {
        let _end = End { inner, wake: self.wake.clone() };
        let mut broken = None;
        while let Some(picture) = inner.next() {
            let unit = match &broken {
                Some(error) => {
                    self.discard(inner, &picture);
                    Err(ReadError::clone(error))
                }
                None => self.read(inner, &picture),
            };
            // Not read, though it may be there now.
            if let Err(ReadError::Driver(Failure {
                call: Call::LockBitstream,
                answer: Answer::Status(_),
            })) = &unit
                && broken.is_none()
            {
                self.discard(inner, &picture);
            }
            broken = unit.as_ref().err().cloned();
            inner.finish(&picture, unit);
            self.wake.wake();
        }
    }

    /// Tries to have the driver done with a picture, so that its places can be given back.
    fn discard(&mut self, inner: &Inner, picture: &Pending) {
        // It failed before, which was told.
        let _ = self.calls.read(&inner.driver, picture.output, |_| ());
    }

    fn read(&mut self, inner: &Inner, picture: &Pending) -> Result<Encoded, ReadError> {
        let Self { calls, units, rewritten, codec, declare, .. } = self;
        let mut tries = 0;
        let (unit, long_term) = loop {
            let result = calls.read(&inner.driver, picture.output, |coded| {
                // A keyframe is what a decoder can begin with, whatever the driver calls it.
                let kind = headers::kind(*codec, coded.bytes)
                    .map_err(|error| ReadError::Stream(error.to_string()))?;
                let data = if *codec == Codec::H264 {
                    h264::prepare_with(coded.bytes, *declare, rewritten).map_err(|error| {
                        ReadError::Stream(format!("its SPS cannot be read: {error}"))
                    })?
                } else {
                    coded.bytes
                };
                let (quantiser, library) = (u8::try_from(coded.quantiser).ok(), coded.waited);
                let unit = Encoded::new(units.unit(data), kind);
                Ok::<_, ReadError>((Encoded { quantiser, library, ..unit }, coded.long_term))
            });
            match result {
                Ok(read) => break read?,
                Err(failure) if remedy(failure, Phase::Read, tries) == Remedy::Retry => {
                    tries += 1;
                    std::thread::sleep(BUSY);
                }
                Err(failure) => return Err(failure.into()),
            }
        };
        if !long_term.follows(picture.long_term, unit.kind == UnitKind::Key) {
            return Err(ReadError::LongTermReference);
        }
        let kind = match unit.kind {
            UnitKind::Delta if picture.recovery => UnitKind::Recovery,
            kind => kind,
        };
        Ok(Encoded { kind, ..unit })
    }
}

/// Says that the thread ends, however it does.
struct End<'a> {
    inner: &'a Inner,
    wake: Wake,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.inner.end();
        if std::thread::panicking() {
            self.wake.wake();
        }
    }
}
