//! Each kind of source through a real encoder on its thread: what a frame carries, its unit carries.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::doubles::{DEADLINE, INTERVAL, Log, SinkDouble};
use common::{decode, h264_candidates};
use media::{
    AccessUnit, Clock as _, CursorUpdate, Damage, DepthImage, Frame, FrameId, FrameRate,
    FrameRequest, FrameSource, InputSeq, MediaTime, Pose, Rect, Size, SourceEvent, SpaceEpoch,
    TrackId, UnitKind, View,
};
use nearlight_encoder::h264::{NalKind, Sps, nals};
use nearlight_encoder::{
    Candidate, EncoderSettings, EncoderWorker, Preference, WorkerConfig, select,
};
use openh264::decoder::Decoder;
use testkit::{
    FakeClock, Producer, PulledPattern, PushedPattern, PushedShared, SharedSurface, Step,
    StereoPattern,
};

const SIZE: Size = Size::new(256, 144);
const STEP: Duration = Duration::from_millis(16);

/// A session's media side without a server: source, encoder thread, sink, in time that the test owns.
struct Rig<S> {
    source: S,
    worker: EncoderWorker,
    sink: SinkDouble,
    clock: FakeClock,
    decoder: Decoder,
    next: u64,
    views: Vec<View>,
}

/// What came of asking the source once.
enum Came {
    Unit(Box<AccessUnit>),
    Cursor(CursorUpdate),
    Resized(Size),
    Ended,
}

impl<S: FrameSource> Rig<S> {
    fn new(source: S, encoder: Candidate, clock: FakeClock) -> Self {
        let sink = SinkDouble::new();
        let config = WorkerConfig {
            label: "seam".into(),
            track: TrackId(0),
            settings: EncoderSettings::new(
                source.info().size,
                FrameRate::fps(60),
                media::Bitrate::from_mbps(4),
            ),
            encoders: vec![encoder],
            keyframe_interval: INTERVAL,
            barcode: false,
            patience: DEADLINE,
        };
        let events = Log::new();
        let worker = EncoderWorker::spawn(
            config,
            Box::new(sink.clone()),
            Arc::new(clock.clone()),
            Box::new(move |event| events.push(event)),
        )
        .unwrap();
        let decoder = Decoder::new().unwrap();
        Self { source, worker, sink, clock, decoder, next: 0, views: Vec::new() }
    }

    /// Asks the source, and passes what it yields on as `server` does.
    fn ask(&mut self) -> Came {
        let request = FrameRequest {
            id: FrameId(self.next),
            at: self.clock.now(),
            within: DEADLINE,
            views: &self.views,
            refresh: false,
            share: false,
            kind: media::PictureKind::NV12,
        };
        match self.source.next(&request).unwrap() {
            SourceEvent::Frame(frame) => Came::Unit(Box::new(self.pass(frame))),
            SourceEvent::Cursor(update) => Came::Cursor(update),
            SourceEvent::Resized(size) => Came::Resized(size),
            SourceEvent::Ended => Came::Ended,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a frame through the worker, and checks what holds for every unit.
    fn pass(&mut self, frame: Frame) -> AccessUnit {
        let (id, at, size) = (frame.id, frame.captured_at, frame.image.size());
        let (views, last_input) = (frame.views.clone(), frame.last_input);
        self.next += 1;
        self.worker.submit(frame);
        let unit = self.sink.units.wait_for(self.next as usize).pop().unwrap();
        assert_eq!((unit.frame, unit.captured_at, unit.last_input), (id, at, last_input));
        assert_eq!(unit.views, views);
        assert!(unit.views.iter().all(|view| view.region.fits(size)));
        assert_eq!(decode(&mut self.decoder, &unit.data).size, size);
        self.clock.advance(STEP);
        unit
    }

    /// A frame of a source that always has one.
    fn unit(&mut self) -> AccessUnit {
        match self.ask() {
            Came::Unit(unit) => *unit,
            Came::Cursor(_) | Came::Resized(_) | Came::Ended => panic!("no frame"),
        }
    }
}

/// The size in the sequence parameter set, of a keyframe.
fn declared(unit: &AccessUnit) -> Option<Size> {
    let nal = nals(&unit.data).find(|nal| nal.kind() == NalKind::Sps)?;
    Some(Sps::parse(nal.bytes()).unwrap().size())
}

fn with_every_encoder(test: impl Fn(Candidate)) {
    for candidate in select(h264_candidates(), &Preference::default()).unwrap().usable {
        println!("{}", candidate.name);
        test(candidate);
    }
}

fn rects(rects: impl IntoIterator<Item = Rect>) -> Damage {
    Damage::Rects(rects.into_iter().collect())
}

#[test]
fn pulled_pictures_show_the_time_asked_for() {
    with_every_encoder(|encoder| {
        let clock = FakeClock::default();
        let source = PulledPattern::new(SIZE, 3, Arc::new(clock.clone()));
        let mut rig = Rig::new(source, encoder, clock);
        for number in 0..5 {
            let unit = rig.unit();
            assert_eq!(unit.captured_at, MediaTime::ZERO + STEP * number);
            assert_eq!(unit.kind == UnitKind::Key, number == 0);
            assert_eq!(unit.views.as_slice(), [View::screen(SIZE)]);
            assert_eq!((unit.damage, unit.depth.is_none()), (Damage::Unknown, true));
        }
    });
}

#[test]
fn pushed_pictures_show_the_input_that_their_programme_had() {
    with_every_encoder(|encoder| {
        let clock = FakeClock::default();
        let (source, programme) = PushedPattern::new(SIZE, 3, Arc::new(clock.clone()));
        let mut rig = Rig::new(source, encoder, clock.clone());
        for number in 0..4 {
            let input = (number > 0).then_some(InputSeq(number * 10));
            if let Some(input) = input {
                programme.input(input);
            }
            programme.draw();
            let drawn = clock.now();
            // Fetched later than drawn: the time that the picture shows is the programme's.
            clock.advance(STEP);
            let unit = rig.unit();
            assert_eq!((unit.captured_at, unit.last_input), (drawn, input));
        }
        assert_eq!(programme.left_out(), 0);
    });
}

/// A display that is resized while it plays: one keyframe, of the new size, and damage throughout.
#[test]
fn a_pushed_display_in_shared_memory_is_resized_under_way() {
    with_every_encoder(|encoder| {
        let clock = FakeClock::default();
        let surface = SharedSurface::new(SIZE).unwrap();
        let source = PushedShared::new(surface.clone(), 3, Arc::new(clock.clone())).unwrap();
        let mut rig = Rig::new(source, encoder, clock);
        let rect = |x| Rect { x, y: 32, width: 40, height: 24 };
        let (grown, arrow) = (Size::new(320, 240), CursorUpdate::Moved { x: 7, y: 9 });
        let steps = [
            Step::Fill(rect(8), [200, 40, 10]),
            Step::Point(arrow.clone()),
            Step::Fill(rect(64), [10, 200, 40]),
            Step::Resize(grown),
            Step::Fill(rect(250), [40, 10, 200]),
            Step::End,
        ];
        let _producer = Producer::spawn(surface, steps).unwrap();
        let mut told = Vec::new();
        let mut units = Vec::new();
        loop {
            match rig.ask() {
                Came::Unit(unit) => units.push(*unit),
                Came::Cursor(update) => told.push((units.len(), format!("{update:?}"))),
                Came::Resized(size) => {
                    assert_eq!(rig.source.info().size, size);
                    told.push((units.len(), size.to_string()));
                }
                Came::Ended => break,
            }
        }
        assert_eq!(told, [(2, format!("{arrow:?}")), (3, grown.to_string())]);
        let kinds: Vec<_> = units.iter().map(|unit| unit.kind).collect();
        let (key, delta) = (UnitKind::Key, UnitKind::Delta);
        assert_eq!(kinds, [key, delta, delta, key, delta]);
        let sizes: Vec<_> = units.iter().filter_map(declared).collect();
        assert_eq!(sizes, [SIZE, grown]);
        let views: Vec<_> = units.iter().map(|unit| unit.views[0].region).collect();
        let (small, large) = (Rect::whole(SIZE), Rect::whole(grown));
        assert_eq!(views, [small, small, small, large, large]);
        let damage: Vec<_> = units.iter().map(|unit| unit.damage.clone()).collect();
        // First of a viewer and of a size: everything, whatever changed.
        let everything = Damage::Unknown;
        let (second, third) = (rects([rect(8)]), rects([rect(64)]));
        assert_eq!(damage, [everything.clone(), second, third, everything, rects([rect(250)])]);
    });
}

#[test]
fn the_eyes_of_a_headset_come_back_with_the_picture_and_its_depth() {
    with_every_encoder(|encoder| {
        let clock = FakeClock::default();
        let source = StereoPattern::new(SIZE, 3, Arc::new(clock.clone())).with_depth();
        let mut rig = Rig::new(source, encoder, clock);
        let own = rig.unit();
        assert_eq!((own.views.len(), own.kind), (2, UnitKind::Key));
        assert_eq!(declared(&own), Some(Size::new(512, 144)));
        let DepthImage { size, near, values } = own.depth.unwrap();
        assert_eq!((size, values.len()), (Size::new(128, 36), 128 * 36));
        assert!(near > 0.0 && values.iter().all(|value| (0.0..=1.0).contains(value)));
        let moved = |view: &View| View {
            pose: view.pose.map(|pose| Pose { position: [0.5, 1.7, -0.3], ..pose }),
            space: SpaceEpoch(3),
            ..view.clone()
        };
        rig.views = own.views.iter().map(moved).collect();
        for _ in 0..3 {
            let unit = rig.unit();
            assert_eq!(unit.views.as_slice(), rig.views);
            assert_eq!(unit.kind, UnitKind::Delta);
            let shared = Arc::ptr_eq(&unit.depth.unwrap().values, &values);
            assert!(shared, "depth is handed on, not copied");
        }
    });
}
