//! The colour pass against a reference written from ITU-R BT.709-6, ITU-T H.273 and H.264 (figure
//! E-1), in plain f64.

mod common;

use common::{Nv12, Picture, convert, gpu};

use media::Size;

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
fn components([r, g, b]: [f64; 3]) -> [f64; 3] {
    let (kr, kb) = (0.2126, 0.0722);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    [y, (b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr))]
}

fn reference(picture: &Picture, coded: Size) -> Nv12 {
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
    Nv12 { size: coded, luma, chroma }
}

fn assert_close(made: &Nv12, wanted: &Nv12) {
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
