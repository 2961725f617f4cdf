//! NVENC where there is no card: by way of the doubles of NVIDIA's libraries, which tell for how long they or
//! the hardware that they stand for were at work. What is left is ours, from a picture's being handed to the
//! encoder's thread to its unit at the sink: three threads and the copy of the unit. Of slices that are read one
//! by one it is counted besides how long each of them, once it was ready, took to the sink, for the most part
//! until our thread looked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use encoder::h264::nals;
use encoder::nvenc::{self, Libraries};
use encoder::{Candidate, ENCODE_PATIENCE, EncoderSettings, EncoderWorker, WorkerConfig};
use media::{
    AccessUnit, Clock, ColorDescription, CpuImage, Damage, DeviceId, Frame, FrameId, FrameImage,
    ImageError, MemoryId, PixelFormat, PlaneMut, SendRefused, SharedImage, SharedMemory,
    SharedPlane, Size, StageTimes, TrackId, UnitSink, View,
};
use server::clock::MonotonicClock;
use smallvec::{SmallVec, smallvec};
use testkit::allocations::{self, Allocations};
use testkit::{Exported, FakeGpu};

use super::clip::{self, Clip};
use super::{COMPARED_KBPS, SIZE, settings};
use crate::apps::SLOTS;
use crate::figures::Findings;
use crate::sections::PATTERN_FPS;

const DEVICE: DeviceId = DeviceId(*b"nearlight-double");
/// Bytes from a row to the next, as a ring in shared memory has it.
const STRIDE: usize = SIZE.width.next_multiple_of(256) as usize;

/// Slices that are read one by one, beside pictures that are read whole.
const SLICES: u8 = 4;
/// In which the double's slices become ready one after another: about what a card takes for such a picture.
const SLICED_MICROS: u32 = 4_000;

/// Pictures read whole, and slice by slice.
pub(super) fn run(seconds: u32, findings: &mut Findings) -> Result<()> {
    coded("encoders.nvenc", 1, seconds, findings)?;
    coded("encoders.nvenc.slices", SLICES, seconds, findings)?;
    findings.note(
        "encoders.nvenc is of doubles of NVIDIA's libraries, whose own time is taken off, and that of the \
         hardware they stand for: it says nothing of a card. encoders.nvenc.slices.each is of every slice, from \
         when it is ready to the sink",
    );
    Ok(())
}

/// Codes the pattern, which lies in memory that the double imports.
fn coded(name: &str, slices: u8, seconds: u32, findings: &mut Findings) -> Result<()> {
    let gpu = FakeGpu::fresh().context("the doubles of NVIDIA's libraries")?;
    gpu.cuda_device(DEVICE)?;
    let libraries = Libraries { encode: gpu.encode().into(), cuda: gpu.cuda().into() };
    let [h264, ..] = nvenc::candidates(libraries);
    let h264 = sliced(&h264, slices);
    if slices > 1 {
        gpu.encode_delay(SLICED_MICROS)?;
    }
    // Bounded: it allocates when it is made, and not on the thread that is counted.
    let (sent, arrived) = sync_channel(usize::from(SLICES));
    let config = WorkerConfig {
        label: "nvenc".into(),
        track: TrackId(0),
        settings: settings(COMPARED_KBPS),
        encoders: vec![h264],
        keyframe_interval: Duration::ZERO,
        barcode: false,
        patience: ENCODE_PATIENCE,
    };
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let sink = Box::new(Arrivals(sent));
    let worker = EncoderWorker::spawn(config, sink, clock.clone(), Box::new(|_| {}))?;

    let maps = Arc::new(AtomicU64::new(0));
    let mut slots = (0..SLOTS).map(|_| Slot::new(&maps)).collect::<Result<Vec<_>>>()?;
    let mut clip = Clip::new();
    let frames = PATTERN_FPS * seconds;
    let mut times = Vec::with_capacity(frames as usize);
    let mut each = Vec::with_capacity((frames * u32::from(slices)) as usize);
    let mut parts = Vec::with_capacity(SLICES.into());
    // The first pictures fill buffers, and show how long slices take.
    for number in 0..PATTERN_FPS + frames {
        let slot = &mut slots[number as usize % SLOTS];
        // Each time: what the double has read it overwrites.
        slot.draw(&clip.next(|image| clip::nv12(&image))?);
        let frame = slot.frame(FrameId(number.into()), clock.as_ref());
        if number == PATTERN_FPS {
            allocations::begin();
        }
        let (in_double, began) = (gpu.encode_time()?, Instant::now());
        worker.submit(frame);
        parts.clear();
        let ended = loop {
            let part = arrived.recv_timeout(ENCODE_PATIENCE * 2).context("no unit came")?;
            let (at, last) = (part.at, part.last);
            parts.push(part);
            if last {
                break at;
            }
        };
        let (whole, in_double) = (ended - began, gpu.encode_time()? - in_double);
        if number < PATTERN_FPS {
            continue;
        }
        times.push(whole.saturating_sub(in_double).as_secs_f64() * 1e3);
        if slices > 1 {
            let now = Instant::now();
            each.extend(waits(&parts, now, &gpu.encode_slice_ages()?)?);
        }
    }
    let Allocations { count, first } = allocations::end();
    worker.stop();
    let broken = [gpu.encode_broken_rules()?, gpu.cuda_broken_rules()?].concat();
    ensure!(broken.is_empty(), "rules of the driver were broken: {broken:?}");
    let copies = ["nvEncCreateInputBuffer", "nvEncLockInputBuffer", "cuMemcpy"];
    let calls = [gpu.encode_log()?, gpu.cuda_log()?].concat();
    let copied = |line: &&String| copies.iter().any(|call| line.starts_with(call));
    let copied = calls.iter().filter(copied).count() as f64;

    findings.spread(&format!("{name}.own"), "ms", times);
    if slices > 1 {
        findings.spread(&format!("{name}.each"), "ms", each);
    }
    let looks = calls.iter().filter(|line| line.starts_with("nvEncLockBitstream")).count();
    findings.put(
        format!("{name}.looks"),
        "a picture",
        looks as f64 / f64::from(PATTERN_FPS + frames),
    );
    let copies = copied + maps.load(Ordering::Relaxed) as f64;
    findings.put(format!("{name}.copies"), "", copies);
    findings.put(format!("{name}.allocations"), "", count as f64);
    if let Some(first) = first {
        findings.note(format!("{name}.allocations: the first one is\n{first}"));
    }
    Ok(())
}

/// The candidate with so many slices.
fn sliced(candidate: &Candidate, slices: u8) -> Candidate {
    let inner = candidate.open.clone();
    let open = move |settings: &EncoderSettings, wake: &_| {
        inner(&EncoderSettings { slices, ..*settings }, wake)
    };
    Candidate { open: Arc::new(open), ..candidate.clone() }
}

/// Milliseconds from when each slice was ready until it was at the sink; `ages` are for how long they have been.
/// since `now`, or a few microseconds more.
fn waits(parts: &[Arrival], now: Instant, ages: &[Duration]) -> Result<Vec<f64>> {
    let at = parts.iter().flat_map(|part| {
        let slices = nals(&part.data).filter(|nal| nal.kind().is_slice()).count();
        std::iter::repeat_n(part.at, slices)
    });
    let at = at.collect::<Vec<_>>();
    ensure!(at.len() == ages.len(), "{} slices of {} came", at.len(), ages.len());
    let wait = |(at, age): (Instant, &Duration)| age.saturating_sub(now - at).as_secs_f64() * 1e3;
    Ok(at.into_iter().zip(ages).map(wait).collect())
}

/// A part of a unit at the sink.
struct Arrival {
    at: Instant,
    last: bool,
    data: Bytes,
}

/// Tells when parts of units came.
struct Arrivals(SyncSender<Arrival>);

impl UnitSink for Arrivals {
    fn is_ready(&self) -> bool {
        true
    }

    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        let arrival = Arrival { at: Instant::now(), last: unit.part.last, data: unit.data };
        // Nobody listens once the measurement has failed.
        self.0.send(arrival).map_err(|_| SendRefused::NotConnected)
    }
}

/// A slot of a ring in shared memory.
struct Slot {
    memory: Exported,
    shared: Arc<SharedMemory>,
    /// Pictures that the CPU asked for.
    maps: Arc<AtomicU64>,
}

impl Slot {
    fn new(maps: &Arc<AtomicU64>) -> Result<Self> {
        let bytes = STRIDE * SIZE.height as usize * 3 / 2;
        let memory = Exported::lavapipe(bytes)?;
        let shared = Arc::new(SharedMemory {
            id: MemoryId::next(),
            device: DEVICE,
            fd: memory.fd()?,
            bytes: bytes as u64,
            dedicated: true,
        });
        Ok(Self { memory, shared, maps: maps.clone() })
    }

    fn draw(&mut self, nv12: &[u8]) {
        let rows = nv12.chunks(SIZE.width as usize);
        for (to, from) in self.memory.bytes_mut().chunks_mut(STRIDE).zip(rows) {
            to[..from.len()].copy_from_slice(from);
        }
    }

    fn frame(&self, id: FrameId, clock: &dyn Clock) -> Frame {
        let now = clock.now();
        Frame {
            id,
            captured_at: now,
            views: smallvec![View::screen(SIZE)],
            damage: Damage::Unknown,
            color: ColorDescription::BT709_LIMITED,
            depth: None,
            last_input: None,
            scaled: false,
            stages: StageTimes::captured(now),
            image: Box::new(Image { memory: self.shared.clone(), maps: self.maps.clone() }),
        }
    }
}

/// The picture in a slot, complete.
struct Image {
    memory: Arc<SharedMemory>,
    maps: Arc<AtomicU64>,
}

impl FrameImage for Image {
    fn format(&self) -> PixelFormat {
        PixelFormat::Nv12
    }

    fn size(&self) -> Size {
        SIZE
    }

    fn finish(&mut self, _: &dyn Clock, _: &mut StageTimes) -> Result<(), ImageError> {
        Ok(())
    }

    /// Counted, and refused: then no unit comes.
    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        self.maps.fetch_add(1, Ordering::Relaxed);
        Err(ImageError::Unfinished)
    }

    fn shared(&self) -> Option<SharedImage<'_>> {
        let stride = STRIDE as u32;
        let luma = u64::from(stride) * u64::from(SIZE.height);
        let planes =
            smallvec![SharedPlane { offset: 0, stride }, SharedPlane { offset: luma, stride }];
        let (memory, format) = (&self.memory, self.format());
        Some(SharedImage { memory, format, size: SIZE, planes, ready: None })
    }

    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        None
    }
}
