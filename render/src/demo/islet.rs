//! The second island: a bridge of planks, an open pavilion, and in it the bell that a click rings.

use super::bake;
use super::graph::Graph;
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::Rng;
use super::palette::{BRASS, BRONZE, PATINA, STONE, WOOD, hex};
use super::shapes::{ball, block, hoop, lathe, lathe_smooth, polar, tube};
use super::terrain::Island;
use glam::{Mat4, Quat, Vec3};
use std::f32::consts::TAU;

/// Where it floats.
const AT: Vec3 = Vec3::new(27.0, 0.0, -27.5);
const ISLET: Island = Island {
    radius: 8.4,
    depth: 10.0,
    inner: 0.0,
    relief: 0.5,
    segments: 28,
    rings: (5, 4),
    seed: 12,
};

/// Trees on it: place, size, and whether it is a cypress.
pub(super) const TREES: [(f32, f32, f32, bool); 6] = [
    (5.2, 1.6, 0.85, true),
    (4.4, -3.6, 0.8, false),
    (-1.8, -5.8, 0.9, false),
    (5.9, -0.8, 0.65, true),
    (1.6, -5.9, 0.75, true),
    (-5.6, -2.2, 0.6, false),
];

/// The ground at a place on it, in the world.
pub(super) fn ground(x: f32, z: f32) -> Vec3 {
    AT + Vec3::new(x, ISLET.height(x, z), z)
}

pub(super) fn build(graph: &mut Graph) {
    let to = Mat4::from_translation(AT);
    graph.still(Mat::Matte, &ISLET.mesh().by(to));
    pavilion(graph);
    bridge(graph);
    bell(graph);
}

/// Six slim columns under a glazed roof that curves up at its edge.
fn pavilion(graph: &mut Graph) {
    let to = Mat4::from_translation(AT + Vec3::Y * 0.1);
    let floor = [
        (3.5, -0.5),
        (3.5, 0.1),
        (3.4, 0.16),
        (3.05, 0.16),
        (3.05, 0.32),
        (2.96, 0.38),
        (0.001, 0.38),
    ];
    let mut stone = lathe(&floor, 6).colored(hex(STONE[1]));
    for k in 0..6 {
        let p = polar(2.45, k as f32 / 6.0 * TAU, 0.38);
        let post =
            [(0.26, 0.0), (0.26, 0.12), (0.19, 0.18), (0.15, 2.9), (0.26, 3.08), (0.26, 3.2)];
        stone.add(&lathe(&post, 8).colored(hex(STONE[0])).by(Mat4::from_translation(p)));
    }
    graph.still(Mat::Stone, &stone.box_mapped(2.6).by(to));
    let roof = [
        (0.001, 3.56),
        (2.7, 3.52),
        (3.55, 3.86),
        (3.55, 3.98),
        (2.6, 4.08),
        (1.7, 4.55),
        (0.95, 5.2),
        (0.5, 5.75),
        (0.001, 5.8),
    ];
    let beam = hoop(2.45, 0.36, 0.4, 6).at(0.0, 3.72, 0.0).colored(hex(WOOD[0]));
    graph.still(Mat::Matte, &beam.by(to));
    graph.still(
        Mat::Glaze,
        &lathe(&roof, 6)
            .painted(|p, n| hex(PATINA) * if n.y < 0.0 { 0.35 } else { 0.8 + 0.06 * p.y })
            .by(to),
    );
    let mut brass = lathe_smooth(
        &[(0.24, 5.68), (0.3, 5.8), (0.12, 5.95), (0.2, 6.12), (0.06, 6.3), (0.001, 6.75)],
        10,
    );
    for k in 0..6 {
        let angle = k as f32 / 6.0 * TAU;
        let rib = [
            polar(3.56, angle, 4.0),
            polar(2.6, angle, 4.14),
            polar(1.7, angle, 4.62),
            polar(0.95, angle, 5.27),
            polar(0.45, angle, 5.8),
        ];
        brass.add(&tube(&rib, 4, polar(1.0, angle + TAU / 4.0, 0.0), |_| 0.06));
    }
    graph.still(Mat::Metal, &brass.colored(BRASS).by(to));
}

/// Planks on two beams between the islands, with rails of rope.
fn bridge(graph: &mut Graph) {
    let (from, to) = (Vec3::new(18.0, 0.05, -18.7), AT + Vec3::new(-5.4, 0.05, 5.5));
    let mut rng = Rng::new(91);
    let along = (to - from).normalize();
    let side = along.cross(Vec3::Y);
    let length = from.distance(to);
    let yaw = along.x.atan2(along.z);
    let bow = |t: f32| from.lerp(to, t) + Vec3::Y * 0.55 * (t * std::f32::consts::PI).sin();
    let mut wood = Mesh::default();
    let planks = (length / 0.36) as u32;
    for k in 0..planks {
        let t = (k as f32 + 0.5) / planks as f32;
        let tone = hex(WOOD[(rng.bits() % 3) as usize]) * rng.range(0.8, 1.05);
        let plank =
            block(2.1 + rng.range(-0.1, 0.1), 0.08, 0.31, 0.0).turned(yaw + rng.range(-0.02, 0.02));
        wood.add(&plank.by(Mat4::from_translation(bow(t))).colored(tone));
    }
    let posts = 6;
    for edge in [-1.0, 1.0] {
        let line = |t: f32, y: f32| bow(t) + side * edge * 0.98 + Vec3::Y * y;
        let beam: Vec<Vec3> =
            (0..=6).map(|k| line(k as f32 / 6.0, -0.1) - side * edge * 0.2).collect();
        wood.add(&tube(&beam, 4, Vec3::Y, |_| 0.11).colored(hex(WOOD[0])));
        for k in 0..=posts {
            let foot = line(k as f32 / posts as f32, -0.1);
            let post = lathe(&[(0.08, 0.0), (0.08, 1.05), (0.12, 1.12), (0.001, 1.22)], 4);
            wood.add(&post.by(Mat4::from_translation(foot)).colored(hex(WOOD[1])));
        }
        for (high, sag) in [(0.95, 0.16)] {
            for k in 0..posts {
                let rope: Vec<Vec3> = (0..=3)
                    .map(|n| {
                        let s = n as f32 / 3.0;
                        line((k as f32 + s) / posts as f32, high - sag * 4.0 * s * (1.0 - s))
                    })
                    .collect();
                wood.add(&tube(&rope, 3, Vec3::Y, |_| 0.028).colored(hex(0xc9ab7c)));
            }
        }
    }
    graph.still(Mat::Matte, &wood);
}

/// A bell below the roof's middle, hung so that it swings from its yoke.
fn bell(graph: &mut Graph) {
    let hook = graph.node("bell", None, AT + Vec3::new(0.0, 3.5, 0.0));
    let shape = [
        (0.001, -0.28),
        (0.12, -0.3),
        (0.24, -0.36),
        (0.3, -0.5),
        (0.34, -0.85),
        (0.44, -1.12),
        (0.56, -1.26),
        (0.58, -1.34),
    ];
    let outside: Vec<(f32, f32)> = shape.iter().rev().copied().collect();
    let inside: Vec<(f32, f32)> =
        shape.iter().map(|&(r, y)| ((r - 0.035).max(0.001), y - 0.03)).collect();
    let mut metal = lathe_smooth(&outside, 12).colored(BRASS);
    metal.add(&lathe_smooth(&inside, 12).colored(BRONZE * 0.6));
    metal.add(&lathe(&[(0.03, -1.3), (0.03, 0.0)], 6).colored(BRONZE));
    metal.add(&ball(0).scaled(0.1, 0.1, 0.1).at(0.0, -1.38, 0.0).colored(BRONZE));
    metal.add(
        &tube(&[Vec3::X * -0.3, Vec3::X * 0.3], 6, Vec3::Y, |_| 0.05)
            .at(0.0, -0.16, 0.0)
            .colored(BRONZE),
    );
    graph.dress(hook, vec![(Mat::Metal, bake::own_occlusion(metal))]);
    graph.clickable(hook, "bell swings");
    graph.animate_turn("bell swings", hook, 5.0, 100, |t| {
        let swing = 0.62 * (1.0 - t).powf(1.5) * (t * TAU * 4.0).sin();
        Quat::from_rotation_x(swing)
    });
    graph.animate_turn("bell idles", hook, 6.0, 12, |t| {
        Quat::from_rotation_x(0.02 * (t * TAU).sin())
    });
}
