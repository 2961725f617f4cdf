//! What a clipboard holds.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

/// Pixels of an image: more than any screen has, and less than makes a small file fill a memory.
const MOST_PIXELS: u64 = 1 << 26;
/// The signature of a PNG, and the length and type of its first chunk (PNG, 5.2 and 11.2.2).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";

/// The kinds of what can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClipKind {
    /// UTF-8 without NUL.
    Text,
    /// A PNG.
    Image,
}

impl ClipKind {
    /// What it is called in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
        }
    }
}

/// Why bytes are not what they are said to be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadClip {
    /// Text that is none.
    #[error("it is not text in UTF-8")]
    Text,
    /// An image that is none.
    #[error("it is not a PNG")]
    Image,
    /// An image of too many pixels.
    #[error("it has more than {MOST_PIXELS} pixels")]
    Pixels,
}

/// Text or an image. What is in it is for nobody's log.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    kind: ClipKind,
    bytes: Bytes,
}

impl Clip {
    /// Checks that the bytes may be of this kind. Of an image that is its beginning: whoever shows it decodes it.
    ///
    /// # Errors
    /// See [`BadClip`].
    pub fn new(kind: ClipKind, bytes: Bytes) -> Result<Self, BadClip> {
        match kind {
            ClipKind::Text if bytes.contains(&0) || std::str::from_utf8(&bytes).is_err() => {
                Err(BadClip::Text)
            }
            ClipKind::Text => Ok(Self { kind, bytes }),
            ClipKind::Image => match pixels(&bytes) {
                None | Some(0) => Err(BadClip::Image),
                Some(pixels) if pixels > MOST_PIXELS => Err(BadClip::Pixels),
                Some(_) => Ok(Self { kind, bytes }),
            },
        }
    }

    /// What it is.
    pub fn kind(&self) -> ClipKind {
        self.kind
    }

    /// The text, or the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clip({}, {} bytes)", self.kind.name(), self.bytes.len())
    }
}

/// Pixels of a PNG, by its beginning.
fn pixels(bytes: &[u8]) -> Option<u64> {
    let header = bytes.strip_prefix(PNG)?.first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    Some(u64::from(u32::from_be_bytes([a, b, c, d])) * u64::from(u32::from_be_bytes([e, f, g, h])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32) -> Bytes {
        [PNG, &width.to_be_bytes(), &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat().into()
    }

    #[test]
    fn text_is_utf_8_without_an_end_in_it() {
        let text = |bytes: &'static [u8]| Clip::new(ClipKind::Text, Bytes::from_static(bytes));
        assert_eq!(text("Grüße 😀\r\n".as_bytes()).unwrap().bytes().len(), 14);
        assert!(text(b"").is_ok());
        assert_eq!(text(b"a\xff").unwrap_err(), BadClip::Text);
        assert_eq!(text(b"a\0b").unwrap_err(), BadClip::Text);
        assert_eq!(format!("{:?}", text(b"secret").unwrap()), "Clip(text, 6 bytes)");
    }

    #[test]
    fn images_begin_as_a_png_does_and_have_a_size_that_can_be_shown() {
        let image = |bytes| Clip::new(ClipKind::Image, bytes).map(|clip| clip.kind());
        assert_eq!(image(png(8192, 8192)), Ok(ClipKind::Image));
        assert_eq!(image(png(8192, 8193)), Err(BadClip::Pixels));
        assert_eq!(image(png(u32::MAX, u32::MAX)), Err(BadClip::Pixels));
        assert_eq!(image(png(0, 10)), Err(BadClip::Image));
        assert_eq!(image(png(4, 4).slice(..23)), Err(BadClip::Image));
        assert_eq!(image(Bytes::from_static(b"GIF89a")), Err(BadClip::Image));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes: Vec<u8>, begin: bool) {
            let bytes = if begin { [PNG, &bytes].concat() } else { bytes };
            for kind in [ClipKind::Text, ClipKind::Image] {
                if let Ok(clip) = Clip::new(kind, bytes.clone().into()) {
                    prop_assert_eq!(&clip.bytes()[..], &bytes[..]);
                }
            }
        }
    }
}
