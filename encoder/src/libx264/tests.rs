//! The parts that need no pictures; what comes out is judged by `tests/`.

use std::ffi::OsStr;
use std::path::PathBuf;

use media::{CpuImage, PixelFormat, Plane};

use super::*;
use crate::settings::Resilience;
use losses::reach;
use sys::{BUILDS, Library};

#[test]
fn the_library_is_told_what_makes_it_fill_its_rate() {
    let fill = VbvFill::new(1);
    let vbv = |mbps, fps, vbv_percent| {
        let bitrate = Bitrate::from_mbps(mbps);
        let usual = EncoderSettings::new(Size::new(640, 384), FrameRate::fps(fps), bitrate);
        budget(bitrate, &EncoderSettings { vbv_percent, ..usual }, fill)
    };
    let budget = |mbps, fps| vbv(mbps, fps, 100);
    assert_eq!(budget(17, 60), Budget { kilobits: 20_000, vbv_kilobits: 333 });
    assert_eq!(budget(17, 30), Budget { kilobits: 20_000, vbv_kilobits: 666 });
    assert_eq!(budget(0, 60), Budget { kilobits: 1, vbv_kilobits: 1 });
    let most = Budget { kilobits: 2_000_000, vbv_kilobits: 33_333 };
    assert_eq!(budget(u64::MAX / 2_000_000, 60), most);
    assert_eq!(vbv(17, 60, 250), Budget { kilobits: 20_000, vbv_kilobits: 833 });
    assert_eq!(frame_bytes(Bitrate::from_mbps(6), FrameRate::fps(60)), 12_500.0);
}

#[test]
fn as_many_pictures_are_held_as_level_5_1_allows() {
    for ((width, height), expected) in [
        ((640, 384), 15),
        ((1_280, 720), 15),
        ((1_920, 1_080), 15),
        ((2_560, 1_440), 11),
        ((3_840, 2_160), 4),
        ((8_192, 4_320), 0),
        ((16_384, 16_384), 0),
        ((2, 2), 15),
    ] {
        assert_eq!(reach(Size::new(width, height), u16::MAX), expected, "{width}x{height}");
        assert_eq!(reach(Size::new(width, height), 0), 0, "a keyframe for every loss");
        let few = expected.min(3);
        assert_eq!(reach(Size::new(width, height), 3), few, "{width}x{height}");
    }
    assert_eq!(Means::References { reach: 0 }.recovery(), RecoveryMeans::Keyframe);
    let some = Means::References { reach: 4 }.recovery();
    assert_eq!(some, RecoveryMeans::References { reach: 4 });
}

#[test]
fn a_wave_takes_no_longer_than_the_picture_has_columns() {
    let means = |units, width| {
        Means::new(Resilience::IntraRefresh { units }, Size::new(width, 64), u16::MAX)
            .map(|means| (means.recovery(), means))
    };
    for (units, width, length, always) in [
        (10, 320, 10, true),
        (19, 320, 19, false),
        (u16::MAX, 320, 19, false),
        (u16::MAX, 1_280, 79, false),
        (60, 1_280, 60, true),
        (1, 2, 1, false),
        (1, 32, 1, false),
    ] {
        let means = means(units, width).unwrap();
        let recovery = RecoveryMeans::Wave { units: length };
        assert_eq!(means, (recovery, Means::Waves { length, always }), "{units} {width}");
    }
    for units in [0, 1] {
        assert_eq!(means(units, 48).unwrap_err(), format!("libx264 has no wave of {units} frames"));
    }
}

#[test]
fn a_build_that_is_not_known_is_named() {
    assert!(sys::not_there(Some(166)).contains("build 166 is there"));
    let reason = sys::not_there(None);
    assert!(reason.contains("165 or 164 or 163"), "{reason}");
}

#[test]
fn parameters_in_other_places_are_refused() {
    let known = |place| match place {
        36 | 528 => 2,
        40 => 8,
        92 | 116 => 3,
        100 => 250,
        628 | 632 => 0,
        636 => 21,
        624 | 904 => 1,
        other => panic!("{other} is not looked at"),
    };
    assert_eq!(sys::check_defaults(known), Ok(()));
    for (wrong, name) in [
        (36, "colour space"),
        (92, "references"),
        (628, "flags of blocks"),
        (904, "byte stream format"),
    ] {
        let get = |place| if place == wrong { known(place) + 4 } else { known(place) };
        let reason = sys::check_defaults(get).unwrap_err();
        assert!(reason.contains(name), "{reason}");
    }
}

#[test]
fn the_library_holds_pictures_as_counted_here_and_their_numbers_do_not_come_around_soon() {
    let waves = |units| Resilience::IntraRefresh { units };
    for (width, height, resilience, reach) in [
        (640, 384, Resilience::References, u16::MAX),
        (640, 384, Resilience::References, 0),
        (640, 384, Resilience::References, 6),
        (2_560, 1_440, Resilience::References, u16::MAX),
        (3_840, 2_160, Resilience::References, u16::MAX),
        (320, 192, waves(10), u16::MAX),
        (320, 192, waves(16), u16::MAX),
        (1_280, 720, waves(u16::MAX), u16::MAX),
    ] {
        let size = Size::new(width, height);
        // 4K at more than 31 frames a second needs level 5.2, however few pictures are held.
        let settings = EncoderSettings {
            resilience,
            reach,
            ..EncoderSettings::new(size, FrameRate::fps(30), Bitrate::from_mbps(8))
        };
        let mut encoder = match LibX264Encoder::open(&settings) {
            Ok(encoder) => encoder,
            Err(OpenError::Missing(what)) => return println!("skipped: {what} is missing"),
            Err(error) => panic!("{error}"),
        };
        let planes: Vec<_> = PixelFormat::Nv12
            .planes(size)
            .map(|(row, rows)| (vec![128; row * rows], row))
            .collect();
        let planes = planes.iter().map(|(data, stride)| Plane { data, stride: *stride });
        let image = CpuImage { format: PixelFormat::Nv12, size, planes: planes.collect() };
        let picture = Picture::Cpu(image);
        let unit = encoder.encode(FrameId(0), &picture, EncodeOptions::default()).unwrap();
        let Submitted::Now(unit) = unit else { panic!("it does not wait") };
        let sps = h264::nals(&unit.data).find(|nal| nal.kind() == h264::NalKind::Sps).unwrap();
        let sps = h264::Sps::parse(sps.bytes()).unwrap();
        let means = Means::new(resilience, size, reach).unwrap();
        let held = match means {
            Means::References { reach } => u32::from(reach) + 1,
            Means::Waves { .. } => 1,
        };
        assert_eq!(sps.max_num_ref_frames, held, "{size}");
        // What is sent; where a keyframe is the only means it does not matter.
        let numbers = 16 << sps.log2_max_frame_num_minus4;
        let matters = means.recovery() != RecoveryMeans::Keyframe;
        assert_eq!(numbers >= 4_096, matters, "{numbers} of {size}, {resilience:?}");
        assert!(sps.level_idc <= 51, "{size} has level {}", sps.level_idc);
    }
}

/// A picture of waves that swell and ebb, so that no part of it is found in the one before.
fn waves(size: Size, number: u32) -> Vec<(Vec<u8>, usize)> {
    let planes = PixelFormat::Nv12.planes(size).enumerate();
    let wave = |at: usize, swell: f32| (at as f32 / 9.0 + number as f32 * swell).sin();
    let luma = |row: usize, at: usize| {
        let (across, down) = (wave(at % row, 0.37), wave(at / row, -0.23));
        (128.0 + 60.0 * across * down) as u8
    };
    let planes = planes.map(|(plane, (row, rows))| {
        let bytes = (0..row * rows).map(|at| if plane == 0 { luma(row, at) } else { 128 });
        (bytes.collect(), row)
    });
    planes.collect()
}

/// What the first slice of a unit of this encoder says of the filter: `disable_deblocking_filter_idc` (H.264 §7.3.3).
fn filter_of(unit: &[u8], frame_num_bits: u32) -> u32 {
    use h264::NalKind::{IdrSlice, Slice};
    let slice = h264::nals(unit).find(|nal| matches!(nal.kind(), Slice | IdrSlice)).unwrap();
    let idr = slice.kind() == IdrSlice;
    let r = &mut crate::bits::BitReader::new(&slice.bytes()[1..]);
    let [_first_mb, kind, _pps] = [(); 3].map(|()| r.unsigned().unwrap());
    r.bits(frame_num_bits).unwrap();
    if idr {
        r.unsigned().unwrap(); // idr_pic_id
    }
    if matches!(kind, 0 | 5) {
        assert_eq!(r.bits(1).unwrap(), 0, "num_ref_idx_active_override_flag");
        assert_eq!(r.bits(1).unwrap(), 0, "ref_pic_list_modification_flag_l0");
    }
    // dec_ref_pic_marking
    assert_eq!(r.bits(if idr { 2 } else { 1 }).unwrap(), 0);
    r.signed().unwrap(); // slice_qp_delta
    r.unsigned().unwrap()
}

#[test]
fn pictures_as_fine_as_anybody_sees_are_not_filtered() {
    use crate::settings::Speed;
    const PICTURES: u32 = 60;
    let size = Size::new(320, 192);
    let usual = EncoderSettings::new(size, FrameRate::fps(60), Bitrate::from_mbps(20));
    for (settings, less) in [
        (usual, true),
        (EncoderSettings { speed: Speed::P4, ..usual }, true),
        (EncoderSettings { integer_motion: true, ..usual }, true),
        (EncoderSettings { regions: true, ..usual }, false),
        (EncoderSettings { min_qp: 20, ..usual }, true),
        (EncoderSettings { min_qp: 24, ..usual }, false),
    ] {
        let mut encoder = match LibX264Encoder::open(&settings) {
            Ok(encoder) => encoder,
            Err(OpenError::Missing(what)) => return println!("skipped: {what} is missing"),
            Err(error) => panic!("{error}"),
        };
        let mut bits = 0;
        let mut code = |encoder: &mut LibX264Encoder, number: u32| {
            let planes = waves(encoder.settings.size, number);
            let planes = planes.iter().map(|(data, stride)| Plane { data, stride: *stride });
            let size = encoder.settings.size;
            let image = CpuImage { format: PixelFormat::Nv12, size, planes: planes.collect() };
            let options = EncodeOptions::keyframe([0, PICTURES - 1].contains(&number));
            let frame = FrameId(number.into());
            let unit = encoder.encode(frame, &Picture::Cpu(image), options).unwrap();
            let Submitted::Now(unit) = unit else { panic!("it does not wait") };
            if let Some(sps) = h264::nals(&unit.data).find(|nal| nal.kind() == h264::NalKind::Sps) {
                bits = h264::Sps::parse(sps.bytes()).unwrap().log2_max_frame_num_minus4 + 4;
            }
            filter_of(&unit.data, bits) != 1
        };
        let mut filtered = |encoder: &mut LibX264Encoder, from: u32, count: u32| {
            let all = (from..from + count).map(|number| code(encoder, number));
            all.collect::<Vec<_>>()
        };
        // Keyframes are, as the first picture and the last one of these.
        let rich = filtered(&mut encoder, 0, PICTURES);
        let [true, between @ .., true] = &rich[..] else { panic!("{settings:?}: {rich:?}") };
        let settled = &between[PICTURES as usize / 2..];
        assert_eq!((settled.contains(&true), between.contains(&false)), (!less, less), "{rich:?}");
        // Few bits leave edges. Of rates that are told before a picture the last one counts, and nothing else is forgotten.
        let poor_rate = Bitrate::from_kbps(60);
        encoder.set_rate(poor_rate, settings.rate).unwrap();
        let mut poor = Vec::new();
        for number in PICTURES..2 * PICTURES {
            encoder.set_rate(poor_rate.scaled(2.0), settings.rate).unwrap();
            encoder.set_rate(poor_rate, settings.rate).unwrap();
            poor.extend(filtered(&mut encoder, number, 1));
        }
        assert!(!poor[PICTURES as usize / 2..].contains(&false), "{settings:?}: {poor:?}");
        // Rich again, and then of another size, which is another encoder within.
        encoder.set_rate(settings.bitrate, settings.rate).unwrap();
        let again = filtered(&mut encoder, 2 * PICTURES, PICTURES);
        assert_eq!(again.contains(&false), less, "{settings:?}: {again:?}");
        encoder.resize(Size::new(192, 128)).unwrap();
        let smaller = filtered(&mut encoder, 3 * PICTURES, PICTURES);
        assert!(smaller[0], "{settings:?}");
        assert_eq!(smaller.contains(&false), less, "{settings:?}: {smaller:?}");
    }
}

/// Where the system's library was loaded from; none where it is not installed.
fn installed() -> Option<PathBuf> {
    sys::system().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    path.into_iter().find(|path| path.contains("libx264.so")).map(PathBuf::from)
}

#[test]
fn a_library_that_lacks_a_function_is_refused_by_name() {
    let Some(path) = installed() else {
        println!("skipped: libx264 is not installed");
        return;
    };
    let folder = std::env::temp_dir().join(format!("nearlight-x264-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let build = BUILDS.into_iter().find(|build| path.ends_with(build.file)).unwrap_or(BUILDS[0]);
    let functions = [
        format!("x264_encoder_open_{}", build.number),
        "x264_param_parse".to_owned(),
        "x264_encoder_invalidate_reference".to_owned(),
        "x264_encoder_intra_refresh".to_owned(),
    ];
    for function in functions {
        let mut bytes = std::fs::read(&path).unwrap();
        let mut places = Vec::new();
        let name = [function.as_bytes(), &[0]].concat();
        for (place, window) in bytes.windows(name.len()).enumerate() {
            if window == name {
                places.push(place);
            }
        }
        assert!(!places.is_empty(), "{function} is exported");
        for place in places {
            bytes[place] = b'y';
        }
        // A name of its own: the dynamic linker keeps what it has loaded under one.
        let copy = folder.join(&function);
        std::fs::write(&copy, bytes).unwrap();
        let refused = Library::open(copy.as_os_str(), build).unwrap_err();
        let OpenError::Refused(reason) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(&function), "{reason}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let missing = Library::open(OsStr::new("/nonexistent/libx264.so.164"), build).unwrap_err();
    assert!(matches!(missing, OpenError::Missing(_)), "{missing:?}");
}
