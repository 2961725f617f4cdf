//! The game of `bench-games`: an X client that paints a moving picture 60 times a second and says in it when it
//! painted, and when the last key came (`stamp.rs`).
//!
//! The picture is a landscape of smooth noise twice as wide as the screen, which lies with the X server and pans to
//! and fro. The strip goes into the landscape first: one request then shows both, so that nobody sees one
//! without the other.

mod stamp;

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stamp::Stamp;
use x11rb::COPY_DEPTH_FROM_PARENT;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, Gcontext, ImageFormat, InputFocus,
    Pixmap, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

/// Between two pictures.
const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// Pixels that the landscape moves from one picture to the next.
const PAN: u32 = 4;
/// Rows that are sent to the X server at once: no request comes near its limit.
const ROWS: u16 = 64;

fn main() -> ExitCode {
    match paint() {
        Ok(never) => match never {},
        Err(error) => {
            // Nobody may be reading.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Never comes back but by an error.
enum Never {}

fn paint() -> Result<Never, Box<dyn Error>> {
    let (x, screen) = x11rb::connect(None)?;
    let mut canvas = Canvas::open(&x, screen)?;
    let mut stamp = Stamp::default();
    let interval = INTERVAL.as_nanos() as u64;
    let mut due = stamp::now();
    for number in 0_u32.. {
        while wait(&x, due, &mut stamp)? {}
        stamp.painted = stamp::now();
        canvas.show(number, &stamp)?;
        // It answers what was asked after the picture once that is drawn.
        x.get_input_focus()?.reply()?;
        stamp.drawn_before = stamp::now();
        // One that is late leaves pictures out, as a game does.
        due = (due + interval).max(stamp::now());
    }
    Err("it has painted for years".into())
}

/// Takes what the server says until then; whether there is more time.
fn wait(x: &RustConnection, due: u64, stamp: &mut Stamp) -> Result<bool, Box<dyn Error>> {
    while let Some(event) = x.poll_for_event()? {
        if let Event::KeyPress(_) = event {
            (stamp.pressed, stamp.presses) = (stamp::now(), stamp.presses + 1);
        }
    }
    let left = due.saturating_sub(stamp::now());
    if left == 0 {
        return Ok(false);
    }
    // Below a second.
    let limit = Timespec { tv_sec: 0, tv_nsec: left.min(999_999_999) as _ };
    poll(&mut [PollFd::new(x.stream(), PollFlags::IN)], Some(&limit))?;
    Ok(true)
}

/// A window of the screen's size, and what it shows.
struct Canvas<'x> {
    x: &'x RustConnection,
    window: Window,
    landscape: Pixmap,
    context: Gcontext,
    depth: u8,
    size: (u16, u16),
    strip: Vec<u8>,
}

impl<'x> Canvas<'x> {
    fn open(x: &'x RustConnection, screen: usize) -> Result<Self, Box<dyn Error>> {
        let screen = x.setup().roots.get(screen).ok_or("no such screen")?;
        // The size of now, which is not the one that the server was started with.
        let root = x.get_geometry(screen.root)?.reply()?;
        let (window, landscape, context) = (x.generate_id()?, x.generate_id()?, x.generate_id()?);
        let aux = CreateWindowAux::new().override_redirect(1).event_mask(EventMask::KEY_PRESS);
        let (width, height, depth) = (root.width, root.height, root.depth);
        x.create_window(
            COPY_DEPTH_FROM_PARENT,
            window,
            screen.root,
            0,
            0,
            width,
            height,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &aux,
        )?
        .check()?;
        x.create_pixmap(depth, landscape, screen.root, width * 2, height)?.check()?;
        let aux = CreateGCAux::new().graphics_exposures(0);
        x.create_gc(context, landscape, &aux)?.check()?;
        x.map_window(window)?.check()?;
        x.set_input_focus(InputFocus::POINTER_ROOT, window, x11rb::CURRENT_TIME)?.check()?;
        let strip = vec![0; stamp::WIDTH * stamp::HEIGHT * 4];
        let canvas = Self { x, window, landscape, context, depth, size: (width, height), strip };
        canvas.draw()?;
        Ok(canvas)
    }

    /// Draws the landscape.
    fn draw(&self) -> Result<(), Box<dyn Error>> {
        let (width, height) = (self.size.0 * 2, self.size.1);
        for top in (0..height).step_by(ROWS.into()) {
            let rows = ROWS.min(height - top);
            let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(rows) * 4);
            for y in top..top + rows {
                pixels.extend((0..width).flat_map(|x| colour(x.into(), y.into())));
            }
            self.put((0, top as i16), (width, rows), &pixels)?;
        }
        Ok(())
    }

    /// Shows picture `number`, with this strip.
    fn show(&mut self, number: u32, stamp: &Stamp) -> Result<(), Box<dyn Error>> {
        let (width, height) = self.size;
        // There and back.
        let (wide, way) = (u32::from(width), number * PAN % (2 * u32::from(width)));
        let left = way.min(2 * wide - way) as i16;
        stamp.draw(&mut self.strip);
        self.put((left, 0), (stamp::WIDTH as u16, stamp::HEIGHT as u16), &self.strip)?;
        let (from, to) = (self.landscape, self.window);
        self.x.copy_area(from, to, self.context, left, 0, 0, 0, width, height)?;
        self.x.flush()?;
        Ok(())
    }

    fn put(
        &self,
        (left, top): (i16, i16),
        (width, height): (u16, u16),
        pixels: &[u8],
    ) -> Result<(), Box<dyn Error>> {
        let (format, to) = (ImageFormat::Z_PIXMAP, self.landscape);
        self.x.put_image(
            format,
            to,
            self.context,
            width,
            height,
            left,
            top,
            0,
            self.depth,
            pixels,
        )?;
        Ok(())
    }
}

/// A pixel of the landscape, BGRX: three octaves of noise in each colour.
fn colour(x: u32, y: u32) -> [u8; 4] {
    let octaves = |seed: u32| {
        let sum: u32 = [(128, 4), (32, 2), (8, 1)]
            .into_iter()
            .map(|(cell, weight)| noise(x, y, cell, seed) * weight)
            .sum();
        (sum / 7) as u8
    };
    [octaves(1), octaves(2), octaves(3), 0]
}

/// Values up to 255 on a lattice of this spacing, with straight slopes between them.
fn noise(x: u32, y: u32, cell: u32, seed: u32) -> u32 {
    let (column, row, dx, dy) = (x / cell, y / cell, x % cell, y % cell);
    let at = |column: u32, row: u32| hash(column, row, seed ^ cell << 8);
    let along = |row: u32| at(column, row) * (cell - dx) + at(column + 1, row) * dx;
    (along(row) * (cell - dy) + along(row + 1) * dy) / (cell * cell)
}

/// A number up to 255 that looks like chance (the finaliser of Murmur3).
fn hash(column: u32, row: u32, seed: u32) -> u32 {
    let mut mixed = column.wrapping_mul(0x9e37_79b1) ^ row.wrapping_mul(0x85eb_ca77) ^ seed;
    mixed = (mixed ^ mixed >> 16).wrapping_mul(0x85eb_ca6b);
    mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    (mixed ^ mixed >> 16) & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_is_read_as_it_was_drawn() {
        let stamp = Stamp {
            painted: 0x0123_4567_89ab_cdef,
            pressed: u64::MAX,
            presses: 77,
            drawn_before: 0xfedc_ba98_7654_3210,
        };
        let mut pixels = vec![9; stamp::WIDTH * stamp::HEIGHT * 4];
        stamp.draw(&mut pixels);
        // In the limited range of video.
        let luma = |pixel: &[u8]| if pixel[0] == 255 { 235 } else { 16 };
        let mut luma: Vec<u8> = pixels.chunks(4).map(luma).collect();
        assert_eq!(Stamp::read(&luma, stamp::WIDTH), Some(stamp));
        luma.fill(235);
        assert_eq!(Stamp::read(&luma, stamp::WIDTH), None);
        assert_eq!(Stamp::read(&[], stamp::WIDTH), None);
    }

    #[test]
    fn the_landscape_has_slopes_and_detail() {
        let row: Vec<_> = (0..512).map(|x| i32::from(colour(x, 300)[0])).collect();
        let steps: Vec<_> = row.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        assert!(steps.iter().max() < Some(&24), "no edges: {steps:?}");
        assert!(row.iter().max().unwrap() - row.iter().min().unwrap() > 40);
    }
}
