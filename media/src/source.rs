//! The seam to what makes pictures: a renderer (pulled), a captured display or a VM (pushed).

use std::time::Duration;

use thiserror::Error;

use crate::{ByteSize, Frame, FrameId, MediaTime, PictureKind, Size, View};

/// Who decides when a picture is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// The caller: [`FrameSource::next`] draws at once.
    Pulled,
    /// The source: [`FrameSource::next`] waits for new content.
    Pushed,
}

/// What is known of a source, before its first frame and after any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// Who decides when a picture is made.
    pub pacing: Pacing,
    /// Size of its pictures, even both ways.
    pub size: Size,
    /// Size that was drawn last, before scaling to `size`; the same where nothing is scaled. Of a captured display its own,
    /// which the pointer's places are in.
    pub drawn: Size,
    /// Views in a picture.
    pub views: usize,
    /// Whether it makes smaller pictures when [`FrameSource::resize`] asks for them.
    pub resizes: bool,
}

/// What the caller wants of the next picture.
#[derive(Clone, Debug)]
pub struct FrameRequest<'a> {
    /// The id to give it.
    pub id: FrameId,
    /// The time that a pulled picture shows.
    pub at: MediaTime,
    /// A pushed source waits at most this long; a pulled one takes it as its drawing budget.
    pub within: Duration,
    /// Eyes to draw for, from a headset; empty for the source's own camera.
    pub views: &'a [View],
    /// Yield a picture even when nothing changed (a new viewer, a keyframe).
    pub refresh: bool,
    /// Yield it in shared memory where the source can, because the encoder reads it there; a source
    /// on the CPU ignores it.
    pub share: bool,
    /// The kind of picture that the encoder takes. A source that makes no such pictures yields those
    /// that it makes: each frame says what it is.
    pub kind: PictureKind,
}

/// What came of a request.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "moved once a frame; a box would allocate each time")]
pub enum SourceEvent {
    /// A new picture.
    Frame(Frame),
    /// The pointer changed its look or place; it is drawn by the client.
    Cursor(CursorUpdate),
    /// Pictures have this size from now on, which is the source's own, whatever [`FrameSource::resize`] asked for before.
    Resized(Size),
    /// Nothing changed: nothing is encoded.
    Unchanged,
    /// The source came to its end (the game was left, the replay is over).
    Ended,
}

/// A change of the pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorUpdate {
    /// It moved to this pixel of the picture in the source's own size.
    Moved {
        /// Pixels from the left edge.
        x: i32,
        /// Pixels from the top edge.
        y: i32,
    },
    /// It looks like this.
    Shape {
        /// Size of the picture.
        size: Size,
        /// The pixel of the picture that points.
        hotspot: (u32, u32),
        /// Row-major RGBA, not premultiplied.
        rgba: Vec<u8>,
    },
    /// It is hidden.
    Hidden,
}

/// Makes pictures. Used on one named thread.
pub trait FrameSource: Send {
    /// What is known of it.
    fn info(&self) -> SourceInfo;

    /// The next event. Pulled sources answer at once, pushed ones within [`FrameRequest::within`].
    ///
    /// # Errors
    /// See [`SourceError`].
    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError>;

    /// Pictures are to have this size from the next one on, even both ways: the source's own or a smaller one, for a link
    /// that carries too few bits for more. Yields the size that they will have: a source whose size is not its to choose
    /// keeps the one that it has. No [`SourceEvent::Resized`] tells of it.
    fn resize(&mut self, size: Size) -> Size;

    /// What is shown has a screen of this size from now on, even both ways, and so many dots an inch (96 is usual):
    /// programs on it see that, and [`SourceEvent::Resized`] tells once pictures have it. What has no screen of its own
    /// leaves it.
    fn set_screen(&mut self, _size: Size, _dpi: u32) {}

    /// Nobody looks from now on, or somebody does again. What makes the pictures may stand still meanwhile; it is not
    /// asked for any. Not told before the first picture was asked for.
    fn set_held(&mut self, _held: bool) {}
}

/// Why a source yields no picture.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// All ring slots are held downstream; ask again at the next interval.
    #[error("all picture slots are in use")]
    NoFreeSlot,
    /// The device is still at the picture before this one, and drawing ahead would gain nothing; ask
    /// again soon.
    #[error("the picture before is not complete")]
    Busy,
    /// The graphics device is gone; the session suspends until it is back.
    #[error("the graphics device was lost: {0}")]
    DeviceLost(String),
    /// The source is broken; the session ends.
    #[error("the source failed: {0}")]
    Failed(String),
    /// The program that it shows is over, and did not end well; the session ends.
    #[error("the program ended: {0:?}")]
    Exited(Exited),
}

/// A program that is over, though nobody asked it to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exited {
    /// How it ended.
    pub exit: Exit,
    /// Whether it had drawn anything by then.
    pub drew: bool,
    /// The last that it wrote, for logs alone.
    pub said: String,
}

/// How a program ended (`wait(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this status; 0 is success.
    Status(i32),
    /// By this signal (`signal(7)`).
    Signal(i32),
    /// By the kernel, because it took more memory than this limit.
    OutOfMemory(ByteSize),
}
