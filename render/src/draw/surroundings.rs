//! What surrounds a scene, on the GPU.

use glam::{Vec3, Vec4};

use crate::draw::environment::{OctahedralMap, Prefiltered};
use crate::draw::pipelines::background_layout;
use crate::draw::staging::{Staging, extent};
use crate::scene::Environment;

#[derive(Debug)]
pub(crate) struct EnvironmentGpu {
    pub(crate) irradiance: [Vec4; 9],
    pub(crate) reflections: wgpu::TextureView,
    /// Zenith, horizon and ground; zero for a picture.
    pub(crate) gradient: [Vec4; 3],
    /// The picture's group for the sky pass; none for a gradient.
    pub(crate) background: Option<wgpu::BindGroup>,
}

impl EnvironmentGpu {
    /// Prefilters and uploads an environment; takes a fraction of a second.
    pub(crate) fn upload(staging: &mut Staging<'_>, environment: &Environment) -> Self {
        let device = staging.device;
        let prefiltered = Prefiltered::new(environment);
        let mut view = |label, levels: &[OctahedralMap]| {
            let size = levels.first().map_or(1, |level| level.size);
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: extent(size, size),
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
                staging.level(&texture, index as u32, level.size, 8, bytes);
            }
            texture.create_view(&wgpu::TextureViewDescriptor::default())
        };
        let gradient = match environment {
            Environment::Sky { zenith, horizon, ground } => [*zenith, *horizon, *ground],
            Environment::Picture { .. } => [Vec3::ZERO; 3],
        };
        Self {
            irradiance: prefiltered.irradiance,
            reflections: view("reflections", &prefiltered.levels),
            gradient: gradient.map(|color| color.extend(0.0)),
            background: prefiltered.background.as_ref().map(|map| {
                background_group(device, &view("background", std::slice::from_ref(map)))
            }),
        }
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
