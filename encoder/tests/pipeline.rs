//! The encoder thread and an encoder whose units come later, as those of hardware do.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::doubles::*;
use media::{
    Bitrate, Codec, Damage, DeviceId, EncodeError, EncodeOptions, Encoded, Encoder,
    EncoderCapabilities, FrameId, FrameRate, MemoryId, Picture, RateChange, Recovery,
    RecoveryMeans, Rect, SemaphoreKind, SharedMemory, SharedSemaphore, Size, Submitted, UnitKind,
};
use nearlight_encoder::{Candidate, Command, Wake, WorkerEvent};

use UnitKind::{Delta, Key};

const DEVICE: DeviceId = DeviceId([7; 16]);

/// What the test and the double share: units come when the test says so.
struct Hardware {
    calls: Arc<Log<String>>,
    held: Mutex<VecDeque<Encoded>>,
    done: Mutex<VecDeque<Result<Encoded, EncodeError>>>,
    wake: Mutex<Option<Wake>>,
    /// Units of a wave.
    wave: AtomicU16,
    /// Lost pictures are made good by references.
    goes_back: AtomicBool,
    forgotten: AtomicBool,
}

impl Hardware {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: Log::new(),
            held: Mutex::default(),
            done: Mutex::default(),
            wake: Mutex::default(),
            wave: AtomicU16::new(0),
            goes_back: AtomicBool::new(false),
            forgotten: AtomicBool::new(false),
        })
    }

    /// The oldest picture is coded, or fails.
    fn finish(&self, error: Option<EncodeError>) {
        let unit = self.held.lock().unwrap().pop_front().unwrap();
        self.done.lock().unwrap().push_back(error.map_or(Ok(unit), Err));
        self.wake.lock().unwrap().as_ref().unwrap().wake();
    }

    fn candidate(self: &Arc<Self>, name: &'static str, change: Change) -> Candidate {
        let hardware = Arc::clone(self);
        Candidate {
            name,
            codec: Codec::H264,
            hardware: true,
            library: "a double",
            open: Arc::new(move |_, wake| {
                hardware.calls.push(format!("{name} open"));
                *hardware.wake.lock().unwrap() = Some(wake.clone());
                hardware.held.lock().unwrap().clear();
                let mut capabilities = EncoderCapabilities {
                    depth: 2,
                    ..EncoderCapabilities::plain(name, Codec::H264)
                };
                change(&mut capabilities);
                Ok(Box::new(LaterDouble { capabilities, hardware: Arc::clone(&hardware) }))
            }),
        }
    }

    fn bench(self: &Arc<Self>, change: Change) -> Bench {
        Bench::with(vec![self.candidate("a", change)], Arc::clone(&self.calls), false)
    }
}

type Change = fn(&mut EncoderCapabilities);

struct LaterDouble {
    capabilities: EncoderCapabilities,
    hardware: Arc<Hardware>,
}

impl Encoder for LaterDouble {
    fn capabilities(&self) -> &EncoderCapabilities {
        &self.capabilities
    }
    fn encode(
        &mut self,
        frame: FrameId,
        picture: &Picture<'_>,
        options: EncodeOptions,
    ) -> Result<Submitted, EncodeError> {
        let place = match picture {
            Picture::Cpu(_) => "cpu",
            Picture::Shared(_) if self.capabilities.name == "refuses" => {
                return Err(EncodeError::Refused("its pitch".into()));
            }
            Picture::Shared(image) if image.ready.is_some() => "shared early",
            Picture::Shared(_) => "shared",
        };
        let forgotten = self.hardware.forgotten.swap(false, Ordering::SeqCst);
        let kind = match (options.keyframe, forgotten) {
            (true, _) => Key,
            (false, true) => UnitKind::Recovery,
            (false, false) => Delta,
        };
        let mut held = self.hardware.held.lock().unwrap();
        assert!(held.len() < usize::from(self.capabilities.depth), "more than it takes");
        let unit = Encoded::new(Bytes::from_static(b"unit"), kind);
        held.push_back(Encoded { quantiser: Some(10), ..unit });
        drop(held);
        self.hardware.calls.push(format!("{} {kind:?} {place}", frame.0));
        Ok(Submitted::Later)
    }
    fn poll(&mut self) -> Option<Result<Encoded, EncodeError>> {
        self.hardware.done.lock().unwrap().pop_front()
    }
    fn set_rate(&mut self, _: Bitrate, _: FrameRate) -> Result<RateChange, EncodeError> {
        Ok(RateChange::Seamless)
    }
    fn acknowledge(&mut self, frame: FrameId) {
        self.hardware.calls.push(format!("acknowledge {}", frame.0));
    }
    fn forget(&mut self, lost: RangeInclusive<FrameId>) -> Recovery {
        self.hardware.calls.push(format!("forget {} to {}", lost.start().0, lost.end().0));
        let base = FrameId(lost.start().0.saturating_sub(1));
        match self.hardware.wave.load(Ordering::SeqCst) {
            0 if self.hardware.goes_back.load(Ordering::SeqCst) => {
                self.hardware.forgotten.store(true, Ordering::SeqCst);
                Recovery::Invalidated { base }
            }
            0 => Recovery::KeyframeNeeded,
            units => Recovery::Wave { units, base },
        }
    }
    fn resize(&mut self, size: Size) -> Result<(), EncodeError> {
        self.hardware.calls.push(format!("resize {size}"));
        Ok(())
    }
}

/// Hands a frame over and waits until the encoder has it.
fn take(bench: &mut Bench, hardware: &Hardware, change: impl FnOnce(&mut Image)) {
    let frame = bench.frame(change);
    // It may be told other things first.
    let call = format!("{} ", frame.id.0);
    bench.worker.submit(frame);
    let is_given = || hardware.calls.all().iter().any(|entry| entry.starts_with(&call));
    wait_until("the encoder has it", is_given);
}

#[test]
fn pictures_are_kept_until_their_units_are_out_and_no_more_are_taken_than_fit() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|_| {});
    take(&mut bench, &hardware, |_| {});
    take(&mut bench, &hardware, |_| {});
    // The encoder is full: these meet in the mailbox, where the newest stays.
    for _ in 0..3 {
        let frame = bench.frame(|_| {});
        bench.worker.submit(frame);
    }
    assert_eq!(bench.returned.load(Ordering::SeqCst), 2, "those that were replaced");
    hardware.finish(None);
    hardware.calls.wait_for(4);
    assert_eq!(bench.sink.units.wait_for(1).len(), 1);
    hardware.finish(None);
    hardware.finish(None);
    bench.sink.units.wait_for(3);
    bench.settle();
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (4, Delta)]);
    assert_eq!(hardware.calls.all(), ["a open", "0 Key cpu", "1 Delta cpu", "4 Delta cpu"]);
    assert_eq!((bench.worker.stats().dropped, bench.returned.load(Ordering::SeqCst)), (2, 5));
}

#[test]
fn what_changed_in_a_frame_that_was_dropped_is_in_the_next_one_that_was_taken() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|_| {});
    let changed = |at: &[u32]| {
        let mut damage = Damage::none();
        at.iter().for_each(|&x| damage.add(Rect { x, y: 0, width: 2, height: 2 }));
        damage
    };
    let submit = |bench: &mut Bench, x, ready| {
        bench.sink.ready.store(ready, Ordering::SeqCst);
        let mut frame = bench.frame(|_| {});
        frame.damage = changed(&[x]);
        bench.worker.submit(frame);
    };
    submit(&mut bench, 0, true);
    hardware.calls.wait_for(2);
    submit(&mut bench, 10, false);
    wait_until("it is skipped", || bench.worker.stats().skipped == 1);
    wait_until("the loss shows", || bench.worker.wants_refresh());
    hardware.finish(None);
    bench.sink.units.wait_for(1);
    wait_until("it is counted", || bench.worker.stats().encoded == 1);
    assert!(bench.worker.wants_refresh(), "a newer frame was dropped while it was coded");
    submit(&mut bench, 20, true);
    hardware.calls.wait_for(3);
    hardware.finish(None);
    let units = bench.sink.units.wait_for(2);
    assert_eq!(units[1].damage, changed(&[20, 10]));
}

#[test]
fn a_new_viewer_is_sent_nothing_that_was_coded_for_the_one_before() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|_| {});
    take(&mut bench, &hardware, |_| {});
    let next = SinkDouble::new();
    bench.worker.command(Command::SetSink(Box::new(next.clone()))).unwrap();
    take(&mut bench, &hardware, |_| {});
    hardware.finish(None);
    hardware.finish(None);
    let units = next.units.wait_for(1);
    assert_eq!((units[0].frame, units[0].kind), (FrameId(1), Key));
    assert!(bench.sink.units.all().is_empty());
    wait_until("it is counted", || bench.worker.stats().skipped == 1);
}

#[test]
fn a_picture_that_fails_in_the_encoder_breaks_the_chain_where_it_was_the_keyframe() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|_| {});
    take(&mut bench, &hardware, |_| {});
    hardware.finish(Some(EncodeError::Refused("no memory".into())));
    wait_until("it is counted", || bench.worker.stats().failed == 1);
    bench.clock.advance(INTERVAL);
    take(&mut bench, &hardware, |_| {});
    hardware.finish(None);
    bench.sink.units.wait_for(1);
    assert_eq!(bench.kinds(), [(1, Key)]);
    assert!(
        matches!(&bench.events.all()[1], WorkerEvent::PictureRefused { frame, .. } if frame.0 == 0)
    );
}

#[test]
fn an_encoder_that_keeps_a_picture_is_replaced() {
    let hardware = Hardware::new();
    let spare = Hardware::new();
    let candidates = vec![hardware.candidate("a", |_| {}), spare.candidate("b", |_| {})];
    // Never finished, so that any patience is over some time.
    let patience = Duration::from_millis(20);
    let mut bench = Bench::with_patience(candidates, Arc::clone(&hardware.calls), false, patience);
    take(&mut bench, &hardware, |_| {});
    spare.calls.wait_for(1);
    let events = bench.events.wait_for(3);
    let WorkerEvent::FellBack { name: "a", reason } = &events[1] else { panic!("{events:?}") };
    assert_eq!(reason, "it did not finish a picture within 20ms");
    assert_eq!(bench.worker.stats().failed, 1);
    assert_eq!(bench.returned.load(Ordering::SeqCst), 1, "the picture is given back");
}

#[test]
fn losses_before_a_keyframe_are_made_good_by_it() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|_| {});
    let lose = |bench: &Bench, frame| {
        bench.worker.command(Command::Forget(FrameId(frame)..=FrameId(frame))).unwrap();
    };
    for _ in 0..2 {
        take(&mut bench, &hardware, |_| {});
        hardware.finish(None);
    }
    bench.clock.advance(INTERVAL);
    bench.worker.command(Command::Keyframe).unwrap();
    take(&mut bench, &hardware, |_| {});
    // Still in the encoder, and already what counts.
    lose(&bench, 1);
    hardware.finish(None);
    take(&mut bench, &hardware, |_| {});
    hardware.finish(None);
    bench.sink.units.wait_for(4);
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (2, Key), (3, Delta)]);
    assert!(!hardware.calls.all().iter().any(|call| call.starts_with("forget")));
    lose(&bench, 3);
    wait_until("it asks", || hardware.calls.all().iter().any(|call| call == "forget 3 to 3"));
}

#[test]
fn a_wave_is_no_keyframe_and_the_viewer_is_not_up_to_date_before_its_end() {
    let hardware = Hardware::new();
    hardware.wave.store(2, Ordering::SeqCst);
    let mut bench = hardware.bench(|capabilities| {
        capabilities.recovery = RecoveryMeans::Wave { units: 2 };
    });
    let code = |bench: &mut Bench, count| {
        take(bench, &hardware, |_| {});
        hardware.finish(None);
        bench.sink.units.wait_for(count);
        bench.settle();
    };
    code(&mut bench, 1);
    wait_until("the viewer is up to date", || !bench.worker.wants_refresh());
    bench.worker.command(Command::Forget(FrameId(0)..=FrameId(0))).unwrap();
    hardware.calls.wait_for(3);
    code(&mut bench, 2);
    assert!(bench.worker.wants_refresh());
    code(&mut bench, 3);
    wait_until("the viewer is up to date", || !bench.worker.wants_refresh());
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (2, Delta)]);
}

/// A viewer who acknowledged the first picture of an encoder that needs one of two, and what it is sent then.
struct Viewer {
    hardware: Arc<Hardware>,
    bench: Bench,
    units: usize,
}

impl Viewer {
    fn new(goes_back: bool) -> Self {
        let hardware = Hardware::new();
        hardware.goes_back.store(goes_back, Ordering::SeqCst);
        let bench = hardware.bench(|capabilities| {
            capabilities.recovery = RecoveryMeans::References { reach: 2 };
        });
        let mut viewer = Self { hardware, bench, units: 0 };
        viewer.code();
        viewer.acknowledge(0);
        viewer
    }

    fn code(&mut self) {
        take(&mut self.bench, &self.hardware, |_| {});
        self.hardware.finish(None);
        self.units += 1;
        self.bench.sink.units.wait_for(self.units);
        self.bench.settle();
    }

    fn acknowledge(&self, frame: u64) {
        self.bench.worker.command(Command::Acknowledge(FrameId(frame))).unwrap();
        let call = format!("acknowledge {frame}");
        wait_until("it is told", || self.hardware.calls.all().contains(&call));
    }

    /// A picture for which there is no room.
    fn is_held_up(&mut self) {
        let before = self.bench.worker.stats().throttled;
        self.bench.submit();
        assert_eq!(self.bench.worker.stats().throttled, before + 1);
    }

    /// What it was sent, and from what each was coded.
    fn sent(&self) -> Vec<(u64, UnitKind, Option<u64>)> {
        let units = self.bench.sink.units.all().into_iter();
        units.map(|unit| (unit.frame.0, unit.kind, unit.refers_to.map(|frame| frame.0))).collect()
    }
}

#[test]
fn an_encoder_that_needs_references_waits_for_a_viewer_who_acknowledges() {
    let mut viewer = Viewer::new(true);
    viewer.code();
    viewer.code();
    viewer.is_held_up();
    viewer.acknowledge(1);
    viewer.code();
    assert_eq!(viewer.sent()[2..], [(2, Delta, Some(1)), (4, Delta, Some(2))]);
}

/// A viewer who had no time for a quarter of a second, or lost all that it was sent: it needs no keyframe.
#[test]
fn behind_a_silence_a_picture_goes_back_to_what_was_acknowledged_and_none_is_waited_for() {
    let mut viewer = Viewer::new(true);
    viewer.code();
    viewer.code();
    viewer.bench.clock.advance(INTERVAL);
    // Beyond the two that are not acknowledged, for as long as nothing is heard.
    (0..4).for_each(|_| viewer.code());
    assert!(viewer.hardware.calls.all().contains(&"forget 1 to 2".to_owned()));
    let back = [(3, UnitKind::Recovery, Some(0)), (4, Delta, Some(3)), (5, Delta, Some(4))];
    assert_eq!(viewer.sent()[3..6], back);
    // It speaks again, and is waited for again.
    viewer.acknowledge(6);
    viewer.code();
    viewer.code();
    viewer.is_held_up();
    assert!(viewer.sent()[1..].iter().all(|(_, kind, _)| *kind != Key));
}

#[test]
fn behind_a_silence_a_keyframe_comes_where_nothing_is_left_to_go_back_to() {
    let mut viewer = Viewer::new(false);
    viewer.code();
    viewer.code();
    viewer.bench.clock.advance(INTERVAL);
    (0..4).for_each(|_| viewer.code());
    let kinds: Vec<_> = viewer.sent().into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, [Key, Delta, Delta, Key, Delta, Delta, Delta]);
    assert_eq!(viewer.bench.worker.stats().throttled, 0);
}

fn memory(device: DeviceId) -> Option<Arc<SharedMemory>> {
    let fd = std::fs::File::open("/dev/null").unwrap().into();
    let bytes = 640 * 384 * 3 / 2;
    Some(Arc::new(SharedMemory { id: MemoryId::next(), device, fd, bytes, dedicated: false }))
}

#[test]
fn pictures_on_the_encoders_device_are_given_where_they_lie() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|capabilities| capabilities.shares = Some(DEVICE));
    for device in [Some(DEVICE), None] {
        take(&mut bench, &hardware, |image| image.memory = device.and_then(memory));
        hardware.finish(None);
    }
    assert!(bench.worker.wants_shared());
    // Those of another one are not wanted any more: each would be copied out of shared memory.
    for device in [DeviceId([8; 16]), DEVICE] {
        take(&mut bench, &hardware, |image| image.memory = memory(device));
        hardware.finish(None);
    }
    wait_until("the source is asked for others", || !bench.worker.wants_shared());
    let calls = ["a open", "0 Key shared", "1 Delta cpu", "2 Delta cpu", "3 Delta cpu"];
    assert_eq!(hardware.calls.all(), calls);
    let told = bench.events.all();
    let not_shared = |event: &&WorkerEvent| matches!(event, WorkerEvent::NotShared { .. });
    assert_eq!(told.iter().filter(not_shared).count(), 1, "{told:?}");
}

fn semaphore() -> Arc<SharedSemaphore> {
    let fd = std::fs::File::open("/dev/null").unwrap().into();
    Arc::new(SharedSemaphore {
        id: MemoryId::next(),
        device: DEVICE,
        fd,
        kind: SemaphoreKind::Timeline,
    })
}

#[test]
fn a_picture_that_the_device_waits_for_is_given_before_it_is_complete() {
    let waits: Change = |capabilities| {
        capabilities.shares = Some(DEVICE);
        capabilities.waits_on_device = true;
    };
    let does_not: Change = |capabilities| capabilities.shares = Some(DEVICE);
    // What the encoder does, whether the picture has a signal, and in which order it is given and waited for.
    let rows: [(Change, bool, [&str; 3]); 3] = [
        (waits, true, ["a open", "0 Key shared early", "finish"]),
        (waits, false, ["a open", "finish", "0 Key shared"]),
        (does_not, true, ["a open", "finish", "0 Key shared"]),
    ];
    for (change, signal, calls) in rows {
        let hardware = Hardware::new();
        let mut bench = hardware.bench(change);
        let frame = bench.frame(|image| {
            image.memory = memory(DEVICE);
            image.finished = Some(Arc::clone(&hardware.calls));
            image.ready = signal.then(semaphore);
        });
        bench.worker.submit(frame);
        let given = |call: &String| call.starts_with("0 Key");
        wait_until("it is given", || hardware.calls.all().iter().any(given));
        hardware.finish(None);
        bench.sink.units.wait_for(1);
        assert_eq!(hardware.calls.all(), calls);
    }
}

#[test]
fn a_picture_that_is_lost_while_the_device_waits_is_not_sent() {
    let hardware = Hardware::new();
    let mut bench = hardware.bench(|capabilities| {
        capabilities.shares = Some(DEVICE);
        capabilities.waits_on_device = true;
    });
    for lost in [true, false] {
        take(&mut bench, &hardware, |image| {
            image.memory = memory(DEVICE);
            image.error = lost;
            image.ready = Some(semaphore());
        });
        hardware.finish(None);
        wait_until("it is given back", || bench.returned.load(Ordering::SeqCst) > u64::from(!lost));
        // Keyframes keep their distance.
        bench.clock.advance(INTERVAL);
    }
    bench.sink.units.wait_for(1);
    assert_eq!(bench.kinds(), [(1, Key)], "what refers to the lost one is of no use");
    assert!(bench.events.all().iter().any(|event| matches!(event, WorkerEvent::ImageLost(_))));
}

#[test]
fn an_encoder_that_refuses_shared_pictures_gets_them_mapped_and_says_so_once() {
    let hardware = Hardware::new();
    let candidate =
        hardware.candidate("refuses", |capabilities| capabilities.shares = Some(DEVICE));
    let mut bench = Bench::with(vec![candidate], Arc::clone(&hardware.calls), false);
    for _ in 0..2 {
        take(&mut bench, &hardware, |image| image.memory = memory(DEVICE));
        hardware.finish(None);
    }
    bench.sink.units.wait_for(2);
    assert_eq!(hardware.calls.all(), ["refuses open", "0 Key cpu", "1 Delta cpu"]);
    wait_until("the source is asked for others", || !bench.worker.wants_shared());
    let events = bench.events.all();
    let [WorkerEvent::Opened(_), WorkerEvent::NotShared { name: "refuses", reason }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(reason.contains("its pitch"), "{reason}");
}
