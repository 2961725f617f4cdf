//! A scene on the CPU: what a glTF file says, checked, in the shape that drawing wants.
//!
//! A [`Scene`] never changes once loaded and is shared by every session that shows it. What moves is
//! a function of time and of the clicks so far, and lives in the session's own state. Indices between the
//! vectors of a scene are checked by the loader; a scene that was made in another way must be checked
//! too, or drawing panics.

pub mod animate;
pub mod bounds;
mod error;
mod limits;
mod load;
pub mod pick;

pub use self::animate::{Clicks, Pose, click_target};
pub use self::error::SceneError;
pub use self::limits::LoadLimits;
pub use self::load::{LoadedScene, load_scene, load_scene_bytes};
pub use self::pick::{Hit, PickIndex, Ray};

use bytemuck::{Pod, Zeroable};
use glam::{Mat4, Quat, Vec2, Vec3, Vec4};

/// Everything that a scene file holds.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The scene's name, from the file or its path.
    pub name: String,
    /// Nodes; every parent stands before its children.
    pub nodes: Vec<Node>,
    /// Meshes.
    pub meshes: Vec<Mesh>,
    /// Materials; never empty, primitives without one use a default.
    pub materials: Vec<Material>,
    /// Textures.
    pub textures: Vec<Texture>,
    /// Decoded images.
    pub images: Vec<Image>,
    /// Punctual lights.
    pub lights: Vec<Light>,
    /// Cameras.
    pub cameras: Vec<Camera>,
    /// Skins.
    pub skins: Vec<Skin>,
    /// Animations.
    pub animations: Vec<Animation>,
    /// What surrounds the scene.
    pub environment: Environment,
    /// Bounds of everything in its rest pose, in world space.
    pub bounds: Aabb,
}

/// A node of the scene graph.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name; empty when the file gives none.
    pub name: String,
    /// Its parent, always at a smaller index.
    pub parent: Option<usize>,
    /// Rest transform relative to the parent.
    pub rest: Transform,
    /// Index into [`Scene::meshes`].
    pub mesh: Option<usize>,
    /// Index into [`Scene::skins`].
    pub skin: Option<usize>,
    /// Index into [`Scene::lights`].
    pub light: Option<usize>,
    /// Index into [`Scene::cameras`].
    pub camera: Option<usize>,
    /// What a click on it does, from the node's extras.
    pub on_click: Option<OnClick>,
}

/// What a click on a node does beyond the flash that every clicked node shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnClick {
    /// Plays the animation of this index once; while it plays, its channels win over looped ones.
    Play(usize),
}

/// Translation, rotation, scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform {
    /// Metres.
    pub translation: Vec3,
    /// Unit quaternion.
    pub rotation: Quat,
    /// Factor per axis.
    pub scale: Vec3,
}

impl Default for Transform {
    fn default() -> Self {
        Self { translation: Vec3::ZERO, rotation: Quat::IDENTITY, scale: Vec3::ONE }
    }
}

impl Transform {
    /// As a matrix from this space to the parent's.
    pub fn matrix(&self) -> Mat4 {
        Mat4::from_scale_rotation_translation(self.scale, self.rotation, self.translation)
    }
}

/// An axis-aligned box; empty when `min > max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aabb {
    /// Least corner.
    pub min: Vec3,
    /// Greatest corner.
    pub max: Vec3,
}

impl Default for Aabb {
    fn default() -> Self {
        Self { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY }
    }
}

/// A mesh.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Its parts, one material each.
    pub primitives: Vec<Primitive>,
}

/// A list of triangles with one material.
#[derive(Clone, Debug)]
pub struct Primitive {
    /// Vertices.
    pub vertices: Vec<Vertex>,
    /// Joints and weights beside the vertices, for skins.
    pub influences: Option<Vec<Influence>>,
    /// Triangles, three indices each, counter-clockwise seen from the front.
    pub indices: Vec<u32>,
    /// Index into [`Scene::materials`].
    pub material: usize,
    /// Bounds in the mesh's space, rest pose.
    pub bounds: Aabb,
}

/// A vertex as the GPU reads it; 64 bytes, a line of most caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Vertex {
    /// Position in metres.
    pub position: [f32; 3],
    /// Unit normal.
    pub normal: [f32; 3],
    /// Unit tangent and the sign of the bitangent (glTF 2.0 §3.7.2.1).
    pub tangent: [f32; 4],
    /// First texture coordinates.
    pub uv0: [f32; 2],
    /// Second texture coordinates, where light maps lie, finer than 16 bit floats tell.
    pub uv1: [f32; 2],
    /// Linear colour factor in 65535ths, alpha last: in 8 bit dark ones would band.
    pub color: [u16; 4],
}

/// How joints move a vertex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Influence {
    /// Indices into [`Skin::joints`].
    pub joints: [u16; 4],
    /// Weights that sum to one.
    pub weights: [f32; 4],
}

/// A metallic-roughness material (glTF 2.0 §3.9). Colours are linear.
#[derive(Clone, Debug)]
pub struct Material {
    /// Its name.
    pub name: String,
    /// Base colour and alpha.
    pub base_color: Vec4,
    /// sRGB texture, multiplied with `base_color`.
    pub base_color_texture: Option<TextureUse>,
    /// 0 dielectric to 1 metal.
    pub metallic: f32,
    /// Perceptual roughness.
    pub roughness: f32,
    /// Linear texture, green roughness, blue metalness.
    pub metallic_roughness_texture: Option<TextureUse>,
    /// Linear texture of tangent-space normals.
    pub normal_texture: Option<TextureUse>,
    /// Factor on the normal's x and y.
    pub normal_scale: f32,
    /// Linear texture, red is ambient visibility.
    pub occlusion_texture: Option<TextureUse>,
    /// How much of it is applied.
    pub occlusion_strength: f32,
    /// Emitted radiance, `KHR_materials_emissive_strength` applied.
    pub emissive: Vec3,
    /// sRGB texture, multiplied with `emissive`.
    pub emissive_texture: Option<TextureUse>,
    /// What alpha means.
    pub alpha: AlphaMode,
    /// Back faces are drawn, with the normal turned.
    pub double_sided: bool,
    /// Base colour as it is, without light (`KHR_materials_unlit`).
    pub unlit: bool,
}

impl Default for Material {
    fn default() -> Self {
        Self {
            name: String::new(),
            base_color: Vec4::ONE,
            base_color_texture: None,
            metallic: 1.0,
            roughness: 1.0,
            metallic_roughness_texture: None,
            normal_texture: None,
            normal_scale: 1.0,
            occlusion_texture: None,
            occlusion_strength: 1.0,
            emissive: Vec3::ZERO,
            emissive_texture: None,
            alpha: AlphaMode::Opaque,
            double_sided: false,
            unlit: false,
        }
    }
}

/// What a material's alpha means (glTF 2.0 §3.9.4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AlphaMode {
    /// Nothing.
    Opaque,
    /// Below this value there is nothing.
    Mask(f32),
    /// Coverage, blended back to front.
    Blend,
}

/// A texture as a material uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextureUse {
    /// Index into [`Scene::textures`].
    pub texture: usize,
    /// Which texture coordinates, 0 or 1.
    pub uv_set: u32,
    /// `KHR_texture_transform`: offset.
    pub offset: Vec2,
    /// Rotation in radians, counter-clockwise.
    pub rotation: f32,
    /// Scale.
    pub scale: Vec2,
}

/// An image with its sampler.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Texture {
    /// Index into [`Scene::images`].
    pub image: usize,
    /// How it is read.
    pub sampler: Sampler,
}

/// How a texture is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sampler {
    /// Linear instead of nearest when magnified.
    pub mag_linear: bool,
    /// Linear instead of nearest when minified.
    pub min_linear: bool,
    /// Whether mipmaps are used, and blended.
    pub mipmaps: Mipmaps,
    /// Beyond the edges across.
    pub wrap_u: Wrap,
    /// Beyond the edges down.
    pub wrap_v: Wrap,
}

/// Use of mipmaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mipmaps {
    /// Only the full image.
    None,
    /// The nearest level.
    Nearest,
    /// Two levels blended.
    Linear,
}

/// What lies beyond an image's edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// The image again.
    Repeat,
    /// The image mirrored.
    Mirror,
    /// The edge.
    Clamp,
}

/// A decoded image, row-major RGBA of 8 bit; whether it is sRGB follows from its use.
#[derive(Clone, Debug)]
pub struct Image {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// `width * height * 4` bytes.
    pub rgba: Vec<u8>,
}

/// Lights that a picture is lit by beside the first directional one: two pixels' worth of a uniform block, and more
/// than a software device can shade in time. Those are taken that matter most where the eye is.
pub const LIGHTS_AT_ONCE: usize = 8;

/// A punctual light (`KHR_lights_punctual`); it shines along its node's −z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Light {
    /// Shape.
    pub kind: LightKind,
    /// Linear colour.
    pub color: Vec3,
    /// Lux for directional lights, candela for the others.
    pub intensity: f32,
    /// Metres beyond which it has no effect; infinite when the file gives none.
    pub range: f32,
}

/// Shape of a light.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LightKind {
    /// Parallel rays.
    Directional,
    /// From a point.
    Point,
    /// Within a cone; half angles in radians.
    Spot {
        /// Full intensity within.
        inner: f32,
        /// Nothing beyond.
        outer: f32,
    },
}

/// A camera; it looks along its node's −z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Projection.
    pub projection: Projection,
    /// Near plane in metres.
    pub near: f32,
    /// Far plane in metres; infinite when the file gives none.
    pub far: f32,
}

/// How a camera projects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Projection {
    /// Vertical field of view in radians.
    Perspective {
        /// Radians.
        fov_y: f32,
    },
    /// Half the visible height in metres.
    Orthographic {
        /// Metres.
        half_height: f32,
    },
}

/// A skin.
#[derive(Clone, Debug, Default)]
pub struct Skin {
    /// Node of each joint.
    pub joints: Vec<usize>,
    /// From mesh space to joint space, one each.
    pub inverse_bind: Vec<Mat4>,
}

/// An animation.
#[derive(Clone, Debug, Default)]
pub struct Animation {
    /// Its name.
    pub name: String,
    /// Channels.
    pub channels: Vec<Channel>,
    /// Seconds.
    pub duration: f32,
    /// Loops from the start; otherwise it waits for a click.
    pub looped: bool,
}

/// What one animation does to one node.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The node.
    pub node: usize,
    /// Between keys.
    pub interpolation: Interpolation,
    /// Ascending key times in seconds.
    pub times: Vec<f32>,
    /// Key values; three per key for cubic splines (in-tangent, value, out-tangent).
    pub values: Values,
}

/// How values between keys are found (glTF 2.0 appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The key before.
    Step,
    /// Straight, or spherical for rotations.
    Linear,
    /// Hermite.
    CubicSpline,
}

/// Key values.
#[derive(Clone, Debug)]
pub enum Values {
    /// Metres.
    Translation(Vec<Vec3>),
    /// Quaternions.
    Rotation(Vec<Quat>),
    /// Factors.
    Scale(Vec<Vec3>),
}

/// What surrounds a scene, as light and as background.
#[derive(Clone, Debug)]
pub enum Environment {
    /// A gradient with a sun disc, cheap to draw; radiance in linear light.
    Sky {
        /// Straight up.
        zenith: Vec3,
        /// At the horizon.
        horizon: Vec3,
        /// Straight down.
        ground: Vec3,
    },
    /// An equirectangular picture: rows from +y to −y, the middle column looks along −z.
    Picture {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Row-major linear radiance.
        radiance: Vec<[f32; 3]>,
    },
}

impl Default for Environment {
    fn default() -> Self {
        Self::Sky {
            zenith: Vec3::new(0.18, 0.32, 0.62),
            horizon: Vec3::new(0.72, 0.78, 0.84),
            ground: Vec3::new(0.22, 0.20, 0.18),
        }
    }
}
