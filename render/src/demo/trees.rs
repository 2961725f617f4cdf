//! Trees: cypresses like flames, pines in skirts, and two in blossom.

use super::graph::Graph;
use super::islet;
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::{Rng, fbm, noise};
use super::palette::{BLOSSOM, EVERGREEN, GRASS, WOOD, hex};
use super::shapes::{ball, grid, polar, tube};
use super::terrain::MAIN;
use glam::{Mat4, Vec3};
use std::f32::consts::TAU;

/// Angle around the plaza in degrees (0 is behind the first view, growing to the right), distance, size.
const CYPRESSES: [(f32, f32, f32); 13] = [
    (232.0, 18.6, 1.15),
    (227.0, 20.0, 0.9),
    (209.0, 18.8, 1.2),
    (204.0, 20.3, 0.9),
    (124.0, 18.4, 1.15),
    (118.0, 19.9, 0.85),
    (90.0, 18.9, 1.0),
    (152.0, 19.0, 1.05),
    (70.0, 19.5, 1.1),
    (64.0, 21.0, 0.9),
    (296.0, 19.0, 1.1),
    (303.0, 20.4, 0.9),
    (146.5, 20.4, 0.8),
];
const PINES: [(f32, f32, f32); 11] = [
    (214.0, 23.0, 1.0),
    (238.0, 23.4, 1.15),
    (244.0, 21.6, 0.8),
    (253.0, 23.4, 1.1),
    (264.0, 24.4, 1.1),
    (273.0, 23.4, 1.2),
    (283.0, 23.4, 1.0),
    (98.0, 23.2, 1.1),
    (90.0, 24.6, 0.85),
    (82.0, 22.8, 1.05),
    (52.0, 24.0, 1.2),
];

const BLOSSOMS: [(f32, f32, f32); 2] = [(257.0, 19.4, 1.1), (103.0, 18.6, 0.8)];

pub(super) fn build(graph: &mut Graph) {
    let mut rng = Rng::new(52);
    let mut trees = Mesh::default();
    let plant = |mesh: &mut Mesh, degrees: f32, r: f32, tree: Mesh| {
        let p = polar(r, degrees.to_radians(), 0.0);
        mesh.add(&tree.turned(degrees * 3.0).at(p.x, MAIN.height(p.x, p.z) - 0.08, p.z));
    };
    for (degrees, r, size) in CYPRESSES {
        plant(&mut trees, degrees, r, cypress(&mut rng, size));
    }
    for (degrees, r, size) in PINES {
        plant(&mut trees, degrees, r, pine(&mut rng, size));
    }
    for _ in 0..15 {
        let (degrees, r) = (rng.range(35.0, 325.0), rng.range(17.2, 24.5));
        plant(&mut trees, degrees, r, bush(&mut rng));
    }
    for (degrees, r, size) in BLOSSOMS {
        plant(&mut trees, degrees, r, blossom(&mut rng).scaled(size, size, size));
    }
    for (x, z, size, tall) in islet::TREES {
        let tree = if tall { cypress(&mut rng, size) } else { pine(&mut rng, size) };
        trees.add(&tree.by(Mat4::from_translation(islet::ground(x, z) - Vec3::Y * 0.08)));
    }
    graph.still(Mat::Matte, &trees);
}

fn bark(path: &[Vec3], radius: f32) -> Mesh {
    let trunk =
        tube(path, 6, Vec3::X, |t| radius * (1.0 - 0.6 * t) * (1.0 + 0.5 * (1.0 - t).powi(6)));
    trunk
        .painted(|p, _| hex(WOOD[0]).lerp(hex(WOOD[1]), noise(p * 3.0, 6) * 0.5 + 0.5) * 0.8)
        .faceted()
}

/// A slim dark flame of leaves.
fn cypress(rng: &mut Rng, size: f32) -> Mesh {
    let (seed, height, wide) = (rng.bits(), 6.6 * size * rng.range(0.92, 1.1), 0.82 * size);
    let mut mesh = bark(&[Vec3::ZERO, Vec3::Y * 0.9], 0.16 * size);
    let crown = grid(8, 7, true, |u, v| {
        let v = v.max(0.005);
        let r = wide * (v.powf(0.42) * (1.0 - v).powf(0.72) * 1.62).min(1.0);
        let twist = u * TAU + v * 2.2;
        let rough = 1.0 + 0.2 * noise(polar(1.8, twist, v * 7.0), seed);
        polar(r * rough, twist, 0.45 + height * v)
    });
    let (low, high) = (hex(EVERGREEN[0]), hex(EVERGREEN[2]));
    let lean = rng.range(0.85, 1.1);
    mesh.add(
        &crown
            .painted(|p, _| {
                low.lerp(high, 0.15 + 0.6 * p.y / height + 0.25 * noise(p * 1.3, seed)) * lean
            })
            .faceted(),
    );
    mesh
}

/// Skirts of needles, each narrower than the one below.
fn pine(rng: &mut Rng, size: f32) -> Mesh {
    let (seed, height) = (rng.bits(), 5.6 * size * rng.range(0.9, 1.15));
    let mut mesh = bark(&[Vec3::ZERO, Vec3::Y * height * 0.3], 0.2 * size);
    let tone = hex(EVERGREEN[0]).lerp(hex(EVERGREEN[1]), rng.unit());
    for k in 0..3 {
        let t = k as f32 / 3.0;
        let (base, top) = (height * (0.16 + 0.72 * t), height * (0.56 + 0.5 * t));
        let wide = size * 1.75 * (1.0 - 0.74 * t);
        let skirt = grid(9, 2, true, |u, v| {
            let jag = 1.0 + 0.2 * noise(polar(2.6, u * TAU, k as f32 * 5.0), seed);
            let (r, y) = match (v * 2.0).round() as u32 {
                0 => (0.08, base + 0.16 * (top - base)),
                1 => (wide * jag, base - 0.12 * wide * jag),
                _ => (0.01, top),
            };
            polar(r, u * TAU + k as f32, y)
        });
        mesh.add(
            &skirt
                .painted(|p, n| {
                    tone.lerp(hex(EVERGREEN[2]), 0.5 * (p.y - base) / (top - base))
                        * (0.85 + 0.15 * n.y)
                })
                .faceted(),
        );
    }
    mesh
}

fn bush(rng: &mut Rng) -> Mesh {
    let (seed, size) = (rng.bits(), rng.range(0.35, 0.8));
    let tone = hex(GRASS[(rng.bits() % 3) as usize]) * rng.range(0.62, 0.85);
    let leaves = ball(1).bent(|p, _| p * (1.0 + 0.32 * fbm(p * 1.7, 2, seed)) * size);
    let leaves = leaves.scaled(1.15, 0.85, 1.15).at(0.0, size * 0.5, 0.0);
    leaves.painted(|p, _| tone * (0.7 + 0.45 * p.y / size)).faceted()
}

/// A leaning trunk with limbs under clouds of blossom.
fn blossom(rng: &mut Rng) -> Mesh {
    let crook = |t: f32| Vec3::new(1.5 * t * t + 0.25 * (t * 5.0).sin(), 4.6 * t, -0.5 * t);
    let trunk: Vec<Vec3> = (0..=7).map(|k| crook(k as f32 / 7.0)).collect();
    let mut mesh = bark(&trunk, 0.42);
    let tips = [
        (0.45, Vec3::new(-2.3, 4.3, 0.4), 1.25),
        (0.6, Vec3::new(3.6, 4.9, 0.9), 1.3),
        (0.7, Vec3::new(0.2, 5.4, -2.2), 1.2),
        (0.8, Vec3::new(3.9, 5.9, -1.5), 1.35),
        (0.85, Vec3::new(-0.6, 6.3, 0.6), 1.6),
        (1.0, Vec3::new(1.8, 6.9, 0.0), 1.7),
        (0.9, Vec3::new(1.6, 5.7, 2.0), 1.2),
    ];
    for (from, tip, size) in tips {
        let start = crook(from);
        let bend = start.lerp(tip, 0.5) + Vec3::new(0.0, -0.35, 0.0);
        mesh.add(&bark(&[start, bend, tip], 0.17));
        for n in 0..2 {
            let seed = rng.bits();
            let spread = if n == 0 { 0.0 } else { 0.85 };
            let at = tip + rng.direction() * Vec3::new(1.0, 0.5, 1.0) * size * spread;
            let r = size * if n == 0 { 0.88 } else { rng.range(0.5, 0.66) };
            let tone = hex(BLOSSOM[(rng.bits() % 3) as usize]);
            let puff = ball(1).bent(|p, _| p * (1.0 + 0.38 * fbm(p * 2.3, 2, seed)) * r);
            let puff = puff
                .scaled(1.12, 0.8, 1.12)
                .painted(|p, _| tone * (0.78 + 0.3 * (p.y / r).clamp(-0.8, 0.7)).min(1.0));
            mesh.add(&puff.by(Mat4::from_translation(at)).faceted());
            for _ in 0..16 {
                let out = rng.direction();
                let petal = at + out * Vec3::new(1.12, 0.8, 1.12) * r * rng.range(0.95, 1.2);
                mesh.add(
                    &sprig(rng, petal, out).colored((tone * rng.range(0.85, 1.2)).min(Vec3::ONE)),
                );
            }
        }
    }
    mesh
}

/// A few petals that break the outline of a crown: one triangle, seen from outside.
fn sprig(rng: &mut Rng, at: Vec3, out: Vec3) -> Mesh {
    let side = out.cross(rng.direction()).normalize_or(Vec3::X);
    let (long, up) = (rng.range(0.1, 0.22), out.cross(side));
    let mut mesh = Mesh::default();
    mesh.polygon(&[at + side * long, at + up * long + out * 0.08, at - (side + up) * long * 0.6]);
    if mesh.vertices[0].normal.dot(out) < 0.0 {
        mesh.indices.swap(1, 2);
    }
    for v in &mut mesh.vertices {
        v.normal = out;
    }
    mesh
}
