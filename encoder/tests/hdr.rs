//! HDR10 by every encoder of this machine that takes it: ten bits come out as they went in, and the
//! stream says what they mean. FFmpeg judges, which shares no code with ours.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing helper is a failing test, and what was measured is worth reading"
)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use media::barcode::Strip;
use media::{
    Bitrate, Codec, CpuImage, EncodeError, EncodeOptions, FrameId, FrameRate, PictureKind,
    PixelFormat, Plane, RateChange, Size, UnitKind,
};
use nearlight_encoder::{BlockingEncoder, EncoderSettings, OpenError, candidates, headers};
use smallvec::smallvec;
use testkit::{ffmpeg, ivf};

const SIZE: Size = Size::new(640, 192);
const OTHER: Size = Size::new(320, 192);
const SETTINGS: EncoderSettings =
    EncoderSettings::new(SIZE, FrameRate::fps(60), Bitrate::from_mbps(8))
        .with_kind(PictureKind::HDR10);
/// Far longer than a picture takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);
const PICTURES: usize = 24;

/// P010 whose rows are padded, as those of sources are.
struct Picture {
    size: Size,
    stride: usize,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Picture {
    /// Luma that rises and falls by one code from sample to sample, which eight bits cannot show, and moves.
    fn slope(size: Size, time: usize) -> Self {
        let stride = size.width as usize * 2 + 32;
        let plane = |rows: usize, value: &dyn Fn(usize, usize) -> u16| {
            let mut plane = vec![0xee; stride * rows];
            for (y, row) in plane.chunks_mut(stride).enumerate() {
                let samples = row.as_chunks_mut::<2>().0.iter_mut().take(size.width as usize);
                for (x, sample) in samples.enumerate() {
                    *sample = (value(x, y) << 6).to_le_bytes();
                }
            }
            plane
        };
        let luma = plane(size.height as usize, &|x, y| slope(x + y / 2 + time));
        // Cb and Cr by turns.
        let chroma = plane(size.height as usize / 2, &|x, y| 400 + (x / 2 + y) as u16 % 200);
        Self { size, stride, luma, chroma }
    }

    fn image(&self) -> CpuImage<'_> {
        let plane = |data| Plane { data, stride: self.stride };
        let planes = smallvec![plane(&self.luma[..]), plane(&self.chroma[..])];
        CpuImage { format: PixelFormat::P010, size: self.size, planes }
    }
}

/// Once up and down in the width of a picture: what predicts from one side is wrong both ways alike.
fn slope(at: usize) -> u16 {
    let at = at % 640;
    100 + if at < 320 { at } else { 640 - at } as u16
}

/// Runs `test` on every candidate that takes HDR10 and names them; at least `least` must run.
fn on_every_candidate(least: usize, mut test: impl FnMut(Codec, &'static str, BlockingEncoder)) {
    let mut ran = Vec::new();
    for candidate in candidates() {
        match BlockingEncoder::open(&candidate, &SETTINGS, PATIENCE) {
            Ok(encoder) => {
                assert!(encoder.capabilities().formats.contains(&PixelFormat::P010));
                test(candidate.codec, candidate.name, encoder);
                ran.push(candidate.name);
            }
            Err(OpenError::Missing(what)) => println!("{} skipped: {what}", candidate.name),
            Err(OpenError::Refused(why)) => {
                assert!(why.ends_with("not P010"), "{}: {why}", candidate.name);
            }
            Err(error) => panic!("{}: {error}", candidate.name),
        }
    }
    assert!(ran.len() >= least, "only {ran:?} ran: `scripts/setup test` installs more");
}

fn code(encoder: &mut BlockingEncoder, codec: Codec, number: usize, size: Size) -> Vec<u8> {
    let picture = Picture::slope(size, number);
    let image = media::Picture::Cpu(picture.image());
    let unit = encoder.encode(FrameId(number as u64), &image, EncodeOptions::default()).unwrap();
    assert_eq!(headers::kind(codec, &unit.data), Ok(unit.kind));
    assert_eq!(unit.kind == UnitKind::Key, number == 0);
    unit.data.to_vec()
}

/// Writes units as FFmpeg reads them: it does not look into H.265 in IVF.
fn write(name: &str, codec: Codec, units: &[Vec<u8>]) -> PathBuf {
    let ending = if codec == Codec::H265 { "h265" } else { "ivf" };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hdr-{name}.{ending}"));
    let mut file = BufWriter::new(File::create(&path).unwrap());
    if codec == Codec::H265 {
        units.iter().for_each(|unit| file.write_all(unit).unwrap());
    } else {
        let units = units.iter().enumerate().map(|(number, unit)| (number as u64, &unit[..]));
        ivf::write(&mut file, codec, SIZE, units).unwrap();
    }
    file.flush().unwrap();
    path
}

#[test]
fn ten_bits_come_out_as_they_went_in_and_the_stream_says_what_they_mean() {
    on_every_candidate(3, |codec, name, mut encoder| {
        let units: Vec<_> =
            (0..PICTURES).map(|number| code(&mut encoder, codec, number, SIZE)).collect();
        let path = write(name, codec, &units);
        let about = ffmpeg::about(&path).unwrap();
        let mut wanted =
            vec![("pix_fmt", "yuv420p10le"), ("color_range", "tv"), ("color_space", "bt2020nc")];
        match codec {
            // VP9's header has the matrix alone.
            Codec::Vp9 => wanted.push(("profile", "Profile 2")),
            _ => wanted.extend([("color_transfer", "smpte2084"), ("color_primaries", "bt2020")]),
        }
        for (key, value) in wanted {
            assert_eq!(about.get(key).map(String::as_str), Some(value), "{name}: {key}: {about:?}");
        }
        let (width, height) = (SIZE.width as usize, SIZE.height as usize);
        let mut shown = 0;
        ffmpeg::ten_bit_pictures(&path, width * height * 3, |picture| {
            let (mut sum, mut off, mut squares, mut lowest) = (0_i64, 0_i64, 0_i64, [0_usize; 4]);
            for (at, sample) in picture.as_chunks::<2>().0[..width * height].iter().enumerate() {
                let made = u16::from_le_bytes(*sample);
                let meant = slope(at % width + at / width / 2 + shown);
                let error = i64::from(made) - i64::from(meant);
                (sum, off, squares) = (sum + error, off + error.abs(), squares + error * error);
                lowest[usize::from(made % 4)] += 1;
            }
            let count = (width * height) as f64;
            let (mean, absolute) = (sum as f64 / count, off as f64 / count);
            let psnr = 10.0 * (1_023.0_f64.powi(2) / (squares as f64 / count).max(1e-9)).log10();
            if shown == 0 || shown + 1 == PICTURES {
                println!("{name}: {psnr:.1} dB, off by {absolute:.2} codes, {mean:.2} in the mean");
            }
            // A way of eight bits cuts 1.5 codes off, or leaves out three of four. After the first picture
            // an encoder may find that so little motion is worth nothing.
            let even = shown > 0 || mean.abs() < 0.5;
            assert!(psnr > 40.0 && even, "{name}, {shown}: {psnr} dB, {mean}");
            assert!(lowest.iter().all(|&n| n as f64 > count / 8.0), "{name}, {shown}: {lowest:?}");
            shown += 1;
        })
        .unwrap();
        assert_eq!(shown, PICTURES);
    });
}

#[test]
fn the_depth_stays_when_an_encoder_is_started_anew() {
    on_every_candidate(3, |codec, name, mut encoder| {
        code(&mut encoder, codec, 0, SIZE);
        let (bitrate, rate) = (Bitrate::from_mbps(5), FrameRate::fps(60));
        let keyframe = encoder.set_rate(bitrate, rate).unwrap() == RateChange::Keyframe;
        for change in 0..2 {
            let size = [SIZE, OTHER][change];
            encoder.resize(size).unwrap();
            let picture = Picture::slope(size, 1);
            let strip = Some(Strip { frame: 7, input: 9 });
            let options = EncodeOptions { strip, ..EncodeOptions::default() };
            let image = media::Picture::Cpu(picture.image());
            let unit = encoder.encode(FrameId(1 + change as u64), &image, options).unwrap();
            assert_eq!(unit.kind == UnitKind::Key, keyframe || change == 1, "{name}");
            if unit.kind != UnitKind::Key {
                continue;
            }
            let path = write(&format!("{name}-anew"), codec, &[unit.data.to_vec()]);
            assert_eq!(ffmpeg::about(&path).unwrap()["pix_fmt"], "yuv420p10le", "{name}");
            let (width, height) = (size.width as usize, size.height as usize);
            ffmpeg::ten_bit_pictures(&path, width * height * 3, |picture| {
                let samples = picture.as_chunks::<2>().0[..width * height].iter();
                let luma: Vec<_> =
                    samples.map(|&sample| (u16::from_le_bytes(sample) >> 2) as u8).collect();
                // The other size has no room for a strip.
                let read = Strip::read_luma(&luma, width);
                assert_eq!(read, strip.filter(|_| size == SIZE), "{name}");
            })
            .unwrap();
        }
    });
}

#[test]
fn pictures_of_eight_bits_are_refused_by_an_encoder_of_ten() {
    on_every_candidate(3, |codec, name, mut encoder| {
        let planes = [vec![128; 640 * 192], vec![128; 640 * 96]];
        let planes = planes.iter().map(|data| Plane { data, stride: 640 }).collect();
        let image = CpuImage { format: PixelFormat::Nv12, size: SIZE, planes };
        let narrow = media::Picture::Cpu(image);
        let refused = encoder.encode(FrameId(0), &narrow, EncodeOptions::default());
        let Err(EncodeError::Refused(why)) = refused else { panic!("{name}: {refused:?}") };
        assert!(why.contains("not P010"), "{why}");
        code(&mut encoder, codec, 0, SIZE);
    });
}

/// And those of eight bits, by every encoder, that they are BT.709.
#[test]
fn the_stream_says_what_eight_bits_mean() {
    let settings = SETTINGS.with_kind(PictureKind::NV12);
    let mut ran = 0;
    for candidate in candidates() {
        let name = candidate.name;
        let mut encoder = match BlockingEncoder::open(&candidate, &settings, PATIENCE) {
            Ok(encoder) => encoder,
            Err(OpenError::Missing(what)) => {
                println!("{name} skipped: {what}");
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        if candidate.codec == Codec::Vp8 {
            println!("{name} left out: VP8 says nothing of colours");
            continue;
        }
        let units: Vec<_> = (0..2)
            .map(|number| {
                let planes = [vec![100 + number; 640 * 192], vec![128; 640 * 96]];
                let planes = planes.iter().map(|data| Plane { data, stride: 640 }).collect();
                let image = CpuImage { format: PixelFormat::Nv12, size: SIZE, planes };
                let picture = media::Picture::Cpu(image);
                let frame = FrameId(number.into());
                let unit = encoder.encode(frame, &picture, EncodeOptions::default()).unwrap();
                unit.data.to_vec()
            })
            .collect();
        let about =
            ffmpeg::about(&write(&format!("narrow-{name}"), candidate.codec, &units)).unwrap();
        let mut wanted = vec![("color_range", "tv"), ("color_space", "bt709")];
        // VP9's header has the matrix alone.
        if candidate.codec != Codec::Vp9 {
            wanted.extend([("color_transfer", "bt709"), ("color_primaries", "bt709")]);
        }
        for (key, value) in wanted {
            assert_eq!(about.get(key).map(String::as_str), Some(value), "{name}: {key}: {about:?}");
        }
        ran += 1;
    }
    assert!(ran > 2, "{ran} ran");
}
