//! The pointer's look as clients are told of it: a picture that fits into one message, whatever a game makes of it.

use std::io::Cursor as Bytes;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder as _, RgbaImage};
use media::CursorUpdate;

use crate::wire;

/// Most bytes of a PNG: with its base64 it fits into any message of a data channel, and beside the pictures. Usual
/// looks have one kilobyte or less.
const MOST: usize = 24 * 1024;

/// What clients are told of its look; none of a place.
pub(super) fn told(update: CursorUpdate) -> Option<wire::Cursor> {
    match update {
        CursorUpdate::Shape { size, hotspot, rgba } => {
            let image = RgbaImage::from_raw(size.width, size.height, rgba)?;
            look(image, hotspot).map(|look| wire::Cursor { look: Some(look) })
        }
        CursorUpdate::Hidden => Some(wire::Cursor { look: None }),
        CursorUpdate::Moved { .. } => None,
    }
}

/// A look that is too much is halved until it is not.
fn look(mut image: RgbaImage, hotspot: (u32, u32)) -> Option<wire::CursorLook> {
    let mut scale = 1;
    loop {
        let (width, height) = image.dimensions();
        let mut png = Vec::new();
        let encoder = PngEncoder::new(Bytes::new(&mut png));
        let color = ExtendedColorType::Rgba8;
        if let Err(error) = encoder.write_image(image.as_raw(), width, height, color) {
            tracing::debug!(%error, width, height, "the pointer's look cannot be coded");
            return None;
        }
        if png.len() <= MOST {
            let hotspot = [hotspot.0, hotspot.1].map(|at| at / scale);
            let (png, size) = (BASE64_STANDARD.encode(png), [width, height]);
            return Some(wire::CursorLook { png, size, scale, hotspot });
        }
        image = resize(&image, width.div_ceil(2), height.div_ceil(2), FilterType::Triangle);
        scale *= 2;
    }
}

#[cfg(test)]
mod tests {
    use media::Size;

    use super::*;

    fn shape(edge: u32, pixel: impl Fn(u32) -> u8) -> wire::CursorLook {
        let rgba = (0..edge * edge * 4).map(pixel).collect();
        let update =
            CursorUpdate::Shape { size: Size::new(edge, edge), hotspot: (edge - 1, 3), rgba };
        told(update).unwrap().look.unwrap()
    }

    fn decoded(look: &wire::CursorLook) -> RgbaImage {
        let png = BASE64_STANDARD.decode(&look.png).unwrap();
        assert!(png.len() <= MOST);
        let image = image::load_from_memory(&png).unwrap().into_rgba8();
        assert_eq!(look.size, [image.width(), image.height()]);
        image
    }

    #[test]
    fn a_look_comes_out_as_it_went_in() {
        let look = shape(24, |at| at as u8);
        assert_eq!((look.scale, look.hotspot), (1, [23, 3]));
        let bytes: Vec<_> = (0..24 * 24 * 4).map(|at| at as u8).collect();
        assert_eq!(decoded(&look).into_raw(), bytes);
    }

    #[test]
    fn what_does_not_fit_is_shown_coarser_and_as_large() {
        // Noise, which no PNG makes smaller (Knuth's multiplicative hash).
        let look = shape(128, |at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
        let image = decoded(&look);
        assert!(look.scale > 1);
        assert_eq!(image.width() * look.scale, 128);
        assert_eq!(look.hotspot, [127 / look.scale, 3 / look.scale]);
    }

    #[test]
    fn hidden_is_told_and_places_are_not() {
        assert_eq!(told(CursorUpdate::Hidden), Some(wire::Cursor { look: None }));
        assert_eq!(told(CursorUpdate::Moved { x: 1, y: 2 }), None);
        // Shorter than it says.
        let (size, hotspot, rgba) = (Size::new(2, 2), (0, 0), vec![0; 4]);
        assert_eq!(told(CursorUpdate::Shape { size, hotspot, rgba }), None);
    }
}
