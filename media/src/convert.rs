//! The seam to what converts captured pictures on a graphics device.

use crate::{Damage, FrameImage, Size};

/// Whether a picture can be converted on the device now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Free,
    /// All that there is room for are held downstream.
    Full,
    /// It is better done on the processor, which is where its encoder reads it.
    Elsewhere,
}

/// Converts the pictures of one captured display, which lie in memory in BGRX, to NV12 of BT.709 in limited range. Used on
/// the source's thread; not used again after an error.
pub trait Convert: Send {
    /// Whether it takes a picture of this size, even both ways, that the encoder reads in shared memory (`share`) or on the
    /// CPU.
    ///
    /// # Errors
    /// What keeps the device from it, for people.
    fn begin(&mut self, size: Size, share: bool) -> Result<Room, String>;

    /// Converts a picture of the size that it was asked for last, where it had room. `bgrx` is all of it, rows without
    /// padding; beside `changed` it is the same as the one before it. Of the samples those may change, too, that lie up to
    /// two pixels to the right of that: chroma is sited as [`PixelFormat::Nv12`](crate::PixelFormat::Nv12) says.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn convert(&mut self, bgrx: &[u8], changed: &Damage) -> Result<Box<dyn FrameImage>, String>;
}
