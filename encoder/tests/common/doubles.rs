//! Doubles of everything around the encoder thread, and a bench that wires them to one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{
    AccessUnit, Bitrate, Clock, Codec, ColorDescription, CpuImage, Damage, DamagedRects,
    EncodeError, EncodeOptions, Encoded, Encoder, EncoderCapabilities, Frame, FrameId, FrameImage,
    FrameRate, ImageError, InputSeq, Mark, Picture, PixelFormat, Plane, PlaneMut, RateChange,
    Recovery, RecoveryMeans, SendRefused, SharedImage, SharedMemory, SharedPlane, SharedSemaphore,
    SharedSignal, Size, StageTimes, Submitted, TrackId, UnitKind, UnitSink, View,
};
use nearlight_encoder::{
    Candidate, Command, EncoderSettings, EncoderWorker, OpenError, Wake, WorkerConfig, WorkerEvent,
};
use smallvec::{SmallVec, smallvec};
use testkit::FakeClock;

pub const SIZE: Size = Size::new(640, 384);
pub const INTERVAL: Duration = Duration::from_millis(250);
/// Far longer than anything here takes; only a hang reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Things that the thread reports, waited for.
pub struct Log<T>(Mutex<Vec<T>>, Condvar);

impl<T: Clone> Log<T> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::new()), Condvar::new()))
    }
    pub fn push(&self, entry: T) {
        self.0.lock().unwrap().push(entry);
        self.1.notify_all();
    }
    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
    pub fn wait_for(&self, count: usize) -> Vec<T> {
        let guard = self.0.lock().unwrap();
        let (entries, timeout) =
            self.1.wait_timeout_while(guard, DEADLINE, |entries| entries.len() < count).unwrap();
        assert!(!timeout.timed_out(), "{} entries instead of {count}", entries.len());
        entries.clone()
    }
}

/// A sink that can be not ready, or refuse although it said it was.
#[derive(Clone)]
pub struct SinkDouble {
    pub units: Arc<Log<AccessUnit>>,
    pub ready: Arc<AtomicBool>,
    pub refuse: Arc<AtomicBool>,
}

impl SinkDouble {
    pub fn new() -> Self {
        Self {
            units: Log::new(),
            ready: Arc::new(AtomicBool::new(true)),
            refuse: Arc::new(AtomicBool::new(false)),
        }
    }
}

impl UnitSink for SinkDouble {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
    fn send(&mut self, unit: AccessUnit) -> Result<(), SendRefused> {
        if self.refuse.load(Ordering::SeqCst) {
            return Err(SendRefused::Full);
        }
        self.units.push(unit);
        Ok(())
    }
}

/// What an encoder double does.
#[derive(Clone, Copy, PartialEq)]
pub enum Behaviour {
    Works,
    Invalidates,
    DoesNotOpen,
    FailsAtFrame(u64),
    PanicsAtFrame(u64),
    RefusesRates,
    /// Each new rate costs a keyframe.
    PaysForRates,
    HasRegions,
    /// Says from where to where, in columns, it was told that pictures have changed.
    SaysDamage,
    /// Takes pictures of this size at least.
    HasLeastSize(Size),
}

/// An encoder double whose units say what it was told.
pub struct EncoderDouble {
    pub capabilities: EncoderCapabilities,
    pub behaviour: Behaviour,
    pub fresh: bool,
    pub forgotten: bool,
    pub integer_motion: bool,
    pub calls: Arc<Log<String>>,
}

impl Encoder for EncoderDouble {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }
    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        match self.behaviour {
            Behaviour::FailsAtFrame(at) if frame.0 == at => {
                return Err(EncodeError::Fatal("the double broke".into()));
            }
            Behaviour::PanicsAtFrame(at) if frame.0 == at => panic!("the double panicked"),
            _ => {}
        }
        let Picture::Cpu(image) = picture else {
            return Err(EncodeError::Refused("the double reads no shared memory".into()));
        };
        let fresh = std::mem::take(&mut self.fresh);
        let forgotten = std::mem::take(&mut self.forgotten);
        let kind = match (options.keyframe || fresh, forgotten) {
            (true, _) => UnitKind::Key,
            (false, true) => UnitKind::Recovery,
            (false, false) => UnitKind::Delta,
        };
        self.calls.push(format!("{} encode {} {kind:?}", self.capabilities.name, frame.0));
        for region in options.regions.as_slice() {
            self.calls.push(format!("region of {}", region.steps));
        }
        if self.behaviour == Behaviour::SaysDamage {
            let columns = |damage: DamagedRects| -> Vec<_> {
                damage.as_slice().iter().map(|rect| (rect.x, rect.x + rect.width)).collect()
            };
            self.calls.push(format!("changed {:?}", options.damage.map(columns)));
        }
        let data = Bytes::from(vec![0; image.size.width as usize]);
        // Good at once, so that nothing is coded again.
        Ok(Submitted::Now(Encoded { quantiser: Some(10), ..Encoded::new(data, kind) }))
    }
    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        None
    }
    fn acknowledge(&mut self, frame: FrameId) {
        self.calls.push(format!("acknowledge {}", frame.0));
    }
    fn set_rate(&mut self, bitrate: Bitrate, rate: FrameRate) -> Result<RateChange, EncodeError> {
        if self.behaviour == Behaviour::RefusesRates {
            return Err(EncodeError::Fatal("no such rate".into()));
        }
        self.calls.push(format!("rate {} {}", bitrate.kbps(), rate.as_f64()));
        Ok(RateChange::Seamless)
    }
    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.calls.push(format!("forget {} to {}", lost.start().0, lost.end().0));
        if self.behaviour == Behaviour::Invalidates {
            self.forgotten = true;
            let base = FrameId(lost.start().0.saturating_sub(1));
            return Recovery::Invalidated { base };
        }
        Recovery::KeyframeNeeded
    }
    fn set_integer_motion(&mut self, whole: bool) {
        self.integer_motion = whole;
    }
    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        check_size(&self.capabilities, size, &self.calls).map_err(EncodeError::Refused)?;
        self.calls.push(format!("resize {size}{}", moving(self.integer_motion)));
        self.fresh = true;
        Ok(())
    }
}

/// What it was told of motion, where that is not what benches are opened with.
const fn moving(whole: bool) -> &'static str {
    if whole { "" } else { " by parts of pixels" }
}

/// Whether the double takes pictures of this size.
fn check_size(
    capabilities: &EncoderCapabilities,
    size: Size,
    calls: &Log<String>,
) -> Result<(), String> {
    let EncoderCapabilities { name, smallest, .. } = capabilities;
    if capabilities.takes_size(size) {
        return Ok(());
    }
    calls.push(format!("{name} refuses {size}"));
    Err(format!("{size} is too small, it takes {smallest} at least"))
}

pub fn double(name: &'static str, behaviour: Behaviour, calls: &Arc<Log<String>>) -> Candidate {
    let calls = Arc::clone(calls);
    Candidate {
        name,
        codec: Codec::H264,
        hardware: false,
        library: "a double",
        open: Arc::new(move |settings: &EncoderSettings, _: &Wake| {
            if behaviour == Behaviour::DoesNotOpen {
                return Err(OpenError::Missing("the double's plugin".into()));
            }
            let plain = EncoderCapabilities::plain(name, Codec::H264);
            let capabilities = EncoderCapabilities {
                rate_change: if behaviour == Behaviour::PaysForRates {
                    RateChange::Keyframe
                } else {
                    RateChange::Seamless
                },
                recovery: if behaviour == Behaviour::Invalidates {
                    RecoveryMeans::References { reach: u16::MAX }
                } else {
                    RecoveryMeans::Keyframe
                },
                regions: (behaviour == Behaviour::HasRegions).then_some(16),
                smallest: match behaviour {
                    Behaviour::HasLeastSize(size) => size,
                    _ => plain.smallest,
                },
                ..plain
            };
            check_size(&capabilities, settings.size, &calls).map_err(OpenError::Refused)?;
            let moving = moving(settings.integer_motion);
            calls.push(format!("{name} open {}{moving}", settings.bitrate.kbps()));
            Ok(Box::new(EncoderDouble {
                capabilities,
                behaviour,
                fresh: true,
                forgotten: false,
                integer_motion: settings.integer_motion,
                calls: Arc::clone(&calls),
            }))
        }),
    }
}

/// A picture in memory that counts how often it was given back.
pub struct Image {
    pub format: PixelFormat,
    pub size: Size,
    pub data: Arc<Vec<Vec<u8>>>,
    pub stride: usize,
    pub error: bool,
    /// Where it lies too, for encoders on that device.
    pub memory: Option<Arc<SharedMemory>>,
    /// What says that it is complete there.
    pub ready: Option<Arc<SharedSemaphore>>,
    /// Told when it is waited for by the CPU.
    pub finished: Option<Arc<Log<String>>>,
    pub returned: Arc<AtomicU64>,
}

impl FrameImage for Image {
    fn format(&self) -> PixelFormat {
        self.format
    }
    fn size(&self) -> Size {
        self.size
    }
    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        stages.mark(Mark::Drawn, clock.now());
        if let Some(log) = &self.finished {
            log.push("finish".into());
        }
        if self.error { Err(ImageError::Lost("the double's device".into())) } else { Ok(()) }
    }
    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        let plane = |data| Plane { data, stride: self.stride };
        Ok(CpuImage {
            format: self.format,
            size: self.size,
            planes: self.data.iter().map(|data| plane(data.as_slice())).collect(),
        })
    }
    fn shared(&self) -> Option<SharedImage<'_>> {
        let memory = self.memory.as_ref()?;
        let stride = self.stride as u32;
        let luma = u64::from(stride) * u64::from(self.size.height);
        let planes =
            smallvec![SharedPlane { offset: 0, stride }, SharedPlane { offset: luma, stride }];
        let signal = |semaphore| SharedSignal { semaphore, value: Some(1) };
        let ready = self.ready.as_ref().map(signal);
        Some(SharedImage { memory, format: self.format, size: self.size, planes, ready })
    }
    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        None
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        self.returned.fetch_add(1, Ordering::SeqCst);
    }
}

/// A worker with its surroundings.
pub struct Bench {
    pub worker: EncoderWorker,
    pub sink: SinkDouble,
    pub clock: Arc<FakeClock>,
    pub events: Arc<Log<WorkerEvent>>,
    pub calls: Arc<Log<String>>,
    pub returned: Arc<AtomicU64>,
    pub next: u64,
}

impl Bench {
    pub fn of(behaviours: &[(&'static str, Behaviour)]) -> Self {
        let calls = Log::new();
        let encoders = behaviours.iter().map(|&(name, what)| double(name, what, &calls)).collect();
        Self::with(encoders, calls, false)
    }

    pub fn with(encoders: Vec<Candidate>, calls: Arc<Log<String>>, barcode: bool) -> Self {
        Self::with_patience(encoders, calls, barcode, DEADLINE)
    }

    pub fn with_patience(
        encoders: Vec<Candidate>,
        calls: Arc<Log<String>>,
        barcode: bool,
        patience: Duration,
    ) -> Self {
        let (sink, clock, events) = (SinkDouble::new(), Arc::new(FakeClock::default()), Log::new());
        let config = WorkerConfig {
            label: "test".into(),
            track: TrackId(3),
            settings: EncoderSettings {
                integer_motion: true,
                ..EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(5))
            },
            encoders,
            keyframe_interval: INTERVAL,
            barcode,
            patience,
        };
        let log = Arc::clone(&events);
        let worker = EncoderWorker::spawn(
            config,
            Box::new(sink.clone()),
            Arc::<FakeClock>::clone(&clock),
            Box::new(move |event| log.push(event)),
        )
        .unwrap();
        Self { worker, sink, clock, events, calls, returned: Arc::default(), next: 0 }
    }

    pub fn frame(&mut self, change: impl FnOnce(&mut Image)) -> Frame {
        let data = vec![vec![90; 640 * 384], vec![128; 640 * 192]];
        let mut image = Image {
            format: PixelFormat::Nv12,
            size: SIZE,
            data: Arc::new(data),
            stride: 640,
            error: false,
            memory: None,
            ready: None,
            finished: None,
            returned: Arc::clone(&self.returned),
        };
        change(&mut image);
        let id = FrameId(self.next);
        self.next += 1;
        let now = self.clock.now();
        Frame {
            id,
            captured_at: now,
            views: smallvec![View::screen(image.size)],
            damage: Damage::Unknown,
            color: match image.format {
                PixelFormat::Nv12 => ColorDescription::BT709_LIMITED,
                _ => ColorDescription::SRGB,
            },
            depth: None,
            last_input: Some(InputSeq(id.0 as u32 + 100)),
            scaled: false,
            stages: StageTimes::captured(now),
            image: Box::new(image),
        }
    }

    /// Submits a frame and waits until the thread is done with it.
    pub fn submit_with(&mut self, change: impl FnOnce(&mut Image)) {
        let frame = self.frame(change);
        let before = self.returned.load(Ordering::SeqCst);
        self.worker.submit(frame);
        wait_until("the frame is given back", || self.returned.load(Ordering::SeqCst) > before);
        self.settle();
    }

    pub fn submit(&mut self) {
        self.submit_with(|_| {});
    }

    /// The same of pictures of another size.
    pub fn submit_sized(&mut self, size: Size) {
        let luma = (size.width * size.height) as usize;
        self.submit_with(|image| {
            (image.size, image.stride) = (size, size.width as usize);
            image.data = Arc::new(vec![vec![90; luma], vec![128; luma / 2]]);
        });
    }

    /// Waits until every frame submitted so far was counted.
    pub fn settle(&self) {
        wait_until("the frames are counted", || {
            let stats = self.worker.stats();
            let unsent = stats.dropped + stats.skipped + stats.throttled;
            let seen = stats.encoded + unsent + stats.refused + stats.failed;
            seen == self.next || self.worker.has_ended()
        });
    }

    /// Stops the thread, which must end by itself.
    pub fn end(self) {
        self.worker.command(Command::Stop).unwrap();
        wait_until("the thread ends", || self.worker.has_ended());
    }

    pub fn kinds(&self) -> Vec<(u64, UnitKind)> {
        self.sink.units.all().iter().map(|unit| (unit.frame.0, unit.kind)).collect()
    }
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: never");
        std::thread::sleep(Duration::from_millis(1));
    }
}
/// Holds the thread in `finish` of a frame, as a device does that hangs.
#[derive(Clone, Default)]
pub struct Hang(Arc<(Mutex<Hung>, Condvar)>);

#[derive(Clone, Copy, Default, PartialEq)]
enum Hung {
    #[default]
    NotYet,
    Now,
    NoMore,
}

impl Hang {
    /// A frame whose `finish` does not return before [`Hang::end`].
    pub fn frame(&self, mut frame: Frame) -> Frame {
        frame.image = Box::new(Hanging(frame.image, self.clone()));
        frame
    }

    /// Waits until the thread is in `finish`.
    pub fn begun(&self) {
        let state = self.0.0.lock().unwrap();
        let wait = self.0.1.wait_timeout_while(state, DEADLINE, |state| *state == Hung::NotYet);
        assert!(!wait.unwrap().1.timed_out(), "the thread took no frame");
    }

    pub fn end(&self) {
        self.set(Hung::NoMore);
    }

    fn set(&self, to: Hung) {
        *self.0.0.lock().unwrap() = to;
        self.0.1.notify_all();
    }
}

struct Hanging(Box<dyn FrameImage>, Hang);

impl FrameImage for Hanging {
    fn format(&self) -> PixelFormat {
        self.0.format()
    }
    fn size(&self) -> Size {
        self.0.size()
    }
    fn finish(&mut self, clock: &dyn Clock, stages: &mut StageTimes) -> Result<(), ImageError> {
        let Hang(shared) = &self.1;
        self.1.set(Hung::Now);
        let state = shared.0.lock().unwrap();
        drop(shared.1.wait_timeout_while(state, DEADLINE, |state| *state != Hung::NoMore).unwrap());
        self.0.finish(clock, stages)
    }
    fn map(&self) -> Result<CpuImage<'_>, ImageError> {
        self.0.map()
    }
    fn shared(&self) -> Option<SharedImage<'_>> {
        self.0.shared()
    }
    fn map_mut(&mut self) -> Option<SmallVec<[PlaneMut<'_>; 3]>> {
        self.0.map_mut()
    }
}
