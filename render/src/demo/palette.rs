//! The colours of the place and the light of its hour, all linear; written as sRGB where a painter
//! would pick them.

use super::noise::{lerp, smoothstep};
use glam::Vec3;

/// A colour from its sRGB hex code.
pub(super) fn hex(code: u32) -> Vec3 {
    let channel = |shift: u32| {
        let c = (code >> shift & 0xff) as f32 / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    Vec3::new(channel(16), channel(8), channel(0))
}

/// Towards the sun: low, ahead and to the right of the first view.
pub(super) fn sun_direction() -> Vec3 {
    let (azimuth, height) = (SUN_AZIMUTH.to_radians(), SUN_HEIGHT.to_radians());
    Vec3::new(azimuth.sin() * height.cos(), height.sin(), -azimuth.cos() * height.cos())
}

/// Degrees to the right of −z.
pub(super) const SUN_AZIMUTH: f32 = 72.0;
/// Degrees above the horizon.
pub(super) const SUN_HEIGHT: f32 = 23.0;
/// Colour of sunlight.
pub(super) const SUN: Vec3 = Vec3::new(1.0, 0.66, 0.36);
/// Lux, in units where a sky of radiance 1 is bright.
pub(super) const SUN_LUX: f32 = 7.0;
/// Colour of light from the sky, for what is baked.
pub(super) const AMBIENT: Vec3 = Vec3::new(0.36, 0.38, 0.52);

/// Sky radiance straight up.
pub(super) const ZENITH: Vec3 = Vec3::new(0.25, 0.36, 0.58);
/// Sky radiance at the horizon.
pub(super) const HORIZON: Vec3 = Vec3::new(1.02, 0.76, 0.60);
/// Radiance from below: clouds in the last sun.
pub(super) const GROUND: Vec3 = Vec3::new(0.46, 0.35, 0.36);

/// The air's colour at the horizon in a direction: gold towards the sun, lavender away from it.
pub(super) fn haze(towards: Vec3) -> Vec3 {
    let flat = Vec3::new(towards.x, 0.0, towards.z).normalize_or(Vec3::Z);
    let sun = sun_direction();
    let facing = flat.dot(Vec3::new(sun.x, 0.0, sun.z).normalize()) * 0.5 + 0.5;
    let warm = smoothstep(0.25, 1.0, facing);
    hex(0xb9a3c4).lerp(hex(0xf6c69a), lerp(warm, warm * warm, 0.5))
}

/// The painted sky in a direction, unit length.
pub(super) fn sky(towards: Vec3) -> Vec3 {
    let up = towards.y.max(0.0);
    let low = haze(towards);
    let middle =
        hex(0x8fb0cf).lerp(hex(0xe9b690), smoothstep(0.4, 1.0, towards.dot(sun_direction())));
    let sky =
        low.lerp(middle, smoothstep(0.0, 0.28, up)).lerp(hex(0x3f6fa8), smoothstep(0.12, 0.95, up));
    let glow = towards.dot(sun_direction()).max(0.0);
    sky.lerp(hex(0xffdca6), 0.55 * glow.powf(10.0))
        .lerp(hex(0xfff0cf), 0.8 * glow.powf(90.0))
        .min(Vec3::ONE)
}

/// Dressed limestone in three tones.
pub(super) const STONE: [u32; 3] = [0xe9dcc6, 0xdccbb0, 0xcdb99d];
/// Joints and shaded plinths.
pub(super) const STONE_DARK: u32 = 0x8f7f70;
/// Rock of the islands.
pub(super) const ROCK: [u32; 3] = [0x8f7c74, 0x75666a, 0x585062];
/// Grass from shade to sun.
pub(super) const GRASS: [u32; 4] = [0x4c7a4a, 0x6f9650, 0x93ab58, 0xc0b663];
/// Evergreens.
pub(super) const EVERGREEN: [u32; 3] = [0x2c5b4c, 0x3a6f52, 0x578552];
/// The blossom tree.
pub(super) const BLOSSOM: [u32; 3] = [0xf4b3a6, 0xea8f8c, 0xf9d0b4];
/// Bark and planks.
pub(super) const WOOD: [u32; 3] = [0x6a4832, 0x815b3d, 0x9a7350];
/// Polished brass, as reflectance.
pub(super) const BRASS: Vec3 = Vec3::new(0.97, 0.60, 0.20);
/// Dark bronze, as reflectance.
pub(super) const BRONZE: Vec3 = Vec3::new(0.34, 0.19, 0.09);
/// Glazed tiles of the domes.
pub(super) const PATINA: u32 = 0x2f8f88;
/// Cloth of the banners.
pub(super) const CRIMSON: u32 = 0xa8323a;
