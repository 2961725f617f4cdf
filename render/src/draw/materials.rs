//! Materials on the GPU: which features of the shader they need, their uniforms, textures and bindings.

use std::collections::HashMap;

use glam::{Vec3, Vec4};

use crate::draw::pipelines::material_layout;
use crate::draw::scene_gpu::UploadError;
use crate::draw::staging::Staging;
use crate::draw::textures;
use crate::draw::uniforms::MaterialUniform;
use crate::draw::variant::Features;
use crate::scene::{AlphaMode, Material, Primitive, Scene, TextureUse};

/// Dielectrics of at least this roughness look so much the same from everywhere that it is not worked out: their
/// light is within 4% of the full model's when seen from above, and their fragments cost a third.
const DULL: f32 = 0.7;

/// Which materials let something show through. Of those that are blended many do not: their alpha is 1 everywhere, and
/// blending, which leaves no depth behind, would only draw the far side of a mesh over its near one.
pub(crate) fn translucent(scene: &Scene) -> Vec<bool> {
    let mut images: HashMap<usize, bool> = HashMap::new();
    let mut shows = |image: usize| {
        let rgba = &scene.images[image].rgba;
        *images.entry(image).or_insert_with(|| rgba.chunks_exact(4).any(|texel| texel[3] != 255))
    };
    let translucent = |material: &Material| {
        let texture = material.base_color_texture.map(|used| scene.textures[used.texture].image);
        material.alpha == AlphaMode::Blend
            && (material.base_color.w < 1.0 || texture.is_some_and(&mut shows))
    };
    scene.materials.iter().map(translucent).collect()
}

/// What the shader is to do for a primitive; `translucent` is what [`translucent`] says of its material.
pub(crate) fn features(
    material: &Material,
    translucent: bool,
    primitive: &Primitive,
    skinned: bool,
) -> Features {
    let colored = primitive.vertices.iter().any(|v| v.color != [u16::MAX; 4]);
    let blended = material.alpha == AlphaMode::Blend
        && (translucent || primitive.vertices.iter().any(|v| v.color[3] != u16::MAX));
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
        .with_if(blended, Features::BLEND)
        .with_if(material.double_sided, Features::DOUBLE_SIDED)
        .with_if(colored, Features::COLOR);
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

/// Emitted radiance, where no map scales it.
pub(crate) fn emitted(material: &Material) -> Vec3 {
    let scaled = maps(material)[4].is_some() || material.unlit;
    if scaled { Vec3::ZERO } else { material.emissive }
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

pub(crate) fn check_images(scene: &Scene, allowed: u32) -> Result<(), UploadError> {
    let largest = scene.images.iter().map(|image| image.width.max(image.height)).max().unwrap_or(0);
    if largest > allowed {
        let (needed, allowed) = (largest.into(), allowed.into());
        return Err(UploadError::TooLarge { what: "images", needed, allowed });
    }
    Ok(())
}

/// Uploads materials; an image that is used both as colour and as data is uploaded twice.
pub(crate) struct MaterialUpload<'a, 'b> {
    staging: &'a mut Staging<'b>,
    scene: &'a Scene,
    images: HashMap<(usize, bool), wgpu::TextureView>,
    samplers: HashMap<crate::scene::Sampler, wgpu::Sampler>,
}

impl<'a, 'b> MaterialUpload<'a, 'b> {
    pub(crate) fn new(staging: &'a mut Staging<'b>, scene: &'a Scene) -> Self {
        Self { staging, scene, images: HashMap::new(), samplers: HashMap::new() }
    }

    pub(crate) fn all(mut self) -> Vec<wgpu::BindGroup> {
        self.scene.materials.iter().map(|material| self.one(material)).collect()
    }

    fn one(&mut self, material: &Material) -> wgpu::BindGroup {
        let uniform = self.staging.buffer(
            &material.name,
            bytemuck::bytes_of(&material_uniform(material)),
            wgpu::BufferUsages::UNIFORM,
        );
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
        let device = self.staging.device;
        device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(&material.name),
            layout: &material_layout(device, present),
            entries: &entries,
        })
    }

    fn map(&mut self, used: TextureUse, colour: bool) -> (wgpu::TextureView, wgpu::Sampler) {
        let texture = self.scene.textures[used.texture];
        let view = self.images.entry((texture.image, colour)).or_insert_with(|| {
            textures::upload(self.staging, &self.scene.images[texture.image], colour)
        });
        let sampler = self
            .samplers
            .entry(texture.sampler)
            .or_insert_with(|| textures::sampler(self.staging.device, texture.sampler));
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
