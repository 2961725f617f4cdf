//! The round plaza: paving in rings, a ring-shaped pool with four crossings, steps up to the orrery.

use super::graph::Graph;
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::Rng;
use super::palette::{BRASS, PATINA, STONE, STONE_DARK, hex};
use super::shapes::{annulus, block, grid, lathe, paving, polar};
use super::terrain::PLAZA;
use glam::Vec3;
use std::f32::consts::TAU;

/// Inner and outer edge of the water.
const POOL: (f32, f32) = (4.5, 8.9);
/// Height of the top step, where the orrery stands.
pub(super) const DAIS: f32 = 0.72;

pub(super) fn build(graph: &mut Graph) {
    let mut rng = Rng::new(17);
    let mut stone = rings(&mut rng);
    stone.add(&walls());
    stone.add(&steps());
    stone.add(&crossings());
    graph.still(Mat::Stone, &stone.box_mapped(2.6));
    let water = grid(48, 3, true, |u, v| polar(POOL.1 + (POOL.0 - POOL.1) * v, u * TAU, -0.06));
    graph.open(Mat::Water, &water.box_mapped(3.2));
    inlay(graph);
}

/// Rings of slabs, each of its own tone, on a dark bed.
fn rings(rng: &mut Rng) -> Mesh {
    let mut mesh =
        grid(48, 1, true, |u, v| polar(PLAZA - 0.3 + (POOL.1 - PLAZA + 0.5) * v, u * TAU, -0.045));
    mesh = mesh.colored(hex(STONE_DARK) * 0.55);
    // (inner, outer, slabs, darker)
    let rows = [
        (9.36, 10.2, 32, 0.76),
        (10.2, 11.6, 28, 1.0),
        (11.6, 12.95, 32, 1.0),
        (12.95, 13.45, 36, 0.72),
        (13.45, 15.55, 36, 0.97),
    ];
    for (row, (inner, outer, count, tone)) in rows.into_iter().enumerate() {
        let (step, gap) = (TAU / count as f32, 0.014);
        for k in 0..count {
            let start = (k as f32 + 0.5 * (row % 2) as f32) * step;
            let color = hex(STONE[(rng.bits() % 3) as usize]) * tone * rng.range(0.9, 1.0);
            let top = rng.range(-0.012, 0.008);
            let slab = paving(
                (inner + gap, outer - gap),
                (start + gap / outer, start + step - gap / outer),
                top,
                if row < 3 { 0.0 } else { 0.018 },
                if row.is_multiple_of(3) { 1 } else { 2 },
            );
            mesh.add(&slab.colored(color));
        }
    }
    mesh
}

/// The kerb around the plaza and both rims of the pool.
fn walls() -> Mesh {
    let kerb = [
        (PLAZA + 0.12, -0.5),
        (PLAZA + 0.12, 0.07),
        (PLAZA + 0.05, 0.12),
        (PLAZA - 0.42, 0.12),
        (PLAZA - 0.46, -0.05),
    ];
    let (low, high) = POOL;
    let outer =
        [(high + 0.46, -0.05), (high + 0.43, 0.07), (high - 0.03, 0.07), (high - 0.04, -0.3)];
    let inner = [(low + 0.04, -0.3), (low + 0.04, 0.16), (low - 0.5, 0.16)];
    let mut mesh = lathe(&kerb, 56).colored(hex(STONE[2]) * 0.92);
    mesh.add(&lathe(&outer, 48).colored(hex(STONE[0])));
    mesh.add(&lathe(&inner, 40).colored(hex(STONE[0])));
    mesh
}

fn steps() -> Mesh {
    let mut profile = vec![(4.15, -0.1)];
    for (k, radius) in [4.15, 3.75, 3.35].into_iter().enumerate() {
        let top = 0.36 + 0.18 * k as f32;
        profile.extend([(radius, top - 0.03), (radius - 0.03, top), (radius - 0.4, top)]);
    }
    profile.push((0.4, DAIS));
    let tones =
        |p: Vec3, n: Vec3| hex(STONE[if n.y > 0.5 { 0 } else { 2 }]) * (0.9 + 0.1 * (p.y / DAIS));
    lathe(&profile, 36).painted(tones)
}

/// Slabs over the water, ahead, behind and to both sides.
fn crossings() -> Mesh {
    let mut mesh = Mesh::default();
    for k in 0..4 {
        let angle = k as f32 * TAU / 4.0;
        for n in 0..5 {
            let tone = hex(STONE[n % 3]);
            let slab = block(2.3, 0.2, 0.9, 0.03).at(0.0, 0.02, 4.92 + 0.93 * n as f32);
            mesh.add(&slab.turned(angle).colored(tone));
        }
        let pier = block(1.5, 0.6, 4.0, 0.0).at(0.0, -0.45, 6.7);
        mesh.add(&pier.turned(angle).colored(hex(STONE_DARK)));
        for side in [-1.0, 1.0] {
            let step = block(0.3, 0.2, 4.7, 0.0).at(side * 1.3, 0.08, 6.8);
            mesh.add(&step.turned(angle).colored(hex(STONE[0])));
        }
    }
    mesh
}

/// A compass of glazed wedges and brass lines let into the paving.
fn inlay(graph: &mut Graph) {
    let mut brass = annulus(10.16, 10.25, 0.012, 56);
    brass.add(&annulus(12.9, 12.99, 0.012, 64));
    graph.still(Mat::Metal, &brass.colored(BRASS * 0.9));
    let mut glaze = Mesh::default();
    for k in 0..16_u32 {
        let angle = (k as f32 + 0.5) * TAU / 16.0;
        let (long, half) = if k.is_multiple_of(2) { (12.8, 0.062) } else { (11.6, 0.04) };
        let y = 0.013;
        let points = [
            polar(10.3, angle, y),
            polar(11.0, angle - half, y),
            polar(long, angle, y),
            polar(11.0, angle + half, y),
        ];
        glaze.polygon(&points);
    }
    graph.still(Mat::Glaze, &glaze.colored(hex(PATINA) * 0.8));
}
