//! The screen that a game is given for the place that the client shows it in.

use media::Size;

use crate::apps::VideoMode;
use crate::wire;

/// The screen is never smaller: below this hardly a game draws anything.
const LEAST: Size = Size::new(320, 200);
/// Dots an inch that displays and their programs have.
const DPI: std::ops::RangeInclusive<u32> = 48..=480;

/// A screen of the size of `view`, made smaller where it is larger than `largest`, in its own shape and with as many
/// fewer dots an inch.
pub(crate) fn for_view(view: &wire::View, largest: Size, mode: VideoMode) -> VideoMode {
    let [width, height] = [view.width, view.height].map(|edge| f64::from(edge.max(1)));
    let fits = (f64::from(largest.width) / width).min(f64::from(largest.height) / height).min(1.0);
    let edge = |edge: f64, least: u32, most: u32| {
        // Whole and positive; what a screen cannot have is not asked for.
        ((edge * fits) as u32).clamp(least.min(most), most) & !1
    };
    let size = Size::new(
        edge(width, LEAST.width, largest.width),
        edge(height, LEAST.height, largest.height),
    );
    let dpi = (f64::from(view.dpi) * fits).round() as u32;
    VideoMode { size, dpi: dpi.clamp(*DPI.start(), *DPI.end()), ..mode }
}

#[cfg(test)]
mod tests {
    use media::FrameRate;
    use proptest::prelude::*;

    use super::*;

    const HD: Size = Size::new(1920, 1080);

    fn fitted(width: u32, height: u32, dpi: u32) -> (Size, u32) {
        let mode = VideoMode { size: HD, dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
        let screen = for_view(&wire::View { width, height, dpi }, HD, mode);
        (screen.size, screen.dpi)
    }

    #[test]
    fn a_screen_is_as_large_as_its_view_up_to_the_largest() {
        assert_eq!(fitted(1280, 720, 96), (Size::new(1280, 720), 96));
        assert_eq!(fitted(1281, 721, 120), (Size::new(1280, 720), 120));
        assert_eq!(fitted(3840, 2160, 192), (HD, 96));
        // Upright: as high as may be, in its own shape.
        assert_eq!(fitted(1080, 2160, 288), (Size::new(540, 1080), 144));
        assert_eq!(fitted(10, 10, 96), (Size::new(320, 200), 96));
    }

    proptest! {
        #[test]
        fn any_view_has_a_screen_that_displays_can_have(
            width: u32, height: u32, dpi: u32, wide in 32_u32..4_096, high in 32_u32..4_096,
        ) {
            let largest = Size::new(wide * 2, high * 2);
            let mode = VideoMode { size: largest, dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
            let VideoMode { size, dpi, .. } = for_view(&wire::View { width, height, dpi }, largest, mode);
            prop_assert!(size.width <= largest.width && size.height <= largest.height);
            prop_assert!(size.width >= 64 && size.height >= 64);
            prop_assert!(size.width.is_multiple_of(2) && size.height.is_multiple_of(2));
            prop_assert!(DPI.contains(&dpi));
        }
    }
}
