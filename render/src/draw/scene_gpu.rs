//! A scene on the GPU, shared by every session that shows it.
//!
//! A further session costs only its targets and uniforms. Indices of the [`Scene`] are trusted: the
//! loader has checked them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use glam::{Mat4, Vec3};
use thiserror::Error;

use crate::device::Gpu;
use crate::draw::cull::union;
use crate::draw::geometry::{Geometry, GeometryBuffers, JointBoxes};
use crate::draw::materials::{MaterialUpload, check_images};
use crate::draw::shadow::{Lowest, StaticShadow, is_ground, without_outliers};
use crate::draw::split::Lamp;
use crate::draw::staging::Staging;
use crate::draw::surroundings::EnvironmentGpu;
use crate::draw::variant::Features;
use crate::scene::{Aabb, Light, LightKind, Pose, Scene};

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
    /// Each kind of surface is a shader to compile, and a small file can ask for thousands.
    #[error("the scene has {found} kinds of surfaces, the limit is {limit}")]
    Kinds {
        /// Sets of maps and properties that differ.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The device has no room, or is lost.
    #[error("the graphics device refused the scene: {0}")]
    Refused(String),
}

/// A scene's pose before any animation.
#[derive(Debug)]
pub(crate) struct RestPose {
    pub(crate) world: Vec<Mat4>,
    pub(crate) joints: Vec<Mat4>,
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
    /// First matrix in the pose's joints, and for each joint that moves vertices its index and their bounds; shared by
    /// all nodes that show the primitive.
    pub(crate) skin: Option<(u32, JointBoxes)>,
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
            None => self.bounds.transformed(world),
            Some((first, parts)) => {
                let matrix = |joint: u16| joints.get(*first as usize + usize::from(joint));
                parts
                    .iter()
                    .filter_map(|(joint, bounds)| Some(bounds.transformed(matrix(*joint)?)))
                    .fold(Aabb::default(), |all, part| union(&all, &part))
            }
        }
    }
}

impl SceneGpu {
    /// Uploads a scene: geometry, textures with mipmaps, materials and image-based light.
    ///
    /// Takes a fraction of a second for textures and the environment; call it off the render thread.
    ///
    /// # Errors
    /// See [`UploadError`]; then nothing stays on the device.
    pub fn upload(gpu: &Gpu, scene: &Scene) -> Result<Arc<Self>, UploadError> {
        let (device, queue) = (gpu.device(), gpu.queue());
        let moving = moving_nodes(scene);
        let rest = RestPose::new(scene);
        let (sun, lights) = scene_lights(scene, &moving);
        let mut geometry = Geometry::default();
        let mut drawables = geometry.drawables(scene, &moving);
        let (bounds, caster_bounds) = mark_casters(&mut drawables, scene, &rest);
        let mut drawables = geometry.split(drawables, &lamps(&lights, &rest), &rest);
        rank_states(&mut drawables)?;
        let limits = device.limits();
        geometry.check(&limits)?;
        check_images(scene, limits.max_texture_dimension_2d)?;
        let upload = || {
            let mut staging = Staging::new(device, queue);
            let buffers = geometry.upload(&mut staging);
            // Gathered vertices may be a large part of the scene.
            drop(geometry);
            let materials = MaterialUpload::new(&mut staging, scene).all();
            (buffers, materials, EnvironmentGpu::upload(&mut staging, &scene.environment))
        };
        let (buffers, materials, environment) =
            gpu.checked(upload).map_err(UploadError::Refused)?;
        Ok(Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            buffers,
            drawables,
            materials,
            environment,
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
    pub(crate) fn new(scene: &Scene) -> Self {
        let Pose { world, joint_matrices: joints, .. } = Pose::new(scene);
        Self { world, joints }
    }
}

/// Takes the ground out of the casters; yields the bounds of everything and of the casters.
fn mark_casters(drawables: &mut [Drawable], scene: &Scene, rest: &RestPose) -> (Aabb, Aabb) {
    let bounds: Vec<Aabb> =
        drawables.iter().map(|d| d.world_bounds(&rest.world[d.node], &rest.joints)).collect();
    let all = bounds.iter().fold(scene.bounds, |all, one| union(&all, one));
    let lowest = Lowest::new(&bounds);
    let mut casters = Vec::new();
    for (index, drawable) in drawables.iter_mut().enumerate() {
        let own = bounds[index];
        drawable.casts &= !(drawable.fixed && is_ground(index, &own, &lowest, &all));
        if drawable.casts {
            // What moves may leave its place by about its own size before its shadow is cut off.
            let room = if drawable.fixed { Vec3::ZERO } else { (own.max - own.min) * 0.5 };
            let roomy = Aabb { min: own.min - room, max: own.max + room };
            casters.push((roomy, drawable.indices.end - drawable.indices.start));
        }
    }
    (all, without_outliers(casters))
}

/// Kinds of surfaces in one scene: on a software device each takes up to a tenth of a second to compile. The demo has
/// ten.
const MOST_KINDS: usize = 64;

fn rank_states(drawables: &mut [Drawable]) -> Result<(), UploadError> {
    let mut states: Vec<_> = drawables.iter().map(|d| (d.features, d.material)).collect();
    states.sort_unstable();
    states.dedup();
    let found = states.chunk_by(|a, b| a.0 == b.0).count();
    if found > MOST_KINDS {
        return Err(UploadError::Kinds { found, limit: MOST_KINDS });
    }
    for drawable in drawables {
        let state = (drawable.features, drawable.material);
        drawable.state_rank = states.partition_point(|s| *s < state) as u32;
    }
    Ok(())
}
