//! From a drawn scene to a stream without a copy: wgpu writes pictures into shared memory, NVENC reads
//! them there, by way of the driver's own functions.
//!
//! The scene is drawn by lavapipe and coded by the doubles of NVIDIA's driver, whose hardware overwrites
//! every picture that it has read. What comes out is compared with the same scene as the CPU gets it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

extern crate encoder as nearlight_encoder;

#[path = "../../encoder/tests/common/mod.rs"]
mod coding;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use coding::doubles::{Log, SinkDouble, wait_until};
use coding::gpu::{PATIENCE, Rig, SETTINGS, SIZE};
use coding::{Picture, decode, psnr};
use encoder::{
    BlockingEncoder, Command, EncoderSettings, EncoderWorker, WorkerConfig, WorkerEvent,
};
use media::{
    AccessUnit, Bitrate, ColorDescription, Damage, EncodeOptions, Frame, FrameId, FrameImage,
    FrameRate, FrameRequest, FrameSource as _, MediaTime, PictureKind, Rect, Room, SharedMemory,
    Size, SourceError, SourceEvent, StageTimes, TrackId, UnitKind, View, Views,
};
use nearlight::clock::MonotonicClock;
use openh264::decoder::Decoder;
use render::captured::CaptureStage;
use render::device::{GpuOptions, GpuPool};
use render::draw::RenderSettings;
use render::scene::{LoadLimits, load_scene_bytes};
use render::source::{SceneHost, SceneSource, Stage};
use testkit::{Effect, read_exported};

/// Of a ring in `render`.
const SLOTS: usize = 3;
/// What the double leaves where it read a picture.
const POISON: u8 = 0xa5;
/// Below what every picture here is decoded at, far above what another picture of the scene comes to.
const LEAST_PSNR: f64 = 30.0;
/// Another size, within [`LARGEST`].
const OTHER: Size = Size::new(480, 288);
const LARGEST: Size = Size::new(640, 384);

/// The demo on lavapipe, and a driver whose device is said to be the same.
struct Set {
    rig: Rig,
    pool: Arc<GpuPool>,
    host: Arc<SceneHost>,
}

impl Set {
    fn new() -> Self {
        let software = GpuOptions { adapter: Some("llvmpipe".to_owned()), ..GpuOptions::default() };
        let pool = Arc::new(GpuPool::open(software).expect("tests need lavapipe"));
        let rig = Rig::new();
        rig.gpu.cuda_device(pool.current().device_id().expect("it can share")).unwrap();
        let settings = RenderSettings { shadow_size: 0, ..RenderSettings::default() };
        let demo =
            load_scene_bytes("demo", &render::demo::glb(), &LoadLimits::default()).unwrap().scene;
        let host = SceneHost::new(Stage::new(pool.clone(), settings, false), demo);
        Self { rig, pool, host }
    }

    fn source(&self, size: Size) -> SceneSource {
        self.host.open(size, Arc::new(MonotonicClock::new())).unwrap().0
    }

    fn settings(&self) -> EncoderSettings {
        let device = self.pool.current().device_id();
        EncoderSettings { device, largest: LARGEST, ..SETTINGS }
    }

    fn stream(&self) -> Stream {
        Stream::open(self.settings(), &self.rig)
    }

    /// Nothing was copied by the CPU or by CUDA, and what was coded is what was imported, from its
    /// first byte on: `imports` allocations.
    fn assert_no_copies(&self, imports: usize) {
        for call in ["nvEncCreateInputBuffer", "nvEncLockInputBuffer"] {
            assert_eq!(self.rig.calls(call), [""; 0]);
        }
        let cuda = self.rig.gpu.cuda_log().unwrap();
        let called = |name: &str| cuda.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(called("cuMemcpy"), 0);
        assert_eq!(called("cuImportExternalMemory 0"), imports);
        let registered = self.rig.calls("nvEncRegisterResource");
        let memories: BTreeSet<_> = registered
            .iter()
            .map(|line| {
                assert!(line.ends_with(" offset=0"), "{line}");
                line.split(" memory=").nth(1).expect("it is told")
            })
            .collect();
        assert_eq!((registered.len(), memories.len()), (imports, imports));
    }
}

/// Asks for the picture of a time, which is due 60 times a second.
fn draw(source: &mut SceneSource, number: u64, share: bool) -> Frame {
    draw_as(source, number, share, PictureKind::NV12)
}

fn draw_as(source: &mut SceneSource, number: u64, share: bool, kind: PictureKind) -> Frame {
    let request = FrameRequest {
        id: FrameId(number),
        at: MediaTime::from_millis(1_000 + number * 50 / 3),
        within: Duration::from_millis(16),
        views: &[],
        refresh: true,
        share,
        kind,
    };
    let mut waited = Duration::ZERO;
    loop {
        match source.next(&request) {
            Ok(SourceEvent::Frame(frame)) => return frame,
            // The device is at the picture before, or has not let go of its slot.
            Err(SourceError::Busy | SourceError::NoFreeSlot) if waited < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
                waited += Duration::from_millis(1);
            }
            other => panic!("a frame was due, not {other:?}"),
        }
    }
}

fn finish(image: &mut dyn FrameImage) {
    image.finish(&MonotonicClock::new(), &mut StageTimes::default()).unwrap();
}

/// A picture as the CPU gets it.
fn mapped(image: &dyn FrameImage) -> Picture {
    let image = image.map().unwrap();
    let (luma, chroma) = (image.planes[0], image.planes[1]);
    assert_eq!(luma.stride, chroma.stride);
    Picture {
        size: image.size,
        stride: luma.stride,
        luma: luma.data.to_vec(),
        chroma: chroma.data.to_vec(),
    }
}

/// Its rows without padding.
fn pixels(picture: &Picture) -> Vec<u8> {
    let rows = picture.luma.chunks(picture.stride).chain(picture.chroma.chunks(picture.stride));
    rows.flat_map(|row| &row[..picture.size.width as usize]).copied().collect()
}

/// The same scene in a ring for the CPU.
struct Reference(SceneSource);

impl Reference {
    fn picture(&mut self, number: u64) -> Picture {
        let mut frame = draw(&mut self.0, number, false);
        assert!(frame.image.shared().is_none());
        finish(&mut *frame.image);
        mapped(&*frame.image)
    }
}

/// Where a picture lies, and how much of it.
struct Place {
    memory: Arc<SharedMemory>,
    row: usize,
    stride: usize,
    rows: usize,
}

impl Place {
    fn of(image: &dyn FrameImage) -> Self {
        let shared = image.shared().expect("a shared picture");
        let shapes: Vec<_> = shared.format.planes(shared.size).collect();
        Self {
            memory: shared.memory.clone(),
            row: shapes[0].0,
            stride: shared.planes[0].stride as usize,
            rows: shapes.iter().map(|(_, rows)| rows).sum(),
        }
    }

    /// What lies there now.
    fn pixels(&self) -> Vec<u8> {
        let bytes = read_exported(&self.memory, self.stride * self.rows).unwrap();
        bytes.chunks(self.stride).flat_map(|row| &row[..self.row]).copied().collect()
    }
}

/// An encoder thread with the doubles' H.264, what it told, and what it sent.
struct Stream {
    worker: EncoderWorker,
    events: Arc<Log<WorkerEvent>>,
    units: Arc<Log<AccessUnit>>,
    submitted: usize,
    decoder: Decoder,
}

impl Stream {
    fn open(settings: EncoderSettings, rig: &Rig) -> Self {
        Self::with(settings, rig, &["nvenc-h264"])
    }

    fn with(settings: EncoderSettings, rig: &Rig, encoders: &[&str]) -> Self {
        let (events, sink) = (Log::new(), SinkDouble::new());
        let (told, units) = (events.clone(), sink.units.clone());
        let config = WorkerConfig {
            label: "zero".into(),
            track: TrackId(0),
            settings,
            encoders: encoders.iter().map(|name| rig.candidate(name).clone()).collect(),
            keyframe_interval: Duration::from_millis(250),
            barcode: false,
            patience: PATIENCE,
        };
        let events_to = Box::new(move |event| told.push(event));
        let clock = Arc::new(MonotonicClock::new());
        let worker = EncoderWorker::spawn(config, Box::new(sink), clock, events_to).unwrap();
        wait_until("the encoder is open", || worker.wants_shared() || worker.has_ended());
        Self { worker, events, units, submitted: 0, decoder: Decoder::new().unwrap() }
    }

    fn submit(&mut self, frame: Frame) {
        self.submitted += 1;
        self.worker.submit(frame);
    }

    /// Codes a picture and waits for its unit.
    fn code(&mut self, frame: Frame) -> AccessUnit {
        let id = frame.id;
        self.submit(frame);
        let unit = self.units.wait_for(self.submitted).swap_remove(self.submitted - 1);
        assert_eq!(unit.frame, id);
        unit
    }

    /// Waits until all units are counted too, which comes after they are sent.
    fn settle(&self) {
        wait_until("all are counted", || self.worker.stats().encoded == self.submitted as u64);
    }

    /// What a picture is decoded at.
    fn assert_shows(&mut self, unit: &AccessUnit, wanted: &Picture) {
        let (luma, chroma) = psnr(wanted, &decode(&mut self.decoder, &unit.data));
        let frame = unit.frame.0;
        assert!(luma > LEAST_PSNR && chroma > LEAST_PSNR, "{frame}: {luma} dB, {chroma} dB");
    }
}

#[test]
fn a_scene_is_coded_where_it_was_drawn() {
    const FRAMES: u64 = 300;
    let set = Set::new();
    let mut source = set.source(SIZE);
    let mut reference = Reference(set.source(SIZE));
    let mut stream = set.stream();
    // As many as there are slots, so that each of them has its turn.
    let mut drawn = VecDeque::new();
    for number in 0..FRAMES + SLOTS as u64 - 1 {
        if number < FRAMES {
            let mut frame = draw(&mut source, number, stream.worker.wants_shared());
            finish(&mut *frame.image);
            drawn.push_back((Place::of(&*frame.image), frame));
        }
        if number + 1 < SLOTS as u64 {
            continue;
        }
        let (place, frame) = drawn.pop_front().unwrap();
        let (id, wanted) = (frame.id, reference.picture(frame.id.0));
        assert!(place.pixels() == pixels(&wanted), "{id:?}: drawn over what the driver left");
        let unit = stream.code(frame);
        let left = place.pixels();
        assert!(left.iter().all(|byte| *byte == POISON), "{id:?}: another memory was read");
        assert_eq!(unit.kind == UnitKind::Key, id == FrameId(0));
        stream.assert_shows(&unit, &wanted);
    }
    assert_eq!(source.readbacks(), 0);
    stream.settle();
    let stats = stream.worker.stats();
    assert_eq!((stats.encoded, stats.keyframes, stats.failed), (FRAMES, 1, 0));
    assert!(matches!(stream.events.all()[..], [WorkerEvent::Opened(_)]));
    set.assert_no_copies(SLOTS);
    assert_eq!(set.rig.calls("nvEncMapInputResource").len(), FRAMES as usize);
    assert_eq!(set.rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
    drop(stream);
    set.rig.assert_clean();
    assert_eq!(set.pool.current().errors(), (0, None));
}

/// What the double, which has no HEVC, says of the picture that it was given.
fn digest(unit: &AccessUnit) -> String {
    let text = String::from_utf8_lossy(&unit.data);
    text.split("sha256=").nth(1).expect("the double tells it")[..64].to_owned()
}

#[test]
fn ten_bits_are_coded_where_they_were_drawn() {
    const FRAMES: u64 = 24;
    let hdr = PictureKind::HDR10;
    let set = Set::new();
    let settings = set.settings().with_kind(hdr);
    let hevc = |settings| Stream::with(settings, &set.rig, &["nvenc-h265"]);
    let mut stream = hevc(settings);
    assert_eq!(stream.worker.wants_kind(), hdr);
    let mut source = set.source(SIZE);
    let mut digests = Vec::new();
    for number in 0..FRAMES {
        let wants = (stream.worker.wants_shared(), stream.worker.wants_kind());
        let mut frame = draw_as(&mut source, number, wants.0, wants.1);
        assert_eq!(frame.color, hdr.color);
        finish(&mut *frame.image);
        let place = Place::of(&*frame.image);
        assert_eq!((place.row, place.stride % 256), (SIZE.width as usize * 2, 0));
        let unit = stream.code(frame);
        assert!(place.pixels().iter().all(|byte| *byte == POISON), "another memory was read");
        assert_eq!((unit.color, unit.kind == UnitKind::Key), (hdr.color, number == 0));
        digests.push(digest(&unit));
    }
    assert_eq!(source.readbacks(), 0);
    set.assert_no_copies(set.rig.calls("nvEncRegisterResource").len());
    drop(stream);
    // The same pictures by way of the CPU.
    let (mut source, mut stream) = (set.source(SIZE), hevc(settings));
    for number in 0..FRAMES {
        let unit = stream.code(draw_as(&mut source, number, false, hdr));
        assert_eq!(digest(&unit), digests[number as usize], "picture {number}");
    }
    digests.dedup();
    assert_eq!(digests.len(), FRAMES as usize, "no two that follow are the same");
    drop(stream);
    set.rig.assert_clean();
    assert_eq!(set.pool.current().errors(), (0, None));
}

#[test]
fn what_was_captured_is_coded_where_it_was_converted() {
    const BAND: u32 = 16;
    let set = Set::new();
    let mut stream = set.stream();
    let [mut shared, mut read_back] =
        [false, true].map(|always| CaptureStage::new(set.pool.clone(), always).open().unwrap());
    let mut bgrx = vec![0; SIZE.pixels() as usize * 4];
    let frames = SIZE.height / BAND;
    // A display that is drawn from the top, band by band.
    for number in 0..frames {
        let band = Rect { x: 0, y: number * BAND, width: SIZE.width, height: BAND };
        let row = SIZE.width as usize * 4;
        for pixels in bgrx[band.y as usize * row..][..BAND as usize * row].chunks_mut(row) {
            for (x, pixel) in pixels.chunks_mut(4).enumerate() {
                pixel.copy_from_slice(&[(x / 2) as u8, (number * 20) as u8, 90, 0]);
            }
        }
        let mut damage = Damage::none();
        damage.add(band);
        assert_eq!(read_back.begin(SIZE, false), Ok(Room::Free));
        let mut wanted = read_back.convert(&bgrx, &damage).unwrap();
        finish(&mut *wanted);
        let wanted = mapped(&*wanted);
        assert_eq!(shared.begin(SIZE, stream.worker.wants_shared()), Ok(Room::Free));
        let image = shared.convert(&bgrx, &damage).unwrap();
        let at = MediaTime::from_millis(1_000 + u64::from(number) * 50 / 3);
        let unit = stream.code(Frame {
            id: FrameId(number.into()),
            captured_at: at,
            views: Views::from_elem(View::screen(SIZE), 1),
            damage,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            last_input: None,
            scaled: false,
            stages: StageTimes::captured(at),
            image,
        });
        assert_eq!(unit.kind == UnitKind::Key, number == 0);
        stream.assert_shows(&unit, &wanted);
    }
    set.assert_no_copies(set.rig.calls("nvEncRegisterResource").len());
    assert_eq!(set.rig.calls("nvEncMapInputResource").len(), frames as usize);
    assert!(matches!(stream.events.all()[..], [WorkerEvent::Opened(_)]));
    drop(stream);
    set.rig.assert_clean();
    assert_eq!(set.pool.current().errors(), (0, None));
}

#[test]
fn wgpu_reads_what_the_driver_wrote() {
    let set = Set::new();
    let mut source = set.source(SIZE);
    let h264 = set.rig.candidate("nvenc-h264");
    let mut encoder = BlockingEncoder::open(h264, &set.settings(), PATIENCE).unwrap();
    let mut frame = draw(&mut source, 0, true);
    finish(&mut *frame.image);
    let shared = media::Picture::Shared(frame.image.shared().unwrap());
    let key = EncodeOptions::keyframe(true);
    let unit = encoder.encode(frame.id, &shared, key).unwrap();
    // Through Vulkan, which nobody told that CUDA had written.
    let left = pixels(&mapped(&*frame.image));
    assert!(left.iter().all(|byte| *byte == POISON), "another memory was read");
    assert_eq!(source.readbacks(), 1, "this test's own");
    let wanted = Reference(set.source(SIZE)).picture(0);
    let (luma, chroma) = psnr(&wanted, &decode(&mut Decoder::new().unwrap(), &unit.data));
    assert!(luma > LEAST_PSNR && chroma > LEAST_PSNR, "{luma} dB, {chroma} dB");
    set.assert_no_copies(1);
    drop(encoder);
    set.rig.assert_clean();
}

#[test]
fn a_new_size_costs_one_keyframe_and_no_copy() {
    let set = Set::new();
    let mut stream = set.stream();
    let mut number = 0;
    for size in [SIZE, OTHER, SIZE] {
        let (mut source, mut reference) = (set.source(size), Reference(set.source(size)));
        for step in 0..8 {
            let unit = stream.code(draw(&mut source, number, stream.worker.wants_shared()));
            assert_eq!(unit.kind == UnitKind::Key, step == 0, "{size}, picture {step}");
            stream.assert_shows(&unit, &reference.picture(number));
            number += 1;
        }
        assert_eq!(source.readbacks(), 0);
    }
    assert_eq!(set.rig.calls("nvEncOpenEncodeSessionEx").len(), 1, "within the largest size");
    let registered = set.rig.calls("nvEncRegisterResource").len();
    set.assert_no_copies(registered);
    assert!(matches!(stream.events.all()[..], [WorkerEvent::Opened(_)]));
    drop(stream);
    set.rig.assert_clean();
}

#[test]
fn an_encoder_that_breaks_is_replaced_at_the_size_of_then() {
    let set = Set::new();
    let settings = EncoderSettings { largest: SIZE, ..set.settings() };
    let twice = ["nvenc-h264"; 2];
    let mut stream = Stream::with(settings, &set.rig, &twice);
    let (mut source, mut reference) = (set.source(OTHER), Reference(set.source(OTHER)));
    stream.code(draw(&mut set.source(SIZE), 0, true));
    stream.code(draw(&mut source, 1, true));
    // The device is lost, with the picture that it was handed.
    set.rig.gpu.plan_encode("nvEncEncodePicture", 1, 1, Effect::Status(20)).unwrap();
    stream.worker.submit(draw(&mut source, 2, true));
    wait_until("another takes over", || stream.events.all().len() == 3);
    for number in 3..6 {
        let unit = stream.code(draw(&mut source, number, true));
        assert_eq!(unit.kind == UnitKind::Key, number == 3);
        stream.assert_shows(&unit, &reference.picture(number));
    }
    let events = stream.events.all();
    let [WorkerEvent::Opened(_), WorkerEvent::FellBack { reason, .. }, WorkerEvent::Opened(_)] =
        &events[..]
    else {
        panic!("{events:?}");
    };
    assert!(reason.contains("EncodePicture"), "{reason}");
    assert_eq!(source.readbacks(), 0);
    drop(stream);
    set.rig.assert_clean();
}

#[test]
fn pictures_come_through_the_cpu_where_memory_is_not_imported() {
    // At first, and in the middle of the ring.
    for failing in [1, SLOTS as u32] {
        let set = Set::new();
        let not_supported = Effect::Status(801);
        let call = "cuImportExternalMemory";
        set.rig.gpu.plan_cuda(call, failing, u32::MAX, not_supported).unwrap();
        let (mut source, mut reference) = (set.source(SIZE), Reference(set.source(SIZE)));
        let mut stream = set.stream();
        // All slots at once: the pictures that are drawn when an import fails are shared ones too.
        let mut drawn: VecDeque<_> =
            (0..SLOTS as u64).map(|number| draw(&mut source, number, true)).collect();
        for number in SLOTS as u64..30 {
            let unit = stream.code(drawn.pop_front().unwrap());
            assert_eq!(unit.kind == UnitKind::Key, unit.frame == FrameId(0));
            stream.assert_shows(&unit, &reference.picture(unit.frame.0));
            drawn.push_back(draw(&mut source, number, stream.worker.wants_shared()));
        }
        assert!(!stream.worker.wants_shared());
        assert!(drawn.back().unwrap().image.shared().is_none(), "the source follows");
        let events = stream.events.all();
        let [WorkerEvent::Opened(_), WorkerEvent::NotShared { name, reason }] = &events[..] else {
            panic!("told once: {events:?}");
        };
        assert_eq!(*name, "nvenc-h264");
        assert!(reason.contains("cuImportExternalMemory"), "{reason}");
        stream.settle();
        assert_eq!(stream.worker.stats().failed, 0);
        assert_eq!(set.rig.calls("nvEncOpenEncodeSessionEx").len(), 1);
        assert!(!set.rig.calls("nvEncLockInputBuffer").is_empty());
        drop(stream);
        set.rig.assert_clean();
    }
}

#[test]
fn pictures_of_another_device_come_through_the_cpu() {
    let set = Set::new();
    // The encoder's device is not the one that draws.
    set.rig.gpu.cuda_device(media::DeviceId(*b"another-device-1")).unwrap();
    let (mut source, mut reference) = (set.source(SIZE), Reference(set.source(SIZE)));
    let mut stream = Stream::open(EncoderSettings { device: None, ..set.settings() }, &set.rig);
    for number in 0..6 {
        let unit = stream.code(draw(&mut source, number, stream.worker.wants_shared()));
        stream.assert_shows(&unit, &reference.picture(number));
    }
    // Once told, the source draws for the CPU: nothing is copied out of shared memory any more.
    assert!(!stream.worker.wants_shared());
    assert_eq!(source.readbacks(), 0);
    let events = stream.events.all();
    let [WorkerEvent::Opened(_), WorkerEvent::NotShared { reason, .. }] = &events[..] else {
        panic!("told once: {events:?}");
    };
    assert!(reason.contains("another device"), "{reason}");
    drop(stream);
    set.rig.assert_clean();
}

/// What is dropped, and in which state.
type End = fn(&Set, SceneSource, Stream);

#[test]
fn whatever_is_dropped_first_nothing_is_left() {
    let ends: [(&str, End); 7] = [
        ("an encoder without a picture", |_, source, stream| drop((stream, source))),
        ("a source without an encoder", |_, source, stream| drop((source, stream))),
        ("an encoder with pictures in it", |set, mut source, mut stream| {
            set.rig.gpu.encode_delay(20_000).unwrap();
            for number in 0..SLOTS as u64 {
                stream.submit(draw(&mut source, number, true));
            }
            drop((stream, source));
        }),
        ("a source whose pictures are in the encoder", |set, mut source, mut stream| {
            set.rig.gpu.encode_delay(20_000).unwrap();
            for number in 0..SLOTS as u64 {
                stream.submit(draw(&mut source, number, true));
            }
            drop(source);
            stream.units.wait_for(1);
        }),
        ("a picture that nobody codes", |_, mut source, mut stream| {
            stream.code(draw(&mut source, 0, true));
            let kept = draw(&mut source, 1, true);
            drop((stream, source));
            drop(kept);
        }),
        ("an encoder at a new size", |set, mut source, mut stream| {
            stream.code(draw(&mut source, 0, true));
            stream.submit(draw(&mut set.source(OTHER), 1, true));
            drop((stream, source));
        }),
        ("an encoder that was told this and that", |_, mut source, mut stream| {
            stream.code(draw(&mut source, 0, true));
            let (bitrate, rate) = (Bitrate::from_mbps(2), FrameRate::fps(30));
            stream.worker.command(Command::SetRate { bitrate, rate }).unwrap();
            stream.worker.command(Command::Keyframe).unwrap();
            stream.worker.command(Command::Forget(FrameId(0)..=FrameId(0))).unwrap();
            drop((stream, source));
        }),
    ];
    let set = Set::new();
    for (what, end) in ends {
        set.rig.gpu.encode_delay(0).unwrap();
        end(&set, set.source(SIZE), set.stream());
        let rules = (set.rig.gpu.encode_broken_rules(), set.rig.gpu.cuda_broken_rules());
        assert_eq!((rules.0.unwrap(), rules.1.unwrap()), (Vec::new(), Vec::new()), "{what}");
        // A thread that stood still while it was to end goes on with that.
        let left = (set.rig.encode_leftovers(), set.rig.cuda_leftovers());
        assert_eq!(left, (Vec::new(), Vec::new()), "{what}");
    }

    // The device that drew goes, and the encoder still reads what it drew.
    let (mut source, mut stream) = (set.source(SIZE), set.stream());
    stream.code(draw(&mut source, 0, true));
    let mut frame = draw(&mut source, 1, true);
    finish(&mut *frame.image);
    let Set { rig, pool, host } = set;
    drop((source, host, pool));
    let unit = stream.code(frame);
    assert_eq!(unit.kind, UnitKind::Delta);
    drop(stream);
    rig.assert_clean();
}
