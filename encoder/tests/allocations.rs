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

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Picture;
use common::doubles::{Image, SIZE, wait_until};
use media::{
    AccessUnit, Bitrate, ColorDescription, Damage, Frame, FrameId, FrameRate, InputSeq,
    PixelFormat, RateChange, Rect, SendRefused, StageTimes, TrackId, UnitKind, UnitSink, View,
};
use nearlight_encoder::nvenc::{self, Libraries};
use nearlight_encoder::{
    BlockingEncoder, Candidate, Command, ENCODE_PATIENCE, EncoderSettings, EncoderWorker,
    OpenError, WorkerConfig, candidates,
};
use smallvec::smallvec;
use testkit::{FakeClock, FakeGpu};

/// Frames before the counting starts: buffers grow to what the pictures need.
const WARM_UP: u64 = 60;
const COUNTED: u64 = 240;
/// A new rate every so many frames, as congestion control gives one.
const RATE_EVERY: u64 = 10;
/// Units that the sink holds, as the one of a session does.
const HELD: usize = 2;
/// Threads that run encoders, and those that wait for hardware, are named so.
const THREADS: [&str; 2] = ["enc-", "nvo-"];

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Where the first one came from.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

thread_local! {
    /// Whether this thread is one of those; `None` when nobody looked yet. Needs no destructor and
    /// no memory, so it is there for as long as the thread is.
    static ENCODES: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The system's allocator, counted.
struct Counting;

impl Counting {
    fn count() {
        if !COUNTING.load(Ordering::Relaxed) {
            return;
        }
        // What is asked and written down here may allocate in turn, which must not come back.
        let encodes = ENCODES.replace(Some(false)).unwrap_or_else(|| {
            let thread = std::thread::current();
            thread.name().is_some_and(|name| THREADS.iter().any(|prefix| name.starts_with(prefix)))
        });
        if encodes && ALLOCATIONS.fetch_add(1, Ordering::Relaxed) == 0 {
            *FIRST.lock().unwrap() = Some(Backtrace::force_capture().to_string());
        }
        ENCODES.set(Some(encodes));
    }
}

#[expect(unsafe_code, reason = "an allocator is; each call goes to the system's as it came")]
// SAFETY: the system's allocator keeps the contract, and gets every argument unchanged. Counting
// neither unwinds nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Takes every unit and holds the newest two.
struct Holding {
    units: VecDeque<AccessUnit>,
    sent: Arc<AtomicU64>,
    keyframes: Arc<AtomicU64>,
}

impl UnitSink for Holding {
    fn is_ready(&self) -> bool {
        true
    }
    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        if self.units.len() == HELD {
            self.units.pop_front();
        }
        self.keyframes.fetch_add(u64::from(unit.kind == UnitKind::Key), Ordering::SeqCst);
        self.units.push_back(unit);
        self.sent.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Moving pictures of one layout.
struct Film {
    format: PixelFormat,
    pictures: Vec<Arc<Vec<Vec<u8>>>>,
    stride: usize,
}

impl Film {
    fn nv12() -> Self {
        let pictures: Vec<_> = (0..16).map(|time| Picture::scene(SIZE, time)).collect();
        let stride = pictures[0].stride;
        let planes = |picture: Picture| Arc::new(vec![picture.luma, picture.chroma]);
        let pictures = pictures.into_iter().map(planes).collect();
        Self { format: PixelFormat::Nv12, pictures, stride }
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
        Self { format: PixelFormat::Bgrx8, pictures, stride: width * 4 }
    }

    fn frame(&self, number: u64) -> Frame {
        let image = Image {
            format: self.format,
            size: SIZE,
            data: Arc::clone(&self.pictures[number as usize % self.pictures.len()]),
            stride: self.stride,
            error: false,
            memory: None,
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
                PixelFormat::Nv12 => ColorDescription::BT709_LIMITED,
                _ => ColorDescription::SRGB,
            },
            depth: None,
            last_input: Some(InputSeq(number as u32)),
            stages: StageTimes::captured(now),
            image: Box::new(image),
        }
    }
}

/// Runs a candidate on a real thread and yields how often it allocated after the warm-up.
fn allocations(candidate: &Candidate, film: &Film, barcode: bool, seamless: bool) -> u64 {
    let (sent, keyframes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let sink = Holding {
        units: VecDeque::with_capacity(HELD),
        sent: Arc::clone(&sent),
        keyframes: Arc::clone(&keyframes),
    };
    let rate = FrameRate::fps(60);
    let config = WorkerConfig {
        label: "count".into(),
        track: TrackId(0),
        settings: EncoderSettings::new(SIZE, rate, Bitrate::from_mbps(4)),
        encoders: vec![candidate.clone()],
        keyframe_interval: Duration::from_millis(250),
        barcode,
        patience: ENCODE_PATIENCE,
    };
    let clock = Arc::new(FakeClock::default());
    let worker = EncoderWorker::spawn(config, Box::new(sink), clock, Box::new(|_| {})).unwrap();
    for number in 0..WARM_UP + COUNTED {
        if number == WARM_UP {
            ALLOCATIONS.store(0, Ordering::SeqCst);
            COUNTING.store(true, Ordering::SeqCst);
        }
        if seamless && number % RATE_EVERY == 0 {
            let bitrate = Bitrate::from_kbps(3_000 + number * 37 % 1_000);
            worker.command(Command::SetRate { bitrate, rate }).unwrap();
        }
        worker.submit(film.frame(number));
        // The statistics count it only after the sink has it: the thread is then done with the frame.
        wait_until("the unit comes", || worker.stats().encoded > number || worker.has_ended());
        assert!(!worker.has_ended(), "{}: ended at frame {number}", candidate.name);
    }
    COUNTING.store(false, Ordering::SeqCst);
    assert_eq!(sent.load(Ordering::SeqCst), WARM_UP + COUNTED);
    assert_eq!(keyframes.load(Ordering::SeqCst), 1, "{}: steady state", candidate.name);
    ALLOCATIONS.load(Ordering::SeqCst)
}

/// What is counted of one allocation on a thread of this name.
fn counted_on(thread: &str) -> u64 {
    let run = || {
        ALLOCATIONS.store(0, Ordering::SeqCst);
        COUNTING.store(true, Ordering::SeqCst);
        drop(std::hint::black_box(vec![0_u8; 100]));
        COUNTING.store(false, Ordering::SeqCst);
        ALLOCATIONS.load(Ordering::SeqCst)
    };
    std::thread::Builder::new().name(thread.into()).spawn(run).unwrap().join().unwrap()
}

/// One test, so that nothing else allocates on threads of this name.
#[test]
fn steady_state_allocates_nothing() {
    let counted = ["enc-a", "nvo-a", "other"].map(counted_on);
    assert_eq!(counted, [1, 1, 0], "the counting itself");
    FIRST.lock().unwrap().take();
    let settings = EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(4));
    let films = [(Film::nv12(), true), (Film::nv12(), false), (Film::bgrx(), true)];
    // A driver that is none has an allocator of its own: what is counted is ours.
    let gpu = FakeGpu::fresh().unwrap();
    let driver = Libraries { encode: gpu.encode().into(), cuda: gpu.cuda().into() };
    for candidate in candidates().into_iter().chain(nvenc::candidates(driver)) {
        let encoder = match BlockingEncoder::open(&candidate, &settings, ENCODE_PATIENCE) {
            Err(OpenError::Missing(what)) => {
                println!("{}: skipped, {what} is missing", candidate.name);
                continue;
            }
            opened => opened.unwrap(),
        };
        // Where a new rate costs a keyframe it is no steady state.
        let seamless = encoder.capabilities().rate_change == RateChange::Seamless;
        drop(encoder);
        for (film, barcode) in &films {
            let count = allocations(&candidate, film, *barcode, seamless);
            let what = format!("{} of {:?}, barcode {barcode}", candidate.name, film.format);
            println!("{what}: {count} allocations in {COUNTED} frames");
            let first = FIRST.lock().unwrap().take().unwrap_or_default();
            assert_eq!(count, 0, "{what}: the first one\n{first}");
        }
    }
}
