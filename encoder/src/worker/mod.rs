//! The thread that an encoder lives on.
//!
//! ```text
//!  source thread ── submit ──▶ mailbox of one (latest wins) ─┐
//!  driver ── command ──▶ a place for each kind ──────────────┴▶ thread: finish → convert → encode
//!                                                                  │ asks is_ready() before  ▲ │
//!                                                                  ▼                  Wake ──┘ │
//!                                                               UnitSink (holds two) ◀─ unit ──┘
//! ```
//!
//! Queues and what happens when they are full:
//! - Mailbox: one frame. A newer one replaces it; the older one is dropped, counted as `dropped`.
//! - Commands: a place for each kind. The newest sink, encoders, rate and regions count, requests for
//!   a keyframe are one, lost frames are one range. None is refused, however long a frame takes: a
//!   sink that was not set would show the next viewer nothing.
//! - Encoder: as many pictures as its `depth`. While it is full no frame is taken from the mailbox. One
//!   that keeps a picture longer than the patience is replaced.
//! - Sink: when it is not ready, the frame is dropped before the encoder, counted as `skipped`; a
//!   unit that it refuses anyway is taken out of the references, or a keyframe follows.
//!
//! Every loss leaves the viewer with an old picture, also when the scene then stands still and no
//! further frame would come: [`EncoderWorker::wants_refresh`] says so until a unit made up for it,
//! and the driver passes it on as [`media::FrameRequest::refresh`]. The same brings a picture that
//! stands still again until it is good.
//!
//! The thread must never be given a sink or an event callback that blocks: both run on it.

mod gate;
mod pass;
mod refine;
mod run;
mod shared;
mod size;
mod stats;
mod window;

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use media::{
    Bitrate, Clock, EncoderCapabilities, Frame, FrameId, FrameRate, PictureKind, Regions, Size,
    TrackId, UnitSink,
};
use thiserror::Error;

use crate::candidates::{Candidate, EncoderSettings};
use run::Runner;
use shared::Shared;
pub use stats::{EncodeTimes, WorkerStats};

/// How long `Drop` waits for the thread: far longer than any frame takes to encode.
const JOIN_DEADLINE: Duration = Duration::from_secs(2);
/// How long an encoder may keep a picture before it counts as hung: far longer than any takes.
pub const ENCODE_PATIENCE: Duration = Duration::from_secs(2);
/// Linux cuts thread names after 15 bytes.
const THREAD_NAME_BYTES: usize = 15;

/// What a worker is made with.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Tells workers apart in thread listings and logs; its first 11 bytes name the thread.
    pub label: String,
    /// The track that units are sent on.
    pub track: TrackId,
    /// What the encoder is opened with.
    pub settings: EncoderSettings,
    /// Encoders in the order of use: [`Selection::usable`](crate::Selection::usable).
    pub encoders: Vec<Candidate>,
    /// Least time between two keyframes that were asked for.
    pub keyframe_interval: Duration,
    /// Draw the strip of [`media::barcode`] into every picture.
    pub barcode: bool,
    /// How long an encoder may keep a picture: [`ENCODE_PATIENCE`].
    pub patience: Duration,
}

/// What the thread is told. Commands come before the frame that waits; of those that come while it is
/// at a frame, each kind counts once: see the module.
pub enum Command {
    /// Bit rate and frame rate from the next frame on.
    SetRate {
        /// Target and most.
        bitrate: Bitrate,
        /// Frames per second.
        rate: FrameRate,
    },
    /// The client asks for a keyframe.
    Keyframe,
    /// These frames will never arrive whole.
    Forget(RangeInclusive<FrameId>),
    /// The client has decoded this frame, and with it every one that it needs.
    Acknowledge(FrameId),
    /// Parts of pictures of this size that are coded finer or coarser, until the next are told or another
    /// viewer comes. Encoders that have none code pictures without, and so do all at another size.
    ///
    /// They are no part of a frame, since where a viewer looks is known best when a picture is coded, not
    /// when its drawing began; and sources need know nothing of it.
    SetRegions {
        /// Of the pictures that they lie in.
        size: Size,
        /// The parts.
        regions: Regions,
    },
    /// Units go here from now on, beginning with a keyframe.
    SetSink(Box<dyn UnitSink>),
    /// Another viewer decodes other codecs. The encoder in use stays where it is the first of these and
    /// the pictures are of the same kind; else it is replaced, and a keyframe comes of it.
    UseEncoders {
        /// In the order of use from now on.
        encoders: Vec<Candidate>,
        /// What pictures they are given from now on. Those of another kind that were drawn before are
        /// dropped.
        kind: PictureKind,
    },
    /// End.
    Stop,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetRate { bitrate, rate } => {
                f.debug_struct("SetRate").field("bitrate", bitrate).field("rate", rate).finish()
            }
            Self::Keyframe => f.write_str("Keyframe"),
            Self::Forget(lost) => f.debug_tuple("Forget").field(lost).finish(),
            Self::Acknowledge(frame) => f.debug_tuple("Acknowledge").field(frame).finish(),
            Self::SetRegions { size, regions } => f
                .debug_struct("SetRegions")
                .field("size", size)
                .field("regions", &regions.as_slice())
                .finish(),
            Self::SetSink(_) => f.write_str("SetSink"),
            Self::UseEncoders { encoders, .. } => {
                let names = encoders.iter().map(|candidate| candidate.name);
                f.write_str("UseEncoders")?;
                f.debug_list().entries(names).finish()
            }
            Self::Stop => f.write_str("Stop"),
        }
    }
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandRefused {
    /// The thread has ended.
    #[error("the encoder thread has ended")]
    Ended,
}

/// What happened on the thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// This encoder is in use from now on.
    Opened(EncoderCapabilities),
    /// This encoder cannot be used, or no longer; the next one is tried.
    FellBack {
        /// The candidate.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// This encoder works, but has no session to give; the next one is tried.
    NoSession {
        /// The candidate.
        name: &'static str,
        /// What it said.
        reason: String,
        /// Sessions of it that this process has open.
        open: u32,
    },
    /// This encoder does not take pictures of the size that they have now, or could not be opened for them;
    /// the next one is tried, and this one again at other sizes. It did not break in use.
    PassedOver {
        /// The candidate.
        name: &'static str,
        /// What it said.
        reason: String,
        /// Sessions of it that this process has open, where it had none to give.
        open: Option<u32>,
    },
    /// No encoder takes pictures of this size: they are left out, and the one in use stays as it is.
    SizeRefused {
        /// Theirs.
        size: Size,
        /// What each encoder said.
        reason: String,
    },
    /// That is over: pictures are of another size, or other encoders are in use.
    SizeRefusalEnded,
    /// This encoder does not take the pictures where they lie; they are mapped for it from now on.
    NotShared {
        /// The candidate.
        name: &'static str,
        /// Why.
        reason: String,
    },
    /// A picture could not be coded, for another reason than its size. Told once until one can be again.
    PictureRefused {
        /// The frame.
        frame: FrameId,
        /// Why.
        reason: String,
    },
    /// The device that draws the pictures is gone. Told once until a picture comes again.
    ImageLost(String),
    /// No encoder is left; the thread has ended.
    Failed(String),
    /// A bug; the thread has ended.
    Panicked(String),
}

/// Called on the thread, so it must not block. Few: told on changes, never per frame.
pub type EventFn = Box<dyn FnMut(WorkerEvent) + Send>;

/// An encoder's thread. Dropping it stops and joins the thread; one that hangs for two seconds is left
/// to itself, and logged.
#[derive(Debug)]
pub struct EncoderWorker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    name: String,
}

impl EncoderWorker {
    /// Starts the thread, which opens the first encoder that works.
    ///
    /// # Errors
    /// When the system starts no thread. Failures to open an encoder come as events.
    pub fn spawn(
        config: WorkerConfig,
        sink: Box<dyn UnitSink>,
        clock: Arc<dyn Clock>,
        events: EventFn,
    ) -> io::Result<Self> {
        let name = thread_name(&config.label);
        let shared = Arc::new(Shared::new(config.settings.kind()));
        let on_thread = Arc::clone(&shared);
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let _span = span.entered();
            // Last to go, also after a panic: tells the handle that the encoder is dropped.
            let _ended = shared::Ended(Arc::clone(&on_thread));
            Runner::new(config, on_thread, sink, clock, events).run_caught();
        })?;
        Ok(Self { shared, thread: Some(thread), name })
    }

    /// Hands a frame over. Never blocks; drops the frame that still waits, or this one when the
    /// thread has ended.
    pub fn submit(&self, frame: Frame) {
        self.shared.submit(frame);
    }

    /// Tells the thread something. Never blocks, and is taken for as long as the thread lives.
    ///
    /// # Errors
    /// [`CommandRefused`]; [`Command::Stop`] is always taken.
    pub fn command(&self, command: Command) -> Result<(), CommandRefused> {
        self.shared.command(command)
    }

    /// Counters up to now.
    pub fn stats(&self) -> WorkerStats {
        self.shared.stats()
    }

    /// Whether the viewer has an old picture, a coarse one or none, so that a frame should come even
    /// when nothing changed.
    pub fn wants_refresh(&self) -> bool {
        self.shared.wants_refresh()
    }

    /// Whether the encoder reads pictures in memory of its device: to be passed on as
    /// [`media::FrameRequest::share`].
    pub fn wants_shared(&self) -> bool {
        self.shared.wants_shared()
    }

    /// What pictures the encoder takes: to be passed on as [`media::FrameRequest::kind`].
    pub fn wants_kind(&self) -> PictureKind {
        self.shared.wants_kind()
    }

    /// Stops the thread and waits for it, as a drop does. Returns whether it ended in time.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        let Some(thread) = self.thread.take() else { return true };
        // Stopping is always accepted.
        let _ = self.shared.command(Command::Stop);
        let ended = self.shared.wait_for_end(JOIN_DEADLINE);
        if ended {
            // Panics were caught on the thread and told as an event.
            let _ = thread.join();
        } else {
            tracing::error!(thread = self.name, "encoder thread did not end and is left behind");
        }
        ended
    }

    /// Whether the thread has ended and its encoder is gone.
    pub fn has_ended(&self) -> bool {
        self.shared.has_ended()
    }
}

impl Drop for EncoderWorker {
    fn drop(&mut self) {
        self.end();
    }
}

fn thread_name(label: &str) -> String {
    let mut name = format!("enc-{label}").replace('\0', "");
    let mut end = name.len().min(THREAD_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::thread_name;

    #[test]
    fn thread_names_fit_the_system() {
        assert_eq!(thread_name("a1b2"), "enc-a1b2");
        assert_eq!(thread_name("0123456789abcdef"), "enc-0123456789a");
        assert_eq!(thread_name("0123456789é"), "enc-0123456789");
        assert_eq!(thread_name("a\0b"), "enc-ab");
    }
}
