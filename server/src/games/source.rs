//! The pictures of a hosted game.

use std::sync::Arc;
use std::time::{Duration, Instant};

use host::confine::{self, End, How};
use host::display::Screen;
use host::sound::SoundServer;
use media::{
    Damage, Exit, Exited, FrameRequest, FrameSource, MediaTime, Size, SourceError, SourceEvent,
    SourceInfo,
};

use super::Hosted;
use crate::booking::Booking;
use crate::meter::{Machine, Meter, Spent, thread_time};
use crate::saves::Keep;
use crate::sharing::Share;

/// What the stop of a session waits for a game and its last state; what takes longer goes on beside it.
const STOP: Duration = Duration::from_secs(2);
/// A game that has drawn nothing for so long is shown as it is: a client waits no longer for a first picture than twelve
/// seconds in all.
pub(super) const UNDRAWN: Duration = Duration::from_secs(6);
/// How often a picture is asked for while the game is being read.
const READ: Duration = Duration::from_millis(10);

/// Whether a game has drawn anything: until then its display shows nothing that is worth a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawn {
    /// It has not, and is waited for until then.
    Not(MediaTime),
    /// The display as it was before the game is known.
    Empty(MediaTime),
    /// It has, or took too long.
    Yes,
}

impl Drawn {
    /// Whether it is shown now whatever it shows.
    pub(super) fn is_overdue(self, now: MediaTime) -> bool {
        matches!(self, Self::Not(limit) | Self::Empty(limit) if limit <= now)
    }

    /// The next picture is a new one, though nothing was drawn.
    pub(super) fn is_shown_anew(&mut self) {
        if let Self::Empty(limit) = *self {
            *self = Self::Not(limit);
        }
    }

    /// Whether a picture of then is to be shown, in which something has changed or not.
    pub(super) fn shows(&mut self, at: MediaTime, changed: bool) -> bool {
        *self = match *self {
            Self::Not(limit) | Self::Empty(limit) if limit <= at => Self::Yes,
            Self::Not(limit) => Self::Empty(limit),
            Self::Empty(_) if changed => Self::Yes,
            same => same,
        };
        *self == Self::Yes
    }
}

/// The pictures of a game, which ends with them.
pub(super) struct GameSource {
    pub(super) inner: Box<dyn FrameSource>,
    pub(super) drawn: Drawn,
    /// The size that its screen is to have, and its dots an inch.
    pub(super) screen: Option<(Size, u32)>,
    pub(super) hosted: Arc<Hosted>,
    /// What is kept of it.
    pub(super) keep: Option<Arc<Keep>>,
    /// What it shares.
    pub(super) share: Option<Arc<Share>>,
    pub(super) display: Box<dyn Screen>,
    /// What its screen is booked for.
    pub(super) booking: Option<Arc<Booking>>,
    pub(super) sound: Option<SoundServer>,
    pub(super) meter: Meter,
}

impl GameSource {
    /// The end of the game by now, told by it or by its display.
    fn end(&self, now: MediaTime, limit: Duration) -> Option<Result<SourceEvent, SourceError>> {
        let End { how, .. } = self.hosted.ended(limit)?;
        let said = self.hosted.game().said();
        tracing::info!(%how, "the game is over");
        // Whether it did is not seen while nobody asks for pictures: one that had the time for it has.
        let drew = self.drawn == Drawn::Yes || self.drawn.is_overdue(now);
        let last = said.last();
        let exited = |exit| {
            let said = last.cloned().unwrap_or_default();
            Some(Err(SourceError::Exited(Exited { exit, drew, said })))
        };
        match how {
            How::Stopped => Some(Ok(SourceEvent::Ended)),
            How::Exited(confine::Exit::Code(0)) if drew => Some(Ok(SourceEvent::Ended)),
            How::Exited(confine::Exit::Code(status)) => exited(Exit::Status(status)),
            How::Exited(confine::Exit::Signal(signal)) => exited(Exit::Signal(signal)),
            How::OutOfMemory(limit) => exited(Exit::OutOfMemory(limit)),
            how => {
                let last = last.map(|line| format!(": {line}")).unwrap_or_default();
                Some(Err(SourceError::Failed(format!("{how}{last}"))))
            }
        }
    }
}

impl FrameSource for GameSource {
    fn info(&self) -> SourceInfo {
        self.inner.info()
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        if let Some(end) = self.end(request.at, Duration::ZERO) {
            return end;
        }
        let Some(display) = self.hosted.display() else {
            // It stands still to be saved, and so does its picture.
            self.meter.pause();
            std::thread::sleep(request.within.min(READ));
            return Ok(SourceEvent::Unchanged);
        };
        let spent = || {
            let session = self.hosted.game().usage().cpu? + thread_time();
            Some(Spent { session, machine: Machine::now()? })
        };
        self.meter.look(Instant::now(), spent);
        if let Some((size, dpi)) = self.screen.take()
            && let Err(error) = self.display.set_size(size, dpi)
        {
            tracing::warn!(%error, "the game keeps the size that it has");
            if let Some(booking) = &self.booking {
                booking.shows(self.inner.info().drawn);
            }
        }
        let refresh = request.refresh || self.drawn.is_overdue(request.at);
        // What is not shown is not for the encoder, wherever that reads: pictures from another side than those before do not
        // say what the game has drawn.
        let share = request.share && self.drawn == Drawn::Yes;
        let answer = self.inner.next(&FrameRequest { refresh, share, ..request.clone() });
        drop(display);
        if let Ok(SourceEvent::Resized(size)) = &answer {
            self.meter.resized(*size);
        }
        match answer {
            Ok(SourceEvent::Frame(frame))
                if !self.drawn.shows(frame.captured_at, frame.damage != Damage::none()) =>
            {
                Ok(SourceEvent::Unchanged)
            }
            // The display goes with the game: what became of that says more.
            answer @ (Ok(SourceEvent::Ended) | Err(SourceError::Failed(_))) => {
                self.end(request.at, STOP).unwrap_or(answer)
            }
            answer => answer,
        }
    }

    fn resize(&mut self, size: Size) -> Size {
        let before = self.inner.info().size;
        let size = self.inner.resize(size);
        if size != before {
            self.drawn.is_shown_anew();
        }
        size
    }

    fn set_screen(&mut self, size: Size, dpi: u32) {
        // Once it is there to be asked.
        self.screen = Some((size, dpi));
    }

    fn set_held(&mut self, held: bool) {
        self.meter.pause();
        self.hosted.set_held(held);
    }
}

impl Drop for GameSource {
    fn drop(&mut self) {
        drop(self.sound.take());
        if let Some(share) = &self.share {
            share.end();
        }
        if let Some(keep) = &self.keep {
            keep.ending();
        }
        self.hosted.game().stop();
        self.hosted.wait_over(STOP);
    }
}
