//! Pictures as large as displays and streams of cinema size, 4096 at the longer edge, on every candidate.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was skipped is worth reading"
)]

mod common;

use std::time::Duration;

use common::Picture;
use common::gpu::Rig;
use common::viewer::Viewer;
use media::{Bitrate, Codec, EncodeError, EncodeOptions, FrameId, FrameRate, Size, UnitKind};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError};

/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const CINEMA: Size = Size::new(4_096, 2_160);

#[test]
fn pictures_of_the_4096_edge_are_coded_or_refused_by_name() {
    let rig = Rig::new();
    let mut coded = 0;
    for present in rig.all_candidates() {
        let label = present.label();
        let settings =
            EncoderSettings::new(Size::new(640, 384), FrameRate::fps(60), Bitrate::from_mbps(20));
        let mut encoder = match BlockingEncoder::open(&present.candidate, &settings, PATIENCE) {
            Ok(encoder) => encoder,
            Err(OpenError::Missing(why)) => {
                println!("{label} skipped: {why}");
                continue;
            }
            Err(error) => panic!("{label}: {error}"),
        };
        let capabilities = encoder.capabilities().clone();
        let mut frame = 0;
        for size in [CINEMA, Size::new(256, 4_096), Size::new(4_098, 256)] {
            if let Err(error) = encoder.resize(size) {
                let EncodeError::Refused(reason) = error else {
                    panic!("{label}, {size}: {error}")
                };
                assert!(!capabilities.takes_size(size), "{label} takes {size}, it says: {reason}");
                assert!(reason.contains(&size.to_string()), "{label}: {reason}");
                println!("{label}: {reason}");
                continue;
            }
            assert!(capabilities.takes_size(size), "{label} does not take {size}, it says");
            let mut viewer = present.codes_pictures().then(|| Viewer::new(capabilities.codec));
            for time in 0..2 {
                let picture = Picture::scene(size, time);
                let image = media::Picture::Cpu(picture.image());
                let unit =
                    encoder.encode(FrameId(frame), &image, EncodeOptions::default()).unwrap();
                frame += 1;
                assert_eq!(unit.kind == UnitKind::Key, time == 0, "{label}, {size}");
                if let Some(viewer) = &mut viewer {
                    // How good it is depends on what a VBV of one frame allows a first picture.
                    assert_eq!(viewer.decode(&unit.data).size, size, "{label}");
                }
                coded += 1;
            }
        }
        // The last resort is there for all that others take.
        if capabilities.codec == Codec::H264 && !present.double {
            assert!(capabilities.takes_size(CINEMA), "{label}");
        }
    }
    assert!(coded > 0);
    rig.assert_clean();
}
