//! What a loaded scene costs to show. A small file can show one mesh a great many times, and hold one picture in many
//! materials, so this is more than what was read.

use std::collections::HashSet;

use super::super::limits::check;
use super::super::{Influence, LoadLimits, Mesh, Primitive, Scene, SceneError, Vertex};

/// Bytes of the index for clicks, a triangle: half a branch of its tree and its place among the leaves.
const PICK_BYTES: u64 = 20;

/// Refuses what would be too much to draw, to pose, or to hold on a device.
pub(super) fn check_costs(scene: &Scene, limits: &LoadLimits) -> Result<(), SceneError> {
    check_draws(scene, limits)?;
    check_joint_boxes(scene, limits)?;
    let bytes = held_bytes(scene).saturating_add(upload_bytes(scene));
    check(|| "the memory for the scene and its upload".to_owned(), bytes, limits.memory)
}

fn check_draws(scene: &Scene, limits: &LoadLimits) -> Result<(), SceneError> {
    let (mut draws, mut triangles) = (0_u64, 0_u64);
    let sizes: Vec<(u64, u64)> = scene
        .meshes
        .iter()
        .map(|mesh| {
            let indices: usize = mesh.primitives.iter().map(|part| part.indices.len()).sum();
            (mesh.primitives.len() as u64, indices as u64 / 3)
        })
        .collect();
    for mesh in scene.nodes.iter().filter_map(|node| node.mesh) {
        draws = draws.saturating_add(sizes[mesh].0);
        triangles = triangles.saturating_add(sizes[mesh].1);
    }
    check(|| "the number of primitives shown".to_owned(), draws, limits.draws)?;
    check(|| "the number of triangles shown".to_owned(), triangles, limits.triangles)
}

fn check_joint_boxes(scene: &Scene, limits: &LoadLimits) -> Result<(), SceneError> {
    let boxes: Vec<u64> =
        scene.meshes.iter().map(|mesh| mesh.primitives.iter().map(moving_joints).sum()).collect();
    let skinned = scene.nodes.iter().filter(|node| node.skin.is_some());
    let shown = skinned.filter_map(|node| node.mesh).map(|mesh| boxes[mesh]);
    let shown = shown.fold(0, u64::saturating_add);
    let what = "the number of joints that move parts of the scene";
    check(|| what.to_owned(), shown.max(boxes.iter().sum()), limits.joint_boxes)
}

/// How many joints move vertices of a primitive.
fn moving_joints(primitive: &Primitive) -> u64 {
    let Some(influences) = &primitive.influences else { return 0 };
    let mut seen = vec![0_u64; 1 << 10];
    for influence in influences {
        for (&joint, &weight) in influence.joints.iter().zip(&influence.weights) {
            if weight > 0.0 {
                seen[usize::from(joint >> 6)] |= 1 << (joint & 63);
            }
        }
    }
    seen.iter().map(|bits| u64::from(bits.count_ones())).sum()
}

fn mesh_bytes(mesh: &Mesh, skinned: bool) -> u64 {
    let part = |part: &Primitive| {
        let influences = part.influences.as_ref().filter(|_| skinned).map_or(0, Vec::len);
        part.vertices.len() * size_of::<Vertex>()
            + part.indices.len() * size_of::<u32>()
            + influences * size_of::<Influence>()
    };
    mesh.primitives.iter().map(|primitive| part(primitive) as u64).sum()
}

/// What the scene itself holds and the index that clicks need, but for what is small beside them.
fn held_bytes(scene: &Scene) -> u64 {
    let meshes: u64 = scene.meshes.iter().map(|mesh| mesh_bytes(mesh, true)).sum();
    let primitives = scene.meshes.iter().flat_map(|mesh| &mesh.primitives);
    let triangles: u64 = primitives.map(|part| part.indices.len() as u64 / 3).sum();
    meshes
        + triangles * PICK_BYTES
        + scene.images.iter().map(|image| image.rgba.len() as u64).sum::<u64>()
}

/// What a device holds of it, and what is held on the way there.
fn upload_bytes(scene: &Scene) -> u64 {
    let shown: HashSet<(usize, bool)> =
        scene.nodes.iter().filter_map(|node| Some((node.mesh?, node.skin.is_some()))).collect();
    // Gathered, then copied.
    let meshes: u64 =
        shown.iter().map(|&(mesh, skinned)| 2 * mesh_bytes(&scene.meshes[mesh], skinned)).sum();
    // As colours and as numbers a picture is two textures.
    let mut textures = HashSet::new();
    for material in &scene.materials {
        for used in [material.base_color_texture, material.emissive_texture].into_iter().flatten() {
            textures.insert((scene.textures[used.texture].image, true));
        }
        let numbers = [
            material.metallic_roughness_texture,
            material.normal_texture,
            material.occlusion_texture,
        ];
        for used in numbers.into_iter().flatten() {
            textures.insert((scene.textures[used.texture].image, false));
        }
    }
    // Smaller levels add a third.
    let level = |image: usize| scene.images[image].rgba.len() as u64;
    meshes + textures.iter().map(|&(image, _)| level(image) / 3 * 4).sum::<u64>()
}
