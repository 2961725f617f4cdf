//! The pointer of a display: its look (XFixes) and its place, neither of which is part of the picture.
//!
//! Games hide it by a look without a pixel. The server tells nobody when a program hides it by `XFixesHideCursor`.

use std::sync::atomic::{AtomicU64, Ordering};

use media::{CursorUpdate, Size};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask, GetCursorImageReply};

use super::gate::Nudge;
use super::link::{DisplayError, Link};
use super::screen::Viewport;

/// A larger look is cut: browsers draw none that is.
const LARGEST: u32 = 128;

/// What source and input share: what is shown, which the player points into, and that he did something.
#[derive(Debug, Default)]
pub(super) struct Aim {
    /// Left, top, width and height of the viewport, 16 bits each; zero before it is known.
    shown: AtomicU64,
    /// Width and height of the whole screen, likewise.
    screen: AtomicU64,
    /// Input pulls the next picture forward.
    pub(super) nudge: Nudge,
}

impl Aim {
    /// The screen is as large as this, and that of it is shown.
    pub(super) fn show(&self, screen: Size, view: &Viewport) {
        let packed = u64::from(screen.width) << 16 | u64::from(screen.height);
        self.screen.store(packed, Ordering::Release);
        let parts = [view.x, view.y, view.size.width, view.size.height];
        let packed = parts.iter().fold(0, |packed, &part| packed << 16 | u64::from(part & 0xffff));
        self.shown.store(packed, Ordering::Release);
    }

    pub(super) fn shown(&self) -> Option<Viewport> {
        let packed = self.shown.load(Ordering::Acquire);
        let part = |number: u32| (packed >> (16 * (3 - number))) as u32 & 0xffff;
        let (x, y, size) = (part(0), part(1), Size::new(part(2), part(3)));
        (packed > 0).then_some(Viewport { x, y, size })
    }

    /// A place of the picture (0 to 65535) as one of the whole screen, of which 65536 is the right or lower edge. While a screen
    /// changes its size it may be that of the size before.
    pub(super) fn on_screen(&self, x: u16, y: u16) -> Option<(f64, f64)> {
        let view = self.shown()?;
        let screen = self.screen.load(Ordering::Acquire);
        let whole = f64::from(1 << 16);
        let place = |at: u16, from: u32, edge: u32, screen: u64| {
            let pixel = f64::from(from) + f64::from(at) / whole * f64::from(edge);
            pixel / (screen.max(1) as f64) * whole
        };
        let across = place(x, view.x, view.size.width, screen >> 16);
        Some((across, place(y, view.y, view.size.height, screen & 0xffff)))
    }
}

/// What the client knows of the pointer.
#[derive(Default)]
pub(super) struct Pointer {
    /// The server's number of the look that was told last.
    look: Option<u32>,
    told: Option<(i16, i16)>,
}

impl Pointer {
    /// Asks to be told of other looks from now on.
    pub(super) fn watch(link: &Link) -> Result<(), DisplayError> {
        link.x().xfixes_select_cursor_input(link.root(), CursorNotifyMask::DISPLAY_CURSOR)?;
        Ok(())
    }

    /// The look, where it is not the one that was told last.
    pub(super) fn look(&mut self, link: &Link) -> Result<Option<CursorUpdate>, DisplayError> {
        let image = link.x().xfixes_get_cursor_image()?.reply()?;
        if self.look.replace(image.cursor_serial) == Some(image.cursor_serial) {
            return Ok(None);
        }
        Ok(Some(shape(&image)))
    }

    /// The pointer was found at `place` (of the screen); that place where it is not the one that was told last.
    pub(super) fn found(&mut self, place: (i16, i16), view: &Viewport) -> Option<CursorUpdate> {
        if self.told.replace(place) == Some(place) {
            return None;
        }
        let of_picture = |at: i16, from: u32| i32::from(at) - from as i32;
        Some(CursorUpdate::Moved { x: of_picture(place.0, view.x), y: of_picture(place.1, view.y) })
    }

    /// The client knows the place no more: the picture has another size.
    pub(super) fn forget_place(&mut self) {
        self.told = None;
    }
}

fn shape(image: &GetCursorImageReply) -> CursorUpdate {
    let (width, height) = (u32::from(image.width), u32::from(image.height));
    let size = Size::new(width.min(LARGEST), height.min(LARGEST));
    let mut rgba = Vec::with_capacity(size.pixels() as usize * 4);
    let rows = image.cursor_image.chunks_exact(width.max(1) as usize);
    for row in rows.take(size.height as usize) {
        for &pixel in row.iter().take(size.width as usize) {
            rgba.extend_from_slice(&straight(pixel));
        }
    }
    let visible = rgba.chunks_exact(4).any(|pixel| pixel[3] > 0);
    if !visible || rgba.len() as u64 != size.pixels() * 4 {
        return CursorUpdate::Hidden;
    }
    let hotspot = |at: u16, edge: u32| u32::from(at).min(edge - 1);
    let hotspot = (hotspot(image.xhot, size.width), hotspot(image.yhot, size.height));
    CursorUpdate::Shape { size, hotspot, rgba }
}

/// R, G, B, A of a premultiplied ARGB pixel.
fn straight(pixel: u32) -> [u8; 4] {
    let [b, g, r, a] = pixel.to_le_bytes();
    let part = |part: u8| match a {
        0 => 0,
        // No part of a premultiplied pixel is above its alpha, but nobody checks that.
        _ => (u32::from(part) * 255 + u32::from(a) / 2).div_euclid(a.into()).min(255) as u8,
    };
    [part(r), part(g), part(b), a]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u16, height: u16, cursor_image: Vec<u32>) -> GetCursorImageReply {
        let (xhot, yhot) = (300, 1);
        GetCursorImageReply { width, height, xhot, yhot, cursor_image, ..Default::default() }
    }

    #[test]
    fn looks_are_straight_cut_and_hidden_where_nothing_shows() {
        let seen = shape(&image(2, 1, vec![0x8040_2010, 0xff01_0203]));
        let rgba = vec![128, 64, 32, 128, 1, 2, 3, 255];
        assert_eq!(seen, CursorUpdate::Shape { size: Size::new(2, 1), hotspot: (1, 0), rgba });
        assert_eq!(shape(&image(2, 1, vec![0, 0x0000_ffff])), CursorUpdate::Hidden);
        assert_eq!(shape(&image(0, 0, vec![])), CursorUpdate::Hidden);
        // Shorter than it says.
        assert_eq!(shape(&image(2, 2, vec![0xffff_ffff])), CursorUpdate::Hidden);
        let CursorUpdate::Shape { size, rgba, .. } = shape(&image(300, 300, vec![!0; 90_000]))
        else {
            panic!("it shows")
        };
        assert_eq!((size, rgba.len()), (Size::new(128, 128), 128 * 128 * 4));
    }

    #[test]
    fn a_place_of_the_picture_is_one_of_the_screen() {
        let aim = Aim::default();
        assert_eq!(aim.on_screen(1, 2), None);
        let whole = Viewport { x: 0, y: 0, size: Size::new(640, 360) };
        aim.show(Size::new(640, 360), &whole);
        assert_eq!(aim.on_screen(0, 65_535), Some((0.0, 65_535.0)));
        // A game has made its mode smaller than the screen.
        let part = Viewport { x: 160, y: 90, size: Size::new(320, 180) };
        aim.show(Size::new(640, 360), &part);
        assert_eq!(aim.on_screen(0, 32_768), Some((16_384.0, 32_768.0)));
    }

    #[test]
    fn a_place_is_told_once() {
        let view = Viewport { x: 10, y: 0, size: Size::new(100, 100) };
        let mut pointer = Pointer::default();
        assert_eq!(pointer.found((50, 50), &view), Some(CursorUpdate::Moved { x: 40, y: 50 }));
        assert_eq!(pointer.found((50, 50), &view), None);
        assert_eq!(pointer.found((52, 50), &view), Some(CursorUpdate::Moved { x: 42, y: 50 }));
        // A picture of another size.
        pointer.forget_place();
        assert_eq!(pointer.found((52, 50), &view), Some(CursorUpdate::Moved { x: 42, y: 50 }));
    }
}
