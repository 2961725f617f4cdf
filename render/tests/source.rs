//! A scene as a frame source: the contract, input, clicks, stillness and a lost device.

#![expect(clippy::panic, reason = "helpers of tests panic as tests do")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::TestClock;
use media::{
    Frame, FrameId, FrameRequest, FrameSource, InputEvent, InputSeq, InputSink as _, KeyCode,
    MediaTime, SequencedInput, Size, SourceError, SourceEvent, StageTimes,
};
use nearlight_render::device::{Gpu, GpuOptions, GpuPool};
use nearlight_render::draw::{DrawError, RenderSettings, Renderer, SceneGpu, UploadError};
use nearlight_render::scene::{LoadLimits, Material, Scene, load_scene_bytes};
use nearlight_render::source::{SceneHost, SceneInput, SceneSource, Stage};
use testkit::contract::{SourceSubject, source_contract};

const SIZE: Size = Size::new(640, 360);
/// Generous: waited for in full only when something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

struct Set {
    pool: Arc<GpuPool>,
    source: SceneSource,
    input: SceneInput,
    next: u64,
}

impl Set {
    fn new(scene: Scene) -> Self {
        let pool =
            Arc::new(GpuPool::open(GpuOptions::default()).expect("tests need a Vulkan device"));
        let settings = RenderSettings { shadow_size: 0, ..RenderSettings::default() };
        let host = SceneHost::new(Stage::new(pool.clone(), settings, true), scene);
        let (source, input) = host.open(SIZE, Arc::new(TestClock::new())).expect("the scene opens");
        Self { pool, source, input, next: 0 }
    }

    fn ask(&mut self, at: MediaTime, refresh: bool) -> Result<SourceEvent, SourceError> {
        let request = FrameRequest {
            id: FrameId(self.next),
            at,
            within: Duration::from_millis(33),
            views: &[],
            refresh,
            share: false,
            kind: media::PictureKind::NV12,
        };
        self.next += 1;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.source.next(&request) {
                Err(SourceError::Busy) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                event => return event,
            }
        }
    }

    fn frame(&mut self, at: MediaTime) -> Frame {
        match self.ask(at, false) {
            Ok(SourceEvent::Frame(frame)) => frame,
            other => panic!("a frame was due, not {other:?}"),
        }
    }

    fn send(&mut self, seq: u32, event: InputEvent, at: MediaTime) {
        self.input.inject(&SequencedInput { seq: InputSeq(seq), event }, at);
    }
}

impl SourceSubject for Set {
    fn source(&mut self) -> &mut dyn FrameSource {
        &mut self.source
    }
    fn change(&mut self) {}
}

fn demo() -> Scene {
    let glb = nearlight_render::demo::glb();
    load_scene_bytes("demo", &glb, &LoadLimits::default()).expect("the demo loads").scene
}

/// The demo without what moves in it.
fn still() -> Scene {
    Scene { animations: Vec::new(), ..demo() }
}

fn ms(millis: u64) -> MediaTime {
    MediaTime::from_millis(millis)
}

fn luma(mut frame: Frame) -> Vec<u8> {
    frame
        .image
        .finish(&TestClock::new(), &mut StageTimes::default())
        .expect("the picture is drawn");
    frame.image.map().expect("the picture maps").planes[0].data.to_vec()
}

fn differing(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 8).count()
}

#[test]
fn a_scene_keeps_the_contract_of_sources() {
    source_contract(&mut Set::new(demo()));
}

#[test]
fn a_key_moves_the_camera_and_the_frame_says_so() {
    let mut set = Set::new(still());
    let before = luma(set.frame(ms(1_000)));
    set.send(7, InputEvent::Key { code: KeyCode::W, pressed: true }, ms(1_010));
    let frame = set.frame(ms(1_500));
    assert_eq!(frame.last_input, Some(InputSeq(7)));
    assert!(differing(&before, &luma(frame)) > 2_000, "half a second of walking must show");
}

#[test]
fn a_click_flashes_what_it_hits() {
    let mut set = Set::new(still());
    let before = luma(set.frame(ms(1_000)));
    // The upper part of the orrery's pedestal is in the middle of the first view.
    for (seq, pressed) in [(1, true), (2, false)] {
        set.send(seq, InputEvent::PointerAbsolute { x: 32_768, y: 40_000 }, ms(1_001));
        let button = media::input::PointerButton::Left;
        set.send(seq + 10, InputEvent::Button { button, pressed }, ms(1_002));
    }
    let flash = luma(set.frame(ms(1_040)));
    assert!(differing(&before, &flash) > 50, "a click must show at once");
    let after = luma(set.frame(ms(3_000)));
    assert!(differing(&before, &after) < 50, "the flash must fade");
}

#[test]
fn nothing_is_drawn_while_nothing_moves() {
    let mut set = Set::new(still());
    drop(luma(set.frame(ms(1_000))));
    for step in 1..20 {
        let event = set.ask(ms(1_000 + 33 * step), false);
        assert!(matches!(event, Ok(SourceEvent::Unchanged)), "{event:?}");
    }
    let refreshed = set.ask(ms(5_000), true);
    assert!(matches!(refreshed, Ok(SourceEvent::Frame(_))), "{refreshed:?}");
}

#[test]
fn a_lost_device_is_told_once_and_replaced() {
    let mut set = Set::new(still());
    drop(luma(set.frame(ms(1_000))));
    set.pool.current().lose("test");
    let told = set.ask(ms(1_033), true);
    assert!(matches!(told, Err(SourceError::DeviceLost(_))), "{told:?}");
    let Ok(SourceEvent::Frame(frame)) = set.ask(ms(1_066), true) else {
        panic!("the next request must be drawn on another device");
    };
    assert_eq!(set.pool.current().generation(), 1);
    assert!(luma(frame).iter().any(|&luma| luma > 60), "the picture must not be black");
}

#[test]
fn views_of_a_headset_are_refused() {
    let mut set = Set::new(still());
    let request = FrameRequest {
        id: FrameId(0),
        at: ms(1_000),
        within: Duration::from_millis(33),
        views: &[media::View::screen(SIZE)],
        refresh: true,
        share: false,
        kind: media::PictureKind::NV12,
    };
    let told = set.source.next(&request);
    assert!(matches!(told, Err(SourceError::Failed(_))), "{told:?}");
}

#[test]
fn what_a_lost_device_is_asked_is_an_error() {
    let gpu = Gpu::open(&GpuOptions::default()).expect("tests need a Vulkan device");
    let renderer = Renderer::new(&gpu, RenderSettings::default()).expect("usual settings");
    let uploaded = SceneGpu::upload(&gpu, &still()).expect("the device works");
    gpu.lose("pulled out by the test");
    let again = SceneGpu::upload(&gpu, &still());
    assert!(matches!(again, Err(UploadError::Refused(_))), "{:?}", again.err());
    let prepared = renderer.prepare(&gpu, &uploaded);
    assert!(matches!(prepared, Err(DrawError::Refused(_))), "{prepared:?}");
}

/// The driver takes devices away under threads that upload; whoever comes last finds the newest.
#[test]
fn threads_that_race_a_lost_device_end_on_the_newest() {
    let pool = Arc::new(GpuPool::open(GpuOptions::default()).expect("a Vulkan device"));
    let stage = Stage::new(pool.clone(), RenderSettings::default(), true);
    let host =
        SceneHost::new(stage, Scene { materials: vec![Material::default()], ..Scene::default() });
    for round in 0..3 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let host = host.clone();
                std::thread::spawn(move || host.warm())
            })
            .collect();
        pool.current().lose("pulled out by the test");
        for thread in threads {
            let warmed = thread.join().expect("no panic");
            assert!(matches!(warmed, Ok(()) | Err(SourceError::DeviceLost(_))), "{warmed:?}");
        }
        let (mut source, _input) =
            host.open(SIZE, Arc::new(TestClock::new())).expect("the scene opens");
        let request = FrameRequest {
            id: FrameId(round),
            at: ms(1_000),
            within: Duration::from_millis(33),
            views: &[],
            refresh: true,
            share: false,
            kind: media::PictureKind::NV12,
        };
        let drawn = source.next(&request);
        assert!(matches!(drawn, Ok(SourceEvent::Frame(_))), "{drawn:?}");
        assert_eq!(pool.current().generation(), round + 1);
    }
}
