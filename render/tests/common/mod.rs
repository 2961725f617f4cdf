//! What the tests of the device share. A machine without a Vulkan device fails them all: that is a
//! failed set-up (`apt install mesa-vulkan-drivers`), never a skip.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::time::Instant;

use media::{Clock, FrameImage, MediaTime, PictureKind, Size, StageTimes};
use nearlight_render::device::{Gpu, GpuOptions};
use nearlight_render::picture::PictureConverter;
use nearlight_render::readback::{FrameRing, Sharing};

/// The machine's device.
pub(crate) fn gpu() -> Arc<Gpu> {
    Gpu::open(&GpuOptions::default()).expect("tests need a Vulkan device; lavapipe will do")
}

/// A clock that counts from its making.
pub(crate) struct TestClock(Instant);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TestClock {
    fn now(&self) -> MediaTime {
        MediaTime::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}

/// A picture of encoded values.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) size: Size,
    pub(crate) rgba: Vec<u8>,
}

impl Picture {
    pub(crate) fn from_fn(size: Size, mut color: impl FnMut(u32, u32) -> [u8; 3]) -> Self {
        let mut rgba = Vec::with_capacity(size.pixels() as usize * 4);
        for y in 0..size.height {
            for x in 0..size.width {
                let [r, g, b] = color(x, y);
                rgba.extend([r, g, b, 255]);
            }
        }
        Self { size, rgba }
    }

    /// Every texel another one, reproducibly.
    pub(crate) fn noise(size: Size) -> Self {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        Self::from_fn(size, |_, _| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            [state as u8, (state >> 8) as u8, (state >> 16) as u8]
        })
    }

    /// On the device, in a texture of `room` whose rest is magenta.
    pub(crate) fn upload(&self, gpu: &Gpu, room: Size) -> wgpu::TextureView {
        let padded = Self::from_fn(room, |x, y| {
            if x < self.size.width && y < self.size.height {
                let at = (y * self.size.width + x) as usize * 4;
                [self.rgba[at], self.rgba[at + 1], self.rgba[at + 2]]
            } else {
                [255, 0, 255]
            }
        });
        let extent =
            wgpu::Extent3d { width: room.width, height: room.height, depth_or_array_layers: 1 };
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: Some("test picture"),
            size: extent,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        gpu.queue().write_texture(
            texture.as_image_copy(),
            &padded.rgba,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(room.width * 4),
                rows_per_image: None,
            },
            extent,
        );
        texture.create_view(&wgpu::TextureViewDescriptor::default())
    }
}

/// Sends one picture down the ring.
pub(crate) fn submit(
    gpu: &Gpu,
    ring: &mut FrameRing,
    view: &wgpu::TextureView,
    internal: Size,
) -> Option<Box<dyn FrameImage>> {
    let mut slot = ring.begin()?;
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    slot.encode(&mut encoder, view, internal);
    slot.submit(encoder.finish())
}

/// The rows of NV12 or P010 without padding, as bytes.
pub(crate) struct Packed {
    pub(crate) size: Size,
    pub(crate) luma: Vec<u8>,
    pub(crate) chroma: Vec<u8>,
}

impl Packed {
    pub(crate) fn read(image: &mut dyn FrameImage) -> Self {
        let mut stages = StageTimes::default();
        image.finish(&TestClock::new(), &mut stages).expect("the device works");
        let mapped = image.map().expect("the picture is finished");
        let pack = |number: usize| {
            let (row, rows) = mapped.format.plane(number, mapped.size).expect("there are two");
            let plane = &mapped.planes[number];
            let from = plane.data.chunks(plane.stride).take(rows);
            from.flat_map(|from| &from[..row]).copied().collect()
        };
        Self { size: mapped.size, luma: pack(0), chroma: pack(1) }
    }

    /// A sample of NV12.
    pub(crate) fn luma_at(&self, x: u32, y: u32) -> u8 {
        self.luma[(y * self.size.width + x) as usize]
    }

    /// The pair at a place of NV12's chroma grid.
    pub(crate) fn chroma_at(&self, x: u32, y: u32) -> [u8; 2] {
        let at = (y * self.size.width + x * 2) as usize;
        [self.chroma[at], self.chroma[at + 1]]
    }
}

/// A ring of pictures of `coded`.
pub(crate) fn ring(gpu: &Arc<Gpu>, coded: Size, sharing: Sharing) -> FrameRing {
    ring_of(gpu, PictureKind::NV12, coded, sharing)
}

/// The same of pictures of a kind.
pub(crate) fn ring_of(
    gpu: &Arc<Gpu>,
    kind: PictureKind,
    coded: Size,
    sharing: Sharing,
) -> FrameRing {
    let converter = Arc::new(PictureConverter::new(gpu));
    FrameRing::new(gpu, &converter, coded, kind, sharing).expect("a sound size")
}

/// One picture converted to `coded` from a texture of `room`.
pub(crate) fn convert(gpu: &Arc<Gpu>, picture: &Picture, room: Size, coded: Size) -> Packed {
    let mut ring = ring(gpu, coded, Sharing::Cpu);
    let view = picture.upload(gpu, room);
    let mut image = submit(gpu, &mut ring, &view, picture.size).expect("an empty ring");
    Packed::read(&mut *image)
}
