//! The screen that a game is given for the place that the client shows it in.

use media::Size;

use crate::apps::VideoMode;
use crate::booking::Bounds;
use crate::wire;

/// The screen is never smaller: below this hardly a game draws anything.
const LEAST: Size = Size::new(320, 200);
/// Dots an inch that displays and their programs have.
const DPI: std::ops::RangeInclusive<u32> = 48..=480;

/// Whether a screen of `size` is of the shape of `shape`, but for what edges lose that are made even.
pub(crate) fn has_shape(size: Size, shape: Size) -> bool {
    let [width, height, wide, high] =
        [size.width, size.height, shape.width, shape.height].map(i64::from);
    (width * high - height * wide).abs() <= 2 * wide.max(high)
}

/// A screen of the size of `view`, or the largest of its own shape in it, made smaller where it is larger than may be, with as
/// many fewer dots an inch.
pub(crate) fn for_view(view: &wire::View, bounds: Bounds, mode: VideoMode) -> VideoMode {
    let edges = |width: u32, height: u32| [width, height].map(|edge| f64::from(edge.max(1)));
    // By how much one is larger that just fits into another.
    let into =
        |[wide, high]: [f64; 2], [width, height]: [f64; 2]| (width / wide).min(height / high);
    let Bounds { largest, shape } = bounds;
    let view_edges = edges(view.width, view.height);
    let shape = shape.map(|shape| edges(shape.width, shape.height));
    let own = shape.unwrap_or(view_edges);
    let (shown, most) = (into(own, view_edges), into(own, edges(largest.width, largest.height)));
    let mut fits = shown.min(most);
    if shape.is_some() {
        let [width, height] = edges(LEAST.width, LEAST.height);
        fits = fits.max((width / own[0]).max(height / own[1]).min(most));
    }
    let edge = |edge: f64, least: u32, most: u32| {
        // Whole and positive, where quotients lose a little; what a screen cannot have is not asked for.
        ((edge * fits + 1e-6) as u32).clamp(least.min(most), most) & !1
    };
    let size = Size::new(
        edge(own[0], LEAST.width, largest.width),
        edge(own[1], LEAST.height, largest.height),
    );
    let dpi = (f64::from(view.dpi) * (fits / shown).min(1.0)).round() as u32;
    VideoMode { size, dpi: dpi.clamp(*DPI.start(), *DPI.end()), ..mode }
}

#[cfg(test)]
mod tests {
    use host::catalogue::Resize;
    use media::FrameRate;
    use proptest::prelude::*;

    use super::*;
    use crate::apps::ScreenInfo;

    const HD: Size = Size::new(1920, 1080);

    fn fitted(width: u32, height: u32, dpi: u32) -> (Size, u32) {
        let mode = VideoMode { size: HD, dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
        let screen = for_view(&wire::View { width, height, dpi }, HD.into(), mode);
        (screen.size, screen.dpi)
    }

    #[test]
    fn what_keeps_its_shape_has_the_largest_of_it_that_is_in_the_view() {
        let mode = VideoMode { size: HD, dpi: VideoMode::DPI, rate: FrameRate::fps(60) };
        let began = Size::new(960, 600);
        let screen = ScreenInfo { largest: HD, resize: Resize::SameShape };
        let bounds = Bounds::of(screen, began).unwrap();
        let fitted =
            |width, height| for_view(&wire::View { width, height, dpi: 96 }, bounds, mode).size;
        for (view, size) in [
            ((960, 600), began),
            ((1200, 700), Size::new(1120, 700)),
            ((640, 480), Size::new(640, 400)),
            ((1000, 521), Size::new(832, 520)),
            ((980, 613), Size::new(980, 612)),
            // No smaller than what is of use.
            ((40, 300), Size::new(320, 200)),
            ((3000, 3000), Size::new(1728, 1080)),
        ] {
            assert_eq!(fitted(view.0, view.1), size, "in {view:?}");
            assert!(has_shape(size, began) && has_shape(began, size), "{size}");
        }
        assert!(!has_shape(Size::new(1280, 720), began) && !has_shape(Size::new(800, 600), began));
        let others = [Resize::Never, Resize::Any]
            .map(|resize| Bounds::of(ScreenInfo { largest: HD, resize }, began));
        assert_eq!(others, [None, Some(Bounds::from(HD))]);
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
            let VideoMode { size, dpi, .. } = for_view(&wire::View { width, height, dpi }, largest.into(), mode);
            prop_assert!(size.width <= largest.width && size.height <= largest.height);
            prop_assert!(size.width >= 64 && size.height >= 64);
            prop_assert!(size.width.is_multiple_of(2) && size.height.is_multiple_of(2));
            prop_assert!(DPI.contains(&dpi));
            // In a shape of its own: the largest of it that is in the view, and may be.
            let shape = Size::new(high, wide.div_ceil(2));
            let bounds = Bounds { largest, shape: Some(shape) };
            let size = for_view(&wire::View { width, height, dpi: 96 }, bounds, mode).size;
            prop_assert!(size.width <= largest.width && size.height <= largest.height);
            let useful = size.width > LEAST.width && size.height > LEAST.height;
            prop_assert!(!useful || has_shape(size, shape), "{size} for {shape}");
            let most = Size::new(width.max(1).min(largest.width), height.max(1).min(largest.height));
            let fits = size.width <= most.width && size.height <= most.height;
            let tight = size.width + 2 > most.width || size.height + 2 > most.height;
            prop_assert!(!useful || fits && tight, "{size} in {most}");
        }
    }
}
