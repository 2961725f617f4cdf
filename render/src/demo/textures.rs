//! The few small pictures: stone grain, ripples, the banner's emblem, the lantern's panes.

use super::noise::{fbm, hash, lerp, noise, smoothstep};
use super::palette::{self, hex};
use glam::{Vec2, Vec3};
use image::{ExtendedColorType, ImageEncoder, codecs::png};
use std::f32::consts::TAU;

/// A texture; its place in the list is its index in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tex {
    /// Grain of the stone, repeats.
    Stone,
    /// Normals of water, repeats.
    Ripples,
    /// Emblem on cloth.
    Banner,
    /// Lantern: frame and panes.
    Lamp,
    /// Lantern: where it glows.
    LampGlow,
}

/// All, in order.
pub(super) const ALL: [Tex; 5] = [Tex::Stone, Tex::Ripples, Tex::Banner, Tex::Lamp, Tex::LampGlow];

impl Tex {
    /// Name, and whether it repeats.
    pub(super) fn label(self) -> (&'static str, bool) {
        match self {
            Tex::Stone => ("stone", true),
            Tex::Ripples => ("ripples", true),
            Tex::Banner => ("banner", false),
            Tex::Lamp => ("lamp", false),
            Tex::LampGlow => ("lamp glow", false),
        }
    }

    /// The picture as a PNG file. Colours are sRGB but for the ripples.
    ///
    /// # Errors
    /// Only when the encoder refuses, which sizes that are fixed here rule out.
    pub(super) fn png(self) -> image::ImageResult<Vec<u8>> {
        match self {
            Tex::Stone => encode(256, 256, |uv| srgb(stone(uv))),
            Tex::Ripples => encode(128, 128, ripples),
            Tex::Banner => encode(96, 192, |uv| srgb(banner(uv))),
            Tex::Lamp => encode(64, 64, |uv| srgb(lamp(uv).0)),
            Tex::LampGlow => encode(64, 64, |uv| srgb(lamp(uv).1)),
        }
    }
}

fn encode(width: u32, height: u32, color: impl Fn(Vec2) -> Vec3) -> image::ImageResult<Vec<u8>> {
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let c =
                color(Vec2::new((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32));
            pixels.extend(c.to_array().map(|c| (c.clamp(0.0, 1.0) * 255.0).round() as u8));
        }
    }
    let mut file = Vec::new();
    png::PngEncoder::new(&mut file).write_image(&pixels, width, height, ExtendedColorType::Rgb8)?;
    Ok(file)
}

fn srgb(linear: Vec3) -> Vec3 {
    Vec3::from_array(
        linear
            .to_array()
            .map(|c| if c <= 0.003_130_8 { c * 12.92 } else { 1.055 * c.powf(1.0 / 2.4) - 0.055 }),
    )
}

/// Noise that repeats over the unit square: it walks circles through four dimensions, folded to three.
fn tiled(uv: Vec2, wide: f32, seed: u32) -> f32 {
    let (a, b) = (Vec2::from_angle(uv.x * TAU), Vec2::from_angle(uv.y * TAU));
    let radius = wide / TAU;
    let one = noise(Vec3::new(a.x, a.y, b.x) * radius + 40.0, seed);
    let two = noise(Vec3::new(b.y, b.x, a.y) * radius + 80.0, seed ^ 77);
    (one + two) * 0.75
}

fn stone(uv: Vec2) -> Vec3 {
    let clouds = tiled(uv, 7.0, 3) * 0.5 + tiled(uv, 19.0, 5) * 0.3;
    let speck = (hash(((uv.x * 256.0) as u32) << 9 | (uv.y * 256.0) as u32) & 255) as f32 / 255.0;
    let pits = smoothstep(0.42, 0.62, tiled(uv, 46.0, 9));
    let tone = 0.9 + 0.09 * clouds + 0.045 * (speck - 0.5) - 0.07 * pits;
    Vec3::new(1.0, 0.985, 0.96) * tone
}

fn ripples(uv: Vec2) -> Vec3 {
    let waves = [
        (1.0, 2.0, 0.0),
        (3.0, 1.0, 1.3),
        (-2.0, 3.0, 2.1),
        (5.0, -3.0, 0.7),
        (4.0, 6.0, 4.0),
        (-7.0, 2.0, 5.0),
    ];
    let slope: Vec2 = waves
        .iter()
        .map(|&(x, y, phase)| {
            let k = Vec2::new(x, y);
            k / k.length() * (TAU * k.dot(uv) + phase).cos()
                / (1.0 + 0.12 * k.length_squared()).sqrt()
        })
        .sum();
    Vec3::new(-slope.x * 0.16, -slope.y * 0.16, 1.0).normalize() * 0.5 + 0.5
}

/// A gold star of eight rays in a ring above a band, on crimson.
fn banner(uv: Vec2) -> Vec3 {
    let cloth =
        hex(palette::CRIMSON) * (1.0 + 0.1 * fbm(Vec3::new(uv.x * 40.0, uv.y * 9.0, 0.0), 2, 21));
    let gold = hex(0xe6b45a);
    let p = Vec2::new(uv.x - 0.5, (uv.y - 0.36) * 2.0);
    let (radius, angle) = (p.length(), p.y.atan2(p.x));
    let ray = |count: f32, turn: f32, long: f32, short: f32| {
        let fold = ((angle + turn) * count / TAU).rem_euclid(1.0) * 2.0 - 1.0;
        radius < lerp(short, long, fold.abs().powf(2.2))
    };
    let ring = (radius - 0.37).abs() < 0.022;
    let star = ray(4.0, 0.0, 0.33, 0.07) || ray(4.0, TAU / 8.0, 0.21, 0.06);
    let edge = !(0.05..0.95).contains(&uv.x) || (uv.y - 0.04).abs() < 0.012;
    let bands = (uv.y - 0.74).abs() < 0.012 || (uv.y - 0.79).abs() < 0.007;
    if ring || star || edge || bands { gold } else { cloth }
}

/// A pane with its frame: (surface, glow).
fn lamp(uv: Vec2) -> (Vec3, Vec3) {
    let p = uv - 0.5;
    let frame =
        p.x.abs() > 0.40 || p.y.abs() > 0.42 || (p.x.abs() < 0.035) || (uv.y - 0.3).abs() < 0.025;
    if frame {
        return (Vec3::new(0.05, 0.04, 0.035), Vec3::ZERO);
    }
    let flame = (-(p * Vec2::new(1.0, 0.8)).length_squared() * 9.0).exp();
    (
        Vec3::new(0.5, 0.36, 0.2),
        Vec3::new(1.0, 0.52, 0.17).lerp(Vec3::new(1.0, 0.82, 0.5), flame) * lerp(0.35, 1.0, flame),
    )
}
