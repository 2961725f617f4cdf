//! Two banners on poles beside the way in: one skinned mesh, a chain of joints down each cloth.

use super::graph::{Graph, Skin};
use super::materials::Mat;
use super::mesh::Mesh;
use super::palette::{BRASS, STONE, WOOD, hex};
use super::shapes::{ball, block, grid, lathe, tube};
use glam::{Mat4, Quat, Vec2, Vec3};
use std::f32::consts::TAU;

/// Where the poles stand, and how they are turned.
const POLES: [(Vec3, f32); 2] =
    [(Vec3::new(-6.2, 0.0, 12.2), 0.25), (Vec3::new(6.2, 0.0, 12.2), -0.25)];
const WIDE: f32 = 1.15;
const LONG: f32 = 2.9;
/// Joints down each cloth.
const JOINTS: usize = 7;
/// Height of the crossbar.
const BAR: f32 = 5.0;
/// How far the pole stands behind the cloth, so that no gust reaches it.
const POLE: f32 = 0.42;
const SECONDS: f32 = 4.0;

pub(super) fn build(graph: &mut Graph) {
    let (mut wood, mut metal, mut stone) = (Mesh::default(), Mesh::default(), Mesh::default());
    let mut cloth = Mesh::default();
    let mut joints = Vec::new();
    for (k, (at, turn)) in POLES.into_iter().enumerate() {
        let to = Mat4::from_rotation_translation(Quat::from_rotation_y(turn), at);
        let pole =
            lathe(&[(0.075, 0.0), (0.055, BAR + 0.5), (0.001, BAR + 0.52)], 8).at(0.0, 0.0, -POLE);
        wood.add(&pole.colored(hex(WOOD[0])).by(to));
        let bar = tube(&[Vec3::X * -0.75, Vec3::X * 0.75], 6, Vec3::Y, |_| 0.035).at(0.0, BAR, 0.0);
        metal.add(&bar.by(to));
        for x in [-0.78, 0.78] {
            metal.add(&ball(0).scaled(0.08, 0.08, 0.08).at(x, BAR, 0.0).by(to));
        }
        let arm =
            tube(&[Vec3::new(0.0, BAR, -POLE), Vec3::new(0.0, BAR, 0.0)], 6, Vec3::Y, |_| 0.03);
        metal.add(&arm.by(to));
        let tip = lathe(&[(0.06, 0.0), (0.12, 0.06), (0.05, 0.16), (0.11, 0.3), (0.001, 0.7)], 6);
        metal.add(&tip.at(0.0, BAR + 0.48, -POLE).by(to));
        stone.add(&block(0.7, 0.35, 0.7, 0.05).at(0.0, 0.0, -POLE).colored(hex(STONE[2])).by(to));
        let first = joints.len();
        chain(graph, &mut joints, k, at + Vec3::Y * BAR, turn);
        cloth.add(&panel(first as u8).at(0.0, BAR, 0.0).by(to));
    }
    graph.still(Mat::Matte, &wood);
    graph.still(Mat::Metal, &metal.colored(BRASS));
    graph.still(Mat::Stone, &stone.box_mapped(2.6));
    let node = graph.node("banners", None, Vec3::ZERO);
    graph.dress(node, vec![(Mat::Cloth, cloth)]);
    graph.skins.push(Skin { name: "banners", joints });
    graph.nodes[node].skin = Some(graph.skins.len() - 1);
}

/// Joints from the bar down, and the wave that runs through them.
fn chain(graph: &mut Graph, joints: &mut Vec<usize>, index: usize, top: Vec3, turn: f32) {
    let step = LONG / JOINTS as f32;
    let mut parent = None;
    for k in 0..JOINTS {
        let at = if k == 0 { top } else { Vec3::Y * -step };
        let node = graph.node(format!("banner {} joint {}", index + 1, k + 1), parent, at);
        if k == 0 {
            graph.nodes[node].rotation = Quat::from_rotation_y(turn);
        }
        let (depth, late) = (0.05 + 0.035 * k as f32, k as f32 * 0.75 + index as f32 * 1.9);
        graph.animate_turn("wind", node, SECONDS, 24, |t| {
            let gust = (t * TAU - late).sin() + 0.35 * (t * TAU * 2.0 - late * 1.3).sin();
            Quat::from_rotation_x(depth * gust - 0.03)
                * Quat::from_rotation_y(0.05 * (t * TAU - late * 0.7 + 1.0).sin())
        });
        joints.push(node);
        parent = Some(node);
    }
}

/// The cloth below y = 0, in the x-y plane, with a tail of two points.
fn panel(first: u8) -> Mesh {
    let rows = 2 * JOINTS as u32;
    let mut mesh = grid(4, rows, false, |u, v| {
        let notch = (1.0 - v).powi(6) * (1.0 - (u * 2.0 - 1.0).abs()) * 0.42;
        Vec3::new((u - 0.5) * WIDE, -LONG * (1.0 - v) + notch, 0.0)
    });
    for v in &mut mesh.vertices {
        v.uv = Vec2::new(v.position.x / WIDE + 0.5, (-v.position.y / LONG).clamp(0.0, 1.0));
        // Half-way down a joint's piece it alone moves the cloth; towards the next they share.
        let along = (-v.position.y / LONG * JOINTS as f32 - 0.5).clamp(0.0, JOINTS as f32 - 1.0);
        let joint = (along as u8).min(JOINTS as u8 - 1);
        let next = (joint + 1).min(JOINTS as u8 - 1);
        v.joints = [first + joint, first + next];
        v.blend = if next == joint { 0.0 } else { along - f32::from(joint) };
    }
    mesh
}
