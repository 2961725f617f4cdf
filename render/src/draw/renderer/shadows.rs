//! The sun's shadow in a draw: which map it reads, and the passes that draw one.

use std::sync::{Arc, PoisonError};

use glam::{Vec3, Vec4};

use super::{MeshPass, Renderer};
use crate::draw::lights::NO_LIGHTS;
use crate::draw::list::{DrawList, Item, Sun};
use crate::draw::scene_gpu::SceneGpu;
use crate::draw::shadow::{ShadowFit, StaticShadow};
use crate::draw::targets::{SessionShadow, SessionTargets, shadow_texture};
use crate::draw::uniforms::{FrameUniform, ObjectUniform};

/// Which shadow map a draw reads.
pub(super) enum Shadow {
    None,
    /// The layer of the scene, shared.
    Layer(Arc<StaticShadow>),
    /// The session's own map.
    Own(ShadowFit),
}

impl Shadow {
    pub(super) fn fit(&self) -> Option<&ShadowFit> {
        match self {
            Self::None => None,
            Self::Layer(layer) => Some(&layer.fit),
            Self::Own(fit) => Some(fit),
        }
    }
}

impl Renderer {
    pub(super) fn choose_shadow(
        &self,
        scene: &SceneGpu,
        targets: &mut SessionTargets,
        list: &DrawList,
    ) -> Shadow {
        let Some(sun) = list.sun.filter(|_| self.settings.shadow_size > 0) else {
            return Shadow::None;
        };
        if scene.caster_bounds.min.x > scene.caster_bounds.max.x {
            return Shadow::None;
        }
        let fixed_sun = scene.sun.is_some_and(|sun| sun.fixed);
        let fit = if fixed_sun {
            let layer = self.static_layer(scene, sun);
            if list.casters.is_empty() || !self.settings.moving_casters {
                targets.shadow = None;
                return Shadow::Layer(layer);
            }
            layer.fit
        } else {
            let all = crate::draw::cull::union(&scene.caster_bounds, &list.caster_bounds);
            ShadowFit::new(sun.towards, &all)
        };
        let size = self.settings.shadow_size;
        if targets.shadow.as_ref().is_none_or(|own| own.size != size) {
            let version = targets.shadow.as_ref().map_or(1, |own| own.version + 1);
            let (texture, view) = shadow_texture(&self.device, size);
            targets.shadow =
                Some(SessionShadow { size, version, texture, view, shown: Vec::new() });
        }
        Shadow::Own(fit)
    }

    /// The layer of static casters; drawn and submitted on first use.
    fn static_layer(&self, scene: &SceneGpu, sun: Sun) -> Arc<StaticShadow> {
        let mut kept = scene.static_shadow.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = kept.as_ref().filter(|l| l.size == self.settings.shadow_size) {
            return layer.clone();
        }
        let size = self.settings.shadow_size;
        let (texture, view) = shadow_texture(&self.device, size);
        let fit = ShadowFit::new(sun.towards, &scene.caster_bounds);
        let layer = Arc::new(StaticShadow { size, fit, texture, view });
        self.draw_static_layer(scene, &layer);
        *kept = Some(layer.clone());
        layer
    }

    fn draw_static_layer(&self, scene: &SceneGpu, layer: &StaticShadow) {
        let mut objects = Vec::new();
        let mut items = Vec::new();
        for (index, drawable) in scene.drawables.iter().enumerate() {
            if drawable.casts && drawable.fixed {
                let world = &scene.rest.world[drawable.node];
                items.push(Item::caster(index, objects.len(), world));
                objects.push(ObjectUniform::new(world, Vec3::ZERO, NO_LIGHTS, 0));
            }
        }
        let mut uniforms =
            self.create_uniforms(scene, (0, false, 0), &self.no_shadow, 1, objects.len(), 0);
        let frame = shadow_frame(&layer.fit);
        self.write_blocks(&uniforms.frames, &mut uniforms.bytes, std::iter::once(&frame));
        self.write_blocks(&uniforms.objects, &mut uniforms.bytes, objects.iter());
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass =
                begin_shadow_pass(&mut encoder, &layer.view, layer.size, wgpu::LoadOp::Clear(1.0));
            pass.set_bind_group(0, &uniforms.shadow_group, &[0]);
            self.draw_items(&mut pass, scene, &uniforms, &items, MeshPass::Shadow);
        }
        self.queue.submit([encoder.finish()]);
    }

    pub(super) fn shadow_pass(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        scene: &SceneGpu,
        targets: &mut SessionTargets,
        list: &DrawList,
    ) {
        let (Some(own), Some(uniforms)) = (&mut targets.shadow, &targets.uniforms) else { return };
        let worlds = list.casters.iter().map(|item| list.objects[item.object as usize].world);
        let sun = list.sun.map_or(Vec4::ZERO, |sun| sun.towards.extend(scene.id as f32));
        let shows = worlds.chain(list.joints.iter().copied()).chain([[sun; 3]]);
        if own.shown.len() == list.casters.len() + list.joints.len() + 1
            && shows.clone().eq(own.shown.iter().copied())
        {
            return;
        }
        own.shown.clear();
        own.shown.extend(shows);
        let layer = scene.static_shadow.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let load = match layer.filter(|_| scene.sun.is_some_and(|sun| sun.fixed)) {
            Some(layer) => {
                encoder.copy_texture_to_texture(
                    layer.texture.as_image_copy(),
                    own.texture.as_image_copy(),
                    own.texture.size(),
                );
                wgpu::LoadOp::Load
            }
            None => wgpu::LoadOp::Clear(1.0),
        };
        let mut pass = begin_shadow_pass(encoder, &own.view, own.size, load);
        let offset = list.views.len() as u32 * self.frame_stride() as u32;
        pass.set_bind_group(0, &uniforms.shadow_group, &[offset]);
        self.draw_items(&mut pass, scene, uniforms, &list.casters, MeshPass::Shadow);
    }
}

fn begin_shadow_pass<'e>(
    encoder: &'e mut wgpu::CommandEncoder,
    view: &wgpu::TextureView,
    size: u32,
    load: wgpu::LoadOp<f32>,
) -> wgpu::RenderPass<'e> {
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("shadow"),
        color_attachments: &[],
        depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
            view,
            depth_ops: Some(wgpu::Operations { load, store: wgpu::StoreOp::Store }),
            stencil_ops: None,
        }),
        ..Default::default()
    });
    // The border stays lit, whatever lies beyond the map: lookups outside it are clamped to it.
    if size > 2 {
        pass.set_scissor_rect(1, 1, size - 2, size - 2);
    }
    pass
}

/// The frame of the shadow pass: only its matrix is read.
pub(super) fn shadow_frame(fit: &ShadowFit) -> FrameUniform {
    FrameUniform { clip_from_world: fit.clip_from_world, ..bytemuck::Zeroable::zeroed() }
}
