//! The thread that waits for coded pictures: `nvo-<label>`.
//!
//! The driver has no events on Linux, so somebody must wait in `NvEncLockBitstream`. It waits there for the
//! whole picture, unless slices are read one by one (`enableSubFrameWrite`): of those the driver tells only who
//! asks again and again without waiting: when, [`Pace`] says. What is there goes on as parts of the unit, which end
//! where slices end. The last slice comes with the end of the picture, since only that tells that there is no more
//! of it: so once it alone is missing the picture is waited for, as it is after [`PATIENCE`], when the driver
//! counts as hung.
//!
//! Bound: [`PICTURES`](super::ring::PICTURES). After a failure it reads no further picture of its session,
//! since each refers to the one that was not read; they all fail with it.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use media::{Codec, Encoded, Part, UnitKind};
use thiserror::Error;

use super::calls::{Answer, Call, Coded, Failure, ReadCalls};
use super::inner::{Inner, PATIENCE, Pending};
use super::pace::Pace;
use super::plan::{Plan, Settings};
use super::recover::{BUSY, Phase, Remedy, remedy};
use crate::h264::{self, Declarations, FrameNumbers};
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
    calls: ReadCalls,
    /// When slices are looked for; none where pictures are read whole.
    pace: Option<Pace>,
    writer: Writer,
}

/// What makes units of what the driver coded.
struct Writer {
    codec: Codec,
    declare: Declarations,
    units: UnitPool,
    /// Keyframes with the parameter sets as they are sent.
    rewritten: Vec<u8>,
    /// Of H.264: the driver chooses how many bits the numbers of pictures have.
    numbers: FrameNumbers,
    /// Of the picture that is being read.
    so_far: SoFar,
}

/// What was handed on of a picture.
#[derive(Clone, Copy, Default)]
struct SoFar {
    /// Of the driver's.
    bytes: usize,
    slices: u32,
    /// What it is, once something was.
    kind: Option<UnitKind>,
    /// The driver is not done with it.
    unfinished: bool,
}

impl Reader {
    /// `gaps`: lost pictures may be left out by later ones.
    pub(super) fn new(settings: &Settings, plan: &Plan, gaps: bool, wake: Wake) -> Self {
        let edge = |a: u32, b: u32| a.max(b).div_ceil(16) as usize;
        let macroblocks =
            edge(plan.size.width, plan.largest.width) * edge(plan.size.height, plan.largest.height);
        Self {
            wake,
            calls: ReadCalls::new(if plan.sub_frames { macroblocks } else { 0 }),
            pace: plan.sub_frames.then(|| Pace::new(settings.slices)),
            writer: Writer {
                codec: settings.codec,
                declare: Declarations { gaps, color: None },
                units: UnitPool::new(settings.bitrate, settings.rate),
                rewritten: Vec::new(),
                numbers: FrameNumbers::default(),
                so_far: SoFar::default(),
            },
        }
    }

    /// Reads pictures until there will be no more.
    pub(super) fn run(mut self, inner: &Inner) {
        let _end = End { inner, wake: self.wake.clone() };
        if self.pace.is_some() {
            // Sleeps end by the 50 us later that a system has by its own choice: as long as one of them is.
            let precise = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
            precise.unwrap_or_else(|error| tracing::warn!(%error, "slices are looked for late"));
        }
        let mut broken = None;
        while let Some(picture) = inner.next() {
            let unit = match &broken {
                Some(error) => {
                    self.discard(inner, &picture);
                    Err(ReadError::clone(error))
                }
                None => self.read(inner, &picture),
            };
            // Not read, or not all of it, though it may be there now.
            let unread = match &unit {
                Err(ReadError::Driver(Failure {
                    call: Call::LockBitstream,
                    answer: Answer::Status(_),
                })) => true,
                Err(_) => self.writer.so_far.unfinished,
                Ok(_) => false,
            };
            if unread && broken.is_none() {
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
        let _ = self.calls.read(&inner.driver, picture.output, true, |_| ());
    }

    /// Reads a picture, and hands all but the last part of its unit on.
    fn read(&mut self, inner: &Inner, picture: &Pending) -> Result<Encoded, ReadError> {
        let Self { calls, writer, wake, pace } = self;
        let began = Instant::now();
        writer.so_far = SoFar::default();
        calls.take_spent();
        let (mut tries, mut waited) = (0, Duration::ZERO);
        if let Some(pace) = pace {
            if picture.resized {
                pace.forget();
            }
            pace.begin();
        }
        loop {
            let at = began.elapsed();
            let is_last = writer.so_far.slices + 1 >= picture.slices;
            let mut pace = pace.as_mut().filter(|_| !is_last && at < PATIENCE);
            let read = |coded: Coded<'_>| writer.unit(&coded, picture);
            match calls.read(&inner.driver, picture.output, pace.is_none(), read) {
                Ok(Some(read)) => match read? {
                    Some(unit) if unit.part.last => {
                        return Ok(Encoded { library: calls.take_spent(), waited, ..unit });
                    }
                    Some(part) => {
                        inner.hand_on(part);
                        wake.wake();
                    }
                    None => {}
                },
                Ok(None) => {}
                Err(failure) if remedy(failure, Phase::Read, tries) == Remedy::Retry => {
                    tries += 1;
                    waited += sleep(BUSY);
                }
                Err(failure) => return Err(failure.into()),
            }
            if let Some(pace) = &mut pace {
                let there = writer.so_far.slices;
                pace.looked(at, there as usize);
                if there + 1 < picture.slices {
                    waited += sleep(pace.pause(began.elapsed()));
                }
            }
        }
    }
}

/// Sleeps, and says for how long.
fn sleep(duration: Duration) -> Duration {
    let began = Instant::now();
    std::thread::sleep(duration);
    began.elapsed()
}

impl Writer {
    /// What is new of a picture; none where that is nothing yet.
    fn unit(&mut self, coded: &Coded<'_>, picture: &Pending) -> Result<Option<Encoded>, ReadError> {
        let Self { codec, declare, units, rewritten, numbers, so_far } = self;
        so_far.unfinished = !coded.whole;
        let is_new = coded.slices > so_far.slices && coded.slices < picture.slices;
        if !coded.whole && !is_new {
            return Ok(None);
        }
        let stream = |what: &str| ReadError::Stream(what.to_owned());
        let new = coded.bytes.get(so_far.bytes..).filter(|new| !new.is_empty());
        let new = new.ok_or_else(|| stream("its slices are fewer than it was made of"))?;
        let first = so_far.kind.is_none();
        let kind = match so_far.kind {
            Some(_) if !h264::begins_with_start_code(new) => {
                return Err(stream("a slice of it was told of before its end"));
            }
            Some(kind) => kind,
            // A keyframe is what a decoder can begin with, whatever the driver calls it.
            None => {
                headers::kind(*codec, new).map_err(|error| ReadError::Stream(error.to_string()))?
            }
        };
        if coded.whole && !coded.long_term.follows(picture.long_term, kind == UnitKind::Key) {
            return Err(ReadError::LongTermReference);
        }
        let data = if *codec == Codec::H264 && first {
            h264::prepare_with(new, *declare, rewritten)
                .map_err(|error| ReadError::Stream(format!("its SPS cannot be read: {error}")))?
        } else {
            new
        };
        let data = match *codec {
            Codec::H264 if declare.gaps => numbers.widen(data).map_err(|error| {
                ReadError::Stream(format!("its slices cannot be read: {error}"))
            })?,
            _ => data,
        };
        (so_far.bytes, so_far.slices) = (coded.bytes.len(), coded.slices);
        so_far.kind = Some(kind);
        let kind = match kind {
            UnitKind::Delta if picture.recovery => UnitKind::Recovery,
            kind => kind,
        };
        let part = Part { first, last: coded.whole };
        let quantiser = u8::try_from(coded.quantiser).ok().filter(|_| part.last);
        Ok(Some(Encoded { quantiser, part, ..Encoded::new(units.unit(data), kind) }))
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

#[cfg(test)]
mod tests {
    use media::{Bitrate, FrameRate};

    use super::super::calls::Output;
    use super::super::losses::{LongTerm, LongTermTold};
    use super::*;

    const SLICE: [u8; 8] = [0, 0, 0, 1, 0x41, 1, 2, 3];

    fn picture() -> Pending {
        Pending {
            output: Output::NONE,
            slices: 3,
            resized: false,
            recovery: true,
            long_term: LongTerm::default(),
            mapped: None,
            waited: None,
        }
    }

    /// What comes of a picture of which the driver tells so many bytes and slices, and whether these are all.
    fn told(looks: &[(usize, u32, bool)]) -> Vec<Result<Option<Encoded>, ReadError>> {
        let mut writer = Writer {
            codec: Codec::H264,
            declare: Declarations::default(),
            units: UnitPool::new(Bitrate::from_mbps(1), FrameRate::fps(60)),
            rewritten: Vec::new(),
            numbers: FrameNumbers::default(),
            so_far: SoFar::default(),
        };
        let stream = [SLICE; 3].concat();
        let look = |&(bytes, slices, whole): &(usize, u32, bool)| {
            let coded = Coded {
                bytes: &stream[..bytes],
                quantiser: 20,
                long_term: LongTermTold { marked: None, from: 0 },
                whole,
                slices,
            };
            let unit = writer.unit(&coded, &picture());
            assert_eq!(writer.so_far.unfinished, !whole);
            unit
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_slice_goes_on_once_and_the_last_one_with_the_end() {
        let looks = [(3, 0, false), (8, 1, false), (8, 1, false), (24, 3, false), (24, 3, true)];
        let units = told(&looks).into_iter().map(|unit| {
            let Encoded { data, part, kind, quantiser, .. } = unit.unwrap()?;
            assert_eq!((kind, quantiser), (UnitKind::Recovery, part.last.then_some(20)));
            Some((data.len(), part.first, part.last))
        });
        let first = Some((8, true, false));
        assert_eq!(units.collect::<Vec<_>>(), [None, first, None, None, Some((16, false, true))]);
    }

    #[test]
    fn what_is_told_wrongly_of_slices_is_named() {
        for (looks, expected) in [
            ([(10, 1, false), (24, 3, true)], "a slice of it was told of before its end"),
            ([(16, 2, false), (16, 2, true)], "its slices are fewer than it was made of"),
            ([(16, 2, false), (8, 3, true)], "its slices are fewer than it was made of"),
        ] {
            let [first, last] = &told(&looks)[..] else { panic!("two looks") };
            assert!(first.as_ref().is_ok_and(Option::is_some));
            assert_eq!(last.as_ref().unwrap_err().to_string(), expected);
        }
    }
}
