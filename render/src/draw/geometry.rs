//! Vertices and indices of a scene in buffers, and the drawables that lie in them.

use std::collections::HashMap;
use std::ops::Range;

use glam::Vec3;
use wgpu::util::DeviceExt as _;

use crate::draw::cull::union;
use crate::draw::materials::{emitted, features};
use crate::draw::scene_gpu::{Drawable, RestPose, UploadError};
use crate::draw::split::{Lamp, by_lamps};
use crate::draw::variant::Features;
use crate::scene::{Aabb, AlphaMode, Influence, Primitive, Scene, Vertex};

#[derive(Debug)]
pub(crate) struct GeometryBuffers {
    pub(crate) rigid: wgpu::Buffer,
    pub(crate) skinned: wgpu::Buffer,
    pub(crate) influences: wgpu::Buffer,
    pub(crate) indices: wgpu::Buffer,
}

#[derive(Default)]
pub(crate) struct Geometry {
    rigid: Vec<Vertex>,
    skinned: Vec<Vertex>,
    influences: Vec<Influence>,
    indices: Vec<u32>,
}

/// Where a primitive lies in the buffers.
struct Placed {
    indices: Range<u32>,
    base_vertex: i32,
}

impl Geometry {
    pub(crate) fn drawables(&mut self, scene: &Scene, moving: &[bool]) -> Vec<Drawable> {
        let mut placed: HashMap<(usize, usize, bool), Placed> = HashMap::new();
        let mut drawables = Vec::new();
        let first_joints = first_joints(scene);
        for (index, node) in scene.nodes.iter().enumerate() {
            let skin = node.skin.filter(|_| node.mesh.is_some());
            let first_joint = skin.map_or(0, |skin| first_joints[skin]);
            let Some(mesh) = node.mesh else { continue };
            for (part, primitive) in scene.meshes[mesh].primitives.iter().enumerate() {
                let influences = primitive.influences.as_deref().filter(|_| skin.is_some());
                if primitive.indices.is_empty() {
                    continue;
                }
                let place = placed
                    .entry((mesh, part, influences.is_some()))
                    .or_insert_with(|| self.place(primitive, influences));
                let material = &scene.materials[primitive.material];
                drawables.push(Drawable {
                    node: index,
                    indices: place.indices.clone(),
                    base_vertex: place.base_vertex,
                    material: primitive.material,
                    features: features(material, primitive, influences.is_some()),
                    emitted: emitted(material),
                    bounds: primitive.bounds,
                    skin: influences.map(|i| (first_joint, joint_bounds(primitive, i))),
                    fixed: !moving[index] && influences.is_none(),
                    lamps: u64::MAX,
                    casts: material.alpha != AlphaMode::Blend && !material.unlit,
                    state_rank: 0,
                });
            }
        }
        drawables
    }

    fn place(&mut self, primitive: &Primitive, influences: Option<&[Influence]>) -> Placed {
        let vertices = if influences.is_some() { &mut self.skinned } else { &mut self.rigid };
        let base_vertex = vertices.len() as i32;
        vertices.extend_from_slice(&primitive.vertices);
        self.influences.extend_from_slice(influences.unwrap_or_default());
        let first = self.indices.len() as u32;
        self.indices.extend_from_slice(&primitive.indices);
        Placed { indices: first..self.indices.len() as u32, base_vertex }
    }

    /// Cuts fixed drawables by the lamps that reach their triangles.
    pub(crate) fn split(
        &mut self,
        drawables: Vec<Drawable>,
        lamps: &[Lamp],
        rest: &RestPose,
    ) -> Vec<Drawable> {
        let known = lamps.iter().fold(0, |all, lamp| all | lamp.bit);
        let mut result = Vec::with_capacity(drawables.len());
        for drawable in drawables {
            // Unlit and small ones gain less than a draw call costs.
            let worth = drawable.fixed
                && !lamps.is_empty()
                && drawable.features.has(Features::LIT)
                && drawable.indices.len() >= 3 * 64;
            let range = drawable.indices.start as usize..drawable.indices.end as usize;
            let vertices = &self.rigid[drawable.base_vertex as usize..];
            let world = &rest.world[drawable.node];
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

    pub(crate) fn upload(&self, device: &wgpu::Device) -> GeometryBuffers {
        let buffer = |label, contents: &[u8], usage| {
            // An empty buffer cannot be bound.
            let contents = if contents.is_empty() { &[0; 64] } else { contents };
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some(label),
                contents,
                usage,
            })
        };
        let vertex = wgpu::BufferUsages::VERTEX;
        GeometryBuffers {
            rigid: buffer("vertices", bytemuck::cast_slice(&self.rigid), vertex),
            skinned: buffer("skinned vertices", bytemuck::cast_slice(&self.skinned), vertex),
            influences: buffer("influences", bytemuck::cast_slice(&self.influences), vertex),
            indices: buffer(
                "indices",
                bytemuck::cast_slice(&self.indices),
                wgpu::BufferUsages::INDEX,
            ),
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

/// Bounds of the vertices that each joint moves.
fn joint_bounds(primitive: &Primitive, influences: &[Influence]) -> Vec<(u32, Aabb)> {
    let mut bounds: HashMap<u32, Aabb> = HashMap::new();
    for (vertex, influence) in primitive.vertices.iter().zip(influences) {
        let at = Vec3::from(vertex.position);
        for (joint, weight) in influence.joints.iter().zip(influence.weights) {
            if weight > 0.0 {
                let entry = bounds.entry(u32::from(*joint)).or_default();
                *entry = union(entry, &Aabb { min: at, max: at });
            }
        }
    }
    let mut bounds: Vec<_> = bounds.into_iter().collect();
    bounds.sort_by_key(|(joint, _)| *joint);
    bounds
}
