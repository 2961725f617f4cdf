//! The colour pass against references written from ITU-R BT.709-6, BT.2020-2, BT.2087-0 and BT.2100-2,
//! ITU-T H.273 and H.264 (figure E-1), in plain f64.

mod common;

use std::sync::Arc;

use common::{Packed, Picture, TestClock, convert, gpu, submit};
use half::f16;
use media::{BitDepth, Chroma, ColorDescription, PictureKind, PixelFormat, Size, StageTimes};
use nearlight_render::device::Gpu;
use nearlight_render::picture::PictureConverter;
use nearlight_render::readback::{FrameRing, RingError, Sharing};

/// The picture at another size: bilinear between texel centres, edges repeated.
fn scaled(picture: &Picture, coded: Size) -> Vec<[f64; 3]> {
    let Size { width, height } = picture.size;
    let texel = |x: i64, y: i64, channel: usize| {
        let x = x.clamp(0, i64::from(width) - 1) as usize;
        let y = y.clamp(0, i64::from(height) - 1) as usize;
        f64::from(picture.rgba[(y * width as usize + x) * 4 + channel]) / 255.0
    };
    let mut colors = Vec::new();
    for y in 0..coded.height {
        for x in 0..coded.width {
            let sx = (f64::from(x) + 0.5) * f64::from(width) / f64::from(coded.width) - 0.5;
            let sy = (f64::from(y) + 0.5) * f64::from(height) / f64::from(coded.height) - 0.5;
            let (x0, y0) = (sx.floor() as i64, sy.floor() as i64);
            let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
            colors.push([0, 1, 2].map(|c| {
                (texel(x0, y0, c) * (1.0 - fx) + texel(x0 + 1, y0, c) * fx) * (1.0 - fy)
                    + (texel(x0, y0 + 1, c) * (1.0 - fx) + texel(x0 + 1, y0 + 1, c) * fx) * fy
            }));
        }
    }
    colors
}

/// Y', P'b, P'r of encoded R'G'B' (BT.709-6 items 3.2 and 3.3, H.273 equations 38 to 40).
fn components(rgb: [f64; 3]) -> [f64; 3] {
    components_of(rgb, 0.2126, 0.0722)
}

fn components_of([r, g, b]: [f64; 3], kr: f64, kb: f64) -> [f64; 3] {
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    [y, (b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr))]
}

fn reference(picture: &Picture, coded: Size) -> Packed {
    let colors: Vec<_> = scaled(picture, coded).into_iter().map(components).collect();
    let at = |x: i64, y: i64| {
        let x = x.clamp(0, i64::from(coded.width) - 1) as usize;
        colors[y as usize * coded.width as usize + x]
    };
    let luma = colors.iter().map(|[y, ..]| (219.0 * y + 16.0).round() as u8).collect();
    let mut chroma = Vec::new();
    for y in (0..i64::from(coded.height)).step_by(2) {
        for x in (0..i64::from(coded.width)).step_by(2) {
            for part in 1..=2 {
                // Type 0: on the even column, half-way between the rows.
                let mean = (0..2)
                    .map(|row| {
                        at(x - 1, y + row)[part] / 4.0
                            + at(x, y + row)[part] / 2.0
                            + at(x + 1, y + row)[part] / 4.0
                    })
                    .sum::<f64>()
                    / 2.0;
                chroma.push((224.0 * mean + 128.0).round() as u8);
            }
        }
    }
    Packed { size: coded, luma, chroma }
}

fn assert_close(made: &Packed, wanted: &Packed) {
    assert_eq!(made.size, wanted.size);
    for (name, made, wanted) in
        [("luma", &made.luma, &wanted.luma), ("chroma", &made.chroma, &wanted.chroma)]
    {
        assert_eq!(made.len(), wanted.len(), "{name}");
        for (index, (&made, &wanted)) in made.iter().zip(wanted).enumerate() {
            assert!(made.abs_diff(wanted) <= 1, "{name} {index}: {made} is not {wanted}");
        }
    }
}

#[test]
fn noise_of_the_same_size_is_within_one() {
    let gpu = gpu();
    // Among them widths that are no multiple of the block, of the stride's alignment, and tiny.
    for (width, height) in [(642, 362), (640, 360), (2, 2), (10, 4), (1278, 6), (530, 34)] {
        let size = Size::new(width, height);
        let picture = Picture::noise(size);
        assert_close(&convert(&gpu, &picture, size, size), &reference(&picture, size));
    }
}

#[test]
fn scaled_noise_is_within_one() {
    let gpu = gpu();
    for (internal, coded) in [
        ((640, 360), (1280, 720)),
        ((720, 405), (1280, 720)),
        ((333, 187), (642, 362)),
        ((1, 1), (16, 16)),
        // Larger than coded, as for a thumbnail.
        ((200, 100), (130, 66)),
    ] {
        let (internal, coded) = (Size::new(internal.0, internal.1), Size::new(coded.0, coded.1));
        let picture = Picture::noise(internal);
        assert_close(&convert(&gpu, &picture, internal, coded), &reference(&picture, coded));
    }
}

#[test]
fn what_lies_beyond_the_internal_size_does_not_bleed_in() {
    let gpu = gpu();
    let picture = Picture::noise(Size::new(100, 60));
    let coded = Size::new(160, 96);
    let made = convert(&gpu, &picture, Size::new(128, 96), coded);
    assert_close(&made, &reference(&picture, coded));
    let made = convert(&gpu, &picture, Size::new(128, 96), picture.size);
    assert_close(&made, &reference(&picture, picture.size));
}

/// Code values of 100 % colour bars in limited range (BT.709-6 items 3.2 to 3.4; the same figures
/// are printed in SMPTE RP 219's 8 bit tables).
#[test]
fn plain_colours_have_the_codes_of_the_standard() {
    let gpu = gpu();
    for (name, rgb, codes) in [
        ("white", [255, 255, 255], [235, 128, 128]),
        ("black", [0, 0, 0], [16, 128, 128]),
        ("red", [255, 0, 0], [63, 102, 240]),
        ("green", [0, 255, 0], [173, 42, 26]),
        ("blue", [0, 0, 255], [32, 240, 118]),
        ("yellow", [255, 255, 0], [219, 16, 138]),
        ("cyan", [0, 255, 255], [188, 154, 16]),
        ("magenta", [255, 0, 255], [78, 214, 230]),
    ] {
        let size = Size::new(34, 6);
        let made = convert(&gpu, &Picture::from_fn(size, |_, _| rgb), size, size);
        let [y, cb, cr] = codes;
        assert!(made.luma.iter().all(|&code| code == y), "{name}: {:?}", made.luma[0]);
        for pair in made.chroma.chunks(2) {
            assert_eq!(pair, [cb, cr], "{name}");
        }
    }
}

#[test]
fn chroma_is_sited_on_even_columns_and_between_rows() {
    let gpu = gpu();
    let size = Size::new(32, 8);
    let (red, grey, at_red) = ([255, 0, 0], [128, 128, 128], 240.0);
    let mix = |part: f64| (128.0 + (at_red - 128.0) * part).round() as u8;
    // A vertical edge before an even column: that column's sample takes 3/4 from its own side.
    let edge =
        convert(&gpu, &Picture::from_fn(size, |x, _| if x < 16 { red } else { grey }), size, size);
    assert_eq!(edge.chroma_at(7, 1)[1], mix(1.0));
    assert_eq!(edge.chroma_at(8, 1)[1], mix(0.25));
    assert_eq!(edge.chroma_at(9, 1)[1], mix(0.0));
    // Before an odd column: the sample at the even column left of it takes 1/4 from the other side.
    let edge =
        convert(&gpu, &Picture::from_fn(size, |x, _| if x < 17 { red } else { grey }), size, size);
    assert_eq!(edge.chroma_at(8, 1)[1], mix(0.75));
    assert_eq!(edge.chroma_at(9, 1)[1], mix(0.0));
    // A horizontal edge within a pair of rows: half of each, and no other row takes part.
    let edge =
        convert(&gpu, &Picture::from_fn(size, |_, y| if y < 3 { red } else { grey }), size, size);
    assert_eq!(edge.chroma_at(4, 0)[1], mix(1.0));
    assert_eq!(edge.chroma_at(4, 1)[1], mix(0.5));
    assert_eq!(edge.chroma_at(4, 2)[1], mix(0.0));
}

const P010: PictureKind =
    PictureKind { format: PixelFormat::P010, color: ColorDescription::BT709_LIMITED };
const HDR10: PictureKind = PictureKind::HDR10;

/// Samples of a picture, plane by plane, without what pads them; of 10 bits the value itself.
fn samples(
    gpu: &Arc<Gpu>,
    kind: PictureKind,
    view: &wgpu::TextureView,
    size: Size,
    coded: Size,
) -> Vec<Vec<u16>> {
    let converter = Arc::new(PictureConverter::new(gpu));
    let mut ring = FrameRing::new(gpu, &converter, coded, kind, Sharing::Cpu).expect("it is made");
    let mut image = submit(gpu, &mut ring, view, size).expect("an empty ring");
    image.finish(&TestClock::new(), &mut StageTimes::default()).expect("the device works");
    let mapped = image.map().expect("it is finished");
    assert_eq!((mapped.format, image.format(), mapped.size), (kind.format, kind.format, coded));
    let shapes: Vec<_> = kind.format.planes(coded).collect();
    assert_eq!(shapes.len(), mapped.planes.len());
    let planes = mapped.planes.iter().zip(shapes);
    planes
        .map(|(plane, (row, rows))| {
            assert_eq!(plane.data.len(), plane.stride * rows);
            let bytes = plane.data.chunks(plane.stride).flat_map(|all| all[..row].iter().copied());
            match kind.format.depth() {
                BitDepth::Eight => bytes.map(u16::from).collect(),
                BitDepth::Ten => {
                    let bytes: Vec<_> = bytes.collect();
                    let words =
                        bytes.chunks_exact(2).map(|two| u16::from_le_bytes([two[0], two[1]]));
                    words
                        .map(|word| {
                            assert_eq!(word & 63, 0, "the lower bits are zero");
                            word >> 6
                        })
                        .collect()
                }
            }
        })
        .collect()
}

/// What a picture of these Y', P'b and P'r becomes.
fn wanted(format: PixelFormat, colors: &[[f64; 3]], coded: Size) -> Vec<Vec<u16>> {
    let step = if format.depth() == BitDepth::Ten { 4.0 } else { 1.0 };
    let code = |value: f64, part: f64, zero: f64| (step * (part * value + zero)).round() as u16;
    let luma = colors.iter().map(|color| code(color[0], 219.0, 16.0)).collect();
    if format.chroma() == Some(Chroma::C444) {
        let plane = |n: usize| colors.iter().map(|color| code(color[n], 224.0, 128.0)).collect();
        return vec![luma, plane(1), plane(2)];
    }
    let at = |x: i64, y: i64| {
        let x = x.clamp(0, i64::from(coded.width) - 1) as usize;
        colors[y as usize * coded.width as usize + x]
    };
    let mut chroma = Vec::new();
    for y in (0..i64::from(coded.height)).step_by(2) {
        for x in (0..i64::from(coded.width)).step_by(2) {
            for n in 1..=2 {
                let across = |y| (at(x - 1, y)[n] + 2.0 * at(x, y)[n] + at(x + 1, y)[n]) / 4.0;
                chroma.push(code(f64::midpoint(across(y), across(y + 1)), 224.0, 128.0));
            }
        }
    }
    vec![luma, chroma]
}

fn assert_within(most: u16, made: &[Vec<u16>], wanted: &[Vec<u16>], what: &str) {
    assert_eq!(made.len(), wanted.len(), "{what}");
    for (plane, (made, wanted)) in made.iter().zip(wanted).enumerate() {
        assert_eq!(made.len(), wanted.len(), "{what}, plane {plane}");
        for (index, (&made, &wanted)) in made.iter().zip(wanted).enumerate() {
            let close = made.abs_diff(wanted) <= most;
            assert!(close, "{what}, plane {plane}, {index}: {made} is not {wanted}");
        }
    }
}

#[test]
fn ten_bits_and_full_chroma_are_as_exact() {
    let gpu = gpu();
    let color = ColorDescription::BT709_LIMITED;
    for format in [PixelFormat::P010, PixelFormat::Yuv444, PixelFormat::Yuv444P16] {
        // The last one is scaled.
        for (internal, coded) in [((642, 362), (642, 362)), ((2, 2), (2, 2)), ((96, 54), (150, 86))]
        {
            let (internal, coded) =
                (Size::new(internal.0, internal.1), Size::new(coded.0, coded.1));
            let picture = Picture::noise(internal);
            // The software driver filters textures of 8 bits in 8 bits, so that what is scaled to 10
            // is as exact as one of 8: steps of 4.
            let scaled_to_ten = internal != coded && format.depth() == BitDepth::Ten;
            let most = if scaled_to_ten { 6 } else { 1 };
            let view = picture.upload(&gpu, internal);
            let kind = PictureKind { format, color };
            let made = samples(&gpu, kind, &view, internal, coded);
            let colors: Vec<_> = scaled(&picture, coded).into_iter().map(components).collect();
            let what = format!("{format:?} {coded}");
            assert_within(most, &made, &wanted(format, &colors, coded), &what);
        }
    }
    assert_eq!(gpu.errors(), (0, None));
}

/// Y' of PQ for light in cd/m² (BT.2100-2 table 4, inverse EOTF).
fn pq(light: f64) -> f64 {
    let (m1, m2) = (2610.0 / 16384.0, 2523.0 / 4096.0 * 128.0);
    let (c1, c2, c3) = (3424.0 / 4096.0, 2413.0 / 4096.0 * 32.0, 2392.0 / 4096.0 * 32.0);
    let power = (light / 10_000.0).clamp(0.0, 1.0).powf(m1);
    ((c1 + c2 * power) / (1.0 + c3 * power)).powf(m2)
}

/// BT.2087-0 annex 1, then PQ with 1.0 at 203 cd/m² (BT.2408), then BT.2020-2 table 4.
fn hdr_components([r, g, b]: [f64; 3]) -> [f64; 3] {
    let wide = [
        0.6274 * r + 0.3293 * g + 0.0433 * b,
        0.0691 * r + 0.9195 * g + 0.0114 * b,
        0.0164 * r + 0.0880 * g + 0.8956 * b,
    ];
    components_of(wide.map(|light| pq(light * 203.0)), 0.2627, 0.0593)
}

/// A texture of linear light.
fn upload_light(gpu: &Gpu, size: Size, colors: &[[f16; 3]]) -> wgpu::TextureView {
    let texels: Vec<u8> = colors
        .iter()
        .flat_map(|&[r, g, b]| [r, g, b, f16::ONE])
        .flat_map(f16::to_le_bytes)
        .collect();
    let extent =
        wgpu::Extent3d { width: size.width, height: size.height, depth_or_array_layers: 1 };
    let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: Some("test light"),
        size: extent,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba16Float,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(size.width * 8),
        rows_per_image: None,
    };
    gpu.queue().write_texture(texture.as_image_copy(), &texels, layout, extent);
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

#[test]
fn pq_is_within_one_from_black_to_its_brightest() {
    let gpu = gpu();
    let size = Size::new(160, 34);
    // Light from 10⁻⁴ to 10⁵ cd/m², of all colours; some below zero, as filters leave it.
    let colors: Vec<[f16; 3]> = (0..size.width * size.height)
        .map(|at| {
            let part = |step: u32| {
                let step = f64::from(at.wrapping_mul(step) % 997) / 996.0;
                10_f64.powf(step * 9.0 - 4.0) / 203.0
            };
            let dark = if at % 50 == 0 { -0.01 } else { part(389) };
            [part(7), part(131), dark].map(f16::from_f64)
        })
        .collect();
    let view = upload_light(&gpu, size, &colors);
    let light: Vec<_> = colors.iter().map(|color| hdr_components(color.map(f16::to_f64))).collect();
    for format in [PixelFormat::P010, PixelFormat::Yuv444P16] {
        let made = samples(&gpu, PictureKind { format, ..HDR10 }, &view, size, size);
        assert_within(1, &made, &wanted(format, &light, size), &format!("{format:?}"));
    }
    assert_eq!(gpu.errors(), (0, None));
}

/// BT.2408-7 table 1: 203 cd/m² is 58 % of PQ; BT.2100-2 table 9: the ends of the 10 bit range.
#[test]
fn plain_light_has_the_codes_of_the_standard() {
    let gpu = gpu();
    let size = Size::new(34, 6);
    for (light, code) in [(0.0, 64), (1.0, 573), (10_000.0 / 203.0, 940), (60_000.0, 940)] {
        let colors = vec![[f16::from_f64(light); 3]; size.pixels() as usize];
        let view = upload_light(&gpu, size, &colors);
        let made = samples(&gpu, HDR10, &view, size, size);
        assert!(made[0].iter().all(|luma| luma.abs_diff(code) <= 1), "{light}: {}", made[0][0]);
        assert!(made[1].iter().all(|chroma| chroma.abs_diff(512) <= 1), "{light}: {}", made[1][0]);
    }
}

#[test]
fn kinds_without_a_pass_are_refused() {
    let gpu = gpu();
    let converter = Arc::new(PictureConverter::new(&gpu));
    let make = |kind| FrameRing::new(&gpu, &converter, Size::new(64, 64), kind, Sharing::Cpu);
    assert_eq!(make(P010).expect("it is made").size(), Size::new(64, 64));
    for kind in [
        PictureKind { format: PixelFormat::Nv12, ..HDR10 },
        PictureKind { format: PixelFormat::Rgba8, ..P010 },
    ] {
        let made = make(kind);
        assert!(matches!(made, Err(RingError::Kind(refused)) if refused == kind), "{made:?}");
    }
}
