//! What encoders are told of what has changed in a picture, and what libx264 makes of it: blocks that stand still
//! are not looked at, and the picture is as good as if all of it were.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::doubles::{Behaviour, Bench, SIZE, SinkDouble};
use common::viewer::Viewer;
use common::{Decoded, Picture, psnr};
use media::barcode::Strip;
use media::{
    Bitrate, Codec, Damage, EncodeOptions, FrameId, FrameRate, PixelFormat, Recovery, Rect,
    RegionQuality, Regions, Size, UnitKind,
};
use nearlight_encoder::{BlockingEncoder, Command, EncoderSettings, OpenError, Speed, candidates};

/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const RATE: FrameRate = FrameRate::fps(60);
/// Decibels by which two streams of the same pictures differ that are coded alike: slices that are coded at the
/// same time do not share bits in the same way twice.
const ALIKE: f64 = 1.0;

#[test]
fn an_encoder_is_told_what_has_changed_since_the_picture_that_it_took_last() {
    let mut bench = Bench::of(&[("a", Behaviour::SaysDamage)]);
    let submit = |bench: &mut Bench, x, change: &dyn Fn(&mut common::doubles::Image)| {
        let mut frame = bench.frame(change);
        frame.damage = rects(&[Rect { x, y: 2, width: 4, height: 4 }]);
        bench.worker.submit(frame);
        bench.settle();
    };
    let plain = |_: &mut common::doubles::Image| {};
    submit(&mut bench, 8, &plain);
    submit(&mut bench, 16, &plain);
    bench.sink.ready.store(false, Ordering::SeqCst);
    submit(&mut bench, 24, &plain);
    bench.sink.ready.store(true, Ordering::SeqCst);
    submit(&mut bench, 32, &plain);
    submit(&mut bench, 40, &|image| image.error = true);
    submit(&mut bench, 48, &plain);
    submit(&mut bench, 56, &|image| {
        (image.format, image.stride) = (PixelFormat::Bgrx8, 640 * 4);
        image.data = Arc::new(vec![vec![90; 640 * 384 * 4]]);
    });
    submit(&mut bench, 64, &plain);
    submit(&mut bench, 72, &|image| image.size = Size::new(320, 192));
    bench.worker.command(Command::SetSink(Box::new(SinkDouble::new()))).unwrap();
    let mut frame = bench.frame(|image| image.size = Size::new(320, 192));
    frame.damage = Damage::none();
    bench.worker.submit(frame);
    let is_told = |call: &String| call.starts_with("changed");
    common::doubles::wait_until("the new viewer is coded for", || {
        bench.calls.all().iter().filter(|call| is_told(call)).count() == 8
    });
    let told: Vec<_> = bench.calls.all().into_iter().filter(is_told).collect();
    let expected = [
        "None",
        "Some([(16, 20)])",
        "Some([(32, 36), (24, 28)])", // Nobody took 24.
        "Some([(48, 52), (40, 44)])", // 40 could not be had.
        "Some([(55, 61)])",           // Chroma is filtered on the way from RGB.
        "Some([(64, 68)])",
        "None", // Another size.
        "None", // A new viewer.
    ];
    assert_eq!(told, expected.map(|damage| format!("changed {damage}")));
}

fn rects(rects: &[Rect]) -> Damage {
    Damage::Rects(rects.iter().copied().collect())
}

fn settings(kbps: u64) -> EncoderSettings {
    EncoderSettings::new(SIZE, RATE, Bitrate::from_kbps(kbps))
}

/// libx264, and what is decoded of its units.
struct Stream {
    encoder: BlockingEncoder,
    viewer: Viewer,
    number: u64,
}

impl Stream {
    /// `None`, and said, where it is not installed.
    fn open((speed, integer_motion): (Speed, bool), kbps: u64) -> Option<Self> {
        Self::open_with(EncoderSettings { speed, integer_motion, ..settings(kbps) })
    }

    fn open_with(settings: EncoderSettings) -> Option<Self> {
        let candidate = candidates().into_iter().find(|candidate| candidate.name == "x264");
        match BlockingEncoder::open(&candidate.unwrap(), &settings, PATIENCE) {
            Ok(encoder) => Some(Self { encoder, viewer: Viewer::new(Codec::H264), number: 0 }),
            Err(OpenError::Missing(what)) => {
                println!("skipped: {what} is missing");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn code(&mut self, picture: &Picture, damage: &Damage, options: EncodeOptions) -> Vec<u8> {
        let options = EncodeOptions { damage: damage.known(), ..options };
        let picture = media::Picture::Cpu(picture.image());
        let unit = self.encoder.encode(FrameId(self.number), &picture, options).unwrap();
        assert_eq!(unit.kind == UnitKind::Key, self.number == 0, "unit {}", self.number);
        self.number += 1;
        unit.data.to_vec()
    }

    fn show(&mut self, picture: &Picture, damage: &Damage) -> Decoded {
        let unit = self.code(picture, damage, EncodeOptions::default());
        self.viewer.decode(&unit)
    }
}

/// Presets without and with adaptive quantisation, with the early choice of skipped blocks or the late one, and for motion by whole
/// pixels.
const PRESETS: [(Speed, bool); 4] =
    [(Speed::P1, false), (Speed::Auto, false), (Speed::Auto, true), (Speed::P4, false)];

/// Where a window lies on a desktop.
fn window(time: usize) -> Rect {
    let (x, y) = (6 * time as u32 % 500, 64 + 2 * time as u32 % 200);
    Rect { x, y, width: 90, height: 54 }
}

/// A desktop that stands still, but for a window that moves and whose picture does, too.
fn desktop(time: usize) -> Picture {
    let (mut picture, playing) = (Picture::scene(SIZE, 0), Picture::pan(SIZE, time));
    let Rect { x, y, width, height } = window(time);
    let [x, y, width, height] = [x, y, width, height].map(|edge| edge as usize);
    for row in y..y + height {
        let at = row * picture.stride + x;
        picture.luma[at..at + width].copy_from_slice(&playing.luma[at..at + width]);
    }
    for row in y / 2..(y + height) / 2 {
        let at = row * picture.stride + x;
        picture.chroma[at..at + width].copy_from_slice(&playing.chroma[at..at + width]);
    }
    picture
}

/// What changed in it.
fn changed(time: usize) -> Damage {
    match time.checked_sub(1) {
        Some(before) => rects(&[window(before), window(time)]),
        None => Damage::Unknown,
    }
}

/// Decibels of luma within a rectangle and beside it.
fn quality(source: &Picture, decoded: &Decoded, rect: Rect) -> [f64; 2] {
    let mut sums = [(0.0, 0.0); 2];
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let (column, row) = (x as usize, y as usize);
            let is = decoded.luma[row * decoded.stride + column];
            let error = f64::from(source.luma[row * source.stride + column]) - f64::from(is);
            let within = (rect.x..rect.x + rect.width).contains(&x)
                && (rect.y..rect.y + rect.height).contains(&y);
            let (sum, count) = &mut sums[usize::from(!within)];
            (*sum, *count) = (*sum + error * error, *count + 1.0);
        }
    }
    sums.map(|(sum, count)| 10.0 * (255.0_f64.powi(2) * count / sum.max(1.0)).log10())
}

/// Medians of what lies within windows and beside them, and what a tenth of the latter is below, once rate control has
/// found its way.
fn of_a_desktop(stream: &mut Stream, is_told: bool) -> [f64; 3] {
    const PICTURES: usize = 90;
    let mut all = [Vec::new(), Vec::new()];
    for time in 0..PICTURES {
        let damage = if is_told { changed(time) } else { Damage::Unknown };
        let picture = desktop(time);
        let parts = quality(&picture, &stream.show(&picture, &damage), window(time));
        if time >= PICTURES / 3 {
            all.iter_mut().zip(parts).for_each(|(all, part)| all.push(part));
        }
    }
    all.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
    let [window, beside] = all;
    [window[window.len() / 2], beside[beside.len() / 2], beside[beside.len() / 10]]
}

#[test]
fn a_picture_of_which_a_part_changes_is_as_good_as_if_all_of_it_were_looked_at() {
    for (speed, integer_motion) in PRESETS {
        let Some(mut stream) = Stream::open((speed, integer_motion), 1_000) else { return };
        let [window, desktop, low] = of_a_desktop(&mut stream, true);
        let looked_at =
            of_a_desktop(&mut Stream::open((speed, integer_motion), 1_000).unwrap(), false);
        println!("{speed}: dB {window:.1} {desktop:.1} {low:.1}, looked at {looked_at:.1?}");
        // Small parts vary more by what slices leave for one another.
        assert!(window > looked_at[0] - 3.0 * ALIKE, "{speed}: the window");
        assert!(desktop > looked_at[1] - ALIKE, "{speed}: the desktop");
        assert!(
            low > looked_at[2] - 2.0 * ALIKE,
            "{speed}: hardly any picture of it is left behind"
        );
    }
}

/// Told that a block has not changed though it has, the encoder does not see it: were it told wrongly elsewhere, it
/// would show in what is compared.
#[test]
fn what_is_said_to_stand_still_is_not_looked_at() {
    const PICTURES: usize = 20;
    for (speed, integer_motion) in PRESETS {
        let (before, now) = (desktop(PICTURES - 1), desktop(PICTURES));
        let part = window(PICTURES);
        // Coarser than it became while all stood still: it is not looked at to become finer.
        let coarser = Regions::new(&[RegionQuality { rect: part, steps: 12 }]).unwrap();
        let mut shows = Vec::new();
        for damage in [changed(PICTURES), Damage::Unknown, Damage::none()] {
            let with_regions =
                EncoderSettings { speed, integer_motion, regions: true, ..settings(4_000) };
            let Some(mut stream) = Stream::open_with(with_regions) else { return };
            (0..PICTURES).for_each(|time| drop(stream.show(&desktop(time), &changed(time))));
            (0..30).for_each(|_| drop(stream.show(&before, &Damage::none())));
            let options = EncodeOptions { regions: coarser, ..EncodeOptions::default() };
            let unit = stream.code(&now, &damage, options);
            let decoded = stream.viewer.decode(&unit);
            shows.push(quality(&now, &decoded, part)[0]);
        }
        println!("{speed}: dB {shows:.1?}");
        let [told, looked_at, not_told] = shows[..] else { panic!("three streams") };
        assert!(not_told < told - 10.0, "{speed}: what is not told of does not show");
        assert!(not_told < looked_at - 10.0, "{speed}: and does where nothing is known");
    }
}

#[test]
fn what_stands_still_becomes_as_fine_as_if_it_were_looked_at() {
    const MOVING: usize = 20;
    for (speed, integer_motion) in PRESETS {
        let mut came = Vec::new();
        for damage in [Damage::none(), Damage::Unknown] {
            let (mut moved, mut stood) = (Vec::new(), Vec::new());
            // Each shares bits as chance will have it: the one in the middle counts.
            for _ in 0..5 {
                let Some(mut stream) = Stream::open((speed, integer_motion), 600) else { return };
                let mut of = |time, damage: &Damage| {
                    let picture = Picture::scene(SIZE, time);
                    psnr(&picture, &stream.show(&picture, damage)).0
                };
                let moving: Vec<_> = (0..MOVING).map(|time| of(time, &Damage::Unknown)).collect();
                let still: Vec<_> = (0..30).map(|_| of(MOVING - 1, &damage)).collect();
                moved.push(moving[MOVING - 1]);
                stood.push(still[29]);
            }
            moved.sort_by(f64::total_cmp);
            stood.sort_by(f64::total_cmp);
            came.push((moved[2], stood[2]));
        }
        println!("{speed}: dB moving and still {came:.1?}");
        assert!(came[0].1 > came[0].0 + 1.0, "{speed}: it becomes finer");
        assert!(came[0].1 > came[1].1 - ALIKE, "{speed}: as fine");
    }
}

/// What is lost was to be what has changed: the next picture, in which nothing has, shows it nevertheless.
#[test]
fn what_changed_in_a_lost_picture_is_shown_by_the_next_one() {
    for (speed, integer_motion) in PRESETS {
        let Some(mut stream) = Stream::open((speed, integer_motion), 4_000) else { return };
        (0..20).for_each(|time| drop(stream.show(&Picture::scene(SIZE, time), &Damage::Unknown)));
        let (before, now) = (Picture::scene(SIZE, 19), Picture::scene(SIZE, 40));
        let lost = FrameId(stream.number);
        stream.code(&now, &Damage::Unknown, EncodeOptions::default());
        let recovery = stream.encoder.forget(lost..=lost);
        assert_eq!(recovery, Recovery::Invalidated { base: FrameId(lost.0 - 1) });
        for _ in 0..4 {
            let decoded = stream.show(&now, &Damage::none());
            let [shown, stale] = [&now, &before].map(|source| psnr(source, &decoded).0);
            println!("{speed}: {shown:.1} dB, of what was before {stale:.1}");
            assert!(shown > stale + 6.0, "{speed}: {shown} and {stale} dB");
        }
    }
}

#[test]
fn a_strip_is_drawn_over_what_stands_still_and_taken_away_again() {
    for (speed, integer_motion) in PRESETS {
        let Some(mut stream) = Stream::open((speed, integer_motion), 4_000) else { return };
        let picture = Picture::scene(SIZE, 0);
        let still = Damage::none();
        (0..20).for_each(|_| drop(stream.show(&picture, &still)));
        for number in 0..20_u64 {
            let strip = Some(Strip::new(FrameId(number * 4_321), None));
            let options = EncodeOptions { strip, ..EncodeOptions::default() };
            let unit = stream.code(&picture, &still, options);
            let decoded = stream.viewer.decode(&unit);
            assert_eq!(Strip::read_luma(&decoded.luma, decoded.stride), strip, "{speed}");
        }
        let decoded = stream.show(&picture, &still);
        let [under, beside] = quality(&picture, &decoded, Strip::AREA);
        println!("{speed}: {under:.1} dB where the strip was, {beside:.1} beside it");
        assert!(under > 24.0, "{speed}: {under} dB where the strip was");
    }
}
