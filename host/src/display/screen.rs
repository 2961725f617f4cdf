//! What of the screen is shown, and how big it is (RandR 1.3).

use media::{FrameRate, Rect, Size};
use x11rb::connection::Connection as _;
use x11rb::protocol::randr::{
    ConnectionExt as _, GetScreenResourcesCurrentReply, Mode, ModeInfo, NotifyMask, Rotation,
    SetConfig,
};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode};
use x11rb::wrapper::ConnectionExt as _;
use x11rb::{CURRENT_TIME, NONE};

use super::link::{DisplayError, Link};
use super::{Most, windows};

/// No picture is larger, either way: what the codecs' highest levels take.
const MOST: u32 = 8_192;
/// No screen is made smaller: what every encoder takes.
const LEAST: u32 = 64;
/// Millimetres in an inch, times ten.
const TENTHS_OF_MM: u32 = 254;

/// The part of the screen that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Viewport {
    /// Pixels from the left edge of the screen.
    pub(super) x: u32,
    /// Pixels from the top edge of the screen.
    pub(super) y: u32,
    /// Even both ways: of an odd screen the last column or row is not shown.
    pub(super) size: Size,
}

impl Viewport {
    /// Asks to be told of changes from now on.
    pub(super) fn watch(link: &Link) -> Result<(), DisplayError> {
        let mask = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE;
        link.x().randr_select_input(link.root(), mask)?;
        Ok(())
    }

    /// What there is to be shown now: what the first controller that is on shows, or else the whole screen. A game that
    /// changes the mode of its controller leaves the screen as large as it was.
    pub(super) fn whole(link: &Link) -> Result<Self, DisplayError> {
        Ok(Self::on_screen(link)?.1)
    }

    /// The same behind the size of the screen.
    pub(super) fn on_screen(link: &Link) -> Result<(Size, Self), DisplayError> {
        let x = link.x();
        let geometry = x.get_geometry(link.root())?;
        let resources = x.randr_get_screen_resources_current(link.root())?;
        let (geometry, resources) = (geometry.reply()?, resources.reply()?);
        let screen = Size::new(geometry.width.into(), geometry.height.into());
        let mut shown = Rect::whole(screen);
        for crtc in resources.crtcs {
            let crtc = x.randr_get_crtc_info(crtc, resources.config_timestamp)?.reply()?;
            if crtc.mode != NONE {
                let edge = |at: i16| u32::try_from(at).unwrap_or(0);
                let (width, height) = (crtc.width.into(), crtc.height.into());
                shown = Rect { x: edge(crtc.x), y: edge(crtc.y), width, height };
                break;
            }
        }
        let width = shown.width.min(screen.width.saturating_sub(shown.x)).min(MOST) & !1;
        let height = shown.height.min(screen.height.saturating_sub(shown.y)).min(MOST) & !1;
        if width == 0 || height == 0 {
            let why = "pictures have 2 pixels each way at least".into();
            return Err(DisplayError::Size { width, height, why });
        }
        Ok((screen, Self { x: shown.x, y: shown.y, size: Size::new(width, height) }))
    }

    /// What of it is shown: of what is larger than `most` says, the upper left corner.
    pub(super) fn within(self, most: &Most) -> Self {
        let most = most(self.size);
        let (width, height) = (self.size.width.min(most.width), self.size.height.min(most.height));
        Self { size: Size::new(width & !1, height & !1), ..self }
    }

    /// The part of a rectangle of the screen that is shown, in pixels of the picture.
    pub(super) fn clip(&self, x: i16, y: i16, width: u16, height: u16) -> Option<Rect> {
        let span = |start: i16, length: u16, from: u32, whole: u32| {
            let start = i64::from(start) - i64::from(from);
            let end = (start + i64::from(length)).min(whole.into());
            let start = start.max(0);
            // Both lie within the picture.
            (end > start).then_some((start as u32, (end - start) as u32))
        };
        let (x, width) = span(x, width, self.x, self.size.width)?;
        let (y, height) = span(y, height, self.y, self.size.height)?;
        Some(Rect { x, y, width, height })
    }
}

/// Gives the screen another size and rate, and tells programs how many dots an inch has.
///
/// `largest` is what the server was started for where it does not know that itself. `made` is the mode that was made for the size before, which goes; the one that is made for this size, where
/// the screen has none, takes its place.
pub(super) fn set_size(
    link: &Link,
    largest: Option<Size>,
    size: Size,
    rate: FrameRate,
    dpi: u32,
    made: &mut Option<Mode>,
) -> Result<(), DisplayError> {
    let x = link.x();
    let range = x.randr_get_screen_size_range(link.root())?.reply()?;
    let largest = largest.unwrap_or(Size::new(MOST, MOST));
    let most = Size::new(
        u32::from(range.max_width).min(MOST).min(largest.width),
        u32::from(range.max_height).min(MOST).min(largest.height),
    );
    let refuse = |why| Err(DisplayError::Size { width: size.width, height: size.height, why });
    if size.width > most.width || size.height > most.height {
        return refuse(format!("it was started for {most} at most"));
    }
    if size.width < LEAST || size.height < LEAST || size.width % 2 + size.height % 2 > 0 {
        return refuse(format!("edges are even, and {LEAST} at least"));
    }
    let dpi = dpi.clamp(48, 480);
    // No program sees a screen that is half changed.
    x.grab_server()?;
    let changed = change(link, size, rate, dpi, made);
    let x = link.x();
    x.ungrab_server()?;
    x.flush()?;
    changed
}

fn change(
    link: &Link,
    size: Size,
    rate: FrameRate,
    dpi: u32,
    made: &mut Option<Mode>,
) -> Result<(), DisplayError> {
    let (x, root) = (link.x(), link.root());
    let filling = windows::filling(link)?;
    let resources = x.randr_get_screen_resources_current(root)?.reply()?;
    let (Some(&crtc), Some(&output)) = (resources.crtcs.first(), resources.outputs.first()) else {
        return Err(DisplayError::Refused("it has no controller with an output".into()));
    };
    let fitting = mode_of(&resources, size, rate);
    let mode = match fitting {
        Some(mode) => mode,
        None => {
            let name = format!("nearlight-{size}-{}", clock(size, rate));
            let mode =
                x.randr_create_mode(root, timing(size, rate, name.len()), name.as_bytes())?;
            let mode = mode.reply()?.mode;
            x.randr_add_output_mode(output, mode)?.check()?;
            mode
        }
    };
    let configure = |mode, outputs: &[u32]| -> Result<(), DisplayError> {
        let stamp = resources.config_timestamp;
        let rotation = Rotation::ROTATE0;
        let set =
            x.randr_set_crtc_config(crtc, CURRENT_TIME, stamp, 0, 0, mode, rotation, outputs)?;
        match set.reply()?.status {
            SetConfig::SUCCESS => Ok(()),
            status => Err(DisplayError::Refused(format!("SetCrtcConfig to {size}: {status:?}"))),
        }
    };
    // The controller is off meanwhile, so that neither has to fit into the other.
    configure(NONE, &[])?;
    let mm = |pixels: u32| (pixels * TENTHS_OF_MM + dpi * 5) / (dpi * 10);
    // Both edges are at most `MOST`.
    let (width, height) = (size.width as u16, size.height as u16);
    x.randr_set_screen_size(root, width, height, mm(size.width), mm(size.height))?.check()?;
    configure(mode, &[output])?;
    // Toolkits take the size of their text from here, and no other resource is set on this display.
    let resource = format!("Xft.dpi:\t{dpi}\n");
    x.change_property8(
        PropMode::REPLACE,
        root,
        AtomEnum::RESOURCE_MANAGER,
        AtomEnum::STRING,
        resource.as_bytes(),
    )?
    .check()?;
    windows::fill(link, &filling, width, height)?;
    if *made != Some(mode) {
        if let Some(old) = made.take() {
            // A game may use it: then it stays.
            let _ = x.randr_delete_output_mode(output, old)?.check();
            let _ = x.randr_destroy_mode(old)?.check();
        }
        *made = fitting.is_none().then_some(mode);
    }
    Ok(())
}

fn mode_of(
    resources: &GetScreenResourcesCurrentReply,
    size: Size,
    rate: FrameRate,
) -> Option<Mode> {
    let fits = |mode: &&ModeInfo| {
        let total = (u32::from(mode.htotal), u32::from(mode.vtotal));
        (u32::from(mode.width), u32::from(mode.height)) == (size.width, size.height)
            && (total, mode.dot_clock) == ((size.width, size.height), clock(size, rate))
    };
    resources.modes.iter().find(fits).map(|mode| mode.id)
}

/// Pixels a second.
fn clock(size: Size, rate: FrameRate) -> u32 {
    // Of a screen that has the most pixels, at the highest rate, too many; no program counts on that.
    (size.pixels() as f64 * rate.as_f64()).round() as u32
}

/// A mode of this rate without blanking: there is no screen that needs any. Programs that wait for the screen before each
/// picture keep its time.
fn timing(size: Size, rate: FrameRate, name: usize) -> ModeInfo {
    let (width, height) = (size.width as u16, size.height as u16);
    ModeInfo {
        width,
        height,
        dot_clock: clock(size, rate),
        hsync_start: width,
        hsync_end: width,
        htotal: width,
        vsync_start: height,
        vsync_end: height,
        vtotal: height,
        name_len: name as u16,
        ..ModeInfo::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_cut_at_what_is_shown() {
        let view = Viewport { x: 10, y: 20, size: Size::new(100, 50) };
        let rect = |x, y, width, height| Some(Rect { x, y, width, height });
        assert_eq!(view.clip(10, 20, 100, 50), rect(0, 0, 100, 50));
        assert_eq!(view.clip(0, 0, 15, 25), rect(0, 0, 5, 5));
        assert_eq!(view.clip(-5, 60, 65_535, 65_535), rect(0, 40, 100, 10));
        assert_eq!(view.clip(0, 0, 10, 70), None);
        assert_eq!(view.clip(110, 20, 5, 5), None);
        assert_eq!(view.clip(32_767, 32_767, 1, 1), None);
    }
}
