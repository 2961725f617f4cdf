//! The encoder thread against doubles of everything around it, in time that the test owns.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::doubles::*;
use common::{Picture, decode, h264_candidates};
use media::barcode::Strip;
use media::{
    AccessUnit, BitDepth, Bitrate, Codec, ColorDescription, Damage, Frame, FrameId, FrameRate,
    InputSeq, Mark, MediaTime, PictureKind, PixelFormat, RecoveryMeans, Rect, RegionQuality,
    Regions, Size, Stage, TrackId, UnitKind, View,
};
use nearlight_encoder::{
    Candidate, Command, CommandRefused, Preference, SelectError, WorkerEvent, candidates, select,
};

use UnitKind::{Delta, Key, Recovery as Recovered};

#[test]
fn a_unit_carries_what_its_frame_carried() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.clock.advance(Duration::from_millis(40));
    bench.submit();
    let unit = bench.sink.units.wait_for(1).remove(0);
    assert_eq!((unit.track, unit.frame, unit.codec), (TrackId(3), FrameId(0), Codec::H264));
    assert_eq!(unit.captured_at, MediaTime::from_millis(40));
    assert_eq!((unit.last_input, unit.kind), (Some(InputSeq(100)), Key));
    assert_eq!(unit.views.as_slice(), [View::screen(SIZE)]);
    assert_eq!(unit.color, ColorDescription::BT709_LIMITED);
    for mark in [Mark::Drawn, Mark::Converted, Mark::EncodeStarted, Mark::Encoded] {
        assert_eq!(unit.stages.get(mark), Some(MediaTime::from_millis(40)), "{mark:?}");
    }
    assert!(unit.stages.spans().any(|(stage, _)| stage == Stage::Encode));
    let stats = bench.worker.stats();
    assert_eq!((stats.encoded, stats.keyframes, stats.bytes), (1, 1, 640));
    assert_eq!((stats.encoder, stats.times.count()), (Some("a"), 1));
    wait_until("the viewer is up to date", || !bench.worker.wants_refresh());
}

#[test]
fn the_mailbox_keeps_the_newest_frame() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    // The thread waits in `finish` of the first frame, so the others meet in the mailbox.
    let hang = Hang::default();
    let frame = hang.frame(bench.frame(|_| {}));
    bench.worker.submit(frame);
    hang.begun();
    for _ in 0..5 {
        let frame = bench.frame(|_| {});
        bench.worker.submit(frame);
    }
    hang.end();
    bench.sink.units.wait_for(2);
    bench.settle();
    assert_eq!(bench.kinds(), [(0, Key), (5, Delta)]);
    assert_eq!(bench.worker.stats().dropped, 4);
    assert_eq!(bench.returned.load(Ordering::SeqCst), 6);
}

#[test]
fn a_sink_that_is_not_ready_costs_no_encode() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    bench.sink.ready.store(false, Ordering::SeqCst);
    bench.submit();
    bench.submit();
    wait_until("the loss shows", || bench.worker.wants_refresh());
    bench.sink.ready.store(true, Ordering::SeqCst);
    bench.submit();
    // Frames that were never coded are missing in no reference: no keyframe.
    assert_eq!(bench.kinds(), [(0, Key), (3, Delta)]);
    assert_eq!(bench.worker.stats().skipped, 2);
    assert_eq!(bench.calls.all(), ["a open 5000", "a encode 0 Key", "a encode 3 Delta"]);
    wait_until("the viewer is up to date", || !bench.worker.wants_refresh());
}

#[test]
fn a_refused_unit_leads_to_one_keyframe_and_nothing_undecodable() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    bench.sink.refuse.store(true, Ordering::SeqCst);
    bench.submit();
    bench.sink.refuse.store(false, Ordering::SeqCst);
    // Within the interval after the first keyframe nothing is coded.
    bench.submit();
    bench.clock.advance(INTERVAL);
    bench.submit();
    bench.submit();
    assert_eq!(bench.kinds(), [(0, Key), (3, Key), (4, Delta)]);
    let stats = bench.worker.stats();
    assert_eq!((stats.refused, stats.skipped, stats.keyframes), (1, 1, 2));
    assert!(bench.calls.all().contains(&"forget 1 to 1".to_owned()));
}

#[test]
fn an_encoder_that_invalidates_needs_no_keyframe() {
    let mut bench = Bench::of(&[("a", Behaviour::Invalidates)]);
    bench.submit();
    bench.submit();
    bench.submit();
    bench.worker.command(Command::Forget(FrameId(1)..=FrameId(1))).unwrap();
    bench.submit();
    bench.submit();
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (2, Delta), (3, Recovered), (4, Delta)]);
    let needs = |unit: &AccessUnit| unit.refers_to.map(|frame| frame.0);
    let needs: Vec<_> = bench.sink.units.all().iter().map(needs).collect();
    assert_eq!(needs, [None, Some(0), Some(1), Some(0), Some(3)]);
}

#[test]
fn an_encoder_that_pays_for_rates_is_told_few_and_the_last_one() {
    let mut bench = Bench::of(&[("a", Behaviour::PaysForRates)]);
    bench.submit();
    let rates = |bench: &Bench| {
        let calls = bench.calls.all();
        calls.into_iter().filter(|call| call.starts_with("rate")).collect::<Vec<_>>()
    };
    let tell = |bench: &mut Bench, kbps| {
        let (bitrate, rate) = (Bitrate::from_kbps(kbps), FrameRate::fps(60));
        bench.worker.command(Command::SetRate { bitrate, rate }).unwrap();
        bench.submit();
    };
    (1..6).for_each(|step| tell(&mut bench, 5_000 + step * 200));
    assert!(rates(&bench).is_empty(), "within a second of the opening");
    bench.clock.advance(Duration::from_secs(1));
    bench.submit();
    assert_eq!(rates(&bench), ["rate 6000 60"]);
    tell(&mut bench, 5_000);
    tell(&mut bench, 4_700);
    assert_eq!(rates(&bench), ["rate 6000 60", "rate 4700 60"], "a fall does not wait");
}

/// Other encoders and other sizes go without, and code the picture all the same.
#[test]
fn regions_go_to_encoders_that_have_them_with_pictures_that_they_lie_in() {
    let region = |steps| RegionQuality { rect: Rect::whole(SIZE), steps };
    let regions = Regions::new(&[region(3), region(-3)]).unwrap();
    let other = Size::new(320, 192);
    for (behaviour, with) in [(Behaviour::HasRegions, true), (Behaviour::Works, false)] {
        let mut bench = Bench::of(&[("a", behaviour)]);
        bench.submit();
        bench.worker.command(Command::SetRegions { size: SIZE, regions }).unwrap();
        bench.submit();
        bench.submit();
        bench.worker.command(Command::SetRegions { size: other, regions }).unwrap();
        bench.submit();
        bench.worker.command(Command::SetRegions { size: SIZE, regions }).unwrap();
        bench.submit();
        bench.worker.command(Command::SetSink(Box::new(bench.sink.clone()))).unwrap();
        bench.submit();
        let mut expected = vec!["a open 5000"];
        let told = |calls: &mut Vec<&str>, call| {
            calls.push(call);
            calls.extend(["region of 3", "region of -3"].iter().filter(|_| with));
        };
        expected.push("a encode 0 Key");
        told(&mut expected, "a encode 1 Delta");
        told(&mut expected, "a encode 2 Delta");
        expected.push("a encode 3 Delta");
        told(&mut expected, "a encode 4 Delta");
        // Another viewer looks elsewhere.
        expected.push("a encode 5 Key");
        assert_eq!(bench.calls.all(), expected);
    }
}

#[test]
fn keyframe_requests_are_coalesced() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    for _ in 0..6 {
        bench.worker.command(Command::Keyframe).unwrap();
        bench.submit();
        bench.clock.advance(Duration::from_millis(50));
    }
    let keys: Vec<_> = bench.kinds().into_iter().filter(|&(_, kind)| kind == Key).collect();
    assert_eq!(keys, [(0, Key), (6, Key)]);
    bench.worker.command(Command::Keyframe).unwrap();
    wait_until("the request shows", || bench.worker.wants_refresh());
}

#[test]
fn a_new_sink_begins_with_a_keyframe_at_once() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    bench.submit();
    let second = SinkDouble::new();
    bench.worker.command(Command::SetSink(Box::new(second.clone()))).unwrap();
    bench.submit();
    let units = second.units.wait_for(1);
    assert_eq!((units[0].frame, units[0].kind), (FrameId(2), Key));
    assert_eq!(bench.sink.units.all().len(), 2);
}

fn use_encoders(encoders: Vec<Candidate>) -> Command {
    Command::UseEncoders { encoders, kind: PictureKind::NV12 }
}

#[test]
fn other_encoders_take_over_with_one_keyframe() {
    let mut bench = Bench::of(&[("a", Behaviour::Works), ("spare", Behaviour::Works)]);
    bench.submit();
    bench.submit();
    let calls = Arc::clone(&bench.calls);
    let double = |name, behaviour| double(name, behaviour, &calls);
    let missing = double("missing", Behaviour::DoesNotOpen);
    let others =
        vec![missing, double("b", Behaviour::FailsAtFrame(6)), double("c", Behaviour::Works)];
    let first_in_use = vec![double("b", Behaviour::Works), double("d", Behaviour::Works)];
    bench.worker.command(use_encoders(others)).unwrap();
    bench.submit();
    bench.submit();
    assert_eq!(bench.worker.stats().encoder, Some("b"));
    // It is not opened anew, and what comes after it is.
    bench.worker.command(use_encoders(first_in_use)).unwrap();
    for _ in 0..4 {
        bench.submit();
    }
    let kinds = [(0, Key), (1, Delta), (2, Key), (3, Delta), (4, Delta), (5, Delta), (7, Key)];
    assert_eq!(bench.kinds(), kinds);
    let opened: Vec<_> =
        bench.calls.all().into_iter().filter(|call| call.contains(" open ")).collect();
    assert_eq!(opened, ["a open 5000", "b open 5000", "d open 5000"]);
}

#[test]
fn pictures_of_another_kind_cost_one_keyframe_and_those_before_are_dropped() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    bench.submit();
    let color = ColorDescription { full_range: true, ..ColorDescription::BT709_LIMITED };
    let kind = PictureKind { color, ..PictureKind::NV12 };
    assert_eq!(bench.worker.wants_kind(), PictureKind::NV12);
    let encoders = vec![double("a", Behaviour::Works, &bench.calls)];
    bench.worker.command(Command::UseEncoders { encoders, kind }).unwrap();
    // Drawn before the source was told.
    bench.submit();
    assert_eq!(bench.worker.wants_kind(), kind);
    for _ in 0..2 {
        bench.clock.advance(Duration::from_millis(16));
        let frame = Frame { color, ..bench.frame(|_| {}) };
        bench.worker.submit(frame);
        bench.settle();
    }
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (3, Key), (4, Delta)]);
    assert!(bench.sink.units.all()[2..].iter().all(|unit| unit.color == color));
    let stats = bench.worker.stats();
    assert_eq!((stats.skipped, stats.failed), (1, 0));
    // A source that goes on as before is not followed.
    bench.submit();
    assert_eq!(bench.worker.stats().failed, 1);
    let told = bench.events.all();
    assert!(matches!(told.last(), Some(WorkerEvent::PictureRefused { .. })), "{told:?}");
}

#[test]
fn when_none_of_the_other_encoders_opens_their_reasons_alone_are_told() {
    let mut bench = Bench::of(&[("none", Behaviour::DoesNotOpen), ("a", Behaviour::Works)]);
    bench.submit();
    let missing = double("missing", Behaviour::DoesNotOpen, &bench.calls);
    bench.worker.command(use_encoders(vec![missing])).unwrap();
    wait_until("the thread ends", || bench.worker.has_ended());
    let expected = "missing: missing: the double's plugin";
    assert_eq!(bench.events.all().last(), Some(&WorkerEvent::Failed(expected.into())));
}

/// What a driver tells a thread that hangs is not lost: the next viewer would see nothing.
#[test]
fn a_thread_that_hangs_takes_every_command() {
    let mut bench = Bench::of(&[("a", Behaviour::Invalidates)]);
    bench.submit();
    let hang = Hang::default();
    let frame = hang.frame(bench.frame(|_| {}));
    bench.worker.submit(frame);
    hang.begun();
    let sinks: Vec<_> = (0..20).map(|_| SinkDouble::new()).collect();
    for (n, sink) in (0..).zip(&sinks) {
        let rate =
            Command::SetRate { bitrate: Bitrate::from_kbps(n + 600), rate: FrameRate::fps(60) };
        let (keyframe, sink) = (Command::Keyframe, Command::SetSink(Box::new(sink.clone())));
        let forget = Command::Forget(FrameId(n)..=FrameId(n));
        for command in [rate, keyframe, sink, forget] {
            assert_eq!(bench.worker.command(command), Ok(()));
        }
    }
    let after = Command::Forget(FrameId(3)..=FrameId(4));
    assert_eq!(bench.worker.command(after), Ok(()));
    hang.end();
    bench.settle();
    bench.submit();
    let calls = bench.calls.all();
    let told = ["rate 619 60", "forget 3 to 19", "a encode 2 Key"];
    assert_eq!(calls[calls.len() - 3..], told, "{calls:?}");
    let newest = sinks.last().unwrap().units.all();
    assert_eq!((newest.len(), newest[0].frame, newest[0].kind), (1, FrameId(2), Key));
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta)]);
    assert!(sinks[..19].iter().all(|sink| sink.units.all().is_empty()), "the newest sink counts");
}

/// Damage is against the unit before, whatever became of the frames in between.
#[test]
fn what_changed_in_a_frame_that_was_dropped_is_not_lost() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    let rect = |x| Rect { x, y: 2, width: 4, height: 4 };
    let rects = |of: &[u32]| Damage::Rects(of.iter().map(|&x| rect(x)).collect());
    let submit = |bench: &mut Bench, x| {
        let mut frame = bench.frame(|_| {});
        frame.damage = rects(&[x]);
        bench.worker.submit(frame);
        bench.settle();
    };
    submit(&mut bench, 0);
    submit(&mut bench, 8);
    bench.sink.ready.store(false, Ordering::SeqCst);
    submit(&mut bench, 16);
    bench.sink.ready.store(true, Ordering::SeqCst);
    submit(&mut bench, 24);
    let hang = Hang::default();
    let mut frame = hang.frame(bench.frame(|_| {}));
    frame.damage = rects(&[]);
    bench.worker.submit(frame);
    hang.begun();
    for x in [32, 40] {
        let mut frame = bench.frame(|_| {});
        frame.damage = rects(&[x]);
        bench.worker.submit(frame);
    }
    hang.end();
    bench.settle();
    bench.submit_with(|image| image.size = Size::new(320, 192));
    let got: Vec<_> = bench.sink.units.all().into_iter().map(|unit| unit.damage).collect();
    assert_eq!(
        got,
        [
            Damage::Unknown, // a viewer's first
            rects(&[8]),
            rects(&[24, 16]), // 16 was not encoded
            rects(&[]),
            rects(&[40, 32]), // 32 was replaced in the mailbox
            Damage::Unknown,  // another size
        ]
    );
    let second = SinkDouble::new();
    bench.worker.command(Command::SetSink(Box::new(second.clone()))).unwrap();
    let mut frame = bench.frame(|image| image.size = Size::new(320, 192));
    frame.damage = rects(&[0]);
    bench.worker.submit(frame);
    assert_eq!(second.units.wait_for(1)[0].damage, Damage::Unknown, "a new viewer has nothing");
}

#[test]
fn rates_reach_the_encoder_before_the_next_frame() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    let rate = Command::SetRate { bitrate: Bitrate::from_kbps(750), rate: FrameRate::fps(30) };
    bench.worker.command(rate).unwrap();
    bench.submit();
    assert_eq!(
        bench.calls.all(),
        ["a open 5000", "a encode 0 Key", "rate 750 30", "a encode 1 Delta"]
    );
}

#[test]
fn a_broken_encoder_is_replaced_with_the_settings_of_now() {
    let mut bench = Bench::of(&[
        ("none", Behaviour::DoesNotOpen),
        ("breaks", Behaviour::FailsAtFrame(2)),
        ("works", Behaviour::Works),
    ]);
    bench.submit();
    let rate = Command::SetRate { bitrate: Bitrate::from_kbps(900), rate: FrameRate::fps(60) };
    bench.worker.command(rate).unwrap();
    for _ in 0..4 {
        bench.submit();
    }
    assert_eq!(bench.kinds(), [(0, Key), (1, Delta), (3, Key), (4, Delta)]);
    assert!(bench.calls.all().contains(&"works open 900".to_owned()));
    let events = bench.events.all();
    let names: Vec<_> = events
        .iter()
        .map(|event| match event {
            WorkerEvent::Opened(capabilities) => format!("opened {}", capabilities.name),
            WorkerEvent::FellBack { name, reason } => format!("{name}: {reason}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        names,
        [
            "none: missing: the double's plugin",
            "opened breaks",
            "breaks: the double broke",
            "opened works"
        ]
    );
    assert_eq!(bench.worker.stats().failed, 1);
}

#[test]
fn when_no_encoder_is_left_every_reason_is_told() {
    let mut bench =
        Bench::of(&[("none", Behaviour::DoesNotOpen), ("breaks", Behaviour::RefusesRates)]);
    bench.submit();
    let rate = Command::SetRate { bitrate: Bitrate::from_kbps(900), rate: FrameRate::fps(60) };
    bench.worker.command(rate).unwrap();
    wait_until("the thread ends", || bench.worker.has_ended());
    let expected = "none: missing: the double's plugin; breaks: no such rate";
    assert_eq!(bench.events.all().last(), Some(&WorkerEvent::Failed(expected.into())));
    assert_eq!(bench.worker.command(Command::Keyframe), Err(CommandRefused::Ended));
    let frame = bench.frame(|_| {});
    bench.worker.submit(frame);
    assert_eq!(bench.returned.load(Ordering::SeqCst), 2, "frames are given back at once");
    assert_eq!(bench.worker.stats().encoder, None);
}

#[test]
fn a_panic_ends_one_worker_and_no_other() {
    let mut other = Bench::of(&[("a", Behaviour::Works)]);
    let mut bench = Bench::of(&[("a", Behaviour::PanicsAtFrame(1)), ("b", Behaviour::Works)]);
    bench.submit();
    bench.submit();
    wait_until("the thread ends", || bench.worker.has_ended());
    let event = WorkerEvent::Panicked("the double panicked".into());
    assert_eq!(bench.events.all().last(), Some(&event));
    assert_eq!(bench.returned.load(Ordering::SeqCst), 2);
    other.submit();
    assert_eq!(other.kinds(), [(0, Key)]);
    other.end();
}

#[test]
fn a_lost_image_is_told_once_until_one_comes_again() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    for _ in 0..3 {
        bench.submit_with(|image| image.error = true);
    }
    bench.submit();
    bench.submit_with(|image| image.error = true);
    let lost = bench.events.all();
    let lost: Vec<_> =
        lost.iter().filter(|event| matches!(event, WorkerEvent::ImageLost(_))).collect();
    assert_eq!(lost.len(), 2);
    assert_eq!(bench.kinds(), [(0, Key), (4, Delta)]);
    assert_eq!(bench.worker.stats().failed, 4);
    assert_eq!(bench.returned.load(Ordering::SeqCst), 6);
}

#[test]
fn a_new_size_is_passed_on_and_an_odd_one_is_refused() {
    let mut bench = Bench::of(&[("a", Behaviour::Works)]);
    bench.submit();
    bench.submit_with(|image| image.size = Size::new(320, 192));
    bench.submit_with(|image| image.size = Size::new(320, 192));
    bench.submit_with(|image| {
        (image.format, image.size) = (PixelFormat::Rgba8, Size::new(33, 10));
        image.data = Arc::new(vec![vec![0; 640 * 10]]);
    });
    assert_eq!(bench.kinds(), [(0, Key), (1, Key), (2, Delta)]);
    assert!(bench.calls.all().contains(&"resize 320x192".to_owned()));
    let refused = |event: &WorkerEvent| {
        matches!(event, WorkerEvent::PictureRefused { frame: FrameId(3), .. })
    };
    assert!(bench.events.all().iter().any(refused));
}

#[test]
fn rgb_frames_are_converted_and_wrong_colours_refused() {
    let mut bench = Bench::with(h264_candidates(), Log::new(), true);
    let rgb = |image: &mut Image| {
        (image.format, image.stride) = (PixelFormat::Bgrx8, 640 * 4);
        // Pure blue: Y 32, Cb 240, Cr 118 in BT.709 limited range.
        image.data = Arc::new(vec![[255, 0, 0, 0].repeat(640 * 384)]);
    };
    bench.submit_with(rgb);
    let mut mislabelled = bench.frame(rgb);
    mislabelled.color = ColorDescription::BT709_LIMITED;
    bench.worker.submit(mislabelled);
    bench.settle();
    let units = bench.sink.units.wait_for(1);
    let decoded = decode(&mut openh264::decoder::Decoder::new().unwrap(), &units[0].data);
    let (row, column) = (200, 300);
    let at = |plane: &[u8], stride: usize, y: usize, x: usize| i32::from(plane[y * stride + x]);
    assert!((at(&decoded.luma, decoded.stride, row, column) - 32).abs() <= 2);
    assert!((at(&decoded.cb, decoded.chroma_stride, row / 2, column / 2) - 240).abs() <= 2);
    assert!((at(&decoded.cr, decoded.chroma_stride, row / 2, column / 2) - 118).abs() <= 2);
    let strip = Strip::new(FrameId(0), Some(InputSeq(100)));
    assert_eq!(Strip::read_luma(&decoded.luma, decoded.stride), Some(strip));
    assert_eq!(bench.worker.stats().failed, 1);
}

#[test]
fn formats_that_no_encoder_here_takes_are_refused_by_name() {
    let mut bench = Bench::with(h264_candidates(), Log::new(), false);
    bench.submit();
    for format in [PixelFormat::P010, PixelFormat::Yuv444, PixelFormat::Yuv444P16] {
        let mut frame = bench.frame(|image| {
            let planes = format.planes(SIZE).map(|(row, rows)| vec![128; row * rows]);
            (image.format, image.data) = (format, Arc::new(planes.collect()));
            image.stride = format.plane(0, SIZE).unwrap().0;
        });
        frame.color = match format.depth() {
            BitDepth::Eight => ColorDescription::BT709_LIMITED,
            BitDepth::Ten => ColorDescription::BT2020_PQ_LIMITED,
        };
        bench.worker.submit(frame);
        bench.settle();
        // One picture passes, so that the next refusal is told too.
        bench.submit();
    }
    let refusals: Vec<_> = bench
        .events
        .all()
        .into_iter()
        .filter_map(|event| match event {
            WorkerEvent::PictureRefused { reason, .. } => Some(reason),
            _ => None,
        })
        .collect();
    let name = bench.worker.stats().encoder.unwrap();
    let expected =
        ["P010", "Yuv444", "Yuv444P16"].map(|format| format!("{name} takes [Nv12], not {format}"));
    assert_eq!(refusals, expected);
    assert_eq!(bench.worker.stats().failed, 3);
}

/// The whole way with every real encoder: what comes out decodes, frame by frame, and names itself.
#[test]
fn real_encoders_run_on_the_thread() {
    let selection = select(h264_candidates(), &Preference::default()).unwrap();
    for candidate in selection.usable {
        let name = candidate.name;
        let mut bench = Bench::with(vec![candidate], Log::new(), true);
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        for time in 0..12 {
            let picture = Picture::scene(SIZE, time);
            bench.submit_with(|image| {
                image.stride = picture.stride;
                image.data = Arc::new(vec![picture.luma.clone(), picture.chroma.clone()]);
            });
            let unit = bench.sink.units.wait_for(time + 1).remove(time);
            let decoded = decode(&mut decoder, &unit.data);
            let strip = Strip::new(FrameId(time as u64), Some(InputSeq(time as u32 + 100)));
            assert_eq!(Strip::read_luma(&decoded.luma, decoded.stride), Some(strip), "{name}");
        }
        assert_eq!(bench.worker.stats().keyframes, 1, "{name}");
        bench.end();
    }
}

#[test]
fn the_table_tells_the_truth_about_every_candidate() {
    let calls = Log::new();
    let table = || {
        vec![
            double("none", Behaviour::DoesNotOpen, &calls),
            double("panics", Behaviour::PanicsAtFrame(0), &calls),
            double("forbidden", Behaviour::Works, &calls),
            double("first", Behaviour::Works, &calls),
            double("second", Behaviour::Works, &calls),
        ]
    };
    let forbid = |pinned: Option<&str>| Preference {
        pinned: pinned.map(str::to_owned),
        forbidden: vec!["forbidden".into()],
        ..Preference::default()
    };
    let selection = select(table(), &forbid(None)).unwrap();
    assert_eq!(selection.chosen().name, "first");
    assert_eq!(selection.usable.len(), 2);
    let reasons: Vec<_> = selection.table.iter().map(|v| (v.name, v.works(), v.reason())).collect();
    assert_eq!(
        reasons,
        [
            ("none", false, "missing: the double's plugin"),
            ("panics", false, "panicked: the double panicked"),
            ("forbidden", false, "not tried"),
            ("first", true, "ok"),
            ("second", true, "ok"),
        ]
    );
    assert!(!calls.all().iter().any(|call| call.starts_with("forbidden")), "it is not even opened");

    let pinned = select(table(), &forbid(Some("second"))).unwrap();
    assert_eq!((pinned.chosen().name, pinned.usable.len()), ("second", 1));

    let error = select(table(), &forbid(Some("none"))).unwrap_err();
    assert!(matches!(error, SelectError::NoneUsable { .. }));
    for part in [
        "none was asked for",
        "none: missing: the double's plugin",
        "forbidden: forbidden by configuration: video.forbid_encoders names it",
        "first: works, but",
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = select(table(), &forbid(Some("x264"))).unwrap_err().to_string();
    assert!(error.contains("\"x264\"") && error.contains("first, second"), "{error}");
    assert!(select(Vec::new(), &Preference::default()).is_err());
}

/// Coded again as often as it is wanted, a picture that stands still becomes better, and then nothing
/// more is wanted.
#[test]
fn a_still_picture_becomes_better_and_then_is_left_alone() {
    for candidate in select(h264_candidates(), &Preference::default()).unwrap().usable {
        let name = candidate.name;
        let mut bench = Bench::with(vec![candidate], Log::new(), false);
        let rate = FrameRate::fps(60);
        let bitrate = Bitrate::from_kbps(600);
        bench.worker.command(Command::SetRate { bitrate, rate }).unwrap();
        let submit = |bench: &mut Bench, time, damage| {
            let picture = Picture::scene(SIZE, time);
            let data = Arc::new(vec![picture.luma, picture.chroma]);
            let mut frame = bench.frame(|image| {
                (image.data, image.stride) = (data, picture.stride);
            });
            frame.damage = damage;
            bench.worker.submit(frame);
            bench.settle();
        };
        (0..20).for_each(|time| submit(&mut bench, time, Damage::Unknown));
        let mut repeats = 0;
        while bench.worker.wants_refresh() {
            repeats += 1;
            assert!(repeats < 200, "{name} is never content");
            submit(&mut bench, 19, Damage::none());
        }
        let mut decoder = openh264::decoder::Decoder::new().unwrap();
        let source = Picture::scene(SIZE, 19);
        let quality: Vec<_> = bench
            .sink
            .units
            .all()
            .iter()
            .map(|unit| common::psnr(&source, &decode(&mut decoder, &unit.data)).0)
            .collect();
        let (moving, still) = (quality[19], quality[quality.len() - 1]);
        println!("{name}: {moving:.1} dB, after {repeats} more pictures {still:.1} dB");
        assert!(still > moving + 1.0, "{name}: {moving} to {still}");
    }
}

/// All that is sent for 200 ms is lost. That is told piece by piece, since reports of it were lost, too: after the first piece a
/// keyframe leaves, and what is told then was before that.
#[test]
fn an_outage_costs_an_encoder_without_references_exactly_one_keyframe() {
    /// Pictures that are coded before it, in it, until it is told, from one telling to the next, and after it.
    const COURSE: [u64; 5] = [4, 12, 2, 2, 18];
    let mut ran = Vec::new();
    for candidate in select(candidates(), &Preference::default()).unwrap().usable {
        let name = candidate.name;
        let mut bench = Bench::with(vec![candidate], Log::new(), false);
        let play = |bench: &mut Bench, pictures: u64| {
            for _ in 0..pictures {
                bench.clock.advance(FrameRate::fps(60).interval());
                let picture = Picture::scene(SIZE, bench.next as usize);
                let data = Arc::new(vec![picture.luma, picture.chroma]);
                bench.submit_with(|image| (image.data, image.stride) = (data, picture.stride));
            }
        };
        play(&mut bench, 1);
        let means = bench.events.wait_for(1).into_iter().find_map(|event| match event {
            WorkerEvent::Opened(capabilities) => Some(capabilities.recovery),
            _ => None,
        });
        if means != Some(RecoveryMeans::Keyframe) {
            continue;
        }
        let [before, within, until, between, after] = COURSE;
        play(&mut bench, before);
        let first = bench.next;
        play(&mut bench, within + until);
        let lost = |from: u64, to: u64| Command::Forget(FrameId(from)..=FrameId(to - 1));
        bench.worker.command(lost(first, first + within / 2)).unwrap();
        play(&mut bench, between);
        bench.worker.command(lost(first + within / 2, first + within)).unwrap();
        play(&mut bench, after);
        let keys: Vec<_> = bench.kinds().into_iter().filter(|(_, kind)| *kind != Delta).collect();
        assert_eq!(keys, [(0, Key), (first + within + until, Key)], "{name}");
        ran.push(name);
    }
    println!("{ran:?}");
    let installed = std::env::var("NEARLIGHT_ENCODERS").unwrap_or_default();
    for name in ["gst-vp9enc", "gst-av1enc"] {
        let must = installed.split(',').any(|installed| installed == name);
        assert!(!must || ran.contains(&name), "{name} has not run: {ran:?}");
    }
}
