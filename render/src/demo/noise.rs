//! Chance that is the same on every run: an integer hash, a small generator and lattice noise.
//!
//! Nothing here reads a clock or a system's random source, so that two generated files are equal.

use glam::{IVec3, Vec2, Vec3};
use std::f32::consts::TAU;

/// Scrambles 32 bits (the output permutation of PCG-RXS-M-XS-32).
pub(super) fn hash(x: u32) -> u32 {
    let state = x.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (word >> 22) ^ word
}

fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// A sequence of numbers that its seed determines.
#[derive(Clone)]
pub(super) struct Rng(u32);

impl Rng {
    pub(super) fn new(seed: u32) -> Self {
        Self(hash(seed ^ 0x9e37_79b9))
    }

    pub(super) fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        hash(self.0)
    }

    /// Uniform in `0..1`.
    pub(super) fn unit(&mut self) -> f32 {
        unit(self.bits())
    }

    /// Uniform in `low..high`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub(super) fn angle(&mut self) -> f32 {
        self.range(0.0, TAU)
    }

    /// A direction, all equally likely.
    pub(super) fn direction(&mut self) -> Vec3 {
        let y = self.range(-1.0, 1.0);
        let around = Vec2::from_angle(self.angle()) * (1.0 - y * y).sqrt();
        Vec3::new(around.x, y, around.y)
    }
}

/// Value noise with a smooth lattice, in `-1..1`, features one unit wide.
pub(super) fn noise(at: Vec3, seed: u32) -> f32 {
    let cell = at.floor();
    let f = at - cell;
    let f = f * f * f * (f * (f * 6.0 - 15.0) + 10.0);
    let corner = |dx: i32, dy: i32, dz: i32| {
        let c = cell.as_ivec3() + IVec3::new(dx, dy, dz);
        let h = hash(c.x as u32 ^ hash(c.y as u32 ^ hash(c.z as u32 ^ seed)));
        unit(h) * 2.0 - 1.0
    };
    let row = |dy, dz| lerp(corner(0, dy, dz), corner(1, dy, dz), f.x);
    lerp(lerp(row(0, 0), row(1, 0), f.y), lerp(row(0, 1), row(1, 1), f.y), f.z)
}

/// Octaves of [`noise`], each half as wide and half as strong, scaled back to about `-1..1`.
pub(super) fn fbm(at: Vec3, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut p) = (0.0, 1.0, 0.0, at);
    for octave in 0..octaves {
        sum += weight * noise(p, seed.wrapping_add(octave * 101));
        total += weight;
        weight *= 0.5;
        p = p * 2.03 + Vec3::splat(17.1);
    }
    sum / total
}

/// Noise folded at zero: rounded billows with sharp creases, in `0..1`.
pub(super) fn billow(at: Vec3, octaves: u32, seed: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut p) = (0.0, 1.0, 0.0, at);
    for octave in 0..octaves {
        sum += weight * noise(p, seed.wrapping_add(octave * 77)).abs();
        total += weight;
        weight *= 0.5;
        p = p * 2.1 + Vec3::splat(9.7);
    }
    (sum / total * 1.6).min(1.0)
}

/// Straight mix of two numbers.
pub(super) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// Hermite step from 0 at `low` to 1 at `high`.
pub(super) fn smoothstep(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}
