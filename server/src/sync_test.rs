//! The sync test: a picture that flashes at each whole second of the media clock, when its sound beeps. A
//! bar crosses the picture once a second, so that one sees how far the two are apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use media::{
    Clock, ColorDescription, CpuImage, Damage, DeviceId, Frame, FrameImage, FrameRequest,
    FrameSource, ImageError, InputSink, Mark, MediaTime, Pacing, PixelFormat, Plane, PlaneMut,
    SequencedInput, SharedImage, Size, SourceError, SourceEvent, SourceInfo, StageTimes, View,
    Views,
};

use crate::apps::{App, AppInfo, OpenError, Running, Start, VideoMode};
use crate::saves::GameSaves;
use crate::scenes::{POSTER, jpeg_of};
use crate::sounds::beeps::{BEEP, Beeps, into_second};
use crate::wire::{EntryKind, KeyboardMode};

/// Pictures in flight, as the renderer has them.
const SLOTS: usize = 3;
/// Luma (BT.709, limited range): of the ground, its marks, and what flashes.
const DARK: u8 = 28;
const MARK: u8 = 70;
const BRIGHT: u8 = 235;
/// Marks across the picture: every tenth of a second.
const MARKS: usize = 10;

/// See the module.
pub struct SyncTest;

impl App for SyncTest {
    fn info(&self) -> AppInfo {
        AppInfo {
            id: "sync-test".into(),
            title: "Sync test".into(),
            summary: "A flash and a beep at each second: whether sound and picture are in step."
                .into(),
            kind: EntryKind::Synthetic,
            controls: Vec::new(),
            genre: None,
            licence: None,
            keyboard: KeyboardMode::Places,
            has_poster: true,
            screen: None,
            unavailable: None,
        }
    }

    fn open(
        &self,
        video: VideoMode,
        clock: Arc<dyn Clock>,
        _: &Start,
    ) -> Result<Running, OpenError> {
        let touched = clock.now();
        Ok(Running {
            source: Box::new(Flashes::new(video.size, clock)),
            input: Box::new(NoHands { touched }),
            sound: Some(Box::new(Beeps)),
            rumble: None,
            voice: None,
        })
    }

    fn has_sound(&self) -> bool {
        true
    }

    fn device(&self) -> Option<DeviceId> {
        None
    }

    fn draws_hdr(&self) -> bool {
        false
    }

    fn saves(&self) -> Option<Arc<GameSaves>> {
        None
    }

    fn draw_poster(&self) -> Option<Vec<u8>> {
        let mut pixels = vec![0; bytes(POSTER)];
        draw(&mut pixels, POSTER, Duration::from_millis(40));
        jpeg_of(&as_image(&pixels, POSTER)).ok()
    }
}

/// Input counts as activity and does nothing.
struct NoHands {
    touched: MediaTime,
}

impl InputSink for NoHands {
    fn inject(&mut self, _: &SequencedInput, at: MediaTime) {
        self.touched = at;
    }
    fn release_all(&mut self, _: MediaTime) {}
    fn support(&self) -> media::InputSupport {
        media::InputSupport::default()
    }

    fn idle_for(&self, now: MediaTime) -> Duration {
        now.since(self.touched)
    }
}

type Buffers = Arc<Mutex<Vec<Vec<u8>>>>;

fn lock(buffers: &Buffers) -> MutexGuard<'_, Vec<Vec<u8>>> {
    // Every change is one push or one pop.
    buffers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pictures.
struct Flashes {
    size: Size,
    clock: Arc<dyn Clock>,
    free: Buffers,
}

impl Flashes {
    fn new(size: Size, clock: Arc<dyn Clock>) -> Self {
        let free = vec![vec![0; bytes(size)]; SLOTS];
        Self { size, clock, free: Arc::new(Mutex::new(free)) }
    }
}

impl FrameSource for Flashes {
    fn info(&self) -> SourceInfo {
        let size = self.size;
        SourceInfo { pacing: Pacing::Pulled, size, views: 1, drawn: size, resizes: true }
    }

    fn resize(&mut self, size: Size) -> Size {
        if size != self.size {
            // Buffers of the old size go with the last of their pictures.
            *self = Self::new(size, self.clock.clone());
        }
        size
    }

    fn next(&mut self, request: &FrameRequest<'_>) -> Result<SourceEvent, SourceError> {
        let mut stages = StageTimes::captured(request.at);
        let pixels = lock(&self.free).pop().ok_or(SourceError::NoFreeSlot)?;
        let mut image = Picture { free: self.free.clone(), pixels, size: self.size, drawn: None };
        stages.mark(Mark::DrawStarted, self.clock.now());
        draw(&mut image.pixels, self.size, into_second(request.at));
        image.drawn = Some(self.clock.now());
        Ok(SourceEvent::Frame(Frame {
            id: request.id,
            captured_at: request.at,
            views: Views::from_elem(View::screen(self.size), 1),
            damage: Damage::Unknown,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            last_input: None,
            scaled: false,
            stages,
            image: Box::new(image),
        }))
    }
}

/// Bytes of a picture in NV12.
fn bytes(size: Size) -> usize {
    PixelFormat::Nv12.planes(size).map(|(row, rows)| row * rows).sum()
}

/// A picture in a buffer that goes back when it is dropped.
struct Picture {
    free: Buffers,
    pixels: Vec<u8>,
    size: Size,
    drawn: Option<MediaTime>,
}

impl Drop for Picture {
    fn drop(&mut self) {
        lock(&self.free).push(std::mem::take(&mut self.pixels));
    }
}

fn as_image(pixels: &[u8], size: Size) -> CpuImage<'_> {
    let stride = size.width as usize;
    let (luma, chroma) = pixels.split_at(stride * size.height as usize);
    let planes = [luma, chroma].into_iter().map(|data| Plane { data, stride }).collect();
    CpuImage { format: PixelFormat::Nv12, size, planes }
}

impl FrameImage for Picture {
    fn format(&self) -> PixelFormat {
        PixelFormat::Nv12
    }

    fn size(&self) -> Size {
        self.size
    }

    fn finish(&mut self, _: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        let drawn = self.drawn.ok_or(ImageError::Unfinished)?;
        stages.mark(Mark::Drawn, drawn);
        stages.mark(Mark::Converted, drawn);
        Ok(())
    }

    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        Ok(as_image(&self.pixels, self.size))
    }

    fn shared(&self) -> Option<SharedImage<'_>> {
        None
    }

    fn map_mut(&mut self) -> Option<smallvec::SmallVec<[PlaneMut<'_>; 3]>> {
        let stride = self.size.width as usize;
        let (luma, chroma) = self.pixels.split_at_mut(stride * self.size.height as usize);
        Some([luma, chroma].into_iter().map(|data| PlaneMut { data, stride }).collect())
    }
}

/// Draws what is seen so long after a whole second.
fn draw(pixels: &mut [u8], size: Size, into: Duration) {
    let (width, height) = (size.width as usize, size.height as usize);
    let (luma, chroma) = pixels.split_at_mut(width * height);
    chroma.fill(128);
    luma.fill(DARK);
    let mut fill = |x: usize, y: usize, w: usize, h: usize, value: u8| {
        for row in luma.chunks_exact_mut(width).skip(y).take(h) {
            row[x.min(width)..(x + w).min(width)].fill(value);
        }
    };
    let thin = (width / 320).max(1);
    for mark in 0..MARKS {
        fill(width * mark / MARKS, height * 3 / 4, thin, height / 8, MARK);
    }
    let bar = (width as f64 * into.as_secs_f64()) as usize;
    fill(bar, height * 11 / 16, 3 * thin, height / 4, BRIGHT);
    let flash = if into < BEEP { BRIGHT } else { MARK };
    let edge = height / 3;
    fill((width - edge.min(width)) / 2, height / 6, edge, edge, flash);
}

#[cfg(test)]
mod tests {
    use media::{FrameId, PictureKind};
    use testkit::FakeClock;

    use super::*;

    fn picture(source: &mut Flashes, millis: u64) -> Result<Frame, SourceError> {
        let request = FrameRequest {
            id: FrameId(millis),
            at: MediaTime::from_millis(millis),
            within: Duration::from_millis(33),
            views: &[],
            refresh: false,
            share: false,
            kind: PictureKind::NV12,
        };
        match source.next(&request)? {
            SourceEvent::Frame(frame) => Ok(frame),
            other => panic!("{other:?}"),
        }
    }

    fn luma_at(frame: &Frame, x: usize, y: usize) -> u8 {
        let image = frame.image.map().unwrap();
        image.planes[0].data[y * image.planes[0].stride + x]
    }

    #[test]
    fn it_flashes_when_it_beeps_and_a_bar_shows_the_time() {
        let mut source = Flashes::new(Size::new(320, 180), Arc::new(FakeClock::default()));
        for (millis, flash) in [(2_000, BRIGHT), (2_079, BRIGHT), (2_080, MARK), (2_990, MARK)] {
            let frame = picture(&mut source, millis).unwrap();
            assert_eq!(luma_at(&frame, 160, 60), flash, "{millis}");
            assert_eq!(frame.captured_at, MediaTime::from_millis(millis));
            let bar = usize::try_from(millis % 1_000).unwrap() * 320 / 1_000;
            assert_eq!(luma_at(&frame, bar, 130), BRIGHT, "{millis}");
            assert_eq!(luma_at(&frame, (bar + 40) % 320, 126), DARK, "{millis}");
        }
    }

    #[test]
    fn it_has_three_pictures_and_they_come_back() {
        let mut source = Flashes::new(Size::new(64, 64), Arc::new(FakeClock::default()));
        let held: Vec<_> = (0..3).map(|n| picture(&mut source, n).unwrap()).collect();
        assert!(matches!(picture(&mut source, 4), Err(SourceError::NoFreeSlot)));
        drop(held);
        assert!(picture(&mut source, 5).is_ok());
    }

    #[test]
    fn it_is_made_smaller_while_larger_pictures_are_held() {
        let mut source = Flashes::new(Size::new(320, 180), Arc::new(FakeClock::default()));
        let held = picture(&mut source, 0).unwrap();
        let small = Size::new(160, 90);
        assert_eq!(source.resize(small), small);
        drop(held);
        for n in 1..5 {
            let frame = picture(&mut source, n).unwrap();
            assert_eq!(frame.image.map().unwrap().size, small);
        }
        assert_eq!(source.info().size, small);
    }

    #[test]
    fn its_poster_is_a_picture() {
        let jpeg = SyncTest.draw_poster().unwrap();
        assert_eq!(jpeg[..2], [0xff, 0xd8]);
    }
}
