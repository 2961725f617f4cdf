//! The loaders against what is no driver. What a driver's libraries can have wrong is in
//! `tests/nvenc_loader.rs`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use media::{Bitrate, FrameRate, Size};

use super::*;
use crate::candidates::EncoderSettings;
use crate::cuda::loader::DriverLibrary;
use crate::cuda::{Cuda, Unavailable};

/// A file that is deleted with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("nearlight-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn no_library(file: &OsStr) -> String {
    match Cuda::load(file) {
        Err(Unavailable::NoLibrary { library, reason }) => {
            assert_eq!(library, file.to_string_lossy());
            assert!(!reason.is_empty() && !reason.contains(&library), "{reason}");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn missing_files_and_such_that_are_no_library_are_refused() {
    for missing in ["libnearlight-no-such-library.so.1", "/nonexistent/libcuda.so.1", "/tmp"] {
        no_library(OsStr::new(missing));
    }
    // A name with a zero byte inside names no file.
    assert!(matches!(Cuda::load(OsStr::new("lib\0cuda.so.1")), Err(Unavailable::NoLibrary { .. })));
    let wrong: [(&str, &[u8]); 3] =
        [("empty", b""), ("text", b"this is no library\n"), ("magic", b"\x7fELF")];
    for (name, bytes) in wrong {
        let file = File::new(name, bytes);
        no_library(file.0.as_os_str());
    }
}

#[test]
fn a_library_without_the_functions_is_refused_by_the_first_of_them() {
    // One that every process on this system has.
    let libc = OsStr::new("libc.so.6");
    let missing = |symbol| Unavailable::MissingSymbol { library: "libc.so.6".into(), symbol };
    assert_eq!(Cuda::load(libc).unwrap_err(), missing("cuInit"));
    // And what it does have is found.
    let library = DriverLibrary::open(libc).unwrap();
    assert_eq!(library.name(), "libc.so.6");
}

#[test]
fn the_candidates_say_why_they_cannot_be_used() {
    let nowhere = Path::new("/nonexistent");
    let libraries = Libraries {
        encode: nowhere.join("libnvidia-encode.so.1").into(),
        cuda: nowhere.join("libcuda.so.1").into(),
    };
    let size = Size::new(640, 384);
    let settings = EncoderSettings::new(size, FrameRate::fps(60), Bitrate::from_mbps(4));
    // The answer is kept, and is the same for all.
    for candidate in candidates(libraries) {
        assert!(candidate.hardware);
        let Err(OpenError::Missing(reason)) = (candidate.open)(&settings, &Wake::new(|| {})) else {
            panic!("opened without a driver")
        };
        assert!(reason.starts_with("/nonexistent/libcuda.so.1 cannot be loaded ("), "{reason}");
    }
}
