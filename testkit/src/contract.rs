//! The contract of [`FrameSource`] as a test: whatever makes pictures passes it unchanged.

use std::time::{Duration, Instant};

use media::{
    CpuImage, Damage, Frame, FrameId, FrameRequest, FrameSource, Mark, MediaTime, Pacing, Rect,
    Size, SourceError, SourceEvent, SourceInfo,
};

use crate::FakeClock;

/// More slots than any ring has.
const MANY: usize = 64;
/// Events other than frames that a source may put before a frame.
const CHATTER: usize = 16;
/// How long a pushed source may take to show a change. Generous: never waited for in full.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a source is watched for a change that must not come.
const STILL: Duration = Duration::from_millis(5);

/// A source under test and the means to make its picture change.
pub trait SourceSubject {
    /// The source.
    fn source(&mut self) -> &mut dyn FrameSource;

    /// Changes what the source shows. A pulled source that moves with time has nothing to do here:
    /// the suite asks for a later time.
    fn change(&mut self);
}

/// Checks that a source keeps the contract. The source is fresh, and changes only through
/// [`SourceSubject::change`] and, if pulled, with the time asked for.
///
/// # Panics
/// When it does not, saying which clause was broken.
pub fn source_contract(subject: &mut dyn SourceSubject) {
    let (id, at) = (FrameId(100), MediaTime::from_millis(1_000));
    let mut suite = Suite { subject, id, at, before: None };
    suite.the_first_frame_comes_without_a_change();
    suite.ids_are_echoed_and_pictures_are_sound();
    suite.nothing_changed_yields_nothing();
    suite.a_refresh_yields_a_frame();
    suite.another_size_is_made_or_refused();
    suite.slots_are_bounded_and_return_on_drop();
}

struct Suite<'a> {
    subject: &'a mut dyn SourceSubject,
    id: FrameId,
    at: MediaTime,
    /// The frame before, where it was looked at.
    before: Option<Samples>,
}

/// What a picture shows: its size, and the rows of each plane without padding.
type Samples = (Size, Vec<Vec<Vec<u8>>>);

impl Suite<'_> {
    fn the_first_frame_comes_without_a_change(&mut self) {
        let frame = self.frame(PATIENCE, false);
        self.check(frame);
    }

    fn ids_are_echoed_and_pictures_are_sound(&mut self) {
        for gap in [1, 1, 7, 1_000_000] {
            self.id = FrameId(self.id.0 + gap);
            self.step();
            let frame = self.frame(PATIENCE, false);
            self.check(frame);
        }
    }

    fn nothing_changed_yields_nothing(&mut self) {
        for _ in 0..3 {
            let event = self.next(STILL, false);
            assert!(
                matches!(event, Ok(SourceEvent::Unchanged)),
                "an unchanged picture must be reported as unchanged, not as {event:?}"
            );
        }
        self.step();
        let frame = self.frame(PATIENCE, false);
        self.check(frame);
    }

    fn a_refresh_yields_a_frame(&mut self) {
        let frame = self.frame(STILL, true);
        self.check(frame);
        let event = self.next(STILL, false);
        assert!(
            matches!(event, Ok(SourceEvent::Unchanged)),
            "a refresh must not count as a change, but was followed by {event:?}"
        );
    }

    fn another_size_is_made_or_refused(&mut self) {
        let SourceInfo { size: own, resizes, .. } = self.subject.source().info();
        let half = Size::new((own.width / 4 * 2).max(2), (own.height / 4 * 2).max(2));
        for wish in [half, own] {
            let has = self.subject.source().resize(wish);
            let expected = if resizes { wish } else { own };
            assert_eq!(has, expected, "of {own}, asked for {wish}");
            assert_eq!(self.subject.source().info().size, has, "the size that it says it has");
            let frame = self.frame(PATIENCE, true);
            self.check(frame);
        }
    }

    /// A device may still draw what is dropped, and its slot returns when it is through. That of a
    /// finished picture returns at once, which is what can be told without waiting.
    fn slots_are_bounded_and_return_on_drop(&mut self) {
        let mut held = self.hold_all();
        held.iter_mut().for_each(finish);
        let slots = held.len();
        assert!(slots > 0, "a source must have a slot when none is held");
        let again = self.next(STILL, true);
        assert!(
            matches!(again, Err(SourceError::NoFreeSlot)),
            "without a slot every request must say so, not {again:?}"
        );
        // One slot back is one frame more, whichever slot it is.
        drop(held.remove(slots / 2));
        let mut frame = self.frame(PATIENCE, true);
        finish(&mut frame);
        held.push(frame);
        let more = self.next(STILL, true);
        assert!(
            matches!(more, Err(SourceError::NoFreeSlot)),
            "one dropped frame must return one slot, but another request gave {more:?}"
        );
        drop(held);
        let mut held = self.hold_all();
        assert_eq!(held.len(), slots, "every dropped frame must return its slot");
        held.iter_mut().for_each(finish);
        drop(held);
        self.step();
        let frame = self.frame(PATIENCE, false);
        self.check(frame);
    }

    fn hold_all(&mut self) -> Vec<Frame> {
        let mut held = Vec::new();
        self.before = None;
        while held.len() < MANY {
            self.id = self.id.next();
            match self.next(PATIENCE, true) {
                Ok(SourceEvent::Frame(frame)) => held.push(frame),
                Err(SourceError::NoFreeSlot) => return held,
                other => assert!(chatter(&other), "a refresh must yield a frame, not {other:?}"),
            }
        }
        // The bound is what the contract asks for; which bound is the source's affair.
        unreachable!("a source gave out {MANY} frames at once: its slots have no bound")
    }

    fn step(&mut self) {
        self.subject.change();
        self.at = self.at + Duration::from_millis(40);
        self.id = self.id.next();
    }

    fn next(&mut self, within: Duration, refresh: bool) -> Result<SourceEvent, SourceError> {
        let request = FrameRequest {
            id: self.id,
            at: self.at,
            within,
            views: &[],
            refresh,
            share: false,
            kind: media::PictureKind::NV12,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.subject.source().next(&request) {
                Err(SourceError::Busy) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                event => return event,
            }
        }
    }

    fn frame(&mut self, within: Duration, refresh: bool) -> Frame {
        for _ in 0..CHATTER {
            match self.next(within, refresh) {
                Ok(SourceEvent::Frame(frame)) => return frame,
                Ok(SourceEvent::Resized(size)) => {
                    let info = self.subject.source().info();
                    assert_eq!(info.size, size, "info must have the size that was announced");
                }
                other => assert!(chatter(&other), "a frame was due, not {other:?}"),
            }
        }
        unreachable!("{CHATTER} events and no frame among them")
    }

    fn check(&mut self, mut frame: Frame) {
        let info = self.subject.source().info();
        let size = frame.image.size();
        assert_eq!(frame.id, self.id, "a frame must carry the id that was asked for");
        assert_eq!(frame.scaled, info.drawn != info.size, "a frame must say whether it was scaled");
        assert_eq!(size, info.size, "a new size must be announced before a frame has it");
        assert!(size.width > 0 && size.height > 0, "a picture must not be empty: {size}");
        let even = size.width.is_multiple_of(2) && size.height.is_multiple_of(2);
        assert!(even, "sizes must be even: {size}");
        if info.pacing == Pacing::Pulled {
            assert_eq!(frame.captured_at, self.at, "a pulled frame must show the time asked for");
        }
        check_views(&frame, info.views, size);
        if let Damage::Rects(rects) = &frame.damage {
            for rect in rects {
                assert!(rect.fits(size), "damage {rect:?} must lie within {size}");
            }
        }
        if let Some(depth) = &frame.depth {
            let texels = depth.size.pixels();
            assert_eq!(depth.values.len() as u64, texels, "depth must have a value per texel");
        }
        check_pixels(&mut frame);
        let Ok(image) = frame.image.map() else { return };
        let now = samples(&image);
        if let (Damage::Rects(rects), Some(before)) = (&frame.damage, &self.before) {
            check_damage(before, &now, rects);
        }
        self.before = Some(now);
    }
}

fn samples(image: &CpuImage<'_>) -> Samples {
    let shapes = image.planes.iter().zip(image.format.planes(image.size));
    let planes = shapes.map(|(plane, (row, rows))| {
        plane.data.chunks(plane.stride).take(rows).map(|line| line[..row].to_vec()).collect()
    });
    (image.size, planes.collect())
}

/// Beside what it says that has changed, a picture shows what the one before showed.
fn check_damage((size, before): &Samples, (now_size, now): &Samples, damage: &[Rect]) {
    if size != now_size {
        let all = damage.contains(&Rect::whole(*now_size));
        return assert!(all, "a picture of another size has changed as a whole, not in {damage:?}");
    }
    for (number, (before, now)) in before.iter().zip(now).enumerate() {
        let rows = now.len();
        for (y, (before, now)) in before.iter().zip(now).enumerate() {
            let bytes = now.len();
            let changed = (0..bytes).filter(|&x| before[x] != now[x]);
            for x in changed {
                // A pair of chroma is of two by two pixels.
                let spans = |at: usize, all: usize, edge: u32, start: u32, length: u32| {
                    let (from, to) = (start & !1, (start + length).next_multiple_of(2));
                    let at = at * edge as usize / all;
                    (from as usize..to as usize).contains(&at)
                };
                let told = damage.iter().any(|rect| {
                    spans(x, bytes, size.width, rect.x, rect.width)
                        && spans(y, rows, size.height, rect.y, rect.height)
                });
                assert!(told, "byte {x} of row {y} of plane {number} changed beside {damage:?}");
            }
        }
    }
}

/// What may come at any time beside a frame.
fn chatter(event: &Result<SourceEvent, SourceError>) -> bool {
    matches!(event, Ok(SourceEvent::Cursor(_) | SourceEvent::Resized(_)))
}

fn check_views(frame: &Frame, views: usize, size: Size) {
    assert_eq!(frame.views.len(), views, "a frame must have as many views as the source says");
    for view in &frame.views {
        assert!(view.region.fits(size), "view {:?} must lie within {size}", view.region);
        if let Some(pose) = view.pose {
            let length: f32 = pose.orientation.iter().map(|part| part * part).sum();
            assert!((length - 1.0).abs() < 1e-3, "orientations must be unit quaternions");
        }
    }
    if frame.views.len() > 1 {
        let poses = frame.views.iter().filter(|view| view.pose.is_some()).count();
        let fovs = frame.views.iter().filter(|view| view.fov.is_some()).count();
        assert!(poses == fovs, "a view with a pose must have a field of view");
    }
}

fn finish(frame: &mut Frame) {
    let clock = FakeClock::at(MediaTime::from_nanos(u64::MAX / 2));
    let finished = frame.image.finish(&clock, &mut frame.stages);
    assert!(finished.is_ok(), "a picture must finish: {finished:?}");
}

fn check_pixels(frame: &mut Frame) {
    finish(frame);
    let marks = [Mark::Captured, Mark::Drawn, Mark::Converted].map(|mark| frame.stages.get(mark));
    assert!(marks.iter().all(Option::is_some), "finish must set its marks: {marks:?}");
    assert!(marks.is_sorted(), "marks must be in order: {marks:?}");
    let (format, size) = (frame.image.format(), frame.image.size());
    let shape: Vec<_> = format.planes(size).collect();
    match frame.image.map() {
        Ok(image) => {
            assert_eq!((image.format, image.size), (format, size), "map must agree with itself");
            assert_eq!(image.planes.len(), shape.len(), "{format:?} has {} planes", shape.len());
            for (plane, &(row, rows)) in image.planes.iter().zip(&shape) {
                assert!(plane.stride >= row, "a stride must hold a row");
                let least = plane.stride * (rows - 1) + row;
                assert!(plane.data.len() >= least, "a plane must hold all of its rows");
            }
        }
        Err(error) => unreachable!("a finished picture must map: {error}"),
    }
    if let Some(shared) = frame.image.shared() {
        assert_eq!((shared.format, shared.size), (format, size), "shared must agree with itself");
        assert_eq!(shared.planes.len(), shape.len(), "{format:?} has {} planes", shape.len());
        let mut begin = shared.planes[0].offset;
        for (plane, &(row, rows)) in shared.planes.iter().zip(&shape) {
            assert_eq!(plane.offset, begin, "shared planes must follow one another");
            assert!(plane.stride as usize >= row, "a stride must hold a row");
            begin += u64::from(plane.stride) * rows as u64;
        }
        assert!(begin <= shared.memory.bytes, "shared memory must hold the picture");
    }
    if let Some(planes) = frame.image.map_mut() {
        assert_eq!(planes.len(), shape.len(), "map_mut must have the planes of the format");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PulledPattern, PushedPattern, PushedShared, SharedSurface, StereoPattern};
    use media::{
        Clock, FrameImage, ImageError, PixelFormat, PlaneMut, SharedImage, SourceInfo, StageTimes,
    };
    use std::sync::Arc;

    /// A source, and what changes it.
    struct Subject<S, C>(S, C);

    impl<S: FrameSource, C: FnMut()> SourceSubject for Subject<S, C> {
        fn source(&mut self) -> &mut dyn FrameSource {
            &mut self.0
        }
        fn change(&mut self) {
            (self.1)();
        }
    }

    const SIZE: Size = Size::new(128, 96);

    fn clock() -> Arc<FakeClock> {
        Arc::new(FakeClock::default())
    }

    #[test]
    fn the_pulled_pattern_keeps_the_contract() {
        source_contract(&mut Subject(PulledPattern::new(SIZE, 3, clock()), || ()));
    }

    #[test]
    fn the_stereo_pattern_keeps_the_contract() {
        source_contract(&mut Subject(StereoPattern::new(SIZE, 2, clock()).with_depth(), || ()));
    }

    #[test]
    fn the_pushed_pattern_keeps_the_contract() {
        let clock = FakeClock::default();
        let (source, programme) = PushedPattern::new(SIZE, 3, Arc::new(clock.clone()));
        programme.draw();
        source_contract(&mut Subject(source, move || {
            clock.advance(Duration::from_millis(40));
            programme.draw();
        }));
    }

    #[test]
    fn the_pushed_surface_keeps_the_contract() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let source = PushedShared::new(surface.clone(), 3, clock()).unwrap();
        let mut shade = 0;
        source_contract(&mut Subject(source, move || {
            shade += 1;
            surface.fill(Rect { x: 8, y: 8, width: 9, height: 7 }, [shade; 3]);
        }));
    }

    #[test]
    fn the_pushed_surface_keeps_the_contract_while_it_is_resized() {
        let surface = SharedSurface::new(SIZE).unwrap();
        let source = PushedShared::new(surface.clone(), 1, clock()).unwrap();
        let mut edge = 40;
        source_contract(&mut Subject(source, move || {
            edge += 3;
            surface.resize(Size::new(edge, edge + 1)).unwrap();
        }));
    }

    /// Sources that break one clause each: the suite must notice.
    struct Broken(PulledPattern, fn(&mut FrameRequest<'_>), fn(&mut SourceEvent));

    impl FrameSource for Broken {
        fn info(&self) -> SourceInfo {
            self.0.info()
        }
        fn resize(&mut self, size: Size) -> Size {
            self.0.resize(size)
        }
        fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
            let mut request = request.clone();
            (self.1)(&mut request);
            let mut event = self.0.next(&request)?;
            (self.2)(&mut event);
            Ok(event)
        }
    }

    fn verdict(ask: fn(&mut FrameRequest<'_>), answer: fn(&mut SourceEvent)) -> String {
        let source = Broken(PulledPattern::new(SIZE, 3, clock()), ask, answer);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            source_contract(&mut Subject(source, || ()));
        }));
        result.err().and_then(|e| e.downcast_ref::<String>().cloned()).unwrap_or_default()
    }

    fn on_frame(event: &mut SourceEvent, change: impl FnOnce(&mut Frame)) {
        if let SourceEvent::Frame(frame) = event {
            change(frame);
        }
    }

    /// A picture that a device is at until it is waited for: dropped before that, its slot is not free.
    struct Drawing(Option<Box<dyn FrameImage>>, bool);

    impl Drawing {
        fn image(&self) -> &dyn FrameImage {
            self.0.as_deref().expect("it is there until it is dropped")
        }
    }

    impl FrameImage for Drawing {
        fn format(&self) -> PixelFormat {
            self.image().format()
        }
        fn size(&self) -> Size {
            self.image().size()
        }
        fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
            self.1 = true;
            self.0.as_deref_mut().map_or(Ok(()), |image| image.finish(clock, stages))
        }
        fn map(&self) -> Result<CpuImage<'_>, ImageError> {
            self.image().map()
        }
        fn shared(&self) -> Option<SharedImage<'_>> {
            self.image().shared()
        }
        fn map_mut(&mut self) -> Option<smallvec::SmallVec<[PlaneMut<'_>; 3]>> {
            self.0.as_deref_mut()?.map_mut()
        }
    }

    impl Drop for Drawing {
        fn drop(&mut self) {
            if !self.1 {
                std::mem::forget(self.0.take());
            }
        }
    }

    #[test]
    fn a_device_that_draws_on_after_the_drop_keeps_the_contract() {
        let found = verdict(
            |_| (),
            |event| {
                on_frame(event, |frame| {
                    let other = Box::new(Drawing(None, true));
                    let image = std::mem::replace(&mut frame.image, other);
                    frame.image = Box::new(Drawing(Some(image), false));
                });
            },
        );
        assert_eq!(found, "");
    }

    #[test]
    fn broken_sources_are_found_out() {
        let nothing: fn(&mut FrameRequest<'_>) = |_| ();
        let wrong_id = verdict(nothing, |event| on_frame(event, |f| f.id = FrameId(1)));
        assert!(wrong_id.contains("the id that was asked for"), "{wrong_id}");
        let scaled = verdict(nothing, |event| on_frame(event, |frame| frame.scaled = true));
        assert!(scaled.contains("whether it was scaled"), "{scaled}");
        let always = verdict(|request| request.refresh = true, |_| ());
        assert!(always.contains("must be reported as unchanged"), "{always}");
        let never = verdict(|request| request.refresh = false, |_| ());
        assert!(never.contains("a frame was due"), "{never}");
        let untold =
            verdict(nothing, |event| on_frame(event, |frame| frame.damage = Damage::none()));
        assert!(untold.contains("changed beside"), "{untold}");
        let outside = verdict(nothing, |event| {
            on_frame(event, |frame| {
                let rect = Rect { x: 120, y: 0, width: 20, height: 2 };
                frame.damage = Damage::Rects(std::iter::once(rect).collect());
            });
        });
        assert!(outside.contains("must lie within"), "{outside}");
        let leaking = verdict(nothing, |event| {
            on_frame(event, |frame| {
                let other = crate::pool::SlotPool::new(1).take(PixelFormat::Nv12, SIZE).unwrap();
                std::mem::forget(std::mem::replace(&mut frame.image, Box::new(other)));
            });
        });
        assert!(!leaking.is_empty(), "a source whose slots never return must not pass");
    }
}
