//! A flock of paper cranes that circles the island: one skinned mesh, three joints a bird.

use super::graph::{Graph, Skin};
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::Rng;
use super::palette::hex;
use glam::{Mat4, Quat, Vec3};
use std::f32::consts::TAU;

const BIRDS: usize = 9;
/// Seconds a round.
const ROUND: f32 = 54.0;
const BEAT: f32 = 1.5;

pub(super) fn build(graph: &mut Graph) {
    let mut rng = Rng::new(5);
    let centre = graph.node("flock", None, Vec3::new(0.0, 11.5, -6.0));
    graph.spin("flock circles", centre, Vec3::Y, ROUND);
    let (mut flock, mut joints) = (Mesh::default(), vec![centre]);
    for k in 0..BIRDS {
        // A loose wedge: the first leads, the others follow to both sides.
        let (rank, side) = (k.div_ceil(2) as f32, if k.is_multiple_of(2) { 1.0 } else { -1.0 });
        let angle = 2.75 - rank * 0.11 + rng.range(-0.025, 0.025);
        let radius = 19.0 + side * rank * 1.35 + rng.range(-0.4, 0.4);
        let at = Quat::from_rotation_y(angle) * Vec3::new(0.0, rng.range(-0.6, 0.9), radius);
        let body = graph.node(format!("bird {}", k + 1), Some(centre), at);
        // Heads point along the way around, wings bank inward.
        graph.nodes[body].rotation = Quat::from_rotation_y(angle)
            * Quat::from_rotation_z(0.0)
            * Quat::from_rotation_x(-0.16);
        let late = rng.angle();
        graph.animate_place("birds glide", body, ROUND / 9.0, 12, |t| {
            Vec3::Y * 0.35 * (t * TAU + late).sin()
        });
        let mut add = |node: usize, mesh: Mesh, graph: &Graph| {
            flock.add(&mesh.by(graph.world(node)).bound_to(joints.len() as u8));
            joints.push(node);
        };
        let size = rng.range(0.85, 1.1);
        add(body, trunk().scaled(size, size, size), graph);
        for side in [-1.0, 1.0] {
            let wing = graph.node(
                format!("bird {} wing", k + 1),
                Some(body),
                Vec3::new(0.0, 0.06, side * 0.07) * size,
            );
            add(wing, pinion(side).scaled(size, size, size), graph);
            graph.animate_turn("birds beat", wing, BEAT, 12, |t| {
                Quat::from_rotation_x(-side * (0.16 + 0.55 * (t * TAU + late).sin()))
            });
        }
    }
    let node = graph.node("birds", None, Vec3::ZERO);
    graph.dress(node, vec![(Mat::Paper, flock)]);
    graph.skins.push(Skin { name: "flock", joints });
    graph.nodes[node].skin = Some(graph.skins.len() - 1);
}

/// Folded body with neck, head and tail; it flies along +x.
fn trunk() -> Mesh {
    let paper = hex(0xfbf4e8);
    let mut mesh = Mesh::default();
    let (top, keel) = (Vec3::new(0.0, 0.12, 0.0), Vec3::new(0.0, -0.14, 0.0));
    let (breast, rear) = (Vec3::new(0.3, 0.02, 0.0), Vec3::new(-0.35, 0.02, 0.0));
    for side in [-1.0f32, 1.0] {
        let flank = Vec3::new(0.0, 0.0, 0.11 * side);
        for (a, b) in [(breast, top), (top, rear), (rear, keel), (keel, breast)] {
            if side > 0.0 { mesh.polygon(&[flank, a, b]) } else { mesh.polygon(&[flank, b, a]) }
        }
        let neck = [
            breast - Vec3::X * 0.1,
            Vec3::new(0.78, 0.30, 0.0),
            Vec3::new(0.3, 0.06, 0.045 * side),
        ];
        mesh.polygon(&neck);
        mesh.polygon(&[
            rear + Vec3::X * 0.1,
            Vec3::new(-0.85, 0.22, 0.0),
            Vec3::new(-0.35, 0.06, 0.05 * side),
        ]);
        mesh.polygon(&[
            Vec3::new(0.78, 0.30, 0.0),
            Vec3::new(0.98, 0.2, 0.0),
            Vec3::new(0.74, 0.22, 0.03 * side),
        ]);
    }
    mesh.painted(|p, _| if p.x > 0.76 { hex(0xd8694f) } else { paper })
}

/// A wing of two folds.
fn pinion(side: f32) -> Mesh {
    let p = |x: f32, y: f32, z: f32| Vec3::new(x, y, z * side);
    let mut mesh = Mesh::default();
    let inner = [p(0.24, 0.0, 0.0), p(0.16, 0.10, 0.55), p(-0.22, 0.06, 0.5), p(-0.26, 0.0, 0.0)];
    let outer = [p(0.16, 0.10, 0.55), p(-0.16, 0.06, 1.25), p(-0.22, 0.06, 0.5)];
    if side > 0.0 {
        let flip = |c: &[Vec3]| c.iter().rev().copied().collect::<Vec<_>>();
        mesh.polygon(&flip(&inner));
        mesh.polygon(&flip(&outer));
    } else {
        mesh.polygon(&inner);
        mesh.polygon(&outer);
    }
    mesh.by(Mat4::IDENTITY)
        .painted(|q, _| hex(0xfbf4e8).lerp(hex(0xf0b9a0), (q.z.abs() - 0.5).max(0.0) * 1.2))
}
