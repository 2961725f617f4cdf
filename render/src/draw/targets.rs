//! What one session draws into: colour, depth and shadow textures, and its uniforms.

use media::Size;

use crate::draw::pipelines::{DEPTH_FORMAT, HDR_FORMAT, OUTPUT_FORMAT};
use crate::draw::staging::extent;

/// The textures and uniform buffers of one session, kept from frame to frame.
///
/// Not shared: two draws must not be in the making with the same targets. Memory at 640x360 without
/// multisampling is 3.7 MB and 2 MB for a 1024 shadow map.
#[derive(Debug, Default)]
pub struct SessionTargets {
    /// Most recently used last.
    images: Vec<Images>,
    pub(crate) uniforms: Option<Uniforms>,
    pub(crate) shadow: Option<SessionShadow>,
}

/// Sizes that are kept: dynamic resolution goes back and forth between two more often than not.
const KEPT_SIZES: usize = 2;

#[derive(Debug)]
pub(crate) struct Images {
    size: Size,
    samples: u32,
    /// Multisampled colour; none with one sample.
    pub(crate) multisampled: Option<wgpu::TextureView>,
    pub(crate) hdr: wgpu::Texture,
    pub(crate) hdr_view: wgpu::TextureView,
    pub(crate) hdr_group: wgpu::BindGroup,
    pub(crate) depth: wgpu::TextureView,
    pub(crate) output: wgpu::Texture,
    pub(crate) output_view: wgpu::TextureView,
}

/// Buffers that grow, and the bind groups over them.
#[derive(Debug)]
pub(crate) struct Uniforms {
    /// Which scene and which shadow map the groups are for.
    pub(crate) key: (u64, bool, u64),
    pub(crate) frames: wgpu::Buffer,
    pub(crate) objects: wgpu::Buffer,
    pub(crate) joints: wgpu::Buffer,
    pub(crate) frame_group: wgpu::BindGroup,
    pub(crate) shadow_group: wgpu::BindGroup,
    pub(crate) object_group: wgpu::BindGroup,
    pub(crate) skinned_group: wgpu::BindGroup,
    /// Staging, reused.
    pub(crate) bytes: Vec<u8>,
}

/// A session's own shadow map: the static layer with the moving casters over it.
#[derive(Debug)]
pub(crate) struct SessionShadow {
    pub(crate) size: u32,
    /// Changes with every texture, for the bindings' key.
    pub(crate) version: u64,
    pub(crate) texture: wgpu::Texture,
    pub(crate) view: wgpu::TextureView,
    /// What the map shows, so that it is not drawn again while nothing moves: rows of world matrices and joints.
    pub(crate) shown: Vec<[glam::Vec4; 3]>,
}

impl SessionTargets {
    /// Targets without any memory; the first draw makes what it needs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Linear HDR colour of the last draw (`Rgba16Float`; alpha 1 where the tone map applies, 0 where colours are
    /// unlit), resolved to one sample; can be copied from. None before the first draw.
    pub fn linear(&self) -> Option<&wgpu::Texture> {
        self.images.last().map(|images| &images.hdr)
    }

    /// Display-ready colour of the last draw (`Rgba8Unorm` with sRGB-encoded values); can be sampled and copied
    /// from. None before the first draw.
    pub fn output(&self) -> Option<&wgpu::Texture> {
        self.images.last().map(|images| &images.output)
    }

    /// Makes the images of a size the last ones.
    pub(crate) fn select(
        &mut self,
        device: &wgpu::Device,
        hdr_layout: &wgpu::BindGroupLayout,
        size: Size,
        samples: u32,
    ) {
        let fits = |images: &Images| images.size == size && images.samples == samples;
        if let Some(at) = self.images.iter().position(fits) {
            let images = self.images.remove(at);
            self.images.push(images);
            return;
        }
        if self.images.len() >= KEPT_SIZES {
            self.images.remove(0);
        }
        self.images.push(Images::new(device, hdr_layout, size, samples));
    }

    pub(crate) fn images(&self) -> Option<&Images> {
        self.images.last()
    }
}

impl Images {
    fn new(
        device: &wgpu::Device,
        hdr_layout: &wgpu::BindGroupLayout,
        size: Size,
        samples: u32,
    ) -> Self {
        let texture = |label, format, samples, usage| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some(label),
                size: extent(size.width, size.height),
                mip_level_count: 1,
                sample_count: samples,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage: usage | wgpu::TextureUsages::RENDER_ATTACHMENT,
                view_formats: &[],
            })
        };
        let view =
            |texture: &wgpu::Texture| texture.create_view(&wgpu::TextureViewDescriptor::default());
        let read = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_SRC;
        let none = wgpu::TextureUsages::empty();
        let hdr = texture("hdr", HDR_FORMAT, 1, read);
        let hdr_view = view(&hdr);
        let output = texture("output", OUTPUT_FORMAT, 1, read);
        Self {
            size,
            samples,
            multisampled: (samples > 1)
                .then(|| view(&texture("samples", HDR_FORMAT, samples, none))),
            hdr_group: device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("hdr"),
                layout: hdr_layout,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(&hdr_view),
                }],
            }),
            depth: view(&texture("depth", DEPTH_FORMAT, samples, none)),
            output_view: view(&output),
            hdr,
            hdr_view,
            output,
        }
    }
}

/// A shadow map's texture.
pub(crate) fn shadow_texture(
    device: &wgpu::Device,
    size: u32,
) -> (wgpu::Texture, wgpu::TextureView) {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("shadow map"),
        size: extent(size, size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: crate::draw::shadow::FORMAT,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT
            | wgpu::TextureUsages::TEXTURE_BINDING
            | wgpu::TextureUsages::COPY_SRC
            | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    (texture, view)
}
