//! Rocks that float around the island: they bob for ever and hop when clicked. Crystals hang below them
//! and below the islands.

use super::bake;
use super::graph::Graph;
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::{Rng, fbm, smoothstep};
use super::palette::{ROCK, hex};
use super::shapes::{ball, lathe, polar};
use super::terrain::grass;
use glam::{Mat4, Quat, Vec3};
use std::f32::consts::{PI, TAU};

/// Place and size.
const ROCKS: [(Vec3, f32); 6] = [
    (Vec3::new(-14.5, 7.2, -22.0), 1.5),
    (Vec3::new(17.5, 5.6, -17.0), 1.0),
    (Vec3::new(14.0, 9.4, -27.0), 1.7),
    (Vec3::new(-24.0, 4.0, -24.0), 2.2),
    (Vec3::new(-9.8, 11.4, -14.0), 0.8),
    (Vec3::new(33.0, 3.0, -9.0), 2.0),
];

pub(super) fn build(graph: &mut Graph) {
    let mut rng = Rng::new(77);
    for (k, (at, size)) in ROCKS.into_iter().enumerate() {
        rock(graph, &mut rng, k, at, size);
    }
    let mut crystals = Mesh::default();
    for _ in 0..6 {
        let (angle, r) = (rng.angle(), rng.range(7.0, 22.0));
        let y = -24.0 * (1.0 - r / 27.0).max(0.1).powf(0.9) - 1.0;
        crystals.add(&cluster(&mut rng, 1.9).by(Mat4::from_translation(polar(r, angle, y))));
    }
    graph.open(Mat::Crystal, &crystals);
}

fn rock(graph: &mut Graph, rng: &mut Rng, index: usize, at: Vec3, size: f32) {
    let seed = rng.bits();
    let body = ball(2).bent(|p, _| {
        let crag = 1.0 + 0.36 * fbm(p * 1.5, 3, seed);
        let taper = if p.y < 0.0 { 1.0 + 0.55 * p.y * p.y } else { 1.0 };
        let flat = if p.y > 0.25 { 0.25 + (p.y - 0.25) * 0.3 } else { p.y * 1.35 };
        Vec3::new(p.x * crag / taper, flat * crag.sqrt(), p.z * crag / taper) * size
    });
    let body = body
        .painted(|p, n| {
            let stone = hex(ROCK[0]).lerp(hex(ROCK[1]), fbm(p * 1.1, 2, seed + 1) * 0.5 + 0.5);
            stone.lerp(grass(p * 3.0 + at), smoothstep(0.5, 0.75, n.y))
        })
        .faceted();
    let mut parts = vec![(Mat::Matte, bake::own_occlusion(body))];
    if index.is_multiple_of(2) {
        let gems = cluster(rng, size * 0.62).at(0.0, -size * 0.62, 0.0);
        parts.push((Mat::Crystal, gems));
    }
    let bob = graph.node(format!("rock {} bob", index + 1), None, at);
    let node = graph.node(format!("rock {}", index + 1), Some(bob), Vec3::ZERO);
    graph.dress(node, parts);
    let (period, high, phase) = (rng.range(6.0, 10.0), rng.range(0.22, 0.5), rng.angle());
    let loops = format!("rock {} bobs", index + 1);
    graph.animate_place(&loops, bob, period, 16, |t| Vec3::Y * high * (t * TAU + phase).sin());
    graph.animate_turn(&loops, bob, period, 16, |t| {
        Quat::from_rotation_z(0.05 * (t * TAU + phase + 1.0).sin())
    });
    let hop = format!("rock {} hops", index + 1);
    graph.clickable(node, &hop);
    let turn = if index.is_multiple_of(2) { TAU } else { -TAU };
    graph.animate_place(&hop, node, 1.8, 36, |t| {
        Vec3::Y * size * (1.3 * (PI * t.powf(0.75)).sin() - 0.3 * (TAU * t).sin() * (1.0 - t))
    });
    graph.animate_turn(&hop, node, 1.8, 36, |t| {
        Quat::from_rotation_y(turn * smoothstep(0.05, 0.95, t))
    });
}

/// Long six-sided crystals that point down and outward.
fn cluster(rng: &mut Rng, size: f32) -> Mesh {
    let mut mesh = Mesh::default();
    for k in 0..4 {
        let long = size * if k == 0 { 1.5 } else { rng.range(0.6, 1.1) };
        let thin = long * rng.range(0.1, 0.15);
        let gem =
            lathe(&[(0.001, -long), (thin, -long * 0.72), (thin * 0.75, 0.2 * size)], 5).faceted();
        let gem = gem.painted(|p, _| {
            Vec3::new(0.55, 0.95, 1.0) * smoothstep(0.3 * size, -long, p.y).max(0.15)
        });
        let lean = Quat::from_rotation_y(rng.angle())
            * Quat::from_rotation_x(if k == 0 { 0.05 } else { rng.range(0.25, 0.6) });
        let foot = polar(if k == 0 { 0.0 } else { size * 0.2 }, rng.angle(), 0.0);
        mesh.add(&gem.by(Mat4::from_rotation_translation(lean, foot)));
    }
    mesh
}
