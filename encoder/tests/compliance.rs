//! What every encoder must do, run on every candidate that works here, and on NVENC's with a double of its
//! driver. That one codes H.264 by OpenH264, without a VBV, and in the other codecs digests of pictures,
//! filled up to their rate, which are not decoded: what is left out of a test for it is printed by name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use common::gpu::{Present, Rig};
use common::viewer::Viewer;
use common::{Picture, expected_structure, luma_psnr, pictures_in, psnr, slice_types, structure};
use media::barcode::Strip;
use media::{
    Bitrate, Codec, CpuImage, DeviceId, EncodeError, EncodeOptions, FrameId, FrameRate, InputSeq,
    MemoryId, PixelFormat, Plane, RateChange, Recovery, RecoveryMeans, Rect, RegionQuality,
    Regions, SharedImage, SharedMemory, SharedPlane, Size, Submitted, UnitKind,
};
use nearlight_encoder::h264::{Sps, nals};
use nearlight_encoder::{
    BlockingEncoder, EncoderSettings, OpenError, Resilience, Wake, candidates, headers,
};

const SIZE: Size = Size::new(640, 384);
/// For what takes many pictures.
const SMALL: Size = Size::new(192, 128);
/// More pictures than lie between two keyframes by any encoder's own choice (x264: 250, GStreamer's
/// x264enc: ten seconds).
const BEYOND_ANY_DEFAULT: usize = 700;
const SETTINGS: EncoderSettings =
    EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(6));

/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An encoder that counts its frames.
struct Run {
    encoder: BlockingEncoder,
    codec: Codec,
    format: PixelFormat,
    frames: u64,
}

impl Run {
    fn code_with(&mut self, picture: &Picture, options: EncodeOptions) -> (Bytes, UnitKind) {
        let given = picture.given(self.format);
        let picture = media::Picture::Cpu(given.image());
        let encoded = self.encoder.encode(FrameId(self.frames), &picture, options).unwrap();
        self.frames += 1;
        let kind = headers::kind(self.codec, &encoded.data);
        assert_eq!(kind, Ok(encoded.kind), "the kind says what the unit is");
        let (key, delta) = expected_structure(self.codec);
        let expected = if encoded.kind == UnitKind::Key { key } else { delta };
        assert_eq!(structure(self.codec, &encoded.data), expected, "parameter sets, and no more");
        if matches!(self.codec, Codec::H264 | Codec::H265) {
            assert_eq!(pictures_in(self.codec, &encoded.data), 1, "one picture in a unit");
        }
        if self.codec == Codec::H264 {
            // 0 is P, 1 is B, 2 is I (table 7-6).
            let types = slice_types(&encoded.data);
            assert!(types.iter().all(|&kind| kind == 0 || kind == 2), "no B slices");
        }
        (encoded.data, encoded.kind)
    }

    fn code(&mut self, picture: &Picture) -> (Bytes, UnitKind) {
        self.code_with(picture, EncodeOptions::default())
    }
}

/// What the machine has must not be taken for missing, which every test here leaves out. `NEARLIGHT_ENCODERS` names what
/// was installed, with commas between; OpenH264 is compiled in.
#[test]
fn what_is_installed_is_not_missing() {
    let installed = std::env::var("NEARLIGHT_ENCODERS").unwrap_or_default();
    for name in installed.split_terminator(',').chain(["openh264"]) {
        let known = candidates().into_iter().find(|candidate| candidate.name == name);
        let candidate = known.unwrap_or_else(|| panic!("there is no {name}"));
        if let Err(error) = BlockingEncoder::open(&candidate, &SETTINGS, PATIENCE) {
            panic!("{name}: {error}");
        }
    }
}

/// Runs `test` on every candidate, in software in both depths, and names all that fail. One that is not installed is
/// named too, and at least one must run, as must the double of NVENC in each of its codecs.
fn on_every_candidate(settings: &EncoderSettings, test: impl Fn(&Present, Run)) {
    let rig = Rig::new();
    let (mut ran, mut doubles, mut failed) = (0, 0, Vec::new());
    for present in rig.all_candidates_in_both_depths() {
        let (label, settings) = (present.label(), settings.with_kind(present.kind));
        let (codec, format) = (present.candidate.codec, settings.format);
        match BlockingEncoder::open(&present.candidate, &settings, PATIENCE) {
            Ok(encoder) => {
                println!("{label}");
                let run = Run { encoder, codec, format, frames: 0 };
                if catch_unwind(AssertUnwindSafe(|| test(&present, run))).is_err() {
                    failed.push(label);
                }
                ran += 1;
                doubles += u32::from(present.double);
            }
            Err(OpenError::Missing(what)) => println!("{label} skipped: {what}"),
            Err(OpenError::Refused(why)) if present.takes_none(&why) => {}
            Err(error) => panic!("{label}: {error}"),
        }
    }
    assert!(failed.is_empty(), "of {ran} failed {failed:?}");
    assert!(ran > doubles && doubles == 3, "{ran} ran, {doubles} of them doubles");
    rig.assert_clean();
}

/// As [`on_every_candidate`], on those whose units have the syntax that a test reads.
fn on_every_h264(settings: &EncoderSettings, test: impl Fn(&Present, Run)) {
    on_every_candidate(settings, |present, run| {
        if present.candidate.codec == Codec::H264 {
            test(present, run);
        }
    });
}

/// As [`on_every_candidate`], on those whose units can be decoded.
fn on_every_coder(settings: &EncoderSettings, test: impl Fn(&Present, Run)) {
    on_every_candidate(settings, |present, run| {
        if present.codes_pictures() {
            test(present, run);
        } else {
            println!("{} left out: its units are digests of pictures", present.label());
        }
    });
}

/// Largest unit, in budgets of one frame, of a VBV of about one frame: its milliseconds are rounded up, and
/// libx264's is widened by what it leaves of it (`vbv_fill.rs`), of which single pictures take more.
const ONE_FRAME: f64 = 1.3;

const KEY: EncodeOptions = EncodeOptions::keyframe(true);

#[test]
fn the_first_unit_is_a_keyframe_and_no_later_one() {
    on_every_candidate(&EncoderSettings { size: SMALL, ..SETTINGS }, |present, mut run| {
        assert_eq!(run.encoder.capabilities().name, present.candidate.name);
        assert_eq!(run.encoder.capabilities().codec, present.candidate.codec);
        assert_eq!(run.code(&Picture::scene(SMALL, 0)).1, UnitKind::Key);
        for time in 1..BEYOND_ANY_DEFAULT {
            // A cut to something else must not make a keyframe either.
            let picture = if time % 30 == 0 {
                Picture::noise(SMALL, time)
            } else {
                Picture::scene(SMALL, time)
            };
            assert_eq!(run.code(&picture).1, UnitKind::Delta, "frame {time}");
        }
    });
}

/// In software as many as there are cores, up to four: one slice would be coded by one core, and later.
/// Hardware cuts as it is told.
#[test]
fn pictures_are_cut_into_slices_that_are_coded_at_once() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let size = Size::new(1280, 720);
    let settings = EncoderSettings { size, largest: size, slices: 3, ..SETTINGS };
    on_every_h264(&settings, |present, mut run| {
        let slices = if present.candidate.hardware { 3 } else { cores.min(4) };
        for time in 0..3 {
            let (unit, _) = run.code(&Picture::scene(size, time));
            assert_eq!(slice_types(&unit).len(), slices, "{}", present.label());
        }
    });
}

#[test]
fn a_forced_keyframe_is_exactly_the_next_unit() {
    on_every_candidate(&SETTINGS, |_, mut run| {
        for time in 0..40 {
            let force = matches!(time, 0 | 7 | 8 | 30);
            let options = if force { KEY } else { EncodeOptions::default() };
            let (_, kind) = run.code_with(&Picture::scene(SIZE, time), options);
            assert_eq!(kind == UnitKind::Key, force, "frame {time}");
        }
    });
}

#[test]
fn the_parameter_set_declares_no_reordering_and_the_colours() {
    for size in [SIZE, Size::new(1280, 720), Size::new(322, 178)] {
        on_every_h264(&EncoderSettings { size, largest: size, ..SETTINGS }, |_, mut run| {
            let (unit, _) = run.code(&Picture::scene(size, 0));
            let nal = nals(&unit).next().unwrap();
            let sps = Sps::parse(nal.bytes()).unwrap();
            assert_eq!(sps.to_nal(), nal.bytes(), "a real parameter set is written as it was read");
            assert_eq!(sps.size(), size);
            // Constrained Baseline: profile 66 with constraint_set1_flag (A.2.1.1).
            assert_eq!((sps.profile_idc, sps.constraint_flags & 0x40), (66, 0x40));
            assert!(sps.frame_mbs_only);
            // Lost pictures leave gaps that a decoder must not mind, where recovery goes without them.
            let by_references = matches!(
                run.encoder.capabilities().recovery,
                RecoveryMeans::References { .. } | RecoveryMeans::LongTerm
            );
            assert_eq!(sps.gaps_in_frame_num_allowed, by_references);
            let frames = sps.max_num_ref_frames;
            let vui = sps.vui.unwrap();
            let restriction = vui.bitstream_restriction.unwrap();
            assert_eq!(restriction.max_num_reorder_frames, 0);
            assert_eq!(restriction.max_dec_frame_buffering, frames);
            assert_eq!(vui.timing, None);
            assert!(vui.chroma_location.is_none_or(|location| location.top == 0));
            let signal = vui.signal.unwrap();
            let colour = signal.colour.unwrap();
            assert!(!signal.full_range);
            assert_eq!((colour.primaries, colour.transfer, colour.matrix), (1, 1, 1));
        });
    }
}

#[test]
fn the_decoded_picture_is_the_picture() {
    for size in [SIZE, Size::new(322, 178)] {
        on_every_coder(&EncoderSettings { size, largest: size, ..SETTINGS }, |present, mut run| {
            let mut viewer = Viewer::new(run.codec);
            let (mut worst_luma, mut worst_chroma) = (f64::MAX, f64::MAX);
            for time in 0..45 {
                let picture = Picture::scene(size, time);
                let decoded = viewer.decode(&run.code(&picture).0);
                let (luma, chroma) = psnr(&picture, &decoded);
                (worst_luma, worst_chroma) = (worst_luma.min(luma), worst_chroma.min(chroma));
            }
            println!(
                "{} {size}: luma {worst_luma:.1} dB, chroma {worst_chroma:.1} dB",
                present.label()
            );
            assert!(worst_luma > 30.0 && worst_chroma > 30.0);
        });
    }
}

#[test]
fn a_rate_change_costs_what_the_capabilities_say() {
    on_every_candidate(&SETTINGS, |_, mut run| {
        let cost = run.encoder.capabilities().rate_change;
        for time in 0..150 {
            let changed = time % 3 == 1;
            if changed {
                let kbps = 500 + (time as u64 * 7_919) % 9_000;
                let (bitrate, fps) =
                    (Bitrate::from_kbps(kbps), if time % 2 == 0 { 60 } else { 30 });
                let rate = FrameRate::fps(fps);
                assert_eq!(run.encoder.set_rate(bitrate, rate).unwrap(), cost);
                // The same again is nothing new.
                let again = run.encoder.set_rate(bitrate, rate).unwrap();
                assert_eq!(again, RateChange::Seamless);
            }
            let (_, kind) = run.code(&Picture::scene(SIZE, time));
            let restarted = changed && cost == RateChange::Keyframe;
            assert_eq!(kind == UnitKind::Key, time == 0 || restarted, "frame {time}");
        }
    });
}

/// At each of some rates a second to settle in, and a second that counts. `set` tells a rate, `code` codes the
/// next picture, of which it is told whether it is the first at its rate, and yields its bytes.
fn assert_rates<R>(
    label: &str,
    bounded: bool,
    run: &mut R,
    set: impl Fn(&mut R, Bitrate, FrameRate),
    code: impl Fn(&mut R, &Picture, bool) -> usize,
) {
    let mut time = 0;
    for (kbps, fps) in [(6_000, 60), (2_000, 60), (9_000, 60), (4_000, 30)] {
        let (target, rate) = (Bitrate::from_kbps(kbps), FrameRate::fps(fps));
        set(run, target, rate);
        let mut sizes = Vec::new();
        for frame in 0..2 * fps {
            let bytes = code(run, &Picture::noise(SIZE, time), frame == 0);
            time += 1;
            if frame >= fps {
                sizes.push(bytes as u64);
            }
        }
        let produced = Bitrate::of(sizes.iter().sum(), rate.interval() * sizes.len() as u32);
        let budget = target.bytes_in(rate.interval());
        let largest = *sizes.iter().max().unwrap();
        println!(
            "{label}: {target} at {fps}: {produced}, largest {:.2} of a frame's budget",
            largest as f64 / budget as f64
        );
        let ratio = produced.bps() as f64 / target.bps() as f64;
        assert!((0.9..=1.1).contains(&ratio), "{target} became {produced}");
        if bounded {
            assert!(largest as f64 <= ONE_FRAME * budget as f64, "{largest} bytes of {budget}");
        }
    }
}

#[test]
fn the_produced_rate_follows_the_target() {
    on_every_candidate(&SETTINGS, |present, mut run| {
        let capabilities = run.encoder.capabilities();
        let seamless = capabilities.rate_change == RateChange::Seamless;
        // What is behind the double has no VBV.
        let bounded = capabilities.bounded_frames && !present.double;
        let set = |run: &mut Run, target, rate| {
            run.encoder.set_rate(target, rate).unwrap();
        };
        let code = |run: &mut Run, picture: &Picture, first: bool| {
            let number = run.frames;
            let (unit, kind) = run.code(picture);
            let restarted = !seamless && first;
            assert_eq!(kind == UnitKind::Key, number == 0 || restarted, "frame {number}");
            unit.len()
        };
        assert_rates(&present.label(), bounded, &mut run, set, code);
    });
}

/// No queue is filled with a picture that is as long as they were at the old rate, and none is coarser than it
/// need be. Of those whose units have no bound libvpx and libaom are made to heed it.
#[test]
fn the_first_picture_after_a_fall_of_the_rate_is_of_the_new_one() {
    on_every_candidate(&SETTINGS, |present, mut run| {
        let bounded = run.encoder.capabilities().bounded_frames && !present.double;
        let heeds = matches!(present.candidate.library, "libvpx" | "libaom");
        if !bounded && !heeds {
            return println!("{} left out: its units have no bound", present.label());
        }
        let (mut time, mut viewer) = (0, Viewer::new(run.codec));
        let mut code = |run: &mut Run, budget: f64| {
            let picture = Picture::noise(SIZE, time);
            let (unit, _) = run.code(&picture);
            time += 1;
            (unit.len() as f64 / budget, psnr(&picture, &viewer.decode(&unit)).0)
        };
        // The last two rates come without a picture between them.
        for rates in [&[8_000, 2_000][..], &[6_000, 3_000], &[6_000, 4_800, 3_840]] {
            let budget =
                |kbps: u64| Bitrate::from_kbps(kbps).bytes_in(SETTINGS.rate.interval()) as f64;
            let (from, to) = (budget(rates[0]), budget(*rates.last().unwrap()));
            let tell = |run: &mut Run, kbps: u64| {
                run.encoder.set_rate(Bitrate::from_kbps(kbps), SETTINGS.rate).unwrap();
            };
            tell(&mut run, rates[0]);
            // More than libvpx takes to trust in how coarse pictures are in the mean.
            for _ in 0..180 {
                code(&mut run, from);
            }
            rates[1..].iter().for_each(|kbps| tell(&mut run, *kbps));
            let (first, quality) = code(&mut run, to);
            let later: Vec<_> = (0..30).map(|_| code(&mut run, to)).collect();
            let mean = later.iter().map(|(budgets, _)| budgets).sum::<f64>() / 30.0;
            let largest = later.iter().map(|(budgets, _)| *budgets).fold(0.0, f64::max);
            let settled = later.iter().map(|(_, quality)| quality).sum::<f64>() / 30.0;
            let label = format!("{} {rates:?}", present.label());
            println!(
                "{label}: {first:.2} budgets of {quality:.1} dB, later {mean:.2}, {largest:.2} at the \
                 most, {settled:.1} dB"
            );
            assert!((0.5..=ONE_FRAME).contains(&first), "{label}: {first} budgets");
            assert!(quality > settled - 1.0, "{label}: {quality} dB, and {settled} later");
            assert!((0.9..=1.1).contains(&mean), "{label}: {mean} budgets");
            // Neither library has a second try at these.
            let most = match present.candidate.name {
                "vpx-vp8" => 2.6,
                "vpx-vp9" | "aom-av1" => 1.5,
                _ => ONE_FRAME,
            };
            assert!(largest <= most, "{label}: {largest} budgets");
        }
    });
}

/// Waves that follow one another, and such as a loss asks for, of which there are four a second.
#[test]
fn the_produced_rate_follows_the_target_with_waves() {
    for candidate in candidates().iter().filter(|candidate| !candidate.hardware) {
        for units in [10, 40] {
            let resilience = Resilience::IntraRefresh { units };
            let settings = EncoderSettings { resilience, ..SETTINGS };
            let label = format!("{}, waves of {units}", candidate.name);
            let encoder = match BlockingEncoder::open(candidate, &settings, PATIENCE) {
                Ok(encoder) => encoder,
                Err(OpenError::Missing(why) | OpenError::Refused(why)) => {
                    println!("{label} skipped: {why}");
                    continue;
                }
                Err(error) => panic!("{label}: {error}"),
            };
            let bounded = encoder.capabilities().bounded_frames;
            let set = |(encoder, _): &mut (BlockingEncoder, u64), target, rate| {
                assert_eq!(encoder.set_rate(target, rate).unwrap(), RateChange::Seamless);
            };
            let code = |(encoder, number): &mut (BlockingEncoder, u64), picture: &Picture, _| {
                let image = media::Picture::Cpu(picture.image());
                let (frame, options) = (FrameId(*number), EncodeOptions::default());
                let unit = encoder.encode(frame, &image, options).unwrap();
                assert_eq!(unit.kind == UnitKind::Key, *number == 0, "{label}: frame {number}");
                if *number % 15 == 14 {
                    let recovery = encoder.forget(frame..=frame);
                    assert!(matches!(recovery, Recovery::Wave { .. }), "{label}: {recovery:?}");
                }
                *number += 1;
                unit.data.len()
            };
            assert_rates(&label, bounded, &mut (encoder, 0), set, code);
        }
    }
}

#[test]
fn a_resize_costs_exactly_one_keyframe() {
    on_every_candidate(&SETTINGS, |present, mut run| {
        let mut viewer = present.codes_pictures().then(|| Viewer::new(run.codec));
        let sizes = [SIZE, Size::new(320, 240), Size::new(1280, 720), SIZE];
        for (index, size) in sizes.into_iter().enumerate() {
            run.encoder.resize(size).unwrap();
            // The same size again changes nothing.
            run.encoder.resize(size).unwrap();
            for time in 0..6 {
                let picture = Picture::scene(size, time + index * 6);
                let (unit, kind) = run.code(&picture);
                assert_eq!(kind == UnitKind::Key, time == 0, "frame {time} of {size}");
                if let Some(viewer) = &mut viewer {
                    assert!(psnr(&picture, &viewer.decode(&unit)).0 > 28.0);
                }
            }
        }
        assert!(matches!(run.encoder.resize(Size::new(33, 64)), Err(EncodeError::Refused(_))));
        assert_eq!(run.code(&Picture::scene(SIZE, 0)).1, UnitKind::Delta);
    });
}

#[test]
fn the_strip_survives_and_the_source_is_not_touched() {
    on_every_coder(&SETTINGS, |_, mut run| {
        let mut viewer = Viewer::new(run.codec);
        for time in 0..30 {
            let picture = Picture::scene(SIZE, time);
            let before = (picture.luma.clone(), picture.chroma.clone());
            let strip = Strip::new(FrameId(time as u64 * 2_731), Some(InputSeq(time as u32 * 977)));
            let options = EncodeOptions { strip: Some(strip), ..EncodeOptions::default() };
            let decoded = viewer.decode(&run.code_with(&picture, options).0);
            assert_eq!(
                Strip::read_luma(&decoded.luma, decoded.stride),
                Some(strip),
                "frame {time}"
            );
            assert_eq!(before, (picture.luma, picture.chroma));
        }
    });
}

#[test]
fn pictures_that_do_not_fit_are_refused_and_nothing_breaks() {
    on_every_candidate(&SETTINGS, |present, mut run| {
        run.code(&Picture::scene(SIZE, 0));
        let (small, picture) = (Picture::scene(Size::new(320, 192), 0), Picture::scene(SIZE, 1));
        let [small, fitting] = [&small, &picture].map(|picture| picture.given(run.format));
        let mut short = fitting.image();
        short.planes[1].data = &short.planes[1].data[..100];
        let mut narrow = fitting.image();
        narrow.planes[0].stride = 8;
        let rgba = CpuImage { format: PixelFormat::Rgba8, ..fitting.image() };
        for image in [short, narrow, small.image(), rgba] {
            let image = media::Picture::Cpu(image);
            let result = run.encoder.encode(FrameId(1), &image, EncodeOptions::default());
            assert!(matches!(result, Err(EncodeError::Refused(_))), "{result:?}");
        }
        // Software codes what it was opened for; hardware opens another session for a picture of another
        // layout.
        let formats = run.encoder.capabilities().formats.clone();
        let takes = |format| present.candidate.hardware && formats.contains(&format);
        let others = [PixelFormat::P010, PixelFormat::Yuv444, PixelFormat::Yuv444P16];
        for format in others.into_iter().filter(|other| *other != run.format && !takes(*other)) {
            let planes: Vec<_> =
                format.planes(SIZE).map(|(row, rows)| (vec![128; row * rows], row)).collect();
            let planes = planes.iter().map(|(data, stride)| Plane { data, stride: *stride });
            let image = CpuImage { format, size: SIZE, planes: planes.collect() };
            let image = media::Picture::Cpu(image);
            let result = run.encoder.encode(FrameId(1), &image, EncodeOptions::default());
            let Err(EncodeError::Refused(reason)) = result else { panic!("{result:?}") };
            assert!(reason.contains(&format!("{format:?}")), "{reason}");
        }
        // Software reads no memory of a device, and hardware only that of its own.
        let device = DeviceId([7; 16]);
        let shares = run.encoder.capabilities().shares;
        assert!(if present.candidate.hardware { shares != Some(device) } else { shares.is_none() });
        let memory = Arc::new(SharedMemory {
            id: MemoryId::next(),
            device,
            fd: std::fs::File::open("/dev/null").unwrap().into(),
            bytes: SIZE.pixels() * 3 / 2,
            dedicated: true,
        });
        let planes = [0, SIZE.pixels()].map(|offset| SharedPlane { offset, stride: SIZE.width });
        let shared = media::Picture::Shared(SharedImage {
            memory: &memory,
            format: run.format,
            size: SIZE,
            planes: planes.into_iter().collect(),
            ready: None,
        });
        let result = run.encoder.encode(FrameId(1), &shared, EncodeOptions::default());
        let Err(EncodeError::Refused(reason)) = result else { panic!("{result:?}") };
        let told = if shares.is_some() { "another device" } else { "shared memory" };
        assert!(reason.contains(told), "{reason}");
        assert_eq!(run.code(&picture).1, UnitKind::Delta);
    });
}

#[test]
fn capabilities_are_kept() {
    on_every_candidate(&EncoderSettings { size: SMALL, ..SETTINGS }, |present, mut run| {
        let capabilities = run.encoder.capabilities().clone();
        assert!(capabilities.formats.contains(&PixelFormat::Nv12));
        assert_eq!(capabilities.hardware, present.candidate.hardware);
        assert!(capabilities.depth >= 1);
        (0..2).for_each(|time| drop(run.code(&Picture::scene(SMALL, time))));
        run.encoder.acknowledge(FrameId(0));
        let recovery = run.encoder.forget(FrameId(1)..=FrameId(1));
        let expected = match capabilities.recovery {
            RecoveryMeans::References { .. } | RecoveryMeans::LongTerm => {
                Recovery::Invalidated { base: FrameId(0) }
            }
            RecoveryMeans::Wave { units } => Recovery::Wave { units, base: FrameId(0) },
            RecoveryMeans::Keyframe => Recovery::KeyframeNeeded,
        };
        assert_eq!(recovery, expected);
        let (smallest, largest) = (capabilities.smallest, capabilities.largest);
        let long = largest.width.max(largest.height);
        // Long, but no larger than 4K: the whole would take half a gigabyte and seconds.
        let short = largest.width.min(largest.height).min(3_840 * 2_160 / long / 2 * 2);
        let (lying, standing) = (Size::new(long, short), Size::new(short, long));
        let grey = |size| Picture::new(size, |_, _| 100, |_, _| (128, 128));
        for size in [smallest, lying, standing] {
            run.encoder.resize(size).unwrap();
            assert_eq!(run.code(&grey(size)).1, UnitKind::Key, "{size}");
        }
        let kept = grey(standing);
        for size in [
            Size::new(long + 2, short),
            Size::new(short, long + 2),
            Size::new(smallest.width - 2, smallest.height),
            Size::new(smallest.width, smallest.height - 2),
        ] {
            let refused = run.encoder.resize(size);
            assert!(matches!(refused, Err(EncodeError::Refused(_))), "{size}");
            assert_eq!(run.code(&kept).1, UnitKind::Delta, "after {size}");
        }
    });
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    for Present { candidate, .. } in rig.all_candidates() {
        for (width, height) in [(0, 0), (641, 384), (640, 383), (100_000, 64)] {
            let size = Size::new(width, height);
            let result =
                BlockingEncoder::open(&candidate, &EncoderSettings { size, ..SETTINGS }, PATIENCE);
            assert!(
                matches!(result, Err(OpenError::Refused(_) | OpenError::Missing(_))),
                "{} at {size}",
                candidate.name
            );
        }
    }
    rig.assert_clean();
}

/// Pictures go in as they come, and their units come out in order, with nobody asking for more.
#[test]
fn every_picture_that_went_in_comes_out() {
    let rig = Rig::new();
    for present in rig.all_candidates() {
        let (wake, woken) = mpsc::channel();
        let wake = Wake::new(move || wake.send(()).unwrap_or_default());
        let mut encoder = match present.candidate.start(&SETTINGS, &wake) {
            Err(OpenError::Missing(what)) => {
                println!("{} skipped: {what}", present.label());
                continue;
            }
            opened => opened.unwrap(),
        };
        let depth = usize::from(encoder.capabilities().depth);
        let (mut next, mut kinds) = (0, Vec::new());
        while kinds.len() < 4 * depth {
            // As many as it takes, and then all of what they come to.
            for _ in 0..depth {
                let picture = Picture::scene(SIZE, next);
                let picture = media::Picture::Cpu(picture.image());
                let frame = FrameId(next as u64);
                match encoder.encode(frame, &picture, EncodeOptions::default()).unwrap() {
                    Submitted::Now(unit) => kinds.push(unit.kind),
                    Submitted::Later => {}
                }
                next += 1;
            }
            while kinds.len() < next {
                match encoder.poll() {
                    Some(unit) => kinds.push(unit.unwrap().kind),
                    None => woken.recv_timeout(PATIENCE).unwrap(),
                }
            }
        }
        assert!(encoder.poll().is_none(), "{}: more units than pictures", present.label());
        let expected =
            (0..kinds.len()).map(|n| if n == 0 { UnitKind::Key } else { UnitKind::Delta });
        assert!(kinds.iter().copied().eq(expected), "{}: {kinds:?}", present.label());
    }
    rig.assert_clean();
}

/// With pictures in it that nobody waits for, between a change and the picture that shows it, and as it
/// comes.
#[test]
fn an_encoder_can_be_dropped_in_every_state() {
    type Change = fn(&mut dyn media::Encoder);
    let changes: [(&str, Change); 6] = [
        ("nothing", |_| {}),
        ("a new rate", |encoder| {
            encoder.set_rate(Bitrate::from_mbps(2), FrameRate::fps(30)).unwrap();
        }),
        ("a loss", |encoder| {
            encoder.acknowledge(FrameId(0));
            encoder.forget(FrameId(1)..=FrameId(9));
        }),
        ("a new size", |encoder| encoder.resize(Size::new(320, 240)).unwrap()),
        ("a picture that does not fit", |encoder| {
            let picture = Picture::scene(SMALL, 0);
            let picture = media::Picture::Cpu(picture.image());
            let refused = encoder.encode(FrameId(90), &picture, EncodeOptions::default());
            // Where it has as many as it takes that is told first.
            let told = matches!(refused, Err(EncodeError::Refused(_) | EncodeError::Busy(_)));
            assert!(told, "{refused:?}");
        }),
        ("a look for units", |encoder| drop(encoder.poll())),
    ];
    let rig = Rig::new();
    for present in rig.all_candidates() {
        for pictures in [0, 1, 2, usize::MAX] {
            for (what, change) in &changes {
                let mut encoder = match present.candidate.start(&SETTINGS, &Wake::new(|| {})) {
                    Err(OpenError::Missing(_)) => break,
                    opened => opened.unwrap(),
                };
                for number in 0..pictures.min(encoder.capabilities().depth.into()) {
                    let picture = Picture::scene(SIZE, number);
                    let picture = media::Picture::Cpu(picture.image());
                    let frame = FrameId(number as u64);
                    encoder.encode(frame, &picture, EncodeOptions::default()).unwrap();
                }
                change(encoder.as_mut());
                drop(encoder);
                if present.double {
                    assert_eq!(rig.encode_leftovers(), [""; 0], "{what}");
                }
            }
        }
    }
    rig.assert_clean();
}

/// Asked for parts of other quality, an encoder shows them at the same bit rate, or says that it cannot.
#[test]
fn regions_show_or_are_refused_by_name() {
    const FRAMES: usize = 30;
    let half = SIZE.width / 2;
    let part = |x, steps| {
        let rect = Rect { x, y: 0, width: half, height: SIZE.height };
        RegionQuality { rect, steps }
    };
    let halves = Regions::new(&[part(0, -10), part(half, 10)]).unwrap();
    let settings = EncoderSettings { regions: true, ..SETTINGS };
    on_every_candidate(&settings, |present, mut run| {
        if run.encoder.capabilities().regions.is_none() {
            run.code(&Picture::scene(SIZE, 0));
            let scene = Picture::scene(SIZE, 1);
            let options = EncodeOptions { regions: halves, ..EncodeOptions::default() };
            let picture = media::Picture::Cpu(scene.image());
            let refused = run.encoder.encode(FrameId(1), &picture, options);
            let Err(EncodeError::Refused(reason)) = refused else { panic!("{refused:?}") };
            assert!(
                reason.contains(present.candidate.name) && reason.contains("regions"),
                "{reason}"
            );
            assert_eq!(run.code(&scene).1, UnitKind::Delta);
            return;
        }
        if present.double {
            println!("{} left out: what codes behind it follows no map", present.label());
            return;
        }
        let mut viewer = Viewer::new(run.codec);
        let mut results = Vec::new();
        for (round, regions) in [Regions::NONE, halves, Regions::NONE].into_iter().enumerate() {
            let (mut bytes, mut left, mut right) = (0, 0.0, 0.0);
            for time in 0..FRAMES {
                let picture = Picture::noise(SIZE, round * FRAMES + time);
                let options = EncodeOptions { regions, ..EncodeOptions::default() };
                let unit = run.code_with(&picture, options).0;
                let decoded = viewer.decode(&unit);
                // After each change the rate control finds its way first.
                if time >= FRAMES / 2 {
                    let half = half as usize;
                    bytes += unit.len();
                    left += luma_psnr(&picture, &decoded, 0..half);
                    right += luma_psnr(&picture, &decoded, half..2 * half);
                }
            }
            let count = (FRAMES - FRAMES / 2) as f64;
            results.push((bytes as f64, left / count, right / count));
        }
        println!("{}: bytes, dB left and right: {results:.1?}", present.label());
        let [before, with, after] = results[..] else { panic!("three rounds") };
        for without in [before, after] {
            assert!((without.1 - without.2).abs() < 0.5, "alike without regions");
            assert!(with.1 > without.1 + 2.0, "the left is finer");
            assert!(with.2 < without.2 - 2.0, "the right is coarser");
            assert!((0.85..1.15).contains(&(with.0 / without.0)), "at the same bit rate");
        }
    });
}

/// What an encoder leaves out would otherwise be noticed by whoever needed it.
#[test]
fn what_software_does_not_do_is_refused_by_name() {
    let waves = Resilience::IntraRefresh { units: 30 };
    for (settings, lacking) in [
        (EncoderSettings { format: PixelFormat::P010, ..SETTINGS }, "P010"),
        (EncoderSettings { resilience: waves, ..SETTINGS }, "no intra refresh"),
    ] {
        for candidate in candidates().into_iter().filter(|candidate| !candidate.hardware) {
            match BlockingEncoder::open(&candidate, &settings, PATIENCE) {
                Err(OpenError::Refused(reason)) => {
                    assert!(reason.contains(lacking), "{}: {reason}", candidate.name);
                }
                Err(OpenError::Missing(what)) => println!("{} skipped: {what}", candidate.name),
                Ok(encoder) if settings.resilience == waves => {
                    let recovery = encoder.capabilities().recovery;
                    let wave = matches!(recovery, RecoveryMeans::Wave { units: 2..=30 });
                    assert!(wave, "{}: {recovery:?}", candidate.name);
                }
                // `tests/hdr.rs` decodes it.
                Ok(encoder) => {
                    let formats = &encoder.capabilities().formats;
                    assert!(formats.contains(&settings.format), "{}", candidate.name);
                }
                other => panic!("{}: {:?}", candidate.name, other.err()),
            }
        }
    }
}

/// Which candidates a session gets goes by what they say of themselves when opened for something else.
#[test]
fn waves_are_had_where_they_are_claimed() {
    let resilience = Resilience::IntraRefresh { units: 30 };
    on_every_candidate(&SETTINGS, |present, run| {
        let claimed = run.encoder.capabilities().waves;
        drop(run);
        let settings = EncoderSettings { resilience, ..SETTINGS };
        let opened = BlockingEncoder::open(&present.candidate, &settings, PATIENCE);
        let name = present.label();
        assert_eq!(opened.is_ok(), claimed, "{name}: {:?}", opened.as_ref().err());
        let Ok(mut encoder) = opened else { return };
        // And at another size, and after a keyframe.
        let narrower = Size::new(SIZE.width / 2, SIZE.height);
        for (number, size, key) in [
            (0, SIZE, true),
            (1, SIZE, false),
            (2, SIZE, true),
            (3, narrower, true),
            (4, narrower, false),
        ] {
            encoder.resize(size).unwrap();
            let picture = Picture::scene(size, number);
            let picture = media::Picture::Cpu(picture.image());
            let options = EncodeOptions::keyframe(number == 2);
            let unit = encoder.encode(FrameId(number as u64), &picture, options).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, key, "{name}: picture {number}");
        }
        let RecoveryMeans::Wave { units } = encoder.capabilities().recovery else {
            panic!("{name} has no waves any more");
        };
        let Recovery::Wave { units: takes, .. } = encoder.forget(FrameId(4)..=FrameId(4)) else {
            panic!("{name} begins no wave");
        };
        assert!((units..2 * units).contains(&takes), "{name}: {takes} of {units}");
    });
}
