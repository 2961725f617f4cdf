//! Captures a display: waits for damage, has the server copy the damaged rows into shared memory, and
//! converts them.
//!
//! ```text
//! damage seen ─► (gate) ─► damage taken ─► rows copied ─► rows converted ─► frame
//!   Captured                DrawStarted      Drawn          Converted
//! ```
//!
//! The shared memory mirrors the whole picture, so that a slot of the ring is brought up to date from there
//! whatever it missed; pictures that are to be smaller are scaled as they are converted. Damage is taken before pixels
//! are copied: what is drawn in between comes again. Rows are copied in bands, and those that have come are converted
//! while the server copies the next. They are compared with the picture before from the top until something differs;
//! what is above that has not changed, and where nothing differs there is no picture.
//!
//! The [`Gate`] holds the rate, and lets pass at once what is drawn after input. The server tells of damage once until that is
//! taken: so when input comes, what was damaged before is set aside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{
    Clock, ColorDescription, Convert, CursorUpdate, Damage, Frame, FrameRate, FrameRequest,
    FrameSource, Mark, MediaTime, Pacing, Rect, Size, SourceError, SourceEvent, SourceInfo,
    StageTimes, View, Views,
};
use smallvec::SmallVec;
use x11rb::NONE;
use x11rb::connection::Connection as _;
use x11rb::cookie::Cookie;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, Damage as DamageId, ReportLevel};
use x11rb::protocol::shm::{ConnectionExt as _, GetImageReply};
use x11rb::protocol::xfixes::{ConnectionExt as _, Region};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};
use x11rb::rust_connection::RustConnection;

use super::Most;
use super::convert::{PIXEL, even, rows};
use super::gate::{Gate, Pull};
use super::link::{DisplayError, Link};
use super::mirror::{Mirror, Rows};
use super::pictures::{Making, Pictures};
use super::pointer::{Aim, Pointer};
use super::screen::Viewport;
use super::segment::Segment;
use super::wire::Wire;

/// Bands that rows are copied in, one being converted while the server copies the next, and the least of a band.
const BANDS: u32 = 4;
const LEAST_ROWS: u32 = 64;
/// Copies of one picture that need no memory of their own.
const MOST_COPIES: usize = 2 * Damage::MAX_RECTS;
/// Events that are looked at before anything else is done: a server that talks on and on must not keep the
/// thread.
const MOST_EVENTS: usize = 1_024;
/// Time between two looks at the pointer's look: a game that changes it on and on must not keep the thread from its
/// pictures, nor the link.
const LOOK_EVERY: Duration = Duration::from_millis(33);
/// Least time between two sizes of the pictures, each of which costs a keyframe: the newest wins. It is as long as for those
/// that the player's window asks for.
const SIZE_EVERY: Duration = Duration::from_millis(250);
/// Of a screen that is not shown as a whole it is asked again after so long whether more may be shown by then.
const MORE_EVERY: Duration = Duration::from_secs(5);
/// Captures in a row that a screen may refuse though it is large enough: it was not, for a moment.
const MOST_REFUSED: u32 = 64;

/// Pictures of a display, pushed at the game's own rate up to that of the session.
pub struct XSource {
    link: Link,
    clock: Arc<dyn Clock>,
    aim: Arc<Aim>,
    /// No more of the screen is shown.
    most: Most,
    view: Viewport,
    /// When pictures may have another size again, by the clock.
    sizes: MediaTime,
    /// When to ask whether more of the screen may be shown, by the clock; none where all of it is.
    more: Option<MediaTime>,
    /// Captures in a row that were refused of a screen that has what is shown of it.
    refused: u32,
    damage: DamageId,
    /// The server's list of damaged rectangles, filled when damage is taken.
    parts: Region,
    /// The same of what was damaged before the newest input.
    aside: Region,
    /// All of the picture as it was captured last.
    mirror: Mirror,
    pictures: Pictures,
    pointer: Pointer,
    gate: Gate,
    /// When the pointer's look may be asked for again.
    looks: Instant,
    seen: Seen,
}

/// What the server has said and nobody looked after yet.
#[derive(Default)]
struct Seen {
    /// When the first damage of the next picture was seen.
    damage: Option<MediaTime>,
    /// Nothing of the picture is known.
    everything: bool,
    /// The damage that was taken last was all of it.
    whole: bool,
    /// Some of the damage is set aside.
    aside: bool,
    screen: bool,
    /// The screen has become smaller than what is shown of it, or too small for any picture: there is none before that is
    /// followed.
    outgrown: bool,
    /// It is too small for any picture.
    too_small: bool,
    look: bool,
    place: Option<CursorUpdate>,
}

/// Why there is no event: the display is at its end, or the source has no slot.
enum Trouble {
    Display(DisplayError),
    NoFreeSlot,
}

impl<E: Into<DisplayError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Display(error.into())
    }
}

impl XSource {
    pub(super) fn open(
        link: Link,
        rate: FrameRate,
        most: Most,
        clock: Arc<dyn Clock>,
        aim: Arc<Aim>,
    ) -> Result<Self, DisplayError> {
        Viewport::watch(&link)?;
        Pointer::watch(&link)?;
        let x = link.x();
        let (damage, parts, aside) = (x.generate_id()?, x.generate_id()?, x.generate_id()?);
        x.damage_create(damage, link.root(), ReportLevel::NON_EMPTY)?.check()?;
        x.xfixes_create_region(parts, &[])?.check()?;
        x.xfixes_create_region(aside, &[])?.check()?;
        let (screen, whole) = Viewport::on_screen(&link)?;
        let view = whole.within(&most);
        aim.show(screen, &view);
        let mirror = Mirror::attach(&link, view.size)?;
        let first = Some(clock.now());
        let seen = Seen { damage: first, everything: true, look: true, ..Seen::default() };
        let pictures = Pictures::new(view.size);
        let (pointer, gate) = (Pointer::default(), Gate::new(Instant::now(), rate));
        let (looks, sizes) = (Instant::now(), MediaTime::ZERO);
        let more = (view != whole).then(|| clock.now() + MORE_EVERY);
        Ok(Self {
            link,
            clock,
            aim,
            most,
            view,
            sizes,
            more,
            refused: 0,
            damage,
            parts,
            aside,
            mirror,
            pictures,
            pointer,
            gate,
            looks,
            seen,
        })
    }

    /// Pictures that are not scaled are converted by this from now on, where it has any use: else on the processor.
    #[must_use]
    pub fn converted_by(mut self, convert: Box<dyn Convert>) -> Self {
        self.pictures.convert_by(convert);
        self
    }

    fn event(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, Trouble> {
        // Real time: what is waited for is another process, not the media clock.
        let deadline = Instant::now() + request.within;
        loop {
            // First: what it changes is drawn, and read, after it.
            self.notice_input()?;
            self.read_events()?;
            // Whether events may have come in beside an answer, which a wait for the socket would miss.
            let mut asked = false;
            self.seen.screen |= self.more.is_some_and(|more| more <= self.clock.now());
            if self.seen.screen && self.sizes <= self.clock.now() {
                if self.follow_screen()? {
                    return Ok(SourceEvent::Resized(self.view.size));
                }
                asked = true;
            }
            if self.seen.look && self.looks <= Instant::now() {
                self.seen.look = false;
                self.looks = Instant::now() + LOOK_EVERY;
                if let Some(look) = self.pointer.look(&self.link)? {
                    return Ok(SourceEvent::Cursor(look));
                }
                asked = true;
            }
            if let Some(place) = self.seen.place.take() {
                return Ok(SourceEvent::Cursor(place));
            }
            let now = Instant::now();
            let opens =
                self.seen.damage.filter(|_| !self.seen.outgrown).map(|_| self.gate.opens(now));
            let is_due = request.refresh || opens.is_some_and(|opens| opens <= now);
            if is_due && !self.seen.outgrown {
                if let Some(event) = self.capture(request)? {
                    return Ok(event);
                }
                asked = true;
            }
            if now >= deadline {
                // The server is asked something now and then, so that one that hangs is noticed.
                self.find_pointer()?;
                return Ok(match self.seen.place.take() {
                    Some(place) => SourceEvent::Cursor(place),
                    None => SourceEvent::Unchanged,
                });
            }
            if asked {
                continue;
            }
            let looks = self.seen.look.then_some(self.looks);
            let sizes = self.seen.screen.then(|| now + self.sizes.since(self.clock.now()));
            let until = opens.into_iter().chain(looks).chain(sizes).fold(deadline, Instant::min);
            let left = until.saturating_duration_since(now);
            match (opens, self.gate.pull()) {
                // What else the server says until then says nothing new, but input opens it sooner.
                (Some(_), Pull::No) => self.aim.nudge.wait(left),
                (Some(_), Pull::Due) => std::thread::sleep(left),
                (Some(_), Pull::Waits) | (None, _) => {
                    self.link.wire().readable(left)?;
                }
            }
        }
    }

    /// Where there was input since the last picture, the server tells anew of what is drawn from now on.
    fn notice_input(&mut self) -> Result<(), DisplayError> {
        if self.aim.nudge.take() && self.gate.on_input() && self.seen.damage.is_some() {
            let x = self.link.x();
            x.damage_subtract(self.damage, NONE, self.aside)?;
            x.flush()?;
            self.seen.aside = true;
        }
        Ok(())
    }

    fn read_events(&mut self) -> Result<(), DisplayError> {
        let x = self.link.x();
        for _ in 0..MOST_EVENTS {
            match x.poll_for_event()? {
                None => break,
                Some(Event::DamageNotify(_)) => {
                    self.seen.damage.get_or_insert(self.clock.now());
                    self.gate.on_damage();
                }
                Some(Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_)) => {
                    self.seen.screen = true;
                }
                Some(Event::XfixesCursorNotify(_)) => self.seen.look = true,
                Some(Event::Error(error)) => {
                    tracing::debug!(request = error.request_name, "the display refused a request");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Looks at the screen again; whether pictures have another size now.
    fn follow_screen(&mut self) -> Result<bool, DisplayError> {
        (self.seen.screen, self.seen.outgrown) = (false, false);
        let was_too_small = std::mem::take(&mut self.seen.too_small);
        let (screen, whole) = match Viewport::on_screen(&self.link) {
            // A game has made it so. Its next size is told, and then nothing of the picture is known.
            Err(DisplayError::Size { .. }) => {
                (self.seen.outgrown, self.seen.too_small) = (true, true);
                (self.seen.everything, self.more) = (true, None);
                return Ok(false);
            }
            found => found?,
        };
        if was_too_small {
            // What was damaged meanwhile could not be shown before now.
            self.seen.damage = Some(self.clock.now());
        }
        let view = whole.within(&self.most);
        self.aim.show(screen, &view);
        let before = std::mem::replace(&mut self.view, view);
        self.more = None;
        if view != whole {
            // How much is shown was asked for, which is not to be done on and on.
            self.sizes = self.clock.now() + SIZE_EVERY;
            self.more = Some(self.clock.now() + MORE_EVERY);
        }
        if view == before {
            return Ok(false);
        }
        if !self.mirror.suits(view.size) {
            let other = Mirror::attach(&self.link, view.size)?;
            std::mem::replace(&mut self.mirror, other).detach(&self.link)?;
        }
        self.pictures.changed(&Damage::Unknown);
        self.pointer.forget_place();
        self.seen.everything = true;
        self.seen.damage.get_or_insert(self.clock.now());
        let is_other = view.size != before.size;
        if is_other {
            self.sizes = self.clock.now() + SIZE_EVERY;
            self.pictures.resized(view.size);
        }
        Ok(is_other)
    }

    /// A picture of what the display shows now; `None` when it shows what it showed before, and no picture is
    /// wanted of that.
    fn capture(&mut self, request: &FrameRequest<'_>) -> Result<Option<SourceEvent>, Trouble> {
        // Without a slot the damage stays where it is and comes with the next frame.
        let mut image = self.pictures.begin(request.share).ok_or(Trouble::NoFreeSlot)?;
        let started = self.clock.now();
        let mut stages = StageTimes::captured(self.seen.damage.unwrap_or(started));
        stages.mark(Mark::DrawStarted, started);
        let mut damage = Damage::none();
        if self.seen.damage.is_some() {
            damage = match self.take(&mut image) {
                Ok(damage) => damage,
                Err(error) => {
                    // The screen may have become smaller since; what was damaged still is.
                    self.seen.everything = true;
                    return match error {
                        DisplayError::Refused(_) if started < self.sizes => {
                            (self.seen.screen, self.seen.outgrown) = (true, true);
                            Ok(None)
                        }
                        DisplayError::Refused(_) if self.follow_screen()? => {
                            Ok(Some(SourceEvent::Resized(self.view.size)))
                        }
                        DisplayError::Refused(_) if self.seen.outgrown => Ok(None),
                        // It has become larger again in between.
                        DisplayError::Refused(_) if self.refused < MOST_REFUSED => {
                            self.refused += 1;
                            Ok(None)
                        }
                        error => Err(error.into()),
                    };
                }
            };
            self.refused = 0;
            self.seen.damage = None;
            (self.seen.everything, self.seen.aside) = (false, false);
            // Also where nothing came of it: a game that draws the same on and on is looked at no oftener.
            self.gate.pass(Instant::now());
            if damage == Damage::none() && !request.refresh {
                return Ok(None);
            }
        }
        // Before an image says it: for one of a device its upload would be part of that.
        stages.mark(Mark::Drawn, self.clock.now());
        let pixels = self.mirror.shown(self.view.size.width, self.view.size.height)?;
        let made = self.pictures.complete(image, pixels, &damage, &*self.clock);
        let Some((image, damage)) = made.map_err(DisplayError::Protocol)? else {
            // What changed was taken, and comes with the next picture.
            self.seen.everything = true;
            self.seen.damage.get_or_insert(started);
            return Err(Trouble::NoFreeSlot);
        };
        Ok(Some(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: started,
            views: Views::from_elem(View::screen(self.pictures.size()), 1),
            damage,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            // Input goes to a program that does not say what it made of it.
            last_input: None,
            scaled: self.pictures.size() != self.view.size,
            stages,
            image,
        })))
    }

    /// Takes the damage from the server, which begins to gather anew, looks where the pointer is, has the damaged rows
    /// copied beside the picture before, and converts all but the last of them as they come. Yields what differs.
    fn take(&mut self, image: &mut Making) -> Result<Damage, DisplayError> {
        let Viewport { size, .. } = self.view;
        let x = self.link.x();
        x.damage_subtract(self.damage, NONE, self.parts)?;
        if self.seen.aside {
            x.xfixes_union_region(self.parts, self.aside, self.parts)?;
        }
        let parts = x.xfixes_fetch_region(self.parts)?;
        let place = x.query_pointer(self.link.root())?;
        let mut copies = Copies::new();
        // A game that drew all of its picture last time does so again: that saves asking twice.
        let whole = self.seen.everything || self.seen.whole;
        let lacks = self.mirror.begin();
        if whole {
            copy(&self.link, &self.view, self.mirror.target(), (0, size.height), &mut copies)?;
        }
        let (parts, place) = (parts.reply()?, place.reply()?);
        let mut damage = Damage::none();
        if self.seen.everything {
            damage.add(Rect::whole(size));
        } else {
            for part in parts.rectangles {
                if let Some(rect) = self.view.clip(part.x, part.y, part.width, part.height) {
                    damage.add(even(rect));
                }
            }
        }
        let rows = rows(&damage, size);
        if !whole {
            self.mirror.catch_up(&lacks, &rows, size)?;
            for &rows in &rows {
                copy(&self.link, &self.view, self.mirror.target(), rows, &mut copies)?;
            }
        }
        // What is newer beside the damage must be put back before it is converted, or it would be in this slot alone.
        let is_wide = matches!(&damage, Damage::Rects(rects) if rects.iter().all(|rect| rect.width == size.width));
        let is_told = is_wide && (!whole || rows[..] == [(0, size.height)]);
        let mut change = Change { rows: &rows, from: self.seen.everything.then_some(0) };
        if change.from.is_some() {
            self.pictures.changed(&damage);
        }
        let last = copies.len().saturating_sub(1);
        for (number, (copy, band)) in copies.into_iter().enumerate() {
            let copied = copy.reply()?.size as usize;
            let bytes = bytes_of(size.width, band.1 - band.0);
            if copied != bytes {
                let text = format!("an image of {copied} bytes in place of {bytes}");
                return Err(DisplayError::Protocol(text));
            }
            if change.is_found_in(&self.mirror, size.width, band)? {
                damage = below(&damage, change.from.unwrap_or(0));
                self.pictures.changed(&damage);
            }
            // While the server copies the next.
            if number < last && change.from.is_some() && is_told {
                let rows = self.mirror.next(size.width, band.1)?;
                self.pictures.fill(image, rows).map_err(DisplayError::Protocol)?;
            }
        }
        if whole {
            // What was copied beside the damage may be newer than it, and comes with damage of its own.
            self.mirror.catch_up(&Damage::Unknown, &rows, size)?;
        }
        match change.from {
            Some(_) => self.mirror.keep_beside(&damage, size)?,
            None => damage = Damage::none(),
        }
        self.mirror.complete(damage.clone());
        self.seen.whole = rows[..] == [(0, size.height)];
        self.found((place.root_x, place.root_y));
        Ok(damage)
    }

    fn find_pointer(&mut self) -> Result<(), DisplayError> {
        let place = self.link.x().query_pointer(self.link.root())?.reply()?;
        self.found((place.root_x, place.root_y));
        Ok(())
    }

    fn found(&mut self, place: (i16, i16)) {
        let update = self.pointer.found(place, &self.view);
        self.seen.place = update.or(self.seen.place.take());
    }
}

impl FrameSource for XSource {
    fn info(&self) -> SourceInfo {
        let (size, drawn) = (self.pictures.size(), self.view.size);
        SourceInfo { pacing: Pacing::Pushed, size, views: 1, drawn, resizes: true }
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        match self.event(request) {
            Ok(event) => Ok(event),
            Err(Trouble::NoFreeSlot) => Err(SourceError::NoFreeSlot),
            Err(Trouble::Display(DisplayError::Ended)) => Ok(SourceEvent::Ended),
            Err(Trouble::Display(error)) => Err(error.into()),
        }
    }

    fn resize(&mut self, size: Size) -> Size {
        // The display's size is the game's: what changes it is `Display::set_size`, which the game sees.
        if self.pictures.scale_to(size) {
            self.seen.everything = true;
            self.seen.damage.get_or_insert(self.clock.now());
        }
        self.pictures.size()
    }
}

/// Where in damaged rows pictures begin to differ.
struct Change<'a> {
    rows: &'a [Rows],
    from: Option<u32>,
}

impl Change<'_> {
    /// Looks at the damaged rows of a band that has been copied, unless it is known already; whether it is known now.
    fn is_found_in(
        &mut self,
        mirror: &Mirror,
        width: u32,
        (top, bottom): Rows,
    ) -> Result<bool, DisplayError> {
        if self.from.is_some() {
            return Ok(false);
        }
        for &(from, to) in self.rows {
            let (from, to) = (from.max(top), to.min(bottom));
            if from < to {
                self.from = mirror.differs(width, (from, to))?;
            }
            if self.from.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What of the damage is not above this row, which is even.
fn below(damage: &Damage, row: u32) -> Damage {
    let Damage::Rects(rects) = damage else { return damage.clone() };
    let mut left = Damage::none();
    for rect in rects {
        let (y, end) = (rect.y.max(row), rect.y + rect.height);
        if y < end {
            left.add(Rect { y, height: end - y, ..*rect });
        }
    }
    left
}

fn bytes_of(width: u32, rows: u32) -> usize {
    width as usize * rows as usize * PIXEL
}

/// Requests for copies under way, each with its rows, from top to bottom.
type Copies<'x> = SmallVec<[(Cookie<'x, RustConnection<Wire>, GetImageReply>, Rows); MOST_COPIES]>;

/// Asks for the rows `from..to` to be copied into the target, a band after the other.
fn copy<'x>(
    link: &'x Link,
    view: &Viewport,
    target: &Segment,
    (from, to): Rows,
    copies: &mut Copies<'x>,
) -> Result<(), DisplayError> {
    let band = ((to - from) / BANDS).max(LEAST_ROWS).next_multiple_of(2);
    let mut top = from;
    while top < to {
        // What would be left is not worth an answer of its own.
        let below = if to - top < 2 * band { to } else { top + band };
        // Screens have at most 32,767 pixels each way (X11 protocol §8).
        let (width, height) = (view.size.width as u16, (below - top) as u16);
        let (x, y) = (view.x as i16, (view.y + top) as i16);
        let (root, format) = (link.root(), ImageFormat::Z_PIXMAP.into());
        let offset = top * view.size.width * PIXEL as u32;
        let requests = link.x();
        let copy =
            requests.shm_get_image(root, x, y, width, height, !0, format, target.id(), offset)?;
        copies.push((copy, (top, below)));
        top = below;
    }
    Ok(())
}
