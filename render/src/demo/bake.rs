//! Light that never changes, multiplied into vertex colours: how much of the sky each vertex sees, and
//! for what is far away and drawn unlit, the sun and the haze as well.

use super::bvh::Bvh;
use super::mesh::Mesh;
use super::noise::{lerp, smoothstep};
use super::palette;
use glam::{Quat, Vec2, Vec3};

/// Rays per vertex. 20 keeps steps between neighbours below what the eye finds on flat facets; the same
/// directions for every vertex give bands rather than grain, which facets hide.
const RAYS: usize = 20;
/// Metres within which something counts as in the way.
const REACH: f32 = 3.2;
/// What is left of a colour where no sky is seen: cool, for the light there comes from above.
const DEEP: Vec3 = Vec3::new(0.20, 0.19, 0.25);

/// Directions over the upper half (y up), as many as their cosine is large.
fn directions() -> Vec<Vec3> {
    (0..RAYS)
        .map(|k| {
            let high = (k as f32 + 0.5) / RAYS as f32;
            let around = Vec2::from_angle(k as f32 * 2.399_963) * high.sqrt();
            Vec3::new(around.x, (1.0 - high).sqrt(), around.y)
        })
        .collect()
}

/// Darkens the vertices of `mesh` where `world` hides the sky.
pub(super) fn occlusion(mesh: &mut Mesh, world: &Bvh) {
    let directions = directions();
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let share = mesh.vertices.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        for part in mesh.vertices.chunks_mut(share) {
            let directions = &directions;
            scope.spawn(move || {
                for v in part {
                    let turn = Quat::from_rotation_arc(Vec3::Y, v.normal);
                    let from = v.position + v.normal * 0.03;
                    let free = directions
                        .iter()
                        .filter(|&&d| !world.blocked(from, turn * d, REACH))
                        .count();
                    let open = free as f32 / RAYS as f32;
                    // Facets that look at the ground get its bounce instead of the sky.
                    let seen = smoothstep(0.0, 1.0, open.sqrt());
                    v.color = (v.color.truncate() * DEEP.lerp(Vec3::ONE, seen)).extend(v.color.w);
                }
            });
        }
    });
}

/// As [`occlusion`], by nothing but the mesh itself.
pub(super) fn own_occlusion(mut mesh: Mesh) -> Mesh {
    let own = Bvh::new([&mesh]);
    occlusion(&mut mesh, &own);
    mesh
}

/// Lights a far mesh for drawing without light: sun, sky, bounce, then haze by distance.
pub(super) fn far_light(mut mesh: Mesh, clear: f32, lost: f32) -> Mesh {
    for v in &mut mesh.vertices {
        let sun = (v.normal.dot(palette::sun_direction()) * 0.8 + 0.2).max(0.0);
        let sky = lerp(0.5, 1.0, v.normal.y * 0.5 + 0.5);
        let lit = v.color.truncate() * (palette::SUN * sun * 0.9 + palette::AMBIENT * sky);
        let haze = smoothstep(clear, lost, v.position.length());
        v.color = lit.lerp(palette::haze(v.position), haze).min(Vec3::ONE).extend(v.color.w);
    }
    mesh
}
