//! The colour pass: from an sRGB-encoded picture of any size to NV12 at the coded size.
//!
//! BT.709 in limited range, chroma on the even luma columns and between the rows (H.264
//! `chroma_sample_loc_type` 0); bilinear on the encoded values where the sizes differ, by the texture
//! unit: on lavapipe 1.9 ms at 1280x720, where texel loads took 4.3 ms, or 2.7 ms when shared between
//! neighbours. It is as exact to the code value where the device weighs texels in 1/256 or finer. Knows nothing
//! of frames. The view given to it must yield encoded values, so a non-sRGB format: through an
//! `...Srgb` view the picture comes out dark.

use bytemuck::{Pod, Zeroable};
use media::{PixelFormat, Plane, SharedPlane, Size};
use smallvec::{SmallVec, smallvec};

use crate::device::Gpu;

/// Invocations in a workgroup, in a row: a GPU's warp, and four of lavapipe's batches of eight. There
/// 8, 32, 64 and 160 take 0.97, 0.78, 0.87 and 0.76 ms at 1280x720 (best of 450 passes, 2 cores).
const GROUP: u32 = 32;
/// Luma samples that an invocation makes across.
const BLOCK: u32 = 8;
/// Rows that the CPU reads begin at multiples of this many bytes, for the SIMD loads of encoders.
pub const CPU_ALIGN: u32 = 16;
/// Rows that an encoder on the device reads begin at multiples of this many bytes, which every known
/// one takes as a pitch.
pub const SHARED_ALIGN: u32 = 256;

/// How an NV12 picture lies in a buffer: luma rows, then chroma rows, all of one stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nv12Layout {
    size: Size,
    stride: u32,
}

impl Nv12Layout {
    /// The layout of a picture of `size` with rows that begin at multiples of `align` bytes, which is
    /// itself one of [`CPU_ALIGN`]; `None` when a side is odd, zero or beyond 16384.
    pub fn new(size: Size, align: u32) -> Option<Self> {
        debug_assert!(align.is_multiple_of(CPU_ALIGN) && align > 0, "the pass writes whole blocks");
        let fits = |side: u32| side.is_multiple_of(2) && (2..=16_384).contains(&side);
        (fits(size.width) && fits(size.height))
            .then(|| Self { size, stride: size.width.next_multiple_of(align) })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Bytes from one row to the next, in both planes.
    pub fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of both planes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.stride) * u64::from(self.size.height) * 3 / 2
    }

    /// The planes of a picture that lies in `data` as [`PixelFormat::Nv12`] orders them.
    pub fn planes<'a>(&self, data: &'a [u8]) -> SmallVec<[Plane<'a>; 3]> {
        debug_assert!(data.len() as u64 >= self.bytes(), "{:?}", PixelFormat::Nv12);
        let stride = self.stride as usize;
        let (luma, chroma) = data.split_at(stride * self.size.height as usize);
        smallvec![Plane { data: luma, stride }, Plane { data: &chroma[..luma.len() / 2], stride },]
    }

    /// Where the planes lie in memory that begins with the picture.
    pub fn shared_planes(&self) -> SmallVec<[SharedPlane; 3]> {
        let stride = self.stride;
        let luma = u64::from(stride) * u64::from(self.size.height);
        smallvec![SharedPlane { offset: 0, stride }, SharedPlane { offset: luma, stride }]
    }
}

/// What the shader is told. The layout is that of `Params` in `nv12.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    last_texel: [f32; 2],
    last_pixel: [i32; 2],
    scale: [f32; 2],
    row_words: u32,
    luma_rows: u32,
}

/// The pass's pipelines on one device, shared by all its rings.
#[derive(Debug)]
pub struct Nv12Converter {
    layout: wgpu::BindGroupLayout,
    bilinear: wgpu::Sampler,
    same_size: wgpu::ComputePipeline,
    scaling: wgpu::ComputePipeline,
}

impl Nv12Converter {
    /// Makes the pipelines.
    pub fn new(gpu: &Gpu) -> Self {
        let device = gpu.device();
        let shader = device.create_shader_module(wgpu::include_wgsl!("../../shaders/nv12.wgsl"));
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("nv12"),
            entries: &[
                entry(
                    0,
                    wgpu::BindingType::Texture {
                        sample_type: wgpu::TextureSampleType::Float { filterable: true },
                        view_dimension: wgpu::TextureViewDimension::D2,
                        multisampled: false,
                    },
                ),
                entry(1, wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering)),
                entry(
                    2,
                    wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage { read_only: false },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                ),
            ],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("nv12"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: size_of::<Params>() as u32,
        });
        let pipeline = |label, scaled: f64| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&pipeline_layout),
                module: &shader,
                entry_point: Some("convert"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &[("SCALED", scaled), ("GROUP", f64::from(GROUP))],
                    ..Default::default()
                },
                cache: None,
            })
        };
        let same_size = pipeline("nv12 same size", 0.0);
        let scaling = pipeline("nv12 scaling", 1.0);
        // Clamps to the edge, which is the default.
        let bilinear = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("nv12"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        Self { layout, bilinear, same_size, scaling }
    }

    /// Binds the picture to read and the buffer to write, which holds [`Nv12Layout::bytes`].
    pub fn bind(
        &self,
        gpu: &Gpu,
        picture: &wgpu::TextureView,
        nv12: wgpu::BufferBinding<'_>,
    ) -> wgpu::BindGroup {
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("nv12"),
            layout: &self.layout,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(picture),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::Sampler(&self.bilinear),
                },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::Buffer(nv12) },
            ],
        })
    }

    /// Records the pass. The picture is the upper left `internal` of the bound view, which must be
    /// that large at least.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        bound: &wgpu::BindGroup,
        internal: Size,
        coded: &Nv12Layout,
        timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("nv12"),
            timestamp_writes: timestamps,
        });
        pass.set_pipeline(if internal == coded.size { &self.same_size } else { &self.scaling });
        pass.set_bind_group(0, bound, &[]);
        pass.set_immediates(0, bytemuck::bytes_of(&params(internal, coded)));
        pass.dispatch_workgroups(coded.stride.div_ceil(BLOCK * GROUP), coded.size.height / 2, 1);
    }
}

fn params(internal: Size, coded: &Nv12Layout) -> Params {
    let Size { width, height } = coded.size;
    Params {
        // At least one texel.
        last_texel: [internal.width, internal.height].map(|side| side.max(1) as f32 - 0.5),
        last_pixel: [width, height].map(|side| side as i32 - 1),
        scale: [internal.width as f32 / width as f32, internal.height as f32 / height as f32],
        row_words: coded.stride / 4,
        luma_rows: height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_and_absurd_sizes_have_no_layout() {
        for (width, height) in [(0, 2), (3, 2), (2, 3), (16_386, 2), (u32::MAX - 1, 2)] {
            let size = Size::new(width, height);
            assert_eq!(Nv12Layout::new(size, CPU_ALIGN), None, "{width}x{height}");
        }
    }

    #[test]
    fn planes_follow_one_another() {
        for (align, stride) in [(CPU_ALIGN, 656), (SHARED_ALIGN, 768)] {
            let layout = Nv12Layout::new(Size::new(642, 362), align).expect("even sides");
            let data: Vec<u8> = vec![0; layout.bytes() as usize];
            let planes = layout.planes(&data);
            assert_eq!(layout.stride(), stride);
            let rows =
                [planes[0].data.len(), planes[1].data.len()].map(|len| len / stride as usize);
            assert_eq!(rows, [362, 181]);
            let shared = layout.shared_planes();
            assert_eq!((shared[0].offset, shared[1].offset), (0, planes[0].data.len() as u64));
            assert!(shared.iter().all(|plane| plane.stride == stride));
        }
    }
}
