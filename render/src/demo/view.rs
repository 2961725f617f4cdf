//! Where the viewer stands, and the sun.

use super::graph::{Camera, Graph, Light};
use super::palette;
use glam::{Mat3, Quat, Vec3};

/// A rotation that turns −z towards a direction and keeps the horizon level.
pub(super) fn looking(along: Vec3) -> Quat {
    let z = -along.normalize();
    let x = Vec3::Y.cross(z).normalize_or(Vec3::X);
    Quat::from_mat3(&Mat3::from_cols(x, z.cross(x), z))
}

pub(super) fn build(graph: &mut Graph) {
    camera(graph, "walk", Vec3::new(-1.3, 1.7, 18.8), Vec3::new(0.45, 4.1, 0.0), 60.0);
    camera(graph, "orbit", Vec3::new(-26.0, 19.0, 36.0), Vec3::new(1.0, 1.5, -2.0), 45.0);
    let sun = graph.node("sun", None, palette::sun_direction() * 60.0);
    graph.nodes[sun].rotation = looking(-palette::sun_direction());
    graph.lights.push(Light {
        name: "sun",
        color: palette::SUN,
        intensity: palette::SUN_LUX,
        range: None,
    });
    graph.nodes[sun].light = Some(graph.lights.len() - 1);
}

fn camera(graph: &mut Graph, name: &'static str, eye: Vec3, target: Vec3, field_of_view: f32) {
    let node = graph.node(name, None, eye);
    graph.nodes[node].rotation = looking(target - eye);
    graph.cameras.push(Camera { name, field_of_view });
    graph.nodes[node].camera = Some(graph.cameras.len() - 1);
}
