//! Pictures that move by whole pixels, and by parts of one: what libx264 makes of them where it is told that they move
//! by whole ones alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::time::Duration;

use common::viewer::Viewer;
use common::{Picture, psnr};
use media::{Bitrate, Codec, EncodeOptions, FrameId, FrameRate, Size};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError, Speed, candidates};

/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: Size = Size::new(640, 384);
/// What moves by parts of a pixel is not to be had for it without looking for them.
const RATE: Bitrate = Bitrate::from_mbps(2);

/// Decibels by which two streams of the same pictures differ that are coded alike: slices that are coded at the
/// same time do not share bits in the same way twice.
const ALIKE: f64 = 1.0;

/// Smooth grains, three pixels apart, that have moved by so many quarters of a pixel.
fn grains(size: Size, quarters: usize) -> Picture {
    const APART: f64 = 3.0;
    let smooth = |part: f64| part * part * (3.0 - 2.0 * part);
    let luma = |x: usize, y: usize| {
        let (x, y) = ((x as f64 + quarters as f64 / 4.0) / APART, y as f64 / APART);
        let (right, below) = (smooth(x.fract()), smooth(y.fract()));
        let row = |y: f64| grain(x.floor(), y) * (1.0 - right) + grain(x.floor() + 1.0, y) * right;
        let value = row(y.floor()) * (1.0 - below) + row(y.floor() + 1.0) * below;
        (64.0 + value / 2.0) as u8
    };
    Picture::new(size, luma, |_, _| (128, 128))
}

/// A number below 256 of a place.
fn grain(column: f64, row: f64) -> f64 {
    let cell = (column as u32).wrapping_mul(0x9e37_79b1) ^ (row as u32).wrapping_mul(0x85eb_ca77);
    f64::from((cell.wrapping_mul(0xc2b2_ae3d) >> 12) as u8)
}

/// A game's large pixels, of which each is 3.6 of the screen's wide, and which move by one a picture: coloured walls, some of
/// them plain, and letters on black below.
fn large_pixels(size: Size, number: usize) -> Picture {
    let place = move |x: usize, y: usize| {
        let column = (x as f64 / 3.6).floor() + number as f64;
        (column, (y as f64 / 3.6).floor())
    };
    let wall = |column: f64, row: f64| grain((column / 24.0).floor(), (row / 32.0).floor());
    let luma = move |x: usize, y: usize| {
        if y >= 320 {
            return if grain((x / 2) as f64, (y / 2) as f64) > 160.0 { 200 } else { 16 };
        }
        let (column, row) = place(x, y);
        let wall = wall(column, row);
        let rough = if wall > 96.0 { grain(column, row) / 5.0 } else { 0.0 };
        (40.0 + wall / 3.0 + rough) as u8
    };
    let chroma = move |x: usize, y: usize| {
        let (column, row) = place(2 * x, 2 * y);
        let wall = if 2 * y >= 320 { 128.0 } else { wall(column, row) };
        ((96.0 + wall / 4.0) as u8, (160.0 - wall / 4.0) as u8)
    };
    Picture::new(size, luma, chroma)
}

/// Decibels of luma and chroma: of a keyframe, and the means of what follows once rate control has found its way.
fn decibels(encoder: &mut BlockingEncoder, draw: impl Fn(usize) -> Picture) -> [(f64, f64); 2] {
    const PICTURES: usize = 60;
    const SETTLED: usize = PICTURES / 2;
    let mut viewer = Viewer::new(Codec::H264);
    let shown: Vec<_> = (0..PICTURES)
        .map(|number| {
            let picture = draw(number);
            let options = EncodeOptions::keyframe(number == 0);
            let given = media::Picture::Cpu(picture.image());
            let unit = encoder.encode(FrameId(number as u64), &given, options).unwrap();
            psnr(&picture, &viewer.decode(&unit.data))
        })
        .collect();
    let mean =
        |of: fn(&(f64, f64)) -> f64| shown[SETTLED..].iter().map(of).sum::<f64>() / SETTLED as f64;
    [shown[0], (mean(|shown| shown.0), mean(|shown| shown.1))]
}

/// The mean decibels of luma of grains.
fn of_grains(encoder: &mut BlockingEncoder, size: Size, quarters: usize) -> f64 {
    let [_, (luma, _)] = decibels(encoder, |number| grains(size, number * quarters));
    luma
}

fn open(settings: &EncoderSettings) -> Option<BlockingEncoder> {
    let candidate = candidates().into_iter().find(|candidate| candidate.name == "x264").unwrap();
    match BlockingEncoder::open(&candidate, settings, PATIENCE) {
        Ok(encoder) => Some(encoder),
        Err(OpenError::Missing(what)) => {
            println!("skipped: {what} is missing");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn pictures_that_move_by_whole_pixels_are_as_good_without_a_search_for_parts() {
    let usual = EncoderSettings::new(SIZE, FrameRate::fps(60), RATE);
    let told = EncoderSettings { integer_motion: true, ..usual };
    for (quarters, parts) in [(8, false), (5, true)] {
        let all = [usual, told, EncoderSettings { speed: Speed::P2, ..told }];
        let [Some(usual), Some(told), Some(asked)] =
            all.map(|settings| Some(of_grains(&mut open(&settings)?, SIZE, quarters)))
        else {
            return;
        };
        println!("{quarters}/4 pixels: {usual:.1} dB, told {told:.1}, by P2 {asked:.1}");
        let expected = if parts { told < usual - 4.0 } else { told > usual - ALIKE };
        assert!(expected, "{told} where {usual} are to be had");
        assert!((asked - usual).abs() < ALIKE, "what was asked for is used: {asked}");
    }
}

#[test]
fn large_pixels_are_as_good_in_colour_and_in_keyframes_too() {
    let usual = EncoderSettings::new(SIZE, FrameRate::fps(60), RATE);
    let all = [usual, EncoderSettings { integer_motion: true, ..usual }];
    let [Some(usual), Some(told)] = all
        .map(|settings| Some(decibels(&mut open(&settings)?, |number| large_pixels(SIZE, number))))
    else {
        return;
    };
    println!("keyframe, then others: {usual:.1?} dB, told {told:.1?}");
    for (usual, told) in usual.into_iter().zip(told) {
        assert!(told.0 > usual.0 - ALIKE && told.1 > usual.1 - ALIKE);
    }
}

#[test]
fn pictures_of_another_size_move_as_was_said_before_it() {
    let settings = EncoderSettings::new(SIZE, FrameRate::fps(60), RATE);
    let Some(mut encoder) = open(&EncoderSettings { integer_motion: true, ..settings }) else {
        return;
    };
    let mut of = |size, whole| {
        encoder.set_integer_motion(whole);
        encoder.resize(size).unwrap();
        of_grains(&mut encoder, size, 5)
    };
    let smaller = Size::new(480, 288);
    let [scaled, _, shown, _, again] =
        [(smaller, false), (SIZE, true), (smaller, true), (SIZE, true), (smaller, false)]
            .map(|(size, whole)| of(size, whole));
    println!("{scaled:.1} dB where it was scaled, {again:.1} again, {shown:.1} where it was not");
    assert!(scaled > shown + 4.0 && (scaled - again).abs() < ALIKE);
}
