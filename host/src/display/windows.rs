//! Top-level windows that fill the screen. Where no window manager runs nobody else keeps them doing so when it gets
//! another size.
//!
//! What a program has made of its windows is its own doing: at most [`MOST`] are looked at, and what is asked of
//! one is not waited for.

use smallvec::SmallVec;
use x11rb::errors::ReplyError;
use x11rb::protocol::xproto::{
    ConfigureWindowAux, ConnectionExt as _, GetGeometryReply, MapState, Window, WindowClass,
};

use super::link::{DisplayError, Link};
use super::screen::Viewport;

/// Windows that are looked at, the uppermost first.
const MOST: usize = 64;

/// Windows that fill the screen, with their borders.
pub(super) type Filling = SmallVec<[(Window, u16); 4]>;

/// The windows that cover all that is shown; where none does, and a program has but one window, that one.
pub(super) fn filling(link: &Link) -> Result<Filling, DisplayError> {
    let view = match Viewport::whole(link) {
        // A program has made it too small for any picture.
        Err(DisplayError::Size { .. }) => return Ok(Filling::new()),
        found => found?,
    };
    let x = link.x();
    let children = x.query_tree(link.root())?.reply()?.children;
    let mut asked = Vec::new();
    for &window in children.iter().rev().take(MOST) {
        asked.push((window, x.get_window_attributes(window)?, x.get_geometry(window)?));
    }
    let (mut covering, mut managed) = (Filling::new(), Filling::new());
    for (window, attributes, geometry) in asked {
        // It may be gone by now.
        let (Some(attributes), Some(geometry)) =
            (there(attributes.reply())?, there(geometry.reply())?)
        else {
            continue;
        };
        if attributes.map_state != MapState::VIEWABLE
            || attributes.class != WindowClass::INPUT_OUTPUT
        {
            continue;
        }
        if covers(&geometry, &view) {
            covering.push((window, geometry.border_width));
        }
        if !attributes.override_redirect {
            managed.push((window, geometry.border_width));
        }
    }
    Ok(match (covering.is_empty(), managed.len()) {
        (false, _) => covering,
        (true, 1) => managed,
        (true, _) => Filling::new(),
    })
}

/// Has them fill a screen of this size, whose upper left corner is shown. Only asked for: a window manager may
/// decide otherwise, and a window may be gone.
pub(super) fn fill(
    link: &Link,
    windows: &[(Window, u16)],
    width: u16,
    height: u16,
) -> Result<(), DisplayError> {
    for &(window, border) in windows {
        // The border lies outside of what is filled.
        let edge = -i32::from(border);
        let place = ConfigureWindowAux::new().x(edge).y(edge);
        let whole = place.width(u32::from(width)).height(u32::from(height));
        link.x().configure_window(window, &whole)?.ignore_error();
    }
    Ok(())
}

/// Whether the window leaves nothing of the view free, its border included.
fn covers(window: &GetGeometryReply, view: &Viewport) -> bool {
    let span = |at: i16, length: u16, from: u32, shown: u32| {
        let start = i64::from(at);
        let end = start + i64::from(length) + 2 * i64::from(window.border_width);
        start <= i64::from(from) && end >= i64::from(from) + i64::from(shown)
    };
    span(window.x, window.width, view.x, view.size.width)
        && span(window.y, window.height, view.y, view.size.height)
}

fn there<T>(answer: Result<T, ReplyError>) -> Result<Option<T>, DisplayError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ReplyError::X11Error(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use media::Size;

    use super::*;

    #[test]
    fn a_window_covers_with_its_border_and_beyond_the_edges() {
        let view = Viewport { x: 10, y: 0, size: Size::new(100, 50) };
        let window = |x, y, width, height, border_width| GetGeometryReply {
            x,
            y,
            width,
            height,
            border_width,
            ..GetGeometryReply::default()
        };
        for covering in
            [window(10, 0, 100, 50, 0), window(0, -5, 200, 60, 0), window(10, 0, 98, 48, 1)]
        {
            assert!(covers(&covering, &view), "{covering:?}");
        }
        for other in
            [window(11, 0, 100, 50, 0), window(10, 0, 99, 50, 0), window(10, 1, 100, 49, 0)]
        {
            assert!(!covers(&other, &view), "{other:?}");
        }
    }
}
