//! Bind group layouts and pipelines; one pipeline for each variant that a scene needs, made once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::draw::renderer::{RenderSettings, ToneMap};
use crate::draw::shadow;
use crate::draw::uniforms::{FrameUniform, ObjectUniform};
use crate::draw::variant::{Attributes, Features, MESH, SKY, TONEMAP, expand};

/// Linear light with an alpha that tells lit from unlit, which 11 and 10 bit floats have no room for; those took as
/// long on lavapipe (28 against 27 ms of processor time at 640x360).
pub(crate) const HDR_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;
/// Reversed depth wants floats; 16 bit integers saved under 1 of 27 ms on lavapipe.
pub(crate) const DEPTH_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth32Float;
/// Encoded sRGB values in a plain format, as the colour conversion reads them.
pub(crate) const OUTPUT_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8Unorm;

/// Which mesh pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MeshKey {
    pub(crate) features: Features,
    pub(crate) mirrored: bool,
    /// Into the shadow map instead of the picture.
    pub(crate) shadow: bool,
    /// Double-sidedness of a caster, which its features leave out.
    pub(crate) double_sided: bool,
}

impl MeshKey {
    pub(crate) fn color(features: Features, frame: Features, mirrored: bool) -> Self {
        let frame = if features.has(Features::LIT) { frame } else { frame.only(Features::EXTRA) };
        let features = features.with(frame);
        let features = features.completed();
        let double_sided = features.has(Features::DOUBLE_SIDED);
        Self { features, mirrored, shadow: false, double_sided }
    }

    pub(crate) fn shadow(features: Features, mirrored: bool) -> Self {
        let double_sided = features.has(Features::DOUBLE_SIDED);
        Self { features: features.for_shadow(), mirrored, shadow: true, double_sided }
    }
}

pub(crate) struct Layouts {
    /// Frame, environment and shadow map.
    pub(crate) frame: wgpu::BindGroupLayout,
    /// Frame alone: for the shadow pass and the sky.
    pub(crate) frame_only: wgpu::BindGroupLayout,
    pub(crate) object: wgpu::BindGroupLayout,
    /// Object and joints.
    pub(crate) skinned: wgpu::BindGroupLayout,
    pub(crate) hdr: wgpu::BindGroupLayout,
}

pub(crate) struct Pipelines {
    device: wgpu::Device,
    samples: u32,
    exposure: f64,
    pub(crate) layouts: Layouts,
    mesh: Mutex<HashMap<MeshKey, wgpu::RenderPipeline>>,
    pub(crate) sky_gradient: wgpu::RenderPipeline,
    pub(crate) sky_picture: wgpu::RenderPipeline,
    pub(crate) tone_map: wgpu::RenderPipeline,
}

impl std::fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipelines").field("samples", &self.samples).finish_non_exhaustive()
    }
}

const BOTH: wgpu::ShaderStages = wgpu::ShaderStages::VERTEX_FRAGMENT;

fn uniform<T>(
    binding: u32,
    dynamic: bool,
    visibility: wgpu::ShaderStages,
) -> wgpu::BindGroupLayoutEntry {
    let ty = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: dynamic,
        min_binding_size: wgpu::BufferSize::new(size_of::<T>() as u64),
    };
    wgpu::BindGroupLayoutEntry { binding, visibility, ty, count: None }
}

fn texture(binding: u32, sample_type: wgpu::TextureSampleType) -> wgpu::BindGroupLayoutEntry {
    let ty = wgpu::BindingType::Texture {
        sample_type,
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty,
        count: None,
    }
}

fn sampler(binding: u32, kind: wgpu::SamplerBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Sampler(kind),
        count: None,
    }
}

const FILTERED: wgpu::TextureSampleType = wgpu::TextureSampleType::Float { filterable: true };

fn layout(
    device: &wgpu::Device,
    label: &str,
    entries: &[wgpu::BindGroupLayoutEntry],
) -> wgpu::BindGroupLayout {
    device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries })
}

/// Layout of a material with the given maps. wgpu makes equal layouts one.
pub(crate) fn material_layout(device: &wgpu::Device, maps: Features) -> wgpu::BindGroupLayout {
    let mut entries = vec![uniform::<crate::draw::uniforms::MaterialUniform>(0, false, BOTH)];
    for (index, _) in Features::MAPS.iter().enumerate().filter(|(_, map)| maps.has(**map)) {
        entries.push(texture(1 + 2 * index as u32, FILTERED));
        entries.push(sampler(2 + 2 * index as u32, wgpu::SamplerBindingType::Filtering));
    }
    layout(device, "material", &entries)
}

/// Layout of the picture behind everything.
pub(crate) fn background_layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let filtering = wgpu::SamplerBindingType::Filtering;
    layout(device, "background", &[texture(0, FILTERED), sampler(1, filtering)])
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        let object = uniform::<ObjectUniform>(0, true, BOTH);
        let joints = wgpu::BindGroupLayoutEntry {
            binding: 1,
            visibility: wgpu::ShaderStages::VERTEX,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: true },
                has_dynamic_offset: false,
                min_binding_size: wgpu::BufferSize::new(16),
            },
            count: None,
        };
        let filtering = wgpu::SamplerBindingType::Filtering;
        Self {
            frame: layout(
                device,
                "frame",
                &[
                    uniform::<FrameUniform>(0, true, BOTH),
                    texture(1, FILTERED),
                    sampler(2, filtering),
                    texture(3, wgpu::TextureSampleType::Depth),
                    sampler(4, wgpu::SamplerBindingType::Comparison),
                ],
            ),
            frame_only: layout(device, "frame only", &[uniform::<FrameUniform>(0, true, BOTH)]),
            object: layout(device, "object", &[object]),
            skinned: layout(device, "skinned object", &[object, joints]),
            hdr: layout(
                device,
                "hdr",
                &[texture(0, wgpu::TextureSampleType::Float { filterable: false })],
            ),
        }
    }
}

fn module(device: &wgpu::Device, label: &str, source: String) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// A pass over the whole target by one triangle.
struct FullScreen<'a> {
    label: &'a str,
    module: &'a wgpu::ShaderModule,
    fragment: &'a str,
    constants: &'a [(&'a str, f64)],
    format: wgpu::TextureFormat,
    /// Only where the depth is still infinite.
    behind: bool,
    samples: u32,
}

impl FullScreen<'_> {
    fn create(
        &self,
        device: &wgpu::Device,
        groups: &[&wgpu::BindGroupLayout],
    ) -> wgpu::RenderPipeline {
        let groups: Vec<_> = groups.iter().copied().map(Some).collect();
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(self.label),
            bind_group_layouts: &groups,
            immediate_size: 0,
        });
        device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(self.label),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: self.module,
                entry_point: Some("vertex"),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &[],
            },
            primitive: wgpu::PrimitiveState::default(),
            depth_stencil: self.behind.then(|| wgpu::DepthStencilState {
                format: DEPTH_FORMAT,
                depth_write_enabled: Some(false),
                depth_compare: Some(wgpu::CompareFunction::Equal),
                stencil: wgpu::StencilState::default(),
                bias: wgpu::DepthBiasState::default(),
            }),
            multisample: wgpu::MultisampleState { count: self.samples, ..Default::default() },
            fragment: Some(wgpu::FragmentState {
                module: self.module,
                entry_point: Some(self.fragment),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: self.constants,
                    ..Default::default()
                },
                targets: &[Some(self.format.into())],
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

impl Pipelines {
    pub(crate) fn new(device: &wgpu::Device, settings: &RenderSettings) -> Self {
        let layouts = Layouts::new(device);
        let sky = module(device, "sky", SKY.to_owned());
        let sky = |fragment, groups: &[&wgpu::BindGroupLayout]| {
            let pass = FullScreen {
                label: "sky",
                module: &sky,
                fragment,
                constants: &[("EXPOSURE", settings.exposure.into())],
                format: HDR_FORMAT,
                behind: true,
                samples: settings.samples,
            };
            pass.create(device, groups)
        };
        let operator = match settings.tone_map {
            ToneMap::Neutral => 0.0,
            ToneMap::Aces => 1.0,
            ToneMap::AgX => 2.0,
        };
        let tone_map = FullScreen {
            label: "tone map",
            module: &module(device, "tone map", TONEMAP.to_owned()),
            fragment: "fragment",
            constants: &[("OPERATOR", operator)],
            format: OUTPUT_FORMAT,
            behind: false,
            samples: 1,
        };
        Self {
            device: device.clone(),
            samples: settings.samples,
            exposure: settings.exposure.into(),
            mesh: Mutex::default(),
            sky_gradient: sky("gradient_fragment", &[&layouts.frame]),
            sky_picture: sky("picture_fragment", &[&layouts.frame, &background_layout(device)]),
            tone_map: tone_map.create(device, &[&layouts.hdr]),
            layouts,
        }
    }

    /// The pipeline of a key; made on first use, which takes milliseconds.
    pub(crate) fn mesh(&self, key: MeshKey) -> wgpu::RenderPipeline {
        // A panic while the map was locked cannot leave half an entry.
        let mut mesh = self.mesh.lock().unwrap_or_else(PoisonError::into_inner);
        mesh.entry(key).or_insert_with(|| self.create_mesh(key)).clone()
    }

    fn create_mesh(&self, key: MeshKey) -> wgpu::RenderPipeline {
        let features = key.features;
        let label = features.label();
        let module = module(&self.device, &label, expand(MESH, features));
        let attributes = Attributes::new(features);
        let has_fragment = !key.shadow || features.has(Features::MASK);
        let material = material_layout(&self.device, features.maps());
        let object =
            if features.has(Features::SKIN) { &self.layouts.skinned } else { &self.layouts.object };
        let frame = if key.shadow { &self.layouts.frame_only } else { &self.layouts.frame };
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(frame), has_fragment.then_some(&material), Some(object)],
            immediate_size: 0,
        });
        let constants = [("EXPOSURE", self.exposure)];
        let targets = [Some(wgpu::ColorTargetState {
            format: HDR_FORMAT,
            blend: features.has(Features::BLEND).then(|| blend(features)),
            write_mask: wgpu::ColorWrites::ALL,
        })];
        self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(&label),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some(if key.shadow { "shadow_vertex" } else { "vertex" }),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                buffers: &attributes.layouts(),
            },
            primitive: wgpu::PrimitiveState {
                front_face: if key.mirrored { wgpu::FrontFace::Cw } else { wgpu::FrontFace::Ccw },
                cull_mode: (!key.double_sided).then_some(wgpu::Face::Back),
                ..Default::default()
            },
            depth_stencil: Some(depth(key)),
            multisample: wgpu::MultisampleState {
                count: if key.shadow { 1 } else { self.samples },
                ..Default::default()
            },
            fragment: has_fragment.then(|| wgpu::FragmentState {
                module: &module,
                entry_point: Some(if key.shadow { "shadow_fragment" } else { "fragment" }),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    ..Default::default()
                },
                targets: if key.shadow { &[] } else { &targets },
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}

/// Colour by coverage. Alpha of the target is the tone map's share: one of a lit surface, none of an unlit one.
fn blend(features: Features) -> wgpu::BlendState {
    let over = |src_factor| wgpu::BlendComponent {
        src_factor,
        dst_factor: wgpu::BlendFactor::OneMinusSrcAlpha,
        operation: wgpu::BlendOperation::Add,
    };
    let lit = features.has(Features::LIT);
    wgpu::BlendState {
        color: over(wgpu::BlendFactor::SrcAlpha),
        alpha: over(if lit { wgpu::BlendFactor::One } else { wgpu::BlendFactor::Zero }),
    }
}

fn depth(key: MeshKey) -> wgpu::DepthStencilState {
    let (format, write, compare, bias) = if key.shadow {
        // With the lookup's offset along the normal this keeps planes at any angle free of acne.
        let bias = wgpu::DepthBiasState { constant: 2, slope_scale: 1.5, clamp: 0.0 };
        (shadow::FORMAT, true, wgpu::CompareFunction::LessEqual, bias)
    } else {
        let write = !key.features.has(Features::BLEND);
        (DEPTH_FORMAT, write, wgpu::CompareFunction::GreaterEqual, wgpu::DepthBiasState::default())
    };
    wgpu::DepthStencilState {
        format,
        depth_write_enabled: Some(write),
        depth_compare: Some(compare),
        stencil: wgpu::StencilState::default(),
        bias,
    }
}
