//! The ring of columns around the plaza, some broken, with the arches that still stand.

use super::graph::Graph;
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::{Rng, fbm, noise};
use super::palette::{GRASS, STONE, hex};
use super::shapes::{arch_path, ball, block, grid, lathe, polar, sweep};
use glam::{Mat4, Quat, Vec2, Vec3};
use std::f32::consts::{PI, TAU};

const RING: f32 = 11.5;
/// Height of the arches' springing.
const TOP: f32 = 5.3;

/// Height of each column's shaft, as a part of the whole; 1 carries arches. The first stands at +15°
/// to the right of the way in, and they go around to the right.
const SHAFTS: [f32; 12] = [0.22, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.62, 1.0, 0.34];
/// Which neighbours an arch still joins (from column k to k + 1), and how much of it: from, to.
const ARCHES: [(usize, f32, f32); 8] = [
    (1, 0.0, 1.0),
    (2, 0.0, 1.0),
    (3, 0.0, 0.34),
    (4, 0.0, 1.0),
    (5, 0.0, 1.0),
    (6, 0.0, 1.0),
    (7, 0.0, 1.0),
    (8, 0.0, 0.27),
];

fn place(k: usize) -> Vec3 {
    polar(RING, (k as f32 + 0.5) * TAU / 12.0, 0.0)
}

pub(super) fn build(graph: &mut Graph) {
    let mut rng = Rng::new(8);
    let mut stone = Mesh::default();
    for (k, &part) in SHAFTS.iter().enumerate() {
        let p = place(k);
        let angle = p.x.atan2(p.z);
        stone.add(&column(part, k as u32).turned(angle).at(p.x, 0.0, p.z));
    }
    for (k, from, to) in ARCHES {
        stone.add(&arch(place(k), place((k + 1) % 12), (from, to), k as u32));
    }
    for (angle, radius, roll, turn) in [
        (0.62, 13.4, 0.2, 0.4),
        (-0.5, 13.6, 1.1, 2.0),
        (-0.86, 14.3, 0.6, 0.9),
        (5.0, 13.9, 0.3, 1.7),
    ] {
        let p = polar(radius, angle, 0.42);
        let tilt = Quat::from_rotation_y(turn)
            * Quat::from_rotation_x(PI / 2.0)
            * Quat::from_rotation_y(roll);
        stone.add(&drum().by(Mat4::from_rotation_translation(tilt, p)));
    }
    for _ in 0..20 {
        let angle = [0.27, -0.29, -1.05, 1.9][(rng.bits() % 4) as usize] + rng.range(-0.14, 0.14);
        let p = polar(RING + rng.range(-0.9, 1.6), angle, 0.0);
        let s = rng.range(0.08, 0.24);
        let chip =
            ball(0).scaled(s, s * 0.7, s * 1.2).turned(rng.angle()).at(p.x, s * 0.3, p.z).faceted();
        stone.add(&chip.colored(hex(STONE[1]) * 0.9));
    }
    graph.still(Mat::Stone, &stone.box_mapped(2.6));
    ivy(graph, &mut rng);
}

/// A fluted column on its base; a whole one has a capital, a broken one a ragged end.
fn column(part: f32, seed: u32) -> Mesh {
    let whole = part >= 1.0;
    let height = (TOP - 1.3) * part;
    let mut mesh = block(1.34, 0.26, 1.34, 0.03).colored(hex(STONE[2]));
    let base = [(0.62, 0.26), (0.63, 0.4), (0.54, 0.46), (0.57, 0.57), (0.47, 0.65)];
    mesh.add(&lathe(&base, 14).colored(hex(STONE[1])));
    let rows = if whole { 2 } else { 3 };
    let shaft = grid(24, rows, true, |u, v| {
        let flute = flute(u);
        let swell = 0.47 - 0.085 * (v * part).powf(1.6);
        let ragged = if !whole && v > 0.9 {
            0.3 * noise(polar(1.3, u * TAU, seed as f32 * 7.0), 3)
        } else {
            0.0
        };
        polar(swell + flute, u * TAU, 0.65 + height * v + ragged)
    });
    let tone = |p: Vec3, _| hex(STONE[0]).lerp(hex(STONE[1]), noise(p * 0.9, seed) * 0.5 + 0.5);
    mesh.add(&shaft.faceted().painted(tone));
    if whole {
        let top = 0.65 + height;
        let capital = [(0.43, top), (0.43, top + 0.07), (0.40, top + 0.16), (0.6, top + 0.36)];
        mesh.add(&lathe(&capital, 12).colored(hex(STONE[0])));
        mesh.add(&block(1.26, 0.24, 1.26, 0.0).at(0.0, top + 0.36, 0.0).colored(hex(STONE[0])));
    } else {
        let top = 0.65 + height;
        let cap = grid(24, 1, true, |u, v| {
            let flute = flute(u);
            let ragged = 0.3 * noise(polar(1.3, u * TAU, seed as f32 * 7.0), 3);
            let r = (0.47 - 0.085 * part.powf(1.6) + flute) * (1.0 - v);
            polar(r, u * TAU, top + ragged * (1.0 - v) - 0.06 * v)
        });
        mesh.add(&cap.faceted().colored(hex(STONE[2])));
    }
    mesh
}

/// How far the surface of a shaft lies inward at a part of the way around: a groove at every other corner.
fn flute(u: f32) -> f32 {
    if ((u * 24.0).round() as u32).is_multiple_of(2) { 0.0 } else { -0.045 }
}

/// A fallen piece of shaft around y.
fn drum() -> Mesh {
    let shaft = grid(24, 1, true, |u, v| {
        let flute = flute(u);
        polar(0.45 + flute, u * TAU, -0.6 + 1.2 * v)
    });
    let mut mesh = shaft.faceted();
    for side in [-1.0f32, 1.0] {
        let ring: Vec<Vec3> =
            (0..12).map(|k| polar(0.43, side * k as f32 / 12.0 * TAU, side * 0.6)).collect();
        mesh.polygon(&ring);
    }
    mesh.colored(hex(STONE[1]))
}

/// An arch of blocks between two columns with a keystone and a moulding, whole or in part.
fn arch(from: Vec3, to: Vec3, part: (f32, f32), seed: u32) -> Mesh {
    let rise = from.distance(to) * 0.5 - 0.25;
    let up = (from + to).normalize();
    let base = Vec3::Y * TOP;
    let mut mesh = Mesh::default();
    let stones = 13.0;
    let count = (stones * (part.1 - part.0)).round() as u32;
    for k in 0..count {
        let (a, b) = (part.0 + k as f32 / stones, part.0 + (k + 1) as f32 / stones);
        let key = k == 6;
        let (w, h) = if key { (0.48, 0.46) } else { (0.40, 0.33) };
        let lift = if key { 0.06 } else { 0.0 };
        let outline = [(-w, -h + lift), (w, -h + lift), (w, h + lift), (-w, h + lift)]
            .map(|(x, y)| Vec2::new(y, x));
        let outline: Vec<Vec2> = outline.iter().rev().copied().collect();
        let path = arch_path(from + base, to + base, rise, 1, (a + 0.002, b - 0.002));
        let tone = hex(STONE[((seed + k) % 3) as usize]) * if key { 1.0 } else { 0.96 };
        mesh.add(&sweep(&outline, &path, up, false).colored(tone));
    }
    mesh
}

/// Leaves that hang over some of the arches and cling to broken shafts.
fn ivy(graph: &mut Graph, rng: &mut Rng) {
    let mut leaves = Mesh::default();
    let mut clump = |at: Vec3, size: f32, rng: &mut Rng| {
        let shade = hex(GRASS[(rng.bits() % 2) as usize]) * rng.range(0.6, 0.9);
        let blob = ball(u32::from(size > 0.24))
            .bent(|p, _| p * (1.0 + 0.35 * fbm(p * 2.0 + at, 2, 5)) * size);
        leaves.add(
            &blob
                .at(at.x, at.y, at.z)
                .faceted()
                .painted(|p, _| shade * (0.8 + 0.4 * (p.y - at.y + size) / size * 0.5)),
        );
    };
    for (k, share) in [(2usize, 0.2), (4, 0.75), (6, 0.22), (7, 0.6)] {
        let rise = place(k).distance(place(k + 1)) * 0.5 - 0.25;
        let path =
            arch_path(place(k) + Vec3::Y * TOP, place(k + 1) + Vec3::Y * TOP, rise, 40, (0.0, 1.0));
        for n in 0..6_u32 {
            let p = path[((share + n as f32 * 0.022) * 40.0) as usize % 41];
            let off =
                Vec3::new(rng.range(-0.25, 0.25), rng.range(0.1, 0.42), rng.range(-0.25, 0.25));
            clump(p + off, rng.range(0.16, 0.34), rng);
            if n.is_multiple_of(2) {
                clump(
                    p + Vec3::new(0.0, -0.5 - 0.3 * n as f32 * 0.5, 0.0) + off * 0.8,
                    rng.range(0.1, 0.18),
                    rng,
                );
            }
        }
    }
    for k in [9usize] {
        let top = 0.65 + (TOP - 1.3) * SHAFTS[k];
        for n in 0..4 {
            let around = polar(0.42, rng.angle(), top - 0.3 * n as f32);
            clump(place(k) + around, rng.range(0.14, 0.26), rng);
        }
    }
    graph.still(Mat::Matte, &leaves);
}
