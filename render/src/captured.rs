//! Pictures that were drawn elsewhere and lie in memory, converted on the device: those of hosted games.
//!
//! ```text
//!  memory ─ what changed ─▶ texture ─ colour pass ─▶ slot of a ring ─▶ read in place by the encoder, or read back
//! ```
//! The texture holds the newest picture, so that only what changed is uploaded; each slot is written whole. Used wrongly (a
//! change that is not told) old pixels stay for ever.

use std::sync::{Arc, Mutex, PoisonError};

use media::{Convert, Damage, DeviceId, FrameImage, PictureKind, Rect, Room, Size};

use crate::device::{Gpu, GpuPool};
use crate::draw::extent;
use crate::picture::PictureConverter;
use crate::readback::{FrameRing, Sharing};

/// Bytes of a pixel: B, G, R and one that is not looked at.
const PIXEL: u32 = 4;

/// The conversion of a process's captured pictures, on the device of now.
pub struct CaptureStage {
    pool: Arc<GpuPool>,
    /// Also of those that are read back.
    always: bool,
    kit: Mutex<Option<Kit>>,
}

/// What all converters of a device share.
#[derive(Clone)]
struct Kit {
    gpu: Arc<Gpu>,
    converter: Arc<PictureConverter>,
}

impl CaptureStage {
    /// One on the devices of `pool`, for pictures that an encoder reads in place there; `always` also for those that the CPU
    /// reads, which costs more than to convert them there.
    pub fn new(pool: Arc<GpuPool>, always: bool) -> Self {
        Self { pool, always, kit: Mutex::new(None) }
    }

    /// The device of now; none where no other API can read its pictures in place.
    pub fn device_id(&self) -> Option<DeviceId> {
        self.pool.current().device_id()
    }

    /// A converter for one source. A device that was lost is opened anew, which takes as long as its driver does.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn open(&self) -> Result<Box<dyn Convert>, String> {
        let Kit { gpu, converter } = self.kit()?;
        let (screen, ring) = (None, None);
        Ok(Box::new(Captures { gpu, converter, always: self.always, screen, ring }))
    }

    fn kit(&self) -> Result<Kit, String> {
        let mut kept = self.kit.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that no older device takes the place of a newer one.
        let gpu = self.pool.reopen().map_err(|error| error.to_string())?;
        if let Some(kit) = kept.as_ref().filter(|kit| kit.gpu.generation() == gpu.generation()) {
            return Ok(kit.clone());
        }
        let converter = Arc::new(gpu.checked(|| PictureConverter::new(&gpu))?);
        let kit = Kit { gpu, converter };
        *kept = Some(kit.clone());
        Ok(kit)
    }
}

/// Converts the pictures of one source.
struct Captures {
    gpu: Arc<Gpu>,
    converter: Arc<PictureConverter>,
    always: bool,
    screen: Option<Screen>,
    ring: Option<FrameRing>,
}

impl Convert for Captures {
    fn begin(&mut self, size: Size, share: bool) -> Result<Room, String> {
        let share = share && self.gpu.cannot_share().is_none();
        if !share && !self.always {
            // The memory is for others meanwhile.
            (self.screen, self.ring) = (None, None);
            return Ok(Room::Elsewhere);
        }
        self.works()?;
        if self.screen.as_ref().is_none_or(|screen| screen.size != size) {
            self.screen = Some(self.gpu.checked(|| Screen::new(&self.gpu, size))?);
        }
        let sharing = if share { Sharing::Shared } else { Sharing::Cpu };
        let suits = |ring: &FrameRing| ring.size() == size && ring.sharing() == sharing;
        if !self.ring.as_ref().is_some_and(suits) {
            let ring = FrameRing::new(&self.gpu, &self.converter, size, PictureKind::NV12, sharing);
            self.ring = Some(ring.map_err(|error| error.to_string())?);
        }
        let free = self.ring.as_ref().map_or(0, FrameRing::free);
        Ok(if free > 0 { Room::Free } else { Room::Full })
    }

    fn convert(&mut self, bgrx: &[u8], changed: &Damage) -> Result<Box<dyn FrameImage>, String> {
        self.works()?;
        let (Some(screen), Some(ring)) = (&mut self.screen, &mut self.ring) else {
            return Err("no picture was begun".into());
        };
        let mut slot = ring.begin().ok_or("all slots are in use")?;
        // What is submitted to a lost device will never be there, and what is refused of an upload would be missing in all
        // pictures to come.
        let made = self.gpu.checked(|| {
            screen.upload(&self.gpu, bgrx, changed)?;
            let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
            slot.encode(&mut encoder, &screen.view, screen.size);
            slot.submit(encoder.finish()).ok_or_else(|| "no picture was recorded".to_owned())
        });
        made.flatten()
    }
}

impl Captures {
    /// # Errors
    /// Why the device was lost.
    fn works(&self) -> Result<(), String> {
        self.gpu.lost().map_or(Ok(()), Err)
    }
}

/// The newest picture of a display, on the device.
struct Screen {
    size: Size,
    texture: wgpu::Texture,
    view: wgpu::TextureView,
    /// It holds a picture.
    known: bool,
}

impl Screen {
    fn new(gpu: &Gpu, size: Size) -> Self {
        let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
            label: Some("captured picture"),
            size: extent(size.width, size.height),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            // As they are shown: encoded values, which the colour pass keeps.
            format: wgpu::TextureFormat::Bgra8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        Self { size, texture, view, known: false }
    }

    /// Writes what changed before what is submitted next; all of it, where nothing is known of it.
    fn upload(&mut self, gpu: &Gpu, bgrx: &[u8], changed: &Damage) -> Result<(), String> {
        let Size { width, .. } = self.size;
        if bgrx.len() as u64 != self.size.pixels() * u64::from(PIXEL) {
            return Err(format!("{} bytes are no picture of {}", bgrx.len(), self.size));
        }
        let whole = [Rect::whole(self.size)];
        let parts = match changed {
            Damage::Rects(rects) if self.known && rects.iter().all(|rect| rect.fits(self.size)) => {
                &rects[..]
            }
            _ => &whole[..],
        };
        for part in parts {
            let first = u64::from(part.y) * u64::from(width) + u64::from(part.x);
            let layout = wgpu::TexelCopyBufferLayout {
                offset: first * u64::from(PIXEL),
                bytes_per_row: Some(width * PIXEL),
                rows_per_image: None,
            };
            let target = wgpu::TexelCopyTextureInfo {
                texture: &self.texture,
                mip_level: 0,
                origin: wgpu::Origin3d { x: part.x, y: part.y, z: 0 },
                aspect: wgpu::TextureAspect::All,
            };
            let size = extent(part.width, part.height);
            gpu.queue().write_texture(target, bgrx, layout, size);
        }
        self.known = true;
        Ok(())
    }
}
