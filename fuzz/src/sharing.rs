//! Names of files and contents of clipboards, of clients and of games: a name that is taken is one plain step below a
//! folder, and a clip that is taken is the bytes that were given and of the kind that was said.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[path = "../../host/src/display/clipboard/clip.rs"]
mod clip;
#[path = "../../host/src/exchange/name.rs"]
mod name;

use clip::{Clip, ClipKind};

/// As `host` shows texts of others.
fn shown(text: &str) -> String {
    format!("{text:?}")
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = name::FileName::parse(text)
    {
        assert_eq!(name.as_str(), text);
        assert!(!text.is_empty() && !text.starts_with('.') && text.len() <= 200);
        assert!(!text.contains(['/', '\\', '\0', '\n', '\r']));
    }
    for kind in [ClipKind::Text, ClipKind::Image] {
        let Ok(clip) = Clip::new(kind, Bytes::copy_from_slice(bytes)) else { continue };
        assert_eq!((clip.kind(), &clip.bytes()[..]), (kind, bytes));
        match kind {
            ClipKind::Text => assert!(std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0)),
            ClipKind::Image => {
                assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.len() >= 24)
            }
        }
    }
});
