//! Pictures that are good with less than their rate: how fine libx264 codes them, called directly or by GStreamer.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::time::Duration;

use common::viewer::Viewer;
use common::{Picture, psnr};
use media::{Bitrate, Codec, EncodeOptions, FrameId, FrameRate, Size};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError, candidates};

/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: Size = Size::new(640, 384);
/// Several times what the pictures take at the quantiser that is usual.
const RATE: Bitrate = Bitrate::from_mbps(20);

/// Mean bytes of a unit and least decibels of luma, once rate control has found its way.
fn coded(encoder: &mut BlockingEncoder, first: u64) -> (u64, f64) {
    const PICTURES: u64 = 60;
    let mut viewer = Viewer::new(Codec::H264);
    let (mut bytes, mut worst) = (0, f64::MAX);
    for number in 0..PICTURES {
        let picture = Picture::scene(SIZE, number as usize);
        let options = EncodeOptions::keyframe(number == 0);
        let given = media::Picture::Cpu(picture.image());
        let unit = encoder.encode(FrameId(first + number), &given, options).unwrap();
        let decoded = viewer.decode(&unit.data);
        if number >= PICTURES / 2 {
            bytes += unit.data.len() as u64;
            worst = worst.min(psnr(&picture, &decoded).0);
        }
    }
    (bytes / (PICTURES / 2), worst)
}

#[test]
fn what_is_good_with_less_than_its_rate_takes_no_more_of_it() {
    for name in ["x264", "gst-x264enc"] {
        let candidate = candidates().into_iter().find(|candidate| candidate.name == name).unwrap();
        let usual = EncoderSettings::new(SIZE, FrameRate::fps(60), RATE);
        let open = |min_qp| {
            let settings = EncoderSettings { min_qp, ..usual };
            match BlockingEncoder::open(&candidate, &settings, PATIENCE) {
                Ok(encoder) => Some(encoder),
                Err(OpenError::Missing(what)) => {
                    println!("{name} skipped: {what} is missing");
                    None
                }
                Err(error) => panic!("{name}: {error}"),
            }
        };
        let (Some(mut unbounded), Some(mut encoder), Some(mut coarse)) =
            (open(0), open(usual.min_qp), open(30))
        else {
            continue;
        };
        let all = [&mut unbounded, &mut encoder, &mut coarse].map(|encoder| coded(encoder, 0));
        println!("{name}: bytes and dB {all:.1?}");
        let [(most, _), (bytes, decibels), (least, coarser)] = all;
        assert!(4 * bytes < most && 4 * least < 3 * bytes, "{name}: {all:?}");
        assert!(decibels > 44.0 && coarser < decibels - 3.0, "{name}: {all:?}");
        // Another size is another encoder within.
        encoder.resize(Size::new(320, 192)).unwrap();
        encoder.resize(SIZE).unwrap();
        let (again, _) = coded(&mut encoder, 1_000);
        assert!(10 * again < 12 * bytes, "{name}: {again} bytes after a resize, {bytes} before");
    }
}
