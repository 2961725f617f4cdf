//! The colour pass: from a picture of any size to luma and chroma at the coded size, in 8 or 10 bits,
//! 4:2:0 or 4:4:4, in limited range.
//!
//! In BT.709 the picture holds encoded values and keeps them; in BT.2020 with PQ it holds linear light.
//! Chroma of 4:2:0 lies on the even luma columns and between the rows (H.264 `chroma_sample_loc_type`
//! 0). Where the sizes differ: bilinear on what the picture holds, by the texture unit (on lavapipe
//! 1.9 ms at 1280x720, where texel loads took 4.3 ms, or 2.7 ms when shared between neighbours), which
//! is exact to the code value of 8 bits where the device weighs texels in 1/256 or finer. 10 bits are
//! exact where nothing is scaled.
//!
//! Knows nothing of frames. For BT.709 the view given to it must yield encoded values, so a non-sRGB
//! format: through an `...Srgb` view the picture comes out dark.

use std::sync::{Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};
use media::{
    BitDepth, Chroma, ColorDescription, PictureKind, PixelFormat, Plane, SharedPlane, Size,
};
use smallvec::SmallVec;

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

/// Whether pictures of a kind are made.
pub fn is_made(kind: PictureKind) -> bool {
    is_pq(kind).is_some()
}

/// Whether pictures of a kind are made from linear light, with PQ; `None` where there is no such pass:
/// RGB, other colours, and PQ in 8 bits, which shows bands.
pub(crate) fn is_pq(kind: PictureKind) -> Option<bool> {
    kind.format.chroma()?;
    match kind.color {
        ColorDescription::BT709_LIMITED => Some(false),
        ColorDescription::BT2020_PQ_LIMITED if kind.format.depth() == BitDepth::Ten => Some(true),
        _ => None,
    }
}

/// How a picture lies in a buffer: plane after plane, all rows of one stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLayout {
    format: PixelFormat,
    size: Size,
    stride: u32,
}

impl PictureLayout {
    /// The layout of a picture of `size` with rows that begin at multiples of `align` bytes, which is
    /// itself one of [`CPU_ALIGN`]; `None` when a side is odd, zero or beyond 16384, and for RGB.
    pub fn new(format: PixelFormat, size: Size, align: u32) -> Option<Self> {
        debug_assert!(align.is_multiple_of(CPU_ALIGN) && align > 0, "the pass writes whole blocks");
        let fits = |side: u32| side.is_multiple_of(2) && (2..=16_384).contains(&side);
        format.chroma()?;
        let (row, _) = format.plane(0, size).filter(|_| fits(size.width) && fits(size.height))?;
        Some(Self { format, size, stride: u32::try_from(row).ok()?.next_multiple_of(align) })
    }

    /// Format of the picture.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Bytes from one row to the next, in every plane.
    pub fn stride(&self) -> u32 {
        self.stride
    }

    /// Bytes of each plane, in order; none is left out between them.
    fn plane_bytes(&self) -> impl Iterator<Item = u64> {
        let stride = u64::from(self.stride);
        self.format.planes(self.size).map(move |(_, rows)| stride * rows as u64)
    }

    /// Bytes of all planes.
    pub fn bytes(&self) -> u64 {
        self.plane_bytes().sum()
    }

    /// The planes of a picture that lies in `data`.
    pub fn planes<'a>(&self, data: &'a [u8]) -> SmallVec<[Plane<'a>; 3]> {
        debug_assert!(data.len() as u64 >= self.bytes(), "{:?}", self.format);
        let mut rest = data;
        let plane = |bytes: u64| {
            let (data, behind) = rest.split_at(bytes as usize);
            rest = behind;
            Plane { data, stride: self.stride as usize }
        };
        self.plane_bytes().map(plane).collect()
    }

    /// Where the planes lie in memory that begins with the picture.
    pub fn shared_planes(&self) -> SmallVec<[SharedPlane; 3]> {
        let mut next = 0;
        let plane = |bytes: u64| {
            let offset = next;
            next += bytes;
            SharedPlane { offset, stride: self.stride }
        };
        self.plane_bytes().map(plane).collect()
    }
}

/// What the shader is told. The layout is that of `Params` in `picture.wgsl`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    last_texel: [f32; 2],
    last_pixel: [i32; 2],
    scale: [f32; 2],
    row_words: u32,
    luma_rows: u32,
}

/// Makes the passes of one device, which all its rings share.
#[derive(Debug)]
pub struct PictureConverter {
    layout: wgpu::BindGroupLayout,
    bilinear: wgpu::Sampler,
    shader: wgpu::ShaderModule,
    pipeline_layout: wgpu::PipelineLayout,
    /// Those that were asked for; there are eight kinds at most.
    passes: Mutex<Vec<(PictureKind, Pass)>>,
}

/// The pass for one kind of picture.
#[derive(Clone, Debug)]
pub struct Pass {
    same_size: wgpu::ComputePipeline,
    scaling: wgpu::ComputePipeline,
}

impl PictureConverter {
    /// Makes the pass that every encoder needs; others when they are asked for.
    pub fn new(gpu: &Gpu) -> Self {
        let device = gpu.device();
        let shader = device.create_shader_module(wgpu::include_wgsl!("../../shaders/picture.wgsl"));
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("colour"),
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
            label: Some("colour"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: size_of::<Params>() as u32,
        });
        // Clamps to the edge, which is the default.
        let bilinear = device.create_sampler(&wgpu::SamplerDescriptor {
            label: Some("colour"),
            mag_filter: wgpu::FilterMode::Linear,
            min_filter: wgpu::FilterMode::Linear,
            ..Default::default()
        });
        let made =
            Self { layout, bilinear, shader, pipeline_layout, passes: Mutex::new(Vec::new()) };
        made.pass(gpu, PictureKind::NV12);
        made
    }

    /// The pass for pictures of a kind, made when it is first asked for; `None` where there is none:
    /// RGB, other colours than BT.709 and BT.2020 with PQ in limited range, and PQ in 8 bits.
    pub fn pass(&self, gpu: &Gpu, kind: PictureKind) -> Option<Pass> {
        let mut passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pass)) = passes.iter().find(|(known, _)| *known == kind) {
            return Some(pass.clone());
        }
        let pq = is_pq(kind)?;
        let entry_point = match kind.format.chroma()? {
            Chroma::C420 => "convert_420",
            Chroma::C444 => "convert_444",
        };
        let ten = kind.format.depth() == BitDepth::Ten;
        let pipeline = |label, scaled: bool| {
            gpu.device().create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&self.pipeline_layout),
                module: &self.shader,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &[
                        ("SCALED", f64::from(scaled)),
                        ("TEN", f64::from(ten)),
                        ("PQ", f64::from(pq)),
                        ("GROUP", f64::from(GROUP)),
                    ],
                    ..Default::default()
                },
                cache: None,
            })
        };
        let same_size = pipeline("colour, same size", false);
        let scaling = pipeline("colour, scaling", true);
        let pass = Pass { same_size, scaling };
        passes.push((kind, pass.clone()));
        Some(pass)
    }

    /// Binds the picture to read and the buffer to write, which holds [`PictureLayout::bytes`].
    pub fn bind(
        &self,
        gpu: &Gpu,
        picture: &wgpu::TextureView,
        samples: wgpu::BufferBinding<'_>,
    ) -> wgpu::BindGroup {
        gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("colour"),
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
                wgpu::BindGroupEntry {
                    binding: 2,
                    resource: wgpu::BindingResource::Buffer(samples),
                },
            ],
        })
    }
}

impl Pass {
    /// Records the pass. The picture is the upper left `internal` of the bound view, which must be
    /// that large at least.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        bound: &wgpu::BindGroup,
        internal: Size,
        coded: &PictureLayout,
        timestamps: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("colour"),
            timestamp_writes: timestamps,
        });
        pass.set_pipeline(if internal == coded.size { &self.same_size } else { &self.scaling });
        pass.set_bind_group(0, bound, &[]);
        pass.set_immediates(0, bytemuck::bytes_of(&params(internal, coded)));
        let samples = match coded.format.depth() {
            BitDepth::Eight => coded.stride,
            BitDepth::Ten => coded.stride / 2,
        };
        pass.dispatch_workgroups(samples.div_ceil(BLOCK * GROUP), coded.size.height / 2, 1);
    }
}

fn params(internal: Size, coded: &PictureLayout) -> Params {
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
            let layout = PictureLayout::new(PixelFormat::Nv12, size, CPU_ALIGN);
            assert_eq!(layout, None, "{width}x{height}");
        }
        assert_eq!(PictureLayout::new(PixelFormat::Rgba8, Size::new(4, 4), CPU_ALIGN), None);
    }

    #[test]
    fn planes_follow_one_another() {
        let size = Size::new(642, 362);
        for (format, align, stride, wanted) in [
            (PixelFormat::Nv12, CPU_ALIGN, 656, &[362, 181][..]),
            (PixelFormat::Nv12, SHARED_ALIGN, 768, &[362, 181]),
            (PixelFormat::P010, CPU_ALIGN, 1296, &[362, 181]),
            (PixelFormat::P010, SHARED_ALIGN, 1536, &[362, 181]),
            (PixelFormat::Yuv444, SHARED_ALIGN, 768, &[362; 3]),
            (PixelFormat::Yuv444P16, CPU_ALIGN, 1296, &[362; 3]),
        ] {
            let layout = PictureLayout::new(format, size, align).expect("even sides");
            assert_eq!(layout.stride(), stride, "{format:?}");
            let data: Vec<u8> = vec![0; layout.bytes() as usize];
            let planes = layout.planes(&data);
            let rows: Vec<_> =
                planes.iter().map(|plane| plane.data.len() / stride as usize).collect();
            assert_eq!(rows, wanted, "{format:?}");
            let mut next = 0;
            for (shared, plane) in layout.shared_planes().iter().zip(&planes) {
                assert_eq!((shared.offset, shared.stride), (next, stride), "{format:?}");
                next += plane.data.len() as u64;
            }
            assert_eq!(next, layout.bytes());
        }
    }

    #[test]
    fn there_is_no_pass_for_pq_in_8_bits_nor_for_rgb() {
        let kind = |format, color| is_pq(PictureKind { format, color });
        let (sdr, hdr) = (ColorDescription::BT709_LIMITED, ColorDescription::BT2020_PQ_LIMITED);
        assert_eq!(kind(PixelFormat::P010, sdr), Some(false));
        assert_eq!(kind(PixelFormat::P010, hdr), Some(true));
        assert_eq!(kind(PixelFormat::Yuv444P16, hdr), Some(true));
        assert_eq!(kind(PixelFormat::Nv12, hdr), None);
        assert_eq!(kind(PixelFormat::Bgrx8, sdr), None);
        assert_eq!(kind(PixelFormat::Nv12, ColorDescription::SRGB), None);
    }
}
