//! A pushed source: another thread owns the picture, changes parts of it, and resizes it at will.
//!
//! [`SharedSurface`] stands for the memory that a compositor, a capture or a virtual machine shares
//! with us: each side maps it for itself, and a resize makes new memory that the source maps anew. The
//! lock stands for the protocol by which the two take turns. Its damage is gathered until it is fetched, as [`Damage::add`] bounds it. Of the pointer
//! its newest look and its newest place wait.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::{
    Clock, ColorDescription, CursorUpdate, Damage, Frame, FrameRequest, FrameSource, Mark, Pacing,
    PixelFormat, Rect, Size, SourceError, SourceEvent, SourceInfo, StageTimes, Views,
};

use crate::memfd::{Memory, View};
use crate::pattern::even;
use crate::pool::SlotPool;

/// Bytes of a BGRX pixel.
const PIXEL: usize = 4;
/// A producer gives up when nobody fetches its picture for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A BGRX picture in memory that a producer and a source share. Clones share it.
#[derive(Clone, Debug)]
pub struct SharedSurface {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    surface: Mutex<Surface>,
    changed: Condvar,
}

#[derive(Debug)]
struct Surface {
    memory: Memory,
    /// Counts the memories.
    generation: u64,
    size: Size,
    damage: Damage,
    /// [`CursorUpdate::Shape`] or [`CursorUpdate::Hidden`].
    pointer_look: Option<CursorUpdate>,
    /// [`CursorUpdate::Moved`].
    pointer_place: Option<CursorUpdate>,
    ended: bool,
}

impl SharedSurface {
    /// A black surface of `size`, all of it damaged.
    ///
    /// # Errors
    /// The system's, when it gives no memory.
    pub fn new(size: Size) -> io::Result<Self> {
        let surface = Surface {
            memory: Memory::create(bytes(size))?,
            generation: 0,
            size,
            damage: all_of(size),
            pointer_look: None,
            pointer_place: None,
            ended: false,
        };
        let shared = Shared { surface: Mutex::new(surface), changed: Condvar::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Fills the part of `rect` that lies on the surface with one colour (B, G, R) and damages it.
    pub fn fill(&self, rect: Rect, [b, g, r]: [u8; 3]) {
        let mut surface = self.lock();
        let Some(rect) = clip(rect, surface.size) else { return };
        let stride = surface.size.width as usize * PIXEL;
        for y in rect.y..rect.y + rect.height {
            let start = y as usize * stride + rect.x as usize * PIXEL;
            let end = start + rect.width as usize * PIXEL;
            let row = &mut surface.memory.bytes_mut()[start..end];
            for pixel in row.chunks_exact_mut(PIXEL) {
                pixel.copy_from_slice(&[b, g, r, 0xff]);
            }
        }
        surface.damage.add(rect);
        self.shared.changed.notify_all();
    }

    /// Gives the surface another size, in memory of its own; it is black and all damaged.
    ///
    /// # Errors
    /// The system's, when it gives no memory; nothing changed.
    pub fn resize(&self, size: Size) -> io::Result<()> {
        let memory = Memory::create(bytes(size))?;
        let mut surface = self.lock();
        surface.memory = memory;
        surface.generation += 1;
        surface.size = size;
        surface.damage = all_of(size);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Moves, changes or hides the pointer, which is no part of the picture.
    pub fn point(&self, update: CursorUpdate) {
        let mut surface = self.lock();
        let place = match update {
            CursorUpdate::Moved { .. } => &mut surface.pointer_place,
            CursorUpdate::Shape { .. } | CursorUpdate::Hidden => &mut surface.pointer_look,
        };
        *place = Some(update);
        self.shared.changed.notify_all();
    }

    /// Ends the source: its program has gone.
    pub fn end(&self) {
        self.lock().ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits until a consumer has fetched everything; false when none did in a minute.
    fn wait_until_fetched(&self) -> bool {
        let surface = self.lock();
        let (surface, _) = self
            .shared
            .changed
            .wait_timeout_while(surface, PATIENCE, |s| !s.is_fetched() && !s.ended)
            .unwrap_or_else(PoisonError::into_inner);
        surface.is_fetched()
    }

    fn lock(&self) -> MutexGuard<'_, Surface> {
        self.shared.surface.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Surface {
    fn is_damaged(&self) -> bool {
        self.damage != Damage::none()
    }

    fn is_fetched(&self) -> bool {
        !self.is_damaged() && self.pointer_look.is_none() && self.pointer_place.is_none()
    }

    fn pointer(&mut self) -> Option<CursorUpdate> {
        self.pointer_look.take().or_else(|| self.pointer_place.take())
    }
}

fn bytes(size: Size) -> usize {
    size.width as usize * size.height as usize * PIXEL
}

fn all_of(size: Size) -> Damage {
    let mut damage = Damage::none();
    damage.add(Rect::whole(size));
    damage
}

/// The part of `rect` that lies within `size`; `None` when it is empty.
fn clip(rect: Rect, size: Size) -> Option<Rect> {
    let width = rect.width.min(size.width.checked_sub(rect.x)?);
    let height = rect.height.min(size.height.checked_sub(rect.y)?);
    (width > 0 && height > 0).then_some(Rect { width, height, ..rect })
}

/// Pushed BGRX pictures of a [`SharedSurface`]. A surface with an odd edge loses its last row or
/// column, since no encoder takes it.
pub struct PushedShared {
    surface: SharedSurface,
    view: View,
    /// Which memory `view` is of.
    generation: u64,
    size: Size,
    pool: SlotPool,
    clock: Arc<dyn Clock>,
}

impl PushedShared {
    /// Shows `surface` (at least 2x2 pixels), `slots` pictures at most in flight.
    ///
    /// # Errors
    /// The system's, when the memory cannot be mapped.
    pub fn new(surface: SharedSurface, slots: usize, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let locked = surface.lock();
        let (view, generation) = (locked.memory.view()?, locked.generation);
        let size = even(locked.size);
        drop(locked);
        Ok(Self { surface, view, generation, size, pool: SlotPool::new(slots), clock })
    }
}

impl FrameSource for PushedShared {
    fn info(&self) -> SourceInfo {
        let size = self.size;
        SourceInfo { pacing: Pacing::Pushed, size, views: 1, drawn: size, resizes: false }
    }

    fn resize(&mut self, _: Size) -> Size {
        self.size
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        // Real time: a pushed source waits for another thread, not for the media clock.
        let deadline = Instant::now() + request.within;
        let handle = self.surface.clone();
        let mut surface = handle.lock();
        loop {
            if surface.ended {
                return Ok(SourceEvent::Ended);
            }
            if surface.generation != self.generation {
                self.view =
                    surface.memory.view().map_err(|e| SourceError::Failed(e.to_string()))?;
                self.generation = surface.generation;
            }
            if even(surface.size) != self.size {
                self.size = even(surface.size);
                return Ok(SourceEvent::Resized(self.size));
            }
            if let Some(update) = surface.pointer() {
                self.surface.shared.changed.notify_all();
                return Ok(SourceEvent::Cursor(update));
            }
            if request.refresh || surface.is_damaged() {
                return self.fetch(&mut surface, request);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(SourceEvent::Unchanged);
            }
            (surface, _) = handle
                .shared
                .changed
                .wait_timeout(surface, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl PushedShared {
    fn fetch(
        &self,
        surface: &mut Surface,
        request: &FrameRequest<'_>,
    ) -> Result<SourceEvent, SourceError> {
        let captured = self.clock.now();
        // Without a slot the damage stays where it is and comes with the next frame.
        let mut image =
            self.pool.take(PixelFormat::Bgrx8, self.size).ok_or(SourceError::NoFreeSlot)?;
        let mut stages = StageTimes::captured(captured);
        stages.mark(Mark::DrawStarted, self.clock.now());
        let stride = surface.size.width as usize * PIXEL;
        let row = self.size.width as usize * PIXEL;
        let pixels = self.view.bytes(&surface.memory);
        for (to, from) in image.pixels_mut().chunks_exact_mut(row).zip(pixels.chunks_exact(stride))
        {
            to.copy_from_slice(&from[..row]);
        }
        image.completed(self.clock.now());
        let damage = match std::mem::replace(&mut surface.damage, Damage::none()) {
            Damage::Unknown => Damage::Unknown,
            Damage::Rects(rects) => {
                Damage::Rects(rects.into_iter().filter_map(|rect| clip(rect, self.size)).collect())
            }
        };
        self.surface.shared.changed.notify_all();
        Ok(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: captured,
            views: Views::from_elem(media::View::screen(self.size), 1),
            damage,
            color: ColorDescription::SRGB,
            depth: None,
            last_input: None,
            scaled: false,
            stages,
            image: Box::new(image),
        }))
    }
}

/// What a producer does next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Fills a rectangle with a colour (B, G, R).
    Fill(Rect, [u8; 3]),
    /// Gives the surface another size.
    Resize(Size),
    /// Moves, changes or hides the pointer.
    Point(CursorUpdate),
    /// Ends the source.
    End,
}

/// A thread that draws. Each step waits until the one before was fetched, so that a test sees every
/// picture however slow its machine is. Dropping it ends the source and joins the thread.
#[derive(Debug)]
pub struct Producer {
    surface: SharedSurface,
    thread: Option<JoinHandle<()>>,
}

impl Producer {
    /// Draws `steps` on `surface` from a thread of its own.
    ///
    /// # Errors
    /// The system's, when it gives no thread.
    pub fn spawn(
        surface: SharedSurface,
        steps: impl IntoIterator<Item = Step> + Send + 'static,
    ) -> std::io::Result<Self> {
        let drawn = surface.clone();
        let thread = std::thread::Builder::new().name("test-producer".into()).spawn(move || {
            for step in steps {
                if !drawn.wait_until_fetched() {
                    return;
                }
                match step {
                    Step::Fill(rect, color) => drawn.fill(rect, color),
                    Step::Resize(size) if drawn.resize(size).is_err() => return drawn.end(),
                    Step::Resize(_) => {}
                    Step::Point(update) => drawn.point(update),
                    Step::End => drawn.end(),
                }
            }
        })?;
        Ok(Self { surface, thread: Some(thread) })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.surface.end();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its hook; a second one here would abort.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeClock;
    use media::FrameId;

    const SIZE: Size = Size::new(64, 48);

    fn ask(source: &mut PushedShared, id: u64, within: Duration) -> SourceEvent {
        let request = FrameRequest {
            id: FrameId(id),
            at: media::MediaTime::ZERO,
            within,
            views: &[],
            refresh: false,
            share: false,
            kind: media::PictureKind::NV12,
        };
        source.next(&request).unwrap()
    }

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn a_producer_draws_resizes_and_ends() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let mut source =
            PushedShared::new(surface.clone(), 2, Arc::new(FakeClock::default())).unwrap();
        let (first, second) = (rect(4, 6, 8, 10), rect(40, 30, 100, 100));
        let grown = Size::new(96, 64);
        let _producer = Producer::spawn(
            surface,
            [
                Step::Fill(first, [1, 2, 3]),
                Step::Fill(second, [4, 5, 6]),
                Step::Point(CursorUpdate::Moved { x: 9, y: -1 }),
                Step::Resize(grown),
                Step::Fill(first, [7, 8, 9]),
                Step::End,
            ],
        )
        .unwrap();
        let mut seen = Vec::new();
        loop {
            match ask(&mut source, seen.len() as u64, PATIENCE) {
                SourceEvent::Frame(frame) => seen.push((frame.image.size(), frame.damage.clone())),
                SourceEvent::Resized(size) => seen.push((size, Damage::Unknown)),
                SourceEvent::Cursor(CursorUpdate::Moved { x: 9, y: -1 }) => {
                    seen.push((SIZE, Damage::none()));
                }
                SourceEvent::Ended => break,
                other => panic!("{other:?}"),
            }
        }
        let rects = |rect| Damage::Rects(std::iter::once(rect).collect());
        assert_eq!(
            seen,
            [
                (SIZE, rects(Rect::whole(SIZE))),
                (SIZE, rects(first)),
                (SIZE, rects(rect(40, 30, 24, 18))),
                (SIZE, Damage::none()),
                (grown, Damage::Unknown),
                (grown, rects(Rect::whole(grown))),
                (grown, rects(first)),
            ]
        );
    }

    #[test]
    fn pixels_are_those_of_the_memory_of_now() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let mut source =
            PushedShared::new(surface.clone(), 1, Arc::new(FakeClock::default())).unwrap();
        for (size, shade) in [(SIZE, 3), (Size::new(80, 50), 5)] {
            if size != SIZE {
                surface.resize(size).unwrap();
                assert!(matches!(ask(&mut source, 0, Duration::ZERO), SourceEvent::Resized(_)));
            }
            surface.fill(rect(10, 20, 4, 4), [shade; 3]);
            let SourceEvent::Frame(mut frame) = ask(&mut source, 0, Duration::ZERO) else {
                panic!("no frame")
            };
            frame.image.finish(&FakeClock::default(), &mut frame.stages).unwrap();
            let image = frame.image.map().unwrap();
            let at =
                |x: usize, y: usize| image.planes[0].data[y * image.planes[0].stride + x * PIXEL];
            assert_eq!((at(9, 20), at(10, 20), at(13, 23), at(14, 23)), (0, shade, shade, 0));
        }
    }

    #[test]
    fn damage_gathers_until_it_is_fetched() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let mut source =
            PushedShared::new(surface.clone(), 1, Arc::new(FakeClock::default())).unwrap();
        let held = ask(&mut source, 0, Duration::ZERO);
        for x in 0..6 {
            surface.fill(rect(x * 8, 2, 4, 4), [9, 9, 9]);
        }
        let request = FrameRequest {
            id: FrameId(1),
            at: media::MediaTime::ZERO,
            within: Duration::ZERO,
            views: &[],
            refresh: false,
            share: false,
            kind: media::PictureKind::NV12,
        };
        assert!(matches!(source.next(&request), Err(SourceError::NoFreeSlot)));
        drop(held);
        let SourceEvent::Frame(frame) = ask(&mut source, 1, Duration::ZERO) else {
            panic!("no frame")
        };
        // The fifth rectangle merged the first four with itself; the sixth stands alone.
        let expected = [rect(0, 2, 36, 4), rect(40, 2, 4, 4)];
        assert_eq!(frame.damage, Damage::Rects(expected.into_iter().collect()));
    }

    #[test]
    fn an_odd_edge_is_cut_off() {
        let surface = SharedSurface::new(Size::new(65, 49)).unwrap();
        let mut source =
            PushedShared::new(surface.clone(), 1, Arc::new(FakeClock::default())).unwrap();
        assert_eq!(source.info().size, SIZE);
        drop(ask(&mut source, 0, Duration::ZERO));
        surface.fill(rect(64, 0, 1, 49), [1, 1, 1]);
        let SourceEvent::Frame(frame) = ask(&mut source, 1, Duration::ZERO) else {
            panic!("no frame")
        };
        assert_eq!(frame.damage, Damage::none());
    }

    #[test]
    fn of_the_pointer_the_newest_look_and_place_wait() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let mut source =
            PushedShared::new(surface.clone(), 1, Arc::new(FakeClock::default())).unwrap();
        drop(ask(&mut source, 0, Duration::ZERO));
        let shape =
            CursorUpdate::Shape { size: Size::new(1, 1), hotspot: (0, 0), rgba: vec![9; 4] };
        let place = |x| CursorUpdate::Moved { x, y: 5 };
        for update in [place(1), CursorUpdate::Hidden, shape.clone(), place(2), place(3)] {
            surface.point(update);
        }
        for expected in [shape, place(3)] {
            let SourceEvent::Cursor(update) = ask(&mut source, 1, Duration::ZERO) else {
                panic!("no cursor")
            };
            assert_eq!(update, expected);
        }
        assert!(matches!(ask(&mut source, 1, Duration::ZERO), SourceEvent::Unchanged));
    }
}
