//! Steady state allocates nothing (house rule): counted for every encoder of this machine, on the
//! threads that run encoders, by a binary of its own, since there is one allocator in a process.
//!
//! What is counted is what Rust allocates, ours and that of the crates we use. C libraries call
//! `malloc` themselves and are not seen here. By a count of those calls on the same threads: OpenH264
//! makes none for a frame, GStreamer's x264enc one, of the size of the unit. Keyframes allocate here
//! too, for their parameter sets, and are not steady state.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Picture;
use common::doubles::{DEADLINE, Image, SIZE, wait_until};
use common::gpu::Slot;
use media::{
    AccessUnit, Bitrate, Codec, ColorDescription, Damage, Frame, FrameId, FrameRate, InputSeq,
    PictureKind, PixelFormat, RateChange, Rect, RegionQuality, Regions, SendRefused, SharedMemory,
    StageTimes, TrackId, UnitKind, UnitSink, View,
};
use nearlight_encoder::nvenc::{self, Libraries};
use nearlight_encoder::{
    BlockingEncoder, Candidate, Command, EncoderSettings, EncoderWorker, OpenError, WorkerConfig,
    candidates,
};
use smallvec::smallvec;
use testkit::allocations::{self, Allocations, Counting};
use testkit::{FakeClock, FakeGpu};

/// Frames before the counting starts: buffers grow to what the pictures need.
const WARM_UP: u64 = 60;
const COUNTED: u64 = 120;
/// A new rate every so many frames, as congestion control gives one.
const RATE_EVERY: u64 = 10;
/// Units that the sink holds, as the one of a session does.
const HELD: usize = 2;

#[global_allocator]
static ALLOCATOR: Counting = Counting::on(&["enc-", "nvo-"]);

/// Slices of a picture that leave one by one.
const SLICES: u8 = 4;

/// How pictures are coded.
#[derive(Clone, Copy, Debug)]
struct How {
    barcode: bool,
    regions: bool,
    slices: u8,
}

const PLAIN: How = How { barcode: false, regions: false, slices: 1 };

/// Takes every unit and holds the newest two, with all of their parts.
struct Holding {
    units: VecDeque<AccessUnit>,
    sent: Arc<AtomicU64>,
    parts: Arc<AtomicU64>,
    keyframes: Arc<AtomicU64>,
}

impl UnitSink for Holding {
    fn is_ready(&self) -> bool {
        true
    }
    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let number = |unit: &AccessUnit| unit.frame.0;
        while self.units.front().is_some_and(|held| number(held) + HELD as u64 <= number(&unit)) {
            self.units.pop_front();
        }
        if unit.part.last {
            self.keyframes.fetch_add(u64::from(unit.kind == UnitKind::Key), Ordering::SeqCst);
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
        self.parts.fetch_add(1, Ordering::SeqCst);
        self.units.push_back(unit);
        Ok(())
    }
}

/// Moving pictures of one layout.
struct Film {
    name: &'static str,
    format: PixelFormat,
    pictures: Vec<Arc<Vec<Vec<u8>>>>,
    stride: usize,
    /// Where pictures lie, in turn, that hardware reads in place.
    slots: Vec<Slot>,
}

impl Film {
    fn nv12() -> Self {
        let pictures: Vec<_> = (0..16).map(|time| Picture::scene(SIZE, time)).collect();
        let stride = pictures[0].stride;
        let planes = |picture: Picture| Arc::new(vec![picture.luma, picture.chroma]);
        let pictures = pictures.into_iter().map(planes).collect();
        Self { name: "NV12", format: PixelFormat::Nv12, pictures, stride, slots: Vec::new() }
    }

    /// The same as grey, which is enough to run the conversion.
    fn bgrx() -> Self {
        let width = SIZE.width as usize;
        let grey = |picture: Picture| {
            let rows = picture.luma.chunks(picture.stride).take(SIZE.height as usize);
            let pixels = rows.flat_map(|row| &row[..width]).flat_map(|&y| [y, y, y, 255]);
            Arc::new(vec![pixels.collect()])
        };
        let pictures = (0..16).map(|time| grey(Picture::scene(SIZE, time))).collect();
        let (stride, slots) = (width * 4, Vec::new());
        Self { name: "BGRX", format: PixelFormat::Bgrx8, pictures, stride, slots }
    }

    /// The same in ten bits.
    fn ten_bits() -> Self {
        let Self { pictures, stride, .. } = Self::nv12();
        let widen = |plane: &Vec<u8>| plane.iter().flat_map(|&value| [0, value]).collect();
        let pictures = pictures
            .iter()
            .map(|planes| Arc::new(planes.iter().map(widen).collect::<Vec<Vec<u8>>>()))
            .collect();
        let (format, stride, slots) = (PixelFormat::P010, stride * 2, Vec::new());
        Self { name: "P010", format, pictures, stride, slots }
    }

    /// What an encoder of them is given.
    fn kind(&self) -> PictureKind {
        if self.format == PixelFormat::P010 { PictureKind::HDR10 } else { PictureKind::NV12 }
    }

    /// NV12 in memory of the doubles' device.
    fn shared() -> Self {
        let slots: Vec<_> = (0..3).map(|_| Slot::new(PixelFormat::Nv12, SIZE)).collect();
        let stride = slots[0].stride();
        Self { name: "NV12 in shared memory", stride, slots, ..Self::nv12() }
    }

    /// The memory that a picture is drawn into: the double overwrites each that it has read.
    fn draw(&mut self, number: u64) -> Option<Arc<SharedMemory>> {
        let count = self.slots.len();
        let slot = self.slots.get_mut(number as usize % count.max(1))?;
        slot.draw_scene(&Picture::scene(SIZE, number as usize % 16));
        Some(slot.memory().clone())
    }

    fn frame(&mut self, number: u64) -> Frame {
        let image = Image {
            format: self.format,
            size: SIZE,
            data: Arc::clone(&self.pictures[number as usize % self.pictures.len()]),
            stride: self.stride,
            error: false,
            memory: self.draw(number),
            ready: None,
            finished: None,
            returned: Arc::default(),
        };
        let now = media::MediaTime::from_millis(number * 16);
        let mut damage = Damage::none();
        for n in 0..number as u32 % 6 {
            damage.add(Rect { x: n * 16, y: 16, width: 8, height: 8 });
        }
        Frame {
            id: FrameId(number),
            captured_at: now,
            views: smallvec![View::screen(SIZE)],
            damage,
            color: match self.format {
                PixelFormat::Bgrx8 => ColorDescription::SRGB,
                _ => self.kind().color,
            },
            depth: None,
            last_input: Some(InputSeq(number as u32)),
            scaled: false,
            stages: StageTimes::captured(now),
            image: Box::new(image),
        }
    }
}

/// Runs a candidate on a real thread and yields what it allocated after the warm-up.
fn measure(candidate: &Candidate, film: &mut Film, how: How, seamless: bool) -> Allocations {
    let How { barcode, regions, slices } = how;
    let [sent, parts, keyframes] = [(); 3].map(|()| Arc::new(AtomicU64::new(0)));
    let sink = Holding {
        units: VecDeque::with_capacity(HELD * usize::from(slices)),
        sent: Arc::clone(&sent),
        parts: Arc::clone(&parts),
        keyframes: Arc::clone(&keyframes),
    };
    let rate = FrameRate::fps(60);
    let config = WorkerConfig {
        label: "count".into(),
        track: TrackId(0),
        settings: EncoderSettings {
            regions,
            slices,
            ..EncoderSettings::new(SIZE, rate, Bitrate::from_mbps(4)).with_kind(film.kind())
        },
        encoders: vec![candidate.clone()],
        keyframe_interval: Duration::from_millis(250),
        barcode,
        patience: DEADLINE,
    };
    let clock = Arc::new(FakeClock::default());
    let worker = EncoderWorker::spawn(config, Box::new(sink), clock, Box::new(|_| {})).unwrap();
    for number in 0..WARM_UP + COUNTED {
        if number == WARM_UP {
            allocations::begin();
        }
        if seamless && number % RATE_EVERY == 0 {
            let bitrate = Bitrate::from_kbps(3_000 + number * 37 % 1_000);
            worker.command(Command::SetRate { bitrate, rate }).unwrap();
        }
        if regions {
            worker.command(looked_at(number)).unwrap();
        }
        worker.submit(film.frame(number));
        // The statistics count it only after the sink has it: the thread is then done with the frame.
        wait_until("the unit comes", || worker.stats().encoded > number || worker.has_ended());
        assert!(!worker.has_ended(), "{}: ended at frame {number}", candidate.name);
        // As a viewer does who sees every frame: what keeps long-term references goes on with that.
        worker.command(Command::Acknowledge(FrameId(number))).unwrap();
    }
    let counted = allocations::end();
    let [sent, parts] = [sent, parts].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(sent, WARM_UP + COUNTED);
    // AV1's tiles leave together.
    let in_parts = slices > 1 && candidate.codec != Codec::Av1;
    assert_eq!(parts > sent, in_parts, "{}: {parts} parts of {sent}", candidate.name);
    assert_eq!(keyframes.load(Ordering::SeqCst), 1, "{}: steady state", candidate.name);
    counted
}

/// A part of the picture that matters more, which is elsewhere with every frame, as an eye is.
fn looked_at(number: u64) -> Command {
    let (x, y) = (number as u32 * 7 % SIZE.width, number as u32 * 5 % SIZE.height);
    let part = |rect, steps| RegionQuality { rect, steps };
    let fovea = part(Rect { x, y, width: 100, height: 100 }, -6);
    let regions = Regions::new(&[part(Rect::whole(SIZE), 3), fovea]).unwrap();
    Command::SetRegions { size: SIZE, regions }
}

/// What is counted of one allocation on a thread of this name.
fn counted_on(thread: &str) -> u64 {
    let run = || {
        allocations::begin();
        drop(std::hint::black_box(vec![0_u8; 100]));
        allocations::end().count
    };
    std::thread::Builder::new().name(thread.into()).spawn(run).unwrap().join().unwrap()
}

/// One test, so that nothing else allocates on threads of this name.
#[test]
fn steady_state_allocates_nothing() {
    let counted = ["enc-a", "nvo-a", "other"].map(counted_on);
    assert_eq!(counted, [1, 1, 0], "the counting itself");
    let settings = EncoderSettings {
        regions: true,
        ..EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(4))
    };
    let barcode = How { barcode: true, ..PLAIN };
    let sliced = How { slices: SLICES, ..PLAIN };
    let mut films = [
        (Film::nv12(), barcode),
        (Film::nv12(), PLAIN),
        (Film::nv12(), How { regions: true, ..PLAIN }),
        (Film::bgrx(), barcode),
        (Film::shared(), PLAIN),
        (Film::shared(), sliced),
        (Film::ten_bits(), barcode),
    ];
    // A driver that is none has an allocator of its own: what is counted is ours.
    let gpu = FakeGpu::fresh().unwrap();
    let driver = Libraries { encode: gpu.encode().into(), cuda: gpu.cuda().into() };
    for candidate in candidates().into_iter().chain(nvenc::candidates(driver)) {
        let encoder = match BlockingEncoder::open(&candidate, &settings, DEADLINE) {
            Err(OpenError::Missing(what)) => {
                println!("{}: skipped, {what} is missing", candidate.name);
                continue;
            }
            opened => opened.unwrap(),
        };
        // Where a new rate costs a keyframe it is no steady state.
        let capabilities = encoder.capabilities().clone();
        let seamless = capabilities.rate_change == RateChange::Seamless;
        let has_regions = capabilities.regions.is_some();
        drop(encoder);
        for (film, how) in &mut films {
            let How { regions, .. } = *how;
            let takes = capabilities.formats.contains(&film.kind().format);
            let in_place = !film.slots.is_empty();
            if !takes || in_place && !candidate.hardware || regions && !has_regions {
                continue;
            }
            let Allocations { count, first } = measure(&candidate, film, *how, seamless);
            let what = format!("{} of {}, {how:?}", candidate.name, film.name);
            println!("{what}: {count} allocations in {COUNTED} frames");
            assert_eq!(count, 0, "{what}: the first one\n{}", first.unwrap_or_default());
        }
    }
    // Of three codecs, each of them all pictures, once with slices.
    let log = gpu.encode_log().unwrap();
    let mapped = log.iter().filter(|line| line.starts_with("nvEncMapInputResource 0"));
    assert_eq!(mapped.count() as u64, 6 * (WARM_UP + COUNTED), "pictures that were read in place");
}
