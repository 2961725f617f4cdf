//! Vertices and indices of a scene in buffers, and the drawables that lie in them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::draw::materials::{emitted, features, translucent};
use crate::draw::scene_gpu::{Drawable, RestPose, UploadError};
use crate::draw::split::{Lamp, by_lamps};
use crate::draw::staging::Staging;
use crate::draw::variant::Features;
use crate::scene::bounds::joint_bounds;
use crate::scene::{Aabb, Influence, Primitive, Scene, Vertex};

#[derive(Debug)]
pub(crate) struct GeometryBuffers {
    pub(crate) rigid: wgpu::Buffer,
    pub(crate) skinned: wgpu::Buffer,
    pub(crate) influences: wgpu::Buffer,
    pub(crate) indices: wgpu::Buffer,
}

/// Indices that are cut by lamps, over all drawables: each is a copy, and each of its triangles is held against every
/// lamp, while a small file can show one mesh a hundred thousand times. The demo cuts under a twentieth of it. What
/// comes after stays whole, and costs its lamps where they do not reach.
const MOST_CUT: usize = 8 << 20;

/// Vertices and indices of all primitives that are shown.
#[derive(Default)]
pub(crate) struct Geometry {
    rigid: Vec<Vertex>,
    skinned: Vec<Vertex>,
    influences: Vec<Influence>,
    indices: Vec<u32>,
}

/// For each joint that moves vertices of a primitive: their box, see [`joint_bounds`]. Shared by all that show it.
pub(crate) type JointBoxes = Arc<[(u16, Aabb)]>;

/// A primitive in the buffers, and what is worked out of its vertices: once, however many nodes show it.
struct Placed {
    indices: Range<u32>,
    base_vertex: i32,
    features: Features,
    joints: JointBoxes,
}

impl Geometry {
    pub(crate) fn drawables(&mut self, scene: &Scene, moving: &[bool]) -> Vec<Drawable> {
        let mut placed: HashMap<(usize, usize, bool), Placed> = HashMap::new();
        let mut drawables = Vec::new();
        let first_joints = first_joints(scene);
        let translucent = translucent(scene);
        for (index, node) in scene.nodes.iter().enumerate() {
            let skin = node.skin.filter(|_| node.mesh.is_some());
            let first_joint = skin.map_or(0, |skin| first_joints[skin]);
            let Some(mesh) = node.mesh else { continue };
            for (part, primitive) in scene.meshes[mesh].primitives.iter().enumerate() {
                let influences = primitive.influences.as_deref().filter(|_| skin.is_some());
                if primitive.indices.is_empty() {
                    continue;
                }
                let material = &scene.materials[primitive.material];
                let place = placed.entry((mesh, part, influences.is_some())).or_insert_with(|| {
                    let translucent = translucent[primitive.material];
                    let skinned = influences.is_some();
                    let features = features(material, translucent, primitive, skinned);
                    self.place(primitive, influences, features)
                });
                drawables.push(Drawable {
                    node: index,
                    indices: place.indices.clone(),
                    base_vertex: place.base_vertex,
                    material: primitive.material,
                    features: place.features,
                    emitted: emitted(material),
                    bounds: primitive.bounds,
                    skin: influences.map(|_| (first_joint, place.joints.clone())),
                    fixed: !moving[index] && influences.is_none(),
                    lamps: u64::MAX,
                    casts: !place.features.has(Features::BLEND) && !material.unlit,
                    state_rank: 0,
                });
            }
        }
        drawables
    }

    fn place(
        &mut self,
        primitive: &Primitive,
        influences: Option<&[Influence]>,
        features: Features,
    ) -> Placed {
        let vertices = if influences.is_some() { &mut self.skinned } else { &mut self.rigid };
        let base_vertex = vertices.len() as i32;
        vertices.extend_from_slice(&primitive.vertices);
        self.influences.extend_from_slice(influences.unwrap_or_default());
        let first = self.indices.len() as u32;
        self.indices.extend_from_slice(&primitive.indices);
        let joints = influences.map(|_| joint_bounds(primitive)).unwrap_or_default();
        Placed {
            indices: first..self.indices.len() as u32,
            base_vertex,
            features,
            joints: joints.into(),
        }
    }

    /// Cuts fixed drawables by the lamps that reach their triangles, up to [`MOST_CUT`].
    pub(crate) fn split(
        &mut self,
        drawables: Vec<Drawable>,
        lamps: &[Lamp],
        rest: &RestPose,
    ) -> Vec<Drawable> {
        let mut left = MOST_CUT;
        let known = lamps.iter().fold(0, |all, lamp| all | lamp.bit);
        let mut result = Vec::with_capacity(drawables.len());
        for drawable in drawables {
            // Unlit and small ones gain less than a draw call costs.
            let worth = drawable.fixed
                && !lamps.is_empty()
                && drawable.features.has(Features::LIT)
                && (3 * 64..=left).contains(&drawable.indices.len());
            let range = drawable.indices.start as usize..drawable.indices.end as usize;
            let vertices = &self.rigid[drawable.base_vertex as usize..];
            let world = &rest.world[drawable.node];
            left -= if worth { range.len() } else { 0 };
            let groups = worth.then(|| by_lamps(vertices, &self.indices[range], world, lamps));
            let Some(groups) = groups.flatten() else {
                result.push(drawable);
                continue;
            };
            for group in groups {
                let first = self.indices.len() as u32;
                self.indices.extend_from_slice(&group.indices);
                result.push(Drawable {
                    indices: first..self.indices.len() as u32,
                    bounds: group.bounds,
                    // Lights that never end may reach anything.
                    lamps: group.lamps | !known,
                    skin: None,
                    ..drawable
                });
            }
        }
        result
    }

    pub(crate) fn check(&self, limits: &wgpu::Limits) -> Result<(), UploadError> {
        let sizes = [
            ("vertices", size_of_val(&self.rigid[..])),
            ("skinned vertices", size_of_val(&self.skinned[..])),
            ("indices", size_of_val(&self.indices[..])),
        ];
        for (what, bytes) in sizes {
            if bytes as u64 > limits.max_buffer_size {
                let (needed, allowed) = (bytes as u64, limits.max_buffer_size);
                return Err(UploadError::TooLarge { what, needed, allowed });
            }
        }
        Ok(())
    }

    pub(crate) fn upload(&self, staging: &mut Staging<'_>) -> GeometryBuffers {
        let (vertex, index) = (wgpu::BufferUsages::VERTEX, wgpu::BufferUsages::INDEX);
        GeometryBuffers {
            rigid: staging.buffer("vertices", bytemuck::cast_slice(&self.rigid), vertex),
            skinned: staging.buffer(
                "skinned vertices",
                bytemuck::cast_slice(&self.skinned),
                vertex,
            ),
            influences: staging.buffer(
                "influences",
                bytemuck::cast_slice(&self.influences),
                vertex,
            ),
            indices: staging.buffer("indices", bytemuck::cast_slice(&self.indices), index),
        }
    }
}

/// Where the matrices of each skin begin.
fn first_joints(scene: &Scene) -> Vec<u32> {
    let mut next = 0;
    let first = scene.skins.iter().map(|skin| {
        let first = next;
        next += skin.joints.len() as u32;
        first
    });
    first.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Material, Mesh, Node, Skin};
    use glam::{Mat4, Vec3};

    /// One mesh of a skinned part of three vertices, shown by `shown` nodes after the joint.
    fn crowd(shown: usize, triangles: usize) -> Scene {
        let vertices = vec![Vertex::default(); 3];
        let influence = Influence { joints: [0; 4], weights: [1.0, 0.0, 0.0, 0.0] };
        let part = Primitive {
            influences: Some(vec![influence; 3]),
            vertices,
            indices: [0, 1, 2].repeat(triangles),
            material: 0,
            bounds: Aabb { min: Vec3::ZERO, max: Vec3::ZERO },
        };
        let node = Node { mesh: Some(0), skin: Some(0), ..Node::default() };
        Scene {
            nodes: [vec![Node::default()], vec![node; shown]].concat(),
            meshes: vec![Mesh { primitives: vec![part] }],
            materials: vec![Material::default()],
            skins: vec![Skin { joints: vec![0], inverse_bind: vec![Mat4::IDENTITY] }],
            ..Scene::default()
        }
    }

    #[test]
    fn what_a_thousand_nodes_show_is_worked_out_once() {
        let scene = crowd(1_000, 1);
        let mut geometry = Geometry::default();
        let drawables = geometry.drawables(&scene, &vec![false; scene.nodes.len()]);
        assert_eq!(drawables.len(), 1_000);
        assert_eq!((geometry.skinned.len(), geometry.indices.len()), (3, 3));
        let boxes = |drawable: &Drawable| drawable.skin.clone().expect("a skin").1;
        let first = boxes(&drawables[0]);
        assert_eq!(first.len(), 1);
        assert!(drawables.iter().all(|drawable| Arc::ptr_eq(&first, &boxes(drawable))));
    }

    #[test]
    fn cutting_ends_before_a_small_file_becomes_a_large_one() {
        let mut scene = crowd(1_000, 10_000);
        scene.nodes.iter_mut().for_each(|node| node.skin = None);
        let mut geometry = Geometry::default();
        let drawables = geometry.drawables(&scene, &vec![false; scene.nodes.len()]);
        let before = geometry.indices.len();
        // None of the triangles is near the lamp: each drawable is one dark group.
        let lamp = Lamp { bit: 1, at: Vec3::X * 100.0, range: 1.0 };
        let cut = geometry.split(drawables, &[lamp], &RestPose::new(&scene));
        assert_eq!(cut.len(), 1_000);
        assert!(cut[0].lamps & 1 == 0 && cut[999].lamps & 1 == 1);
        let added = geometry.indices.len() - before;
        assert!(added > 0 && added <= MOST_CUT, "{added}");
    }
}
