//! Deterministic pictures, and a decoder to judge what became of them.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod doubles;
pub mod gpu;
pub mod viewer;

use std::borrow::Cow;
use std::ops::Range;

use media::{BitDepth, Codec, CpuImage, PixelFormat, Plane, Size};
use nearlight_encoder::h264::{NalKind, nals};
use nearlight_encoder::{Candidate, candidates};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;
use smallvec::smallvec;

/// The candidates whose units the tests of the whole way decode and read.
pub fn h264_candidates() -> Vec<Candidate> {
    let mut candidates = candidates();
    candidates.retain(|candidate| candidate.codec == Codec::H264);
    candidates
}

/// An NV12 picture with padded rows.
pub struct Picture {
    pub size: Size,
    pub stride: usize,
    pub luma: Vec<u8>,
    pub chroma: Vec<u8>,
}

impl Picture {
    pub fn new(
        size: Size,
        mut luma: impl FnMut(usize, usize) -> u8,
        mut chroma: impl FnMut(usize, usize) -> (u8, u8),
    ) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let stride = width + 24;
        let mut picture = Self {
            size,
            stride,
            luma: vec![0; stride * height],
            chroma: vec![0; stride * height / 2],
        };
        for y in 0..height {
            for x in 0..width {
                picture.luma[y * stride + x] = luma(x, y);
            }
        }
        for y in 0..height / 2 {
            for x in 0..width / 2 {
                let (cb, cr) = chroma(x, y);
                picture.chroma[y * stride + 2 * x] = cb;
                picture.chroma[y * stride + 2 * x + 1] = cr;
            }
        }
        picture
    }

    /// Smooth shapes that move: what a game looks like to an encoder.
    pub fn scene(size: Size, time: usize) -> Self {
        let wave = |x: usize, y: usize, scale: f64| {
            let (x, y, t) = (x as f64, y as f64, time as f64);
            ((x + 3.0 * t) / 41.0 * scale).sin() * ((y - 2.0 * t) / 29.0 * scale).cos()
        };
        let edge = move |x: usize, y: usize| {
            if ((x + time * 4) / 96 + y / 64) & 1 == 0 { 20.0 } else { -20.0 }
        };
        Self::new(
            size,
            |x, y| (126.0 + 60.0 * wave(x, y, 1.0) + edge(x, y)) as u8,
            |x, y| ((128.0 + 50.0 * wave(x, y, 0.7)) as u8, (128.0 - 50.0 * wave(x, y, 1.3)) as u8),
        )
    }

    /// A texture that goes to the left by more than a macroblock a picture, as when a game's camera
    /// turns: what comes next is to the right.
    pub fn pan(size: Size, time: usize) -> Self {
        let texture = |x: usize, y: usize, scale: usize| {
            let cell = ((x + 20 * time) / scale).wrapping_mul(0x9e37_79b1) ^ (y / scale * 0x85eb);
            (cell.wrapping_mul(0xc2b2_ae3d) >> 12) as u8 % 64
        };
        let chroma = |x, y| (100 + texture(2 * x, 2 * y, 40), 100 + texture(2 * x, 2 * y, 56));
        Self::new(size, |x, y| 90 + texture(x, y, 12), chroma)
    }

    /// Noise, new in every frame: costs whatever it is given.
    pub fn noise(size: Size, time: usize) -> Self {
        let hash = move |x: usize, y: usize, salt: u32| {
            let mut h = (x as u32 / 2)
                .wrapping_mul(0x9e37_79b1)
                .wrapping_add((y as u32 / 2).wrapping_mul(0x85eb_ca77))
                .wrapping_add((time as u32 ^ salt).wrapping_mul(0xc2b2_ae3d));
            h = (h ^ h >> 15).wrapping_mul(0x2c1b_3c6d);
            (h >> 24) as u8
        };
        Self::new(
            size,
            |x, y| 104 + hash(x, y, 0) % 48,
            |x, y| (120 + hash(x, y, 77) % 16, 120 + hash(x, y, 99) % 16),
        )
    }

    /// In NV12 or in P010, whose lower two bits differ from sample to sample, as they do in pictures that are
    /// drawn.
    pub fn given(&self, format: PixelFormat) -> Given<'_> {
        let ten = format.depth() == BitDepth::Ten;
        let planes = [&self.luma, &self.chroma].map(|plane| {
            if !ten {
                return Cow::Borrowed(&plane[..]);
            }
            let words = plane.iter().enumerate().map(|(at, value)| [(at as u8 & 3) << 6, *value]);
            words.flatten().collect()
        });
        let stride = if ten { 2 * self.stride } else { self.stride };
        Given { format, size: self.size, stride, planes }
    }

    pub fn image(&self) -> CpuImage<'_> {
        CpuImage {
            format: PixelFormat::Nv12,
            size: self.size,
            planes: smallvec![
                Plane { data: &self.luma, stride: self.stride },
                Plane { data: &self.chroma, stride: self.stride },
            ],
        }
    }
}

/// A picture in the layout that an encoder takes.
pub struct Given<'a> {
    format: PixelFormat,
    size: Size,
    stride: usize,
    planes: [Cow<'a, [u8]>; 2],
}

impl Given<'_> {
    pub fn image(&self) -> CpuImage<'_> {
        let planes = self.planes.iter().map(|data| Plane { data, stride: self.stride }).collect();
        CpuImage { format: self.format, size: self.size, planes }
    }
}

/// A decoded picture. Of ten bits a sample these are the upper eight.
pub struct Decoded {
    pub size: Size,
    pub luma: Vec<u8>,
    pub stride: usize,
    pub cb: Vec<u8>,
    pub cr: Vec<u8>,
    pub chroma_stride: usize,
}

/// Decodes one unit, which must yield one picture at once: nothing is held back for reordering.
pub fn decode(decoder: &mut Decoder, unit: &[u8]) -> Decoded {
    try_decode(decoder, unit).expect("a valid unit").expect("a picture for every unit")
}

/// Decodes one unit; none where it yields no picture.
pub fn try_decode(decoder: &mut Decoder, unit: &[u8]) -> Result<Option<Decoded>, openh264::Error> {
    Ok(decoder.decode(unit)?.map(|picture| {
        let (width, height) = picture.dimensions();
        let (stride, chroma_stride, _) = picture.strides();
        Decoded {
            size: Size::new(width as u32, height as u32),
            luma: picture.y().to_vec(),
            stride,
            cb: picture.u().to_vec(),
            cr: picture.v().to_vec(),
            chroma_stride,
        }
    }))
}

/// Peak signal to noise ratio of luma and of chroma, in decibels.
pub fn psnr(source: &Picture, decoded: &Decoded) -> (f64, f64) {
    let (width, height) = (source.size.width as usize, source.size.height as usize);
    let mut chroma = 0.0;
    for y in 0..height / 2 {
        for x in 0..width / 2 {
            let (from, to) = (y * source.stride + 2 * x, y * decoded.chroma_stride + x);
            chroma += square(source.chroma[from], decoded.cb[to]);
            chroma += square(source.chroma[from + 1], decoded.cr[to]);
        }
    }
    (luma_psnr(source, decoded, 0..width), ratio(chroma, width * height / 2))
}

/// The same of luma within some columns.
pub fn luma_psnr(source: &Picture, decoded: &Decoded, columns: Range<usize>) -> f64 {
    assert_eq!(source.size, decoded.size);
    let height = source.size.height as usize;
    let mut sum = 0.0;
    for y in 0..height {
        let from = &source.luma[y * source.stride..][columns.clone()];
        let to = &decoded.luma[y * decoded.stride..][columns.clone()];
        sum += from.iter().zip(to).map(|(&a, &b)| square(a, b)).sum::<f64>();
    }
    ratio(sum, columns.len() * height)
}

fn square(a: u8, b: u8) -> f64 {
    (f64::from(a) - f64::from(b)).powi(2)
}

/// Decibels of a sum of squares over so many samples.
fn ratio(sum: f64, count: usize) -> f64 {
    10.0 * (255.0_f64.powi(2) * count as f64 / sum.max(1.0)).log10()
}

/// What a unit is made of, by the names of its codec; slices and tiles are counted once.
pub fn structure(codec: Codec, unit: &[u8]) -> Vec<&'static str> {
    let mut parts: Vec<_> = match codec {
        Codec::H264 => nals(unit).map(|nal| h264_part(nal.kind())).collect(),
        Codec::H265 => nals(unit).map(|nal| h265_part(nal.bytes()[0] >> 1)).collect(),
        Codec::Av1 => obus(unit),
        // One frame, without parts of its own.
        Codec::Vp8 | Codec::Vp9 => vec!["frame"],
    };
    parts.dedup();
    // Some elements send their first parameter sets twice, which changes nothing.
    let sets = parts.iter().take_while(|part| ["VPS", "SPS", "PPS"].contains(part)).count();
    if sets == 6 && parts[..3] == parts[3..6] {
        parts.drain(..3);
    }
    parts
}

/// H.264, table 7-1.
fn h264_part(kind: NalKind) -> &'static str {
    match kind {
        NalKind::Sps => "SPS",
        NalKind::Pps => "PPS",
        NalKind::IdrSlice => "IDR",
        NalKind::Slice => "slice",
        _ => "other",
    }
}

/// H.265, table 7-1.
fn h265_part(kind: u8) -> &'static str {
    match kind {
        32 => "VPS",
        33 => "SPS",
        34 => "PPS",
        19 | 20 => "IDR",
        0..=9 => "slice",
        _ => "other",
    }
}

/// AV1, 6.2.2.
fn obus(mut rest: &[u8]) -> Vec<&'static str> {
    let mut parts = Vec::new();
    while let [header, after @ ..] = rest {
        assert_eq!(header & 0x87, 2, "a size and no extension");
        let mut length = 0;
        let mut after = after.iter();
        for shift in (0..).step_by(7) {
            let byte = usize::from(*after.next().expect("a size"));
            length |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        rest = &after.as_slice()[length..];
        parts.push(match header >> 3 {
            1 => "sequence",
            2 => "delimiter",
            // OBU_FRAME, or its header and its tiles apart.
            3 | 4 | 6 => "frame",
            _ => "other",
        });
    }
    parts
}

/// What a keyframe is made of, and what every other unit.
pub fn expected_structure(codec: Codec) -> (&'static [&'static str], &'static [&'static str]) {
    match codec {
        Codec::H264 => (&["SPS", "PPS", "IDR"], &["slice"]),
        Codec::H265 => (&["VPS", "SPS", "PPS", "IDR"], &["slice"]),
        Codec::Av1 => (&["delimiter", "sequence", "frame"], &["delimiter", "frame"]),
        Codec::Vp8 | Codec::Vp9 => (&["frame"], &["frame"]),
    }
}

/// Pictures in a unit of H.264 or H.265: slices with `first_mb_in_slice` 0 or
/// `first_slice_segment_in_pic_flag` 1, which is the first bit after the header in both.
pub fn pictures_in(codec: Codec, unit: &[u8]) -> usize {
    let header = if codec == Codec::H264 { 1 } else { 2 };
    nals(unit)
        .filter(|nal| match codec {
            Codec::H264 => nal.kind().is_slice(),
            _ => nal.bytes()[0] >> 1 < 32,
        })
        .filter(|nal| nal.bytes()[header] & 0x80 != 0)
        .count()
}

/// `slice_type` of every slice, 0..=4 (table 7-6).
pub fn slice_types(unit: &[u8]) -> Vec<u32> {
    nals(unit)
        .filter(|nal| nal.kind().is_slice())
        .map(|nal| {
            let mut bits =
                nal.bytes()[1..].iter().flat_map(|byte| (0..8).rev().map(move |b| byte >> b & 1));
            let mut golomb = || {
                let zeros = bits.by_ref().take_while(|&bit| bit == 0).count();
                let rest = (0..zeros)
                    .fold(0_u32, |value, _| value << 1 | u32::from(bits.next().expect("a bit")));
                (1 << zeros) - 1 + rest
            };
            golomb();
            golomb() % 5
        })
        .collect()
}
