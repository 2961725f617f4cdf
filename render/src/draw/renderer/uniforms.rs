//! What a draw tells the shaders: buffers, bindings, and their contents.

use glam::{Mat4, Vec3};

use super::Renderer;
use super::shadows::{Shadow, shadow_frame};
use crate::draw::list::{DrawList, Sun};
use crate::draw::scene_gpu::SceneGpu;
use crate::draw::shadow::ShadowFit;
use crate::draw::targets::{SessionTargets, Uniforms};
use crate::draw::uniforms::{FrameUniform, LightUniform, ObjectUniform, stride};
use crate::draw::view::ViewParams;

impl Renderer {
    pub(super) fn write_uniforms(
        &self,
        scene: &SceneGpu,
        targets: &mut SessionTargets,
        list: &DrawList,
        shadow: &Shadow,
    ) {
        let (own, view) = match (shadow, &targets.shadow) {
            (Shadow::Layer(layer), _) => (false, &layer.view),
            (Shadow::Own(_), Some(own)) => (true, &own.view),
            _ => (false, &self.no_shadow),
        };
        let version = targets.shadow.as_ref().filter(|_| own).map_or(0, |own| own.version);
        let key = (scene.id, matches!(shadow, Shadow::None), version);
        let block = |count: usize, stride: u64| count as u64 * stride;
        let (frames, objects, joints) =
            (list.views.len() + 1, list.objects.len(), list.joints.len());
        let fits = targets.uniforms.as_ref().is_some_and(|uniforms| {
            uniforms.key == key
                && uniforms.frames.size() >= block(frames, self.frame_stride())
                && uniforms.objects.size() >= block(objects, self.object_stride())
                && uniforms.joints.size() >= block(joints, 48)
        });
        if !fits {
            // Room to grow, so that a camera that turns does not make new buffers each frame.
            let objects = objects.max(scene.drawables.len());
            targets.uniforms =
                Some(self.create_uniforms(scene, key, view, frames, objects, joints));
        }
        let Some(uniforms) = &mut targets.uniforms else { return };
        let fit = shadow.fit();
        let blocks: smallvec::SmallVec<[FrameUniform; 3]> = list
            .views
            .iter()
            .map(|view| self.frame(scene, list, &view.params, fit))
            .chain(fit.map(shadow_frame))
            .collect();
        self.write_blocks(&uniforms.frames, &mut uniforms.bytes, blocks.iter());
        self.write_blocks(&uniforms.objects, &mut uniforms.bytes, list.objects.iter());
        if !list.joints.is_empty() {
            self.queue.write_buffer(&uniforms.joints, 0, bytemuck::cast_slice(&list.joints));
        }
    }

    pub(super) fn frame_stride(&self) -> u64 {
        stride::<FrameUniform>(&self.device)
    }

    pub(super) fn object_stride(&self) -> u64 {
        stride::<ObjectUniform>(&self.device)
    }

    pub(super) fn write_blocks<'a, T: bytemuck::Pod>(
        &self,
        buffer: &wgpu::Buffer,
        bytes: &mut Vec<u8>,
        blocks: impl ExactSizeIterator<Item = &'a T>,
    ) {
        let stride = stride::<T>(&self.device) as usize;
        bytes.clear();
        bytes.resize(blocks.len() * stride, 0);
        for (slot, block) in bytes.chunks_exact_mut(stride).zip(blocks) {
            slot[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(block));
        }
        if !bytes.is_empty() {
            self.queue.write_buffer(buffer, 0, bytes);
        }
    }

    pub(super) fn create_uniforms(
        &self,
        scene: &SceneGpu,
        key: (u64, bool, u64),
        shadow: &wgpu::TextureView,
        frames: usize,
        objects: usize,
        joints: usize,
    ) -> Uniforms {
        let buffer = |label, size: u64, usage| {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (uniform, storage) = (wgpu::BufferUsages::UNIFORM, wgpu::BufferUsages::STORAGE);
        let frames = buffer("frames", frames.max(1) as u64 * self.frame_stride(), uniform);
        let objects = buffer("objects", objects.max(1) as u64 * self.object_stride(), uniform);
        let joints = buffer("joints", joints.max(1) as u64 * 48, storage);
        let group = |label, layout, resources: &[wgpu::BindingResource<'_>]| {
            let entries: Vec<_> = resources
                .iter()
                .enumerate()
                .map(|(binding, resource)| wgpu::BindGroupEntry {
                    binding: binding as u32,
                    resource: resource.clone(),
                })
                .collect();
            let entries = &entries;
            self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(label),
                layout,
                entries,
            })
        };
        let block = |buffer, size: usize| {
            wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: 0,
                size: wgpu::BufferSize::new(size as u64),
            })
        };
        let layouts = &self.pipelines.layouts;
        let frame = block(&frames, size_of::<FrameUniform>());
        let object = block(&objects, size_of::<ObjectUniform>());
        Uniforms {
            key,
            frame_group: group(
                "frame",
                &layouts.frame,
                &[
                    frame.clone(),
                    wgpu::BindingResource::TextureView(&scene.environment.reflections),
                    wgpu::BindingResource::Sampler(&self.reflection_sampler),
                    wgpu::BindingResource::TextureView(shadow),
                    wgpu::BindingResource::Sampler(&self.shadow_sampler),
                ],
            ),
            shadow_group: group("shadow frame", &layouts.frame_only, &[frame]),
            object_group: group("object", &layouts.object, std::slice::from_ref(&object)),
            skinned_group: group(
                "skinned object",
                &layouts.skinned,
                &[object.clone(), joints.as_entire_binding()],
            ),
            frames,
            objects,
            joints,
            bytes: Vec::new(),
        }
    }

    fn frame(
        &self,
        scene: &SceneGpu,
        list: &DrawList,
        view: &ViewParams,
        shadow: Option<&ShadowFit>,
    ) -> FrameUniform {
        let sun = list.sun.unwrap_or(Sun { towards: Vec3::Y, color: Vec3::ZERO });
        // One texel and a half along the normal: the lookup's four texels then lie on the lit side.
        let offset = shadow.map_or(0.0, |fit| 1.5 * fit.width / self.settings.shadow_size as f32);
        let eye = view.eye();
        let lights = list.lights.uniforms.map(|l| LightUniform { position: l.position - eye, ..l });
        FrameUniform {
            clip_from_world: view.clip_from_world(),
            shadow_from_world: shadow.map_or(Mat4::IDENTITY, ShadowFit::texture_from_world),
            eye: eye.extend(offset),
            sky: view.rays().map(|ray| ray.extend(0.0)),
            sun_direction: sun.towards.extend(0.0),
            sun_color: sun.color.extend(0.0),
            gradient: scene.environment.gradient,
            irradiance: scene.environment.irradiance,
            lights,
        }
    }
}
