//! Small scenes built in code, and one draw of them on the machine's device, read back.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::panic, reason = "helpers of tests panic as tests do")]

use std::f32::consts::{PI, TAU};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use glam::{Mat4, Quat, Vec2, Vec3};
use half::f16;
use image::RgbImage;
use media::{Fov, Rect, Size};
use nearlight_render::device::{Gpu, GpuOptions};
use nearlight_render::draw::{
    DrawList, PoseRef, RenderSettings, Renderer, SceneGpu, SessionTargets, ViewParams, perspective,
};
use nearlight_render::scene::{
    Aabb, AlphaMode, Environment, Image, Light, LightKind, Material, Mesh, Mipmaps, Node,
    Primitive, Sampler, Scene, Texture, TextureUse, Transform, Vertex, Wrap,
};

/// The machine's device. A machine without one fails: that is a failed set-up, never a skip.
pub fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    GPU.get_or_init(|| {
        Gpu::open(&GpuOptions::default()).expect("tests need a Vulkan device; lavapipe will do")
    })
    .clone()
}

pub const SIZE: Size = Size::new(256, 144);

/// A scene in the making.
pub struct Builder {
    pub scene: Scene,
}

impl Builder {
    pub fn new() -> Self {
        Self { scene: Scene { environment: uniform(Vec3::splat(0.4)), ..Scene::default() } }
    }

    pub fn material(&mut self, material: Material) -> usize {
        self.scene.materials.push(material);
        self.scene.materials.len() - 1
    }

    pub fn mesh(&mut self, vertices: Vec<Vertex>, indices: Vec<u32>, material: usize) -> usize {
        let bounds = bounds(&vertices);
        let primitive = Primitive { vertices, influences: None, indices, material, bounds };
        self.scene.meshes.push(Mesh { primitives: vec![primitive] });
        self.scene.meshes.len() - 1
    }

    pub fn sphere(&mut self, material: usize, rings: u32) -> usize {
        let (vertices, indices) = sphere(rings);
        self.mesh(vertices, indices, material)
    }

    /// A square of edge 2 in the plane y = 0, facing up.
    pub fn square(&mut self, material: usize) -> usize {
        let (vertices, indices) = square();
        self.mesh(vertices, indices, material)
    }

    pub fn place(&mut self, mesh: usize, rest: Transform) -> usize {
        self.scene.nodes.push(Node { mesh: Some(mesh), rest, ..Node::default() });
        self.scene.nodes.len() - 1
    }

    pub fn at(&mut self, mesh: usize, translation: Vec3, scale: f32) -> usize {
        self.place(mesh, Transform { translation, scale: Vec3::splat(scale), ..Default::default() })
    }

    /// A light at `from` that shines to `to`.
    pub fn light(
        &mut self,
        kind: LightKind,
        color: Vec3,
        intensity: f32,
        range: f32,
        from: Vec3,
        to: Vec3,
    ) {
        self.scene.lights.push(Light { kind, color, intensity, range });
        let rotation = Quat::from_rotation_arc(Vec3::NEG_Z, (to - from).normalize());
        self.scene.nodes.push(Node {
            light: Some(self.scene.lights.len() - 1),
            rest: Transform { translation: from, rotation, scale: Vec3::ONE },
            ..Node::default()
        });
    }

    pub fn sun(&mut self, towards: Vec3, intensity: f32) {
        self.light(
            LightKind::Directional,
            Vec3::ONE,
            intensity,
            f32::INFINITY,
            towards,
            Vec3::ZERO,
        );
    }

    pub fn image(&mut self, width: u32, height: u32, texel: impl Fn(u32, u32) -> [u8; 4]) -> usize {
        let rgba = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| texel(x, y))
            .collect();
        self.scene.images.push(Image { width, height, rgba });
        self.scene.textures.push(Texture { image: self.scene.images.len() - 1, sampler: SAMPLER });
        self.scene.textures.len() - 1
    }

    pub fn finish(mut self) -> Scene {
        if self.scene.materials.is_empty() {
            self.scene.materials.push(Material::default());
        }
        self.scene.bounds = Aabb { min: Vec3::splat(-1.0), max: Vec3::splat(1.0) };
        self.scene
    }
}

pub const SAMPLER: Sampler = Sampler {
    mag_linear: true,
    min_linear: true,
    mipmaps: Mipmaps::Linear,
    wrap_u: Wrap::Repeat,
    wrap_v: Wrap::Repeat,
};

pub fn used(texture: usize) -> TextureUse {
    TextureUse { texture, uv_set: 0, offset: Vec2::ZERO, rotation: 0.0, scale: Vec2::ONE }
}

pub fn uniform(color: Vec3) -> Environment {
    Environment::Sky { zenith: color, horizon: color, ground: color }
}

pub fn matte(color: Vec3) -> Material {
    Material { base_color: color.extend(1.0), metallic: 0.0, roughness: 1.0, ..Material::default() }
}

pub fn blend(mut material: Material, alpha: f32) -> Material {
    material.base_color.w = alpha;
    material.alpha = AlphaMode::Blend;
    material
}

pub fn vertex(position: Vec3, normal: Vec3, tangent: Vec3, uv: Vec2) -> Vertex {
    Vertex {
        position: position.into(),
        normal: normal.into(),
        tangent: tangent.extend(1.0).into(),
        uv0: uv.into(),
        uv1: uv.into(),
        color: [u16::MAX; 4],
    }
}

fn bounds(vertices: &[Vertex]) -> Aabb {
    vertices
        .iter()
        .map(|v| Vec3::from(v.position))
        .fold(Aabb::default(), |b, p| Aabb { min: b.min.min(p), max: b.max.max(p) })
}

/// A unit sphere of `rings` by twice as many sectors.
pub fn sphere(rings: u32) -> (Vec<Vertex>, Vec<u32>) {
    let sectors = 2 * rings;
    let mut vertices = Vec::new();
    for ring in 0..=rings {
        let theta = PI * ring as f32 / rings as f32;
        for sector in 0..=sectors {
            let phi = TAU * sector as f32 / sectors as f32;
            let n = Vec3::new(theta.sin() * phi.cos(), theta.cos(), -theta.sin() * phi.sin());
            let uv = Vec2::new(sector as f32 / sectors as f32, ring as f32 / rings as f32);
            vertices.push(vertex(n, n, Vec3::new(-phi.sin(), 0.0, -phi.cos()), uv));
        }
    }
    let mut indices = Vec::new();
    for ring in 0..rings {
        for sector in 0..sectors {
            let a = ring * (sectors + 1) + sector;
            let b = a + sectors + 1;
            indices.extend([a, b, a + 1, a + 1, b, b + 1]);
        }
    }
    (vertices, indices)
}

pub fn square() -> (Vec<Vertex>, Vec<u32>) {
    let corner = |x: f32, z: f32| {
        let uv = Vec2::new(x, z) * 0.5 + 0.5;
        vertex(Vec3::new(x, 0.0, z), Vec3::Y, Vec3::X, uv)
    };
    let vertices = vec![corner(-1.0, -1.0), corner(-1.0, 1.0), corner(1.0, 1.0), corner(1.0, -1.0)];
    (vertices, vec![0, 1, 2, 0, 2, 3])
}

/// Rest pose of a scene.
pub struct Pose {
    pub world: Vec<Mat4>,
    pub joints: Vec<Mat4>,
    pub highlights: Vec<f32>,
}

impl Pose {
    pub fn rest(scene: &Scene) -> Self {
        let mut world: Vec<Mat4> = Vec::new();
        for node in &scene.nodes {
            let parent = node.parent.map_or(Mat4::IDENTITY, |parent| world[parent]);
            world.push(parent * node.rest.matrix());
        }
        let mut pose = Self { highlights: vec![0.0; world.len()], world, joints: Vec::new() };
        pose.joints = pose.joints(scene);
        pose
    }

    /// Joint matrices for the world matrices.
    pub fn joints(&self, scene: &Scene) -> Vec<Mat4> {
        let joints = scene.skins.iter().flat_map(|skin| skin.joints.iter().zip(&skin.inverse_bind));
        joints.map(|(node, bind)| self.world[*node] * *bind).collect()
    }

    pub fn as_ref(&self) -> PoseRef<'_> {
        PoseRef { world: &self.world, joints: &self.joints, highlights: &self.highlights }
    }
}

/// A view of `region` from `eye` to `target` with a vertical field of view of 45°.
pub fn view(eye: Vec3, target: Vec3, region: Rect) -> ViewParams {
    let up = (PI / 8.0).tan();
    let side = up * region.width as f32 / region.height as f32;
    ViewParams {
        clip_from_view: perspective(Fov { left: side, right: side, up, down: up }, 0.05),
        view_from_world: glam::camera::rh::view::look_at_mat4(eye, target, Vec3::Y),
        region,
    }
}

/// One draw: display values and linear values, row-major RGBA.
pub struct Shot {
    pub size: Size,
    pub rgba: Vec<u8>,
    pub linear: Vec<[f32; 4]>,
}

impl Shot {
    pub fn linear_at(&self, x: u32, y: u32) -> Vec3 {
        let [r, g, b, _] = self.linear[(y * self.size.width + x) as usize];
        Vec3::new(r, g, b)
    }

    pub fn rgb_at(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y * self.size.width + x) as usize * 4;
        [self.rgba[at], self.rgba[at + 1], self.rgba[at + 2]]
    }
}

pub fn draw(scene: &Scene, views: &[ViewParams], settings: RenderSettings) -> Shot {
    draw_pose(scene, &Pose::rest(scene), views, settings, SIZE)
}

pub fn draw_pose(
    scene: &Scene,
    pose: &Pose,
    views: &[ViewParams],
    settings: RenderSettings,
    size: Size,
) -> Shot {
    let gpu = gpu();
    let renderer = Renderer::new(&gpu, settings).unwrap();
    let uploaded = SceneGpu::upload(&gpu, scene).unwrap();
    let mut list = DrawList::new();
    list.build(&uploaded, pose.as_ref(), views);
    let mut targets = SessionTargets::new();
    let mut encoder =
        gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    renderer.draw(&mut encoder, &uploaded, &mut targets, &list, size).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let half = read(&gpu, targets.linear().unwrap(), 8);
    let linear = half
        .chunks_exact(8)
        .map(|texel| {
            std::array::from_fn(|i| f16::from_le_bytes([texel[2 * i], texel[2 * i + 1]]).to_f32())
        })
        .collect();
    Shot { size, rgba: read(&gpu, targets.output().unwrap(), 4), linear }
}

/// A texture's texels without padding.
pub fn read(gpu: &Gpu, texture: &wgpu::Texture, texel: u32) -> Vec<u8> {
    let (width, height) = (texture.width(), texture.height());
    let padded = (width * texel).next_multiple_of(256);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(padded * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder =
        gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(padded),
                rows_per_image: None,
            },
        },
        texture.size(),
    );
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let mapped = buffer.get_mapped_range(..).unwrap();
    mapped
        .chunks(padded as usize)
        .flat_map(|row| row[..(width * texel) as usize].to_vec())
        .collect()
}

/// Mean absolute difference that is allowed, in 8 bit codes.
const MEAN: f64 = 0.6;
/// Difference that 99.9% of the values stay within: edges may fall a little differently.
const MOST: u8 = 12;

/// Compares with the committed picture of that name. Thresholds leave room for another driver's rounding, not for
/// another picture. After a change that is meant, look at the new pictures and commit them:
/// `NEARLIGHT_BLESS=1 cargo test -p nearlight-render`.
pub fn compare(name: &str, shot: &Shot) {
    let rgb = shot.rgba.chunks(4).flat_map(|texel| [texel[0], texel[1], texel[2]]).collect();
    let seen = RgbImage::from_raw(shot.size.width, shot.size.height, rgb).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = folder.join(format!("{name}.png"));
    if std::env::var_os("NEARLIGHT_BLESS").is_some() {
        seen.save(&path).unwrap();
        return;
    }
    let failed = std::env::temp_dir().join(format!("nearlight-golden-{name}.png"));
    let wanted = image::open(&path).map(|image| image.to_rgb8()).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; look at what is drawn, then write it by \
             NEARLIGHT_BLESS=1 cargo test -p nearlight-render",
            path.display()
        )
    });
    assert_eq!(wanted.dimensions(), seen.dimensions());
    let mut differences: Vec<u8> =
        wanted.as_raw().iter().zip(seen.as_raw()).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|d| f64::from(*d)).sum::<f64>() / differences.len() as f64;
    differences.sort_unstable();
    let most = differences[differences.len() * 999 / 1000];
    if mean > MEAN || most > MOST {
        seen.save(&failed).unwrap();
        panic!(
            "{name}: mean difference {mean:.2}, 99.9% within {most}; drawn: {}",
            failed.display()
        );
    }
}
