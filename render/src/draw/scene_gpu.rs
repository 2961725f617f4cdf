//! A scene on the GPU, shared by every session that shows it.
//!
//! A further session costs only its targets and uniforms. Indices of the [`Scene`] are trusted: the
//! loader has checked them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use glam::{Mat4, Vec3, Vec4};
use thiserror::Error;
use wgpu::util::DeviceExt as _;

use crate::device::Gpu;
use crate::draw::cull::{transformed_bounds, union};
use crate::draw::environment::{OctahedralMap, Prefiltered};
use crate::draw::pipelines::{background_layout, material_layout};
use crate::draw::shadow::{StaticShadow, is_ground, without_outliers};
use crate::draw::split::{Lamp, by_lamps};
use crate::draw::textures;
use crate::draw::uniforms::MaterialUniform;
use crate::draw::variant::Features;
use crate::scene::{
    Aabb, AlphaMode, Environment, Influence, Light, LightKind, Material, Primitive, Scene,
    TextureUse, Vertex,
};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A scene on the GPU.
#[derive(Debug)]
pub struct SceneGpu {
    /// Unique in the process; tells targets which scene their bindings are for.
    pub(crate) id: u64,
    pub(crate) buffers: GeometryBuffers,
    pub(crate) drawables: Vec<Drawable>,
    pub(crate) materials: Vec<wgpu::BindGroup>,
    pub(crate) environment: EnvironmentGpu,
    /// The first directional light, which casts shadows.
    pub(crate) sun: Option<SceneLight>,
    /// The other lights.
    pub(crate) lights: Vec<SceneLight>,
    pub(crate) node_count: usize,
    pub(crate) joint_count: usize,
    /// World and joint matrices in the rest pose.
    pub(crate) rest: RestPose,
    /// Bounds of everything in the rest pose.
    pub(crate) bounds: Aabb,
    /// Around all casters, with room for those that move; empty where there are none.
    pub(crate) caster_bounds: Aabb,
    /// Static casters drawn once; see [`crate::draw::shadow`].
    pub(crate) static_shadow: Mutex<Option<Arc<StaticShadow>>>,
}

/// Why a scene cannot be uploaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UploadError {
    /// A buffer or image is larger than the device allows.
    #[error("the scene's {what} needs {needed}, the device allows {allowed}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Bytes or pixels.
        needed: u64,
        /// Bytes or pixels.
        allowed: u64,
    },
}

/// A scene's pose before any animation.
#[derive(Debug)]
pub(crate) struct RestPose {
    pub(crate) world: Vec<Mat4>,
    pub(crate) joints: Vec<Mat4>,
}

#[derive(Debug)]
pub(crate) struct GeometryBuffers {
    pub(crate) rigid: wgpu::Buffer,
    pub(crate) skinned: wgpu::Buffer,
    pub(crate) influences: wgpu::Buffer,
    pub(crate) indices: wgpu::Buffer,
}

/// A light at a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SceneLight {
    pub(crate) light: Light,
    pub(crate) node: usize,
    /// No animation moves it.
    pub(crate) fixed: bool,
}

/// One primitive at one node: what a draw call draws.
#[derive(Debug)]
pub(crate) struct Drawable {
    pub(crate) node: usize,
    pub(crate) indices: Range<u32>,
    pub(crate) base_vertex: i32,
    pub(crate) material: usize,
    pub(crate) features: Features,
    /// Emitted radiance, where no map scales it.
    pub(crate) emitted: Vec3,
    /// In the mesh's space, rest pose.
    pub(crate) bounds: Aabb,
    /// First matrix in the pose's joints, and for each joint that moves vertices its index and theirs bounds.
    pub(crate) skin: Option<(u32, Vec<(u32, Aabb)>)>,
    /// No animation moves it.
    pub(crate) fixed: bool,
    /// Lights that may reach it, a bit each, see [`crate::draw::split`].
    pub(crate) lamps: u64,
    /// It casts a shadow that something could receive. Unlit surfaces do not: they are backdrops and signs.
    pub(crate) casts: bool,
    /// Equal for drawables with equal pipeline and material.
    pub(crate) state_rank: u32,
}

impl Drawable {
    /// World bounds in a pose. For skins: around the bounds of each joint's vertices, which hold every vertex,
    /// since a skinned vertex is a convex combination of its positions under its joints.
    pub(crate) fn world_bounds(&self, world: &Mat4, joints: &[Mat4]) -> Aabb {
        match &self.skin {
            None => transformed_bounds(&self.bounds, world),
            Some((first, parts)) => parts
                .iter()
                .filter_map(|(joint, bounds)| {
                    Some(transformed_bounds(bounds, joints.get((first + joint) as usize)?))
                })
                .fold(Aabb::default(), |all, part| union(&all, &part)),
        }
    }
}

#[derive(Debug)]
pub(crate) struct EnvironmentGpu {
    pub(crate) irradiance: [Vec4; 9],
    pub(crate) reflections: wgpu::TextureView,
    /// Zenith, horizon and ground; zero for a picture.
    pub(crate) gradient: [Vec4; 3],
    /// The picture's group for the sky pass; none for a gradient.
    pub(crate) background: Option<wgpu::BindGroup>,
}

impl SceneGpu {
    /// Uploads a scene: geometry, textures with mipmaps, materials and image-based light.
    ///
    /// Takes a fraction of a second for textures and the environment; call it off the render thread.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`] where the scene exceeds the device's limits.
    pub fn upload(gpu: &Gpu, scene: &Scene) -> Result<Arc<Self>, UploadError> {
        let (device, queue) = (gpu.device(), gpu.queue());
        let moving = moving_nodes(scene);
        let rest = RestPose::new(scene);
        let (sun, lights) = scene_lights(scene, &moving);
        let mut geometry = Geometry::default();
        let mut drawables = geometry.drawables(scene, &moving);
        let (bounds, caster_bounds) = mark_casters(&mut drawables, scene, &rest);
        let mut drawables = geometry.split(drawables, &lamps(&lights, &rest), &rest);
        rank_states(&mut drawables);
        let limits = device.limits();
        geometry.check(&limits)?;
        check_images(scene, limits.max_texture_dimension_2d)?;
        Ok(Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            buffers: geometry.upload(device),
            drawables,
            materials: MaterialUpload::new(device, queue, scene).all(),
            environment: upload_environment(device, queue, &scene.environment),
            sun,
            lights,
            node_count: scene.nodes.len(),
            joint_count: scene.skins.iter().map(|skin| skin.joints.len()).sum(),
            rest,
            bounds,
            caster_bounds,
            static_shadow: Mutex::new(None),
        }))
    }

    /// Number of triangles over all drawables.
    pub fn triangles(&self) -> u64 {
        self.drawables.iter().map(|d| u64::from(d.indices.end - d.indices.start) / 3).sum()
    }
}

/// The first directional light, and the others.
fn scene_lights(scene: &Scene, moving: &[bool]) -> (Option<SceneLight>, Vec<SceneLight>) {
    let (mut sun, mut lights) = (None, Vec::new());
    for (node, light) in scene.nodes.iter().enumerate().filter_map(|(i, n)| Some((i, n.light?))) {
        let light = SceneLight { light: scene.lights[light], node, fixed: !moving[node] };
        if sun.is_none() && light.light.kind == LightKind::Directional {
            sun = Some(light);
        } else {
            lights.push(light);
        }
    }
    (sun, lights)
}

/// Lamps that end somewhere, at rest.
fn lamps(lights: &[SceneLight], rest: &RestPose) -> Vec<Lamp> {
    let lamp = |(index, light): (usize, &SceneLight)| {
        let finite = light.light.range.is_finite() && light.light.kind != LightKind::Directional;
        (finite && index < 64).then(|| Lamp {
            bit: 1 << index,
            at: rest.world[light.node].w_axis.truncate(),
            range: light.light.range,
        })
    };
    lights.iter().enumerate().filter_map(lamp).collect()
}

/// Nodes that an animation moves, itself or through a parent.
fn moving_nodes(scene: &Scene) -> Vec<bool> {
    let mut moving = vec![false; scene.nodes.len()];
    for channel in scene.animations.iter().flat_map(|animation| &animation.channels) {
        moving[channel.node] = true;
    }
    for (index, node) in scene.nodes.iter().enumerate() {
        moving[index] |= node.parent.is_some_and(|parent| moving[parent]);
    }
    moving
}

impl RestPose {
    fn new(scene: &Scene) -> Self {
        let mut world: Vec<Mat4> = Vec::with_capacity(scene.nodes.len());
        for node in &scene.nodes {
            let parent = node.parent.map_or(Mat4::IDENTITY, |parent| world[parent]);
            world.push(parent * node.rest.matrix());
        }
        let joints = scene
            .skins
            .iter()
            .flat_map(|skin| {
                skin.joints.iter().zip(&skin.inverse_bind).map(|(node, bind)| world[*node] * *bind)
            })
            .collect();
        Self { world, joints }
    }
}

#[derive(Default)]
struct Geometry {
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
    fn drawables(&mut self, scene: &Scene, moving: &[bool]) -> Vec<Drawable> {
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
                    emitted: if maps(material)[4].is_some() || material.unlit {
                        Vec3::ZERO
                    } else {
                        material.emissive
                    },
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
    fn split(
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

    fn check(&self, limits: &wgpu::Limits) -> Result<(), UploadError> {
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

    fn upload(&self, device: &wgpu::Device) -> GeometryBuffers {
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

/// Dielectrics of at least this roughness look so much the same from everywhere that it is not worked out: their
/// light is within 4% of the full model's when seen from above, and their fragments cost a third.
const DULL: f32 = 0.7;

fn features(material: &Material, primitive: &Primitive, skinned: bool) -> Features {
    let lit = !material.unlit;
    let dielectric = material.metallic == 0.0;
    let dull =
        dielectric && material.roughness >= DULL && material.metallic_roughness_texture.is_none();
    let mut features = Features::default()
        .with_if(lit, Features::LIT)
        .with_if(lit && dielectric, Features::DIELECTRIC)
        .with_if(lit && !dull, Features::GLOSSY)
        .with_if(skinned, Features::SKIN)
        .with_if(matches!(material.alpha, AlphaMode::Mask(_)), Features::MASK)
        .with_if(material.alpha == AlphaMode::Blend, Features::BLEND)
        .with_if(material.double_sided, Features::DOUBLE_SIDED)
        .with_if(primitive.vertices.iter().any(|v| v.color != [255; 4]), Features::COLOR);
    for (map, used) in Features::MAPS.into_iter().zip(maps(material)) {
        let Some(used) = used else { continue };
        let transformed = used.offset != glam::Vec2::ZERO
            || used.scale != glam::Vec2::ONE
            || used.rotation != 0.0;
        features = features
            .with(map)
            .with(Features::UV0)
            .with_if(used.uv_set == 1, Features::UV1)
            .with_if(transformed, Features::UV_TRANSFORM);
    }
    features
}

/// The maps that a material's shader reads, in the order of their bindings.
fn maps(material: &Material) -> [Option<TextureUse>; 5] {
    if material.unlit {
        return [material.base_color_texture, None, None, None, None];
    }
    [
        material.base_color_texture,
        material.metallic_roughness_texture,
        material.normal_texture,
        // A map whose effect is nothing is not worth its fetch.
        material.occlusion_texture.filter(|_| material.occlusion_strength != 0.0),
        material.emissive_texture.filter(|_| material.emissive != Vec3::ZERO),
    ]
}

/// Takes the ground out of the casters; yields the bounds of everything and of the casters.
fn mark_casters(drawables: &mut [Drawable], scene: &Scene, rest: &RestPose) -> (Aabb, Aabb) {
    let bounds: Vec<Aabb> =
        drawables.iter().map(|d| d.world_bounds(&rest.world[d.node], &rest.joints)).collect();
    let all = bounds.iter().fold(scene.bounds, |all, one| union(&all, one));
    let mut casters = Vec::new();
    for (index, drawable) in drawables.iter_mut().enumerate() {
        drawable.casts &= !(drawable.fixed && is_ground(index, &bounds, &all));
        if drawable.casts {
            // What moves may leave its place by about its own size before its shadow is cut off.
            let own = bounds[index];
            let room = if drawable.fixed { Vec3::ZERO } else { (own.max - own.min) * 0.5 };
            let roomy = Aabb { min: own.min - room, max: own.max + room };
            casters.push((roomy, drawable.indices.end - drawable.indices.start));
        }
    }
    (all, without_outliers(casters))
}

fn rank_states(drawables: &mut [Drawable]) {
    let mut states: Vec<_> = drawables.iter().map(|d| (d.features, d.material)).collect();
    states.sort_unstable();
    states.dedup();
    for drawable in drawables {
        let state = (drawable.features, drawable.material);
        drawable.state_rank = states.partition_point(|s| *s < state) as u32;
    }
}

fn check_images(scene: &Scene, allowed: u32) -> Result<(), UploadError> {
    let largest = scene.images.iter().map(|image| image.width.max(image.height)).max().unwrap_or(0);
    if largest > allowed {
        let (needed, allowed) = (largest.into(), allowed.into());
        return Err(UploadError::TooLarge { what: "images", needed, allowed });
    }
    Ok(())
}

/// Uploads materials; an image that is used both as colour and as data is uploaded twice.
struct MaterialUpload<'a> {
    device: &'a wgpu::Device,
    queue: &'a wgpu::Queue,
    scene: &'a Scene,
    images: HashMap<(usize, bool), wgpu::TextureView>,
    samplers: HashMap<crate::scene::Sampler, wgpu::Sampler>,
}

impl<'a> MaterialUpload<'a> {
    fn new(device: &'a wgpu::Device, queue: &'a wgpu::Queue, scene: &'a Scene) -> Self {
        Self { device, queue, scene, images: HashMap::new(), samplers: HashMap::new() }
    }

    fn all(mut self) -> Vec<wgpu::BindGroup> {
        self.scene.materials.iter().map(|material| self.one(material)).collect()
    }

    fn one(&mut self, material: &Material) -> wgpu::BindGroup {
        let uniform = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some(&material.name),
            contents: bytemuck::bytes_of(&material_uniform(material)),
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let mut present = Features::default();
        let mut bound = Vec::new();
        for (index, used) in maps(material).into_iter().enumerate() {
            let Some(used) = used else { continue };
            present = present.with(Features::MAPS[index]);
            let colour = index == 0 || index == 4;
            bound.push((index as u32, self.map(used, colour)));
        }
        let mut entries =
            vec![wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() }];
        for (index, (view, sampler)) in &bound {
            entries.push(wgpu::BindGroupEntry {
                binding: 1 + 2 * index,
                resource: wgpu::BindingResource::TextureView(view),
            });
            entries.push(wgpu::BindGroupEntry {
                binding: 2 + 2 * index,
                resource: wgpu::BindingResource::Sampler(sampler),
            });
        }
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&material.name),
            layout: &material_layout(self.device, present),
            entries: &entries,
        })
    }

    fn map(&mut self, used: TextureUse, colour: bool) -> (wgpu::TextureView, wgpu::Sampler) {
        let texture = self.scene.textures[used.texture];
        let (device, queue) = (self.device, self.queue);
        let view = self.images.entry((texture.image, colour)).or_insert_with(|| {
            // Always with mipmaps: another texture may show the same image with a sampler that wants them.
            textures::upload(device, queue, &self.scene.images[texture.image], colour, true)
        });
        let sampler = self
            .samplers
            .entry(texture.sampler)
            .or_insert_with(|| textures::sampler(device, texture.sampler));
        (view.clone(), sampler.clone())
    }
}

fn material_uniform(material: &Material) -> MaterialUniform {
    let cutoff = if let AlphaMode::Mask(cutoff) = material.alpha { cutoff } else { 0.0 };
    let mut uniform = MaterialUniform {
        base_color: material.base_color,
        emissive: material.emissive.extend(cutoff),
        factors: Vec4::new(
            material.metallic,
            material.roughness,
            material.normal_scale,
            material.occlusion_strength,
        ),
        uv_sets: [0; 4],
        uv_transforms: [Vec4::ZERO; 10],
    };
    for (index, used) in maps(material).into_iter().enumerate() {
        let Some(used) = used else { continue };
        uniform.uv_sets[0] |= u32::from(used.uv_set == 1) << index;
        // KHR_texture_transform: translation * rotation * scale.
        let (sin, cos) = used.rotation.sin_cos();
        uniform.uv_transforms[2 * index] = Vec4::new(
            cos * used.scale.x,
            -sin * used.scale.x,
            sin * used.scale.y,
            cos * used.scale.y,
        );
        uniform.uv_transforms[2 * index + 1] = used.offset.extend(0.0).extend(0.0);
    }
    uniform
}

fn upload_environment(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    environment: &Environment,
) -> EnvironmentGpu {
    let prefiltered = Prefiltered::new(environment);
    let view = |label, levels: &[OctahedralMap]| {
        let size = levels.first().map_or(1, |level| level.size);
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: textures::extent(size, size),
            mip_level_count: levels.len() as u32,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            // Read as fast as 8 bit texels on lavapipe.
            format: wgpu::TextureFormat::Rgba16Float,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        for (index, level) in levels.iter().enumerate() {
            let bytes = bytemuck::cast_slice(&level.texels);
            textures::write_level(queue, &texture, index as u32, level.size, 8, bytes);
        }
        texture.create_view(&wgpu::TextureViewDescriptor::default())
    };
    let gradient = match environment {
        Environment::Sky { zenith, horizon, ground } => [*zenith, *horizon, *ground],
        Environment::Picture { .. } => [Vec3::ZERO; 3],
    };
    EnvironmentGpu {
        irradiance: prefiltered.irradiance,
        reflections: view("reflections", &prefiltered.levels),
        gradient: gradient.map(|color| color.extend(0.0)),
        background: prefiltered
            .background
            .as_ref()
            .map(|map| background_group(device, &view("background", std::slice::from_ref(map)))),
    }
}

fn background_group(device: &wgpu::Device, picture: &wgpu::TextureView) -> wgpu::BindGroup {
    let sampler = device.create_sampler(&wgpu::SamplerDescriptor {
        label: Some("background"),
        mag_filter: wgpu::FilterMode::Linear,
        min_filter: wgpu::FilterMode::Linear,
        ..Default::default()
    });
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("background"),
        layout: &background_layout(device),
        entries: &[
            wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::TextureView(picture),
            },
            wgpu::BindGroupEntry { binding: 1, resource: wgpu::BindingResource::Sampler(&sampler) },
        ],
    })
}
