//! The parts that need no pictures, and what lasts too long for `tests/`, which judge what comes out.

use std::ffi::OsStr;
use std::path::PathBuf;

use media::{Bitrate, CpuImage, EncodeOptions, FrameId, FrameRate, Picture, PixelFormat, Plane};
use testkit::fake_gpu::hide;

use super::*;
use sys::{KNOWN, Known, Library};

#[test]
fn a_version_that_is_not_known_is_named() {
    assert!(sys::not_there(Some(4)).contains("libaom.so.4 is there"));
    assert!(sys::not_there(None).contains("libaom3"));
}

/// Where the system's library was loaded from; none where it is not installed.
fn installed() -> Option<PathBuf> {
    sys::system().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    Some(PathBuf::from(paths.find(|path| path.contains("libaom.so"))?))
}

#[test]
fn a_library_that_is_not_as_known_is_refused_by_name() {
    let missing = Library::open(OsStr::new("/nonexistent/libaom.so.3"), KNOWN).unwrap_err();
    assert!(matches!(missing, OpenError::Missing(_)), "{missing:?}");
    let Some(path) = installed() else {
        println!("skipped: libaom is not installed");
        return;
    };
    let refusal = |path: &OsStr, known| match Library::open(path, known) {
        Err(OpenError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let folder = tempfile::tempdir().unwrap();
    for function in ["aom_codec_av1_cx", "aom_codec_control", "aom_codec_version"] {
        let mut library = std::fs::read(&path).unwrap();
        assert!(hide(&mut library, function), "{function} is exported");
        // A name of its own: the dynamic linker keeps what it has loaded under one.
        let copy = folder.path().join(function);
        std::fs::write(&copy, library).unwrap();
        let reason = refusal(copy.as_os_str(), KNOWN);
        assert!(reason.contains(function), "{reason}");
    }
    let reason = refusal(path.as_os_str(), Known { minor: 90..=99, ..KNOWN });
    assert!(reason.contains("is not known, which 3.90 to 3.99 are"), "{reason}");
    let reason = refusal(path.as_os_str(), Known { interface: 28, ..KNOWN });
    assert!(reason.contains("has another interface than 28"), "{reason}");
    assert!(Library::open(path.as_os_str(), KNOWN).is_ok());
}

/// Codes grey pictures, each a little lighter than the one before, and yields the lengths of their units.
fn code(encoder: &mut impl Encoder, size: Size, frames: std::ops::Range<u64>) -> Vec<usize> {
    let mut one = |frame: u64| {
        let pixels = size.pixels() as usize;
        let (luma, chroma) = (vec![(frame % 200) as u8; pixels], vec![128; pixels / 2]);
        let stride = size.width as usize;
        let planes = [Plane { data: &luma, stride }, Plane { data: &chroma, stride }];
        let planes = planes.into_iter().collect();
        let image = Picture::Cpu(CpuImage { format: PixelFormat::Nv12, size, planes });
        match encoder.encode(FrameId(frame), &image, EncodeOptions::default()).unwrap() {
            media::Submitted::Now(unit) => unit.data.len(),
            media::Submitted::Later => panic!("each unit is out before `encode` returns"),
        }
    };
    frames.map(&mut one).collect()
}

/// libaom takes no time of more than 32 bits: in microseconds that are 71 minutes.
#[test]
fn a_session_of_hours_goes_on() {
    let slow = FrameRate::new(1, 10).unwrap();
    let settings = EncoderSettings::new(Size::new(64, 64), slow, Bitrate::from_kbps(64));
    let mut encoder = match open(&settings) {
        Ok(encoder) => encoder,
        Err(error) => return println!("skipped: {error}"),
    };
    assert_eq!(code(&mut encoder, Size::new(64, 64), 0..400).len(), 400);
    // One that begins later, with another size, has its hours from then on.
    encoder.resize(Size::new(128, 64)).unwrap();
    assert_eq!(code(&mut encoder, Size::new(128, 64), 400..1_300).len(), 900);
}
