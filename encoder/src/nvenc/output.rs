//! The thread that waits for coded pictures: `nvo-<label>`.
//!
//! The driver has no events on Linux, so somebody must wait in `NvEncLockBitstream`. Bound:
//! [`PICTURES`](super::ring::PICTURES). After a failure it reads no further picture of its session,
//! since each refers to the one that was not read; they all fail with it.

use std::time::Duration;

use media::{Codec, Encoded, Size, UnitKind};
use thiserror::Error;

use super::calls::{Answer, Call, Coded, Failure, ReadCalls, Wait};
use super::inner::{Inner, Pending};
use super::plan::Settings;
use super::recover::{BUSY, Phase, Remedy, remedy};

use super::status::Status;
use crate::h264::{self, Declarations};
use crate::unit_pool::{PartialUnit, UnitPool};
use crate::wake::Wake;

/// Between two looks at a picture whose slices are read as they come.
const LOOK: Duration = Duration::from_micros(200);
/// Looks until it is waited for like any other: 2 s, after which it is overdue.
const LOOKS: u32 = 10_000;

/// Why there is no unit for a picture.
#[derive(Clone, Debug, Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Driver(#[from] Failure),
    /// What it coded is no stream that can be sent.
    #[error("{0}")]
    Stream(String),
    /// It was not coded from the long-term reference that it had to be coded from.
    #[error("the driver used another reference than the long-term one that it was given")]
    LongTermReference,
    #[error("the thread that reads coded pictures is gone")]
    ReaderGone,
}

/// What the thread has.
pub(super) struct Reader {
    wake: Wake,
    codec: Codec,
    declare: Declarations,
    /// Slices are read as they come.
    sub_frame: bool,
    calls: ReadCalls,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
    /// Bytes of the largest unit so far.
    largest: usize,
}

impl Reader {
    /// `gaps`: lost pictures may be left out by later ones.
    pub(super) fn new(settings: &Settings, gaps: bool, wake: Wake) -> Self {
        let Size { width, height } = settings.largest;
        let macroblocks = (width.div_ceil(16) * height.div_ceil(16)) as usize;
        Self {
            wake,
            codec: settings.codec,
            declare: Declarations { gaps },
            sub_frame: settings.sub_frame,
            calls: ReadCalls::new(if settings.sub_frame { macroblocks } else { 0 }),
            units: UnitPool::new(settings.bitrate, settings.rate),
            rewritten: Vec::new(),
            largest: 0,
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
        let _ = self.calls.read(&inner.driver, picture.output, Wait::Whole, |_| ());
    }

    fn read(&mut self, inner: &Inner, picture: &Pending) -> Result<Encoded, ReadError> {
        let Self { calls, units, rewritten, codec, declare, sub_frame, largest, .. } = self;
        let expected = if *sub_frame { *largest } else { 0 };
        let mut unit = Unit {
            codec: *codec,
            declare: *declare,
            expected,
            taken: 0,
            waited: Duration::ZERO,
            pool: Some(units),
            data: None,
            rewritten,
        };
        let (mut looks, mut tries) = (if *sub_frame { LOOKS } else { 0 }, 0);
        let (key, quantiser, from) = loop {
            let wait = if looks > 0 { Wait::No } else { Wait::Whole };
            let result = calls.read(&inner.driver, picture.output, wait, |coded| {
                unit.take(&coded)?;
                Ok::<_, ReadError>(coded.whole.then_some((coded.key, coded.quantiser, coded.from)))
            });
            let pause = match result.map_err(|failure| (failure, failure.answer)) {
                Ok(Ok(Some(told))) => break told,
                Ok(Err(error)) => return Err(error),
                // There is some of it, or "this is not a fatal failure if doNotWait is set to 1", or
                // there is nothing yet.
                Ok(Ok(None)) | Err((_, Answer::Status(Status::LOCK_BUSY) | Answer::Without(_)))
                    if looks > 0 =>
                {
                    looks -= 1;
                    LOOK
                }
                Err((failure, _)) if remedy(failure, Phase::Read, tries) == Remedy::Retry => {
                    tries += 1;
                    BUSY
                }
                Err((failure, _)) => return Err(failure.into()),
                Ok(Ok(None)) => return Err(ReadError::Stream("it stays unfinished".to_owned())),
            };
            std::thread::sleep(pause);
        };
        let wanted = picture.long_term.bitmap();
        if !key && wanted != 0 && from & wanted == 0 {
            return Err(ReadError::LongTermReference);
        }
        let kind = match (key, picture.recovery) {
            (true, _) => UnitKind::Key,
            (false, true) => UnitKind::Recovery,
            (false, false) => UnitKind::Delta,
        };
        let library = unit.waited;
        let data = unit.data.map(PartialUnit::finish).unwrap_or_default();
        *largest = data.len().max(*largest);
        let quantiser = u8::try_from(quantiser).ok();
        Ok(Encoded { quantiser, library, ..Encoded::new(data, kind) })
    }
}

/// A unit on its way out of the driver's memory.
struct Unit<'a> {
    codec: Codec,
    declare: Declarations,
    /// Bytes that it may have, where it comes in pieces.
    expected: usize,
    /// Bytes of the driver's that are in it.
    taken: usize,
    /// How long the driver was waited for.
    waited: Duration,
    /// Where it is copied to, until it is begun.
    pool: Option<&'a mut UnitPool>,
    data: Option<PartialUnit<'a>>,
    rewritten: &'a mut Vec<u8>,
}

impl Unit<'_> {
    /// Copies what is new, which ends with a whole slice.
    fn take(&mut self, coded: &Coded<'_>) -> Result<(), ReadError> {
        self.waited += coded.waited;
        let new = coded.bytes.get(self.taken..).ok_or_else(|| {
            let reason = format!("{} bytes of it became {}", self.taken, coded.bytes.len());
            ReadError::Stream(reason)
        })?;
        // Parameter sets lie before the first slice.
        let new = if self.taken == 0 && self.codec == Codec::H264 {
            h264::prepare_with(new, self.declare, self.rewritten)
                .map_err(|error| ReadError::Stream(format!("its SPS cannot be read: {error}")))?
        } else {
            new
        };
        if let Some(pool) = self.pool.take() {
            self.data = Some(pool.begin(self.expected.max(new.len())));
        }
        if let Some(data) = &mut self.data {
            data.push(new);
        }
        self.taken = coded.bytes.len();
        Ok(())
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
