//! The parts that need no pictures; what comes out is judged by `tests/`.

use std::ffi::OsStr;
use std::path::PathBuf;

use media::{Bitrate, FrameRate};
use testkit::fake_gpu::hide;

use super::*;
use sys::{Library, VERSIONS, Version};

#[test]
fn a_version_that_is_not_known_is_named() {
    assert!(sys::not_there(Some(13)).contains("libvpx.so.13 is there"));
    let reason = sys::not_there(None);
    assert!(reason.contains("12, 11, 9, 8, 7"), "{reason}");
}

/// Where the system's library was loaded from; none where it is not installed.
fn installed() -> Option<(PathBuf, Version)> {
    sys::system().ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let path = PathBuf::from(paths.find(|path| path.contains("libvpx.so"))?);
    // The file that is loaded has the whole version in its name.
    let is_of = |version: &Version| path.to_string_lossy().contains(&format!("{}.", version.file));
    let version = VERSIONS.into_iter().find(is_of)?;
    Some((path, version))
}

#[test]
fn a_library_that_is_not_as_known_is_refused_by_name() {
    let missing = Library::open(OsStr::new("/nonexistent/libvpx.so.7"), VERSIONS[4]).unwrap_err();
    assert!(matches!(missing, OpenError::Missing(_)), "{missing:?}");
    let Some((path, version)) = installed() else {
        println!("skipped: libvpx is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let functions =
        ["vpx_codec_vp8_cx", "vpx_codec_control_", "vpx_codec_get_cx_data", "vpx_codec_get_caps"];
    for function in functions {
        let mut library = std::fs::read(&path).unwrap();
        assert!(hide(&mut library, function), "{function} is exported");
        // A name of its own: the dynamic linker keeps what it has loaded under one.
        let copy = folder.path().join(function);
        std::fs::write(&copy, library).unwrap();
        let refused = Library::open(copy.as_os_str(), version).unwrap_err();
        let OpenError::Refused(reason) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(function), "{reason}");
    }
    // A library without VP9 has VP8 all the same.
    let mut library = std::fs::read(&path).unwrap();
    assert!(hide(&mut library, "vpx_codec_vp9_cx"), "VP9 is exported");
    let copy = folder.path().join("without-vp9");
    std::fs::write(&copy, library).unwrap();
    let library = Library::open(copy.as_os_str(), version).unwrap();
    assert!(library.has(Standard::Vp8).is_ok());
    assert!(!library.has_ten_bits(Standard::Vp8) && !library.has_ten_bits(Standard::Vp9));
    let refused = library.has(Standard::Vp9).unwrap_err();
    assert!(refused.contains("vpx_codec_vp9_cx"), "{refused}");
    let other = VERSIONS.into_iter().find(|other| *other != version).unwrap();
    let refused = Library::open(path.as_os_str(), other).unwrap_err();
    let OpenError::Refused(reason) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("is not known"), "{reason}");
    assert!(Library::open(path.as_os_str(), version).is_ok());
}

#[test]
fn ten_bits_are_refused_where_the_library_has_none() {
    let settings =
        EncoderSettings::new(Size::new(64, 64), FrameRate::fps(60), Bitrate::from_mbps(1))
            .with_kind(PictureKind::HDR10);
    let asked = |ten_bits| settings.check(&describe(Standard::Vp9, false, ten_bits));
    assert_eq!(asked(true), Ok(()));
    assert_eq!(asked(false), Err("vpx-vp9 takes [Nv12], not P010".to_owned()));
    // VP8 has none with any library.
    let refused = match open(Standard::Vp8, &settings) {
        Err(OpenError::Missing(what)) => return println!("skipped: {what}"),
        Err(OpenError::Refused(reason)) => reason,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(refused, "vpx-vp8 takes [Nv12], not P010");
}
