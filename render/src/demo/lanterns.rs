//! Lanterns along the ways; a click makes one flare. Two of them light their surroundings.

use super::graph::{Graph, Light};
use super::materials::Mat;
use super::mesh::Mesh;
use super::noise::smoothstep;
use super::palette::{BRASS, BRONZE, STONE, hex};
use super::shapes::{block, lathe, polar};
use super::terrain::{MAIN, PLAZA};
use glam::{Mat4, Vec2, Vec3};
use std::f32::consts::{PI, TAU};

/// Place on the ground and whether it carries a light.
const PLACES: [(f32, f32, bool); 8] = [
    (-3.6, 13.2, true),
    (3.6, 13.2, true),
    (-12.9, -6.9, false),
    (12.9, -7.6, false),
    (-14.6, 3.0, false),
    (14.1, 5.4, false),
    (17.2, -20.2, false),
    (19.9, -17.6, false),
];
/// Height of a lantern's foot above the ground.
const POST: f32 = 1.35;

pub(super) fn build(graph: &mut Graph) {
    let (mut stone, mut metal) = (Mesh::default(), Mesh::default());
    for (k, (x, z, lights)) in PLACES.into_iter().enumerate() {
        let ground = if x.hypot(z) < PLAZA { 0.0 } else { MAIN.height(x, z) - 0.05 };
        let to = Mat4::from_translation(Vec3::new(x, ground, z));
        let foot = [
            (0.34, -0.2),
            (0.34, 0.14),
            (0.17, 0.28),
            (0.12, POST - 0.2),
            (0.27, POST - 0.03),
            (0.27, POST),
            (0.001, POST),
        ];
        stone.add(&lathe(&foot, 6).by(to));
        metal.add(&block(0.42, 0.05, 0.42, 0.015).at(0.0, POST, 0.0).by(to));
        let node =
            graph.node(format!("lantern {}", k + 1), None, Vec3::new(x, ground + POST + 0.05, z));
        graph.dress(node, vec![(Mat::Lamp, head())]);
        flare(graph, node, k);
        if lights {
            let light = graph.node(format!("lantern light {}", k + 1), Some(node), Vec3::Y * 0.36);
            let color = Vec3::new(1.0, 0.60, 0.26);
            graph.lights.push(Light { name: "lantern", color, intensity: 6.0, range: Some(6.0) });
            graph.nodes[light].light = Some(graph.lights.len() - 1);
        }
    }
    graph.still(Mat::Stone, &stone.colored(hex(STONE[1])).box_mapped(2.6));
    graph.still(Mat::Metal, &metal.colored(BRONZE.lerp(BRASS, 0.3)));
}

/// It swells, rises a little and settles.
fn flare(graph: &mut Graph, node: usize, index: usize) {
    let name = format!("lantern {} flares", index + 1);
    graph.clickable(node, &name);
    let beat = |t: f32| (PI * smoothstep(0.0, 1.0, t.powf(0.6))).sin().max(0.0);
    graph.animate_scale(&name, node, 1.6, 32, |t| {
        let swell = 0.34 * beat(t) * (1.0 + 0.15 * (t * TAU * 5.0).sin());
        Vec3::new(1.0 + swell, 1.0 + swell * 1.2, 1.0 + swell)
    });
    graph.animate_place(&name, node, 1.6, 32, |t| Vec3::Y * 0.3 * beat(t));
}

/// Six panes between a foot and a curved cap, all in the lamp's picture.
fn head() -> Mesh {
    let mut mesh = Mesh::default();
    for k in 0..6 {
        let angle = |n: u32| n as f32 / 6.0 * TAU;
        let (a, b) = (angle(k), angle(k + 1));
        let mut pane = Mesh::default();
        pane.polygon(&[
            polar(0.17, a, 0.07),
            polar(0.17, b, 0.07),
            polar(0.23, b, 0.56),
            polar(0.23, a, 0.56),
        ]);
        for (v, uv) in
            pane.vertices.iter_mut().zip([(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
        {
            v.uv = Vec2::new(uv.0, uv.1);
        }
        mesh.add(&pane);
    }
    let mut frame = lathe(&[(0.21, 0.0), (0.21, 0.05), (0.18, 0.08)], 6);
    frame.add(&lathe(
        &[
            (0.2, 0.54),
            (0.36, 0.55),
            (0.34, 0.60),
            (0.2, 0.70),
            (0.06, 0.80),
            (0.07, 0.86),
            (0.001, 0.93),
        ],
        6,
    ));
    for v in &mut frame.vertices {
        v.uv = Vec2::new(0.02, 0.02);
    }
    mesh.add(&frame);
    mesh
}
