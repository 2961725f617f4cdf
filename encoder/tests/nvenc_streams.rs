//! What NVENC's streams say of themselves.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper is a failing test")]

mod common;

use common::gpu::{Raw, Rig, SETTINGS, SIZE, word};
use media::{ColorDescription, PixelFormat};
use nearlight_encoder::EncoderSettings;
use nearlight_encoder::h264::{Sps, nals};

/// Primaries, transfer, matrix and range in the numbers of ITU-T H.273.
#[test]
fn the_colours_of_a_session_reach_the_driver_in_every_codec() {
    let sdr = (ColorDescription::BT709_LIMITED, "1/1/1/0");
    let hdr10 = (ColorDescription::BT2020_PQ_LIMITED, "9/16/9/0");
    let rows = [
        ("nvenc-h264", PixelFormat::Nv12, sdr),
        ("nvenc-h265", PixelFormat::Nv12, sdr),
        ("nvenc-h265", PixelFormat::Yuv444, sdr),
        ("nvenc-h265", PixelFormat::P010, hdr10),
        ("nvenc-h265", PixelFormat::Yuv444P16, hdr10),
        ("nvenc-av1", PixelFormat::Nv12, sdr),
        ("nvenc-av1", PixelFormat::P010, hdr10),
        // In 8 bits: H.264 has no 10 in this SDK, and whoever opens it says what pictures have.
        ("nvenc-h264", PixelFormat::Nv12, hdr10),
    ];
    for (name, format, (color, expected)) in rows {
        let rig = Rig::new();
        let mut run = rig.open(name, &EncoderSettings { format, color, ..SETTINGS }).unwrap();
        let line = rig.calls("nvEncInitializeEncoder").remove(0);
        assert_eq!(word(&line, "colours"), expected, "{name} {format:?}");
        let unit = run.code(&Raw::new(format, SIZE, 0).picture()).unwrap();
        if name == "nvenc-h264" {
            let sps = Sps::parse(nals(&unit.data).next().unwrap().bytes()).unwrap();
            let signal = sps.vui.unwrap().signal.unwrap();
            let told = signal.colour.unwrap();
            let numbers = [told.primaries, told.transfer, told.matrix];
            let [primaries, transfer, matrix] = numbers.map(|number| number.to_string());
            let range = u8::from(signal.full_range);
            assert_eq!(format!("{primaries}/{transfer}/{matrix}/{range}"), expected);
        }
        drop(run);
        rig.assert_clean();
    }
}
