//! Records the passes of a draw: shadow map, HDR picture, tone map.

mod shadows;
mod uniforms;

use glam::{Mat4, Vec3};
use media::{Rect, Size};
use thiserror::Error;

use self::shadows::Shadow;
use crate::device::{Gpu, Queue};
use crate::draw::list::{DrawList, Item, PoseRef};
use crate::draw::pipelines::{DEPTH_FORMAT, HDR_FORMAT, MeshKey, Pipelines};
use crate::draw::scene_gpu::SceneGpu;
use crate::draw::targets::{SessionTargets, Uniforms, shadow_texture};
use crate::draw::variant::Features;
use crate::draw::view::ViewParams;
use crate::scene::Aabb;

/// How pictures are drawn; the same for all sessions of a renderer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderSettings {
    /// Samples per pixel: 1 or 4, or 2 where the device can draw them. On lavapipe 4 samples take
    /// 2.5 times as long as one (94 against 37 ms of processor time at 640x360), hence the default of one.
    pub samples: u32,
    /// Edge of the sun's shadow map in texels; 0 turns shadows off. On lavapipe shadows take 4 of 34 ms of
    /// processor time in the demo scene, a third of it to copy the layer and draw what moves; a map of 2048 takes
    /// no longer to read.
    pub shadow_size: u32,
    /// What moves casts shadows too, drawn anew for every picture; without it only what stands still does.
    pub moving_casters: bool,
    /// From scene-linear light to the display.
    pub tone_map: ToneMap,
    /// Factor on all light before the tone map.
    pub exposure: f32,
}

impl Default for RenderSettings {
    fn default() -> Self {
        Self {
            samples: 1,
            shadow_size: 1024,
            moving_casters: true,
            tone_map: ToneMap::Neutral,
            exposure: 1.0,
        }
    }
}

/// From scene-linear light to the display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToneMap {
    /// Khronos PBR Neutral: base colours come through, highlights are compressed.
    #[default]
    Neutral,
    /// A fit of the ACES reference rendering: contrasty.
    Aces,
    /// A fit of AgX: bright colours go to white without changing hue.
    AgX,
}

/// Why nothing was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DrawError {
    /// The device cannot draw this many samples a pixel.
    #[error("{0} samples a pixel are not supported, only 1 and 4 always are")]
    Samples(u32),
    /// A target or shadow map is empty or larger than the device allows.
    #[error("a target of {0} cannot be made")]
    Size(Size),
    /// A view's region leaves the picture.
    #[error("the region {region:?} is not within a picture of {size}")]
    Region {
        /// The view's region.
        region: Rect,
        /// The picture's size.
        size: Size,
    },
    /// The device has no room, or is lost.
    #[error("the graphics device refused to draw: {0}")]
    Refused(String),
}

/// Draws scenes; shared by all sessions of a device.
#[derive(Debug)]
pub struct Renderer {
    device: wgpu::Device,
    queue: Queue,
    settings: RenderSettings,
    pipelines: Pipelines,
    reflection_sampler: wgpu::Sampler,
    shadow_sampler: wgpu::Sampler,
    /// Stands for a shadow map where there is none.
    no_shadow: wgpu::TextureView,
}

impl Renderer {
    /// A renderer on a device.
    ///
    /// # Errors
    /// [`DrawError::Samples`] and [`DrawError::Size`] where the device cannot do what the settings say.
    pub fn new(gpu: &Gpu, settings: RenderSettings) -> Result<Self, DrawError> {
        let (device, queue) = (gpu.device(), gpu.queue());
        let drawn = [HDR_FORMAT, DEPTH_FORMAT];
        if !drawn.iter().all(|format| gpu.draws_samples(*format, settings.samples)) {
            return Err(DrawError::Samples(settings.samples));
        }
        if settings.shadow_size > device.limits().max_texture_dimension_2d {
            return Err(DrawError::Size(Size::new(settings.shadow_size, settings.shadow_size)));
        }
        let sampler = |label, compare| {
            device.create_sampler(&wgpu::SamplerDescriptor {
                label: Some(label),
                mag_filter: wgpu::FilterMode::Linear,
                min_filter: wgpu::FilterMode::Linear,
                mipmap_filter: wgpu::MipmapFilterMode::Linear,
                compare,
                ..Default::default()
            })
        };
        Ok(Self {
            pipelines: Pipelines::new(device, &settings),
            reflection_sampler: sampler("reflections", None),
            shadow_sampler: sampler("shadow", Some(wgpu::CompareFunction::LessEqual)),
            no_shadow: shadow_texture(device, 1).1,
            device: device.clone(),
            queue: queue.clone(),
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &RenderSettings {
        &self.settings
    }

    /// Makes every pipeline that a scene needs, and lets the driver compile them by drawing everything once into a
    /// small picture, so that the first frame of a session is as fast as the next. Blocks for up to
    /// seconds on a software device; call it when the scene is loaded, off the render thread.
    ///
    /// # Errors
    /// [`DrawError`] as from [`draw`](Self::draw), and [`DrawError::Refused`] where `gpu`, whose renderer this is,
    /// cannot do it.
    pub fn prepare(&self, gpu: &Gpu, scene: &SceneGpu) -> Result<(), DrawError> {
        let size = Size::new(32, 32);
        let view = ViewParams {
            clip_from_view: look_at_all(&scene.bounds),
            view_from_world: Mat4::IDENTITY,
            region: Rect::whole(size),
        };
        let mut list = DrawList::new();
        let pose =
            PoseRef { world: &scene.rest.world, joints: &scene.rest.joints, highlights: &[] };
        list.build(scene, pose, &[view]);
        let mut targets = SessionTargets::new();
        // Once as if lamps reached everything and once as if none did: either may be wanted, and a click makes
        // anything flash.
        for extra in [true, false] {
            list.pretend_extra(extra);
            let submitted = gpu.checked(|| {
                let mut encoder =
                    self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                self.draw(&mut encoder, scene, &mut targets, &list, size)?;
                Ok(self.queue.submit([encoder.finish()]))
            });
            let submission = submitted.map_err(DrawError::Refused)??;
            gpu.wait(submission).map_err(DrawError::Refused)?;
        }
        Ok(())
    }

    /// Records a draw of `list` into `encoder` and yields the display-ready picture of `size`: sRGB-encoded values in
    /// `Rgba8Unorm`, valid until the next draw into the same targets.
    ///
    /// Uniforms are written to the queue at once: submit the encoder before the next draw into the same targets.
    /// What no view covers is black.
    ///
    /// # Errors
    /// [`DrawError::Size`] and [`DrawError::Region`]; then nothing was recorded.
    pub fn draw<'t>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &SceneGpu,
        targets: &'t mut SessionTargets,
        list: &DrawList,
        size: Size,
    ) -> Result<&'t wgpu::TextureView, DrawError> {
        self.record(encoder, scene, targets, list, size)?;
        self.tone_map_pass(encoder, targets);
        targets.images().map(|images| &images.output_view).ok_or(DrawError::Size(size))
    }

    /// The same without the tone map: the picture is linear light of BT.709's primaries in `Rgba16Float`,
    /// 1 being the white of a page.
    ///
    /// # Errors
    /// As [`draw`](Self::draw).
    pub fn draw_linear<'t>(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &SceneGpu,
        targets: &'t mut SessionTargets,
        list: &DrawList,
        size: Size,
    ) -> Result<&'t wgpu::TextureView, DrawError> {
        self.record(encoder, scene, targets, list, size)?;
        targets.images().map(|images| &images.hdr_view).ok_or(DrawError::Size(size))
    }

    fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &SceneGpu,
        targets: &mut SessionTargets,
        list: &DrawList,
        size: Size,
    ) -> Result<(), DrawError> {
        let most = self.device.limits().max_texture_dimension_2d;
        if size.width == 0 || size.height == 0 || size.width > most || size.height > most {
            return Err(DrawError::Size(size));
        }
        if let Some(view) = list.views.iter().find(|view| !view.params.region.fits(size)) {
            return Err(DrawError::Region { region: view.params.region, size });
        }
        targets.select(&self.device, &self.pipelines.layouts.hdr, size, self.settings.samples);
        let shadow = self.choose_shadow(scene, targets, list);
        self.write_uniforms(scene, targets, list, &shadow);
        if let Shadow::Own(_) = shadow {
            self.shadow_pass(encoder, scene, targets, list);
        }
        self.color_pass(encoder, scene, targets, list, &shadow);
        Ok(())
    }

    fn color_pass(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &SceneGpu,
        targets: &SessionTargets,
        list: &DrawList,
        shadow: &Shadow,
    ) {
        let (Some(images), Some(uniforms)) = (targets.images(), &targets.uniforms) else { return };
        let (view, resolve_target) = match &images.multisampled {
            Some(samples) => (samples, Some(&images.hdr_view)),
            None => (&images.hdr_view, None),
        };
        let store =
            if resolve_target.is_some() { wgpu::StoreOp::Discard } else { wgpu::StoreOp::Store };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("color"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::BLACK), store },
            })],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &images.depth,
                depth_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(0.0),
                    store: wgpu::StoreOp::Discard,
                }),
                stencil_ops: None,
            }),
            ..Default::default()
        });
        let frame = Features::default()
            .with_if(list.sun.is_some(), Features::SUN)
            .with_if(shadow.fit().is_some(), Features::SHADOW);
        for (index, view) in list.views.iter().enumerate() {
            let region = view.params.region;
            let [x, y, width, height] = [region.x, region.y, region.width, region.height];
            pass.set_viewport(x as f32, y as f32, width as f32, height as f32, 0.0, 1.0);
            pass.set_scissor_rect(x, y, width, height);
            let offset = index as u32 * self.frame_stride() as u32;
            pass.set_bind_group(0, &uniforms.frame_group, &[offset]);
            let items = |range: &std::ops::Range<usize>| &list.items[range.clone()];
            self.draw_items(
                &mut pass,
                scene,
                uniforms,
                items(&view.opaque),
                MeshPass::Color(frame),
            );
            self.draw_sky(&mut pass, scene);
            self.draw_items(
                &mut pass,
                scene,
                uniforms,
                items(&view.blended),
                MeshPass::Color(frame),
            );
        }
    }

    fn draw_sky(&self, pass: &mut wgpu::RenderPass<'_>, scene: &SceneGpu) {
        if let Some(background) = &scene.environment.background {
            pass.set_pipeline(&self.pipelines.sky_picture);
            pass.set_bind_group(1, background, &[]);
        } else {
            pass.set_pipeline(&self.pipelines.sky_gradient);
        }
        pass.draw(0..3, 0..1);
    }

    /// Draws items in order, changing state only where it differs.
    fn draw_items(
        &self,
        pass: &mut wgpu::RenderPass<'_>,
        scene: &SceneGpu,
        uniforms: &Uniforms,
        items: &[Item],
        kind: MeshPass,
    ) {
        let buffers = &scene.buffers;
        pass.set_index_buffer(buffers.indices.slice(..), wgpu::IndexFormat::Uint32);
        let object_stride = self.object_stride() as u32;
        let (mut key, mut material, mut skinned) = (None, None, None);
        for item in items {
            let drawable = &scene.drawables[item.drawable as usize];
            let wanted = kind.key(drawable.features, item.mirrored, item.extra);
            if key != Some(wanted) {
                pass.set_pipeline(&self.pipelines.mesh(wanted));
                // A layout without the material group leaves nothing bound there.
                (key, material) = (Some(wanted), None);
            }
            if kind.reads_material(drawable.features) && material != Some(drawable.material) {
                pass.set_bind_group(1, &scene.materials[drawable.material], &[]);
                material = Some(drawable.material);
            }
            let skin = drawable.features.has(Features::SKIN);
            if skinned != Some(skin) {
                if skin {
                    pass.set_vertex_buffer(0, buffers.skinned.slice(..));
                    pass.set_vertex_buffer(1, buffers.influences.slice(..));
                } else {
                    pass.set_vertex_buffer(0, buffers.rigid.slice(..));
                }
                skinned = Some(skin);
            }
            let group = if skin { &uniforms.skinned_group } else { &uniforms.object_group };
            pass.set_bind_group(2, group, &[item.object * object_stride]);
            pass.draw_indexed(drawable.indices.clone(), drawable.base_vertex, 0..1);
        }
    }

    fn tone_map_pass(&self, encoder: &mut wgpu::CommandEncoder, targets: &SessionTargets) {
        let Some(images) = targets.images() else { return };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("tone map"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &images.output_view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::BLACK),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipelines.tone_map);
        pass.set_bind_group(0, &images.hdr_group, &[]);
        pass.draw(0..3, 0..1);
    }
}

/// Which pass items are drawn in.
#[derive(Clone, Copy)]
enum MeshPass {
    /// With the features of the frame.
    Color(Features),
    Shadow,
}

impl MeshPass {
    fn key(self, features: Features, mirrored: bool, extra: bool) -> MeshKey {
        match self {
            Self::Color(frame) => {
                MeshKey::color(features, frame.with_if(extra, Features::EXTRA), mirrored)
            }
            Self::Shadow => MeshKey::shadow(features, mirrored),
        }
    }

    fn reads_material(self, features: Features) -> bool {
        matches!(self, Self::Color(_)) || features.has(Features::MASK)
    }
}

/// An orthographic projection from world space that holds a box.
fn look_at_all(bounds: &Aabb) -> Mat4 {
    if bounds.min.x > bounds.max.x {
        return Mat4::IDENTITY;
    }
    let center = (bounds.min + bounds.max) * 0.5;
    let half = ((bounds.max - bounds.min) * 0.5).max_element().max(1e-3) * 1.1;
    Mat4::from_translation(Vec3::new(0.0, 0.0, 0.5))
        * Mat4::from_scale(Vec3::new(1.0, 1.0, 0.5) / half)
        * Mat4::from_translation(-center)
}
